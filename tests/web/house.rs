//! People whose phone is a browser with the web app in it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use phoneops::clock::Clock;
use phoneops::db::Engine;
use serde_json::{Value, json};

use super::browser::{Browser, Heard, PATIENCE, Page, Request, until};
use crate::support::TestDb;
use crate::world::{World, contract};

/// In place of `subscribe()`, which never settles in a Chromium without its maker's push service: keys of its own, and an address that
/// the story gives.
const SUBSCRIBES: &str = r#"
(() => {
  const text = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const made = () => {
    const kept = JSON.parse(sessionStorage.getItem("subscription") ?? "null");
    return kept && { endpoint: kept.endpoint, options: {}, unsubscribe: async () => { sessionStorage.removeItem("subscription"); return true; },
      toJSON: () => ({ endpoint: kept.endpoint, keys: { p256dh: kept.p256dh, auth: kept.auth } }) };
  };
  PushManager.prototype.getSubscription = async () => made();
  PushManager.prototype.subscribe = async (options) => {
    if (Notification.permission !== "granted" || !options.userVisibleOnly) throw new DOMException("refused", "NotAllowedError");
    const pair = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
    const { d } = await crypto.subtle.exportKey("jwk", pair.privateKey);
    const asked = { p256dh: text(await crypto.subtle.exportKey("raw", pair.publicKey)), auth: text(crypto.getRandomValues(new Uint8Array(16))),
      private_key: d, application_server_key: text(options.applicationServerKey) };
    const endpoint = await new Promise((given) => Object.assign(window, { asked, given }));
    sessionStorage.setItem("subscription", JSON.stringify({ ...asked, endpoint }));
    return made();
  };
})();
"#;

/// Enrols with a code, makes a passkey, and subscribes, as the screens do.
const ENROLS: &str = r#"
(async (code) => {
  const base = [...document.scripts].map(({ src }) => src).find((src) => src.endsWith("/app.js")).slice(0, -"app.js".length);
  const [session, devices, push] = await Promise.all(["lib/session.js", "screens/devices.js", "lib/push.js"].map((path) => import(base + path)));
  const me = await session.enrol(code, "A phone");
  await devices.addPasskey({ me });
  await push.register(await navigator.serviceWorker.ready);
})
"#;

/// In place of a finger on a notification, which a headless browser has not: the worker's own event, without the user's gesture that
/// opening or raising a window takes, so that both are noted instead. What it wanted to open.
const TAPPED: &str = r#"
(async (tag, action) => {
  const notification = (await registration.getNotifications()).find((one) => one.tag === tag);
  const opened = [];
  clients.openWindow = async (url) => { opened.push(new URL(url, location.origin).pathname); return null; };
  WindowClient.prototype.focus = async function () { return this; };
  let done;
  const event = new NotificationEvent("notificationclick", { notification, action });
  Object.defineProperty(event, "waitUntil", { value: (promise) => { done = promise; } });
  dispatchEvent(event);
  await done;
  return opened;
})
"#;

/// A world with a browser in it. Its clock begins at the browser's own time, which nobody can set.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) browser: Arc<Browser>,
    /// Every phone that was ever in it.
    phones: Mutex<Vec<Arc<Heard>>>,
}

/// A person with a browser in their hand.
pub(crate) struct Holder {
    pub(crate) handle: String,
    pub(crate) page: Page,
    pub(crate) authenticator: String,
    subscription: String,
    seen: AtomicU64,
}

impl House {
    pub(crate) async fn start(db: TestDb) -> Self {
        // The browser has no other.
        let now = Clock::system().now();
        Self { world: World::start_at(db, now, &[]).await, browser: Browser::shared(), phones: Mutex::default() }
    }

    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.world.server.issuer())
    }

    /// A browser that belongs to nobody yet, and its authenticator. It has not been asked yet whether it may be notified.
    pub(crate) async fn blank(&self) -> (Page, String) {
        let page = self.browser.phone(self.world.db.engine() == Engine::Lite).await;
        self.phones.lock().expect("no panic").push(page.heard());
        page.before_all(SUBSCRIBES).await;
        // The world's clock stands while the browser's goes on, which the browser notices by a refusal.
        page.pardon("the server responded with a status of 401");
        page.notifications(self.world.server.issuer(), "prompt").await;
        let authenticator = page.authenticator().await;
        (page, authenticator)
    }

    /// A new person.
    pub(crate) async fn user(&self, handle: &str, name: &str) {
        self.world.operator.post("/v1/users", &json!({"handle": handle, "name": name})).await.expect("a user");
    }

    /// A person whose browser is enrolled and rang once: by the app's own modules, as its screens use them. The screens have stories of
    /// their own (`enrolling`).
    pub(crate) async fn person(&self, handle: &str, name: &str) -> Holder {
        self.user(handle, name).await;
        let (page, authenticator) = self.blank().await;
        page.notifications(self.world.server.issuer(), "granted").await;
        page.open(&self.address("/enroll")).await;
        page.wait("document.querySelector('[name=code]')").await;
        let code = self.world.code(handle).await;
        page.eval(&format!("void (window.enrolled = {ENROLS}({}))", json!(code))).await;
        let subscription = self.subscribes(&page).await;
        page.eval("window.enrolled").await;
        page.open(&self.address("/on-duty")).await;
        self.rings(page, authenticator, handle, subscription).await
    }

    /// A browser enters a code of that person's by its screen.
    pub(crate) async fn claims(&self, page: &Page, handle: &str, device: &str) {
        let code = self.world.code(handle).await;
        page.open(&self.address(&format!("/enroll#{code}"))).await;
        page.write("device", device).await;
        page.tap("Enrol this device").await;
    }

    /// From a passkey to a test page that arrived.
    pub(crate) async fn goes_on_duty(&self, page: Page, authenticator: String, handle: &str) -> Holder {
        page.wait(LETS_RING).await;
        page.notifications(self.world.server.issuer(), "granted").await;
        page.tap("Allow notifications").await;
        let subscription = self.subscribes(&page).await;
        self.rings(page, authenticator, handle, subscription).await
    }

    /// A test page arrives.
    async fn rings(&self, page: Page, authenticator: String, handle: &str, subscription: String) -> Holder {
        let holder = Holder { handle: format!("@{handle}"), page, authenticator, subscription, seen: AtomicU64::new(0) };
        holder.page.tap("Send a test page").await;
        assert_eq!(holder.delivered(self).await["title"], "Test page");
        holder.page.sees("You are on duty").await;
        holder
    }

    /// Gives the browser the address it asked for; the subscription's id.
    pub(crate) async fn subscribes(&self, page: &Page) -> String {
        page.wait("window.asked").await;
        let asked = page.eval("window.asked").await;
        let url = format!("{}/subscriptions", self.world.push_service.url());
        let made: Value = self.world.http.post(url).json(&asked).send().await.expect("an answer").json().await.expect("JSON");
        page.eval(&format!("window.given({})", made["endpoint"])).await;
        made["id"].as_str().expect("an id").to_owned()
    }

    /// Ends the story: whatever a page or a worker complained about fails it, and so does a request that the API does not document.
    pub(crate) async fn end(self, holders: Vec<Holder>) {
        let phones = std::mem::take(&mut *self.phones.lock().expect("no panic"));
        for phone in phones {
            assert_eq!(phone.complaints(), Vec::<String>::new(), "a page complains");
            for request in phone.requests() {
                assert!(self.is_documented(&request), "this is not in the OpenAPI document: {request:?}");
            }
        }
        drop(holders);
        self.world.end().await;
    }

    /// Whether a request is for the app's own files, or of the documented API.
    fn is_documented(&self, Request { method, url, is_page }: &Request) -> bool {
        // The browser draws its own icons; what the page may load so the policy says.
        let Some(path) = url.strip_prefix(self.world.server.issuer()) else {
            return url == "about:blank" || url.starts_with("data:");
        };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        // A page comes through the worker, where it is one request among others.
        let first = path.split('/').nth(1).unwrap_or_default();
        let of_the_app = *is_page || ["", "web", "sw.js", "app.webmanifest"].contains(&first) || PAGES.contains(&first);
        (of_the_app && method == "GET") || contract::is_documented(method, path)
    }
}

/// Where the addresses begin that the app opens itself.
const PAGES: [&str; 10] = ["admin", "enroll", "on-duty", "me", "devices", "on-call", "incidents", "a", "i", "acts"];

/// It is shown what notifications are for, and the person may say yes.
const LETS_RING: &str = "[...document.querySelectorAll('button')].some((one) => one.innerText === 'Allow notifications')";

impl Holder {
    /// The next push: as the push service has it, handed to the service worker as the browser would, and shown.
    pub(crate) async fn delivered(&self, house: &House) -> Value {
        let message = self.pushed(house).await;
        let notification = &message["payload"]["notification"];
        let (tag, receipt) = (&notification["tag"], &notification["data"]["receipt"]);
        // Told by the worker itself: no page needs to be open.
        let shown = format!(
            "(async () => (await registration.getNotifications()).map((one) => ({{ title: one.title, body: one.body, tag: one.tag, \
             silent: one.silent, actions: one.actions.map(({{ action }}) => action), data: one.data }})).find((one) => \
             one.tag === {tag} && (one.data.receipt ?? null) === {receipt}))()"
        );
        let end = Instant::now() + PATIENCE;
        // Whoever asks what is shown while it is being shown has Chromium forget it: so not before the worker says that it is.
        while let Some(receipt) = receipt.as_str()
            && !self.page.has_asked(receipt)
        {
            assert!(Instant::now() < end, "{notification} is never said to be shown");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        loop {
            let found = self.page.eval_worker(&shown).await;
            if found.is_object() {
                return found;
            }
            let all = "registration.getNotifications().then((all) => all.map(({ title, tag, data }) => ({ title, tag, data })))";
            assert!(Instant::now() < end, "{notification} is not shown, but {}", self.page.eval_worker(all).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Hands the next push to the service worker; what the push service has of it.
    async fn pushed(&self, house: &House) -> Value {
        house.world.settle().await;
        let url = format!(
            "{}/subscriptions/{}/messages?after={}&wait=20",
            house.world.push_service.url(),
            self.subscription,
            self.seen.load(Ordering::SeqCst)
        );
        let reply: Value = house.world.http.get(url).send().await.expect("an answer").json().await.expect("JSON");
        let message = reply["messages"].as_array().and_then(|all| all.first()).expect("a push").clone();
        self.seen.store(message["number"].as_u64().expect("a number"), Ordering::SeqCst);
        let registration = until!("the service worker is registered", self.page.registration());
        let (origin, data) = (house.world.server.issuer(), message["payload"].to_string());
        let push = json!({"origin": origin, "registrationId": registration, "data": data});
        self.page.ask("ServiceWorker.deliverPushMessage", push).await;
        message
    }

    /// Leaves the app: no window of it is open any more.
    pub(crate) async fn leaves(&self) {
        self.page.open("about:blank").await;
        self.page.wait("location.href === 'about:blank'").await;
    }

    /// Taps a notification that is shown, or an action of it; the paths that it wanted to open. Taps are counted from here.
    pub(crate) async fn taps_notification(&self, notification: &Value, action: &str) -> Vec<String> {
        self.page.taps();
        let opened = self.page.eval_worker(&format!("{TAPPED}({}, {})", notification["tag"], json!(action))).await;
        opened.as_array().expect("a list").iter().map(|path| path.as_str().expect("a path").to_owned()).collect()
    }

    /// Taps a notification, and opens what it leads to, where the app is not open and goes there by itself.
    pub(crate) async fn follow(&self, notification: &Value) {
        let address = notification["data"]["navigate"].as_str().expect("an address");
        let opened = self.taps_notification(notification, "").await;
        if let [path] = opened.as_slice() {
            assert!(address.ends_with(path.as_str()), "{path} instead of {address}");
            self.page.open(address).await;
        }
        self.page.wait(&format!("location.href === {}", json!(address))).await;
    }

    /// Keeps a picture of the screen.
    pub(crate) async fn picture(&self, name: &str) {
        self.page.picture(name).await;
    }

    /// As [`Page::look`].
    pub(crate) async fn look(&self, name: &str) {
        self.page.look(name).await;
    }
}
