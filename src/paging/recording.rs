//! What is written down of a change, and what is said about it to whoever is rung.
//!
//! **Invariants**
//! - Every change has its entry, and a change that rings says in it whom it rang and whom it could not reach.

use serde_json::{Value, json};

use super::machine::{Act, Agent, Event, Incident, State};
use super::ringing::{By, Told};
use super::service::{Error, Parts};
use super::{services, words};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::EventId;
use crate::identity;
use crate::journal::{Actor, Entry};

/// What changed an incident.
pub(super) enum Cause {
    /// It began; what the journal says of that.
    Opened(Value),
    Event(Event),
    /// An integration reported it; what the journal says of that.
    Reported {
        event: Event,
        kind: &'static str,
        data: Value,
    },
}

/// A change, and what it was before.
pub(super) struct Change {
    pub(super) cause: Cause,
    pub(super) before: Option<State>,
}

impl Change {
    pub(super) fn event(&self) -> Option<&Event> {
        match &self.cause {
            Cause::Opened(_) => None,
            Cause::Event(event) | Cause::Reported { event, .. } => Some(event),
        }
    }

    /// Whether those who are rung are all whom it rings for: when none of them can be reached, nobody is.
    pub(super) fn rings_all(&self) -> bool {
        !matches!(self.cause, Cause::Event(Event::ResponderAdded(..)))
    }
}

/// Writes down a change, under the id that was drawn before what follows from it was.
pub(super) async fn record(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &Incident,
    (id, change, told): (EventId, &Change, &Told),
    by: &By,
    now: Timestamp,
) -> Result<(), Error> {
    let Some((kind, mut data)) = entry(incident, change) else { return Ok(()) };
    if is_nothing(incident, change, told) {
        return Ok(());
    }
    if let Some(ring) = told.ring {
        data["ring"] = json!(ring);
        data["paged"] = json!(told.rung);
        data["unreachable"] = json!(told.unreachable);
    }
    if let Some(origin) = &by.origin {
        data["origin"] = origin.clone();
    }
    let entry = Entry { kind, actor: by.actor, subject: incident.id.to_string(), data };
    Ok(parts.journal.append_as(tx, id, now, entry).await?)
}

/// Whether an incident rang on at its step and nothing was due for anybody: they were told, or will be.
fn is_nothing(incident: &Incident, change: &Change, told: &Told) -> bool {
    let rang_on = match (change.event(), change.before, incident.state) {
        (Some(Event::TimerRang), Some(State::Triggered { place, .. }), State::Triggered { place: now, .. }) => place == now,
        _ => false,
    };
    rang_on && told.ring.is_some() && told.rung.is_empty() && told.unreachable.is_empty()
}

/// `data`, and whose act it was.
fn acted(act: &Act, mut data: Value) -> Value {
    match act.by {
        Agent::Person { user, via } => {
            data["by"] = json!(user);
            data["via"] = json!(via);
        }
        Agent::Integration(integration) => data["integration"] = json!(integration),
    }
    data
}

/// What the journal says of a change.
fn entry(incident: &Incident, change: &Change) -> Option<(&'static str, Value)> {
    let event = match &change.cause {
        Cause::Opened(data) => return Some(("incident.triggered", data.clone())),
        Cause::Reported { kind, data, .. } => {
            let mut data = data.clone();
            data["title"] = json!(incident.title);
            data["reports"] = json!(incident.reports);
            return Some((kind, data));
        }
        Cause::Event(event) => event,
    };
    Some(match event {
        Event::Acknowledged(act) => ("incident.acknowledged", acted(act, json!({}))),
        Event::Resolved(act) => ("incident.resolved", acted(act, json!({}))),
        Event::Disowned { by } => ("incident.disowned", json!({"by": by})),
        Event::Escalated { act, to, message } => ("incident.escalated", acted(act, json!({"to": to, "message": message}))),
        Event::Reassigned(act, to) => ("incident.reassigned", acted(act, json!({"to": to}))),
        Event::ResponderAdded(act, to) => ("incident.responder_added", acted(act, json!({"to": to}))),
        Event::Snoozed { act, until } => ("incident.snoozed", acted(act, json!({"until": until}))),
        Event::Woken(act) => ("incident.woken", acted(act, json!({}))),
        Event::Merged { act, into } => ("incident.merged", acted(act, json!({"into": into}))),
        Event::UrgencyChanged(act, urgency) => ("incident.urgency_changed", acted(act, json!({"urgency": urgency}))),
        Event::Reopened(act) => ("incident.reopened", acted(act, json!({}))),
        Event::Retriggered { title, .. } => ("incident.retriggered", json!({"title": title, "reports": incident.reports})),
        Event::AllQuiet { until } => ("incident.put_off", json!({"until": until})),
        Event::TimerRang | Event::NobodyReachable => return rang(incident, change),
    })
}

/// What the journal says of a ring that nobody asked for.
fn rang(incident: &Incident, change: &Change) -> Option<(&'static str, Value)> {
    let State::Triggered { place, .. } = incident.state else { return None };
    // A timer that rang early is only set again.
    if change.before == Some(incident.state) {
        return None;
    }
    let resort = place.step >= incident.plan.resort();
    let mut data = json!({"pass": place.pass, "step": place.step, "last_resort": resort});
    match (change.event(), change.before) {
        (Some(Event::NobodyReachable), Some(State::Triggered { place, .. })) => data["unreached_step"] = json!(place.step),
        (_, Some(State::Triggered { place: before, .. })) if before.step != place.step => data["from_step"] = json!(before.step),
        (_, Some(State::Acknowledged { snoozed, .. })) => {
            data["after"] = json!(if snoozed { "snooze" } else { "acknowledgement" });
        }
        _ => {}
    }
    Some(("incident.rang", data))
}

/// What is said of a ring besides what is wrong.
pub(super) async fn said(db: &mut Db<'_>, incident: &Incident, change: &Change) -> Result<words::Ringing, db::Error> {
    let opened_by = opener(db, incident.opened_by).await?;
    Ok(words::Ringing { opened_by, why: why(db, incident, change).await? })
}

async fn why(db: &mut Db<'_>, incident: &Incident, change: &Change) -> Result<Option<words::Why>, db::Error> {
    let State::Triggered { place, .. } = incident.state else { return asked(db, change).await };
    if let Some(Event::ResponderAdded(..)) = change.event() {
        return asked(db, change).await;
    }
    Ok(match (change.before, incident.plan.handed_to(place.step)) {
        (Some(State::Resolved { .. }), _) => Some(words::Why::Reopened),
        (Some(State::Acknowledged { .. }), _) if matches!(change.event(), Some(Event::Disowned { .. })) => {
            Some(words::Why::Reopened)
        }
        (Some(State::Acknowledged { snoozed: true, .. }), _)
            if matches!(change.event(), Some(Event::TimerRang | Event::Woken(_))) =>
        {
            Some(words::Why::Woken)
        }
        (_, Some(handed)) => {
            let by = identity::known_user(db, handed.by).await?.name.as_str().to_owned();
            Some(words::Why::Handed(by, handed.message.clone()))
        }
        _ if place.step >= incident.plan.resort() => Some(words::Why::LastResort),
        _ => None,
    })
}

async fn asked(db: &mut Db<'_>, change: &Change) -> Result<Option<words::Why>, db::Error> {
    let Some(Event::ResponderAdded(act, _)) = change.event() else { return Ok(None) };
    let Some(user) = act.person() else { return Ok(None) };
    Ok(Some(words::Why::Asked(identity::known_user(db, user).await?.name.as_str().to_owned())))
}

/// The name of who reported an incident.
pub(super) async fn opener(db: &mut Db<'_>, actor: Actor) -> Result<String, db::Error> {
    Ok(match actor {
        Actor::User { user, .. } => identity::known_user(db, user).await?.name.as_str().to_owned(),
        Actor::Bot { bot, user } => {
            let bot = identity::known_bot(db, bot).await?.name.as_str().to_owned();
            match user {
                None => bot,
                Some(user) => format!("{} via {bot}", identity::known_user(db, user).await?.name.as_str()),
            }
        }
        Actor::Integration { integration } => services::integration_name(db, integration).await?,
        Actor::Operator | Actor::System | Actor::Enrollee => "PhoneOps".to_owned(),
    })
}
