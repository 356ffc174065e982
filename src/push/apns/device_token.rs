//! Where Apple finds an app on a device.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Apple says not to assume a length; today it is 32 bytes. In bytes, not digits.
const MAX_BYTES: usize = 256;

/// What `application(_:didRegisterForRemoteNotificationsWithDeviceToken:)` gave an app, as lower-case hex.
///
/// A secret: whoever holds it and a key of the app's team can ring that phone. Its `Debug` shows nothing of it, its serialised form
/// everything: that is to be sealed before it is stored.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceToken(String);

/// Text that is no device token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an APNs device token: hex digits, two a byte, at most {MAX_BYTES} bytes")]
pub struct NotADeviceToken;

impl DeviceToken {
    /// Hex in lower case, as the path of a request has it.
    #[must_use]
    pub fn as_hex(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DeviceToken {
    type Error = NotADeviceToken;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let whole = !text.is_empty() && text.len().is_multiple_of(2) && text.len() <= 2 * MAX_BYTES;
        if whole && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(NotADeviceToken)
        }
    }
}

impl From<DeviceToken> for String {
    fn from(token: DeviceToken) -> Self {
        token.0
    }
}

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_hex_of_any_length_and_is_not_shown() {
        let token = DeviceToken::try_from("00FFaa".to_owned()).unwrap();
        assert_eq!(token.as_hex(), "00ffaa");
        assert_eq!(format!("{token:?}"), "DeviceToken(…)");
        for bad in ["", "0", "0g", "../etc", &"00".repeat(257)] {
            assert_eq!(DeviceToken::try_from(bad.to_owned()), Err(NotADeviceToken), "{bad}");
        }
    }
}
