//! The SQL of registrations, notifications and attempts.

use uuid::Uuid;

use super::{Content, Notice};
use crate::clock::Timestamp;
use crate::db::{self, Db, FromRow, Json, Result, Row, Sql, Tx, among};
use crate::id::{AttemptId, DeviceId, NotificationId, UserId};

pub(super) async fn register(tx: &mut Tx<'_>, device: DeviceId, sealed: &[u8], now: Timestamp) -> Result<()> {
    tx.query(
        "insert into push_registrations (device_id, address_sealed, registered_at) values ($1, $2, $3)
         on conflict (device_id) do update set address_sealed = $2, registered_at = $3, retired_at = null",
    )
    .bind(device)
    .bind(sealed)
    .bind(now)
    .execute()
    .await?;
    Ok(())
}

/// Retires the registration that was tried, and no other: what a device registers anew is sealed anew, even when it is the same.
pub(super) async fn retire(tx: &mut Tx<'_>, device: DeviceId, tried: &[u8], now: Timestamp) -> Result<()> {
    tx.query("update push_registrations set retired_at = $3 where device_id = $1 and address_sealed = $2 and retired_at is null")
        .bind(device)
        .bind(tried)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// The devices of a person that a push can be sent to.
pub(super) async fn reachable(db: &mut Db<'_>, user: UserId) -> Result<Vec<DeviceId>> {
    db.query(
        "select devices.id from devices
         join users on users.id = devices.user_id
         join push_registrations on push_registrations.device_id = devices.id
         where devices.user_id = $1 and users.removed_at is null and devices.revoked_at is null
           and push_registrations.retired_at is null
         order by devices.enrolled_at",
    )
    .bind(user)
    .all()
    .await
}

pub(super) async fn insert_notification(tx: &mut Tx<'_>, id: NotificationId, notice: &Notice, now: Timestamp) -> Result<()> {
    tx.query(
        "insert into notifications (id, user_id, subject_id, round, content, created_at, expires_at, replaces_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id)
    .bind(notice.user)
    .bind(notice.subject)
    .bind(notice.round)
    .bind(Json(&notice.content))
    .bind(now)
    .bind(notice.expires_at)
    .bind(notice.replaces)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn insert_attempt(
    tx: &mut Tx<'_>,
    id: AttemptId,
    notification: NotificationId,
    device: DeviceId,
    now: Timestamp,
) -> Result<()> {
    tx.query("insert into attempts (id, notification_id, device_id, state, created_at) values ($1, $2, $3, 'waiting', $4)")
        .bind(id)
        .bind(notification)
        .bind(device)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// An attempt that waits to be sent, with all that sending takes.
pub(super) struct Due {
    pub(super) notification: NotificationId,
    pub(super) device: DeviceId,
    pub(super) round: i64,
    pub(super) content: Content,
    pub(super) expires_at: Timestamp,
    pub(super) withdrawn: bool,
    pub(super) replaces: Option<NotificationId>,
    pub(super) address: Option<Address>,
}

/// How a device is reached, as it is stored.
pub(super) struct Address {
    pub(super) sealed: Vec<u8>,
    pub(super) registered_at: Timestamp,
}

impl FromRow for Due {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let sealed: Option<Vec<u8>> = row.get("address_sealed")?;
        let registered_at: Option<Timestamp> = row.get("registered_at")?;
        Ok(Self {
            notification: row.get("notification_id")?,
            device: row.get("device_id")?,
            round: row.get("round")?,
            content: row.get::<Json<Content>>("content")?.0,
            expires_at: row.get("expires_at")?,
            withdrawn: row.get::<Option<Timestamp>>("withdrawn_at")?.is_some(),
            replaces: row.get("replaces_id")?,
            address: sealed.zip(registered_at).map(|(sealed, registered_at)| Address { sealed, registered_at }),
        })
    }
}

pub(super) async fn find_due(db: &mut Db<'_>, attempt: AttemptId) -> Result<Option<Due>> {
    db.query(
        "select notification_id, attempts.device_id, round, content, expires_at, withdrawn_at, replaces_id, address_sealed,
             registered_at
         from attempts
         join notifications on notifications.id = attempts.notification_id
         join devices on devices.id = attempts.device_id
         left join push_registrations on push_registrations.device_id = attempts.device_id
              and push_registrations.retired_at is null and devices.revoked_at is null
         where attempts.id = $1 and attempts.state = 'waiting'",
    )
    .bind(attempt)
    .optional()
    .await
}

pub(super) async fn finish_attempt(
    tx: &mut Tx<'_>,
    id: AttemptId,
    state: &'static str,
    detail: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    tx.query("update attempts set state = $2, detail = $3, finished_at = $4 where id = $1 and state = 'waiting'")
        .bind(id)
        .bind(state)
        .bind(detail.map(str::to_owned))
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// Nothing more is sent about `subject`.
pub(super) async fn withdraw(tx: &mut Tx<'_>, subject: uuid::Uuid, now: Timestamp) -> Result<()> {
    tx.query("update notifications set withdrawn_at = $2 where subject_id = $1 and withdrawn_at is null")
        .bind(subject)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// The newest notification about a subject that a device may be showing.
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

/// Where a subject may be on a screen: one row a device, for the newest round it was sent. An attempt that is still waiting
/// may have been sent already by a worker that has not said so.
///
/// The newest is picked here: as a correlated query PostgreSQL took seconds for it under load.
pub(super) async fn shown(db: &mut Db<'_>, subject: uuid::Uuid) -> Result<Vec<Shown>> {
    let sent: Vec<Shown> = db
        .query(
            "select notifications.user_id, attempts.device_id, notifications.round,
                 coalesce(notifications.replaces_id, notifications.id) as notification_id
             from notifications join attempts on attempts.notification_id = notifications.id
             where notifications.subject_id = $1 and attempts.state in ('accepted', 'waiting')
             order by notifications.round, attempts.id",
        )
        .bind(subject)
        .all()
        .await?;
    let mut newest = std::collections::BTreeMap::<DeviceId, Vec<Shown>>::new();
    for shown in sent {
        let rows = newest.entry(shown.device).or_default();
        rows.retain(|row| row.round == shown.round && row.notification != shown.notification);
        rows.push(shown);
    }
    Ok(newest.into_values().flatten().collect())
}

// The token that says to a push service who sends.

/// A provider token, as it is stored.
pub(super) struct StoredToken {
    pub(super) sealed: Vec<u8>,
    pub(super) minted_at: Timestamp,
}

impl FromRow for StoredToken {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { sealed: row.get("token_sealed")?, minted_at: row.get("minted_at")? })
    }
}

/// Makes the row, if there is none.
pub(super) async fn insert_provider_token(tx: &mut Tx<'_>, name: &str, token: &StoredToken) -> Result<()> {
    tx.query(
        "insert into provider_tokens (name, token_sealed, minted_at) values ($1, $2, $3)
         on conflict (name) do nothing",
    )
    .bind(name)
    .bind(token.sealed.as_slice())
    .bind(token.minted_at)
    .execute()
    .await?;
    Ok(())
}

/// The row as it is now, which stays as it is until this transaction ends.
pub(super) async fn lock_provider_token(tx: &mut Tx<'_>, name: &str) -> Result<StoredToken> {
    tx.query(Sql::either(
        "select token_sealed, minted_at from provider_tokens where name = $1",
        "select token_sealed, minted_at from provider_tokens where name = $1 for update",
    ))
    .bind(name)
    .one()
    .await
}

pub(super) async fn replace_provider_token(tx: &mut Tx<'_>, name: &str, token: &StoredToken) -> Result<()> {
    tx.query("update provider_tokens set token_sealed = $2, minted_at = $3 where name = $1")
        .bind(name)
        .bind(token.sealed.as_slice())
        .bind(token.minted_at)
        .execute()
        .await?;
    Ok(())
}

// Forgetting.

/// Forgets what was told about these subjects.
///
/// # Errors
/// Storage errors.
pub async fn forget_about(tx: &mut Tx<'_>, subjects: &[Uuid]) -> Result<()> {
    let notifications: Vec<Uuid> =
        tx.query(among!("select id from notifications where subject_id in")).bind(db::ids(subjects)).all().await?;
    forget(tx, &notifications).await
}

/// Forgets some notifications of before then that no phone is tried with any more; how many.
///
/// # Errors
/// Storage errors.
pub async fn forget_before(tx: &mut Tx<'_>, before: Timestamp) -> Result<u64> {
    let notifications: Vec<Uuid> = tx
        .query(Sql::either(
            "select id from notifications where expires_at < $1 and not exists
                 (select 1 from attempts where notification_id = notifications.id and state = 'waiting') order by expires_at limit 200",
            // Another node may be at it too.
            "select id from notifications where expires_at < $1 and not exists
                 (select 1 from attempts where notification_id = notifications.id and state = 'waiting') order by expires_at limit 200
             for update skip locked",
        ))
        .bind(before)
        .all()
        .await?;
    forget(tx, &notifications).await?;
    Ok(notifications.len() as u64)
}

async fn forget(tx: &mut Tx<'_>, notifications: &[Uuid]) -> Result<()> {
    if notifications.is_empty() {
        return Ok(());
    }
    for sql in [
        among!("delete from attempts where notification_id in"),
        // What replaces one that is forgotten is shown by itself.
        among!("update notifications set replaces_id = null where replaces_id in"),
        among!("delete from notifications where id in"),
    ] {
        tx.query(sql).bind(db::ids(notifications)).execute().await?;
    }
    Ok(())
}
