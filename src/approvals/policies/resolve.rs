//! From names to people: what a policy takes of whom, today.

use crate::approvals::policy::{Factor, Group, PolicyRef, Quorum, Require, Requirement};
use crate::db::{self, Db};
use crate::id::UserId;
use crate::identity::{self, User};

/// A policy's demands with everybody named.
#[derive(Clone, Debug)]
pub(in crate::approvals) struct Resolved {
    /// What is frozen into an approval.
    pub(in crate::approvals) requirement: Requirement,
    /// The people of each group.
    pub(in crate::approvals) groups: Vec<Vec<User>>,
}

/// Everybody a policy means, now, for a request of `requester`.
pub(in crate::approvals) async fn resolve(
    db: &mut Db<'_>,
    require: &Require,
    policy: PolicyRef,
    requester: &User,
) -> db::Result<Resolved> {
    let mut groups = Vec::new();
    for group in &require.groups {
        let mut members = people(db, group).await?;
        members.retain(|member| !(require.requester_excluded && member.id == requester.id));
        groups.push(members);
    }
    let executor = match &require.executor {
        None => None,
        Some(name) => identity::active_bot(db, name).await?.map(|bot| bot.id),
    };
    let quorum = |(group, members): (&Group, &Vec<User>)| Quorum {
        needed: group.quorum,
        members: members.iter().map(|member| member.id).collect(),
    };
    let requirement = Requirement {
        policy,
        factor: require.factor,
        requester: require.requester,
        requester_excluded: require.requester_excluded,
        groups: require.groups.iter().zip(&groups).map(quorum).collect(),
        window_seconds: require.expires_in,
        delay_seconds: require.delay,
        executor,
        bound_grant: require.bound_grant,
        break_glass: require.break_glass,
    };
    Ok(Resolved { requirement, groups })
}

impl Resolved {
    /// Why nobody could approve or redeem this, if nobody could.
    pub(in crate::approvals) async fn unreachable(
        &self,
        db: &mut Db<'_>,
        require: &Require,
        requester: &User,
    ) -> db::Result<Option<String>> {
        if require.requester && !can_answer(db, requester.id, require.factor).await? {
            return Ok(Some(format!("{} must approve and has no {}", requester.full_name(), means(require.factor))));
        }
        for (at, (group, members)) in require.groups.iter().zip(&self.groups).enumerate() {
            if let Some(why) = short(db, require, group, members).await? {
                let excluded = require.requester_excluded && names(db, group, requester).await?;
                let also = if excluded { format!("; {} is the requester", requester.full_name()) } else { String::new() };
                return Ok(Some(format!("group {}: {why}{also}", at + 1)));
            }
        }
        let nobody = require.executor.as_ref().filter(|_| self.requirement.executor.is_none());
        Ok(nobody.map(|name| format!("there is no bot {name} to redeem it")))
    }
}

/// Whether a group names this person, alone or in a team.
async fn names(db: &mut Db<'_>, group: &Group, who: &User) -> db::Result<bool> {
    Ok(people(db, group).await?.iter().any(|member| member.id == who.id))
}

/// The people of a group who have not left, each once.
async fn people(db: &mut Db<'_>, group: &Group) -> db::Result<Vec<User>> {
    let mut people: Vec<User> = Vec::new();
    for name in &group.users {
        people.extend(identity::active_user(db, name).await?);
    }
    for name in &group.teams {
        if let Some(team) = identity::find_team(db, name).await? {
            people.extend(identity::team_members(db, team.id).await?);
        }
    }
    people.sort_by(|a, b| a.handle.cmp(&b.handle));
    people.dedup_by_key(|person| person.id);
    Ok(people)
}

/// Why a group could not reach its quorum, if it could not.
async fn short(db: &mut Db<'_>, require: &Require, group: &Group, members: &[User]) -> db::Result<Option<String>> {
    let mut unable = Vec::new();
    for member in members {
        if !can_answer(db, member.id, require.factor).await? {
            unable.push(format!("@{} has no {}", member.handle, means(require.factor)));
        }
    }
    let able = members.len() - unable.len();
    if able >= group.quorum as usize {
        return Ok(None);
    }
    let users = group.users.iter().map(ToString::to_string);
    let named: Vec<_> = users.chain(group.teams.iter().map(|team| format!("team {team}"))).collect();
    let why = format!("{} of {} must approve, and {able} could", group.quorum, named.join(", "));
    Ok(Some([vec![why], unable].concat().join("; ")))
}

async fn can_answer(db: &mut Db<'_>, user: UserId, least: Factor) -> db::Result<bool> {
    let reach = identity::reach(db, user).await?;
    Ok(if least == Factor::Passkey { reach.passkey } else { reach.device })
}

fn means(factor: Factor) -> &'static str {
    if factor == Factor::Passkey { "passkey" } else { "device" }
}
