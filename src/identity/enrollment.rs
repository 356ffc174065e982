//! How a device becomes a person's: codes, the claim, and signing in afterwards.
//!
//! **Invariants**
//! - A code is good for ten minutes and one device; claiming again with the same key is a retry, with another key a refusal.
//! - The first administrator's code exists only while there is no user at all, and at most one of them works.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::assertion;
use super::attestation;
use super::call::{Call, Failure};
use super::code::EnrollmentCode;
use super::device_key::DeviceKey;
use super::dpop;
use super::handle::{Handle, PersonName};
use super::issuer::IssuerKeys;
use super::model::{Device, Platform, Role, User, UserRef};
use super::service::{Error, Identity, Refusal, active_user, add_user, record};
use super::store::{self, Enrollment};
use crate::clock::Timestamp;
use crate::db;
use crate::id::{DeviceId, EnrollmentId, UserId};
use crate::journal::{Actor, Journal};
use crate::secret::Secret;

/// How long a code may be claimed.
pub const CODE_LIFE: Duration = Duration::from_secs(600);

/// A code, shown once.
pub struct NewCode {
    /// Its id, for the journal.
    pub id: EnrollmentId,
    /// The code; none when an idempotent call is repeated, for it is not shown twice.
    pub code: Option<EnrollmentCode>,
    /// Until when it may be claimed.
    pub expires_at: Timestamp,
}

/// What a device says of itself when it claims a code. `device` is the JSON exactly as sent, which the proof covers.
pub struct Claim {
    /// The code.
    pub code: EnrollmentCode,
    /// The `device` member as sent.
    pub device: Value,
    /// Its name in it.
    pub name: String,
    /// Its platform in it.
    pub platform: Platform,
    /// Its public key.
    pub key: DeviceKey,
    /// The proof that it holds the private key.
    pub proof: String,
    /// Who the first administrator is.
    pub user: Option<(Handle, PersonName)>,
}

/// A device that was enrolled.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Enrolled {
    /// Whose it is.
    user: UserId,
    /// The device.
    device: DeviceId,
    /// Whether this claim enrolled it, or an earlier one did.
    fresh: bool,
}

impl Identity {
    /// A code for a person's next device.
    ///
    /// # Errors
    /// Only administrators may; there may be no such person.
    pub async fn create_enrollment(&self, call: &Call, who: UserRef) -> Result<NewCode, Error> {
        call.admin()?;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        let (code, made) = (EnrollmentCode::generate(), EnrollmentId::new(now));
        let digest = code.hash();
        let expires_at = now.after(CODE_LIFE);
        let (id, expires_at) = call
            .write(&self.store, now, move |tx| {
                Box::pin(async move {
                    let user = active_user(tx.db(), &who).await?.ok_or_else(|| Refusal::UserUnknown(who.to_string()))?;
                    let enrollment = Enrollment { id: made, user: Some(user.id), expires_at, device: None };
                    store::insert_enrollment(tx, &enrollment, digest, now).await?;
                    let data = json!({"user": user.id});
                    record(tx, &journal, now, actor, "enrollment.created", made, data).await?;
                    Ok::<_, Error>((made, expires_at))
                })
            })
            .await?;
        Ok(NewCode { id, code: (id == made).then_some(code), expires_at })
    }

    /// A code that makes the first administrator, while there is no user at all. Earlier ones end, those of other nodes too: of
    /// nodes that start together, the last to come here has the one that works.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn first_admin_code(&self) -> Result<Option<EnrollmentCode>, db::Error> {
        let now = self.clock.now();
        let code = EnrollmentCode::generate();
        let digest = code.hash();
        let made = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    store::lock_first_codes(tx).await?;
                    if !store::no_user_yet(tx.db()).await? {
                        return Ok::<_, db::Error>(false);
                    }
                    store::expire_first_codes(tx, now).await?;
                    let id = EnrollmentId::new(now);
                    let enrollment = Enrollment { id, user: None, expires_at: now.after(CODE_LIFE), device: None };
                    store::insert_enrollment(tx, &enrollment, digest, now).await?;
                    Ok(true)
                })
            })
            .await?;
        Ok(made.then_some(code))
    }

    /// Makes the device that holds a code and a key the person's.
    ///
    /// # Errors
    /// The proof may not hold, the code may be unknown, over or claimed, the key enrolled.
    pub async fn claim(&self, claim: Claim) -> Result<(User, Device, bool), Error> {
        let (now, journal, keys) = (self.clock.now(), self.journal.clone(), self.keys.clone());
        assertion::verify_enrollment(&claim.proof, &claim.key, &self.issuer, &claim.code, &claim.device, now)
            .map_err(|refusal| Refusal::ProofInvalid { code: refusal.code(), why: refusal.to_string() })?;
        crate::crash_point!("claim-verified");
        let enrolled: Enrolled =
            self.store.write(move |tx| Box::pin(async move { enroll(tx, &journal, &keys, now, claim).await })).await?;
        let Enrolled { user, device, fresh } = enrolled;
        let found = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let user = active_user(db, &UserRef::Id(user)).await?;
                    Ok::<_, db::Error>(user.zip(store::find_device(db, device).await?))
                })
            })
            .await?;
        let (user, device) = found.ok_or(Failure::Refused(Refusal::EnrollmentUnknown))?;
        Ok((user, device, fresh))
    }

    /// An access token for the device that signed `assertion` and the proof.
    ///
    /// # Errors
    /// [`Refusal::ProofInvalid`] whenever anything about it does not hold; unknown and revoked devices look alike.
    pub async fn sign_in(&self, assertion: &str, proof: &dpop::Proof) -> Result<Secret, Error> {
        let now = self.clock.now();
        let invalid = |code, why: String| Error::from(Refusal::ProofInvalid { code, why });
        let unverified = assertion::peek_sign_in(assertion).map_err(|refusal| invalid(refusal.code(), refusal.to_string()))?;
        let id = unverified.device();
        let device: Option<Device> = self.store.read(move |db| Box::pin(super::active_device(db, id))).await?;
        let device = device.ok_or_else(|| invalid("device_unknown", "the device is not enrolled, or was revoked".into()))?;
        let sign_in = unverified
            .verify(&device.key, &format!("{}/v1/token", self.issuer), now)
            .map_err(|refusal| invalid(refusal.code(), refusal.to_string()))?;
        if proof.thumbprint != device.key.thumbprint() {
            return Err(invalid("dpop_key_differs", "the DPoP proof is signed by another key than the assertion".into()));
        }
        crate::crash_point!("sign-in-verified");
        let used = [(sign_in.jti_sha256, sign_in.expires_at), (proof.jti_sha256, proof.expires_at)];
        let fresh: bool = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let mut fresh = true;
                    for (sha256, expires_at) in used {
                        fresh &= store::use_proof(tx, &super::UsedProof { sha256, expires_at }).await?;
                    }
                    Ok::<_, db::Error>(fresh)
                })
            })
            .await?;
        if !fresh {
            return Err(invalid("replayed", "the assertion or the DPoP proof was used before".into()));
        }
        // Whoever left since signs in for nothing: every call looks the person up again.
        Ok(self.tokens.mint(device.user, device.id, &device.key.thumbprint(), now))
    }

    /// The devices of the caller.
    ///
    /// # Errors
    /// When the caller is not a person.
    pub async fn devices(&self, call: &Call) -> Result<Vec<Device>, Error> {
        let user = call.person()?.user.id;
        Ok(self.store.read(move |db| Box::pin(store::list_devices(db, user))).await?)
    }

    /// Ends a device's trust: its sessions, its passkeys and its push end with it. The owner may, and an administrator.
    ///
    /// # Errors
    /// When the caller may not, or there is no such device.
    pub async fn revoke_device(&self, call: &Call, id: DeviceId) -> Result<(), Error> {
        let owner = call.person().ok().map(|person| person.user.id);
        let admin = call.admin();
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let device = super::active_device(tx.db(), id).await?;
                let own = device.as_ref().is_some_and(|device| Some(device.user) == owner);
                if !own {
                    // Strangers learn nothing about which devices exist.
                    admin?;
                }
                let device = device.ok_or_else(|| Refusal::NotFound(id.to_string()))?;
                if !store::revoke_device(tx, id, now).await? {
                    return Err(Refusal::NotFound(id.to_string()).into());
                }
                let data = json!({"user": device.user});
                record(tx, &journal, now, actor, "device.revoked", id, data).await
            })
        })
        .await
    }
}

async fn enroll(
    tx: &mut db::Tx<'_>,
    journal: &Journal,
    keys: &IssuerKeys,
    now: Timestamp,
    claim: Claim,
) -> Result<Enrolled, Error> {
    let enrollment = store::lock_enrollment(tx, claim.code.hash()).await?.ok_or(Refusal::EnrollmentUnknown)?;
    if let Some(device) = enrollment.device {
        return claimed_before(tx, device, &claim.key).await;
    }
    if now >= enrollment.expires_at {
        return Err(Refusal::EnrollmentUnknown.into());
    }
    let user = match (enrollment.user, claim.user) {
        (Some(user), None) => user,
        (None, Some((handle, name))) => {
            // The code was for an empty house, and somebody has moved in since.
            if !store::no_user_yet(tx.db()).await? {
                return Err(Refusal::EnrollmentUnknown.into());
            }
            let user = User { id: UserId::new(now), handle, name, role: Role::Admin, created_at: now, removed_at: None };
            add_user(tx, journal, now, Actor::Enrollee, &user).await?
        }
        (Some(_), Some(_)) => return Err(Refusal::EnrollmentUser("this code belongs to a user already").into()),
        (None, None) => return Err(Refusal::EnrollmentUser("this code makes the first administrator: say who").into()),
    };
    active_user(tx.db(), &UserRef::Id(user)).await?.ok_or(Refusal::EnrollmentUnknown)?;
    let device = Device {
        id: DeviceId::new(now),
        user,
        name: claim.name,
        platform: claim.platform,
        key: claim.key,
        enrolled_at: now,
        revoked_at: None,
    };
    if !store::insert_device(tx, &device, &attestation::attest_device(keys, &device, now)).await? {
        return Err(Refusal::DeviceKeyTaken.into());
    }
    store::claim_enrollment(tx, enrollment.id, device.id, now).await?;
    let data = json!({"user": user, "name": device.name, "platform": device.platform, "enrollment": enrollment.id});
    let actor = Actor::User { user, device: device.id };
    record(tx, journal, now, actor, "device.enrolled", device.id, data).await?;
    crate::crash_point!("device-enrolled");
    Ok(Enrolled { user, device: device.id, fresh: true })
}

/// A claim whose reply was lost is answered again, to the same key only.
async fn claimed_before(tx: &mut db::Tx<'_>, device: DeviceId, key: &DeviceKey) -> Result<Enrolled, Error> {
    match super::active_device(tx.db(), device).await? {
        Some(device) if device.key == *key => Ok(Enrolled { user: device.user, device: device.id, fresh: false }),
        _ => Err(Refusal::EnrollmentClaimed.into()),
    }
}
