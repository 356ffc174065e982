//! `/v1/acts`: changes that weaken, confirmed by an administrator's passkey.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::State;
use super::caller::{Read, Write};
use super::enrollments::CodeBody;
use super::input::Path;
use super::problem::Problem;
use crate::approvals::policies::{Act, Change, Confirmation};
use crate::clock::Timestamp;
use crate::id::{ActChallengeId, ActId, UserId};
use crate::identity::strict_json;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/acts",
            get_with(list, |op| {
                op.id("listActs")
                    .tag("acts")
                    .summary("Changes that wait for an administrator's passkey, the first to expire first")
            }),
        )
        .api_route(
            "/v1/acts/{id}/challenge",
            post_with(challenge, |op| op.id("challengeAct").tag("acts").summary("A statement to sign")),
        )
        .api_route(
            "/v1/acts/{id}/confirm",
            post_with(confirm, |op| op.id("confirmAct").tag("acts").summary("A signature, which makes the change")),
        )
}

/// A change that weakens.
#[derive(Serialize, JsonSchema)]
pub(super) struct ActBody {
    id: ActId,
    change: Change,
    /// Why it weakens.
    why: String,
    /// `waiting` or `done`.
    state: Word,
    created_at: Timestamp,
    expires_at: Timestamp,
    /// Who confirmed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    done_by: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Word {
    Waiting,
    Done,
}

#[derive(Serialize, JsonSchema)]
struct List {
    acts: Vec<ActBody>,
}

impl From<Act> for ActBody {
    fn from(act: Act) -> Self {
        let (done_at, done_by) = act.done.unzip();
        Self {
            id: act.id,
            change: act.change,
            why: act.why,
            state: if done_at.is_some() { Word::Done } else { Word::Waiting },
            created_at: act.created_at,
            expires_at: act.expires_at,
            done_by,
            done_at,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct ById {
    id: ActId,
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    Ok(Json(List { acts: app.policies.acts(&call).await?.into_iter().map(ActBody::from).collect() }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChallengeRequest {}

#[derive(Serialize, JsonSchema)]
struct ChallengeBody {
    challenge: ActChallengeId,
    /// The statement, canonical JSON (RFC 8785), as a string.
    statement: String,
    /// `PublicKeyCredentialRequestOptions` in JSON form (WebAuthn Level 3).
    public_key: Value,
    expires_at: Timestamp,
}

async fn challenge(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, ChallengeRequest {}): Write<ChallengeRequest>,
) -> Result<Json<ChallengeBody>, Problem> {
    let offered = app.policies.challenge(&call, id).await?;
    Ok(Json(ChallengeBody {
        challenge: offered.id,
        statement: offered.statement,
        public_key: offered.public_key,
        expires_at: offered.expires_at,
    }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConfirmRequest {
    challenge: ActChallengeId,
    /// `AuthenticationResponseJSON` (WebAuthn Level 3).
    #[serde(deserialize_with = "strict_json::deserialize")]
    credential: Value,
}

/// An act that was confirmed.
#[derive(Serialize, JsonSchema)]
struct ConfirmedBody {
    #[serde(flatten)]
    act: ActBody,
    /// The enrolment code that it made, shown to whoever confirmed, this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollment: Option<CodeBody>,
}

async fn confirm(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, body): Write<ConfirmRequest>,
) -> Result<Json<ConfirmedBody>, Problem> {
    let Confirmation { act, code } = app.policies.confirm(&call, id, body.challenge, body.credential).await?;
    let enrollment = code.map(|code| CodeBody::of(code, &app.issuer));
    Ok(Json(ConfirmedBody { act: act.into(), enrollment }))
}
