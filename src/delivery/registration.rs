//! How a device is reached, and by which carrier.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Channel;
use crate::push::{Carrier, DeviceToken, Installation, Subscription, Target};

/// How a device is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Registration {
    /// An iPhone or iPad with a native app.
    Apns {
        /// Where Apple finds it.
        token: DeviceToken,
    },
    /// An Android phone with a native app.
    Fcm {
        /// Where Firebase finds it.
        installation: Installation,
    },
    /// A browser, an installed web app, or a UnifiedPush app.
    WebPush(Subscription),
}

impl Registration {
    /// The word for its kind, which is its carrier's name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.channel().as_str()
    }

    fn channel(&self) -> Channel {
        match self {
            Self::Apns { .. } => Channel::Apns,
            Self::Fcm { .. } => Channel::Fcm,
            Self::WebPush(_) => Channel::WebPush,
        }
    }

    /// What is the same whenever a push to it reaches the same app on the same phone. A secret.
    pub(super) fn address(&self) -> String {
        let (kind, place) = match self {
            Self::Apns { token } => ("apns", token.as_hex()),
            Self::Fcm { installation: Installation::Token(token) } => ("fcm token", token.as_str()),
            Self::Fcm { installation: Installation::Fid(fid) } => ("fcm fid", fid.as_str()),
            Self::WebPush(subscription) => ("web_push", subscription.endpoint().as_str()),
        };
        format!("{kind}\n{place}")
    }

    pub(super) fn target(self) -> Target {
        match self {
            Self::Apns { token } => Target::Apns(token),
            Self::Fcm { installation } => Target::Fcm(installation),
            Self::WebPush(subscription) => Target::WebPush(subscription),
        }
    }
}

/// The ways out of the house. Web Push needs no account anywhere and is always there.
#[derive(Clone)]
pub struct Carriers {
    /// To iPhones and iPads, once `[apns]` is configured.
    pub apns: Option<Arc<dyn Carrier>>,
    /// To Android phones, once `[fcm]` is configured.
    pub fcm: Option<Arc<dyn Carrier>>,
    /// To browsers, installed web apps and UnifiedPush.
    pub web_push: Arc<dyn Carrier>,
    /// To mailboxes, once `[mail]` is configured: the channel of last resort.
    pub mail: Option<Arc<dyn Carrier>>,
}

impl Carriers {
    /// The carrier for a registration of this kind.
    #[must_use]
    pub fn of(&self, registration: &Registration) -> Option<&Arc<dyn Carrier>> {
        self.by(registration.channel())
    }

    /// The carrier of a channel, once it is configured.
    #[must_use]
    pub fn by(&self, channel: Channel) -> Option<&Arc<dyn Carrier>> {
        match channel {
            Channel::Apns => self.apns.as_ref(),
            Channel::Fcm => self.fcm.as_ref(),
            Channel::WebPush => Some(&self.web_push),
            Channel::Mail => self.mail.as_ref(),
        }
    }
}
