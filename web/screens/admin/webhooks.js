// Webhooks: who else is told of events, and whether they take them.

import { fill, h } from "../../lib/dom.js";
import { call } from "../../lib/session.js";
import { visible } from "../../lib/visible.js";
import { past } from "../../lib/words.js";
import { a } from "../../lib/words/admin.js";
import { button, mark, said } from "../../parts/bits.js";
import { form } from "./forms.js";
import { facts, instead, leave, listing, once, screen, section, sure, to, way } from "./parts.js";

/** @typedef {import("../../app.js").Context} Context */
/** @typedef {{ id: string, url: string, kinds: string[], bot?: string, failures: number, failing_since?: string, last_error?: string, disabled_at?: string, disabled_why?: string }} Webhook */

const w = a.webhooks;

/** @param {Context} context @param {string} rest */
export const open = (context, rest) => (rest === "" ? list() : rest === "+" ? add(context) : one(context, rest));

/** @param {Webhook} hook */
const state = (hook) => (hook.disabled_at ? mark(w.disabled, "ringing") : hook.failing_since ? mark(w.fails(hook.failures), "waiting") : mark(w.works, "good"));

async function list() {
  const { webhooks } = await call("GET", "/v1/webhooks");
  const row = (/** @type {Webhook} */ hook) => way(`/admin/webhooks/${hook.id}`, visible(hook.url), hook.kinds.join(", ") || a.all, [state(hook)]);
  return listing(String(a.rooms.webhooks[0]), webhooks.map(row), w.empty, [to("/admin/webhooks/+", w.add, "main")]);
}

/** @param {Context} context */
async function add(context) {
  const { bots } = await call("GET", "/v1/bots");
  const body = h("div", { class: "list" });
  const send = async (/** @type {any} */ said, /** @type {string} */ key) => {
    const made = await call("POST", "/v1/webhooks", said, { once: key });
    instead(body, once(context, w.secretOf, [[w.secret, made.secret]], `/admin/webhooks/${made.id}`));
  };
  const readers = bots.filter((/** @type {any} */ bot) => bot.scopes.includes("events:read")).map((/** @type {any} */ { id, name }) => [id, name]);
  const fields = /** @type {import("./forms.js").Field[]} */ ([
    { name: "url", kind: "text", label: w.url, hint: w.urlHint, needed: true, input: { type: "url", maxlength: "1000", autocapitalize: "none" } },
    { name: "kinds", kind: "words", label: w.kinds, hint: w.kindsHint },
    { name: "bot", kind: "choice", label: w.bot, none: a.all, options: readers },
  ]);
  fill(body, form({ fields, go: w.add, cancel: "/admin/webhooks", send }));
  return screen(w.add, "/admin/webhooks", [body]);
}

/** @param {Context} context @param {string} id */
async function one(context, id) {
  const path = `/v1/webhooks/${id}`;
  const body = h("div", { class: "list" });
  const draw = async (/** @type {Node | null} */ told = null) => {
    const hook = /** @type {Webhook} */ (await call("GET", path));
    const result = h("div", { "aria-live": "polite" });
    const test = button(w.test, async () => {
      const { taken, why } = await call("POST", `${path}/test`, {});
      fill(result, taken ? said(w.taken, "good") : said(w.notTaken(visible(why ?? "")), "bad"));
    });
    const enable = button(w.enable, async () => { await call("POST", `${path}/enable`, {}); await draw(said(w.enabled, "good")); }, { class: "main" });
    const rotate = async (/** @type {any} */ { overlap }, /** @type {string} */ key) => {
      const made = await call("POST", `${path}/rotate`, { overlap: Number(overlap) }, { once: key });
      instead(body, once(context, w.secretOf, [[w.secret, made.secret]], `/admin/webhooks/${id}`));
    };
    fill(body, told,
      h("section", { class: "card" }, h("header", {}, h("h2", {}, visible(hook.url)), state(hook)),
        facts([
          [w.kinds, hook.kinds.join(", ") || a.all],
          [w.disabled, hook.disabled_why],
          [a.webhooks.fails(hook.failures), hook.failing_since ? `${w.since(past(hook.failing_since))}${hook.last_error ? `: ${hook.last_error}` : ""}` : null],
        ]),
        hook.disabled_at ? enable : null, test, result),
      section(w.rotate, [], h("p", { class: "quiet" }, w.rotateWhat), form({
        fields: [{ name: "overlap", kind: "choice", label: a.bots.overlap, needed: true, at_first: "86400", options: Object.entries(w.overlaps) }], go: w.rotate, aside: true, send: rotate,
      })),
      section(a.bots.ends, [], sure(context, {
        label: w.remove, title: w.removeSure, what: w.removeWhat, method: "DELETE", path, then: () => leave(context, "/admin/webhooks", a.removed(hook.url)),
      })));
    return hook;
  };
  const hook = await draw();
  return screen(new URL(hook.url).host, "/admin/webhooks", [body]);
}
