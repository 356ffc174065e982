// My devices and passkeys: what I am known by.

import { checkConfirmation, checkGuard } from "../lib/statement.js";
import { keep } from "../lib/db.js";
import { fill, h } from "../lib/dom.js";
import { signed } from "../lib/keys.js";
import { make, use } from "../lib/passkey.js";
import { call, renamed } from "../lib/session.js";
import { ago, past, t } from "../lib/words.js";
import { visible } from "../lib/visible.js";
import { button, copyable, field, form, mark } from "../parts/bits.js";

/** @typedef {import("../app.js").Context} Context */
/** @typedef {import("../lib/api.js").Device} Device */

/** @param {Context} context @param {Device} device @param {() => void} again */
export function oneDevice(context, device, again) {
  if (device.state === "waiting") return waiting(context, device, again);
  const self_ = device.id === context.me.device.id;
  const revoke = async () => {
    if (!confirm(t.me.revokeSure(device.name))) return;
    await call("DELETE", `/v1/devices/${device.id}`);
    again();
  };
  const more = h("div", { class: "list" });
  const rename = h("button", { type: "button", class: "plain", "aria-label": t.me.renameDevice(visible(device.name)), onclick: () => void fill(more, naming(device, self_, again)) }, t.me.rename);
  return h("div", {},
    h("div", { class: "row" },
      h("div", { class: "grow" }, h("strong", {}, visible(device.name)), " ", self_ ? mark(t.me.thisDevice, "good") : null,
        h("p", { class: "small quiet" }, `${t.me.platforms[device.platform] ?? device.platform} · ${used(device.last_used_at)}`),
        device.approves_from ? h("p", { class: "small" }, t.me.approvesFrom(ago(device.approves_from))) : null),
      h("div", { class: "row" }, rename, self_ ? null : button(t.me.revoke, revoke, { class: "refuse", name: t.me.revokeDevice(visible(device.name)) }))),
    more);
}

/** @param {string} [at] */
const used = (at) => (at ? t.me.lastUsed(past(at)) : t.me.neverUsed);

/** @param {Device} device @param {boolean} self_ @param {() => void} again */
function naming(device, self_, again) {
  const name = h("input", { name: "name", required: true, maxlength: "80", autocomplete: "off" });
  name.defaultValue = device.name;
  const save = async () => {
    const now = await call("PUT", `/v1/devices/${device.id}/name`, { name: name.value.trim() });
    if (self_) await renamed(now.name);
    again();
  };
  return form([field(t.enrol.name, name)], t.me.save, save, { class: "asking", others: [h("button", { type: "button", onclick: again }, t.cancel)] });
}

/** A further device: confirmed by the number that it shows, which nobody shows here. @param {Context} context @param {Device} device @param {() => void} again */
function waiting(context, device, again) {
  const number = h("input", { name: "match", inputmode: "numeric", pattern: "[0-9]{3} ?[0-9]{3}", maxlength: "7", class: "code", required: true, autocomplete: "off" });
  const confirmed = async () => {
    await confirmDevice(context, device, number.value);
    again();
  };
  const reject = button(t.me.reject, async () => { await call("POST", `/v1/devices/${device.id}/reject`, {}); again(); }, { class: "refuse" });
  const from = [t.me.platforms[device.platform] ?? device.platform, device.address ? t.me.calledFrom(device.address) : "", device.expires_at ? t.me.waitsUntil(ago(device.expires_at)) : ""];
  return h("div", {}, h("strong", {}, visible(device.name)),
    h("p", { class: "small quiet" }, from.filter(Boolean).join(" · ")), h("p", { class: "small" }, t.me.confirmWhat),
    form([field(t.me.confirmNumber, number)], t.me.confirm, confirmed, { others: [reject] }));
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
  const made = await call("POST", "/v1/passkeys", { ceremony, name: self_.device.name, credential, ...(guarded && { guard: guarded }) });
  await keep("passkey", made.id);
}

/** @param {import("../lib/api.js").Passkey} key @param {() => void} again */
export const onePasskey = (key, again) =>
  h("div", {}, h("div", { class: "row" },
    h("div", { class: "grow" }, h("strong", {}, visible(key.name)), h("p", { class: "small quiet" }, used(key.last_used_at))),
    button(t.me.revoke, async () => {
      if (!confirm(t.me.revokePasskeySure(key.name))) return;
      await call("DELETE", `/v1/passkeys/${key.id}`);
      again();
    }, { class: "refuse", name: t.me.revokePasskey(visible(key.name)) })));

/** @param {Context} context */
export function another({ me: { user } }) {
  const result = h("div", { "aria-live": "polite" });
  const code = async () => {
    const made = await call("POST", "/v1/enrollments", { user: `@${user.handle}` });
    fill(result, h("div", { class: "card" }, h("p", {}, t.me.addHint), copyable(made.code, "match"), h("p", { class: "small" }, t.me.addLink), copyable(made.link)));
  };
  return h("div", { class: "list" }, button(t.me.add, code), result);
}

/** What to do about a phone that is gone. */
export const lost = () =>
  h("details", {}, h("summary", {}, t.me.lost), h("ol", { class: "plainly list" }, t.me.lostHow.map((step) => h("li", {}, step))));
