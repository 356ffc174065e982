// Being rung: the browser's push subscription and its registration with the server (device protocol, section 5).

import { forget, keep, kept } from "./db.js";
import { call, me } from "./session.js";
import { unb64u } from "./bytes.js";

/**
 * How this device stands with notifications.
 * - `unsupported`: no push here; on an iPhone that is not on its home screen yet
 * - `ask`: the person was not asked
 * - `denied`: the person said no; only the browser's settings can change that
 * - `off`: allowed, but not registered
 * - `on`: registered; whether anything arrives is another question ({@link lastPush})
 * @typedef {"unsupported" | "ask" | "denied" | "off" | "on"} Standing
 */

/** Whether this is an iPhone or iPad; those that ask for desktop pages say Macintosh, and have fingers. */
export const isApplePhone = () =>
  /iPhone|iPad|iPod/.test(navigator.userAgent) || (navigator.userAgent.includes("Macintosh") && navigator.maxTouchPoints > 1);

/** Whether the app was opened from the home screen. */
export const isInstalled = () =>
  matchMedia("(display-mode: standalone)").matches || /** @type {any} */ (navigator).standalone === true;

/** How long a browser may take to start its worker, and its push service to answer, milliseconds. */
const PATIENCE = { worker: 10_000, service: 25_000 };

/** The browser's push service does not answer: no network to it, or a browser without one. */
export class NoPushService extends Error {
  constructor() {
    super("the browser's push service does not answer");
    this.name = "NoPushService";
  }
}

/** @template T @param {Promise<T>} promise @param {number} within milliseconds @returns {Promise<T>} @throws {NoPushService} */
const patiently = (promise, within) =>
  Promise.race([promise, new Promise((_, late) => setTimeout(() => late(new NoPushService()), within))]);

/** @returns {Promise<ServiceWorkerRegistration>} @throws {NoPushService} where no worker starts, as in some private windows */
const worker = () => patiently(navigator.serviceWorker.ready, PATIENCE.worker);

/** @returns {Promise<Standing>} */
export async function standing() {
  if (!("serviceWorker" in navigator) || !("PushManager" in self) || !("Notification" in self)) return "unsupported";
  if (Notification.permission === "default") return "ask";
  if (Notification.permission === "denied") return "denied";
  try {
    const subscription = await patiently((await worker()).pushManager.getSubscription(), PATIENCE.worker);
    return subscription && (await kept("registered")) === subscription.endpoint ? "on" : "off";
  } catch (failure) {
    if (failure instanceof NoPushService) return "unsupported";
    throw failure;
  }
}

/** When a push last arrived on this device; never so far when there is none. @returns {Promise<string | undefined>} */
export const lastPush = () => kept("pushed");

/** Says whenever the person, or the browser, has changed their mind about notifications. @param {() => void} changed @param {AbortSignal} signal */
export async function watch(changed, signal) {
  if (!navigator.permissions) return;
  const permission = await navigator.permissions.query({ name: "notifications" });
  permission.addEventListener("change", changed, { signal });
}

/**
 * Subscribes and registers; call it from a tap, for browsers ask only then.
 * @param {() => void} allowed the person has said yes, and the browser asks its push service
 * @returns {Promise<Standing>}
 * @throws {NoPushService}
 */
export async function turnOn(allowed) {
  if ((await Notification.requestPermission()) !== "granted") return standing();
  allowed();
  await patiently(register(await worker()), PATIENCE.service);
  return standing();
}

/** Registers anew whenever the browser has another subscription, or the server another key. @param {ServiceWorkerRegistration} worker */
export async function register(worker) {
  const device = await me();
  if (!device) return;
  const key = unb64u(device.vapid);
  let subscription = await worker.pushManager.getSubscription();
  if (subscription && !sameKey(subscription, key)) {
    await subscription.unsubscribe();
    await forget("registered");
    subscription = null;
  }
  subscription ??= await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }).catch((failure) => {
    // The browser asked its maker's service in vain, or may not ask at all, as in a private window.
    throw failure instanceof DOMException && failure.name === "AbortError" ? new NoPushService() : failure;
  });
  const { endpoint, keys } = subscription.toJSON();
  await call("PUT", `/v1/devices/${device.device.id}/push`, { kind: "web_push", endpoint, keys });
  await keep("registered", endpoint);
}

/** Ends the subscription, so that nothing more is sent to this browser. */
export async function turnOff() {
  if (!("serviceWorker" in navigator)) return;
  const subscription = await (await worker()).pushManager?.getSubscription();
  await subscription?.unsubscribe();
}

/** @param {PushSubscription} subscription @param {Uint8Array} key */
function sameKey(subscription, key) {
  const has = subscription.options.applicationServerKey;
  if (!has) return true;
  const bytes = new Uint8Array(has);
  return bytes.length === key.length && bytes.every((byte, at) => byte === key[at]);
}

/** Renews what the browser changed while nobody looked, without asking for anything. */
export async function renew() {
  if ((await standing()) === "unsupported" || Notification.permission !== "granted") return;
  await patiently(register(await worker()), PATIENCE.service);
}

/** @type {{ prompt: () => Promise<unknown> } | null} what the browser offers where an app can be installed by a button */
let offered = null;
globalThis.addEventListener?.("beforeinstallprompt", (event) => {
  event.preventDefault();
  offered = /** @type {any} */ (event);
});

/** Whether the app can be put on the home screen by {@link install}; on an iPhone only its person can. */
export const installable = () => offered !== null && !isInstalled();

/** Call it from a tap. */
export async function install() {
  await offered?.prompt();
  offered = null;
}

/** How many things wait, on the app's icon, where the platform has that. @param {number} count */
export async function badge(count) {
  if (!("setAppBadge" in navigator)) return;
  try {
    await (count > 0 ? navigator.setAppBadge(count) : navigator.clearAppBadge());
  } catch {
    // Not installed, or not allowed: the count is on the screen anyway.
  }
}
