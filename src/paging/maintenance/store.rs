//! The SQL of maintenance windows.

use uuid::Uuid;

use super::super::services::Service;
use super::{Maintained, MaintenanceWindow};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Json, Result, Row, Sql, Tx};
use crate::id::{MaintenanceWindowId, ServiceId};
use crate::journal::Actor;

impl FromRow for MaintenanceWindow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: MaintenanceWindowId = row.get("id")?;
        let of = match (row.get("service_id")?, row.get("team_id")?) {
            (Some(service), None) => Maintained::Service(service),
            (None, Some(team)) => Maintained::Team(team),
            (None, None) | (Some(_), Some(_)) => {
                return Err(Error::inconsistent("maintenance_windows", id, "it is of one service or one team"));
            }
        };
        Ok(Self {
            id,
            of,
            from: row.get("from_at")?,
            until: row.get("until_at")?,
            reason: row.get("reason")?,
            made_by: row.get::<Json<Actor>>("made_by")?.0,
            created_at: row.get("created_at")?,
            ended_at: row.get("ended_at")?,
        })
    }
}

pub(super) async fn current(db: &mut Db<'_>, service: &Service, now: Timestamp) -> Result<Option<MaintenanceWindow>> {
    db.query(
        "select * from maintenance_windows
         where ended_at is null and from_at <= $3 and until_at > $3 and (service_id = $1 or team_id = $2)
         order by until_at desc limit 1",
    )
    .bind(service.id)
    .bind(service.team)
    .bind(now)
    .optional()
    .await
}

pub(super) async fn find(db: &mut Db<'_>, id: MaintenanceWindowId) -> Result<Option<MaintenanceWindow>> {
    db.query("select * from maintenance_windows where id = $1").bind(id).optional().await
}

/// The window, locked until the transaction ends.
pub(super) async fn lock(tx: &mut Tx<'_>, id: MaintenanceWindowId) -> Result<Option<MaintenanceWindow>> {
    const LOCK: Sql = Sql::either(
        "select * from maintenance_windows where id = $1",
        "select * from maintenance_windows where id = $1 for update",
    );
    tx.query(LOCK).bind(id).optional().await
}

/// The window, kept from being changed until the transaction ends; others may hold it too.
pub(super) async fn hold(tx: &mut Tx<'_>, id: MaintenanceWindowId) -> Result<Option<MaintenanceWindow>> {
    const HOLD: Sql = Sql::either(
        "select * from maintenance_windows where id = $1",
        "select * from maintenance_windows where id = $1 for share",
    );
    tx.query(HOLD).bind(id).optional().await
}

/// Those that are not over, the one that began first before the others, so that what runs comes before what is planned; or all, the one that
/// begins last before the others. `behind` is the last of the page before.
pub(super) async fn list(
    db: &mut Db<'_>,
    all: bool,
    behind: Option<&MaintenanceWindow>,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<MaintenanceWindow>> {
    const ALL: &str = "select * from maintenance_windows where from_at < $2 or from_at = $2 and id < $3
         order by from_at desc, id desc limit $1";
    const OPEN: &str = "select * from maintenance_windows where ended_at is null and until_at > $4 and (from_at > $2 or from_at = $2 and id > $3)
         order by from_at, id limit $1";
    let (from, id) = match behind {
        Some(window) => (window.from, window.id),
        None if all => (Timestamp::from_micros(i64::MAX), MaintenanceWindowId(Uuid::max())),
        None => (Timestamp::from_micros(i64::MIN), MaintenanceWindowId(Uuid::nil())),
    };
    let page = db.query(if all { ALL } else { OPEN }).bind(limit).bind(from).bind(id);
    if all { page } else { page.bind(now) }.all().await
}

pub(super) async fn insert(tx: &mut Tx<'_>, window: &MaintenanceWindow) -> Result<()> {
    let (service, team) = match window.of {
        Maintained::Service(service) => (Some(service), None),
        Maintained::Team(team) => (None, Some(team)),
    };
    tx.query(
        "insert into maintenance_windows (id, service_id, team_id, from_at, until_at, reason, made_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(window.id)
    .bind(service)
    .bind(team)
    .bind(window.from)
    .bind(window.until)
    .bind(&window.reason)
    .bind(Json(window.made_by))
    .bind(window.created_at)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn end(tx: &mut Tx<'_>, id: MaintenanceWindowId, now: Timestamp) -> Result<()> {
    let ended = tx.query("update maintenance_windows set ended_at = $2 where id = $1 and ended_at is null");
    ended.bind(id).bind(now).execute().await?;
    Ok(())
}

/// Ends all of a service's own; how many those were.
pub(in crate::paging) async fn end_all(tx: &mut Tx<'_>, service: ServiceId, now: Timestamp) -> Result<u64> {
    let ended = tx.query("update maintenance_windows set ended_at = $2 where service_id = $1 and ended_at is null");
    ended.bind(service).bind(now).execute().await
}

/// Windows that should have ended before `since` and have no live job: what a buried job leaves behind.
pub(in crate::paging) async fn without_end(tx: &mut Tx<'_>, since: Timestamp) -> Result<Vec<MaintenanceWindowId>> {
    tx.query(
        "select id from maintenance_windows where ended_at is null and until_at < $1 and not exists (
             select 1 from jobs where subject_id = maintenance_windows.id and kind = 'maintenance_over' and buried_at is null)",
    )
    .bind(since)
    .all()
    .await
}
