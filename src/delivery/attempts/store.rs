//! The SQL of attempts, which are a queue: whole batches in one statement each.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Address, Told};
use crate::clock::Timestamp;
use crate::db::{self, Db, FromRow, Json, Result, Row, Sql, Tx, among};
use crate::delivery::plan::{Stage, Tried, Way};
use crate::delivery::{Channel, Content, Lane};
use crate::id::{AttemptId, DeviceId, NotificationId, UserId};

const INSERT: Sql = Sql::either(
    "insert into attempts (id, notification_id, device_id, channel, urgency, step, state, created_at, due_at, lease, tries)
     select unhex(value ->> 'id'), $2, unhex(value ->> 'device'), value ->> 'channel', $3, $4, 'waiting', $5, $5, 0, 0
     from json_each($1)",
    "insert into attempts (id, notification_id, device_id, channel, urgency, step, state, created_at, due_at, lease, tries)
     select (value ->> 'id')::uuid, $2::uuid, (value ->> 'device')::uuid, value ->> 'channel', $3::text, $4::bigint, 'waiting',
         $5::bigint, $5::bigint, 0, 0
     from jsonb_array_elements($1)",
);

/// One attempt a way, due now.
pub(in crate::delivery) async fn insert(
    tx: &mut Tx<'_>,
    notification: NotificationId,
    ways: &[Way],
    (urgency, step): (&'static str, u32),
    now: Timestamp,
) -> Result<()> {
    let row = |way: &Way| {
        let device = way.device.map(|device| device.0.simple().to_string());
        json!({"id": AttemptId::new(now).0.simple().to_string(), "device": device, "channel": way.channel})
    };
    let rows: Vec<_> = ways.iter().map(row).collect();
    tx.query(INSERT).bind(Json(rows)).bind(notification).bind(urgency).bind(step).bind(now).execute().await?;
    Ok(())
}

/// The lease of an attempt.
pub(super) struct Leased {
    pub(super) id: AttemptId,
    pub(super) lease: i64,
    /// What the lease was when something was recorded last.
    pub(super) tries: u32,
    /// How often its carrier was asked in vain.
    pub(super) asked: u32,
}

impl FromRow for Leased {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { id: row.get("id")?, lease: row.get("lease")?, tries: row.get("tries")?, asked: row.get("asked")? })
    }
}

/// On PostgreSQL `skip locked` keeps two nodes from winning one row, and the array from exceeding the limit.
const CLAIM: Sql = Sql::either(
    "update attempts set due_at = $2, lease = lease + 1
     where id in (select id from attempts where state = 'waiting' and channel = $3 and urgency = $4 and due_at <= $1
         order by due_at limit $5)
     returning id, lease, tries, asked",
    "update attempts set due_at = $2, lease = lease + 1
     where id = any(array(
         select id from attempts where state = 'waiting' and channel = $3 and urgency = $4 and due_at <= $1
         order by due_at limit $5 for update skip locked))
     returning id, lease, tries, asked",
);

/// Takes the lease of at most `limit` attempts of a lane that are due, the longest due first.
pub(super) async fn claim(
    tx: &mut Tx<'_>,
    lane: Lane,
    (now, lease_ends): (Timestamp, Timestamp),
    limit: u32,
) -> Result<Vec<Leased>> {
    let claimed = tx.query(CLAIM).bind(now).bind(lease_ends).bind(lane.channel.as_str()).bind(lane.urgency()).bind(limit);
    claimed.all().await
}

/// What sending an attempt takes, its notification apart.
pub(super) struct Loaded {
    pub(super) id: AttemptId,
    pub(super) notification: NotificationId,
    pub(super) device: Option<DeviceId>,
    pub(super) step: u32,
    pub(super) created_at: Timestamp,
    pub(super) was_down: bool,
    pub(super) address: Option<Address>,
}

impl FromRow for Loaded {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let sealed: Option<Vec<u8>> = row.get("address_sealed")?;
        let registered_at: Option<Timestamp> = row.get("registered_at")?;
        Ok(Self {
            id: row.get("id")?,
            notification: row.get("notification_id")?,
            device: row.get("device_id")?,
            step: row.get("step")?,
            created_at: row.get("created_at")?,
            was_down: row.get::<Option<Timestamp>>("route_down_at")?.is_some(),
            address: sealed.zip(registered_at).map(|(sealed, registered_at)| Address { sealed, registered_at }),
        })
    }
}

pub(super) async fn load(db: &mut Db<'_>, attempts: &[Uuid]) -> Result<Vec<Loaded>> {
    db.query(among!(
        "select attempts.id, notification_id, attempts.device_id, step, created_at, route_down_at, address_sealed,
             push_registrations.registered_at
         from attempts
         left join devices on devices.id = attempts.device_id
         left join push_registrations on push_registrations.device_id = attempts.device_id
              and push_registrations.kind = attempts.channel
              and push_registrations.retired_at is null and devices.revoked_at is null
         where attempts.id in"
    ))
    .bind(db::ids(attempts))
    .all()
    .await
}

impl FromRow for Told {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        // What makes no sense is its own attempts' failure, not that of all that are sent with them.
        let content = serde_json::from_value::<Content>(row.get::<Json<Value>>("content")?.0);
        Ok(Self {
            id: row.get("id")?,
            user: row.get("user_id")?,
            round: row.get("round")?,
            content: content.map_err(|error| error.to_string()),
            expires_at: row.get("expires_at")?,
            withdrawn: row.get::<Option<Timestamp>>("withdrawn_at")?.is_some(),
            left: row.get::<Option<Timestamp>>("removed_at")?.is_some(),
            replaces: row.get("replaces_id")?,
        })
    }
}

pub(super) async fn told(db: &mut Db<'_>, notifications: &[Uuid]) -> Result<Vec<Told>> {
    db.query(among!(
        "select notifications.id, user_id, round, content, expires_at, withdrawn_at, replaces_id, users.removed_at
         from notifications join users on users.id = notifications.user_id where notifications.id in"
    ))
    .bind(db::ids(notifications))
    .all()
    .await
}

/// What is kept of every try of an attempt.
pub(super) struct Kept {
    /// The registration that was tried.
    pub(super) registered_at: Option<Timestamp>,
    /// Whether it may have come though nobody said so.
    pub(super) unsure: bool,
}

/// How an attempt ended, under its lease.
pub(super) struct Ended {
    pub(super) id: AttemptId,
    pub(super) lease: i64,
    pub(super) state: &'static str,
    pub(super) detail: Option<String>,
    pub(super) made: Kept,
}

const END: Sql = Sql::either(
    "update attempts set state = ended.value ->> 'state', detail = ended.value ->> 'detail', finished_at = $2,
         registered_at = coalesce(ended.value ->> 'registered_at', attempts.registered_at),
         unsure_at = case when ended.value ->> 'unsure' then coalesce(attempts.unsure_at, $2) else attempts.unsure_at end
     from json_each($1) as ended
     where attempts.id = unhex(ended.value ->> 'id') and attempts.lease = ended.value ->> 'lease' and attempts.state = 'waiting'
     returning attempts.id",
    "update attempts set state = ended.value ->> 'state', detail = ended.value ->> 'detail', finished_at = $2,
         registered_at = coalesce((ended.value ->> 'registered_at')::bigint, attempts.registered_at),
         unsure_at = case when (ended.value ->> 'unsure')::boolean then coalesce(attempts.unsure_at, $2) else attempts.unsure_at end
     from jsonb_array_elements($1) as ended
     where attempts.id = (ended.value ->> 'id')::uuid and attempts.lease = (ended.value ->> 'lease')::bigint
         and attempts.state = 'waiting'
     returning attempts.id",
);

/// Ends attempts; those whose lease was still held.
pub(super) async fn end(tx: &mut Tx<'_>, ended: &[Ended], now: Timestamp) -> Result<Vec<AttemptId>> {
    let row = |ended: &Ended| {
        let (id, state) = (ended.id.0.simple().to_string(), ended.state);
        let registered_at = ended.made.registered_at.map(Timestamp::as_micros);
        json!({"id": id, "lease": ended.lease, "state": state, "detail": ended.detail, "registered_at": registered_at,
            "unsure": ended.made.unsure})
    };
    let rows: Vec<_> = ended.iter().map(row).collect();
    tx.query(END).bind(Json(rows)).bind(now).all().await
}

/// When an attempt is tried again, under its lease.
pub(super) struct PutOff {
    pub(super) id: AttemptId,
    pub(super) lease: i64,
    pub(super) tries: u32,
    pub(super) asked: u32,
    pub(super) due_at: Timestamp,
    pub(super) why: String,
    pub(super) down: bool,
    pub(super) made: Kept,
}

const PUT_OFF: Sql = Sql::either(
    "update attempts set due_at = put.value ->> 'due_at', tries = put.value ->> 'tries', detail = put.value ->> 'why',
         asked = put.value ->> 'asked', registered_at = coalesce(put.value ->> 'registered_at', attempts.registered_at),
         unsure_at = case when put.value ->> 'unsure' then coalesce(attempts.unsure_at, $2) else attempts.unsure_at end,
         route_down_at = case when put.value ->> 'down' then coalesce(attempts.route_down_at, $2) end
     from json_each($1) as put
     where attempts.id = unhex(put.value ->> 'id') and attempts.lease = put.value ->> 'lease' and attempts.state = 'waiting'",
    "update attempts set due_at = (put.value ->> 'due_at')::bigint, tries = (put.value ->> 'tries')::bigint,
         detail = put.value ->> 'why', asked = (put.value ->> 'asked')::bigint,
         registered_at = coalesce((put.value ->> 'registered_at')::bigint, attempts.registered_at),
         unsure_at = case when (put.value ->> 'unsure')::boolean then coalesce(attempts.unsure_at, $2) else attempts.unsure_at end,
         route_down_at = case when (put.value ->> 'down')::boolean then coalesce(attempts.route_down_at, $2) end
     from jsonb_array_elements($1) as put
     where attempts.id = (put.value ->> 'id')::uuid and attempts.lease = (put.value ->> 'lease')::bigint
         and attempts.state = 'waiting'",
);

/// Puts attempts off whose lease is still held.
pub(super) async fn put_off(tx: &mut Tx<'_>, put: &[PutOff], now: Timestamp) -> Result<()> {
    let row = |put: &PutOff| {
        json!({"id": put.id.0.simple().to_string(), "lease": put.lease, "tries": put.tries, "asked": put.asked,
            "due_at": put.due_at.as_micros(), "why": put.why, "down": put.down,
            "registered_at": put.made.registered_at.map(Timestamp::as_micros), "unsure": put.made.unsure})
    };
    let rows: Vec<_> = put.iter().map(row).collect();
    tx.query(PUT_OFF).bind(Json(rows)).bind(now).execute().await?;
    Ok(())
}

/// Locks attempts until the transaction ends, always in one order: [`raise`] and two recorders may want the same ones. On `PostgreSQL`.
pub(super) async fn lock(tx: &mut Tx<'_>, attempts: &[Uuid]) -> Result<()> {
    tx.query(
        "select id from attempts where id in (select value::uuid from jsonb_array_elements_text($1)) order by id for update",
    )
    .bind(db::ids(attempts))
    .execute()
    .await?;
    Ok(())
}

/// What still waits for its carrier will be loud.
pub(in crate::delivery) async fn raise(tx: &mut Tx<'_>, notification: NotificationId) -> Result<()> {
    tx.query(Sql::either(
        "update attempts set step = 1 where notification_id = $1 and state = 'waiting'",
        "update attempts set step = 1 where id in
             (select id from attempts where notification_id = $1 and state = 'waiting' order by id for update)",
    ))
    .bind(notification)
    .execute()
    .await?;
    Ok(())
}

impl FromRow for Tried {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (id, channel): (AttemptId, String) = (row.get("id")?, row.get("channel")?);
        let state: String = row.get("state")?;
        let (created_at, finished_at): (Timestamp, Option<Timestamp>) = (row.get("created_at")?, row.get("finished_at")?);
        let at = finished_at.unwrap_or(created_at);
        let down = row.get::<Option<Timestamp>>("route_down_at")?.is_some();
        let stage = match state.as_str() {
            _ if row.get::<Option<Timestamp>>("received_at")?.is_some() => Stage::Received,
            "waiting" if down => Stage::Down,
            "waiting" if row.get::<u32>("asked")? == 0 => Stage::New,
            "waiting" => Stage::Trying(created_at),
            "accepted" => Stage::Accepted(at),
            "failed" => Stage::Failed(at),
            "withdrawn" => Stage::Withdrawn,
            other => return Err(db::Error::inconsistent("attempts", id, format!("unknown state {other}"))),
        };
        let (channel, registered_at) = (parse(id, &channel)?, row.get("registered_at")?);
        Ok(Self { device: row.get("device_id")?, channel, registered_at, step: row.get("step")?, stage })
    }
}

fn parse(id: AttemptId, channel: &str) -> Result<Channel> {
    Channel::parse(channel).ok_or_else(|| db::Error::inconsistent("attempts", id, format!("unknown channel {channel}")))
}

/// Everything that was tried for a notification.
pub(in crate::delivery) async fn tried(db: &mut Db<'_>, notification: NotificationId) -> Result<Vec<Tried>> {
    db.query(
        "select id, device_id, channel, registered_at, step, state, asked, created_at, finished_at, route_down_at, received_at
         from attempts where notification_id = $1",
    )
    .bind(notification)
    .all()
    .await
}

/// When something is due in a lane.
pub(in crate::delivery) async fn next_due(db: &mut Db<'_>, lane: Lane) -> Result<Option<Timestamp>> {
    db.query("select min(due_at) from attempts where state = 'waiting' and channel = $1 and urgency = $2")
        .bind(lane.channel.as_str())
        .bind(lane.urgency())
        .one()
        .await
}

/// How deep a lane is.
pub(in crate::delivery) struct Waiting {
    pub(in crate::delivery) lane: Lane,
    pub(in crate::delivery) count: i64,
    pub(in crate::delivery) oldest: Timestamp,
}

impl FromRow for Waiting {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (channel, urgency): (String, String) = (row.get("channel")?, row.get("urgency")?);
        let lane = Lane::parse(&channel, &urgency);
        let lane = lane.ok_or_else(|| db::Error::Failed(format!("attempts: there is no lane {channel} {urgency}")))?;
        Ok(Self { lane, count: row.get("count")?, oldest: row.get("oldest")? })
    }
}

/// How deep the lanes are that hold anything.
pub(in crate::delivery) async fn waiting(db: &mut Db<'_>) -> Result<Vec<Waiting>> {
    db.query(
        "select channel, urgency, count(*) as count, min(created_at) as oldest from attempts where state = 'waiting'
         group by channel, urgency order by channel, urgency",
    )
    .all()
    .await
}

/// An attempt whose phone has said how far it came, and how often it said so before: the times are those of now.
pub(in crate::delivery) struct Heard {
    pub(in crate::delivery) device: Option<DeviceId>,
    pub(in crate::delivery) channel: String,
    pub(in crate::delivery) urgency: String,
    pub(in crate::delivery) created_at: Timestamp,
    pub(in crate::delivery) received_at: Option<Timestamp>,
    pub(in crate::delivery) displayed_at: Option<Timestamp>,
    pub(in crate::delivery) opened_at: Option<Timestamp>,
}

impl FromRow for Heard {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            device: row.get("device_id")?,
            channel: row.get("channel")?,
            urgency: row.get("urgency")?,
            created_at: row.get("created_at")?,
            received_at: row.get("received_at")?,
            displayed_at: row.get("displayed_at")?,
            opened_at: row.get("opened_at")?,
        })
    }
}

/// Keeps the first time of an event and of those it follows from; none when there is no such attempt since then. `reached` is 1 for
/// received, 2 for displayed, 3 for opened.
pub(in crate::delivery) async fn heard(
    tx: &mut Tx<'_>,
    attempt: AttemptId,
    reached: u32,
    (now, since): (Timestamp, Timestamp),
) -> Result<Option<Heard>> {
    tx.query(
        "update attempts set received_at = coalesce(received_at, $3),
             displayed_at = case when $2 >= 2 then coalesce(displayed_at, $3) else displayed_at end,
             opened_at = case when $2 >= 3 then coalesce(opened_at, $3) else opened_at end
         where id = $1 and created_at >= $4
         returning device_id, channel, urgency, created_at, received_at, displayed_at, opened_at",
    )
    .bind(attempt)
    .bind(reached)
    .bind(now)
    .bind(since)
    .optional()
    .await
}

/// One attempt, as it is shown to whoever asked.
pub(in crate::delivery) struct Seen {
    pub(in crate::delivery) id: AttemptId,
    pub(in crate::delivery) user: UserId,
    pub(in crate::delivery) device: Option<(DeviceId, String)>,
    pub(in crate::delivery) channel: Channel,
    pub(in crate::delivery) round: u32,
    pub(in crate::delivery) step: u32,
    pub(in crate::delivery) state: String,
    pub(in crate::delivery) times: [Option<Timestamp>; 5],
}

impl FromRow for Seen {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (id, channel): (AttemptId, String) = (row.get("id")?, row.get("channel")?);
        let device: Option<DeviceId> = row.get("device_id")?;
        Ok(Self {
            id,
            user: row.get("user_id")?,
            device: device.zip(row.get("name")?),
            channel: parse(id, &channel)?,
            round: row.get("round")?,
            step: row.get("step")?,
            state: row.get("state")?,
            times: [
                row.get("created_at")?,
                row.get("finished_at")?,
                row.get("received_at")?,
                row.get("displayed_at")?,
                row.get("opened_at")?,
            ],
        })
    }
}

/// The newest attempts to tell anybody of a subject, those apart that only took it off a screen.
pub(in crate::delivery) async fn seen(db: &mut Db<'_>, subject: Uuid, limit: u32) -> Result<Vec<Seen>> {
    db.query(
        "select attempts.id, notifications.user_id, attempts.device_id, devices.name, channel, round, step, state,
             attempts.created_at, finished_at, received_at, displayed_at, opened_at
         from notifications join attempts on attempts.notification_id = notifications.id
         left join devices on devices.id = attempts.device_id
         where notifications.subject_id = $1 and notifications.replaces_id is null
         order by attempts.id desc limit $2",
    )
    .bind(subject)
    .bind(limit)
    .all()
    .await
}
