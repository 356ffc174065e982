//! How a device becomes a person's: codes, the claim, and signing in afterwards.
//!
//! **Invariants**
//! - A code is good for ten minutes and one device; claiming again with the same key is a retry, with another key a refusal.
//! - Whether the device is the person's at once, waits, or recovers them is judged when it claims, under the person's lock: of two that
//!   claim at once one is the first.
//! - The first administrator's code exists only while there is no user at all, and at most one of them works.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::assertion;
use super::attestation;
use super::call::{Call, CallRefusal, Caller, Failure};
use super::code::EnrollmentCode;
use super::device_key::DeviceKey;
use super::devices::store::{self as devices, Enrollment};
use super::devices::{Entrance, Parts, Purpose, Via, WAITING_LIFE, WaitingDevice, entrance, recovered, wait};
use super::dpop;
use super::handle::{Handle, PersonName};
use super::model::{Device, Platform, Role, User, UserRef};
use super::service::{Error, Identity, Refusal, active_user, add_user, record};
use super::store;
use crate::clock::Timestamp;
use crate::db;
use crate::id::{DeviceId, EnrollmentId, UserId};
use crate::journal::Actor;
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
    /// Where it called from.
    pub address: Option<IpAddr>,
}

/// What became of a claim.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Whose the device is, or would be.
    pub user: User,
    /// The device.
    pub device: ClaimedDevice,
    /// Whether this claim did it, or an earlier one did.
    pub fresh: bool,
}

/// What a device is after its claim.
#[derive(Clone, Debug)]
pub enum ClaimedDevice {
    /// The person's.
    Joined(Device),
    /// Waiting for another device of the person.
    Waits(WaitingDevice),
}

/// Which device a claim made.
#[derive(Clone, Copy, Debug)]
struct Enrolled {
    user: UserId,
    device: DeviceId,
    fresh: bool,
}

impl Identity {
    /// A code for a person's next device. For oneself, and for the operator; for somebody else it is an act
    /// (`approvals::policies`).
    ///
    /// # Errors
    /// Only the person and the operator may; the calling device may be too new, and there may be no such person.
    pub async fn create_enrollment(&self, call: &Call, who: UserRef) -> Result<NewCode, Error> {
        if !call.enrols(&who) {
            return Err(CallRefusal::Forbidden("a code for somebody else takes an administrator's passkey").into());
        }
        if !matches!(call.caller, Caller::Operator) {
            call.established()?;
        }
        self.draw_code(call, who, Purpose::Device).await
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
                    devices::lock_first_codes(tx).await?;
                    if !store::no_user_yet(tx.db()).await? {
                        return Ok::<_, db::Error>(false);
                    }
                    devices::expire_first_codes(tx, now).await?;
                    let id = EnrollmentId::new(now);
                    let expires_at = now.after(CODE_LIFE);
                    let purpose = Purpose::Device;
                    let enrollment = Enrollment { id, user: None, purpose, expires_at, device: None, waiting: None };
                    devices::insert_enrollment(tx, &enrollment, digest, now).await?;
                    Ok(true)
                })
            })
            .await?;
        Ok(made.then_some(code))
    }

    /// Makes the device that holds a code and a key the person's, or lets it wait for another of theirs.
    ///
    /// # Errors
    /// The proof may not hold, the code may be unknown, over or claimed, the key enrolled.
    pub async fn claim(&self, claim: Claim) -> Result<Claimed, Error> {
        let (now, parts) = (self.clock.now(), self.parts());
        assertion::verify_enrollment(&claim.proof, &claim.key, &self.issuer, &claim.code, &claim.device, now)
            .map_err(|refusal| Refusal::ProofInvalid { code: refusal.code(), why: refusal.to_string() })?;
        crate::crash_point!("claim-verified");
        let enrolled: Enrolled =
            self.store.write(move |tx| Box::pin(async move { enroll(tx, &parts, now, claim).await })).await?;
        let Enrolled { user, device, fresh } = enrolled;
        let found = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let Some(user) = active_user(db, &UserRef::Id(user)).await? else { return Ok::<_, db::Error>(None) };
                    if let Some(device) = devices::find_device(db, device).await? {
                        return Ok(Some((user, ClaimedDevice::Joined(device))));
                    }
                    Ok(devices::find_waiting(db, device).await?.map(|waiting| (user, ClaimedDevice::Waits(waiting))))
                })
            })
            .await?;
        let (user, device) = found.ok_or(Failure::Refused(Refusal::EnrollmentUnknown))?;
        Ok(Claimed { user, device, fresh })
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
        let (device, waiting) = self.signer(id, now).await?;
        let key = device.as_ref().map(|device| device.key).or(waiting.as_ref().map(|waiting| waiting.key));
        let key = key.ok_or_else(|| invalid("device_unknown", "the device is not enrolled, or was revoked".into()))?;
        let sign_in = unverified
            .verify(&key, &format!("{}/v1/token", self.issuer), now)
            .map_err(|refusal| invalid(refusal.code(), refusal.to_string()))?;
        if proof.thumbprint != key.thumbprint() {
            return Err(invalid("dpop_key_differs", "the DPoP proof is signed by another key than the assertion".into()));
        }
        // Said to nobody but the key that waits.
        let device = match (device, waiting) {
            (Some(device), _) => device,
            (None, Some(waiting)) => return Err(Refusal::DeviceWaiting(Box::new(waiting)).into()),
            (None, None) => return Err(invalid("device_unknown", "the device is not enrolled, or was revoked".into())),
        };
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

    /// The device that signs in, or the one that waits under this id.
    async fn signer(&self, id: DeviceId, now: Timestamp) -> Result<(Option<Device>, Option<WaitingDevice>), Error> {
        Ok(self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let device = super::active_device(db, id).await?;
                    let waiting = if device.is_none() { devices::find_waiting(db, id).await? } else { None };
                    Ok::<_, db::Error>((device, waiting.filter(|waiting| waiting.is_open(now))))
                })
            })
            .await?)
    }
}

async fn enroll(tx: &mut db::Tx<'_>, parts: &Parts, now: Timestamp, claim: Claim) -> Result<Enrolled, Error> {
    let enrollment = devices::lock_enrollment(tx, claim.code.hash()).await?.ok_or(Refusal::EnrollmentUnknown)?;
    if enrollment.device.is_some() || enrollment.waiting.is_some() {
        return claimed_before(tx, &enrollment, &claim.key, now).await;
    }
    if now >= enrollment.expires_at {
        return Err(Refusal::EnrollmentUnknown.into());
    }
    let user = match (enrollment.user, &claim.user) {
        (Some(user), None) => user,
        (None, Some((handle, name))) => {
            // The code was for an empty house, and somebody has moved in since.
            if !store::no_user_yet(tx.db()).await? {
                return Err(Refusal::EnrollmentUnknown.into());
            }
            let (handle, name) = (handle.clone(), name.clone());
            let user =
                User { id: UserId::new(now), handle, name, role: Role::Admin, email: None, created_at: now, removed_at: None };
            add_user(tx, &parts.journal, now, Actor::Enrollee, &user).await?
        }
        (Some(_), Some(_)) => return Err(Refusal::EnrollmentUser("this code belongs to a user already").into()),
        (None, None) => return Err(Refusal::EnrollmentUser("this code makes the first administrator: say who").into()),
    };
    store::lock_user(tx, user).await?;
    let user = active_user(tx.db(), &UserRef::Id(user)).await?.ok_or(Refusal::EnrollmentUnknown)?;
    match entrance(tx, user.id, enrollment.purpose).await? {
        Entrance::First => join(tx, parts, &enrollment, &user, claim, None, now).await,
        Entrance::Recovers => join(tx, parts, &enrollment, &user, claim, Some(now.after(parts.recovery_wait)), now).await,
        Entrance::Waits => let_wait(tx, parts, &enrollment, &user, claim, now).await,
    }
}

/// Makes the device that claims the person's at once.
async fn join(
    tx: &mut db::Tx<'_>,
    parts: &Parts,
    enrollment: &Enrollment,
    user: &User,
    claim: Claim,
    approves_from: Option<Timestamp>,
    now: Timestamp,
) -> Result<Enrolled, Error> {
    let device = Device {
        id: DeviceId::new(now),
        user: user.id,
        name: claim.name,
        platform: claim.platform,
        key: claim.key,
        enrolled_at: now,
        confirmed_at: now,
        confirmed_with: None,
        approves_from,
        last_used_at: None,
        revoked_at: None,
    };
    let waited = devices::has_waited(tx.db(), device.key.thumbprint()).await?;
    let attestation = attestation::attest_device(&parts.keys, &device, now);
    if waited || !devices::insert_device(tx, &device, &attestation).await? {
        return Err(Refusal::DeviceKeyTaken.into());
    }
    devices::claim_enrollment(tx, enrollment.id, Some(device.id), None, now).await?;
    let mut data = json!({
        "user": user.id, "name": device.name, "platform": device.platform, "enrollment": enrollment.id, "address": claim.address,
    });
    if let Some(from) = approves_from {
        data["approves_from"] = json!(from);
    }
    let actor = Actor::User { user: user.id, device: device.id };
    record(tx, &parts.journal, now, actor, "device.enrolled", device.id, data).await?;
    crate::crash_point!("device-enrolled");
    if let Some(until) = approves_from {
        recovered(tx, parts, &device, user, until, now).await?;
    }
    Ok(Enrolled { user: user.id, device: device.id, fresh: true })
}

/// Lets the device that claims wait for another of its person.
async fn let_wait(
    tx: &mut db::Tx<'_>,
    parts: &Parts,
    enrollment: &Enrollment,
    user: &User,
    claim: Claim,
    now: Timestamp,
) -> Result<Enrolled, Error> {
    let waiting = WaitingDevice {
        id: DeviceId::new(now),
        user: user.id,
        name: claim.name,
        platform: claim.platform,
        key: claim.key,
        claimed_at: now,
        expires_at: now.after(WAITING_LIFE),
        via: Via::Code,
        address: claim.address,
        verdict: None,
    };
    let data = json!({
        "user": user.id, "name": waiting.name, "platform": waiting.platform, "enrollment": enrollment.id, "address": waiting.address,
    });
    wait(tx, parts, &waiting, data, now).await?;
    devices::claim_enrollment(tx, enrollment.id, None, Some(waiting.id), now).await?;
    Ok(Enrolled { user: user.id, device: waiting.id, fresh: true })
}

/// A claim whose reply was lost is answered again, to the same key only, and as things are now.
async fn claimed_before(
    tx: &mut db::Tx<'_>,
    enrollment: &Enrollment,
    key: &DeviceKey,
    now: Timestamp,
) -> Result<Enrolled, Error> {
    let id = enrollment.device.or(enrollment.waiting).ok_or(Refusal::EnrollmentClaimed)?;
    let again = |user, known: DeviceKey| {
        if known == *key { Ok(Enrolled { user, device: id, fresh: false }) } else { Err(Refusal::EnrollmentClaimed.into()) }
    };
    if let Some(device) = super::active_device(tx.db(), id).await? {
        return again(device.user, device.key);
    }
    match devices::find_waiting(tx.db(), id).await? {
        Some(waiting) if waiting.is_open(now) => again(waiting.user, waiting.key),
        _ => Err(Refusal::EnrollmentClaimed.into()),
    }
}
