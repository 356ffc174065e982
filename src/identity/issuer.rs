//! The keys with which this installation signs what strangers read: grants, attestations and receipts.
//!
//! They are a set: one signs, and those before it are retired and still verify what they signed. Each kind of text has its own
//! `typ`, so one set of keys is one trust root and no kind passes for another.
//!
//! **Invariants**
//! - What is signed names its key in `kid`, and has a `typ` of its own.
//! - A retired key signs nothing on the node that retired it; other nodes hear of it when they meet the new key, or within
//!   ten minutes. Until then they sign with the old one, which verifies.
//! - A set that was read earlier never takes the place of one that was read later: keys are added and never taken away, so of two
//!   sets the longer is the newer.

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::call::Call;
use super::device_key::DeviceKey;
use super::keys::{self, Purpose, SigningKey};
use super::service::{Error, record};
use super::store::StoredKey;
use crate::clock::Timestamp;
use crate::db::{self, Store};
use crate::journal::Journal;
use crate::secret::{MasterKey, b64u};

/// The set of keys. Cheap to clone.
#[derive(Clone)]
pub struct IssuerKeys(Arc<Inner>);

struct Inner {
    store: Store,
    master: MasterKey,
    issuer: String,
    known: Known,
}

/// The set as far as this node knows it; the one that signs is last.
#[derive(Default)]
struct Known(RwLock<Vec<Arc<IssuerKey>>>);

impl Known {
    fn all(&self) -> Vec<Arc<IssuerKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes up what was read, unless something newer was taken up meanwhile. A rotation retires the last key and adds the next at
    /// once, so whoever read one key more has read everything that whoever read one less has.
    fn take_up(&self, read: Vec<Arc<IssuerKey>>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= known.len() {
            *known = read;
        }
    }
}

/// One key.
pub struct IssuerKey {
    /// Names it in `kid`.
    pub id: String,
    /// Its public half.
    pub public: DeviceKey,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it signs nothing more.
    pub retired_at: Option<Timestamp>,
    private: Zeroizing<Vec<u8>>,
    pair: EcdsaKeyPair,
}

impl IssuerKey {
    fn open(key: SigningKey) -> db::Result<Self> {
        let senseless = |why: String| db::Error::inconsistent("signing_keys", &key.id, why);
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.private);
        Ok(Self {
            public: DeviceKey::from_sec1(&key.public).map_err(|why| senseless(why.to_string()))?,
            created_at: key.created_at,
            retired_at: key.retired_at,
            pair: pair.map_err(|why| senseless(why.to_string()))?,
            private: key.private,
            id: key.id,
        })
    }

    /// PKCS#8, for the library that mints grants.
    #[must_use]
    pub fn private(&self) -> &[u8] {
        &self.private
    }

    /// The public half as a JWK (RFC 7517).
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = self.public.to_jwk();
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!("ES256");
        jwk
    }

    /// A compact JWS (RFC 7515) of this kind.
    ///
    /// # Panics
    /// Never: the claims are plain JSON, and a key that was opened signs.
    #[must_use]
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> String {
        let payload = b64u(serde_json::to_vec(claims).expect("claims are plain JSON"));
        let (header, signature) = self.signature(typ, &payload);
        format!("{header}.{payload}.{signature}")
    }

    /// A JWS of this kind with its payload apart (RFC 7515 appendix F).
    ///
    /// # Panics
    /// As [`IssuerKey::sign`].
    #[must_use]
    pub fn sign_detached(&self, typ: &str, payload: &[u8]) -> String {
        let (header, signature) = self.signature(typ, &b64u(payload));
        format!("{header}..{signature}")
    }

    fn signature(&self, typ: &str, payload: &str) -> (String, String) {
        let header = b64u(json!({"alg": "ES256", "kid": self.id, "typ": typ}).to_string());
        let signed = format!("{header}.{payload}");
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("a key that was opened signs");
        (header, b64u(signature))
    }
}

impl IssuerKeys {
    /// The installation's keys; the first is made now if there is none.
    ///
    /// # Errors
    /// As [`keys::load_or_create`].
    pub async fn open(store: &Store, master: &MasterKey, issuer: &str, now: Timestamp) -> db::Result<Self> {
        keys::load_or_create(store, master, Purpose::Issuer, now).await?;
        let (store, master, issuer) = (store.clone(), master.clone(), issuer.to_owned());
        let keys = Self(Arc::new(Inner { store, master, issuer, known: Known::default() }));
        keys.refresh().await?;
        Ok(keys)
    }

    /// The installation they sign for: its `public_url` without a trailing slash.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Reads the set again: another node may have rotated it.
    ///
    /// # Errors
    /// Storage errors; a key that does not open.
    pub async fn refresh(&self) -> db::Result<()> {
        let open = |stored: StoredKey| match self.named(&stored.id) {
            Some(known) if known.retired_at == stored.retired_at => Ok(known),
            _ => IssuerKey::open(keys::open(&self.0.master, Purpose::Issuer, stored)?).map(Arc::new),
        };
        let stored = keys::list(&self.0.store, Purpose::Issuer).await?;
        let opened = stored.into_iter().map(open).collect::<db::Result<Vec<_>>>()?;
        if opened.last().is_none_or(|key| key.retired_at.is_some()) {
            return Err(db::Error::inconsistent("signing_keys", "grant", "there is none that signs"));
        }
        self.0.known.take_up(opened);
        Ok(())
    }

    /// All of them, the one that signs last.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<IssuerKey>> {
        self.0.known.all()
    }

    /// The one that signs.
    ///
    /// # Panics
    /// Never: [`IssuerKeys::refresh`] keeps no set without one.
    #[must_use]
    pub fn current(&self) -> Arc<IssuerKey> {
        self.all().pop().expect("there is always one that signs")
    }

    /// The one of that name, retired or not, as far as this node knows.
    #[must_use]
    pub fn named(&self, kid: &str) -> Option<Arc<IssuerKey>> {
        self.all().into_iter().find(|key| key.id == kid)
    }

    /// Makes sure that this node has heard of `kid`, if there is such a key.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn hear_of(&self, kid: &str) -> db::Result<()> {
        if self.named(kid).is_none() {
            self.refresh().await?;
        }
        Ok(())
    }

    /// Makes the next key and retires those before it; all of them afterwards.
    ///
    /// # Errors
    /// Only administrators may.
    pub async fn rotate(&self, call: &Call, journal: &Journal, now: Timestamp) -> Result<Vec<Arc<IssuerKey>>, Error> {
        call.admin()?;
        let (master, journal, actor) = (self.0.master.clone(), journal.clone(), call.actor(None));
        let rotated = call.write(&self.0.store, now, move |tx| {
            Box::pin(async move {
                let made = keys::rotate(tx, &master, Purpose::Issuer, now).await?;
                record(tx, &journal, now, actor, "keys.rotated", &made, json!({})).await?;
                crate::crash_point!("keys-rotated");
                Ok::<_, Error>(made)
            })
        });
        let _made: String = rotated.await?;
        self.refresh().await?;
        Ok(self.all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set of so many keys: all retired but the last.
    fn set(keys: usize) -> Vec<Arc<IssuerKey>> {
        let at = |second: usize| Timestamp::from_seconds(i64::try_from(second).unwrap());
        let key = |number: usize| {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let private = Zeroizing::new(pair.to_pkcs8v1().unwrap().as_ref().to_vec());
            let public = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref().to_vec();
            let retired_at = (number + 1 < keys).then(|| at(number + 1));
            let key = SigningKey { id: format!("key-{number}"), public, private, created_at: at(number), retired_at };
            Arc::new(IssuerKey::open(key).unwrap())
        };
        (0..keys).map(key).collect()
    }

    #[test]
    fn what_was_read_earlier_never_takes_the_place_of_what_was_read_later() {
        // A refresh reads the first set, a rotation makes the second and takes it up, and only then does the refresh go on.
        let (before, after) = (set(1), set(2));
        let known = Known::default();
        known.take_up(after);
        known.take_up(before);
        let all = known.all();
        assert_eq!(all.iter().map(|key| key.retired_at.is_some()).collect::<Vec<_>>(), [true, false]);
        // The same again is no older.
        known.take_up(set(2));
        assert!(!Arc::ptr_eq(&known.all()[1], &all[1]));
    }
}
