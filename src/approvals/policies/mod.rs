//! The policies as they are kept: versioned, changed by administrators, and read for every request.
//!
//! **Invariants**
//! - A change that weakens is made only under a fresh passkey (`acts`): an administrator's, or, for a delegate of one's own, one's own.
//!   One that does not is made at once.
//! - Policies that were compiled stand for the version and the digest they were read at, for a version alone may come again after a restore.
//! - Every change is a version of its own and an entry of the journal; none is overwritten.
//! - Changes come one after the other: each is judged against the policies it changes.
//! - The commands of chat change as policies do, under the same head, for they say which action a line asks for; so do the limits of bots,
//!   which say what is asked at all.

mod acts;
mod away;
mod changing;
mod commanding;
mod limiting;
mod resolve;
mod store;

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::json;

use self::changing::{judged, known_team, make, record};
use super::action::canonical;
use super::commands::Commands;
use super::fatigue::{self, Frozen};
use super::machine::Origin;
use super::policy::{self, Facts, Fit, Invalid, Policy, PolicySet, Requirement, Ruling, weakening};
use super::{Action, builtin_policy};
use crate::clock::{Clock, Timestamp};
use crate::db::{self, Db, Store};
use crate::id::{ActId, FreezeId, UserId};
use crate::identity::{
    self, Call, CallRefusal, DrawnCode, Failure, Handle, PersonName, RelyingParty, User, UserRef, WebauthnRefusal,
};
use crate::journal::Journal;
use crate::secret::{b64u, tagged_sha256};

pub use acts::{Act, ActChallenge, Change, Confirmation};
pub use away::{Absence, AbsenceView, Away};
pub use resolve::Staff;
pub(super) use resolve::{Resolved, resolve};
pub use store::forget_acts;

/// The policies of an installation. Cheap to share behind an `Arc`.
pub struct Policies {
    store: Store,
    clock: Clock,
    journal: Journal,
    issuer: String,
    relying_party: RelyingParty,
    /// The policies of one head, compiled.
    compiled: Mutex<Option<(Head, Arc<PolicySet>)>>,
    /// The commands of chat, of one head, compiled.
    commands: Mutex<Option<(Head, Arc<Commands>)>>,
}

/// Where the policies stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The version of all policies together.
    version: i64,
    /// `H("phoneops.policies.v1", previous || JCS(change))`, base64url: what they are and how they came to be that.
    sha256: String,
}

impl Head {
    /// The head after `change` was made on this one.
    fn after(&self, change: &Change) -> Self {
        let grown = [self.sha256.as_bytes(), &canonical(change)].concat();
        Self { version: self.version + 1, sha256: b64u(tagged_sha256("phoneops.policies.v1", &grown)) }
    }
}

/// A policy as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The policy.
    pub policy: Policy,
    /// The version of all policies that this change made.
    pub version: i64,
    /// When it became what it is.
    pub changed_at: Timestamp,
}

/// What became of a change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Changed<T> {
    /// It was made.
    Made(T),
    /// It weakens, and waits for an administrator's passkey.
    Waits(Box<Act>),
}

/// An action to try the policies on.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The action.
    pub action: Action,
    /// For whom it would be asked.
    pub requester: UserRef,
    /// The name of the bot that would ask.
    pub bot: Handle,
    /// Where in chat.
    pub origin: Option<Origin>,
}

/// What would become of an action.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What would be asked, of whom, or why it would be refused: no policy matches, or one cannot be judged.
    pub asked: Result<Asked, Undemanded>,
    /// Every policy, the strictest first, and why it does not rule; `None` for the one that does.
    pub policies: Vec<(String, Option<String>)>,
}

/// What would be asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// With everybody named.
    pub requirement: Requirement,
    /// The people of each group.
    pub groups: Vec<Staff>,
    /// The requester.
    pub requester: User,
    /// Why the request would be refused all the same.
    pub unreachable: Option<String>,
}

/// Why policies said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The policy makes no sense.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There is no such thing.
    #[error("there is no {0}")]
    NotFound(String),
    /// The act was confirmed before.
    #[error("this change was made already")]
    ActDone,
    /// Too late.
    #[error("the proposal is over: propose the change again")]
    ActExpired,
    /// The policies have changed since it was judged.
    #[error("the policies have changed since this was proposed: propose it again")]
    ActOutdated,
    /// Not a challenge of this act and person.
    #[error("the challenge is not one for this change and person")]
    ChallengeUnknown,
    /// It was answered before.
    #[error("the challenge was answered before")]
    ChallengeUsed,
    /// Too late.
    #[error("the challenge is over: ask for a new one")]
    ChallengeExpired,
    /// The signature was refused.
    #[error(transparent)]
    Webauthn(WebauthnRefusal),
    /// What was to be made of people or devices was refused.
    #[error(transparent)]
    Identity(identity::Refusal),
}

/// What [`Policies`] returns when it does not do as it was asked.
pub type Error = Failure<Refused>;

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Policies {
    /// The policies in `store`.
    #[must_use]
    pub fn new(store: Store, clock: Clock, journal: Journal, issuer: String, relying_party: RelyingParty) -> Self {
        Self { store, clock, journal, issuer, relying_party, compiled: Mutex::default(), commands: Mutex::default() }
    }

    /// The policies that hold, ready for judging. They are compiled once for each head.
    pub(super) async fn current(&self, db: &mut Db<'_>) -> db::Result<Arc<PolicySet>> {
        let head = store::head(db).await?;
        let known = self.compiled.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, set)) = known.filter(|(known, _)| *known == head) {
            return Ok(set);
        }
        let set = Arc::new(compiled(store::list(db).await?)?);
        *self.compiled.lock().unwrap_or_else(PoisonError::into_inner) = Some((head, set.clone()));
        Ok(set)
    }

    /// The policies, by name.
    ///
    /// # Errors
    /// Only administrators may see them.
    pub async fn list(&self, call: &Call) -> Result<Vec<Stored>, Error> {
        call.admin()?;
        Ok(self.store.read(|db| Box::pin(store::list(db))).await?)
    }

    /// One policy.
    ///
    /// # Errors
    /// Only administrators may see it; there may be none of that name.
    pub async fn find(&self, call: &Call, name: &Handle) -> Result<Stored, Error> {
        let found = self.list(call).await?.into_iter().find(|stored| stored.policy.name == *name);
        found.ok_or_else(|| Refused::NotFound(format!("policy {name}")).into())
    }

    /// Makes `policy` what its name means from now on, or proposes it when that weakens.
    ///
    /// # Errors
    /// Only administrators may; it must make sense and name people, teams and bots that are there.
    pub async fn set(&self, call: &Call, policy: Policy) -> Result<Changed<Stored>, Error> {
        call.admin()?;
        policy.check().map_err(Refused::Invalid)?;
        let name = policy.name.clone();
        let change = Change::SetPolicy { policy };
        match self.change(call, change).await? {
            Changed::Waits(act) => Ok(Changed::Waits(act)),
            Changed::Made(()) => Ok(Changed::Made(self.find(call, &name).await?)),
        }
    }

    /// Takes a policy away, which weakens.
    ///
    /// # Errors
    /// Only administrators may; there may be none of that name.
    pub async fn remove(&self, call: &Call, name: Handle) -> Result<Changed<()>, Error> {
        call.admin()?;
        self.change(call, Change::RemovePolicy { name }).await
    }

    /// Adds somebody to a team, which weakens when a policy names the team.
    ///
    /// # Errors
    /// Only administrators may; team and person must be there.
    pub async fn add_member(&self, call: &Call, team: Handle, user: UserRef) -> Result<Changed<()>, Error> {
        let user = self.somebody(call, user).await?;
        self.change(call, Change::AddMember { team, user }).await
    }

    /// Proposes a code for a device of somebody else.
    ///
    /// # Errors
    /// Only administrators may; there may be no such person.
    pub async fn enroll(&self, call: &Call, who: UserRef) -> Result<Act, Error> {
        let user = self.somebody(call, who).await?;
        self.propose(call, Change::Enroll { user }).await
    }

    /// Proposes a code that recovers somebody else.
    ///
    /// # Errors
    /// Only administrators may, and not for themselves; there may be no such person.
    pub async fn recover(&self, call: &Call, who: UserRef) -> Result<Act, Error> {
        let user = self.somebody(call, who).await?;
        if call.person().is_ok_and(|person| person.user.id == user) {
            return Err(CallRefusal::Forbidden(acts::NOT_ONESELF).into());
        }
        self.propose(call, Change::Recover { user }).await
    }

    /// Proposes another administrator.
    ///
    /// # Errors
    /// Only administrators may; the handle may be taken.
    pub async fn create_admin(&self, call: &Call, handle: Handle, name: PersonName) -> Result<Act, Error> {
        call.admin()?;
        self.propose(call, Change::CreateAdmin { handle, name }).await
    }

    /// Makes somebody who is here an administrator, which weakens unless they are one.
    ///
    /// # Errors
    /// Only administrators may; there may be no such person.
    pub async fn grant_admin(&self, call: &Call, who: UserRef) -> Result<Changed<()>, Error> {
        let user = self.somebody(call, who).await?;
        self.change(call, Change::GrantAdmin { user }).await
    }

    async fn somebody(&self, call: &Call, who: UserRef) -> Result<UserId, Error> {
        call.admin()?;
        let named = who.clone();
        let found: Option<User> =
            self.store.read(move |db| Box::pin(async move { identity::active_user(db, &named).await })).await?;
        Ok(found.ok_or_else(|| Refused::NotFound(who.to_string()))?.id)
    }

    /// Proposes what always weakens.
    async fn propose(&self, call: &Call, change: Change) -> Result<Act, Error> {
        match self.change(call, change).await? {
            Changed::Waits(act) => Ok(*act),
            Changed::Made(()) => Err(db::Error::Failed("what always weakens was made at once".to_owned()).into()),
        }
    }

    /// Lifts a freeze, which weakens.
    ///
    /// # Errors
    /// Only administrators may; it must be open.
    pub async fn lift_freeze(&self, call: &Call, id: FreezeId) -> Result<Changed<()>, Error> {
        call.admin()?;
        let found: Option<Frozen> = self.store.read(move |db| Box::pin(fatigue::known_freeze(db, id))).await?;
        let freeze = found.ok_or_else(|| Refused::NotFound(id.to_string()))?.freeze;
        self.change(call, Change::LiftFreeze { freeze: id, bot: freeze.bot, requester: freeze.requester }).await
    }

    /// Takes somebody out of a team.
    ///
    /// # Errors
    /// Only administrators may; they must be a member.
    pub async fn remove_member(&self, call: &Call, team: Handle, user: UserRef) -> Result<(), Error> {
        call.admin()?;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let missing = || Refused::NotFound(format!("{user} in team {team}"));
                let found = known_team(tx, &team).await?;
                let member = identity::active_user(tx.db(), &user).await?.ok_or_else(missing)?;
                if !identity::remove_member(tx, found.id, member.id).await? {
                    return Err(missing().into());
                }
                let data = json!({"name": found.name, "user": member.id});
                record(tx, &journal, now, actor, "team.member_removed", found.id.to_string(), data).await?;
                Ok(())
            })
        })
        .await
    }

    /// Makes a change at once, or proposes it when it weakens.
    async fn change(&self, call: &Call, change: Change) -> Result<Changed<()>, Error> {
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let policy_version = store::lock_head(tx).await?.version;
                let Some(why) = judged(tx, &change).await? else {
                    // What makes a code always weakens: this one is never opened.
                    make(tx, &journal, &change, actor, DrawnCode::draw(now).to_open(), now).await?;
                    crate::crash_point!("policy-written");
                    return Ok(Changed::Made(()));
                };
                let act = Act {
                    id: ActId::new(now),
                    change,
                    why,
                    policy_version,
                    proposed_by: actor,
                    created_at: now,
                    expires_at: now.after(acts::ACT_LIFE),
                    done: None,
                };
                store::insert_act(tx, &act).await?;
                let data = json!({"change": act.change, "why": act.why});
                record(tx, &journal, now, actor, "act.proposed", act.id.to_string(), data).await?;
                crate::crash_point!("act-proposed");
                Ok(Changed::Waits(Box::new(act)))
            })
        })
        .await
    }

    /// Which policy would rule, who would be asked, and why the others do not rule.
    ///
    /// # Errors
    /// Only administrators may ask; the requester must be there.
    pub async fn test(&self, call: &Call, trial: Trial) -> Result<Judgement, Error> {
        call.admin()?;
        let who = trial.requester.clone();
        let (policies, requester) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let requester = identity::active_user(db, &who).await?;
                    let requester = requester.ok_or_else(|| Refused::NotFound(who.to_string()))?;
                    Ok::<_, Error>((store::list(db).await?, requester))
                })
            })
            .await?;
        let set = compiled(policies)?;
        let facts = Facts { action: &trial.action, bot: trial.bot.as_str(), origin: trial.origin.as_ref() };
        let policies = explained(&set, &facts);
        let (require, reference) = match demands(&set, &facts) {
            Ok(demands) => demands,
            Err(refused) => return Ok(Judgement { asked: Err(refused), policies }),
        };
        let (who, now) = (requester.clone(), self.clock.now());
        let (Resolved { requirement, groups }, unreachable) = self
            .store
            .read::<_, db::Error, _>(move |db| {
                Box::pin(async move {
                    let resolved = resolve(db, &require, reference, &who, now).await?;
                    let unreachable = resolved.unreachable(db, &require, &who).await?;
                    Ok((resolved, unreachable))
                })
            })
            .await?;
        Ok(Judgement { asked: Ok(Asked { requirement, groups, requester, unreachable }), policies })
    }
}

fn compiled(policies: Vec<Stored>) -> db::Result<PolicySet> {
    let broken = |name| db::Error::inconsistent("policies", name, "its patterns do not parse");
    PolicySet::new(policies.into_iter().map(|stored| stored.policy).collect()).map_err(broken)
}

/// Why policies let nothing be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undemanded {
    /// There are policies, and none matches.
    #[error("no policy allows this action")]
    Unmatched,
    /// Whether the strictest one that may match does cannot be told.
    #[error("policy {policy} cannot judge the param {param}: {why}")]
    Unclear {
        /// The policy.
        policy: String,
        /// The param.
        param: String,
        /// Why not.
        why: policy::Unclear,
    },
}

/// What the policies demand of an action, and by which name.
pub(super) fn demands(set: &PolicySet, facts: &Facts<'_>) -> Result<(policy::Require, policy::PolicyRef), Undemanded> {
    match set.ruling(facts) {
        Ruling::Builtin => Ok((policy::Require::builtin(), builtin_policy())),
        Ruling::Policy(policy) => Ok((policy.require.clone(), policy.reference())),
        Ruling::Unmatched => Err(Undemanded::Unmatched),
        Ruling::Unclear(policy::Doubt { policy, param, why }) => {
            Err(Undemanded::Unclear { policy: policy.name.as_str().to_owned(), param: param.to_owned(), why })
        }
    }
}

fn explained(set: &PolicySet, facts: &Facts<'_>) -> Vec<(String, Option<String>)> {
    // What comes first of those that match and those that cannot tell: it rules, or nothing does.
    let mut first: Option<(String, &str)> = None;
    let mut explain = |(policy, fit): (&Policy, Fit<'_>)| {
        let name = policy.name.as_str().to_owned();
        let why = match (fit, &first) {
            (Fit::Not(why), _) => Some(why.to_string()),
            (Fit::Matches, Some((stricter, but))) => Some(format!("it matches, but {stricter} is stricter{but}")),
            (Fit::Matches, None) => {
                first = Some((name.clone(), ""));
                None
            }
            (Fit::Unclear(policy::Doubt { param, why, .. }), before) => {
                let why = format!("it cannot judge the param {param}: {why}");
                if before.is_none() {
                    first = Some((name.clone(), " and cannot be judged"));
                }
                Some(why)
            }
        };
        (name, why)
    };
    set.judged(facts).map(&mut explain).collect()
}
