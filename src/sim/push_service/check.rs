//! What a push service demands of a message before it takes it: RFC 8030, RFC 8292, and Apple's strictness on top.
//!
//! **Invariants**
//! - Every refusal has a status and a stable reason, so a test can tell one fault from another.
//! - Nothing is repaired or guessed: what a real service somewhere refuses is refused here.

use axum::http::{HeaderMap, StatusCode, header};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::decrypt::Undecryptable;
use crate::clock::Timestamp;
use crate::secret::{b64u, from_b64u};

/// The largest body that a service must take (RFC 8030, section 7.2), and the largest this one does.
pub(super) const BODY_LIMIT: usize = 4096;
/// Thirty days in seconds: what Mozilla and Google store at most.
const TTL_LIMIT: u64 = 2_592_000;
const DAY: i64 = 24 * 60 * 60;

/// Why a push is refused: the status and the reason of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {reason}: {detail}")]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

pub(super) fn refused(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Refused {
    Refused { status, reason, detail: detail.into() }
}

fn bad(reason: &'static str, detail: impl Into<String>) -> Refused {
    refused(StatusCode::BAD_REQUEST, reason, detail)
}

fn forbidden(detail: impl Into<String>) -> Refused {
    refused(StatusCode::FORBIDDEN, "BadJwtToken", detail)
}

impl From<Undecryptable> for Refused {
    fn from(cause: Undecryptable) -> Self {
        bad("Undecryptable", cause.to_string())
    }
}

/// The headers of a push that decide its delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Seconds the message is kept for a phone that is away: what was asked, at most 30 days.
    pub ttl: u64,
    /// `very-low`, `low`, `normal` or `high`; `normal` when not said (RFC 8030, section 5.3).
    pub urgency: String,
    /// Replaces an undelivered message with the same topic (section 5.4).
    pub topic: Option<String>,
}

/// The claims of a push's VAPID token (RFC 8292, section 2), for the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vapid {
    /// The origin of the push service.
    pub aud: String,
    /// Seconds since the Unix epoch.
    pub exp: i64,
    /// Whom the push service may write to.
    pub sub: String,
}

/// RFC 8030, sections 5.2 to 5.4, and RFC 8291, section 4.
pub(super) fn delivery(headers: &HeaderMap, body: usize) -> Result<Delivery, Refused> {
    if body > BODY_LIMIT {
        let detail = format!("{body} bytes, at most {BODY_LIMIT}");
        return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge", detail));
    }
    let ttl = one(headers, "ttl", "BadTtl")?.ok_or_else(|| bad("BadTtl", "TTL is required"))?;
    if one(headers, "content-encoding", "BadContentEncoding")? != Some("aes128gcm") {
        return Err(bad("BadContentEncoding", "it must be aes128gcm"));
    }
    Ok(Delivery {
        ttl: seconds(ttl)?,
        urgency: urgency(one(headers, "urgency", "BadUrgency")?)?,
        topic: one(headers, "topic", "BadTopic")?.map(topic).transpose()?,
    })
}

/// A header that may be given once.
fn one<'a>(headers: &'a HeaderMap, name: &'static str, reason: &'static str) -> Result<Option<&'a str>, Refused> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(bad(reason, format!("{name} is given twice")));
    }
    let text = first.map(|value| value.to_str()).transpose();
    text.map_err(|_| bad(reason, format!("{name} is not ASCII")))
}

fn seconds(ttl: &str) -> Result<u64, Refused> {
    if ttl.is_empty() || !ttl.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad("BadTtl", "TTL must be a number of seconds"));
    }
    // Digits that do not fit 64 bits are a longer time than any service keeps.
    Ok(ttl.parse().unwrap_or(TTL_LIMIT).min(TTL_LIMIT))
}

fn urgency(text: Option<&str>) -> Result<String, Refused> {
    match text.unwrap_or("normal") {
        known @ ("very-low" | "low" | "normal" | "high") => Ok(known.to_owned()),
        other => Err(bad("BadUrgency", format!("{other:?} is no urgency"))),
    }
}

fn topic(text: &str) -> Result<String, Refused> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.is_empty() || text.len() > 32 || !text.bytes().all(allowed) {
        let detail = "1 to 32 characters of the base64url alphabet";
        return Err(bad("BadTopic", detail));
    }
    Ok(text.to_owned())
}

/// RFC 8292: who sends, proven with the key that the phone subscribed for.
///
/// `key` is that key (65 bytes); `origin` is this service's own.
pub(super) fn vapid(headers: &HeaderMap, key: &[u8], origin: &str, now: Timestamp) -> Result<Vapid, Refused> {
    let authorization = one(headers, header::AUTHORIZATION.as_str(), "BadAuthorization")?;
    let Some(authorization) = authorization else {
        let detail = "an Authorization with VAPID is required";
        return Err(refused(StatusCode::UNAUTHORIZED, "MissingAuthorization", detail));
    };
    let (token, sender) = parameters(authorization)?;
    if from_b64u(&sender).is_none_or(|sender| sender != key) {
        let detail = "the subscription was made for another applicationServerKey";
        return Err(refused(StatusCode::FORBIDDEN, "VapidPkHashMismatch", detail));
    }
    let claims = signed_claims(&token, key)?;
    if claims.aud != origin {
        return Err(forbidden(format!("aud is {:?} instead of {origin:?}", claims.aud)));
    }
    let left = claims.exp.saturating_sub(now.as_seconds());
    if left <= 0 || left > DAY {
        return Err(forbidden(format!("exp is in {left} s, not in 1 to {DAY}")));
    }
    contact(&claims.sub)?;
    Ok(claims)
}

/// `vapid t=…, k=…`, in any order, quoted or not (RFC 9110, section 11.4).
fn parameters(authorization: &str) -> Result<(String, String), Refused> {
    let malformed = || {
        let detail = "it must be `vapid t=<JWT>, k=<public key>`";
        refused(StatusCode::UNAUTHORIZED, "BadAuthorization", detail)
    };
    let (scheme, rest) = authorization.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("vapid") {
        return Err(malformed());
    }
    let (mut token, mut key) = (None, None);
    for parameter in rest.split(',') {
        let (name, value) = parameter.trim().split_once('=').ok_or_else(malformed)?;
        let slot = match name.to_ascii_lowercase().as_str() {
            "t" => &mut token,
            "k" => &mut key,
            _ => continue,
        };
        if slot.replace(value.trim_matches('"').to_owned()).is_some() {
            return Err(malformed());
        }
    }
    token.zip(key).ok_or_else(malformed)
}

/// The claims of an ES256 token that verifies with `key`.
fn signed_claims(token: &str, key: &[u8]) -> Result<Vapid, Refused> {
    let (x, y) = key[1..].split_at(32);
    let key = DecodingKey::from_ec_components(&b64u(x), &b64u(y)).map_err(|cause| forbidden(cause.to_string()))?;
    // Only the signature is checked there: jsonwebtoken would compare times with the machine's clock.
    let mut validation = Validation::new(Algorithm::ES256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode::<Vapid>(token, &key, &validation)
        .map(|token| token.claims)
        .map_err(|cause| forbidden(cause.to_string()))
}

/// Apple refuses a contact that it could not write to.
fn contact(sub: &str) -> Result<(), Refused> {
    let unusable = || forbidden(format!("sub {sub:?} is no usable mailto: or https: address"));
    let host = if let Some(address) = sub.strip_prefix("mailto:") {
        let (mailbox, domain) = address.rsplit_once('@').ok_or_else(unusable)?;
        if mailbox.is_empty() || address.contains(char::is_whitespace) {
            return Err(unusable());
        }
        domain.to_owned()
    } else if sub.starts_with("https://") {
        let url = Url::parse(sub).map_err(|_| unusable())?;
        url.host_str().ok_or_else(unusable)?.to_owned()
    } else {
        return Err(unusable());
    };
    let reserved = ["localhost", "invalid", "local"];
    let last = host.rsplit('.').next().unwrap_or_default();
    if !host.contains('.') || last.is_empty() || reserved.contains(&last) {
        return Err(unusable());
    }
    Ok(())
}

/// The plaintext as Declarative Web Push JSON.
pub(super) fn declarative(plaintext: &[u8]) -> Result<Value, Refused> {
    let bad = |detail: &str| bad("NotDeclarative", detail);
    let message: Value = serde_json::from_slice(plaintext).map_err(|cause| bad(&format!("no JSON: {cause}")))?;
    if message["web_push"] != 8030 {
        return Err(bad("web_push must be 8030"));
    }
    let notification = &message["notification"];
    if notification["title"].as_str().is_none_or(str::is_empty) {
        return Err(bad("notification.title must be a text"));
    }
    let navigate = notification["navigate"].as_str().map(Url::parse);
    if !matches!(navigate, Some(Ok(url)) if matches!(url.scheme(), "https" | "http")) {
        return Err(bad("notification.navigate must be an absolute http(s) URL"));
    }
    for name in ["body", "lang", "dir", "tag"] {
        if notification.get(name).is_some_and(|value| !value.is_string()) {
            return Err(bad(&format!("notification.{name} must be a text")));
        }
    }
    let switches = [notification.get("silent"), message.get("mutable")];
    if switches.into_iter().flatten().any(|value| !value.is_boolean()) {
        return Err(bad("silent and mutable must be true or false"));
    }
    Ok(message)
}
