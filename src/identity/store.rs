//! The SQL of people, bots, passkeys and proofs. That of devices and codes is in `devices/store.rs`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::{Once, UsedProof};
use super::handle::Handle;
use super::model::{Bot, Passkey, Role, Scope, User, UserRef};
use super::webauthn::Credential;
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Json, Result, Row, Sql, Tx};
use crate::id::{BotId, CeremonyId, DeviceId, PasskeyId, UserId};

pub(super) fn word<T: DeserializeOwned>(table: &'static str, id: impl std::fmt::Display, text: String) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(text)).map_err(|error| Error::inconsistent(table, id, error))
}

impl FromRow for User {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: UserId = row.get("id")?;
        Ok(Self {
            id,
            handle: word("users", id, row.get("handle")?)?,
            name: word("users", id, row.get("name")?)?,
            role: word("users", id, row.get("role")?)?,
            created_at: row.get("created_at")?,
            removed_at: row.get("removed_at")?,
        })
    }
}

impl FromRow for Bot {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let id: BotId = row.get("id")?;
        Ok(Self {
            id,
            name: word("bots", id, row.get("name")?)?,
            scopes: row.get::<Json<Vec<Scope>>>("scopes")?.0,
            created_at: row.get("created_at")?,
            revoked_at: row.get("revoked_at")?,
            last_used_at: row.get("last_used_at")?,
            token_number: row.get("token_number")?,
            previous_token_until: row.get("previous_token_until")?,
        })
    }
}

impl FromRow for Passkey {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            created_at: row.get("created_at")?,
            last_used_at: row.get("last_used_at")?,
        })
    }
}

// People.

pub(super) async fn insert_user(tx: &mut Tx<'_>, user: &User) -> Result<bool> {
    let rows = tx
        .query(
            "insert into users (id, handle, name, role, created_at) values ($1, $2, $3, $4, $5) on conflict (handle) do nothing",
        )
        .bind(user.id)
        .bind(user.handle.as_str())
        .bind(user.name.as_str())
        .bind(if user.role == Role::Admin { "admin" } else { "member" })
        .bind(user.created_at)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// The user, removed or not.
pub(super) async fn find_user(db: &mut Db<'_>, who: &UserRef) -> Result<Option<User>> {
    match who {
        UserRef::Id(id) => db.query("select * from users where id = $1").bind(*id).optional().await,
        UserRef::Handle(handle) => db.query("select * from users where handle = $1").bind(handle.as_str()).optional().await,
    }
}

pub(super) async fn list_users(db: &mut Db<'_>) -> Result<Vec<User>> {
    db.query("select * from users where removed_at is null order by handle").all().await
}

pub(super) async fn no_user_yet(db: &mut Db<'_>) -> Result<bool> {
    Ok(db.query("select id from users limit 1").optional::<UserId>().await?.is_none())
}

const LOCK_ADMINS_AND: Sql = Sql::either(
    "select id from users where (role = 'admin' and removed_at is null) or id = $1 order by id",
    "select id from users where (role = 'admin' and removed_at is null) or id = $1 order by id for no key update",
);

/// Locks the administrators and this person, in the order in which people are locked: two who remove each other are served one after the
/// other.
pub(super) async fn lock_admins_and(tx: &mut Tx<'_>, id: UserId) -> Result<()> {
    tx.query(LOCK_ADMINS_AND).bind(id).all::<UserId>().await.map(drop)
}

/// The administrators who have not left.
pub(super) async fn list_admins(db: &mut Db<'_>) -> Result<Vec<UserId>> {
    db.query("select id from users where role = 'admin' and removed_at is null order by id").all().await
}

const LOCK_USER: Sql = Sql::either("select id from users where id = $1", "select id from users where id = $1 for no key update");

/// The person's row, locked until the transaction ends: whatever depends on which devices and passkeys a person has comes one after the
/// other. Whoever refers to the person does not wait for it.
pub(super) async fn lock_user(tx: &mut Tx<'_>, id: UserId) -> Result<()> {
    tx.query(LOCK_USER).bind(id).optional::<UserId>().await.map(drop)
}

pub(super) async fn remove_user(tx: &mut Tx<'_>, id: UserId, now: Timestamp) -> Result<bool> {
    let rows =
        tx.query("update users set removed_at = $2 where id = $1 and removed_at is null").bind(id).bind(now).execute().await?;
    Ok(rows == 1)
}

// Bots.

pub(super) async fn insert_bot(tx: &mut Tx<'_>, bot: &Bot, token_sha256: [u8; 32]) -> Result<bool> {
    let rows = tx
        .query(
            "insert into bots (id, name, token_sha256, scopes, created_at) values ($1, $2, $3, $4, $5)
             on conflict (name) do nothing",
        )
        .bind(bot.id)
        .bind(bot.name.as_str())
        .bind(token_sha256)
        .bind(Json(&bot.scopes))
        .bind(bot.created_at)
        .execute()
        .await?;
    Ok(rows == 1)
}

pub(super) async fn find_bot(db: &mut Db<'_>, id: BotId) -> Result<Option<Bot>> {
    db.query("select * from bots where id = $1").bind(id).optional().await
}

/// The bot, revoked or not.
pub(super) async fn find_bot_by_name(db: &mut Db<'_>, name: &Handle) -> Result<Option<Bot>> {
    db.query("select * from bots where name = $1").bind(name.as_str()).optional().await
}

pub(super) async fn list_bots(db: &mut Db<'_>) -> Result<Vec<Bot>> {
    db.query("select * from bots where revoked_at is null order by name").all().await
}

pub(super) async fn revoke_bot(tx: &mut Tx<'_>, id: BotId, now: Timestamp) -> Result<bool> {
    let rows =
        tx.query("update bots set revoked_at = $2 where id = $1 and revoked_at is null").bind(id).bind(now).execute().await?;
    Ok(rows == 1)
}

// Passkeys.

/// A registration under way.
pub(super) struct Ceremony {
    /// What the relying party keeps of it.
    pub(super) state: serde_json::Value,
    /// What a passkey that is there already has to sign first.
    pub(super) guard: Option<Guard>,
}

/// What guards a registration: an assertion of a passkey that is there already.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub(super) struct Guard {
    /// The statement, canonical.
    pub(super) statement: String,
    /// What the relying party keeps of the assertion.
    pub(super) state: serde_json::Value,
}

impl FromRow for Ceremony {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let guard: Option<Json<Guard>> = row.get("guard")?;
        Ok(Self { state: row.get::<Json<serde_json::Value>>("state")?.0, guard: guard.map(|Json(guard)| guard) })
    }
}

pub(super) async fn insert_ceremony(
    tx: &mut Tx<'_>,
    id: CeremonyId,
    device: DeviceId,
    ceremony: &Ceremony,
    expires_at: Timestamp,
) -> Result<()> {
    let guard = ceremony.guard.as_ref().map(serde_json::to_value).transpose();
    let guard = guard.map_err(|error| Error::Failed(error.to_string()))?;
    tx.query("insert into ceremonies (id, device_id, state, guard, expires_at) values ($1, $2, $3, $4, $5)")
        .bind(id)
        .bind(device)
        .bind(Json(&ceremony.state))
        .bind(crate::db::Value::Json(guard))
        .bind(expires_at)
        .execute()
        .await?;
    Ok(())
}

/// The ceremony, when it is this device's and not over.
pub(super) async fn find_ceremony(db: &mut Db<'_>, id: CeremonyId, device: DeviceId, now: Timestamp) -> Result<Option<Ceremony>> {
    db.query("select state, guard from ceremonies where id = $1 and device_id = $2 and expires_at > $3")
        .bind(id)
        .bind(device)
        .bind(now)
        .optional()
        .await
}

/// Ends a ceremony; `false` when it was ended before.
pub(super) async fn end_ceremony(tx: &mut Tx<'_>, id: CeremonyId) -> Result<bool> {
    Ok(tx.query("delete from ceremonies where id = $1").bind(id).execute().await? == 1)
}

/// A passkey with what it takes to verify it.
#[derive(Clone, Debug)]
pub struct StoredPasskey {
    /// Its id.
    pub id: PasskeyId,
    /// Its credential.
    pub credential: Credential,
}

impl FromRow for StoredPasskey {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { id: row.get("id")?, credential: row.get::<Json<Credential>>("credential")?.0 })
    }
}

/// The passkeys of a person that are not revoked, made on a device that is not revoked. Not each of them may sign yet.
///
/// # Errors
/// Storage errors.
pub async fn held_passkeys(db: &mut Db<'_>, user: UserId) -> Result<Vec<StoredPasskey>> {
    db.query(
        "select passkeys.id, passkeys.credential from passkeys join devices on devices.id = passkeys.device_id
         where passkeys.user_id = $1 and passkeys.revoked_at is null and devices.revoked_at is null order by passkeys.created_at",
    )
    .bind(user)
    .all()
    .await
}

/// A counter that is used must rise, whichever of two assertions comes first.
const UPDATE_CREDENTIAL: Sql = Sql::either(
    "update passkeys set credential = $2, last_used_at = $4
     where id = $1 and ($3 = 0 or json_extract(credential, '$.counter') < $3)",
    "update passkeys set credential = $2, last_used_at = $4
     where id = $1 and ($3 = 0 or (credential ->> 'counter')::bigint < $3)",
);

macro_rules! usable {
    ($columns:literal) => {
        concat!(
            "select ",
            $columns,
            " from passkeys join devices on devices.id = passkeys.device_id
             where passkeys.user_id = $1 and passkeys.revoked_at is null and devices.revoked_at is null
                 and (devices.approves_from is null or devices.approves_from <= $2) order by passkeys.created_at"
        )
    };
}

/// The passkeys a person may sign with now: those that they hold, but for what was made on a device that is too new to decide. A passkey
/// signs from any device, so it must not be older than the device it came with.
///
/// # Errors
/// Storage errors.
pub async fn usable_passkeys(db: &mut Db<'_>, user: UserId, now: Timestamp) -> Result<Vec<StoredPasskey>> {
    db.query(usable!("passkeys.id, passkeys.credential")).bind(user).bind(now).all().await
}

/// The ids of [`usable_passkeys`], for whoever needs to know only that there is one, or that it is this one.
///
/// # Errors
/// Storage errors.
pub async fn usable_passkey_ids(db: &mut Db<'_>, user: UserId, now: Timestamp) -> Result<Vec<PasskeyId>> {
    db.query(usable!("passkeys.id")).bind(user).bind(now).all().await
}

/// The `rp_id` that this installation's passkeys are bound to.
pub(super) async fn bound_rp_id(db: &mut Db<'_>) -> Result<Option<String>> {
    db.query("select value from installation where name = 'rp_id'").optional().await
}

pub(super) async fn bind_rp_id(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    tx.query(
        "insert into installation (name, value) values ('rp_id', $1) on conflict (name) do update set value = excluded.value",
    )
    .bind(id)
    .execute()
    .await?;
    Ok(())
}

/// How many passkeys can still be used.
pub(super) async fn count_passkeys(db: &mut Db<'_>) -> Result<i64> {
    db.query("select count(*) from passkeys where revoked_at is null").one().await
}

/// Stores that a passkey was used, and what its assertion taught about it: its signature counter. `false` when a later one was stored
/// meanwhile.
///
/// # Errors
/// Storage errors.
pub async fn passkey_used(tx: &mut Tx<'_>, id: PasskeyId, updated: Option<&Credential>, now: Timestamp) -> Result<bool> {
    let Some(credential) = updated else {
        tx.query("update passkeys set last_used_at = $2 where id = $1 and (last_used_at is null or last_used_at <= $3)")
            .bind(id)
            .bind(now)
            .bind(now.before(super::devices::NOTED_EVERY))
            .execute()
            .await?;
        return Ok(true);
    };
    let query = tx.query(UPDATE_CREDENTIAL).bind(id).bind(Json(credential)).bind(credential.counter()).bind(now);
    Ok(query.execute().await? == 1)
}

/// Whether the person ever had a passkey, revoked or not.
pub(super) async fn ever_had_a_passkey(db: &mut Db<'_>, user: UserId) -> Result<bool> {
    Ok(db.query("select id from passkeys where user_id = $1 limit 1").bind(user).optional::<PasskeyId>().await?.is_some())
}

/// Whether a passkey was ever made on the device.
pub(super) async fn made_a_passkey(db: &mut Db<'_>, device: DeviceId) -> Result<bool> {
    Ok(db.query("select id from passkeys where device_id = $1 limit 1").bind(device).optional::<PasskeyId>().await?.is_some())
}

pub(super) async fn insert_passkey(
    tx: &mut Tx<'_>,
    passkey: &Passkey,
    owner: (UserId, DeviceId),
    credential: &Credential,
    attestation: &str,
) -> Result<bool> {
    let rows = tx
        .query(
            "insert into passkeys (id, user_id, device_id, name, credential_id, credential, created_at, attestation)
             values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (credential_id) do nothing",
        )
        .bind(passkey.id)
        .bind(owner.0)
        .bind(owner.1)
        .bind(&passkey.name)
        .bind(credential.id())
        .bind(Json(credential))
        .bind(passkey.created_at)
        .bind(attestation)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// The passkeys of a person that were not revoked, nor their devices.
pub(super) async fn list_passkeys(db: &mut Db<'_>, user: UserId) -> Result<Vec<Passkey>> {
    db.query(
        "select passkeys.* from passkeys join devices on devices.id = passkeys.device_id
         where passkeys.user_id = $1 and passkeys.revoked_at is null and devices.revoked_at is null order by passkeys.created_at",
    )
    .bind(user)
    .all()
    .await
}

pub(super) async fn revoke_passkey(tx: &mut Tx<'_>, id: PasskeyId, user: UserId, now: Timestamp) -> Result<bool> {
    let rows = tx
        .query("update passkeys set revoked_at = $3 where id = $1 and user_id = $2 and revoked_at is null")
        .bind(id)
        .bind(user)
        .bind(now)
        .execute()
        .await?;
    Ok(rows == 1)
}

// Keys of our own.

/// A signing key as it is stored.
pub(super) struct StoredKey {
    pub(super) id: String,
    pub(super) public: Vec<u8>,
    pub(super) private_sealed: Vec<u8>,
    pub(super) created_at: Timestamp,
    pub(super) retired_at: Option<Timestamp>,
}

impl FromRow for StoredKey {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            public: row.get("public_key")?,
            private_sealed: row.get("private_key_sealed")?,
            created_at: row.get("created_at")?,
            retired_at: row.get("retired_at")?,
        })
    }
}

pub(super) async fn insert_key(tx: &mut Tx<'_>, purpose: &str, key: &StoredKey) -> Result<()> {
    tx.query("insert into signing_keys (id, purpose, public_key, private_key_sealed, created_at) values ($1, $2, $3, $4, $5)")
        .bind(&key.id)
        .bind(purpose)
        .bind(key.public.as_slice())
        .bind(key.private_sealed.as_slice())
        .bind(key.created_at)
        .execute()
        .await?;
    Ok(())
}

/// Keys for `purpose`, the one that signs last. On PostgreSQL nodes that start together wait here for each other.
pub(super) async fn lock_keys(tx: &mut Tx<'_>, purpose: &str) -> Result<Vec<StoredKey>> {
    const WAIT: Sql = Sql::either("select 1", "select 1::bigint from (select pg_advisory_xact_lock(1801812339)) as waited");
    tx.query(WAIT).one::<i64>().await?;
    list_keys(tx.db(), purpose).await
}

/// Keys for `purpose`, the retired ones first, and the one that signs last.
pub(super) async fn list_keys(db: &mut Db<'_>, purpose: &str) -> Result<Vec<StoredKey>> {
    db.query("select * from signing_keys where purpose = $1 order by retired_at is null, created_at, id")
        .bind(purpose)
        .all()
        .await
}

pub(super) async fn retire_keys(tx: &mut Tx<'_>, purpose: &str, now: Timestamp) -> Result<()> {
    tx.query("update signing_keys set retired_at = $2 where purpose = $1 and retired_at is null")
        .bind(purpose)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

// Proofs and idempotency keys.

/// Marks a proof as used; `false` when it was used before.
pub(super) async fn use_proof(tx: &mut Tx<'_>, proof: &UsedProof) -> Result<bool> {
    let rows = tx
        .query("insert into used_proofs (sha256, expires_at) values ($1, $2) on conflict (sha256) do nothing")
        .bind(proof.sha256)
        .bind(proof.expires_at)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// Takes the key for this transaction; `false` when an earlier one has it. Another transaction that is still deciding is waited for.
pub(super) async fn reserve_key(tx: &mut Tx<'_>, caller: &str, once: &Once, expires_at: Timestamp) -> Result<bool> {
    let rows = tx
        .query(
            "insert into idempotency_keys (caller, key, request_sha256, outcome, expires_at) values ($1, $2, $3, $4, $5)
             on conflict (caller, key) do nothing",
        )
        .bind(caller)
        .bind(&once.key)
        .bind(once.request_sha256)
        .bind(Json(()))
        .bind(expires_at)
        .execute()
        .await?;
    Ok(rows == 1)
}

pub(super) async fn keep_outcome(tx: &mut Tx<'_>, caller: &str, key: &str, outcome: &(impl Serialize + Sync)) -> Result<()> {
    tx.query("update idempotency_keys set outcome = $3 where caller = $1 and key = $2")
        .bind(caller)
        .bind(key)
        .bind(Json(outcome))
        .execute()
        .await?;
    Ok(())
}

/// What an idempotency key was used for, and what came of it.
pub(super) struct Kept {
    pub(super) request_sha256: [u8; 32],
    pub(super) outcome: serde_json::Value,
}

impl FromRow for Kept {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { request_sha256: row.get("request_sha256")?, outcome: row.get::<Json<serde_json::Value>>("outcome")?.0 })
    }
}

pub(super) async fn find_outcome(db: &mut Db<'_>, caller: &str, key: &str) -> Result<Option<Kept>> {
    db.query("select request_sha256, outcome from idempotency_keys where caller = $1 and key = $2")
        .bind(caller)
        .bind(key)
        .optional()
        .await
}

/// How long what waited to be a device is remembered.
const WAITED: std::time::Duration = std::time::Duration::from_hours(24);

/// Forgets what could not be used any more anyway. What waited to be a device and never was is kept a little longer: it says how often
/// somebody was rung. What a confirmation was signed with stays.
pub(super) async fn sweep(tx: &mut Tx<'_>, now: Timestamp) -> Result<()> {
    for sql in [
        "delete from device_challenges where used_at is null and expires_at < $1",
        "update enrollments set waiting_id = null where waiting_id in
             (select id from waiting_devices where verdict is distinct from 'confirmed' and expires_at < $1)",
        "delete from waiting_devices where verdict is distinct from 'confirmed' and expires_at < $1
             and not exists (select 1 from device_challenges where waiting_id = waiting_devices.id)",
    ] {
        tx.query(sql).bind(now.before(WAITED)).execute().await?;
    }
    for sql in [
        "delete from used_proofs where expires_at < $1",
        "delete from idempotency_keys where expires_at < $1",
        "delete from ceremonies where expires_at < $1",
    ] {
        tx.query(sql).bind(now).execute().await?;
    }
    Ok(())
}
