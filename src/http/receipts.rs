//! `/v1/receipts` and the deliveries of what rang: how far pushes came.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{Anonymous, Read};
use super::input::Path;
use super::output::NoContent;
use super::people::Person;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::delivery::{Channel, Delivered, Reached, Receipt};
use crate::id::{ApprovalId, AttemptId, DeviceId};
use crate::paging::Reference;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/receipts/{capability}",
            post_with(receive, |op| {
                op.id("postReceipt").tag("receipts").summary("A push came, was shown, or was opened").description(
                    "For phones, with the capability that came in the push as `data.receipt` and nothing else. It is good for that push \
                     alone, for 24 hours. Saying it again is harmless; `displayed` says `received` too, and `opened` both.",
                )
            }),
        )
        .api_route(
            "/v1/incidents/{ref}/deliveries",
            get_with(of_incident, |op| {
                op.id("listIncidentDeliveries").tag("incidents").summary("How far the pushes of an incident came").description(
                    "The newest first, at most 200. `accepted` is the word of the push service, which no phone has confirmed.",
                )
            }),
        )
        .api_route(
            "/v1/approvals/{id}/deliveries",
            get_with(of_approval, |op| {
                op.id("listApprovalDeliveries").tag("approvals").summary("How far the pushes of an approval came").description(
                    "For whoever may see the approval. The newest first, at most 200. `accepted` is the word of the push service, which no \
                     phone has confirmed.",
                )
            }),
        )
}

#[derive(Deserialize, JsonSchema)]
struct ByCapability {
    /// `data.receipt` of the push.
    capability: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReceiptRequest {
    /// How far it came.
    event: Receipt,
}

#[derive(Deserialize, JsonSchema)]
struct ByRef {
    /// The reference, like `P7K3M2X`, in any case.
    r#ref: Reference,
}

#[derive(Deserialize, JsonSchema)]
struct ById {
    id: ApprovalId,
}

/// One try to tell one person on one way.
#[derive(Serialize, JsonSchema)]
struct DeliveryBody {
    id: AttemptId,
    to: Person,
    /// On which of their devices; absent for e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceName>,
    carrier: Channel,
    /// Which ring, from 1.
    round: u32,
    /// Whether it was a louder one, because nobody had said that an earlier one came.
    louder: bool,
    state: Reached,
    created_at: Timestamp,
    /// When the push service took it, or it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    displayed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opened_at: Option<Timestamp>,
}

/// A device by its name.
#[derive(Serialize, JsonSchema)]
struct DeviceName {
    id: DeviceId,
    name: String,
}

#[derive(Serialize, JsonSchema)]
struct List {
    deliveries: Vec<DeliveryBody>,
}

impl From<Delivered> for DeliveryBody {
    fn from(delivered: Delivered) -> Self {
        Self {
            id: delivered.id,
            to: (&delivered.user).into(),
            device: delivered.device.map(|(id, name)| DeviceName { id, name }),
            carrier: delivered.channel,
            round: delivered.round,
            louder: delivered.louder,
            state: delivered.reached,
            created_at: delivered.created_at,
            finished_at: delivered.finished_at,
            received_at: delivered.received_at,
            displayed_at: delivered.displayed_at,
            opened_at: delivered.opened_at,
        }
    }
}

async fn receive(
    Extract(app): Extract<State>,
    Path(ByCapability { capability }): Path<ByCapability>,
    Anonymous(ReceiptRequest { event }): Anonymous<ReceiptRequest>,
) -> Result<NoContent, Problem> {
    app.delivery.receipt(&capability, event).await?;
    Ok(NoContent)
}

async fn of_incident(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Read(call): Read,
) -> Result<Json<List>, Problem> {
    let incident = app.paging.find(&call, r#ref).await?.incident.id;
    list(&app, incident.0).await
}

async fn of_approval(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Read(call): Read,
) -> Result<Json<List>, Problem> {
    let approval = app.approvals.find(&call, id).await?.approval.id;
    list(&app, approval.0).await
}

async fn list(app: &State, subject: uuid::Uuid) -> Result<Json<List>, Problem> {
    let deliveries = app.delivery.deliveries(subject).await?.into_iter().map(DeliveryBody::from).collect();
    Ok(Json(List { deliveries }))
}
