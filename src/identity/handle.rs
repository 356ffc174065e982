//! What people are called: the handle by which chat addresses them, and the name they are shown under.
//!
//! **Invariants**
//! - Handles compare as text: there is one spelling, in lower-case ASCII, so no two look alike.
//! - A name cannot break a line or turn the reading direction of the sentence it stands in.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A person's handle: 2 to 32 of `a–z 0–9 . _ -`, starting with a letter. Shown without `@`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(String);

/// A text that is not a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a handle has 2 to 32 of a–z, 0–9, dot, underscore and hyphen, and starts with a letter")]
pub struct NotAHandle;

impl Handle {
    /// The handle, without `@`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Handle {
    type Err = NotAHandle;

    /// Takes an `@` in front and capital letters, and drops both.
    fn from_str(text: &str) -> Result<Self, NotAHandle> {
        let handle = text.strip_prefix('@').unwrap_or(text).to_ascii_lowercase();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let fits = (2..=32).contains(&handle.len())
            && handle.starts_with(|first: char| first.is_ascii_lowercase())
            && handle.bytes().all(plain);
        fits.then_some(Self(handle)).ok_or(NotAHandle)
    }
}

/// A person's name as shown: 1 to 80 characters, no white space around them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonName(String);

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAName {
    /// Nothing, or only white space.
    #[error("a name must not be empty")]
    Empty,
    /// More than 80 characters.
    #[error("a name has at most 80 characters, this one has {0}")]
    TooLong(usize),
    /// A control character or a line break.
    #[error("a name must not contain the control character U+{0:04X}")]
    Control(u32),
    /// A character that turns the reading direction.
    #[error("a name must not contain the direction control U+{0:04X}")]
    Direction(u32),
}

impl PersonName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PersonName {
    type Err = NotAName;

    /// Trims white space around the name.
    fn from_str(text: &str) -> Result<Self, NotAName> {
        let name = text.trim();
        let length = name.chars().count();
        if length == 0 {
            return Err(NotAName::Empty);
        }
        if length > 80 {
            return Err(NotAName::TooLong(length));
        }
        name.chars().try_for_each(check)?;
        Ok(Self(name.to_owned()))
    }
}

fn check(character: char) -> Result<(), NotAName> {
    match character {
        '\u{2028}' | '\u{2029}' => Err(NotAName::Control(character.into())),
        _ if character.is_control() => Err(NotAName::Control(character.into())),
        // Every character with the Unicode property Bidi_Control.
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Err(NotAName::Direction(character.into()))
        }
        _ => Ok(()),
    }
}

macro_rules! text_forms {
    ($($name:ident: $schema:tt;)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <Cow<'de, str>>::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    )*};
}

text_forms! {
    Handle: { "type": "string", "pattern": "^@?[A-Za-z][A-Za-z0-9._-]{1,31}$" };
    PersonName: { "type": "string", "minLength": 1 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_has_one_spelling() {
        for text in ["yannick", "@yannick", "Yannick", "@YANNICK"] {
            let handle: Handle = text.parse().unwrap();
            assert_eq!(handle.to_string(), "yannick");
        }
        for text in ["ys", "a.b_c-9", &"a".repeat(32)] {
            assert_eq!(text.parse::<Handle>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_not_a_handle_is_refused() {
        for text in [
            "",
            "@",
            "y",
            "9lives",
            ".ys",
            "-ys",
            "@@ys",
            "ys ",
            " ys",
            "y s",
            "ys!",
            "yаnnick", // a Cyrillic letter
            "K\u{212a}elvin",
            &"a".repeat(33),
        ] {
            assert_eq!(text.parse::<Handle>(), Err(NotAHandle), "{text:?}");
        }
    }

    #[test]
    fn a_handle_survives_json_and_a_bad_one_does_not_enter() {
        let handle: Handle = serde_json::from_str("\"@Yannick\"").unwrap();
        assert_eq!(serde_json::to_string(&handle).unwrap(), "\"yannick\"");
        assert!(serde_json::from_str::<Handle>("\"y\"").is_err());
    }

    #[test]
    fn a_name_is_trimmed_and_kept_as_written() {
        for (text, name) in [
            (" Yannick Schutz\n", "Yannick Schutz"),
            ("O’Brien", "O’Brien"),
            ("山田 太郎", "山田 太郎"),
            ("علي", "علي"),
            ("Zoë 👩‍🚒", "Zoë 👩‍🚒"),
        ] {
            assert_eq!(text.parse::<PersonName>().unwrap().as_str(), name);
        }
        assert!("é".repeat(80).parse::<PersonName>().is_ok());
    }

    #[test]
    fn a_name_says_what_is_wrong_with_it() {
        for (text, expected) in [
            (" \t ", NotAName::Empty),
            (&"é".repeat(81), NotAName::TooLong(81)),
            ("Yan\0nick", NotAName::Control(0)),
            ("Yan\nnick", NotAName::Control(0x0a)),
            ("Yan\u{85}nick", NotAName::Control(0x85)),
            ("Yan\u{2028}nick", NotAName::Control(0x2028)),
            ("Yan\u{202e}nick", NotAName::Direction(0x202e)),
            ("Yan\u{2066}nick", NotAName::Direction(0x2066)),
            ("Yan\u{200f}nick", NotAName::Direction(0x200f)),
            ("Yan\u{61c}nick", NotAName::Direction(0x61c)),
        ] {
            assert_eq!(text.parse::<PersonName>(), Err(expected), "{text:?}");
        }
        assert!(NotAName::Direction(0x61c).to_string().contains("U+061C"));
    }
}
