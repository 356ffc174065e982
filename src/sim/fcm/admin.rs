//! The admin API of the FCM simulator, and the door by which phones fetch what came.
//!
//! | who | call |
//! |---|---|
//! | phone | `POST /devices` `{kind: token \| fid}` → 201 `{kind, id}`; `DELETE /devices/{id}`: 404 `UNREGISTERED` from then on |
//! | phone | `GET /devices/{id}/notifications?after=N&wait=25` → `{notifications: […]}` |
//! | developer | `GET /service-account.json`: what a sender is configured with |
//! | test | `POST /admin/devices/{id}/faults` `{fault: {kind, …}, times}`, `DELETE` the same |
//! | test | `PUT /admin/devices/{id}/presence` `{presence: awake \| dozing \| away}` |
//! | test | `GET /admin/devices/{id}` → `{shown: […], counts: {…}, deletions}` |
//! | test | `POST /admin/tokens/faults` `{fault: {kind, …}, times}`; `DELETE /admin/tokens`: all that were given out end |
//! | test | `PUT /admin/behaviour` `{latency_ms}` |
//! | test | `GET /admin/journal` → `{requests: […]}`; and what `plain.rs` lists |

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Control;
use super::device::{Device, Presence};
use super::fault::{Fault, TokenFault};
use super::store::NoInstallation;
use crate::sim::plain::{self, Since, until_some};
use crate::sim::script::{Script, Scripted as _};

pub(super) fn router(control: Control, authority: &str) -> Router {
    let connections = plain::connections(Arc::clone(&control.gate));
    Router::new()
        .route("/service-account.json", get(service_account))
        .route("/devices", post(install))
        .route("/devices/{id}", delete(uninstall))
        .route("/devices/{id}/notifications", get(notifications))
        .route("/admin/devices/{id}", get(device))
        .route("/admin/devices/{id}/faults", post(script).delete(clear))
        .route("/admin/devices/{id}/presence", put(presence))
        .route("/admin/tokens", delete(revoke_tokens))
        .route("/admin/tokens/faults", post(script_tokens))
        .route("/admin/behaviour", put(behaviour))
        .route("/admin/journal", get(journal))
        .with_state(control)
        .merge(connections)
        .merge(plain::trust(authority))
}

impl IntoResponse for NoInstallation {
    fn into_response(self) -> Response {
        (StatusCode::NOT_FOUND, Json(json!({"reason": "NoInstallation", "detail": self.to_string()}))).into_response()
    }
}

async fn service_account(State(control): State<Control>) -> Json<Value> {
    Json(control.service_account())
}

#[derive(Clone, Copy, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Token,
    Fid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    kind: Kind,
}

async fn install(State(control): State<Control>, Json(new): Json<New>) -> Response {
    let id = control.install(matches!(new.kind, Kind::Fid));
    (StatusCode::CREATED, Json(json!({"kind": new.kind, "id": id}))).into_response()
}

async fn uninstall(State(control): State<Control>, Path(id): Path<String>) -> Result<StatusCode, NoInstallation> {
    control.store.device(&id, |device, _| device.gone = true)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn notifications(
    State(control): State<Control>,
    Path(id): Path<String>,
    Query(since): Query<Since>,
) -> Result<Json<Value>, NoInstallation> {
    let store = &control.store;
    let arrived = store.device(&id, |device, _| Arc::clone(&device.arrived))?;
    let fetch = || store.device(&id, |device, _| device.fetch(since.after)).unwrap_or_default();
    let fetched = until_some(&arrived, since.wait(), &control.gate.stop, fetch).await;
    Ok(Json(json!({"notifications": fetched})))
}

async fn device(State(control): State<Control>, Path(id): Path<String>) -> Result<Json<Value>, NoInstallation> {
    let seen = |device: &mut Device, _| {
        let screen = &device.screen;
        json!({"shown": screen.shown(), "counts": screen.counts(), "deletions": device.deletions})
    };
    control.store.device(&id, seen).map(Json)
}

async fn script(State(control): State<Control>, Path(id): Path<String>, Json(script): Json<Script<Fault>>) -> Response {
    if !script.fault.is_possible() {
        return plain::impossible();
    }
    let scripted = control.store.device(&id, |device, _| device.faults.script(script));
    scripted.map(|()| StatusCode::NO_CONTENT).into_response()
}

async fn clear(State(control): State<Control>, Path(id): Path<String>) -> Result<StatusCode, NoInstallation> {
    control.store.device(&id, |device, _| device.faults.clear())?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Where {
    presence: Presence,
}

async fn presence(
    State(control): State<Control>,
    Path(id): Path<String>,
    Json(asked): Json<Where>,
) -> Result<StatusCode, NoInstallation> {
    control.store.device(&id, |device, now| device.be(asked.presence, now))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke_tokens(State(control): State<Control>) -> StatusCode {
    control.store.state().accounts.revoke();
    StatusCode::NO_CONTENT
}

async fn script_tokens(State(control): State<Control>, Json(script): Json<Script<TokenFault>>) -> Response {
    if !script.fault.is_possible() {
        return plain::impossible();
    }
    control.store.state().token_faults.script(script);
    StatusCode::NO_CONTENT.into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBehaviour {
    latency_ms: u64,
}

async fn behaviour(State(control): State<Control>, Json(new): Json<NewBehaviour>) -> StatusCode {
    control.set_latency(Duration::from_millis(new.latency_ms));
    StatusCode::NO_CONTENT
}

async fn journal(State(control): State<Control>) -> Json<Value> {
    Json(json!({"requests": control.store.journal()}))
}
