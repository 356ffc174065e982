//! Schedules made, changed whole and removed, by administrators.

use serde_json::json;

use super::hand_over::{self, By};
use super::{Error, GapsTold, Refused, Schedule, Schedules, invalid, store};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::{ScheduleId, TeamId, UserId};
use crate::identity::{self, Call, Handle, NotAUser, UserRef};
use crate::journal::Entry;
use crate::oncall::{self, WrittenLayer};
use crate::paging::service::Parts;
use crate::paging::{Target, escalation::EscalationPolicy};
use crate::text::is_deceptive;

/// More schedules than this are a mistake.
pub(super) const MAX: i64 = 5_000;

const MAX_LAYERS: usize = 20;
const MAX_PEOPLE: usize = 100;
const MAX_HOURS: usize = 100;
const MAX_NAME: usize = 80;

/// A schedule as people write it: they are named by handle or id.
#[derive(Clone, Debug)]
pub struct NewSchedule {
    /// Whose it is.
    pub team: Option<Handle>,
    /// The zone whose wall clock counts.
    pub zone: String,
    /// The lowest first.
    pub layers: Vec<WrittenLayer>,
}

/// Whether somebody else's schedule may be in the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It must not be there.
    Create,
    /// What is there is replaced.
    Put,
}

impl Schedules {
    /// Makes a schedule.
    ///
    /// # Errors
    /// Only administrators may; [`Refused::Taken`], [`Refused::Invalid`], [`Refused::NotFound`] of its team.
    pub async fn create(&self, call: &Call, name: Handle, new: NewSchedule) -> Result<(), Error> {
        self.write(call, name, new, Mode::Create).await.map(|_| ())
    }

    /// Makes a schedule, or replaces the one of that name whole, its overrides apart; whether it is new.
    ///
    /// # Errors
    /// As [`Schedules::create`], but for [`Refused::Taken`].
    pub async fn put(&self, call: &Call, name: Handle, new: NewSchedule) -> Result<bool, Error> {
        self.write(call, name, new, Mode::Put).await
    }

    async fn write(&self, call: &Call, name: Handle, new: NewSchedule, mode: Mode) -> Result<bool, Error> {
        call.admin()?;
        checked(&new)?;
        let (now, parts, by) = (self.clock.now(), self.parts.clone(), By::of(call));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let (team, layers) = meant(tx.db(), &new).await?;
                let zone = oncall::zone(&new.zone).map_err(Refused::from)?;
                let zone = zone.iana_name().unwrap_or(&new.zone).to_owned();
                write(tx, &parts, &by, name, (team, zone, layers), mode, now).await
            })
        })
        .await
    }

    /// Removes a schedule; whoever has the pager is told.
    ///
    /// # Errors
    /// Only administrators may; [`Refused::NotFound`], [`Refused::InUse`].
    pub async fn remove(&self, call: &Call, name: Handle) -> Result<(), Error> {
        call.admin()?;
        let (now, parts, by) = (self.clock.now(), self.parts.clone(), By::of(call));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let schedule = store::lock_named(tx, &name).await?.ok_or_else(|| unknown(&name))?;
                let policies = naming(&store::policies(tx.db()).await?, schedule.id);
                if !policies.is_empty() {
                    return Err(Refused::InUse { policies }.into());
                }
                store::remove(tx, schedule.id, now).await?;
                record(tx, &parts, now, &by, "schedule.removed", &schedule, json!({"name": schedule.name})).await?;
                hand_over::ended(tx, &parts, &schedule, &by, now).await?;
                Ok(())
            })
        })
        .await
    }
}

pub(super) fn unknown(name: &Handle) -> Refused {
    Refused::NotFound(format!("schedule {}", name.as_str()))
}

/// Which escalation policies name a schedule.
pub(super) fn naming(policies: &[EscalationPolicy], id: ScheduleId) -> Vec<Handle> {
    let meant = Target::Schedule(id);
    let names = |policy: &&EscalationPolicy| {
        policy.last_resort.contains(&meant) || policy.steps.iter().any(|step| step.targets.contains(&meant))
    };
    policies.iter().filter(names).map(|policy| policy.name.clone()).collect()
}

async fn write(
    tx: &mut Tx<'_>,
    parts: &Parts,
    by: &By,
    name: Handle,
    (team, zone, layers): (Option<TeamId>, String, Vec<WrittenLayer>),
    mode: Mode,
    now: Timestamp,
) -> Result<bool, Error> {
    let new = Schedule {
        id: ScheduleId::new(now),
        name: name.clone(),
        team,
        zone,
        layers,
        created_at: now,
        changed_at: now,
        holder: None,
        hand_over_at: None,
        gaps_told: GapsTold::default(),
    };
    if store::count(tx.db()).await? >= MAX && store::find_named(tx.db(), &name).await?.is_none() {
        return Err(Refused::TooMany.into());
    }
    // Inserting first decides who makes it when two do so at once.
    let is_new = store::insert(tx, &new).await?;
    let (kind, schedule) = if is_new {
        ("schedule.created", new)
    } else if mode == Mode::Create {
        return Err(Refused::Taken(name).into());
    } else {
        let there = store::lock_named(tx, &name).await?.ok_or_else(|| unknown(&name))?;
        let changed_at = there.changed_at.max(now);
        let changed =
            Schedule { team: new.team, zone: new.zone, layers: new.layers, changed_at, gaps_told: new.gaps_told, ..there };
        store::change(tx, &changed).await?;
        ("schedule.changed", changed)
    };
    let data = json!({"name": schedule.name, "team": schedule.team, "zone": schedule.zone, "layers": schedule.layers});
    record(tx, parts, now, by, kind, &schedule, data).await?;
    hand_over::settle(tx, parts, schedule, by, now).await?;
    Ok(is_new)
}

pub(super) async fn record(
    tx: &mut Tx<'_>,
    parts: &Parts,
    now: Timestamp,
    by: &By,
    kind: &'static str,
    schedule: &Schedule,
    mut data: serde_json::Value,
) -> db::Result<()> {
    if let Some(origin) = &by.origin {
        data["origin"] = origin.clone();
    }
    parts.journal.append(tx, now, Entry { kind, actor: by.actor, subject: schedule.id.to_string(), data }).await
}

/// What can be said without knowing anybody.
fn checked(new: &NewSchedule) -> Result<(), Refused> {
    if new.layers.len() > MAX_LAYERS {
        return Err(invalid("layers", format!("may be at most {MAX_LAYERS}")));
    }
    for (at, layer) in new.layers.iter().enumerate() {
        let wrong = |member: &str, why: String| Err(invalid(format!("layers[{at}].{member}"), why));
        let name = layer.name.as_str();
        if name.trim() != name || name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(is_deceptive) {
            return wrong("name", format!("must be 1 to {MAX_NAME} visible characters"));
        }
        if layer.people.len() > MAX_PEOPLE {
            return wrong("people", format!("may be at most {MAX_PEOPLE}"));
        }
        if layer.hours.len() > MAX_HOURS {
            return wrong("hours", format!("may be at most {MAX_HOURS}"));
        }
    }
    oncall::layered(&new.zone, new.layers.clone())?;
    Ok(())
}

/// The team, and the layers with people by their ids.
async fn meant(db: &mut Db<'_>, new: &NewSchedule) -> Result<(Option<TeamId>, Vec<WrittenLayer>), Error> {
    let team = match &new.team {
        None => None,
        Some(name) => {
            let found = identity::find_team(db, name).await?;
            Some(found.ok_or_else(|| invalid("team", format!("there is no team {}", name.as_str())))?.id)
        }
    };
    let mut layers = new.layers.clone();
    for (at, layer) in layers.iter_mut().enumerate() {
        for (place, person) in layer.people.iter_mut().enumerate() {
            let field = format!("layers[{at}].people[{place}]");
            *person = person_meant(db, person, &field).await?.to_string();
        }
    }
    Ok((team, layers))
}

/// Somebody who is there, by `@handle` or `usr_…`.
pub(super) async fn person_meant(db: &mut Db<'_>, text: &str, field: &str) -> Result<UserId, Error> {
    let who: UserRef = text.parse().map_err(|error: NotAUser| invalid(field, error.to_string()))?;
    let found = identity::active_user(db, &who).await?;
    Ok(found.ok_or_else(|| invalid(field, format!("there is no {who}")))?.id)
}
