//! Which incidents there are: found by what they are about and whose they are.

use super::machine::Urgency;
use super::service::{Error, Paging, Refused, View, view};
use super::{To, schedules, services, store};
use crate::db::{self, Db};
use crate::id::{IncidentId, ServiceId, TeamId, UserId};
use crate::identity::{self, Call, Caller, Handle, Scope};

/// Where an incident stands, for a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It rings.
    Triggered,
    /// Somebody has it, or put it off.
    Acknowledged,
    /// It is over.
    Resolved,
    /// Any but over.
    Open,
    /// Any.
    Any,
}

/// Which incidents are asked for; what is not named is not asked.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Where they stand.
    pub phase: Phase,
    /// Only those that rang for the caller, or name them.
    pub mine: bool,
    /// Of this service.
    pub service: Option<Handle>,
    /// Of this team.
    pub team: Option<Handle>,
    /// So loud.
    pub urgency: Option<Urgency>,
}

/// A filter, by ids.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) phase: Phase,
    pub(super) user: Option<UserId>,
    pub(super) service: Option<ServiceId>,
    pub(super) team: Option<TeamId>,
    pub(super) urgency: Option<Urgency>,
}

impl Paging {
    /// What has that name: a service, a schedule, a team.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn named(&self, name: Handle) -> db::Result<Vec<To>> {
        self.store
            .read(move |db| {
                Box::pin(async move {
                    let service = services::find(db, &name).await?.map(|found| To::Service(found.name));
                    let schedule = schedules::find(db, &name).await?.map(|found| To::Schedule(found.name));
                    let team = identity::find_team(db, &name).await?.map(|found| To::Team(found.name));
                    Ok(service.into_iter().chain(schedule).chain(team).collect())
                })
            })
            .await
    }

    /// The incidents of a page of the list, the newest first, and whether there are more.
    ///
    /// # Errors
    /// When the caller may not see them, or there is no such service or team.
    pub async fn list(
        &self,
        call: &Call,
        filter: Filter,
        before: Option<IncidentId>,
        limit: u32,
    ) -> Result<(Vec<View>, bool), Error> {
        call.person_or_bot(Scope::IncidentsRead)?;
        let user = match &call.caller {
            Caller::Person(person) if filter.mine => Some(person.user.id),
            _ if filter.mine => Some(call.speaks_for(Scope::IncidentsRead)?.ok_or(Refused::NobodysOwn)?.id),
            _ => None,
        };
        self.store
            .scan(move |db| {
                Box::pin(async move {
                    let asked = asked(db, filter, user).await?;
                    let mut incidents = store::list(db, &asked, before, limit.saturating_add(1)).await?;
                    let more = incidents.len() > limit as usize;
                    incidents.truncate(limit as usize);
                    let mut views = Vec::with_capacity(incidents.len());
                    for incident in incidents {
                        views.push(view(db, incident).await?);
                    }
                    Ok((views, more))
                })
            })
            .await
    }
}

async fn asked(db: &mut Db<'_>, filter: Filter, user: Option<UserId>) -> Result<Asked, Error> {
    let none = |what: String, field: &str| Refused::NoSuch { to: what, field: field.to_owned() };
    let service = match &filter.service {
        None => None,
        Some(name) => {
            let found = services::find(db, name).await?;
            Some(found.ok_or_else(|| none(format!("service:{}", name.as_str()), "service"))?.id)
        }
    };
    let team = match &filter.team {
        None => None,
        Some(name) => {
            let found = identity::find_team(db, name).await?;
            Some(found.ok_or_else(|| none(format!("team:{}", name.as_str()), "team"))?.id)
        }
    };
    Ok(Asked { phase: filter.phase, user, service, team, urgency: filter.urgency })
}
