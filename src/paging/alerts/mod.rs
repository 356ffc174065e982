//! Alerts: what monitoring systems report, and how it becomes incidents with less noise and nothing lost.
//!
//! An alert is known by its integration and key. Rules stand between it and a page: it is open already, its service groups it with
//! another, its service is being maintained. Each leaves an entry that names it.
//!
//! **Invariants**
//! - A report is taken in one transaction with what it changes, under a lock on its service: two nodes that hear of one new key at once
//!   make one incident. Locks: the service, an integration (heartbeats alone), the incident.
//! - A report that pages nobody is recorded with the rule why: `incident.retriggered`, `alert.folded`, `alert.suppressed`,
//!   `alert.dropped`.
//! - An incident that integrations began is over when all its alerts are; one that people began is theirs to end.
//! - What is open and was suppressed waits for the end of the maintenance, which is a job of the window, and what is to be quiet has a timer
//!   of its own; [`Paging::mend`] finds those that lost theirs.
//! - Where maintenance ends, at most [`WOKEN`] alerts are looked at at once: pages that are due meanwhile do not wait behind them.

mod grouping;
mod heartbeats;
mod machine;
pub(in crate::paging) mod quota;
mod store;
mod taking;
mod words;

pub(in crate::paging) use store::forget_before;

pub use machine::{FLAPS, FLAPS_WITHIN, QUIET, Report};

use std::time::Duration;

use heartbeats::Beat;
use quota::Says;

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

/// An integration reported more than it may; nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverQuota {
    /// How long to wait before it is sent again.
    pub wait: Duration,
}

/// The alert of an integration that is over its quota.
const QUOTA_KEY: &str = "phoneops:quota";

impl Paging {
    /// Whether an integration may report so much now. The first refusal of a bout raises an incident of the integration, which is over when
    /// it reports again and its quota is half unused.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn admit(&self, integration: &Integration, reports: usize) -> Result<Result<(), OverQuota>, Error> {
        let reports = u32::try_from(reports).unwrap_or(u32::MAX);
        let per_minute = self.quotas.per_minute();
        match self.quotas.take(integration.id, reports, self.clock.now()) {
            Says::Fits => Ok(Ok(())),
            Says::FitsAgain { refused } => {
                tracing::info!(integration = %integration.id, refused, "an integration is within its quota again");
                let name = self.name_of(integration).await?;
                self.take_alert(integration, words::over_quota(&name, per_minute, Some(refused), QUOTA_KEY)).await?;
                Ok(Ok(()))
            }
            Says::Over { wait, first } => {
                metrics::counter!("phoneops_ingest_refused_total").increment(1);
                if first {
                    tracing::warn!(integration = %integration.id, per_minute, "an integration is over its quota");
                    self.raise_quota(integration).await.inspect_err(|_| self.quotas.untold(integration.id))?;
                }
                Ok(Err(OverQuota { wait }))
            }
        }
    }

    async fn raise_quota(&self, integration: &Integration) -> Result<(), Error> {
        let name = self.name_of(integration).await?;
        let signal = words::over_quota(&name, self.quotas.per_minute(), None, QUOTA_KEY);
        self.take_alert(integration, signal).await.map(|_| ())
    }

    async fn name_of(&self, integration: &Integration) -> Result<String, Error> {
        let id = integration.id;
        Ok(self.store.look(move |db| Box::pin(async move { services::integration_name(db, id).await })).await?)
    }

    /// The integration of a key whose SHA-256 this is, unless it was revoked.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn integration(&self, key_sha256: [u8; 32]) -> Result<Option<Integration>, db::Error> {
        let now = self.clock.now();
        self.store.look(move |db| Box::pin(async move { services::integration_by_key(db, &key_sha256, now).await })).await
    }

    /// How many keys of integrations work.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn count_keys(&self) -> Result<i64, db::Error> {
        let now = self.clock.now();
        self.store.look(move |db| Box::pin(async move { services::count_keys(db, now).await })).await
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
        loop {
            let (parts, settings, integration) = (parts.clone(), settings.clone(), integration.clone());
            let beat: Result<Beat, Error> = self
                .store
                .write(move |tx| Box::pin(async move { heartbeats::beat(tx, &parts, &settings, &integration, now).await }))
                .await;
            match beat? {
                Beat::Taken => return Ok(()),
                // The next look sees the silence.
                Beat::Again => {}
            }
        }
    }

    /// A heartbeat may be overdue.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn heartbeat_timer(&self, id: IntegrationId, job: Job) -> Result<(), db::Error> {
        let (now, parts, settings) = (self.clock.now(), self.parts.clone(), self.settings.clone());
        let listening_since = self.listening_since();
        let looked: Result<(), Error> = self
            .store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move { heartbeats::look(tx, &parts, &settings, (id, &job), listening_since, now).await })
            })
            .await;
        looked.map_err(|failure| super::service::stored_of("integrations", id, failure))
    }
}

/// So many suppressed alerts are looked at again at once, for a page that is due meanwhile is not to wait behind them.
const WOKEN: u32 = 64;

/// Looks again at some of what was suppressed, because the maintenance of this is over; whether there may be more.
pub(in crate::paging) async fn wake(tx: &mut Tx<'_>, queue: &Queue, of: Maintained, now: Timestamp) -> db::Result<bool> {
    let room = WOKEN.saturating_sub(store::timers_due(tx, now.after(queue.lease()), WOKEN).await?);
    // One more than there is room for says whether there is more.
    let waiting = store::suppressed(tx, of, now, room + 1).await?;
    let there_is_more = waiting.len() > room as usize;
    for id in waiting.into_iter().take(room as usize) {
        queue.enqueue(tx, Kind::AlertTimer, id.0, now).await?;
    }
    Ok(there_is_more)
}

/// Sets the timers of alerts and heartbeats that lost theirs; how many there were.
pub(in crate::paging) async fn mend(tx: &mut Tx<'_>, queue: &Queue, since: Timestamp, now: Timestamp) -> db::Result<usize> {
    let (alerts, pulses) =
        (store::without_timer(tx, now, now.after(queue.lease()), WOKEN).await?, store::pulses_without_timer(tx, since).await?);
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
