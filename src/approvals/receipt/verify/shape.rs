//! The members of a receipt, read by name and type. Members that are not named here are left alone: the issuer signed them too.

use serde_json::Value;

use super::plain::Members;
use crate::approvals::grant::BREAK_GLASS;
use crate::approvals::receipt::{Ended, TYPE, TYPE_2};
use crate::clock::Timestamp;

/// Factors, the weakest first.
pub(super) const FACTORS: &[&str] = &["tap", "code", "passkey"];

const VERDICTS: &[&str] = &["approve", "deny", "report"];

/// A receipt with everything in its place.
pub(super) struct Shape<'v> {
    pub(super) issuer: &'v str,
    pub(super) origins: Vec<&'v str>,
    pub(super) approval: Asked<'v>,
    pub(super) policy: &'v Value,
    /// Each is met by any of its groups.
    pub(super) needs: Vec<Vec<Group<'v>>>,
    /// Who was away, and who was asked for them.
    pub(super) delegations: Vec<(&'v str, &'v str)>,
    pub(super) answers: Vec<Answer<'v>>,
    pub(super) break_glass: Option<BreakGlass<'v>>,
    pub(super) decision: Option<Decision<'v>>,
    pub(super) grant: Option<Grant<'v>>,
    pub(super) redemption: Option<Redemption<'v>>,
    pub(super) outcome: Option<Timestamp>,
}

pub(super) struct Asked<'v> {
    pub(super) id: &'v str,
    pub(super) state: Ended,
    pub(super) requester: &'v str,
    pub(super) action: &'v Value,
    pub(super) action_sha256: &'v str,
    pub(super) display: &'v Value,
    pub(super) display_sha256: &'v str,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) ended_at: Timestamp,
}

pub(super) struct Group<'v> {
    pub(super) count: usize,
    pub(super) of: Vec<&'v str>,
    /// The position in [`FACTORS`].
    pub(super) strength: usize,
}

pub(super) struct Answer<'v> {
    pub(super) approver: &'v str,
    /// For whom, who was away; none when it is left out.
    pub(super) answers_for: Option<Vec<&'v str>>,
    pub(super) device: &'v str,
    pub(super) verdict: &'v str,
    pub(super) factor: &'v str,
    pub(super) answered_at: Timestamp,
    pub(super) statement: &'v str,
    pub(super) signature: Signature<'v>,
    pub(super) attestation: &'v str,
    pub(super) code_confirmed: bool,
}

pub(super) enum Signature<'v> {
    Webauthn { credential_id: &'v str, client_data: Vec<u8>, authenticator_data: Vec<u8>, signature: Vec<u8> },
    Jws(&'v str),
}

pub(super) struct Decision<'v> {
    pub(super) verdict: &'v str,
    pub(super) by: &'v str,
    pub(super) at: Timestamp,
}

pub(super) struct Grant<'v> {
    pub(super) iss: &'v str,
    pub(super) aud: &'v str,
    pub(super) sub: &'v str,
    pub(super) iat: i64,
    pub(super) exp: i64,
    pub(super) acr: &'v str,
    pub(super) details: &'v Value,
    pub(super) action_sha256: &'v str,
    pub(super) approval: &'v str,
    pub(super) approvers: Vec<&'v str>,
    /// The thumbprint of the key that it is bound to.
    pub(super) jkt: Option<&'v str>,
}

/// What is in the receipts of the second version only.
pub(super) struct BreakGlass<'v> {
    pub(super) at: Timestamp,
    pub(super) until: Timestamp,
    pub(super) told: Vec<&'v str>,
    /// When the request would have expired.
    pub(super) expires_at: Timestamp,
}

pub(super) struct Redemption<'v> {
    pub(super) by: &'v str,
    pub(super) at: Timestamp,
    pub(super) proof: Option<&'v str>,
}

/// Whether it says that it is of a version that is known; if so, whether of the second.
pub(super) fn version(receipt: &Members<'_>) -> Option<bool> {
    match receipt.text("type") {
        Ok(TYPE) => Some(false),
        Ok(TYPE_2) => Some(true),
        _ => None,
    }
}

impl<'v> Shape<'v> {
    /// `second`: with what only the second version knows; to the first, those are members that it leaves alone.
    pub(super) fn read(receipt: &Members<'v>, second: bool) -> Result<Self, String> {
        receipt.instant("issued_at")?;
        let requirement = receipt.object("requirement")?;
        let policy = requirement.object("policy")?;
        policy.text("name")?;
        policy.text("sha256")?;
        let needs = requirement.objects("needs")?.iter().map(any_of).collect::<Result<Vec<_>, _>>()?;
        if needs.is_empty() {
            return Err("requirement.needs is empty".into());
        }
        let delegations = requirement.optional("delegations", || requirement.objects("delegations"))?;
        let delegations = delegations.unwrap_or_default().iter().map(delegation).collect::<Result<_, _>>()?;
        receipt.objects("people")?.iter().try_for_each(named)?;
        Ok(Self {
            issuer: receipt.text("issuer")?,
            origins: receipt.texts("origins")?,
            approval: Asked::read(&receipt.object("approval")?)?,
            policy: requirement.get("policy")?,
            needs,
            delegations,
            answers: receipt.objects("answers")?.iter().map(Answer::read).collect::<Result<_, _>>()?,
            break_glass: seconds(second, receipt, "break_glass", || BreakGlass::read(&receipt.object("break_glass")?))?,
            decision: receipt.optional("decision", || Decision::read(&receipt.object("decision")?))?,
            grant: receipt.optional("grant", || Grant::read(&receipt.object("grant")?, second))?,
            redemption: receipt.optional("redemption", || redemption(&receipt.object("redemption")?, second))?,
            outcome: receipt.optional("outcome", || outcome(&receipt.object("outcome")?))?,
        })
    }
}

impl<'v> Asked<'v> {
    fn read(approval: &Members<'v>) -> Result<Self, String> {
        approval.optional("reason", || approval.text("reason"))?;
        approval.optional("origin", || approval.object("origin"))?;
        approval.text("tag")?;
        approval.id("bot", "bot")?;
        approval.object("action")?;
        approval.object("display")?;
        let state = match approval.word("state", &["approved", "denied", "expired", "cancelled"])? {
            "approved" => Ended::Approved,
            "denied" => Ended::Denied,
            "expired" => Ended::Expired,
            _ => Ended::Cancelled,
        };
        Ok(Self {
            id: approval.id("id", "apr")?,
            state,
            requester: approval.id("requester", "usr")?,
            action: approval.get("action")?,
            action_sha256: approval.text("action_sha256")?,
            display: approval.get("display")?,
            display_sha256: approval.text("display_sha256")?,
            created_at: approval.instant("created_at")?,
            expires_at: approval.instant("expires_at")?,
            ended_at: approval.instant("ended_at")?,
        })
    }
}

/// What `read` makes of a member that only the second version knows, where it is there.
fn seconds<T>(
    second: bool,
    members: &Members<'_>,
    name: &str,
    read: impl FnOnce() -> Result<T, String>,
) -> Result<Option<T>, String> {
    if second { members.optional(name, read) } else { Ok(None) }
}

fn any_of<'v>(need: &Members<'v>) -> Result<Vec<Group<'v>>, String> {
    let groups = need.objects("any_of")?.iter().map(Group::read).collect::<Result<Vec<_>, _>>()?;
    if groups.is_empty() { Err("requirement.needs: any_of is empty".into()) } else { Ok(groups) }
}

fn delegation<'v>(delegation: &Members<'v>) -> Result<(&'v str, &'v str), String> {
    Ok((delegation.id("for", "usr")?, delegation.id("by", "usr")?))
}

impl<'v> Group<'v> {
    fn read(group: &Members<'v>) -> Result<Self, String> {
        let count = usize::try_from(group.integer("count")?).ok().filter(|count| (1..=1000).contains(count));
        Ok(Self {
            count: count.ok_or("requirement.needs: a count is not 1 to 1000")?,
            of: group.ids("of", "usr")?,
            strength: strength(group.word("factor", FACTORS)?),
        })
    }
}

/// How strong a factor is, for comparing.
pub(super) fn strength(factor: &str) -> usize {
    FACTORS.iter().position(|known| *known == factor).unwrap_or_default()
}

impl<'v> Answer<'v> {
    fn read(answer: &Members<'v>) -> Result<Self, String> {
        answer.optional("reason", || answer.text("reason"))?;
        let code_confirmed = answer.optional("code_confirmed", || {
            answer.get("code_confirmed")?.as_bool().ok_or_else(|| "code_confirmed is not a boolean".to_owned())
        })?;
        Ok(Self {
            approver: answer.id("approver", "usr")?,
            answers_for: answer.optional("for", || answer.ids("for", "usr"))?,
            device: answer.id("device", "dev")?,
            verdict: answer.word("verdict", VERDICTS)?,
            factor: answer.word("factor", FACTORS)?,
            answered_at: answer.instant("answered_at")?,
            statement: answer.text("statement")?,
            signature: Signature::read(&answer.object("signature")?)?,
            attestation: answer.text("attestation")?,
            code_confirmed: code_confirmed.unwrap_or_default(),
        })
    }
}

impl<'v> Signature<'v> {
    fn read(signature: &Members<'v>) -> Result<Self, String> {
        if signature.word("kind", &["webauthn", "jws"])? == "jws" {
            return Ok(Self::Jws(signature.text("jws")?));
        }
        signature.bytes("credential_id")?;
        Ok(Self::Webauthn {
            credential_id: signature.text("credential_id")?,
            client_data: signature.bytes("client_data_json")?,
            authenticator_data: signature.bytes("authenticator_data")?,
            signature: signature.bytes("signature")?,
        })
    }
}

impl<'v> Decision<'v> {
    fn read(decision: &Members<'v>) -> Result<Self, String> {
        Ok(Self { verdict: decision.word("verdict", VERDICTS)?, by: decision.id("by", "usr")?, at: decision.instant("at")? })
    }
}

impl<'v> BreakGlass<'v> {
    fn read(glass: &Members<'v>) -> Result<Self, String> {
        glass.text("reason")?;
        Ok(Self {
            at: glass.instant("at")?,
            until: glass.instant("until")?,
            told: glass.ids("told", "usr")?,
            expires_at: glass.instant("expires_at")?,
        })
    }
}

impl<'v> Grant<'v> {
    fn read(grant: &Members<'v>, second: bool) -> Result<Self, String> {
        grant.id("jti", "grt")?;
        let acrs = ["phoneops:tap", "phoneops:code", "phoneops:passkey", BREAK_GLASS];
        let acr = grant.word("acr", if second { &acrs } else { &acrs[..3] })?;
        let nobody = acr == BREAK_GLASS && grant.list("approvers")?.is_empty();
        let jkt = seconds(second, grant, "cnf", || grant.object("cnf")?.text("jkt"))?;
        grant.list("amr")?;
        grant.list("authorization_details")?;
        Ok(Self {
            iss: grant.text("iss")?,
            aud: grant.id("aud", "bot")?,
            sub: grant.id("sub", "usr")?,
            iat: grant.integer("iat")?,
            exp: grant.integer("exp")?,
            acr,
            details: grant.get("authorization_details")?,
            action_sha256: grant.text("action_sha256")?,
            approval: grant.id("approval", "apr")?,
            approvers: if nobody { Vec::new() } else { grant.ids("approvers", "usr")? },
            jkt,
        })
    }
}

fn redemption<'v>(redemption: &Members<'v>, second: bool) -> Result<Redemption<'v>, String> {
    let proof = seconds(second, redemption, "proof", || redemption.text("proof"))?;
    Ok(Redemption { by: redemption.id("by", "bot")?, at: redemption.instant("at")?, proof })
}

fn outcome(outcome: &Members<'_>) -> Result<Timestamp, String> {
    outcome.word("outcome", &["succeeded", "failed"])?;
    outcome.optional("detail", || outcome.text("detail"))?;
    outcome.instant("at")
}

fn named(person: &Members<'_>) -> Result<(), String> {
    person.id("id", "usr")?;
    person.text("handle")?;
    person.text("name").map(|_| ())
}
