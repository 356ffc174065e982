//! The SQL of policies and of the acts that weaken them.

use serde_json::Value;

use super::acts::{Act, Content, StoredActChallenge};
use super::{Head, Policy, Stored};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Json, Result, Row, Sql, Tx};
use crate::id::{ActChallengeId, ActId, PasskeyId, UserId};
use crate::journal::Actor;

impl FromRow for Stored {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            policy: row.get::<Json<Policy>>("document")?.0,
            version: row.get("version")?,
            changed_at: row.get("changed_at")?,
        })
    }
}

impl FromRow for Head {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { version: row.get("version")?, sha256: row.get("sha256")? })
    }
}

/// Where the policies stand.
pub(super) async fn head(db: &mut Db<'_>) -> Result<Head> {
    db.query("select version, sha256 from policy_head where id = 1").one().await
}

/// As [`head`], locked until the transaction ends: changes come one after the other.
pub(super) async fn lock_head(tx: &mut Tx<'_>) -> Result<Head> {
    tx.query(Sql::either(
        "select version, sha256 from policy_head where id = 1",
        "select version, sha256 from policy_head where id = 1 for update",
    ))
    .one()
    .await
}

/// The policies that hold, by name.
pub(super) async fn list(db: &mut Db<'_>) -> Result<Vec<Stored>> {
    db.query(
        "select * from policies where document is not null
             and version = (select max(version) from policies as later where later.name = policies.name)
         order by name",
    )
    .all()
    .await
}

/// Makes `document` what `name` is from now on; `None` takes it away.
pub(super) async fn change(tx: &mut Tx<'_>, head: &Head, name: &str, document: Option<&Policy>, now: Timestamp) -> Result<()> {
    let document = document.map(serde_json::to_value).transpose().map_err(|error| Error::Failed(error.to_string()))?;
    tx.query("insert into policies (version, name, document, changed_at) values ($1, $2, $3, $4)")
        .bind(head.version)
        .bind(name)
        .bind(crate::db::Value::Json(document))
        .bind(now)
        .execute()
        .await?;
    raise(tx, head).await
}

/// Makes `head` the one that acts must have been proposed against.
pub(super) async fn raise(tx: &mut Tx<'_>, head: &Head) -> Result<()> {
    let query = tx.query("update policy_head set version = $1, sha256 = $2 where id = 1");
    query.bind(head.version).bind(&head.sha256).execute().await?;
    Ok(())
}

impl FromRow for Act {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: ActId = row.get("id")?;
        let Content { change, why } = row.get::<Json<Content>>("content")?.0;
        let done = (row.get::<Option<Timestamp>>("done_at")?, row.get::<Option<UserId>>("done_by")?);
        Ok(Self {
            id,
            change,
            why,
            policy_version: row.get("policy_version")?,
            proposed_by: row.get::<Json<Actor>>("proposed_by")?.0,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            done: done.0.zip(done.1),
        })
    }
}

pub(super) async fn insert_act(tx: &mut Tx<'_>, act: &Act) -> Result<()> {
    tx.query(
        "insert into acts (id, content, policy_version, proposed_by, created_at, expires_at) values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(act.id)
    .bind(Json(Content { change: act.change.clone(), why: act.why.clone() }))
    .bind(act.policy_version)
    .bind(Json(act.proposed_by))
    .bind(act.created_at)
    .bind(act.expires_at)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn find_act(db: &mut Db<'_>, id: ActId) -> Result<Option<Act>> {
    db.query("select * from acts where id = $1").bind(id).optional().await
}

/// The act, locked: administrators come one after the other.
pub(super) async fn lock_act(tx: &mut Tx<'_>, id: ActId) -> Result<Option<Act>> {
    tx.query(Sql::either("select * from acts where id = $1", "select * from acts where id = $1 for update"))
        .bind(id)
        .optional()
        .await
}

/// What waits for a passkey, the first to expire first.
pub(super) async fn open_acts(db: &mut Db<'_>, now: Timestamp) -> Result<Vec<Act>> {
    db.query("select * from acts where done_at is null and expires_at > $1 order by expires_at, id").bind(now).all().await
}

/// Forgets what waited for a passkey and never got one, and what was offered to be signed and was not. What was signed stays.
///
/// # Errors
/// Storage errors.
pub async fn forget_acts(tx: &mut Tx<'_>, before: Timestamp) -> Result<()> {
    for sql in [
        "delete from act_challenges where used_at is null and expires_at < $1",
        "delete from acts where done_at is null and expires_at < $1
             and not exists (select 1 from act_challenges where act_id = acts.id)",
    ] {
        tx.query(sql).bind(before).execute().await?;
    }
    Ok(())
}

pub(super) async fn finish_act(tx: &mut Tx<'_>, id: ActId, by: UserId, now: Timestamp) -> Result<()> {
    tx.query("update acts set done_at = $2, done_by = $3 where id = $1").bind(id).bind(now).bind(by).execute().await?;
    Ok(())
}

impl FromRow for StoredActChallenge {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            act: row.get("act_id")?,
            admin: row.get("admin_id")?,
            statement: row.get("statement")?,
            ceremony: row.get::<Json<Value>>("ceremony")?.0,
            expires_at: row.get("expires_at")?,
            used: row.get::<Option<Timestamp>>("used_at")?.is_some(),
        })
    }
}

pub(super) async fn insert_challenge(tx: &mut Tx<'_>, id: ActChallengeId, challenge: &StoredActChallenge) -> Result<()> {
    tx.query(
        "insert into act_challenges (id, act_id, admin_id, statement, ceremony, expires_at) values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(challenge.act)
    .bind(challenge.admin)
    .bind(&challenge.statement)
    .bind(Json(&challenge.ceremony))
    .bind(challenge.expires_at)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn find_challenge(db: &mut Db<'_>, id: ActChallengeId) -> Result<Option<StoredActChallenge>> {
    db.query("select * from act_challenges where id = $1").bind(id).optional().await
}

/// Uses a challenge up and keeps what was signed; `false` when it was used before.
pub(super) async fn use_challenge(
    tx: &mut Tx<'_>,
    id: ActChallengeId,
    passkey: PasskeyId,
    credential: &Value,
    now: Timestamp,
) -> Result<bool> {
    let rows = tx
        .query("update act_challenges set used_at = $2, passkey_id = $3, credential = $4 where id = $1 and used_at is null")
        .bind(id)
        .bind(now)
        .bind(passkey)
        .bind(Json(credential))
        .execute()
        .await?;
    Ok(rows == 1)
}
