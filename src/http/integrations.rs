//! `/v1/services/{name}/integrations`: the keys by which monitoring systems report that a service breaks.

use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{Read, Write};
use super::input::{Path, optional_object};
use super::output::{Created, NoContent};
use super::problem::Problem;
use super::services::ByName;
use crate::clock::Timestamp;
use crate::id::IntegrationId;
use crate::identity::Handle;
use crate::paging::services::{
    Beats, IntegrationKind, IntegrationSettings, IntegrationView, MAX_KEY_OVERLAP, Mapping, NewIntegration,
};
use crate::secret::Secret;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/services/{name}/integrations",
            post_with(create, |op| {
                op.id("createIntegration")
                    .tag("services")
                    .summary("Make a key for a monitoring system, which is shown this once")
                    .description("A call repeated with the same `Idempotency-Key` answers the same integration without its key.")
            })
            .get_with(list, |op| {
                op.id("listIntegrations").tag("services").summary("The integrations of a service, by name, without their keys")
            }),
        )
        .api_route(
            "/v1/services/{name}/integrations/{integration}",
            delete_with(revoke, |op| {
                op.id("revokeIntegration").tag("services").summary("End an integration's keys, at once; what it reported goes on")
            })
            .put_with(put, |op| {
                op.id("putIntegration")
                    .tag("services")
                    .summary("Give an integration another mapping, or another rhythm to a heartbeat")
                    .description("What is left out is as when it is made. Its name, kind and keys stay.")
            }),
        )
        .api_route(
            "/v1/services/{name}/integrations/{integration}/rotate",
            post_with(rotate, |op| {
                op.id("rotateIntegration")
                    .tag("services")
                    .summary("Give an integration its next key, which is shown this once")
                    .description(
                        "The old key works until the overlap is over, and the one before it no more. A call repeated with the same \
                         `Idempotency-Key` answers without the key.",
                    )
            }),
        )
}

#[derive(Deserialize, JsonSchema)]
struct ByNames {
    /// The service's name.
    name: Handle,
    /// The integration's name.
    integration: Handle,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Its name, unique among those of its service.
    name: Handle,
    /// What it speaks.
    kind: IntegrationKind,
    /// Where in a generic hook's JSON to look; for those alone. What is left out is where the names of the members say.
    #[serde(default, deserialize_with = "optional_object")]
    mapping: Option<Mapping>,
    /// Seconds from one beat of a heartbeat to the next; for those alone.
    #[serde(default)]
    #[schemars(range(min = 1, max = 2_678_400))]
    every_seconds: Option<u32>,
    /// Seconds that a beat may be late; for heartbeats alone. None when left out.
    #[serde(default)]
    #[schemars(range(max = 604_800))]
    grace_seconds: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PutRequest {
    /// Where in a generic hook's JSON to look; for those alone. What is left out is where the names of the members say.
    #[serde(default, deserialize_with = "optional_object")]
    mapping: Option<Mapping>,
    /// Seconds from one beat of a heartbeat to the next; for those alone.
    #[serde(default)]
    #[schemars(range(min = 1, max = 2_678_400))]
    every_seconds: Option<u32>,
    /// Seconds that a beat may be late; for heartbeats alone. None when left out.
    #[serde(default)]
    #[schemars(range(max = 604_800))]
    grace_seconds: Option<u32>,
}

/// The settings that a request says; none when it says nothing.
fn settings(
    mapping: Option<Mapping>,
    every_seconds: Option<u32>,
    grace_seconds: Option<u32>,
) -> Result<Option<IntegrationSettings>, Problem> {
    match (mapping, every_seconds, grace_seconds) {
        (Some(_), Some(_), _) => Err(Problem::field("every_seconds", "does not go with `mapping`")),
        (_, None, Some(_)) => Err(Problem::field("every_seconds", "must be there with `grace_seconds`")),
        (Some(mapping), None, None) => Ok(Some(IntegrationSettings::Mapping(mapping))),
        (None, Some(every_seconds), grace) => {
            Ok(Some(IntegrationSettings::Beats(Beats { every_seconds, grace_seconds: grace.unwrap_or(0) })))
        }
        (None, None, None) => Ok(None),
    }
}

/// How long the old key works, unless the call says.
const OVERLAP: u32 = 3600;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// Seconds that the old key works beside the new one: at most a day; 0 ends it at once. An hour when left out.
    #[serde(default)]
    #[schemars(range(max = 86_400))]
    overlap_seconds: Option<u32>,
}

/// An integration.
#[derive(Serialize, JsonSchema)]
struct IntegrationBody {
    id: IntegrationId,
    name: Handle,
    kind: IntegrationKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping: Option<Mapping>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_seconds: Option<u32>,
    /// When a heartbeat beat last.
    #[serde(skip_serializing_if = "Option::is_none")]
    beat_at: Option<Timestamp>,
    /// Until when the key before the newest works; absent when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_key_until: Option<Timestamp>,
    created_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct NewIntegrationBody {
    #[serde(flatten)]
    integration: IntegrationBody,
    /// The key. It cannot be shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Where the monitoring system reports. It holds the key, unless the kind is `events`, whose reports carry it themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct List {
    integrations: Vec<IntegrationBody>,
}

impl IntegrationBody {
    fn of(view: IntegrationView, now: Timestamp) -> Self {
        let integration = view.integration;
        let (mapping, beats) = match integration.settings {
            IntegrationSettings::Nothing => (None, None),
            IntegrationSettings::Mapping(mapping) => (Some(mapping), None),
            IntegrationSettings::Beats(beats) => (None, Some(beats)),
        };
        Self {
            id: integration.id,
            name: integration.name,
            kind: integration.kind,
            mapping,
            every_seconds: beats.map(|beats| beats.every_seconds),
            grace_seconds: beats.map(|beats| beats.grace_seconds),
            beat_at: view.beat_at,
            previous_key_until: view.previous_key_until.filter(|until| *until > now),
            created_at: view.created_at,
        }
    }
}

impl NewIntegrationBody {
    fn of((view, key): (IntegrationView, Option<Secret>), app: &State) -> Self {
        let kind = view.integration.kind;
        let integration = IntegrationBody::of(view, app.clock.now());
        let url = key.as_ref().map(|key| url(&app.issuer, kind, key));
        Self { integration, key: key.map(|key| key.expose().to_owned()), url }
    }
}

/// Where an integration reports.
fn url(base: &str, kind: IntegrationKind, key: &Secret) -> String {
    match kind {
        IntegrationKind::Events => format!("{base}/v2/enqueue"),
        IntegrationKind::Heartbeat => format!("{base}/heartbeat/{}", key.expose()),
        IntegrationKind::Alertmanager | IntegrationKind::Grafana | IntegrationKind::Generic => {
            format!("{base}/ingest/{}/{}", key.expose(), kind.as_str())
        }
    }
}

async fn create(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Write(call, body): Write<Request>,
) -> Result<Created<NewIntegrationBody>, Problem> {
    let settings = settings(body.mapping, body.every_seconds, body.grace_seconds)?;
    let settings = settings.unwrap_or_else(|| IntegrationSettings::of_nothing_said(body.kind));
    let new = NewIntegration { settings, name: body.name, kind: body.kind };
    Ok(Created(NewIntegrationBody::of(app.paging.create_integration(&call, name, new).await?, &app)))
}

async fn list(
    Extract(app): Extract<State>,
    Path(ByName { name }): Path<ByName>,
    Read(call): Read,
) -> Result<Json<List>, Problem> {
    let now = app.clock.now();
    let integrations = app.paging.integrations(&call, name).await?;
    Ok(Json(List { integrations: integrations.into_iter().map(|view| IntegrationBody::of(view, now)).collect() }))
}

async fn put(
    Extract(app): Extract<State>,
    Path(ByNames { name, integration }): Path<ByNames>,
    Write(call, body): Write<PutRequest>,
) -> Result<Json<IntegrationBody>, Problem> {
    let settings = settings(body.mapping, body.every_seconds, body.grace_seconds)?;
    let view = app.paging.put_integration(&call, name, integration, settings).await?;
    Ok(Json(IntegrationBody::of(view, app.clock.now())))
}

async fn rotate(
    Extract(app): Extract<State>,
    Path(ByNames { name, integration }): Path<ByNames>,
    Write(call, body): Write<Rotation>,
) -> Result<Json<NewIntegrationBody>, Problem> {
    let overlap = Duration::from_secs(body.overlap_seconds.unwrap_or(OVERLAP).into());
    if overlap > MAX_KEY_OVERLAP {
        return Err(Problem::field("overlap_seconds", "must be at most 86400, which is a day"));
    }
    let rotated = app.paging.rotate_integration(&call, name, integration, overlap).await?;
    Ok(Json(NewIntegrationBody::of(rotated, &app)))
}

async fn revoke(
    Extract(app): Extract<State>,
    Path(ByNames { name, integration }): Path<ByNames>,
    Read(call): Read,
) -> Result<NoContent, Problem> {
    app.paging.revoke_integration(&call, name, integration).await?;
    Ok(NoContent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitoring_system_is_told_where_to_report() {
        let key = Secret::new("k".repeat(32));
        let at = |kind| url("https://phoneops.example", kind, &key).replace(key.expose(), "KEY");
        assert_eq!(at(IntegrationKind::Events), "https://phoneops.example/v2/enqueue");
        assert_eq!(at(IntegrationKind::Alertmanager), "https://phoneops.example/ingest/KEY/alertmanager");
        assert_eq!(at(IntegrationKind::Grafana), "https://phoneops.example/ingest/KEY/grafana");
        assert_eq!(at(IntegrationKind::Generic), "https://phoneops.example/ingest/KEY/generic");
        assert_eq!(at(IntegrationKind::Heartbeat), "https://phoneops.example/heartbeat/KEY");
    }
}
