//! The SQL of notifications, of the ways to a person, and of provider tokens.

use uuid::Uuid;

use super::plan::Way;
use super::{Channel, Content, Notice};
use crate::clock::Timestamp;
use crate::db::{self, Db, FromRow, Json, Result, Row, Sql, Tx, among};
use crate::id::{DeviceId, NotificationId, UserId};

impl FromRow for Way {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (device, kind): (DeviceId, String) = (row.get("id")?, row.get("kind")?);
        let unknown = || db::Error::inconsistent("push_registrations", device, format!("unknown kind {kind}"));
        let channel = Channel::parse(&kind).ok_or_else(unknown)?;
        Ok(Self { device: Some(device), channel, since: row.get("registered_at")? })
    }
}

/// A device, and the way to it where a push can be sent to it.
struct MayBeReached {
    device: DeviceId,
    way: Option<Way>,
}

impl FromRow for MayBeReached {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let reached = row.get::<Option<String>>("kind")?.is_some();
        Ok(Self { device: row.get("id")?, way: if reached { Some(Way::from_row(row)?) } else { None } })
    }
}

/// Of so many devices of a person, in the order of their ids behind one of them, those that a push can be sent to; and the last one
/// looked at, when there may be more.
///
/// The devices are counted before it is asked which have a registration: as one join PostgreSQL read all registrations there are to find
/// the first few.
pub(super) async fn reachable(
    db: &mut Db<'_>,
    user: UserId,
    behind: Option<DeviceId>,
    limit: u32,
) -> Result<(Vec<Way>, Option<DeviceId>)> {
    let found: Vec<MayBeReached> = db
        .query(
            "select page.id, push_registrations.kind, push_registrations.registered_at
             from (select id from devices where user_id = $1 and revoked_at is null and id > $2
                       and exists (select 1 from users where users.id = $1 and removed_at is null)
                   order by id limit $3) as page
             left join push_registrations on push_registrations.device_id = page.id and push_registrations.retired_at is null
             order by page.id",
        )
        .bind(user)
        .bind(behind.map_or(Uuid::nil(), |device| device.0))
        .bind(limit)
        .all()
        .await?;
    let more = found.last().filter(|_| found.len() >= limit as usize).map(|last| last.device);
    Ok((found.into_iter().filter_map(|found| found.way).collect(), more))
}

/// Those of some devices of a person that a push can be sent to.
pub(super) async fn reachable_among(db: &mut Db<'_>, user: UserId, devices: &[DeviceId]) -> Result<Vec<Way>> {
    let devices: Vec<_> = devices.iter().map(|device| device.0).collect();
    db.query(Sql::either(
        "select devices.id, push_registrations.kind, push_registrations.registered_at from devices
         join users on users.id = devices.user_id
         join push_registrations on push_registrations.device_id = devices.id
         where devices.user_id = $1 and users.removed_at is null and devices.revoked_at is null
           and push_registrations.retired_at is null and devices.id in (select unhex(value) from json_each($2))
         order by devices.id",
        "select devices.id, push_registrations.kind, push_registrations.registered_at from devices
         join users on users.id = devices.user_id
         join push_registrations on push_registrations.device_id = devices.id
         where devices.user_id = $1 and users.removed_at is null and devices.revoked_at is null
           and push_registrations.retired_at is null and devices.id in (select value::uuid from jsonb_array_elements_text($2))
         order by devices.id",
    ))
    .bind(user)
    .bind(db::ids(&devices))
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
                 and replaces_id is null and content ->> 'category' = 'page'",
        )
        .bind(subject)
        .bind(round)
        .one()
        .await?;
    Ok(reached > 0)
}

pub(super) async fn rung_in(db: &mut Db<'_>, subject: Uuid, round: u32) -> Result<Vec<UserId>> {
    db.query(
        "select distinct user_id from notifications where subject_id = $1 and round = $2 and unreachable_at is null
             and withdrawn_at is null and replaces_id is null and content ->> 'category' = 'page'",
    )
    .bind(subject)
    .bind(round)
    .all()
    .await
}

/// The last round of a subject that paged anybody.
pub(super) async fn last_page(db: &mut Db<'_>, subject: Uuid) -> Result<Option<u32>> {
    let rounds: Vec<u32> = db
        .query(
            "select round from notifications where subject_id = $1 and replaces_id is null and content ->> 'category' = 'page'
             order by round desc limit 1",
        )
        .bind(subject)
        .all()
        .await?;
    Ok(rounds.first().copied())
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

/// When the newest of all was minted.
pub(super) async fn newest_provider_token(db: &mut Db<'_>) -> Result<Option<Timestamp>> {
    db.query("select max(minted_at) from provider_tokens").one().await
}

// Forgetting.

/// Forgets what was told about these subjects.
///
/// # Errors
/// Storage errors.
pub async fn forget_about(tx: &mut Tx<'_>, subjects: &[Uuid]) -> Result<()> {
    let notifications: Vec<Uuid> =
        tx.query(among!("select id from notifications where subject_id in")).bind(db::ids(subjects)).all().await?;
    tx.query(among!("delete from withdrawals where subject_id in")).bind(db::ids(subjects)).execute().await?;
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
