//! Escalation policies made, changed and removed.

use serde_json::json;

use super::super::plan::{Step, Target};
use super::super::service::{Named, ViewStep, named};
use super::super::setup::{self, SetupError, SetupRefused, field, within};
use super::super::{Paging, To, reaching};
use super::{EscalationPolicy, store};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::EscalationPolicyId;
use crate::identity::{self, Call, Handle};

/// More repeats are a mistake: behind them the last resort rings for ever.
pub const MAX_REPEATS: u32 = 20;

/// More steps, or targets of one, are a mistake.
const MAX: usize = 20;

/// The longest that a step is tried, minutes.
const DAY: u32 = 1440;

/// What an escalation policy is to say.
#[derive(Clone, Debug)]
pub struct NewPolicy {
    /// Its name.
    pub name: Handle,
    /// Whose it is.
    pub team: Option<Handle>,
    /// The steps, in the order they are tried: 1 to 20.
    pub steps: Vec<NewStep>,
    /// How often the steps are walked once more: 0 to 20.
    pub repeats: u32,
    /// Who is always there: at most 20.
    pub last_resort: Vec<To>,
}

/// What a step is to say.
#[derive(Clone, Debug)]
pub struct NewStep {
    /// Whom it rings: 1 to 20.
    pub to: Vec<To>,
    /// Minutes until the next step is tried: 1 to 1440.
    pub escalate_after_minutes: u32,
}

/// An escalation policy, by names.
#[derive(Clone, Debug)]
pub struct PolicyView {
    /// The policy.
    pub policy: EscalationPolicy,
    /// Whose it is.
    pub team: Option<Handle>,
    /// Its steps.
    pub steps: Vec<ViewStep>,
    /// Who is always there.
    pub last_resort: Vec<Named>,
    /// The services that page by it.
    pub services: Vec<Handle>,
    /// Targets that would reach nobody now, in words.
    pub warnings: Vec<String>,
}

impl NewPolicy {
    fn check(&self) -> Result<(), SetupRefused> {
        if self.steps.is_empty() || self.steps.len() > MAX {
            return Err(field("steps", format!("must have 1 to {MAX} steps")));
        }
        for (at, step) in self.steps.iter().enumerate() {
            if step.to.is_empty() || step.to.len() > MAX {
                return Err(field(format!("steps[{at}].to"), format!("must name 1 to {MAX}: an empty step would be silence")));
            }
            within(format!("steps[{at}].escalate_after_minutes"), step.escalate_after_minutes, 1..=DAY)?;
        }
        within("repeats", self.repeats, 0..=MAX_REPEATS)?;
        if self.last_resort.len() > MAX {
            return Err(field("last_resort", format!("may name at most {MAX}")));
        }
        Ok(())
    }

    /// As it is stored; everybody it names is looked up.
    async fn resolved(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<EscalationPolicy, SetupError> {
        let team = match &self.team {
            None => None,
            Some(name) => Some(setup::team(tx.db(), name, "team").await?.id),
        };
        let mut steps = Vec::with_capacity(self.steps.len());
        for (at, step) in self.steps.iter().enumerate() {
            let targets = targets(tx, &step.to, &format!("steps[{at}].to")).await?;
            steps.push(Step { targets, escalate_after: step.escalate_after_minutes * 60 });
        }
        let last_resort = targets(tx, &self.last_resort, "last_resort").await?;
        let (id, name, repeats) = (EscalationPolicyId::new(now), self.name.clone(), self.repeats);
        Ok(EscalationPolicy { id, name, team, steps, repeats, last_resort, created_at: now })
    }
}

async fn targets(tx: &mut Tx<'_>, to: &[To], at: &str) -> Result<Vec<Target>, SetupError> {
    let mut targets = Vec::with_capacity(to.len());
    for (place, to) in to.iter().enumerate() {
        let at = format!("{at}[{place}]");
        let target = setup::target(tx, to, &at).await?;
        if targets.contains(&target) {
            return Err(field(at, format!("names {to} a second time")).into());
        }
        targets.push(target);
    }
    Ok(targets)
}

impl Paging {
    /// Makes an escalation policy.
    ///
    /// # Errors
    /// Only administrators may; [`SetupRefused`].
    pub async fn create_policy(&self, call: &Call, new: NewPolicy) -> Result<PolicyView, SetupError> {
        self.write_policy(call, new, false).await.map(|(view, _)| view)
    }

    /// Makes an escalation policy, or makes the one of that name into something else for incidents that begin from then on; whether it
    /// is new.
    ///
    /// # Errors
    /// Only administrators may; [`SetupRefused`].
    pub async fn put_policy(&self, call: &Call, new: NewPolicy) -> Result<(PolicyView, bool), SetupError> {
        self.write_policy(call, new, true).await
    }

    async fn write_policy(&self, call: &Call, new: NewPolicy, over: bool) -> Result<(PolicyView, bool), SetupError> {
        call.admin()?;
        new.check()?;
        let (now, parts, actor, name) = (self.clock.now(), self.parts.clone(), call.actor(None), new.name.clone());
        let written = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let before = if over { store::lock(tx, &new.name).await? } else { None };
                let policy = new.resolved(tx, now).await?;
                let Some(EscalationPolicy { id, created_at, .. }) = before else {
                    if !store::insert(tx, &policy).await? {
                        return Err(SetupRefused::NameTaken(policy.name).into());
                    }
                    setup::record(tx, &parts, now, actor, ("escalation_policy.created", policy.id), said(&policy)).await?;
                    return Ok(true);
                };
                let policy = EscalationPolicy { id, created_at, ..policy };
                if before.as_ref() != Some(&policy) {
                    store::update(tx, &policy).await?;
                    setup::record(tx, &parts, now, actor, ("escalation_policy.changed", id), said(&policy)).await?;
                }
                Ok::<_, SetupError>(false)
            })
        });
        let is_new = written.await?;
        Ok((self.policy_view(name).await?, is_new))
    }

    /// Removes an escalation policy. Incidents that began with it go on.
    ///
    /// # Errors
    /// Only administrators may; [`SetupRefused::InUse`] while a service pages by it.
    pub async fn remove_policy(&self, call: &Call, name: Handle) -> Result<(), SetupError> {
        call.admin()?;
        let (now, parts, actor) = (self.clock.now(), self.parts.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let policy = store::lock(tx, &name).await?.ok_or_else(|| none(&name))?;
                let services = store::services(tx.db(), policy.id).await?;
                if !services.is_empty() {
                    return Err(SetupRefused::InUse(services.into_iter().map(|name| format!("service {name}")).collect()).into());
                }
                store::remove(tx, policy.id, now).await?;
                let entry = ("escalation_policy.removed", policy.id);
                Ok(setup::record(tx, &parts, now, actor, entry, json!({"name": name})).await?)
            })
        })
        .await
    }

    /// One escalation policy.
    ///
    /// # Errors
    /// When the caller may not see it; [`SetupRefused::NotFound`].
    pub async fn policy(&self, call: &Call, name: Handle) -> Result<PolicyView, SetupError> {
        setup::may_look(call)?;
        self.policy_view(name).await
    }

    /// The escalation policies, by name.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub async fn escalation_policies(&self, call: &Call) -> Result<Vec<PolicyView>, SetupError> {
        setup::may_look(call)?;
        let now = self.clock.now();
        let all = self.store.scan(move |db| {
            Box::pin(async move {
                let mut views = Vec::new();
                for policy in store::list(db).await? {
                    views.push(view(db, policy, now).await?);
                }
                Ok::<_, db::Error>(views)
            })
        });
        Ok(all.await?)
    }

    async fn policy_view(&self, name: Handle) -> Result<PolicyView, SetupError> {
        let now = self.clock.now();
        self.store
            .read(move |db| {
                Box::pin(async move {
                    let policy = store::find_named(db, &name).await?.ok_or_else(|| none(&name))?;
                    Ok(view(db, policy, now).await?)
                })
            })
            .await
    }
}

fn none(name: &Handle) -> SetupRefused {
    SetupRefused::NotFound(format!("escalation policy {name}"))
}

fn said(policy: &EscalationPolicy) -> serde_json::Value {
    json!({"name": policy.name, "team": policy.team, "steps": policy.steps, "repeats": policy.repeats,
        "last_resort": policy.last_resort})
}

async fn view(db: &mut Db<'_>, policy: EscalationPolicy, now: Timestamp) -> db::Result<PolicyView> {
    let team = match policy.team {
        None => None,
        Some(team) => Some(setup::team_name(db, team).await?),
    };
    let (mut steps, mut warnings) = (Vec::new(), Vec::new());
    for (at, step) in policy.steps.iter().enumerate() {
        warnings.extend(silent(db, &step.targets, &format!("steps[{at}].to"), now).await?);
        steps.push(ViewStep { targets: named(db, &step.targets).await?, escalate_after: Some(step.escalate_after) });
    }
    warnings.extend(silent(db, &policy.last_resort, "last_resort", now).await?);
    let last_resort = named(db, &policy.last_resort).await?;
    let services = store::services(db, policy.id).await?;
    Ok(PolicyView { policy, team, steps, last_resort, services, warnings })
}

/// The targets that would reach nobody now, in words.
async fn silent(db: &mut Db<'_>, targets: &[Target], at: &str, now: Timestamp) -> db::Result<Vec<String>> {
    let mut silent = Vec::new();
    for (place, target) in targets.iter().enumerate() {
        if !reaching::people(db, &[*target], now).await?.is_empty() {
            continue;
        }
        let why = match (target, named(db, &[*target]).await?.first()) {
            (Target::User(user), _) => format!("@{} has left", identity::known_user(db, *user).await?.handle),
            (Target::Team(_), Some(Named::Team(name))) => format!("team {name} has no members"),
            (Target::Schedule(_), Some(Named::Schedule(name))) => format!("schedule {name} has nobody on call now"),
            (Target::Team(_) | Target::Schedule(_), _) => format!("{target} was removed"),
        };
        silent.push(format!("{at}[{place}]: {why}"));
    }
    Ok(silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut NewPolicy)) -> Option<String> {
        let step = NewStep { to: vec!["@ys".parse().unwrap()], escalate_after_minutes: 5 };
        let mut policy =
            NewPolicy { name: "api".parse().unwrap(), team: None, steps: vec![step], repeats: 0, last_resort: Vec::new() };
        change(&mut policy);
        match policy.check() {
            Ok(()) => None,
            Err(SetupRefused::Field { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_field() {
        let more = |policy: &mut NewPolicy, count| policy.steps = vec![policy.steps[0].clone(); count];
        let named = |policy: &mut NewPolicy, count| policy.steps[0].to = vec!["@ys".parse().unwrap(); count];
        assert_eq!(refused(|_| ()), None);
        assert_eq!(refused(|policy| more(policy, 20)), None);
        for count in [0, 21] {
            assert_eq!(refused(|policy| more(policy, count)).as_deref(), Some("steps"));
            assert_eq!(refused(|policy| named(policy, count)).as_deref(), Some("steps[0].to"));
        }
        for minutes in [0, 1441] {
            let found = refused(|policy| policy.steps[0].escalate_after_minutes = minutes);
            assert_eq!(found.as_deref(), Some("steps[0].escalate_after_minutes"));
        }
        assert_eq!(refused(|policy| policy.repeats = 20), None);
        assert_eq!(refused(|policy| policy.repeats = 21).as_deref(), Some("repeats"));
        assert_eq!(refused(|policy| policy.last_resort = vec!["@ys".parse().unwrap(); 21]).as_deref(), Some("last_resort"));
    }
}
