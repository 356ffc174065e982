//! The incident machine.
//!
//! ```text
//!                       TimerRang: ring again, or the next step
//!                       ┌───┐
//!                       ▼   │        Acknowledged
//!   page ──────────► triggered ───────────────────► acknowledged
//!                     ▲    ▲ │  TimerRang (time-out) │  │
//!                     │    └─┼───────────────────────┘  │
//!                     │      │ Resolved        Resolved │
//!            Disowned │      ▼                          ▼
//!                     └── resolved ◄────────────────────┘
//! ```
//!
//! `Disowned` is the answer "not me" of the person a bot acted for; it re-opens an acknowledged incident as well.
//!
//! **Invariants**
//! - `Triggered` and `Acknowledged` carry their next timer, in the future when it is set; there is no other way to wait.
//! - A [`Plan`] always has somebody to ring and time between rings, so every ring rings at people.
//! - Ring numbers only go up: no round is used twice, whatever happens in between.
//! - A timer that rings early is set again; one that rings twice, or for a state that has passed, changes nothing.
//! - Acknowledging never shortens a resolve, and doing what is already done is no error and has no effect.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Reference;
use crate::clock::Timestamp;
use crate::id::{BotId, IncidentId, UserId};

/// Something a human must look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// What people call it: `PIHXOC6`.
    pub reference: Reference,
    /// What is wrong, in a line.
    pub title: String,
    /// More of it.
    pub details: Option<String>,
    /// Where to look.
    pub links: Vec<String>,
    /// How loud.
    pub urgency: Urgency,
    /// Who reported it.
    pub opened_by: crate::journal::Actor,
    /// Who is rung, in which order, how often. Frozen at creation.
    pub plan: Plan,
    /// What became of it.
    pub state: State,
    /// When it was reported.
    pub created_at: Timestamp,
}

/// How loud an incident is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Wakes people.
    #[default]
    High,
    /// Can wait for the morning.
    Low,
}

/// Who is rung, in which order, how often. However it was made, there is somebody to ring and time between rings: a plan without
/// people would be silence, one without time a storm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedPlan")]
pub struct Plan {
    /// The people of each step, each once. At least one step, and none without people.
    steps: Vec<Vec<UserId>>,
    /// How often a step rings before the next one is tried. At least 1.
    rings: u32,
    /// From one ring to the next. At least 1.
    ring_seconds: u32,
    /// Until an acknowledged incident rings again. At least 1.
    acknowledgement_seconds: u32,
}

/// A plan as it is stored.
#[derive(Deserialize)]
struct UncheckedPlan {
    steps: Vec<Vec<UserId>>,
    rings: u32,
    ring_seconds: u32,
    acknowledgement_seconds: u32,
}

/// A plan names nobody who could be rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody is named who could be rung")]
pub struct NobodyNamed;

impl TryFrom<UncheckedPlan> for Plan {
    type Error = NobodyNamed;

    fn try_from(plan: UncheckedPlan) -> Result<Self, NobodyNamed> {
        Self::new(&plan.steps, plan.rings, plan.ring_seconds, plan.acknowledgement_seconds)
    }
}

impl Plan {
    /// The plan that rings `steps` one after the other, each `rings` times, `ring_seconds` apart, and again
    /// `acknowledgement_seconds` after an acknowledgement. A step without people is left out and a person named twice in a step is
    /// rung once. Numbers below 1 count as 1: the configuration refuses them, and a page that got past it is not lost for that.
    ///
    /// # Errors
    /// [`NobodyNamed`] when no step has people.
    pub fn new(steps: &[Vec<UserId>], rings: u32, ring_seconds: u32, acknowledgement_seconds: u32) -> Result<Self, NobodyNamed> {
        let steps: Vec<_> = steps.iter().map(each_once).filter(|step| !step.is_empty()).collect();
        if steps.is_empty() {
            return Err(NobodyNamed);
        }
        let [rings, ring_seconds, acknowledgement_seconds] = [rings, ring_seconds, acknowledgement_seconds].map(|n| n.max(1));
        Ok(Self { steps, rings, ring_seconds, acknowledgement_seconds })
    }

    /// The people of each step, in the order they are tried.
    #[must_use]
    pub fn steps(&self) -> &[Vec<UserId>] {
        &self.steps
    }

    /// How often a step rings before the next one is tried.
    #[must_use]
    pub fn rings(&self) -> u32 {
        self.rings
    }

    /// From one ring to the next.
    #[must_use]
    pub fn ring_every(&self) -> Duration {
        Duration::from_secs(u64::from(self.ring_seconds))
    }

    /// From an acknowledgement to the next ring.
    fn acknowledgement_lasts(&self) -> Duration {
        Duration::from_secs(u64::from(self.acknowledgement_seconds))
    }

    fn last_step(&self) -> u32 {
        u32::try_from(self.steps.len()).unwrap_or(u32::MAX).saturating_sub(1)
    }

    /// Who rings at `step`: its people, and at the last step everybody before them too, for there is nobody left to hand over to.
    fn people(&self, step: u32) -> Vec<UserId> {
        match self.steps.get(step as usize) {
            Some(people) if step < self.last_step() => people.clone(),
            _ => each_once(self.steps.iter().rev().flatten()),
        }
    }
}

fn each_once<'a>(people: impl IntoIterator<Item = &'a UserId>) -> Vec<UserId> {
    let mut once = Vec::new();
    for user in people {
        if !once.contains(user) {
            once.push(*user);
        }
    }
    once
}

/// Who acted on an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    /// The person.
    pub by: UserId,
    /// The bot that said so in their name; none when it was their own phone.
    pub via: Option<BotId>,
    /// When.
    pub at: Timestamp,
}

/// What became of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Ringing.
    Triggered {
        /// Which step of the plan, from 0.
        step: u32,
        /// Which ring of all, from 1: names the round, so that a retry shows once and the next ring shows again.
        ring: u32,
        /// Rings left at this step after this one.
        left: u32,
        /// When it rings next.
        timer_at: Timestamp,
    },
    /// Somebody has it.
    Acknowledged {
        /// Who.
        act: Act,
        /// The rings there were.
        ring: u32,
        /// When it rings again if it is not resolved by then.
        timer_at: Timestamp,
    },
    /// Over.
    Resolved {
        /// By whom.
        act: Act,
        /// The rings there were.
        ring: u32,
    },
}

/// What happens to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Its timer rang.
    TimerRang,
    /// None of the people who were to be rung has a device that can be reached.
    NobodyReachable,
}

/// What has to be done because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ring at these people's phones.
    Ring {
        /// Who.
        users: Vec<UserId>,
        /// Which ring.
        ring: u32,
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
    /// It is over; an acknowledgement comes too late.
    #[error("already resolved")]
    Resolved(Act),
    /// No bot acted in this person's name.
    #[error("nobody acted in your name")]
    NotYours,
}

impl Incident {
    /// What has to be done for a new incident, and the state it starts in.
    #[must_use]
    pub fn triggered(plan: &Plan, now: Timestamp) -> (State, Vec<Effect>) {
        ring(plan, 0, 1, plan.rings - 1, now)
    }

    /// The one way an incident changes.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub fn step(self, event: Event, now: Timestamp) -> Result<(Self, Vec<Effect>), Refusal> {
        let (state, effects) = match (self.state, event) {
            (State::Triggered { ring, .. }, Event::Acknowledged(act)) => acknowledged(&self.plan, act, ring, now),
            (State::Triggered { ring, .. } | State::Acknowledged { ring, .. }, Event::Resolved(act)) => {
                (State::Resolved { act, ring }, told(act, vec![Effect::Withdraw]))
            }
            (State::Triggered { timer_at, .. } | State::Acknowledged { timer_at, .. }, Event::TimerRang) if now < timer_at => {
                (self.state, vec![Effect::WakeAt(timer_at)])
            }
            (State::Triggered { step, ring: rung, left, .. }, Event::TimerRang) if left > 0 => {
                ring(&self.plan, step, rung + 1, left - 1, now)
            }
            (State::Triggered { step, ring: rung, .. }, Event::TimerRang) => self.next_step(step, rung, now),
            (State::Triggered { step, ring: rung, .. }, Event::NobodyReachable) if step < self.plan.last_step() => {
                self.next_step(step, rung, now)
            }
            // Nobody left to hand over to: the timer that is set tries everybody again.
            (State::Triggered { .. }, Event::NobodyReachable) => (self.state, Vec::new()),
            (State::Acknowledged { ring: rung, .. }, Event::TimerRang) => self.again(rung, now),
            (State::Acknowledged { act, ring: rung, .. } | State::Resolved { act, ring: rung }, Event::Disowned { by }) => {
                if act.by != by || act.via.is_none() {
                    return Err(Refusal::NotYours);
                }
                self.again(rung, now)
            }
            (State::Triggered { .. }, Event::Disowned { .. }) => return Err(Refusal::NotYours),
            (State::Resolved { act, .. }, Event::Acknowledged(_)) => return Err(Refusal::Resolved(act)),
            (State::Acknowledged { .. }, Event::Acknowledged(_) | Event::NobodyReachable)
            | (State::Resolved { .. }, Event::Resolved(_) | Event::TimerRang | Event::NobodyReachable) => {
                (self.state, Vec::new())
            }
        };
        Ok((Self { state, ..self }, effects))
    }

    fn next_step(&self, step: u32, rung: u32, now: Timestamp) -> (State, Vec<Effect>) {
        let next = (step + 1).min(self.plan.last_step());
        ring(&self.plan, next, rung + 1, self.plan.rings - 1, now)
    }

    /// From the first step once more.
    fn again(&self, rung: u32, now: Timestamp) -> (State, Vec<Effect>) {
        ring(&self.plan, 0, rung + 1, self.plan.rings - 1, now)
    }
}

fn ring(plan: &Plan, step: u32, ring: u32, left: u32, now: Timestamp) -> (State, Vec<Effect>) {
    let timer_at = now.after(plan.ring_every());
    let effects = vec![Effect::Ring { users: plan.people(step), ring }, Effect::WakeAt(timer_at)];
    (State::Triggered { step, ring, left, timer_at }, effects)
}

fn acknowledged(plan: &Plan, act: Act, ring: u32, now: Timestamp) -> (State, Vec<Effect>) {
    let timer_at = now.after(plan.acknowledgement_lasts());
    (State::Acknowledged { act, ring, timer_at }, told(act, vec![Effect::Withdraw, Effect::WakeAt(timer_at)]))
}

fn told(act: Act, mut effects: Vec<Effect>) -> Vec<Effect> {
    effects.extend(act.via.map(|via| Effect::TellActor { user: act.by, via }));
    effects
}

#[cfg(test)]
mod tests;
