//! The SQL of schedules.

use uuid::Uuid;

use super::feed::CalendarFeed;
use super::{GapsTold, Override, Schedule};
use crate::clock::Timestamp;
use crate::db::{self, Db, Error, FromRow, Json, Result, Row, Sql, Tx, among};
use crate::id::{CalendarFeedId, OverrideId, ScheduleId, UserId};
use crate::identity::{Handle, User};
use crate::journal::Actor;
use crate::oncall::{Span, WrittenLayer};
use crate::paging::escalation::EscalationPolicy;

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
            changed_at: row.get("changed_at")?,
            holder: row.get("holder_id")?,
            hand_over_at: row.get("hand_over_at")?,
            gaps_told: row.get::<Json<GapsTold>>("gaps_told")?.0,
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

impl FromRow for CalendarFeed {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            user: row.get("user_id")?,
            schedule: row.get("schedule_id")?,
            created_at: row.get("created_at")?,
        })
    }
}

// Schedules.

/// Stores a new schedule; `false` when its name is taken.
pub(super) async fn insert(tx: &mut Tx<'_>, schedule: &Schedule) -> Result<bool> {
    let rows = tx
        .query(
            "insert into schedules (id, name, team_id, zone, layers, created_at, changed_at, gaps_told)
             values ($1, $2, $3, $4, $5, $6, $6, $7) on conflict do nothing",
        )
        .bind(schedule.id)
        .bind(schedule.name.as_str())
        .bind(schedule.team)
        .bind(&schedule.zone)
        .bind(Json(&schedule.layers))
        .bind(schedule.created_at)
        .bind(Json(&schedule.gaps_told))
        .execute()
        .await?;
    Ok(rows == 1)
}

/// Stores what people change of a schedule.
pub(super) async fn change(tx: &mut Tx<'_>, schedule: &Schedule) -> Result<()> {
    tx.query("update schedules set team_id = $2, zone = $3, layers = $4, changed_at = $5 where id = $1")
        .bind(schedule.id)
        .bind(schedule.team)
        .bind(&schedule.zone)
        .bind(Json(&schedule.layers))
        .bind(schedule.changed_at)
        .execute()
        .await?;
    Ok(())
}

/// Stores who was told what, and when it is looked again.
pub(super) async fn handed_over(tx: &mut Tx<'_>, schedule: &Schedule) -> Result<()> {
    tx.query("update schedules set holder_id = $2, hand_over_at = $3, gaps_told = $4, changed_at = $5 where id = $1")
        .bind(schedule.id)
        .bind(schedule.holder)
        .bind(schedule.hand_over_at)
        .bind(Json(&schedule.gaps_told))
        .bind(schedule.changed_at)
        .execute()
        .await?;
    Ok(())
}

pub(super) async fn remove(tx: &mut Tx<'_>, id: ScheduleId, now: Timestamp) -> Result<()> {
    tx.query("update schedules set removed_at = $2, hand_over_at = null where id = $1").bind(id).bind(now).execute().await?;
    Ok(())
}

pub(super) async fn find(db: &mut Db<'_>, id: ScheduleId) -> Result<Option<Schedule>> {
    db.query("select * from schedules where id = $1 and removed_at is null").bind(id).optional().await
}

pub(super) async fn find_named(db: &mut Db<'_>, name: &Handle) -> Result<Option<Schedule>> {
    db.query("select * from schedules where name = $1 and removed_at is null").bind(name.as_str()).optional().await
}

/// The schedule, locked until the transaction ends: whoever changes it, overrides it or hands it over comes one after the other.
pub(super) async fn lock(tx: &mut Tx<'_>, id: ScheduleId) -> Result<Option<Schedule>> {
    const LOCK: Sql = Sql::either(
        "select * from schedules where id = $1 and removed_at is null",
        "select * from schedules where id = $1 and removed_at is null for update",
    );
    tx.query(LOCK).bind(id).optional().await
}

/// As [`lock`], by name.
pub(super) async fn lock_named(tx: &mut Tx<'_>, name: &Handle) -> Result<Option<Schedule>> {
    const LOCK: Sql = Sql::either(
        "select * from schedules where name = $1 and removed_at is null",
        "select * from schedules where name = $1 and removed_at is null for update",
    );
    tx.query(LOCK).bind(name.as_str()).optional().await
}

pub(super) async fn list(db: &mut Db<'_>) -> Result<Vec<Schedule>> {
    db.query("select * from schedules where removed_at is null order by name").all().await
}

pub(super) async fn count(db: &mut Db<'_>) -> Result<i64> {
    db.query("select count(*) from schedules where removed_at is null").one().await
}

/// Schedules whose look is overdue since before `since` and has no live job: what a buried job leaves behind.
pub(super) async fn without_timer(tx: &mut Tx<'_>, since: Timestamp) -> Result<Vec<ScheduleId>> {
    tx.query(
        "select id from schedules where removed_at is null and hand_over_at < $1 and not exists (
             select 1 from jobs where subject_id = schedules.id and kind = 'hand_over' and buried_at is null)",
    )
    .bind(since)
    .all()
    .await
}

/// The escalation policies there are, by name.
pub(super) async fn policies(db: &mut Db<'_>) -> Result<Vec<EscalationPolicy>> {
    db.query("select * from escalation_policies where removed_at is null order by name").all().await
}

/// These people, whether they left or not.
pub(super) async fn people(db: &mut Db<'_>, ids: &[Uuid]) -> Result<Vec<User>> {
    db.query(among!("select * from users where id in")).bind(db::ids(ids)).all().await
}

// Overrides.

pub(super) async fn insert_override(tx: &mut Tx<'_>, over: &Override) -> Result<()> {
    tx.query(
        "insert into overrides (id, schedule_id, user_id, instead_of_id, from_at, until_at, made_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(over.id)
    .bind(over.schedule)
    .bind(over.user)
    .bind(over.instead_of)
    .bind(over.span.from)
    .bind(over.span.until)
    .bind(Json(over.made_by))
    .bind(over.created_at)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn find_override(db: &mut Db<'_>, schedule: ScheduleId, id: OverrideId) -> Result<Option<Override>> {
    db.query("select * from overrides where id = $1 and schedule_id = $2 and removed_at is null")
        .bind(id)
        .bind(schedule)
        .optional()
        .await
}

/// Ends an override that has begun.
pub(super) async fn end_override(tx: &mut Tx<'_>, id: OverrideId, now: Timestamp) -> Result<()> {
    tx.query("update overrides set until_at = $2 where id = $1").bind(id).bind(now).execute().await?;
    Ok(())
}

/// Takes away an override that has not begun.
pub(super) async fn remove_override(tx: &mut Tx<'_>, id: OverrideId, now: Timestamp) -> Result<()> {
    tx.query("update overrides set removed_at = $2 where id = $1").bind(id).bind(now).execute().await?;
    Ok(())
}

/// How many end after then: as many are read wherever it is asked who is on call.
pub(super) async fn counted_overrides(db: &mut Db<'_>, id: ScheduleId, after: Timestamp) -> Result<i64> {
    db.query("select count(*) from overrides where schedule_id = $1 and until_at > $2 and removed_at is null")
        .bind(id)
        .bind(after)
        .one()
        .await
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

/// The overrides of these schedules that end after `from`, in the order they were made.
pub(super) async fn overrides_of(db: &mut Db<'_>, schedules: &[Uuid], from: Timestamp) -> Result<Vec<Override>> {
    const OVERRIDES: Sql = Sql::either(
        "select * from overrides where until_at > $2 and removed_at is null
             and schedule_id in (select unhex(value) from json_each($1)) order by created_at, id",
        "select * from overrides where until_at > $2 and removed_at is null
             and schedule_id in (select value::uuid from jsonb_array_elements_text($1)) order by created_at, id",
    );
    db.query(OVERRIDES).bind(db::ids(schedules)).bind(from).all().await
}

// Calendars.

pub(super) async fn insert_feed(tx: &mut Tx<'_>, feed: &CalendarFeed, capability_sha256: [u8; 32]) -> Result<()> {
    tx.query("insert into calendar_feeds (id, capability_sha256, user_id, schedule_id, created_at) values ($1, $2, $3, $4, $5)")
        .bind(feed.id)
        .bind(capability_sha256)
        .bind(feed.user)
        .bind(feed.schedule)
        .bind(feed.created_at)
        .execute()
        .await?;
    Ok(())
}

pub(super) async fn find_feed(db: &mut Db<'_>, id: CalendarFeedId) -> Result<Option<CalendarFeed>> {
    db.query("select * from calendar_feeds where id = $1 and revoked_at is null").bind(id).optional().await
}

/// The calendar of that address, of somebody who has not left.
pub(super) async fn feed_at(db: &mut Db<'_>, capability_sha256: [u8; 32]) -> Result<Option<CalendarFeed>> {
    db.query(
        "select calendar_feeds.* from calendar_feeds join users on users.id = calendar_feeds.user_id
         where capability_sha256 = $1 and revoked_at is null and users.removed_at is null",
    )
    .bind(capability_sha256)
    .optional()
    .await
}

pub(super) async fn feeds(db: &mut Db<'_>, user: UserId) -> Result<Vec<CalendarFeed>> {
    db.query("select * from calendar_feeds where user_id = $1 and revoked_at is null order by id").bind(user).all().await
}

pub(super) async fn count_feeds(db: &mut Db<'_>) -> Result<i64> {
    db.query("select count(*) from calendar_feeds where revoked_at is null").one().await
}

/// Ends a calendar; `false` when it was ended already.
pub(super) async fn revoke_feed(tx: &mut Tx<'_>, id: CalendarFeedId, now: Timestamp) -> Result<bool> {
    let rows = tx
        .query("update calendar_feeds set revoked_at = $2 where id = $1 and revoked_at is null")
        .bind(id)
        .bind(now)
        .execute()
        .await?;
    Ok(rows == 1)
}

const ENDED_OVERRIDES: Sql = Sql::either(
    "select id from overrides where until_at < $1 or removed_at < $1
         or schedule_id in (select id from schedules where removed_at < $1) order by id limit 300",
    // Another node may be at it too.
    "select id from overrides where until_at < $1 or removed_at < $1
         or schedule_id in (select id from schedules where removed_at < $1) order by id limit 300 for update skip locked",
);

const ENDED_FEEDS: Sql = Sql::either(
    "select id from calendar_feeds where revoked_at < $1
         or schedule_id in (select id from schedules where removed_at < $1) order by id limit 300",
    "select id from calendar_feeds where revoked_at < $1
         or schedule_id in (select id from schedules where removed_at < $1) order by id limit 300 for update skip locked",
);

/// Forgets some overrides and calendars that were over before then; how many. Schedules stay: incidents of theirs name them.
pub(super) async fn forget_before(tx: &mut Tx<'_>, before: Timestamp) -> Result<u64> {
    let overrides: Vec<Uuid> = tx.query(ENDED_OVERRIDES).bind(before).all().await?;
    if !overrides.is_empty() {
        tx.query(among!("delete from overrides where id in")).bind(db::ids(&overrides)).execute().await?;
    }
    let feeds: Vec<Uuid> = tx.query(ENDED_FEEDS).bind(before).all().await?;
    if !feeds.is_empty() {
        tx.query(among!("delete from calendar_feeds where id in")).bind(db::ids(&feeds)).execute().await?;
    }
    Ok((overrides.len() + feeds.len()) as u64)
}
