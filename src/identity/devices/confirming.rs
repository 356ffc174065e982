//! A device confirms another of the same person.
//!
//! **Invariants**
//! - What is signed names the new key, the person, both devices and the installation, under a tag and a `typ` of its own.
//! - With a passkey wherever the person has one that works; by the confirming device's key only while they have none.
//! - Under the lock of the waiting device: of two that confirm, one does.

use std::time::Duration;

use serde_json::{Value, json};

use super::store::Offered;
use super::{MatchNumber, News, Parts, WaitingDevice, recovered, store};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::id::{DeviceChallengeId, DeviceId};
use crate::identity::attestation;
use crate::identity::call::{Call, CallRefusal, Person};
use crate::identity::device_key::DeviceKey;
use crate::identity::jws;
use crate::identity::model::{ConfirmedWith, Device, UserRef};
use crate::identity::passkeys::Signed;
use crate::identity::service::{Error, Identity, Refusal, active_device, active_user, record};
use crate::identity::store::{StoredPasskey, ever_had_a_passkey, lock_user, passkey_used, usable_passkey_ids, usable_passkeys};
use crate::identity::webauthn::{Credential, WebauthnRefusal};
use crate::journal::Actor;
use crate::secret::{b64u, random, tagged_sha256};

/// How long a statement may be signed after it was offered.
const CHALLENGE_LIFE: Duration = Duration::from_mins(2);

/// The statement's `type`, and the tag of what a passkey signs.
const TYPE: &str = "phoneops.device_confirmation.v1";

/// What a device key signs where there is no passkey: a compact JWS with this `typ`, whose payload is the statement.
const JWS_TYP: &str = "phoneops-device-confirmation+jws";

/// A statement offered to a device of the person whose new device waits.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DeviceChallenge {
    /// Its id.
    pub id: DeviceChallengeId,
    /// The statement, canonical.
    pub statement: String,
    /// `PublicKeyCredentialRequestOptions` as JSON; none when the device's own key is to sign.
    pub public_key: Option<Value>,
    /// From when on it cannot be answered.
    pub expires_at: Timestamp,
}

/// A signed confirmation, as it arrives.
#[derive(Clone, Debug)]
pub struct Confirmation {
    /// Which statement was signed.
    pub challenge: DeviceChallengeId,
    /// What the person read off the new device.
    pub match_number: MatchNumber,
    /// The signature.
    pub signature: Signature,
}

/// How a confirmation is signed.
#[derive(Clone, Debug)]
pub enum Signature {
    /// With a passkey: the authenticator's response.
    Passkey(Value),
    /// With the calling device's key: the compact JWS over the statement.
    Device(String),
}

impl Signature {
    fn evidence(&self) -> Value {
        match self {
            Self::Passkey(credential) => credential.clone(),
            Self::Device(jws) => jws.as_str().into(),
        }
    }
}

/// What is signed: that this key is a device of this person.
fn statement(issuer: &str, waiting: &WaitingDevice, by: DeviceId, nonce: [u8; 16]) -> String {
    let document = json!({
        "type": TYPE, "issuer": issuer, "user": waiting.user, "device": waiting.id, "jkt": b64u(waiting.key.thumbprint()),
        "name": waiting.name, "platform": waiting.platform, "by": by, "nonce": b64u(nonce), "expires_at": waiting.expires_at,
    });
    serde_json_canonicalizer::to_string(&document).expect("plain JSON has a canonical form")
}

/// Checks the JWS of a device key over exactly this statement.
///
/// # Errors
/// [`Refusal::Jws`], or [`Refusal::Webauthn`] with `ChallengeMismatch` for another statement.
pub fn verify_jws(jws: &str, statement: &str, key: &DeviceKey) -> Result<(), Refusal> {
    jws::verify::<Value>(jws, JWS_TYP, key).map_err(Refusal::Jws)?;
    // The text itself, and not what was read from it: what was offered is what was signed.
    let payload = jws.split('.').nth(1).unwrap_or_default();
    if payload == b64u(statement) { Ok(()) } else { Err(Refusal::Webauthn(WebauthnRefusal::ChallengeMismatch)) }
}

impl Identity {
    /// Offers the calling device the statement that a waiting device of the same person is theirs.
    ///
    /// # Errors
    /// When there is no such device, it is over, or the calling one is too new.
    pub async fn challenge_device(&self, call: &Call, id: DeviceId) -> Result<DeviceChallenge, Error> {
        let person = call.established()?;
        let (user, by) = (person.user.id, person.device.id);
        let now = self.clock.now();
        let (waiting, passkeys) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let waiting = store::find_waiting(db, id).await?.filter(|waiting| waiting.user == user);
                    let waiting = waiting.ok_or_else(|| Refusal::NotFound(id.to_string()))?.open(now)?;
                    Ok::<_, Error>((waiting, usable_passkeys(db, user, now).await?))
                })
            })
            .await?;
        let statement = statement(&self.issuer, &waiting, by, random());
        let credentials: Vec<Credential> = passkeys.into_iter().map(|passkey| passkey.credential).collect();
        let (public_key, ceremony) = (!credentials.is_empty())
            .then(|| self.relying_party.start_assertion(&credentials, tagged_sha256(TYPE, statement.as_bytes())))
            .unzip();
        let expires_at = now.after(CHALLENGE_LIFE).min(waiting.expires_at);
        let offered = DeviceChallenge { id: DeviceChallengeId::new(now), statement: statement.clone(), public_key, expires_at };
        let stored = Offered { waiting: id, device: by, statement, ceremony, expires_at };
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                store::insert_challenge(tx, offered.id, &stored).await?;
                Ok(offered)
            })
        })
        .await
    }

    /// Takes a signed confirmation: from then on the device that waited is one.
    ///
    /// # Errors
    /// Each way in which it can fail has its own [`Refusal`]; nothing has changed then.
    pub async fn confirm_device(&self, call: &Call, id: DeviceId, confirmation: Confirmation) -> Result<Device, Error> {
        let person = call.established()?.clone();
        if let Some(id) = call.repeated(&self.store).await? {
            return self.device_by_id(id).await;
        }
        let now = self.clock.now();
        let (user, by, challenge) = (person.user.id, person.device.id, confirmation.challenge);
        let (waiting, offered, passkeys) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let waiting = store::find_waiting(db, id).await?.filter(|waiting| waiting.user == user);
                    let waiting = waiting.ok_or_else(|| Refusal::NotFound(id.to_string()))?.open(now)?;
                    let offered = store::find_challenge(db, challenge).await?;
                    let offered = offered.filter(|offered| offered.waiting == id && offered.device == by);
                    let offered = offered.ok_or(Refusal::ChallengeUnknown)?;
                    Ok::<_, Error>((waiting, offered, usable_passkeys(db, user, now).await?))
                })
            })
            .await?;
        if now >= offered.expires_at {
            return Err(Refusal::ChallengeExpired.into());
        }
        if confirmation.match_number != waiting.match_number() {
            return Err(Refusal::MatchWrong.into());
        }
        let signed = self.verify_confirmation(&offered, &confirmation.signature, &person, &passkeys)?;
        crate::crash_point!("confirmation-verified");
        let (parts, actor) = (self.parts(), call.actor(None));
        let confirming = Confirming { id, challenge, person, signed, proof: confirmation.signature.evidence(), actor, now };
        let made = call.write(&self.store, now, move |tx| Box::pin(async move { confirm(tx, &parts, confirming).await }));
        self.device_by_id(made.await?).await
    }

    fn verify_confirmation(
        &self,
        offered: &Offered,
        signature: &Signature,
        person: &Person,
        passkeys: &[StoredPasskey],
    ) -> Result<Option<Signed>, Refusal> {
        match (signature, &offered.ceremony) {
            (Signature::Passkey(credential), Some(ceremony)) => self.verify_passkey(ceremony, credential, passkeys).map(Some),
            (Signature::Device(jws), None) => verify_jws(jws, &offered.statement, &person.device.key).map(|()| None),
            (Signature::Passkey(_), None) | (Signature::Device(_), Some(_)) => Err(Refusal::OtherFactor),
        }
    }
}

/// A confirmation whose signature was checked.
struct Confirming {
    id: DeviceId,
    challenge: DeviceChallengeId,
    person: Person,
    /// The passkey that signed; none when it was the device's key.
    signed: Option<Signed>,
    proof: Value,
    actor: Actor,
    now: Timestamp,
}

/// Makes the waiting device one. Everything that could have changed since the signature was checked is looked up again.
async fn confirm(tx: &mut Tx<'_>, parts: &Parts, confirming: Confirming) -> Result<DeviceId, Error> {
    let (user, by, now) = (confirming.person.user.id, confirming.person.device.id, confirming.now);
    let waiting = store::lock_waiting(tx, confirming.id).await?.filter(|waiting| waiting.user == user);
    let waiting = waiting.ok_or_else(|| Refusal::NotFound(confirming.id.to_string()))?.open(now)?;
    lock_user(tx, user).await?;
    trusted(tx, &confirming, now).await?;
    let passkey = confirming.signed.as_ref().map(|signed| signed.passkey);
    if !store::use_challenge(tx, confirming.challenge, passkey, &confirming.proof, now).await? {
        return Err(Refusal::ChallengeUsed.into());
    }
    if let Some(signed) = &confirming.signed
        && !passkey_used(tx, signed.passkey, signed.updated.as_ref(), now).await?
    {
        return Err(Refusal::Webauthn(WebauthnRefusal::SignatureInvalid("its counter did not rise")).into());
    }
    crate::crash_point!("confirmation-kept");
    let with = if passkey.is_some() { ConfirmedWith::Passkey } else { ConfirmedWith::Device };
    let mut device = joined(waiting, with, now);
    // Whoever takes the passkeys away must not gain a device by it: this one recovers its person.
    if passkey.is_none() && ever_had_a_passkey(tx.db(), user).await? {
        device.approves_from = Some(now.after(parts.recovery_wait));
    }
    store::decide_waiting(tx, device.id, "confirmed", Some(by), now).await?;
    let data = json!({"user": user, "with": with, "passkey": passkey});
    record(tx, &parts.journal, now, confirming.actor, "device.confirmed", device.id, data).await?;
    crate::crash_point!("waiting-decided");
    if !store::insert_device(tx, &device, &attestation::attest_device(&parts.keys, &device, now)).await? {
        return Err(Refusal::DeviceKeyTaken.into());
    }
    let data = json!({"user": user, "name": device.name, "platform": device.platform, "confirmed_by": by});
    record(tx, &parts.journal, now, confirming.actor, "device.enrolled", device.id, data).await?;
    let decided = News::Decided { device: device.id, name: device.name.clone(), confirmed: true, by: Some(by) };
    parts.bell.ring(tx, decided, now).await?;
    let id = device.id;
    if let Some(until) = device.approves_from {
        recovered(tx, parts, &device, &confirming.person.user, until, now).await?;
    }
    parts.bell.ring(tx, News::Joined(Box::new(device)), now).await?;
    crate::crash_point!("device-joined");
    Ok(id)
}

/// The device that one that waited becomes.
fn joined(waiting: WaitingDevice, with: ConfirmedWith, now: Timestamp) -> Device {
    Device {
        id: waiting.id,
        user: waiting.user,
        name: waiting.name,
        platform: waiting.platform,
        key: waiting.key,
        enrolled_at: waiting.claimed_at,
        confirmed_at: now,
        confirmed_with: Some(with),
        approves_from: None,
        last_used_at: None,
        revoked_at: None,
    }
}

/// That the person, the device and the passkey that confirm are trusted now, and that nothing stronger was to sign.
async fn trusted(tx: &mut Tx<'_>, confirming: &Confirming, now: Timestamp) -> Result<(), Error> {
    let person = &confirming.person;
    let device = active_device(tx.db(), person.device.id).await?;
    if device.is_none() || active_user(tx.db(), &UserRef::Id(person.user.id)).await?.is_none() {
        return Err(CallRefusal::Unauthenticated.into());
    }
    let usable = usable_passkey_ids(tx.db(), person.user.id, now).await?;
    match &confirming.signed {
        Some(signed) if usable.contains(&signed.passkey) => Ok(()),
        None if usable.is_empty() => Ok(()),
        Some(_) => Err(Refusal::Webauthn(WebauthnRefusal::PasskeyUnknown).into()),
        None => Err(Refusal::PasskeyRequired.into()),
    }
}
