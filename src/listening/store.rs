//! The SQL of listening. It reads what other domains wrote, to learn whom an event concerns, and changes none of it.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::audience::Party;
use super::webhooks::Webhook;
use crate::clock::Timestamp;
use crate::db::{Db, FromRow, Json, Result, Row, Sql, Tx};
use crate::id::WebhookId;

impl FromRow for Party {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            subject: row.get("subject_id")?,
            user: row.get("user_id")?,
            bot: row.get("bot_id")?,
            opened_by: row.get::<Option<Json<_>>>("opened_by")?.map(|Json(actor)| actor),
        })
    }
}

const PARTIES: Sql = Sql::either(
    "with asked as (select unhex(value) as id from json_each($1))
     select distinct subject_id, user_id, null as bot_id, null as opened_by from notifications
         where subject_id in (select id from asked)
     union all select approval_id, user_id, null, null from doorbells where approval_id in (select id from asked)
     union all select id, requester_id, bot_id, null from approvals where id in (select id from asked)
     union all select id, acted_by, acted_via, opened_by from incidents where id in (select id from asked)
     union all select incident_id, user_id, null, null from incident_responders where incident_id in (select id from asked)",
    "with asked as (select value::uuid as id from jsonb_array_elements_text($1))
     select distinct subject_id, user_id, null::uuid as bot_id, null::jsonb as opened_by from notifications
         where subject_id in (select id from asked)
     union all select approval_id, user_id, null, null from doorbells where approval_id in (select id from asked)
     union all select id, requester_id, bot_id, null from approvals where id in (select id from asked)
     union all select id, acted_by, acted_via, opened_by from incidents where id in (select id from asked)
     union all select incident_id, user_id, null, null from incident_responders where incident_id in (select id from asked)",
);

/// Who has to do with these approvals and incidents: who asked, who was told, who acted.
pub(super) async fn parties(db: &mut Db<'_>, subjects: BTreeSet<Uuid>) -> Result<Vec<Party>> {
    let subjects: Vec<_> = subjects.into_iter().map(|id| id.simple().to_string()).collect();
    db.query(PARTIES).bind(Json(subjects)).all().await
}

/// Who stopped being trusted, or with which tokens.
pub(super) struct Ended {
    pub(super) who: Uuid,
    /// The first of its tokens that is still trusted; for those that are not at all, none is.
    pub(super) from: i64,
}

impl FromRow for Ended {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { who: row.get("id")?, from: row.get("trusted_from")? })
    }
}

/// The devices, people and bots that stopped being trusted since then, and the bots one of whose tokens did. A token that was replaced
/// twice ends with the second time, and not with its overlap: so every bot whose last overlap ends after then is looked at.
pub(super) async fn ended_since(db: &mut Db<'_>, since: Timestamp, now: Timestamp) -> Result<Vec<Ended>> {
    db.query(
        "select id, 9223372036854775807 as trusted_from from devices where revoked_at >= $1
         union all select id, 9223372036854775807 from users where removed_at >= $1
         union all select id, 9223372036854775807 from bots where revoked_at >= $1
         union all select id, case when previous_token_until > $2 then token_number - 1 else token_number end from bots
             where previous_token_until >= $1 and revoked_at is null",
    )
    .bind(since)
    .bind(now)
    .all()
    .await
}

// Webhooks.

impl FromRow for Webhook {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            bot: row.get("bot_id")?,
            url_sealed: row.get("url_sealed")?,
            kinds: row.get::<Json<_>>("kinds")?.0,
            secret_sealed: row.get("secret_sealed")?,
            previous_sealed: row.get("previous_sealed")?,
            previous_until: row.get("previous_until")?,
            cursor: row.get("cursor")?,
            failures: row.get("failures")?,
            failing_since: row.get("failing_since")?,
            last_error: row.get("last_error")?,
            created_at: row.get("created_at")?,
            disabled_at: row.get("disabled_at")?,
            disabled_why: row.get("disabled_why")?,
        })
    }
}

/// Stores a new webhook, which begins behind what is sealed now.
pub(super) async fn insert(tx: &mut Tx<'_>, webhook: &Webhook) -> Result<()> {
    tx.query(
        "insert into webhooks (id, bot_id, url_sealed, kinds, secret_sealed, cursor, failures, created_at)
         select $1, $2, $3, $4, $5, seq, 0, $6 from journal_head where id = 1",
    )
    .bind(webhook.id)
    .bind(webhook.bot)
    .bind(webhook.url_sealed.as_slice())
    .bind(Json(&webhook.kinds))
    .bind(webhook.secret_sealed.as_slice())
    .bind(webhook.created_at)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn count(db: &mut Db<'_>) -> Result<i64> {
    db.query("select count(*) from webhooks").one().await
}

pub(super) async fn find(db: &mut Db<'_>, id: WebhookId) -> Result<Option<Webhook>> {
    db.query("select * from webhooks where id = $1").bind(id).optional().await
}

pub(super) async fn list(db: &mut Db<'_>) -> Result<Vec<Webhook>> {
    db.query("select * from webhooks order by id").all().await
}

/// The webhook, locked until the transaction ends: whoever enqueues, delivers or changes comes one after the other.
pub(super) async fn lock(tx: &mut Tx<'_>, id: WebhookId) -> Result<Option<Webhook>> {
    tx.query(Sql::either("select * from webhooks where id = $1", "select * from webhooks where id = $1 for update"))
        .bind(id)
        .optional()
        .await
}

pub(super) async fn delete(tx: &mut Tx<'_>, id: WebhookId) -> Result<bool> {
    Ok(tx.query("delete from webhooks where id = $1").bind(id).execute().await? == 1)
}

/// The new secret, the old one beside it until then.
pub(super) async fn rotate(tx: &mut Tx<'_>, id: WebhookId, secret: &[u8], until: Timestamp) -> Result<()> {
    tx.query("update webhooks set previous_sealed = secret_sealed, previous_until = $3, secret_sealed = $2 where id = $1")
        .bind(id)
        .bind(secret)
        .bind(until)
        .execute()
        .await?;
    Ok(())
}

pub(super) async fn enable(tx: &mut Tx<'_>, id: WebhookId) -> Result<()> {
    tx.query(
        "update webhooks set disabled_at = null, disabled_why = null, failures = 0, failing_since = null, last_error = null
         where id = $1",
    )
    .bind(id)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn disable(tx: &mut Tx<'_>, id: WebhookId, why: &str, now: Timestamp) -> Result<()> {
    tx.query("update webhooks set disabled_at = $2, disabled_why = $3 where id = $1")
        .bind(id)
        .bind(now)
        .bind(why)
        .execute()
        .await?;
    Ok(())
}

/// Moves the cursor on after a delivery, or past what nobody wants; `false` when another worker moved it, or it was disabled.
pub(super) async fn advance(tx: &mut Tx<'_>, id: WebhookId, from: i64, to: i64, delivered: bool) -> Result<bool> {
    let rows = tx
        .query(
            "update webhooks set cursor = $3, failures = case when $4 then 0 else failures end,
                 failing_since = case when $4 then null else failing_since end,
                 last_error = case when $4 then null else last_error end
             where id = $1 and cursor = $2 and disabled_at is null",
        )
        .bind(id)
        .bind(from)
        .bind(to)
        .bind(delivered)
        .execute()
        .await?;
    Ok(rows == 1)
}

pub(super) async fn failed(tx: &mut Tx<'_>, id: WebhookId, since: Timestamp, failures: u32, why: &str) -> Result<()> {
    tx.query("update webhooks set failures = $3, failing_since = $2, last_error = $4 where id = $1")
        .bind(id)
        .bind(since)
        .bind(failures)
        .bind(why)
        .execute()
        .await?;
    Ok(())
}

/// Webhooks for which entries wait and no job is there.
pub(super) async fn waiting(db: &mut Db<'_>) -> Result<Vec<WebhookId>> {
    db.query(
        "select id from webhooks where disabled_at is null and cursor < (select seq from journal_head where id = 1)
         and not exists (select 1 from jobs where kind = 'webhook' and subject_id = webhooks.id and buried_at is null)",
    )
    .all()
    .await
}

/// As [`waiting`], for one.
pub(super) async fn is_waiting(tx: &mut Tx<'_>, id: WebhookId) -> Result<bool> {
    let found: Vec<WebhookId> = waiting(tx.db()).await?;
    Ok(found.contains(&id))
}
