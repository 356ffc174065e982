//! The admin API of the APNs simulator, and the door by which phones fetch what came.
//!
//! | who | call |
//! |---|---|
//! | phone | `POST /devices` `{topic?, token?}` → 201 `{token, topic}`; `DELETE /devices/{token}`: 410 from then on |
//! | phone | `GET /devices/{token}/notifications?after=N&wait=25` → `{notifications: […]}` |
//! | test | `POST /admin/devices/{token}/faults` `{fault: {kind, …}, times}`, `DELETE` the same |
//! | test | `PUT /admin/devices/{token}/away` `{away}` |
//! | test | `GET /admin/devices/{token}` → `{shown: […], counts: {…}}` |
//! | test | `POST /admin/connections/faults` `{fault: {kind, …}, times}`, `DELETE` the same |
//! | test | `POST /admin/connections/disturb` `{kind: reset \| silence \| go_away, reason?, which?}` → `{connections}` |
//! | test | `PUT /admin/behaviour` `{latency_ms?, streams_drop?}` |
//! | test | `GET /admin/journal` → `{requests: […]}`; `GET /admin/connections`; `GET /admin/tokens` |
//! | developer | `GET /authority.pem`: the certificate authority to trust |

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::device::Device;
use super::fault::Script;
use super::store::NoDevice;
use super::{Control, Reason};
use crate::sim::plain::{ConnectionScript, Disturb, Since, until_some};

/// What the handlers work with.
#[derive(Clone)]
struct Admin {
    control: Control,
    authority: Arc<str>,
    topic: Arc<str>,
}

pub(super) fn router(control: Control, authority: &str, topic: &str) -> Router {
    Router::new()
        .route("/authority.pem", get(authority_pem))
        .route("/devices", post(install))
        .route("/devices/{token}", delete(uninstall))
        .route("/devices/{token}/notifications", get(notifications))
        .route("/admin/devices/{token}", get(device))
        .route("/admin/devices/{token}/faults", post(script).delete(clear))
        .route("/admin/devices/{token}/away", put(away))
        .route("/admin/connections", get(connections))
        .route("/admin/connections/faults", post(script_connections).delete(clear_connections))
        .route("/admin/connections/disturb", post(disturb))
        .route("/admin/behaviour", put(behaviour))
        .route("/admin/journal", get(journal))
        .route("/admin/tokens", get(tokens))
        .with_state(Admin { control, authority: authority.into(), topic: topic.into() })
}

impl IntoResponse for NoDevice {
    fn into_response(self) -> Response {
        (StatusCode::NOT_FOUND, Json(json!({"reason": "NoDevice", "detail": self.to_string()}))).into_response()
    }
}

async fn authority_pem(State(admin): State<Admin>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/x-pem-file")], admin.authority.to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    topic: Option<String>,
    token: Option<String>,
}

async fn install(State(admin): State<Admin>, Json(new): Json<New>) -> Response {
    let topic = new.topic.unwrap_or_else(|| admin.topic.to_string());
    let token = match new.token {
        None => admin.control.install(&topic),
        Some(token) if is_hex(&token) => {
            let token = token.to_ascii_lowercase();
            admin.control.store.state().devices.insert(token.clone(), Device::new(&topic));
            token
        }
        Some(_) => {
            let refusal = json!({"reason": "BadDeviceToken", "detail": "a token is hex digits, two a byte"});
            return (StatusCode::BAD_REQUEST, Json(refusal)).into_response();
        }
    };
    (StatusCode::CREATED, Json(json!({"token": token, "topic": topic}))).into_response()
}

fn is_hex(token: &str) -> bool {
    !token.is_empty() && token.len().is_multiple_of(2) && token.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn uninstall(State(admin): State<Admin>, Path(token): Path<String>) -> Result<StatusCode, NoDevice> {
    let store = &admin.control.store;
    store.end(&token, Reason::Unregistered, store.clock.now())?;
    Ok(StatusCode::NO_CONTENT)
}

async fn notifications(
    State(admin): State<Admin>,
    Path(token): Path<String>,
    Query(since): Query<Since>,
) -> Result<Json<Value>, NoDevice> {
    let store = &admin.control.store;
    let arrived = store.device(&token, |device, _| Arc::clone(&device.arrived))?;
    let fetch = || store.device(&token, |device, _| device.fetch(since.after)).unwrap_or_default();
    let fetched = until_some(&arrived, since.wait(), &admin.control.gate.stop, fetch).await;
    Ok(Json(json!({"notifications": fetched})))
}

async fn device(State(admin): State<Admin>, Path(token): Path<String>) -> Result<Json<Value>, NoDevice> {
    let seen = |device: &mut Device, _| json!({"shown": device.screen.shown(), "counts": device.screen.counts()});
    admin.control.store.device(&token, seen).map(Json)
}

async fn script(State(admin): State<Admin>, Path(token): Path<String>, Json(script): Json<Script>) -> Response {
    if !script.is_possible() {
        let refusal = json!({"reason": "BadStatus", "detail": "status must be 200 to 599"});
        return (StatusCode::BAD_REQUEST, Json(refusal)).into_response();
    }
    let scripted = admin.control.store.device(&token, |device, _| device.faults.script(script));
    scripted.map(|()| StatusCode::NO_CONTENT).into_response()
}

async fn clear(State(admin): State<Admin>, Path(token): Path<String>) -> Result<StatusCode, NoDevice> {
    admin.control.store.device(&token, |device, _| device.faults.clear())?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Away {
    away: bool,
}

async fn away(State(admin): State<Admin>, Path(token): Path<String>, Json(asked): Json<Away>) -> Result<StatusCode, NoDevice> {
    admin.control.store.device(&token, |device, now| device.be_away(asked.away, now))?;
    Ok(StatusCode::NO_CONTENT)
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
    latency_ms: Option<u64>,
    streams_drop: Option<bool>,
}

async fn behaviour(State(admin): State<Admin>, Json(new): Json<NewBehaviour>) -> StatusCode {
    if let Some(ms) = new.latency_ms {
        admin.control.set_latency(Duration::from_millis(ms));
    }
    if let Some(drop) = new.streams_drop {
        admin.control.behaviour.streams_drop.store(drop, Ordering::Relaxed);
    }
    StatusCode::NO_CONTENT
}

async fn journal(State(admin): State<Admin>) -> Json<Value> {
    Json(json!({"requests": admin.control.store.journal()}))
}

async fn tokens(State(admin): State<Admin>) -> Json<Value> {
    Json(json!({"tokens": admin.control.store.state().keys.seen()}))
}
