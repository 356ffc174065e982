//! The phone against a stand-in server that checks credentials by itself, and against the real simulated push service.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::*;
use crate::clock::Timestamp;
use crate::secret::sha256;
use crate::sim::push_service::tests::{content, encrypt};
use crate::sim::push_service::{Fault, PushService};

/// What the stand-in saw, and what it is to do next.
#[derive(Default)]
struct Seen {
    issuer: String,
    vapid_key: Option<Key>,
    tokens: u32,
    proofs: Vec<String>,
    calls: Vec<String>,
    /// Bodies of calls that are not about signing in.
    bodies: Vec<Value>,
    refuse_next_as: Option<&'static str>,
    /// What was said of pushes: capability and event.
    receipts: Vec<(String, String)>,
    /// Receipts are answered 503 for a while.
    deaf: bool,
}

type Stage = Arc<Mutex<Seen>>;

fn decode(jwt: &str, jwk: &Value) -> (Value, Value) {
    let x = jwk["x"].as_str().unwrap();
    let y = jwk["y"].as_str().unwrap();
    let key = DecodingKey::from_ec_components(x, y).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let header = jwt.split('.').next().unwrap();
    let header = serde_json::from_slice(&crate::secret::from_b64u(header).unwrap()).unwrap();
    let claims = jsonwebtoken::decode::<Value>(jwt, &key, &validation).unwrap().claims;
    (header, claims)
}

fn problem(code: &str) -> Response {
    let body = Json(json!({"type": "about:blank", "title": "no", "status": 401, "code": code, "detail": "no"}));
    let date = [("date", "Fri, 15 Jan 2027 08:10:00 GMT")];
    (StatusCode::UNAUTHORIZED, date, body).into_response()
}

async fn serve(Shared(stage): Shared<Stage>, method: Method, uri: Uri, headers: HeaderMap, body: String) -> Response {
    let mut seen = stage.lock().unwrap();
    seen.calls.push(format!("{method} {uri}"));
    if uri.path() == "/v1/enrollments/claim" {
        return claim(&seen, &body);
    }
    if let Some(capability) = uri.path().strip_prefix("/v1/receipts/") {
        return receipt(&mut seen, &headers, capability, &body);
    }
    let proof = headers["dpop"].to_str().unwrap().to_owned();
    let header = proof.split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&crate::secret::from_b64u(header).unwrap()).unwrap();
    let (_, claims) = decode(&proof, &header["jwk"]);
    assert_eq!(claims["htm"], method.as_str());
    assert_eq!(claims["htu"], format!("{}{}", seen.issuer, uri.path()));
    assert!(!seen.proofs.contains(&proof), "a proof was used twice");
    seen.proofs.push(proof);
    if uri.path() == "/v1/token" {
        return token(&mut seen, &headers, &body, &header["jwk"]);
    }
    let token = headers["authorization"].to_str().unwrap();
    let token = token.strip_prefix("DPoP ").unwrap();
    assert_eq!(token, format!("token-{}", seen.tokens));
    assert_eq!(claims["ath"], b64u(sha256(token.as_bytes())));
    if let Some(code) = seen.refuse_next_as.take() {
        return problem(code);
    }
    seen.bodies.push(serde_json::from_str(&body).unwrap_or_default());
    let iat = claims["iat"].clone();
    Json(json!({"iat": iat, "approvals": [{"id": "apr_1"}]})).into_response()
}

fn receipt(seen: &mut Seen, headers: &HeaderMap, capability: &str, body: &str) -> Response {
    assert!(!headers.contains_key("authorization") && !headers.contains_key("dpop"), "it carries no credentials");
    if seen.deaf {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1);
    seen.receipts.push((capability.to_owned(), body["event"].as_str().unwrap().to_owned()));
    StatusCode::NO_CONTENT.into_response()
}

fn claim(seen: &Seen, body: &str) -> Response {
    let body: Value = serde_json::from_str(body).unwrap();
    let (header, claims) = decode(body["proof"].as_str().unwrap(), &body["device_key"]);
    assert_eq!(header, json!({"alg": "ES256", "typ": "phoneops-enrollment+jwt"}));
    assert_eq!(body["code"], "7K3MQ2XNB4TD9VWH5RFA8CPE");
    let code = tagged_sha256("phoneops.enrollment.v1", b"7K3MQ2XNB4TD9VWH5RFA8CPE");
    assert_eq!(claims["code_sha256"], b64u(code));
    let device = tagged_sha256("phoneops.device.v1", br#"{"name":"Fold","platform":"web"}"#);
    assert_eq!(claims["device_sha256"], b64u(device));
    assert_eq!(claims["aud"], seen.issuer);
    assert_eq!(body["user"], json!({"handle": "yannick", "name": "Yannick Schutz"}));
    let vapid_public_key = b64u(seen.vapid_key.as_ref().unwrap().public());
    let reply = json!({"user": {"id": "usr_1"}, "device": {"id": "dev_1", "user": "usr_1"}, "issuer": seen.issuer,
        "vapid_public_key": vapid_public_key});
    (StatusCode::CREATED, Json(reply)).into_response()
}

fn token(seen: &mut Seen, headers: &HeaderMap, body: &str, jwk: &Value) -> Response {
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    let form: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    assert_eq!(form[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (header, claims) = decode(&form[1].1, jwk);
    assert_eq!(header, json!({"alg": "ES256", "typ": "phoneops-assertion+jwt", "kid": "dev_1"}));
    assert_eq!(claims["aud"], format!("{}/v1/token", seen.issuer));
    assert_eq!(claims["iss"], claims["sub"]);
    seen.tokens += 1;
    let text = format!("token-{}", seen.tokens);
    Json(json!({"access_token": text, "token_type": "DPoP", "expires_in": 600})).into_response()
}

struct World {
    clock: Clock,
    stage: Stage,
    push_service: PushService,
    phone: Phone,
}

impl World {
    /// A phone that has enrolled.
    async fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(1_800_000_000));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let stage = Stage::default();
        stage.lock().unwrap().issuer.clone_from(&issuer);
        stage.lock().unwrap().vapid_key = Some(Key::generate());
        let router = Router::new().fallback(serve).with_state(Arc::clone(&stage));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let push_service = PushService::start(clock.clone()).await.unwrap();
        let phone = Phone::new(clock.clone(), &issuer, push_service.url()).unwrap();
        let person = Some(("yannick", "Yannick Schutz"));
        phone.enrol("7k3m-q2xn-b4td-9vwh-5rfa-8cpe", "Fold", person).await.unwrap();
        Self { clock, stage, push_service, phone }
    }

    /// Pushes as the server would, to what the phone registered with it.
    async fn push(&self, message: &Value) {
        let (registered, authorization) = {
            let seen = self.stage.lock().unwrap();
            let key = seen.vapid_key.as_ref().unwrap();
            let exp = self.clock.now().as_seconds() + 60;
            let claims = json!({"aud": self.push_service.url(), "exp": exp, "sub": "mailto:ops@example.com"});
            let token = key.jws(&json!({"alg": "ES256"}), &claims);
            let body = seen.bodies.last().unwrap().clone();
            (body, format!("vapid t={token}, k={}", b64u(key.public())))
        };
        let bytes = |name: &str| {
            let text = registered["keys"][name].as_str().unwrap();
            crate::secret::from_b64u(text).unwrap()
        };
        let public = bytes("p256dh").try_into().unwrap();
        let auth = bytes("auth").try_into().unwrap();
        let plaintext = message.to_string();
        let request = self.phone.http.post(registered["endpoint"].as_str().unwrap());
        let request = request.header("authorization", authorization).header("ttl", "60");
        let body = encrypt(&public, &auth, plaintext.as_bytes(), 2);
        let reply = request.header("content-encoding", "aes128gcm").body(body).send().await.unwrap();
        assert_eq!(reply.status(), 201);
    }

    fn receipts(&self) -> Vec<(String, String)> {
        self.stage.lock().unwrap().receipts.clone()
    }

    fn tokens(&self) -> u32 {
        self.stage.lock().unwrap().tokens
    }
}

#[tokio::test]
async fn a_phone_signs_in_when_it_has_to_and_renews_before_the_end() {
    let world = World::new().await;
    assert_eq!(world.tokens(), 0);
    for _ in 0..2 {
        assert_eq!(world.phone.get("/v1/me?x=1").await.unwrap().status, 200);
    }
    assert_eq!(world.tokens(), 1);
    world.clock.advance(Duration::from_secs(539));
    world.phone.get("/v1/me").await.unwrap();
    assert_eq!(world.tokens(), 1);
    world.clock.advance(Duration::from_secs(1));
    world.phone.get("/v1/me").await.unwrap();
    assert_eq!(world.tokens(), 2);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_other_refusals_are_reported() {
    let world = World::new().await;
    world.phone.sign_in().await.unwrap();
    world.stage.lock().unwrap().refuse_next_as = Some("invalid_token");
    assert_eq!(world.phone.get("/v1/me").await.unwrap().status, 200);
    assert_eq!(world.tokens(), 2);
    world.stage.lock().unwrap().refuse_next_as = Some("device_revoked");
    let refusal = world.phone.acknowledge("PIHXOC6").await.unwrap_err();
    assert_eq!(refusal.code(), Some("device_revoked"));
    assert_eq!(world.tokens(), 2);
}

#[tokio::test]
async fn a_wrong_clock_is_set_by_the_servers_date() {
    let world = World::new().await;
    world.stage.lock().unwrap().refuse_next_as = Some("invalid_dpop_proof");
    let reply = world.phone.get("/v1/me").await.unwrap();
    assert_eq!(reply.body["iat"], 1_800_000_600);
    world.stage.lock().unwrap().refuse_next_as = Some("invalid_dpop_proof");
    assert_eq!(world.phone.get("/v1/me").await.unwrap().code(), "invalid_dpop_proof");
}

#[tokio::test]
async fn references_cannot_leave_their_path() {
    let world = World::new().await;
    let before = world.stage.lock().unwrap().calls.len();
    for bad in ["", "../users", "a/b", "a?b", "a%2fb"] {
        let refusal = world.phone.approval(bad).await.unwrap_err();
        assert!(matches!(refusal, Error::Reference(_)), "{bad}");
    }
    assert_eq!(world.stage.lock().unwrap().calls.len(), before);
}

#[tokio::test]
async fn registering_for_push_tells_the_server_and_ends_the_former_subscription() {
    let world = World::new().await;
    world.phone.register_push().await.unwrap();
    let former = world.phone.subscription_id().unwrap();
    assert_eq!(world.push_service.undelivered(&former), Ok(0));
    world.phone.register_push().await.unwrap();
    assert!(world.push_service.undelivered(&former).is_err());
    let seen = world.stage.lock().unwrap();
    assert_eq!(seen.calls.last().unwrap(), "PUT /v1/devices/dev_1/push");
    let body = seen.bodies.last().unwrap();
    assert_eq!(body["kind"], "web_push");
    assert!(body["endpoint"].as_str().unwrap().starts_with(world.push_service.url()));
    assert!(body["keys"].get("private_key").is_none());
}

#[tokio::test]
async fn waiting_for_a_push_ends_without_one() {
    let world = World::new().await;
    let early = world.phone.next_push(Duration::ZERO).await;
    assert!(matches!(early, Err(Error::NotSubscribed)));
    world.phone.register_push().await.unwrap();
    let none = world.phone.next_push(Duration::from_millis(20)).await;
    assert_eq!(none.unwrap(), None);
    let id = world.phone.subscription_id().unwrap();
    world.push_service.unsubscribe(&id).unwrap();
    assert!(matches!(world.phone.shown().await, Err(Error::SubscriptionGone)));
}

#[tokio::test]
async fn a_push_reaches_the_screen_and_a_duplicate_of_it_shows_once() {
    let world = World::new().await;
    world.phone.register_push().await.unwrap();
    let id = world.phone.subscription_id().unwrap();
    world.push_service.script(&id, Fault::Twice, 1).unwrap();
    world.push(&content("All your apps are down")).await;

    let push = world.phone.next_push(Duration::from_secs(5)).await.unwrap().unwrap();
    assert_eq!(push.title(), "All your apps are down");
    assert_eq!(push.kind(), "page");
    assert_eq!(push.at, world.clock.now());
    assert_eq!((push.ttl, push.urgency.as_str()), (60, "normal"));
    assert_eq!(world.phone.pushes().await.unwrap().len(), 2);
    assert_eq!(world.phone.shown().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_phone_survives_its_state_file() {
    let world = World::new().await;
    world.phone.register_push().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("phone.json");
    world.phone.save(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = Phone::load(client().unwrap(), world.clock.clone(), &path).unwrap();
    assert_eq!(again.device_key.public(), world.phone.device_key.public());
    assert_eq!(again.subscription_id().unwrap(), world.phone.subscription_id().unwrap());
    assert_eq!(again.get("/v1/me").await.unwrap().status, 200);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn saving_what_was_received_keeps_what_others_changed() {
    let world = World::new().await;
    world.phone.register_push().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("phone.json");
    world.phone.save(&path).unwrap();
    let watcher = Phone::load(client().unwrap(), world.clock.clone(), &path).unwrap();
    world.phone.state().device.as_mut().unwrap().user_id = "usr_changed".to_owned();
    world.phone.save(&path).unwrap();
    watcher.state().screen.last = 7;
    watcher.save_received(&path).unwrap();
    let now = Phone::load(client().unwrap(), world.clock.clone(), &path).unwrap();
    assert_eq!(now.user_id().unwrap(), "usr_changed");
    assert_eq!(now.state().screen.last, 7);
}

#[test]
fn a_damaged_state_file_is_refused_without_showing_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("phone.json");
    std::fs::write(&path, r#"{"issuer": "hunter2", "device_key": "hunter2"}"#).unwrap();
    let clock = Clock::manual(Timestamp::from_seconds(0));
    let refusal = Phone::load(client().unwrap(), clock, &path).unwrap_err();
    assert!(!format!("{refusal} {refusal:?}").contains("hunter2"));
}

mod native;
