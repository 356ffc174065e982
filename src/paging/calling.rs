//! One ring: what each of the people it is for gets of it, by their own rules.
//!
//! **Invariants**
//! - Filters and quiet hours keep nobody from what is urgent at the last resort, nor from what they were asked to look at by name
//!   while somebody else has it.
//! - A ring at which nothing is due, because it was told or will be, is no silence.
//! - People are told in the order of their ids: what is locked for them is locked in one order.

use std::time::Duration;

use serde_json::json;

use super::bundles::{self, Fold};
use super::machine::{Event, Incident, State, Urgency};
use super::plan::Target;
use super::ringing::{Told, content};
use super::rules::{self, Due, Facts, Loudness, Rules};
use super::service::{Error, Parts};
use super::{reaching, services, store, words};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::delivery::{self, Content, Notice};
use crate::id::UserId;
use crate::identity::{self, Handle};
use crate::journal::{Actor, Entry};
use crate::push::Category;

/// One ring.
pub(super) struct Ring {
    pub(super) targets: Vec<Target>,
    pub(super) number: u32,
    /// When the step began.
    pub(super) since: Timestamp,
    /// When it rang last since then.
    pub(super) before: Option<Timestamp>,
    /// Others are rung in it already: whoever is among those is not told twice.
    pub(super) joins: bool,
}

/// What became of it.
pub(super) struct Rung {
    pub(super) told: Told,
    /// What the incident has to hear, when nobody was told.
    pub(super) silence: Option<Event>,
}

/// What a person gets of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    /// They do not want to be paged for it.
    PassedOver,
    /// It waits until their quiet hours are over.
    Quiet(Timestamp),
    /// It was told, or will be.
    Nothing,
    /// This, which is of use for so long.
    Told(Due, Duration),
}

/// An e-mail is of use for an hour.
const MAIL_LIFE: Duration = Duration::from_hours(1);

/// Rings.
pub(super) async fn ring(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &Incident,
    ring: &Ring,
    said: &words::Ringing,
    now: Timestamp,
) -> Result<Rung, Error> {
    let mut people = reaching::people(tx.db(), &ring.targets, now).await?;
    store::add_responders(tx, incident.id, &people, now).await?;
    people.sort_unstable();
    let mut shares = shares(tx.db(), incident, ring, &people, now).await?;
    if ring.joins {
        let rung = delivery::rung_in(tx.db(), incident.id.0, ring.number).await?;
        for (_, share) in shares.iter_mut().filter(|(user, _)| rung.contains(user)) {
            *share = Share::Nothing;
        }
    }
    let letter = letter(incident, ring.number, said);
    let (mut told, mut waits, mut quiet) = (Told::default(), false, None);
    for (user, share) in shares {
        match share {
            Share::PassedOver if ring.before.is_none() => pass_over(tx, parts, incident, (user, ring.number), now).await?,
            Share::PassedOver => {}
            Share::Quiet(until) => quiet = quiet.into_iter().chain([until]).min(),
            Share::Nothing => waits = true,
            Share::Told(due, lasts) => {
                let notice = Notice { user, round: ring.number, expires_at: now.after(lasts), ..letter.clone() };
                let there = tell(tx, parts, incident, (due, ring.before.is_none()), notice, now).await?
                    || ring.before.is_some() && due.push.is_none();
                if there {
                    told.rung.insert(user)
                } else {
                    told.unreachable.insert(user)
                };
            }
        }
    }
    let silence = match quiet {
        _ if waits || !told.rung.is_empty() => None,
        Some(until) => Some(Event::AllQuiet { until }),
        None => Some(Event::NobodyReachable),
    };
    Ok(Rung { told, silence })
}

async fn shares(
    db: &mut Db<'_>,
    incident: &Incident,
    ring: &Ring,
    people: &[UserId],
    now: Timestamp,
) -> Result<Vec<(UserId, Share)>, db::Error> {
    let kept = rules::store::of(db, people).await?;
    let names = if kept.values().any(|rules| !rules.only.is_empty()) { Names::of(db, incident).await? } else { Names::default() };
    let default = Rules::default();
    let rules_of = |user| kept.get(user).unwrap_or(&default);
    Ok(people.iter().map(|user| (*user, share(rules_of(user), incident, ring, &names, now))).collect())
}

/// What filters go by.
#[derive(Default)]
struct Names {
    service: Option<Handle>,
    team: Option<Handle>,
}

impl Names {
    async fn of(db: &mut Db<'_>, incident: &Incident) -> Result<Self, db::Error> {
        let service = match incident.service {
            None => None,
            Some(service) => services::known(db, service).await?.map(|service| service.name),
        };
        let team = match incident.team {
            None => None,
            Some(team) => identity::known_team(db, team).await?.map(|team| team.name),
        };
        Ok(Self { service, team })
    }
}

fn share(rules: &Rules, incident: &Incident, ring: &Ring, names: &Names, now: Timestamp) -> Share {
    let urgency = incident.urgency;
    let spared = match incident.state {
        State::Triggered { place, .. } => urgency == Urgency::High && place.step >= incident.plan.resort(),
        State::Acknowledged { .. } | State::Resolved { .. } => true,
    };
    let facts = Facts { service: names.service.as_ref(), team: names.team.as_ref(), urgency, labels: &incident.labels };
    if !spared && !rules::wanted(rules, &facts) {
        return Share::PassedOver;
    }
    let due = rules::due(rules, urgency, ring.before.map(|at| ring.since.until(at)), ring.since.until(now));
    if due.is_nothing() {
        return Share::Nothing;
    }
    match rules::quiet_until(rules, urgency, now).filter(|_| !spared) {
        Some(until) => Share::Quiet(until),
        None => Share::Told(due, rules.lasts(urgency, incident.plan.ring_every())),
    }
}

/// What everybody is told, but for whom, when and how loud.
fn letter(incident: &Incident, ring: u32, said: &words::Ringing) -> Notice {
    let words = words::ringing(incident, ring, said);
    let full = words::in_full(incident, &words);
    let content = Content { full, ..content(incident, Category::Page, words) };
    let (user, expires_at) = (UserId(uuid::Uuid::nil()), incident.created_at);
    Notice { user, subject: incident.id.0, round: ring, content, expires_at, replaces: None }
}

/// Tells one person; whether there is a way to them. `begins` says that a step rings for the first time.
async fn tell(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &Incident,
    (due, begins): (Due, bool),
    notice: Notice,
    now: Timestamp,
) -> Result<bool, Error> {
    let mut there = false;
    if let Some(loudness) = due.push {
        let mut notice = notice.clone();
        notice.content.high = loudness == Loudness::Loud;
        there = push(tx, parts, incident, (notice, begins), now).await?;
    }
    if due.email {
        let mut notice = Notice { expires_at: now.after(MAIL_LIFE), ..notice };
        notice.content.high = false;
        there |= parts.delivery.mail(tx, notice, due.push.is_some(), now).await? > 0;
    }
    Ok(there)
}

async fn push(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &Incident,
    (notice, begins): (Notice, bool),
    now: Timestamp,
) -> Result<bool, Error> {
    if let Some(team) = incident.team {
        // Looked up before anything is locked: whoever cannot be reached locks nothing.
        if !parts.delivery.can_reach(tx.db(), notice.user).await? {
            return Ok(parts.delivery.notify(tx, notice, now).await? > 0);
        }
        let fold = match incident.urgency {
            Urgency::High => bundles::storm(tx, parts, incident, (notice.user, team, begins), now).await?,
            // Whoever wants it loud has it as it comes.
            Urgency::Low if notice.content.high => Fold::Alone,
            Urgency::Low => bundles::gather(tx, parts, incident, notice.user, now).await?,
        };
        if fold == Fold::Told {
            return Ok(true);
        }
    }
    Ok(parts.delivery.notify(tx, notice, now).await? > 0)
}

async fn pass_over(
    tx: &mut Tx<'_>,
    parts: &Parts,
    incident: &Incident,
    (user, ring): (UserId, u32),
    now: Timestamp,
) -> Result<(), db::Error> {
    let (subject, data) = (incident.id.to_string(), json!({"user": user, "rule": "only", "ring": ring}));
    parts.journal.append(tx, now, Entry { kind: "person.passed_over", actor: Actor::System, subject, data }).await
}
