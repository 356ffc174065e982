// Small things that several screens are made of.

import { h, svg } from "../lib/dom.js";
import { Problem, Unreachable } from "../lib/session.js";
import { t } from "../lib/words.js";
import { visible } from "../lib/visible.js";

/** A time that stays right. @param {string} at RFC 3339 @returns {HTMLElement} */
export function time(at) {
  const element = document.createElement("po-time");
  element.setAttribute("at", at);
  return element;
}

/** What a failure says to the person. @param {unknown} failure */
export function why(failure) {
  if (failure instanceof Unreachable) return t.notSent;
  if (failure instanceof Problem || failure instanceof Error) return failure.message;
  return String(failure);
}

/** A message that is read out. @param {string} text @param {"bad" | "good" | ""} [kind] */
export const said = (text, kind = "") => h("p", { class: `said ${kind}`, role: kind === "bad" ? "alert" : "status" }, text);

/**
 * A button that does something which takes a while: it cannot be pressed twice, and says what went wrong.
 * @param {string} label @param {() => Promise<unknown>} act
 * @param {{ class?: string, failed?: (failure: unknown) => void }} [with_]
 */
export function button(label, act, with_ = {}) {
  const element = h("button", { type: "button", class: with_.class }, label);
  element.addEventListener("click", async () => {
    if (element.getAttribute("aria-busy") === "true") return;
    element.setAttribute("aria-busy", "true");
    try {
      await act();
    } catch (failure) {
      if (with_.failed) with_.failed(failure);
      else element.after(said(why(failure), "bad"));
    } finally {
      element.removeAttribute("aria-busy");
    }
  });
  return element;
}

/** Somebody's own words, fenced off and labelled. @param {string} label @param {string} text */
export const stranger = (label, text) => h("section", { class: "stranger" }, h("h3", { class: "quiet" }, label), h("div", { tabindex: "0" }, visible(text)));

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
};

/** @param {string} name */
export const icon = (name) =>
  svg("svg", { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" }, svg("path", { d: PATHS[name] ?? "" }));

/** Nothing here, said kindly. @param {string} title @param {string} [more] */
export const empty = (title, more) => h("div", { class: "empty" }, icon("calm"), h("p", {}, title), more ? h("p", { class: "small" }, more) : null);
