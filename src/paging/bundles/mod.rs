//! Incidents that one person is told of together: a storm of one team's, and what can wait.
//!
//! ```text
//!   the 4th urgent incident of a team in a minute ──► a storm: one push that counts them
//!        another joins ──► the count changes on the same card, every 15 s at most
//!        one of them rings again ──► the next push rings again, but not twice within half a ring's time
//!        none of them rings any more ──► the card says so, and the next incident rings by itself
//!
//!   an incident that can wait ──► five minutes later one push with all that came until then
//! ```
//!
//! Each incident keeps its timer and its timeline; folded is only how a person hears of it. Pages that name no service are told by
//! themselves: somebody waits for those.
//!
//! **Invariants**
//! - What is folded is counted by a push within [`UPDATE_EVERY`] of it, or within [`LOW_WINDOW`] when it can wait.
//! - A bundle is changed under its row's lock, which is taken after its incident's: nobody locks an incident while holding it.
//! - A bundle without an incident that rings is over; the next begins with an id of its own.

mod folding;
pub(super) mod store;
#[cfg(test)]
mod tests;

pub(super) use folding::{due, gather, left, members_of, storm};

use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::{BundleId, UserId};

/// So many urgent incidents of one team ring a person by themselves within [`STORM_WINDOW`]; the next begins a storm.
const STORM_AFTER: usize = 3;

/// See [`STORM_AFTER`].
const STORM_WINDOW: Duration = Duration::from_secs(60);

/// The count of a storm changes at most so often.
const UPDATE_EVERY: Duration = Duration::from_secs(15);

/// What can wait is told together with what comes so soon after it.
const LOW_WINDOW: Duration = Duration::from_secs(300);

/// What kind of bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Urgent incidents of one team.
    Storm,
    /// What can wait, of whichever team.
    Low,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Storm => "storm",
            Self::Low => "low",
        }
    }
}

/// Whether somebody was told of an incident in a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    /// They are, or will be at once.
    Told,
    /// It rings by itself.
    Alone,
}

/// A bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    /// What its pushes are about.
    pub(super) id: BundleId,
    pub(super) user: UserId,
    pub(super) kind: Kind,
    /// The team of a storm, the person of what can wait.
    pub(super) group: uuid::Uuid,
    /// Its last ring; 0 before the first.
    pub(super) round: u32,
    pub(super) rung_at: Option<Timestamp>,
    pub(super) told_at: Option<Timestamp>,
    pub(super) due_at: Option<Timestamp>,
}

/// How many incidents are in a bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Ever since it began.
    pub(super) all: u32,
    /// That still ring.
    pub(super) open: u32,
    /// Of those, how many no push has counted yet.
    pub(super) uncounted: u32,
}

/// What is done about a storm that one of its incidents rings in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Ring with the count of now.
    Ring,
    /// Change the count where it stands.
    Update,
    /// Change it then.
    UpdateAt(Timestamp),
    /// It rang just now, and counts them all.
    Nothing,
}

impl Bundle {
    /// Whether what it held is over, so that the next incident begins anew.
    fn is_over(&self, size: Size) -> bool {
        size.open == 0 && (size.all > 0 || self.round > 0)
    }

    fn turn(&self, size: Size, ring_every: Duration, now: Timestamp) -> Turn {
        let rang_just_now = self.rung_at.is_some_and(|at| at.until(now) < ring_every / 2);
        match (rang_just_now, self.told_at.map(|at| at.after(UPDATE_EVERY))) {
            (false, _) => Turn::Ring,
            (true, _) if size.uncounted == 0 => Turn::Nothing,
            (true, Some(then)) if then > now => Turn::UpdateAt(then),
            (true, _) => Turn::Update,
        }
    }
}
