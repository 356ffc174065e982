//! Paging people, and what they answer: load, step, save and record, in one transaction each.

use serde::{Deserialize, Serialize};

use super::machine::{Agent, Event, Incident, Refusal, State, Urgency};
use super::plan::{NobodyNamed, Target, Tempo};
use super::ringing::{By, apply, open};
use super::rules::Invalid;
use super::{Reference, To, alerts, bundles, maintenance, reaching, schedules, services, store};
use crate::clock::{Clock, Timestamp};
use crate::db::{self, Db, Store, Tx};
use crate::delivery::{self, Delivery};
use crate::hub::Hub;
use crate::id::{BundleId, IncidentId, UserId};
use crate::identity::{self, Bot, Call, Failure, Handle, Nobody, Scope, User, UserRef, Who};
use crate::jobs::{self, Job, Kind, Queue};
use crate::journal::{Actor, Journal};

/// Paging. Cheap to share behind an `Arc`.
pub struct Paging {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) parts: Parts,
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
    pub to: Vec<To>,
    /// More of it.
    pub details: Option<String>,
    /// Where to look.
    pub links: Vec<String>,
    /// How loud.
    pub urgency: Urgency,
    /// The person a bot pages for.
    pub actor: Option<Who>,
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
    /// Who of those that were named belongs to another team.
    pub outside: Vec<UserId>,
}

/// An incident with the names of those involved.
#[derive(Clone, Debug)]
pub struct View {
    /// The incident.
    pub incident: Incident,
    /// The steps of its plan, and its last resort behind them.
    pub steps: Vec<ViewStep>,
    /// Whom it rang for or names, in the order they came to it.
    pub responders: Vec<User>,
    /// What breaks.
    pub service: Option<Handle>,
    /// Whose it is.
    pub team: Option<Handle>,
    /// Who acted last.
    pub acted: Option<Acted>,
    /// The incident that goes on in its place.
    pub merged_into: Option<Reference>,
}

/// A step of a plan, by names.
#[derive(Clone, Debug)]
pub struct ViewStep {
    /// Whom it rings.
    pub targets: Vec<Named>,
    /// Seconds until the next step is tried; for ever at the last resort.
    pub escalate_after: Option<u32>,
}

/// Whom a step rings, by name.
#[derive(Clone, Debug)]
pub enum Named {
    /// A person.
    User(User),
    /// A team.
    Team(Handle),
    /// A schedule.
    Schedule(Handle),
}

/// Who acted on an incident, by name.
#[derive(Clone, Debug)]
pub enum Acted {
    /// A person, perhaps through a bot.
    Person(Box<User>, Option<Box<Bot>>),
    /// A monitoring system.
    Integration(String),
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
    /// No such person to page or to act for.
    #[error("{nobody}")]
    PersonUnknown {
        /// Why nobody is meant.
        nobody: Nobody,
        /// Where in the request.
        field: String,
    },
    /// No such team, schedule or service.
    #[error("there is no {to}")]
    NoSuch {
        /// What was named.
        to: String,
        /// Where in the request.
        field: String,
    },
    /// A page is about one service.
    #[error("names a second service: a page is about one")]
    SecondService {
        /// Where in the request.
        field: String,
    },
    /// An act names people, teams and schedules.
    #[error("names a service: say which people, teams or schedules")]
    NotAService {
        /// Where in the request.
        field: String,
    },
    /// Nobody was named to page, and there is no fallback person either.
    #[error("nobody to page: say who in `to`")]
    NobodyNamed,
    /// Whoever acts has nothing to do with the incident.
    #[error("only who {0} rings for or names, who opened it, members of its team and administrators may act on it")]
    NotAResponder(Reference),
    /// What is over cannot go on in another's place.
    #[error("{0} is resolved: merge into an incident that is open")]
    IntoResolved(Reference),
    /// Only people have incidents of their own.
    #[error("is for people on their own device")]
    NobodysOwn,
    /// A bot did not say for whom it acts.
    #[error("a bot acts for a person: say who in `actor`")]
    ActorMissing,
    /// No such person.
    #[error("there is no user {0}")]
    UserUnknown(String),
    /// Paging rules that cannot be.
    #[error("{}", .0.why)]
    Rules(Invalid),
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

/// A timer this late is lost, not slow.
const OVERDUE: std::time::Duration = std::time::Duration::from_secs(30);

/// So many that were lost are mended at once.
const MENDED: u32 = 1000;

impl Settings {
    pub(super) fn tempo(&self) -> Tempo {
        Tempo { ring_seconds: self.ring_seconds, acknowledgement_seconds: Some(self.acknowledgement_seconds) }
    }
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

    /// An incident's timer rang.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn timer(&self, id: IncidentId, job: Job) -> Result<(), db::Error> {
        let (now, parts) = (self.clock.now(), self.parts.clone());
        let rung: Result<(), Error> = self
            .store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    if !jobs::complete(tx, &job).await? {
                        return Ok(());
                    }
                    let Some(incident) = store::lock_by_id(tx, id).await? else { return Ok(()) };
                    let by = By { actor: Actor::System, device: None, origin: None };
                    apply(tx, &parts, incident, Event::TimerRang, &by, now).await?;
                    crate::crash_point!("timer-rung");
                    Ok(())
                })
            })
            .await;
        rung.map_err(|failure| stored(id, failure))
    }

    /// Somebody of a ring cannot be reached. When that leaves nobody of it, the next step rings at once.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn unreachable(&self, id: IncidentId, rung: u32, job: Job) -> Result<(), db::Error> {
        // It may be about incidents that were told together: each goes on in a transaction of its own, for what rings next is locked
        // behind its incident. The job comes last, and doing this twice is harmless.
        let (store, bundle) = (self.store.for_workers(), BundleId(id.0));
        let together: db::Result<Vec<IncidentId>> = store.look(move |db| Box::pin(bundles::members_of(db, bundle))).await;
        let now = self.clock.now();
        for member in together? {
            let parts = self.parts.clone();
            let gone_on: Result<(), Error> =
                store.write(move |tx| Box::pin(async move { go_on(tx, &parts, member, None, Some(bundle), now).await })).await;
            gone_on.map_err(|failure| stored(member, failure))?;
        }
        let parts = self.parts.clone();
        let gone_on: Result<(), Error> = store
            .write(move |tx| {
                Box::pin(async move {
                    if !jobs::complete(tx, &job).await? {
                        return Ok(());
                    }
                    go_on(tx, &parts, id, Some(rung), None, now).await
                })
            })
            .await;
        gone_on.map_err(|failure| stored(id, failure))
    }

    /// Sets the timers of incidents, maintenance windows, alerts and heartbeats that lost theirs, and of what is told together, which
    /// only a buried job can bring about; how many there were, of incidents and of what is told together at most a thousand at once.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn mend(&self) -> Result<usize, db::Error> {
        let (now, queue) = (self.clock.now(), self.parts.queue.clone());
        let since = now.before(OVERDUE);
        let lost: db::Result<(Vec<IncidentId>, Vec<BundleId>)> = self
            .store
            .scan(move |db| {
                Box::pin(async move {
                    let timers = store::without_timer(db, since, MENDED).await?;
                    Ok((timers, bundles::store::without_job(db, since, MENDED).await?))
                })
            })
            .await;
        let (timers, pushes) = lost?;
        let count = timers.len() + pushes.len();
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    for id in timers {
                        tracing::error!(incident = %id, "an incident had lost its timer; it rings now");
                        queue.enqueue(tx, Kind::IncidentTimer, id.0, now).await?;
                    }
                    for id in pushes {
                        tracing::error!(bundle = %id, "incidents that are told together had lost their next push; it is written now");
                        queue.enqueue(tx, Kind::Bundle, id.0, now).await?;
                    }
                    let unended = maintenance::store::without_end(tx, since).await?;
                    for id in &unended {
                        tracing::error!(window = %id, "a maintenance window had lost its end; it ends now");
                        queue.enqueue(tx, Kind::MaintenanceOver, id.0, now).await?;
                    }
                    let reported = alerts::mend(tx, &queue, since, now).await?;
                    Ok(count + unended.len() + reported)
                })
            })
            .await
    }

    /// The next push about incidents that are told together is due.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn bundle(&self, id: BundleId, job: Job) -> Result<(), db::Error> {
        let (now, parts) = (self.clock.now(), self.parts.clone());
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    if !jobs::complete(tx, &job).await? {
                        return Ok(());
                    }
                    bundles::due(tx, &parts, id, now).await
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

    /// What is known of an incident, for what follows it; none once it is forgotten.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn known(&self, id: IncidentId) -> Result<Option<View>, db::Error> {
        self.store
            .read(move |db| {
                Box::pin(async move {
                    match store::find_by_id(db, id).await? {
                        Some(incident) => Ok(Some(view(db, incident).await?)),
                        None => Ok(None),
                    }
                })
            })
            .await
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
}

/// The next step of an incident, when it rings at nobody any more who may be reached. `rung` is the ring that came to nothing, and
/// `bundle` what it came to nothing in.
async fn go_on(
    tx: &mut Tx<'_>,
    parts: &Parts,
    id: IncidentId,
    rung: Option<u32>,
    bundle: Option<BundleId>,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(incident) = store::lock_by_id(tx, id).await? else { return Ok(()) };
    let State::Triggered { ring, place, .. } = incident.state else { return Ok(()) };
    // Not every ring tells everybody: what came to nothing is of the past only if somebody was told since.
    let last = delivery::last_page(tx.db(), id.0).await?.unwrap_or(ring);
    if rung.is_some_and(|rung| rung < last) || delivery::may_reach_somebody(tx.db(), id.0, last).await? {
        return Ok(());
    }
    let people = reaching::people(tx.db(), &incident.plan.targets(place.step), now).await?;
    let elsewhere = bundles::store::heard_in_another(tx.db(), id, bundle).await?;
    if !elsewhere.iter().any(|user| people.contains(user)) {
        let by = By { actor: Actor::System, device: None, origin: None };
        apply(tx, parts, incident, Event::NobodyReachable, &by, now).await?;
    }
    Ok(())
}

/// A failure where nobody asked who could be refused.
fn stored(id: IncidentId, failure: Error) -> db::Error {
    stored_of("incidents", id, failure)
}

/// As [`stored`], about a row of any table.
pub(super) fn stored_of(table: &'static str, id: impl std::fmt::Display, failure: Error) -> db::Error {
    match failure {
        Failure::Db(error) => error,
        other => db::Error::inconsistent(table, id, other),
    }
}

pub(super) async fn view(db: &mut Db<'_>, incident: Incident) -> Result<View, db::Error> {
    let mut steps = Vec::new();
    for step in incident.plan.steps() {
        steps.push(ViewStep { targets: named(db, &step.targets).await?, escalate_after: Some(step.escalate_after) });
    }
    steps.push(ViewStep { targets: named(db, incident.plan.last_resort()).await?, escalate_after: None });
    let mut responders = Vec::new();
    for id in store::responders(db, incident.id).await? {
        responders.push(identity::known_user(db, id).await?);
    }
    let service = match incident.service {
        None => None,
        Some(service) => services::known(db, service).await?.map(|service| service.name),
    };
    let team = match incident.team {
        None => None,
        Some(team) => identity::known_team(db, team).await?.map(|team| team.name),
    };
    let acted = match incident.state.act() {
        None => None,
        Some(act) => Some(acted(db, act.by).await?),
    };
    let merged_into = match incident.state {
        State::Resolved { merged_into: Some(into), .. } => store::reference(db, into).await?,
        _ => None,
    };
    Ok(View { incident, steps, responders, service, team, acted, merged_into })
}

async fn acted(db: &mut Db<'_>, by: Agent) -> Result<Acted, db::Error> {
    Ok(match by {
        Agent::Integration(integration) => Acted::Integration(services::integration_name(db, integration).await?),
        Agent::Person { user, via } => {
            let bot = match via {
                None => None,
                Some(via) => Some(Box::new(identity::known_bot(db, via).await?)),
            };
            Acted::Person(Box::new(identity::known_user(db, user).await?), bot)
        }
    })
}

/// Targets by name; without schedules that were removed.
pub(super) async fn named(db: &mut Db<'_>, targets: &[Target]) -> Result<Vec<Named>, db::Error> {
    let mut names = Vec::new();
    for target in targets {
        names.extend(match target {
            Target::User(user) => Some(Named::User(identity::known_user(db, *user).await?)),
            Target::Team(team) => identity::known_team(db, *team).await?.map(|team| Named::Team(team.name)),
            Target::Schedule(schedule) => schedules::known(db, *schedule).await?.map(|found| Named::Schedule(found.name)),
        });
    }
    Ok(names)
}
