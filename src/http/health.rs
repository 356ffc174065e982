//! `/healthz`, `/readyz`, `/metrics`: for load balancers and for those who watch.

use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use super::State;
use super::problem::Problem;
use crate::jobs;

/// A node whose clock is further from the database's than this refuses to serve: deadlines would not mean the same.
const MAX_SKEW: Duration = Duration::from_secs(2);

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route("/healthz", get_with(alive, |op| op.id("getHealth").tag("health").summary("The process answers")))
        .api_route(
            "/readyz",
            get_with(ready, |op| {
                op.id("getReadiness").tag("health").summary("The database answers, and its clock agrees with ours")
            }),
        )
        .route("/metrics", axum::routing::get(metrics))
}

#[derive(Serialize, JsonSchema)]
struct Health {
    /// Always `ok`; anything else is a problem.
    status: &'static str,
}

async fn alive() -> Json<Health> {
    Json(Health { status: "ok" })
}

async fn ready(Extract(app): Extract<State>) -> Result<Json<Health>, Problem> {
    let unready = |code, detail: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
    if app.closing.is_cancelled() {
        return Err(unready("closing", "the server is shutting down".into()));
    }
    if let Some(theirs) = app.store.now().await? {
        let ours = app.clock.now();
        let skew = ours.until(theirs).max(theirs.until(ours));
        if skew > MAX_SKEW {
            return Err(unready("clock_skew", format!("this node's clock and the database's differ by {} ms", skew.as_millis())));
        }
    }
    Ok(Json(Health { status: "ok" }))
}

async fn metrics(Extract(app): Extract<State>) -> Result<impl IntoResponse, Problem> {
    let Some(recorder) = &app.metrics else {
        return Err(Problem::not_found("metrics are not recorded in this process"));
    };
    for depth in jobs::depth(&app.store).await? {
        #[expect(clippy::cast_precision_loss, reason = "a gauge; queues stay far below 2^52")]
        let (live, buried) = (depth.live as f64, depth.buried as f64);
        metrics::gauge!("phoneops_jobs_live", "kind" => depth.kind.clone()).set(live);
        metrics::gauge!("phoneops_jobs_buried", "kind" => depth.kind).set(buried);
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render()))
}
