//! The SQL of services.

use super::{Service, Settings};
use crate::db::{Db, Error, FromRow, Json, Result, Row};
use crate::id::ServiceId;
use crate::identity::Handle;

impl FromRow for Service {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (id, name): (ServiceId, String) = (row.get("id")?, row.get("name")?);
        Ok(Self {
            id,
            name: name.parse().map_err(|error| Error::inconsistent("services", id, error))?,
            team: row.get("team_id")?,
            policy: row.get("policy_id")?,
            settings: row.get::<Json<Settings>>("settings")?.0,
            created_at: row.get("created_at")?,
        })
    }
}

/// Removed ones too: their incidents go on.
pub(super) async fn find(db: &mut Db<'_>, id: ServiceId) -> Result<Option<Service>> {
    db.query("select * from services where id = $1").bind(id).optional().await
}

pub(super) async fn find_named(db: &mut Db<'_>, name: &Handle) -> Result<Option<Service>> {
    db.query("select * from services where name = $1 and removed_at is null").bind(name.as_str()).optional().await
}
