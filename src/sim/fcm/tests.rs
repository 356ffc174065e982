//! The simulator of FCM, spoken to over HTTP by a sender that signs for itself.

mod deliveries;
mod refusals;

use std::sync::Mutex;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use axum::body::Bytes;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::clock::Timestamp;
use crate::sim::http2::tests::Client;

/// 2027-01-15T08:00:00Z
const START: i64 = 1_800_000_000;
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";

/// A simulator, one phone, and a sender with an access token.
struct World {
    clock: Clock,
    fcm: Fcm,
    id: String,
    http: reqwest::Client,
    access: Mutex<String>,
}

/// A client that trusts the simulator alone.
fn trusting(fcm: &Fcm) -> reqwest::ClientBuilder {
    let only = reqwest::Certificate::from_pem(fcm.authority().as_bytes()).unwrap();
    reqwest::Client::builder().no_proxy().tls_certs_only([only])
}

/// An assertion signed with the service account's key.
fn assertion(account: &Value, header: &Value, claims: &Value) -> String {
    let pem: String = account["private_key"].as_str().unwrap().lines().filter(|line| !line.starts_with('-')).collect();
    let pair = KeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap();
    let signed = format!("{}.{}", b64u(header.to_string()), b64u(claims.to_string()));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", b64u(signature))
}

fn data(title: &str) -> Value {
    json!({"title": title, "body": "Page PIHXOC6", "tag": "ntf_1.1", "sound": "normal", "kind": "page"})
}

/// Sends one message with an access token of its own, and gives the status.
pub(in crate::sim) async fn send(fcm: &Fcm, body: &Value) -> u16 {
    let (http, account) = (trusting(fcm).build().unwrap(), fcm.service_account());
    let claims = claims(&account, fcm.control.store.clock.now().as_seconds());
    let form = form(&account, &json!({"alg": "RS256"}), &claims);
    let token = http.post(account["token_uri"].as_str().unwrap()).form(&form).send().await.unwrap();
    let token: Value = token.json().await.unwrap();
    let url = format!("{}/v1/projects/{}/messages:send", fcm.url(), fcm.project());
    let request = http.post(url).bearer_auth(token["access_token"].as_str().unwrap()).json(body);
    request.send().await.unwrap().status().as_u16()
}

fn claims(account: &Value, now: i64) -> Value {
    json!({"iss": account["client_email"], "scope": SCOPE, "aud": account["token_uri"], "iat": now, "exp": now + 3_600})
}

fn form(account: &Value, header: &Value, claims: &Value) -> [(&'static str, String); 2] {
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned();
    [("grant_type", grant), ("assertion", assertion(account, header, claims))]
}

impl World {
    async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(START));
        let fcm = Fcm::with(settings, clock.clone()).await.unwrap();
        let http = trusting(&fcm).build().unwrap();
        let world = Self { id: fcm.device(), http, clock, fcm, access: Mutex::default() };
        world.sign_in().await;
        world
    }

    fn claims(&self) -> Value {
        claims(&self.fcm.service_account(), self.clock.now().as_seconds())
    }

    async fn ask(&self, header: &Value, claims: &Value) -> (u16, Value) {
        let account = self.fcm.service_account();
        let form = form(&account, header, claims);
        let reply = self.http.post(account["token_uri"].as_str().unwrap()).form(&form).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }

    async fn sign_in(&self) {
        let (status, body) = self.ask(&json!({"alg": "RS256", "typ": "JWT"}), &self.claims()).await;
        assert_eq!((status, &body["token_type"], &body["expires_in"]), (200, &json!("Bearer"), &json!(3_599)));
        *self.access.lock().unwrap() = body["access_token"].as_str().unwrap().to_owned();
    }

    fn path(&self) -> String {
        format!("/v1/projects/{}/messages:send", self.fcm.project())
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.access.lock().unwrap())
    }

    /// A request with this body, not yet sent.
    fn request(&self, body: &Value) -> reqwest::RequestBuilder {
        let url = format!("{}{}", self.fcm.url(), self.path());
        self.http.post(url).header("authorization", self.bearer()).json(body)
    }

    async fn post(&self, body: &Value) -> (u16, Value) {
        let reply = self.request(body).send().await.unwrap();
        (reply.status().as_u16(), serde_json::from_str(&reply.text().await.unwrap()).unwrap_or_default())
    }

    /// A message that is in order, to be spoiled by a test.
    fn message(&self, title: &str) -> Value {
        json!({"message": {"token": self.id, "data": data(title), "android": {"priority": "HIGH", "ttl": "300s"}}})
    }

    async fn say(&self, title: &str) -> (u16, String) {
        told(&self.post(&self.message(title)).await)
    }

    fn titles(&self) -> Vec<String> {
        self.fcm.shown(&self.id).unwrap().into_iter().map(|shown| shown.title).collect()
    }

    fn script(&self, fault: Fault) {
        self.fcm.script(&self.id, fault, 1).unwrap();
    }
}

/// The status, and what the details say: an `errorCode`, a field, or the reason why a token is not taken.
fn told((status, body): &(u16, Value)) -> (u16, String) {
    let detail = &body["error"]["details"][0];
    let said = [&detail["errorCode"], &detail["fieldViolations"][0]["field"], &detail["reason"]];
    (*status, said.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned())
}

fn accepted() -> (u16, String) {
    (200, String::new())
}

fn refused(status: u16, said: &str) -> (u16, String) {
    (status, said.to_owned())
}

#[tokio::test]
async fn a_message_is_taken_and_shown() {
    let world = World::new().await;
    let (status, body) = world.post(&world.message("All your apps are down")).await;
    assert_eq!(status, 200);
    assert!(body["name"].as_str().unwrap().starts_with("projects/phoneops-sim/messages/0:"), "{body}");
    assert_eq!(world.say("again").await, accepted());
    let shown = &world.fcm.shown(&world.id).unwrap()[0];
    assert_eq!((shown.title.as_str(), shown.body.as_str(), shown.replaced), ("again", "Page PIHXOC6", 1));
    assert_eq!(world.fcm.counts(&world.id).unwrap(), Counts { received: 2, presentations: 1, replacements: 1, rings: 2 });
    let journal = world.fcm.journal();
    assert_eq!(journal.iter().map(|entry| entry.status).collect::<Vec<_>>(), [Some(200); 3]);
    let written = serde_json::to_string(&journal).unwrap();
    assert!(!written.contains(&*world.access.lock().unwrap()) && !written.contains("assertion"), "{written}");
    assert_eq!(journal[1].payload()["message"]["data"]["title"], "All your apps are down");
}

#[tokio::test]
async fn a_phone_is_known_by_one_of_two_names() {
    let world = World::new().await;
    let fid = world.fcm.device_by_fid();
    let to = |kind: &str, id: &str| json!({"message": {kind: id, "data": data("x")}});
    assert_eq!(told(&world.post(&to("fid", &fid)).await), accepted());
    assert_eq!(told(&world.post(&to("token", &fid)).await), refused(404, "UNREGISTERED"));
    assert_eq!(told(&world.post(&to("fid", &world.id)).await), refused(404, "UNREGISTERED"));
    assert_eq!(world.fcm.shown(&fid).unwrap().len(), 1);
    let validated = json!({"validateOnly": true, "message": {"token": world.id, "data": data("x")}});
    assert_eq!(told(&world.post(&validated).await), accepted());
    assert!(world.titles().is_empty(), "it was only to be validated");
}

#[tokio::test]
async fn it_speaks_http_1_too() {
    let world = World::new().await;
    let old = trusting(&world.fcm).http1_only().build().unwrap();
    let send = |title: &str| {
        let request = world.request(&world.message(title)).build().unwrap();
        old.execute(request)
    };
    assert_eq!(send("x").await.unwrap().status(), 200);
    world.script(Fault::Reset);
    world.script(Fault::DeliverAndReset);
    world.script(Fault::GoAway { reason: "shutdown".to_owned(), which: GoAway::Graceful });
    assert!(send("not delivered").await.is_err());
    assert!(send("delivered").await.is_err());
    let last = send("last").await.unwrap();
    assert_eq!(last.headers()["connection"], "close");
    assert_eq!(world.fcm.counts(&world.id).unwrap().received, 3);
}

#[tokio::test]
async fn more_than_a_hundred_streams_end_the_connection() {
    let world = World::new().await;
    world.fcm.script(&world.id, Fault::Hang, 100).unwrap();
    let client = Client::connect(world.fcm.address(), world.fcm.authority(), 200).await;
    let request = || {
        let body = Bytes::from(world.message("x").to_string());
        let request = Request::post(format!("https://localhost{}", world.path())).header("authorization", world.bearer());
        request.body(body).unwrap()
    };
    let calls = futures_util::future::join_all((0..150).map(|_| client.call(request())));
    let ended = calls.await;
    let errors: Vec<_> = ended.into_iter().map(Result::unwrap_err).collect();
    assert!(errors.iter().any(|error| error.is_go_away() && error.reason() == Some(h2::Reason::PROTOCOL_ERROR)), "{errors:?}");
    assert!(world.titles().is_empty());
    drop(client);
    let ended = || world.fcm.connections().pop().unwrap().end;
    while ended().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(ended().as_deref(), Some("exceeded_max_concurrent_streams"));
}

#[tokio::test]
async fn the_admin_api_scripts_and_tells() {
    let world = World::new().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = |path: &str| format!("{}{path}", world.fcm.admin_url());
    let get = async |path: &str| http.get(url(path)).send().await.unwrap().json::<Value>().await.unwrap();
    let account = get("/service-account.json").await;
    assert_eq!(account, world.fcm.service_account());
    let new = http.post(url("/devices")).json(&json!({"kind": "fid"})).send().await.unwrap();
    let id = new.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let script = json!({"fault": {"kind": "refuse", "error": "QUOTA_EXCEEDED", "retry_after": 7}});
    let scripted = http.post(url(&format!("/admin/devices/{id}/faults"))).json(&script).send().await.unwrap();
    assert_eq!(scripted.status(), 204);
    let message = json!({"message": {"fid": id, "data": data("seen")}});
    let reply = world.request(&message).send().await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(world.post(&message).await.0, 200);
    let fetched = get(&format!("/devices/{id}/notifications?wait=5")).await;
    assert_eq!(fetched["notifications"][0]["data"]["title"], "seen");
    let seen = get(&format!("/admin/devices/{id}")).await;
    assert_eq!(seen["counts"], json!({"received": 1, "presentations": 1, "replacements": 0, "rings": 1}));
    assert_eq!(get("/admin/journal").await["requests"][1]["reason"], "QUOTA_EXCEEDED");
}
