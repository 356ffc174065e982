//! What the installation signs about a key: that it is this person's.
//!
//! A receipt is checked without the server, so the server says at enrolment, once and for good, whose key it enrolled: a JWS of an
//! issuer key with `typ` `phoneops-attestation+jwt`, stored beside the key (`api-spec/receipt.md`).
//!
//! **Invariants**
//! - It is written in the transaction that makes the key somebody's.
//! - It says nothing of trust today: a revoked key keeps its attestation, because what it signed before still stands.
//! - A key from before there were attestations gets one at the next start, or when a receipt first asks for it. Its `iat` is then.

pub mod cose;
mod store;

use serde::{Deserialize, Serialize};

use super::issuer::IssuerKeys;
use super::{Credential, Device, DeviceKey};
use crate::clock::Timestamp;
use crate::db;
use crate::id::{DeviceId, PasskeyId, UserId};
use crate::secret::b64u;

/// The `typ` of an attestation.
pub const TYP: &str = "phoneops-attestation+jwt";

/// Keys that are attested in one transaction.
const BATCH: u32 = 100;

/// What an attestation says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// The installation.
    pub iss: String,
    /// Whose key it is.
    pub sub: UserId,
    /// When this was signed, seconds.
    pub iat: i64,
    /// The device that holds the key, or that made the passkey.
    pub device: DeviceId,
    /// When the key became theirs.
    pub enrolled_at: Timestamp,
    /// The key.
    pub key: AttestedKey,
}

/// A key, as an attestation names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AttestedKey {
    /// A device key.
    Device {
        /// Its public half.
        jwk: DeviceKey,
        /// Its RFC 7638 thumbprint, base64url.
        jkt: String,
    },
    /// A passkey.
    Passkey {
        /// Its id here.
        id: PasskeyId,
        /// The relying party it was made for.
        rp_id: String,
        /// Its credential id, base64url.
        credential_id: String,
        /// Its public key as a `COSE_Key`, base64url.
        public_key: String,
    },
}

/// Signs that `device`'s key is its user's.
#[must_use]
pub fn attest_device(keys: &IssuerKeys, device: &Device, now: Timestamp) -> String {
    let key = AttestedKey::Device { jwk: device.key, jkt: b64u(device.key.thumbprint()) };
    sign(keys, device.user, device.id, device.confirmed_at, key, now)
}

/// Signs that a passkey is `owner`'s, made on their device.
///
/// # Errors
/// [`db::Error::Inconsistent`] for a key that no registration would have let in.
pub fn attest_passkey(
    keys: &IssuerKeys,
    rp_id: &str,
    owner: (UserId, DeviceId),
    passkey: (PasskeyId, &Credential),
    made_at: Timestamp,
    now: Timestamp,
) -> db::Result<String> {
    let (id, credential) = passkey;
    let public =
        credential.cose_key().ok_or_else(|| db::Error::inconsistent("passkeys", id, "a key of no kind that is allowed"))?;
    let (credential_id, public_key) = (b64u(credential.id()), b64u(public.encode()));
    let key = AttestedKey::Passkey { id, rp_id: rp_id.to_owned(), credential_id, public_key };
    Ok(sign(keys, owner.0, owner.1, made_at, key, now))
}

fn sign(keys: &IssuerKeys, user: UserId, device: DeviceId, enrolled_at: Timestamp, key: AttestedKey, now: Timestamp) -> String {
    let claims = Attestation { iss: keys.issuer().to_owned(), sub: user, iat: now.as_seconds(), device, enrolled_at, key };
    keys.current().sign(TYP, &claims)
}

/// Attests every key that has no attestation; how many that were.
///
/// # Errors
/// Storage errors. What was attested before stays.
pub async fn attest_all(keys: &IssuerKeys, rp_id: &str, store: &db::Store, now: Timestamp) -> db::Result<usize> {
    let mut done = 0;
    loop {
        let (keys, rp_id) = (keys.clone(), rp_id.to_owned());
        let batch: usize = store
            .write(move |tx| {
                Box::pin(async move {
                    let devices = store::unattested_devices(tx.db(), BATCH).await?;
                    for device in &devices {
                        store::attest_device(tx, device.id, &attest_device(&keys, device, now)).await?;
                    }
                    let passkeys = store::unattested_passkeys(tx.db(), BATCH).await?;
                    for it in &passkeys {
                        let (owner, passkey) = ((it.user, it.device), (it.id, &it.credential));
                        let attestation = attest_passkey(&keys, &rp_id, owner, passkey, it.made_at, now)?;
                        store::attest_passkey(tx, it.id, &attestation).await?;
                    }
                    Ok::<_, db::Error>(devices.len() + passkeys.len())
                })
            })
            .await?;
        if batch == 0 {
            return Ok(done);
        }
        done += batch;
    }
}
