//! `/v1/schedules`: who takes turns, and who takes the pager for a while.

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{Read, Write};
use super::input::{Path, objects};
use super::output::{Created, MadeOrNow, NoContent};
use super::people::Person;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::id::{OverrideId, ScheduleId};
use crate::identity::Handle;
use crate::oncall::WrittenLayer;
use crate::paging::schedules::{NewOverride, NewSchedule, OverrideView, Refused, ScheduleView, Until};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/schedules",
            post_with(create, |op| {
                op.id("createSchedule").tag("schedules").summary("Make a schedule").description(
                    "For administrators. Whoever is on call by it is told on their phone, and so is everybody who comes on or goes off \
                     from then on.",
                )
            })
            .get_with(list, |op| op.id("listSchedules").tag("schedules").summary("The schedules, by name")),
        )
        .api_route(
            "/v1/schedules/{name}",
            get_with(find, |op| op.id("getSchedule").tag("schedules").summary("One schedule"))
                .put_with(put, |op| {
                    op.id("putSchedule").tag("schedules").summary("Replace a schedule whole, or make it").description(
                        "For administrators. 201 when it is new. Its overrides stay.",
                    )
                })
                .delete_with(remove, |op| {
                    op.id("deleteSchedule").tag("schedules").summary("Remove a schedule").description(
                        "For administrators. 409 `in_use` with `used_by` while escalation policies name it.",
                    )
                }),
        )
        .api_route(
            "/v1/schedules/{name}/overrides",
            post_with(override_it, |op| {
                op.id("createOverride").tag("schedules").summary("Take the pager for a while, or give it to somebody").description(
                    "For the members of the schedule's team, the people on it, and administrators. The later of two overrides wins. Who \
                     gets the pager from somebody else is told on their phone.",
                )
            }),
        )
        .api_route(
            "/v1/schedules/{name}/overrides/{id}",
            delete_with(end_override, |op| {
                op.id("deleteOverride").tag("schedules").summary("Take an override back; one that has begun ends now").description(
                    "For those who may make one, and for whoever it gives the pager to.",
                )
            }),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateRequest {
    /// 2 to 32 of `a–z 0–9 . _ -`, starting with a letter.
    name: Handle,
    /// The team whose members hear of gaps, and may give away the pager.
    #[serde(default)]
    team: Option<Handle>,
    /// Whose wall clock counts: `Europe/Paris`.
    zone: String,
    /// The lowest first: where several cover an instant, the last does. People are `@handle` or `usr_…`. 1 to 20.
    #[serde(deserialize_with = "objects")]
    #[schemars(length(min = 1, max = 20))]
    layers: Vec<WrittenLayer>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PutRequest {
    /// The team whose members hear of gaps, and may give away the pager.
    #[serde(default)]
    team: Option<Handle>,
    /// Whose wall clock counts: `Europe/Paris`.
    zone: String,
    /// The lowest first: where several cover an instant, the last does. People are `@handle` or `usr_…`. 1 to 20.
    #[serde(deserialize_with = "objects")]
    #[schemars(length(min = 1, max = 20))]
    layers: Vec<WrittenLayer>,
}

#[derive(Deserialize, JsonSchema)]
struct ByName {
    /// The schedule's name.
    name: Handle,
}

#[derive(Deserialize, JsonSchema)]
struct ByOverride {
    /// The schedule's name.
    name: Handle,
    id: OverrideId,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OverrideRequest {
    /// Who takes the pager: `@handle` or `usr_…`; whoever calls when it is left out.
    #[serde(default)]
    user: Option<String>,
    /// In whose place alone, as in a swap; whoever it would be when it is left out.
    #[serde(default)]
    instead_of: Option<String>,
    /// From when: `2026-12-24T18:00` by the schedule's wall clock, or with an offset; from now on when it is left out.
    #[serde(default)]
    from: Option<String>,
    /// Until when, likewise; at most 366 days later. This or `for`.
    #[serde(default)]
    until: Option<String>,
    /// For how long: `60m`, `2h 30m`, `1 day`. This or `until`.
    #[serde(default)]
    r#for: Option<String>,
}

/// A schedule.
#[derive(Serialize, JsonSchema)]
struct ScheduleBody {
    id: ScheduleId,
    name: Handle,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<Handle>,
    zone: String,
    /// The lowest first; people are named by `@handle`.
    layers: Vec<WrittenLayer>,
    /// The overrides that are not over, in the order they were made: later ones win.
    overrides: Vec<OverrideBody>,
    /// The escalation policies that name it.
    policies: Vec<Handle>,
    created_at: Timestamp,
    /// When it, or an override of it, was changed last.
    changed_at: Timestamp,
}

/// Somebody takes the pager for a while.
#[derive(Serialize, JsonSchema)]
pub(super) struct OverrideBody {
    id: OverrideId,
    user: Person,
    /// In whose place alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead_of: Option<Person>,
    from: Timestamp,
    until: Timestamp,
    /// The name of who made it.
    made_by: String,
}

#[derive(Serialize, JsonSchema)]
struct List {
    schedules: Vec<ScheduleBody>,
}

impl From<ScheduleView> for ScheduleBody {
    fn from(view: ScheduleView) -> Self {
        let schedule = view.schedule;
        Self {
            id: schedule.id,
            name: schedule.name,
            team: view.team,
            zone: schedule.zone,
            layers: schedule.layers,
            overrides: view.overrides.iter().map(OverrideBody::from).collect(),
            policies: view.policies,
            created_at: schedule.created_at,
            changed_at: schedule.changed_at,
        }
    }
}

impl From<&OverrideView> for OverrideBody {
    fn from(over: &OverrideView) -> Self {
        Self {
            id: over.id,
            user: (&over.user).into(),
            instead_of: over.instead_of.as_ref().map(Person::from),
            from: over.span.from,
            until: over.span.until,
            made_by: over.by.clone(),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, detail.clone());
        match refused {
            Refused::NotFound(_) => Self::not_found(detail),
            Refused::Taken(_) => conflict("name_taken"),
            Refused::Invalid { field, why } => Self::field(field, why),
            Refused::InUse { policies } => conflict("in_use").with("used_by", policies),
            Refused::TooMany => conflict("too_many_schedules"),
            Refused::TooManyOverrides => conflict("too_many_overrides"),
            Refused::TooManyFeeds => conflict("too_many_calendars"),
            Refused::Over => conflict("override_over"),
            Refused::NotTheirs(_) => Self::new(StatusCode::FORBIDDEN, "not_on_schedule", detail),
        }
    }
}

async fn create(Extract(app): Extract<State>, Write(call, body): Write<CreateRequest>) -> Result<Created<ScheduleBody>, Problem> {
    let new = NewSchedule { team: body.team, zone: body.zone, layers: body.layers };
    app.schedules.create(&call, body.name.clone(), new).await?;
    Ok(Created(app.schedules.find(&call, body.name).await?.into()))
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let schedules = app.schedules.list(&call).await?.into_iter().map(ScheduleBody::from).collect();
    Ok(Json(List { schedules }))
}

async fn find(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Read(call): Read,
) -> Result<Json<ScheduleBody>, Problem> {
    Ok(Json(app.schedules.find(&call, name).await?.into()))
}

async fn put(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Write(call, body): Write<PutRequest>,
) -> Result<MadeOrNow<ScheduleBody>, Problem> {
    let new = NewSchedule { team: body.team, zone: body.zone, layers: body.layers };
    let is_new = app.schedules.put(&call, name.clone(), new).await?;
    let body = app.schedules.find(&call, name).await?.into();
    Ok(if is_new { MadeOrNow::Made(body) } else { MadeOrNow::Now(body) })
}

async fn remove(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Read(call): Read,
) -> Result<NoContent, Problem> {
    app.schedules.remove(&call, name).await?;
    Ok(NoContent)
}

async fn override_it(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Write(call, body): Write<OverrideRequest>,
) -> Result<Created<OverrideBody>, Problem> {
    let until = match (body.until, body.r#for) {
        (Some(until), None) => Until::At(until),
        (None, Some(length)) => Until::For(length),
        (None, None) => return Err(Problem::field("until", "is missing: say until when, or `for` how long")),
        (Some(_), Some(_)) => return Err(Problem::field("for", "is there beside `until`: say one of them")),
    };
    let new = NewOverride { user: body.user, instead_of: body.instead_of, from: body.from, until };
    Ok(Created((&app.schedules.override_it(&call, name, new).await?).into()))
}

async fn end_override(
    Extract(app): Extract<State>,
    Path(ByOverride { name, id }): Path<ByOverride>,
    Read(call): Read,
) -> Result<NoContent, Problem> {
    app.schedules.end_override(&call, name, id).await?;
    Ok(NoContent)
}
