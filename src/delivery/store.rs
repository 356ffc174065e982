//! The SQL of registrations, notifications and attempts.

use uuid::Uuid;

use super::plan::Way;
use super::{Channel, Content, Notice};
use crate::clock::Timestamp;
use crate::db::{self, Db, FromRow, Json, Result, Row, Sql, Tx, among};
use crate::id::{DeviceId, NotificationId, UserId};

pub(super) async fn register(
    tx: &mut Tx<'_>,
    device: DeviceId,
    (kind, sealed): (&'static str, &[u8]),
    now: Timestamp,
) -> Result<()> {
    tx.query(
        "insert into push_registrations (device_id, address_sealed, registered_at, kind) values ($1, $2, $3, $4)
         on conflict (device_id) do update set address_sealed = $2, registered_at = $3, kind = $4, retired_at = null",
    )
    .bind(device)
    .bind(sealed)
    .bind(now)
    .bind(kind)
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

impl FromRow for Way {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (device, kind): (DeviceId, String) = (row.get("id")?, row.get("kind")?);
        let unknown = || db::Error::inconsistent("push_registrations", device, format!("unknown kind {kind}"));
        let channel = Channel::parse(&kind).ok_or_else(unknown)?;
        Ok(Self { device: Some(device), channel, since: row.get("registered_at")? })
    }
}

/// The devices of a person that a push can be sent to, in the order of their ids, behind one of them.
pub(super) async fn reachable(db: &mut Db<'_>, user: UserId, behind: Option<DeviceId>, limit: u32) -> Result<Vec<Way>> {
    db.query(
        "select devices.id, push_registrations.kind, push_registrations.registered_at from devices
         join users on users.id = devices.user_id
         join push_registrations on push_registrations.device_id = devices.id
         where devices.user_id = $1 and users.removed_at is null and devices.revoked_at is null
           and push_registrations.retired_at is null and devices.id > $2
         order by devices.id limit $3",
    )
    .bind(user)
    .bind(behind.map_or(Uuid::nil(), |device| device.0))
    .bind(limit)
    .all()
    .await
}

pub(super) async fn insert_notification(
    tx: &mut Tx<'_>,
    id: NotificationId,
    notice: &Notice,
    fan_out_after: Option<DeviceId>,
    now: Timestamp,
) -> Result<()> {
    tx.query(
        "insert into notifications (id, user_id, subject_id, round, content, created_at, expires_at, replaces_id, fan_out_after)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(id)
    .bind(notice.user)
    .bind(notice.subject)
    .bind(notice.round)
    .bind(Json(&notice.content))
    .bind(now)
    .bind(notice.expires_at)
    .bind(notice.replaces)
    .bind(fan_out_after)
    .execute()
    .await?;
    Ok(())
}

/// A notification whose next step is decided.
pub(super) struct Ringing {
    pub(super) user: UserId,
    pub(super) subject: Uuid,
    pub(super) round: u32,
    pub(super) content: Content,
    pub(super) expires_at: Timestamp,
    pub(super) withdrawn: bool,
    pub(super) unreachable: bool,
    pub(super) fan_out_after: Option<DeviceId>,
}

impl FromRow for Ringing {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let is_set = |column| row.get::<Option<Timestamp>>(column).map(|at| at.is_some());
        Ok(Self {
            user: row.get("user_id")?,
            subject: row.get("subject_id")?,
            round: row.get("round")?,
            content: row.get::<Json<Content>>("content")?.0,
            expires_at: row.get("expires_at")?,
            withdrawn: is_set("withdrawn_at")?,
            unreachable: is_set("unreachable_at")?,
            fan_out_after: row.get("fan_out_after")?,
        })
    }
}

/// A notification, locked until the transaction ends. Whoever writes attempts of it need not wait.
pub(super) async fn lock(tx: &mut Tx<'_>, id: NotificationId) -> Result<Option<Ringing>> {
    tx.query(Sql::either(
        "select * from notifications where id = $1",
        "select * from notifications where id = $1 for no key update",
    ))
    .bind(id)
    .optional()
    .await
}

pub(super) async fn find(db: &mut Db<'_>, id: NotificationId) -> Result<Option<Ringing>> {
    db.query("select * from notifications where id = $1").bind(id).optional().await
}

/// What a person was first told of a round, whose place on the screen what follows takes.
pub(super) async fn first_told(db: &mut Db<'_>, user: UserId, subject: Uuid, round: u32) -> Result<Option<NotificationId>> {
    db.query(
        "select id from notifications where subject_id = $2 and user_id = $1 and round = $3 and replaces_id is null
         order by created_at limit 1",
    )
    .bind(user)
    .bind(subject)
    .bind(round)
    .optional()
    .await
}

/// Remembers that a device said that a push came, at most once in so long.
pub(super) async fn heard(tx: &mut Tx<'_>, device: DeviceId, now: Timestamp, unless_since: Timestamp) -> Result<()> {
    tx.query("update push_registrations set heard_at = $2 where device_id = $1 and (heard_at is null or heard_at < $3)")
        .bind(device)
        .bind(now)
        .bind(unless_since)
        .execute()
        .await?;
    Ok(())
}

/// When one of a person's devices last said that a push came, of those a push can be sent to.
pub(super) struct LastHeard(pub(super) UserId, pub(super) Timestamp);

impl FromRow for LastHeard {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self(row.get("user_id")?, row.get("heard_at")?))
    }
}

pub(super) async fn last_heard(db: &mut Db<'_>, people: &[Uuid]) -> Result<Vec<LastHeard>> {
    db.query(Sql::either(
        "select devices.user_id, max(heard_at) as heard_at from devices
         join push_registrations on push_registrations.device_id = devices.id
         where devices.revoked_at is null and retired_at is null and heard_at is not null
             and devices.user_id in (select unhex(value) from json_each($1))
         group by devices.user_id",
        "select devices.user_id, max(heard_at) as heard_at from devices
         join push_registrations on push_registrations.device_id = devices.id
         where devices.revoked_at is null and retired_at is null and heard_at is not null
             and devices.user_id in (select value::uuid from jsonb_array_elements_text($1))
         group by devices.user_id",
    ))
    .bind(db::ids(people))
    .all()
    .await
}

pub(super) async fn set_unreachable(tx: &mut Tx<'_>, id: NotificationId, now: Timestamp) -> Result<()> {
    tx.query("update notifications set unreachable_at = $2 where id = $1").bind(id).bind(now).execute().await?;
    Ok(())
}

pub(super) async fn set_fan_out(tx: &mut Tx<'_>, id: NotificationId, behind: Option<DeviceId>) -> Result<()> {
    tx.query("update notifications set fan_out_after = $2 where id = $1").bind(id).bind(behind).execute().await?;
    Ok(())
}

/// Whether a round of a subject was told to somebody who may still be reached.
pub(super) async fn may_reach(db: &mut Db<'_>, subject: Uuid, round: u32) -> Result<bool> {
    let reached: i64 = db
        .query(
            "select count(*) from notifications where subject_id = $1 and round = $2 and unreachable_at is null
                 and replaces_id is null",
        )
        .bind(subject)
        .bind(round)
        .one()
        .await?;
    Ok(reached > 0)
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
/// may have been sent already by a worker that has not said so, and one that failed may have come nevertheless.
///
/// The newest is picked here: as a correlated query PostgreSQL took seconds for it under load.
pub(super) async fn shown(db: &mut Db<'_>, subject: uuid::Uuid) -> Result<Vec<Shown>> {
    let sent: Vec<Shown> = db
        .query(
            "select notifications.user_id, attempts.device_id, notifications.round,
                 coalesce(notifications.replaces_id, notifications.id) as notification_id
             from notifications join attempts on attempts.notification_id = notifications.id
             where notifications.subject_id = $1 and (attempts.state in ('accepted', 'waiting') or attempts.received_at is not null)
                 and attempts.device_id is not null
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
