//! Both loops, played by clients that ask again when nobody answers, and that ask twice for what must happen once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use phoneops::client::{Client, Error, Reply};
use phoneops::sim::phone::{self, Factor, Phone, Push, Verdict};
use serde_json::{Value, json};

use crate::told::Receiver;
use crate::world::{World, eventually, insist};

/// Yannick with a phone, and a bot.
pub(crate) struct Cast<'w> {
    pub(crate) world: &'w World,
    pub(crate) bot: Client,
    pub(crate) phone: Phone,
    keys: AtomicU64,
}

/// What a part of the story is played for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Nobody waits for a push or a timer.
    Hurried,
    /// The phone answers when it rings.
    Natural,
    /// Incidents ring twice and an approval is left to expire.
    Slow,
}

pub(crate) fn deploy(app: &str) -> Value {
    // One target each: none is folded into another.
    json!({"type": "deploy", "target": app, "params": {}})
}

/// The member of a reply.
pub(crate) fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("{member} of {value}")).to_owned()
}

/// Asks again under a new key while the answer is that of a call whose reply was lost: a secret is not shown twice.
pub(crate) async fn shown(operator: &Client, path: &str, whose: &str, member: &str, body: impl Fn(u32) -> Value) -> Value {
    for attempt in 1..5 {
        let (key, body) = (format!("{path}-{whose}-{attempt}"), body(attempt));
        let reply = insist(path, || operator.post_once(path, &key, &body)).await;
        if reply.body[member].is_string() {
            return reply.body;
        }
    }
    panic!("{path} never showed its {member}");
}

async fn secret(operator: &Client, path: &str, whose: &str, member: &str, body: impl Fn(u32) -> Value) -> String {
    text(&shown(operator, path, whose, member, body).await, member)
}

/// A person is made and enrols a phone with a passkey, claiming and keeping twice what must be theirs once.
async fn enrolled(world: &World, operator: &Client, handle: &str, body: &Value) -> Phone {
    insist("a user", || operator.post_once("/v1/users", handle, body)).await;
    let code = secret(operator, "/v1/enrollments", handle, "code", |_| json!({"user": format!("@{handle}")})).await;
    let phone = world.phone();
    let enrolled = insist("the phone enrols", || phone.enrol(&code, "A phone", None)).await;
    let again = insist("the phone enrols again", || phone.enrol(&code, "A phone", None)).await;
    assert_eq!(enrolled["device"], again["device"], "one code, one device");

    let passkey = insist("a passkey is offered", || phone.prepare_passkey("Face ID")).await;
    let keep = || async { phone.post_once("/v1/passkeys", "passkey", &passkey).await?.accepted() };
    let kept = insist("a passkey is kept", keep).await;
    assert_eq!(kept, insist("a passkey is kept again", keep).await, "one key, one passkey");
    phone
}

/// A person is made and enrols a phone with a passkey and push; a bot is made.
pub(crate) async fn join(world: &World) -> Cast<'_> {
    let operator = world.operator().await;
    let yannick = json!({"handle": "yannick", "name": "Yannick Schutz", "role": "admin"});
    let phone = enrolled(world, &operator, "yannick", &yannick).await;
    insist("push is registered", || phone.register_push()).await;
    let scopes = ["approvals:request", "grants:redeem", "incidents:write", "incidents:read"];
    let bot = |attempt| json!({"name": format!("heimdall-{attempt}"), "scopes": scopes});
    let token = secret(&operator, "/v1/bots", "heimdall", "token", bot).await;
    Cast { world, bot: world.bot(&token), phone, keys: AtomicU64::new(0) }
}

impl Cast<'_> {
    fn key(&self) -> String {
        format!("key-{}", self.keys.fetch_add(1, Ordering::SeqCst))
    }

    /// The bot does something once, however often it has to say so.
    pub(crate) async fn once(&self, path: &str, body: &Value) -> Reply {
        let key = self.key();
        let first = insist(path, || self.bot.post_once(path, &key, body)).await;
        let again = insist(path, || self.bot.post_once(path, &key, body)).await;
        for member in ["id", "grant", "at"] {
            assert_eq!(first.body[member], again.body[member], "{path}: another {member} under the same key");
        }
        first
    }

    /// A push that reached the phone.
    pub(crate) async fn rung(&self, what: &str, is_it: impl Fn(&Push) -> bool) -> Push {
        let look = || async {
            let pushes = self.phone.pushes().await.expect("the push service answers");
            let found = pushes.into_iter().find(&is_it);
            if found.is_none() {
                // Waits for one more: twenty stories at once that only asked, again and again, would leave the servers no time.
                self.phone.next_push(Duration::from_secs(1)).await.expect("the push service answers");
            }
            found
        };
        eventually(what, look).await
    }

    /// The bot pages Yannick; the incident's id and reference.
    pub(crate) async fn page(&self, title: &str) -> (String, String) {
        let page = json!({"title": title, "to": ["@yannick"]});
        let paged = self.once("/v1/incidents", &page).await;
        assert_eq!(paged.body["paged"][0]["handle"], "yannick");
        (text(&paged.body, "id"), text(&paged.body, "ref"))
    }

    /// The phone rings for this round, or a later one.
    pub(crate) async fn rings(&self, incident: &str, round: u64) {
        let is_it = |push: &Push| {
            push.kind() == "page" && push.data()["subject"] == incident && push.data()["round"].as_u64() >= Some(round)
        };
        self.rung("the page's push", is_it).await;
    }

    /// The bot tells what became of it, and the phone hears; the keys change, and the receipt is there all the same.
    async fn report(&self, grant: &str, approval: &str, pace: Pace) {
        self.once(&format!("/v1/grants/{grant}/outcome"), &json!({"outcome": "succeeded"})).await;
        if pace != Pace::Hurried {
            self.rung("the outcome's push", |push| push.kind() == "outcome" && push.data()["subject"] == approval).await;
        }
        let operator = self.world.operator().await;
        let nothing = json!({});
        let rotate = || operator.post_once("/v1/keys/rotate", approval, &nothing);
        insist("the keys are rotated", rotate).await;
        let path = format!("/v1/approvals/{approval}/receipt");
        let receipt = insist("the receipt", || self.bot.get(&path)).await;
        assert_eq!(receipt.body["receipt"]["outcome"]["outcome"], "succeeded");
    }

    /// The phone acknowledges, the bot resolves.
    pub(crate) async fn settle(&self, reference: &str) {
        let acknowledged = insist("acknowledge", || self.phone.acknowledge(reference)).await;
        assert_eq!(acknowledged["state"], "acknowledged");
        let path = format!("/v1/incidents/{reference}/resolve");
        let resolved = self.once(&path, &json!({"actor": "@yannick"})).await;
        assert_eq!(resolved.body["state"], "resolved");
    }

    /// The bot asks; the approval's id.
    pub(crate) async fn ask(&self, action: &Value, expires_in: u32) -> String {
        let ask = json!({"action": action, "requester": "@yannick", "expires_in": expires_in});
        text(&self.once("/v1/approvals", &ask).await.body, "id")
    }

    /// The phone approves, sending the same answer twice; the bot redeems, and cannot again.
    pub(crate) async fn approve(&self, id: &str, action: &Value, pace: Pace) {
        if pace != Pace::Hurried {
            self.rung("the approval's push", |push| push.kind() == "approval" && push.data()["subject"] == id).await;
        }
        let answer = insist("an answer is prepared", || self.phone.prepare_answer(id, Verdict::Approve, None)).await;
        let send = || async { self.phone.post(&answer.path, &answer.body).await?.accepted() };
        for _ in 0..2 {
            let approval = insist("the answer is taken", send).await;
            assert_eq!(approval["state"], "approved", "the same answer gets the same reply");
        }
        let grant = self.redeem(id, action).await;
        self.report(&grant, id, pace).await;
    }

    /// The bot redeems the grant of what was approved, and cannot again; the grant's id.
    async fn redeem(&self, id: &str, action: &Value) -> String {
        let path = format!("/v1/approvals/{id}");
        let approval = insist("the grant", || self.bot.get(&path)).await;
        let redeem = json!({"grant": text(&approval.body, "grant"), "action": action});
        let redeemed = self.once("/v1/grants/redeem", &redeem).await;
        let again = || async { refusal(self.bot.post("/v1/grants/redeem", &redeem).await) };
        let refused = insist("a second redemption", again).await;
        assert_eq!(refused, "grant_redeemed");
        text(&redeemed.body, "grant")
    }
}

impl Cast<'_> {
    /// Two people of a team have to approve: Yannick, who mistypes a code and takes his passkey instead, and then somebody else. It
    /// is held, takes effect, and is redeemed.
    async fn under_a_policy(&self) {
        let operator = self.world.operator().await;
        let second = json!({"handle": "ys", "name": "Ys Example"});
        let second = enrolled(self.world, &operator, "ys", &second).await;
        self.two_of_ops(&operator).await;
        let action = json!({"type": "wipe", "target": "staging", "params": {}});
        let asked = self.ask(&action, 300).await;
        let mistyped = || self.phone.prepare_answer_with(&asked, Verdict::Approve, Factor::Code("000000"), None);
        let mistyped = insist("a code is typed", mistyped).await;
        let send = || async { already(self.phone.post(&mistyped.path, &mistyped.body).await?.accepted(), "code_wrong") };
        insist("a wrong code", send).await;
        let one = approved_by(&self.phone, &asked).await;
        assert_eq!((&one["state"], &one["holds_until"]), (&json!("pending"), &Value::Null), "one is not enough");
        let two = approved_by(&second, &asked).await;
        assert!(two["holds_until"].is_string() || two["state"] == "approved", "{two}");
        assert_eq!(two["approvals"].as_array().map(Vec::len), Some(2), "each counts once, and none is lost: {two}");
        let path = format!("/v1/approvals/{asked}");
        let approved = || async {
            let found = insist("the approval", || self.bot.get(&path)).await;
            (found.body["state"] == "approved").then_some(())
        };
        eventually("the delay is over", approved).await;
        self.redeem(&asked, &action).await;
        let path = format!("{path}/receipt");
        let receipt = insist("the receipt", || self.bot.get(&path)).await;
        assert_eq!(receipt.body["receipt"]["answers"].as_array().map(Vec::len), Some(2));
    }

    /// The bot gets its next token and goes on with the old one; the glass of a request is broken, and the phone denies it.
    async fn rotated_and_broken(&self) {
        let operator = self.world.operator().await;
        let bots = insist("the bots", || operator.get("/v1/bots")).await;
        // Others may have been made whose token was lost with a reply.
        let bot = bots.body["bots"].as_array().and_then(|bots| bots.last()).map(|bot| text(bot, "id")).expect("a bot");
        let (path, overlap) = (format!("/v1/bots/{bot}/rotate"), json!({"overlap_seconds": 3600}));
        let rotated = insist("the token is rotated", || operator.post_once(&path, "rotated", &overlap)).await;
        let again = insist("it is rotated again", || operator.post_once(&path, "rotated", &overlap)).await;
        assert!(again.body["token"].is_null(), "a token is shown once");
        assert_eq!(rotated.body["previous_token_until"], again.body["previous_token_until"]);

        let asked = self.ask(&deploy("locked"), 300).await;
        let (path, why) = (format!("/v1/approvals/{asked}/break-glass"), json!({"reason": "nobody answers"}));
        let broken = insist("the glass is broken", || operator.post_once(&path, "broken", &why)).await;
        let again = insist("it is broken again", || operator.post(&path, &why)).await;
        assert_eq!(broken.body["break_glass"]["until"], again.body["break_glass"]["until"]);
        let answer = insist("a denial is prepared", || self.phone.prepare_answer(&asked, Verdict::Deny, None)).await;
        let send = || async { self.phone.post(&answer.path, &answer.body).await?.accepted() };
        assert_eq!(insist("the denial is taken", send).await["state"], "denied");
        assert_eq!(insist("the denial is taken again", send).await["state"], "denied");
    }

    /// Yannick's second phone waits until the first has confirmed it; Ys, whose phone is lost, is recovered.
    async fn further_phones(&self) {
        let operator = self.world.operator().await;
        let code = secret(&operator, "/v1/enrollments", "tablet", "code", |_| json!({"user": "@yannick"})).await;
        let tablet = self.world.phone();
        let claimed = insist("the tablet claims", || tablet.enrol(&code, "A tablet", None)).await;
        let again = insist("the tablet claims again", || tablet.enrol(&code, "A tablet", None)).await;
        assert_eq!((&claimed["device"], &claimed["device"]["state"]), (&again["device"], &json!("waiting")));
        let (id, number) = (text(&claimed["device"], "id"), tablet.match_number());
        self.rung("the tablet's push", |push| push.kind() == "device" && push.data()["subject"] == id.as_str()).await;
        let confirm = || async { already(self.phone.confirm_device(&id, &number).await, "device_decided") };
        insist("the tablet is confirmed", confirm).await;
        insist("the tablet signs in", || tablet.sign_in()).await;
        self.rung("that it joined", |push| push.title() == "A new device joined").await;

        let code = secret(&operator, "/v1/users/@ys/recover", "ys", "code", |_| json!({})).await;
        let new = self.world.phone();
        let claimed = insist("the new phone claims", || new.enrol(&code, "A new phone", None)).await;
        let again = insist("the new phone claims again", || new.enrol(&code, "A new phone", None)).await;
        assert_eq!(claimed["device"], again["device"]);
        assert!(claimed["device"]["approves_from"].is_string());
        self.rung("that Ys is recovered", |push| push.title().ends_with("is being recovered")).await;
    }

    /// A monitoring system reports what breaks, once while its service is being maintained: each report is one incident, however often it
    /// is sent, and what is suppressed rings when the maintenance ends.
    async fn alerted(&self) {
        let operator = self.world.operator().await;
        let team = json!({"name": "watch"});
        insist("a team", || operator.post_once("/v1/teams", "watch", &team)).await;
        insist("a member", || async { operator.put("/v1/teams/watch/members/@yannick", &json!({})).await }).await;
        let service = json!({"name": "watched", "team": "watch"});
        insist("a service", || operator.post_once("/v1/services", "watched", &service)).await;
        let integration = |attempt| json!({"name": format!("prom-{attempt}"), "kind": "events"});
        let key = secret(&operator, "/v1/services/watched/integrations", "prom", "key", integration).await;
        let says = async |action: &str, what: &str| {
            let event = json!({"routing_key": key, "event_action": action, "dedup_key": what,
                "payload": {"summary": format!("{what} is down"), "source": what, "severity": "critical"}});
            for _ in 0..2 {
                insist("an event", || self.bot.post("/v2/enqueue", &event)).await;
            }
        };
        says("trigger", "db1").await;
        self.rung("the alert's push", |push| push.title() == "db1 is down").await;
        says("resolve", "db1").await;

        let window = json!({"service": "watched", "for_seconds": 3600, "reason": "an upgrade"});
        let window = insist("maintenance", || operator.post_once("/v1/maintenance", "watched-window", &window)).await;
        says("trigger", "db2").await;
        let path = format!("/v1/maintenance/{}", text(&window.body, "id"));
        let end = || async {
            match operator.delete(&path).await {
                Err(Error::Refused(refusal)) if refusal.code == "maintenance_over" => Ok(()),
                ended => ended.map(drop),
            }
        };
        insist("its end", end).await;
        self.rung("the push of what was suppressed", |push| push.title() == "db2 is down").await;
        says("resolve", "db2").await;
    }

    /// Two requests that are alike: the second rings once the first is approved, and is reported, which freezes. Yannick lifts that.
    async fn alike(&self) {
        let action = json!({"type": "restart", "target": "staging", "params": {}});
        let first = self.ask(&action, 300).await;
        let second = self.ask(&action, 300).await;
        assert_eq!(approved_by(&self.phone, &first).await["state"], "approved");
        self.rung("the folded one's push", |push| push.kind() == "approval" && push.data()["subject"] == second.as_str()).await;
        let report = insist("a report is prepared", || self.phone.prepare_answer(&second, Verdict::Report, None)).await;
        let send = || async { self.phone.post(&report.path, &report.body).await?.accepted() };
        for _ in 0..2 {
            assert_eq!(insist("the report is taken", send).await["state"], "denied");
        }
        self.rung("that it is frozen", |push| push.kind() == "notice" && push.title().starts_with("Frozen: ")).await;
        let operator = self.world.operator().await;
        let frozen = insist("the freezes", || operator.get("/v1/freezes")).await;
        let path = format!("/v1/freezes/{}", text(&frozen.body["freezes"][0], "id"));
        let proposed = insist("a proposal", || operator.delete(&path)).await;
        let confirm = || async { already(self.phone.confirm_act(&proposed.body).await, "act_done") };
        insist("a confirmation", confirm).await;
    }

    /// The team and the policy, the latter under Yannick's passkey.
    async fn two_of_ops(&self, operator: &Client) {
        let team = json!({"name": "ops"});
        insist("a team", || operator.post_once("/v1/teams", "team", &team)).await;
        for member in ["@yannick", "@ys"] {
            let path = format!("/v1/teams/ops/members/{member}");
            insist("a member", || async { operator.put(&path, &json!({})).await }).await;
        }
        let rule = json!({"match": {"types": ["wipe"]}, "require": {"factor": "code", "requester_excluded": false, "delay": 1,
            "groups": [{"quorum": 2, "teams": ["ops"]}]}});
        let proposed = insist("a proposal", || async { operator.put("/v1/policies/wipes", &rule).await }).await;
        assert_eq!(proposed.status, 202);
        let confirm = || async { already(self.phone.confirm_act(&proposed.body).await, "act_done") };
        insist("a confirmation", confirm).await;
    }
}

/// Approves with a passkey, sending the same answer twice; the approval as it then is.
async fn approved_by(phone: &Phone, asked: &str) -> Value {
    let answer = insist("an answer is prepared", || phone.prepare_answer(asked, Verdict::Approve, None)).await;
    let send = || async { phone.post(&answer.path, &answer.body).await?.accepted() };
    insist("the answer is taken", send).await;
    insist("the answer is taken again", send).await
}

/// That it was done, now or before the reply was lost: then the refusal says so by this code.
fn already(done: Result<Value, phone::Error>, code: &str) -> Result<(), phone::Error> {
    match done {
        Ok(_) => Ok(()),
        Err(refused) if refused.code() == Some(code) => Ok(()),
        Err(other) => Err(other),
    }
}

/// The code with which a second redemption was refused.
fn refusal(reply: Result<Reply, Error>) -> Result<String, Error> {
    match reply {
        Err(Error::Refused(refusal)) if refusal.status != 503 => Ok(refusal.code),
        Err(error) => Err(error),
        Ok(reply) => panic!("the grant was redeemed twice: {reply:?}"),
    }
}

/// Yannick is somebody in chat: the code is shown once and typed twice.
async fn is_known_in_chat(cast: &Cast<'_>) {
    let identity = json!({"platform": "slack", "workspace": "T0ORG", "user": "U0YANNICK"});
    let code = secret(&cast.bot, "/v1/chat-identities/codes", "yannick", "code", |_| identity.clone()).await;
    let body = json!({"code": code});
    let link = || async { cast.phone.post("/v1/chat-identities", &body).await?.accepted() };
    let linked = insist("the chat identity is linked", link).await;
    assert_eq!(linked["id"], insist("it is linked again", link).await["id"], "one code, one link");
}

/// The whole of it.
pub(crate) async fn play(world: &World, pace: Pace) {
    let cast = join(world).await;
    let told = Receiver::start().await.subscribe(world).await;
    let (incident, reference) = cast.page("All your apps are down").await;
    // It is answered, or not, by its deadline, whoever is there when that comes.
    let left = cast.ask(&deploy("web"), 12).await;
    cast.rings(&incident, 1).await;
    let action = deploy("api/new_auth");
    let asked = cast.ask(&action, 300).await;
    cast.approve(&asked, &action, pace).await;
    if pace == Pace::Slow {
        cast.rings(&incident, 2).await;
        cast.rung("the expiry", |push| push.title() == "Expired" && push.data()["subject"] == left.as_str()).await;
        let path = format!("/v1/approvals/{left}");
        assert_eq!(insist("the expired approval", || cast.bot.get(&path)).await.body["state"], "expired");
    }
    cast.settle(&reference).await;
    cast.rotated_and_broken().await;
    cast.alike().await;
    cast.alerted().await;
    is_known_in_chat(&cast).await;
    cast.under_a_policy().await;
    cast.further_phones().await;
    for path in [format!("/v1/incidents/{reference}"), format!("/v1/approvals/{asked}")] {
        let reply = insist(&path, || cast.bot.get(&path)).await;
        assert!(["resolved", "approved"].contains(&reply.body["state"].as_str().expect("a state")), "{:?}", reply.body);
    }
    shown_once(&cast).await;
    told.everything(world).await;
}

/// Pushes may be sent twice; of one ring of one subject the phone shows one.
async fn shown_once(cast: &Cast<'_>) {
    let pushes = cast.phone.pushes().await.expect("the push service answers");
    let ring = |push: &Push| (push.kind().to_owned(), push.data()["subject"].clone(), push.data()["round"].clone());
    for push in &pushes {
        for other in pushes.iter().filter(|other| ring(other) == ring(push)) {
            assert_eq!((push.tag(), &push.topic), (other.tag(), &other.topic), "one ring would show twice");
        }
    }
    let refused: Vec<_> = cast.world.push_service.journal().into_iter().filter(|entry| entry.reason.is_some()).collect();
    assert!(refused.is_empty(), "the push service refused {refused:?}");
}
