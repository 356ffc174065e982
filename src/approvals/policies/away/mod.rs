//! Being away, and who answers meanwhile.
//!
//! Being away takes nothing but saying so: it lets nothing pass that did not pass before. Naming somebody gives their yes the weight of
//! another's, so it is signed: by the person themself with a passkey, or, for somebody else, by an administrator (`super::acts`).
//!
//! **Invariants**
//! - Nobody becomes a delegate without a passkey's signature over exactly that: who, for whom, from when to when.
//! - An absence begins when it is made at the earliest, so that what was asked before stays as it was asked. Going on being away with the
//!   same delegate keeps its beginning.
//! - What ends one, or names nobody, is done at once and by whoever may: it takes weight away.

mod store;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Change, Changed, Error, Policies, Refused, record};
use crate::approvals::policy::{Absences, Invalid};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::UserId;
use crate::identity::{self, Call, User, UserRef, WebauthnRefusal};
use crate::journal::{Actor, Journal};

/// How long somebody may be away at once.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// Somebody is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// Who.
    pub user: UserId,
    /// Since when.
    pub from: Timestamp,
    /// Until when, exclusively.
    pub until: Timestamp,
    /// Who answers for them.
    pub delegate: Option<UserId>,
}

/// What somebody asks for when they say that they are, or somebody is, away.
#[derive(Clone, Debug)]
pub struct Away {
    /// From when; now when it is left out.
    pub from: Option<Timestamp>,
    /// Until when.
    pub until: Timestamp,
    /// Who answers meanwhile.
    pub delegate: Option<UserRef>,
}

/// An absence that is not over, with the delegate by name.
#[derive(Clone, Debug)]
pub struct AbsenceView {
    /// Since when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Who answers meanwhile.
    pub delegate: Option<User>,
}

impl Policies {
    /// Says that `who` is away; nobody means the caller. Naming a delegate is proposed, and made under a passkey.
    ///
    /// # Errors
    /// Only administrators may say it of others. The times must make sense, and the delegate be somebody else who is there. Who names
    /// one for themselves needs a passkey to sign that with.
    pub async fn set_away(&self, call: &Call, who: Option<UserRef>, away: Away) -> Result<Changed<AbsenceView>, Error> {
        let user = self.whom(call, who).await?;
        let now = self.clock.now();
        let from = away.from.unwrap_or(now);
        checked(from, away.until, now)?;
        let delegate = match away.delegate {
            None => None,
            Some(delegate) => Some(self.delegate(call, &user, delegate).await?),
        };
        let change = Change::Away { user: user.id, from, until: away.until, delegate };
        Ok(match self.change(call, change).await? {
            Changed::Waits(act) => Changed::Waits(act),
            Changed::Made(()) => {
                let made = self.absence(user.id).await?;
                Changed::Made(made.ok_or_else(|| Refused::NotFound(format!("absence of {}", user.full_name())))?)
            }
        })
    }

    /// Says that `who`, or the caller, is back, and answers for themselves. Whoever was not away is back all the same.
    ///
    /// # Errors
    /// Only administrators may say it of others.
    pub async fn end_away(&self, call: &Call, who: Option<UserRef>) -> Result<(), Error> {
        let user = self.whom(call, who).await?.id;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let Some(absence) = store::lock(tx, user).await? else { return Ok(()) };
                store::end(tx, user).await?;
                if absence.until <= now {
                    return Ok(());
                }
                record(tx, &journal, now, actor, "user.back", user.to_string(), json!({"delegate": absence.delegate})).await
            })
        })
        .await
    }

    /// The caller's own absence, while it is not over.
    ///
    /// # Errors
    /// When the caller is not a person.
    pub async fn own_absence(&self, call: &Call) -> Result<Option<AbsenceView>, Error> {
        let user = call.person()?.user.id;
        Ok(self.absence(user).await?)
    }

    /// Somebody's absence, while it is not over.
    ///
    /// # Errors
    /// Only administrators may see it; there may be no such person.
    pub async fn absence_of(&self, call: &Call, who: UserRef) -> Result<Option<AbsenceView>, Error> {
        let user = self.whom(call, Some(who)).await?;
        Ok(self.absence(user.id).await?)
    }

    async fn absence(&self, user: UserId) -> db::Result<Option<AbsenceView>> {
        let now = self.clock.now();
        self.store
            .read(move |db| {
                Box::pin(async move {
                    let Some(absence) = store::find(db, user).await?.filter(|absence| absence.until > now) else {
                        return Ok(None);
                    };
                    let delegate = match absence.delegate {
                        None => None,
                        Some(id) => Some(identity::known_user(db, id).await?),
                    };
                    Ok(Some(AbsenceView { from: absence.from, until: absence.until, delegate }))
                })
            })
            .await
    }

    /// The caller, or the person an administrator names.
    async fn whom(&self, call: &Call, who: Option<UserRef>) -> Result<User, Error> {
        match who {
            None => Ok(call.established()?.user.clone()),
            Some(who) => {
                call.admin()?;
                self.active(who.clone()).await?.ok_or_else(|| Refused::NotFound(who.to_string()).into())
            }
        }
    }

    async fn active(&self, who: UserRef) -> db::Result<Option<User>> {
        self.store.read(move |db| Box::pin(async move { identity::active_user(db, &who).await })).await
    }

    /// Somebody whom `user` may name.
    async fn delegate(&self, call: &Call, user: &User, named: UserRef) -> Result<UserId, Error> {
        let wrong = |why: String| Refused::Invalid(Invalid { field: "delegate".to_owned(), why });
        let delegate = self.active(named.clone()).await?.ok_or_else(|| wrong(format!("there is no {named}")))?;
        if delegate.id == user.id {
            return Err(wrong("whoever is away does not answer for themselves".to_owned()).into());
        }
        let own = call.person().is_ok_and(|person| person.user.id == user.id);
        let id = user.id;
        if own
            && !self
                .store
                .read::<_, db::Error, _>(move |db| Box::pin(async move { Ok(identity::reach(db, id).await?.passkey) }))
                .await?
        {
            return Err(Refused::Webauthn(WebauthnRefusal::PasskeyUnknown).into());
        }
        Ok(delegate.id)
    }
}

fn checked(from: Timestamp, until: Timestamp, now: Timestamp) -> Result<(), Refused> {
    let wrong = |field: &str, why: &str| Err(Refused::Invalid(Invalid { field: field.to_owned(), why: why.to_owned() }));
    if from < now {
        return wrong("from", "is in the past: leave it out for from now on");
    }
    if until <= from {
        return wrong("until", "must be later than `from`, and than now");
    }
    if until > from.after(LONGEST) {
        return wrong("until", "may be at most 366 days after `from`");
    }
    Ok(())
}

/// Who was away at `instant`, as far as it still stands, and whom they named.
pub(super) async fn at(db: &mut Db<'_>, instant: Timestamp) -> db::Result<Absences> {
    Ok(store::at(db, instant).await?.into_iter().map(|absence| (absence.user, absence.delegate)).collect())
}

/// Puts an absence into force and records it. What begins in the past begins now, unless it goes on.
pub(super) async fn make(
    tx: &mut Tx<'_>,
    journal: &Journal,
    mut absence: Absence,
    actor: Actor,
    now: Timestamp,
) -> Result<(), Error> {
    if absence.until <= now {
        return Err(Refused::ActExpired.into());
    }
    let before = store::lock(tx, absence.user).await?;
    let goes_on = before
        .filter(|before| before.from <= now && now < before.until && before.delegate == absence.delegate && absence.from <= now);
    absence.from = goes_on.map_or(absence.from.max(now), |before| before.from);
    store::set(tx, &absence, now).await?;
    let data = json!({"from": absence.from, "until": absence.until, "delegate": absence.delegate});
    record(tx, journal, now, actor, "user.away", absence.user.to_string(), data).await
}

/// Why naming a delegate weakens; nothing for an absence without one. Both must still be there.
pub(super) async fn judged(tx: &mut Tx<'_>, absence: &Absence) -> Result<Option<String>, Error> {
    let user = there(tx, absence.user).await?;
    let Some(delegate) = absence.delegate else { return Ok(None) };
    let delegate = there(tx, delegate).await?;
    Ok(Some(format!("{} would answer for {}", delegate.full_name(), user.full_name())))
}

async fn there(tx: &mut Tx<'_>, id: UserId) -> Result<User, Error> {
    let found = identity::active_user(tx.db(), &UserRef::Id(id)).await?;
    found.ok_or_else(|| Refused::NotFound(id.to_string()).into())
}
