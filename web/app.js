// The app: which screen is shown, and what it is told.

import { fill, h, put } from "./lib/dom.js";
import { kept } from "./lib/db.js";
import { Live } from "./lib/live.js";
import { NoPushService, renew } from "./lib/push.js";
import { Unreachable, forgetMe, me } from "./lib/session.js";
import { past, t } from "./lib/words.js";
import { icon, said, whyNot } from "./parts/bits.js";
import "./parts/ring.js";
import "./parts/time.js";
import { act } from "./screens/act.js";
import { approval } from "./screens/approval.js";
import { enrolment, onDuty } from "./screens/enrol.js";
import { inbox } from "./screens/inbox.js";
import { incident } from "./screens/incident.js";
import { incidents } from "./screens/incidents.js";
import { dress, mine } from "./screens/me.js";
import { onCall } from "./screens/oncall.js";
import { rules } from "./screens/rules.js";

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
 * @property {string} [since] it is what was known then, for there is no network
 * @property {() => void} [changed] what waits has changed
 * @property {(event: any) => Promise<unknown> | void} [happened] an event of the journal
 * @property {() => Promise<unknown>} [again] looks again, after what nobody listened to
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
  [/^\/incidents$/, incidents],
  [/^\/acts\/(?<id>act_[0-9a-f]{32})$/, act],
  [/^\/on-call$/, onCall],
  [/^\/(?:me|devices)$/, mine],
  [/^\/me\/rules$/, rules],
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
/** Whether something happened, or the stream began, while a screen was being fetched: whether it knows of it nobody can tell. */
let meanwhile = false;

/** @param {Screen} screen */
function show(screen) {
  shown?.left?.();
  shown = screen;
  const back = screen.back ? h("a", { class: "button plain", href: screen.back, "aria-label": t.back }, icon("back")) : null;
  document.querySelector(".frame")?.classList.toggle("deep", Boolean(screen.back) && !screen.tab);
  fill(top_, back, h("h1", {}, screen.title));
  fill(main, ...screen.body);
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
  for (const link of tabs.querySelectorAll("a")) {
    if (link.dataset["tab"] === screen.tab) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** What a screen does when it is told something. @param {Promise<unknown> | void} doing */
function told(doing) {
  // Without a network the screen says so by itself, and is drawn anew when it is back.
  if (doing instanceof Promise) doing.catch((failure) => (failure instanceof Unreachable ? undefined : console.error(failure)));
}

/** The title of the window, with how much waits. @param {Live} live */
function entitle(live) {
  const count = live.count();
  document.title = `${count > 0 ? `(${count}) ` : ""}${shown?.title ?? t.app} · ${t.app}`;
}

/** @param {Context} context */
async function open(context) {
  const ticket = ++asked;
  meanwhile = false;
  const path = location.pathname.length > 1 ? location.pathname.replace(/\/$/, "") : "/";
  const [found, screen] = ROUTES.map(([route, screen]) => /** @type {const} */ ([route.exec(path), screen])).find(([match]) => match) ?? [];
  if (!found || !screen) return show({ title: t.app, back: "/", tab: "none", body: [said(t.nothingHere)] });
  try {
    const next = await screen(context, { ...Object.fromEntries(new URLSearchParams(location.search)), ...found.groups });
    if (ticket !== asked) return next.left?.();
    show(next);
    if (meanwhile) told(next.again?.());
  } catch (failure) {
    const again = h("button", { type: "button", onclick: () => void open(context) }, t.again);
    if (ticket === asked) show({ title: t.app, back: "/", tab: "none", body: [said(`${t.openFailed} ${whyNot(failure)}`, "bad"), again] });
  }
  entitle(context.live);
  offline(context.live);
}

/** Links inside the app change the screen, not the page. @param {(path: string) => void} go */
function follow(go) {
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.origin !== location.origin || link.target || event.metaKey || event.ctrlKey || event.button !== 0) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}

/** Says what is not as it is now. @param {Live} live */
function offline(live) {
  const since = shown?.since ?? (live.online ? undefined : live.waiting?.at);
  const said = since ? t.offline(past(since)) : live.online ? live.problem : t.offlineNothing;
  strip.hidden = said === "";
  if (strip.textContent !== said) strip.textContent = said;
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
    if (path !== location.pathname + location.search) history.pushState(null, "", path);
    void open(context);
  };
  /** @type {Context} */
  const context = { me: device, live, go, skipped: new Set() };
  follow(go);
  addEventListener("popstate", () => void open(context));
  let wasOnline = true;
  live.addEventListener("change", () => {
    offline(live);
    entitle(live);
    shown?.changed?.();
    // What was shown as it had been is shown as it is, unless somebody is writing.
    if (live.online && !wasOnline && shown?.since && !main.querySelector("form :focus")) void open(context);
    wasOnline = live.online;
  });
  live.addEventListener("happened", (event) => {
    meanwhile = true;
    told(shown?.happened?.(/** @type {CustomEvent} */ (event).detail));
  });
  live.addEventListener("stands", () => {
    meanwhile = true;
    told(shown?.again?.());
  });
  live.addEventListener("ended", () => {
    live.stop();
    const forget = async () => {
      await forgetMe();
      location.assign("/enroll");
    };
    show({ title: t.app, body: [said(t.ended, "bad"), h("button", { type: "button", class: "main", onclick: () => void forget() }, t.enrol.go)] });
  });
  addEventListener("pagehide", () => live.stop());
  addEventListener("pageshow", ({ persisted }) => persisted && live.resume());
  navigator.serviceWorker?.addEventListener("message", ({ data }) => {
    if (data?.open) go(data.open);
    if (data?.kind) void live.refresh();
  });
  put(tabs, TABS.map(([tab, href]) => h("a", { href, "data-tab": tab }, icon(tab), t.tabs[tab])));
  await open(context);
  // A device that waits to be confirmed hears nothing: its screen begins once it is one.
  if (location.pathname !== "/on-duty") await live.begin();
  // Where one turns it on by hand, nothing is renewed behind it. No push service just now, or no network: every screen that counts on it says so.
  if (location.pathname !== "/on-duty") await renew().catch((failure) => (failure instanceof NoPushService || failure instanceof Unreachable ? console.warn(failure) : console.error(failure)));
}

async function start() {
  dress((await kept("theme")) ?? "auto");
  put(document.body, h("a", { class: "skip", href: "#main" }, t.skip), h("div", { class: "frame" }, h("div", {}, top_, strip), main, tabs));
  if ("serviceWorker" in navigator) worker().catch((failure) => console.error(failure));
  const device = await me();
  if (device && location.pathname !== "/enroll") return onDutyHere(device);
  if (location.pathname !== "/enroll") history.replaceState(null, "", "/enroll");
  const enrol = () => show(enrolment({ go: (path) => location.assign(path), ...(device && { device }) }));
  addEventListener("hashchange", enrol);
  enrol();
}

void start();
