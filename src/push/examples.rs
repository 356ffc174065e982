//! The examples of `api-spec/push-payloads.md`, and the messages that they are of.

use serde_json::{Value, json};

use super::{Category, Message, Sound, Urgency};
use crate::clock::Timestamp;

const TEXT: &str = include_str!("../../api-spec/push-payloads.md");

/// When they are sent.
pub(super) fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

/// The messages of which every carrier has an example.
pub(super) fn messages() -> [Message; 3] {
    let receipt = "AZnl0AAAcACAAAAAAAAAAwABAgMEBQYHCAkKCwwNDg8";
    let (incident, notification) = ("inc_0199e5d0000070008000000000000001", "ntf_0199e5d0000070008000000000000002");
    let approval = "apr_0199e5d0000070008000000000000001";
    let data = |data: Value| data.as_object().unwrap().clone();
    let page = Message {
        title: "All your apps are down".into(),
        body: "Page P7K3M2X from heimdall".into(),
        navigate: "https://phoneops.example/i/P7K3M2X".parse().unwrap(),
        tag: notification.into(),
        urgency: Urgency::High,
        expires_at: Timestamp::from_seconds(1_800_000_300),
        sound: Sound::Normal,
        thread: incident.into(),
        category: Category::Page,
        data: data(json!({"subject": incident, "ref": "P7K3M2X", "notification": notification, "round": 1, "receipt": receipt})),
    };
    let doorbell = Message {
        title: "Approval needed".into(),
        body: "Open to read and answer".into(),
        navigate: format!("https://phoneops.example/a/{approval}").parse().unwrap(),
        thread: approval.into(),
        category: Category::Approval,
        data: data(json!({"subject": approval, "ref": null, "notification": notification, "round": 1, "receipt": receipt,
                          "pad": "0".repeat(19)})),
        ..page.clone()
    };
    let mut answered = Message {
        title: "Acknowledged by Ys Example".into(),
        body: String::new(),
        urgency: Urgency::Normal,
        sound: Sound::Silent,
        category: Category::Answered,
        ..page.clone()
    };
    answered.data.insert("notification".into(), "ntf_0199e5d0000070008000000000000004".into());
    [page, doorbell, answered]
}

/// The example of what `carrier` makes of a message of this category.
pub(super) fn example(carrier: &str, category: Category) -> Value {
    let mark = format!("<!-- example: {carrier} {} -->\n```json\n", category.as_str());
    let (_, after) = TEXT.split_once(&mark).unwrap_or_else(|| panic!("there is no {mark}"));
    let (json, _) = after.split_once("```").expect("a block ends");
    serde_json::from_str(json).expect("an example is JSON")
}

#[test]
fn there_is_an_example_of_every_message_for_every_carrier() {
    for carrier in ["apns", "fcm", "web_push"] {
        for message in messages() {
            assert!(example(carrier, message.category).is_object(), "{carrier}");
        }
    }
    assert_eq!(TEXT.matches("<!-- example: ").count(), 9, "and none that is compared with nothing");
}

/// A double tap on a watch takes a page; it never ends one.
#[test]
fn a_page_has_three_buttons_and_the_first_takes_it() {
    let page = TEXT.lines().find(|line| line.starts_with("let page = ")).unwrap();
    assert!(page.contains("phoneops.page") && page.contains("actions: [acknowledge, escalate, resolve]"), "{page}");
    let resolve = TEXT.lines().find(|line| line.starts_with("let resolve = ")).unwrap();
    assert!(resolve.contains(".destructive"), "{resolve}");
    let row = TEXT.lines().find(|line| line.starts_with("| `page` | `phoneops.page`: ")).unwrap();
    assert!(row.contains("Acknowledge, Escalate, Resolve"), "{row}");
}

#[test]
fn no_notification_approves() {
    let categories = TEXT.split("let approval = UNNotificationCategory").nth(1).unwrap().lines().next().unwrap();
    assert!(categories.contains("actions: [deny, review]"), "{categories}");
    let deny = TEXT.lines().find(|line| line.starts_with("let deny = ")).unwrap();
    assert!(
        deny.contains(".destructive") && deny.contains(".authenticationRequired"),
        "a double tap on a watch runs the first that is not"
    );
    let review = TEXT.lines().find(|line| line.starts_with("let review = ")).unwrap();
    assert!(review.contains(".foreground"), "{review}");
}
