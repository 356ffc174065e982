// What can be done about a page.

import { fill, h } from "../lib/dom.js";
import { listed } from "../lib/rules.js";
import { look } from "../lib/seen.js";
import { t } from "../lib/words.js";
import { button, field, form, said, why } from "../parts/bits.js";

/** @typedef {import("../lib/api.js").Incident} Incident */

/** How long one can put a page off, minutes. */
const SNOOZES = [15, 30, 60, 120, 240, 480];

let lists = 0;

/**
 * @param {Incident} one
 * @param {{ act: import("./incident.js").Act, asking: (is: boolean) => void, back: () => void, problems: Element, held: Element }} to
 *   `back`: draws them anew, as things are by then. `problems`: where it stands what went wrong. `held`: who has it
 * @returns {Element[]}
 */
export function actions(one, { act, asking, back, problems, held }) {
  const box = h("div", { class: "list" });
  const failed = (/** @type {unknown} */ failure) => void fill(problems, said(why(failure), "bad"));
  const does = (/** @type {string} */ label, /** @type {string} */ verb, kind = "", /** @type {Record<string, unknown>} */ more = {}) => button(label, () => act(verb, more), { class: kind, failed });
  const open = (/** @type {Element} */ form_) => {
    asking(true);
    fill(problems);
    fill(box, form_);
    /** @type {HTMLElement | null} */ (box.querySelector("input, textarea, button"))?.focus();
  };
  const asks = (/** @type {string} */ label, /** @type {() => Element} */ make) => h("button", { type: "button", onclick: () => open(make()) }, label);
  const cancel = () => h("button", { type: "button", onclick: back }, t.cancel);

  /** @param {string} label @param {Element[]} fields @param {() => [string, Record<string, unknown>]} read */
  const sends = (label, fields, read) => form(fields, label, () => act(...read()), { others: [cancel()] });
  /** To whom, with those who are known to pick from. @param {boolean} required */
  const whom = (required) => {
    const id = `known-${(lists += 1)}`;
    const known = h("datalist", { id });
    const input = h("input", { name: "to", list: id, placeholder: t.incident.toExample, autocapitalize: "none", autocomplete: "off", spellcheck: "false", required });
    input.setAttribute("list", id);
    void suggestions(one).then((names) => fill(known, names.map(([value, label]) => h("option", { value }, label)))).catch((failure) => console.warn(failure));
    return { element: h("div", {}, input, known), input };
  };
  /** @param {string} verb @param {string} label @param {string} question @param {{ required: boolean, message: boolean }} asked */
  const handing = (verb, label, question, asked) => {
    const to = whom(asked.required);
    const message = h("textarea", { name: "message", maxlength: "500" });
    const fields = [field(question, to.input, asked.required ? undefined : t.incident.nextStep(following(one))), to.element.querySelector("datalist") ?? to.element];
    return sends(label, asked.message ? [...fields, field(t.incident.message, message, t.optional)] : fields, () => {
      const named = listed(to.input.value);
      return [verb, { ...(named.length > 0 && { to: named }), ...(asked.message && message.value.trim() && { message: message.value.trim() }) }];
    });
  };
  const snooze = () => {
    const until = h("input", { type: "datetime-local", name: "until", required: true });
    const presets = SNOOZES.map((minutes) => button(t.incident.minutes(minutes), () => act("snooze", { for_seconds: minutes * 60 }), { failed }));
    return h("div", { class: "list" }, h("h3", {}, t.incident.snoozeFor), h("div", { class: "choices small-choices" }, presets),
      h("details", {}, h("summary", {}, t.incident.snoozeUntil), sends(t.incident.snooze, [field(t.incident.snoozeUntil, until)], () => ["snooze", { until: new Date(until.value).toISOString() }])), cancel());
  };
  const note = () => {
    const text = h("textarea", { name: "text", maxlength: "10000", required: true });
    return sends(t.incident.send, [field(t.incident.noteText, text)], () => ["notes", { text: text.value }]);
  };
  const merge = () => {
    const into = h("input", { name: "into", required: true, maxlength: "7", class: "code", autocapitalize: "characters", autocomplete: "off", placeholder: "P7K3M2X" });
    return sends(t.incident.merge, [field(t.incident.mergeInto, into, t.incident.mergeMeans)], () => ["merge", { into: into.value.trim().toUpperCase() }]);
  };
  const others = () =>
    h("div", { class: "list" }, h("div", { class: "choices" },
      asks(t.incident.ask, () => handing("responders", t.incident.ask, t.incident.askWhom, { required: true, message: false })),
      asks(t.incident.merge, merge),
      one.urgency === "low" ? does(t.incident.louder, "urgency", "", { urgency: "high" }) : does(t.incident.quieter, "urgency", "", { urgency: "low" })), cancel());

  // Each has its place, whatever the state is: where Acknowledge was, nothing else is ever done, and where Resolve was nothing is re-opened.
  const main = () => {
    const ended = one.state === "resolved";
    return fill(box, h("div", { class: "choices small-choices" },
      one.state === "triggered" ? does(t.incident.take, "acknowledge", "take") : h("p", { class: "taken" }, held),
      ended ? null : does(t.incident.resolve, "resolve", one.state === "acknowledged" ? "main" : ""),
      ended ? null : asks(t.incident.escalate, () => handing("escalate", t.incident.escalate, t.incident.to, { required: false, message: true })),
      ended ? null : one.snoozed ? does(t.incident.wake, "wake") : asks(t.incident.snooze, snooze),
      asks(t.incident.note, note),
      ended ? null : asks(t.incident.reassign, () => handing("reassign", t.incident.reassign, t.incident.toWhom, { required: true, message: false })),
      ended ? null : asks(t.incident.more, others),
      ended && !one.merged_into ? h("div", { class: "last" }, does(t.incident.reopen, "reopen")) : null));
  };
  return [main()];
}

/** Who the next step of the plan rings. @param {Incident} one */
function following(one) {
  const next = one.steps[(one.step ?? -1) + 1];
  return (next?.targets ?? []).map((target) => target.user?.name ?? target.team ?? target.schedule ?? "").join(", ");
}

/** People, teams and schedules that this app has seen: it may not read the list of everybody. @param {Incident} one @returns {Promise<[string, string][]>} */
async function suggestions(one) {
  const { value } = await look("/v1/on-call");
  const people = [...one.responders, ...one.steps.flatMap((step) => step.targets.flatMap(({ user }) => (user ? [user] : [])))];
  /** @type {Map<string, string>} */
  const known = new Map();
  for (const { schedule, team, now, next } of value.schedules) {
    people.push(...[now?.who, next?.who].filter((who) => who !== undefined));
    known.set(`schedule:${schedule}`, now ? t.incident.onCallNow(now.who.name) : t.oncall.gap);
    if (team) known.set(`team:${team}`, t.incident.team(team));
  }
  for (const { handle, name } of people) known.set(`@${handle}`, name);
  return [...known];
}
