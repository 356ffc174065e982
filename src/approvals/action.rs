//! What is to be allowed, in a form with exactly one canonical encoding.
//!
//! **Invariants**
//! - No fractions, no null, no duplicate keys, no integers that JavaScript would round: two programs that read the same
//!   action compute the same digest.
//! - No character that makes text look like other text.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::secret::tagged_sha256;
use crate::text::is_deceptive;

/// Integers beyond this lose precision in JavaScript and in RFC 8785 (2^53 - 1).
const MAX_INTEGER: i64 = 9_007_199_254_740_991;
const MAX_TEXT: usize = 2_000;
const MAX_NAME: usize = 200;
const MAX_ENTRIES: usize = 64;
const MAX_DEPTH: usize = 4;

/// An action: `deploy` to `production` with `{"app": "api", "ref": "new_auth"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// What kind of act: `deploy`, `merge`, `rotate-keys`. 1 to 200 characters.
    #[serde(rename = "type", deserialize_with = "name")]
    #[schemars(length(min = 1, max = 200))]
    pub kind: String,
    /// What it is done to: `production`. 1 to 200 characters.
    #[serde(deserialize_with = "name")]
    #[schemars(length(min = 1, max = 200))]
    pub target: String,
    /// The details, each of which the approver is shown.
    #[serde(default)]
    pub params: Params,
}

/// Named details of an action. At most 64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Params(pub BTreeMap<String, Param>);

/// One detail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the variants are the JSON types they name")]
pub enum Param {
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Param>),
    Map(BTreeMap<String, Param>),
}

impl Action {
    /// The canonical JSON (RFC 8785).
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        canonical(self)
    }

    /// `H("phoneops.action.v1", JCS(action))`.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        tagged_sha256("phoneops.action.v1", &self.canonical())
    }
}

/// The canonical JSON (RFC 8785) of a value without fractions.
///
/// # Panics
/// For values that are not JSON; the types given to it all are.
pub(super) fn canonical(value: &impl Serialize) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).expect("the type is plain JSON")
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || text.chars().count() > MAX_NAME {
        return Err(de::Error::custom("must have 1 to 200 characters"));
    }
    plain(text)
}

fn plain<E: de::Error>(text: String) -> Result<String, E> {
    match text.chars().find(|&c| is_deceptive(c)) {
        None => Ok(text),
        Some(c) => {
            Err(E::custom(format!("must not hold the character U+{:04X}, which does not show as what it is", u32::from(c))))
        }
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Params;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Params, A::Error> {
                entries(map, MAX_DEPTH).map(Params)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn entries<'de, A: MapAccess<'de>>(mut map: A, depth: usize) -> Result<BTreeMap<String, Param>, A::Error> {
    let mut out = BTreeMap::new();
    while let Some(key) = map.next_key::<String>()? {
        if key.is_empty() || key.chars().count() > MAX_NAME {
            return Err(de::Error::custom("names must have 1 to 200 characters"));
        }
        let key = plain::<A::Error>(key)?;
        let value = map.next_value_seed(Seed(depth))?;
        if out.len() == MAX_ENTRIES {
            return Err(de::Error::custom("at most 64 entries are allowed"));
        }
        if out.contains_key(&key) {
            return Err(de::Error::custom(format!("duplicate name `{key}`")));
        }
        out.insert(key, value);
    }
    Ok(out)
}

/// Reads one value that may nest `.0` levels deeper.
struct Seed(usize);

impl<'de> de::DeserializeSeed<'de> for Seed {
    type Value = Param;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Param, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Param;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, an integer, a boolean, a list or an object")
    }

    fn visit_bool<E: de::Error>(self, v: bool) -> Result<Param, E> {
        Ok(Param::Bool(v))
    }

    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Param, E> {
        if v.unsigned_abs() > MAX_INTEGER.unsigned_abs() {
            Err(E::custom("integers must be within ±(2^53 - 1)"))
        } else {
            Ok(Param::Int(v))
        }
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Param, E> {
        i64::try_from(v).map_or_else(|_| Err(E::custom("integers must be within ±(2^53 - 1)")), |v| self.visit_i64(v))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Param, E> {
        Err(E::custom("numbers must be integers: fractions have no canonical form"))
    }

    fn visit_str<E: de::Error>(self, v: &str) -> Result<Param, E> {
        if v.chars().count() > MAX_TEXT {
            return Err(E::custom("texts must have at most 2000 characters"));
        }
        plain(v.to_owned()).map(Param::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Param, A::Error> {
        let deeper = self.deeper()?;
        let mut out = Vec::new();
        while let Some(value) = seq.next_element_seed(Seed(deeper))? {
            if out.len() == MAX_ENTRIES {
                return Err(de::Error::custom("at most 64 entries are allowed"));
            }
            out.push(value);
        }
        Ok(Param::List(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Param, A::Error> {
        entries(map, self.deeper()?).map(Param::Map)
    }
}

impl Seed {
    fn deeper<E: de::Error>(&self) -> Result<usize, E> {
        self.0.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl schemars::JsonSchema for Params {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Params".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let value = generator.subschema_for::<Param>();
        schemars::json_schema!({"type": "object", "maxProperties": 64, "additionalProperties": value})
    }
}

impl schemars::JsonSchema for Param {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Param".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A string, an integer within ±(2^53 - 1), a boolean, or a list or object of these",
            "type": ["string", "integer", "boolean", "array", "object"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::b64u;

    fn refused(json: &str) -> String {
        serde_json::from_str::<Action>(json).unwrap_err().to_string()
    }

    #[test]
    fn the_digest_does_not_depend_on_the_order_or_spelling_of_the_json() {
        let a: Action =
            serde_json::from_str(r#"{"type":"deploy","target":"production","params":{"ref":"new_auth","app":"api"}}"#).unwrap();
        let b: Action =
            serde_json::from_str(r#"{ "params": {"app":"api","ref":"new\u005fauth"}, "target":"production", "type":"deploy" }"#)
                .unwrap();
        assert_eq!(
            String::from_utf8(a.canonical()).unwrap(),
            r#"{"params":{"app":"api","ref":"new_auth"},"target":"production","type":"deploy"}"#
        );
        assert_eq!(b64u(a.sha256()), b64u(b.sha256()));
    }

    #[test]
    fn what_has_no_single_meaning_is_refused() {
        assert!(refused(r#"{"type":"a","target":"b","params":{"x":1,"x":2}}"#).contains("duplicate name `x`"));
        assert!(refused(r#"{"type":"a","type":"c","target":"b"}"#).contains("duplicate field `type`"));
        assert!(refused(r#"{"type":"a","target":"b","params":{"x":1.0}}"#).contains("integers"));
        assert!(refused(r#"{"type":"a","target":"b","params":{"x":9007199254740992}}"#).contains("2^53"));
        assert!(refused(r#"{"type":"a","target":"b","params":{"x":-9223372036854775808}}"#).contains("2^53"));
        assert!(refused(r#"{"type":"a","target":"b","params":{"x":null}}"#).contains("a string, an integer"));
        assert!(refused(r#"{"type":"a","target":"b","params":{"x":[[[[[1]]]]]}}"#).contains("nested too deeply"));
        assert!(refused("{\"type\":\"a\",\"target\":\"prod\u{202e}\"}").contains("U+202E"));
        assert!(refused(r#"{"type":"","target":"b"}"#).contains("1 to 200"));
        assert!(refused(r#"{"type":"a","target":"b","extra":1}"#).contains("unknown field `extra`"));
    }
}
