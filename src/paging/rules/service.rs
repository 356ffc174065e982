//! Reading and setting paging rules.

use serde_json::json;

use super::{Rules, store};
use crate::db::Db;
use crate::id::UserId;
use crate::identity::{Call, UserRef, active_user};
use crate::journal::Entry;
use crate::paging::service::{Error, Paging, Refused};

impl Paging {
    /// The caller's paging rules, or somebody's for an administrator.
    ///
    /// # Errors
    /// When the caller is not a person, or no administrator; when there is no such person.
    pub async fn rules(&self, call: &Call, who: Option<UserRef>) -> Result<Rules, Error> {
        let who = match who {
            None => UserRef::Id(call.person()?.user.id),
            Some(who) => {
                call.admin()?;
                who
            }
        };
        self.store
            .read(move |db| {
                Box::pin(async move {
                    let user = active_user(db, &who).await?.ok_or_else(|| Refused::UserUnknown(who.to_string()))?;
                    Ok(of(db, user.id).await?)
                })
            })
            .await
    }

    /// Sets the caller's paging rules. What rings already goes by them from its next ring on.
    ///
    /// # Errors
    /// When the caller is not a person, or the rules cannot be kept to.
    pub async fn set_rules(&self, call: &Call, rules: Rules) -> Result<Rules, Error> {
        let user = call.established()?.user.id;
        rules.check().map_err(Refused::Rules)?;
        let (now, journal, actor, kept) = (self.clock.now(), self.parts.journal.clone(), call.actor(None), rules.clone());
        let done: Result<(), Error> = call
            .write(&self.store, now, move |tx| {
                Box::pin(async move {
                    store::put(tx, user, &kept, now).await?;
                    let entry =
                        Entry { kind: "user.paging_rules", actor, subject: user.to_string(), data: json!({"rules": kept}) };
                    Ok(journal.append(tx, now, entry).await?)
                })
            })
            .await;
        done.map(|()| rules)
    }
}

async fn of(db: &mut Db<'_>, user: UserId) -> crate::db::Result<Rules> {
    Ok(store::of(db, &[user]).await?.remove(&user).unwrap_or_default())
}
