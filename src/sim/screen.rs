//! What a simulated device has on its lock screen, and how often it made itself heard. For devices that are reached through a provider
//! who can read what it carries.
//!
//! **Invariants**
//! - What replaces something on the screen is no new presentation, but is heard if it has a sound.

use serde::Serialize;
use serde_json::Value;

use crate::clock::Timestamp;

/// So many notifications stay on a screen.
const LIMIT: usize = 1_000;

/// A notification on the screen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// When it was shown, or shown anew.
    pub at: Timestamp,
    /// What names the notification it replaces: APNs' collapse id, Android's tag.
    pub tag: Option<String>,
    /// The first line.
    pub title: String,
    /// The text below it.
    pub body: String,
    /// Whether it was heard.
    pub rang: bool,
    /// How often it replaced itself.
    pub replaced: u32,
    /// All of what came.
    pub payload: Value,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Notifications that reached the device, silent ones included.
    pub received: u64,
    /// Notifications that appeared on the screen where nothing like them was.
    pub presentations: u64,
    /// Notifications that replaced one on the screen.
    pub replacements: u64,
    /// Times it made a sound.
    pub rings: u64,
}

/// The screen of one device.
#[derive(Debug, Default)]
pub(super) struct Screen {
    shown: Vec<Shown>,
    counts: Counts,
}

impl Screen {
    /// Something came that is not to be shown.
    pub(super) fn receive(&mut self) {
        self.counts.received += 1;
    }

    /// Shows a notification in the place of the one with its tag.
    pub(super) fn show(&mut self, mut new: Shown) {
        self.counts.received += 1;
        self.counts.rings += u64::from(new.rang);
        let former = self.shown.iter().position(|shown| new.tag.is_some() && shown.tag == new.tag);
        if let Some(former) = former {
            new.replaced = self.shown.remove(former).replaced + 1;
            self.counts.replacements += 1;
        } else {
            self.counts.presentations += 1;
        }
        if self.shown.len() == LIMIT {
            self.shown.remove(0);
        }
        self.shown.push(new);
    }

    /// Oldest first.
    pub(super) fn shown(&self) -> &[Shown] {
        &self.shown
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}
