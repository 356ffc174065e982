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

/**
 * Runs `run` once for all who ask within `milliseconds` of the first of them. Whoever asks later does not put it off: in a storm it runs
 * again and again, not when the storm is over.
 * @param {() => void} run @param {number} milliseconds
 */
export function gathering(run, milliseconds) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let due;
  return {
    soon: () => {
      due ??= setTimeout(() => {
        due = undefined;
        run();
      }, milliseconds);
    },
    /** Forgets who asked. */
    drop: () => {
      clearTimeout(due);
      due = undefined;
    },
  };
}
