//! Every route that takes a body, with a body that is good.

use phoneops::secret::b64u;
use serde_json::{Value, json};

use crate::world::raw::{As, RSA_KEY, Raw, RawBot, RawPhone, Seen};

/// Who calls in these tests.
pub(crate) struct Cast {
    pub(crate) bot: RawBot,
    pub(crate) phone: RawPhone,
}

#[derive(Clone, Copy)]
pub(crate) enum Who {
    Nobody,
    Operator,
    Bot,
    Phone,
}

/// One route and a body for it that is good, at least once.
pub(crate) struct Good {
    pub(crate) who: Who,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Value,
}

impl Cast {
    pub(crate) async fn of(raw: &Raw<'_>) -> Self {
        Self { bot: raw.able_bot("heimdall").await, phone: raw.person("yannick", "member").await }
    }

    fn caller(&self, who: Who) -> As<'_> {
        match who {
            Who::Nobody => As::Nobody,
            Who::Operator => As::Operator,
            Who::Bot => As::Bot(&self.bot),
            Who::Phone => As::Phone(&self.phone),
        }
    }

    pub(crate) async fn send(&self, raw: &Raw<'_>, good: &Good, body: &[u8]) -> Seen {
        let shot = raw.shot(self.caller(good.who), good.method, &good.path).bytes(body.to_vec());
        shot.header("content-type", "application/json").fire().await
    }

    pub(crate) async fn send_as(&self, raw: &Raw<'_>, good: &Good, kind: Option<&str>, body: &[u8]) -> Seen {
        let shot = raw.shot(self.caller(good.who), good.method, &good.path).bytes(body.to_vec());
        match kind {
            Some(kind) => shot.header("content-type", kind).fire().await,
            None => shot.fire().await,
        }
    }
}

/// The good bodies. What they change is made for them.
pub(crate) async fn good(raw: &Raw<'_>, cast: &Cast) -> Vec<Good> {
    let Cast { bot, phone } = cast;
    let action = json!({"type": "deploy", "target": "production",
        "params": {"app": "api", "count": 3, "dry": true, "hosts": ["a", "b"], "map": {"key": "value"}}});
    let (_, grant) = raw.granted(bot, phone, "yannick", &action).await;
    let (_, used) = raw.granted(bot, phone, "yannick", &action).await;
    let redeem = json!({"grant": used, "action": action});
    let used = raw.post(As::Bot(bot), "/v1/grants/redeem", &redeem).await.expect(200).body["grant"].as_str().unwrap().to_owned();
    let asked = raw.ask(bot, "yannick", &action).await;
    let mut answer = phone.prepare(raw, &asked, "deny").await;
    answer["reason"] = json!("not on a Friday");
    let (reference, other) = (raw.page(bot, "yannick").await, raw.page(bot, "yannick").await);
    // Nobody listens there, and nothing of this kind is sealed.
    let hook = json!({"url": "http://127.0.0.1:1024/x", "kinds": ["nothing."]});
    let webhook = raw.post(As::Operator, "/v1/webhooks", &hook).await.expect(201).id();
    let blank = RawPhone::blank(raw.world.clock.clone(), raw.issuer());
    let (waiting, _) = raw.claimed("yannick").await;
    let confirmation = phone.prepare_confirmation(raw, &waiting).await;
    let keys = json!({"p256dh": blank.p256dh(), "auth": b64u([7; 16])});
    let passkey = json!({"ceremony": format!("cer_{:032x}", 1), "name": "Face ID", "credential": answer["credential"]});
    let page = json!({"title": "Down", "to": ["@yannick"], "details": "all of it", "urgency": "high",
        "links": ["https://ops.example/runbook"], "actor": "@yannick"});
    let ask = json!({"action": action, "requester": "@yannick", "reason": "a release", "expires_in": 300,
        "origin": {"platform": "slack", "workspace": "T1", "room": "C1", "message": "1.2"}});
    let policy = json!({"match": {"types": ["deploy"], "targets": ["prod*"], "params": {"app": ["a*", 3, true]}, "bots": ["heimdall"],
            "rooms": [{"platform": "slack", "workspace": "T1", "room": "*"}]},
        "require": {"requester": true, "groups": [{"quorum": 1, "users": ["@yannick"], "teams": []}], "factor": "passkey",
            "expires_in": 60, "requester_excluded": false, "executor": "heimdall", "delay": 60, "on_no_answer": "refuse"}});
    let trial = json!({"action": action, "requester": "@yannick", "bot": "heimdall",
        "origin": {"platform": "slack", "workspace": "T1", "room": "C1", "message": "1.2"}});
    let chat = json!({"platform": "slack", "workspace": "T1", "user": "U2"});
    let link = raw.post(As::Bot(bot), "/v1/chat-identities/codes", &chat).await.expect(201).body["code"].clone();
    let mut all = vec![
        route(Who::Bot, "POST", "/v1/approvals", ask),
        route(Who::Phone, "POST", &format!("/v1/approvals/{asked}/challenge"), json!({"verdict": "approve"})),
        route(Who::Phone, "POST", &format!("/v1/approvals/{asked}/answers"), answer),
        route(Who::Bot, "POST", "/v1/grants/redeem", json!({"grant": grant, "action": action})),
        route(Who::Bot, "POST", &format!("/v1/grants/{used}/outcome"), json!({"outcome": "failed", "detail": "exit code 3"})),
        route(Who::Operator, "POST", "/v1/keys/rotate", json!({})),
        route(Who::Nobody, "POST", &format!("/v1/receipts/{}", "A".repeat(43)), json!({"event": "opened"})),
        route(Who::Bot, "POST", "/v1/incidents", page),
        route(Who::Operator, "POST", "/v1/enrollments", json!({"user": "@yannick"})),
        route(Who::Nobody, "POST", "/v1/logins", raw.world.blank_phone().prepare_login("cli", "@yannick", "A laptop").unwrap()),
        route(Who::Nobody, "POST", "/v1/enrollments/claim", blank.claim(&raw.code("yannick").await)),
        route(
            Who::Phone,
            "PUT",
            &format!("/v1/devices/{}/push", phone.device),
            json!({"kind": "web_push", "endpoint": "https://push.example/x", "keys": keys}),
        ),
        route(Who::Phone, "PUT", &format!("/v1/devices/{}/name", phone.device), json!({"name": "My other phone"})),
        route(Who::Phone, "POST", &format!("/v1/devices/{}/challenge", waiting.device), json!({})),
        route(Who::Phone, "POST", &format!("/v1/devices/{}/confirm", waiting.device), confirmation),
        route(Who::Phone, "POST", &format!("/v1/devices/{}/reject", waiting.device), json!({})),
        route(Who::Operator, "POST", "/v1/users/@yannick/recover", json!({})),
        route(Who::Phone, "POST", "/v1/passkeys/challenge", json!({})),
        route(Who::Phone, "POST", "/v1/passkeys", passkey),
        route(Who::Phone, "POST", "/v1/me/test-page", json!({})),
        route(Who::Phone, "PUT", "/v1/me/email", json!({"email": "yannick@example.com"})),
        route(Who::Operator, "PUT", "/v1/users/@yannick/email", json!({"email": "yannick@example.com"})),
        route(Who::Operator, "PUT", "/v1/users/@yannick/role", json!({"role": "member"})),
        route(
            Who::Bot,
            "POST",
            "/v1/chat-identities/codes",
            json!({"platform": "slack", "workspace": "T1", "user": "U1", "name": "yannick"}),
        ),
        route(Who::Phone, "POST", "/v1/chat-identities/look-up", json!({"code": link})),
        route(Who::Phone, "POST", "/v1/chat-identities", json!({"code": link})),
        route(
            Who::Operator,
            "POST",
            "/v1/users",
            json!({"handle": "ys", "name": "Ys Example", "role": "member", "email": "ys@example.com"}),
        ),
        route(Who::Operator, "POST", "/v1/teams", json!({"name": "ops"})),
        route(Who::Operator, "PUT", "/v1/policies/prod", policy),
        route(Who::Operator, "POST", "/v1/policies/test", trial),
        route(Who::Operator, "POST", "/v1/bots", json!({"name": "loki", "scopes": ["events:read"]})),
        route(Who::Operator, "POST", "/v1/webhooks", json!({"url": "https://hooks.example.com/x", "kinds": ["approval."]})),
        route(Who::Operator, "POST", &format!("/v1/webhooks/{webhook}/rotate"), json!({"overlap": 60})),
        route(Who::Operator, "POST", &format!("/v1/webhooks/{webhook}/enable"), json!({})),
        route(Who::Operator, "POST", &format!("/v1/webhooks/{webhook}/test"), json!({})),
    ];
    all.extend(chats(&bot.id));
    all.extend(acts(&reference, &other));
    all.extend(schedules(raw).await);
    all.extend(services(raw).await);
    all
}

fn route(who: Who, method: &'static str, path: &str, body: Value) -> Good {
    Good { who, method, path: path.to_owned(), body }
}

/// What is set up for chat.
fn chats(bot: &str) -> Vec<Good> {
    vec![
        route(
            Who::Operator,
            "PUT",
            "/v1/chat/commands/restart",
            json!({"pattern": "restart (?<service>[a-z-]+)", "action": {"type": "restart", "target": "{service}",
                "params": {"service": "{service}"}}, "success": "you are restarting {service}", "help": "restart a service",
                "example": "restart web"}),
        ),
        route(
            Who::Operator,
            "PUT",
            &format!("/v1/bots/{bot}/limits"),
            json!({"actions": [{"type": "deploy", "target": "prod*"}], "users": ["@yannick"],
                "rooms": [{"platform": "slack", "workspace": "T1", "room": "*"}]}),
        ),
        route(
            Who::Operator,
            "PUT",
            "/v1/chat/rooms",
            json!({"bot": "heimdall", "platform": "slack", "workspace": "T1", "room": "C1", "only": {"env": "production"}}),
        ),
        route(
            Who::Operator,
            "POST",
            "/v1/chat/subscriptions",
            json!({"bot": "heimdall", "platform": "slack", "workspace": "T1", "room": "C1", "of": "incidents", "urgency": "high",
                "labels": {"env": "production"}}),
        ),
        route(
            Who::Operator,
            "POST",
            &format!("/v1/bots/{bot}/keys"),
            json!({"public_key": RSA_KEY, "name": "hubot", "platform": "irc", "workspace": "example"}),
        ),
    ]
}

/// What is done to an incident.
fn acts(reference: &str, other: &str) -> Vec<Good> {
    let incident = |verb: &str| format!("/v1/incidents/{reference}/{verb}");
    vec![
        route(Who::Bot, "POST", &incident("acknowledge"), json!({"actor": "@yannick"})),
        route(
            Who::Bot,
            "POST",
            &incident("escalate"),
            json!({"to": ["@yannick"], "message": "I need some help", "actor": "@yannick"}),
        ),
        route(Who::Bot, "POST", &incident("reassign"), json!({"to": ["@yannick"], "actor": "@yannick"})),
        route(Who::Bot, "POST", &incident("responders"), json!({"to": ["@yannick"], "actor": "@yannick"})),
        route(Who::Bot, "POST", &incident("snooze"), json!({"for_seconds": 600, "actor": "@yannick"})),
        route(Who::Bot, "POST", &incident("wake"), json!({"actor": "@yannick"})),
        route(Who::Bot, "POST", &incident("notes"), json!({"text": "the disk is full", "actor": "@yannick"})),
        route(Who::Bot, "POST", &incident("urgency"), json!({"urgency": "low", "actor": "@yannick"})),
        route(Who::Phone, "POST", "/v1/me/acknowledge-all", json!({})),
        route(Who::Bot, "POST", &incident("resolve"), json!({"actor": "@yannick"})),
        route(Who::Bot, "POST", &incident("reopen"), json!({"actor": "@yannick"})),
        route(Who::Bot, "POST", &incident("merge"), json!({"into": other, "actor": "@yannick"})),
        route(Who::Phone, "POST", &incident("not-me"), json!({})),
        route(
            Who::Phone,
            "PUT",
            "/v1/me/paging-rules",
            json!({"high": {"ways": [{"after_minutes": 0, "way": "loud"}], "repeat_minutes": 2, "once": false},
                "low": {"ways": [{"after_minutes": 10, "way": "push"}], "once": true},
                "quiet_hours": {"zone": "Europe/Paris", "hours": ["mon-fri 22:00-07:00"]},
                "only": [{"teams": ["ops"], "services": ["api"], "urgency": "high", "labels": {"env": "production"}}]}),
        ),
    ]
}

/// Who is on call when.
async fn schedules(raw: &Raw<'_>) -> Vec<Good> {
    let layer = json!({"name": "primary", "people": ["@yannick"], "shift": "1 week", "first": "2027-01-11T09:00",
        "hours": ["mon-fri 09:00-18:00"], "until": "2028-01-11T09:00"});
    let schedule = json!({"team": "pagers", "zone": "Europe/Paris", "layers": [layer]});
    raw.post(As::Operator, "/v1/teams", &json!({"name": "pagers"})).await.expect(201);
    raw.shot(As::Operator, "PUT", "/v1/schedules/days").json(&schedule).fire().await.expect(201);
    let mut named = schedule.clone();
    named["name"] = json!("nights");
    let taken = json!({"user": "@yannick", "from": "2027-02-01T09:00", "until": "2027-02-02T09:00"});
    vec![
        route(Who::Operator, "POST", "/v1/schedules", named),
        route(Who::Operator, "PUT", "/v1/schedules/days", schedule),
        route(Who::Operator, "POST", "/v1/schedules/days/overrides", taken),
        route(Who::Phone, "POST", "/v1/calendar-feeds", json!({"schedule": "days"})),
    ]
}

/// What breaks, and who is paged.
async fn services(raw: &Raw<'_>) -> Vec<Good> {
    raw.post(As::Operator, "/v1/teams", &json!({"name": "paged"})).await.expect(201);
    raw.post(As::Operator, "/v1/services", &json!({"name": "web", "team": "paged"})).await.expect(201);
    let prom = json!({"name": "prom", "kind": "events"});
    raw.post(As::Operator, "/v1/services/web/integrations", &prom).await.expect(201);
    raw.post(As::Operator, "/v1/services/web/integrations", &json!({"name": "hooked", "kind": "generic"})).await.expect(201);
    let escalation = json!({"team": "paged", "steps": [{"to": ["@yannick", "team:paged"], "escalate_after_minutes": 5}],
        "repeats": 2, "last_resort": ["@yannick"]});
    let named_escalation = {
        let mut named = escalation.clone();
        named["name"] = json!("calm");
        named
    };
    raw.shot(As::Operator, "PUT", "/v1/escalation-policies/paged").json(&escalation).fire().await.expect(201);
    let settings = json!({"urgency": "high", "acknowledgement_seconds": 600, "group_by": ["cluster"], "group_seconds": 60,
        "reopen_seconds": 60});
    let hook = json!({"name": "hook", "kind": "generic", "mapping": {"summary": "/text", "source": "/host", "dedup_key": "/id",
        "severity": {"at": "/level", "values": {"page": "critical"}}, "action": {"at": "/status", "values": {"ok": "resolve"}},
        "details": ""}});
    vec![
        route(
            Who::Operator,
            "POST",
            "/v1/services",
            json!({"name": "api", "team": "paged", "policy": "paged", "settings": settings}),
        ),
        route(Who::Operator, "PUT", "/v1/services/web", json!({"team": "paged", "policy": "paged", "settings": settings})),
        route(Who::Operator, "POST", "/v1/services/web/integrations", hook),
        route(
            Who::Operator,
            "POST",
            "/v1/services/web/integrations",
            json!({"name": "cron", "kind": "heartbeat", "every_seconds": 60, "grace_seconds": 30}),
        ),
        route(Who::Operator, "PUT", "/v1/services/web/integrations/hooked", json!({"mapping": {"summary": "/title"}})),
        route(Who::Operator, "POST", "/v1/services/web/integrations/prom/rotate", json!({"overlap_seconds": 60})),
        route(Who::Operator, "POST", "/v1/escalation-policies", named_escalation),
        route(Who::Operator, "PUT", "/v1/escalation-policies/paged", escalation),
        route(
            Who::Operator,
            "POST",
            "/v1/maintenance",
            json!({"service": "web", "from": raw.world.clock.now(), "for_seconds": 600, "reason": "a move"}),
        ),
    ]
}

/// Every place in a body, as JSON pointers, its own root apart.
pub(crate) fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    let mut below = |name: &str, value: &Value| {
        let place = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        out.push(place.clone());
        places(value, &place, out);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| below(name, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| below(&at.to_string(), value)),
        _ => {}
    }
}

/// The member of the body that a place is in.
pub(crate) fn top(place: &str) -> &str {
    place.split('/').nth(1).unwrap_or_default()
}
