//! Provider tokens: who sends. Read and verified here independently of whoever makes them.
//!
//! **Invariants**
//! - A token counts only with a signature of a registered key, by the team that the key belongs to.
//! - A connection that a token has spoiled stays spoiled.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};

use super::reason::Reason;
use crate::clock::Timestamp;
use crate::secret::{Secret, b64, b64u, sha256};
use crate::sim::jwt::Jwt;

/// A token may be so old.
const LIFE: Duration = Duration::from_secs(3600);
/// A connection's token may change so often.
const UPDATES: Duration = Duration::from_secs(20 * 60);
/// A provider's clock may be so much ahead.
const AHEAD: Duration = Duration::from_secs(60);
/// Verified tokens are remembered, so that each is verified once; this many.
const REMEMBERED: usize = 10_000;

/// Which of Apple's two environments this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// `api.push.apple.com`.
    Production,
    /// `api.sandbox.push.apple.com`.
    Sandbox,
}

/// What a developer downloads once: a key that signs provider tokens.
pub struct SigningKey {
    /// Ten characters: `kid`.
    pub key_id: String,
    /// Ten characters: `iss`.
    pub team_id: String,
    /// The `.p8` file: a PKCS #8 private key in PEM.
    pub pem: Secret,
    public: Vec<u8>,
}

impl SigningKey {
    /// A new one.
    ///
    /// # Panics
    /// When there is no randomness.
    #[must_use]
    pub fn generate(key_id: &str, team_id: &str) -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).expect("P-256 keys can be generated");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).expect("a generated key is a key");
        let lines = b64(pkcs8.as_ref());
        let lines: Vec<_> = lines.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        let public = pair.public_key().as_ref().to_vec();
        Self { key_id: key_id.to_owned(), team_id: team_id.to_owned(), pem: Secret::new(pem), public }
    }

    /// What Apple keeps of it: good for every topic of the team, in every environment.
    #[must_use]
    pub fn registration(&self) -> KeyRegistration {
        KeyRegistration {
            key_id: self.key_id.clone(),
            team_id: self.team_id.clone(),
            public: self.public.clone(),
            topics: None,
            environment: None,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("key_id", &self.key_id).field("team_id", &self.team_id).finish_non_exhaustive()
    }
}

/// What Apple keeps of a signing key.
#[derive(Clone, Debug)]
pub struct KeyRegistration {
    /// `kid`.
    pub key_id: String,
    /// `iss`.
    pub team_id: String,
    /// A point of P-256, uncompressed, 65 bytes.
    pub public: Vec<u8>,
    /// The bundle ids it is good for; all, when there is no list.
    pub topics: Option<Vec<String>>,
    /// The one environment it is good for, if it is for one only.
    pub environment: Option<Environment>,
}

/// A token that was seen, without its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenToken {
    /// SHA-256 of the token, in base64url.
    pub digest: String,
    /// The key that signed it.
    pub key_id: String,
    /// The team it is of.
    pub team_id: String,
    /// When it was made, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it was first seen here.
    pub seen_at: Timestamp,
}

/// The keys that are registered, and the tokens that were seen.
pub(super) struct Keys {
    environment: Environment,
    keys: BTreeMap<String, KeyRegistration>,
    verified: HashMap<Arc<str>, Result<Arc<SeenToken>, Reason>>,
    /// With their text, which is a secret as long as the token lives.
    seen: Vec<(Arc<SeenToken>, Secret)>,
}

impl Keys {
    pub(super) fn new(environment: Environment) -> Self {
        Self { environment, keys: BTreeMap::new(), verified: HashMap::new(), seen: Vec::new() }
    }

    pub(super) fn register(&mut self, key: KeyRegistration) {
        self.verified.clear();
        self.keys.insert(key.key_id.clone(), key);
    }

    pub(super) fn revoke(&mut self, key_id: &str) -> bool {
        self.verified.clear();
        self.keys.remove(key_id).is_some()
    }

    /// The tokens that were in order, in the order they were first seen.
    pub(super) fn seen(&self) -> Vec<SeenToken> {
        self.seen.iter().map(|(token, _)| (**token).clone()).collect()
    }

    /// A token that was in order as it came, by its digest: for whoever verifies it by other means.
    pub(super) fn text(&self, digest: &str) -> Option<Secret> {
        self.seen.iter().find(|(token, _)| token.digest == digest).map(|(_, text)| text.clone())
    }

    /// Whether the key behind the token may send for this bundle id.
    pub(super) fn allows(&self, token: &SeenToken, bundle: &str) -> bool {
        let topics = self.keys.get(&token.key_id).and_then(|key| key.topics.as_ref());
        topics.is_none_or(|topics| topics.iter().any(|topic| topic == bundle))
    }

    /// What an `authorization` header says, verified once for each.
    pub(super) fn verify(&mut self, authorization: Option<&Arc<str>>, now: Timestamp) -> Result<Arc<SeenToken>, Reason> {
        let header = authorization.ok_or(Reason::MissingProviderToken)?;
        if let Some(known) = self.verified.get(header) {
            return known.clone();
        }
        let verdict = self.read(header, now).map(Arc::new);
        if let Ok(token) = &verdict
            && !self.seen.iter().any(|(seen, _)| seen.digest == token.digest)
        {
            let text = header.split_once(' ').map_or("", |(_, text)| text);
            self.seen.push((Arc::clone(token), Secret::new(text.to_owned())));
        }
        if self.verified.len() == REMEMBERED {
            self.verified.clear();
        }
        self.verified.insert(Arc::clone(header), verdict.clone());
        verdict
    }

    fn read(&self, header: &str, now: Timestamp) -> Result<SeenToken, Reason> {
        let invalid = Reason::InvalidProviderToken;
        let (scheme, text) = header.split_once(' ').ok_or(invalid)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(invalid);
        }
        let token = Jwt::parse(text).ok_or(invalid)?;
        if token.header["alg"] != "ES256" {
            return Err(invalid);
        }
        let kid = token.header["kid"].as_str().ok_or(invalid)?;
        let key = self.keys.get(kid).ok_or(invalid)?;
        if token.text("iss") != Some(&key.team_id) || !token.is_signed_by(&ECDSA_P256_SHA256_FIXED, &key.public) {
            return Err(invalid);
        }
        if key.environment.is_some_and(|only| only != self.environment) {
            return Err(Reason::BadEnvironmentKeyIdInToken);
        }
        let iat = token.number("iat").ok_or(invalid)?;
        Ok(SeenToken {
            digest: b64u(sha256(text.as_bytes())),
            key_id: kid.to_owned(),
            team_id: key.team_id.clone(),
            iat,
            seen_at: now,
        })
    }
}

/// What a connection knows of who sends on it.
#[derive(Default)]
pub(super) struct Sender {
    current: Option<(Arc<SeenToken>, Timestamp)>,
    spoiled: Option<Reason>,
}

impl Sender {
    /// Whether a token was in order on this connection.
    pub(super) fn is_known(&self) -> bool {
        self.current.is_some()
    }

    /// Whether this connection takes the token, after all it has seen.
    pub(super) fn admit(&mut self, token: &Arc<SeenToken>, now: Timestamp) -> Result<(), Reason> {
        if let Some(reason) = self.spoiled {
            return Err(reason);
        }
        let admitted = self.judge(token, now);
        if let Err(reason) = admitted {
            self.spoil(reason);
        }
        admitted
    }

    fn judge(&mut self, token: &Arc<SeenToken>, now: Timestamp) -> Result<(), Reason> {
        let made_at = Timestamp::from_seconds(token.iat);
        if made_at > now.after(AHEAD) {
            return Err(Reason::InvalidProviderToken);
        }
        if made_at < now.before(LIFE) {
            return Err(Reason::ExpiredProviderToken);
        }
        if let Some((current, since)) = &self.current {
            if current.digest == token.digest {
                return Ok(());
            }
            if current.team_id != token.team_id {
                return Err(Reason::InvalidProviderToken);
            }
            if current.key_id != token.key_id {
                return Err(Reason::UnrelatedKeyIdInToken);
            }
            if now < since.after(UPDATES) {
                return Err(Reason::TooManyProviderTokenUpdates);
            }
        }
        self.current = Some((Arc::clone(token), now));
        Ok(())
    }

    /// After these, Apple's connections give the same answer to everything.
    pub(super) fn spoil(&mut self, reason: Reason) {
        if matches!(reason, Reason::ExpiredProviderToken | Reason::TooManyProviderTokenUpdates) {
            self.spoiled = Some(reason);
        }
    }
}
