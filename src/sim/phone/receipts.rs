//! Saying how far a push came (device protocol, section 5), and not saying it.
//!
//! **Invariants**
//! - What the server did not hear is said again with the next look at what came; what it refused never.
//! - A receipt carries its capability and no other credentials.

use std::time::Duration;

use serde_json::json;

use super::error::Error;
use super::screen::Push;
use super::{Phone, reference};
use crate::clock::Timestamp;

/// What the phone says of a push by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Receipts {
    /// That it is on the screen, which says that it came too.
    #[default]
    Displayed,
    /// That it came, and no more: the screen is not lit, or the app was killed before it showed anything.
    Received,
    /// Nothing: what it says is lost.
    Lost,
    /// That it is on the screen, with the first look at what came after this time.
    Late(Duration),
}

/// A receipt that is still to be said.
#[derive(Clone, Debug)]
pub(super) struct Unsaid {
    pub(super) capability: String,
    /// When the push came.
    pub(super) at: Timestamp,
}

impl Phone {
    /// From now on the phone says this of what comes, and of what it has not said yet.
    pub fn set_receipts(&self, receipts: Receipts) {
        self.state().receipts = receipts;
    }

    /// The person opens a push: says `opened`.
    ///
    /// # Errors
    /// [`Error::Refused`]; [`Error::Protocol`] when the push carries no capability.
    pub async fn open(&self, push: &Push) -> Result<(), Error> {
        let capability = push.receipt().ok_or_else(|| Error::Protocol("data.receipt is missing".to_owned()))?;
        let path = format!("/v1/receipts/{}", reference(capability)?);
        self.post_anonymously(&path, &json!({"event": "opened"})).await?.accepted().map(drop)
    }

    /// Says what is due of what came.
    pub(super) async fn acknowledge_receipt(&self) {
        let (receipts, unsaid) = {
            let mut state = self.state();
            (state.receipts, std::mem::take(&mut state.screen.unsaid))
        };
        let (event, delay) = match receipts {
            Receipts::Displayed => ("displayed", Duration::ZERO),
            Receipts::Received => ("received", Duration::ZERO),
            Receipts::Late(delay) => ("displayed", delay),
            Receipts::Lost => return,
        };
        for receipt in unsaid {
            let due = receipt.at.after(delay) <= self.now();
            if !due || !self.say(&receipt.capability, event).await {
                self.state().screen.unsaid.push(receipt);
            }
        }
    }

    /// Whether it is of no use to say it again.
    async fn say(&self, capability: &str, event: &str) -> bool {
        let Ok(capability) = reference(capability) else {
            return true;
        };
        let said = self.post_anonymously(&format!("/v1/receipts/{capability}"), &json!({"event": event})).await;
        said.is_ok_and(|reply| reply.status < 500)
    }
}
