//! What a device signs to become known: the enrolment proof and the sign-in assertion (RFC 7523).
//!
//! **Invariants**
//! - An enrolment proof binds one key to one code, one device description and this installation.
//! - A sign-in assertion is believed only under the key of the device it names; `kid`, `iss` and `sub` are that device.
//! - Neither has claims beyond those of the device protocol, sections 2 and 3.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::DeviceId;
use crate::identity::code::EnrollmentCode;
use crate::identity::device_key::DeviceKey;
use crate::identity::jws::{self, JwsRefusal, KeyMember, Unverified};
use crate::identity::model::UserRef;
use crate::identity::once::{self, Untimely};
use crate::secret::{b64u, equal, tagged_sha256};

/// The `typ` of an enrolment proof.
pub const ENROLLMENT_TYP: &str = "phoneops-enrollment+jwt";

/// The `typ` of the proof of a device that asks to be somebody's.
pub const LOGIN_TYP: &str = "phoneops-login+jwt";

/// The `typ` of a sign-in assertion.
pub const SIGN_IN_TYP: &str = "phoneops-assertion+jwt";

/// The longest life of a sign-in assertion, from `iat` to `exp`, in seconds.
pub const MAX_LIFE_SECONDS: i64 = 300;

/// Why an enrolment proof or a sign-in assertion was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssertionRefusal {
    /// Not a JWS of the right kind, or its signature does not hold.
    #[error(transparent)]
    Jws(#[from] JwsRefusal),
    /// `kid` is not a device id.
    #[error("`kid` is not a device id")]
    Kid,
    /// `iss` is not the device of `kid`.
    #[error("`iss` is not the device that `kid` names")]
    Issuer,
    /// `sub` is not the device of `kid`.
    #[error("`sub` is not the device that `kid` names")]
    Subject,
    /// Made for another installation or endpoint.
    #[error("`aud` is not this server's")]
    Audience,
    /// Made too long ago.
    #[error("`iat` is more than 120 s ago")]
    Stale,
    /// Made more than 30 s from now.
    #[error("`iat` is more than 30 s ahead")]
    Early,
    /// `exp` has come.
    #[error("`exp` has passed")]
    Expired,
    /// `exp` is not after `iat`, or more than 300 s after it.
    #[error("`exp` must be 1 to {MAX_LIFE_SECONDS} s after `iat`")]
    Life,
    /// `jti` is not 16 to 128 characters of base64url.
    #[error("`jti` must be 16 to 128 characters of base64url")]
    Jti,
    /// Made for another enrolment code.
    #[error("`code_sha256` is not this code's")]
    Code,
    /// Made for another person.
    #[error("`user` is not the one that was named")]
    User,
    /// Made for another device description.
    #[error("`device_sha256` is not this device's")]
    Device,
    /// The device description has no canonical form.
    #[error("the device description has no canonical JSON")]
    NotCanonical,
}

impl AssertionRefusal {
    /// A stable name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Jws(refusal) => refusal.code(),
            Self::Kid => "kid_invalid",
            Self::Issuer => "iss_wrong",
            Self::Subject => "sub_wrong",
            Self::Audience => "aud_wrong",
            Self::Stale => "iat_stale",
            Self::Early => "iat_early",
            Self::Expired => "exp_passed",
            Self::Life => "exp_too_far",
            Self::Jti => "jti_invalid",
            Self::Code => "code_wrong",
            Self::User => "user_wrong",
            Self::Device => "device_wrong",
            Self::NotCanonical => "device_not_canonical",
        }
    }
}

impl From<Untimely> for AssertionRefusal {
    fn from(reason: Untimely) -> Self {
        match reason {
            Untimely::Stale => Self::Stale,
            Untimely::Early => Self::Early,
        }
    }
}

/// A sign-in that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The device that signs in.
    pub device: DeviceId,
    /// SHA-256 of the `jti`, by which a second use is recognised.
    pub jti_sha256: [u8; 32],
    /// From this instant on the assertion is refused, and its `jti` may be forgotten.
    pub expires_at: Timestamp,
}

/// A sign-in assertion that names a device whose key has not been looked up yet.
#[derive(Debug)]
pub struct UnverifiedSignIn<'t> {
    device: DeviceId,
    jws: Unverified<'t>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignInClaims {
    iss: String,
    sub: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: String,
}

/// Reads which device an assertion claims to be from.
///
/// # Errors
/// [`AssertionRefusal`] for everything that can be told without the key.
pub fn peek_sign_in(assertion: &str) -> Result<UnverifiedSignIn<'_>, AssertionRefusal> {
    let jws = jws::peek(assertion, SIGN_IN_TYP, KeyMember::Kid)?;
    let device = jws.kid().and_then(|kid| kid.parse().ok());
    Ok(UnverifiedSignIn { device: device.ok_or(AssertionRefusal::Kid)?, jws })
}

impl UnverifiedSignIn<'_> {
    /// The device to look up. Nothing vouches for it yet.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Verifies the assertion under the key of [`UnverifiedSignIn::device`]. `audience` is the issuer and `/v1/token`.
    ///
    /// # Errors
    /// [`AssertionRefusal`], one variant per reason.
    pub fn verify(self, key: &DeviceKey, audience: &str, now: Timestamp) -> Result<SignIn, AssertionRefusal> {
        let claims: SignInClaims = self.jws.verify(key)?;
        let device = self.device.to_string();
        if claims.iss != device {
            return Err(AssertionRefusal::Issuer);
        }
        if claims.sub != device {
            return Err(AssertionRefusal::Subject);
        }
        if claims.aud != audience {
            return Err(AssertionRefusal::Audience);
        }
        Ok(SignIn {
            device: self.device,
            expires_at: check_life(claims.iat, claims.exp, now)?,
            jti_sha256: once::jti_sha256(&claims.jti).ok_or(AssertionRefusal::Jti)?,
        })
    }
}

/// Checks the times of a sign-in, whose age `exp` bounds, and gives its end.
fn check_life(iat: i64, exp: i64, now: Timestamp) -> Result<Timestamp, AssertionRefusal> {
    let expires_at = Timestamp::from_seconds(exp);
    if Timestamp::from_seconds(iat) > now.after(once::MAX_AHEAD) {
        Err(AssertionRefusal::Early)
    } else if !(1..=MAX_LIFE_SECONDS).contains(&exp.saturating_sub(iat)) {
        Err(AssertionRefusal::Life)
    } else if now >= expires_at {
        Err(AssertionRefusal::Expired)
    } else {
        Ok(expires_at)
    }
}

/// An enrolment proof that holds: whoever sent it has the device key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrollment {
    /// The key that was proven.
    pub key: DeviceKey,
    /// The digest of the enrolment code, under which it is stored.
    pub code_sha256: [u8; 32],
    /// When the device made the proof, by its own clock.
    pub issued_at: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnrollmentClaims {
    aud: String,
    code_sha256: String,
    device_sha256: String,
    iat: i64,
}

/// Verifies an enrolment proof. `device` is the `device` member of the claim exactly as it was received, and `issuer` the
/// installation's `public_url`.
///
/// # Errors
/// [`AssertionRefusal`], one variant per reason.
pub fn verify_enrollment(
    proof: &str,
    key: &DeviceKey,
    issuer: &str,
    code: &EnrollmentCode,
    device: &impl Serialize,
    now: Timestamp,
) -> Result<Enrollment, AssertionRefusal> {
    let claims: EnrollmentClaims = jws::verify(proof, ENROLLMENT_TYP, key)?;
    if claims.aud != issuer {
        return Err(AssertionRefusal::Audience);
    }
    let code_sha256 = code.hash();
    if !equal(claims.code_sha256.as_bytes(), b64u(code_sha256).as_bytes()) {
        return Err(AssertionRefusal::Code);
    }
    if claims.device_sha256 != b64u(device_sha256(device)?) {
        return Err(AssertionRefusal::Device);
    }
    Ok(Enrollment { key: *key, code_sha256, issued_at: once::issued_at(claims.iat, now)? })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginClaims {
    aud: String,
    user: String,
    device_sha256: String,
    iat: i64,
}

/// Verifies the proof of a device that asks to be `user`'s, as it named them. `device` and `issuer` as for [`verify_enrollment`].
///
/// # Errors
/// [`AssertionRefusal`], one variant per reason.
pub fn verify_login(
    proof: &str,
    key: &DeviceKey,
    issuer: &str,
    user: &UserRef,
    device: &impl Serialize,
    now: Timestamp,
) -> Result<(), AssertionRefusal> {
    let claims: LoginClaims = jws::verify(proof, LOGIN_TYP, key)?;
    if claims.aud != issuer {
        return Err(AssertionRefusal::Audience);
    }
    if claims.user != user.to_string() {
        return Err(AssertionRefusal::User);
    }
    if claims.device_sha256 != b64u(device_sha256(device)?) {
        return Err(AssertionRefusal::Device);
    }
    once::issued_at(claims.iat, now)?;
    Ok(())
}

/// `H("phoneops.device.v1", JCS(device))`.
fn device_sha256(device: &impl Serialize) -> Result<[u8; 32], AssertionRefusal> {
    let canonical = serde_json_canonicalizer::to_vec(device).map_err(|_| AssertionRefusal::NotCanonical)?;
    Ok(tagged_sha256("phoneops.device.v1", &canonical))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_lives_from_30_seconds_before_its_iat_to_its_exp() {
        let now = Timestamp::from_seconds(1_700_000_000);
        let at = |iat: i64, exp: i64| check_life(1_700_000_000 + iat, 1_700_000_000 + exp, now);
        assert_eq!(at(0, 60), Ok(Timestamp::from_seconds(1_700_000_060)));
        assert_eq!(at(30, 90), Ok(Timestamp::from_seconds(1_700_000_090)));
        assert_eq!(at(31, 91), Err(AssertionRefusal::Early));
        assert_eq!(at(-60, 0), Err(AssertionRefusal::Expired));
        assert_eq!(at(-299, 1), Ok(Timestamp::from_seconds(1_700_000_001)));
        assert_eq!(at(0, 301), Err(AssertionRefusal::Life));
        assert_eq!(at(0, 0), Err(AssertionRefusal::Life));
        assert_eq!(check_life(i64::MIN, i64::MAX, now), Err(AssertionRefusal::Life));
        assert_eq!(check_life(i64::MAX, i64::MIN, now), Err(AssertionRefusal::Early));
    }

    #[test]
    fn a_device_without_canonical_json_is_refused() {
        let device = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(device_sha256(&device), Err(AssertionRefusal::NotCanonical));
    }
}
