//! `phoneops chat-command`: what can be said in chat to ask for an action.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::Operator;
use super::noun::List;
use super::policy::{document, made};
use super::reply::read;
use super::{Failure, Out, Outcome};
use crate::approvals::commands::{Commands, Declaration};
use crate::identity::Handle;
use crate::text::line;

/// List, show, set, remove and test what can be said in chat to ask for an action, beside the built-in deploy, merge and approve
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List the commands, by name, with a line that each takes
    #[command(after_help = "Example:\n  phoneops chat-command list")]
    List(List),
    /// Show a declared command as JSON, in the form that `set` reads
    #[command(after_help = "Example:\n  phoneops chat-command show restart")]
    Show(Show),
    /// Declare a command out of a JSON file; what changes the meaning of a line waits for an administrator's passkey
    #[command(after_help = "Example:\n  phoneops chat-command set restart restart.json\n\n\
                            The file:\n  {\"pattern\": \"restart (?<service>[a-z-]+) in (?<environment>[a-z]+)\",\n   \
                            \"action\": {\"type\": \"restart\", \"target\": \"{environment}\", \"params\": {\"service\": \"{service}\"}},\n   \
                            \"success\": \"you are restarting {service} in {environment}\",\n   \
                            \"help\": \"restart a service\", \"example\": \"restart web in production\"}")]
    Set(Set),
    /// Propose to take a declared command away, which an administrator's passkey confirms
    #[command(after_help = "Example:\n  phoneops chat-command remove restart")]
    Remove(Remove),
    /// Say which action a line would ask for, by a JSON file as `set` reads it; asks no server
    #[command(after_help = "Example:\n  phoneops chat-command test restart restart.json \"restart web in production\"")]
    Test(Test),
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    operator: Operator,
    /// Which
    name: Handle,
}

#[derive(Debug, Args)]
struct Set {
    #[command(flatten)]
    operator: Operator,
    /// Its name; that of a built-in command takes its place
    name: Handle,
    /// What it says, as JSON; `-` reads from stdin
    file: PathBuf,
}

#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    operator: Operator,
    /// Which
    name: Handle,
}

#[derive(Debug, Args)]
struct Test {
    /// Its name
    name: Handle,
    /// What it says, as JSON; `-` reads from stdin
    file: PathBuf,
    /// The line, without the bot's name
    line: String,
}

/// A command, as `/v1/chat/commands` shows it.
#[derive(Deserialize)]
struct Shown {
    name: String,
    pattern: String,
    action: Value,
    success: String,
    help: String,
    example: String,
    built_in: bool,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::List(list) => list.run_from("/v1/chat/commands", "commands", row, "There is no command", out).await,
            Act::Show(show) => show.run(out).await,
            Act::Set(set) => set.run(out).await,
            Act::Remove(remove) => remove.run(out).await,
            Act::Test(test) => test.run(out),
        }
    }
}

fn row(command: Shown) -> Vec<String> {
    let whose = if command.built_in { "built in" } else { "declared" };
    vec![command.name, whose.to_owned(), line(&command.example, 80), line(&command.help, 80)]
}

impl Show {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let reply = self.operator.connect()?.get(&format!("/v1/chat/commands/{}", self.name)).await?;
        let Shown { pattern, action, success, help, example, .. } = read(&reply.body)?;
        out.json(&json!({"pattern": pattern, "action": action, "success": success, "help": help, "example": example}));
        Ok(Outcome::Done)
    }
}

impl Set {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let says = document(&self.file)?;
        let reply = self.operator.connect()?.put(&format!("/v1/chat/commands/{}", self.name), &says).await?;
        Ok(made(&reply, &format!("Set command {}", self.name), out))
    }
}

impl Remove {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let reply = self.operator.connect()?.delete(&format!("/v1/chat/commands/{}", self.name)).await?;
        Ok(made(&reply, &format!("Removed command {}", self.name), out))
    }
}

impl Test {
    fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let mut says = document(&self.file)?;
        says["name"] = json!(self.name);
        let wrong = |error: String| Failure::Usage(format!("{}: {error}", self.file.display()));
        let declared: Declaration = serde_json::from_value(says).map_err(|error| wrong(error.to_string()))?;
        let commands = Commands::new(vec![declared]).map_err(|error| wrong(error.to_string()))?;
        let words = self.line.split_whitespace().collect::<Vec<_>>().join(" ");
        match commands.take(&words) {
            Some(Ok(taken)) => {
                out.json(&json!({"command": taken.command, "action": taken.action, "success": taken.success}));
                Ok(Outcome::Done)
            }
            Some(Err(refused)) => Err(Failure::Other(refused.to_string())),
            None => {
                Err(Failure::Other(format!("no command begins with “{}”", line(words.split(' ').next().unwrap_or_default(), 40))))
            }
        }
    }
}
