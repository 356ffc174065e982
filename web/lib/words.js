// Every word that the app says, in one place. Another language is another object of the same shape.

import { now as clock_ } from "./clock.js";
import { act, approval } from "./words/approvals.js";
import { enrol } from "./words/enrol.js";
import { me, rules } from "./words/me.js";
import { incident, incidents, oncall } from "./words/paging.js";

export const t = {
  app: "PhoneOps",
  skip: "Skip to what matters",
  tabs: { inbox: "Inbox", oncall: "On call", me: "Me", admin: "Admin" },
  back: "Back",
  busy: "One moment…",
  again: "Try again",
  cancel: "Cancel",
  copy: "Copy",
  copied: "Copied",
  optional: "optional",
  offline: (/** @type {string} */ since) => `Offline. This is what was known ${since}; nothing can be answered until you are back.`,
  offlineNothing: "Offline. Nothing is known yet.",
  notSent: "Not sent: you are offline.",
  neverSeen: "You are offline, and this was not opened here before.",
  openFailed: "This cannot be shown.",
  ended: "This device is not enrolled any more. Enrol it again with a new code.",
  nothingHere: "There is nothing here.",

  /** What the server refuses, where its own words are not for people. */
  codes: {
    passkey_unknown: "You have no passkey that works. Make one on this device, and try again.",
    match_wrong: "This is not the number that the new device shows. Nothing was confirmed. Read it there again, and type its six digits. If they are right, another device waits here: choose Not mine.",
    unreadable: "The server answered something that cannot be read. Try again.",
  },

  inbox: {
    title: "Inbox",
    empty: "Nothing waits for you.",
    emptyMore: "Pages and requests for approval appear here.",
    approve: "Asks for your approval",
    acts: "Waits for your confirmation",
    device: "A new device of yours waits",
    from: (/** @type {string} */ who, /** @type {string} */ bot) => `${who} via ${bot}`,
    rings: (/** @type {number} */ count) => (count <= 1 ? "Ringing" : `Ringing, ${count} times`),
    held: (/** @type {string} */ who) => `${who} has it`,
    snoozed: "Snoozed",
    resolved: "Resolved",
    low: "Can wait",
    alike: "like another that waits",
    others: "All pages",
    takeAll: (/** @type {number} */ count) => `Acknowledge all ${count}`,
    notAll: (/** @type {number} */ count, /** @type {number} */ all, /** @type {string} */ why) => `${count} of ${all} were not acknowledged: ${why}`,
    pushOff: "This phone does not ring. Turn notifications on.",
    pushDenied: "This phone does not ring: notifications are refused for this site.",
    pushNone: "This browser cannot be rung. What waits is shown here while it is open.",
    unproven: "Nothing has arrived on this phone yet. Send a test page, to be sure.",
    turnOn: "Turn on",
    howTo: "What to do",
  },

  incidents,
  approval,
  incident,
  enrol,
  me,
  rules,
  act,
  oncall,
};

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** "3 minutes ago", "in 2 hours". @param {string} at RFC 3339 @param {number} [now] milliseconds */
export function ago(at, now = clock_()) {
  const seconds = Math.round((Date.parse(at) - now) / 1000);
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return relative.format(Math.trunc(seconds / length), unit);
}

/** As {@link ago}, of what is over: never ahead, whatever the clocks are. @param {string} at RFC 3339 @param {number} [now] milliseconds */
export const past = (at, now = clock_()) => ago(at, Math.max(now, Date.parse(at)));

/** How near a time is that its day of the week names, milliseconds. */
const NEAR = 6 * 86_400_000;

/** "09:41" today, "Tue 09:41" in these days, with its date otherwise. @param {string} at RFC 3339 */
export function when(at) {
  const time = new Date(at);
  const today = new Date(clock_());
  if (time.toDateString() === today.toDateString()) return clock.format(time);
  return (Math.abs(time.getTime() - today.getTime()) < NEAR ? weekday : day).format(time);
}

/** "4:59". @param {number} seconds */
export const countdown = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.max(0, Math.floor(seconds)) % 60).padStart(2, "0")}`;
