// Pages: those that are open, of everybody or of one team, and those that were.

import { fill, h } from "../lib/dom.js";
import { look } from "../lib/seen.js";
import { call } from "../lib/session.js";
import { inTurn } from "../lib/turns.js";
import { t } from "../lib/words.js";
import { button, empty } from "../parts/bits.js";
import { storm } from "../parts/storm.js";
import { incident } from "./inbox.js";

/** @typedef {import("../lib/api.js").Incident} Incident */
/** @typedef {{ incidents: Incident[], next?: string }} Page */

/** @param {import("../app.js").Context} context @param {{ team?: string }} params @returns {Promise<import("../app.js").Screen>} */
export async function incidents(context, { team }) {
  const list = h("div", { class: "list" });
  const more = h("div");
  let all = false;
  /** @param {string} [cursor] */
  const path = (cursor) => {
    const asked = new URLSearchParams({ limit: "50", ...(all && { all: "true" }), ...(team && { team }), ...(cursor && { cursor }) });
    return `/v1/incidents?${asked}`;
  };
  /** How many pages of the list somebody asked for. */
  let pages = 1;
  let drawn = "";
  const { bar, shows } = storm(async () => {
    await again();
    await context.live.refresh();
  });
  /** @param {Page} found */
  const show = (found) => {
    const now = JSON.stringify(found);
    // Nothing moves under a finger: what has not changed is not drawn again.
    if (now === drawn) return;
    drawn = now;
    const draw = () => {
      fill(list, found.incidents.length > 0 ? found.incidents.map((one) => incident(one, context.me.user.id)) : empty(t.incidents.none));
      fill(more, found.next ? button(t.incidents.more, further) : null);
    };
    // Exactly those that are listed, as the push said that they would be.
    shows(team ? found.incidents : [], draw);
  };
  /** As many pages as were asked for. @returns {Promise<Page & { since?: string }>} */
  const everything = async () => {
    const { value, since } = await look(path());
    /** @type {Page} */
    const found = { incidents: value.incidents, ...(value.next && { next: value.next }) };
    for (let page = 1; found.next && !since && page < pages; page += 1) {
      const further = await call("GET", path(found.next));
      found.incidents = [...found.incidents, ...further.incidents];
      found.next = further.next;
    }
    return { ...found, ...(since && { since }) };
  };
  const again = inTurn(async () => {
    const { since: _, ...found } = await everything();
    show(found);
  });
  const further = async () => {
    pages += 1;
    await again().catch((failure) => {
      pages -= 1;
      throw failure;
    });
  };
  const { since, ...first } = await everything();
  show(first);
  const over = h("input", { type: "checkbox", name: "all" });
  over.addEventListener("change", () => {
    all = over.checked;
    pages = 1;
    void again().catch((failure) => console.warn(failure));
  });
  return {
    title: team ? t.incidents.of(team) : t.incidents.title,
    back: "/",
    since,
    body: [h("label", { class: "tick" }, over, t.incidents.all), list, more, bar],
    changed: () => void (all ? undefined : again().catch((failure) => console.warn(failure))),
  };
}
