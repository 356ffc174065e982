//! The exact bytes an answer signs (`api-spec/device-protocol.md` section 6).

use serde::{Deserialize, Serialize};

use super::action::canonical;
use super::{Action, Approval, Display, Factor, PolicyRef, Verdict};
use crate::clock::Timestamp;
use crate::id::{ApprovalId, UserId};
use crate::identity::DeviceKey;
use crate::identity::jws::{self, JwsRefusal};
use crate::secret::{b64u, tagged_sha256};

/// One person's verdict on one approval, with everything that must not be exchangeable inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Always `phoneops.answer.v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The installation.
    pub issuer: String,
    /// The approval.
    pub approval: ApprovalId,
    /// What is to be allowed.
    pub action: Action,
    /// `H("phoneops.action.v1", JCS(action))`.
    pub action_sha256: String,
    /// For whom it was asked.
    pub requester: UserId,
    /// Who answers.
    pub approver: UserId,
    /// For whom they answer, who is away; left out when for nobody but themselves.
    #[serde(rename = "for", default, skip_serializing_if = "Vec::is_empty")]
    pub answers_for: Vec<UserId>,
    /// The verdict: a signed deny can never be presented as an approve.
    pub verdict: Verdict,
    /// How it is signed.
    pub factor: Factor,
    /// The policy that asked for it.
    pub policy: PolicyRef,
    /// What the phone was given to show.
    pub display_sha256: String,
    /// 128 random bits of this approver's own.
    pub nonce: String,
    /// When the approval expires.
    pub expires_at: Timestamp,
}

impl Statement {
    /// The statement for `approver` to sign.
    #[must_use]
    pub fn new(
        issuer: &str,
        approval: &Approval,
        display: &Display,
        approver: UserId,
        (verdict, factor): (Verdict, Factor),
        nonce: [u8; 16],
    ) -> Self {
        Self {
            kind: TYPE.to_owned(),
            issuer: issuer.to_owned(),
            approval: approval.id,
            action: approval.action.clone(),
            action_sha256: b64u(approval.action.sha256()),
            requester: approval.requester,
            approver,
            answers_for: approval.requirement.answers_for(approver),
            verdict,
            factor,
            policy: approval.requirement.policy.clone(),
            display_sha256: b64u(display.sha256()),
            nonce: b64u(nonce),
            expires_at: approval.expires_at,
        }
    }

    /// The canonical JSON (RFC 8785).
    ///
    /// # Panics
    /// Never: the statement is plain JSON.
    #[must_use]
    pub fn canonical(&self) -> String {
        String::from_utf8(canonical(self)).expect("canonical JSON is UTF-8")
    }
}

const TYPE: &str = "phoneops.answer.v1";

/// What a device key signs for the factors `code` and `tap`: a compact JWS with this `typ`, whose payload is the statement.
pub(super) const JWS_TYP: &str = "phoneops-answer+jws";

/// Checks the JWS of a device key over exactly this statement.
///
/// # Errors
/// [`JwsRefused`].
pub(super) fn verify_jws(jws: &str, statement: &str, key: &DeviceKey) -> Result<(), JwsRefused> {
    jws::verify::<serde_json::Value>(jws, JWS_TYP, key).map_err(JwsRefused::Jws)?;
    // The text itself, and not what was read from it: what was offered is what was signed.
    let payload = jws.split('.').nth(1).unwrap_or_default();
    if payload == b64u(statement) { Ok(()) } else { Err(JwsRefused::OtherStatement) }
}

/// Why the JWS of an answer was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsRefused {
    /// Not a JWS of this kind, or not signed by the device that calls.
    #[error(transparent)]
    Jws(JwsRefusal),
    /// Something else was signed than what was offered.
    #[error("another statement was signed")]
    OtherStatement,
}

/// What a passkey signs: `H("phoneops.answer.v1", statement)`, which is the WebAuthn challenge of the passkey factor.
#[must_use]
pub(super) fn challenge(statement: &str) -> [u8; 32] {
    tagged_sha256(TYPE, statement.as_bytes())
}
