//! Checking a receipt without the server: pure, offline, in the order of `api-spec/receipt.md`, naming the first thing that is wrong.
//!
//! **Invariants**
//! - Nothing is believed because the receipt says so: what is not signed by a person follows from what is, or is signed by an
//!   issuer key of the trust root.
//! - Without a trust root the verdict is "unauthenticated", whatever the receipt holds.
//! - It looks at no clock: a receipt stays what it is.

mod answer;
mod plain;
mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use self::plain::{Members, canonical};
use self::shape::{Shape, strength};
use super::{Ended, TYP};
use crate::approvals::LEAST_BREAK_GLASS_WAIT;
use crate::approvals::grant::BREAK_GLASS;
use crate::clock::Timestamp;
use crate::identity::jws::{self, JwsRefusal, KeyMember};
use crate::identity::{DeviceKey, dpop, once, strict_json};
use crate::secret::{b64u, from_b64u, tagged_sha256};

/// The largest receipt that is looked at, bytes.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// How far apart the clocks of two nodes may be: what one of them wrote down may seem to be so much earlier than its cause.
const SKEW: Duration = Duration::from_secs(5);

/// A receipt that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How the approval ended.
    pub state: Ended,
    /// Whether it was approved by break-glass, and so by nobody.
    pub break_glass: bool,
    /// The receipt, for showing.
    pub receipt: Value,
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", check.code())]
pub struct Fault {
    /// Which check failed.
    pub check: Check,
    /// Why, for people.
    pub detail: String,
}

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// What is checked, in this order; those about an answer, from `StatementMalformed` to `AnswerTime`, for each answer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Check {
            $($(#[$doc])* $name,)*
        }

        impl Check {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its stable name.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

checks! {
    /// It is plain JSON of at most 4 MiB.
    Malformed = "malformed",
    /// It is of this version.
    Version = "version",
    /// Every member is there and of its type.
    Shape = "shape",
    /// There is a trust root.
    Unauthenticated = "unauthenticated",
    /// It is of the installation that was asked for.
    Issuer = "issuer",
    /// The key that signed it is in the trust root.
    ReceiptKey = "receipt_key",
    /// That key signed it.
    ReceiptSignature = "receipt_signature",
    /// The action has its digest.
    ActionDigest = "action_digest",
    /// The display has its digest.
    DisplayDigest = "display_digest",
    /// A statement is plain, canonical JSON.
    StatementMalformed = "statement_malformed",
    /// It says what the receipt says.
    StatementDiffers = "statement_differs",
    /// The key that signed the attestation is in the trust root.
    AttestationKey = "attestation_key",
    /// The attestation is one, and that key signed it.
    AttestationInvalid = "attestation_invalid",
    /// It is about this person's key, and about the one that signed.
    AttestationDiffers = "attestation_differs",
    /// The signature is of a kind that fits the factor.
    SignatureKind = "signature_kind",
    /// `clientDataJSON` is that of an assertion.
    ClientData = "client_data",
    /// It is over this statement.
    Challenge = "challenge",
    /// It was made at an origin that the installation accepts.
    Origin = "origin",
    /// `authenticatorData` is for the relying party.
    AuthenticatorData = "authenticator_data",
    /// The person was verified.
    UserVerification = "user_verification",
    /// The key signed it.
    AnswerSignature = "answer_signature",
    /// The code was right.
    CodeUnconfirmed = "code_unconfirmed",
    /// It came in time.
    AnswerTime = "answer_time",
    /// Nobody said the same twice.
    ApproverRepeated = "approver_repeated",
    /// No key signed for two people.
    KeyRepeated = "key_repeated",
    /// Everybody who answered was asked.
    ApproverNotEligible = "approver_not_eligible",
    /// Everybody answered for whom they were asked, and those were away.
    DelegationDiffers = "delegation_differs",
    /// The state follows from the answers.
    StateDiffers = "state_differs",
    /// What was approved had what it took.
    RequirementUnmet = "requirement_unmet",
    /// The grant says what was approved.
    GrantDiffers = "grant_differs",
    /// It was used by whom it was for, in time.
    RedemptionDiffers = "redemption_differs",
    /// Something came of it only after that.
    OutcomeDiffers = "outcome_differs",
}

impl Check {
    fn because(self, detail: impl Into<String>) -> Fault {
        Fault { check: self, detail: detail.into() }
    }
}

/// The keys that are believed: the installation's JWK set (RFC 7517), fetched when it was trusted.
#[derive(Clone, Debug)]
pub struct TrustRoot(BTreeMap<String, DeviceKey>);

/// A file that is no trust root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JWK set with P-256 keys that have a kid: {0}")]
pub struct NotATrustRoot(String);

impl TrustRoot {
    /// From the text of a JWK set. Keys of other kinds are left out.
    ///
    /// # Errors
    /// When nothing is left, or the text is no JWK set.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotATrustRoot> {
        let set = plain::parse(bytes).map_err(NotATrustRoot)?;
        let keys = Members::of(&set).list("keys").map_err(NotATrustRoot)?;
        let root: BTreeMap<_, _> = keys.iter().filter_map(named_key).collect();
        if root.is_empty() { Err(NotATrustRoot("there is none".into())) } else { Ok(Self(root)) }
    }

    fn key(&self, kid: &str) -> Option<&DeviceKey> {
        self.0.get(kid)
    }
}

fn named_key(jwk: &Value) -> Option<(String, DeviceKey)> {
    let jwk = jwk.as_object()?;
    let public = ["kty", "crv", "x", "y"].into_iter().filter_map(|name| Some((name.to_owned(), jwk.get(name)?.clone())));
    Some((jwk.get("kid")?.as_str()?.to_owned(), DeviceKey::from_jwk(&public.collect()).ok()?))
}

/// Checks a receipt against a trust root; `issuer` is the installation it has to be of, when that is known.
///
/// # Errors
/// [`Fault`]: the first thing that is wrong.
pub fn verify(bytes: &[u8], root: Option<&TrustRoot>, issuer: Option<&str>) -> Result<Verified, Fault> {
    if bytes.len() > MAX_BYTES {
        return Err(Check::Malformed.because("it is larger than 4 MiB"));
    }
    let document = plain::parse(bytes).map_err(|why| Check::Malformed.because(why))?;
    let document = Members::of(&document);
    let receipt = document.object("receipt").map_err(|why| Check::Version.because(why))?;
    let second = shape::version(&receipt)
        .ok_or_else(|| Check::Version.because(format!("its type is neither {} nor {}", super::TYPE, super::TYPE_2)))?;
    let in_shape = |why: String| Check::Shape.because(why);
    let signature = document.text("signature").map_err(in_shape)?;
    let shape = Shape::read(&receipt, second).map_err(in_shape)?;
    let root = root.ok_or_else(|| Check::Unauthenticated.because("no issuer keys were given: nothing vouches for any of it"))?;
    let whole = document.get("receipt").map_err(in_shape)?;
    authentic(&shape, whole, signature, root, issuer)?;
    digests(&shape)?;
    let mut keys = Vec::new();
    for answer in &shape.answers {
        keys.push(answer::check(&shape, answer, root)?);
    }
    distinct(&shape, &keys)?;
    delegations(&shape)?;
    state(&shape)?;
    requirement(&shape)?;
    grant(&shape)?;
    redemption(&shape)?;
    outcome(&shape)?;
    Ok(Verified { state: shape.approval.state, break_glass: opened(&shape), receipt: whole.clone() })
}

fn authentic(shape: &Shape<'_>, whole: &Value, token: &str, root: &TrustRoot, issuer: Option<&str>) -> Result<(), Fault> {
    if issuer.is_some_and(|issuer| issuer != shape.issuer) {
        return Err(Check::Issuer.because(format!("it is of {}", shape.issuer)));
    }
    let wrong = |why: JwsRefusal| Check::ReceiptSignature.because(why.to_string());
    let detached = jws::peek_detached(token, TYP).map_err(wrong)?;
    let key = root.key(detached.kid()).ok_or_else(|| Check::ReceiptKey.because("its key is not among the issuer keys"))?;
    detached.verify(&canonical(whole), key).map_err(wrong)
}

fn digests(shape: &Shape<'_>) -> Result<(), Fault> {
    let digest = |tag: &str, value: &Value| b64u(tagged_sha256(tag, &canonical(value)));
    let approval = &shape.approval;
    if digest("phoneops.action.v1", approval.action) != approval.action_sha256 {
        return Err(Check::ActionDigest.because("action_sha256 is not the action's"));
    }
    if digest("phoneops.display.v1", approval.display) != approval.display_sha256 {
        return Err(Check::DisplayDigest.because("display_sha256 is not the display's"));
    }
    Ok(())
}

fn distinct(shape: &Shape<'_>, keys: &[String]) -> Result<(), Fault> {
    let said: BTreeSet<_> = shape.answers.iter().map(|answer| (answer.approver, answer.verdict)).collect();
    if said.len() != shape.answers.len() {
        return Err(Check::ApproverRepeated.because("somebody said the same twice"));
    }
    let mut owners = BTreeMap::new();
    for (key, answer) in keys.iter().zip(&shape.answers) {
        if *owners.entry(key).or_insert(answer.approver) != answer.approver {
            return Err(Check::KeyRepeated.because("one key signed for two people"));
        }
    }
    let asked: BTreeSet<_> = shape.needs.iter().flatten().flat_map(|group| &group.of).collect();
    // Whoever an action is asked for may always say that they do not want it, and so may whoever was told of a break-glass.
    let told = |answer: &shape::Answer<'_>| shape.break_glass.as_ref().is_some_and(|glass| glass.told.contains(&answer.approver));
    let may = |answer: &shape::Answer<'_>| {
        let refuses = answer.verdict != "approve";
        asked.contains(&answer.approver) || (refuses && (answer.approver == shape.approval.requester || told(answer)))
    };
    match shape.answers.iter().find(|answer| !may(answer)) {
        Some(answer) => Err(Check::ApproverNotEligible.because(format!("{} was not asked", answer.approver))),
        None => Ok(()),
    }
}

/// Whoever was away is in no group and answers for nobody, has one delegate, and has nothing to do with the request themselves.
fn delegations(shape: &Shape<'_>) -> Result<(), Fault> {
    let differs = |why: &str| Err(Check::DelegationDiffers.because(why));
    let away: BTreeSet<_> = shape.delegations.iter().map(|(absent, _)| *absent).collect();
    if away.len() != shape.delegations.len() {
        return differs("somebody has two delegates");
    }
    let requester = shape.approval.requester;
    if shape.delegations.iter().any(|&(absent, by)| absent == requester || by == requester) {
        return differs("the requester has a delegate or is one");
    }
    let asked = shape.needs.iter().flatten().flat_map(|group| &group.of);
    if asked.chain(shape.delegations.iter().map(|(_, by)| by)).any(|person| away.contains(person)) {
        return differs("somebody who was away was asked");
    }
    let differently = |answer: &&shape::Answer<'_>| {
        let theirs = shape.delegations.iter().filter(|(_, by)| *by == answer.approver).map(|(absent, _)| absent);
        !theirs.eq(answer.answers_for.iter().flatten())
    };
    match shape.answers.iter().find(differently) {
        Some(answer) => differs(&format!("{} answered for others than they were asked for", answer.approver)),
        None => Ok(()),
    }
}

fn state(shape: &Shape<'_>) -> Result<(), Fault> {
    let differs = |why: &str| Err(Check::StateDiffers.because(why));
    let approval = &shape.approval;
    if !no_later(approval.created_at, approval.ended_at) {
        return differs("it ended before it was asked");
    }
    if let Some(glass) = &shape.break_glass {
        broken(approval, glass)?;
    }
    let decision = match (approval.state, &shape.decision) {
        (Ended::Approved, Some(_)) if shape.break_glass.is_some() => {
            return differs("the glass was broken, and somebody decided");
        }
        (Ended::Approved, None) if shape.break_glass.is_some() => {
            let refused = shape.answers.iter().any(|answer| answer.verdict != "approve");
            return if refused { differs("somebody did not approve") } else { Ok(()) };
        }
        (Ended::Approved | Ended::Denied, Some(decision)) => decision,
        (Ended::Approved | Ended::Denied, None) => return differs("nobody decided"),
        (Ended::Expired | Ended::Cancelled, Some(_)) => return differs("somebody decided"),
        (Ended::Expired | Ended::Cancelled, None) => return Ok(()),
    };
    if decision.at != approval.ended_at {
        return differs("it did not end when it was decided");
    }
    if (decision.verdict == "approve") != (approval.state == Ended::Approved) {
        return differs("the decision was another");
    }
    let decided = |answer: &shape::Answer<'_>| answer.approver == decision.by && answer.verdict == decision.verdict;
    if !shape.answers.iter().any(decided) {
        return differs("who decided did not answer so");
    }
    if approval.state == Ended::Approved && shape.answers.iter().any(|answer| answer.verdict != "approve") {
        return differs("somebody did not approve");
    }
    Ok(())
}

/// Whether it was approved by break-glass.
fn opened(shape: &Shape<'_>) -> bool {
    shape.approval.state == Ended::Approved && shape.break_glass.is_some()
}

/// A break-glass waited for at least a minute in which it could be denied, and what it opened was opened after that.
fn broken(approval: &shape::Asked<'_>, glass: &shape::BreakGlass<'_>) -> Result<(), Fault> {
    let differs = |why: &str| Err(Check::StateDiffers.because(why));
    if !no_later(approval.created_at, glass.at) || !no_later(glass.at, approval.ended_at) {
        return differs("the glass was broken before it was asked, or after it ended");
    }
    if glass.until < glass.at.after(LEAST_BREAK_GLASS_WAIT) {
        return differs("the glass was broken without a wait");
    }
    if glass.expires_at > approval.expires_at {
        return differs("it expired sooner because the glass was broken");
    }
    if approval.state == Ended::Approved && !no_later(glass.until, approval.ended_at) {
        return differs("it opened before the wait was over");
    }
    Ok(())
}

fn requirement(shape: &Shape<'_>) -> Result<(), Fault> {
    if shape.approval.state != Ended::Approved || opened(shape) {
        return Ok(());
    }
    let met = |group: &shape::Group<'_>| {
        let counts =
            |answer: &&shape::Answer<'_>| group.of.contains(&answer.approver) && strength(answer.factor) >= group.strength;
        shape.answers.iter().filter(counts).count() >= group.count
    };
    match shape.needs.iter().position(|any_of| !any_of.iter().any(met)) {
        Some(at) => Err(Check::RequirementUnmet.because(format!("too few answers for requirement.needs[{at}]"))),
        None => Ok(()),
    }
}

fn grant(shape: &Shape<'_>) -> Result<(), Fault> {
    let differs = |why: &str| Err(Check::GrantDiffers.because(why));
    let approval = &shape.approval;
    let grant = match (&shape.grant, approval.state) {
        (Some(grant), Ended::Approved) => grant,
        (None, Ended::Approved) => return differs("there is none"),
        (Some(_), _) => return differs("there is one and nothing was approved"),
        (None, _) => return Ok(()),
    };
    let same = [
        (grant.iss, shape.issuer, "issuer"),
        (grant.sub, approval.requester, "requester"),
        (grant.approval, approval.id, "approval"),
        (grant.action_sha256, approval.action_sha256, "action_sha256"),
    ];
    if let Some((_, _, name)) = same.iter().find(|(claimed, known, _)| claimed != known) {
        return differs(&format!("it is for another {name}"));
    }
    if *grant.details != json!([{"type": "phoneops_action", "action": approval.action}]) {
        return differs("it is for another action");
    }
    if (grant.acr == BREAK_GLASS) != opened(shape) {
        return differs("it does not say whether the glass was broken");
    }
    if opened(shape) {
        let nobody = grant.approvers.is_empty() && grant.iat <= grant.exp;
        return if nobody { Ok(()) } else { differs("it names approvers, or ended before it began") };
    }
    let approved: BTreeSet<_> = shape.answers.iter().map(|answer| answer.approver).collect();
    let claimed: BTreeSet<_> = grant.approvers.iter().copied().collect();
    if claimed != approved || claimed.len() != grant.approvers.len() {
        return differs("it names other approvers");
    }
    let weakest = shape.answers.iter().map(|answer| strength(answer.factor)).min().unwrap_or_default();
    if strength(grant.acr.trim_start_matches("phoneops:")) > weakest {
        return differs("it claims a stronger factor than was used");
    }
    if grant.iat > grant.exp { differs("it ended before it began") } else { Ok(()) }
}

fn redemption(shape: &Shape<'_>) -> Result<(), Fault> {
    let differs = |why: &str| Err(Check::RedemptionDiffers.because(why));
    let Some(shape::Redemption { by, at, proof }) = shape.redemption else { return Ok(()) };
    let Some(grant) = &shape.grant else { return differs("there was no grant") };
    if by != grant.aud {
        return differs("the grant was for another bot");
    }
    if !no_later(Timestamp::from_seconds(grant.iat), at) {
        return differs("it was before the grant");
    }
    if at >= Timestamp::from_seconds(grant.exp) {
        return differs("it was after the grant's end");
    }
    match (grant.jkt, proof) {
        (None, None) => Ok(()),
        (Some(jkt), Some(proof)) => proven(shape.issuer, jkt, proof, at).or_else(|why| differs(&why)),
        (Some(_), None) => differs("the grant was bound to a key, and there is no proof by it"),
        (None, Some(_)) => differs("there is a proof, and the grant was bound to no key"),
    }
}

/// That the key with the thumbprint `jkt` proved a redemption at `at` (RFC 9449 section 4.3). Of the grant's digest, which the proof holds
/// too, nothing can be said: grants are not kept.
fn proven(issuer: &str, jkt: &str, proof: &str, at: Timestamp) -> Result<(), String> {
    let unverified = jws::peek(proof, dpop::TYP, KeyMember::Jwk).map_err(|why| why.to_string())?;
    let key = unverified.jwk().ok_or("the proof names no key")?;
    if b64u(key.thumbprint()) != jkt {
        return Err("the proof is by another key".into());
    }
    let payload = from_b64u(unverified.payload()).unwrap_or_default();
    unverified.verify::<Value>(&key).map_err(|why| why.to_string())?;
    // The redeemer wrote it: it may hold what plain JSON may not.
    let claims = strict_json::parse(&payload).map_err(|why| why.to_string())?;
    let claims = Members::of(&claims);
    if claims.text("htm")? != "POST" || claims.text("htu")? != format!("{issuer}/v1/grants/redeem") {
        return Err("the proof is of another call".into());
    }
    claims.bytes("ath")?;
    let made = Timestamp::from_seconds(claims.integer("iat")?);
    let timely = made <= at.after(once::MAX_AHEAD).after(SKEW) && at <= made.after(once::MAX_AGE).after(SKEW);
    if timely { Ok(()) } else { Err("the proof is of another time".into()) }
}

fn outcome(shape: &Shape<'_>) -> Result<(), Fault> {
    let differs = |why: &str| Err(Check::OutcomeDiffers.because(why));
    let Some(at) = shape.outcome else { return Ok(()) };
    let Some(redemption) = &shape.redemption else { return differs("the grant was not redeemed") };
    if no_later(redemption.at, at) { Ok(()) } else { differs("it came before the redemption") }
}

/// Whether `earlier` is not after `later`, as far as clocks of two nodes tell.
fn no_later(earlier: Timestamp, later: Timestamp) -> bool {
    earlier <= later.after(SKEW)
}
