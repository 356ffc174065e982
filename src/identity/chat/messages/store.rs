//! The SQL of what bots said in chat.

use uuid::Uuid;

use super::{About, ChatMessage, Place};
use crate::db::{self, Db, Error, FromRow, Result, Row, Tx, among};
use crate::id::{BotId, ChatMessageId, IncidentId};

impl FromRow for ChatMessage {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: ChatMessageId = row.get("id")?;
        let kind: String = row.get("subject_kind")?;
        let about = About::of(&kind, row.get("subject_id")?);
        Ok(Self {
            id,
            bot: row.get("bot_id")?,
            place: Place {
                platform: row.get("platform")?,
                workspace: row.get("workspace")?,
                room: row.get("room")?,
                thread: row.get("thread")?,
            },
            about: about.ok_or_else(|| Error::inconsistent("chat_messages", id, format!("about a {kind}")))?,
            asked: row.get("asked")?,
            line: row.get("line")?,
            success: row.get("success")?,
            message: row.get("message")?,
            said_at: row.get("said_at")?,
        })
    }
}

pub(super) async fn insert(tx: &mut Tx<'_>, message: &ChatMessage) -> Result<()> {
    tx.query(
        "insert into chat_messages (id, bot_id, platform, workspace, room, thread, subject_kind, subject_id, asked, line, success,
             message, said_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(message.id)
    .bind(message.bot)
    .bind(&message.place.platform)
    .bind(&message.place.workspace)
    .bind(&message.place.room)
    .bind(message.place.thread.as_deref())
    .bind(message.about.kind())
    .bind(message.about.uuid())
    .bind(message.asked.as_deref())
    .bind(message.line.as_deref())
    .bind(message.success.as_deref())
    .bind(message.message.as_deref())
    .bind(message.said_at)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn shown(tx: &mut Tx<'_>, id: ChatMessageId, message: &str) -> Result<()> {
    tx.query("update chat_messages set message = $2 where id = $1").bind(id).bind(message).execute().await?;
    Ok(())
}

/// What a bot said about something in one place, in the order it was said.
pub(super) async fn in_place(db: &mut Db<'_>, bot: BotId, place: &Place, about: About) -> Result<Vec<ChatMessage>> {
    db.query(
        "select * from chat_messages
         where subject_id = $1 and bot_id = $2 and platform = $3 and workspace = $4 and room = $5 and thread is not distinct from $6
         order by id",
    )
    .bind(about.uuid())
    .bind(bot)
    .bind(&place.platform)
    .bind(&place.workspace)
    .bind(&place.room)
    .bind(place.thread.as_deref())
    .all()
    .await
}

/// What a bot said about these, in the order it was said.
pub(super) async fn about(db: &mut Db<'_>, bot: BotId, subjects: &[Uuid]) -> Result<Vec<ChatMessage>> {
    let mut said: Vec<ChatMessage> = db
        .query(among!("select * from chat_messages where bot_id = $2 and subject_id in"))
        .bind(db::ids(subjects))
        .bind(bot)
        .all()
        .await?;
    said.sort_by_key(|said| said.id);
    Ok(said)
}

pub(super) async fn success(db: &mut Db<'_>, approval: Uuid) -> Result<Option<String>> {
    db.query("select success from chat_messages where subject_id = $1 and success is not null order by id limit 1")
        .bind(approval)
        .optional()
        .await
}

pub(super) async fn last_incident(db: &mut Db<'_>, bot: BotId, place: &Place) -> Result<Option<IncidentId>> {
    db.query(
        "select subject_id from chat_messages
         where bot_id = $1 and platform = $2 and workspace = $3 and room = $4 and subject_kind = 'incident'
         order by said_at desc, id desc limit 1",
    )
    .bind(bot)
    .bind(&place.platform)
    .bind(&place.workspace)
    .bind(&place.room)
    .optional()
    .await
}

/// As [`last_incident`], in the place's thread alone.
pub(super) async fn last_incident_in_thread(db: &mut Db<'_>, bot: BotId, place: &Place) -> Result<Option<IncidentId>> {
    db.query(
        "select subject_id from chat_messages
         where bot_id = $1 and platform = $2 and workspace = $3 and room = $4 and thread = $5 and subject_kind = 'incident'
         order by said_at desc, id desc limit 1",
    )
    .bind(bot)
    .bind(&place.platform)
    .bind(&place.workspace)
    .bind(&place.room)
    .bind(place.thread.as_deref())
    .optional()
    .await
}

pub(super) async fn asked_in(db: &mut Db<'_>, bot: BotId, place: &Place, message: &str) -> Result<Vec<ChatMessage>> {
    db.query(
        "select * from chat_messages
         where bot_id = $1 and platform = $2 and workspace = $3 and room = $4 and asked = $5 order by id desc limit 20",
    )
    .bind(bot)
    .bind(&place.platform)
    .bind(&place.workspace)
    .bind(&place.room)
    .bind(message)
    .all()
    .await
}

pub(super) async fn forget(tx: &mut Tx<'_>, subjects: &[Uuid]) -> Result<()> {
    tx.query(among!("delete from chat_messages where subject_id in")).bind(db::ids(subjects)).execute().await?;
    Ok(())
}
