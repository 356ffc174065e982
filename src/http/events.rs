//! `/v1/events`: what happens, as it happens, to whom it concerns.
//!
//! **Invariants**
//! - A stream is read from the journal as fast as its reader takes it, and keeps nothing but a cursor in between.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aide::OperationOutput;
use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as ApiResponse, SchemaObject};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State as Extract;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::caller::Read;
use super::input::Query;
use super::problem::Problem;
use super::{MAX_WAIT, State};
use crate::journal::Sealed;
use crate::listening::{Event, Filter, ListenError, Listener};
use crate::secret::random;

/// How often a stream says that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A stream ends after this time and up to a quarter more: its reader comes back with its cursor, and its rights are looked up anew.
const AGE: Duration = Duration::from_secs(45 * 60);

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new().api_route(
        "/v1/events",
        get_with(listen, |op| {
            op.id("listEvents").tag("events").summary("Events, as they happen: a stream, or a long poll").description(
                "With `Accept: text/event-stream` a stream (Server-Sent Events) that begins after the number in `Last-Event-ID`, \
                 or after `after`; the `id` of each event is its number, and its `data` the event. Otherwise the events after \
                 `after`, as soon as there are some, or none when `wait` is over; go on with `next` as `after`. Without a number \
                 both begin with what happens from now on. Administrators hear everything, people what concerns them, and bots \
                 with `events:read` what becomes of their approvals and incidents.",
            )
        }),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The number of the last event already heard.
    #[serde(default)]
    #[schemars(range(min = 0))]
    after: Option<i64>,
    /// Seconds to wait while there is none; 0 to 60.
    #[serde(default)]
    #[schemars(range(max = 60))]
    wait: u32,
    /// Beginnings of kinds, separated by commas: `approval.,incident.triggered`.
    #[serde(default)]
    kind: Option<String>,
    /// What it happened to.
    #[serde(default)]
    subject: Option<String>,
}

/// Events, and where to go on.
#[derive(Serialize, JsonSchema)]
struct Events {
    #[schemars(with = "Vec<Sealed>")]
    events: Vec<Box<RawValue>>,
    /// The next `after`. It moves on even when there was nothing to hear.
    next: i64,
}

/// JSON, or a stream.
enum Reply {
    Poll(Events),
    Stream(Body),
}

async fn listen(
    Extract(app): Extract<State>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
    Read(call): Read,
) -> Result<Reply, Problem> {
    let wait = Duration::from_secs(u64::from(wanted.wait));
    if wait > MAX_WAIT {
        return Err(Problem::field("wait", "may be at most 60 seconds"));
    }
    let filter =
        Filter::new(wanted.kind.as_deref(), wanted.subject).map_err(|error| Problem::field("kind", error.to_string()))?;
    let after = last_heard(&headers)?.or(wanted.after);
    if after.is_some_and(|after| after < 0) {
        return Err(Problem::field("after", "must not be negative"));
    }
    let mut listener = app.listening.listen(&call, filter, after).await?;
    if is_stream(&headers) {
        return Ok(Reply::Stream(Body::from_stream(told(listener, app.closing.clone()))));
    }
    let cursor = listener.cursor();
    let poll = tokio::select! {
        poll = listener.poll(wait) => poll?,
        // The caller asks another node.
        () = app.closing.cancelled(), if !wait.is_zero() => return Ok(Reply::Poll(Events { events: Vec::new(), next: cursor })),
    };
    let raw = |event: &Arc<Event>| RawValue::from_string(event.json.clone());
    let events: Result<Vec<_>, _> = poll.events.iter().map(raw).collect();
    let events = events.map_err(|error| Problem::from(crate::db::Error::Failed(error.to_string())))?;
    Ok(Reply::Poll(Events { events, next: poll.next }))
}

fn is_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream"))
}

/// The `Last-Event-ID` of a reader that comes back. An empty one stands for none, as browsers have it.
pub(super) fn last_heard(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| Problem::field("Last-Event-ID", "expected the number of an event"))
}

/// A stream on its way.
struct Telling {
    listener: Listener,
    closing: CancellationToken,
    over: Pin<Box<tokio::time::Sleep>>,
    begun: bool,
}

fn told(listener: Listener, closing: CancellationToken) -> impl stream::Stream<Item = Result<Bytes, Infallible>> + Send {
    let extra = u32::from(random::<1>()[0]);
    let age = AGE + AGE * extra / 1024;
    let telling = Telling { listener, closing, over: Box::pin(tokio::time::sleep(age)), begun: false };
    stream::unfold(telling, |mut telling| async move {
        let text = telling.next().await?;
        Some((Ok(Bytes::from(text)), telling))
    })
}

impl Telling {
    /// What to send next; nothing when the stream ends.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.begun, true) {
            // At once, so that the reader knows that it listens, and from where.
            return Some(heartbeat(self.listener.cursor()));
        }
        let heard = tokio::select! {
            biased;
            () = self.closing.cancelled() => return None,
            () = self.over.as_mut() => return None,
            heard = tokio::time::timeout(HEARTBEAT, self.listener.next()) => heard,
        };
        match heard {
            Err(_) => Some(heartbeat(self.listener.cursor())),
            Ok(Ok(Some(events))) => Some(events.iter().map(|event| sse(event)).collect()),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => {
                // The reader comes back with its cursor.
                tracing::warn!(%error, "a stream of events ends");
                None
            }
        }
    }
}

/// An `id` without `data` tells nobody anything but moves the reader's cursor past what it was not to hear (HTML, section 9.2.6).
fn heartbeat(cursor: i64) -> String {
    format!(": {cursor}\nid: {cursor}\n\n")
}

fn sse(event: &Event) -> String {
    format!("id: {}\ndata: {}\n\n", event.seq, event.json)
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Poll(events) => Json(events).into_response(),
            Self::Stream(body) => {
                // Proxies that gather replies would keep events back.
                let head = [(header::CONTENT_TYPE.as_str(), "text/event-stream"), ("x-accel-buffering", "no")];
                (head, body).into_response()
            }
        }
    }
}

impl OperationOutput for Reply {
    type Inner = Events;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ApiResponse> {
        let mut response = Json::<Events>::operation_response(ctx, operation)?;
        let json_schema = ctx.schema.subschema_for::<String>();
        let schema = Some(SchemaObject { json_schema, external_docs: None, example: None });
        response.content.insert("text/event-stream".to_owned(), MediaType { schema, ..MediaType::default() });
        Some(response)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        Self::operation_response(ctx, operation).map(|response| (Some(200), response)).into_iter().collect()
    }
}

impl From<ListenError> for Problem {
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::Call(refusal) => refusal.into(),
            ListenError::Db(error) => error.into(),
        }
    }
}
