//! Mail: the channel of last resort, for when no device hears.
//!
//! One message is one mail, handed to the one server of the installation (RFC 6409), which takes it from there: "accepted" says that it
//! was queued there, and nothing of the mailbox.
//!
//! **Invariants**
//! - This room knows no database and no domain. A carrier writes nothing and repeats nothing: one call is one try.
//! - Nothing is said in the clear to another machine: without TLS the try ends before the user's name or the mail is sent.
//! - Nothing is begun later than [`LEAVE`] after the call, and nothing goes on after the deadline.
//! - What a message says stays in the text of its mail: it makes no header and no command.
//! - Of what a server answers nothing is repeated but its numbers: it is a stranger's text and may quote the recipient.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::config::{Mail, MailServer};
use crate::push::{Carrier, LEAVE, MailAddress, Message, Outcome, Target};

mod letter;
mod session;
#[cfg(test)]
mod tests;

use session::Session;

/// How long one mail may take until its outcome is known, waiting for a place included; and a second for taking leave.
const LIMIT: Duration = Duration::from_secs(12);

/// How many mails are handed over at once: servers count the connections of one client.
const AT_ONCE: usize = 8;

/// How soon to call again for what found no place.
const SOON: Duration = Duration::from_secs(1);

/// A configuration that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file cannot be read.
    #[error("{key}: {source}")]
    Unreadable {
        /// The key that names the file.
        key: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds no password.
    #[error("mail.password_file: holds no password, which is one line")]
    Password,
    /// Nobody can be written back to.
    #[error("mail.from: expected phoneops@example.com, or PhoneOps <phoneops@example.com>")]
    From,
    /// The file holds no certificate, or a damaged one.
    #[error("mail.ca_file: holds no PEM certificate")]
    Ca,
    /// TLS cannot be set up, for instance because the operating system trusts nobody.
    #[error("mail.server: TLS cannot be set up: {0}")]
    Tls(lettre::transport::smtp::Error),
}

/// The carrier for [`Target::Mail`].
pub struct Mailer {
    server: MailServer,
    from: Mailbox,
    credentials: Option<Credentials>,
    tls: TlsParameters,
    places: Semaphore,
    /// How many a server heard, ever.
    handed: AtomicU64,
    limit: Duration,
}

impl Mailer {
    /// Reads the files and sets up TLS. Connects to nothing.
    ///
    /// # Errors
    /// [`SetupError`] names what in the configuration is to blame.
    pub fn new(config: &Mail) -> Result<Self, SetupError> {
        let from: Mailbox = config.from.parse().map_err(|_| SetupError::From)?;
        // Of what lettre takes for an address, only what anybody may give as theirs here.
        MailAddress::try_from(from.email.to_string()).map_err(|_| SetupError::From)?;
        if from.name.as_ref().is_some_and(|name| name.chars().any(char::is_control)) {
            return Err(SetupError::From);
        }
        let password = config.password_file.as_deref().map(password).transpose()?;
        let credentials = config.server.user.clone().zip(password);
        let credentials = credentials.map(|(user, password)| Credentials::new(user, password.to_string()));
        let tls = tls(&config.server.host, config.ca_file.as_deref())?;
        let (server, places) = (config.server.clone(), Semaphore::new(AT_ONCE));
        Ok(Self { server, from, credentials, tls, places, handed: AtomicU64::new(0), limit: LIMIT })
    }

    /// With at most that long for a message in all, and less where it takes less anyway: a caller that stops waiting before would not learn
    /// what came of it.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit: self.limit.min(limit.saturating_sub(session::LEAVE)), ..self }
    }

    /// Connects and signs in, and sends nothing: for operators, before it matters.
    ///
    /// # Errors
    /// What stands in the way, for people.
    pub async fn try_out(&self) -> Result<(), String> {
        let tried = async { Session::open(self).await.map(Session::quit) };
        match timeout(self.limit, tried).await {
            Ok(Ok(quit)) => {
                quit.await;
                Ok(())
            }
            Ok(Err(Outcome::Misconfigured(why) | Outcome::Retryable(why) | Outcome::Refused(why))) => Err(why),
            Ok(Err(other)) => Err(format!("{other:?}")),
            Err(_) => Err(format!("{} gave no answer in time", self.server.host)),
        }
    }

    async fn post(&self, message: &Message, to: &MailAddress, now: Timestamp) -> Outcome {
        if now >= message.expires_at {
            return Outcome::Expired;
        }
        let Ok(to) = to.as_str().parse::<Address>() else {
            return Outcome::Refused("the address is none that mail can be sent to".into());
        };
        let letter = match letter::write(message, &self.from, &to, now) {
            Ok(letter) => letter,
            Err(why) => return Outcome::Refused(why.to_string()),
        };
        let (began, before) = (Instant::now(), self.handed.load(Ordering::Relaxed));
        let Ok(Ok(place)) = timeout(LEAVE.min(self.limit / 2), self.places.acquire()).await else {
            let busy = self.handed.load(Ordering::Relaxed) != before;
            let stuck = || Outcome::Retryable(format!("{} gave nobody an answer", self.server.host));
            return if busy { Outcome::RetryAfter(SOON) } else { stuck() };
        };
        // It may have waited; and after its deadline no more is said of it.
        let left = now.after(began.elapsed()).until(message.expires_at);
        if left.is_zero() {
            return Outcome::Expired;
        }
        let sent = async {
            match Session::open(self).await {
                Ok(mut session) => (session.send(&self.from.email, &to, &letter).await, Some(session)),
                Err(outcome) => (outcome, None),
            }
        };
        let Ok((outcome, open)) = timeout(left.min(self.limit.saturating_sub(began.elapsed())), sent).await else {
            return Outcome::Retryable(format!("{} gave no answer in time", self.server.host));
        };
        self.handed.fetch_add(u64::from(open.is_some()), Ordering::Relaxed);
        // After the limit: a server that dawdles over it would turn a mail that it has into one that is sent again. The place is held
        // meanwhile, since the connection is.
        if let Some(session) = open {
            session.quit().await;
        }
        drop(place);
        outcome
    }
}

impl Carrier for Mailer {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn send<'a>(&'a self, message: &'a Message, target: &'a Target, now: Timestamp) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match target {
                Target::Mail(address) => self.post(message, address, now).await,
                Target::Apns(_) | Target::Fcm(_) | Target::WebPush(_) => {
                    Outcome::Refused("the target is of another carrier".into())
                }
            }
        })
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("server", &self.server.host).field("port", &self.server.port).finish_non_exhaustive()
    }
}

fn password(path: &Path) -> Result<Zeroizing<String>, SetupError> {
    let text = std::fs::read_to_string(path).map_err(|source| SetupError::Unreadable { key: "mail.password_file", source })?;
    let text = Zeroizing::new(text);
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.chars().any(char::is_control) {
        return Err(SetupError::Password);
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn tls(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, SetupError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca_file {
        let pem = std::fs::read(path).map_err(|source| SetupError::Unreadable { key: "mail.ca_file", source })?;
        let certificates = Certificate::from_pem(&pem).map_err(|_| SetupError::Ca)?;
        if !pem.windows(10).any(|window| window == b"-----BEGIN") {
            return Err(SetupError::Ca);
        }
        builder = builder.add_root_certificate(certificates);
    }
    builder.build().map_err(SetupError::Tls)
}
