//! The jobs' SQL.

use super::{Depth, Job, Kind, unknown_kind};
use crate::clock::Timestamp;
use crate::db::{Db, FromRow, Result, Row, Sql, Tx};

impl FromRow for Job {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (id, kind) = (row.get("id")?, row.get::<String>("kind")?);
        Ok(Self {
            id,
            kind: Kind::parse(&kind).ok_or_else(|| unknown_kind(id, &kind))?,
            subject: row.get("subject_id")?,
            lease: row.get("lease")?,
            tries: row.get("tries")?,
        })
    }
}

impl FromRow for Depth {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { kind: row.get("kind")?, live: row.get("live")?, buried: row.get("buried")? })
    }
}

/// Stores a job, unless the same one waits for the same moment already: a timer that is set again is one timer.
pub(super) async fn insert(tx: &mut Tx<'_>, job: &Job, (due_at, urgent): (Timestamp, bool), now: Timestamp) -> Result<()> {
    const INSERT: Sql = Sql::either(
        "insert into jobs (id, kind, subject_id, due_at, lease, tries, created_at, urgent)
         select $1, $2, $3, $4, $5, $6, $7, $8 where not exists (
             select 1 from jobs where subject_id = $3 and kind = $2 and due_at = $4 and lease = 0 and buried_at is null)",
        "insert into jobs (id, kind, subject_id, due_at, lease, tries, created_at, urgent)
         select $1, $2::text, $3::uuid, $4::bigint, $5, $6, $7, $8 where not exists (
             select 1 from jobs where subject_id = $3 and kind = $2 and due_at = $4 and lease = 0 and buried_at is null)",
    );
    tx.query(INSERT)
        .bind(job.id)
        .bind(job.kind.as_str())
        .bind(job.subject)
        .bind(due_at)
        .bind(job.lease)
        .bind(job.tries)
        .bind(now)
        .bind(i64::from(urgent))
        .execute()
        .await?;
    Ok(())
}

/// What may be claimed. Kinds are named, so that a job of a newer program's kind waits for it and stops nobody. Each urgency is looked
/// up by itself, which is one end of an index.
macro_rules! due {
    ($urgent:literal, $due:literal) => {
        concat!(
            "select id, due_at from jobs where buried_at is null and urgent = ",
            $urgent,
            " and kind in ('fail_over', 'fan_out', 'unreachable', 'withdraw', 'approval_deadline', 'incident_timer', 'webhook', 'bundle',
                 'approval_bell', 'maintenance_over', 'hand_over', 'alert_timer', 'heartbeat')",
            $due,
            " order by due_at limit "
        )
    };
}

/// On PostgreSQL `skip locked` keeps two nodes from winning one row, and the array from exceeding the limit.
const CLAIM: Sql = Sql::either(
    concat!(
        "update jobs set due_at = $2, lease = lease + 1, tries = tries + 1
         where id in (select id from (
             select id, 1 as first, due_at from (",
        due!("1", " and due_at <= $1"),
        "$3)
             union all select id, 0 as first, due_at from (",
        due!("0", " and due_at <= $1"),
        "$3)
             order by first desc, due_at limit $3))
         returning id, kind, subject_id, lease, tries, urgent"
    ),
    concat!(
        "with first as materialized (",
        due!("1", " and due_at <= $1"),
        "$3 for update skip locked),
         rest as materialized (",
        due!("0", " and due_at <= $1"),
        "greatest(0, $3 - (select count(*) from first)) for update skip locked)
         update jobs set due_at = $2, lease = lease + 1, tries = tries + 1
         where id = any(array(select id from first union all select id from rest))
         returning id, kind, subject_id, lease, tries, urgent"
    ),
);

/// A job, and whether it is urgent.
struct Claimed(Job, bool);

impl FromRow for Claimed {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self(Job::from_row(row)?, row.get::<i64>("urgent")? == 1))
    }
}

pub(super) async fn claim(tx: &mut Tx<'_>, now: Timestamp, lease_ends: Timestamp, limit: u32) -> Result<Vec<Job>> {
    let mut claimed: Vec<Claimed> = tx.query(CLAIM).bind(now).bind(lease_ends).bind(limit).all().await?;
    // The order in which rows come back is nobody's promise.
    claimed.sort_by_key(|Claimed(job, urgent)| (!urgent, job.id));
    Ok(claimed.into_iter().map(|Claimed(job, _)| job).collect())
}

pub(super) async fn next_due(db: &mut Db<'_>) -> Result<Option<Timestamp>> {
    const NEXT: &str = concat!(
        "select min(due_at) as due_at from (select due_at from (",
        due!("1", ""),
        "1) as first union all select due_at from (",
        due!("0", ""),
        "1) as rest) as next"
    );
    db.query(NEXT).one().await
}

pub(super) async fn delete(tx: &mut Tx<'_>, job: &Job) -> Result<bool> {
    let rows = tx
        .query("delete from jobs where id = $1 and lease = $2 and buried_at is null")
        .bind(job.id)
        .bind(job.lease)
        .execute()
        .await?;
    Ok(rows == 1)
}

pub(super) async fn release(tx: &mut Tx<'_>, job: &Job, due_at: Timestamp, why: &str) -> Result<bool> {
    let rows = tx
        .query("update jobs set due_at = $3, last_error = $4 where id = $1 and lease = $2 and buried_at is null")
        .bind(job.id)
        .bind(job.lease)
        .bind(due_at)
        .bind(why)
        .execute()
        .await?;
    Ok(rows == 1)
}

pub(super) async fn bury(tx: &mut Tx<'_>, job: &Job, now: Timestamp, why: &str) -> Result<bool> {
    let rows = tx
        .query("update jobs set buried_at = $3, last_error = $4 where id = $1 and lease = $2 and buried_at is null")
        .bind(job.id)
        .bind(job.lease)
        .bind(now)
        .bind(why)
        .execute()
        .await?;
    Ok(rows == 1)
}

pub(super) async fn depth(db: &mut Db<'_>) -> Result<Vec<Depth>> {
    db.query("select kind, count(*) - count(buried_at) as live, count(buried_at) as buried from jobs group by kind order by kind")
        .all()
        .await
}
