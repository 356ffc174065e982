//! Bodies as monitors really send them, and some that nobody does.

use serde_json::{Value, json};

use crate::alerts::setting::{Monitor, event, only_incident, service_with};
use crate::world::World;
use crate::world::raw::{As, Raw, Seen};

async fn send(raw: &Raw<'_>, path: &str, body: &[u8]) -> Seen {
    raw.shot(As::Nobody, "POST", path).bytes(body.to_vec()).header("content-type", "text/plain").fire().await
}

pub(crate) async fn nothing_is_refused_that_could_be_meant(world: &World) {
    let yannick = service_with(world, &json!({"group_by": [], "urgency": "high"})).await;
    let heimdall = world.bot("heimdall").await;
    let raw = Raw::new(world);
    let monitor = Monitor::of(world, "prometheus", "events").await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let odd: Vec<Vec<u8>> = [
        r#""payload": {"summary": "Down", "source": 7, "severity": "sev1"}"#.to_owned(),
        r#""payload": {"summary": null, "source": [], "severity": {}}"#.to_owned(),
        r#""payload": "Down""#.to_owned(),
        r#""dedup_key": 12345, "links": 7, "images": ["x", {"src": null}], "client": {}"#.to_owned(),
        format!(r#""dedup_key": "{}""#, "k".repeat(300)),
        format!(r#""payload": {{"summary": "{}", "source": "x"}}"#, "ä".repeat(5_000)),
        format!(r#""payload": {{"summary": "Down", "custom_details": {deep}}}"#),
        format!(r#""payload": {{"summary": "Down", "custom_details": {{"log": "{}"}}}}"#, "x".repeat(600_000)),
        r#""payload": {"summary": "nul \u0000 half \ud800 bell \u0007", "custom_details": {"load": NaN, "n": 1e999}}"#.to_owned(),
    ]
    .into_iter()
    .map(|members| format!(r#"{{"routing_key": "{}", "event_action": "trigger", {members}}}"#, monitor.key).into_bytes())
    .chain([[
        format!(r#"{{"routing_key":"{}","event_action":"trigger","payload":{{"summary":""#, monitor.key).as_bytes(),
        b"\xff\xfe\"}}",
    ]
    .concat()])
    .collect();
    for body in &odd {
        let seen = send(&raw, "/v2/enqueue", body).await.expect(202);
        assert!(!seen.body["dedup_key"].as_str().unwrap().is_empty());
    }
    // Some clients append a slash.
    let url = format!("{}/v2/enqueue/", world.server.issuer());
    let mut slashed = event("trigger", "s", "Down");
    slashed["routing_key"] = json!(monitor.key);
    assert_eq!(world.http.post(url).body(slashed.to_string()).send().await.unwrap().status(), 202);
    let taken = odd.len() + 1;
    assert_eq!(only_incident(&heimdall).await["reports"], taken);
    yannick.expect_push(world, "Down").await;
    yannick.phone.resolve(only_incident(&heimdall).await["ref"].as_str().unwrap()).await.unwrap();
    let noted = world.journal().await.into_iter().filter(|entry| entry["data"]["normalised"]["notes"].is_array()).count();
    assert_eq!(noted, taken - 1, "each says what was made of it");
    for (kind, bodies) in [
        ("alertmanager", [json!({"alerts": 7}), json!({"groupKey": {}, "alerts": [{"labels": []}]}), json!({"x": 1})]),
        ("grafana", [json!({"alerts": [null]}), json!({"groupKey": "g", "state": 7}), json!([{"title": "Down"}])]),
        ("generic", [json!({}), json!({"title": ["x"], "status": {}}), json!([{"id": 1}, {"id": 2}])]),
    ] {
        let monitor = Monitor::of(world, kind, kind).await;
        for body in bodies {
            send(&raw, &monitor.path(), body.to_string().as_bytes()).await.expect(202);
        }
    }
    let incident = only_incident(&heimdall).await;
    world.settle().await;
    yannick.phone.next_push(std::time::Duration::from_secs(2)).await.unwrap();
    yannick.phone.acknowledge(incident["ref"].as_str().unwrap()).await.unwrap();
}

pub(crate) async fn what_cannot_be_meant_is_refused(world: &World) {
    service_with(world, &json!({})).await;
    let raw = Raw::new(world);
    let (monitor, group) = (Monitor::of(world, "prometheus", "events").await, Monitor::of(world, "am", "alertmanager").await);
    let with = |key: &str| json!({"routing_key": key, "event_action": "trigger"}).to_string();
    let action = |action: Value| json!({"routing_key": monitor.key, "event_action": action}).to_string();
    let kind = "this key is for an integration of the kind alertmanager: use POST /ingest/{key}/alertmanager";
    for (body, error) in [
        (String::new(), "JSON parse error"),
        ("[]".to_owned(), "JSON parse error"),
        ("[".repeat(10_000), "JSON parse error"),
        ("{\"event_action\":\"trigger\"".to_owned(), "JSON parse error"),
        (json!({"event_action": "trigger"}).to_string(), "'routing_key' is missing or blank"),
        (with("short"), "Length of 'routing_key' is incorrect (should be 32 characters)"),
        (with(&"-".repeat(32)), "'routing_key' cannot contain non-alphanumeric characters."),
        (with(&"0".repeat(32)), "Invalid routing key"),
        (with(&group.key), kind),
        (action(Value::Null), "'event_action' is missing or blank"),
        (
            action(json!("escalate")),
            "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')",
        ),
    ] {
        let seen = send(&raw, "/v2/enqueue", body.as_bytes()).await.expect(400);
        assert_eq!(seen.body["errors"][0], error, "{body}");
        assert!(seen.body["message"].as_str().unwrap().starts_with("Event object"), "{}", seen.text);
    }
    let here = format!("/ingest/{}", group.key);
    send(&raw, &format!("{here}/grafana"), b"{}").await.expect_refusal(400, "other_kind");
    send(&raw, &format!("{here}/alertmanager"), b"{").await.expect_refusal(400, "not_json");
    send(&raw, &format!("/ingest/{}/generic", "0".repeat(32)), b"{}").await.expect_refusal(404, "not_found");
    send(&raw, &format!("/heartbeat/{}", group.key), b"").await.expect_refusal(400, "other_kind");
    let large = format!("{{\"a\":\"{}\"}}", "a".repeat(1024 * 1024));
    send(&raw, &format!("{here}/alertmanager"), large.as_bytes()).await.expect_refusal(413, "body_too_large");
    assert_eq!(world.db.number("select count(*) from alerts").await, 0);
}

pub(crate) async fn what_was_changed_is_recorded(world: &World) {
    let yannick = service_with(world, &json!({})).await;
    let raw = Raw::new(world);
    let monitor = Monitor::of(world, "ci", "events").await;
    let change = json!({"routing_key": monitor.key, "payload": {"summary": "Deployed api", "source": "ci"}, "links": [{"href": "https://ci.example/1"}]});
    raw.post(As::Nobody, "/v2/change/enqueue", &change).await.expect(202);
    yannick.expect_silence(world).await;
    let entry = world.journal().await.into_iter().find(|entry| entry["kind"] == "change.reported").unwrap();
    assert!(entry["subject"].as_str().unwrap().starts_with("svc_"));
    assert_eq!(
        (&entry["data"]["summary"], &entry["data"]["links"]["urls"][0]),
        (&json!("Deployed api"), &json!("https://ci.example/1"))
    );
}
