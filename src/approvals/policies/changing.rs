//! Inside the transaction: whether a change weakens, and what it does.

use serde_json::json;

use super::acts::Change;
use super::away::{self, Absence};
use super::{Error, Head, Invalid, Policy, Refused, commanding, limiting, store, weakening};
use crate::approvals::{commands, fatigue, limits};
use crate::clock::Timestamp;
use crate::db::{Db, Tx};
use crate::id::UserId;
use crate::identity::{self, CodePurpose, CodeToOpen, Failure, Handle, OpenedCode, Role, Team, User, UserRef};
use crate::journal::{Actor, Entry, Journal};

/// Why a change weakens, if it does; everybody it names is looked up first.
pub(super) async fn judged(tx: &mut Tx<'_>, change: &Change) -> Result<Option<String>, Error> {
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
            match named {
                _ if !joins => Ok(None),
                Some(policy) => Ok(Some(format!("another person could approve under policy {}", policy.name))),
                None => limiting::joining_weakens(tx.db(), team).await,
            }
        }
        Change::Enroll { user } => {
            let who = named(tx, *user).await?;
            Ok(Some(format!("whoever gets the code could join as {}", who.full_name())))
        }
        Change::Recover { user } => {
            let who = named(tx, *user).await?;
            Ok(Some(format!("whoever gets the code acts as {} once the recovery wait is over", who.full_name())))
        }
        Change::Away { user, from, until, delegate } => {
            away::judged(tx, &Absence { user: *user, from: *from, until: *until, delegate: *delegate }).await
        }
        Change::SetCommand { command } => commanding::set_weakens(tx, command).await,
        Change::RemoveCommand { name } => commanding::removal_weakens(tx, name).await.map(Some),
        Change::SetLimits { bot, limits } => limiting::set_weakens(tx, *bot, limits).await,
        Change::RemoveLimits { bot } => limiting::removal_weakens(tx, *bot).await,
        Change::LiftFreeze { freeze, .. } => {
            let found = fatigue::known_freeze(tx.db(), *freeze).await?;
            let found = found.ok_or_else(|| Refused::NotFound(freeze.to_string()))?;
            Ok(Some(format!("requests of {}, which were reported, could be approved again", found.what())))
        }
        Change::CreateAdmin { handle, .. } => {
            if identity::handle_taken(tx.db(), handle).await? {
                return Err(Refused::Identity(identity::Refusal::HandleTaken(handle.as_str().to_owned())).into());
            }
            Ok(Some("another person could administer".to_owned()))
        }
        Change::GrantAdmin { user } => {
            let who = named(tx, *user).await?;
            Ok((who.role != Role::Admin).then(|| format!("{} could administer", who.full_name())))
        }
    }
}

/// The person, who has not left.
async fn named(tx: &mut Tx<'_>, user: UserId) -> Result<User, Error> {
    let found = identity::active_user(tx.db(), &UserRef::Id(user)).await?;
    found.ok_or_else(|| Refused::NotFound(user.to_string()).into())
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

/// Makes a change and records it. Where it makes an enrolment code, that is the one that was drawn.
pub(super) async fn make(
    tx: &mut Tx<'_>,
    journal: &Journal,
    change: &Change,
    actor: Actor,
    code: CodeToOpen,
    now: Timestamp,
) -> Result<Option<OpenedCode>, Error> {
    let next = store::head(tx.db()).await?.after(change);
    let version = next.version;
    match change {
        Change::SetPolicy { policy } => {
            store::change(tx, &next, policy.name.as_str(), Some(policy), now).await?;
            let data = json!({"version": version, "sha256": policy.reference().sha256, "policy": policy});
            record(tx, journal, now, actor, "policy.set", policy.name.to_string(), data).await?;
        }
        Change::RemovePolicy { name } => {
            store::change(tx, &next, name.as_str(), None, now).await?;
            record(tx, journal, now, actor, "policy.removed", name.to_string(), json!({"version": version})).await?;
        }
        Change::AddMember { team, user } => join(tx, journal, &next, (team, *user), actor, now).await?,
        Change::Enroll { user } | Change::Recover { user } => {
            let user = named(tx, *user).await?.id;
            let recovers = matches!(change, Change::Recover { .. });
            let purpose = if recovers { CodePurpose::Recovery } else { CodePurpose::Device };
            return Ok(Some(identity::open_code(tx, journal, actor, (user, purpose), code, now).await?));
        }
        Change::Away { user, from, until, delegate } => {
            let absence = Absence { user: *user, from: *from, until: *until, delegate: *delegate };
            away::make(tx, journal, absence, actor, now).await?;
        }
        Change::SetCommand { command } => {
            commands::store::set(tx, command, now).await?;
            store::raise(tx, &next).await?;
            record(tx, journal, now, actor, "command.set", command.name.to_string(), json!({"command": command})).await?;
        }
        Change::RemoveCommand { name } => {
            commands::store::remove(tx, name).await?;
            store::raise(tx, &next).await?;
            record(tx, journal, now, actor, "command.removed", name.to_string(), json!({"name": name})).await?;
        }
        Change::SetLimits { bot, limits } => {
            let bot = limiting::known(tx.db(), *bot).await?.id;
            limits::store::set(tx, bot, limits, now).await?;
            store::raise(tx, &next).await?;
            record(tx, journal, now, actor, "bot.limited", bot.to_string(), json!({"limits": limits})).await?;
        }
        Change::RemoveLimits { bot } => {
            if !limits::store::remove(tx, *bot).await? {
                return Err(Refused::NotFound(format!("limit of {bot}")).into());
            }
            store::raise(tx, &next).await?;
            record(tx, journal, now, actor, "bot.unlimited", bot.to_string(), json!({})).await?;
        }
        Change::LiftFreeze { freeze, .. } => {
            if !fatigue::lift(tx, journal, *freeze, actor, now).await? {
                return Err(Refused::NotFound(freeze.to_string()).into());
            }
        }
        Change::CreateAdmin { handle, name } => {
            let (handle, name) = (handle.clone(), name.clone());
            let user =
                User { id: UserId::new(now), handle, name, role: Role::Admin, email: None, created_at: now, removed_at: None };
            identity::add_user(tx, journal, now, actor, &user).await.map_err(of_identity)?;
        }
        Change::GrantAdmin { user } => {
            identity::set_role(tx, journal, (*user, Role::Admin), actor, now).await.map_err(of_identity)?;
        }
    }
    Ok(None)
}

/// What identity said, as policies say it.
fn of_identity(failure: identity::Error) -> Error {
    match failure {
        Failure::Refused(refusal) => Refused::Identity(refusal).into(),
        Failure::Call(refusal) => refusal.into(),
        Failure::Db(error) => error.into(),
    }
}

async fn join(
    tx: &mut Tx<'_>,
    journal: &Journal,
    next: &Head,
    (team, user): (&Handle, UserId),
    actor: Actor,
    now: Timestamp,
) -> Result<(), Error> {
    let team = known_team(tx, team).await?;
    if !identity::add_member(tx, team.id, user, now).await? {
        return Ok(());
    }
    // An act that was proposed before names a smaller team.
    store::raise(tx, next).await?;
    let data = json!({"name": team.name, "user": user});
    record(tx, journal, now, actor, "team.member_added", team.id.to_string(), data).await
}

pub(super) async fn known_team(tx: &mut Tx<'_>, name: &Handle) -> Result<Team, Error> {
    let found = identity::find_team(tx.db(), name).await?;
    found.ok_or_else(|| Refused::NotFound(format!("team {name}")).into())
}

pub(super) async fn record(
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
