//! `phoneops maintenance`: times in which nobody is paged about a service, or about any of a team's.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::Operator;
use super::noun::tell;
use super::reply::Person;
use super::words::table;
use super::{Failure, Out, Outcome, time};
use crate::clock::Timestamp;
use crate::id::MaintenanceWindowId;
use crate::paging::To;
use crate::text::line;

/// Page nobody about a service, or about any of a team's, for a while
///
/// What is reported meanwhile is kept; what is still open at the end pages then.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Start, or plan, a maintenance window
    #[command(after_help = "Example:\n  phoneops maintenance start service:api --for 2h --reason \"moving the database\"")]
    Start(Start),
    /// List the windows that are not over, those that run first
    #[command(after_help = "Example:\n  phoneops maintenance list --all")]
    List(List),
    /// End a window early, or take back one that was to come
    #[command(after_help = "Example:\n  phoneops maintenance end mnt_0199e5d0000070008000000000000063")]
    End(End),
}

#[derive(Debug, Args)]
struct Start {
    #[command(flatten)]
    operator: Operator,
    /// About what: service:NAME, or team:NAME for all of its services
    #[arg(value_name = "service:NAME|team:NAME")]
    about: To,
    /// How long, like 2h; at most 90d
    #[arg(long = "for", value_name = "TIME", value_parser = quarter, conflicts_with = "until", required_unless_present = "until")]
    lasts: Option<u32>,
    /// Until when, like 2026-12-01T08:00:00Z
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// From when [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Why, in a line
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    operator: Operator,
    /// Those that are over too
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct End {
    #[command(flatten)]
    operator: Operator,
    /// Which: its id
    #[arg(value_name = "ID")]
    window: MaintenanceWindowId,
}

/// A window, as `/v1/maintenance` shows it.
#[derive(Deserialize)]
struct Window {
    id: String,
    service: Option<String>,
    team: Option<String>,
    from: String,
    until: String,
    reason: String,
    state: String,
    by: Option<Person>,
}

fn quarter(text: &str) -> Result<u32, String> {
    time::seconds(text, 90)
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::Start(start) => start.run(out).await,
            Act::List(list) => list.run(out).await,
            Act::End(end) => {
                end.operator.connect()?.delete(&format!("/v1/maintenance/{}", end.window)).await?;
                out.line(format_args!("Ended {}: pages ring again", end.window));
                Ok(Outcome::Done)
            }
        }
    }
}

impl Window {
    fn about(&self) -> String {
        match (&self.service, &self.team) {
            (Some(service), _) => format!("service {service}"),
            (None, Some(team)) => format!("team {team}"),
            (None, None) => String::new(),
        }
    }
}

fn row(window: Window) -> Vec<String> {
    let about = window.about();
    let by = window.by.map_or_else(|| "the operator".to_owned(), |person| line(&person.name, 80));
    vec![window.id, window.state, about, window.from, window.until, by, line(&window.reason, 80)]
}

impl Start {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let mut body = json!({"reason": self.reason});
        match &self.about {
            To::Service(name) => body["service"] = json!(name),
            To::Team(name) => body["team"] = json!(name),
            To::Person(_) | To::Schedule(_) => {
                return Err(Failure::Usage(format!("{}: maintenance is about service:NAME or team:NAME", self.about)));
            }
        }
        for (name, time) in [("from", self.from), ("until", self.until)] {
            if let Some(time) = time {
                body[name] = json!(time);
            }
        }
        if let Some(seconds) = self.lasts {
            body["for_seconds"] = json!(seconds);
        }
        let reply = self.operator.connect()?.post("/v1/maintenance", &body).await?;
        tell(out, self.json, &reply.body, |out, window: Window| {
            let from = if window.state == "running" { String::new() } else { format!("from {} ", window.from) };
            out.line(format_args!("Nobody is paged about {} {from}until {}", window.about(), window.until));
            out.note(format_args!("To end it early: `phoneops maintenance end {}`", window.id));
        })
    }
}

impl List {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let (client, all) = (self.operator.connect()?, self.all);
        let (mut windows, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = client.get(&format!("/v1/maintenance?all={all}{cursor}")).await?.body;
            windows.append(page["maintenance"].as_array_mut().unwrap_or(&mut Vec::new()));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        tell(out, self.json, &Value::from(windows), |out, all: Vec<Window>| {
            if all.is_empty() {
                out.note("There is no maintenance");
            }
            out.lines(table(&all.into_iter().map(row).collect::<Vec<_>>()));
        })
    }
}
