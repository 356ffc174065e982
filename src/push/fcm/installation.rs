//! Where Firebase finds an app on a phone.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Tokens have some 160 characters and no promised length.
const MAX_BYTES: usize = 1_024;

/// What an app is known by at Firebase. Opaque, and one of two kinds, which a message names by different fields.
///
/// A secret: its `Debug` shows nothing of it, its serialised form everything.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Installation {
    /// A registration token (`getToken`), which Firebase deprecated in 2026 and still takes.
    Token(String),
    /// A Firebase installation ID.
    Fid(String),
}

/// Text that is neither kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an identifier of Firebase: 1 to {MAX_BYTES} printable characters of ASCII without spaces")]
pub struct NotAnInstallation;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Written {
    Token(String),
    Fid(String),
}

impl Installation {
    /// A registration token.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn token(text: String) -> Result<Self, NotAnInstallation> {
        plausible(text).map(Self::Token)
    }

    /// An installation ID.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn fid(text: String) -> Result<Self, NotAnInstallation> {
        plausible(text).map(Self::Fid)
    }
}

fn plausible(text: String) -> Result<String, NotAnInstallation> {
    let plain = (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { Ok(text) } else { Err(NotAnInstallation) }
}

impl TryFrom<Written> for Installation {
    type Error = NotAnInstallation;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written::Token(text) => Self::token(text),
            Written::Fid(text) => Self::fid(text),
        }
    }
}

impl From<Installation> for Written {
    fn from(installation: Installation) -> Self {
        match installation {
            Installation::Token(text) => Self::Token(text),
            Installation::Fid(text) => Self::Fid(text),
        }
    }
}

impl fmt::Debug for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Fid(_) => "Fid(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_told_apart_and_not_shown() {
        let (token, fid) = (Installation::token("abc:def".into()).unwrap(), Installation::fid("abc:def".into()).unwrap());
        assert_ne!(token, fid);
        assert_eq!(format!("{token:?} {fid:?}"), "Token(…) Fid(…)");
        let written = serde_json::to_string(&fid).unwrap();
        assert_eq!(written, r#"{"fid":"abc:def"}"#);
        assert_eq!(serde_json::from_str::<Installation>(&written).unwrap(), fid);
        for bad in ["", "a b", "ä", "\n"] {
            assert_eq!(Installation::token(bad.into()), Err(NotAnInstallation), "{bad}");
        }
    }
}
