//! `phoneops admin`: what only whoever is on the server may do.

use clap::{Args, Subcommand};
use serde_json::json;

use super::connect::Operator;
use super::enroll::Show;
use super::{Failure, Out, Outcome};
use crate::identity::UserRef;

/// Help people who have no phone left
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Command {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Print a code that recovers a person who cannot use the phones they have
    ///
    /// The phone that claims it is paged at once and decides nothing until the recovery wait is over (a day, unless the settings say otherwise). The
    /// person's other phones and every administrator are told, and can end it meanwhile. Nothing is revoked by it: end what was lost
    /// with `phoneops device revoke`.
    #[command(after_help = "Example:\n  phoneops admin recover @yannick")]
    Recover(Recover),
}

#[derive(Debug, Args)]
struct Recover {
    #[command(flatten)]
    operator: Operator,
    /// Who: @handle or usr_…
    #[arg(value_name = "@HANDLE")]
    user: UserRef,
    #[command(flatten)]
    show: Show,
}

impl Command {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let Act::Recover(recover) = self.act;
        let path = format!("/v1/users/{}/recover", recover.user);
        let reply = recover.operator.connect()?.post(&path, &json!({})).await?;
        recover.show.code(&reply.body, &recover.user, out)
    }
}
