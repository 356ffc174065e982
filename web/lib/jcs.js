// Canonical JSON (RFC 8785), as far as PhoneOps uses it: no fractions, and no integers that JSON cannot carry exactly.

/**
 * @param {unknown} value what JSON can say
 * @returns {string} its only canonical text
 * @throws {TypeError} for fractions, large integers, lone surrogates, and what is no JSON
 */
export function jcs(value) {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return text(value);
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new TypeError("no fractions and no large numbers in canonical JSON");
    return String(value === 0 ? 0 : value);
  }
  if (Array.isArray(value)) return `[${value.map(jcs).join(",")}]`;
  if (typeof value === "object") {
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    // RFC 8785 sorts by UTF-16 code units, which is what comparing texts does here.
    members.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return `{${members.map(([name, member]) => `${text(name)}:${jcs(member)}`).join(",")}}`;
  }
  throw new TypeError(`no JSON: ${typeof value}`);
}

/** @param {string} value */
function text(value) {
  if (!value.isWellFormed()) throw new TypeError("half a character");
  return JSON.stringify(value);
}
