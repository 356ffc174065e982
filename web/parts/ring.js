// `<po-ring from until>`: how much time is left, as a ring and as a number.

import { now } from "../lib/clock.js";
import { h, svg } from "../lib/dom.js";
import { countdown, t } from "../lib/words.js";

const RADIUS = 20;
const AROUND = 2 * Math.PI * RADIUS;

export class Ring extends HTMLElement {
  #timer = 0;
  #left = svg("circle", { cx: 24, cy: 24, r: RADIUS, class: "left", "stroke-dasharray": AROUND });
  #number = h("span");

  connectedCallback() {
    const below = svg("circle", { cx: 24, cy: 24, r: RADIUS });
    this.replaceChildren(svg("svg", { viewBox: "0 0 48 48", "aria-hidden": "true" }, below, this.#left), this.#number);
    this.setAttribute("role", "timer");
    this.setAttribute("aria-label", t.approval.expires);
    this.#tick();
    this.#timer = window.setInterval(() => this.#tick(), 1000);
  }

  disconnectedCallback() {
    window.clearInterval(this.#timer);
  }

  #tick() {
    const [from, until] = [Date.parse(this.getAttribute("from") ?? ""), Date.parse(this.getAttribute("until") ?? "")];
    const left = Math.max(0, until - now());
    this.#left.setAttribute("stroke-dashoffset", String(AROUND * (1 - Math.min(1, left / Math.max(1, until - from)))));
    this.#number.textContent = countdown(left / 1000);
    this.classList.toggle("soon", left < 60_000);
    if (left === 0) {
      window.clearInterval(this.#timer);
      this.dispatchEvent(new Event("over"));
    }
  }
}

customElements.define("po-ring", Ring);
