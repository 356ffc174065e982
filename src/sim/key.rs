//! P-256 keys of simulated phones: to sign as a device, as a passkey, and to receive pushes.
//!
//! **Invariants**
//! - `Debug` never shows the private half; only a state file holds it, as 43 characters of base64url.

use std::fmt;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::secret::{b64u, from_b64u, sha256};

/// One P-256 key pair. Both signature encodings are prepared once, because a phone signs every call.
pub(super) struct Key {
    private: Zeroizing<Vec<u8>>,
    public: [u8; 65],
    jose: EcdsaKeyPair,
    webauthn: EcdsaKeyPair,
}

impl Key {
    pub(super) fn generate() -> Self {
        let key = PrivateKey::generate(&ECDH_P256).expect("P-256 keys can be generated");
        let bytes: EcPrivateKeyBin<'static> = key.as_be_bytes().expect("a P-256 key has bytes");
        Self::from_private(bytes.as_ref()).expect("a generated key is a key")
    }

    /// From the 32 bytes of the private scalar, big endian; `None` when they are no P-256 private key.
    pub(super) fn from_private(private: &[u8]) -> Option<Self> {
        let key = PrivateKey::from_private_key(&ECDH_P256, private).ok()?;
        let public = key.compute_public_key().ok()?;
        let public: [u8; 65] = public.as_ref().try_into().ok()?;
        let pair = |algorithm| EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, &public).ok();
        Some(Self {
            jose: pair(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
            webauthn: pair(&ECDSA_P256_SHA256_ASN1_SIGNING)?,
            private: Zeroizing::new(private.to_vec()),
            public,
        })
    }

    /// The public point, uncompressed: `0x04 || x || y`.
    pub(super) fn public(&self) -> &[u8; 65] {
        &self.public
    }

    pub(super) fn x(&self) -> &[u8] {
        &self.public[1..33]
    }

    pub(super) fn y(&self) -> &[u8] {
        &self.public[33..]
    }

    /// The private scalar in base64url, as a state file and a subscription carry it.
    pub(super) fn private_text(&self) -> Zeroizing<String> {
        Zeroizing::new(b64u(&*self.private))
    }

    /// The public half as a JWK with exactly the members of the device protocol, section 1.
    pub(super) fn jwk(&self) -> Value {
        json!({"kty": "EC", "crv": "P-256", "x": b64u(self.x()), "y": b64u(self.y())})
    }

    /// SHA-256 of the canonical JWK (RFC 7638).
    pub(super) fn thumbprint(&self) -> [u8; 32] {
        sha256(format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, b64u(self.x()), b64u(self.y())).as_bytes())
    }

    /// A compact JWS (RFC 7515) over `claims`, ES256.
    pub(super) fn jws(&self, header: &Value, claims: &Value) -> String {
        self.jws_over(header, &claims.to_string())
    }

    /// A compact JWS over exactly this text, ES256.
    pub(super) fn jws_over(&self, header: &Value, payload: &str) -> String {
        let input = format!("{}.{}", b64u(header.to_string()), b64u(payload));
        let signature = sign(&self.jose, input.as_bytes());
        format!("{input}.{}", b64u(signature))
    }

    /// An ECDSA signature in ASN.1 DER, as `WebAuthn` carries it (Level 3, section 6.5.5).
    pub(super) fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        sign(&self.webauthn, message)
    }
}

fn sign(pair: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    pair.sign(&SystemRandom::new(), message).expect("a P-256 key signs any message").as_ref().to_vec()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.private_text())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        from_b64u(&text)
            .map(Zeroizing::new)
            .and_then(|private| Self::from_private(&private))
            .ok_or_else(|| serde::de::Error::custom("not a P-256 private key in base64url"))
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_key_survives_its_text_and_signs_in_both_encodings() {
        let key = Key::generate();
        let text = serde_json::to_string(&key).unwrap();
        let again: Key = serde_json::from_str(&text).unwrap();
        assert_eq!(key.public(), again.public());

        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public()).verify(b"message", &again.sign_der(b"message")).unwrap();
        let jws = again.jws(&json!({"alg": "ES256"}), &json!({"iat": 1}));
        let (input, signature) = jws.rsplit_once('.').unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public())
            .verify(input.as_bytes(), &from_b64u(signature).unwrap())
            .unwrap();
    }

    #[test]
    fn a_private_key_is_neither_printed_nor_invented() {
        let key = Key::generate();
        assert!(!format!("{key:?}").contains(key.private_text().as_str()));
        assert!(serde_json::from_str::<Key>(r#""AAAA""#).is_err());
        assert!(Key::from_private(&[0; 32]).is_none());
    }
}
