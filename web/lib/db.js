// What this browser keeps: its keys, who it belongs to, and the last state it saw. IndexedDB, because keys can live nowhere else.

const NAME = "phoneops";
const STORE = "kept";

/** @returns {Promise<IDBDatabase>} */
function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another tab keeps an older version open"));
  });
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} ask
 * @returns {Promise<T>} once it is on disk
 */
async function within(mode, ask) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode, { durability: "strict" });
      const request = ask(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error ?? new Error("the browser stored nothing"));
    });
  } finally {
    database.close();
  }
}

/** @param {string} name @returns {Promise<any>} undefined when nothing was kept */
export const kept = (name) => within("readonly", (store) => store.get(name));

/** @param {string} name @param {unknown} value what can be cloned */
export const keep = (name, value) => within("readwrite", (store) => store.put(value, name));

/** @param {string} name */
export const forget = (name) => within("readwrite", (store) => store.delete(name));

/** Everything: this device is enrolled no more. */
export const forgetAll = () => within("readwrite", (store) => store.clear());
