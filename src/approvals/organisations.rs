//! Every organisation of up to four people, and larger ones at random, against an evaluator that is slow, obvious, and written from what
//! the documentation says: nothing is allowed that it refuses, and what it allows is allowed.
//!
//! People are numbers here. Somebody may have several keys, and a key may, though none should, be in two people's hands.

use proptest::prelude::*;
use uuid::Uuid;

use super::machine::{Approval, Event, Refusal, State, Verdict, VerifiedAnswer};
use super::policy::{Absences, Delegation, Factor, PolicyRef, Quorum, Requirement, SignedWith};
use super::{Action, Params};
use crate::clock::Timestamp;
use crate::id::{ApprovalId, BotId, DeviceId, UserId};

type Person = usize;

/// Where somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whereabouts {
    There,
    Away,
    /// Away, and this person answers for them.
    AwayWith(Person),
}

use Whereabouts::{Away, AwayWith, There};

#[derive(Clone, Debug)]
struct Organisation {
    people: Vec<Whereabouts>,
    requester: Person,
    /// The members of each group, and how many must approve.
    groups: Vec<(Vec<Person>, u32)>,
    requester_approves: bool,
    requester_excluded: bool,
    factor: Factor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    by: Person,
    key: u128,
    factor: Factor,
}

// The evaluator.

impl Organisation {
    fn is_there(&self, who: Person) -> bool {
        self.people[who] == There
    }

    /// Whether `who` answers in the place of `member`: named by them, there, and neither of the two is the requester.
    fn stands_in(&self, who: Person, member: Person) -> bool {
        self.people[member] == AwayWith(who) && self.is_there(who) && who != self.requester && member != self.requester
    }

    /// Whether `who` counts in a group: as a member who is there, or for one who is not.
    fn counts(&self, who: Person, members: &[Person]) -> bool {
        let excluded = self.requester_excluded && who == self.requester;
        let own = members.contains(&who) && self.is_there(who) && !excluded;
        own || members.iter().any(|&member| self.stands_in(who, member))
    }

    /// Whether `who` may approve once so many groups were asked.
    fn may(&self, who: Person, asked: usize) -> bool {
        let own = self.requester_approves && who == self.requester;
        own || self.groups.iter().take(asked).any(|(members, _)| self.counts(who, members))
    }

    /// For whom `who` answers, in any group.
    fn answers_for(&self, who: Person) -> Vec<Person> {
        let named = |member: &Person| self.groups.iter().any(|(members, _)| members.contains(member));
        (0..self.people.len()).filter(|member| named(member) && self.stands_in(who, *member)).collect()
    }

    /// Whether these answers are enough once so many groups were asked.
    fn allows(&self, asked: usize, answers: &[Answer]) -> bool {
        let strong: Vec<_> = answers.iter().filter(|answer| answer.factor >= self.factor).copied().collect();
        if self.requester_approves && strong.iter().all(|answer| answer.by != self.requester) {
            return false;
        }
        if self.groups.is_empty() {
            return self.requester_approves;
        }
        self.groups.iter().take(asked).any(|(members, quorum)| {
            let counting: Vec<_> = strong.iter().filter(|answer| self.counts(answer.by, members)).copied().collect();
            some_are_enough(&counting, *quorum as usize)
        })
    }
}

/// Whether some of the answers are by so many different people with different keys.
fn some_are_enough(answers: &[Answer], quorum: usize) -> bool {
    (0_u32..1 << answers.len()).any(|subset| {
        let chosen: Vec<_> = (0..answers.len()).filter(|at| subset >> at & 1 == 1).map(|at| answers[at]).collect();
        let differ = |a: &Answer, b: &Answer| a.by != b.by && a.key != b.key;
        chosen.len() == quorum && (0..chosen.len()).all(|i| (0..i).all(|j| differ(&chosen[i], &chosen[j])))
    })
}

// What is tried.

const WINDOW: u32 = 60;

fn user(who: Person) -> UserId {
    UserId(Uuid::from_u128(who as u128 + 1))
}

fn at(seconds: u32) -> Timestamp {
    Timestamp::from_seconds(1_000 + i64::from(seconds))
}

fn says(answer: Answer) -> Event {
    let key = SignedWith::Device(DeviceId(Uuid::from_u128(answer.key + 1)));
    Event::Answered(VerifiedAnswer::checked(user(answer.by), key, answer.factor, Verdict::Approve, None))
}

impl Organisation {
    fn requirement(&self) -> Requirement {
        let away = self.people.iter().enumerate().filter_map(|(who, whereabouts)| match whereabouts {
            There => None,
            Away => Some((user(who), None)),
            AwayWith(delegate) => Some((user(who), Some(user(*delegate)))),
        });
        let absences: Absences = away.collect();
        let mut delegations: Vec<Delegation> = Vec::new();
        let mut quorum = |(members, needed): &(Vec<Person>, u32)| {
            let named: Vec<_> = members.iter().map(|&who| user(who)).collect();
            let staffed = absences.staff(&named, user(self.requester));
            delegations.extend(staffed.delegations);
            Quorum { needed: *needed, members: staffed.members }
        };
        let groups = self.groups.iter().map(&mut quorum).collect();
        delegations.sort();
        delegations.dedup();
        Requirement {
            policy: PolicyRef { name: "prod".into(), sha256: "x".into() },
            factor: self.factor,
            requester: self.requester_approves,
            requester_excluded: self.requester_excluded,
            groups,
            delegations,
            window_seconds: WINDOW,
            delay_seconds: 0,
            executor: None,
            bound_grant: false,
            break_glass: true,
        }
    }

    fn approval(&self) -> Approval {
        let requirement = self.requirement();
        Approval {
            id: ApprovalId(Uuid::nil()),
            tag: String::new(),
            bot: BotId(Uuid::nil()),
            requester: user(self.requester),
            action: Action { kind: String::new(), target: String::new(), params: Params::default() },
            reason: None,
            origin: None,
            created_at: at(0),
            expires_at: at(0).after(requirement.answer_time()),
            requirement,
            asked: 1,
            given: Vec::new(),
            bound_to: None,
            break_glass: None,
            state: State::Pending,
        }
    }

    /// Lets everybody who has not answered yet answer next, and so on: every order in which it can be approved.
    fn explore(&self, approval: &Approval, answers: &mut Vec<Answer>, steps: &mut usize) {
        for by in 0..self.people.len() {
            if answers.iter().any(|answer| answer.by == by) {
                continue;
            }
            *steps += 1;
            let answer = Answer { by, key: by as u128, factor: Factor::Passkey };
            answers.push(answer);
            match approval.clone().step(says(answer), at(1)) {
                Ok((next, _)) => {
                    assert!(self.may(by, 1), "{by} may not answer: {self:?}");
                    let approved = matches!(next.state, State::Approved(_));
                    assert_eq!(approved, self.allows(1, answers), "after {answers:?} in {self:?}");
                    if !approved {
                        self.explore(&next, answers, steps);
                    }
                }
                Err(Refusal::NotAnApprover) => assert!(!self.may(by, 1), "{by} may answer: {self:?}"),
                Err(other) => panic!("{other} after {answers:?} in {self:?}"),
            }
            answers.pop();
        }
    }
}

/// Everybody somewhere, in every combination.
fn everywhere(people: usize) -> Vec<Vec<Whereabouts>> {
    (0..people).fold(vec![Vec::new()], |all, who| {
        let others = (0..people).filter(|other| *other != who).map(AwayWith);
        let places: Vec<_> = [There, Away].into_iter().chain(others).collect();
        all.iter().flat_map(|some| places.iter().map(|place| [some.clone(), vec![*place]].concat())).collect()
    })
}

/// One group. Person 0 asks, in it or not; the others are alike, so that only how many of them are in it matters.
#[test]
fn every_organisation_of_up_to_four() {
    let (mut organisations, mut steps) = (0, 0);
    for people in 1..=4 {
        for (whereabouts, members) in
            everywhere(people).into_iter().flat_map(|w| (0..people).map(move |others| (w.clone(), others)))
        {
            for asks_as_member in [false, true] {
                let group: Vec<_> = (usize::from(!asks_as_member)..=members).collect();
                for (requester_excluded, requester_approves, quorum) in
                    (0..2 * 2 * group.len()).map(|n| (n % 2 == 0, n / 2 % 2 == 0, u32::try_from(n / 4 + 1).unwrap()))
                {
                    let organisation = Organisation {
                        people: whereabouts.clone(),
                        requester: 0,
                        groups: vec![(group.clone(), quorum)],
                        requester_approves,
                        requester_excluded,
                        factor: Factor::Passkey,
                    };
                    let approval = organisation.approval();
                    for who in 0..people {
                        let absent: Vec<_> = organisation.answers_for(who).into_iter().map(user).collect();
                        assert_eq!(approval.requirement.answers_for(user(who)), absent, "{organisation:?}");
                    }
                    organisation.explore(&approval, &mut Vec::new(), &mut steps);
                    organisations += 1;
                }
            }
        }
    }
    println!("{organisations} organisations, {steps} answers");
    assert!(organisations > 30_000 && steps > organisations, "{organisations} organisations, {steps} answers");
}

/// What happens to a request.
#[derive(Clone, Copy, Debug)]
enum Move {
    Answer(Answer),
    /// The timer rings, some seconds late.
    Timer(u32),
}

fn an_organisation() -> impl Strategy<Value = Organisation> {
    (2..=8_usize)
        .prop_flat_map(|people| {
            let place = prop_oneof![5 => Just(There), 1 => Just(Away), 4 => (0..people).prop_map(AwayWith)];
            let group = (prop::sample::subsequence((0..people).collect::<Vec<_>>(), 1..=people), 1..=3_u32);
            let groups = prop::collection::vec(group, 0..=3);
            (prop::collection::vec(place, people), 0..people, groups, any::<bool>(), any::<bool>(), a_factor())
        })
        .prop_map(|(mut people, requester, groups, requester_approves, requester_excluded, factor)| {
            // Nobody names themselves.
            for (who, place) in people.iter_mut().enumerate() {
                if *place == AwayWith(who) {
                    *place = Away;
                }
            }
            let requester_approves = requester_approves || groups.is_empty();
            Organisation { people, requester, groups, requester_approves, requester_excluded, factor }
        })
}

fn a_factor() -> impl Strategy<Value = Factor> {
    prop::sample::select(vec![Factor::Tap, Factor::Code, Factor::Passkey])
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let answer = (0..8_usize, 0..10_u128, prop_oneof![4 => Just(Factor::Passkey), 1 => a_factor()]);
    // Most sign with a key of their own, some with a second one, a few with another's.
    let answer = (answer, 0..6_u32).prop_map(|((by, key, factor), own)| Answer {
        by,
        key: if own > 0 { by as u128 } else { key },
        factor,
    });
    let a_move = prop_oneof![6 => answer.prop_map(Move::Answer), 1 => (0..70_u32).prop_map(Move::Timer)];
    prop::collection::vec(a_move, 0..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_organisation_at_random(organisation in an_organisation(), moves in moves()) {
        let mut approval = organisation.approval();
        let (mut asked, mut now, mut due, mut answers) = (1, 0, WINDOW, Vec::<Answer>::new());
        for step in moves {
            if approval.state != State::Pending {
                break;
            }
            match step {
                Move::Timer(late) => {
                    // In time to ask somebody: how a request expires is the machine's own matter.
                    let to_come = u32::try_from(organisation.groups.len().saturating_sub(asked)).unwrap();
                    if late >= WINDOW * to_come {
                        continue;
                    }
                    (now, due) = (due + late, due + late + WINDOW);
                    asked += 1;
                    approval = approval.step(Event::TimerRang, at(now)).unwrap().0;
                    prop_assert_eq!(approval.asked, asked);
                }
                Move::Answer(answer) if answer.by >= organisation.people.len() => continue,
                Move::Answer(answer) => {
                    let weak = answer.factor < organisation.factor;
                    let again = answers.iter().any(|other| other.by == answer.by || other.key == answer.key);
                    let may = organisation.may(answer.by, asked);
                    let reply = approval.clone().step(says(answer), at(now));
                    prop_assert_eq!(reply.is_ok(), may && !weak && !again, "{:?} in {:?}", answer, organisation);
                    if let Ok((next, _)) = reply {
                        approval = next;
                        answers.push(answer);
                    }
                }
            }
            let approved = matches!(approval.state, State::Approved(_));
            prop_assert_eq!(approved, organisation.allows(asked, &answers), "{:?} in {:?}", answers, organisation);
        }
    }
}
