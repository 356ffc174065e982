// What waits for the person: fetched whole, kept, and counted on the app's icon. By the pages, and by the worker when something was pushed.

import { byServer } from "./clock.js";
import { keep } from "./db.js";
import { badge } from "./push.js";
import { call } from "./session.js";

/**
 * @typedef {object} Waiting
 * @property {import("./api.js").Approval[]} approvals
 * @property {import("./api.js").Incident[]} incidents
 * @property {import("./api.js").Act[]} acts
 * @property {import("./api.js").Device[]} devices those that wait to be confirmed
 * @property {string} at when it was so
 */

/** @returns {Promise<Waiting>} */
export async function fetchWaiting() {
  const [approvals, incidents, acts, devices] = await Promise.all([
    call("GET", "/v1/approvals?for=me"),
    call("GET", "/v1/incidents?mine=true&limit=50"),
    call("GET", "/v1/acts"),
    call("GET", "/v1/devices"),
  ]);
  const waiting = {
    approvals: approvals.approvals,
    incidents: incidents.incidents,
    acts: acts.acts,
    devices: devices.devices.filter((/** @type {import("./api.js").Device} */ device) => device.state === "waiting"),
    at: byServer(),
  };
  await keep("waiting", waiting);
  await badge(count(waiting));
  return waiting;
}

/** How many things wait for an answer. @param {Waiting | null} waiting */
export function count(waiting) {
  if (!waiting) return 0;
  const { approvals, incidents, acts, devices } = waiting;
  return approvals.length + incidents.filter(({ state }) => state === "triggered").length + acts.length + devices.length;
}

/**
 * Everything that waits, most urgent first: what rings, what nobody approved and opens by itself, a device that somebody holds in their
 * hand, requests by the time that is left for them, changes, what can wait, and what somebody has already.
 * @param {Waiting} waiting
 * @returns {({ kind: "incident", one: import("./api.js").Incident } | { kind: "approval", one: import("./api.js").Approval } |
 *   { kind: "act", one: import("./api.js").Act } | { kind: "device", one: import("./api.js").Device })[]}
 */
export function ordered({ approvals, incidents, acts, devices }) {
  const open = incidents.filter(({ state }) => state !== "resolved").map((one) => /** @type {const} */ ({ kind: "incident", one }));
  const rings = open.filter(({ one }) => one.state === "triggered");
  const asked = approvals.map((one) => /** @type {const} */ ({ kind: "approval", one }));
  const byTime = asked.toSorted((a, b) => Date.parse(a.one.answer_by) - Date.parse(b.one.answer_by));
  return [
    ...rings.filter(({ one }) => one.urgency === "high"),
    ...byTime.filter(({ one }) => one.break_glass),
    ...devices.map((one) => /** @type {const} */ ({ kind: "device", one })),
    ...byTime.filter(({ one }) => !one.break_glass),
    ...acts.map((one) => /** @type {const} */ ({ kind: "act", one })),
    ...rings.filter(({ one }) => one.urgency === "low"),
    ...open.filter(({ one }) => one.state === "acknowledged"),
  ];
}
