//! After a backup was restored: what was open in it is ended.
//!
//! What happened since the backup is not in it. A request that waits there may have been answered, a grant that waits there may have been
//! redeemed; allowed again, either would happen twice.

use serde_json::json;

use super::deciding::{By, apply};
use super::machine::Event;
use super::refused::Error;
use super::service::Approvals;
use super::store;
use crate::journal::{Actor, Entry};

/// How much was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voided {
    /// Requests that waited for an answer.
    pub approvals: usize,
    /// Grants that waited to be redeemed.
    pub grants: usize,
}

impl Approvals {
    /// Ends every pending request and every grant that was not redeemed, and records that this was done.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn void_restored(&self) -> Result<Voided, Error> {
        let (now, parts) = (self.clock.now(), self.parts());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let open = store::undecided(tx.db()).await?;
                    let by = By { actor: Actor::Operator, device: None, origin: None };
                    for id in &open {
                        if let Some(found) = store::lock(tx, *id).await? {
                            apply(tx, &parts, found.approval, Event::Voided, &by, now).await?;
                        }
                    }
                    let voided = Voided { approvals: open.len(), grants: store::void_grants(tx, now).await?.len() };
                    parts.journal.append(tx, now, entry(voided)).await?;
                    Ok(voided)
                })
            })
            .await
    }
}

fn entry(voided: Voided) -> Entry {
    let data = json!({"approvals": voided.approvals, "grants": voided.grants});
    Entry { kind: "backup.restored", actor: Actor::Operator, subject: "house".to_owned(), data }
}
