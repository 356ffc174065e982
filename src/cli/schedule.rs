//! `phoneops schedule`: who is on call when.

mod calendar;
mod kept;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::words::{span, table};
use super::{Failure, Out, Outcome};
use crate::clock::{Clock, Timestamp};
use crate::oncall::{self, Covered, Schedule, Shift, Span, Why};
use crate::text::line;

pub(super) use kept::zone;

/// See who is on call when, and change it
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

const EXAMPLE: &str = "Example:\n  phoneops schedule preview ops.toml --from 2026-12-21 --days 14\n\n\
The file:\n  zone = \"Europe/Paris\"\n  team = \"api\"                          # may be absent\n  [[layers]]\n  name = \"primary\"\n  people = [\"@yannick\", \"@ys\"]\n  \
shift = \"1 week\"                     # or \"1 day\", \"12 hours\"\n  first = \"2026-11-23T09:00\"           # also the hand-over's time, and day\n  \
hours = [\"mon-fri 09:00-18:00\"]      # always, when absent\n  [[overrides]]\n  who = \"@ann\"\n  from = \"2026-12-24T18:00\"\n  \
until = \"2026-12-25T18:00\"\n  instead_of = \"@ys\"                   # whoever it is, when absent";

#[derive(Debug, Subcommand)]
enum Act {
    /// Show the shifts that a file describes, and where nobody would be on call; no server is needed
    ///
    /// Hand-overs are by the wall clock of the schedule's zone, so that they stay at their time when clocks change.
    #[command(after_help = EXAMPLE)]
    Preview(Preview),
    /// List the schedules
    #[command(after_help = "Example:\n  phoneops schedule list")]
    List(kept::List),
    /// Show who is on call, day by day, and where nobody is
    #[command(after_help = "Example:\n  phoneops schedule show api-nights --from 2026-12-21 --days 14")]
    Show(kept::Show),
    /// Make the schedule that a file describes; whoever is on call by it is told
    #[command(after_help = "Example:\n  phoneops schedule create api-nights nights.toml --team api")]
    Create(kept::Create),
    /// Replace a schedule by what a file describes; its overrides stay
    #[command(after_help = "Example:\n  phoneops schedule edit api-nights -f nights.toml")]
    Edit(kept::Edit),
    /// Remove a schedule that no escalation policy names
    #[command(after_help = "Example:\n  phoneops schedule remove api-nights")]
    Remove(kept::Remove),
}

#[derive(Debug, Args)]
struct Preview {
    /// The schedule, as TOML
    file: PathBuf,
    /// The first day; today when absent
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// How many days
    #[arg(long, default_value_t = 28, value_parser = clap::value_parser!(u16).range(1..=1100))]
    days: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::Preview(preview) => preview.run(out),
            Act::List(list) => list.run(out).await,
            Act::Show(show) => show.run(out).await,
            Act::Create(create) => create.run(out).await,
            Act::Edit(edit) => edit.run(out).await,
            Act::Remove(remove) => remove.run(out).await,
        }
    }
}

impl Preview {
    fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let failed = |source| Failure::File { path: self.file.clone(), source };
        let text = std::fs::read_to_string(&self.file).map_err(failed)?;
        let wrong = |error: oncall::NotASchedule| Failure::Usage(format!("{}: {error}", self.file.display()));
        let schedule = oncall::read(&text).map_err(wrong)?;
        let from = self.from.unwrap_or_else(|| wall(&schedule.zone, Clock::system().now()).date());
        let within = days(&schedule.zone, from, self.days).ok_or_else(|| Failure::Usage("--from is out of range".into()))?;
        let shifts = schedule.shifts(within);
        if self.json {
            out.json(&shifts.iter().map(|shift| body(&schedule, shift)).collect());
            return Ok(Outcome::Done);
        }
        out.lines(table(&shifts.iter().map(|shift| row(&schedule, shift)).collect::<Vec<_>>()));
        let uncovered = schedule.gaps(within).into_iter().map(|gap| gap.from.until(gap.until)).sum::<Duration>();
        if !uncovered.is_zero() {
            out.note(format_args!("Nobody is on call for {} of {} days", span(uncovered), self.days));
        }
        Ok(Outcome::Done)
    }
}

/// So many days from midnight on.
fn days(zone: &TimeZone, from: Date, days: u16) -> Option<Span> {
    let midnight = |date: Date| {
        let at = zone.to_ambiguous_timestamp(date.into()).compatible().ok()?;
        Some(Timestamp::from_micros(at.as_microsecond()))
    };
    Span::new(midnight(from)?, midnight(from.checked_add(jiff::Span::new().days(days)).ok()?)?)
}

pub(super) fn wall(zone: &TimeZone, at: Timestamp) -> jiff::civil::DateTime {
    zone.to_datetime(jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(jiff::Timestamp::MAX))
}

fn why(schedule: &Schedule<String>, why: Why) -> String {
    match why {
        Why::Layer(place) => line(&schedule.layers[place].name, 80),
        Why::Override(place) => match &schedule.overrides[place].instead_of {
            Some(who) => format!("override, instead of {}", line(who, 80)),
            None => "override".into(),
        },
    }
}

fn row(schedule: &Schedule<String>, shift: &Shift<String>) -> Vec<String> {
    let at = |at| wall(&schedule.zone, at).strftime("%a %Y-%m-%d %H:%M").to_string();
    let (who, why) = match &shift.covered {
        Covered::By(who, because) => (line(who, 80), why(schedule, *because)),
        Covered::Gap => ("nobody".into(), String::new()),
    };
    vec![at(shift.span.from), at(shift.span.until), who, why]
}

fn body(schedule: &Schedule<String>, shift: &Shift<String>) -> Value {
    let (who, because) = match &shift.covered {
        Covered::By(who, because) => (Some(who), Some(why(schedule, *because))),
        Covered::Gap => (None, None),
    };
    json!({"from": shift.span.from, "until": shift.span.until, "who": who, "why": because})
}
