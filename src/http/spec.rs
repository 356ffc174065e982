//! The API's own description (OpenAPI 3.1), made from the handlers' types.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::openapi::{Info, License, OpenApi, SecurityScheme, Server, Tag};
use aide::transform::TransformOpenApi;
use axum::Router;
use axum::http::header;
use axum::routing::get;

use super::State;

/// The description as JSON.
#[must_use]
pub fn document() -> serde_json::Value {
    let (document, _) = finish(super::api());
    serde_json::to_value(&document).unwrap_or_default()
}

pub(super) fn finish(api: ApiRouter<State>) -> (OpenApi, Router<State>) {
    let mut document = OpenApi {
        info: Info {
            title: "PhoneOps".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: Some(
                "Pages and approvals on the phone. Bots send `Authorization: Bearer pob_…`; phones send `Authorization: DPoP …` and a \
                 `DPoP` proof (device-protocol.md). Errors are problems (RFC 9457) with a stable `code`. Every POST of a caller \
                 who is known by such a token takes an optional `Idempotency-Key`, remembered for 24 hours. What monitoring systems send \
                 (`alerts`), receipts of pushes, enrolling and signing in have none and ignore it: an alert's `dedup_key` makes repeating \
                 it harmless."
                    .into(),
            ),
            license: Some(License { name: "Apache-2.0".into(), identifier: Some("Apache-2.0".into()), ..License::default() }),
            ..Info::default()
        },
        servers: vec![Server { url: "/".into(), ..Server::default() }],
        ..OpenApi::default()
    };
    let routes = api.finish_api_with(&mut document, describe);
    (document, routes)
}

fn describe(document: TransformOpenApi<'_>) -> TransformOpenApi<'_> {
    let tags = [
        ("approvals", "Requests that an action be allowed, and their answers."),
        ("grants", "Proof that an action was approved."),
        ("incidents", "Pages, until somebody answers."),
        ("alerts", "What monitoring systems send."),
        ("schedules", "Who is on call when."),
        ("devices", "Phones: enrolled, signed in, reached."),
        ("passkeys", "What people sign approvals with."),
        ("me", "The person who asks."),
        ("users", "People."),
        ("bots", "API clients."),
        ("keys", "What the installation signs with."),
        ("journal", "Everything that happened."),
        ("events", "What happens, as it happens."),
        ("webhooks", "Events sent to receivers elsewhere."),
        ("health", "For load balancers."),
    ];
    let document = tags.into_iter().fold(document, |document, (name, description)| {
        document.tag(Tag { name: name.into(), description: Some(description.into()), ..Tag::default() })
    });
    let scheme = |scheme: &str, description: &str| SecurityScheme::Http {
        scheme: scheme.into(),
        bearer_format: None,
        description: Some(description.into()),
        extensions: std::iter::empty().collect(),
    };
    document
        .security_scheme("bot", scheme("bearer", "A bot's token."))
        .security_scheme("device", scheme("dpop", "A device's access token, with a `DPoP` proof (RFC 9449)."))
}

pub(super) fn router(document: &OpenApi) -> Router<State> {
    let json: Arc<str> = serde_json::to_string(document).unwrap_or_default().into();
    Router::new().route(
        "/openapi.json",
        get(move || {
            let json = json.clone();
            async move { ([(header::CONTENT_TYPE, "application/json")], json.to_string()) }
        }),
    )
}
