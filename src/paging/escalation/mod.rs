//! Escalation policies: who is paged, then who next. An incident copies its policy when it begins, so a change is for later ones.
//!
//! **Invariants**
//! - A policy has a step and every step somebody: an empty one would be silence.
//! - A policy names people, teams and schedules and never a service or another policy, so none leads to itself.
//! - A policy that a service pages by is not removed.

mod changing;
mod store;

use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::{EscalationPolicyId, TeamId};
use crate::identity::Handle;

use super::plan::{Step, Target};

pub use changing::{MAX_REPEATS, NewPolicy, NewStep, PolicyView};

/// An escalation policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EscalationPolicy {
    /// Its id.
    pub id: EscalationPolicyId,
    /// Its name, for ever.
    pub name: Handle,
    /// Whose it is.
    pub team: Option<TeamId>,
    /// The steps, in the order they are tried. Never empty, and none without targets.
    pub steps: Vec<Step>,
    /// How often the steps are walked once more.
    pub repeats: u32,
    /// Who is always there.
    pub last_resort: Vec<Target>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The policy of that id; none when it was removed.
///
/// # Errors
/// Storage errors.
pub async fn known(db: &mut Db<'_>, id: EscalationPolicyId) -> db::Result<Option<EscalationPolicy>> {
    store::find(db, id).await
}

/// The policy of that name, kept from being removed until the transaction ends.
///
/// # Errors
/// Storage errors.
pub(super) async fn keep(tx: &mut Tx<'_>, name: &Handle) -> db::Result<Option<EscalationPolicyId>> {
    store::keep(tx, name).await
}
