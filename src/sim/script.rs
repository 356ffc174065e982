//! What is scripted to go wrong, and so many times in a row.
//!
//! **Invariants**
//! - Faults come in the order they were scripted, each as often as it was.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Something that can be scripted.
pub(super) trait Scripted {
    /// Whether it can be done at all: a status that is no final answer of HTTP can not.
    fn is_possible(&self) -> bool {
        true
    }
}

/// Whether HTTP can carry it as a final answer.
pub(super) fn is_final(status: u16) -> bool {
    (200..600).contains(&status)
}

/// One fault, so many times in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script<F> {
    /// What happens.
    pub(super) fault: F,
    /// How often, once when not said.
    #[serde(default = "once")]
    pub(super) times: u32,
}

fn once() -> u32 {
    1
}

impl<F: Scripted + std::fmt::Debug> Script<F> {
    /// `fault`, so many times.
    ///
    /// # Panics
    /// When it cannot be done.
    pub(super) fn new(fault: F, times: u32) -> Self {
        assert!(fault.is_possible(), "{fault:?} is no final answer");
        Self { fault, times }
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
        self.next_where(|_| true)
    }

    /// The next of those that are so, which is used up.
    pub(super) fn next_where(&mut self, is_so: impl Fn(&F) -> bool) -> Option<F> {
        self.0.retain(|script| script.times > 0);
        let script = self.0.iter_mut().find(|script| is_so(&script.fault))?;
        script.times -= 1;
        Some(script.fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_order_and_as_often_as_scripted() {
        let mut faults = Faults::default();
        for (fault, times) in [("a", 2), ("b", 0), ("c", 1), ("a", 1)] {
            faults.script(Script { fault, times });
        }
        assert_eq!(faults.next_where(|fault| *fault == "c"), Some("c"));
        assert_eq!(faults.next_where(|fault| *fault == "b"), None);
        assert_eq!([faults.next(), faults.next(), faults.next(), faults.next()], [Some("a"), Some("a"), Some("a"), None]);
    }
}
