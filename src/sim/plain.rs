//! HTTP without TLS: the admin APIs of the simulators, for whoever is on the same machine, and what these have in common.
//!
//! | who | call |
//! |---|---|
//! | test | `POST /admin/connections/faults` `{fault: {kind, …}, times}`, `DELETE` the same |
//! | test | `POST /admin/connections/disturb` `{kind: reset \| silence \| go_away, reason?, which?}` → `{connections}` |
//! | test | `GET /admin/connections` → `{connections: […]}` |
//! | developer | `GET /authority.pem`: the certificate authority to trust |

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::gate::{self, ConnectionFault, Gate, GoAway};
use super::http2::Disturbance;
use super::script::Script;
use crate::clock::Timestamp;

/// A phone may wait so long in one call.
const WAIT_LIMIT: Duration = Duration::from_mins(1);

/// What is to happen to every open connection.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Disturb {
    Reset,
    Silence,
    GoAway { reason: String, which: GoAway },
}

impl Disturb {
    fn at(&self, now: Timestamp) -> Disturbance {
        match self {
            Self::Reset => Disturbance::Reset,
            Self::Silence => Disturbance::Silence,
            Self::GoAway { reason, which } => which.at_any_time(reason, now),
        }
    }
}

/// Where a phone goes on reading.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    #[serde(default)]
    pub(super) after: u64,
    /// Seconds, fractions allowed.
    #[serde(default)]
    wait: f64,
}

impl Since {
    /// How long to wait; what is no time is none.
    pub(super) fn wait(&self) -> Duration {
        Duration::try_from_secs_f64(self.wait).unwrap_or_default().min(WAIT_LIMIT)
    }
}

/// What `fetch` gives as soon as it gives something; nothing when `wait` has passed.
pub(super) async fn until_some<T>(
    arrived: &Notify,
    wait: Duration,
    stop: &CancellationToken,
    mut fetch: impl FnMut() -> Vec<T>,
) -> Vec<T> {
    let mut timeout = pin!(tokio::time::sleep(wait));
    loop {
        let mut notified = pin!(arrived.notified());
        // Registered before the look, so that nothing in between is missed.
        notified.as_mut().enable();
        let fetched = fetch();
        if !fetched.is_empty() {
            return fetched;
        }
        tokio::select! {
            () = notified => {}
            () = &mut timeout => return Vec::new(),
            () = stop.cancelled() => return Vec::new(),
        }
    }
}

/// Returns once it is so, looking whenever something was `noted`.
pub(super) async fn until(noted: &Notify, is_so: impl Fn() -> bool) {
    loop {
        let mut next = pin!(noted.notified());
        // Registered before the look, so that nothing in between is missed.
        next.as_mut().enable();
        if is_so() {
            return;
        }
        next.await;
    }
}

/// Serves until it is stopped.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken, tasks: TaskTracker) {
    let serve = |stream| connection(stream, router.clone(), stop.clone());
    gate::each(listener, &stop, &tasks, serve).await;
}

/// Where the certificate authority to trust is.
pub(super) fn trust(authority: &str) -> Router {
    let authority: Arc<str> = authority.into();
    let pem = || async move { ([(header::CONTENT_TYPE, "application/x-pem-file")], authority.to_string()) };
    Router::new().route("/authority.pem", get(pem))
}

/// What is asked of the connections behind a gate.
pub(super) fn connections(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/admin/connections", get(list))
        .route("/admin/connections/faults", post(script).delete(clear))
        .route("/admin/connections/disturb", post(disturb))
        .with_state(gate)
}

async fn list(State(gate): State<Arc<Gate>>) -> Json<Value> {
    Json(json!({"connections": gate.connections()}))
}

async fn script(State(gate): State<Arc<Gate>>, Json(script): Json<Script<ConnectionFault>>) -> StatusCode {
    gate.script(script.fault, script.times);
    StatusCode::NO_CONTENT
}

async fn clear(State(gate): State<Arc<Gate>>) -> StatusCode {
    gate.clear();
    StatusCode::NO_CONTENT
}

async fn disturb(State(gate): State<Arc<Gate>>, Json(asked): Json<Disturb>) -> Json<Value> {
    Json(json!({"connections": gate.disturb(&asked.at(gate.clock.now()))}))
}

/// A script that cannot be done.
pub(super) fn impossible() -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"reason": "BadStatus", "detail": "status must be 200 to 599"}))).into_response()
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    let service = service_fn(|request: Request<Incoming>| router.clone().oneshot(request.map(Body::new)));
    let mut serving = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(cause) = ended {
        tracing::debug!(%cause, "a connection to a simulator's admin API ended early");
    }
}
