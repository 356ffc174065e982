//! Where people read e-mail: the channel of last resort, for when no device hears.
//!
//! **Invariants**
//! - The address is shown to the person and to administrators, and to nobody else; the journal says that it changed, not to what.
//! - A device that recovers its person does not change it: whoever could object must still be told.
//! - Whoever leaves has none.

mod store;

use serde_json::json;

use super::call::Call;
use super::model::UserRef;
use super::service::{Error, Identity, Refusal, active_user, record};
use super::store::lock_user;
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::UserId;
use crate::journal::{Actor, Journal};
use crate::push::MailAddress;

/// Where this person reads e-mail; none where nobody said so, and none once they left.
///
/// # Errors
/// Storage errors.
pub async fn mail_address(db: &mut Db<'_>, user: UserId) -> db::Result<Option<MailAddress>> {
    Ok(active_user(db, &UserRef::Id(user)).await?.and_then(|user| user.email))
}

impl Identity {
    /// Says where `who`, or the caller, reads e-mail; nowhere without an address.
    ///
    /// # Errors
    /// Only administrators may say it of others, and nobody on a device that is too new to decide; there may be no such person.
    pub async fn set_email(&self, call: &Call, who: Option<UserRef>, email: Option<MailAddress>) -> Result<(), Error> {
        let who = match who {
            None => UserRef::Id(call.established()?.user.id),
            Some(who) => {
                call.admin()?;
                who
            }
        };
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| Box::pin(async move { set(tx, &journal, now, actor, who, email).await })).await
    }
}

async fn set(
    tx: &mut Tx<'_>,
    journal: &Journal,
    now: Timestamp,
    actor: Actor,
    who: UserRef,
    email: Option<MailAddress>,
) -> Result<(), Error> {
    let unknown = || Refusal::UserUnknown(who.to_string());
    let id = active_user(tx.db(), &who).await?.ok_or_else(unknown)?.id;
    lock_user(tx, id).await?;
    // Looked up again under the lock: two changes at once are two entries, and one to the same is none.
    let user = active_user(tx.db(), &UserRef::Id(id)).await?.ok_or_else(unknown)?;
    if user.email == email {
        return Ok(());
    }
    store::set_email(tx, id, email.as_ref()).await?;
    record(tx, journal, now, actor, "user.email_changed", id, json!({"reachable": email.is_some()})).await
}
