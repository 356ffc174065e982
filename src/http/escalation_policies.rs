//! `/v1/escalation-policies`: who is paged, then who next.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{Read, Write};
use super::input::{Path, objects};
use super::output::{Created, MadeOrNow, NoContent};
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::id::EscalationPolicyId;
use crate::identity::Handle;
use crate::paging::escalation::{NewPolicy, NewStep, PolicyView};
use crate::paging::{Named, To};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/escalation-policies",
            post_with(create, |op| {
                op.id("createEscalationPolicy").tag("services").summary("Make an escalation policy").description(
                    "A step names people, teams and schedules: whoever is on call, or a member, when it rings. `warnings` says which of \
                     them would reach nobody now.",
                )
            })
            .get_with(list, |op| op.id("listEscalationPolicies").tag("services").summary("The escalation policies, by name")),
        )
        .api_route(
            "/v1/escalation-policies/{name}",
            get_with(find, |op| op.id("getEscalationPolicy").tag("services").summary("One escalation policy"))
                .put_with(put, |op| {
                    op.id("putEscalationPolicy")
                        .tag("services")
                        .summary("Make an escalation policy, or make it into something else for incidents that begin from then on")
                })
                .delete_with(remove, |op| {
                    op.id("removeEscalationPolicy").tag("services").summary("Remove an escalation policy that no service pages by")
                }),
        )
}

#[derive(Deserialize, JsonSchema)]
struct ByName {
    /// Its name.
    name: Handle,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateRequest {
    /// Its name, for ever.
    name: Handle,
    /// Whose it is.
    #[serde(default)]
    team: Option<Handle>,
    /// The steps, in the order they are tried.
    #[serde(deserialize_with = "objects")]
    #[schemars(length(min = 1, max = 20))]
    steps: Vec<StepRequest>,
    /// How often the steps are walked once more.
    #[serde(default)]
    #[schemars(range(max = 20))]
    repeats: u32,
    /// Who rings with everybody behind the last step, for ever.
    #[serde(default)]
    #[schemars(length(max = 20))]
    last_resort: Vec<To>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PutRequest {
    /// Whose it is.
    #[serde(default)]
    team: Option<Handle>,
    /// The steps, in the order they are tried.
    #[serde(deserialize_with = "objects")]
    #[schemars(length(min = 1, max = 20))]
    steps: Vec<StepRequest>,
    /// How often the steps are walked once more.
    #[serde(default)]
    #[schemars(range(max = 20))]
    repeats: u32,
    /// Who rings with everybody behind the last step, for ever.
    #[serde(default)]
    #[schemars(length(max = 20))]
    last_resort: Vec<To>,
}

/// A step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StepRequest {
    /// Whom it rings: people, teams and schedules.
    #[schemars(length(min = 1, max = 20))]
    to: Vec<To>,
    /// Minutes until the next step is tried.
    #[schemars(range(min = 1, max = 1440))]
    escalate_after_minutes: u32,
}

impl From<StepRequest> for NewStep {
    fn from(StepRequest { to, escalate_after_minutes }: StepRequest) -> Self {
        Self { to, escalate_after_minutes }
    }
}

impl PutRequest {
    fn named(self, name: Handle) -> NewPolicy {
        let Self { team, steps, repeats, last_resort } = self;
        NewPolicy { name, team, steps: steps.into_iter().map(NewStep::from).collect(), repeats, last_resort }
    }
}

/// An escalation policy.
#[derive(Serialize, JsonSchema)]
struct PolicyBody {
    id: EscalationPolicyId,
    name: Handle,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<Handle>,
    /// The steps, in the order they are tried.
    steps: Vec<StepBody>,
    repeats: u32,
    /// `@handle`, `team:NAME`, `schedule:NAME`.
    last_resort: Vec<String>,
    /// The services that page by it.
    services: Vec<Handle>,
    /// Whom it names and would reach nobody now.
    warnings: Vec<String>,
    created_at: Timestamp,
}

/// A step of an escalation policy.
#[derive(Serialize, JsonSchema)]
struct StepBody {
    /// `@handle`, `team:NAME`, `schedule:NAME`.
    to: Vec<String>,
    escalate_after_minutes: u32,
}

fn written(named: &[Named]) -> Vec<String> {
    let one = |named: &Named| match named {
        Named::User(user) => format!("@{}", user.handle),
        Named::Team(name) => format!("team:{name}"),
        Named::Schedule(name) => format!("schedule:{name}"),
    };
    named.iter().map(one).collect()
}

impl From<PolicyView> for PolicyBody {
    fn from(view: PolicyView) -> Self {
        let minutes = view.steps.iter().map(|step| step.escalate_after.unwrap_or_default() / 60);
        let steps = view.steps.iter().zip(minutes);
        Self {
            id: view.policy.id,
            name: view.policy.name,
            team: view.team,
            steps: steps
                .map(|(step, minutes)| StepBody { to: written(&step.targets), escalate_after_minutes: minutes })
                .collect(),
            repeats: view.policy.repeats,
            last_resort: written(&view.last_resort),
            services: view.services,
            warnings: view.warnings,
            created_at: view.policy.created_at,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct List {
    escalation_policies: Vec<PolicyBody>,
}

async fn create(Extract(app): Extract<State>, Write(call, body): Write<CreateRequest>) -> Result<Created<PolicyBody>, Problem> {
    let CreateRequest { name, team, steps, repeats, last_resort } = body;
    let new = PutRequest { team, steps, repeats, last_resort }.named(name);
    Ok(Created(app.paging.create_policy(&call, new).await?.into()))
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let policies = app.paging.escalation_policies(&call).await?;
    Ok(Json(List { escalation_policies: policies.into_iter().map(PolicyBody::from).collect() }))
}

async fn find(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Read(call): Read,
) -> Result<Json<PolicyBody>, Problem> {
    Ok(Json(app.paging.policy(&call, name).await?.into()))
}

async fn put(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Write(call, body): Write<PutRequest>,
) -> Result<MadeOrNow<PolicyBody>, Problem> {
    let (view, is_new) = app.paging.put_policy(&call, body.named(name)).await?;
    Ok(if is_new { MadeOrNow::Made(view.into()) } else { MadeOrNow::Now(view.into()) })
}

async fn remove(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Read(call): Read,
) -> Result<NoContent, Problem> {
    app.paging.remove_policy(&call, name).await?;
    Ok(NoContent)
}
