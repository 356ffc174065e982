// Escalation policies: who is rung, then who next, after how long.

import { h } from "../../lib/dom.js";
import { call } from "../../lib/session.js";
import { visible } from "../../lib/visible.js";
import { a } from "../../lib/words/admin.js";
import { mark, said } from "../../parts/bits.js";
import { form } from "./forms.js";
import { people, schedules, teams } from "./house.js";
import { leave, listing, screen, section, sure, to, way } from "./parts.js";

/** @typedef {import("../../app.js").Context} Context */
/** @typedef {{ name: string, team?: string, steps: { to: string[], escalate_after_minutes: number }[], repeats: number, last_resort: string[], services: string[], warnings: string[] }} Policy */

const w = a.escalation;

/** @param {Context} context @param {string} rest @returns {Promise<import("../../app.js").Screen>} */
export async function open(context, rest) {
  const [name = "", then = ""] = rest.split("/");
  if (name === "") return list();
  if (name === "+") return written(context, null);
  const policy = await call("GET", `/v1/escalation-policies/${name}`);
  return then === "change" ? written(context, policy) : one(context, policy);
}

async function list() {
  const { escalation_policies: policies } = await call("GET", "/v1/escalation-policies");
  const row = (/** @type {Policy} */ one) => way(`/admin/escalation/${one.name}`, one.name, [w.count(one.steps.length), ...one.services].join(" · "), [one.warnings.length > 0 ? mark(w.warnings, "waiting") : null]);
  return listing(String(a.rooms.escalation[0]), policies.map(row), w.empty, [to("/admin/escalation/+", w.add, "main")]);
}

/** @param {Context} context @param {Policy | null} policy */
async function written(context, policy) {
  const [ofPeople, ofTeams, ofSchedules] = await Promise.all([people(), teams(), schedules()]);
  const back = policy ? `/admin/escalation/${policy.name}` : "/admin/escalation";
  const targets = [
    ...ofSchedules.map(([name]) => [`schedule:${name}`, `${name} (${w.kinds.schedule})`]),
    ...ofTeams.map(([name]) => [`team:${name}`, `${name} (${w.kinds.team})`]),
    ...ofPeople,
  ];
  const send = async (/** @type {any} */ body, /** @type {string} */ key) => {
    if (policy) await call("PUT", `/v1/escalation-policies/${policy.name}`, body);
    else await call("POST", "/v1/escalation-policies", body, { once: key });
    leave(context, `/admin/escalation/${policy?.name ?? body.name}`, a.saved);
  };
  const fields = /** @type {import("./forms.js").Field[]} */ ([
    ...(policy ? [] : [{ name: "name", kind: "name", label: w.name, hint: a.teams.nameHint, needed: true }]),
    { name: "team", kind: "choice", label: w.team, options: ofTeams },
    { name: "steps", kind: "rows", label: w.steps, add: w.addStep, needed: true, fields: [
      { name: "to", kind: "pick", label: w.to, needed: true, options: targets },
      { name: "escalate_after_minutes", kind: "number", label: w.after, needed: true, at_first: 5, input: { min: "1", max: "1440" } },
    ] },
    { name: "repeats", kind: "number", label: w.repeats, at_first: 0, input: { min: "0", max: "20" } },
    { name: "last_resort", kind: "pick", label: w.last, hint: w.lastHint, options: targets },
  ]);
  return screen(policy?.name ?? w.add, back, [form({ fields, values: policy ?? {}, go: policy ? a.save : w.add, cancel: back, send })]);
}

/** `team:api` as people say it. @param {string} target */
const target = (target) => {
  const [kind, name] = target.split(":");
  return name === undefined ? target : `${name} (${w.kinds[/** @type {"team" | "schedule"} */ (kind)] ?? kind})`;
};

/** @param {Context} context @param {Policy} policy */
function one(context, policy) {
  const step = (/** @type {Policy["steps"][number]} */ { to: targets, escalate_after_minutes: minutes }) =>
    h("li", {}, h("div", {}, h("strong", {}, targets.map(target).join(", ")), h("p", { class: "small quiet" }, w.for(minutes))));
  return screen(policy.name, "/admin/escalation", [
    h("section", { class: "card" },
      h("h2", {}, policy.name), policy.team ? h("p", { class: "quiet" }, policy.team) : null,
      h("ol", { class: "steps" }, policy.steps.map(step)),
      policy.repeats > 0 ? h("p", {}, w.again(policy.repeats)) : null,
      h("p", {}, h("span", { class: "quiet" }, `${w.lastStep}: `), [...policy.last_resort.map(target), w.everybody].join(", ")),
      to(`/admin/escalation/${policy.name}/change`, a.edit)),
    policy.warnings.length > 0 ? h("section", { class: "list" }, h("h2", {}, w.warnings), policy.warnings.map((text) => said(visible(text)))) : null,
    policy.services.length > 0 ? section(w.services, policy.services.map((name) => way(`/admin/services/${name}`, name, ""))) : null,
    section(a.bots.ends, [], sure(context, {
      label: w.remove, title: w.removeSure(policy.name), what: w.removeWhat, method: "DELETE", path: `/v1/escalation-policies/${policy.name}`,
      then: () => leave(context, "/admin/escalation", a.removed(policy.name)),
    })),
  ]);
}
