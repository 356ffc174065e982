//! Every state with every event, in one table. What holds for any history is in [`histories`].

use std::collections::BTreeSet;

use uuid::Uuid;

use super::*;

mod histories;

/// Declares an enum and the list of all its variants, so that the table can be checked for holes.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $($variant:ident)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum $name { $($variant),* }
        impl $name {
            const ALL: &[Self] = &[$(Self::$variant),*];
        }
    };
}

words! {
    /// Where an incident stands. The plan: Ann and Bob, then Cleo; three rings a minute apart; half an hour to resolve.
    /// Whoever acknowledged or resolved it is Ann.
    Given:
    FirstStep FirstStepLastRing LastStep LastStepLastRing
    HeldByPhone HeldViaBot OverByPhone OverViaBot
}

words! {
    /// What happens. Bob takes and ends it; Ann or Cleo says "not me".
    When: Takes TakesViaBot Ends EndsViaBot AnnDisowns CleoDisowns RangEarly RangOnTime RangLate NobodyReachable
}

/// What becomes of it.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// The state changes, and this has to be done.
    Becomes(Next, &'static [Does]),
    /// Nothing changes; this has to be done.
    Stays(&'static [Does]),
    /// Refused: nobody acted in that person's name.
    NotYours,
    /// Refused: it is over, and the refusal says who ended it.
    IsOver,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    /// Rings at this step, so often again after this ring; the next ring is in a minute.
    Rings(u32, u32),
    /// Bob has it, for half an hour.
    Held,
    /// Bob ended it.
    Over,
}

#[derive(Clone, Copy, Debug)]
enum Does {
    RingAnnBob,
    RingEverybody,
    /// The timer is set for when the new state says.
    Wake,
    /// Bob is told that the bot acted in his name.
    TellBob,
    TakeOff,
}

use Does::{RingAnnBob, RingEverybody, TakeOff, TellBob, Wake};
use Given::{FirstStep, FirstStepLastRing, HeldByPhone, HeldViaBot, LastStep, LastStepLastRing, OverByPhone, OverViaBot};
use Next::{Held, Over, Rings};
use Then::{Becomes, IsOver, NotYours, Stays};
use When::{AnnDisowns, CleoDisowns, Ends, EndsViaBot, NobodyReachable, RangEarly, RangLate, RangOnTime, Takes, TakesViaBot};

#[rustfmt::skip]
const TABLE: &[(Given, When, Then)] = &[
    (FirstStep,         Takes,           Becomes(Held, &[TakeOff, Wake])),
    (FirstStep,         TakesViaBot,     Becomes(Held, &[TakeOff, Wake, TellBob])),
    (FirstStep,         Ends,            Becomes(Over, &[TakeOff])),
    (FirstStep,         EndsViaBot,      Becomes(Over, &[TakeOff, TellBob])),
    (FirstStep,         AnnDisowns,      NotYours),
    (FirstStep,         CleoDisowns,     NotYours),
    (FirstStep,         RangEarly,       Stays(&[Wake])),
    (FirstStep,         RangOnTime,      Becomes(Rings(0, 1), &[RingAnnBob, Wake])),
    (FirstStep,         RangLate,        Becomes(Rings(0, 1), &[RingAnnBob, Wake])),
    (FirstStep,         NobodyReachable, Becomes(Rings(1, 2), &[RingEverybody, Wake])),

    (FirstStepLastRing, Takes,           Becomes(Held, &[TakeOff, Wake])),
    (FirstStepLastRing, TakesViaBot,     Becomes(Held, &[TakeOff, Wake, TellBob])),
    (FirstStepLastRing, Ends,            Becomes(Over, &[TakeOff])),
    (FirstStepLastRing, EndsViaBot,      Becomes(Over, &[TakeOff, TellBob])),
    (FirstStepLastRing, AnnDisowns,      NotYours),
    (FirstStepLastRing, CleoDisowns,     NotYours),
    (FirstStepLastRing, RangEarly,       Stays(&[Wake])),
    (FirstStepLastRing, RangOnTime,      Becomes(Rings(1, 2), &[RingEverybody, Wake])),
    (FirstStepLastRing, RangLate,        Becomes(Rings(1, 2), &[RingEverybody, Wake])),
    (FirstStepLastRing, NobodyReachable, Becomes(Rings(1, 2), &[RingEverybody, Wake])),

    (LastStep,          Takes,           Becomes(Held, &[TakeOff, Wake])),
    (LastStep,          TakesViaBot,     Becomes(Held, &[TakeOff, Wake, TellBob])),
    (LastStep,          Ends,            Becomes(Over, &[TakeOff])),
    (LastStep,          EndsViaBot,      Becomes(Over, &[TakeOff, TellBob])),
    (LastStep,          AnnDisowns,      NotYours),
    (LastStep,          CleoDisowns,     NotYours),
    (LastStep,          RangEarly,       Stays(&[Wake])),
    (LastStep,          RangOnTime,      Becomes(Rings(1, 1), &[RingEverybody, Wake])),
    (LastStep,          RangLate,        Becomes(Rings(1, 1), &[RingEverybody, Wake])),
    (LastStep,          NobodyReachable, Stays(&[])),

    (LastStepLastRing,  Takes,           Becomes(Held, &[TakeOff, Wake])),
    (LastStepLastRing,  TakesViaBot,     Becomes(Held, &[TakeOff, Wake, TellBob])),
    (LastStepLastRing,  Ends,            Becomes(Over, &[TakeOff])),
    (LastStepLastRing,  EndsViaBot,      Becomes(Over, &[TakeOff, TellBob])),
    (LastStepLastRing,  AnnDisowns,      NotYours),
    (LastStepLastRing,  CleoDisowns,     NotYours),
    (LastStepLastRing,  RangEarly,       Stays(&[Wake])),
    (LastStepLastRing,  RangOnTime,      Becomes(Rings(1, 2), &[RingEverybody, Wake])),
    (LastStepLastRing,  RangLate,        Becomes(Rings(1, 2), &[RingEverybody, Wake])),
    (LastStepLastRing,  NobodyReachable, Stays(&[])),

    (HeldByPhone,       Takes,           Stays(&[])),
    (HeldByPhone,       TakesViaBot,     Stays(&[])),
    (HeldByPhone,       Ends,            Becomes(Over, &[TakeOff])),
    (HeldByPhone,       EndsViaBot,      Becomes(Over, &[TakeOff, TellBob])),
    (HeldByPhone,       AnnDisowns,      NotYours),
    (HeldByPhone,       CleoDisowns,     NotYours),
    (HeldByPhone,       RangEarly,       Stays(&[Wake])),
    (HeldByPhone,       RangOnTime,      Becomes(Rings(0, 2), &[RingAnnBob, Wake])),
    (HeldByPhone,       RangLate,        Becomes(Rings(0, 2), &[RingAnnBob, Wake])),
    (HeldByPhone,       NobodyReachable, Stays(&[])),

    (HeldViaBot,        Takes,           Stays(&[])),
    (HeldViaBot,        TakesViaBot,     Stays(&[])),
    (HeldViaBot,        Ends,            Becomes(Over, &[TakeOff])),
    (HeldViaBot,        EndsViaBot,      Becomes(Over, &[TakeOff, TellBob])),
    (HeldViaBot,        AnnDisowns,      Becomes(Rings(0, 2), &[RingAnnBob, Wake])),
    (HeldViaBot,        CleoDisowns,     NotYours),
    (HeldViaBot,        RangEarly,       Stays(&[Wake])),
    (HeldViaBot,        RangOnTime,      Becomes(Rings(0, 2), &[RingAnnBob, Wake])),
    (HeldViaBot,        RangLate,        Becomes(Rings(0, 2), &[RingAnnBob, Wake])),
    (HeldViaBot,        NobodyReachable, Stays(&[])),

    (OverByPhone,       Takes,           IsOver),
    (OverByPhone,       TakesViaBot,     IsOver),
    (OverByPhone,       Ends,            Stays(&[])),
    (OverByPhone,       EndsViaBot,      Stays(&[])),
    (OverByPhone,       AnnDisowns,      NotYours),
    (OverByPhone,       CleoDisowns,     NotYours),
    (OverByPhone,       RangEarly,       Stays(&[])),
    (OverByPhone,       RangOnTime,      Stays(&[])),
    (OverByPhone,       RangLate,        Stays(&[])),
    (OverByPhone,       NobodyReachable, Stays(&[])),

    (OverViaBot,        Takes,           IsOver),
    (OverViaBot,        TakesViaBot,     IsOver),
    (OverViaBot,        Ends,            Stays(&[])),
    (OverViaBot,        EndsViaBot,      Stays(&[])),
    (OverViaBot,        AnnDisowns,      Becomes(Rings(0, 2), &[RingAnnBob, Wake])),
    (OverViaBot,        CleoDisowns,     NotYours),
    (OverViaBot,        RangEarly,       Stays(&[])),
    (OverViaBot,        RangOnTime,      Stays(&[])),
    (OverViaBot,        RangLate,        Stays(&[])),
    (OverViaBot,        NobodyReachable, Stays(&[])),
];

const ANN: u128 = 1;
const BOB: u128 = 2;
const CLEO: u128 = 3;

/// When the timer of each state of the table is set for.
const TIMER: i64 = 1_000;
/// How often it had rung before.
const RUNG: u32 = 7;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn bot() -> BotId {
    BotId(Uuid::from_u128(200))
}

fn act(by: u128, via_bot: bool, now: Timestamp) -> Act {
    Act { by: user(by), via: via_bot.then(bot), at: now }
}

fn incident(plan: Plan, state: State) -> Incident {
    Incident {
        id: IncidentId(Uuid::from_u128(100)),
        reference: "P1HX0C6".parse().expect("a reference"),
        title: "All your apps are down".into(),
        details: Some("503 everywhere".into()),
        links: vec!["https://status.example.com/".into()],
        urgency: Urgency::High,
        opened_by: crate::journal::Actor::Bot { bot: bot(), user: None },
        plan,
        state,
        created_at: at(0),
    }
}

fn plan() -> Plan {
    Plan::new(&[vec![user(ANN), user(BOB)], vec![user(CLEO)]], 3, 60, 1_800).expect("a plan with people")
}

impl Given {
    fn state(self) -> State {
        let (ring, timer_at) = (RUNG, at(TIMER));
        let anns = |via_bot| act(ANN, via_bot, at(500));
        match self {
            FirstStep => State::Triggered { step: 0, ring, left: 2, timer_at },
            FirstStepLastRing => State::Triggered { step: 0, ring, left: 0, timer_at },
            LastStep => State::Triggered { step: 1, ring, left: 2, timer_at },
            LastStepLastRing => State::Triggered { step: 1, ring, left: 0, timer_at },
            HeldByPhone => State::Acknowledged { act: anns(false), ring, timer_at },
            HeldViaBot => State::Acknowledged { act: anns(true), ring, timer_at },
            OverByPhone => State::Resolved { act: anns(false), ring },
            OverViaBot => State::Resolved { act: anns(true), ring },
        }
    }
}

impl When {
    fn event(self, now: Timestamp) -> Event {
        match self {
            Takes => Event::Acknowledged(act(BOB, false, now)),
            TakesViaBot => Event::Acknowledged(act(BOB, true, now)),
            Ends => Event::Resolved(act(BOB, false, now)),
            EndsViaBot => Event::Resolved(act(BOB, true, now)),
            AnnDisowns => Event::Disowned { by: user(ANN) },
            CleoDisowns => Event::Disowned { by: user(CLEO) },
            RangEarly | RangOnTime | RangLate => Event::TimerRang,
            NobodyReachable => Event::NobodyReachable,
        }
    }

    /// What people do they may do before the timer, or when it is due and has not rung yet: the row is the same.
    fn times(self) -> Vec<Timestamp> {
        match self {
            RangEarly => vec![at(600), at(TIMER).before(Duration::from_micros(1))],
            RangOnTime => vec![at(TIMER)],
            RangLate => vec![at(TIMER).after(Duration::from_micros(1)), at(TIMER + 86_400)],
            _ => vec![at(600), at(TIMER), at(TIMER + 1)],
        }
    }
}

impl Then {
    /// In the machine's own terms.
    fn at(self, before: &Incident, when: When, now: Timestamp) -> Result<(Incident, Vec<Effect>), Refusal> {
        match self {
            Becomes(next, does) => {
                let via_bot = matches!(when, TakesViaBot | EndsViaBot);
                let (state, timer_at) = next.state(via_bot, now);
                let effects = does.iter().map(|does| does.effect(RUNG + 1, timer_at)).collect();
                Ok((Incident { state, ..before.clone() }, effects))
            }
            Stays(does) => Ok((before.clone(), does.iter().map(|does| does.effect(RUNG, at(TIMER))).collect())),
            NotYours => Err(Refusal::NotYours),
            IsOver => match before.state {
                State::Resolved { act, .. } => Err(Refusal::Resolved(act)),
                State::Triggered { .. } | State::Acknowledged { .. } => panic!("{before:?} is not over"),
            },
        }
    }
}

impl Next {
    fn state(self, via_bot: bool, now: Timestamp) -> (State, Timestamp) {
        let act = act(BOB, via_bot, now);
        match self {
            Rings(step, left) => {
                let timer_at = now.after(Duration::from_mins(1));
                (State::Triggered { step, ring: RUNG + 1, left, timer_at }, timer_at)
            }
            Held => {
                let timer_at = now.after(Duration::from_mins(30));
                (State::Acknowledged { act, ring: RUNG, timer_at }, timer_at)
            }
            Over => (State::Resolved { act, ring: RUNG }, now),
        }
    }
}

impl Does {
    fn effect(self, ring: u32, timer_at: Timestamp) -> Effect {
        match self {
            RingAnnBob => Effect::Ring { users: vec![user(ANN), user(BOB)], ring },
            RingEverybody => Effect::Ring { users: vec![user(CLEO), user(ANN), user(BOB)], ring },
            Wake => Effect::WakeAt(timer_at),
            TellBob => Effect::TellActor { user: user(BOB), via: bot() },
            TakeOff => Effect::Withdraw,
        }
    }
}

#[test]
fn every_state_meets_every_event_as_the_table_says() {
    for (given, when, then) in TABLE {
        for now in when.times() {
            let before = incident(plan(), given.state());
            let expected = then.at(&before, *when, now);
            assert_eq!(before.step(when.event(now), now), expected, "{given:?} × {when:?} at {now}");
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
            State::Triggered { .. } => 0,
            State::Acknowledged { .. } => 1,
            State::Resolved { .. } => 2,
        })
        .collect();
    let events: BTreeSet<_> = When::ALL
        .iter()
        .map(|when| match when.event(at(0)) {
            Event::Acknowledged(_) => 0,
            Event::Resolved(_) => 1,
            Event::Disowned { .. } => 2,
            Event::TimerRang => 3,
            Event::NobodyReachable => 4,
        })
        .collect();
    assert_eq!((states.len(), events.len()), (3, 5));
}

#[test]
fn a_new_incident_rings_the_first_step_and_sets_its_timer() {
    let (state, effects) = Incident::triggered(&plan(), at(100));
    assert_eq!(state, State::Triggered { step: 0, ring: 1, left: 2, timer_at: at(160) });
    assert_eq!(effects, [Effect::Ring { users: vec![user(ANN), user(BOB)], ring: 1 }, Effect::WakeAt(at(160))]);
}

#[test]
fn a_plan_without_people_is_no_plan() {
    for steps in [vec![], vec![vec![]], vec![vec![], vec![]]] {
        assert_eq!(Plan::new(&steps, 3, 60, 1_800), Err(NobodyNamed));
    }
    let stored = r#"{"steps":[[]],"rings":3,"ring_seconds":60,"acknowledgement_seconds":1800}"#;
    assert!(serde_json::from_str::<Plan>(stored).is_err());
}

#[test]
fn a_plan_leaves_out_empty_steps_and_rings_nobody_twice_at_once() {
    let steps = vec![vec![], vec![user(BOB), user(ANN), user(BOB)], vec![], vec![user(BOB)]];
    let plan = Plan::new(&steps, 3, 60, 1_800).expect("people");
    assert_eq!(plan.steps(), [vec![user(BOB), user(ANN)], vec![user(BOB)]]);
    assert_eq!(plan.people(1), [user(BOB), user(ANN)], "the last step rings everybody once");
}

#[test]
fn numbers_below_one_count_as_one() {
    let steps = vec![vec![user(ANN)]];
    let least = Plan::new(&steps, 1, 1, 1).expect("people");
    assert_eq!(Plan::new(&steps, 0, 0, 0), Ok(least.clone()));
    let stored = serde_json::json!({"steps": [[user(ANN)]], "rings": 0, "ring_seconds": 0, "acknowledgement_seconds": 0});
    assert_eq!(serde_json::from_value::<Plan>(stored).expect("a plan"), least);
}

#[test]
fn a_plan_survives_being_stored() {
    let stored = serde_json::to_value(plan()).expect("JSON");
    assert_eq!(serde_json::from_value::<Plan>(stored).expect("a plan"), plan());
}
