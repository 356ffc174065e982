//! How much one integration may report: a bucket that fills evenly, kept by each node for itself.
//!
//! **Invariants**
//! - Whoever is over the quota is refused with how long to wait, never dropped without a word; the first refusal of a bout raises an incident
//!   of the integration, for what is refused may be the first that anybody hears of something.
//! - Only what is over the quota costs its integration anything: others have buckets of their own, and heartbeats have none.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::IntegrationId;

/// The buckets of this node.
pub(in crate::paging) struct Quotas {
    per_minute: u32,
    buckets: Mutex<HashMap<IntegrationId, Bucket>>,
}

/// What one integration may still report.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    /// Reports that it may send now.
    left: f64,
    at: Timestamp,
    /// Reports refused since it went over; 0 when it is not.
    refused: u64,
}

/// What a bucket says of some reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// They fit.
    Fits,
    /// They fit, and the bout is over in which so many were refused.
    FitsAgain {
        /// How many.
        refused: u64,
    },
    /// They do not fit.
    Over {
        /// How long until they do.
        wait: Duration,
        /// Whether they are the first of a bout.
        first: bool,
    },
}

impl Quotas {
    /// Buckets that hold what may be reported in a minute.
    pub(in crate::paging) fn new(per_minute: u32) -> Self {
        Self { per_minute: per_minute.max(1), buckets: Mutex::default() }
    }

    pub(super) fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// Nobody could be told of a bout: the next refusal is its first.
    pub(super) fn untold(&self, integration: IntegrationId) {
        let mut buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(&integration) {
            bucket.refused = 0;
        }
    }

    /// Takes so many reports out of the bucket of an integration, or says why not. More at once than a bucket holds fit into a full one.
    pub(super) fn take(&self, integration: IntegrationId, reports: u32, now: Timestamp) -> Says {
        let full = f64::from(self.per_minute);
        let mut buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let bucket = buckets.entry(integration).or_insert(Bucket { left: full, at: now, refused: 0 });
        bucket.take(f64::from(reports.max(1)).min(full), full, now)
    }
}

impl Bucket {
    fn take(&mut self, reports: f64, full: f64, now: Timestamp) -> Says {
        let a_second = full / 60.0;
        self.left = full.min(self.left + a_second * self.at.until(now).as_secs_f64());
        self.at = self.at.max(now);
        if self.left < reports {
            let wait = Duration::from_secs_f64((reports - self.left) / a_second);
            self.refused += 1;
            return Says::Over { wait, first: self.refused == 1 };
        }
        self.left -= reports;
        // Not at once: what hovers around its quota is one bout.
        if self.refused > 0 && self.left >= full / 2.0 {
            return Says::FitsAgain { refused: std::mem::take(&mut self.refused) };
        }
        Says::Fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000).after(Duration::from_millis(millis))
    }

    #[test]
    fn a_bucket_empties_fills_evenly_and_says_once_that_it_was_empty() {
        let quotas = Quotas::new(60);
        let (one, other) = (IntegrationId::new(at(0)), IntegrationId::new(at(0)));
        for _ in 0..60 {
            assert_eq!(quotas.take(one, 1, at(0)), Says::Fits);
        }
        let wait = Duration::from_secs(1);
        assert_eq!(quotas.take(one, 1, at(0)), Says::Over { wait, first: true });
        assert_eq!(quotas.take(one, 1, at(0)), Says::Over { wait, first: false });
        assert_eq!(quotas.take(other, 60, at(0)), Says::Fits, "another has its own");
        assert_eq!(quotas.take(one, 1, at(1000)), Says::Fits);
        assert_eq!(quotas.take(one, 2, at(1500)), Says::Over { wait: Duration::from_millis(1500), first: false });
        assert_eq!(quotas.take(one, 1, at(20_000)), Says::Fits, "it is not half full yet");
        assert_eq!(quotas.take(one, 1, at(60_000)), Says::FitsAgain { refused: 3 });
        assert_eq!(quotas.take(one, 1, at(60_000)), Says::Fits);
        assert_eq!(quotas.take(one, 1000, at(120_000)), Says::Fits, "what is more than a bucket fits into a full one");
        assert!(matches!(quotas.take(one, 1, at(120_000)), Says::Over { first: true, .. }), "and the next bout is another");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        let quotas = Quotas::new(60);
        let one = IntegrationId::new(at(0));
        assert_eq!(quotas.take(one, 60, at(60_000)), Says::Fits);
        assert!(matches!(quotas.take(one, 1, at(0)), Says::Over { .. }));
        assert!(matches!(quotas.take(one, 1, at(60_000)), Says::Over { .. }));
    }
}
