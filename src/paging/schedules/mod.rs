//! Schedules: who is on call when, as it is stored. The calculation is [`oncall`](crate::oncall)'s.
//!
//! [`changing`] makes and changes schedules, [`overriding`] lets somebody take the pager for a while, [`hand_over`] tells who comes on and
//! who goes off, [`looking`] answers who is on call, and [`feed`] puts it into calendars.
//!
//! **Invariants**
//! - Who left is on call nowhere, whatever a schedule says.
//! - Whoever gets the pager is told, and so is whoever gives it away, once, whatever brought it about: a turn, an override, a change.
//! - What an override did stays: one that has begun is ended, not taken away.
//! - A calendar's address is stored as its digest alone, and shown once.

mod calendar;
mod changing;
mod feed;
mod hand_over;
mod looking;
mod overriding;
mod roster;
mod store;
mod words;

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Timestamp};
use crate::db::{self, Db, Store, Tx};
use crate::id::{OverrideId, ScheduleId, TeamId, UserId};
use crate::identity::{self, Handle, UserRef};
use crate::journal::Actor;
use crate::oncall::{self, Covered, NotASchedule, Span, WrittenLayer};

use super::service::Parts;

pub use changing::NewSchedule;
pub use feed::{Calendar, CalendarFeed, FeedView};
pub use looking::{Asked, MyShift, OnCall, OnDuty, ScheduleView};
pub use overriding::{NewOverride, OverrideView, Until};
pub use roster::{Because, ShiftView};

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// Its name.
    pub name: Handle,
    /// Whose it is.
    pub team: Option<TeamId>,
    /// The name of the zone whose wall clock counts.
    pub zone: String,
    /// The lowest first. People are named by id.
    pub layers: Vec<WrittenLayer>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it, or an override of it, was changed last.
    pub changed_at: Timestamp,
    /// Who was told last that they have the pager.
    holder: Option<UserId>,
    /// When it is looked again whether somebody else has it.
    hand_over_at: Option<Timestamp>,
    /// Which gaps the team was told of.
    gaps_told: GapsTold,
}

/// Which gaps the team of a schedule was told of since it was made or changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct GapsTold {
    /// The beginnings of those that are near and not over.
    near: Vec<Timestamp>,
    /// Whether they were told that there are hours of every week that nobody covers: they need not hear it every week.
    hours: bool,
}

/// Somebody takes the pager for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Its id.
    pub id: OverrideId,
    /// Of which schedule.
    pub schedule: ScheduleId,
    /// Who.
    pub user: UserId,
    /// In whose place alone; in anybody's when there is none.
    pub instead_of: Option<UserId>,
    /// When.
    pub span: Span,
    /// Who made it.
    pub made_by: Actor,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Schedules and what they stand on. Cheap to share behind an `Arc`.
pub struct Schedules {
    store: Store,
    clock: Clock,
    parts: Parts,
    issuer: String,
}

/// Why something about a schedule was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such schedule, override, team or calendar.
    #[error("there is no {0}")]
    NotFound(String),
    /// A schedule has the name.
    #[error("the schedule {0} is there already")]
    Taken(Handle),
    /// A field makes no sense.
    #[error("{why}")]
    Invalid {
        /// Which: `layers[0].shift`.
        field: String,
        /// Why.
        why: String,
    },
    /// Escalation policies name the schedule.
    #[error("the schedule is named by the escalation policies {}: change these first", names(policies))]
    InUse {
        /// Which.
        policies: Vec<Handle>,
    },
    /// There are enough schedules.
    #[error("there are {} schedules already", changing::MAX)]
    TooMany,
    /// There are enough overrides of the schedule.
    #[error("the schedule has {} overrides that are not over already", overriding::MAX)]
    TooManyOverrides,
    /// There are enough calendars of the person.
    #[error("you have {} calendars already: revoke one", feed::MAX)]
    TooManyFeeds,
    /// It is over; the past stays as it was.
    #[error("that override is over")]
    Over,
    /// Only whoever has to do with the schedule may.
    #[error("only the members of its team, the people on it and administrators give away the pager of {0}")]
    NotTheirs(Handle),
}

/// What the services of schedules return when they do not do as they were asked.
pub type Error = identity::Failure<Refused>;

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<NotASchedule> for Refused {
    fn from(error: NotASchedule) -> Self {
        match error {
            NotASchedule::Key { key, why } => Self::Invalid { field: key, why },
            NotASchedule::Toml(error) => invalid("layers", error.to_string()),
        }
    }
}

fn invalid(field: impl Into<String>, why: impl Into<String>) -> Refused {
    Refused::Invalid { field: field.into(), why: why.into() }
}

fn names(handles: &[Handle]) -> String {
    handles.iter().map(Handle::as_str).collect::<Vec<_>>().join(", ")
}

impl Schedules {
    /// The schedules of one installation; `issuer` is its address without a trailing slash.
    #[must_use]
    pub fn new(store: Store, clock: Clock, parts: Parts, issuer: String) -> Self {
        Self { store, clock, parts, issuer }
    }
}

impl Schedule {
    /// As the calculators have it, with these overrides above it.
    ///
    /// # Errors
    /// When what is stored is no schedule.
    pub fn calculated(&self, overrides: &[Override]) -> db::Result<oncall::Schedule<UserId>> {
        let broken = |what: String| db::Error::inconsistent("schedules", self.id, what);
        let layered = oncall::layered(&self.zone, self.layers.clone()).map_err(|error| broken(error.to_string()))?;
        let mut schedule = layered.named(|person| person.parse::<UserId>()).map_err(|error| broken(error.to_string()))?;
        schedule.overrides.extend(overrides.iter().map(|over| oncall::Override {
            who: over.user,
            span: over.span,
            instead_of: over.instead_of,
        }));
        Ok(schedule)
    }
}

/// Who is on call by a schedule at `at`; none in a gap, and none when the schedule was removed.
///
/// # Errors
/// Storage errors.
pub async fn on_call(db: &mut Db<'_>, id: ScheduleId, at: Timestamp) -> db::Result<Option<UserId>> {
    let Some(schedule) = store::find(db, id).await? else { return Ok(None) };
    let overrides = store::overrides(db, id, at, at.after(std::time::Duration::from_micros(1))).await?;
    Ok(match schedule.calculated(&overrides)?.at(at) {
        Covered::By(user, _) => identity::active_user(db, &UserRef::Id(user)).await?.map(|user| user.id),
        Covered::Gap => None,
    })
}

/// Forgets some overrides and calendars that were over before then; how many.
///
/// # Errors
/// Storage errors.
pub async fn forget_before(tx: &mut Tx<'_>, before: Timestamp) -> db::Result<u64> {
    store::forget_before(tx, before).await
}

/// The schedule of that id.
///
/// # Errors
/// Storage errors.
pub async fn known(db: &mut Db<'_>, id: ScheduleId) -> db::Result<Option<Schedule>> {
    store::find(db, id).await
}

/// The schedule of that name.
///
/// # Errors
/// Storage errors.
pub async fn find(db: &mut Db<'_>, name: &Handle) -> db::Result<Option<Schedule>> {
    store::find_named(db, name).await
}

/// The schedule of that name, kept from being removed until the transaction ends.
///
/// # Errors
/// Storage errors.
pub(super) async fn keep(tx: &mut Tx<'_>, name: &Handle) -> db::Result<Option<ScheduleId>> {
    store::keep(tx, name).await
}
