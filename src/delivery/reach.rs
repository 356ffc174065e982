//! Whether a person would hear of anything, and how deep the lanes are: for operators, before it matters.

use std::collections::HashMap;
use std::time::Duration;

use super::attempts::store as attempts;
use super::service::Delivery;
use super::{Lane, store};
use crate::clock::Timestamp;
use crate::db::{self, Db};
use crate::id::UserId;
use crate::identity::{Call, Failure, Refusal, User, UserRef, active_user, held_passkeys};

/// What a person could be reached on and approve with.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The person.
    pub user: User,
    /// How many of their devices a push can be sent to.
    pub push_devices: usize,
    /// How many passkeys they could approve with.
    pub passkeys: usize,
    /// When one of these devices last said that a push came.
    pub heard_at: Option<Timestamp>,
}

/// Whoever was heard of within this is ready to be paged: a device of theirs said that a push came.
pub const READY_WITHIN: Duration = Duration::from_hours(30 * 24);

/// Whether somebody who was last heard of then is ready to be paged.
#[must_use]
pub fn is_ready(heard_at: Option<Timestamp>, now: Timestamp) -> bool {
    heard_at.is_some_and(|at| at.until(now) <= READY_WITHIN)
}

/// When a device of each of these people last said that a push came, of those a push can be sent to.
///
/// # Errors
/// Storage errors.
pub async fn last_heard(db: &mut Db<'_>, people: &[UserId]) -> db::Result<HashMap<UserId, Timestamp>> {
    let ids: Vec<_> = people.iter().map(|user| user.0).collect();
    let heard = store::last_heard(db, &ids).await?;
    Ok(heard.into_iter().map(|store::LastHeard(user, at)| (user, at)).collect())
}

/// How a person can be reached; none when there is no such person, or they left.
///
/// # Errors
/// Storage errors.
pub async fn reach(db: &mut Db<'_>, who: &UserRef) -> db::Result<Option<Reach>> {
    let Some(user) = active_user(db, who).await? else { return Ok(None) };
    let (ways, _) = store::reachable(db, user.id, None, 1000).await?;
    let push_devices = ways.len();
    let passkeys = held_passkeys(db, user.id).await?.len();
    let heard_at = last_heard(db, &[user.id]).await?.remove(&user.id);
    Ok(Some(Reach { user, push_devices, passkeys, heard_at }))
}

/// A lane that holds anything.
#[derive(Clone, Debug)]
pub struct Depth {
    /// Which.
    pub lane: Lane,
    /// Attempts that wait or are under way.
    pub waiting: i64,
    /// For how long the oldest of them has.
    pub oldest: Duration,
}

impl Delivery {
    /// How deep the lanes are that hold anything.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn depths(&self) -> db::Result<Vec<Depth>> {
        let now = self.clock.now();
        let waiting = self.store.scan::<_, db::Error, _>(|db| Box::pin(attempts::waiting(db))).await?;
        let depth =
            |waiting: attempts::Waiting| Depth { lane: waiting.lane, waiting: waiting.count, oldest: waiting.oldest.until(now) };
        Ok(waiting.into_iter().map(depth).collect())
    }

    /// How old the token is that says to Apple who sends; none where there is none.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn provider_token_age(&self) -> db::Result<Option<Duration>> {
        if self.carriers.apns.is_none() {
            return Ok(None);
        }
        let now = self.clock.now();
        let minted_at: Option<Timestamp> = self.store.look(|db| Box::pin(store::newest_provider_token(db))).await?;
        Ok(minted_at.map(|at| at.until(now)))
    }

    /// As [`reach`], for an administrator.
    ///
    /// # Errors
    /// Only administrators may see it; there may be no such person.
    pub async fn reach(&self, call: &Call, who: UserRef) -> Result<Reach, Failure<Refusal>> {
        call.admin()?;
        let unknown = Refusal::UserUnknown(who.to_string());
        let found: Option<Reach> = self.store.read(move |db| Box::pin(async move { reach(db, &who).await })).await?;
        found.ok_or(Failure::Refused(unknown))
    }

    /// When a phone of the caller's last said that a push came, to within an hour.
    ///
    /// # Errors
    /// When the caller is not a person.
    pub async fn own_heard_at(&self, call: &Call) -> Result<Option<Timestamp>, Failure<Refusal>> {
        let user = call.person()?.user.id;
        let heard: db::Result<_> = self.store.read(move |db| Box::pin(async move { last_heard(db, &[user]).await })).await;
        Ok(heard?.remove(&user))
    }
}
