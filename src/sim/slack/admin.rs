//! What tests in other languages ask of the simulator.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Acknowledged, Slack, State, Typed};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    user: String,
    channel: String,
    text: String,
    thread: Option<String>,
}

impl Said {
    fn typed(self) -> Typed {
        Typed { thread: self.thread, ..Typed::new(&self.user, &self.channel, &self.text) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Press {
    user: String,
    channel: String,
    ts: String,
    label: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disconnect {
    reason: String,
}

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/admin/command", post(command))
        .route("/admin/mention", post(mention))
        .route("/admin/press", post(press))
        .route("/admin/disconnect", post(disconnect))
        .route("/admin/messages", get(messages))
        .route("/admin/whispers", get(whispers))
        .route("/admin/sockets", get(sockets))
        .with_state(state)
}

/// A handle for one request: it ends nothing when it is dropped.
fn with(state: &Arc<State>) -> Slack {
    Slack(Arc::clone(state), None)
}

fn told(acknowledged: &Acknowledged) -> Json<Value> {
    Json(match acknowledged {
        Acknowledged::Taken(with) => json!({"acknowledged": true, "with": with}),
        Acknowledged::Refused(status, _) => json!({"acknowledged": false, "status": status}),
        Acknowledged::Not => json!({"acknowledged": false}),
    })
}

async fn command(Extract(state): Extract<Arc<State>>, Json(said): Json<Said>) -> Json<Value> {
    told(&with(&state).command(&said.typed()).await)
}

async fn mention(Extract(state): Extract<Arc<State>>, Json(said): Json<Said>) -> Json<Value> {
    told(&with(&state).mention(&said.typed()).await.1)
}

async fn press(Extract(state): Extract<Arc<State>>, Json(press): Json<Press>) -> Result<Json<Value>, StatusCode> {
    let slack = with(&state);
    let message =
        slack.messages(&press.channel).into_iter().find(|message| message.ts == press.ts).ok_or(StatusCode::NOT_FOUND)?;
    Ok(told(&slack.press(&press.user, &message, &press.label).await))
}

async fn disconnect(Extract(state): Extract<Arc<State>>, Json(asked): Json<Disconnect>) -> StatusCode {
    state.disconnect(&asked.reason);
    StatusCode::NO_CONTENT
}

async fn messages(Extract(state): Extract<Arc<State>>) -> Json<Value> {
    Json(json!({"messages": state.workspace().messages}))
}

async fn sockets(Extract(state): Extract<Arc<State>>) -> Json<Value> {
    let (open, ever) = with(&state).sockets();
    Json(json!({"open": open, "ever": ever}))
}

async fn whispers(Extract(state): Extract<Arc<State>>) -> Json<Value> {
    Json(json!({"whispers": state.workspace().whispers}))
}
