// Being rung: the browser's push subscription and its registration with the server (device protocol, section 5).

import { keep, kept } from "./db.js";
import { call, me } from "./session.js";
import { unb64u } from "./bytes.js";

/**
 * How this device stands with notifications.
 * - `unsupported`: no push here; on an iPhone that is not on its home screen yet
 * - `ask`: the person was not asked
 * - `denied`: the person said no; only the browser's settings can change that
 * - `off`: allowed, but not registered
 * - `on`: registered
 * @typedef {"unsupported" | "ask" | "denied" | "off" | "on"} Standing
 */

/** Whether this is an iPhone or iPad; those that ask for desktop pages say Macintosh, and have fingers. */
export const isApplePhone = () =>
  /iPhone|iPad|iPod/.test(navigator.userAgent) || (navigator.userAgent.includes("Macintosh") && navigator.maxTouchPoints > 1);

/** Whether the app was opened from the home screen. */
export const isInstalled = () =>
  matchMedia("(display-mode: standalone)").matches || /** @type {any} */ (navigator).standalone === true;

/** @returns {Promise<Standing>} */
export async function standing() {
  if (!("serviceWorker" in navigator) || !("PushManager" in self) || !("Notification" in self)) return "unsupported";
  if (Notification.permission === "default") return "ask";
  if (Notification.permission === "denied") return "denied";
  const subscription = await (await navigator.serviceWorker.ready).pushManager.getSubscription();
  return subscription && (await kept("registered")) === subscription.endpoint ? "on" : "off";
}

/**
 * Subscribes and registers; call it from a tap, for browsers ask only then.
 * @returns {Promise<Standing>}
 */
export async function turnOn() {
  if ((await Notification.requestPermission()) !== "granted") return standing();
  const worker = await navigator.serviceWorker.ready;
  await register(worker);
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
    subscription = null;
  }
  subscription ??= await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  const { endpoint, keys } = subscription.toJSON();
  await call("PUT", `/v1/devices/${device.device.id}/push`, { kind: "web_push", endpoint, keys });
  await keep("registered", endpoint);
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
  await register(await navigator.serviceWorker.ready);
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
