//! One push as a request of HTTP/2: `POST /3/device/…` and its headers.
//!
//! **Invariants**
//! - `:path` and `authorization` never enter the table of header compression, as Apple asks: the device token is nobody's business on
//!   that connection, and the table is small. `apns-id`, `apns-expiration` and `apns-collapse-id` enter it once, by name.
//! - The collapse id tells Apple nothing about the tag, and is the same for every try of a round.

use std::fmt;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::uri::{Authority, Scheme, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use uuid::Uuid;

use super::{DeviceToken, ProviderToken, SetupError};
use crate::clock::Timestamp;
use crate::push::{Message, Urgency};
use crate::secret::{b64u, random, tagged_sha256};

const ID: HeaderName = HeaderName::from_static("apns-id");
const TOPIC: HeaderName = HeaderName::from_static("apns-topic");
const PUSH_TYPE: HeaderName = HeaderName::from_static("apns-push-type");
const PRIORITY: HeaderName = HeaderName::from_static("apns-priority");
const EXPIRATION: HeaderName = HeaderName::from_static("apns-expiration");
const COLLAPSE_ID: HeaderName = HeaderName::from_static("apns-collapse-id");

/// Apple keeps nothing for longer.
const STORED_MAX: std::time::Duration = std::time::Duration::from_hours(30 * 24);

/// What is the same in all requests.
pub(super) struct Requests {
    authority: Authority,
    topic: HeaderValue,
}

/// What is the same in all tries of one push.
pub(super) struct Push<'a> {
    pub(super) device: &'a DeviceToken,
    pub(super) body: Bytes,
    pub(super) urgency: Urgency,
    id: HeaderValue,
    collapse_id: HeaderValue,
    expiration: HeaderValue,
    priority: &'static str,
}

impl<'a> Push<'a> {
    pub(super) fn new(message: &Message, device: &'a DeviceToken, body: Bytes, now: Timestamp) -> Self {
        let id = uuid::Builder::from_random_bytes(random()).into_uuid();
        let expiration = message.expires_at.min(now.after(STORED_MAX));
        Self {
            device,
            body,
            urgency: message.urgency,
            id: header(id.hyphenated().encode_lower(&mut Uuid::encode_buffer())),
            collapse_id: header(&collapse_id(&message.tag)),
            expiration: HeaderValue::from(expiration.as_seconds()),
            priority: match message.urgency {
                Urgency::High => "10",
                Urgency::Normal => "5",
            },
        }
    }
}

/// Never fails for what is given here: digits, letters, hyphens, underscores.
fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("base64url and UUIDs fit a header")
}

/// 43 bytes of the 64 that Apple allows.
fn collapse_id(tag: &str) -> String {
    b64u(tagged_sha256("phoneops.apns.collapse.v1", tag.as_bytes()))
}

impl Requests {
    pub(super) fn new(authority: Authority, topic: &str) -> Result<Self, SetupError> {
        let part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !topic.contains('.') || !topic.split('.').all(part) {
            return Err(SetupError::Topic);
        }
        Ok(Self { authority, topic: header(topic) })
    }

    /// The head of one try, in the name of `token`. `is_first` of a connection enters the names of headers into its table.
    pub(super) fn request(&self, push: &Push<'_>, token: &ProviderToken, is_first: bool) -> Request<()> {
        let each_time = |value: &HeaderValue| {
            let mut value = value.clone();
            value.set_sensitive(!is_first);
            value
        };
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(AUTHORIZATION, token.authorization());
        headers.insert(TOPIC, self.topic.clone());
        headers.insert(PUSH_TYPE, HeaderValue::from_static("alert"));
        headers.insert(PRIORITY, HeaderValue::from_static(push.priority));
        headers.insert(ID, each_time(&push.id));
        headers.insert(EXPIRATION, each_time(&push.expiration));
        headers.insert(COLLAPSE_ID, each_time(&push.collapse_id));
        headers.insert(CONTENT_LENGTH, push.body.len().into());
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.uri(push.device);
        *request.headers_mut() = headers;
        request
    }

    fn uri(&self, device: &DeviceToken) -> Uri {
        let path = format!("/3/device/{}", device.as_hex());
        let uri = Uri::builder().scheme(Scheme::HTTPS).authority(self.authority.clone()).path_and_query(path);
        uri.build().expect("hex digits are a path")
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").field("authority", &self.authority).field("topic", &self.topic).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::provider_token::tests::minter;
    use super::super::tests::{device, message};
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn requests() -> Requests {
        Requests::new(Authority::from_static("api.push.example:2197"), "com.example.phoneops").unwrap()
    }

    #[test]
    fn a_request_is_as_apple_wants_it() {
        let (device, token) = (device(7), minter().mint(NOW));
        let push = Push::new(&message(), &device, Bytes::from_static(b"{}"), NOW);
        let request = requests().request(&push, &token, true);
        let uri = format!("https://api.push.example:2197/3/device/{}", device.as_hex());
        assert_eq!((request.method(), request.uri().to_string()), (&Method::POST, uri));
        let header = |name: &str| request.headers()[name].to_str().unwrap();
        assert_eq!(header("apns-topic"), "com.example.phoneops");
        assert_eq!((header("apns-push-type"), header("apns-priority"), header("content-length")), ("alert", "10", "2"));
        assert_eq!(header("apns-expiration"), NOW.after(std::time::Duration::from_mins(5)).as_seconds().to_string());
        assert_eq!(header("apns-collapse-id").len(), 43);
        let id = header("apns-id");
        assert_eq!(id.parse::<Uuid>().unwrap().hyphenated().to_string(), id);
        assert_eq!(request.headers().len(), 8);
    }

    #[test]
    fn what_changes_each_time_is_in_the_table_once() {
        let (device, token) = (device(7), minter().mint(NOW));
        let push = Push::new(&message(), &device, Bytes::new(), NOW);
        let sensitive = |is_first| {
            let request = requests().request(&push, &token, is_first);
            let mut names: Vec<_> =
                request.headers().iter().filter(|(_, value)| value.is_sensitive()).map(|(name, _)| name.to_string()).collect();
            names.sort();
            names
        };
        assert_eq!(sensitive(true), ["authorization"]);
        assert_eq!(sensitive(false), ["apns-collapse-id", "apns-expiration", "apns-id", "authorization"]);
    }

    #[test]
    fn the_next_try_has_another_id_and_the_same_place_on_the_screen() {
        let device = device(7);
        let push = || Push::new(&message(), &device, Bytes::new(), NOW);
        let (one, other) = (push(), push());
        assert_ne!(one.id, other.id);
        assert_eq!(one.collapse_id, other.collapse_id);
        assert_ne!(collapse_id("ntf_1.1"), collapse_id("ntf_1.2"));
    }

    #[test]
    fn a_life_is_cut_to_what_apple_stores() {
        let (device, mut message) = (device(7), message());
        message.expires_at = NOW.after(std::time::Duration::from_hours(24 * 365));
        message.urgency = Urgency::Normal;
        let push = Push::new(&message, &device, Bytes::new(), NOW);
        assert_eq!(push.expiration.to_str().unwrap(), NOW.after(STORED_MAX).as_seconds().to_string());
        assert_eq!(push.priority, "5");
    }

    #[test]
    fn a_topic_is_a_bundle_id() {
        for bad in ["", "phoneops", "com..phoneops", "com.example.phone ops", "com.example\r\nx: y", ".com"] {
            let refused = Requests::new(Authority::from_static("api.push.example"), bad);
            assert!(matches!(refused, Err(SetupError::Topic)), "{bad:?}");
        }
    }
}
