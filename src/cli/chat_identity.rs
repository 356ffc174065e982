//! `phoneops chat-identity`: who people are in chat.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::connect::{At, Operator};
use super::noun::{List, tell};
use super::reply::Person;
use super::{Failure, Out, Outcome};
use crate::id::ChatIdentityId;
use crate::identity::chat::ChatId;
use crate::text::line;

/// What people read where there is none.
const NONE: &str = "There is no chat identity yet: a bot asks for a code, and the person types it on their phone";

/// Link, list and unlink chat identities: who people are in chat
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// As a bot: a code for somebody in chat, which they type on their phone
    ///
    /// As the bot whose token is in `PHONEOPS_TOKEN` or in the file that `PHONEOPS_TOKEN_FILE` names. Show the code to that person alone.
    #[command(after_help = "Example:\n  phoneops chat-identity code slack T0ORG U0YANNICK --name yannick")]
    Code(Code),
    /// List everybody's, the oldest first
    #[command(after_help = "Example:\n  phoneops chat-identity list")]
    List(List),
    /// End a link, at once
    #[command(after_help = "Example:\n  phoneops chat-identity unlink cid_019b0f2a6c5b7000a1b2c3d4e5f60718")]
    Unlink(Unlink),
}

#[derive(Debug, Args)]
struct Code {
    #[command(flatten)]
    at: At,
    /// slack, irc, …
    platform: ChatId,
    /// The workspace, team or server
    workspace: ChatId,
    /// The person's id there; not their name, which changes
    user: ChatId,
    /// What chat calls them, to be shown on the phone
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Unlink {
    #[command(flatten)]
    operator: Operator,
    /// Which
    #[arg(value_name = "cid_…")]
    id: ChatIdentityId,
}

/// A code, as it is shown once. Never printed with `Debug`.
#[derive(Deserialize)]
struct Offered {
    code: String,
}

/// A link, as `/v1/chat-identities` shows it.
#[derive(Deserialize)]
struct Linked {
    id: String,
    platform: String,
    workspace: String,
    user: String,
    name: Option<String>,
    person: Person,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::Code(code) => code.run(out).await,
            Act::List(list) => list.run_from("/v1/chat-identities?all=true", "chat_identities", row, NONE, out).await,
            Act::Unlink(unlink) => unlink.run(out).await,
        }
    }
}

impl Code {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let mut body = json!({"platform": self.platform, "workspace": self.workspace, "user": self.user});
        if let Some(name) = self.name {
            body["name"] = json!(name);
        }
        let reply = self.at.bot()?.post("/v1/chat-identities/codes", &body).await?;
        tell(out, self.json, &reply.body, |out, offered: Offered| {
            out.line(&offered.code);
            out.note("For that person alone: they type it on their phone within ten minutes.");
        })
    }
}

fn row(linked: Linked) -> Vec<String> {
    let identity = format!("{}:{}:{}", linked.platform, linked.workspace, linked.user);
    vec![format!("@{}", linked.person.handle), identity, linked.name.map(|name| line(&name, 40)).unwrap_or_default(), linked.id]
}

impl Unlink {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        self.operator.connect()?.delete(&format!("/v1/chat-identities/{}", self.id)).await?;
        out.line(format_args!("Unlinked {}: it is nobody any more", self.id));
        Ok(Outcome::Done)
    }
}
