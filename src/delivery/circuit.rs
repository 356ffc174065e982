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
//! A provider that asks for patience for its whole route opens it by itself, for as long as it asks for, up to 15 min.
//!
//! A route is a carrier; with Web Push, where every person brings a provider along, it is one provider's origin.
//!
//! **Invariants**
//! - While a route is open nothing is sent on it but one probe at a time, and only that probe's failure makes the pause longer.
//! - A failure counts only in the turn it was sent in: fifty sends on one dying connection open a route once, and no wider.
//! - A few phones whose provider cannot serve them open nothing: of what may be the target's fault, each target counts once.
//! - Origins are strangers' words: so many are remembered and no more, and what is open is forgotten last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::Channel;
use crate::clock::Timestamp;
use crate::push::{Outcome, Target};

/// So many failures in a row open a route.
const FAILURES: usize = 5;

/// How long a route is left alone at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// How long a route is left alone at most because its provider asks for it: then one probe asks whether it still does.
const HELD: Duration = Duration::from_mins(15);

/// How long a probe may take before another is sent: longer than any carrier's own limit.
const PROBE: Duration = Duration::from_secs(30);

/// How long the others wait while a probe is out: it may be back in a moment, or not for long.
const PROBING: Duration = Duration::from_millis(500);

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
    /// It is to be left alone for so long.
    Waits(Duration),
    Nothing,
}

impl Sign {
    fn of(channel: Channel, outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Accepted { .. } | Outcome::Gone { .. } => Self::Works,
            // A stranger's word, about one subscription perhaps. The others' carriers are those that we have an account with.
            Outcome::Misconfigured(_) if channel == Channel::WebPush => Self::MayFail,
            Outcome::Misconfigured(_) => Self::Fails,
            Outcome::Retryable(_) => Self::MayFail,
            Outcome::Throttled(pause) => Self::Waits((*pause).min(HELD)),
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

/// That something may be sent, and in which turn of its route. While the route is open, only the probe's is the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    turn: u64,
}

#[derive(Clone, Debug, Default)]
struct Circuit {
    /// One more whenever it opens, sends a probe or closes.
    turn: u64,
    /// What failed since it last worked: a target once, and none for what is no target's fault. Never more than open it.
    failed: Vec<Option<Uuid>>,
    open: Option<Opened>,
}

#[derive(Clone, Debug)]
struct Opened {
    since: Timestamp,
    why: String,
    pause: Duration,
    /// Whether `probe_at` is when the probe that is out is given up.
    probing: bool,
    probe_at: Timestamp,
}

/// This node's circuits. Cheap to clone.
#[derive(Clone, Default)]
pub struct Circuits(Arc<Mutex<HashMap<Route, Circuit>>>);

impl Circuits {
    /// `Err` with when to ask again, while nothing is to be sent on `route`. Whoever gets `Ok` on an open route is the probe.
    pub(super) fn admit(&self, route: &Route, now: Timestamp) -> Result<Ticket, Timestamp> {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        routes.get_mut(route).map_or(Ok(Ticket { turn: 0 }), |circuit| circuit.admit(now))
    }

    /// What came of the try at `target` that `ticket` admitted; whether that opened or closed its route.
    pub(super) fn note(&self, route: &Route, ticket: Ticket, target: Uuid, outcome: &Outcome, now: Timestamp) -> Option<Change> {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sign = Sign::of(route.channel, outcome);
        if !routes.contains_key(route) {
            if matches!(sign, Sign::Works | Sign::Nothing) {
                return None;
            }
            make_room(&mut routes);
        }
        let circuit = routes.entry(route.clone()).or_default();
        let current = ticket.turn == circuit.turn;
        let change = |opened| Change { route: route.clone(), opened };
        match sign {
            // Whenever it was sent: it arrived.
            Sign::Works => circuit.heal().then(|| change(None)),
            _ if !current => None,
            Sign::Fails => circuit.fail(None, why(outcome), now).map(|why| change(Some(why))),
            Sign::MayFail => circuit.fail(Some(target), why(outcome), now).map(|why| change(Some(why))),
            Sign::Waits(pause) => circuit.hold(pause, why(outcome), now).map(|why| change(Some(why))),
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
    fn admit(&mut self, now: Timestamp) -> Result<Ticket, Timestamp> {
        if let Some(open) = &mut self.open {
            if now < open.probe_at {
                return Err(if open.probing { now.after(PROBING).min(open.probe_at) } else { open.probe_at });
            }
            (open.probing, open.probe_at) = (true, now.after(PROBE));
            self.turn += 1;
        }
        Ok(Ticket { turn: self.turn })
    }

    /// Something of the current turn failed: the probe, when it is open. Why it opened, when this opened it.
    fn fail(&mut self, target: Option<Uuid>, why: String, now: Timestamp) -> Option<String> {
        if let Some(open) = &mut self.open {
            open.pause = (open.pause * 2).min(PAUSES.1);
            (open.probing, open.probe_at) = (false, now.after(open.pause));
            open.why = why;
            return None;
        }
        if target.is_some() && self.failed.contains(&target) {
            return None;
        }
        self.failed.push(target);
        if self.failed.len() < FAILURES {
            return None;
        }
        Some(self.open_for(PAUSES.0, why, now))
    }

    /// The provider of the current turn asks for patience. Why it opened, when this opened it.
    fn hold(&mut self, pause: Duration, why: String, now: Timestamp) -> Option<String> {
        if let Some(open) = &mut self.open {
            (open.probing, open.probe_at, open.why) = (false, now.after(pause), why);
            return None;
        }
        Some(self.open_for(pause, why, now))
    }

    fn open_for(&mut self, pause: Duration, why: String, now: Timestamp) -> String {
        self.turn += 1;
        let probe_at = now.after(pause);
        self.open = Some(Opened { since: now, why: why.clone(), pause: PAUSES.0, probing: false, probe_at });
        why
    }

    /// It works; whether that closed it. It stays known, so that what was sent before counts for nothing when it fails later.
    fn heal(&mut self) -> bool {
        self.failed.clear();
        let was_open = self.open.take().is_some();
        self.turn += u64::from(was_open);
        was_open
    }

    /// The probe told nothing: another may go at once.
    fn release(&mut self, now: Timestamp) {
        if let Some(open) = &mut self.open {
            (open.probing, open.probe_at) = (false, now);
        }
    }
}

fn why(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Misconfigured(why) | Outcome::Retryable(why) | Outcome::Refused(why) => why.clone(),
        Outcome::Throttled(pause) => format!("the push service takes nothing for {} s", pause.as_secs()),
        Outcome::Accepted { .. } | Outcome::Gone { .. } | Outcome::RetryAfter(_) | Outcome::Expired => String::new(),
    }
}

/// Forgets a route that does not fail, or else one that is not open, or else the one that is open for longest.
fn make_room(routes: &mut HashMap<Route, Circuit>) {
    if routes.len() < ROUTES {
        return;
    }
    let matters = |circuit: &Circuit| (circuit.open.as_ref().map(|open| open.since), circuit.failed.len());
    let least = routes.iter().min_by_key(|(_, circuit)| matters(circuit)).map(|(route, _)| route.clone());
    if let Some(route) = least {
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

    fn refused() -> Outcome {
        Outcome::Misconfigured("403".into())
    }

    /// What it comes to when it is sent and answered at once.
    fn tried(circuits: &Circuits, route: &Route, n: u128, outcome: &Outcome, now: Timestamp) -> Option<Change> {
        let ticket = circuits.admit(route, now).expect("it may be sent");
        circuits.note(route, ticket, target(n), outcome, now)
    }

    /// A route that was just opened.
    fn opened(circuits: &Circuits, now: Timestamp) {
        let changes: Vec<_> = (0..5).map(|n| tried(circuits, &apns(), n, &fails(), now)).collect();
        assert!(changes[..4].iter().all(Option::is_none), "not before the fifth");
        assert_eq!(changes[4], Some(Change { route: apns(), opened: Some("no answer".into()) }));
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_heals_by_one_probe() {
        let circuits = Circuits::default();
        for n in 0..20 {
            let outcome = if n % 5 == 4 { works() } else { fails() };
            assert_eq!(tried(&circuits, &apns(), n, &outcome, at(0)), None, "four in a row are not five");
        }
        opened(&circuits, at(0));
        assert_eq!(circuits.open()[0].route, "apns");
        assert_eq!(circuits.admit(&apns(), at(999)), Err(at(1000)));
        let probe = circuits.admit(&apns(), at(1000)).expect("the probe");
        assert!(circuits.admit(&apns(), at(1001)).is_err(), "one at a time");
        assert_eq!(circuits.note(&apns(), probe, target(9), &fails(), at(1100)), None, "it was open before");
        assert_eq!(circuits.admit(&apns(), at(3000)), Err(at(3100)), "twice as long");
        assert_eq!(tried(&circuits, &apns(), 9, &works(), at(3100)), Some(Change { route: apns(), opened: None }));
        assert!(circuits.admit(&apns(), at(3100)).is_ok() && circuits.open().is_empty());
    }

    #[test]
    fn only_the_probe_makes_the_pause_longer_and_anybody_closes_it() {
        let circuits = Circuits::default();
        let sent: Vec<_> = (0..50).map(|n| (n, circuits.admit(&apns(), at(0)).expect("it is closed"))).collect();
        let fail = |sent: &[(u128, Ticket)], now| -> Vec<_> {
            sent.iter().filter_map(|(n, ticket)| circuits.note(&apns(), *ticket, target(*n), &fails(), now)).collect()
        };
        assert_eq!(fail(&sent[..40], at(0)).len(), 1, "all die with one connection, and it opens once");
        assert_eq!(circuits.admit(&apns(), at(999)), Err(at(1000)), "as if five had");
        let given_up = circuits.admit(&apns(), at(1000)).expect("the probe");
        assert_eq!(fail(&sent[40..42], at(1001)), vec![], "and while the probe is out");
        let probe = circuits.admit(&apns(), at(31_000)).expect("the first one never came back");
        assert_eq!(circuits.note(&apns(), given_up, target(1), &fails(), at(31_001)), None);
        assert_eq!(circuits.note(&apns(), given_up, target(1), &Outcome::Expired, at(31_001)), None);
        assert_eq!(circuits.admit(&apns(), at(31_002)), Err(at(31_502)), "nor does one that was given up end it");
        assert_eq!(circuits.note(&apns(), probe, target(1), &fails(), at(31_100)), None);
        assert_eq!(circuits.admit(&apns(), at(31_100)), Err(at(33_100)), "doubled once");

        let closed = circuits.note(&apns(), sent[42].1, target(42), &works(), at(31_200));
        assert_eq!(closed, Some(Change { route: apns(), opened: None }), "whoever it is");
        assert_eq!(fail(&sent[43..], at(31_300)), vec![], "what was sent before does not open it again");
        opened(&circuits, at(31_400));
    }

    #[test]
    fn while_a_probe_is_out_the_others_ask_again_soon() {
        let circuits = Circuits::default();
        opened(&circuits, at(0));
        let probe = circuits.admit(&apns(), at(1000)).expect("the probe");
        assert_eq!(circuits.admit(&apns(), at(1010)), Err(at(1510)));
        assert_eq!(circuits.admit(&apns(), at(30_900)), Err(at(31_000)), "no later than the next probe may go");
        circuits.note(&apns(), probe, target(1), &works(), at(1100));
        assert!(circuits.admit(&apns(), at(1510)).is_ok());
    }

    #[test]
    fn a_few_phones_open_nothing_but_an_account_that_is_not_accepted_does() {
        let circuits = Circuits::default();
        let web = Route { channel: Channel::WebPush, origin: Some("https://push.example.com".into()) };
        let fcm = Route { channel: Channel::Fcm, origin: None };
        for (route, outcome) in [(&fcm, fails()), (&web, fails()), (&web, refused())] {
            for n in 0..50 {
                assert_eq!(tried(&circuits, route, n % 4, &outcome, at(0)), None, "four by turns are not five");
            }
        }
        assert!(tried(&circuits, &fcm, 4, &fails(), at(0)).is_some(), "a fifth");
        assert!(tried(&circuits, &web, 4, &refused(), at(0)).is_some());
        let changes: Vec<_> = (0..5).filter_map(|_| tried(&circuits, &apns(), 1, &refused(), at(0))).collect();
        assert_eq!(changes, vec![Change { route: apns(), opened: Some("403".into()) }], "it is nobody's fault but ours");
    }

    #[test]
    fn providers_of_web_push_are_routes_of_their_own_and_so_many_are_remembered() {
        let route = |n: u128| Route { channel: Channel::WebPush, origin: Some(format!("https://{n}.example.com")) };
        let circuits = Circuits::default();
        for n in 0..5 {
            tried(&circuits, &route(0), n, &fails(), at(0));
        }
        assert!(circuits.admit(&route(0), at(0)).is_err());
        assert!(circuits.admit(&route(1), at(0)).is_ok() && circuits.admit(&apns(), at(0)).is_ok());
        for n in 1..3000 {
            tried(&circuits, &route(n), 1, &fails(), at(0));
        }
        assert_eq!(circuits.0.lock().unwrap().len(), ROUTES);
        assert!(circuits.admit(&route(0), at(0)).is_err(), "what is open is forgotten last");
    }

    #[test]
    fn a_provider_that_asks_for_patience_is_left_alone_for_as_long_and_no_longer_than_is_sensible() {
        let circuits = Circuits::default();
        let throttled = |seconds| Outcome::Throttled(Duration::from_secs(seconds));
        let sent: Vec<_> = (0..50).map(|_| circuits.admit(&apns(), at(0)).expect("it is closed")).collect();
        let told: Vec<_> =
            sent.iter().filter_map(|ticket| circuits.note(&apns(), *ticket, target(1), &throttled(60), at(0))).collect();
        assert_eq!(told, vec![Change { route: apns(), opened: Some("the push service takes nothing for 60 s".into()) }]);
        assert_eq!(circuits.admit(&apns(), at(59_999)), Err(at(60_000)), "one is enough, and everybody waits");
        assert_eq!(tried(&circuits, &apns(), 2, &throttled(86_400), at(60_000)), None, "the probe");
        assert_eq!(circuits.admit(&apns(), at(60_001)), Err(at(960_000)));
        assert_eq!(tried(&circuits, &apns(), 2, &works(), at(960_000)), Some(Change { route: apns(), opened: None }));
        // One phone that is to be left alone is nobody else's matter.
        for n in 0..20 {
            assert_eq!(tried(&circuits, &apns(), n, &Outcome::RetryAfter(Duration::from_secs(60)), at(960_000)), None);
        }
    }

    #[test]
    fn a_probe_that_tells_nothing_lets_the_next_one_go() {
        let circuits = Circuits::default();
        opened(&circuits, at(0));
        assert_eq!(tried(&circuits, &apns(), 1, &Outcome::Refused("too long".into()), at(1000)), None);
        assert!(circuits.admit(&apns(), at(1001)).is_ok());
    }
}
