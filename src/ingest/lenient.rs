//! JSON as it is really sent: with bytes that are no UTF-8, control characters, halves of surrogate pairs, numbers that are none, and
//! nested without sense.
//!
//! **Invariants**
//! - What is good JSON (RFC 8259) of a sensible depth is read as it is.
//! - What is repaired is noted.

use serde_json::Value;

use super::Refused;

/// Nested deeper than this, a value is replaced.
const DEPTH: usize = 64;

/// What stands in for what was nested too deep.
const DEEP: &str = "\"(nested too deep)\"";

/// Reads a body, and notes what was repaired.
///
/// # Errors
/// [`Refused::Unreadable`] for what is no JSON even then.
pub(super) fn read(body: &[u8]) -> Result<(Value, Vec<String>), Refused> {
    let mut notes = Vec::new();
    let text = String::from_utf8_lossy(body);
    if matches!(text, std::borrow::Cow::Owned(_)) {
        notes.push("bytes that are no UTF-8 were replaced".to_owned());
    }
    let text = text.trim_start_matches('\u{feff}');
    if !text.contains("\\u0000")
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok((value, notes));
    }
    let mut repair = Repair { rest: text.chars().peekable(), out: String::with_capacity(text.len()), notes: Vec::new() };
    let whole = repair.whole();
    notes.append(&mut repair.notes);
    let unreadable = |error: &dyn std::fmt::Display| Refused::Unreadable(error.to_string());
    if !whole {
        return Err(unreadable(&"it ends in the middle"));
    }
    serde_json::from_str(&repair.out).map(|value| (value, notes)).map_err(|error| unreadable(&error))
}

struct Repair<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    out: String,
    notes: Vec<String>,
}

impl Repair<'_> {
    /// Goes through it once, without recursion; `false` when it ends within a string or a value that is nested too deep.
    fn whole(&mut self) -> bool {
        let mut depth = 0_usize;
        while let Some(c) = self.rest.next() {
            match c {
                '"' if !self.string() => return false,
                '"' => {}
                '{' | '[' if depth == DEPTH => {
                    self.note("what was nested too deep was left out");
                    if !self.skip() {
                        return false;
                    }
                    self.out.push_str(DEEP);
                }
                '{' | '[' => {
                    depth += 1;
                    self.out.push(c);
                }
                '}' | ']' => {
                    depth = depth.saturating_sub(1);
                    self.out.push(c);
                }
                c if c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.') => self.bare(c),
                c => self.out.push(c),
            }
        }
        true
    }

    fn note(&mut self, note: &str) {
        if !self.notes.iter().any(|known| known == note) {
            self.notes.push(note.to_owned());
        }
    }

    /// The rest of a string, whose quote was taken.
    fn string(&mut self) -> bool {
        self.out.push('"');
        while let Some(c) = self.rest.next() {
            match c {
                '"' => {
                    self.out.push('"');
                    return true;
                }
                '\\' => self.escape(),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                c if c < ' ' => self.replace(),
                c => self.out.push(c),
            }
        }
        false
    }

    /// A character that cannot be kept.
    fn replace(&mut self) {
        self.note("characters that cannot be kept were replaced");
        self.out.push('\u{fffd}');
    }

    /// What follows a backslash in a string.
    fn escape(&mut self) {
        match self.rest.next() {
            Some('u') => self.unicode(),
            Some(c @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => {
                self.out.push('\\');
                self.out.push(c);
            }
            // An escape that JSON does not know is what it shows.
            Some(c) => {
                self.note("escapes that JSON does not know were taken as they are");
                self.out.push_str("\\\\");
                self.out.push(c);
            }
            None => {}
        }
    }

    /// `\u` and what should be four digits, perhaps a surrogate pair.
    fn unicode(&mut self) {
        let Some(first) = self.digits() else { return self.replace() };
        let unit = match first {
            0xd800..=0xdbff => self.second_half().map(|second| 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)),
            unit => Some(unit),
        };
        match unit.and_then(char::from_u32) {
            Some('"') => self.out.push_str("\\\""),
            Some('\\') => self.out.push_str("\\\\"),
            Some('\n') => self.out.push_str("\\n"),
            Some('\t') => self.out.push_str("\\t"),
            Some(c) if c >= ' ' => self.out.push(c),
            Some(_) | None => self.replace(),
        }
    }

    fn second_half(&mut self) -> Option<u32> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('\\') || ahead.next() != Some('u') {
            return None;
        }
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit * 16 + ahead.next()?.to_digit(16)?;
        }
        if !(0xdc00..=0xdfff).contains(&unit) {
            return None;
        }
        self.rest = ahead;
        Some(unit)
    }

    fn digits(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.rest.peek()?.to_digit(16)?;
            self.rest.next();
            unit = unit * 16 + digit;
        }
        Some(unit)
    }

    /// A number or a word. One that JSON cannot hold becomes a text: `NaN`, `1e999`.
    fn bare(&mut self, first: char) {
        let mut word = String::from(first);
        while let Some(c) = self.rest.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) {
            word.push(c);
        }
        let good =
            matches!(word.as_str(), "true" | "false" | "null") || serde_json::from_str::<serde_json::Number>(&word).is_ok();
        let number = word.parse::<f64>().is_ok();
        if !good && number {
            self.note("numbers that JSON cannot hold were taken as texts");
            self.out.push('"');
            self.out.push_str(&word);
            self.out.push('"');
        } else {
            self.out.push_str(&word);
        }
    }

    /// The rest of a value whose opening bracket was taken.
    fn skip(&mut self) -> bool {
        let mut open = 1_usize;
        let mut within = false;
        while let Some(c) = self.rest.next() {
            match (within, c) {
                (true, '\\') => drop(self.rest.next()),
                (_, '"') => within = !within,
                (false, '{' | '[') => open += 1,
                (false, '}' | ']') => open -= 1,
                _ => {}
            }
            if open == 0 {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn taken(body: &str) -> Value {
        read(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}")).0
    }

    #[test]
    fn what_is_nearly_json_is_read() {
        assert_eq!(
            taken(r#"{"a":"\ud800x","b":"\ud83d\ude00","c":"\u0000"}"#),
            json!({"a": "\u{fffd}x", "b": "😀", "c": "\u{fffd}"})
        );
        assert_eq!(taken("{\"a\":\"one\u{1}two\nthree\"}"), json!({"a": "one\u{fffd}two\nthree"}));
        assert_eq!(
            taken(r#"{"a":NaN,"b":-Infinity,"c":1e999,"d":-1.5e3}"#),
            json!({"a": "NaN", "b": "-Infinity", "c": "1e999", "d": -1500.0})
        );
        assert_eq!(taken("\u{feff}{\"a\":1}"), json!({"a": 1}));
        assert_eq!(taken(r#"{"path":"C:\dir","x":"\u00"}"#), json!({"path": "C:\\dir", "x": "\u{fffd}"}));
        let (value, notes) = read(b"{\"a\":\"\xff\xfe\"}").unwrap();
        assert_eq!((value, notes.len()), (json!({"a": "\u{fffd}\u{fffd}"}), 1));
    }

    #[test]
    fn what_is_nested_without_sense_is_left_out_and_the_rest_is_kept() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let inner = if open == "[" { "" } else { "1" };
            let bomb = format!("{{\"x\":{}{inner}{},\"y\":\"here ]}} too\"}}", open.repeat(10_000), close.repeat(10_000));
            let (value, notes) = read(bomb.as_bytes()).unwrap();
            assert_eq!(value["y"], "here ]} too");
            assert_eq!(notes, ["what was nested too deep was left out"]);
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for body in [
            "",
            " ",
            "{",
            "{\"a\":",
            "{'a':1}",
            "{\"a\":1}{}",
            "{\"a\":tru}",
            "\"",
            &"[".repeat(10_000),
            &"{\"a\":".repeat(10_000),
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&body);
        }

        #[test]
        fn nothing_panics_on_what_looks_like_json(body in r#"[\[\]{}",:\\u0-9a-fNaeE+.\n -]{0,120}"#) {
            let _ = read(body.as_bytes());
        }

        #[test]
        fn good_texts_are_kept_however_they_are_escaped(text in "[^\u{0}]{0,40}") {
            let escaped: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let escaped = escaped.concat();
            // The half of a pair at the end sends it the long way.
            let whole = taken(&format!("{{\"a\":\"{escaped}\",\"b\":\"\\ud800\"}}"));
            let kept: String = text.chars().map(|c| if c < ' ' && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect();
            prop_assert_eq!(whole["a"].as_str().unwrap(), kept);
        }
    }
}
