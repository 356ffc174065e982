//! The SQL of attestations: which keys have none yet.

use crate::clock::Timestamp;
use crate::db::{Db, FromRow, Json, Result, Row, Tx};
use crate::id::{DeviceId, PasskeyId, UserId};
use crate::identity::{Credential, Device};

/// A passkey without an attestation.
pub(super) struct Unattested {
    pub(super) id: PasskeyId,
    pub(super) user: UserId,
    pub(super) device: DeviceId,
    pub(super) credential: Credential,
    pub(super) made_at: Timestamp,
}

impl FromRow for Unattested {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            user: row.get("user_id")?,
            device: row.get("device_id")?,
            credential: row.get::<Json<Credential>>("credential")?.0,
            made_at: row.get("created_at")?,
        })
    }
}

pub(super) async fn unattested_devices(db: &mut Db<'_>, limit: u32) -> Result<Vec<Device>> {
    db.query("select * from devices where attestation is null order by id limit $1").bind(limit).all().await
}

pub(super) async fn unattested_passkeys(db: &mut Db<'_>, limit: u32) -> Result<Vec<Unattested>> {
    db.query("select * from passkeys where attestation is null order by id limit $1").bind(limit).all().await
}

pub(super) async fn attest_device(tx: &mut Tx<'_>, id: DeviceId, attestation: &str) -> Result<()> {
    let query = tx.query("update devices set attestation = $2 where id = $1 and attestation is null");
    query.bind(id).bind(attestation).execute().await?;
    Ok(())
}

pub(super) async fn attest_passkey(tx: &mut Tx<'_>, id: PasskeyId, attestation: &str) -> Result<()> {
    let query = tx.query("update passkeys set attestation = $2 where id = $1 and attestation is null");
    query.bind(id).bind(attestation).execute().await?;
    Ok(())
}
