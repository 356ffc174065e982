//! `/.well-known/…`: which native apps may use this installation's passkeys and open its links.
//!
//! Apple: "Supporting associated domains"; Google: "Digital Asset Links" and "Credential Manager". Both are fetched from the host of the
//! passkeys' `rp_id`, over HTTPS and without redirects.

use aide::axum::ApiRouter;
use axum::Json;
use axum::extract::State as Extract;
use axum::routing::get;
use serde_json::{Value, json};

use super::State;
use super::problem::Problem;
use crate::config::{AndroidApp, IosApp};

/// Not in the API's description: the platforms describe them.
pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .route("/.well-known/apple-app-site-association", get(apple))
        .route("/.well-known/assetlinks.json", get(google))
}

/// What a link to this installation may open in an app.
const LINKS: [&str; 3] = ["/a/*", "/i/*", "/enroll"];

async fn apple(Extract(app): Extract<State>) -> Result<Json<Value>, Problem> {
    let apps: Vec<_> = app.ios_apps.iter().map(IosApp::as_str).collect();
    if apps.is_empty() {
        return Err(Problem::not_found("no iOS app is configured: see ios_apps"));
    }
    let components: Vec<_> = LINKS.iter().map(|link| json!({"/": link})).collect();
    Ok(Json(json!({
        "webcredentials": {"apps": apps},
        "applinks": {"details": [{"appIDs": apps, "components": components}]},
    })))
}

async fn google(Extract(app): Extract<State>) -> Result<Json<Value>, Problem> {
    if app.android_apps.is_empty() {
        return Err(Problem::not_found("no Android app is configured: see android_apps"));
    }
    Ok(Json(app.android_apps.iter().map(statement).collect()))
}

fn statement(app: &AndroidApp) -> Value {
    json!({
        "relation": ["delegate_permission/common.handle_all_urls", "delegate_permission/common.get_login_creds"],
        "target": {
            "namespace": "android_app",
            "package_name": app.package,
            "sha256_cert_fingerprints": [app.fingerprint()],
        },
    })
}
