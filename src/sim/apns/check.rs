//! What Apple demands of a request before it takes it.
//!
//! **Invariants**
//! - Whatever Apple refuses is refused. Some of what Apple takes is refused too: a request without a push type, and a payload that Apple
//!   would take and the device then drop.

use std::sync::Arc;

use serde_json::Value;

use super::payload;
use super::reason::Reason;
use crate::secret::random;
use crate::sim::http2::Request;

/// A notification, as its headers and its body describe it.
#[derive(Clone, Debug)]
pub(super) struct Notification {
    pub(super) device: String,
    pub(super) topic: Arc<str>,
    pub(super) push_type: PushType,
    /// 1, 5 or 10.
    pub(super) priority: u8,
    /// Seconds since the Unix epoch; 0 for one attempt only.
    pub(super) expiration: Option<i64>,
    pub(super) collapse_id: Option<Arc<str>>,
    pub(super) payload: Arc<Value>,
}

/// `apns-push-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushType {
    Alert,
    Background,
    Other {
        /// What the topic ends in.
        suffix: &'static str,
        limit: usize,
    },
}

impl PushType {
    fn parse(text: &str) -> Option<Self> {
        let other = |suffix| Some(Self::Other { suffix, limit: 4096 });
        match text {
            "alert" => Some(Self::Alert),
            "background" => Some(Self::Background),
            "voip" => Some(Self::Other { suffix: ".voip", limit: 5120 }),
            "location" => other(".location-query"),
            "complication" => other(".complication"),
            "fileprovider" => other(".pushkit.fileprovider"),
            "liveactivity" => other(".push-type.liveactivity"),
            "pushtotalk" => other(".voip-ptt"),
            "controls" => other(".push-type.controls"),
            "widgets" => other(".push-type.widgets"),
            "mdm" => other(""),
            _ => None,
        }
    }

    fn limit(self) -> usize {
        match self {
            Self::Alert | Self::Background => 4096,
            Self::Other { limit, .. } => limit,
        }
    }

    /// The bundle id in a topic of this type.
    pub(super) fn bundle(self, topic: &str) -> Option<&str> {
        match self {
            Self::Alert | Self::Background => Some(topic),
            Self::Other { suffix, .. } => topic.strip_suffix(suffix),
        }
    }
}

/// Headers of which there may be one.
const SINGLE: [&str; 7] =
    ["authorization", "apns-id", "apns-topic", "apns-push-type", "apns-priority", "apns-expiration", "apns-collapse-id"];

/// Whether the request is for a notification at all: told before anybody asks who sends.
pub(super) fn address(request: &Request) -> Result<(), Reason> {
    let token = request.path.strip_prefix("/3/device").ok_or(Reason::BadPath)?;
    if &*request.method != "POST" {
        return Err(Reason::MethodNotAllowed);
    }
    match token {
        "" | "/" => return Err(Reason::MissingDeviceToken),
        token if !token.starts_with('/') || token[1..].contains(['/', '?', '#']) => return Err(Reason::BadPath),
        _ => {}
    }
    if SINGLE.iter().any(|name| request.all(name).nth(1).is_some()) {
        return Err(Reason::DuplicateHeaders);
    }
    Ok(())
}

/// The device token of the path, in lower case.
fn device(request: &Request) -> Result<String, Reason> {
    let token = request.path.strip_prefix("/3/device/").ok_or(Reason::BadPath)?;
    let hex = token.len().is_multiple_of(2) && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex { Ok(token.to_ascii_lowercase()) } else { Err(Reason::BadDeviceToken) }
}

/// The canonical UUID by which the notification is known: the sender's, or a new one (RFC 9562, version 4).
pub(super) fn id(request: &Request) -> Result<String, Reason> {
    let Some(given) = request.header("apns-id") else {
        return Ok(new_id());
    };
    let groups: Vec<_> = given.split('-').map(str::len).collect();
    let plain = given.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    if plain && groups == [8, 4, 4, 4, 12] { Ok(given.to_string()) } else { Err(Reason::BadMessageId) }
}

/// A new id.
pub(super) fn new_id() -> String {
    let mut bytes = random::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    uuid::Uuid::from_bytes(bytes).to_string()
}

/// All that can be said without knowing who sends and who receives.
pub(super) fn notification(request: &Request) -> Result<Notification, Reason> {
    let device = device(request)?;
    id(request)?;
    let expiration = request.header("apns-expiration").map(|text| expiration(text)).transpose()?;
    let priority = request.header("apns-priority").map_or(Ok(10), |text| priority(text))?;
    let collapse_id = request.header("apns-collapse-id").cloned();
    if collapse_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > 64) {
        return Err(Reason::BadCollapseId);
    }
    let push_type = request.header("apns-push-type").and_then(|text| PushType::parse(text)).ok_or(Reason::InvalidPushType)?;
    let topic = request.header("apns-topic").cloned().ok_or(Reason::MissingTopic)?;
    let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    if topic.is_empty() || !topic.bytes().all(named) || push_type.bundle(&topic).is_none_or(str::is_empty) {
        return Err(Reason::BadTopic);
    }
    if request.body.len() > push_type.limit() {
        return Err(Reason::PayloadTooLarge);
    }
    let payload = Arc::new(payload::check(&request.body, push_type, priority)?);
    Ok(Notification { device, topic, push_type, priority, expiration, collapse_id, payload })
}

fn expiration(text: &str) -> Result<i64, Reason> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(Reason::BadExpirationDate)
}

fn priority(text: &str) -> Result<u8, Reason> {
    match text {
        "10" => Ok(10),
        "5" => Ok(5),
        "1" => Ok(1),
        _ => Err(Reason::BadPriority),
    }
}
