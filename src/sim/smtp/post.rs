//! What the mail server remembers: the mails it took, and every talk.
//!
//! **Invariants**
//! - No password is in the journal.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use serde::Serialize;
use tokio::sync::Notify;

use super::fault::{Fault, Step};
use crate::clock::{Clock, Timestamp};
use crate::secret::Secret;
use crate::sim::journal::Journal;
use crate::sim::script::{Faults, Script};

/// So many mails and talks are kept, the newest.
const LIMIT: usize = 10_000;

/// A mail that was taken.
#[derive(Clone, Debug, Serialize)]
pub struct Letter {
    /// 1, 2, 3 … since the server started.
    pub number: u64,
    /// When it was taken.
    pub at: Timestamp,
    /// The talk that it came in.
    pub talk: u64,
    /// Whether it came over TLS.
    pub secured: bool,
    /// Who signed in.
    pub user: Option<String>,
    /// The envelope's sender; empty for `<>`.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Headers and text, without the dots of the transport; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// One talk with a client, whatever became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Talk {
    /// 1, 2, 3 … in the order of their beginnings.
    pub number: u64,
    /// When it began.
    pub began_at: Timestamp,
    /// What was said, in its order.
    pub said: Vec<Said>,
}

/// One command and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// Whether it could not be read on the way.
    pub secured: bool,
    /// The client's line, without what it signed in with; empty for the greeting, and for the mail itself.
    pub heard: String,
    /// The last line of the answer; absent when there was none.
    pub answered: Option<String>,
}

struct State {
    faults: Faults<Fault>,
    letters: Journal<Letter>,
    talks: VecDeque<Talk>,
    begun: u64,
}

pub(super) struct Post {
    pub(super) clock: Clock,
    /// Who may send, if not anybody.
    pub(super) account: Option<(String, Secret)>,
    /// A mail was taken.
    pub(super) noted: Notify,
    state: Mutex<State>,
}

impl Post {
    pub(super) fn new(clock: Clock, account: Option<(String, Secret)>) -> Self {
        let state = State { faults: Faults::default(), letters: Journal::new(LIMIT), talks: VecDeque::new(), begun: 0 };
        Self { clock, account, noted: Notify::new(), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while holding it")
    }

    pub(super) fn script(&self, script: Script<Fault>) {
        self.state().faults.script(script);
    }

    pub(super) fn clear(&self) {
        self.state().faults.clear();
    }

    /// The fault that this step meets, which is used up.
    pub(super) fn fault(&self, step: Step) -> Option<Fault> {
        self.state().faults.next_where(|fault| fault.step() == step)
    }

    /// The number of a talk that begins.
    pub(super) fn begin(&self) -> u64 {
        let began_at = self.clock.now();
        let mut state = self.state();
        state.begun += 1;
        if state.talks.len() == LIMIT {
            state.talks.pop_front();
        }
        let number = state.begun;
        state.talks.push_back(Talk { number, began_at, said: Vec::new() });
        number
    }

    pub(super) fn note(&self, talk: u64, said: Said) {
        if let Some(talk) = self.state().talks.iter_mut().rev().find(|known| known.number == talk) {
            talk.said.push(said);
        }
    }

    pub(super) fn take(&self, letter: Letter) {
        let at = self.clock.now();
        self.state().letters.note(|number| Letter { number, at, ..letter });
        self.noted.notify_waiters();
    }

    pub(super) fn letters(&self) -> Vec<Letter> {
        self.state().letters.entries()
    }

    pub(super) fn taken(&self) -> u64 {
        self.state().letters.noted()
    }

    pub(super) fn talks(&self) -> Vec<Talk> {
        self.state().talks.iter().cloned().collect()
    }
}
