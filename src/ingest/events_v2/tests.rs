use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::paging::Severity;

fn heard(event: &Value) -> Signal {
    read(event.to_string().as_bytes()).unwrap_or_else(|error| panic!("{event}: {error}")).says
}

fn trigger(payload: &Value) -> Signal {
    heard(&json!({"routing_key": "k", "event_action": "trigger", "dedup_key": "a", "payload": payload}))
}

#[test]
fn what_alertmanager_sends_is_read() {
    let event = json!({"routing_key": "0123456789abcdef0123456789abcdef", "dedup_key": "17c4e445", "event_action": "trigger",
        "payload": {"summary": "[FIRING:1] DiskFull (db1 critical)", "source": "Alertmanager", "severity": "critical",
            "custom_details": {"firing": "Labels:\n - alertname = DiskFull\n", "num_firing": "1", "num_resolved": "0", "resolved": ""}},
        "client": "Alertmanager", "client_url": "http://vm:18993/#/alerts?receiver=both"});
    let read = read(event.to_string().as_bytes()).unwrap();
    assert_eq!(read.routing_key.expose(), "0123456789abcdef0123456789abcdef");
    let Signal { action, dedup_key, report, notes } = read.says;
    assert_eq!((action, dedup_key.as_deref()), (AlertAction::Trigger, Some("17c4e445")));
    assert_eq!((report.summary.as_str(), report.severity), ("[FIRING:1] DiskFull (db1 critical)", Severity::Critical));
    assert_eq!(report.links, ["http://vm:18993/#/alerts?receiver=both"]);
    assert_eq!(report.labels["num_firing"], "1");
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn what_is_odd_is_normalised_and_noted() {
    let odd = trigger(&json!({"summary": "s", "source": 7, "severity": "sev1"}));
    assert_eq!((odd.report.source.as_str(), odd.report.severity, odd.notes.len()), ("7", Severity::Critical, 2));
    let loud = trigger(&json!({"summary": "s", "source": "x", "severity": "WARNING"}));
    assert_eq!((loud.report.severity, loud.notes.len()), (Severity::Warning, 1));
    let long = trigger(&json!({"summary": "ä".repeat(2000), "source": "x", "severity": "info"}));
    assert_eq!((long.report.summary.chars().count(), long.notes.len()), (SUMMARY, 1));
    let nothing = heard(&json!({"event_action": "trigger"}));
    assert_eq!((nothing.report.summary.as_str(), nothing.dedup_key), ("An alert from unknown", None));
    let text = trigger(&json!("Down"));
    assert_eq!(text.report.summary, "Down");
    let key = heard(&json!({"event_action": "trigger", "dedup_key": "k".repeat(256)})).dedup_key.unwrap();
    let other = heard(&json!({"event_action": "resolve", "dedup_key": format!("{}x", "k".repeat(255))})).dedup_key.unwrap();
    assert_eq!(key.len(), 43);
    assert_ne!(key, other, "two long keys stay two");
}

#[test]
fn only_what_cannot_be_meant_is_refused() {
    assert!(matches!(read(b"[]"), Err(Refused::Unreadable(_))));
    for (action, said) in
        [(json!(null), "missing"), (json!("escalate"), "invalid"), (json!(" "), "missing"), (json!({}), "invalid")]
    {
        let Err(Refused::Invalid(errors)) = read(json!({"event_action": action}).to_string().as_bytes()) else {
            panic!("{action}")
        };
        assert!(errors[0].starts_with("'event_action' is ") && errors[0].contains(said), "{errors:?}");
    }
}

#[test]
fn a_change_says_what_and_where() {
    let event = json!({"routing_key": "k", "payload": {"summary": "Deployed api", "source": "ci"}, "links": [{"href": "https://ci.example/1"}]});
    let change = read_change(event.to_string().as_bytes()).unwrap().says;
    assert_eq!((change.summary.as_str(), change.source.as_str(), change.links.len()), ("Deployed api", "ci", 1));
}

/// Any JSON at all.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "[a-z]{1030}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("(href|src|summary|source|severity|[a-z]{1,3})", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

#[test]
fn a_change_is_bounded() {
    let links: Vec<_> = (0..20).map(|n| json!({"href": format!("https://x.example/{n}/{}", "a".repeat(1900))})).collect();
    let change = json!({"routing_key": "k", "payload": {"summary": "s".repeat(50_000), "source": "ci"}, "links": links});
    let change = read_change(change.to_string().as_bytes()).unwrap().says;
    assert_eq!((change.summary.chars().count(), change.links.len()), (SUMMARY, 2));
    assert!(change.notes.contains(&"links had more than 4096 bytes".to_owned()), "{:?}", change.notes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_trigger_is_always_taken(
        members in prop::collection::btree_map("(payload|dedup_key|links|images|client|client_url|[a-z]{1,4})", any_json(), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut event: Map<String, Value> = members.into_iter().collect();
        event.insert("event_action".to_owned(), "trigger".into());
        event.insert("routing_key".to_owned(), "k".into());
        let body = Value::Object(event).to_string();
        let signal = read(body.as_bytes()).unwrap().says;
        prop_assert!(!signal.report.summary.is_empty() && signal.report.summary.chars().count() <= SUMMARY);
        prop_assert!(!signal.report.source.is_empty() && signal.report.details.is_object());
        prop_assert!(signal.dedup_key.is_none_or(|key| !key.is_empty() && key.chars().count() <= 255));
        prop_assert!(!serde_json::to_string(&signal.report.details).unwrap().contains("\\u0000"));
        // What was cut anywhere is refused or taken, and never panics.
        let _ = read(&body.as_bytes()[..cut.index(body.len())]);
    }

    #[test]
    fn the_other_formats_take_any_object(members in prop::collection::btree_map("(alerts|groupKey|status|commonLabels|[a-z]{1,4})", any_json(), 0..8)) {
        let body = Value::Object(members.into_iter().collect()).to_string();
        prop_assert!(crate::ingest::alertmanager::read(body.as_bytes()).is_ok());
        prop_assert!(crate::ingest::grafana::read(body.as_bytes()).is_ok());
        prop_assert!(crate::ingest::generic::read(body.as_bytes(), &crate::paging::Mapping::default()).is_ok());
    }
}
