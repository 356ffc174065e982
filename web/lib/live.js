// What waits for the person, as it is now: fetched whole whenever something happened, kept for when there is no network.

import { kept } from "./db.js";
import { Problem, Unreachable } from "./session.js";
import { listen } from "./stream.js";
import { gathering } from "./turns.js";
import { count, fetchWaiting } from "./waiting.js";

/** How long events gather before everything is fetched. */
const GATHER = 80;

/** How long what waits is not fetched because the stream may stand in a moment, milliseconds: from then on nothing is missed. */
const SOON = 1000;

/**
 * - `change`: what waits, or whether the server can be reached, may be another
 * - `happened`: an event of the journal
 * - `stands`: the stream begins; what happened before it did is in no event
 * - `ended`: the server will not have this device any more
 */

export class Live extends EventTarget {
  /** @type {import("./waiting.js").Waiting | null} */
  waiting = null;
  online = true;
  /** Why the server does not say what waits; empty when it does. */
  problem = "";
  #stop = new AbortController();
  #gathering = gathering(() => void this.refresh(), GATHER);
  /** @type {Promise<void> | null} */
  #fetching = null;
  #stale = false;
  /** @type {() => void} */
  #told = () => undefined;
  /** Whether the stream stands, or cannot. */
  #tried = new Promise((/** @type {(value?: unknown) => void} */ done) => (this.#told = done));

  /** @type {Promise<void> | undefined} */
  #begun;

  /** As {@link start}, once. */
  begin() {
    this.#begun ??= this.start();
    return this.#begun;
  }

  /** Shows what was kept, fetches what is, and goes on listening. */
  async start() {
    this.waiting = (await kept("waiting")) ?? null;
    this.#say("change");
    this.#listen();
    // The browser knows before the stream does.
    self.addEventListener("offline", () => this.#set(false));
    self.addEventListener("online", () => this.#soon());
    await Promise.race([this.#tried, new Promise((late) => setTimeout(late, SOON))]);
    await this.refresh();
  }

  #listen() {
    void listen({
      signal: this.#stop.signal,
      event: (event) => {
        this.dispatchEvent(new CustomEvent("happened", { detail: event }));
        this.#soon();
      },
      online: (online) => this.#stands(online),
      ended: () => this.#say("ended"),
    });
  }

  stop() {
    this.#stop.abort();
    this.#gathering.drop();
  }

  /** Goes on after {@link stop}: a page that was put aside holds none of the few connections that a browser opens. */
  resume() {
    if (!this.#begun || !this.#stop.signal.aborted) return;
    this.#stop = new AbortController();
    this.#listen();
    this.#soon();
  }

  /** @param {boolean} online */
  #stands(online) {
    this.#told();
    this.#set(online);
    if (!online) return;
    this.#say("stands");
    this.#soon();
  }

  #soon() {
    this.#gathering.soon();
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
    this.#fetching = this.#load().finally(() => (this.#fetching = null));
    await this.#fetching;
    if (this.#stale) {
      this.#stale = false;
      await this.refresh();
    }
  }

  async #load() {
    try {
      this.waiting = await fetchWaiting();
      this.online = true;
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
    return count(this.waiting);
  }

  /** @param {string} name */
  #say(name) {
    this.dispatchEvent(new Event(name));
  }
}
