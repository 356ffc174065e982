// Elements without templates: texts are always text, so nothing that anybody wrote is ever read as markup.

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * An element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [with_] `on…` are listeners, `class`, `data-…`, `aria-…` and the like attributes, others properties
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, with_ = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(with_)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.includes("-") && typeof value !== "string") /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name === "className" ? "class" : name, value === true ? "" : String(value));
  }
  return put(element, ...children);
}

/**
 * Appends children to an element.
 * @template {Element} E
 * @param {E} element @param {...(Child | Child[])} children @returns {E}
 */
export function put(element, ...children) {
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} tag @param {Record<string, string | number>} attributes @param {...SVGElement} children @returns {SVGElement} */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** Puts `next` in the place of everything in `parent`. @param {Element} parent @param {...(Child | Child[])} next */
export function fill(parent, ...next) {
  parent.replaceChildren();
  return put(parent, ...next);
}

/** How long what has just come or moved under a finger takes no tap, milliseconds: who aimed at what stood there before has not seen it. */
const SETTLES = 700;

/** @type {WeakMap<Element, ReturnType<typeof setTimeout>>} */
const settling = new WeakMap();

/** Something else than the person brought or moved this: for a moment it takes no taps. @param {Element} element */
export function settle(element) {
  clearTimeout(settling.get(element));
  element.classList.add("settling");
  settling.set(element, setTimeout(() => element.classList.remove("settling"), SETTLES));
}
