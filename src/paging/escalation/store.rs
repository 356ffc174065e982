//! The SQL of escalation policies.

use super::super::plan::{Step, Target};
use super::EscalationPolicy;
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Json, Result, Row, Sql, Tx};
use crate::id::{EscalationPolicyId, ServiceId};
use crate::identity::Handle;

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

pub(super) async fn find_named(db: &mut Db<'_>, name: &Handle) -> Result<Option<EscalationPolicy>> {
    db.query("select * from escalation_policies where name = $1 and removed_at is null").bind(name.as_str()).optional().await
}

pub(super) async fn list(db: &mut Db<'_>) -> Result<Vec<EscalationPolicy>> {
    db.query("select * from escalation_policies where removed_at is null order by name").all().await
}

/// The policy, locked until the transaction ends.
pub(super) async fn lock(tx: &mut Tx<'_>, name: &Handle) -> Result<Option<EscalationPolicy>> {
    const LOCK: Sql = Sql::either(
        "select * from escalation_policies where name = $1 and removed_at is null",
        "select * from escalation_policies where name = $1 and removed_at is null for update",
    );
    tx.query(LOCK).bind(name.as_str()).optional().await
}

pub(super) async fn keep(tx: &mut Tx<'_>, name: &Handle) -> Result<Option<EscalationPolicyId>> {
    const KEEP: Sql = Sql::either(
        "select id from escalation_policies where name = $1 and removed_at is null",
        "select id from escalation_policies where name = $1 and removed_at is null for share",
    );
    tx.query(KEEP).bind(name.as_str()).optional().await
}

/// Stores a new policy; `false` when its name is taken.
pub(super) async fn insert(tx: &mut Tx<'_>, policy: &EscalationPolicy) -> Result<bool> {
    let rows = tx
        .query(
            "insert into escalation_policies (id, name, team_id, steps, repeats, last_resort, created_at)
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (name) where removed_at is null do nothing",
        )
        .bind(policy.id)
        .bind(policy.name.as_str())
        .bind(policy.team)
        .bind(Json(&policy.steps))
        .bind(policy.repeats)
        .bind(Json(&policy.last_resort))
        .bind(policy.created_at)
        .execute()
        .await?;
    Ok(rows == 1)
}

pub(super) async fn update(tx: &mut Tx<'_>, policy: &EscalationPolicy) -> Result<()> {
    tx.query("update escalation_policies set team_id = $2, steps = $3, repeats = $4, last_resort = $5 where id = $1")
        .bind(policy.id)
        .bind(policy.team)
        .bind(Json(&policy.steps))
        .bind(policy.repeats)
        .bind(Json(&policy.last_resort))
        .execute()
        .await?;
    Ok(())
}

pub(super) async fn remove(tx: &mut Tx<'_>, id: EscalationPolicyId, now: Timestamp) -> Result<()> {
    tx.query("update escalation_policies set removed_at = $2 where id = $1").bind(id).bind(now).execute().await?;
    Ok(())
}

/// The services that page by it, by name.
pub(super) async fn services(db: &mut Db<'_>, id: EscalationPolicyId) -> Result<Vec<Handle>> {
    struct Named(Handle);
    impl FromRow for Named {
        fn from_row(row: &Row<'_>) -> Result<Self> {
            let (id, name): (ServiceId, String) = (row.get("id")?, row.get("name")?);
            Ok(Self(name.parse().map_err(|error| Error::inconsistent("services", id, error))?))
        }
    }
    let found = db.query("select id, name from services where policy_id = $1 and removed_at is null order by name").bind(id);
    Ok(found.all::<Named>().await?.into_iter().map(|Named(name)| name).collect())
}
