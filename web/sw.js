// What runs while the app is closed: shows what was pushed, says that it came, and opens the right screen.

import { forget, keep, kept } from "{base}/lib/db.js";
import { call, me, receipt } from "{base}/lib/session.js";
import { register } from "{base}/lib/push.js";
import { random } from "{base}/lib/bytes.js";
import { t } from "{base}/lib/words.js";

const SHELL = "shell {version}";
const KEEP = JSON.parse('{files}');

self.addEventListener("install", (event) => event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(["/", ...KEEP])).then(() => self.skipWaiting())));

self.addEventListener("activate", (event) =>
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name !== SHELL) await caches.delete(name);
    await self.clients.claim();
  })()));

// The app itself is there without a network; what it knows is fetched by itself and never kept here.
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  if (request.mode === "navigate") event.respondWith(fetch(request).catch(async () => (await caches.match("/")) ?? Response.error()));
  else if (new URL(request.url).pathname.startsWith("{base}/")) event.respondWith(caches.match(request).then((found) => found ?? fetch(request)));
});

self.addEventListener("push", (event) => event.waitUntil(pushed(event.data)));

/** Whatever goes wrong, something is shown: a push that shows nothing ends the subscription. */
async function pushed(data) {
  let notification;
  try {
    notification = data.json().notification;
  } catch {
    notification = { title: t.app, body: t.inbox.emptyMore, navigate: "/", data: {} };
  }
  const about = notification.data ?? {};
  await clear(about);
  await self.registration.showNotification(notification.title, {
    body: notification.body,
    tag: notification.tag,
    // A round that is sent again replaces itself in silence; another round rings.
    renotify: Boolean(notification.tag) && !notification.silent && (await newRound(about)),
    silent: Boolean(notification.silent),
    lang: notification.lang,
    icon: "{base}/icons/icon-192.png",
    badge: "{base}/icons/badge.png",
    requireInteraction: about.kind === "page",
    actions: about.kind === "page" ? [{ action: "acknowledge", title: t.incident.take }] : [],
    data: { ...about, navigate: notification.navigate },
  });
  await Promise.all([about.receipt ? receipt(about.receipt, "displayed") : null, tell({ kind: about.kind ?? "push" })]);
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
  for (const client of await self.clients.matchAll({ type: "window" })) client.postMessage(message);
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(clicked(event.action, event.notification.data ?? {}));
});

async function clicked(action, about) {
  if (about.receipt) void receipt(about.receipt, "opened");
  if (action === "acknowledge" && about.ref) {
    try {
      await call("POST", `/v1/incidents/${about.ref}/acknowledge`, {}, { once: random(16) });
      return;
    } catch {
      // Not acknowledged: the page is opened, and says why.
    }
  }
  await show(new URL(about.navigate ?? "/", location.origin));
}

async function show(address) {
  const path = address.origin === location.origin ? address.pathname : "/";
  const [client] = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (!client) return self.clients.openWindow(path);
  await client.focus();
  client.postMessage({ open: path });
}

// The browser has another subscription: the server hears of it at once, not when somebody opens the app.
self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(me().then((device) => (device ? register(self.registration) : undefined))));
