//! The SQL of what Slack sent, and of who tells it what became of it.

use crate::clock::Timestamp;
use crate::db::{Db, FromRow, Result, Row, Sql, Tx};
use crate::id::{BotId, SlackCallId};

/// A call that is to be done.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) id: SlackCallId,
    /// Opened by whoever has the master key.
    pub(super) sealed: Vec<u8>,
    pub(super) received_at: Timestamp,
    /// The fence.
    pub(super) tries: u32,
}

impl FromRow for Kept {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            sealed: row.get("sealed")?,
            received_at: row.get("received_at")?,
            tries: row.get("tries")?,
        })
    }
}

/// Keeps a call that this node does until `due_at`; `false` when it came before.
pub(super) async fn insert(tx: &mut Tx<'_>, kept: &Kept, once: [u8; 32], due_at: Timestamp) -> Result<bool> {
    let rows = tx
        .query(
            "insert into slack_calls (id, once_sha256, sealed, received_at, due_at, tries) values ($1, $2, $3, $4, $5, $6)
             on conflict (once_sha256) do nothing",
        )
        .bind(kept.id)
        .bind(once)
        .bind(kept.sealed.clone())
        .bind(kept.received_at)
        .bind(due_at)
        .bind(kept.tries)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// How many calls are due.
pub(super) async fn due(db: &mut Db<'_>, now: Timestamp) -> Result<i64> {
    db.query("select count(*) from (select 1 from slack_calls where done_at is null and due_at <= $1 limit 1) as due")
        .bind(now)
        .one()
        .await
}

/// Takes calls that nobody is done with, until `until`.
pub(super) async fn claim(tx: &mut Tx<'_>, now: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<Kept>> {
    const CLAIM: Sql = Sql::either(
        "update slack_calls set due_at = $2, tries = tries + 1
         where id in (select id from slack_calls where done_at is null and due_at <= $1 order by due_at limit $3)
         returning id, sealed, received_at, tries",
        "update slack_calls set due_at = $2, tries = tries + 1
         where id = any(array(select id from slack_calls where done_at is null and due_at <= $1 order by due_at limit $3
             for update skip locked))
         returning id, sealed, received_at, tries",
    );
    tx.query(CLAIM).bind(now).bind(until).bind(limit).all().await
}

/// Ends a call; `false` when another works on it by now.
pub(super) async fn done(tx: &mut Tx<'_>, id: SlackCallId, tries: u32, now: Timestamp) -> Result<bool> {
    let rows = tx
        .query("update slack_calls set done_at = $3, sealed = null where id = $1 and tries = $2 and done_at is null")
        .bind(id)
        .bind(tries)
        .bind(now)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// Lets a call be done later, by whichever node.
pub(super) async fn release(tx: &mut Tx<'_>, id: SlackCallId, tries: u32, due_at: Timestamp) -> Result<()> {
    tx.query("update slack_calls set due_at = $3 where id = $1 and tries = $2 and done_at is null")
        .bind(id)
        .bind(tries)
        .bind(due_at)
        .execute()
        .await?;
    Ok(())
}

/// Lets everything that is not done be done now: for whoever knows that nobody else works on it.
pub(super) async fn revive(tx: &mut Tx<'_>, now: Timestamp) -> Result<()> {
    tx.query("update slack_calls set due_at = $1 where done_at is null and due_at > $1").bind(now).execute().await?;
    Ok(())
}

/// Forgets what was done before `before`.
pub(super) async fn forget(tx: &mut Tx<'_>, before: Timestamp) -> Result<()> {
    tx.query("delete from slack_calls where done_at < $1").bind(before).execute().await?;
    Ok(())
}

/// A place from which a workspace is told, held by whoever has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// The cursor.
    pub(super) seq: i64,
    /// The fence.
    pub(super) lease: i64,
}

impl FromRow for Held {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { seq: row.get("seq")?, lease: row.get("lease")? })
    }
}

/// Sees to it that there is a cursor, at `seq` where there is none.
pub(super) async fn begin(tx: &mut Tx<'_>, bot: BotId, workspace: &str, seq: i64) -> Result<()> {
    tx.query(
        "insert into slack_followers (bot_id, workspace, seq, lease, held_until) values ($1, $2, $3, 0, 0)
         on conflict (bot_id, workspace) do nothing",
    )
    .bind(bot)
    .bind(workspace)
    .bind(seq)
    .execute()
    .await?;
    Ok(())
}

/// Takes the cursor until `until`, where nobody holds it at `now`.
pub(super) async fn hold(
    tx: &mut Tx<'_>,
    bot: BotId,
    workspace: &str,
    (now, until): (Timestamp, Timestamp),
) -> Result<Option<Held>> {
    tx.query(
        "update slack_followers set lease = lease + 1, held_until = $4 where bot_id = $1 and workspace = $2 and held_until <= $3
         returning seq, lease",
    )
    .bind(bot)
    .bind(workspace)
    .bind(now)
    .bind(until)
    .optional()
    .await
}

/// Gives the cursor up, where it is ours.
pub(super) async fn let_go(tx: &mut Tx<'_>, bot: BotId, workspace: &str, lease: i64) -> Result<()> {
    tx.query("update slack_followers set held_until = 0 where bot_id = $1 and workspace = $2 and lease = $3")
        .bind(bot)
        .bind(workspace)
        .bind(lease)
        .execute()
        .await?;
    Ok(())
}

/// Moves the cursor and holds it until `until`; `false` when another holds it by now.
pub(super) async fn keep(tx: &mut Tx<'_>, bot: BotId, workspace: &str, held: Held, until: Timestamp) -> Result<bool> {
    let rows = tx
        .query("update slack_followers set seq = $4, held_until = $5 where bot_id = $1 and workspace = $2 and lease = $3")
        .bind(bot)
        .bind(workspace)
        .bind(held.lease)
        .bind(held.seq)
        .bind(until)
        .execute()
        .await?;
    Ok(rows == 1)
}
