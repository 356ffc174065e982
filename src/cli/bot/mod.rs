//! `phoneops bot`: API clients, their tokens, their keys and their limits.

mod key;
mod limit;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::Operator;
use super::device::used;
use super::noun::{List, tell};
use super::reply::read;
use super::{Failure, Out, Outcome, time};
use crate::client::Client;
use crate::id::BotId;
use crate::identity::{Handle, Scope};

/// Add, list, rotate, limit and revoke bots: the API clients that chat speaks through
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Add a bot and print its token, once
    #[command(after_help = "Example:\n  phoneops bot add heimdall --scope approvals:request,grants:redeem")]
    Add(Add),
    /// List the bots whose tokens work, by name
    #[command(after_help = "Example:\n  phoneops bot list")]
    List(List),
    /// Give a bot its next token and print it, once; the old one works on for a while
    #[command(after_help = "Example:\n  phoneops bot rotate heimdall --overlap 1h")]
    Rotate(Rotate),
    /// End a bot's tokens, at once
    #[command(after_help = "Example:\n  phoneops bot revoke heimdall")]
    Revoke(Revoke),
    /// Add, list and revoke the keys by which a chat's own bot signs its calls (ChatOps RPC)
    #[command(subcommand, arg_required_else_help = true)]
    Key(key::Act),
    /// Say which actions a bot may ask to have approved, for whom, and in which rooms
    #[command(subcommand, arg_required_else_help = true)]
    Limit(limit::Act),
}

#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    operator: Operator,
    /// What chat calls it
    name: Handle,
    /// What it may do; can be given more than once, or as a list with commas
    #[arg(
        long = "scope",
        value_delimiter = ',',
        default_value = "approvals:request,grants:redeem,incidents:write,incidents:read"
    )]
    scopes: Vec<Scope>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Rotate {
    #[command(flatten)]
    operator: Operator,
    /// Which: its name or bot_…
    #[arg(value_name = "NAME")]
    bot: String,
    /// How long the old token works beside the new one, like 90s, 30m, 1h or 7d, which is the longest; 0 ends it at once
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = overlap)]
    overlap: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Revoke {
    #[command(flatten)]
    operator: Operator,
    /// Which: its name or bot_…
    #[arg(value_name = "NAME")]
    bot: String,
}

/// A bot, as `/v1/bots` shows it.
#[derive(Deserialize)]
struct Bot {
    id: String,
    name: String,
    scopes: Vec<String>,
    last_used_at: Option<String>,
    previous_token_until: Option<String>,
}

/// A bot with its next token, as it is shown once. Never printed with `Debug`.
#[derive(Deserialize)]
struct Rotated {
    name: String,
    token: String,
    previous_token_until: Option<String>,
}

/// A bot with its token, as it is shown once. Never printed with `Debug`.
#[derive(Deserialize)]
struct Added {
    name: String,
    scopes: Vec<String>,
    token: String,
}

#[derive(Deserialize)]
struct Bots {
    bots: Vec<Bot>,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::Add(add) => add.run(out).await,
            Act::List(list) => list.run("bots", row, "There is no bot yet: `phoneops bot add NAME` makes one", out).await,
            Act::Rotate(rotate) => rotate.run(out).await,
            Act::Revoke(revoke) => revoke.run(out).await,
            Act::Key(act) => act.run(out).await,
            Act::Limit(act) => act.run(out).await,
        }
    }
}

impl Add {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let body = json!({"name": self.name, "scopes": self.scopes});
        let reply = self.operator.connect()?.post("/v1/bots", &body).await?;
        tell(out, self.json, &reply.body, |out, bot: Added| {
            out.line(format_args!("Added bot {}: it may {}", bot.name, bot.scopes.join(", ")));
            out.line(format_args!("Token: {}", bot.token));
            out.note("Keep the token now: it is not shown again. The bot's commands read it from PHONEOPS_TOKEN.");
        })
    }
}

impl Rotate {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.operator.connect()?;
        let id = identify(&client, &self.bot).await?;
        let body = json!({"overlap_seconds": self.overlap});
        let reply = client.post(&format!("/v1/bots/{id}/rotate"), &body).await?;
        tell(out, self.json, &reply.body, |out, bot: Rotated| {
            let until = bot
                .previous_token_until
                .map_or_else(|| "does not work any more".to_owned(), |until| format!("works until {until}"));
            out.line(format_args!("Rotated bot {}: its old token {until}", bot.name));
            out.line(format_args!("Token: {}", bot.token));
            out.note("Keep the token now: it is not shown again.");
        })
    }
}

fn row(bot: Bot) -> Vec<String> {
    let until = bot.previous_token_until.map(|until| format!("old token until {until}"));
    [bot.name, bot.id, bot.scopes.join(","), used(bot.last_used_at)].into_iter().chain(until).collect()
}

fn overlap(text: &str) -> Result<u32, String> {
    time::seconds(text, 7)
}

fn bots(body: &Value) -> Result<Vec<Bot>, Failure> {
    Ok(read::<Bots>(body)?.bots)
}

impl Revoke {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.operator.connect()?;
        let id = identify(&client, &self.bot).await?;
        client.delete(&format!("/v1/bots/{id}")).await?;
        out.line(format_args!("Revoked bot {}: its token does not work any more", self.bot));
        Ok(Outcome::Done)
    }
}

/// The id itself, or that of the bot with the name.
async fn identify(client: &Client, bot: &str) -> Result<String, Failure> {
    if let Ok(id) = bot.parse::<BotId>() {
        return Ok(id.to_string());
    }
    let name: Handle = bot.parse().map_err(|error| Failure::Usage(format!("{bot}: {error}")))?;
    let known = bots(&client.get("/v1/bots").await?.body)?;
    let found = known.into_iter().find(|bot| bot.name == name.as_str());
    found.map(|bot| bot.id).ok_or_else(|| Failure::Other(format!("there is no bot {name}")))
}
