// What is mine: whether I am rung, devices, passkeys, chat, absences, and how this app looks.

import { fill, h } from "../lib/dom.js";
import { keep } from "../lib/db.js";
import { lastPush, standing, turnOff } from "../lib/push.js";
import { lookAll } from "../lib/seen.js";
import { Problem, call, forgetMe } from "../lib/session.js";
import { ago, t, when } from "../lib/words.js";
import { inWords } from "../lib/rules.js";
import { visible } from "../lib/visible.js";
import { button, field, form, said } from "../parts/bits.js";
import { linking, oneIdentity } from "./chat.js";
import { addPasskey, another, lost, oneDevice, onePasskey } from "./devices.js";

/** @typedef {import("../app.js").Context} Context */
/** @typedef {import("../lib/api.js").Device} Device */
/** @typedef {{ user: import("../lib/api.js").User, device: Device, ready: boolean, heard_at?: string, teams: string[], away?: Away }} Me */
/** @typedef {{ from: string, until: string, delegate?: import("../lib/api.js").Person }} Away */

/** @param {Context} context @returns {Promise<import("../app.js").Screen>} */
export async function mine(context) {
  const body = h("div", { class: "list wide" });
  const draw = async () => {
    const { values, since } = await lookAll("/v1/me", "/v1/devices", "/v1/passkeys", "/v1/chat-identities", "/v1/me/paging-rules");
    const [who, { devices }, { passkeys }, chat, rules] = values;
    const again = () => void draw();
    const addKey = async () => { await addPasskey(context); again(); };
    const waiting = (/** @type {Device} */ { state }) => state === "waiting";
    const rows = (/** @type {Device[]} */ some) => some.map((device) => oneDevice(context, device, again));
    fill(body,
      // Somebody stands there with it in their hand.
      devices.some(waiting) ? section(t.inbox.device, rows(devices.filter(waiting))) : null,
      h("section", { class: "card" }, h("h2", {}, visible(who.user.name)), h("p", { class: "quiet" }, [`@${who.user.handle}`, ...who.teams].join(" · "))),
      await ringing(context, who),
      section(t.me.paged, [h("div", {}, ...inWords(rules, t.rules.words).map((line) => h("p", {}, line)))], h("a", { class: "button", href: "/me/rules" }, t.me.changeRules)),
      section(t.me.devices, rows(devices.filter((/** @type {Device} */ one) => !waiting(one))), another(context), lost()),
      section(t.me.passkeys, passkeys.map((/** @type {import("../lib/api.js").Passkey} */ key) => onePasskey(key, again)), button(t.enrol.makePasskey, addKey)),
      section(t.me.chat, chat.chat_identities.map((/** @type {import("./chat.js").ChatIdentity} */ one) => oneIdentity(one, again)), linking(again)),
      away(context, who.away, again),
      email(who.user.email ?? ""),
      who.user.role === "admin" ? h("a", { class: "button", href: "/admin" }, t.tabs.admin) : null,
      appearance(),
      leave(context));
    return since;
  };
  const since = await draw();
  return { title: t.me.title, tab: "me", since, body: [body], happened: async (event) => void (/^(device\.|passkey\.|chat_identity\.|user\.)/.test(event.kind) && !typing(body) ? await draw() : undefined) };
}

/** Whether somebody is in the middle of a word or of a question, which is not taken from under their fingers. @param {Element} within */
const typing = (within) => within.querySelector(".asking") !== null || document.activeElement instanceof HTMLElement && within.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");

/** @param {string} title @param {Element[]} rows @param {...Element} more */
const section = (title, rows, ...more) => h("section", { class: "list" }, h("h2", {}, title), rows.length > 0 ? h("div", { class: "rows" }, rows) : null, ...more);

/** Whether this phone rings, and what proves it. @param {Context} context @param {Me} who */
async function ringing({ go }, who) {
  const [how, came] = [await standing(), await lastPush()];
  const on = how === "on";
  const result = h("div", { "aria-live": "polite" });
  const test = button(t.me.test, async () => fill(result, said(t.me.tested((await call("POST", "/v1/me/test-page", {})).devices), "good")));
  const turnOn = h("button", { type: "button", class: "main", onclick: () => go("/on-duty") }, how === "denied" ? t.inbox.howTo : t.inbox.turnOn);
  return section(t.me.ringing, [],
    said(!on ? (how === "denied" ? t.inbox.pushDenied : t.me.noPush) : came ? t.me.ringsSince(ago(came)) : t.me.ringsNever, on && came ? "good" : "bad"),
    h("p", { class: "small quiet" }, who.heard_at ? (who.ready ? t.me.ready(ago(who.heard_at)) : t.me.notReady(ago(who.heard_at))) : t.me.neverHeard),
    on ? test : turnOn, result);
}

/** @param {Context} context @param {Away | undefined} now @param {() => void} again */
function away({ go, live }, now, again) {
  const back = async () => {
    await call("DELETE", "/v1/me/away");
    again();
  };
  const time = () => h("input", { type: "datetime-local", required: true });
  const [until, from, delegate] = [time(), time(), h("input", { name: "delegate", placeholder: "@ys", autocapitalize: "none", autocomplete: "off" })];
  from.required = false;
  until.name = "until";
  from.name = "from";
  const go_ = async () => {
    const begins = from.value === "" ? {} : { from: new Date(from.value).toISOString() };
    const who = delegate.value.trim() === "" ? {} : { delegate: delegate.value.trim() };
    const made = await call("PUT", "/v1/me/away", { ...begins, until: new Date(until.value).toISOString(), ...who });
    if (!("change" in made)) return again();
    // Giving somebody one's own weight takes one's passkey.
    await live.refresh();
    go(`/acts/${made.id}`);
  };
  return h("section", { class: "list" }, h("h2", {}, t.me.away),
    now
      ? h("div", { class: "card" }, h("p", {}, t.me.awayNow(when(now.from), when(now.until), now.delegate?.name ?? "")), button(t.me.back, back, { class: "main" }))
      : h("details", {}, h("summary", {}, t.me.goAway),
          form([field(t.me.awayUntil, until), field(t.me.awayFrom, from, t.optional), field(t.me.delegate, delegate, t.me.delegateHint)], t.me.save, go_, { class: "card" })));
}

/** @param {string} address */
function email(address) {
  const input = h("input", { name: "email", type: "email", autocomplete: "email", maxlength: "254" });
  input.value = address;
  const result = h("div", { "aria-live": "polite" });
  const save = async () => {
    await call("PUT", "/v1/me/email", { email: input.value.trim() === "" ? null : input.value.trim() });
    fill(result, said(t.me.saved, "good"));
  };
  return h("section", { class: "list" }, h("h2", {}, t.me.mail), form([field(t.me.email, input), result], t.me.save, save, { class: "card quietly" }));
}

function appearance() {
  const now = document.documentElement.dataset["theme"] ?? "auto";
  const choose = async (/** @type {string} */ theme) => {
    await keep("theme", theme);
    dress(theme);
  };
  const options = Object.entries(t.me.themes).map(([value, label]) => h("option", { value, selected: value === now }, label));
  const select = h("select", { name: "theme", onchange: () => void choose(select.value) }, options);
  return h("section", { class: "card" }, field(t.me.theme, select));
}

/** @param {string} theme */
export function dress(theme) {
  if (theme === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}

/** @param {Context} context */
function leave({ me: self_ }) {
  const go = async () => {
    if (!confirm(t.me.signOutSure)) return;
    try {
      await call("DELETE", `/v1/devices/${self_.device.id}`);
    } catch (failure) {
      if (!(failure instanceof Problem && failure.status === 401)) throw failure;
    }
    // The server sends nothing any more; a browser that cannot be asked to forget the subscription keeps an empty one.
    await turnOff().catch((failure) => console.warn(failure));
    await forgetMe();
    location.assign("/");
  };
  return h("section", { class: "list" }, button(t.me.signOut, go, { class: "refuse" }));
}
