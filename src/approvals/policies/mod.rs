//! The policies as they are kept: versioned, changed by administrators, and read for every request.
//!
//! **Invariants**
//! - A change that weakens is made only under an administrator's fresh passkey (`acts`); one that does not is made at once.
//! - Every change is a version of its own and an entry of the journal; none is overwritten.
//! - Changes come one after the other: each is judged against the policies it changes.

mod acts;
mod resolve;
mod store;

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::fatigue::{self, Frozen};
use super::machine::Origin;
use super::policy::{self, Facts, Invalid, Policy, PolicySet, Requirement, Ruling, weakening};
use super::{Action, builtin_policy};
use crate::clock::{Clock, Timestamp};
use crate::db::{self, Db, Store, Tx};
use crate::id::{ActId, FreezeId};
use crate::identity::{self, Call, Failure, Handle, RelyingParty, Team, User, UserRef, WebauthnRefusal};
use crate::journal::{Actor, Entry, Journal};

pub use acts::{Act, ActChallenge, Change};
pub(super) use resolve::{Resolved, resolve};

/// The policies of an installation. Cheap to share behind an `Arc`.
pub struct Policies {
    store: Store,
    clock: Clock,
    journal: Journal,
    issuer: String,
    relying_party: RelyingParty,
    /// The policies of one version, compiled.
    compiled: Mutex<Option<(i64, Arc<PolicySet>)>>,
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
    /// What would be asked, of whom; `None` when no policy matches and it would be refused.
    pub asked: Option<Asked>,
    /// Every policy, the strictest first, and why it does not rule; `None` for the one that does.
    pub policies: Vec<(String, Option<String>)>,
}

/// What would be asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// With everybody named.
    pub requirement: Requirement,
    /// The people of each group.
    pub groups: Vec<Vec<User>>,
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
        Self { store, clock, journal, issuer, relying_party, compiled: Mutex::default() }
    }

    /// The policies that hold, ready for judging. They are compiled once for each version.
    pub(super) async fn current(&self, db: &mut Db<'_>) -> db::Result<Arc<PolicySet>> {
        let version = store::version(db).await?;
        let known = self.compiled.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, set)) = known.filter(|(known, _)| *known == version) {
            return Ok(set);
        }
        let set = Arc::new(compiled(store::list(db).await?)?);
        *self.compiled.lock().unwrap_or_else(PoisonError::into_inner) = Some((version, set.clone()));
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
        call.admin()?;
        let who = user.clone();
        let found: Option<User> =
            self.store.read(move |db| Box::pin(async move { identity::active_user(db, &who).await })).await?;
        let found = found.ok_or_else(|| Refused::NotFound(user.to_string()))?;
        self.change(call, Change::AddMember { team, user: found.id }).await
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
                let policy_version = store::lock_version(tx).await?;
                let Some(why) = judged(tx, &change).await? else {
                    make(tx, &journal, &change, actor, now).await?;
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
        let Some((require, reference)) = demands(&set, &facts) else { return Ok(Judgement { asked: None, policies }) };
        let who = requester.clone();
        let (Resolved { requirement, groups }, unreachable) = self
            .store
            .read::<_, db::Error, _>(move |db| {
                Box::pin(async move {
                    let resolved = resolve(db, &require, reference, &who).await?;
                    let unreachable = resolved.unreachable(db, &require, &who).await?;
                    Ok((resolved, unreachable))
                })
            })
            .await?;
        Ok(Judgement { asked: Some(Asked { requirement, groups, requester, unreachable }), policies })
    }
}

fn compiled(policies: Vec<Stored>) -> db::Result<PolicySet> {
    let broken = |name| db::Error::inconsistent("policies", name, "its patterns do not parse");
    PolicySet::new(policies.into_iter().map(|stored| stored.policy).collect()).map_err(broken)
}

/// What the policies demand of an action, and by which name; `None` when it is refused.
pub(super) fn demands(set: &PolicySet, facts: &Facts<'_>) -> Option<(policy::Require, policy::PolicyRef)> {
    match set.ruling(facts) {
        Ruling::Builtin => Some((policy::Require::builtin(), builtin_policy())),
        Ruling::Policy(policy) => Some((policy.require.clone(), policy.reference())),
        Ruling::Unmatched => None,
    }
}

fn explained(set: &PolicySet, facts: &Facts<'_>) -> Vec<(String, Option<String>)> {
    let mut ruler: Option<String> = None;
    let mut explain = |(policy, why_not): (&Policy, Option<policy::WhyNot>)| {
        let name = policy.name.as_str().to_owned();
        let why = match (why_not, &ruler) {
            (Some(why), _) => Some(why.to_string()),
            (None, Some(stricter)) => Some(format!("it matches, but {stricter} is stricter")),
            (None, None) => {
                ruler = Some(name.clone());
                None
            }
        };
        (name, why)
    };
    set.judged(facts).map(&mut explain).collect()
}

/// Why a change weakens, if it does; everybody it names is looked up first.
async fn judged(tx: &mut Tx<'_>, change: &Change) -> Result<Option<String>, Error> {
    let before: Vec<Policy> = store::list(tx.db()).await?.into_iter().map(|stored| stored.policy).collect();
    match change {
        Change::SetPolicy { policy } => {
            known(tx.db(), policy).await?;
            Ok(weakening(&before, policy.name.as_str(), Some(policy)).map(|why| why.to_string()))
        }
        Change::RemovePolicy { name } => {
            let why = weakening(&before, name.as_str(), None);
            Ok(Some(why.ok_or_else(|| Refused::NotFound(format!("policy {name}")))?.to_string()))
        }
        Change::AddMember { team, user } => {
            let found = known_team(tx, team).await?;
            let members = identity::team_members(tx.db(), found.id).await?;
            let named = before.iter().find(|policy| policy.require.groups.iter().any(|group| group.teams.contains(team)));
            let joins = !members.iter().any(|member| member.id == *user);
            Ok(named.filter(|_| joins).map(|policy| format!("another person could approve under policy {}", policy.name)))
        }
        Change::LiftFreeze { freeze, .. } => {
            let found = fatigue::known_freeze(tx.db(), *freeze).await?;
            let found = found.ok_or_else(|| Refused::NotFound(freeze.to_string()))?;
            Ok(Some(format!("requests of {}, which were reported, could be approved again", found.what())))
        }
    }
}

/// That everybody a policy names is there.
async fn known(db: &mut Db<'_>, policy: &Policy) -> Result<(), Error> {
    let missing = |field: String, what: String| Refused::Invalid(Invalid { field, why: format!("there is no {what}") });
    for (at, group) in policy.require.groups.iter().enumerate() {
        let field = |kind: &str| format!("require.groups[{at}].{kind}");
        for user in &group.users {
            if identity::active_user(db, user).await?.is_none() {
                return Err(missing(field("users"), user.to_string()).into());
            }
        }
        for team in &group.teams {
            if identity::find_team(db, team).await?.is_none() {
                return Err(missing(field("teams"), format!("team {team}")).into());
            }
        }
    }
    for bot in policy.require.executor.iter().chain(policy.matching.bots.iter().flatten()) {
        if identity::active_bot(db, bot).await?.is_none() {
            return Err(missing("require.executor, match.bots".to_owned(), format!("bot {bot}")).into());
        }
    }
    Ok(())
}

/// Makes a change and records it.
async fn make(tx: &mut Tx<'_>, journal: &Journal, change: &Change, actor: Actor, now: Timestamp) -> Result<(), Error> {
    match change {
        Change::SetPolicy { policy } => {
            let version = store::version(tx.db()).await? + 1;
            store::change(tx, version, policy.name.as_str(), Some(policy), now).await?;
            let data = json!({"version": version, "sha256": policy.reference().sha256, "policy": policy});
            record(tx, journal, now, actor, "policy.set", policy.name.to_string(), data).await
        }
        Change::RemovePolicy { name } => {
            let version = store::version(tx.db()).await? + 1;
            store::change(tx, version, name.as_str(), None, now).await?;
            record(tx, journal, now, actor, "policy.removed", name.to_string(), json!({"version": version})).await
        }
        Change::AddMember { team, user } => {
            let team = known_team(tx, team).await?;
            if !identity::add_member(tx, team.id, *user, now).await? {
                return Ok(());
            }
            // An act that was proposed before names a smaller team.
            let version = store::version(tx.db()).await? + 1;
            store::raise(tx, version).await?;
            let data = json!({"name": team.name, "user": user});
            record(tx, journal, now, actor, "team.member_added", team.id.to_string(), data).await
        }
        Change::LiftFreeze { freeze, .. } => {
            let lifted = fatigue::lift(tx, journal, *freeze, actor, now).await?;
            if lifted { Ok(()) } else { Err(Refused::NotFound(freeze.to_string()).into()) }
        }
    }
}

async fn known_team(tx: &mut Tx<'_>, name: &Handle) -> Result<Team, Error> {
    let found = identity::find_team(tx.db(), name).await?;
    found.ok_or_else(|| Refused::NotFound(format!("team {name}")).into())
}

async fn record(
    tx: &mut Tx<'_>,
    journal: &Journal,
    now: Timestamp,
    actor: Actor,
    kind: &'static str,
    subject: String,
    data: serde_json::Value,
) -> Result<(), Error> {
    Ok(journal.append(tx, now, Entry { kind, actor, subject, data }).await?)
}
