//! The other side of [`super::dpop`]: a key that lives as long as one program, and the proofs it makes (RFC 9449).
//!
//! **Invariants**
//! - The private key is nowhere but in memory, and does not print.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use super::device_key::DeviceKey;
use super::dpop;
use crate::clock::Timestamp;
use crate::secret::{b64u, random, sha256};

/// A P-256 key that proves calls.
pub struct ProofKey {
    pair: EcdsaKeyPair,
    public: DeviceKey,
}

impl ProofKey {
    /// A new one.
    ///
    /// # Panics
    /// When the cryptographic library cannot make a key: the machine is out of randomness or memory.
    #[must_use]
    pub fn generate() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("the cryptographic library makes a key");
        let public = DeviceKey::from_sec1(pair.public_key().as_ref()).expect("a key of ours is a point of the curve");
        Self { pair, public }
    }

    /// Its RFC 7638 thumbprint, base64url: what a grant is bound to.
    #[must_use]
    pub fn jkt(&self) -> String {
        b64u(self.public.thumbprint())
    }

    /// The proof of one call that carries `token`: an access token, or a grant.
    ///
    /// # Panics
    /// Never: a key that was made signs.
    #[must_use]
    pub fn prove(&self, method: &str, url: &str, token: &str, now: Timestamp) -> String {
        let header = json!({"alg": "ES256", "typ": dpop::TYP, "jwk": self.public.to_jwk()});
        let claims = json!({
            "jti": b64u(random::<16>()), "htm": method, "htu": url, "iat": now.as_seconds(), "ath": b64u(sha256(token.as_bytes())),
        });
        let signed = format!("{}.{}", b64u(header.to_string()), b64u(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("a key that was made signs");
        format!("{signed}.{}", b64u(signature))
    }
}

impl std::fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ProofKey").field(&self.jkt()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_proves_is_accepted_and_it_does_not_print() {
        let (key, now) = (ProofKey::generate(), Timestamp::from_seconds(1_800_000_000));
        let url = "https://phoneops.example/v1/grants/redeem";
        let proof = key.prove("POST", url, "a.b.c", now);
        let proven = dpop::verify(&proof, "POST", url, Some("a.b.c"), now).unwrap();
        assert_eq!(b64u(proven.thumbprint), key.jkt());
        assert_eq!(dpop::verify(&proof, "POST", url, Some("a.b.d"), now), Err(dpop::DpopRefusal::AthWrong));
        assert_eq!(format!("{key:?}"), format!("ProofKey({:?})", key.jkt()));
    }
}
