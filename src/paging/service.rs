//! Paging people, and what they answer: load, step, save and record, in one transaction each.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::machine::{Act, Effect, Event, Incident, NobodyNamed, Plan, Refusal, State, Urgency};
use super::{Reference, store, words};
use crate::clock::{Clock, Timestamp};
use crate::db::{self, Db, Store, Tx};
use crate::delivery::{Content, Delivery, Notice};
use crate::hub::Hub;
use crate::id::{DeviceId, IncidentId, UserId};
use crate::identity::{self, Bot, Call, Caller, Failure, Scope, User, UserRef};
use crate::jobs::{self, Job, Kind, Queue};
use crate::journal::{Actor, Entry, Journal};
use crate::push::Category;

/// Paging. Cheap to share behind an `Arc`.
pub struct Paging {
    store: Store,
    clock: Clock,
    settings: Settings,
    parts: Parts,
}

/// How this installation pages.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seconds from one ring to the next.
    pub ring_seconds: u32,
    /// Rings before the next person is tried.
    pub rings: u32,
    /// Seconds after which an acknowledged incident rings again.
    pub acknowledgement_seconds: u32,
    /// Who is paged when nobody answers.
    pub fallback: Option<UserRef>,
}

/// What is to be paged.
#[derive(Clone, Debug)]
pub struct Page {
    /// What is wrong, in a line.
    pub title: String,
    /// Who is to look at it.
    pub to: Vec<UserRef>,
    /// More of it.
    pub details: Option<String>,
    /// Where to look.
    pub links: Vec<String>,
    /// How loud.
    pub urgency: Urgency,
    /// The person a bot pages for.
    pub actor: Option<UserRef>,
}

/// What became of a page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Paged {
    /// The incident.
    pub reference: Reference,
    /// Who was rung.
    pub paged: Vec<UserId>,
    /// Who has no device that can be reached.
    pub unreachable: Vec<UserId>,
}

/// An incident with the names of those involved.
#[derive(Clone, Debug)]
pub struct View {
    /// The incident.
    pub incident: Incident,
    /// The people of its plan.
    pub people: Vec<User>,
    /// Who acted last, and through which bot.
    pub acted: Option<(User, Option<Bot>)>,
}

/// Why paging said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The machine refused. The name is of who did it first.
    #[error("{0}")]
    Machine(Refusal),
    /// No such incident.
    #[error("there is no incident {0}")]
    NotFound(Reference),
    /// No such person to page.
    #[error("there is no {name}")]
    PersonUnknown {
        /// As they were named.
        name: String,
        /// Where in the request.
        field: String,
    },
    /// Nobody was named to page, and there is no fallback person either.
    #[error("nobody to page: say who in `to`")]
    NobodyNamed,
    /// A bot did not say for whom it acts.
    #[error("a bot acts for a person: say who in `actor`")]
    ActorMissing,
    /// A person named somebody else.
    #[error("`actor` is for bots: on your own device you act as yourself")]
    ActorNotTaken,
}

/// What paging's services return when they do not do as they were asked.
pub type Error = Failure<Refused>;

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<NobodyNamed> for Error {
    fn from(NobodyNamed: NobodyNamed) -> Self {
        Self::Refused(Refused::NobodyNamed)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Refused::Machine(refusal))
    }
}

/// The parts of [`Paging`] that go into a transaction.
#[derive(Clone)]
pub struct Parts {
    /// The record.
    pub journal: Journal,
    /// Work for later.
    pub queue: Queue,
    /// The way to phones.
    pub delivery: Delivery,
    /// Who waits for what.
    pub hub: Hub,
}

impl Paging {
    /// Paging of one installation.
    #[must_use]
    pub fn new(store: Store, clock: Clock, settings: Settings, parts: Parts) -> Self {
        Self { store, clock, settings, parts }
    }

    /// Pages people.
    ///
    /// # Errors
    /// Only people and bots with the scope may; everybody named must exist, and somebody must be named.
    pub async fn page(&self, call: &Call, page: Page) -> Result<Paged, Error> {
        call.person_or_bot(Scope::IncidentsWrite)?;
        let (now, parts, settings, call_copy) = (self.clock.now(), self.parts.clone(), self.settings.clone(), call.clone());
        call.write(&self.store, now, move |tx| Box::pin(async move { open(tx, &parts, &settings, &call_copy, page, now).await }))
            .await
    }

    /// Takes an incident. Doing what is done already is no error.
    ///
    /// # Errors
    /// When there is none, or it is resolved.
    pub async fn acknowledge(&self, call: &Call, reference: Reference, actor: Option<UserRef>) -> Result<(), Error> {
        self.act(call, reference, actor, Event::Acknowledged).await
    }

    /// Ends an incident. Doing what is done already is no error.
    ///
    /// # Errors
    /// When there is none.
    pub async fn resolve(&self, call: &Call, reference: Reference, actor: Option<UserRef>) -> Result<(), Error> {
        self.act(call, reference, actor, Event::Resolved).await
    }

    async fn act(&self, call: &Call, reference: Reference, actor: Option<UserRef>, event: fn(Act) -> Event) -> Result<(), Error> {
        call.person_or_bot(Scope::IncidentsWrite)?;
        let (now, parts, call_copy) = (self.clock.now(), self.parts.clone(), call.clone());
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let who = acting(tx.db(), &call_copy, actor.as_ref()).await?;
                let incident = store::lock(tx, &reference).await?.ok_or(Refused::NotFound(reference))?;
                let act = Act { by: who.user, via: who.via, at: now };
                apply(tx, &parts, incident, event(act), &who.by(&call_copy), now).await?;
                Ok(())
            })
        })
        .await
    }

    /// The caller says that a bot acted in their name without them: the incident rings again.
    ///
    /// # Errors
    /// When there is none, or nobody acted in their name.
    pub async fn disown(&self, call: &Call, reference: Reference) -> Result<(), Error> {
        let person = call.person()?.clone();
        let (now, parts, actor) = (self.clock.now(), self.parts.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let incident = store::lock(tx, &reference).await?.ok_or(Refused::NotFound(reference))?;
                let by = By { actor, device: Some(person.device.id) };
                apply(tx, &parts, incident, Event::Disowned { by: person.user.id }, &by, now).await?;
                Ok(())
            })
        })
        .await
    }

    /// An incident's timer rang.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn timer(&self, id: IncidentId, job: Job) -> Result<(), db::Error> {
        let (now, parts) = (self.clock.now(), self.parts.clone());
        let rung: Result<(), Error> = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    if !jobs::complete(tx, &job).await? {
                        return Ok(());
                    }
                    let Some(incident) = store::lock_by_id(tx, id).await? else { return Ok(()) };
                    let by = By { actor: Actor::System, device: None };
                    apply(tx, &parts, incident, Event::TimerRang, &by, now).await?;
                    crate::crash_point!("timer-rung");
                    Ok(())
                })
            })
            .await;
        rung.map_err(|failure| match failure {
            Failure::Db(error) => error,
            other => db::Error::inconsistent("incidents", id, other),
        })
    }

    /// Sets the timers of incidents that lost theirs, which only a buried job can bring about; how many there were.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn mend(&self) -> Result<usize, db::Error> {
        let (now, queue) = (self.clock.now(), self.parts.queue.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let lost = store::without_timer(tx, now.before(OVERDUE)).await?;
                    for id in &lost {
                        tracing::error!(incident = %id, "an incident had lost its timer; it rings now");
                        queue.enqueue(tx, Kind::IncidentTimer, id.0, now).await?;
                    }
                    Ok(lost.len())
                })
            })
            .await
    }

    /// One incident.
    ///
    /// # Errors
    /// When there is none.
    pub async fn find(&self, call: &Call, reference: Reference) -> Result<View, Error> {
        call.person_or_bot(Scope::IncidentsRead)?;
        self.view(reference).await
    }

    /// As [`Paging::find`], for the reply to whoever has just changed it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn find_changed(&self, call: &Call, reference: Reference) -> Result<View, Error> {
        call.person_or_bot(Scope::IncidentsWrite)?;
        self.view(reference).await
    }

    async fn view(&self, reference: Reference) -> Result<View, Error> {
        self.store
            .read(move |db| {
                Box::pin(async move {
                    let incident = store::find(db, &reference).await?.ok_or(Refused::NotFound(reference))?;
                    Ok(view(db, incident).await?)
                })
            })
            .await
    }

    /// The incidents of a page of the list, the newest first, and whether there are more.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub async fn list(&self, call: &Call, all: bool, before: Option<IncidentId>, limit: u32) -> Result<(Vec<View>, bool), Error> {
        call.person_or_bot(Scope::IncidentsRead)?;
        self.store
            .read(move |db| {
                Box::pin(async move {
                    let mut incidents = store::list(db, all, before, limit.saturating_add(1)).await?;
                    let more = incidents.len() > limit as usize;
                    incidents.truncate(limit as usize);
                    let mut views = Vec::with_capacity(incidents.len());
                    for incident in incidents {
                        views.push(view(db, incident).await?);
                    }
                    Ok((views, more))
                })
            })
            .await
    }
}

async fn view(db: &mut Db<'_>, incident: Incident) -> Result<View, db::Error> {
    let mut people = Vec::new();
    for id in incident.plan.steps().iter().flatten().copied().collect::<BTreeSet<_>>() {
        people.push(identity::known_user(db, id).await?);
    }
    let act = match incident.state {
        State::Triggered { .. } => None,
        State::Acknowledged { act, .. } | State::Resolved { act, .. } => Some(act),
    };
    let acted = match act {
        None => None,
        Some(act) => {
            let bot = match act.via {
                None => None,
                Some(via) => Some(identity::known_bot(db, via).await?),
            };
            Some((identity::known_user(db, act.by).await?, bot))
        }
    };
    Ok(View { incident, people, acted })
}

/// Whose act this is.
struct Acting {
    user: UserId,
    via: Option<crate::id::BotId>,
    device: Option<DeviceId>,
}

impl Acting {
    fn by(&self, call: &Call) -> By {
        By { actor: call.actor(Some(self.user)), device: self.device }
    }
}

/// A person acts as themselves, a bot for the person it names.
async fn acting(db: &mut Db<'_>, call: &Call, actor: Option<&UserRef>) -> Result<Acting, Error> {
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

async fn person_named(db: &mut Db<'_>, who: &UserRef, field: &str) -> Result<User, Error> {
    let found = identity::active_user(db, who).await?;
    found.ok_or_else(|| Refused::PersonUnknown { name: who.to_string(), field: field.to_owned() }.into())
}

async fn open(
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
async fn plan(db: &mut Db<'_>, settings: &Settings, to: &[UserRef]) -> Result<Plan, Error> {
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
struct By {
    actor: Actor,
    device: Option<DeviceId>,
}

/// Who was rung and who could not be.
#[derive(Default)]
struct Told {
    rung: BTreeSet<UserId>,
    unreachable: BTreeSet<UserId>,
}

/// Steps the machine; saves, records and performs what follows.
async fn apply(tx: &mut Tx<'_>, parts: &Parts, incident: Incident, event: Event, by: &By, now: Timestamp) -> Result<(), Error> {
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
    let content = Content { high, ..content(incident, Category::Page, words) };
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

/// A timer this late is lost, not slow.
const OVERDUE: std::time::Duration = std::time::Duration::from_secs(30);

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
        path: format!("/i/{}", incident.reference),
        subject: incident.id.to_string(),
        reference: Some(incident.reference.to_string()),
    }
}
