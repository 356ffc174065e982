//! Hand one message to one provider.
//!
//! A [`Carrier`] takes a [`Message`] and a [`Target`] and says in an [`Outcome`] what the provider made of it. What to do
//! about an outcome (try again, another device, another channel, forget the registration, ring an alarm) is decided
//! by who called.
//!
//! **Invariants**
//! - This room knows no database and no domain: it imports `clock`, `id`, `secret` and nothing else of the crate.
//! - A carrier writes nothing and repeats nothing: one call is one try.
//! - A message whose life is over is never handed on, nor one that waited here for longer than [`LEAVE`]: whoever called looked just before
//!   whether it is still wanted, and looks again before the next call.
//! - Of what a provider says against a target, what may be our own mistake is not believed without a voucher (`credit`).
//! - A target is a secret (whoever holds it can ring that phone), and so is what a message says: neither reaches a
//!   `Debug`, an [`Outcome`] or an error.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::clock::Timestamp;

mod answer;
pub mod apns;
mod credit;
#[cfg(test)]
mod examples;
pub mod fcm;
mod fit;
pub mod guard;
mod mail_address;
mod names;
pub mod tls;
pub mod web_push;
pub mod webhook;

pub use apns::DeviceToken;
pub use fcm::Installation;
pub use mail_address::{MailAddress, NotAMailAddress};
pub use web_push::Subscription;

/// How long after a carrier was called the message may still leave. What finds no room by then goes back to whoever called.
pub const LEAVE: Duration = Duration::from_secs(2);

/// How soon to call again for what found no room.
const SOON: Duration = Duration::from_secs(1);

/// What a phone is to show, before any provider's format.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The first line, never empty. Cut with an ellipsis when a provider has no room for it.
    pub title: String,
    /// The text below it, which may be empty. Cut before the title is.
    pub body: String,
    /// What a tap opens.
    pub navigate: Url,
    /// What is replaced on the screen, and at the provider while the phone is away. Retries of a ring round share it
    /// and show once; the next round has another and rings again.
    pub tag: String,
    /// How hard to wake the phone.
    pub urgency: Urgency,
    /// When it is of no more use: the provider drops it then, and a carrier does not send it at all.
    pub expires_at: Timestamp,
    /// What is heard.
    pub sound: Sound,
    /// What it is grouped with on the screen: its subject. Says nothing about it.
    pub thread: String,
    /// What it is about; the phone reads it as `data.kind`.
    pub category: Category,
    /// Further members of the phone's `data`. `kind` is written from `category`; one given here is not sent.
    pub data: serde_json::Map<String, serde_json::Value>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("tag", &self.tag)
            .field("category", &self.category)
            .field("urgency", &self.urgency)
            .field("sound", &self.sound)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// How hard to wake the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// At once, out of power saving. APNs priority 10, FCM `HIGH`, Web Push `high`.
    High,
    /// When the phone finds it convenient. APNs priority 5, FCM `NORMAL`, Web Push `normal`.
    Normal,
}

/// What is heard when a message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// Nothing: the visible replacement that withdraws an earlier message.
    Silent,
    /// What the phone plays for any notification.
    Normal,
    /// As loud as the phone lets us be: what rang before was not heard.
    Alarm,
}

/// What a message is about (`api-spec/device-protocol.md` section 5, `data.kind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// An incident wants a human.
    Page,
    /// A request waits for approval.
    Approval,
    /// Somebody acted as this person through a bot: not you?
    Acted,
    /// Replaces an earlier message: nothing is left to do.
    Answered,
    /// A device waits for this person, joined, or recovers somebody.
    Device,
    /// Something about the installation that its administrators should know.
    Notice,
    /// What became of something this person approved.
    Outcome,
    /// The person asked for it to see that it arrives.
    Test,
}

impl Category {
    /// The word the phone reads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Approval => "approval",
            Self::Acted => "acted",
            Self::Answered => "answered",
            Self::Device => "device",
            Self::Notice => "notice",
            Self::Outcome => "outcome",
            Self::Test => "test",
        }
    }
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An iPhone or iPad with a native app.
    Apns(DeviceToken),
    /// An Android phone with a native app.
    Fcm(Installation),
    /// A browser, an installed web app, or a `UnifiedPush` app.
    WebPush(Subscription),
    /// A mailbox: the channel of last resort.
    Mail(MailAddress),
}

impl Target {
    /// Whether the provider in between can read what a message says: everywhere but where it is encrypted for the device.
    #[must_use]
    pub fn is_read_by_provider(&self) -> bool {
        !matches!(self, Self::WebPush(_))
    }
}

/// What became of one try. Texts are for operators and hold nothing secret: no endpoint, no token, no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The provider took it, which is not yet "delivered".
    Accepted {
        /// The provider's name for the message, where it has one that gives no power over the message.
        id: Option<String>,
    },
    /// The target is dead: forget it, unless it was registered again after `since`.
    Gone {
        /// When the provider found it dead, where it says so.
        since: Option<Timestamp>,
    },
    /// Not now, and for this target alone: the provider asks to wait this long, or there was no room on the way to it. At least a second, at
    /// most a day.
    RetryAfter(Duration),
    /// The provider takes nothing from us for so long, whoever it is for: the whole route is to be left alone. At least a second, at most a
    /// day.
    Throttled(Duration),
    /// It did not work this time and may the next.
    Retryable(String),
    /// This message will never be taken for this target: a mistake of ours, or a target that must not be spoken to.
    Refused(String),
    /// The provider does not accept us. For Web Push, where every person brings a provider along, it is the word of the
    /// one service named in the text and says nothing about the others.
    Misconfigured(String),
    /// Not sent, because `expires_at` had passed: nobody's mistake, and not worth another try.
    Expired,
}

/// Hands one message to one provider.
pub trait Carrier: Send + Sync {
    /// What operators call it: `apns`, `fcm`, `web_push`, `mail`.
    fn name(&self) -> &'static str;

    /// Tries once to hand `message` to the provider of `target`, at `now`. Ends within the carrier's own time limit. A target of another
    /// carrier is refused.
    fn send<'a>(&'a self, message: &'a Message, target: &'a Target, now: Timestamp) -> BoxFuture<'a, Outcome>;
}
