// What would be done, as the signed display says it: read off for the eye, with nothing left out.

/** @typedef {import("./api.js").Display} Display */
/** @typedef {{ label: string, value: string }} Row */

/** Where it happens, whatever a bot calls that. */
const PLACE = /^(env|environment|stage|cluster|region)$/i;

/** What exactly: names that are compared letter by letter. */
const EXACT = /^(ref|sha|sha256|commit|revision|digest|version|branch|image|from_sha|to_sha|head)$/i;

/**
 * @param {Display} display
 * @returns {{ verb: string, target: string, place: Row | undefined, rows: (Row & { exact: boolean })[] }} `place` is not in `rows`
 */
export function deed({ title, rows: [action, target, ...rest] }) {
  const place = rest.find(({ label }) => PLACE.test(label));
  const rows = rest.filter((row) => row !== place).map((row) => ({ ...row, exact: EXACT.test(row.label) }));
  return { verb: action?.value ?? title, target: target?.value ?? "", place, rows };
}

/**
 * In what one request differs from another.
 * @param {Display} one @param {Display} other
 * @returns {{ label: string, was: string | undefined, is: string | undefined }[]} what the other says, and what this one does; undefined: it does not say
 */
export function differences(one, other) {
  const [is, was] = [one, other].map(({ rows }) => new Map(rows.map(({ label, value }) => /** @type {const} */ ([label, value]))));
  const labels = [...new Set([...(was?.keys() ?? []), ...(is?.keys() ?? [])])];
  const changed = labels.filter((label) => was?.get(label) !== is?.get(label)).map((label) => ({ label, was: was?.get(label), is: is?.get(label) }));
  return one.reason === other.reason ? changed : [...changed, { label: "reason", was: other.reason, is: one.reason }];
}

/**
 * How far each group is that was asked.
 * @param {Pick<import("./api.js").Approval, "quorums" | "approvals">} approval
 * @returns {{ needed: number, have: number, people: { who: import("./api.js").Person, at: string | undefined }[] }[]}
 */
export const progress = ({ quorums, approvals }) =>
  quorums.map(({ needed, approvers }) => {
    const people = approvers.map((who) => ({ who, at: approvals.find(({ by }) => by.id === who.id)?.at }));
    // Whoever has answered stands first.
    people.sort((a, b) => Number(b.at !== undefined) - Number(a.at !== undefined));
    return { needed, have: people.filter(({ at }) => at !== undefined).length, people };
  });

/**
 * What this person may do with a request that waits.
 * @param {import("./api.js").Approval} one @param {string} me
 * @returns {{ approve: boolean, refuse: boolean, approved: boolean }}
 */
export function may(one, me) {
  const approved = one.approvals.some(({ by }) => by.id === me);
  const asked = one.approvers.some(({ id }) => id === me);
  const own = one.requester.id === me;
  const counts = asked || (own && (one.requester_approves || one.quorums.length === 0));
  return { approve: counts && !approved && !one.holds_until && !one.break_glass, refuse: counts || approved || asked || own, approved };
}
