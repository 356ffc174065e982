//! The installation's own P-256 keys, sealed under the master key and shared by all nodes through the database.
//!
//! **Invariants**
//! - A private key is in the database only sealed, bound to its purpose and id.
//! - All nodes use the same key for a purpose: the first to start makes it, the others find it.
//! - A key is retired by making the next one, in one transaction: there is always one that signs.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::store::{self, StoredKey};
use crate::clock::Timestamp;
use crate::db::{Error, Result, Store, Tx};
use crate::secret::{MasterKey, b64u, sha256};

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// What strangers read: grants, attestations, receipts. See [`super::issuer`].
    Issuer,
    /// VAPID (RFC 8292).
    Vapid,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            // From when it signed grants only. What is sealed is bound to this name.
            Self::Issuer => "grant",
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
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it signs nothing more.
    pub retired_at: Option<Timestamp>,
}

/// The installation's key for `purpose`, made now if there is none.
///
/// # Errors
/// Storage errors, and [`Error::Inconsistent`] when a stored key does not open: that is another installation's master key.
pub async fn load_or_create(store: &Store, master: &MasterKey, purpose: Purpose, now: Timestamp) -> Result<SigningKey> {
    let fresh = generate(master, purpose, now)?;
    let stored: StoredKey = store
        .write(move |tx| {
            Box::pin(async move {
                // Retired ones come first.
                if let Some(stored) = store::lock_keys(tx, purpose.as_str()).await?.pop() {
                    return Ok::<_, Error>(stored);
                }
                store::insert_key(tx, purpose.as_str(), &fresh).await?;
                Ok(fresh)
            })
        })
        .await?;
    open(master, purpose, stored)
}

/// All keys for `purpose`, sealed; the last one signs.
pub(super) async fn list(store: &Store, purpose: Purpose) -> Result<Vec<StoredKey>> {
    store.read(move |db| Box::pin(store::list_keys(db, purpose.as_str()))).await
}

/// Makes the next key for `purpose` and retires those before it; its id. On PostgreSQL two that rotate at once do so one after the
/// other.
pub(super) async fn rotate(tx: &mut Tx<'_>, master: &MasterKey, purpose: Purpose, now: Timestamp) -> Result<String> {
    let fresh = generate(master, purpose, now)?;
    store::lock_keys(tx, purpose.as_str()).await?;
    store::retire_keys(tx, purpose.as_str(), now).await?;
    store::insert_key(tx, purpose.as_str(), &fresh).await?;
    Ok(fresh.id)
}

/// Opens a key.
pub(super) fn open(master: &MasterKey, purpose: Purpose, stored: StoredKey) -> Result<SigningKey> {
    let StoredKey { id, public, private_sealed, created_at, retired_at } = stored;
    let opened = master.open(&place(purpose, &id), &private_sealed);
    let private = opened.map_err(|error| Error::inconsistent("signing_keys", &id, error))?;
    Ok(SigningKey { id, public, private, created_at, retired_at })
}

fn generate(master: &MasterKey, purpose: Purpose, now: Timestamp) -> Result<StoredKey> {
    let failed = |_| Error::Failed("the cryptographic library made no key".into());
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
    let private = pair.to_pkcs8v1().map_err(failed)?;
    let public = pair.public_key().as_ref().to_vec();
    let id = b64u(&sha256(&public)[..12]);
    let private_sealed = master.seal(&place(purpose, &id), private.as_ref());
    Ok(StoredKey { id, public, private_sealed, created_at: now, retired_at: None })
}

fn place(purpose: Purpose, id: &str) -> String {
    format!("signing_keys/{}/{id}", purpose.as_str())
}
