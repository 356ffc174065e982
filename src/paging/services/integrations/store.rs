//! The SQL of integrations.

use std::time::Duration;

use super::{Beats, Integration, IntegrationKind, IntegrationSettings, IntegrationView, Mapping};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Json, Result, Row, Tx};
use crate::id::{IntegrationId, ServiceId};

impl FromRow for Integration {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (id, name, kind): (IntegrationId, String, String) = (row.get("id")?, row.get("name")?, row.get("kind")?);
        let kind = kind.parse().map_err(|error| Error::inconsistent("integrations", id, error))?;
        Ok(Self {
            id,
            service: row.get("service_id")?,
            name: name.parse().map_err(|error| Error::inconsistent("integrations", id, error))?,
            kind,
            settings: settings(row, kind)?,
        })
    }
}

impl FromRow for IntegrationView {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            integration: Integration::from_row(row)?,
            created_at: row.get("created_at")?,
            previous_key_until: row.get("previous_key_until")?,
            beat_at: row.get("beat_at")?,
        })
    }
}

fn settings(row: &Row<'_>, kind: IntegrationKind) -> Result<IntegrationSettings> {
    Ok(match kind {
        IntegrationKind::Events | IntegrationKind::Alertmanager | IntegrationKind::Grafana => IntegrationSettings::Nothing,
        IntegrationKind::Generic => IntegrationSettings::Mapping(row.get::<Json<Mapping>>("settings")?.0),
        IntegrationKind::Heartbeat => IntegrationSettings::Beats(row.get::<Json<Beats>>("settings")?.0),
    })
}

pub(super) async fn find_by_key(db: &mut Db<'_>, key_sha256: &[u8; 32], now: Timestamp) -> Result<Option<Integration>> {
    db.query(
        "select integrations.* from integrations join services on services.id = integrations.service_id
         where (key_sha256 = $1 or (previous_key_sha256 = $1 and previous_key_until > $2))
             and integrations.revoked_at is null and services.removed_at is null",
    )
    .bind(key_sha256)
    .bind(now)
    .optional()
    .await
}

/// How many keys work: the newest of each, and those before them until their overlap is over.
pub(super) async fn count_keys(db: &mut Db<'_>, now: Timestamp) -> Result<i64> {
    db.query(
        "select count(*) + count(case when previous_key_until > $1 then 1 end) from integrations
         join services on services.id = integrations.service_id
         where integrations.revoked_at is null and services.removed_at is null",
    )
    .bind(now)
    .one()
    .await
}

/// Revoked ones too: they acted.
pub(super) async fn name(db: &mut Db<'_>, id: IntegrationId) -> Result<String> {
    db.query(
        "select integrations.name || ' (' || services.name || ')' as name
         from integrations join services on services.id = integrations.service_id where integrations.id = $1",
    )
    .bind(id)
    .one()
    .await
}

pub(super) async fn view(db: &mut Db<'_>, id: IntegrationId) -> Result<Option<IntegrationView>> {
    db.query("select * from integrations where id = $1").bind(id).optional().await
}

/// Those that were not revoked, by name.
pub(super) async fn list(db: &mut Db<'_>, service: ServiceId) -> Result<Vec<IntegrationView>> {
    db.query("select * from integrations where service_id = $1 and revoked_at is null order by name").bind(service).all().await
}

/// Stores a new integration; `false` when its name is taken.
pub(super) async fn insert(tx: &mut Tx<'_>, integration: &Integration, key_sha256: [u8; 32], now: Timestamp) -> Result<bool> {
    let rows = tx
        .query(
            "insert into integrations (id, service_id, name, kind, key_sha256, settings, created_at)
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (service_id, name) where revoked_at is null do nothing",
        )
        .bind(integration.id)
        .bind(integration.service)
        .bind(integration.name.as_str())
        .bind(integration.kind.as_str())
        .bind(key_sha256)
        .bind(Json(integration.settings.stored()))
        .bind(now)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// Its settings; `false` when it was revoked.
pub(super) async fn change(tx: &mut Tx<'_>, id: IntegrationId, settings: &IntegrationSettings) -> Result<bool> {
    let rows = tx.query("update integrations set settings = $2 where id = $1 and revoked_at is null");
    Ok(rows.bind(id).bind(Json(settings.stored())).execute().await? == 1)
}

/// Waits so long for the next beat, from the last on; until when, unless nothing waits for one.
pub(super) async fn await_beat(tx: &mut Tx<'_>, id: IntegrationId, patience: Duration) -> Result<Option<Timestamp>> {
    tx.query(
        "update integrations set beat_due_at = beat_at + $2 where id = $1 and beat_due_at is not null and beat_at is not null
         returning beat_due_at",
    )
    .bind(id)
    .bind(i64::try_from(patience.as_micros()).unwrap_or(i64::MAX))
    .optional()
    .await
}

/// The next key; the newest until now works until then. `false` when it was revoked.
pub(super) async fn rotate(tx: &mut Tx<'_>, id: IntegrationId, key_sha256: [u8; 32], until: Timestamp) -> Result<bool> {
    let rows = tx
        .query(
            "update integrations set previous_key_sha256 = key_sha256, previous_key_until = $3, key_sha256 = $2
             where id = $1 and revoked_at is null",
        )
        .bind(id)
        .bind(key_sha256)
        .bind(until)
        .execute()
        .await?;
    Ok(rows == 1)
}

/// Ends it; `false` when it was revoked before.
pub(super) async fn revoke(tx: &mut Tx<'_>, id: IntegrationId, now: Timestamp) -> Result<bool> {
    let rows = tx.query("update integrations set revoked_at = $2 where id = $1 and revoked_at is null").bind(id).bind(now);
    Ok(rows.execute().await? == 1)
}

/// Ends all of a service; how many those were.
pub(in crate::paging::services) async fn revoke_all(tx: &mut Tx<'_>, service: ServiceId, now: Timestamp) -> Result<u64> {
    let rows = tx.query("update integrations set revoked_at = $2 where service_id = $1 and revoked_at is null");
    rows.bind(service).bind(now).execute().await
}
