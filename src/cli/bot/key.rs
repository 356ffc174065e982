//! `phoneops bot key`: the keys by which a chat's own bot signs its calls (ChatOps RPC).

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::connect::Operator;
use super::super::noun::tell;
use super::super::reply::read;
use super::super::words::table;
use super::super::{Failure, Out, Outcome};
use super::identify;
use crate::client::Client;
use crate::id::BotKeyId;

#[derive(Debug, Subcommand)]
pub(super) enum Act {
    /// Let a bot sign with another key
    #[command(after_help = ADD)]
    Add(Add),
    /// List the keys of a bot that work, the oldest first
    #[command(after_help = "Example:\n  phoneops bot key list hubot")]
    List(List),
    /// End a key, at once
    #[command(after_help = "Example:\n  phoneops bot key revoke hubot hubot-2027")]
    Revoke(Revoke),
}

const ADD: &str = "Example:\n  openssl genrsa -out hubot.pem 3072\n  openssl rsa -in hubot.pem -pubout -out hubot.pub.pem\n  \
phoneops bot key add hubot hubot.pub.pem --platform irc --workspace example --name hubot-2027";

#[derive(Debug, Args)]
pub(super) struct Add {
    #[command(flatten)]
    operator: Operator,
    /// Which: its name or bot_…
    #[arg(value_name = "BOT")]
    bot: String,
    /// The public key, in PEM; the private one stays with the bot
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The chat that the bot speaks in, like irc or matrix
    #[arg(long)]
    platform: String,
    /// The workspace, team or server there
    #[arg(long)]
    workspace: String,
    /// What calls name the key by [default: its id]
    #[arg(long)]
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    operator: Operator,
    /// Which: its name or bot_…
    #[arg(value_name = "BOT")]
    bot: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    operator: Operator,
    /// Which: its name or bot_…
    #[arg(value_name = "BOT")]
    bot: String,
    /// The key's name, or bky_…
    #[arg(value_name = "KEY")]
    key: String,
}

/// A key, as `/v1/bots/{id}/keys` shows it.
#[derive(Deserialize)]
struct Key {
    id: String,
    name: String,
    fingerprint: String,
    platform: String,
    workspace: String,
    created_at: String,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Key>,
}

impl Act {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self {
            Self::Add(add) => add.run(out).await,
            Self::List(list) => list.run(out).await,
            Self::Revoke(revoke) => revoke.run(out).await,
        }
    }
}

impl Add {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let file = self.file.display();
        let public_key = std::fs::read_to_string(&self.file).map_err(|error| Failure::Usage(format!("{file}: {error}")))?;
        if public_key.contains("PRIVATE KEY") {
            return Err(Failure::Usage(format!("{file} holds a private key: it stays with the bot; give its public key")));
        }
        let client = self.operator.connect()?;
        let id = identify(&client, &self.bot).await?;
        let mut body = json!({"public_key": public_key, "platform": self.platform, "workspace": self.workspace});
        if let Some(name) = self.name {
            body["name"] = Value::from(name);
        }
        let reply = client.post(&format!("/v1/bots/{id}/keys"), &body).await?;
        tell(out, self.json, &reply.body, |out, key: Key| {
            out.line(format_args!("Added key {} of bot {}: {}", key.name, self.bot, key.fingerprint));
            out.note("The bot names it as `keyid` in its signatures.");
        })
    }
}

impl List {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.operator.connect()?;
        let id = identify(&client, &self.bot).await?;
        let reply = client.get(&format!("/v1/bots/{id}/keys")).await?;
        tell(out, self.json, &reply.body["keys"], |out, keys: Vec<Key>| {
            let rows: Vec<_> = keys.into_iter().map(row).collect();
            out.lines(table(&rows));
            if rows.is_empty() {
                out.note("The bot has no key yet: `phoneops bot key add BOT FILE` registers one");
            }
        })
    }
}

fn row(key: Key) -> Vec<String> {
    vec![key.name, key.id, format!("{}:{}", key.platform, key.workspace), key.fingerprint, key.created_at]
}

impl Revoke {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let client = self.operator.connect()?;
        let bot = identify(&client, &self.bot).await?;
        let key = self.identify(&client, &bot).await?;
        client.delete(&format!("/v1/bots/{bot}/keys/{key}")).await?;
        out.line(format_args!("Revoked key {} of bot {}: what it signs is refused", self.key, self.bot));
        Ok(Outcome::Done)
    }

    async fn identify(&self, client: &Client, bot: &str) -> Result<String, Failure> {
        if let Ok(id) = self.key.parse::<BotKeyId>() {
            return Ok(id.to_string());
        }
        let keys = read::<Keys>(&client.get(&format!("/v1/bots/{bot}/keys")).await?.body)?.keys;
        let found = keys.into_iter().find(|key| key.name == self.key);
        found.map(|key| key.id).ok_or_else(|| Failure::Other(format!("bot {} has no key {}", self.bot, self.key)))
    }
}
