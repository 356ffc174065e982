// A change that weakens, which an administrator, or whoever it is about, confirms with a passkey.

import { checkAct } from "../lib/statement.js";
import { fill, h } from "../lib/dom.js";
import { use } from "../lib/passkey.js";
import { call } from "../lib/session.js";
import { t } from "../lib/words.js";
import { visible } from "../lib/visible.js";
import { actTitle } from "./inbox.js";
import { button, said } from "../parts/bits.js";

/** @param {import("../app.js").Context} context @param {{ id: string }} params @returns {Promise<import("../app.js").Screen>} */
export async function act({ me, live }, { id }) {
  const { acts } = await call("GET", "/v1/acts");
  const one = acts.find((/** @type {import("../lib/api.js").Act} */ found) => found.id === id);
  const body = h("div", { class: "list" });
  if (!one) return { title: t.act.title, back: "/", body: [said(t.act.gone)] };
  const confirm = async () => {
    const offered = await call("POST", `/v1/acts/${id}/challenge`, {});
    await checkAct(offered, { issuer: me.issuer, me: me.user.id, act: one });
    const done = await call("POST", `/v1/acts/${id}/confirm`, { challenge: offered.challenge, credential: await use(offered.public_key) });
    const made = done.enrollment;
    fill(body, said(t.act.done, "good"), made ? h("div", { class: "card" }, h("p", {}, t.act.code), h("p", { class: "match" }, made.code), h("p", { class: "small mono" }, made.link)) : null);
    void live.refresh();
  };
  const facts = Object.entries(one.change).filter(([name]) => name !== "kind");
  fill(body,
    h("article", { class: "card" }, h("div", { class: "deed" }, h("p", { class: "verb" }, actTitle(one))), h("p", {}, visible(one.why)),
      h("dl", { class: "facts" }, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", { tabindex: "0" }, visible(typeof value === "string" ? value : JSON.stringify(value, null, 1)))]))),
    h("div", { class: "choices dock" }, button(t.act.confirm, confirm, { class: "main" })));
  return { title: t.act.title, back: "/", body: [body] };
}
