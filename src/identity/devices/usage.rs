//! When devices and bots were used last: remembered here with every call, written now and then.
//!
//! **Invariants**
//! - No call writes anything for it. What was not written when a node dies is lost, and is at most ten minutes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::store;
use crate::clock::Timestamp;
use crate::db;
use crate::id::{BotId, DeviceId};
use crate::identity::service::Identity;

/// Things written in one transaction.
const BATCH: usize = 500;

/// What calls. Ordered, so that nodes that write at the same time lock rows in one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::identity) enum Thing {
    Bot(BotId),
    Device(DeviceId),
}

/// What called since that was written last, and when.
#[derive(Default)]
pub(in crate::identity) struct Usage(Mutex<BTreeMap<Thing, Timestamp>>);

impl Usage {
    pub(in crate::identity) fn note(&self, thing: Thing, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = known.entry(thing).or_insert(now);
        *at = now.max(*at);
    }

    fn take(&self) -> Vec<(Thing, Timestamp)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }
}

impl Identity {
    /// Writes when devices and bots were used last. For the sweep, and for the end.
    ///
    /// # Errors
    /// Storage errors; what was remembered is forgotten then.
    pub async fn write_usage(&self) -> db::Result<()> {
        for batch in self.usage.take().chunks(BATCH).map(<[_]>::to_vec) {
            self.store
                .for_workers()
                .write(move |tx| {
                    Box::pin(async move {
                        for (thing, at) in batch {
                            store::note(tx, thing, at).await?;
                        }
                        Ok::<_, db::Error>(())
                    })
                })
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_use_of_each_thing_is_remembered_until_it_is_written() {
        let (usage, start) = (Usage::default(), Timestamp::from_seconds(1_800_000_000));
        let (phone, bot) = (Thing::Device(DeviceId::new(start)), Thing::Bot(BotId::new(start)));
        let later = Timestamp::from_seconds(1_800_000_009);
        for (thing, at) in [(phone, later), (bot, start), (phone, start)] {
            usage.note(thing, at);
        }
        assert_eq!(usage.take(), [(bot, start), (phone, later)]);
        assert_eq!(usage.take(), []);
    }
}
