//! The SQL of incidents.

use uuid::Uuid;

use super::Reference;
use super::machine::{Act, Incident, Plan, State, Urgency};
use crate::clock::Timestamp;
use crate::db::{self, Db, Error, FromRow, Json, Result, Row, Sql, Tx, among};
use crate::id::IncidentId;
use crate::journal::Actor;

impl FromRow for Incident {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: IncidentId = row.get("id")?;
        let reference: String = row.get("ref")?;
        let urgency: String = row.get("urgency")?;
        let plan = row.get::<Json<Plan>>("plan")?.0;
        Ok(Self {
            id,
            reference: reference.parse().map_err(|error| Error::inconsistent("incidents", id, error))?,
            title: row.get("title")?,
            details: row.get("details")?,
            links: row.get::<Json<Vec<String>>>("links")?.0,
            urgency: if urgency == "high" { Urgency::High } else { Urgency::Low },
            opened_by: row.get::<Json<Actor>>("opened_by")?.0,
            state: state(row, id, &plan)?,
            plan,
            created_at: row.get("created_at")?,
        })
    }
}

fn state(row: &Row<'_>, id: IncidentId, plan: &Plan) -> Result<State> {
    let word: String = row.get("state")?;
    let timer_at: Option<Timestamp> = row.get("timer_at")?;
    let act = match (row.get("acted_by")?, row.get("acted_at")?) {
        (Some(by), Some(at)) => Some(Act { by, via: row.get("acted_via")?, at }),
        _ => None,
    };
    let (step, ring): (u32, u32) = (row.get("step")?, row.get("ring")?);
    Ok(match (word.as_str(), timer_at, act) {
        ("triggered", Some(timer_at), None) => {
            State::Triggered { step, ring, left: row.get::<u32>("rings_left")?.min(plan.rings()), timer_at }
        }
        ("acknowledged", Some(timer_at), Some(act)) => State::Acknowledged { act, ring, timer_at },
        ("resolved", None, Some(act)) => State::Resolved { act, ring },
        _ => return Err(Error::inconsistent("incidents", id, format!("state {word} does not fit its columns"))),
    })
}

/// A state as its columns.
struct Columns {
    word: &'static str,
    step: u32,
    ring: u32,
    left: u32,
    timer_at: Option<Timestamp>,
    act: Option<Act>,
}

impl Columns {
    fn of(state: State) -> Self {
        match state {
            State::Triggered { step, ring, left, timer_at } => {
                Self { word: "triggered", step, ring, left, timer_at: Some(timer_at), act: None }
            }
            State::Acknowledged { act, ring, timer_at } => {
                Self { word: "acknowledged", step: 0, ring, left: 0, timer_at: Some(timer_at), act: Some(act) }
            }
            State::Resolved { act, ring } => Self { word: "resolved", step: 0, ring, left: 0, timer_at: None, act: Some(act) },
        }
    }
}

/// Stores a new incident; `false` when its reference is taken.
pub(super) async fn insert(tx: &mut Tx<'_>, incident: &Incident) -> Result<bool> {
    let state = Columns::of(incident.state);
    let rows = tx
        .query(
            "insert into incidents (id, ref, title, details, links, urgency, opened_by, plan, state, step, ring, rings_left,
                 timer_at, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) on conflict (ref) do nothing",
        )
        .bind(incident.id)
        .bind(incident.reference.as_str())
        .bind(&incident.title)
        .bind(incident.details.clone())
        .bind(Json(&incident.links))
        .bind(if incident.urgency == Urgency::High { "high" } else { "low" })
        .bind(Json(incident.opened_by))
        .bind(Json(&incident.plan))
        .bind(state.word)
        .bind(state.step)
        .bind(state.ring)
        .bind(state.left)
        .bind(state.timer_at)
        .bind(incident.created_at)
        .execute()
        .await?;
    Ok(rows == 1)
}

pub(super) async fn save_state(tx: &mut Tx<'_>, incident: &Incident) -> Result<()> {
    let state = Columns::of(incident.state);
    tx.query(
        "update incidents set state = $2, step = $3, ring = $4, rings_left = $5, timer_at = $6, acted_by = $7, acted_via = $8,
             acted_at = $9 where id = $1",
    )
    .bind(incident.id)
    .bind(state.word)
    .bind(state.step)
    .bind(state.ring)
    .bind(state.left)
    .bind(state.timer_at)
    .bind(state.act.map(|act| act.by))
    .bind(state.act.and_then(|act| act.via))
    .bind(state.act.map(|act| act.at))
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn find(db: &mut Db<'_>, reference: &Reference) -> Result<Option<Incident>> {
    db.query("select * from incidents where ref = $1").bind(reference.as_str()).optional().await
}

/// The incident, locked until the transaction ends.
pub(super) async fn lock(tx: &mut Tx<'_>, reference: &Reference) -> Result<Option<Incident>> {
    tx.query(Sql::either("select * from incidents where ref = $1", "select * from incidents where ref = $1 for update"))
        .bind(reference.as_str())
        .optional()
        .await
}

/// As [`lock`], by id.
pub(super) async fn lock_by_id(tx: &mut Tx<'_>, id: IncidentId) -> Result<Option<Incident>> {
    tx.query(Sql::either("select * from incidents where id = $1", "select * from incidents where id = $1 for update"))
        .bind(id)
        .optional()
        .await
}

/// Open incidents whose timer is overdue since before `since` and has no live job: what a buried job leaves behind.
pub(super) async fn without_timer(tx: &mut Tx<'_>, since: Timestamp) -> Result<Vec<IncidentId>> {
    tx.query(
        "select id from incidents where state <> 'resolved' and timer_at < $1 and not exists (
             select 1 from jobs where subject_id = incidents.id and kind = 'incident_timer' and buried_at is null)",
    )
    .bind(since)
    .all()
    .await
}

/// Open incidents, or all, the newest first.
pub(super) async fn list(db: &mut Db<'_>, all: bool, before: Option<IncidentId>, limit: u32) -> Result<Vec<Incident>> {
    // Ids ascend with time, so they are the cursor as well.
    let before = before.map_or(uuid::Uuid::max(), |id| id.0);
    let sql = if all {
        "select * from incidents where id < $1 order by id desc limit $2"
    } else {
        "select * from incidents where id < $1 and state <> 'resolved' order by id desc limit $2"
    };
    db.query(sql).bind(before).bind(limit).all().await
}

const FORGETTABLE: Sql = Sql::either(
    "select id from incidents where state = 'resolved' and acted_at < $1 order by acted_at limit 100",
    // Another node may be at it too.
    "select id from incidents where state = 'resolved' and acted_at < $1 order by acted_at limit 100 for update skip locked",
);

/// Forgets some incidents that were resolved before then; which they were.
///
/// # Errors
/// Storage errors.
pub async fn forget_before(tx: &mut Tx<'_>, before: Timestamp) -> Result<Vec<Uuid>> {
    let ids: Vec<Uuid> = tx.query(FORGETTABLE).bind(before).all().await?;
    if !ids.is_empty() {
        tx.query(among!("delete from incidents where id in")).bind(db::ids(&ids)).execute().await?;
    }
    Ok(ids)
}
