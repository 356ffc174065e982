// Enrol, sign in and call (device protocol, sections 2 and 3). Shared by the pages and the service worker.

import { documented } from "./api.js";
import { b64u, random, sha256, utf8 } from "./bytes.js";
import { now as clock, setClock, startClock } from "./clock.js";
import { forgetAll, keep, kept } from "./db.js";
import { codeDigest, deviceDigest, newKeys, plainCode, publicJwk, token } from "./keys.js";

/**
 * This device, as it is kept.
 * @typedef {object} Enrolled
 * @property {CryptoKeyPair} keys
 * @property {import("./keys.js").PublicJwk} jwk
 * @property {string} issuer
 * @property {import("./api.js").Device} device
 * @property {import("./api.js").User} user
 * @property {string} vapid the server's public key for Web Push
 */

/** What the server refused (RFC 9457), or that it could not be reached. */
export class Problem extends Error {
  /** @param {{ status: number, code: string, detail: string, field?: string, [more: string]: unknown }} body */
  constructor(body) {
    super(body.detail);
    this.name = "Problem";
    this.status = body.status;
    this.code = body.code;
    this.field = body.field;
    this.body = body;
  }
}

/** No answer came: no network, or no server. */
export class Unreachable extends Error {
  constructor() {
    super("PhoneOps cannot be reached");
    this.name = "Unreachable";
  }
}

const issuer = () => self.location.origin;

/** Seconds since 1970, as the server has them. */
const now = () => Math.floor(clock() / 1000);

/** What was known before of the server's clock, for what is shown before it has answered. */
export const recallClock = async () => startClock(await kept("ahead"));

/** @type {{ text: string, until: number } | null} */
let access = null;

/** @type {Promise<Enrolled | undefined> | null} */
let enrolled = null;

/** This device as it is kept; none when it is not enrolled. @returns {Promise<Enrolled | undefined>} */
export function me() {
  enrolled ??= kept("device");
  return enrolled;
}

/** @param {Enrolled} device */
async function remember(device) {
  await keep("device", device);
  enrolled = Promise.resolve(device);
}

/** This device is called something else from now on. @param {string} name */
export async function renamed(name) {
  const device = await me();
  if (device) await remember({ ...device, device: { ...device.device, name } });
}

/** Forgets that this device was enrolled, and everything it saw. */
export async function forgetMe() {
  access = null;
  enrolled = null;
  await forgetAll();
}

/**
 * One request, without credentials.
 * @param {string} path
 * @param {RequestInit} init
 * @returns {Promise<Response>} whatever the server answered
 * @throws {Unreachable}
 */
async function ask(path, init) {
  if (!documented(init.method ?? "GET", path)) throw new TypeError(`the app calls nothing that is not in the API: ${init.method} ${path}`);
  let response;
  try {
    response = await fetch(path, { redirect: "error", credentials: "omit", cache: "no-store", ...init });
  } catch (failure) {
    if (init.signal?.aborted) throw failure;
    throw new Unreachable();
  }
  const ahead = setClock(response);
  // What cannot be kept is found out again.
  if (ahead !== undefined) void keep("ahead", ahead).catch((failure) => console.warn(failure));
  return response;
}

/** @param {Response} response @returns {Promise<Problem>} */
async function problem(response) {
  try {
    return new Problem(await response.json());
  } catch {
    return new Problem({ status: response.status, code: "unreadable", detail: `The server answered ${response.status}.` });
  }
}

/** @param {Problem} said */
const clockIsWrong = (said) => ["iat_stale", "iat_early", "exp_passed"].includes(String(said.body["reason"]));

/**
 * Claims an enrolment code with a key made for it. The key is kept before it is sent, so that a lost reply loses nothing.
 * @param {string} typed the code as it was typed
 * @param {string} name what the person calls this device
 * @param {{ handle: string, name: string }} [user] the first administrator's, with the first code
 * @returns {Promise<Enrolled>}
 */
export async function enrol(typed, name, user) {
  const code = plainCode(typed);
  const device = { name, platform: "web" };
  const claim = (await pendingClaim(code)) ?? { code, keys: await newKeys() };
  await keep("claim", claim);
  const jwk = await publicJwk(claim.keys.publicKey);
  for (let again = false; ; again = true) {
    const claims = {
      aud: issuer(),
      code_sha256: await codeDigest(code),
      device_sha256: await deviceDigest(device),
      iat: now(),
    };
    const proof = await token(claim.keys.privateKey, { typ: "phoneops-enrollment+jwt" }, claims);
    const response = await ask("/v1/enrollments/claim", json("POST", { code, device, device_key: jwk, proof, ...(user && { user }) }));
    if (response.ok) {
      const body = await response.json();
      if (body.issuer !== issuer()) throw new Problem({ status: 0, code: "issuer_differs", detail: `This is not the address of PhoneOps: open ${body.issuer}` });
      const enrolled = { keys: claim.keys, jwk, issuer: body.issuer, device: body.device, user: body.user, vapid: body.vapid_public_key };
      await remember(enrolled);
      await keep("claim", null);
      return enrolled;
    }
    const said = await problem(response);
    if (again || !clockIsWrong(said)) throw said;
  }
}

/** The key of a claim of this code whose reply was lost. @param {string} code @returns {Promise<{ code: string, keys: CryptoKeyPair } | undefined>} */
async function pendingClaim(code) {
  const claim = await kept("claim");
  return claim?.code === code ? claim : undefined;
}

/** @param {string} method @param {unknown} body @returns {RequestInit} */
const json = (method, body) => ({ method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

/**
 * A DPoP proof for one call (RFC 9449).
 * @param {Enrolled} device @param {string} method @param {string} path @param {string} [accessToken]
 */
async function proofFor(device, method, path, accessToken) {
  const htu = issuer() + path.split(/[?#]/, 1)[0];
  const ath = accessToken === undefined ? {} : { ath: b64u(await sha256(utf8(accessToken))) };
  return token(device.keys.privateKey, { typ: "dpop+jwt", jwk: device.jwk }, { jti: random(16), htm: method, htu, iat: now(), ...ath });
}

/** @type {Promise<string> | null} one sign-in for all who wait for it */
let signingIn = null;

/** @param {Enrolled} device @returns {Promise<string>} an access token that is good for a while */
function accessToken(device) {
  if (access && Date.now() < access.until) return Promise.resolve(access.text);
  signingIn ??= signIn(device).finally(() => (signingIn = null));
  return signingIn;
}

/** @param {Enrolled} device @returns {Promise<string>} */
async function signIn(device) {
  const path = "/v1/token";
  for (let again = false; ; again = true) {
    const iat = now();
    const claims = { iss: device.device.id, sub: device.device.id, aud: issuer() + path, iat, exp: iat + 60, jti: random(16) };
    const assertion = await token(device.keys.privateKey, { typ: "phoneops-assertion+jwt", kid: device.device.id }, claims);
    const form = new URLSearchParams({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion });
    const headers = { DPoP: await proofFor(device, "POST", path) };
    const response = await ask(path, { method: "POST", body: form, headers });
    if (response.ok) {
      const { access_token: text, expires_in: seconds } = await response.json();
      // A minute early, so that a call under way does not meet its end.
      access = { text, until: Date.now() + (seconds - 60) * 1000 };
      return text;
    }
    const said = await problem(response);
    if (again || !clockIsWrong(said)) throw said;
  }
}

/**
 * One call as this device's person.
 * @param {string} method
 * @param {string} path below the issuer, with its query
 * @param {{ body?: unknown, once?: string, accept?: string, signal?: AbortSignal, headers?: Record<string, string> }} [with_]
 *   `once`: the `Idempotency-Key`
 * @returns {Promise<Response>} a successful one
 * @throws {Problem | Unreachable}
 */
export async function request(method, path, with_ = {}) {
  const device = await me();
  if (!device) throw new Problem({ status: 401, code: "not_enrolled", detail: "This device is not enrolled." });
  for (let tries = 0; ; tries += 1) {
    const text = await accessToken(device);
    /** @type {Record<string, string>} */
    const headers = { Authorization: `DPoP ${text}`, DPoP: await proofFor(device, method, path, text), ...with_.headers };
    if (with_.accept) headers["Accept"] = with_.accept;
    if (with_.once) headers["Idempotency-Key"] = with_.once;
    const init = with_.body === undefined ? { method } : json(method, with_.body);
    const response = await ask(path, { ...init, headers: { .../** @type {Record<string, string>} */ (init.headers), ...headers }, signal: with_.signal });
    if (response.ok) return response;
    const said = await problem(response);
    if (response.status === 401 && tries === 0) {
      // A clock that was wrong is right by now.
      if (!clockIsWrong(said)) access = null;
      continue;
    }
    throw said;
  }
}

/**
 * As {@link request}, for JSON.
 * @param {string} method @param {string} path @param {unknown} [body] @param {{ once?: string, signal?: AbortSignal }} [more]
 * @returns {Promise<any>} null for an empty answer
 */
export async function call(method, path, body, more = {}) {
  const response = await request(method, path, { ...more, ...(body === undefined ? {} : { body }) });
  return response.status === 204 ? null : response.json();
}

/** Says how far a push came; needs no credentials. @param {string} capability @param {"received" | "displayed" | "opened"} event */
export async function receipt(capability, event) {
  for (let tries = 0; tries < 3; tries += 1) {
    try {
      const response = await ask(`/v1/receipts/${capability}`, json("POST", { event }));
      if (response.status < 500) return;
    } catch (failure) {
      if (!(failure instanceof Unreachable)) throw failure;
    }
    await new Promise((done) => setTimeout(done, 500 * 2 ** tries));
  }
}
