//! `/v1/services`: what breaks, whose it is, and who is paged when it does.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{Read, Write};
use super::input::{Path, object};
use super::output::{Created, MadeOrNow, NoContent};
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::id::ServiceId;
use crate::identity::Handle;
use crate::paging::services::{NewService, ServiceView, Settings};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/services",
            post_with(create, |op| op.id("createService").tag("services").summary("Make a service"))
                .get_with(list, |op| op.id("listServices").tag("services").summary("The services, by name")),
        )
        .api_route(
            "/v1/services/{name}",
            get_with(find, |op| op.id("getService").tag("services").summary("One service"))
                .put_with(put, |op| {
                    op.id("putService")
                        .tag("services")
                        .summary("Make a service, or make it into something else")
                        .description("Incidents that are open keep the plan they began with.")
                })
                .delete_with(remove, |op| {
                    op.id("removeService")
                        .tag("services")
                        .summary("Remove a service, its integrations and its maintenance")
                        .description("Its open incidents go on.")
                }),
        )
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ByName {
    /// The service's name.
    pub(super) name: Handle,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateRequest {
    /// Its name, for ever.
    name: Handle,
    /// Whose it is.
    team: Handle,
    /// Who is paged: an escalation policy; the whole team when there is none.
    #[serde(default)]
    policy: Option<Handle>,
    /// How its alerts become incidents.
    #[serde(default, deserialize_with = "object")]
    settings: Settings,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PutRequest {
    /// Whose it is.
    team: Handle,
    /// Who is paged: an escalation policy; the whole team when there is none.
    #[serde(default)]
    policy: Option<Handle>,
    /// How its alerts become incidents.
    #[serde(default, deserialize_with = "object")]
    settings: Settings,
}

/// A service.
#[derive(Serialize, JsonSchema)]
struct ServiceBody {
    id: ServiceId,
    name: Handle,
    team: Handle,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Handle>,
    settings: Settings,
    /// How many of its incidents are open.
    open_incidents: i64,
    created_at: Timestamp,
}

impl From<ServiceView> for ServiceBody {
    fn from(ServiceView { service, team, policy, open_incidents }: ServiceView) -> Self {
        let (id, name, settings, created_at) = (service.id, service.name, service.settings, service.created_at);
        Self { id, name, team, policy, settings, open_incidents, created_at }
    }
}

#[derive(Serialize, JsonSchema)]
struct List {
    services: Vec<ServiceBody>,
}

async fn create(Extract(app): Extract<State>, Write(call, body): Write<CreateRequest>) -> Result<Created<ServiceBody>, Problem> {
    let CreateRequest { name, team, policy, settings } = body;
    Ok(Created(app.paging.create_service(&call, NewService { name, team, policy, settings }).await?.into()))
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let services = app.paging.services(&call).await?.into_iter().map(ServiceBody::from).collect();
    Ok(Json(List { services }))
}

async fn find(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Read(call): Read,
) -> Result<Json<ServiceBody>, Problem> {
    Ok(Json(app.paging.service(&call, name).await?.into()))
}

async fn put(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Write(call, PutRequest { team, policy, settings }): Write<PutRequest>,
) -> Result<MadeOrNow<ServiceBody>, Problem> {
    let (view, is_new) = app.paging.put_service(&call, NewService { name, team, policy, settings }).await?;
    Ok(if is_new { MadeOrNow::Made(view.into()) } else { MadeOrNow::Now(view.into()) })
}

async fn remove(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Read(call): Read,
) -> Result<NoContent, Problem> {
    app.paging.remove_service(&call, name).await?;
    Ok(NoContent)
}
