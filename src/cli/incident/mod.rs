//! `phoneops incident`: what rings, who has it, and ending it.

mod words;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connect::{At, has_token};
use super::reply::read;
use super::words::table;
use super::{Failure, Out, Outcome};
use crate::client::{Client, Error, Reply};
use crate::clock::{Clock, Timestamp};
use crate::identity::Who;
use crate::paging::Reference;
use words::{Incident, Verb};

/// List, show, acknowledge and resolve incidents
///
/// As the bot whose token is in `PHONEOPS_TOKEN` or in the file that `PHONEOPS_TOKEN_FILE` names.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List open incidents, the newest first
    #[command(after_help = "Example:\n  phoneops incident list --all | head")]
    List(List),
    /// Show one incident
    #[command(after_help = "Example:\n  phoneops incident show P7K3M2X")]
    Show(Show),
    /// Take an incident for a person: it stops ringing
    #[command(after_help = "Example:\n  phoneops incident ack P7K3M2X --actor @yannick")]
    Ack(OnOne),
    /// End an incident for a person
    #[command(after_help = "Example:\n  phoneops incident resolve P7K3M2X --actor @yannick")]
    Resolve(OnOne),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    at: At,
    /// Resolved ones too
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    at: At,
    /// Its reference
    #[arg(value_name = "REF")]
    incident: Reference,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct OnOne {
    #[command(flatten)]
    at: At,
    /// Its reference
    #[arg(value_name = "REF")]
    incident: Reference,
    /// As a bot: the person you act for, @handle, usr_… or platform:workspace:user; their phone is told, and can say "not me"
    #[arg(long, value_name = "PERSON")]
    actor: Option<Who>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::List(list) => list.run(out).await,
            Act::Show(show) => show.run(out).await,
            Act::Ack(ack) => ack.run(Verb::Acknowledge, out).await,
            Act::Resolve(resolve) => resolve.run(Verb::Resolve, out).await,
        }
    }
}

/// Incidents fetched at once.
const PAGE: usize = 100;

impl List {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.at.somebody()?;
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let reply = client.get(&format!("/v1/incidents?all={}&limit={PAGE}{cursor}", self.all)).await?;
            let incidents = reply.body["incidents"].as_array().cloned().unwrap_or_default();
            if self.json {
                all.extend(incidents);
            } else {
                print(&incidents, now(&reply), out)?;
                all.extend(incidents.first().cloned());
            }
            match reply.body["next"].as_str() {
                Some(next) if !out.is_closed() => cursor = format!("&cursor={next}"),
                _ => break,
            }
        }
        if self.json {
            out.json(&Value::from(all));
        } else if all.is_empty() {
            out.note(if self.all { "There was no incident yet" } else { "No incident is open" });
        }
        Ok(Outcome::Done)
    }
}

fn print(incidents: &[Value], now: Timestamp, out: &mut Out) -> Result<(), Failure> {
    let rows: Result<Vec<_>, Failure> = incidents.iter().map(|body| Ok(read::<Incident>(body)?.row(now))).collect();
    out.lines(table(&rows?));
    Ok(())
}

impl Show {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let reply = self.at.somebody()?.get(&format!("/v1/incidents/{}", self.incident)).await?;
        if self.json {
            out.json(&reply.body);
        } else {
            let incident: Incident = read(&reply.body)?;
            out.lines(incident.story(now(&reply)));
        }
        Ok(Outcome::Done)
    }
}

impl OnOne {
    /// People act as themselves.
    fn body(&self) -> Value {
        self.actor.as_ref().map_or_else(|| json!({}), |actor| json!({"actor": actor}))
    }

    async fn run(self, verb: Verb, out: &mut Out) -> Result<Outcome, Failure> {
        if has_token() && self.actor.is_none() {
            return Err(Failure::Usage("--actor: a bot acts for a person: say for whom".into()));
        }
        let client = self.at.somebody()?;
        let path = format!("/v1/incidents/{}/{}", self.incident, verb.path());
        let clock = Clock::system();
        let asked_at = clock.now();
        let reply = match client.post(&path, &self.body()).await {
            Err(Error::Refused(refusal)) if refusal.code == "incident_resolved" => {
                return Err(over(&client, &self.incident, Error::Refused(refusal)).await);
            }
            other => other?,
        };
        if self.json {
            out.json(&reply.body);
            return Ok(Outcome::Done);
        }
        let incident: Incident = read(&reply.body)?;
        let took = asked_at.until(clock.now());
        out.line(incident.done(verb, self.actor.as_ref(), now(&reply), took));
        Ok(Outcome::Done)
    }
}

/// An acknowledgement came too late: says by whom it was ended, where the token may know.
async fn over(client: &Client, incident: &Reference, refused: Error) -> Failure {
    let Ok(reply) = client.get(&format!("/v1/incidents/{incident}")).await else { return refused.into() };
    let ended: Option<String> = read::<Incident>(&reply.body).ok().and_then(|incident| incident.already(now(&reply)));
    ended.map_or_else(|| refused.into(), Failure::Other)
}

/// The server's clock, by which its times are to be read; ours when a proxy took `Date` away.
fn now(reply: &Reply) -> Timestamp {
    reply.date.as_deref().and_then(http_date).unwrap_or_else(|| Clock::system().now())
}

/// IMF-fixdate (RFC 9110 section 5.6.7) is also a date of RFC 2822.
fn http_date(text: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp::from_seconds(date.as_second()))
}

/// `Date` counts whole seconds.
const DATE_PRECISION: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_clock_is_read_and_nonsense_is_not() {
        assert_eq!(http_date("Sun, 01 Mar 2026 10:10:00 GMT"), Some("2026-03-01T10:10:00Z".parse().unwrap()));
        assert_eq!(http_date("yesterday"), None);
    }
}
