//! Maintenance windows planned and ended.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Maintained, MaintenanceWindow, store, telling};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::{MaintenanceWindowId, TeamId};
use crate::identity::{self, Call, CallRefusal, Caller, Handle, Role, Scope, User};
use crate::jobs::{self, Job, Kind};
use crate::journal::Actor;
use crate::paging::setup::{self, SetupError, SetupRefused, field};
use crate::paging::{Paging, Parts, alerts, services};

/// A longer window is a mistake.
const LONGEST: Duration = Duration::from_hours(90 * 24);

/// A longer one takes more than a line of chat, which anybody who has the bot's key may say.
const LONGEST_SAID: Duration = Duration::from_hours(24);

/// So far ahead may one be planned.
const AHEAD: Duration = Duration::from_hours(366 * 24);

/// How long after a part of what was suppressed the next is looked at.
const WAKE_EVERY: Duration = Duration::from_millis(100);

/// A window to be planned.
#[derive(Clone, Debug)]
pub struct NewWindow {
    /// About what.
    pub of: MaintenanceFor,
    /// From when; now when absent.
    pub from: Option<Timestamp>,
    /// Until when.
    pub until: Until,
    /// Why.
    pub reason: String,
}

/// When a window ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// At that time.
    At(Timestamp),
    /// So long after its beginning.
    For(Duration),
}

/// About what, by name.
#[derive(Clone, Debug)]
pub enum MaintenanceFor {
    /// One service.
    Service(Handle),
    /// Every service of a team.
    Team(Handle),
}

/// A window, by names.
#[derive(Clone, Debug)]
pub struct WindowView {
    /// The window.
    pub window: MaintenanceWindow,
    /// About what.
    pub of: MaintenanceFor,
    /// Who planned it; none when it was the operator.
    pub by: Option<User>,
}

impl NewWindow {
    /// From when until when.
    fn span(&self, now: Timestamp) -> Result<(Timestamp, Timestamp), SetupRefused> {
        let from = self.from.unwrap_or(now);
        if from > now.after(AHEAD) {
            return Err(field("from", "may be at most a year ahead"));
        }
        let (until, named) = match self.until {
            Until::At(until) => (until, "until"),
            Until::For(time) => (from.after(time), "for_seconds"),
        };
        if until <= from || until <= now {
            return Err(field(named, "must end it after its beginning, and after now"));
        }
        if from.until(until) > LONGEST {
            return Err(field(named, "must end it within 90 days"));
        }
        Ok((from, until))
    }
}

impl Paging {
    /// Plans a maintenance window, which may begin now.
    ///
    /// # Errors
    /// Only administrators and members of the team may; [`SetupRefused`].
    pub async fn plan_maintenance(&self, call: &Call, new: NewWindow) -> Result<WindowView, SetupError> {
        may_ask(call)?;
        let (now, parts, call_copy) = (self.clock.now(), self.parts.clone(), call.clone());
        let (from, until) = new.span(now)?;
        let made = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let (of, team) = maintained(tx, &new.of).await?;
                may(tx.db(), &call_copy, team).await?;
                let (id, made_by) = (MaintenanceWindowId::new(now), call_copy.actor(None));
                let window =
                    MaintenanceWindow { id, of, from, until, reason: new.reason, made_by, created_at: now, ended_at: None };
                if call_copy.heard.is_some() && from.until(until) > LONGEST_SAID {
                    return Err(field("for_seconds", "may be at most a day in chat: plan a longer one in the app").into());
                }
                store::insert(tx, &window).await?;
                parts.queue.enqueue(tx, Kind::MaintenanceOver, id.0, until).await?;
                let (MaintenanceFor::Service(name) | MaintenanceFor::Team(name)) = &new.of;
                telling::planned(tx, &parts, &call_copy, &window, (name.as_str(), team), now).await?;
                let data = said(&window, call_copy.origin());
                setup::record(tx, &parts, now, made_by, ("maintenance.planned", id), data).await?;
                Ok::<_, SetupError>(id)
            })
        });
        let id = made.await?;
        self.window_view(id).await
    }

    /// Ends a maintenance window early. Ending what was not to begin yet takes it back.
    ///
    /// # Errors
    /// Only administrators and members of the team may; [`SetupRefused::Over`].
    pub async fn end_maintenance(&self, call: &Call, id: MaintenanceWindowId) -> Result<(), SetupError> {
        may_ask(call)?;
        let (now, parts, call_copy) = (self.clock.now(), self.parts.clone(), call.clone());
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let window = store::lock(tx, id).await?.ok_or_else(|| SetupRefused::NotFound(id.to_string()))?;
                let team = team_of(tx.db(), window.of).await?;
                may(tx.db(), &call_copy, team).await?;
                if window.ended_at.is_some() || window.until <= now {
                    return Err(SetupRefused::Over.into());
                }
                end(tx, &parts, &window, (call_copy.actor(None), call_copy.origin()), now).await?;
                // Not within this call, for what is still open then may be much.
                Ok(parts.queue.enqueue(tx, Kind::MaintenanceOver, id.0, now).await?)
            })
        })
        .await
    }

    /// A window is over: by its time, or ended early a moment ago.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn maintenance_over(&self, id: MaintenanceWindowId, job: Job) -> db::Result<()> {
        let (now, parts) = (self.clock.now(), self.parts.clone());
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    if !jobs::complete(tx, &job).await? {
                        return Ok(());
                    }
                    let Some(window) = store::lock(tx, id).await? else { return Ok(()) };
                    if window.ended_at.is_none() {
                        if now < window.until {
                            return parts.queue.enqueue(tx, Kind::MaintenanceOver, id.0, window.until).await;
                        }
                        end(tx, &parts, &window, (Actor::System, None), now).await?;
                    }
                    crate::crash_point!("maintenance-ended");
                    if alerts::wake(tx, &parts.queue, window.of, now).await? {
                        parts.queue.enqueue(tx, Kind::MaintenanceOver, id.0, now.after(WAKE_EVERY)).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// A page of the maintenance windows that are not over, those that run first, or of all, the one that begins last first; and whether
    /// there are more. `behind` is the last of the page before.
    ///
    /// # Errors
    /// When the caller may not see them, or there is no such window.
    pub async fn maintenance_windows(
        &self,
        call: &Call,
        all: bool,
        behind: Option<MaintenanceWindowId>,
        limit: u32,
    ) -> Result<(Vec<WindowView>, bool), SetupError> {
        setup::may_look(call)?;
        let now = self.clock.now();
        let listed = self.store.scan(move |db| {
            Box::pin(async move {
                let behind = match behind {
                    None => None,
                    Some(id) => Some(store::find(db, id).await?.ok_or_else(|| field("cursor", format!("there is no {id}")))?),
                };
                let mut windows = store::list(db, all, behind.as_ref(), limit.saturating_add(1), now).await?;
                let more = windows.len() > limit as usize;
                windows.truncate(limit as usize);
                let mut views = Vec::with_capacity(windows.len());
                for window in windows {
                    views.push(view(db, window).await?);
                }
                Ok::<_, SetupError>((views, more))
            })
        });
        listed.await
    }

    async fn window_view(&self, id: MaintenanceWindowId) -> Result<WindowView, SetupError> {
        self.store
            .read(move |db| {
                Box::pin(async move {
                    let window = store::find(db, id).await?.ok_or_else(|| SetupRefused::NotFound(id.to_string()))?;
                    Ok(view(db, window).await?)
                })
            })
            .await
    }
}

/// Nothing, when the caller might: an administrator, or a person who may be a member.
fn may_ask(call: &Call) -> Result<(), CallRefusal> {
    match &call.caller {
        Caller::Person(_) => call.established().map(|_| ()),
        _ if call.speaks_for(Scope::IncidentsWrite)?.is_some() => Ok(()),
        _ => call.admin(),
    }
}

async fn may(db: &mut Db<'_>, call: &Call, team: TeamId) -> Result<(), SetupError> {
    let only = CallRefusal::Forbidden("only administrators and members of the team may do this");
    let user = match (call.speaks_for(Scope::IncidentsWrite)?, call.admin()) {
        (Some(user), _) if user.role == Role::Admin => return Ok(()),
        (Some(user), _) => user.id,
        (None, Ok(())) => return Ok(()),
        (None, Err(CallRefusal::Forbidden(_))) => call.established()?.user.id,
        (None, Err(other)) => return Err(other.into()),
    };
    if identity::team_members(db, team).await?.iter().any(|member| member.id == user) {
        return Ok(());
    }
    Err(only.into())
}

async fn maintained(tx: &mut Tx<'_>, of: &MaintenanceFor) -> Result<(Maintained, TeamId), SetupError> {
    Ok(match of {
        MaintenanceFor::Service(name) => {
            let found = services::keep(tx, name).await?;
            let service = found.ok_or_else(|| field("service", format!("there is no service {name}")))?;
            (Maintained::Service(service.id), service.team)
        }
        MaintenanceFor::Team(name) => {
            let team = setup::team(tx.db(), name, "team").await?.id;
            (Maintained::Team(team), team)
        }
    })
}

async fn team_of(db: &mut Db<'_>, of: Maintained) -> db::Result<TeamId> {
    Ok(match of {
        Maintained::Team(team) => team,
        Maintained::Service(id) => services::known(db, id).await?.ok_or_else(|| gone(id))?.team,
    })
}

fn gone(id: crate::id::ServiceId) -> db::Error {
    db::Error::inconsistent("services", id, "referred to and not there")
}

/// Ends a window, by whom and where in chat it was said.
async fn end(
    tx: &mut Tx<'_>,
    parts: &Parts,
    window: &MaintenanceWindow,
    (actor, origin): (Actor, Option<Value>),
    now: Timestamp,
) -> db::Result<()> {
    store::end(tx, window.id, now).await?;
    setup::record(tx, parts, now, actor, ("maintenance.ended", window.id), said(window, origin)).await
}

fn said(window: &MaintenanceWindow, origin: Option<Value>) -> Value {
    let (service, team) = match window.of {
        Maintained::Service(service) => (Some(service), None),
        Maintained::Team(team) => (None, Some(team)),
    };
    let mut data = json!({"service": service, "team": team, "from": window.from, "until": window.until, "reason": window.reason});
    if let Some(origin) = origin {
        data["origin"] = origin;
    }
    data
}

async fn view(db: &mut Db<'_>, window: MaintenanceWindow) -> db::Result<WindowView> {
    let of = match window.of {
        Maintained::Team(team) => MaintenanceFor::Team(setup::team_name(db, team).await?),
        Maintained::Service(id) => MaintenanceFor::Service(services::known(db, id).await?.ok_or_else(|| gone(id))?.name),
    };
    let by = match window.made_by {
        Actor::User { user, .. } => Some(identity::known_user(db, user).await?),
        Actor::Bot { .. } | Actor::Integration { .. } | Actor::Operator | Actor::System | Actor::Enrollee => None,
    };
    Ok(WindowView { window, of, by })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_after_it_began_and_after_now() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let (hour, team) = (Duration::from_hours(1), || MaintenanceFor::Team("api".parse().unwrap()));
        let span = |from, until| NewWindow { of: team(), from, until, reason: "a move".into() }.span(now);
        let refused = |from, until| match span(from, until) {
            Err(SetupRefused::Field { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(span(None, Until::For(hour)), Ok((now, now.after(hour))));
        let later = now.after(hour);
        assert_eq!(span(Some(later), Until::At(later.after(hour))), Ok((later, later.after(hour))));
        assert_eq!(span(Some(now.before(hour)), Until::At(later)), Ok((now.before(hour), later)));
        assert_eq!(refused(None, Until::For(Duration::ZERO)), "for_seconds");
        assert_eq!(refused(Some(later), Until::At(later)), "until");
        assert_eq!(refused(Some(now.before(hour * 2)), Until::At(now.before(hour))), "until");
        assert_eq!(refused(None, Until::For(LONGEST + hour)), "for_seconds");
        assert_eq!(refused(Some(now.after(AHEAD + hour)), Until::For(hour)), "from");
    }
}
