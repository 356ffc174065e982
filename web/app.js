// The app: which screen is shown, and what it is told.

import { fill, h, put } from "./lib/dom.js";
import { kept } from "./lib/db.js";
import { Live } from "./lib/live.js";
import { renew } from "./lib/push.js";
import { Unreachable, forgetMe, me } from "./lib/session.js";
import { ago, t } from "./lib/words.js";
import { icon, said, why } from "./parts/bits.js";
import "./parts/ring.js";
import "./parts/time.js";
import { act } from "./screens/act.js";
import { approval } from "./screens/approval.js";
import { enrolment, onDuty } from "./screens/enrol.js";
import { inbox } from "./screens/inbox.js";
import { incident } from "./screens/incident.js";
import { dress, mine } from "./screens/me.js";
import { onCall } from "./screens/oncall.js";

/**
 * What a screen works with.
 * @typedef {object} Context
 * @property {import("./lib/session.js").Enrolled} me
 * @property {Live} live
 * @property {(path: string) => void} go
 * @property {Set<string>} skipped what the person put off
 */

/**
 * A screen.
 * @typedef {object} Screen
 * @property {string} title
 * @property {(Node | null)[]} body
 * @property {string} [tab] which tab it belongs to
 * @property {string} [back] where its arrow leads
 * @property {() => void} [changed] what waits has changed
 * @property {(event: any) => Promise<void> | void} [happened] an event of the journal
 * @property {() => void} [left] another screen is shown
 */

/** The screens for administrators, fetched when one opens them. @param {Context} context @param {any} params @returns {Promise<Screen>} */
async function administration(context, params) {
  const found = await import("./screens/admin/index.js").catch(() => Promise.reject(new Unreachable()));
  return found.admin(context, params);
}

/** @type {[RegExp, (context: Context, params: any) => Screen | Promise<Screen>][]} */
const ROUTES = [
  [/^\/$/, inbox],
  [/^\/a\/(?<id>apr_[0-9a-f]{32})$/, approval],
  [/^\/i\/(?<ref>[0-9A-Za-z]{7})$/, incident],
  [/^\/acts\/(?<id>act_[0-9a-f]{32})$/, act],
  [/^\/on-call$/, onCall],
  [/^\/(?:me|devices)$/, mine],
  [/^\/on-duty$/, onDuty],
  [/^\/admin(?<path>\/.*)?$/, administration],
];

const TABS = /** @type {const} */ ([["inbox", "/"], ["oncall", "/on-call"], ["me", "/me"]]);

const top_ = h("header", { class: "top" });
const strip = h("div", { class: "strip", role: "status", hidden: true });
const main = h("main", { id: "main", tabindex: "-1" });
const tabs = h("nav", { class: "tabs", "aria-label": t.app });

/** @type {Screen | null} */
let shown = null;
/** Counts what was asked for, so that a slow screen does not take the place of a later one. */
let asked = 0;

/** @param {Screen} screen */
function show(screen) {
  shown?.left?.();
  shown = screen;
  document.title = `${screen.title} · ${t.app}`;
  const back = screen.back ? h("a", { class: "button plain", href: screen.back, "aria-label": t.back }, icon("back")) : null;
  fill(top_, back, h("h1", {}, screen.title));
  fill(main, ...screen.body);
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
  for (const link of tabs.querySelectorAll("a")) {
    if (link.dataset["tab"] === screen.tab) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** @param {Context} context */
async function open(context) {
  const ticket = ++asked;
  const path = location.pathname.length > 1 ? location.pathname.replace(/\/$/, "") : "/";
  const [found, screen] = ROUTES.map(([route, screen]) => /** @type {const} */ ([route.exec(path), screen])).find(([match]) => match) ?? [];
  if (!found || !screen) return show({ title: t.app, back: "/", body: [said(t.nothingHere)] });
  try {
    const next = await screen(context, found.groups ?? {});
    if (ticket === asked) show(next);
    else next.left?.();
  } catch (failure) {
    const again = h("button", { type: "button", onclick: () => void open(context) }, t.again);
    if (ticket === asked) show({ title: t.app, back: "/", body: [said(`${t.openFailed} ${why(failure)}`, "bad"), again] });
  }
}

/** Links inside the app change the screen, not the page. @param {(path: string) => void} go */
function follow(go) {
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.origin !== location.origin || link.target || event.metaKey || event.ctrlKey || event.button !== 0) return;
    event.preventDefault();
    go(link.pathname);
  });
}

/** @param {Live} live */
function offline(live) {
  const said = live.online ? live.problem : live.waiting ? t.offline(ago(live.waiting.at)) : t.offlineNothing;
  strip.hidden = said === "";
  strip.textContent = said;
}

/** Script addresses that are not texts of strangers (Trusted Types). */
function worker() {
  const address = "/sw.js";
  const types = /** @type {any} */ (self).trustedTypes;
  const policy = types?.createPolicy("phoneops", { createScriptURL: (/** @type {string} */ url) => (url === address ? url : "") });
  return navigator.serviceWorker.register(policy ? policy.createScriptURL(address) : address, { type: "module", updateViaCache: "none" });
}

/** @param {import("./lib/session.js").Enrolled} device */
async function onDutyHere(device) {
  const live = new Live();
  const go = (/** @type {string} */ path) => {
    if (path !== location.pathname) history.pushState(null, "", path);
    void open(context);
  };
  /** @type {Context} */
  const context = { me: device, live, go, skipped: new Set() };
  follow(go);
  addEventListener("popstate", () => void open(context));
  live.addEventListener("change", () => {
    offline(live);
    shown?.changed?.();
  });
  live.addEventListener("happened", (event) => {
    const told = shown?.happened?.(/** @type {CustomEvent} */ (event).detail);
    if (told instanceof Promise) told.catch((failure) => console.error(failure));
  });
  live.addEventListener("ended", () => {
    live.stop();
    const forget = async () => {
      await forgetMe();
      location.assign("/enroll");
    };
    show({ title: t.app, body: [said(t.ended, "bad"), h("button", { type: "button", class: "main", onclick: () => void forget() }, t.enrol.go)] });
  });
  navigator.serviceWorker?.addEventListener("message", ({ data }) => {
    if (data?.open) go(data.open);
    if (data?.kind) void live.refresh();
  });
  put(tabs, TABS.map(([tab, href]) => h("a", { href, "data-tab": tab }, icon(tab), t.tabs[tab])));
  await open(context);
  if (location.pathname !== "/on-duty") await live.start();
  else void live.start().catch(() => undefined);
  await renew().catch((failure) => console.error(failure));
}

async function start() {
  dress((await kept("theme")) ?? "auto");
  put(document.body, h("a", { class: "skip", href: "#main" }, t.skip), h("div", { class: "frame" }, h("div", {}, top_, strip), main, tabs));
  if ("serviceWorker" in navigator) worker().catch((failure) => console.error(failure));
  const device = await me();
  if (device && location.pathname !== "/enroll") return onDutyHere(device);
  if (location.pathname !== "/enroll") history.replaceState(null, "", "/enroll");
  show(enrolment({ go: (path) => location.assign(path) }));
}

void start();
