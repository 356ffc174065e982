//! `/v1/incidents`: reported by bots and people, answered from phones and from chat.

use std::collections::BTreeMap;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{Read, Write};
use super::input::{Path, Query, optional_text, text};
use super::output::Created;
use super::people::{BotName, Person};
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::id::{EventId, IncidentId, UserId};
use crate::identity::{Handle, Who};
use crate::paging::{
    Acted, Filter, Line, Named, Page, Phase, Reference, State as Progress, Timeline, To, Urgency, View, ViewStep,
};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/incidents",
            post_with(page, |op| {
                op.id("page").tag("incidents").summary("Page people").description(
                    "For people, and bots with `incidents:write`. 201 means that it is stored and will ring until somebody answers.",
                )
            })
            .get_with(list, |op| op.id("listIncidents").tag("incidents").summary("Incidents, the newest first: the open ones unless others are asked for")),
        )
        .api_route(
            "/v1/incidents/{ref}",
            get_with(find, |op| op.id("getIncident").tag("incidents").summary("One incident")),
        )
        .api_route(
            "/v1/incidents/{ref}/timeline",
            get_with(timeline, |op| {
                op.id("getTimeline").tag("incidents").summary("What happened to an incident, in sentences, as it happened")
            }),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// What is wrong, in a line; at most 500 characters.
    #[schemars(length(min = 1, max = 500))]
    title: String,
    /// Who is to look at it: `@handle`, `usr_…`, `team:NAME`, `schedule:NAME`, or one `service:NAME`. 1 to 50.
    #[schemars(length(min = 1, max = 50))]
    to: Vec<To>,
    /// More of it; at most 10000 characters.
    #[serde(default)]
    #[schemars(length(max = 10_000))]
    details: Option<String>,
    /// How loud.
    #[serde(default)]
    urgency: Urgency,
    /// Where to look: `https:` or `http:`, at most 10.
    #[serde(default)]
    #[schemars(length(max = 10))]
    links: Vec<String>,
    /// The person a bot pages for.
    #[serde(default)]
    actor: Option<Who>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ByRef {
    /// The reference, like `P7K3M2X`, in any case.
    pub(super) r#ref: Reference,
}

/// An incident.
#[derive(Serialize, JsonSchema)]
pub(super) struct IncidentBody {
    id: IncidentId,
    r#ref: Reference,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
    links: Vec<String>,
    urgency: Urgency,
    state: Word,
    /// Put off rather than taken, while acknowledged.
    snoozed: bool,
    /// What breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Handle>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<Handle>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    /// How often integrations reported it.
    reports: u32,
    /// Who is rung, by step; the last step rings everybody, for ever.
    steps: Vec<StepBody>,
    /// Where in these it is; not when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u32>,
    /// Everybody it rang for or names: these may act on it.
    responders: Vec<Person>,
    /// How often it rang.
    rings: u32,
    /// When it rings next, unless somebody answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    rings_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acted: Option<ActBody>,
    /// The incident that goes on in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    merged_into: Option<Reference>,
    created_at: Timestamp,
}

/// A step of who is rung.
#[derive(Serialize, JsonSchema)]
struct StepBody {
    /// Whom it rings.
    targets: Vec<TargetBody>,
    /// Seconds until the next step is tried; for ever at the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    escalate_after_seconds: Option<u32>,
}

/// Whom a step rings.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TargetBody {
    User(Person),
    Team(Handle),
    Schedule(Handle),
}

/// A page that was just sent.
#[derive(Serialize, JsonSchema)]
struct PagedBody {
    #[serde(flatten)]
    incident: IncidentBody,
    /// Who was rung.
    paged: Vec<Person>,
    /// Who has no device that can be reached.
    unreachable: Vec<Person>,
    /// Who of those that were named belongs to another team than the service, or than whoever pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outside: Vec<Person>,
}

/// Where an incident stands.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Word {
    Triggered,
    Acknowledged,
    Resolved,
}

/// Who acknowledged or resolved it.
#[derive(Serialize, JsonSchema)]
struct ActBody {
    /// The person; none when it was a monitoring system.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Person>,
    /// The bot that said so in their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<BotName>,
    /// The monitoring system, by the name of its integration.
    #[serde(skip_serializing_if = "Option::is_none")]
    integration: Option<String>,
    at: Timestamp,
}

impl From<&View> for IncidentBody {
    fn from(view: &View) -> Self {
        let incident = &view.incident;
        let (state, step, rings_at, snoozed) = match incident.state {
            Progress::Triggered { place, timer_at, .. } => (Word::Triggered, Some(place.step), Some(timer_at), false),
            Progress::Acknowledged { place, timer_at, snoozed, .. } => (Word::Acknowledged, Some(place.step), timer_at, snoozed),
            Progress::Resolved { .. } => (Word::Resolved, None, None, false),
        };
        Self {
            id: incident.id,
            r#ref: incident.reference.clone(),
            title: incident.title.clone(),
            details: incident.details.clone(),
            links: incident.links.clone(),
            urgency: incident.urgency,
            state,
            snoozed,
            service: view.service.clone(),
            team: view.team.clone(),
            labels: incident.labels.clone(),
            reports: incident.reports,
            steps: view.steps.iter().map(StepBody::from).collect(),
            step,
            responders: view.responders.iter().map(Person::from).collect(),
            rings: incident.state.ring(),
            rings_at,
            acted: incident.state.act().zip(view.acted.as_ref()).map(|(act, by)| ActBody::new(by, act.at)),
            merged_into: view.merged_into.clone(),
            created_at: incident.created_at,
        }
    }
}

impl From<&ViewStep> for StepBody {
    fn from(step: &ViewStep) -> Self {
        let target = |named: &Named| match named {
            Named::User(user) => TargetBody::User(user.into()),
            Named::Team(name) => TargetBody::Team(name.clone()),
            Named::Schedule(name) => TargetBody::Schedule(name.clone()),
        };
        Self { targets: step.targets.iter().map(target).collect(), escalate_after_seconds: step.escalate_after }
    }
}

impl ActBody {
    fn new(acted: &Acted, at: Timestamp) -> Self {
        match acted {
            Acted::Person(user, bot) => {
                Self { by: Some((&**user).into()), via: bot.as_deref().map(BotName::from), integration: None, at }
            }
            Acted::Integration(name) => Self { by: None, via: None, integration: Some(name.clone()), at },
        }
    }
}

pub(super) fn people(view: &View, ids: &[UserId]) -> Vec<Person> {
    ids.iter().filter_map(|id| view.responders.iter().find(|user| user.id == *id)).map(Person::from).collect()
}

async fn page(Extract(app): Extract<State>, Write(call, body): Write<Request>) -> Result<Created<PagedBody>, Problem> {
    if body.to.is_empty() || body.to.len() > 50 {
        return Err(Problem::field("to", "must name 1 to 50 people"));
    }
    let page = Page {
        title: text("title", &body.title, 500)?,
        to: body.to,
        details: optional_text("details", body.details.as_deref(), 10_000)?,
        links: links(body.links)?,
        urgency: body.urgency,
        actor: body.actor,
    };
    let paged = app.paging.page(&call, page).await?;
    let view = app.paging.find_changed(&call, paged.reference).await?;
    Ok(Created(PagedBody {
        incident: (&view).into(),
        paged: people(&view, &paged.paged),
        unreachable: people(&view, &paged.unreachable),
        outside: people(&view, &paged.outside),
    }))
}

fn links(links: Vec<String>) -> Result<Vec<String>, Problem> {
    if links.len() > 10 {
        return Err(Problem::field("links", "may be at most 10"));
    }
    for (at, link) in links.iter().enumerate() {
        // The parser would mend white space and controls silently; what is kept is the text as it was sent.
        let plain = link.len() <= 2000 && !link.chars().any(|c| c.is_whitespace() || crate::text::is_deceptive(c));
        let web = plain && url::Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !web {
            let detail = "must be an http or https URL of at most 2000 characters, without white space and control characters";
            return Err(Problem::field(format!("links[{at}]"), detail));
        }
    }
    Ok(links)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// `true` for resolved ones too.
    #[serde(default)]
    all: bool,
    /// Only those that stand so.
    #[serde(default)]
    state: Option<Word>,
    /// `true` for only those that rang for the caller, who is a person.
    #[serde(default)]
    mine: bool,
    /// Only those of this service.
    #[serde(default)]
    service: Option<Handle>,
    /// Only those of this team's services.
    #[serde(default)]
    team: Option<Handle>,
    /// Only those that are so loud.
    #[serde(default)]
    urgency: Option<Urgency>,
    /// The cursor of the page before.
    #[serde(default)]
    cursor: Option<IncidentId>,
    /// How many; 1 to 100.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 100))]
    limit: u32,
}

fn twenty() -> u32 {
    20
}

#[derive(Serialize, JsonSchema)]
struct List {
    incidents: Vec<IncidentBody>,
    /// The cursor of the next page, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<IncidentId>,
}

async fn list(Extract(app): Extract<State>, Query(query): Query<ListQuery>, Read(call): Read) -> Result<Json<List>, Problem> {
    if !(1..=100).contains(&query.limit) {
        return Err(Problem::field("limit", "must be 1 to 100"));
    }
    let phase = match query.state {
        None if query.all => Phase::Any,
        None => Phase::Open,
        Some(Word::Triggered) => Phase::Triggered,
        Some(Word::Acknowledged) => Phase::Acknowledged,
        Some(Word::Resolved) => Phase::Resolved,
    };
    let filter = Filter { phase, mine: query.mine, service: query.service, team: query.team, urgency: query.urgency };
    let (views, more) = app.paging.list(&call, filter, query.cursor, query.limit).await?;
    let next = views.last().filter(|_| more).map(|view| view.incident.id);
    Ok(Json(List { incidents: views.iter().map(IncidentBody::from).collect(), next }))
}

async fn find(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Read(call): Read,
) -> Result<Json<IncidentBody>, Problem> {
    Ok(Json((&app.paging.find(&call, r#ref).await?).into()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TimelineQuery {
    /// The cursor of the page before.
    #[serde(default)]
    cursor: Option<EventId>,
    /// How many; 1 to 500.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 500))]
    limit: u32,
}

fn hundred() -> u32 {
    100
}

/// What happened to an incident, the oldest first.
#[derive(Serialize, JsonSchema)]
struct TimelineBody {
    lines: Vec<LineBody>,
    /// The cursor of the next page, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<EventId>,
}

/// Something that happened to an incident.
#[derive(Serialize, JsonSchema)]
struct LineBody {
    /// Its entry in the journal.
    id: EventId,
    at: Timestamp,
    /// What, as the journal names it: `incident.acknowledged`.
    kind: String,
    /// What, in a sentence. Text of strangers in it is made visible.
    text: String,
    /// Who did it, as in the journal.
    actor: serde_json::Value,
    /// The facts of the entry, by ids. Text in them is as it was sent.
    facts: serde_json::Value,
}

async fn timeline(
    Extract(app): Extract<State>,
    Path(ByRef { r#ref }): Path<ByRef>,
    Query(query): Query<TimelineQuery>,
    Read(call): Read,
) -> Result<Json<TimelineBody>, Problem> {
    if !(1..=500).contains(&query.limit) {
        return Err(Problem::field("limit", "must be 1 to 500"));
    }
    let Timeline { lines, more } = app.paging.timeline(&call, r#ref, query.cursor, query.limit).await?;
    let next = lines.last().filter(|_| more).map(|line| line.id);
    let body = |line: Line| LineBody {
        id: line.id,
        at: line.at,
        kind: line.kind,
        text: line.text,
        actor: serde_json::json!(line.actor),
        facts: line.facts,
    };
    Ok(Json(TimelineBody { lines: lines.into_iter().map(body).collect(), next }))
}
