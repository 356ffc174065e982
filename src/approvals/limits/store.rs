//! The SQL of limits.

use super::{Limited, Limits};
use crate::clock::Timestamp;
use crate::db::{Db, FromRow, Json, Result, Row, Tx};
use crate::id::BotId;

impl FromRow for Limited {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { limits: row.get::<Json<Limits>>("limits")?.0, changed_at: row.get("changed_at")? })
    }
}

pub(in crate::approvals) async fn find(db: &mut Db<'_>, bot: BotId) -> Result<Option<Limited>> {
    db.query("select * from bot_limits where bot_id = $1").bind(bot).optional().await
}

/// The bots that are limited, and how.
pub(in crate::approvals) async fn list(db: &mut Db<'_>) -> Result<Vec<(BotId, Limits)>> {
    let all: Vec<Kept> = db.query("select bot_id, limits from bot_limits order by bot_id").all().await?;
    Ok(all.into_iter().map(|Kept(bot, limits)| (bot, limits)).collect())
}

struct Kept(BotId, Limits);

impl FromRow for Kept {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self(row.get("bot_id")?, row.get::<Json<Limits>>("limits")?.0))
    }
}

pub(in crate::approvals) async fn set(tx: &mut Tx<'_>, bot: BotId, limits: &Limits, now: Timestamp) -> Result<()> {
    tx.query(
        "insert into bot_limits (bot_id, limits, changed_at) values ($1, $2, $3)
         on conflict (bot_id) do update set limits = excluded.limits, changed_at = excluded.changed_at",
    )
    .bind(bot)
    .bind(Json(limits))
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

pub(in crate::approvals) async fn remove(tx: &mut Tx<'_>, bot: BotId) -> Result<bool> {
    Ok(tx.query("delete from bot_limits where bot_id = $1").bind(bot).execute().await? == 1)
}
