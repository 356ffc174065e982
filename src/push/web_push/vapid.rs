//! Voluntary application server identification (RFC 8292): the `Authorization` header that tells a push service who sends.
//!
//! **Invariants**
//! - A token is made for one origin, lives half the day the standard allows, and is replaced when half of that is over: a service
//!   whose clock is hours off still takes it, in either direction.
//! - A token that `now` says is not yet made is not used: after the clock was set back it would live too long.
//! - At most [`CACHE_ORIGINS`] tokens are kept, since anybody with a device can name a new origin.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::agreement::{self, ECDH_P256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use reqwest::header::HeaderValue;
use serde_json::json;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::SetupError;
use crate::clock::Timestamp;
use crate::secret::b64u;

const LIFE: Duration = Duration::from_hours(12);
const RENEW_AFTER: Duration = Duration::from_hours(6);

/// How many origins' tokens are kept.
const CACHE_ORIGINS: usize = 1_024;

/// A fresh key pair for an installation, made once: subscriptions are bound to its public half and die with it.
pub struct VapidKeyPair {
    /// The private half as PKCS#8, for the caller to seal and store.
    pub private: Zeroizing<Vec<u8>>,
    /// The public half as browsers want it: base64url of the 65-byte uncompressed point.
    pub public: String,
}

impl VapidKeyPair {
    /// Makes one.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    #[must_use]
    pub fn generate() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("the operating system gives random bytes");
        let pkcs8 = key.to_pkcs8v1().expect("a P-256 key can be written down");
        Self { private: Zeroizing::new(pkcs8.as_ref().to_vec()), public: b64u(key.public_key()) }
    }
}

impl fmt::Debug for VapidKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VapidKeyPair").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The installation's identity towards push services.
pub(super) struct Vapid {
    key: EcdsaKeyPair,
    public: String,
    subject: String,
    tokens: Mutex<HashMap<String, Token>>,
}

struct Token {
    header: HeaderValue,
    made_at: Timestamp,
}

impl Vapid {
    /// From a P-256 private key, PKCS#8 or its 32 raw bytes, and the address at which a push service reaches whoever
    /// runs this installation.
    pub(super) fn new(private: &[u8], subject: String) -> Result<Self, SetupError> {
        if !reachable(&subject) {
            return Err(SetupError::Subject);
        }
        let key = parse_key(private).ok_or(SetupError::VapidKey)?;
        Ok(Self { public: b64u(key.public_key()), key, subject, tokens: Mutex::default() })
    }

    /// The public key: base64url of 65 bytes.
    pub(super) fn public(&self) -> &str {
        &self.public
    }

    /// The `Authorization` header for an origin such as `https://push.example.com`.
    pub(super) fn authorization(&self, origin: &str, now: Timestamp) -> HeaderValue {
        // A panic elsewhere leaves at worst a token less in the map.
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.get(origin).filter(|token| token.is_fresh(now)) {
            return token.header.clone();
        }
        if tokens.len() >= CACHE_ORIGINS {
            make_room(&mut tokens, now);
        }
        let header = self.sign(origin, now);
        let token = Token { header: header.clone(), made_at: now };
        tokens.insert(origin.to_owned(), token);
        header
    }

    fn sign(&self, origin: &str, now: Timestamp) -> HeaderValue {
        let claims = json!({"aud": origin, "exp": now.after(LIFE).as_seconds(), "sub": self.subject});
        let input = format!("{}.{}", b64u(r#"{"typ":"JWT","alg":"ES256"}"#), b64u(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), input.as_bytes()).expect("a P-256 key signs");
        let header = format!("vapid t={input}.{}, k={}", b64u(signature), self.public);
        let mut header = HeaderValue::try_from(header).expect("base64url is fit for a header");
        header.set_sensitive(true);
        header
    }
}

impl Token {
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.made_at <= now && now < self.made_at.after(RENEW_AFTER)
    }
}

/// Drops what is stale; when nothing is, the oldest.
fn make_room(tokens: &mut HashMap<String, Token>, now: Timestamp) {
    tokens.retain(|_, token| token.is_fresh(now));
    if tokens.len() >= CACHE_ORIGINS {
        let oldest = tokens.iter().min_by_key(|(_, token)| token.made_at);
        if let Some(origin) = oldest.map(|(origin, _)| origin.clone()) {
            tokens.remove(&origin);
        }
    }
}

/// Whether `subject` is a contact as RFC 8292 section 2.1 wants it: a `mailto:` with an address, or an `https:` URL.
fn reachable(subject: &str) -> bool {
    let Ok(url) = Url::parse(subject) else {
        return false;
    };
    match url.scheme() {
        "mailto" => url.path().split_once('@').is_some_and(|(name, host)| !name.is_empty() && Host::parse(host).is_ok()),
        "https" => true,
        _ => false,
    }
}

fn parse_key(private: &[u8]) -> Option<EcdsaKeyPair> {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    if private.len() != 32 {
        return EcdsaKeyPair::from_pkcs8(algorithm, private).ok();
    }
    let public =
        agreement::PrivateKey::from_private_key(&ECDH_P256, private).and_then(|key| Ok(key.compute_public_key()?)).ok()?;
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public.as_ref()).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;
    use crate::secret::from_b64u;

    const SUBJECT: &str = "mailto:ops@example.com";
    const ORIGIN: &str = "https://push.example.com";
    fn now() -> Timestamp {
        Timestamp::from_seconds(1_800_000_000)
    }

    fn vapid() -> Vapid {
        Vapid::new(&VapidKeyPair::generate().private, SUBJECT.into()).unwrap()
    }

    fn read(header: &HeaderValue) -> (Value, Value) {
        let text = header.to_str().unwrap().strip_prefix("vapid t=").unwrap();
        let (token, key) = text.split_once(", k=").unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let key = from_b64u(key).unwrap();
        assert_eq!(key.len(), 65);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
            .verify(input.as_bytes(), &from_b64u(signature).unwrap())
            .expect("the signature is good");
        let (header, claims) = input.split_once('.').unwrap();
        let json = |part: &str| serde_json::from_slice(&from_b64u(part).unwrap()).unwrap();
        (json(header), json(claims))
    }

    #[test]
    fn a_token_says_who_to_whom_and_until_when() {
        let header = vapid().authorization(ORIGIN, now());
        assert!(header.is_sensitive());
        let (head, claims) = read(&header);
        assert_eq!(head, json!({"typ": "JWT", "alg": "ES256"}));
        let exp = now().as_seconds() + 12 * 3_600;
        assert_eq!(claims, json!({"aud": ORIGIN, "exp": exp, "sub": SUBJECT}));
    }

    #[test]
    fn a_token_is_kept_per_origin_and_renewed_at_half_its_life() {
        let vapid = vapid();
        let first = vapid.authorization(ORIGIN, now());
        let almost = now().after(RENEW_AFTER).before(Duration::from_secs(1));
        assert_eq!(vapid.authorization(ORIGIN, almost), first);
        assert_ne!(vapid.authorization("https://other.example.com", now()), first);
        assert_ne!(vapid.authorization(ORIGIN, now().after(RENEW_AFTER)), first);
    }

    #[test]
    fn a_token_from_the_future_is_not_used() {
        let vapid = vapid();
        let first = vapid.authorization(ORIGIN, now());
        let back = now().before(Duration::from_hours(24));
        let (_, claims) = read(&vapid.authorization(ORIGIN, back));
        assert_eq!(claims["exp"], back.after(LIFE).as_seconds());
        assert_ne!(vapid.authorization(ORIGIN, back), first);
    }

    #[test]
    fn strangers_origins_do_not_pile_up() {
        let vapid = vapid();
        for n in 0..CACHE_ORIGINS + 10 {
            let origin = format!("https://{n}.example.com");
            vapid.authorization(&origin, now().after(Duration::from_secs(n as u64)));
        }
        let tokens = vapid.tokens.lock().unwrap();
        assert_eq!(tokens.len(), CACHE_ORIGINS);
        assert!(!tokens.contains_key("https://9.example.com"));
        assert!(tokens.contains_key("https://10.example.com"));
    }

    #[test]
    fn a_key_is_taken_as_pkcs8_or_raw_and_else_refused() {
        let pair = VapidKeyPair::generate();
        let vapid = Vapid::new(&pair.private, SUBJECT.into()).unwrap();
        assert_eq!(vapid.public(), pair.public);
        let raw: EcPrivateKeyBin = vapid.key.private_key().as_be_bytes().unwrap();
        let again = Vapid::new(raw.as_ref(), SUBJECT.into()).unwrap();
        assert_eq!(again.public(), pair.public);
        read(&again.authorization(ORIGIN, now()));
        for bad in [&[0; 32], &[0xff; 32], b"-----BEGIN".as_slice(), b""] {
            let refused = Vapid::new(bad, SUBJECT.into());
            assert!(matches!(refused, Err(SetupError::VapidKey)));
        }
    }

    #[test]
    fn a_subject_is_a_contact() {
        for good in [SUBJECT, "https://phoneops.example/contact", "mailto:ops@localhost"] {
            assert!(reachable(good), "{good}");
        }
        for bad in ["", "ops@example.com", "mailto:ops", "mailto:@example.com", "http://x.example"] {
            assert!(!reachable(bad), "{bad}");
        }
    }

    #[test]
    fn keys_do_not_print() {
        let pair = VapidKeyPair::generate();
        let expected = format!("VapidKeyPair {{ public: {:?}, .. }}", pair.public);
        assert_eq!(format!("{pair:?}"), expected);
    }
}
