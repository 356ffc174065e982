//! People whose phone is a browser with the web app in it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use phoneops::clock::Timestamp;
use serde_json::{Value, json};

use super::browser::{Browser, Page, until};
use crate::support::TestDb;
use crate::world::World;

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

/// A world with a browser in it. Its clock begins at the browser's own time, which nobody can set.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) browser: Browser,
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
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let now = Timestamp::from_seconds(i64::try_from(now.as_secs()).expect("before the year 292277026596"));
        let (world, browser) = (World::start_at(db, now, &[]).await, Browser::start().await);
        Self { world, browser }
    }

    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.world.server.issuer())
    }

    /// A browser that belongs to nobody yet.
    pub(crate) async fn blank(&self) -> (Page, String) {
        let page = self.browser.phone(self.world.server.issuer()).await;
        page.before_all(SUBSCRIBES).await;
        let authenticator = page.authenticator().await;
        (page, authenticator)
    }

    /// A person who enrols their browser by its screens, up to a test page that arrives.
    pub(crate) async fn person(&self, handle: &str, name: &str) -> Holder {
        self.world.operator.post("/v1/users", &json!({"handle": handle, "name": name})).await.expect("a user");
        let (page, authenticator) = self.blank().await;
        let code = self.world.code(handle).await;
        page.open(&self.address(&format!("/enroll#{code}"))).await;
        page.write("device", "A phone").await;
        page.tap("Enrol this device").await;
        page.tap("Make a passkey").await;
        let subscription = self.subscribes(&page).await;
        let holder = Holder { handle: format!("@{handle}"), page, authenticator, subscription, seen: AtomicU64::new(0) };
        holder.page.tap("Send a test page").await;
        self.world.settle().await;
        assert_eq!(holder.delivered(self).await["title"], "Test page");
        holder.page.sees("You are on duty").await;
        holder
    }

    /// Gives the browser the address it asked for; the subscription's id.
    async fn subscribes(&self, page: &Page) -> String {
        page.wait("window.asked").await;
        let asked = page.eval("window.asked").await;
        let url = format!("{}/subscriptions", self.world.push_service.url());
        let made: Value = self.world.http.post(url).json(&asked).send().await.expect("an answer").json().await.expect("JSON");
        page.eval(&format!("window.given({})", made["endpoint"])).await;
        made["id"].as_str().expect("an id").to_owned()
    }

    /// Ends the story: whatever a page complained about fails it.
    pub(crate) async fn end(self, holders: Vec<Holder>) {
        for holder in &holders {
            assert_eq!(holder.page.complaints(), Vec::<String>::new(), "{} complains", holder.handle);
        }
        self.world.end().await;
    }
}

impl Holder {
    /// The next push: as the push service has it, handed to the service worker as the browser would, and shown.
    pub(crate) async fn delivered(&self, house: &House) -> Value {
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
        let tag = &message["payload"]["notification"]["tag"];
        let shown = format!("(async () => (await (await navigator.serviceWorker.ready).getNotifications()).map((one) => \
             ({{ title: one.title, body: one.body, tag: one.tag, data: one.data }})).find((one) => one.tag === {tag}))()");
        until!("the notification is shown", Some(self.page.eval(&shown).await).filter(Value::is_object))
    }

    /// Opens what a notification leads to.
    pub(crate) async fn follow(&self, notification: &Value) {
        let address = notification["data"]["navigate"].as_str().expect("an address");
        self.page.open(address).await;
    }

    /// Waits a while for the page to settle, then takes a picture.
    pub(crate) async fn picture(&self, name: &str) {
        tokio::time::sleep(Duration::from_millis(60)).await;
        self.page.picture(name).await;
    }
}
