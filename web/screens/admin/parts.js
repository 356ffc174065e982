// What the screens for administrators are made of: screens that say what was just done, questions before something ends, secrets that are
// shown once, and the passkey that a weakening takes.

import { checkAct } from "../../lib/statement.js";
import { fill, h } from "../../lib/dom.js";
import { use } from "../../lib/passkey.js";
import { Problem, call, request } from "../../lib/session.js";
import { visible } from "../../lib/visible.js";
import { past, when } from "../../lib/words.js";
import { a } from "../../lib/words/admin.js";
import { button, empty, icon, said, why } from "../../parts/bits.js";
import { qr } from "../../parts/qr.js";

/** @typedef {import("../../app.js").Context} Context */
/** @typedef {import("../../app.js").Screen} Screen */
/** @typedef {import("../../lib/api.js").Person} Person */

/** What was just done, for the next screen to say. */
let news = "";

/**
 * @param {string} title @param {string} back @param {(Node | null)[]} body @param {{ wide?: boolean }} [how]
 * @returns {Screen}
 */
export function screen(title, back, body, { wide = false } = {}) {
  const told = news === "" ? null : said(news, "good");
  news = "";
  return { title, back, tab: "me", body: [h("div", { class: wide ? "list admin wide" : "list admin" }, told, body)] };
}

/** Shows another screen, which says what was done. @param {Context} context @param {string} path @param {string} [text] */
export function leave({ go }, path, text = "") {
  news = text;
  go(path);
}

/** @param {string} title @param {(Node | null | false)[]} rows @param {...(Node | null)} more */
export const section = (title, rows, ...more) =>
  h("section", { class: "list" }, h("h2", {}, title), rows.some(Boolean) ? h("div", { class: "rows" }, rows) : null, more);

/** Somebody, by name and handle. @param {Person} person */
export const named = ({ name, handle }) => h("span", {}, h("strong", {}, visible(name)), " ", h("span", { class: "quiet" }, `@${handle}`));

/** Facts that are there. @param {[string, string | Node | undefined | null | false][]} facts */
export const facts = (facts) =>
  h("dl", { class: "facts plain" }, facts.flatMap(([term, value]) => (value ? [h("dt", {}, term), h("dd", {}, value instanceof Node ? value : visible(value))] : [])));

/** A row that leads somewhere. @param {string} href @param {Node | string} title @param {string} sub @param {(Node | null | false)[]} [marks] */
export const way = (href, title, sub, marks = []) =>
  h("a", { href, class: "way" }, h("span", { class: "grow" }, h("span", { class: "name" }, title), sub ? h("span", { class: "small quiet" }, sub) : null), h("span", { class: "marks" }, marks), chevron());

const chevron = () => h("span", { class: "chevron", "aria-hidden": "true" }, icon("back"));

/** A link that looks like a button. @param {string} href @param {string} label @param {string} [kind] */
export const to = (href, label, kind = "") => h("a", { href, class: `button ${kind}` }, label);

/** @param {string | undefined} at */
export const used = (at) => (at ? a.used(past(at)) : a.unused);

/**
 * Asks before it is done, in a dialog of its own.
 * @param {object} with_
 * @param {string} with_.title
 * @param {(Node | string | null)[]} [with_.body]
 * @param {string} with_.yes
 * @param {string} [with_.no]
 * @param {string} [with_.kind] of the button that does it
 * @param {() => Promise<unknown>} [with_.act] what it does, while the dialog stands: what goes wrong is said there
 * @returns {Promise<boolean>} whether it was done
 */
export function ask({ title, body = [], yes, no = a.cancel, kind = "refuse", act = async () => undefined }) {
  const trouble = h("div", { "aria-live": "polite" });
  const heading = h("h2", { id: "asked" }, title);
  const dialog = h("dialog", { "aria-labelledby": "asked" }, heading, body.map((part) => (typeof part === "string" ? h("p", {}, part) : part)), trouble);
  let agreed = false;
  const go = button(yes, async () => {
    await act();
    agreed = true;
    dialog.close();
  }, { class: kind, failed: (failure) => fill(trouble, said(why(failure), "bad"), hint(failure)) });
  const stay = h("button", { type: "button", onclick: () => dialog.close() }, no);
  dialog.append(h("div", { class: "choices" }, go, stay));
  document.body.append(dialog);
  const before = document.activeElement;
  dialog.showModal();
  // What does nothing has the focus: nobody agrees by a key that was meant for something else.
  stay.focus();
  return new Promise((done) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      done(agreed);
    });
  });
}

/** @param {unknown} failure */
const hint = (failure) => (failure instanceof Problem && failure.code === "passkey_unknown" ? h("p", {}, a.stepUp.noPasskey) : null);

/**
 * Changes something. What weakens waits for a passkey, which is asked for at once.
 * @param {Context} context @param {string} method @param {string} path @param {unknown} [body] @param {string} [once]
 * @returns {Promise<{ done: boolean, made: any }>} `done`: false when the passkey was put off. `made`: what the server answered
 */
export async function change(context, method, path, body, once) {
  const response = await request(method, path, { ...(body === undefined ? {} : { body }), ...(once ? { once } : {}) });
  const made = response.status === 204 ? null : await response.json();
  return response.status === 202 ? stepUp(context, made) : { done: true, made };
}

/**
 * The passkey of an administrator, over exactly this change.
 * @param {Context} context @param {import("../../lib/api.js").Act} act
 * @returns {Promise<{ done: boolean, made: any }>}
 */
async function stepUp({ me, live }, act) {
  /** @type {any} */
  let made = null;
  const sign = async () => {
    const offered = await call("POST", `/v1/acts/${act.id}/challenge`, {});
    await checkAct(offered, { issuer: me.issuer, me: me.user.id, act });
    made = await call("POST", `/v1/acts/${act.id}/confirm`, { challenge: offered.challenge, credential: await use(offered.public_key) });
  };
  const what = h("details", {}, h("summary", {}, a.stepUp.what), h("pre", { class: "mono small", tabindex: "0" }, visible(JSON.stringify(act.change, null, 2))));
  const done = await ask({ title: a.stepUp.title, body: [a.stepUp.weakens(visible(act.why)), what], yes: a.stepUp.go, no: a.stepUp.later, kind: "main", act: sign });
  void live.refresh();
  return { done, made };
}

/**
 * A button that asks first, changes, and goes on.
 * @param {Context} context
 * @param {{ label: string, title: string, what: string, method: string, path: string, body?: unknown, then: () => void }} with_
 */
export function sure(context, { label, title, what, method, path, body, then }) {
  const trouble = h("div", { "aria-live": "polite" });
  const go = button(label, async () => {
    /** @type {Response[]} */
    const answers = [];
    const act = async () => { answers.push(await request(method, path, body === undefined ? {} : { body })); };
    if (!(await ask({ title, body: [what], yes: label, act }))) return;
    const [response] = answers;
    // What weakens is asked for in a dialog of its own, which says why.
    const { done } = response?.status === 202 ? await stepUp(context, await response.json()) : { done: true };
    if (done) then();
    else fill(trouble, said(a.stepUp.waits));
  }, { class: "refuse" });
  return h("div", { class: "list" }, go, trouble);
}

/**
 * A button that changes what weakens: its dialog asks for the passkey.
 * @param {Context} context @param {string} label
 * @param {{ method: string, path: string, body?: unknown, then: (made: any) => void, kind?: string }} with_
 */
export function signed(context, label, { method, path, body, then, kind }) {
  const trouble = h("div", { "aria-live": "polite" });
  const go = button(label, async () => {
    fill(trouble);
    const { done, made } = await change(context, method, path, body);
    if (done) then(made);
    else fill(trouble, said(a.stepUp.waits));
  }, { class: kind, failed: (failure) => fill(trouble, said(why(failure), "bad"), hint(failure)) });
  return h("div", { class: "list" }, go, trouble);
}

/**
 * A list of what there is, and what makes another.
 * @param {string} title @param {Node[]} rows @param {string[]} nothing @param {(Node | null)[]} ways
 */
export const listing = (title, rows, nothing, ways) =>
  screen(title, "/admin", [
    h("div", { class: "choices" }, ways),
    rows.length > 0 ? h("div", { class: "rows" }, rows) : empty(String(nothing[0]), nothing[1]),
  ]);

/** A text that is pasted somewhere else. @param {string} label @param {string} text */
export function copied(label, text) {
  const field = h("input", { type: "text", readonly: true, "aria-label": label, class: "mono" });
  field.value = text;
  field.addEventListener("focus", () => field.select());
  const copy = button(a.copy, async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = a.copied;
    setTimeout(() => (copy.textContent = a.copy), 2000);
  }, { failed: () => field.focus() });
  return h("div", { class: "field" }, h("span", { class: "label" }, label), h("div", { class: "beside" }, field, copy));
}

/**
 * Secrets, shown this once. The screen stays until somebody says that they have them.
 * @param {Context} context @param {string} title @param {[string, string | undefined][]} secrets @param {string} then where one goes from there @param {string} [more]
 * @returns {Node}
 */
export function once(context, title, secrets, then, more) {
  const there = secrets.flatMap(([label, text]) => (text ? [copied(label, text)] : []));
  const told = there.length > 0 ? a.secret.once : a.secret.lost;
  return h("section", { class: "card once", tabindex: "-1" }, h("h2", {}, title), h("p", { class: "said" }, told), there, more ? h("p", { class: "small quiet" }, more) : null,
    h("button", { type: "button", class: "main", onclick: () => leave(context, then) }, there.length > 0 ? a.secret.kept : a.done));
}

/** Shows something in the place of everything else, and has it read out. @param {HTMLElement} body @param {Node} part */
export function instead(body, part) {
  fill(body, part);
  const first = part instanceof HTMLElement && !part.hasAttribute("tabindex") ? part.querySelector("[tabindex]") : part;
  if (first instanceof HTMLElement) first.focus({ preventScroll: true });
  scrollTo(0, 0);
}

/** An enrolment code as a picture, as a link and as letters. @param {{ code?: string, link?: string, qr?: string[], expires_at: string }} made */
export const invitation = (made) =>
  h("section", { class: "card invitation", tabindex: "-1" },
    h("h2", {}, a.people.enrol),
    made.qr ? qr(made.qr, a.people.qr) : null,
    made.qr ? h("p", {}, a.people.scan) : null,
    made.link ? copied(a.people.link, made.link) : null,
    made.code ? h("div", { class: "field" }, h("span", { class: "label" }, a.people.code), h("p", { class: "match" }, made.code)) : h("p", { class: "said" }, a.secret.lost),
    h("p", { class: "small quiet" }, a.people.expires(when(made.expires_at))));
