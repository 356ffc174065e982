//! The phone web app in a real Firefox, whose push service is local: it subscribes itself, decrypts itself what our carrier encrypted, and
//! its notifications are tapped on the screen. What Chromium cannot show, because there `subscribe()` never settles.

mod autopush;
mod bidi;
mod browser;
mod marionette;

use std::time::{Duration, Instant};

use phoneops::clock::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::support::{TestDb, engines};
use crate::world::{Bot, Person, World, deploy};
use autopush::{Autopush, Push};
use browser::Firefox;

/// How long anything may take to be so. A browser that starts beside the whole suite, on two cores, is slow.
const PATIENCE: Duration = Duration::from_secs(90);

/// Looks again and again until there is an answer: `until!("what", expression of an option)`.
macro_rules! until {
    ($what:expr, $look:expr) => {{
        let end = std::time::Instant::now() + crate::firefox::PATIENCE;
        loop {
            if let Some(found) = $look {
                break found;
            }
            assert!(std::time::Instant::now() < end, "it never came to be: {}", $what);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }};
}
use until;

/// One browser at a time: two together are no faster.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

engines! {
    a_firefox_goes_on_duty
}

/// What the app keeps under a name.
const KEPT: &str = r#"((name) => new Promise((done, failed) => {
  const opened = indexedDB.open("phoneops", 1);
  opened.onerror = () => failed(opened.error);
  opened.onsuccess = () => {
    const asked = opened.result.transaction("kept").objectStore("kept").get(name);
    asked.onsuccess = () => { opened.result.close(); done(asked.result); };
  };
}))"#;

/// What is on the screen, as the browser has it.
const SHOWN: &str = "(async () => (await (await navigator.serviceWorker.ready).getNotifications()).map((one) => \
     ({ title: one.title, body: one.body, tag: one.tag, silent: one.silent, data: one.data, actions: (one.actions ?? []).map(({ action }) => action) })))()";

/// A world whose person has a Firefox.
struct Duty {
    world: World,
    autopush: Autopush,
    firefox: Firefox,
    authenticator: String,
    heimdall: Bot,
    /// Somebody else, who is also paged.
    ys: Person,
}

async fn a_firefox_goes_on_duty(db: TestDb) {
    let _alone = ONE.lock().await;
    // The world's clock begins at the browser's own time, which nobody can set.
    let now = Timestamp::from_seconds(Clock::system().now().as_seconds());
    let world = World::start_at(db, now, &[]).await;
    let autopush = Autopush::start().await;
    let firefox = Firefox::start(&autopush.address, world.server.issuer()).await;
    let authenticator = firefox.authenticator().await;
    let (heimdall, ys) = (world.bot("heimdall").await, world.person("ys", "Ys Example").await);
    let duty = Duty { world, autopush, firefox, authenticator, heimdall, ys };
    duty.enrols().await;
    duty.is_paged_and_answered_elsewhere().await;
    duty.is_subscribed_anew().await;
    duty.approves().await;
    duty.denies().await;
    duty.is_offline().await;
    duty.end().await;
}

impl Duty {
    /// By the app's screens and the browser's own prompts, up to a test page that arrives.
    async fn enrols(&self) {
        let Self { world, firefox, .. } = self;
        world.operator.post("/v1/users", &json!({"handle": "yannick", "name": "Yannick Schutz"})).await.expect("a user");
        let code = world.code("yannick").await;
        firefox.open(&format!("/enroll#{code}")).await;
        firefox.write("device", "A laptop").await;
        firefox.tap("Enrol this device").await;
        firefox.tap("Make a passkey").await;
        firefox.sees("PhoneOps rings through notifications").await;
        assert_eq!(self.autopush.endpoints(), Vec::<String>::new(), "nobody was asked yet");
        firefox.tap("Allow notifications").await;
        firefox.allow("web-notifications").await;
        firefox.tap("Send a test page").await;
        let push = self.pushed(1).await;
        assert_eq!((self.autopush.endpoints(), push.urgency.as_str()), (vec![push.endpoint], "high"));
        firefox.sees("It arrived. You are on duty.").await;
        self.shows("Test page").await;
        let ready = async || self.reach().await["ready"] == true;
        until!("the receipt of the test page", ready().await.then_some(()));
        assert_eq!((&self.reach().await["push_devices"], &self.reach().await["passkeys"]), (&json!(1), &json!(1)));
        firefox.picture("firefox-on-duty").await;
    }

    /// A page rings, says that it is on the screen, and opens by a tap; once somebody else has it, that takes its place.
    async fn is_paged_and_answered_elsewhere(&self) {
        let Self { world, firefox, ys, .. } = self;
        let reference = self.page("checkout fails").await;
        let shown = self.shows("checkout fails").await;
        assert_eq!(shown["body"], format!("Page {reference} from heimdall"));
        assert_eq!((&shown["silent"], &shown["data"]["ref"]), (&json!(false), &json!(reference)));
        self.said(&reference, "displayed").await;
        firefox.tap_notification("checkout fails").await;
        firefox.wait(&format!("location.pathname === '/i/{reference}'")).await;
        firefox.sees("checkout fails").await;
        self.said(&reference, "opened").await;

        // The push service keeps what it cannot deliver, and the browser shows it when it is back.
        self.autopush.hang_up();
        let reference = self.page("payments fail").await;
        let shown = self.shows("payments fail").await;
        self.said(&reference, "displayed").await;
        let next = self.autopush.pushes().len() + 1;
        ys.phone.acknowledge(&reference).await.expect("it is acknowledged");
        self.pushed(next).await;
        let answered = self.shows("Acknowledged by Ys Example").await;
        assert_eq!((&answered["tag"], &answered["silent"]), (&shown["tag"], &json!(true)), "it takes its place, quietly");
        let about = self.firefox.eval(SHOWN).await;
        let about =
            about.as_array().expect("a list").iter().filter(|one| one["data"]["subject"] == shown["data"]["subject"]).count();
        assert_eq!(about, 1, "nothing else is left of it");
        let next = self.autopush.pushes().len() + 1;
        ys.phone.resolve(&reference).await.expect("it is resolved");
        self.pushed(next).await;
        self.shows("Resolved by Ys Example").await;
        world.settle().await;
    }

    /// The push service has lost the subscription: the app hears of it from the browser, and registers another without being opened.
    async fn is_subscribed_anew(&self) {
        let before = self.autopush.endpoints();
        self.autopush.forget();
        let anew = || Some(self.autopush.endpoints()).filter(|endpoints| endpoints.len() == 1 && *endpoints != before);
        let endpoints = until!("the browser subscribes anew", anew());
        self.firefox.wait(&format!("{KEPT}('registered').then((endpoint) => endpoint === {})", json!(endpoints[0]))).await;
        let reference = self.page("rung at the new place").await;
        assert_eq!(self.autopush.pushes().last().map(|push| push.endpoint.clone()), endpoints.first().cloned());
        self.shows("rung at the new place").await;
        self.said(&reference, "displayed").await;
    }

    /// The notification's tap, one more, and the passkey; and not without the person's own finger.
    async fn approves(&self) {
        let Self { firefox, heimdall, authenticator, .. } = self;
        let next = self.autopush.pushes().len() + 1;
        let asked = heimdall.ask_handle("@yannick", deploy("api/new_auth", "production")).await;
        self.pushed(next).await;
        let shown = self.shows("Approval needed").await;
        assert!(!shown.to_string().contains("new_auth"), "a push says only that something waits: {shown}");
        firefox.tap_notification("Approval needed").await;
        firefox.sees("api/new_auth").await;
        firefox.recognises(authenticator, false).await;
        firefox.tap("Approve").await;
        firefox.sees("Nothing was signed").await;
        assert_eq!(heimdall.approval(&asked).await["state"], "pending");
        firefox.recognises(authenticator, true).await;
        firefox.tap("Approve").await;
        firefox.sees("Approved by Yannick Schutz").await;
        firefox.picture("firefox-approved").await;
        assert!(heimdall.approval(&asked).await["grant"].is_string(), "the bot has its grant");
    }

    /// Saying no takes no passkey, and may say why.
    async fn denies(&self) {
        let Self { firefox, heimdall, .. } = self;
        let next = self.autopush.pushes().len() + 1;
        let asked = heimdall.ask_handle("@yannick", deploy("web/new_colours", "production")).await;
        self.pushed(next).await;
        self.shows("Approval needed").await;
        firefox.tap_notification("Approval needed").await;
        firefox.sees("web/new_colours").await;
        firefox.tap("Deny").await;
        firefox.write("reason", "not on a Friday").await;
        firefox.tap("Deny").await;
        firefox.sees("Denied by Yannick Schutz").await;
        let approval = heimdall.approval(&asked).await;
        assert_eq!((&approval["state"], &approval["decision"]["reason"]), (&json!("denied"), &json!("not on a Friday")));
        firefox.picture("firefox-denied").await;
    }

    /// Without a network the app opens, shows what it knew, and says so.
    async fn is_offline(&self) {
        let Self { firefox, .. } = self;
        firefox.open("/").await;
        firefox.sees("rung at the new place").await;
        assert_eq!(firefox.complaints().await, Vec::<String>::new());
        firefox.offline(true).await;
        firefox.open("/").await;
        firefox.sees("Offline.").await;
        firefox.sees("rung at the new place").await;
        firefox.picture("firefox-offline").await;
        // That nothing could be fetched is no fault of the app's.
        firefox.complaints().await;
        firefox.offline(false).await;
        firefox.wait("!document.body.innerText.includes('Offline.')").await;
    }

    /// Pages both, and waits until the browser has read it; the reference.
    async fn page(&self, title: &str) -> String {
        let count = self.autopush.pushes().len() + 1;
        let body = json!({"title": title, "to": ["@yannick", "@ys"]});
        let paged = self.heimdall.client.post("/v1/incidents", &body).await.expect("the page is taken");
        self.ys.expect_push(&self.world, title).await;
        self.pushed(count).await;
        paged.body["ref"].as_str().expect("a reference").to_owned()
    }

    /// The push of that number, once the browser has read it.
    async fn pushed(&self, count: usize) -> Push {
        let end = Instant::now() + PATIENCE;
        loop {
            self.world.settle().await;
            let pushes = self.autopush.pushes();
            if let Some(push) = pushes.get(count - 1).filter(|push| push.read) {
                assert_eq!(pushes.len(), count, "more was pushed than was expected");
                return push.clone();
            }
            assert!(Instant::now() < end, "{} pushes came, of {count}; {:?}", pushes.len(), self.autopush.faults());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The notification of that title, once it is on the screen.
    async fn shows(&self, title: &str) -> Value {
        self.firefox.wait(&format!("{SHOWN}.then((all) => all.find((one) => one.title === {}))", json!(title))).await
    }

    /// Waits until the delivery's API says that the browser came so far with the page.
    async fn said(&self, reference: &str, state: &str) {
        let path = format!("/v1/incidents/{reference}/deliveries");
        let told = async || {
            let listed = self.heimdall.client.get(&path).await.expect("the deliveries").body;
            let all = listed["deliveries"].as_array().expect("a list").clone();
            all.into_iter().find(|one| one["to"]["handle"] == "yannick" && one["carrier"] == "web_push" && one["state"] == state)
        };
        let delivery = until!("the receipt", told().await);
        assert_eq!(delivery["device"]["name"], "A laptop");
        assert!(delivery[format!("{state}_at")].is_string(), "{delivery}");
    }

    async fn reach(&self) -> Value {
        self.world.operator.get("/v1/users/yannick").await.expect("a person").body
    }

    /// Whatever the browser or the push service complained about fails the story.
    async fn end(self) {
        assert_eq!(self.autopush.faults(), Vec::<String>::new());
        assert_eq!(self.firefox.complaints().await, Vec::<String>::new());
        drop(self.firefox);
        self.world.end().await;
    }
}
