//! Access tokens: a service account proves who it is by a signed assertion (RFC 7523), and gets a token for an hour.
//!
//! **Invariants**
//! - A token is good only as long as it was said to be, and only here.
//! - No token is kept, only its digest.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::clock::Timestamp;
use crate::secret::{Secret, b64, b64u, random, sha256};
use crate::sim::http2::Request;
use crate::sim::jwt::Jwt;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// An assertion lives so long at most, in seconds.
const ASSERTION_LIFE: i64 = 3_600;
/// Clocks may differ by so many seconds.
const SKEW: i64 = 300;

/// RSA keys take long to make, so a process has one.
static KEY: LazyLock<(Secret, Vec<u8>)> = LazyLock::new(|| {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("RSA keys can be generated");
    let private: Pkcs8V1Der<'static> = pair.as_der().expect("a private key has a form in DER");
    let public: PublicKeyX509Der<'static> = pair.public_key().as_der().expect("a public key has a form in DER");
    let lines = b64(private.as_ref());
    let lines: Vec<_> = lines.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    (Secret::new(pem), public.as_ref().to_vec())
});

/// Why there is no access token: `error` and `error_description` (RFC 6749, section 5.2).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denied(pub(super) &'static str, pub(super) &'static str);

/// Who may send, and which access tokens were given out.
pub(super) struct Accounts {
    email: String,
    key_id: String,
    token_uri: String,
    life: Duration,
    tokens: HashMap<[u8; 32], Timestamp>,
    issued: u64,
}

impl Accounts {
    pub(super) fn new(project: &str, token_uri: &str, life: Duration) -> Self {
        Self {
            email: format!("sim@{project}.iam.example.com"),
            key_id: format!("{:032x}{:08x}", u128::from_be_bytes(random()), u32::from_be_bytes(random())),
            token_uri: token_uri.to_owned(),
            life,
            tokens: HashMap::new(),
            issued: 0,
        }
    }

    /// The service account's file, as the Firebase console gives it.
    pub(super) fn file(&self, project: &str) -> Value {
        json!({"type": "service_account", "project_id": project, "private_key_id": self.key_id, "private_key": KEY.0.expose(),
            "client_email": self.email, "client_id": "100000000000000000001", "token_uri": self.token_uri})
    }

    /// An access token for whoever asks with a good assertion, and the seconds it is good for.
    pub(super) fn grant(&mut self, request: &Request, now: Timestamp) -> Result<(String, u64), Denied> {
        self.check(request, now)?;
        let token = format!("ya29.{}", b64u(random::<48>()));
        self.tokens.retain(|_, ends_at| *ends_at > now);
        self.tokens.insert(sha256(token.as_bytes()), now.after(self.life));
        self.issued += 1;
        Ok((token, self.life.as_secs()))
    }

    fn check(&self, request: &Request, now: Timestamp) -> Result<(), Denied> {
        let form: HashMap<_, _> = form_urlencoded::parse(&request.body).into_owned().collect();
        if form.get("grant_type").map(String::as_str) != Some(GRANT) {
            return Err(Denied("unsupported_grant_type", "Invalid grant_type"));
        }
        let assertion = form.get("assertion").ok_or(Denied("invalid_request", "Missing assertion"))?;
        let invalid = |why| Denied("invalid_grant", why);
        let jwt = Jwt::parse(assertion).ok_or(invalid("Invalid JWT"))?;
        let named = jwt.header["kid"].as_str().is_none_or(|kid| kid == self.key_id);
        if jwt.header["alg"] != "RS256" || !named || !jwt.is_signed_by(&RSA_PKCS1_2048_8192_SHA256, &KEY.1) {
            return Err(invalid("Invalid JWT Signature."));
        }
        if jwt.text("iss") != Some(&self.email) {
            return Err(invalid("Invalid grant: account not found"));
        }
        if jwt.text("aud") != Some(&self.token_uri) {
            return Err(invalid("Invalid JWT: Failed audience check."));
        }
        if !jwt.text("scope").is_some_and(|scopes| scopes.split(' ').any(|scope| scope == SCOPE)) {
            return Err(Denied("invalid_scope", "Invalid OAuth scope or ID token audience provided."));
        }
        let times = jwt.number("iat").zip(jwt.number("exp"));
        let (iat, exp) = times.ok_or(invalid("Invalid JWT: iat and exp must be numbers"))?;
        let now = now.as_seconds();
        if iat > now + SKEW || exp <= now || exp <= iat || exp - iat > ASSERTION_LIFE {
            return Err(invalid("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."));
        }
        Ok(())
    }

    /// Whether `authorization` carries a token that is good now.
    pub(super) fn admit(&self, authorization: Option<&str>, now: Timestamp) -> bool {
        let token =
            authorization.and_then(|header| header.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        token.and_then(|(_, token)| self.tokens.get(&sha256(token.as_bytes()))).is_some_and(|ends_at| now < *ends_at)
    }

    /// Ends every token that was given out.
    pub(super) fn revoke(&mut self) {
        self.tokens.clear();
    }

    /// How many tokens were given out.
    pub(super) fn issued(&self) -> u64 {
        self.issued
    }
}
