//! The SQL of teams.

use super::Team;
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Result, Row, Tx};
use crate::id::{TeamId, UserId};
use crate::identity::{Handle, User};

/// With what a person could answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// A device that is trusted.
    pub device: bool,
    /// A passkey that is trusted.
    pub passkey: bool,
}

impl FromRow for Team {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: TeamId = row.get("id")?;
        let name: String = row.get("name")?;
        let name = name.parse().map_err(|error| Error::inconsistent("teams", id, error))?;
        Ok(Self { id, name, created_at: row.get("created_at")? })
    }
}

impl FromRow for Reach {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { device: row.get("device")?, passkey: row.get("passkey")? })
    }
}

pub(super) async fn insert(tx: &mut Tx<'_>, team: &Team) -> Result<bool> {
    let rows = tx
        .query("insert into teams (id, name, created_at) values ($1, $2, $3) on conflict (name) do nothing")
        .bind(team.id)
        .bind(team.name.as_str())
        .bind(team.created_at)
        .execute()
        .await?;
    Ok(rows == 1)
}

pub(super) async fn find(db: &mut Db<'_>, name: &crate::identity::Handle) -> Result<Option<Team>> {
    db.query("select * from teams where name = $1").bind(name.as_str()).optional().await
}

pub(super) async fn find_by_id(db: &mut Db<'_>, id: TeamId) -> Result<Option<Team>> {
    db.query("select * from teams where id = $1").bind(id).optional().await
}

pub(super) async fn list(db: &mut Db<'_>) -> Result<Vec<Team>> {
    db.query("select * from teams order by name").all().await
}

pub(super) async fn members(db: &mut Db<'_>, team: TeamId) -> Result<Vec<User>> {
    db.query(
        "select users.* from users join team_members on team_members.user_id = users.id
         where team_members.team_id = $1 and users.removed_at is null order by users.handle",
    )
    .bind(team)
    .all()
    .await
}

pub(super) async fn of(db: &mut Db<'_>, user: UserId) -> Result<Vec<TeamId>> {
    db.query("select team_id from team_members where user_id = $1 order by team_id").bind(user).all().await
}

pub(super) async fn names_of(db: &mut Db<'_>, user: UserId) -> Result<Vec<Handle>> {
    let teams = db.query("select teams.* from teams join team_members on team_id = id where user_id = $1 order by name");
    Ok(teams.bind(user).all::<Team>().await?.into_iter().map(|team| team.name).collect())
}

pub(super) async fn add(tx: &mut Tx<'_>, team: TeamId, user: UserId, now: Timestamp) -> Result<bool> {
    let rows = tx
        .query(
            "insert into team_members (team_id, user_id, added_at) values ($1, $2, $3)
             on conflict (team_id, user_id) do nothing",
        )
        .bind(team)
        .bind(user)
        .bind(now)
        .execute()
        .await?;
    Ok(rows == 1)
}

pub(super) async fn remove(tx: &mut Tx<'_>, team: TeamId, user: UserId) -> Result<bool> {
    let rows = tx.query("delete from team_members where team_id = $1 and user_id = $2").bind(team).bind(user).execute().await?;
    Ok(rows == 1)
}

pub(super) async fn reach(db: &mut Db<'_>, user: UserId) -> Result<Reach> {
    db.query(
        "select exists (select 1 from devices where user_id = $1 and revoked_at is null) as device,
             exists (select 1 from passkeys join devices on devices.id = passkeys.device_id
                 where passkeys.user_id = $1 and passkeys.revoked_at is null and devices.revoked_at is null) as passkey",
    )
    .bind(user)
    .one()
    .await
}
