//! From names to people: what a policy takes of whom, today.

use std::collections::BTreeSet;

use super::away;
use crate::approvals::policy::{Absences, Factor, Group, PolicyRef, Quorum, Require, Requirement, Staffed};
use crate::clock::Timestamp;
use crate::db::{self, Db};
use crate::id::UserId;
use crate::identity::{self, User};

/// A policy's demands with everybody named.
#[derive(Clone, Debug)]
pub(in crate::approvals) struct Resolved {
    /// What is frozen into an approval.
    pub(in crate::approvals) requirement: Requirement,
    /// The people of each group.
    pub(in crate::approvals) groups: Vec<Staff>,
}

/// The people of one group.
#[derive(Clone, Debug)]
pub struct Staff {
    /// Who is asked, each for those of whom they are the delegate.
    pub asked: Vec<(User, Vec<User>)>,
    /// Who is away, and represented by nobody.
    pub away: Vec<User>,
}

/// Everybody a policy means, now, for a request of `requester` that is made at `asked_at`: who was away then counts as away.
pub(in crate::approvals) async fn resolve(
    db: &mut Db<'_>,
    require: &Require,
    policy: PolicyRef,
    requester: &User,
    asked_at: Timestamp,
) -> db::Result<Resolved> {
    let absences = if require.groups.is_empty() { Absences::default() } else { away::at(db, asked_at).await? };
    let (mut quorums, mut groups, mut delegations) = (Vec::new(), Vec::new(), BTreeSet::new());
    for group in &require.groups {
        let mut named = people(db, group).await?;
        named.retain(|member| !(require.requester_excluded && member.id == requester.id));
        let members: Vec<_> = named.iter().map(|member| member.id).collect();
        let staffed = absences.staff(&members, requester.id);
        groups.push(staff(db, &named, &staffed).await?);
        quorums.push(Quorum { needed: group.quorum, members: staffed.members });
        delegations.extend(staffed.delegations);
    }
    let executor = match &require.executor {
        None => None,
        Some(name) => identity::active_bot(db, name).await?.map(|bot| bot.id),
    };
    let requirement = Requirement {
        policy,
        factor: require.factor,
        requester: require.requester,
        requester_excluded: require.requester_excluded,
        groups: quorums,
        delegations: delegations.into_iter().collect(),
        window_seconds: require.expires_in,
        delay_seconds: require.delay,
        executor,
        bound_grant: require.bound_grant,
        break_glass: require.break_glass,
    };
    Ok(Resolved { requirement, groups })
}

/// The people of a group by name.
async fn staff(db: &mut Db<'_>, named: &[User], staffed: &Staffed) -> db::Result<Staff> {
    let known = |id: UserId| named.iter().find(|member| member.id == id).cloned();
    let mut asked = Vec::new();
    for &id in &staffed.members {
        let person = match known(id) {
            Some(person) => person,
            None => identity::known_user(db, id).await?,
        };
        let theirs = staffed.delegations.iter().filter(|delegation| delegation.by == id);
        asked.push((person, theirs.filter_map(|delegation| known(delegation.absent)).collect()));
    }
    Ok(Staff { asked, away: staffed.missing.iter().filter_map(|&id| known(id)).collect() })
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
        for (at, (group, staff)) in require.groups.iter().zip(&self.groups).enumerate() {
            if let Some(why) = short(db, require, group, staff).await? {
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
async fn short(db: &mut Db<'_>, require: &Require, group: &Group, staff: &Staff) -> db::Result<Option<String>> {
    let mut unable = Vec::new();
    for (person, absent) in &staff.asked {
        if !can_answer(db, person.id, require.factor).await? {
            let absent: Vec<_> = absent.iter().map(|absent| format!("@{}", absent.handle)).collect();
            let place = if absent.is_empty() { String::new() } else { format!(" (asked for {}, away)", absent.join(", ")) };
            unable.push(format!("@{}{place} has no {}", person.handle, means(require.factor)));
        }
    }
    let able = staff.asked.len() - unable.len();
    if able >= group.quorum as usize {
        return Ok(None);
    }
    unable.extend(staff.away.iter().map(|away| format!("@{} is away", away.handle)));
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
