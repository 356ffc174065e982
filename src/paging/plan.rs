//! Who is rung for an incident, in which order, how often: a copy of the escalation policy that the incident began with, which people
//! change as they hand it over.
//!
//! **Invariants**
//! - A plan always has somebody to ring and time between rings: one without people would be silence, one without time a storm.
//! - Behind the last step is the last resort, at which everybody rings, for ever.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::machine::Place;
use crate::id::{ScheduleId, TeamId, UserId};

/// Whom a step rings: known only when it does, for shifts change hands and teams their members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A person.
    User(UserId),
    /// Everybody of a team.
    Team(TeamId),
    /// Whoever is on call then.
    Schedule(ScheduleId),
}

/// A text that is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected usr_…, team_… or sch_…")]
pub struct NotATarget;

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Team(id) => id.fmt(f),
            Self::Schedule(id) => id.fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = NotATarget;

    fn from_str(text: &str) -> Result<Self, NotATarget> {
        let user = text.parse().map(Self::User);
        user.or_else(|_| text.parse().map(Self::Team)).or_else(|_| text.parse().map(Self::Schedule)).map_err(|_| NotATarget)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One step of a plan. Never without targets, as a plan has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Whom it rings, each once.
    pub targets: Vec<Target>,
    /// Seconds until the next step is tried. At least 1.
    pub escalate_after: u32,
}

/// Who is rung, in which order, how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Plan {
    steps: Vec<Step>,
    repeats: u32,
    last_resort: Vec<Target>,
    ring_seconds: u32,
    acknowledgement_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handed: Option<Handed>,
}

/// Who handed an incident on, and what they said to whoever is rung because of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    /// The step it was handed to.
    pub step: u32,
    /// Who handed it on.
    pub by: UserId,
    /// What they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How fast an incident rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tempo {
    /// Seconds from one ring to the next. At least 1.
    pub ring_seconds: u32,
    /// Seconds until an acknowledged incident rings again; never, when its service switched that off.
    pub acknowledgement_seconds: Option<u32>,
}

/// A plan names nobody who could be rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody is named who could be rung")]
pub struct NobodyNamed;

/// A plan as it is stored, now and before there were escalation policies.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Now {
        steps: Vec<Step>,
        repeats: u32,
        last_resort: Vec<Target>,
        ring_seconds: u32,
        acknowledgement_seconds: Option<u32>,
        #[serde(default)]
        handed: Option<Handed>,
    },
    Before {
        steps: Vec<Vec<UserId>>,
        rings: u32,
        ring_seconds: u32,
        acknowledgement_seconds: u32,
    },
}

impl TryFrom<Stored> for Plan {
    type Error = NobodyNamed;

    fn try_from(stored: Stored) -> Result<Self, NobodyNamed> {
        match stored {
            Stored::Now { steps, repeats, last_resort, ring_seconds, acknowledgement_seconds, handed } => {
                let plan = Self::new(steps, repeats, last_resort, Tempo { ring_seconds, acknowledgement_seconds })?;
                Ok(Self { handed, ..plan })
            }
            Stored::Before { steps, rings, ring_seconds, acknowledgement_seconds } => {
                let escalate_after = rings.max(1).saturating_mul(ring_seconds.max(1));
                let step = |people: Vec<UserId>| Step { targets: people.into_iter().map(Target::User).collect(), escalate_after };
                let tempo = Tempo { ring_seconds, acknowledgement_seconds: Some(acknowledgement_seconds) };
                Self::new(steps.into_iter().map(step).collect(), 0, Vec::new(), tempo)
            }
        }
    }
}

impl Plan {
    /// The plan that walks `steps` and then `repeats` times more, and rings everybody and `last_resort` behind that. A step without
    /// targets is left out and a target named twice in a step is rung once. Numbers below 1 count as 1: whoever sets them is told,
    /// and a page that got past it is not lost for that.
    ///
    /// # Errors
    /// [`NobodyNamed`] when nobody is named anywhere.
    pub fn new(steps: Vec<Step>, repeats: u32, last_resort: Vec<Target>, tempo: Tempo) -> Result<Self, NobodyNamed> {
        let made =
            steps.into_iter().map(|step| Step { targets: each_once(step.targets), escalate_after: step.escalate_after.max(1) });
        let mut steps: Vec<_> = made.filter(|step| !step.targets.is_empty()).collect();
        let (last_resort, ring_seconds) = (each_once(last_resort), tempo.ring_seconds.max(1));
        if steps.is_empty() {
            if last_resort.is_empty() {
                return Err(NobodyNamed);
            }
            steps.push(Step { targets: last_resort.clone(), escalate_after: ring_seconds });
        }
        let acknowledgement_seconds = tempo.acknowledgement_seconds.map(|seconds| seconds.max(1));
        Ok(Self { steps, repeats, last_resort, ring_seconds, acknowledgement_seconds, handed: None })
    }

    /// The steps, in the order they are tried.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How often the steps are walked once more.
    #[must_use]
    pub fn repeats(&self) -> u32 {
        self.repeats
    }

    /// Who is always there.
    #[must_use]
    pub fn last_resort(&self) -> &[Target] {
        &self.last_resort
    }

    /// From one ring to the next.
    #[must_use]
    pub fn ring_every(&self) -> Duration {
        Duration::from_secs(u64::from(self.ring_seconds))
    }

    /// From an acknowledgement to the next ring.
    pub(super) fn acknowledgement_lasts(&self) -> Option<Duration> {
        self.acknowledgement_seconds.map(|seconds| Duration::from_secs(u64::from(seconds)))
    }

    /// The number of the last resort, which is behind the last step.
    pub(super) fn resort(&self) -> u32 {
        u32::try_from(self.steps.len()).unwrap_or(u32::MAX)
    }

    /// How long a step is tried; for ever at the last resort.
    pub(super) fn lasts(&self, step: u32) -> Option<Duration> {
        self.steps.get(step as usize).map(|step| Duration::from_secs(u64::from(step.escalate_after)))
    }

    /// Whom a step rings. At the last resort there is nobody left to hand over to: everybody.
    #[must_use]
    pub fn targets(&self, step: u32) -> Vec<Target> {
        match self.steps.get(step as usize) {
            Some(step) => step.targets.clone(),
            None => each_once(self.last_resort.iter().chain(self.steps.iter().flat_map(|step| &step.targets)).copied()),
        }
    }

    /// Rings these too at a step.
    pub(super) fn join(&mut self, step: u32, targets: &[Target]) {
        let there = match self.steps.get_mut(step as usize) {
            Some(step) => &mut step.targets,
            None => &mut self.last_resort,
        };
        *there = each_once(there.drain(..).chain(targets.iter().copied()).collect::<Vec<_>>());
    }

    /// Puts a step of these in front of step number `at`, as long as the one before it; its number. When it was handed on so often that
    /// there are very many steps, they are rung with that step.
    pub(super) fn insert(&mut self, at: u32, targets: &[Target]) -> u32 {
        let place = (at as usize).min(self.steps.len());
        if self.steps.len() >= MOST_STEPS {
            self.join(at, targets);
            return at;
        }
        let neighbour = &self.steps[place.saturating_sub(1)];
        let step = Step { targets: each_once(targets.iter().copied()), escalate_after: neighbour.escalate_after };
        self.steps.insert(place, step);
        at
    }

    /// Remembers who handed it on; nobody, when it goes on by itself.
    pub(super) fn handed(&mut self, handed: Option<Handed>) {
        self.handed = handed;
    }

    /// Who handed it to a step, unless it came there by itself.
    #[must_use]
    pub fn handed_to(&self, step: u32) -> Option<&Handed> {
        self.handed.as_ref().filter(|handed| handed.step == step)
    }

    /// Whether a step rings these and nobody else.
    pub(super) fn rings_just(&self, step: u32, targets: &[Target]) -> bool {
        let there = self.targets(step);
        there.iter().all(|target| targets.contains(target)) && targets.iter().all(|target| there.contains(target))
    }

    /// Where it goes on from a place: the next step, the next pass, and then the last resort.
    pub(super) fn after(&self, place: Place) -> Place {
        let next = place.step.saturating_add(1);
        if next < self.resort() {
            Place { step: next, ..place }
        } else if next == self.resort() && place.pass < self.repeats {
            Place { pass: place.pass + 1, step: 0 }
        } else {
            Place { step: self.resort(), ..place }
        }
    }
}

/// How many steps handing on may make.
const MOST_STEPS: usize = 100;

pub(super) fn each_once(targets: impl IntoIterator<Item = Target>) -> Vec<Target> {
    let mut once = Vec::new();
    for target in targets {
        if !once.contains(&target) {
            once.push(target);
        }
    }
    once
}
