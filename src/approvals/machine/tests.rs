//! Every state with every event, in one table; and what holds for any history, against a model that fits into one sentence.

use std::collections::BTreeSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::approvals::Params;

/// Declares an enum and the list of all its variants, so that the table can be checked for holes.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $($(#[$variant_doc:meta])* $variant:ident)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum $name { $($(#[$variant_doc])* $variant),* }
        impl $name {
            const ALL: &[Self] = &[$(Self::$variant),*];
        }
    };
}

words! {
    /// Where an approval stands. Pending depends on the time; for the others each row must hold before, at and after the deadline.
    Given: PendingBefore PendingAt PendingAfter Approved Denied Expired Cancelled
}

words! {
    /// What happens.
    When: Approves Denies StrangerApproves StrangerDenies IsCancelled DeadlinePasses
}

/// What becomes of it.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// It is over, and this has to be done.
    Ends(Outcome, &'static [Does]),
    /// Nothing changes; this has to be done.
    Stays(&'static [Does]),
    /// Refused, with a reason.
    Refuses(Because),
}

/// How it ends, now.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Allowed,
    Forbidden,
    Lapsed,
    CalledOff,
}

#[derive(Clone, Copy, Debug)]
enum Does {
    /// A grant that can be redeemed for five minutes from now.
    Grant5min,
    /// The timer is set for the deadline.
    WakeAtDeadline,
    Tell,
    TakeOff,
}

#[derive(Clone, Copy, Debug)]
enum Because {
    Stranger,
    /// Somebody decided; the refusal says who and when.
    Decided,
    Late,
    Withdrawn,
}

use Because::{Decided, Late, Stranger, Withdrawn};
use Does::{Grant5min, TakeOff, Tell, WakeAtDeadline};
use Given::{Approved, Cancelled, Denied, Expired, PendingAfter, PendingAt, PendingBefore};
use Outcome::{Allowed, CalledOff, Forbidden, Lapsed};
use Then::{Ends, Refuses, Stays};
use When::{Approves, DeadlinePasses, Denies, IsCancelled, StrangerApproves, StrangerDenies};

#[rustfmt::skip]
const TABLE: &[(Given, When, Then)] = &[
    (PendingBefore, Approves,         Ends(Allowed, &[Grant5min, Tell, TakeOff])),
    (PendingBefore, Denies,           Ends(Forbidden, &[Tell, TakeOff])),
    (PendingBefore, StrangerApproves, Refuses(Stranger)),
    (PendingBefore, StrangerDenies,   Refuses(Stranger)),
    (PendingBefore, IsCancelled,      Ends(CalledOff, &[Tell, TakeOff])),
    (PendingBefore, DeadlinePasses,   Stays(&[WakeAtDeadline])),

    (PendingAt,     Approves,         Refuses(Late)),
    (PendingAt,     Denies,           Refuses(Late)),
    (PendingAt,     StrangerApproves, Refuses(Stranger)),
    (PendingAt,     StrangerDenies,   Refuses(Stranger)),
    (PendingAt,     IsCancelled,      Refuses(Late)),
    (PendingAt,     DeadlinePasses,   Ends(Lapsed, &[Tell, TakeOff])),

    (PendingAfter,  Approves,         Refuses(Late)),
    (PendingAfter,  Denies,           Refuses(Late)),
    (PendingAfter,  StrangerApproves, Refuses(Stranger)),
    (PendingAfter,  StrangerDenies,   Refuses(Stranger)),
    (PendingAfter,  IsCancelled,      Refuses(Late)),
    (PendingAfter,  DeadlinePasses,   Ends(Lapsed, &[Tell, TakeOff])),

    (Approved,      Approves,         Refuses(Decided)),
    (Approved,      Denies,           Refuses(Decided)),
    (Approved,      StrangerApproves, Refuses(Stranger)),
    (Approved,      StrangerDenies,   Refuses(Stranger)),
    (Approved,      IsCancelled,      Refuses(Decided)),
    (Approved,      DeadlinePasses,   Stays(&[])),

    (Denied,        Approves,         Refuses(Decided)),
    (Denied,        Denies,           Refuses(Decided)),
    (Denied,        StrangerApproves, Refuses(Stranger)),
    (Denied,        StrangerDenies,   Refuses(Stranger)),
    (Denied,        IsCancelled,      Refuses(Decided)),
    (Denied,        DeadlinePasses,   Stays(&[])),

    (Expired,       Approves,         Refuses(Late)),
    (Expired,       Denies,           Refuses(Late)),
    (Expired,       StrangerApproves, Refuses(Stranger)),
    (Expired,       StrangerDenies,   Refuses(Stranger)),
    (Expired,       IsCancelled,      Refuses(Late)),
    (Expired,       DeadlinePasses,   Stays(&[])),

    (Cancelled,     Approves,         Refuses(Withdrawn)),
    (Cancelled,     Denies,           Refuses(Withdrawn)),
    (Cancelled,     StrangerApproves, Refuses(Stranger)),
    (Cancelled,     StrangerDenies,   Refuses(Stranger)),
    (Cancelled,     IsCancelled,      Stays(&[])),
    (Cancelled,     DeadlinePasses,   Stays(&[])),
];

const CREATED: i64 = 1_000;
const DEADLINE: i64 = 1_300;
const APPROVER: u128 = 1;
const SECOND_APPROVER: u128 = 2;
const STRANGER: u128 = 9;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// The smallest step of time there is.
fn just_before(seconds: i64) -> Timestamp {
    at(seconds).before(Duration::from_micros(1))
}

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn approval(state: State, approvers: Vec<UserId>) -> Approval {
    Approval {
        id: ApprovalId(Uuid::from_u128(100)),
        tag: "R7K2".into(),
        bot: BotId(Uuid::from_u128(200)),
        requester: user(APPROVER),
        action: Action { kind: "deploy".into(), target: "production".into(), params: Params::default() },
        reason: Some("release day".into()),
        origin: None,
        requirement: Requirement {
            policy: PolicyRef { name: "builtin/requester-passkey".into(), sha256: "x".into() },
            factor: Factor::Passkey,
            approvers,
        },
        created_at: at(CREATED),
        expires_at: at(DEADLINE),
        state,
    }
}

fn answered(by: u128, verdict: Verdict) -> Event {
    Event::Answered(VerifiedAnswer::checked(user(by), verdict, Some("because".into())))
}

/// The second approver's, before any row of the table happens.
fn earlier_decision() -> Decision {
    Decision { by: user(SECOND_APPROVER), at: at(CREATED + 1), reason: Some("I was first".into()) }
}

impl Given {
    fn state(self) -> State {
        match self {
            PendingBefore | PendingAt | PendingAfter => State::Pending,
            Approved => State::Approved(earlier_decision()),
            Denied => State::Denied(earlier_decision()),
            Expired => State::Expired { at: at(DEADLINE) },
            Cancelled => State::Cancelled { at: at(CREATED + 1) },
        }
    }

    fn times(self) -> Vec<Timestamp> {
        match self {
            PendingBefore => vec![at(CREATED), just_before(DEADLINE)],
            PendingAt => vec![at(DEADLINE)],
            PendingAfter => vec![at(DEADLINE + 1), at(DEADLINE + 1_000_000)],
            Approved | Denied | Expired | Cancelled => vec![at(CREATED + 2), at(DEADLINE), at(DEADLINE + 1)],
        }
    }
}

impl When {
    fn event(self) -> Event {
        match self {
            Approves => answered(APPROVER, Verdict::Approve),
            Denies => answered(APPROVER, Verdict::Deny),
            StrangerApproves => answered(STRANGER, Verdict::Approve),
            StrangerDenies => answered(STRANGER, Verdict::Deny),
            IsCancelled => Event::Cancelled,
            DeadlinePasses => Event::DeadlinePassed,
        }
    }
}

impl Then {
    /// In the machine's own terms.
    fn at(self, before: &Approval, now: Timestamp) -> Result<(Approval, Vec<Effect>), Refusal> {
        let effects = |does: &[Does]| does.iter().map(|does| does.effect(now)).collect();
        match self {
            Ends(outcome, does) => Ok((Approval { state: outcome.state(now), ..before.clone() }, effects(does))),
            Stays(does) => Ok((before.clone(), effects(does))),
            Refuses(Stranger) => Err(Refusal::NotAnApprover),
            Refuses(Decided) => Err(Refusal::Decided(earlier_decision())),
            Refuses(Late) => Err(Refusal::Expired),
            Refuses(Withdrawn) => Err(Refusal::Cancelled),
        }
    }
}

impl Outcome {
    fn state(self, now: Timestamp) -> State {
        let decision = Decision { by: user(APPROVER), at: now, reason: Some("because".into()) };
        match self {
            Allowed => State::Approved(decision),
            Forbidden => State::Denied(decision),
            Lapsed => State::Expired { at: now },
            CalledOff => State::Cancelled { at: now },
        }
    }
}

impl Does {
    fn effect(self, now: Timestamp) -> Effect {
        match self {
            Grant5min => Effect::IssueGrant { expires_at: now.after(Duration::from_mins(5)) },
            WakeAtDeadline => Effect::WakeAt(at(DEADLINE)),
            Tell => Effect::TellBot,
            TakeOff => Effect::Withdraw,
        }
    }
}

#[test]
fn every_state_meets_every_event_as_the_table_says() {
    for (given, when, then) in TABLE {
        for now in given.times() {
            let before = approval(given.state(), vec![user(APPROVER), user(SECOND_APPROVER)]);
            let expected = then.at(&before, now);
            assert_eq!(before.step(when.event(), now), expected, "{given:?} × {when:?} at {now}");
        }
    }
}

#[test]
fn the_table_is_complete() {
    for given in Given::ALL {
        for when in When::ALL {
            let rows = TABLE.iter().filter(|row| (row.0, row.1) == (*given, *when)).count();
            assert_eq!(rows, 1, "rows for {given:?} × {when:?}");
        }
    }
}

/// A new state or event of the machine does not compile until it is named here, and fails until the table's words make one.
#[test]
fn the_table_knows_every_state_and_event_of_the_machine() {
    let states: BTreeSet<_> = Given::ALL
        .iter()
        .map(|given| match given.state() {
            State::Pending => 0,
            State::Approved(_) => 1,
            State::Denied(_) => 2,
            State::Expired { .. } => 3,
            State::Cancelled { .. } => 4,
        })
        .collect();
    let events: BTreeSet<_> = When::ALL
        .iter()
        .map(|when| match when.event() {
            Event::Answered(answer) => match answer.verdict() {
                Verdict::Approve => 0,
                Verdict::Deny => 1,
            },
            Event::Cancelled => 2,
            Event::DeadlinePassed => 3,
        })
        .collect();
    assert_eq!((states.len(), events.len()), (5, 4));
}

#[test]
fn a_new_request_rings_its_approvers_and_sets_its_timer() {
    let approvers = vec![user(APPROVER), user(SECOND_APPROVER)];
    let expected = vec![Effect::NotifyUsers(approvers.clone()), Effect::WakeAt(at(DEADLINE))];
    assert_eq!(approval(State::Pending, approvers).requested(), expected);
}

#[test]
fn a_request_without_approvers_can_only_end_unapproved() {
    for verdict in [Verdict::Approve, Verdict::Deny] {
        let refused = approval(State::Pending, Vec::new()).step(answered(APPROVER, verdict), at(CREATED));
        assert_eq!(refused, Err(Refusal::NotAnApprover));
    }
}

// Any history. People are numbers; some of 0..4 are approvers. Times are any, in any order: clocks jump.

#[derive(Clone, Copy, Debug)]
enum Move {
    Answer(u128, Verdict),
    Cancel,
    Timer,
}

type History = Vec<(Timestamp, Move)>;

fn a_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        3 => (0..4u128, prop_oneof![Just(Verdict::Approve), Just(Verdict::Deny)]).prop_map(|(by, verdict)| Move::Answer(by, verdict)),
        1 => Just(Move::Cancel),
        2 => Just(Move::Timer),
    ]
}

/// Mostly around the deadline, to the microsecond.
fn a_time() -> impl Strategy<Value = Timestamp> {
    let near = (-3..=3i64).prop_map(|micros| Timestamp::from_micros(at(DEADLINE).as_micros() + micros));
    prop_oneof![near, (CREATED..DEADLINE + 100).prop_map(at), Just(at(CREATED))]
}

fn a_history() -> impl Strategy<Value = History> {
    prop::collection::vec((a_time(), a_move()), 0..12)
}

fn some_approvers() -> impl Strategy<Value = Vec<UserId>> {
    prop::sample::subsequence(vec![0, 1, 2, 3u128], 0..=4).prop_map(|who| who.into_iter().map(user).collect())
}

fn event_of(step: Move) -> Event {
    match step {
        Move::Answer(by, verdict) => answered(by, verdict),
        Move::Cancel => Event::Cancelled,
        Move::Timer => Event::DeadlinePassed,
    }
}

/// The whole model: the first move that may end it, ends it.
fn ended_by(history: &History, approvers: &[UserId]) -> Option<State> {
    history.iter().find_map(|&(now, step)| {
        let decision = |by| Decision { by: user(by), at: now, reason: Some("because".into()) };
        match step {
            Move::Answer(by, Verdict::Approve) if approvers.contains(&user(by)) && now < at(DEADLINE) => {
                Some(State::Approved(decision(by)))
            }
            Move::Answer(by, Verdict::Deny) if approvers.contains(&user(by)) && now < at(DEADLINE) => {
                Some(State::Denied(decision(by)))
            }
            Move::Cancel if now < at(DEADLINE) => Some(State::Cancelled { at: now }),
            Move::Timer if now >= at(DEADLINE) => Some(State::Expired { at: now }),
            _ => None,
        }
    })
}

/// One move of a history, as it went.
struct Went {
    now: Timestamp,
    step: Move,
    before: State,
    after: State,
    reply: Result<Vec<Effect>, Refusal>,
}

/// Lives through a history. What is refused changes nothing: the caller keeps what it had.
fn live(history: &History, approvers: &[UserId]) -> Vec<Went> {
    let mut approval = approval(State::Pending, approvers.to_vec());
    let mut went = Vec::new();
    for &(now, step) in history {
        let before = approval.state.clone();
        let reply = approval.clone().step(event_of(step), now).map(|(next, effects)| {
            approval = next;
            effects
        });
        went.push(Went { now, step, before, after: approval.state.clone(), reply });
    }
    went
}

proptest! {
    #[test]
    fn the_first_terminal_verdict_wins_and_is_final(history in a_history(), approvers in some_approvers()) {
        let last = live(&history, &approvers).pop().map_or(State::Pending, |went| went.after);
        prop_assert_eq!(last, ended_by(&history, &approvers).unwrap_or(State::Pending));
    }

    #[test]
    fn nothing_happens_after_the_end(history in a_history(), approvers in some_approvers()) {
        for went in live(&history, &approvers).iter().filter(|went| went.before != State::Pending) {
            prop_assert_eq!(&went.after, &went.before);
            prop_assert!(went.reply.as_ref().map_or(true, Vec::is_empty), "{:?}", went.reply);
        }
    }

    #[test]
    fn a_grant_is_issued_exactly_once_by_an_approver_before_the_deadline(history in a_history(), approvers in some_approvers()) {
        let went = live(&history, &approvers);
        let issued: Vec<_> = went
            .iter()
            .filter(|went| went.reply.iter().flatten().any(|effect| matches!(effect, Effect::IssueGrant { .. })))
            .collect();
        let approved = matches!(went.last().map(|went| &went.after), Some(State::Approved(_)));
        prop_assert_eq!(issued.len(), usize::from(approved));
        for went in issued {
            let by_approver = matches!(went.step, Move::Answer(by, Verdict::Approve) if approvers.contains(&user(by)));
            prop_assert!(by_approver && went.now < at(DEADLINE), "{:?} at {}", went.step, went.now);
        }
    }

    #[test]
    fn the_bot_is_told_and_the_cards_are_taken_off_once(history in a_history(), approvers in some_approvers()) {
        let went = live(&history, &approvers);
        let ended = went.last().is_some_and(|went| went.after != State::Pending);
        for once in [Effect::TellBot, Effect::Withdraw] {
            let done = went.iter().flat_map(|went| went.reply.iter().flatten()).filter(|effect| **effect == once).count();
            prop_assert_eq!(done, usize::from(ended), "{:?}", once);
        }
    }

    /// Timers are set as effects say and ring once each; they may ring late or, when clocks jump, early.
    #[test]
    fn a_pending_request_is_never_without_its_timer(history in a_history(), approvers in some_approvers()) {
        let set = |effects: &[Effect]| effects.iter().filter(|effect| **effect == Effect::WakeAt(at(DEADLINE))).count();
        let mut timers = set(&approval(State::Pending, approvers.clone()).requested());
        for went in live(&history, &approvers) {
            prop_assert!(!matches!((went.step, &went.reply), (Move::Timer, Err(_))), "a timer was refused");
            if matches!(went.step, Move::Timer) {
                timers = timers.saturating_sub(1);
            }
            timers += went.reply.as_ref().map_or(0, |effects| set(effects));
            prop_assert!(went.after != State::Pending || timers == 1, "{} timers after {:?} at {}", timers, went.step, went.now);
        }
    }

    #[test]
    fn a_stranger_changes_nothing_and_learns_nothing(history in a_history(), approvers in some_approvers()) {
        for went in live(&history, &approvers) {
            if matches!(went.step, Move::Answer(by, _) if !approvers.contains(&user(by))) {
                prop_assert_eq!(went.reply, Err(Refusal::NotAnApprover));
                prop_assert_eq!(went.after, went.before);
            }
        }
    }
}
