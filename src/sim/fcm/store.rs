//! What Google remembers: installations, accounts, and here also every request.
//!
//! **Invariants**
//! - A request is in the journal whatever became of it, without its access token and without its assertion.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;

use super::check::Target;
use super::device::Device;
use super::fault::{Fault, TokenFault};
use super::oauth::Accounts;
use crate::clock::{Clock, Timestamp};
use crate::sim::journal::Journal;
use crate::sim::script::Faults;

/// One request, whatever became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// 1, 2, 3 … in the order of their answers.
    pub number: u64,
    /// When it was answered, or given up.
    pub at: Timestamp,
    /// The connection it came on.
    pub connection: u64,
    /// Its stream there; 0 over HTTP/1.1.
    pub stream: u32,
    /// The path.
    pub path: String,
    /// The status it was answered with; absent when it was not answered.
    pub status: Option<u16>,
    /// Why it was refused.
    pub reason: Option<String>,
    /// The scripted fault that a message met.
    pub fault: Option<Fault>,
    /// Its headers without `authorization`.
    pub headers: BTreeMap<String, String>,
    /// The body of a message; bytes that are no UTF-8 are replaced. Empty for what asked for an access token.
    pub body: String,
}

impl Entry {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn payload(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// No such registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such registration")]
pub struct NoInstallation;

pub(super) struct State {
    pub(super) accounts: Accounts,
    pub(super) token_faults: Faults<TokenFault>,
    devices: HashMap<Target, Device>,
    pub(super) journal: Journal<Entry>,
    quota: u32,
    minute: Option<(Timestamp, u32)>,
}

pub(super) struct Store {
    pub(super) clock: Clock,
    /// Somebody was answered.
    pub(super) noted: Notify,
    state: Mutex<State>,
}

impl Store {
    pub(super) fn new(clock: Clock, accounts: Accounts, journal_limit: usize, quota: u32) -> Self {
        let state = State {
            accounts,
            token_faults: Faults::default(),
            devices: HashMap::new(),
            journal: Journal::new(journal_limit),
            quota,
            minute: None,
        };
        Self { clock, noted: Notify::new(), state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while holding it")
    }

    pub(super) fn install(&self, target: Target) {
        self.state().devices.insert(target, Device::new());
    }

    pub(super) fn of<T>(&self, target: &Target, act: impl FnOnce(&mut Device, Timestamp) -> T) -> Result<T, NoInstallation> {
        let now = self.clock.now();
        self.state().devices.get_mut(target).map(|device| act(device, now)).ok_or(NoInstallation)
    }

    /// The same for an identifier of either kind.
    pub(super) fn device<T>(&self, id: &str, act: impl FnOnce(&mut Device, Timestamp) -> T) -> Result<T, NoInstallation> {
        let token = Target::Token(id.to_owned());
        let is_token = self.state().devices.contains_key(&token);
        self.of(&if is_token { token } else { Target::Fid(id.to_owned()) }, act)
    }

    pub(super) fn journal(&self) -> Vec<Entry> {
        self.state().journal.entries()
    }

    pub(super) fn answered(&self) -> u64 {
        self.state().journal.noted()
    }
}

impl State {
    /// Counts one more message of the project, and gives the seconds to wait when it is one too many.
    pub(super) fn count(&mut self, now: Timestamp) -> Option<u64> {
        let minute = Duration::from_secs(60);
        let (since, count) = self.minute.filter(|(since, _)| now < since.after(minute)).unwrap_or((now, 0));
        if count >= self.quota {
            return Some(now.until(since.after(minute)).as_secs() + 1);
        }
        self.minute = Some((since, count + 1));
        None
    }
}
