//! `/chatops`: ChatOps RPC, version 3, and two things of our own beside it (`api-spec/chatops.md`): a method that takes any line, and what
//! became of what was said, as a stream.
//!
//! **Invariants**
//! - Nothing is looked at before the signature: over the address of the configuration, never over what the request says of its host.
//! - Whoever is refused hears that, and not why; the operator reads why in the log.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Path, Request, State as Extract};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::{Value, json};

use super::State;
use super::caller::split;
use super::events::last_heard;
use super::problem::Problem;
use crate::chat::chatops_rpc::{Call as Invocation, LINE, Listing, Reply, Signature, message};
use crate::chat::{self, PlaceId, Said, Workspace};
use crate::clock::Timestamp;
use crate::identity::chat::ChatId;
use crate::identity::{BotKey, Call, ChatIdentity, SignedCall, SignedRefusal};
use crate::text::visible;

/// The method that takes any line, which the listing does not name: a client that forwards everything needs no patterns.
const ANY_LINE: &str = "line";

/// How long the stream waits for news before it says that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A stream ends after this time: its reader comes back with its cursor and a fresh signature.
const AGE: Duration = Duration::from_secs(30 * 60);

pub(super) fn router() -> Router<State> {
    Router::new()
        .route("/chatops/_chatops", get(listing))
        .route("/chatops/_chatops/{method}", post(call))
        .route("/chatops/_events", get(events))
}

/// A signed request.
struct Signed {
    call: Call,
    key: BotKey,
    headers: HeaderMap,
    body: Bytes,
}

/// Why a request is refused.
enum Unsigned {
    /// By its signature.
    Refused(SignedRefusal),
    /// A header is missing, there twice, or cannot be read.
    Headers(&'static str),
    /// Otherwise.
    Problem(Problem),
}

impl From<Problem> for Unsigned {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Unsigned {
    fn into_response(self) -> Response {
        let why = match self {
            Self::Problem(problem) => return problem.into_response(),
            Self::Refused(refusal) => refusal.to_string(),
            Self::Headers(name) => format!("the header {name} must be there once, and be right"),
        };
        tracing::info!(why, "a ChatOps RPC call is refused");
        let text = "Not signed with a key that works here, or not for this address and minute.\n";
        (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
    }
}

impl FromRequest<State> for Signed {
    type Rejection = Unsigned;

    async fn from_request(request: Request, app: &State) -> Result<Self, Unsigned> {
        let (parts, body) = split(request, app).await?;
        let (nonce, time) = (only(&parts, "chatops-nonce")?, only(&parts, "chatops-timestamp")?);
        let signature =
            Signature::parse(only(&parts, "chatops-signature")?).map_err(|_| Unsigned::Headers("Chatops-Signature"))?;
        let at: Timestamp = time.parse().map_err(|_| Unsigned::Headers("Chatops-Timestamp"))?;
        let url = format!("{}{}", app.issuer, parts.uri.path());
        let message = message(&url, nonce, time, &body);
        let signed = SignedCall { key: signature.key, nonce, at, message: &message, signature: &signature.bytes };
        let (call, key) = app.identity.authenticate_signed(signed).await.map_err(Problem::from)?.map_err(Unsigned::Refused)?;
        Ok(Self { call, key, headers: parts.headers, body })
    }
}

/// The header, when it is there once.
fn only<'a>(parts: &'a Parts, name: &'static str) -> Result<&'a str, Unsigned> {
    let mut values = parts.headers.get_all(name).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (Some(Ok(value)), None) => Ok(value),
        _ => Err(Unsigned::Headers(name)),
    }
}

async fn listing(Extract(app): Extract<State>, _: Signed) -> Result<Json<Listing>, Problem> {
    Ok(Json(Listing::new(app.chat.vocabulary().await.map_err(problem)?.entries())))
}

/// A call that is not understood, as JSON-RPC has it.
fn misunderstood(status: StatusCode, code: i32, why: &str) -> Response {
    (status, Json(json!({"error": {"code": code, "message": why}}))).into_response()
}

async fn call(Extract(app): Extract<State>, Path(method): Path<String>, signed: Signed) -> Result<Response, Problem> {
    let invocation: Invocation = match serde_json::from_slice(&signed.body) {
        Ok(invocation) => invocation,
        Err(error) => return Ok(misunderstood(StatusCode::BAD_REQUEST, -32600, &error.to_string())),
    };
    // The path is signed, and so is the name in the body: a client that says two things says nothing.
    let known = method == ANY_LINE || app.chat.vocabulary().await.map_err(problem)?.entries().any(|entry| entry.name == method);
    if !known || invocation.method != method {
        let why = format!("there is no method {}", visible(&method));
        return Ok(misunderstood(StatusCode::NOT_FOUND, -32601, &why));
    }
    match said(&signed.key, invocation) {
        Err(why) => Ok(misunderstood(StatusCode::BAD_REQUEST, -32602, &why)),
        Ok(said) => match app.chat.say(&signed.call, said).await {
            Ok(reply) => Ok(Json(Reply::from(reply)).into_response()),
            Err(chat::Error::Call(refusal)) => Ok(misunderstood(StatusCode::FORBIDDEN, -32000, &refusal.to_string())),
            Err(error) => Err(problem(error)),
        },
    }
}

/// What was said, as the key's bot vouches for it; or which member is odd.
fn said(key: &BotKey, invocation: Invocation) -> Result<Said, String> {
    let line = invocation.param(LINE).ok_or_else(|| format!("params.{LINE}: expected the line that was said"))?.to_owned();
    let user: ChatId = invocation.user.parse().map_err(|error| format!("user: {error}"))?;
    let room: PlaceId = invocation.room_id.parse().map_err(|error| format!("room_id: {error}"))?;
    let message = invocation.message_id.filter(|id| !id.is_empty()).map(|id| id.parse()).transpose();
    let message: Option<PlaceId> = message.map_err(|error| format!("message_id: {error}"))?;
    let pressed = invocation.params.get("pressed").and_then(Value::as_bool).unwrap_or_default();
    let by = ChatIdentity { platform: key.platform.clone(), workspace: key.workspace.clone(), user };
    Ok(Said { by, name: None, room, thread: None, message, line, key: Some(key.name.as_str().to_owned()), pressed })
}

fn problem(error: chat::Error) -> Problem {
    match error {
        chat::Error::Call(refusal) => refusal.into(),
        chat::Error::Db(error) => error.into(),
    }
}

/// A stream on its way.
struct Telling {
    app: State,
    call: Call,
    key: BotKey,
    workspace: Workspace,
    cursor: Option<i64>,
    ends_at: tokio::time::Instant,
    begun: bool,
}

async fn events(Extract(app): Extract<State>, signed: Signed) -> Result<Response, Problem> {
    let cursor = last_heard(&signed.headers)?;
    let Signed { call, key, .. } = signed;
    let ends_at = tokio::time::Instant::now() + AGE;
    // A bot may speak in several chats, each with a key of its own.
    let workspace = Workspace { platform: key.platform.as_str().to_owned(), workspace: key.workspace.as_str().to_owned() };
    // Asked once before the stream begins, so that a bot that may not hear anything is told so.
    let first = app.chat.posts(&call, Some(&workspace), cursor, Duration::ZERO).await.map_err(problem)?;
    let telling = Telling { app, call, key, workspace, cursor: Some(first.next), ends_at, begun: false };
    let stream = stream::unfold((telling, Some(first)), |(mut telling, first)| async move {
        let text = match first {
            Some(posts) => telling.told(posts),
            None => telling.next().await?,
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), (telling, None)))
    });
    let head = [(header::CONTENT_TYPE.as_str(), "text/event-stream"), ("x-accel-buffering", "no")];
    Ok((head, Body::from_stream(stream)).into_response())
}

impl Telling {
    /// What to send next; nothing when the stream ends.
    async fn next(&mut self) -> Option<String> {
        if tokio::time::Instant::now() >= self.ends_at {
            return None;
        }
        let told = tokio::select! {
            biased;
            () = self.app.closing.cancelled() => return None,
            told = self.app.chat.posts(&self.call, Some(&self.workspace), self.cursor, HEARTBEAT) => told,
        };
        let works = self.app.identity.bot_key_works(self.key.id).await;
        match (told, works) {
            (Ok(posts), Ok(true)) => Some(self.told(posts)),
            (Err(error), _) => {
                tracing::warn!(%error, "a stream of a chat's bot ends");
                None
            }
            (_, Ok(false)) => None,
            (_, Err(error)) => {
                tracing::warn!(%error, "a stream of a chat's bot ends");
                None
            }
        }
    }

    /// One event for all of it, so that a reader has the posts and the cursor behind them, or neither.
    fn told(&mut self, posts: chat::Posts) -> String {
        let (begun, before) = (std::mem::replace(&mut self.begun, true), self.cursor.replace(posts.next));
        if posts.posts.is_empty() {
            let moved = !begun || before != Some(posts.next);
            let id = if moved { format!("id: {}\n", posts.next) } else { String::new() };
            return format!(": {}\n{id}\n", posts.next);
        }
        let data = json!({"posts": posts.posts.into_iter().map(Post::from).collect::<Vec<_>>()});
        format!("id: {}\nevent: posts\ndata: {data}\n\n", posts.next)
    }
}

/// What a room is told, with the reply as calls have it.
#[derive(serde::Serialize)]
struct Post {
    room_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<String>,
    #[serde(flatten)]
    reply: Reply,
}

impl From<chat::Post> for Post {
    fn from(post: chat::Post) -> Self {
        let about = post.about;
        let mut reply = Reply::from(post.reply);
        reply.about = Some(about);
        Self { room_id: post.room, thread: post.thread, reply }
    }
}
