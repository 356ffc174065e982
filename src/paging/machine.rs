//! The incident machine.
//!
//! ```text
//!                    TimerRang: ring again, the next step, the next pass, the last resort
//!                       ┌───┐
//!                       ▼   │        Acknowledged, Snoozed
//!   page ──────────► triggered ───────────────────────► acknowledged
//!                     ▲    ▲ │  TimerRang (time-out), Woken,   │  │
//!                     │    └─┼─ Escalated, Reassigned ─────────┘  │
//!                     │      │ Resolved, Merged   Resolved, Merged│
//!           Disowned, │      ▼                                    ▼
//!           Reopened, └── resolved ◄──────────────────────────────┘
//!           Retriggered
//! ```
//!
//! `Disowned` is the answer "not me" of the person a bot acted for; it re-opens an acknowledged incident as well.
//!
//! **Invariants**
//! - `Triggered` carries its next timer, and so does `Acknowledged` unless its service switched the time-out off: there is no other way
//!   to wait.
//! - Ring numbers only go up: no round is used twice, whatever happens in between.
//! - A timer that rings early is set again; one that rings twice, or for a state that has passed, changes nothing.
//! - Acknowledging never shortens a resolve, and doing what is already done is no error and has no effect.
//! - Handing over never loses whoever was to be rung later: those who were named are put in front of them.

use std::time::Duration;

pub use super::incident::{Act, Agent, Incident, Urgency};
use super::plan::{Handed, Plan, Target, each_once};
use crate::clock::Timestamp;
use crate::id::{BotId, IncidentId, UserId};

/// A place in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// How often the whole plan was walked before, from 0.
    pub pass: u32,
    /// Which step, from 0; the last resort is behind the last.
    pub step: u32,
}

/// The first step of the first pass.
const BEGINNING: Place = Place { pass: 0, step: 0 };

/// What became of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Ringing.
    Triggered {
        /// Where in the plan.
        place: Place,
        /// Which ring of all, from 1: names the round, so that a retry shows once and the next ring shows again.
        ring: u32,
        /// When this step began.
        since: Timestamp,
        /// When it rang last at this step; not yet, while everybody has quiet hours.
        rung_at: Option<Timestamp>,
        /// When it rings next.
        timer_at: Timestamp,
    },
    /// Somebody has it.
    Acknowledged {
        /// Who.
        act: Act,
        /// Where in the plan it was.
        place: Place,
        /// The rings there were.
        ring: u32,
        /// Whether it was put off, rather than taken.
        snoozed: bool,
        /// When it rings again if it is not resolved by then; never, when its service switched that off.
        timer_at: Option<Timestamp>,
    },
    /// Over.
    Resolved {
        /// By whom.
        act: Act,
        /// The rings there were.
        ring: u32,
        /// The incident that goes on in its place.
        merged_into: Option<IncidentId>,
    },
}

impl State {
    /// The rings there were.
    #[must_use]
    pub fn ring(self) -> u32 {
        match self {
            Self::Triggered { ring, .. } | Self::Acknowledged { ring, .. } | Self::Resolved { ring, .. } => ring,
        }
    }

    /// Who acted last, while that holds.
    #[must_use]
    pub fn act(self) -> Option<Act> {
        match self {
            Self::Triggered { .. } => None,
            Self::Acknowledged { act, .. } | Self::Resolved { act, .. } => Some(act),
        }
    }
}

/// What happens to an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody takes it.
    Acknowledged(Act),
    /// Somebody ends it.
    Resolved(Act),
    /// The person a bot acted for says: not me.
    Disowned {
        /// That person.
        by: UserId,
    },
    /// It is handed to the next step, or to these people first.
    Escalated {
        /// By whom.
        act: Act,
        /// To whom; to the next step when nobody is named.
        to: Vec<Target>,
        /// What they are told.
        message: Option<String>,
    },
    /// It is theirs now.
    Reassigned(Act, Vec<Target>),
    /// They are to look as well.
    ResponderAdded(Act, Vec<Target>),
    /// It is put off.
    Snoozed {
        /// By whom.
        act: Act,
        /// Until then.
        until: Timestamp,
    },
    /// It is not put off any longer.
    Woken(Act),
    /// Another incident goes on in its place.
    Merged {
        /// By whom.
        act: Act,
        /// That one.
        into: IncidentId,
    },
    /// It is louder, or quieter, than was thought.
    UrgencyChanged(Act, Urgency),
    /// It was not over.
    Reopened(Act),
    /// An integration reports it again.
    Retriggered {
        /// What it says now.
        title: String,
        /// More of it.
        details: Option<String>,
    },
    /// Its timer rang.
    TimerRang,
    /// None of the people who were to be rung can be reached.
    NobodyReachable,
    /// All of the people who were to be rung have quiet hours, and it can wait.
    AllQuiet {
        /// Until then.
        until: Timestamp,
    },
}

/// What has to be done because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ring at these phones.
    Ring {
        /// Whose.
        targets: Vec<Target>,
        /// Which ring.
        ring: u32,
        /// When their step began, which their notification rules count from.
        since: Timestamp,
        /// When it rang last since then.
        rung_at: Option<Timestamp>,
    },
    /// Ring the timer then.
    WakeAt(Timestamp),
    /// Tell this person that a bot acted in their name.
    TellActor {
        /// The person.
        user: UserId,
        /// The bot.
        via: BotId,
    },
    /// Take it off the phones.
    Withdraw,
}

/// Why an event was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is over; what was asked comes too late.
    #[error("already resolved")]
    Resolved(Act),
    /// No bot acted in this person's name.
    #[error("nobody acted in your name")]
    NotYours,
    /// It is not put off.
    #[error("not snoozed")]
    NotSnoozed,
    /// Another incident goes on in its place.
    #[error("merged into another incident")]
    Merged(IncidentId),
    /// It was resolved longer ago than it can be re-opened.
    #[error("resolved too long ago: page again")]
    TooOld(Act),
    /// An incident cannot go on in its own place.
    #[error("an incident cannot be merged into itself")]
    Itself,
    /// It is put off for too short or too long.
    #[error("an incident is snoozed for 1 minute to 7 days")]
    NotASnooze,
}

/// How long an incident is put off at least.
pub const SNOOZE_LEAST: Duration = Duration::from_secs(60);

/// How long an incident is put off at most.
pub const SNOOZE_MOST: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long what is over can be re-opened.
pub const REOPEN_WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);

type Stepped = Result<(State, Vec<Effect>), Refusal>;

impl Incident {
    /// What has to be done for a new incident, and the state it starts in.
    #[must_use]
    pub fn triggered(plan: &Plan, now: Timestamp) -> (State, Vec<Effect>) {
        begin(plan, BEGINNING, 0, now)
    }

    /// The one way an incident changes.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub fn step(mut self, event: Event, now: Timestamp) -> Result<(Self, Vec<Effect>), Refusal> {
        let (state, effects) = match self.state {
            State::Triggered { place, ring, since, rung_at, timer_at } => {
                self.while_triggered(Ringing { place, ring, since, rung_at, timer_at }, event, now)
            }
            State::Acknowledged { act, place, ring, snoozed, timer_at } => {
                self.while_acknowledged(&Held { act, place, ring, snoozed, timer_at }, event, now)
            }
            State::Resolved { act, ring, merged_into } => self.while_resolved((act, ring, merged_into), event, now),
        }?;
        self.state = state;
        Ok((self, effects))
    }

    fn while_triggered(&mut self, at: Ringing, event: Event, now: Timestamp) -> Stepped {
        let Ringing { place, ring, rung_at, timer_at, .. } = at;
        let stays = (self.state, Vec::new());
        Ok(match event {
            Event::Acknowledged(act) => acknowledged(&self.plan, act, place, ring, now),
            Event::Snoozed { act, until } => snoozed(act, place, ring, until, now)?,
            Event::Resolved(act) => resolved(act, ring, None),
            Event::Merged { act, into } => self.merged(act, ring, into)?,
            Event::TimerRang if now < timer_at => (self.state, vec![Effect::WakeAt(timer_at)]),
            Event::TimerRang => self.rings_on(at, now),
            // Nobody left to hand over to: the timer that is set tries everybody again.
            Event::NobodyReachable if place.step >= self.plan.resort() => stays,
            Event::NobodyReachable => self.skip(place, ring, now),
            Event::AllQuiet { until } if until > now => {
                let state = State::Triggered { place, ring, since: until, rung_at: None, timer_at: until };
                (state, vec![Effect::WakeAt(until)])
            }
            Event::Escalated { to, .. } | Event::Reassigned(_, to)
                if rung_at.is_some() && self.plan.rings_just(place.step, &to) =>
            {
                stays
            }
            Event::Escalated { act, to, message } => self.hand_on(act, place, ring, (&to, message), now),
            Event::Reassigned(act, to) => self.hand_to(act, ring, &to, now),
            Event::ResponderAdded(act, to) => {
                // In the same round: all who ring in it count when nobody of it can be reached.
                let there = if rung_at.is_some() { self.plan.targets(place.step) } else { Vec::new() };
                let targets: Vec<_> = to.into_iter().filter(|target| !there.contains(target)).collect();
                self.join(act, place.step, targets, (self.state, ring), now)
            }
            Event::UrgencyChanged(act, urgency) => self.as_urgent_as(act, urgency, Some(at), now),
            Event::Retriggered { title, details } => {
                self.report(title, details);
                stays
            }
            Event::Disowned { .. } => return Err(Refusal::NotYours),
            Event::AllQuiet { .. } | Event::Reopened(_) | Event::Woken(_) => stays,
        })
    }

    fn while_acknowledged(&mut self, at: &Held, event: Event, now: Timestamp) -> Stepped {
        let Held { act: held, place, ring, snoozed: put_off, timer_at } = *at;
        let stays = (self.state, Vec::new());
        Ok(match event {
            Event::Resolved(act) => resolved(act, ring, None),
            Event::Merged { act, into } => self.merged(act, ring, into)?,
            Event::Snoozed { until, .. } if put_off && timer_at == Some(until) => stays,
            Event::Snoozed { act, until } => snoozed(act, place, ring, until, now)?,
            // Taking what was put off means to look at it now.
            Event::Acknowledged(act) if put_off => acknowledged(&self.plan, act, place, ring, now),
            Event::Woken(act) if put_off => also_told(act, self.again(ring, now)),
            Event::Woken(_) => return Err(Refusal::NotSnoozed),
            Event::TimerRang => match timer_at {
                Some(timer_at) if now < timer_at => (self.state, vec![Effect::WakeAt(timer_at)]),
                Some(_) => self.again(ring, now),
                None => stays,
            },
            Event::Disowned { by } => self.disowned(held, by, ring, now)?,
            Event::Escalated { to, .. } | Event::Reassigned(_, to) if at.is_with(&to) => stays,
            Event::Escalated { act, to, message } => self.hand_on(act, place, ring, (&to, message), now),
            Event::Reassigned(act, to) => self.hand_to(act, ring, &to, now),
            Event::ResponderAdded(act, to) => {
                let targets: Vec<_> = to.into_iter().filter(|target| !at.is_with(&[*target])).collect();
                let ring = ring + u32::from(!targets.is_empty());
                let state = State::Acknowledged { act: held, place, ring, snoozed: put_off, timer_at };
                self.join(act, 0, targets, (state, ring), now)
            }
            Event::UrgencyChanged(act, urgency) => self.as_urgent_as(act, urgency, None, now),
            Event::Retriggered { title, details } => {
                self.report(title, details);
                stays
            }
            Event::Acknowledged(_) | Event::NobodyReachable | Event::AllQuiet { .. } | Event::Reopened(_) => stays,
        })
    }

    fn while_resolved(
        &mut self,
        (over, ring, merged_into): (Act, u32, Option<IncidentId>),
        event: Event,
        now: Timestamp,
    ) -> Stepped {
        let stays = (self.state, Vec::new());
        match (event, merged_into) {
            (Event::Resolved(_) | Event::TimerRang | Event::NobodyReachable | Event::AllQuiet { .. }, _) => Ok(stays),
            (Event::Merged { into, .. }, Some(other)) if into == other => Ok(stays),
            (Event::Disowned { by }, _) => self.disowned(over, by, ring, now),
            (_, Some(other)) => Err(Refusal::Merged(other)),
            (Event::Reopened(_), None) if over.at.until(now) > REOPEN_WITHIN => Err(Refusal::TooOld(over)),
            (Event::Reopened(act), None) => Ok(also_told(act, self.again(ring, now))),
            (Event::Retriggered { title, details }, None) => {
                self.report(title, details);
                Ok(self.again(ring, now))
            }
            (
                Event::Acknowledged(_)
                | Event::Escalated { .. }
                | Event::Reassigned(..)
                | Event::ResponderAdded(..)
                | Event::Snoozed { .. }
                | Event::Woken(_)
                | Event::Merged { .. }
                | Event::UrgencyChanged(..),
                None,
            ) => Err(Refusal::Resolved(over)),
        }
    }

    /// The timer is due.
    fn rings_on(&self, at: Ringing, now: Timestamp) -> (State, Vec<Effect>) {
        let Ringing { place, ring: rung, since, rung_at, .. } = at;
        match (rung_at, self.plan.lasts(place.step)) {
            (None, _) => begin(&self.plan, place, rung, now),
            (Some(_), Some(lasts)) if now >= since.after(lasts) => self.next_step(place, rung, now),
            (Some(_), _) => ring(&self.plan, Ringing { ring: rung + 1, ..at }, now),
        }
    }

    fn next_step(&self, place: Place, rung: u32, now: Timestamp) -> (State, Vec<Effect>) {
        begin(&self.plan, self.plan.after(place), rung, now)
    }

    /// To the next step at once. Whoever could not be reached just now is not tried again pass by pass: the last resort tries everybody.
    fn skip(&self, place: Place, rung: u32, now: Timestamp) -> (State, Vec<Effect>) {
        begin(&self.plan, Place { step: place.step + 1, ..place }, rung, now)
    }

    /// To those who were named, and without any to the next step.
    fn hand_on(
        &mut self,
        act: Act,
        place: Place,
        rung: u32,
        (to, message): (&[Target], Option<String>),
        now: Timestamp,
    ) -> (State, Vec<Effect>) {
        let place = if to.is_empty() {
            self.plan.after(place)
        } else {
            Place { step: self.plan.insert((place.step + 1).min(self.plan.resort()), to), ..place }
        };
        self.plan.handed(act.person().map(|by| Handed { step: place.step, by, message }));
        also_told(act, begin(&self.plan, place, rung, now))
    }

    /// To those who were named, and from there along the plan.
    fn hand_to(&mut self, act: Act, rung: u32, to: &[Target], now: Timestamp) -> (State, Vec<Effect>) {
        let step = self.plan.insert(0, to);
        self.plan.handed(act.person().map(|by| Handed { step, by, message: None }));
        also_told(act, begin(&self.plan, BEGINNING, rung, now))
    }

    /// They look as well, from now on and whenever this step rings.
    fn join(
        &mut self,
        act: Act,
        step: u32,
        targets: Vec<Target>,
        (state, ring): (State, u32),
        now: Timestamp,
    ) -> (State, Vec<Effect>) {
        let targets = each_once(targets);
        if targets.is_empty() {
            return (state, Vec::new());
        }
        self.plan.join(step, &targets);
        also_told(act, (state, vec![Effect::Ring { targets, ring, since: now, rung_at: None }]))
    }

    /// From the first step once more.
    fn again(&self, rung: u32, now: Timestamp) -> (State, Vec<Effect>) {
        begin(&self.plan, BEGINNING, rung, now)
    }

    fn disowned(&self, act: Act, by: UserId, rung: u32, now: Timestamp) -> Stepped {
        match act.through_bot() {
            Some((user, _)) if user == by => Ok(self.again(rung, now)),
            _ => Err(Refusal::NotYours),
        }
    }

    fn merged(&self, act: Act, ring: u32, into: IncidentId) -> Stepped {
        if into == self.id { Err(Refusal::Itself) } else { Ok(resolved(act, ring, Some(into))) }
    }

    /// What can wait and then cannot rings at once, unless somebody has it.
    fn as_urgent_as(&mut self, act: Act, urgency: Urgency, ringing: Option<Ringing>, now: Timestamp) -> (State, Vec<Effect>) {
        if urgency == self.urgency {
            return (self.state, Vec::new());
        }
        self.urgency = urgency;
        let next = match ringing {
            Some(at) if urgency == Urgency::High => begin(&self.plan, at.place, at.ring, now),
            _ => (self.state, Vec::new()),
        };
        also_told(act, next)
    }

    fn report(&mut self, title: String, details: Option<String>) {
        self.title = title;
        self.details = details.or(self.details.take());
        self.reports = self.reports.saturating_add(1);
    }
}

/// [`State::Triggered`], by name.
#[derive(Clone, Copy)]
struct Ringing {
    place: Place,
    ring: u32,
    since: Timestamp,
    rung_at: Option<Timestamp>,
    timer_at: Timestamp,
}

/// [`State::Acknowledged`], by name.
struct Held {
    act: Act,
    place: Place,
    ring: u32,
    snoozed: bool,
    timer_at: Option<Timestamp>,
}

impl Held {
    /// Whether these are just whoever looks at it now.
    fn is_with(&self, to: &[Target]) -> bool {
        !self.snoozed && self.act.person().is_some_and(|user| to == [Target::User(user)])
    }
}

/// The first ring at a place.
fn begin(plan: &Plan, place: Place, rung: u32, now: Timestamp) -> (State, Vec<Effect>) {
    ring(plan, Ringing { place, ring: rung + 1, since: now, rung_at: None, timer_at: now }, now)
}

fn ring(plan: &Plan, at: Ringing, now: Timestamp) -> (State, Vec<Effect>) {
    let Ringing { place, ring, since, rung_at, .. } = at;
    let next = now.after(plan.ring_every());
    let timer_at = plan.lasts(place.step).map_or(next, |lasts| next.min(since.after(lasts)));
    let effects = vec![Effect::Ring { targets: plan.targets(place.step), ring, since, rung_at }, Effect::WakeAt(timer_at)];
    (State::Triggered { place, ring, since, rung_at: Some(now), timer_at }, effects)
}

fn acknowledged(plan: &Plan, act: Act, place: Place, ring: u32, now: Timestamp) -> (State, Vec<Effect>) {
    let timer_at = plan.acknowledgement_lasts().map(|lasts| now.after(lasts));
    let effects = std::iter::once(Effect::Withdraw).chain(timer_at.map(Effect::WakeAt)).collect();
    (State::Acknowledged { act, place, ring, snoozed: false, timer_at }, told(act, effects))
}

fn snoozed(act: Act, place: Place, ring: u32, until: Timestamp, now: Timestamp) -> Stepped {
    if until < now.after(SNOOZE_LEAST) || until > now.after(SNOOZE_MOST) {
        return Err(Refusal::NotASnooze);
    }
    let effects = told(act, vec![Effect::Withdraw, Effect::WakeAt(until)]);
    Ok((State::Acknowledged { act, place, ring, snoozed: true, timer_at: Some(until) }, effects))
}

fn resolved(act: Act, ring: u32, merged_into: Option<IncidentId>) -> (State, Vec<Effect>) {
    (State::Resolved { act, ring, merged_into }, told(act, vec![Effect::Withdraw]))
}

fn told(act: Act, mut effects: Vec<Effect>) -> Vec<Effect> {
    effects.extend(act.through_bot().map(|(user, via)| Effect::TellActor { user, via }));
    effects
}

fn also_told(act: Act, (state, effects): (State, Vec<Effect>)) -> (State, Vec<Effect>) {
    (state, told(act, effects))
}

#[cfg(test)]
mod tests;
