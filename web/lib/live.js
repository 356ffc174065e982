// What waits for the person, as it is now: fetched whole whenever something happened, kept for when there is no network.

import { keep, kept } from "./db.js";
import { badge } from "./push.js";
import { Problem, Unreachable, call } from "./session.js";
import { listen } from "./stream.js";

/**
 * @typedef {object} Waiting
 * @property {import("./api.js").Approval[]} approvals
 * @property {import("./api.js").Incident[]} incidents
 * @property {import("./api.js").Act[]} acts
 * @property {import("./api.js").Device[]} devices those that wait to be confirmed
 * @property {string} at when it was so
 */

/** How long events gather before everything is fetched. */
const GATHER = 80;

export class Live extends EventTarget {
  /** @type {Waiting | null} */
  waiting = null;
  online = true;
  /** Why the server does not say what waits; empty when it does. */
  problem = "";
  #stop = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #due;
  /** @type {Promise<void> | null} */
  #fetching = null;
  #stale = false;

  /** Shows what was kept, fetches what is, and goes on listening. */
  async start() {
    this.waiting = (await kept("waiting")) ?? null;
    this.#say("change");
    void listen({
      signal: this.#stop.signal,
      event: (event) => {
        this.dispatchEvent(new CustomEvent("happened", { detail: event }));
        this.#soon();
      },
      online: (online) => this.#set(online),
      ended: () => this.#say("ended"),
    });
    await this.refresh();
  }

  stop() {
    this.#stop.abort();
    clearTimeout(this.#due);
  }

  #soon() {
    clearTimeout(this.#due);
    this.#due = setTimeout(() => void this.refresh(), GATHER);
  }

  /** @param {boolean} online */
  #set(online) {
    const back = online && !this.online;
    this.online = online;
    this.#say("change");
    // What happened while nobody listened is in no stream.
    if (back) this.#soon();
  }

  /** Fetches everything that waits. One at a time: what happens meanwhile is fetched once more. */
  async refresh() {
    if (this.#fetching) {
      this.#stale = true;
      return this.#fetching;
    }
    this.#fetching = this.#fetch().finally(() => (this.#fetching = null));
    await this.#fetching;
    if (this.#stale) {
      this.#stale = false;
      await this.refresh();
    }
  }

  async #fetch() {
    try {
      const [approvals, incidents, acts, devices] = await Promise.all([
        call("GET", "/v1/approvals?for=me"),
        call("GET", "/v1/incidents?mine=true&limit=50"),
        call("GET", "/v1/acts"),
        call("GET", "/v1/devices"),
      ]);
      this.waiting = {
        approvals: approvals.approvals,
        incidents: incidents.incidents,
        acts: acts.acts,
        devices: devices.devices.filter((/** @type {import("./api.js").Device} */ device) => device.state === "waiting"),
        at: new Date().toISOString(),
      };
      this.online = true;
      await keep("waiting", this.waiting);
      await badge(this.count());
      this.problem = "";
    } catch (failure) {
      if (failure instanceof Unreachable) this.online = false;
      else if (failure instanceof Problem && failure.code === "invalid_grant") this.#say("ended");
      else this.problem = failure instanceof Error ? failure.message : String(failure);
    }
    this.#say("change");
  }

  /** How many things wait for an answer. */
  count() {
    const { approvals = [], incidents = [], acts = [], devices = [] } = this.waiting ?? {};
    return approvals.length + incidents.filter((incident) => incident.state === "triggered").length + acts.length + devices.length;
  }

  /** @param {string} name */
  #say(name) {
    this.dispatchEvent(new Event(name));
  }
}
