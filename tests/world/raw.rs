//! Requests as raw as an attack needs them, by callers of every kind. Every reply is held against the OpenAPI document.
//!
//! The phone here has a key and passkeys like the simulated one, but signs whatever a test wants.

use std::sync::Mutex;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use phoneops::clock::Clock;
use phoneops::secret::{b64u, random, sha256, tagged_sha256};
use phoneops::sim::authenticator::{Authenticator, Misbehaviour};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};

use super::{World, contract};

/// The public key of the ChatOps RPC documents.
pub(crate) const RSA_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAuAr7aMOLW08UrP8gWPzf
P5+GF1ov3I2Wn1n7AsDxez36+hyUAY7skZzd7+Nz/j8HT10NRSMA/lkc49FaJlNQ
2wAsvsF53AwtTna+FkR1e1P66+PhKB9NeoCf5TCvVvihR1VI/BS4AAOdYLCr8NuX
89I74qK2WYSziHzTzxbMMZldgXO+GDlKdZXNzCrk4Kj0ger2bap9/amUXRuuqOVS
LZJ3l0mYRWu45TG9tlF8jmix48+2e1pzhbw1qezD7vB8lsGH2qaKQrs1Em1tZHRg
xbrslbDbmD+q3Oq0CpnFNp7eIoAxXcrLPyw/IlplCLM0hxouPRlQ/yEhfnLnjnbh
HQIDAQAB
-----END PUBLIC KEY-----
";

/// Who sends a request.
#[derive(Clone, Copy)]
pub(crate) enum As<'a> {
    Nobody,
    Operator,
    Bot(&'a RawBot),
    Phone(&'a RawPhone),
}

/// Everything needed to send requests to one world.
pub(crate) struct Raw<'w> {
    pub(crate) world: &'w World,
    operator: reqwest::Client,
}

/// A reply, whatever it is.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The JSON of the body; null when it is none.
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Seen {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn field(&self) -> Option<&str> {
        self.body["field"].as_str()
    }

    pub(crate) fn media_type(&self) -> &str {
        let value = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default()
    }

    /// That it is this status, and what came with it.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// That it is this refusal.
    #[track_caller]
    pub(crate) fn expect_refusal(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.text);
        self
    }

    pub(crate) fn id(&self) -> String {
        self.body["id"].as_str().expect("an id").to_owned()
    }
}

/// A bot and its token.
pub(crate) struct RawBot {
    pub(crate) id: String,
    pub(crate) token: String,
}

/// One request under construction.
pub(crate) struct Shot<'w> {
    raw: &'w Raw<'w>,
    method: Method,
    path: String,
    by: As<'w>,
    base: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

impl<'w> Raw<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        let operator = reqwest::Client::builder().no_proxy().unix_socket(world.server.socket()).build().expect("a client");
        Self { world, operator }
    }

    pub(crate) fn issuer(&self) -> &str {
        self.world.server.issuer()
    }

    pub(crate) fn shot<'a>(&'a self, by: As<'a>, method: &str, path: &str) -> Shot<'a> {
        let method: Method = method.parse().expect("a method");
        Shot { raw: self, method, path: path.to_owned(), by, base: self.issuer().to_owned(), headers: Vec::new(), body: None }
    }

    pub(crate) async fn get(&self, by: As<'_>, path: &str) -> Seen {
        self.shot(by, "GET", path).fire().await
    }

    pub(crate) async fn post(&self, by: As<'_>, path: &str, body: &Value) -> Seen {
        self.shot(by, "POST", path).json(body).fire().await
    }

    pub(crate) async fn delete(&self, by: As<'_>, path: &str) -> Seen {
        self.shot(by, "DELETE", path).fire().await
    }

    /// A bot with these scopes.
    pub(crate) async fn bot(&self, name: &str, scopes: &[&str]) -> RawBot {
        let made = self.post(As::Operator, "/v1/bots", &json!({"name": name, "scopes": scopes})).await.expect(201);
        RawBot { id: made.id(), token: made.body["token"].as_str().expect("a token").to_owned() }
    }

    /// A bot that may ask, redeem, page and read.
    pub(crate) async fn able_bot(&self, name: &str) -> RawBot {
        self.bot(name, &["approvals:request", "grants:redeem", "incidents:write", "incidents:read"]).await
    }

    /// A person with a phone and a passkey, and no push.
    pub(crate) async fn person(&self, handle: &str, role: &str) -> RawPhone {
        let user = json!({"handle": handle, "name": format!("{handle} Example"), "role": role});
        self.post(As::Operator, "/v1/users", &user).await.expect(201);
        self.phone(handle).await
    }

    /// The first phone of a person, with a passkey.
    async fn phone(&self, handle: &str) -> RawPhone {
        let (phone, claimed) = self.claimed(handle).await;
        assert_eq!(claimed.body["device"]["state"], "active", "{}", claimed.text);
        phone.sign_in(self).await;
        phone.make_passkey(self).await;
        phone
    }

    /// A person with a phone and nothing more.
    pub(crate) async fn bare_person(&self, handle: &str) -> RawPhone {
        let user = json!({"handle": handle, "name": format!("{handle} Example")});
        self.post(As::Operator, "/v1/users", &user).await.expect(201);
        let (phone, _) = self.claimed(handle).await;
        phone.sign_in(self).await;
        phone
    }

    /// A phone that has claimed a code, and what it was answered.
    pub(crate) async fn claimed(&self, handle: &str) -> (RawPhone, Seen) {
        let mut phone = RawPhone::blank(self.world.clock.clone(), self.issuer());
        let code = self.code(handle).await;
        let claimed = self.post(As::Nobody, "/v1/enrollments/claim", &phone.claim(&code)).await.expect(201);
        phone.belongs_to(&claimed);
        (phone, claimed)
    }

    /// A further phone of a person, confirmed by one of theirs and signed in.
    pub(crate) async fn bare_phone(&self, handle: &str, by: &RawPhone) -> RawPhone {
        let (phone, claimed) = self.claimed(handle).await;
        assert_eq!(claimed.body["device"]["state"], "waiting", "{}", claimed.text);
        let body = by.prepare_confirmation(self, &phone).await;
        let path = format!("/v1/devices/{}/confirm", phone.device);
        self.post(As::Phone(by), &path, &body).await.expect(200);
        phone.sign_in(self).await;
        phone
    }

    /// As [`Raw::bare_phone`], with a passkey.
    pub(crate) async fn further_phone(&self, handle: &str, by: &RawPhone) -> RawPhone {
        let phone = self.bare_phone(handle, by).await;
        phone.make_passkey(self).await;
        phone
    }

    /// An enrolment code, ungrouped.
    pub(crate) async fn code(&self, handle: &str) -> String {
        let made = self.post(As::Operator, "/v1/enrollments", &json!({"user": format!("@{handle}")})).await.expect(201);
        made.body["code"].as_str().expect("a code").replace('-', "")
    }

    /// Asks for a person; the approval's id.
    pub(crate) async fn ask(&self, bot: &RawBot, handle: &str, action: &Value) -> String {
        let body = json!({"action": action, "requester": format!("@{handle}")});
        self.post(As::Bot(bot), "/v1/approvals", &body).await.expect(201).id()
    }

    /// Asks, has it approved, and gives approval and grant.
    pub(crate) async fn granted(&self, bot: &RawBot, phone: &RawPhone, handle: &str, action: &Value) -> (String, String) {
        let asked = self.ask(bot, handle, action).await;
        phone.answer(self, &asked, "approve").await.expect(200);
        let found = self.get(As::Bot(bot), &format!("/v1/approvals/{asked}")).await.expect(200);
        (asked, found.body["grant"].as_str().expect("a grant").to_owned())
    }

    /// Pages a person; the reference.
    pub(crate) async fn page(&self, bot: &RawBot, handle: &str) -> String {
        let body = json!({"title": "All your apps are down", "to": [format!("@{handle}")]});
        let paged = self.post(As::Bot(bot), "/v1/incidents", &body).await.expect(201);
        paged.body["ref"].as_str().expect("a reference").to_owned()
    }
}

impl Shot<'_> {
    pub(crate) fn json(self, body: &Value) -> Self {
        self.text(&body.to_string())
    }

    /// A body of this text, said to be JSON.
    pub(crate) fn text(self, body: &str) -> Self {
        self.bytes(body.as_bytes().to_vec()).header("content-type", "application/json")
    }

    pub(crate) fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.header_bytes(name, value.as_bytes())
    }

    pub(crate) fn header_bytes(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), value.to_vec()));
        self
    }

    /// To another node.
    pub(crate) fn at(mut self, base: &str) -> Self {
        base.clone_into(&mut self.base);
        self
    }

    /// Sends it. Credentials that were not given as headers are added, with a fresh proof.
    pub(crate) async fn fire(self) -> Seen {
        self.try_fire().await.expect("the server answers")
    }

    /// As [`Shot::fire`], when the server may die meanwhile.
    pub(crate) async fn try_fire(self) -> Result<Seen, reqwest::Error> {
        let given = |name: &str| self.headers.iter().any(|(known, _)| known == name);
        let (http, base) = match self.by {
            As::Operator => (&self.raw.operator, "http://localhost"),
            _ => (&self.raw.world.http, self.base.as_str()),
        };
        let mut request = http.request(self.method.clone(), format!("{base}{}", self.path));
        match self.by {
            As::Bot(bot) if !given("authorization") => request = request.bearer_auth(&bot.token),
            As::Phone(phone) => {
                if !given("authorization") {
                    request = request.header("authorization", format!("DPoP {}", phone.token()));
                }
                if !given("dpop") {
                    request = request.header("dpop", phone.proof(self.method.as_str(), &self.path));
                }
            }
            _ => {}
        }
        for (name, value) in &self.headers {
            request = request.header(name.as_str(), value.as_slice());
        }
        if let Some(body) = self.body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        // As it was sent: the client takes `..` out of a path, however it is written.
        let sent = response.url().path().to_owned();
        let text = String::from_utf8_lossy(&response.bytes().await?).into_owned();
        let seen = Seen { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text };
        contract::check(self.method.as_str(), &sent, &seen);
        Ok(seen)
    }
}

/// A phone that signs whatever it is told to.
pub(crate) struct RawPhone {
    pub(crate) user: String,
    pub(crate) device: String,
    clock: Clock,
    issuer: String,
    key: EcdsaKeyPair,
    token: Mutex<String>,
    authenticator: Mutex<Authenticator>,
}

impl RawPhone {
    /// A phone that belongs to nobody.
    pub(crate) fn blank(clock: Clock, issuer: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self {
            user: String::new(),
            device: String::new(),
            clock,
            issuer: issuer.to_owned(),
            key,
            token: Mutex::default(),
            authenticator: Mutex::default(),
        }
    }

    /// Takes over what a claim answered.
    pub(crate) fn belongs_to(&mut self, claimed: &Seen) {
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        self.user = text(&claimed.body["user"]["id"]);
        self.device = text(&claimed.body["device"]["id"]);
    }

    pub(crate) fn token(&self) -> String {
        self.token.lock().unwrap().clone()
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_seconds()
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "x": b64u(&point[1..33]), "y": b64u(&point[33..])})
    }

    /// The public key as Web Push writes it.
    pub(crate) fn p256dh(&self) -> String {
        b64u(self.key.public_key().as_ref())
    }

    /// A compact JWS with any header and claims.
    pub(crate) fn jws(&self, header: &Value, claims: &Value) -> String {
        self.jws_over(header, &claims.to_string())
    }

    /// A compact JWS over exactly this text.
    pub(crate) fn jws_over(&self, header: &Value, payload: &str) -> String {
        let input = format!("{}.{}", b64u(header.to_string()), b64u(payload));
        let signature = self.key.sign(&SystemRandom::new(), input.as_bytes()).expect("a signature");
        format!("{input}.{}", b64u(signature))
    }

    /// The body of a claim.
    pub(crate) fn claim(&self, code: &str) -> Value {
        let device = json!({"name": "A phone", "platform": "ios"});
        let canonical = serde_json_canonicalizer::to_vec(&device).expect("JSON");
        let claims = json!({"aud": self.issuer, "iat": self.now(),
            "code_sha256": b64u(tagged_sha256("phoneops.enrollment.v1", code.as_bytes())),
            "device_sha256": b64u(tagged_sha256("phoneops.device.v1", &canonical))});
        let proof = self.jws(&json!({"alg": "ES256", "typ": "phoneops-enrollment+jwt"}), &claims);
        json!({"code": code, "device": device, "device_key": self.jwk(), "proof": proof})
    }

    /// The header and the claims of a proof for this call, to be changed before they are signed.
    pub(crate) fn proof_parts(&self, method: &str, path: &str, token: Option<&str>) -> (Value, Value) {
        let bare = path.split('?').next().unwrap_or_default();
        let mut claims =
            json!({"jti": b64u(random::<16>()), "htm": method, "htu": format!("{}{bare}", self.issuer), "iat": self.now()});
        if let Some(token) = token {
            claims["ath"] = b64u(sha256(token.as_bytes())).into();
        }
        (json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": self.jwk()}), claims)
    }

    /// A good proof for this call.
    pub(crate) fn proof(&self, method: &str, path: &str) -> String {
        let (header, claims) = self.proof_parts(method, path, Some(&self.token()));
        self.jws(&header, &claims)
    }

    /// A good assertion to sign in with.
    pub(crate) fn assertion(&self) -> String {
        let header = json!({"alg": "ES256", "typ": "phoneops-assertion+jwt", "kid": self.device});
        let now = self.now();
        self.jws(
            &header,
            &json!({"iss": self.device, "sub": self.device, "aud": format!("{}/v1/token", self.issuer), "iat": now,
                "exp": now + 60, "jti": b64u(random::<16>())}),
        )
    }

    /// Tries to sign in with a good assertion and a good proof.
    pub(crate) async fn try_sign_in(&self, raw: &Raw<'_>) -> Seen {
        let (header, claims) = self.proof_parts("POST", "/v1/token", None);
        let form = format!("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion={}", self.assertion());
        raw.shot(As::Nobody, "POST", "/v1/token")
            .bytes(form.into_bytes())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("dpop", &self.jws(&header, &claims))
            .fire()
            .await
    }

    pub(crate) async fn sign_in(&self, raw: &Raw<'_>) {
        let reply = self.try_sign_in(raw).await.expect(200);
        reply.body["access_token"].as_str().expect("a token").clone_into(&mut self.token.lock().unwrap());
    }

    /// The six digits that it shows while it waits.
    pub(crate) fn match_number(&self) -> String {
        let jwk = self.jwk();
        let canonical = serde_json_canonicalizer::to_vec(&jwk).expect("JSON");
        let digest = tagged_sha256("phoneops.match.v1", &sha256(&canonical));
        format!("{:06}", u64::from_be_bytes(digest[..8].try_into().expect("eight bytes")) % 1_000_000)
    }

    /// A good confirmation of a phone that waits, with a passkey where there is one, not yet sent.
    pub(crate) async fn prepare_confirmation(&self, raw: &Raw<'_>, waiting: &Self) -> Value {
        let path = format!("/v1/devices/{}/challenge", waiting.device);
        let offered = raw.post(As::Phone(self), &path, &json!({})).await.expect(200).body;
        let mut body = json!({"challenge": offered["challenge"], "match": waiting.match_number()});
        if offered["public_key"].is_null() {
            let header = json!({"alg": "ES256", "typ": "phoneops-device-confirmation+jws"});
            body["jws"] = json!(self.jws_over(&header, offered["statement"].as_str().expect("a statement")));
        } else {
            body["credential"] = self.sign(&offered, Misbehaviour::default());
        }
        body
    }

    /// Has an administrator's passkey make what waits for one happen; what it answered.
    pub(crate) async fn confirm_act(&self, raw: &Raw<'_>, act: &str) -> Seen {
        let path = format!("/v1/acts/{act}");
        let offered = raw.post(As::Phone(self), &format!("{path}/challenge"), &json!({})).await.expect(200).body;
        let body = json!({"challenge": offered["challenge"], "credential": self.sign(&offered, Misbehaviour::default())});
        raw.post(As::Phone(self), &format!("{path}/confirm"), &body).await
    }

    /// The body that ends a passkey ceremony, with the guard's signature where one is asked for.
    pub(crate) async fn new_passkey(&self, raw: &Raw<'_>) -> Value {
        let offered = raw.post(As::Phone(self), "/v1/passkeys/challenge", &json!({})).await.expect(200);
        let made = self.authenticator.lock().unwrap().create(&offered.body["public_key"], &self.issuer).expect("a passkey");
        let mut body = json!({"ceremony": offered.body["ceremony"], "name": "Face ID", "credential": made});
        if offered.body["guard"].is_object() {
            body["guard"] = self.sign(&offered.body["guard"], Misbehaviour::default());
        }
        body
    }

    /// What its authenticator makes for these options.
    pub(crate) fn attest(&self, options: &Value) -> Value {
        self.authenticator.lock().unwrap().create(options, &self.issuer).expect("a passkey")
    }

    pub(crate) async fn make_passkey(&self, raw: &Raw<'_>) -> String {
        let body = self.new_passkey(raw).await;
        raw.post(As::Phone(self), "/v1/passkeys", &body).await.expect(201).id()
    }

    pub(crate) async fn challenge(&self, raw: &Raw<'_>, approval: &str, verdict: &str) -> Seen {
        raw.post(As::Phone(self), &format!("/v1/approvals/{approval}/challenge"), &json!({"verdict": verdict})).await
    }

    /// Signs what a challenge offered, in whatever way.
    pub(crate) fn sign(&self, offered: &Value, misbehaviour: Misbehaviour) -> Value {
        let mut authenticator = self.authenticator.lock().unwrap();
        authenticator.misbehave(misbehaviour);
        let credential = authenticator.get(&offered["public_key"], &self.issuer).expect("an assertion");
        authenticator.misbehave(Misbehaviour::default());
        credential
    }

    /// A good answer, not yet sent.
    pub(crate) async fn prepare(&self, raw: &Raw<'_>, approval: &str, verdict: &str) -> Value {
        let offered = self.challenge(raw, approval, verdict).await.expect(200);
        json!({"challenge": offered.body["challenge"], "credential": self.sign(&offered.body, Misbehaviour::default())})
    }

    /// A good answer by the device's key, not yet sent.
    pub(crate) async fn prepare_jws(&self, raw: &Raw<'_>, approval: &str, verdict: &str, factor: &str) -> Value {
        let body = json!({"verdict": verdict, "factor": factor});
        let offered = raw.post(As::Phone(self), &format!("/v1/approvals/{approval}/challenge"), &body).await.expect(200).body;
        let header = json!({"alg": "ES256", "typ": "phoneops-answer+jws"});
        let jws = self.jws_over(&header, offered["statement"].as_str().expect("a statement"));
        json!({"challenge": offered["challenge"], "jws": jws})
    }

    pub(crate) async fn send(&self, raw: &Raw<'_>, approval: &str, answer: &Value) -> Seen {
        raw.post(As::Phone(self), &format!("/v1/approvals/{approval}/answers"), answer).await
    }

    pub(crate) async fn answer(&self, raw: &Raw<'_>, approval: &str, verdict: &str) -> Seen {
        let answer = self.prepare(raw, approval, verdict).await;
        self.send(raw, approval, &answer).await
    }
}
