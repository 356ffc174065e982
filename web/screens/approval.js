// The card: what would be done, for whom, and the three answers.

import { checkAnswer } from "../lib/statement.js";
import { fill, h } from "../lib/dom.js";
import { signed } from "../lib/keys.js";
import { use } from "../lib/passkey.js";
import { Problem, call } from "../lib/session.js";
import { jcs } from "../lib/jcs.js";
import { ago, t } from "../lib/words.js";
import { visible } from "../lib/visible.js";
import { button, field, mark, said, stranger, time, why } from "../parts/bits.js";

/** @typedef {import("../lib/api.js").Approval} Approval */
/** @typedef {import("../app.js").Context} Context */

/** @param {Context} context @param {{ id: string }} params @returns {Promise<import("../app.js").Screen>} */
export async function approval(context, { id }) {
  const path = `/v1/approvals/${encodeURIComponent(id)}`;
  const body = h("div", { class: "list" });
  /** @type {Approval} */
  let one = await call("GET", path);
  let shown = "";
  const show = () => {
    // Nothing moves under a finger: what has not changed is not drawn again.
    const now = JSON.stringify(one);
    if (now !== shown) fill(body, ...card(context, one, changed));
    shown = now;
  };
  /** @param {Approval} next */
  const changed = (next) => {
    one = next;
    show();
  };
  show();
  return {
    title: t.approval.title,
    back: "/",
    body: [body],
    happened: async (event) => {
      if (event.subject === id || event.data?.approval === id) changed(await call("GET", path));
    },
  };
}

/** @param {Context} context @param {Approval} one @param {(next: Approval) => void} changed */
function card(context, one, changed) {
  const { display } = one;
  const [verb, target] = deed(one);
  const mine = (one.delegations ?? []).filter(({ by }) => by.id === context.me.user.id);
  return [
    one.break_glass ? said(`${t.approval.breakGlass}: ${visible(one.break_glass.reason)}. ${t.approval.breakGlassUntil(ago(one.break_glass.until))}`, "bad") : null,
    h("article", { class: "card" },
      h("header", {}, h("div", { class: "deed" }, h("p", { class: "verb" }, verb), h("p", { class: "target", tabindex: "0" }, target)), clock(one)),
      h("p", {}, h("strong", {}, display.requester), " ", h("span", { class: "quiet" }, t.approval.asks), " ", display.bot),
      ...mine.map((delegation) => h("p", { class: "said" }, t.approval.for(delegation.for.name))),
      h("dl", { class: "facts" }, display.rows.slice(2).flatMap(({ label, value }) => [h("dt", {}, label), h("dd", { tabindex: "0" }, value)])),
      h("div", { class: "row" }, h("span", { class: "grow quiet" }, t.approval.tag), h("span", { class: "match" }, one.tag)),
      progress(one)),
    display.reason === undefined ? null : stranger(t.approval.reason, display.reason),
    one.folded_into ? h("p", { class: "quiet small" }, t.approval.folded) : null,
    h("details", {}, h("summary", {}, t.approval.raw), h("pre", { class: "card mono small", tabindex: "0", style: null }, jcs(one.action))),
    one.state === "pending" ? answers(context, one, changed) : over(one),
  ].filter((part) => part !== null);
}

/** What is done, and to what: as the signed display says it. @param {Approval} one @returns {[string, string]} */
function deed({ display }) {
  const [action, target] = display.rows;
  return [action?.value ?? display.title, target?.value ?? ""];
}

/** @param {Approval} one */
function clock(one) {
  if (one.state !== "pending" || one.holds_until) return null;
  const ring = document.createElement("po-ring");
  ring.setAttribute("from", one.created_at);
  ring.setAttribute("until", one.answer_by);
  return ring;
}

/** @param {Approval} one */
function progress(one) {
  const needed = Math.min(...one.quorums.map((quorum) => quorum.needed + (one.requester_approves ? 1 : 0)));
  const many = Number.isFinite(needed) && needed > 1;
  if (!many && one.approvals.length === 0) return null;
  return h("ul", { class: "list" },
    many ? h("li", {}, mark(t.approval.quorum(one.approvals.length, needed), "waiting")) : null,
    one.approvals.map(({ by, at }) => h("li", { class: "small" }, t.approval.approvedBy(by.name), " ", time(at))));
}

/** @param {Approval} one */
function over(one) {
  const words = t.approval.over;
  const who = one.decision?.by.name ?? "";
  const opened = one.state === "approved" && one.break_glass && !one.decision;
  const text =
    one.cancelled_because === "frozen" ? words.frozen
    : opened ? words.opened
    : one.state === "approved" ? words.approved(who)
    : one.state === "denied" ? words.denied(who)
    : one.state === "expired" ? words.expired
    : words.cancelled;
  return h("div", { class: "list" },
    said(text, one.state === "approved" ? "good" : ""),
    one.decision?.reason ? stranger(t.approval.denyReason, one.decision.reason) : null,
    one.outcome ? said(t.approval.outcome[one.outcome.outcome], one.outcome.outcome === "succeeded" ? "good" : "bad") : null,
    one.outcome?.detail ? stranger("", one.outcome.detail) : null);
}

/** @param {Context} context @param {Approval} one @param {(next: Approval) => void} changed */
function answers(context, one, changed) {
  const me = context.me.user.id;
  const problems = h("div", { "aria-live": "assertive" });
  const box = h("div", { class: "list dock" });
  const failed = (/** @type {unknown} */ failure) => {
    fill(problems, said(explain(failure), "bad"));
    if (failure instanceof Problem && failure.body["approval"]) changed(/** @type {Approval} */ (failure.body["approval"]));
  };
  /** @param {string} verdict @param {string} factor @param {Record<string, unknown>} more */
  const answer = async (verdict, factor, more = {}) => {
    const offered = await offer(verdict, factor);
    await checkAnswer(offered, { issuer: context.me.issuer, me, approval: one, verdict, factor });
    const proof =
      factor === "passkey"
        ? { credential: await use(offered.public_key) }
        : { jws: await signed(context.me.keys.privateKey, { typ: "phoneops-answer+jws" }, offered.statement) };
    changed(await call("POST", `/v1/approvals/${one.id}/answers`, { challenge: offered.challenge, ...proof, ...more }));
    void context.live.refresh();
  };
  /** @param {string} verdict @param {string} factor */
  const offer = (verdict, factor) => call("POST", `/v1/approvals/${one.id}/challenge`, { verdict, factor });

  const approved = one.approvals.some(({ by }) => by.id === me);
  const may = !approved && !one.holds_until && !one.break_glass && (one.approvers.some(({ id }) => id === me) || (one.requester_approves && one.requester.id === me) || (one.quorums.length === 0 && one.requester.id === me));
  const concerned = may || approved || one.approvers.some(({ id }) => id === me) || one.requester.id === me;
  const refusals = () => [
    h("button", { type: "button", class: "refuse", onclick: () => refuse("deny") }, t.approval.deny),
    h("button", { type: "button", class: "refuse", onclick: () => refuse("report") }, t.approval.report),
  ];
  const main = () => {
    const choices = h("div", { class: "choices" });
    if (may && one.factor === "code") return [byCode(), h("div", { class: "choices" }, refusals())];
    if (may) choices.append(button(t.approval.approve, () => answer("approve", "passkey"), { class: "main", failed }));
    if (concerned) choices.append(...refusals());
    return [choices];
  };
  const byCode = () => {
    const code = h("input", { name: "code", inputmode: "numeric", autocomplete: "one-time-code", pattern: "[0-9]{6}", maxlength: "6", class: "code", required: true });
    const form = h("form", {}, field(t.approval.code, code), h("button", { type: "submit", class: "main" }, t.approval.approve));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await answer("approve", "code", { code: code.value });
      } catch (failure) {
        failed(failure);
      }
    });
    return h("div", { class: "list" }, form, button(t.approval.passkeyInstead, () => answer("approve", "passkey"), { class: "plain", failed }));
  };
  /** @param {"deny" | "report"} verdict */
  const refuse = (verdict) => {
    const reason = h("textarea", { maxlength: "1000", name: "reason" });
    const back = h("button", { type: "button", onclick: () => fill(box, problems, ...main()) }, t.incident.cancel);
    const say = () => answer(verdict, "tap", reason.value.trim() === "" ? {} : { reason: reason.value.trim() });
    fill(box, problems,
      verdict === "report" ? h("p", {}, t.approval.reportHint) : null,
      field(t.approval.denyReason, reason, t.approval.optional),
      h("div", { class: "choices" }, button(verdict === "report" ? t.approval.report : t.approval.deny, say, { class: "take", failed }), back));
    reason.focus();
  };
  return fill(box, approved ? said(t.approval.you) : null,
    one.holds_until && !one.break_glass ? said(t.approval.holds(ago(one.holds_until))) : null,
    concerned ? null : said(t.approval.notYours), problems, ...main());
}

/** @param {unknown} failure */
function explain(failure) {
  if (failure instanceof Problem && failure.code === "code_wrong") return t.approval.codeWrong(Number(failure.body["tries_left"]));
  return why(failure);
}
