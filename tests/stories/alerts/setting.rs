//! A service that breaks, and the monitors that say so.

use std::time::Duration;

use phoneops::config::Config;
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
    let service = json!({"name": "api", "team": "api", "settings": settings});
    assert_eq!(world.operator.post("/v1/services", &service).await.expect("a service").status, 201);
    yannick
}

/// Maintains the service for so long; the window.
pub(crate) async fn maintain(world: &World, lasts: Duration) -> String {
    let window = json!({"service": "api", "for_seconds": lasts.as_secs(), "reason": "an upgrade"});
    let planned = world.operator.post("/v1/maintenance", &window).await.expect("a window");
    planned.body["id"].as_str().expect("an id").to_owned()
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
        let mut integration = json!({"name": name, "kind": kind});
        if kind == "heartbeat" {
            integration["every_seconds"] = json!(60);
            integration["grace_seconds"] = json!(240);
        }
        let made = world.operator.post("/v1/services/api/integrations", &integration).await.expect("an integration");
        let key = made.body["key"].as_str().expect("a key").to_owned();
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
