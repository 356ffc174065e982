// The device key: made here, never exported, and what it signs (device protocol, section 1).

import { b64u, sha256, tagged, utf8 } from "./bytes.js";
import { jcs } from "./jcs.js";

/** @typedef {{ kty: "EC", crv: "P-256", x: string, y: string }} PublicJwk */

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
const SIGNING = { name: "ECDSA", hash: "SHA-256" };

/** A new key pair whose private half cannot leave the browser. @returns {Promise<CryptoKeyPair>} */
export const newKeys = () => crypto.subtle.generateKey(ALGORITHM, false, ["sign", "verify"]);

/** @param {CryptoKey} key @returns {Promise<PublicJwk>} with the members that the protocol asks for and no other */
export async function publicJwk(key) {
  const { x, y } = await crypto.subtle.exportKey("jwk", key);
  return { kty: "EC", crv: "P-256", x: String(x), y: String(y) };
}

/** The thumbprint of a key (RFC 7638). @param {PublicJwk} jwk @returns {Promise<Uint8Array<ArrayBuffer>>} 32 bytes */
export const thumbprint = (jwk) => sha256(utf8(jcs({ crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y })));

/** The number by which a person knows a device that waits. @param {Uint8Array} print its key's thumbprint @returns {Promise<string>} six digits */
export async function matchNumber(print) {
  const digest = await tagged("phoneops.match.v1", print);
  const number = new DataView(digest.buffer).getBigUint64(0) % 1_000_000n;
  return String(number).padStart(6, "0");
}

/**
 * A compact JWS by ES256 (RFC 7515, RFC 7518 section 3.4).
 * @param {CryptoKey} key the private half
 * @param {Record<string, unknown>} header without `alg`
 * @param {string} payload signed byte for byte
 */
export async function signed(key, header, payload) {
  const input = `${b64u(utf8(JSON.stringify({ alg: "ES256", ...header })))}.${b64u(utf8(payload))}`;
  return `${input}.${b64u(await crypto.subtle.sign(SIGNING, key, utf8(input)))}`;
}

/** @param {CryptoKey} key @param {Record<string, unknown>} header @param {Record<string, unknown>} claims */
export const token = (key, header, claims) => signed(key, header, JSON.stringify(claims));

/** An enrolment code as it is typed, as the server knows it. @param {string} typed @returns {string} 24 characters, when it is one */
export const plainCode = (typed) =>
  typed.replaceAll(/[\s-]/g, "").toUpperCase().replaceAll("O", "0").replaceAll(/[IL]/g, "1");

/** The code of what was pasted: the code, or the link that has it behind its `#`. @param {string} text @returns {string} plain */
export const pastedCode = (text) => plainCode(text.slice(text.lastIndexOf("#") + 1));

/** A plain code as people read it. @param {string} code */
export const grouped = (code) => code.replaceAll(/(.{4})(?=.)/g, "$1-");

/**
 * What a device is called until its owner says otherwise.
 * @param {string} agent what the browser calls itself @param {Record<"iphone" | "ipad" | "android" | "mac" | "windows" | "other", string>} words
 */
export function thisDevice(agent, words) {
  if (/iPhone|iPod/.test(agent)) return words.iphone;
  if (/iPad/.test(agent)) return words.ipad;
  if (/Android/.test(agent)) return words.android;
  if (/Macintosh/.test(agent)) return words.mac;
  return /Windows/.test(agent) ? words.windows : words.other;
}

/** The digest that stands for a device key's proof of a code. @param {string} code a plain one */
export const codeDigest = async (code) => b64u(await tagged("phoneops.enrollment.v1", code));

/** @param {{ name: string, platform: string }} device */
export const deviceDigest = async (device) => b64u(await tagged("phoneops.device.v1", jcs(device)));

