//! What an outcome means for its attempt.

use std::time::Duration;

use super::super::circuit::Route;
use super::{Claimed, LATE};
use crate::clock::Timestamp;
use crate::id::DeviceId;
use crate::push::Outcome;
use crate::secret::random;

/// The longest pause between two tries of one attempt.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// How long a route that does not accept us is left alone.
const MISCONFIGURED_PAUSE: Duration = Duration::from_secs(30);

/// What waits for a route is tried once more so long before its time is over: the route may have healed unnoticed.
const LAST_TRY: Duration = Duration::from_secs(1);

/// What a try means for its attempt.
pub(super) enum Conclusion {
    /// The provider took it.
    Accepted(Option<String>),
    /// Answered before it was sent.
    Withdrawn,
    /// It will not work.
    Failed(String),
    /// The target is dead: the registration that was tried is of no more use.
    Gone { device: DeviceId, tried: Timestamp, why: String },
    /// Try again then. While its route is down it counts as failed.
    Again { due_at: Timestamp, why: String, down: bool },
}

impl Conclusion {
    pub(super) fn of(outcome: Outcome, claimed: &Claimed, now: Timestamp) -> Self {
        let again = |pause: Duration, why: String, down: bool| Self::at(now.after(pause), claimed, now, why, down);
        let address = claimed.address.as_ref();
        match outcome {
            Outcome::Accepted { id } => Self::Accepted(id),
            // What the provider found dead before it was registered here may live again.
            Outcome::Gone { since: Some(since) } if address.is_some_and(|address| since < address.registered_at) => {
                Self::Failed("the push service says that the registration was gone before it was made".into())
            }
            Outcome::Gone { .. } => match (claimed.device, address) {
                (Some(device), Some(address)) => Self::Gone {
                    device,
                    tried: address.registered_at,
                    why: "the push service says the registration is gone".into(),
                },
                _ => Self::Failed("there is no such mailbox".into()),
            },
            Outcome::RetryAfter(pause) => again(pause, "the push service asked to wait".into(), false),
            Outcome::Retryable(why) => again(pause(claimed.asked + 1), why, false),
            Outcome::Misconfigured(why) => {
                tracing::error!(why, "the push service does not accept us");
                again(MISCONFIGURED_PAUSE, why, true)
            }
            Outcome::Throttled(pause) => again(pause, "the push service takes nothing for a while".into(), true),
            Outcome::Refused(why) => {
                tracing::error!(why, attempt = %claimed.id, "a push was refused for good");
                Self::Failed(why)
            }
            Outcome::Expired => Self::Failed(LATE.into()),
        }
    }

    /// Its route is down until then.
    pub(super) fn down(until: Timestamp, claimed: &Claimed, now: Timestamp, route: &Route) -> Self {
        // Not all at once when it heals.
        let [chance] = random::<1>();
        let due_at = until.after(Duration::from_millis(u64::from(chance)));
        Self::at(due_at, claimed, now, format!("{} is down", route.name()), true)
    }

    /// Again then, or never when its time is over by then. A route that is down is no reason to give it up before: other attempts find
    /// out when it heals.
    fn at(due_at: Timestamp, claimed: &Claimed, now: Timestamp, why: String, down: bool) -> Self {
        let expires_at = claimed.told.expires_at;
        let last_try = expires_at.before(LAST_TRY);
        let due_at = if down && now < last_try { due_at.min(last_try) } else { due_at };
        if due_at < expires_at { Self::Again { due_at, why, down } } else { Self::Failed(why) }
    }
}

/// Half a second, doubling, with up to as much again at random so that retries do not march in step.
fn pause(asked: u32) -> Duration {
    let base = Duration::from_millis(500).saturating_mul(1 << asked.saturating_sub(1).min(6));
    let [chance] = random::<1>();
    (base + base * u32::from(chance) / 255).min(MAX_PAUSE)
}

pub(super) fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Gone { .. } => "gone",
        Outcome::RetryAfter(_) => "retry_after",
        Outcome::Throttled(_) => "throttled",
        Outcome::Retryable(_) => "retryable",
        Outcome::Refused(_) => "refused",
        Outcome::Misconfigured(_) => "misconfigured",
        Outcome::Expired => "expired",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::super::Told;
    use super::*;
    use crate::delivery::{Channel, Lane};
    use crate::id::{AttemptId, NotificationId, UserId};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    /// Its time is over after ten seconds.
    fn claimed() -> Claimed {
        let told = Told {
            id: NotificationId(Uuid::nil()),
            user: UserId(Uuid::nil()),
            round: 1,
            content: Err("it is not looked at here".into()),
            expires_at: at(10_000),
            withdrawn: false,
            left: false,
            replaces: None,
        };
        Claimed {
            id: AttemptId(Uuid::nil()),
            lease: 1,
            tries: 0,
            asked: 0,
            step: 0,
            lane: Lane { channel: Channel::Apns, urgent: true },
            device: None,
            created_at: at(0),
            was_down: false,
            told: Arc::new(told),
            address: None,
            mail: None,
        }
    }

    /// When it is tried again, and whether because its route is down; none when it failed.
    fn due(conclusion: &Conclusion) -> Option<(Timestamp, bool)> {
        let Conclusion::Again { due_at, down, .. } = conclusion else { return None };
        Some((*due_at, *down))
    }

    #[test]
    fn a_route_that_is_down_for_longer_than_it_has_is_tried_once_more_before_its_time_is_over() {
        let route = Route { channel: Channel::Apns, origin: None };
        let down = |until, now| due(&Conclusion::down(at(until), &claimed(), at(now), &route));
        assert_eq!(down(60_000, 0), Some((at(9_000), true)));
        let (soon, is_down) = down(1_000, 0).expect("it has the time");
        assert!(is_down && (at(1_000)..at(1_256)).contains(&soon), "{soon}");
        assert!(down(9_500, 9_000).is_some_and(|(due_at, _)| due_at >= at(9_500)), "and again, if there is time for it");
        assert_eq!(down(60_000, 9_000), None, "nothing is left to wait for");

        let of = |outcome, now| due(&Conclusion::of(outcome, &claimed(), at(now)));
        assert_eq!(of(Outcome::Misconfigured("403".into()), 0), Some((at(9_000), true)));
        assert_eq!(of(Outcome::Misconfigured("403".into()), 9_000), None);
        assert_eq!(of(Outcome::RetryAfter(Duration::from_secs(60)), 0), None, "a provider's word is not asked twice");
        assert_eq!(of(Outcome::Throttled(Duration::from_secs(5)), 0), Some((at(5_000), true)), "other ways are not");
    }
}
