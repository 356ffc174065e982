// How a person wants to be paged (device protocol, section 4): in plain words, and to and from the fields of a form.

/** @typedef {"push" | "loud" | "email"} Way */
/** @typedef {{ ways: { after_minutes: number, way: Way }[], repeat_minutes: number, once: boolean }} Urge */
/** @typedef {{ teams?: string[], services?: string[], urgency?: "high" | "low", labels?: Record<string, string> }} Only */
/** @typedef {{ high: Urge, low: Urge, quiet_hours?: { zone: string, hours: string[] }, only?: Only[] }} Rules */

/** Hours of the week as most people mean them. @typedef {{ days: string, from: string, until: string }} Hours */

/** @param {string} written @returns {Hours | null} null for what only a text can say, like `sat 00:00 - mon 07:00` */
export function readHours(written) {
  const [, days, from, until] = /^([a-z]{3}(?:-[a-z]{3})?) (\d\d:\d\d)-(\d\d:\d\d)$/.exec(written) ?? [];
  // The end of the day is no time that a field of a form knows.
  return days && from && until && until !== "24:00" ? { days, from, until } : null;
}

/** @param {Hours} hours */
export const writeHours = ({ days, from, until }) => `${days} ${from}-${until}`;

/** What was typed between commas. @param {string} typed */
export const listed = (typed) => typed.split(",").map((one) => one.trim()).filter((one) => one !== "");

/** `env=production, region=eu`. @param {string} typed @returns {Record<string, string>} */
export function readLabels(typed) {
  return Object.fromEntries(listed(typed).map((one) => {
    const at = one.indexOf("=");
    return at < 0 ? [one, ""] : [one.slice(0, at).trim(), one.slice(at + 1).trim()];
  }));
}

/** @param {Record<string, string>} labels */
export const writeLabels = (labels) => Object.entries(labels).map(([name, value]) => `${name}=${value}`).join(", ");

/**
 * In plain words, one line for each thing.
 * @param {Rules} rules
 * @param {typeof import("./words.js").t.rules.words} words
 * @returns {string[]}
 */
export function inWords({ high, low, quiet_hours: quiet, only = [] }, words) {
  const urge = (/** @type {string} */ name, /** @type {Urge} */ { ways, repeat_minutes: every, once }) => {
    const steps = ways.toSorted((a, b) => a.after_minutes - b.after_minutes).map(({ after_minutes: after, way }) => words.way(words.ways[way], after));
    return words.urge(name, steps, once ? words.once : every > 0 ? words.every(every) : words.always);
  };
  const fits = (/** @type {Only} */ one) =>
    [
      one.services?.length ? words.services(one.services) : "",
      one.teams?.length ? words.teams(one.teams) : "",
      one.urgency ? words.urgency[one.urgency] : "",
      one.labels && Object.keys(one.labels).length > 0 ? words.labels(writeLabels(one.labels)) : "",
    ].filter((part) => part !== "").join(", ");
  return [
    urge(words.urgency.high, high),
    urge(words.urgency.low, low),
    ...(quiet ? [words.quiet(quiet.hours, quiet.zone)] : []),
    ...(only.length > 0 ? [words.only(only.map(fits))] : []),
  ];
}
