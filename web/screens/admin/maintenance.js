// Maintenance: when nobody is paged about a service, or about any of a team's.

import { h } from "../../lib/dom.js";
import { call } from "../../lib/session.js";
import { visible } from "../../lib/visible.js";
import { when } from "../../lib/words.js";
import { a } from "../../lib/words/admin.js";
import { mark } from "../../parts/bits.js";
import { form } from "./forms.js";
import { services, teams } from "./house.js";
import { leave, listing, screen, sure, to } from "./parts.js";

/** @typedef {import("../../app.js").Context} Context */

const w = a.maintenance;
const KINDS = { planned: "", running: "waiting", over: "" };

/** @param {Context} context @param {string} rest */
export const open = (context, rest) => (rest === "+" ? add(context) : list(context));

/** @param {Context} context */
async function list(context) {
  const { maintenance } = await call("GET", "/v1/maintenance");
  const row = (/** @type {any} */ one) => {
    const state = /** @type {keyof typeof KINDS} */ (one.state);
    return h("div", {}, h("div", { class: "row" },
      h("div", { class: "grow" }, h("strong", {}, one.service ?? one.team), " ", mark(w.states[state], KINDS[state]),
        h("p", {}, visible(one.reason)),
        h("p", { class: "small quiet" }, `${when(one.from)} – ${when(one.until)} · ${one.by ? w.by(one.by.name) : w.operator}`)),
      sure(context, {
        label: state === "running" ? w.end : w.takeBack, title: w.endSure, what: w.endWhat, method: "DELETE", path: `/v1/maintenance/${one.id}`,
        then: () => leave(context, "/admin/maintenance", a.removed(one.service ?? one.team)),
      })));
  };
  return listing(String(a.rooms.maintenance[0]), maintenance.map(row), w.empty, [to("/admin/maintenance/+", w.add, "main")]);
}

/** @param {Context} context */
async function add(context) {
  const [ofServices, ofTeams] = await Promise.all([services(), teams()]);
  const send = async (/** @type {any} */ body, /** @type {string} */ key) => {
    await call("POST", "/v1/maintenance", body, { once: key });
    leave(context, "/admin/maintenance", w.planned);
  };
  const fields = /** @type {import("./forms.js").Field[]} */ ([
    { name: "service", kind: "choice", label: w.whats.service, options: ofServices },
    { name: "team", kind: "choice", label: w.whats.team, options: ofTeams },
    { name: "from", kind: "moment", label: w.from, hint: w.fromHint },
    { name: "for_seconds", kind: "length", label: w.for, needed: true, at_first: 3600 },
    { name: "reason", kind: "text", label: w.reason, needed: true, input: { maxlength: "500" } },
  ]);
  return screen(w.add, "/admin/maintenance", [form({ fields, go: w.add, cancel: "/admin/maintenance", send })]);
}
