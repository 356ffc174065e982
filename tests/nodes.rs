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

    #[test]
    fn a_long_poll_wakes() {
        run(Engine::Pg, a_long_poll_on_another_node_wakes_soon);
    }

    #[test]
    fn a_proof_is_used_once() {
        run(Engine::Pg, a_proof_changes_something_on_one_node_only);
    }
}
