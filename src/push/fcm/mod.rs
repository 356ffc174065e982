//! Firebase Cloud Messaging, HTTP v1: Android phones with a native app.
//!
//! One message is one `POST` to the project of a service account, for an access token that is got with the account's key (RFC 7523).
//! What is sent is data: the app decides how it is shown, and a notification of the system's would be collapsed with others.
//!
//! **Invariants**
//! - No connection carries more than [`Limits::streams`] messages at once: Google ends those that do.
//! - One access token is asked for at a time, and none while one is good. While it ages it is used all the same.
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
use super::{Carrier, Message, Outcome, Target, Urgency};
use crate::clock::Timestamp;

mod access_token;
mod installation;
mod payload;
mod pool;
mod reply;
mod service_account;
#[cfg(test)]
mod tests;

pub use installation::{Installation, NotAnInstallation};
pub use service_account::{ServiceAccount, ServiceAccountInvalid};

use access_token::{Access, AccessTokens};
use pool::Pool;
use reply::Reply;

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
    /// Waiting for a place on a connection.
    pub place: Duration,
    /// Everything.
    pub total: Duration,
    /// How long a connection may be silent while something waits on it, before and after it is asked whether it lives.
    pub silence: Duration,
}

/// Google answers the hundred and first message of a connection with `GOAWAY`, and asks for ten seconds at least. The
/// caller gives up after 15 s and would not learn what came of it.
impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4,
            streams: 100,
            reserved: 80,
            connect: Duration::from_secs(3),
            call: Duration::from_secs(10),
            place: Duration::from_secs(4),
            total: Duration::from_secs(14),
            silence: Duration::from_secs(3),
        }
    }
}

/// The carrier for [`Target::Fcm`].
pub struct Fcm {
    url: Url,
    pool: Pool,
    tokens: Arc<AccessTokens>,
    total: Duration,
}

impl Fcm {
    /// Sets up the clients. Connects to nothing.
    ///
    /// # Errors
    /// [`SetupError`] names what in the configuration is to blame.
    pub fn new(config: FcmConfig) -> Result<Self, SetupError> {
        let FcmConfig { account, endpoint, ca_pem, limits } = config;
        let url = messages_url(&endpoint, account.project()).ok_or(SetupError::Endpoint)?;
        // Over TLS only HTTP/2, so that a hundred messages that find no connection make one and not a hundred.
        let multiplexed = url.scheme() == "https";
        let tokens = Arc::new(AccessTokens::new(account, client(ca_pem.as_deref(), false, limits)?));
        let pool = Pool::new(limits, Box::new(move || client(ca_pem.as_deref(), multiplexed, limits)))?;
        Ok(Self { url, pool, tokens, total: limits.total })
    }

    /// Gets an access token, and sends nothing: for operators, before it matters.
    ///
    /// # Errors
    /// What stands in the way, for people.
    pub async fn try_out(&self, now: Timestamp) -> Result<(), String> {
        match tokio::time::timeout(self.total, self.tokens.good(now)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(Outcome::Misconfigured(why) | Outcome::Retryable(why))) => Err(why),
            Ok(Err(other)) => Err(format!("{other:?}")),
            Err(_) => Err("no answer in time".into()),
        }
    }

    async fn post(&self, message: &Message, to: &Installation, now: Timestamp) -> Outcome {
        if now >= message.expires_at {
            return Outcome::Expired;
        }
        let body = match payload::write(message, to, now) {
            Ok(body) => body,
            Err(why) => return Outcome::Refused(why.to_string()),
        };
        match tokio::time::timeout(self.total, self.signed_in(&body, message.urgency, now)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Retryable("FCM gave no answer in time".into()),
        }
    }

    /// Sends with the access token that is kept, and once more when that one is not accepted any more.
    async fn signed_in(&self, body: &[u8], urgency: Urgency, now: Timestamp) -> Outcome {
        let access = match self.tokens.good(now).await {
            Ok(access) => access,
            Err(outcome) => return outcome,
        };
        match self.once(body, urgency, &access, now).await {
            Answer::NotSignedIn => {}
            Answer::Final(outcome) => return outcome,
        }
        let access = match self.tokens.instead_of(&access, now).await {
            Ok(access) => access,
            Err(outcome) => return outcome,
        };
        match self.once(body, urgency, &access, now).await {
            Answer::NotSignedIn => access_token::not_accepted(),
            Answer::Final(outcome) => outcome,
        }
    }

    async fn once(&self, body: &[u8], urgency: Urgency, access: &Access, now: Timestamp) -> Answer {
        let Some(place) = self.pool.place(urgency).await else {
            return Answer::Final(Outcome::Retryable("every connection to FCM is busy".into()));
        };
        let request = place
            .client
            .post(self.url.clone())
            .header(AUTHORIZATION, access.header())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))
            .body(body.to_vec());
        match request.send().await {
            Ok(mut response) => {
                place.answered();
                let body = beginning(&mut response, REPLY_MAX_BYTES).await;
                Reply { status: response.status().as_u16(), headers: response.headers(), body: &body }.answer(now)
            }
            Err(error) => {
                if error.is_timeout() && !error.is_connect() {
                    place.unanswered();
                }
                let why = why(&error).unwrap_or_else(ToString::to_string);
                Answer::Final(Outcome::Retryable(format!("FCM: {why}")))
            }
        }
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

fn client(ca_pem: Option<&[u8]>, multiplexed: bool, limits: Limits) -> Result<Client, SetupError> {
    let mut builder = Client::builder()
        .user_agent(concat!("phoneops/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
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
