// Bots that were reported: what they ask is stopped until an administrator has looked.

import { h } from "../../lib/dom.js";
import { call } from "../../lib/session.js";
import { past } from "../../lib/words.js";
import { a } from "../../lib/words/admin.js";
import { leave, listing, signed } from "./parts.js";

/** @typedef {import("../../app.js").Context} Context */
/** @typedef {import("../../lib/api.js").Person} Person */

const w = a.stopped;

/** @param {Context} context */
export async function open(context) {
  const { freezes } = await call("GET", "/v1/freezes");
  const row = (/** @type {{ id: string, bot: { name: string }, requester?: Person, approval: string, frozen_by: Person, frozen_at: string }} */ one) =>
    h("div", {}, h("div", { class: "row" },
      h("div", { class: "grow" }, h("strong", {}, one.bot.name), h("p", {}, one.requester ? w.for(one.requester.name) : w.whole),
        h("p", { class: "small quiet" }, w.by(one.frozen_by.name, past(one.frozen_at))),
        h("a", { href: `/a/${one.approval}` }, w.open)),
      signed(context, w.lift, { method: "DELETE", path: `/v1/freezes/${one.id}`, then: () => leave(context, "/admin/stopped", w.lifted) })));
  return listing(String(a.rooms.stopped[0]), freezes.map(row), w.empty, []);
}
