//! Services made, changed and removed.

use serde_json::json;

use super::super::setup::{self, SetupError, SetupRefused, field, within};
use super::super::{Paging, escalation, maintenance};
use super::{Service, Settings, integrations, store};
use crate::db::Tx;
use crate::id::{EscalationPolicyId, ServiceId, TeamId};
use crate::identity::{Call, Handle};

/// What a service is to be.
#[derive(Clone, Debug)]
pub struct NewService {
    /// Its name.
    pub name: Handle,
    /// Whose it is.
    pub team: Handle,
    /// Who is paged; the team when there is none.
    pub policy: Option<Handle>,
    /// How its alerts become incidents.
    pub settings: Settings,
}

/// A service, by names.
#[derive(Clone, Debug)]
pub struct ServiceView {
    /// The service.
    pub service: Service,
    /// Whose it is.
    pub team: Handle,
    /// Who is paged; the team when there is none.
    pub policy: Option<Handle>,
    /// How many of its incidents are open.
    pub open_incidents: i64,
}

impl Settings {
    fn check(&self) -> Result<(), SetupRefused> {
        within("settings.acknowledgement_seconds", self.acknowledgement_seconds.unwrap_or(0), 0..=604_800)?;
        within("settings.group_seconds", self.group_seconds, 0..=604_800)?;
        within("settings.reopen_seconds", self.reopen_seconds, 0..=86_400)?;
        let labels = self.group_by.as_deref().unwrap_or_default();
        if labels.len() > 20 {
            return Err(field("settings.group_by", "may name at most 20 labels"));
        }
        for (at, label) in labels.iter().enumerate() {
            let plain = (1..=100).contains(&label.chars().count()) && !label.chars().any(char::is_control);
            if !plain || labels[..at].contains(label) {
                return Err(field(
                    format!("settings.group_by[{at}]"),
                    "must be the name of another label, of 1 to 100 characters",
                ));
            }
        }
        Ok(())
    }
}

/// Whom a service names, looked up.
async fn named(tx: &mut Tx<'_>, new: &NewService) -> Result<(TeamId, Option<EscalationPolicyId>), SetupError> {
    let team = setup::team(tx.db(), &new.team, "team").await?.id;
    let policy = match &new.policy {
        None => None,
        Some(name) => {
            let found = escalation::keep(tx, name).await?;
            Some(found.ok_or_else(|| field("policy", format!("there is no escalation policy {name}")))?)
        }
    };
    Ok((team, policy))
}

fn said(service: &Service) -> serde_json::Value {
    json!({"name": service.name, "team": service.team, "policy": service.policy, "settings": service.settings})
}

fn none(name: &Handle) -> SetupRefused {
    SetupRefused::NotFound(format!("service {name}"))
}

impl Paging {
    /// Makes a service.
    ///
    /// # Errors
    /// Only administrators may; [`SetupRefused`].
    pub async fn create_service(&self, call: &Call, new: NewService) -> Result<ServiceView, SetupError> {
        self.write_service(call, new, false).await.map(|(view, _)| view)
    }

    /// Makes a service, or makes the one of that name into something else; whether it is new. Incidents that are open keep the plan they
    /// began with.
    ///
    /// # Errors
    /// Only administrators may; [`SetupRefused`].
    pub async fn put_service(&self, call: &Call, new: NewService) -> Result<(ServiceView, bool), SetupError> {
        self.write_service(call, new, true).await
    }

    async fn write_service(&self, call: &Call, new: NewService, over: bool) -> Result<(ServiceView, bool), SetupError> {
        call.admin()?;
        new.settings.check()?;
        let (now, parts, actor, name) = (self.clock.now(), self.parts.clone(), call.actor(None), new.name.clone());
        let written = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let before = if over { store::lock(tx, &new.name).await? } else { None };
                let (team, policy) = named(tx, &new).await?;
                let NewService { name, settings, .. } = new;
                let Some(before) = before else {
                    let service = Service { id: ServiceId::new(now), name, team, policy, settings, created_at: now };
                    if !store::insert(tx, &service).await? {
                        return Err(SetupRefused::NameTaken(service.name).into());
                    }
                    setup::record(tx, &parts, now, actor, ("service.created", service.id), said(&service)).await?;
                    return Ok(true);
                };
                let service = Service { team, policy, settings, ..before.clone() };
                if service != before {
                    store::update(tx, &service).await?;
                    setup::record(tx, &parts, now, actor, ("service.changed", service.id), said(&service)).await?;
                }
                Ok::<_, SetupError>(false)
            })
        });
        let is_new = written.await?;
        Ok((self.service_view(name).await?, is_new))
    }

    /// Removes a service, and with it its integrations and its maintenance. Its open incidents go on.
    ///
    /// # Errors
    /// Only administrators may; [`SetupRefused::NotFound`].
    pub async fn remove_service(&self, call: &Call, name: Handle) -> Result<(), SetupError> {
        call.admin()?;
        let (now, parts, actor) = (self.clock.now(), self.parts.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let service = store::lock(tx, &name).await?.ok_or_else(|| none(&name))?;
                let integrations = integrations::store::revoke_all(tx, service.id, now).await?;
                let windows = maintenance::store::end_all(tx, service.id, now).await?;
                store::remove(tx, service.id, now).await?;
                let data = json!({"name": name, "integrations": integrations, "maintenance": windows});
                Ok(setup::record(tx, &parts, now, actor, ("service.removed", service.id), data).await?)
            })
        })
        .await
    }

    /// One service.
    ///
    /// # Errors
    /// When the caller may not see it; [`SetupRefused::NotFound`].
    pub async fn service(&self, call: &Call, name: Handle) -> Result<ServiceView, SetupError> {
        setup::may_look(call)?;
        self.service_view(name).await
    }

    /// The services, by name.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub async fn services(&self, call: &Call) -> Result<Vec<ServiceView>, SetupError> {
        setup::may_look(call)?;
        Ok(self.store.scan(|db| Box::pin(store::views(db))).await?)
    }

    async fn service_view(&self, name: Handle) -> Result<ServiceView, SetupError> {
        self.store.read(move |db| Box::pin(async move { store::view(db, &name).await?.ok_or_else(|| none(&name).into()) })).await
    }
}

/// A service of that name, kept from being removed until the transaction ends, or why not.
pub(super) async fn kept(tx: &mut Tx<'_>, name: &Handle) -> Result<Service, SetupError> {
    store::keep(tx, name).await?.ok_or_else(|| none(name).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused_by_their_field() {
        let refused = |settings: Settings| match settings.check() {
            Err(SetupRefused::Field { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        let with = |labels: &[&str]| Settings {
            group_by: Some(labels.iter().map(|label| (*label).to_owned()).collect()),
            ..Settings::default()
        };
        assert_eq!(Settings::default().check(), Ok(()));
        assert_eq!(with(&["cluster", "alertname"]).check(), Ok(()));
        assert_eq!(refused(with(&["a"; 21])), "settings.group_by");
        assert_eq!(refused(with(&["a", "a"])), "settings.group_by[1]");
        assert_eq!(refused(with(&[""])), "settings.group_by[0]");
        assert_eq!(refused(Settings { group_seconds: 604_801, ..Settings::default() }), "settings.group_seconds");
        assert_eq!(refused(Settings { reopen_seconds: 86_401, ..Settings::default() }), "settings.reopen_seconds");
        let never = Settings { acknowledgement_seconds: Some(0), ..Settings::default() };
        assert_eq!(never.check(), Ok(()));
        let late = Settings { acknowledgement_seconds: Some(604_801), ..Settings::default() };
        assert_eq!(refused(late), "settings.acknowledgement_seconds");
    }
}
