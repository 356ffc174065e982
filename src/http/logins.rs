//! `/v1/logins`: devices that ask to be somebody's without a code.

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use axum::Extension;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::State;
use super::caller::Anonymous;
use super::client_address::ClientAddress;
use super::devices::DeviceBody;
use super::enrollments::{DeviceRequest, device};
use super::input::name;
use super::output::MadeOrNow;
use super::problem::Problem;
use crate::identity::{Asking, ClaimedDevice, DeviceKey, UserRef, strict_json};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new().api_route(
        "/v1/logins",
        post_with(ask, |op| {
            op.id("login").tag("devices").summary("Ask to become a person's device, without a code").description(
                "Needs no credentials. The device waits until another of the person's confirms it, as one with a code does: see the device \
                 protocol, section 2. One waits at a time for each person, three are heard in an hour, none after a rejection.",
            )
        }),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Whose device it would be: `@handle` or `usr_…`.
    user: UserRef,
    /// The device.
    #[serde(deserialize_with = "strict_json::deserialize")]
    #[schemars(with = "DeviceRequest")]
    device: Value,
    device_key: DeviceKey,
    /// That the device holds the key: a compact JWS.
    #[schemars(length(max = 8192))]
    proof: String,
}

#[derive(Serialize, JsonSchema)]
struct AskedBody {
    device: DeviceBody,
    /// What assertions and proofs name as the audience.
    issuer: String,
    /// What to subscribe to push with, base64url.
    vapid_public_key: String,
}

async fn ask(
    Extract(app): Extract<State>,
    address: Option<Extension<ClientAddress>>,
    Anonymous(body): Anonymous<Request>,
) -> Result<MadeOrNow<AskedBody>, Problem> {
    let described = device(&body.device)?;
    let asking = Asking {
        user: body.user,
        name: name("device.name", &described.name)?,
        platform: described.platform,
        device: body.device,
        key: body.device_key,
        proof: body.proof,
        address: address.map(|Extension(ClientAddress(address))| address),
    };
    let (waiting, fresh) = app.identity.ask_to_join(asking).await?;
    let body = AskedBody {
        device: ClaimedDevice::Waits(waiting).into(),
        issuer: app.issuer.clone(),
        vapid_public_key: app.vapid_public_key.clone(),
    };
    Ok(if fresh { MadeOrNow::Made(body) } else { MadeOrNow::Now(body) })
}
