//! One talk with the server: greeting, TLS, who we are, one mail.
//!
//! **Invariants**
//! - Each step's refusal has the meaning of that step: what is refused before a recipient is named says nothing about any recipient.

use std::error::Error as _;
use std::fmt::Display;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio_rustls::rustls;

use super::Mailer;
use crate::config::MailSecurity;
use crate::push::Outcome;

/// How long taking leave may take: nothing depends on what the server says to it.
pub(super) const LEAVE: Duration = Duration::from_secs(1);

/// How long connecting to one address may take.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection on which we are who we say.
pub(super) struct Session<'m> {
    connection: AsyncSmtpConnection,
    host: &'m str,
}

impl<'m> Session<'m> {
    /// Connects, and signs in where there is somebody to be.
    pub(super) async fn open(mailer: &'m Mailer) -> Result<Self, Outcome> {
        let server = &mailer.server;
        let host = server.host.as_str();
        let us = ClientId::Domain(mailer.from.email.domain().to_owned());
        let wrapped = (server.security == MailSecurity::Wrapped).then(|| mailer.tls.clone());
        let connected = AsyncSmtpConnection::connect_tokio1((host, server.port), Some(CONNECT), &us, wrapped, None).await;
        let mut connection = connected.map_err(|error| unreached(host, &error))?;
        if server.security == MailSecurity::StartTls {
            if !connection.can_starttls() {
                return Err(Outcome::Misconfigured(format!("{host} offers no STARTTLS, and nothing is said to it in the clear")));
            }
            connection.starttls(mailer.tls.clone(), &us).await.map_err(|error| unreached(host, &error))?;
        }
        if let Some(credentials) = &mailer.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await.map_err(|error| unknown(host, &error))?;
        }
        Ok(Self { connection, host })
    }

    /// Hands one mail over. What the server says after that it has it is of no interest.
    pub(super) async fn send(&mut self, from: &Address, to: &Address, letter: &[u8]) -> Outcome {
        match self.hand_over(from, to, letter).await {
            Ok(()) => Outcome::Accepted { id: None },
            Err(outcome) => outcome,
        }
    }

    async fn hand_over(&mut self, from: &Address, to: &Address, letter: &[u8]) -> Result<(), Outcome> {
        let host = self.host;
        let mail = self.connection.command(Mail::new(Some(from.clone()), Vec::new())).await;
        mail.map_err(|error| by_class(host, "the sender", &error, Outcome::Misconfigured))?;
        let rcpt = self.connection.command(Rcpt::new(to.clone(), Vec::new())).await;
        rcpt.map_err(|error| recipient(host, &error))?;
        let data = self.connection.command(Data).await;
        data.map_err(|error| by_class(host, "the mail", &error, Outcome::Refused))?;
        let message = self.connection.message(letter).await;
        message.map_err(|error| by_class(host, "the mail", &error, Outcome::Refused))?;
        Ok(())
    }

    /// Takes leave. A server that does not answer is left all the same.
    pub(super) async fn quit(mut self) {
        let _ = tokio::time::timeout(LEAVE, self.connection.quit()).await;
    }
}

/// Before anybody was named: the network, TLS, or a server that wants nothing from us.
fn unreached(host: &str, error: &Error) -> Outcome {
    if let Some(why) = untrusted(error) {
        return Outcome::Misconfigured(format!("{host} is not who it should be: {why}"));
    }
    by_class(host, "the connection", error, Outcome::Misconfigured)
}

/// At `AUTH` (RFC 4954 section 6): a password that is wrong stays wrong.
fn unknown(host: &str, error: &Error) -> Outcome {
    if error.is_client() {
        return Outcome::Misconfigured(format!("{host} takes no password in a way that we know (PLAIN, LOGIN)"));
    }
    by_class(host, "the user or the password", error, |why| {
        Outcome::Misconfigured(format!("{why}: look at mail.server and mail.password_file"))
    })
}

/// At `RCPT TO`: a mailbox that is not there (RFC 5321 section 4.2.3, RFC 3463 section 3.2), or one that is not for us.
fn recipient(host: &str, error: &Error) -> Outcome {
    let code = error.status().map(u16::from);
    let gone = match enhanced(error) {
        // Bad destination mailbox or system, moved, not active: 5.1.1, 5.1.2, 5.1.6, 5.1.10, 5.2.1.
        Some(enhanced) => ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"].contains(&enhanced.as_str()),
        None => matches!(code, Some(550 | 551 | 553)),
    };
    if error.is_permanent() && gone {
        return Outcome::Gone { since: None };
    }
    by_class(host, "the recipient", error, Outcome::Refused)
}

/// 4xx may work the next time, and so may a network that failed; 5xx is `permanent`.
fn by_class(host: &str, what: &str, error: &Error, permanent: impl FnOnce(String) -> Outcome) -> Outcome {
    let numbers = match (error.status(), enhanced(error)) {
        (Some(code), Some(enhanced)) => format!("{code} {enhanced}"),
        (Some(code), None) => code.to_string(),
        (None, _) => return Outcome::Retryable(format!("{host}: {}", broken(error))),
    };
    let says = format!("{host} answered {numbers} to {what}");
    if error.is_permanent() { permanent(says) } else { Outcome::Retryable(says) }
}

/// The enhanced status code (RFC 3463) that the answer begins with.
fn enhanced(error: &Error) -> Option<String> {
    let text = error.source()?.to_string();
    let word = text.split_whitespace().next()?;
    let parts: Vec<_> = word.split('.').collect();
    let number = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    (parts.len() == 3 && parts.iter().all(number)).then(|| word.to_owned())
}

/// What is wrong with the server's certificate.
fn untrusted(error: &Error) -> Option<String> {
    causes(error).into_iter().find_map(|cause| match cause.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(why)) => Some(why.to_string()),
        _ => None,
    })
}

/// A talk that ended: of the words of the operating system only the kind.
fn broken(error: &Error) -> impl Display {
    let kind = causes(error).into_iter().find_map(|cause| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind));
    match kind {
        Some(kind) => format!("the connection failed ({kind})"),
        None if error.is_response() => "its answer is not SMTP".to_owned(),
        None => "no connection".to_owned(),
    }
}

/// The error's causes, those that an I/O error wraps included.
fn causes(error: &Error) -> Vec<&(dyn std::error::Error + 'static)> {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error);
        cause = match error.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    causes
}
