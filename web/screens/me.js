// What is mine: devices, passkeys, ringing, chat, and how this app looks.

import { checkConfirmation, checkGuard } from "../lib/statement.js";
import { fill, h } from "../lib/dom.js";
import { keep } from "../lib/db.js";
import { signed } from "../lib/keys.js";
import { make, use } from "../lib/passkey.js";
import { standing } from "../lib/push.js";
import { Problem, call, forgetMe } from "../lib/session.js";
import { ago, t } from "../lib/words.js";
import { visible } from "../lib/visible.js";
import { button, field, mark, said, why } from "../parts/bits.js";

/** @typedef {import("../app.js").Context} Context */
/** @typedef {import("../lib/api.js").Device} Device */

/** @param {Context} context @returns {Promise<import("../app.js").Screen>} */
export async function mine(context) {
  const body = h("div", { class: "list" });
  const draw = async () => {
    const [who, { devices }, { passkeys }, chat] = await Promise.all([
      call("GET", "/v1/me"), call("GET", "/v1/devices"), call("GET", "/v1/passkeys"), call("GET", "/v1/chat-identities"),
    ]);
    const again = () => void draw();
    fill(body,
      h("section", { class: "card" }, h("h2", {}, who.user.name), h("p", { class: "quiet" }, `@${who.user.handle}`)),
      await ringing(context),
      section(t.me.devices, devices.map((/** @type {Device} */ device) => oneDevice(context, device, again)), another(context)),
      section(t.me.passkeys, passkeys.map((/** @type {import("../lib/api.js").Passkey} */ key) => onePasskey(key, again)),
        button(t.enrol.makePasskey, async () => { await addPasskey(context); again(); })),
      section(t.me.chat, chat.chat_identities.map((/** @type {any} */ one) => oneChat(one, again)), link(again)),
      email(who.user.email ?? ""),
      who.user.role === "admin" ? h("a", { class: "button", href: "/admin" }, t.tabs.admin) : null,
      appearance(),
      leave(context));
  };
  await draw();
  return { title: t.me.title, tab: "me", body: [body], happened: async (event) => (/^(device|passkey)\./.test(event.kind) ? draw() : undefined) };
}

/** @param {string} title @param {Element[]} rows @param {...Element} more */
const section = (title, rows, ...more) => h("section", { class: "list" }, h("h2", {}, title), rows.length > 0 ? h("div", { class: "rows" }, rows) : null, ...more);

/** @param {Context} context */
async function ringing({ go }) {
  const on = (await standing()) === "on";
  const result = h("div", { "aria-live": "polite" });
  const test = button(t.me.test, async () => fill(result, said(t.me.tested((await call("POST", "/v1/me/test-page", {})).devices), "good")));
  return section(t.me.ringing, [], said(on ? t.me.rings : t.me.noPush, on ? "good" : "bad"),
    on ? test : h("button", { type: "button", class: "main", onclick: () => go("/on-duty") }, t.inbox.turnOn), result);
}

/** @param {Context} context @param {Device} device @param {() => void} again */
function oneDevice(context, device, again) {
  if (device.state === "waiting") return waiting(context, device, again);
  const self_ = device.id === context.me.device.id;
  const revoke = async () => {
    if (!confirm(t.me.revokeSure(device.name))) return;
    await call("DELETE", `/v1/devices/${device.id}`);
    again();
  };
  return h("div", {}, h("div", { class: "row" },
    h("div", { class: "grow" }, h("strong", {}, visible(device.name)), " ", self_ ? mark(t.me.thisDevice, "good") : null,
      h("p", { class: "small quiet" }, `${device.platform} · ${device.last_used_at ? t.me.lastUsed(ago(device.last_used_at)) : t.me.neverUsed}`),
      device.approves_from ? h("p", { class: "small" }, t.me.approvesFrom(ago(device.approves_from))) : null),
    self_ ? null : button(t.me.revoke, revoke, { class: "refuse" })));
}

/** A further device: confirmed by the number that it shows, which nobody shows here. @param {Context} context @param {Device} device @param {() => void} again */
function waiting(context, device, again) {
  const number = h("input", { name: "match", inputmode: "numeric", pattern: "[0-9]{6}", maxlength: "6", class: "code", required: true, autocomplete: "off" });
  const problems = h("div");
  const form = h("form", {}, field(t.me.confirmNumber, number), problems,
    h("div", { class: "choices" }, h("button", { type: "submit", class: "main" }, t.me.confirm),
      button(t.me.reject, async () => { await call("POST", `/v1/devices/${device.id}/reject`, {}); again(); }, { class: "refuse" })));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await confirmDevice(context, device, number.value);
      again();
    } catch (failure) {
      fill(problems, said(why(failure), "bad"));
    }
  });
  return h("div", {}, h("strong", {}, visible(device.name), " ", mark(t.inbox.device, "waiting")), h("p", { class: "small quiet" }, device.platform), form);
}

/** @param {Context} context @param {Device} device @param {string} typed */
async function confirmDevice({ me: self_ }, device, typed) {
  const offered = await call("POST", `/v1/devices/${device.id}/challenge`, {});
  await checkConfirmation(offered, { issuer: self_.issuer, user: self_.user.id, by: self_.device.id, device, typed });
  const proof = offered.public_key
    ? { credential: await use(offered.public_key) }
    : { jws: await signed(self_.keys.privateKey, { typ: "phoneops-device-confirmation+jws" }, offered.statement) };
  await call("POST", `/v1/devices/${device.id}/confirm`, { challenge: offered.challenge, match: typed, ...proof });
}

/** Makes a passkey, guarded by one that is there. @param {Context} context */
export async function addPasskey({ me: self_ }) {
  const { ceremony, public_key: options, guard } = await call("POST", "/v1/passkeys/challenge", {});
  let guarded;
  if (guard) {
    await checkGuard(guard, { issuer: self_.issuer, user: self_.user.id, device: self_.device.id, ceremony });
    guarded = await use(guard.public_key);
  }
  const credential = await make(options);
  await call("POST", "/v1/passkeys", { ceremony, name: self_.device.name, credential, ...(guarded && { guard: guarded }) });
}

/** @param {import("../lib/api.js").Passkey} key @param {() => void} again */
const onePasskey = (key, again) =>
  h("div", {}, h("div", { class: "row" },
    h("div", { class: "grow" }, h("strong", {}, visible(key.name)), h("p", { class: "small quiet" }, key.last_used_at ? t.me.lastUsed(ago(key.last_used_at)) : t.me.neverUsed)),
    button(t.me.revoke, async () => {
      if (!confirm(t.me.revokeSure(key.name))) return;
      await call("DELETE", `/v1/passkeys/${key.id}`);
      again();
    }, { class: "refuse" })));

/** @param {Context} context */
function another({ me: { user } }) {
  const result = h("div", { "aria-live": "polite" });
  const code = async () => {
    const made = await call("POST", "/v1/enrollments", { user: `@${user.handle}` });
    fill(result, h("div", { class: "card" }, h("p", {}, t.me.addHint), h("p", { class: "match" }, made.code), h("p", { class: "small mono" }, made.link)));
  };
  return h("div", { class: "list" }, button(t.me.add, code), result);
}

/** @param {any} one @param {() => void} again */
const oneChat = (one, again) =>
  h("div", {}, h("div", { class: "row" }, h("div", { class: "grow" }, h("strong", {}, visible(one.name ?? one.user)), h("p", { class: "small quiet" }, `${one.platform} · ${visible(one.workspace)}`)),
    button(t.me.unlink, async () => { await call("DELETE", `/v1/chat-identities/${one.id}`); again(); }, { class: "refuse" })));

/** @param {() => void} again */
function link(again) {
  const code = h("input", { name: "code", class: "code", autocomplete: "off", autocapitalize: "characters", required: true, maxlength: "20" });
  const result = h("div", { "aria-live": "polite" });
  const form = h("form", { class: "card" }, field(t.me.chatCode, code), h("button", { type: "submit" }, t.me.link), result);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await call("POST", "/v1/chat-identities", { code: code.value });
      again();
    } catch (failure) {
      fill(result, said(why(failure), "bad"));
    }
  });
  return form;
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
  return h("section", { class: "card" }, field(t.me.email, input), button(t.me.save, save, { failed: (failure) => void fill(result, said(why(failure), "bad")) }), result);
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
    await forgetMe();
    location.assign("/");
  };
  return button(t.me.signOut, go, { class: "refuse" });
}

