// Who is on call now, and who is next.

import { h } from "../lib/dom.js";
import { call } from "../lib/session.js";
import { t, when } from "../lib/words.js";
import { empty, mark } from "../parts/bits.js";

/** @returns {Promise<import("../app.js").Screen>} */
export async function onCall() {
  const { schedules } = await call("GET", "/v1/on-call");
  return { title: t.oncall.title, tab: "oncall", body: schedules.length > 0 ? schedules.map(one) : [empty(t.oncall.empty)] };
}

/**
 * @typedef {import("../lib/api.js").Person} Person
 * @param {{ schedule: string, team?: string, now?: { who: Person, until?: string }, next?: { who: Person, from: string }, gaps: { from: string }[] }} schedule
 */
const one = ({ schedule, team, now, next, gaps }) =>
  h("section", { class: "card" },
    h("header", {}, h("h2", {}, schedule), now ? mark(t.oncall.now, "good") : mark(t.oncall.gap, "ringing")),
    h("p", {}, now?.who.name ?? t.oncall.gap, now?.until ? h("span", { class: "quiet" }, ` – ${when(now.until)}`) : null),
    next ? h("p", { class: "small quiet" }, `${t.oncall.next}: ${next.who.name}, ${when(next.from)}`) : null,
    gaps[0] && now ? h("p", { class: "small" }, t.oncall.gapFrom(when(gaps[0].from))) : null,
    team ? h("p", { class: "small quiet" }, team) : null);
