//! The SQL of approvals, challenges, answers and grants.

use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::machine::{Approval, BreakGlass, Decision, State, Verdict};
use super::policy::{Factor, Given, Requirement, SignedWith};
use super::{Action, Origin};
use crate::clock::Timestamp;
use crate::db::{self, Db, Error, FromRow, Json, Result, Row, Sql, Tx, among};
use crate::id::{ApprovalId, BotId, ChallengeId, DeviceId, GrantId, PasskeyId, UserId};

impl FromRow for Approval {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: ApprovalId = row.get("id")?;
        Ok(Self {
            id,
            tag: row.get("tag")?,
            bot: row.get("bot_id")?,
            requester: row.get("requester_id")?,
            action: row.get::<Json<Action>>("action")?.0,
            reason: row.get("reason")?,
            origin: row.get::<Option<Json<Origin>>>("origin")?.map(|Json(origin)| origin),
            requirement: row.get::<Json<Requirement>>("requirement")?.0,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            bound_to: row.get("bound_jkt")?,
            asked: row.get::<u32>("asked")? as usize,
            given: row.get::<Json<Vec<Given>>>("given")?.0,
            state: state(row, id)?,
            break_glass: break_glass(row)?,
        })
    }
}

fn break_glass(row: &Row<'_>) -> Result<Option<BreakGlass>> {
    Ok(row.get::<Option<Json<BreakGlass>>>("break_glass")?.map(|Json(glass)| glass))
}

fn state(row: &Row<'_>, id: ApprovalId) -> Result<State> {
    let word: String = row.get("state")?;
    let (at, by): (Option<Timestamp>, Option<UserId>) = (row.get("decided_at")?, row.get("decided_by")?);
    let decision = |by, at| -> Result<Decision> {
        let verdict = self::word("approvals", id, row.get("decision_verdict")?)?;
        Ok(Decision { by, at, verdict, reason: row.get("decision_reason")? })
    };
    let holds_until: Option<Timestamp> = row.get("holds_until")?;
    let glass = break_glass(row)?;
    Ok(match (word.as_str(), at, by) {
        ("pending", None, None) => match (holds_until, glass) {
            (None, None) => State::Pending,
            (Some(until), None) => State::Holding { until },
            (None, Some(BreakGlass { until, .. })) => State::BreakingGlass { until },
            (Some(_), Some(_)) => return Err(Error::inconsistent("approvals", id, "it is held, and the glass is broken")),
        },
        ("approved", Some(at), None) if glass.is_some() => State::Opened { at },
        ("approved", Some(at), Some(by)) => State::Approved(decision(by, at)?),
        ("denied", Some(at), Some(by)) => State::Denied(decision(by, at)?),
        ("expired", Some(at), None) => State::Expired { at },
        ("cancelled", Some(at), None) => State::Cancelled { at, frozen: row.get::<Option<String>>("cancelled_why")?.is_some() },
        _ => return Err(Error::inconsistent("approvals", id, format!("state {word} does not fit its columns"))),
    })
}

/// `code_sealed` is the code that the requester's side is shown, where one serves.
pub(super) async fn insert(tx: &mut Tx<'_>, approval: &Approval, code_sealed: Option<Vec<u8>>) -> Result<()> {
    tx.query(
        "insert into approvals (id, tag, bot_id, requester_id, action, action_sha256, reason, origin, requirement, state,
             created_at, expires_at, code_sealed, bound_jkt)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10, $11, $12, $13)",
    )
    .bind(approval.id)
    .bind(&approval.tag)
    .bind(approval.bot)
    .bind(approval.requester)
    .bind(Json(&approval.action))
    .bind(approval.action.sha256())
    .bind(approval.reason.clone())
    .bind(crate::db::Value::Json(approval.origin.as_ref().and_then(|origin| serde_json::to_value(origin).ok())))
    .bind(Json(&approval.requirement))
    .bind(approval.created_at)
    .bind(approval.expires_at)
    .bind(code_sealed)
    .bind(approval.bound_to)
    .execute()
    .await?;
    Ok(())
}

/// An approval with what is known of it elsewhere.
pub(super) struct Found {
    pub(super) approval: Approval,
    /// The open request alike that it was folded into, when nobody was rung for it.
    pub(super) folded_into: Option<ApprovalId>,
    /// Since when nothing that its bot asks for its requester is approved.
    pub(super) frozen_at: Option<Timestamp>,
}

impl FromRow for Found {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (folded_into, frozen_at) = (row.get("folded_into")?, row.get("frozen_at")?);
        Ok(Self { approval: Approval::from_row(row)?, folded_into, frozen_at })
    }
}

/// Approvals with what [`Found`] has, as the rest of the statement says.
macro_rules! found {
    ($rest:literal) => {
        concat!(
            "select approvals.*,
                 (select folded_into from doorbells where approval_id = approvals.id and folded_into is not null
                      and not exists (select 1 from doorbells as rung where rung.approval_id = approvals.id
                          and rung.rung_at is not null) order by user_id limit 1) as folded_into,
                 (select min(frozen_at) from freezes where freezes.bot_id = approvals.bot_id and lifted_at is null
                      and (freezes.requester_id is null or freezes.requester_id = approvals.requester_id)) as frozen_at
             from approvals ",
            $rest
        )
    };
}

pub(super) async fn find(db: &mut Db<'_>, id: ApprovalId) -> Result<Option<Found>> {
    db.query(found!("where id = $1")).bind(id).optional().await
}

/// The approval, locked until the transaction ends: deciders come one after the other. Whoever only refers to it, as a request that is
/// folded into it does while it holds people, does not wait for them.
/// The newest request of a bot with that tag.
pub(super) async fn tagged(db: &mut Db<'_>, bot: BotId, tag: &str) -> Result<Option<ApprovalId>> {
    db.query("select id from approvals where bot_id = $1 and tag = $2 order by id desc limit 1")
        .bind(bot)
        .bind(tag)
        .optional()
        .await
}

pub(super) async fn lock(tx: &mut Tx<'_>, id: ApprovalId) -> Result<Option<Found>> {
    tx.query(Sql::either(found!("where id = $1"), found!("where id = $1 for no key update"))).bind(id).optional().await
}

/// Saves what has become of an approval that was pending; `false` when somebody decided first, which the lock should make impossible.
pub(super) async fn save(tx: &mut Tx<'_>, approval: &Approval) -> Result<bool> {
    let (word, at, decision) = match &approval.state {
        State::Pending | State::Holding { .. } | State::BreakingGlass { .. } => ("pending", None, None),
        State::Opened { at } => ("approved", Some(*at), None),
        State::Approved(decision) => ("approved", Some(decision.at), Some(decision)),
        State::Denied(decision) => ("denied", Some(decision.at), Some(decision)),
        State::Expired { at } => ("expired", Some(*at), None),
        State::Cancelled { at, .. } => ("cancelled", Some(*at), None),
    };
    let cancelled_why = matches!(approval.state, State::Cancelled { frozen: true, .. }).then_some("frozen");
    let holds_until = if let State::Holding { until } = approval.state { Some(until) } else { None };
    let rows = tx
        .query(
            "update approvals set state = $2, decided_at = $3, decided_by = $4, decision_reason = $5, decision_verdict = $6,
                 given = $7, asked = $8, holds_until = $9, expires_at = $10, cancelled_why = $11, break_glass = $12
             where id = $1 and state = 'pending'",
        )
        .bind(approval.id)
        .bind(word)
        .bind(at)
        .bind(decision.map(|decision| decision.by))
        .bind(decision.and_then(|decision| decision.reason.clone()))
        .bind(decision.map(|decision| decision.verdict.as_str()))
        .bind(Json(&approval.given))
        .bind(u32::try_from(approval.asked).unwrap_or(u32::MAX))
        .bind(holds_until)
        .bind(approval.expires_at)
        .bind(cancelled_why)
        .bind(crate::db::Value::Json(approval.break_glass.as_ref().and_then(|glass| serde_json::to_value(glass).ok())))
        .execute()
        .await?;
    Ok(rows == 1)
}

/// Every request that is not decided yet, held ones among them: they are pending with a time in `holds_until`.
pub(super) async fn undecided(db: &mut Db<'_>) -> Result<Vec<ApprovalId>> {
    db.query("select id from approvals where state = 'pending' order by created_at").all().await
}

const FORGETTABLE: Sql = Sql::either(
    "select id from approvals where decided_at < $1 order by decided_at limit 100",
    // Another node may be at it too.
    "select id from approvals where decided_at < $1 order by decided_at limit 100 for update skip locked",
);

/// Forgets some approvals that were decided before then, with all that belongs to them; which they were.
///
/// # Errors
/// Storage errors.
pub async fn forget_before(tx: &mut Tx<'_>, before: Timestamp) -> Result<Vec<Uuid>> {
    let ids: Vec<Uuid> = tx.query(FORGETTABLE).bind(before).all().await?;
    if ids.is_empty() {
        return Ok(ids);
    }
    for sql in [
        among!("delete from doorbells where approval_id in"),
        among!("delete from answers where approval_id in"),
        among!("delete from challenges where approval_id in"),
        among!("delete from grants where approval_id in"),
        among!("delete from approvals where id in"),
    ] {
        tx.query(sql).bind(db::ids(&ids)).execute().await?;
    }
    Ok(ids)
}

/// What waits for a person, the most urgent (first to expire) first: also what is held with their approval, which they can still deny.
pub(super) async fn waiting_for(db: &mut Db<'_>, user: UserId, now: Timestamp, limit: u32) -> Result<Vec<Found>> {
    db.query(found!(
        "where id in (select approval_id from doorbells where user_id = $1 and over_at is null
                 union select held.id from approvals as held where held.state = 'pending' and held.holds_until is not null
                     and exists (select 1 from doorbells where approval_id = held.id and user_id = $1 and verdict = 'approve'))
             and state = 'pending' and expires_at > $2 order by expires_at, id limit $3"
    ))
    .bind(user)
    .bind(now)
    .bind(limit)
    .all()
    .await
}

// Codes.

/// The code of an approval, sealed, and how often a wrong one was compared with it.
pub(super) struct StoredCode {
    pub(super) sealed: Option<Vec<u8>>,
    pub(super) tries: u32,
}

impl FromRow for StoredCode {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { sealed: row.get("code_sealed")?, tries: row.get("code_tries")? })
    }
}

/// The code of an approval whose row is locked.
pub(super) async fn find_code(db: &mut Db<'_>, approval: ApprovalId) -> Result<StoredCode> {
    db.query("select code_sealed, code_tries from approvals where id = $1").bind(approval).one().await
}

/// Wrong codes of one person in a row.
#[derive(Clone, Copy)]
pub(super) struct CodeFailures {
    pub(super) failures: u32,
    pub(super) failed_at: Timestamp,
}

impl FromRow for CodeFailures {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { failures: row.get("failures")?, failed_at: row.get("failed_at")? })
    }
}

/// A person's wrong codes, locked: whoever guesses at several approvals at once is counted one after the other.
pub(super) async fn lock_code_failures(tx: &mut Tx<'_>, user: UserId, now: Timestamp) -> Result<CodeFailures> {
    // One statement: between two, somebody's right code could take the row away.
    tx.query(
        "insert into code_failures (user_id, failures, failed_at) values ($1, 0, $2)
         on conflict (user_id) do update set failures = code_failures.failures returning failures, failed_at",
    )
    .bind(user)
    .bind(now)
    .one()
    .await
}

/// Counts a wrong code, for the approval and for the person.
pub(super) async fn count_wrong_code(tx: &mut Tx<'_>, approval: ApprovalId, user: UserId, now: Timestamp) -> Result<()> {
    tx.query("update approvals set code_tries = code_tries + 1 where id = $1").bind(approval).execute().await?;
    tx.query("update code_failures set failures = failures + 1, failed_at = $2 where user_id = $1")
        .bind(user)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// Forgets a person's wrong codes: they have shown who they are.
pub(super) async fn clear_code_failures(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    tx.query("delete from code_failures where user_id = $1").bind(user).execute().await?;
    Ok(())
}

// Challenges.

pub(super) struct StoredChallenge {
    pub(super) approver: UserId,
    pub(super) approval: ApprovalId,
    pub(super) verdict: Verdict,
    pub(super) factor: Factor,
    pub(super) statement: String,
    /// What webauthn-rs keeps meanwhile; only with a passkey.
    pub(super) ceremony: Option<Value>,
    pub(super) expires_at: Timestamp,
    pub(super) used: bool,
}

impl FromRow for StoredChallenge {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: ChallengeId = row.get("id")?;
        Ok(Self {
            approver: row.get("approver_id")?,
            approval: row.get("approval_id")?,
            verdict: word("challenges", id, row.get("verdict")?)?,
            factor: word("challenges", id, row.get("factor")?)?,
            statement: row.get("statement")?,
            ceremony: row.get::<Option<Json<Value>>>("ceremony")?.map(|Json(ceremony)| ceremony),
            expires_at: row.get("expires_at")?,
            used: row.get::<Option<Timestamp>>("used_at")?.is_some(),
        })
    }
}

fn word<T: DeserializeOwned>(table: &'static str, id: impl std::fmt::Display, text: String) -> Result<T> {
    serde_json::from_value(Value::String(text)).map_err(|error| Error::inconsistent(table, id, error))
}

pub(super) async fn insert_challenge(tx: &mut Tx<'_>, id: ChallengeId, challenge: &StoredChallenge) -> Result<()> {
    tx.query(
        "insert into challenges (id, approval_id, approver_id, verdict, statement, ceremony, expires_at, factor)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id)
    .bind(challenge.approval)
    .bind(challenge.approver)
    .bind(challenge.verdict.as_str())
    .bind(&challenge.statement)
    .bind(crate::db::Value::Json(challenge.ceremony.clone()))
    .bind(challenge.expires_at)
    .bind(challenge.factor.as_str())
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn find_challenge(db: &mut Db<'_>, id: ChallengeId) -> Result<Option<StoredChallenge>> {
    db.query("select * from challenges where id = $1").bind(id).optional().await
}

/// Uses a challenge up; `false` when it was used before.
pub(super) async fn use_challenge(tx: &mut Tx<'_>, id: ChallengeId, now: Timestamp) -> Result<bool> {
    let rows =
        tx.query("update challenges set used_at = $2 where id = $1 and used_at is null").bind(id).bind(now).execute().await?;
    Ok(rows == 1)
}

// Answers.

/// An answer as evidence.
pub(super) struct StoredAnswer<'a> {
    pub(super) challenge: ChallengeId,
    pub(super) approval: ApprovalId,
    pub(super) approver: UserId,
    pub(super) device: DeviceId,
    pub(super) key: SignedWith,
    pub(super) verdict: Verdict,
    pub(super) factor: Factor,
    pub(super) reason: Option<String>,
    pub(super) statement: &'a str,
    /// The passkey's assertion, or the device key's JWS as a JSON text.
    pub(super) credential: &'a Value,
}

pub(super) async fn insert_answer(tx: &mut Tx<'_>, answer: &StoredAnswer<'_>, now: Timestamp) -> Result<()> {
    let passkey = if let SignedWith::Passkey(passkey) = answer.key { Some(passkey) } else { None };
    tx.query(
        "insert into answers (challenge_id, approval_id, approver_id, device_id, passkey_id, verdict, factor, reason, statement,
             credential, answered_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(answer.challenge)
    .bind(answer.approval)
    .bind(answer.approver)
    .bind(answer.device)
    .bind(passkey)
    .bind(answer.verdict.as_str())
    .bind(answer.factor.as_str())
    .bind(answer.reason.clone())
    .bind(answer.statement)
    .bind(Json(answer.credential))
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// What was answered to a challenge: the credential as it was sent.
pub(super) async fn find_answer(db: &mut Db<'_>, challenge: ChallengeId) -> Result<Option<Value>> {
    let found =
        db.query("select credential from answers where challenge_id = $1").bind(challenge).optional::<Json<Value>>().await?;
    Ok(found.map(|Json(credential)| credential))
}

// Grants.

pub(super) struct StoredGrant {
    pub(super) id: GrantId,
    pub(super) approval: ApprovalId,
    pub(super) bot: BotId,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) redeemed_at: Option<Timestamp>,
    /// The proof it was redeemed with, where it is bound to a key.
    pub(super) redeem_proof: Option<String>,
}

impl FromRow for StoredGrant {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            approval: row.get("approval_id")?,
            bot: row.get("bot_id")?,
            issued_at: row.get("issued_at")?,
            expires_at: row.get("expires_at")?,
            redeemed_at: row.get("redeemed_at")?,
            redeem_proof: row.get("redeem_proof")?,
        })
    }
}

pub(super) async fn insert_grant(tx: &mut Tx<'_>, grant: &StoredGrant) -> Result<()> {
    tx.query("insert into grants (id, approval_id, bot_id, issued_at, expires_at) values ($1, $2, $3, $4, $5)")
        .bind(grant.id)
        .bind(grant.approval)
        .bind(grant.bot)
        .bind(grant.issued_at)
        .bind(grant.expires_at)
        .execute()
        .await?;
    Ok(())
}

pub(super) async fn find_grant(db: &mut Db<'_>, approval: ApprovalId) -> Result<Option<StoredGrant>> {
    db.query("select * from grants where approval_id = $1").bind(approval).optional().await
}

/// Ends every grant that was not redeemed.
pub(super) async fn void_grants(tx: &mut Tx<'_>, now: Timestamp) -> Result<Vec<GrantId>> {
    tx.query("update grants set expires_at = $1 where redeemed_at is null and expires_at > $1 returning id").bind(now).all().await
}

/// The grant, locked: redeemers come one after the other.
pub(super) async fn lock_grant(tx: &mut Tx<'_>, id: GrantId) -> Result<Option<StoredGrant>> {
    tx.query(Sql::either("select * from grants where id = $1", "select * from grants where id = $1 for update"))
        .bind(id)
        .optional()
        .await
}

/// Uses a grant up; `false` when it was redeemed before.
pub(super) async fn redeem(tx: &mut Tx<'_>, id: GrantId, proof: Option<String>, now: Timestamp) -> Result<bool> {
    let rows = tx
        .query("update grants set redeemed_at = $2, redeem_proof = $3 where id = $1 and redeemed_at is null")
        .bind(id)
        .bind(now)
        .bind(proof)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// One approval whose person, device and key are still trusted.
struct Trusted(Given);

impl FromRow for Trusted {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (challenge, device): (ChallengeId, DeviceId) = (row.get("challenge_id")?, row.get("device_id")?);
        let passkey: Option<PasskeyId> = row.get("passkey_id")?;
        Ok(Self(Given {
            by: row.get("approver_id")?,
            key: passkey.map_or(SignedWith::Device(device), SignedWith::Passkey),
            factor: word("answers", challenge, row.get("factor")?)?,
            at: row.get("answered_at")?,
        }))
    }
}

/// The approvals given to `approval` by people, devices and passkeys that are all still trusted.
pub(super) async fn still_trusted(db: &mut Db<'_>, approval: ApprovalId) -> Result<Vec<Given>> {
    let trusted = db
        .query(
            "select answers.challenge_id, answers.approver_id, answers.device_id, answers.passkey_id, answers.factor,
                 answers.answered_at
             from answers
             join users on users.id = answers.approver_id
             join devices on devices.id = answers.device_id
             left join passkeys on passkeys.id = answers.passkey_id
             left join devices as home on home.id = passkeys.device_id
             where answers.approval_id = $1 and answers.verdict = 'approve' and users.removed_at is null
               and devices.revoked_at is null and passkeys.revoked_at is null and home.revoked_at is null
             order by answers.answered_at",
        )
        .bind(approval)
        .all::<Trusted>()
        .await?;
    Ok(trusted.into_iter().map(|Trusted(given)| given).collect())
}
