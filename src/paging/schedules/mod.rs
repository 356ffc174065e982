//! Schedules: who is on call when, as it is stored. The calculation is [`oncall`](crate::oncall)'s.
//!
//! **Invariants**
//! - Who left is on call nowhere, whatever a schedule says.

mod store;

use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::{OverrideId, ScheduleId, TeamId, UserId};
use crate::identity::{self, Handle, UserRef};
use crate::journal::Actor;
use crate::oncall::{self, Covered, Span, WrittenLayer};

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
