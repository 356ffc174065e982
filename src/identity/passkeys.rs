//! A person's passkeys: made, listed, revoked.

use std::time::Duration;

use serde_json::{Value, json};

use super::attestation;
use super::call::Call;
use super::model::Passkey;
use super::service::{Error, Identity, Refusal, record};
use super::store;
use super::webauthn::Credential;
use crate::db;
use crate::id::{CeremonyId, PasskeyId};

/// How long a registration may take.
const CEREMONY_LIFE: Duration = Duration::from_secs(300);

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

    /// Begins a registration: its id, and `PublicKeyCredentialCreationOptions` as JSON.
    ///
    /// # Errors
    /// When the caller is not a person.
    pub async fn start_passkey(&self, call: &Call) -> Result<(CeremonyId, Value), Error> {
        let person = call.person()?.clone();
        let now = self.clock.now();
        let user = person.user.id;
        let known = self.store.read(move |db| Box::pin(store::usable_passkeys(db, user))).await?;
        let known: Vec<Credential> = known.into_iter().map(|passkey| passkey.credential).collect();
        let (options, state) = self.relying_party.start_registration(user.0, &person.user.handle, &person.user.name, &known);
        let (id, device) = (CeremonyId::new(now), person.device.id);
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                store::insert_ceremony(tx, id, device, &state, now.after(CEREMONY_LIFE)).await?;
                crate::crash_point!("passkey-offered");
                Ok::<_, Error>((id, options))
            })
        })
        .await
    }

    /// Ends a registration with what the authenticator made.
    ///
    /// # Errors
    /// When the ceremony is over or the credential is refused.
    pub async fn finish_passkey(
        &self,
        call: &Call,
        ceremony: CeremonyId,
        name: String,
        credential: Value,
    ) -> Result<Passkey, Error> {
        let person = call.person()?.clone();
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        let owner = (person.user.id, person.device.id);
        let state: Option<Value> = self.store.read(move |db| Box::pin(store::find_ceremony(db, ceremony, owner.1, now))).await?;
        let Some(state) = state else {
            // Over; perhaps because this very call ended it before, under the key it carries. Both are of one transaction.
            let before = call.repeated(&self.store).await?;
            let (id, name, created_at) = before.ok_or(Refusal::CeremonyUnknown)?;
            return Ok(Passkey { id, name, created_at });
        };
        let credential = self.relying_party.finish_registration(&state, &credential).map_err(Refusal::Webauthn)?;
        crate::crash_point!("passkey-verified");
        let passkey = Passkey { id: PasskeyId::new(now), name, created_at: now };
        let made = passkey.clone();
        let attested = (passkey.id, &credential);
        let attestation = attestation::attest_passkey(&self.keys, self.relying_party.id(), owner, attested, now, now)?;
        let (id, name, created_at) = call
            .write(&self.store, now, move |tx| {
                Box::pin(async move {
                    if !store::end_ceremony(tx, ceremony).await? {
                        return Err(Refusal::CeremonyUnknown.into());
                    }
                    if !store::insert_passkey(tx, &made, owner, &credential, &attestation).await? {
                        return Err(Refusal::PasskeyTaken.into());
                    }
                    let data = json!({"user": owner.0, "name": made.name, "synced": credential.backup_eligible()});
                    record(tx, &journal, now, actor, "passkey.created", made.id, data).await?;
                    crate::crash_point!("passkey-written");
                    Ok::<_, Error>((made.id, made.name, made.created_at))
                })
            })
            .await?;
        Ok(Passkey { id, name, created_at })
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
    /// When the caller has no such passkey.
    pub async fn revoke_passkey(&self, call: &Call, id: PasskeyId) -> Result<(), Error> {
        let user = call.person()?.user.id;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                if !store::revoke_passkey(tx, id, user, now).await? {
                    return Err(Refusal::NotFound(id.to_string()).into());
                }
                record(tx, &journal, now, actor, "passkey.revoked", id, json!({"user": user})).await
            })
        })
        .await
    }
}
