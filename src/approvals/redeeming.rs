//! Redeeming a grant: the stricter of what held when it was approved and what holds today.
//!
//! **Invariants**
//! - Every approval that is counted is by a person, device and passkey that are trusted now.
//! - Those are enough for the requirement that was frozen, and for the one that today's policies and teams would make. The time to answer
//!   is not judged anew; everything else is.
//! - Who is away now does not matter to what was asked before: members who answered and went away still count. What a delegate answered
//!   counts while whoever they stand in for is a member, and as long as nobody took the delegation back; that it ran out does not matter.
//! - A group that was never asked is not enough, then or now.
//! - A grant is redeemed once, by the bot it names, and not while what it came from is frozen; one that is bound to a key, only under a
//!   fresh proof by that key (RFC 9449), which is used up with it.
//! - What was opened by break-glass has no approvals to judge: what is judged is that today's policies allow break-glass too, and would
//!   not have waited longer.

use std::time::Duration;

use serde_json::json;

use super::deciding::Parts;
use super::grant::Confirmation;
use super::machine::{Approval, BreakGlass, Decision, State};
use super::policies::{Undemanded, demands, resolve};
use super::policy::{Facts, Given, Requirement};
use super::refused::{Error, Refused};
use super::service::Redeemed;
use super::store::{self, Found};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::id::{BotId, GrantId};
use crate::identity::dpop::{self, Proof};
use crate::identity::{self, User, UserRef};
use crate::journal::{Actor, Entry};
use crate::secret::b64u;

pub(super) struct Redeeming {
    pub(super) grant: GrantId,
    pub(super) bot: BotId,
    pub(super) action_sha256: [u8; 32],
    pub(super) proven: Option<Proven>,
    pub(super) now: Timestamp,
}

/// A proof that the redeemer holds the key that the grant is bound to.
pub(super) struct Proven {
    /// As it was sent: evidence for the receipt.
    pub(super) text: String,
    pub(super) thumbprint: [u8; 32],
    pub(super) jti_sha256: [u8; 32],
    pub(super) expires_at: Timestamp,
}

/// Checks the proof of a call that redeems `grant`, which is bound to the key of `cnf`.
pub(super) fn proven(
    cnf: &Confirmation,
    grant: &str,
    proof: Option<String>,
    url: &str,
    now: Timestamp,
) -> Result<Proven, Refused> {
    let text = proof.ok_or(Refused::ProofRequired)?;
    let Proof { thumbprint, jti_sha256, expires_at, .. } = dpop::verify(&text, "POST", url, Some(grant), now)?;
    if b64u(thumbprint) != cnf.jkt {
        return Err(Refused::ProofOfAnotherKey);
    }
    Ok(Proven { text, thumbprint, jti_sha256, expires_at })
}

pub(super) async fn redeem(tx: &mut Tx<'_>, parts: &Parts, redeeming: Redeeming, actor: Actor) -> Result<Redeemed, Error> {
    let Redeeming { grant, bot, action_sha256, proven, now } = redeeming;
    let stored = store::lock_grant(tx, grant).await?.filter(|stored| stored.bot == bot).ok_or(Refused::GrantInvalid)?;
    if let Some(at) = stored.redeemed_at {
        return Err(Refused::GrantRedeemed { at }.into());
    }
    if now >= stored.expires_at {
        return Err(Refused::GrantExpired.into());
    }
    let Found { approval, frozen_at, .. } = store::find(tx.db(), stored.approval).await?.ok_or(Refused::GrantInvalid)?;
    if approval.action.sha256() != action_sha256 {
        return Err(Refused::GrantOtherAction.into());
    }
    // The row decides, not the token: both are ours.
    if approval.bound_to != proven.as_ref().map(|proven| proven.thumbprint) {
        return Err(Refused::ProofOfAnotherKey.into());
    }
    if let Some(since) = frozen_at {
        return Err(Refused::Frozen { since }.into());
    }
    let requester = identity::active_user(tx.db(), &UserRef::Id(approval.requester)).await?.ok_or(Refused::GrantRevoked)?;
    let today = today(tx, parts, &approval, &requester, bot).await?;
    let trusted = store::still_trusted(tx.db(), approval.id).await?;
    match (&approval.state, &approval.break_glass) {
        (State::Approved(_), _) if !approval.requirement.is_met(approval.requester, approval.asked, &trusted) => {
            return Err(Refused::GrantRevoked.into());
        }
        (State::Approved(decision), _) => satisfied(&approval, &today, decision, &trusted)?,
        (State::Opened { .. }, Some(glass)) => openable(&today, glass)?,
        _ => return Err(Refused::GrantOtherAction.into()),
    }
    let bound_to = approval.bound_to.map(b64u);
    if !store::redeem(tx, grant, proven.map(|proven| proven.text), now).await? {
        return Err(Refused::GrantRedeemed { at: now }.into());
    }
    let mut data = json!({"approval": approval.id, "action_sha256": b64u(action_sha256)});
    if let Some(jkt) = bound_to {
        data["jkt"] = json!(jkt);
    }
    let entry = Entry { kind: "grant.redeemed", actor, subject: grant.to_string(), data };
    parts.journal.append(tx, now, entry).await?;
    crate::crash_point!("grant-redeemed");
    Ok(Redeemed { grant, approval: approval.id, at: now })
}

/// What today's policies and teams demand of the same request; what does not depend on who approved is judged here.
async fn today(
    tx: &mut Tx<'_>,
    parts: &Parts,
    approval: &Approval,
    requester: &User,
    redeemer: BotId,
) -> Result<Requirement, Error> {
    let set = parts.policies.current(tx.db()).await?;
    // Whoever asked may have lost the right to since; a call that was under way when its bot was revoked comes here too.
    for asked in [approval.bot, redeemer] {
        if identity::known_bot(tx.db(), asked).await?.revoked_at.is_some() {
            return Err(Refused::GrantRevoked.into());
        }
    }
    let bot = identity::known_bot(tx.db(), approval.bot).await?;
    let facts = Facts { action: &approval.action, bot: bot.name.as_str(), origin: approval.origin.as_ref() };
    let (mut require, reference) = demands(&set, &facts).map_err(|why| match why {
        Undemanded::Unmatched => changed("none matches this action any more".to_owned()),
        unclear @ Undemanded::Unclear { .. } => changed(unclear.to_string()),
    })?;
    // The bot may have asked for less time, and so for the next group earlier.
    require.expires_in = require.expires_in.min(approval.requirement.window_seconds);
    let today = resolve(tx.db(), &require, reference, requester, approval.created_at).await?.requirement;
    let executor = if require.executor.is_some() { today.executor } else { Some(approval.bot) };
    if executor != Some(redeemer) {
        return Err(changed(format!("{} names another bot to redeem it", today.policy.name)));
    }
    if today.bound_grant && approval.bound_to.is_none() {
        return Err(changed(format!("{} asks for a grant that is bound to a key", today.policy.name)));
    }
    Ok(today)
}

/// Whether the approvals by those who are still trusted would have been enough for today's demands.
fn satisfied(approval: &Approval, today: &Requirement, decision: &Decision, trusted: &[Given]) -> Result<(), Error> {
    let name = &today.policy.name;
    if today.delay_seconds > approval.requirement.delay_seconds {
        return Err(changed(format!("{name} asks for a longer delay")));
    }
    // Only groups that would have been asked by then, and no more than were, may be what is enough.
    let waited =
        approval.created_at.until(decision.at).saturating_sub(Duration::from_secs(approval.requirement.delay_seconds.into()));
    let asked = 1 + usize::try_from(waited.as_secs() / u64::from(today.window_seconds.max(1))).unwrap_or(usize::MAX - 1);
    let asked = asked.min(approval.asked);
    if today.is_met(approval.requester, asked, trusted) {
        return Ok(());
    }
    if today.policy == approval.requirement.policy {
        return Err(Refused::GrantMembershipChanged(name.clone()).into());
    }
    Err(changed(format!("{name} asks for more than was given")))
}

/// Whether the glass could be broken today, after no longer a wait.
fn openable(today: &Requirement, glass: &BreakGlass) -> Result<(), Error> {
    let name = &today.policy.name;
    if !today.break_glass {
        return Err(changed(format!("{name} forbids break-glass")));
    }
    if today.delay() > glass.at.until(glass.until) {
        return Err(changed(format!("{name} asks for a longer delay")));
    }
    Ok(())
}

fn changed(why: String) -> Error {
    Refused::GrantPolicyChanged(why).into()
}
