// How I want to be paged: by which way after how long, in which hours not, and for what.

import { h } from "../lib/dom.js";
import { listed, readHours, readLabels, writeHours, writeLabels } from "../lib/rules.js";
import { Problem, call } from "../lib/session.js";
import { t } from "../lib/words.js";
import { field, form, said, why } from "../parts/bits.js";

/** @typedef {import("../lib/rules.js").Rules} Rules */
/** @typedef {import("../lib/rules.js").Urge} Urge */
/** @typedef {import("../lib/rules.js").Only} Only */

/** Something in a form that can be read. @template T @typedef {{ element: HTMLElement, read: () => T }} Field */

/** @param {import("../app.js").Context} context @returns {Promise<import("../app.js").Screen>} */
export async function rules({ go }) {
  /** @type {Rules} */
  const now = await call("GET", "/v1/me/paging-rules");
  const high = urge(t.rules.high, t.rules.highMeans, now.high);
  const low = urge(t.rules.low, t.rules.lowMeans, now.low);
  const quiet = quietHours(now.quiet_hours);
  const only = filters(now.only ?? []);
  const save = async () => {
    const [hours, fits] = [quiet.read(), only.read()];
    await call("PUT", "/v1/me/paging-rules", { high: high.read(), low: low.read(), ...(hours && { quiet_hours: hours }), ...(fits.length > 0 && { only: fits }) });
    go("/me");
  };
  const failed = (/** @type {unknown} */ failure) =>
    failure instanceof Problem && failure.field ? `${named(failure.field)}: ${failure.message}` : why(failure);
  return { title: t.rules.title, tab: "me", back: "/me", body: [form([high.element, low.element, quiet.element, only.element, said(t.rules.lastResort)], t.me.save, save, { failed })] };
}

/** The part of the form that a refusal is about: `high.ways[0].after_minutes`. @param {string} member */
function named(member) {
  const [first = ""] = member.split(/[.[]/, 1);
  return /** @type {Record<string, string>} */ ({ high: t.rules.high, low: t.rules.low, quiet_hours: t.rules.quiet, only: t.rules.only })[first] ?? member;
}

/** @param {string} legend @param {...(Element | null)} parts */
const group = (legend, ...parts) => h("fieldset", { class: "card" }, h("legend", {}, legend), parts);

/** A button that is an ×, with a name. @param {string} label @param {() => void} act */
const drop = (label, act) => h("button", { type: "button", class: "plain", "aria-label": label, onclick: act }, "×");

/** @param {string} name @param {string} value @param {[string, string][]} choices @param {string} label */
function choice(name, value, choices, label) {
  return h("select", { name, "aria-label": label }, choices.map(([one, text]) => h("option", { value: one, selected: one === value }, text)));
}

/**
 * Rows that can be added and taken away.
 * @template T, U
 * @param {T[]} first @param {(value: T) => { parts: Element[], read: () => U }} make @param {string} add @param {() => T} fresh @param {string} less @param {number} least
 * @returns {Field<U[]>}
 */
function several(first, make, add, fresh, less, least) {
  const list = h("div", { class: "list" });
  /** @type {Map<Element, () => U>} */
  const rows = new Map();
  const put = (/** @type {T} */ value) => {
    const { parts, read } = make(value);
    const row = h("div", { class: "row tight" }, parts, drop(less, () => {
      if (rows.size <= least) return;
      rows.delete(row);
      row.remove();
    }));
    rows.set(row, read);
    list.append(row);
  };
  first.forEach(put);
  return { element: h("div", { class: "list" }, list, h("button", { type: "button", onclick: () => put(fresh()) }, add)), read: () => [...rows.values()].map((read) => read()) };
}

/** @param {string} legend @param {string} means @param {Urge} now @returns {Field<Urge>} */
function urge(legend, means, now) {
  const ways = several(now.ways, ({ after_minutes: after, way }) => {
    const how = choice("way", way, Object.entries(t.rules.ways), t.rules.how);
    const minutes = h("input", { type: "number", name: "after", min: "0", max: "240", required: true, inputmode: "numeric", class: "short", "aria-label": t.rules.after });
    minutes.value = String(after);
    return { parts: [h("div", { class: "grow" }, how), h("span", { class: "small quiet" }, t.rules.after), minutes, h("span", { class: "small quiet" }, t.rules.minutes)],
      read: () => ({ after_minutes: Number(minutes.value), way: /** @type {import("../lib/rules.js").Way} */ (how.value) }) };
  }, t.rules.addWay, () => ({ after_minutes: 5, way: "email" }), t.rules.less, 1);
  const often = now.once ? "once" : now.repeat_minutes === 0 ? "always" : "every";
  const every = h("input", { type: "number", min: "1", max: "60", inputmode: "numeric", class: "short", "aria-label": t.rules.everyMinutes });
  every.value = String(now.repeat_minutes || 5);
  const repeat = choice("repeat", often, Object.entries(t.rules.repeats), t.rules.repeat);
  const shown = () => (every.parentElement ?? every).toggleAttribute("hidden", repeat.value !== "every");
  const minutes = h("span", { class: "row" }, every, h("span", { class: "small quiet" }, t.rules.minutes));
  repeat.addEventListener("change", shown);
  shown();
  return { element: group(legend, h("p", { class: "small quiet" }, means), ways.element, field(t.rules.repeat, repeat), minutes),
    read: () => ({ ways: ways.read(), repeat_minutes: repeat.value === "every" ? Number(every.value) : 0, once: repeat.value === "once" }) };
}

/** @param {Rules["quiet_hours"]} now @returns {Field<Rules["quiet_hours"]>} */
function quietHours(now) {
  const zone = h("input", { name: "zone", maxlength: "64", autocapitalize: "none", autocomplete: "off" });
  zone.value = now?.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  const hours = several(now?.hours ?? [], (written) => {
    const read = readHours(written);
    if (!read) {
      const text = h("input", { "aria-label": t.rules.quiet });
      text.value = written;
      return { parts: [h("div", { class: "grow" }, text)], read: () => text.value.trim() };
    }
    const known = /** @type {Record<string, string>} */ (t.rules.days);
    const days = choice("days", read.days, Object.entries(read.days in known ? known : { ...known, [read.days]: read.days }), t.rules.onDays);
    const time = (/** @type {string} */ value, /** @type {string} */ label) => {
      const input = h("input", { type: "time", required: true, "aria-label": label });
      input.value = value;
      return input;
    };
    const [from, until] = [time(read.from, t.rules.from), time(read.until, t.rules.until)];
    return { parts: [h("div", { class: "grow" }, days), from, h("span", { "aria-hidden": "true" }, "–"), until], read: () => writeHours({ days: days.value, from: from.value, until: until.value }) };
  }, t.rules.addHours, () => "mon-sun 22:00-07:00", t.rules.less, 0);
  return { element: group(t.rules.quiet, h("p", { class: "small quiet" }, t.rules.quietMeans), hours.element, field(t.rules.zone, zone)),
    read: () => { const all = hours.read(); return all.length > 0 ? { zone: zone.value.trim(), hours: all } : undefined; } };
}

/** @param {Only[]} now @returns {Field<Only[]>} */
function filters(now) {
  const every = several(now, (/** @type {Only} */ one) => {
    const text = (/** @type {string} */ name, /** @type {string} */ value, /** @type {string} */ example) => {
      const input = h("input", { name, autocapitalize: "none", autocomplete: "off", placeholder: example });
      input.value = value;
      return input;
    };
    const services = text("services", (one.services ?? []).join(", "), "api, web");
    const teams = text("teams", (one.teams ?? []).join(", "), "ops");
    const labels = text("labels", writeLabels(one.labels ?? {}), "env=production");
    const urgency = choice("urgency", one.urgency ?? "", [["", t.rules.any], ["high", t.rules.high], ["low", t.rules.low]], t.rules.urgency);
    const parts = [h("div", { class: "grow list" }, field(t.rules.services, services), field(t.rules.teams, teams), field(t.rules.labels, labels), field(t.rules.urgency, urgency))];
    return { parts, read: () => ({ services: listed(services.value), teams: listed(teams.value), labels: readLabels(labels.value), ...(urgency.value && { urgency: /** @type {"high" | "low"} */ (urgency.value) }) }) };
  }, t.rules.addOnly, () => /** @type {Only} */ ({}), t.rules.less, 0);
  return { element: group(t.rules.only, h("p", { class: "small quiet" }, t.rules.onlyMeans), every.element), read: every.read };
}
