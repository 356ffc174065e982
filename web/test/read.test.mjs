// What is read off: a request, a timeline, paging rules, an inbox.

import "./node18.mjs";

import assert from "node:assert/strict";
import { test } from "node:test";

import { readdir, readFile } from "node:fs/promises";

import { documented, ROUTES } from "../lib/api.js";
import { deed, differences, may, progress } from "../lib/deed.js";
import { settle } from "../lib/dom.js";
import { farthest, takeEach, toldBy, undoable } from "../lib/incidents.js";
import { grouped, pastedCode, thisDevice } from "../lib/keys.js";
import { inWords, readHours, readLabels, writeHours, writeLabels } from "../lib/rules.js";
import { added } from "../lib/seen.js";
import { gathering, inTurn } from "../lib/turns.js";
import { count, ordered } from "../lib/waiting.js";
import { ago, past, t } from "../lib/words.js";
import { byServer, now, setClock, startClock } from "../lib/clock.js";

const row = (label, value) => ({ label, value });
const yannick = { id: "usr_1", handle: "yannick", name: "Yannick Schutz" };
const ys = { id: "usr_2", handle: "ys", name: "Ys Example" };

test("a deed has its verb, target and place, and loses nothing", () => {
  const display = { title: "deploy → production", rows: [row("action", "deploy"), row("target", "production"), row("app", "api"), row("Environment", "eu"), row("sha", "9f2c")], requester: "Yannick", bot: "heimdall" };
  const { verb, target, place, rows } = deed(display);
  assert.deepEqual([verb, target, place], ["deploy", "production", row("Environment", "eu")]);
  assert.deepEqual(rows, [{ ...row("app", "api"), exact: false }, { ...row("sha", "9f2c"), exact: true }]);
  assert.equal(2 + rows.length + 1, display.rows.length);
  assert.deepEqual(deed({ title: "x", rows: [], requester: "", bot: "" }), { verb: "x", target: "", place: undefined, rows: [] });
});

test("requests alike differ in what is different, reasons included", () => {
  const display = (rows, reason) => ({ title: "", rows, requester: "", bot: "", ...(reason && { reason }) });
  const one = display([row("ref", "a"), row("new", "1"), row("same", "s")], "again");
  const other = display([row("ref", "b"), row("gone", "2"), row("same", "s")]);
  assert.deepEqual(differences(one, other), [
    { label: "ref", was: "b", is: "a" }, { label: "gone", was: "2", is: undefined }, { label: "new", was: undefined, is: "1" }, { label: "reason", was: undefined, is: "again" }]);
  assert.deepEqual(differences(one, one), []);
});

const approval = (more = {}) => ({
  id: "apr_1", answer_by: "2026-01-01T00:05:00Z", requester: yannick, requester_approves: false, quorums: [], approvers: [yannick], approvals: [], ...more });

test("who has answered stands first, and counts in each group that has them", () => {
  const asked = approval({ quorums: [{ needed: 2, approvers: [yannick, ys] }, { needed: 1, approvers: [yannick] }], approvals: [{ by: ys, factor: "passkey", at: "now" }] });
  assert.deepEqual(progress(asked).map(({ needed, have, people }) => [needed, have, people.map(({ who }) => who.handle)]), [[2, 1, ["ys", "yannick"]], [1, 0, ["yannick"]]]);
});

test("who may approve and who may only refuse", () => {
  const can = (one, me) => { const { approve, refuse } = may(one, me); return [approve, refuse]; };
  assert.deepEqual(can(approval(), "usr_1"), [true, true]);
  assert.deepEqual(can(approval(), "usr_2"), [false, false]);
  const by = (person) => ({ approvals: [{ by: person, factor: "passkey", at: "now" }] });
  assert.deepEqual(can(approval(by(yannick)), "usr_1"), [false, true]);
  assert.deepEqual(can(approval({ holds_until: "later" }), "usr_1"), [false, true]);
  assert.deepEqual(can(approval({ break_glass: {} }), "usr_1"), [false, true]);
  const group = { quorums: [{ needed: 1, approvers: [ys] }], approvers: [ys] };
  assert.deepEqual(can(approval(group), "usr_1"), [false, true], "the requester may always deny");
  assert.deepEqual(can(approval({ ...group, requester_approves: true }), "usr_1"), [true, true]);
});

test("a bot's last act in my name can be disowned, once", () => {
  const line = (kind, actor, user) => ({ kind, actor: { kind: actor, user } });
  const acted = [line("incident.triggered", "bot", "usr_1"), line("incident.acknowledged", "bot", "usr_1"), line("incident.resolved", "bot", "usr_2")];
  assert.equal(undoable(acted, "usr_1"), acted[1]);
  assert.equal(undoable([...acted, line("incident.disowned", "user", "usr_1")], "usr_1"), undefined);
  assert.equal(undoable([...acted, line("incident.resolved", "user", "usr_1")], "usr_1"), acted[1]);
  assert.equal(undoable([line("incident.triggered", "bot", "usr_1")], "usr_1"), undefined, "a page is no act on one");
});

test("of a person's pushes the one that came farthest in the last round counts", () => {
  const push = (round, state, more) => ({ to: ys, round, state, created_at: "0", ...more });
  const all = [push(2, "accepted", { finished_at: "3" }), push(2, "displayed", { displayed_at: "4", device: { name: "Phone" } }), push(1, "opened", { opened_at: "2" })];
  assert.deepEqual(farthest(all, "usr_2"), { state: "displayed", at: "4", device: { name: "Phone" } });
  assert.equal(farthest(all, "usr_1"), undefined);
});

test("codes are read as they are pasted", () => {
  const code = "7K3MQ2XNB4TD9VWH5RFA8CPE";
  assert.equal(grouped(code), "7K3M-Q2XN-B4TD-9VWH-5RFA-8CPE");
  for (const text of [grouped(code), "https://phoneops.example/enroll#7k3m-q2xn-b4td-9vwh-5rfa-8cpe", ` ${code} `]) assert.equal(pastedCode(text), code);
});

test("devices have a name until their owner gives them one", () => {
  const words = t.enrol.devices;
  assert.equal(thisDevice("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)", words), words.iphone);
  assert.equal(thisDevice("Mozilla/5.0 (Linux; Android 15)", words), words.android);
  assert.equal(thisDevice("Mozilla/5.0 (X11; Linux x86_64)", words), words.other);
});

test("paging rules go into a form and come back", () => {
  for (const hours of ["mon-sun 22:00-07:00", "sat 09:00-18:00"]) assert.equal(writeHours(readHours(hours)), hours);
  for (const hours of ["sat 00:00 - mon 07:00", "mon-fri 18:00-24:00", "nonsense"]) assert.equal(readHours(hours), null);
  assert.deepEqual(readLabels(" env = production, region=eu=1,"), { env: "production", region: "eu=1" });
  assert.equal(writeLabels({ env: "production", region: "eu" }), "env=production, region=eu");
});

test("paging rules are said in sentences", () => {
  const rules = {
    high: { ways: [{ after_minutes: 5, way: "email" }, { after_minutes: 0, way: "loud" }], repeat_minutes: 0, once: false },
    low: { ways: [{ after_minutes: 0, way: "push" }], repeat_minutes: 15, once: false },
    quiet_hours: { zone: "Europe/Paris", hours: ["mon-sun 22:00-07:00"] },
    only: [{ services: ["api"], teams: [], urgency: "high", labels: { env: "production" } }],
  };
  assert.deepEqual(inWords(rules, t.rules.words), [
    "Urgent: a loud push at once, an e-mail after 5 min; repeated at every ring.",
    "Can wait: a quiet push at once; repeated every 15 min.",
    "Quiet hours: mon-sun 22:00-07:00 (Europe/Paris).",
    "Only for: services api, Urgent, labels env=production.",
  ]);
});

test("the inbox is in order of urgency, and counts what waits", () => {
  const incident = (id, state, urgency) => ({ id, state, urgency });
  const waiting = {
    approvals: [approval({ id: "late", answer_by: "2026-01-01T00:09:00Z" }), approval({ id: "soon" }), approval({ id: "broken", answer_by: "2026-01-01T01:00:00Z", break_glass: {} })],
    incidents: [incident("held", "acknowledged", "high"), incident("low", "triggered", "low"), incident("rings", "triggered", "high"), incident("over", "resolved", "high")],
    acts: [{ id: "act" }], devices: [{ id: "device" }], at: "now",
  };
  assert.deepEqual(ordered(waiting).map(({ one }) => one.id), ["rings", "broken", "device", "soon", "late", "act", "low", "held"]);
  assert.equal(count(waiting), 7);
  assert.equal(count(null), 0);
});

test("what was seen last is kept, and the oldest goes", () => {
  let seen = new Map();
  for (let at = 0; at < 70; at += 1) seen = added(seen, `/${at}`, at);
  assert.equal(seen.size, 60);
  assert.equal(seen.has("/9"), false);
  seen = added(seen, "/10", "again");
  assert.equal([...seen.keys()].at(-1), "/10");
});

test("the app can call what its list names, and nothing else", () => {
  for (const [method, path] of [["GET", "/v1/approvals?for=me"], ["POST", "/v1/incidents/P7K3M2X/acknowledge"], ["PUT", "/v1/me/paging-rules"], ["POST", "/v1/token"]]) assert.ok(documented(method, path), path);
  for (const [method, path] of [["GET", "/v1/nothing"], ["DELETE", "/v1/me"], ["POST", "/v1/grants/redeem"], ["GET", "/v1/me/../users"], ["GET", "https://elsewhere.example/v1/me"]]) assert.equal(documented(method, path), false, path);
  assert.equal(new Set(ROUTES).size, ROUTES.length);
});

test("there is one way out of the app", async () => {
  const root = new URL("../", import.meta.url);
  for (const name of await readdir(root, { recursive: true })) {
    if (!/^(app\.js|(lib|parts|screens)\/.*\.js)$/.test(name)) continue;
    const text = await readFile(new URL(name, root), "utf8");
    const ways = text.match(/\bfetch\(|XMLHttpRequest|\bEventSource\(|sendBeacon|\bWebSocket\b|localStorage|sessionStorage|document\.cookie|innerHTML/g) ?? [];
    assert.deepEqual(ways, name === "lib/session.js" ? ["fetch("] : [], name);
  }
});

test("what is fetched anew is fetched one after the other, and whoever asks meanwhile gets what was fetched afterwards", async () => {
  /** @type {((failed?: unknown) => void)[]} */
  const ends = [];
  let [begun, running] = [0, 0];
  const look = inTurn(() => {
    [begun, running] = [begun + 1, running + 1];
    assert.equal(running, 1, "never two at once");
    return new Promise((done, failed) => ends.push((failure) => { running -= 1; return failure ? failed(failure) : done(undefined); }));
  });
  const [first, second, third] = [look(), look(), look()];
  assert.equal(begun, 1);
  ends[0]?.(new Error("no network"));
  await assert.rejects(first, /no network/);
  await new Promise((done) => setImmediate(done));
  assert.equal(begun, 2, "those who asked meanwhile share one");
  const fourth = look();
  ends[1]?.();
  await Promise.all([second, third]);
  await new Promise((done) => setImmediate(done));
  assert.equal(begun, 3);
  ends[2]?.();
  await fourth;
  const fifth = look();
  assert.equal(begun, 4, "nothing is left over");
  ends[3]?.();
  await fifth;
});

test("what is over is never ahead, and times are the server's", () => {
  const reply = (/** @type {number} */ at) => new Response(null, { headers: { Date: new Date(at).toUTCString() } });
  assert.equal(setClock(reply(Date.now() - 1000)), undefined, "as near as a header can tell");
  const ahead = setClock(reply(Date.now() - 3_600_000));
  assert.ok(ahead !== undefined && Math.abs(ahead + 3_600_000) < 2000, String(ahead));
  assert.ok(Math.abs(now() - (Date.now() - 3_600_000)) < 2000);
  assert.ok(Math.abs(Date.parse(byServer()) - now()) < 1000);
  startClock(0);
  assert.ok(Math.abs(now() - Date.now()) < 1000);
  const at = new Date(Date.now() + 9000).toISOString();
  assert.deepEqual([ago(at, Date.parse(at) - 9000), past(at, Date.parse(at) - 9000), past(at, Date.parse(at) + 9000)], ["in 9 seconds", "now", "9 seconds ago"]);
});

test("of several pages that are acknowledged together one that is refused keeps nothing from the others", async () => {
  const asked = [];
  const lost = new Set(["P2"]);
  const gone = new Error("it is resolved");
  const call = async (method, path, body, { once }) => {
    const ref = path.split("/")[3];
    asked.push([method, path, once]);
    if (ref === "P1") throw gone;
    if (lost.delete(ref)) throw Object.assign(new Error("no answer"), { name: "Unreachable" });
  };
  assert.deepEqual(await takeEach(["P1", "P2", "P3"], call), [{ ref: "P1", failure: gone }]);
  assert.deepEqual(asked.map(([method, path]) => `${method} ${path}`), ["P1", "P2", "P2", "P3"].map((ref) => `POST /v1/incidents/${ref}/acknowledge`));
  assert.equal(asked[1][2], asked[2][2], "a reply that was lost is asked for again with its own key");
  assert.equal(new Set(asked.map(([, , once]) => once)).size, 3);
});

test("a card told of what was there when it was written", () => {
  const [before, same, after] = ["inc_01890a5d0000700080000000000000ff", "inc_01890a5d0001700080000000000000ff", "inc_01890a5d000270008000000000000000"].map((id) => ({ id }));
  assert.deepEqual(toldBy([after, same, before], "ntf_01890a5d000170008000000000000000"), [same, before]);
  assert.deepEqual(toldBy([{ id: "inc_01890a5d000170018000000000000000" }], "ntf_01890a5d000170008000000000000000"), [], "later in the same millisecond");
  assert.deepEqual(toldBy([before], undefined), []);
});

test("what happens all the time is fetched all the time, not when it is over", () => {
  const real = [globalThis.setTimeout, globalThis.clearTimeout];
  let [due, ran] = [[], 0];
  globalThis.setTimeout = (run) => due.push(run);
  globalThis.clearTimeout = (id) => delete due[id - 1];
  try {
    const { soon, drop } = gathering(() => (ran += 1), 80);
    soon();
    soon();
    assert.equal(due.length, 1, "the second does not put it off");
    due[0]();
    assert.equal(ran, 1);
    soon();
    assert.equal(due.length, 2);
    drop();
    assert.equal(due[1], undefined);
    soon();
    assert.equal(due.length, 3);
  } finally {
    [globalThis.setTimeout, globalThis.clearTimeout] = real;
  }
});

test("what came under a finger takes no taps for a while, counted from the last time", () => {
  const real = [globalThis.setTimeout, globalThis.clearTimeout];
  const due = new Map();
  globalThis.setTimeout = (run, after) => (due.set(due.size + 1, [run, after]), due.size);
  globalThis.clearTimeout = (id) => id && due.set(id, null);
  const classes = new Set();
  const element = { classList: { add: (name) => classes.add(name), remove: (name) => classes.delete(name) } };
  try {
    settle(element);
    settle(element);
    assert.equal(due.get(1), null);
    assert.ok(due.get(2)[1] >= 700);
    assert.ok(classes.has("settling"));
    due.get(2)[0]();
    assert.equal(classes.size, 0);
  } finally {
    [globalThis.setTimeout, globalThis.clearTimeout] = real;
  }
});
