// The vectors of `api-spec/vectors`, by the modules that the app signs with.

import "./node18.mjs";

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { b64u, tagged, unb64u, utf8 } from "../lib/bytes.js";
import { jcs } from "../lib/jcs.js";
import { codeDigest, deviceDigest, matchNumber, newKeys, plainCode, publicJwk, signed, thumbprint } from "../lib/keys.js";
import { Mismatch, WrongNumber, checkConfirmation } from "../lib/statement.js";
import { fields } from "../lib/stream.js";
import { visible } from "../lib/visible.js";

const read = async (name) => JSON.parse(await readFile(new URL(`../../api-spec/vectors/${name}`, import.meta.url), "utf8"));

const named = (keys, name) => keys.find((key) => key.name === name).jwk;

const verified = async (jwk, jws) => {
  const [header, payload, signature] = jws.split(".");
  const key = await crypto.subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
  return crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, unb64u(signature), utf8(`${header}.${payload}`));
};

test("keys have the thumbprints of the vectors", async () => {
  const { keys } = await read("device.json");
  assert.equal(keys.length, 2);
  for (const { jwk, thumbprint: expected } of keys) assert.equal(b64u(await thumbprint(jwk)), expected);
  assert.equal(await matchNumber(await thumbprint(named(keys, "device"))), "285444");
});

test("a mistyped number is told from a statement over something else", async () => {
  const { keys } = await read("device.json");
  const device = { id: "dev_1", name: "A tablet", platform: "web" };
  const jkt = b64u(await thumbprint(named(keys, "device")));
  const statement = { type: "phoneops.device_confirmation.v1", issuer: "https://phoneops.example", user: "usr_1", by: "dev_2", device: device.id, name: device.name, platform: device.platform, jkt };
  const check = (changes, typed) =>
    checkConfirmation({ challenge: "dch_1", statement: jcs({ ...statement, ...changes }), expires_at: "" }, { issuer: statement.issuer, user: "usr_1", by: "dev_2", device, typed });
  await check({}, "285444");
  await check({}, "285 444");
  for (const typed of ["285445", "", "28544"]) await assert.rejects(check({}, typed), WrongNumber);
  await assert.rejects(check({ device: "dev_3" }, "285444"), Mismatch);
  await assert.rejects(check({ jkt: b64u(new Uint8Array(32)) }, "285444"), WrongNumber);
});

test("enrolment proofs digest as the vectors say", async () => {
  const { accepted } = await read("device.json");
  const proofs = accepted.filter(({ kind }) => kind === "enrollment_proof");
  assert.notEqual(proofs.length, 0);
  for (const { inputs, claims } of proofs) {
    const said = JSON.parse(claims);
    assert.equal(await codeDigest(plainCode(inputs.code)), said.code_sha256);
    assert.equal(await deviceDigest(inputs.device), said.device_sha256);
  }
});

test("every accepted token verifies, and so does one of a new key", async () => {
  const { keys, accepted } = await read("device.json");
  for (const { token, signed_by: by } of accepted) assert.ok(await verified(named(keys, by), token));
  const pair = await newKeys();
  const jws = await signed(pair.privateKey, { typ: "phoneops-answer+jws" }, '{"a":1}');
  assert.ok(await verified(await publicJwk(pair.publicKey), jws));
  assert.equal(pair.privateKey.extractable, false);
});

test("statements are their own canonical text, and make the challenges of the vectors", async () => {
  const { passkey, accepted } = await read("answers.json");
  for (const { statement, challenge } of passkey) {
    assert.equal(jcs(JSON.parse(statement)), statement);
    assert.equal(b64u(await tagged("phoneops.answer.v1", statement)), challenge);
  }
  for (const { statement } of accepted) assert.equal(jcs(JSON.parse(statement)), statement);
});

test("canonical JSON refuses what it cannot say", () => {
  assert.equal(jcs({ b: [1, null, true], a: "é\u0007", "\u{1f600}": -0 }), '{"a":"é\\u0007","b":[1,null,true],"😀":0}');
  for (const bad of [1.5, Infinity, 2 ** 53, "\ud800", () => 0]) assert.throws(() => jcs(bad), TypeError);
});

test("what is hidden is written out", () => {
  assert.equal(visible("pro\u202Educ\u200Btion"), "pro\\u{202e}duc\\u{200b}tion");
  assert.equal(visible("a\u0000b\u2028c\u{e0041}\uFEFF"), "a\\u{0}b\\u{2028}c\\u{e0041}\\u{feff}");
  assert.equal(visible("👩‍💻 fine — naïve 日本語\n\ttext"), "👩‍💻 fine — naïve 日本語\n\ttext");
});

test("a stream's block is read as HTML says", () => {
  assert.deepEqual(fields("id: 7\nevent: x\ndata: {\"a\":\ndata: 1}"), { id: "7", data: '{"a":\n1}' });
  assert.deepEqual(fields(": heartbeat"), { id: "", data: "" });
});
