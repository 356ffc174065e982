// From a link to a phone that rings, in under a minute: key, passkey, notifications, test page.

import { byServer, now as clock } from "../lib/clock.js";
import { keep, kept } from "../lib/db.js";
import { fill, h } from "../lib/dom.js";
import { grouped, pastedCode, thisDevice } from "../lib/keys.js";
import { install as putOnHomeScreen, installable, isApplePhone, isInstalled, standing, turnOn, watch } from "../lib/push.js";
import { possible } from "../lib/passkey.js";
import { Problem, Unreachable, call, enrol, forgetMe, me } from "../lib/session.js";
import { inTurn } from "../lib/turns.js";
import { ago, t } from "../lib/words.js";
import { button, copyable, field, form, said, why } from "../parts/bits.js";
import { toHomeScreen } from "../parts/pictures.js";
import { addPasskey } from "./devices.js";

/** How long a test page may take, milliseconds: what the server gives a phone, and as long again for the way. */
const TEST_LASTS = 30_000;

/** After how long it is said that the browser's push service is waited for, milliseconds. */
const ASKS_LONG = 2000;

/** How often a device that waits asks whether it was confirmed, milliseconds. */
const ASKED_EVERY = 3000;

/** The code of the link, which no server sees: it stands behind the `#`. */
const linked = () => pastedCode(decodeURIComponent(location.hash.slice(1)));

/** @param {{ go: (path: string) => void, device?: import("../lib/session.js").Enrolled }} context @returns {import("../app.js").Screen} */
export function enrolment({ go, device }) {
  const body = h("div", { class: "list" });
  const code = linked();
  const asks = () => claim(code, () => go("/on-duty"));
  if (isApplePhone() && !isInstalled()) fill(body, install(code));
  else if (device) fill(body, another(device, go, () => fill(body, asks())));
  else fill(body, asks());
  return { title: t.enrol.title, body: [body] };
}

/** An iPhone: first onto the home screen, because what is kept here is not kept there. @param {string} code */
function install(code) {
  const pictures = toHomeScreen();
  return h("section", { class: "card" },
    h("h2", {}, t.enrol.install), h("p", {}, t.enrol.installWhy),
    h("ol", { class: "steps" }, t.enrol.installSteps.map((step, at) => h("li", {}, h("div", { class: "list" }, h("p", {}, step), /** @type {any} */ (pictures[at]))))),
    code ? copyable(grouped(code), "match") : h("p", {}, t.enrol.installNoCode), h("p", { class: "small quiet" }, t.enrol.installShort));
}

/** A code, on a device that has its key already. @param {import("../lib/session.js").Enrolled} device @param {(path: string) => void} go @param {() => void} anew */
const another = (device, go, anew) =>
  h("section", { class: "card" }, h("p", {}, t.enrol.already(device.user.name)),
    h("div", { class: "choices" }, h("button", { type: "button", class: "main", onclick: () => go("/") }, t.enrol.done),
      h("button", { type: "button", onclick: anew }, t.enrol.anew)));

/** @param {string} code @param {() => void} done */
function claim(code, done) {
  const typed = h("input", { name: "code", class: "code long", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", required: true, maxlength: "400" });
  typed.value = grouped(code);
  const name = h("input", { name: "device", required: true, maxlength: "80", placeholder: t.enrol.nameExample, autocomplete: "off" });
  name.value = thisDevice(navigator.userAgent, t.enrol.devices);
  const first = h("div", { class: "list" });
  /** @type {{ handle: HTMLInputElement, name: HTMLInputElement } | null} */
  let user = null;
  // A link that was pasted whole is read for its code.
  typed.addEventListener("change", () => (typed.value = grouped(pastedCode(typed.value))));
  const send = async () => {
    try {
      await enrol(pastedCode(typed.value), name.value.trim(), user ? { handle: user.handle.value.trim().replace(/^@/, ""), name: user.name.value.trim() } : undefined);
    } catch (failure) {
      if (!(failure instanceof Problem && failure.field === "user" && !user)) throw failure;
      user = { handle: h("input", { name: "handle", required: true, autocapitalize: "none", maxlength: "33" }), name: h("input", { name: "name", required: true, autocomplete: "name", maxlength: "80" }) };
      fill(first, h("h2", {}, t.enrol.first), field(t.enrol.handle, user.handle), field(t.enrol.fullName, user.name));
      user.handle.focus();
      return;
    }
    // The code is used: it does not stay in the address.
    history.replaceState(null, "", "/on-duty");
    done();
  };
  return form([h("p", {}, t.enrol.what(location.host)), field(t.enrol.code, typed, t.enrol.codeHint), field(t.enrol.name, name), first], t.enrol.go, send, { class: "card" });
}

/** What is left until this phone is on duty. @param {import("../app.js").Context} context @returns {Promise<import("../app.js").Screen>} */
export async function onDuty(context) {
  const body = h("div", { class: "list" });
  const over = new AbortController();
  let waitsWith = "";
  const draw = inTurn(async () => {
    let now;
    try {
      const device = await signedIn();
      const waiting = device.state === "waiting";
      if (waiting && !over.signal.aborted) setTimeout(() => void draw(), ASKED_EVERY);
      // What is read off is not drawn anew.
      if (over.signal.aborted || (waiting && waitsWith === device.match)) return;
      waitsWith = waiting ? String(device.match) : "";
      now = waiting ? waits(device) : device.state === "gone" ? gone() : await next(context, device, () => void draw());
    } catch (failure) {
      now = h("div", { class: "list" }, said(failure instanceof Unreachable ? t.enrol.offline : why(failure), "bad"), button(t.again, draw));
    }
    if (!over.signal.aborted) fill(body, now);
  });
  await draw();
  // Whoever comes back from the browser's settings need not press anything.
  void watch(() => void draw(), over.signal).catch((failure) => console.warn(failure));
  return { title: t.enrol.title, back: "/", body: [body], left: () => over.abort() };
}

/** @param {import("../app.js").Context} context @param {import("../lib/api.js").Device} device @param {() => void} draw */
async function next(context, device, draw) {
  void context.live.begin();
  const { passkeys } = await call("GET", "/v1/passkeys");
  const [how, can, tested, mine] = [await standing(), await possible(), await kept("tested"), await kept("passkey")];
  // One that was made on another device may not be here: only the person knows whether theirs are shared.
  const key = passkeys.some((/** @type {import("../lib/api.js").Passkey} */ one) => one.id === mine);
  const rings = how === "on";
  const skipped = context.skipped.has("passkey") || !can;
  const [askKey, askPush] = [!key && !skipped, (key || skipped) && !rings && !context.skipped.has("push")];
  const step = (/** @type {string} */ label, /** @type {boolean} */ isDone, /** @type {boolean} */ current, /** @type {(Element | null)[]} */ ...more) =>
    h("li", { class: isDone ? "done" : "", "aria-current": current ? "step" : undefined },
      h("div", { class: "list" }, h("h2", { class: "minor" }, label, isDone ? h("span", { class: "unseen" }, ` (${t.enrol.stepDone})`) : null), current ? more : []));
  const later = (/** @type {string} */ what) => h("button", { type: "button", onclick: () => { context.skipped.add(what); draw(); } }, t.enrol.later);
  const makeKey = async () => {
    await addPasskey(context);
    draw();
  };
  return h("div", { class: "list" },
    h("section", { class: "card" }, h("ol", { class: "steps" },
      step(t.enrol.steps.enrolled, true, false),
      step(t.enrol.steps.passkey, key, askKey, h("p", {}, t.enrol.passkey), passkeys.length > 0 ? h("p", { class: "small quiet" }, t.enrol.passkeyElsewhere) : null,
        h("div", { class: "choices" }, button(t.enrol.makePasskey, makeKey, { class: "main" }), later("passkey"))),
      step(t.enrol.steps.push, rings, askPush, ...ringing(how, draw), later("push")),
      step(t.enrol.steps.test, Boolean(tested) && rings, rings && (key || skipped), ...test(context)))),
    can ? null : said(t.enrol.passkeyNone),
    (key || skipped) && !rings && !askPush ? without(context) : null,
    device.approves_from && Date.parse(device.approves_from) > clock() ? said(t.me.approvesFrom(ago(device.approves_from))) : null);
}

/** This phone will not ring: said as it is. @param {import("../app.js").Context} context */
const without = ({ go }) => h("section", { class: "card" }, said(t.enrol.silent, "bad"), h("button", { type: "button", class: "main", onclick: () => go("/") }, t.enrol.done));

/** This device as the server has it, also while it waits, and when it is none. @returns {Promise<import("../lib/api.js").Device>} */
async function signedIn() {
  const known = /** @type {import("../lib/session.js").Enrolled} */ (await me()).device;
  try {
    return (await call("GET", "/v1/me")).device;
  } catch (failure) {
    if (!(failure instanceof Problem)) throw failure;
    if (failure.code === "device_waiting") return { ...known, state: "waiting", match: String(failure.body["match"]), expires_at: String(failure.body["expires_at"]) };
    if (failure.code === "invalid_grant") return { ...known, state: "gone" };
    throw failure;
  }
}

/** @param {import("../lib/api.js").Device} device */
function waits(device) {
  const ring = document.createElement("po-ring");
  ring.setAttribute("from", new Date(Date.parse(device.expires_at ?? "") - 600_000).toISOString());
  ring.setAttribute("until", device.expires_at ?? "");
  return h("section", { class: "card" }, h("header", {}, h("h2", {}, t.enrol.steps.confirm), ring), h("p", {}, t.enrol.confirm), h("p", { class: "digits" }, device.match ?? ""),
    h("p", { class: "quiet" }, t.enrol.confirmWhere), h("p", { class: "small quiet" }, t.enrol.confirmLost));
}

/** It was rejected, or nobody confirmed it in time. */
function gone() {
  const anew = async () => {
    await forgetMe();
    location.assign("/enroll");
  };
  return h("section", { class: "card" }, said(t.enrol.rejected, "bad"), button(t.enrol.anew, anew, { class: "main" }));
}

/** @param {import("../lib/push.js").Standing} how @param {() => void} draw @returns {Element[]} */
function ringing(how, draw) {
  if (how === "unsupported") return [said(isApplePhone() && !isInstalled() ? t.enrol.installWhy : t.enrol.pushNone, "bad")];
  const settings = isApplePhone() ? t.enrol.settings.ios : /Android/.test(navigator.userAgent) ? t.enrol.settings.android : t.enrol.settings.desktop;
  if (how === "denied") return [said(t.enrol.pushDenied, "bad"), h("p", {}, settings), button(t.again, async () => draw())];
  const asks = h("div", { "aria-live": "polite" });
  const allow = button(t.enrol.allow, async () => {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let slow;
    try {
      // A browser that cannot reach its maker's service says nothing by itself.
      await turnOn(() => (slow = setTimeout(() => void fill(asks, said(t.enrol.pushAsks)), ASKS_LONG)));
    } finally {
      clearTimeout(slow);
      fill(asks);
    }
    draw();
  }, { class: "main" });
  return [h("p", {}, t.enrol.push), h("p", { class: "small quiet" }, t.enrol.pushRefused), allow, asks];
}

/**
 * The test page that was asked for last: whether it came, and what is said meanwhile. The screen may be drawn anew while it is on its way.
 * @type {{ came: Promise<boolean>, words: string } | null}
 */
let sent = null;

/** @param {import("../app.js").Context} context @returns {Element[]} */
function test({ go }) {
  const result = h("div", { "aria-live": "polite", class: "list" });
  const inbox = () => h("button", { type: "button", class: "main", onclick: () => go("/") }, t.enrol.done);
  const ring = async () => {
    const mine = { came: arrived(), words: "" };
    sent = mine;
    try {
      const { devices } = await call("POST", "/v1/me/test-page", {});
      mine.words = devices > 0 ? t.enrol.test : t.enrol.testNobody;
    } catch (failure) {
      sent = null;
      throw failure;
    }
    await follow(mine);
  };
  const follow = async (/** @type {{ came: Promise<boolean>, words: string }} */ one) => {
    fill(result, one.words ? said(one.words) : null);
    const ok = await one.came;
    if (ok) await keep("tested", byServer());
    if (sent === one) fill(result, said(ok ? t.enrol.arrived : t.enrol.notArrived, ok ? "good" : "bad"), ok && installable() ? button(t.enrol.putOnHomeScreen, putOnHomeScreen) : null, ok ? inbox() : h("p", {}, t.enrol.notArrivedHow));
  };
  if (sent) void follow(sent);
  return [button(t.enrol.sendTest, ring, { class: "main" }), result];
}

/** Whether a test page comes within half a minute. @returns {Promise<boolean>} */
const arrived = () =>
  new Promise((done) => {
    const timer = setTimeout(() => end(false), TEST_LASTS);
    const heard = (/** @type {MessageEvent} */ { data }) => (data?.kind === "test" ? end(true) : undefined);
    const end = (/** @type {boolean} */ came) => {
      clearTimeout(timer);
      navigator.serviceWorker.removeEventListener("message", heard);
      done(came);
    };
    navigator.serviceWorker.addEventListener("message", heard);
  });

