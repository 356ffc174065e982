use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const REOPENS: Duration = Duration::from_secs(300);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000).after(Duration::from_secs(seconds))
}

fn report(summary: &str) -> Report {
    Report {
        summary: summary.to_owned(),
        source: "db1".to_owned(),
        severity: Severity::Critical,
        details: Value::Null,
        labels: BTreeMap::new(),
        links: Vec::new(),
    }
}

fn new() -> New {
    let id = Uuid::from_u128(1);
    New { id: AlertId(id), integration: IntegrationId(id), service: ServiceId(id), key: "k".to_owned() }
}

/// An alert that was paged at second 0.
fn paged() -> Alert {
    let (mut alert, effects) = Alert::reported(new(), report("one"), None, at(0));
    assert_eq!(effects, [Effect::Page]);
    alert.incident = Some(IncidentId(Uuid::from_u128(2)));
    alert
}

#[test]
fn an_open_alert_is_told_and_not_paged_again() {
    let (alert, effects) = paged().step(Event::Triggered(report("two")), at(10));
    assert_eq!((effects, alert.reports, alert.report.summary.as_str()), (vec![Effect::Update], 2, "two"));
    let (alert, effects) = alert.step(Event::Acknowledged, at(20));
    assert_eq!(effects, [Effect::Acknowledge]);
    let (alert, effects) = alert.step(Event::Cleared, at(30));
    assert_eq!((effects, alert.state), (vec![Effect::Over], State::Closed { at: at(30) }));
    for event in [Event::Cleared, Event::Acknowledged] {
        assert_eq!(alert.clone().step(event, at(40)).1, [Effect::Drop]);
    }
    assert_eq!(alert.clone().step(Event::TimerRang, at(40)), (alert, vec![]));
}

#[test]
fn what_comes_back_soon_is_the_same_alert() {
    let (alert, _) = paged().step(Event::Cleared, at(30));
    assert!(!alert.is_past(at(330), REOPENS) && alert.is_past(at(331), REOPENS));
    let (alert, effects) = alert.step(Event::Triggered(report("again")), at(60));
    assert_eq!((effects, alert.state), (vec![Effect::Update], State::Open { closes_at: None }));
    let (alert, effects) = alert.step(Event::Ended(at(70)), at(80));
    assert_eq!((effects, alert.state), (vec![], State::Closed { at: at(70) }));
}

#[test]
fn what_was_suppressed_is_paged_when_its_timer_rings() {
    let (alert, _) = Alert::reported(new(), report("one"), None, at(0));
    assert_eq!(alert.clone().step(Event::Triggered(report("two")), at(5)).1, [Effect::Page]);
    assert_eq!(alert.clone().step(Event::TimerRang, at(9)).1, [Effect::Page]);
    assert_eq!(alert.clone().step(Event::Acknowledged, at(9)).1, [Effect::Drop]);
    let (alert, effects) = alert.step(Event::Cleared, at(10));
    assert_eq!(effects, [Effect::Over]);
    assert!(alert.is_past(at(10), REOPENS), "nobody knows of it, so the next is another");
}

#[test]
fn what_flaps_is_over_only_once_it_is_quiet() {
    let mut alert = paged();
    let mut said = Vec::new();
    for turn in 1..=3 {
        alert = alert.step(Event::Cleared, at(turn * 60)).0;
        let (next, effects) = alert.step(Event::Triggered(report("again")), at(turn * 60 + 30));
        alert = next;
        said.extend(effects);
    }
    assert_eq!(said, [Effect::Update, Effect::Update, Effect::Update, Effect::Flaps]);
    let (alert, effects) = alert.step(Event::Cleared, at(240));
    assert_eq!(effects, [Effect::PutOff, Effect::WakeAt(at(540))]);
    assert_eq!(alert.clone().step(Event::Cleared, at(250)).1, [Effect::PutOff], "the first time counts");
    assert_eq!(alert.clone().step(Event::TimerRang, at(300)).1, [Effect::WakeAt(at(540))]);
    assert_eq!(alert.clone().step(Event::TimerRang, at(540)).1, [Effect::Over]);
    let (alert, effects) = alert.step(Event::Triggered(report("again")), at(260));
    assert_eq!((effects, alert.state), (vec![Effect::Update], State::Open { closes_at: None }), "it is known to flap");
    let (alert, effects) = alert.step(Event::Cleared, at(1000));
    assert_eq!((effects, alert.state), (vec![Effect::Over], State::Closed { at: at(1000) }), "it has calmed down");
}

proptest! {
    #[test]
    fn histories(events in prop::collection::vec((0..5_u8, 0..400_u64), 0..40)) {
        let mut alert = paged();
        let (mut now, mut opened) = (0, 0);
        for (event, wait) in events {
            now += wait;
            let before = alert.clone();
            let event = match event {
                0 => Event::Triggered(report("x")),
                1 => Event::Acknowledged,
                2 => Event::Cleared,
                3 => Event::Ended(at(now)),
                _ => Event::TimerRang,
            };
            let (next, effects) = alert.step(event.clone(), at(now));
            // It is never paged twice, never over without having been open, and what waits has a timer.
            prop_assert!(!effects.contains(&Effect::Page));
            let (was, is) = (matches!(before.state, State::Open { .. }), matches!(next.state, State::Open { .. }));
            prop_assert_eq!(effects.contains(&Effect::Over), was && !is && !matches!(event, Event::Ended(_)));
            prop_assert!(is || !matches!(event, Event::Triggered(_)));
            if let (State::Open { closes_at: Some(until) }, true) = (next.state, before.state != next.state) {
                prop_assert!(effects.contains(&Effect::WakeAt(until)));
            }
            opened += usize::from(effects.contains(&Effect::Flaps));
            prop_assert!(next.openings.len() <= FLAPS && next.openings.is_sorted());
            alert = next;
        }
        prop_assert!(opened <= 40);
    }
}
