//! The admin API of the FCM simulator, and the door by which phones fetch what came.
//!
//! | who | call |
//! |---|---|
//! | phone | `POST /devices` `{kind: token \| fid}` → 201 `{kind, id}`; `DELETE /devices/{id}`: 404 `UNREGISTERED` from then on |
//! | phone | `GET /devices/{id}/notifications?after=N&wait=25` → `{notifications: […]}` |
//! | developer | `GET /service-account.json`: what a sender is configured with; `GET /authority.pem`: the authority to trust |
//! | test | `POST /admin/devices/{id}/faults` `{fault: {kind, …}, times}`, `DELETE` the same |
//! | test | `PUT /admin/devices/{id}/presence` `{presence: awake \| dozing \| away}` |
//! | test | `GET /admin/devices/{id}` → `{shown: […], counts: {…}, deletions}` |
//! | test | `POST /admin/tokens/faults` `{fault: {kind, …}, times}`; `DELETE /admin/tokens`: all that were given out end |
//! | test | `POST /admin/connections/faults` `{fault: {kind, …}, times}`, `DELETE` the same |
//! | test | `POST /admin/connections/disturb` `{kind: reset \| silence \| go_away, reason?, which?}` → `{connections}` |
//! | test | `PUT /admin/behaviour` `{latency_ms}` |
//! | test | `GET /admin/journal` → `{requests: […]}`; `GET /admin/connections` |

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Control;
use super::device::{Device, Presence};
use super::fault::{Fault, Script, TokenFault};
use super::store::NoInstallation;
use crate::sim::plain::{ConnectionScript, Disturb, Since, until_some};

/// What the handlers work with.
#[derive(Clone)]
struct Admin {
    control: Control,
    authority: Arc<str>,
}

pub(super) fn router(control: Control, authority: &str) -> Router {
    Router::new()
        .route("/authority.pem", get(authority_pem))
        .route("/service-account.json", get(service_account))
        .route("/devices", post(install))
        .route("/devices/{id}", delete(uninstall))
        .route("/devices/{id}/notifications", get(notifications))
        .route("/admin/devices/{id}", get(device))
        .route("/admin/devices/{id}/faults", post(script).delete(clear))
        .route("/admin/devices/{id}/presence", put(presence))
        .route("/admin/tokens", delete(revoke_tokens))
        .route("/admin/tokens/faults", post(script_tokens))
        .route("/admin/connections", get(connections))
        .route("/admin/connections/faults", post(script_connections).delete(clear_connections))
        .route("/admin/connections/disturb", post(disturb))
        .route("/admin/behaviour", put(behaviour))
        .route("/admin/journal", get(journal))
        .with_state(Admin { control, authority: authority.into() })
}

impl IntoResponse for NoInstallation {
    fn into_response(self) -> Response {
        (StatusCode::NOT_FOUND, Json(json!({"reason": "NoInstallation", "detail": self.to_string()}))).into_response()
    }
}

fn bad_status() -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"reason": "BadStatus", "detail": "status must be 200 to 599"}))).into_response()
}

async fn authority_pem(State(admin): State<Admin>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/x-pem-file")], admin.authority.to_string())
}

async fn service_account(State(admin): State<Admin>) -> Json<Value> {
    Json(admin.control.service_account())
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

async fn install(State(admin): State<Admin>, Json(new): Json<New>) -> Response {
    let id = admin.control.install(matches!(new.kind, Kind::Fid));
    (StatusCode::CREATED, Json(json!({"kind": new.kind, "id": id}))).into_response()
}

async fn uninstall(State(admin): State<Admin>, Path(id): Path<String>) -> Result<StatusCode, NoInstallation> {
    admin.control.store.device(&id, |device, _| device.gone = true)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn notifications(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Query(since): Query<Since>,
) -> Result<Json<Value>, NoInstallation> {
    let store = &admin.control.store;
    let arrived = store.device(&id, |device, _| Arc::clone(&device.arrived))?;
    let fetch = || store.device(&id, |device, _| device.fetch(since.after)).unwrap_or_default();
    let fetched = until_some(&arrived, since.wait(), &admin.control.gate.stop, fetch).await;
    Ok(Json(json!({"notifications": fetched})))
}

async fn device(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Value>, NoInstallation> {
    let seen = |device: &mut Device, _| {
        let screen = &device.screen;
        json!({"shown": screen.shown(), "counts": screen.counts(), "deletions": device.deletions})
    };
    admin.control.store.device(&id, seen).map(Json)
}

async fn script(State(admin): State<Admin>, Path(id): Path<String>, Json(script): Json<Script<Fault>>) -> Response {
    if !script.is_possible() {
        return bad_status();
    }
    let scripted = admin.control.store.device(&id, |device, _| device.faults.script(script));
    scripted.map(|()| StatusCode::NO_CONTENT).into_response()
}

async fn clear(State(admin): State<Admin>, Path(id): Path<String>) -> Result<StatusCode, NoInstallation> {
    admin.control.store.device(&id, |device, _| device.faults.clear())?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Where {
    presence: Presence,
}

async fn presence(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Json(asked): Json<Where>,
) -> Result<StatusCode, NoInstallation> {
    admin.control.store.device(&id, |device, now| device.be(asked.presence, now))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke_tokens(State(admin): State<Admin>) -> StatusCode {
    admin.control.store.state().accounts.revoke();
    StatusCode::NO_CONTENT
}

async fn script_tokens(State(admin): State<Admin>, Json(script): Json<Script<TokenFault>>) -> Response {
    if !script.is_possible() {
        return bad_status();
    }
    admin.control.store.state().token_faults.script(script);
    StatusCode::NO_CONTENT.into_response()
}

async fn connections(State(admin): State<Admin>) -> Json<Value> {
    Json(json!({"connections": admin.control.gate.connections()}))
}

async fn script_connections(State(admin): State<Admin>, Json(script): Json<ConnectionScript>) -> StatusCode {
    admin.control.gate.script(script.fault, script.times);
    StatusCode::NO_CONTENT
}

async fn clear_connections(State(admin): State<Admin>) -> StatusCode {
    admin.control.gate.clear();
    StatusCode::NO_CONTENT
}

async fn disturb(State(admin): State<Admin>, Json(asked): Json<Disturb>) -> Json<Value> {
    let gate = &admin.control.gate;
    Json(json!({"connections": gate.disturb(&asked.at(gate.clock.now()))}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBehaviour {
    latency_ms: u64,
}

async fn behaviour(State(admin): State<Admin>, Json(new): Json<NewBehaviour>) -> StatusCode {
    admin.control.set_latency(Duration::from_millis(new.latency_ms));
    StatusCode::NO_CONTENT
}

async fn journal(State(admin): State<Admin>) -> Json<Value> {
    Json(json!({"requests": admin.control.store.journal()}))
}
