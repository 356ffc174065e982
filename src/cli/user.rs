//! `phoneops user`: the people.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::connect::Operator;
use super::noun::{List, tell};
use super::{Failure, Out, Outcome};
use crate::identity::{Handle, PersonName, UserRef};
use crate::text::line;

/// Add, list and remove people
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Add a person
    #[command(after_help = "Example:\n  phoneops user add @yannick \"Yannick Schutz\"")]
    Add(Add),
    /// List the people, by handle
    #[command(after_help = "Example:\n  phoneops user list")]
    List(List),
    /// Remove a person: they may do nothing from now on, and are paged for nothing
    #[command(after_help = "Example:\n  phoneops user remove @yannick")]
    Remove(Remove),
}

#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    operator: Operator,
    /// How chat calls them
    #[arg(value_name = "@HANDLE")]
    handle: Handle,
    /// Their name, as others see it
    name: PersonName,
    /// Let them administer
    #[arg(long)]
    admin: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    operator: Operator,
    /// Who: @handle or usr_…
    #[arg(value_name = "@HANDLE")]
    user: UserRef,
}

/// A person, as `/v1/users` shows them.
#[derive(Deserialize)]
struct User {
    handle: String,
    name: String,
    role: String,
}

const NOBODY: &str = "There is nobody yet: the link that `phoneops serve` prints makes the first administrator";

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::Add(add) => add.run(out).await,
            Act::List(list) => list.run("users", row, NOBODY, out).await,
            Act::Remove(remove) => remove.run(out).await,
        }
    }
}

impl Add {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let role = if self.admin { "admin" } else { "member" };
        let body = json!({"handle": self.handle, "name": self.name, "role": role});
        let reply = self.operator.connect()?.post("/v1/users", &body).await?;
        tell(out, self.json, &reply.body, |out, user: User| {
            out.line(format_args!("Added {} (@{})", line(&user.name, 80), user.handle));
            out.note(format_args!("Give them a phone next: phoneops enroll @{}", user.handle));
        })
    }
}

fn row(user: User) -> Vec<String> {
    let role = if user.role == "member" { String::new() } else { user.role };
    vec![format!("@{}", user.handle), line(&user.name, 80), role]
}

impl Remove {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        self.operator.connect()?.delete(&format!("/v1/users/{}", self.user)).await?;
        out.line(format_args!("Removed {}", self.user));
        Ok(Outcome::Done)
    }
}
