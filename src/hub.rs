//! Who waits for what on this node: long polls sleep here, holding neither a thread nor a connection.
//!
//! **Invariants**
//! - A wake-up is a hint; whoever wakes looks at the database again.
//! - Subscribing comes before looking, so that a change in between is not missed.
//! - A subject that nobody waits for takes no memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

/// Subjects and those who wait for them. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hub(Arc<Shared>);

#[derive(Default)]
struct Shared {
    subjects: Mutex<HashMap<Uuid, Waiters>>,
    /// What was woken here and is still to be told to other nodes.
    woken: Mutex<Vec<Uuid>>,
    waking: Notify,
}

/// More than this is not kept for other nodes: there it costs a long poll's rest, here it would cost memory.
const MAX_WOKEN: usize = 10_000;

#[derive(Default)]
struct Waiters {
    count: usize,
    changed: Arc<Notify>,
}

/// A place among those who wait for a subject; given up when dropped.
pub struct Subscription {
    hub: Hub,
    subject: Uuid,
    woken: std::pin::Pin<Box<tokio::sync::futures::OwnedNotified>>,
}

impl Hub {
    /// Begins to wait for `subject`: a wake-up from now on is not missed.
    #[must_use]
    pub fn subscribe(&self, subject: Uuid) -> Subscription {
        let changed = {
            let mut subjects = self.0.subjects.lock().unwrap_or_else(PoisonError::into_inner);
            let waiters = subjects.entry(subject).or_default();
            waiters.count += 1;
            waiters.changed.clone()
        };
        let mut woken = Box::pin(changed.notified_owned());
        woken.as_mut().enable();
        Subscription { hub: self.clone(), subject, woken }
    }

    /// Wakes everybody who waits for `subject`, here and on other nodes.
    pub fn wake(&self, subject: Uuid) {
        self.wake_here(subject);
        let mut woken = self.0.woken.lock().unwrap_or_else(PoisonError::into_inner);
        if woken.len() < MAX_WOKEN {
            woken.push(subject);
        }
        self.0.waking.notify_one();
    }

    /// The subjects woken here since the last call; waits until there is one.
    pub async fn woken(&self) -> Vec<Uuid> {
        loop {
            let woken = std::mem::take(&mut *self.0.woken.lock().unwrap_or_else(PoisonError::into_inner));
            if !woken.is_empty() {
                return woken;
            }
            self.0.waking.notified().await;
        }
    }

    /// Wakes everybody who waits for `subject` on this node.
    pub fn wake_here(&self, subject: Uuid) {
        let subjects = self.0.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiters) = subjects.get(&subject) {
            waiters.changed.notify_waiters();
        }
    }

    /// The subjects that somebody waits for.
    #[must_use]
    pub fn subjects(&self) -> usize {
        self.0.subjects.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Subscription {
    /// Waits; `true` when woken, `false` after `at_most`. The time is real time whatever clock the house goes by: it is the client's.
    pub async fn wait(mut self, at_most: Duration) -> bool {
        tokio::time::timeout(at_most, self.woken.as_mut()).await.is_ok()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subjects = self.hub.0.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiters) = subjects.get_mut(&self.subject) {
            waiters.count -= 1;
            if waiters.count == 0 {
                subjects.remove(&self.subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_waiter_is_woken_and_forgotten() {
        let (hub, subject) = (Hub::default(), Uuid::from_u128(7));
        let waiting = hub.subscribe(subject);
        hub.wake(subject);
        assert!(waiting.wait(Duration::from_secs(5)).await, "woken between subscribing and waiting");
        assert_eq!(hub.subjects(), 0);
        assert!(!hub.subscribe(subject).wait(Duration::from_millis(1)).await);
    }
}
