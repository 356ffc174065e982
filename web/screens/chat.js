// Who I am in chat: whoever has that identity can ask and act as me.

import { fill, h } from "../lib/dom.js";
import { call } from "../lib/session.js";
import { t } from "../lib/words.js";
import { visible } from "../lib/visible.js";
import { button, field, form } from "../parts/bits.js";

/** @typedef {{ id: string, platform: string, workspace: string, user: string, name?: string, bot?: { name: string } }} ChatIdentity */

/** @param {ChatIdentity} one @param {() => void} again */
export function oneIdentity(one, again) {
  const unlink = async () => {
    if (!confirm(t.me.unlinkSure(one.name ?? one.user))) return;
    await call("DELETE", `/v1/chat-identities/${one.id}`);
    again();
  };
  return h("div", {}, h("div", { class: "row" }, h("div", { class: "grow" }, h("strong", {}, visible(one.name ?? one.user)), h("p", { class: "small quiet" }, where(one))),
    button(t.me.unlink, unlink, { class: "refuse", name: t.me.unlinkIdentity(visible(one.name ?? one.user)) })));
}

/** @param {ChatIdentity} one */
const where = (one) => visible([one.platform, one.workspace, one.user].join(" · "));

/** Two steps: what the code would link, and then to link it. @param {() => void} again */
export function linking(again) {
  const box = h("div");
  const ask = () => {
    const code = h("input", { name: "code", value: /^#link-([0-9A-Za-z-]{4,20})$/.exec(location.hash)?.[1] ?? "", class: "code", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", required: true, maxlength: "20" });
    const found = async () => fill(box, isThisYou(code.value, await call("POST", "/v1/chat-identities/look-up", { code: code.value })));
    return form([field(t.me.chatCode, code, t.me.chatCodeHint)], t.me.link, found, { class: "card" });
  };
  /** @param {string} code @param {ChatIdentity} found */
  const isThisYou = (code, found) => {
    // What a link brought is used once.
    const over = () => history.replaceState(history.state, "", location.pathname);
    const yes = button(t.me.itIsMe, async () => { await call("POST", "/v1/chat-identities", { code }); over(); again(); }, { class: "main" });
    const no = h("button", { type: "button", class: "refuse", onclick: () => { over(); fill(box, ask()); } }, t.me.itIsNotMe);
    return h("div", { class: "card asking" }, h("h3", {}, t.me.isThisYou),
      h("p", {}, h("strong", {}, visible(found.name ?? found.user)), h("br"), h("span", { class: "quiet" }, where(found))),
      h("p", { class: "small" }, t.me.isThisYouMeans), h("div", { class: "choices" }, yes, no));
  };
  return fill(box, ask());
}
