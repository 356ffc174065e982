//! The SQL of bundles.

use uuid::Uuid;

use super::{Bundle, Kind, Size};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Result, Row, Sql, Tx};
use crate::id::{BundleId, IncidentId, TeamId, UserId};

/// Titles that a push names.
const NAMED: u32 = 3;

impl FromRow for Bundle {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (id, kind): (BundleId, String) = (row.get("id")?, row.get("kind")?);
        let kind = match kind.as_str() {
            "storm" => Kind::Storm,
            "low" => Kind::Low,
            other => return Err(Error::inconsistent("bundles", id, format!("unknown kind {other}"))),
        };
        Ok(Self {
            id,
            user: row.get("user_id")?,
            kind,
            group: row.get("group_id")?,
            round: row.get("round")?,
            rung_at: row.get("rung_at")?,
            told_at: row.get("told_at")?,
            due_at: row.get("due_at")?,
        })
    }
}

impl FromRow for Size {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { all: row.get("all_of_it")?, open: row.get("open")?, uncounted: row.get("uncounted")? })
    }
}

const OF: Sql = Sql::either(
    "select * from bundles where user_id = $1 and kind = $2 and group_id = $3",
    "select * from bundles where user_id = $1 and kind = $2 and group_id = $3 for update",
);

/// The bundle of a person and a team, or of what can wait; made when there is none, and locked until the transaction ends.
pub(super) async fn lock(tx: &mut Tx<'_>, user: UserId, kind: Kind, group: Uuid, now: Timestamp) -> Result<Bundle> {
    if let Some(bundle) = tx.query(OF).bind(user).bind(kind.as_str()).bind(group).optional().await? {
        return Ok(bundle);
    }
    tx.query(
        "insert into bundles (id, user_id, kind, group_id, round) values ($1, $2, $3, $4, 0)
         on conflict (user_id, kind, group_id) do nothing",
    )
    .bind(BundleId::new(now))
    .bind(user)
    .bind(kind.as_str())
    .bind(group)
    .execute()
    .await?;
    tx.query(OF).bind(user).bind(kind.as_str()).bind(group).one().await
}

pub(super) async fn lock_by_id(tx: &mut Tx<'_>, id: BundleId) -> Result<Option<Bundle>> {
    tx.query(Sql::either("select * from bundles where id = $1", "select * from bundles where id = $1 for update"))
        .bind(id)
        .optional()
        .await
}

pub(super) async fn save(tx: &mut Tx<'_>, bundle: &Bundle) -> Result<()> {
    tx.query(
        "update bundles set id = $4, round = $5, rung_at = $6, told_at = $7, due_at = $8
         where user_id = $1 and kind = $2 and group_id = $3",
    )
    .bind(bundle.user)
    .bind(bundle.kind.as_str())
    .bind(bundle.group)
    .bind(bundle.id)
    .bind(bundle.round)
    .bind(bundle.rung_at)
    .bind(bundle.told_at)
    .bind(bundle.due_at)
    .execute()
    .await?;
    Ok(())
}

/// The word for the urgency of what a bundle holds; what has another by now is told by itself.
fn urgency(kind: Kind) -> &'static str {
    match kind {
        Kind::Storm => "high",
        Kind::Low => "low",
    }
}

pub(super) async fn size(db: &mut Db<'_>, bundle: &Bundle) -> Result<Size> {
    db.query(
        "select count(*) as all_of_it, count(case when state = 'triggered' and urgency = $2 then 1 end) as open,
             count(case when state = 'triggered' and urgency = $2 and counted_at is null then 1 end) as uncounted
         from bundle_incidents join incidents on incidents.id = incident_id where bundle_id = $1",
    )
    .bind(bundle.id)
    .bind(urgency(bundle.kind))
    .one()
    .await
}

/// The titles of the newest that ring.
pub(super) async fn titles(db: &mut Db<'_>, bundle: &Bundle, uncounted: bool) -> Result<Vec<String>> {
    let sql = if uncounted {
        "select title from bundle_incidents join incidents on incidents.id = incident_id
         where bundle_id = $1 and state = 'triggered' and urgency = $2 and counted_at is null
         order by incidents.id desc limit $3"
    } else {
        "select title from bundle_incidents join incidents on incidents.id = incident_id
         where bundle_id = $1 and state = 'triggered' and urgency = $2 order by incidents.id desc limit $3"
    };
    db.query(sql).bind(bundle.id).bind(urgency(bundle.kind)).bind(NAMED).all().await
}

/// One that rings and that no push has counted.
pub(super) async fn uncounted(db: &mut Db<'_>, bundle: &Bundle) -> Result<Option<IncidentId>> {
    db.query(
        "select incident_id from bundle_incidents join incidents on incidents.id = incident_id
         where bundle_id = $1 and state = 'triggered' and urgency = $2 and counted_at is null limit 1",
    )
    .bind(bundle.id)
    .bind(urgency(bundle.kind))
    .optional()
    .await
}

pub(super) async fn open_members(db: &mut Db<'_>, id: BundleId) -> Result<Vec<IncidentId>> {
    db.query(
        "select incident_id from bundle_incidents join incidents on incidents.id = incident_id
         where bundle_id = $1 and state = 'triggered' order by incident_id",
    )
    .bind(id)
    .all()
    .await
}

/// `false` when it is in it already.
pub(super) async fn insert_member(tx: &mut Tx<'_>, id: BundleId, incident: IncidentId, now: Timestamp) -> Result<bool> {
    let rows = tx
        .query(
            "insert into bundle_incidents (bundle_id, incident_id, folded_at) values ($1, $2, $3)
             on conflict (bundle_id, incident_id) do nothing",
        )
        .bind(id)
        .bind(incident)
        .bind(now)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// Every incident of it is counted by the push that is being written.
pub(super) async fn count(tx: &mut Tx<'_>, id: BundleId, now: Timestamp) -> Result<()> {
    tx.query("update bundle_incidents set counted_at = $2 where bundle_id = $1 and counted_at is null")
        .bind(id)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// It is due again, and the next push is to count it.
pub(super) async fn uncount(tx: &mut Tx<'_>, id: BundleId, incident: IncidentId) -> Result<()> {
    tx.query("update bundle_incidents set counted_at = null where bundle_id = $1 and incident_id = $2")
        .bind(id)
        .bind(incident)
        .execute()
        .await?;
    Ok(())
}

pub(super) async fn empty(tx: &mut Tx<'_>, id: BundleId) -> Result<()> {
    tx.query("delete from bundle_incidents where bundle_id = $1").bind(id).execute().await?;
    Ok(())
}

/// The bundles that hold an incident, in the order in which they are locked.
pub(super) async fn holding(db: &mut Db<'_>, incident: IncidentId) -> Result<Vec<BundleId>> {
    db.query(
        "select bundles.id from bundle_incidents join bundles on bundles.id = bundle_id where incident_id = $1
         order by bundles.user_id, bundles.kind, bundles.group_id",
    )
    .bind(incident)
    .all()
    .await
}

/// Whether a person may hear of an incident by a bundle other than that one.
pub(in crate::paging) async fn is_in_another(db: &mut Db<'_>, incident: IncidentId, than: Option<BundleId>) -> Result<bool> {
    let others: i64 = db
        .query("select count(*) from bundle_incidents where incident_id = $1 and bundle_id <> $2")
        .bind(incident)
        .bind(than.map_or(Uuid::nil(), |id| id.0))
        .one()
        .await?;
    Ok(others > 0)
}

/// The urgent incidents of a team that rang a person by themselves since then and still ring, that one apart.
pub(super) async fn lately(
    db: &mut Db<'_>,
    user: UserId,
    team: TeamId,
    since: Timestamp,
    apart: IncidentId,
) -> Result<Vec<IncidentId>> {
    db.query(
        "select incident_id from incident_responders join incidents on incidents.id = incident_id
         where user_id = $1 and incident_responders.rung_at > $2 and team_id = $3 and state = 'triggered' and urgency = 'high'
             and incident_id <> $4
         order by incident_id",
    )
    .bind(user)
    .bind(since)
    .bind(team)
    .bind(apart)
    .all()
    .await
}

pub(super) async fn rang(tx: &mut Tx<'_>, incident: IncidentId, user: UserId, now: Timestamp) -> Result<()> {
    tx.query("update incident_responders set rung_at = $3 where incident_id = $1 and user_id = $2")
        .bind(incident)
        .bind(user)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// Bundles whose next push is overdue since before then and has no live job: what a buried job leaves behind.
pub(in crate::paging) async fn without_job(db: &mut Db<'_>, since: Timestamp, limit: u32) -> Result<Vec<BundleId>> {
    db.query(
        "select id from bundles where due_at < $1 and not exists (
             select 1 from jobs where subject_id = bundles.id and kind = 'bundle' and buried_at is null) limit $2",
    )
    .bind(since)
    .bind(limit)
    .all()
    .await
}
