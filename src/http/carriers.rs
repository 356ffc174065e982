//! `/v1/carriers`: whether pushes get out of the house, for administrators. What `/metrics` and `/readyz` know, in one place.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::Serialize;

use super::State;
use super::caller::Read;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::delivery::{Channel, Delivery, Depth, Open};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new().api_route(
        "/v1/carriers",
        get_with(list, |op| {
            op.id("listCarriers")
                .tag("health")
                .summary("The ways to phones: which are configured, what waits for them, and which are down; for administrators")
                .description(
                    "What is down is so for the node that answers: each finds out by itself, and the journal has every \
                     `route.opened` and `route.closed`.",
                )
        }),
    )
}

/// A way to phones.
#[derive(Serialize, JsonSchema)]
struct CarrierBody {
    carrier: Channel,
    /// Whether this installation has it. Without it nobody is reached that way.
    configured: bool,
    /// What wakes people and is to be sent, or sent again.
    urgent: LaneBody,
    /// The rest.
    ordinary: LaneBody,
    /// The routes that are left alone because they fail.
    down: Vec<DownBody>,
    /// For how many seconds the token is in use that says to the provider who sends; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_age_seconds: Option<u64>,
}

/// What waits for a carrier.
#[derive(Serialize, JsonSchema)]
struct LaneBody {
    /// How many attempts.
    waiting: i64,
    /// For how many seconds the oldest of them has; absent when none waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_seconds: Option<u64>,
}

/// A route that is left alone.
#[derive(Serialize, JsonSchema)]
struct DownBody {
    /// `apns`, or `web_push` and a push service's origin.
    route: String,
    since: Timestamp,
    /// What the last try came to. It may be a stranger's word.
    why: String,
}

#[derive(Serialize, JsonSchema)]
struct List {
    carriers: Vec<CarrierBody>,
}

impl CarrierBody {
    fn of(channel: Channel, delivery: &Delivery, depths: &[Depth], open: &[Open]) -> Self {
        let lane = |urgent| {
            let depth = depths.iter().find(|depth| depth.lane.channel == channel && depth.lane.urgent == urgent);
            LaneBody {
                waiting: depth.map_or(0, |depth| depth.waiting),
                oldest_seconds: depth.map(|depth| depth.oldest.as_secs()),
            }
        };
        let down = open.iter().filter(|open| open.channel == channel).map(DownBody::from).collect();
        let configured = delivery.carriers.by(channel).is_some();
        Self { carrier: channel, configured, urgent: lane(true), ordinary: lane(false), down, token_age_seconds: None }
    }
}

impl From<&Open> for DownBody {
    fn from(open: &Open) -> Self {
        Self { route: open.route.clone(), since: open.since, why: open.why.clone() }
    }
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    call.admin()?;
    let (depths, open) = (app.delivery.depths().await?, app.delivery.circuits.open());
    let age = app.delivery.provider_token_age().await?.map(|age| age.as_secs());
    let mut carriers: Vec<_> =
        Channel::ALL.into_iter().map(|channel| CarrierBody::of(channel, &app.delivery, &depths, &open)).collect();
    for carrier in carriers.iter_mut().filter(|carrier| carrier.carrier == Channel::Apns) {
        carrier.token_age_seconds = age;
    }
    Ok(Json(List { carriers }))
}
