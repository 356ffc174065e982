//! Requests, answers, redemptions: load, step, save and record, in one transaction each.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::deciding::{By, Deciding, Parts, Redeeming, Signed, apply, decide, redeem, request, same_answer};
use super::grant::GrantKey;
use super::machine::{Approval, Decision, Event, Origin, Refusal, State, Verdict};
use super::outcome::{self, Reported};
use super::statement::{self, Statement};
use super::store::{self, StoredChallenge};
use super::{Action, Display};
use crate::clock::{Clock, Timestamp};
use crate::db::{self, Db, Store};
use crate::delivery::Delivery;
use crate::hub::Hub;
use crate::id::{ApprovalId, BotId, ChallengeId, GrantId, UserId};
use crate::identity::{
    self, Bot, Call, Caller, Credential, Failure, IssuerKeys, RelyingParty, Scope, User, UserRef, WebauthnRefusal,
};
use crate::jobs::Queue;
use crate::journal::{Actor, Journal};
use crate::secret::random;

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
    pub(super) issuer: String,
    pub(super) relying_party: RelyingParty,
    pub(super) keys: IssuerKeys,
    grant_key: GrantKey,
}

/// What a bot asks.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is to be allowed.
    pub action: Action,
    /// For whom.
    pub requester: UserRef,
    /// Why, in the requester's own words.
    pub reason: Option<String>,
    /// Where in chat.
    pub origin: Option<Origin>,
    /// How long it may be answered.
    pub expires_in: Duration,
}

/// A statement offered for signing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// Its id.
    pub id: ChallengeId,
    /// The statement, canonical.
    pub statement: String,
    /// `PublicKeyCredentialRequestOptions` as JSON.
    pub public_key: Value,
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
    /// The authenticator's response.
    pub credential: Value,
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

/// An approval with the names of those involved.
#[derive(Clone, Debug)]
pub struct View {
    /// The approval.
    pub approval: Approval,
    /// For whom.
    pub requester: User,
    /// Through whom.
    pub bot: Bot,
    /// Who may answer.
    pub approvers: Vec<User>,
    /// Who decided.
    pub decided_by: Option<User>,
    /// What a phone shows.
    pub display: Display,
    /// The grant, for the bot that asked, while it can be redeemed.
    pub grant: Option<String>,
    /// What became of it, once the bot told.
    pub outcome: Option<Reported>,
}

/// Why approvals said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The machine refused.
    #[error(transparent)]
    Machine(Refusal),
    /// There is no such approval, or not for this caller.
    #[error("there is no {0}")]
    NotFound(String),
    /// There is no such requester.
    #[error("there is no {0}")]
    RequesterUnknown(String),
    /// The requester could never approve.
    #[error("{0} has no passkey and could not approve")]
    RequesterHasNoPasskey(String),
    /// Not a challenge of this approval and person.
    #[error("the challenge is not one for this approval and person")]
    ChallengeUnknown,
    /// The challenge was answered before, with something else.
    #[error("the challenge was answered before")]
    ChallengeUsed,
    /// Too late.
    #[error("the challenge is over: ask for a new one")]
    ChallengeExpired,
    /// A reason was given to an approve.
    #[error("only a denial takes a reason")]
    ReasonNotTaken,
    /// The signature was refused.
    #[error(transparent)]
    Webauthn(WebauthnRefusal),
    /// Not a grant of ours.
    #[error("this is not a grant of this installation")]
    GrantInvalid,
    /// Another bot's grant.
    #[error("the grant is for another bot")]
    GrantNotYours,
    /// The grant allows something else.
    #[error("the grant is for another action")]
    GrantOtherAction,
    /// Too late.
    #[error("the grant is over")]
    GrantExpired,
    /// It was redeemed before.
    #[error("the grant was redeemed before")]
    GrantRedeemed {
        /// When.
        at: Timestamp,
    },
    /// Who approved, or with what, is not trusted any more.
    #[error("the person, device or passkey that approved is not trusted any more")]
    GrantRevoked,
    /// Nothing can have come of it yet.
    #[error("the grant was not redeemed")]
    GrantNotRedeemed,
    /// What became of it was told before.
    #[error("the outcome was reported before")]
    OutcomeReported {
        /// When.
        at: Timestamp,
    },
    /// There is nothing to have a receipt of yet.
    #[error("the request is still waiting for an answer")]
    Undecided,
}

/// What approvals' services return when they do not do as they were asked.
pub type Error = Failure<Refused>;

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Refused::Machine(refusal))
    }
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
    /// The `public_url`, without a trailing slash.
    pub issuer: String,
}

impl Approvals {
    /// Approvals of one installation.
    #[must_use]
    pub fn new(ground: Ground, relying_party: RelyingParty, keys: IssuerKeys) -> Self {
        let Ground { store, clock, journal, queue, delivery, hub, issuer } = ground;
        let grant_key = GrantKey::new(keys.clone());
        Self { store, clock, journal, queue, delivery, hub, issuer, relying_party, keys, grant_key }
    }

    pub(super) fn parts(&self) -> Parts {
        Parts { journal: self.journal.clone(), queue: self.queue.clone(), delivery: self.delivery.clone(), hub: self.hub.clone() }
    }

    /// Asks that an action be allowed.
    ///
    /// # Errors
    /// Only bots with the scope may; the requester must exist and have a passkey.
    pub async fn request(&self, call: &Call, ask: Ask) -> Result<ApprovalId, Error> {
        let bot = call.bot(Scope::ApprovalsRequest)?.clone();
        let (now, parts) = (self.clock.now(), self.parts());
        call.write(&self.store, now, move |tx| Box::pin(async move { request(tx, &parts, &bot, ask, now).await })).await
    }

    /// Offers the caller a statement to sign.
    ///
    /// # Errors
    /// When the caller may not answer, or it is too late.
    pub async fn challenge(&self, call: &Call, id: ApprovalId, verdict: Verdict) -> Result<Challenge, Error> {
        let approver = call.person()?.user.id;
        if let Some(challenge) = call.repeated(&self.store).await? {
            return Ok(challenge);
        }
        let now = self.clock.now();
        let (view, credentials) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let approval = visible_to(db, id, approver).await?;
                    let passkeys = identity::usable_passkeys(db, approver).await?;
                    let credentials: Vec<Credential> = passkeys.into_iter().map(|passkey| passkey.credential).collect();
                    Ok::<_, Error>((view(db, approval).await?, credentials))
                })
            })
            .await?;
        open(&view.approval, now)?;
        if credentials.is_empty() {
            return Err(Refused::Webauthn(WebauthnRefusal::PasskeyUnknown).into());
        }
        let statement = Statement::new(&self.issuer, &view.approval, &view.display, approver, verdict, random()).canonical();
        let (public_key, ceremony) = self.relying_party.start_assertion(&credentials, statement::challenge(&statement));
        let expires_at = now.after(CHALLENGE_LIFE).min(view.approval.expires_at);
        let challenge = Challenge { id: ChallengeId::new(now), statement, public_key, expires_at };
        crate::crash_point!("challenge-drawn");
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let stored = StoredChallenge {
                    approver,
                    approval: id,
                    verdict,
                    statement: challenge.statement.clone(),
                    ceremony,
                    expires_at,
                    used: false,
                };
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
        let person = call.person()?.clone();
        let (approver, device) = (person.user.id, person.device.id);
        let now = self.clock.now();
        let challenge = answer.challenge;
        let (passkeys, approval, offered, before) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    // In this order, for on PostgreSQL each statement sees what was committed before it: passkeys that are as old
                    // as the answer is absent, so that the counter an identical answer left behind does not refuse this one.
                    let passkeys = identity::usable_passkeys(db, approver).await?;
                    let approval = visible_to(db, id, approver).await?;
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
        open(&approval, now)?;
        if offered.verdict == Verdict::Approve && answer.reason.is_some() {
            return Err(Refused::ReasonNotTaken.into());
        }
        crate::crash_point!("answer-received");
        let signed = self.verify(&offered, &answer.credential, &passkeys)?;
        crate::crash_point!("answer-verified");
        let parts = self.parts();
        let deciding = Deciding { id, approver, device, actor: call.actor(None), offered, answer, signed, now };
        call.write(&self.store, now, move |tx| Box::pin(async move { decide(tx, &parts, deciding).await })).await
    }

    /// Checks the signature over exactly the offered statement.
    fn verify(
        &self,
        offered: &StoredChallenge,
        credential: &Value,
        passkeys: &[identity::StoredPasskey],
    ) -> Result<Signed, Error> {
        let credential_id = identity::credential_id(credential).map_err(Refused::Webauthn)?;
        let passkey = passkeys
            .iter()
            .find(|passkey| passkey.credential.id() == credential_id)
            .ok_or(Refused::Webauthn(WebauthnRefusal::PasskeyUnknown))?;
        let assertion =
            self.relying_party.finish_assertion(&offered.ceremony, credential, &passkey.credential).map_err(Refused::Webauthn)?;
        Ok(Signed { passkey: passkey.id, updated: assertion.updated })
    }

    /// Withdraws a request of this bot.
    ///
    /// # Errors
    /// When it is not this bot's, or decided.
    pub async fn cancel(&self, call: &Call, id: ApprovalId) -> Result<(), Error> {
        let bot = call.bot(Scope::ApprovalsRequest)?.id;
        let (now, parts, actor) = (self.clock.now(), self.parts(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let approval = store::lock(tx, id).await?.filter(|approval| approval.bot == bot);
                let approval = approval.ok_or_else(|| Refused::NotFound(id.to_string()))?;
                apply(tx, &parts, approval, Event::Cancelled, &By { actor, device: None }, now).await?;
                Ok(())
            })
        })
        .await
    }

    /// The deadline's timer rang.
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
                    let Some(approval) = store::lock(tx, id).await? else { return Ok(()) };
                    let by = By { actor: Actor::System, device: None };
                    apply(tx, &parts, approval, Event::DeadlinePassed, &by, now).await?;
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

    /// Consumes a grant, once.
    ///
    /// # Errors
    /// Each way a redemption can fail has its own [`Refused`].
    pub async fn redeem(&self, call: &Call, grant: &str, action: &Action) -> Result<Redeemed, Error> {
        let bot = call.bot(Scope::GrantsRedeem)?.id;
        if let Some(redeemed) = call.repeated(&self.store).await? {
            return Ok(redeemed);
        }
        let (now, parts, actor) = (self.clock.now(), self.parts(), call.actor(None));
        self.grant_key.hear_of(grant).await?;
        let claims = self.grant_key.verify(grant, &self.issuer, bot, action, now)?;
        crate::crash_point!("grant-verified");
        let action_sha256 = action.sha256();
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let redeeming = Redeeming { grant: claims.jti, bot, action_sha256, now };
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
                    for approval in store::waiting_for(db, user, now, INBOX).await? {
                        views.push(view(db, approval).await?);
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
                    let approval = match viewer {
                        Viewer::Person(user) => visible_to(db, id, user).await?,
                        Viewer::Bot(bot) => store::find(db, id)
                            .await?
                            .filter(|approval| approval.bot == bot)
                            .ok_or_else(|| Refused::NotFound(id.to_string()))?,
                    };
                    let grant = match (&approval.state, viewer) {
                        (State::Approved(_), Viewer::Bot(_)) => store::find_grant(db, id).await?,
                        _ => None,
                    };
                    Ok::<_, Error>((view(db, approval).await?, grant))
                })
            })
            .await?;
        if let (State::Approved(decision), Some(grant)) = (&view.approval.state, grant)
            && grant.redeemed_at.is_none()
            && now < grant.expires_at
        {
            view.grant = Some(self.grant_key.mint(&self.issuer, &view.approval, &grant, decision.by));
        }
        Ok(view)
    }

    /// As [`Approvals::find`], but waits up to `wait` for a pending one to be decided. Holds no thread and no connection.
    ///
    /// # Errors
    /// As [`Approvals::find`].
    pub async fn wait(&self, call: &Call, id: ApprovalId, wait: Duration) -> Result<View, Error> {
        let changed = self.hub.subscribe(id.0);
        let view = self.find(call, id).await?;
        if wait.is_zero() || view.approval.state != State::Pending {
            return Ok(view);
        }
        if changed.wait(wait).await || self.store.engine() == db::Engine::Pg {
            return self.find(call, id).await;
        }
        Ok(view)
    }
}

#[derive(Clone, Copy)]
enum Viewer {
    Person(UserId),
    Bot(BotId),
}

/// The approval, when `user` is one of those it concerns. To others it does not exist.
pub(super) async fn visible_to(db: &mut Db<'_>, id: ApprovalId, user: UserId) -> Result<Approval, Error> {
    let found = store::find(db, id).await?;
    let found = found.filter(|approval| approval.requester == user || approval.requirement.approvers.contains(&user));
    found.ok_or_else(|| Refused::NotFound(id.to_string()).into())
}

/// Nothing, while it can still be answered.
pub(super) fn open(approval: &Approval, now: Timestamp) -> Result<(), Refusal> {
    match &approval.state {
        State::Pending if now < approval.expires_at => Ok(()),
        State::Pending | State::Expired { .. } => Err(Refusal::Expired),
        State::Approved(decision) | State::Denied(decision) => Err(Refusal::Decided(decision.clone())),
        State::Cancelled { .. } => Err(Refusal::Cancelled),
    }
}

pub(super) async fn view(db: &mut Db<'_>, approval: Approval) -> Result<View, db::Error> {
    let requester = identity::known_user(db, approval.requester).await?;
    let bot = identity::known_bot(db, approval.bot).await?;
    let mut approvers = Vec::new();
    for id in &approval.requirement.approvers {
        let known = if *id == requester.id { requester.clone() } else { identity::known_user(db, *id).await? };
        approvers.push(known);
    }
    let decided_by = match &approval.state {
        State::Approved(Decision { by, .. }) | State::Denied(Decision { by, .. }) => {
            let among = approvers.iter().find(|user| user.id == *by).cloned();
            Some(match among {
                Some(user) => user,
                None => identity::known_user(db, *by).await?,
            })
        }
        _ => None,
    };
    let display = Display::of(&approval.action, &requester.full_name(), bot.name.as_str(), approval.reason.as_deref());
    let outcome = outcome::of(db, &approval).await?;
    Ok(View { approval, requester, bot, approvers, decided_by, display, grant: None, outcome })
}
