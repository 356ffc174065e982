//! `phoneops override`: somebody takes the pager for a while.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::connect::Operator;
use super::noun::tell;
use super::reply::Person;
use super::schedule::{wall, zone};
use super::words::table;
use super::{Failure, Out, Outcome};
use crate::clock::Timestamp;
use crate::id::OverrideId;
use crate::identity::{Handle, UserRef};
use crate::text::line;

/// Take the pager for a while, or give it to somebody
///
/// The members of the schedule's team, the people on it and administrators may.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Give the pager to somebody, who is told on their phone; to yourself when nobody is named
    #[command(after_help = "Example:\n  phoneops override add api-nights @ys --for 60m\n  \
                            phoneops override add api-nights @ys --from 2026-12-24T18:00 --until 2026-12-25T09:00 --instead-of @ann")]
    Add(Add),
    /// List a schedule's overrides that are not over
    #[command(after_help = "Example:\n  phoneops override list api-nights")]
    List(List),
    /// Take an override back; one that has begun ends now
    #[command(after_help = "Example:\n  phoneops override remove api-nights ovr_0199e5d0000070008000000000000012")]
    Remove(Remove),
}

#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    operator: Operator,
    /// The schedule
    schedule: Handle,
    /// Who takes the pager: @handle or usr_…
    #[arg(value_name = "@HANDLE")]
    who: Option<UserRef>,
    /// For how long: 60m, 2h30m, 1day
    #[arg(long = "for", value_name = "LENGTH", conflicts_with = "until", required_unless_present = "until")]
    length: Option<String>,
    /// From when, by the schedule's clock or with an offset; from now on when absent
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when, likewise
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// In this person's place alone, as in a swap
    #[arg(long, value_name = "@HANDLE")]
    instead_of: Option<UserRef>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    operator: Operator,
    /// The schedule
    schedule: Handle,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    operator: Operator,
    /// The schedule
    schedule: Handle,
    /// Which: ovr_…, as `phoneops override list` shows it
    id: OverrideId,
}

/// An override, as `/v1/schedules` shows it.
#[derive(Deserialize)]
struct Override {
    id: String,
    user: Person,
    instead_of: Option<Person>,
    from: Timestamp,
    until: Timestamp,
    made_by: String,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::Add(add) => add.run(out).await,
            Act::List(list) => list.run(out).await,
            Act::Remove(remove) => {
                let path = format!("/v1/schedules/{}/overrides/{}", remove.schedule, remove.id);
                remove.operator.connect()?.delete(&path).await?;
                out.line(format_args!("Removed {}", remove.id));
                Ok(Outcome::Done)
            }
        }
    }
}

impl Add {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let body = json!({"user": self.who, "instead_of": self.instead_of, "from": self.from, "until": self.until,
            "for": self.length});
        let path = format!("/v1/schedules/{}/overrides", self.schedule);
        let client = self.operator.connect()?;
        let made = client.post(&path, &body).await?.body;
        let schedule = client.get(&format!("/v1/schedules/{}", self.schedule)).await?.body;
        let zone = zone(schedule["zone"].as_str().unwrap_or_default())?;
        tell(out, self.json, &made, |out, made: Override| {
            let until = wall(&zone, made.until).strftime("%a %d %b %H:%M");
            out.line(format_args!("{} has the pager of {} until {until}", line(&made.user.name, 80), self.schedule));
        })
    }
}

impl List {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let schedule = self.operator.connect()?.get(&format!("/v1/schedules/{}", self.schedule)).await?.body;
        let zone = zone(schedule["zone"].as_str().unwrap_or_default())?;
        tell(out, self.json, &schedule["overrides"], |out, all: Vec<Override>| {
            let time = |at| wall(&zone, at).strftime("%a %d %b %H:%M").to_string();
            let rows: Vec<_> = all
                .iter()
                .map(|over| {
                    let of = over.instead_of.as_ref().map(|of| format!(", instead of @{}", of.handle)).unwrap_or_default();
                    let (from, until) = (time(over.from), time(over.until));
                    let why = format!("by {}{of}", over.made_by);
                    vec![line(&over.id, 40), format!("@{}", line(&over.user.handle, 40)), from, until, line(&why, 160)]
                })
                .collect();
            out.lines(table(&rows));
            if rows.is_empty() {
                out.note("There is no override that is not over");
            }
        })
    }
}
