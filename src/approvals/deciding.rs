//! Inside the transaction: what a request, an answer, a deadline and a redemption change, and what follows from it.

use serde_json::{Value, json};
use uuid::Uuid;

use super::grant::builtin_policy;
use super::machine::{Approval, Effect, Event, Factor, Requirement, State, VerifiedAnswer};
use super::service::{Answer, Ask, Error, Redeemed, Refused, open};
use super::store::{self, StoredAnswer, StoredChallenge, StoredGrant};
use crate::clock::Timestamp;
use crate::db::{self, Tx};
use crate::delivery::{Content, Delivery, Notice, Words};
use crate::hub::Hub;
use crate::id::{ApprovalId, BotId, DeviceId, GrantId, UserId};
use crate::identity::{self, Bot, Credential, UserRef, WebauthnRefusal};
use crate::jobs::{Kind, Queue};
use crate::journal::{Actor, Entry, Journal};
use crate::push::Category;
use crate::secret::{b64u, random};

/// The parts of [`Approvals`] that go into a transaction.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) journal: Journal,
    pub(super) queue: Queue,
    pub(super) delivery: Delivery,
    pub(super) hub: Hub,
}

pub(super) async fn request(tx: &mut Tx<'_>, parts: &Parts, bot: &Bot, ask: Ask, now: Timestamp) -> Result<ApprovalId, Error> {
    let unknown = || Refused::RequesterUnknown(ask.requester.to_string());
    let requester = identity::active_user(tx.db(), &ask.requester).await?.ok_or_else(unknown)?;
    if identity::usable_passkey_ids(tx.db(), requester.id).await?.is_empty() {
        return Err(Refused::RequesterHasNoPasskey(requester.full_name()).into());
    }
    let approval = Approval {
        id: ApprovalId::new(now),
        tag: draw_tag(),
        bot: bot.id,
        requester: requester.id,
        action: ask.action,
        reason: ask.reason,
        origin: ask.origin,
        requirement: Requirement { policy: builtin_policy(), factor: Factor::Passkey, approvers: vec![requester.id] },
        created_at: now,
        expires_at: now.after(ask.expires_in),
        state: State::Pending,
    };
    store::insert(tx, &approval).await?;
    let data = json!({
        "requester": approval.requester, "action": approval.action, "action_sha256": b64u(approval.action.sha256()),
        "policy": approval.requirement.policy, "expires_at": approval.expires_at, "reason": approval.reason,
    });
    let actor = Actor::Bot { bot: bot.id, user: Some(requester.id) };
    let entry = Entry { kind: "approval.requested", actor, subject: approval.id.to_string(), data };
    parts.journal.append(tx, now, entry).await?;
    for effect in approval.requested() {
        perform(tx, parts, &approval, effect, &By { actor, device: None }, now).await?;
    }
    crate::crash_point!("approval-written");
    Ok(approval.id)
}

/// Four characters that are told apart at a glance.
fn draw_tag() -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    random::<4>().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).iter().collect()
}

/// A signature that was checked.
pub(super) struct Signed {
    pub(super) passkey: crate::id::PasskeyId,
    pub(super) updated: Option<Credential>,
}

/// A checked answer on its way into the transaction.
pub(super) struct Deciding {
    pub(super) id: ApprovalId,
    pub(super) approver: UserId,
    pub(super) device: DeviceId,
    pub(super) actor: Actor,
    pub(super) offered: StoredChallenge,
    pub(super) answer: Answer,
    pub(super) signed: Signed,
    pub(super) now: Timestamp,
}

pub(super) async fn decide(tx: &mut Tx<'_>, parts: &Parts, deciding: Deciding) -> Result<ApprovalId, Error> {
    let Deciding { id, approver, device, actor, offered, answer, signed, now } = deciding;
    let approval = store::lock(tx, id).await?.ok_or_else(|| Refused::NotFound(id.to_string()))?;
    // Looked up again under the lock: the right to answer must hold now, not when the signature was checked.
    let trusted = identity::active_device(tx.db(), device).await?.is_some()
        && identity::active_user(tx.db(), &UserRef::Id(approver)).await?.is_some();
    let usable = identity::usable_passkey_ids(tx.db(), approver).await?;
    if !trusted || !usable.contains(&signed.passkey) {
        return Err(Refused::Webauthn(WebauthnRefusal::PasskeyUnknown).into());
    }
    if let Some(before) = store::find_answer(tx.db(), answer.challenge).await? {
        // The reply was lost and the phone asks again, or somebody sends another answer to the same challenge.
        same_answer(&before, &answer)?;
        return Ok(id);
    }
    open(&approval, now)?;
    if now >= offered.expires_at {
        return Err(Refused::ChallengeExpired.into());
    }
    if offered.used || !store::use_challenge(tx, answer.challenge, now).await? {
        return Err(Refused::ChallengeUsed.into());
    }
    let stored = StoredAnswer {
        challenge: answer.challenge,
        approval: id,
        approver,
        device,
        passkey: signed.passkey,
        verdict: offered.verdict,
        reason: answer.reason.clone(),
        statement: &offered.statement,
        credential: &answer.credential,
    };
    store::insert_answer(tx, &stored, now).await?;
    if let Some(updated) = &signed.updated {
        // Another answer of this passkey may have come in between: the counter must still rise.
        if !identity::update_credential(tx, signed.passkey, updated).await? {
            return Err(Refused::Webauthn(WebauthnRefusal::SignatureInvalid("its counter did not rise")).into());
        }
    }
    let verified = VerifiedAnswer::checked(approver, offered.verdict, answer.reason);
    apply(tx, parts, approval, Event::Answered(verified), &By { actor, device: Some(device) }, now).await?;
    crate::crash_point!("answer-written");
    Ok(id)
}

/// Nothing, when the answer kept for a challenge is this one, sent again.
pub(super) fn same_answer(before: &Value, answer: &Answer) -> Result<(), Refused> {
    if *before == answer.credential { Ok(()) } else { Err(Refused::ChallengeUsed) }
}

/// Who made a change, and on which device.
pub(super) struct By {
    pub(super) actor: Actor,
    pub(super) device: Option<DeviceId>,
}

/// Steps the machine; saves, records and performs what follows.
pub(super) async fn apply(
    tx: &mut Tx<'_>,
    parts: &Parts,
    approval: Approval,
    event: Event,
    by: &By,
    now: Timestamp,
) -> Result<(), Error> {
    let pending = approval.state == State::Pending;
    let (approval, effects) = approval.step(event, now)?;
    if pending && approval.state != State::Pending {
        if !store::save_outcome(tx, &approval).await? {
            return Err(db::Error::inconsistent("approvals", approval.id, "decided under its lock").into());
        }
        let (kind, data) = recorded(&approval);
        let entry = Entry { kind, actor: by.actor, subject: approval.id.to_string(), data };
        parts.journal.append(tx, now, entry).await?;
    }
    for effect in effects {
        perform(tx, parts, &approval, effect, by, now).await?;
    }
    Ok(())
}

fn recorded(approval: &Approval) -> (&'static str, Value) {
    match &approval.state {
        State::Pending => ("approval.requested", json!({})),
        State::Approved(decision) => ("approval.approved", json!({"by": decision.by})),
        State::Denied(decision) => ("approval.denied", json!({"by": decision.by, "reason": decision.reason})),
        State::Expired { .. } => ("approval.expired", json!({})),
        State::Cancelled { .. } => ("approval.cancelled", json!({})),
    }
}

async fn perform(
    tx: &mut Tx<'_>,
    parts: &Parts,
    approval: &Approval,
    effect: Effect,
    by: &By,
    now: Timestamp,
) -> Result<(), Error> {
    match effect {
        Effect::NotifyUsers(users) => {
            for user in users {
                parts.delivery.notify(tx, doorbell(approval, user), now).await?;
            }
        }
        Effect::WakeAt(at) => parts.queue.enqueue(tx, Kind::ApprovalDeadline, approval.id.0, at).await?,
        Effect::IssueGrant { expires_at } => {
            let grant = StoredGrant {
                id: GrantId::new(now),
                approval: approval.id,
                bot: approval.bot,
                issued_at: now,
                expires_at,
                redeemed_at: None,
            };
            store::insert_grant(tx, &grant).await?;
            crate::crash_point!("grant-issued");
        }
        Effect::TellBot => {
            let (hub, id): (Hub, Uuid) = (parts.hub.clone(), approval.id.0);
            tx.after_commit(move || hub.wake(id));
        }
        Effect::Withdraw => {
            let content = taken_off(tx, approval).await?;
            parts.delivery.withdraw(tx, approval.id.0, by.device, &content, now).await?;
        }
    }
    Ok(())
}

/// The push says only that something waits: what it is, is read over TLS after unlocking.
fn doorbell(approval: &Approval, user: UserId) -> Notice {
    let words = Words { title: "Approval needed".into(), body: format!("Request {}: open to read and answer", approval.tag) };
    Notice {
        user,
        subject: approval.id.0,
        round: 1,
        content: content(approval, Category::Approval, words),
        expires_at: approval.expires_at,
        replaces: None,
    }
}

async fn taken_off(tx: &mut Tx<'_>, approval: &Approval) -> Result<Content, Error> {
    let title = match &approval.state {
        State::Approved(decision) | State::Denied(decision) => {
            format!("Answered by {}", identity::known_user(tx.db(), decision.by).await?.name.as_str())
        }
        State::Cancelled { .. } => "Cancelled".to_owned(),
        State::Pending | State::Expired { .. } => "Expired".to_owned(),
    };
    let words = Words { title, body: format!("Request {}: nothing left to do", approval.tag) };
    Ok(content(approval, Category::Answered, words))
}

fn content(approval: &Approval, category: Category, words: Words) -> Content {
    Content {
        category,
        high: category == Category::Approval,
        words,
        path: format!("/a/{}", approval.id),
        subject: approval.id.to_string(),
        reference: None,
    }
}

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
    let approval = store::find(tx.db(), stored.approval).await?.ok_or(Refused::GrantInvalid)?;
    if approval.action.sha256() != action_sha256 || !matches!(approval.state, State::Approved(_)) {
        return Err(Refused::GrantOtherAction.into());
    }
    let requester = identity::active_user(tx.db(), &UserRef::Id(approval.requester)).await?;
    if requester.is_none() || !store::signer_still_trusted(tx.db(), approval.id).await? {
        return Err(Refused::GrantRevoked.into());
    }
    if !store::redeem(tx, grant, now).await? {
        return Err(Refused::GrantRedeemed { at: now }.into());
    }
    let data = json!({"approval": approval.id, "action_sha256": b64u(action_sha256)});
    let entry = Entry { kind: "grant.redeemed", actor, subject: grant.to_string(), data };
    parts.journal.append(tx, now, entry).await?;
    crate::crash_point!("grant-redeemed");
    Ok(Redeemed { grant, approval: approval.id, at: now })
}
