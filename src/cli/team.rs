//! `phoneops team`: people who approve together.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::connect::Operator;
use super::noun::List;
use super::policy::made;
use super::reply::Person;
use super::words::names;
use super::{Failure, Out, Outcome};
use crate::identity::{Handle, UserRef};

/// Add and list teams, and change who is in them
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Add a team
    #[command(after_help = "Example:\n  phoneops team add ops")]
    Add(Add),
    /// List the teams with their members
    #[command(after_help = "Example:\n  phoneops team list")]
    List(List),
    /// Let somebody join a team; where a policy names it, an administrator's passkey confirms that
    #[command(after_help = "Example:\n  phoneops team join ops @yannick")]
    Join(Membership),
    /// Take somebody out of a team
    #[command(after_help = "Example:\n  phoneops team leave ops @yannick")]
    Leave(Membership),
}

#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    operator: Operator,
    /// Its name
    name: Handle,
}

#[derive(Debug, Args)]
struct Membership {
    #[command(flatten)]
    operator: Operator,
    /// The team
    team: Handle,
    /// Who: @handle or usr_…
    #[arg(value_name = "@HANDLE")]
    user: UserRef,
}

/// A team, as `/v1/teams` shows it.
#[derive(Deserialize)]
struct Team {
    name: String,
    members: Vec<Person>,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::Add(add) => {
                add.operator.connect()?.post("/v1/teams", &json!({"name": add.name})).await?;
                out.line(format_args!("Added team {}", add.name));
                Ok(Outcome::Done)
            }
            Act::List(list) => list.run("teams", row, "There is no team yet: `phoneops team add NAME` makes one", out).await,
            Act::Join(membership) => {
                let reply = membership.operator.connect()?.put(&membership.path(), &json!({})).await?;
                Ok(made(&reply, &format!("{} joined team {}", membership.user, membership.team), out))
            }
            Act::Leave(membership) => {
                membership.operator.connect()?.delete(&membership.path()).await?;
                out.line(format_args!("{} left team {}", membership.user, membership.team));
                Ok(Outcome::Done)
            }
        }
    }
}

impl Membership {
    fn path(&self) -> String {
        format!("/v1/teams/{}/members/{}", self.team, self.user)
    }
}

fn row(team: Team) -> Vec<String> {
    vec![team.name, names(&team.members)]
}
