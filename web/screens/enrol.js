// From a link to a phone that rings, in under a minute: key, passkey, notifications, test page.

import { fill, h } from "../lib/dom.js";
import { plainCode } from "../lib/keys.js";
import { isApplePhone, isInstalled, standing, turnOn } from "../lib/push.js";
import { possible } from "../lib/passkey.js";
import { Problem, call, enrol, me } from "../lib/session.js";
import { t } from "../lib/words.js";
import { addPasskey } from "./me.js";
import { button, field, said, why } from "../parts/bits.js";

/** How long a test page may take, milliseconds. */
const TEST_LASTS = 30_000;

/** The code of the link, which no server sees: it stands behind the `#`. */
const linked = () => plainCode(decodeURIComponent(location.hash.slice(1)));

/** @param {string} code */
const grouped = (code) => code.replaceAll(/(.{4})(?=.)/g, "$1-");

/** @param {{ go: (path: string) => void }} context @returns {import("../app.js").Screen} */
export function enrolment({ go }) {
  const body = h("div", { class: "list" });
  const code = linked();
  if (isApplePhone() && !isInstalled()) fill(body, install(code));
  else fill(body, form(code, () => go("/on-duty")));
  return { title: t.enrol.title, body: [body] };
}

/** @param {string} code */
function install(code) {
  return h("section", { class: "card" },
    h("h2", {}, t.enrol.install), h("p", {}, t.enrol.installWhy),
    h("ol", { class: "steps" }, t.enrol.installSteps.map((step) => h("li", {}, h("div", {}, step)))),
    code ? h("p", { class: "match" }, grouped(code)) : null, h("p", { class: "small quiet" }, t.enrol.installShort));
}

/** @param {string} code @param {() => void} done */
function form(code, done) {
  const typed = h("input", { name: "code", class: "code", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", required: true, maxlength: "40" });
  typed.value = grouped(code);
  const name = h("input", { name: "device", required: true, maxlength: "80", placeholder: t.enrol.nameExample, autocomplete: "off" });
  const first = h("div", { class: "list" });
  const problems = h("div");
  /** @type {{ handle: HTMLInputElement, name: HTMLInputElement } | null} */
  let user = null;
  const send = h("button", { type: "submit", class: "main" }, t.enrol.go);
  const element = h("form", { class: "card" },
    h("p", {}, t.enrol.what(location.host)), field(t.enrol.code, typed, t.enrol.codeHint), field(t.enrol.name, name), first, problems, send);
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.setAttribute("aria-busy", "true");
    try {
      await enrol(typed.value, name.value.trim(), user ? { handle: user.handle.value.trim().replace(/^@/, ""), name: user.name.value.trim() } : undefined);
      // The code is used: it does not stay in the address.
      history.replaceState(null, "", "/on-duty");
      done();
    } catch (failure) {
      if (failure instanceof Problem && failure.field === "user" && !user) {
        user = { handle: h("input", { name: "handle", required: true, autocapitalize: "none", maxlength: "33" }), name: h("input", { name: "name", required: true, autocomplete: "name", maxlength: "80" }) };
        fill(first, h("h2", {}, t.enrol.first), field(t.enrol.handle, user.handle), field(t.enrol.fullName, user.name));
        user.handle.focus();
      } else fill(problems, said(why(failure), "bad"));
    }
    send.removeAttribute("aria-busy");
  });
  return element;
}

/** What is left until this phone is on duty. @param {import("../app.js").Context} context @returns {Promise<import("../app.js").Screen>} */
export async function onDuty(context) {
  const body = h("div", { class: "list" });
  let done = false;
  const draw = async () => {
    if (!done) fill(body, await next(context, () => void draw()));
  };
  await draw();
  return { title: t.enrol.title, back: "/", body: [body], left: () => (done = true), changed: () => undefined };
}

/** @param {import("../app.js").Context} context @param {() => void} draw */
async function next(context, draw) {
  const device = await signedIn();
  if (device?.state === "waiting") return waits(String(device.match), draw);
  const { passkeys } = await call("GET", "/v1/passkeys");
  const how = await standing();
  const [key, rings] = [passkeys.length > 0, how === "on"];
  const step = (/** @type {string} */ label, /** @type {boolean} */ isDone, /** @type {boolean} */ current, /** @type {Element[]} */ ...more) =>
    h("li", { class: isDone ? "done" : "", "aria-current": current ? "step" : undefined }, h("div", { class: "list" }, h("h3", {}, label), current ? more : []));
  const skipped = context.skipped.has("passkey") || !(await possible());
  return h("section", { class: "card" }, h("ol", { class: "steps" },
    step(t.enrol.steps.enrolled, true, false),
    step(t.enrol.steps.passkey, key, !key && !skipped, h("p", {}, t.enrol.passkey),
      h("div", { class: "choices" },
        button(t.enrol.makePasskey, async () => { await addPasskey(context); draw(); }, { class: "main" }),
        h("button", { type: "button", onclick: () => { context.skipped.add("passkey"); draw(); } }, t.enrol.later))),
    step(t.enrol.steps.push, rings, (key || skipped) && !rings, ...ringing(how, draw)),
    step(t.enrol.steps.test, false, (key || skipped) && rings, ...test(context))));
}

/** This device, as the server has it; also while it waits. */
async function signedIn() {
  try {
    return (await call("GET", "/v1/me")).device;
  } catch (failure) {
    if (failure instanceof Problem && failure.code === "device_waiting") return { ...(await me())?.device, state: "waiting", match: failure.body["match"] };
    throw failure;
  }
}

/** @param {string} match @param {() => void} draw */
function waits(match, draw) {
  setTimeout(draw, 3000);
  return h("section", { class: "card" }, h("h2", {}, t.enrol.steps.confirm), h("p", {}, t.enrol.confirm), h("p", { class: "digits" }, match), h("p", { class: "small quiet" }, t.enrol.confirmLost));
}

/** @param {import("../lib/push.js").Standing} how @param {() => void} draw @returns {Element[]} */
function ringing(how, draw) {
  if (how === "unsupported") return [said(isApplePhone() && !isInstalled() ? t.enrol.installWhy : t.enrol.pushNone, "bad")];
  if (how === "denied") return [said(t.enrol.pushDenied, "bad"), button(t.again, async () => draw())];
  return [h("p", {}, t.enrol.push), button(t.enrol.allow, async () => { await turnOn(); draw(); }, { class: "main" })];
}

/** @param {import("../app.js").Context} context @returns {Element[]} */
function test({ go }) {
  const result = h("div", { "aria-live": "polite" });
  const arrived = () =>
    /** @type {Promise<boolean>} */ (new Promise((done) => {
      const timer = setTimeout(() => done(false), TEST_LASTS);
      const heard = (/** @type {MessageEvent} */ { data }) => {
        if (data?.kind !== "test") return;
        clearTimeout(timer);
        navigator.serviceWorker.removeEventListener("message", heard);
        done(true);
      };
      navigator.serviceWorker.addEventListener("message", heard);
    }));
  const ring = async () => {
    const came = arrived();
    await call("POST", "/v1/me/test-page", {});
    fill(result, said(t.enrol.test));
    const ok = await came;
    fill(result, said(ok ? t.enrol.arrived : t.enrol.notArrived, ok ? "good" : "bad"),
      ok ? h("button", { type: "button", class: "main", onclick: () => go("/") }, t.enrol.done) : null);
  };
  return [button(t.enrol.sendTest, ring, { class: "main" }), result];
}
