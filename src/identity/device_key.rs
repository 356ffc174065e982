//! The public half of a device's key: a point of P-256.
//!
//! **Invariants**
//! - A [`DeviceKey`] is a valid point: off-curve coordinates and the point at infinity do not parse.
//! - Its text form is the JWK (RFC 7517) with exactly `kty`, `crv`, `x` and `y` in canonical base64url, so one key has one JWK
//!   and one thumbprint; a private `d` is refused rather than dropped.
//! - Its signatures are ES256 (RFC 7518 section 3.4): raw `r || s`, 64 bytes, verified by aws-lc-rs.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::identity::strict_json;
use crate::secret::{b64u, from_b64u, sha256};

/// A P-256 public key. Compares, hashes and sorts by its uncompressed point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKey([u8; 65]);

/// Why something is not a device key. Never repeats a member's value, which may be private.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotADeviceKey {
    /// Not a JSON object, or one that repeats a member.
    #[error("a JWK is an object whose members appear once")]
    NotAnObject,
    /// A member that must be there is not.
    #[error("the JWK lacks `{0}`")]
    Missing(&'static str),
    /// A member that has no business in a public P-256 key, such as a private `d`.
    #[error("the JWK has `{0}`, which does not belong in it")]
    Unexpected(String),
    /// `kty` is not `EC`, or `crv` is not `P-256`.
    #[error("`{member}` must be \"{expected}\"")]
    Unsupported {
        /// Which member.
        member: &'static str,
        /// The only value it may have.
        expected: &'static str,
    },
    /// A coordinate is not canonical base64url of 32 bytes.
    #[error("`{0}` must be 32 bytes in base64url without padding")]
    Coordinate(&'static str),
    /// The coordinates are not a point of the curve.
    #[error("`x` and `y` are not a point of P-256")]
    OffCurve,
    /// Not 65 bytes that start with 4 (SEC 1 section 2.3.3).
    #[error("not an uncompressed point of 65 bytes")]
    NotSec1,
}

/// A signature that is not the key's over the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct SignatureInvalid;

impl DeviceKey {
    /// From an uncompressed point: 4, then x and y (SEC 1 section 2.3.3).
    ///
    /// # Errors
    /// [`NotADeviceKey::NotSec1`] for another form or length, [`NotADeviceKey::OffCurve`] for what is no point.
    pub fn from_sec1(bytes: &[u8]) -> Result<Self, NotADeviceKey> {
        let point: [u8; 65] = bytes.try_into().map_err(|_| NotADeviceKey::NotSec1)?;
        // aws-lc-rs would take compressed and DER forms too: two texts for one key, so only this one is let through.
        if point[0] != 4 {
            return Err(NotADeviceKey::NotSec1);
        }
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| NotADeviceKey::OffCurve)?;
        Ok(Self(point))
    }

    /// From the members of a JWK.
    ///
    /// # Errors
    /// [`NotADeviceKey`], naming the member.
    pub fn from_jwk(members: &Map<String, Value>) -> Result<Self, NotADeviceKey> {
        let known = ["kty", "crv", "x", "y"];
        if let Some(name) = members.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(NotADeviceKey::Unexpected(name.chars().take(32).collect()));
        }
        exactly(members, "kty", "EC")?;
        exactly(members, "crv", "P-256")?;
        let mut point = [4; 65];
        point[1..33].copy_from_slice(&coordinate(members, "x")?);
        point[33..].copy_from_slice(&coordinate(members, "y")?);
        Self::from_sec1(&point)
    }

    /// The key as a JWK: `{"crv":"P-256","kty":"EC","x":…,"y":…}`.
    #[must_use]
    pub fn to_jwk(&self) -> Value {
        json!({ "crv": "P-256", "kty": "EC", "x": b64u(self.x()), "y": b64u(self.y()) })
    }

    /// The uncompressed point: 4, then x and y.
    #[must_use]
    pub fn sec1(&self) -> [u8; 65] {
        self.0
    }

    /// SHA-256 of the canonical JWK (RFC 7638): how the key is named in `cnf.jkt`.
    #[must_use]
    pub fn thumbprint(&self) -> [u8; 32] {
        let (x, y) = (b64u(self.x()), b64u(self.y()));
        sha256(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes())
    }

    /// Checks an ES256 signature over `message`.
    ///
    /// # Errors
    /// [`SignatureInvalid`] for anything but this key's signature over exactly these bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureInvalid> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.0).verify(message, signature).map_err(|_| SignatureInvalid)
    }

    fn x(&self) -> &[u8] {
        &self.0[1..33]
    }

    fn y(&self) -> &[u8] {
        &self.0[33..]
    }
}

fn text<'m>(members: &'m Map<String, Value>, member: &'static str) -> Result<Option<&'m str>, NotADeviceKey> {
    let value = members.get(member).ok_or(NotADeviceKey::Missing(member))?;
    Ok(value.as_str())
}

fn exactly(members: &Map<String, Value>, member: &'static str, expected: &'static str) -> Result<(), NotADeviceKey> {
    match text(members, member)? {
        Some(value) if value == expected => Ok(()),
        _ => Err(NotADeviceKey::Unsupported { member, expected }),
    }
}

fn coordinate(members: &Map<String, Value>, member: &'static str) -> Result<[u8; 32], NotADeviceKey> {
    text(members, member)?.and_then(from_b64u).and_then(|bytes| bytes.try_into().ok()).ok_or(NotADeviceKey::Coordinate(member))
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", b64u(self.thumbprint()))
    }
}

impl Serialize for DeviceKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_jwk().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DeviceKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Value::Object(members) = strict_json::deserialize(deserializer)? else {
            return Err(serde::de::Error::custom(NotADeviceKey::NotAnObject));
        };
        Self::from_jwk(&members).map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for DeviceKey {
    fn schema_name() -> Cow<'static, str> {
        "DeviceKey".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let coordinate = json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{43}$" });
        schemars::json_schema!({
            "type": "object",
            "description": "A P-256 public key as a JWK (RFC 7517), with no other member",
            "properties": {
                "kty": { "const": "EC" },
                "crv": { "const": "P-256" },
                "x": coordinate,
                "y": coordinate,
            },
            "required": ["kty", "crv", "x", "y"],
            "additionalProperties": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::vectors::signer;

    fn jwk() -> Map<String, Value> {
        match signer("device").key.to_jwk() {
            Value::Object(members) => members,
            other => panic!("a JWK is an object: {other}"),
        }
    }

    fn with(member: &str, value: impl Into<Value>) -> Result<DeviceKey, NotADeviceKey> {
        let mut members = jwk();
        members.insert(member.to_owned(), value.into());
        DeviceKey::from_jwk(&members)
    }

    #[test]
    fn a_key_survives_its_jwk_and_its_point() {
        let key = signer("device").key;
        assert_eq!(DeviceKey::from_jwk(&jwk()), Ok(key));
        assert_eq!(DeviceKey::from_sec1(&key.sec1()), Ok(key));
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<DeviceKey>(&text).unwrap(), key);
    }

    #[test]
    fn a_jwk_with_anything_more_is_refused_by_name() {
        for member in ["d", "kid", "use", "alg", "KTY", "x5c"] {
            let refused = with(member, "AA");
            assert_eq!(refused, Err(NotADeviceKey::Unexpected(member.into())));
        }
    }

    #[test]
    fn a_jwk_with_anything_less_is_refused_by_name() {
        for member in ["kty", "crv", "x", "y"] {
            let mut members = jwk();
            members.remove(member);
            let refused = DeviceKey::from_jwk(&members);
            assert_eq!(refused, Err(NotADeviceKey::Missing(member)));
        }
    }

    #[test]
    fn other_curves_and_kinds_are_refused() {
        let unsupported = |member, expected| Err(NotADeviceKey::Unsupported { member, expected });
        assert_eq!(with("kty", "OKP"), unsupported("kty", "EC"));
        assert_eq!(with("kty", 1), unsupported("kty", "EC"));
        assert_eq!(with("crv", "P-384"), unsupported("crv", "P-256"));
        assert_eq!(with("crv", "p-256"), unsupported("crv", "P-256"));
    }

    #[test]
    fn coordinates_are_32_bytes_of_canonical_base64url() {
        let x = jwk()["x"].as_str().unwrap().to_owned();
        // 43 characters carry 258 bits: a last character with its two spare bits set is the same number spelled otherwise.
        let respelled = format!("{}Z", &x[..42]);
        for bad in
            [format!("{x}="), x[..42].to_owned(), b64u([1; 31]), b64u([1; 33]), format!("+{}", &x[1..]), respelled, String::new()]
        {
            assert_eq!(with("x", bad.clone()), Err(NotADeviceKey::Coordinate("x")), "{bad}");
            assert_eq!(with("y", bad.clone()), Err(NotADeviceKey::Coordinate("y")), "{bad}");
        }
        assert_eq!(with("x", Value::Null), Err(NotADeviceKey::Coordinate("x")));
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        assert_eq!(with("y", b64u([7; 32])), Err(NotADeviceKey::OffCurve));
        assert_eq!(with("x", b64u([0xff; 32])), Err(NotADeviceKey::OffCurve));
        let mut origin = [0; 65];
        origin[0] = 4;
        assert_eq!(DeviceKey::from_sec1(&origin), Err(NotADeviceKey::OffCurve));
    }

    #[test]
    fn only_the_uncompressed_form_is_a_point() {
        let point = signer("device").key.sec1();
        let mut compressed = point[..33].to_vec();
        compressed[0] = 2 + (point[64] & 1);
        for bytes in [&compressed[..], &point[..64], &[0], &[]] {
            assert_eq!(DeviceKey::from_sec1(bytes), Err(NotADeviceKey::NotSec1));
        }
        let mut hybrid = point;
        hybrid[0] = 6 + (point[64] & 1);
        assert_eq!(DeviceKey::from_sec1(&hybrid), Err(NotADeviceKey::NotSec1));
    }

    #[test]
    fn a_repeated_member_is_refused() {
        let text = serde_json::to_string(&signer("device").key).unwrap();
        let twice = text.replacen('{', r#"{"kty":"EC","#, 1);
        assert!(serde_json::from_str::<DeviceKey>(&twice).is_err());
        assert!(serde_json::from_str::<DeviceKey>("[]").is_err());
    }

    #[test]
    fn a_signature_holds_for_its_key_and_message_only() {
        let (device, other) = (signer("device"), signer("other"));
        let signature = device.sign(b"message");
        assert_eq!(device.key.verify(b"message", &signature), Ok(()));
        assert_eq!(device.key.verify(b"massage", &signature), Err(SignatureInvalid));
        assert_eq!(other.key.verify(b"message", &signature), Err(SignatureInvalid));
        assert_eq!(device.key.verify(b"message", &[0; 64]), Err(SignatureInvalid));
    }

    #[test]
    fn the_thumbprint_is_that_of_the_canonical_jwk() {
        let key = signer("device").key;
        let canonical = serde_json_canonicalizer::to_vec(&key.to_jwk()).unwrap();
        assert_eq!(key.thumbprint(), sha256(&canonical));
    }
}
