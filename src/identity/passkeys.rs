//! A person's passkeys: made, listed, revoked.
//!
//! **Invariants**
//! - A passkey is guarded by a passkey: while the person has one that works, another is made only under its signature over a statement
//!   that names this registration, or on a device that a passkey confirmed a moment ago.
//! - Whoever had passkeys and has none left recovers: they make one, and its device decides nothing until the recovery wait is over. So
//!   taking the guards away first gains nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::attestation;
use super::call::{Call, CallRefusal, Person};
use super::devices::{Parts, recovered, store as devices};
use super::model::{ConfirmedWith, Device, Passkey};
use super::service::{Error, Identity, Refusal, record};
use super::store::{self, Ceremony, Guard, StoredPasskey};
use super::webauthn::{Credential, WebauthnRefusal, credential_id};
use crate::clock::Timestamp;
use crate::db::{self, Tx};
use crate::id::{CeremonyId, PasskeyId};
use crate::secret::{b64u, random, tagged_sha256};

/// How long a registration may take.
const CEREMONY_LIFE: Duration = Duration::from_secs(300);

/// How long after a passkey confirmed a device its first passkey needs no other guard.
const CONFIRMED_RECENTLY: Duration = Duration::from_mins(10);

/// The guard's `type`, and the tag of what guards.
pub(super) const GUARD_TYPE: &str = "phoneops.passkey_registration.v1";

/// A registration that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Its id.
    pub ceremony: CeremonyId,
    /// `PublicKeyCredentialCreationOptions` as JSON.
    pub public_key: Value,
    /// What a passkey that is there already has to sign; none when the person has none that works.
    pub guard: Option<OfferedGuard>,
}

/// What a passkey that is there already has to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedGuard {
    /// The statement, canonical.
    pub statement: String,
    /// `PublicKeyCredentialRequestOptions` as JSON.
    pub public_key: Value,
}

/// A passkey's signature that was checked.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    /// The passkey.
    pub(super) passkey: PasskeyId,
    /// What its assertion taught about it.
    pub(super) updated: Option<Credential>,
}

/// Passkeys that a changed `rp_id` would make useless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rp_id is {now}, but {passkeys} passkeys are bound to {bound}: set rp_id = \"{bound}\", or revoke them first")]
pub struct BoundElsewhere {
    /// What the settings say.
    pub now: String,
    /// What the passkeys are bound to.
    pub bound: String,
    /// How many there are.
    pub passkeys: i64,
}

impl Identity {
    /// Binds the installation to the configured `rp_id`, once and for as long as there is a passkey: under another, browsers would
    /// find none of them (WebAuthn Level 3, section 5.1.4), and nobody would know why.
    ///
    /// # Errors
    /// [`BoundElsewhere`], inside, and storage errors outside.
    pub async fn bind(&self) -> db::Result<Result<(), BoundElsewhere>> {
        let now = self.relying_party.id().to_owned();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let bound = store::bound_rp_id(tx.db()).await?;
                    if bound.as_ref() == Some(&now) {
                        return Ok(Ok(()));
                    }
                    let passkeys = store::count_passkeys(tx.db()).await?;
                    if let Some(bound) = bound.filter(|_| passkeys > 0) {
                        return Ok(Err(BoundElsewhere { now, bound, passkeys }));
                    }
                    store::bind_rp_id(tx, &now).await?;
                    Ok(Ok(()))
                })
            })
            .await
    }

    /// Begins a registration.
    ///
    /// # Errors
    /// When the caller is not a person.
    pub async fn start_passkey(&self, call: &Call) -> Result<Offered, Error> {
        let person = call.person()?.clone();
        let now = self.clock.now();
        let (user, device) = (person.user.id, person.device.id);
        let (held, known, made) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let held = store::held_passkeys(db, user).await?;
                    let known = store::usable_passkeys(db, user, now).await?;
                    Ok::<_, db::Error>((held, known, store::made_a_passkey(db, device).await?))
                })
            })
            .await?;
        let [held, known] =
            [held, known].map(|all| all.into_iter().map(|passkey| passkey.credential).collect::<Vec<Credential>>());
        let (public_key, state) = self.relying_party.start_registration(user.0, &person.user.handle, &person.user.name, &held);
        let ceremony = CeremonyId::new(now);
        let guarded = !known.is_empty() && (made || !confirmed_recently(&person.device, now));
        let (guard, kept) = guarded.then(|| self.guard(&person, ceremony, &known, now)).unzip();
        let offered = Offered { ceremony, public_key, guard };
        let begun = Ceremony { state, guard: kept };
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                store::insert_ceremony(tx, ceremony, device, &begun, now.after(CEREMONY_LIFE)).await?;
                crate::crash_point!("passkey-offered");
                Ok::<_, Error>(offered)
            })
        })
        .await
    }

    /// What one of `known` has to sign before `ceremony` may end.
    fn guard(&self, person: &Person, ceremony: CeremonyId, known: &[Credential], now: Timestamp) -> (OfferedGuard, Guard) {
        let document = json!({
            "type": GUARD_TYPE, "issuer": self.issuer, "user": person.user.id, "device": person.device.id, "ceremony": ceremony,
            "nonce": b64u(random::<16>()), "expires_at": now.after(CEREMONY_LIFE),
        });
        let statement = serde_json_canonicalizer::to_string(&document).expect("plain JSON has a canonical form");
        let digest = tagged_sha256(GUARD_TYPE, statement.as_bytes());
        let (public_key, state) = self.relying_party.start_assertion(known, digest);
        (OfferedGuard { statement: statement.clone(), public_key }, Guard { statement, state })
    }

    /// Checks a passkey's assertion; which of `passkeys` it is.
    pub(super) fn verify_passkey(
        &self,
        ceremony: &Value,
        credential: &Value,
        passkeys: &[StoredPasskey],
    ) -> Result<Signed, Refusal> {
        let named = credential_id(credential).map_err(Refusal::Webauthn)?;
        let passkey = passkeys.iter().find(|passkey| passkey.credential.id() == named);
        let passkey = passkey.ok_or(Refusal::Webauthn(WebauthnRefusal::PasskeyUnknown))?;
        let signed = self.relying_party.finish_assertion(ceremony, credential, &passkey.credential);
        Ok(Signed { passkey: passkey.id, updated: signed.map_err(Refusal::Webauthn)?.updated })
    }

    /// Ends a registration with what the authenticator made, and with the signature that guards it where one was asked for.
    ///
    /// # Errors
    /// When the ceremony is over, the credential is refused, or the guard is missing.
    pub async fn finish_passkey(
        &self,
        call: &Call,
        ceremony: CeremonyId,
        name: String,
        credential: Value,
        guard: Option<Value>,
    ) -> Result<Passkey, Error> {
        let person = call.person()?.clone();
        let (now, parts, actor) = (self.clock.now(), self.parts(), call.actor(None));
        let owner = (person.user.id, person.device.id);
        let (begun, passkeys) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let begun = store::find_ceremony(db, ceremony, owner.1, now).await?;
                    Ok::<_, db::Error>((begun, store::usable_passkeys(db, owner.0, now).await?))
                })
            })
            .await?;
        let Some(begun) = begun else {
            // Over; perhaps because this very call ended it before, under the key it carries. Both are of one transaction.
            let before = call.repeated(&self.store).await?;
            let (id, name, created_at) = before.ok_or(Refusal::CeremonyUnknown)?;
            return Ok(Passkey { id, name, created_at, last_used_at: None });
        };
        let guarded_by = match (&begun.guard, &guard) {
            (Some(asked), Some(signed)) => Some(self.verify_passkey(&asked.state, signed, &passkeys)?),
            (Some(_), None) => return Err(Refusal::PasskeyGuard.into()),
            (None, Some(_)) => return Err(Refusal::OtherFactor.into()),
            (None, None) => None,
        };
        let credential = self.relying_party.finish_registration(&begun.state, &credential).map_err(Refusal::Webauthn)?;
        crate::crash_point!("passkey-verified");
        let passkey = Passkey { id: PasskeyId::new(now), name, created_at: now, last_used_at: None };
        let made = passkey.clone();
        let attested = (passkey.id, &credential);
        let attestation = attestation::attest_passkey(&self.keys, self.relying_party.id(), owner, attested, now, now)?;
        let (id, name, created_at) = call
            .write(&self.store, now, move |tx| {
                Box::pin(async move {
                    store::lock_user(tx, owner.0).await?;
                    if !store::end_ceremony(tx, ceremony).await? {
                        return Err(Refusal::CeremonyUnknown.into());
                    }
                    let guard = guarded_by.as_ref().map(|signed| signed.passkey);
                    admit(tx, &parts, &person, guarded_by, now).await?;
                    if !store::insert_passkey(tx, &made, owner, &credential, &attestation).await? {
                        return Err(Refusal::PasskeyTaken.into());
                    }
                    let synced = credential.backup_eligible();
                    let data = json!({"user": owner.0, "name": made.name, "synced": synced, "guarded_by": guard});
                    record(tx, &parts.journal, now, actor, "passkey.created", made.id, data).await?;
                    crate::crash_point!("passkey-written");
                    Ok::<_, Error>((made.id, made.name, made.created_at))
                })
            })
            .await?;
        Ok(Passkey { id, name, created_at, last_used_at: None })
    }

    /// The caller's passkeys.
    ///
    /// # Errors
    /// When the caller is not a person.
    pub async fn passkeys(&self, call: &Call) -> Result<Vec<Passkey>, Error> {
        let user = call.person()?.user.id;
        Ok(self.store.read(move |db| Box::pin(store::list_passkeys(db, user))).await?)
    }

    /// Ends one of the caller's passkeys, at once.
    ///
    /// # Errors
    /// When the caller has no such passkey, or their device is too new.
    pub async fn revoke_passkey(&self, call: &Call, id: PasskeyId) -> Result<(), Error> {
        let user = call.established()?.user.id;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                store::lock_user(tx, user).await?;
                if !store::revoke_passkey(tx, id, user, now).await? {
                    return Err(Refusal::NotFound(id.to_string()).into());
                }
                record(tx, &journal, now, actor, "passkey.revoked", id, json!({"user": user})).await
            })
        })
        .await
    }
}

/// Whether a passkey confirmed the device so lately that its own first passkey is vouched for.
fn confirmed_recently(device: &Device, now: Timestamp) -> bool {
    device.confirmed_with == Some(ConfirmedWith::Passkey) && now < device.confirmed_at.after(CONFIRMED_RECENTLY)
}

/// That this person may have another passkey, made on their device, under the lock of their row. Everything that could have changed
/// since the registration began is looked up again.
async fn admit(tx: &mut Tx<'_>, parts: &Parts, person: &Person, guarded_by: Option<Signed>, now: Timestamp) -> Result<(), Error> {
    let device = super::active_device(tx.db(), person.device.id).await?.ok_or(CallRefusal::Unauthenticated)?;
    let usable = store::usable_passkey_ids(tx.db(), person.user.id, now).await?;
    if let Some(signed) = guarded_by {
        let known = usable.contains(&signed.passkey);
        if !known {
            return Err(Refusal::Webauthn(WebauthnRefusal::PasskeyUnknown).into());
        }
        if !store::passkey_used(tx, signed.passkey, signed.updated.as_ref(), now).await? {
            return Err(Refusal::Webauthn(WebauthnRefusal::SignatureInvalid("its counter did not rise")).into());
        }
        return Ok(());
    }
    if !usable.is_empty() {
        let vouched = confirmed_recently(&device, now) && !store::made_a_passkey(tx.db(), device.id).await?;
        return if vouched { Ok(()) } else { Err(Refusal::PasskeyGuard.into()) };
    }
    // A device that recovered its person lately has waited, or waits: its first passkey goes with it.
    let waited = device.approves_from.is_some_and(|from| now < from.after(parts.recovery_wait))
        && !store::made_a_passkey(tx.db(), device.id).await?;
    if waited || !store::ever_had_a_passkey(tx.db(), person.user.id).await? {
        return Ok(());
    }
    let until = now.after(parts.recovery_wait);
    devices::postpone(tx, device.id, until).await?;
    recovered(tx, parts, &device, &person.user, until, now).await
}
