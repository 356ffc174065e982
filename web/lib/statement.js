// What a device checks before it asks for a finger: that what would be signed is what is shown (device protocol, sections 2, 4 and 6).

import { b64u, tagged, unb64u } from "./bytes.js";
import { jcs } from "./jcs.js";
import { matchNumber } from "./keys.js";

/** What would be signed is not what is shown. Nothing was signed. */
export class Mismatch extends Error {
  /** @param {string} member which */
  constructor(member) {
    super(`The server asked for a signature over something else than what is shown (${member}). Nothing was signed.`);
    this.name = "Mismatch";
    this.member = member;
  }
}

/** Another number was typed than that of the key which would be confirmed: mistyped, or another device waits. Nothing was signed. */
export class WrongNumber extends Error {
  constructor() {
    super("This is not the number that the new device shows. Nothing was signed.");
    this.name = "WrongNumber";
  }
}

/** @typedef {{ challenge: string, statement: string, public_key?: any, expires_at: string }} Offered */

/**
 * Reads a statement that is its own canonical text, so that no member is there twice.
 * @param {string} text @returns {Record<string, any>} @throws {Mismatch}
 */
function read(text) {
  let statement;
  try {
    statement = JSON.parse(text);
    if (jcs(statement) !== text) throw new TypeError("not canonical");
  } catch {
    throw new Mismatch("statement");
  }
  return statement;
}

/**
 * @param {Record<string, any>} statement
 * @param {Record<string, unknown>} meant member by member; what is undefined has to be absent
 * @throws {Mismatch}
 */
function compare(statement, meant) {
  for (const [member, value] of Object.entries(meant)) {
    const same = value === undefined ? !(member in statement) : member in statement && jcs(statement[member]) === jcs(value);
    if (!same) throw new Mismatch(member);
  }
}

/**
 * The passkey is asked for exactly this statement, and for its user.
 * @param {string} tag @param {string} statement @param {any} options @throws {Mismatch}
 */
async function asked(tag, statement, options) {
  if (options?.userVerification !== "required") throw new Mismatch("userVerification");
  if (options.challenge !== b64u(await tagged(tag, statement))) throw new Mismatch("challenge");
}

/**
 * @param {Offered} offered
 * @param {{ issuer: string, me: string, approval: import("./api.js").Approval, verdict: string, factor: string }} meant
 */
export async function checkAnswer(offered, { issuer, me, approval, verdict, factor }) {
  const statement = read(offered.statement);
  const mine = (approval.delegations ?? []).filter(({ by }) => by.id === me).map((delegation) => delegation.for.id);
  compare(statement, {
    type: "phoneops.answer.v1",
    issuer,
    approval: approval.id,
    action: approval.action,
    action_sha256: b64u(await tagged("phoneops.action.v1", jcs(approval.action))),
    requester: approval.requester.id,
    approver: me,
    for: mine.length > 0 ? mine : undefined,
    verdict,
    factor,
    display_sha256: b64u(await tagged("phoneops.display.v1", jcs(approval.display))),
  });
  if (factor === "passkey") await asked("phoneops.answer.v1", offered.statement, offered.public_key);
}

/** @param {Offered} offered @param {{ issuer: string, me: string, act: import("./api.js").Act }} meant */
export async function checkAct(offered, { issuer, me, act }) {
  compare(read(offered.statement), { type: "phoneops.act.v1", issuer, act: act.id, admin: me, change: act.change });
  await asked("phoneops.act.v1", offered.statement, offered.public_key);
}

/**
 * @param {Offered} offered
 * @param {{ issuer: string, user: string, by: string, device: import("./api.js").Device, typed: string }} meant
 *   `typed`: the number that the person read off the new device, with or without spaces
 * @throws {Mismatch | WrongNumber}
 */
export async function checkConfirmation(offered, { issuer, user, by, device, typed }) {
  const statement = read(offered.statement);
  compare(statement, {
    type: "phoneops.device_confirmation.v1",
    issuer,
    user,
    by,
    device: device.id,
    name: device.name,
    platform: device.platform,
  });
  if ((await matchNumber(unb64u(statement["jkt"]))) !== typed.replaceAll(" ", "")) throw new WrongNumber();
  if (offered.public_key) await asked("phoneops.device_confirmation.v1", offered.statement, offered.public_key);
}

/**
 * @param {{ statement: string, public_key: any }} guard
 * @param {{ issuer: string, user: string, device: string, ceremony: string }} meant
 */
export async function checkGuard(guard, { issuer, user, device, ceremony }) {
  compare(read(guard.statement), { type: "phoneops.passkey_registration.v1", issuer, user, device, ceremony });
  await asked("phoneops.passkey_registration.v1", guard.statement, guard.public_key);
}
