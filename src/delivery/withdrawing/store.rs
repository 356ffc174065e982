//! The SQL of taking subjects off screens.

use uuid::Uuid;

use super::{Behind, Withdrawal};
use crate::clock::Timestamp;
use crate::db::{Db, FromRow, Json, Result, Row, Sql, Tx};
use crate::delivery::Content;
use crate::id::{DeviceId, NotificationId, UserId};

/// Nothing more is sent about `subject`.
pub(super) async fn withdraw(tx: &mut Tx<'_>, subject: Uuid, now: Timestamp) -> Result<()> {
    tx.query("update notifications set withdrawn_at = $2 where subject_id = $1 and withdrawn_at is null")
        .bind(subject)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// A notification about a subject that a device may be showing.
pub(super) struct Shown {
    pub(super) user: UserId,
    pub(super) device: DeviceId,
    pub(super) notification: NotificationId,
    pub(super) round: u32,
}

impl FromRow for Shown {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            user: row.get("user_id")?,
            device: row.get("device_id")?,
            notification: row.get("notification_id")?,
            round: row.get("round")?,
        })
    }
}

/// Where a subject may be on a screen. An attempt that is still waiting may have been sent already by a worker that has not said so, and
/// one that failed may have come nevertheless, when its phone said so or when nobody knows: only what certainly reached no provider is
/// not shown.
macro_rules! shown {
    ($condition:literal, $tail:literal) => {
        concat!(
            "select notifications.user_id, attempts.device_id, notifications.round, attempts.id,
                 coalesce(notifications.replaces_id, notifications.id) as notification_id
             from notifications join attempts on attempts.notification_id = notifications.id
             where notifications.subject_id = $1
                 and (attempts.state in ('accepted', 'waiting') or attempts.received_at is not null or attempts.unsure_at is not null)
                 and ",
            $condition,
            $tail
        )
    };
}

/// Everything that may be on a screen of a subject, the newest round last: at most so many rows, whichever they are.
pub(super) async fn shown(db: &mut Db<'_>, subject: Uuid, limit: u32) -> Result<Vec<Shown>> {
    const SHOWN: &str =
        concat!("select * from (", shown!("attempts.device_id is not null", " limit $2"), ") as screens order by round, id");
    db.query(SHOWN).bind(subject).bind(limit).all().await
}

/// As [`shown`], of a person's devices behind one of them and up to another, and only what was withdrawn: what rang since stays.
pub(super) async fn shown_between(
    db: &mut Db<'_>,
    (subject, user): (Uuid, UserId),
    behind: Option<DeviceId>,
    last: Option<DeviceId>,
) -> Result<Vec<Shown>> {
    const SHOWN: &str = shown!(
        "notifications.user_id = $2 and notifications.withdrawn_at is not null
             and attempts.device_id > $3 and attempts.device_id <= $4",
        " order by notifications.round, attempts.id"
    );
    db.query(SHOWN)
        .bind(subject)
        .bind(user)
        .bind(behind.map_or(Uuid::nil(), |device| device.0))
        .bind(last.map_or(Uuid::max(), |device| device.0))
        .all()
        .await
}

/// The first person who was told about a subject, behind one.
pub(super) async fn next_told(db: &mut Db<'_>, subject: Uuid, behind: Option<UserId>) -> Result<Option<UserId>> {
    db.query(
        "select user_id from notifications where subject_id = $1 and withdrawn_at is not null and user_id > $2
         order by user_id limit 1",
    )
    .bind(subject)
    .bind(behind.map_or(Uuid::nil(), |user| user.0))
    .optional()
    .await
}

impl FromRow for Withdrawal {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let device = row.get("device_id")?;
        Ok(Self {
            content: row.get::<Json<Content>>("content")?.0,
            answered_on: row.get("answered_on")?,
            expires_at: row.get("expires_at")?,
            at: row.get::<Option<UserId>>("user_id")?.map(|user| Behind { user, device }),
        })
    }
}

/// Begins a withdrawal that takes steps, in the place of one that is under way.
pub(super) async fn save_withdrawal(tx: &mut Tx<'_>, subject: Uuid, withdrawal: &Withdrawal, now: Timestamp) -> Result<()> {
    tx.query(
        "insert into withdrawals (subject_id, content, answered_on, created_at, expires_at) values ($1, $2, $3, $4, $5)
         on conflict (subject_id) do update set content = $2, answered_on = $3, created_at = $4, expires_at = $5,
             user_id = null, device_id = null",
    )
    .bind(subject)
    .bind(Json(&withdrawal.content))
    .bind(withdrawal.answered_on)
    .bind(now)
    .bind(withdrawal.expires_at)
    .execute()
    .await?;
    Ok(())
}

/// A withdrawal, locked until the transaction ends; none when it is done.
pub(super) async fn lock_withdrawal(tx: &mut Tx<'_>, subject: Uuid) -> Result<Option<Withdrawal>> {
    tx.query(Sql::either(
        "select * from withdrawals where subject_id = $1",
        "select * from withdrawals where subject_id = $1 for update",
    ))
    .bind(subject)
    .optional()
    .await
}

pub(super) async fn set_withdrawal(tx: &mut Tx<'_>, subject: Uuid, at: Behind) -> Result<()> {
    tx.query("update withdrawals set user_id = $2, device_id = $3 where subject_id = $1")
        .bind(subject)
        .bind(at.user)
        .bind(at.device)
        .execute()
        .await?;
    Ok(())
}

pub(super) async fn end_withdrawal(tx: &mut Tx<'_>, subject: Uuid) -> Result<()> {
    tx.query("delete from withdrawals where subject_id = $1").bind(subject).execute().await?;
    Ok(())
}
