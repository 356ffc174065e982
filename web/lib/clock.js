// The time as the server has it: a phone whose clock is wrong still shows how much time is left, and signs in.

/** Milliseconds that the server's clock is ahead of this device's. */
let ahead = 0;

/** What a network delay, and a header that knows whole seconds, may make of a clock that is right. */
const CLOSE = 2500;

/** Milliseconds since 1970. */
export const now = () => Date.now() + ahead;

/** Takes the time from a reply's `Date`, unless it is as near as that can tell. @param {Response} response */
export function setClock(response) {
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (!Number.isNaN(date) && Math.abs(date - now()) > CLOSE) ahead = date - Date.now();
}
