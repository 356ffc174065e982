//! Escalation policies: who is paged, then who next. An incident copies its policy when it begins, so a change is for later ones.

mod store;

use crate::clock::Timestamp;
use crate::db::{self, Db};
use crate::id::{EscalationPolicyId, TeamId};
use crate::identity::Handle;

use super::plan::{Step, Target};

/// An escalation policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EscalationPolicy {
    /// Its id.
    pub id: EscalationPolicyId,
    /// Its name.
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
