//! How a command ends: the exit code, and the sentence that says why.
//!
//! **Invariants**
//! - Exit codes are a contract: scripts decide by them.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::{client, config, server};

/// What `--help` says about exit codes.
pub(super) const EXIT_CODES: &str = "Exit codes: 0 approved or done, 1 error, 2 usage, 3 denied, 4 not authorised, 5 expired, \
                                     6 cancelled, 7 opened by break-glass (`verify`), 8 still pending, 130 interrupted. `exec` gives its command's own, and 120 to 127 \
                                     when nothing was run: `phoneops exec --help`";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done; of a request: approved.
    Done,
    /// It was not.
    Failed,
    /// The arguments make no sense.
    Usage,
    /// A person said no.
    Denied,
    /// The server said who may, and this caller may not (401, 403).
    NotAuthorised,
    /// Nobody answered in time.
    Expired,
    /// Somebody withdrew the request.
    Cancelled,
    /// A receipt holds, and nobody approved: it was opened by break-glass.
    BreakGlass,
    /// Nobody has answered yet.
    Pending,
    /// Ctrl-C, or SIGTERM.
    Interrupted,
    /// The command of `exec` ran and ended so.
    Ran(u8),
    /// The command of `exec` was not run.
    NotRun(NotRun),
}

/// Why `exec` ran nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRun {
    /// A person said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Somebody withdrew the request.
    Cancelled,
    /// It was approved, and the grant was not to be had or not taken: over, used, revoked, or for something else.
    NoGrant,
    /// The server does not take such a request, or not from this caller.
    Refused,
    /// The server was not reached, or answered unclearly.
    InDoubt,
    /// It was approved and redeemed, and the operating system would not start the command.
    NotStarted,
    /// The arguments make no sense, or there is no such command. Nobody was asked.
    Usage,
}

impl NotRun {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Denied => 120,
            Self::Expired => 121,
            Self::Cancelled => 122,
            Self::NoGrant => 123,
            Self::Refused => 124,
            Self::InDoubt => 125,
            Self::NotStarted => 126,
            Self::Usage => 127,
        }
    }
}

impl Outcome {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::NotAuthorised => 4,
            Self::Expired => 5,
            Self::Cancelled => 6,
            Self::BreakGlass => 7,
            Self::Pending => 8,
            Self::Interrupted => 130,
            Self::Ran(code) => code,
            Self::NotRun(why) => why.code(),
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.code())
    }
}

/// Why a command did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments or the environment make no sense; says what is expected.
    #[error("{0}")]
    Usage(String),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The server does not start.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The address cannot be listened on.
    #[error("listen: {address}: {source}")]
    Listen {
        /// The configured address.
        address: std::net::SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Nothing listens on the Unix socket.
    #[error("no server is running in {}: start it with `phoneops serve`", .0.display())]
    NoServer(PathBuf),
    /// The Unix socket is somebody else's.
    #[error("{} may not be opened: run this as the user that the server runs as", .0.display())]
    SocketForbidden(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server was not reached, or said no.
    #[error("{}", said(.0))]
    Client(#[from] client::Error),
    /// The server answered with something this version does not understand.
    #[error("the server's answer is not understood: {0}")]
    Reply(#[from] serde_json::Error),
    /// The operating system does not let us watch for signals.
    #[error("signals cannot be watched for: {0}")]
    Signals(#[source] io::Error),
    /// Anything else, in a sentence.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// The outcome it leads to.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Usage(_) => Outcome::Usage,
            Self::Client(client::Error::Refused(refusal)) if matches!(refusal.status, 401 | 403) => Outcome::NotAuthorised,
            _ => Outcome::Failed,
        }
    }
}

/// A client's error with what helps people: its deepest cause ("Connection refused"), or when to try again.
fn said(error: &client::Error) -> String {
    let (base, source) = match error {
        client::Error::Unreachable { base, source } => (base, source),
        client::Error::Refused(refusal) => {
            let Some(pause) = refusal.retry_after else { return error.to_string() };
            return format!("{error}; try again in {} s", pause.as_secs());
        }
        client::Error::NotPhoneOps { .. } | client::Error::Unwritten(_) => return error.to_string(),
    };
    if source.is_timeout() {
        return format!("{base} does not answer in time");
    }
    let mut cause: &dyn std::error::Error = source;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    format!("{base} does not answer: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_as_promised() {
        use {NotRun as N, Outcome as O};
        let all = [
            O::Done,
            O::Failed,
            O::Usage,
            O::Denied,
            O::NotAuthorised,
            O::Expired,
            O::Cancelled,
            O::BreakGlass,
            O::Pending,
            O::Interrupted,
        ];
        assert_eq!(all.map(Outcome::code), [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]);
        let none = [N::Denied, N::Expired, N::Cancelled, N::NoGrant, N::Refused, N::InDoubt, N::NotStarted, N::Usage];
        assert_eq!(none.map(|why| O::NotRun(why).code()), [120, 121, 122, 123, 124, 125, 126, 127]);
        assert_eq!(O::Ran(7).code(), 7);
    }

    fn refused(status: u16, retry_after: Option<std::time::Duration>) -> Failure {
        let body = serde_json::Value::Null;
        let refusal = client::Refusal { status, code: String::new(), detail: "not now".into(), retry_after, body };
        Failure::from(client::Error::Refused(Box::new(refusal)))
    }

    #[test]
    fn only_a_server_that_says_who_may_is_not_authorised() {
        assert_eq!([400, 401, 403, 404, 409, 503].map(|status| refused(status, None).outcome()), {
            use Outcome::{Failed, NotAuthorised};
            [Failed, NotAuthorised, NotAuthorised, Failed, Failed, Failed]
        });
    }

    #[test]
    fn a_server_that_says_when_to_try_again_is_quoted() {
        let said = |pause: Option<u64>| refused(503, pause.map(std::time::Duration::from_secs)).to_string();
        assert_eq!((said(None), said(Some(3))), ("not now".into(), "not now; try again in 3 s".into()));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_with_the_cause() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let client = client::Client::anonymous(&format!("http://{address}")).unwrap();
        let failure = Failure::from(client.get("/readyz").await.unwrap_err());
        assert!(failure.to_string().starts_with(&format!("http://{address} does not answer: Connection refused")), "{failure}");
        assert_eq!(failure.outcome(), Outcome::Failed);
    }
}
