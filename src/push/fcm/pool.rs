//! The connections to FCM, and how many messages each carries.
//!
//! **Invariants**
//! - A connection carries at most as many messages at once as it has places; a place is given back when the answer was read, or given up.
//! - Who finds none waits for a bounded time, for whichever connection has one first, and hears whether others had answers meanwhile.
//! - Some places are for urgent messages alone: however many others there are, they fill no more than the rest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Client;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Limits, SetupError};
use crate::push::Urgency;

/// Makes a client that has no connection yet.
type Fresh = Box<dyn Fn() -> Result<Client, SetupError> + Send + Sync>;

/// Clients of one connection each.
pub(super) struct Pool {
    lanes: Mutex<Lanes>,
    /// The places of all lanes together: who has one of these finds one on a lane.
    places: Semaphore,
    /// Those of them that are not for urgent messages alone.
    ordinary: Semaphore,
    /// How many messages were answered, ever.
    answers: AtomicU64,
    patience: Duration,
    fresh: Fresh,
}

/// Why there was no place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Others had their turn.
    Busy,
    /// Nobody was answered.
    Stuck,
}

struct Lanes {
    all: Vec<Lane>,
    /// Whose turn it is among equals.
    next: usize,
}

struct Lane {
    client: Client,
    taken: usize,
    /// Counts its answers and its replacements: while it stays the same, nothing came back.
    signs: u64,
}

/// A place on a connection, for as long as it is held.
pub(super) struct Place<'p> {
    pub(super) client: Client,
    pool: &'p Pool,
    lane: usize,
    /// The lane's signs when it was taken.
    signs: u64,
    // Given back after the lane's own, which `drop` does: nobody is let in before there is room.
    _place: SemaphorePermit<'p>,
    _ordinary: Option<SemaphorePermit<'p>>,
}

impl Pool {
    pub(super) fn new(limits: Limits, fresh: Fresh) -> Result<Self, SetupError> {
        let lane = |_| Ok(Lane { client: fresh()?, taken: 0, signs: 0 });
        let all = (0..limits.connections).map(lane).collect::<Result<Vec<_>, SetupError>>()?;
        let places = limits.connections * limits.streams;
        Ok(Self {
            lanes: Mutex::new(Lanes { all, next: 0 }),
            places: Semaphore::new(places),
            ordinary: Semaphore::new(places.saturating_sub(limits.reserved)),
            answers: AtomicU64::new(0),
            patience: limits.place,
            fresh,
        })
    }

    /// A place on the connection with the most room, as soon as there is one.
    pub(super) async fn place(&self, urgency: Urgency) -> Result<Place<'_>, Full> {
        let before = self.answers.load(Ordering::Relaxed);
        let admitted = async {
            let ordinary = match urgency {
                Urgency::High => None,
                Urgency::Normal => Some(self.ordinary.acquire().await.ok()?),
            };
            Some((self.places.acquire().await.ok()?, ordinary))
        };
        let admitted = tokio::time::timeout(self.patience, admitted).await;
        let Ok(Some((place, ordinary))) = admitted else {
            let busy = self.answers.load(Ordering::Relaxed) != before;
            return Err(if busy { Full::Busy } else { Full::Stuck });
        };
        let mut lanes = self.lanes();
        let count = lanes.all.len();
        let first = lanes.next;
        let lane =
            (first..first + count).map(|lane| lane % count).min_by_key(|lane| lanes.all[*lane].taken).ok_or(Full::Stuck)?;
        lanes.next = (lane + 1) % count;
        let Lane { client, taken, signs } = &mut lanes.all[lane];
        *taken += 1;
        Ok(Place { client: client.clone(), pool: self, lane, signs: *signs, _place: place, _ordinary: ordinary })
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Something came back.
    pub(super) fn answered(&self) {
        self.pool.answers.fetch_add(1, Ordering::Relaxed);
        self.pool.lanes().all[self.lane].signs += 1;
    }

    /// Nothing came back in time. If nothing did for anybody else meanwhile either, the connection is taken for wedged, though it may
    /// answer pings, and the next message makes another. Of many who find that out, one replaces it.
    pub(super) fn unanswered(&self) {
        {
            let lane = &mut self.pool.lanes().all[self.lane];
            if lane.signs != self.signs {
                return;
            }
            lane.signs += 1;
        }
        // Not under the lock: it reads the certificates of the operating system. Without another, the one that there is stays.
        if let Ok(client) = (self.pool.fresh)() {
            self.pool.lanes().all[self.lane].client = client;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pool.lanes().all[self.lane].taken -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    /// Two connections of three places each, two of the six reserved; and how many clients were made.
    fn pool(patience: Duration) -> (Pool, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let limits = Limits { connections: 2, streams: 3, reserved: 2, place: patience, ..Limits::default() };
        let fresh = move || {
            count.fetch_add(1, SeqCst);
            Ok(Client::new())
        };
        (Pool::new(limits, Box::new(fresh)).unwrap(), made)
    }

    #[tokio::test]
    async fn urgent_messages_find_a_place_among_any_number_of_others() {
        let (pool, _) = pool(Duration::from_millis(20));
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(pool.place(Urgency::Normal).await.unwrap());
        }
        assert_eq!(pool.place(Urgency::Normal).await.err(), Some(Full::Stuck), "what is left is for urgent ones");
        for _ in 0..2 {
            held.push(pool.place(Urgency::High).await.unwrap());
        }
        let (full, ()) = tokio::join!(pool.place(Urgency::High), async { held[0].answered() });
        assert_eq!(full.err(), Some(Full::Busy), "there is only much to do");
        assert!(pool.lanes().all.iter().all(|lane| lane.taken == 3));
        drop(held);
        assert!(pool.lanes().all.iter().all(|lane| lane.taken == 0));
        assert_eq!((pool.places.available_permits(), pool.ordinary.available_permits()), (6, 4));
    }

    #[tokio::test]
    async fn whichever_connection_has_a_place_first_gives_it() {
        for lane in 0..2 {
            let (pool, _) = pool(Duration::from_secs(60));
            let mut held = Vec::new();
            for _ in 0..6 {
                held.push(pool.place(Urgency::High).await.unwrap());
            }
            let waiting = pool.place(Urgency::High);
            let freeing = async {
                tokio::task::yield_now().await;
                held.remove(held.iter().position(|place| place.lane == lane).unwrap());
            };
            let (place, ()) = tokio::join!(waiting, freeing);
            assert_eq!(place.unwrap().lane, lane);
        }
    }

    #[tokio::test]
    async fn a_connection_that_answers_nobody_is_replaced_once() {
        let (pool, made) = pool(Duration::from_millis(20));
        let mut places = Vec::new();
        for _ in 0..6 {
            places.push(pool.place(Urgency::High).await.unwrap());
        }
        let (silent, fine): (Vec<_>, Vec<_>) = places.into_iter().partition(|place| place.lane == 0);
        fine[0].answered();
        for place in fine.iter().chain(&silent) {
            place.unanswered();
        }
        assert_eq!(made.load(SeqCst), 3, "two to begin with, and one in the place of the first");
        drop((silent, fine));
        // The one that took its place is judged anew.
        let places = [pool.place(Urgency::High).await.unwrap(), pool.place(Urgency::High).await.unwrap()];
        places.iter().for_each(Place::unanswered);
        assert_eq!(made.load(SeqCst), 5);
    }
}
