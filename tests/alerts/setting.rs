//! A service that breaks, and the monitors that say so.

use std::time::Duration;

use phoneops::config::Config;
use phoneops::db::Engine;
use phoneops::secret::{random, sha256};
use phoneops::server::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::raw::{As, Raw};
use crate::world::{Bot, Person, World};

/// The team `api` of yannick, and its service `api`.
pub(crate) async fn service(world: &World) -> Person {
    service_with(world, &json!({})).await
}

/// As [`service`], with settings.
pub(crate) async fn service_with(world: &World, settings: &Value) -> Person {
    let yannick = world.person("yannick", "Yannick Schutz").await;
    world.team("api", &[&yannick]).await;
    let id = id(world);
    let team = "(select id from teams where name = 'api')";
    world
        .db
        .raw(&format!(
            "insert into services (id, name, team_id, settings, created_at) values ({id}, 'api', {team}, '{settings}', 0)"
        ))
        .await;
    yannick
}

/// A fresh id as the engine writes it.
fn id(world: &World) -> String {
    bytes(world, &random::<16>(), "uuid")
}

fn bytes(world: &World, bytes: &[u8], kind: &str) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match (world.db.engine(), kind) {
        (Engine::Lite, _) => format!("X'{hex}'"),
        (Engine::Pg, "uuid") => format!("'{hex}'::uuid"),
        (Engine::Pg, _) => format!("'\\x{hex}'::bytea"),
    }
}

/// Maintains the service for so long.
pub(crate) async fn maintain(world: &World, lasts: Duration) {
    let (id, now) = (id(world), world.clock.now());
    let (from, until) = (now.as_micros(), now.after(lasts).as_micros());
    let by = json!({"kind": "operator"});
    let service = "(select id from services where name = 'api')";
    world
        .db
        .raw(&format!(
            "insert into maintenance_windows (id, service_id, from_at, until_at, reason, made_by, created_at)
             values ({id}, {service}, {from}, {until}, 'an upgrade', '{by}', {from})"
        ))
        .await;
}

/// A monitoring system with a key.
pub(crate) struct Monitor<'w> {
    world: &'w World,
    pub(crate) key: String,
    kind: &'static str,
}

impl<'w> Monitor<'w> {
    /// An integration of the service.
    pub(crate) async fn of(world: &'w World, name: &str, kind: &'static str) -> Self {
        let key: String = random::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
        let settings = match kind {
            "heartbeat" => json!({"every_seconds": 60, "grace_seconds": 240}),
            _ => json!({}),
        };
        let (id, sha256) = (id(world), bytes(world, &sha256(key.as_bytes()), "bytes"));
        let service = "(select id from services where name = 'api')";
        world
            .db
            .raw(&format!(
                "insert into integrations (id, service_id, name, kind, key_sha256, settings, created_at)
                 values ({id}, {service}, '{name}', '{kind}', {sha256}, '{settings}', 0)"
            ))
            .await;
        Self { world, key, kind }
    }

    /// Where it reports.
    pub(crate) fn path(&self) -> String {
        match self.kind {
            "events" => "/v2/enqueue".to_owned(),
            "heartbeat" => format!("/heartbeat/{}", self.key),
            kind => format!("/ingest/{}/{kind}", self.key),
        }
    }

    /// Reports, and is told that it was taken; the key of the alert.
    pub(crate) async fn says(&self, body: &Value) -> String {
        self.says_to(self.world.server.issuer(), body).await
    }

    /// As [`Monitor::says`], to a node.
    pub(crate) async fn says_to(&self, base: &str, body: &Value) -> String {
        let mut body = body.clone();
        if self.kind == "events" {
            body["routing_key"] = json!(self.key);
        }
        let raw = Raw::new(self.world);
        let seen = raw.shot(As::Nobody, "POST", &self.path()).at(base).json(&body).fire().await.expect(202);
        seen.body["dedup_key"].as_str().expect("a key").to_owned()
    }

    /// Sends a heartbeat.
    pub(crate) async fn beats(&self) {
        Raw::new(self.world).shot(As::Nobody, "POST", &self.path()).fire().await.expect(204);
    }
}

/// An event by Events v2, without its key.
pub(crate) fn event(action: &str, dedup_key: &str, summary: &str) -> Value {
    let mut event = json!({"event_action": action, "dedup_key": dedup_key});
    if action == "trigger" {
        event["payload"] = json!({"summary": summary, "source": "db1", "severity": "critical"});
    }
    event
}

/// The one incident that is open.
pub(crate) async fn only_incident(bot: &Bot) -> Value {
    let listed = bot.client.get("/v1/incidents").await.expect("the incidents").body;
    let open = listed["incidents"].as_array().expect("a list");
    assert_eq!(open.len(), 1, "{listed}");
    open[0].clone()
}

/// Another node of the same house.
pub(crate) struct Node {
    pub(crate) url: String,
    server: Server,
    _data: TempDir,
}

impl Node {
    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}

/// A second node, where there can be one.
pub(crate) async fn second_node(world: &World) -> Option<Node> {
    let database = world.db.url()?;
    let data = tempfile::tempdir().expect("a temporary directory");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://localhost:{}", listener.local_addr().expect("an address").port());
    let settings = [
        ("PHONEOPS_PUBLIC_URL", world.server.issuer().to_owned()),
        ("PHONEOPS_DATA_DIR", data.path().display().to_string()),
        ("PHONEOPS_MASTER_KEY_FILE", world.server.socket().with_file_name("master.key").display().to_string()),
        ("PHONEOPS_WEB_PUSH_ALLOW_PRIVATE_NETWORKS", "true".to_owned()),
        ("PHONEOPS_WEB_PUSH_SUBJECT", "mailto:ops@phoneops.example".to_owned()),
        ("PHONEOPS_DATABASE_URL", database),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value));
    let config = Config::load(None, settings).expect("the settings are valid");
    let server = Server::start(&config, world.clock.clone(), listener, None).await.expect("the node starts");
    Some(Node { url, server, _data: data })
}
