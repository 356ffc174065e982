use serde_json::json;

use super::*;
use crate::paging::Severity;

fn first(value: &Value) -> Signal {
    read(value.to_string().as_bytes(), &Mapping::default()).unwrap().remove(0)
}

#[test]
fn the_names_that_most_tools_use_are_found() {
    let signal = first(
        &json!({"title": "Down", "status": "RECOVERED", "id": 7, "level": "warn", "host": "db1", "url": "https://x.example"}),
    );
    assert_eq!((signal.action, signal.dedup_key.as_deref()), (AlertAction::Resolve, Some("7")));
    let report = signal.report;
    assert_eq!((report.summary.as_str(), report.source.as_str(), report.severity), ("Down", "db1", Severity::Warning));
    assert_eq!(report.links, ["https://x.example"]);
    assert_eq!(report.labels["host"], "db1");
    assert_eq!(first(&json!({})).report.summary, "An alert from unknown");
}

#[test]
fn a_mapping_says_where_to_look() {
    let mapping: Mapping = serde_json::from_value(json!({
        "summary": "/alert/what", "dedup_key": "/alert/id", "details": "/alert/more",
        "action": {"at": "/alert/is", "values": {"gone": "resolve"}},
    }))
    .unwrap();
    let hook = json!({"alert": {"what": "Down", "id": "a", "more": {"why": "who knows"}, "is": "gone"}, "title": "no"});
    let signal = read(hook.to_string().as_bytes(), &mapping).unwrap().remove(0);
    assert_eq!(
        (signal.report.summary.as_str(), signal.dedup_key.as_deref(), signal.action),
        ("Down", Some("a"), AlertAction::Resolve)
    );
    assert_eq!(signal.report.details, json!({"why": "who knows"}));
}

#[test]
fn a_list_is_so_many_alerts_and_none_is_lost() {
    let many: Vec<_> = (0..150).map(|n| json!({"title": "Down", "id": n})).collect();
    let signals = read(json!(many).to_string().as_bytes(), &Mapping::default()).unwrap();
    assert_eq!(signals.len(), MOST + 1);
    assert_eq!(signals[MOST].report.summary, "50 more alerts came in one report");
    assert_eq!(signals[MOST].dedup_key.as_deref(), Some("phoneops:more"), "one alert, however often that is");
    for body in ["[]", "[1]", "7", "\"a\"", "null"] {
        assert!(read(body.as_bytes(), &Mapping::default()).is_err(), "{body}");
    }
}

#[test]
fn a_group_of_alertmanager_is_one_alert() {
    let body = |status: &str, alerts: Value| {
        json!({"receiver": "phone", "status": status, "alerts": alerts, "groupLabels": {"alertname": "DiskFull"},
            "commonLabels": {"alertname": "DiskFull", "severity": "warning"}, "commonAnnotations": {},
            "externalURL": "http://vm:9093", "version": "4", "groupKey": "{}:{alertname=\"DiskFull\"}", "truncatedAlerts": 2})
    };
    let one = |host: &str, status: &str| {
        json!({"status": status, "labels": {"alertname": "DiskFull", "instance": host}, "annotations": {"summary": format!("{host} is full")},
            "startsAt": "2026-01-01T00:00:00Z", "generatorURL": "http://prom/graph", "fingerprint": "0123456789abcdef"})
    };
    let read = |value: &Value| crate::ingest::alertmanager::read(value.to_string().as_bytes()).unwrap().remove(0);
    let fires = read(&body("firing", json!([one("db1", "firing"), one("db2", "firing")])));
    assert_eq!((fires.action, fires.dedup_key.as_deref()), (AlertAction::Trigger, Some("{}:{alertname=\"DiskFull\"}")));
    assert_eq!((fires.report.summary.as_str(), fires.report.severity), ("DiskFull (2 alerts)", Severity::Warning));
    assert_eq!((fires.report.source.as_str(), fires.report.details["firing"].as_array().unwrap().len()), ("vm:9093", 2));
    assert!(fires.report.details["firing"][1].as_str().unwrap().contains("db2 is full"));
    assert_eq!(fires.report.details["more"], "and 2 more");
    let single = read(&body("firing", json!([one("db1", "firing")])));
    assert_eq!(single.report.summary, "db1 is full");
    assert_eq!(read(&body("resolved", json!([one("db1", "resolved")]))).action, AlertAction::Resolve);
    let grafana = json!({"version": "1", "state": "ok", "title": "[OK] Disk", "groupKey": "g", "alerts": []});
    let over = crate::ingest::grafana::read(grafana.to_string().as_bytes()).unwrap().remove(0);
    assert_eq!((over.action, over.report.summary.as_str()), (AlertAction::Resolve, "[OK] Disk"));
}
