// What runs while the app is closed: shows what was pushed, says that it came, and opens the right screen.

import { forget, keep, kept } from "{base}/lib/db.js";
import { byServer } from "{base}/lib/clock.js";
import { call, me, recallClock, receipt } from "{base}/lib/session.js";
import { register } from "{base}/lib/push.js";
import { takeEach, toldBy } from "{base}/lib/incidents.js";
import { fetchWaiting } from "{base}/lib/waiting.js";
import { t } from "{base}/lib/words.js";

const SHELL = "shell {version}";
const KEEP = JSON.parse('{files}');

self.addEventListener("install", (event) => event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(["/", ...KEEP])).then(() => self.skipWaiting())));

self.addEventListener("activate", (event) =>
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name !== SHELL) await caches.delete(name);
    await self.clients.claim();
  })()));

// The app itself is there without a network, and at once where the network is slow; what it knows is fetched by itself and never kept here.
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (request.mode === "navigate" && OURS.test(pathname)) event.respondWith(page(request));
  else if (pathname.startsWith("{base}/")) event.respondWith(caches.match(request).then((found) => found ?? fetch(request)));
});

/** What the app opens itself; the API's own pages are left alone. */
const OURS = /^\/($|(enroll|on-duty|me|devices|on-call|incidents|admin|a|i|acts)($|\/))/;

/** How long a page may take before the one that is here is shown, milliseconds. */
const SLOW = 2500;

async function page(request) {
  const kept_ = await caches.match("/");
  const fetched = fetch(request).catch(() => kept_?.clone() ?? Response.error());
  if (!kept_) return fetched;
  return Promise.race([fetched, new Promise((late) => setTimeout(() => late(kept_.clone()), SLOW))]);
}

self.addEventListener("push", (event) => event.waitUntil(pushed(event.data)));

/** Whatever goes wrong, something is shown: a push that shows nothing ends the subscription. */
async function pushed(data) {
  const came = Date.now();
  let notification;
  try {
    notification = data.json().notification;
    if (typeof notification.title !== "string") throw new TypeError("no title");
  } catch {
    notification = { title: t.app, body: t.inbox.emptyMore, navigate: "/", data: {} };
  }
  const about = notification.data ?? {};
  const ring = Boolean(notification.tag) && !notification.silent && (await newRound(about).catch(() => true));
  await clear(about).catch((failure) => console.warn(failure));
  await self.registration.showNotification(notification.title, {
    body: notification.body,
    tag: notification.tag,
    // A round that is sent again replaces itself in silence; another round rings.
    renotify: ring,
    silent: Boolean(notification.silent),
    lang: notification.lang,
    icon: "{base}/icons/icon-192.png",
    badge: "{base}/icons/badge.png",
    requireInteraction: about.kind === "page",
    actions: about.kind === "page" ? [{ action: "acknowledge", title: t.incident.take }] : [],
    data: { ...about, navigate: notification.navigate },
  });
  // It is on the screen. Everything else may fail.
  await recallClock().catch((failure) => console.warn(failure));
  await Promise.allSettled([
    about.receipt ? receipt(about.receipt, "displayed") : null,
    keep("pushed", byServer(came)),
    tell({ kind: about.kind ?? "push" }),
    // What is opened from it is there at once, and the icon has the right number.
    fetchWaiting(),
  ]);
  // By the server's clock, which the replies have told.
  await keep("pushed", byServer(came)).catch((failure) => console.warn(failure));
}

/** What was answered elsewhere goes, with its earlier rounds. */
async function clear(about) {
  if (about.kind !== "answered") return;
  for (const shown of await self.registration.getNotifications()) if (shown.data?.subject === about.subject) shown.close();
  await forget(`round ${about.subject}`);
}

async function newRound({ subject, round }) {
  if (!subject || !round) return true;
  const known = (await kept(`round ${subject}`)) ?? 0;
  if (round > known) await keep(`round ${subject}`, round);
  return round > known;
}

async function tell(message) {
  // Also to a page that was there before this worker was, which it does not control yet.
  for (const client of await self.clients.matchAll({ type: "window", includeUncontrolled: true })) client.postMessage(message);
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(clicked(event.action, event.notification));
});

async function clicked(action, { title, tag, data: about = {} }) {
  if (about.receipt) void receipt(about.receipt, "opened").catch((failure) => console.warn(failure));
  if (action !== "acknowledge") return show(new URL(about.navigate ?? "/", location.origin));
  const quiet = { tag, silent: true, icon: "{base}/icons/icon-192.png", badge: "{base}/icons/badge.png" };
  try {
    await acknowledge(about);
    await self.registration.showNotification(t.incident.yours, { ...quiet, body: title, data: { navigate: about.navigate, subject: about.subject } });
    await Promise.allSettled([fetchWaiting(), tell({ kind: "acknowledged" })]);
  } catch (failure) {
    // Never a tap that did nothing: the page stands there again, and says so.
    const body = `${t.incident.notTaken} ${failure.name === "Unreachable" ? t.notSent : failure.message}`;
    await self.registration.showNotification(title, { ...quiet, silent: false, renotify: Boolean(tag), requireInteraction: true, body, data: { ...about, receipt: undefined }, actions: [{ action: "acknowledge", title: t.incident.take }] });
  }
}

/** The page; of several on one card those that it told of. */
async function acknowledge({ ref, navigate, notification }) {
  const refs = ref ? [ref] : await told(navigate, notification);
  if (refs.length === 0) throw new Error(t.incident.noneRings);
  const refused = await takeEach(refs, call);
  if (refused.length === 0) return;
  const [{ failure }] = refused;
  if (refs.length === 1) throw failure;
  throw new Error(t.inbox.notAll(refused.length, refs.length, failure.name === "Unreachable" ? t.notSent : failure.message));
}

/** Which of those that a card told of ring: what began after it was written nobody has read of. */
async function told(navigate, notification) {
  const team = new URL(navigate, location.origin).searchParams.get("team");
  const refs = [];
  for (let cursor; ; ) {
    const asked = new URLSearchParams({ mine: "true", state: "triggered", limit: "100", ...(team ? { team, urgency: "high" } : { urgency: "low" }), ...(cursor && { cursor }) });
    const { incidents, next } = await call("GET", `/v1/incidents?${asked}`);
    refs.push(...toldBy(incidents, notification).map((one) => one.ref));
    if (!next) return refs;
    cursor = next;
  }
}

async function show(address) {
  const path = address.origin === location.origin ? address.pathname + address.search : "/";
  const [client] = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (!client) return self.clients.openWindow(path);
  await client.focus();
  client.postMessage({ open: path });
}

// The browser has another subscription: the server hears of it at once, not when somebody opens the app.
self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(me().then((device) => (device ? register(self.registration) : undefined))));
