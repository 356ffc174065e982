//! `/v1/approvals`: asked by bots, answered by phones.

use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::State;
use super::caller::{Read, Write};
use super::input::{Path, Query, Wait, object, optional_object, optional_strict, optional_text};
use super::output::{MadeOrNow, NoContent};
use super::people::{BotName, Person};
use super::problem::Problem;
use crate::approvals::receipt::SignedReceipt;
use crate::approvals::{
    Action, Answer, Ask, BreakGlass, Display, Error, Factor, Given, Origin, PolicyRef, Proof, Refusal, Refused, Reported,
    State as Outcome, Verdict, View,
};
use crate::clock::Timestamp;
use crate::id::{ApprovalId, ChallengeId, UserId};
use crate::identity::{Call, Failure, Who};
use crate::secret::{Secret, b64u, from_b64u};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/approvals",
            post_with(request, |op| {
                op.id("requestApproval").tag("approvals").summary("Ask that an action be allowed").description(
                    "For bots with `approvals:request`. With `wait`, answers 200 as soon as it is decided, else 201 when the wait is over; a \
                     reply with a `code` does not wait, for the requester must see the code first. A call repeated with the same \
                     `Idempotency-Key` says how its request stands now. A request alike one that is open \
                     waits in inboxes without ringing (`folded_into`); one that would ring nobody is 429 `nobody_rings`, and what \
                     was reported 403 `frozen`.",
                )
            })
            .get_with(inbox, |op| {
                op.id("listApprovals").tag("approvals").summary("What waits for me, the first to expire first; at most 100")
            }),
        )
        .api_route(
            "/v1/approvals/{id}",
            get_with(find, |op| {
                op.id("getApproval").tag("approvals").summary("One approval; with `wait`, as soon as it is decided").description(
                    "For the bot that asked, which also gets the `grant` while it can be redeemed, and for the people it concerns.",
                )
            })
            .delete_with(cancel, |op| op.id("cancelApproval").tag("approvals").summary("Withdraw a request")),
        )
        .api_route(
            "/v1/approvals/{id}/receipt",
            get_with(receipt, |op| {
                op.id("getReceipt").tag("approvals").summary("Everything it takes to check an approval offline").description(
                    "Once it has ended; before that, 409 `approval_undecided`. For the bot that asked, the people it concerns, and \
                     administrators. `api-spec/receipt.md` says how to check it, and `phoneops verify` does.",
                )
            }),
        )
        .api_route(
            "/v1/approvals/{id}/break-glass",
            post_with(break_glass, |op| {
                op.id("breakGlass").tag("approvals").summary("Open a request that nobody can answer, unless somebody denies it").description(
                    "For the operator only, on the server's own socket. Everybody who could have answered, the requester and every \
                     administrator are told at once, and any of them can deny until `break_glass.until`; then it is approved, with a grant \
                     whose `acr` is `phoneops:break-glass`. A policy may forbid it: 403 `break_glass_forbidden`.",
                )
            }),
        )
        .api_route(
            "/v1/approvals/{id}/challenge",
            post_with(challenge, |op| op.id("challengeApproval").tag("approvals").summary("A statement to sign, for one verdict")),
        )
        .api_route(
            "/v1/approvals/{id}/answers",
            post_with(answer, |op| {
                op.id("answerApproval").tag("approvals").summary("A signed answer; the same one again gets the same reply")
            }),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// What is to be allowed.
    #[serde(deserialize_with = "object")]
    action: Action,
    /// For whom: `@handle`, `usr_…`, or who they are in chat. Without policies they approve it, with their own passkey.
    requester: Who,
    /// Why, in the requester's own words; at most 1000 characters.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    reason: Option<String>,
    /// Where in chat it was asked.
    #[serde(default, deserialize_with = "optional_object")]
    origin: Option<Origin>,
    /// Seconds that those who are asked have to answer, at most; 10 to 3600. Else what the policy says, and without policies 300.
    #[serde(default)]
    #[schemars(range(min = 10, max = 3600))]
    expires_in: Option<u32>,
    /// The key that the grant is to be bound to (RFC 9449): redeeming it takes a proof by that key.
    #[serde(default, deserialize_with = "optional_object")]
    bind: Option<Bind>,
}

/// A key that a grant is bound to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Bind {
    /// The RFC 7638 thumbprint of an ES256 key, base64url: 43 characters.
    #[schemars(length(min = 43, max = 43))]
    jkt: String,
}

impl Bind {
    fn thumbprint(&self) -> Result<[u8; 32], Problem> {
        let bytes = from_b64u(&self.jkt).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| Problem::field("bind.jkt", "must be an RFC 7638 thumbprint: 43 characters of base64url"))
    }
}

#[derive(Deserialize, JsonSchema)]
struct ById {
    id: ApprovalId,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Inbox {
    /// Always `me`.
    r#for: Me,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Me {
    Me,
}

/// An approval.
#[derive(Serialize, JsonSchema)]
struct ApprovalBody {
    id: ApprovalId,
    /// Four characters that people match between chat and phone.
    tag: String,
    state: Word,
    action: Action,
    /// `H("phoneops.action.v1", JCS(action))`, base64url.
    action_sha256: String,
    requester: Person,
    bot: BotName,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    policy: PolicyRef,
    /// The least factor an approval needs.
    factor: Factor,
    /// Whether the requester must approve, whoever else must.
    requester_approves: bool,
    /// How many of the people of a group must approve, for each group that was asked; any of them is enough. None: only the requester.
    quorums: Vec<Quorum>,
    /// Everybody who may approve now.
    approvers: Vec<Person>,
    /// Who of them answers for somebody who is away; their statements say so. Left out when nobody does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    delegations: Vec<DelegationBody>,
    /// Who has approved.
    approvals: Vec<GivenBody>,
    /// What a phone shows, and nothing else.
    display: Display,
    /// `H("phoneops.display.v1", JCS(display))`, base64url.
    display_sha256: String,
    created_at: Timestamp,
    /// Until when it can be approved.
    answer_by: Timestamp,
    /// When it is over at the latest: later than `answer_by` where there is a delay.
    expires_at: Timestamp,
    /// When it takes effect unless somebody denies; there once enough people have approved, under a policy with a delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    holds_until: Option<Timestamp>,
    /// Six digits for the requester to see, and for nobody else; in the reply to the request only, where they serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// That, when and why the operator broke the glass. When it is approved and this is there, nobody approved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    break_glass: Option<BreakGlassBody>,
    /// The key that the grant is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<BoundTo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<DecisionBody>,
    /// The grant, for the bot that asked, while it can be redeemed.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    /// What became of it, once the bot that redeemed the grant told.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Reported>,
    /// The open request alike (same requester, type and target) that rang instead; there while nobody was rung for this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    folded_into: Option<ApprovalId>,
    /// `frozen` when it was cancelled because somebody reported its bot.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_because: Option<Because>,
}

/// Why it was cancelled, when its bot did not.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Because {
    Frozen,
}

/// A break-glass: by the operator, on the server itself.
#[derive(Serialize, JsonSchema)]
struct BreakGlassBody {
    at: Timestamp,
    /// When it opens, unless somebody denies before.
    until: Timestamp,
    /// Why, in the operator's own words.
    reason: String,
}

/// The key that a grant is bound to.
#[derive(Serialize, JsonSchema)]
struct BoundTo {
    /// Its RFC 7638 thumbprint, base64url.
    jkt: String,
}

/// So many of these people.
#[derive(Serialize, JsonSchema)]
struct Quorum {
    needed: u32,
    approvers: Vec<Person>,
}

/// One person answers for another, who is away.
#[derive(Serialize, JsonSchema)]
struct DelegationBody {
    by: Person,
    /// Who is away.
    r#for: Person,
}

/// One person's approval.
#[derive(Serialize, JsonSchema)]
struct GivenBody {
    by: Person,
    factor: Factor,
    at: Timestamp,
}

#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Word {
    Pending,
    Approved,
    Denied,
    Expired,
    Cancelled,
}

#[derive(Serialize, JsonSchema)]
struct DecisionBody {
    verdict: Verdict,
    by: Person,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct List {
    approvals: Vec<ApprovalBody>,
}

impl From<View> for ApprovalBody {
    fn from(view: View) -> Self {
        let quorums = quorums(&view);
        let View { approval, requester, bot, approvers, delegations, given, decided_by, display, grant, outcome, folded_into } =
            view;
        let answer_by = approval.answer_by();
        let holds_until = if let Outcome::Holding { until } = approval.state { Some(until) } else { None };
        let frozen = matches!(approval.state, Outcome::Cancelled { frozen: true, .. });
        let (state, decided) = match approval.state {
            Outcome::Pending | Outcome::Holding { .. } | Outcome::BreakingGlass { .. } => (Word::Pending, None),
            Outcome::Opened { .. } => (Word::Approved, None),
            Outcome::Approved(decision) => (Word::Approved, Some(decision)),
            Outcome::Denied(decision) => (Word::Denied, Some(decision)),
            Outcome::Expired { .. } => (Word::Expired, None),
            Outcome::Cancelled { .. } => (Word::Cancelled, None),
        };
        let decision = decided.zip(decided_by.as_ref()).map(|(decision, by)| DecisionBody {
            verdict: decision.verdict,
            by: by.into(),
            at: decision.at,
            reason: decision.reason,
        });
        Self {
            id: approval.id,
            tag: approval.tag,
            state,
            action_sha256: b64u(approval.action.sha256()),
            action: approval.action,
            requester: (&requester).into(),
            bot: (&bot).into(),
            reason: approval.reason,
            origin: approval.origin,
            policy: approval.requirement.policy,
            factor: approval.requirement.factor,
            requester_approves: approval.requirement.requester,
            quorums,
            approvers: approvers.iter().map(Person::from).collect(),
            delegations: delegations.iter().map(|(by, absent)| DelegationBody { by: by.into(), r#for: absent.into() }).collect(),
            approvals: given
                .iter()
                .map(|(by, Given { factor, at, .. })| GivenBody { by: by.into(), factor: *factor, at: *at })
                .collect(),
            display_sha256: b64u(display.sha256()),
            display,
            created_at: approval.created_at,
            answer_by,
            expires_at: approval.expires_at,
            holds_until,
            break_glass: approval.break_glass.map(|BreakGlass { at, until, reason, .. }| BreakGlassBody { at, until, reason }),
            bind: approval.bound_to.map(|jkt| BoundTo { jkt: b64u(jkt) }),
            code: None,
            decision,
            grant,
            outcome,
            folded_into,
            cancelled_because: frozen.then_some(Because::Frozen),
        }
    }
}

/// The quorum of each group that was asked.
fn quorums(view: &View) -> Vec<Quorum> {
    let person = |id: &UserId| view.approvers.iter().find(|user| user.id == *id).map(Person::from);
    let groups = view.approval.requirement.groups.iter().take(view.approval.asked);
    groups.map(|group| Quorum { needed: group.needed, approvers: group.members.iter().filter_map(person).collect() }).collect()
}

async fn request(
    Extract(app): Extract<State>,
    Query(wait): Query<Wait>,
    Write(call, body): Write<Request>,
) -> Result<MadeOrNow<ApprovalBody>, Problem> {
    if body.expires_in.is_some_and(|seconds| !(10..=3600).contains(&seconds)) {
        return Err(Problem::field("expires_in", "must be 10 to 3600 seconds"));
    }
    let wait = wait.duration()?;
    let ask = Ask {
        action: body.action,
        requester: body.requester,
        reason: optional_text("reason", body.reason.as_deref(), 1000)?,
        origin: body.origin.map(checked_origin).transpose()?,
        expires_in: body.expires_in,
        bound_to: body.bind.as_ref().map(Bind::thumbprint).transpose()?,
    };
    let asked = app.approvals.request(&call, ask).await?;
    let wait = if asked.code.is_some() { Duration::ZERO } else { wait };
    let view = waited(&app, &call, asked.id, wait).await?;
    let open = view.approval.is_open();
    let mut body = ApprovalBody::from(view);
    body.code = asked.code.map(|code| code.expose().to_owned());
    Ok(if open { MadeOrNow::Made(body) } else { MadeOrNow::Now(body) })
}

fn checked_origin(origin: Origin) -> Result<Origin, Problem> {
    super::input::text("origin.platform", &origin.platform, 200)?;
    super::input::text("origin.workspace", &origin.workspace, 200)?;
    super::input::text("origin.room", &origin.room, 200)?;
    optional_text("origin.message", origin.message.as_deref(), 200)?;
    Ok(origin)
}

async fn inbox(
    Extract(app): Extract<State>,
    Query(Inbox { r#for: Me::Me }): Query<Inbox>,
    Read(call): Read,
) -> Result<Json<List>, Problem> {
    let approvals = app.approvals.inbox(&call).await?.into_iter().map(ApprovalBody::from).collect();
    Ok(Json(List { approvals }))
}

async fn find(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Query(wait): Query<Wait>,
    Read(call): Read,
) -> Result<Json<ApprovalBody>, Problem> {
    Ok(Json(waited(&app, &call, id, wait.duration()?).await?.into()))
}

/// Waits for a decision, or until the house closes: then the caller is answered with what there is and asks another node.
async fn waited(app: &State, call: &Call, id: ApprovalId, wait: Duration) -> Result<View, Problem> {
    tokio::select! {
        found = app.approvals.wait(call, id, wait) => Ok(found?),
        () = app.closing.cancelled(), if !wait.is_zero() => Ok(app.approvals.find(call, id).await?),
    }
}

async fn receipt(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Read(call): Read,
) -> Result<Json<SignedReceipt>, Problem> {
    Ok(Json(app.approvals.receipt(&call, id).await?))
}

async fn cancel(Extract(app): Extract<State>, Path(ById { id }): Path<ById>, Read(call): Read) -> Result<NoContent, Problem> {
    app.approvals.cancel(&call, id).await?;
    Ok(NoContent)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BreakGlassRequest {
    /// Why; everybody who is told reads it. At most 500 characters.
    #[schemars(length(min = 1, max = 500))]
    reason: String,
}

async fn break_glass(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, body): Write<BreakGlassRequest>,
) -> Result<Json<ApprovalBody>, Problem> {
    let reason = super::input::text("reason", &body.reason, 500)?;
    Ok(Json(app.approvals.break_glass(&call, id, reason).await?.into()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChallengeRequest {
    /// What the answer will say: the statement is for this verdict only.
    verdict: Verdict,
    /// How it will be signed. An approval needs at least the approval's own `factor`; a denial takes any but `code`.
    #[serde(default)]
    factor: Factor,
}

#[derive(Serialize, JsonSchema)]
struct ChallengeBody {
    challenge: ChallengeId,
    /// The statement, canonical JSON (RFC 8785), as a string.
    statement: String,
    /// `PublicKeyCredentialRequestOptions` in JSON form (WebAuthn Level 3); only with the factor `passkey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<Value>,
    expires_at: Timestamp,
}

async fn challenge(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, body): Write<ChallengeRequest>,
) -> Result<Json<ChallengeBody>, Problem> {
    let challenge = app.approvals.challenge(&call, id, body.verdict, body.factor).await?;
    Ok(Json(ChallengeBody {
        challenge: challenge.id,
        statement: challenge.statement,
        public_key: challenge.public_key,
        expires_at: challenge.expires_at,
    }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnswerRequest {
    challenge: ChallengeId,
    /// Why not; only with a denial. At most 1000 characters.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    reason: Option<String>,
    /// `AuthenticationResponseJSON` (WebAuthn Level 3); with the factor `passkey`.
    #[serde(default, deserialize_with = "optional_strict")]
    #[schemars(with = "Option<Value>")]
    credential: Option<Value>,
    /// The compact JWS of the device's key over the statement; with the factors `code` and `tap`.
    #[serde(default)]
    #[schemars(length(max = 65_536))]
    jws: Option<String>,
    /// The six digits that the requester's side was shown; with the factor `code`.
    #[serde(default)]
    #[schemars(length(max = 6))]
    code: Option<String>,
}

/// The one signature that an answer has.
fn proof(credential: Option<Value>, jws: Option<String>, code: Option<String>) -> Result<Proof, Problem> {
    match (credential, jws) {
        (Some(_), None) if code.is_some() => Err(Problem::field("code", "goes only with `jws`")),
        (Some(credential), None) => Ok(Proof::Passkey(credential)),
        (None, Some(jws)) => Ok(Proof::Device { jws, code: code.map(Secret::new) }),
        (None, None) => Err(Problem::field("credential", "either `credential` or `jws` must be there")),
        (Some(_), Some(_)) => Err(Problem::field("jws", "`credential` and `jws` exclude each other")),
    }
}

async fn answer(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, body): Write<AnswerRequest>,
) -> Result<Json<ApprovalBody>, Problem> {
    let reason = optional_text("reason", body.reason.as_deref(), 1000)?;
    let proof = proof(body.credential, body.jws, body.code)?;
    let answer = Answer { challenge: body.challenge, reason, proof };
    match app.approvals.answer(&call, id, answer).await {
        Ok(id) => Ok(Json(app.approvals.find(&call, id).await?.into())),
        Err(refused) => Err(with_decision(&app, &call, id, refused).await),
    }
}

/// "Already decided" says by whom, in words.
async fn with_decision(app: &State, call: &Call, id: ApprovalId, refused: Error) -> Problem {
    let decided = matches!(refused, Failure::Refused(Refused::Machine(Refusal::Decided(_))));
    let problem = Problem::from(refused);
    match app.approvals.find(call, id).await {
        Ok(view) if decided => problem.with("approval", ApprovalBody::from(view)),
        _ => problem,
    }
}
