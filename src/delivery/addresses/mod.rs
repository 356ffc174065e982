//! How devices are reached: an address is one device's at a time.
//!
//! A phone that is handed on, or an app that two people enrolled in, brings the same address along. Whoever registered it last has it;
//! the device that had it before is reached no more, in the same transaction, and the journal says so.
//!
//! **Invariants**
//! - Of the registrations that a push can be sent to, no two have one address: a unique index, and a lock on the address.
//! - An address is compared by a MAC under a key of the installation: the database alone tells nobody which devices share one.
//! - Each registration of a device is later than the one before it, so its time names it.
//! - Rows are locked in the order of their devices.

pub(super) mod store;

use serde_json::json;
use zeroize::Zeroizing;

use super::registration::Registration;
use super::service::{Delivery, place};
use crate::clock::Timestamp;
use crate::db::{Engine, Error, Result, Tx};
use crate::id::DeviceId;
use crate::identity::{Call, Failure, Refusal};
use crate::journal::{Actor, Entry};
use crate::secret::hmac_sha256;
use store::{Holder, Unclaimed};

/// Registrations from before addresses were known that are looked at in one transaction.
const STEP: u32 = 500;

impl Delivery {
    /// Remembers how the caller's device is reached, in place of what was known before. A device that was reached at the same address is
    /// reached no more.
    ///
    /// # Errors
    /// When the caller is not that device.
    pub async fn register(&self, call: &Call, device: DeviceId, registration: &Registration) -> Result<(), Failure<Refusal>> {
        if call.person()?.device.id != device {
            return Err(Refusal::NotFound(device.to_string()).into());
        }
        let (now, delivery, actor) = (self.clock.now(), self.clone(), call.actor(None));
        let kind = registration.kind();
        let plain = serde_json::to_vec(registration).map_err(|error| Error::Failed(error.to_string()))?;
        let (sealed, mac) = (self.master.seal(&place(device), &plain), self.mac(registration));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                store::lock_address(tx, &mac).await?;
                for holder in store::holders(tx, device, &mac).await?.into_iter().filter(|holder| holder.device != device) {
                    store::retire_device(tx, holder.device, now).await?;
                    delivery.record_retired(tx, &holder, (device, kind), actor, now).await?;
                }
                store::register(tx, device, (kind, &sealed, &mac), now).await?;
                let entry =
                    Entry { kind: "device.push_registered", actor, subject: device.to_string(), data: json!({"kind": kind}) };
                delivery.journal.append(tx, now, entry).await?;
                crate::crash_point!("registration-written");
                Ok(())
            })
        })
        .await
    }

    async fn record_retired(
        &self,
        tx: &mut Tx<'_>,
        holder: &Holder,
        (by, kind): (DeviceId, &str),
        actor: Actor,
        now: Timestamp,
    ) -> Result<()> {
        let data = json!({"kind": kind, "user": holder.user, "registered_by": by});
        let entry = Entry { kind: "device.push_retired", actor, subject: holder.device.to_string(), data };
        self.journal.append(tx, now, entry).await
    }

    /// Learns the addresses that were registered before there was a MAC of each: where devices share one, the newest registration stays.
    /// For a start, before anything is sent.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn learn_addresses(&self) -> Result<()> {
        let some = self.store.scan(|db| Box::pin(store::unclaimed(db, None, 1)));
        if some.await?.is_empty() {
            return Ok(());
        }
        let mut behind = None;
        loop {
            let (delivery, store) = (self.clone(), self.store.for_workers());
            let step: Result<_> = store.write(move |tx| Box::pin(async move { delivery.learn_some(tx, behind).await })).await;
            match step? {
                Some(last) => behind = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// The last device looked at; none when there are no more.
    async fn learn_some(&self, tx: &mut Tx<'_>, behind: Option<DeviceId>) -> Result<Option<DeviceId>> {
        let now = self.clock.now();
        if self.store.engine() == Engine::Pg {
            // Another node may be at it too, or serving already.
            store::lock_registrations(tx).await?;
        }
        let unclaimed = store::unclaimed(tx.db(), behind, STEP).await?;
        for one in &unclaimed {
            // What cannot be read is no address of anybody's; whoever sends to it says so.
            if let Ok(registration) = self.registration(one.device, &one.sealed) {
                self.learn(tx, one, &registration, now).await?;
            }
        }
        Ok(unclaimed.last().map(|one| one.device))
    }

    async fn learn(&self, tx: &mut Tx<'_>, one: &Unclaimed, registration: &Registration, now: Timestamp) -> Result<()> {
        let (kind, mac) = (registration.kind(), self.mac(registration));
        let holders = store::holders(tx, one.device, &mac).await?;
        if let Some(newest) = holders.iter().max_by_key(|holder| holder.age()).map(|holder| holder.device) {
            for holder in holders.iter().filter(|holder| holder.device != newest) {
                store::retire_device(tx, holder.device, now).await?;
                self.record_retired(tx, holder, (newest, kind), Actor::System, now).await?;
            }
        }
        store::set_address(tx, one.device, &mac).await
    }

    /// Opens what is stored of how a device is reached.
    pub(super) fn registration(&self, device: DeviceId, sealed: &[u8]) -> Result<Registration, String> {
        let opened = self.master.open(&place(device), sealed).map_err(|error| error.to_string());
        let read = opened.and_then(|plain| serde_json::from_slice(&plain).map_err(|error| error.to_string()));
        read.inspect_err(|error| tracing::error!(%device, error, "a push registration cannot be read"))
    }

    fn mac(&self, registration: &Registration) -> [u8; 32] {
        let key = self.master.derive("phoneops.push_addresses.v1");
        let address = Zeroizing::new(registration.address());
        hmac_sha256(&*key, address.as_bytes())
    }
}
