// Bytes and their texts.

const encoder = new TextEncoder();

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} its UTF-8 */
export const utf8 = (text) => encoder.encode(text);

/** base64url without padding (RFC 4648 section 5). @param {ArrayBuffer | Uint8Array} bytes @returns {string} */
export function b64u(bytes) {
  const octets = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  let binary = "";
  for (const octet of octets) binary += String.fromCharCode(octet);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** What {@link b64u} wrote. @param {string} text @returns {Uint8Array<ArrayBuffer>} @throws {TypeError} when it is no base64url */
export function unb64u(text) {
  if (!/^[\w-]*$/.test(text)) throw new TypeError("not base64url");
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

/** @param {Uint8Array[]} parts @returns {Uint8Array<ArrayBuffer>} one after the other */
export function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** SHA-256. @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<Uint8Array<ArrayBuffer>>} 32 bytes */
export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

/**
 * `H(tag, x)` of the device protocol: SHA-256 over the tag, a zero byte and x.
 * @param {string} tag ASCII
 * @param {Uint8Array | string} x a text counts as its UTF-8
 */
export const tagged = (tag, x) => sha256(joined(utf8(tag), new Uint8Array(1), typeof x === "string" ? utf8(x) : x));

/** @param {number} count @returns {string} so many random bytes, as base64url */
export const random = (count) => b64u(crypto.getRandomValues(new Uint8Array(count)));
