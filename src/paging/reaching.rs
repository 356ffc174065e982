//! Which people the targets of a ring are, at the moment it rings.

use super::plan::Target;
use super::schedules;
use crate::clock::Timestamp;
use crate::db::{self, Db};
use crate::id::UserId;
use crate::identity::{self, UserRef, active_user};

/// The people of `targets` at `now`, each once: members of a team, whoever is on call by a schedule. Who left is nobody.
pub(super) async fn people(db: &mut Db<'_>, targets: &[Target], now: Timestamp) -> db::Result<Vec<UserId>> {
    let mut people = Vec::new();
    for target in targets {
        let meant: Vec<UserId> = match target {
            Target::User(user) => active_user(db, &UserRef::Id(*user)).await?.map(|user| user.id).into_iter().collect(),
            Target::Team(team) => identity::team_members(db, *team).await?.into_iter().map(|user| user.id).collect(),
            Target::Schedule(schedule) => schedules::on_call(db, *schedule, now).await?.into_iter().collect(),
        };
        for user in meant {
            if !people.contains(&user) {
                people.push(user);
            }
        }
    }
    Ok(people)
}
