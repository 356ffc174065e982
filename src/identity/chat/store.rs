//! The SQL of chat identities.

use super::{ChatId, ChatIdentity, LinkedIdentity, Offer};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Result, Row, Sql, Tx};
use crate::id::{ChatIdentityId, UserId};
use crate::identity::User;

impl FromRow for ChatIdentity {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let part = |name: &str| -> Result<ChatId> {
            let text: String = row.get(name)?;
            text.parse().map_err(|error| Error::inconsistent("chat_identities", &text, error))
        };
        Ok(Self { platform: part("platform")?, workspace: part("workspace")?, user: part("chat_user")? })
    }
}

impl FromRow for LinkedIdentity {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            identity: ChatIdentity::from_row(row)?,
            name: row.get("name")?,
            user: row.get("user_id")?,
            bot: row.get("bot_id")?,
            linked_at: row.get("linked_at")?,
        })
    }
}

impl FromRow for Offer {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            identity: ChatIdentity::from_row(row)?,
            name: row.get("name")?,
            bot: row.get("bot_id")?,
            expires_at: row.get("expires_at")?,
            linked: row.get("identity_id")?,
        })
    }
}

/// Keeps the code of an identity, in place of the one before.
pub(super) async fn offer(tx: &mut Tx<'_>, offer: &Offer, code_sha256: [u8; 32]) -> Result<()> {
    tx.query(
        "insert into chat_link_codes (code_sha256, platform, workspace, chat_user, name, bot_id, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (platform, workspace, chat_user) do update set code_sha256 = excluded.code_sha256, name = excluded.name,
             bot_id = excluded.bot_id, expires_at = excluded.expires_at, identity_id = null",
    )
    .bind(code_sha256)
    .bind(offer.identity.platform.as_str())
    .bind(offer.identity.workspace.as_str())
    .bind(offer.identity.user.as_str())
    .bind(offer.name.as_deref())
    .bind(offer.bot)
    .bind(offer.expires_at)
    .execute()
    .await?;
    Ok(())
}

const FIND_OFFER: &str = "select * from chat_link_codes where code_sha256 = $1";

pub(super) async fn find_offer(db: &mut Db<'_>, code_sha256: [u8; 32]) -> Result<Option<Offer>> {
    db.query(FIND_OFFER).bind(code_sha256).optional().await
}

/// The code's offer, locked: two phones that race one code are served one after the other.
pub(super) async fn lock_offer(tx: &mut Tx<'_>, code_sha256: [u8; 32]) -> Result<Option<Offer>> {
    tx.query(Sql::either(FIND_OFFER, "select * from chat_link_codes where code_sha256 = $1 for update"))
        .bind(code_sha256)
        .optional()
        .await
}

/// Links, and keeps with the code what it has linked.
pub(super) async fn link(tx: &mut Tx<'_>, linked: &LinkedIdentity, code_sha256: [u8; 32]) -> Result<()> {
    tx.query(
        "insert into chat_identities (id, platform, workspace, chat_user, name, user_id, bot_id, linked_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(linked.id)
    .bind(linked.identity.platform.as_str())
    .bind(linked.identity.workspace.as_str())
    .bind(linked.identity.user.as_str())
    .bind(linked.name.as_deref())
    .bind(linked.user)
    .bind(linked.bot)
    .bind(linked.linked_at)
    .execute()
    .await?;
    tx.query("update chat_link_codes set identity_id = $2 where code_sha256 = $1")
        .bind(code_sha256)
        .bind(linked.id)
        .execute()
        .await?;
    Ok(())
}

pub(super) async fn unlink(tx: &mut Tx<'_>, id: ChatIdentityId, now: Timestamp) -> Result<bool> {
    let rows = tx
        .query("update chat_identities set unlinked_at = $2 where id = $1 and unlinked_at is null")
        .bind(id)
        .bind(now)
        .execute()
        .await?;
    Ok(rows == 1)
}

pub(super) async fn find(db: &mut Db<'_>, id: ChatIdentityId) -> Result<Option<LinkedIdentity>> {
    db.query("select * from chat_identities where id = $1 and unlinked_at is null").bind(id).optional().await
}

pub(super) async fn find_linked(db: &mut Db<'_>, identity: &ChatIdentity) -> Result<Option<LinkedIdentity>> {
    db.query("select * from chat_identities where platform = $1 and workspace = $2 and chat_user = $3 and unlinked_at is null")
        .bind(identity.platform.as_str())
        .bind(identity.workspace.as_str())
        .bind(identity.user.as_str())
        .optional()
        .await
}

/// The person, unless they left.
pub(super) async fn person(db: &mut Db<'_>, identity: &ChatIdentity) -> Result<Option<User>> {
    db.query(
        "select users.* from users join chat_identities on chat_identities.user_id = users.id
         where platform = $1 and workspace = $2 and chat_user = $3 and unlinked_at is null and users.removed_at is null",
    )
    .bind(identity.platform.as_str())
    .bind(identity.workspace.as_str())
    .bind(identity.user.as_str())
    .optional()
    .await
}

/// Those of a person, or of everybody who has not left.
pub(super) async fn list(db: &mut Db<'_>, of: Option<UserId>) -> Result<Vec<LinkedIdentity>> {
    let all = "select chat_identities.* from chat_identities join users on users.id = chat_identities.user_id
        where unlinked_at is null and users.removed_at is null order by chat_identities.id";
    match of {
        None => db.query(all).all().await,
        Some(user) => {
            let own = "select * from chat_identities where user_id = $1 and unlinked_at is null order by id";
            db.query(own).bind(user).all().await
        }
    }
}

pub(in crate::identity) async fn sweep(tx: &mut Tx<'_>, now: Timestamp) -> Result<()> {
    tx.query("delete from chat_link_codes where expires_at < $1").bind(now).execute().await?;
    Ok(())
}
