//! The SQL of escalation policies.

use super::super::plan::{Step, Target};
use super::EscalationPolicy;
use crate::db::{Db, Error, FromRow, Json, Result, Row};
use crate::id::EscalationPolicyId;

impl FromRow for EscalationPolicy {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (id, name): (EscalationPolicyId, String) = (row.get("id")?, row.get("name")?);
        Ok(Self {
            id,
            name: name.parse().map_err(|error| Error::inconsistent("escalation_policies", id, error))?,
            team: row.get("team_id")?,
            steps: row.get::<Json<Vec<Step>>>("steps")?.0,
            repeats: row.get("repeats")?,
            last_resort: row.get::<Json<Vec<Target>>>("last_resort")?.0,
            created_at: row.get("created_at")?,
        })
    }
}

pub(super) async fn find(db: &mut Db<'_>, id: EscalationPolicyId) -> Result<Option<EscalationPolicy>> {
    db.query("select * from escalation_policies where id = $1 and removed_at is null").bind(id).optional().await
}
