//! One app on one Android phone: what Google keeps for it, and what it does with what it gets.
//!
//! **Invariants**
//! - Of messages that wait, four collapse keys are kept, and a hundred that cannot be collapsed; with one more, all of these are dropped
//!   and the app is told that something was.
//! - What has outlived its TTL is not delivered, and what has a TTL of 0 not kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Notify;

use super::check::Message;
use super::fault::Fault;
use crate::clock::Timestamp;
use crate::sim::screen::{Screen, Shown};
use crate::sim::script::Faults;

const COLLAPSE_KEYS: usize = 4;
const NOT_COLLAPSIBLE: usize = 100;
/// So many messages wait for an app that does not fetch them.
const INBOX_LIMIT: usize = 1_000;
/// To one phone, in a minute and in an hour.
const QUOTAS: [(Duration, u32); 2] = [(Duration::from_secs(60), 240), (Duration::from_secs(3_600), 5_000)];

/// Where a phone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// On the network, and awake.
    Awake,
    /// On the network, and in Doze: only what has high priority arrives.
    Dozing,
    /// Off the network.
    Away,
}

/// A message as the app gets it (`onMessageReceived`).
#[derive(Clone, Debug, Serialize)]
pub struct Arrived {
    /// 1, 2, 3 … for this installation.
    pub number: u64,
    /// When it reached the phone.
    pub at: Timestamp,
    /// By which Google knows it.
    pub message_id: String,
    /// Whether it was sent, and delivered, with high priority.
    pub high: bool,
    /// All strings.
    pub data: Map<String, Value>,
    /// What the system shows by itself.
    pub notification: Option<Map<String, Value>>,
}

struct Kept {
    message: Message,
    id: String,
    until: Timestamp,
}

/// A quota: so many within a window, which begins with the first.
#[derive(Default)]
struct Used {
    since: Option<Timestamp>,
    count: u32,
}

pub(super) struct Device {
    /// Removed, or registered anew.
    pub(super) gone: bool,
    /// The project whose messages it takes is another.
    pub(super) foreign: bool,
    pub(super) faults: Faults<Fault>,
    pub(super) arrived: Arc<Notify>,
    pub(super) screen: Screen,
    /// How often the app was told that messages were dropped.
    pub(super) deletions: u64,
    presence: Presence,
    kept: VecDeque<Kept>,
    used: [Used; 2],
    inbox: VecDeque<Arrived>,
    last_number: u64,
}

impl Device {
    pub(super) fn new() -> Self {
        Self {
            gone: false,
            foreign: false,
            faults: Faults::default(),
            arrived: Arc::default(),
            screen: Screen::default(),
            deletions: 0,
            presence: Presence::Awake,
            kept: VecDeque::new(),
            used: Default::default(),
            inbox: VecDeque::new(),
            last_number: 0,
        }
    }

    /// Counts one more message, and gives the seconds to wait when it is one too many.
    pub(super) fn count(&mut self, now: Timestamp) -> Option<u64> {
        let wait = self.used.iter_mut().zip(QUOTAS).filter_map(|(used, (window, limit))| used.count(window, limit, now));
        wait.max()
    }

    /// Takes what Google has accepted, `copies` times.
    pub(super) fn deliver(&mut self, message: &Message, id: &str, copies: u32, now: Timestamp) {
        for _ in 0..copies {
            if self.reaches(message) {
                self.receive(message, id, now);
            } else if !message.ttl.is_zero() {
                self.keep(Kept { message: message.clone(), id: id.to_owned(), until: now.after(message.ttl) });
            }
        }
    }

    fn reaches(&self, message: &Message) -> bool {
        match self.presence {
            Presence::Awake => true,
            Presence::Dozing => message.high,
            Presence::Away => false,
        }
    }

    fn keep(&mut self, new: Kept) {
        let key = new.message.collapse_key.clone();
        if key.is_some() {
            self.kept.retain(|kept| kept.message.collapse_key != key);
        }
        let alike = |kept: &Kept| kept.message.collapse_key.is_some() == key.is_some();
        let number = self.kept.iter().filter(|kept| alike(kept)).count();
        if key.is_some() && number == COLLAPSE_KEYS {
            // Google does not say which; here it is the oldest.
            let oldest = self.kept.iter().position(alike).expect("there are four");
            self.kept.remove(oldest);
        }
        if key.is_none() && number == NOT_COLLAPSIBLE {
            self.kept.retain(|kept| kept.message.collapse_key.is_some());
            self.deletions += 1;
            return;
        }
        self.kept.push_back(new);
    }

    /// The phone goes somewhere, and gets what now reaches it.
    pub(super) fn be(&mut self, presence: Presence, now: Timestamp) {
        self.presence = presence;
        for kept in std::mem::take(&mut self.kept) {
            if kept.until <= now {
                continue;
            }
            if self.reaches(&kept.message) {
                self.receive(&kept.message, &kept.id, now);
            } else {
                self.kept.push_back(kept);
            }
        }
    }

    fn receive(&mut self, message: &Message, id: &str, now: Timestamp) {
        self.last_number += 1;
        if self.inbox.len() == INBOX_LIMIT {
            self.inbox.pop_front();
        }
        let arrived = Arrived {
            number: self.last_number,
            at: now,
            message_id: id.to_owned(),
            high: message.high,
            data: message.data.clone(),
            notification: message.notification.clone(),
        };
        match shown(&arrived) {
            Some(shown) => self.screen.show(shown),
            None => self.screen.receive(),
        }
        self.inbox.push_back(arrived);
        self.arrived.notify_waiters();
    }

    /// What came after number `after`; what came before is forgotten.
    pub(super) fn fetch(&mut self, after: u64) -> Vec<Arrived> {
        self.inbox.retain(|arrived| arrived.number > after);
        self.inbox.iter().cloned().collect()
    }
}

impl Used {
    fn count(&mut self, window: Duration, limit: u32, now: Timestamp) -> Option<u64> {
        let ends_at = self.since.map(|since| since.after(window)).filter(|end| now < *end);
        let Some(ends_at) = ends_at else {
            *self = Self { since: Some(now), count: 1 };
            return None;
        };
        if self.count == limit {
            return Some(now.until(ends_at).as_secs() + 1);
        }
        self.count += 1;
        None
    }
}

/// What the system shows of it by itself, or else an app that follows the payload contract: `title`, `body`, `tag` and `sound` of `data`.
fn shown(arrived: &Arrived) -> Option<Shown> {
    let by_system = arrived.notification.as_ref();
    let from = by_system.unwrap_or(&arrived.data);
    let text = |name: &str| from.get(name).and_then(Value::as_str).map(str::to_owned);
    let title = text("title")?;
    Some(Shown {
        at: arrived.at,
        tag: text("tag"),
        title,
        body: text("body").unwrap_or_default(),
        rang: by_system.is_some() || text("sound").is_some_and(|sound| sound != "silent"),
        replaced: 0,
        payload: Value::Object(from.clone()),
    })
}
