// Carriers: whether pushes get out of the house.

import { h } from "../../lib/dom.js";
import { call } from "../../lib/session.js";
import { visible } from "../../lib/visible.js";
import { past } from "../../lib/words.js";
import { a, length } from "../../lib/words/admin.js";
import { mark } from "../../parts/bits.js";
import { facts, screen, to } from "./parts.js";

/** @typedef {{ waiting: number, oldest_seconds?: number }} Lane */
/** @typedef {{ carrier: keyof typeof w.names, configured: boolean, urgent: Lane, ordinary: Lane, down: { route: string, since: string, why: string }[], token_age_seconds?: number }} Carrier */

const w = a.carriers;

/** @returns {Promise<import("../../app.js").Screen>} */
export async function open() {
  const { carriers } = await call("GET", "/v1/carriers");
  return screen(String(a.rooms.carriers[0]), "/admin", [
    ...carriers.map(one),
    h("p", { class: "small quiet" }, w.note),
    to("/admin/journal/route", w.log),
  ]);
}

/** @param {Lane} lane */
const lane = ({ waiting, oldest_seconds: oldest }) => w.lane(waiting, length(oldest ?? 0));

/** @param {Carrier} one */
function one({ carrier, configured, urgent, ordinary, down, token_age_seconds: age }) {
  // Of Web Push, one provider of many may be down.
  const state = !configured ? mark(w.off) : down.length === 0 ? mark(w.works, "good") : carrier === "web_push" ? mark(w.partly, "waiting") : mark(w.down, "ringing");
  return h("section", { class: "card" },
    h("header", {}, h("h2", {}, w.names[carrier]), state),
    configured
      ? facts([[w.urgent, lane(urgent)], [w.ordinary, lane(ordinary)], [w.token, age === undefined ? null : length(age)]])
      : h("p", { class: "quiet" }, w.offWhat),
    down.map(({ route, since, why }) => h("div", { class: "said bad" }, h("strong", {}, visible(route)), h("p", {}, visible(why)), h("p", { class: "small" }, w.since(past(since))))));
}
