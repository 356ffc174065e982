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
use crate::journal::{self, Sealed};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new().api_route(
        "/v1/journal",
        get_with(list, |op| {
            op.id("listJournal")
                .tag("journal")
                .summary("Entries after a number, in order; for administrators")
                .description("An entry appears within a moment of what it records, once it is numbered and chained.")
        }),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Page {
    /// The number of the last entry already read.
    #[serde(default)]
    #[schemars(range(min = 0))]
    after: i64,
    /// How many; 1 to 500.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 500))]
    limit: u32,
}

fn hundred() -> u32 {
    100
}

#[derive(Serialize, JsonSchema)]
struct List {
    entries: Vec<Sealed>,
}

async fn list(Extract(app): Extract<State>, Query(page): Query<Page>, Read(call): Read) -> Result<Json<List>, Problem> {
    call.admin()?;
    if !(1..=500).contains(&page.limit) {
        return Err(Problem::field("limit", "must be 1 to 500"));
    }
    Ok(Json(List { entries: journal::read(&app.store, page.after, page.limit).await? }))
}
