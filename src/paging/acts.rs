//! What people do to incidents that are there: who may, what it becomes for the machine, and what is said of it.
//!
//! **Invariants**
//! - Acting takes somebody who has to do with the incident: see [`may_act`]. For a bot that is the person it names.
//! - Doing what is done already changes nothing and is no error.
//! - Locks are taken in this order: services, incidents, bundles, alerts; several of a kind in the order of their ids.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::machine::{Act, Agent, Event, Incident, Refusal, State, Urgency};
use super::plan::Target;
use super::ringing::{Acting, By, Told, acting, apply, outside, targets, tell_actor};
use super::service::{Error, Paging, Parts, Refused};
use super::{Reference, To, bundles, merging, reaching, store};
use crate::clock::Timestamp;
use crate::db::{Db, Tx};
use crate::id::UserId;
use crate::identity::{self, Call, Role, Scope, UserRef, Who};
use crate::journal::{self, Entry};

/// What somebody does to an incident.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Takes it: it stops ringing.
    Acknowledge,
    /// Ends it.
    Resolve,
    /// Hands it on: to these, or to the next step.
    Escalate {
        /// To whom; to the next step when nobody is named.
        to: Vec<To>,
        /// What they are told.
        message: Option<String>,
    },
    /// Hands it over: it begins anew with these.
    Reassign(Vec<To>),
    /// Asks these to look as well.
    AddResponders(Vec<To>),
    /// Puts it off.
    Snooze(Until),
    /// Puts it off no longer.
    Wake,
    /// Says how loud it is.
    Sound(Urgency),
    /// Says that it was not over.
    Reopen,
}

/// Until when something is put off.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// For so long from now.
    For(Duration),
    /// Until then.
    At(Timestamp),
}

/// Whom an act rang.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Done {
    /// Who was rung.
    pub paged: Vec<UserId>,
    /// Who has no device that can be reached.
    pub unreachable: Vec<UserId>,
    /// Who of those that were named belongs to another team.
    pub outside: Vec<UserId>,
}

/// What became of a "not me".
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Disowned {
    /// What a bot had done, as the journal names it: `incident.escalated`.
    pub act: String,
    /// Whether it was undone: the incident rings again.
    pub undone: bool,
}

/// How many incidents are acknowledged at once.
const AT_ONCE: u32 = 500;

impl Paging {
    /// Does something to an incident, and says whom it rang.
    ///
    /// # Errors
    /// When there is none, the caller has nothing to do with it, or the machine refuses.
    pub async fn act(&self, call: &Call, reference: Reference, actor: Option<Who>, deed: Deed) -> Result<Done, Error> {
        call.person_or_bot(Scope::IncidentsWrite)?;
        self.acting(call, actor, move |tx, parts, who, now| Box::pin(step(tx, parts, reference, deed, who, now))).await
    }

    /// Writes a note down, which can be made of what is over, too.
    ///
    /// # Errors
    /// When there is no such incident, or the caller has nothing to do with it.
    pub async fn note(&self, call: &Call, reference: Reference, actor: Option<Who>, text: String) -> Result<(), Error> {
        call.person_or_bot(Scope::IncidentsWrite)?;
        self.acting(call, actor, move |tx, parts, who, now| Box::pin(note(tx, parts, reference, text, who, now))).await
    }

    /// Lets another incident go on in the place of one.
    ///
    /// # Errors
    /// When there is no such incident, the caller has nothing to do with them, or one is over.
    pub async fn merge(&self, call: &Call, from: Reference, actor: Option<Who>, into: Reference) -> Result<(), Error> {
        call.person_or_bot(Scope::IncidentsWrite)?;
        self.acting(call, actor, move |tx, parts, who, now| Box::pin(merging::merge(tx, parts, (from, into), who, now))).await
    }

    async fn acting<T, F>(&self, call: &Call, actor: Option<Who>, act: F) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
        F: for<'a> FnOnce(&'a mut Tx<'_>, &'a Parts, &'a Doer, Timestamp) -> BoxFuture<'a, Result<T, Error>> + Send + 'static,
    {
        let (now, parts, call_copy) = (self.clock.now(), self.parts.clone(), call.clone());
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let who = acting(tx.db(), &call_copy, actor.as_ref()).await?;
                let doer = Doer { by: who.by(&call_copy), who };
                let done = act(tx, &parts, &doer, now).await?;
                crate::crash_point!("act-written");
                Ok(done)
            })
        })
        .await
    }

    /// Takes all incidents that ring for a person; which.
    ///
    /// # Errors
    /// When the caller may not, or a bot names nobody.
    pub async fn acknowledge_all(&self, call: &Call, actor: Option<Who>) -> Result<Vec<Reference>, Error> {
        call.person_or_bot(Scope::IncidentsWrite)?;
        self.acting(call, actor, |tx, parts, doer, now| Box::pin(acknowledge_all(tx, parts, doer, now))).await
    }

    /// The caller says that a bot acted in their name without them. What ended the ringing is undone; of anything else it is written down
    /// that it was not them.
    ///
    /// # Errors
    /// When there is none, or nobody acted in their name.
    pub async fn disown(&self, call: &Call, reference: Reference) -> Result<Disowned, Error> {
        let person = call.person()?.clone();
        let (now, parts, actor) = (self.clock.now(), self.parts.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let locked = merging::lock_with_heirs(tx, reference).await?;
                let by = By { actor, device: Some(person.device.id), origin: None };
                disown(tx, &parts, locked, person.user.id, &by, now).await
            })
        })
        .await
    }
}

/// Who does something, and how that is written down.
pub(super) struct Doer {
    pub(super) who: Acting,
    pub(super) by: By,
}

impl Doer {
    pub(super) fn act(&self, now: Timestamp) -> Act {
        Act { by: Agent::Person { user: self.who.user, via: self.who.via }, at: now }
    }

    /// Refused, unless they have to do with it.
    pub(super) async fn must_be_allowed(&self, db: &mut Db<'_>, incident: &Incident, now: Timestamp) -> Result<(), Error> {
        if may_act(db, incident, self.who.user, now).await? {
            Ok(())
        } else {
            Err(Refused::NotAResponder(incident.reference.clone()).into())
        }
    }

    /// The incident, locked, if they may act on it.
    async fn lock(&self, tx: &mut Tx<'_>, reference: Reference, now: Timestamp) -> Result<Incident, Error> {
        let incident = store::lock(tx, &reference).await?.ok_or(Refused::NotFound(reference))?;
        self.must_be_allowed(tx.db(), &incident, now).await?;
        Ok(incident)
    }
}

async fn acknowledge_all(tx: &mut Tx<'_>, parts: &Parts, doer: &Doer, now: Timestamp) -> Result<Vec<Reference>, Error> {
    // All that is changed is locked first, and in the order in which rings lock it: incidents, and then what tells of them together.
    let mut ringing = Vec::new();
    for id in store::ringing_for(tx.db(), doer.who.user, AT_ONCE).await? {
        let Some(incident) = store::lock_by_id(tx, id).await? else { continue };
        // Somebody may have ended it meanwhile.
        if let State::Triggered { .. } = incident.state {
            ringing.push(incident);
        }
    }
    bundles::lock_all(tx, ringing.iter().map(|incident| incident.id)).await?;
    let mut taken = Vec::new();
    for incident in ringing {
        taken.push(apply(tx, parts, incident, Event::Acknowledged(doer.act(now)), &doer.by, now).await?.0.reference);
    }
    Ok(taken)
}

/// Whether somebody may act on an incident: whoever it rang for or names, whoever opened it, the members of its team, and administrators.
async fn may_act(db: &mut Db<'_>, incident: &Incident, user: UserId, now: Timestamp) -> Result<bool, Error> {
    if incident.opened_by.user() == Some(user) || store::is_responder(db, incident.id, user).await? {
        return Ok(true);
    }
    if let Some(team) = incident.team
        && identity::teams_of(db, user).await?.contains(&team)
    {
        return Ok(true);
    }
    let role = identity::active_user(db, &UserRef::Id(user)).await?.map(|user| user.role);
    // Who is named further on in the plan may take it before it comes to them.
    Ok(role == Some(Role::Admin) || reaching::people(db, &everybody(incident), now).await?.contains(&user))
}

fn everybody(incident: &Incident) -> Vec<Target> {
    let plan = &incident.plan;
    plan.steps().iter().flat_map(|step| &step.targets).chain(plan.last_resort()).copied().collect()
}

async fn step(
    tx: &mut Tx<'_>,
    parts: &Parts,
    reference: Reference,
    deed: Deed,
    doer: &Doer,
    now: Timestamp,
) -> Result<Done, Error> {
    let incident = doer.lock(tx, reference, now).await?;
    let (event, named) = event(tx.db(), deed, doer.act(now), now).await?;
    let (incident, told) = apply(tx, parts, incident, event, &doer.by, now).await?;
    let people = reaching::people(tx.db(), &named, now).await?;
    let people: Vec<_> = people.into_iter().filter(|user| told.rung.contains(user) || told.unreachable.contains(user)).collect();
    let outside = outside(tx.db(), &incident, Some(doer.who.user), &people).await?;
    Ok(done(told, outside))
}

fn done(told: Told, outside: Vec<UserId>) -> Done {
    Done { paged: told.rung.into_iter().collect(), unreachable: told.unreachable.into_iter().collect(), outside }
}

/// What a deed is for the machine, and whom it names.
async fn event(db: &mut Db<'_>, deed: Deed, act: Act, now: Timestamp) -> Result<(Event, Vec<Target>), Error> {
    let nobody = Vec::new();
    Ok(match deed {
        Deed::Acknowledge => (Event::Acknowledged(act), nobody),
        Deed::Resolve => (Event::Resolved(act), nobody),
        Deed::Wake => (Event::Woken(act), nobody),
        Deed::Reopen => (Event::Reopened(act), nobody),
        Deed::Sound(urgency) => (Event::UrgencyChanged(act, urgency), nobody),
        Deed::Snooze(Until::For(long)) => (Event::Snoozed { act, until: now.after(long) }, nobody),
        Deed::Snooze(Until::At(until)) => (Event::Snoozed { act, until }, nobody),
        Deed::Escalate { to, message } => {
            let to = targets(db, &to).await?;
            (Event::Escalated { act, to: to.clone(), message }, to)
        }
        Deed::Reassign(to) => {
            let to = targets(db, &to).await?;
            (Event::Reassigned(act, to.clone()), to)
        }
        Deed::AddResponders(to) => {
            let to = targets(db, &to).await?;
            (Event::ResponderAdded(act, to.clone()), to)
        }
    })
}

async fn note(
    tx: &mut Tx<'_>,
    parts: &Parts,
    reference: Reference,
    text: String,
    doer: &Doer,
    now: Timestamp,
) -> Result<(), Error> {
    let (user, via) = (doer.who.user, doer.who.via);
    let incident = doer.lock(tx, reference, now).await?;
    let mut data = json!({"by": user, "via": via, "text": text});
    if let Some(origin) = &doer.by.origin {
        data["origin"] = origin.clone();
    }
    let entry = Entry { kind: "incident.noted", actor: doer.by.actor, subject: incident.id.to_string(), data };
    parts.journal.append(tx, now, entry).await?;
    if let Some(via) = via {
        tell_actor(tx, parts, &incident, (user, via), "Noted", now).await?;
    }
    Ok(())
}

async fn disown(
    tx: &mut Tx<'_>,
    parts: &Parts,
    (incident, line): (Incident, merging::Line),
    user: UserId,
    by: &By,
    now: Timestamp,
) -> Result<Disowned, Error> {
    let subject = incident.id.to_string();
    let kinds = ("incident.", "incident.disowned");
    let Some(last) = journal::done_in_the_name_of(tx.db(), &subject, user, kinds).await? else {
        return Err(Refusal::NotYours.into());
    };
    let ended = match incident.state.act().map(|act| act.by) {
        Some(Agent::Person { user: whose, via: Some(_) }) => whose == user,
        Some(Agent::Person { via: None, .. } | Agent::Integration(_)) | None => false,
    };
    if ended {
        let (incident, _) = apply(tx, parts, incident, Event::Disowned { by: user }, by, now).await?;
        merging::part(tx, parts, &incident, line, (user, by), now).await?;
    } else {
        let data = json!({"by": user, "act": last.kind, "undone": false});
        parts.journal.append(tx, now, Entry { kind: "incident.disowned", actor: by.actor, subject, data }).await?;
    }
    Ok(Disowned { act: last.kind, undone: ended })
}
