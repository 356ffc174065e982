//! Who is on call: now, next, and in spans of time; and where nobody is.

use std::time::Duration;

use super::changing::{naming, unknown};
use super::overriding::OverrideView;
use super::roster::{Because, REACH, Roster, ShiftView};
use super::{Error, Refused, Schedule, Schedules, invalid, store};
use crate::clock::Timestamp;
use crate::db::{self, Db};
use crate::id::UserId;
use crate::identity::{self, Call, CallRefusal, Caller, Handle, Scope, User};
use crate::oncall::Span;

/// How far ahead gaps are looked for.
const AHEAD: Duration = Duration::from_hours(24 * 7);

/// How far ahead the next person is looked for.
const NEXT: Duration = Duration::from_hours(24 * 62);

/// The most that shifts are shown of at once.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// Of which schedules it is asked who is on call.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// This one alone.
    pub schedule: Option<Handle>,
    /// Those of this team alone.
    pub team: Option<Handle>,
    /// When; now when it is left out.
    pub at: Option<Timestamp>,
}

/// A schedule, by names.
#[derive(Clone, Debug)]
pub struct ScheduleView {
    /// The schedule. People of its layers are named by `@handle`.
    pub schedule: Schedule,
    /// Whose it is.
    pub team: Option<Handle>,
    /// Its overrides that are not over, in the order they were made.
    pub overrides: Vec<OverrideView>,
    /// The escalation policies that name it.
    pub policies: Vec<Handle>,
}

/// Who is on call by a schedule.
#[derive(Clone, Debug)]
pub struct OnCall {
    /// Its name.
    pub schedule: Handle,
    /// Whose it is.
    pub team: Option<Handle>,
    /// The zone whose wall clock counts.
    pub zone: String,
    /// Who; nobody in a gap.
    pub now: Option<OnDuty>,
    /// Who comes next, and from when, within two months.
    pub next: Option<(User, Timestamp)>,
    /// When nobody is on call, in the next seven days.
    pub gaps: Vec<Span>,
    /// The escalation policies that name it.
    pub policies: Vec<Handle>,
}

/// Somebody who is on call.
#[derive(Clone, Debug)]
pub struct OnDuty {
    /// Who.
    pub who: User,
    /// Why.
    pub why: Because,
    /// Since when, unless that is more than two months ago.
    pub since: Option<Timestamp>,
    /// Until when, unless that is more than two months away.
    pub until: Option<Timestamp>,
}

/// A shift of the person who asks.
#[derive(Clone, Debug)]
pub struct MyShift {
    /// Of which schedule.
    pub schedule: Handle,
    /// When, and why.
    pub shift: ShiftView,
}

/// Everybody in the house may know who is on call.
fn reads(call: &Call) -> Result<(), CallRefusal> {
    match call.caller {
        Caller::Operator => Ok(()),
        _ => call.person_or_bot(Scope::IncidentsRead),
    }
}

impl Schedules {
    /// The schedules, by name.
    ///
    /// # Errors
    /// For people and bots with the scope.
    pub async fn list(&self, call: &Call) -> Result<Vec<ScheduleView>, Error> {
        reads(call)?;
        let now = self.clock.now();
        self.store
            .scan(move |db| {
                Box::pin(async move {
                    let schedules = store::list(db).await?;
                    Ok(views(db, schedules, now).await?)
                })
            })
            .await
    }

    /// One schedule.
    ///
    /// # Errors
    /// For people and bots with the scope; [`Refused::NotFound`].
    pub async fn find(&self, call: &Call, name: Handle) -> Result<ScheduleView, Error> {
        reads(call)?;
        let now = self.clock.now();
        self.store
            .read(move |db| {
                Box::pin(async move {
                    let schedule = store::find_named(db, &name).await?.ok_or_else(|| unknown(&name))?;
                    Ok(views(db, vec![schedule], now).await?.remove(0))
                })
            })
            .await
    }

    /// Who is on call by each schedule that is asked for, by its name.
    ///
    /// # Errors
    /// For people and bots with the scope; [`Refused::NotFound`] of the schedule or the team.
    pub async fn on_call(&self, call: &Call, asked: Asked) -> Result<(Timestamp, Vec<OnCall>), Error> {
        reads(call)?;
        let at = asked.at.unwrap_or_else(|| self.clock.now());
        self.store
            .scan(move |db| {
                Box::pin(async move {
                    let schedules = wanted(db, &asked).await?;
                    Ok((at, on_call(db, schedules, at).await?))
                })
            })
            .await
    }

    /// Who is on call by a schedule during `within`, one after the other, gaps among them.
    ///
    /// # Errors
    /// For people and bots with the scope; [`Refused::NotFound`]; at most 366 days.
    pub async fn shifts(&self, call: &Call, name: Handle, within: Span) -> Result<(ScheduleView, Vec<ShiftView>), Error> {
        reads(call)?;
        short_enough(within)?;
        let now = self.clock.now();
        self.store
            .scan(move |db| {
                Box::pin(async move {
                    let schedule = store::find_named(db, &name).await?.ok_or_else(|| unknown(&name))?;
                    let shifts = Roster::load(db, schedule.clone(), within.from).await?.shifts(within)?;
                    Ok((views(db, vec![schedule], now).await?.remove(0), shifts))
                })
            })
            .await
    }

    /// When the caller is on call during `within`, by whichever schedule, in the order of time.
    ///
    /// # Errors
    /// When the caller is not a person; at most 366 days.
    pub async fn my_shifts(&self, call: &Call, within: Span) -> Result<Vec<MyShift>, Error> {
        let user = match call.speaks_for(Scope::IncidentsRead)? {
            Some(user) => user.id,
            None => call.person()?.user.id,
        };
        short_enough(within)?;
        self.store.scan(move |db| Box::pin(async move { Ok(shifts_of(db, user, within).await?) })).await
    }

    /// How long nobody will be on call in the next seven days by schedules that escalation policies name, all together.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn uncovered(&self) -> db::Result<Duration> {
        let now = self.clock.now();
        self.store
            .scan(move |db| {
                Box::pin(async move {
                    let policies = store::policies(db).await?;
                    let mut schedules = store::list(db).await?;
                    schedules.retain(|schedule| !naming(&policies, schedule.id).is_empty());
                    let Some(ahead) = Span::new(now, now.after(AHEAD)) else { return Ok(Duration::ZERO) };
                    let rosters = Roster::load_all(db, schedules, now).await?;
                    let gaps = rosters.iter().flat_map(|roster| roster.gaps(ahead));
                    Ok(gaps.map(|gap| gap.from.until(gap.until)).sum())
                })
            })
            .await
    }
}

fn short_enough(within: Span) -> Result<(), Refused> {
    if within.from.until(within.until) > LONGEST { Err(invalid("until", "may be at most 366 days after `from`")) } else { Ok(()) }
}

/// The schedules that are asked for.
async fn wanted(db: &mut Db<'_>, asked: &Asked) -> Result<Vec<Schedule>, Error> {
    let mut schedules = match &asked.schedule {
        None => store::list(db).await?,
        Some(name) => vec![store::find_named(db, name).await?.ok_or_else(|| unknown(name))?],
    };
    if let Some(name) = &asked.team {
        let team = identity::find_team(db, name).await?;
        let team = team.ok_or_else(|| Refused::NotFound(format!("team {}", name.as_str())))?;
        schedules.retain(|schedule| schedule.team == Some(team.id));
    }
    Ok(schedules)
}

/// The name of a schedule's team.
async fn team_name(db: &mut Db<'_>, schedule: &Schedule) -> db::Result<Option<Handle>> {
    match schedule.team {
        None => Ok(None),
        Some(team) => Ok(identity::known_team(db, team).await?.map(|team| team.name)),
    }
}

async fn views(db: &mut Db<'_>, schedules: Vec<Schedule>, now: Timestamp) -> db::Result<Vec<ScheduleView>> {
    let policies = store::policies(db).await?;
    let mut views = Vec::with_capacity(schedules.len());
    for roster in Roster::load_all(db, schedules, now).await? {
        let mut schedule = roster.schedule.clone();
        for person in schedule.layers.iter_mut().flat_map(|layer| layer.people.iter_mut()) {
            let id = person.parse().map_err(|error| db::Error::inconsistent("schedules", roster.schedule.id, error))?;
            *person = format!("@{}", roster.person(id)?.handle.as_str());
        }
        views.push(ScheduleView {
            team: team_name(db, &schedule).await?,
            overrides: roster.overrides.iter().map(|over| roster.view(over)).collect::<db::Result<_>>()?,
            policies: naming(&policies, schedule.id),
            schedule,
        });
    }
    Ok(views)
}

async fn on_call(db: &mut Db<'_>, schedules: Vec<Schedule>, at: Timestamp) -> db::Result<Vec<OnCall>> {
    let policies = store::policies(db).await?;
    let mut all = Vec::with_capacity(schedules.len());
    for roster in Roster::load_all(db, schedules, at.before(REACH)).await? {
        let current = roster.stint_at(at, REACH);
        let now = match (current.who, current.why) {
            (Some(who), Some(why)) => {
                Some(OnDuty { who: roster.person(who)?, why: roster.because(why)?, since: current.since, until: current.until })
            }
            _ => None,
        };
        all.push(OnCall {
            schedule: roster.schedule.name.clone(),
            team: team_name(db, &roster.schedule).await?,
            zone: roster.schedule.zone.clone(),
            now,
            next: next(&roster, current.until)?,
            gaps: Span::new(at, at.after(AHEAD)).map(|ahead| roster.gaps(ahead)).unwrap_or_default(),
            policies: naming(&policies, roster.schedule.id),
        });
    }
    Ok(all)
}

/// Who comes after what ends then.
fn next(roster: &Roster, ends: Option<Timestamp>) -> db::Result<Option<(User, Timestamp)>> {
    let Some(ends) = ends else { return Ok(None) };
    // Most often it is whoever takes over; a gap is looked beyond.
    let found = [Duration::from_secs(1), NEXT].into_iter().find_map(|far| {
        let stints = roster.stints(Span::new(ends, ends.after(far))?);
        stints.into_iter().find_map(|stint| stint.who.map(|who| (who, stint.span.from)))
    });
    found.map(|(who, from)| Ok((roster.person(who)?, from))).transpose()
}

/// When somebody is on call, by whichever schedule, in the order of time.
pub(super) async fn shifts_of(db: &mut Db<'_>, user: UserId, within: Span) -> db::Result<Vec<MyShift>> {
    let schedules = store::list(db).await?;
    let mut mine = Vec::new();
    for roster in Roster::load_all(db, schedules, within.from).await?.iter().filter(|roster| roster.has(user)) {
        let shifts = roster.shifts(within)?.into_iter();
        let of_theirs = shifts.filter(|shift| shift.who.as_ref().is_some_and(|(who, _)| who.id == user));
        mine.extend(of_theirs.map(|shift| MyShift { schedule: roster.schedule.name.clone(), shift }));
    }
    mine.sort_by_key(|mine| mine.shift.span.from);
    Ok(mine)
}
