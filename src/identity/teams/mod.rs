//! Teams: people who are paged and who approve together.
//!
//! **Invariants**
//! - Who left is in no team, whatever the table says.
//! - What a change of a team means for the policies is not judged here: whoever adds a member asks the policies first.

mod store;

use serde_json::json;

use super::call::Call;
use super::handle::Handle;
use super::model::User;
use super::service::{Error, Identity, Refusal, record};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::{TeamId, UserId};

pub use store::Reach;

/// A team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its name, for ever.
    pub name: Handle,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Identity {
    /// Makes a team without members.
    ///
    /// # Errors
    /// Only administrators may; the name may be taken.
    pub async fn create_team(&self, call: &Call, name: Handle) -> Result<Team, Error> {
        call.admin()?;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        let team = Team { id: TeamId::new(now), name, created_at: now };
        let made = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                if !store::insert(tx, &team).await? {
                    return Err(Refusal::TeamTaken(team.name.as_str().to_owned()).into());
                }
                record(tx, &journal, now, actor, "team.created", team.id, json!({"name": team.name})).await?;
                crate::crash_point!("team-written");
                Ok::<_, Error>(team.name)
            })
        });
        let name = made.await?;
        let found: Option<Team> = self.store.read(move |db| Box::pin(async move { find_team(db, &name).await })).await?;
        found.ok_or_else(|| Refusal::NotFound("team".to_owned()).into())
    }

    /// The teams with their members, both by name.
    ///
    /// # Errors
    /// Only administrators may see them all.
    pub async fn teams(&self, call: &Call) -> Result<Vec<(Team, Vec<User>)>, Error> {
        call.admin()?;
        let teams = self.store.read(|db| {
            Box::pin(async move {
                let mut all = Vec::new();
                for team in store::list(db).await? {
                    let members = store::members(db, team.id).await?;
                    all.push((team, members));
                }
                Ok::<_, db::Error>(all)
            })
        });
        Ok(teams.await?)
    }

    /// The names of the caller's teams, in their order.
    ///
    /// # Errors
    /// When the caller is not a person.
    pub async fn own_teams(&self, call: &Call) -> Result<Vec<Handle>, Error> {
        let user = call.person()?.user.id;
        Ok(self.store.read(move |db| Box::pin(store::names_of(db, user))).await?)
    }
}

/// The team of that name.
///
/// # Errors
/// Storage errors.
pub async fn find_team(db: &mut Db<'_>, name: &Handle) -> db::Result<Option<Team>> {
    store::find(db, name).await
}

/// The team of that id.
///
/// # Errors
/// Storage errors.
pub async fn known_team(db: &mut Db<'_>, id: TeamId) -> db::Result<Option<Team>> {
    store::find_by_id(db, id).await
}

/// The members who have not left, by handle.
///
/// # Errors
/// Storage errors.
pub async fn team_members(db: &mut Db<'_>, team: TeamId) -> db::Result<Vec<User>> {
    store::members(db, team).await
}

/// The teams somebody is a member of.
///
/// # Errors
/// Storage errors.
pub async fn teams_of(db: &mut Db<'_>, user: UserId) -> db::Result<Vec<TeamId>> {
    store::of(db, user).await
}

/// Adds a member; `false` when they were one.
///
/// # Errors
/// Storage errors.
pub async fn add_member(tx: &mut Tx<'_>, team: TeamId, user: UserId, now: Timestamp) -> db::Result<bool> {
    store::add(tx, team, user, now).await
}

/// Takes a member out; `false` when they were none.
///
/// # Errors
/// Storage errors.
pub async fn remove_member(tx: &mut Tx<'_>, team: TeamId, user: UserId) -> db::Result<bool> {
    store::remove(tx, team, user).await
}

/// With what a person could answer now.
///
/// # Errors
/// Storage errors.
pub async fn reach(db: &mut Db<'_>, user: UserId) -> db::Result<Reach> {
    store::reach(db, user).await
}
