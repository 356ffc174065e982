//! The connections to push services: each origin has its own, and they are thrown away when one of them answers no more.
//!
//! A connection of HTTP/2 is shared and outlives the messages on it. One that answers PINGs and nothing else would swallow every message for
//! as long as it is kept, and the client's own pool has no way to drop it alone; so an origin's client is replaced, and no other's.
//!
//! **Invariants**
//! - After a message that got no answer in time, while nobody else of that origin did, no other goes on the same connection.
//! - What one origin does costs no other its connections.
//! - So many origins are remembered and no more: they are strangers' words. The one that was not called for longest is forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Client;

use super::SetupError;
use crate::push::credit::Credit;

/// How many origins are remembered. Browsers have a handful.
const KEPT: usize = 256;

/// Makes a client that has no connection yet.
type Fresh = Box<dyn Fn() -> Result<Client, SetupError> + Send + Sync>;

/// All origins.
pub(super) struct Origins {
    fresh: Fresh,
    house: Mutex<House>,
}

#[derive(Default)]
struct House {
    known: HashMap<String, Known>,
    /// How often any was called.
    calls: u64,
}

struct Known {
    client: Client,
    credit: Arc<Credit>,
    /// Counts its answers and its replacements: while it stays the same, nothing came back.
    signs: u64,
    /// Which call of all was its last.
    called: u64,
}

/// One call of one origin.
pub(super) struct Call {
    pub(super) client: Client,
    /// What its pushes have shown of us.
    pub(super) credit: Arc<Credit>,
    signs: u64,
}

impl Origins {
    pub(super) fn new(fresh: Fresh) -> Self {
        Self { fresh, house: Mutex::default() }
    }

    /// A client to call `origin` with.
    pub(super) fn call(&self, origin: &str) -> Result<Call, SetupError> {
        let mut house = self.house();
        house.calls += 1;
        let called = house.calls;
        if let Some(known) = house.known.get_mut(origin) {
            known.called = called;
            return Ok(known.call());
        }
        house.make_room();
        let known = Known { client: (self.fresh)()?, credit: Arc::default(), signs: 0, called };
        let call = known.call();
        house.known.insert(origin.to_owned(), known);
        Ok(call)
    }

    /// Something came back.
    pub(super) fn answered(&self, origin: &str) {
        if let Some(known) = self.house().known.get_mut(origin) {
            known.signs += 1;
        }
    }

    /// Nothing came back in time. If nothing did for anybody else meanwhile either, the next call connects anew; of many who find that out,
    /// one sees to it.
    pub(super) fn unanswered(&self, origin: &str, call: &Call) {
        let mut house = self.house();
        let Some(known) = house.known.get_mut(origin) else { return };
        if known.signs != call.signs {
            return;
        }
        known.signs += 1;
        // It could be made before. Without another, the one that there is stays.
        if let Ok(client) = (self.fresh)() {
            known.client = client;
        }
    }

    fn house(&self) -> MutexGuard<'_, House> {
        self.house.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn call(&self) -> Call {
        Call { client: self.client.clone(), credit: self.credit.clone(), signs: self.signs }
    }
}

impl House {
    fn make_room(&mut self) {
        if self.known.len() < KEPT {
            return;
        }
        let oldest = self.known.iter().min_by_key(|(_, known)| known.called).map(|(origin, _)| origin.clone());
        oldest.and_then(|oldest| self.known.remove(&oldest));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    /// And how many clients were made.
    fn origins() -> (Origins, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let (count, client) = (made.clone(), Client::new());
        let fresh = move || {
            count.fetch_add(1, SeqCst);
            Ok(client.clone())
        };
        (Origins::new(Box::new(fresh)), made)
    }

    #[test]
    fn an_origin_that_answers_nobody_is_connected_to_anew_once_and_no_other_is() {
        let (origins, made) = origins();
        let silent: Vec<_> = (0..10).map(|_| origins.call("https://a.example").unwrap()).collect();
        let slow = origins.call("https://b.example").unwrap();
        assert_eq!(made.load(SeqCst), 2);
        origins.answered("https://b.example");
        origins.unanswered("https://b.example", &slow);
        assert_eq!(made.load(SeqCst), 2, "others were answered");
        for call in &silent {
            origins.unanswered("https://a.example", call);
        }
        assert_eq!(made.load(SeqCst), 3);
        let again = origins.call("https://a.example").unwrap();
        origins.unanswered("https://a.example", &again);
        assert_eq!(made.load(SeqCst), 4, "the one that took its place is judged anew");
    }

    #[test]
    fn origins_do_not_pile_up_and_those_in_use_stay() {
        let (origins, made) = origins();
        for n in 0..KEPT + 10 {
            origins.call(&format!("https://{n}.example")).unwrap();
            origins.call("https://kept.example").unwrap();
        }
        assert_eq!((origins.house().known.len(), made.load(SeqCst)), (KEPT, KEPT + 11));
        assert!(origins.house().known.contains_key("https://kept.example"));
    }
}
