//! Making a message fit: a provider takes so many bytes of JSON and not one more.
//!
//! **Invariants**
//! - What [`fit`] gives is never longer than the room it was given.
//! - What does not fit loses text, body first and then title, at a character and with an ellipsis, and never JSON.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Message;

/// A message that has no form for a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum DoesNotFit {
    /// Nobody shows a message without one.
    #[error("the message has no title")]
    NoTitle,
    /// Even without its text, the rest (URL, tag, data) is too long.
    #[error("the message's URL, tag and data leave no room for a title")]
    TooLong,
}

/// What `render` makes of as much of the title and the body as `room` bytes take. It writes each once, as a JSON string, and whatever
/// else it writes does not depend on them.
pub(super) fn fit(message: &Message, room: usize, render: impl Fn(&str, &str) -> Vec<u8>) -> Result<Vec<u8>, DoesNotFit> {
    if message.title.is_empty() {
        return Err(DoesNotFit::NoTitle);
    }
    let whole = render(&message.title, &message.body);
    if whole.len() <= room {
        return Ok(whole);
    }
    let text = json_len(&message.title) + json_len(&message.body);
    let left = (room + text).checked_sub(whole.len()).ok_or(DoesNotFit::TooLong)?;
    let title = shorten(&message.title, left);
    if title.is_empty() {
        return Err(DoesNotFit::TooLong);
    }
    let body = shorten(&message.body, left - json_len(&title));
    let cut = render(&title, &body);
    if cut.len() <= room { Ok(cut) } else { Err(DoesNotFit::TooLong) }
}

/// What marks where text was cut.
pub(super) const ELLIPSIS: char = '…';

/// `text` when its JSON form has at most `room` bytes; else as much of it as fits in front of an ellipsis; else nothing.
fn shorten(text: &str, room: usize) -> Cow<'_, str> {
    if json_len(text) <= room {
        return Cow::Borrowed(text);
    }
    let Some(room) = room.checked_sub(ELLIPSIS.len_utf8()) else {
        return Cow::Borrowed("");
    };
    let mut used = 0;
    let end = text
        .char_indices()
        .find(|(_, char)| {
            used += json_char_len(*char);
            used > room
        })
        .map_or(text.len(), |(at, _)| at);
    let mut short = String::with_capacity(end + ELLIPSIS.len_utf8());
    short.push_str(&text[..end]);
    short.push(ELLIPSIS);
    Cow::Owned(short)
}

fn json_len(text: &str) -> usize {
    text.chars().map(json_char_len).sum()
}

/// How many bytes a character takes inside a JSON string as `serde_json` writes it (RFC 8259 section 7).
fn json_char_len(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => char.len_utf8(),
    }
}

/// A message's `data`: what the carrier says, in front, and of the message's own whatever has no name of these.
pub(super) struct Data<'a> {
    /// Names and what they say, first of all `kind`.
    pub(super) said: &'a [(&'static str, &'a str)],
    /// The message's own.
    pub(super) own: &'a serde_json::Map<String, serde_json::Value>,
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.said {
            map.serialize_entry(name, value)?;
        }
        let said = |name: &String| self.said.iter().any(|(said, _)| said == name);
        for (name, value) in self.own.iter().filter(|(name, _)| !said(name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn json_lengths_are_those_of_the_serialiser(text in any::<String>()) {
            prop_assert_eq!(json_len(&text) + 2, serde_json::to_string(&text).unwrap().len());
        }
    }

    #[test]
    fn text_is_cut_at_a_character_and_says_so() {
        assert_eq!(shorten("äää", 6), "äää");
        assert_eq!(shorten("äääb", 6), "ä…");
        assert_eq!(shorten("ab\n\n", 5), "ab…");
        assert_eq!((shorten("abcd", 3), shorten("abcd", 2)), ("…".into(), "".into()));
    }

    #[test]
    fn what_the_carrier_says_is_not_overridden() {
        let own = serde_json::json!({"kind": "page", "ref": "PIHXOC6"});
        let data = Data { said: &[("kind", "answered")], own: own.as_object().unwrap() };
        assert_eq!(serde_json::to_string(&data).unwrap(), r#"{"kind":"answered","ref":"PIHXOC6"}"#);
    }
}
