//! `/v1/webhooks`: events sent to receivers elsewhere, for administrators.

use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::State;
use super::caller::{Read, Write};
use super::input::Path;
use super::output::{Created, NoContent};
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::id::{BotId, WebhookId};
use crate::listening::{MAX_OVERLAP, NewWebhook, Webhook};
use crate::push::webhook::Sent;
use crate::secret::Secret;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/webhooks",
            post_with(create, |op| {
                op.id("createWebhook")
                    .tag("webhooks")
                    .summary("Make a webhook; its secret is shown this once")
                    .description(
                        "Events are posted in order, each until it is answered with 2xx, for up to three days; then the webhook is \
                         disabled. They are signed as Standard Webhooks has it (`webhook-id`, `webhook-timestamp`, \
                         `webhook-signature`). An event may come twice, with the same `webhook-id`. A call repeated with the same \
                         `Idempotency-Key` answers the same webhook without its secret.",
                    )
            })
            .get_with(list, |op| op.id("listWebhooks").tag("webhooks").summary("The webhooks, the oldest first")),
        )
        .api_route(
            "/v1/webhooks/{id}",
            get_with(find, |op| op.id("getWebhook").tag("webhooks").summary("One webhook"))
                .delete_with(delete, |op| op.id("deleteWebhook").tag("webhooks").summary("Send nothing more, at once")),
        )
        .api_route(
            "/v1/webhooks/{id}/rotate",
            post_with(rotate, |op| {
                op.id("rotateWebhook")
                    .tag("webhooks")
                    .summary("A new secret, shown this once; for a while events carry the signatures of both")
            }),
        )
        .api_route(
            "/v1/webhooks/{id}/enable",
            post_with(enable, |op| {
                op.id("enableWebhook").tag("webhooks").summary("Let a disabled webhook go on where it stopped")
            }),
        )
        .api_route(
            "/v1/webhooks/{id}/test",
            post_with(test, |op| {
                op.id("testWebhook").tag("webhooks").summary("Send an event of the kind `webhook.test`, once, and say how it went")
            }),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Where events are posted: `https:`, at a public address; at most 1000 characters.
    #[schemars(with = "String", length(max = 1000))]
    url: Url,
    /// Beginnings of the kinds it is told, like `approval.`; all without any.
    #[serde(default)]
    #[schemars(length(max = 20))]
    kinds: Vec<String>,
    /// A bot with `events:read`, whose events it is told; everybody's without one.
    #[serde(default)]
    bot: Option<BotId>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// Seconds for which events carry both signatures; a day unless given, at most a week.
    #[serde(default = "a_day")]
    #[schemars(range(max = 604_800))]
    overlap: u32,
}

fn a_day() -> u32 {
    86_400
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize, JsonSchema)]
struct ById {
    id: WebhookId,
}

/// A webhook.
#[derive(Serialize, JsonSchema)]
struct WebhookBody {
    id: WebhookId,
    #[schemars(with = "String")]
    url: Url,
    kinds: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bot: Option<BotId>,
    /// The number of the last event that was delivered, or was not for it.
    cursor: i64,
    created_at: Timestamp,
    /// Until when events carry the signature of the secret before, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    overlap_ends_at: Option<Timestamp>,
    /// Since when it was tried in vain.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<Timestamp>,
    /// How often, in a row.
    failures: u32,
    /// Why, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_why: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct NewWebhookBody {
    #[serde(flatten)]
    webhook: WebhookBody,
    /// What signatures are verified with, `whsec_…`. It cannot be shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct List {
    webhooks: Vec<WebhookBody>,
}

/// What became of a test.
#[derive(Serialize, JsonSchema)]
struct Tested {
    /// Whether the receiver took it.
    taken: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

fn body((webhook, url): (Webhook, Url)) -> WebhookBody {
    WebhookBody {
        id: webhook.id,
        url,
        kinds: webhook.kinds,
        bot: webhook.bot,
        cursor: webhook.cursor,
        created_at: webhook.created_at,
        overlap_ends_at: webhook.previous_until,
        failing_since: webhook.failing_since,
        failures: webhook.failures,
        last_error: webhook.last_error,
        disabled_at: webhook.disabled_at,
        disabled_why: webhook.disabled_why,
    }
}

fn with_secret(webhook: (Webhook, Url), secret: Option<Secret>) -> NewWebhookBody {
    NewWebhookBody { webhook: body(webhook), secret: secret.map(|secret| secret.expose().to_owned()) }
}

async fn create(Extract(app): Extract<State>, Write(call, request): Write<Request>) -> Result<Created<NewWebhookBody>, Problem> {
    if request.url.as_str().len() > 1000 {
        return Err(Problem::field("url", "may have at most 1000 characters"));
    }
    let new = NewWebhook { url: request.url, kinds: request.kinds, bot: request.bot };
    let (webhook, secret) = app.webhooks.create(&call, new).await?;
    let found = app.webhooks.find(&call, webhook.id).await?;
    Ok(Created(with_secret(found, secret)))
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let webhooks = app.webhooks.list(&call).await?.into_iter().map(body).collect();
    Ok(Json(List { webhooks }))
}

async fn find(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Read(call): Read,
) -> Result<Json<WebhookBody>, Problem> {
    Ok(Json(body(app.webhooks.find(&call, id).await?)))
}

async fn delete(Extract(app): Extract<State>, Path(ById { id }): Path<ById>, Read(call): Read) -> Result<NoContent, Problem> {
    app.webhooks.delete(&call, id).await?;
    Ok(NoContent)
}

async fn rotate(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, Rotation { overlap }): Write<Rotation>,
) -> Result<Json<NewWebhookBody>, Problem> {
    let overlap = Duration::from_secs(u64::from(overlap));
    if overlap > MAX_OVERLAP {
        return Err(Problem::field("overlap", "may be at most 604800 seconds"));
    }
    let (_, secret) = app.webhooks.rotate(&call, id, overlap).await?;
    let found = app.webhooks.find(&call, id).await?;
    Ok(Json(with_secret(found, secret)))
}

async fn enable(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, Nothing {}): Write<Nothing>,
) -> Result<Json<WebhookBody>, Problem> {
    app.webhooks.enable(&call, id).await?;
    Ok(Json(body(app.webhooks.find(&call, id).await?)))
}

async fn test(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, Nothing {}): Write<Nothing>,
) -> Result<Json<Tested>, Problem> {
    Ok(Json(match app.webhooks.test(&call, id).await? {
        Sent::Taken(_) => Tested { taken: true, why: None },
        Sent::Gone => Tested { taken: false, why: Some("it answered 410".into()) },
        Sent::Not { why, .. } => Tested { taken: false, why: Some(why) },
    }))
}
