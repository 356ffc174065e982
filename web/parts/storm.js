// One button for all that rings on a screen.

import { fill, h, settle } from "../lib/dom.js";
import { takeEach } from "../lib/incidents.js";
import { call } from "../lib/session.js";
import { t } from "../lib/words.js";
import { button, said, why } from "./bits.js";

/** @typedef {import("../lib/api.js").Incident} Incident */

/**
 * A button at the bottom of the screen that takes exactly those that are listed, while there are several. It is the same button as long
 * as the screen is: what happens meanwhile changes what it says, and neither brings nor moves it under a finger.
 * @param {() => Promise<unknown>} then looks again
 */
export function storm(then) {
  /** @type {string[]} */
  let refs = [];
  const problems = h("div", { "aria-live": "assertive" });
  const take = button("", async () => {
    fill(problems);
    const taken = refs;
    const refused = await takeEach(taken, call);
    if (refused.length > 0) fill(problems, said(t.inbox.notAll(refused.length, taken.length, why(refused[0]?.failure)), "bad"));
    await then();
  }, { class: "take" });
  const bar = h("div", { class: "list dock over-tabs", hidden: true }, problems, h("div", { class: "choices" }, take));
  /** @param {Incident[]} incidents those that are listed @param {() => void} draw lists them */
  const shows = (incidents, draw) => {
    const before = bar.getBoundingClientRect();
    draw();
    refs = incidents.filter(({ state }) => state === "triggered").map(({ ref }) => ref);
    take.hidden = refs.length < 2;
    if (!take.hidden) take.textContent = t.inbox.takeAll(refs.length);
    bar.hidden = take.hidden && !problems.hasChildNodes();
    const { top, height } = bar.getBoundingClientRect();
    if (!bar.hidden && (top !== before.top || height !== before.height)) settle(bar);
  };
  return { bar, shows };
}
