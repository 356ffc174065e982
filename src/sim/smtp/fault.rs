//! What a test or an operator scripts for the talks to come.

use serde::{Deserialize, Serialize};

use crate::sim::script::Scripted;

/// Where a talk can go wrong: at what the server is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The connection; the greeting is the answer.
    Greeting,
    /// `EHLO`.
    Hello,
    /// `STARTTLS`.
    StartTls,
    /// `AUTH`.
    Auth,
    /// `MAIL FROM`.
    Mail,
    /// `RCPT TO`.
    Rcpt,
    /// `DATA`.
    Data,
    /// The mail itself.
    Message,
    /// `QUIT`.
    Quit,
}

/// What happens at a step that was in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// It is answered with this line, and nothing is done: `451 4.3.0 later`, `550 5.1.1 unknown`, or what is no SMTP.
    Answer {
        /// Where.
        at: Step,
        /// The line.
        reply: String,
    },
    /// It is never answered, as long as the client stays.
    Hang {
        /// Where.
        at: Step,
    },
    /// The connection is closed without an answer.
    Close {
        /// Where.
        at: Step,
    },
    /// The mail is taken, and the connection closed before the answer.
    TakeAndClose,
    /// The mail is taken, and never answered.
    TakeAndHang,
    /// `EHLO` lists these extensions instead of the usual ones.
    Offer {
        /// As `AUTH GSSAPI`.
        extensions: Vec<String>,
    },
}

impl Fault {
    /// Where it happens.
    pub(super) fn step(&self) -> Step {
        match self {
            Self::Answer { at, .. } | Self::Hang { at } | Self::Close { at } => *at,
            Self::TakeAndClose | Self::TakeAndHang => Step::Message,
            Self::Offer { .. } => Step::Hello,
        }
    }
}

impl Scripted for Fault {
    /// An answer is one line.
    fn is_possible(&self) -> bool {
        let lines: &[String] = match self {
            Self::Answer { reply, .. } => std::slice::from_ref(reply),
            Self::Offer { extensions } => extensions,
            _ => &[],
        };
        lines.iter().all(|line| !line.contains(['\r', '\n']))
    }
}
