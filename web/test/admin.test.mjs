// What the screens for administrators work out by themselves: days of a zone, and values as people write them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { listed } from "../screens/admin/forms.js";
import { literal, spelt } from "../screens/admin/policies.js";
import { param } from "../screens/admin/tester.js";
import { days, midnight, within } from "../screens/admin/week.js";
import { length } from "../lib/words/admin.js";

const HOUR = 3_600_000;

test("a day begins at midnight of its zone, also when the clocks change", () => {
  assert.equal(new Date(midnight(2026, 0, 5, "Europe/Paris")).toISOString(), "2026-01-04T23:00:00.000Z");
  assert.equal(new Date(midnight(2026, 6, 5, "Europe/Paris")).toISOString(), "2026-07-04T22:00:00.000Z");
  assert.equal(new Date(midnight(2026, 2, 29, "Europe/Paris")).toISOString(), "2026-03-28T23:00:00.000Z");
  assert.equal(new Date(midnight(2026, 2, 30, "Europe/Paris")).toISOString(), "2026-03-29T22:00:00.000Z");
  assert.equal(new Date(midnight(2026, 0, 5, "Asia/Kolkata")).toISOString(), "2026-01-04T18:30:00.000Z");
  assert.equal(new Date(midnight(2026, 0, 5, "America/Los_Angeles")).toISOString(), "2026-01-05T08:00:00.000Z");
});

test("a week is seven days from Monday on, two of which may be shorter or longer", () => {
  const spring = days(Date.parse("2026-03-27T12:00:00Z"), "Europe/Paris");
  assert.deepEqual(spring.map(({ from, until }) => (until - from) / HOUR), [24, 24, 24, 24, 24, 24, 23]);
  assert.equal(new Date(spring[0].from).toISOString(), "2026-03-22T23:00:00.000Z");
  const autumn = days(Date.parse("2026-10-25T22:59:00Z"), "Europe/Paris");
  assert.deepEqual(autumn.map(({ from, until }) => (until - from) / HOUR), [24, 24, 24, 24, 24, 24, 25]);
  const next = days(Date.parse("2026-03-27T12:00:00Z"), "Europe/Paris", 1);
  assert.equal(next[0].from, spring[6].until);
  // Late on a Sunday in one zone it is Monday in another.
  assert.notEqual(days(Date.parse("2026-01-04T20:00:00Z"), "Asia/Kolkata")[0].from, days(Date.parse("2026-01-04T20:00:00Z"), "UTC")[0].from);
});

test("a shift is cut at the ends of the day", () => {
  const [monday] = days(Date.parse("2026-01-05T12:00:00Z"), "UTC");
  const shifts = [{ from: "2026-01-04T18:00:00Z", until: "2026-01-05T06:00:00Z" }, { from: "2026-01-05T06:00:00Z", until: "2026-01-07T06:00:00Z" }, { from: "2026-01-07T06:00:00Z", until: "2026-01-08T06:00:00Z" }];
  assert.deepEqual(within(shifts, monday).map(({ from, until }) => (until - from) / HOUR), [6, 18]);
});

test("values are what they are written as, and are written as what they are", () => {
  for (const [text, value] of [["api/*", "api/*"], ["3", 3], ["-12", -12], ["true", true], ["false", false], ['"3"', "3"], ['"true"', "true"], ['"a, b"', "a, b"], ["12345678901234567890", "12345678901234567890"]]) {
    assert.deepEqual(literal(text), value);
    assert.equal(spelt(value), text);
    assert.deepEqual(literal(spelt(value)), value);
  }
  for (const value of ['say "no"', " ends ", "two\nlines", '"', "1.5"]) assert.deepEqual(literal(spelt(value)), value);
  assert.deepEqual(listed('api/*, "a, b" , 3,,\n true'), ["api/*", '"a, b"', "3", "true"]);
});

test("a parameter of an action is JSON where it looks like it, and a text otherwise", () => {
  assert.deepEqual(["3", "true", '["a", 1]', '{"a": 1}', '"3"'].map(param), [3, true, ["a", 1], { a: 1 }, "3"]);
  assert.deepEqual(["api/new", "1.5", "[broken", "{a}", "null"].map(param), ["api/new", "1.5", "[broken", "{a}", "null"]);
});

test("lengths are said in the unit that says them", () => {
  assert.deepEqual([0, 40, 60, 90, 300, 3600, 5400, 86_400, 90_000, 604_800].map(length), ["0 s", "40 s", "1 min", "90 s", "5 min", "1 hour", "90 min", "1 day", "25 hours", "7 days"]);
});
