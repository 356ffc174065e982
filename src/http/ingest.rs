//! `/v2/enqueue`, `/ingest/{key}/…`, `/heartbeat/{key}`: what monitoring systems send. The key is the credential.
//!
//! **Invariants**
//! - A 2xx is sent once what was said is durable. Overload is 503 on every path: Alertmanager's webhook retries nothing else. An integration
//!   over its quota hears 429, and 503 where Alertmanager or Grafana sends.
//! - A 400 of `/v2` has the shape that its clients know; everything else is a problem, as everywhere.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use aide::generate::GenContext;
use aide::openapi::{Operation, Response as ApiResponse};
use aide::{OperationInput, OperationOutput};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::State;
use super::caller::split;
use super::input::Path;
use super::output::NoContent;
use super::problem::Problem;
use crate::ingest::{Refused, alertmanager, events_v2, generic, grafana};
use crate::paging::{Integration, IntegrationKind, IntegrationSettings, Mapping, OverQuota, Signal};
use crate::secret::{Secret, sha256};

/// The largest body, bytes.
const MAX_BODY: usize = 1024 * 1024;

/// The length of a key.
const KEY: usize = 32;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v2/enqueue",
            post_with(enqueue, |op| {
                op.id("enqueueEvent").tag("alerts").summary("An event by Events v2").description(
                    "For whatever speaks Events v2; the `routing_key` is the key of an integration of the kind `events`. What is odd \
                     is normalised and noted on the incident's timeline: only JSON that cannot be read, a key that is not known and \
                     an action that is not known are refused.",
                )
            }),
        )
        // Some clients append a slash.
        .route("/v2/enqueue/", axum::routing::post(enqueue))
        .api_route(
            "/v2/change/enqueue",
            post_with(change, |op| {
                op.id("enqueueChange").tag("alerts").summary("A change event by Events v2").description(
                    "Recorded with the service (`change.reported` in the journal); nobody is notified.",
                )
            }),
        )
        .api_route(
            "/ingest/{key}/alertmanager",
            post_with(from_alertmanager, |op| {
                op.id("ingestAlertmanager").tag("alerts").summary("Alertmanager's webhook").description(
                    "One incident for each group, resolved when the group is. For the `url` of a `webhook_configs`.",
                )
            }),
        )
        .api_route(
            "/ingest/{key}/grafana",
            post_with(from_grafana, |op| {
                op.id("ingestGrafana").tag("alerts").summary("Grafana's webhook").description("One incident for each group.")
            })
            .merge(put_with(from_grafana, |op| {
                op.id("ingestGrafanaPut").tag("alerts").summary("Grafana's webhook").description("As by POST.")
            })),
        )
        .api_route(
            "/ingest/{key}/generic",
            post_with(from_anything, |op| {
                op.id("ingestGeneric").tag("alerts").summary("Any JSON").description(
                    "An object, or a list of them; where its alert is says the integration's mapping, and beside it names like \
                     `summary`, `title`, `dedup_key`, `id`, `severity`, `status`.",
                )
            }),
        )
        .api_route(
            "/heartbeat/{key}",
            post_with(beat, |op| {
                op.id("postHeartbeat").tag("alerts").summary("A heartbeat").description(
                    "Silence for longer than the integration says raises an incident; the next beat resolves it.",
                )
            })
            .merge(get_with(beat, |op| {
                op.id("getHeartbeat").tag("alerts").summary("A heartbeat").description("As by POST, for what can only fetch.")
            })),
        )
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

#[derive(Deserialize, JsonSchema)]
struct ByKey {
    /// The key of an integration.
    key: String,
}

/// A body that is looked at whatever it is said to be.
struct Sent(Bytes);

impl FromRequest<State> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &State) -> Result<Self, Problem> {
        split(request, app).await.map(|(_, body)| Self(body)).map_err(|problem| {
            if problem.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body may have at most 1 MiB");
            }
            problem
        })
    }
}

impl OperationInput for Sent {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        Json::<Said>::operation_input(ctx, operation);
    }
}

/// What a monitoring system sends: an object, or anything that can be read as one.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "it describes what is read by `ingest`")]
struct Said {
    /// Events v2: the key of the integration.
    #[serde(default)]
    routing_key: Option<String>,
    /// Events v2: `trigger`, `acknowledge` or `resolve`.
    #[serde(default)]
    event_action: Option<String>,
    /// What makes events one alert.
    #[serde(default)]
    dedup_key: Option<String>,
    /// Whatever else it says.
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// What was taken. It is durable.
#[derive(Serialize, JsonSchema)]
struct AcceptedBody {
    /// Always `success`.
    status: &'static str,
    /// Always `Event processed`.
    message: &'static str,
    /// The key of the alert: the one that was sent, or one that was made for it. Of several alerts, the first's.
    #[serde(skip_serializing_if = "Option::is_none")]
    dedup_key: Option<String>,
}

/// 202.
struct Accepted(AcceptedBody);

impl Accepted {
    fn of(dedup_key: Option<String>) -> Self {
        Self(AcceptedBody { status: "success", message: "Event processed", dedup_key })
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self.0)).into_response()
    }
}

impl OperationOutput for Accepted {
    type Inner = AcceptedBody;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ApiResponse> {
        Json::<AcceptedBody>::operation_response(ctx, operation)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        Self::operation_response(ctx, operation).map(|response| (Some(202), response)).into_iter().collect()
    }
}

/// Why an event was not taken, as clients of Events v2 know it.
#[derive(Serialize, JsonSchema)]
struct NotTaken {
    /// `invalid event` or `Unrecognized object`.
    status: &'static str,
    /// What is wrong, in general.
    message: &'static str,
    /// What is wrong, one by one.
    errors: Vec<String>,
}

/// A refusal of Events v2: 400 in its own shape, or a problem.
enum EventRefused {
    NotTaken(NotTaken),
    Problem(Problem),
}

impl EventRefused {
    fn invalid(errors: Vec<String>) -> Self {
        Self::NotTaken(NotTaken { status: "invalid event", message: "Event object is invalid", errors })
    }
}

impl From<Problem> for EventRefused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Refused> for EventRefused {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(errors) => Self::invalid(errors),
            Refused::Unreadable(why) => Self::NotTaken(NotTaken {
                status: "Unrecognized object",
                message: "Event object format is unrecognized",
                errors: vec!["JSON parse error".to_owned(), why],
            }),
        }
    }
}

impl IntoResponse for EventRefused {
    fn into_response(self) -> Response {
        match self {
            Self::NotTaken(body) => (StatusCode::BAD_REQUEST, Json(body)).into_response(),
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

impl OperationOutput for EventRefused {
    type Inner = NotTaken;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ApiResponse> {
        Json::<NotTaken>::operation_response(ctx, operation)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        let not_taken = Self::operation_response(ctx, operation).map(|response| (Some(400), response));
        not_taken.into_iter().chain(Problem::inferred_responses(ctx, operation)).collect()
    }
}

async fn enqueue(Extract(app): Extract<State>, Sent(body): Sent) -> Result<Accepted, EventRefused> {
    let event = events_v2::read(&body)?;
    let integration = by_routing_key(&app, &event.routing_key).await?;
    admit(&app, &integration, 1).await?;
    let taken = app.paging.take_alert(&integration, event.says).await.map_err(Problem::from)?;
    Ok(Accepted::of(Some(taken.dedup_key)))
}

async fn change(Extract(app): Extract<State>, Sent(body): Sent) -> Result<Accepted, EventRefused> {
    let event = events_v2::read_change(&body)?;
    let integration = by_routing_key(&app, &event.routing_key).await?;
    admit(&app, &integration, 1).await?;
    app.paging.take_change(&integration, &event.says).await.map_err(Problem::from)?;
    Ok(Accepted::of(None))
}

async fn from_alertmanager(
    Extract(app): Extract<State>,
    Path(ByKey { key }): Path<ByKey>,
    Sent(body): Sent,
) -> Result<Accepted, Problem> {
    let integration = by_key(&app, key, IntegrationKind::Alertmanager).await?;
    take(&app, &integration, alertmanager::read(&body)?).await
}

async fn from_grafana(
    Extract(app): Extract<State>,
    Path(ByKey { key }): Path<ByKey>,
    Sent(body): Sent,
) -> Result<Accepted, Problem> {
    let integration = by_key(&app, key, IntegrationKind::Grafana).await?;
    take(&app, &integration, grafana::read(&body)?).await
}

async fn from_anything(
    Extract(app): Extract<State>,
    Path(ByKey { key }): Path<ByKey>,
    Sent(body): Sent,
) -> Result<Accepted, Problem> {
    let integration = by_key(&app, key, IntegrationKind::Generic).await?;
    let plain = Mapping::default();
    let mapping = match &integration.settings {
        IntegrationSettings::Mapping(mapping) => mapping,
        IntegrationSettings::Nothing | IntegrationSettings::Beats(_) => &plain,
    };
    take(&app, &integration, generic::read(&body, mapping)?).await
}

async fn beat(Extract(app): Extract<State>, Path(ByKey { key }): Path<ByKey>) -> Result<NoContent, Problem> {
    let integration = by_key(&app, key, IntegrationKind::Heartbeat).await?;
    app.paging.beat(&integration).await?;
    Ok(NoContent)
}

/// 429 when the integration is over its quota; 503 where the sender retries nothing else.
async fn admit(app: &State, integration: &Integration, reports: usize) -> Result<(), Problem> {
    let Err(OverQuota { wait }) = app.paging.admit(integration, reports).await? else { return Ok(()) };
    let status = match integration.kind {
        IntegrationKind::Alertmanager | IntegrationKind::Grafana => StatusCode::SERVICE_UNAVAILABLE,
        IntegrationKind::Events | IntegrationKind::Generic | IntegrationKind::Heartbeat => StatusCode::TOO_MANY_REQUESTS,
    };
    Err(Problem::new(status, "over_quota", "this integration reports more than it may: send it again later").after(wait))
}

/// Each is durable by itself; a sender that hears of a failure sends all of them again, which the keys take care of.
async fn take(app: &State, integration: &Integration, signals: Vec<Signal>) -> Result<Accepted, Problem> {
    admit(app, integration, signals.len()).await?;
    let mut first = None;
    for signal in signals {
        let taken = app.paging.take_alert(integration, signal).await?;
        first = first.or(Some(taken.dedup_key));
    }
    Ok(Accepted::of(first))
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "not_json", refused.to_string())
    }
}

/// The integration of a key in a path.
async fn by_key(app: &State, key: String, kind: IntegrationKind) -> Result<Integration, Problem> {
    let found = app.paging.integration(sha256(Secret::new(key).expose().as_bytes())).await?;
    let integration = found.ok_or_else(|| Problem::not_found("there is no integration with this key"))?;
    if integration.kind == kind {
        return Ok(integration);
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, "other_kind", other_kind(integration.kind)).with("kind", integration.kind))
}

fn other_kind(kind: IntegrationKind) -> String {
    let path = match kind {
        IntegrationKind::Events => "POST /v2/enqueue",
        IntegrationKind::Alertmanager => "POST /ingest/{key}/alertmanager",
        IntegrationKind::Grafana => "POST /ingest/{key}/grafana",
        IntegrationKind::Generic => "POST /ingest/{key}/generic",
        IntegrationKind::Heartbeat => "POST /heartbeat/{key}",
    };
    format!("this key is for an integration of the kind {}: use {path}", kind.as_str())
}

/// The integration of a key in a body.
async fn by_routing_key(app: &State, key: &Secret) -> Result<Integration, EventRefused> {
    let found = app.paging.integration(sha256(key.expose().as_bytes())).await.map_err(Problem::from)?;
    match found {
        Some(integration) if integration.kind == IntegrationKind::Events => Ok(integration),
        Some(integration) => Err(EventRefused::invalid(vec![other_kind(integration.kind)])),
        None => Err(EventRefused::invalid(vec![not_a_key(key.expose()).to_owned()])),
    }
}

/// What is wrong with a key that nobody has.
fn not_a_key(key: &str) -> &'static str {
    if key.is_empty() {
        "'routing_key' is missing or blank"
    } else if key.chars().count() != KEY {
        "Length of 'routing_key' is incorrect (should be 32 characters)"
    } else if key.chars().any(|c| !c.is_ascii_alphanumeric()) {
        "'routing_key' cannot contain non-alphanumeric characters."
    } else {
        "Invalid routing key"
    }
}
