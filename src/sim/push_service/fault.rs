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
    /// Read it and never answer, as long as the sender stays.
    Hang,
    /// Read it and close the connection without an answer.
    Drop,
    /// Accept it and deliver it twice.
    Twice,
    /// Accept it and deliver nothing.
    Lose,
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
    /// Whether the status is one that HTTP can carry as a final answer.
    pub(super) fn is_possible(self) -> bool {
        match self.fault {
            Fault::Status { status, .. } => (200..600).contains(&status) && StatusCode::from_u16(status).is_ok(),
            Fault::Hang | Fault::Drop | Fault::Twice | Fault::Lose => true,
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
