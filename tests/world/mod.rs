//! A whole PhoneOps in a test: a real server on a real database, a simulated push service, people with phones, a bot, and a
//! clock that stands still until the story turns it.
//!
//! **Invariants**
//! - Everybody talks HTTP; nothing is done behind the server's back but reading the database to check it.
//! - A push that no story expected, a due job that nobody did, an incident without a timer, a broken journal: each fails its test.

#![allow(dead_code, unused_imports, unused_macros, reason = "every test program uses a part of it")]

pub(crate) mod contract;
pub(crate) mod mortal;
pub(crate) mod raw;

use std::sync::Mutex;
use std::time::Duration;

use phoneops::client::{Client, Error as ClientError, Reply};
use phoneops::clock::{Clock, Timestamp};
use phoneops::config::Config;
use phoneops::secret::Secret;
use phoneops::server::Server;
use phoneops::sim::phone::{self, Phone, Push};
use phoneops::sim::push_service::PushService;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::TestDb;

/// Makes `sqlite::name` and `postgres::name` of each `async fn name(world: &World)`.
macro_rules! stories {
    ($($name:ident)*) => {
        crate::support::engines! { $($name)* }
        $(
            async fn $name(db: crate::support::TestDb) {
                let world = crate::world::World::start(db).await;
                stories::$name(&world).await;
                world.end().await;
            }
        )*
    };
}
pub(crate) use stories;

/// Minutes, as stories say them.
pub(crate) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Seconds, as stories say them.
pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A deployment.
pub(crate) fn deploy(app: &str, environment: &str) -> Value {
    json!({"type": "deploy", "target": environment, "params": {"app": app}})
}

/// A schedule of one person who is always on call.
pub(crate) fn nights(handle: &str) -> Value {
    let layer = json!({"name": "primary", "people": [handle], "shift": "1 week", "first": "2027-01-11T09:00"});
    json!({"zone": "Europe/Paris", "layers": [layer]})
}

pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) clock: Clock,
    pub(crate) push_service: PushService,
    pub(crate) server: Server,
    /// The operator, on the server's own socket.
    pub(crate) operator: Client,
    pub(crate) http: reqwest::Client,
    phones: Mutex<Vec<std::sync::Arc<Phone>>>,
    _data: TempDir,
}

/// A person with a phone in their hand.
pub(crate) struct Person {
    pub(crate) handle: String,
    pub(crate) phone: std::sync::Arc<Phone>,
}

/// A bot with all scopes.
pub(crate) struct Bot {
    pub(crate) id: String,
    pub(crate) client: Client,
}

impl World {
    pub(crate) async fn start(db: TestDb) -> Self {
        Self::start_with(db, &[]).await
    }

    /// With settings as the environment would give them.
    pub(crate) async fn start_with(db: TestDb, settings: &[(&str, &str)]) -> Self {
        Self::start_at(db, Timestamp::from_seconds(1_800_000_000), settings).await
    }

    /// As [`World::start_with`], with a clock that stands at `start`.
    pub(crate) async fn start_at(db: TestDb, start: Timestamp, settings: &[(&str, &str)]) -> Self {
        Self::start_by(db, Clock::manual(start), settings).await
    }

    /// As [`World::start_with`], by a clock that others go by too.
    pub(crate) async fn start_by(db: TestDb, clock: Clock, settings: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let push_service = PushService::start(clock.clone()).await.expect("the push service starts");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let mut variables = vec![
            ("PHONEOPS_PUBLIC_URL".to_owned(), format!("http://localhost:{port}")),
            ("PHONEOPS_DATA_DIR".to_owned(), db.directory().unwrap_or(data.path()).display().to_string()),
            ("PHONEOPS_WEB_PUSH_ALLOW_PRIVATE_NETWORKS".to_owned(), "true".to_owned()),
            ("PHONEOPS_WEBHOOKS_ALLOW_PRIVATE_NETWORKS".to_owned(), "true".to_owned()),
            ("PHONEOPS_WEB_PUSH_SUBJECT".to_owned(), "mailto:ops@phoneops.example".to_owned()),
            ("PHONEOPS_PAGING_FALLBACK".to_owned(), "@ys".to_owned()),
            ("PHONEOPS_PAGING_RINGS".to_owned(), "2".to_owned()),
            // Tests ask one person more often in an hour than anybody should be.
            ("PHONEOPS_APPROVALS_PUSHES_PER_APPROVER_PER_HOUR".to_owned(), "100000".to_owned()),
            ("PHONEOPS_APPROVALS_PUSHES_PER_REQUESTER_PER_HOUR".to_owned(), "100000".to_owned()),
        ];
        if let Some(url) = db.url() {
            variables.push(("PHONEOPS_DATABASE_URL".to_owned(), url));
        }
        variables.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let config = Config::load(None, variables).expect("the settings are valid");
        let server = Server::start(&config, clock.clone(), listener, None).await.expect("the server starts");
        let operator = Client::local(server.socket()).expect("a client");
        let http = phone::client().expect("a client");
        Self { db, clock, push_service, server, operator, http, phones: Mutex::default(), _data: data }
    }

    /// Turns the clock, and lets happen what happens.
    pub(crate) async fn advance(&self, by: Duration) {
        self.server.engine.advance(by).await.expect("the database answers");
    }

    /// Lets happen what is due now.
    pub(crate) async fn settle(&self) {
        self.server.engine.settle().await.expect("the database answers");
    }

    /// A person with an enrolled phone, a passkey, and push.
    pub(crate) async fn person(&self, handle: &str, name: &str) -> Person {
        let person = self.newcomer(handle, name).await;
        person.phone.create_passkey("Face ID").await.expect("a passkey");
        person.phone.register_push().await.expect("a push registration");
        person
    }

    /// A person whose phone is enrolled and nothing more.
    pub(crate) async fn newcomer(&self, handle: &str, name: &str) -> Person {
        self.operator.post("/v1/users", &json!({"handle": handle, "name": name})).await.expect("a user");
        Person { handle: format!("@{handle}"), phone: self.first_phone(handle).await }
    }

    /// An administrator with an enrolled phone and a passkey.
    pub(crate) async fn administrator(&self, handle: &str, name: &str) -> Person {
        self.operator.post("/v1/users", &json!({"handle": handle, "name": name, "role": "admin"})).await.expect("a user");
        let person = Person { handle: format!("@{handle}"), phone: self.first_phone(handle).await };
        person.phone.create_passkey("Face ID").await.expect("a passkey");
        person
    }

    /// A person whose phone is a native app, with a passkey and push.
    pub(crate) async fn native(&self, handle: &str, name: &str) -> Person {
        self.operator.post("/v1/users", &json!({"handle": handle, "name": name})).await.expect("a user");
        let (code, phone) = (self.code(handle).await, self.blank_phone());
        phone.enrol_as("ios", &code, "A phone", None).await.expect("the phone enrols");
        phone.create_passkey("Face ID").await.expect("a passkey");
        phone.register_push().await.expect("a push registration");
        Person { handle: format!("@{handle}"), phone }
    }

    /// Makes a policy, confirmed by `admin` when that weakens.
    pub(crate) async fn policy(&self, admin: &Person, name: &str, rule: &Value) {
        let reply = self.operator.put(&format!("/v1/policies/{name}"), rule).await.expect("the policy is taken");
        if reply.status == 202 {
            let act = admin.phone.confirm_act(&reply.body).await.expect("the act is confirmed");
            assert_eq!(act["state"], "done");
        }
    }

    /// Lifts whatever was frozen.
    pub(crate) async fn lift(&self, admin: &Person) {
        let listed = self.operator.get("/v1/freezes").await.expect("the freezes").body;
        for freeze in listed["freezes"].as_array().expect("a list") {
            let path = format!("/v1/freezes/{}", freeze["id"].as_str().expect("an id"));
            let act = self.operator.delete(&path).await.expect("a proposal").body;
            admin.phone.confirm_act(&act).await.expect("the act is confirmed");
        }
    }

    /// Makes a team of these people.
    pub(crate) async fn team(&self, name: &str, members: &[&Person]) {
        self.operator.post("/v1/teams", &json!({"name": name})).await.expect("a team");
        for member in members {
            let path = format!("/v1/teams/{name}/members/{}", member.handle);
            assert_eq!(self.operator.put(&path, &json!({})).await.expect("a member").status, 204);
        }
    }

    /// The first phone of a person.
    async fn first_phone(&self, handle: &str) -> std::sync::Arc<Phone> {
        let code = self.code(handle).await;
        let phone = self.blank_phone();
        phone.enrol(&code, "A phone", None).await.expect("the phone enrols");
        phone
    }

    /// A further phone of a person, which waits to be confirmed. Their first one, where it rings, has rung for it.
    pub(crate) async fn waiting_phone(&self, person: &Person) -> std::sync::Arc<Phone> {
        let code = self.code(person.handle.trim_start_matches('@')).await;
        let phone = self.blank_phone();
        let claimed = phone.enrol(&code, "A tablet", None).await.expect("the phone claims");
        assert_eq!(claimed["device"]["state"], "waiting", "{claimed}");
        assert_eq!(claimed["device"]["match"], phone.match_number().as_str());
        if person.phone.subscription_id().is_ok() {
            person.expect_push(self, "A new device waits").await;
        }
        phone
    }

    /// A further phone of a person, confirmed by the one in their hand.
    pub(crate) async fn another_phone(&self, person: &Person) -> std::sync::Arc<Phone> {
        let phone = self.waiting_phone(person).await;
        let id = phone.device_id().expect("it claimed");
        let confirmed = person.phone.confirm_device(&id, &phone.match_number()).await.expect("it is confirmed");
        assert_eq!(confirmed["state"], "active");
        if person.phone.subscription_id().is_ok() {
            person.expect_push(self, "A new device joined").await;
        }
        phone
    }

    /// A phone that belongs to nobody yet.
    pub(crate) fn blank_phone(&self) -> std::sync::Arc<Phone> {
        let phone = Phone::with_client(self.http.clone(), self.clock.clone(), self.server.issuer(), self.push_service.url());
        let phone = std::sync::Arc::new(phone);
        self.phones.lock().expect("not poisoned").push(phone.clone());
        phone
    }

    /// An enrolment code.
    pub(crate) async fn code(&self, handle: &str) -> String {
        let reply = self.operator.post("/v1/enrollments", &json!({"user": format!("@{handle}")})).await.expect("a code");
        reply.body["code"].as_str().expect("a code").to_owned()
    }

    /// A bot with every scope a bot can have.
    pub(crate) async fn bot(&self, name: &str) -> Bot {
        self.bot_with(name, &["approvals:request", "grants:redeem", "incidents:write", "incidents:read", "events:read"]).await
    }

    pub(crate) async fn bot_with(&self, name: &str, scopes: &[&str]) -> Bot {
        let reply = self.operator.post("/v1/bots", &json!({"name": name, "scopes": scopes})).await.expect("a bot");
        let token = Secret::new(reply.body["token"].as_str().expect("a token").to_owned());
        let client = Client::bot(self.server.issuer(), token).expect("a client");
        Bot { id: reply.body["id"].as_str().expect("an id").to_owned(), client }
    }

    /// What the journal says, sealed and verified.
    pub(crate) async fn journal(&self) -> Vec<Value> {
        while phoneops::journal::seal(&self.server.store).await.expect("the journal is sealed") > 0 {}
        phoneops::journal::verify(&self.server.store).await.expect("the chain holds");
        let entries = phoneops::journal::read(&self.server.store, 0, 100_000).await.expect("the journal");
        entries.into_iter().map(|entry| serde_json::to_value(entry).expect("JSON")).collect()
    }

    /// How many entries of one kind the journal has.
    pub(crate) async fn recorded(&self, kind: &str) -> usize {
        self.journal().await.iter().filter(|entry| entry["kind"] == kind).count()
    }

    /// That no incident waits without a timer: every triggered one has a live job for its next ring, and every acknowledged one for its
    /// time-out, unless its plan has none.
    pub(crate) async fn expect_timers(&self) {
        let waiting = "state <> 'resolved' and timer_at is not null";
        let live = "select 1 from jobs where subject_id = incidents.id and kind = 'incident_timer' and buried_at is null
             and due_at <= incidents.timer_at";
        let lost = self.db.number(&format!("select count(*) from incidents where {waiting} and not exists ({live})")).await;
        assert_eq!(lost, 0, "an incident waits without a timer");
        let endless = "select count(*) from incidents where timer_at is null
             and (state = 'triggered' or state = 'acknowledged' and plan ->> 'acknowledgement_seconds' is not null)";
        assert_eq!(self.db.number(endless).await, 0, "an incident waits for ever");
    }

    /// Ends the story: nothing may be left over.
    pub(crate) async fn end(self) {
        self.settle().await;
        let phones = std::mem::take(&mut *self.phones.lock().expect("not poisoned"));
        for phone in phones {
            if phone.subscription_id().is_ok() {
                let left = phone.next_push(Duration::ZERO).await.expect("the push service answers");
                assert!(left.is_none(), "nobody expected this push: {left:?}");
            }
        }
        self.journal().await;
        let buried = self.db.number("select count(*) from jobs where buried_at is not null").await;
        assert_eq!(buried, 0, "a job was buried");
        self.expect_timers().await;
        self.server.stop().await;
    }
}

impl Person {
    /// The next push, with this title.
    pub(crate) async fn expect_push(&self, world: &World, title: &str) -> Push {
        expect_push(&self.phone, world, title).await
    }

    /// The next pushes, with these titles, in whatever order they arrive: they are sent side by side.
    pub(crate) async fn expect_pushes(&self, world: &World, titles: &[&str]) {
        let mut expected: Vec<_> = titles.iter().map(|title| (*title).to_owned()).collect();
        world.settle().await;
        let mut rung = Vec::new();
        for _ in titles {
            let push = self.phone.next_push(Duration::from_secs(2)).await.expect("the push service answers");
            rung.extend(push.map(|push| push.title().to_owned()));
        }
        expected.sort();
        rung.sort();
        assert_eq!(rung, expected);
    }

    /// Nothing rang that was not expected yet.
    pub(crate) async fn expect_silence(&self, world: &World) {
        world.settle().await;
        let push = self.phone.next_push(Duration::ZERO).await.expect("the push service answers");
        assert!(push.is_none(), "{} was not to ring: {push:?}", self.handle);
    }
}

pub(crate) async fn expect_push(phone: &Phone, world: &World, title: &str) -> Push {
    world.settle().await;
    let push = phone.next_push(Duration::from_secs(2)).await.expect("the push service answers");
    let push = push.unwrap_or_else(|| panic!("expected a push: {title}"));
    assert_eq!(push.title(), title);
    push
}

impl Bot {
    /// Asks for a person, and says which approval it became.
    pub(crate) async fn ask(&self, whom: &Person, action: Value) -> String {
        self.ask_handle(&whom.handle, action).await
    }

    /// Asks for whoever has that handle; the approval's id.
    pub(crate) async fn ask_handle(&self, whom: &str, action: Value) -> String {
        let reply = self.client.post("/v1/approvals", &json!({"action": action, "requester": whom})).await;
        let reply = reply.expect("the request is taken");
        assert_eq!((reply.status, &reply.body["state"]), (201, &json!("pending")));
        reply.body["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn approval(&self, id: &str) -> Value {
        self.client.get(&format!("/v1/approvals/{id}")).await.expect("the approval").body
    }

    /// The grant of an approval that was approved.
    pub(crate) async fn expect_grant(&self, id: &str) -> String {
        let approval = self.approval(id).await;
        assert_eq!(approval["state"], "approved");
        approval["grant"].as_str().expect("a grant").to_owned()
    }

    pub(crate) async fn redeem(&self, grant: &str, action: &Value) -> Result<Reply, ClientError> {
        self.client.post("/v1/grants/redeem", &json!({"grant": grant, "action": action})).await
    }

    /// Pages somebody; the reference.
    pub(crate) async fn page(&self, whom: &Person, title: &str) -> String {
        let reply = self.client.post("/v1/incidents", &json!({"title": title, "to": [whom.handle]})).await;
        reply.expect("the page is taken").body["ref"].as_str().expect("a reference").to_owned()
    }

    pub(crate) async fn incident(&self, reference: &str) -> Value {
        self.client.get(&format!("/v1/incidents/{reference}")).await.expect("the incident").body
    }

    pub(crate) async fn act(&self, reference: &str, verb: &str, actor: &Person) -> Result<Reply, ClientError> {
        self.client.post(&format!("/v1/incidents/{reference}/{verb}"), &json!({"actor": actor.handle})).await
    }
}

/// That a call was refused, and with which code.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>, code: &str) {
    let error = result.expect_err("this was to be refused");
    assert_eq!(error.code(), Some(code), "{error}");
}

/// That a phone was refused, and with which code.
pub(crate) fn phone_refused<T: std::fmt::Debug>(result: Result<T, phone::Error>, code: &str) {
    let error = result.expect_err("this was to be refused");
    assert_eq!(error.code(), Some(code), "{error}");
}
