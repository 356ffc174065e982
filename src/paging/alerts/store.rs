//! The SQL of alerts and of heartbeats.

use uuid::Uuid;

use super::machine::{Alert, Group, Report, State};
use crate::clock::Timestamp;
use crate::db::{self, Db, Error, FromRow, Json, Result, Row, Sql, Tx, among};
use crate::id::{AlertId, IncidentId, IntegrationId, ServiceId};
use crate::paging::maintenance::Maintained;
use crate::paging::services::Beats;

impl FromRow for Alert {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: AlertId = row.get("id")?;
        let severity: String = row.get("severity")?;
        let report = Report {
            summary: row.get("summary")?,
            source: row.get("source")?,
            severity: serde_json::from_value(severity.into()).map_err(|error| Error::inconsistent("alerts", id, error))?,
            details: row.get::<Json<_>>("details")?.0,
            labels: row.get::<Json<_>>("labels")?.0,
            links: row.get::<Json<_>>("links")?.0,
        };
        Ok(Self {
            id,
            integration: row.get("integration_id")?,
            service: row.get("service_id")?,
            key: row.get("dedup_key")?,
            incident: row.get("incident_id")?,
            report,
            reports: row.get("reports")?,
            openings: row.get::<Json<_>>("openings")?.0,
            suppressed_by: row.get("suppressed_by")?,
            group: group(row, id)?,
            state: state(row, id)?,
            first_at: row.get("first_at")?,
            last_at: row.get("last_at")?,
        })
    }
}

fn group(row: &Row<'_>, id: AlertId) -> Result<Option<Group>> {
    let (sha256, paged_at): (Option<Vec<u8>>, Option<Timestamp>) = (row.get("group_sha256")?, row.get("paged_at")?);
    let whole = |(sha256, paged_at): (Vec<u8>, Timestamp)| {
        let sha256 = sha256.try_into().map_err(|_| Error::inconsistent("alerts", id, "a group is 32 bytes"))?;
        Ok(Group { sha256, paged_at })
    };
    sha256.zip(paged_at).map(whole).transpose()
}

fn state(row: &Row<'_>, id: AlertId) -> Result<State> {
    let word: String = row.get("state")?;
    match (word.as_str(), row.get("closes_at")?, row.get::<Option<Timestamp>>("closed_at")?) {
        ("open", closes_at, None) => Ok(State::Open { closes_at }),
        ("closed", None, Some(at)) => Ok(State::Closed { at }),
        _ => Err(Error::inconsistent("alerts", id, format!("state {word} does not fit its columns"))),
    }
}

/// The latest life of a key.
pub(super) async fn latest(db: &mut Db<'_>, integration: IntegrationId, key: &str) -> Result<Option<Alert>> {
    db.query(
        "select * from alerts where integration_id = $1 and dedup_key = $2 order by last_at desc, state desc, id desc limit 1",
    )
    .bind(integration)
    .bind(key)
    .optional()
    .await
}

pub(super) async fn find(db: &mut Db<'_>, id: AlertId) -> Result<Option<Alert>> {
    db.query("select * from alerts where id = $1").bind(id).optional().await
}

/// Stores an alert, new or changed. Its service is locked, so nobody else changes it meanwhile.
pub(super) async fn save(tx: &mut Tx<'_>, alert: &Alert) -> Result<()> {
    let (state, closes_at, closed_at) = match alert.state {
        State::Open { closes_at } => ("open", closes_at, None),
        State::Closed { at } => ("closed", None, Some(at)),
    };
    tx.query(
        "insert into alerts (id, integration_id, service_id, dedup_key, state, incident_id, severity, summary, source, details, labels,
             links, reports, openings, suppressed_by, group_sha256, paged_at, first_at, last_at, closes_at, closed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
         on conflict (id) do update set state = excluded.state, incident_id = excluded.incident_id, severity = excluded.severity,
             summary = excluded.summary, source = excluded.source, details = excluded.details, labels = excluded.labels,
             links = excluded.links, reports = excluded.reports, openings = excluded.openings,
             suppressed_by = excluded.suppressed_by, group_sha256 = excluded.group_sha256, paged_at = excluded.paged_at,
             last_at = excluded.last_at, closes_at = excluded.closes_at, closed_at = excluded.closed_at",
    )
    .bind(alert.id)
    .bind(alert.integration)
    .bind(alert.service)
    .bind(&alert.key)
    .bind(state)
    .bind(alert.incident)
    .bind(alert.report.severity.as_str())
    .bind(&alert.report.summary)
    .bind(&alert.report.source)
    .bind(Json(&alert.report.details))
    .bind(Json(&alert.report.labels))
    .bind(Json(&alert.report.links))
    .bind(alert.reports)
    .bind(Json(&alert.openings))
    .bind(alert.suppressed_by.clone())
    .bind(alert.group.map(|group| group.sha256.to_vec()))
    .bind(alert.group.map(|group| group.paged_at))
    .bind(alert.first_at)
    .bind(alert.last_at)
    .bind(closes_at)
    .bind(closed_at)
    .execute()
    .await?;
    Ok(())
}

/// Holds every report of a service back until the transaction ends. On PostgreSQL those that only refer to it need not wait.
pub(super) async fn lock_service(tx: &mut Tx<'_>, id: ServiceId) -> Result<()> {
    const LOCK: Sql =
        Sql::either("select id from services where id = $1", "select id from services where id = $1 for no key update");
    let _: Option<ServiceId> = tx.query(LOCK).bind(id).optional().await?;
    Ok(())
}

/// The open incident that alerts of a group began last, since then.
pub(super) async fn of_group(
    db: &mut Db<'_>,
    service: ServiceId,
    sha256: [u8; 32],
    since: Timestamp,
) -> Result<Option<IncidentId>> {
    db.query(
        "select incidents.id from alerts join incidents on incidents.id = alerts.incident_id
         where alerts.service_id = $1 and alerts.group_sha256 = $2 and alerts.paged_at >= $3 and incidents.state <> 'resolved'
         order by alerts.paged_at desc limit 1",
    )
    .bind(service)
    .bind(sha256.to_vec())
    .bind(since)
    .optional()
    .await
}

/// How many other alerts hold an incident open.
pub(super) async fn others_open(db: &mut Db<'_>, incident: IncidentId, but: AlertId) -> Result<i64> {
    db.query("select count(*) from alerts where incident_id = $1 and state = 'open' and id <> $2")
        .bind(incident)
        .bind(but)
        .one()
        .await
}

/// The incident that goes on in the place of another.
pub(super) async fn heir(db: &mut Db<'_>, id: IncidentId) -> Result<Option<IncidentId>> {
    let found: Option<Heir> = db.query("select merged_into_id from incidents where id = $1").bind(id).optional().await?;
    Ok(found.and_then(|Heir(heir)| heir))
}

struct Heir(Option<IncidentId>);

impl FromRow for Heir {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        row.get("merged_into_id").map(Self)
    }
}

/// Alerts of a service, or of all services of a team, that wait for the end of maintenance and that nothing looks at yet; at most so many,
/// the oldest first.
pub(super) async fn suppressed(tx: &mut Tx<'_>, of: Maintained, now: Timestamp, limit: u32) -> Result<Vec<AlertId>> {
    let (service, team) = match of {
        Maintained::Service(service) => (Some(service), None),
        Maintained::Team(team) => (None, Some(team)),
    };
    tx.query(
        "select alerts.id from alerts join services on services.id = alerts.service_id
         where alerts.state = 'open' and alerts.incident_id is null and (services.id = $1 or services.team_id = $2)
             and not exists (select 1 from jobs where subject_id = alerts.id and kind = 'alert_timer' and buried_at is null)
             and not exists (
                 select 1 from maintenance_windows
                 where ended_at is null and from_at <= $3 and until_at > $3
                     and (maintenance_windows.service_id = services.id or maintenance_windows.team_id = services.team_id))
         order by alerts.id limit $4",
    )
    .bind(service)
    .bind(team)
    .bind(now)
    .bind(limit)
    .all()
    .await
}

/// How many timers of alerts are due, or are being looked at, until then; it does not count beyond the limit.
pub(super) async fn timers_due(tx: &mut Tx<'_>, until: Timestamp, limit: u32) -> Result<u32> {
    tx.query(
        "select count(*) from (
             select 1 as one from jobs where buried_at is null and urgent = 1 and due_at <= $1 and kind = 'alert_timer' limit $2
         ) as due",
    )
    .bind(until)
    .bind(limit)
    .one()
    .await
}

/// Alerts that wait for a timer and have none, at most so many: what a buried job leaves behind. What is suppressed waits for the job of a
/// window that runs, or that is over and has its job done until `soon`.
pub(super) async fn without_timer(tx: &mut Tx<'_>, now: Timestamp, soon: Timestamp, limit: u32) -> Result<Vec<AlertId>> {
    tx.query(
        "select id from alerts where state = 'open' and (closes_at is not null or incident_id is null) and not exists (
             select 1 from jobs where subject_id = alerts.id and kind = 'alert_timer' and buried_at is null)
         and not exists (
             select 1 from services
             join maintenance_windows on maintenance_windows.service_id = services.id or maintenance_windows.team_id = services.team_id
             join jobs on jobs.subject_id = maintenance_windows.id and jobs.kind = 'maintenance_over' and jobs.buried_at is null
             where services.id = alerts.service_id and alerts.closes_at is null and maintenance_windows.from_at <= $1
                 and (maintenance_windows.ended_at is null or jobs.due_at <= $2))
         order by id limit $3",
    )
    .bind(now)
    .bind(soon)
    .bind(limit)
    .all()
    .await
}

const FORGETTABLE: Sql = Sql::either(
    "select id from alerts where incident_id is null and closed_at < $1 order by closed_at limit 100",
    // Another node may be at it too.
    "select id from alerts where incident_id is null and closed_at < $1 order by closed_at limit 100 for update skip locked",
);

/// Forgets some alerts that never had an incident and were over before then; which. The others go with their incidents.
pub(in crate::paging) async fn forget_before(tx: &mut Tx<'_>, before: Timestamp) -> Result<Vec<Uuid>> {
    let ids: Vec<Uuid> = tx.query(FORGETTABLE).bind(before).all().await?;
    if !ids.is_empty() {
        tx.query(among!("delete from alerts where id in")).bind(db::ids(&ids)).execute().await?;
    }
    Ok(ids)
}

/// A heartbeat as it stands.
pub(super) struct Pulse {
    pub(super) service: ServiceId,
    pub(super) beat_at: Option<Timestamp>,
    /// When silence is an incident. While there is one a timer waits; there is none before the first beat and during a silence.
    pub(super) due_at: Option<Timestamp>,
    pub(super) revoked: bool,
    pub(super) beats: Beats,
}

impl FromRow for Pulse {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            service: row.get("service_id")?,
            beat_at: row.get("beat_at")?,
            due_at: row.get("beat_due_at")?,
            revoked: row.get::<Option<Timestamp>>("revoked_at")?.is_some(),
            beats: row.get::<Json<Beats>>("settings")?.0,
        })
    }
}

/// A heartbeat, locked until the transaction ends.
pub(super) async fn lock_pulse(tx: &mut Tx<'_>, id: IntegrationId) -> Result<Option<Pulse>> {
    const LOCK: Sql = Sql::either(
        "select * from integrations where id = $1 and kind = 'heartbeat'",
        "select * from integrations where id = $1 and kind = 'heartbeat' for no key update",
    );
    tx.query(LOCK).bind(id).optional().await
}

/// A heartbeat, as it is at this moment.
pub(super) async fn pulse(db: &mut Db<'_>, id: IntegrationId) -> Result<Option<Pulse>> {
    db.query("select * from integrations where id = $1 and kind = 'heartbeat'").bind(id).optional().await
}

/// It is waited for until then.
pub(super) async fn wait_on(tx: &mut Tx<'_>, id: IntegrationId, until: Timestamp) -> Result<()> {
    tx.query("update integrations set beat_due_at = $2 where id = $1").bind(id).bind(until).execute().await?;
    Ok(())
}

pub(super) async fn beat(tx: &mut Tx<'_>, id: IntegrationId, at: Timestamp, due_at: Timestamp) -> Result<()> {
    tx.query("update integrations set beat_at = $2, beat_due_at = $3 where id = $1")
        .bind(id)
        .bind(at)
        .bind(due_at)
        .execute()
        .await?;
    Ok(())
}

/// No timer waits for it any more.
pub(super) async fn fell_silent(tx: &mut Tx<'_>, id: IntegrationId) -> Result<()> {
    tx.query("update integrations set beat_due_at = null where id = $1").bind(id).execute().await?;
    Ok(())
}

/// Heartbeats that are overdue since before `since` and have no timer.
pub(super) async fn pulses_without_timer(tx: &mut Tx<'_>, since: Timestamp) -> Result<Vec<IntegrationId>> {
    tx.query(
        "select id from integrations where beat_due_at < $1 and not exists (
             select 1 from jobs where subject_id = integrations.id and kind = 'heartbeat' and buried_at is null)",
    )
    .bind(since)
    .all()
    .await
}
