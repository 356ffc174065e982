// Who is on call now, and who is next.

import { h } from "../lib/dom.js";
import { call } from "../lib/session.js";
import { t, when } from "../lib/words.js";
import { empty, mark } from "../parts/bits.js";

/** @returns {Promise<import("../app.js").Screen>} */
export async function onCall() {
  const { on_call: schedules } = await call("GET", "/v1/on-call");
  return { title: t.oncall.title, tab: "oncall", body: schedules.length > 0 ? schedules.map(one) : [empty(t.oncall.empty)] };
}

/** @param {{ schedule: string, now: { user?: import("../lib/api.js").Person, until?: string }, next?: { user?: import("../lib/api.js").Person, from: string } }} schedule */
const one = ({ schedule, now, next }) =>
  h("section", { class: "card" },
    h("header", {}, h("h2", {}, schedule), now.user ? mark(t.oncall.now, "good") : mark(t.oncall.gap, "ringing")),
    h("p", {}, now.user?.name ?? t.oncall.gap, now.until ? h("span", { class: "quiet" }, ` – ${when(now.until)}`) : null),
    next ? h("p", { class: "small quiet" }, `${t.oncall.next}: ${next.user?.name ?? t.oncall.gap}, ${when(next.from)}`) : null);
