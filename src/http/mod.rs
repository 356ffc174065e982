//! The REST API: one file per resource, each with its own `router`.
//!
//! **Invariants**
//! - Every handler begins with an extractor of `caller`, or says by its name that it serves anybody.
//! - No rule is decided here: handlers translate between JSON and the services.
//! - Replies carry the house's own clock in `Date`, so that a phone can set itself by it.

mod acts;
mod approvals;
mod away;
mod backup;
mod bot_keys;
mod bots;
mod calendars;
mod caller;
mod carriers;
mod chat_commands;
mod chat_identities;
mod chatops;
mod client_address;
mod devices;
mod email;
mod enrollments;
mod escalation_policies;
mod events;
mod freezes;
mod grants;
mod health;
mod incident_acts;
mod incidents;
mod ingest;
mod input;
mod integrations;
mod journal;
mod keys;
mod logins;
mod maintenance;
mod me;
mod middleware;
mod on_call;
mod output;
mod paging_rules;
mod passkeys;
mod people;
mod policies;
mod problem;
mod qr;
mod receipts;
mod roles;
mod rooms;
mod schedules;
pub mod serve;
mod services;
mod slack;
mod spec;
mod teams;
mod tls;
mod token;
mod users;
mod web;
mod webhooks;
mod well_known;

use std::sync::Arc;
use std::time::Duration;

use aide::axum::ApiRouter;
use axum::Router;
use axum::extract::DefaultBodyLimit;

use crate::clock::Clock;
use crate::config::{AndroidApp, IosApp, Network};
use crate::db::Store;
use crate::delivery::Delivery;
use crate::identity::Identity;
use crate::push::web_push::WebPush;

pub use caller::{LocalSocket, SeenProofs};
pub use problem::Problem;
pub use spec::document;
pub use tls::{Tls, TlsError, examine_certificate};

/// What handlers work with.
pub struct App {
    /// The database, for the health checks.
    pub store: Store,
    /// A directory for files that nobody needs after a moment.
    pub scratch: std::path::PathBuf,
    /// The time.
    pub clock: Clock,
    /// The `public_url` without a trailing slash.
    pub issuer: String,
    /// The VAPID public key, base64url.
    pub vapid_public_key: String,
    /// What asks an endpoint whether it is one of UnifiedPush.
    pub web_push: Arc<WebPush>,
    /// iOS apps that may use these passkeys and open these links.
    pub ios_apps: Vec<IosApp>,
    /// Android apps that may.
    pub android_apps: Vec<AndroidApp>,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Whether phones may register push addresses in private networks.
    pub allow_private_networks: bool,
    /// People.
    pub identity: Arc<Identity>,
    /// Approvals.
    pub approvals: Arc<crate::approvals::Approvals>,
    /// Policies.
    pub policies: Arc<crate::approvals::Policies>,
    /// Incidents.
    pub paging: Arc<crate::paging::Paging>,
    /// Who is on call.
    pub schedules: Arc<crate::paging::schedules::Schedules>,
    /// Pushes.
    pub delivery: Delivery,
    /// What is said in chat.
    pub chat: Arc<crate::chat::Chat>,
    /// Slack, where it is configured.
    pub slack: Option<Arc<crate::chat::slack::Slack>>,
    /// Events.
    pub listening: Arc<crate::listening::Listening>,
    /// Events for receivers elsewhere.
    pub webhooks: Arc<crate::listening::Webhooks>,
    /// Renders the metrics, where a recorder is installed.
    pub metrics: Option<metrics_exporter_prometheus::PrometheusHandle>,
    /// Ends long polls when the house closes.
    pub closing: tokio_util::sync::CancellationToken,
    /// The DPoP proofs this node has seen.
    pub seen: SeenProofs,
}

/// The shared [`App`].
pub type State = Arc<App>;

/// The longest a caller may ask to wait.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The largest body, bytes.
const MAX_BODY: usize = 64 * 1024;

/// The whole API, ready to serve.
pub fn router(app: App) -> Router {
    let app: State = Arc::new(app);
    let (document, routes) = spec::finish(api());
    let routes = routes.merge(spec::router(&document)).merge(chatops::router()).merge(slack::router()).merge(web::router());
    middleware::around(routes, &app).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(app)
}

/// Every documented route.
fn api() -> ApiRouter<State> {
    ApiRouter::new()
        .merge(acts::router())
        .merge(approvals::router())
        .merge(grants::router())
        .merge(incidents::router())
        .merge(ingest::router())
        .merge(incident_acts::router())
        .merge(services::router())
        .merge(integrations::router())
        .merge(escalation_policies::router())
        .merge(maintenance::router())
        .merge(schedules::router())
        .merge(on_call::router())
        .merge(calendars::router())
        .merge(enrollments::router())
        .merge(logins::router())
        .merge(token::router())
        .merge(devices::router())
        .merge(passkeys::router())
        .merge(receipts::router())
        .merge(policies::router())
        .merge(freezes::router())
        .merge(teams::router())
        .merge(me::router())
        .merge(paging_rules::router())
        .merge(away::router())
        .merge(email::router())
        .merge(users::router())
        .merge(bot_keys::router())
        .merge(roles::router())
        .merge(bots::router())
        .merge(chat_commands::router())
        .merge(chat_identities::router())
        .merge(rooms::router())
        .merge(keys::router())
        .merge(journal::router())
        .merge(events::router())
        .merge(webhooks::router())
        .merge(health::router())
        .merge(carriers::router())
        .merge(backup::router())
        .merge(well_known::router())
}
