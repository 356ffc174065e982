//! The worker: performs jobs, rings timers and feeds what it learns back in. The only room that knows all domains.
//!
//! **Invariants**
//! - A job is done by whoever holds its lease; everything it changes is written together with its completion.
//! - Slow pushes never keep a timer from ringing, nor one carrier's another's: each has places of its own ([`lanes`]).
//! - A flood of requests never does either: what is performed here goes through the connections reserved for workers.
//! - A job that keeps failing is buried, which is an alarm; what it was for is still guarded by its subject's own timer.
//! - Waking up late loses time, never work: what is due is looked up, not remembered.

mod lanes;
mod relay;
mod retention;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

pub use lanes::Lanes;
pub use retention::Retention;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::approvals::{Approvals, policies};
use crate::clock::{Clock, Timestamp};
use crate::db::{self, Engine as Kindred, Store};
use crate::delivery::Delivery;
use crate::hub::Hub;
use crate::id::{AlertId, ApprovalId, BundleId, IncidentId, IntegrationId, MaintenanceWindowId, NotificationId, ScheduleId};
use crate::identity::Identity;
use crate::jobs::{self, Handoff, Job, Kind, Queue};
use crate::journal::{self, Journal};
use crate::listening::{Listening, Webhooks};
use crate::paging::Paging;
use crate::paging::schedules::Schedules;
use crate::push::Category;

/// Timers rung at once.
const TIMERS: usize = 16;

/// Of alerts looked at at once, when what they waited for is over: the other places are for what somebody waits for.
const ALERTS: usize = 4;

/// Webhooks delivered to at once.
const WEBHOOKS: usize = 32;

/// The safety net: how long a job of another node, or one whose hand-off was lost, may go unnoticed.
const SWEEP: Duration = Duration::from_secs(1);

/// A job tried this often is buried.
const MAX_TRIES: u32 = 25;

/// How long the sealer lets entries gather.
const SEAL_PAUSE: Duration = Duration::from_millis(50);

/// The safety net: how long a webhook may wait when its node died after sealing.
const STIR_EVERY: Duration = Duration::from_secs(5);

/// How often incidents that lost their timer are looked for.
const MEND_EVERY: Duration = Duration::from_secs(60);

/// How often what is over is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// How long an administrator's act that nobody signed is remembered.
const WAITED_IN_VAIN: Duration = Duration::from_hours(24);

/// Everything the worker works with.
pub struct Engine {
    /// The database, by the connections reserved for workers.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Where jobs come from.
    pub queue: Queue,
    /// The record to be sealed.
    pub journal: Journal,
    /// Who waits on this node.
    pub hub: Hub,
    /// People.
    pub identity: Arc<Identity>,
    /// Approvals.
    pub approvals: Arc<Approvals>,
    /// Incidents.
    pub paging: Arc<Paging>,
    /// Who is on call.
    pub schedules: Arc<Schedules>,
    /// Pushes.
    pub delivery: Delivery,
    /// Events.
    pub listening: Arc<Listening>,
    /// Events for receivers elsewhere.
    pub webhooks: Arc<Webhooks>,
    /// How long what is over is kept.
    pub retention: Retention,
}

/// A running worker.
#[derive(Clone)]
pub struct Running {
    store: Store,
    clock: Clock,
    queue: Queue,
    delivery: Delivery,
    lanes: Lanes,
    under_way: Arc<UnderWay>,
    mending: Arc<NextMend>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Engine {
    /// Starts working until [`Running::stop`].
    #[must_use]
    pub fn start(self, handoff: Handoff) -> Running {
        let under_way = Arc::<UnderWay>::default();
        let running = Running {
            store: self.store.clone(),
            clock: self.clock.clone(),
            queue: self.queue.clone(),
            lanes: Lanes::start_counted(self.delivery.clone(), under_way.clone()),
            delivery: self.delivery.clone(),
            under_way,
            mending: Arc::new(NextMend::after(self.clock.now())),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        if self.store.engine() == Kindred::Pg {
            running.tasks.spawn(relay::run(self.store.clone(), self.hub.clone(), running.stop.clone()));
        }
        running.tasks.spawn(seal(self.store.clone(), self.journal.clone(), self.hub.clone(), running.stop.clone()));
        running.tasks.spawn(stir(self.webhooks.clone(), self.hub.clone(), running.stop.clone()));
        running.tasks.spawn(self.listening.clone().run(running.stop.clone()));
        let forgetting = Forgetting {
            identity: self.identity.clone(),
            store: self.store.clone(),
            journal: self.journal.clone(),
            retention: self.retention,
        };
        running.tasks.spawn(forget(forgetting, self.clock.clone(), running.stop.clone()));
        let mending = Mending {
            paging: self.paging.clone(),
            schedules: self.schedules.clone(),
            clock: self.clock.clone(),
            next: running.mending.clone(),
        };
        running.tasks.spawn(mending.run(running.stop.clone()));
        let worker = Worker {
            engine: Arc::new(self),
            timers: Arc::new(Semaphore::new(TIMERS)),
            alerts: Arc::new(Semaphore::new(ALERTS)),
            webhooks: Arc::new(Semaphore::new(WEBHOOKS)),
            running: running.clone(),
        };
        running.tasks.spawn(worker.run(handoff));
        running.tasks.close();
        running
    }
}

impl Running {
    /// Stops taking work, and returns when what was under way is done.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.lanes.stop().await;
        self.tasks.wait().await;
    }

    /// Whether nothing is due and nothing is under way on this node: for tests and for the scripted demo.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn settled(&self) -> db::Result<bool> {
        let (now, begun) = (self.clock.now(), self.under_way.begun());
        let idle = || self.under_way.is_nothing() && self.queue.idle() && self.mending.at() > now;
        if !idle() {
            return Ok(false);
        }
        // What began and ended meanwhile may have left something that is due.
        let due = self.next_due().await?.is_some_and(|due| due <= now);
        Ok(!due && idle() && self.under_way.begun() == begun)
    }

    /// When the next job, or the next attempt, is due.
    async fn next_due(&self) -> db::Result<Option<Timestamp>> {
        let (job, attempt) = (jobs::next_due(&self.store).await?, self.delivery.next_due_of_all().await?);
        Ok(job.into_iter().chain(attempt).min())
    }

    /// Returns when nothing is due and nothing is under way on this node.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn settle(&self) -> db::Result<()> {
        while !self.settled().await? {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Turns a manual clock forward by `by`, stopping at every moment at which something is due until it is done, and before each of these
    /// once for lost timers to be looked for: for tests and for the scripted demo.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn advance(&self, by: Duration) -> db::Result<()> {
        self.settle().await?;
        let end = self.clock.now().after(by);
        loop {
            let mend = self.mending.at();
            let before = self.next_due().await?.map_or(end, |due| due.min(end));
            if mend < before {
                self.clock.advance(self.clock.now().until(mend));
                self.settle().await?;
            }
            let Some(due) = self.next_due().await?.filter(|due| *due <= end) else { break };
            self.clock.advance(self.clock.now().until(due));
            self.settle().await?;
        }
        self.clock.advance(self.clock.now().until(end));
        self.settle().await
    }
}

struct Worker {
    engine: Arc<Engine>,
    timers: Arc<Semaphore>,
    alerts: Arc<Semaphore>,
    webhooks: Arc<Semaphore>,
    running: Running,
}

/// How much a node is doing.
#[derive(Default)]
struct UnderWay {
    now: AtomicUsize,
    begun: AtomicUsize,
}

impl UnderWay {
    fn is_nothing(&self) -> bool {
        self.now.load(Ordering::SeqCst) == 0
    }

    /// How often something began.
    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

/// Counts as work under way until dropped.
struct Busy(Arc<UnderWay>);

impl Busy {
    fn enter(under_way: &Arc<UnderWay>) -> Self {
        under_way.now.fetch_add(1, Ordering::SeqCst);
        under_way.begun.fetch_add(1, Ordering::SeqCst);
        Self(under_way.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Worker {
    async fn run(self, mut handoff: Handoff) {
        let stop = self.running.stop.clone();
        loop {
            let wake_at = self.claim_due().await;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.drain(&mut handoff) => {}
                () = self.engine.queue.changed() => {}
                () = self.engine.clock.sleep_until(wake_at) => {}
            }
        }
    }

    /// Starts handed-over jobs as they come. Returns only when the house is closing.
    async fn drain(&self, handoff: &mut Handoff) {
        while let Some((job, place)) = handoff.next().await {
            self.start(job, Some(place));
        }
        std::future::pending::<()>().await;
    }

    fn room(&self, kind: Kind) -> Arc<Semaphore> {
        match kind {
            Kind::ApprovalDeadline
            | Kind::ApprovalBell
            | Kind::IncidentTimer
            | Kind::Heartbeat
            | Kind::Bundle
            | Kind::HandOver
            | Kind::FailOver
            | Kind::FanOut
            | Kind::Unreachable
            | Kind::Withdraw
            | Kind::MaintenanceOver => self.timers.clone(),
            Kind::AlertTimer => self.alerts.clone(),
            Kind::Webhook => self.webhooks.clone(),
        }
    }

    /// Claims what is due, as far as there is room; until when there is nothing to claim.
    async fn claim_due(&self) -> Timestamp {
        let now = self.engine.clock.now();
        let sweep = now.after(SWEEP);
        let room = self.timers.available_permits() + self.webhooks.available_permits();
        let next = match jobs::next_due(&self.engine.store).await {
            Ok(next) => next,
            Err(error) => return self.pause_after(&error).await,
        };
        match next {
            Some(due) if due <= now => {}
            Some(due) => return due.min(sweep),
            None => return sweep,
        }
        let _busy = Busy::enter(&self.running.under_way);
        let limit = u32::try_from(room).unwrap_or(1).max(1);
        let claimed = self.engine.queue.claim(&self.engine.store, now, limit).await;
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(error) => return self.pause_after(&error).await,
        };
        crate::crash_point!("jobs-claimed");
        // What is due soon after these is looked up again; what another node has just taken is left to it.
        let again = if claimed.is_empty() { sweep } else { now };
        for job in claimed {
            self.start(job, None);
        }
        again
    }

    async fn pause_after(&self, error: &db::Error) -> Timestamp {
        tracing::error!(%error, "the worker cannot read its jobs");
        self.engine.paging.hears_nothing();
        tokio::time::sleep(SEAL_PAUSE).await;
        self.engine.clock.now().after(SWEEP)
    }

    fn start(&self, job: Job, place: Option<jobs::Place>) {
        let (engine, busy, room) = (self.engine.clone(), Busy::enter(&self.running.under_way), self.room(job.kind));
        let give_up_at = engine.clock.now().after(engine.queue.lease() / 2);
        self.running.tasks.spawn(async move {
            let permit = room.acquire_owned().await;
            // Whoever waited too long for room leaves the job to the next claim: its lease may run out in the middle.
            if engine.clock.now() < give_up_at {
                crate::crash_point!("job-started");
                engine.perform(job).await;
            }
            drop((permit, place, busy));
        });
    }
}

impl Engine {
    async fn perform(&self, job: Job) {
        let done = if job.tries > MAX_TRIES { self.bury(&job).await } else { self.dispatch(&job).await };
        let result = if done.is_ok() { "done" } else { "failed" };
        metrics::counter!("phoneops_jobs_total", "kind" => job.kind.as_str(), "result" => result).increment(1);
        if let Err(error) = done {
            // The lease runs out and the job is due again.
            tracing::error!(job = %job.id, kind = job.kind.as_str(), tries = job.tries, %error, "a job failed");
        }
    }

    async fn dispatch(&self, job: &Job) -> db::Result<()> {
        match job.kind {
            Kind::FailOver => self.delivery.fail_over(job.clone()).await,
            Kind::FanOut => self.delivery.fan_out(job.clone()).await,
            Kind::Unreachable => self.unreachable(job).await,
            Kind::Withdraw => self.delivery.withdraw_more(job.clone()).await,
            Kind::ApprovalDeadline => self.approvals.deadline(ApprovalId(job.subject), job.clone()).await,
            Kind::IncidentTimer => self.paging.timer(IncidentId(job.subject), job.clone()).await,
            Kind::Bundle => self.paging.bundle(BundleId(job.subject), job.clone()).await,
            Kind::Webhook => self.webhooks.deliver(job.clone()).await,
            Kind::ApprovalBell => self.approvals.bell(ApprovalId(job.subject), job.clone()).await,
            Kind::AlertTimer => self.paging.alert_timer(AlertId(job.subject), job.clone()).await,
            Kind::Heartbeat => self.paging.heartbeat_timer(IntegrationId(job.subject), job.clone()).await,
            Kind::MaintenanceOver => self.paging.maintenance_over(MaintenanceWindowId(job.subject), job.clone()).await,
            Kind::HandOver => self.schedules.hand_over(ScheduleId(job.subject), job.clone()).await,
        }
    }

    /// Whoever asked for somebody who cannot be reached goes on without them.
    async fn unreachable(&self, job: &Job) -> db::Result<()> {
        let unreached = self.delivery.unreached(NotificationId(job.subject)).await?;
        match unreached {
            Some(unreached) if unreached.category == Category::Page => {
                self.paging.unreachable(IncidentId(unreached.subject), unreached.round, job.clone()).await
            }
            // The bot of an approval hears of it by the event, and asks whom it likes; who tests sees for themselves.
            Some(_) | None => {
                let job = job.clone();
                self.store.write(move |tx| Box::pin(async move { jobs::complete(tx, &job).await.map(|_| ()) })).await
            }
        }
    }

    async fn bury(&self, job: &Job) -> db::Result<()> {
        tracing::error!(job = %job.id, kind = job.kind.as_str(), tries = job.tries, "a job is buried: it failed every time");
        let (job, now, journal) = (job.clone(), self.clock.now(), self.journal.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    if jobs::bury(tx, &job, now, "tried too often").await? {
                        let entry = journal::Entry {
                            kind: "job.buried",
                            actor: journal::Actor::System,
                            subject: job.id.to_string(),
                            data: serde_json::json!({"kind": job.kind.as_str(), "subject": job.subject, "tries": job.tries}),
                        };
                        journal.append(tx, now, entry).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// Numbers and chains what was appended, a little later and in batches.
async fn seal(store: Store, journal: Journal, hub: Hub, stop: CancellationToken) {
    loop {
        match journal::seal(&store).await {
            Ok(0) => {}
            Ok(_) => {
                crate::crash_point!("seal-committed");
                hub.wake(journal::SEALED);
                continue;
            }
            Err(error) => tracing::error!(%error, "the journal cannot be sealed"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = journal.appended() => tokio::time::sleep(SEAL_PAUSE).await,
            // What another node appended before it died.
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
    }
}

/// Webhooks get their jobs once something was sealed, here or elsewhere.
async fn stir(webhooks: Arc<Webhooks>, hub: Hub, stop: CancellationToken) {
    loop {
        // Before looking, so that what is sealed in between is not missed.
        let sealed = hub.subscribe(journal::SEALED);
        if let Err(error) = webhooks.stir().await {
            tracing::warn!(%error, "it cannot be looked up which webhooks wait");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            _ = sealed.wait(STIR_EVERY) => {}
        }
    }
}

/// When lost timers are looked for next; in the past while they are.
struct NextMend(AtomicI64);

impl NextMend {
    fn after(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.after(MEND_EVERY).as_micros()))
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    fn done(&self, now: Timestamp) {
        self.0.store(now.after(MEND_EVERY).as_micros(), Ordering::SeqCst);
    }
}

/// "Waiting without a timer" is impossible, even when a job was buried: what lost its timer is found and rings.
struct Mending {
    paging: Arc<Paging>,
    schedules: Arc<Schedules>,
    clock: Clock,
    next: Arc<NextMend>,
}

impl Mending {
    async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(self.next.at()) => {}
            }
            if let Err(error) = self.paging.mend().await {
                tracing::error!(%error, "lost timers cannot be looked for");
            }
            if let Err(error) = self.schedules.mend().await {
                tracing::error!(%error, "lost hand-overs cannot be looked for");
            }
            self.next.done(self.clock.now());
        }
    }
}

/// Forgets what is over.
struct Forgetting {
    identity: Arc<Identity>,
    store: Store,
    journal: Journal,
    retention: Retention,
}

impl Forgetting {
    async fn forget(&self, now: Timestamp) -> db::Result<()> {
        self.identity.sweep().await?;
        let waited = now.before(WAITED_IN_VAIN);
        self.store.write(move |tx| Box::pin(policies::forget_acts(tx, waited))).await?;
        self.retention.forget(&self.store, &self.journal, now).await
    }
}

async fn forget(forgetting: Forgetting, clock: Clock, stop: CancellationToken) {
    loop {
        if let Err(error) = forgetting.forget(clock.now()).await {
            tracing::error!(%error, "what is over cannot be forgotten");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = clock.sleep_until(clock.now().after(FORGET_EVERY)) => {}
        }
    }
    // A server that is restarted often would never come to it.
    if let Err(error) = forgetting.identity.write_usage().await {
        tracing::warn!(%error, "it was not written what was used last");
    }
}
