// Services: what breaks, whose it is, and the keys by which it is reported, which are shown once.

import { fill, h } from "../../lib/dom.js";
import { call } from "../../lib/session.js";
import { ago, past } from "../../lib/words.js";
import { a, length } from "../../lib/words/admin.js";
import { button, mark, said } from "../../parts/bits.js";
import { form } from "./forms.js";
import { escalations, teams } from "./house.js";
import { ask, facts, instead, leave, listing, once, screen, section, sure, to, way } from "./parts.js";

/** @typedef {import("../../app.js").Context} Context */
/** @typedef {keyof typeof w.kinds} Kind */
/** @typedef {{ name: string, kind: Kind, every_seconds?: number, grace_seconds?: number, beat_at?: string, previous_key_until?: string }} Integration */

const w = a.services;

/** @param {Context} context @param {string} rest @returns {Promise<import("../../app.js").Screen>} */
export async function open(context, rest) {
  const [name = "", then = "", of = ""] = rest.split("/");
  if (name === "") return list();
  if (name === "+") return written(context, null);
  const service = await call("GET", `/v1/services/${name}`);
  if (then === "change") return written(context, service);
  if (then === "keys") return key(context, service, of);
  return one(context, service);
}

async function list() {
  const { services } = await call("GET", "/v1/services");
  const row = (/** @type {any} */ one) => way(`/admin/services/${one.name}`, one.name, one.policy ? `${one.team} · ${one.policy}` : one.team, [one.open_incidents > 0 ? mark(w.open(one.open_incidents), "ringing") : null]);
  return listing(String(a.rooms.services[0]), services.map(row), w.empty, [to("/admin/services/+", w.add, "main")]);
}

/** Made, or changed. @param {Context} context @param {any} service */
async function written(context, service) {
  const [ofTeams, ofPolicies] = await Promise.all([teams(), escalations()]);
  const back = service ? `/admin/services/${service.name}` : "/admin/services";
  const send = async (/** @type {any} */ body, /** @type {string} */ key) => {
    const { group_all, ...settings } = body.settings;
    const said = { ...body, settings: { ...settings, ...(group_all && { group_by: [] }) } };
    if (service) await call("PUT", `/v1/services/${service.name}`, said);
    else await call("POST", "/v1/services", said, { once: key });
    leave(context, `/admin/services/${service?.name ?? body.name}`, a.saved);
  };
  const fields = /** @type {import("./forms.js").Field[]} */ ([
    ...(service ? [] : [{ name: "name", kind: "name", label: w.name, hint: a.teams.nameHint, needed: true }]),
    { name: "team", kind: "choice", label: w.team, needed: true, none: ofTeams.length === 0 ? a.nobodyToPick : a.pick, options: ofTeams },
    { name: "policy", kind: "choice", label: w.policy, none: w.wholeTeam, options: ofPolicies },
    { name: "settings", kind: "group", label: w.settings, needed: true, fields: [
      { name: "urgency", kind: "choice", label: w.urgency, needed: true, at_first: "by_severity", options: Object.entries(w.urgencies) },
      { name: "acknowledgement_seconds", kind: "length", label: w.ack, hint: w.ackHint },
      { name: "group_by", kind: "words", label: w.group, hint: w.groupHint },
      { name: "group_all", kind: "flag", label: w.groupAll },
      { name: "group_seconds", kind: "length", label: w.groupFor, at_first: 3600 },
      { name: "reopen_seconds", kind: "length", label: w.reopen, at_first: 300 },
    ] },
  ]);
  const settings = service ? { ...service.settings, group_all: service.settings.group_by?.length === 0 } : undefined;
  return screen(service ? service.name : w.add, back, [form({ fields, values: service ? { ...service, settings } : {}, go: service ? a.save : w.add, cancel: back, send })]);
}

/** @param {Context} context @param {any} service */
async function one(context, service) {
  const { integrations } = await call("GET", `/v1/services/${service.name}/integrations`);
  const { settings } = service;
  const body = h("div", { class: "list" });
  fill(body,
    h("section", { class: "card" },
      h("header", {}, h("h2", {}, service.name), service.open_incidents > 0 ? mark(w.open(service.open_incidents), "ringing") : mark(w.open(0), "good")),
      facts([
        [w.team, h("a", { href: `/admin/teams/${service.team}` }, service.team)],
        [w.policy, service.policy ? h("a", { href: `/admin/escalation/${service.policy}` }, service.policy) : w.wholeTeam],
        [w.urgency, w.urgencies[/** @type {keyof typeof w.urgencies} */ (settings.urgency)]],
        [w.ack, settings.acknowledgement_seconds ? length(settings.acknowledgement_seconds) : settings.acknowledgement_seconds === 0 ? a.none : null],
        [w.group, settings.group_by?.length === 0 ? w.groupAll : settings.group_by?.join(", ")],
      ]),
      to(`/admin/services/${service.name}/change`, a.edit)),
    section(w.keys, integrations.map((/** @type {Integration} */ one) => integration(context, service, one)),
      integrations.length === 0 ? h("p", { class: "quiet" }, w.noKeys) : null, to(`/admin/services/${service.name}/keys`, w.addKey, integrations.length === 0 ? "main" : "")),
    section(a.bots.ends, [], sure(context, {
      label: w.remove, title: w.removeSure(service.name), what: w.removeWhat, method: "DELETE", path: `/v1/services/${service.name}`,
      then: () => leave(context, "/admin/services", a.removed(service.name)),
    })));
  return screen(service.name, "/admin/services", [body]);
}

/** @param {Context} context @param {any} service @param {Integration} one */
function integration(context, service, one) {
  const path = `/v1/services/${service.name}/integrations/${one.name}`;
  const back = `/admin/services/${service.name}`;
  const beats = one.kind !== "heartbeat" ? "" : ` · ${one.beat_at ? w.beat(past(one.beat_at)) : w.noBeat}`;
  const end = () => ask({ title: w.revokeSure(one.name), body: [w.revokeWhat], yes: w.revoke, act: () => call("DELETE", path) });
  return h("div", {},
    h("div", { class: "row" }, h("div", { class: "grow" }, h("strong", {}, one.name),
      h("p", { class: "small quiet" }, `${w.kinds[one.kind]}${beats}`),
      one.previous_key_until ? h("p", { class: "small" }, w.previous(ago(one.previous_key_until))) : null),
    h("div", { class: "row" },
      to(`${back}/keys/${one.name}`, w.rotate),
      button(w.revoke, async () => { if (await end()) leave(context, back, a.removed(one.name)); }, { class: "refuse", name: w.revokeKey(one.name) }))));
}

/** A key: another one, or the next one of an integration that is there. @param {Context} context @param {any} service @param {string} of */
function key(context, service, of) {
  const back = `/admin/services/${service.name}`;
  const path = `/v1/services/${service.name}/integrations`;
  const body = h("div", { class: "list" });
  const shown = (/** @type {any} */ made) => {
    const hint = made.kind === "events" ? w.keyHint.events : w.keyHint.other;
    instead(body, once(context, w.keyOf(made.name), [[w.url, made.url], [w.key, made.key]], back, hint));
  };
  const rotated = async (/** @type {any} */ { overlap_seconds }, /** @type {string} */ once) =>
    shown(await call("POST", `${path}/${of}/rotate`, { overlap_seconds: Number(overlap_seconds) }, { once }));
  const made = async (/** @type {any} */ { every_seconds, grace_seconds, ...said }, /** @type {string} */ once) =>
    shown(await call("POST", path, { ...said, ...(said.kind === "heartbeat" && { every_seconds, grace_seconds }) }, { once }));
  const beats = /** @type {import("./forms.js").Field} */ ({ name: "", kind: "group", label: w.kinds.heartbeat, fields: [
    { name: "every_seconds", kind: "length", label: w.every, at_first: 3600 }, { name: "grace_seconds", kind: "length", label: w.grace, at_first: 300 }] });
  const fields = /** @type {import("./forms.js").Field[]} */ (of !== ""
    ? [{ name: "overlap_seconds", kind: "choice", label: a.bots.overlap, needed: true, at_first: "3600", options: Object.entries(w.overlaps) }]
    : [
        { name: "name", kind: "name", label: w.keyName, hint: a.teams.nameHint, needed: true },
        { name: "kind", kind: "choice", label: w.kind, needed: true, at_first: "events", options: Object.entries(w.kinds) },
        beats,
      ]);
  const made_of = form({ fields, go: of === "" ? w.addKey : w.rotate, cancel: back, send: of === "" ? made : rotated });
  // How often it beats is asked of heartbeats alone.
  const kind = made_of.querySelector("select[name=kind]");
  const box = made_of.querySelector("fieldset");
  if (kind instanceof HTMLSelectElement && box) {
    const follow = () => (box.hidden = kind.value !== "heartbeat");
    kind.addEventListener("change", follow);
    follow();
  }
  fill(body, of === "" ? null : said(w.rotateTitle(of)), made_of);
  return screen(of === "" ? w.addKey : of, back, [body]);
}
