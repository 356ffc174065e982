//! Would they hear it? Everybody whom a policy, a schedule, a service or the configuration may ring, and whether a phone of theirs has
//! said lately that a push came.
//!
//! **Invariants**
//! - Ready is who was heard of, not who has a phone: "the provider accepted it" is nobody's word.

mod store;

use std::collections::BTreeMap;

use super::plan::Target;
use super::service::{Error, Paging};
use crate::clock::Timestamp;
use crate::db::{self, Db};
use crate::delivery;
use crate::id::UserId;
use crate::identity::{self, Call, User, UserRef, active_user};

/// Somebody who may be rung.
#[derive(Clone, Debug)]
pub struct Responder {
    /// Who.
    pub user: User,
    /// By what: `policy:api`, `schedule:api-nights`, `service:api`, `fallback`. Sorted.
    pub on: Vec<String>,
    /// When a device of theirs last said that a push came.
    pub heard_at: Option<Timestamp>,
    /// Whether that was within [`delivery::READY_WITHIN`].
    pub ready: bool,
}

impl Paging {
    /// Everybody who may be rung, by handle.
    ///
    /// # Errors
    /// Only administrators may see it.
    pub async fn readiness(&self, call: &Call) -> Result<Vec<Responder>, Error> {
        call.admin()?;
        Ok(self.responders().await?)
    }

    /// How many may be rung whom nobody has heard of lately.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn not_ready(&self) -> db::Result<usize> {
        Ok(self.responders().await?.iter().filter(|responder| !responder.ready).count())
    }

    async fn responders(&self) -> db::Result<Vec<Responder>> {
        let (now, fallback) = (self.clock.now(), self.settings.fallback.clone());
        self.store.scan(move |db| Box::pin(async move { responders(db, fallback, now).await })).await
    }
}

async fn responders(db: &mut Db<'_>, fallback: Option<UserRef>, now: Timestamp) -> db::Result<Vec<Responder>> {
    let mut on = BTreeMap::new();
    for (name, targets) in store::rung(db).await? {
        for target in targets {
            add(db, &mut on, &name, target).await?;
        }
    }
    if let Some(fallback) = fallback
        && let Some(user) = active_user(db, &fallback).await?
    {
        name(&mut on, user, "fallback");
    }
    let people: Vec<UserId> = on.keys().copied().collect();
    let heard = delivery::last_heard(db, &people).await?;
    let responder = |(user, mut on): (User, Vec<String>)| {
        on.sort();
        on.dedup();
        let heard_at = heard.get(&user.id).copied();
        Responder { user, on, heard_at, ready: delivery::is_ready(heard_at, now) }
    };
    let mut responders: Vec<_> = on.into_values().map(responder).collect();
    responders.sort_by(|one, other| one.user.handle.as_str().cmp(other.user.handle.as_str()));
    Ok(responders)
}

type On = BTreeMap<UserId, (User, Vec<String>)>;

fn name(on: &mut On, user: User, name: &str) {
    on.entry(user.id).or_insert_with(|| (user, Vec::new())).1.push(name.to_owned());
}

/// A schedule's people are named by the schedule itself.
async fn add(db: &mut Db<'_>, on: &mut On, by: &str, target: Target) -> db::Result<()> {
    let people = match target {
        Target::User(user) => active_user(db, &UserRef::Id(user)).await?.into_iter().collect(),
        Target::Team(team) => identity::team_members(db, team).await?,
        Target::Schedule(_) => Vec::new(),
    };
    for user in people {
        name(on, user, by);
    }
    Ok(())
}
