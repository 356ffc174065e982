// Bots: API clients, what they may do, and their tokens, which are shown once.

import { fill, h } from "../../lib/dom.js";
import { call } from "../../lib/session.js";
import { ago, when } from "../../lib/words.js";
import { a } from "../../lib/words/admin.js";
import { said } from "../../parts/bits.js";
import { form } from "./forms.js";
import { instead, leave, listing, once, screen, section, sure, to, used, way } from "./parts.js";

/** @typedef {import("../../app.js").Context} Context */
/** @typedef {{ id: string, name: string, scopes: (keyof typeof w.scopeNames)[], created_at: string, last_used_at?: string, previous_token_until?: string }} Bot */

const w = a.bots;

/** @param {Context} context @param {string} rest */
export const open = (context, rest) => (rest === "" ? list() : rest === "+" ? Promise.resolve(add(context)) : one(context, rest));

async function list() {
  const { bots } = await call("GET", "/v1/bots");
  const row = (/** @type {Bot} */ bot) => way(`/admin/bots/${bot.id}`, bot.name, used(bot.last_used_at));
  return listing(String(a.rooms.bots[0]), bots.map(row), w.empty, [to("/admin/bots/+", w.add, "main")]);
}

/** @param {Context} context */
function add(context) {
  const body = h("div", { class: "list" });
  const send = async (/** @type {any} */ said, /** @type {string} */ key) => {
    const made = await call("POST", "/v1/bots", said, { once: key });
    instead(body, once(context, w.tokenOf(made.name), [[w.token, made.token]], `/admin/bots/${made.id}`));
  };
  const fields = /** @type {import("./forms.js").Field[]} */ ([
    { name: "name", kind: "name", label: w.name, hint: a.teams.nameHint, needed: true },
    { name: "scopes", kind: "some", label: w.scopes, needed: true, options: Object.entries(w.scopeNames), at_first: ["approvals:request", "grants:redeem", "incidents:write", "incidents:read"] },
  ]);
  fill(body, form({ fields, go: w.add, cancel: "/admin/bots", send }));
  return screen(w.add, "/admin/bots", [body]);
}

/** @param {Context} context @param {string} id */
async function one(context, id) {
  const { bots } = await call("GET", "/v1/bots");
  const bot = /** @type {Bot | undefined} */ (bots.find((/** @type {Bot} */ bot) => bot.id === id));
  if (!bot) return screen(String(a.rooms.bots[0]), "/admin/bots", [said(a.gone)]);
  const body = h("div", { class: "list" });
  const rotate = async (/** @type {any} */ { overlap_seconds }, /** @type {string} */ key) => {
    const made = await call("POST", `/v1/bots/${id}/rotate`, { overlap_seconds: Number(overlap_seconds) }, { once: key });
    instead(body, once(context, w.tokenOf(bot.name), [[w.token, made.token]], `/admin/bots/${id}`));
  };
  fill(body,
    h("section", { class: "card" }, h("h2", {}, bot.name), h("ul", { class: "points" }, bot.scopes.map((scope) => h("li", {}, w.scopeNames[scope] ?? scope))),
      h("p", { class: "small quiet" }, `${a.created(when(bot.created_at))} · ${used(bot.last_used_at)}`),
      bot.previous_token_until ? h("p", { class: "small" }, w.previous(ago(bot.previous_token_until))) : null),
    section(w.rotate, [], h("p", { class: "quiet" }, w.rotateWhat), form({
      fields: [{ name: "overlap_seconds", kind: "choice", label: w.overlap, needed: true, at_first: "86400", options: Object.entries(w.overlaps) }], go: w.rotate, aside: true, send: rotate,
    })),
    section(w.ends, [], sure(context, {
      label: w.revoke, title: w.revokeSure(bot.name), what: w.revokeWhat, method: "DELETE", path: `/v1/bots/${id}`, then: () => leave(context, "/admin/bots", a.removed(bot.name)),
    })));
  return screen(bot.name, "/admin/bots", [body]);
}
