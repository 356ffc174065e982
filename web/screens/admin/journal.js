// The journal: everything that happened, searched, the newest first.

import { fill, h } from "../../lib/dom.js";
import { call } from "../../lib/session.js";
import { visible } from "../../lib/visible.js";
import { a } from "../../lib/words/admin.js";
import { button, empty, said, time } from "../../parts/bits.js";
import { form } from "./forms.js";
import { screen } from "./parts.js";

/** @typedef {import("../../app.js").Context} Context */
/** @typedef {{ seq: number, id: string, at: string, kind: string, actor: Record<string, any>, subject: string, data: Record<string, any>, sha256: string }} Entry */
/** @typedef {Map<string, string>} Names by id */

const w = a.journal;

/** How many entries at a time. */
const PAGE = "50";

/** @param {Context} _ @param {string} rest the beginning of kinds to look for at first @returns {Promise<import("../../app.js").Screen>} */
export async function open(_, rest) {
  const [{ users }, { bots }] = await Promise.all([call("GET", "/v1/users"), call("GET", "/v1/bots")]);
  const named = [...users, ...bots].map((/** @type {{ id: string, name: string }} */ { id, name }) => /** @type {[string, string]} */ ([id, name]));
  /** @type {Names} */
  const names = new Map(named);
  const found = h("ol", { class: "rows entries" });
  const below = h("div", { class: "list", "aria-live": "polite" });
  /** @type {Record<string, string>} */
  let asked = rest === "" ? {} : { kind: `${rest}.` };
  let count = 0;

  /** One page more; one page of the server may be empty and not the last. @param {string} [after] */
  const look = async (after) => {
    const query = new URLSearchParams({ order: "newest", limit: PAGE, ...asked, ...(after && { after }) });
    const { entries, next } = await call("GET", `/v1/journal?${query}`);
    count += entries.length;
    found.append(...entries.map((/** @type {Entry} */ entry) => row(entry, names)));
    found.hidden = count === 0;
    const more = next === undefined ? null : button(a.more, () => look(String(next)));
    fill(below, count === 0 && !more ? empty(String(w.empty[0]), w.empty[1]) : h("p", { class: "small quiet" }, w.found(count)), more);
  };
  const search = async (/** @type {Record<string, string>} */ body) => {
    asked = body;
    count = 0;
    fill(found);
    await look();
  };
  const kinds = Object.entries(w.kinds).filter(([kind]) => kind !== "");
  const fields = /** @type {import("./forms.js").Field[]} */ ([
    { name: "text", kind: "text", label: w.text, input: { type: "search", maxlength: "200" } },
    { name: "", kind: "group", label: a.journal.narrow, folded: true, fields: [
      { name: "kind", kind: "choice", label: w.kind, none: w.kinds[""], options: asked["kind"] && !(asked["kind"] in w.kinds) ? [[asked["kind"], asked["kind"]], ...kinds] : kinds },
      { name: "actor", kind: "choice", label: w.who, none: w.anybody, options: [...named, ["operator", w.actors.operator], ["system", w.actors.system]] },
      { name: "since", kind: "moment", label: w.since },
      { name: "until", kind: "moment", label: w.until },
    ] },
  ]);
  const check = button(w.check, async () => {
    const { valid, last, fault } = await call("GET", "/v1/journal/verification");
    fill(checked, valid ? said(w.whole(last), "good") : said(w.broken(visible(fault)), "bad"));
  });
  const checked = h("div", { "aria-live": "polite" });
  await look();
  return screen(String(a.rooms.journal[0]), "/admin", [form({ fields, values: asked, go: w.search, aside: true, send: search }), found, below, check, checked], { wide: true });
}

/** Who did it. @param {Record<string, any>} actor @param {Names} names */
function who(actor, names) {
  const name = (/** @type {string} */ id) => names.get(id) ?? id;
  if (actor["kind"] === "bot" || actor["bot"]) return actor["user"] ? w.via(name(actor["bot"]), name(actor["user"])) : name(actor["bot"]);
  if (actor["user"]) return name(actor["user"]);
  return /** @type {Record<string, string>} */ (w.actors)[actor["kind"]] ?? String(actor["kind"] ?? "");
}

/** What happened, as a sentence would begin: `policy.set` is "Policy set". @param {string} kind */
const title = (kind) => kind.charAt(0).toUpperCase() + kind.slice(1).replaceAll(/[._]/g, " ");

/** @param {Entry} entry @param {Names} names */
function row({ seq, at, kind, actor, subject, data, id, sha256 }, names) {
  const about = data["name"] ?? data["handle"] ?? data["title"] ?? names.get(subject) ?? subject;
  return h("li", {},
    h("div", { class: "row" }, h("span", { class: "grow" }, h("strong", {}, title(kind)), " ", h("span", {}, visible(String(about)))), h("span", { class: "small quiet" }, time(at))),
    h("p", { class: "small quiet" }, `${visible(who(actor, names))} · ${w.number(seq)}`),
    h("details", {}, h("summary", { class: "small" }, w.facts), h("pre", { class: "mono small", tabindex: "0" }, visible(JSON.stringify({ kind, at, actor, subject, data, id, sha256 }, null, 2)))));
}
