//! Faults that a test or an operator scripts for one subscription.

use serde::{Deserialize, Serialize};

use crate::sim::script::{Scripted, is_final};

/// What happens to a push that was in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Answer with this status, at 3xx with a place to go instead; the message is not delivered.
    Status {
        /// The HTTP status, 200 to 599.
        status: u16,
        /// The seconds of a `Retry-After` header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// Refuse it as Apple's service does: a reason in JSON.
    Apple {
        /// Why.
        reason: Apple,
    },
    /// Refuse it as Mozilla's service does: a number in JSON, from which the status follows.
    Mozilla {
        /// As autopush's documentation lists them.
        errno: u16,
    },
    /// Accept it, and keep it no longer than this.
    Shorten {
        /// Seconds.
        ttl: u64,
    },
    /// Read it and never answer, as long as the sender stays.
    Hang,
    /// Deliver it and never answer, as long as the sender stays.
    DeliverAndHang,
    /// Read it and close the connection without an answer.
    Drop,
    /// Deliver it and close the connection without an answer.
    DeliverAndDrop,
    /// Read it, and say nothing more on this connection, PING included.
    Silence,
    /// Deliver it, after so long.
    Latency {
        /// Milliseconds.
        ms: u64,
    },
    /// Accept it and deliver it twice.
    Twice,
    /// Accept it and deliver nothing.
    Lose,
}

/// Why Apple's Web Push service refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Apple {
    /// 403: the VAPID token is missing, ill-signed, too old, or names no contact that Apple could write to.
    BadJwtToken,
    /// 400: the subscription was made with another key.
    VapidPkHashMismatch,
    /// 400: the topic is malformed.
    BadWebPushTopic,
    /// 410: the person took the permission back.
    Unregistered,
    /// 413.
    PayloadTooLarge,
    /// 429.
    TooManyRequests,
    /// 500.
    InternalServerError,
    /// 503.
    ServiceUnavailable,
}

impl Apple {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::VapidPkHashMismatch | Self::BadWebPushTopic => 400,
            Self::BadJwtToken => 403,
            Self::Unregistered => 410,
            Self::PayloadTooLarge => 413,
            Self::TooManyRequests => 429,
            Self::InternalServerError => 500,
            Self::ServiceUnavailable => 503,
        }
    }
}

/// The status that comes with one of Mozilla's numbers; `None` for a number that is none of them.
pub(super) fn mozilla_status(errno: u16) -> Option<u16> {
    Some(match errno {
        101 | 108 | 110..=114 => 400,
        102 => 404,
        103 | 105 | 106 => 410,
        104 => 413,
        109 => 401,
        201 | 202 => 503,
        999 => 500,
        _ => return None,
    })
}

impl Scripted for Fault {
    /// Whether the status is one that HTTP can carry as a final answer, and the number one that Mozilla gives.
    fn is_possible(&self) -> bool {
        match self {
            Self::Status { status, .. } => is_final(*status),
            Self::Mozilla { errno } => mozilla_status(*errno).is_some(),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::script::Script;

    #[test]
    fn a_script_reads_as_documented() {
        let text = r#"{"fault":{"kind":"status","status":429,"retry_after":5},"times":3}"#;
        let script: Script<Fault> = serde_json::from_str(text).unwrap();
        assert_eq!(script.times, 3);
        assert!(script.fault.is_possible());
        let once: Script<Fault> = serde_json::from_str(r#"{"fault":{"kind":"drop"}}"#).unwrap();
        assert_eq!((once.fault, once.times), (Fault::Drop, 1));
        assert!(serde_json::from_str::<Script<Fault>>(r#"{"fault":{"kind":"nap"}}"#).is_err());
        let informational = Fault::Status { status: 100, retry_after: None };
        assert!(!informational.is_possible());
    }
}
