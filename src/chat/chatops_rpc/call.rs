//! What a client posts, and what it shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chat;

/// What was said, as the client matched it. Whoever writes clients adds members of their own: what is not known is passed over.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
pub struct Call {
    /// Who said it, by the chat's own id. The client vouches for it.
    pub user: String,
    /// Where. The client vouches for it.
    pub room_id: String,
    /// The method of the listing.
    pub method: String,
    /// The named groups of its pattern. Strings; of what else a client may put there nothing is believed.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// How to mention whoever said it.
    #[serde(default)]
    pub mention_slug: Option<String>,
    /// The message that the line stands in.
    #[serde(default)]
    pub message_id: Option<String>,
}

impl Call {
    /// The parameter, where it is a text with something in it.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }
}

/// What the client shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Reply {
    /// What is said; it is enough by itself.
    pub result: String,
    /// A heading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where the heading leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title_link: Option<String>,
    /// Six hexadecimal digits.
    pub color: String,
    /// Each says a line of chat when it is pressed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<chat::Button>,
    /// For the one who asked alone, where the client can whisper. Ours; others do not know it and keep it to themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whisper: Option<String>,
    /// What it is about. Ours: what becomes of it is told by `GET /chatops/_events` under the same name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<chat::About>,
}

impl From<chat::Reply> for Reply {
    fn from(reply: chat::Reply) -> Self {
        let chat::Reply { text, title, link, tone, buttons, whisper, about } = reply;
        Self { result: text, title, title_link: link, color: tone.hex().to_owned(), buttons, whisper, about }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::{Button, Tone};

    #[test]
    fn what_is_odd_in_a_call_is_passed_over() {
        let call = json!({
            "user": "ys", "room_id": "#ops", "method": "page", "mention_slug": null, "jsonrpc": "2.0",
            "params": {"rest": "  @yannick All your apps are down ", "force": true, "empty": " "},
        });
        let call: Call = serde_json::from_value(call).unwrap();
        assert_eq!(call.param("rest"), Some("@yannick All your apps are down"));
        assert_eq!((call.param("force"), call.param("empty"), call.param("none")), (None, None, None));
    }

    #[test]
    fn a_reply_says_all_of_it_in_its_result() {
        let reply = chat::Reply {
            text: "Paged Yannick Schutz: Incident PAAAAAA".into(),
            tone: Tone::Alarm,
            buttons: vec![Button { label: "Acknowledge".into(), command: "ack PAAAAAA".into() }],
            ..chat::Reply::default()
        };
        let expected = json!({
            "result": "Paged Yannick Schutz: Incident PAAAAAA", "color": "c53030",
            "buttons": [{"label": "Acknowledge", "command": "ack PAAAAAA"}],
        });
        assert_eq!(serde_json::to_value(Reply::from(reply)).unwrap(), expected);
    }
}
