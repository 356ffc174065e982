//! The life of a person's devices: how they join, wait, are confirmed, recover a person, are used, and end.
//!
//! ```text
//!   claim ──► device                    the person's first
//!     │ └───► device, answers later     the person has none left, or is being recovered
//!     └─────► waiting ──► device        another device of theirs confirmed it
//!                 └─────► over          rejected, or ten minutes have passed
//! ```
//!
//! **Invariants**
//! - A device that waits is none: it is in a table of its own, so nothing that asks for a device finds it. Its key is attested when it
//!   becomes a device, and not before.
//! - A person who has a device gets another only by the signature of one of theirs, over a statement that names the new key; with a
//!   passkey wherever they have one that works.
//! - A person who has none left, but had one, gets one that neither answers nor administers until the recovery wait is over.
//! - Whoever could object is told in the same transaction.

mod confirming;
mod login;
mod recovery;
pub(super) mod store;
mod usage;
mod waiting;

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::issuer::IssuerKeys;
use super::model::{Device, Passkey, UserRef};
use super::service::{Error, Identity, Refusal, active_user, record};
use crate::clock::Timestamp;
use crate::db::{self, Tx};
use crate::id::{DeviceId, UserId};
use crate::journal::Journal;

pub use confirming::{Confirmation, DeviceChallenge, Signature, verify_jws as verify_confirmation};
pub use login::Asking;
pub use recovery::{CodeToOpen, DrawnCode, OpenedCode, open_code};
pub use waiting::{MatchNumber, NotAMatchNumber, Via, WAITING_LIFE, WaitingDevice};

pub(super) use recovery::{Entrance, entrance, recovered};
pub(super) use usage::{Thing, Usage};
pub(super) use waiting::wait;

/// How often it is written that a thing was used, at most.
pub(super) const NOTED_EVERY: Duration = Duration::from_mins(10);

/// What people have to be told about devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A device waits to be confirmed by another of its person.
    Waits(WaitingDevice),
    /// Nothing is to be confirmed any more.
    Decided {
        /// The device that waited.
        device: DeviceId,
        /// Its name.
        name: String,
        /// Whether it is a device now.
        confirmed: bool,
        /// The device that decided, which needs no telling.
        by: Option<DeviceId>,
    },
    /// A device joined. The person's other devices are told.
    Joined(Box<Device>),
    /// A device recovers its person. Their other devices and every administrator are told.
    Recovers {
        /// The device.
        device: Box<Device>,
        /// `Ys Example (@ys)`
        who: String,
        /// From when on it answers and administers.
        until: Timestamp,
    },
}

/// Tells people, in the transaction of what they are told about. A floor above, where phones are rung.
pub trait Bell: Send + Sync {
    /// Rings whoever this concerns.
    ///
    /// # Errors
    /// Storage errors; nothing has happened then.
    fn ring<'a>(&'a self, tx: &'a mut Tx<'_>, news: News, now: Timestamp) -> BoxFuture<'a, db::Result<()>>;
}

/// What a code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A person's next device.
    Device,
    /// A person who cannot use the devices they have.
    Recovery,
}

impl Purpose {
    /// As it stands in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Recovery => "recovery",
        }
    }
}

/// What a person has to call with.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    /// Their devices, the oldest first.
    pub devices: Vec<Device>,
    /// Those that wait to become one.
    pub waiting: Vec<WaitingDevice>,
    /// Their passkeys.
    pub passkeys: Vec<Passkey>,
}

/// The parts of [`Identity`] that go into a transaction about devices.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) journal: Journal,
    pub(super) keys: IssuerKeys,
    pub(super) bell: std::sync::Arc<dyn Bell>,
    pub(super) recovery_wait: Duration,
}

impl Identity {
    pub(super) fn parts(&self) -> Parts {
        Parts {
            journal: self.journal.clone(),
            keys: self.keys.clone(),
            bell: self.bell.clone(),
            recovery_wait: self.recovery_wait,
        }
    }

    /// The devices of the caller.
    ///
    /// # Errors
    /// When the caller is not a person.
    pub async fn devices(&self, call: &Call) -> Result<Devices, Error> {
        let user = call.person()?.user.id;
        self.devices_with(user).await
    }

    /// The devices of a person, for an administrator.
    ///
    /// # Errors
    /// Only administrators may see them; there may be no such person.
    pub async fn devices_of(&self, call: &Call, who: UserRef) -> Result<Devices, Error> {
        call.admin()?;
        let named = who.clone();
        let found: Option<UserId> = self
            .store
            .read(move |db| Box::pin(async move { Ok::<_, db::Error>(active_user(db, &named).await?.map(|user| user.id)) }))
            .await?;
        self.devices_with(found.ok_or_else(|| Refusal::UserUnknown(who.to_string()))?).await
    }

    async fn devices_with(&self, user: UserId) -> Result<Devices, Error> {
        let now = self.clock.now();
        let found: db::Result<Devices> = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    Ok(Devices {
                        devices: store::list_devices(db, user).await?,
                        waiting: store::list_waiting(db, user, now).await?,
                        passkeys: super::store::list_passkeys(db, user).await?,
                    })
                })
            })
            .await;
        Ok(found?)
    }

    pub(super) async fn device_by_id(&self, id: DeviceId) -> Result<Device, Error> {
        let found: Option<Device> = self.store.look(move |db| Box::pin(store::find_device(db, id))).await?;
        found.ok_or_else(|| Refusal::NotFound(id.to_string()).into())
    }

    /// Calls a device of the caller's something else.
    ///
    /// # Errors
    /// When it is not theirs, or another than the calling one, which recovers its person.
    pub async fn rename_device(&self, call: &Call, id: DeviceId, name: String) -> Result<Device, Error> {
        let person = call.person()?;
        let user = person.user.id;
        if person.device.id != id {
            // Whoever recovers a person must not make the others look like what they are not.
            call.established()?;
        }
        let (now, parts, actor) = (self.clock.now(), self.parts(), call.actor(None));
        let renamed = call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                if !store::rename_device(tx, id, user, &name).await? {
                    return Err(Refusal::NotFound(id.to_string()).into());
                }
                record(tx, &parts.journal, now, actor, "device.renamed", id, json!({"user": user, "name": name})).await
            })
        });
        renamed.await?;
        self.device_by_id(id).await
    }

    /// Ends a device's trust: its sessions, its passkeys and its push end with it. One that waits is rejected. The owner may, on any
    /// device that may answer and on that very device, and an administrator.
    ///
    /// # Errors
    /// When the caller may not, or there is no such device.
    pub async fn revoke_device(&self, call: &Call, id: DeviceId) -> Result<(), Error> {
        let owner = call.person().ok().map(|person| person.user.id);
        // Whoever recovers a person must not end those who could object.
        let by = call.person().ok().map(|person| person.device.id);
        let established = if by.is_none_or(|by| by == id) { Ok(()) } else { call.established().map(|_| ()) };
        let admin = call.admin();
        let (now, parts, actor) = (self.clock.now(), self.parts(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                // Locked first: whoever is faster, what waits is rejected or what it became is revoked.
                let waiting = store::lock_waiting(tx, id).await?.filter(|waiting| waiting.is_open(now));
                let device = super::active_device(tx.db(), id).await?;
                let user = device.as_ref().map(|device| device.user).or(waiting.as_ref().map(|waiting| waiting.user));
                if user.is_some() && user == owner {
                    established?;
                } else {
                    // Strangers learn nothing about which devices exist.
                    admin?;
                }
                if let Some(waiting) = waiting {
                    return waiting::reject(tx, &parts, &waiting, by, actor, now).await;
                }
                let device = device.ok_or_else(|| Refusal::NotFound(id.to_string()))?;
                // Not while it confirms another, or makes a passkey.
                super::store::lock_user(tx, device.user).await?;
                if !store::revoke_device(tx, id, now).await? {
                    return Err(Refusal::NotFound(id.to_string()).into());
                }
                let data = json!({"user": device.user});
                record(tx, &parts.journal, now, actor, "device.revoked", id, data).await
            })
        })
        .await
    }
}
