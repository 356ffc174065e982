//! Short names for incidents, made to be read aloud and typed with one thumb.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::secret::random;

/// Crockford's base 32: no I, L, O or U, which people mistake for others.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// `P` and six characters: a thousand million of them. Typed in any case; `I` and `L` are read as 1, `O` as 0.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reference(String);

/// A text that is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a reference like P7K3M2X: P and six letters or digits")]
pub struct NotAReference;

impl Reference {
    /// A random one. The table says whether it is taken.
    #[must_use]
    pub fn draw() -> Self {
        let drawn = random::<6>().map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
        Self(std::iter::once('P').chain(drawn).collect())
    }

    /// As people write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reference {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let mut letters = text.trim().chars();
        let first = letters.next().is_some_and(|c| c.eq_ignore_ascii_case(&'P'));
        let rest: String = letters
            .map(|c| match c.to_ascii_uppercase() {
                'I' | 'L' => '1',
                'O' => '0',
                c => c,
            })
            .collect();
        let known = rest.len() == 6 && rest.bytes().all(|b| ALPHABET.contains(&b));
        if first && known { Ok(Self(format!("P{rest}"))) } else { Err(NotAReference) }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Reference {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Reference".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^P[0-9A-HJKMNP-TV-Z]{6}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_people_type_it() {
        let drawn = Reference::draw();
        assert_eq!(drawn.as_str().to_lowercase().parse::<Reference>().unwrap(), drawn);
        assert_eq!("pihxoc6".parse::<Reference>().unwrap().as_str(), "P1HX0C6");
        for not in ["", "P", "P12345", "P1234567", "Q123456", "P12345U", "P12345é", "P 23456"] {
            assert_eq!(not.parse::<Reference>(), Err(NotAReference), "{not}");
        }
    }
}
