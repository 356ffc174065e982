//! Web Push: browsers, installed web apps and `UnifiedPush`.
//!
//! One message is one `POST` to the endpoint that the browser named (RFC 8030): Declarative Web Push JSON, encrypted for
//! that browser alone (RFC 8291), from a sender that names itself (RFC 8292).
//!
//! **Invariants**
//! - The endpoint is a stranger's URL. It passes [`crate::push::guard`] in its text and, when connecting, in its addresses; no redirect
//!   is followed, no proxy is asked, nothing is decompressed, and time and size have limits.
//! - The endpoint's path and the keys reach no log, error or outcome.
//! - Each origin has a client: connections are kept and shared, and replaced when they answer no more (`origins`). The VAPID key is parsed
//!   once.
//! - Nothing leaves after its deadline, and what leaves says how long it had when the carrier was called: connecting takes 3 s at most.
//! - What may be our key's fault ends no subscription unless that origin takes pushes from us (`push::credit`).

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response};
use tokio_rustls::rustls::{self, ClientConfig};
use zeroize::Zeroizing;

use super::answer::{REPLY_MAX_BYTES, beginning, why};
use super::credit::Credit;
use super::guard::{GuardedResolver, check_url};
use super::tls::{self, NoTls};
use super::{Carrier, Message, Outcome, Target, Urgency};
use crate::clock::Timestamp;
use crate::secret::{b64u, tagged_sha256};

mod discovery;
mod encrypt;
mod origins;
mod payload;
mod reply;
mod subscription;
#[cfg(test)]
mod tests;
mod vapid;

pub use discovery::NotUnifiedPush;
pub use subscription::{NotASubscription, Subscription};
pub use vapid::VapidKeyPair;

use origins::Origins;
use payload::Payload;
use reply::Reply;
use vapid::Vapid;

/// What the carrier needs to know.
pub struct WebPushConfig {
    /// The installation's VAPID key, P-256: PKCS#8, or the 32 bytes themselves. See [`VapidKeyPair::generate`].
    pub vapid_private_key: Zeroizing<Vec<u8>>,
    /// How a push service reaches whoever runs this installation: `mailto:ops@example.com` or an `https:` URL. Apple refuses
    /// addresses at `localhost` and `.invalid`, others take them.
    pub subject: String,
    /// Whether push services may live in private networks, and speak plain http.
    pub allow_private_networks: bool,
    /// Certificates (PEM) to trust besides those of the operating system.
    pub ca_pem: Option<Vec<u8>>,
}

impl fmt::Debug for WebPushConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebPushConfig")
            .field("subject", &self.subject)
            .field("allow_private_networks", &self.allow_private_networks)
            .finish_non_exhaustive()
    }
}

/// A configuration that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Neither PKCS#8 nor raw, or not of P-256.
    #[error("the VAPID key is not a P-256 private key in PKCS#8 or 32 raw bytes")]
    VapidKey,
    /// Push services want to reach somebody.
    #[error("web_push.subject is neither a mailto: address nor an https: URL")]
    Subject,
    /// The file holds no certificate, or a damaged one.
    #[error("ca_file holds no PEM certificate")]
    Ca,
    /// TLS cannot be set up, for instance because the operating system trusts nobody.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// Nor can what stands on it.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

impl From<NoTls> for SetupError {
    fn from(none: NoTls) -> Self {
        match none {
            NoTls::Ca => Self::Ca,
            NoTls::Tls(error) => Self::Tls(error),
        }
    }
}

/// How much of a stranger's time and text is taken.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) connect: Duration,
    pub(super) total: Duration,
}

pub(super) const LIMITS: Limits = Limits { connect: Duration::from_secs(3), total: Duration::from_secs(10) };

/// RFC 8030 section 5.2 lets a service shorten a life that is too long; four weeks is what all take.
const TTL_MAX_SECONDS: u64 = 28 * 24 * 60 * 60;

/// The carrier for [`Target::WebPush`].
pub struct WebPush {
    /// For whom nobody has sent anything yet.
    client: Client,
    origins: Origins,
    vapid: Vapid,
    allow_private_networks: bool,
    total: Duration,
}

impl WebPush {
    /// Parses the key, and sets up TLS. Connects to nothing.
    ///
    /// # Errors
    /// [`SetupError`] names what in the configuration is to blame.
    pub fn new(config: WebPushConfig) -> Result<Self, SetupError> {
        let resolver = GuardedResolver::new(config.allow_private_networks);
        Self::with(config, resolver, LIMITS)
    }

    fn with(config: WebPushConfig, resolver: GuardedResolver, limits: Limits) -> Result<Self, SetupError> {
        let (tls, allow_http) = (tls(config.ca_pem.as_deref())?, config.allow_private_networks);
        Ok(Self {
            vapid: Vapid::new(&config.vapid_private_key, config.subject)?,
            client: client(tls.clone(), allow_http, resolver.clone(), limits)?,
            origins: Origins::new(Box::new(move || client(tls.clone(), allow_http, resolver.clone(), limits))),
            allow_private_networks: config.allow_private_networks,
            total: limits.total,
        })
    }

    /// With at most that long for a message in all, and less where it takes less anyway: a caller that stops waiting before would not learn
    /// what came of it.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { total: self.total.min(limit), ..self }
    }

    /// The key browsers subscribe with: base64url of the 65-byte uncompressed point.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.vapid.public().to_owned()
    }

    async fn post(&self, message: &Message, to: &Subscription, now: Timestamp) -> Outcome {
        if now >= message.expires_at {
            return Outcome::Expired;
        }
        let origin = to.origin();
        if let Err(forbidden) = check_url(to.endpoint(), self.allow_private_networks) {
            return Outcome::Refused(format!("{origin} is not called: {forbidden}"));
        }
        let payload = match Payload::new(message) {
            Ok(payload) => payload,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let call = match self.origins.call(&origin) {
            Ok(call) => call,
            Err(error) => return Outcome::Retryable(format!("{origin}: {error}")),
        };
        let left = now.until(message.expires_at);
        let request = call
            .client
            .post(to.endpoint().clone())
            // After its deadline nothing of it leaves, not even from a connection that is slow to come.
            .timeout(left.min(self.total))
            .headers(self.headers(message, &origin, now))
            .body(encrypt::encrypt(&payload, to));
        match request.send().await {
            Ok(response) => {
                self.origins.answered(&origin);
                answered(response, &origin, &call.credit, now).await
            }
            Err(error) => {
                // One that was cut short says nothing of its connection.
                if error.is_timeout() && !error.is_connect() && left >= self.total {
                    self.origins.unanswered(&origin, &call);
                }
                failed(&error, &origin)
            }
        }
    }

    fn headers(&self, message: &Message, origin: &str, now: Timestamp) -> HeaderMap {
        let ttl = now.until(message.expires_at).as_secs();
        let urgency = match message.urgency {
            Urgency::High => "high",
            Urgency::Normal => "normal",
        };
        let topic = HeaderValue::try_from(topic(&message.tag)).expect("base64url fits a header");
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(AUTHORIZATION, self.vapid.authorization(origin, now));
        headers.insert("ttl", ttl.min(TTL_MAX_SECONDS).into());
        headers.insert("urgency", HeaderValue::from_static(urgency));
        headers.insert("topic", topic);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
        let octets = HeaderValue::from_static("application/octet-stream");
        headers.insert(CONTENT_TYPE, octets);
        headers
    }
}

impl Carrier for WebPush {
    fn name(&self) -> &'static str {
        "web_push"
    }

    fn send<'a>(&'a self, message: &'a Message, target: &'a Target, now: Timestamp) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match target {
                Target::WebPush(subscription) => self.post(message, subscription, now).await,
                Target::Apns(_) | Target::Fcm(_) | Target::Mail(_) => Outcome::Refused("the target is of another carrier".into()),
            }
        })
    }
}

impl fmt::Debug for WebPush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebPush")
            .field("public_key", &self.vapid.public())
            .field("allow_private_networks", &self.allow_private_networks)
            .finish_non_exhaustive()
    }
}

/// Whom clients for strangers' URLs trust.
pub(super) fn tls(ca_pem: Option<&[u8]>) -> Result<ClientConfig, SetupError> {
    Ok(tls::client(ca_pem, &[b"h2", b"http/1.1"])?)
}

/// A client for strangers' URLs, which keeps what the guard needs kept.
pub(super) fn client(
    tls: ClientConfig,
    allow_http: bool,
    resolver: GuardedResolver,
    limits: Limits,
) -> Result<Client, SetupError> {
    Client::builder()
        .user_agent(concat!("phoneops/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .https_only(!allow_http)
        .tls_backend_preconfigured(tls)
        .dns_resolver(resolver)
        .connect_timeout(limits.connect)
        .timeout(limits.total)
        // A silent HTTP/2 connection would swallow every message for as long as it is kept: a ping while one waits finds
        // it out, fails that message within the time limit, and the next connects anew.
        .http2_keep_alive_interval(Duration::from_secs(3))
        .http2_keep_alive_timeout(Duration::from_secs(3))
        .http2_keep_alive_while_idle(false)
        .build()
        .map_err(SetupError::Client)
}

/// At most 32 characters of base64url (RFC 8030 section 5.4) that tell a push service nothing about the tag.
fn topic(tag: &str) -> String {
    b64u(&tagged_sha256("phoneops.web_push.topic.v1", tag.as_bytes())[..24])
}

async fn answered(mut response: Response, origin: &str, credit: &Credit, now: Timestamp) -> Outcome {
    let body = beginning(&mut response, REPLY_MAX_BYTES).await;
    Reply { origin, status: response.status(), headers: response.headers(), body: &body }.outcome(credit, now)
}

/// A request without an answer.
fn failed(error: &reqwest::Error, origin: &str) -> Outcome {
    match why(error) {
        Ok(why) => Outcome::Retryable(format!("{origin}: {why}")),
        Err(forbidden) => Outcome::Refused(format!("{origin} is not called: {forbidden}")),
    }
}
