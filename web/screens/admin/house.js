// Whom and what there is to choose from.

import { call } from "../../lib/session.js";

/** @typedef {import("../../lib/api.js").Person} Person */

/** People, as `@handle`. @returns {Promise<[string, string][]>} */
export async function people() {
  const { users } = await call("GET", "/v1/users");
  return users.map((/** @type {Person} */ user) => [`@${user.handle}`, `${user.name} (@${user.handle})`]);
}

/** What has a name of its own. @param {string} path @param {string} list @returns {Promise<[string, string][]>} */
async function names(path, list) {
  const found = await call("GET", path);
  return found[list].map((/** @type {{ name: string }} */ { name }) => [name, name]);
}

export const teams = () => names("/v1/teams", "teams");
export const bots = () => names("/v1/bots", "bots");
export const services = () => names("/v1/services", "services");
export const schedules = () => names("/v1/schedules", "schedules");
export const escalations = () => names("/v1/escalation-policies", "escalation_policies");
