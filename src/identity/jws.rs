//! Compact JWS (RFC 7515) with ES256, read strictly from the raw header.
//!
//! Not `jsonwebtoken::decode`: it ignores `crit`, drops a private `d` from a header's JWK and lets a repeated member win. The
//! signature itself is verified by aws-lc-rs, which `jsonwebtoken` would call too, but directly: one allocation less and no
//! second key format.
//!
//! **Invariants**
//! - `alg` is ES256 and `typ` is the one asked for, exactly; what signs one thing is never accepted for another.
//! - The header holds nothing beyond `alg`, `typ` and the one key member asked for. `crit` is always refused: this reader
//!   understands no extension (RFC 7515 section 4.1.11).
//! - Claims are parsed only after the signature held.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::identity::device_key::{DeviceKey, NotADeviceKey};
use crate::identity::strict_json::{self, NotStrict};
use crate::secret::{b64u, from_b64u};

/// The longest JWS that is looked at, in bytes.
pub const MAX_BYTES: usize = 8 * 1024;

/// Which part of a JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The protected header.
    Header,
    /// The claims.
    Payload,
    /// The signature.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// How a header says whose signature it is, besides `alg` and `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMember {
    /// It does not: the verifier knows the key.
    Absent,
    /// `kid`, a name of the key.
    Kid,
    /// `jwk`, the public key itself.
    Jwk,
}

/// Why a JWS was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsRefusal {
    /// More than [`MAX_BYTES`].
    #[error("longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Not three parts with dots between them.
    #[error("not three parts with dots between them")]
    NotCompact,
    /// A part is not canonical base64url without padding, or the signature is not 64 bytes.
    #[error("the {0} is not canonical base64url without padding, or has the wrong length")]
    Encoding(Part),
    /// A part is not a JSON object.
    #[error("the {0} is not a JSON object")]
    NotAnObject(Part),
    /// A part repeats a member.
    #[error("the {0} repeats a member")]
    Repeated(Part),
    /// `typ` is not the one asked for.
    #[error("`typ` must be \"{expected}\"")]
    Typ {
        /// The only `typ` that would do.
        expected: &'static str,
    },
    /// `alg` is not ES256.
    #[error("`alg` must be \"ES256\"")]
    Alg,
    /// The header has `crit`.
    #[error("`crit` is not understood")]
    Crit,
    /// The header has a member that was not asked for.
    #[error("the header has `{0}`, which does not belong in it")]
    HeaderMember(String),
    /// The header lacks `kid`, or it is not a string.
    #[error("the header's `kid` is missing or not a string")]
    Kid,
    /// The header's `jwk` is missing or is no public P-256 key.
    #[error("the header's `jwk`: {0}")]
    Jwk(NotADeviceKey),
    /// The signature is not the key's over these bytes.
    #[error("the signature does not verify")]
    Signature,
    /// The claims do not have the shape asked for.
    #[error("the claims: {0}")]
    Claims(String),
}

impl JwsRefusal {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NotCompact => "not_compact",
            Self::Encoding(_) => "encoding_invalid",
            Self::NotAnObject(_) => "not_an_object",
            Self::Repeated(_) => "member_repeated",
            Self::Typ { .. } => "typ_wrong",
            Self::Alg => "alg_wrong",
            Self::Crit => "crit_refused",
            Self::HeaderMember(_) => "header_member_unexpected",
            Self::Kid => "kid_invalid",
            Self::Jwk(_) => "jwk_invalid",
            Self::Signature => "signature_invalid",
            Self::Claims(_) => "claims_malformed",
        }
    }
}

/// A JWS whose header is in order and whose signature has not been looked at: only `kid` and `jwk` can be read.
#[derive(Debug)]
pub struct Unverified<'t> {
    named: Named,
    signed: &'t str,
    payload: &'t str,
    signature: [u8; 64],
}

#[derive(Debug)]
enum Named {
    Nothing,
    Kid(String),
    Jwk(DeviceKey),
}

/// Reads the header of a JWS, to learn whose signature it claims to be.
///
/// # Errors
/// [`JwsRefusal`] for everything that can be told without a key.
pub fn peek<'t>(token: &'t str, typ: &'static str, member: KeyMember) -> Result<Unverified<'t>, JwsRefusal> {
    if token.len() > MAX_BYTES { Err(JwsRefusal::TooLong) } else { peek_long(token, typ, member) }
}

/// As [`peek`], for a JWS whose length is limited by what it stands in.
///
/// # Errors
/// As [`peek`].
pub fn peek_long<'t>(token: &'t str, typ: &'static str, member: KeyMember) -> Result<Unverified<'t>, JwsRefusal> {
    let (signed, signature) = token.rsplit_once('.').ok_or(JwsRefusal::NotCompact)?;
    let (header, payload) = signed.split_once('.').ok_or(JwsRefusal::NotCompact)?;
    if payload.contains('.') {
        return Err(JwsRefusal::NotCompact);
    }
    let signature = from_b64u(signature).and_then(|bytes| bytes.try_into().ok()).ok_or(JwsRefusal::Encoding(Part::Signature))?;
    let named = read_header(object(Part::Header, header)?, typ, member)?;
    Ok(Unverified { named, signed, payload, signature })
}

/// Verifies a JWS whose header carries `alg` and `typ` only.
///
/// # Errors
/// [`JwsRefusal`].
pub fn verify<Claims: DeserializeOwned>(token: &str, typ: &'static str, key: &DeviceKey) -> Result<Claims, JwsRefusal> {
    peek(token, typ, KeyMember::Absent)?.verify(key)
}

impl Unverified<'_> {
    /// The header's `kid`, when it was asked for. Nothing vouches for it yet.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        match &self.named {
            Named::Kid(kid) => Some(kid),
            Named::Nothing | Named::Jwk(_) => None,
        }
    }

    /// The payload, base64url. Nothing vouches for it yet.
    #[must_use]
    pub fn payload(&self) -> &str {
        self.payload
    }

    /// The header's `jwk`, when it was asked for. Nothing vouches for it yet.
    #[must_use]
    pub fn jwk(&self) -> Option<DeviceKey> {
        match self.named {
            Named::Jwk(key) => Some(key),
            Named::Nothing | Named::Kid(_) => None,
        }
    }

    /// Checks the signature, then reads the claims.
    ///
    /// # Errors
    /// [`JwsRefusal`] when the signature is not `key`'s, or the claims are not `Claims`.
    pub fn verify<Claims: DeserializeOwned>(self, key: &DeviceKey) -> Result<Claims, JwsRefusal> {
        key.verify(self.signed.as_bytes(), &self.signature).map_err(|_| JwsRefusal::Signature)?;
        let members = object(Part::Payload, self.payload)?;
        serde_path_to_error::deserialize(Value::Object(members)).map_err(|error| JwsRefusal::Claims(error.to_string()))
    }
}

/// A JWS with its payload apart (RFC 7515 appendix F), whose signature has not been looked at.
#[derive(Debug)]
pub struct Detached<'t> {
    header: &'t str,
    kid: String,
    signature: [u8; 64],
}

/// Reads the header of a JWS whose payload is apart; it names its key in `kid`.
///
/// # Errors
/// [`JwsRefusal`] for everything that can be told without a key.
pub fn peek_detached<'t>(token: &'t str, typ: &'static str) -> Result<Detached<'t>, JwsRefusal> {
    if token.len() > MAX_BYTES {
        return Err(JwsRefusal::TooLong);
    }
    let (header, signature) = token.split_once("..").ok_or(JwsRefusal::NotCompact)?;
    let signature = from_b64u(signature).and_then(|bytes| bytes.try_into().ok()).ok_or(JwsRefusal::Encoding(Part::Signature))?;
    match read_header(object(Part::Header, header)?, typ, KeyMember::Kid)? {
        Named::Kid(kid) => Ok(Detached { header, kid, signature }),
        Named::Nothing | Named::Jwk(_) => Err(JwsRefusal::Kid),
    }
}

impl Detached<'_> {
    /// The header's `kid`. Nothing vouches for it yet.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Checks the signature over `payload`.
    ///
    /// # Errors
    /// [`JwsRefusal::Signature`].
    pub fn verify(&self, payload: &[u8], key: &DeviceKey) -> Result<(), JwsRefusal> {
        let signed = format!("{}.{}", self.header, b64u(payload));
        key.verify(signed.as_bytes(), &self.signature).map_err(|_| JwsRefusal::Signature)
    }
}

fn object(part: Part, text: &str) -> Result<Map<String, Value>, JwsRefusal> {
    let bytes = from_b64u(text).ok_or(JwsRefusal::Encoding(part))?;
    strict_json::parse(&bytes).map_err(|reason| match reason {
        NotStrict::Malformed => JwsRefusal::NotAnObject(part),
        NotStrict::Repeated => JwsRefusal::Repeated(part),
    })
}

fn read_header(mut header: Map<String, Value>, typ: &'static str, member: KeyMember) -> Result<Named, JwsRefusal> {
    if header.remove("typ").as_ref().and_then(Value::as_str) != Some(typ) {
        return Err(JwsRefusal::Typ { expected: typ });
    }
    if header.remove("alg").as_ref().and_then(Value::as_str) != Some("ES256") {
        return Err(JwsRefusal::Alg);
    }
    if header.contains_key("crit") {
        return Err(JwsRefusal::Crit);
    }
    let named = match member {
        KeyMember::Absent => Named::Nothing,
        KeyMember::Kid => Named::Kid(read_kid(header.remove("kid"))?),
        KeyMember::Jwk => Named::Jwk(read_jwk(header.remove("jwk")).map_err(JwsRefusal::Jwk)?),
    };
    match header.keys().next() {
        None => Ok(named),
        Some(name) => Err(JwsRefusal::HeaderMember(name.chars().take(32).collect())),
    }
}

fn read_kid(kid: Option<Value>) -> Result<String, JwsRefusal> {
    match kid {
        Some(Value::String(kid)) => Ok(kid),
        _ => Err(JwsRefusal::Kid),
    }
}

fn read_jwk(jwk: Option<Value>) -> Result<DeviceKey, NotADeviceKey> {
    match jwk {
        Some(Value::Object(members)) => DeviceKey::from_jwk(&members),
        Some(_) => Err(NotADeviceKey::NotAnObject),
        None => Err(NotADeviceKey::Missing("jwk")),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::identity::vectors::signer;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Claims {
        n: u32,
    }

    fn offer(header: &str, payload: &str) -> Result<Claims, JwsRefusal> {
        let device = signer("device");
        verify(&device.token(header, payload), "t", &device.key)
    }

    #[test]
    fn claims_come_back_when_all_is_well() {
        assert_eq!(offer(r#"{"alg":"ES256","typ":"t"}"#, r#"{"n":7}"#), Ok(Claims { n: 7 }));
    }

    #[test]
    fn a_kid_or_jwk_that_was_not_asked_for_does_not_belong() {
        for (member, header) in
            [("kid", r#"{"alg":"ES256","typ":"t","kid":"dev_1"}"#), ("jwk", r#"{"alg":"ES256","typ":"t","jwk":{}}"#)]
        {
            let refused = offer(header, r#"{"n":7}"#);
            assert_eq!(refused, Err(JwsRefusal::HeaderMember(member.into())));
        }
    }

    #[test]
    fn claims_are_named_when_they_do_not_fit() {
        let header = r#"{"alg":"ES256","typ":"t"}"#;
        for (payload, word) in [("{}", "`n`"), (r#"{"n":"7"}"#, "n:"), (r#"{"n":7,"m":1}"#, "`m`")] {
            let refused = offer(header, payload).unwrap_err();
            assert_eq!(refused.code(), "claims_malformed");
            assert!(refused.to_string().contains(word), "{refused}");
        }
    }

    #[test]
    fn the_payload_is_not_parsed_before_the_signature_held() {
        let device = signer("device");
        let token = device.token(r#"{"alg":"ES256","typ":"t"}"#, "not json");
        let other = signer("other").key;
        assert_eq!(verify::<Claims>(&token, "t", &other), Err(JwsRefusal::Signature));
        let refused = verify::<Claims>(&token, "t", &device.key);
        assert_eq!(refused, Err(JwsRefusal::NotAnObject(Part::Payload)));
    }

    #[test]
    fn every_bit_of_a_token_matters() {
        let device = signer("device");
        let token = device.token(r#"{"alg":"ES256","typ":"t"}"#, r#"{"n":7}"#);
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify::<Claims>(&changed, "t", &device.key).is_err(), "{at}");
        }
    }
}
