//! What is done to an incident besides taking and ending it; and `phoneops ack`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::super::connect::{At, has_token};
use super::super::page::Urgency;
use super::super::reply::read;
use super::super::{Failure, Out, Outcome};
use super::words::{Handed, Incident, Verb};
use super::{OnOne, now};
use crate::clock::Timestamp;
use crate::identity::Who;
use crate::paging::{Reference, To};

#[derive(Debug, Args)]
pub(super) struct Escalate {
    #[command(flatten)]
    one: OnOne,
    /// To whom: @handle, team:NAME or schedule:NAME, several with commas; the next step when nobody is named
    #[arg(value_name = "@USER[,team:NAME…]", value_delimiter = ',')]
    to: Vec<To>,
    /// What they are told
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Handing {
    #[command(flatten)]
    one: OnOne,
    /// Who: @handle, team:NAME or schedule:NAME, several with commas
    #[arg(value_name = "@USER[,team:NAME…]", value_delimiter = ',', required = true)]
    to: Vec<To>,
}

#[derive(Debug, Args)]
pub(super) struct Snooze {
    #[command(flatten)]
    one: OnOne,
    /// For how long, from 1m to 7d: 90s, 30m, 2h, 1d
    #[arg(value_name = "TIME", value_parser = long, required_unless_present = "until")]
    long: Option<Duration>,
    /// Until when
    #[arg(long, value_name = "INSTANT", conflicts_with = "long")]
    until: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub(super) struct Note {
    #[command(flatten)]
    one: OnOne,
    /// What
    #[arg(value_name = "TEXT")]
    text: String,
}

#[derive(Debug, Args)]
pub(super) struct Merge {
    #[command(flatten)]
    one: OnOne,
    /// The incident that goes on
    #[arg(value_name = "INTO")]
    into: Reference,
}

#[derive(Debug, Args)]
pub(super) struct Sound {
    #[command(flatten)]
    one: OnOne,
    /// How loud
    #[arg(value_enum)]
    urgency: Urgency,
}

/// Take incidents: they stop ringing
///
/// As the person who is signed in, or as a bot for the person that `--actor` names.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phoneops ack --all")]
pub(in super::super) struct Ack {
    #[command(flatten)]
    at: At,
    /// Their references
    #[arg(value_name = "REF", required_unless_present = "all", conflicts_with = "all")]
    incidents: Vec<Reference>,
    /// Everything that rings for you
    #[arg(long)]
    all: bool,
    /// As a bot: the person you act for
    #[arg(long, value_name = "PERSON")]
    actor: Option<Who>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `30m` as a time.
fn long(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time like 90s, 30m, 2h or 1d".to_owned();
    let unit = match text.chars().last().ok_or_else(wrong)? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

impl Escalate {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let mut body = json!({"to": self.to});
        if let Some(message) = &self.message {
            body["message"] = json!(message);
        }
        handed(&self.one, "escalate", body, out).await
    }
}

impl Handing {
    pub(super) async fn run(self, act: &str, out: &mut Out) -> Result<Outcome, Failure> {
        handed(&self.one, act, json!({"to": self.to}), out).await
    }
}

/// Hands an incident on. When nobody rings because of it, that is no success.
async fn handed(one: &OnOne, act: &str, body: Value, out: &mut Out) -> Result<Outcome, Failure> {
    let handed: Handed = read(&one.post(act, body, out).await?.body)?;
    if !one.json {
        out.lines(handed.sentences());
    }
    Ok(if handed.failed() { Outcome::Failed } else { Outcome::Done })
}

impl Snooze {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let body = match (self.long, self.until) {
            (Some(long), _) => json!({"for_seconds": long.as_secs()}),
            (None, until) => json!({"until": until}),
        };
        let reply = self.one.post("snooze", body, out).await?;
        if !self.one.json {
            out.line(read::<Incident>(&reply.body)?.put_off(now(&reply)));
        }
        Ok(Outcome::Done)
    }
}

/// What lets an incident ring.
pub(super) async fn rings(one: OnOne, act: &str, out: &mut Out) -> Result<Outcome, Failure> {
    one.post(act, json!({}), out).await?;
    if !one.json {
        out.line(format_args!("Incident {} rings", one.incident));
    }
    Ok(Outcome::Done)
}

impl Note {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        self.one.post("notes", json!({"text": self.text}), out).await?;
        if !self.one.json {
            out.line(format_args!("Noted on {}", self.one.incident));
        }
        Ok(Outcome::Done)
    }
}

impl Merge {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        self.one.post("merge", json!({"into": self.into}), out).await?;
        if !self.one.json {
            out.line(format_args!("Incident {} goes on as {}", self.one.incident, self.into));
        }
        Ok(Outcome::Done)
    }
}

impl Sound {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let urgency = self.urgency.as_str();
        self.one.post("urgency", json!({"urgency": urgency}), out).await?;
        if !self.one.json {
            out.line(format_args!("Incident {} has {urgency} urgency", self.one.incident));
        }
        Ok(Outcome::Done)
    }
}

impl Ack {
    pub(in super::super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        if !self.all {
            for incident in self.incidents {
                let one = OnOne { at: self.at.clone(), incident, actor: self.actor.clone(), json: self.json };
                one.run(Verb::Acknowledge, out).await?;
            }
            return Ok(Outcome::Done);
        }
        if has_token() && self.actor.is_none() {
            return Err(Failure::Usage("--actor: a bot acts for a person: say for whom".into()));
        }
        let body = self.actor.as_ref().map_or_else(|| json!({}), |actor| json!({"actor": actor}));
        let reply = self.at.somebody()?.post("/v1/me/acknowledge-all", &body).await?;
        if self.json {
            out.json(&reply.body);
            return Ok(Outcome::Done);
        }
        let taken: Vec<String> = read(&reply.body["acknowledged"])?;
        out.lines(taken.iter().map(|reference| format!("Incident {reference} acknowledged")));
        if taken.is_empty() {
            out.note("Nothing rings for you");
        }
        Ok(Outcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_is_written_as_people_say_it() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("2h", 7_200), ("1d", 86_400)] {
            assert_eq!(long(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for not in ["", "m", "30", "1.5h", "-1m", "1w", "30 m", "é", "99999999999999999999s", "18446744073709551615d"] {
            assert!(long(not).is_err(), "{not}");
        }
    }
}
