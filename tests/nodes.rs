//! Two nodes on one PostgreSQL, with one master key and nothing else in common.

#![expect(unused_macros, unused_imports, reason = "there is one engine here")]

#[path = "nodes/escalating.rs"]
mod escalating;
#[path = "nodes/slack.rs"]
mod slack;
mod support;
mod world;

mod postgres {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use futures_util::future::join_all;
    use phoneops::clock::{Clock, Timestamp};
    use phoneops::config::Config;
    use phoneops::db::{Engine, Error, Result};
    use phoneops::identity::{Bell, Ground, Identity, IssuerKeys, News, RelyingParty};
    use phoneops::journal::Journal;
    use phoneops::secret::{MasterKey, b64u, sha256};
    use phoneops::server::Server;
    use serde_json::json;
    use tempfile::TempDir;
    use tokio_util::sync::CancellationToken;

    use crate::support::{TestDb, run};
    use crate::world::raw::{As, Raw, RawPhone};
    use crate::world::{World, deploy, phone_refused, seconds};

    /// Another node of the same house: where it listens, and what keeps it running.
    async fn another(world: &World) -> (String, Server, TempDir) {
        let data = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let key = world.server.socket().with_file_name("master.key");
        let settings = [
            ("PHONEOPS_PUBLIC_URL", world.server.issuer().to_owned()),
            ("PHONEOPS_DATA_DIR", data.path().display().to_string()),
            ("PHONEOPS_MASTER_KEY_FILE", key.display().to_string()),
            ("PHONEOPS_WEB_PUSH_ALLOW_PRIVATE_NETWORKS", "true".to_owned()),
            ("PHONEOPS_WEBHOOKS_ALLOW_PRIVATE_NETWORKS", "true".to_owned()),
            ("PHONEOPS_WEB_PUSH_SUBJECT", "mailto:ops@phoneops.example".to_owned()),
            ("PHONEOPS_DATABASE_URL", world.db.url().unwrap()),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value));
        let config = Config::load(None, settings).unwrap();
        let server = Server::start(&config, world.clock.clone(), listener, None).await.unwrap();
        (base, server, data)
    }

    async fn what_is_acknowledged_on_another_node_rings_nowhere(db: TestDb) {
        let world = World::start(db).await;
        let (base, node, _data) = another(&world).await;
        let yannick = world.person("yannick", "Yannick Schutz").await;
        {
            let raw = Raw::new(&world);
            let bot = raw.able_bot("heimdall").await;
            let reference = raw.page(&bot, "yannick").await;
            yannick.expect_push(&world, "All your apps are down").await;
            let path = format!("/v1/incidents/{reference}/acknowledge");
            let shot = raw.shot(As::Bot(&bot), "POST", &path).json(&json!({"actor": "@yannick"}));
            shot.at(&base).fire().await.expect(200);
            yannick.expect_pushes(&world, &["Acknowledged as you via heimdall", "Acknowledged by Yannick Schutz"]).await;
            world.advance(seconds(600)).await;
            yannick.expect_silence(&world).await;
        }
        node.stop().await;
        world.end().await;
    }

    async fn a_long_poll_on_another_node_wakes_soon(db: TestDb) {
        let world = World::start(db).await;
        let (base, node, _data) = another(&world).await;
        {
            let raw = Raw::new(&world);
            let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
            let asked = raw.ask(&bot, "yannick", &deploy("api", "production")).await;
            let path = format!("/v1/approvals/{asked}?wait=25");
            let polling = raw.shot(As::Bot(&bot), "GET", &path).at(&base).fire();
            let answering = async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                phone.answer(&raw, &asked, "approve").await.expect(200);
                Instant::now()
            };
            let answered = async { (polling.await, Instant::now()) };
            let ((polled, woken), decided) = futures_util::future::join(answered, answering).await;
            assert_eq!(polled.expect(200).body["state"], "approved");
            let late = woken.saturating_duration_since(decided);
            assert!(late < Duration::from_secs(2), "{late:?}");
        }
        node.stop().await;
        world.end().await;
    }

    async fn a_stream_on_another_node_ends_with_the_bot(db: TestDb) {
        let world = World::start(db).await;
        let (base, node, _data) = another(&world).await;
        {
            let raw = Raw::new(&world);
            let bot = raw.bot("heimdall", &["events:read", "approvals:request"]).await;
            raw.person("yannick", "member").await;
            let listening = world.http.get(format!("{base}/v1/events")).bearer_auth(&bot.token);
            let mut stream = listening.header("accept", "text/event-stream").send().await.unwrap();
            stream.chunk().await.unwrap().expect("it says from where");
            let asked = Instant::now();
            raw.ask(&bot, "yannick", &deploy("api", "production")).await;
            let event = stream.chunk().await.unwrap().expect("an event");
            assert!(String::from_utf8_lossy(&event).contains("approval.requested"), "{event:?}");
            assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
            raw.delete(As::Operator, &format!("/v1/bots/{}", bot.id)).await.expect(204);
            let revoked = Instant::now();
            while stream.chunk().await.is_ok_and(|chunk| chunk.is_some()) {}
            assert!(revoked.elapsed() < Duration::from_secs(5), "{:?}", revoked.elapsed());
        }
        node.stop().await;
        world.end().await;
    }

    async fn two_nodes_tell_a_webhook_each_event_once_and_in_order(db: TestDb) {
        let world = World::start(db).await;
        let (base, node, _data) = another(&world).await;
        {
            let told = Arc::new(Mutex::new(Vec::new()));
            let kept = told.clone();
            let router = axum::Router::new().fallback(async move |axum::Json(event): axum::Json<serde_json::Value>| {
                kept.lock().unwrap().push(event["seq"].as_i64().unwrap());
            });
            let receiver = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/", receiver.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(receiver, router).await });
            let raw = Raw::new(&world);
            raw.post(As::Operator, "/v1/webhooks", &json!({"url": url, "kinds": ["incident.triggered"]})).await.expect(201);
            let bot = raw.able_bot("heimdall").await;
            raw.person("yannick", "member").await;
            let body = json!({"title": "Down", "to": ["@yannick"]});
            for at in 0..60 {
                let base = if at % 2 == 0 { raw.issuer() } else { &base };
                raw.shot(As::Bot(&bot), "POST", "/v1/incidents").json(&body).at(base).fire().await.expect(201);
            }
            let begun = Instant::now();
            while told.lock().unwrap().len() < 60 && begun.elapsed() < Duration::from_secs(20) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            let journal = world.journal().await;
            let triggered = journal.iter().filter(|entry| entry["kind"] == "incident.triggered");
            let expected: Vec<_> = triggered.map(|entry| entry["seq"].as_i64().unwrap()).collect();
            assert_eq!((told.lock().unwrap().clone(), expected.len()), (expected.clone(), 60));
        }
        node.stop().await;
        world.end().await;
    }

    async fn a_proof_changes_something_on_one_node_only(db: TestDb) {
        let world = World::start(db).await;
        let (base, node, _data) = another(&world).await;
        {
            let raw = Raw::new(&world);
            let phone = raw.person("yannick", "member").await;
            let proof = phone.proof("POST", "/v1/passkeys/challenge");
            let start = |base: &str| {
                raw.shot(As::Phone(&phone), "POST", "/v1/passkeys/challenge")
                    .json(&json!({}))
                    .header("dpop", &proof)
                    .at(base)
                    .fire()
            };
            start(raw.issuer()).await.expect(200);
            let refused = start(&base).await.expect_refusal(401, "invalid_dpop_proof");
            assert_eq!(refused.body["reason"], "replayed");
            let refused = start(raw.issuer()).await.expect_refusal(401, "invalid_dpop_proof");
            assert_eq!(refused.body["reason"], "replayed");
            // Sessions and grants of one node hold on the other.
            raw.shot(As::Phone(&phone), "GET", "/v1/me").at(&base).fire().await.expect(200);
            let bot = raw.able_bot("heimdall").await;
            let action = deploy("api", "production");
            let (_, grant) = raw.granted(&bot, &phone, "yannick", &action).await;
            let body = json!({"grant": grant, "action": action});
            raw.shot(As::Bot(&bot), "POST", "/v1/grants/redeem").json(&body).at(&base).fire().await.expect(200);
            raw.post(As::Bot(&bot), "/v1/grants/redeem", &body).await.expect_refusal(409, "grant_redeemed");
        }
        node.stop().await;
        world.end().await;
    }

    async fn a_proof_of_a_bound_grant_is_used_once(db: TestDb) {
        let world = World::start(db).await;
        let (base, node, _data) = another(&world).await;
        {
            let raw = Raw::new(&world);
            let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
            let key = RawPhone::blank(world.clock.clone(), raw.issuer());
            let jkt = b64u(sha256(&serde_json_canonicalizer::to_vec(&key.jwk()).unwrap()));
            let action = deploy("api", "production");
            let granted = || async {
                let body = json!({"action": action, "requester": "@yannick", "bind": {"jkt": jkt}});
                let asked = raw.post(As::Bot(&bot), "/v1/approvals", &body).await.expect(201).id();
                phone.answer(&raw, &asked, "approve").await.expect(200);
                let found = raw.get(As::Bot(&bot), &format!("/v1/approvals/{asked}")).await.expect(200);
                found.body["grant"].as_str().unwrap().to_owned()
            };
            let redeem = |base: &str, grant: &str| {
                // The same jti each time.
                let (header, mut claims) = key.proof_parts("POST", "/v1/grants/redeem", Some(grant));
                claims["jti"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
                let shot =
                    raw.shot(As::Bot(&bot), "POST", "/v1/grants/redeem").at(base).header("dpop", &key.jws(&header, &claims));
                shot.json(&json!({"grant": grant, "action": action})).fire()
            };
            let (first, second) = (granted().await, granted().await);
            redeem(raw.issuer(), &first).await.expect(200);
            let refused = redeem(&base, &second).await.expect_refusal(401, "invalid_dpop_proof");
            assert_eq!(refused.body["reason"], "replayed");
            // At once, on both nodes: one of them.
            let both = join_all([redeem(raw.issuer(), &second), redeem(&base, &second)]).await;
            assert!(both.iter().all(|seen| seen.status == 401), "{both:?}");
        }
        node.stop().await;
        world.end().await;
    }

    /// What time the database says it is.
    async fn theirs(db: &TestDb) -> Timestamp {
        let now = db.number("select (extract(epoch from clock_timestamp()) * 1000000)::bigint").await;
        Timestamp::from_micros(now)
    }

    /// Turns the node's clock to the database's time and `ahead` beyond.
    async fn set(world: &World, ahead: Duration) {
        let time = theirs(&world.db).await.after(ahead);
        world.clock.advance(world.clock.now().until(time));
    }

    async fn a_node_whose_clock_differs_is_not_ready(db: TestDb) {
        let start = theirs(&db).await.before(seconds(20));
        let world = World::start_at(db, start, &[]).await;
        {
            let raw = Raw::new(&world);
            let ready = || raw.get(As::Nobody, "/readyz");
            let behind = ready().await.expect_refusal(503, "clock_skew");
            assert!(behind.headers.contains_key("retry-after"), "{behind:?}");
            set(&world, Duration::from_millis(1_500)).await;
            ready().await.expect(200);
            set(&world, seconds(6)).await;
            ready().await.expect_refusal(503, "clock_skew");
            // This node's clock stands still until the database's has caught up.
            let began = Instant::now();
            while ready().await.status != 200 {
                assert!(began.elapsed() < Duration::from_secs(30), "it never recovers");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        world.end().await;
    }

    async fn one_of_many_first_codes_works(db: TestDb) {
        const NODES: usize = 12;
        let world = World::start(db).await;
        let stores = join_all((0..NODES).map(|_| world.db.store())).await;
        let nodes = join_all(stores.into_iter().map(|store| node(&world, store))).await;
        let codes = join_all(nodes.iter().map(Identity::first_admin_code)).await;
        let codes: Vec<_> = codes.into_iter().map(|code| code.unwrap().expect("there is nobody yet").expose_grouped()).collect();
        let live = format!(
            "select count(*) from enrollments where user_id is null and claimed_at is null and expires_at > {}",
            world.clock.now().as_micros()
        );
        assert_eq!(world.db.number(&live).await, 1, "codes that work");

        let mut enrolled = 0;
        for code in &codes {
            let phone = world.blank_phone();
            match phone.enrol(code, "My phone", Some(("yannick", "Yannick Schutz"))).await {
                Ok(_) => enrolled += 1,
                refused => phone_refused(refused, "enrollment_unknown"),
            }
        }
        assert_eq!(enrolled, 1, "one of the codes that were printed is the one that works");
        world.end().await;
    }

    /// What a node has of identity, on connections of its own.
    async fn node(world: &World, store: phoneops::db::Store) -> Identity {
        let relying_party = RelyingParty::new("localhost", &world.server.public_url, "PhoneOps").unwrap();
        let (clock, journal): (Clock, _) = (world.clock.clone(), Journal::default());
        let master = std::fs::read_to_string(world.server.socket().with_file_name("master.key")).unwrap();
        let master = MasterKey::parse(&master).unwrap();
        let keys = IssuerKeys::open(&store, &master, world.server.issuer(), clock.now()).await.unwrap();
        let (bell, recovery_wait) = (std::sync::Arc::new(Nobody), Duration::from_secs(86_400));
        Identity::new(Ground { store, clock, journal, keys, relying_party, bell, recovery_wait }, &master)
    }

    /// Rings nobody: there is nobody yet.
    struct Nobody;

    impl Bell for Nobody {
        fn ring<'a>(
            &'a self,
            _: &'a mut phoneops::db::Tx<'_>,
            _: News,
            _: Timestamp,
        ) -> futures_util::future::BoxFuture<'a, phoneops::db::Result<()>> {
            Box::pin(async { Ok(()) })
        }
    }

    /// As many connections as requests have, and more requests than may wait for them.
    const FLOOD: usize = 5_000;

    async fn a_flood_of_requests_keeps_no_phone_from_ringing(db: TestDb) {
        let world = World::start(db).await;
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&yannick, "All your apps are down").await;
        yannick.expect_push(&world, "All your apps are down").await;

        let over = CancellationToken::new();
        let flood: Vec<_> = (0..FLOOD)
            .map(|_| {
                let (store, over) = (world.server.store.clone(), over.clone());
                tokio::spawn(async move {
                    let held: Result<(), Error> = store
                        .write(move |_| {
                            Box::pin(async move {
                                over.cancelled().await;
                                Ok(())
                            })
                        })
                        .await;
                    held
                })
            })
            .collect();
        let refused = heimdall.client.get(&format!("/v1/incidents/{reference}")).await.unwrap_err();
        let phoneops::client::Error::Refused(refused) = refused else { panic!("{refused}") };
        assert_eq!((refused.status, &*refused.code, refused.retry_after), (503, "unavailable", Some(seconds(1))));

        // No request gives its connection back before this is over.
        world.advance(seconds(60)).await;
        yannick.expect_push(&world, "All your apps are down").await;
        over.cancel();
        join_all(flood).await;
        yannick.phone.resolve(&reference).await.unwrap();
        world.end().await;
    }

    /// Guessing at three doors at once: no more than three guesses are ever compared.
    async fn a_code_is_guessed_on_three_nodes(db: TestDb) {
        let world = World::start(db).await;
        let (second, third) = (another(&world).await, another(&world).await);
        {
            let raw = Raw::new(&world);
            let admin = world.administrator("ada", "Ada Byron").await;
            let (bot, phone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
            world.policy(&admin, "codes", &json!({"require": {"requester": true, "factor": "code"}})).await;
            let ask = json!({"action": deploy("api", "production"), "requester": "@yannick"});
            let asked = raw.post(As::Bot(&bot), "/v1/approvals", &ask).await.expect(201);
            let code: u32 = asked.body["code"].as_str().unwrap().parse().unwrap();
            let doors = [raw.issuer(), &second.0, &third.0];
            let mut guesses = Vec::new();
            for guess in 1..=30_u32 {
                let mut answer = phone.prepare_jws(&raw, &asked.id(), "approve", "code").await;
                answer["code"] = json!(format!("{:06}", (code + guess) % 1_000_000));
                guesses.push((doors[guess as usize % 3], answer));
            }
            let path = format!("/v1/approvals/{}/answers", asked.id());
            let shots =
                guesses.iter().map(|(door, answer)| raw.shot(As::Phone(&phone), "POST", &path).json(answer).at(door).fire());
            let seen = futures_util::future::join_all(shots).await;
            let count = |code: &str| seen.iter().filter(|seen| seen.code() == code).count();
            assert_eq!((count("code_wrong"), count("code_exhausted")), (3, 27));
            assert_eq!(world.db.number("select failures from code_failures").await, 3);
            assert_eq!(world.recorded("approval.code_wrong").await, 3);
            // Not even the right one is compared now.
            let mut answer = phone.prepare_jws(&raw, &asked.id(), "approve", "code").await;
            answer["code"] = json!(format!("{code:06}"));
            phone.send(&raw, &asked.id(), &answer).await.expect_refusal(403, "code_exhausted");
            phone.answer(&raw, &asked.id(), "approve").await.expect(200);
        }
        second.1.stop().await;
        third.1.stop().await;
        world.end().await;
    }

    /// Everybody approves at once, each on another node: exactly as many count as are needed, and there is one grant.
    async fn a_quorum_gathers_on_three_nodes(db: TestDb) {
        let world = World::start(db).await;
        let (second, third) = (another(&world).await, another(&world).await);
        {
            let raw = Raw::new(&world);
            let admin = world.administrator("ada", "Ada Byron").await;
            let bot = raw.able_bot("heimdall").await;
            let mut phones = Vec::new();
            for handle in ["ann", "bea", "cyd", "dan", "eve", "fay"] {
                phones.push(raw.person(handle, "member").await);
            }
            let users = ["@ann", "@bea", "@cyd", "@dan", "@eve", "@fay"];
            world.policy(&admin, "many", &json!({"require": {"groups": [{"quorum": 3, "users": users}]}})).await;
            raw.person("yannick", "member").await;
            let action = deploy("api", "production");
            let asked = raw.ask(&bot, "yannick", &action).await;
            let doors = [raw.issuer(), &second.0, &third.0];
            let path = format!("/v1/approvals/{asked}/answers");
            let mut answers = Vec::new();
            for phone in &phones {
                answers.push(phone.prepare(&raw, &asked, "approve").await);
            }
            let shots = phones
                .iter()
                .zip(&answers)
                .enumerate()
                .map(|(at, (phone, answer))| raw.shot(As::Phone(phone), "POST", &path).json(answer).at(doors[at % 3]).fire());
            let seen = futures_util::future::join_all(shots).await;
            let taken = seen.iter().filter(|seen| seen.status == 200).count();
            let late = seen.iter().filter(|seen| seen.code() == "approval_decided").count();
            assert_eq!((taken, late), (3, 3));
            assert_eq!(world.db.number("select count(*) from answers").await, 3);
            assert_eq!(world.db.number("select count(*) from grants").await, 1);
            let found = raw.get(As::Bot(&bot), &format!("/v1/approvals/{asked}")).await.expect(200).body;
            assert_eq!(found["approvals"].as_array().unwrap().len(), 3);
            let body = json!({"grant": found["grant"], "action": action});
            raw.post(As::Bot(&bot), "/v1/grants/redeem", &body).await.expect(200);
        }
        second.1.stop().await;
        third.1.stop().await;
        world.end().await;
    }

    #[test]
    fn a_clock_that_differs_is_noticed() {
        run(Engine::Pg, a_node_whose_clock_differs_is_not_ready);
    }

    #[test]
    fn one_first_administrator() {
        run(Engine::Pg, one_of_many_first_codes_works);
    }

    #[test]
    fn a_flood_does_not_silence_phones() {
        run(Engine::Pg, a_flood_of_requests_keeps_no_phone_from_ringing);
    }

    #[test]
    fn at_most_three_codes_are_compared() {
        run(Engine::Pg, a_code_is_guessed_on_three_nodes);
    }

    #[test]
    fn a_quorum_is_reached_once() {
        run(Engine::Pg, a_quorum_gathers_on_three_nodes);
    }

    #[test]
    fn an_acknowledgement_stops_it_on_every_node() {
        run(Engine::Pg, what_is_acknowledged_on_another_node_rings_nowhere);
    }

    #[test]
    fn a_long_poll_wakes() {
        run(Engine::Pg, a_long_poll_on_another_node_wakes_soon);
    }

    #[test]
    fn a_stream_ends_with_its_bot() {
        run(Engine::Pg, a_stream_on_another_node_ends_with_the_bot);
    }

    #[test]
    fn a_webhook_is_told_once() {
        run(Engine::Pg, two_nodes_tell_a_webhook_each_event_once_and_in_order);
    }

    #[test]
    fn a_grants_proof_is_used_once() {
        run(Engine::Pg, a_proof_of_a_bound_grant_is_used_once);
    }

    #[test]
    fn every_step_of_a_page_rings_once_though_nodes_die() {
        run(Engine::Pg, crate::escalating::every_step_rings_once);
    }

    #[test]
    fn a_proof_is_used_once() {
        run(Engine::Pg, a_proof_changes_something_on_one_node_only);
    }

    #[test]
    fn slack_is_told_once() {
        run(Engine::Pg, crate::slack::one_of_two_tells_slack);
    }
}
