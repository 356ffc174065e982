// The card: what would be done, for whom, and the three answers.

import { checkAnswer } from "../lib/statement.js";
import { kept } from "../lib/db.js";
import { deed, differences, may, progress } from "../lib/deed.js";
import { fill, h } from "../lib/dom.js";
import { signed } from "../lib/keys.js";
import { use } from "../lib/passkey.js";
import { look } from "../lib/seen.js";
import { Problem, Unreachable, call } from "../lib/session.js";
import { jcs } from "../lib/jcs.js";
import { inTurn } from "../lib/turns.js";
import { ago, past, t } from "../lib/words.js";
import { visible } from "../lib/visible.js";
import { button, field, form, mark, said, stranger, time, why } from "../parts/bits.js";

/** @typedef {import("../lib/api.js").Approval} Approval */
/** @typedef {import("../app.js").Context} Context */

/** How long after its time a request is looked at again: the server's timer rings by then. */
const AFTERWARDS = 1500;

/** @param {Context} context @param {{ id: string }} params @returns {Promise<import("../app.js").Screen>} */
export async function approval(context, { id }) {
  const path = `/v1/approvals/${encodeURIComponent(id)}`;
  const [facts, alike, box] = [h("div", { class: "list" }), h("div", { class: "list" }), h("div", { class: "list dock" })];
  const { value, since } = await look(path).catch((failure) => remembered(id, failure));
  /** @type {Approval} */
  let one = value;
  let drawn = "";
  /** Somebody is about to say why: what they write is not taken away. */
  let asking = false;
  /** How many answers are under way: what they end in stands where they were begun. */
  let answering = 0;
  /** What the answers that are offered were drawn of. */
  let offered = "";
  let later = 0;
  let changes = 0;
  const problems = h("div", { "aria-live": "assertive", class: "list" });
  const show = () => {
    if (answering > 0) return;
    const now = JSON.stringify(one);
    // Nothing moves under a finger: what has not changed is not drawn again.
    if (now !== drawn) fill(facts, ...card(context, one, over));
    drawn = now;
    if (now === offered || (one.state === "pending" && asking)) return;
    offered = now;
    fill(box, ...(one.state === "pending" ? answers(context, one, to) : ended(one)));
    box.classList.toggle("dock", one.state === "pending");
  };
  /** @param {Approval} next */
  const changed = (next) => {
    changes += 1;
    one = next;
    show();
  };
  /** @type {To} */
  const to = {
    changed,
    asking: (is) => void (asking = is),
    answering: (is) => {
      answering += is ? 1 : -1;
      show();
    },
    back: () => {
      asking = false;
      offered = "";
      fill(problems);
      show();
    },
    problems,
  };
  const refresh = inTurn(async () => {
    for (;;) {
      const before = changes;
      const next = await call("GET", path);
      // What was answered meanwhile is newer.
      if (before === changes) return changed(next);
    }
  });
  const over = () => {
    if (answering === 0) fill(box, said(t.approval.over.expired));
    later = window.setTimeout(() => void refresh().catch((failure) => console.warn(failure)), AFTERWARDS);
  };
  show();
  void folded(context, one).then((parts) => fill(alike, parts)).catch((failure) => console.warn(failure));
  return {
    title: t.approval.title,
    back: "/",
    since,
    body: [facts, alike, box],
    left: () => window.clearTimeout(later),
    happened: (event) => (event.subject === id || event.data?.approval === id ? refresh() : undefined),
    again: refresh,
  };
}

/** What was known of it when it waited. @param {string} id @param {unknown} failure @returns {Promise<{ value: any, since?: string }>} */
async function remembered(id, failure) {
  const waiting = failure instanceof Unreachable ? await kept("waiting") : undefined;
  const value = waiting?.approvals.find((/** @type {Approval} */ known) => known.id === id);
  if (!value) throw failure;
  return { value, since: waiting.at };
}

/** @param {Context} context @param {Approval} one @param {() => void} over */
function card(context, one, over) {
  const { display } = one;
  const { verb, target, place, rows } = deed(display);
  const mine = (one.delegations ?? []).filter(({ by }) => by.id === context.me.user.id);
  return [
    one.break_glass ? said(`${t.approval.breakGlass}: ${visible(one.break_glass.reason)}. ${t.approval.breakGlassUntil(ago(one.break_glass.until))}`, "bad") : null,
    h("article", { class: "card" },
      h("header", {}, h("div", { class: "deed" }, h("p", { class: "verb", tabindex: "0" }, verb), h("p", { class: "target", tabindex: "0" }, target)), clock(one, over)),
      place ? h("p", { class: "place" }, h("span", { class: "quiet" }, place.label), " ", h("strong", {}, place.value)) : null,
      h("p", {}, h("strong", {}, display.requester), " ", h("span", { class: "quiet" }, t.approval.asks), " ", display.bot,
        one.origin ? h("span", { class: "quiet" }, ` ${t.approval.in(visible(one.origin.room), visible(one.origin.platform))}`) : null),
      ...mine.map((delegation) => h("p", { class: "said" }, t.approval.for(delegation.for.name))),
      rows.length > 0 ? h("dl", { class: "facts" }, rows.map(({ label, value, exact }) => [h("dt", {}, label), h("dd", { tabindex: "0", class: exact ? "exact" : "" }, value)]).flat()) : null,
      h("div", { class: "row" }, h("span", { class: "grow quiet" }, t.approval.tag), h("span", { class: "match" }, one.tag)),
      asked(one)),
    display.reason === undefined ? null : stranger(t.approval.reason(display.requester), display.reason),
    h("details", {}, h("summary", {}, t.approval.raw),
      h("p", { class: "small quiet" }, t.approval.rawMeans(one.policy.name)), h("pre", { class: "card mono small", tabindex: "0" }, jcs(one.action)),
      h("p", { class: "small mono quiet" }, one.action_sha256)),
  ];
}

/** @param {Approval} one @param {() => void} over */
function clock(one, over) {
  if (one.state !== "pending" || one.holds_until) return null;
  const ring = document.createElement("po-ring");
  ring.setAttribute("from", one.created_at);
  ring.setAttribute("until", one.answer_by);
  ring.addEventListener("over", over);
  return ring;
}

/** Who is asked, how many of them it takes, and who has answered. @param {Approval} one */
function asked(one) {
  const groups = progress(one);
  const own = one.requester_approves ? one.approvals.find(({ by }) => by.id === one.requester.id) : undefined;
  const person = (/** @type {string} */ name, /** @type {string | undefined} */ at) =>
    h("li", { class: "row small" }, h("span", { class: "grow" }, name), at ? [mark(t.approval.gave, "good"), " ", time(at)] : mark(t.approval.notYet));
  if (groups.length === 0 && !one.requester_approves) return null;
  const parts = groups.map(({ needed, have, people }, at) =>
    h("section", { class: "list" },
      h("h2", { class: "minor row" }, h("span", { class: "grow" }, at > 0 ? t.approval.orThese : t.approval.whoIsAsked), mark(t.approval.quorum(have, needed), have >= needed ? "good" : "waiting")),
      h("ul", {}, people.slice(0, 6).map(({ who, at }) => person(who.name, at))),
      people.length > 6 ? h("details", {}, h("summary", {}, t.approval.others(people.length - 6)), h("ul", {}, people.slice(6).map(({ who, at }) => person(who.name, at)))) : null));
  return h("div", { class: "list" }, ...parts, one.requester_approves ? h("ul", {}, person(t.approval.requesterToo(one.requester.name), own?.at)) : null);
}

/** Requests alike: what this one was folded into, and what was folded into it, each with what is different. @param {Context} context @param {Approval} one @returns {Promise<Element[]>} */
async function folded({ live }, one) {
  const told = (/** @type {string} */ label, /** @type {Approval} */ other, /** @type {ReturnType<typeof differences>} */ changes) =>
    h("section", { class: "card" }, h("h2", { class: "minor" }, label),
      changes.length === 0 ? h("p", { class: "small" }, t.approval.noDifference)
        : h("dl", { class: "facts" }, changes.map(({ label, was, is }) => [h("dt", {}, label), h("dd", {}, h("del", {}, was ?? t.approval.nothing), " → ", h("ins", {}, is ?? t.approval.nothing))]).flat()),
      h("a", { class: "button", href: `/a/${other.id}` }, t.approval.see(other.tag)));
  const into = one.folded_into ? (await look(`/v1/approvals/${one.folded_into}`)).value : undefined;
  const alike = (live.waiting?.approvals ?? []).filter((other) => other.folded_into === one.id);
  return [
    ...(into ? [told(t.approval.folded(into.tag), into, differences(one.display, into.display))] : []),
    ...alike.map((other) => told(t.approval.alsoAsked(other.tag), other, differences(other.display, one.display))),
  ];
}

/** What became of it. @param {Approval} one */
function ended(one) {
  const words = t.approval.over;
  const who = one.decision?.by.name ?? "";
  const opened = one.state === "approved" && one.break_glass && !one.decision;
  const text =
    one.cancelled_because === "frozen" ? words.frozen
    : opened ? words.opened
    : one.state === "approved" ? words.approved(who)
    : one.state === "denied" ? (one.decision?.verdict === "report" ? words.reported(who) : words.denied(who))
    : one.state === "expired" ? words.expired
    : words.cancelled;
  return [
    said(text, one.state === "approved" ? "good" : ""),
    one.decision?.reason ? stranger(t.approval.whyNot(who), one.decision.reason) : null,
    one.outcome ? said(t.approval.outcome[one.outcome.outcome](past(one.outcome.at)), one.outcome.outcome === "succeeded" ? "good" : "bad") : null,
    one.outcome?.detail ? stranger(t.approval.outcomeSays(one.bot.name), one.outcome.detail) : null,
    h("a", { class: "button", href: "/" }, t.enrol.done),
  ];
}

/**
 * @typedef {object} To
 * @property {(next: Approval) => void} changed
 * @property {(is: boolean) => void} asking somebody is writing
 * @property {(is: boolean) => void} answering an answer, or its passkey's prompt, is under way
 * @property {() => void} back draws what can be answered anew, as things are by then
 * @property {Element} problems where it stands what went wrong, whatever is drawn meanwhile
 */

/** @param {Context} context @param {Approval} one @param {To} to @returns {(Element | null)[]} */
function answers(context, one, to) {
  const me = context.me.user.id;
  const { approve, refuse, approved } = may(one, me);
  const { problems } = to;
  const box = h("div", { class: "list" });
  const failed = (/** @type {unknown} */ failure) => {
    const passkey = failure instanceof Problem && failure.code === "passkey_unknown";
    fill(problems, said(explain(failure), "bad"), passkey ? h("a", { class: "button", href: "/on-duty" }, t.enrol.makePasskey) : null);
    if (!(failure instanceof Problem && failure.body["approval"])) return;
    to.asking(false);
    to.changed(/** @type {Approval} */ (failure.body["approval"]));
  };
  /** @param {string} verdict @param {string} factor @param {Record<string, unknown>} more */
  const answer = async (verdict, factor, more = {}) => {
    fill(problems);
    to.answering(true);
    try {
      await sent(verdict, factor, more);
    } finally {
      to.answering(false);
    }
    void context.live.refresh();
  };
  /** @param {string} verdict @param {string} factor @param {Record<string, unknown>} more */
  const sent = async (verdict, factor, more) => {
    const offered = await call("POST", `/v1/approvals/${one.id}/challenge`, { verdict, factor });
    await checkAnswer(offered, { issuer: context.me.issuer, me, approval: one, verdict, factor });
    const proof =
      factor === "passkey"
        ? { credential: await use(offered.public_key) }
        : { jws: await signed(context.me.keys.privateKey, { typ: "phoneops-answer+jws" }, offered.statement) };
    const say = () => call("POST", `/v1/approvals/${one.id}/answers`, { challenge: offered.challenge, ...proof, ...more });
    // The same answer again gets the same reply: one that was lost is asked for once more, and nothing is sent later by itself.
    const next = await say().catch((failure) => (failure instanceof Unreachable ? say() : Promise.reject(failure)));
    to.asking(false);
    to.changed(next);
  };
  const refusals = () => [
    h("button", { type: "button", class: "refuse", onclick: () => ask("deny") }, t.approval.deny),
    h("button", { type: "button", class: "refuse", onclick: () => ask("report") }, t.approval.report),
  ];
  const main = () => {
    if (approve && one.factor === "code") return fill(box, byCode(), h("div", { class: "choices" }, refusals()));
    return fill(box, h("div", { class: "choices" },
      approve ? button(t.approval.approve, () => answer("approve", "passkey"), { class: "main", failed }) : null,
      refuse ? refusals() : null));
  };
  const byCode = () => {
    const code = h("input", { name: "code", inputmode: "numeric", autocomplete: "one-time-code", pattern: "[0-9]{6}", maxlength: "6", class: "code", required: true });
    // Whoever types is not interrupted by what others answer.
    code.addEventListener("focus", () => to.asking(true));
    const send = () => answer("approve", "code", { code: code.value });
    const instead = button(t.approval.passkeyInstead, () => answer("approve", "passkey"), { failed });
    return form([field(t.approval.code, code, t.approval.codeHint)], t.approval.approve, send, { others: [instead], failed: explain });
  };
  /** @param {"deny" | "report"} verdict */
  const ask = (verdict) => {
    to.asking(true);
    const reason = h("textarea", { maxlength: "1000", name: "reason" });
    const back = h("button", { type: "button", onclick: to.back }, t.cancel);
    const say = () => answer(verdict, "tap", reason.value.trim() === "" ? {} : { reason: reason.value.trim() });
    fill(box,
      h("h2", {}, verdict === "report" ? t.approval.reportTitle : t.approval.denyTitle),
      verdict === "report" ? h("p", {}, t.approval.reportHint) : null,
      field(t.approval.denyReason, reason, t.optional),
      h("div", { class: "choices" }, button(verdict === "report" ? t.approval.report : t.approval.deny, say, { class: "take", failed }), back));
    reason.focus();
  };
  return [
    approved ? said(t.approval.you) : null,
    one.holds_until && !one.break_glass ? said(t.approval.holds(ago(one.holds_until))) : null,
    refuse ? null : said(t.approval.notYours),
    problems, main()];
}

/** @param {unknown} failure */
function explain(failure) {
  if (!(failure instanceof Problem)) return why(failure);
  if (failure.code === "code_wrong") return t.approval.codeWrong(Number(failure.body["tries_left"]));
  if (failure.code === "code_locked") return t.approval.codeLocked(ago(String(failure.body["until"])));
  return why(failure);
}
