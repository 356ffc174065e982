// What is mine: whether I am rung, devices, passkeys, chat, absences, and how this app looks.

import { fill, h } from "../lib/dom.js";
import { keep } from "../lib/db.js";
import { lastPush, standing, turnOff } from "../lib/push.js";
import { lookAll } from "../lib/seen.js";
import { Problem, call, forgetMe } from "../lib/session.js";
import { inTurn } from "../lib/turns.js";
import { past, t, when } from "../lib/words.js";
import { inWords } from "../lib/rules.js";
import { visible } from "../lib/visible.js";
import { busy, button, field, form, said } from "../parts/bits.js";
import { linking, oneIdentity } from "./chat.js";
import { addPasskey, another, lost, oneDevice, onePasskey } from "./devices.js";

/** @typedef {import("../app.js").Context} Context */
/** @typedef {import("../lib/api.js").Device} Device */
/** @typedef {{ user: import("../lib/api.js").User, device: Device, ready: boolean, heard_at?: string, teams: string[], away?: Away }} Me */
/** @typedef {{ from: string, until: string, delegate?: import("../lib/api.js").Person }} Away */

/** @param {Context} context @returns {Promise<import("../app.js").Screen>} */
export async function mine(context) {
  const [arriving, body] = [h("div", { class: "list" }), h("div", { class: "list wide" })];
  /** @type {string | undefined} */
  let since;
  let [drawn, asked, told] = ["", true, false];
  const look = inTurn(async () => {
    const wanted = asked;
    asked = false;
    const seen = await lookAll("/v1/me", "/v1/devices", "/v1/passkeys", "/v1/chat-identities", "/v1/me/paging-rules");
    const [who, { devices }, { passkeys }, chat, rules] = seen.values;
    const rings = await ringing();
    const now = JSON.stringify([seen, rings]);
    // What they did may be on the screen already, because an event told of it: what they have opened since stays.
    const mine = wanted && !told;
    // What has not changed is not drawn again, and nothing is taken from under somebody's fingers unless it is what they asked for.
    if (!mine && now === drawn) return;
    since = seen.since;
    const waits = (/** @type {Device} */ { state }) => state === "waiting";
    const rows = (/** @type {Device[]} */ some) => some.map((device) => oneDevice(context, device, again));
    // Somebody stands there with it in their hand.
    if (mine || !busy(arriving)) fill(arriving, devices.some(waits) ? section(t.inbox.device, rows(devices.filter(waits))) : null);
    if (!mine && busy(body)) return;
    [drawn, told] = [now, true];
    const addKey = async () => { await addPasskey(context); again(); };
    fill(body,
      h("section", { class: "card" }, h("h2", {}, visible(who.user.name)), h("p", { class: "quiet" }, [`@${who.user.handle}`, ...who.teams].join(" · "))),
      rung(context, who, rings),
      section(t.me.paged, [h("div", {}, ...inWords(rules, t.rules.words).map((line) => h("p", {}, line)))], h("a", { class: "button", href: "/me/rules" }, t.me.changeRules)),
      section(t.me.devices, rows(devices.filter((/** @type {Device} */ one) => !waits(one))), another(context), lost()),
      section(t.me.passkeys, passkeys.map((/** @type {import("../lib/api.js").Passkey} */ key) => onePasskey(key, again)), button(t.enrol.makePasskey, addKey)),
      section(t.me.chat, chat.chat_identities.map((/** @type {import("./chat.js").ChatIdentity} */ one) => oneIdentity(one, again)), linking(again)),
      away(context, who.away, again),
      email(who.user.email ?? ""),
      who.user.role === "admin" ? h("a", { class: "button", href: "/admin" }, t.tabs.admin) : null,
      appearance(),
      leave(context));
  });
  const again = () => {
    [asked, told] = [true, false];
    void look();
  };
  await look();
  return {
    title: t.me.title, tab: "me", since, body: [arriving, body],
    happened: (event) => (/^(device\.|passkey\.|chat_identity\.|user\.)/.test(event.kind) ? look() : undefined),
    again: look,
  };
}

/** @param {string} title @param {Element[]} rows @param {...Element} more */
const section = (title, rows, ...more) => h("section", { class: "list" }, h("h2", {}, title), rows.length > 0 ? h("div", { class: "rows" }, rows) : null, ...more);

/** @returns {Promise<{ how: import("../lib/push.js").Standing, came?: string }>} */
async function ringing() {
  const [how, came] = [await standing(), await lastPush()];
  return { how, ...(came && { came }) };
}

/** Whether this phone rings, and what proves it. @param {Context} context @param {Me} who @param {Awaited<ReturnType<typeof ringing>>} rings */
function rung({ go }, who, { how, came }) {
  const on = how === "on";
  const result = h("div", { "aria-live": "polite" });
  const test = button(t.me.test, async () => fill(result, said(t.me.tested((await call("POST", "/v1/me/test-page", {})).devices), "good")));
  const turnOn = h("button", { type: "button", class: "main", onclick: () => go("/on-duty") }, how === "denied" ? t.inbox.howTo : t.inbox.turnOn);
  return section(t.me.ringing, [],
    said(!on ? (how === "denied" ? t.inbox.pushDenied : t.me.noPush) : came ? t.me.ringsSince(past(came)) : t.me.ringsNever, on && came ? "good" : "bad"),
    h("p", { class: "small quiet" }, who.heard_at ? (who.ready ? t.me.ready(past(who.heard_at)) : t.me.notReady(past(who.heard_at))) : t.me.neverHeard),
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
  input.defaultValue = address;
  const result = h("div", { "aria-live": "polite" });
  const save = async () => {
    await call("PUT", "/v1/me/email", { email: input.value.trim() === "" ? null : input.value.trim() });
    input.defaultValue = input.value;
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
