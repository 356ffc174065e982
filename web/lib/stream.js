// Events as they happen. `EventSource` cannot sign its request, so the stream is read by hand (HTML, section 9.2).

import { Problem, Unreachable, request } from "./session.js";

/** How long a stream may be silent: the server says every 15 seconds that it is there. */
const SILENCE = 40_000;

/** From one try to the next, at most. */
const LONGEST_PAUSE = 30_000;

/**
 * Listens until `signal` says stop, coming back by itself.
 * @param {{ event: (event: any) => void, online: (online: boolean) => void, ended: (problem: Problem) => void, signal: AbortSignal }} to
 *   `online`: whether the stream stands. `ended`: the server will not have this device any more
 */
export async function listen(to) {
  let last = "";
  let pause = 500;
  while (!to.signal.aborted) {
    try {
      await once(last, to, (id) => {
        last = id;
        pause = 500;
      });
    } catch (failure) {
      if (failure instanceof Problem && failure.code === "invalid_grant") {
        to.ended(failure);
        return;
      }
      if (!(failure instanceof Problem || failure instanceof Unreachable) && !to.signal.aborted) console.error(failure);
    }
    if (to.signal.aborted) return;
    to.online(false);
    await Promise.race([wait(pause), woken(to.signal)]);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

/** @param {number} milliseconds @returns {Promise<void>} */
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Whoever comes back to the app, or to the network, does not wait. @param {AbortSignal} signal @returns {Promise<void>} */
const woken = (signal) =>
  new Promise((done) => {
    self.addEventListener("online", () => done(), { once: true, signal });
    self.document?.addEventListener("visibilitychange", () => done(), { once: true, signal });
  });

/**
 * @param {string} last the number of the last event heard
 * @param {{ event: (event: any) => void, online: (online: boolean) => void, signal: AbortSignal }} to
 * @param {(id: string) => void} heard
 */
async function once(last, to, heard) {
  const silence = new AbortController();
  const { signal } = silence;
  const stop = () => silence.abort();
  to.signal.addEventListener("abort", stop, { once: true });
  let timer = setTimeout(() => silence.abort(), SILENCE);
  try {
    /** @type {Record<string, string>} */
    const headers = last === "" ? {} : { "Last-Event-ID": last };
    const response = await request("GET", "/v1/events", { accept: "text/event-stream", signal, headers });
    to.online(true);
    const reader = /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (response.body).pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read().catch(broken);
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE);
      const blocks = (rest + value.replaceAll("\r\n", "\n")).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const { id, data } = fields(block);
        if (id !== "") heard(id);
        if (data !== "") to.event(JSON.parse(data));
      }
    }
  } finally {
    clearTimeout(timer);
    to.signal.removeEventListener("abort", stop);
  }
}

/** A stream that ends in the middle has lost its network, whatever the browser calls that. @returns {never} */
function broken() {
  throw new Unreachable();
}

/** @param {string} block @returns {{ id: string, data: string }} */
export function fields(block) {
  let id = "";
  const data = [];
  for (const line of block.split("\n")) {
    const [, name, value] = /^(id|data): ?(.*)$/.exec(line) ?? [];
    if (name === "id") id = String(value);
    if (name === "data") data.push(value);
  }
  return { id, data: data.join("\n") };
}
