//! The 10-minute access token: a JWT (HS256) that names a user and a device, bound to the device key (RFC 9449 section 6.1).
//!
//! HS256, because only this installation's nodes ever read it, and they share the master key.
//!
//! **Invariants**
//! - It carries no role and no rights: those are looked up at each call, so that taking one away takes effect at once.
//! - It is good only together with a DPoP proof by the key whose thumbprint is `cnf.jkt`; the caller compares.
//! - Its time is checked against the instant passed in, never the system clock.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{DeviceId, UserId};
use crate::secret::{MasterKey, Secret, b64u, from_b64u};

/// The `typ` of an access token.
pub const TYP: &str = "phoneops-access+jwt";

/// How long an access token lives.
pub const LIFE: Duration = Duration::from_mins(10);

/// The longest access token that is looked at, in bytes.
const MAX_BYTES: usize = 2 * 1024;

/// An access token that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Who.
    pub user: UserId,
    /// On which device.
    pub device: DeviceId,
    /// RFC 7638 thumbprint of the key that must sign each call's DPoP proof.
    pub thumbprint: [u8; 32],
    /// From this instant on the token is refused.
    pub expires_at: Timestamp,
}

/// Why an access token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessTokenRefusal {
    /// Not a JWT of this kind, or not signed with this installation's key.
    #[error("not an access token of this server")]
    Invalid,
    /// Issued under another `public_url`.
    #[error("issued by another installation")]
    Issuer,
    /// Ten minutes have passed.
    #[error("the access token has expired")]
    Expired,
}

impl AccessTokenRefusal {
    /// A stable name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid => "token_invalid",
            Self::Issuer => "iss_wrong",
            Self::Expired => "exp_passed",
        }
    }
}

/// Mints and verifies the access tokens of one installation.
pub struct AccessTokens {
    issuer: String,
    header: Header,
    signing_key: EncodingKey,
    verifying_key: DecodingKey,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    sub: UserId,
    device: DeviceId,
    cnf: Confirmation,
    iat: i64,
    exp: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    jkt: String,
}

impl AccessTokens {
    /// For the installation at `issuer`, under a key of its own derived from the master key.
    #[must_use]
    pub fn new(master: &MasterKey, issuer: &str) -> Self {
        let key = master.derive("phoneops.access-token.v1");
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYP.to_owned());
        // Whatever would read the system clock is off: `verify` checks the times by hand.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self {
            issuer: issuer.to_owned(),
            header,
            signing_key: EncodingKey::from_secret(&*key),
            verifying_key: DecodingKey::from_secret(&*key),
            validation,
        }
    }

    /// A token for `user` on `device`, bound to the key with this thumbprint, good for [`LIFE`].
    ///
    /// # Panics
    /// Never: HMAC takes any message, and the claims are strings and integers.
    #[must_use]
    pub fn mint(&self, user: UserId, device: DeviceId, thumbprint: &[u8; 32], now: Timestamp) -> Secret {
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: user,
            device,
            cnf: Confirmation { jkt: b64u(thumbprint) },
            iat: now.as_seconds(),
            exp: now.after(LIFE).as_seconds(),
        };
        let token = jsonwebtoken::encode(&self.header, &claims, &self.signing_key);
        Secret::new(token.expect("claims of strings and integers are signed with HMAC"))
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// [`AccessTokenRefusal`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<AccessToken, AccessTokenRefusal> {
        if token.len() > MAX_BYTES {
            return Err(AccessTokenRefusal::Invalid);
        }
        let token = jsonwebtoken::decode::<Claims>(token, &self.verifying_key, &self.validation)
            .map_err(|_| AccessTokenRefusal::Invalid)?;
        // The key signs nothing else, and a header of ours has exactly these members.
        if token.header != self.header {
            return Err(AccessTokenRefusal::Invalid);
        }
        let claims = token.claims;
        if claims.iss != self.issuer {
            return Err(AccessTokenRefusal::Issuer);
        }
        let expires_at = Timestamp::from_seconds(claims.exp);
        if now >= expires_at {
            return Err(AccessTokenRefusal::Expired);
        }
        let thumbprint = from_b64u(&claims.cnf.jkt).and_then(|jkt| jkt.try_into().ok());
        Ok(AccessToken {
            user: claims.sub,
            device: claims.device,
            thumbprint: thumbprint.ok_or(AccessTokenRefusal::Invalid)?,
            expires_at,
        })
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessTokens({})", self.issuer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn now() -> Timestamp {
        Timestamp::from_seconds(NOW)
    }

    fn tokens() -> (MasterKey, AccessTokens) {
        let master = MasterKey::generate();
        let tokens = AccessTokens::new(&master, "https://phoneops.example");
        (master, tokens)
    }

    fn minted(tokens: &AccessTokens) -> (AccessToken, Secret) {
        let expected = AccessToken {
            user: UserId::new(now()),
            device: DeviceId::new(now()),
            thumbprint: [7; 32],
            expires_at: Timestamp::from_seconds(NOW + 600),
        };
        let token = tokens.mint(expected.user, expected.device, &expected.thumbprint, now());
        (expected, token)
    }

    #[test]
    fn a_token_names_user_device_and_key_for_ten_minutes() {
        let (_, tokens) = tokens();
        let (expected, token) = minted(&tokens);
        let at = |seconds| tokens.verify(token.expose(), Timestamp::from_seconds(NOW + seconds));
        assert_eq!(at(0), Ok(expected.clone()));
        assert_eq!(at(599), Ok(expected));
        assert_eq!(at(600), Err(AccessTokenRefusal::Expired));
    }

    #[test]
    fn a_token_of_another_issuer_or_key_is_refused() {
        let (master, tokens) = tokens();
        let (_, token) = minted(&tokens);
        let moved = AccessTokens::new(&master, "https://other.example");
        let refused = moved.verify(token.expose(), now());
        assert_eq!(refused, Err(AccessTokenRefusal::Issuer));
        let stranger = AccessTokens::new(&MasterKey::generate(), "https://phoneops.example");
        let refused = stranger.verify(token.expose(), now());
        assert_eq!(refused, Err(AccessTokenRefusal::Invalid));
    }

    #[test]
    fn every_character_of_a_token_matters() {
        let (_, tokens) = tokens();
        let (_, token) = minted(&tokens);
        for at in 0..token.expose().len() {
            let mut bytes = token.expose().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(tokens.verify(&changed, now()).is_err(), "character {at}");
        }
        let long = "a".repeat(MAX_BYTES + 1);
        assert_eq!(tokens.verify(&long, now()), Err(AccessTokenRefusal::Invalid));
    }

    /// Signs with the right key what `mint` never would.
    fn forged(tokens: &AccessTokens, header: &Header, change: fn(&mut Value)) -> String {
        let mut claims = json!({
            "iss": tokens.issuer, "sub": UserId::new(now()), "device": DeviceId::new(now()),
            "cnf": { "jkt": b64u([7; 32]) }, "iat": NOW, "exp": NOW + 600,
        });
        change(&mut claims);
        jsonwebtoken::encode(header, &claims, &tokens.signing_key).unwrap()
    }

    #[test]
    fn a_token_of_another_kind_under_the_same_key_is_refused() {
        let (_, tokens) = tokens();
        let good = forged(&tokens, &tokens.header, |_| ());
        assert!(tokens.verify(&good, now()).is_ok());
        for typ in [None, Some("JWT".to_owned())] {
            let mut header = tokens.header.clone();
            header.typ = typ;
            let token = forged(&tokens, &header, |_| ());
            assert_eq!(tokens.verify(&token, now()), Err(AccessTokenRefusal::Invalid));
        }
        let mut header = tokens.header.clone();
        header.alg = Algorithm::HS384;
        let token = forged(&tokens, &header, |_| ());
        assert_eq!(tokens.verify(&token, now()), Err(AccessTokenRefusal::Invalid));
        let mut header = tokens.header.clone();
        header.kid = Some("1".to_owned());
        let token = forged(&tokens, &header, |_| ());
        assert_eq!(tokens.verify(&token, now()), Err(AccessTokenRefusal::Invalid));
    }

    #[test]
    fn a_token_without_its_claims_or_with_others_is_refused() {
        let (_, tokens) = tokens();
        let changes: [fn(&mut Value); 5] = [
            |claims| claims["cnf"]["jkt"] = "short".into(),
            |claims| claims["sub"] = claims["device"].clone(),
            |claims| claims["exp"] = Value::Null,
            |claims| claims["role"] = "admin".into(),
            |claims| claims["cnf"] = json!({}),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let token = forged(&tokens, &tokens.header, change);
            let refused = tokens.verify(&token, now());
            assert_eq!(refused, Err(AccessTokenRefusal::Invalid), "change {at}");
        }
    }

    #[test]
    fn the_key_does_not_print() {
        let (_, tokens) = tokens();
        assert_eq!(format!("{tokens:?}"), "AccessTokens(https://phoneops.example)");
    }
}
