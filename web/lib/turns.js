// What is fetched anew whenever something happened: one fetch after the other, so that an older answer never takes the place of a newer one.

/**
 * Runs `load` for whoever asks, never twice at once. Whoever asks while it runs gets what a run brings that begins afterwards, and all
 * who ask meanwhile share that one.
 * @param {() => Promise<void>} load
 * @returns {() => Promise<void>}
 */
export function inTurn(load) {
  /** @type {Promise<void> | null} */
  let running = null;
  /** @type {Promise<void> | null} */
  let next = null;
  const run = () => {
    const mine = load().finally(() => (running = running === mine ? null : running));
    return (running = mine);
  };
  /** @returns {Promise<void>} */
  const ask = () => {
    if (!running) return run();
    // What became of the other is for whoever asked for it.
    next ??= running.catch(() => undefined).then(() => {
      next = null;
      return ask();
    });
    return next;
  };
  return ask;
}
