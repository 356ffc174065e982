//! `/v1/journal`: everything that happened, in order, chained.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::Read;
use super::input::Query;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::db;
use crate::journal::{self, Order, Sealed, Search};
use crate::listening::Filter;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/journal",
            get_with(list, |op| {
                op.id("listJournal")
                    .tag("journal")
                    .summary("Entries after a number, in order, or those that fit; for administrators")
                    .description(
                        "An entry appears within a moment of what it records, once it is numbered and chained. One page looks at no \
                         more than 20,000 entries: it may be empty and still have a `next`.",
                    )
            }),
        )
        .api_route(
            "/v1/journal/verification",
            get_with(verify, |op| {
                op.id("verifyJournal")
                    .tag("journal")
                    .summary("Check every entry against its predecessor, and the last against the head; for administrators")
            }),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Page {
    /// The number of the last entry already read: `next` of the page before. Entries above it, or below it with `order=newest`.
    #[serde(default)]
    #[schemars(range(min = 0))]
    after: Option<i64>,
    /// How many; 1 to 500.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 500))]
    limit: u32,
    /// In which order.
    #[serde(default)]
    order: Ordering,
    /// Beginnings of kinds, separated by commas: `approval.,incident.triggered`.
    #[serde(default)]
    kind: Option<String>,
    /// Who did it: `usr_…`, `bot_…`, `dev_…`, or `user`, `bot`, `operator`, `system`, `enrollee`.
    #[serde(default)]
    actor: Option<String>,
    /// What it happened to.
    #[serde(default)]
    subject: Option<String>,
    /// Not before this instant.
    #[serde(default)]
    since: Option<Timestamp>,
    /// Before this instant.
    #[serde(default)]
    until: Option<Timestamp>,
    /// Somewhere in `data`, in any case; 1 to 200 characters.
    #[serde(default)]
    text: Option<String>,
}

fn hundred() -> u32 {
    100
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Ordering {
    #[default]
    Oldest,
    Newest,
}

#[derive(Serialize, JsonSchema)]
struct List {
    entries: Vec<Sealed>,
    /// The next page's `after`; left out when all was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

async fn list(Extract(app): Extract<State>, Query(page): Query<Page>, Read(call): Read) -> Result<Json<List>, Problem> {
    call.admin()?;
    if !(1..=500).contains(&page.limit) {
        return Err(Problem::field("limit", "must be 1 to 500"));
    }
    let (after, limit) = (page.after, page.limit);
    let found = journal::search(&app.store, search(page)?, after, limit).await?;
    Ok(Json(List { entries: found.entries, next: found.next }))
}

fn search(page: Page) -> Result<Search, Problem> {
    let kinds = Filter::new(page.kind.as_deref(), None).map_err(|error| Problem::field("kind", error.to_string()))?;
    let actor = page.actor.map(|actor| actor.parse()).transpose();
    Ok(Search {
        kinds: kinds.kinds().to_vec(),
        actor: actor.map_err(|error: journal::NotAnActor| Problem::field("actor", error.to_string()))?,
        subject: super::input::optional_text("subject", page.subject.as_deref(), 200)?,
        since: page.since,
        until: page.until,
        text: super::input::optional_text("text", page.text.as_deref(), 200)?,
        order: match page.order {
            Ordering::Oldest => Order::Oldest,
            Ordering::Newest => Order::Newest,
        },
    })
}

/// What became of a check.
#[derive(Serialize, JsonSchema)]
struct Verification {
    /// Whether the whole chain holds.
    valid: bool,
    /// The number of the last entry, when it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<i64>,
    /// The first thing that does not fit, when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

async fn verify(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<Verification>, Problem> {
    call.admin()?;
    match journal::verify(&app.store).await {
        Ok(last) => Ok(Json(Verification { valid: true, last: Some(last), fault: None })),
        Err(fault @ db::Error::Inconsistent { .. }) => {
            tracing::error!(%fault, "the journal's chain does not hold");
            Ok(Json(Verification { valid: false, last: None, fault: Some(fault.to_string()) }))
        }
        Err(error) => Err(error.into()),
    }
}
