//! Every state with every event, in one table; and what holds for any history, against the words of the policy.

mod histories;

use std::collections::BTreeSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::approvals::Params;
use crate::approvals::policy::tests::{Case, a_require, resolved, satisfied};
use crate::approvals::policy::{PolicyRef, Quorum, Require};
use crate::id::DeviceId;

// The table. Two of ann, bea must approve with at least a code; when they do not answer within 300 s, cyd alone is enough. Rae asks,
// and counts in no group. Some approvals have a delay of 60 s.

/// The columns, in order.
#[rustfmt::skip]
const WHEN: &[(&str, When)] = &[
    ("ann approves",                 When::Says(ANN, 1, Factor::Code, Verdict::Approve)),
    ("bea approves",                 When::Says(BEA, 2, Factor::Passkey, Verdict::Approve)),
    ("ann taps",                     When::Says(ANN, 1, Factor::Tap, Verdict::Approve)),
    ("ann approves with bea's key",  When::Says(ANN, 2, Factor::Passkey, Verdict::Approve)),
    ("cyd approves",                 When::Says(CYD, 3, Factor::Passkey, Verdict::Approve)),
    ("ann denies",                   When::Says(ANN, 1, Factor::Tap, Verdict::Deny)),
    ("bea reports",                  When::Says(BEA, 2, Factor::Tap, Verdict::Report)),
    ("rae approves",                 When::Says(RAE, 4, Factor::Passkey, Verdict::Approve)),
    ("rae denies",                   When::Says(RAE, 4, Factor::Tap, Verdict::Deny)),
    ("a stranger approves",          When::Says(STRANGER, 9, Factor::Passkey, Verdict::Approve)),
    ("a stranger denies",            When::Says(STRANGER, 9, Factor::Passkey, Verdict::Deny)),
    ("cancelled",                    When::Cancelled),
    ("the timer rings",              When::Timer),
    ("restored from a backup",       When::Voided),
    ("the glass is broken",          When::Glass),
    ("an administrator denies",      When::Says(ADA, 8, Factor::Passkey, Verdict::Deny)),
    ("an administrator approves",    When::Says(ADA, 8, Factor::Passkey, Verdict::Approve)),
    ("its bot is frozen",            When::Frozen),
];

/// The rows; `bea` has approved already in those that say so. A letter for each column:
///
/// `c` counted and nothing else, `A` approved, `H` held, `D` denied, `R` denied as reported, `X` cancelled, `F` cancelled as frozen, `E` expired, `n` the next group
/// is asked, `t` the timer is set again, `.` nothing; refused: `s` not an approver, `a` approved already, `w` too weak, `h` held already,
/// `d` decided, `l` too late, `x` withdrawn. Of break-glass: `G` broken, `O` opened; refused: `g` broken already, `o` opened already.
#[rustfmt::skip]
const TABLE: &[(&str, Given, &str)] = &[
    ("nobody yet",                    Given { approved: false, asked: 1, delay: 0,  at: 299, state: Pending },   "ccwcsDRsDssXtXGssF"),
    ("bea",                           Given { approved: true,  asked: 1, delay: 0,  at: 299, state: Pending },   "AawasDRsDssXtXGssF"),
    ("bea, with a delay",             Given { approved: true,  asked: 1, delay: 60, at: 299, state: Pending },   "HawasDRsDssXtXGssF"),
    ("nobody, time for the next",     Given { approved: false, asked: 1, delay: 0,  at: 300, state: Pending },   "ccwcsDRsDssXnXGssF"),
    ("bea, the second group asked",   Given { approved: true,  asked: 2, delay: 0,  at: 301, state: Pending },   "AawaADRsDssXtXGssF"),
    ("the same, with a delay",        Given { approved: true,  asked: 2, delay: 60, at: 599, state: Pending },   "HawaHDRsDssXtXGssF"),
    ("bea, time over",                Given { approved: true,  asked: 2, delay: 0,  at: 600, state: Pending },   "lllllllslsslEXlssF"),
    ("bea, time over, with a delay",  Given { approved: true,  asked: 2, delay: 60, at: 600, state: Pending },   "lllllllslsslEXlssF"),
    ("held",                          Given { approved: true,  asked: 1, delay: 60, at: 200, state: Holding },   "hhhhsDRsDssXtXhssF"),
    ("held, the delay over",          Given { approved: true,  asked: 1, delay: 60, at: 260, state: Holding },   "hhhhsDRsDssXAXhssF"),
    ("held, everything over",         Given { approved: true,  asked: 1, delay: 60, at: 660, state: Holding },   "llllsllslsslEXlssF"),
    ("the glass is broken",           Given { approved: true,  asked: 2, delay: 60, at: 900, state: Breaking },  "gggggDRsDssXtX.DsF"),
    ("broken, the wait over",         Given { approved: false, asked: 1, delay: 0,  at: 1150, state: Breaking }, "ggggsDRsDssXOX.DsF"),
    ("broken, long ago",              Given { approved: true,  asked: 1, delay: 0,  at: 1450, state: Breaking }, "llllsllslsslEXllsF"),
    ("opened by break-glass",         Given { approved: true,  asked: 1, delay: 0,  at: 1200, state: Opened },   "oooosoososso..oos."),
    ("approved",                      Given { approved: true,  asked: 1, delay: 0,  at: 250, state: Approved },  "ddddsddsdssd..dss."),
    ("approved, long ago",            Given { approved: true,  asked: 1, delay: 0,  at: 999, state: Approved },  "ddddsddsdssd..dss."),
    ("denied",                        Given { approved: true,  asked: 2, delay: 0,  at: 400, state: Denied },    "dddddddsdssd..dss."),
    ("expired",                       Given { approved: false, asked: 2, delay: 0,  at: 700, state: Expired },   "lllllllslssl..lss."),
    ("cancelled",                     Given { approved: false, asked: 1, delay: 0,  at: 250, state: Cancelled }, "xxxxsxxsxss...xss."),
];

use Stands::{Approved, Breaking, Cancelled, Denied, Expired, Holding, Opened, Pending};

#[derive(Clone, Copy, Debug)]
enum When {
    Says(u128, u128, Factor, Verdict),
    Cancelled,
    Timer,
    Voided,
    Glass,
    Frozen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stands {
    Pending,
    Holding,
    Breaking,
    Opened,
    Approved,
    Denied,
    Expired,
    Cancelled,
}

/// Where an approval stands, so many seconds after it was asked for.
#[derive(Clone, Copy, Debug)]
struct Given {
    approved: bool,
    asked: usize,
    delay: u32,
    at: i64,
    state: Stands,
}

const ANN: u128 = 1;
const BEA: u128 = 2;
const CYD: u128 = 3;
const RAE: u128 = 4;
const ADA: u128 = 8;
const STRANGER: u128 = 9;
const CREATED: i64 = 1_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(CREATED + seconds)
}

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn key(number: u128) -> SignedWith {
    SignedWith::Device(DeviceId(Uuid::from_u128(number)))
}

fn reference() -> PolicyRef {
    PolicyRef { name: "prod".into(), sha256: "x".into() }
}

fn approval(requirement: Requirement, requester: UserId) -> Approval {
    let created_at = at(0);
    Approval {
        id: ApprovalId(Uuid::from_u128(100)),
        tag: "R7K2".into(),
        bot: BotId(Uuid::from_u128(200)),
        requester,
        action: Action { kind: "deploy".into(), target: "production".into(), params: Params::default() },
        reason: None,
        origin: None,
        created_at,
        expires_at: created_at.after(requirement.answer_time()).after(requirement.delay()),
        requirement,
        asked: 1,
        given: Vec::new(),
        bound_to: None,
        break_glass: None,
        state: State::Pending,
    }
}

fn decision(by: u128, at: Timestamp, verdict: Verdict) -> Decision {
    let reason = (verdict != Verdict::Approve).then(|| "because".to_owned());
    Decision { by: user(by), at, verdict, reason }
}

fn says(by: u128, with: u128, factor: Factor, verdict: Verdict) -> Event {
    let reason = (verdict != Verdict::Approve).then(|| "because".to_owned());
    Event::Answered(VerifiedAnswer::checked(user(by), key(with), factor, verdict, reason))
}

impl When {
    fn event(self) -> Event {
        match self {
            Self::Says(by, with, factor, verdict) => says(by, with, factor, verdict),
            Self::Cancelled => Event::Cancelled,
            Self::Timer => Event::TimerRang,
            Self::Voided => Event::Voided,
            Self::Glass => broken(),
            Self::Frozen => Event::Frozen,
        }
    }
}

impl Given {
    fn approval(self) -> Approval {
        let group = |needed, members: &[u128]| Quorum { needed, members: members.iter().map(|&who| user(who)).collect() };
        let requirement = Requirement {
            policy: reference(),
            factor: Factor::Code,
            requester: false,
            requester_excluded: true,
            groups: vec![group(2, &[ANN, BEA]), group(1, &[CYD])],
            delegations: Vec::new(),
            window_seconds: 300,
            delay_seconds: self.delay,
            executor: None,
            bound_grant: false,
            break_glass: true,
        };
        let bea = policy::Given { by: user(BEA), key: key(2), factor: Factor::Passkey, at: at(100) };
        let state = match self.state {
            Pending => State::Pending,
            Holding => State::Holding { until: at(260) },
            Breaking => State::BreakingGlass { until: at(1150) },
            Opened => State::Opened { at: at(1150) },
            Approved => State::Approved(decision(ANN, at(200), Verdict::Approve)),
            Denied => State::Denied(decision(ANN, at(200), Verdict::Deny)),
            Expired => State::Expired { at: at(600) },
            Cancelled => State::Cancelled { at: at(200), frozen: false },
        };
        let given = if self.approved { vec![bea] } else { Vec::new() };
        let approval = Approval { asked: self.asked, given, state, ..approval(requirement, user(RAE)) };
        if matches!(self.state, Breaking | Opened) {
            return Approval { expires_at: at(1450), break_glass: Some(glass(250, 1150, approval.expires_at)), ..approval };
        }
        approval
    }
}

use crate::approvals::policy;

/// The glass is broken, by default for 900 s.
fn broken() -> Event {
    Event::GlassBroken { reason: "nobody answers".into(), wait: Duration::from_mins(15), admins: vec![user(ADA), user(ANN)] }
}

/// Broken then, to open then.
fn glass(begun: i64, until: i64, expires_at: Timestamp) -> BreakGlass {
    let told = [ANN, BEA, CYD, RAE, ADA].map(user).to_vec();
    BreakGlass { at: at(begun), until: at(until), reason: "nobody answers".into(), told, expires_at }
}

/// What the letter says of this event, in the machine's own terms.
fn expected(letter: char, given: Given, when: When) -> Result<(Approval, Vec<Effect>), Refusal> {
    let (before, now) = (given.approval(), at(given.at));
    let mut counted = before.clone();
    if let When::Says(by, with, factor, Verdict::Approve) = when {
        counted.given.push(policy::Given { by: user(by), key: key(with), factor, at: now });
    }
    let over = |state| Ok((Approval { state, ..before.clone() }, vec![Effect::TellBot, Effect::Withdraw]));
    let said = |verdict| {
        let When::Says(by, ..) = when else { panic!("nobody said it") };
        State::Denied(decision(by, now, verdict))
    };
    match letter {
        '.' => Ok((before, Vec::new())),
        'c' => Ok((counted, Vec::new())),
        'A' => {
            let last = counted.given.last().expect("somebody approved").by;
            let decision = Decision { by: last, at: now, verdict: Verdict::Approve, reason: None };
            let grant = Effect::IssueGrant { expires_at: now.after(Duration::from_mins(5)) };
            let state = State::Approved(decision);
            Ok((Approval { state, ..counted }, vec![grant, Effect::TellBot, Effect::Withdraw]))
        }
        'H' => {
            // The timer that is set rings at 300 or 600 s, before the delay is over, and is set again then.
            let until = now.after(Duration::from_secs(60));
            Ok((Approval { state: State::Holding { until }, ..counted }, Vec::new()))
        }
        'D' => over(said(Verdict::Deny)),
        'R' => over(said(Verdict::Report)),
        'X' => over(State::Cancelled { at: now, frozen: false }),
        'F' => over(State::Cancelled { at: now, frozen: true }),
        'E' => over(State::Expired { at: now }),
        'n' => Ok((Approval { asked: 2, ..before }, vec![Effect::NotifyUsers(vec![user(CYD)]), Effect::WakeAt(at(600))])),
        't' if given.state == Holding => Ok((before, vec![Effect::WakeAt(at(260))])),
        't' if given.state == Breaking => Ok((before, vec![Effect::WakeAt(at(1150))])),
        't' => Ok((before, vec![Effect::WakeAt(at(300 * i64::try_from(given.asked).unwrap()))])),
        'G' => {
            let glass = glass(given.at, given.at + 900, before.expires_at);
            let effects = vec![Effect::TellOfBreakGlass(glass.told.clone()), Effect::WakeAt(glass.until), Effect::TellBot];
            let (state, expires_at) = (State::BreakingGlass { until: glass.until }, at(given.at + 1200));
            Ok((Approval { state, expires_at, break_glass: Some(glass), ..before }, effects))
        }
        'O' => {
            let grant = Effect::IssueGrant { expires_at: now.after(Duration::from_mins(5)) };
            Ok((Approval { state: State::Opened { at: now }, ..before }, vec![grant, Effect::TellBot, Effect::Withdraw]))
        }
        'g' => Err(Refusal::BreakingGlass { until: at(1150) }),
        'o' => Err(Refusal::Opened { at: at(1150) }),
        's' => Err(Refusal::NotAnApprover),
        'a' => Err(Refusal::AlreadyApproved),
        'w' => Err(Refusal::FactorTooWeak(Factor::Code)),
        'h' => Err(Refusal::Holding { until: at(260) }),
        'd' => match before.state {
            State::Approved(decision) | State::Denied(decision) => Err(Refusal::Decided(decision)),
            other => panic!("{other:?} is not decided"),
        },
        'l' => Err(Refusal::Expired),
        'x' => Err(Refusal::Cancelled),
        other => panic!("no letter {other}"),
    }
}

#[test]
fn every_state_meets_every_event_as_the_table_says() {
    for (row, given, letters) in TABLE {
        for ((column, when), letter) in WHEN.iter().zip(letters.chars()) {
            let found = given.approval().step(when.event(), at(given.at));
            assert_eq!(found, expected(letter, *given, *when), "{row} × {column}");
        }
    }
}

#[test]
fn the_table_is_complete() {
    for (row, _, letters) in TABLE {
        assert_eq!(letters.chars().count(), WHEN.len(), "{row}");
    }
}

/// A new state or event of the machine does not compile until it is named here, and fails until the table has one.
#[test]
fn the_table_knows_every_state_and_event_of_the_machine() {
    let state = |given: &Given| match given.approval().state {
        State::Pending => 0,
        State::Holding { .. } => 1,
        State::Approved(_) => 2,
        State::Denied(_) => 3,
        State::Expired { .. } => 4,
        State::Cancelled { .. } => 5,
        State::BreakingGlass { .. } => 6,
        State::Opened { .. } => 7,
    };
    let event = |when: &When| match when.event() {
        Event::Answered(answer) => match answer.verdict() {
            Verdict::Approve => 0,
            Verdict::Deny => 1,
            Verdict::Report => 2,
        },
        Event::Cancelled => 3,
        Event::TimerRang => 4,
        Event::Voided => 5,
        Event::GlassBroken { .. } => 6,
        Event::Frozen => 7,
    };
    let states: BTreeSet<_> = TABLE.iter().map(|(_, given, _)| state(given)).collect();
    let events: BTreeSet<_> = WHEN.iter().map(|(_, when)| event(when)).collect();
    assert_eq!((states.len(), events.len()), (8, 8));
}

#[test]
fn a_new_request_rings_those_who_are_asked_first_and_sets_its_timer() {
    let fresh = Given { approved: false, asked: 1, delay: 60, at: 0, state: Pending }.approval();
    assert_eq!(fresh.requested(), vec![Effect::NotifyUsers(vec![user(ANN), user(BEA)]), Effect::WakeAt(at(300))]);
    assert_eq!((fresh.answer_by(), fresh.expires_at), (at(600), at(660)));
}

#[test]
fn a_delay_that_ends_before_the_timer_sets_one_of_its_own() {
    let early = Given { approved: true, asked: 1, delay: 60, at: 100, state: Pending }.approval();
    let (held, effects) = early.step(says(ANN, 1, Factor::Code, Verdict::Approve), at(100)).unwrap();
    assert_eq!((held.state, effects), (State::Holding { until: at(160) }, vec![Effect::WakeAt(at(160))]));
}

/// Three groups of one, a minute each and a minute's delay: when nothing runs for a while, nobody's turn is skipped.
#[test]
fn a_late_timer_asks_one_group_and_gives_it_its_time() {
    let group = |who| Quorum { needed: 1, members: vec![user(who)] };
    let late = || {
        let first = Given { approved: false, asked: 1, delay: 60, at: 0, state: Pending }.approval();
        let groups = vec![group(ANN), group(BEA), group(CYD)];
        let requirement = Requirement { groups, window_seconds: 60, ..first.requirement };
        approval(requirement, user(RAE)).step(Event::TimerRang, at(130)).unwrap()
    };
    let (second, effects) = late();
    assert_eq!(effects, vec![Effect::NotifyUsers(vec![user(BEA)]), Effect::WakeAt(at(190))]);
    assert_eq!((second.asked, second.answer_by(), second.expires_at), (2, at(250), at(310)));
    let early = second.clone().step(says(CYD, 3, Factor::Code, Verdict::Approve), at(150));
    assert_eq!(early, Err(Refusal::NotAnApprover), "whoever was not rung does not count");
    let (third, effects) = second.step(Event::TimerRang, at(190)).unwrap();
    assert_eq!(effects, vec![Effect::NotifyUsers(vec![user(CYD)]), Effect::WakeAt(at(250))]);
    let (held, _) = third.clone().step(says(CYD, 3, Factor::Code, Verdict::Approve), at(249)).unwrap();
    assert_eq!(held.state, State::Holding { until: at(309) });
    assert!(matches!(held.step(Event::TimerRang, at(309)).unwrap().0.state, State::Approved(_)), "it takes effect");
    assert!(matches!(third.step(Event::TimerRang, at(250)).unwrap().0.state, State::Expired { .. }));
    // So late that the time to answer was over: a request that nobody looked after is not taken up again.
    assert!(matches!(late().0.step(Event::TimerRang, at(250)).unwrap().0.state, State::Expired { .. }));
}
