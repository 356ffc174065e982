//! `phoneops user`: the people.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::connect::Operator;
use super::noun::{List, tell};
use super::policy::made;
use super::{Failure, Out, Outcome};
use crate::clock::Timestamp;
use crate::identity::{Handle, PersonName, UserRef};
use crate::push::MailAddress;
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
    /// Say where somebody reads e-mail, the channel of last resort
    #[command(after_help = "Example:\n  phoneops user email @yannick yannick@example.com")]
    Email(Email),
    /// Make somebody who is here an administrator, or a member again
    #[command(after_help = "Example:\n  phoneops user role @yannick admin")]
    Role(GiveRole),
    /// List the people, by handle
    #[command(after_help = "Example:\n  phoneops user list")]
    List(List),
    /// Remove a person: they may do nothing from now on, and are paged for nothing
    #[command(after_help = "Example:\n  phoneops user remove @yannick")]
    Remove(Remove),
    /// Say that somebody is away; whom they are to be represented by is confirmed with an administrator's passkey
    #[command(after_help = "Example:\n  phoneops user away @yannick --until 2026-12-01T08:00:00Z --delegate @ys")]
    Away(Away),
    /// Say that somebody is back: they answer for themselves again
    #[command(after_help = "Example:\n  phoneops user back @yannick")]
    Back(Back),
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
    /// Where they read e-mail, the channel of last resort
    #[arg(long, value_name = "ADDRESS")]
    email: Option<MailAddress>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Email {
    #[command(flatten)]
    operator: Operator,
    /// Who: @handle or usr_…
    #[arg(value_name = "@HANDLE")]
    user: UserRef,
    /// Where they read e-mail
    #[arg(required_unless_present = "none", conflicts_with = "none")]
    address: Option<MailAddress>,
    /// They read none, or none that is to be written to
    #[arg(long)]
    none: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct GiveRole {
    #[command(flatten)]
    operator: Operator,
    /// Who: @handle or usr_…
    #[arg(value_name = "@HANDLE")]
    user: UserRef,
    /// What they may administer: everything, or their own devices
    #[arg(value_parser = ["admin", "member"])]
    role: String,
}

#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    operator: Operator,
    /// Who: @handle or usr_…
    #[arg(value_name = "@HANDLE")]
    user: UserRef,
}

#[derive(Debug, Args)]
struct Away {
    #[command(flatten)]
    operator: Operator,
    /// Who: @handle or usr_…
    #[arg(value_name = "@HANDLE")]
    user: UserRef,
    /// From when [default: from now on]
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Until when, like 2026-12-01T08:00:00Z
    #[arg(long, value_name = "TIME")]
    until: Timestamp,
    /// Who answers for them meanwhile; without one they are not asked, and nobody is in their place
    #[arg(long, value_name = "@HANDLE")]
    delegate: Option<UserRef>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Back {
    #[command(flatten)]
    operator: Operator,
    /// Who: @handle or usr_…
    #[arg(value_name = "@HANDLE")]
    user: UserRef,
    /// Print JSON
    #[arg(long)]
    json: bool,
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
            Act::Email(email) => email.run(out).await,
            Act::Role(role) => role.run(out).await,
            Act::List(list) => list.run("users", row, NOBODY, out).await,
            Act::Remove(remove) => remove.run(out).await,
            Act::Away(away) => away.run(out).await,
            Act::Back(back) => back.run(out).await,
        }
    }
}

impl Add {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let role = if self.admin { "admin" } else { "member" };
        let mut body = json!({"handle": self.handle, "name": self.name, "role": role});
        if let Some(email) = &self.email {
            body["email"] = json!(email);
        }
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

impl Email {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let body = json!({"email": self.address});
        self.operator.connect()?.put(&format!("/v1/users/{}/email", self.user), &body).await?;
        match &self.address {
            _ if self.json => out.json(&json!({"user": self.user, "email": self.address})),
            Some(address) => out.line(format_args!("{} reads e-mail at {}", self.user, address.as_str())),
            None => out.line(format_args!("No e-mail is sent to {}", self.user)),
        }
        Ok(Outcome::Done)
    }
}

impl GiveRole {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let body = json!({"role": self.role});
        let reply = self.operator.connect()?.put(&format!("/v1/users/{}/role", self.user), &body).await?;
        let done = if self.role == "admin" { "administers" } else { "does not administer" };
        Ok(made(&reply, &format!("{} {done}", self.user), out))
    }
}

impl Remove {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        self.operator.connect()?.delete(&format!("/v1/users/{}", self.user)).await?;
        out.line(format_args!("Removed {}", self.user));
        Ok(Outcome::Done)
    }
}

impl Away {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let mut body = json!({"until": self.until});
        if let Some(from) = self.from {
            body["from"] = json!(from);
        }
        if let Some(delegate) = &self.delegate {
            body["delegate"] = json!(delegate);
        }
        let reply = self.operator.connect()?.put(&format!("/v1/users/{}/away", self.user), &body).await?;
        if self.json {
            out.json(&reply.body);
            return Ok(if reply.status == 202 { Outcome::Pending } else { Outcome::Done });
        }
        Ok(made(&reply, &format!("{} is away until {}, and nobody answers for them", self.user, self.until), out))
    }
}

impl Back {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        self.operator.connect()?.delete(&format!("/v1/users/{}/away", self.user)).await?;
        if self.json {
            out.json(&json!({"user": self.user, "away": false}));
        } else {
            out.line(format_args!("{} is back", self.user));
        }
        Ok(Outcome::Done)
    }
}
