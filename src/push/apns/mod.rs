//! Apple Push Notification service: iPhones and iPads with a native app.
//!
//! One message is one request of HTTP/2 (`request`) on one of a few connections that are kept (`pool`, `connection`), in the name of a
//! provider token that all of them share (`provider_token`). What Apple's answers mean is a table (`reply`).
//!
//! **Invariants**
//! - What Apple certainly did not process is sent again at once on another connection, with the same `apns-id`; of what it may have
//!   processed the caller hears [`Outcome::Retryable`], and sends it again, under a new `apns-id` and the same collapse id.
//! - No more streams than the peer allows, and one until the connection had its first request accepted.
//! - Whoever waits, waits for a limited time and in limited company; a caller that stops waiting leaves nothing behind.
//! - Nothing leaves after its deadline, nor later than [`LEAVE`] after the call, however long it waited for room or for a token.
//! - What may be the topic's or the environment's fault ends no registration unless Apple takes pushes from us (`push::credit`).
//! - The device token and the provider token reach no log, error or outcome.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use url::Url;

use super::credit::Credit;
use super::tls::NoTls;
use super::{Carrier, LEAVE, Message, Outcome, SOON, Target};
use crate::clock::{Clock, Timestamp};

mod connection;
mod device_token;
mod patience;
mod payload;
mod pool;
mod provider_token;
mod reply;
mod request;
mod silence;
#[cfg(test)]
pub(super) mod tests;
mod way;

pub use device_token::{DeviceToken, NotADeviceToken};
pub use provider_token::{Decision, LocalTokens, Minter, NoToken, ProviderToken, ProviderTokens};

use connection::Lost;
use patience::Patience;
use pool::Pool;
use reply::{Meaning, Reply};
use request::{Push, Requests};
use way::Way;

/// How many connections a server keeps at most. Apple asks to spread bursts over several.
pub const CONNECTIONS: usize = 8;

/// How long Apple may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// One message in all, however often it is sent again.
const TOTAL: Duration = Duration::from_secs(14);

/// How often one message is sent again because it was not processed.
const RESENT_MAX: u32 = 8;

/// How often one message goes on to another connection because that one was of no use.
const EXCUSED_MAX: u32 = 3;

/// What the carrier needs to know.
#[derive(Debug, Clone)]
pub struct ApnsConfig {
    /// `https://api.push.apple.com`, or what stands in for it.
    pub endpoint: Url,
    /// The app's bundle id.
    pub topic: String,
    /// Whether Apple lets the app sound through mute and Focus (`com.apple.developer.usernotifications.critical-alerts`).
    pub critical_alerts: bool,
    /// Certificates (PEM) to trust besides those of the operating system.
    pub ca_pem: Option<Vec<u8>>,
    /// How many connections are kept at most, [`CONNECTIONS`] for a server. At least one is.
    pub connections: usize,
}

/// A configuration that cannot work. Its text begins with the key of the configuration that is to blame.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Not what Apple lets people download as `AuthKey_….p8`.
    #[error("key_file holds no P-256 private key in PKCS#8 and PEM, as Apple's AuthKey_….p8 does")]
    Key,
    /// Apple's key ids have ten letters and digits.
    #[error("key_id is not 10 capital letters and digits")]
    KeyId,
    /// So have its team ids.
    #[error("team_id is not 10 capital letters and digits")]
    TeamId,
    /// The app's bundle id is its topic.
    #[error("topic is not a bundle id like com.example.phoneops")]
    Topic,
    /// The token would travel in the open.
    #[error("endpoint is not an https: URL of a host alone, like https://api.push.apple.com")]
    Endpoint,
    /// The file holds no certificate, or a damaged one.
    #[error("ca_file holds no PEM certificate")]
    Ca,
    /// TLS cannot be set up, for instance because the operating system trusts nobody.
    #[error("TLS cannot be set up")]
    Tls(#[source] tokio_rustls::rustls::Error),
}

impl From<NoTls> for SetupError {
    fn from(none: NoTls) -> Self {
        match none {
            NoTls::Ca => Self::Ca,
            NoTls::Tls(error) => Self::Tls(error),
        }
    }
}

/// The carrier for [`Target::Apns`].
pub struct Apns {
    clock: Clock,
    tokens: Arc<dyn ProviderTokens>,
    requests: Requests,
    critical_alerts: bool,
    pool: Pool,
    patience: Patience,
    credit: Credit,
    total: Duration,
}

/// Until when a message may do what.
#[derive(Clone, Copy)]
struct Times {
    /// Leave.
    leave: Timestamp,
    /// Be answered.
    over: Timestamp,
    /// Be of use.
    expires_at: Timestamp,
}

impl Apns {
    /// Checks the configuration. Connects to nothing: the first message does.
    ///
    /// # Errors
    /// [`SetupError`] names what in the configuration is to blame.
    pub fn new(config: &ApnsConfig, tokens: Arc<dyn ProviderTokens>, clock: Clock) -> Result<Self, SetupError> {
        let way = Way::new(&config.endpoint, config.ca_pem.as_deref())?;
        Ok(Self {
            requests: Requests::new(way.authority(), &config.topic)?,
            critical_alerts: config.critical_alerts,
            pool: Pool::new(way, clock.clone(), config.connections.max(1)),
            patience: Patience::default(),
            credit: Credit::default(),
            total: TOTAL,
            tokens,
            clock,
        })
    }

    /// With at most that long for a message in all, and less where it takes less anyway: a caller that stops waiting before would not learn
    /// what came of it.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { total: self.total.min(limit), ..self }
    }

    async fn push(&self, message: &Message, device: &DeviceToken, now: Timestamp) -> Outcome {
        if now >= message.expires_at {
            return Outcome::Expired;
        }
        if let Some(left) = self.patience.left(device, now) {
            return Outcome::RetryAfter(left);
        }
        let body = match payload::write(message, self.critical_alerts) {
            Ok(body) => body,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let push = Push::new(message, device, body, now);
        let outcome = self.deliver(&push, message.expires_at).await;
        match &outcome {
            Outcome::Accepted { .. } | Outcome::Gone { .. } => self.patience.end(device),
            _ => {}
        }
        outcome
    }

    /// Sends until Apple has answered, or may have: once as a rule, again where it certainly did nothing.
    async fn deliver(&self, push: &Push<'_>, expires_at: Timestamp) -> Outcome {
        let now = self.clock.now();
        let times = Times { leave: now.after(LEAVE.min(self.total / 2)), over: now.after(self.total), expires_at };
        let (mut resent, mut excused) = (0, 0);
        loop {
            let now = self.clock.now();
            if now >= expires_at {
                return Outcome::Expired;
            }
            if now >= times.leave {
                return Outcome::RetryAfter(SOON);
            }
            let (reply, token) = match self.once(push, times).await {
                Ok(answered) => answered,
                Err(Lost::Late) => continue,
                Err(Lost::NoConnection(_)) if self.clock.now() >= expires_at => continue,
                Err(Lost::Unprocessed(_)) if resent < RESENT_MAX && self.clock.now() < times.leave => {
                    resent += 1;
                    continue;
                }
                Err(Lost::NoToken(none)) => return none.into(),
                Err(Lost::Unprocessed(why) | Lost::NoConnection(why) | Lost::Unknown(why)) => return Outcome::Retryable(why),
            };
            match reply.meaning() {
                Meaning::Elsewhere if excused < EXCUSED_MAX => {}
                Meaning::NewToken => match self.in_time(times.over, self.tokens.renewed(&token, self.clock.now())).await {
                    // A connection on which an old token was refused refuses a new one too.
                    Ok(_) | Err(NoToken::TooYoung) if excused < EXCUSED_MAX => {}
                    Ok(_) => return reply.outcome(&self.credit),
                    Err(none) => return none.into(),
                },
                Meaning::BackOff => return Outcome::RetryAfter(self.patience.begin(push.device, self.clock.now())),
                _ => return reply.outcome(&self.credit),
            }
            excused += 1;
        }
    }

    /// One request, in the name of the token of that moment. The connection hears what its answer means for it.
    async fn once(&self, push: &Push<'_>, times: Times) -> Result<(Reply, ProviderToken), Lost> {
        let line = self.pool.line(push.urgency, times.leave.min(times.expires_at)).await?;
        let token = self.in_time(times.over, self.tokens.current(self.clock.now())).await.map_err(Lost::NoToken)?;
        // It may have waited for either: what the caller knew of it is so old by now.
        let now = self.clock.now();
        if now >= times.leave.min(times.expires_at) {
            return Err(Lost::Late);
        }
        let request = self.requests.request(push, &token, line.is_first());
        let reply = line.exchange(request, push.body.clone(), now, times.over, &self.clock).await?;
        if reply.condemns() {
            line.condemn();
        } else if reply.proves() {
            line.prove();
        }
        Ok((reply, token))
    }

    /// A token, unless whoever keeps them takes longer than the message has.
    async fn in_time(
        &self,
        over: Timestamp,
        asked: BoxFuture<'_, Result<ProviderToken, NoToken>>,
    ) -> Result<ProviderToken, NoToken> {
        tokio::select! {
            biased;
            token = asked => token,
            () = self.clock.sleep_until(over) => Err(NoToken::Unavailable("it was not there in time".to_owned())),
        }
    }
}

impl Carrier for Apns {
    fn name(&self) -> &'static str {
        "apns"
    }

    fn send<'a>(&'a self, message: &'a Message, target: &'a Target, now: Timestamp) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match target {
                Target::Apns(device) => self.push(message, device, now).await,
                Target::Fcm(_) | Target::WebPush(_) | Target::Mail(_) => {
                    Outcome::Refused("the target is of another carrier".into())
                }
            }
        })
    }
}

impl fmt::Debug for Apns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Apns").field("requests", &self.requests).finish_non_exhaustive()
    }
}
