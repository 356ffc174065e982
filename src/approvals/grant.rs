//! The grant: a JWT that proves what was approved, for whom, by whom.
//!
//! **Invariants**
//! - `typ` is `phoneops-grant+jwt`; nothing else that the issuer keys sign has it.
//! - It is minted when the bot asks for it, not stored: a dump of the database holds no grant.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::machine::{Approval, State};
use super::policy::{BUILTIN, Factor};
use super::store::StoredGrant;
use super::{Action, Refused};
use crate::clock::Timestamp;
use crate::db;
use crate::id::{ApprovalId, BotId, GrantId, UserId};
use crate::identity::{IssuerKey, IssuerKeys};
use crate::secret::{b64u, tagged_sha256};

const TYP: &str = "phoneops-grant+jwt";

/// What a grant says (RFC 7519, RFC 9396 for `authorization_details`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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
    /// How strongly the weakest needed answer was signed: `phoneops:` and the factor; `phoneops:break-glass` when nobody signed.
    pub acr: String,
    /// By what means, by the weakest answer (RFC 8176): `pop`, and `user` for passkeys, `otp` and `mca` for codes. None after break-glass.
    pub amr: Vec<String>,
    /// The action, as RFC 9396 carries it.
    pub authorization_details: Vec<AuthorizationDetail>,
    /// `H("phoneops.action.v1", JCS(action))`.
    pub action_sha256: String,
    /// The approval.
    pub approval: ApprovalId,
    /// Who approved; nobody after break-glass.
    pub approvers: Vec<UserId>,
    /// The key that has to prove each use (RFC 7800, RFC 9449 section 6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
}

/// The key that a grant is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// Its RFC 7638 thumbprint, base64url.
    pub jkt: String,
}

/// The `acr` of what nobody approved.
pub(in crate::approvals) const BREAK_GLASS: &str = "phoneops:break-glass";

/// One entry of `authorization_details`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuthorizationDetail {
    /// Always `phoneops_action`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The action.
    pub action: Action,
}

/// Mints grants with the issuer key that signs, and checks them with the one they name.
pub(super) struct GrantKey {
    keys: IssuerKeys,
    validation: Validation,
}

impl GrantKey {
    pub(super) fn new(keys: IssuerKeys) -> Self {
        // Times are checked by hand against the injected clock.
        let mut validation = Validation::new(Algorithm::ES256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self { keys, validation }
    }

    /// Makes sure that this node knows the key that `token` names, which another node may have made.
    pub(super) async fn hear_of(&self, token: &str) -> db::Result<()> {
        match jsonwebtoken::decode_header(token) {
            Ok(Header { kid: Some(kid), .. }) => self.keys.hear_of(&kid).await,
            _ => Ok(()),
        }
    }

    /// A grant for `approval`.
    pub(super) fn mint(&self, issuer: &str, approval: &Approval, grant: &StoredGrant) -> String {
        let claims = claims(issuer, approval, grant);
        let key = self.keys.current();
        let signing = EncodingKey::from_ec_der(key.private());
        jsonwebtoken::encode(&header(&key), &claims, &signing).expect("claims of strings are signed by a valid key")
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
        let named = jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid);
        let key = named.and_then(|kid| self.keys.named(&kid)).ok_or_else(invalid)?;
        let verifying = DecodingKey::from_ec_der(&key.public.sec1());
        let data = jsonwebtoken::decode::<GrantClaims>(token, &verifying, &self.validation).map_err(|_| invalid())?;
        if data.header != header(&key) || data.claims.iss != issuer {
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

/// What the grant of an approval says. Its `acr` is the weakest factor that any of its approvers used. Who approved before the glass was
/// broken did not make it allowed, and is not named.
pub(super) fn claims(issuer: &str, approval: &Approval, grant: &StoredGrant) -> GrantClaims {
    let opened = matches!(approval.state, State::Opened { .. });
    let given = if opened { &[][..] } else { &approval.given };
    let weakest = given.iter().map(|given| given.factor).min().unwrap_or(Factor::Tap);
    let (acr, amr) =
        if opened { (BREAK_GLASS.to_owned(), &[][..]) } else { (format!("phoneops:{}", weakest.as_str()), methods(weakest)) };
    GrantClaims {
        iss: issuer.to_owned(),
        aud: grant.bot,
        sub: approval.requester,
        jti: grant.id,
        iat: grant.issued_at.as_seconds(),
        exp: grant.expires_at.as_seconds(),
        acr,
        amr: amr.iter().map(|&method| method.to_owned()).collect(),
        authorization_details: vec![AuthorizationDetail { kind: "phoneops_action".to_owned(), action: approval.action.clone() }],
        action_sha256: b64u(approval.action.sha256()),
        approval: approval.id,
        approvers: given.iter().map(|given| given.by).collect(),
        cnf: approval.bound_to.map(|jkt| Confirmation { jkt: b64u(jkt) }),
    }
}

fn header(key: &IssuerKey) -> Header {
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some(TYP.to_owned());
    header.kid = Some(key.id.clone());
    header
}

/// The built-in policy, which holds while no other exists: the requester's own passkey.
pub(super) fn builtin_policy() -> super::PolicyRef {
    let document = serde_json::json!(
        {"name": BUILTIN, "approvers": "requester", "quorum": 1, "factor": "passkey"});
    let canonical = super::action::canonical(&document);
    super::PolicyRef { name: BUILTIN.to_owned(), sha256: b64u(tagged_sha256("phoneops.policy.v1", &canonical)) }
}
