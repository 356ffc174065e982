//! The grant: a JWT that proves what was approved, for whom, by whom.
//!
//! **Invariants**
//! - `typ` is `phoneops-grant+jwt`; the key signs nothing else.
//! - It is minted when the bot asks for it, not stored: a dump of the database holds no grant.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::machine::Approval;
use super::policy::{BUILTIN, Factor};
use super::store::StoredGrant;
use super::{Action, Refused};
use crate::clock::Timestamp;
use crate::id::{ApprovalId, BotId, GrantId, UserId};
use crate::identity::SigningKey;
use crate::secret::{b64u, tagged_sha256};

const TYP: &str = "phoneops-grant+jwt";

/// What a grant says (RFC 7519, RFC 9396 for `authorization_details`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantClaims {
    /// The installation.
    pub iss: String,
    /// The bot that may redeem it.
    pub aud: BotId,
    /// For whom it was asked.
    pub sub: UserId,
    /// Its id.
    pub jti: GrantId,
    /// When it was issued, seconds.
    pub iat: i64,
    /// From when on it cannot be redeemed, seconds.
    pub exp: i64,
    /// How strongly the weakest needed answer was signed.
    pub acr: String,
    /// By what means, by the weakest answer (RFC 8176): `pop`, and `user` for passkeys, `otp` and `mca` for codes.
    pub amr: Vec<String>,
    /// The action, as RFC 9396 carries it.
    pub authorization_details: Vec<AuthorizationDetail>,
    /// `H("phoneops.action.v1", JCS(action))`.
    pub action_sha256: String,
    /// The approval.
    pub approval: ApprovalId,
    /// Who approved.
    pub approvers: Vec<UserId>,
}

/// One entry of `authorization_details`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationDetail {
    /// Always `phoneops_action`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The action.
    pub action: Action,
}

/// Mints and checks grants with the installation's key.
pub(super) struct GrantKey {
    header: Header,
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
    jwk: serde_json::Value,
}

impl GrantKey {
    pub(super) fn new(key: &SigningKey) -> Self {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(TYP.to_owned());
        header.kid = Some(key.id.clone());
        let (x, y) = (b64u(&key.public[1..33]), b64u(&key.public[33..65]));
        // Times are checked by hand against the injected clock.
        let mut validation = Validation::new(Algorithm::ES256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let verifying = DecodingKey::from_ec_components(&x, &y).expect("a point that was just made is on the curve");
        let jwk = serde_json::json!(
            {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": key.id, "use": "sig", "alg": "ES256"});
        Self { header, signing: EncodingKey::from_ec_der(&key.private), verifying, validation, jwk }
    }

    /// The public half, as a JWK (RFC 7517).
    pub(super) fn jwk(&self) -> &serde_json::Value {
        &self.jwk
    }

    /// A grant for `approval`. Its `acr` is the weakest factor that any of its approvers used.
    pub(super) fn mint(&self, issuer: &str, approval: &Approval, grant: &StoredGrant) -> String {
        let weakest = approval.given.iter().map(|given| given.factor).min().unwrap_or(Factor::Tap);
        let claims = GrantClaims {
            iss: issuer.to_owned(),
            aud: grant.bot,
            sub: approval.requester,
            jti: grant.id,
            iat: grant.issued_at.as_seconds(),
            exp: grant.expires_at.as_seconds(),
            acr: format!("phoneops:{}", weakest.as_str()),
            amr: methods(weakest).iter().map(|&method| method.to_owned()).collect(),
            authorization_details: vec![AuthorizationDetail {
                kind: "phoneops_action".to_owned(),
                action: approval.action.clone(),
            }],
            action_sha256: b64u(approval.action.sha256()),
            approval: approval.id,
            approvers: approval.given.iter().map(|given| given.by).collect(),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.signing).expect("claims of strings are signed by a valid key")
    }

    /// The claims of a grant of ours, for this bot and this action, that is not over.
    pub(super) fn verify(
        &self,
        token: &str,
        issuer: &str,
        bot: BotId,
        action: &Action,
        now: Timestamp,
    ) -> Result<GrantClaims, Refused> {
        let invalid = || Refused::GrantInvalid;
        let data = jsonwebtoken::decode::<GrantClaims>(token, &self.verifying, &self.validation).map_err(|_| invalid())?;
        if data.header != self.header || data.claims.iss != issuer {
            return Err(invalid());
        }
        if data.claims.aud != bot {
            return Err(Refused::GrantNotYours);
        }
        if data.claims.action_sha256 != b64u(action.sha256()) {
            return Err(Refused::GrantOtherAction);
        }
        if now >= Timestamp::from_seconds(data.claims.exp) {
            return Err(Refused::GrantExpired);
        }
        Ok(data.claims)
    }
}

/// What every answer of this strength shows (RFC 8176): a key was held; its user was verified; a code came by another channel.
fn methods(factor: Factor) -> &'static [&'static str] {
    match factor {
        Factor::Passkey => &["pop", "user"],
        Factor::Code => &["pop", "otp", "mca"],
        Factor::Tap => &["pop"],
    }
}

/// The built-in policy, which holds while no other exists: the requester's own passkey.
pub(super) fn builtin_policy() -> super::PolicyRef {
    let document = serde_json::json!(
        {"name": BUILTIN, "approvers": "requester", "quorum": 1, "factor": "passkey"});
    let canonical = super::action::canonical(&document);
    super::PolicyRef { name: BUILTIN.to_owned(), sha256: b64u(tagged_sha256("phoneops.policy.v1", &canonical)) }
}
