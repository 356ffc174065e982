// Approval policies: who must say yes to what, and how strongly.

import { h } from "../../lib/dom.js";
import { call } from "../../lib/session.js";
import { visible } from "../../lib/visible.js";
import { a, length } from "../../lib/words/admin.js";
import { mark } from "../../parts/bits.js";
import { form, quoted, unquoted } from "./forms.js";
import { bots, people, teams } from "./house.js";
import { change, facts, leave, listing, screen, section, sure, to, way } from "./parts.js";
import { tester } from "./tester.js";

/** @typedef {import("../../app.js").Context} Context */
/** @typedef {string | number | boolean | { absent: boolean }} Accepted */
/** @typedef {{ platform: string, workspace: string, room: string }} Room */
/** @typedef {{ quorum: number, users?: string[], teams?: string[] }} Group */
/**
 * @typedef {object} Policy
 * @property {string} name
 * @property {{ types?: string[], targets?: string[], params?: Record<string, Accepted[]>, bots?: string[], rooms?: Room[] }} match
 * @property {{ requester: boolean, groups: Group[], factor: keyof typeof w.factors, expires_in: number, requester_excluded: boolean, executor?: string, delay: number, on_no_answer: string, bound_grant?: boolean, break_glass?: boolean }} require
 */

const w = a.policies;

/** @param {Context} context @param {string} rest @returns {Promise<import("../../app.js").Screen>} */
export async function open(context, rest) {
  const [name = "", then = ""] = rest.split("/");
  if (name === "") return list();
  if (name === "+") return written(context, null);
  if (name === "+test") return tester();
  const policy = await call("GET", `/v1/policies/${name}`);
  return then === "change" ? written(context, policy) : one(context, policy);
}

async function list() {
  const { policies } = await call("GET", "/v1/policies");
  const row = (/** @type {Policy} */ policy) => way(`/admin/policies/${policy.name}`, policy.name, subject(policy), [
    mark(w.factorShort[policy.require.factor], policy.require.factor === "tap" ? "waiting" : ""),
  ]);
  return listing(String(a.rooms.policies[0]), policies.map(row), w.empty, [to("/admin/policies/+", w.add, "main"), to("/admin/policies/+test", w.test)]);
}

/** What it is about, in a line. @param {Policy} policy */
const subject = ({ match }) => [...(match.types ?? []), ...(match.targets ?? [])].map(visible).join(", ") || w.everything;

/** A text that could be read as a number or a truth stands in quotes. @param {string} word @returns {string | number | boolean} */
export function literal(word) {
  if (word === "true" || word === "false") return word === "true";
  if (/^-?\d{1,15}$/.test(word)) return Number(word);
  return unquoted(word);
}

/** The reverse of {@link literal}. @param {string | number | boolean} value */
export const spelt = (value) => (typeof value !== "string" ? String(value) : literal(value) === value ? quoted(value) : JSON.stringify(value));

/** @param {{ param: string, values?: string[], absent?: string }[]} rows */
const params = (rows) =>
  Object.fromEntries(rows.map(({ param, values = [], absent }) => [param, [...values.map(literal), ...(absent === "true" || absent === "false" ? [{ absent: absent === "true" }] : [])]]));

/** @param {Record<string, Accepted[]>} said */
const rows = (said) => Object.entries(said).map(([param, accepted]) => {
  const absent = accepted.find((one) => typeof one === "object");
  return { param, values: accepted.flatMap((one) => (typeof one === "object" ? [] : [spelt(one)])), absent: typeof absent === "object" ? String(absent.absent) : "refuse" };
});

/** @param {Context} context @param {Policy | null} policy */
async function written(context, policy) {
  const [ofPeople, ofTeams, ofBots] = await Promise.all([people(), teams(), bots()]);
  const back = policy ? `/admin/policies/${policy.name}` : "/admin/policies";
  const send = async (/** @type {any} */ { name, ...rule }, /** @type {string} */ key) => {
    const several = (rule.require.groups ?? []).length > 1;
    const said = { ...rule, require: { ...rule.require, on_no_answer: several ? "ask_next_group" : "refuse" } };
    const of = policy?.name ?? name;
    const { done } = await change(context, "PUT", `/v1/policies/${of}`, said, key);
    leave(context, done ? `/admin/policies/${of}` : "/admin/policies", done ? a.saved : a.stepUp.waits);
  };
  const pattern = { autocapitalize: "none", spellcheck: "false", maxlength: "200" };
  const fields = /** @type {import("./forms.js").Field[]} */ ([
    ...(policy ? [] : [{ name: "name", kind: "name", label: w.name, hint: a.teams.nameHint, needed: true }]),
    { name: "match", kind: "group", label: w.about, hint: w.aboutHint, fields: [
      { name: "types", kind: "words", label: w.types, hint: w.typesHint },
      { name: "targets", kind: "words", label: w.targets, hint: w.targetsHint },
      { name: "bots", kind: "pick", label: w.bots, options: ofBots },
      { name: "params", kind: "rows", label: w.params, add: w.addParam, to: params, from: rows, fields: [
        { name: "param", kind: "text", label: w.param, needed: true, input: pattern },
        { name: "values", kind: "values", label: w.values, hint: w.valuesHint, needed: true },
        { name: "absent", kind: "choice", label: w.absent, needed: true, at_first: "refuse", options: Object.entries(w.absents) },
      ] },
      { name: "rooms", kind: "rows", label: w.rooms, add: w.addRoom, fields: [
        { name: "platform", kind: "text", label: w.platform, needed: true, at_first: "slack", input: pattern },
        { name: "workspace", kind: "text", label: w.workspace, needed: true, input: pattern },
        { name: "room", kind: "text", label: w.room, needed: true, input: pattern },
      ] },
    ] },
    { name: "require", kind: "group", label: w.require, needed: true, fields: [
      { name: "requester", kind: "flag", label: w.requester },
      { name: "groups", kind: "rows", label: w.groups, add: w.addGroup, hint: w.groupHint, fields: [
        { name: "quorum", kind: "number", label: w.quorum, needed: true, at_first: 1, input: { min: "1", max: "64" } },
        { name: "teams", kind: "pick", label: w.teams, options: ofTeams },
        { name: "users", kind: "pick", label: w.users, options: ofPeople },
      ] },
      { name: "factor", kind: "choice", label: w.factor, needed: true, at_first: "passkey", options: Object.entries(w.factors) },
      { name: "expires_in", kind: "length", label: w.expires, needed: true, at_first: 300 },
      { name: "", kind: "group", label: w.further, folded: true, fields: [
        { name: "requester_excluded", kind: "flag", label: w.excluded, at_first: true },
        { name: "delay", kind: "length", label: w.delay, hint: w.delayHint },
        { name: "executor", kind: "choice", label: w.executor, options: ofBots },
        { name: "bound_grant", kind: "flag", label: w.bound },
        { name: "break_glass", kind: "flag", label: w.glass, at_first: true },
      ] },
    ] },
  ]);
  return screen(policy?.name ?? w.add, back, [form({ fields, values: policy ?? {}, go: policy ? a.save : w.add, cancel: back, send })]);
}

/** @param {Group} group */
const who = ({ quorum, users = [], teams: named = [] }) => w.whoMust(quorum, [...named.map((team) => `${team} (${a.escalation.kinds.team})`), ...users].join(", "));

/** @param {Context} context @param {Policy} policy */
function one(context, policy) {
  const { match, require: needs } = policy;
  const accepted = (/** @type {[string, Accepted[]]} */ [name, all]) => /** @type {[string, string]} */ ([name, all.map((one) => (typeof one === "object" ? w.whenMissing(w.absents[/** @type {"true"} */ (String(one.absent))]) : spelt(one))).join(", ")]);
  const glass = needs.break_glass === false ? null : w.glass;
  return screen(policy.name, "/admin/policies", [
    h("section", { class: "card" },
      h("h2", {}, w.about),
      subject(policy) === w.everything ? h("p", {}, w.everything) : null,
      facts([
        [w.types, match.types?.join(", ")], [w.targets, match.targets?.join(", ")], ...Object.entries(match.params ?? {}).map(accepted),
        [w.bots, match.bots?.join(", ")], [w.rooms, match.rooms?.map((room) => `${room.platform} / ${room.workspace} / ${room.room}`).join(", ")],
      ]),
      h("h2", {}, w.require),
      h("ol", { class: "steps" }, needs.groups.map((group, at) => h("li", {}, h("div", {}, at > 0 ? h("p", { class: "small quiet" }, w.then) : null, h("strong", {}, who(group)))))),
      needs.requester ? h("p", {}, h("strong", {}, w.requester)) : null,
      h("ul", { class: "points" }, [w.by(w.factorShort[needs.factor]), w.within(length(needs.expires_in)), needs.delay > 0 ? w.holds(length(needs.delay)) : null,
        needs.executor ? `${w.executor}: ${needs.executor}` : null, needs.bound_grant ? w.bound : null, glass].map((text) => (text ? h("li", {}, text) : null))),
      to(`/admin/policies/${policy.name}/change`, a.edit)),
    h("details", {}, h("summary", {}, w.raw), h("pre", { class: "card mono small", tabindex: "0" }, visible(JSON.stringify({ match, require: needs }, null, 2)))),
    section(a.bots.ends, [], sure(context, {
      label: a.remove, title: w.removeSure(policy.name), what: w.removeWhat, method: "DELETE", path: `/v1/policies/${policy.name}`,
      then: () => leave(context, "/admin/policies", a.removed(policy.name)),
    })),
  ]);
}
