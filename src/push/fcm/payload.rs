//! What is sent: data that the app reads, all of it strings, and how Android is to carry it.
//!
//! **Invariants**
//! - A request's body has at most [`ROOM`] bytes, whole: whatever Google counts of it is less.
//! - What does not fit loses text, and never JSON ([`fit`]).
//! - No collapse key: a phone that is away keeps four of them, and drops what else was collapsible.
//! - Requests are as long as the next step says, so that lengths tell nothing about a doorbell.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Installation;
use crate::clock::Timestamp;
use crate::push::fit::{DoesNotFit, fit};
use crate::push::{Category, Message, Sound, Urgency};

/// What Google takes for a message.
pub(super) const ROOM: usize = 4_096;

/// White space behind the JSON makes every body a multiple of this many bytes long.
pub(super) const STEP: usize = 1_024;

/// Four weeks, the longest that Google keeps a message.
const TTL_MAX_SECONDS: u64 = 28 * 24 * 60 * 60;

/// A message that makes no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAPayload {
    /// No title, or no room.
    #[error(transparent)]
    DoesNotFit(#[from] DoesNotFit),
    /// Google keeps `from`, `message_type` and what begins with `google` or `gcm` for itself.
    #[error("the message's data has a member that FCM keeps for itself: {0}")]
    Reserved(String),
}

/// Writes `message` down for `to`, with as much of its text as there is room for.
pub(super) fn write(message: &Message, to: &Installation, now: Timestamp) -> Result<Vec<u8>, NotAPayload> {
    let own = strings(&message.data)?;
    let expires_at = message.expires_at.as_seconds().to_string();
    let ttl = format!("{}s", now.until(message.expires_at).as_secs().min(TTL_MAX_SECONDS));
    let render = |title: &str, body: &str| {
        let said = [
            ("kind", message.category.as_str()),
            ("title", title),
            ("body", body),
            ("navigate", message.navigate.as_str()),
            ("tag", &message.tag),
            ("thread", &message.thread),
            ("channel", channel(message)),
            ("sound", sound(message.sound)),
            ("expires_at", &expires_at),
        ];
        let (token, fid) = match to {
            Installation::Token(token) => (Some(token.as_str()), None),
            Installation::Fid(fid) => (None, Some(fid.as_str())),
        };
        let android = Android { priority: priority(message.urgency), ttl: &ttl };
        let request = Request { message: Sent { token, fid, data: Data { said: &said, own: &own }, android } };
        serde_json::to_vec(&request).expect("strings always become JSON")
    };
    let mut body = fit(message, ROOM, render)?;
    body.resize(body.len().next_multiple_of(STEP), b' ');
    Ok(body)
}

#[derive(Serialize)]
struct Request<'a> {
    message: Sent<'a>,
}

#[derive(Serialize)]
struct Sent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fid: Option<&'a str>,
    data: Data<'a>,
    android: Android<'a>,
}

#[derive(Serialize)]
struct Android<'a> {
    priority: &'static str,
    ttl: &'a str,
}

/// What the carrier says, and of the message's own whatever has no name of these.
struct Data<'a> {
    said: &'a [(&'static str, &'a str)],
    own: &'a [(String, String)],
}

impl Serialize for Data<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let said = |name: &String| self.said.iter().any(|(said, _)| said == name);
        let own = self.own.iter().filter(|(name, _)| !said(name)).map(|(name, value)| (name.as_str(), value.as_str()));
        serializer.collect_map(self.said.iter().copied().chain(own))
    }
}

/// A message's own data as FCM takes it: a string as it is, and of anything else its JSON. Null is nothing.
fn strings(data: &Map<String, Value>) -> Result<Vec<(String, String)>, NotAPayload> {
    if let Some(name) = data.keys().find(|name| is_reserved(name)) {
        return Err(NotAPayload::Reserved(name.clone()));
    }
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    Ok(data.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect())
}

fn is_reserved(name: &str) -> bool {
    ["from", "message_type"].contains(&name) || ["google", "gcm"].iter().any(|prefix| name.starts_with(prefix))
}

fn priority(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::High => "HIGH",
        Urgency::Normal => "NORMAL",
    }
}

/// The notification channel of Android that it belongs into: on that depends what is heard, and the person decides about it.
fn channel(message: &Message) -> &'static str {
    match (message.sound, message.category) {
        (Sound::Silent, _) => "quiet",
        (Sound::Alarm, _) => "alarms",
        (Sound::Normal, Category::Page | Category::Test) => "pages",
        (Sound::Normal, Category::Approval) => "approvals",
        (Sound::Normal, Category::Acted | Category::Answered | Category::Device | Category::Notice | Category::Outcome) => {
            "notices"
        }
    }
}

fn sound(sound: Sound) -> &'static str {
    match sound {
        Sound::Silent => "silent",
        Sound::Normal => "normal",
        Sound::Alarm => "alarm",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::push::examples;
    use crate::push::fcm::tests::{message, now, phone};

    fn written(message: &Message) -> Value {
        serde_json::from_slice(&write(message, &phone(), now()).unwrap()).unwrap()
    }

    #[test]
    fn a_page_is_data_that_wakes_the_phone() {
        assert_eq!(
            written(&message()),
            json!({"message": {
                "token": "abc:secret",
                "data": {"kind": "page", "title": "All your apps are down", "body": "Page PIHXOC6 from heimdall",
                    "navigate": "https://phoneops.example/i/PIHXOC6", "tag": "ntf_1.1", "thread": "inc_1", "channel": "pages",
                    "sound": "normal", "expires_at": "1800000300", "ref": "PIHXOC6", "round": "1"},
                "android": {"priority": "HIGH", "ttl": "300s"},
            }})
        );
        let fid = write(&message(), &Installation::fid("cV9".into()).unwrap(), now()).unwrap();
        let fid: Value = serde_json::from_slice(&fid).unwrap();
        assert_eq!((&fid["message"]["fid"], &fid["message"]["token"]), (&json!("cV9"), &Value::Null));
    }

    #[test]
    fn what_is_sent_is_what_the_contract_shows() {
        let token = Installation::token("dGhlIHJlZ2lzdHJhdGlvbg:APA91b".into()).unwrap();
        for message in examples::messages() {
            let sent = write(&message, &token, examples::now()).unwrap();
            let sent: Value = serde_json::from_slice(&sent).unwrap();
            assert_eq!(sent, examples::example("fcm", message.category));
        }
    }

    #[test]
    fn how_loud_and_how_long_depend_on_the_message() {
        let heard = |sound, category| {
            let written = written(&Message { sound, category, ..message() });
            let data = &written["message"]["data"];
            [&data["sound"], &data["channel"]].map(|value| value.as_str().unwrap().to_owned())
        };
        assert_eq!(heard(Sound::Silent, Category::Answered), ["silent", "quiet"]);
        assert_eq!(heard(Sound::Alarm, Category::Page), ["alarm", "alarms"]);
        assert_eq!(heard(Sound::Normal, Category::Approval), ["normal", "approvals"]);
        assert_eq!(heard(Sound::Normal, Category::Device), ["normal", "notices"]);
        let android = |life, urgency| {
            let message = Message { expires_at: now().after(life), urgency, ..message() };
            written(&message)["message"]["android"].clone()
        };
        let year = Duration::from_hours(24 * 365);
        assert_eq!(android(year, Urgency::Normal), json!({"priority": "NORMAL", "ttl": "2419200s"}));
        assert_eq!(android(Duration::from_millis(999), Urgency::High), json!({"priority": "HIGH", "ttl": "0s"}));
    }

    #[test]
    fn every_value_is_a_string_and_what_the_carrier_says_is_not_overridden() {
        let mut message = message();
        let more = json!({"kind": "test", "title": "x", "list": [1, "a"], "yes": true, "nothing": null, "receipt": "abc"});
        message.data.extend(more.as_object().unwrap().clone());
        let data = &written(&message)["message"]["data"];
        assert!(data.as_object().unwrap().values().all(Value::is_string), "{data}");
        assert_eq!((&data["kind"], &data["title"]), (&json!("page"), &json!("All your apps are down")));
        assert_eq!((&data["list"], &data["yes"], &data["receipt"]), (&json!("[1,\"a\"]"), &json!("true"), &json!("abc")));
        assert_eq!(data.get("nothing"), None);
        for name in ["from", "message_type", "google.x", "gcm"] {
            let mut odd = message.clone();
            odd.data.insert(name.into(), "x".into());
            assert_eq!(write(&odd, &phone(), now()), Err(NotAPayload::Reserved(name.into())));
        }
    }

    #[test]
    fn doorbells_of_a_kind_are_equally_long() {
        let doorbell = |life, token: usize| {
            let message = Message {
                title: "Approval needed".into(),
                body: String::new(),
                category: Category::Approval,
                expires_at: now().after(life),
                ..message()
            };
            write(&message, &Installation::token("x".repeat(token)).unwrap(), now()).unwrap().len()
        };
        assert_eq!(doorbell(Duration::from_secs(5), 140), STEP);
        assert_eq!(doorbell(Duration::from_hours(24), 200), STEP);
    }

    proptest! {
        #[test]
        fn every_request_fits_and_keeps_the_title_before_the_body(
            title in "[\\x00-\\x7fäß日🔥]{1,40}", body in "[\\x00-\\x7fäß日🔥]{0,60}",
            title_times in 1_usize..120, body_times in 0_usize..90, extra in 0_usize..4_000,
        ) {
            let mut message = message();
            (message.title, message.body) = (title.repeat(title_times), body.repeat(body_times));
            message.data.insert("x".into(), "\"".repeat(extra).into());
            match write(&message, &phone(), now()) {
                Ok(request) => {
                    prop_assert!(request.len() <= ROOM && request.len() % STEP == 0);
                    let data = &serde_json::from_slice::<Value>(&request).unwrap()["message"]["data"];
                    let shown = data["title"].as_str().unwrap();
                    prop_assert!(shown == message.title || shown.ends_with('…'));
                    prop_assert!(shown == message.title || data["body"].as_str().unwrap().len() <= 8, "the body goes first");
                }
                Err(error) => prop_assert_eq!(error, NotAPayload::DoesNotFit(DoesNotFit::TooLong)),
            }
        }
    }
}
