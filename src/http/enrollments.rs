//! `/v1/enrollments`: codes, and the devices that claim them.

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use axum::Extension;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::State;
use super::acts::ActBody;
use super::caller::{Anonymous, Write, field};
use super::client_address::ClientAddress;
use super::devices::DeviceBody;
use super::input::{name, object, optional_object};
use super::output::{MadeOrNow, MadeOrWaits};
use super::problem::Problem;
use super::qr;
use super::users::UserBody;
use crate::clock::Timestamp;
use crate::id::EnrollmentId;
use crate::identity::code::EnrollmentCode;
use crate::identity::{Claim, Claimed, DeviceKey, Handle, NewCode, PersonName, Platform, UserRef, strict_json};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/enrollments",
            post_with(create, |op| {
                op.id("createEnrollment")
                    .tag("devices")
                    .summary("A code for a person's next device, shown this once")
                    .description("For somebody else it waits for an administrator's passkey, and is shown to whoever confirms.")
            }),
        )
        .api_route(
            "/v1/enrollments/claim",
            post_with(claim, |op| {
                op.id("claimEnrollment")
                    .tag("devices")
                    .summary("Make a device its person's")
                    .description("Needs no credentials: the code and the proof are them. See the device protocol, section 2.")
            }),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Whose device it will be: `@handle` or `usr_…`.
    user: UserRef,
}

/// An enrolment code.
#[derive(Serialize, JsonSchema)]
pub(super) struct CodeBody {
    id: EnrollmentId,
    /// The code, in groups of four. It cannot be shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// The link for the person: the code is behind `#`, which browsers send to nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    /// The link as a QR code (ISO/IEC 18004), a row of modules in each text: `1` is dark. Around it belongs a light border of four
    /// modules. As secret as the link; absent when the link is too long for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr: Option<Vec<String>>,
    expires_at: Timestamp,
}

impl CodeBody {
    pub(super) fn of(new: NewCode, issuer: &str) -> Self {
        let code = new.code.map(|code| code.expose_grouped());
        let link = code.as_ref().map(|code| format!("{issuer}/enroll#{code}"));
        let qr = link.as_deref().and_then(qr::rows);
        Self { id: new.id, code, link, qr, expires_at: new.expires_at }
    }
}

async fn create(
    Extract(app): Extract<State>,
    Write(call, body): Write<Request>,
) -> Result<MadeOrWaits<CodeBody, ActBody>, Problem> {
    if !call.enrols(&body.user) {
        return Ok(MadeOrWaits::Waits(app.policies.enroll(&call, body.user).await?.into()));
    }
    let new = app.identity.create_enrollment(&call, body.user).await?;
    Ok(MadeOrWaits::Made(CodeBody::of(new, &app.issuer)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClaimRequest {
    /// The code, as it was read or typed.
    #[schemars(length(max = 60))]
    code: String,
    /// The device.
    #[serde(deserialize_with = "strict_json::deserialize")]
    #[schemars(with = "DeviceRequest")]
    device: Value,
    device_key: DeviceKey,
    /// That the device holds the key: a compact JWS.
    #[schemars(length(max = 8192))]
    proof: String,
    /// Who the first administrator is; only with their code.
    #[serde(default, deserialize_with = "optional_object")]
    user: Option<FirstAdmin>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceRequest {
    /// What its owner calls it; 1 to 80 characters.
    #[schemars(length(min = 1, max = 80))]
    pub(super) name: String,
    pub(super) platform: Platform,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FirstAdmin {
    handle: Handle,
    name: PersonName,
}

#[derive(Serialize, JsonSchema)]
struct ClaimedBody {
    user: UserBody,
    device: DeviceBody,
    /// What assertions and proofs name as the audience.
    issuer: String,
    /// What to subscribe to push with, base64url.
    vapid_public_key: String,
}

/// What the `device` member says; it is kept as it was sent, for the proof covers it.
pub(super) fn device(sent: &Value) -> Result<DeviceRequest, Problem> {
    let mut track = serde_path_to_error::Track::new();
    object(serde_path_to_error::Deserializer::new(sent, &mut track)).map_err(|error: serde_json::Error| {
        let detail = error.to_string();
        let below = field(&track.path().to_string(), &detail);
        Problem::field(below.map_or_else(|| "device".to_owned(), |below| format!("device.{below}")), detail)
    })
}

async fn claim(
    Extract(app): Extract<State>,
    address: Option<Extension<ClientAddress>>,
    Anonymous(body): Anonymous<ClaimRequest>,
) -> Result<MadeOrNow<ClaimedBody>, Problem> {
    let code = EnrollmentCode::parse(&body.code).map_err(|error| Problem::field("code", error.to_string()))?;
    let device = device(&body.device)?;
    let claim = Claim {
        code,
        name: name("device.name", &device.name)?,
        platform: device.platform,
        device: body.device,
        key: body.device_key,
        proof: body.proof,
        user: body.user.map(|user| (user.handle, user.name)),
        address: address.map(|Extension(ClientAddress(address))| address),
    };
    let Claimed { user, device, fresh } = app.identity.claim(claim).await?;
    let body = ClaimedBody {
        user: UserBody::without_email(user),
        device: device.into(),
        issuer: app.issuer.clone(),
        vapid_public_key: app.vapid_public_key.clone(),
    };
    Ok(if fresh { MadeOrNow::Made(body) } else { MadeOrNow::Now(body) })
}
