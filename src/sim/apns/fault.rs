//! What a test or an operator scripts for the notifications to one device token.

use serde::{Deserialize, Serialize};

use super::reason::Reason;
use crate::sim::gate::GoAway;
use crate::sim::script::{Scripted, is_final};

/// What happens to a notification that was in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// None: the place of one that is taken between two that are not.
    Accept,
    /// It is refused, with the status that belongs to the reason. Those that spoil a connection do.
    Refuse {
        /// Why.
        reason: Reason,
        /// `timestamp` of the answer, in milliseconds since the Unix epoch; for 410, now when not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timestamp: Option<i64>,
        /// The seconds of a `Retry-After` header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// It is answered with a status and a reason that Apple does not document.
    Answer {
        /// 200 to 599.
        status: u16,
        /// Any text.
        reason: String,
    },
    /// It is taken in, and never answered.
    Hang,
    /// It is delivered, and never answered.
    DeliverAndHang,
    /// The connection is broken (TCP RST) and the notification not delivered.
    Reset,
    /// It is delivered, and the connection broken before the answer.
    DeliverAndReset,
    /// Nothing more comes on this connection, PING included, and the notification is not delivered.
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
    /// No window is opened on this connection for so long. The notification is delivered.
    Starve {
        /// Milliseconds.
        ms: u64,
    },
    /// It is accepted and delivered twice.
    Twice,
    /// It is accepted and not delivered.
    Lose,
}

impl Scripted for Fault {
    fn is_possible(&self) -> bool {
        !matches!(self, Self::Answer { status, .. } if !is_final(*status))
    }
}
