//! Rooms and what they hear of, set up by administrators.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Hears, Refused, Room, RoomError, Subscription, store};
use crate::chat::doing::Chat;
use crate::db::{self, Db, Tx};
use crate::id::{BotId, ChatSubscriptionId, ServiceId, TeamId};
use crate::identity::{self, Bot, Call, Handle, Place};
use crate::journal::Entry;
use crate::paging::{Urgency, services};

/// More labels are a mistake.
const MAX_LABELS: usize = 20;

/// More subscriptions of one bot are a mistake.
const MAX: usize = 1_000;

/// What a room is to hear of.
#[derive(Clone, Debug)]
pub struct NewSubscription {
    /// Through which bot.
    pub bot: Handle,
    /// In which room.
    pub place: Place,
    /// Of what.
    pub of: Hears,
    /// Of this team alone.
    pub team: Option<Handle>,
    /// Of this service alone.
    pub service: Option<Handle>,
    /// So loud alone.
    pub urgency: Option<Urgency>,
    /// With all of these alone.
    pub labels: BTreeMap<String, String>,
}

/// A room by names.
#[derive(Clone, Debug)]
pub struct RoomView {
    /// Whose it is.
    pub bot: Handle,
    /// Where.
    pub place: Place,
    /// What holds there.
    pub room: Room,
}

fn field(field: &str, why: impl Into<String>) -> RoomError {
    Refused::Field { field: field.to_owned(), why: why.into() }.into()
}

async fn bot_named(db: &mut Db<'_>, name: &Handle) -> Result<Bot, RoomError> {
    let found = identity::active_bot(db, name).await?;
    found.ok_or_else(|| field("bot", format!("there is no bot {name}")))
}

/// The ids of a team and a service.
async fn ids(
    db: &mut Db<'_>,
    team: Option<&Handle>,
    service: Option<&Handle>,
) -> Result<(Option<TeamId>, Option<ServiceId>), RoomError> {
    let team = match team {
        None => None,
        Some(name) => {
            let found = identity::find_team(db, name).await?;
            Some(found.ok_or_else(|| field("team", format!("there is no team {name}")))?.id)
        }
    };
    let service = match service {
        None => None,
        Some(name) => {
            let found = services::find(db, name).await?;
            Some(found.ok_or_else(|| field("service", format!("there is no service {name}")))?.id)
        }
    };
    Ok((team, service))
}

fn checked(labels: &BTreeMap<String, String>, name: &str) -> Result<(), RoomError> {
    let long = |text: &String| text.is_empty() || text.chars().count() > 200 || text.chars().any(crate::text::is_deceptive);
    if labels.len() > MAX_LABELS || labels.iter().any(|(label, value)| long(label) || long(value)) {
        return Err(field(name, format!("may have at most {MAX_LABELS} labels of 1 to 200 plain characters each")));
    }
    Ok(())
}

/// Where, for the journal.
fn facts(bot: &Handle, place: &Place) -> serde_json::Value {
    json!({"bot": bot, "platform": place.platform, "workspace": place.workspace, "room": place.room})
}

impl Chat {
    /// The rooms in which something holds.
    ///
    /// # Errors
    /// Only administrators may look.
    pub async fn rooms(&self, call: &Call) -> Result<Vec<RoomView>, RoomError> {
        call.admin()?;
        Ok(self.store.scan(|db| Box::pin(store::rooms(db))).await?)
    }

    /// Says what holds in a room, in the place of what held before.
    ///
    /// # Errors
    /// Only administrators may; bot, team and service must be there.
    pub async fn set_room(&self, call: &Call, bot: Handle, place: Place, room: Room) -> Result<(), RoomError> {
        call.admin()?;
        checked(&room.only, "only")?;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let bot = bot_named(tx.db(), &bot).await?;
                let of = ids(tx.db(), room.team.as_ref(), room.service.as_ref()).await?;
                if room == Room::default() {
                    store::remove_room(tx, bot.id, &place).await?;
                } else {
                    store::set_room(tx, bot.id, &place, (of, &room.only), now).await?;
                }
                let mut data = facts(&bot.name, &place);
                (data["team"], data["service"], data["only"]) = (json!(room.team), json!(room.service), json!(room.only));
                let entry = Entry { kind: "chat_room.changed", actor, subject: bot.id.to_string(), data };
                journal.append(tx, now, entry).await?;
                Ok(())
            })
        })
        .await
    }

    /// What rooms hear of, each with the name of its bot.
    ///
    /// # Errors
    /// Only administrators may look.
    pub async fn subscriptions(&self, call: &Call) -> Result<Vec<(Handle, Subscription)>, RoomError> {
        call.admin()?;
        let all: db::Result<Vec<(Handle, Subscription)>> = self
            .store
            .scan(|db| {
                Box::pin(async move {
                    let mut all = Vec::new();
                    for bot in store::bots_with_subscriptions(db).await? {
                        let name = identity::known_bot(db, bot).await?.name;
                        all.extend(store::subscriptions(db, bot).await?.into_iter().map(|(one, _)| (name.clone(), one)));
                    }
                    Ok(all)
                })
            })
            .await;
        Ok(all?)
    }

    /// Lets a room hear of something unasked.
    ///
    /// # Errors
    /// Only administrators may; bot, team and service must be there.
    pub async fn subscribe(&self, call: &Call, new: NewSubscription) -> Result<(Handle, Subscription), RoomError> {
        call.admin()?;
        checked(&new.labels, "labels")?;
        if new.of == Hears::Approvals && new.urgency.is_some() {
            return Err(field("urgency", "is of incidents: a request has none"));
        }
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        let name = new.bot.clone();
        let id: ChatSubscriptionId = call
            .write(&self.store, now, move |tx| {
                Box::pin(async move {
                    let bot = bot_named(tx.db(), &new.bot).await?;
                    let of = ids(tx.db(), new.team.as_ref(), new.service.as_ref()).await?;
                    if store::subscriptions(tx.db(), bot.id).await?.len() >= MAX {
                        return Err(Refused::TooMany(MAX).into());
                    }
                    let id = ChatSubscriptionId::new(now);
                    let mut data = facts(&bot.name, &new.place);
                    (data["of"], data["team"], data["service"]) = (json!(new.of), json!(new.team), json!(new.service));
                    (data["urgency"], data["labels"]) = (json!(new.urgency), json!(new.labels));
                    let subscription = Subscription {
                        id,
                        bot: bot.id,
                        place: new.place,
                        of: new.of,
                        team: new.team,
                        service: new.service,
                        urgency: new.urgency,
                        labels: new.labels,
                        made_by: actor,
                        created_at: now,
                    };
                    store::subscribe(tx, &subscription, of).await?;
                    let entry = Entry { kind: "chat_subscription.created", actor, subject: id.to_string(), data };
                    journal.append(tx, now, entry).await?;
                    crate::crash_point!("room-subscribed");
                    Ok(id)
                })
            })
            .await?;
        let all = self.subscriptions(call).await?;
        let found = all.into_iter().find(|(_, one)| one.id == id);
        found.ok_or_else(|| Refused::NotFound(format!("subscription of {name}")).into())
    }

    /// Ends that a room hears of something.
    ///
    /// # Errors
    /// Only administrators may; it must be there.
    pub async fn unsubscribe(&self, call: &Call, id: ChatSubscriptionId) -> Result<(), RoomError> {
        call.admin()?;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                if !store::unsubscribe(tx, id).await? {
                    return Err(Refused::NotFound(id.to_string()).into());
                }
                let entry = Entry { kind: "chat_subscription.removed", actor, subject: id.to_string(), data: json!({}) };
                Ok(journal.append(tx, now, entry).await?)
            })
        })
        .await
    }
}
