//! Inside the transaction: what a request, an answer, a deadline and a redemption change, and what follows from it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::break_glass;
use super::code::{self, Tried};
use super::fatigue::{self, Budgets};
use super::limits;
use super::machine::{Approval, Effect, Event, State, Verdict, VerifiedAnswer};
use super::policies::{Policies, demands, resolve};
use super::policy::{BUILTIN, Factor, Facts, SignedWith};
use super::refused::{Error, Refused};
use super::service::{Answer, Ask, Proof};
use super::store::{self, Found, StoredAnswer, StoredChallenge, StoredGrant};
use crate::clock::Timestamp;
use crate::db::{self, Tx};
use crate::delivery::{Content, Delivery, Notice, Words};
use crate::hub::Hub;
use crate::id::{ApprovalId, DeviceId, GrantId, UserId};
use crate::identity::chat::messages;
use crate::identity::{self, About, Bot, Credential, Heard, UserRef, WebauthnRefusal};
use crate::jobs::{Kind, Queue};
use crate::journal::{Actor, Entry, Journal};
use crate::push::Category;
use crate::secret::{MasterKey, b64u, random};
use crate::text::{line, visible};

/// The parts of [`Approvals`] that go into a transaction.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) journal: Journal,
    pub(super) queue: Queue,
    pub(super) delivery: Delivery,
    pub(super) hub: Hub,
    pub(super) policies: Arc<Policies>,
    pub(super) master: MasterKey,
    pub(super) budgets: Budgets,
}

/// Who asks, and in which line of chat.
pub(super) struct Asking {
    pub(super) bot: Bot,
    pub(super) heard: Option<Box<Heard>>,
}

/// Takes a request under the id `made`; which one it is, and whether the code serves.
pub(super) async fn request(
    tx: &mut Tx<'_>,
    parts: &Parts,
    Asking { bot, heard }: &Asking,
    made: ApprovalId,
    ask: Ask,
    code_sealed: Vec<u8>,
    now: Timestamp,
) -> Result<(ApprovalId, bool), Error> {
    let approval = required(tx, parts, bot, made, ask, now).await?;
    let serves = approval.requirement.factor <= Factor::Code;
    store::insert(tx, &approval, serves.then_some(code_sealed)).await?;
    let mut data = json!({
        "requester": approval.requester, "action": approval.action, "action_sha256": b64u(approval.action.sha256()),
        "policy": approval.requirement.policy, "expires_at": approval.expires_at, "reason": approval.reason,
    });
    if !approval.requirement.delegations.is_empty() {
        data["delegations"] = json!(approval.requirement.delegations);
    }
    if let Some(heard) = heard {
        data["origin"] = heard.facts();
        messages::asked(tx, bot.id, heard, About::Approval(approval.id), now).await?;
    } else if let Some(origin) = &approval.origin {
        data["origin"] = json!(origin);
    }
    let actor = Actor::Bot { bot: bot.id, user: Some(approval.requester) };
    let entry = Entry { kind: "approval.requested", actor, subject: approval.id.to_string(), data };
    parts.journal.append(tx, now, entry).await?;
    let mut asked = Vec::new();
    for effect in approval.requested() {
        match effect {
            Effect::NotifyUsers(users) => asked.extend(users),
            other => perform(tx, parts, &approval, other, &By { actor, device: None, origin: None }, now).await?,
        }
    }
    // Last, for it locks people, and refuses what nobody would hear of.
    fatigue::ask_first(tx, parts, &approval, &asked).await?;
    crate::crash_point!("approval-written");
    Ok((approval.id, serves))
}

/// The approval that a request becomes under today's policies.
async fn required(
    tx: &mut Tx<'_>,
    parts: &Parts,
    bot: &Bot,
    id: ApprovalId,
    ask: Ask,
    now: Timestamp,
) -> Result<Approval, Error> {
    let requester = identity::person_meant(tx.db(), &ask.requester).await?.map_err(Refused::RequesterUnknown)?;
    limits::within(tx.db(), bot, &requester, (&ask.action, ask.origin.as_ref())).await?;
    let set = parts.policies.current(tx.db()).await?;
    let facts = Facts { action: &ask.action, bot: bot.name.as_str(), origin: ask.origin.as_ref() };
    let (mut require, reference) = demands(&set, &facts).map_err(Refused::Undemanded)?;
    let builtin = reference.name == BUILTIN;
    if ask.expires_in.is_some() && require.groups.len() > 1 {
        // Less time for each group would be an earlier turn for the next.
        return Err(Refused::TimeIsThePolicys(reference.name).into());
    }
    // The bot may ask for less time than the policy gives, never for more.
    let longest = if builtin { ask.expires_in.unwrap_or(300) } else { ask.expires_in.unwrap_or(u32::MAX) };
    require.expires_in = require.expires_in.min(longest);
    let resolved = resolve(tx.db(), &require, reference, &requester, now).await?;
    if let Some(why) = resolved.unreachable(tx.db(), &require, &requester).await? {
        return Err(if builtin {
            Refused::RequesterHasNoPasskey(requester.full_name()).into()
        } else {
            Refused::ApproversUnreachable(format!("policy {}: {why}", resolved.requirement.policy.name)).into()
        });
    }
    let requirement = resolved.requirement;
    if requirement.bound_grant && ask.bound_to.is_none() {
        return Err(Refused::BindingRequired(requirement.policy.name).into());
    }
    Ok(Approval {
        id,
        tag: draw_tag(),
        bot: bot.id,
        requester: requester.id,
        action: ask.action,
        reason: ask.reason,
        origin: ask.origin,
        created_at: now,
        expires_at: now.after(requirement.answer_time()).after(requirement.delay()),
        requirement,
        asked: 1,
        given: Vec::new(),
        bound_to: ask.bound_to,
        break_glass: None,
        state: State::Pending,
    })
}

/// Four characters that are told apart at a glance.
fn draw_tag() -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    random::<4>().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).iter().collect()
}

/// A signature that was checked.
pub(super) struct Signed {
    pub(super) key: SignedWith,
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

/// What became of an answer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Decided {
    /// It was taken, now or before.
    Answered,
    /// Its code was not the one. That is kept, so it is no error of the transaction.
    CodeWrong {
        /// How many more the approval bears.
        left: u32,
    },
}

pub(super) async fn decide(tx: &mut Tx<'_>, parts: &Parts, deciding: Deciding) -> Result<Decided, Error> {
    let Deciding { id, approver, device, actor, ref offered, ref answer, ref signed, now } = deciding;
    let found = store::lock(tx, id).await?.ok_or_else(|| Refused::NotFound(id.to_string()))?;
    let Found { approval, frozen_at, .. } = found;
    trusted(tx, approver, device, signed.key, now).await?;
    if let Some(before) = store::find_answer(tx.db(), answer.challenge).await? {
        // The reply was lost and the phone asks again, or somebody sends another answer to the same challenge.
        same_answer(&before, answer)?;
        return Ok(Decided::Answered);
    }
    approval.open(now)?;
    unfrozen(offered.verdict, frozen_at)?;
    if now >= offered.expires_at {
        return Err(Refused::ChallengeExpired.into());
    }
    if offered.used {
        return Err(Refused::ChallengeUsed.into());
    }
    let verified = VerifiedAnswer::checked(approver, signed.key, offered.factor, offered.verdict, answer.reason.clone());
    // Asked before the code is compared: an answer that counts for nothing is no way to guess.
    approval.clone().step(Event::Answered(verified.clone()), now)?;
    if let Some(left) = wrong_code(tx, parts, &approval, &deciding).await? {
        return Ok(Decided::CodeWrong { left });
    }
    if offered.verdict != Verdict::Approve {
        // What follows from it locks them; here, before the passkey's row, as everywhere.
        if offered.verdict == Verdict::Report {
            fatigue::lock_bot(tx, approval.bot).await?;
        }
        fatigue::lock(tx, &[approver]).await?;
    }
    keep(tx, &approval, &deciding).await?;
    let reported = (offered.verdict == Verdict::Report).then(|| approval.clone());
    apply(tx, parts, approval, Event::Answered(verified), &By { actor, device: Some(device), origin: None }, now).await?;
    if let Some(approval) = reported {
        fatigue::reported(tx, parts, &approval, (approver, actor), now).await?;
    }
    crate::crash_point!("answer-written");
    Ok(Decided::Answered)
}

/// Nothing, unless somebody would approve what is frozen. Denying always works.
pub(super) fn unfrozen(verdict: Verdict, frozen_at: Option<Timestamp>) -> Result<(), Refused> {
    match frozen_at {
        Some(since) if verdict == Verdict::Approve => Err(Refused::Frozen { since }),
        _ => Ok(()),
    }
}

/// Compares the code, where the answer has one; how many more tries there are when it is not the one.
async fn wrong_code(tx: &mut Tx<'_>, parts: &Parts, approval: &Approval, deciding: &Deciding) -> Result<Option<u32>, Error> {
    let Proof::Device { code: Some(code), .. } = &deciding.answer.proof else { return Ok(None) };
    let (approver, now) = (deciding.approver, deciding.now);
    let Tried::Wrong { left } = code::attempt(tx, &parts.master, approval, approver, code, now).await? else { return Ok(None) };
    let data = json!({"by": approver, "tries_left": left});
    let entry = Entry { kind: "approval.code_wrong", actor: deciding.actor, subject: approval.id.to_string(), data };
    parts.journal.append(tx, now, entry).await?;
    crate::crash_point!("code-counted");
    Ok(Some(left))
}

/// Uses the challenge up, keeps the answer as evidence, and what was learnt about the passkey.
async fn keep(tx: &mut Tx<'_>, approval: &Approval, deciding: &Deciding) -> Result<(), Error> {
    let Deciding { id, approver, device, offered, answer, signed, now, .. } = deciding;
    if !store::use_challenge(tx, answer.challenge, *now).await? {
        return Err(Refused::ChallengeUsed.into());
    }
    let stored = StoredAnswer {
        challenge: answer.challenge,
        approval: *id,
        approver: *approver,
        device: *device,
        key: signed.key,
        verdict: offered.verdict,
        factor: offered.factor,
        reason: answer.reason.clone(),
        statement: &offered.statement,
        credential: &answer.proof.evidence(),
    };
    store::insert_answer(tx, &stored, *now).await?;
    if let SignedWith::Passkey(passkey) = signed.key {
        // Another answer of this passkey may have come in between: the counter must still rise.
        if !identity::passkey_used(tx, passkey, signed.updated.as_ref(), *now).await? {
            return Err(Refused::Webauthn(WebauthnRefusal::SignatureInvalid("its counter did not rise")).into());
        }
    }
    if offered.factor == Factor::Passkey && offered.verdict == Verdict::Approve && approval.requirement.factor <= Factor::Code {
        store::clear_code_failures(tx, *approver).await?;
    }
    Ok(())
}

/// Looked up again under the lock: the right to answer must hold now, not when the signature was checked.
async fn trusted(tx: &mut Tx<'_>, approver: UserId, device: DeviceId, key: SignedWith, now: Timestamp) -> Result<(), Error> {
    let known = identity::active_device(tx.db(), device).await?.is_some()
        && identity::active_user(tx.db(), &UserRef::Id(approver)).await?.is_some();
    let usable = match key {
        SignedWith::Passkey(passkey) => {
            identity::usable_passkeys(tx.db(), approver, now).await?.iter().any(|usable| usable.id == passkey)
        }
        SignedWith::Device(signer) => signer == device,
    };
    if known && usable { Ok(()) } else { Err(Refused::Webauthn(WebauthnRefusal::PasskeyUnknown).into()) }
}

/// Nothing, when the answer kept for a challenge is this one, sent again.
pub(super) fn same_answer(before: &Value, answer: &Answer) -> Result<(), Refused> {
    if *before == answer.proof.evidence() { Ok(()) } else { Err(Refused::ChallengeUsed) }
}

/// Who made a change, and on which device.
pub(super) struct By {
    pub(super) actor: Actor,
    pub(super) device: Option<DeviceId>,
    /// Where in chat it was said.
    pub(super) origin: Option<Value>,
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
    let before = approval.clone();
    let (approval, effects) = approval.step(event, now)?;
    if approval != before {
        if !store::save(tx, &approval).await? {
            return Err(db::Error::inconsistent("approvals", approval.id, "decided under its lock").into());
        }
        if let Some(given) = approval.given.get(before.given.len()).filter(|_| approval.is_open()) {
            fatigue::gave(tx, parts, approval.id, given.by, now).await?;
        }
        for (kind, mut data) in recorded(&before, &approval) {
            if let Some(origin) = &by.origin {
                data["origin"] = origin.clone();
            }
            let entry = Entry { kind, actor: by.actor, subject: approval.id.to_string(), data };
            parts.journal.append(tx, now, entry).await?;
        }
    }
    for effect in effects {
        perform(tx, parts, &approval, effect, by, now).await?;
    }
    Ok(())
}

/// What the journal is told of a step.
fn recorded(before: &Approval, after: &Approval) -> Vec<(&'static str, Value)> {
    let mut entries = Vec::new();
    if let Some(given) = after.given.get(before.given.len()).filter(|_| after.is_open()) {
        entries.push(("approval.answered", json!(given)));
    }
    if after.asked > before.asked {
        entries.push((
            "approval.asked",
            json!({"group": after.asked, "approvers": after.approvers(), "expires_at": after.expires_at}),
        ));
    }
    entries.extend(match &after.state {
        State::Pending => None,
        State::Holding { until } => (before.state == State::Pending).then(|| ("approval.held", json!({"until": until}))),
        State::BreakingGlass { until } => after.break_glass.as_ref().map(|glass| {
            (
                "approval.break_glass",
                json!({"reason": glass.reason, "until": until, "told": glass.told, "expires_at": after.expires_at}),
            )
        }),
        State::Opened { .. } => Some(("approval.approved", json!({"break_glass": true}))),
        State::Approved(decision) => Some(("approval.approved", json!({"by": decision.by, "given": after.given}))),
        State::Denied(decision) if decision.verdict == Verdict::Report => {
            Some(("approval.denied", json!({"by": decision.by, "reason": decision.reason, "reported": true})))
        }
        State::Denied(decision) => Some(("approval.denied", json!({"by": decision.by, "reason": decision.reason}))),
        State::Expired { .. } => Some(("approval.expired", json!({}))),
        State::Cancelled { frozen: true, .. } => Some(("approval.cancelled", json!({"frozen": true}))),
        State::Cancelled { .. } => Some(("approval.cancelled", json!({}))),
    });
    entries
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
        Effect::NotifyUsers(users) => fatigue::ask_next(tx, parts, approval, &users).await?,
        Effect::TellOfBreakGlass(users) => {
            fatigue::tell(tx, parts, approval, &users).await?;
            for user in users {
                parts.delivery.notify(tx, break_glass::alarm(approval, user), now).await?;
            }
        }
        Effect::WakeAt(at) => parts.queue.enqueue(tx, Kind::ApprovalDeadline, approval.id.0, at).await?,
        Effect::IssueGrant { expires_at } => {
            let grant = StoredGrant {
                id: GrantId::new(now),
                approval: approval.id,
                bot: approval.requirement.executor.unwrap_or(approval.bot),
                issued_at: now,
                expires_at,
                redeemed_at: None,
                redeem_proof: None,
            };
            store::insert_grant(tx, &grant).await?;
            crate::crash_point!("grant-issued");
        }
        Effect::TellBot => {
            let (hub, id): (Hub, Uuid) = (parts.hub.clone(), approval.id.0);
            tx.after_commit(move || hub.wake(id));
        }
        Effect::Withdraw => {
            fatigue::ended(tx, parts, approval, now).await?;
            let content = taken_off(tx, approval).await?;
            parts.delivery.withdraw(tx, approval.id.0, by.device, &content, now).await?;
        }
    }
    Ok(())
}

/// The push says only that something waits: what it is, is read over TLS after unlocking.
pub(super) fn doorbell(approval: &Approval, user: UserId) -> Notice {
    let words = Words { title: "Approval needed".into(), body: format!("Request {}: open to read and answer", approval.tag) };
    Notice {
        user,
        subject: approval.id.0,
        round: 1,
        content: Content { full: Some(named(approval)), ..content(approval, Category::Approval, words) },
        expires_at: approval.expires_at,
        replaces: None,
    }
}

/// What it is about, for where the settings let that travel.
fn named(approval: &Approval) -> Words {
    let reason = approval.reason.as_deref().map(|reason| format!(": {}", line(reason, 300))).unwrap_or_default();
    Words {
        title: format!("{} → {}", visible(&approval.action.kind), visible(&approval.action.target)),
        body: format!("Request {}{reason}", approval.tag),
    }
}

async fn taken_off(tx: &mut Tx<'_>, approval: &Approval) -> Result<Content, Error> {
    let title = match &approval.state {
        State::Approved(decision) | State::Denied(decision) => {
            format!("Answered by {}", identity::known_user(tx.db(), decision.by).await?.name.as_str())
        }
        State::Opened { .. } => "Opened by break-glass".to_owned(),
        State::Cancelled { frozen: true, .. } => "Cancelled: somebody reported the bot".to_owned(),
        State::Cancelled { .. } => "Cancelled".to_owned(),
        State::Pending | State::Holding { .. } | State::BreakingGlass { .. } | State::Expired { .. } => "Expired".to_owned(),
    };
    let words = Words { title, body: format!("Request {}: nothing left to do", approval.tag) };
    Ok(content(approval, Category::Answered, words))
}

pub(super) fn content(approval: &Approval, category: Category, words: Words) -> Content {
    Content {
        category,
        high: category == Category::Approval,
        words,
        full: None,
        path: format!("/a/{}", approval.id),
        subject: approval.id.to_string(),
        reference: None,
    }
}
