//! Maintenance windows: times in which nobody is paged about a service, or about any of a team's. What monitoring reports meanwhile is
//! kept, and what is still open when the window ends pages then.
//!
//! **Invariants**
//! - A window ends by itself: its end is a job from the moment it is planned, and a job that was lost is found by
//!   [`Paging::mend`](super::Paging::mend). That job looks again at what the window suppressed, a part at a time, until nothing is left.
//! - Whoever suppresses holds the window until that is written, so its end misses nothing.
//! - A window says why, and who planned it. One that was planned in chat is told to the person who is said to have, and to those who are
//!   not woken meanwhile, and lasts for a day at most.

mod changing;
pub(super) mod store;
mod telling;

use super::services::Service;
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::{MaintenanceWindowId, ServiceId, TeamId};
use crate::journal::Actor;

pub use changing::{MaintenanceFor, NewWindow, Until, WindowView};

/// A time in which nobody is paged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceWindow {
    /// Its id.
    pub id: MaintenanceWindowId,
    /// About what.
    pub of: Maintained,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
    /// Who planned it.
    pub made_by: Actor,
    /// When.
    pub created_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// About what nobody is paged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintained {
    /// One service.
    Service(ServiceId),
    /// Every service of a team.
    Team(TeamId),
}

/// The window in which a service is at `now`; the one that ends last when there are several.
///
/// # Errors
/// Storage errors.
pub async fn maintenance(db: &mut Db<'_>, service: &Service, now: Timestamp) -> db::Result<Option<MaintenanceWindow>> {
    store::current(db, service, now).await
}

/// As [`maintenance`], and kept from ending until the transaction does: its end finds whatever is written because of it.
pub(super) async fn hold(tx: &mut Tx<'_>, service: &Service, now: Timestamp) -> db::Result<Option<MaintenanceWindow>> {
    while let Some(window) = store::current(tx.db(), service, now).await? {
        if store::hold(tx, window.id).await?.is_some_and(|held| held.ended_at.is_none()) {
            return Ok(Some(window));
        }
    }
    Ok(None)
}
