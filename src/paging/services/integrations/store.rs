//! The SQL of integrations.

use super::{Beats, Integration, IntegrationKind, IntegrationSettings, Mapping};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Json, Result, Row};
use crate::id::IntegrationId;

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
