//! Inside the transaction: what a page, an act and a timer change, and who rings because of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::machine::{Agent, Effect, Event, Incident, Urgency};
use super::plan::{Plan, Step, Target};
use super::recording::{Cause, Change, record, said};
use super::service::{Error, Page, Paged, Parts, Refused, Settings};
use super::{Reference, To, bundles, calling, reaching, schedules, services, store, words};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::delivery::{Content, Notice};
use crate::id::{BotId, DeviceId, EventId, IncidentId, ServiceId, TeamId, UserId};
use crate::identity::chat::messages;
use crate::identity::{self, About, Call, Caller, User, Who};
use crate::jobs::Kind;
use crate::journal::Actor;
use crate::push::Category;

/// Whose act this is.
pub(super) struct Acting {
    pub(super) user: UserId,
    pub(super) via: Option<BotId>,
    pub(super) device: Option<DeviceId>,
}

impl Acting {
    pub(super) fn by(&self, call: &Call) -> By {
        By { actor: call.actor(Some(self.user)), device: self.device, origin: call.origin() }
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

/// An incident that is about to begin.
pub(super) struct Opening {
    pub(super) title: String,
    pub(super) details: Option<String>,
    pub(super) links: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) urgency: Urgency,
    pub(super) by: Actor,
    pub(super) service: Option<ServiceId>,
    pub(super) team: Option<TeamId>,
    pub(super) reports: u32,
    pub(super) plan: Plan,
}

/// A page of a person or bot.
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
    let aim = aim(tx.db(), settings, &page.to).await?;
    let opening = Opening {
        title: page.title,
        details: page.details,
        links: page.links,
        labels: BTreeMap::new(),
        urgency: page.urgency,
        by: call.actor(on_behalf),
        service: aim.service.as_ref().map(|service| service.id),
        team: aim.service.map(|service| service.team),
        reports: 0,
        plan: aim.plan,
    };
    let mut data = json!({"to": page.to});
    if let Some(heard) = &call.heard {
        data["origin"] = heard.facts();
    }
    let (incident, told) = begin(tx, parts, opening, data, now).await?;
    if let (Caller::Bot(bot), Some(heard)) = (&call.caller, &call.heard) {
        messages::asked(tx, bot.id, heard, About::Incident(incident.id), now).await?;
    }
    let asked = reaching::people(tx.db(), &aim.named, now).await?;
    let outside = outside(tx.db(), &incident, call.actor(on_behalf).user(), &asked).await?;
    let unreachable: Vec<UserId> = told.unreachable.into_iter().collect();
    let paged = told.rung.into_iter().collect();
    Ok(Paged { reference: incident.reference, paged, unreachable, outside })
}

/// Stores a new incident, records it with `data`, and rings for the first time.
pub(super) async fn begin(
    tx: &mut Tx<'_>,
    parts: &Parts,
    opening: Opening,
    mut data: Value,
    now: Timestamp,
) -> Result<(Incident, Told), Error> {
    let (state, effects) = Incident::triggered(&opening.plan, now);
    let mut incident = Incident {
        id: IncidentId::new(now),
        reference: Reference::draw(),
        title: opening.title,
        details: opening.details,
        links: opening.links,
        labels: opening.labels,
        urgency: opening.urgency,
        opened_by: opening.by,
        service: opening.service,
        team: opening.team,
        reports: opening.reports,
        plan: opening.plan,
        state,
        created_at: now,
    };
    while !store::insert(tx, &incident).await? {
        incident.reference = Reference::draw();
    }
    data["ref"] = json!(incident.reference);
    data["title"] = json!(incident.title);
    data["urgency"] = json!(incident.urgency);
    let by = By { actor: opening.by, device: None, origin: None };
    let change = Change { cause: Cause::Opened(data), before: None };
    let told = perform(tx, parts, &mut incident, change, effects, &by, now).await?;
    crate::crash_point!("incident-written");
    Ok((incident, told))
}

/// Whom a page is for.
struct Aim {
    plan: Plan,
    service: Option<services::Service>,
    /// Those who were named besides a service.
    named: Vec<Target>,
}

/// Who is rung, in which order: those who were named, then whom the service's policy says, and then the person who is always there.
async fn aim(db: &mut Db<'_>, settings: &Settings, to: &[To]) -> Result<Aim, Error> {
    let mut first = Vec::new();
    let mut service = None;
    for (at, to) in to.iter().enumerate() {
        let field = format!("to[{at}]");
        match named(db, to, &field).await? {
            Meant::Target(target) => first.push(target),
            Meant::Service(_) if service.is_some() => return Err(Refused::SecondService { field }.into()),
            Meant::Service(meant) => service = Some(meant),
        }
    }
    let (tempo, fallback) = (settings.tempo(), fallback(db, settings).await?);
    let step =
        Step { targets: first.clone(), escalate_after: settings.rings.max(1).saturating_mul(settings.ring_seconds.max(1)) };
    let plan = match &service {
        None => Plan::new(vec![step], 0, fallback, tempo)?,
        Some(service) => {
            let mut plan = service.plan(db, &fallback, tempo).await?;
            plan.join(0, &step.targets);
            plan
        }
    };
    Ok(Aim { plan, service, named: first })
}

/// The person who is always there, when the configuration names one.
pub(super) async fn fallback(db: &mut Db<'_>, settings: &Settings) -> Result<Vec<Target>, db::Error> {
    let Some(fallback) = &settings.fallback else { return Ok(Vec::new()) };
    let user = identity::active_user(db, fallback).await?;
    if user.is_none() {
        // A page is not lost because the configuration names somebody who left; the log says so each time.
        tracing::error!(%fallback, "the fallback person of the configuration does not exist");
    }
    Ok(user.into_iter().map(|user| Target::User(user.id)).collect())
}

enum Meant {
    Target(Target),
    Service(services::Service),
}

async fn named(db: &mut Db<'_>, to: &To, field: &str) -> Result<Meant, Error> {
    let found = match to {
        To::Person(who) => Some(Meant::Target(Target::User(person_named(db, who, field).await?.id))),
        To::Team(name) => identity::find_team(db, name).await?.map(|team| Meant::Target(Target::Team(team.id))),
        To::Schedule(name) => schedules::find(db, name).await?.map(|found| Meant::Target(Target::Schedule(found.id))),
        To::Service(name) => services::find(db, name).await?.map(Meant::Service),
    };
    found.ok_or_else(|| Refused::NoSuch { to: to.to_string(), field: field.to_owned() }.into())
}

/// The targets of an act: no service among them.
pub(super) async fn targets(db: &mut Db<'_>, to: &[To]) -> Result<Vec<Target>, Error> {
    let mut targets = Vec::new();
    for (at, to) in to.iter().enumerate() {
        let field = format!("to[{at}]");
        match named(db, to, &field).await? {
            Meant::Target(target) => targets.push(target),
            Meant::Service(_) => return Err(Refused::NotAService { field }.into()),
        }
    }
    Ok(targets)
}

/// Who made a change, and on which device.
pub(super) struct By {
    pub(super) actor: Actor,
    pub(super) device: Option<DeviceId>,
    /// Where in chat it was said.
    pub(super) origin: Option<Value>,
}

/// Who was rung and who could not be.
#[derive(Default)]
pub(super) struct Told {
    pub(super) rung: BTreeSet<UserId>,
    pub(super) unreachable: BTreeSet<UserId>,
    /// The ring, when there was one.
    pub(super) ring: Option<u32>,
}

/// Which of these people belong to somebody else: not to the team whose service it is; or, where it is nobody's, to teams but to none of
/// those of whoever pages.
pub(super) async fn outside(
    db: &mut Db<'_>,
    incident: &Incident,
    by: Option<UserId>,
    people: &[UserId],
) -> Result<Vec<UserId>, db::Error> {
    let ours = match (incident.team, by) {
        (Some(team), _) => vec![team],
        (None, Some(by)) => identity::teams_of(db, by).await?,
        (None, None) => return Ok(Vec::new()),
    };
    let mut outside = Vec::new();
    for user in people.iter().filter(|user| Some(**user) != by) {
        let theirs = identity::teams_of(db, *user).await?;
        let nobodys = incident.team.is_none() && theirs.is_empty();
        if !nobodys && !theirs.iter().any(|team| ours.contains(team)) {
            outside.push(*user);
        }
    }
    Ok(outside)
}

/// Steps the machine; saves, records and performs what follows.
pub(super) async fn apply(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: Incident,
    event: Event,
    by: &By,
    now: Timestamp,
) -> Result<(Incident, Told), Error> {
    let before = incident.clone();
    let (mut incident, effects) = incident.step(event.clone(), now)?;
    if incident == before && effects.is_empty() {
        return Ok((incident, Told::default()));
    }
    if incident != before {
        store::save(tx, &incident).await?;
    }
    let change = Change { cause: Cause::Event(event), before: Some(before.state) };
    let told = perform(tx, parts, &mut incident, change, effects, by, now).await?;
    Ok((incident, told))
}

/// As [`apply`], for a report of an integration, recorded as that kind and with what it says.
pub(super) async fn apply_as(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: Incident,
    event: Event,
    by: &By,
    (kind, data): (&'static str, Value),
    now: Timestamp,
) -> Result<(Incident, Told), Error> {
    let before = Some(incident.state);
    let (mut incident, effects) = incident.step(event.clone(), now)?;
    store::save(tx, &incident).await?;
    let change = Change { cause: Cause::Reported { event, kind, data }, before };
    let told = perform(tx, parts, &mut incident, change, effects, by, now).await?;
    Ok((incident, told))
}

/// Performs effects and records the change. When nobody of a step can be reached, the next step is rung at once; when all have quiet
/// hours, it is put off. Each turn takes a later step or none, so this ends.
async fn perform(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &mut Incident,
    mut change: Change,
    mut effects: Vec<Effect>,
    by: &By,
    now: Timestamp,
) -> Result<Told, Error> {
    let mut told = Told::default();
    let system = By { actor: Actor::System, device: None, origin: None };
    loop {
        let is_ours = matches!(change.cause, Cause::Event(Event::NobodyReachable | Event::AllQuiet { .. }));
        let whose = if is_ours { &system } else { by };
        let id = EventId::new(now);
        let (turn, silence) = carry_out(tx, parts, incident, &change, effects, by, now).await?;
        record(tx, parts, incident, (id, &change, &turn), whose, now).await?;
        told.rung.extend(turn.rung);
        told.unreachable.extend(turn.unreachable);
        told.ring = turn.ring.or(told.ring);
        let Some(event) = silence.filter(|_| change.rings_all()) else { return Ok(told) };
        let before = incident.state;
        let (next, more) = incident.clone().step(event.clone(), now)?;
        if next.state == before {
            return Ok(told);
        }
        *incident = next;
        store::save(tx, incident).await?;
        (change, effects) = (Change { cause: Cause::Event(event), before: Some(before) }, more);
    }
}

/// Performs the effects of one change; whom it rang, and what the incident has to hear when that was nobody.
async fn carry_out(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &Incident,
    change: &Change,
    effects: Vec<Effect>,
    by: &By,
    now: Timestamp,
) -> Result<(Told, Option<Event>), Error> {
    let (mut told, mut silence) = (Told::default(), None);
    for effect in effects {
        match effect {
            Effect::Ring { targets, ring, since, rung_at } => {
                let said = said(tx.db(), incident, change).await?;
                let ring = calling::Ring { targets, number: ring, since, before: rung_at, joins: !change.rings_all() };
                let rung = calling::ring(tx, parts, incident, &ring, &said, now).await?;
                (told, silence) = (Told { ring: Some(ring.number), ..rung.told }, rung.silence);
            }
            Effect::WakeAt(at) => {
                let urgent = incident.urgency == Urgency::High;
                parts.queue.enqueue_as(tx, Kind::IncidentTimer, incident.id.0, at, urgent).await?;
            }
            Effect::TellActor { user, via } => {
                let deed = change.event().map_or("Paged", words::deed);
                tell_actor(tx, parts, incident, (user, via), deed, now).await?;
            }
            Effect::Withdraw => withdraw(tx, parts, incident, by, now).await?,
        }
    }
    let (hub, id) = (parts.hub.clone(), incident.id.0);
    tx.after_commit(move || hub.wake(id));
    Ok((told, silence))
}

/// Tells a person that a bot did something in their name.
pub(super) async fn tell_actor(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &Incident,
    (user, via): (UserId, BotId),
    deed: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let bot = identity::known_bot(tx.db(), via).await?;
    let words = words::acted_as_you(incident, deed, bot.name.as_str());
    let ring = incident.state.ring();
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
    let Some(act) = incident.state.act() else { return Ok(()) };
    bundles::left(tx, parts, incident.id, by.device, now).await?;
    let name = match act.by {
        Agent::Person { user, .. } => identity::known_user(tx.db(), user).await?.name.as_str().to_owned(),
        Agent::Integration(integration) => services::integration_name(tx.db(), integration).await?,
    };
    let content = content(incident, Category::Answered, words::answered(incident, &name));
    parts.delivery.withdraw(tx, incident.id.0, by.device, &content, now).await?;
    Ok(())
}

pub(super) fn content(incident: &Incident, category: Category, words: crate::delivery::Words) -> Content {
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
