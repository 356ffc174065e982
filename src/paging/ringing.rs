//! Inside the transaction: what a page, an act and a timer change, and who rings because of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::machine::{Effect, Event, Incident, Plan, State, Urgency};
use super::service::{Error, Page, Paged, Parts, Refused, Settings};
use super::{Reference, store, words};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::delivery::{Content, Notice};
use crate::id::{DeviceId, IncidentId, UserId};
use crate::identity::{self, Call, Caller, User, Who};
use crate::jobs::Kind;
use crate::journal::{Actor, Entry};
use crate::push::Category;

/// Whose act this is.
pub(super) struct Acting {
    pub(super) user: UserId,
    pub(super) via: Option<crate::id::BotId>,
    pub(super) device: Option<DeviceId>,
}

impl Acting {
    pub(super) fn by(&self, call: &Call) -> By {
        By { actor: call.actor(Some(self.user)), device: self.device }
    }
}

/// A person acts as themselves, a bot for the person it names.
pub(super) async fn acting(db: &mut Db<'_>, call: &Call, actor: Option<&Who>) -> Result<Acting, Error> {
    match (&call.caller, actor) {
        (Caller::Person(person), None) => Ok(Acting { user: person.user.id, via: None, device: Some(person.device.id) }),
        (Caller::Person(_), Some(_)) => Err(Refused::ActorNotTaken.into()),
        (Caller::Bot(bot), Some(actor)) => {
            let user = person_named(db, actor, "actor").await?;
            Ok(Acting { user: user.id, via: Some(bot.id), device: None })
        }
        (Caller::Bot(_), None) => Err(Refused::ActorMissing.into()),
        (Caller::Operator | Caller::Anonymous, _) => Err(identity::CallRefusal::Unauthenticated.into()),
    }
}

async fn person_named(db: &mut Db<'_>, who: &Who, field: &str) -> Result<User, Error> {
    let found = identity::person_meant(db, who).await?;
    found.map_err(|nobody| Refused::PersonUnknown { nobody, field: field.to_owned() }.into())
}

pub(super) async fn open(
    tx: &mut Tx<'_>,
    parts: &Parts,
    settings: &Settings,
    call: &Call,
    page: Page,
    now: Timestamp,
) -> Result<Paged, Error> {
    let on_behalf = match (&call.caller, &page.actor) {
        (Caller::Person(_), Some(_)) => return Err(Refused::ActorNotTaken.into()),
        (_, Some(actor)) => Some(person_named(tx.db(), actor, "actor").await?.id),
        (_, None) => None,
    };
    let actor = call.actor(on_behalf);
    let plan = plan(tx.db(), settings, &page.to).await?;
    let (state, effects) = Incident::triggered(&plan, now);
    let mut incident = Incident {
        id: IncidentId::new(now),
        reference: Reference::draw(),
        title: page.title,
        details: page.details,
        links: page.links,
        urgency: page.urgency,
        opened_by: actor,
        plan,
        state,
        created_at: now,
    };
    while !store::insert(tx, &incident).await? {
        incident.reference = Reference::draw();
    }
    let data = json!({"ref": incident.reference, "title": incident.title, "urgency": incident.urgency, "to": page.to});
    let entry = Entry { kind: "incident.triggered", actor, subject: incident.id.to_string(), data };
    parts.journal.append(tx, now, entry).await?;
    let by = By { actor, device: None };
    let told = perform(tx, parts, &mut incident, effects, &by, now).await?;
    crate::crash_point!("incident-written");
    let unreachable: Vec<UserId> = told.unreachable.into_iter().collect();
    let paged = told.rung.into_iter().collect();
    Ok(Paged { reference: incident.reference, paged, unreachable })
}

/// Who is rung, in which order: those who were named, and then the person who is always there.
async fn plan(db: &mut Db<'_>, settings: &Settings, to: &[Who]) -> Result<Plan, Error> {
    let mut first = Vec::new();
    for (at, who) in to.iter().enumerate() {
        let user = person_named(db, who, &format!("to[{at}]")).await?;
        if !first.contains(&user.id) {
            first.push(user.id);
        }
    }
    let mut steps = vec![first];
    if let Some(fallback) = &settings.fallback {
        match identity::active_user(db, fallback).await? {
            Some(user) if !steps[0].contains(&user.id) => steps.push(vec![user.id]),
            Some(_) => {}
            // A page is not lost because the configuration names somebody who left; the log says so each time.
            None => tracing::error!(%fallback, "the fallback person of the configuration does not exist"),
        }
    }
    Ok(Plan::new(&steps, settings.rings, settings.ring_seconds, settings.acknowledgement_seconds)?)
}

/// Who made a change, and on which device.
pub(super) struct By {
    pub(super) actor: Actor,
    pub(super) device: Option<DeviceId>,
}

/// Who was rung and who could not be.
#[derive(Default)]
struct Told {
    rung: BTreeSet<UserId>,
    unreachable: BTreeSet<UserId>,
}

/// Steps the machine; saves, records and performs what follows.
pub(super) async fn apply(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: Incident,
    event: Event,
    by: &By,
    now: Timestamp,
) -> Result<(), Error> {
    let before = incident.state;
    let (mut incident, effects) = incident.step(event, now)?;
    if incident.state != before {
        store::save_state(tx, &incident).await?;
        record(tx, parts, &incident, event, by, now).await?;
    }
    perform(tx, parts, &mut incident, effects, by, now).await?;
    Ok(())
}

async fn record(tx: &mut Tx<'_>, parts: &Parts, incident: &Incident, event: Event, by: &By, now: Timestamp) -> Result<(), Error> {
    let (kind, data): (_, Value) = match (event, incident.state) {
        (Event::Acknowledged(act), _) => ("incident.acknowledged", json!({"by": act.by, "via": act.via})),
        (Event::Resolved(act), _) => ("incident.resolved", json!({"by": act.by, "via": act.via})),
        (Event::Disowned { by }, _) => ("incident.disowned", json!({"by": by})),
        (Event::TimerRang | Event::NobodyReachable, State::Triggered { step, ring, .. }) => {
            ("incident.rang", json!({"step": step, "ring": ring}))
        }
        (Event::TimerRang | Event::NobodyReachable, State::Acknowledged { .. } | State::Resolved { .. }) => return Ok(()),
    };
    let entry = Entry { kind, actor: by.actor, subject: incident.id.to_string(), data };
    Ok(parts.journal.append(tx, now, entry).await?)
}

/// Performs effects. When nobody of a step can be reached, the next step is rung at once: each turn takes a later step, so this ends.
async fn perform(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &mut Incident,
    mut effects: Vec<Effect>,
    by: &By,
    now: Timestamp,
) -> Result<Told, Error> {
    let mut told = Told::default();
    loop {
        let mut silent = false;
        for effect in effects {
            match effect {
                Effect::Ring { users, ring } => {
                    let rung = ring_at(tx, parts, incident, &users, ring, now).await?;
                    silent = rung.rung.is_empty();
                    told.rung.extend(rung.rung);
                    told.unreachable.extend(rung.unreachable);
                }
                Effect::WakeAt(at) => parts.queue.enqueue(tx, Kind::IncidentTimer, incident.id.0, at).await?,
                Effect::TellActor { user, via } => tell_actor(tx, parts, incident, user, via, now).await?,
                Effect::Withdraw => withdraw(tx, parts, incident, by, now).await?,
            }
        }
        let (hub, id) = (parts.hub.clone(), incident.id.0);
        tx.after_commit(move || hub.wake(id));
        if !silent {
            return Ok(told);
        }
        let before = incident.state;
        let (next, more) = incident.clone().step(Event::NobodyReachable, now)?;
        if next.state == before {
            return Ok(told);
        }
        *incident = next;
        store::save_state(tx, incident).await?;
        let system = By { actor: Actor::System, device: None };
        record(tx, parts, incident, Event::NobodyReachable, &system, now).await?;
        effects = more;
    }
}

async fn ring_at(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &Incident,
    users: &[UserId],
    ring: u32,
    now: Timestamp,
) -> Result<Told, Error> {
    let opened_by = opener(tx.db(), incident.opened_by).await?;
    let words = words::ringing(incident, ring, &opened_by);
    let high = incident.urgency == Urgency::High;
    let full = words::in_full(incident, &words);
    let content = Content { high, full, ..content(incident, Category::Page, words) };
    let mut told = Told::default();
    for user in users {
        // A ring is of no use once the next one has rung.
        let expires_at = now.after(incident.plan.ring_every());
        let notice =
            Notice { user: *user, subject: incident.id.0, round: ring, content: content.clone(), expires_at, replaces: None };
        if parts.delivery.notify(tx, notice, now).await? == 0 {
            told.unreachable.insert(*user);
        } else {
            told.rung.insert(*user);
        }
    }
    Ok(told)
}

/// The name of who reported an incident.
async fn opener(db: &mut Db<'_>, actor: Actor) -> Result<String, db::Error> {
    Ok(match actor {
        Actor::User { user, .. } => identity::known_user(db, user).await?.name.as_str().to_owned(),
        Actor::Bot { bot, user } => {
            let bot = identity::known_bot(db, bot).await?.name.as_str().to_owned();
            match user {
                None => bot,
                Some(user) => format!("{} via {bot}", identity::known_user(db, user).await?.name.as_str()),
            }
        }
        Actor::Operator | Actor::System | Actor::Enrollee => "PhoneOps".to_owned(),
    })
}

async fn tell_actor(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &Incident,
    user: UserId,
    via: crate::id::BotId,
    now: Timestamp,
) -> Result<(), Error> {
    let bot = identity::known_bot(tx.db(), via).await?;
    let resolved = matches!(incident.state, State::Resolved { .. });
    let words = words::acted_as_you(&incident.reference, resolved, bot.name.as_str());
    let ring = ring_of(incident.state);
    let notice = Notice {
        user,
        subject: incident.id.0,
        round: ring,
        content: content(incident, Category::Acted, words),
        expires_at: now.after(ACTED_LIFE),
        replaces: None,
    };
    parts.delivery.notify(tx, notice, now).await?;
    Ok(())
}

/// "Not you?" can be asked for a day.
const ACTED_LIFE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

async fn withdraw(tx: &mut Tx<'_>, parts: &Parts, incident: &Incident, by: &By, now: Timestamp) -> Result<(), Error> {
    let (act, resolved) = match incident.state {
        State::Acknowledged { act, .. } => (act, false),
        State::Resolved { act, .. } => (act, true),
        State::Triggered { .. } => return Ok(()),
    };
    let name = identity::known_user(tx.db(), act.by).await?.name.as_str().to_owned();
    let content = content(incident, Category::Answered, words::answered(incident, &name, resolved));
    parts.delivery.withdraw(tx, incident.id.0, by.device, &content, now).await?;
    Ok(())
}

fn ring_of(state: State) -> u32 {
    match state {
        State::Triggered { ring, .. } | State::Acknowledged { ring, .. } | State::Resolved { ring, .. } => ring,
    }
}

fn content(incident: &Incident, category: Category, words: crate::delivery::Words) -> Content {
    Content {
        category,
        high: category == Category::Page || category == Category::Acted,
        words,
        full: None,
        path: format!("/i/{}", incident.reference),
        subject: incident.id.to_string(),
        reference: Some(incident.reference.to_string()),
    }
}
