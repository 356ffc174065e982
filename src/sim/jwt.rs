//! JSON Web Tokens as a provider reads them (RFC 7515, section 7.1): three parts, a header, claims, a signature.

use aws_lc_rs::signature::{ParsedPublicKey, VerificationAlgorithm};
use serde_json::Value;

use crate::secret::from_b64u;

/// A token that has the right form; nothing says yet that it was signed.
pub(super) struct Jwt<'a> {
    pub(super) header: Value,
    pub(super) claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// `None` for anything but three parts in base64url, the first two of which are JSON objects.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let object = |part: &str| serde_json::from_slice(&from_b64u(part)?).ok().filter(Value::is_object);
        Some(Self { header: object(header)?, claims: object(claims)?, signed, signature: from_b64u(signature)? })
    }

    /// Whether the signature is that of `key`, 65 bytes of a P-256 point or an RSA key in DER.
    pub(super) fn is_signed_by(&self, algorithm: &'static dyn VerificationAlgorithm, key: &[u8]) -> bool {
        ParsedPublicKey::new(algorithm, key).is_ok_and(|key| key.verify_sig(self.signed.as_bytes(), &self.signature).is_ok())
    }

    /// A claim that is a whole number.
    pub(super) fn number(&self, claim: &str) -> Option<i64> {
        self.claims[claim].as_i64()
    }

    /// A claim that is a text.
    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        self.claims[claim].as_str()
    }
}
