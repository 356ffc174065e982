//! `/v1/devices`: a person's phones, browsers and command lines, and how they are reached.

use std::net::IpAddr;

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, post_with, put_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::State;
use super::caller::{Read, Write};
use super::input::{Path, name, optional_object, optional_strict};
use super::output::NoContent;
use super::passkeys::PasskeyBody;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::delivery::Registration;
use crate::id::{DeviceChallengeId, DeviceId, UserId};
use crate::identity::{
    ClaimedDevice, Confirmation, Device, DeviceChallenge, Devices, NotAMatchNumber, Platform, Signature, UserRef, Via,
    WaitingDevice,
};
use crate::push::apns::NotADeviceToken;
use crate::push::{Installation, Subscription, guard};

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
            "/v1/devices/{id}/name",
            put_with(rename, |op| op.id("renameDevice").tag("devices").summary("What a device of mine is called from now on")),
        )
        .api_route(
            "/v1/devices/{id}/challenge",
            post_with(challenge, |op| {
                op.id("challengeDevice").tag("devices").summary("A statement to sign, that a device that waits is mine")
            }),
        )
        .api_route(
            "/v1/devices/{id}/confirm",
            post_with(confirm, |op| {
                op.id("confirmDevice")
                    .tag("devices")
                    .summary("A signature, which makes a device that waits mine")
                    .description("`match` is what the new device shows. See the device protocol, section 2.")
            }),
        )
        .api_route(
            "/v1/devices/{id}/reject",
            post_with(reject, |op| op.id("rejectDevice").tag("devices").summary("End the waiting of a device that is not mine")),
        )
        .api_route(
            "/v1/users/{user}/devices",
            get_with(list_of, |op| op.id("listUserDevices").tag("users").summary("The devices and passkeys of a person")),
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

/// A device, or one that waits to become one.
#[derive(Serialize, JsonSchema)]
pub(super) struct DeviceBody {
    id: DeviceId,
    user: UserId,
    name: String,
    platform: Platform,
    /// When it claimed its code.
    enrolled_at: Timestamp,
    state: Standing,
    /// Until when a device that waits can be confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// Six digits that a device that waits shows and that are typed into the one that confirms it. Only in the reply to its claim.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    match_number: Option<String>,
    /// How a device that waits came.
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<Via>,
    /// Where a device that waits called from, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    /// From when on it answers and administers, when it recovers its person.
    #[serde(skip_serializing_if = "Option::is_none")]
    approves_from: Option<Timestamp>,
    /// When it called last, give or take ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
}

/// Whether a device is one.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Standing {
    /// It is.
    Active,
    /// It waits until another device of its person confirms it.
    Waiting,
}

#[derive(Serialize, JsonSchema)]
struct List {
    /// Those that wait come last.
    devices: Vec<DeviceBody>,
}

/// What a person has to call and to approve with.
#[derive(Serialize, JsonSchema)]
struct DevicesAndPasskeys {
    /// Those that wait come last.
    devices: Vec<DeviceBody>,
    passkeys: Vec<PasskeyBody>,
}

impl From<Device> for DeviceBody {
    fn from(device: Device) -> Self {
        Self {
            id: device.id,
            user: device.user,
            name: device.name,
            platform: device.platform,
            enrolled_at: device.enrolled_at,
            state: Standing::Active,
            expires_at: None,
            match_number: None,
            via: None,
            address: None,
            approves_from: device.approves_from,
            last_used_at: device.last_used_at,
        }
    }
}

/// As the person's other devices see it: without its number, which is to be read off its own screen.
impl From<WaitingDevice> for DeviceBody {
    fn from(waiting: WaitingDevice) -> Self {
        Self {
            id: waiting.id,
            user: waiting.user,
            name: waiting.name,
            platform: waiting.platform,
            enrolled_at: waiting.claimed_at,
            state: Standing::Waiting,
            expires_at: Some(waiting.expires_at),
            match_number: None,
            via: Some(waiting.via),
            address: waiting.address,
            approves_from: None,
            last_used_at: None,
        }
    }
}

impl From<ClaimedDevice> for DeviceBody {
    fn from(claimed: ClaimedDevice) -> Self {
        match claimed {
            ClaimedDevice::Joined(device) => device.into(),
            ClaimedDevice::Waits(waiting) => {
                let match_number = Some(waiting.match_number().to_string());
                Self { match_number, ..waiting.into() }
            }
        }
    }
}

impl From<Devices> for DevicesAndPasskeys {
    fn from(all: Devices) -> Self {
        let waiting = all.waiting.into_iter().map(DeviceBody::from);
        Self {
            devices: all.devices.into_iter().map(DeviceBody::from).chain(waiting).collect(),
            passkeys: all.passkeys.into_iter().map(PasskeyBody::from).collect(),
        }
    }
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let DevicesAndPasskeys { devices, .. } = app.identity.devices(&call).await?.into();
    Ok(Json(List { devices }))
}

#[derive(Deserialize, JsonSchema)]
struct ByUser {
    /// `usr_…` or `@handle`.
    user: UserRef,
}

async fn list_of(
    Extract(app): Extract<State>,
    Path(ByUser { user }): Path<ByUser>,
    Read(call): Read,
) -> Result<Json<DevicesAndPasskeys>, Problem> {
    Ok(Json(app.identity.devices_of(&call, user).await?.into()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Serialize, JsonSchema)]
struct ChallengeBody {
    challenge: DeviceChallengeId,
    /// The statement, canonical JSON (RFC 8785), as a string.
    statement: String,
    /// `PublicKeyCredentialRequestOptions` in JSON form (WebAuthn Level 3); absent where the device's own key is to sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<Value>,
    expires_at: Timestamp,
}

async fn challenge(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, Nothing {}): Write<Nothing>,
) -> Result<Json<ChallengeBody>, Problem> {
    let offered = app.identity.challenge_device(&call, id).await?;
    let DeviceChallenge { id: challenge, statement, public_key, expires_at } = offered;
    Ok(Json(ChallengeBody { challenge, statement, public_key, expires_at }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConfirmRequest {
    challenge: DeviceChallengeId,
    /// The six digits that the new device shows.
    #[serde(rename = "match")]
    #[schemars(length(min = 6, max = 16))]
    match_number: String,
    /// `AuthenticationResponseJSON` (WebAuthn Level 3).
    #[serde(default, deserialize_with = "optional_strict")]
    #[schemars(with = "Option<Value>")]
    credential: Option<Value>,
    /// The compact JWS of the calling device's key over the statement.
    #[serde(default)]
    #[schemars(length(max = 8192))]
    jws: Option<String>,
}

async fn confirm(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, body): Write<ConfirmRequest>,
) -> Result<Json<DeviceBody>, Problem> {
    let ConfirmRequest { challenge, match_number, credential, jws } = body;
    let match_number = match_number.parse().map_err(|error: NotAMatchNumber| Problem::field("match", error.to_string()))?;
    let signature = match (credential, jws) {
        (Some(credential), None) => Signature::Passkey(credential),
        (None, Some(jws)) => Signature::Device(jws),
        (None, None) => return Err(Problem::field("credential", "send a `credential` or a `jws`")),
        (Some(_), Some(_)) => return Err(Problem::field("jws", "send either a `credential` or a `jws`")),
    };
    let confirmation = Confirmation { challenge, match_number, signature };
    Ok(Json(app.identity.confirm_device(&call, id, confirmation).await?.into()))
}

async fn reject(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, Nothing {}): Write<Nothing>,
) -> Result<NoContent, Problem> {
    app.identity.reject_device(&call, id).await?;
    Ok(NoContent)
}

async fn revoke(Extract(app): Extract<State>, Path(ById { id }): Path<ById>, Read(call): Read) -> Result<NoContent, Problem> {
    app.identity.revoke_device(&call, id).await?;
    Ok(NoContent)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RenameRequest {
    /// What its owner calls it; 1 to 80 characters.
    #[schemars(length(min = 1, max = 80))]
    name: String,
}

async fn rename(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, body): Write<RenameRequest>,
) -> Result<Json<DeviceBody>, Problem> {
    let called = name("name", &body.name)?;
    Ok(Json(app.identity.rename_device(&call, id, called).await?.into()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RegisterRequest {
    kind: PushKind,
    /// For `web_push` and `unified_push`: the push service's URL for this device. A secret: whoever knows it can ring.
    #[schemars(length(max = 1000))]
    endpoint: Option<String>,
    /// For `web_push` and `unified_push`.
    #[serde(default, deserialize_with = "optional_object")]
    keys: Option<Keys>,
    /// For `apns`: the device token, hex. For `fcm`: the registration token, unless there is a `fid`.
    #[schemars(length(max = 1024))]
    token: Option<String>,
    /// For `fcm`: the Firebase installation ID.
    #[schemars(length(max = 1024))]
    fid: Option<String>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PushKind {
    /// An iPhone or iPad with a native app.
    Apns,
    /// An Android phone with a native app.
    Fcm,
    /// A browser, or an installed web app.
    WebPush,
    /// A UnifiedPush app: as `web_push`, once its endpoint has said that it is one of UnifiedPush.
    UnifiedPush,
}

impl PushKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apns => "apns",
            Self::Fcm => "fcm",
            Self::WebPush => "web_push",
            Self::UnifiedPush => "unified_push",
        }
    }
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
    let unified = matches!(body.kind, PushKind::UnifiedPush);
    let registration = body.registration(app.allow_private_networks)?;
    if let (true, Registration::WebPush(subscription)) = (unified, &registration) {
        // For the caller's own device alone: nobody else makes us call anything.
        call.person()?;
        app.web_push.discover(subscription).await.map_err(|error| Problem::field("endpoint", error.to_string()))?;
    }
    if app.delivery.carriers.of(&registration).is_none() {
        let kind = registration.kind();
        return Err(Problem::field("kind", format!("this installation has no [{kind}]: its operator configures it")));
    }
    app.delivery.register(&call, id, &registration).await?;
    let device = call.person()?.device.clone();
    Ok(Json(device.into()))
}

impl RegisterRequest {
    fn registration(self, allow_private_networks: bool) -> Result<Registration, Problem> {
        let needs = |field, kind| Problem::field(field, format!("is needed for {kind}"));
        let only = |field, kind| Problem::field(field, format!("is not for {kind}"));
        match self {
            Self { kind: kind @ (PushKind::WebPush | PushKind::UnifiedPush), token, fid, endpoint, keys } => {
                let kind = kind.as_str();
                match (token, fid) {
                    (Some(_), _) => return Err(only("token", kind)),
                    (None, Some(_)) => return Err(only("fid", kind)),
                    (None, None) => {}
                }
                let endpoint = endpoint.ok_or_else(|| needs("endpoint", kind))?;
                web_push(&endpoint, &keys.ok_or_else(|| needs("keys", kind))?, allow_private_networks)
            }
            Self { endpoint: Some(_), .. } => Err(only("endpoint", "a native app")),
            Self { keys: Some(_), .. } => Err(only("keys", "a native app")),
            Self { kind: PushKind::Apns, fid: Some(_), .. } => Err(only("fid", "apns")),
            Self { kind: PushKind::Apns, token, .. } => {
                let token = token.ok_or_else(|| needs("token", "apns"))?;
                let token = token.try_into().map_err(|error: NotADeviceToken| Problem::field("token", error.to_string()))?;
                Ok(Registration::Apns { token })
            }
            Self { kind: PushKind::Fcm, token, fid, .. } => {
                let (field, installation) = match (token, fid) {
                    (Some(token), None) => ("token", Installation::token(token)),
                    (None, Some(fid)) => ("fid", Installation::fid(fid)),
                    (None, None) => return Err(needs("token", "fcm, or a fid")),
                    (Some(_), Some(_)) => return Err(Problem::field("fid", "send either a `token` or a `fid`")),
                };
                let installation = installation.map_err(|error| Problem::field(field, error.to_string()))?;
                Ok(Registration::Fcm { installation })
            }
        }
    }
}

fn web_push(endpoint: &str, keys: &Keys, allow_private_networks: bool) -> Result<Registration, Problem> {
    if endpoint.len() > 1000 {
        return Err(Problem::field("endpoint", "may have at most 1000 bytes"));
    }
    let subscription: Subscription = serde_json::from_value(serde_json::json!({"endpoint": endpoint, "keys": keys}))
        .map_err(|error| Problem::field(field_of(&error.to_string()), error.to_string()))?;
    guard::check_url(subscription.endpoint(), allow_private_networks)
        .map_err(|error| Problem::field("endpoint", error.to_string()))?;
    Ok(Registration::WebPush(subscription))
}

/// The field that a refused subscription names.
fn field_of(error: &str) -> &'static str {
    ["keys.p256dh", "keys.auth"].into_iter().find(|field| error.contains(field)).unwrap_or("endpoint")
}
