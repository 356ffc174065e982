// The time as the server has it: a phone whose clock is wrong still shows how much time is left, and signs in.

/** Milliseconds that the server's clock is ahead of this device's. */
let ahead = 0;

/** What a network delay, and a header that knows whole seconds, may make of a clock that is right. */
const CLOSE = 2500;

/** Milliseconds since 1970. */
export const now = () => Date.now() + ahead;

/** What this device's clock called `local`, as the server would, in RFC 3339. @param {number} [local] milliseconds since 1970; now */
export const byServer = (local = Date.now()) => new Date(local + ahead).toISOString();

/** Begins with what was known of the clock before. @param {unknown} before milliseconds that the server's is ahead */
export function startClock(before) {
  if (typeof before === "number") ahead = before;
}

/**
 * Takes the time from a reply's `Date`, unless it is as near as that can tell.
 * @param {Response} response @returns {number | undefined} how far ahead the server's clock is, where that is news
 */
export function setClock(response) {
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (Number.isNaN(date) || Math.abs(date - now()) <= CLOSE) return undefined;
  return (ahead = date - Date.now());
}
