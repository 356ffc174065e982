//! The command line as a device of a person: its key, and signing in with it (device protocol, sections 1 to 3).
//!
//! **Invariants**
//! - The private key is in one file that its owner alone can read, and does not print.
//! - Every call carries a proof of its own (RFC 9449).

use std::fmt;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::secret::{Secret, b64u, from_b64u, random, sha256, tagged_sha256};

/// How long an assertion is good, in seconds.
const ASSERTION_LIFE: i64 = 60;

/// A device key: P-256.
pub struct DeviceKey {
    private: Zeroizing<Vec<u8>>,
    public: [u8; 65],
    pair: EcdsaKeyPair,
}

impl DeviceKey {
    /// A new key.
    ///
    /// # Panics
    /// When the operating system gives no randomness.
    #[must_use]
    pub fn generate() -> Self {
        let key = PrivateKey::generate(&ECDH_P256).expect("P-256 keys can be generated");
        let bytes: EcPrivateKeyBin<'static> = key.as_be_bytes().expect("a P-256 key has bytes");
        Self::from_private(bytes.as_ref()).expect("a generated key is a key")
    }

    /// From the text of [`DeviceKey::private_text`]; `None` when it is no key.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::from_private(&Zeroizing::new(from_b64u(text)?))
    }

    fn from_private(private: &[u8]) -> Option<Self> {
        let key = PrivateKey::from_private_key(&ECDH_P256, private).ok()?;
        let public: [u8; 65] = key.compute_public_key().ok()?.as_ref().try_into().ok()?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, private, &public).ok()?;
        Some(Self { private: Zeroizing::new(private.to_vec()), public, pair })
    }

    /// The private scalar, base64url: for the one file.
    #[must_use]
    pub fn private_text(&self) -> Zeroizing<String> {
        Zeroizing::new(b64u(&*self.private))
    }

    /// The public half as a JWK (section 1).
    #[must_use]
    pub fn jwk(&self) -> Value {
        json!({"kty": "EC", "crv": "P-256", "x": b64u(&self.public[1..33]), "y": b64u(&self.public[33..])})
    }

    /// A compact JWS (RFC 7515), ES256.
    ///
    /// # Panics
    /// When the operating system gives no randomness.
    #[must_use]
    pub fn jws(&self, header: &Value, claims: &Value) -> String {
        let input = format!("{}.{}", b64u(header.to_string()), b64u(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), input.as_bytes()).expect("a P-256 key signs any message");
        format!("{input}.{}", b64u(signature.as_ref()))
    }

    /// The proof of an enrolment with `code` (section 2). `device` is the member as it is sent, and canonical as written.
    #[must_use]
    pub fn enrolment_proof(&self, issuer: &str, code: &str, device: &Value) -> String {
        let header = json!({"alg": "ES256", "typ": "phoneops-enrollment+jwt"});
        self.jws(
            &header,
            &json!({
                "aud": issuer,
                "code_sha256": b64u(tagged_sha256("phoneops.enrollment.v1", code.as_bytes())),
                "device_sha256": b64u(tagged_sha256("phoneops.device.v1", device.to_string().as_bytes())),
                "iat": Clock::system().now().as_seconds(),
            }),
        )
    }

    /// The proof of a request to become a device of `user` (section 2). `device` as above.
    #[must_use]
    pub fn login_proof(&self, issuer: &str, user: &str, device: &Value) -> String {
        let header = json!({"alg": "ES256", "typ": "phoneops-login+jwt"});
        self.jws(
            &header,
            &json!({
                "aud": issuer,
                "user": user,
                "device_sha256": b64u(tagged_sha256("phoneops.device.v1", device.to_string().as_bytes())),
                "iat": Clock::system().now().as_seconds(),
            }),
        )
    }

    /// A proof for one call (section 3; RFC 9449 section 4.2).
    #[must_use]
    pub fn proof(&self, method: &str, url: &str, token: Option<&Secret>) -> String {
        let header = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": self.jwk()});
        let now = Clock::system().now().as_seconds();
        let mut claims = json!({"jti": b64u(random::<16>()), "htm": method, "htu": url, "iat": now});
        if let Some(token) = token {
            claims["ath"] = json!(b64u(sha256(token.expose().as_bytes())));
        }
        self.jws(&header, &claims)
    }

    /// What `device` signs in with at `url` (section 3; RFC 7523).
    #[must_use]
    pub fn assertion(&self, device: &str, url: &str) -> String {
        let header = json!({"alg": "ES256", "typ": "phoneops-assertion+jwt", "kid": device});
        let now = Clock::system().now().as_seconds();
        self.jws(
            &header,
            &json!({
                "iss": device, "sub": device, "aud": url, "iat": now, "exp": now + ASSERTION_LIFE, "jti": b64u(random::<16>()),
            }),
        )
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(…)")
    }
}

/// Who the command line is, as its file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The installation.
    pub issuer: String,
    /// The device's id.
    pub device: String,
    /// The person, for people: `@yannick`.
    pub user: String,
    /// The private key, base64url.
    key: Zeroizing<String>,
}

impl Login {
    /// For a device that has just become somebody's, or waits to.
    #[must_use]
    pub fn new(issuer: String, device: String, user: String, key: &DeviceKey) -> Self {
        Self { issuer, device, user, key: key.private_text() }
    }

    /// Its key; `None` when the file holds none.
    #[must_use]
    pub fn key(&self) -> Option<DeviceKey> {
        DeviceKey::from_text(&self.key)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("issuer", &self.issuer).field("device", &self.device).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_and_does_not_print() {
        let key = DeviceKey::generate();
        let login = Login::new("https://phoneops.example".into(), "dev_1".into(), "@yannick".into(), &key);
        let again: Login = serde_json::from_str(&serde_json::to_string(&login).unwrap()).unwrap();
        assert_eq!(again.key().unwrap().jwk(), key.jwk());
        let secret = key.private_text();
        assert!(!format!("{key:?} {login:?}").contains(secret.as_str()));
        assert!(DeviceKey::from_text("AAAA").is_none() && DeviceKey::from_text("").is_none());
    }
}
