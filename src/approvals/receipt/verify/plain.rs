//! Plain JSON: what two readers cannot read differently (`api-spec/receipt.md`, "Plain JSON"), and members read by name and type.
//!
//! **Invariants**
//! - Nothing is guessed: a member that is missing, or of another type, is named.
//! - Instants have one spelling, so that comparing texts is comparing instants.

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::identity::strict_json;
use crate::secret::from_b64u;

/// Integers beyond this have no exact canonical form (RFC 8785 section 3.2.2.3).
const MAX_INTEGER: i64 = 9_007_199_254_740_991;

/// How deep objects and lists may nest, the outermost counted.
const MAX_DEPTH: usize = 32;

/// One object that fills `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let members = strict_json::parse(bytes).map_err(|error| error.to_string())?;
    members.values().try_for_each(|value| check(value, MAX_DEPTH - 1))?;
    Ok(members)
}

/// Nothing, when a value read strictly is also plain.
fn check(value: &Value, depth: usize) -> Result<(), String> {
    let deeper = || depth.checked_sub(1).ok_or_else(|| format!("it nests deeper than {MAX_DEPTH}"));
    match value {
        Value::Null => Err("a member is null".into()),
        Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(number) => match number.as_i64() {
            Some(number) if number.unsigned_abs() <= MAX_INTEGER.unsigned_abs() => Ok(()),
            _ => Err(format!("{number} is not an integer within ±(2^53 − 1)")),
        },
        Value::Array(items) => deeper().and_then(|depth| items.iter().try_for_each(|item| check(item, depth))),
        Value::Object(members) => deeper().and_then(|depth| members.values().try_for_each(|member| check(member, depth))),
    }
}

/// The canonical JSON (RFC 8785) of a plain value.
pub(super) fn canonical(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).expect("plain JSON has a canonical form")
}

/// An object and where it stands in the receipt.
#[derive(Clone)]
pub(super) struct Members<'v> {
    members: &'v Map<String, Value>,
    path: String,
}

impl<'v> Members<'v> {
    pub(super) fn of(members: &'v Map<String, Value>) -> Self {
        Self { members, path: String::new() }
    }

    fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn get(&self, name: &str) -> Result<&'v Value, String> {
        self.members.get(name).ok_or_else(|| format!("{} is missing", self.path(name)))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// What `read` makes of a member that may be missing.
    pub(super) fn optional<T>(&self, name: &str, read: impl FnOnce() -> Result<T, String>) -> Result<Option<T>, String> {
        if self.has(name) { read().map(Some) } else { Ok(None) }
    }

    /// Nothing, when there are exactly these members.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), String> {
        match self.members.keys().find(|name| !names.contains(&name.as_str())) {
            Some(name) => Err(format!("{} does not belong there", self.path(name))),
            None => names.iter().try_for_each(|name| self.get(name).map(|_| ())),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&'v str, String> {
        self.get(name)?.as_str().ok_or_else(|| format!("{} is not a string", self.path(name)))
    }

    /// One of these words.
    pub(super) fn word(&self, name: &str, words: &[&str]) -> Result<&'v str, String> {
        let text = self.text(name)?;
        if words.contains(&text) { Ok(text) } else { Err(format!("{} is none of {}", self.path(name), words.join(", "))) }
    }

    /// `prefix_` and 32 lower-case hex digits.
    pub(super) fn id(&self, name: &str, prefix: &str) -> Result<&'v str, String> {
        let text = self.text(name)?;
        if is_id(text, prefix) { Ok(text) } else { Err(format!("{} is no {prefix}_ id", self.path(name))) }
    }

    /// A list of strings.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'v str>, String> {
        let texts: Option<Vec<&str>> = self.list(name)?.iter().map(Value::as_str).collect();
        texts.ok_or_else(|| format!("{} is not a list of strings", self.path(name)))
    }

    /// A list of at least one id.
    pub(super) fn ids(&self, name: &str, prefix: &str) -> Result<Vec<&'v str>, String> {
        let ids = self.texts(name)?;
        let good = !ids.is_empty() && ids.iter().all(|id| is_id(id, prefix));
        if good { Ok(ids) } else { Err(format!("{} is not a list of {prefix}_ ids", self.path(name))) }
    }

    /// An instant from 1970 to 9998 in its one spelling.
    pub(super) fn instant(&self, name: &str) -> Result<Timestamp, String> {
        let text = self.text(name)?;
        let known = |parsed: &Timestamp| parsed.as_micros() >= 0 && text < "9999" && parsed.to_string() == text;
        let parsed = text.parse::<Timestamp>().ok().filter(known);
        parsed.ok_or_else(|| format!("{} is no instant in its one spelling", self.path(name)))
    }

    pub(super) fn integer(&self, name: &str) -> Result<i64, String> {
        self.get(name)?.as_i64().ok_or_else(|| format!("{} is not an integer", self.path(name)))
    }

    /// Bytes in canonical base64url.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        from_b64u(self.text(name)?).ok_or_else(|| format!("{} is not canonical base64url", self.path(name)))
    }

    pub(super) fn list(&self, name: &str) -> Result<&'v Vec<Value>, String> {
        self.get(name)?.as_array().ok_or_else(|| format!("{} is not a list", self.path(name)))
    }

    pub(super) fn object(&self, name: &str) -> Result<Self, String> {
        let members = self.get(name)?.as_object().ok_or_else(|| format!("{} is not an object", self.path(name)))?;
        Ok(Self { members, path: self.path(name) })
    }

    /// The objects of a list.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Self>, String> {
        let one = |(at, item): (usize, &'v Value)| {
            let path = format!("{}[{at}]", self.path(name));
            let members = item.as_object().ok_or_else(|| format!("{path} is not an object"))?;
            Ok(Self { members, path })
        };
        self.list(name)?.iter().enumerate().map(one).collect()
    }
}

fn is_id(text: &str, prefix: &str) -> bool {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
    digits.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(hex))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_json_has_one_reading() {
        assert!(parse(br#"{"a":[1,-9007199254740991,true,"x"]}"#).is_ok());
        for text in [
            r#"{"a":null}"#,
            r#"{"a":1.0}"#,
            r#"{"a":-0}"#,
            r#"{"a":1e2}"#,
            r#"{"a":9007199254740992}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"a":"\u0000"}"#,
            r#"{"a":"\ud800"}"#,
            "[1]",
            "{\"a\":1}x",
            "\u{feff}{\"a\":1}",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
        let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(31).as_bytes()).is_ok());
        assert!(parse(nested(32).as_bytes()).is_err());
    }

    #[test]
    fn an_instant_has_one_spelling() {
        let read = |text: &str| {
            let value = json!({"at": text});
            Members::of(value.as_object().unwrap()).instant("at")
        };
        for good in ["2026-03-01T10:00:00Z", "2026-03-01T10:00:00.5Z", "2026-03-01T10:00:00.000001Z", "1970-01-01T00:00:00Z"] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in [
            "2026-03-01T10:00:00.50Z",
            "2026-03-01T10:00:00.0000001Z",
            "2026-03-01T10:00:00+00:00",
            "2026-03-01 10:00:00Z",
            "2026-03-01T10:00:60Z",
            "2026-02-29T10:00:00Z",
            "1969-12-31T23:59:59Z",
            "9999-01-01T00:00:00Z",
            "",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
