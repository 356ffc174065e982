//! `/v1/maintenance`: times in which nobody is paged about a service, or about any of a team's.

use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{Read, Write};
use super::input::{Path, Query, text};
use super::output::{Created, NoContent};
use super::people::Person;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::id::MaintenanceWindowId;
use crate::identity::Handle;
use crate::paging::maintenance::{MaintenanceFor, NewWindow, Until, WindowView};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/maintenance",
            post_with(plan, |op| {
                op.id("planMaintenance").tag("services").summary("Page nobody about a service, or a team's services, for a while").description(
                    "For administrators and members of the team. What is reported meanwhile is kept, and what is still open at the end \
                     pages then.",
                )
            })
            .get_with(list, |op| {
                op.id("listMaintenance").tag("services").summary("The maintenance windows that are not over, those that run first")
            }),
        )
        .api_route(
            "/v1/maintenance/{id}",
            delete_with(end, |op| {
                op.id("endMaintenance").tag("services").summary("End a maintenance window early, or take back one that was to come")
            }),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Either the service,
    #[serde(default)]
    service: Option<Handle>,
    /// or the team all of whose services it is about.
    #[serde(default)]
    team: Option<Handle>,
    /// From when; now when left out.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Either until when,
    #[serde(default)]
    until: Option<Timestamp>,
    /// or for how long. At most 90 days.
    #[serde(default)]
    #[schemars(range(min = 1, max = 7_776_000))]
    for_seconds: Option<u32>,
    /// Why, in a line.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

impl Request {
    fn read(self) -> Result<NewWindow, Problem> {
        let of = match (self.service, self.team) {
            (Some(service), None) => MaintenanceFor::Service(service),
            (None, Some(team)) => MaintenanceFor::Team(team),
            (None, None) => return Err(Problem::field("service", "either `service` or `team` must be there")),
            (Some(_), Some(_)) => return Err(Problem::field("team", "`service` and `team` exclude each other")),
        };
        let until = match (self.until, self.for_seconds) {
            (Some(until), None) => Until::At(until),
            (None, Some(seconds)) => Until::For(Duration::from_secs(seconds.into())),
            (None, None) => return Err(Problem::field("for_seconds", "either `until` or `for_seconds` must be there")),
            (Some(_), Some(_)) => return Err(Problem::field("for_seconds", "`until` and `for_seconds` exclude each other")),
        };
        Ok(NewWindow { of, from: self.from, until, reason: text("reason", &self.reason, 500)? })
    }
}

/// A maintenance window.
#[derive(Serialize, JsonSchema)]
struct WindowBody {
    id: MaintenanceWindowId,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Handle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<Handle>,
    from: Timestamp,
    until: Timestamp,
    reason: String,
    state: Word,
    /// Who planned it; absent when it was the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Person>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Word {
    Planned,
    Running,
    Over,
}

impl WindowBody {
    fn of(WindowView { window, of, by }: WindowView, now: Timestamp) -> Self {
        let (service, team) = match of {
            MaintenanceFor::Service(name) => (Some(name), None),
            MaintenanceFor::Team(name) => (None, Some(name)),
        };
        let state = match window.ended_at {
            None if now < window.from => Word::Planned,
            None if now < window.until => Word::Running,
            None | Some(_) => Word::Over,
        };
        Self {
            id: window.id,
            service,
            team,
            from: window.from,
            until: window.until,
            reason: window.reason,
            state,
            by: by.as_ref().map(Person::from),
            created_at: window.created_at,
            ended_at: window.ended_at,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct ById {
    id: MaintenanceWindowId,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// `true` for those that are over too, the one that begins last first.
    #[serde(default)]
    all: bool,
    /// The cursor of the page before.
    #[serde(default)]
    cursor: Option<MaintenanceWindowId>,
    /// How many; 1 to 200.
    #[serde(default = "two_hundred")]
    #[schemars(range(min = 1, max = 200))]
    limit: u32,
}

fn two_hundred() -> u32 {
    200
}

#[derive(Serialize, JsonSchema)]
struct List {
    maintenance: Vec<WindowBody>,
    /// The cursor of the next page, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<MaintenanceWindowId>,
}

async fn plan(Extract(app): Extract<State>, Write(call, body): Write<Request>) -> Result<Created<WindowBody>, Problem> {
    let planned = app.paging.plan_maintenance(&call, body.read()?).await?;
    Ok(Created(WindowBody::of(planned, app.clock.now())))
}

async fn list(Extract(app): Extract<State>, Query(query): Query<ListQuery>, Read(call): Read) -> Result<Json<List>, Problem> {
    if !(1..=200).contains(&query.limit) {
        return Err(Problem::field("limit", "must be 1 to 200"));
    }
    let now = app.clock.now();
    let (windows, more) = app.paging.maintenance_windows(&call, query.all, query.cursor, query.limit).await?;
    let next = windows.last().filter(|_| more).map(|view| view.window.id);
    Ok(Json(List { maintenance: windows.into_iter().map(|view| WindowBody::of(view, now)).collect(), next }))
}

async fn end(Extract(app): Extract<State>, Path(ById { id }): Path<ById>, Read(call): Read) -> Result<NoContent, Problem> {
    app.paging.end_maintenance(&call, id).await?;
    Ok(NoContent)
}
