//! Requests, answers, redemptions: load, step, save and record, in one transaction each.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::deciding::{Asking, By, Decided, Deciding, Parts, Signed, apply, decide, request, same_answer, unfrozen};
use super::fatigue::{self, Budgets, Frozen};
use super::grant::GrantKey;
use super::machine::{Event, Origin, Verdict};
use super::policies::Policies;
use super::policy::{Factor, SignedWith};
use super::redeeming::{Redeeming, proven, redeem};
use super::refused::{Error, Refused};
use super::statement::{self, Statement, verify_jws};
use super::store::{self, StoredChallenge};
use super::view::{View, Viewer, view, visible_to};
use super::{Action, code};
use crate::clock::{Clock, Timestamp};
use crate::db::{self, Store};
use crate::delivery::Delivery;
use crate::hub::Hub;
use crate::id::{ApprovalId, ChallengeId, GrantId};
use crate::identity::{
    self, Call, Caller, Credential, Failure, IssuerKeys, Person, Platform, RelyingParty, Scope, UsedProof, WebauthnRefusal, Who,
};
use crate::jobs::Queue;
use crate::journal::{Actor, Journal};
use crate::secret::{MasterKey, Secret, random};

/// How long a statement may be signed after it was offered. The approval's own deadline ends it too.
const CHALLENGE_LIFE: Duration = Duration::from_secs(120);

/// How many approvals an inbox shows.
const INBOX: u32 = 100;

/// Approvals. Cheap to share behind an `Arc`.
pub struct Approvals {
    pub(super) store: Store,
    pub(super) clock: Clock,
    journal: Journal,
    queue: Queue,
    delivery: Delivery,
    hub: Hub,
    policies: Arc<Policies>,
    master: MasterKey,
    budgets: Budgets,
    pub(super) issuer: String,
    pub(super) relying_party: RelyingParty,
    pub(super) keys: IssuerKeys,
    grant_key: GrantKey,
    pub(super) break_glass_wait: Duration,
}

/// What a bot asks.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is to be allowed.
    pub action: Action,
    /// For whom.
    pub requester: Who,
    /// Why, in the requester's own words.
    pub reason: Option<String>,
    /// Where in chat.
    pub origin: Option<Origin>,
    /// How long it may be answered at most; else as long as the policy says.
    pub expires_in: Option<u32>,
    /// The RFC 7638 thumbprint of the key that the grant is to be bound to.
    pub bound_to: Option<[u8; 32]>,
}

/// A request that was taken.
#[derive(Debug)]
pub struct Requested {
    /// Its id.
    pub id: ApprovalId,
    /// Six digits for the requester's side, where a code serves; only when this very call made the request.
    pub code: Option<Secret>,
}

/// A statement offered for signing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// Its id.
    pub id: ChallengeId,
    /// The statement, canonical.
    pub statement: String,
    /// `PublicKeyCredentialRequestOptions` as JSON; only with a passkey.
    pub public_key: Option<Value>,
    /// From when on it cannot be answered.
    pub expires_at: Timestamp,
}

/// A signed answer, as it arrives.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Which statement was signed.
    pub challenge: ChallengeId,
    /// Why not.
    pub reason: Option<String>,
    /// The signature.
    pub proof: Proof,
}

/// How an answer is signed.
#[derive(Clone, Debug)]
pub enum Proof {
    /// With a passkey: the authenticator's response.
    Passkey(Value),
    /// With the calling device's key.
    Device {
        /// The compact JWS over the statement.
        jws: String,
        /// What the person typed, for the factor `code`.
        code: Option<Secret>,
    },
}

impl Proof {
    /// The signature as it is kept.
    pub(super) fn evidence(&self) -> Value {
        match self {
            Self::Passkey(credential) => credential.clone(),
            Self::Device { jws, .. } => Value::String(jws.clone()),
        }
    }
}

/// A grant that was redeemed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Redeemed {
    /// The grant.
    pub grant: GrantId,
    /// The approval it came from.
    pub approval: ApprovalId,
    /// When.
    pub at: Timestamp,
}

/// What [`Approvals`] is built on.
pub struct Ground {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// The record.
    pub journal: Journal,
    /// Work for later.
    pub queue: Queue,
    /// The way to phones.
    pub delivery: Delivery,
    /// Who waits for what.
    pub hub: Hub,
    /// What asks whom.
    pub policies: Arc<Policies>,
    /// What seals codes.
    pub master: MasterKey,
    /// How often phones ring.
    pub budgets: Budgets,
    /// The `public_url`, without a trailing slash.
    pub issuer: String,
    /// How long a break-glass can be denied.
    pub break_glass_wait: Duration,
}

impl Approvals {
    /// Approvals of one installation.
    #[must_use]
    pub fn new(ground: Ground, relying_party: RelyingParty, keys: IssuerKeys) -> Self {
        let Ground { store, clock, journal, queue, delivery, hub, policies, master, budgets, issuer, break_glass_wait } = ground;
        let grant_key = GrantKey::new(keys.clone());
        Self {
            store,
            clock,
            journal,
            queue,
            delivery,
            hub,
            policies,
            master,
            budgets,
            issuer,
            relying_party,
            keys,
            grant_key,
            break_glass_wait,
        }
    }

    pub(super) fn parts(&self) -> Parts {
        Parts {
            journal: self.journal.clone(),
            queue: self.queue.clone(),
            delivery: self.delivery.clone(),
            hub: self.hub.clone(),
            policies: self.policies.clone(),
            master: self.master.clone(),
            budgets: self.budgets,
        }
    }

    /// Asks that an action be allowed.
    ///
    /// # Errors
    /// Only bots with the scope may; the requester must exist, a policy must match, and those it asks must be able to answer.
    pub async fn request(&self, call: &Call, ask: Ask) -> Result<Requested, Error> {
        let asking = Asking { bot: call.bot(Scope::ApprovalsRequest)?.clone(), heard: call.heard.clone() };
        let (now, parts) = (self.clock.now(), self.parts());
        let (made, drawn) = (ApprovalId::new(now), code::draw());
        let sealed = code::seal(&self.master, made, &drawn);
        let requested = call
            .write(&self.store, now, move |tx| Box::pin(async move { request(tx, &parts, &asking, made, ask, sealed, now).await }));
        let (id, serves) = requested.await?;
        // A repeated call learns which request it made, but not its code again.
        Ok(Requested { id, code: (id == made && serves).then_some(drawn) })
    }

    /// Offers the caller a statement to sign, for one verdict and one factor.
    ///
    /// # Errors
    /// When the caller may not answer, not like that, or it is too late.
    pub async fn challenge(&self, call: &Call, id: ApprovalId, verdict: Verdict, factor: Factor) -> Result<Challenge, Error> {
        let approver = call.established()?.user.id;
        if let Some(challenge) = call.repeated(&self.store).await? {
            return Ok(challenge);
        }
        let now = self.clock.now();
        let (view, frozen_at, credentials) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let found = visible_to(db, id, Viewer::Person(approver)).await?;
                    let passkeys = identity::usable_passkeys(db, approver, now).await?;
                    let credentials: Vec<Credential> = passkeys.into_iter().map(|passkey| passkey.credential).collect();
                    let frozen_at = found.frozen_at;
                    Ok::<_, Error>((view(db, found).await?, frozen_at, credentials))
                })
            })
            .await?;
        fitting(&view, call.person()?, verdict, factor)?;
        view.approval.open(now)?;
        unfrozen(verdict, frozen_at)?;
        if factor == Factor::Passkey && credentials.is_empty() {
            return Err(Refused::Webauthn(WebauthnRefusal::PasskeyUnknown).into());
        }
        let statement =
            Statement::new(&self.issuer, &view.approval, &view.display, approver, (verdict, factor), random()).canonical();
        let (public_key, ceremony) = match factor {
            Factor::Passkey => {
                let (options, state) = self.relying_party.start_assertion(&credentials, statement::challenge(&statement));
                (Some(options), Some(state))
            }
            Factor::Code | Factor::Tap => (None, None),
        };
        let expires_at = now.after(CHALLENGE_LIFE).min(view.approval.expires_at);
        let challenge = Challenge { id: ChallengeId::new(now), statement: statement.clone(), public_key, expires_at };
        let stored = StoredChallenge { approver, approval: id, verdict, factor, statement, ceremony, expires_at, used: false };
        crate::crash_point!("challenge-drawn");
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                store::insert_challenge(tx, challenge.id, &stored).await?;
                crate::crash_point!("challenge-written");
                Ok(challenge)
            })
        })
        .await
    }

    /// Takes a signed answer. The same answer again is not an error.
    ///
    /// # Errors
    /// Each way an answer can fail has its own [`Refused`].
    pub async fn answer(&self, call: &Call, id: ApprovalId, answer: Answer) -> Result<ApprovalId, Error> {
        let person = call.established()?.clone();
        let (approver, device) = (person.user.id, person.device.id);
        let now = self.clock.now();
        let challenge = answer.challenge;
        let (passkeys, approval, offered, before) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    // In this order, for on PostgreSQL each statement sees what was committed before it: passkeys that are as old
                    // as the answer is absent, so that the counter an identical answer left behind does not refuse this one.
                    let passkeys = identity::usable_passkeys(db, approver, now).await?;
                    let approval = visible_to(db, id, Viewer::Person(approver)).await?.approval;
                    let offered = store::find_challenge(db, challenge).await?;
                    let offered = offered.filter(|offered| offered.approval == approval.id && offered.approver == approver);
                    let offered = offered.ok_or(Refused::ChallengeUnknown)?;
                    Ok::<_, Error>((passkeys, approval, offered, store::find_answer(db, challenge).await?))
                })
            })
            .await?;
        if let Some(before) = before {
            same_answer(&before, &answer)?;
            return call.write(&self.store, now, move |_| Box::pin(async move { Ok(id) })).await;
        }
        // Before the signature: whoever comes too late hears who decided, not what a later counter makes of their passkey.
        approval.open(now)?;
        well_formed(&offered, &answer)?;
        // Another device of theirs may have asked for the challenge.
        device_fits(person.device.platform, offered.verdict, offered.factor)?;
        crate::crash_point!("answer-received");
        let signed = self.verify(&offered, &answer.proof, &person, &passkeys)?;
        crate::crash_point!("answer-verified");
        let parts = self.parts();
        let deciding = Deciding { id, approver, device, actor: call.actor(None), offered, answer, signed, now };
        let decided = call.write(&self.store, now, move |tx| Box::pin(async move { decide(tx, &parts, deciding).await })).await?;
        match decided {
            Decided::Answered => Ok(id),
            Decided::CodeWrong { left } => Err(Refused::CodeWrong { left }.into()),
        }
    }

    /// Checks the signature over exactly the offered statement.
    fn verify(
        &self,
        offered: &StoredChallenge,
        proof: &Proof,
        person: &Person,
        passkeys: &[identity::StoredPasskey],
    ) -> Result<Signed, Error> {
        match (proof, &offered.ceremony) {
            (Proof::Passkey(credential), Some(ceremony)) => {
                let credential_id = identity::credential_id(credential).map_err(Refused::Webauthn)?;
                let passkey = passkeys
                    .iter()
                    .find(|passkey| passkey.credential.id() == credential_id)
                    .ok_or(Refused::Webauthn(WebauthnRefusal::PasskeyUnknown))?;
                let assertion =
                    self.relying_party.finish_assertion(ceremony, credential, &passkey.credential).map_err(Refused::Webauthn)?;
                Ok(Signed { key: SignedWith::Passkey(passkey.id), updated: assertion.updated })
            }
            (Proof::Device { jws, .. }, None) => {
                verify_jws(jws, &offered.statement, &person.device.key).map_err(Refused::Jws)?;
                Ok(Signed { key: SignedWith::Device(person.device.id), updated: None })
            }
            (Proof::Passkey(_), None) | (Proof::Device { .. }, Some(_)) => Err(Refused::OtherFactor.into()),
        }
    }

    /// Withdraws a request of this bot.
    ///
    /// # Errors
    /// When it is not this bot's, or decided.
    pub async fn cancel(&self, call: &Call, id: ApprovalId) -> Result<(), Error> {
        let bot = call.bot(Scope::ApprovalsRequest)?.id;
        let (now, parts, actor) = (self.clock.now(), self.parts(), call.actor(None));
        let by = By { actor, device: None, origin: call.heard.as_ref().map(|heard| heard.facts()) };
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let found = store::lock(tx, id).await?.filter(|found| found.approval.bot == bot);
                let found = found.ok_or_else(|| Refused::NotFound(id.to_string()))?;
                apply(tx, &parts, found.approval, Event::Cancelled, &by, now).await?;
                Ok(())
            })
        })
        .await
    }

    /// An approval's timer rang: a group did not answer, a delay is over, nobody is left to ask, or what its bot asks was frozen.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn deadline(&self, id: ApprovalId, done: crate::jobs::Job) -> Result<(), db::Error> {
        let (now, parts) = (self.clock.now(), self.parts());
        let rung: Result<(), Error> = self
            .store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    if !crate::jobs::complete(tx, &done).await? {
                        return Ok(());
                    }
                    let Some(found) = store::lock(tx, id).await? else { return Ok(()) };
                    let by = By { actor: Actor::System, device: None, origin: None };
                    let event = if found.frozen_at.is_some() { Event::Frozen } else { Event::TimerRang };
                    apply(tx, &parts, found.approval, event, &by, now).await?;
                    crate::crash_point!("deadline-rung");
                    Ok(())
                })
            })
            .await;
        rung.map_err(|failure| match failure {
            Failure::Db(error) => error,
            other => db::Error::inconsistent("approvals", id, other),
        })
    }

    /// An approval that was folded into another may ring by itself now.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn bell(&self, id: ApprovalId, done: crate::jobs::Job) -> Result<(), db::Error> {
        let (now, parts) = (self.clock.now(), self.parts());
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    if !crate::jobs::complete(tx, &done).await? {
                        return Ok(());
                    }
                    match store::lock(tx, id).await? {
                        Some(found) if found.approval.open(now).is_ok() => {
                            fatigue::ring_folded(tx, &parts, &found.approval).await
                        }
                        Some(found) => fatigue::pass_on(tx, &parts, &found.approval, now).await,
                        None => Ok(()),
                    }
                })
            })
            .await
    }

    /// What is frozen, the oldest first.
    ///
    /// # Errors
    /// Only administrators may see it.
    pub async fn freezes(&self, call: &Call) -> Result<Vec<Frozen>, Error> {
        call.admin()?;
        Ok(self.store.scan(|db| Box::pin(fatigue::open_freezes(db))).await?)
    }

    /// Consumes a grant, once. `proof` is the DPoP proof of this call (RFC 9449), for a grant that is bound to a key: its `ath` is the
    /// digest of the grant.
    ///
    /// # Errors
    /// Each way a redemption can fail has its own [`Refused`].
    pub async fn redeem(&self, call: &Call, grant: &str, action: &Action, proof: Option<String>) -> Result<Redeemed, Error> {
        let bot = call.bot(Scope::GrantsRedeem)?.id;
        if let Some(redeemed) = call.repeated(&self.store).await? {
            return Ok(redeemed);
        }
        let (now, parts, actor) = (self.clock.now(), self.parts(), call.actor(None));
        self.grant_key.hear_of(grant).await?;
        let claims = self.grant_key.verify(grant, &self.issuer, bot, action, now)?;
        let url = format!("{}/v1/grants/redeem", self.issuer);
        let proven = claims.cnf.as_ref().map(|cnf| proven(cnf, grant, proof, &url, now)).transpose()?;
        crate::crash_point!("grant-verified");
        let action_sha256 = action.sha256();
        // It is used up in the transaction of the redemption, so on all nodes.
        let used = proven.as_ref().map(|proven| UsedProof { sha256: proven.jti_sha256, expires_at: proven.expires_at });
        let call = Call { proof: used, ..call.clone() };
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let redeeming = Redeeming { grant: claims.jti, bot, action_sha256, proven, now };
                redeem(tx, &parts, redeeming, actor).await
            })
        })
        .await
    }

    /// What waits for the caller.
    ///
    /// # Errors
    /// When the caller is not a person.
    pub async fn inbox(&self, call: &Call) -> Result<Vec<View>, Error> {
        let user = call.person()?.user.id;
        let now = self.clock.now();
        self.store
            .scan(move |db| {
                Box::pin(async move {
                    let mut views = Vec::new();
                    for found in store::waiting_for(db, user, now, INBOX).await? {
                        views.push(view(db, found).await?);
                    }
                    Ok(views)
                })
            })
            .await
    }

    /// One approval, for the bot that asked or a person who may answer.
    ///
    /// # Errors
    /// When there is none for this caller.
    pub async fn find(&self, call: &Call, id: ApprovalId) -> Result<View, Error> {
        let viewer = match &call.caller {
            Caller::Person(person) => Viewer::Person(person.user.id),
            _ => Viewer::Bot(call.bot(Scope::ApprovalsRequest)?.id),
        };
        let now = self.clock.now();
        let (mut view, grant) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let found = visible_to(db, id, viewer).await?;
                    let grant = match viewer {
                        Viewer::Bot(_) if found.approval.is_allowed() => store::find_grant(db, id).await?,
                        Viewer::Bot(_) | Viewer::Person(_) => None,
                    };
                    Ok::<_, Error>((view(db, found).await?, grant))
                })
            })
            .await?;
        if let Some(grant) = grant.filter(|grant| grant.redeemed_at.is_none() && now < grant.expires_at) {
            view.grant = Some(self.grant_key.mint(&self.issuer, &view.approval, &grant));
        }
        Ok(view)
    }

    /// The newest request of the calling bot that has this tag, or this id; tags are short and come again.
    ///
    /// # Errors
    /// When the caller is not such a bot, or none of its requests has the tag.
    pub async fn tagged(&self, call: &Call, tag: &str) -> Result<View, Error> {
        let bot = call.bot(Scope::ApprovalsRequest)?.id;
        if let Ok(id) = tag.parse() {
            return self.find(call, id).await;
        }
        let tag = tag.to_uppercase();
        let asked = tag.clone();
        let found: db::Result<Option<ApprovalId>> =
            self.store.look(move |db| Box::pin(async move { store::tagged(db, bot, &asked).await })).await;
        let id = found?.ok_or_else(|| Refused::NotFound(format!("request {tag}")))?;
        self.find(call, id).await
    }

    /// What is known of a request, without its grant, for what follows it; none once it is forgotten.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn known(&self, id: ApprovalId) -> Result<Option<View>, db::Error> {
        self.store
            .read(move |db| {
                Box::pin(async move {
                    match store::find(db, id).await? {
                        Some(found) => Ok(Some(view(db, found).await?)),
                        None => Ok(None),
                    }
                })
            })
            .await
    }

    /// As [`Approvals::find`], but waits up to `wait` for a pending one to be decided. Holds no thread and no connection.
    ///
    /// # Errors
    /// As [`Approvals::find`].
    pub async fn wait(&self, call: &Call, id: ApprovalId, wait: Duration) -> Result<View, Error> {
        let changed = self.hub.subscribe(id.0);
        let view = self.find(call, id).await?;
        if wait.is_zero() || !view.approval.is_open() {
            return Ok(view);
        }
        if changed.wait(wait).await || self.store.engine() == db::Engine::Pg {
            return self.find(call, id).await;
        }
        Ok(view)
    }
}

/// That this person may answer like that.
fn fitting(view: &View, person: &Person, verdict: Verdict, factor: Factor) -> Result<(), Error> {
    let approval = &view.approval;
    if !approval.may_answer(person.user.id, verdict) {
        return Err(Refused::Machine(super::Refusal::NotAnApprover).into());
    }
    if verdict != Verdict::Approve {
        // Whoever says no need not show more than that it is their phone; a code for it would only be a way to guess.
        return if factor == Factor::Code { Err(Refused::CodeNotTaken.into()) } else { Ok(()) };
    }
    if factor < approval.requirement.factor {
        return Err(Refused::Machine(super::Refusal::FactorTooWeak(approval.requirement.factor)).into());
    }
    Ok(device_fits(person.device.platform, verdict, factor)?)
}

/// That a device of this platform may sign like that.
fn device_fits(platform: Platform, verdict: Verdict, factor: Factor) -> Result<(), Refused> {
    match (verdict, factor, platform) {
        (Verdict::Approve, Factor::Code | Factor::Tap, Platform::Cli) => Err(Refused::KeyInFile),
        (Verdict::Approve, Factor::Tap, Platform::Web) => Err(Refused::TapFromBrowser),
        _ => Ok(()),
    }
}

/// That the parts of an answer go together.
fn well_formed(offered: &StoredChallenge, answer: &Answer) -> Result<(), Refused> {
    if offered.verdict == Verdict::Approve && answer.reason.is_some() {
        return Err(Refused::ReasonNotTaken);
    }
    match (&answer.proof, offered.factor) {
        (Proof::Passkey(_), Factor::Passkey) | (Proof::Device { code: None, .. }, Factor::Tap) => Ok(()),
        (Proof::Device { code: Some(typed), .. }, Factor::Code) if code::is_one(typed.expose()) => Ok(()),
        (Proof::Device { .. }, Factor::Code) => Err(Refused::CodeMalformed),
        (Proof::Device { code: Some(_), .. }, Factor::Tap) => Err(Refused::CodeNotTaken),
        (Proof::Passkey(_), Factor::Code | Factor::Tap) | (Proof::Device { .. }, Factor::Passkey) => Err(Refused::OtherFactor),
    }
}
