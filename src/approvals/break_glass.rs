//! Break-glass: the operator, on the server itself, opens a request when nobody who could answer can be reached.
//!
//! The operator can administer everything, and so could make somebody a phone and answer for them. Break-glass is the way that does not
//! pretend: it waits, it tells everybody, anybody can stop it, and what it allows says what it is.
//!
//! **Invariants**
//! - Only the operator, on the server's own socket; never a bot, never anybody's phone.
//! - The policy that was fixed at creation and the one of today must both allow it, now and when the grant is redeemed.
//! - What a report froze is neither broken open nor redeemed, and what is reported meanwhile is cancelled.
//! - Everybody is told, also whoever a request would not ring at: it is an alarm, and counts as no ring of the request.

use std::time::Duration;

use super::deciding::{By, Parts, apply, content, unfrozen};
use super::machine::{Approval, Event, Verdict};
use super::policies::demands;
use super::policy::Facts;
use super::refused::{Error, Refused};
use super::service::Approvals;
use super::store::{self, Found};
use super::view::{View, view};
use crate::db::Tx;
use crate::delivery::{Notice, Words};
use crate::id::{ApprovalId, UserId};
use crate::identity::{self, Call};
use crate::push::Category;
use crate::text::line;

/// The round of the alarm: its own, so that it rings though the request's own push is still on the screen.
const ROUND: u32 = 2;

impl Approvals {
    /// Breaks the glass of a request that waits for answers: unless somebody denies it, it opens after the configured wait.
    ///
    /// # Errors
    /// Only the operator may, while it waits, and where the policies allow it.
    pub async fn break_glass(&self, call: &Call, id: ApprovalId, reason: String) -> Result<View, Error> {
        call.operator_only()?;
        let (now, parts, actor, wait) = (self.clock.now(), self.parts(), call.actor(None), self.break_glass_wait);
        let broken = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let found = store::lock(tx, id).await?.ok_or_else(|| Refused::NotFound(id.to_string()))?;
                let Found { approval, frozen_at, .. } = found;
                approval.open(now)?;
                unfrozen(Verdict::Approve, frozen_at)?;
                forbidden_today(tx, &parts, &approval).await?;
                let event = Event::GlassBroken { reason, wait, admins: identity::admins(tx.db()).await? };
                apply(tx, &parts, approval, event, &By { actor, device: None, origin: None }, now).await?;
                crate::crash_point!("glass-broken");
                Ok::<_, Error>(id)
            })
        });
        let id = broken.await?;
        self.store
            .read(move |db| {
                Box::pin(async move {
                    let found = store::find(db, id).await?.ok_or_else(|| Refused::NotFound(id.to_string()))?;
                    Ok(view(db, found).await?)
                })
            })
            .await
    }
}

/// An error when today's policies do not allow break-glass; the frozen one is the machine's to judge.
async fn forbidden_today(tx: &mut Tx<'_>, parts: &Parts, approval: &Approval) -> Result<(), Error> {
    let set = parts.policies.current(tx.db()).await?;
    let bot = identity::known_bot(tx.db(), approval.bot).await?;
    let facts = Facts { action: &approval.action, bot: bot.name.as_str(), origin: approval.origin.as_ref() };
    let (require, reference) = demands(&set, &facts).map_err(Refused::Undemanded)?;
    if require.break_glass { Ok(()) } else { Err(super::Refusal::BreakGlassForbidden(reference.name).into()) }
}

/// Who did it and why, and that it can be stopped. Unlike a request's own push it says so much: whoever reads it may have to run.
pub(super) fn alarm(approval: &Approval, user: UserId) -> Notice {
    let (wait, reason) = approval
        .break_glass
        .as_ref()
        .map_or((Duration::ZERO, String::new()), |glass| (glass.at.until(glass.until), line(&glass.reason, 200)));
    let body = format!(
        "The operator opens request {} on the server in {} minutes, without anybody's approval: {reason}. Deny it if that is wrong.",
        approval.tag,
        wait.as_secs().div_ceil(60),
    );
    let words = Words { title: "Break-glass".into(), body };
    Notice {
        user,
        subject: approval.id.0,
        round: ROUND,
        content: content(approval, Category::Approval, words),
        expires_at: approval.expires_at,
        replaces: None,
    }
}
