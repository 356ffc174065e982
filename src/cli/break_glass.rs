//! `phoneops break-glass`: open a request when nobody who could answer can be reached.

use clap::Args;
use serde_json::json;

use super::connect::Operator;
use super::noun::tell;
use super::request::words::Approval;
use super::{Failure, Out, Outcome};
use crate::id::ApprovalId;

/// Open a request that nobody can answer, unless somebody denies it in time
///
/// On the server itself, as the user it runs as. Everybody who could have answered, the requester and every administrator are told at once
/// who did it and why; until the wait is over (`break_glass_wait_seconds`, 15 minutes unless set), any of them can deny. What is opened says
/// so for ever: in its grant, its receipt and the journal. A policy may forbid it.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  phoneops break-glass apr_0199e5d0000070008000000000000010 --reason \"nobody answers, the shop is down\""
)]
pub(super) struct BreakGlass {
    #[command(flatten)]
    operator: Operator,
    /// Which request: apr_…
    #[arg(value_name = "APR")]
    approval: ApprovalId,
    /// Why: everybody who is told reads it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl BreakGlass {
    pub(super) async fn run(self, out: &mut Out) -> Result<Outcome, Failure> {
        let path = format!("/v1/approvals/{}/break-glass", self.approval);
        let reply = self.operator.connect()?.post(&path, &json!({"reason": self.reason})).await?;
        tell(out, self.json, &reply.body, |out, approval: Approval| out.line(approval.sentence()))
    }
}
