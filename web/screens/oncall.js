// Who has the pager now and next, when I have it, and taking it or giving it away.

import { now as clock } from "../lib/clock.js";
import { fill, h } from "../lib/dom.js";
import { look, lookAll } from "../lib/seen.js";
import { call } from "../lib/session.js";
import { inTurn } from "../lib/turns.js";
import { t, when } from "../lib/words.js";
import { visible } from "../lib/visible.js";
import { busy, button, copyable, empty, field, form, mark } from "../parts/bits.js";

/** @typedef {import("../lib/api.js").Person} Person */
/** @typedef {import("../lib/api.js").OnCall} OnCall */
/** @typedef {{ schedule: string, from: string, until: string, override?: string, made_by?: string }} Shift */

/** For how long one takes the pager, minutes. */
const TAKES = [30, 60, 120, 240, 480];

/** @param {import("../app.js").Context} context @returns {Promise<import("../app.js").Screen>} */
export async function onCall({ me }) {
  const [mine, all, feeds] = [h("div", { class: "list" }), h("div", { class: "list" }), h("div", { class: "list" })];
  /** @type {string | undefined} */
  let since;
  let drawn = "";
  /** What is drawn whatever is open in it, because that was what was asked for. @type {Set<Element>} */
  let asked = new Set([all, feeds]);
  const looked = inTurn(async () => {
    const mine_ = asked;
    asked = new Set();
    const seen = await lookAll("/v1/on-call", "/v1/me/shifts", "/v1/me", "/v1/calendar-feeds");
    const now = JSON.stringify(seen);
    if (mine_.size === 0 && now === drawn) return;
    drawn = now;
    since = seen.since;
    const { values } = seen;
    /** @type {[{ schedules: OnCall[] }, { shifts: Shift[] }, { teams: string[] }, { calendars: { id: string, schedule?: string }[] }]} */
    const [{ schedules }, { shifts }, { teams }, { calendars }] = /** @type {any} */ (values);
    const concerns = (/** @type {OnCall} */ { schedule, team, now, next }) =>
      (team !== undefined && teams.includes(team)) || now?.who.id === me.user.id || next?.who.id === me.user.id || shifts.some((shift) => shift.schedule === schedule);
    const [ours, others] = [schedules.filter(concerns), schedules.filter((one) => !concerns(one))];
    const again = () => anew(all);
    fill(mine, shifts.length > 0 ? myShifts(shifts) : null);
    if (mine_.has(all) || !busy(all)) fill(all,
      schedules.length === 0 ? empty(t.oncall.empty, t.oncall.emptyMore) : null,
      ours.map((one) => schedule(one, me.user.id, again)),
      others.length === 0 ? null
        : ours.length === 0 ? others.map((one) => schedule(one, me.user.id, again))
        : h("details", {}, h("summary", {}, t.oncall.others(others.length)), h("div", { class: "list" }, others.map((one) => schedule(one, me.user.id, again)))));
    if (!mine_.has(feeds) && busy(feeds)) return;
    fill(feeds, schedules.length > 0 || calendars.length > 0 ? calendar(calendars, schedules.map((one) => one.schedule), () => anew(feeds)) : null);
  });
  const anew = (/** @type {Element} */ part) => {
    asked.add(part);
    void looked();
  };
  await looked();
  return {
    title: t.oncall.title, tab: "oncall", since, body: [all, mine, feeds],
    happened: (event) => (/^(schedule|override|on_call)\b/.test(event.kind) ? looked() : undefined),
    again: looked,
  };
}

/** @param {Shift[]} shifts */
function myShifts(shifts) {
  const row = (/** @type {Shift} */ { schedule, from, until, made_by: by }) => {
    const now = Date.parse(from) <= clock();
    return h("li", {}, h("div", { class: "row" },
      h("div", { class: "grow" }, h("strong", {}, schedule), h("p", { class: "small quiet" }, now ? t.oncall.until(when(until)) : t.oncall.span(when(from), when(until)), by ? ` · ${t.oncall.madeBy(visible(by))}` : null)),
      now ? mark(t.oncall.now, "good") : null));
  };
  return h("section", { class: "list" }, h("h2", {}, t.oncall.mine), h("ul", { class: "rows" }, shifts.slice(0, 3).map(row)),
    shifts.length > 3 ? h("details", {}, h("summary", {}, t.oncall.moreShifts(shifts.length - 3)), h("ul", { class: "rows" }, shifts.slice(3).map(row))) : null);
}

/** @param {OnCall} one @param {string} me @param {() => void} again */
function schedule({ schedule: name, team, zone, now, next, gaps }, me, again) {
  const path = `/v1/schedules/${encodeURIComponent(name)}`;
  const box = h("div", { class: "list" });
  const closed = () => fill(box, h("div", { class: "choices" },
    now?.who.id === me ? null : h("button", { type: "button", onclick: () => void fill(box, taking(path, again, closed)) }, t.oncall.take),
    h("button", { type: "button", onclick: () => void fill(box, giving(path, zone, again, closed)) }, t.oncall.give),
    button(t.oncall.changes, async () => fill(box, changes(path, (await look(path)).value.overrides, again, closed)))));
  closed();
  return h("section", { class: "card" },
    h("header", {}, h("h2", {}, name), now ? mark(now.who.id === me ? t.oncall.you : t.oncall.now, "good") : mark(t.oncall.gap, "ringing")),
    h("p", { class: "lead" }, now ? h("strong", {}, now.who.name) : t.oncall.gapNow, now?.until ? h("span", { class: "quiet" }, ` ${t.oncall.until(when(now.until))}`) : null),
    now?.made_by ? h("p", { class: "small quiet" }, t.oncall.madeBy(visible(now.made_by))) : null,
    next ? h("p", {}, `${t.oncall.next}: `, h("strong", {}, next.who.name), h("span", { class: "quiet" }, ` ${t.oncall.from(when(next.from))}`)) : null,
    gaps[0] && now ? h("p", { class: "said bad" }, t.oncall.gapFrom(when(gaps[0].from), when(gaps[0].until))) : null,
    h("p", { class: "small quiet" }, [team, zone].filter(Boolean).join(" · ")),
    box);
}

/** @param {string} path @param {() => void} again @param {() => void} back */
function taking(path, again, back) {
  const takes = (/** @type {number} */ minutes) => button(t.incident.minutes(minutes), async () => {
    await call("POST", `${path}/overrides`, { for: `${minutes}m` });
    again();
  });
  const minutes = h("input", { type: "number", name: "minutes", min: "5", max: "10080", required: true, inputmode: "numeric" });
  const other = form([field(t.oncall.minutes, minutes)], t.oncall.take, async () => {
    await call("POST", `${path}/overrides`, { for: `${Number(minutes.value)}m` });
    again();
  }, { others: [h("button", { type: "button", onclick: back }, t.cancel)] });
  return h("div", { class: "list asking" }, h("h3", {}, t.oncall.takeFor), h("div", { class: "choices small-choices" }, TAKES.map(takes)), other);
}

/** @param {string} path @param {string} zone @param {() => void} again @param {() => void} back */
function giving(path, zone, again, back) {
  const text = (/** @type {string} */ name, required = false) => h("input", { name, placeholder: "@ys", autocapitalize: "none", autocomplete: "off", required });
  const time = (/** @type {string} */ name, required = false) => h("input", { type: "datetime-local", name, required });
  const [user, instead, from, until] = [text("user"), text("instead_of"), time("from"), time("until", true)];
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return form([
    field(t.oncall.who, user, t.oncall.whoHint), field(t.oncall.fromWhen, from, t.oncall.fromHint), field(t.oncall.untilWhen, until, here === zone ? undefined : t.oncall.yourClock(here, zone)),
    field(t.oncall.insteadOf, instead, t.oncall.insteadHint),
  ], t.oncall.give, async () => {
    const [who, place] = [user.value.trim(), instead.value.trim()];
    await call("POST", `${path}/overrides`, {
      until: new Date(until.value).toISOString(), ...(from.value && { from: new Date(from.value).toISOString() }), ...(who && { user: who }), ...(place && { instead_of: place }),
    });
    again();
  }, { class: "asking", others: [h("button", { type: "button", onclick: back }, t.cancel)] });
}

/** @param {string} path @param {{ id: string, user: Person, from: string, until: string, instead_of?: Person }[]} overrides @param {() => void} again @param {() => void} back */
function changes(path, overrides, again, back) {
  const row = (/** @type {typeof overrides[number]} */ one) =>
    h("li", {}, h("div", { class: "row" }, h("div", { class: "grow" }, h("strong", {}, one.user.name), h("p", { class: "small quiet" }, t.oncall.span(when(one.from), when(one.until)),
      one.instead_of ? ` · ${t.oncall.inPlaceOf(one.instead_of.name)}` : null)),
      button(t.oncall.takeBack, async () => { await call("DELETE", `${path}/overrides/${one.id}`); again(); }, { class: "refuse", name: t.oncall.takeBackOf(one.user.name) })));
  return h("div", { class: "list asking" }, overrides.length > 0 ? h("ul", { class: "rows" }, overrides.map(row)) : h("p", { class: "quiet" }, t.oncall.noChanges), h("button", { type: "button", onclick: back }, t.cancel));
}

/** @param {{ id: string, schedule?: string }[]} feeds @param {string[]} schedules @param {() => void} again */
function calendar(feeds, schedules, again) {
  const result = h("div", { "aria-live": "polite" });
  const of = h("select", { name: "schedule" }, h("option", { value: "" }, t.oncall.allMine), schedules.map((name) => h("option", { value: name }, name)));
  const make = form([field(t.oncall.feedOf, of)], t.oncall.feedMake, async () => {
    const made = await call("POST", "/v1/calendar-feeds", of.value === "" ? {} : { schedule: of.value });
    fill(result, h("div", { class: "card asking" }, h("p", {}, t.oncall.feedOnce), copyable(made.url), h("button", { type: "button", onclick: again }, t.enrol.stepDone)));
  }, { class: "card quietly" });
  const row = (/** @type {{ id: string, schedule?: string }} */ feed) =>
    h("li", {}, h("div", { class: "row" }, h("span", { class: "grow" }, feed.schedule ?? t.oncall.allMine),
      button(t.me.revoke, async () => {
        if (!confirm(t.oncall.feedEnd)) return;
        await call("DELETE", `/v1/calendar-feeds/${feed.id}`);
        again();
      }, { class: "refuse", name: t.me.revokeCalendar(feed.schedule ?? t.oncall.allMine) })));
  return h("section", { class: "list" }, h("h2", {}, t.oncall.feeds), feeds.length > 0 ? h("ul", { class: "rows" }, feeds.map(row)) : null, make, result);
}
