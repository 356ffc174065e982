//! `/v1/devices`: a person's phones, browsers and command lines, and how they are reached.

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, put_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{Read, Write};
use super::input::{Path, object};
use super::output::NoContent;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::delivery::Registration;
use crate::id::{DeviceId, UserId};
use crate::identity::{Device, Platform};
use crate::push::{Subscription, guard};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route("/v1/devices", get_with(list, |op| op.id("listDevices").tag("devices").summary("My devices")))
        .api_route(
            "/v1/devices/{id}",
            delete_with(revoke, |op| {
                op.id("revokeDevice")
                    .tag("devices")
                    .summary("Trust a device no more: its sessions, passkeys and pushes end at once")
            }),
        )
        .api_route(
            "/v1/devices/{id}/push",
            put_with(register, |op| op.id("registerPush").tag("devices").summary("How this device is reached from now on")),
        )
}

#[derive(Deserialize, JsonSchema)]
struct ById {
    id: DeviceId,
}

/// A device.
#[derive(Serialize, JsonSchema)]
pub(super) struct DeviceBody {
    id: DeviceId,
    user: UserId,
    name: String,
    platform: Platform,
    enrolled_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct List {
    devices: Vec<DeviceBody>,
}

impl From<Device> for DeviceBody {
    fn from(device: Device) -> Self {
        Self { id: device.id, user: device.user, name: device.name, platform: device.platform, enrolled_at: device.enrolled_at }
    }
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let devices = app.identity.devices(&call).await?.into_iter().map(DeviceBody::from).collect();
    Ok(Json(List { devices }))
}

async fn revoke(Extract(app): Extract<State>, Path(ById { id }): Path<ById>, Read(call): Read) -> Result<NoContent, Problem> {
    app.identity.revoke_device(&call, id).await?;
    Ok(NoContent)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RegisterRequest {
    kind: PushKind,
    /// The push service's URL for this device. A secret: whoever knows it can ring.
    #[schemars(length(max = 1000))]
    endpoint: String,
    #[serde(deserialize_with = "object")]
    keys: Keys,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PushKind {
    WebPush,
}

/// The keys of a Web Push subscription (RFC 8291).
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Keys {
    /// The public key, an uncompressed P-256 point, base64url.
    p256dh: String,
    /// The authentication secret, 16 bytes, base64url.
    auth: String,
}

async fn register(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, body): Write<RegisterRequest>,
) -> Result<Json<DeviceBody>, Problem> {
    let RegisterRequest { kind: PushKind::WebPush, endpoint, keys } = body;
    if endpoint.len() > 1000 {
        return Err(Problem::field("endpoint", "may have at most 1000 bytes"));
    }
    let subscription: Subscription = serde_json::from_value(serde_json::json!({"endpoint": endpoint, "keys": keys}))
        .map_err(|error| Problem::field(field_of(&error.to_string()), error.to_string()))?;
    guard::check_url(subscription.endpoint(), app.allow_private_networks)
        .map_err(|error| Problem::field("endpoint", error.to_string()))?;
    app.delivery.register(&call, id, &Registration::WebPush(subscription)).await?;
    let device = call.person()?.device.clone();
    Ok(Json(device.into()))
}

/// The field that a refused subscription names.
fn field_of(error: &str) -> &'static str {
    ["keys.p256dh", "keys.auth"].into_iter().find(|field| error.contains(field)).unwrap_or("endpoint")
}
