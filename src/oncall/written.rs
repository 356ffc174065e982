//! A schedule as people write it down: TOML.

use std::str::FromStr as _;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    zone: String,
    layers: Vec<WrittenLayer>,
    #[serde(default)]
    overrides: Vec<WrittenOverride>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLayer {
    name: String,
    people: Vec<String>,
    shift: String,
    first: String,
    #[serde(default)]
    hours: Vec<String>,
    until: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenOverride {
    who: String,
    from: String,
    until: String,
    instead_of: Option<String>,
}

/// The schedule that a text describes; times without an offset are by the wall clock of its zone.
///
/// # Errors
/// [`NotASchedule`], naming the key.
pub fn read(text: &str) -> Result<Schedule<String>, NotASchedule> {
    let written: Written = toml::from_str(text).map_err(|error| NotASchedule::Toml(Box::new(error)))?;
    let zone = TimeZone::get(&written.zone).map_err(|_| wrong("zone", "is not a time zone like \"Europe/Paris\""))?;
    if written.layers.is_empty() {
        return Err(wrong("layers", "is empty: nobody would ever be on call"));
    }
    let layers = written.layers.into_iter().enumerate().map(|(place, layer)| layer.read(&format!("layers[{place}]")));
    let layers = layers.collect::<Result<_, _>>()?;
    let overrides = written.overrides.into_iter().enumerate();
    let overrides = overrides.map(|(place, over)| over.read(&format!("overrides[{place}]"), &zone)).collect::<Result<_, _>>()?;
    Ok(Schedule { zone, layers, overrides })
}

fn wrong(key: &str, why: impl std::fmt::Display) -> NotASchedule {
    NotASchedule::Key { key: key.to_owned(), why: format!("{why}") }
}

fn wall(key: &str, text: &str) -> Result<DateTime, NotASchedule> {
    text.parse().map_err(|_| wrong(key, "is not a time like 2026-11-23T09:00"))
}

/// With an offset as it says, without by the wall clock.
fn time(key: &str, text: &str, zone: &TimeZone) -> Result<Timestamp, NotASchedule> {
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
        let (from, until) = (time(&key("from"), &self.from, zone)?, time(&key("until"), &self.until, zone)?);
        let span = Span::new(from, until).ok_or_else(|| wrong(&key("until"), "is not after its beginning"))?;
        Ok(Override { who: self.who, span, instead_of: self.instead_of })
    }
}
