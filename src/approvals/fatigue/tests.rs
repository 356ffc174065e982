//! Deciding, against a slow reading of the sentences: any history of requests, denials, approvals and hours.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_000_000 + seconds)
}

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn known(number: u128) -> Known {
    Known { user: user(number), open: None, denials: 0, denied_at: None, rung: Recent::default() }
}

const BUDGETS: Budgets = Budgets { per_approver: 3, per_requester: 5 };

#[test]
fn cool_downs_double_up_to_an_hour() {
    let minutes = [0, 1, 2, 3, 4, 5, 6, 7, 8, u32::MAX].map(|denials| cool_down(denials).as_secs() / 60);
    assert_eq!(minutes, [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn a_cool_down_ends_at_its_instant() {
    let denied = Known { denials: 2, denied_at: Some(at(0)), ..known(1) };
    let one = |now| decide(&[denied], Recent::default(), BUDGETS, at(now))[0].1;
    assert_eq!((one(119), one(120)), (Bell::Quiet(Why::Denied, at(120)), Bell::Ring));
    let forgiven = Known { denials: 0, ..denied };
    assert_eq!(decide(&[forgiven], Recent::default(), BUDGETS, at(1))[0].1, Bell::Ring);
}

#[test]
fn what_the_requester_causes_is_counted_from_person_to_person() {
    let team: Vec<_> = (1..=8).map(known).collect();
    let bells = decide(&team, Recent { count: 2, first_at: Some(at(0)) }, BUDGETS, at(60));
    let quiet = Bell::Quiet(Why::RequesterBudget, at(3_600));
    let expected: Vec<_> = (1..=8).map(|number| (user(number), if number <= 3 { Bell::Ring } else { quiet })).collect();
    assert_eq!(bells, expected);
}

#[test]
fn a_request_that_rings_nobody_is_refused_with_the_first_to_be_free() {
    let open = ApprovalId(Uuid::from_u128(9));
    let quiet = |seconds| Bell::Quiet(Why::ApproverBudget, at(seconds));
    let refused = |bells: &[Bell]| {
        let bells: Vec<_> = bells.iter().map(|bell| (user(1), *bell)).collect();
        nobody_rings(&bells, at(10))
    };
    assert_eq!(refused(&[quiet(90), Bell::Ring]), None);
    assert_eq!(refused(&[quiet(90), Bell::Fold(open)]), None);
    let wait = Duration::from_secs(30);
    let expected = Refused::NobodyRings { why: Why::ApproverBudget, until: at(40), wait };
    assert_eq!(refused(&[quiet(90), quiet(40)]), Some(expected));
    assert_eq!(refused(&[]), None);
}

/// One request for several people, seconds after the one before; what the person who was asked last then says of what is open.
#[derive(Clone, Debug)]
struct Move {
    later: i64,
    requester: u128,
    target: u8,
    approvers: Vec<u128>,
    says: Option<bool>,
}

fn a_move() -> impl Strategy<Value = Move> {
    let later = prop_oneof![4 => 0..30i64, 2 => 30..400i64, 1 => 400..5_000i64];
    let approvers = prop::sample::subsequence(vec![1u128, 2, 3], 1..=3);
    let says = prop_oneof![2 => Just(None), 2 => Just(Some(true)), 3 => Just(Some(false))];
    (later, 1..=2u128, 0..2u8, approvers, says).prop_map(|(later, requester, target, approvers, says)| Move {
        later,
        requester,
        target,
        approvers,
        says,
    })
}

/// Whom, for whom and for what: requests of which all three are the same are alike.
type Alike = (u128, u128, u8);

struct Ring {
    of: Alike,
    at: i64,
    /// Which move it belongs to: within one second, that is the order. A move rings before anybody says something of it.
    step: usize,
}

struct Said {
    of: Alike,
    at: i64,
    step: usize,
    approves: bool,
}

/// Everything that happened at one person, in words of the sentences and not of the code.
#[derive(Default)]
struct Life {
    rings: Vec<Ring>,
    said: Vec<Said>,
    /// Which request rang and is open.
    open: Vec<(Alike, ApprovalId)>,
}

impl Life {
    fn known(&self, alike: Alike, now: i64) -> Known {
        let said: Vec<_> = self.said.iter().filter(|said| said.of == alike).collect();
        let denials = said.iter().rev().take_while(|said| !said.approves).count();
        let denied_at = said.iter().rev().find(|said| !said.approves).map(|said| at(said.at));
        let rung = recent(self.rings.iter().filter(|ring| ring.of.0 == alike.0).map(|ring| ring.at), now);
        let denials = u32::try_from(denials).unwrap();
        Known { user: user(alike.0), open: self.open_of(alike), denials, denied_at, rung }
    }

    fn open_of(&self, alike: Alike) -> Option<ApprovalId> {
        self.open.iter().find(|open| open.0 == alike).map(|open| open.1)
    }

    fn caused(&self, requester: u128, now: i64) -> Recent {
        recent(self.rings.iter().filter(|ring| ring.of.1 == requester).map(|ring| ring.at), now)
    }
}

fn recent(rings: impl Iterator<Item = i64>, now: i64) -> Recent {
    let inside: Vec<_> = rings.filter(|ring| *ring > now - 3_600).collect();
    Recent { count: u32::try_from(inside.len()).unwrap(), first_at: inside.iter().min().map(|first| at(*first)) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_history_rings_more_than_it_may(moves in prop::collection::vec(a_move(), 1..60)) {
        let (mut life, mut now) = (Life::default(), 0);
        for (step, a_move) in moves.into_iter().enumerate() {
            now += a_move.later;
            let Move { requester, target, approvers, says, .. } = a_move;
            let id = ApprovalId(Uuid::from_u128(1_000 + step as u128));
            let people: Vec<_> = approvers.iter().map(|person| life.known((*person, requester, target), now)).collect();
            let bells = decide(&people, life.caused(requester, now), BUDGETS, at(now));
            if let Some(Refused::NobodyRings { until, .. }) = nobody_rings(&bells, at(now)) {
                prop_assert!(until > at(now), "it says when to come again");
                continue;
            }
            for (person, (_, bell)) in approvers.iter().zip(&bells) {
                if *bell == Bell::Ring {
                    let of = (*person, requester, target);
                    life.rings.push(Ring { of, at: now, step });
                    life.open.push((of, id));
                }
            }
            if let Some(approves) = says {
                let of = (*approvers.last().unwrap(), requester, target);
                life.said.push(Said { of, at: now, step, approves });
                // One answer is enough, of whoever.
                let answered = life.open_of(of);
                life.open.retain(|open| Some(open.1) != answered);
            }
        }
        for ring in &life.rings {
            let ((person, requester, _), when) = (ring.of, ring.at);
            let in_the_hour = |other: &&Ring| other.at > when - 3_600 && other.at <= when;
            let to = life.rings.iter().filter(in_the_hour).filter(|other| other.of.0 == person).count();
            let caused = life.rings.iter().filter(in_the_hour).filter(|other| other.of.1 == requester).count();
            prop_assert!(to <= 3 && caused <= 5, "{} rings at {}, {} for {}", to, person, caused, requester);

            let before: Vec<_> = life.said.iter().filter(|said| said.of == ring.of && said.step < ring.step).collect();
            if let Some(denied) = before.last().filter(|said| !said.approves) {
                let times = before.iter().rev().take_while(|said| !said.approves).count();
                let pause = (60i64 << (times - 1).min(10)).min(3_600);
                prop_assert!(when >= denied.at + pause, "rung {} s after denial {}", when - denied.at, times);
            }
        }
        for (index, open) in life.open.iter().enumerate() {
            let twice = life.open[..index].iter().any(|other| other.0 == open.0);
            prop_assert!(!twice, "two that are alike are open at {}", open.0.0);
        }
    }
}
