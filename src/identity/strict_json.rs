//! JSON objects in which no member appears twice and no text holds U+0000, at any depth.
//!
//! `serde_json` lets the last of two equal members win while other parsers take the first, so a signed text with a repeated
//! member could mean one thing here and another elsewhere (RFC 8259 section 4, RFC 7515 section 4).
//!
//! **Invariants**
//! - A repeated member is an error, never a choice.
//! - What comes out can be stored by both engines.
//! - Hostile input cannot recurse deeper than `serde_json`'s limit of 128.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is not a strict JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotStrict {
    /// Not JSON in UTF-8, or not an object.
    #[error("not a JSON object")]
    Malformed,
    /// A member appears twice.
    #[error("a member appears twice")]
    Repeated,
}

/// Reads one JSON object that fills `bytes`.
///
/// # Errors
/// [`NotStrict`] when it is not an object, or an object in it repeats a member.
pub fn parse(bytes: &[u8]) -> Result<Map<String, Value>, NotStrict> {
    let repeated = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict(&repeated).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match value {
        Ok(Value::Object(members)) => Ok(members),
        Err(_) if repeated.get() => Err(NotStrict::Repeated),
        Ok(_) | Err(_) => Err(NotStrict::Malformed),
    }
}

/// Reads a JSON value out of any deserializer, for `Deserialize` implementations that want the same strictness.
///
/// # Errors
/// The deserializer's own, or a custom one when a member appears twice.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Strict(&Cell::new(false)).deserialize(deserializer)
}

/// Builds a value and notes in the cell that a repetition, not bad syntax, ended it.
#[derive(Clone, Copy)]
struct Strict<'f>(&'f Cell<bool>);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        storable(value).map(Value::String)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let name = storable(name)?;
            let value = entries.next_value_seed(self)?;
            if members.insert(name, value).is_some() {
                self.0.set(true);
                return Err(A::Error::custom("a member appears twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

/// PostgreSQL's `jsonb` has no place for U+0000.
fn storable<E: Error>(text: String) -> Result<String, E> {
    if text.contains('\0') { Err(E::custom("a text must not hold the character U+0000")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgresql_cannot_store_is_refused() {
        for text in [r#"{"a":"\u0000"}"#, r#"{"\u0000":1}"#, r#"{"a":[{"b":"x\u0000y"}]}"#] {
            assert_eq!(parse(text.as_bytes()), Err(NotStrict::Malformed), "{text}");
        }
    }

    #[test]
    fn an_object_reads_as_serde_json_reads_it() {
        let text = br#"{"a":[1,-2,1.5,true,null,"\u00e9"],"b":{"c":{}}}"#;
        let plain: Value = serde_json::from_slice(text).unwrap();
        assert_eq!(Value::Object(parse(text).unwrap()), plain);
    }

    #[test]
    fn a_repeated_member_is_refused_at_any_depth_and_however_spelled() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"a":[{"b":{"c":1,"c":2}}]}"#] {
            assert_eq!(parse(text.as_bytes()), Err(NotStrict::Repeated), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        let deep = "[".repeat(100_000);
        for text in ["", "[]", "1", "{} {}", "{", "{\"a\":NaN}", &deep] {
            assert_eq!(parse(text.as_bytes()), Err(NotStrict::Malformed));
        }
        assert_eq!(parse(b"{\"a\":\"\xff\"}"), Err(NotStrict::Malformed));
    }
}
