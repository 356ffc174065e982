//! Lanes: each carrier's urgent attempts and its ordinary ones are claimed, sent and recorded by themselves.
//!
//! ```text
//!   claim, as many as there are places ──► send, each in a place ──► record, whatever has gathered
//! ```
//!
//! **Invariants**
//! - A carrier that hangs, resets or refuses takes its own places and nobody else's.
//! - Urgent attempts never wait behind ordinary ones: they have a queue, places and a recorder of their own.
//! - No more is claimed than is sent at once: a lease never ends in a queue, and what was withdrawn since is not sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Busy, UnderWay};
use crate::clock::Timestamp;
use crate::db::{self, Error};
use crate::delivery::{Claimed, Delivery, Done, Lane};

/// Sent at once by a lane's ordinary attempts; and by its urgent ones.
const PLACES: (usize, usize) = (512, 128);

/// Claimed or recorded in one transaction.
const BATCH: usize = 500;

/// Made and not yet recorded, at most.
const UNRECORDED: usize = 2 * BATCH;

/// The safety net: how long an attempt of another node may go unnoticed.
const SWEEP: Duration = Duration::from_secs(1);

/// How long a lane waits that cannot read its attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// How often it is tried to record what was sent.
const RECORD_TRIES: u32 = 5;

/// The lanes at work. Cheap to clone.
#[derive(Clone)]
pub struct Lanes {
    delivery: Delivery,
    under_way: Arc<UnderWay>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Lanes {
    /// Starts every lane, until [`Lanes::stop`].
    #[must_use]
    pub fn start(delivery: Delivery) -> Self {
        Self::start_counted(delivery, Arc::default())
    }

    /// As [`Lanes::start`]; what is under way is counted where it is said.
    pub(super) fn start_counted(delivery: Delivery, under_way: Arc<UnderWay>) -> Self {
        let lanes = Self { delivery, under_way, tasks: TaskTracker::new(), stop: CancellationToken::new() };
        for lane in Lane::ALL {
            let (done, recording) = mpsc::channel(UNRECORDED);
            let places = Arc::new(Semaphore::new(if lane.urgent { PLACES.1 } else { PLACES.0 }));
            lanes.tasks.spawn(Worker { lane, places, lanes: lanes.clone(), done }.run());
            lanes.tasks.spawn(record(lanes.delivery.clone(), recording));
        }
        lanes.tasks.close();
        lanes
    }

    /// Claims nothing more, and returns when what was under way is recorded.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

struct Worker {
    lane: Lane,
    places: Arc<Semaphore>,
    lanes: Lanes,
    done: mpsc::Sender<(Done, Busy)>,
}

impl Worker {
    async fn run(self) {
        let stop = self.lanes.stop.clone();
        loop {
            let wake_at = self.claim_due().await;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.lanes.delivery.signals.woken(self.lane) => {}
                () = self.lanes.delivery.clock.sleep_until(wake_at) => {}
            }
        }
    }

    /// Claims and sends what is due; until when there is nothing to claim.
    async fn claim_due(&self) -> Timestamp {
        loop {
            let now = self.lanes.delivery.clock.now();
            let sweep = now.after(SWEEP);
            let due = match self.lanes.delivery.next_due(self.lane).await {
                Ok(due) => due,
                Err(error) => return self.pause_after(&error).await,
            };
            match due {
                Some(due) if due <= now => {}
                Some(due) => return due.min(sweep),
                None => return sweep,
            }
            // A carrier that hangs holds its places for as long as it may; nothing is claimed for it meanwhile.
            let place = tokio::select! {
                () = self.lanes.stop.cancelled() => return sweep,
                place = self.places.clone().acquire_owned() => place,
            };
            let Ok(place) = place else { return sweep };
            match self.claim(place).await {
                Ok(0) => {
                    // Another node has it, or holds on to it: asking at once again would be all that this one does.
                    tokio::time::sleep(PAUSE).await;
                    if self.lanes.stop.is_cancelled() {
                        return sweep;
                    }
                }
                Ok(_) => {}
                Err(error) => return self.pause_after(&error).await,
            }
        }
    }

    /// Claims what there are places for, and starts sending it; how many.
    async fn claim(&self, first: OwnedSemaphorePermit) -> db::Result<usize> {
        let _busy = Busy::enter(&self.lanes.under_way);
        let more = self.places.available_permits().min(BATCH - 1);
        let limit = u32::try_from(more + 1).map_err(|error| Error::Failed(error.to_string()))?;
        let claimed = self.lanes.delivery.claim(self.lane, limit).await?;
        let (mut first, count) = (Some(first), claimed.len());
        for attempt in claimed {
            // Nobody else takes places of this lane: there are as many as were counted.
            let place = first.take().or_else(|| self.places.clone().try_acquire_owned().ok());
            self.send(attempt, place);
        }
        Ok(count)
    }

    fn send(&self, attempt: Claimed, place: Option<OwnedSemaphorePermit>) {
        let (delivery, done, busy) = (self.lanes.delivery.clone(), self.done.clone(), Busy::enter(&self.lanes.under_way));
        self.lanes.tasks.spawn(async move {
            let made = delivery.send(attempt).await;
            drop(place);
            // The recorder ends after everybody who could send to it.
            let _ = done.send((made, busy)).await;
        });
    }

    async fn pause_after(&self, error: &Error) -> Timestamp {
        tracing::error!(%error, lane = self.lane.channel.as_str(), "attempts cannot be read");
        tokio::time::sleep(PAUSE).await;
        self.lanes.delivery.clock.now().after(SWEEP)
    }
}

/// Records what was made, as much at once as has gathered while the last was written.
async fn record(delivery: Delivery, mut made: mpsc::Receiver<(Done, Busy)>) {
    let mut gathered = Vec::new();
    while made.recv_many(&mut gathered, BATCH).await > 0 {
        let (done, busy): (Vec<_>, Vec<_>) = gathered.drain(..).unzip();
        let done: Arc<[Done]> = done.into();
        for tries in 1..=RECORD_TRIES {
            match delivery.record(done.clone()).await {
                Ok(()) => break,
                // The database was away for a moment: what was sent is known here, and is not to be sent again for it.
                Err(error) if tries < RECORD_TRIES => {
                    tracing::warn!(%error, tries, "it could not be recorded what was sent");
                    tokio::time::sleep(PAUSE * tries).await;
                }
                // The leases run out and everything is sent again, under the same tags.
                Err(error) => tracing::error!(%error, "it cannot be recorded what was sent"),
            }
        }
        drop(busy);
    }
}
