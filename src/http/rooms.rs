//! `/v1/chat/rooms` and `/v1/chat/subscriptions`: what holds in a room of chat, and what it hears of unasked. `/v1/bots/{id}/limits`: what
//! a bot may ask.

use std::collections::BTreeMap;

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::acts::ActBody;
use super::caller::{Read, Write};
use super::input::Path;
use super::output::{Created, DoneOrWaits, NoContent, NowOrWaits};
use super::problem::Problem;
use crate::approvals::limits::{Limited, Limits};
use crate::approvals::policies::Changed;
use crate::chat::{Hears, NewSubscription, PlaceId, Room, RoomView, Subscription};
use crate::clock::Timestamp;
use crate::id::{BotId, ChatSubscriptionId};
use crate::identity::chat::ChatId;
use crate::identity::members::by_name;
use crate::identity::{Handle, Place};
use crate::paging::Urgency;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/chat/rooms",
            get_with(rooms, |op| op.id("listRooms").tag("chat").summary("Rooms of chat in which something holds")).put_with(
                set_room,
                |op| {
                    op.id("setRoom").tag("chat").summary("Say what holds in a room of chat").description(
                        "For administrators. It takes the place of what held there before; with neither team, service nor labels \
                         nothing holds there any more.",
                    )
                },
            ),
        )
        .api_route(
            "/v1/chat/subscriptions",
            get_with(subscriptions, |op| op.id("listSubscriptions").tag("chat").summary("What rooms of chat hear of unasked"))
                .post_with(subscribe, |op| {
                    op.id("createSubscription").tag("chat").summary("Let a room of chat hear of incidents or requests unasked")
                }),
        )
        .api_route(
            "/v1/chat/subscriptions/{id}",
            delete_with(unsubscribe, |op| {
                op.id("removeSubscription").tag("chat").summary("End that a room of chat hears of something")
            }),
        )
        .api_route(
            "/v1/bots/{id}/limits",
            get_with(limits, |op| op.id("getBotLimits").tag("bots").summary("What a bot may ask to have approved"))
                .put_with(limit, |op| {
                    op.id("setBotLimits").tag("bots").summary("Limit what a bot may ask to have approved").description(
                        "For administrators. Which actions, for whom and in which rooms; what is left out does not matter. A bot that \
                         was never limited may ask for everything that policies take. 200 when it was done. 202 with an act when it \
                         lets the bot ask for more: then it is done once an administrator has confirmed it with a passkey (`/v1/acts`).",
                    )
                })
                .delete_with(unlimit, |op| {
                    op.id("removeBotLimits").tag("bots").summary("Let a bot ask for everything again, which weakens: 202 with an act")
                }),
        )
}

/// A room of chat.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RoomBody {
    /// The bot whose room it is.
    bot: Handle,
    /// `slack`, `irc`, …
    platform: ChatId,
    /// The workspace, team or server.
    workspace: ChatId,
    /// The room, by the chat's own id.
    room: PlaceId,
    /// Whose incidents and schedules are meant there where a line names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    team: Option<Handle>,
    /// What breaks where a line does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<Handle>,
    /// Nothing is posted there unasked that has not all of these labels; `*` stands for the name of any label. At most 20.
    #[serde(default, deserialize_with = "by_name", skip_serializing_if = "BTreeMap::is_empty")]
    only: BTreeMap<String, String>,
}

fn place(platform: &ChatId, workspace: &ChatId, room: &PlaceId) -> Place {
    Place {
        platform: platform.as_str().to_owned(),
        workspace: workspace.as_str().to_owned(),
        room: room.as_str().to_owned(),
        thread: None,
    }
}

/// The ids of a place that was checked when it was kept.
fn ids(place: &Place) -> Result<(ChatId, ChatId, PlaceId), Problem> {
    let broken = |what: &str| Problem::from(crate::db::Error::inconsistent("chat_rooms", what, "is no id of chat"));
    Ok((
        place.platform.parse().map_err(|_| broken(&place.platform))?,
        place.workspace.parse().map_err(|_| broken(&place.workspace))?,
        place.room.parse().map_err(|_| broken(&place.room))?,
    ))
}

#[derive(Serialize, JsonSchema)]
struct Rooms {
    rooms: Vec<RoomBody>,
}

async fn rooms(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<Rooms>, Problem> {
    let body = |RoomView { bot, place, room }: RoomView| {
        let (platform, workspace, id) = ids(&place)?;
        let Room { team, service, only } = room;
        Ok(RoomBody { bot, platform, workspace, room: id, team, service, only })
    };
    let rooms = app.chat.rooms(&call).await?.into_iter().map(body).collect::<Result<_, Problem>>()?;
    Ok(Json(Rooms { rooms }))
}

async fn set_room(Extract(app): Extract<State>, Write(call, body): Write<RoomBody>) -> Result<NoContent, Problem> {
    let RoomBody { bot, platform, workspace, room, team, service, only } = body;
    app.chat.set_room(&call, bot, place(&platform, &workspace, &room), Room { team, service, only }).await?;
    Ok(NoContent)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewSubscriptionBody {
    /// The bot that posts there.
    bot: Handle,
    /// `slack`, `irc`, …
    platform: ChatId,
    /// The workspace, team or server.
    workspace: ChatId,
    /// The room, by the chat's own id.
    room: PlaceId,
    /// Of what it hears.
    of: Hears,
    /// Only of this team: its incidents; requests that its members ask or may approve.
    #[serde(default)]
    team: Option<Handle>,
    /// Only of this service; of a request, its param `service` or `app`.
    #[serde(default)]
    service: Option<Handle>,
    /// Only of incidents so loud.
    #[serde(default)]
    urgency: Option<Urgency>,
    /// Only of what has all of these labels; of a request, its params, `type` and `target`. `*` stands for the name of any. At most 20.
    #[serde(default, deserialize_with = "by_name")]
    labels: BTreeMap<String, String>,
}

/// What a room hears of unasked.
#[derive(Serialize, JsonSchema)]
struct SubscriptionBody {
    id: ChatSubscriptionId,
    bot: Handle,
    platform: ChatId,
    workspace: ChatId,
    room: PlaceId,
    of: Hears,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<Handle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Handle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    urgency: Option<Urgency>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    created_at: Timestamp,
}

impl SubscriptionBody {
    fn of((bot, subscription): (Handle, Subscription)) -> Result<Self, Problem> {
        let (platform, workspace, room) = ids(&subscription.place)?;
        let Subscription { id, of, team, service, urgency, labels, created_at, .. } = subscription;
        Ok(Self { id, bot, platform, workspace, room, of, team, service, urgency, labels, created_at })
    }
}

#[derive(Serialize, JsonSchema)]
struct Subscriptions {
    subscriptions: Vec<SubscriptionBody>,
}

async fn subscriptions(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<Subscriptions>, Problem> {
    let all = app.chat.subscriptions(&call).await?.into_iter().map(SubscriptionBody::of);
    Ok(Json(Subscriptions { subscriptions: all.collect::<Result<_, _>>()? }))
}

async fn subscribe(
    Extract(app): Extract<State>,
    Write(call, body): Write<NewSubscriptionBody>,
) -> Result<Created<SubscriptionBody>, Problem> {
    let NewSubscriptionBody { bot, platform, workspace, room, of, team, service, urgency, labels } = body;
    let place = place(&platform, &workspace, &room);
    let new = NewSubscription { bot, place, of, team, service, urgency, labels };
    Ok(Created(SubscriptionBody::of(app.chat.subscribe(&call, new).await?)?))
}

#[derive(Deserialize, JsonSchema)]
struct BySubscription {
    id: ChatSubscriptionId,
}

async fn unsubscribe(
    Extract(app): Extract<State>,
    Path(BySubscription { id }): Path<BySubscription>,
    Read(call): Read,
) -> Result<NoContent, Problem> {
    app.chat.unsubscribe(&call, id).await?;
    Ok(NoContent)
}

#[derive(Deserialize, JsonSchema)]
struct ByBot {
    id: BotId,
}

/// What a bot may ask.
#[derive(Serialize, JsonSchema)]
struct LimitsBody {
    /// The limits; absent where it may ask for everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_at: Option<Timestamp>,
}

impl From<Option<Limited>> for LimitsBody {
    fn from(limited: Option<Limited>) -> Self {
        let changed_at = limited.as_ref().map(|limited| limited.changed_at);
        Self { limits: limited.map(|limited| limited.limits), changed_at }
    }
}

async fn limits(
    Extract(app): Extract<State>,
    Path(ByBot { id }): Path<ByBot>,
    Read(call): Read,
) -> Result<Json<LimitsBody>, Problem> {
    Ok(Json(app.policies.limits(&call, id).await?.into()))
}

async fn limit(
    Extract(app): Extract<State>,
    Path(ByBot { id }): Path<ByBot>,
    Write(call, body): Write<Limits>,
) -> Result<NowOrWaits<LimitsBody, ActBody>, Problem> {
    Ok(match app.policies.limit(&call, id, body).await? {
        Changed::Made(limited) => NowOrWaits::Now(Some(limited).into()),
        Changed::Waits(act) => NowOrWaits::Waits((*act).into()),
    })
}

async fn unlimit(
    Extract(app): Extract<State>,
    Path(ByBot { id }): Path<ByBot>,
    Read(call): Read,
) -> Result<DoneOrWaits<ActBody>, Problem> {
    Ok(match app.policies.unlimit(&call, id).await? {
        Changed::Made(()) => DoneOrWaits::Done,
        Changed::Waits(act) => DoneOrWaits::Waits((*act).into()),
    })
}
