//! Firebase Cloud Messaging, HTTP v1: Android phones with a native app.
//!
//! One message is one `POST` to the project of a service account, for an access token that is got with the account's key (RFC 7523).
//! What is sent is data: the app decides how it is shown, and a notification of the system's would be collapsed with others.
//!
//! **Invariants**
//! - No connection carries more than [`Limits::streams`] messages at once: Google ends those that do.
//! - One access token is asked for at a time, and none while one is good. While it ages it is used all the same.
//! - Nothing leaves after its deadline, nor later than [`Limits::place`] after the call, and what does says how long it has from then on.
//! - What may be the account's fault ends no registration unless Google takes pushes from us (`push::credit`).
//! - Identifiers, the account's key and access tokens reach no log, error or outcome.
//! - Nothing is sent in the clear to another machine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Client};
use url::{Host, Url};

use super::answer::{REPLY_MAX_BYTES, beginning, why};
use super::credit::Credit;
use super::names::Names;
use super::{Carrier, LEAVE, Message, Outcome, SOON, Target};
use crate::clock::{Clock, Timestamp};

mod access_token;
mod installation;
mod payload;
mod pool;
mod quota;
mod reply;
mod service_account;
#[cfg(test)]
mod tests;

pub use installation::{Installation, NotAnInstallation};
pub use service_account::{ServiceAccount, ServiceAccountInvalid};

use access_token::{Access, AccessTokens};
use pool::{Full, Place, Pool};
use quota::Quota;
use reply::{Meaning, Reply};

/// What the carrier needs to know.
pub struct FcmConfig {
    /// Who sends.
    pub account: ServiceAccount,
    /// Where messages are sent: `https://fcm.googleapis.com`, or what stands in for it.
    pub endpoint: Url,
    /// Certificates (PEM) to trust besides those of the operating system.
    pub ca_pem: Option<Vec<u8>>,
    /// What it may take: [`Limits::default`], except in tests.
    pub limits: Limits,
}

/// A configuration that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Neither https nor on this machine, or no place that messages could be posted to.
    #[error("fcm.endpoint: expected an https URL; http is for this machine only")]
    Endpoint,
    /// The file holds no certificate, or a damaged one.
    #[error("fcm.ca_file: holds no PEM certificate")]
    Ca,
    /// TLS cannot be set up, for instance because the operating system trusts nobody.
    #[error("fcm: the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// How many connections there are, what each carries, and how much time things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections that are kept to Google.
    pub connections: usize,
    /// Messages that one connection carries at once.
    pub streams: usize,
    /// Of all these places, those for [`Urgency::High`] alone.
    pub reserved: usize,
    /// Connecting, TLS included.
    pub connect: Duration,
    /// One call, the answer's body included.
    pub call: Duration,
    /// Until a message has left: waiting for an access token and for a place on a connection.
    pub place: Duration,
    /// Everything.
    pub total: Duration,
    /// How long a connection may be silent while something waits on it, before and after it is asked whether it lives.
    pub silence: Duration,
}

/// Google answers the hundred and first message of a connection with `GOAWAY`, and asks for ten seconds at least.
impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4,
            streams: 100,
            reserved: 80,
            connect: Duration::from_secs(3),
            call: Duration::from_secs(10),
            place: LEAVE,
            total: Duration::from_secs(14),
            silence: Duration::from_secs(3),
        }
    }
}

impl Limits {
    /// With at most that long for a message in all, and accordingly less for everything in it: a caller that stops waiting before would not
    /// learn what came of it.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        if limit >= self.total {
            return self;
        }
        let share = limit.as_secs_f64() / self.total.as_secs_f64();
        let less = |time: Duration| time.mul_f64(share);
        Self { connect: less(self.connect), call: less(self.call), place: less(self.place), total: limit, ..self }
    }
}

/// The carrier for [`Target::Fcm`].
pub struct Fcm {
    clock: Clock,
    url: Url,
    pool: Pool,
    tokens: Arc<AccessTokens>,
    credit: Credit,
    quota: Quota,
    limits: Limits,
}

/// One message on its way.
struct Sending<'m> {
    message: &'m Message,
    to: &'m Installation,
    /// When it was called for, by the caller's clock and by ours.
    called: Timestamp,
    began: Timestamp,
}

impl Fcm {
    /// Sets up the clients. Connects to nothing.
    ///
    /// # Errors
    /// [`SetupError`] names what in the configuration is to blame.
    pub fn new(config: FcmConfig, clock: Clock) -> Result<Self, SetupError> {
        Self::with(config, clock, Names::system())
    }

    fn with(config: FcmConfig, clock: Clock, names: Names) -> Result<Self, SetupError> {
        let FcmConfig { account, endpoint, ca_pem, limits } = config;
        let url = messages_url(&endpoint, account.project()).ok_or(SetupError::Endpoint)?;
        // Over TLS only HTTP/2, so that a hundred messages that find no connection make one and not a hundred.
        let multiplexed = url.scheme() == "https";
        let tokens = Arc::new(AccessTokens::new(account, client(ca_pem.as_deref(), false, limits, names.clone())?));
        let pool = Pool::new(limits, Box::new(move || client(ca_pem.as_deref(), multiplexed, limits, names.clone())))?;
        Ok(Self { clock, url, pool, tokens, credit: Credit::default(), quota: Quota::default(), limits })
    }

    /// Gets an access token, and sends nothing: for operators, before it matters.
    ///
    /// # Errors
    /// What stands in the way, for people.
    pub async fn try_out(&self, now: Timestamp) -> Result<(), String> {
        match tokio::time::timeout(self.limits.total, self.tokens.good(now)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(Outcome::Misconfigured(why) | Outcome::Retryable(why))) => Err(why),
            Ok(Err(other)) => Err(format!("{other:?}")),
            Err(_) => Err("no answer in time".into()),
        }
    }

    async fn post(&self, message: &Message, to: &Installation, called: Timestamp) -> Outcome {
        if called >= message.expires_at {
            return Outcome::Expired;
        }
        let sending = Sending { message, to, called, began: self.clock.now() };
        match tokio::time::timeout(self.limits.total, self.signed_in(&sending)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Retryable("FCM gave no answer in time".into()),
        }
    }

    /// Sends with the access token that is kept, and once more when that one is not accepted any more.
    async fn signed_in(&self, sending: &Sending<'_>) -> Outcome {
        let access = match self.tokens.good(self.now(sending)).await {
            Ok(access) => access,
            Err(outcome) => return outcome,
        };
        match self.once(sending, &access).await {
            Answer::NotSignedIn => {}
            Answer::Final(outcome) => return outcome,
        }
        let access = match self.tokens.instead_of(&access, self.now(sending)).await {
            Ok(access) => access,
            Err(outcome) => return outcome,
        };
        match self.once(sending, &access).await {
            Answer::NotSignedIn => access_token::not_accepted(),
            Answer::Final(outcome) => outcome,
        }
    }

    /// The caller's time, by now.
    fn now(&self, sending: &Sending<'_>) -> Timestamp {
        sending.called.after(sending.began.until(self.clock.now()))
    }

    /// Sends, if the message finds a place before its time to leave is over.
    async fn once(&self, sending: &Sending<'_>, access: &Access) -> Answer {
        let Sending { message, to, called, .. } = *sending;
        let place = match self.pool.place(message.urgency).await {
            Ok(place) => place,
            Err(Full::Busy) => return Answer::Final(Outcome::RetryAfter(SOON)),
            Err(Full::Stuck) => return Answer::Final(Outcome::Retryable("every connection to FCM is busy".into())),
        };
        // It may have waited, for the access token too: what the caller knew of it is so old by now.
        let now = self.now(sending);
        if now >= message.expires_at {
            return Answer::Final(Outcome::Expired);
        }
        if called.until(now) >= self.limits.place {
            return Answer::Final(Outcome::RetryAfter(SOON));
        }
        match payload::write(message, to, now) {
            Ok(body) => self.call(place, body, access, sending).await,
            Err(why) => Answer::Final(Outcome::Refused(why.to_string())),
        }
    }

    async fn call(&self, place: Place<'_>, body: Vec<u8>, access: &Access, sending: &Sending<'_>) -> Answer {
        let left = self.now(sending).until(sending.message.expires_at);
        let request = place
            .client
            .post(self.url.clone())
            // After its deadline nothing of it leaves, not even from a connection that is slow to come.
            .timeout(left.min(self.limits.call))
            .header(AUTHORIZATION, access.header())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))
            .body(body);
        match request.send().await {
            Ok(mut response) => {
                place.answered();
                let body = beginning(&mut response, REPLY_MAX_BYTES).await;
                let reply = Reply { status: response.status().as_u16(), headers: response.headers(), body: &body };
                self.understood(&reply, sending)
            }
            Err(error) => {
                // One that was cut short says nothing of its connection.
                if error.is_timeout() && !error.is_connect() && left >= self.limits.call {
                    place.unanswered();
                }
                let why = why(&error).unwrap_or_else(ToString::to_string);
                Answer::Final(Outcome::Retryable(format!("FCM: {why}")))
            }
        }
    }

    /// What an answer means, given what others were answered.
    fn understood(&self, reply: &Reply<'_>, sending: &Sending<'_>) -> Answer {
        let now = self.now(sending);
        Answer::Final(match reply.meaning(now) {
            Meaning::NotSignedIn => return Answer::NotSignedIn,
            Meaning::Plain(outcome) => {
                if matches!(outcome, Outcome::Accepted { .. }) {
                    self.credit.accepted();
                    self.quota.accepted();
                }
                outcome
            }
            Meaning::Doubtful(_) if self.credit.believes() => Outcome::Gone { since: None },
            Meaning::Doubtful(why) => Outcome::Misconfigured(why),
            Meaning::TooMany(wait) if self.quota.is_everybodys(sending.to, wait, now) => Outcome::Throttled(wait),
            Meaning::TooMany(wait) => Outcome::RetryAfter(wait),
        })
    }
}

/// What one call came to.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The access token is not accepted.
    NotSignedIn,
    /// Anything else.
    Final(Outcome),
}

impl Carrier for Fcm {
    fn name(&self) -> &'static str {
        "fcm"
    }

    fn send<'a>(&'a self, message: &'a Message, target: &'a Target, now: Timestamp) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match target {
                Target::Fcm(installation) => self.post(message, installation, now).await,
                Target::Apns(_) | Target::WebPush(_) | Target::Mail(_) => {
                    Outcome::Refused("the target is of another carrier".into())
                }
            }
        })
    }
}

impl fmt::Debug for Fcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fcm").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// `https://fcm.googleapis.com/v1/projects/{project}/messages:send`
fn messages_url(endpoint: &Url, project: &str) -> Option<Url> {
    let mut url = endpoint.clone();
    if !goes_in_secret(&url) || url.query().is_some() || url.fragment().is_some() {
        return None;
    }
    url.path_segments_mut().ok()?.pop_if_empty().extend(["v1", "projects", project, "messages:send"]);
    Some(url)
}

/// Whether nobody on the way reads what is sent there: https, or this machine.
fn goes_in_secret(url: &Url) -> bool {
    let nobody = url.username().is_empty() && url.password().is_none();
    let here = || match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    nobody && (url.scheme() == "https" || (url.scheme() == "http" && here()))
}

fn client(ca_pem: Option<&[u8]>, multiplexed: bool, limits: Limits, names: Names) -> Result<Client, SetupError> {
    let mut builder = Client::builder()
        .user_agent(concat!("phoneops/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .dns_resolver(names)
        .connect_timeout(limits.connect)
        .timeout(limits.call)
        // One connection that nothing comes back on would take a hundred messages with it: a ping while one waits finds it out.
        .http2_keep_alive_interval(limits.silence)
        .http2_keep_alive_timeout(limits.silence)
        .http2_keep_alive_while_idle(false);
    if multiplexed {
        builder = builder.http2_prior_knowledge();
    }
    if let Some(pem) = ca_pem {
        let certificates = Certificate::from_pem_bundle(pem).map_err(|_| SetupError::Ca)?;
        if certificates.is_empty() {
            return Err(SetupError::Ca);
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(SetupError::Client)
}
