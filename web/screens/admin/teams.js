// Teams: people who are paged and who approve together.

import { fill, h } from "../../lib/dom.js";
import { call } from "../../lib/session.js";
import { a } from "../../lib/words/admin.js";
import { said } from "../../parts/bits.js";
import { form } from "./forms.js";
import { people } from "./house.js";
import { change, leave, listing, named, screen, section, sure, to, way } from "./parts.js";

/** @typedef {import("../../app.js").Context} Context */
/** @typedef {{ name: string, members: import("../../lib/api.js").Person[] }} Team */

const w = a.teams;

/** @param {Context} context @param {string} rest */
export const open = (context, rest) => (rest === "" ? list() : rest === "+" ? Promise.resolve(add(context)) : one(context, rest));

async function list() {
  const { teams } = await call("GET", "/v1/teams");
  const row = (/** @type {Team} */ { name, members }) => way(`/admin/teams/${name}`, name, members.length === 0 ? w.nobody : members.map((member) => member.name).join(", "));
  return listing(String(a.rooms.teams[0]), teams.map(row), w.empty, [to("/admin/teams/+", w.add, "main")]);
}

/** @param {Context} context */
function add(context) {
  const send = async (/** @type {any} */ body, /** @type {string} */ once) => {
    await call("POST", "/v1/teams", body, { once });
    leave(context, `/admin/teams/${body.name}`, w.made(body.name));
  };
  return screen(w.add, "/admin/teams", [form({ fields: [{ name: "name", kind: "name", label: w.name, hint: w.nameHint, needed: true }], go: w.add, cancel: "/admin/teams", send })]);
}

/** @param {Context} context @param {string} name */
async function one(context, name) {
  const everybody = await people();
  const body = h("div", { class: "list" });
  const draw = async (/** @type {Node | null} */ told = null) => {
    const { teams } = await call("GET", "/v1/teams");
    const team = /** @type {Team | undefined} */ (teams.find((/** @type {Team} */ team) => team.name === name));
    if (!team) return void fill(body, said(a.gone));
    const drop = (/** @type {import("../../lib/api.js").Person} */ member) => sure(context, {
      label: a.remove, title: w.dropSure(member.name, name), what: w.dropWhat, method: "DELETE", path: `/v1/teams/${name}/members/@${member.handle}`, then: () => void draw(),
    });
    const rows = team.members.map((member) => h("div", {}, h("div", { class: "row" }, h("div", { class: "grow" }, named(member)), drop(member))));
    const left = everybody.filter(([handle]) => !team.members.some((member) => `@${member.handle}` === handle));
    const send = async (/** @type {any} */ { user }) => {
      const { done } = await change(context, "PUT", `/v1/teams/${name}/members/${user}`, {});
      await draw(done ? null : said(a.stepUp.waits));
    };
    const more = left.length > 0
      ? form({ fields: [{ name: "user", kind: "choice", label: w.who, needed: true, none: a.pick, options: left }], go: w.addMember, aside: rows.length > 0, send })
      : h("p", { class: "quiet" }, w.everybody);
    fill(body, told, section(w.members, rows, rows.length === 0 ? h("p", { class: "quiet" }, w.nobody) : null), section(w.addMember, [], more));
  };
  await draw();
  return screen(name, "/admin/teams", [body]);
}
