//! The SQL of bots' keys.

use super::{BotKey, KeyName, RsaPublicKey};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Result, Row, Tx};
use crate::id::{BotId, BotKeyId};
use crate::identity::chat::ChatId;

impl FromRow for BotKey {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: BotKeyId = row.get("id")?;
        let odd = |error: &dyn std::fmt::Display| Error::inconsistent("bot_keys", id, error);
        let part = |name: &str| -> Result<ChatId> { row.get::<String>(name)?.parse().map_err(|error| odd(&error)) };
        let name: KeyName = row.get::<String>("name")?.parse().map_err(|error| odd(&error))?;
        let public_key = RsaPublicKey::from_der(row.get::<Vec<u8>>("public_key")?).map_err(|error| odd(&error))?;
        let (platform, workspace) = (part("platform")?, part("workspace")?);
        Ok(Self { id, bot: row.get("bot_id")?, name, public_key, platform, workspace, created_at: row.get("created_at")? })
    }
}

/// Holds the bot until the end of the transaction; `false` when there is none that works.
pub(super) async fn lock_bot(tx: &mut Tx<'_>, bot: BotId) -> Result<bool> {
    let rows = tx.query("update bots set name = name where id = $1 and revoked_at is null").bind(bot).execute().await?;
    Ok(rows == 1)
}

/// Keeps a key; `false` when one that works has its name.
pub(super) async fn insert(tx: &mut Tx<'_>, key: &BotKey) -> Result<bool> {
    let rows = tx
        .query(
            "insert into bot_keys (id, bot_id, name, public_key, platform, workspace, created_at) values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (name) where revoked_at is null do nothing",
        )
        .bind(key.id)
        .bind(key.bot)
        .bind(key.name.as_str())
        .bind(key.public_key.der.clone())
        .bind(key.platform.as_str())
        .bind(key.workspace.as_str())
        .bind(key.created_at)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// The key, working or not.
pub(super) async fn by_id(db: &mut Db<'_>, id: BotKeyId) -> Result<Option<BotKey>> {
    db.query("select * from bot_keys where id = $1").bind(id).optional().await
}

/// The working key of that name.
pub(super) async fn by_name(db: &mut Db<'_>, name: &str) -> Result<Option<BotKey>> {
    db.query("select * from bot_keys where name = $1 and revoked_at is null").bind(name).optional().await
}

/// The working keys of a bot, the oldest first.
pub(super) async fn of_bot(db: &mut Db<'_>, bot: BotId) -> Result<Vec<BotKey>> {
    db.query("select * from bot_keys where bot_id = $1 and revoked_at is null order by created_at, id").bind(bot).all().await
}

/// Ends a key; `false` when the bot has no such key that works.
pub(super) async fn revoke(tx: &mut Tx<'_>, bot: BotId, id: BotKeyId, now: Timestamp) -> Result<bool> {
    let rows = tx
        .query("update bot_keys set revoked_at = $3 where id = $1 and bot_id = $2 and revoked_at is null")
        .bind(id)
        .bind(bot)
        .bind(now)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// Whether the key works, and its bot.
pub(super) async fn works(db: &mut Db<'_>, id: BotKeyId) -> Result<bool> {
    let found: Option<BotKey> = db
        .query(
            "select bot_keys.* from bot_keys join bots on bots.id = bot_keys.bot_id
             where bot_keys.id = $1 and bot_keys.revoked_at is null and bots.revoked_at is null",
        )
        .bind(id)
        .optional()
        .await?;
    Ok(found.is_some())
}
