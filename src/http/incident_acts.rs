//! `/v1/incidents/{ref}/…`: what people do to incidents, from phones and from chat.

use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use aide::transform::TransformOperation;
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::Write;
use super::incidents::{ByRef, IncidentBody, people};
use super::input::{Path, optional_text, text};
use super::output::NoContent;
use super::people::Person;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::identity::{Call, Who};
use crate::paging::{Deed, Done, Reference, To, Until, Urgency};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/incidents/{ref}/acknowledge",
            post_with(acknowledge, is("acknowledgeIncident", "Take an incident: it stops ringing")),
        )
        .api_route("/v1/incidents/{ref}/resolve", post_with(resolve, is("resolveIncident", "End an incident")))
        .api_route(
            "/v1/incidents/{ref}/escalate",
            post_with(escalate, is("escalateIncident", "Hand an incident on: to people, or to the next step")),
        )
        .api_route(
            "/v1/incidents/{ref}/reassign",
            post_with(reassign, is("reassignIncident", "Hand an incident over: it begins anew with these")),
        )
        .api_route(
            "/v1/incidents/{ref}/responders",
            post_with(responders, is("addResponders", "Ask others to look at an incident as well")),
        )
        .api_route(
            "/v1/incidents/{ref}/snooze",
            post_with(snooze, is("snoozeIncident", "Put an incident off: it rings again then")),
        )
        .api_route("/v1/incidents/{ref}/wake", post_with(wake, is("wakeIncident", "Put an incident off no longer: it rings")))
        .api_route("/v1/incidents/{ref}/notes", post_with(note, is("noteOnIncident", "Write something down about an incident")))
        .api_route(
            "/v1/incidents/{ref}/merge",
            post_with(merge, is("mergeIncident", "Let another incident go on in the place of this one")),
        )
        .api_route("/v1/incidents/{ref}/urgency", post_with(urgency, is("setUrgency", "Say how loud an incident is")))
        .api_route(
            "/v1/incidents/{ref}/reopen",
            post_with(reopen, is("reopenIncident", "Say that an incident was not over: it rings")),
        )
        .api_route(
            "/v1/incidents/{ref}/not-me",
            post_with(not_me, is("disownIncident", "A bot acted in my name without me: what ended the ringing is undone")),
        )
        .api_route(
            "/v1/me/acknowledge-all",
            post_with(acknowledge_all, is("acknowledgeAll", "Take everything that rings for me")),
        )
}

/// What the document says of an act.
fn is(id: &'static str, summary: &'static str) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    move |op| op.id(id).tag("incidents").summary(summary)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ActRequest {
    /// The person a bot acts for. People act as themselves and leave it out.
    #[serde(default)]
    actor: Option<Who>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EscalateRequest {
    /// To whom: as in a page, but no services. The next step of the plan when nobody is named.
    #[serde(default)]
    #[schemars(length(max = 50))]
    to: Vec<To>,
    /// What those who are rung are told; at most 500 characters.
    #[serde(default)]
    #[schemars(length(max = 500))]
    message: Option<String>,
    /// The person a bot acts for. People act as themselves and leave it out.
    #[serde(default)]
    actor: Option<Who>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ToRequest {
    /// Who: as in a page, but no services. 1 to 50.
    #[schemars(length(min = 1, max = 50))]
    to: Vec<To>,
    /// The person a bot acts for. People act as themselves and leave it out.
    #[serde(default)]
    actor: Option<Who>,
}

/// For how long, or until when: one of them, from a minute to seven days.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SnoozeRequest {
    /// Seconds from now.
    #[serde(default)]
    #[schemars(range(min = 60, max = 604_800))]
    for_seconds: Option<u32>,
    /// Then.
    #[serde(default)]
    until: Option<Timestamp>,
    /// The person a bot acts for. People act as themselves and leave it out.
    #[serde(default)]
    actor: Option<Who>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoteRequest {
    /// What; at most 10000 characters.
    #[schemars(length(min = 1, max = 10_000))]
    text: String,
    /// The person a bot acts for. People act as themselves and leave it out.
    #[serde(default)]
    actor: Option<Who>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MergeRequest {
    /// The incident that goes on.
    into: Reference,
    /// The person a bot acts for. People act as themselves and leave it out.
    #[serde(default)]
    actor: Option<Who>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UrgencyRequest {
    /// How loud.
    urgency: Urgency,
    /// The person a bot acts for. People act as themselves and leave it out.
    #[serde(default)]
    actor: Option<Who>,
}

/// An incident that was handed on.
#[derive(Serialize, JsonSchema)]
struct HandedBody {
    #[serde(flatten)]
    incident: IncidentBody,
    /// Who was rung; nobody, when it was theirs already.
    paged: Vec<Person>,
    /// Who has no device that can be reached.
    unreachable: Vec<Person>,
    /// Who of those that were named belongs to another team than the service, or than whoever handed it on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outside: Vec<Person>,
}

async fn acted(
    app: &State,
    call: &Call,
    reference: Reference,
    actor: Option<Who>,
    deed: Deed,
) -> Result<Json<IncidentBody>, Problem> {
    app.paging.act(call, reference.clone(), actor, deed).await?;
    shown(app, call, reference).await
}

async fn shown(app: &State, call: &Call, reference: Reference) -> Result<Json<IncidentBody>, Problem> {
    Ok(Json((&app.paging.find_changed(call, reference).await?).into()))
}

async fn handed(
    app: &State,
    call: &Call,
    reference: Reference,
    actor: Option<Who>,
    deed: Deed,
) -> Result<Json<HandedBody>, Problem> {
    let Done { paged, unreachable, outside } = app.paging.act(call, reference.clone(), actor, deed).await?;
    let view = app.paging.find_changed(call, reference).await?;
    Ok(Json(HandedBody {
        incident: (&view).into(),
        paged: people(&view, &paged),
        unreachable: people(&view, &unreachable),
        outside: people(&view, &outside),
    }))
}

async fn acknowledge(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Write(call, body): Write<ActRequest>,
) -> Result<Json<IncidentBody>, Problem> {
    acted(&app, &call, r#ref, body.actor, Deed::Acknowledge).await
}

async fn resolve(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Write(call, body): Write<ActRequest>,
) -> Result<Json<IncidentBody>, Problem> {
    acted(&app, &call, r#ref, body.actor, Deed::Resolve).await
}

async fn escalate(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Write(call, body): Write<EscalateRequest>,
) -> Result<Json<HandedBody>, Problem> {
    if body.to.len() > 50 {
        return Err(Problem::field("to", "may name at most 50"));
    }
    let message = optional_text("message", body.message.as_deref(), 500)?;
    handed(&app, &call, r#ref, body.actor, Deed::Escalate { to: body.to, message }).await
}

/// Somebody, and not too many.
fn some(to: Vec<To>) -> Result<Vec<To>, Problem> {
    if (1..=50).contains(&to.len()) { Ok(to) } else { Err(Problem::field("to", "must name 1 to 50")) }
}

async fn reassign(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Write(call, body): Write<ToRequest>,
) -> Result<Json<HandedBody>, Problem> {
    handed(&app, &call, r#ref, body.actor, Deed::Reassign(some(body.to)?)).await
}

async fn responders(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Write(call, body): Write<ToRequest>,
) -> Result<Json<HandedBody>, Problem> {
    handed(&app, &call, r#ref, body.actor, Deed::AddResponders(some(body.to)?)).await
}

async fn snooze(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Write(call, body): Write<SnoozeRequest>,
) -> Result<Json<IncidentBody>, Problem> {
    let until = match (body.for_seconds, body.until) {
        (Some(seconds), None) => Until::For(Duration::from_secs(seconds.into())),
        (None, Some(until)) => Until::At(until),
        (Some(_), Some(_)) | (None, None) => return Err(Problem::field("until", "say either `for_seconds` or `until`")),
    };
    acted(&app, &call, r#ref, body.actor, Deed::Snooze(until)).await
}

async fn wake(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Write(call, body): Write<ActRequest>,
) -> Result<Json<IncidentBody>, Problem> {
    acted(&app, &call, r#ref, body.actor, Deed::Wake).await
}

async fn note(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Write(call, body): Write<NoteRequest>,
) -> Result<NoContent, Problem> {
    app.paging.note(&call, r#ref, body.actor, text("text", &body.text, 10_000)?).await?;
    Ok(NoContent)
}

async fn merge(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Write(call, body): Write<MergeRequest>,
) -> Result<Json<IncidentBody>, Problem> {
    app.paging.merge(&call, r#ref.clone(), body.actor, body.into).await?;
    shown(&app, &call, r#ref).await
}

async fn urgency(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Write(call, body): Write<UrgencyRequest>,
) -> Result<Json<IncidentBody>, Problem> {
    acted(&app, &call, r#ref, body.actor, Deed::Sound(body.urgency)).await
}

async fn reopen(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Write(call, body): Write<ActRequest>,
) -> Result<Json<IncidentBody>, Problem> {
    acted(&app, &call, r#ref, body.actor, Deed::Reopen).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What became of a "not me".
#[derive(Serialize, JsonSchema)]
struct DisownedBody {
    /// What the bot had done, as the journal names it: `incident.resolved`.
    act: String,
    /// Whether it was undone: the incident rings again. Whoever was rung or told by an act cannot be unrung.
    undone: bool,
}

async fn not_me(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Write(call, Nothing {}): Write<Nothing>,
) -> Result<Json<DisownedBody>, Problem> {
    let disowned = app.paging.disown(&call, r#ref).await?;
    Ok(Json(DisownedBody { act: disowned.act, undone: disowned.undone }))
}

/// What was taken.
#[derive(Serialize, JsonSchema)]
struct TakenBody {
    /// The incidents that rang, and which the caller now has. At most 500 at once.
    acknowledged: Vec<Reference>,
}

async fn acknowledge_all(Extract(app): Extract<State>, Write(call, body): Write<ActRequest>) -> Result<Json<TakenBody>, Problem> {
    Ok(Json(TakenBody { acknowledged: app.paging.acknowledge_all(&call, body.actor).await? }))
}
