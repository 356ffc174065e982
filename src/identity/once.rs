//! What keeps a signed proof from being used late or twice: its `iat` and its `jti`.
//!
//! **Invariants**
//! - A proof is believed from 30 s before its `iat`, for clocks that run ahead, to 120 s after it; so a `jti` need be
//!   remembered no longer than that.
//! - A `jti` is kept as its SHA-256: 32 bytes, whatever its length.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::secret::sha256;

/// How old a proof may be.
pub const MAX_AGE: Duration = Duration::from_mins(2);

/// How far ahead of this server a device's clock may run.
pub const MAX_AHEAD: Duration = Duration::from_secs(30);

/// An `iat` outside the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Untimely {
    /// More than [`MAX_AGE`] ago.
    Stale,
    /// More than [`MAX_AHEAD`] from now.
    Early,
}

/// The instant of an `iat` in seconds, if it lies in the window around `now`.
pub(crate) fn issued_at(iat: i64, now: Timestamp) -> Result<Timestamp, Untimely> {
    let issued_at = Timestamp::from_seconds(iat);
    if issued_at > now.after(MAX_AHEAD) {
        Err(Untimely::Early)
    } else if issued_at.after(MAX_AGE) < now {
        Err(Untimely::Stale)
    } else {
        Ok(issued_at)
    }
}

/// The digest under which a `jti` is remembered; `None` unless it is 16 to 128 characters of base64url.
pub(crate) fn jti_sha256(jti: &str) -> Option<[u8; 32]> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = (16..=128).contains(&jti.len()) && jti.bytes().all(plain);
    fits.then(|| sha256(jti.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_120_seconds_back_and_30_ahead() {
        let now = Timestamp::from_micros(1_700_000_000_500_000);
        for (iat, expected) in [
            (1_700_000_030, Ok(())),
            (1_700_000_031, Err(Untimely::Early)),
            (i64::MAX, Err(Untimely::Early)),
            (1_699_999_881, Ok(())),
            (1_699_999_880, Err(Untimely::Stale)),
            (i64::MIN, Err(Untimely::Stale)),
        ] {
            assert_eq!(issued_at(iat, now).map(|_| ()), expected, "{iat}");
        }
    }

    #[test]
    fn a_jti_is_16_to_128_characters_of_base64url() {
        for (jti, fits) in [
            ("a".repeat(15), false),
            ("a".repeat(16), true),
            ("-_Az09-_Az09-_Az".to_owned(), true),
            ("a".repeat(128), true),
            ("a".repeat(129), false),
            (format!("{}=", "a".repeat(16)), false),
            (format!("{}é", "a".repeat(16)), false),
        ] {
            assert_eq!(jti_sha256(&jti).is_some(), fits, "{jti}");
        }
    }
}
