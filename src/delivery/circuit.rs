//! Circuits: a route that fails again and again is left alone for a while, and found again by itself.
//!
//! ```text
//!              5 failures in a row
//!   closed ─────────────────────────► open (1 s, doubled each time, up to 60 s)
//!     ▲                                │  ▲
//!     │ it works                  time │  │ it does not
//!     └───────────── half open ◄───────┘  │
//!                        └────────────────┘
//! ```
//!
//! A route is a carrier; with Web Push, where every person brings a provider along, it is one provider's origin.
//!
//! **Invariants**
//! - While a route is open nothing is sent on it but one probe at a time.
//! - One phone whose provider cannot serve it opens nothing: of what may be the target's fault, only failures of different targets count.
//! - Origins are strangers' words: so many are remembered and no more, and what is open is forgotten last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::Channel;
use crate::clock::Timestamp;
use crate::push::{Outcome, Target};

/// So many failures in a row open a route.
const FAILURES: u32 = 5;

/// How long a route is left alone at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// How long a probe may take before another is sent: longer than any carrier's own limit.
const PROBE: Duration = Duration::from_secs(30);

/// Routes remembered at most.
const ROUTES: usize = 1024;

/// A carrier, or with Web Push a provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    pub(super) channel: Channel,
    pub(super) origin: Option<String>,
}

impl Route {
    pub(super) fn of(channel: Channel, target: &Target) -> Self {
        let origin = match target {
            Target::WebPush(subscription) => Some(subscription.origin()),
            Target::Apns(_) | Target::Fcm(_) | Target::Mail(_) => None,
        };
        Self { channel, origin }
    }

    /// What operators read: `apns`, `web_push https://push.example.com`.
    pub(super) fn name(&self) -> String {
        let origin = self.origin.as_deref().map(|origin| format!(" {origin}")).unwrap_or_default();
        format!("{}{origin}", self.channel.as_str())
    }
}

/// What a try says of its route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Works,
    Fails,
    /// Perhaps only for this target.
    MayFail,
    Nothing,
}

impl Sign {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Accepted { .. } | Outcome::Gone { .. } => Self::Works,
            Outcome::Misconfigured(_) => Self::Fails,
            Outcome::Retryable(_) => Self::MayFail,
            Outcome::RetryAfter(_) | Outcome::Refused(_) | Outcome::Expired => Self::Nothing,
        }
    }
}

/// That a route opened or closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Which.
    pub(super) route: Route,
    /// Why it opened; none when it closed.
    pub(super) opened: Option<String>,
}

/// An open circuit, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// `apns`, or `web_push` and the provider's origin.
    pub route: String,
    /// By which carrier.
    pub channel: Channel,
    /// Since when.
    pub since: Timestamp,
    /// What the last try came to.
    pub why: String,
}

#[derive(Clone, Debug, Default)]
struct Circuit {
    failures: u32,
    failed_last: Option<Uuid>,
    open: Option<Opened>,
}

#[derive(Clone, Debug)]
struct Opened {
    since: Timestamp,
    why: String,
    pause: Duration,
    probe_at: Timestamp,
}

/// This node's circuits. Cheap to clone.
#[derive(Clone, Default)]
pub struct Circuits(Arc<Mutex<HashMap<Route, Circuit>>>);

impl Circuits {
    /// `Err` with when to ask again, while nothing is to be sent on `route`. Whoever gets `Ok` on an open route is the probe.
    pub(super) fn admit(&self, route: &Route, now: Timestamp) -> Result<(), Timestamp> {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = routes.get_mut(route).and_then(|circuit| circuit.open.as_mut()) else { return Ok(()) };
        if now < open.probe_at {
            return Err(open.probe_at);
        }
        open.probe_at = now.after(PROBE);
        Ok(())
    }

    /// What came of a try at `target`; whether that opened or closed its route.
    pub(super) fn note(&self, route: &Route, target: Uuid, outcome: &Outcome, now: Timestamp) -> Option<Change> {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sign = Sign::of(outcome);
        if !routes.contains_key(route) {
            if matches!(sign, Sign::Works | Sign::Nothing) {
                return None;
            }
            make_room(&mut routes);
        }
        let circuit = routes.entry(route.clone()).or_default();
        let change = |opened| Change { route: route.clone(), opened };
        match sign {
            Sign::Works => {
                let was_open = circuit.open.is_some();
                routes.remove(route);
                was_open.then(|| change(None))
            }
            Sign::Fails => circuit.fail(why(outcome), now).map(|why| change(Some(why))),
            Sign::MayFail if circuit.open.is_none() && circuit.failed_last == Some(target) => None,
            Sign::MayFail => {
                circuit.failed_last = Some(target);
                circuit.fail(why(outcome), now).map(|why| change(Some(why)))
            }
            Sign::Nothing => {
                circuit.release(now);
                None
            }
        }
    }

    /// The routes that are open.
    #[must_use]
    pub fn open(&self) -> Vec<Open> {
        let routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open: Vec<_> = routes
            .iter()
            .filter_map(|(route, circuit)| {
                let Opened { since, why, .. } = circuit.open.clone()?;
                Some(Open { route: route.name(), channel: route.channel, since, why })
            })
            .collect();
        open.sort_by(|a, b| a.route.cmp(&b.route));
        open
    }
}

impl Circuit {
    /// Why it opened, when this failure opened it.
    fn fail(&mut self, why: String, now: Timestamp) -> Option<String> {
        self.failures = self.failures.saturating_add(1);
        if let Some(open) = &mut self.open {
            open.pause = (open.pause * 2).min(PAUSES.1);
            open.probe_at = now.after(open.pause);
            open.why = why;
            return None;
        }
        if self.failures < FAILURES {
            return None;
        }
        self.open = Some(Opened { since: now, why: why.clone(), pause: PAUSES.0, probe_at: now.after(PAUSES.0) });
        Some(why)
    }

    /// The probe told nothing: another may go at once.
    fn release(&mut self, now: Timestamp) {
        if let Some(open) = &mut self.open {
            open.probe_at = now;
        }
    }
}

fn why(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Misconfigured(why) | Outcome::Retryable(why) | Outcome::Refused(why) => why.clone(),
        Outcome::Accepted { .. } | Outcome::Gone { .. } | Outcome::RetryAfter(_) | Outcome::Expired => String::new(),
    }
}

/// Forgets a route that is not open, or else the one that is open for longest.
fn make_room(routes: &mut HashMap<Route, Circuit>) {
    if routes.len() < ROUTES {
        return;
    }
    let since = |circuit: &Circuit| circuit.open.as_ref().map(|open| open.since);
    let oldest = routes.iter().min_by_key(|(_, circuit)| since(circuit)).map(|(route, _)| route.clone());
    if let Some(route) = oldest {
        routes.remove(&route);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    fn apns() -> Route {
        Route { channel: Channel::Apns, origin: None }
    }

    fn fails() -> Outcome {
        Outcome::Retryable("no answer".into())
    }

    fn works() -> Outcome {
        Outcome::Accepted { id: None }
    }

    fn target(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    /// A route that was just opened.
    fn opened(circuits: &Circuits, now: Timestamp) {
        let changes: Vec<_> = (0..5).map(|n| circuits.note(&apns(), target(n), &fails(), now)).collect();
        assert!(changes[..4].iter().all(Option::is_none), "not before the fifth");
        assert_eq!(changes[4], Some(Change { route: apns(), opened: Some("no answer".into()) }));
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_heals_by_one_probe() {
        let circuits = Circuits::default();
        for n in 0..20 {
            let outcome = if n % 5 == 4 { works() } else { fails() };
            assert_eq!(circuits.note(&apns(), target(n), &outcome, at(0)), None, "four in a row are not five");
        }
        opened(&circuits, at(0));
        assert_eq!(circuits.open()[0].route, "apns");
        assert_eq!(circuits.admit(&apns(), at(999)), Err(at(1000)));
        assert_eq!(circuits.admit(&apns(), at(1000)), Ok(()), "the probe");
        assert!(circuits.admit(&apns(), at(1001)).is_err(), "one at a time");
        assert_eq!(circuits.note(&apns(), target(9), &fails(), at(1100)), None, "it was open before");
        assert_eq!(circuits.admit(&apns(), at(3000)), Err(at(3100)), "twice as long");
        assert_eq!(circuits.admit(&apns(), at(3100)), Ok(()));
        assert_eq!(circuits.note(&apns(), target(9), &works(), at(3200)), Some(Change { route: apns(), opened: None }));
        assert_eq!((circuits.admit(&apns(), at(3200)), circuits.open()), (Ok(()), vec![]));
    }

    #[test]
    fn one_phone_alone_opens_nothing_but_an_account_that_is_not_accepted_does() {
        let circuits = Circuits::default();
        for _ in 0..50 {
            assert_eq!(circuits.note(&apns(), target(1), &fails(), at(0)), None);
        }
        let refused = Outcome::Misconfigured("403".into());
        let changes = (0..5).filter_map(|_| circuits.note(&apns(), target(1), &refused, at(0))).count();
        assert_eq!(changes, 1);
    }

    #[test]
    fn providers_of_web_push_are_routes_of_their_own_and_so_many_are_remembered() {
        let route = |n: u32| Route { channel: Channel::WebPush, origin: Some(format!("https://{n}.example.com")) };
        let circuits = Circuits::default();
        for n in 0..5 {
            circuits.note(&route(0), target(n), &fails(), at(0));
        }
        assert!(circuits.admit(&route(0), at(0)).is_err());
        assert!(circuits.admit(&route(1), at(0)).is_ok() && circuits.admit(&apns(), at(0)).is_ok());
        for n in 1..3000 {
            circuits.note(&route(n), target(1), &fails(), at(0));
        }
        assert_eq!(circuits.0.lock().unwrap().len(), ROUTES);
        assert!(circuits.admit(&route(0), at(0)).is_err(), "what is open is forgotten last");
    }

    #[test]
    fn a_probe_that_tells_nothing_lets_the_next_one_go() {
        let circuits = Circuits::default();
        opened(&circuits, at(0));
        assert_eq!(circuits.admit(&apns(), at(1000)), Ok(()));
        circuits.note(&apns(), target(1), &Outcome::Refused("too long".into()), at(1001));
        assert_eq!(circuits.admit(&apns(), at(1001)), Ok(()));
    }
}
