//! What the phone reads: `aps`, which the system shows, and `data` beside it, which the app reads.
//!
//! **Invariants**
//! - A payload has at most [`ROOM`] bytes: nothing else makes one ([`fit`]).
//! - What the phone shows before the app has run says no more than the message does.

use bytes::Bytes;
use serde::Serialize;

use crate::push::fit::{Data, DoesNotFit, fit};
use crate::push::{Message, Sound, Urgency};

/// What Apple takes for an alert.
pub(super) const ROOM: usize = 4_096;

/// Writes `message` down, with as much of its text as there is room for. `critical_alerts` says whether the app may sound through mute.
pub(super) fn write(message: &Message, critical_alerts: bool) -> Result<Bytes, DoesNotFit> {
    let category = format!("phoneops.{}", message.category.as_str());
    let said = [("kind", message.category.as_str()), ("navigate", message.navigate.as_str()), ("tag", message.tag.as_str())];
    let render = |title: &str, body: &str| {
        let payload = Payload {
            aps: Aps {
                alert: Alert { title, body },
                sound: sound(message.sound, critical_alerts),
                interruption_level: interruption(message, critical_alerts),
                relevance_score: relevance(message),
                thread_id: &message.thread,
                category: &category,
                mutable_content: 1,
            },
            data: Data { said: &said, own: &message.data },
        };
        let mut json = Vec::with_capacity(512 + title.len() + body.len());
        serde_json::to_writer(&mut json, &payload).expect("strings and numbers always become JSON");
        json
    };
    fit(message, ROOM, render).map(Bytes::from)
}

#[derive(Serialize)]
struct Payload<'a> {
    aps: Aps<'a>,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Aps<'a> {
    alert: Alert<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<Heard>,
    interruption_level: &'static str,
    relevance_score: f32,
    thread_id: &'a str,
    category: &'a str,
    mutable_content: u8,
}

#[derive(Serialize)]
struct Alert<'a> {
    title: &'a str,
    body: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Heard {
    Named(&'static str),
    Critical { critical: u8, name: &'static str, volume: f32 },
}

fn sound(sound: Sound, critical_alerts: bool) -> Option<Heard> {
    match sound {
        Sound::Silent => None,
        Sound::Alarm if critical_alerts => Some(Heard::Critical { critical: 1, name: "default", volume: 1.0 }),
        Sound::Normal | Sound::Alarm => Some(Heard::Named("default")),
    }
}

fn interruption(message: &Message, critical_alerts: bool) -> &'static str {
    match (message.sound, message.urgency) {
        (Sound::Silent, _) => "passive",
        (Sound::Alarm, _) if critical_alerts => "critical",
        (Sound::Alarm, _) | (Sound::Normal, Urgency::High) => "time-sensitive",
        (Sound::Normal, Urgency::Normal) => "active",
    }
}

/// Where it stands in a summary of many, from 0 to 1.
fn relevance(message: &Message) -> f32 {
    match (message.sound, message.urgency) {
        (Sound::Silent, _) => 0.0,
        (_, Urgency::High) => 1.0,
        (_, Urgency::Normal) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::push::apns::tests::message;
    use crate::push::{Category, examples, fit::ELLIPSIS};

    fn parsed(message: &Message, critical_alerts: bool) -> Value {
        serde_json::from_slice(&write(message, critical_alerts).unwrap()).unwrap()
    }

    #[test]
    fn a_page_is_written_as_the_app_reads_it() {
        assert_eq!(
            parsed(&message(), false),
            json!({
                "aps": {
                    "alert": {"title": "All your apps are down", "body": "Page PIHXOC6 from heimdall"},
                    "sound": "default",
                    "interruption-level": "time-sensitive",
                    "relevance-score": 1.0,
                    "thread-id": "inc_1",
                    "category": "phoneops.page",
                    "mutable-content": 1,
                },
                "data": {
                    "kind": "page",
                    "navigate": "https://phoneops.example/i/PIHXOC6",
                    "tag": "ntf_1.1",
                    "ref": "PIHXOC6",
                    "round": 1,
                },
            })
        );
    }

    #[test]
    fn what_is_sent_is_what_the_contract_shows() {
        for message in examples::messages() {
            assert_eq!(parsed(&message, false), examples::example("apns", message.category));
        }
    }

    #[test]
    fn how_loud_it_is_follows_sound_urgency_and_what_the_app_may() {
        let critical = json!({"critical": 1, "name": "default", "volume": 1.0});
        for (sound, urgency, may, heard, level) in [
            (Sound::Silent, Urgency::High, true, Value::Null, "passive"),
            (Sound::Silent, Urgency::Normal, false, Value::Null, "passive"),
            (Sound::Normal, Urgency::High, true, json!("default"), "time-sensitive"),
            (Sound::Normal, Urgency::Normal, true, json!("default"), "active"),
            (Sound::Alarm, Urgency::High, true, critical, "critical"),
            (Sound::Alarm, Urgency::High, false, json!("default"), "time-sensitive"),
        ] {
            let message = Message { urgency, sound, ..message() };
            let aps = &parsed(&message, may)["aps"];
            assert_eq!((&aps["sound"], &aps["interruption-level"]), (&heard, &json!(level)), "{sound:?} {urgency:?} {may}");
        }
    }

    #[test]
    fn what_the_message_says_of_itself_is_not_overridden_by_its_data() {
        let mut withdrawal = message();
        withdrawal.category = Category::Answered;
        for name in ["kind", "navigate", "tag"] {
            withdrawal.data.insert(name.into(), "else".into());
        }
        let payload = parsed(&withdrawal, false);
        assert_eq!(payload["aps"]["category"], "phoneops.answered");
        assert_eq!((&payload["data"]["kind"], &payload["data"]["tag"]), (&json!("answered"), &json!("ntf_1.1")));
        assert_eq!(payload["data"]["navigate"], "https://phoneops.example/i/PIHXOC6");
    }

    proptest! {
        #[test]
        fn every_payload_fits_and_loses_its_body_first(
            title in "[\\x00-\\x7fäß日🔥]{1,40}", body in "[\\x00-\\x7fäß日🔥]{0,60}",
            title_times in 1_usize..60, body_times in 0_usize..60, extra in 0_usize..4_200,
        ) {
            let mut message = message();
            (message.title, message.body) = (title.repeat(title_times), body.repeat(body_times));
            message.data.insert("x".into(), "y".repeat(extra).into());
            match write(&message, true) {
                Err(error) => prop_assert_eq!(error, DoesNotFit::TooLong),
                Ok(payload) => {
                    prop_assert!(payload.len() <= ROOM);
                    let json: Value = serde_json::from_slice(&payload).unwrap();
                    let alert = |field: &str| json["aps"]["alert"][field].as_str().unwrap().to_owned();
                    let begins = |whole: &str, shown: &str| shown.strip_suffix(ELLIPSIS).is_some_and(|kept| whole.starts_with(kept));
                    let (shown, below) = (alert("title"), alert("body"));
                    prop_assert!(!shown.is_empty() && (shown == message.title || begins(&message.title, &shown)));
                    prop_assert!(below == message.body || below.is_empty() || begins(&message.body, &below));
                    // Of a body that has to make way there is at most what the title had no use for: less than a character and an ellipsis.
                    prop_assert!(shown == message.title || below.len() < 9, "the title was cut before the body");
                }
            }
        }
    }
}
