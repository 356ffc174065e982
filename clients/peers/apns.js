// Drives the APNs simulator with @parse/node-apn, to show that what is in order for others is taken, and that what is not is refused as they
// expect it.
//
// usage: apns.js URL ADMIN_URL FOLDER KEY_ID TEAM_ID TOPIC

"use strict";

const assert = require("node:assert");
const crypto = require("node:crypto");
const path = require("node:path");
const apn = require("@parse/node-apn");

const [url, admin, folder, keyId, teamId, topic] = process.argv.slice(2);

async function call(method, place, body) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const reply = await fetch(admin + place, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  assert(reply.ok, `${method} ${place}: ${reply.status}`);
  return reply.status === 204 ? null : reply.json();
}

function provider(key) {
  const { hostname, port } = new URL(url);
  return new apn.Provider({
    token: { key, keyId, teamId }, address: hostname, port: Number(port), ca: path.join(folder, "authority.pem"),
  });
}

function page(title, collapseId) {
  const note = new apn.Notification();
  Object.assign(note, { topic, pushType: "alert", priority: 10, sound: "default", collapseId, threadId: "inc_1", mutableContent: 1 });
  note.expiry = Math.floor(Date.now() / 1000) + 300;
  note.alert = { title, body: "Page PIHXOC6 from heimdall" };
  note.payload = { data: { kind: "page" } };
  return note;
}

const install = async () => (await call("POST", "/devices", {})).token;
const refusal = (result) => result.failed.map(({ status, response, error }) => `${status} ${response?.reason ?? error}`);

async function main() {
  const devices = [];
  for (let nth = 0; nth < 20; nth += 1) devices.push(await install());
  const sender = provider(path.join(folder, "key.p8"));

  // It opens a hundred streams before it has heard of the limit of one: the first push goes alone.
  assert.deepStrictEqual(refusal(await sender.send(page("first", "a"), devices[0])), []);
  for (let round = 1; round <= 20; round += 1) {
    const result = await sender.send(page(`round ${round}`, `ntf_1.${round % 2}`), devices);
    assert.deepStrictEqual([result.sent.length, refusal(result)], [20, []]);
  }
  const { counts } = await call("GET", `/admin/devices/${devices[7]}`);
  assert.deepStrictEqual(counts, { received: 20, presentations: 2, replacements: 18, rings: 20 });
  const tokens = (await call("GET", "/admin/tokens")).tokens;
  assert.strictEqual(tokens.length, 1, "one provider token");
  console.log("401 notifications were taken, on one connection and with one token");

  assert.deepStrictEqual(refusal(await sender.send(page("x"), "00".repeat(32))), ["400 BadDeviceToken"]);
  await call("DELETE", `/devices/${devices[0]}`);
  const gone = await sender.send(page("x"), devices[0]);
  assert.deepStrictEqual(refusal(gone), ["410 Unregistered"]);
  assert(Math.abs(gone.failed[0].response.timestamp - Date.now()) < 60_000, "milliseconds");
  const elsewhere = Object.assign(page("x"), { topic: "com.example.other" });
  assert.deepStrictEqual(refusal(await sender.send(elsewhere, devices[1])), ["400 DeviceTokenNotForTopic"]);
  const large = Object.assign(page("x".repeat(4096)), {});
  assert.deepStrictEqual(refusal(await sender.send(large, devices[1])), ["413 PayloadTooLarge"]);
  console.log("a token that nobody has, a dead one, another app's and a payload that is too large were refused");

  const { privateKey } = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
  const stranger = provider(privateKey.export({ type: "pkcs8", format: "pem" }));
  assert.deepStrictEqual(refusal(await stranger.send(page("x"), devices[1])), ["403 InvalidProviderToken"]);
  await stranger.shutdown();
  console.log("another's signature was refused");

  await call("POST", `/admin/devices/${devices[2]}/faults`, { fault: { kind: "refuse", reason: "ServiceUnavailable" }, times: 2 });
  assert.deepStrictEqual(refusal(await sender.send(page("third try"), devices[2])), []);
  await call("POST", "/admin/connections/disturb", { kind: "go_away", reason: "Shutdown", which: "graceful" });
  await new Promise((done) => setTimeout(done, 200));
  assert.deepStrictEqual(refusal(await sender.send(page("after GOAWAY"), devices[3])), []);
  await sender.shutdown();
  const { connections } = await call("GET", "/admin/connections");
  assert.strictEqual(connections.filter(({ requests }) => requests > 0).length, 3);
  console.log("it tried again after 503, and went on after a GOAWAY on another connection");
}

main().then(() => process.exit(0), (failure) => { console.error(failure); process.exit(1); });
