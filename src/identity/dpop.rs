//! DPoP proofs (RFC 9449): whoever sends a call holds the device key, and made the proof for exactly this call.
//!
//! **Invariants**
//! - A proof holds for one method, one URL without query and fragment, and one access token or none.
//! - A [`Proof`] says that a key signed now; it does not say whose key. The caller compares `thumbprint` with the token's
//!   `cnf.jkt` and refuses a `jti_sha256` it has seen, until `expires_at` has passed.
//! - Unknown claims are ignored, as RFC 9449 section 4.2 lets clients add them; unknown header members are not.

use serde::Deserialize;
use url::Url;

use crate::clock::Timestamp;
use crate::identity::device_key::DeviceKey;
use crate::identity::jws::{self, JwsRefusal, KeyMember};
use crate::identity::once::{self, Untimely};
use crate::secret::{b64u, equal, sha256};

/// The `typ` of a proof (RFC 9449 section 4.2).
pub const TYP: &str = "dpop+jwt";

/// A proof that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// RFC 7638 thumbprint of `key`.
    pub thumbprint: [u8; 32],
    /// The key that signed.
    pub key: DeviceKey,
    /// SHA-256 of the `jti`, by which a second use is recognised.
    pub jti_sha256: [u8; 32],
    /// The last instant at which this proof is believed, and so at which its `jti` must be known.
    pub expires_at: Timestamp,
}

/// Why a proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DpopRefusal {
    /// Not a JWS of the right kind, or its signature does not hold.
    #[error(transparent)]
    Jws(#[from] JwsRefusal),
    /// Made for another method.
    #[error("`htm` is not this call's method")]
    Method,
    /// Made for another URL.
    #[error("`htu` is not this call's URL")]
    Url,
    /// Made more than 120 s ago.
    #[error("`iat` is more than 120 s ago")]
    Stale,
    /// Made more than 30 s from now.
    #[error("`iat` is more than 30 s ahead")]
    Early,
    /// `jti` is not 16 to 128 characters of base64url.
    #[error("`jti` must be 16 to 128 characters of base64url")]
    Jti,
    /// There is an access token, and `ath` is missing.
    #[error("`ath` is missing")]
    AthMissing,
    /// `ath` is not the digest of this access token.
    #[error("`ath` is not this access token's")]
    AthWrong,
    /// There is no access token, yet there is an `ath`.
    #[error("`ath` without an access token")]
    AthUnexpected,
}

impl DpopRefusal {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Jws(refusal) => refusal.code(),
            Self::Method => "htm_wrong",
            Self::Url => "htu_wrong",
            Self::Stale => "iat_stale",
            Self::Early => "iat_early",
            Self::Jti => "jti_invalid",
            Self::AthMissing => "ath_missing",
            Self::AthWrong => "ath_wrong",
            Self::AthUnexpected => "ath_unexpected",
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    ath: Option<String>,
}

/// Verifies the proof of one call: `method` as on the request line, `url` as the client addressed it (scheme and host of
/// the issuer, not of a proxy's inside), and the access token when the call carries one.
///
/// # Errors
/// [`DpopRefusal`], one variant per reason.
pub fn verify(proof: &str, method: &str, url: &str, access_token: Option<&str>, now: Timestamp) -> Result<Proof, DpopRefusal> {
    let unverified = jws::peek(proof, TYP, KeyMember::Jwk)?;
    let key = unverified.jwk().ok_or(JwsRefusal::Signature)?;
    let claims: Claims = unverified.verify(&key)?;
    if claims.htm != method {
        return Err(DpopRefusal::Method);
    }
    if !same_resource(&claims.htu, url) {
        return Err(DpopRefusal::Url);
    }
    let issued_at = once::issued_at(claims.iat, now).map_err(|reason| match reason {
        Untimely::Stale => DpopRefusal::Stale,
        Untimely::Early => DpopRefusal::Early,
    })?;
    check_token(claims.ath.as_deref(), access_token)?;
    Ok(Proof {
        thumbprint: key.thumbprint(),
        key,
        jti_sha256: once::jti_sha256(&claims.jti).ok_or(DpopRefusal::Jti)?,
        expires_at: issued_at.after(once::MAX_AGE),
    })
}

fn check_token(ath: Option<&str>, access_token: Option<&str>) -> Result<(), DpopRefusal> {
    match (ath, access_token) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(DpopRefusal::AthMissing),
        (Some(_), None) => Err(DpopRefusal::AthUnexpected),
        (Some(ath), Some(token)) => {
            let expected = b64u(sha256(token.as_bytes()));
            let same = equal(ath.as_bytes(), expected.as_bytes());
            same.then_some(()).ok_or(DpopRefusal::AthWrong)
        }
    }
}

/// Whether two URLs name the same resource once query and fragment are gone (RFC 9449 section 4.3, point 9).
fn same_resource(claimed: &str, called: &str) -> bool {
    match (normalised(claimed), normalised(called)) {
        (Some(claimed), Some(called)) => claimed == called,
        _ => false,
    }
}

/// Normalises an http URL by RFC 3986 sections 6.2.2 and 6.2.3 and drops query and fragment. `None` for what is no such URL,
/// or carries a user name: the WHATWG parser alone would also mend backslashes, tabs and missing slashes.
fn normalised(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("://")?;
    if rest.starts_with('/') || !text.bytes().all(belongs_in_a_uri) {
        return None;
    }
    let mut url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    url.set_query(None);
    url.set_fragment(None);
    if plain { canonical_escapes(url.as_str()) } else { None }
}

fn belongs_in_a_uri(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// Decodes escaped unreserved characters and writes the other escapes in upper case; `None` for a broken escape.
fn canonical_escapes(url: &str) -> Option<String> {
    let mut pieces = url.split('%');
    let mut out = String::with_capacity(url.len());
    out.push_str(pieces.next()?);
    for piece in pieces {
        let (hex, rest) = piece.split_at_checked(2)?;
        // from_str_radix alone would take a sign.
        let digits = hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        let byte = u8::from_str_radix(hex, 16).ok().filter(|_| digits)?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex.to_ascii_uppercase());
        }
        out.push_str(rest);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_differ_only_in_spelling_are_the_same() {
        let called = "https://phoneops.example/v1/me";
        for claimed in [
            "HTTPS://PhoneOps.Example/v1/me",
            "https://phoneops.example:443/v1/me",
            "https://phoneops.example/v1/./x/../me",
            "https://phoneops.example/v1/%6de",
            "https://phoneops.example/%76%31/me",
            "https://phoneops.example/v1/me?wait=25",
            "https://phoneops.example/v1/me#top",
        ] {
            assert!(same_resource(claimed, called), "{claimed}");
        }
        assert!(same_resource("https://phoneops.example", "https://phoneops.example/"));
        assert!(same_resource("https://a.example/%c3%a9%2f", "https://a.example/%C3%A9%2F?x"));
        assert!(same_resource("http://localhost:8080/v1/me", "http://localhost:8080/v1/me"));
    }

    #[test]
    fn urls_that_differ_in_substance_are_not() {
        let called = "https://phoneops.example/v1/me";
        for claimed in [
            "http://phoneops.example/v1/me",
            "https://phoneops.example:8443/v1/me",
            "https://phoneops.example/v1/me/",
            "https://phoneops.example/v1//me",
            "https://phoneops.example/V1/me",
            "https://phoneops.example/v1%2Fme",
            "https://phoneops.example.evil.example/v1/me",
            "https://yannick@phoneops.example/v1/me",
            "https://phoneops.example\\v1\\me",
            "https:phoneops.example/v1/me",
            "https:///phoneops.example/v1/me",
            " https://phoneops.example/v1/me",
            "https://phoneops.example/v1/m\te",
            "https://phoneops.example/v1/me%",
            "https://phoneops.example/v1/me%+1",
            "/v1/me",
            "",
        ] {
            assert!(!same_resource(claimed, called), "{claimed}");
        }
    }

    #[test]
    fn a_broken_escape_matches_nothing_not_even_itself() {
        for url in ["https://a.example/%", "https://a.example/%zz", "https://a.example/%+1"] {
            assert!(!same_resource(url, url), "{url}");
        }
    }
}
