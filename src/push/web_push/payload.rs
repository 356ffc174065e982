//! What the phone reads: Declarative Web Push JSON, exactly as `api-spec/device-protocol.md` section 5 has it.
//!
//! **Invariants**
//! - A [`Payload`] is never longer than [`encrypt::ROOM`]: nothing else can make one.
//! - What does not fit loses text, and never JSON ([`fit`]).

use super::encrypt;
use crate::push::fit::{Data, DoesNotFit, fit};
use crate::push::{Message, Sound};

/// The plaintext of one message, small enough to be encrypted.
pub(super) struct Payload(Vec<u8>);

impl Payload {
    /// Writes `message` down, with as much of its text as there is room for.
    pub(super) fn new(message: &Message) -> Result<Self, DoesNotFit> {
        fit(message, encrypt::ROOM, |title, body| render(message, title, body)).map(Self)
    }

    /// The plaintext.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[derive(serde::Serialize)]
struct Declaration<'a> {
    web_push: u16,
    notification: Notification<'a>,
    mutable: bool,
}

#[derive(serde::Serialize)]
struct Notification<'a> {
    title: &'a str,
    body: &'a str,
    navigate: &'a str,
    tag: &'a str,
    lang: &'a str,
    silent: bool,
    data: Data<'a>,
}

fn render(message: &Message, title: &str, body: &str) -> Vec<u8> {
    let declaration = Declaration {
        web_push: 8030,
        notification: Notification {
            title,
            body,
            navigate: message.navigate.as_str(),
            tag: &message.tag,
            lang: "en",
            silent: message.sound == Sound::Silent,
            data: Data { said: &[("kind", message.category.as_str())], own: &message.data },
        },
        mutable: true,
    };
    let mut json = Vec::with_capacity(512 + title.len() + body.len());
    serde_json::to_writer(&mut json, &declaration).expect("strings and numbers always become JSON");
    json
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::push::Category;
    use crate::push::fit::ELLIPSIS;
    use crate::push::web_push::tests::message;

    fn parsed(message: &Message) -> Value {
        serde_json::from_slice(Payload::new(message).unwrap().as_bytes()).unwrap()
    }

    #[test]
    fn the_payload_is_the_one_the_device_protocol_shows() {
        let payload = Payload::new(&message()).unwrap();
        assert_eq!(
            std::str::from_utf8(payload.as_bytes()).unwrap(),
            concat!(
                r#"{"web_push":8030,"notification":{"title":"All your apps are down","#,
                r#""body":"Page PIHXOC6 from heimdall","#,
                r#""navigate":"https://phoneops.example/i/PIHXOC6","tag":"ntf_1.1","lang":"en","#,
                r#""silent":false,"data":{"kind":"page","ref":"PIHXOC6","round":1}},"mutable":true}"#
            )
        );
    }

    #[test]
    fn a_withdrawal_is_silent_and_its_kind_is_not_overridden_by_data() {
        let mut withdrawal = message();
        withdrawal.sound = Sound::Silent;
        withdrawal.category = Category::Answered;
        withdrawal.data.insert("kind".into(), "page".into());
        let notification = &parsed(&withdrawal)["notification"];
        assert_eq!(notification["silent"], true);
        assert_eq!(notification["data"], json!({"kind": "answered", "ref": "PIHXOC6", "round": 1}));
    }

    #[test]
    fn the_body_is_cut_before_the_title() {
        let mut long = message();
        long.body = "ä".repeat(3_000);
        let cut = parsed(&long);
        assert_eq!(cut["notification"]["title"], "All your apps are down");
        let body = cut["notification"]["body"].as_str().unwrap();
        assert!(body.starts_with("ää") && body.ends_with("ä…"));

        long.title = "\u{1}".repeat(1_000);
        let cut = parsed(&long);
        let title = cut["notification"]["title"].as_str().unwrap();
        assert!(title.ends_with("\u{1}…"));
        assert!(matches!(cut["notification"]["body"].as_str().unwrap(), "" | "…" | "ä…"));
    }

    #[test]
    fn a_message_without_title_or_without_room_for_one_has_no_payload() {
        let mut untitled = message();
        untitled.title.clear();
        assert_eq!(Payload::new(&untitled).err(), Some(DoesNotFit::NoTitle));
        let mut crowded = message();
        crowded.data.insert("x".into(), "y".repeat(encrypt::ROOM).into());
        assert_eq!(Payload::new(&crowded).err(), Some(DoesNotFit::TooLong));
    }

    proptest! {
        /// `.{a,b}` draws from all of Unicode; the repetition brings control characters and lengths near the limit.
        #[test]
        fn every_payload_fits_and_keeps_as_much_as_it_can(
            title in "[\\x00-\\x7fäß日🔥]{1,40}", body in "[\\x00-\\x7fäß日🔥]{0,60}",
            title_times in 1_usize..60, body_times in 0_usize..60, extra in 0_usize..2_500,
        ) {
            let mut message = message();
            message.title = title.repeat(title_times);
            message.body = body.repeat(body_times);
            message.data.insert("x".into(), "y".repeat(extra).into());
            match Payload::new(&message) {
                Ok(payload) => {
                    prop_assert!(payload.as_bytes().len() <= encrypt::ROOM);
                    let json: Value = serde_json::from_slice(payload.as_bytes()).unwrap();
                    let shown = |field: &str| json["notification"][field].as_str().unwrap().to_owned();
                    let prefix = |whole: &str, shown: &str| {
                        shown == whole || shown.is_empty()
                            || shown.strip_suffix(ELLIPSIS).is_some_and(|kept| whole.starts_with(kept))
                    };
                    prop_assert!(!shown("title").is_empty());
                    prop_assert!(prefix(&message.title, &shown("title")));
                    prop_assert!(prefix(&message.body, &shown("body")));
                    let cut = shown("title") != message.title || shown("body") != message.body;
                    // At most one character of six bytes and one ellipsis stay unused in each text.
                    prop_assert!(!cut || payload.as_bytes().len() + 16 > encrypt::ROOM);
                }
                Err(error) => {
                    prop_assert_eq!(error, DoesNotFit::TooLong);
                    prop_assert!(render(&message, "", "").len() + ELLIPSIS.len_utf8() > encrypt::ROOM);
                }
            }
        }
    }
}
