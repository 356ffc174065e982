//! What Slack signs its calls with: HMAC-SHA256 over version, time and the body as it came.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::secret::{Secret, equal, hmac_sha256};

/// How far the time that a call names may be from ours, either way.
const SKEW: Duration = Duration::from_mins(5);

/// Why a call is refused. Callers hear that it was, and not why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// No second since 1970.
    #[error("the header X-Slack-Request-Timestamp is no time")]
    Time,
    /// Signed too long ago, or in what is the future here.
    #[error("the time is more than 5 minutes away from the server's")]
    Stale,
    /// Another's signature, or of something else.
    #[error("the signature does not verify")]
    Signature,
}

/// Whether Slack signed this: the headers `X-Slack-Request-Timestamp` and `X-Slack-Signature`, and every byte of the body.
///
/// # Errors
/// Why not.
pub(super) fn verify(secret: &Secret, time: &str, signature: &str, body: &[u8], now: Timestamp) -> Result<(), NotSigned> {
    let message = [b"v0:", time.as_bytes(), b":", body].concat();
    let expected = format!("v0={}", hex(&hmac_sha256(secret.expose().as_bytes(), &message)));
    if !equal(expected.as_bytes(), signature.as_bytes()) {
        return Err(NotSigned::Signature);
    }
    let plain = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    let at = time.parse().ok().filter(|_| plain).map(Timestamp::from_seconds).ok_or(NotSigned::Time)?;
    if at < now.before(SKEW) || at > now.after(SKEW) {
        return Err(NotSigned::Stale);
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Slack's own page about verifying requests.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const TIME: &str = "1531420618";
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn verified(time: &str, signature: &str, body: &str, now: i64) -> Result<(), NotSigned> {
        verify(&Secret::new(SECRET.to_owned()), time, signature, body.as_bytes(), at(now))
    }

    #[test]
    fn slacks_own_example_verifies_and_nothing_else_does() {
        assert_eq!(verified(TIME, SIGNATURE, BODY, 1_531_420_618), Ok(()));
        for cut in 0..BODY.len() {
            assert_eq!(verified(TIME, SIGNATURE, &BODY[..cut], 1_531_420_618), Err(NotSigned::Signature), "{cut}");
        }
        for place in 3..SIGNATURE.len() {
            let mut forged = SIGNATURE.as_bytes().to_vec();
            forged[place] = if forged[place] == b'0' { b'1' } else { b'0' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(verified(TIME, &forged, BODY, 1_531_420_618), Err(NotSigned::Signature), "{place}");
        }
        for odd in ["", "v0=", "v1=a2114d57", &SIGNATURE[3..], &SIGNATURE.to_uppercase(), &format!("{SIGNATURE} ")] {
            assert_eq!(verified(TIME, odd, BODY, 1_531_420_618), Err(NotSigned::Signature), "{odd}");
        }
        assert_eq!(verified("1531420619", SIGNATURE, BODY, 1_531_420_618), Err(NotSigned::Signature));
        let other = Secret::new("8f742231b10e8888abcd99yyyzzz85a6".to_owned());
        assert_eq!(verify(&other, TIME, SIGNATURE, BODY.as_bytes(), at(1_531_420_618)), Err(NotSigned::Signature));
    }

    #[test]
    fn five_minutes_either_way_are_near_enough() {
        for (now, expected) in [
            (1_531_420_618 + 300, Ok(())),
            (1_531_420_618 + 301, Err(NotSigned::Stale)),
            (1_531_420_618 - 300, Ok(())),
            (1_531_420_618 - 301, Err(NotSigned::Stale)),
        ] {
            assert_eq!(verified(TIME, SIGNATURE, BODY, now), expected, "{now}");
        }
    }

    #[test]
    fn a_time_is_digits() {
        for time in ["", "now", "-1", "+1531420618", "1531420618.0", "99999999999999999999"] {
            let message = format!("v0:{time}:{BODY}");
            let signature = format!("v0={}", hex(&hmac_sha256(SECRET.as_bytes(), message.as_bytes())));
            assert_eq!(verified(time, &signature, BODY, 1_531_420_618), Err(NotSigned::Time), "{time}");
        }
    }
}
