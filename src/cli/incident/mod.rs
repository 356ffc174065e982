//! `phoneops incident`: what rings, who has it, and ending it.

mod acts;
mod words;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::connect::{At, has_token};
use super::page::Urgency;
use super::reply::read;
use super::words::table;
use super::{Failure, Out, Outcome};
use crate::client::{Client, Error, Reply};
use crate::clock::{Clock, Timestamp};
use crate::identity::{Handle, Who};
use crate::paging::Reference;
pub(super) use acts::Ack;
use words::{Incident, Line, Verb};

/// List and show incidents, and act on them
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
    /// Hand an incident on: to people, or to the next step
    #[command(after_help = "Example:\n  phoneops incident escalate P7K3M2X @ys --message \"I need some help\"")]
    Escalate(acts::Escalate),
    /// Hand an incident over: it begins anew with these people
    #[command(after_help = "Example:\n  phoneops incident reassign P7K3M2X @ys,team:api")]
    Reassign(acts::Handing),
    /// Ask others to look at an incident as well
    #[command(after_help = "Example:\n  phoneops incident add P7K3M2X @ys")]
    Add(acts::Handing),
    /// Put an incident off: it rings again then
    #[command(after_help = "Example:\n  phoneops incident snooze P7K3M2X 30m")]
    Snooze(acts::Snooze),
    /// Put an incident off no longer: it rings
    #[command(after_help = "Example:\n  phoneops incident wake P7K3M2X")]
    Wake(OnOne),
    /// Write something down about an incident
    #[command(after_help = "Example:\n  phoneops incident note P7K3M2X \"the disk is full\"")]
    Note(acts::Note),
    /// Let another incident go on in the place of this one
    #[command(after_help = "Example:\n  phoneops incident merge P7K3M2X P7K3M2Y")]
    Merge(acts::Merge),
    /// Say how loud an incident is
    #[command(after_help = "Example:\n  phoneops incident urgency P7K3M2X low")]
    Urgency(acts::Sound),
    /// Say that an incident was not over: it rings
    #[command(after_help = "Example:\n  phoneops incident reopen P7K3M2X")]
    Reopen(OnOne),
    /// Tell what happened to an incident
    #[command(after_help = "Example:\n  phoneops incident timeline P7K3M2X")]
    Timeline(Show),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    at: At,
    /// Resolved ones too
    #[arg(long)]
    all: bool,
    /// Only those that rang for you
    #[arg(long)]
    mine: bool,
    /// Only those that stand so
    #[arg(long, value_enum)]
    state: Option<Standing>,
    /// Only those of this service
    #[arg(long, value_name = "NAME")]
    service: Option<Handle>,
    /// Only those of this team's services
    #[arg(long, value_name = "NAME")]
    team: Option<Handle>,
    /// Only those that are so loud
    #[arg(long, value_enum)]
    urgency: Option<Urgency>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Standing {
    /// It rings
    Triggered,
    /// Somebody has it, or put it off
    Acknowledged,
    /// It is over
    Resolved,
}

impl Standing {
    fn as_str(self) -> &'static str {
        match self {
            Self::Triggered => "triggered",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
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
            Act::Escalate(escalate) => escalate.run(out).await,
            Act::Reassign(handing) => handing.run("reassign", out).await,
            Act::Add(handing) => handing.run("responders", out).await,
            Act::Snooze(snooze) => snooze.run(out).await,
            Act::Wake(one) => acts::rings(one, "wake", out).await,
            Act::Note(note) => note.run(out).await,
            Act::Merge(merge) => merge.run(out).await,
            Act::Urgency(sound) => sound.run(out).await,
            Act::Reopen(one) => acts::rings(one, "reopen", out).await,
            Act::Timeline(show) => show.timeline(out).await,
        }
    }
}

/// Incidents fetched at once.
const PAGE: usize = 100;

impl List {
    /// Names need no escaping.
    fn query(&self) -> String {
        let mut query = format!("all={}&mine={}", self.all, self.mine);
        let named = [
            ("state", self.state.map(Standing::as_str)),
            ("service", self.service.as_ref().map(Handle::as_str)),
            ("team", self.team.as_ref().map(Handle::as_str)),
            ("urgency", self.urgency.map(Urgency::as_str)),
        ];
        for (name, value) in named {
            query.extend(value.map(|value| format!("&{name}={value}")));
        }
        query
    }

    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.at.somebody()?;
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let reply = client.get(&format!("/v1/incidents?{}&limit={PAGE}{cursor}", self.query())).await?;
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
            let (now, rows) = self.told().await?;
            out.line("Timeline");
            out.lines(table(&rows.iter().map(|line| line.row(now)).collect::<Vec<_>>()));
        }
        Ok(Outcome::Done)
    }

    /// What happened, page after page, and the server's time.
    async fn lines(&self) -> Result<(Timestamp, Vec<Value>), Failure> {
        let client = self.at.somebody()?;
        let (mut lines, mut cursor) = (Vec::new(), String::new());
        loop {
            let reply = client.get(&format!("/v1/incidents/{}/timeline?limit=500{cursor}", self.incident)).await?;
            lines.extend(reply.body["lines"].as_array().cloned().unwrap_or_default());
            match reply.body["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok((now(&reply), lines)),
            }
        }
    }

    async fn told(&self) -> Result<(Timestamp, Vec<Line>), Failure> {
        let (now, lines) = self.lines().await?;
        Ok((now, lines.iter().map(read).collect::<Result<_, _>>()?))
    }

    async fn timeline(self, out: &mut Out) -> Result<Outcome, Failure> {
        if self.json {
            out.json(&Value::from(self.lines().await?.1));
        } else {
            let (now, rows) = self.told().await?;
            out.lines(table(&rows.iter().map(|line| line.row(now)).collect::<Vec<_>>()));
        }
        Ok(Outcome::Done)
    }
}

impl OnOne {
    /// People act as themselves.
    fn body(&self, mut more: Value) -> Value {
        if let Some(actor) = &self.actor {
            more["actor"] = json!(actor);
        }
        more
    }

    /// A client that may act: a bot says for whom.
    fn client(&self) -> Result<Client, Failure> {
        if has_token() && self.actor.is_none() {
            return Err(Failure::Usage("--actor: a bot acts for a person: say for whom".into()));
        }
        self.at.somebody()
    }

    /// Does something, and prints the reply as it is where that is asked for.
    async fn post(&self, act: &str, more: Value, out: &mut Out) -> Result<Reply, Failure> {
        let path = format!("/v1/incidents/{}/{act}", self.incident);
        let client = self.client()?;
        let reply = match client.post(&path, &self.body(more)).await {
            Err(Error::Refused(refusal)) if refusal.code == "incident_resolved" => {
                return Err(over(&client, &self.incident, Error::Refused(refusal)).await);
            }
            other => other?,
        };
        if self.json {
            out.json(&reply.body);
        }
        Ok(reply)
    }

    async fn run(self, verb: Verb, out: &mut Out) -> Result<Outcome, Failure> {
        let clock = Clock::system();
        let asked_at = clock.now();
        let reply = self.post(verb.path(), json!({}), out).await?;
        if !self.json {
            let incident: Incident = read(&reply.body)?;
            let took = asked_at.until(clock.now());
            out.line(incident.done(verb, self.actor.as_ref(), now(&reply), took));
        }
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
