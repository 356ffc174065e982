// What waits for the person, most urgent first.

import { fill, h, settle } from "../lib/dom.js";
import { isApplePhone, isInstalled, lastPush, standing } from "../lib/push.js";
import { ordered } from "../lib/waiting.js";
import { visible } from "../lib/visible.js";
import { t } from "../lib/words.js";
import { empty, mark, time } from "../parts/bits.js";
import { storm } from "../parts/storm.js";
import { state } from "./incident.js";

/** @typedef {import("../app.js").Context} Context */

/** @param {Context} context @returns {import("../app.js").Screen} */
export function inbox({ live, go, me }) {
  const list = h("div", { class: "list" });
  const rings = h("div");
  const all = storm(() => live.refresh());
  const others = h("p", { class: "small" }, h("a", { href: "/incidents" }, t.inbox.others));
  let drawn = "";
  const show = () => {
    // When it was fetched is not on the screen.
    const now = JSON.stringify(live.waiting ? { ...live.waiting, at: "" } : [live.online, live.problem]);
    // Nothing moves under a finger.
    if (now === drawn) return;
    drawn = now;
    all.shows(live.waiting?.incidents ?? [], () => fill(list, items(live, me.user.id)));
  };
  show();
  const warned = (/** @type {Element | null} */ said) => {
    if (!said) return;
    // What it pushes down is not where a finger aimed.
    for (const moved of [rings, list, others, all.bar]) settle(moved);
    fill(rings, said);
  };
  void warning(go).then(warned).catch((failure) => console.warn(failure));
  return { title: t.inbox.title, tab: "inbox", body: [rings, list, others, all.bar], changed: show };
}

/** That this phone does not ring, or that nobody knows whether it does. @param {(path: string) => void} go */
async function warning(go) {
  const how = await standing();
  const proven = how === "on" && (await lastPush());
  if (proven) return null;
  const iphone = isApplePhone() && !isInstalled();
  const words = how === "on" ? t.inbox.unproven : how === "denied" ? t.inbox.pushDenied : how === "unsupported" && !iphone ? t.inbox.pushNone : t.inbox.pushOff;
  const label = how === "on" ? t.enrol.sendTest : how === "denied" || how === "unsupported" ? t.inbox.howTo : t.inbox.turnOn;
  return h("div", { class: "said bad row" }, h("span", { class: "grow" }, words), h("button", { type: "button", onclick: () => go("/on-duty") }, label));
}

/** @param {import("../lib/live.js").Live} live @param {string} me @returns {Element[]} */
function items({ waiting, online, problem }, me) {
  if (!waiting) return online && problem === "" ? [h("p", { class: "quiet" }, t.busy)] : [];
  const found = ordered(waiting).map((item) => {
    if (item.kind === "incident") return incident(item.one, me);
    if (item.kind === "approval") return approval(item.one);
    return item.kind === "act" ? act(item.one) : device(item.one);
  });
  return found.length > 0 ? found : [empty(t.inbox.empty, t.inbox.emptyMore)];
}

/**
 * @param {string} href @param {string} kind @param {string} title @param {Node} badge @param {string} from @param {string} at
 */
const item = (href, kind, title, badge, from, at) =>
  h("a", { href, class: `card item ${kind}` }, h("header", {}, h("h2", {}, visible(title)), badge), h("p", { class: "quiet small" }, visible(from), " · ", time(at)));

/** @param {import("../lib/api.js").Incident} one @param {string} me */
export function incident(one, me) {
  const kind = one.state === "acknowledged" ? "held" : one.state === "triggered" && one.urgency === "high" ? "ringing" : "";
  return item(`/i/${one.ref}`, kind, one.title, state(one, me), [one.ref, one.service, one.team].filter(Boolean).join(" · "), one.created_at);
}

/** @param {import("../lib/api.js").Approval} one */
function approval(one) {
  const ring = document.createElement("po-ring");
  ring.setAttribute("from", one.created_at);
  ring.setAttribute("until", one.break_glass?.until ?? one.answer_by);
  const from = [t.inbox.from(one.requester.name, one.bot.name), one.tag, one.break_glass ? t.approval.breakGlass : "", one.folded_into ? t.inbox.alike : ""];
  return item(`/a/${one.id}`, one.break_glass ? "ringing" : "waiting", one.display.title, ring, from.filter(Boolean).join(" · "), one.created_at);
}

/** @param {import("../lib/api.js").Act} one */
const act = (one) => item(`/acts/${one.id}`, "waiting", actTitle(one), mark(t.inbox.acts, "waiting"), one.why, one.created_at);

/** @param {import("../lib/api.js").Act} one */
export const actTitle = (one) => /** @type {Record<string, string>} */ (t.act.kinds)[one.change["kind"]] ?? one.change["kind"];

/** @param {import("../lib/api.js").Device} one */
const device = (one) =>
  item("/devices", "waiting", one.name, mark(t.inbox.device, "waiting"), t.me.platforms[one.platform] ?? one.platform, one.enrolled_at ?? "");
