// Pages: those that are open, of everybody or of one team, and those that were.

import { fill, h } from "../lib/dom.js";
import { look } from "../lib/seen.js";
import { call } from "../lib/session.js";
import { t } from "../lib/words.js";
import { button, empty } from "../parts/bits.js";
import { incident } from "./inbox.js";

/** @typedef {import("../lib/api.js").Incident} Incident */

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
  /** @param {{ incidents: Incident[], next?: string }} page */
  const add = (page) => {
    list.append(...page.incidents.map((one) => incident(one, context.me.user.id)));
    fill(more, page.next ? button(t.incidents.more, async () => add(await call("GET", path(page.next)))) : null);
    if (!list.hasChildNodes()) fill(list, empty(t.incidents.none));
  };
  const { value, since } = await look(path());
  const fresh = (/** @type {{ incidents: Incident[], next?: string }} */ page) => {
    fill(list);
    add(page);
  };
  fresh(value);
  const over = h("input", { type: "checkbox", name: "all" });
  over.addEventListener("change", () => {
    all = over.checked;
    void look(path()).then((found) => fresh(found.value)).catch((failure) => console.warn(failure));
  });
  // Exactly those that are listed, as the push said that they would be.
  const ringing = value.incidents.filter((/** @type {Incident} */ one) => one.state === "triggered");
  const take = button(t.inbox.takeAll(ringing.length), async () => {
    for (const { ref } of ringing) await call("POST", `/v1/incidents/${ref}/acknowledge`, {});
    fresh((await look(path())).value);
    await context.live.refresh();
  }, { class: "take" });
  return {
    title: team ? t.incidents.of(team) : t.incidents.title,
    back: "/",
    since,
    body: [team && ringing.length > 1 ? h("div", { class: "choices" }, take) : null, h("label", { class: "tick" }, over, t.incidents.all), list, more],
    changed: () => void (all ? undefined : look(path()).then((found) => fresh(found.value)).catch((failure) => console.warn(failure))),
  };
}
