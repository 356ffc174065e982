//! Channels and lanes: what attempts wait for.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::push::Urgency;

/// The way that an attempt goes: its carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Apple's push service.
    Apns,
    /// Google's.
    Fcm,
    /// A browser's, or a UnifiedPush server.
    WebPush,
    /// E-mail.
    Mail,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 4] = [Self::Apns, Self::Fcm, Self::WebPush, Self::Mail];

    /// Its name in the database and in metrics, which is its carrier's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apns => "apns",
            Self::Fcm => "fcm",
            Self::WebPush => "web_push",
            Self::Mail => "mail",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == text)
    }
}

/// How far an attempt came. What the provider accepted is not yet on any phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reached {
    /// To be sent, or sent again.
    Waiting,
    /// The provider took it. No phone has said so.
    Accepted,
    /// The phone has it.
    Received,
    /// It is on the screen.
    Displayed,
    /// Somebody tapped it.
    Opened,
    /// It did not work.
    Failed,
    /// Answered before it was sent.
    Withdrawn,
}

/// One queue with places of its own: a channel's urgent attempts, or its ordinary ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// Which carrier.
    pub channel: Channel,
    /// Whether its attempts wake people.
    pub urgent: bool,
}

impl Lane {
    /// Every lane, the urgent ones first.
    pub const ALL: [Self; 8] = {
        let mut lanes = [Self { channel: Channel::Apns, urgent: true }; 8];
        let mut at = 0;
        while at < lanes.len() {
            lanes[at] = Self { channel: Channel::ALL[at % 4], urgent: at < 4 };
            at += 1;
        }
        lanes
    };

    /// The word for its urgency, in the database and in metrics.
    #[must_use]
    pub fn urgency(self) -> &'static str {
        if self.urgent { "high" } else { "normal" }
    }

    pub(super) fn parse(channel: &str, urgency: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.channel.as_str() == channel && lane.urgency() == urgency)
    }
}

/// The word for an urgency.
pub(super) fn urgency(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::High => "high",
        Urgency::Normal => "normal",
    }
}

/// Lets lanes know that something may wait for them. Cheap to clone. A signal is a hint: a lost one costs time, never work.
#[derive(Clone, Default)]
pub struct Signals(Arc<[Notify; 8]>);

impl Signals {
    fn of(&self, lane: Lane) -> &Notify {
        let at = Lane::ALL.iter().position(|other| *other == lane).unwrap_or_default();
        &self.0[at]
    }

    /// Something waits in `lane`.
    pub fn wake(&self, lane: Lane) {
        self.of(lane).notify_one();
    }

    /// Returns once something may wait in `lane`.
    pub async fn woken(&self, lane: Lane) {
        self.of(lane).notified().await;
    }
}
