// What would happen if somebody asked for this: by the server's own rules, with nobody asked.

import { fill, h } from "../../lib/dom.js";
import { call } from "../../lib/session.js";
import { visible } from "../../lib/visible.js";
import { a, length } from "../../lib/words/admin.js";
import { mark, said } from "../../parts/bits.js";
import { form } from "./forms.js";
import { bots, people } from "./house.js";
import { named, screen } from "./parts.js";

/** @typedef {import("../../lib/api.js").Person} Person */
/** @typedef {{ quorum: number, people: (Person & { for?: Person[] })[], away?: Person[] }} Group */
/** @typedef {{ policy: { name: string }, factor: keyof typeof w.factors, requester?: Person, groups: Group[], expires_in: number, delay: number, unreachable?: string }} Asked */
/** @typedef {{ asked?: Asked, refused?: string, policies: { name: string, why_not?: string }[] }} Outcome */

const w = a.policies;

/** The name that stands for having no policy. */
const BUILTIN = "builtin/requester-passkey";

/** A parameter as people write it: what is JSON of a number, a truth, a list or a map is that, all else is a text. @param {string} text */
export function param(text) {
  if (!/^(-?\d{1,15}|true|false|".*"|\[.*\]|\{.*\})$/s.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** @returns {Promise<import("../../app.js").Screen>} */
export async function tester() {
  const [ofPeople, ofBots] = await Promise.all([people(), bots()]);
  const result = h("div", { class: "list", "aria-live": "polite" });
  const send = async (/** @type {any} */ body) => {
    fill(result, outcome(await call("POST", "/v1/policies/test", body)));
    result.scrollIntoView({ block: "start" });
  };
  const plain = { autocapitalize: "none", spellcheck: "false" };
  const params = (/** @type {{ name: string, value: string }[]} */ rows) => Object.fromEntries(rows.map(({ name, value }) => [name, param(value)]));
  const fields = /** @type {import("./forms.js").Field[]} */ ([
    { name: "action", kind: "group", label: w.action, needed: true, fields: [
      { name: "type", kind: "text", label: w.type, needed: true, input: plain },
      { name: "target", kind: "text", label: w.target, needed: true, input: plain },
      { name: "params", kind: "rows", label: w.params, add: w.addParam, whole: true, to: params, fields: [
        { name: "name", kind: "text", label: w.param, needed: true, input: plain },
        { name: "value", kind: "text", label: w.value, needed: true, input: plain },
      ] },
    ] },
    { name: "requester", kind: "choice", label: w.whoAsks, needed: true, none: a.pick, options: ofPeople },
    { name: "bot", kind: "choice", label: w.throughBot, needed: true, none: ofBots.length === 0 ? a.nobodyToPick : a.pick, options: ofBots },
    { name: "origin", kind: "group", label: w.where, folded: true, fields: [
      { name: "platform", kind: "text", label: w.platform, input: plain },
      { name: "workspace", kind: "text", label: w.workspace, input: plain },
      { name: "room", kind: "text", label: w.room, input: plain },
    ] },
  ]);
  return screen(w.test, "/admin/policies", [form({ fields, go: w.go, send }), result]);
}

/** @param {Outcome} outcome */
const outcome = ({ asked, refused, policies }) => [
  refused === undefined ? null : h("section", { class: "card verdict" }, h("h2", {}, w.refused), said(visible(refused), "bad")),
  asked ? wouldAsk(asked) : null,
  policies.length > 0 ? h("section", { class: "list" }, h("h2", {}, w.others), h("ol", { class: "rows" }, policies.map(judged))) : null,
  h("p", { class: "small quiet" }, w.nothingAsked),
];

/** @param {Asked} asked */
function wouldAsk({ policy, factor, requester, groups, expires_in: seconds, delay, unreachable }) {
  const member = (/** @type {Group["people"][number]} */ person) =>
    h("li", {}, named(person), person.for?.length ? h("span", { class: "quiet" }, ` ${w.forNote(person.for.map(({ name }) => name).join(", "))}`) : null);
  const group = (/** @type {Group} */ { quorum, people: members, away = [] }, /** @type {number} */ at) =>
    h("li", {}, h("div", { class: "list" },
      at > 0 ? h("p", { class: "small quiet" }, w.then) : null,
      h("strong", {}, w.whoMust(quorum, String(members.length))),
      h("ul", { class: "points" }, members.map(member)),
      away.map(({ name }) => h("p", { class: "small quiet" }, w.awayNote(name)))));
  return h("section", { class: "card verdict" },
    h("h2", {}, w.asks),
    h("p", { class: "quiet" }, policy.name === BUILTIN ? w.builtin : w.under(policy.name)),
    requester ? h("p", {}, named(requester), " ", h("span", { class: "quiet" }, `(${w.theRequester})`)) : null,
    h("ol", { class: "steps" }, groups.map(group)),
    h("p", {}, [w.by(w.factorShort[factor]), w.within(length(seconds)), delay > 0 ? w.holds(length(delay)) : ""].filter(Boolean).join(" · ")),
    unreachable === undefined ? null : h("div", { class: "said bad", role: "alert" }, h("strong", {}, w.unreachable), h("p", {}, visible(unreachable))));
}

/** @param {{ name: string, why_not?: string }} policy */
const judged = ({ name, why_not: why }) =>
  h("li", {}, h("div", { class: "row" }, h("strong", { class: "grow" }, name), why === undefined ? mark(w.rules, "good") : null), why === undefined ? null : h("p", { class: "small quiet" }, visible(why)));
