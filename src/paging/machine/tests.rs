//! Every state with every event, in one table. What holds for any history is in [`histories`].

use std::collections::BTreeMap;

use uuid::Uuid;

use super::super::plan::{NobodyNamed, Step, Tempo};
use super::*;
use crate::id::IntegrationId;

mod histories;

/// Where an incident stands. The plan: Ann and Bob for two minutes, then Cleo for one, all of it twice, and Eve as the last resort;
/// a ring a minute; half an hour to resolve. Its timer is set for [`TIMER`], unless it has none. Whoever acted was Ann.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    First,
    FirstEnds,
    EndOfPass,
    EndOfPlan,
    Resort,
    Quiet,
    Held,
    HeldViaBot,
    HeldForEver,
    Snoozed,
    SnoozedViaBot,
    Over,
    OverViaBot,
    OverByItself,
    Merged,
    MergedViaBot,
}

use Given::{
    EndOfPass, EndOfPlan, First, FirstEnds, Held as Has, HeldForEver, HeldViaBot, Merged, MergedViaBot, Over, OverByItself,
    OverViaBot, Quiet, Resort, Snoozed, SnoozedViaBot,
};

/// The columns of the table.
const GIVEN: [Given; 16] = [
    First,
    FirstEnds,
    EndOfPass,
    EndOfPlan,
    Resort,
    Quiet,
    Has,
    HeldViaBot,
    HeldForEver,
    Snoozed,
    SnoozedViaBot,
    Over,
    OverViaBot,
    OverByItself,
    Merged,
    MergedViaBot,
];

/// What happens. Whoever acts is Bob, on his phone and then through a bot; Ann or Cleo says "not me".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Takes,
    Ends,
    PutsOff,
    PutsOffTooShort,
    PutsOffTooLong,
    Merges,
    MergesWhereItIs,
    MergesIntoItself,
    AnnDisowns,
    CleoDisowns,
    Escalates,
    EscalatesToDora,
    EscalatesToAnnBob,
    EscalatesToAnn,
    HandsToDora,
    AddsDora,
    AddsAnn,
    Wakes,
    Quietens,
    Loudens,
    Reopens,
    ReopensTooLate,
    Reported,
    RangEarly,
    RangOnTime,
    Unreachable,
    AllQuiet,
    WasAllQuiet,
}

/// What becomes of it. When a bot said it and anything changed, Bob is told.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// Nothing.
    Stays,
    /// Nothing, and the timer is set once more.
    Waits,
    /// Rings at this place anew.
    Rings(u32, u32),
    /// Rings once more where it is.
    RingsOn,
    /// Rings at this place anew, by a plan of these steps.
    RingsBy(u32, u32, &'static [&'static [u128]]),
    /// Rings for this one as well, by a plan of these steps and this last resort; in a round of its own where it is held.
    Joins(u128, &'static [&'static [u128]], &'static [u128]),
    /// Bob has it.
    Taken,
    /// Bob put it off.
    PutOff,
    /// Bob ended it.
    Ended,
    /// It goes on elsewhere.
    GoesOn,
    /// As loud as that, and nothing else.
    Sounds(Urgency),
    /// The text and the count, and nothing else.
    Tells,
    /// The text and the count, and it rings from the beginning.
    TellsAndRings,
    /// It waits for the end of the quiet hours.
    WaitsForMorning,
    /// Refused: nobody acted in that person's name.
    NotYours,
    /// Refused: it is not put off.
    NotSnoozed,
    /// Refused: no such snooze.
    NotASnooze,
    /// Refused: it is over, and the refusal says who ended it.
    IsOver,
    /// Refused: it goes on elsewhere.
    IsMerged,
    /// Refused: into itself.
    Itself,
    /// Refused: it has been over for too long.
    TooOld,
}

const ANN: u128 = 1;
const BOB: u128 = 2;
const CLEO: u128 = 3;
const DORA: u128 = 4;
const EVE: u128 = 5;

const __: Then = Then::Stays;
const W: Then = Then::Waits;
const R: Then = Then::RingsOn;
const R00: Then = Then::Rings(0, 0);
const R01: Then = Then::Rings(0, 1);
const R02: Then = Then::Rings(0, 2);
const R10: Then = Then::Rings(1, 0);
const R12: Then = Then::Rings(1, 2);
const TK: Then = Then::Taken;
const PO: Then = Then::PutOff;
const EN: Then = Then::Ended;
const GO: Then = Then::GoesOn;
const LO: Then = Then::Sounds(Urgency::Low);
const TL: Then = Then::Tells;
const TR: Then = Then::TellsAndRings;
const WM: Then = Then::WaitsForMorning;
const NY: Then = Then::NotYours;
const NZ: Then = Then::NotSnoozed;
const NS: Then = Then::NotASnooze;
const IO: Then = Then::IsOver;
const IM: Then = Then::IsMerged;
const IT: Then = Then::Itself;
const TO: Then = Then::TooOld;
/// To Dora, between the first and the second step; behind the second.
const D1: Then = Then::RingsBy(0, 1, &[&[ANN, BOB], &[DORA], &[CLEO]]);
const D2: Then = Then::RingsBy(0, 2, &[&[ANN, BOB], &[CLEO], &[DORA]]);
const D3: Then = Then::RingsBy(1, 2, &[&[ANN, BOB], &[CLEO], &[DORA]]);
const D0: Then = Then::RingsBy(0, 0, &[&[DORA], &[ANN, BOB], &[CLEO]]);
const B1: Then = Then::RingsBy(0, 1, &[&[ANN, BOB], &[ANN, BOB], &[CLEO]]);
const B2: Then = Then::RingsBy(0, 2, &[&[ANN, BOB], &[CLEO], &[ANN, BOB]]);
const B3: Then = Then::RingsBy(1, 2, &[&[ANN, BOB], &[CLEO], &[ANN, BOB]]);
const A1: Then = Then::RingsBy(0, 1, &[&[ANN, BOB], &[ANN], &[CLEO]]);
const A2: Then = Then::RingsBy(0, 2, &[&[ANN, BOB], &[CLEO], &[ANN]]);
const A3: Then = Then::RingsBy(1, 2, &[&[ANN, BOB], &[CLEO], &[ANN]]);
const JF: Then = Then::Joins(DORA, &[&[ANN, BOB, DORA], &[CLEO]], &[EVE]);
const JS: Then = Then::Joins(DORA, &[&[ANN, BOB], &[CLEO, DORA]], &[EVE]);
const JL: Then = Then::Joins(DORA, &[&[ANN, BOB], &[CLEO]], &[EVE, DORA]);
const JA: Then = Then::Joins(ANN, &[&[ANN, BOB], &[CLEO, ANN]], &[EVE]);
const JB: Then = Then::Joins(ANN, &[&[ANN, BOB], &[CLEO]], &[EVE]);

/// A row for each event, a cell for each of [`GIVEN`].
#[rustfmt::skip]
const TABLE: &[(When, [Then; 16])] = &[
    //                        First Ends  Pass  Plan  Resrt Quiet Held  HBot  Ever  Snz   SBot  Over  OBot  OSelf Mrgd  MBot
    (When::Takes,             [TK,  TK,   TK,   TK,   TK,   TK,   __,   __,   __,   TK,   TK,   IO,   IO,   IO,   IM,   IM]),
    (When::Ends,              [EN,  EN,   EN,   EN,   EN,   EN,   EN,   EN,   EN,   EN,   EN,   __,   __,   __,   __,   __]),
    (When::PutsOff,           [PO,  PO,   PO,   PO,   PO,   PO,   PO,   PO,   PO,   PO,   PO,   IO,   IO,   IO,   IM,   IM]),
    (When::PutsOffTooShort,   [NS,  NS,   NS,   NS,   NS,   NS,   NS,   NS,   NS,   NS,   NS,   IO,   IO,   IO,   IM,   IM]),
    (When::PutsOffTooLong,    [NS,  NS,   NS,   NS,   NS,   NS,   NS,   NS,   NS,   NS,   NS,   IO,   IO,   IO,   IM,   IM]),
    (When::Merges,            [GO,  GO,   GO,   GO,   GO,   GO,   GO,   GO,   GO,   GO,   GO,   IO,   IO,   IO,   IM,   IM]),
    (When::MergesWhereItIs,   [GO,  GO,   GO,   GO,   GO,   GO,   GO,   GO,   GO,   GO,   GO,   IO,   IO,   IO,   __,   __]),
    (When::MergesIntoItself,  [IT,  IT,   IT,   IT,   IT,   IT,   IT,   IT,   IT,   IT,   IT,   IO,   IO,   IO,   IM,   IM]),
    (When::AnnDisowns,        [NY,  NY,   NY,   NY,   NY,   NY,   NY,   R00,  NY,   NY,   R00,  NY,   R00,  NY,   NY,   R00]),
    (When::CleoDisowns,       [NY,  NY,   NY,   NY,   NY,   NY,   NY,   NY,   NY,   NY,   NY,   NY,   NY,   NY,   NY,   NY]),
    (When::Escalates,         [R01, R01,  R10,  R12,  R12,  R01,  R10,  R10,  R10,  R10,  R10,  IO,   IO,   IO,   IM,   IM]),
    (When::EscalatesToDora,   [D1,  D1,   D2,   D3,   D3,   D1,   D2,   D2,   D2,   D2,   D2,   IO,   IO,   IO,   IM,   IM]),
    // They ring, and whoever has it has it: but not while nobody rings.
    (When::EscalatesToAnnBob, [__,  __,   B2,   B3,   B3,   B1,   B2,   B2,   B2,   B2,   B2,   IO,   IO,   IO,   IM,   IM]),
    (When::EscalatesToAnn,    [A1,  A1,   A2,   A3,   A3,   A1,   __,   __,   __,   A2,   A2,   IO,   IO,   IO,   IM,   IM]),
    (When::HandsToDora,       [D0,  D0,   D0,   D0,   D0,   D0,   D0,   D0,   D0,   D0,   D0,   IO,   IO,   IO,   IM,   IM]),
    (When::AddsDora,          [JF,  JF,   JS,   JS,   JL,   JF,   JF,   JF,   JF,   JF,   JF,   IO,   IO,   IO,   IM,   IM]),
    (When::AddsAnn,           [__,  __,   JA,   JA,   __,   JB,   __,   __,   __,   JB,   JB,   IO,   IO,   IO,   IM,   IM]),
    (When::Wakes,             [__,  __,   __,   __,   __,   __,   NZ,   NZ,   NZ,   R00,  R00,  IO,   IO,   IO,   IM,   IM]),
    (When::Quietens,          [LO,  LO,   LO,   LO,   LO,   LO,   LO,   LO,   LO,   LO,   LO,   IO,   IO,   IO,   IM,   IM]),
    (When::Loudens,           [__,  __,   __,   __,   __,   __,   __,   __,   __,   __,   __,   IO,   IO,   IO,   IM,   IM]),
    (When::Reopens,           [__,  __,   __,   __,   __,   __,   __,   __,   __,   __,   __,   R00,  R00,  R00,  IM,   IM]),
    (When::ReopensTooLate,    [__,  __,   __,   __,   __,   __,   __,   __,   __,   __,   __,   TO,   TO,   TO,   IM,   IM]),
    (When::Reported,          [TL,  TL,   TL,   TL,   TL,   TL,   TL,   TL,   TL,   TL,   TL,   TR,   TR,   TR,   IM,   IM]),
    (When::RangEarly,         [W,   W,    W,    W,    W,    W,    W,    W,    __,   W,    W,    __,   __,   __,   __,   __]),
    (When::RangOnTime,        [R,   R01,  R10,  R12,  R,    R00,  R00,  R00,  __,   R00,  R00,  __,   __,   __,   __,   __]),
    (When::Unreachable,       [R01, R01,  R02,  R12,  __,   R01,  __,   __,   __,   __,   __,   __,   __,   __,   __,   __]),
    (When::AllQuiet,          [WM,  WM,   WM,   WM,   WM,   WM,   __,   __,   __,   __,   __,   __,   __,   __,   __,   __]),
    (When::WasAllQuiet,       [__,  __,   __,   __,   __,   __,   __,   __,   __,   __,   __,   __,   __,   __,   __,   __]),
];

/// When the timer of each state of the table is set for.
const TIMER: i64 = 10_000;
/// How often it had rung before.
const RUNG: u32 = 7;
/// When Ann acted.
const ACTED: i64 = 9_000;
/// How long Bob puts it off, in seconds.
const PUT_OFF: u64 = 3_600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn person(number: u128) -> Target {
    Target::User(user(number))
}

fn people(numbers: &[u128]) -> Vec<Target> {
    numbers.iter().copied().map(person).collect()
}

fn bot() -> BotId {
    BotId(Uuid::from_u128(200))
}

fn other(number: u128) -> IncidentId {
    IncidentId(Uuid::from_u128(number))
}

fn act(by: u128, via_bot: bool, at: Timestamp) -> Act {
    Act { by: Agent::Person { user: user(by), via: via_bot.then(bot) }, at }
}

fn incident(plan: Plan, state: State) -> Incident {
    Incident {
        id: other(100),
        reference: "P1HX0C6".parse().expect("a reference"),
        title: "All your apps are down".into(),
        details: Some("503 everywhere".into()),
        links: vec!["https://status.example.com/".into()],
        labels: BTreeMap::new(),
        urgency: Urgency::High,
        opened_by: crate::journal::Actor::Bot { bot: bot(), user: None },
        service: None,
        team: None,
        reports: 2,
        plan,
        state,
        created_at: at(0),
    }
}

const TEMPO: Tempo = Tempo { ring_seconds: 60, acknowledgement_seconds: Some(1_800) };

/// A plan of these steps; the first lasts two minutes, the others one.
fn plan_of(steps: &[&[u128]], last_resort: &[u128]) -> Plan {
    let step =
        |(at, numbers): (usize, &&[u128])| Step { targets: people(numbers), escalate_after: if at == 0 { 120 } else { 60 } };
    Plan::new(steps.iter().enumerate().map(step).collect(), 1, people(last_resort), TEMPO).expect("a plan with people")
}

fn plan() -> Plan {
    plan_of(&[&[ANN, BOB], &[CLEO]], &[EVE])
}

fn place(pass: u32, step: u32) -> Place {
    Place { pass, step }
}

impl Given {
    fn state(self) -> State {
        let (ring, timer_at) = (RUNG, at(TIMER));
        let rings = |place, since| State::Triggered { place, ring, since: at(since), rung_at: Some(at(TIMER - 60)), timer_at };
        let held = |via_bot, snoozed, timer_at| {
            let act = act(ANN, via_bot, at(ACTED));
            State::Acknowledged { act, place: place(0, 1), ring, snoozed, timer_at }
        };
        let over = |via_bot, merged_into| State::Resolved { act: act(ANN, via_bot, at(ACTED)), ring, merged_into };
        match self {
            First => rings(place(0, 0), TIMER - 60),
            FirstEnds => rings(place(0, 0), TIMER - 120),
            EndOfPass => rings(place(0, 1), TIMER - 60),
            EndOfPlan => rings(place(1, 1), TIMER - 60),
            Resort => rings(place(1, 2), TIMER - 6_000),
            Quiet => State::Triggered { place: place(0, 0), ring, since: timer_at, rung_at: None, timer_at },
            Has => held(false, false, Some(timer_at)),
            HeldViaBot => held(true, false, Some(timer_at)),
            HeldForEver => held(false, false, None),
            Snoozed => held(false, true, Some(timer_at)),
            SnoozedViaBot => held(true, true, Some(timer_at)),
            Over => over(false, None),
            OverViaBot => over(true, None),
            OverByItself => {
                let by = Agent::Integration(IntegrationId(Uuid::from_u128(300)));
                State::Resolved { act: Act { by, at: at(ACTED) }, ring, merged_into: None }
            }
            Merged => over(false, Some(other(102))),
            MergedViaBot => over(true, Some(other(102))),
        }
    }

    fn incident(self) -> Incident {
        incident(plan(), self.state())
    }
}

impl When {
    fn event(self, via_bot: bool, now: Timestamp) -> Event {
        let act = act(BOB, via_bot, now);
        let escalated = |to| Event::Escalated { act, to, message: Some("I need some help".into()) };
        match self {
            Self::Takes => Event::Acknowledged(act),
            Self::Ends => Event::Resolved(act),
            Self::PutsOff => Event::Snoozed { act, until: now.after(Duration::from_secs(PUT_OFF)) },
            Self::PutsOffTooShort => Event::Snoozed { act, until: now.after(SNOOZE_LEAST).before(Duration::from_micros(1)) },
            Self::PutsOffTooLong => Event::Snoozed { act, until: now.after(SNOOZE_MOST).after(Duration::from_micros(1)) },
            Self::Merges => Event::Merged { act, into: other(101) },
            Self::MergesWhereItIs => Event::Merged { act, into: other(102) },
            Self::MergesIntoItself => Event::Merged { act, into: other(100) },
            Self::AnnDisowns => Event::Disowned { by: user(ANN) },
            Self::CleoDisowns => Event::Disowned { by: user(CLEO) },
            Self::Escalates => escalated(Vec::new()),
            Self::EscalatesToDora => escalated(people(&[DORA])),
            Self::EscalatesToAnnBob => escalated(people(&[ANN, BOB])),
            Self::EscalatesToAnn => escalated(people(&[ANN])),
            Self::HandsToDora => Event::Reassigned(act, people(&[DORA])),
            Self::AddsDora => Event::ResponderAdded(act, people(&[DORA])),
            Self::AddsAnn => Event::ResponderAdded(act, people(&[ANN])),
            Self::Wakes => Event::Woken(act),
            Self::Quietens => Event::UrgencyChanged(act, Urgency::Low),
            Self::Loudens => Event::UrgencyChanged(act, Urgency::High),
            Self::Reopens | Self::ReopensTooLate => Event::Reopened(act),
            Self::Reported => Event::Retriggered { title: "Worse".into(), details: None },
            Self::RangEarly | Self::RangOnTime => Event::TimerRang,
            Self::Unreachable => Event::NobodyReachable,
            Self::AllQuiet => Event::AllQuiet { until: now.after(Duration::from_secs(PUT_OFF)) },
            Self::WasAllQuiet => Event::AllQuiet { until: now },
        }
    }

    /// What people do they may do before the timer, or when it is due and has not rung yet: the cell is the same.
    fn times(self) -> Vec<Timestamp> {
        let at_latest = at(ACTED).after(REOPEN_WITHIN);
        match self {
            Self::RangEarly => vec![at(TIMER - 30), at(TIMER).before(Duration::from_micros(1))],
            Self::RangOnTime => vec![at(TIMER)],
            Self::Reopens => vec![at(TIMER), at_latest],
            Self::ReopensTooLate => vec![at_latest.after(Duration::from_micros(1))],
            _ => vec![at(TIMER - 30), at(TIMER), at(TIMER + 1)],
        }
    }

    /// Who hands it on with these words, if they do.
    fn handed(self, step: u32) -> Option<Handed> {
        let message = match self {
            Self::Escalates | Self::EscalatesToDora | Self::EscalatesToAnnBob | Self::EscalatesToAnn => {
                Some("I need some help".into())
            }
            Self::HandsToDora => None,
            _ => return None,
        };
        Some(Handed { step, by: user(BOB), message })
    }
}

/// One cell of the table, about to be tried.
struct Cell {
    before: Incident,
    when: When,
    now: Timestamp,
}

impl Cell {
    fn expected(&self, then: Then) -> Result<(Incident, Vec<Effect>), Refusal> {
        let before = &self.before;
        let over = || before.state.act().expect("it is over");
        let stays = |effects| Ok((before.clone(), effects));
        match then {
            Then::Stays => stays(Vec::new()),
            Then::Waits => stays(vec![Effect::WakeAt(at(TIMER))]),
            Then::Sounds(urgency) => Ok((Incident { urgency, ..before.clone() }, Vec::new())),
            Then::Tells => Ok((self.told(), Vec::new())),
            Then::TellsAndRings => Ok(self.rings(self.told(), place(0, 0))),
            Then::Rings(pass, step) => Ok(self.rings(before.clone(), place(pass, step))),
            Then::RingsOn => Ok(self.rings_on()),
            Then::RingsBy(pass, step, steps) => {
                let inserted = plan_of(steps, &[EVE]);
                let plan = self.as_long_as_its_neighbour(&inserted, steps.len(), step);
                Ok(self.rings(Incident { plan, ..before.clone() }, place(pass, step)))
            }
            Then::Joins(who, steps, last_resort) => Ok(self.joins(who, plan_of(steps, last_resort))),
            Then::Taken => Ok(self.held(false, Duration::from_mins(30))),
            Then::PutOff => Ok(self.held(true, Duration::from_secs(PUT_OFF))),
            Then::Ended => Ok(self.over(None)),
            Then::GoesOn if self.when == When::MergesWhereItIs => Ok(self.over(Some(other(102)))),
            Then::GoesOn => Ok(self.over(Some(other(101)))),
            Then::WaitsForMorning => Ok(self.waits_for_morning()),
            Then::NotYours => Err(Refusal::NotYours),
            Then::NotSnoozed => Err(Refusal::NotSnoozed),
            Then::NotASnooze => Err(Refusal::NotASnooze),
            Then::IsOver => Err(Refusal::Resolved(over())),
            Then::IsMerged => Err(Refusal::Merged(other(102))),
            Then::Itself => Err(Refusal::Itself),
            Then::TooOld => Err(Refusal::TooOld(over())),
        }
    }

    /// Whom a place of the table's plans rings: at the last resort Eve, and then everybody of the steps.
    fn targets(plan: &Plan, step: u32) -> Vec<Target> {
        match plan.steps().get(step as usize) {
            Some(step) => step.targets.clone(),
            None => people(&[EVE, ANN, BOB, CLEO]),
        }
    }

    fn rings(&self, mut next: Incident, place: Place) -> (Incident, Vec<Effect>) {
        let (ring, since, timer_at) = (RUNG + 1, self.now, self.now.after(Duration::from_mins(1)));
        next.state = State::Triggered { place, ring, since, rung_at: Some(self.now), timer_at };
        if let Some(handed) = self.when.handed(place.step) {
            next.plan.handed(Some(handed));
        }
        let targets = Self::targets(&next.plan, place.step);
        (next, vec![Effect::Ring { targets, ring, since, rung_at: None }, Effect::WakeAt(timer_at)])
    }

    fn rings_on(&self) -> (Incident, Vec<Effect>) {
        let State::Triggered { place, since, rung_at, .. } = self.before.state else { panic!("it does not ring") };
        let (ring, timer_at) = (RUNG + 1, self.now.after(Duration::from_mins(1)));
        let state = State::Triggered { place, ring, since, rung_at: Some(self.now), timer_at };
        let targets = Self::targets(&self.before.plan, place.step);
        (
            Incident { state, ..self.before.clone() },
            vec![Effect::Ring { targets, ring, since, rung_at }, Effect::WakeAt(timer_at)],
        )
    }

    /// The plan with the step that was put in at `step` lasting as long as the one it was put behind, or in front of.
    fn as_long_as_its_neighbour(&self, plan: &Plan, count: usize, step: u32) -> Plan {
        let lasts = |number: usize| {
            let before = if number < step as usize { number } else { number.saturating_sub(1) };
            self.before.plan.steps()[if number == step as usize { (step as usize).saturating_sub(1) } else { before }]
                .escalate_after
        };
        let steps =
            (0..count).map(|number| Step { targets: plan.steps()[number].targets.clone(), escalate_after: lasts(number) });
        Plan::new(steps.collect(), plan.repeats(), plan.last_resort().to_vec(), TEMPO).expect("people")
    }

    fn joins(&self, who: u128, plan: Plan) -> (Incident, Vec<Effect>) {
        let (state, ring) = match self.before.state {
            State::Acknowledged { act, place, snoozed, timer_at, .. } => {
                (State::Acknowledged { act, place, ring: RUNG + 1, snoozed, timer_at }, RUNG + 1)
            }
            state => (state, RUNG),
        };
        let ring = Effect::Ring { targets: people(&[who]), ring, since: self.now, rung_at: None };
        (Incident { plan, state, ..self.before.clone() }, vec![ring])
    }

    fn held(&self, snoozed: bool, lasts: Duration) -> (Incident, Vec<Effect>) {
        let (act, timer_at) = (act(BOB, false, self.now), self.now.after(lasts));
        let (State::Triggered { place, .. } | State::Acknowledged { place, .. }) = self.before.state else {
            panic!("it is over")
        };
        let state = State::Acknowledged { act, place, ring: RUNG, snoozed, timer_at: Some(timer_at) };
        (Incident { state, ..self.before.clone() }, vec![Effect::Withdraw, Effect::WakeAt(timer_at)])
    }

    fn over(&self, merged_into: Option<IncidentId>) -> (Incident, Vec<Effect>) {
        let state = State::Resolved { act: act(BOB, false, self.now), ring: RUNG, merged_into };
        (Incident { state, ..self.before.clone() }, vec![Effect::Withdraw])
    }

    fn waits_for_morning(&self) -> (Incident, Vec<Effect>) {
        let State::Triggered { place, .. } = self.before.state else { panic!("it does not ring") };
        let until = self.now.after(Duration::from_secs(PUT_OFF));
        let state = State::Triggered { place, ring: RUNG, since: until, rung_at: None, timer_at: until };
        (Incident { state, ..self.before.clone() }, vec![Effect::WakeAt(until)])
    }

    fn told(&self) -> Incident {
        Incident { title: "Worse".into(), reports: 3, ..self.before.clone() }
    }
}

/// What a bot did in Bob's name is as if he had done it, and he is told.
fn through_bot(now: Timestamp, done: (Incident, Vec<Effect>), before: &Incident) -> (Incident, Vec<Effect>) {
    let (mut incident, mut effects) = done;
    if incident != *before || !effects.is_empty() {
        effects.push(Effect::TellActor { user: user(BOB), via: bot() });
    }
    match &mut incident.state {
        State::Acknowledged { act: taken, .. } | State::Resolved { act: taken, .. } if *taken == act(BOB, false, now) => {
            *taken = act(BOB, true, now);
        }
        _ => {}
    }
    (incident, effects)
}

fn is_an_act(event: &Event) -> bool {
    match event {
        Event::Acknowledged(_)
        | Event::Resolved(_)
        | Event::Escalated { .. }
        | Event::Reassigned(..)
        | Event::ResponderAdded(..)
        | Event::Snoozed { .. }
        | Event::Woken(_)
        | Event::Merged { .. }
        | Event::UrgencyChanged(..)
        | Event::Reopened(_) => true,
        Event::Disowned { .. }
        | Event::Retriggered { .. }
        | Event::TimerRang
        | Event::NobodyReachable
        | Event::AllQuiet { .. } => false,
    }
}

#[test]
fn every_state_meets_every_event_as_the_table_says() {
    for (when, row) in TABLE {
        for (given, then) in GIVEN.iter().zip(row) {
            for now in when.times() {
                let cell = Cell { before: given.incident(), when: *when, now };
                let expected = cell.expected(*then);
                let event = when.event(false, now);
                assert_eq!(cell.before.clone().step(event.clone(), now), expected, "{given:?} × {when:?} at {now}");
                if is_an_act(&event) {
                    let expected = expected.map(|done| through_bot(now, done, &cell.before));
                    let via_bot = cell.before.clone().step(when.event(true, now), now);
                    assert_eq!(via_bot, expected, "{given:?} × {when:?} through a bot at {now}");
                }
            }
        }
    }
}

/// A new state or event of the machine does not compile until it is named here, and fails until the table has one.
#[test]
fn the_table_has_every_state_and_event_of_the_machine() {
    let states: std::collections::BTreeSet<_> = GIVEN
        .iter()
        .map(|given| match given.state() {
            State::Triggered { rung_at: Some(_), .. } => 0,
            State::Triggered { rung_at: None, .. } => 1,
            State::Acknowledged { snoozed: false, timer_at: Some(_), .. } => 2,
            State::Acknowledged { snoozed: false, timer_at: None, .. } => 3,
            State::Acknowledged { snoozed: true, .. } => 4,
            State::Resolved { merged_into: None, .. } => 5,
            State::Resolved { merged_into: Some(_), .. } => 6,
        })
        .collect();
    let events: std::collections::BTreeSet<_> = TABLE
        .iter()
        .map(|(when, _)| match when.event(false, at(0)) {
            Event::Acknowledged(_) => 0,
            Event::Resolved(_) => 1,
            Event::Disowned { .. } => 2,
            Event::Escalated { .. } => 3,
            Event::Reassigned(..) => 4,
            Event::ResponderAdded(..) => 5,
            Event::Snoozed { .. } => 6,
            Event::Woken(_) => 7,
            Event::Merged { .. } => 8,
            Event::UrgencyChanged(..) => 9,
            Event::Reopened(_) => 10,
            Event::Retriggered { .. } => 11,
            Event::TimerRang => 12,
            Event::NobodyReachable => 13,
            Event::AllQuiet { .. } => 14,
        })
        .collect();
    assert_eq!((states.len(), events.len()), (7, 15));
    let mut rows: Vec<_> = TABLE.iter().map(|(when, _)| *when as u8).collect();
    rows.dedup();
    assert_eq!(rows, (0..=When::WasAllQuiet as u8).collect::<Vec<_>>(), "a row for each, once");
}

#[test]
fn a_new_incident_rings_the_first_step_and_sets_its_timer() {
    let (state, effects) = Incident::triggered(&plan(), at(100));
    let (since, timer_at) = (at(100), at(160));
    assert_eq!(state, State::Triggered { place: place(0, 0), ring: 1, since, rung_at: Some(since), timer_at });
    let ring = Effect::Ring { targets: people(&[ANN, BOB]), ring: 1, since, rung_at: None };
    assert_eq!(effects, [ring, Effect::WakeAt(timer_at)]);
}

#[test]
fn an_acknowledgement_whose_time_out_is_switched_off_sets_no_timer() {
    let step = Step { targets: people(&[ANN]), escalate_after: 60 };
    let tempo = Tempo { acknowledgement_seconds: None, ..TEMPO };
    let plan = Plan::new(vec![step], 0, Vec::new(), tempo).expect("people");
    let (held, effects) =
        incident(plan, First.state()).step(Event::Acknowledged(act(BOB, false, at(TIMER))), at(TIMER)).expect("taken");
    assert!(matches!(held.state, State::Acknowledged { timer_at: None, .. }), "{:?}", held.state);
    assert_eq!(effects, [Effect::Withdraw]);
}

#[test]
fn what_could_wait_and_then_cannot_rings_at_once_unless_somebody_has_it() {
    let now = at(TIMER - 30);
    let loud = Event::UrgencyChanged(act(BOB, false, now), Urgency::High);
    for given in GIVEN {
        let quiet = Incident { urgency: Urgency::Low, ..given.incident() };
        let before = quiet.state;
        let Ok((after, effects)) = quiet.step(loud.clone(), now) else { continue };
        assert_eq!(after.urgency, Urgency::High);
        match (before, after.state) {
            (State::Triggered { place, .. }, State::Triggered { place: there, ring, since, .. }) => {
                assert_eq!((there, ring, since), (place, RUNG + 1, now), "{given:?}");
                assert!(matches!(effects[..], [Effect::Ring { .. }, Effect::WakeAt(_)]), "{given:?}: {effects:?}");
            }
            _ => assert_eq!((after.state, effects), (before, Vec::new()), "{given:?}"),
        }
    }
}

#[test]
fn putting_off_until_the_same_time_again_is_done_already() {
    let (now, until) = (at(TIMER - 60), at(TIMER));
    let snooze = Event::Snoozed { act: act(BOB, true, now), until };
    assert_eq!(Snoozed.incident().step(snooze, now), Ok((Snoozed.incident(), Vec::new())));
}

#[test]
fn handing_it_to_whom_it_rings_or_to_who_has_it_is_done_already() {
    let now = at(TIMER - 30);
    for (given, to) in
        [(First, people(&[BOB, ANN])), (EndOfPass, people(&[CLEO])), (Has, people(&[ANN])), (HeldForEver, people(&[ANN]))]
    {
        let (next, effects) = given.incident().step(Event::Reassigned(act(BOB, true, now), to), now).expect("no refusal");
        assert_eq!((next, effects), (given.incident(), Vec::new()), "{given:?}");
    }
}

#[test]
fn who_hands_it_on_in_silence_is_remembered_instead_of_what_was_said_before() {
    let now = at(TIMER - 30);
    let said = When::EscalatesToDora.event(false, now);
    let (next, _) = First.incident().step(said, now).expect("handed on");
    assert_eq!(next.plan.handed_to(1).and_then(|handed| handed.message.as_deref()), Some("I need some help"));
    assert_eq!(next.plan.handed_to(0), None);
    let silent = Event::Escalated { act: act(CLEO, false, now), to: Vec::new(), message: None };
    let (next, _) = next.step(silent, now).expect("handed on");
    assert_eq!(next.plan.handed_to(2), Some(&Handed { step: 2, by: user(CLEO), message: None }));
    assert_eq!(next.plan.handed_to(1), None);
}

#[test]
fn handing_on_without_end_makes_a_plan_with_an_end_and_loses_nobody() {
    let mut here = First.incident();
    for number in 1_000..1_300 {
        let now = at(number);
        let to = people(&[u128::try_from(number).expect("positive")]);
        let event = if number % 2 == 0 {
            Event::Escalated { act: act(BOB, false, now), to, message: None }
        } else {
            Event::Reassigned(act(BOB, false, now), to)
        };
        here = here.step(event, now).expect("handed on").0;
    }
    assert_eq!(here.plan.steps().len(), 100);
    let everybody = here.plan.targets(here.plan.resort());
    assert!((1_000..1_300).all(|number| everybody.contains(&person(number))));
}

#[test]
fn a_plan_without_people_is_no_plan() {
    let empty = || Step { targets: Vec::new(), escalate_after: 60 };
    for steps in [vec![], vec![empty()], vec![empty(), empty()]] {
        assert_eq!(Plan::new(steps, 1, Vec::new(), TEMPO), Err(NobodyNamed));
    }
    let stored = r#"{"steps":[],"repeats":0,"last_resort":[],"ring_seconds":60,"acknowledgement_seconds":null}"#;
    assert!(serde_json::from_str::<Plan>(stored).is_err());
}

#[test]
fn a_plan_leaves_out_empty_steps_and_rings_nobody_twice_at_once() {
    let steps = [vec![], vec![BOB, ANN, BOB], vec![], vec![BOB]];
    let steps = steps.iter().map(|numbers| Step { targets: people(numbers), escalate_after: 60 }).collect();
    let plan = Plan::new(steps, 0, people(&[EVE, ANN, EVE]), TEMPO).expect("people");
    assert_eq!(plan.targets(0), people(&[BOB, ANN]));
    assert_eq!(plan.targets(1), people(&[BOB]));
    assert_eq!(plan.targets(2), people(&[EVE, ANN, BOB]), "the last resort rings everybody once");
}

#[test]
fn numbers_below_one_count_as_one() {
    let tempo = |seconds| Tempo { ring_seconds: seconds, acknowledgement_seconds: Some(seconds) };
    let plan =
        |seconds| Plan::new(vec![Step { targets: people(&[ANN]), escalate_after: seconds }], 0, Vec::new(), tempo(seconds));
    assert_eq!(plan(0), plan(1));
}

#[test]
fn a_plan_survives_being_stored_and_so_does_one_of_before() {
    let mut plan = plan();
    plan.handed(Some(Handed { step: 1, by: user(BOB), message: Some("help".into()) }));
    let stored = serde_json::to_value(&plan).expect("JSON");
    assert_eq!(serde_json::from_value::<Plan>(stored).expect("a plan"), plan);
    let before = serde_json::json!({"steps": [[user(ANN)], []], "rings": 3, "ring_seconds": 60, "acknowledgement_seconds": 1800});
    let read = serde_json::from_value::<Plan>(before).expect("a plan");
    assert_eq!(
        read,
        Plan::new(vec![Step { targets: people(&[ANN]), escalate_after: 180 }], 0, Vec::new(), TEMPO).expect("people")
    );
}
