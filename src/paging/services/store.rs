//! The SQL of services.

use super::{Service, ServiceView, Settings};
use crate::clock::Timestamp;
use crate::db::{Db, Error, FromRow, Json, Result, Row, Sql, Tx};
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

impl FromRow for ServiceView {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let service = Service::from_row(row)?;
        let handle = |name: String| name.parse::<Handle>().map_err(|error| Error::inconsistent("services", service.id, error));
        let team = handle(row.get("team_name")?)?;
        let policy = row.get::<Option<String>>("policy_name")?.map(handle).transpose()?;
        Ok(Self { service, team, policy, open_incidents: row.get("open_incidents")? })
    }
}

/// Removed ones too: their incidents go on.
pub(super) async fn find(db: &mut Db<'_>, id: ServiceId) -> Result<Option<Service>> {
    db.query("select * from services where id = $1").bind(id).optional().await
}

pub(super) async fn find_named(db: &mut Db<'_>, name: &Handle) -> Result<Option<Service>> {
    db.query("select * from services where name = $1 and removed_at is null").bind(name.as_str()).optional().await
}

macro_rules! view {
    ($rest:literal) => {
        concat!(
            "select services.*, teams.name as team_name, escalation_policies.name as policy_name,
                 (select count(*) from incidents where incidents.service_id = services.id and incidents.state <> 'resolved')
                     as open_incidents
             from services join teams on teams.id = services.team_id
                 left join escalation_policies on escalation_policies.id = services.policy_id
             where services.removed_at is null ",
            $rest
        )
    };
}

pub(super) async fn view(db: &mut Db<'_>, name: &Handle) -> Result<Option<ServiceView>> {
    db.query(view!("and services.name = $1")).bind(name.as_str()).optional().await
}

pub(super) async fn views(db: &mut Db<'_>) -> Result<Vec<ServiceView>> {
    db.query(view!("order by services.name")).all().await
}

/// The service, locked until the transaction ends.
pub(super) async fn lock(tx: &mut Tx<'_>, name: &Handle) -> Result<Option<Service>> {
    const LOCK: Sql = Sql::either(
        "select * from services where name = $1 and removed_at is null",
        "select * from services where name = $1 and removed_at is null for update",
    );
    tx.query(LOCK).bind(name.as_str()).optional().await
}

pub(super) async fn keep(tx: &mut Tx<'_>, name: &Handle) -> Result<Option<Service>> {
    const KEEP: Sql = Sql::either(
        "select * from services where name = $1 and removed_at is null",
        "select * from services where name = $1 and removed_at is null for share",
    );
    tx.query(KEEP).bind(name.as_str()).optional().await
}

/// Stores a new service; `false` when its name is taken.
pub(super) async fn insert(tx: &mut Tx<'_>, service: &Service) -> Result<bool> {
    let rows = tx
        .query(
            "insert into services (id, name, team_id, policy_id, settings, created_at) values ($1, $2, $3, $4, $5, $6)
             on conflict (name) where removed_at is null do nothing",
        )
        .bind(service.id)
        .bind(service.name.as_str())
        .bind(service.team)
        .bind(service.policy)
        .bind(Json(&service.settings))
        .bind(service.created_at)
        .execute()
        .await?;
    Ok(rows == 1)
}

pub(super) async fn update(tx: &mut Tx<'_>, service: &Service) -> Result<()> {
    tx.query("update services set team_id = $2, policy_id = $3, settings = $4 where id = $1")
        .bind(service.id)
        .bind(service.team)
        .bind(service.policy)
        .bind(Json(&service.settings))
        .execute()
        .await?;
    Ok(())
}

pub(super) async fn remove(tx: &mut Tx<'_>, id: ServiceId, now: Timestamp) -> Result<()> {
    tx.query("update services set removed_at = $2 where id = $1").bind(id).bind(now).execute().await?;
    Ok(())
}
