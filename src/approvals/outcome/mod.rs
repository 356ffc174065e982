//! What became of what was approved: told once by the bot that redeemed the grant, and passed on to those who approved.
//!
//! **Invariants**
//! - Only of a redeemed grant, only by its redeemer, only once; it never changes afterwards.
//! - Whoever approved is told, quietly: nothing is left to do. After a break-glass everybody is who was told of that.

pub(super) mod store;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::deciding::Parts;
use super::machine::{Approval, State};
use super::refused::{Error, Refused};
use super::service::Approvals;
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::delivery::{Content, Notice, Words};
use crate::id::{ApprovalId, BotId, GrantId, UserId};
use crate::identity::{Call, Scope};
use crate::journal::{Actor, Entry};
use crate::push::Category;
use crate::text::{line, visible};

/// "It succeeded" is news for an hour.
const NEWS_LIFE: Duration = Duration::from_secs(3600);

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Succeeded,
    /// It was tried and not done, or not wholly.
    Failed,
}

impl Outcome {
    /// As it stands in the database and in sentences.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// What became of an approved action, as its redeemer told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reported {
    /// How it went.
    pub outcome: Outcome,
    /// More about it, in the redeemer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When that was told.
    pub at: Timestamp,
}

struct Reporting {
    grant: GrantId,
    bot: BotId,
    actor: Actor,
    reported: Reported,
}

impl Approvals {
    /// Tells what became of what a grant allowed; the approval it came from, and what was kept.
    ///
    /// # Errors
    /// Only the bot that redeemed it may, once.
    pub async fn report(
        &self,
        call: &Call,
        grant: GrantId,
        outcome: Outcome,
        detail: Option<String>,
    ) -> Result<(ApprovalId, Reported), Error> {
        let bot = call.bot(Scope::GrantsRedeem)?.id;
        let (now, parts, actor) = (self.clock.now(), self.parts(), call.actor(None));
        let reporting = Reporting { grant, bot, actor, reported: Reported { outcome, detail, at: now } };
        call.write(&self.store, now, move |tx| Box::pin(async move { report(tx, &parts, reporting).await })).await
    }
}

async fn report(tx: &mut Tx<'_>, parts: &Parts, reporting: Reporting) -> Result<(ApprovalId, Reported), Error> {
    let Reporting { grant, bot, actor, reported } = reporting;
    let stored = super::store::lock_grant(tx, grant).await?.filter(|stored| stored.bot == bot);
    let stored = stored.ok_or_else(|| Refused::NotFound(grant.to_string()))?;
    if stored.redeemed_at.is_none() {
        return Err(Refused::GrantNotRedeemed.into());
    }
    if let Some(before) = store::find(tx.db(), stored.approval).await? {
        return Err(Refused::OutcomeReported { at: before.at }.into());
    }
    let known = super::store::find(tx.db(), stored.approval).await?;
    let known = known.ok_or_else(|| db::Error::inconsistent("grants", grant, "its approval is not there"))?;
    let approval = known.approval;
    store::save(tx, grant, &reported).await?;
    let data = json!({"approval": approval.id, "outcome": reported.outcome, "detail": reported.detail});
    let entry = Entry { kind: "grant.outcome_reported", actor, subject: grant.to_string(), data };
    parts.journal.append(tx, reported.at, entry).await?;
    for user in concerned(tx.db(), &approval).await? {
        let content = content(&approval, &reported);
        let expires_at = reported.at.after(NEWS_LIFE);
        let notice = Notice { user, subject: approval.id.0, round: 1, content, expires_at, replaces: None };
        parts.delivery.notify(tx, notice, reported.at).await?;
    }
    crate::crash_point!("outcome-reported");
    Ok((approval.id, reported))
}

/// Those who approved; and where nobody did, those who were told of the break-glass.
async fn concerned(db: &mut Db<'_>, approval: &Approval) -> db::Result<Vec<UserId>> {
    match (&approval.state, &approval.break_glass) {
        (State::Opened { .. }, Some(glass)) => Ok(glass.told.clone()),
        _ => store::approvers(db, approval.id).await,
    }
}

/// "deploy → production: succeeded". Unlike the doorbell it names the action: it comes too late to be answered unread.
fn content(approval: &Approval, reported: &Reported) -> Content {
    let action = &approval.action;
    let title = format!("{} → {}: {}", visible(&action.kind), visible(&action.target), reported.outcome.as_str());
    let detail = reported.detail.as_deref().map(|detail| format!(": {}", line(detail, 200))).unwrap_or_default();
    Content {
        category: Category::Outcome,
        high: false,
        words: Words { title, body: format!("Request {}{detail}", approval.tag) },
        full: None,
        path: format!("/a/{}", approval.id),
        subject: approval.id.to_string(),
        reference: None,
    }
}

/// What became of `approval`, once that was told.
pub(super) async fn of(db: &mut Db<'_>, approval: &Approval) -> db::Result<Option<Reported>> {
    if approval.is_allowed() { store::find(db, approval.id).await } else { Ok(None) }
}
