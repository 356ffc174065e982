//! `phoneops calendar`: addresses at which calendar programs read shifts.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::connect::At;
use super::noun::tell;
use super::words::table;
use super::{Failure, Out, Outcome};
use crate::clock::Timestamp;
use crate::id::CalendarFeedId;
use crate::identity::Handle;
use crate::text::line;

/// Put shifts into a calendar, by an address that is a secret
///
/// As the person who is signed in (`phoneops login`).
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Make a calendar of a schedule, or of all your shifts; its address is printed this once
    #[command(after_help = "Example:\n  phoneops calendar add --schedule api-nights")]
    Add(Add),
    /// List your calendars
    #[command(after_help = "Example:\n  phoneops calendar list")]
    List(List),
    /// Make a calendar's address good for nothing
    #[command(after_help = "Example:\n  phoneops calendar remove cal_0199e5d0000070008000000000000012")]
    Remove(Remove),
}

#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    at: At,
    /// Of this schedule; of all your shifts when absent
    #[arg(long, value_name = "NAME")]
    schedule: Option<Handle>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    at: At,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    at: At,
    /// Which: cal_…
    id: CalendarFeedId,
}

/// A calendar, as `/v1/calendar-feeds` shows it.
#[derive(Deserialize)]
struct Calendar {
    id: String,
    schedule: Option<String>,
    created_at: Timestamp,
    url: Option<String>,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::Add(add) => {
                let made = add.at.somebody()?.post("/v1/calendar-feeds", &json!({"schedule": add.schedule})).await?.body;
                tell(out, add.json, &made, |out, made: Calendar| {
                    out.lines(made.url.iter());
                    out.note("Whoever knows this address reads the calendar. It cannot be shown again");
                })
            }
            Act::List(list) => {
                let reply = list.at.somebody()?.get("/v1/calendar-feeds").await?;
                tell(out, list.json, &reply.body["calendars"], |out, all: Vec<Calendar>| {
                    out.lines(table(&all.iter().map(row).collect::<Vec<_>>()));
                    if all.is_empty() {
                        out.note("There is no calendar yet: `phoneops calendar add` makes one");
                    }
                })
            }
            Act::Remove(remove) => {
                remove.at.somebody()?.delete(&format!("/v1/calendar-feeds/{}", remove.id)).await?;
                out.line(format_args!("Removed {}", remove.id));
                Ok(Outcome::Done)
            }
        }
    }
}

fn row(calendar: &Calendar) -> Vec<String> {
    let of = calendar.schedule.as_ref().map_or_else(|| "all your shifts".into(), |name| line(name, 80));
    vec![line(&calendar.id, 40), of, calendar.created_at.to_string()]
}
