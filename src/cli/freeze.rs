//! `phoneops freeze`: what people reported, and an administrator lifts.

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::connect::Operator;
use super::noun::List;
use super::policy::made;
use super::reply::Person;
use super::{Failure, Out, Outcome};
use crate::id::FreezeId;

/// List what reports froze, and propose to lift it
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List what is frozen, the oldest first
    #[command(after_help = "Example:\n  phoneops freeze list")]
    List(List),
    /// Propose to lift a freeze, which an administrator's passkey confirms
    #[command(after_help = "Example:\n  phoneops freeze lift frz_0199e5d0000070008000000000000001")]
    Lift(Lift),
}

#[derive(Debug, Args)]
struct Lift {
    #[command(flatten)]
    operator: Operator,
    /// Which: frz_…
    id: FreezeId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A freeze, as `/v1/freezes` shows it.
#[derive(Deserialize)]
struct Freeze {
    id: String,
    bot: Named,
    requester: Option<Person>,
    frozen_by: Person,
    frozen_at: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        match self.act {
            Act::List(list) => list.run("freezes", row, "Nothing is frozen", out).await,
            Act::Lift(lift) => lift.run(out).await,
        }
    }
}

fn row(freeze: Freeze) -> Vec<String> {
    let whom = freeze.requester.map_or_else(|| "for anybody".to_owned(), |person| format!("for @{}", person.handle));
    let by = format!("reported by @{}", freeze.frozen_by.handle);
    vec![freeze.id, freeze.bot.name, whom, by, freeze.frozen_at]
}

impl Lift {
    async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let reply = self.operator.connect()?.delete(&format!("/v1/freezes/{}", self.id)).await?;
        if self.json {
            out.json(&reply.body);
            return Ok(if reply.status == 202 { Outcome::Pending } else { Outcome::Done });
        }
        Ok(made(&reply, &format!("Lifted {}", self.id), out))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_freeze_says_whose_requests_and_for_whom() {
        let mut freeze = json!({"id": "frz_1", "bot": {"id": "bot_1", "name": "heimdall"}, "approval": "apr_1",
            "requester": {"id": "usr_1", "handle": "yannick", "name": "Yannick Schutz"},
            "frozen_by": {"id": "usr_2", "handle": "ys", "name": "Ys Example"}, "frozen_at": "2026-02-03T04:05:06Z"});
        let read = |freeze: &serde_json::Value| row(serde_json::from_value(freeze.clone()).unwrap());
        assert_eq!(read(&freeze)[1..4], ["heimdall", "for @yannick", "reported by @ys"]);
        freeze.as_object_mut().unwrap().remove("requester");
        assert_eq!(read(&freeze)[2], "for anybody");
    }
}
