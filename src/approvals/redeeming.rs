//! Redeeming a grant: the stricter of what held when it was approved and what holds today.
//!
//! **Invariants**
//! - Every approval that is counted is by a person, device and passkey that are trusted now.
//! - Those are enough for the requirement that was frozen, and for the one that today's policies and teams would make. The time to answer
//!   is not judged anew; everything else is.
//! - Who is away now does not matter to what was asked before: members who answered and went away still count. What a delegate answered
//!   counts while whoever they stand in for is a member, and as long as nobody took the delegation back; that it ran out does not matter.
//! - A group that was never asked is not enough, then or now.
//! - A grant is redeemed once, by the bot it names, and not while what it came from is frozen.

use std::time::Duration;

use serde_json::json;

use super::deciding::Parts;
use super::machine::{Approval, Decision, State};
use super::policies::{Undemanded, demands, resolve};
use super::policy::{Facts, Given};
use super::refused::{Error, Refused};
use super::service::Redeemed;
use super::store::{self, Found};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::id::{BotId, GrantId};
use crate::identity::{self, User, UserRef};
use crate::journal::{Actor, Entry};
use crate::secret::b64u;

pub(super) struct Redeeming {
    pub(super) grant: GrantId,
    pub(super) bot: BotId,
    pub(super) action_sha256: [u8; 32],
    pub(super) now: Timestamp,
}

pub(super) async fn redeem(tx: &mut Tx<'_>, parts: &Parts, redeeming: Redeeming, actor: Actor) -> Result<Redeemed, Error> {
    let Redeeming { grant, bot, action_sha256, now } = redeeming;
    let stored = store::lock_grant(tx, grant).await?.filter(|stored| stored.bot == bot).ok_or(Refused::GrantInvalid)?;
    if let Some(at) = stored.redeemed_at {
        return Err(Refused::GrantRedeemed { at }.into());
    }
    if now >= stored.expires_at {
        return Err(Refused::GrantExpired.into());
    }
    let Found { approval, frozen_at, .. } = store::find(tx.db(), stored.approval).await?.ok_or(Refused::GrantInvalid)?;
    let State::Approved(decision) = &approval.state else { return Err(Refused::GrantOtherAction.into()) };
    if approval.action.sha256() != action_sha256 {
        return Err(Refused::GrantOtherAction.into());
    }
    if let Some(since) = frozen_at {
        return Err(Refused::Frozen { since }.into());
    }
    let requester = identity::active_user(tx.db(), &UserRef::Id(approval.requester)).await?.ok_or(Refused::GrantRevoked)?;
    let trusted = store::still_trusted(tx.db(), approval.id).await?;
    if !approval.requirement.is_met(approval.requester, approval.asked, &trusted) {
        return Err(Refused::GrantRevoked.into());
    }
    allowed_today(tx, parts, &approval, decision, &requester, &trusted, bot).await?;
    if !store::redeem(tx, grant, now).await? {
        return Err(Refused::GrantRedeemed { at: now }.into());
    }
    let data = json!({"approval": approval.id, "action_sha256": b64u(action_sha256)});
    let entry = Entry { kind: "grant.redeemed", actor, subject: grant.to_string(), data };
    parts.journal.append(tx, now, entry).await?;
    crate::crash_point!("grant-redeemed");
    Ok(Redeemed { grant, approval: approval.id, at: now })
}

/// Whether today's policies and teams would have been satisfied by the same approvals.
async fn allowed_today(
    tx: &mut Tx<'_>,
    parts: &Parts,
    approval: &Approval,
    decision: &Decision,
    requester: &User,
    trusted: &[Given],
    redeemer: BotId,
) -> Result<(), Error> {
    let set = parts.policies.current(tx.db()).await?;
    // Whoever asked may have lost the right to since; a call that was under way when its bot was revoked comes here too.
    for asked in [approval.bot, redeemer] {
        if identity::known_bot(tx.db(), asked).await?.revoked_at.is_some() {
            return Err(Refused::GrantRevoked.into());
        }
    }
    let bot = identity::known_bot(tx.db(), approval.bot).await?;
    let facts = Facts { action: &approval.action, bot: bot.name.as_str(), origin: approval.origin.as_ref() };
    let changed = |why: String| Error::from(Refused::GrantPolicyChanged(why));
    let (mut require, reference) = demands(&set, &facts).map_err(|why| match why {
        Undemanded::Unmatched => changed("none matches this action any more".to_owned()),
        unclear @ Undemanded::Unclear { .. } => changed(unclear.to_string()),
    })?;
    // The bot may have asked for less time, and so for the next group earlier.
    require.expires_in = require.expires_in.min(approval.requirement.window_seconds);
    let same = reference == approval.requirement.policy;
    let name = reference.name.clone();
    let today = resolve(tx.db(), &require, reference, requester, approval.created_at).await?.requirement;
    // Only groups that would have been asked by then, and no more than were, may be what is enough.
    let waited =
        approval.created_at.until(decision.at).saturating_sub(Duration::from_secs(approval.requirement.delay_seconds.into()));
    let asked = 1 + usize::try_from(waited.as_secs() / u64::from(today.window_seconds.max(1))).unwrap_or(usize::MAX - 1);
    let asked = asked.min(approval.asked);
    let executor = if require.executor.is_some() { today.executor } else { Some(approval.bot) };
    if executor != Some(redeemer) {
        return Err(changed(format!("{name} names another bot to redeem it")));
    }
    if today.delay_seconds > approval.requirement.delay_seconds {
        return Err(changed(format!("{name} asks for a longer delay")));
    }
    if today.is_met(approval.requester, asked, trusted) {
        return Ok(());
    }
    if same {
        return Err(Refused::GrantMembershipChanged(name).into());
    }
    Err(changed(format!("{name} asks for more than was given")))
}
