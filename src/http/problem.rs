//! Errors as clients see them: `application/problem+json` (RFC 9457) with a stable `code`.
//!
//! **Invariants**
//! - Programs decide by `code`, which never changes its meaning; `detail` is for people.
//! - Causes are logged, never sent: an internal error says nothing but that it is one.

use std::time::Duration;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response as ApiResponse};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::approvals;
use crate::chat;
use crate::db;
use crate::identity::{self, CallRefusal, Failure, Nobody};
use crate::listening;
use crate::paging;

/// How long a caller waits that is not told more.
const SOON: Duration = Duration::from_secs(1);

/// An error on its way to a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug, PartialEq)]
struct Parts {
    status: StatusCode,
    code: &'static str,
    detail: String,
    field: Option<String>,
    more: Map<String, Value>,
    retry_after: Duration,
}

/// The JSON of a [`Problem`] (RFC 9457).
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct ProblemBody {
    /// `urn:phoneops:problem:` and the code.
    r#type: String,
    /// The status's own words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// The stable name of what went wrong.
    code: String,
    /// What went wrong, for people.
    detail: String,
    /// Which field of the request it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Facts that belong to the code.
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Problem {
    /// A problem.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts { status, code, detail: detail.into(), field: None, more: Map::new(), retry_after: SOON }))
    }

    /// 400 about one field.
    #[must_use]
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail).about(field)
    }

    fn about(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Nobody is meant by what a field says.
    fn nobody(field: impl Into<String>, nobody: &Nobody) -> Self {
        match nobody {
            Nobody::Unknown(_) => Self::field(field, nobody.to_string()),
            Nobody::Unlinked(identity) => Self::new(StatusCode::CONFLICT, "chat_identity_unlinked", nobody.to_string())
                .about(field)
                .with("identity", identity),
        }
    }

    /// 404.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.0.more.insert(name.to_owned(), value);
        }
        self
    }

    /// How long a caller is to wait: with 429 and 503, which otherwise say a second.
    pub(super) fn after(mut self, wait: Duration) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// What only the log may know.
    fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "internal error");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong here; the log says what")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Parts { status, code, detail, field, more, retry_after } = *self.0;
        let body = ProblemBody {
            r#type: format!("urn:phoneops:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail,
            field,
            more,
        };
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            let challenge = if code == "invalid_dpop_proof" {
                "DPoP error=\"invalid_dpop_proof\""
            } else if code == "invalid_token" {
                "DPoP error=\"invalid_token\""
            } else {
                "DPoP, Bearer"
            };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            // Whole seconds, and never too early.
            let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl OperationOutput for Problem {
    type Inner = Self;

    fn operation_response(ctx: &mut GenContext, _: &mut Operation) -> Option<ApiResponse> {
        let schema = ctx.schema.subschema_for::<ProblemBody>();
        let media = aide::openapi::MediaType {
            schema: Some(aide::openapi::SchemaObject { json_schema: schema, external_docs: None, example: None }),
            ..Default::default()
        };
        Some(ApiResponse {
            description: "A problem (RFC 9457); programs decide by `code`.".into(),
            content: [("application/problem+json".to_owned(), media)].into_iter().collect(),
            ..Default::default()
        })
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        // Every operation may fail in the same shape, so it is said once, as the default.
        Self::operation_response(ctx, operation).map(|response| (None, response)).into_iter().collect()
    }
}

impl From<db::Error> for Problem {
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Unavailable(why) => {
                tracing::warn!(why, "the database is unavailable");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "not now: the database is away, or has too much to do")
            }
            other => Self::internal(&other),
        }
    }
}

impl From<CallRefusal> for Problem {
    fn from(refusal: CallRefusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            CallRefusal::Unauthenticated => Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail),
            CallRefusal::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "forbidden", detail),
            CallRefusal::DeviceTooNew { until } => {
                Self::new(StatusCode::FORBIDDEN, "device_too_new", detail).with("approves_from", until)
            }
            CallRefusal::ProofReplayed => {
                Self::new(StatusCode::UNAUTHORIZED, "invalid_dpop_proof", detail).with("reason", "replayed")
            }
            CallRefusal::KeyReused => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail),
        }
    }
}

impl<R: Into<Problem>> From<Failure<R>> for Problem {
    fn from(failure: Failure<R>) -> Self {
        match failure {
            Failure::Refused(refused) => refused.into(),
            Failure::Call(refusal) => refusal.into(),
            Failure::Db(error) => error.into(),
        }
    }
}

impl From<identity::WebauthnRefusal> for Problem {
    fn from(refusal: identity::WebauthnRefusal) -> Self {
        let (code, detail) = (refusal.code(), refusal.to_string());
        match code {
            "state_unreadable" => Self::internal(&detail),
            "malformed" => Self::field("credential", detail),
            _ => Self::new(StatusCode::FORBIDDEN, code, detail),
        }
    }
}

impl From<identity::Refusal> for Problem {
    fn from(refusal: identity::Refusal) -> Self {
        use identity::Refusal as R;
        let detail = refusal.to_string();
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, detail.clone());
        let forbidden = |code| Self::new(StatusCode::FORBIDDEN, code, detail.clone());
        match refusal {
            R::HandleTaken(_) => conflict("handle_taken").about("handle"),
            R::TwoKeys => conflict("two_keys"),
            R::NameTaken(_) | R::TeamTaken(_) => conflict("name_taken").about("name"),
            R::UserUnknown(_) | R::NotFound(_) => Self::not_found(detail),
            R::LastAdmin(_) => conflict("last_admin"),
            R::EnrollmentUnknown => Self::new(StatusCode::NOT_FOUND, "enrollment_unknown", detail),
            R::EnrollmentClaimed => conflict("enrollment_claimed"),
            R::DeviceKeyTaken => conflict("device_key_taken"),
            R::EnrollmentUser(_) => Self::field("user", detail),
            R::ProofInvalid { code, .. } => Self::new(StatusCode::UNAUTHORIZED, "invalid_grant", detail).with("reason", code),
            R::CeremonyUnknown => Self::new(StatusCode::NOT_FOUND, "ceremony_unknown", detail),
            R::PasskeyTaken => conflict("passkey_taken"),
            R::LoginRefused => Self::new(StatusCode::FORBIDDEN, "login_refused", detail),
            R::LoginBusy { until } => Self::new(StatusCode::TOO_MANY_REQUESTS, "login_busy", detail).with("until", until),
            R::LinkCodeUnknown => Self::new(StatusCode::NOT_FOUND, "link_code_unknown", detail),
            R::ChatIdentityTaken => conflict("chat_identity_taken"),
            R::ChatIdentityUnlinked(_) => Self::new(StatusCode::NOT_FOUND, "chat_identity_unlinked", detail),
            R::Webauthn(refusal) => refusal.into(),
            R::DeviceWaiting(waiting) => forbidden("device_waiting")
                .with("match", waiting.match_number().to_string())
                .with("expires_at", waiting.expires_at),
            R::DeviceDecided { confirmed } => {
                conflict("device_decided").with("verdict", if confirmed { "confirmed" } else { "rejected" })
            }
            R::DeviceExpired => conflict("device_expired"),
            R::MatchWrong => forbidden("match_wrong").about("match"),
            R::ChallengeUnknown => Self::new(StatusCode::NOT_FOUND, "challenge_unknown", detail),
            R::ChallengeUsed => conflict("challenge_used"),
            R::ChallengeExpired => conflict("challenge_expired"),
            R::OtherFactor => forbidden("factor_mismatch"),
            R::PasskeyRequired => forbidden("passkey_required"),
            R::PasskeyGuard => forbidden("passkey_guard_required").about("guard"),
            R::Jws(refusal) => forbidden("signature_invalid").with("reason", refusal.code()),
        }
    }
}

impl From<chat::Error> for Problem {
    fn from(error: chat::Error) -> Self {
        match error {
            chat::Error::Call(refusal) => refusal.into(),
            chat::Error::Db(error) => error.into(),
        }
    }
}

impl From<chat::RoomRefused> for Problem {
    fn from(refused: chat::RoomRefused) -> Self {
        let detail = refused.to_string();
        match refused {
            chat::RoomRefused::NotFound(_) => Self::not_found(detail),
            chat::RoomRefused::Field { field, .. } => Self::field(field, detail),
            chat::RoomRefused::TooMany(_) => Self::new(StatusCode::CONFLICT, "too_many_subscriptions", detail),
        }
    }
}

impl From<approvals::Refused> for Problem {
    fn from(refused: approvals::Refused) -> Self {
        use approvals::Refused as R;
        use approvals::policies::Undemanded;
        let detail = refused.to_string();
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, detail.clone());
        let forbidden = |code| Self::new(StatusCode::FORBIDDEN, code, detail.clone());
        match refused {
            R::Machine(refusal) => refusal.into(),
            R::NotFound(_) => Self::not_found(detail),
            R::RequesterUnknown(nobody) => Self::nobody("requester", &nobody),
            R::OutsideLimits(_) => forbidden("outside_limits"),
            R::RequesterHasNoPasskey(_) => conflict("requester_has_no_passkey").about("requester"),
            R::ChallengeUnknown => Self::new(StatusCode::NOT_FOUND, "challenge_unknown", detail),
            R::ChallengeUsed => conflict("challenge_used"),
            R::ChallengeExpired => conflict("challenge_expired"),
            R::ReasonNotTaken => Self::field("reason", detail),
            R::Webauthn(refusal) => refusal.into(),
            R::NobodyRings { why, until, wait } => Self::new(StatusCode::TOO_MANY_REQUESTS, "nobody_rings", detail)
                .with("reason", why)
                .with("until", until)
                .after(wait),
            R::Frozen { since } => forbidden("frozen").with("since", since),
            R::Undemanded(Undemanded::Unmatched) => forbidden("no_policy_matches"),
            R::Undemanded(Undemanded::Unclear { policy, param, .. }) => {
                let field = format!("action.params.{param}");
                forbidden("param_unjudgeable").with("policy", policy).with("param", param).about(field)
            }
            R::TimeIsThePolicys(_) => Self::field("expires_in", detail),
            R::ApproversUnreachable(_) => conflict("approvers_unreachable"),
            R::Jws(approvals::JwsRefused::Jws(refusal)) => forbidden("signature_invalid").with("reason", refusal.code()),
            R::Jws(approvals::JwsRefused::OtherStatement) => forbidden("challenge_mismatch"),
            R::OtherFactor => forbidden("factor_mismatch"),
            R::KeyInFile => forbidden("key_in_file"),
            R::TapFromBrowser => forbidden("tap_refused"),
            R::CodeNotTaken | R::CodeMalformed => Self::field("code", detail),
            R::CodeWrong { left } => forbidden("code_wrong").with("tries_left", left),
            R::CodeExhausted => forbidden("code_exhausted"),
            R::CodeLocked { until } => forbidden("code_locked").with("until", until),
            R::GrantPolicyChanged(_) => forbidden("grant_policy_changed"),
            R::GrantMembershipChanged(_) => forbidden("grant_membership_changed"),
            R::GrantInvalid => forbidden("grant_invalid"),
            R::GrantNotYours => forbidden("grant_not_yours"),
            R::GrantOtherAction => forbidden("grant_other_action"),
            R::GrantExpired => conflict("grant_expired"),
            R::GrantRedeemed { at } => conflict("grant_redeemed").with("redeemed_at", at),
            R::GrantRevoked => forbidden("grant_revoked"),
            R::GrantNotRedeemed => conflict("grant_not_redeemed"),
            R::OutcomeReported { at } => conflict("outcome_reported").with("reported_at", at),
            R::Undecided => conflict("approval_undecided"),
            R::BindingRequired(_) => forbidden("grant_binding_required").about("bind"),
            R::ProofRequired => Self::new(StatusCode::UNAUTHORIZED, "grant_proof_required", detail),
            R::Proof(refusal) => Self::new(StatusCode::UNAUTHORIZED, "invalid_dpop_proof", detail).with("reason", refusal.code()),
            R::ProofOfAnotherKey => {
                Self::new(StatusCode::UNAUTHORIZED, "invalid_dpop_proof", detail).with("reason", "key_differs")
            }
        }
    }
}

impl From<approvals::policies::Refused> for Problem {
    fn from(refused: approvals::policies::Refused) -> Self {
        use approvals::policies::Refused as R;
        let detail = refused.to_string();
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, detail.clone());
        match refused {
            R::Invalid(invalid) => Self::field(invalid.field, invalid.why),
            R::NotFound(_) => Self::not_found(detail),
            R::ActDone => conflict("act_done"),
            R::ActExpired => conflict("act_expired"),
            R::ActOutdated => conflict("act_outdated"),
            R::ChallengeUnknown => Self::new(StatusCode::NOT_FOUND, "challenge_unknown", detail),
            R::ChallengeUsed => conflict("challenge_used"),
            R::ChallengeExpired => conflict("challenge_expired"),
            R::Webauthn(refusal) => refusal.into(),
            R::Identity(refusal) => refusal.into(),
        }
    }
}

impl From<approvals::Refusal> for Problem {
    fn from(refusal: approvals::Refusal) -> Self {
        use approvals::Refusal as R;
        let detail = refusal.to_string();
        match refusal {
            R::Decided(decision) => Self::new(StatusCode::CONFLICT, "approval_decided", detail)
                .with("decided_by", decision.by)
                .with("decided_at", decision.at),
            R::Expired => Self::new(StatusCode::CONFLICT, "approval_expired", detail),
            R::Cancelled => Self::new(StatusCode::CONFLICT, "approval_cancelled", detail),
            R::NotAnApprover => Self::new(StatusCode::FORBIDDEN, "not_an_approver", detail),
            R::AlreadyApproved => Self::new(StatusCode::CONFLICT, "already_approved", detail),
            R::FactorTooWeak(least) => Self::new(StatusCode::FORBIDDEN, "factor_too_weak", detail).with("factor", least),
            R::Holding { until } => Self::new(StatusCode::CONFLICT, "approval_holds", detail).with("holds_until", until),
            R::BreakingGlass { until } => Self::new(StatusCode::CONFLICT, "approval_breaks_glass", detail).with("until", until),
            R::Opened { at } => Self::new(StatusCode::CONFLICT, "approval_opened", detail).with("decided_at", at),
            R::BreakGlassForbidden(_) => Self::new(StatusCode::FORBIDDEN, "break_glass_forbidden", detail),
        }
    }
}

impl From<listening::Refusal> for Problem {
    fn from(refusal: listening::Refusal) -> Self {
        use listening::Refusal as R;
        let detail = refusal.to_string();
        match refusal {
            R::NotFound(_) => Self::not_found(detail),
            R::Url(_) => Self::field("url", detail),
            R::Kinds => Self::field("kinds", detail),
            R::Bot(_) => Self::field("bot", detail),
            R::TooMany => Self::new(StatusCode::CONFLICT, "too_many_webhooks", detail),
        }
    }
}

impl Problem {
    /// What an incident refused, with who ended it.
    fn incident(refusal: &paging::Refusal, detail: &str) -> Self {
        use paging::Refusal as R;
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, detail);
        let ended = |problem: Self, act: paging::Act| {
            let problem = problem.with("resolved_at", act.at);
            match act.by {
                paging::Agent::Person { user, .. } => problem.with("resolved_by", user),
                paging::Agent::Integration(integration) => problem.with("resolved_by", integration),
            }
        };
        match refusal {
            R::Resolved(act) => ended(conflict("incident_resolved"), *act),
            R::TooOld(act) => ended(conflict("incident_too_old"), *act),
            R::NotYours => conflict("not_acted_for_you"),
            R::NotSnoozed => conflict("not_snoozed"),
            R::Merged(into) => conflict("incident_merged").with("merged_into", into),
            R::Itself => Self::field("into", detail),
            R::NotASnooze => Self::field("until", detail),
        }
    }
}

impl From<paging::Refused> for Problem {
    fn from(refused: paging::Refused) -> Self {
        use paging::Refused as R;
        let detail = refused.to_string();
        match refused {
            R::Machine(refusal) => Self::incident(&refusal, &detail),
            R::NotFound(_) | R::UserUnknown(_) => Self::not_found(detail),
            R::PersonUnknown { field, nobody } => Self::nobody(field, &nobody),
            R::NoSuch { field, .. } | R::SecondService { field } | R::NotAService { field } => Self::field(field, detail),
            R::NobodyNamed => Self::field("to", detail),
            R::NotAResponder(_) => Self::new(StatusCode::FORBIDDEN, "not_a_responder", detail),
            R::IntoResolved(_) => Self::new(StatusCode::CONFLICT, "incident_resolved", detail),
            R::NobodysOwn => Self::field("mine", detail),
            R::ActorMissing | R::ActorNotTaken => Self::field("actor", detail),
            R::Rules(invalid) => Self::field(invalid.field, invalid.why),
        }
    }
}

impl From<paging::SetupRefused> for Problem {
    fn from(refused: paging::SetupRefused) -> Self {
        use paging::SetupRefused as R;
        let detail = refused.to_string();
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, detail.clone());
        match refused {
            R::NotFound(_) => Self::not_found(detail),
            R::NameTaken(_) => conflict("name_taken").about("name"),
            R::Field { field, .. } => Self::field(field, detail),
            R::PersonUnknown { field, nobody } => Self::nobody(field, &nobody),
            R::InUse(by) => conflict("in_use").with("used_by", by),
            R::Over => conflict("maintenance_over"),
        }
    }
}
