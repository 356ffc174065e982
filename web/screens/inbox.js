// What waits for the person, most urgent first.

import { h } from "../lib/dom.js";
import { standing } from "../lib/push.js";
import { visible } from "../lib/visible.js";
import { t } from "../lib/words.js";
import { empty, mark, time } from "../parts/bits.js";

/** @typedef {import("../app.js").Context} Context */

/** @param {Context} context @returns {import("../app.js").Screen} */
export function inbox({ live, go }) {
  const list = h("div", { class: "list" });
  const rings = h("div");
  const show = () => list.replaceChildren(...items(live));
  show();
  void standing().then((how) => {
    if (how === "on") return;
    const turnOn = h("button", { type: "button", class: "plain", onclick: () => go("/on-duty") }, t.inbox.turnOn);
    rings.append(h("div", { class: "said bad row" }, h("span", { class: "grow" }, t.inbox.pushOff), turnOn));
  });
  return { title: t.inbox.title, tab: "inbox", body: [rings, list], changed: show };
}

/** @param {import("../lib/live.js").Live} live @returns {Element[]} */
function items({ waiting }) {
  if (!waiting) return [h("p", { class: "quiet" }, t.busy)];
  const open = waiting.incidents.filter(({ state }) => state !== "resolved");
  const found = [
    ...open.filter((one) => one.state === "triggered" && one.urgency === "high").map(incident),
    ...waiting.devices.map(device),
    ...waiting.approvals.map(approval),
    ...waiting.acts.map(act),
    ...open.filter((one) => one.state === "triggered" && one.urgency === "low").map(incident),
    ...open.filter((one) => one.state === "acknowledged").map(incident),
  ];
  return found.length > 0 ? found : [empty(t.inbox.empty, t.inbox.emptyMore)];
}

/**
 * @param {string} href @param {string} kind @param {string} title @param {Node} badge @param {string} from @param {string} at
 */
const item = (href, kind, title, badge, from, at) =>
  h("a", { href, class: `card item ${kind}` }, h("header", {}, h("h2", {}, visible(title)), badge), h("p", { class: "quiet small" }, visible(from), " · ", time(at)));

/** @param {import("../lib/api.js").Incident} one */
function incident(one) {
  const has = one.acted?.by?.name ?? one.acted?.integration ?? "";
  const [kind, badge] =
    one.state === "acknowledged"
      ? ["held", mark(one.snoozed ? t.inbox.snoozed : t.inbox.held(has))]
      : one.urgency === "low"
        ? ["", mark(t.inbox.low)]
        : ["ringing", mark(t.inbox.rings(one.rings), "ringing")];
  return item(`/i/${one.ref}`, kind, one.title, badge, [one.ref, one.service].filter(Boolean).join(" · "), one.created_at);
}

/** @param {import("../lib/api.js").Approval} one */
function approval(one) {
  const ring = document.createElement("po-ring");
  ring.setAttribute("from", one.created_at);
  ring.setAttribute("until", one.answer_by);
  const from = t.inbox.from(one.requester.name, one.bot.name);
  return item(`/a/${one.id}`, "waiting", one.display.title, ring, from, one.created_at);
}

/** @param {import("../lib/api.js").Act} one */
const act = (one) => item(`/acts/${one.id}`, "waiting", actTitle(one), mark(t.inbox.acts, "waiting"), one.why, one.created_at);

/** @param {import("../lib/api.js").Act} one */
export const actTitle = (one) => /** @type {Record<string, string>} */ (t.act.kinds)[one.change["kind"]] ?? one.change["kind"];

/** @param {import("../lib/api.js").Device} one */
const device = (one) =>
  item("/devices", "waiting", one.name, mark(t.inbox.device, "waiting"), one.platform, /** @type {string} */ (one.expires_at));
