// People: who they are, what they may, what reaches them, and what becomes of a lost phone.

import { fill, h } from "../../lib/dom.js";
import { call } from "../../lib/session.js";
import { inTurn } from "../../lib/turns.js";
import { visible } from "../../lib/visible.js";
import { ago, past, when } from "../../lib/words.js";
import { a } from "../../lib/words/admin.js";
import { busy, button, mark, said } from "../../parts/bits.js";
import { form } from "./forms.js";
import { ask, change, instead, invitation, leave, listing, named, screen, section, signed, sure, to, used, way } from "./parts.js";

/** @typedef {import("../../app.js").Context} Context */
/** @typedef {import("../../lib/api.js").User} User */
/** @typedef {import("../../lib/api.js").Device} Device */

const p = a.people;

/** @param {Context} context @param {string} rest */
export const open = (context, rest) => (rest === "" ? list(context) : rest === "+" ? Promise.resolve(add(context)) : one(context, rest));

/** @param {Context} context */
async function list({ me }) {
  const [{ users }, { responders }] = await Promise.all([call("GET", "/v1/users"), call("GET", "/v1/readiness")]);
  const ready = new Map(responders.map((/** @type {any} */ one) => [one.user.id, one.ready]));
  const row = (/** @type {User} */ user) => way(`/admin/people/@${user.handle}`, visible(user.name), `@${user.handle}`, [
    user.id === me.user.id ? mark(p.you) : null,
    user.role === "admin" ? mark(p.roles.admin) : null,
    ready.get(user.id) === true ? mark(p.ready, "good") : ready.get(user.id) === false ? mark(p.silent, "waiting") : null,
  ]);
  return listing(a.rooms.people[0] ?? "", users.map(row), p.empty, [to("/admin/people/+", p.add, "main")]);
}

/** @param {Context} context */
function add(context) {
  const send = async (/** @type {any} */ body, /** @type {string} */ once) => {
    const { done } = await change(context, "POST", "/v1/users", body, once);
    if (done) leave(context, `/admin/people/@${body.handle}`, p.added(body.name));
    else leave(context, "/admin/people", a.stepUp.waits);
  };
  const fields = /** @type {import("./forms.js").Field[]} */ ([
    { name: "name", kind: "text", label: p.name, needed: true, input: { maxlength: "80" } },
    { name: "handle", kind: "name", label: p.handle, hint: p.handleHint, needed: true },
    { name: "role", kind: "choice", label: p.role, hint: p.roleHint, needed: true, at_first: "member", options: [["member", p.roles.member], ["admin", p.roles.admin]] },
    { name: "email", kind: "text", label: p.email, hint: p.emailHint, input: { type: "email", maxlength: "254" } },
  ]);
  return screen(p.add, "/admin/people", [form({ fields, go: p.add, cancel: "/admin/people", send })]);
}

/** @param {Context} context @param {string} who */
async function one(context, who) {
  const body = h("div", { class: "list" });
  const path = `/v1/users/${encodeURIComponent(who)}`;
  // A code that is shown once stays until somebody is done with it, whatever happens meanwhile.
  let inviting = false;
  /** @type {any} */
  let user;
  /** What was said about what they did last. @type {Node | null} */
  let word = null;
  let [drawn, asked] = ["", true];
  const look = inTurn(async () => {
    const mine = asked;
    asked = false;
    const [now, has] = await Promise.all([call("GET", path), call("GET", `${path}/devices`)]);
    const seen = JSON.stringify([now, has]);
    if (!mine && (seen === drawn || inviting || busy(body))) return;
    drawn = seen;
    user = now;
    const invite = (/** @type {any} */ made) => {
      inviting = true;
      instead(body, h("div", { class: "list" }, invitation(made.enrollment ?? made), button(a.done, () => draw(), { class: "main" })));
    };
    fill(body, word, ...parts(context, user, has, draw, invite));
  });
  const draw = (/** @type {Node | null} */ told = null) => {
    [inviting, word, asked] = [false, told, true];
    return look();
  };
  await look();
  const happened = (/** @type {any} */ event) => {
    // Of somebody else nothing is shown here, and what is being read or tapped stays.
    const theirs = [event.data?.user, event.subject, event.actor?.user].includes(user.id);
    return theirs && /^(device|passkey)\./.test(event.kind) ? look() : undefined;
  };
  return { ...screen(visible(user.name), "/admin/people", [body]), happened, again: look };
}

/** @param {Context} context @param {any} user @param {{ devices: Device[], passkeys: any[] }} has @param {(told?: Node) => Promise<unknown>} again @param {(made: any) => void} invited */
function parts(context, user, has, again, invited) {
  const path = `/v1/users/@${user.handle}`;
  const self_ = user.id === context.me.user.id;
  return [
    h("section", { class: "card" },
      h("header", {}, named(user), h("span", {}, mark(p.roles[/** @type {"admin" | "member"} */ (user.role)]))),
      h("p", {}, `${p.devicesOf(user.push_devices)} · ${p.passkeys(user.passkeys)}`),
      h("p", { class: "small quiet" }, user.heard_at ? p.heard(past(user.heard_at)) : p.neverHeard),
      user.away ? h("p", {}, p.away(when(user.away.until), user.away.delegate?.name ?? "")) : null,
      user.away ? button(p.back, async () => { await call("DELETE", `${path}/away`); await again(); }) : null),
    section(p.devices, has.devices.map((device) => oneDevice(device, user, again)), has.devices.length === 0 ? h("p", { class: "quiet" }, p.noDevices) : null),
    section(p.enrol, [], h("p", { class: "quiet" }, p.enrolWhat),
      signed(context, p.makeLink, { method: "POST", path: "/v1/enrollments", body: { user: user.id }, then: invited, kind: has.devices.length === 0 ? "main" : "" })),
    section(p.lost, [], h("p", { class: "quiet" }, self_ ? p.recoverYou : p.lostWhat),
      self_ ? null : signed(context, p.recover, { method: "POST", path: `${path}/recover`, body: {}, then: invited, kind: "refuse" })),
    email(path, user, again),
    role(context, path, user, again),
    section(p.ends, [], sure(context, {
      label: p.remove, title: p.removeSure(user.name), what: p.removeWhat, method: "DELETE", path,
      then: () => leave(context, "/admin/people", a.removed(user.name)),
    })),
  ];
}

/** @param {Device} device @param {User} user @param {(told?: Node) => Promise<unknown>} again */
function oneDevice(device, user, again) {
  const revoke = button(p.revoke, async () => {
    const act = () => call("DELETE", `/v1/devices/${device.id}`);
    const done = await ask({ title: p.revokeSure(visible(device.name), visible(user.name)), body: [p.revokeWhat], yes: p.revoke, act });
    if (done) await again(said(p.revoked(visible(device.name)), "good"));
  }, { class: "refuse", name: p.revokeDevice(visible(device.name)) });
  return h("div", {}, h("div", { class: "row" },
    h("div", { class: "grow" }, h("strong", {}, visible(device.name)), " ", device.state === "waiting" ? mark(p.waiting, "waiting") : null,
      h("p", { class: "small quiet" }, `${device.platform} · ${used(device.last_used_at)}`),
      device.approves_from ? h("p", { class: "small" }, p.tooNew(ago(device.approves_from))) : null),
    device.state === "waiting" ? null : revoke));
}

/** @param {string} path @param {User} user @param {(told?: Node) => Promise<unknown>} again */
function email(path, user, again) {
  const send = async (/** @type {any} */ body) => {
    await call("PUT", `${path}/email`, { email: body.email ?? null });
    await again(said(a.saved, "good"));
  };
  const fields = /** @type {import("./forms.js").Field[]} */ ([{ name: "email", kind: "text", label: p.email, hint: p.emailHint, input: { type: "email", maxlength: "254" } }]);
  return h("section", {}, form({ fields, values: user, go: a.save, aside: true, send }));
}

/** @param {Context} context @param {string} path @param {User} user @param {(told?: Node) => Promise<unknown>} again */
function role(context, path, user, again) {
  const given = (/** @type {"admin" | "member"} */ role) => {
    // Whoever lays it down themselves sees these screens no more.
    if (role === "member" && user.id === context.me.user.id) context.go("/me");
    else void again(said(p.roleChanged(user.name, p.roles[role]), "good"));
  };
  const with_ = (/** @type {"admin" | "member"} */ role) => ({ method: "PUT", path: `${path}/role`, body: { role }, then: () => given(role) });
  return section(p.role, [], h("p", { class: "quiet" }, p.roleHint),
    user.role === "admin"
      ? sure(context, { ...with_("member"), label: p.makeMember, title: p.roleSure(user.name), what: user.id === context.me.user.id ? p.roleSelf : p.roleHint })
      : signed(context, p.makeAdmin, with_("admin")));
}
