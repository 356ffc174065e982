//! The schedules of a server: listed, shown, made, replaced, removed.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::connect::{Anybody, Operator};
use super::super::reply::read;
use super::super::words::table;
use super::super::{Failure, Out, Outcome};
use super::calendar::{Shift, by_day};
use super::{days, wall};
use crate::clock::Clock;
use crate::identity::Handle;
use crate::oncall::{self, Written};
use crate::text::line;

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    reach: Anybody,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    reach: Anybody,
    /// Its name
    name: Handle,
    /// The first day; today when absent
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// How many days
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
    /// Print JSON: the schedule and its shifts
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    operator: Operator,
    /// Its name
    name: Handle,
    /// The schedule, as TOML: `phoneops schedule preview --help` shows one
    file: PathBuf,
    /// The team whose members hear of gaps and may give away the pager; the file's `team` when absent
    #[arg(long, value_name = "TEAM")]
    team: Option<Handle>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Edit {
    #[command(flatten)]
    operator: Operator,
    /// Its name
    name: Handle,
    /// The schedule as it is to be, as TOML
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// The team; the file's `team` when absent, and none when it names none either
    #[arg(long, value_name = "TEAM")]
    team: Option<Handle>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Remove {
    #[command(flatten)]
    operator: Operator,
    /// Its name
    name: Handle,
}

/// A schedule, as `/v1/schedules` shows it.
#[derive(Deserialize)]
struct Schedule {
    name: String,
    team: Option<String>,
    zone: String,
    layers: Vec<Layer>,
    policies: Vec<String>,
}

#[derive(Deserialize)]
struct Layer {
    name: String,
    people: Vec<String>,
}

impl List {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let body = self.reach.connect()?.get("/v1/schedules").await?.body;
        if self.json {
            out.json(&body["schedules"]);
            return Ok(Outcome::Done);
        }
        let all: Vec<Schedule> = read(&body["schedules"])?;
        out.lines(table(&all.iter().map(row).collect::<Vec<_>>()));
        if all.is_empty() {
            out.note("There is no schedule yet: `phoneops schedule create NAME FILE` makes one");
        }
        Ok(Outcome::Done)
    }
}

fn row(schedule: &Schedule) -> Vec<String> {
    let team = schedule.team.as_ref().map(|team| format!("team {}", line(team, 80))).unwrap_or_default();
    let layer = |layer: &Layer| format!("{}: {}", line(&layer.name, 80), line(&layer.people.join(" "), 200));
    let layers = schedule.layers.iter().map(layer).collect::<Vec<_>>().join("; ");
    vec![line(&schedule.name, 80), line(&schedule.zone, 80), team, layers]
}

impl Show {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.reach.connect()?;
        let mut body = client.get(&format!("/v1/schedules/{}", self.name)).await?.body;
        let schedule: Schedule = read(&body)?;
        let zone = zone(&schedule.zone)?;
        let first = self.from.unwrap_or_else(|| wall(&zone, Clock::system().now()).date());
        let within = days(&zone, first, self.days).ok_or_else(|| Failure::Usage("--from is out of range".into()))?;
        let path = format!("/v1/schedules/{}/shifts?from={}&until={}", self.name, within.from, within.until);
        let shifts = client.get(&path).await?.body["shifts"].clone();
        if self.json {
            body["shifts"] = shifts;
            out.json(&body);
            return Ok(Outcome::Done);
        }
        print(&schedule, &by_day(&read::<Vec<Shift>>(&shifts)?, &zone, first, self.days), out);
        Ok(Outcome::Done)
    }
}

fn print(schedule: &Schedule, lines: &[super::calendar::Line], out: &mut Out) {
    let team = schedule.team.as_ref().map(|team| format!(", team {}", line(team, 80))).unwrap_or_default();
    out.line(format_args!("{}, by the clock of {}{team}", line(&schedule.name, 80), line(&schedule.zone, 80)));
    for line in lines {
        if line.gap && out.is_terminal() {
            out.line(format_args!("\x1b[1;31m{}\x1b[0m", line.text));
        } else {
            out.line(&line.text);
        }
    }
    if !schedule.policies.is_empty() {
        out.note(format_args!("Named by the escalation policies {}", line(&schedule.policies.join(", "), 200)));
    }
}

/// The zone of that name, on this machine.
pub(in crate::cli) fn zone(name: &str) -> Result<TimeZone, Failure> {
    oncall::zone(name).map_err(|_| Failure::Other(format!("this machine knows no time zone {}", line(name, 80))))
}

/// The schedule that a file describes, as the server takes it.
fn written(path: &Path, team: Option<Handle>) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(path).map_err(|source| Failure::File { path: path.to_owned(), source })?;
    let wrong = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
    oncall::read(&text).map_err(|error| wrong(error.to_string()))?;
    let written = Written::parse(&text).map_err(|error| wrong(error.to_string()))?;
    if !written.overrides.is_empty() {
        return Err(wrong("overrides: are made with `phoneops override add`, so that whoever gets the pager is told".into()));
    }
    let team = team.map(|team| team.as_str().to_owned()).or(written.team);
    Ok(json!({"team": team, "zone": written.zone, "layers": written.layers}))
}

impl Create {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let mut body = written(&self.file, self.team)?;
        body["name"] = json!(self.name);
        let made = self.operator.connect()?.post("/v1/schedules", &body).await?.body;
        if self.json {
            out.json(&made);
        } else {
            out.line(format_args!("Created schedule {}", self.name));
        }
        Ok(Outcome::Done)
    }
}

impl Edit {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let body = written(&self.file, self.team)?;
        let (client, path) = (self.operator.connect()?, format!("/v1/schedules/{}", self.name));
        // A name with a slip of the pen is to make no second schedule.
        client.get(&path).await?;
        let made = client.put(&path, &body).await?.body;
        if self.json {
            out.json(&made);
        } else {
            out.line(format_args!("Changed schedule {}", self.name));
        }
        Ok(Outcome::Done)
    }
}

impl Remove {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        self.operator.connect()?.delete(&format!("/v1/schedules/{}", self.name)).await?;
        out.line(format_args!("Removed schedule {}", self.name));
        Ok(Outcome::Done)
    }
}
