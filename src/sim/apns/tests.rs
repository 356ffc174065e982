//! The simulator of APNs, spoken to by an HTTP/2 client that nobody here wrote.

mod connections;
mod deliveries;
mod refusals;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::body::Bytes;
use axum::http::{Request, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::secret::b64u;
use crate::sim::http2::tests::Client;

/// 2027-01-15T08:00:00Z
const START: i64 = 1_800_000_000;

/// A simulator, one device, and a provider with one connection.
struct World {
    clock: Clock,
    apns: Apns,
    token: String,
    client: Client,
}

/// What a request is made of, to be spoiled by a test.
#[derive(Clone)]
struct Push {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Push {
    /// With this header in the place of what it had by that name; without it when `value` is empty.
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            self.headers.push((name, value.to_owned()));
        }
        self
    }

    fn saying(mut self, payload: &Value) -> Self {
        self.body = payload.to_string().into_bytes();
        self
    }

    fn request(self) -> Request<Bytes> {
        let mut request = Request::builder().method(self.method).uri(format!("https://localhost{}", self.path));
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(self.body.into()).unwrap()
    }
}

fn alert(title: &str) -> Value {
    json!({"aps": {"alert": {"title": title, "body": "Page PIHXOC6"}, "sound": "default"}, "data": {"kind": "page"}})
}

/// A provider token, signed as a provider signs.
fn provider_token(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let pem: String = key.pem.expose().lines().filter(|line| !line.starts_with('-')).collect();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &STANDARD.decode(pem).unwrap()).unwrap();
    let signed = format!("{}.{}", b64u(header.to_string()), b64u(claims.to_string()));
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", b64u(signature.as_ref()))
}

fn token_of(key: &SigningKey, iat: i64) -> String {
    provider_token(key, &json!({"alg": "ES256", "kid": key.key_id}), &json!({"iss": key.team_id, "iat": iat}))
}

/// Sends one notification on a connection of its own, and gives the status.
pub(in crate::sim) async fn send(apns: &Apns, token: &str, payload: &Value) -> u16 {
    let client = Client::connect(apns.address(), apns.authority(), 1).await;
    let now = apns.control.store.clock.now().as_seconds();
    let headers = vec![
        ("authorization", format!("bearer {}", token_of(apns.key(), now))),
        ("apns-topic", apns.topic().to_owned()),
        ("apns-push-type", "alert".to_owned()),
    ];
    let push = Push { method: "POST", path: format!("/3/device/{token}"), headers, body: payload.to_string().into_bytes() };
    client.call(push.request()).await.unwrap().status().as_u16()
}

impl World {
    async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(START));
        let apns = Apns::with(settings, clock.clone()).await.unwrap();
        let client = Client::connect(apns.address(), apns.authority(), 1).await;
        Self { token: apns.device(), client, clock, apns }
    }

    /// The provider opens another connection.
    async fn reconnect(&mut self) {
        self.client = self.connect().await;
    }

    async fn connect(&self) -> Client {
        Client::connect(self.apns.address(), self.apns.authority(), 1).await
    }

    /// A notification that is in order, under the token of the world's start.
    fn push(&self, title: &str) -> Push {
        let token = format!("bearer {}", self.bearer());
        Push {
            method: "POST",
            path: format!("/3/device/{}", self.token),
            headers: vec![
                ("authorization", token),
                ("apns-topic", self.apns.topic().to_owned()),
                ("apns-push-type", "alert".to_owned()),
                ("apns-priority", "10".to_owned()),
                ("apns-expiration", (START + 600).to_string()),
            ],
            body: Vec::new(),
        }
        .saying(&alert(title))
    }

    /// The one token of this simulator: signatures are random, so it is made once.
    fn bearer(&self) -> String {
        use std::collections::HashMap;
        use std::sync::{LazyLock, Mutex};
        static MADE: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(Mutex::default);
        let key = self.apns.key();
        let mut made = MADE.lock().unwrap();
        made.entry(key.pem.expose().to_owned()).or_insert_with(|| token_of(key, START)).clone()
    }

    async fn send(&self, push: Push) -> (u16, String) {
        told(&self.client.call(push.request()).await.unwrap())
    }

    /// The title of a notification that is in order, and what became of it.
    async fn say(&self, title: &str) -> (u16, String) {
        self.send(self.push(title)).await
    }

    fn titles(&self) -> Vec<String> {
        self.apns.shown(&self.token).unwrap().into_iter().map(|shown| shown.title).collect()
    }

    fn script(&self, fault: Fault) {
        self.apns.script(&self.token, fault, 1).unwrap();
    }
}

fn told(answer: &Response<Bytes>) -> (u16, String) {
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    (answer.status().as_u16(), body["reason"].as_str().unwrap_or_default().to_owned())
}

fn accepted() -> (u16, String) {
    (200, String::new())
}

fn refused(reason: Reason) -> (u16, String) {
    (reason.status(), reason.as_str().to_owned())
}

#[tokio::test]
async fn a_notification_is_taken_and_shown() {
    let world = World::new().await;
    let id = "7a1c3e52-9d4b-4f60-8b1a-2c3d4e5f6071";
    let push = world.push("All your apps are down").with("apns-id", id).with("apns-collapse-id", "ntf_1.1");
    let answer = world.client.call(push.request()).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().len()), (200, 0));
    assert_eq!(answer.headers()["apns-id"], id);
    assert!(!answer.headers().contains_key("apns-unique-id"), "that is the sandbox's");

    let shown = &world.apns.shown(&world.token).unwrap()[0];
    assert_eq!((shown.title.as_str(), shown.body.as_str()), ("All your apps are down", "Page PIHXOC6"));
    assert_eq!((shown.rang, shown.tag.as_deref()), (true, Some("ntf_1.1")));
    let entry = &world.apns.journal()[0];
    assert_eq!((entry.status, entry.apns_id.as_str(), entry.headers["apns-priority"].as_str()), (Some(200), id, "10"));
    assert_eq!(entry.payload()["data"]["kind"], "page");
    let written = serde_json::to_string(entry).unwrap();
    assert!(!written.contains(world.bearer().rsplit('.').next().unwrap()), "the token's signature is in the journal");
    assert_eq!(world.apns.tokens().len(), 1);
}

#[tokio::test]
async fn the_sandbox_says_more() {
    let world = World::with(Settings { environment: Environment::Sandbox, ..Settings::default() }).await;
    let answer = world.client.call(world.push("x").request()).await.unwrap();
    assert!(answer.headers().contains_key("apns-unique-id"));
}

#[tokio::test]
async fn the_admin_api_scripts_and_tells() {
    let world = World::new().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = |path: &str| format!("{}{path}", world.apns.admin_url());
    let device: Value = http.post(url("/devices")).json(&json!({})).send().await.unwrap().json().await.unwrap();
    let token = device["token"].as_str().unwrap();

    let script = json!({"fault": {"kind": "refuse", "reason": "TooManyRequests", "retry_after": 7}, "times": 1});
    let faults = url(&format!("/admin/devices/{token}/faults"));
    assert_eq!(http.post(&faults).json(&script).send().await.unwrap().status(), 204);
    assert_eq!(http.post(&faults).json(&json!({"fault": {"kind": "nap"}})).send().await.unwrap().status(), 422);
    let mut push = world.push("seen");
    push.path = format!("/3/device/{token}");
    let answer = world.client.call(push.clone().request()).await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "7");
    assert_eq!(told(&answer), refused(Reason::TooManyRequests));
    assert_eq!(world.send(push).await, accepted());

    let fetched: Value =
        http.get(url(&format!("/devices/{token}/notifications?wait=5"))).send().await.unwrap().json().await.unwrap();
    assert_eq!(fetched["notifications"][0]["payload"]["aps"]["alert"]["title"], "seen");
    let seen: Value = http.get(url(&format!("/admin/devices/{token}"))).send().await.unwrap().json().await.unwrap();
    assert_eq!(seen["counts"], json!({"received": 1, "presentations": 1, "replacements": 0, "rings": 1}));
    let journal: Value = http.get(url("/admin/journal")).send().await.unwrap().json().await.unwrap();
    assert_eq!(journal["requests"][0]["reason"], "TooManyRequests");
    let authority = http.get(url("/authority.pem")).send().await.unwrap().text().await.unwrap();
    assert_eq!(authority, world.apns.authority());
    assert_eq!(http.get(url("/admin/devices/00")).send().await.unwrap().status(), 404);
    // A provider token is shown with its signature where it is asked for by its digest, and nowhere else.
    let tokens = http.get(url("/admin/tokens")).send().await.unwrap().text().await.unwrap();
    let digest = &world.apns.tokens()[0].digest;
    let whole: Value = http.get(url(&format!("/admin/tokens/{digest}"))).send().await.unwrap().json().await.unwrap();
    let signature = whole["token"].as_str().unwrap().rsplit('.').next().unwrap();
    assert!(signature.len() == 86 && !tokens.contains(signature) && !journal.to_string().contains(signature));
    assert_eq!(http.get(url("/admin/tokens/none")).send().await.unwrap().status(), 404);
}
