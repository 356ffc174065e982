// Forms, made of small descriptions: what is asked for, what the request says, and where the server's refusal belongs.

import { fill, h } from "../../lib/dom.js";
import { random } from "../../lib/bytes.js";
import { Problem } from "../../lib/session.js";
import { a } from "../../lib/words/admin.js";
import { said, why } from "../../parts/bits.js";

/**
 * One thing that is asked for.
 * @typedef {object} Field
 * @property {string} name the member of the request; a group without one stands for its fields
 * @property {keyof typeof KINDS} kind
 * @property {string} label
 * @property {string} [hint]
 * @property {boolean} [needed] it may not be left empty
 * @property {[string, string][]} [options] what can be chosen: the value and its words
 * @property {string} [none] what choosing nothing means
 * @property {any} [at_first] what stands there when nothing is given
 * @property {Field[]} [fields] of a group or of each row
 * @property {string} [add] what adds a row
 * @property {boolean} [folded] closed until somebody opens it, or something is in it
 * @property {boolean} [whole] an empty list is said, not left out
 * @property {Record<string, string>} [input] attributes of the input
 * @property {(value: any) => any} [to] from what was filled in to what the request says
 * @property {(said: any) => any} [from] the reverse
 */

/**
 * A field that stands on the screen.
 * @typedef {object} Control
 * @property {string} path `steps.0.to`
 * @property {HTMLElement} element
 * @property {() => any} read undefined when it is left out
 * @property {() => Control[]} inner
 * @property {(text: string) => void} tell what is wrong with it, or nothing
 * @property {() => void} focus
 * @property {boolean} needed
 * @property {boolean} [merged] what it reads are members beside the others
 */

let ids = 0;
const newId = () => `field-${++ids}`;

/** @param {string} path @param {string} name */
const below = (path, name) => (path === "" ? name : name === "" ? path : `${path}.${name}`);

/**
 * Label, hint and problem around something that is filled in.
 * @param {Field} field @param {string} path @param {HTMLElement & { id: string }} input @param {() => any} read @param {HTMLElement} [around] the input with what belongs to it
 * @returns {Control}
 */
function labelled(field, path, input, read, around = input) {
  const id = (input.id ||= newId());
  const hint = field.hint ? h("p", { class: "hint", id: `${id}-hint` }, field.hint) : null;
  const problem = h("p", { class: "problem", id: `${id}-problem`, hidden: true });
  input.setAttribute("aria-describedby", [hint ? `${id}-hint` : "", `${id}-problem`].filter(Boolean).join(" "));
  const element = h("div", { class: "field" },
    h("label", { for: id }, field.label, field.needed || input instanceof HTMLSelectElement ? null : h("span", { class: "optional" }, ` (${a.optional})`)), hint, around, problem);
  return { path, element, read, inner: () => [], tell: teller(problem, input), focus: () => input.focus(), needed: Boolean(field.needed) };
}

/** @param {HTMLElement} problem @param {HTMLElement} [input] @returns {(text: string) => void} */
const teller = (problem, input) => (text) => {
  problem.hidden = text === "";
  problem.textContent = text;
  if (text === "") input?.removeAttribute("aria-invalid");
  else input?.setAttribute("aria-invalid", "true");
};

/** A list of fields under one name, boxed. @param {Field} field @param {string} path @param {(Node | null)[]} children @param {() => any} read @param {() => Control[]} inner @returns {Control} */
function boxed(field, path, children, read, inner) {
  const problem = h("p", { class: "problem", hidden: true });
  const hint = field.hint ? h("p", { class: "hint" }, field.hint) : null;
  const element = h("fieldset", { class: "box", tabindex: "-1" }, h("legend", {}, field.label), hint, problem, children);
  return { path, element, read, inner, tell: teller(problem), focus: () => (inner()[0] ? inner()[0]?.focus() : element.focus()), needed: Boolean(field.needed) };
}

/** @param {Field} field @param {any} value @param {Record<string, string>} attributes */
function line(field, value, attributes) {
  const input = h("input", { name: field.name, autocomplete: "off", ...attributes, ...field.input });
  input.value = value === undefined || value === null ? "" : String(value);
  return input;
}

/** @param {string} text */
const filled = (text) => (text.trim() === "" ? undefined : text.trim());

/** What stands between commas or on lines of their own; commas in quotes are none. @param {string} text @returns {string[]} */
export const listed = (text) => [...text.matchAll(/\s*("(?:[^"\\]|\\.)*"|[^,\n]+)/g)].map(([part]) => part.trim()).filter((part) => part !== "");

/** A text as it stands in a list: in quotes where it would fall apart. @param {string} text */
export const quoted = (text) => (/[",\n]/.test(text) || text.trim() !== text ? JSON.stringify(text) : text);

/** The reverse of {@link quoted}. @param {string} part @returns {string} */
export const unquoted = (part) => (/^".*"$/s.test(part) ? JSON.parse(part) : part);

/** @param {Field} field @param {string[]} parts @param {string} path @param {(part: string) => string} meant */
function list(field, parts, path, meant) {
  const input = line(field, parts.join(", "), { type: "text", autocapitalize: "none", spellcheck: "false" });
  const read = () => {
    const all = listed(input.value).map(meant);
    return all.length > 0 || field.whole ? all : undefined;
  };
  return labelled(field, path, input, read);
}

const SIZES = { seconds: 1, minutes: 60, hours: 3600, days: 86_400 };

/** An instant as `datetime-local` has it, by this device's clock. @param {string} at RFC 3339 */
function local(at) {
  const time = new Date(at);
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

const KINDS = {
  /** A line of text. @param {Field} field @param {any} value @param {string} path */
  text(field, value, path) {
    const input = line(field, value, { type: "text" });
    return labelled(field, path, input, () => filled(input.value));
  },

  /** A name as machines have it. @param {Field} field @param {any} value @param {string} path */
  name(field, value, path) {
    const input = line(field, value, { type: "text", autocapitalize: "none", spellcheck: "false", maxlength: "32" });
    return labelled(field, path, input, () => filled(input.value)?.replace(/^@/, ""));
  },

  /** A whole number. @param {Field} field @param {any} value @param {string} path */
  number(field, value, path) {
    const input = line(field, value, { type: "number", inputmode: "numeric", step: "1" });
    return labelled(field, path, input, () => (input.value === "" ? undefined : Number(input.value)));
  },

  /** Seconds, in the unit that suits them. @param {Field} field @param {any} value @param {string} path */
  length(field, value, path) {
    const units = /** @type {(keyof typeof SIZES)[]} */ (Object.keys(SIZES));
    const fits = units.filter((unit) => typeof value === "number" && value > 0 && value % SIZES[unit] === 0).pop() ?? "minutes";
    const input = line(field, typeof value === "number" ? value / SIZES[fits] : "", { type: "number", inputmode: "numeric", min: "0", step: "any" });
    const unit = h("select", { name: `${field.name}-unit`, "aria-label": `${field.label}: ${a.units[fits]}` }, units.map((one) => h("option", { value: one, selected: one === fits }, a.units[one])));
    const read = () => (input.value === "" ? undefined : Math.round(Number(input.value) * SIZES[/** @type {keyof typeof SIZES} */ (unit.value)]));
    return labelled(field, path, input, read, h("div", { class: "beside" }, input, unit));
  },

  /** An instant, by this device's clock. @param {Field} field @param {any} value @param {string} path */
  moment(field, value, path) {
    const input = line(field, value ? local(value) : "", { type: "datetime-local" });
    return labelled(field, path, input, () => (input.value === "" ? undefined : new Date(input.value).toISOString()));
  },

  /** A time by somebody else's wall clock. @param {Field} field @param {any} value @param {string} path */
  wall(field, value, path) {
    const input = line(field, value ? String(value).slice(0, 16) : "", { type: "datetime-local" });
    return labelled(field, path, input, () => filled(input.value));
  },

  /** One of these. @param {Field} field @param {any} value @param {string} path */
  choice(field, value, path) {
    const options = [...(field.needed && field.none === undefined ? [] : [["", field.none ?? a.none]]), ...(field.options ?? [])];
    const select = h("select", { name: field.name }, options.map(([one, label]) => h("option", { value: one, selected: String(value ?? "") === one }, label)));
    return labelled(field, path, select, () => (select.value === "" ? undefined : select.value));
  },

  /** Some of these. @param {Field} field @param {any} value @param {string} path */
  some(field, value, path) {
    const chosen = new Set(value ?? []);
    const boxes = (field.options ?? []).map(([one, label]) => {
      const box = h("input", { type: "checkbox", name: field.name, value: one, checked: chosen.has(one) });
      return { box, element: h("label", { class: "tick" }, box, h("span", {}, label)) };
    });
    const read = () => {
      const all = boxes.filter(({ box }) => box.checked).map(({ box }) => box.value);
      return all.length > 0 || field.whole ? all : undefined;
    };
    const control = boxed(field, path, boxes.map(({ element }) => element), read, () => []);
    return { ...control, focus: () => boxes[0]?.box.focus() };
  },

  /** Yes or no. @param {Field} field @param {any} value @param {string} path @returns {Control} */
  flag(field, value, path) {
    const box = h("input", { type: "checkbox", name: field.name, checked: Boolean(value), id: newId() });
    const problem = h("p", { class: "problem", hidden: true });
    const hint = field.hint ? h("p", { class: "hint" }, field.hint) : null;
    const element = h("div", { class: "field" }, h("label", { class: "tick" }, box, h("span", {}, field.label)), hint, problem);
    return { path, element, read: () => box.checked, inner: () => [], tell: teller(problem, box), focus: () => box.focus(), needed: false };
  },

  /** Texts, separated by commas. @param {Field} field @param {any} value @param {string} path */
  words: (field, value, path) => list(field, (value ?? []).map(quoted), path, unquoted),

  /** Values as they are written, which whoever asks reads. @param {Field} field @param {any} value @param {string} path */
  values: (field, value, path) => list(field, value ?? [], path, (part) => part),

  /** Some of many, in an order. @param {Field} field @param {any} value @param {string} path */
  pick(field, value, path) {
    const names = new Map(field.options ?? []);
    /** @type {string[]} */
    const chosen = [...(value ?? [])];
    const list = h("ol", { class: "chips" });
    const select = h("select", { name: field.name });
    const show = () => {
      fill(list, chosen.map((one, at) => {
        const label = names.get(one) ?? one;
        const drop = h("button", { type: "button", class: "plain", "aria-label": a.drop(label), onclick: () => change(() => chosen.splice(at, 1)) }, "×");
        const up = h("button", { type: "button", class: "plain", "aria-label": a.up(label), onclick: () => change(() => chosen.splice(at - 1, 2, one, String(chosen[at - 1]))) }, "↑");
        return h("li", {}, h("span", {}, label), at > 0 ? up : null, drop);
      }));
      list.hidden = chosen.length === 0;
      const left = [...names].filter(([one]) => !chosen.includes(one));
      fill(select, h("option", { value: "" }, names.size === 0 ? a.nobodyToPick : a.pick), left.map(([one, label]) => h("option", { value: one }, label)));
      select.disabled = left.length === 0;
    };
    /** @param {() => void} edit */
    const change = (edit) => {
      edit();
      show();
      (select.disabled ? list.querySelector("button") : select)?.focus();
    };
    select.addEventListener("change", () => change(() => select.value !== "" && chosen.push(select.value)));
    show();
    const read = () => (chosen.length > 0 || field.whole ? [...chosen] : undefined);
    return labelled(field, path, select, read, h("div", { class: "pick" }, list, select));
  },

  /** Fields that belong together, as an object. @param {Field} field @param {any} value @param {string} path */
  group(field, value, path) {
    const controls = all(field.fields ?? [], value ?? {}, path);
    const read = () => gathered(controls, Boolean(field.needed));
    const children = controls.map(({ element }) => element);
    const control = boxed(field, path, children, read, () => controls);
    if (!field.folded) return control;
    const open = (field.fields ?? []).some((one) => meant(value?.[one.name], one));
    const details = h("details", { open }, h("summary", {}, field.label), control.element);
    control.element.querySelector("legend")?.classList.add("unseen");
    return { ...control, element: details, tell: (/** @type {string} */ text) => { if (text !== "") details.open = true; control.tell(text); } };
  },

  /** Any number of such groups. @param {Field} field @param {any} value @param {string} path */
  rows(field, value, path) {
    /** @type {{ element: HTMLElement, controls: Control[] }[]} */
    const rows = [];
    const list = h("div", { class: "list" });
    /** @param {any} said */
    const add = (said) => {
      const at = rows.length;
      const controls = all(field.fields ?? [], said, `${path}.${at}`);
      const drop = h("button", { type: "button", class: "refuse", onclick: () => remove(row) }, a.remove);
      const title = h("legend", {}, a.row(field.label, at + 1));
      const row = { element: h("fieldset", { class: "box" }, title, controls.map(({ element }) => element), drop), controls };
      rows.push(row);
      list.append(row.element);
      return row;
    };
    /** What stood behind it moves up. @param {{ element: HTMLElement, controls: Control[] }} row */
    const remove = (row) => {
      const rest = rows.filter((one) => one !== row).map(({ controls }) => gathered(controls, true));
      rows.length = 0;
      fill(list);
      rest.forEach(add);
      more.focus();
    };
    const more = h("button", { type: "button", onclick: () => add({}).controls[0]?.focus() }, field.add ?? a.add);
    const given = value ?? (field.needed ? [{}] : []);
    given.forEach(add);
    const read = () => (rows.length > 0 || field.whole ? rows.map(({ controls }) => gathered(controls, true)) : undefined);
    const problem = h("p", { class: "problem", hidden: true });
    const hint = field.hint ? h("p", { class: "hint" }, field.hint) : null;
    const element = h("div", { class: "list" }, hint, problem, list, more);
    return { path, element, read, inner: () => rows.flatMap(({ controls }) => controls), tell: teller(problem), focus: () => more.focus(), needed: Boolean(field.needed) };
  },
};

/** Whether something is there that somebody put there. @param {any} said @param {Field} field */
const meant = (said, field) => {
  const usual = field.at_first ?? (field.kind === "flag" ? false : undefined);
  const nothing = said === undefined || said === null || said === 0 || (typeof said === "object" && Object.keys(said).length === 0);
  return !nothing && JSON.stringify(said) !== JSON.stringify(usual);
};

/** @param {Field[]} fields @param {any} values @param {string} path @returns {Control[]} */
function all(fields, values, path) {
  return fields.map((field) => {
    const said = field.name === "" ? values : values?.[field.name];
    const value = said === undefined ? field.at_first : field.from ? field.from(said) : said;
    const control = KINDS[field.kind](field, value, below(path, field.name));
    if (field.name === "") return { ...control, merged: true };
    return field.to ? { ...control, read: () => { const read = control.read(); return read === undefined ? undefined : /** @type {(value: any) => any} */ (field.to)(read); } } : control;
  });
}

/** What the fields say together; nothing when none says anything. @param {Control[]} controls @param {boolean} always @returns {any} */
function gathered(controls, always) {
  const said = controls.flatMap((control) => (control.merged ? Object.entries(control.read() ?? {}) : [[control.path.split(".").pop(), control.read()]]));
  const there = said.filter(([, value]) => value !== undefined);
  return there.length > 0 || always ? Object.fromEntries(there) : undefined;
}

/** What is taken, by the code that says so. @type {Record<string, string>} */
const TAKEN = { handle_taken: "handle", name_taken: "name" };

/** Every control, the outer ones first. @param {Control[]} controls @returns {Control[]} */
const everyone = (controls) => controls.flatMap((control) => [control, ...everyone(control.inner())]);

/**
 * Where a refusal belongs: `require.groups[0].quorum` is the field of that path, or the one that holds it.
 * @param {Control[]} controls @param {string} field
 */
function place(controls, field) {
  const path = field.replaceAll(/\[(\d+)\]/g, ".$1");
  const holds = everyone(controls).filter((control) => path === control.path || path.startsWith(`${control.path}.`));
  return holds.sort((one, other) => other.path.length - one.path.length)[0] ?? everyone(controls).find((control) => control.path.startsWith(`${path}.`));
}

/**
 * A form.
 * @param {object} with_
 * @param {Field[]} with_.fields
 * @param {any} [with_.values] what stands there at first, as the server says it
 * @param {string} with_.go what its button says
 * @param {(body: any, once: string) => Promise<unknown>} with_.send `once`: the same for the same body, so that a lost reply makes nothing twice
 * @param {string} [with_.cancel] where one goes who does not
 * @param {boolean} [with_.aside] it is not what its screen is for
 */
export function form({ fields, values = {}, go, send, cancel, aside = false }) {
  const controls = all(fields, values, "");
  const trouble = h("div", { "aria-live": "polite" });
  const submit = h("button", { type: "submit", class: aside ? null : "main" }, go);
  let sent = { text: "", once: "" };
  /** @param {Control} control @param {string} text */
  const point = (control, text) => {
    control.tell(text);
    control.focus();
    control.element.scrollIntoView({ block: "center" });
  };
  const element = h("form", { novalidate: true }, controls.map((control) => control.element), trouble,
    h("div", { class: "choices" }, submit, cancel ? h("a", { class: "button", href: cancel }, a.cancel) : null));
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.getAttribute("aria-busy") === "true") return;
    fill(trouble);
    everyone(controls).forEach((control) => control.tell(""));
    const empty = everyone(controls).find((control) => control.needed && control.inner().length === 0 && (control.read() === undefined || control.read().length === 0));
    if (empty) return point(empty, a.missing);
    const body = gathered(controls, true);
    const text = JSON.stringify(body);
    if (sent.text !== text) sent = { text, once: random(16) };
    submit.setAttribute("aria-busy", "true");
    try {
      await send(body, sent.once);
    } catch (failure) {
      const named = failure instanceof Problem ? failure.field ?? TAKEN[failure.code] : undefined;
      const held = named === undefined ? undefined : place(controls, named);
      if (held) point(held, why(failure));
      else fill(trouble, said(why(failure), "bad"));
    } finally {
      submit.removeAttribute("aria-busy");
    }
  });
  return element;
}
