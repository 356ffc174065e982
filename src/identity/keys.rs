//! The installation's own P-256 keys, sealed under the master key and shared by all nodes through the database.
//!
//! **Invariants**
//! - A private key is in the database only sealed, bound to its purpose and id.
//! - All nodes use the same key for a purpose: the first to start makes it, the others find it.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::store::{self, StoredKey};
use crate::clock::Timestamp;
use crate::db::{Error, Result, Store};
use crate::secret::{MasterKey, b64u, sha256};

/// What a key is for. None is ever used for two things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signing grants.
    Grant,
    /// VAPID (RFC 8292).
    Vapid,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Vapid => "vapid",
        }
    }
}

/// A key pair, opened.
pub struct SigningKey {
    /// Names it in `kid` and in the key set.
    pub id: String,
    /// The public point, uncompressed, 65 bytes.
    pub public: Vec<u8>,
    /// PKCS#8.
    pub private: Zeroizing<Vec<u8>>,
}

/// The installation's key for `purpose`, made now if there is none.
///
/// # Errors
/// Storage errors, and [`Error::Inconsistent`] when a stored key does not open: that is another installation's master key.
pub async fn load_or_create(store: &Store, master: &MasterKey, purpose: Purpose, now: Timestamp) -> Result<SigningKey> {
    let fresh = generate(master, purpose)?;
    let stored: StoredKey = store
        .write(move |tx| {
            Box::pin(async move {
                if let Some(stored) = store::lock_keys(tx, purpose.as_str()).await?.pop() {
                    return Ok::<_, Error>(stored);
                }
                store::insert_key(tx, purpose.as_str(), &fresh, now).await?;
                Ok(fresh)
            })
        })
        .await?;
    let private = master
        .open(&place(purpose, &stored.id), &stored.private_sealed)
        .map_err(|error| Error::inconsistent("signing_keys", &stored.id, error))?;
    Ok(SigningKey { id: stored.id, public: stored.public, private })
}

fn generate(master: &MasterKey, purpose: Purpose) -> Result<StoredKey> {
    let failed = |_| Error::Failed("the cryptographic library made no key".into());
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
    let private = pair.to_pkcs8v1().map_err(failed)?;
    let public = pair.public_key().as_ref().to_vec();
    let id = b64u(&sha256(&public)[..12]);
    let private_sealed = master.seal(&place(purpose, &id), private.as_ref());
    Ok(StoredKey { id, public, private_sealed })
}

fn place(purpose: Purpose, id: &str) -> String {
    format!("signing_keys/{}/{id}", purpose.as_str())
}
