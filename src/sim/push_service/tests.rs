//! The push service, spoken to over HTTP by an application server that encrypts and signs by itself.

use std::time::Duration;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use serde_json::{Value, json};

use super::super::key::Key;
use super::*;
use crate::clock::{Clock, Timestamp};
use crate::secret::{b64u, random};

/// A phone's subscription and the application server that pushes to it.
struct World {
    clock: Clock,
    service: PushService,
    http: reqwest::Client,
    phone: Key,
    auth: [u8; 16],
    sender: Key,
    id: String,
    endpoint: String,
}

pub(in crate::sim) fn content(title: &str) -> Value {
    json!({"web_push": 8030, "mutable": true, "notification": {
        "title": title, "body": "Page PIHXOC6 from heimdall", "navigate": "https://phoneops.example/i/PIHXOC6",
        "tag": "ntf_1-1", "lang": "en", "silent": false, "data": {"kind": "page"}}})
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message).as_ref().to_vec()
}

/// RFC 8291 as in its section 3.4's pseudocode, with HMAC instead of HKDF.
pub(in crate::sim) fn encrypt(phone: &[u8; 65], auth: &[u8; 16], plaintext: &[u8], delimiter: u8) -> Vec<u8> {
    let sender = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).unwrap();
    let sender_public = sender.compute_public_key().unwrap();
    let peer = UnparsedPublicKey::new(&ECDH_P256, phone);
    let shared = agree_ephemeral(sender, peer, (), |shared| Ok(shared.to_vec())).unwrap();
    let info = [b"WebPush: info\0", &phone[..], sender_public.as_ref(), &[1]].concat();
    let ikm = hmac_sha256(&hmac_sha256(auth, &shared), &info);
    let salt: [u8; 16] = random();
    let prk = hmac_sha256(&salt, &ikm);
    let key = hmac_sha256(&prk, b"Content-Encoding: aes128gcm\0\x01");
    let nonce = hmac_sha256(&prk, b"Content-Encoding: nonce\0\x01");
    let mut sealed = [plaintext, &[delimiter, 0, 0, 0]].concat();
    LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..16]).unwrap())
        .seal_in_place_append_tag(Nonce::try_assume_unique_for_key(&nonce[..12]).unwrap(), Aad::empty(), &mut sealed)
        .unwrap();
    let size = 4096_u32.to_be_bytes();
    [&salt[..], &size, &[65], sender_public.as_ref(), &sealed].concat()
}

impl World {
    async fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(1_800_000_000));
        let service = PushService::start(clock.clone()).await.unwrap();
        let mut world = Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            phone: Key::generate(),
            auth: random(),
            sender: Key::generate(),
            id: String::new(),
            endpoint: String::new(),
            clock,
            service,
        };
        let subscription = json!({
            "p256dh": b64u(world.phone.public()), "auth": b64u(world.auth),
            "private_key": world.phone.private_text().as_str(),
            "application_server_key": b64u(world.sender.public())});
        let reply = world.post("/subscriptions", &subscription).await;
        assert_eq!(reply.status(), 201);
        let body: Value = reply.json().await.unwrap();
        world.id = body["id"].as_str().unwrap().to_owned();
        world.endpoint = body["endpoint"].as_str().unwrap().to_owned();
        world
    }

    async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        let url = format!("{}{path}", self.service.url());
        self.http.post(url).json(body).send().await.unwrap()
    }

    fn claims(&self) -> Value {
        let exp = self.clock.now().as_seconds() + 3600;
        json!({"aud": self.service.url(), "exp": exp, "sub": "mailto:ops@example.com"})
    }

    fn authorization(signer: &Key, claims: &Value) -> String {
        let token = signer.jws(&json!({"alg": "ES256", "typ": "JWT"}), claims);
        format!("vapid t={token}, k={}", b64u(signer.public()))
    }

    /// A push that is in order, to be spoiled by a test.
    fn push(&self, title: &str) -> reqwest::RequestBuilder {
        let plaintext = content(title).to_string();
        let body = encrypt(self.phone.public(), &self.auth, plaintext.as_bytes(), 2);
        self.http
            .post(&self.endpoint)
            .header("authorization", Self::authorization(&self.sender, &self.claims()))
            .header("ttl", "60")
            .header("content-encoding", "aes128gcm")
            .header("urgency", "high")
            .body(body)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        let reply = request.send().await.unwrap();
        let status = reply.status().as_u16();
        let body = reply.text().await.unwrap();
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        (status, body["reason"].as_str().unwrap_or_default().to_owned())
    }

    /// Sends a push with one header exchanged, or left out.
    async fn with(&self, name: &str, value: Option<&str>) -> (u16, String) {
        let mut request = self.push("spoiled").build().unwrap();
        request.headers_mut().remove(name);
        if let Some(value) = value {
            let name: reqwest::header::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let reply = self.http.execute(request).await.unwrap();
        let status = reply.status().as_u16();
        let body: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap_or_default();
        (status, body["reason"].as_str().unwrap_or_default().to_owned())
    }

    async fn with_claims(&self, change: impl FnOnce(&mut Value)) -> (u16, String) {
        let mut claims = self.claims();
        change(&mut claims);
        let authorization = Self::authorization(&self.sender, &claims);
        self.with("authorization", Some(&authorization)).await
    }

    async fn with_plaintext(&self, plaintext: &[u8], delimiter: u8) -> (u16, String) {
        let body = encrypt(self.phone.public(), &self.auth, plaintext, delimiter);
        self.send(self.push("replaced").body(body)).await
    }

    async fn titles(&self, after: u64) -> Vec<String> {
        let url = format!("{}/subscriptions/{}/messages?after={after}", self.service.url(), self.id);
        let body: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        let messages = body["messages"].as_array().unwrap();
        messages.iter().map(|m| m["payload"]["notification"]["title"].as_str().unwrap().to_owned()).collect()
    }
}

fn refused(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

fn accepted() -> (u16, String) {
    (201, String::new())
}

#[tokio::test]
async fn a_push_in_order_reaches_the_phone() {
    let world = World::new().await;
    let reply = world.push("All your apps are down").send().await.unwrap();
    assert_eq!(reply.status(), 201);
    assert_eq!(reply.headers()["ttl"], "60");
    let location = reply.headers()["location"].to_str().unwrap();
    assert!(location.starts_with(world.service.url()));
    assert_eq!(world.titles(0).await, ["All your apps are down"]);
    assert_eq!(world.titles(1).await, [""; 0]);

    let journal = world.service.journal();
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].status, Some(201));
    assert_eq!(journal[0].title.as_deref(), Some("All your apps are down"));
    assert_eq!(journal[0].headers["urgency"], "high");
    assert!(!journal[0].headers.contains_key("authorization"));
    assert_eq!(journal[0].vapid.as_ref().unwrap().sub, "mailto:ops@example.com");
}

#[tokio::test]
async fn malformed_delivery_headers_are_refused() {
    let world = World::new().await;
    for ttl in [None, Some(""), Some("-1"), Some("1.5"), Some("soon")] {
        assert_eq!(world.with("ttl", ttl).await, refused(400, "BadTtl"));
    }
    for encoding in [None, Some("aesgcm"), Some("gzip")] {
        let answer = world.with("content-encoding", encoding).await;
        assert_eq!(answer, refused(400, "BadContentEncoding"));
    }
    for urgency in ["urgent", "HIGH", ""] {
        let answer = world.with("urgency", Some(urgency)).await;
        assert_eq!(answer, refused(400, "BadUrgency"));
    }
    for topic in ["", "a b", "a+b", "ünicode", &"x".repeat(33)] {
        assert_eq!(world.with("topic", Some(topic)).await, refused(400, "BadTopic"));
    }
    let twice = world.push("twice").header("ttl", "1");
    assert_eq!(world.send(twice).await, refused(400, "BadTtl"));
    assert_eq!(world.with("urgency", None).await, accepted());
    assert_eq!(world.with("topic", Some(&"x".repeat(32))).await, accepted());
}

#[tokio::test]
async fn a_long_ttl_is_cut_to_thirty_days() {
    let world = World::new().await;
    for ttl in ["2592001", "99999999999999999999999"] {
        let mut request = world.push("long").build().unwrap();
        request.headers_mut().insert("ttl", ttl.parse().unwrap());
        let reply = world.http.execute(request).await.unwrap();
        assert_eq!(reply.headers()["ttl"], "2592000");
    }
}

#[tokio::test]
async fn a_sender_that_does_not_prove_itself_is_refused() {
    let world = World::new().await;
    let missing = world.with("authorization", None).await;
    assert_eq!(missing, refused(401, "MissingAuthorization"));
    for nonsense in ["Bearer x", "vapid", "vapid t=x", "vapid t=x, k", "vapid t=a, t=b, k=c"] {
        let answer = world.with("authorization", Some(nonsense)).await;
        assert_eq!(answer, refused(401, "BadAuthorization"), "{nonsense}");
    }
    let other = World::authorization(&Key::generate(), &world.claims());
    let answer = world.with("authorization", Some(&other)).await;
    assert_eq!(answer, refused(403, "VapidPkHashMismatch"));

    let forged = Key::generate().jws(&json!({"alg": "ES256"}), &world.claims());
    let forged = format!("vapid t={forged}, k={}", b64u(world.sender.public()));
    let answer = world.with("authorization", Some(&forged)).await;
    assert_eq!(answer, refused(403, "BadJwtToken"));
    let unsigned = format!("{}.{}.", b64u(r#"{"alg":"none"}"#), b64u(world.claims().to_string()));
    let unsigned = format!("vapid t={unsigned}, k={}", b64u(world.sender.public()));
    let answer = world.with("authorization", Some(&unsigned)).await;
    assert_eq!(answer, refused(403, "BadJwtToken"));
}

#[tokio::test]
async fn the_order_and_quoting_of_vapid_parameters_do_not_matter() {
    let world = World::new().await;
    let token = world.sender.jws(&json!({"alg": "ES256"}), &world.claims());
    let authorization = format!("Vapid k=\"{}\",t=\"{token}\"", b64u(world.sender.public()));
    assert_eq!(world.with("authorization", Some(&authorization)).await, accepted());
}

#[tokio::test]
async fn claims_are_held_to_apples_rules() {
    let world = World::new().await;
    let now = world.clock.now().as_seconds();
    let bad = || refused(403, "BadJwtToken");
    for exp in [now - 1, now, now + 86_401] {
        assert_eq!(world.with_claims(|c| c["exp"] = json!(exp)).await, bad(), "{exp}");
    }
    for name in ["exp", "aud", "sub"] {
        let without = |c: &mut Value| drop(c.as_object_mut().unwrap().remove(name));
        assert_eq!(world.with_claims(without).await, bad(), "{name}");
    }
    let audience = format!("{}/", world.service.url());
    for aud in [audience.as_str(), "https://push.example", ""] {
        assert_eq!(world.with_claims(|c| c["aud"] = json!(aud)).await, bad(), "{aud}");
    }
    for sub in [
        "ops@example.com",
        "mailto:ops",
        "mailto:@example.com",
        "mailto:ops@localhost",
        "mailto:ops@example.invalid",
        "http://example.com",
        "https://localhost",
        "https://",
        "mailto:<ops@example.com> x",
    ] {
        assert_eq!(world.with_claims(|c| c["sub"] = json!(sub)).await, bad(), "{sub}");
    }
    for sub in ["mailto:ops@example.com", "https://example.com/contact"] {
        assert_eq!(world.with_claims(|c| c["sub"] = json!(sub)).await, accepted());
    }
    assert_eq!(world.with_claims(|c| c["exp"] = json!(now + 86_400)).await, accepted());
}

#[tokio::test]
async fn content_that_a_phone_could_not_read_is_refused() {
    let world = World::new().await;
    let plain = content("x").to_string();
    let garbage = world.push("x").body(vec![7; 200]);
    assert_eq!(world.send(garbage).await, refused(400, "Undecryptable"));
    let empty = world.push("x").body("");
    assert_eq!(world.send(empty).await, refused(400, "Undecryptable"));
    let unfinished = world.with_plaintext(plain.as_bytes(), 1).await;
    assert_eq!(unfinished, refused(400, "Undecryptable"));
    let large = world.push("x").body(vec![7; 4097]);
    assert_eq!(world.send(large).await, refused(413, "PayloadTooLarge"));

    let spoils: [fn(&mut Value); 8] = [
        |c| c["web_push"] = json!(8031),
        |c| c["notification"]["title"] = json!(""),
        |c| c["notification"]["title"] = json!(null),
        |c| c["notification"]["navigate"] = json!("/i/PIHXOC6"),
        |c| c["notification"]["navigate"] = json!("javascript:alert(1)"),
        |c| c["notification"]["tag"] = json!(7),
        |c| c["notification"]["silent"] = json!("no"),
        |c| c["mutable"] = json!(1),
    ];
    for (at, spoil) in spoils.into_iter().enumerate() {
        let mut message = content("x");
        spoil(&mut message);
        let answer = world.with_plaintext(message.to_string().as_bytes(), 2).await;
        assert_eq!(answer, refused(400, "NotDeclarative"), "spoil {at}");
    }
    let text = world.with_plaintext(b"hello", 2).await;
    assert_eq!(text, refused(400, "NotDeclarative"));
    assert_eq!(world.titles(0).await, [""; 0]);
}

#[tokio::test]
async fn the_largest_body_allowed_is_taken() {
    let world = World::new().await;
    // 86 bytes of header, 4 of delimiter and padding, 16 of tag.
    let room = 4096 - 86 - 4 - 16;
    let mut message = content("x");
    message["notification"]["body"] = json!("");
    let filler = "y".repeat(room - message.to_string().len());
    message["notification"]["body"] = json!(filler);
    let answer = world.with_plaintext(message.to_string().as_bytes(), 2).await;
    assert_eq!(answer, accepted());
    assert_eq!(world.service.journal()[0].bytes, 4096);
}

#[tokio::test]
async fn unknown_and_given_up_subscriptions_differ() {
    let world = World::new().await;
    let elsewhere = world.http.post(format!("{}/push/nobody", world.service.url()));
    assert_eq!(world.send(elsewhere).await, refused(404, "UnknownSubscription"));
    world.service.unsubscribe(&world.id).unwrap();
    assert_eq!(world.send(world.push("x")).await, refused(410, "Unsubscribed"));
    assert_eq!(world.service.undelivered(&world.id), Err(NoSubscription::Gone));
    let fault = world.service.script("nobody", Fault::Lose, 1);
    assert_eq!(fault, Err(NoSubscription::Unknown));
}

#[tokio::test]
async fn a_topic_replaces_only_what_no_phone_has_seen() {
    let world = World::new().await;
    for title in ["one", "two"] {
        assert_eq!(world.send(world.push(title).header("topic", "t")).await, accepted());
    }
    assert_eq!(world.send(world.push("other")).await, accepted());
    assert_eq!(world.titles(0).await, ["two", "other"]);
    assert_eq!(world.send(world.push("three").header("topic", "t")).await, accepted());
    assert_eq!(world.titles(0).await, ["two", "other", "three"]);
}

#[tokio::test]
async fn messages_expire_and_can_be_taken_back() {
    let world = World::new().await;
    assert_eq!(world.with("ttl", Some("0")).await, accepted());
    assert_eq!(world.service.undelivered(&world.id), Ok(0));
    assert_eq!(world.send(world.push("a minute")).await, accepted());
    world.clock.advance(Duration::from_secs(59));
    assert_eq!(world.service.undelivered(&world.id), Ok(1));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.titles(0).await, [""; 0]);

    let reply = world.push("taken back").send().await.unwrap();
    let location = reply.headers()["location"].to_str().unwrap().to_owned();
    let delete = || world.http.delete(&location).send();
    assert_eq!(delete().await.unwrap().status(), 204);
    assert_eq!(delete().await.unwrap().status(), 404);
    assert_eq!(world.titles(0).await, [""; 0]);
}

#[tokio::test]
async fn a_waiting_phone_gets_a_message_at_once_even_without_a_ttl() {
    let world = World::new().await;
    let url = format!("{}/subscriptions/{}/messages?wait=25", world.service.url(), world.id);
    let waiting = tokio::spawn(world.http.get(url).send());
    // The push is repeated because a TTL of 0 loses it until the phone has begun to wait.
    while world.service.undelivered(&world.id) == Ok(0) && !waiting.is_finished() {
        assert_eq!(world.with("ttl", Some("0")).await, accepted());
    }
    let body: Value = waiting.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(body["messages"][0]["payload"]["notification"]["title"], "spoiled");
}

#[tokio::test]
async fn scripted_faults_happen_once_each_and_in_order() {
    let world = World::new().await;
    let path = format!("/admin/subscriptions/{}/faults", world.id);
    let busy = json!({"fault": {"kind": "status", "status": 429, "retry_after": 7}});
    assert_eq!(world.post(&path, &busy).await.status(), 204);
    world.service.script(&world.id, Fault::Drop, 1).unwrap();
    world.service.script(&world.id, Fault::Lose, 1).unwrap();
    world.service.script(&world.id, Fault::Twice, 1).unwrap();

    assert_eq!(world.with("ttl", None).await, refused(400, "BadTtl"));
    let reply = world.push("busy").send().await.unwrap();
    assert_eq!(reply.status(), 429);
    assert_eq!(reply.headers()["retry-after"], "7");
    assert!(world.push("dropped").send().await.is_err());
    assert_eq!(world.send(world.push("lost")).await, accepted());
    assert_eq!(world.send(world.push("twice")).await, accepted());
    assert_eq!(world.send(world.push("well")).await, accepted());
    assert_eq!(world.titles(0).await, ["twice", "twice", "well"]);

    let statuses: Vec<_> = world.service.journal().iter().map(|e| e.status).collect();
    let expected = [Some(400), Some(429), None, Some(201), Some(201), Some(201)];
    assert_eq!(statuses, expected);
}

#[tokio::test]
async fn a_hanging_push_ends_with_the_service() {
    let world = World::new().await;
    world.service.script(&world.id, Fault::Hang, 1).unwrap();
    let hanging = tokio::spawn(world.push("hangs").send());
    while world.service.journal().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!hanging.is_finished());
    let World { service, .. } = world;
    tokio::time::timeout(Duration::from_secs(5), service.stop()).await.unwrap();
    assert!(hanging.await.unwrap().is_err());
}

#[tokio::test]
async fn the_admin_api_shows_the_journal_and_refuses_nonsense() {
    let world = World::new().await;
    assert_eq!(world.send(world.push("seen")).await, accepted());
    let url = format!("{}/admin/journal", world.service.url());
    let journal: Value = world.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(journal["pushes"][0]["title"], "seen");
    assert_eq!(journal["pushes"][0]["at"], "2027-01-15T08:00:00Z");

    let path = format!("/admin/subscriptions/{}/faults", world.id);
    let impossible = json!({"fault": {"kind": "status", "status": 99}});
    assert_eq!(world.post(&path, &impossible).await.status(), 400);
    let incomplete = json!({"p256dh": "AA", "auth": "AA", "private_key": "AA", "application_server_key": "AA"});
    assert_eq!(world.post("/subscriptions", &incomplete).await.status(), 400);
}

#[tokio::test]
async fn it_refuses_as_apple_and_mozilla_do_and_shortens_lives() {
    let world = World::new().await;
    for (fault, status, body) in [
        (Fault::Apple { reason: Apple::BadJwtToken }, 403, json!({"reason": "BadJwtToken"})),
        (Fault::Apple { reason: Apple::VapidPkHashMismatch }, 400, json!({"reason": "VapidPkHashMismatch"})),
        (Fault::Mozilla { errno: 201 }, 503, json!({"code": 503, "errno": 201, "error": "Scripted", "message": "Scripted"})),
        (Fault::Mozilla { errno: 106 }, 410, json!({"code": 410, "errno": 106, "error": "Scripted", "message": "Scripted"})),
        (Fault::Status { status: 507, retry_after: None }, 507, json!({"reason": "Scripted"})),
    ] {
        world.service.script(&world.id, fault, 1).unwrap();
        let reply = world.push("refused").send().await.unwrap();
        assert_eq!(reply.status().as_u16(), status);
        assert_eq!(reply.json::<Value>().await.unwrap(), body);
    }
    world.service.script(&world.id, Fault::Shorten { ttl: 7 }, 1).unwrap();
    assert_eq!(world.push("short").send().await.unwrap().headers()["ttl"], "7");
    world.clock.advance(Duration::from_secs(8));
    assert!(world.titles(0).await.is_empty());
    let path = format!("/admin/subscriptions/{}/faults", world.id);
    assert_eq!(world.post(&path, &json!({"fault": {"kind": "mozilla", "errno": 7}})).await.status(), 400);
}

#[tokio::test]
async fn an_endpoint_says_that_it_is_one() {
    let world = World::new().await;
    let found: Value = world.http.get(&world.endpoint).send().await.unwrap().json().await.unwrap();
    assert_eq!(found, json!({"unifiedpush": {"version": 1}}));
    let none = format!("{}/push/none", world.service.url());
    assert_eq!(world.http.get(none).send().await.unwrap().status(), 404);
    world.service.unsubscribe(&world.id).unwrap();
    assert_eq!(world.http.get(&world.endpoint).send().await.unwrap().status(), 410);
}
