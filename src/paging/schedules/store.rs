//! The SQL of schedules.

use super::{Override, Schedule};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Json, Result, Row, Sql, Tx};
use crate::id::{OverrideId, ScheduleId};
use crate::identity::Handle;
use crate::journal::Actor;
use crate::oncall::{Span, WrittenLayer};

impl FromRow for Schedule {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (id, name): (ScheduleId, String) = (row.get("id")?, row.get("name")?);
        Ok(Self {
            id,
            name: name.parse().map_err(|error| Error::inconsistent("schedules", id, error))?,
            team: row.get("team_id")?,
            zone: row.get("zone")?,
            layers: row.get::<Json<Vec<WrittenLayer>>>("layers")?.0,
            created_at: row.get("created_at")?,
        })
    }
}

impl FromRow for Override {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: OverrideId = row.get("id")?;
        let span = Span::new(row.get("from_at")?, row.get("until_at")?);
        Ok(Self {
            id,
            schedule: row.get("schedule_id")?,
            user: row.get("user_id")?,
            instead_of: row.get("instead_of_id")?,
            span: span.ok_or_else(|| Error::inconsistent("overrides", id, "it ends before it begins"))?,
            made_by: row.get::<Json<Actor>>("made_by")?.0,
            created_at: row.get("created_at")?,
        })
    }
}

pub(super) async fn find(db: &mut Db<'_>, id: ScheduleId) -> Result<Option<Schedule>> {
    db.query("select * from schedules where id = $1 and removed_at is null").bind(id).optional().await
}

pub(super) async fn find_named(db: &mut Db<'_>, name: &Handle) -> Result<Option<Schedule>> {
    db.query("select * from schedules where name = $1 and removed_at is null").bind(name.as_str()).optional().await
}

/// The overrides that cover some of the time from `from` until before `until`, in the order they were made.
pub(super) async fn overrides(db: &mut Db<'_>, id: ScheduleId, from: Timestamp, until: Timestamp) -> Result<Vec<Override>> {
    db.query(
        "select * from overrides where schedule_id = $1 and until_at > $2 and from_at < $3 and removed_at is null
         order by created_at, id",
    )
    .bind(id)
    .bind(from)
    .bind(until)
    .all()
    .await
}

pub(super) async fn keep(tx: &mut Tx<'_>, name: &Handle) -> Result<Option<ScheduleId>> {
    const KEEP: Sql = Sql::either(
        "select id from schedules where name = $1 and removed_at is null",
        "select id from schedules where name = $1 and removed_at is null for share",
    );
    tx.query(KEEP).bind(name.as_str()).optional().await
}
