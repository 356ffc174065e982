//! One app on one device: what Apple keeps for it while it is away, and what it does with what it gets.
//!
//! **Invariants**
//! - One notification is kept at most, the latest; not one per collapse id.
//! - What has expired is neither kept nor delivered.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;

use super::check::Notification;
use super::fault::Fault;
use super::payload;
use super::reason::Reason;
use crate::clock::Timestamp;
use crate::sim::screen::{Screen, Shown};
use crate::sim::script::Faults;

/// So many notifications wait for an app that does not fetch them.
const INBOX_LIMIT: usize = 1_000;

/// A notification as the app gets it.
#[derive(Clone, Debug, Serialize)]
pub struct Arrived {
    /// 1, 2, 3 … for this device.
    pub number: u64,
    /// When it reached the device.
    pub at: Timestamp,
    /// By which Apple knows it.
    pub apns_id: String,
    /// 1, 5 or 10.
    pub priority: u8,
    /// What it replaces.
    pub collapse_id: Option<String>,
    /// All of it.
    pub payload: Value,
}

/// Why and since when a token is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    /// `Unregistered` or `ExpiredToken`.
    pub(super) reason: Reason,
    pub(super) at: Timestamp,
}

pub(super) struct Device {
    /// The app's bundle id.
    pub(super) bundle: String,
    pub(super) gone: Option<Gone>,
    pub(super) faults: Faults<Fault>,
    pub(super) arrived: Arc<Notify>,
    pub(super) screen: Screen,
    away: bool,
    kept: Option<(Notification, String)>,
    inbox: VecDeque<Arrived>,
    last_number: u64,
}

impl Device {
    pub(super) fn new(bundle: &str) -> Self {
        Self {
            bundle: bundle.to_owned(),
            gone: None,
            faults: Faults::default(),
            arrived: Arc::default(),
            screen: Screen::default(),
            away: false,
            kept: None,
            inbox: VecDeque::new(),
            last_number: 0,
        }
    }

    /// Takes what Apple has accepted, `copies` times.
    pub(super) fn deliver(&mut self, notification: &Notification, id: &str, copies: u32, now: Timestamp) {
        for _ in 0..copies {
            if self.away && notification.expiration != Some(0) {
                self.kept = Some((notification.clone(), id.to_owned()));
            } else if !self.away {
                self.show(notification, id, now);
            }
        }
    }

    /// The device leaves the network, or comes back and gets what was kept.
    pub(super) fn be_away(&mut self, away: bool, now: Timestamp) {
        self.away = away;
        if !away && let Some((kept, id)) = self.kept.take() {
            self.show(&kept, &id, now);
        }
    }

    fn show(&mut self, notification: &Notification, id: &str, now: Timestamp) {
        let expires_at = notification.expiration.filter(|seconds| *seconds != 0).map(Timestamp::from_seconds);
        if expires_at.is_some_and(|end| end <= now) {
            return;
        }
        let payload = &notification.payload;
        let collapse_id = notification.collapse_id.as_deref().map(str::to_owned);
        self.last_number += 1;
        if self.inbox.len() == INBOX_LIMIT {
            self.inbox.pop_front();
        }
        self.inbox.push_back(Arrived {
            number: self.last_number,
            at: now,
            apns_id: id.to_owned(),
            priority: notification.priority,
            collapse_id: collapse_id.clone(),
            payload: Value::clone(payload),
        });
        self.arrived.notify_waiters();
        if !payload::is_shown(payload) {
            self.screen.receive();
            return;
        }
        self.screen.show(Shown {
            at: now,
            tag: collapse_id,
            title: payload::text(payload, "title").to_owned(),
            body: payload::text(payload, "body").to_owned(),
            rang: payload::is_heard(payload),
            replaced: 0,
            payload: Value::clone(payload),
        });
    }

    /// What came after number `after`; what came before is forgotten.
    pub(super) fn fetch(&mut self, after: u64) -> Vec<Arrived> {
        self.inbox.retain(|arrived| arrived.number > after);
        self.inbox.iter().cloned().collect()
    }
}
