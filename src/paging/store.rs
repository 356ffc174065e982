//! The SQL of incidents.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Reference;
use super::listing::{Asked, Phase};
use super::machine::{Act, Agent, Incident, Place, State, Urgency};
use super::plan::Plan;
use crate::clock::Timestamp;
use crate::db::{self, Db, Error, FromRow, Json, Result, Row, Sql, Tx, among};
use crate::id::{AlertId, BotId, IncidentId, IntegrationId, ServiceId, UserId};
use crate::journal::Actor;

impl FromRow for Incident {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: IncidentId = row.get("id")?;
        let reference: String = row.get("ref")?;
        let urgency: String = row.get("urgency")?;
        Ok(Self {
            id,
            reference: reference.parse().map_err(|error| Error::inconsistent("incidents", id, error))?,
            title: row.get("title")?,
            details: row.get("details")?,
            links: row.get::<Json<Vec<String>>>("links")?.0,
            labels: row.get::<Json<BTreeMap<String, String>>>("labels")?.0,
            urgency: if urgency == "high" { Urgency::High } else { Urgency::Low },
            opened_by: row.get::<Json<Actor>>("opened_by")?.0,
            service: row.get("service_id")?,
            team: row.get("team_id")?,
            reports: row.get("reports")?,
            plan: row.get::<Json<Plan>>("plan")?.0,
            state: state(row, id)?,
            created_at: row.get("created_at")?,
        })
    }
}

fn state(row: &Row<'_>, id: IncidentId) -> Result<State> {
    let word: String = row.get("state")?;
    let (timer_at, since): (Option<Timestamp>, Option<Timestamp>) = (row.get("timer_at")?, row.get("since_at")?);
    let (place, ring) = (Place { pass: row.get("pass")?, step: row.get("step")? }, row.get("ring")?);
    Ok(match (word.as_str(), timer_at, since, act(row)?) {
        ("triggered", Some(timer_at), Some(since), None) => {
            State::Triggered { place, ring, since, rung_at: row.get("rung_at")?, timer_at }
        }
        ("acknowledged", timer_at, None, Some(act)) => {
            State::Acknowledged { act, place, ring, snoozed: row.get::<i64>("snoozed")? == 1, timer_at }
        }
        ("resolved", None, None, Some(act)) => State::Resolved { act, ring, merged_into: row.get("merged_into_id")? },
        _ => return Err(Error::inconsistent("incidents", id, format!("state {word} does not fit its columns"))),
    })
}

fn act(row: &Row<'_>) -> Result<Option<Act>> {
    let person: Option<UserId> = row.get("acted_by")?;
    let source: Option<IntegrationId> = row.get("acted_source_id")?;
    let (at, via): (Option<Timestamp>, Option<BotId>) = (row.get("acted_at")?, row.get("acted_via")?);
    let by = match (person, source) {
        (Some(user), None) => Some(Agent::Person { user, via }),
        (None, Some(source)) => Some(Agent::Integration(source)),
        _ => None,
    };
    Ok(by.zip(at).map(|(by, at)| Act { by, at }))
}

/// A state as its columns.
struct Columns {
    word: &'static str,
    place: Place,
    ring: u32,
    since: Option<Timestamp>,
    rung_at: Option<Timestamp>,
    timer_at: Option<Timestamp>,
    act: Option<Act>,
    snoozed: bool,
    merged_into: Option<IncidentId>,
}

impl Columns {
    fn of(state: State) -> Self {
        let nothing = Self {
            word: "",
            place: Place { pass: 0, step: 0 },
            ring: state.ring(),
            since: None,
            rung_at: None,
            timer_at: None,
            act: state.act(),
            snoozed: false,
            merged_into: None,
        };
        match state {
            State::Triggered { place, since, rung_at, timer_at, .. } => {
                Self { word: "triggered", place, since: Some(since), rung_at, timer_at: Some(timer_at), ..nothing }
            }
            State::Acknowledged { place, snoozed, timer_at, .. } => {
                Self { word: "acknowledged", place, snoozed, timer_at, ..nothing }
            }
            State::Resolved { merged_into, .. } => Self { word: "resolved", merged_into, ..nothing },
        }
    }

    fn person(&self) -> (Option<UserId>, Option<BotId>) {
        match self.act.map(|act| act.by) {
            Some(Agent::Person { user, via }) => (Some(user), via),
            Some(Agent::Integration(_)) | None => (None, None),
        }
    }

    fn source(&self) -> Option<IntegrationId> {
        match self.act.map(|act| act.by) {
            Some(Agent::Integration(source)) => Some(source),
            Some(Agent::Person { .. }) | None => None,
        }
    }
}

fn word(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::High => "high",
        Urgency::Low => "low",
    }
}

/// Stores a new incident; `false` when its reference is taken.
pub(super) async fn insert(tx: &mut Tx<'_>, incident: &Incident) -> Result<bool> {
    let rows = tx
        .query(
            "insert into incidents (id, ref, title, details, links, labels, urgency, opened_by, service_id, team_id, reports, plan,
                 state, step, ring, created_at, timer_at, since_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'triggered', 0, 0, $13, $13, $13)
             on conflict (ref) do nothing",
        )
        .bind(incident.id)
        .bind(incident.reference.as_str())
        .bind(&incident.title)
        .bind(incident.details.clone())
        .bind(Json(&incident.links))
        .bind(Json(&incident.labels))
        .bind(word(incident.urgency))
        .bind(Json(incident.opened_by))
        .bind(incident.service)
        .bind(incident.team)
        .bind(incident.reports)
        .bind(Json(&incident.plan))
        .bind(incident.created_at)
        .execute()
        .await?;
    if rows == 1 {
        save(tx, incident).await?;
    }
    Ok(rows == 1)
}

/// Stores what may change of an incident.
pub(super) async fn save(tx: &mut Tx<'_>, incident: &Incident) -> Result<()> {
    let state = Columns::of(incident.state);
    let (acted_by, acted_via) = state.person();
    tx.query(
        "update incidents set state = $2, pass = $3, step = $4, ring = $5, since_at = $6, rung_at = $7, timer_at = $8, acted_by = $9,
             acted_via = $10, acted_source_id = $11, acted_at = $12, snoozed = $13, merged_into_id = $14, title = $15, details = $16,
             urgency = $17, reports = $18, plan = $19
         where id = $1",
    )
    .bind(incident.id)
    .bind(state.word)
    .bind(state.place.pass)
    .bind(state.place.step)
    .bind(state.ring)
    .bind(state.since)
    .bind(state.rung_at)
    .bind(state.timer_at)
    .bind(acted_by)
    .bind(acted_via)
    .bind(state.source())
    .bind(state.act.map(|act| act.at))
    .bind(i64::from(state.snoozed))
    .bind(state.merged_into)
    .bind(&incident.title)
    .bind(incident.details.clone())
    .bind(word(incident.urgency))
    .bind(incident.reports)
    .bind(Json(&incident.plan))
    .execute()
    .await?;
    Ok(())
}

/// Remembers whom an incident rang for or names.
pub(super) async fn add_responders(tx: &mut Tx<'_>, id: IncidentId, people: &[UserId], now: Timestamp) -> Result<()> {
    for user in people {
        tx.query(
            "insert into incident_responders (incident_id, user_id, since_at) values ($1, $2, $3)
             on conflict (incident_id, user_id) do nothing",
        )
        .bind(id)
        .bind(*user)
        .bind(now)
        .execute()
        .await?;
    }
    Ok(())
}

/// Whom an incident rang for or names, in the order they came to it.
pub(super) async fn responders(db: &mut Db<'_>, id: IncidentId) -> Result<Vec<UserId>> {
    db.query("select user_id from incident_responders where incident_id = $1 order by since_at, user_id").bind(id).all().await
}

pub(super) async fn find(db: &mut Db<'_>, reference: &Reference) -> Result<Option<Incident>> {
    db.query("select * from incidents where ref = $1").bind(reference.as_str()).optional().await
}

pub(super) async fn reference(db: &mut Db<'_>, id: IncidentId) -> Result<Option<Reference>> {
    let found: Option<String> = db.query("select ref from incidents where id = $1").bind(id).optional().await?;
    found.map(|text| text.parse().map_err(|error| Error::inconsistent("incidents", id, error))).transpose()
}

/// The incident of that id, which somebody refers to.
pub(super) async fn known(db: &mut Db<'_>, id: IncidentId) -> Result<Incident> {
    let found: Option<Incident> = db.query("select * from incidents where id = $1").bind(id).optional().await?;
    found.ok_or_else(|| Error::inconsistent("incidents", id, "referred to and not there"))
}

/// The incident, unless it was forgotten.
pub(super) async fn find_by_id(db: &mut Db<'_>, id: IncidentId) -> Result<Option<Incident>> {
    db.query("select * from incidents where id = $1").bind(id).optional().await
}

/// The incident, locked until the transaction ends.
pub(super) async fn lock(tx: &mut Tx<'_>, reference: &Reference) -> Result<Option<Incident>> {
    tx.query(Sql::either("select * from incidents where ref = $1", "select * from incidents where ref = $1 for no key update"))
        .bind(reference.as_str())
        .optional()
        .await
}

/// As [`lock`], by id.
pub(super) async fn lock_by_id(tx: &mut Tx<'_>, id: IncidentId) -> Result<Option<Incident>> {
    tx.query(Sql::either("select * from incidents where id = $1", "select * from incidents where id = $1 for no key update"))
        .bind(id)
        .optional()
        .await
}

/// Open incidents whose timer is overdue since before `since` and has no live job, the longest first: what a buried job leaves behind.
pub(super) async fn without_timer(db: &mut Db<'_>, since: Timestamp, limit: u32) -> Result<Vec<IncidentId>> {
    db.query(
        "select id from incidents where state <> 'resolved' and timer_at < $1 and not exists (
             select 1 from jobs where subject_id = incidents.id and kind = 'incident_timer' and buried_at is null)
         order by timer_at limit $2",
    )
    .bind(since)
    .bind(limit)
    .all()
    .await
}

/// Where nothing is asked, the parameter is null. `$2` is the states that are asked for.
const LIST: Sql = Sql::either(
    "select * from incidents where id < $1 and state in (select value from json_each($2))
       and ($3 is null or id in (select incident_id from incident_responders where user_id = $3))
       and ($4 is null or service_id = $4) and ($5 is null or team_id = $5) and ($6 is null or urgency = $6)
     order by id desc limit $7",
    "select * from incidents where id < $1 and state in (select jsonb_array_elements_text($2))
       and ($3::uuid is null or id in (select incident_id from incident_responders where user_id = $3))
       and ($4::uuid is null or service_id = $4) and ($5::uuid is null or team_id = $5) and ($6::text is null or urgency = $6)
     order by id desc limit $7",
);

/// The incidents that are asked for, the newest first.
pub(super) async fn list(db: &mut Db<'_>, asked: &Asked, before: Option<IncidentId>, limit: u32) -> Result<Vec<Incident>> {
    let states: &[&str] = match asked.phase {
        Phase::Triggered => &["triggered"],
        Phase::Acknowledged => &["acknowledged"],
        Phase::Resolved => &["resolved"],
        Phase::Open => &["triggered", "acknowledged"],
        Phase::Any => &["triggered", "acknowledged", "resolved"],
    };
    // Ids ascend with time, so they are the cursor as well.
    db.query(LIST)
        .bind(before.map_or(uuid::Uuid::max(), |id| id.0))
        .bind(Json(states))
        .bind(asked.user)
        .bind(asked.service)
        .bind(asked.team)
        .bind(asked.urgency.map(word))
        .bind(limit)
        .all()
        .await
}

/// The incidents that ring and rang for this person, in the order of their ids.
pub(super) async fn ringing_for(db: &mut Db<'_>, user: UserId, limit: u32) -> Result<Vec<IncidentId>> {
    db.query(
        "select id from incidents where state = 'triggered'
             and id in (select incident_id from incident_responders where user_id = $1)
         order by id limit $2",
    )
    .bind(user)
    .bind(limit)
    .all()
    .await
}

/// Whether an incident rang for somebody.
pub(super) async fn is_responder(db: &mut Db<'_>, id: IncidentId, user: UserId) -> Result<bool> {
    db.query("select exists (select 1 from incident_responders where incident_id = $1 and user_id = $2) as is_one")
        .bind(id)
        .bind(user)
        .one()
        .await
}

/// Locks a service until the transaction ends: whoever changes its alerts holds that lock.
pub(super) async fn lock_service(tx: &mut Tx<'_>, id: ServiceId) -> Result<()> {
    let locked = Sql::either("select id from services where id = $1", "select id from services where id = $1 for no key update");
    let _: Option<ServiceId> = tx.query(locked).bind(id).optional().await?;
    Ok(())
}

/// Lets open alerts belong to another incident; how many.
pub(super) async fn move_alerts(tx: &mut Tx<'_>, from: IncidentId, into: IncidentId) -> Result<u64> {
    tx.query("update alerts set incident_id = $2 where incident_id = $1 and state = 'open'").bind(from).bind(into).execute().await
}

/// The open alerts of an incident, at most so many.
pub(super) async fn open_alerts(db: &mut Db<'_>, incident: IncidentId, limit: u32) -> Result<Vec<AlertId>> {
    db.query("select id from alerts where incident_id = $1 and state = 'open' order by id limit $2")
        .bind(incident)
        .bind(limit)
        .all()
        .await
}

/// Lets those of these alerts that are open and belong to one incident belong to another again; how many.
pub(super) async fn give_back(tx: &mut Tx<'_>, alerts: &[AlertId], from: IncidentId, to: IncidentId) -> Result<u64> {
    tx.query(among!("update alerts set incident_id = $3 where incident_id = $2 and state = 'open' and id in"))
        .bind(ids(alerts))
        .bind(from)
        .bind(to)
        .execute()
        .await
}

/// The services of these alerts.
pub(super) async fn services_of(db: &mut Db<'_>, alerts: &[AlertId]) -> Result<Vec<ServiceId>> {
    db.query(among!("select distinct service_id from alerts where id in")).bind(ids(alerts)).all().await
}

fn ids(alerts: &[AlertId]) -> Json<Vec<String>> {
    db::ids(&alerts.iter().map(|alert| alert.0).collect::<Vec<_>>())
}

/// Lets whoever may act on one incident act on another.
pub(super) async fn copy_responders(tx: &mut Tx<'_>, from: IncidentId, into: IncidentId) -> Result<()> {
    tx.query(
        "insert into incident_responders (incident_id, user_id, since_at)
         select $2, user_id, since_at from incident_responders where incident_id = $1
         on conflict (incident_id, user_id) do nothing",
    )
    .bind(from)
    .bind(into)
    .execute()
    .await?;
    Ok(())
}

const FORGETTABLE: Sql = Sql::either(
    "select id from incidents where state = 'resolved' and acted_at < $1 order by acted_at limit 100",
    // Another node may be at it too.
    "select id from incidents where state = 'resolved' and acted_at < $1 order by acted_at limit 100 for update skip locked",
);

/// Forgets some incidents that were resolved before then, and alerts that never had one; which they were.
///
/// # Errors
/// Storage errors.
pub async fn forget_before(tx: &mut Tx<'_>, before: Timestamp) -> Result<Vec<Uuid>> {
    let mut ids: Vec<Uuid> = tx.query(FORGETTABLE).bind(before).all().await?;
    if !ids.is_empty() {
        tx.query(among!("delete from incidents where id in")).bind(db::ids(&ids)).execute().await?;
    }
    ids.extend(super::alerts::forget_before(tx, before).await?);
    Ok(ids)
}
