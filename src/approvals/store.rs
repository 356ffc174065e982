//! The SQL of approvals, challenges, answers and grants.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::machine::{Approval, Decision, Requirement, State, Verdict};
use super::{Action, Origin};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Json, Result, Row, Sql, Tx};
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
            state: state(row, id)?,
        })
    }
}

fn state(row: &Row<'_>, id: ApprovalId) -> Result<State> {
    let word: String = row.get("state")?;
    let (at, by): (Option<Timestamp>, Option<UserId>) = (row.get("decided_at")?, row.get("decided_by")?);
    let decision = |by, at| -> Result<Decision> { Ok(Decision { by, at, reason: row.get("decision_reason")? }) };
    Ok(match (word.as_str(), at, by) {
        ("pending", None, None) => State::Pending,
        ("approved", Some(at), Some(by)) => State::Approved(decision(by, at)?),
        ("denied", Some(at), Some(by)) => State::Denied(decision(by, at)?),
        ("expired", Some(at), None) => State::Expired { at },
        ("cancelled", Some(at), None) => State::Cancelled { at },
        _ => return Err(Error::inconsistent("approvals", id, format!("state {word} does not fit its columns"))),
    })
}

pub(super) async fn insert(tx: &mut Tx<'_>, approval: &Approval) -> Result<()> {
    tx.query(
        "insert into approvals (id, tag, bot_id, requester_id, action, action_sha256, reason, origin, requirement, state,
             created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10, $11)",
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
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn find(db: &mut Db<'_>, id: ApprovalId) -> Result<Option<Approval>> {
    db.query("select * from approvals where id = $1").bind(id).optional().await
}

/// The approval, locked until the transaction ends: deciders come one after the other.
pub(super) async fn lock(tx: &mut Tx<'_>, id: ApprovalId) -> Result<Option<Approval>> {
    tx.query(Sql::either("select * from approvals where id = $1", "select * from approvals where id = $1 for update"))
        .bind(id)
        .optional()
        .await
}

/// Saves the outcome; `false` when somebody decided first, which the lock should make impossible.
pub(super) async fn save_outcome(tx: &mut Tx<'_>, approval: &Approval) -> Result<bool> {
    let (word, at, decision) = match &approval.state {
        State::Pending => return Ok(true),
        State::Approved(decision) => ("approved", decision.at, Some(decision)),
        State::Denied(decision) => ("denied", decision.at, Some(decision)),
        State::Expired { at } => ("expired", *at, None),
        State::Cancelled { at } => ("cancelled", *at, None),
    };
    let rows = tx
        .query(
            "update approvals set state = $2, decided_at = $3, decided_by = $4, decision_reason = $5
             where id = $1 and state = 'pending'",
        )
        .bind(approval.id)
        .bind(word)
        .bind(at)
        .bind(decision.map(|decision| decision.by))
        .bind(decision.and_then(|decision| decision.reason.clone()))
        .execute()
        .await?;
    Ok(rows == 1)
}

/// Every request that waits for an answer.
pub(super) async fn pending(db: &mut Db<'_>) -> Result<Vec<ApprovalId>> {
    db.query("select id from approvals where state = 'pending' order by created_at").all().await
}

/// What waits for a person, the most urgent (first to expire) first. Each requires its requester's own passkey today.
pub(super) async fn waiting_for(db: &mut Db<'_>, user: UserId, now: Timestamp, limit: u32) -> Result<Vec<Approval>> {
    db.query(
        "select * from approvals where requester_id = $1 and state = 'pending' and expires_at > $2
         order by expires_at, id limit $3",
    )
    .bind(user)
    .bind(now)
    .bind(limit)
    .all()
    .await
}

// Challenges.

pub(super) struct StoredChallenge {
    pub(super) approver: UserId,
    pub(super) approval: ApprovalId,
    pub(super) verdict: Verdict,
    pub(super) statement: String,
    pub(super) ceremony: Value,
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
            statement: row.get("statement")?,
            ceremony: row.get::<Json<Value>>("ceremony")?.0,
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
        "insert into challenges (id, approval_id, approver_id, verdict, statement, ceremony, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id)
    .bind(challenge.approval)
    .bind(challenge.approver)
    .bind(challenge.verdict.as_str())
    .bind(&challenge.statement)
    .bind(Json(&challenge.ceremony))
    .bind(challenge.expires_at)
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
    pub(super) passkey: PasskeyId,
    pub(super) verdict: Verdict,
    pub(super) reason: Option<String>,
    pub(super) statement: &'a str,
    pub(super) credential: &'a Value,
}

pub(super) async fn insert_answer(tx: &mut Tx<'_>, answer: &StoredAnswer<'_>, now: Timestamp) -> Result<()> {
    tx.query(
        "insert into answers (challenge_id, approval_id, approver_id, device_id, passkey_id, verdict, reason, statement,
             credential, answered_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(answer.challenge)
    .bind(answer.approval)
    .bind(answer.approver)
    .bind(answer.device)
    .bind(answer.passkey)
    .bind(answer.verdict.as_str())
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
pub(super) async fn redeem(tx: &mut Tx<'_>, id: GrantId, now: Timestamp) -> Result<bool> {
    let rows =
        tx.query("update grants set redeemed_at = $2 where id = $1 and redeemed_at is null").bind(id).bind(now).execute().await?;
    Ok(rows == 1)
}

/// The device and passkey that signed the approval, while both are still trusted.
pub(super) async fn signer_still_trusted(db: &mut Db<'_>, approval: ApprovalId) -> Result<bool> {
    let trusted = db
        .query(
            "select answers.approver_id from answers
             join users on users.id = answers.approver_id
             join devices on devices.id = answers.device_id
             join passkeys on passkeys.id = answers.passkey_id
             where answers.approval_id = $1 and answers.verdict = 'approve' and users.removed_at is null
               and devices.revoked_at is null and passkeys.revoked_at is null",
        )
        .bind(approval)
        .optional::<UserId>()
        .await?;
    Ok(trusted.is_some())
}
