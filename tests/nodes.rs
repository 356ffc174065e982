//! Two nodes on one PostgreSQL, with one master key and nothing else in common.

#![expect(unused_macros, unused_imports, reason = "there is one engine here")]

mod support;
mod world;

mod postgres {
    use std::time::{Duration, Instant};

    use phoneops::config::Config;
    use phoneops::db::Engine;
    use phoneops::server::Server;
    use serde_json::json;
    use tempfile::TempDir;

    use crate::support::{TestDb, run};
    use crate::world::raw::{As, Raw};
    use crate::world::{World, deploy};

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
            ("PHONEOPS_WEB_PUSH_SUBJECT", "mailto:ops@phoneops.example".to_owned()),
            ("PHONEOPS_DATABASE_URL", world.db.url().unwrap()),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value));
        let config = Config::load(None, settings).unwrap();
        let server = Server::start(&config, world.clock.clone(), listener, None).await.unwrap();
        (base, server, data)
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
    fn at_most_three_codes_are_compared() {
        run(Engine::Pg, a_code_is_guessed_on_three_nodes);
    }

    #[test]
    fn a_quorum_is_reached_once() {
        run(Engine::Pg, a_quorum_gathers_on_three_nodes);
    }

    #[test]
    fn a_long_poll_wakes() {
        run(Engine::Pg, a_long_poll_on_another_node_wakes_soon);
    }

    #[test]
    fn a_proof_is_used_once() {
        run(Engine::Pg, a_proof_changes_something_on_one_node_only);
    }
}
