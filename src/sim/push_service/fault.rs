//! Faults that a test or an operator scripts for one subscription.

use std::collections::VecDeque;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

/// What happens to a push that was in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Answer with this status; the message is not delivered.
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
    /// Read it and close the connection without an answer.
    Drop,
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

/// One fault, so many times in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What happens.
    pub fault: Fault,
    /// To how many pushes, one when not said.
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

impl Script {
    /// Whether the status is one that HTTP can carry as a final answer, and the number one that Mozilla gives.
    pub(super) fn is_possible(self) -> bool {
        match self.fault {
            Fault::Status { status, .. } => (200..600).contains(&status) && StatusCode::from_u16(status).is_ok(),
            Fault::Mozilla { errno } => mozilla_status(errno).is_some(),
            Fault::Apple { .. } | Fault::Shorten { .. } | Fault::Hang | Fault::Drop | Fault::Twice | Fault::Lose => true,
        }
    }
}

/// The faults still to come, in the order scripted.
#[derive(Debug, Default)]
pub(super) struct Faults(VecDeque<Script>);

impl Faults {
    pub(super) fn script(&mut self, script: Script) {
        self.0.push_back(script);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault for the next push, which uses it up.
    pub(super) fn next(&mut self) -> Option<Fault> {
        while let Some(script) = self.0.front_mut() {
            if script.times == 0 {
                self.0.pop_front();
                continue;
            }
            script.times -= 1;
            return Some(script.fault);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_order_and_as_often_as_scripted() {
        let mut faults = Faults::default();
        let status = Fault::Status { status: 503, retry_after: Some(2) };
        faults.script(Script { fault: status, times: 2 });
        faults.script(Script { fault: Fault::Hang, times: 0 });
        faults.script(Script { fault: Fault::Lose, times: 1 });
        let seen: Vec<_> = std::iter::from_fn(|| faults.next()).collect();
        assert_eq!(seen, [status, status, Fault::Lose]);
    }

    #[test]
    fn a_script_reads_as_documented() {
        let text = r#"{"fault":{"kind":"status","status":429,"retry_after":5},"times":3}"#;
        let script: Script = serde_json::from_str(text).unwrap();
        assert_eq!(script.times, 3);
        assert!(script.is_possible());
        let once: Script = serde_json::from_str(r#"{"fault":{"kind":"drop"}}"#).unwrap();
        assert_eq!((once.fault, once.times), (Fault::Drop, 1));
        assert!(serde_json::from_str::<Script>(r#"{"fault":{"kind":"nap"}}"#).is_err());
        let informational = Script { fault: Fault::Status { status: 100, retry_after: None }, times: 1 };
        assert!(!informational.is_possible());
    }
}
