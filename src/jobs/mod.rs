//! Work to be done at the edge, kept in the database so that a crash loses none of it.
//!
//! ```text
//!            enqueue (due now, room here)              complete
//!   tx ───────────────────────────────► leased ───────────────────► gone
//!    │                                   ▲   │ retry: due later
//!    └──────── enqueue (due later) ──► waiting ◄──────┘
//!                                        │ claim, when due: due_at moves to the end of the lease
//!                                        └─► leased ── too many tries ──► buried
//! ```
//!
//! **Invariants**
//! - A job is enqueued in the transaction of the change that needs it.
//! - `lease` is the fence: completing, retrying or burying with an older lease changes nothing. Burying ends the lease.
//! - `tries` is counted before the work is done, so that work which kills the process is not tried for ever.
//! - A lease that runs out makes the job due again: nothing needs to reap.
//! - What is urgent is claimed before what can wait, and of each the longest due: a claim looks at no more rows than it takes, however
//!   many wait for later.
//! - Doing a job twice is harmless: every job is a hint to look at the state, never the state itself.

mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use uuid::Uuid;

use crate::clock::{Clock, Timestamp};
use crate::db::{Error, Result, Store, Tx};
use crate::id::JobId;

/// How long a worker may take before the job is due again, unless it is configured otherwise. Longer than the longest push attempt takes.
pub const LEASE: Duration = Duration::from_secs(20);

/// At most so many jobs are handed straight to this node's worker; more are left for whoever claims them.
const HANDOFF: usize = 1024;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nobody may have said that it came, or nothing of it is left. Subject: a notification.
    FailOver,
    /// More devices are to be told than one transaction takes. Subject: a notification.
    FanOut,
    /// Nothing is left that could reach a person: whoever asked is told. Subject: a notification.
    Unreachable,
    /// A subject is still on screens that it was to be taken off. Subject: what was answered.
    Withdraw,
    /// An approval's time is over. Subject: an approval.
    ApprovalDeadline,
    /// An incident's ring, escalation or acknowledgement time-out is due. Subject: an incident.
    IncidentTimer,
    /// Events wait for a webhook. Subject: a webhook.
    Webhook,
    /// The next push about incidents that a person is told of together is due. Subject: a bundle.
    Bundle,
    /// A request that was folded into another may ring by itself now. Subject: an approval.
    ApprovalBell,
    /// What was suppressed may page now, or what was to be quiet is over. Subject: an alert.
    AlertTimer,
    /// A heartbeat may be overdue. Subject: an integration.
    Heartbeat,
    /// Nobody was paged about a service for a while, and that is over. Subject: a maintenance window.
    MaintenanceOver,
    /// Somebody else may have the pager now, or nobody soon. Subject: a schedule.
    HandOver,
}

impl Kind {
    /// Every kind, for metrics and tests.
    pub const ALL: [Self; 13] = [
        Self::FailOver,
        Self::FanOut,
        Self::Unreachable,
        Self::Withdraw,
        Self::ApprovalDeadline,
        Self::IncidentTimer,
        Self::Webhook,
        Self::Bundle,
        Self::ApprovalBell,
        Self::AlertTimer,
        Self::Heartbeat,
        Self::MaintenanceOver,
        Self::HandOver,
    ];

    /// Its name in the database and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailOver => "fail_over",
            Self::FanOut => "fan_out",
            Self::Unreachable => "unreachable",
            Self::Withdraw => "withdraw",
            Self::ApprovalDeadline => "approval_deadline",
            Self::IncidentTimer => "incident_timer",
            Self::Webhook => "webhook",
            Self::Bundle => "bundle",
            Self::ApprovalBell => "approval_bell",
            Self::AlertTimer => "alert_timer",
            Self::Heartbeat => "heartbeat",
            Self::MaintenanceOver => "maintenance_over",
            Self::HandOver => "hand_over",
        }
    }

    /// Whether somebody may be waiting for it at night, unless whoever enqueues it says otherwise: it goes before what can wait.
    #[must_use]
    pub fn is_urgent(self) -> bool {
        match self {
            Self::FailOver
            | Self::FanOut
            | Self::Unreachable
            | Self::IncidentTimer
            | Self::Bundle
            | Self::AlertTimer
            | Self::Heartbeat => true,
            Self::ApprovalDeadline
            | Self::Webhook
            | Self::ApprovalBell
            | Self::Withdraw
            | Self::MaintenanceOver
            | Self::HandOver => false,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A job that this worker holds the lease of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What is to be done.
    pub kind: Kind,
    /// To what.
    pub subject: Uuid,
    /// The fence.
    pub lease: i64,
    /// How often it was tried, this time included.
    pub tries: u32,
}

/// Where jobs are put. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    clock: Clock,
    lease: Duration,
    handoff: mpsc::UnboundedSender<Handed>,
    room: Arc<Semaphore>,
    changed: Arc<Notify>,
}

/// A job's place in this node's hand-off, given back when the job is done.
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

type Handed = (Job, Place);

/// The worker's end of the hand-off.
pub struct Handoff(mpsc::UnboundedReceiver<Handed>);

impl Handoff {
    /// The next job that was committed on this node, already leased, and the place it takes up until it is done.
    pub async fn next(&mut self) -> Option<(Job, Place)> {
        self.0.recv().await
    }
}

impl Queue {
    /// A queue and its worker's end. `lease` is how long a worker may take before a job is due again: usually [`LEASE`].
    #[must_use]
    pub fn new(clock: Clock, lease: Duration) -> (Self, Handoff) {
        let (handoff, jobs) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(HANDOFF));
        (Self { clock, lease, handoff, room, changed: Arc::default() }, Handoff(jobs))
    }

    /// How long a worker may take before a job is due again.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Takes the lease of at most `limit` due jobs: the urgent ones first, and of each the longest due.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn claim(&self, store: &Store, now: Timestamp, limit: u32) -> Result<Vec<Job>> {
        let lease_ends = now.after(self.lease);
        store.write(move |tx| Box::pin(store::claim(tx, now, lease_ends, limit))).await
    }

    /// Puts a job into `tx`. One that is due already goes straight to this node's worker once the transaction is durable.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn enqueue(&self, tx: &mut Tx<'_>, kind: Kind, subject: impl Into<Uuid>, due_at: Timestamp) -> Result<()> {
        self.enqueue_as(tx, kind, subject, due_at, kind.is_urgent()).await
    }

    /// As [`Queue::enqueue`], and says whether it goes before what can wait.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn enqueue_as(
        &self,
        tx: &mut Tx<'_>,
        kind: Kind,
        subject: impl Into<Uuid>,
        due_at: Timestamp,
        urgent: bool,
    ) -> Result<()> {
        let now = self.clock.now();
        let subject = subject.into();
        let id = JobId::new(now);
        let permit = if due_at > now { None } else { self.room.clone().try_acquire_owned().ok() };
        let Some(permit) = permit else {
            store::insert(tx, &Job { id, kind, subject, lease: 0, tries: 0 }, (due_at, urgent), now).await?;
            let changed = self.changed.clone();
            tx.after_commit(move || changed.notify_one());
            return Ok(());
        };
        let job = Job { id, kind, subject, lease: 1, tries: 1 };
        store::insert(tx, &job, (now.after(self.lease), urgent), now).await?;
        let (handoff, place) = (self.handoff.clone(), Place { _permit: permit });
        // A worker that has stopped takes nothing; the lease runs out and another finds the job.
        tx.after_commit(move || drop(handoff.send((job, place))));
        Ok(())
    }

    /// Makes a job due again at `due_at`, and lets this node's worker know; `false` when the lease was lost.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn retry(&self, tx: &mut Tx<'_>, job: &Job, due_at: Timestamp, why: &str) -> Result<bool> {
        let changed = self.changed.clone();
        tx.after_commit(move || changed.notify_one());
        store::release(tx, job, due_at, why).await
    }

    /// Whether no job that was handed over on this node is still to be done.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.room.available_permits() == HANDOFF
    }

    /// Returns when a job with a due time of its own may have been enqueued or put off on this node.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// When the next job is due, buried ones apart.
///
/// # Errors
/// Storage errors.
pub async fn next_due(store: &Store) -> Result<Option<Timestamp>> {
    store.look(|db| Box::pin(store::next_due(db))).await
}

/// Ends a job in `tx`; `false` when the lease was lost, and then the caller must change nothing else.
///
/// # Errors
/// Storage errors.
pub async fn complete(tx: &mut Tx<'_>, job: &Job) -> Result<bool> {
    store::delete(tx, job).await
}

/// Takes a job out of circulation and keeps it for a human to see; `false` when the lease was lost.
///
/// # Errors
/// Storage errors.
pub async fn bury(tx: &mut Tx<'_>, job: &Job, now: Timestamp, why: &str) -> Result<bool> {
    store::bury(tx, job, now, why).await
}

/// Jobs by kind: waiting or leased, buried, and the due time of the oldest.
#[derive(Clone, Debug)]
pub struct Depth {
    /// Which kind.
    pub kind: String,
    /// Waiting or leased.
    pub live: i64,
    /// Buried.
    pub buried: i64,
}

/// How deep the queue is, by kind.
///
/// # Errors
/// Storage errors.
pub async fn depth(store: &Store) -> Result<Vec<Depth>> {
    store.scan(|db| Box::pin(store::depth(db))).await
}

/// The error for a job whose kind this program does not know.
fn unknown_kind(id: JobId, kind: &str) -> Error {
    Error::inconsistent("jobs", id, format!("unknown kind {kind}"))
}
