//! The SQL of devices, of those that wait to become one, and of enrolment codes.

use serde_json::Value;

use super::login::Asked;
use super::{Purpose, Thing, WaitingDevice};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Json, Result, Row, Sql, Tx};
use crate::id::{DeviceChallengeId, DeviceId, EnrollmentId, PasskeyId, UserId};
use crate::identity::call::Person;
use crate::identity::device_key::DeviceKey;
use crate::identity::model::{Device, User};
use crate::identity::store::word;

impl FromRow for Device {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: DeviceId = row.get("id")?;
        let confirmed_with: Option<String> = row.get("confirmed_with")?;
        Ok(Self {
            id,
            user: row.get("user_id")?,
            name: row.get("name")?,
            platform: word("devices", id, row.get("platform")?)?,
            key: DeviceKey::from_sec1(&row.get::<Vec<u8>>("public_key")?)
                .map_err(|error| Error::inconsistent("devices", id, error))?,
            enrolled_at: row.get("enrolled_at")?,
            confirmed_at: row.get("confirmed_at")?,
            confirmed_with: confirmed_with.map(|with| word("devices", id, with)).transpose()?,
            approves_from: row.get("approves_from")?,
            last_used_at: row.get("last_used_at")?,
            revoked_at: row.get("revoked_at")?,
        })
    }
}

/// A person and their device, of [`find_person`].
impl FromRow for Person {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: UserId = row.get("user_id")?;
        let user = User {
            id,
            handle: word("users", id, row.get("handle")?)?,
            name: word("users", id, row.get("user_name")?)?,
            role: word("users", id, row.get("role")?)?,
            email: row.get::<Option<String>>("email")?.map(|email| word("users", id, email)).transpose()?,
            created_at: row.get("created_at")?,
            removed_at: None,
        };
        Ok(Self { user, device: Device::from_row(row)?, too_new_until: None })
    }
}

// Devices.

pub(in crate::identity) async fn insert_device(tx: &mut Tx<'_>, device: &Device, attestation: &str) -> Result<bool> {
    let rows = tx
        .query(
            "insert into devices (id, user_id, name, platform, public_key, thumbprint, enrolled_at, attestation, confirmed_at,
                 confirmed_with, approves_from)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict (thumbprint) do nothing",
        )
        .bind(device.id)
        .bind(device.user)
        .bind(&device.name)
        .bind(device.platform.as_str())
        .bind(device.key.sec1().as_slice())
        .bind(device.key.thumbprint())
        .bind(device.enrolled_at)
        .bind(attestation)
        .bind(device.confirmed_at)
        .bind(device.confirmed_with.map(|with| with.as_str().to_owned()))
        .bind(device.approves_from)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// The device, revoked or not.
pub(in crate::identity) async fn find_device(db: &mut Db<'_>, id: DeviceId) -> Result<Option<Device>> {
    db.query("select * from devices where id = $1").bind(id).optional().await
}

/// Who is on the device, when it is theirs and in use and they have not left.
pub(in crate::identity) async fn find_person(db: &mut Db<'_>, user: UserId, device: DeviceId) -> Result<Option<Person>> {
    db.query(
        "select devices.*, handle, users.name as user_name, role, email, created_at
         from devices join users on users.id = devices.user_id
         where devices.id = $1 and users.id = $2 and revoked_at is null and removed_at is null",
    )
    .bind(device)
    .bind(user)
    .optional()
    .await
}

pub(in crate::identity) async fn list_devices(db: &mut Db<'_>, user: UserId) -> Result<Vec<Device>> {
    db.query("select * from devices where user_id = $1 and revoked_at is null order by enrolled_at").bind(user).all().await
}

pub(in crate::identity) async fn revoke_device(tx: &mut Tx<'_>, id: DeviceId, now: Timestamp) -> Result<bool> {
    let rows =
        tx.query("update devices set revoked_at = $2 where id = $1 and revoked_at is null").bind(id).bind(now).execute().await?;
    Ok(rows == 1)
}

/// Whether there is such a device of theirs, in use.
pub(in crate::identity) async fn rename_device(tx: &mut Tx<'_>, id: DeviceId, user: UserId, name: &str) -> Result<bool> {
    let renamed = tx.query("update devices set name = $3 where id = $1 and user_id = $2 and revoked_at is null");
    Ok(renamed.bind(id).bind(user).bind(name).execute().await? == 1)
}

// Enrolment codes.

pub(in crate::identity) struct Enrollment {
    pub(in crate::identity) id: EnrollmentId,
    pub(in crate::identity) user: Option<UserId>,
    pub(in crate::identity) purpose: Purpose,
    pub(in crate::identity) expires_at: Timestamp,
    pub(in crate::identity) device: Option<DeviceId>,
    pub(in crate::identity) waiting: Option<DeviceId>,
}

impl FromRow for Enrollment {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: EnrollmentId = row.get("id")?;
        Ok(Self {
            id,
            user: row.get("user_id")?,
            purpose: word("enrollments", id, row.get("purpose")?)?,
            expires_at: row.get("expires_at")?,
            device: row.get("device_id")?,
            waiting: row.get("waiting_id")?,
        })
    }
}

pub(in crate::identity) async fn insert_enrollment(
    tx: &mut Tx<'_>,
    enrollment: &Enrollment,
    code_sha256: [u8; 32],
    now: Timestamp,
) -> Result<()> {
    tx.query(
        "insert into enrollments (id, code_sha256, user_id, created_at, expires_at, purpose) values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(enrollment.id)
    .bind(code_sha256)
    .bind(enrollment.user)
    .bind(now)
    .bind(enrollment.expires_at)
    .bind(enrollment.purpose.as_str())
    .execute()
    .await?;
    Ok(())
}

const FIND_ENROLLMENT: Sql = Sql::either(
    "select * from enrollments where code_sha256 = $1",
    "select * from enrollments where code_sha256 = $1 for update",
);

/// The code's enrolment, locked: two phones that race one code are served one after the other.
pub(in crate::identity) async fn lock_enrollment(tx: &mut Tx<'_>, code_sha256: [u8; 32]) -> Result<Option<Enrollment>> {
    tx.query(FIND_ENROLLMENT).bind(code_sha256).optional().await
}

/// Uses the code up for a device, or for one that waits.
pub(in crate::identity) async fn claim_enrollment(
    tx: &mut Tx<'_>,
    id: EnrollmentId,
    device: Option<DeviceId>,
    waiting: Option<DeviceId>,
    now: Timestamp,
) -> Result<()> {
    tx.query("update enrollments set claimed_at = $2, device_id = $3, waiting_id = $4 where id = $1")
        .bind(id)
        .bind(now)
        .bind(device)
        .bind(waiting)
        .execute()
        .await?;
    Ok(())
}

/// Nodes that start together on an empty database wait here for each other until the end of the transaction ("frst" in ASCII), so
/// that each sees the codes of those before it.
pub(in crate::identity) async fn lock_first_codes(tx: &mut Tx<'_>) -> Result<()> {
    const WAIT: Sql = Sql::either("select 1", "select 1::bigint from (select pg_advisory_xact_lock(1718776692)) as waited");
    tx.query(WAIT).one::<i64>().await?;
    Ok(())
}

/// Ends the first-administrator codes that nobody claimed.
pub(in crate::identity) async fn expire_first_codes(tx: &mut Tx<'_>, now: Timestamp) -> Result<()> {
    tx.query("update enrollments set expires_at = $1 where user_id is null and claimed_at is null and expires_at > $1")
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

// What a person has and had.

/// Which devices a person has, and whether they ever had one or could still sign with a passkey.
pub(super) struct Past {
    /// They have a device now.
    pub(super) has: bool,
    /// They had one.
    pub(super) had: bool,
}

impl FromRow for Past {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { has: row.get("has")?, had: row.get("had")? })
    }
}

/// What there is of a person already, under the lock of the person's row.
pub(super) async fn past(db: &mut Db<'_>, user: UserId) -> Result<Past> {
    db.query(
        "select exists (select 1 from devices where user_id = $1 and revoked_at is null) as has,
             exists (select 1 from devices where user_id = $1) or exists (select 1 from passkeys where user_id = $1) as had",
    )
    .bind(user)
    .one()
    .await
}

/// From when on the device may answer and administer.
pub(in crate::identity) async fn postpone(tx: &mut Tx<'_>, id: DeviceId, approves_from: Timestamp) -> Result<()> {
    tx.query("update devices set approves_from = $2 where id = $1").bind(id).bind(approves_from).execute().await?;
    Ok(())
}

// Devices that wait.

impl FromRow for WaitingDevice {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: DeviceId = row.get("id")?;
        let (verdict, address): (Option<String>, Option<String>) = (row.get("verdict")?, row.get("address")?);
        Ok(Self {
            id,
            user: row.get("user_id")?,
            name: row.get("name")?,
            platform: word("waiting_devices", id, row.get("platform")?)?,
            key: DeviceKey::from_sec1(&row.get::<Vec<u8>>("public_key")?)
                .map_err(|error| Error::inconsistent("waiting_devices", id, error))?,
            claimed_at: row.get("claimed_at")?,
            expires_at: row.get("expires_at")?,
            via: word("waiting_devices", id, row.get("via")?)?,
            address: address
                .map(|address| address.parse().map_err(|error| Error::inconsistent("waiting_devices", id, error)))
                .transpose()?,
            verdict: verdict.map(|verdict| word("waiting_devices", id, verdict)).transpose()?,
        })
    }
}

/// `false` when the key is known already, of a device or of one that waits or waited.
pub(super) async fn insert_waiting(tx: &mut Tx<'_>, waiting: &WaitingDevice) -> Result<bool> {
    let rows = tx
        .query(
            "insert into waiting_devices (id, user_id, name, platform, public_key, thumbprint, claimed_at, expires_at, via, address)
             select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 where not exists (select 1 from devices where thumbprint = $6)
             on conflict (thumbprint) do nothing",
        )
        .bind(waiting.id)
        .bind(waiting.user)
        .bind(&waiting.name)
        .bind(waiting.platform.as_str())
        .bind(waiting.key.sec1().as_slice())
        .bind(waiting.key.thumbprint())
        .bind(waiting.claimed_at)
        .bind(waiting.expires_at)
        .bind(waiting.via.as_str())
        .bind(waiting.address.map(|address| address.to_string()))
        .execute()
        .await?;
    Ok(rows == 1)
}

/// Whether a device with this key waits or waited.
pub(in crate::identity) async fn has_waited(db: &mut Db<'_>, thumbprint: [u8; 32]) -> Result<bool> {
    let found = db.query("select id from waiting_devices where thumbprint = $1").bind(thumbprint).optional::<DeviceId>();
    Ok(found.await?.is_some())
}

/// Whether a person has a device that may confirm another.
pub(super) async fn could_confirm(db: &mut Db<'_>, user: UserId, now: Timestamp) -> Result<bool> {
    db.query(
        "select exists (select 1 from devices where user_id = $1 and revoked_at is null
             and (approves_from is null or approves_from <= $2)) as could",
    )
    .bind(user)
    .bind(now)
    .one()
    .await
}

impl FromRow for Asked {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let verdict: Option<String> = row.get("verdict")?;
        let id: DeviceId = row.get("id")?;
        let verdict = verdict.map(|verdict| word("waiting_devices", id, verdict)).transpose()?;
        Ok(Self { at: row.get("claimed_at")?, expires_at: row.get("expires_at")?, verdict })
    }
}

/// What asked to be this person's without a code since then, the oldest first.
pub(super) async fn asked_since(db: &mut Db<'_>, user: UserId, since: Timestamp) -> Result<Vec<Asked>> {
    db.query(
        "select id, claimed_at, expires_at, verdict from waiting_devices
         where user_id = $1 and via = 'login' and claimed_at > $2 order by claimed_at, id",
    )
    .bind(user)
    .bind(since)
    .all()
    .await
}

/// What waits, or waited, for this person with this key.
pub(super) async fn waits_with(db: &mut Db<'_>, user: UserId, thumbprint: [u8; 32]) -> Result<Option<WaitingDevice>> {
    let sql = "select * from waiting_devices where user_id = $1 and thumbprint = $2";
    db.query(sql).bind(user).bind(thumbprint).optional().await
}

pub(in crate::identity) async fn find_waiting(db: &mut Db<'_>, id: DeviceId) -> Result<Option<WaitingDevice>> {
    db.query("select * from waiting_devices where id = $1").bind(id).optional().await
}

/// The waiting device, locked: two that decide about it come one after the other.
pub(super) async fn lock_waiting(tx: &mut Tx<'_>, id: DeviceId) -> Result<Option<WaitingDevice>> {
    tx.query(Sql::either("select * from waiting_devices where id = $1", "select * from waiting_devices where id = $1 for update"))
        .bind(id)
        .optional()
        .await
}

/// The devices of a person that wait now, the first to be over first.
pub(super) async fn list_waiting(db: &mut Db<'_>, user: UserId, now: Timestamp) -> Result<Vec<WaitingDevice>> {
    db.query("select * from waiting_devices where user_id = $1 and verdict is null and expires_at > $2 order by expires_at, id")
        .bind(user)
        .bind(now)
        .all()
        .await
}

pub(super) async fn decide_waiting(
    tx: &mut Tx<'_>,
    id: DeviceId,
    verdict: &'static str,
    by: Option<DeviceId>,
    now: Timestamp,
) -> Result<()> {
    tx.query("update waiting_devices set verdict = $2, decided_by = $3, decided_at = $4 where id = $1")
        .bind(id)
        .bind(verdict)
        .bind(by)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// A statement that was offered to a device.
pub(super) struct Offered {
    pub(super) waiting: DeviceId,
    pub(super) device: DeviceId,
    pub(super) statement: String,
    pub(super) ceremony: Option<Value>,
    pub(super) expires_at: Timestamp,
}

impl FromRow for Offered {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let ceremony: Option<Json<Value>> = row.get("ceremony")?;
        Ok(Self {
            waiting: row.get("waiting_id")?,
            device: row.get("device_id")?,
            statement: row.get("statement")?,
            ceremony: ceremony.map(|Json(ceremony)| ceremony),
            expires_at: row.get("expires_at")?,
        })
    }
}

pub(super) async fn insert_challenge(tx: &mut Tx<'_>, id: DeviceChallengeId, offered: &Offered) -> Result<()> {
    tx.query(
        "insert into device_challenges (id, waiting_id, device_id, statement, ceremony, expires_at)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(offered.waiting)
    .bind(offered.device)
    .bind(&offered.statement)
    .bind(crate::db::Value::Json(offered.ceremony.clone()))
    .bind(offered.expires_at)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn find_challenge(db: &mut Db<'_>, id: DeviceChallengeId) -> Result<Option<Offered>> {
    db.query("select * from device_challenges where id = $1").bind(id).optional().await
}

/// Uses a challenge up and keeps what was signed; `false` when it was used before.
pub(super) async fn use_challenge(
    tx: &mut Tx<'_>,
    id: DeviceChallengeId,
    passkey: Option<PasskeyId>,
    proof: &Value,
    now: Timestamp,
) -> Result<bool> {
    let rows = tx
        .query("update device_challenges set used_at = $2, passkey_id = $3, proof = $4 where id = $1 and used_at is null")
        .bind(id)
        .bind(now)
        .bind(passkey)
        .bind(Json(proof))
        .execute()
        .await?;
    Ok(rows == 1)
}

// When things were used last.

/// Writes when a thing was used, unless that is written already, or something later.
pub(super) async fn note(tx: &mut Tx<'_>, thing: Thing, at: Timestamp) -> Result<()> {
    let (sql, id) = match thing {
        Thing::Device(id) => {
            ("update devices set last_used_at = $2 where id = $1 and (last_used_at is null or last_used_at < $2)", id.0)
        }
        Thing::Bot(id) => {
            ("update bots set last_used_at = $2 where id = $1 and (last_used_at is null or last_used_at < $2)", id.0)
        }
    };
    tx.query(sql).bind(id).bind(at).execute().await?;
    Ok(())
}
