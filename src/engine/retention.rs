//! Forgetting what is over and has been kept as long as the settings say.
//!
//! **Invariants**
//! - What is open is never forgotten, however old: only what was decided, resolved or sent to its end.
//! - The journal is cut at its beginning alone, never in the middle, and never to nothing: from the cut on the chain still proves itself.
//! - Little by little: no transaction forgets more than a few hundred things.
//! - What was forgotten is recorded: how many, and up to when.

use std::time::Duration;

use serde_json::json;

use crate::clock::Timestamp;
use crate::db::{Result, Store, Tx};
use crate::journal::{Actor, Entry, Journal};
use crate::{approvals, delivery, identity, journal, paging};

/// How long things are kept after they are over; for ever where there is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Decided approvals, with their answers, grants and receipts.
    pub approvals: Option<Duration>,
    /// Resolved incidents.
    pub incidents: Option<Duration>,
    /// Notifications and the attempts to deliver them.
    pub notifications: Option<Duration>,
    /// Entries of the journal.
    pub journal: Option<Duration>,
}

/// What is forgotten in one transaction of its own.
#[derive(Clone, Copy)]
enum What {
    Approvals,
    Incidents,
    Notifications,
    Journal,
}

impl What {
    const ALL: [Self; 4] = [Self::Approvals, Self::Incidents, Self::Notifications, Self::Journal];

    fn name(self) -> &'static str {
        match self {
            Self::Approvals => "approvals",
            Self::Incidents => "incidents",
            Self::Notifications => "notifications",
            Self::Journal => "journal",
        }
    }
}

impl Retention {
    fn of(&self, what: What) -> Option<Duration> {
        match what {
            What::Approvals => self.approvals,
            What::Incidents => self.incidents,
            What::Notifications => self.notifications,
            What::Journal => self.journal,
        }
    }

    /// Forgets everything whose time is over.
    ///
    /// # Errors
    /// Storage errors; what was forgotten before stays forgotten.
    pub async fn forget(&self, store: &Store, journal: &Journal, now: Timestamp) -> Result<()> {
        for what in What::ALL {
            let Some(kept) = self.of(what) else { continue };
            let before = now.before(kept);
            while step(store, journal, what, before, now).await? {}
        }
        Ok(())
    }
}

/// Forgets a few things; whether there may be more.
async fn step(store: &Store, journal: &Journal, what: What, before: Timestamp, now: Timestamp) -> Result<bool> {
    let journal = journal.clone();
    store
        .write(move |tx| {
            Box::pin(async move {
                let forgotten = some(tx, what, before).await?;
                if forgotten > 0 {
                    let data = json!({"count": forgotten, "until": before});
                    let entry = Entry { kind: "retention.forgot", actor: Actor::System, subject: what.name().to_owned(), data };
                    journal.append(tx, now, entry).await?;
                }
                Ok(forgotten > 0)
            })
        })
        .await
}

async fn some(tx: &mut Tx<'_>, what: What, before: Timestamp) -> Result<u64> {
    let subjects = match what {
        What::Approvals => approvals::forget_before(tx, before).await?,
        What::Incidents => paging::forget_before(tx, before).await?,
        What::Notifications => return delivery::forget_before(tx, before).await,
        What::Journal => return journal::cut_before(tx, before).await,
    };
    delivery::forget_about(tx, &subjects).await?;
    identity::chat::messages::forget(tx, &subjects).await?;
    Ok(subjects.len() as u64)
}
