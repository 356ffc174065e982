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
use crate::delivery::{Channel, Delivery, Lane};
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

#[derive(Serialize, JsonSchema)]
struct Readiness {
    /// Always `ok`; anything else is a problem.
    status: &'static str,
    /// The ways to phones that this node leaves alone because they fail: `apns`, or `web_push` and a push service's origin. They do not
    /// make it unready: what cannot go one way goes another.
    routes_down: Vec<String>,
}

async fn alive() -> Json<Health> {
    Json(Health { status: "ok" })
}

async fn ready(Extract(app): Extract<State>) -> Result<Json<Readiness>, Problem> {
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
    let routes_down = app.delivery.circuits.open().into_iter().map(|open| open.route).collect();
    Ok(Json(Readiness { status: "ok", routes_down }))
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
    lanes(&app.delivery).await?;
    metrics::gauge!("phoneops_schedule_gap_seconds").set(app.schedules.uncovered().await?.as_secs_f64());
    let not_ready = u32::try_from(app.paging.not_ready().await?).unwrap_or(u32::MAX);
    metrics::gauge!("phoneops_responders_not_ready").set(f64::from(not_ready));
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render()))
}

/// How deep the lanes are, which carriers' routes are down, and how old the token is that Apple knows us by.
async fn lanes(delivery: &Delivery) -> Result<(), Problem> {
    let (depths, open) = (delivery.depths().await?, delivery.circuits.open());
    for lane in Lane::ALL {
        let depth = depths.iter().find(|depth| depth.lane == lane);
        #[expect(clippy::cast_precision_loss, reason = "a gauge; queues stay far below 2^52")]
        let waiting = depth.map_or(0.0, |depth| depth.waiting as f64);
        let oldest = depth.map_or(0.0, |depth| depth.oldest.as_secs_f64());
        let labels = [("carrier", lane.channel.as_str()), ("urgency", lane.urgency())];
        metrics::gauge!("phoneops_push_waiting", &labels).set(waiting);
        metrics::gauge!("phoneops_push_oldest_seconds", &labels).set(oldest);
    }
    for channel in Channel::ALL {
        let down = open.iter().filter(|open| open.channel == channel).count();
        let down = u32::try_from(down).unwrap_or(u32::MAX);
        metrics::gauge!("phoneops_routes_down", "carrier" => channel.as_str()).set(f64::from(down));
    }
    if let Some(age) = delivery.provider_token_age().await? {
        metrics::gauge!("phoneops_provider_token_age_seconds", "carrier" => Channel::Apns.as_str()).set(age.as_secs_f64());
    }
    Ok(())
}
