//! Whose limit it is that was reached, when Google does not say.
//!
//! `QUOTA_EXCEEDED` is said of one phone that got too much (240 a minute) and of the whole project (600,000 a minute). Taking the first for
//! the second would stop everybody's pages for the sake of one phone, and the other way round would go on asking what Google has refused.
//! So the first phone that it is said of is left alone, and the second while the first one is shows that it is the project.
//!
//! **Invariants**
//! - One phone that gets too much stops no other, however often it is said of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Installation;
use crate::clock::Timestamp;

/// The phone that it was said of last, and until when it is left alone.
#[derive(Default)]
pub(super) struct Quota(Mutex<Option<(Installation, Timestamp)>>);

impl Quota {
    /// It was said of `to`, which is to be left alone for `wait`: whether it is not about that phone alone.
    pub(super) fn is_everybodys(&self, to: &Installation, wait: Duration, now: Timestamp) -> bool {
        let mut last = self.lock();
        if last.as_ref().is_some_and(|(other, until)| other != to && now < *until) {
            return true;
        }
        *last = Some((to.clone(), now.after(wait)));
        false
    }

    /// Google takes messages.
    pub(super) fn accepted(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Installation, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_phones_at_once_are_everybody_and_one_is_not() {
        let phone = |name: &str| Installation::token(name.to_owned()).unwrap();
        let at = |seconds: i64| Timestamp::from_seconds(1_800_000_000 + seconds);
        let (quota, minute) = (Quota::default(), Duration::from_mins(1));
        for seconds in 0..10 {
            assert!(!quota.is_everybodys(&phone("a"), minute, at(seconds)));
        }
        assert!(quota.is_everybodys(&phone("b"), minute, at(68)));
        assert!(!quota.is_everybodys(&phone("b"), minute, at(69)), "the first one is left alone no more");
        quota.accepted();
        assert!(!quota.is_everybodys(&phone("c"), minute, at(70)), "others are taken");
    }
}
