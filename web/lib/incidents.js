// What is read off an incident's timeline and deliveries.

import { random } from "./bytes.js";

/** @typedef {import("./api.js").Line} Line */
/** @typedef {import("./api.js").Incident} Incident */
/** @typedef {import("./api.js").Delivery} Delivery */

/** What a bot does in a person's name that the person may disown. */
const ACTS = /^incident\.(acknowledged|resolved|escalated|reassigned|responder_added|snoozed|woken|noted|merged|urgency_changed|reopened)$/;

/**
 * The last thing that a bot did in somebody's name, unless they have said since that it was not them.
 * @param {Line[]} lines the oldest first @param {string} user
 */
export function undoable(lines, user) {
  const of = (/** @type {Line} */ line) => line.actor.user === user;
  const last = lines.findLast((line) => of(line) && (line.kind === "incident.disowned" || (line.actor.kind === "bot" && ACTS.test(line.kind))));
  return last && last.kind !== "incident.disowned" ? last : undefined;
}

/** From the least to the most that is known of a push. */
const FAR = /** @type {const} */ (["waiting", "withdrawn", "failed", "accepted", "received", "displayed", "opened"]);

/**
 * How far the pushes to somebody came, at the farthest: of those of the last round.
 * @param {Delivery[]} deliveries the newest first @param {string} user
 * @returns {{ state: Delivery["state"], at: string, device?: { name: string } } | undefined}
 */
export function farthest(deliveries, user) {
  const theirs = deliveries.filter(({ to }) => to.id === user);
  const round = Math.max(...theirs.map((one) => one.round));
  const [best] = theirs.filter((one) => one.round === round).toSorted((a, b) => FAR.indexOf(b.state) - FAR.indexOf(a.state));
  if (!best) return undefined;
  const at = best.opened_at ?? best.displayed_at ?? best.received_at ?? best.finished_at ?? best.created_at;
  return { state: best.state, at, ...(best.device && { device: best.device }) };
}

/**
 * Acknowledges each of them. What is refused keeps nothing from the others: it was resolved meanwhile, or is somebody else's.
 * One key for each: it is asked again once when the reply is lost.
 * @param {string[]} refs @param {(method: string, path: string, body: unknown, more: { once: string }) => Promise<unknown>} call
 * @returns {Promise<{ ref: string, failure: unknown }[]>} those that were not taken, and why
 */
export async function takeEach(refs, call) {
  const refused = [];
  for (const ref of refs) {
    const once = random(16);
    const say = () => call("POST", `/v1/incidents/${ref}/acknowledge`, {}, { once });
    try {
      await say().catch((failure) => (failure.name === "Unreachable" ? say() : Promise.reject(failure)));
    } catch (failure) {
      refused.push({ ref, failure });
    }
  }
  return refused;
}

/** What of an identifier ascends: milliseconds by the server's clock, and a count (UUID version 7, RFC 9562). @param {string} id */
const order = (id) => id.slice(id.indexOf("_") + 1).slice(0, 16);

/**
 * Of what rings now that which a push told of: what was there when it was written. Where two servers' clocks differ it is rather too little:
 * that rings again.
 * @param {Incident[]} incidents @param {string | undefined} notification the identifier of what was pushed
 */
export const toldBy = (incidents, notification) => incidents.filter(({ id }) => notification !== undefined && order(id) <= order(notification));
