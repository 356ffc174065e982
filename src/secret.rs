//! Randomness, digests, and secrets that cannot be printed by accident.
//!
//! **Invariants**
//! - All randomness of the crate comes from [`random`], which is the operating system's.
//! - A [`Secret`] has no `Display`, no `Serialize`, and a `Debug` that shows nothing; it is wiped when dropped.
//! - What must be recoverable at rest is sealed under the [`MasterKey`] with its table, column and row as associated data, so
//!   that a sealed value moved to another row does not open.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{constant_time, digest, hkdf, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// When the operating system has no randomness to give: nothing that follows would be safe.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// `SHA-256(tag || 0x00 || bytes)`: a digest that cannot be mistaken for one of another purpose.
#[must_use]
pub fn tagged_sha256(tag: &str, bytes: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(tag.as_bytes());
    context.update(&[0]);
    context.update(bytes);
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// Base64url without padding (RFC 4648 section 5).
#[must_use]
pub fn b64u(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// HMAC with SHA-256 (RFC 2104), for what others verify.
#[must_use]
pub fn hmac_sha256(key: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes).as_ref());
    out
}

/// Base64 with padding (RFC 4648 section 4), where others want it so.
#[must_use]
pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// The bytes behind base64 with padding; `None` for anything else.
#[must_use]
pub fn from_b64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The bytes behind base64url without padding; `None` for anything else, padding included.
#[must_use]
pub fn from_b64u(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Whether two byte strings are equal, in a time that does not depend on where they differ.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// A string that must not reach a log, an error or a debug print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes `text` into custody.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Every call is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// How the secret is stored: its SHA-256. Fit for secrets of 112 random bits and more, not for passwords.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The one key that is kept outside the database. 32 bytes.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// A sealed value that does not open: another master key, another place, or damage.
#[derive(Debug, thiserror::Error)]
#[error("{place} does not open with this master key")]
pub struct Unsealable {
    /// The place the value was sealed for.
    pub place: String,
}

impl MasterKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(random()))
    }

    /// From the text in the key file: 43 characters of base64url, white space around them allowed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(from_b64u(text.trim())?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    /// The text for the key file.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(b64u(*self.0))
    }

    /// A key for one purpose (HKDF-SHA256, RFC 5869): knowing it tells nothing about any other.
    ///
    /// # Panics
    /// Never: 32 bytes are within HKDF's limit.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"phoneops.master.v1");
        let mut out = Zeroizing::new([0; 32]);
        salt.extract(&*self.0)
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *out))
            .expect("32 bytes are within HKDF's limit");
        out
    }

    /// Seals `plain` for `place` (AES-256-GCM, random nonce in front).
    ///
    /// # Panics
    /// Never: what is sealed is far below AES-GCM's limit.
    #[must_use]
    pub fn seal(&self, place: &str, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = random();
        let mut sealed = plain.to_vec();
        self.sealing_key()
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place.as_bytes()), &mut sealed)
            .expect("the plaintext is far below AES-GCM's limit");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what [`MasterKey::seal`] sealed for the same `place`.
    ///
    /// # Errors
    /// [`Unsealable`] when the key, the place or a single bit differs.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let unsealable = || Unsealable { place: place.to_owned() };
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(unsealable)?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = self
            .sealing_key()
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place.as_bytes()), &mut body)
            .map_err(|_| unsealable())?
            .len();
        body.truncate(plain);
        Ok(body)
    }

    fn sealing_key(&self) -> LessSafeKey {
        let key = self.derive("phoneops.seal.v1");
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key).expect("32 bytes are an AES-256 key"))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_in_its_place_and_unharmed() {
        let key = MasterKey::generate();
        let sealed = key.seal("signing_keys/1", b"private");
        assert_eq!(&*key.open("signing_keys/1", &sealed).unwrap(), b"private");
        assert!(key.open("signing_keys/2", &sealed).is_err());
        assert!(MasterKey::generate().open("signing_keys/1", &sealed).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut harmed = sealed.clone();
            harmed[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open("signing_keys/1", &harmed).is_err(), "bit {bit}");
        }
        assert!(key.open("signing_keys/1", b"short").is_err());
    }

    #[test]
    fn a_master_key_survives_its_file() {
        let key = MasterKey::generate();
        let again = MasterKey::parse(&format!("{}\n", &*key.to_text())).unwrap();
        assert_eq!(*key.derive("x"), *again.derive("x"));
        assert_ne!(*key.derive("x"), *key.derive("y"));
        assert!(MasterKey::parse("too short").is_none());
    }

    #[test]
    fn secrets_do_not_print() {
        let secret = Secret::new("pob_hunter2".into());
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn a_tag_separates_digests() {
        assert_ne!(tagged_sha256("a", b"bc"), tagged_sha256("ab", b"c"));
    }
}
