//! What reached the phone, and what of it is on its screen.
//!
//! **Invariants**
//! - A notification with a tag that is shown already replaces the one shown (W3C Notifications, section 2.4).
//! - An `answered` one also replaces every other ring round of the same subject: nothing is left to do.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;

/// One push as the phone received it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// Its number among the pushes of this subscription.
    pub number: u64,
    /// When the push service took it.
    pub at: Timestamp,
    /// Seconds it was to be kept.
    pub ttl: u64,
    /// `very-low`, `low`, `normal` or `high`.
    pub urgency: String,
    /// Its topic, if any.
    pub topic: Option<String>,
    /// The decrypted Declarative Web Push JSON (device protocol, section 5).
    pub payload: Value,
}

impl Push {
    fn text(&self, member: &str) -> &str {
        self.payload["notification"][member].as_str().unwrap_or_default()
    }

    /// The title; the push service takes no push without.
    #[must_use]
    pub fn title(&self) -> &str {
        self.text("title")
    }

    /// The body, empty when there is none.
    #[must_use]
    pub fn body(&self) -> &str {
        self.text("body")
    }

    /// What a tap opens.
    #[must_use]
    pub fn navigate(&self) -> &str {
        self.text("navigate")
    }

    /// What names the notification it replaces, if anything does.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        Some(self.text("tag")).filter(|tag| !tag.is_empty())
    }

    /// `notification.data`; null when there is none.
    #[must_use]
    pub fn data(&self) -> &Value {
        &self.payload["notification"]["data"]
    }

    /// `page`, `approval`, `acted`, `answered` or `test`; empty when not said.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.data()["kind"].as_str().unwrap_or_default()
    }

    fn replaces(&self, shown: &Self) -> bool {
        let same_tag = self.tag().is_some() && self.tag() == shown.tag();
        let subject = &self.data()["subject"];
        let answered = self.kind() == "answered" && subject.is_string() && shown.kind() != "acted";
        same_tag || (answered && *subject == shown.data()["subject"])
    }
}

/// The pushes received and the notifications shown, oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Screen {
    pub(super) shown: Vec<Push>,
    /// The number of the newest push received from the present subscription.
    pub(super) last: u64,
    #[serde(skip)]
    pub(super) received: Vec<Push>,
    /// The capabilities to say that a push is on the screen, still to be used.
    #[serde(skip)]
    pub(super) unsaid: Vec<String>,
    /// How many of `received` were handed out by `next_push`.
    #[serde(skip)]
    handed_out: usize,
}

impl Screen {
    /// Takes what arrived; a push that arrived before is not one.
    pub(super) fn receive(&mut self, pushes: Vec<Push>) {
        for push in pushes {
            if push.number > self.last {
                self.last = push.number;
                self.shown.retain(|shown| !push.replaces(shown));
                self.shown.push(push.clone());
                self.unsaid.extend(push.data()["receipt"].as_str().map(str::to_owned));
                self.received.push(push);
            }
        }
    }

    /// The oldest push that was not handed out yet.
    pub(super) fn next(&mut self) -> Option<Push> {
        let push = self.received.get(self.handed_out)?.clone();
        self.handed_out += 1;
        Some(push)
    }

    /// A new subscription counts from the start.
    pub(super) fn restart(&mut self) {
        self.last = 0;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn push(number: u64, title: &str, tag: Option<&str>, kind: &str, subject: &str) -> Push {
        Push {
            number,
            at: Timestamp::from_seconds(0),
            ttl: 60,
            urgency: "high".to_owned(),
            topic: None,
            payload: json!({"notification": {"title": title, "tag": tag,
                "data": {"kind": kind, "subject": subject}}}),
        }
    }

    fn titles(screen: &Screen) -> Vec<&str> {
        screen.shown.iter().map(Push::title).collect()
    }

    #[test]
    fn the_same_tag_shows_once_and_the_next_round_rings_again() {
        let mut screen = Screen::default();
        screen.receive(vec![
            push(1, "first", Some("ntf_1-1"), "page", "ntf_1"),
            push(2, "first again", Some("ntf_1-1"), "page", "ntf_1"),
            push(3, "second round", Some("ntf_1-2"), "page", "ntf_1"),
            push(4, "untagged", None, "test", ""),
            push(5, "untagged", None, "test", ""),
        ]);
        let expected = ["first again", "second round", "untagged", "untagged"];
        assert_eq!(titles(&screen), expected);
        assert_eq!(screen.received.len(), 5);
    }

    #[test]
    fn answered_replaces_every_round_of_its_subject_and_no_other() {
        let mut screen = Screen::default();
        screen.receive(vec![
            push(1, "round 1", Some("a"), "page", "ntf_1"),
            push(2, "round 2", Some("b"), "page", "ntf_1"),
            push(3, "another", Some("c"), "page", "ntf_2"),
            push(4, "Answered by ys", Some("b"), "answered", "ntf_1"),
        ]);
        assert_eq!(titles(&screen), ["another", "Answered by ys"]);
    }

    #[test]
    fn a_push_is_received_and_handed_out_once() {
        let mut screen = Screen::default();
        let first = push(1, "first", Some("a"), "page", "ntf_1");
        screen.receive(vec![first.clone()]);
        screen.receive(vec![first.clone(), push(2, "second", Some("b"), "page", "")]);
        assert_eq!(screen.next(), Some(first));
        assert_eq!(screen.next().unwrap().title(), "second");
        assert_eq!(screen.next(), None);
    }
}
