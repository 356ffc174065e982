// Schedules: who takes turns, who takes the pager for a while, and the week as it comes out.

import { fill, h } from "../../lib/dom.js";
import { call } from "../../lib/session.js";
import { visible } from "../../lib/visible.js";
import { when } from "../../lib/words.js";
import { a } from "../../lib/words/admin.js";
import { button, mark } from "../../parts/bits.js";
import { form } from "./forms.js";
import { people, teams } from "./house.js";
import { leave, listing, screen, section, sure, to, way } from "./parts.js";
import { days, week } from "./week.js";

/** @typedef {import("../../app.js").Context} Context */
/** @typedef {import("../../lib/api.js").Person} Person */
/** @typedef {{ name: string, people: string[], shift: string, first: string, hours?: string[], until?: string }} Layer */
/** @typedef {{ id: string, user: Person, instead_of?: Person, from: string, until: string, made_by: string }} Override */
/** @typedef {{ name: string, team?: string, zone: string, layers: Layer[], overrides: Override[], policies: string[] }} Schedule */

const w = a.schedules;

/** @param {Context} context @param {string} rest @returns {Promise<import("../../app.js").Screen>} */
export async function open(context, rest) {
  const [name = "", then = ""] = rest.split("/");
  if (name === "") return list();
  if (name === "+") return written(context, null);
  const schedule = await call("GET", `/v1/schedules/${name}`);
  if (then === "change") return written(context, schedule);
  if (then === "give") return give(context, schedule);
  return one(context, schedule);
}

async function list() {
  const { schedules } = await call("GET", "/v1/on-call");
  const row = (/** @type {any} */ { schedule, zone, now, gaps }) => way(`/admin/schedules/${schedule}`, schedule, zone, [
    now ? mark(w.now(now.who.name), "good") : mark(w.nobody, "ringing"), now && gaps.length > 0 ? mark(w.gap, "waiting") : null,
  ]);
  return listing(String(a.rooms.schedules[0]), schedules.map(row), w.empty, [to("/admin/schedules/+", w.add, "main")]);
}

/** The coming Monday at nine, as a wall clock shows it. */
function monday() {
  const at = new Date();
  at.setDate(at.getDate() + ((8 - at.getDay()) % 7 || 7));
  return `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")}T09:00`;
}

/** @param {Context} context @param {Schedule | null} schedule */
async function written(context, schedule) {
  const [ofPeople, ofTeams] = await Promise.all([people(), teams()]);
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zones = [...new Set([schedule?.zone ?? here, here, "UTC", ...Intl.supportedValuesOf("timeZone")])];
  const back = schedule ? `/admin/schedules/${schedule.name}` : "/admin/schedules";
  const send = async (/** @type {any} */ body, /** @type {string} */ key) => {
    if (schedule) await call("PUT", `/v1/schedules/${schedule.name}`, body);
    else await call("POST", "/v1/schedules", body, { once: key });
    leave(context, `/admin/schedules/${schedule?.name ?? body.name}`, a.saved);
  };
  const fields = /** @type {import("./forms.js").Field[]} */ ([
    ...(schedule ? [] : [{ name: "name", kind: "name", label: w.name, hint: a.teams.nameHint, needed: true }]),
    { name: "team", kind: "choice", label: w.team, hint: w.teamHint, options: ofTeams },
    { name: "zone", kind: "choice", label: w.zone, hint: w.zoneHint, needed: true, at_first: here, options: zones.map((zone) => [zone, zone]) },
    { name: "layers", kind: "rows", label: w.layers, add: w.addLayer, hint: w.layersHint, needed: true, fields: [
      { name: "name", kind: "text", label: w.layerName, needed: true, at_first: "primary" },
      { name: "people", kind: "pick", label: w.people, needed: true, options: ofPeople },
      { name: "shift", kind: "text", label: w.shift, hint: w.shiftHint, needed: true, at_first: "1 week" },
      { name: "first", kind: "wall", label: w.first, hint: w.firstHint, needed: true, at_first: monday() },
      { name: "hours", kind: "words", label: w.hours, hint: w.hoursHint },
      { name: "until", kind: "wall", label: w.until },
    ] },
  ]);
  return screen(schedule?.name ?? w.add, back, [form({ fields, values: schedule ?? {}, go: schedule ? a.save : w.add, cancel: back, send })]);
}

/** @param {Context} context @param {Schedule} schedule */
async function one(context, schedule) {
  const path = `/v1/schedules/${schedule.name}`;
  const shown = h("div", { class: "list" });
  const title = h("h2", { "aria-live": "polite" });
  const day = new Intl.DateTimeFormat(undefined, { timeZone: schedule.zone, day: "numeric", month: "short" });
  let ahead = 0;
  const draw = async () => {
    const all = days(Date.now(), schedule.zone, ahead);
    const [from, until] = [all[0]?.from ?? 0, all[6]?.until ?? 0];
    const { shifts } = await call("GET", `${path}/shifts?from=${new Date(from).toISOString()}&until=${new Date(until).toISOString()}`);
    title.textContent = ahead === 0 ? w.today : w.weekOf(day.format(from), day.format(until - 1));
    fill(shown, week(all, shifts, schedule.zone));
  };
  const turn = (/** @type {string} */ label, /** @type {() => number} */ to_) => button(label, async () => { ahead = to_(); await draw(); });
  await draw();
  return screen(schedule.name, "/admin/schedules", [
    h("section", { class: "list" },
      title, h("div", { class: "turns" }, turn(w.earlier, () => ahead - 1), turn(w.today, () => 0), turn(w.later, () => ahead + 1)),
      shown, h("p", { class: "small quiet" }, w.zoneNote(schedule.zone))),
    h("div", { class: "choices" }, to(`/admin/schedules/${schedule.name}/give`, w.give, "main"), to(`/admin/schedules/${schedule.name}/change`, a.edit)),
    section(w.overrides, schedule.overrides.map((over) => override(context, schedule, over)), schedule.overrides.length === 0 ? h("p", { class: "quiet" }, w.noOverrides) : null),
    schedule.policies.length > 0 ? section(w.usedBy, schedule.policies.map((name) => way(`/admin/escalation/${name}`, name, ""))) : null,
    section(a.bots.ends, [], sure(context, {
      label: w.remove, title: w.removeSure(schedule.name), what: w.removeWhat, method: "DELETE", path, then: () => leave(context, "/admin/schedules", a.removed(schedule.name)),
    })),
  ], { wide: true });
}

/** @param {Context} context @param {Schedule} schedule @param {Override} over */
const override = (context, schedule, over) =>
  h("div", {}, h("div", { class: "row" },
    h("div", { class: "grow" }, h("strong", {}, visible(over.user.name)), over.instead_of ? h("span", { class: "quiet" }, ` ${w.insteadOf(visible(over.instead_of.name))}`) : null,
      h("p", { class: "small quiet" }, `${when(over.from)} – ${when(over.until)} · ${w.overrideBy(visible(over.made_by))}`)),
    sure(context, {
      label: w.back, title: w.backSure(over.user.name), what: w.backWhat, method: "DELETE", path: `/v1/schedules/${schedule.name}/overrides/${over.id}`,
      then: () => leave(context, `/admin/schedules/${schedule.name}`, a.saved),
    })));

/** @param {Context} context @param {Schedule} schedule */
async function give(context, schedule) {
  const everybody = await people();
  const back = `/admin/schedules/${schedule.name}`;
  const send = async (/** @type {any} */ body, /** @type {string} */ key) => {
    await call("POST", `/v1/schedules/${schedule.name}/overrides`, body, { once: key });
    leave(context, back, a.saved);
  };
  const fields = /** @type {import("./forms.js").Field[]} */ ([
    { name: "user", kind: "choice", label: w.who, needed: true, none: a.pick, options: everybody },
    { name: "instead_of", kind: "choice", label: w.instead, none: w.anybody, options: everybody },
    { name: "from", kind: "wall", label: w.from, hint: w.fromHint },
    { name: "until", kind: "wall", label: w.untilAt, hint: w.zoneNote(schedule.zone), needed: true },
  ]);
  return screen(w.give, back, [form({ fields, go: w.give, cancel: back, send })]);
}
