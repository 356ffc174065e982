//! Which phones Apple asked to leave alone for a while (429 `TooManyRequests`), and for how long: each for itself.
//!
//! **Invariants**
//! - Only the device token that was refused is left alone; the pause doubles while it goes on, and ends with the first push it takes.
//! - At most [`KEPT`] are remembered: the one whose pause ends first is forgotten for the next.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::DeviceToken;
use crate::clock::Timestamp;

/// The first pause. Apple does not say how long.
const FIRST: Duration = Duration::from_secs(10);

/// The longest: an escalation does not wait for more.
const LONGEST: Duration = Duration::from_mins(5);

/// How many phones are remembered.
const KEPT: usize = 4_096;

/// The phones that are left alone.
#[derive(Default)]
pub(super) struct Patience(Mutex<HashMap<DeviceToken, Pause>>);

#[derive(Clone, Copy)]
struct Pause {
    until: Timestamp,
    long: Duration,
}

impl Patience {
    /// For how long still this phone is left alone, if it is.
    pub(super) fn left(&self, device: &DeviceToken, now: Timestamp) -> Option<Duration> {
        let until = self.lock().get(device)?.until;
        // A second at least: that is what an outcome promises.
        (now < until).then(|| now.until(until).max(Duration::from_secs(1)))
    }

    /// Apple said 429: for how long this phone is left alone from now on.
    pub(super) fn begin(&self, device: &DeviceToken, now: Timestamp) -> Duration {
        let mut pauses = self.lock();
        // Of several that were on their way together only the first doubles the pause.
        let long = match pauses.get(device) {
            None => FIRST,
            Some(pause) if now < pause.until => pause.long,
            Some(pause) => (pause.long * 2).min(LONGEST),
        };
        if pauses.len() >= KEPT && !pauses.contains_key(device) {
            make_room(&mut pauses);
        }
        pauses.insert(device.clone(), Pause { until: now.after(long), long });
        long
    }

    /// Apple took a push for this phone.
    pub(super) fn end(&self, device: &DeviceToken) {
        let mut pauses = self.lock();
        if !pauses.is_empty() {
            pauses.remove(device);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceToken, Pause>> {
        // A panic elsewhere leaves at worst a pause less.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(pauses: &mut HashMap<DeviceToken, Pause>) {
    let first = pauses.iter().min_by_key(|(_, pause)| pause.until).map(|(device, _)| device.clone());
    if let Some(device) = first {
        pauses.remove(&device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn device(number: usize) -> DeviceToken {
        format!("{number:064x}").try_into().unwrap()
    }

    fn later(seconds: u64) -> Timestamp {
        NOW.after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_phone_is_left_alone_for_twice_as_long_each_time_and_no_other_is() {
        let (patience, phone) = (Patience::default(), device(1));
        assert_eq!(patience.begin(&phone, NOW), Duration::from_secs(10));
        assert_eq!(patience.begin(&phone, NOW), Duration::from_secs(10));
        assert_eq!(patience.left(&phone, later(9)), Some(Duration::from_secs(1)));
        assert_eq!((patience.left(&phone, later(10)), patience.left(&device(2), NOW)), (None, None));
        assert_eq!(patience.begin(&phone, later(10)), Duration::from_secs(20));
        for again in 1..10 {
            patience.begin(&phone, later(1_000 * again));
        }
        assert_eq!(patience.left(&phone, later(9_000)), Some(LONGEST));
        patience.end(&phone);
        assert_eq!(patience.left(&phone, later(9_000)), None);
        assert_eq!(patience.begin(&phone, later(9_000)), FIRST);
    }

    #[test]
    fn pauses_do_not_pile_up() {
        let patience = Patience::default();
        for number in 0..KEPT + 10 {
            patience.begin(&device(number), later(u64::from(number > 0)));
        }
        assert_eq!(patience.lock().len(), KEPT);
        assert_eq!(patience.left(&device(0), NOW), None);
        assert!(patience.left(&device(KEPT + 9), later(1)).is_some());
    }
}
