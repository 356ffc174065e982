//! The public key of a passkey as a `COSE_Key` (RFC 9052 section 7, RFC 9053 section 7.1, RFC 8230 section 4).
//!
//! **Invariants**
//! - One key has one encoding: deterministic CBOR (RFC 8949 section 4.2.1), its map entries in the order `WebAuthn` prescribes
//!   (Level 3, section 6.5.1.1). Whatever is not byte for byte what [`CoseKey::encode`] gives does not parse.
//! - Only what registration allows is there: ES256 on P-256, ES384 on P-384, RS256.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

/// `{1: 2, 3: -7, -1: 1, -2: …` up to the 32 bytes of x.
const ES256: &[u8] = &[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32];
/// `, -3: …` up to the 32 bytes of y.
const ES256_Y: &[u8] = &[0x22, 0x58, 32];
/// `{1: 2, 3: -35, -1: 2, -2: …` up to the 48 bytes of x.
const ES384: &[u8] = &[0xa5, 1, 2, 3, 0x38, 34, 0x20, 2, 0x21, 0x58, 48];
/// `, -3: …` up to the 48 bytes of y.
const ES384_Y: &[u8] = &[0x22, 0x58, 48];
/// `{1: 3, 3: -257, -1: …` up to the two bytes that say how long the modulus is.
const RS256: &[u8] = &[0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59];
/// `, -2: …` up to the three bytes of the exponent.
const RS256_E: &[u8] = &[0x21, 0x43];

/// A passkey's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoseKey {
    /// ECDSA with SHA-256 on P-256: the uncompressed point, 4, x and y.
    Es256([u8; 65]),
    /// ECDSA with SHA-384 on P-384.
    Es384([u8; 97]),
    /// RSASSA-PKCS1-v1_5 with SHA-256: modulus of 256 to 1024 bytes, and exponent.
    Rs256 {
        /// Big endian, without leading zeros.
        n: Vec<u8>,
        /// Big endian.
        e: [u8; 3],
    },
}

impl CoseKey {
    /// The one encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Es256(point) => [ES256, &point[1..33], ES256_Y, &point[33..]].concat(),
            Self::Es384(point) => [ES384, &point[1..49], ES384_Y, &point[49..]].concat(),
            Self::Rs256 { n, e } => {
                let length = u16::try_from(n.len()).unwrap_or(u16::MAX).to_be_bytes();
                [RS256, &length, n, RS256_E, e].concat()
            }
        }
    }

    /// Reads the one encoding of a key that can verify.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let key = Self::read(bytes)?;
        (key.encode() == bytes && key.is_sound()).then_some(key)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        if let Some(rest) = bytes.strip_prefix(ES256) {
            return Some(Self::Es256(point(rest.get(..32)?, rest.get(35..67)?)?));
        }
        if let Some(rest) = bytes.strip_prefix(ES384) {
            return Some(Self::Es384(point(rest.get(..48)?, rest.get(51..99)?)?));
        }
        let (length, rest) = bytes.strip_prefix(RS256)?.split_first_chunk::<2>()?;
        let (n, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        Some(Self::Rs256 { n: n.to_vec(), e: rest.strip_prefix(RS256_E)?.try_into().ok()? })
    }

    /// Whether it is a point of its curve, or a modulus of a length that is verified with.
    fn is_sound(&self) -> bool {
        match self {
            Self::Es256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).is_ok(),
            Self::Es384(point) => ParsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, point).is_ok(),
            Self::Rs256 { n, e } => {
                let odd = n.last().is_some_and(|last| last & 1 == 1);
                (256..=1024).contains(&n.len()) && n[0] >= 0x80 && odd && *e == [1, 0, 1]
            }
        }
    }

    /// Whether `signature` is this key's over `message`, in the form that `WebAuthn` carries (Level 3, section 6.5.5).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let ecdsa = |algorithm: &'static dyn VerificationAlgorithm, point: &[u8]| {
            UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
        };
        match self {
            Self::Es256(point) => ecdsa(&ECDSA_P256_SHA256_ASN1, point),
            Self::Es384(point) => ecdsa(&ECDSA_P384_SHA384_ASN1, point),
            Self::Rs256 { n, e } => {
                RsaPublicKeyComponents { n: &n[..], e: &e[..] }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
        }
    }
}

fn point<const N: usize>(x: &[u8], y: &[u8]) -> Option<[u8; N]> {
    [&[4], x, y].concat().try_into().ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};

    use super::*;
    use crate::identity::vectors::signer;

    fn every_kind() -> Vec<CoseKey> {
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let n = rsa.public_key().modulus().big_endian_without_leading_zero().to_vec();
        vec![
            CoseKey::Es256(signer("device").key.sec1()),
            CoseKey::Es384(p384.public_key().as_ref().try_into().unwrap()),
            CoseKey::Rs256 { n, e: [1, 0, 1] },
        ]
    }

    #[test]
    fn one_key_has_one_encoding() {
        for key in every_kind() {
            let bytes = key.encode();
            assert_eq!(CoseKey::parse(&bytes), Some(key));
            assert_eq!(CoseKey::parse(&[&bytes[..], &[0]].concat()), None, "something after it");
            for length in 0..bytes.len() {
                assert_eq!(CoseKey::parse(&bytes[..length]), None, "cut at {length}");
            }
        }
    }

    #[test]
    fn what_is_no_key_does_not_parse() {
        let mut off = CoseKey::Es256(signer("device").key.sec1()).encode();
        *off.last_mut().unwrap() ^= 1;
        assert_eq!(CoseKey::parse(&off), None, "a point off the curve");
        let short = CoseKey::Rs256 { n: vec![0x81; 128], e: [1, 0, 1] };
        let even = CoseKey::Rs256 { n: vec![0x80; 256], e: [1, 0, 1] };
        let small = CoseKey::Rs256 { n: vec![0x81; 256], e: [0, 0, 3] };
        for weak in [short, even, small] {
            assert_eq!(CoseKey::parse(&weak.encode()), None);
        }
    }

    #[test]
    fn each_kind_verifies_what_its_key_signed() {
        let random = SystemRandom::new();
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        let key = CoseKey::Es384(p384.public_key().as_ref().try_into().unwrap());
        let signature = p384.sign(&random, b"message").unwrap();
        assert!(key.verifies(b"message", signature.as_ref()) && !key.verifies(b"massage", signature.as_ref()));

        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let n = rsa.public_key().modulus().big_endian_without_leading_zero().to_vec();
        let key = CoseKey::Rs256 { n, e: [1, 0, 1] };
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, b"message", &mut signature).unwrap();
        assert!(key.verifies(b"message", &signature) && !key.verifies(b"massage", &signature));
    }
}
