//! Giving a bot its next token, with a time in which the old one works too.
//!
//! **Invariants**
//! - At most two tokens of a bot work: the newest, and the one before it until its overlap is over.
//! - A token is shown once, to the call that made it. A repeated call learns only that it was made.
//! - A bot rotates its own token with the newest only: whoever has one that is being replaced cannot follow.

pub(super) mod store;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::{Call, CallRefusal, Caller};
use super::model::Bot;
use super::service::{Error, Identity, Refusal, draw_token, record};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::id::BotId;
use crate::secret::{Secret, b64u, random};

/// The longest that an old token works beside the new one.
pub const MAX_OVERLAP: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is kept of a rotation under its idempotency key: which bot, and which call it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rotated {
    bot: BotId,
    call: String,
}

impl Identity {
    /// Gives a bot its next token, returned once. The newest until now works for `overlap` more; the one before it ends now.
    ///
    /// # Errors
    /// Only administrators may; there may be no such bot.
    pub async fn rotate_bot(&self, call: &Call, id: BotId, overlap: Duration) -> Result<(Bot, Option<Secret>), Error> {
        call.admin()?;
        self.rotated(call, id, None, overlap).await
    }

    /// As [`Identity::rotate_bot`], for the bot that calls.
    ///
    /// # Errors
    /// Only a bot may, and only with its newest token.
    pub async fn rotate_own(&self, call: &Call, overlap: Duration) -> Result<(Bot, Option<Secret>), Error> {
        match &call.caller {
            Caller::Bot(bot) => self.rotated(call, bot.id, Some(bot.token_number), overlap).await,
            Caller::Anonymous => Err(CallRefusal::Unauthenticated.into()),
            Caller::Person(_) | Caller::Operator => Err(CallRefusal::Forbidden("only a bot may do this").into()),
        }
    }

    async fn rotated(
        &self,
        call: &Call,
        id: BotId,
        number: Option<i64>,
        overlap: Duration,
    ) -> Result<(Bot, Option<Secret>), Error> {
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        let (token, until) = (draw_token(), now.after(overlap));
        let (ours, digest) = (Rotated { bot: id, call: b64u(random::<16>()) }, token.hash());
        let made = ours.clone();
        let done = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                rotate(tx, id, number, digest, until).await?;
                record(tx, &journal, now, actor, "bot.rotated", id, json!({"previous_token_until": until})).await?;
                crate::crash_point!("bot-rotated");
                Ok::<_, Error>(made)
            })
        });
        let done = done.await?;
        Ok((self.bot_by_id(done.bot).await?, (done == ours).then_some(token)))
    }
}

async fn rotate(tx: &mut Tx<'_>, id: BotId, number: Option<i64>, digest: [u8; 32], until: Timestamp) -> Result<(), Error> {
    if store::rotate_token(tx, id, number, digest, until).await? {
        return Ok(());
    }
    Err(match number {
        None => Refusal::NotFound(id.to_string()).into(),
        Some(_) => CallRefusal::Forbidden("only the bot's newest token may be exchanged for the next").into(),
    })
}
