//! Who administers, among those who are here.
//!
//! **Invariants**
//! - There is always an administrator: the last one stays one.
//! - Nobody becomes one by this but by the operator, or by an act that an administrator's passkey confirmed (`approvals::policies`).

mod store;

use serde_json::json;

use super::call::{Call, CallRefusal, Caller};
use super::model::{Role, UserRef};
use super::service::{Error, Identity, Refusal, active_user, record};
use super::store::{list_admins, lock_admins_and};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::id::UserId;
use crate::journal::{Actor, Journal};

impl Identity {
    /// Says what somebody may administer.
    ///
    /// # Errors
    /// Only administrators may, and only the operator makes an administrator by this; the last one stays one; there may be no such
    /// person.
    pub async fn set_role(&self, call: &Call, who: UserRef, role: Role) -> Result<(), Error> {
        call.admin()?;
        if role == Role::Admin && !matches!(call.caller, Caller::Operator) {
            return Err(CallRefusal::Forbidden("another administrator takes an administrator's passkey").into());
        }
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let found = active_user(tx.db(), &who).await?;
                let user = found.ok_or_else(|| Refusal::UserUnknown(who.to_string()))?;
                set_role(tx, &journal, (user.id, role), actor, now).await
            })
        })
        .await
    }
}

/// Gives somebody a role and records it; nothing where they have it.
///
/// # Errors
/// There may be no such person; the last administrator stays one.
pub async fn set_role(
    tx: &mut Tx<'_>,
    journal: &Journal,
    (id, role): (UserId, Role),
    actor: Actor,
    now: Timestamp,
) -> Result<(), Error> {
    lock_admins_and(tx, id).await?;
    // Under the lock: of two administrators who lay it down at once, one stays.
    let user = active_user(tx.db(), &UserRef::Id(id)).await?.ok_or_else(|| Refusal::UserUnknown(id.to_string()))?;
    if user.role == role {
        return Ok(());
    }
    if role == Role::Member && list_admins(tx.db()).await? == [id] {
        return Err(Refusal::LastAdmin(user.handle.as_str().to_owned()).into());
    }
    store::set_role(tx, id, role).await?;
    record(tx, journal, now, actor, "user.role_changed", id, json!({"handle": user.handle, "role": role})).await
}
