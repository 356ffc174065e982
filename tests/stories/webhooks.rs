//! Webhooks: signed events, in order, at least once, for as long as it makes sense.

crate::world::stories! {
    events_arrive_signed_and_in_order
    what_fails_comes_again_and_nothing_overtakes_it
    a_receiver_that_fails_for_three_days_is_given_up
    a_secret_is_rotated_without_a_gap
    a_bots_webhook_hears_what_its_bot_hears
    a_webhook_is_made_tried_and_removed
}

mod stories {
    use std::sync::atomic::{AtomicU16, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use aws_lc_rs::digest::{SHA256, digest};
    use axum::Router;
    use axum::body::Bytes;
    use axum::http::{HeaderMap, StatusCode};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use crate::world::raw::{As, Raw};
    use crate::world::{World, deploy, minutes, seconds};

    /// What a receiver was sent.
    #[derive(Clone, Debug)]
    struct Received {
        headers: HeaderMap,
        body: String,
    }

    impl Received {
        fn header(&self, name: &str) -> &str {
            self.headers[name].to_str().expect("text")
        }

        fn event(&self) -> Value {
            serde_json::from_str(&self.body).expect("JSON")
        }

        /// As the specification says it, and as somebody else would write it: which of the signatures holds.
        fn verifies(&self, secret: &str, now: i64) -> bool {
            let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("its prefix")).expect("base64");
            let sent: i64 = self.header("webhook-timestamp").parse().expect("seconds");
            assert!((now - sent).abs() <= 300, "sent at {sent}, now {now}");
            let text = format!("{}.{sent}.{}", self.header("webhook-id"), self.body);
            let expected = hmac(&key, text.as_bytes());
            let signatures = self.header("webhook-signature").split(' ');
            signatures.filter_map(|one| one.strip_prefix("v1,")).any(|one| STANDARD.decode(one).is_ok_and(|one| one == expected))
        }
    }

    /// RFC 2104, spelled out.
    fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(key);
        let pad = |byte: u8| block.map(|b| b ^ byte);
        let inner = digest(&SHA256, &[&pad(0x36), text].concat());
        digest(&SHA256, &[&pad(0x5c)[..], inner.as_ref()].concat()).as_ref().to_vec()
    }

    /// Somebody who is told.
    struct Receiver {
        url: String,
        received: Arc<Mutex<Vec<Received>>>,
        status: Arc<AtomicU16>,
    }

    impl Receiver {
        async fn start() -> Self {
            let (received, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU16::new(204)));
            let (kept, answer) = (received.clone(), status.clone());
            let router = Router::new().fallback(async move |headers: HeaderMap, body: Bytes| {
                let body = String::from_utf8(body.to_vec()).expect("UTF-8");
                kept.lock().unwrap().push(Received { headers, body });
                StatusCode::from_u16(answer.load(Ordering::SeqCst)).expect("a status")
            });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let url = format!("http://{}/hook/secret-path", listener.local_addr().expect("an address"));
            tokio::spawn(async move { axum::serve(listener, router).await });
            Self { url, received, status }
        }

        fn answers(&self, status: u16) {
            self.status.store(status, Ordering::SeqCst);
        }

        fn all(&self) -> Vec<Received> {
            self.received.lock().unwrap().clone()
        }

        fn kinds(&self) -> Vec<String> {
            let kinds = self.all().into_iter().map(|one| one.event()["kind"].as_str().expect("a kind").to_owned());
            // Nobody here has a phone that rings.
            kinds.filter(|kind| kind != "person.unreachable" && kind != "incident.rang").collect()
        }

        /// Waits until so many have come.
        async fn has(&self, count: usize) -> Vec<Received> {
            eventually("the events arrive", || async { (self.all().len() >= count).then(|| self.all()) }).await
        }
    }

    async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
        for _ in 0..1_000 {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never came: {what}");
    }

    async fn webhook(raw: &Raw<'_>, receiver: &Receiver, more: Value) -> (String, String) {
        let mut body = json!({"url": receiver.url});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = raw.post(As::Operator, "/v1/webhooks", &body).await.expect(201);
        (made.id(), made.body["secret"].as_str().expect("a secret").to_owned())
    }

    async fn find(raw: &Raw<'_>, id: &str) -> Value {
        raw.get(As::Operator, &format!("/v1/webhooks/{id}")).await.expect(200).body
    }

    pub(crate) async fn events_arrive_signed_and_in_order(world: &World) {
        let (raw, receiver) = (Raw::new(world), Receiver::start().await);
        let (id, secret) = webhook(&raw, &receiver, json!({"kinds": ["approval.", "incident."]})).await;
        let bot = raw.able_bot("heimdall").await;
        let phone = raw.person("yannick", "member").await;
        let asked = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
        phone.answer(&raw, &asked, "approve").await.expect(200);
        raw.page(&bot, "yannick").await;
        let received = receiver.has(3).await;
        assert_eq!(receiver.kinds(), ["approval.requested", "approval.approved", "incident.triggered"]);
        let journal = world.journal().await;
        for one in &received {
            let event = one.event();
            assert!(journal.contains(&event), "the body is the entry: {event}");
            assert_eq!(
                (one.header("webhook-id"), one.header("content-type")),
                (event["id"].as_str().unwrap(), "application/json")
            );
            assert!(one.verifies(&secret, world.clock.now().as_seconds()));
            let mut other = one.clone();
            other.body.push(' ');
            assert!(!other.verifies(&secret, world.clock.now().as_seconds()));
        }
        let last = journal.last().unwrap()["seq"].clone();
        eventually("the cursor is at the end", || async { (find(&raw, &id).await["cursor"] == last).then_some(()) }).await;
        let dumped = world.journal().await.iter().map(Value::to_string).collect::<String>();
        assert!(!dumped.contains("secret-path"), "the journal does not say where");
    }

    pub(crate) async fn what_fails_comes_again_and_nothing_overtakes_it(world: &World) {
        let (raw, receiver, other) = (Raw::new(world), Receiver::start().await, Receiver::start().await);
        receiver.answers(500);
        let (id, _) = webhook(&raw, &receiver, json!({"kinds": ["user."]})).await;
        webhook(&raw, &other, json!({"kinds": ["user."]})).await;
        for handle in ["ada", "bob", "eve"] {
            raw.post(As::Operator, "/v1/users", &json!({"handle": handle, "name": "Somebody"})).await.expect(201);
        }
        receiver.has(1).await;
        other.has(3).await;
        eventually("it is put off", || async { (find(&raw, &id).await["failures"] == 1).then_some(()) }).await;
        world.advance(minutes(2)).await;
        let tried = receiver.all();
        assert!((4..9).contains(&tried.len()), "2, 4, 8, 16, 32, 64 seconds: {}", tried.len());
        assert!(tried.iter().all(|one| one.header("webhook-id") == tried[0].header("webhook-id")), "always the first");
        let failing = find(&raw, &id).await;
        assert_eq!((&failing["last_error"], &failing["failures"]), (&json!("it answered 500"), &json!(tried.len())));
        receiver.answers(200);
        world.advance(minutes(5)).await;
        receiver.has(tried.len() + 3).await;
        let handles: Vec<_> =
            receiver.all().split_off(tried.len()).iter().map(|one| one.event()["data"]["handle"].clone()).collect();
        assert_eq!(handles, ["ada", "bob", "eve"]);
        eventually("it recovers", || async { (find(&raw, &id).await["failures"] == 0).then_some(()) }).await;
        assert_eq!(other.all().len(), 3, "whoever takes it is told once");
    }

    pub(crate) async fn a_receiver_that_fails_for_three_days_is_given_up(world: &World) {
        let (raw, receiver) = (Raw::new(world), Receiver::start().await);
        receiver.answers(503);
        let admin = world.person("ys", "Ys Example").await;
        world.db.raw("update users set role = 'admin'").await;
        let (id, _) = webhook(&raw, &receiver, json!({"kinds": ["bot."]})).await;
        raw.bot("heimdall", &["events:read"]).await;
        receiver.has(1).await;
        eventually("it is put off", || async { (find(&raw, &id).await["failures"] == 1).then_some(()) }).await;
        world.advance(minutes(3 * 24 * 60 - 120)).await;
        assert!(find(&raw, &id).await["disabled_at"].is_null(), "not yet");
        let tries = receiver.all().len();
        assert!((60..120).contains(&tries), "up to an hour between two tries: {tries}");
        world.advance(minutes(5 * 60)).await;
        let given_up = find(&raw, &id).await;
        assert_eq!(given_up["disabled_why"], "it failed for three days: it answered 503");
        admin.expect_push(world, "A webhook was disabled").await;
        assert_eq!(world.recorded("webhook.disabled").await, 1);
        let tries = receiver.all().len();
        raw.bot("loki", &["events:read"]).await;
        world.advance(minutes(120)).await;
        assert_eq!(receiver.all().len(), tries, "it is left alone");
        // It goes on where it stopped.
        receiver.answers(200);
        raw.post(As::Operator, &format!("/v1/webhooks/{id}/enable"), &json!({})).await.expect(200);
        receiver.has(tries + 2).await;
        let names: Vec<_> = receiver.all().split_off(tries).iter().map(|one| one.event()["data"]["name"].clone()).collect();
        assert_eq!(names, ["heimdall", "loki"]);
    }

    pub(crate) async fn a_secret_is_rotated_without_a_gap(world: &World) {
        let (raw, receiver) = (Raw::new(world), Receiver::start().await);
        let (id, old) = webhook(&raw, &receiver, json!({"kinds": ["user."]})).await;
        let rotate = format!("/v1/webhooks/{id}/rotate");
        let rotated = raw.post(As::Operator, &rotate, &json!({"overlap": 600})).await.expect(200).body;
        let new = rotated["secret"].as_str().unwrap().to_owned();
        let add = async |handle: &str, count| {
            raw.post(As::Operator, "/v1/users", &json!({"handle": handle, "name": "Somebody"})).await.expect(201);
            receiver.has(count).await.pop().unwrap()
        };
        let now = || world.clock.now().as_seconds();
        let both = add("ada", 1).await;
        assert!(both.verifies(&old, now()) && both.verifies(&new, now()));
        assert_eq!(both.header("webhook-signature").split(' ').count(), 2);
        world.advance(seconds(601)).await;
        let one = add("bob", 2).await;
        assert!(!one.verifies(&old, now()) && one.verifies(&new, now()));
        let refused = raw.post(As::Operator, &rotate, &json!({"overlap": 604_801})).await.expect_refusal(400, "invalid_request");
        assert_eq!(refused.field(), Some("overlap"));
    }

    pub(crate) async fn a_bots_webhook_hears_what_its_bot_hears(world: &World) {
        let (raw, receiver) = (Raw::new(world), Receiver::start().await);
        let scopes = ["approvals:request", "incidents:write", "events:read"];
        let (heimdall, loki) = (raw.bot("heimdall", &scopes).await, raw.bot("loki", &scopes).await);
        raw.person("yannick", "member").await;
        let (id, _) = webhook(&raw, &receiver, json!({"bot": heimdall.id})).await;
        raw.page(&loki, "yannick").await;
        raw.ask(&loki, "yannick", &deploy("api", "production")).await;
        let asked = raw.ask(&heimdall, "yannick", &deploy("web", "staging")).await;
        let received = receiver.has(1).await;
        assert_eq!(received[0].event()["subject"], json!(asked));
        raw.delete(As::Operator, &format!("/v1/bots/{}", heimdall.id)).await.expect(204);
        eventually("it is disabled", || async { find(&raw, &id).await["disabled_why"].is_string().then_some(()) }).await;
        assert_eq!(receiver.kinds(), ["approval.requested"], "and of others nothing");
        let deaf = raw.able_bot("deaf").await;
        for bot in [heimdall.id.as_str(), deaf.id.as_str()] {
            let body = json!({"url": receiver.url, "bot": bot});
            let refused = raw.post(As::Operator, "/v1/webhooks", &body).await.expect_refusal(400, "invalid_request");
            assert_eq!(refused.field(), Some("bot"));
        }
    }

    pub(crate) async fn a_webhook_is_made_tried_and_removed(world: &World) {
        let (raw, receiver) = (Raw::new(world), Receiver::start().await);
        let body = json!({"url": receiver.url, "kinds": ["grant."]});
        let make = || raw.shot(As::Operator, "POST", "/v1/webhooks").json(&body).header("idempotency-key", "hook").fire();
        let (made, again) = (make().await.expect(201), make().await.expect(201));
        assert!(made.body["secret"].as_str().unwrap().starts_with("whsec_") && again.body["secret"].is_null());
        assert_eq!(made.id(), again.id());
        let (id, secret) = (made.id(), made.body["secret"].as_str().unwrap());
        let path = format!("/v1/webhooks/{id}/test");
        let test = || async { raw.post(As::Operator, &path, &json!({})).await.expect(200).body };
        assert_eq!(test().await, json!({"taken": true}));
        let received = receiver.all().pop().unwrap();
        assert!(received.verifies(secret, world.clock.now().as_seconds()) && received.event()["kind"] == "webhook.test");
        receiver.answers(410);
        assert_eq!(test().await, json!({"taken": false, "why": "it answered 410"}));
        let listed = raw.get(As::Operator, "/v1/webhooks").await.expect(200).body;
        assert_eq!((listed["webhooks"].as_array().unwrap().len(), &listed["webhooks"][0]["url"]), (1, &json!(receiver.url)));
        assert!(!listed.to_string().contains("whsec_"));
        for (url, field) in [
            ("ftp://hooks.example.com", "url"),
            ("http://a:b@hooks.example.com", "url"),
            ("https://hooks.example.com:22", "url"),
            ("x", "url"),
        ] {
            let refused =
                raw.post(As::Operator, "/v1/webhooks", &json!({"url": url})).await.expect_refusal(400, "invalid_request");
            assert_eq!(refused.field(), Some(field), "{url}: {}", refused.text);
        }
        let refused = raw.post(As::Operator, "/v1/webhooks", &json!({"url": receiver.url, "kinds": ["A"]})).await;
        assert_eq!(refused.expect_refusal(400, "invalid_request").field(), Some("kinds"));
        raw.delete(As::Operator, &format!("/v1/webhooks/{id}")).await.expect(204);
        raw.delete(As::Operator, &format!("/v1/webhooks/{id}")).await.expect_refusal(404, "not_found");
        raw.get(As::Operator, &format!("/v1/webhooks/{id}")).await.expect_refusal(404, "not_found");
    }
}
