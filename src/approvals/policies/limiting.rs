//! The limits of bots as they are kept. Limiting a bot is done at once; what lets one ask for more is an act.

use super::acts::Change;
use super::{Changed, Error, Policies, Refused};
use crate::approvals::limits::{self, Limited, Limits, widening};
use crate::approvals::policy::Invalid;
use crate::db::{Db, Tx};
use crate::id::BotId;
use crate::identity::{self, Bot, Call, Handle, UserRef};

impl Policies {
    /// What a bot may ask; nothing where it may ask for everything.
    ///
    /// # Errors
    /// Only administrators may look; there may be no such bot.
    pub async fn limits(&self, call: &Call, bot: BotId) -> Result<Option<Limited>, Error> {
        call.admin()?;
        self.store
            .read(move |db| {
                Box::pin(async move {
                    known(db, bot).await?;
                    Ok(limits::store::find(db, bot).await?)
                })
            })
            .await
    }

    /// Limits a bot, in the place of what limited it before, or proposes it when it lets the bot ask for more.
    ///
    /// # Errors
    /// Only administrators may; the limits must make sense, and name teams and people that are there.
    pub async fn limit(&self, call: &Call, bot: BotId, limits: Limits) -> Result<Changed<Limited>, Error> {
        call.admin()?;
        limits.check().map_err(Refused::Invalid)?;
        match self.change(call, Change::SetLimits { bot, limits }).await? {
            Changed::Waits(act) => Ok(Changed::Waits(act)),
            Changed::Made(()) => {
                let found = self.limits(call, bot).await?;
                Ok(Changed::Made(found.ok_or_else(|| Refused::NotFound(format!("limit of {bot}")))?))
            }
        }
    }

    /// Lets a bot ask for everything again, or proposes it when that is more than it may ask.
    ///
    /// # Errors
    /// Only administrators may; the bot must be limited.
    pub async fn unlimit(&self, call: &Call, bot: BotId) -> Result<Changed<()>, Error> {
        call.admin()?;
        self.change(call, Change::RemoveLimits { bot }).await
    }
}

/// The bot, unless it was revoked.
pub(super) async fn known(db: &mut Db<'_>, bot: BotId) -> Result<Bot, Error> {
    identity::trusted_bot(db, bot).await?.ok_or_else(|| Refused::NotFound(bot.to_string()).into())
}

/// Why limiting a bot weakens, if it does. Everybody the limits name is looked up first.
pub(super) async fn set_weakens(tx: &mut Tx<'_>, bot: BotId, limits: &Limits) -> Result<Option<String>, Error> {
    let bot = known(tx.db(), bot).await?;
    named(tx.db(), limits).await?;
    let Some(Limited { limits: before, .. }) = limits::store::find(tx.db(), bot.id).await? else { return Ok(None) };
    let (before, after) = (by_id(tx.db(), &before).await?, by_id(tx.db(), limits).await?);
    Ok(widening(&before, &after).map(|what| format!("bot {} could {what}", bot.name)))
}

/// Why no longer limiting a bot weakens, if it does.
pub(super) async fn removal_weakens(tx: &mut Tx<'_>, bot: BotId) -> Result<Option<String>, Error> {
    let bot = known(tx.db(), bot).await?;
    let limited = limits::store::find(tx.db(), bot.id).await?;
    let Limited { limits, .. } = limited.ok_or_else(|| Refused::NotFound(format!("limit of bot {}", bot.name)))?;
    let widens = widening(&limits, &Limits::default());
    Ok(widens.map(|_| format!("bot {} could ask for everything that the policies take", bot.name)))
}

/// Why joining a team weakens, if a bot may ask for its members.
pub(super) async fn joining_weakens(db: &mut Db<'_>, team: &Handle) -> Result<Option<String>, Error> {
    for (bot, limits) in limits::store::list(db).await? {
        if limits.teams.iter().flatten().any(|named| named == team)
            && let Some(bot) = identity::trusted_bot(db, bot).await?
        {
            return Ok(Some(format!("bot {} could ask for another person", bot.name)));
        }
    }
    Ok(None)
}

/// That everybody the limits name is there.
async fn named(db: &mut Db<'_>, limits: &Limits) -> Result<(), Error> {
    let missing =
        |field: String, what: String| Error::from(Refused::Invalid(Invalid { field, why: format!("there is no {what}") }));
    for (at, team) in limits.teams.iter().flatten().enumerate() {
        if identity::find_team(db, team).await?.is_none() {
            return Err(missing(format!("teams[{at}]"), format!("team {team}")));
        }
    }
    for (at, user) in limits.users.iter().flatten().enumerate() {
        if identity::active_user(db, user).await?.is_none() {
            return Err(missing(format!("users[{at}]"), user.to_string()));
        }
    }
    Ok(())
}

/// The same with everybody by their id, however they were named. Whoever has left keeps the name, for nobody else will have it.
async fn by_id(db: &mut Db<'_>, limits: &Limits) -> Result<Limits, Error> {
    let mut limits = limits.clone();
    for user in limits.users.iter_mut().flatten() {
        if let Some(found) = identity::active_user(db, user).await? {
            *user = UserRef::Id(found.id);
        }
    }
    Ok(limits)
}
