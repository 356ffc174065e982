//! The receipt: everything it takes to check an approval without the server (`api-spec/receipt.md`).
//!
//! **Invariants**
//! - It is made from what was stored when it happened; nothing in it is signed anew but the whole.
//! - Of a request that still waits there is none.
//! - What it says of a state follows from what it holds; [`verify`] believes nothing else.

mod store;
pub mod verify;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::store::Evidence;
use super::action::canonical;
use super::grant::{self, GrantClaims};
use super::outcome::Reported;
use super::refused::{Error, Refused};
use super::service::Approvals;
use super::store as approvals;
use super::view::{View, Viewer, view, visible_to};
use super::{
    Action, BreakGlass, Decision, Delegation, Display, Factor, Origin, PolicyRef, Quorum, Requirement, State, Statement, Verdict,
};
use crate::clock::Timestamp;
use crate::db::{self, Db};
use crate::id::{ApprovalId, BotId, DeviceId, UserId};
use crate::identity::{Call, Caller, Scope, User};
use crate::secret::{b64u, from_b64u};

/// The `type` of receipts of what people answered.
pub const TYPE: &str = "phoneops.receipt.v1";

/// The `type` of those that verifiers of the first would read wrongly: of a break-glass, or of a grant that was bound to a key.
pub const TYPE_2: &str = "phoneops.receipt.v2";

/// The `typ` of the issuer's signature over a receipt.
pub const TYP: &str = "phoneops-receipt+jws";

/// A receipt and the issuer's signature over all of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SignedReceipt {
    /// What happened.
    pub receipt: Receipt,
    /// A JWS with its payload apart (RFC 7515 appendix F); the payload is `JCS(receipt)`.
    pub signature: String,
}

/// What happened to one approval, with the evidence.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Receipt {
    /// `phoneops.receipt.v2` when there is a `break_glass` or the grant is bound to a key, and else `phoneops.receipt.v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The installation.
    pub issuer: String,
    /// When this receipt was written.
    pub issued_at: Timestamp,
    /// Where the installation accepted what passkeys signed: at its own address, and in these native apps.
    pub origins: Vec<String>,
    /// What was asked.
    pub approval: Asked,
    /// What it took.
    pub requirement: Needed,
    /// What people signed, in the order in which it came.
    pub answers: Vec<SignedAnswer>,
    /// That the operator broke the glass. Of what was approved then there is no decision: nobody approved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
    /// Who decided; absent when nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decided>,
    /// The claims of the grant; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantClaims>,
    /// The grant's use; absent until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redemption: Option<Redemption>,
    /// What became of it; absent until that was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Reported>,
    /// The names of those whose ids are above.
    pub people: Vec<Named>,
}

/// The approval, as it was asked and as it ended.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Asked {
    /// Its id.
    pub id: ApprovalId,
    /// Four characters that people matched between chat and phone.
    pub tag: String,
    /// How it ended.
    pub state: Ended,
    /// Who asked.
    pub bot: BotId,
    /// For whom.
    pub requester: UserId,
    /// Why, in the requester's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where in chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What was to be allowed.
    pub action: Action,
    /// `H("phoneops.action.v1", JCS(action))`, base64url.
    pub action_sha256: String,
    /// What the phones showed.
    pub display: Display,
    /// `H("phoneops.display.v1", JCS(display))`, base64url.
    pub display_sha256: String,
    /// When it was asked.
    pub created_at: Timestamp,
    /// From when on nothing was approved.
    pub expires_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// How an approval ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the states are those of an approval")]
pub enum Ended {
    Approved,
    Denied,
    Expired,
    Cancelled,
}

/// What it took to approve.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Needed {
    /// The policy that said so.
    pub policy: PolicyRef,
    /// All of these.
    pub needs: Vec<Need>,
    /// Who was asked for whom, who was away; left out when nobody was. Whoever was away is in no group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegations: Vec<Delegation>,
}

/// One thing it took: any of these groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Need {
    /// Those that were asked.
    pub any_of: Vec<Group>,
}

/// So many of these people, each with at least this factor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Group {
    /// How many.
    pub count: u32,
    /// Of whom.
    pub of: Vec<UserId>,
    /// The least factor that counts.
    pub factor: Factor,
}

/// One person's answer, with what it takes to check it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SignedAnswer {
    /// Who.
    pub approver: UserId,
    /// For whom, who was away; left out when for nobody but themselves.
    #[serde(rename = "for", default, skip_serializing_if = "Vec::is_empty")]
    pub answers_for: Vec<UserId>,
    /// On which device.
    pub device: DeviceId,
    /// What they said.
    pub verdict: Verdict,
    /// How they signed.
    pub factor: Factor,
    /// Why not, in their own words. Not signed by them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it came.
    pub answered_at: Timestamp,
    /// The statement, canonical JSON (RFC 8785), as a string.
    pub statement: String,
    /// Their signature over it.
    pub signature: Signature,
    /// The installation's word on whose key that is: a compact JWS.
    pub attestation: String,
    /// That the six digits were right, when the factor asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_confirmed: Option<bool>,
}

/// A signature over a statement.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Signature {
    /// A passkey's assertion (`WebAuthn` Level 3, section 7.2). Everything in base64url.
    Webauthn {
        /// Which passkey.
        credential_id: String,
        /// `clientDataJSON`.
        client_data_json: String,
        /// `authenticatorData`.
        authenticator_data: String,
        /// `signature`.
        signature: String,
    },
    /// A device key's JWS, whose payload is the statement.
    Jws {
        /// Compact.
        jws: String,
    },
}

/// Who decided.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Decided {
    /// What they said.
    pub verdict: Verdict,
    /// Who.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// The use of a grant.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Redemption {
    /// Who used it.
    pub by: BotId,
    /// When.
    pub at: Timestamp,
    /// The DPoP proof (RFC 9449) it came with, when the grant was bound to a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// A person, by name.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Named {
    /// Who.
    pub id: UserId,
    /// Without `@`.
    pub handle: String,
    /// As others see it.
    pub name: String,
}

/// Everything a receipt is made of, as it is stored.
struct Sources {
    view: View,
    evidence: Vec<Evidence>,
    grant: Option<approvals::StoredGrant>,
}

impl Sources {
    /// Whether a key that signed has no attestation yet.
    fn lacks_attestation(&self) -> bool {
        self.evidence.iter().any(|it| it.attestation.is_none())
    }
}

/// Who may have a receipt of what.
#[derive(Clone, Copy)]
enum Reader {
    Everything,
    Concerned(UserId),
    Asker(BotId),
}

impl Approvals {
    /// The receipt of an approval that has ended: for the bot that asked, the people it concerned, and administrators.
    ///
    /// # Errors
    /// When there is none for this caller, or it still waits.
    pub async fn receipt(&self, call: &Call, id: ApprovalId) -> Result<SignedReceipt, Error> {
        let reader = reader(call)?;
        let mut sources = self.sources(reader, id).await?;
        if sources.lacks_attestation() {
            // Enrolled by a node that runs an older version.
            crate::identity::attestation::attest_all(&self.keys, self.relying_party.id(), &self.store, self.clock.now()).await?;
            sources = self.sources(reader, id).await?;
        }
        self.keys.refresh().await?;
        let receipt = build(&self.issuer, sources, self.clock.now())?;
        let signature = self.keys.current().sign_detached(TYP, &canonical(&receipt));
        Ok(SignedReceipt { receipt, signature })
    }

    async fn sources(&self, reader: Reader, id: ApprovalId) -> Result<Sources, Error> {
        self.store
            .read(move |db| {
                Box::pin(async move {
                    let found = readable(db, reader, id).await?;
                    if found.approval.is_open() {
                        return Err(Refused::Undecided.into());
                    }
                    let evidence = store::evidence(db, id).await?;
                    let grant = approvals::find_grant(db, id).await?;
                    Ok(Sources { view: view(db, found).await?, evidence, grant })
                })
            })
            .await
    }
}

fn reader(call: &Call) -> Result<Reader, Error> {
    if call.admin().is_ok() {
        return Ok(Reader::Everything);
    }
    Ok(match &call.caller {
        Caller::Person(person) => Reader::Concerned(person.user.id),
        _ => Reader::Asker(call.bot(Scope::ApprovalsRequest)?.id),
    })
}

async fn readable(db: &mut Db<'_>, reader: Reader, id: ApprovalId) -> Result<approvals::Found, Error> {
    let unknown = || Refused::NotFound(id.to_string());
    Ok(match reader {
        Reader::Everything => approvals::find(db, id).await?.ok_or_else(unknown)?,
        Reader::Concerned(user) => visible_to(db, id, Viewer::Person(user)).await?,
        Reader::Asker(bot) => visible_to(db, id, Viewer::Bot(bot)).await?,
    })
}

fn build(issuer: &str, sources: Sources, now: Timestamp) -> Result<Receipt, db::Error> {
    let Sources { view, evidence, grant } = sources;
    let id = view.approval.id;
    let origins = origins(issuer, &evidence);
    let answers = evidence.into_iter().map(|evidence| answer(id, evidence)).collect::<Result<Vec<_>, _>>()?;
    let decision = decision(&view.approval.state);
    let redemption = grant
        .as_ref()
        .and_then(|grant| Some(Redemption { by: grant.bot, at: grant.redeemed_at?, proof: grant.redeem_proof.clone() }));
    let claims = grant.as_ref().map(|grant| grant::claims(issuer, &view.approval, grant));
    let people = people(&view);
    let requirement = &view.approval.requirement;
    let break_glass = view.approval.break_glass.clone();
    let second = break_glass.is_some() || claims.as_ref().is_some_and(|claims| claims.cnf.is_some());
    Ok(Receipt {
        kind: if second { TYPE_2 } else { TYPE }.to_owned(),
        issuer: issuer.to_owned(),
        issued_at: now,
        origins,
        requirement: Needed {
            policy: requirement.policy.clone(),
            needs: needs(requirement, view.approval.requester, view.approval.asked),
            delegations: requirement.delegations.clone(),
        },
        outcome: view.outcome.clone(),
        approval: asked(view)?,
        answers,
        break_glass,
        decision,
        grant: claims,
        redemption,
        people,
    })
}

/// What a requirement asks for, in the terms of a receipt.
fn needs(requirement: &Requirement, requester: UserId, asked: usize) -> Vec<Need> {
    let factor = requirement.factor;
    let own = requirement.requester.then(|| Need { any_of: vec![Group { count: 1, of: vec![requester], factor }] });
    let group = |group: &Quorum| {
        let of = group.members.iter().copied().filter(|member| requirement.counts(requester, *member)).collect();
        Group { count: group.needed, of, factor }
    };
    let asked: Vec<_> = requirement.groups.iter().take(asked).map(group).collect();
    let others = (!asked.is_empty()).then_some(Need { any_of: asked });
    own.into_iter().chain(others).collect()
}

fn asked(view: View) -> Result<Asked, db::Error> {
    let View { approval, display, .. } = view;
    let (state, ended_at) = match approval.state {
        State::Approved(decision) => (Ended::Approved, decision.at),
        State::Opened { at } => (Ended::Approved, at),
        State::Denied(decision) => (Ended::Denied, decision.at),
        State::Expired { at } => (Ended::Expired, at),
        State::Cancelled { at, .. } => (Ended::Cancelled, at),
        State::Pending | State::Holding { .. } | State::BreakingGlass { .. } => {
            return Err(db::Error::inconsistent("approvals", approval.id, "it is pending again"));
        }
    };
    Ok(Asked {
        id: approval.id,
        tag: approval.tag,
        state,
        bot: approval.bot,
        requester: approval.requester,
        reason: approval.reason,
        origin: approval.origin,
        action_sha256: b64u(approval.action.sha256()),
        action: approval.action,
        display_sha256: b64u(display.sha256()),
        display,
        created_at: approval.created_at,
        expires_at: approval.expires_at,
        ended_at,
    })
}

fn decision(state: &State) -> Option<Decided> {
    state.decision().map(|Decision { verdict, by, at, .. }| Decided { verdict: *verdict, by: *by, at: *at })
}

fn answer(approval: ApprovalId, evidence: Evidence) -> Result<SignedAnswer, db::Error> {
    let senseless = |what: &str| db::Error::inconsistent("answers", approval, what);
    let Evidence { approver, device, verdict, reason, statement, credential, answered_at, attestation } = evidence;
    let signed: Statement = serde_json::from_str(&statement).map_err(|_| senseless("a statement that is none"))?;
    let signature = Signature::of(&credential).ok_or_else(|| senseless("a signature of no kind that is known"))?;
    let attestation = attestation.ok_or_else(|| senseless("a key that was never attested"))?;
    let (factor, answers_for) = (signed.factor, signed.answers_for);
    // An answer with a wrong code is never stored.
    let code_confirmed = (factor == Factor::Code).then_some(true);
    Ok(SignedAnswer {
        approver,
        answers_for,
        device,
        verdict,
        factor,
        reason,
        answered_at,
        statement,
        signature,
        attestation,
        code_confirmed,
    })
}

impl Signature {
    /// The signature in an answer's credential, as it was sent.
    fn of(credential: &Value) -> Option<Self> {
        if let Some(jws) = credential.as_str() {
            return Some(Self::Jws { jws: jws.to_owned() });
        }
        let part = |name: &str| credential["response"][name].as_str().map(str::to_owned);
        Some(Self::Webauthn {
            credential_id: credential["rawId"].as_str()?.to_owned(),
            client_data_json: part("clientDataJSON")?,
            authenticator_data: part("authenticatorData")?,
            signature: part("signature")?,
        })
    }
}

/// The installation's own origin, and those of native apps that answers were signed in: each was accepted when it came, though the app
/// may be allowed no more.
fn origins(issuer: &str, evidence: &[Evidence]) -> Vec<String> {
    let signed_at = |evidence: &Evidence| {
        let client_data = from_b64u(evidence.credential["response"]["clientDataJSON"].as_str()?)?;
        let client_data: Value = serde_json::from_slice(&client_data).ok()?;
        client_data["origin"].as_str().map(str::to_owned)
    };
    let mut origins = vec![issuer.to_owned()];
    for origin in evidence.iter().filter_map(signed_at) {
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    origins
}

/// Everybody whose id is in the receipt, once each.
fn people(view: &View) -> Vec<Named> {
    let everybody = std::iter::once(&view.requester)
        .chain(&view.approvers)
        .chain(view.given.iter().map(|(user, _)| user))
        .chain(view.delegations.iter().flat_map(|(by, absent)| [by, absent]))
        .chain(&view.decided_by);
    let mut people: Vec<&User> = Vec::new();
    for user in everybody {
        if people.iter().all(|known| known.id != user.id) {
            people.push(user);
        }
    }
    let named = |user: &User| Named { id: user.id, handle: user.handle.as_str().to_owned(), name: user.name.as_str().to_owned() };
    people.into_iter().map(named).collect()
}
