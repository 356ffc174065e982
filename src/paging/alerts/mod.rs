//! Alerts: what monitoring systems report, and how it becomes incidents with less noise and nothing lost.
//!
//! An alert is known by its integration and key. Rules stand between it and a page: it is open already, its service groups it with
//! another, its service is being maintained. Each leaves an entry that names it.
//!
//! **Invariants**
//! - A report is taken in one transaction with what it changes, under a lock on its service: two nodes that hear of one new key at once
//!   make one incident. Locks: an integration (heartbeats alone), the service, the incident.
//! - A report that pages nobody is recorded with the rule why: `incident.retriggered`, `alert.folded`, `alert.suppressed`,
//!   `alert.dropped`.
//! - An incident that integrations began is over when all its alerts are; one that people began is theirs to end.
//! - What is open and was suppressed has a timer, and so has what waits for quiet; [`Paging::mend`] finds those that lost theirs.

mod grouping;
mod heartbeats;
mod machine;
mod store;
mod taking;
mod words;

pub(in crate::paging) use store::forget_before;

pub use machine::{FLAPS, FLAPS_WITHIN, QUIET, Report};

use super::maintenance::Maintained;
use super::service::{Error, Paging};
use super::services::{self, AlertAction, Integration};
use crate::clock::Timestamp;
use crate::db::{self, Tx};
use crate::id::{AlertId, IntegrationId};
use crate::jobs::{Job, Kind, Queue};

/// What an integration says.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// What is to become of the alert.
    pub action: AlertAction,
    /// Which alert; without one it is always another.
    pub dedup_key: Option<String>,
    /// What is wrong.
    pub report: Report,
    /// What was made of what nobody understood.
    pub notes: Vec<String>,
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An incident began.
    Paged,
    /// Its incident was over, and rings again.
    Reopened,
    /// Its incident was told the latest words.
    Updated,
    /// It joined an incident of its group.
    Folded,
    /// It was kept from paging.
    Suppressed,
    /// Its incident was acknowledged.
    Acknowledged,
    /// It is over once it stays quiet.
    PutOff,
    /// It is over.
    Closed,
    /// There was nothing that it could be about.
    Dropped,
}

impl Outcome {
    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paged => "paged",
            Self::Reopened => "reopened",
            Self::Updated => "updated",
            Self::Folded => "folded",
            Self::Suppressed => "suppressed",
            Self::Acknowledged => "acknowledged",
            Self::PutOff => "put_off",
            Self::Closed => "closed",
            Self::Dropped => "dropped",
        }
    }
}

/// A signal that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The alert's key: the one that was said, or one that was made for it.
    pub dedup_key: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// Something that was changed and may be why things break: recorded, and nobody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What was changed, in a line.
    pub summary: String,
    /// Where.
    pub source: String,
    /// Where to look.
    pub links: Vec<String>,
    /// What was made of what nobody understood.
    pub notes: Vec<String>,
}

impl Paging {
    /// The integration of a key whose SHA-256 this is, unless it was revoked.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn integration(&self, key_sha256: [u8; 32]) -> Result<Option<Integration>, db::Error> {
        let now = self.clock.now();
        self.store.look(move |db| Box::pin(async move { services::integration_by_key(db, &key_sha256, now).await })).await
    }

    /// Takes a signal; what became of it is durable.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn take_alert(&self, integration: &Integration, signal: Signal) -> Result<Taken, Error> {
        let (now, parts, settings) = (self.clock.now(), self.parts.clone(), self.settings.clone());
        let (integration, service) = (integration.id, integration.service);
        let taken = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let desk = taking::Desk::open(tx, &parts, &settings, integration, service, now).await?;
                    taking::take(tx, &desk, signal).await
                })
            })
            .await?;
        metrics::counter!("phoneops_alerts_total", "outcome" => taken.outcome.as_str()).increment(1);
        Ok(taken)
    }

    /// Records a change.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn take_change(&self, integration: &Integration, change: &Change) -> Result<(), Error> {
        let (now, journal) = (self.clock.now(), self.parts.journal.clone());
        let entry = words::changed(integration, change);
        self.store.write(move |tx| Box::pin(async move { Ok(journal.append(tx, now, entry).await?) })).await
    }

    /// An alert's timer rang: what was suppressed is looked at again, and what was to be quiet is over.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn alert_timer(&self, id: AlertId, job: Job) -> Result<(), db::Error> {
        let (now, parts, settings) = (self.clock.now(), self.parts.clone(), self.settings.clone());
        let rung: Result<(), Error> = self
            .store
            .for_workers()
            .write(move |tx| Box::pin(async move { taking::ring(tx, &parts, &settings, id, &job, now).await }))
            .await;
        rung.map_err(|failure| super::service::stored_of("alerts", id, failure))
    }

    /// A heartbeat came. After a silence that was paged, it is over.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn beat(&self, integration: &Integration) -> Result<(), Error> {
        let (now, parts, settings) = (self.clock.now(), self.parts.clone(), self.settings.clone());
        let integration = integration.clone();
        self.store
            .write(move |tx| Box::pin(async move { heartbeats::beat(tx, &parts, &settings, &integration, now).await }))
            .await
    }

    /// A heartbeat may be overdue.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn heartbeat_timer(&self, id: IntegrationId, job: Job) -> Result<(), db::Error> {
        let (now, parts, settings) = (self.clock.now(), self.parts.clone(), self.settings.clone());
        let looked: Result<(), Error> = self
            .store
            .for_workers()
            .write(move |tx| Box::pin(async move { heartbeats::look(tx, &parts, &settings, id, &job, now).await }))
            .await;
        looked.map_err(|failure| super::service::stored_of("integrations", id, failure))
    }
}

/// Looks again at what was suppressed, because the maintenance of this is over.
pub(in crate::paging) async fn wake(tx: &mut Tx<'_>, queue: &Queue, of: Maintained, now: Timestamp) -> db::Result<()> {
    for id in store::suppressed(tx, of).await? {
        queue.enqueue(tx, Kind::AlertTimer, id.0, now).await?;
    }
    Ok(())
}

/// Sets the timers of alerts and heartbeats that lost theirs; how many there were.
pub(in crate::paging) async fn mend(tx: &mut Tx<'_>, queue: &Queue, since: Timestamp, now: Timestamp) -> db::Result<usize> {
    let (alerts, pulses) = (store::without_timer(tx).await?, store::pulses_without_timer(tx, since).await?);
    for id in &alerts {
        tracing::error!(alert = %id, "an alert had lost its timer; it rings now");
        queue.enqueue(tx, Kind::AlertTimer, id.0, now).await?;
    }
    for id in &pulses {
        tracing::error!(integration = %id, "a heartbeat had lost its timer; it is looked at now");
        queue.enqueue(tx, Kind::Heartbeat, id.0, now).await?;
    }
    Ok(alerts.len() + pulses.len())
}
