// What a screen shows when there is no network: what it showed last, marked as such.

import { byServer } from "./clock.js";
import { keep, kept } from "./db.js";
import { Unreachable, call } from "./session.js";

/** How many answers are kept. The oldest go. */
const MOST = 60;

/** @typedef {{ value: any, at: string }} Seen */

/** @type {Promise<unknown>} one change of what is kept after the other */
let writing = Promise.resolve();

/**
 * Fetches, or gives what was fetched last.
 * @param {string} path
 * @returns {Promise<{ value: any, since?: string }>} `since`: it is what was known then; absent when it is so now
 * @throws {Unreachable} when nothing was kept either
 */
export async function look(path) {
  try {
    const value = await call("GET", path);
    // What cannot be kept is shown all the same.
    writing = writing.then(() => note(path, value)).catch((failure) => console.warn(failure));
    return { value };
  } catch (failure) {
    const before = failure instanceof Unreachable ? /** @type {Map<string, Seen> | undefined} */ (await kept("seen"))?.get(path) : undefined;
    if (!before) throw failure;
    return { value: before.value, since: before.at };
  }
}

/** Several at once: since when the oldest of them is known. @param {string[]} paths @returns {Promise<{ values: any[], since?: string }>} */
export async function lookAll(...paths) {
  const all = await Promise.all(paths.map(look));
  const since = all.map((one) => one.since).filter((at) => at !== undefined).sort()[0];
  return { values: all.map(({ value }) => value), ...(since && { since }) };
}

/** @param {string} path @param {unknown} value */
async function note(path, value) {
  /** @type {Map<string, Seen>} */
  const seen = (await kept("seen")) ?? new Map();
  await keep("seen", added(seen, path, { value, at: byServer() }));
}

/** With one more, as the newest. @template T @param {Map<string, T>} seen @param {string} path @param {T} value @returns {Map<string, T>} */
export function added(seen, path, value) {
  const rest = [...seen].filter(([other]) => other !== path);
  return new Map([...rest, /** @type {[string, T]} */ ([path, value])].slice(-MOST));
}
