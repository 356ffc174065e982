// The first screen for administrators: what needs a look, and the ways to everything else, which is fetched when it is opened.

import { h } from "../../lib/dom.js";
import { Problem, call } from "../../lib/session.js";
import { ago, t } from "../../lib/words.js";
import { a } from "../../lib/words/admin.js";
import { visible } from "../../lib/visible.js";
import { said } from "../../parts/bits.js";
import { screen, way } from "./parts.js";

/** @typedef {import("../../app.js").Context} Context */
/** @typedef {import("../../app.js").Screen} Screen */
/** @typedef {{ open: (context: Context, rest: string) => Promise<Screen> }} Room */

/** @type {Record<string, () => Promise<Room>>} */
const ROOMS = {
  people: () => import("./people.js"),
  teams: () => import("./teams.js"),
  bots: () => import("./bots.js"),
  services: () => import("./services.js"),
  webhooks: () => import("./webhooks.js"),
  policies: () => import("./policies.js"),
  escalation: () => import("./escalation.js"),
  schedules: () => import("./schedules.js"),
  maintenance: () => import("./maintenance.js"),
  journal: () => import("./journal.js"),
  carriers: () => import("./carriers.js"),
  stopped: () => import("./stopped.js"),
};

const GROUPS = /** @type {const} */ ([
  ["people", ["people", "teams"]],
  ["rules", ["policies", "escalation", "schedules", "maintenance"]],
  ["machines", ["services", "bots", "webhooks"]],
  ["watch", ["journal", "carriers", "stopped"]],
]);

/** The style of these screens, once. @type {Promise<void> | null} */
let dressing = null;

function dressed() {
  dressing ??= new Promise((done) => {
    const link = h("link", { rel: "stylesheet", href: new URL("./admin.css", import.meta.url).href });
    link.addEventListener("load", () => done());
    link.addEventListener("error", () => done());
    document.head.append(link);
  });
  return dressing;
}

/** @param {Context} context @param {{ path?: string }} params @returns {Promise<Screen>} */
export async function admin(context, { path = "" }) {
  const [name = "", ...rest] = path.split("/").filter(Boolean).map(decodeURIComponent);
  const room = Object.hasOwn(ROOMS, name) ? ROOMS[name] : undefined;
  const [found] = await Promise.all([room?.(), dressed()]);
  if (found) return found.open(context, rest.join("/"));
  return name === "" ? home() : screen(a.title, "/admin", [said(t.nothingHere)]);
}

async function home() {
  const looks = await attention();
  const groups = GROUPS.map(([group, rooms]) =>
    h("section", { class: "list" }, h("h2", {}, a.groups[group]), h("div", { class: "rows" }, rooms.map((room) => way(`/admin/${room}`, String(a.rooms[room][0]), String(a.rooms[room][1]))))));
  const needs = looks.length > 0
    ? h("section", { class: "list" }, h("h2", {}, a.attention.title), h("div", { class: "rows attention" }, looks.map(([href, text]) => way(href, text, ""))))
    : said(a.attention.calm, "good");
  return screen(a.title, "/me", [needs, h("div", { class: "halves" }, groups)], { wide: true });
}

/** What an administrator would want to know without looking for it. @returns {Promise<[string, string][]>} */
async function attention() {
  const [{ carriers }, { responders }, { freezes }, { acts }, { schedules }] = await Promise.all(
    ["/v1/carriers", "/v1/readiness", "/v1/freezes", "/v1/acts", "/v1/on-call"].map((path) => call("GET", path).catch(refused)),
  );
  const silent = (responders ?? []).filter((/** @type {any} */ one) => !one.ready).length;
  return /** @type {[string, string][]} */ ([
    ...(carriers ?? []).flatMap((/** @type {any} */ one) => one.down.map((/** @type {any} */ down) => ["/admin/carriers", a.attention.down(visible(down.route))])),
    ...(schedules ?? []).flatMap((/** @type {any} */ { schedule, gaps }) => (gaps[0] ? [[`/admin/schedules/${schedule}`, a.attention.gap(schedule, ago(gaps[0].from))]] : [])),
    ...(silent > 0 ? [["/admin/people", a.attention.silent(silent)]] : []),
    ...((freezes ?? []).length > 0 ? [["/admin/stopped", a.attention.frozen(freezes.length)]] : []),
    ...((acts ?? []).length > 0 ? [["/", a.attention.acts(acts.length)]] : []),
  ]);
}

/** One thing that cannot be looked at hides nothing else; who is no administrator sees that. @param {unknown} failure */
function refused(failure) {
  if (failure instanceof Problem && failure.status !== 403) return {};
  throw failure;
}
