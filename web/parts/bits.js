// Small things that several screens are made of.

import { fill, h, svg } from "../lib/dom.js";
import { NoPushService } from "../lib/push.js";
import { Problem, Unreachable } from "../lib/session.js";
import { WrongNumber } from "../lib/statement.js";
import { t } from "../lib/words.js";
import { visible } from "../lib/visible.js";

/** A time that stays right. @param {string} at RFC 3339 @returns {HTMLElement} */
export function time(at) {
  const element = document.createElement("po-time");
  element.setAttribute("at", at);
  return element;
}

/** What a failure to do something says to the person. @param {unknown} failure */
export function why(failure) {
  if (failure instanceof Unreachable) return t.notSent;
  if (failure instanceof NoPushService) return t.enrol.pushUnreached;
  if (failure instanceof WrongNumber) return t.codes.match_wrong;
  if (failure instanceof Problem && failure.code in t.codes) return /** @type {Record<string, string>} */ (t.codes)[failure.code] ?? "";
  if (failure instanceof Problem || failure instanceof Error) return visible(failure.message);
  return String(failure);
}

/** What a failure to show something says. @param {unknown} failure */
export const whyNot = (failure) => (failure instanceof Unreachable ? t.neverSeen : why(failure));

/** A message that is read out. @param {string} text @param {"bad" | "good" | ""} [kind] */
export const said = (text, kind = "") => h("p", { class: `said ${kind}`, role: kind === "bad" ? "alert" : "status" }, text);

/**
 * A button that does something which takes a while: it cannot be pressed twice, and says what went wrong.
 * @param {string} label @param {() => Promise<unknown>} act
 * @param {{ class?: string, name?: string, failed?: (failure: unknown) => void }} [with_] `name`: what it is called where the label
 *   alone does not say what it is about; begins with the label
 */
export function button(label, act, with_ = {}) {
  const element = h("button", { type: "button", class: with_.class, "aria-label": with_.name }, label);
  /** @type {HTMLElement | null} */
  let problem = null;
  element.addEventListener("click", async () => {
    if (element.getAttribute("aria-busy") === "true") return;
    element.setAttribute("aria-busy", "true");
    problem?.remove();
    try {
      await act();
    } catch (failure) {
      if (with_.failed) with_.failed(failure);
      else element.after((problem = said(why(failure), "bad")));
    } finally {
      element.removeAttribute("aria-busy");
    }
  });
  return element;
}

/**
 * A form that sends once, and says what went wrong above its buttons.
 * @param {(Element | null)[]} fields @param {string} label @param {() => Promise<unknown>} send
 * @param {{ class?: string, others?: Element[], failed?: (failure: unknown) => string }} [with_] `others`: further buttons
 */
export function form(fields, label, send, with_ = {}) {
  const problems = h("div");
  const main = h("button", { type: "submit", class: "main" }, label);
  const element = h("form", { class: with_.class }, fields, problems, h("div", { class: "choices" }, main, with_.others ?? []));
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (main.getAttribute("aria-busy") === "true") return;
    main.setAttribute("aria-busy", "true");
    fill(problems);
    try {
      await send();
    } catch (failure) {
      fill(problems, said((with_.failed ?? why)(failure), "bad"));
    } finally {
      main.removeAttribute("aria-busy");
    }
  });
  return element;
}

/**
 * Whether somebody is in the middle of something there, which is not taken from under their fingers: a question that is open
 * (`.asking`), a list that was opened, a field that has the focus, or one in which something was written.
 * @param {Element} within
 */
export const busy = (within) =>
  within.querySelector(".asking, details[open]") !== null ||
  [.../** @type {NodeListOf<HTMLInputElement | HTMLTextAreaElement>} */ (within.querySelectorAll("input, textarea"))].some(
    (one) => one === document.activeElement || one.value !== one.defaultValue) ||
  (document.activeElement instanceof HTMLSelectElement && within.contains(document.activeElement));

/** A secret or an address that is shown this once, to be copied. @param {string} text @param {string} [kind] how large */
export function copyable(text, kind = "mono small") {
  const button_ = h("button", { type: "button" }, t.copy);
  button_.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button_.textContent = t.copied;
    } catch {
      // Not allowed here: it is selected, to be copied by hand.
      getSelection()?.selectAllChildren(shown);
    }
  });
  const shown = h("p", { class: `grow ${kind}` }, text);
  return h("div", { class: "row" }, shown, button_);
}

/** Somebody's own words, fenced off and labelled. @param {string} label @param {string} text */
export const stranger = (label, text) => h("section", { class: "stranger" }, h("h2", { class: "minor quiet" }, label), h("div", { tabindex: "0" }, visible(text)));

/** @param {string} text @param {string} [kind] */
export const mark = (text, kind = "") => h("span", { class: `mark ${kind}` }, text);

/** A field with its label. @param {string} label @param {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} input @param {string} [hint] */
export const field = (label, input, hint) => h("label", {}, label, hint ? h("span", { class: "hint" }, hint) : null, input);

/** @type {Record<string, string>} */
const PATHS = {
  inbox: "M4 13v5a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-5M4 13l2.5-7.2A2 2 0 0 1 8.4 4.5h7.2a2 2 0 0 1 1.9 1.3L20 13M4 13h4.5l1.5 2.5h4l1.5-2.5H20",
  oncall: "M12 7v5l3 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z",
  me: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4.5 20a7.5 7.5 0 0 1 15 0",
  back: "M15 5l-7 7 7 7",
  calm: "M5 13l4 4L19 7",
  more: "M5 12h.01M12 12h.01M19 12h.01",
};

/** @param {string} name */
export const icon = (name) =>
  svg("svg", { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" }, svg("path", { d: PATHS[name] ?? "" }));

/** Nothing here, said kindly. @param {string} title @param {string} [more] */
export const empty = (title, more) => h("div", { class: "empty" }, icon("calm"), h("p", {}, title), more ? h("p", { class: "small" }, more) : null);
