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

/// What a try means for its attempt.
pub(super) enum Conclusion {
    /// The provider took it.
    Accepted(Option<String>),
    /// Answered before it was sent.
    Withdrawn,
    /// It will not work.
    Failed(String),
    /// The target is dead: the registration that was tried is of no more use.
    Gone { device: DeviceId, tried: Vec<u8>, why: String },
    /// Try again then. While its route is down it counts as failed.
    Again { due_at: Timestamp, why: String, down: bool },
}

impl Conclusion {
    pub(super) fn of(outcome: Outcome, claimed: &Claimed, now: Timestamp) -> Self {
        let again = |pause: Duration, why: String, down: bool| Self::at(now.after(pause), claimed, why, down);
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
                    tried: address.sealed.clone(),
                    why: "the push service says the registration is gone".into(),
                },
                _ => Self::Failed("there is no such mailbox".into()),
            },
            Outcome::RetryAfter(pause) => again(pause, "the push service asked to wait".into(), false),
            Outcome::Retryable(why) => again(pause(claimed.tries + 1), why, false),
            Outcome::Misconfigured(why) => {
                tracing::error!(why, "the push service does not accept us");
                again(MISCONFIGURED_PAUSE, why, true)
            }
            Outcome::Refused(why) => {
                tracing::error!(why, attempt = %claimed.id, "a push was refused for good");
                Self::Failed(why)
            }
            Outcome::Expired => Self::Failed(LATE.into()),
        }
    }

    /// Its route is down until then.
    pub(super) fn down(until: Timestamp, claimed: &Claimed, route: &Route) -> Self {
        // Not all at once when it heals.
        let [chance] = random::<1>();
        let due_at = until.after(Duration::from_millis(u64::from(chance)));
        Self::at(due_at, claimed, format!("{} is down", route.name()), true)
    }

    fn at(due_at: Timestamp, claimed: &Claimed, why: String, down: bool) -> Self {
        if due_at < claimed.told.expires_at { Self::Again { due_at, why, down } } else { Self::Failed(why) }
    }
}

/// Half a second, doubling, with up to as much again at random so that retries do not march in step.
fn pause(tries: u32) -> Duration {
    let base = Duration::from_millis(500).saturating_mul(1 << tries.saturating_sub(1).min(6));
    let [chance] = random::<1>();
    (base + base * u32::from(chance) / 255).min(MAX_PAUSE)
}

pub(super) fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Gone { .. } => "gone",
        Outcome::RetryAfter(_) => "retry_after",
        Outcome::Retryable(_) => "retryable",
        Outcome::Refused(_) => "refused",
        Outcome::Misconfigured(_) => "misconfigured",
        Outcome::Expired => "expired",
    }
}
