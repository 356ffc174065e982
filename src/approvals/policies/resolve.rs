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
    /// Why it could not be met, if it could not.
    pub(in crate::approvals) unreachable: Option<String>,
}

/// Everybody a policy means, now, for a request of `requester`.
pub(in crate::approvals) async fn resolve(
    db: &mut Db<'_>,
    require: &Require,
    policy: PolicyRef,
    requester: &User,
) -> db::Result<Resolved> {
    let mut groups = Vec::new();
    let mut unreachable = None;
    if require.requester && !can_answer(db, requester.id, require.factor).await? {
        unreachable = Some(format!("{} must approve and has no {}", requester.full_name(), means(require.factor)));
    }
    for (at, group) in require.groups.iter().enumerate() {
        let mut members = people(db, group).await?;
        let excluded = require.requester_excluded && members.iter().any(|member| member.id == requester.id);
        if excluded {
            members.retain(|member| member.id != requester.id);
        }
        let why = short(db, require, group, &members).await?;
        let why = why.map(|why| if excluded { format!("{why}; {} is the requester", requester.full_name()) } else { why });
        unreachable = unreachable.or_else(|| why.map(|why| format!("group {}: {why}", at + 1)));
        groups.push(members);
    }
    let executor = match &require.executor {
        None => None,
        Some(name) => {
            let bot = identity::active_bot(db, name).await?;
            if bot.is_none() {
                unreachable = unreachable.or_else(|| Some(format!("there is no bot {name} to redeem it")));
            }
            bot.map(|bot| bot.id)
        }
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
    };
    Ok(Resolved { requirement, groups, unreachable })
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
