//! How a person wants to be paged: by which way after how long, when it can wait for the morning, and about what at all.
//!
//! ```text
//!   a ring ──► wanted? ──► quiet hours? ──► due? ──► push, loud push, e-mail
//!                │ no          │ yes          │ nothing: it was told, or will be
//!                ▼             ▼
//!            passed over   put off           (neither for what is urgent at the last resort)
//! ```
//!
//! What is here is pure, but for [`service`] and [`store`].
//!
//! **Invariants**
//! - What is urgent has a push at once: no rules make a page that nobody hears.
//! - What a rule needs to know and an incident does not say never keeps it from a person: a page that names people, and no service, is
//!   judged by its urgency alone.
//! - Whoever has said nothing has the defaults, which are those of [`Rules::default`].

mod service;
pub(super) mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::machine::Urgency;
use crate::clock::Timestamp;
use crate::identity::Handle;
use crate::oncall::Hours;

/// A person's paging rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// For incidents that wake people. Has a push at once.
    pub high: Urge,
    /// For incidents that can wait for the morning.
    pub low: Urge,
    /// When nothing of low urgency is told; none when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<QuietHours>,
    /// Page me only for what any of these fits; for everything when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub only: Vec<Only>,
}

/// What is done about incidents of one urgency, counted from when the step began that rings the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Urge {
    /// What, and when; 1 to 10.
    #[schemars(length(min = 1, max = 10))]
    pub ways: Vec<After>,
    /// Minutes from one push to its repetition, until somebody acknowledges; 0 repeats it at every ring of the incident.
    #[serde(default)]
    #[schemars(range(max = 60))]
    pub repeat_minutes: u32,
    /// Not repeated at all.
    #[serde(default)]
    pub once: bool,
}

/// One way, after so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct After {
    /// Minutes after the step began; looked at whenever the incident rings.
    #[serde(default)]
    #[schemars(range(max = 240))]
    pub after_minutes: u32,
    /// How.
    pub way: Way,
}

/// How a person is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A push that wakes nobody.
    Push,
    /// A push that wakes, and is followed until a phone says that it came.
    Loud,
    /// An e-mail.
    Email,
}

/// Hours of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// The zone whose wall clock counts, like `Europe/Paris`.
    #[schemars(length(max = 64))]
    pub zone: String,
    /// `mon-fri 22:00-07:00`, `sat 00:00 - mon 07:00`; 1 to 20.
    #[schemars(length(min = 1, max = 20))]
    pub hours: Vec<String>,
}

/// What an incident has to be. What is left out is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Only {
    /// Of any of these teams.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub teams: Vec<Handle>,
    /// Of any of these services.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub services: Vec<Handle>,
    /// Of this urgency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urgency: Option<Urgency>,
    /// With all of these labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 20))]
    pub labels: BTreeMap<String, String>,
}

impl Default for Rules {
    /// High: a loud push at every ring, and an e-mail after five minutes. Low: one quiet push.
    fn default() -> Self {
        let after = |after_minutes, way| After { after_minutes, way };
        Self {
            high: Urge { ways: vec![after(0, Way::Loud), after(5, Way::Email)], repeat_minutes: 0, once: false },
            low: Urge { ways: vec![after(0, Way::Push)], repeat_minutes: 0, once: true },
            quiet_hours: None,
            only: Vec::new(),
        }
    }
}

/// Rules that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Invalid {
    /// Which member: `high.ways[0].after_minutes`.
    pub field: String,
    /// Why.
    pub why: &'static str,
}

fn invalid(field: impl Into<String>, why: &'static str) -> Result<(), Invalid> {
    Err(Invalid { field: field.into(), why })
}

impl Rules {
    /// Whether they can be kept to.
    ///
    /// # Errors
    /// [`Invalid`], which names the member.
    pub fn check(&self) -> Result<(), Invalid> {
        self.high.check("high")?;
        self.low.check("low")?;
        if !self.high.ways.iter().any(|after| after.after_minutes == 0 && after.way != Way::Email) {
            return invalid("high.ways", "must have a push after 0 minutes: what is urgent is told at once");
        }
        self.quiet_hours.as_ref().map_or(Ok(()), QuietHours::check)?;
        if self.only.len() > 20 {
            return invalid("only", "may be at most 20");
        }
        self.only.iter().enumerate().try_for_each(|(at, only)| only.check(&format!("only[{at}]")))
    }

    fn of(&self, urgency: Urgency) -> &Urge {
        match urgency {
            Urgency::High => &self.high,
            Urgency::Low => &self.low,
        }
    }

    /// How long a push is of use: until it is repeated.
    #[must_use]
    pub fn lasts(&self, urgency: Urgency, ring_every: Duration) -> Duration {
        let urge = self.of(urgency);
        if urge.once { TOLD_ONCE } else { ring_every.max(minutes(urge.repeat_minutes)) }
    }
}

/// For how long a push that is not repeated waits for a phone that is off.
const TOLD_ONCE: Duration = Duration::from_hours(12);

impl Urge {
    fn check(&self, field: &str) -> Result<(), Invalid> {
        if self.ways.is_empty() || self.ways.len() > 10 {
            return invalid(format!("{field}.ways"), "must be 1 to 10");
        }
        if let Some(at) = self.ways.iter().position(|after| after.after_minutes > 240) {
            return invalid(format!("{field}.ways[{at}].after_minutes"), "may be at most 240");
        }
        if self.repeat_minutes > 60 {
            return invalid(format!("{field}.repeat_minutes"), "may be at most 60");
        }
        Ok(())
    }

    /// The loudest push that has begun, and when the first did.
    fn begun(&self, elapsed: Duration) -> Option<(Loudness, Duration)> {
        let pushes = self.ways.iter().filter(|after| minutes(after.after_minutes) <= elapsed);
        let pushes = pushes.filter_map(|after| after.way.loudness().map(|loudness| (loudness, minutes(after.after_minutes))));
        pushes.reduce(|one, other| (one.0.max(other.0), one.1.min(other.1)))
    }
}

impl QuietHours {
    fn check(&self) -> Result<(), Invalid> {
        if TimeZone::get(&self.zone).is_err() {
            return invalid("quiet_hours.zone", "is not a time zone like \"Europe/Paris\"");
        }
        if self.hours.is_empty() || self.hours.len() > 20 {
            return invalid("quiet_hours.hours", "must be 1 to 20");
        }
        match Hours::parse(self.hours.iter().map(String::as_str)) {
            Ok(_) => Ok(()),
            Err((at, _)) => invalid(
                format!("quiet_hours.hours[{at}]"),
                "are not hours like \"mon-fri 22:00-07:00\" or \"sat 00:00 - mon 07:00\"",
            ),
        }
    }
}

impl Only {
    fn check(&self, field: &str) -> Result<(), Invalid> {
        if self == &Self::default() {
            return invalid(field, "asks for nothing: say which teams, services, urgency or labels");
        }
        for (name, length) in [("teams", self.teams.len()), ("services", self.services.len())] {
            if length > 50 {
                return invalid(format!("{field}.{name}"), "may be at most 50");
            }
        }
        if self.labels.len() > 20 || self.labels.iter().any(|(name, value)| name.len() > 200 || value.len() > 1000) {
            return invalid(format!("{field}.labels"), "may be at most 20, of at most 200 and 1000 bytes");
        }
        Ok(())
    }

    fn fits(&self, facts: &Facts<'_>) -> bool {
        let among = |names: &[Handle], name: Option<&Handle>| names.is_empty() || name.is_some_and(|name| names.contains(name));
        let loud = self.urgency.is_none_or(|urgency| urgency == facts.urgency);
        let Some(service) = facts.service else { return loud };
        let labelled = self.labels.iter().all(|(name, value)| facts.labels.get(name) == Some(value));
        loud && labelled && among(&self.services, Some(service)) && among(&self.teams, facts.team)
    }
}

/// How loud a push is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loudness {
    /// Wakes nobody.
    Quiet,
    /// Wakes, and is followed.
    Loud,
}

impl Way {
    fn loudness(self) -> Option<Loudness> {
        match self {
            Self::Push => Some(Loudness::Quiet),
            Self::Loud => Some(Loudness::Loud),
            Self::Email => None,
        }
    }
}

/// What is due for a person at a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// A push.
    pub push: Option<Loudness>,
    /// An e-mail.
    pub email: bool,
}

impl Due {
    /// Whether that is nothing: it was told, or will be.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

fn minutes(minutes: u32) -> Duration {
    Duration::from_secs(60 * u64::from(minutes))
}

/// What is due at a ring `elapsed` after the step began, when the ring before it was `before` after that; none for the step's first.
#[must_use]
pub fn due(rules: &Rules, urgency: Urgency, before: Option<Duration>, elapsed: Duration) -> Due {
    let urge = rules.of(urgency);
    let is_new = |after: &&After| {
        let after = minutes(after.after_minutes);
        after <= elapsed && before.is_none_or(|before| after > before)
    };
    let fresh: Vec<Way> = urge.ways.iter().filter(is_new).map(|after| after.way).collect();
    let push = fresh.iter().filter_map(|way| way.loudness()).max();
    Due { push: push.or_else(|| repeated(urge, before?, elapsed)), email: fresh.contains(&Way::Email) }
}

/// The push that is repeated at this ring.
fn repeated(urge: &Urge, before: Duration, elapsed: Duration) -> Option<Loudness> {
    let (loudness, first) = urge.begun(before).filter(|_| !urge.once)?;
    let Some(every) = Some(minutes(urge.repeat_minutes)).filter(|every| !every.is_zero()) else { return Some(loudness) };
    let turns = |at: Duration| at.saturating_sub(first).as_micros() / every.as_micros();
    (turns(elapsed) > turns(before)).then_some(loudness)
}

/// The end of the quiet hours that `now` is in, for what can wait; none for what cannot.
#[must_use]
pub fn quiet_until(rules: &Rules, urgency: Urgency, now: Timestamp) -> Option<Timestamp> {
    let quiet = rules.quiet_hours.as_ref().filter(|_| urgency == Urgency::Low)?;
    let zone = TimeZone::get(&quiet.zone).ok()?;
    let hours = Hours::parse(quiet.hours.iter().map(String::as_str)).ok()??;
    hours.covering(&zone, now).map(|span| span.until)
}

/// What a filter knows of an incident.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What breaks; none when people are paged and no service is named.
    pub service: Option<&'a Handle>,
    /// Whose it is.
    pub team: Option<&'a Handle>,
    /// How loud.
    pub urgency: Urgency,
    /// What it is about.
    pub labels: &'a BTreeMap<String, String>,
}

/// Whether a person wants to be paged for it.
#[must_use]
pub fn wanted(rules: &Rules, facts: &Facts<'_>) -> bool {
    rules.only.is_empty() || rules.only.iter().any(|only| only.fits(facts))
}
