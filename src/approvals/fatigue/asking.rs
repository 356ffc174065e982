//! Inside the transaction: who is rung for a request, and what may ring once another is over.
//!
//! Locks are taken in this order: the approval, people by their ids, doorbells by their people.

use serde_json::json;

use super::store::{self, Doorbell, Fact};
use super::{Bell, WINDOW, decide, nobody_rings};
use crate::approvals::deciding::{Parts, doorbell};
use crate::approvals::refused::{Error, Refused};
use crate::approvals::{Approval, State};
use crate::clock::Timestamp;
use crate::db::{self, Tx};
use crate::id::{ApprovalId, UserId};
use crate::jobs::Kind;
use crate::journal::{Actor, Entry};

/// What is decided of people's doorbells, and when.
struct Judged {
    bells: Vec<Doorbell>,
    at: Timestamp,
    frozen_at: Option<Timestamp>,
}

impl Judged {
    fn bells(&self) -> Vec<(UserId, Bell)> {
        self.bells.iter().map(|doorbell| (doorbell.user, doorbell.bell)).collect()
    }

    fn rung(&self) -> impl Iterator<Item = (UserId, (i64, i64))> {
        self.bells.iter().filter_map(|doorbell| Some((doorbell.user, doorbell.numbers?)))
    }
}

/// Asks those who are first asked for a new request: rings, or lets it wait in their inbox.
///
/// # Errors
/// [`Refused::Frozen`], or [`Refused::NobodyRings`] when nobody is rung and nothing open covers it.
pub(in crate::approvals) async fn ask_first(
    tx: &mut Tx<'_>,
    parts: &Parts,
    approval: &Approval,
    users: &[UserId],
) -> Result<(), Error> {
    let judged = judge(tx, parts, approval, users).await?;
    if let Some(since) = judged.frozen_at {
        return Err(Refused::Frozen { since }.into());
    }
    if let Some(refused) = nobody_rings(&judged.bells(), judged.at) {
        return Err(refused.into());
    }
    Ok(write(tx, parts, approval, &judged).await?)
}

/// Asks the next group of a request that waits: whoever may not be rung finds it in their inbox.
pub(in crate::approvals) async fn ask_next(
    tx: &mut Tx<'_>,
    parts: &Parts,
    approval: &Approval,
    users: &[UserId],
) -> db::Result<()> {
    let judged = judge(tx, parts, approval, users).await?;
    write(tx, parts, approval, &judged).await
}

/// Puts a request whose glass was broken into the inbox of everybody who is told of that. The alarm itself is not a ring.
pub(in crate::approvals) async fn tell(tx: &mut Tx<'_>, parts: &Parts, approval: &Approval, users: &[UserId]) -> db::Result<()> {
    store::lock(tx, users).await?;
    store::reopen(tx, approval, users, parts.delivery.clock.now()).await
}

/// Locks the people, and decides. The time is taken under the lock: rings of one person are in its order.
async fn judge(tx: &mut Tx<'_>, parts: &Parts, approval: &Approval, users: &[UserId]) -> db::Result<Judged> {
    let people: Vec<_> = users.iter().copied().chain([approval.requester]).collect();
    store::lock(tx, &people).await?;
    judge_locked(tx, parts, approval, users).await
}

async fn judge_locked(tx: &mut Tx<'_>, parts: &Parts, approval: &Approval, users: &[UserId]) -> db::Result<Judged> {
    let now = parts.delivery.clock.now();
    let facts = store::facts(tx, approval, users, now.before(WINDOW)).await?;
    // Another node's clock may be ahead.
    let rings = facts.iter().flat_map(|fact| [fact.last, fact.last_caused]).flatten();
    let at = rings.map(|ring| ring.at).fold(now, Timestamp::max);
    let frozen_at = facts.iter().find_map(|fact| fact.frozen_at);
    let known: Vec<_> = facts.iter().map(Fact::known).collect();
    let caused = facts.first().map(Fact::caused).unwrap_or_default();
    let bells = decide(&known, caused, parts.budgets, at);
    let mut last_caused = facts.first().and_then(|fact| fact.last_caused).map_or(0, |ring| ring.number);
    let numbered = |(fact, (user, bell)): (&Fact, (UserId, Bell))| {
        let numbers = (bell == Bell::Ring).then(|| {
            last_caused += 1;
            (fact.last.map_or(0, |ring| ring.number) + 1, last_caused)
        });
        Doorbell { user, bell, numbers }
    };
    Ok(Judged { bells: facts.iter().zip(bells).map(numbered).collect(), at, frozen_at })
}

/// Writes the doorbells, rings those that ring, and records those that do not.
async fn write(tx: &mut Tx<'_>, parts: &Parts, approval: &Approval, judged: &Judged) -> db::Result<()> {
    let Judged { bells, at, .. } = judged;
    store::insert(tx, approval, bells, *at).await?;
    for (user, _) in judged.rung() {
        parts.delivery.notify(tx, doorbell(approval, user), *at).await?;
    }
    let folded: Vec<_> = bells.iter().filter_map(fold).collect();
    let quiet: Vec<_> = bells.iter().filter_map(quiet).collect();
    if !folded.is_empty() {
        // Whoever is just ending the open one does not see this yet.
        parts.queue.enqueue(tx, Kind::ApprovalBell, approval.id.0, *at).await?;
    }
    if folded.is_empty() && quiet.is_empty() {
        return Ok(());
    }
    let data = json!({"folded": folded, "quiet": quiet});
    let entry = Entry { kind: "approval.not_rung", actor: Actor::System, subject: approval.id.to_string(), data };
    parts.journal.append(tx, *at, entry).await
}

fn fold(doorbell: &Doorbell) -> Option<serde_json::Value> {
    let Bell::Fold(open) = doorbell.bell else { return None };
    Some(json!({"approver": doorbell.user, "into": open}))
}

fn quiet(doorbell: &Doorbell) -> Option<serde_json::Value> {
    let Bell::Quiet(why, until) = doorbell.bell else { return None };
    Some(json!({"approver": doorbell.user, "why": why, "until": until}))
}

/// A person has approved, and others are still asked: the next that is alike may ring at them.
pub(in crate::approvals) async fn gave(
    tx: &mut Tx<'_>,
    parts: &Parts,
    approval: ApprovalId,
    by: UserId,
    now: Timestamp,
) -> db::Result<()> {
    for next in store::approved(tx, approval, by, now).await? {
        parts.queue.enqueue(tx, Kind::ApprovalBell, next.0, now).await?;
    }
    Ok(())
}

/// An approval has ended. Unless it was denied, the next that is alike may ring, in a transaction of its own: people are locked before
/// doorbells.
pub(in crate::approvals) async fn ended(tx: &mut Tx<'_>, parts: &Parts, approval: &Approval, now: Timestamp) -> db::Result<()> {
    let decided = approval.state.decision().map(|decision| {
        let verdict = if matches!(approval.state, State::Denied(_)) { "deny" } else { "approve" };
        (decision.by, verdict)
    });
    let denied_by = decided.filter(|(_, verdict)| *verdict == "deny").map(|(by, _)| by);
    let mut at = now;
    if let Some(by) = denied_by {
        // Whoever is just asking the same person rings before this, or sees it.
        store::lock(tx, &[by]).await?;
        at = at.max(parts.delivery.clock.now());
    }
    let freed = store::end(tx, approval.id, decided, at).await?;
    if denied_by.is_some() {
        return Ok(());
    }
    for next in freed {
        parts.queue.enqueue(tx, Kind::ApprovalBell, next.0, now).await?;
    }
    Ok(())
}

/// A request that was to ring was over before its turn came: the next that is alike may, unless that was because somebody said no.
pub(in crate::approvals) async fn pass_on(tx: &mut Tx<'_>, parts: &Parts, approval: &Approval, now: Timestamp) -> db::Result<()> {
    if matches!(approval.state, State::Denied(_)) {
        return Ok(());
    }
    for next in store::next_alike(tx.db(), approval.id).await? {
        parts.queue.enqueue(tx, Kind::ApprovalBell, next.0, now).await?;
    }
    Ok(())
}

/// Rings for a request that was folded into another, at those where nothing stands against it any more. It is locked, and open.
pub(in crate::approvals) async fn ring_folded(tx: &mut Tx<'_>, parts: &Parts, approval: &Approval) -> db::Result<()> {
    let folded = store::folded(tx.db(), approval.id).await?;
    if folded.is_empty() {
        return Ok(());
    }
    let people: Vec<_> = folded.iter().copied().chain([approval.requester]).collect();
    store::lock(tx, &people).await?;
    store::wait_for_open(tx, approval, &folded).await?;
    // Again, for somebody may have denied before they were locked.
    let folded = store::folded(tx.db(), approval.id).await?;
    let judged = judge_locked(tx, parts, approval, &folded).await?;
    let rung: Vec<_> = judged.rung().collect();
    if rung.is_empty() || judged.frozen_at.is_some() {
        return Ok(());
    }
    for (user, numbers) in &rung {
        store::ring(tx, approval, *user, *numbers, judged.at).await?;
        parts.delivery.notify(tx, doorbell(approval, *user), judged.at).await?;
    }
    let data = json!({"approvers": rung.iter().map(|(user, _)| user).collect::<Vec<_>>()});
    let entry = Entry { kind: "approval.rung", actor: Actor::System, subject: approval.id.to_string(), data };
    parts.journal.append(tx, judged.at, entry).await?;
    crate::crash_point!("folded-rung");
    Ok(())
}
