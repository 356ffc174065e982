//! `/v1/freezes`: what reports froze. Lifting weakens, so it becomes an act, which an administrator's passkey confirms.

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::acts::ActBody;
use super::caller::Read;
use super::input::Path;
use super::output::DoneOrWaits;
use super::people::{BotName, Person};
use super::problem::Problem;
use crate::approvals::Frozen;
use crate::approvals::policies::Changed;
use crate::clock::Timestamp;
use crate::id::{ApprovalId, FreezeId};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/freezes",
            get_with(list, |op| {
                op.id("listFreezes").tag("freezes").summary("What reports froze and nobody has lifted, the oldest first")
            }),
        )
        .api_route(
            "/v1/freezes/{id}",
            delete_with(lift, |op| op.id("liftFreeze").tag("freezes").summary("Lift a freeze, which weakens: 202 with an act")),
        )
}

#[derive(Deserialize, JsonSchema)]
struct ById {
    id: FreezeId,
}

/// Something frozen: nothing that the bot asks for the requester is approved or redeemed.
#[derive(Serialize, JsonSchema)]
struct FreezeBody {
    id: FreezeId,
    /// Whose requests.
    bot: BotName,
    /// For whom. Left out: for anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    requester: Option<Person>,
    /// The request whose report led to it.
    approval: ApprovalId,
    /// Who reported that.
    frozen_by: Person,
    frozen_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct List {
    freezes: Vec<FreezeBody>,
}

impl From<Frozen> for FreezeBody {
    fn from(Frozen { freeze, bot, requester, frozen_by }: Frozen) -> Self {
        Self {
            id: freeze.id,
            bot: (&bot).into(),
            requester: requester.as_ref().map(Person::from),
            approval: freeze.approval,
            frozen_by: (&frozen_by).into(),
            frozen_at: freeze.frozen_at,
        }
    }
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let freezes = app.approvals.freezes(&call).await?.into_iter().map(FreezeBody::from).collect();
    Ok(Json(List { freezes }))
}

async fn lift(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Read(call): Read,
) -> Result<DoneOrWaits<ActBody>, Problem> {
    Ok(match app.policies.lift_freeze(&call, id).await? {
        Changed::Made(()) => DoneOrWaits::Done,
        Changed::Waits(act) => DoneOrWaits::Waits((*act).into()),
    })
}
