// A week of a schedule, day by day, by the wall clock of its own zone.

import { h } from "../../lib/dom.js";
import { visible } from "../../lib/visible.js";
import { a } from "../../lib/words/admin.js";
import { mark } from "../../parts/bits.js";

/** @typedef {import("../../lib/api.js").Person} Person */
/** @typedef {{ from: string, until: string, who?: Person, layer?: string, override?: string, made_by?: string, instead_of?: Person }} Shift */
/** @typedef {{ from: number, until: number }} Day milliseconds */

const w = a.schedules;

/** How many shades there are to tell people apart by; their names stand beside. */
const SHADES = 4;

/** What the wall clock of a zone shows. @param {number} at milliseconds @param {string} zone */
function wall(at, zone) {
  const format = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" });
  const part = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  return { year: part["year"] ?? 0, month: part["month"] ?? 1, day: part["day"] ?? 1, shown: Date.UTC(part["year"] ?? 0, (part["month"] ?? 1) - 1, part["day"] ?? 1, part["hour"], part["minute"], part["second"]) };
}

/** When a day begins in a zone. @param {number} year @param {number} month from 0 @param {number} day may lie beyond the month @param {string} zone */
export function midnight(year, month, day, zone) {
  const meant = Date.UTC(year, month, day);
  const ahead = (/** @type {number} */ at) => wall(at, zone).shown - Math.floor(at / 1000) * 1000;
  // Once more, for the clocks may change between the guess and the answer.
  const guess = meant - ahead(meant);
  return meant - ahead(guess);
}

/** The days of the week in which `at` is, Monday first. @param {number} at milliseconds @param {string} zone @param {number} [weeks] later @returns {Day[]} */
export function days(at, zone, weeks = 0) {
  const { year, month, day } = wall(at, zone);
  const monday = day - ((new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 6) % 7) + 7 * weeks;
  const begin = (/** @type {number} */ n) => midnight(year, month - 1, monday + n, zone);
  return Array.from({ length: 7 }, (_, n) => ({ from: begin(n), until: begin(n + 1) }));
}

/** Shifts as they fall into a day. @param {Shift[]} shifts @param {Day} day */
export const within = (shifts, day) =>
  shifts
    .map((shift) => ({ shift, from: Math.max(Date.parse(shift.from), day.from), until: Math.min(Date.parse(shift.until), day.until) }))
    .filter(({ from, until }) => from < until);

/** @param {Day[]} week @param {Shift[]} shifts @param {string} zone */
export function week(week, shifts, zone) {
  const people = [...new Set(shifts.flatMap(({ who }) => (who ? [who.id] : [])))];
  const shade = (/** @type {Shift} */ { who, override }) => (!who ? "gap" : `shade-${people.indexOf(who.id) % SHADES}${override ? " override" : ""}`);
  const clock = new Intl.DateTimeFormat(undefined, { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const name = new Intl.DateTimeFormat(undefined, { timeZone: zone, weekday: "long", day: "numeric", month: "short" });
  const now = Date.now();
  const one = (/** @type {Day} */ day) => {
    const parts = within(shifts, day);
    const track = h("div", { class: "track", "aria-hidden": "true" }, parts.map(({ shift, from, until }) => {
      const bar = h("span", { class: shade(shift) });
      bar.style.inlineSize = `${(100 * (until - from)) / (day.until - day.from)}%`;
      return bar;
    }));
    const said = parts.map(({ shift, from, until }) => {
      const whole = from === day.from && until === day.until;
      const hours = whole ? w.allDay : `${clock.format(from)}–${until === day.until ? "24:00" : clock.format(until)}`;
      return h("li", {}, h("span", { class: "hours" }, hours), h("span", { class: `swatch ${shade(shift)}`, "aria-hidden": "true" }),
        h("span", {}, shift.who ? h("strong", {}, visible(shift.who.name)) : mark(w.gap, "ringing"), " ",
          shift.override ? mark(shift.made_by ? w.overrideBy(visible(shift.made_by)) : w.override, "waiting") : null,
          shift.instead_of ? h("span", { class: "small quiet" }, ` ${w.insteadOf(visible(shift.instead_of.name))}`) : null));
    });
    const today = now >= day.from && now < day.until;
    return h("li", { class: today ? "day today" : "day", "aria-current": today ? "date" : null }, h("h3", {}, name.format(day.from)), h("div", {}, track, h("ul", {}, said)));
  };
  return h("ol", { class: "week" }, week.map(one));
}
