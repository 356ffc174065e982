//! The admin API of the APNs simulator, and the door by which phones fetch what came.
//!
//! | who | call |
//! |---|---|
//! | phone | `POST /devices` `{topic?, token?}` → 201 `{token, topic}`; `DELETE /devices/{token}`: 410 from then on |
//! | phone | `GET /devices/{token}/notifications?after=N&wait=25` → `{notifications: […]}` |
//! | test | `POST /admin/devices/{token}/faults` `{fault: {kind, …}, times}`, `DELETE` the same |
//! | test | `PUT /admin/devices/{token}/away` `{away}` |
//! | test | `GET /admin/devices/{token}` → `{shown: […], counts: {…}}` |
//! | test | `PUT /admin/behaviour` `{latency_ms?, streams_drop?}` |
//! | test | `GET /admin/journal` → `{requests: […]}`; `GET /admin/tokens`, without their signatures; `GET /admin/tokens/{digest}` → `{token}`, with it; and what `plain.rs` lists |

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::device::Device;
use super::fault::Fault;
use super::store::NoDevice;
use super::{Control, Reason};
use crate::sim::plain::{self, Since, until_some};
use crate::sim::script::{Script, Scripted as _};

/// What the handlers work with.
#[derive(Clone)]
struct Admin {
    control: Control,
    topic: Arc<str>,
}

pub(super) fn router(control: Control, authority: &str, topic: &str) -> Router {
    let connections = plain::connections(Arc::clone(&control.gate));
    Router::new()
        .route("/devices", post(install))
        .route("/devices/{token}", delete(uninstall))
        .route("/devices/{token}/notifications", get(notifications))
        .route("/admin/devices/{token}", get(device))
        .route("/admin/devices/{token}/faults", post(script).delete(clear))
        .route("/admin/devices/{token}/away", put(away))
        .route("/admin/behaviour", put(behaviour))
        .route("/admin/journal", get(journal))
        .route("/admin/tokens", get(tokens))
        .route("/admin/tokens/{digest}", get(token))
        .with_state(Admin { control, topic: topic.into() })
        .merge(connections)
        .merge(plain::trust(authority))
}

impl IntoResponse for NoDevice {
    fn into_response(self) -> Response {
        (StatusCode::NOT_FOUND, Json(json!({"reason": "NoDevice", "detail": self.to_string()}))).into_response()
    }
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

async fn script(State(admin): State<Admin>, Path(token): Path<String>, Json(script): Json<Script<Fault>>) -> Response {
    if !script.fault.is_possible() {
        return plain::impossible();
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

async fn token(State(admin): State<Admin>, Path(digest): Path<String>) -> Response {
    match admin.control.store.state().keys.text(&digest) {
        Some(text) => Json(json!({"token": text.expose()})).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"reason": "NoToken"}))).into_response(),
    }
}
