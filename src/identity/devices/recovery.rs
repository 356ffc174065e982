//! Recovery: a device for a person who has none left, or cannot use those they have.
//!
//! **Invariants**
//! - It is paged at once and decides nothing until the wait is over, whoever made the code and whoever the person is.
//! - A plain code does not get around it: what counts is whether the person ever had a device or a passkey, when the code is claimed.
//! - Nothing of the person's is revoked by it: their other devices can end it for as long as it lasts, and so can any administrator.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{News, Parts, Purpose, store};
use crate::clock::Timestamp;
use crate::db::{self, Tx};
use crate::id::{EnrollmentId, UserId};
use crate::identity::call::{Call, CallRefusal, Caller};
use crate::identity::code::EnrollmentCode;
use crate::identity::enrollment::{CODE_LIFE, NewCode};
use crate::identity::model::{Device, User, UserRef};
use crate::identity::service::{Error, Identity, Refusal, active_user, record};
use crate::journal::{Actor, Entry, Journal};

/// How a device that claims a code comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::identity) enum Entrance {
    /// The person never had one: it is theirs at once.
    First,
    /// They have one, which has to confirm it.
    Waits,
    /// They have none that counts: it is theirs at once, and decides later.
    Recovers,
}

/// How a device of this person comes in with a code for this purpose. The person's row is locked.
pub(in crate::identity) async fn entrance(tx: &mut Tx<'_>, user: UserId, purpose: Purpose) -> db::Result<Entrance> {
    let past = store::past(tx.db(), user).await?;
    Ok(match purpose {
        Purpose::Recovery => Entrance::Recovers,
        Purpose::Device if past.has => Entrance::Waits,
        Purpose::Device if past.had => Entrance::Recovers,
        Purpose::Device => Entrance::First,
    })
}

/// Records that `device` recovers `user`, and tells everybody who could object.
pub(in crate::identity) async fn recovered(
    tx: &mut Tx<'_>,
    parts: &Parts,
    device: &Device,
    user: &User,
    until: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    let actor = Actor::User { user: user.id, device: device.id };
    let data = json!({"user": user.id, "name": device.name, "approves_from": until});
    record(tx, &parts.journal, now, actor, "device.recovered", device.id, data).await?;
    let news = News::Recovers { device: Box::new(device.clone()), who: user.full_name(), until };
    parts.bell.ring(tx, news, now).await?;
    crate::crash_point!("recovery-announced");
    Ok(())
}

/// A code that was drawn for one call, before the transaction that may make it good.
pub struct DrawnCode {
    id: EnrollmentId,
    code: EnrollmentCode,
}

/// What of a drawn code goes into the transaction: its id and its digest.
#[derive(Clone, Copy, Debug)]
pub struct CodeToOpen {
    id: EnrollmentId,
    sha256: [u8; 32],
}

/// A code that was made good. The code itself is with whoever drew it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedCode {
    /// Its id.
    pub id: EnrollmentId,
    /// Until when it may be claimed.
    pub expires_at: Timestamp,
}

impl DrawnCode {
    /// A new code, good for nothing yet.
    #[must_use]
    pub fn draw(now: Timestamp) -> Self {
        Self { id: EnrollmentId::new(now), code: EnrollmentCode::generate() }
    }

    /// What goes into the transaction.
    #[must_use]
    pub fn to_open(&self) -> CodeToOpen {
        CodeToOpen { id: self.id, sha256: self.code.hash() }
    }

    /// The code, when it is the one that was made good: a repeated call learns which one it made, and not the code.
    #[must_use]
    pub fn shown(self, opened: OpenedCode) -> NewCode {
        NewCode { id: opened.id, code: (opened.id == self.id).then_some(self.code), expires_at: opened.expires_at }
    }
}

/// Makes a drawn code one for a device of `user`.
///
/// # Errors
/// Storage errors.
pub async fn open_code(
    tx: &mut Tx<'_>,
    journal: &Journal,
    actor: Actor,
    (user, purpose): (UserId, Purpose),
    code: CodeToOpen,
    now: Timestamp,
) -> db::Result<OpenedCode> {
    let (id, expires_at) = (code.id, now.after(CODE_LIFE));
    let enrollment = store::Enrollment { id, user: Some(user), purpose, expires_at, device: None, waiting: None };
    store::insert_enrollment(tx, &enrollment, code.sha256, now).await?;
    let data = json!({"user": user, "purpose": purpose});
    journal.append(tx, now, Entry { kind: "enrollment.created", actor, subject: id.to_string(), data }).await?;
    Ok(OpenedCode { id, expires_at })
}

impl Identity {
    /// A code that recovers a person, for the operator. Another administrator's is an act (`approvals::policies`).
    ///
    /// # Errors
    /// Only the operator may; there may be no such person.
    pub async fn recover(&self, call: &Call, who: UserRef) -> Result<NewCode, Error> {
        if !matches!(call.caller, Caller::Operator) {
            return Err(CallRefusal::Forbidden("only the operator recovers somebody without another administrator").into());
        }
        self.draw_code(call, who, Purpose::Recovery).await
    }

    pub(in crate::identity) async fn draw_code(&self, call: &Call, who: UserRef, purpose: Purpose) -> Result<NewCode, Error> {
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        let drawn = DrawnCode::draw(now);
        let code = drawn.to_open();
        let opened = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let user = active_user(tx.db(), &who).await?.ok_or_else(|| Refusal::UserUnknown(who.to_string()))?;
                Ok::<_, Error>(open_code(tx, &journal, actor, (user.id, purpose), code, now).await?)
            })
        });
        Ok(drawn.shown(opened.await?))
    }

    /// How long a device that recovers its person decides nothing.
    #[must_use]
    pub fn recovery_wait(&self) -> Duration {
        self.recovery_wait
    }
}
