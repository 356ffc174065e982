// `<po-time at>`: how long ago, kept up to date; the exact time on a long press.

import { past, when } from "../lib/words.js";

export class Time extends HTMLElement {
  #timer = 0;

  connectedCallback() {
    const at = this.getAttribute("at") ?? "";
    this.title = when(at);
    const tick = () => (this.textContent = past(at));
    tick();
    this.#timer = window.setInterval(tick, 15_000);
  }

  disconnectedCallback() {
    window.clearInterval(this.#timer);
  }
}

customElements.define("po-time", Time);
