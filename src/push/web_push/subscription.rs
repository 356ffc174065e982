//! Where a browser wants its messages, and for whom they are encrypted.

use std::fmt;

use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::secret::{b64u, equal, from_b64u};

/// Longer than any push service's endpoint (`UnifiedPush` allows 1000 bytes), short enough to store.
const ENDPOINT_MAX_BYTES: usize = 2_048;

/// A push subscription, as the device's protocol and the Push API write it:
/// `{"endpoint": URL, "keys": {"p256dh": b64u of 65 bytes, "auth": b64u of 16 bytes}}`.
///
/// All of it is secret: whoever holds the endpoint and the keys can ring that phone. Its `Debug` shows the origin alone, its
/// serialised form shows everything and is to be sealed before it is stored.
///
/// Whether the endpoint may be called at all is another question: [`crate::push::guard::check_url`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Subscription {
    endpoint: Url,
    p256dh: ParsedPublicKey,
    auth: [u8; 16],
}

/// A subscription that cannot be used, and which member of it is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct NotASubscription {
    /// `endpoint`, `keys.p256dh` or `keys.auth`.
    pub field: &'static str,
    /// What is expected there. Never what was found, which may be half a secret.
    pub problem: &'static str,
}

impl Subscription {
    /// Where messages are posted. A secret.
    #[must_use]
    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// The push service: `https://push.example.com`. Not secret.
    #[must_use]
    pub fn origin(&self) -> String {
        self.endpoint.origin().ascii_serialization()
    }

    /// The receiver's public key, known to be a point of P-256.
    pub(super) fn p256dh(&self) -> &ParsedPublicKey {
        &self.p256dh
    }

    /// The receiver's authentication secret.
    pub(super) fn auth(&self) -> &[u8; 16] {
        &self.auth
    }
}

impl PartialEq for Subscription {
    fn eq(&self, other: &Self) -> bool {
        self.endpoint == other.endpoint && self.p256dh.as_ref() == other.p256dh.as_ref() && equal(&self.auth, &other.auth)
    }
}

impl Eq for Subscription {}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({}/…)", self.origin())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    endpoint: String,
    keys: Keys,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    p256dh: String,
    auth: String,
}

impl TryFrom<Written> for Subscription {
    type Error = NotASubscription;

    fn try_from(written: Written) -> Result<Self, NotASubscription> {
        Ok(Self {
            endpoint: endpoint(&written.endpoint)?,
            p256dh: p256dh(&written.keys.p256dh)?,
            auth: auth(&written.keys.auth)?,
        })
    }
}

impl From<Subscription> for Written {
    fn from(subscription: Subscription) -> Self {
        Self {
            endpoint: subscription.endpoint.into(),
            keys: Keys { p256dh: b64u(&subscription.p256dh), auth: b64u(subscription.auth) },
        }
    }
}

fn endpoint(text: &str) -> Result<Url, NotASubscription> {
    let wrong = |problem| NotASubscription { field: "endpoint", problem };
    if text.len() > ENDPOINT_MAX_BYTES {
        return Err(wrong("expected at most 2048 bytes"));
    }
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http")).ok_or(wrong("expected an https URL"))
}

fn p256dh(text: &str) -> Result<ParsedPublicKey, NotASubscription> {
    let wrong = NotASubscription {
        field: "keys.p256dh",
        problem: "expected an uncompressed point of P-256, 65 bytes in base64url without padding",
    };
    // The parser below knows further forms (compressed, hybrid, X.509), which the encryption's key derivation does not.
    let bytes = from_b64u(text).filter(|bytes| bytes.len() == 65 && bytes[0] == 4).ok_or(wrong)?;
    ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, bytes)).map_err(|_| wrong)
}

fn auth(text: &str) -> Result<[u8; 16], NotASubscription> {
    from_b64u(text)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(NotASubscription { field: "keys.auth", problem: "expected 16 bytes in base64url without padding" })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// RFC 8291 appendix A.
    const P256DH: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    fn written() -> Value {
        json!({"endpoint": "https://push.example.com/send/secret",
               "keys": {"p256dh": P256DH, "auth": AUTH}})
    }

    fn refusal(pointer: &str, value: &str) -> String {
        let mut written = written();
        *written.pointer_mut(pointer).unwrap() = value.into();
        serde_json::from_value::<Subscription>(written).unwrap_err().to_string()
    }

    #[test]
    fn a_subscription_survives_its_text() {
        let subscription: Subscription = serde_json::from_value(written()).unwrap();
        assert_eq!(serde_json::to_value(&subscription).unwrap(), written());
        assert_eq!(subscription.origin(), "https://push.example.com");
    }

    #[test]
    fn a_subscription_does_not_print_its_secrets() {
        let subscription: Subscription = serde_json::from_value(written()).unwrap();
        assert_eq!(format!("{subscription:?}"), "Subscription(https://push.example.com/…)");
    }

    #[test]
    fn a_refusal_names_the_field_and_not_what_it_held() {
        let mut off_curve = from_b64u(P256DH).unwrap();
        off_curve[64] ^= 1;
        let mut hybrid = from_b64u(P256DH).unwrap();
        hybrid[0] = 6;
        let short = b64u(&off_curve[..64]);
        let infinity = b64u([0]);
        for point in [&b64u(&off_curve), &b64u(&hybrid), &short, &infinity, "", "+/+/"] {
            let text = refusal("/keys/p256dh", point);
            assert!(text.starts_with("keys.p256dh: expected"), "{text}");
        }
        for auth in [b64u([7; 15]), b64u([7; 17]), format!("{AUTH}=="), String::new()] {
            let text = refusal("/keys/auth", &auth);
            assert!(text.starts_with("keys.auth: expected"), "{text}");
        }
        let long = format!("https://push.example.com/{}", "x".repeat(2_048));
        for endpoint in ["/relative", "ftp://push.example.com/", "https://", &long] {
            let text = refusal("/endpoint", endpoint);
            assert!(text.starts_with("endpoint: expected"), "{text}");
        }
    }

    #[test]
    fn unknown_members_are_refused_by_name() {
        let mut written = written();
        written["expirationTime"] = Value::Null;
        let error = serde_json::from_value::<Subscription>(written).unwrap_err();
        assert!(error.to_string().contains("expirationTime"), "{error}");
    }
}
