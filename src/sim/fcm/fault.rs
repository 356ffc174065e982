//! What a test or an operator scripts for the messages to one installation, and for access tokens.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::error::FcmError;
use crate::sim::gate::GoAway;

/// What happens to a message that was in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// None: the place of one that is taken between two that are not.
    Accept,
    /// It is refused, with the status that belongs to the error.
    Refuse {
        /// Why.
        error: FcmError,
        /// The seconds of a `Retry-After` header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// 400, with a `BadRequest` that names a field of the message: the sender's mistake.
    Violation {
        /// As `message.android.ttl`.
        field: String,
    },
    /// 401 without a word of FCM: the access token is no longer good.
    Unauthenticated,
    /// It is answered with any status and any text, as by something in between.
    Answer {
        /// 200 to 599.
        status: u16,
        /// Any text, which need not be JSON.
        body: String,
    },
    /// It is taken in, and never answered.
    Hang,
    /// It is delivered, and never answered.
    DeliverAndHang,
    /// The connection is broken (TCP RST; over HTTP/1.1 it is closed) and the message not delivered.
    Reset,
    /// It is delivered, and the connection broken before the answer.
    DeliverAndReset,
    /// Nothing more comes on this connection, PING included, and the message is not delivered.
    Silence,
    /// `RST_STREAM` with `REFUSED_STREAM`: not processed.
    RefuseStream,
    /// GOAWAY.
    GoAway {
        /// The `reason` of the debug data.
        reason: String,
        /// Which requests it says were processed.
        which: GoAway,
    },
    /// It takes so long, and is then delivered.
    Latency {
        /// Milliseconds.
        ms: u64,
    },
    /// It is accepted and delivered twice.
    Twice,
    /// It is accepted and not delivered.
    Lose,
}

/// What happens to a request for an access token that was in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenFault {
    /// 400 with this `error` of OAuth (RFC 6749, section 5.2).
    Refuse {
        /// As `invalid_grant`.
        error: String,
    },
    /// Any status and any text.
    Answer {
        /// 200 to 599.
        status: u16,
        /// Any text, which need not be JSON.
        body: String,
    },
    /// No answer, ever.
    Hang,
    /// The connection is broken.
    Reset,
    /// It takes so long.
    Latency {
        /// Milliseconds.
        ms: u64,
    },
}

/// A fault, so many times in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script<F> {
    /// What happens.
    pub fault: F,
    /// How often, once when not said.
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

impl Script<Fault> {
    /// Whether the status is one that HTTP can carry as a final answer.
    pub(super) fn is_possible(&self) -> bool {
        !matches!(self.fault, Fault::Answer { status, .. } if !(200..600).contains(&status))
    }
}

impl Script<TokenFault> {
    /// Whether the status is one that HTTP can carry as a final answer.
    pub(super) fn is_possible(&self) -> bool {
        !matches!(self.fault, TokenFault::Answer { status, .. } if !(200..600).contains(&status))
    }
}

/// The faults still to come, in the order scripted.
#[derive(Debug)]
pub(super) struct Faults<F>(VecDeque<Script<F>>);

impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<F: Clone> Faults<F> {
    pub(super) fn script(&mut self, script: Script<F>) {
        self.0.push_back(script);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The next fault, which is used up.
    pub(super) fn next(&mut self) -> Option<F> {
        while let Some(script) = self.0.front_mut() {
            if script.times == 0 {
                self.0.pop_front();
                continue;
            }
            script.times -= 1;
            return Some(script.fault.clone());
        }
        None
    }
}
