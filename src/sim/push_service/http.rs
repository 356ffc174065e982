//! The push service's HTTP face: `/push` for application servers, `/subscriptions` for phones, `/admin` for tests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::check::{Refused, refused};
use super::decrypt::Receiver;
use super::fault::Fault;
use super::service::Vendor;
use super::store::NoSubscription;
use crate::secret::from_b64u;
use crate::sim::gate::Gate;
use crate::sim::script::{Script, Scripted as _};
use crate::sim::{http1, plain};

/// A phone may wait so long for a message in one call.
const WAIT_LIMIT: Duration = Duration::from_mins(1);

/// Marks an answer that must never be sent: the connection is closed instead.
#[derive(Clone)]
pub(super) struct Unanswered;

#[derive(Clone)]
pub(super) struct Service {
    pub(super) vendor: Vendor,
    pub(super) gate: Arc<Gate>,
}

pub(super) fn router(service: Service) -> Router {
    let connections = plain::connections(Arc::clone(&service.gate));
    Router::new()
        .route("/push/{secret}", any(endpoint))
        .route("/messages/{id}", any(endpoint))
        .route("/subscriptions", post(subscribe))
        .route("/subscriptions/{id}", delete(unsubscribe))
        .route("/subscriptions/{id}/messages", get(messages))
        .route("/admin/subscriptions/{id}/faults", post(script).delete(clear_faults))
        .route("/admin/journal", get(journal))
        .with_state(service)
        .merge(connections)
}

/// What an application server asks; it goes unanswered as scripted.
async fn endpoint(State(service): State<Service>, request: Request) -> Response {
    let Service { vendor, gate } = service;
    let session = Mutex::new(None);
    let answered = tokio::select! {
        answered = http1::answer(&vendor, &session, &vendor.store.clock, request) => answered.ok(),
        () = gate.stop.cancelled() => None,
    };
    answered.unwrap_or_else(unanswered)
}

fn unanswered() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Unanswered);
    response
}

impl IntoResponse for NoSubscription {
    fn into_response(self) -> Response {
        Refused::from(self).into_response()
    }
}

impl From<NoSubscription> for Refused {
    fn from(cause: NoSubscription) -> Self {
        let (status, reason) = match cause {
            NoSubscription::Unknown => (StatusCode::NOT_FOUND, "UnknownSubscription"),
            NoSubscription::Gone => (StatusCode::GONE, "Unsubscribed"),
        };
        refused(status, reason, cause.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = Json(json!({"reason": self.reason, "detail": self.detail}));
        (self.status, body).into_response()
    }
}

/// What a phone subscribes with. A real phone keeps `private_key`; here the service decrypts for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSubscription {
    p256dh: String,
    auth: String,
    private_key: String,
    application_server_key: String,
}

impl NewSubscription {
    fn parse(&self) -> Option<(Receiver, [u8; 65])> {
        let private = PrivateKey::from_private_key(&ECDH_P256, &from_b64u(&self.private_key)?);
        let private = private.ok()?;
        let public: [u8; 65] = from_b64u(&self.p256dh)?.try_into().ok()?;
        if private.compute_public_key().ok()?.as_ref() != public {
            return None;
        }
        let auth = from_b64u(&self.auth)?.try_into().ok()?;
        let key: [u8; 65] = from_b64u(&self.application_server_key)?.try_into().ok()?;
        let receiver = Receiver { private, public, auth };
        (key[0] == 4).then_some((receiver, key))
    }
}

async fn subscribe(State(service): State<Service>, Json(new): Json<NewSubscription>) -> Result<Response, Refused> {
    let (receiver, key) = new.parse().ok_or_else(|| {
        let detail = "p256dh (65 bytes), auth (16), private_key (32, of p256dh), application_server_key (65), in base64url";
        refused(StatusCode::BAD_REQUEST, "BadSubscription", detail)
    })?;
    let (id, secret) = service.vendor.store.subscribe(receiver, key, None);
    let endpoint = format!("{}/push/{secret}", service.vendor.origin);
    let body = Json(json!({"id": id, "endpoint": endpoint}));
    Ok((StatusCode::CREATED, body).into_response())
}

async fn unsubscribe(State(service): State<Service>, Path(id): Path<String>) -> Result<StatusCode, NoSubscription> {
    service.vendor.store.unsubscribe(&id)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    #[serde(default)]
    after: u64,
    /// Seconds, fractions allowed.
    #[serde(default)]
    wait: f64,
}

async fn messages(
    State(service): State<Service>,
    Path(id): Path<String>,
    Query(since): Query<Since>,
) -> Result<Json<Value>, Refused> {
    let wait = Duration::try_from_secs_f64(since.wait)
        .map_err(|cause| refused(StatusCode::BAD_REQUEST, "BadWait", cause.to_string()))?;
    let waiting = service.vendor.store.messages(&id, since.after, wait.min(WAIT_LIMIT));
    let messages = tokio::select! {
        messages = waiting => messages?,
        () = service.gate.stop.cancelled() => Vec::new(),
    };
    Ok(Json(json!({"messages": messages})))
}

async fn script(
    State(service): State<Service>,
    Path(id): Path<String>,
    Json(script): Json<Script<Fault>>,
) -> Result<StatusCode, Refused> {
    if !script.fault.is_possible() {
        let detail = "status must be 200 to 599, errno one of Mozilla's";
        return Err(refused(StatusCode::BAD_REQUEST, "BadStatus", detail));
    }
    service.vendor.store.script(&id, script)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(State(service): State<Service>, Path(id): Path<String>) -> Result<StatusCode, NoSubscription> {
    service.vendor.store.clear_faults(&id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn journal(State(service): State<Service>) -> Json<Value> {
    Json(json!({"pushes": service.vendor.store.journal()}))
}
