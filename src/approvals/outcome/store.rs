//! The SQL of outcomes, which stand beside their grants.

use super::{Outcome, Reported};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Result, Row, Tx};
use crate::id::{ApprovalId, GrantId, UserId};

impl FromRow for Reported {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: GrantId = row.get("id")?;
        let outcome = match row.get::<String>("outcome")?.as_str() {
            "succeeded" => Outcome::Succeeded,
            "failed" => Outcome::Failed,
            other => return Err(Error::inconsistent("grants", id, format!("there is no outcome {other}"))),
        };
        Ok(Self { outcome, detail: row.get("outcome_detail")?, at: row.get::<Timestamp>("outcome_at")? })
    }
}

/// What became of an approval's grant, once that was told.
pub(super) async fn find(db: &mut Db<'_>, approval: ApprovalId) -> Result<Option<Reported>> {
    db.query("select id, outcome, outcome_detail, outcome_at from grants where approval_id = $1 and outcome is not null")
        .bind(approval)
        .optional()
        .await
}

pub(super) async fn save(tx: &mut Tx<'_>, grant: GrantId, reported: &Reported) -> Result<()> {
    tx.query("update grants set outcome = $2, outcome_detail = $3, outcome_at = $4 where id = $1 and outcome is null")
        .bind(grant)
        .bind(reported.outcome.as_str())
        .bind(reported.detail.clone())
        .bind(reported.at)
        .execute()
        .await?;
    Ok(())
}

/// Those who approved.
pub(super) async fn approvers(db: &mut Db<'_>, approval: ApprovalId) -> Result<Vec<UserId>> {
    db.query("select distinct approver_id from answers where approval_id = $1 and verdict = 'approve' order by approver_id")
        .bind(approval)
        .all()
        .await
}
