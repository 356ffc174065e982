//! What a test or an operator scripts for the messages to one installation, and for access tokens.

use serde::{Deserialize, Serialize};

use super::error::FcmError;
use crate::sim::gate::GoAway;
use crate::sim::script::{Scripted, is_final};

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

impl Scripted for Fault {
    fn is_possible(&self) -> bool {
        !matches!(self, Self::Answer { status, .. } if !is_final(*status))
    }
}

impl Scripted for TokenFault {
    fn is_possible(&self) -> bool {
        !matches!(self, Self::Answer { status, .. } if !is_final(*status))
    }
}
