//! One incident goes on in the place of another; and what went along goes back when whoever a bot merged them for says that it was not them.
//!
//! **Invariants**
//! - A merge takes the open alerts along. Which they were stands in the journal (`incident.absorbed`), and those that are still open are what
//!   goes back: what was reported since the merge stays where it was reported.
//! - Locks are taken in this order: services, incidents, bundles, alerts; several of a kind in the order of their ids.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::acts::Doer;
use super::machine::{Act, Agent, Event, Incident, Refusal, State, Urgency};
use super::ringing::{By, apply};
use super::service::{Error, Parts, Refused};
use super::{Reference, bundles, store};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::{AlertId, IncidentId, ServiceId, UserId};
use crate::journal::{self, Actor, Entry};

/// An entry of the journal names at most so many alerts. Where more went along they stay.
const NAMED: u32 = 500;

/// What the journal says when an incident went on in the place of another.
const ABSORBED: &str = "incident.absorbed";

/// Lets another incident go on in its place: that one takes its open alerts, its reports and its responders.
pub(super) async fn merge(
    tx: &mut Tx<'_>,
    parts: &Parts,
    (from, into): (Reference, Reference),
    doer: &Doer,
    now: Timestamp,
) -> Result<(), Error> {
    let (incident, target) = both(tx, from, into).await?;
    doer.must_be_allowed(tx.db(), &incident, now).await?;
    doer.must_be_allowed(tx.db(), &target, now).await?;
    let was = incident.state;
    let goes_there = heir(&incident) == Some(target.id);
    if matches!(target.state, State::Resolved { .. }) && !goes_there {
        return Err(Refused::IntoResolved(target.reference).into());
    }
    let event = Event::Merged { act: doer.act(now), into: target.id };
    let (incident, _) = apply(tx, parts, incident, event, &doer.by, now).await?;
    if incident.state != was {
        absorb(tx, parts, &incident, target, doer, now).await?;
    }
    Ok(())
}

/// The incident that goes on in its place.
fn heir(incident: &Incident) -> Option<IncidentId> {
    match incident.state {
        State::Resolved { merged_into, .. } => merged_into,
        State::Triggered { .. } | State::Acknowledged { .. } => None,
    }
}

/// Both incidents, locked, and before them their services, whose alerts nobody changes meanwhile.
async fn both(tx: &mut Tx<'_>, from: Reference, into: Reference) -> Result<(Incident, Incident), Error> {
    let first = store::find(tx.db(), &from).await?.ok_or_else(|| Refused::NotFound(from.clone()))?;
    let second = store::find(tx.db(), &into).await?.ok_or_else(|| Refused::NotFound(into.clone()))?;
    if first.id == second.id {
        return Err(Refusal::Itself.into());
    }
    let services = [first.service, second.service].into_iter().flatten().collect();
    let mut locked = lock_all(tx, services, [first.id, second.id].into()).await?;
    let first = locked.remove(&first.id).ok_or(Refused::NotFound(from))?;
    let second = locked.remove(&second.id).ok_or(Refused::NotFound(into))?;
    Ok((first, second))
}

/// The incidents that are there, locked, and before them the services.
async fn lock_all(
    tx: &mut Tx<'_>,
    services: BTreeSet<ServiceId>,
    incidents: BTreeSet<IncidentId>,
) -> db::Result<BTreeMap<IncidentId, Incident>> {
    for service in services {
        store::lock_service(tx, service).await?;
    }
    let mut locked = BTreeMap::new();
    for id in incidents {
        locked.extend(store::lock_by_id(tx, id).await?.map(|incident| (id, incident)));
    }
    Ok(locked)
}

async fn absorb(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &Incident,
    mut target: Incident,
    doer: &Doer,
    now: Timestamp,
) -> Result<(), Error> {
    let named = store::open_alerts(tx.db(), incident.id, NAMED + 1).await?;
    let alerts = store::move_alerts(tx, incident.id, target.id).await?;
    store::copy_responders(tx, incident.id, target.id).await?;
    target.reports = target.reports.saturating_add(incident.reports);
    store::save(tx, &target).await?;
    let mut data =
        json!({"by": doer.who.user, "via": doer.who.via, "incident": incident.id, "ref": incident.reference, "alerts": alerts});
    if named.len() <= NAMED as usize {
        data["alert_ids"] = json!(named);
    }
    if let Some(origin) = &doer.by.origin {
        data["origin"] = origin.clone();
    }
    parts.journal.append(tx, now, Entry { kind: ABSORBED, actor: doer.by.actor, subject: target.id.to_string(), data }).await?;
    if (incident.urgency, target.urgency) == (Urgency::High, Urgency::Low) {
        // What could not wait does not wait in the place of what could.
        apply(tx, parts, target, Event::UrgencyChanged(doer.act(now), Urgency::High), &doer.by, now).await?;
    }
    Ok(())
}

/// What went on in the place of an incident, and what of it went along.
pub(super) struct Line {
    /// The one that goes on in its place, then the one in that one's, and so on; locked.
    heirs: Vec<Incident>,
    /// The alerts that went along; nothing where the journal does not name them.
    alerts: Option<Vec<AlertId>>,
}

/// The incident, and what went on in its place, all of it locked.
pub(super) async fn lock_with_heirs(tx: &mut Tx<'_>, reference: Reference) -> Result<(Incident, Line), Error> {
    let missing = || Refused::NotFound(reference.clone());
    let found = store::find(tx.db(), &reference).await?.ok_or_else(missing)?;
    let Some(next) = heir(&found) else {
        let incident = store::lock(tx, &reference).await?.ok_or_else(missing)?;
        return Ok((incident, Line { heirs: Vec::new(), alerts: None }));
    };
    let alerts = went_along(tx.db(), found.id, next).await?;
    let mut services: BTreeSet<_> =
        store::services_of(tx.db(), alerts.as_deref().unwrap_or_default()).await?.into_iter().collect();
    let (mut ids, mut last) = (BTreeSet::from([found.id]), found.clone());
    loop {
        services.extend(last.service);
        let Some(next) = heir(&last).filter(|next| !ids.contains(next)) else { break };
        let Some(next) = store::find_by_id(tx.db(), next).await? else { break };
        ids.insert(next.id);
        last = next;
    }
    let mut locked = lock_all(tx, services, ids).await?;
    bundles::lock_all(tx, locked.keys().copied()).await?;
    let incident = locked.remove(&found.id).ok_or_else(missing)?;
    // By what they are now: somebody may have changed them before they were locked.
    let mut heirs: Vec<Incident> = Vec::new();
    while let Some(next) = heir(heirs.last().unwrap_or(&incident)).and_then(|next| locked.remove(&next)) {
        heirs.push(next);
    }
    let alerts = alerts.filter(|_| heirs.first().is_some_and(|first| first.id == next));
    Ok((incident, Line { heirs, alerts }))
}

/// The alerts that went along when an incident was merged into another the last time.
async fn went_along(db: &mut Db<'_>, from: IncidentId, into: IncidentId) -> db::Result<Option<Vec<AlertId>>> {
    let about = ("incident", from.to_string());
    let Some(entry) = journal::last_about(db, &into.to_string(), ABSORBED, about).await? else { return Ok(None) };
    let broken = |what: &str| db::Error::inconsistent("journal", entry.id, format!("{what} is no alert"));
    let Some(ids) = entry.data["alert_ids"].as_array() else { return Ok(None) };
    let id = |id: &serde_json::Value| id.as_str().and_then(|id| id.parse().ok()).ok_or_else(|| broken(&id.to_string()));
    ids.iter().map(id).collect::<db::Result<_>>().map(Some)
}

/// Gives an incident that rings again what went along with it. One that integrations began, and that nothing but this held open, is over.
pub(super) async fn part(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &Incident,
    line: Line,
    (user, by): (UserId, &By),
    now: Timestamp,
) -> Result<(), Error> {
    let Line { heirs, alerts } = line;
    let Some(into) = heirs.first().map(|heir| heir.id) else { return Ok(()) };
    let mut back = 0;
    for mut heir in heirs {
        let went = match &alerts {
            None => 0,
            Some(alerts) => store::give_back(tx, alerts, heir.id, incident.id).await?,
        };
        back += went;
        heir.reports = heir.reports.saturating_sub(incident.reports);
        store::save(tx, &heir).await?;
        let data = json!({"by": user, "incident": incident.id, "ref": incident.reference, "alerts": went});
        let entry = Entry { kind: "incident.gave_back", actor: by.actor, subject: heir.id.to_string(), data };
        parts.journal.append(tx, now, entry).await?;
        let is_open = !matches!(heir.state, State::Resolved { .. });
        if let Actor::Integration { integration } = heir.opened_by
            && is_open
            && went > 0
            && store::open_alerts(tx.db(), heir.id, 1).await?.is_empty()
        {
            let over = Event::Resolved(Act { by: Agent::Integration(integration), at: now });
            let by = By { actor: heir.opened_by, device: None, origin: None };
            apply(tx, parts, heir, over, &by, now).await?;
        }
    }
    let data = json!({"by": user, "into": into, "alerts": alerts.map(|_| back)});
    let entry = Entry { kind: "incident.parted", actor: by.actor, subject: incident.id.to_string(), data };
    Ok(parts.journal.append(tx, now, entry).await?)
}
