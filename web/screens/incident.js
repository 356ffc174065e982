// A page: what is wrong, who has it, and what can be done.

import { fill, h, settle } from "../lib/dom.js";
import { kept } from "../lib/db.js";
import { random } from "../lib/bytes.js";
import { farthest, undoable } from "../lib/incidents.js";
import { look } from "../lib/seen.js";
import { Problem, Unreachable, call } from "../lib/session.js";
import { inTurn } from "../lib/turns.js";
import { visible } from "../lib/visible.js";
import { ago, t } from "../lib/words.js";
import { button, mark, stranger, time } from "../parts/bits.js";
import { actions } from "./incident_acts.js";

/** @typedef {import("../lib/api.js").Incident} Incident */
/** @typedef {import("../lib/api.js").Line} Line */
/** @typedef {import("../lib/api.js").Delivery} Delivery */
/** @typedef {import("../app.js").Context} Context */
/** @typedef {(verb: string, more?: Record<string, unknown>) => Promise<void>} Act */

/** How many pages of a timeline are read: two thousand lines. */
const PAGES = 4;

/** @param {Context} context @param {{ ref: string }} params @returns {Promise<import("../app.js").Screen>} */
export async function incident(context, { ref }) {
  const path = `/v1/incidents/${encodeURIComponent(ref)}`;
  const [head, box, rest] = [h("div", { class: "list" }), h("div", { class: "list" }), h("div", { class: "list wide" })];
  /** @type {{ one: Incident, lines: Line[], deliveries: Delivery[], since?: string }} */
  let known = await everything(path, ref);
  /** A form is open: it is not taken from under somebody's fingers. */
  let asking = false;
  /** How many acts are under way: what they end in stands where they were begun. */
  let acting = 0;
  let [drawn, offered, labels] = ["", "", ""];
  const problems = h("div", { "aria-live": "assertive" });
  const show = () => {
    if (acting > 0) return;
    const now = JSON.stringify(known);
    if (now !== drawn) tell();
    drawn = now;
    const offers = JSON.stringify(known.one);
    if (asking || offers === offered) return;
    offered = offers;
    fill(box, problems, ...actions(known.one, { act, asking: (is) => (asking = is), back, problems, held: state(known.one, context.me.user.id) }));
    const before = labels;
    labels = [...box.querySelectorAll("button")].map((one) => one.textContent).join("\n");
    // What another did brought other buttons: who aimed at one that was there before does not hit them.
    if (before !== "" && before !== labels) settle(box);
  };
  /** What can be done, as it is now. */
  const back = () => {
    asking = false;
    offered = "";
    show();
  };
  const tell = () => {
    const { one, lines, deliveries } = known;
    fill(head, summary(one, context.me.user.id));
    // Behind what can be done, which nothing that anybody told may push away.
    fill(rest, notMe(context, one, lines, act), one.details ? stranger(t.incident.details, one.details) : null, links(one), responders(one, deliveries), steps(one), timeline(lines));
  };
  const again = inTurn(async () => {
    known = await everything(path, ref);
    show();
  });
  /** @type {Act} */
  const act = async (verb, more = {}) => {
    // One key for one tap: a lost reply is asked for again, and nothing is done twice.
    const once = random(16);
    const say = () => call("POST", `${path}/${verb}`, more, { once });
    acting += 1;
    fill(problems);
    try {
      await say().catch((failure) => (failure instanceof Problem ? Promise.reject(failure) : say()));
      await again();
      asking = false;
      offered = "";
    } finally {
      acting -= 1;
      show();
    }
    void context.live.refresh();
  };
  show();
  return {
    title: known.one.ref,
    back: "/",
    since: known.since,
    body: [head, box, rest],
    happened: (event) => (event.subject === known.one.id || event.data?.incident === known.one.id ? again() : undefined),
    again,
  };
}

/** @param {string} path @param {string} ref @returns {Promise<{ one: Incident, lines: Line[], deliveries: Delivery[], since?: string }>} */
async function everything(path, ref) {
  try {
    const [one, told, { value }] = await Promise.all([look(path), look(`${path}/timeline?limit=500`), look(`${path}/deliveries`)]);
    const lines = [...told.value.lines];
    for (let page = 1, next = told.value.next; next && !one.since && page < PAGES; page += 1) {
      const more = await call("GET", `${path}/timeline?limit=500&cursor=${next}`);
      lines.push(...more.lines);
      next = more.next;
    }
    return { one: one.value, lines, deliveries: value.deliveries, ...(one.since && { since: one.since }) };
  } catch (failure) {
    // What was known of it when it rang.
    const waiting = failure instanceof Unreachable ? await kept("waiting") : undefined;
    const one = waiting?.incidents.find((/** @type {Incident} */ known) => known.ref === ref.toUpperCase());
    if (!one) throw failure;
    return { one, lines: [], deliveries: [], since: waiting.at };
  }
}

/** @param {Incident} one @param {string} me */
function summary(one, me) {
  const from = [one.service, one.team].filter((part) => part !== undefined).join(" · ");
  return h("article", { class: "card" },
    h("p", {}, state(one, me)),
    h("h2", { class: "title", tabindex: "0" }, visible(one.title)),
    h("p", { class: "quiet" }, from === "" ? null : `${from} · `, t.incident.began, " ", time(one.created_at),
      one.reports > 1 ? ` · ${t.incident.reported(one.reports)}` : null, one.urgency === "low" ? ` · ${t.inbox.low}` : null),
    standing(one),
    one.merged_into ? h("a", { class: "button", href: `/i/${one.merged_into}` }, t.incident.goesOn(one.merged_into)) : null,
    one.labels && Object.keys(one.labels).length > 0
      ? h("p", { class: "row" }, Object.entries(one.labels).map(([name, value]) => h("span", { class: "mark" }, visible(`${name} ${value}`)))) : null);
}

/** Who has it. @param {Incident} one */
export const holder = (one) => one.acted?.by?.name ?? one.acted?.integration ?? "";

/** @param {Incident} one @param {string} me */
export function state(one, me) {
  if (one.state === "triggered") return one.urgency === "low" ? mark(t.inbox.low) : mark(t.inbox.rings(one.rings), "ringing");
  if (one.state === "resolved") return mark(t.inbox.resolved, "good");
  return mark(one.snoozed ? t.inbox.snoozed : one.acted?.by?.id === me ? t.incident.yours : t.inbox.held(holder(one)), "waiting");
}

/** @param {Incident} one */
function standing(one) {
  const [who, via] = [holder(one), one.acted?.via?.name ?? ""];
  const at = one.acted ? time(one.acted.at) : null;
  if (one.state === "resolved") return h("p", {}, t.incident.resolvedBy(who, via), " ", at);
  return h("div", {},
    one.state === "acknowledged" ? h("p", {}, one.snoozed ? t.incident.snoozedBy(who, via) : t.incident.ackedBy(who, via), " ", at) : h("p", {}, t.incident.nobody),
    one.rings_at ? h("p", { class: "small quiet" }, t.incident.nextRing(ago(one.rings_at))) : null);
}

/** What a bot did last in my name, and how to undo it. @param {Context} context @param {Incident} one @param {Line[]} lines @param {Act} act */
function notMe(context, one, lines, act) {
  const mine = one.acted?.by?.id === context.me.user.id && one.acted?.via;
  const line = undoable(lines, context.me.user.id);
  if (!mine && !line) return null;
  const problems = h("div");
  const said_ = line ? visible(line.text) : t.incident.inYourName(one.acted?.via?.name ?? "");
  return h("section", { class: "said row" }, h("p", { class: "grow told", tabindex: "0" }, said_, " ", h("span", { class: "quiet" }, t.incident.wasItYou)),
    button(t.incident.notMe, () => act("not-me"), { class: "refuse" }), problems);
}

/** @param {Incident} one */
function links(one) {
  const safe = one.links.filter((link) => /^https?:\/\//i.test(link));
  if (safe.length === 0) return null;
  return h("section", { class: "list" }, h("h2", {}, t.incident.links),
    h("ul", { class: "rows" }, safe.map((link) => h("li", {}, h("a", { href: link, rel: "noreferrer noopener", target: "_blank" }, visible(link))))));
}

/** Who was rung, and what their phones said. @param {Incident} one @param {Delivery[]} deliveries */
function responders(one, deliveries) {
  if (one.responders.length === 0) return null;
  const row = (/** @type {import("../lib/api.js").Person} */ person) => {
    const came = farthest(deliveries, person.id);
    const words = came ? t.incident.came[came.state] : undefined;
    return h("li", {}, h("div", { class: "row" }, h("span", { class: "grow" }, person.name),
      words && came ? h("span", { class: "small quiet" }, words(came.device?.name ?? t.incident.byMail), " ", time(came.at)) : null));
  };
  return h("section", { class: "list" }, h("h2", {}, t.incident.responders), h("ul", { class: "rows" }, one.responders.map(row)));
}

/** @param {Incident} one */
function steps(one) {
  const name = (/** @type {Incident["steps"][number]["targets"][number]} */ target) => target.user?.name ?? (target.team ? t.incident.team(target.team) : t.incident.schedule(target.schedule ?? ""));
  return h("details", { open: one.state === "triggered" }, h("summary", {}, t.incident.who),
    h("ol", { class: "steps" }, one.steps.map((step, at) => {
      const now = one.step === at && one.state === "triggered";
      const names = step.targets.map(name).join(", ");
      const last = at === one.steps.length - 1;
      return h("li", { "aria-current": now ? "step" : undefined },
        h("div", {}, last ? [t.incident.lastStep, names === "" ? "" : ` (${names})`].join("") : names, now ? [" ", mark(t.incident.now, "ringing")] : null,
          step.escalate_after_seconds ? h("span", { class: "quiet" }, ` ${t.incident.after(step.escalate_after_seconds)}`) : null));
    })));
}

/** The newest first: what one wants to know is what happened last. @param {Line[]} lines */
const timeline = (lines) =>
  lines.length === 0 ? null
    : h("section", { class: "list" }, h("h2", {}, t.incident.timeline),
        h("ol", { class: "timeline" }, lines.toReversed().map((line) => h("li", {}, h("p", {}, visible(line.text)), h("p", { class: "quiet small" }, time(line.at))))));
