//! The SQL of rooms and what they hear of.

use std::collections::BTreeMap;

use super::{Hears, Room, RoomView, Subscription};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Json, Result, Row, Tx};
use crate::id::{BotId, ChatSubscriptionId, ServiceId, TeamId};
use crate::identity::{Handle, Place};
use crate::journal::Actor;
use crate::paging::Urgency;

type Labels = BTreeMap<String, String>;

fn handle(table: &'static str, row: &Row<'_>, column: &str) -> Result<Option<Handle>> {
    let name: Option<String> = row.get(column)?;
    name.map(|name| name.parse().map_err(|_| Error::inconsistent(table, &name, "is no name"))).transpose()
}

impl FromRow for Room {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            team: handle("chat_rooms", row, "team_name")?,
            service: handle("chat_rooms", row, "service_name")?,
            only: row.get::<Json<Labels>>("only_labels")?.0,
        })
    }
}

/// A subscription, with what its room is narrowed to.
struct Narrowed(Subscription, Labels);

impl FromRow for Narrowed {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: ChatSubscriptionId = row.get("id")?;
        let kind: String = row.get("subject_kind")?;
        let of = match kind.as_str() {
            "incident" => Hears::Incidents,
            "approval" => Hears::Approvals,
            other => return Err(Error::inconsistent("chat_subscriptions", id, format!("of {other}"))),
        };
        let urgency: Option<String> = row.get("urgency")?;
        let urgency = match urgency.as_deref() {
            None => None,
            Some("high") => Some(Urgency::High),
            Some("low") => Some(Urgency::Low),
            Some(other) => return Err(Error::inconsistent("chat_subscriptions", id, format!("urgency {other}"))),
        };
        let subscription = Subscription {
            id,
            bot: row.get("bot_id")?,
            place: Place {
                platform: row.get("platform")?,
                workspace: row.get("workspace")?,
                room: row.get("room")?,
                thread: None,
            },
            of,
            team: handle("chat_subscriptions", row, "team_name")?,
            service: handle("chat_subscriptions", row, "service_name")?,
            urgency,
            labels: row.get::<Json<Labels>>("labels")?.0,
            made_by: row.get::<Json<Actor>>("made_by")?.0,
            created_at: row.get("created_at")?,
        };
        let only = row.get::<Option<Json<Labels>>>("only_labels")?.map(|Json(labels)| labels).unwrap_or_default();
        Ok(Self(subscription, only))
    }
}

pub(super) async fn room(db: &mut Db<'_>, bot: BotId, place: &Place) -> Result<Option<Room>> {
    db.query(
        "select chat_rooms.only_labels, teams.name as team_name, services.name as service_name
         from chat_rooms left join teams on teams.id = chat_rooms.team_id
             left join services on services.id = chat_rooms.service_id and services.removed_at is null
         where chat_rooms.bot_id = $1 and platform = $2 and workspace = $3 and room = $4",
    )
    .bind(bot)
    .bind(&place.platform)
    .bind(&place.workspace)
    .bind(&place.room)
    .optional()
    .await
}

/// What the rooms of a bot hear of. Of a service that was removed there is nothing to hear.
pub(super) async fn subscriptions(db: &mut Db<'_>, bot: BotId) -> Result<Vec<(Subscription, Labels)>> {
    let all: Vec<Narrowed> = db
        .query(
            "select heard.*, teams.name as team_name, services.name as service_name, chat_rooms.only_labels
             from chat_subscriptions heard
                 left join teams on teams.id = heard.team_id left join services on services.id = heard.service_id
                 left join chat_rooms on chat_rooms.bot_id = heard.bot_id and chat_rooms.platform = heard.platform
                     and chat_rooms.workspace = heard.workspace and chat_rooms.room = heard.room
             where heard.bot_id = $1 and services.removed_at is null order by heard.id",
        )
        .bind(bot)
        .all()
        .await?;
    Ok(all.into_iter().map(|Narrowed(subscription, only)| (subscription, only)).collect())
}

/// Narrows what a room hears of.
pub(super) async fn set_only(tx: &mut Tx<'_>, bot: BotId, place: &Place, only: &Labels, now: Timestamp) -> Result<()> {
    tx.query(
        "insert into chat_rooms (bot_id, platform, workspace, room, only_labels, changed_at) values ($1, $2, $3, $4, $5, $6)
         on conflict (bot_id, platform, workspace, room) do update set only_labels = excluded.only_labels,
             changed_at = excluded.changed_at",
    )
    .bind(bot)
    .bind(&place.platform)
    .bind(&place.workspace)
    .bind(&place.room)
    .bind(Json(only))
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

struct Named(RoomView);

impl FromRow for Named {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let bot = handle("chat_rooms", row, "bot_name")?;
        Ok(Self(RoomView {
            bot: bot.ok_or_else(|| Error::inconsistent("chat_rooms", "a row", "without its bot"))?,
            place: Place {
                platform: row.get("platform")?,
                workspace: row.get("workspace")?,
                room: row.get("room")?,
                thread: None,
            },
            room: Room::from_row(row)?,
        }))
    }
}

/// All rooms in which something holds, but for those of bots that were revoked.
pub(super) async fn rooms(db: &mut Db<'_>) -> Result<Vec<RoomView>> {
    let all: Vec<Named> = db
        .query(
            "select platform, workspace, room, only_labels, bots.name as bot_name, teams.name as team_name,
                 services.name as service_name
             from chat_rooms join bots on bots.id = chat_rooms.bot_id
                 left join teams on teams.id = chat_rooms.team_id
                 left join services on services.id = chat_rooms.service_id and services.removed_at is null
             where bots.revoked_at is null order by bots.name, platform, workspace, room",
        )
        .all()
        .await?;
    Ok(all.into_iter().map(|Named(view)| view).collect())
}

pub(super) async fn set_room(
    tx: &mut Tx<'_>,
    bot: BotId,
    place: &Place,
    ((team, service), only): ((Option<TeamId>, Option<ServiceId>), &Labels),
    now: Timestamp,
) -> Result<()> {
    tx.query(
        "insert into chat_rooms (bot_id, platform, workspace, room, team_id, service_id, only_labels, changed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (bot_id, platform, workspace, room) do update set team_id = excluded.team_id,
             service_id = excluded.service_id, only_labels = excluded.only_labels, changed_at = excluded.changed_at",
    )
    .bind(bot)
    .bind(&place.platform)
    .bind(&place.workspace)
    .bind(&place.room)
    .bind(team)
    .bind(service)
    .bind(Json(only))
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn remove_room(tx: &mut Tx<'_>, bot: BotId, place: &Place) -> Result<()> {
    tx.query("delete from chat_rooms where bot_id = $1 and platform = $2 and workspace = $3 and room = $4")
        .bind(bot)
        .bind(&place.platform)
        .bind(&place.workspace)
        .bind(&place.room)
        .execute()
        .await?;
    Ok(())
}

pub(super) async fn bots_with_subscriptions(db: &mut Db<'_>) -> Result<Vec<BotId>> {
    db.query(
        "select distinct bot_id from chat_subscriptions join bots on bots.id = bot_id where bots.revoked_at is null order by bot_id",
    )
    .all()
    .await
}

pub(super) async fn subscribe(
    tx: &mut Tx<'_>,
    subscription: &Subscription,
    (team, service): (Option<TeamId>, Option<ServiceId>),
) -> Result<()> {
    let kind = match subscription.of {
        Hears::Incidents => "incident",
        Hears::Approvals => "approval",
    };
    let urgency = subscription.urgency.map(|urgency| match urgency {
        Urgency::High => "high",
        Urgency::Low => "low",
    });
    tx.query(
        "insert into chat_subscriptions (id, bot_id, platform, workspace, room, subject_kind, team_id, service_id, urgency, labels,
             made_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(subscription.id)
    .bind(subscription.bot)
    .bind(&subscription.place.platform)
    .bind(&subscription.place.workspace)
    .bind(&subscription.place.room)
    .bind(kind)
    .bind(team)
    .bind(service)
    .bind(urgency)
    .bind(Json(&subscription.labels))
    .bind(Json(&subscription.made_by))
    .bind(subscription.created_at)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn unsubscribe(tx: &mut Tx<'_>, id: ChatSubscriptionId) -> Result<bool> {
    Ok(tx.query("delete from chat_subscriptions where id = $1").bind(id).execute().await? == 1)
}
