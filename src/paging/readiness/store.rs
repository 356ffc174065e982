//! The SQL of readiness.

use crate::db::{Db, Error, FromRow, Json, Result, Row};
use crate::id::{ScheduleId, TeamId, UserId};
use crate::oncall::WrittenLayer;
use crate::paging::plan::{Step, Target};

/// What rings people, by the name it is shown with.
pub(super) type Rung = (String, Vec<Target>);

struct Policy(Rung);

impl FromRow for Policy {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let name: String = row.get("name")?;
        let steps = row.get::<Json<Vec<Step>>>("steps")?.0;
        let last_resort = row.get::<Json<Vec<Target>>>("last_resort")?.0;
        let targets = steps.into_iter().flat_map(|step| step.targets).chain(last_resort).collect();
        Ok(Self((format!("policy:{name}"), targets)))
    }
}

struct Schedule(Rung);

impl FromRow for Schedule {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (id, name): (ScheduleId, String) = (row.get("id")?, row.get("name")?);
        let layers = row.get::<Json<Vec<WrittenLayer>>>("layers")?.0;
        let people = layers.iter().flat_map(|layer| &layer.people).map(|person| {
            let user = person.parse::<UserId>().map_err(|error| Error::inconsistent("schedules", id, error))?;
            Ok(Target::User(user))
        });
        Ok(Self((format!("schedule:{name}"), people.collect::<Result<_>>()?)))
    }
}

struct Service(Rung);

impl FromRow for Service {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        let (name, team): (String, TeamId) = (row.get("name")?, row.get("team_id")?);
        Ok(Self((format!("service:{name}"), vec![Target::Team(team)])))
    }
}

/// Everything that may ring somebody. The team of a service is rung last, whatever its policy says.
pub(super) async fn rung(db: &mut Db<'_>) -> Result<Vec<Rung>> {
    let policies: Vec<Policy> =
        db.query("select name, steps, last_resort from escalation_policies where removed_at is null").all().await?;
    let schedules: Vec<Schedule> = db.query("select id, name, layers from schedules where removed_at is null").all().await?;
    let services: Vec<Service> = db.query("select name, team_id from services where removed_at is null").all().await?;
    let policies = policies.into_iter().map(|Policy(rung)| rung);
    let schedules = schedules.into_iter().map(|Schedule(rung)| rung);
    Ok(policies.chain(schedules).chain(services.into_iter().map(|Service(rung)| rung)).collect())
}
