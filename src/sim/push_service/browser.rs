//! A browser that the simulator itself is: it fetches at once what comes, and shows it.

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};

use super::decrypt::Receiver;
use super::store::Message;
use crate::clock::Timestamp;
use crate::secret::random;
use crate::sim::screen::{Counts, Screen, Shown};

/// Its screen, and how far it has read.
#[derive(Debug, Default)]
pub(super) struct Browser {
    screen: Screen,
    away: bool,
    last_read: u64,
}

impl Browser {
    /// The keys of a new one.
    pub(super) fn keys() -> Receiver {
        let private = PrivateKey::generate(&ECDH_P256).expect("P-256 keys can be generated");
        let public = private.compute_public_key().expect("a private key has a public key");
        let public = public.as_ref().try_into().expect("an uncompressed point of P-256 has 65 bytes");
        Receiver { private, public, auth: random() }
    }

    /// Leaves the network, or comes back to it.
    pub(super) fn be_away(&mut self, away: bool) {
        self.away = away;
    }

    pub(super) fn is_there(&self) -> bool {
        !self.away
    }

    pub(super) fn last_read(&self) -> u64 {
        self.last_read
    }

    /// Shows a message as the Push API's declarative form has it, in the place of what has its tag.
    pub(super) fn show(&mut self, message: &Message, now: Timestamp) {
        self.last_read = message.number;
        let notification = &message.payload["notification"];
        let text = |name: &str| notification[name].as_str().map(str::to_owned);
        self.screen.show(Shown {
            at: now,
            tag: text("tag"),
            title: text("title").unwrap_or_default(),
            body: text("body").unwrap_or_default(),
            rang: notification["silent"] != true,
            replaced: 0,
            payload: message.payload.clone(),
        });
    }

    /// Oldest first.
    pub(super) fn shown(&self) -> Vec<Shown> {
        self.screen.shown().to_vec()
    }

    pub(super) fn counts(&self) -> Counts {
        self.screen.counts()
    }
}
