//! What rules say, at every minute.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn at(text: &str) -> Timestamp {
    serde_json::from_value(serde_json::json!(text)).unwrap()
}

fn rules(json: serde_json::Value) -> Rules {
    let rules: Rules = serde_json::from_value(json).unwrap();
    rules.check().unwrap();
    rules
}

/// What is due at each of so many rings, a minute apart: `Q`uiet, `L`oud, `e`-mail, `.` for nothing.
fn rings(rules: &Rules, urgency: Urgency, count: u32) -> Vec<String> {
    let due = |ring: u32| due(rules, urgency, ring.checked_sub(1).map(|ring| MINUTE * ring), MINUTE * ring);
    let word = |due: Due| {
        let push = match due.push {
            Some(Loudness::Loud) => "L",
            Some(Loudness::Quiet) => "Q",
            None => "",
        };
        let email = if due.email { "e" } else { "" };
        if due.is_nothing() { ".".to_owned() } else { format!("{push}{email}") }
    };
    (0..count).map(due).map(word).collect()
}

#[test]
fn the_defaults_ring_until_somebody_answers_and_tell_once_what_can_wait() {
    assert_eq!(rings(&Rules::default(), Urgency::High, 8).join(" "), "L L L L L Le L L");
    assert_eq!(rings(&Rules::default(), Urgency::Low, 4).join(" "), "Q . . .");
    Rules::default().check().unwrap();
}

#[test]
fn ways_come_after_their_minutes_and_are_repeated_as_often_as_it_says() {
    let ways =
        |ways: serde_json::Value, repeat: u32| rules(serde_json::json!({"high": {"ways": ways, "repeat_minutes": repeat}}));
    let patient = ways(serde_json::json!([{"way": "push"}, {"after_minutes": 3, "way": "loud"}]), 0);
    assert_eq!(rings(&patient, Urgency::High, 6).join(" "), "Q Q Q L L L");
    let seldom = ways(serde_json::json!([{"way": "loud"}]), 3);
    assert_eq!(rings(&seldom, Urgency::High, 8).join(" "), "L . . L . . L .");
    let once = rules(serde_json::json!({"high": {"ways": [{"way": "loud"}, {"after_minutes": 2, "way": "loud"}], "once": true}}));
    assert_eq!(rings(&once, Urgency::High, 5).join(" "), "L . L . .");
}

#[test]
fn nothing_is_missed_between_rings_that_are_far_apart() {
    let rules = rules(serde_json::json!({"high": {"ways": [{"way": "push"}, {"after_minutes": 2, "way": "email"},
        {"after_minutes": 7, "way": "loud"}], "once": true}}));
    let due = due(&rules, Urgency::High, Some(Duration::ZERO), MINUTE * 10);
    assert_eq!(due, Due { push: Some(Loudness::Loud), email: true });
}

#[test]
fn every_way_that_has_begun_was_due_exactly_once_however_the_rings_fall() {
    let rules =
        rules(serde_json::json!({"low": {"ways": [{"after_minutes": 1, "way": "push"}, {"after_minutes": 4, "way": "email"},
        {"after_minutes": 9, "way": "loud"}], "once": true}}));
    for step in 1..20_u32 {
        let (mut pushes, mut emails, mut before) = (0, 0, None);
        for ring in 0..40 {
            let elapsed = Duration::from_secs(u64::from(ring * step * 20));
            let found = due(&rules, Urgency::Low, before, elapsed);
            (pushes, emails, before) = (pushes + u32::from(found.push.is_some()), emails + u32::from(found.email), Some(elapsed));
            assert_eq!(emails, u32::from(elapsed >= MINUTE * 4), "every {step} × 20 s, at {elapsed:?}");
        }
        let last = Duration::from_secs(u64::from(39 * step * 20));
        let begun = u32::from(last >= MINUTE) + u32::from(last >= MINUTE * 9);
        assert!((begun.min(1)..=begun).contains(&pushes), "every {step} × 20 s: {pushes}");
    }
}

#[test]
fn quiet_hours_are_by_the_wall_clock_and_only_for_what_can_wait() {
    let rules = rules(serde_json::json!({"quiet_hours": {"zone": "Europe/Paris", "hours": ["mon-sun 22:00-07:00"]}}));
    let until = |now: &str| quiet_until(&rules, Urgency::Low, at(now));
    assert_eq!(until("2026-11-23T20:59:59Z"), None);
    assert_eq!(until("2026-11-23T21:00:00Z"), Some(at("2026-11-24T06:00:00Z")));
    assert_eq!(until("2026-11-24T05:59:59Z"), Some(at("2026-11-24T06:00:00Z")));
    assert_eq!(until("2026-11-24T06:00:00Z"), None, "the end is not quiet any more");
    // Clocks go forward on 28 March 2027: seven o'clock comes an hour earlier.
    assert_eq!(until("2027-03-27T23:00:00Z"), Some(at("2027-03-28T05:00:00Z")));
    assert_eq!(quiet_until(&rules, Urgency::High, at("2026-11-23T23:00:00Z")), None);
    let always = super::Rules {
        quiet_hours: Some(QuietHours { zone: "UTC".into(), hours: vec!["mon 00:00 - mon 00:00".into()] }),
        ..Rules::default()
    };
    let now = at("2026-11-23T20:00:00Z");
    assert!(
        quiet_until(&always, Urgency::Low, now).is_some_and(|until| until > now),
        "somebody who is always quiet is asked again"
    );
}

#[test]
fn a_filter_asks_for_all_of_one_of_its_entries_and_for_nothing_that_is_not_known() {
    let rules = rules(serde_json::json!({"only": [{"services": ["api"], "labels": {"env": "production"}},
        {"teams": ["data"], "urgency": "high"}]}));
    let handle = |name: &str| -> Handle { name.parse().unwrap() };
    let env = |value: &str| BTreeMap::from([("env".to_owned(), value.to_owned())]);
    let wants = |service: Option<&str>, team: &str, urgency, labels: &BTreeMap<String, String>| {
        let (service, team) = (service.map(handle), handle(team));
        wanted(&rules, &Facts { service: service.as_ref(), team: Some(&team), urgency, labels })
    };
    let (high, low, none) = (Urgency::High, Urgency::Low, BTreeMap::new());
    assert!(wants(Some("api"), "web", low, &env("production")));
    assert!(!wants(Some("api"), "web", high, &env("staging")));
    assert!(!wants(Some("api"), "web", high, &none), "what has no such label is not of that label");
    assert!(wants(Some("lake"), "data", high, &none) && !wants(Some("lake"), "data", low, &none));
    assert!(wants(None, "web", low, &none), "a page that names people is for them");
    let urgent = super::Rules { only: vec![Only { urgency: Some(high), ..Only::default() }], ..Rules::default() };
    let facts = |urgency| Facts { service: None, team: None, urgency, labels: &none };
    assert!(wanted(&urgent, &facts(high)) && !wanted(&urgent, &facts(low)));
    assert!(wanted(&Rules::default(), &facts(low)));
}

#[test]
fn rules_that_cannot_be_name_the_member() {
    for (json, field) in [
        (serde_json::json!({"high": {"ways": [{"after_minutes": 1, "way": "loud"}]}}), "high.ways"),
        (serde_json::json!({"high": {"ways": [{"way": "email"}]}}), "high.ways"),
        (serde_json::json!({"low": {"ways": []}}), "low.ways"),
        (serde_json::json!({"low": {"ways": [{"way": "push"}], "repeat_minutes": 61}}), "low.repeat_minutes"),
        (serde_json::json!({"low": {"ways": [{"way": "push", "after_minutes": 241}]}}), "low.ways[0].after_minutes"),
        (serde_json::json!({"quiet_hours": {"zone": "Mars/Olympus", "hours": ["mon-fri 22:00-07:00"]}}), "quiet_hours.zone"),
        (serde_json::json!({"quiet_hours": {"zone": "UTC", "hours": ["mon-fri 22:00-07:00", "never"]}}), "quiet_hours.hours[1]"),
        (serde_json::json!({"quiet_hours": {"zone": "UTC", "hours": []}}), "quiet_hours.hours"),
        (serde_json::json!({"only": [{"urgency": "high"}, {}]}), "only[1]"),
    ] {
        let rules: Rules = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(rules.check().map_err(|invalid| invalid.field), Err(field.to_owned()), "{json}");
    }
}

#[test]
fn what_is_told_once_waits_for_a_phone_that_is_off() {
    let rules = Rules::default();
    assert_eq!(rules.lasts(Urgency::High, MINUTE), MINUTE);
    assert_eq!(rules.lasts(Urgency::Low, MINUTE), TOLD_ONCE);
}
