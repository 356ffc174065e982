//! `/slack`: what Slack calls where it does not hold a socket to us. Slack's own formats, signed by Slack; there without a signing secret
//! nothing is.
//!
//! **Invariants**
//! - Nothing is looked at before the signature, which is over the body as it came.
//! - Slack is answered once what it sent is durable, and before it is done.
//! - Whoever is refused hears that, and not why; the operator reads why in the log.

use axum::Json;
use axum::Router;
use axum::extract::{Request, State as Extract};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::json;

use super::State;
use super::caller::split;
use super::problem::Problem;
use crate::chat::slack::{Answer, Door, NotTaken, shown, whispered};

pub(super) fn router() -> Router<State> {
    Router::new()
        .route("/slack/commands", post(commands))
        .route("/slack/interactivity", post(interactivity))
        .route("/slack/events", post(events))
}

async fn commands(Extract(app): Extract<State>, request: Request) -> Response {
    hear(&app, Door::Commands, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn interactivity(Extract(app): Extract<State>, request: Request) -> Response {
    hear(&app, Door::Interactivity, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn events(Extract(app): Extract<State>, request: Request) -> Response {
    hear(&app, Door::Events, request).await.unwrap_or_else(IntoResponse::into_response)
}

/// The header, when it is there once; nothing otherwise, which no signature is right with.
fn only<'a>(parts: &'a Parts, name: &str) -> &'a str {
    let mut values = parts.headers.get_all(name).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (Some(Ok(value)), None) => value,
        _ => "",
    }
}

async fn hear(app: &State, door: Door, request: Request) -> Result<Response, Problem> {
    let off = || Problem::not_found("Slack does not call here: there is no slack.signing_secret");
    let slack = app.slack.as_ref().ok_or_else(off)?;
    let (parts, body) = split(request, app).await?;
    let (time, signature) = (only(&parts, "x-slack-request-timestamp"), only(&parts, "x-slack-signature"));
    match slack.hear(door, time, signature, &body).await {
        Ok(Answer::Command) => Ok(Json(shown()).into_response()),
        Ok(Answer::Taken) => Ok(StatusCode::OK.into_response()),
        Ok(Answer::Whisper(text)) => Ok(Json(whispered(text)).into_response()),
        Ok(Answer::Challenge(challenge)) => Ok(Json(json!({"challenge": challenge})).into_response()),
        Err(NotTaken::Off) => Err(off()),
        Err(NotTaken::Db(error)) => Err(error.into()),
        Err(NotTaken::NotUnderstood(why)) => {
            tracing::warn!(%why, "what Slack sent is not understood");
            Ok(text(StatusCode::BAD_REQUEST, "This is not what Slack sends.\n"))
        }
        Err(why @ (NotTaken::NotSigned(_) | NotTaken::Replayed)) => {
            tracing::info!(%why, "a call to /slack is refused");
            Ok(text(StatusCode::FORBIDDEN, "Not signed by Slack for this app and minute, or it came before.\n"))
        }
    }
}

fn text(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
