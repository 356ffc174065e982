// A page: what is wrong, who has it, and what can be done.

import { fill, h } from "../lib/dom.js";
import { random } from "../lib/bytes.js";
import { Problem, call } from "../lib/session.js";
import { visible } from "../lib/visible.js";
import { ago, t } from "../lib/words.js";
import { button, field, mark, said, stranger, time, why } from "../parts/bits.js";

/** @typedef {import("../lib/api.js").Incident} Incident */
/** @typedef {import("../app.js").Context} Context */
/** @typedef {{ at: string, kind: string, text: string }} Told */

/** How long one can put a page off, minutes. */
const SNOOZES = [15, 30, 60, 120, 240, 480];

/** @param {Context} context @param {{ ref: string }} params @returns {Promise<import("../app.js").Screen>} */
export async function incident(context, { ref }) {
  const path = `/v1/incidents/${encodeURIComponent(ref)}`;
  const body = h("div", { class: "list" });
  const fetched = () => Promise.all([call("GET", path), call("GET", `${path}/timeline`)]);
  let [one, { lines }] = await fetched();
  const show = () => fill(body, ...card(context, one, lines, act));
  /** @param {string} verb @param {Record<string, unknown>} more */
  const act = async (verb, more = {}) => {
    // One key for one tap: a lost reply is asked for again, and nothing is done twice.
    const once = random(16);
    const say = () => call("POST", `${path}/${verb}`, more, { once });
    await say().catch((failure) => (failure instanceof Problem ? Promise.reject(failure) : say()));
    [one, { lines }] = await fetched();
    show();
    void context.live.refresh();
  };
  show();
  return {
    title: one.ref,
    back: "/",
    body: [body],
    happened: async (event) => {
      if (event.subject !== one.id && event.data?.incident !== one.id) return;
      [one, { lines }] = await fetched();
      show();
    },
  };
}

/** @param {Context} context @param {Incident} one @param {Told[]} timeline @param {(verb: string, more?: Record<string, unknown>) => Promise<void>} act */
function card(context, one, timeline, act) {
  return [
    h("article", { class: "card" },
      h("header", {}, h("h1", {}, visible(one.title)), state(one)),
      h("p", { class: "quiet" }, [one.service, one.team].filter(Boolean).join(" · "), one.service || one.team ? " · " : null, time(one.created_at),
        (one.reports ?? 0) > 1 ? ` · ${t.incident.reported(/** @type {number} */ (one.reports))}` : null),
      standing(one)),
    actions(context, one, act),
    one.details ? stranger(t.incident.details, one.details) : null,
    links(one),
    steps(one),
    h("section", { class: "list" }, h("h2", {}, t.incident.timeline), h("ol", { class: "timeline" }, timeline.map(told))),
  ].filter((part) => part !== null);
}

/** @param {Incident} one */
function state(one) {
  if (one.state === "triggered") return mark(t.inbox.rings(one.rings), "ringing");
  if (one.state === "resolved") return mark(t.inbox.resolved, "good");
  return mark(one.snoozed ? t.inbox.snoozed : t.inbox.held(one.acted?.by?.name ?? one.acted?.integration ?? ""), "waiting");
}

/** @param {Incident} one */
function standing(one) {
  const who = one.acted?.by?.name ?? one.acted?.integration ?? "";
  const via = one.acted?.via?.name ?? "";
  if (one.state === "resolved") return h("p", {}, t.incident.resolvedBy(who, via), " ", time(/** @type {string} */ (one.acted?.at)));
  return h("div", { class: "small quiet" },
    one.state === "acknowledged" ? h("p", {}, t.incident.ackedBy(who, via)) : null,
    one.rings_at ? h("p", {}, t.incident.nextRing(ago(one.rings_at))) : null);
}

/** @param {Context} context @param {Incident} one @param {(verb: string, more?: Record<string, unknown>) => Promise<void>} act */
function actions(context, one, act) {
  const box = h("div", { class: "list dock" });
  const problems = h("div");
  const failed = (/** @type {unknown} */ failure) => void fill(problems, said(why(failure), "bad"));
  const does = (/** @type {string} */ label, /** @type {string} */ verb, kind = "") => button(label, () => act(verb), { class: kind, failed });
  const asks = (/** @type {string} */ label, /** @type {() => Element} */ form) =>
    h("button", { type: "button", onclick: () => void fill(box, problems, form()) }, label);
  const mine = one.acted?.by?.id === context.me.user.id && one.acted?.via;
  const main = () =>
    fill(box, problems, h("div", { class: "choices" },
      one.state === "triggered" ? does(t.incident.take, "acknowledge", "take") : null,
      mine ? does(t.incident.notMe, "not-me", "refuse") : null,
      one.state === "resolved" ? does(t.incident.reopen, "reopen") : does(t.incident.resolve, "resolve", one.state === "acknowledged" ? "main" : ""),
      one.state === "resolved" ? null : asks(t.incident.escalate, () => handing("escalate", t.incident.escalate, t.incident.to, true)),
      one.state === "resolved" ? null : asks(t.incident.snooze, snooze),
      asks(t.incident.note, note),
      one.state === "resolved" ? null : asks(t.incident.reassign, () => handing("reassign", t.incident.reassign, t.incident.to, false))));
  const cancel = () => h("button", { type: "button", onclick: () => void main() }, t.incident.cancel);

  /** @param {string} label @param {Element[]} fields @param {() => [string, Record<string, unknown>]} read */
  const form = (label, fields, read) => {
    const send = h("button", { type: "submit", class: "main" }, label);
    const element = h("form", {}, ...fields, h("div", { class: "choices" }, send, cancel()));
    element.addEventListener("submit", async (event) => {
      event.preventDefault();
      send.setAttribute("aria-busy", "true");
      try {
        await act(...read());
      } catch (failure) {
        failed(failure);
      }
      send.removeAttribute("aria-busy");
    });
    return element;
  };
  /** @param {string} verb @param {string} label @param {string} question @param {boolean} optional */
  const handing = (verb, label, question, optional) => {
    const to = h("input", { name: "to", placeholder: t.incident.toExample, autocapitalize: "none", autocomplete: "off", required: !optional });
    const message = h("textarea", { name: "message", maxlength: "1000" });
    return form(label, [field(question, to), field(t.incident.message, message, t.approval.optional)], () => {
      const named = to.value.split(",").map((one) => one.trim()).filter((one) => one !== "");
      return [verb, { ...(named.length > 0 && { to: named }), ...(message.value.trim() && { message: message.value.trim() }) }];
    });
  };
  const snooze = () =>
    h("div", { class: "list" }, h("h3", {}, t.incident.snoozeFor),
      h("div", { class: "choices" }, SNOOZES.map((minutes) => button(t.incident.minutes(minutes), () => act("snooze", { for_seconds: minutes * 60 }), { failed }))), cancel());
  const note = () => {
    const text = h("textarea", { name: "text", maxlength: "10000", required: true });
    return form(t.incident.send, [field(t.incident.noteText, text)], () => ["notes", { text: text.value }]);
  };
  return main();
}

/** @param {Incident} one */
function links(one) {
  if (one.links.length === 0) return null;
  const safe = one.links.filter((link) => /^https?:\/\//i.test(link));
  return h("section", { class: "list" }, h("h2", {}, t.incident.links),
    h("ul", { class: "rows" }, safe.map((link) => h("li", {}, h("a", { href: link, rel: "noreferrer noopener", target: "_blank" }, visible(link))))));
}

/** @param {Incident} one */
function steps(one) {
  const name = (/** @type {Incident["steps"][number]["targets"][number]} */ target) => target.user?.name ?? target.team ?? target.schedule ?? "";
  return h("section", { class: "list" }, h("h2", {}, t.incident.who),
    h("ol", { class: "steps" }, one.steps.map((step, at) =>
      h("li", { "aria-current": one.step === at && one.state === "triggered" ? "step" : undefined },
        h("div", {}, at === one.steps.length - 1 ? t.incident.lastStep : step.targets.map(name).join(", "),
          step.escalate_after_seconds ? h("span", { class: "quiet" }, ` ${t.incident.after(step.escalate_after_seconds)}`) : null)))));
}

/** @param {Told} entry */
const told = (entry) => h("li", {}, h("p", {}, visible(entry.text)), h("p", { class: "quiet small" }, time(entry.at)));
