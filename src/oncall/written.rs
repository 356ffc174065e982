//! A schedule as people write it down: TOML.

use std::str::FromStr as _;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::hours::Hours;
use super::rotation::{Length, Rotation};
use super::schedule::{Layer, Override, Schedule, Span, instant};
use crate::clock::Timestamp;

/// A text that is no schedule.
#[derive(Debug, thiserror::Error)]
pub enum NotASchedule {
    /// It is no TOML, or has a key that schedules do not have; says line and column.
    #[error("{0}")]
    Toml(Box<toml::de::Error>),
    /// A key holds what it cannot mean.
    #[error("{key}: {why}")]
    Key {
        /// Which: `layers[0].shift`.
        key: String,
        /// Why.
        why: String,
    },
}

/// A schedule as people write it down, its texts not yet looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Whose it is, by name.
    #[serde(default)]
    pub team: Option<String>,
    /// The zone whose wall clock counts.
    pub zone: String,
    /// The lowest first.
    pub layers: Vec<WrittenLayer>,
    /// Later ones win.
    #[serde(default)]
    pub overrides: Vec<WrittenOverride>,
}

/// A rotation that covers some of the time, as people write it down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WrittenLayer {
    /// What people call it.
    pub name: String,
    /// Who takes turns, in order.
    pub people: Vec<String>,
    /// How long a turn is: `1 week`, `2 days`, `12 hours`.
    pub shift: String,
    /// When the first turn begins, by the wall clock: `2026-11-23T09:00`. Also the time of every hand-over.
    pub first: String,
    /// The hours of the week it covers, like `mon-fri 09:00-18:00`; all of them when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<String>,
    /// When it ends, by the wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// Somebody who takes the pager for a while, as people write it down.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenOverride {
    /// Who.
    pub who: String,
    /// From when.
    pub from: String,
    /// Until when.
    pub until: String,
    /// In whose place alone.
    pub instead_of: Option<String>,
}

impl Written {
    /// The TOML of a schedule.
    ///
    /// # Errors
    /// [`NotASchedule::Toml`].
    pub fn parse(text: &str) -> Result<Self, NotASchedule> {
        toml::from_str(text).map_err(|error| NotASchedule::Toml(Box::new(error)))
    }
}

/// The schedule that a text describes; times without an offset are by the wall clock of its zone.
///
/// # Errors
/// [`NotASchedule`], naming the key.
pub fn read(text: &str) -> Result<Schedule<String>, NotASchedule> {
    let written = Written::parse(text)?;
    let mut schedule = layered(&written.zone, written.layers)?;
    for (place, over) in written.overrides.into_iter().enumerate() {
        schedule.overrides.push(over.read(&format!("overrides[{place}]"), &schedule.zone)?);
    }
    Ok(schedule)
}

/// The schedule of these layers, in the zone of that name; without overrides.
///
/// # Errors
/// [`NotASchedule`], naming the key.
pub fn layered(zone: &str, layers: Vec<WrittenLayer>) -> Result<Schedule<String>, NotASchedule> {
    let zone = self::zone(zone)?;
    if layers.is_empty() {
        return Err(wrong("layers", "is empty: nobody would ever be on call"));
    }
    let layers = layers.into_iter().enumerate().map(|(place, layer)| layer.read(&format!("layers[{place}]")));
    Ok(Schedule { zone, layers: layers.collect::<Result<_, _>>()?, overrides: Vec::new() })
}

/// The time zone of that name.
///
/// # Errors
/// [`NotASchedule`] about `zone`.
pub fn zone(name: &str) -> Result<TimeZone, NotASchedule> {
    TimeZone::get(name).map_err(|_| wrong("zone", "is not a time zone like \"Europe/Paris\""))
}

fn wrong(key: &str, why: impl std::fmt::Display) -> NotASchedule {
    NotASchedule::Key { key: key.to_owned(), why: format!("{why}") }
}

fn wall(key: &str, text: &str) -> Result<DateTime, NotASchedule> {
    text.parse().map_err(|_| wrong(key, "is not a time like 2026-11-23T09:00"))
}

/// The instant that a text says: with an offset as it says, without by the wall clock.
///
/// # Errors
/// [`NotASchedule`] about `key`.
pub fn moment(key: &str, text: &str, zone: &TimeZone) -> Result<Timestamp, NotASchedule> {
    match text.parse::<jiff::Timestamp>() {
        Ok(at) => Ok(Timestamp::from_micros(at.as_microsecond())),
        Err(_) => Ok(instant(zone, wall(key, text)?)),
    }
}

impl WrittenLayer {
    fn read(self, at: &str) -> Result<Layer<String>, NotASchedule> {
        let key = |name: &str| format!("{at}.{name}");
        if self.people.is_empty() {
            return Err(wrong(&key("people"), "is empty: nobody would take turns"));
        }
        let length = Length::from_str(&self.shift).map_err(|error| wrong(&key("shift"), error))?;
        let first = wall(&key("first"), &self.first)?;
        let hours = Hours::parse(self.hours.iter().map(String::as_str));
        let hours = hours.map_err(|(place, error)| wrong(&key(&format!("hours[{place}]")), error))?;
        let until = self.until.map(|until| wall(&key("until"), &until)).transpose()?;
        if until.is_some_and(|until| until <= first) {
            return Err(wrong(&key("until"), "is not after the first turn"));
        }
        Ok(Layer { name: self.name, rotation: Rotation { people: self.people, length, first }, hours, until })
    }
}

impl WrittenOverride {
    fn read(self, at: &str, zone: &TimeZone) -> Result<Override<String>, NotASchedule> {
        let key = |name: &str| format!("{at}.{name}");
        let (from, until) = (moment(&key("from"), &self.from, zone)?, moment(&key("until"), &self.until, zone)?);
        let span = Span::new(from, until).ok_or_else(|| wrong(&key("until"), "is not after its beginning"))?;
        Ok(Override { who: self.who, span, instead_of: self.instead_of })
    }
}
