//! The Web API, as far as apps like ours call it, and the addresses at which calls are answered.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{APP, BOT_USER, Fault, Message, State, TEAM, Whisper, check};
use crate::secret::{b64u, random};
use crate::sim::script::Faults;

/// Scopes of the bot's token.
const SCOPES: &str = "commands,chat:write,app_mentions:read,im:history";

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new().route("/api/{method}", post(call)).route("/response/{id}", post(respond)).with_state(state)
}

/// The arguments of a call, whichever way they came.
fn arguments(headers: &HeaderMap, body: &[u8]) -> Value {
    let json = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|kind| kind.contains("json"));
    if json {
        return serde_json::from_slice(body).unwrap_or_default();
    }
    let mut fields: HashMap<String, Value> = HashMap::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        // Lists travel in a form as JSON.
        let value = match name.as_ref() {
            "attachments" | "blocks" => serde_json::from_str(&value).unwrap_or_default(),
            _ => Value::String(value.into_owned()),
        };
        fields.insert(name.into_owned(), value);
    }
    json!(fields)
}

async fn call(Extract(state): Extract<Arc<State>>, Path(method): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let arguments = arguments(&headers, &body);
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let fault = state.change(|workspace| workspace.faults.get_mut(&method).and_then(Faults::next));
    match &fault {
        Some(Fault::RateLimited { retry_after }) => {
            noted(&state, &method, "429");
            let head = [(header::RETRY_AFTER, retry_after.to_string())];
            return (StatusCode::TOO_MANY_REQUESTS, head, Json(json!({"ok": false, "error": "ratelimited"}))).into_response();
        }
        Some(Fault::Status { status }) => {
            noted(&state, &method, &status.to_string());
            return StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        }
        Some(Fault::Error { error }) => {
            noted(&state, &method, error);
            return Json(json!({"ok": false, "error": error})).into_response();
        }
        Some(Fault::Lost) | None => {}
    }
    let expected = if method == "apps.connections.open" { &state.app_token } else { &state.bot_token };
    let done = if token.is_empty() {
        Err("not_authed")
    } else if token != expected {
        Err(if token == state.app_token || token == state.bot_token { "not_allowed_token_type" } else { "invalid_auth" })
    } else {
        perform(&state, &method, &arguments)
    };
    noted(&state, &method, done.as_ref().map_or_else(|word| *word, |_| "ok"));
    if fault == Some(Fault::Lost) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    match done {
        Ok(mut answer) => {
            answer["ok"] = json!(true);
            ([("x-oauth-scopes", SCOPES)], Json(answer)).into_response()
        }
        Err(word) => Json(json!({"ok": false, "error": word})).into_response(),
    }
}

fn noted(state: &State, method: &str, answer: &str) {
    state.change(|workspace| workspace.calls.push((method.to_owned(), answer.to_owned())));
}

fn perform(state: &State, method: &str, body: &Value) -> Result<Value, &'static str> {
    match method {
        "auth.test" => Ok(json!({
            "url": "https://example.slack.com/", "team": "Example", "user": "phoneops", "team_id": TEAM, "user_id": BOT_USER,
            "bot_id": "B0BOT", "is_enterprise_install": false,
        })),
        "apps.connections.open" => {
            let ticket = b64u(random::<16>());
            let url = format!("{}/link/?ticket={ticket}&app_id={APP}", state.socket_url);
            state.change(|workspace| workspace.tickets.push(ticket));
            Ok(json!({"url": url}))
        }
        "chat.postMessage" => post_message(state, body),
        "chat.update" => update(state, body),
        "chat.postEphemeral" => whisper(state, body),
        _ => Err("unknown_method"),
    }
}

fn text(body: &Value, name: &str) -> Option<String> {
    body[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Whether the bot may write there.
fn writable(state: &State, channel: &str) -> Result<(), &'static str> {
    match state.workspace().channels.get(channel) {
        None => Err("channel_not_found"),
        Some(false) => Err("not_in_channel"),
        Some(true) => Ok(()),
    }
}

fn post_message(state: &State, body: &Value) -> Result<Value, &'static str> {
    let channel = text(body, "channel").ok_or("channel_not_found")?;
    writable(state, &channel)?;
    check::message(body)?;
    let message = state.change(|workspace| {
        let message = Message {
            channel: channel.clone(),
            ts: state.ts(workspace),
            thread_ts: text(body, "thread_ts"),
            user: BOT_USER.to_owned(),
            text: text(body, "text").unwrap_or_default(),
            attachments: body["attachments"].clone(),
            edits: 0,
        };
        workspace.messages.push(message.clone());
        message
    });
    Ok(json!({"channel": channel, "ts": message.ts, "message": {"text": message.text, "ts": message.ts}}))
}

fn update(state: &State, body: &Value) -> Result<Value, &'static str> {
    let channel = text(body, "channel").ok_or("channel_not_found")?;
    let ts = text(body, "ts").ok_or("message_not_found")?;
    check::message(body)?;
    state.change(|workspace| {
        let found = workspace.messages.iter_mut().find(|message| message.channel == channel && message.ts == ts);
        let message = found.ok_or("message_not_found")?;
        if message.user != BOT_USER {
            return Err("cant_update_message");
        }
        message.text = text(body, "text").unwrap_or_default();
        // What is not said stays, in Slack too.
        if !body["attachments"].is_null() {
            message.attachments = body["attachments"].clone();
        }
        message.edits += 1;
        Ok(json!({"channel": channel, "ts": ts, "text": message.text}))
    })
}

fn whisper(state: &State, body: &Value) -> Result<Value, &'static str> {
    let channel = text(body, "channel").ok_or("channel_not_found")?;
    let user = text(body, "user").ok_or("user_not_in_channel")?;
    writable(state, &channel)?;
    check::message(body)?;
    let ts = state.change(|workspace| {
        let said = text(body, "text").unwrap_or_default();
        workspace.whispers.push(Whisper { channel, user, text: said, thread_ts: text(body, "thread_ts") });
        state.ts(workspace)
    });
    Ok(json!({"message_ts": ts}))
}

async fn respond(Extract(state): Extract<Arc<State>>, Path(id): Path<String>, Json(body): Json<Value>) -> Response {
    let now = state.clock.now();
    let known = state.change(|workspace| {
        let known = workspace.response_urls.get_mut(&id).filter(|known| known.uses < 5 && now < known.until)?;
        known.uses += 1;
        Some(known.clone())
    });
    let Some(known) = known else { return (StatusCode::NOT_FOUND, "expired_url").into_response() };
    if let Err(word) = check::message(&body) {
        return (StatusCode::BAD_REQUEST, word).into_response();
    }
    state.answered(&known.channel, &known.user, known.message.as_deref(), &body);
    "ok".into_response()
}

impl State {
    /// Shows what an app answered to a call.
    pub(super) fn answered(&self, channel: &str, user: &str, message: Option<&str>, body: &Value) {
        let said = text(body, "text").unwrap_or_default();
        self.change(|workspace| {
            if body["replace_original"] == true
                && let Some(original) = workspace.messages.iter_mut().find(|known| Some(known.ts.as_str()) == message)
            {
                original.text = said;
                original.attachments = body["attachments"].clone();
                original.edits += 1;
            } else if body["response_type"] == "in_channel" {
                let ts = self.ts(workspace);
                workspace.messages.push(Message {
                    channel: channel.to_owned(),
                    ts,
                    thread_ts: None,
                    user: BOT_USER.to_owned(),
                    text: said,
                    attachments: body["attachments"].clone(),
                    edits: 0,
                });
            } else {
                workspace.whispers.push(Whisper {
                    channel: channel.to_owned(),
                    user: user.to_owned(),
                    text: said,
                    thread_ts: None,
                });
            }
        });
    }
}
