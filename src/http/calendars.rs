//! `/v1/calendar-feeds`, and the calendars themselves: shifts for programs that have no credentials but an address.

use aide::OperationOutput;
use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, post_with};
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as ApiResponse, SchemaObject};
use axum::Json;
use axum::extract::State as Extract;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{Read, Write};
use super::input::Path;
use super::output::{Created, NoContent};
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::id::CalendarFeedId;
use crate::identity::Handle;
use crate::paging::schedules::{Calendar, FeedView};
use crate::secret::Secret;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/calendar-feeds",
            post_with(create, |op| {
                op.id("createCalendarFeed")
                    .tag("schedules")
                    .summary("Make a calendar of a schedule, or of my shifts; its address is shown this once")
                    .description(
                        "Whoever knows the address reads the calendar: it is a secret. A call repeated with the same `Idempotency-Key` \
                         answers the same calendar without its address.",
                    )
            })
            .get_with(list, |op| op.id("listCalendarFeeds").tag("schedules").summary("My calendars, the oldest first")),
        )
        .api_route(
            "/v1/calendar-feeds/{id}",
            delete_with(revoke, |op| {
                op.id("deleteCalendarFeed").tag("schedules").summary("Make a calendar's address good for nothing")
            }),
        )
        .api_route(
            "/calendar/{capability}",
            get_with(calendar, |op| {
                op.id("getCalendar").tag("schedules").summary("The shifts of a calendar, as iCalendar (RFC 5545)").description(
                    "From a month ago until half a year ahead. For calendar programs, with nothing but the address.",
                )
            }),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Of this schedule; of all my shifts when it is left out.
    #[serde(default)]
    schedule: Option<Handle>,
}

#[derive(Deserialize, JsonSchema)]
struct ById {
    id: CalendarFeedId,
}

#[derive(Deserialize, JsonSchema)]
struct ByCapability {
    /// The capability and `.ics`, as the address has it.
    capability: String,
}

/// A calendar of shifts.
#[derive(Serialize, JsonSchema)]
struct FeedBody {
    id: CalendarFeedId,
    /// Of which schedule; absent when it is of all shifts of its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<Handle>,
    created_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct NewFeedBody {
    #[serde(flatten)]
    feed: FeedBody,
    /// Where calendar programs read it. It cannot be shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct List {
    calendars: Vec<FeedBody>,
}

impl From<FeedView> for FeedBody {
    fn from(view: FeedView) -> Self {
        Self { id: view.feed.id, schedule: view.schedule, created_at: view.feed.created_at }
    }
}

impl IntoResponse for Calendar {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "text/calendar; charset=utf-8")], self.0).into_response()
    }
}

impl OperationOutput for Calendar {
    type Inner = Self;

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<ApiResponse> {
        let json_schema = schemars::json_schema!({"description": "iCalendar (RFC 5545), UTF-8"});
        let media =
            MediaType { schema: Some(SchemaObject { json_schema, external_docs: None, example: None }), ..MediaType::default() };
        Some(ApiResponse {
            description: "The calendar.".into(),
            content: [("text/calendar".to_owned(), media)].into_iter().collect(),
            ..ApiResponse::default()
        })
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        Self::operation_response(ctx, operation).map(|response| (Some(200), response)).into_iter().collect()
    }
}

async fn create(Extract(app): Extract<State>, Write(call, body): Write<Request>) -> Result<Created<NewFeedBody>, Problem> {
    let (feed, url) = app.schedules.add_feed(&call, body.schedule).await?;
    let url = url.as_ref().map(Secret::expose).map(str::to_owned);
    Ok(Created(NewFeedBody { feed: feed.into(), url }))
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let calendars = app.schedules.feeds(&call).await?.into_iter().map(FeedBody::from).collect();
    Ok(Json(List { calendars }))
}

async fn revoke(Extract(app): Extract<State>, Path(ById { id }): Path<ById>, Read(call): Read) -> Result<NoContent, Problem> {
    app.schedules.revoke_feed(&call, id).await?;
    Ok(NoContent)
}

async fn calendar(
    Extract(app): Extract<State>,
    Path(ByCapability { capability }): Path<ByCapability>,
) -> Result<Calendar, Problem> {
    let capability = capability.strip_suffix(".ics").unwrap_or(&capability);
    Ok(app.schedules.calendar(capability).await?)
}
