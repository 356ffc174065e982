//! The SQL of push registrations.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::db::{Db, FromRow, Result, Row, Sql, Tx};
use crate::id::{DeviceId, UserId};

/// Holds an address until the transaction ends: of two devices that register it at the same time, one sees what the other did.
pub(super) async fn lock_address(tx: &mut Tx<'_>, mac: &[u8; 32]) -> Result<()> {
    const WAIT: Sql =
        Sql::either("select 1 where $1 is not null", "select 1::bigint from (select pg_advisory_xact_lock($1)) as waited");
    let key = i64::from_be_bytes(std::array::from_fn(|at| mac[at]));
    let _: i64 = tx.query(WAIT).bind(key).one().await?;
    Ok(())
}

/// Keeps every registration as it is until the transaction ends, for whoever would change one. On `PostgreSQL`.
pub(super) async fn lock_registrations(tx: &mut Tx<'_>) -> Result<()> {
    tx.query("lock table push_registrations in exclusive mode").execute().await?;
    Ok(())
}

/// A device that has an address.
pub(super) struct Holder {
    pub(super) device: DeviceId,
    pub(super) user: UserId,
    registered_at: Timestamp,
}

impl Holder {
    /// What the newest registration has most of.
    pub(super) fn age(&self) -> (Timestamp, DeviceId) {
        (self.registered_at, self.device)
    }
}

impl FromRow for Holder {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { device: row.get("device_id")?, user: row.get("user_id")?, registered_at: row.get("registered_at")? })
    }
}

/// The devices that a push to this address can be sent to, and `device`, locked until the transaction ends.
pub(super) async fn holders(tx: &mut Tx<'_>, device: DeviceId, mac: &[u8; 32]) -> Result<Vec<Holder>> {
    tx.query(Sql::either(
        "select device_id, user_id, registered_at from push_registrations join devices on devices.id = device_id
         where device_id = $1 or (address_mac = $2 and retired_at is null) order by device_id",
        "select device_id, user_id, registered_at from push_registrations join devices on devices.id = device_id
         where device_id = $1 or (address_mac = $2 and retired_at is null) order by device_id for update of push_registrations",
    ))
    .bind(device)
    .bind(mac)
    .all()
    .await
}

/// Retires the registration that a device has.
pub(super) async fn retire_device(tx: &mut Tx<'_>, device: DeviceId, now: Timestamp) -> Result<()> {
    tx.query("update push_registrations set retired_at = $2 where device_id = $1 and retired_at is null")
        .bind(device)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// Each registration of a device is later than the one before it, whatever the clock says.
pub(super) async fn register(
    tx: &mut Tx<'_>,
    device: DeviceId,
    (kind, sealed, mac): (&'static str, &[u8], &[u8; 32]),
    now: Timestamp,
) -> Result<()> {
    tx.query(Sql::either(
        "insert into push_registrations (device_id, address_sealed, registered_at, kind, address_mac) values ($1, $2, $3, $4, $5)
         on conflict (device_id) do update set address_sealed = $2, registered_at = max($3, push_registrations.registered_at + 1),
             kind = $4, address_mac = $5, retired_at = null",
        "insert into push_registrations (device_id, address_sealed, registered_at, kind, address_mac) values ($1, $2, $3, $4, $5)
         on conflict (device_id) do update set address_sealed = $2, registered_at = greatest($3, push_registrations.registered_at + 1),
             kind = $4, address_mac = $5, retired_at = null",
    ))
    .bind(device)
    .bind(sealed)
    .bind(now)
    .bind(kind)
    .bind(mac)
    .execute()
    .await?;
    Ok(())
}

/// A registration whose address is not known yet.
pub(super) struct Unclaimed {
    pub(super) device: DeviceId,
    pub(super) sealed: Vec<u8>,
}

impl FromRow for Unclaimed {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { device: row.get("device_id")?, sealed: row.get("address_sealed")? })
    }
}

pub(super) async fn unclaimed(db: &mut Db<'_>, behind: Option<DeviceId>, limit: u32) -> Result<Vec<Unclaimed>> {
    db.query(
        "select device_id, address_sealed from push_registrations
         where address_mac is null and retired_at is null and device_id > $1 order by device_id limit $2",
    )
    .bind(behind.map_or(Uuid::nil(), |device| device.0))
    .bind(limit)
    .all()
    .await
}

pub(super) async fn set_address(tx: &mut Tx<'_>, device: DeviceId, mac: &[u8; 32]) -> Result<()> {
    tx.query("update push_registrations set address_mac = $2 where device_id = $1").bind(device).bind(mac).execute().await?;
    Ok(())
}

/// Retires the registration that was tried, and no other: each of a device is later than the one before it.
pub(in crate::delivery) async fn retire(tx: &mut Tx<'_>, device: DeviceId, tried: Timestamp, now: Timestamp) -> Result<()> {
    tx.query("update push_registrations set retired_at = $3 where device_id = $1 and registered_at = $2 and retired_at is null")
        .bind(device)
        .bind(tried)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}
