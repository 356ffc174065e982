//! Why a phone could not do what it was asked.

use std::path::PathBuf;
use std::time::Duration;

use super::super::authenticator;

/// Why a phone could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused with a problem (RFC 9457).
    #[error("{status} {code}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The stable code by which programs decide.
        code: String,
        /// For people.
        detail: String,
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// No answer, or none that is HTTP.
    #[error("no answer")]
    Unanswered(#[source] reqwest::Error),
    /// The answer is not what the device protocol describes.
    #[error("the answer does not follow the device protocol: {0}")]
    Protocol(String),
    /// A check that the device makes before signing failed (section 6); nothing was signed.
    #[error("not signed: {0}")]
    Unsafe(#[from] Mismatch),
    /// The authenticator refused.
    #[error(transparent)]
    Authenticator(#[from] authenticator::Error),
    /// The phone is not enrolled.
    #[error("the phone is not enrolled")]
    NotEnrolled,
    /// The phone has no push subscription.
    #[error("the phone is not subscribed for push")]
    NotSubscribed,
    /// The subscription is gone: the phone has to register again.
    #[error("the push subscription is gone")]
    SubscriptionGone,
    /// An id or reference that could not be part of a URL.
    #[error("{0:?} is no id or reference")]
    Reference(String),
    /// The state file cannot be read or written.
    #[error("state file {path}")]
    File {
        /// The state file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The state file is not one, or belongs to another version. What it holds is not told: it holds keys.
    #[error("{path} is not a phone's state file (line {line})")]
    State {
        /// The state file.
        path: PathBuf,
        /// Where reading stopped.
        line: usize,
    },
}

impl Error {
    /// The stable code of the problem, when the server refused.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

impl From<reqwest::Error> for Error {
    fn from(cause: reqwest::Error) -> Self {
        // URLs of the push service hold secrets.
        Self::Unanswered(cause.without_url())
    }
}

/// What in a challenge differs from what the person was shown and wants (device protocol, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The statement is not JSON in its canonical form (RFC 8785).
    #[error("the statement is not canonical JSON")]
    Canonical,
    /// It is not an answer of version 1.
    #[error("the statement is of another type")]
    Type,
    /// It is another installation's.
    #[error("the statement is another issuer's")]
    Issuer,
    /// It is about another approval.
    #[error("the statement is about another approval")]
    Approval,
    /// It is for somebody else to sign.
    #[error("the statement is for another person to sign")]
    Approver,
    /// It is for other absent people than those shown.
    #[error("the statement is for others to answer for")]
    For,
    /// It says approve instead of deny, or the reverse.
    #[error("the statement has another verdict")]
    Verdict,
    /// It is for a weaker or other factor than the one about to be used.
    #[error("the statement is for another factor")]
    Factor,
    /// Its requester is not the one shown.
    #[error("the statement names another requester")]
    Requester,
    /// Its action is not the approval's.
    #[error("the statement is about another action")]
    Action,
    /// `action_sha256` is not the digest of the action.
    #[error("the digest of the action is wrong")]
    ActionDigest,
    /// `display_sha256` is not the digest of what is shown.
    #[error("the digest of what is shown is wrong")]
    DisplayDigest,
    /// The number that was typed is not that of the key that is to be confirmed.
    #[error("the number is not that of the device that waits")]
    Number,
    /// The passkey would sign something else than the statement.
    #[error("the challenge is not the digest of the statement")]
    Challenge,
    /// The passkey would be used without verifying the person.
    #[error("user verification is not required")]
    UserVerification,
}
