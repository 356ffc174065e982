//! Provider tokens: how Apple knows for which team and with which key a request comes (a JWT of RFC 7519, signed with ES256).
//!
//! Apple takes a token for an hour, and counts a second one within twenty minutes as a fault. Signatures are random, so that two
//! tokens of one second already differ: one is minted, and everybody uses that one.
//!
//! **Invariants**
//! - A token is replaced by its age since minting: after [`RENEW_AFTER`], or after [`FLOOR`] when Apple calls it expired.
//! - `iat` is a number of seconds, and the age is counted from it.
//! - Neither key nor token prints.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use futures_util::future::BoxFuture;
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::SetupError;
use crate::clock::Timestamp;
use crate::push::Outcome;
use crate::secret::Secret;

/// After this a token is replaced: Apple takes it for an hour, and no clock is right.
const RENEW_AFTER: Duration = Duration::from_mins(45);

/// Before this a token is never replaced: Apple refuses whoever does.
const FLOOR: Duration = Duration::from_mins(20);

/// Until then a token that cannot be replaced is used on.
const LAST_RESORT: Duration = Duration::from_mins(55);

/// How far ahead of ours the clock may be that a token was minted by. Beyond it ours was set back, and its age is not known.
const SKEW: Duration = Duration::from_mins(1);

/// Apple's ids of keys and teams.
const ID_CHARS: usize = 10;

/// Mints tokens of one key.
pub struct Minter {
    key: EncodingKey,
    key_id: String,
    team_id: String,
}

impl Minter {
    /// From what Apple calls `AuthKey_….p8`, and the two ids that name it.
    ///
    /// # Errors
    /// [`SetupError`] names which of them is to blame.
    pub fn new(key_pem: &[u8], key_id: &str, team_id: &str) -> Result<Self, SetupError> {
        let id =
            |text: &str| text.len() == ID_CHARS && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !id(key_id) {
            return Err(SetupError::KeyId);
        }
        if !id(team_id) {
            return Err(SetupError::TeamId);
        }
        let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(key_pem).map_err(|_| SetupError::Key)?;
        let pkcs8 = pkcs8.secret_pkcs8_der();
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|_| SetupError::Key)?;
        Ok(Self { key: EncodingKey::from_ec_der(pkcs8), key_id: key_id.to_owned(), team_id: team_id.to_owned() })
    }

    /// What its tokens are kept under: of one team and one key there is one at a time.
    #[must_use]
    pub fn name(&self) -> String {
        format!("apns/{}/{}", self.team_id, self.key_id)
    }

    /// A new token.
    ///
    /// # Panics
    /// Never: the key was looked at.
    #[must_use]
    pub fn mint(&self, now: Timestamp) -> ProviderToken {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = None;
        header.kid = Some(self.key_id.clone());
        let claims = json!({"iss": self.team_id, "iat": now.as_seconds()});
        let text = jsonwebtoken::encode(&header, &claims, &self.key).expect("a P-256 key signs");
        let minted_at = Timestamp::from_seconds(now.as_seconds());
        ProviderToken::restore(Secret::new(text), minted_at).expect("base64url is fit for a header")
    }
}

impl fmt::Debug for Minter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minter").field("key_id", &self.key_id).field("team_id", &self.team_id).finish_non_exhaustive()
    }
}

/// One token, with its age.
#[derive(Clone)]
pub struct ProviderToken {
    text: Secret,
    minted_at: Timestamp,
    authorization: HeaderValue,
}

impl ProviderToken {
    /// A token that was minted before, from where it was kept. None when it is not fit for a header.
    #[must_use]
    pub fn restore(text: Secret, minted_at: Timestamp) -> Option<Self> {
        let mut authorization = HeaderValue::try_from(format!("bearer {}", text.expose())).ok()?;
        authorization.set_sensitive(true);
        Some(Self { text, minted_at, authorization })
    }

    /// The token itself, to be sealed before it is stored.
    #[must_use]
    pub fn text(&self) -> &Secret {
        &self.text
    }

    /// Its `iat`.
    #[must_use]
    pub fn minted_at(&self) -> Timestamp {
        self.minted_at
    }

    /// The header of a request.
    pub(super) fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }

    /// What to do with this one, the newest there is, at `now`; `refused` is one that Apple called expired.
    #[must_use]
    pub fn decide(&self, refused: Option<&Self>, now: Timestamp) -> Decision {
        let from_the_future = self.minted_at > now.after(SKEW);
        let age = self.minted_at.until(now);
        let was_refused = refused.is_some_and(|refused| refused.text == self.text);
        if was_refused && age < FLOOR && !from_the_future {
            Decision::TooYoung
        } else if was_refused || from_the_future || age >= RENEW_AFTER {
            Decision::Replace
        } else {
            Decision::Use
        }
    }

    /// Whether Apple still takes it, for whoever cannot replace it.
    #[must_use]
    pub fn is_better_than_none(&self, now: Timestamp) -> bool {
        self.minted_at.until(now) < LAST_RESORT
    }
}

impl fmt::Debug for ProviderToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderToken").field("minted_at", &self.minted_at).finish_non_exhaustive()
    }
}

/// What to do with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is young enough.
    Use,
    /// Mint the next.
    Replace,
    /// Apple called it expired, or nobody here can read it; and Apple would call the next one too early.
    TooYoung,
}

impl Decision {
    /// What to do where the newest token there is cannot be read, and its age alone is known.
    #[must_use]
    pub fn unreadable(minted_at: Timestamp, now: Timestamp) -> Self {
        let from_the_future = minted_at > now.after(SKEW);
        if minted_at.until(now) < FLOOR && !from_the_future { Self::TooYoung } else { Self::Replace }
    }
}

/// No token to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// See [`Decision::TooYoung`].
    #[error(
        "APNs calls a provider token expired that was minted less than {} minutes ago: set this machine's clock",
        FLOOR.as_secs() / 60
    )]
    TooYoung,
    /// Where they are kept does not answer.
    #[error("the provider token is not to be had: {0}")]
    Unavailable(String),
}

impl From<NoToken> for Outcome {
    fn from(none: NoToken) -> Self {
        match none {
            NoToken::TooYoung => Self::Misconfigured(none.to_string()),
            NoToken::Unavailable(_) => Self::Retryable(none.to_string()),
        }
    }
}

/// Where everybody's token comes from.
pub trait ProviderTokens: Send + Sync {
    /// The token to use at `now`. However many ask at once, at most one is minted.
    fn current(&self, now: Timestamp) -> BoxFuture<'_, Result<ProviderToken, NoToken>>;

    /// A newer one than `refused`, which Apple called expired; [`NoToken::TooYoung`] when that was minted within the last twenty minutes.
    fn renewed<'a>(&'a self, refused: &'a ProviderToken, now: Timestamp) -> BoxFuture<'a, Result<ProviderToken, NoToken>>;
}

/// Tokens of this process alone.
pub struct LocalTokens {
    minter: Minter,
    newest: Mutex<Option<ProviderToken>>,
}

impl LocalTokens {
    /// Mints at the first use.
    #[must_use]
    pub fn new(minter: Minter) -> Self {
        Self { minter, newest: Mutex::new(None) }
    }

    /// The lock is held while minting, which takes microseconds: whoever comes second finds the token.
    fn newest(&self, refused: Option<&ProviderToken>, now: Timestamp) -> Result<ProviderToken, NoToken> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let decision = newest.as_ref().map_or(Decision::Replace, |token| token.decide(refused, now));
        match (decision, &*newest) {
            (Decision::Use, Some(token)) => Ok(token.clone()),
            (Decision::TooYoung, _) => Err(NoToken::TooYoung),
            _ => Ok(newest.insert(self.minter.mint(now)).clone()),
        }
    }
}

impl ProviderTokens for LocalTokens {
    fn current(&self, now: Timestamp) -> BoxFuture<'_, Result<ProviderToken, NoToken>> {
        Box::pin(std::future::ready(self.newest(None, now)))
    }

    fn renewed<'a>(&'a self, refused: &'a ProviderToken, now: Timestamp) -> BoxFuture<'a, Result<ProviderToken, NoToken>> {
        Box::pin(std::future::ready(self.newest(Some(refused), now)))
    }
}

impl fmt::Debug for LocalTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalTokens").field("minter", &self.minter).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;
    use crate::secret::from_b64u;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    /// A key as Apple's portal lets it be downloaded.
    pub(in crate::push::apns) fn key() -> String {
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem()
    }

    pub(in crate::push::apns) fn minter() -> Minter {
        Minter::new(key().as_bytes(), "ABC123DEFG", "DEF123GHIJ").unwrap()
    }

    fn minutes(minutes: u64) -> Timestamp {
        NOW.after(Duration::from_mins(minutes))
    }

    #[test]
    fn a_token_names_key_and_team_and_is_signed_by_the_key() {
        let pem = key();
        let token = Minter::new(pem.as_bytes(), "ABC123DEFG", "DEF123GHIJ").unwrap().mint(NOW.after(Duration::from_millis(7)));
        let (input, signature) = token.text().expose().rsplit_once('.').unwrap();
        let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.secret_pkcs8_der()).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())
            .verify(input.as_bytes(), &from_b64u(signature).unwrap())
            .expect("the signature is good");
        let (header, claims) = input.split_once('.').unwrap();
        let json = |part: &str| serde_json::from_slice::<Value>(&from_b64u(part).unwrap()).unwrap();
        assert_eq!(json(header), json!({"alg": "ES256", "kid": "ABC123DEFG"}));
        assert_eq!(json(claims), json!({"iss": "DEF123GHIJ", "iat": 1_800_000_000}));
        assert_eq!(token.minted_at(), NOW);
        assert!(token.authorization().is_sensitive() && token.authorization().to_str().unwrap().starts_with("bearer ey"));
    }

    #[test]
    fn what_is_no_key_or_id_is_refused_by_name() {
        let (pem, id) = (key(), "ABC123DEFG");
        let refused = |pem: &str, key_id: &str, team_id: &str| Minter::new(pem.as_bytes(), key_id, team_id).unwrap_err();
        let other_curve = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
        for bad in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &other_curve] {
            assert!(matches!(refused(bad, id, id), SetupError::Key), "{bad}");
        }
        for bad in ["", "abc123defg", "ABC123DEF", "ABC123DEFGH", "ABC123DEF\n"] {
            assert!(matches!(refused(&pem, bad, id), SetupError::KeyId), "{bad:?}");
            assert!(matches!(refused(&pem, id, bad), SetupError::TeamId), "{bad:?}");
        }
    }

    #[test]
    fn a_token_is_renewed_by_its_age_and_never_too_early() {
        let minter = minter();
        let (token, other) = (minter.mint(NOW), minter.mint(NOW));
        for (at, refused, decision) in [
            (0, None, Decision::Use),
            (44, None, Decision::Use),
            (45, None, Decision::Replace),
            (300, None, Decision::Replace),
            (0, Some(&token), Decision::TooYoung),
            (19, Some(&token), Decision::TooYoung),
            (20, Some(&token), Decision::Replace),
            // Somebody renewed it already.
            (20, Some(&other), Decision::Use),
            (45, Some(&other), Decision::Replace),
        ] {
            assert_eq!(token.decide(refused, minutes(at)), decision, "at {at}, refused: {}", refused.is_some());
        }
        assert!(token.is_better_than_none(minutes(54)) && !token.is_better_than_none(minutes(55)));
    }

    #[test]
    fn a_token_from_the_future_is_replaced() {
        let token = minter().mint(minutes(60));
        assert_eq!(token.decide(None, minutes(59)), Decision::Use);
        assert_eq!(token.decide(None, minutes(58)), Decision::Replace);
        assert_eq!(token.decide(Some(&token), minutes(58)), Decision::Replace);
    }

    #[tokio::test]
    async fn one_token_is_minted_however_many_ask() {
        let tokens = LocalTokens::new(minter());
        let first = tokens.current(NOW).await.unwrap();
        assert_eq!(tokens.current(minutes(44)).await.unwrap().text(), first.text());
        assert_eq!(tokens.renewed(&first, minutes(19)).await.unwrap_err(), NoToken::TooYoung);
        let second = tokens.renewed(&first, minutes(20)).await.unwrap();
        assert_ne!(second.text(), first.text());
        // All the others whose requests were refused at the same moment.
        assert_eq!(tokens.renewed(&first, minutes(20)).await.unwrap().text(), second.text());
    }

    #[test]
    fn keys_and_tokens_do_not_print() {
        let minter = minter();
        let token = minter.mint(NOW);
        assert_eq!(format!("{token:?}"), "ProviderToken { minted_at: 2027-01-15T08:00:00Z, .. }");
        let printed = format!("{minter:?} {:?} {:?}", token.authorization(), LocalTokens::new(self::minter()));
        assert!(!printed.contains("eyJ") && !printed.contains("bearer"), "{printed}");
    }
}
