// What browsers have had for years, and the Node of Debian 12 has not.

import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto;
globalThis.self ??= globalThis;

/** @param {object} prototype @param {string} name @param {(...given: any[]) => unknown} value */
const lacks = (prototype, name, value) => name in prototype || Object.defineProperty(prototype, name, { value, configurable: true, writable: true });

lacks(String.prototype, "isWellFormed", function () { return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(this); });
lacks(Array.prototype, "toSorted", function (by) { return [...this].sort(by); });
lacks(Array.prototype, "toReversed", function () { return [...this].reverse(); });
