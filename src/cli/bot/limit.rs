//! `phoneops bot limit`: which actions a bot may ask to have approved, for whom, and in which rooms.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;

use super::super::connect::Operator;
use super::super::noun::tell;
use super::super::policy::{document, made};
use super::super::words::table;
use super::super::{Failure, Out, Outcome};
use super::identify;
use crate::approvals::limits::Limits;
use crate::text::line;

#[derive(Debug, Subcommand)]
pub(super) enum Act {
    /// Show what a bot may ask
    #[command(after_help = "Example:\n  phoneops bot limit show heimdall")]
    Show(Show),
    /// Limit a bot out of a JSON file, in the place of what limited it before; what lets it ask more waits for an administrator's passkey
    #[command(after_help = SET)]
    Set(Set),
    /// Propose to let a bot ask for everything again, which an administrator's passkey confirms
    #[command(after_help = "Example:\n  phoneops bot limit clear heimdall")]
    Clear(Clear),
}

const SET: &str = "Example:\n  phoneops bot limit set heimdall heimdall.json\n\n\
The file, of which every part may be left out:\n  {\"actions\": [{\"type\": \"deploy\", \"target\": \"stag*\"}, {\"type\": \"merge\"}],\n   \
\"teams\": [\"ops\"], \"users\": [\"@yannick\"],\n   \
\"rooms\": [{\"platform\": \"slack\", \"workspace\": \"T0ORG\", \"room\": \"C0OPS\"}]}";

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    operator: Operator,
    /// Which: its name or bot_…
    #[arg(value_name = "BOT")]
    bot: String,
    /// Print JSON, in the form that `set` reads
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Set {
    #[command(flatten)]
    operator: Operator,
    /// Which: its name or bot_…
    #[arg(value_name = "BOT")]
    bot: String,
    /// What it may ask, as JSON; `-` reads from stdin
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Clear {
    #[command(flatten)]
    operator: Operator,
    /// Which: its name or bot_…
    #[arg(value_name = "BOT")]
    bot: String,
}

/// What `/v1/bots/{id}/limits` shows.
#[derive(Deserialize)]
struct Shown {
    limits: Option<Limits>,
}

impl Act {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self {
            Self::Show(show) => show.run(out).await,
            Self::Set(set) => set.run(out).await,
            Self::Clear(clear) => clear.run(out).await,
        }
    }
}

impl Show {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.operator.connect()?;
        let id = identify(&client, &self.bot).await?;
        let shown = client.get(&format!("/v1/bots/{id}/limits")).await?.body;
        if self.json {
            out.json(shown.get("limits").unwrap_or(&Value::Null));
            return Ok(Outcome::Done);
        }
        tell(out, false, &shown, |out, shown: Shown| match shown.limits {
            None => out.line(format_args!("Bot {} may ask for everything that the policies take", self.bot)),
            Some(limits) => out.lines(lines(&limits)),
        })
    }
}

impl Set {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let limits = document(&self.file)?;
        let client = self.operator.connect()?;
        let id = identify(&client, &self.bot).await?;
        let reply = client.put(&format!("/v1/bots/{id}/limits"), &limits).await?;
        Ok(made(&reply, &format!("Limited bot {}", self.bot), out))
    }
}

impl Clear {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.operator.connect()?;
        let id = identify(&client, &self.bot).await?;
        let reply = client.delete(&format!("/v1/bots/{id}/limits")).await?;
        Ok(made(&reply, &format!("Bot {} may ask for everything that the policies take", self.bot), out))
    }
}

/// A row for each thing that one of has to fit.
fn lines(limits: &Limits) -> Vec<String> {
    let Limits { actions, teams, users, rooms } = limits;
    let actions = actions.iter().flatten().map(|one| match one.target.as_str() {
        "*" => line(&one.r#type, 200),
        target => format!("{} on {}", line(&one.r#type, 200), line(target, 200)),
    });
    let people = teams.iter().flatten().map(|team| format!("members of team {team}"));
    let people = people.chain(users.iter().flatten().map(ToString::to_string));
    let rooms = rooms.iter().flatten().map(|room| line(&format!("{}:{}:{}", room.platform, room.workspace, room.room), 600));
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut say = |kind: &str, all: Vec<String>, any: &str| {
        let all = if all.is_empty() { vec![any.to_owned()] } else { all };
        for (at, one) in all.into_iter().enumerate() {
            rows.push(vec![if at == 0 { kind.to_owned() } else { String::new() }, one]);
        }
    };
    say("may ask", actions.collect(), "any action");
    say("for", people.collect(), "anybody");
    say("in", rooms.collect(), "any room, and outside of chat");
    table(&rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_told_in_words() {
        let said = |limits: Value| lines(&serde_json::from_value(limits).unwrap());
        let expected = [
            "may ask  deploy on stag*",
            "         merge",
            "for      members of team ops",
            "         @yannick",
            "in       slack:T0ORG:C?",
        ];
        let limits = json!({"actions": [{"type": "deploy", "target": "stag*"}, {"type": "merge"}], "teams": ["ops"],
            "users": ["@yannick"], "rooms": [{"platform": "slack", "workspace": "T0ORG", "room": "C?"}]});
        assert_eq!(said(limits), expected);
        assert_eq!(said(json!({})), ["may ask  any action", "for      anybody", "in       any room, and outside of chat"]);
    }
}
