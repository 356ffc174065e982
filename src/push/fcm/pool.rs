//! The connections to FCM, and how many messages each carries.
//!
//! **Invariants**
//! - A connection carries at most as many messages at once as it has places; a place is given back when the answer was read, or given up.
//! - Who finds none waits for a bounded time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Client;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Clients of one connection each.
pub(super) struct Pool {
    lanes: Vec<Lane>,
    next: AtomicUsize,
    patience: Duration,
}

struct Lane {
    client: Client,
    places: Arc<Semaphore>,
}

/// A place on a connection, for as long as it is held.
pub(super) struct Place<'p> {
    pub(super) client: &'p Client,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// `patience` is how long somebody waits for a place.
    pub(super) fn new(clients: Vec<Client>, streams: usize, patience: Duration) -> Self {
        let lane = |client| Lane { client, places: Arc::new(Semaphore::new(streams)) };
        Self { lanes: clients.into_iter().map(lane).collect(), next: AtomicUsize::new(0), patience }
    }

    /// A place on the next connection that has one; else on the next that gets one.
    pub(super) async fn place(&self) -> Option<Place<'_>> {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.lanes.len();
        let (before, after) = self.lanes.split_at(first);
        for Lane { client, places } in after.iter().chain(before) {
            if let Ok(permit) = places.clone().try_acquire_owned() {
                return Some(Place { client, _permit: permit });
            }
        }
        let Lane { client, places } = &self.lanes[first];
        let permit = tokio::time::timeout(self.patience, places.clone().acquire_owned()).await.ok()?.ok()?;
        Some(Place { client, _permit: permit })
    }
}
