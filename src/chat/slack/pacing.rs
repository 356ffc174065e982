//! How fast Slack is spoken to: about a message a second in a channel, fewer changes a minute, and nothing while it asks for patience.
//!
//! **Invariants**
//! - Slack's time is real time, whatever clock the house goes by.
//! - Whoever waits for one channel keeps nobody from another, unless Slack asked for patience with all of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Messages that may follow each other at once in a channel: Slack lets short bursts pass.
const BURST: u32 = 4;

/// From then on one in so long.
const APART: Duration = Duration::from_secs(1);

/// Changes that may follow each other at once, and how far apart they are then (`chat.update`: 50 and more a minute).
const CHANGES: u32 = 40;
const CHANGES_APART: Duration = Duration::from_millis(1_200);

/// More channels than this are not remembered: those that were quiet longest are forgotten first.
const CHANNELS: usize = 10_000;

/// When the next may go, as far as it is ahead.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When it would be empty.
    full_until: Instant,
}

impl Bucket {
    /// When the next may go, which takes its place.
    fn take(&mut self, now: Instant, burst: u32, apart: Duration) -> Instant {
        let from = self.full_until.max(now);
        self.full_until = from + apart;
        let ahead = apart * burst.saturating_sub(1);
        from.checked_sub(ahead).unwrap_or(now).max(now)
    }
}

#[derive(Default)]
pub(super) struct Pacing(Mutex<State>);

#[derive(Default)]
struct State {
    channels: HashMap<String, Bucket>,
    changes: Option<Bucket>,
    /// Until when Slack asked for patience, by method.
    held: HashMap<&'static str, Instant>,
}

impl Pacing {
    /// Returns when a call may be made; a message counts for its channel, a change for all.
    pub(super) async fn turn(&self, method: &'static str, channel: Option<&str>) {
        let mut at = self.place(method, channel, Instant::now());
        loop {
            tokio::time::sleep_until(at).await;
            // Somebody may have been asked for patience meanwhile.
            match self.held(method) {
                Some(until) if until > Instant::now() => at = until,
                _ => return,
            }
        }
    }

    fn place(&self, method: &'static str, channel: Option<&str>, now: Instant) -> Instant {
        let mut state = self.state();
        match (method, channel) {
            ("chat.update", _) => state.changes.get_or_insert(Bucket { full_until: now }).take(now, CHANGES, CHANGES_APART),
            (_, Some(channel)) => {
                if state.channels.len() >= CHANNELS && !state.channels.contains_key(channel) {
                    state.channels.retain(|_, bucket| bucket.full_until > now);
                }
                let bucket = state.channels.entry(channel.to_owned()).or_insert(Bucket { full_until: now });
                bucket.take(now, BURST, APART)
            }
            (_, None) => now,
        }
    }

    /// Slack asked for patience with a method.
    pub(super) fn hold(&self, method: &'static str, wait: Duration) {
        let until = Instant::now() + wait;
        let mut state = self.state();
        let held = state.held.entry(method).or_insert(until);
        *held = until.max(*held);
    }

    fn held(&self, method: &'static str) -> Option<Instant> {
        self.state().held.get(method).copied()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: &str = "chat.postMessage";

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_then_one_a_second_in_each_channel() {
        let (pacing, began) = (Pacing::default(), Instant::now());
        let mut went = Vec::new();
        for _ in 0..6 {
            pacing.turn(POST, Some("C1")).await;
            went.push(began.elapsed().as_secs());
        }
        assert_eq!(went, [0, 0, 0, 0, 1, 2]);
        pacing.turn(POST, Some("C2")).await;
        assert_eq!(began.elapsed().as_secs(), 2, "another channel's turn is its own");
        tokio::time::sleep(Duration::from_secs(60)).await;
        for _ in 0..4 {
            pacing.turn(POST, Some("C1")).await;
        }
        assert_eq!(began.elapsed().as_secs(), 62, "quiet gives the burst back, and no more than that");
        pacing.turn(POST, Some("C1")).await;
        assert_eq!(began.elapsed().as_secs(), 63);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_is_kept_for_the_method_it_was_asked_for() {
        let (pacing, began) = (Pacing::default(), Instant::now());
        pacing.hold(POST, Duration::from_secs(30));
        pacing.hold(POST, Duration::from_secs(5));
        pacing.turn("chat.update", Some("C1")).await;
        assert_eq!(began.elapsed().as_secs(), 0);
        pacing.turn(POST, Some("C1")).await;
        assert_eq!(began.elapsed().as_secs(), 30);
    }
}
