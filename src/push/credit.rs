//! Whether a refusal that may be our own mistake is believed to be the target's.
//!
//! A provider that does not know a target may not know it because of us: the wrong topic, the sandbox's endpoint, an account of another
//! project, another VAPID key. Then it says so of every target, one push after the other, and believing it would forget every phone there
//! is. So such words are *doubtful*, and all others certain:
//!
//! | carrier | doubtful | certain |
//! |---|---|---|
//! | `apns` | 400 `BadDeviceToken`, `DeviceTokenNotForTopic`; 410 without a reason that Apple documents | 410 `Unregistered`, `ExpiredToken` |
//! | `fcm` | 403 `SENDER_ID_MISMATCH`; 400 `INVALID_ARGUMENT` of the identifier | 404 `UNREGISTERED` |
//! | `web_push`, each origin | 400, 401, 403 that name another VAPID key | 404, 410 |
//!
//! A route that takes pushes is set up well, so each push it takes vouches for what it says of others: for [`VOUCHED`] of them, since it
//! may have been well and be so no more. Without a voucher a doubtful word is about us: `Outcome::Misconfigured`.
//!
//! **Invariants**
//! - On a route that took nothing since the process started no doubtful word ends a registration.
//! - Of a route that turns bad meanwhile, at most [`VOUCHED`] do after the last push it took.

use std::sync::atomic::{AtomicU32, Ordering};

/// How many doubtful words one accepted push vouches for.
const VOUCHED: u32 = 3;

/// What a route has shown of itself. One for each route; cheap.
#[derive(Debug, Default)]
pub(super) struct Credit(AtomicU32);

impl Credit {
    /// The provider took a push.
    pub(super) fn accepted(&self) {
        self.0.store(VOUCHED, Ordering::Relaxed);
    }

    /// Whether a doubtful word is believed, which uses up a voucher.
    pub(super) fn believes(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_vouches_for_a_few_and_nothing_vouches_for_the_first() {
        let credit = Credit::default();
        assert!(!credit.believes());
        for _ in 0..2 {
            credit.accepted();
        }
        assert_eq!((0..10).filter(|_| credit.believes()).count(), VOUCHED as usize, "and not for twice as many");
        credit.accepted();
        assert!(credit.believes());
    }
}
