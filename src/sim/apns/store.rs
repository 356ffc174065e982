//! What Apple remembers: devices, keys, and here also every request.
//!
//! **Invariants**
//! - A request is in the journal whatever became of it, without the signature of its token.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

use serde::Serialize;
use tokio::sync::Notify;

use super::device::{Device, Gone};
use super::fault::Fault;
use super::provider_token::{Environment, Keys, SeenToken};
use super::reason::Reason;
use crate::clock::{Clock, Timestamp};
use crate::sim::http2::Request;
use crate::sim::journal::Journal;

/// One request, whatever became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// 1, 2, 3 … in the order of their answers.
    pub number: u64,
    /// When it was answered, or given up.
    pub at: Timestamp,
    /// The connection it came on.
    pub connection: u64,
    /// Its stream there.
    pub stream: u32,
    /// The path, which holds the device token.
    pub path: String,
    /// The status it was answered with; absent when it was not answered.
    pub status: Option<u16>,
    /// Why it was refused.
    pub reason: Option<String>,
    /// The scripted fault that it met.
    pub fault: Option<Fault>,
    /// By which it is known.
    pub apns_id: String,
    /// Its headers without `authorization`, each once: of those given twice, the last.
    pub headers: BTreeMap<String, String>,
    /// The provider token, if it was in order.
    pub token: Option<SeenToken>,
    /// The body; bytes that are no UTF-8 are replaced.
    pub body: String,
}

impl Entry {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn payload(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// No such device token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such device token")]
pub struct NoDevice;

pub(super) struct State {
    pub(super) devices: HashMap<String, Device>,
    pub(super) keys: Keys,
    pub(super) journal: Journal<Entry>,
}

pub(super) struct Store {
    pub(super) clock: Clock,
    /// Somebody was answered.
    pub(super) noted: Notify,
    state: Mutex<State>,
}

impl Store {
    pub(super) fn new(clock: Clock, environment: Environment, journal_limit: usize) -> Self {
        let state = State { devices: HashMap::new(), keys: Keys::new(environment), journal: Journal::new(journal_limit) };
        Self { clock, noted: Notify::new(), state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while holding it")
    }

    pub(super) fn device<T>(&self, token: &str, act: impl FnOnce(&mut Device, Timestamp) -> T) -> Result<T, NoDevice> {
        let now = self.clock.now();
        self.state().devices.get_mut(&token.to_ascii_lowercase()).map(|device| act(device, now)).ok_or(NoDevice)
    }

    /// Ends a token's life, at an instant that may be in the past.
    pub(super) fn end(&self, token: &str, reason: Reason, at: Timestamp) -> Result<(), NoDevice> {
        self.device(token, |device, _| device.gone = Some(Gone { reason, at }))
    }

    pub(super) fn journal(&self) -> Vec<Entry> {
        self.state().journal.entries()
    }

    pub(super) fn answered(&self) -> u64 {
        self.state().journal.noted()
    }
}

/// The headers that the journal shows.
pub(super) fn headers(request: &Request) -> BTreeMap<String, String> {
    let shown = request.fields.iter().filter(|field| &*field.name != "authorization");
    shown.map(|field| (field.name.to_string(), field.value.to_string())).collect()
}
