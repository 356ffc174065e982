//! What reaches the device, what is kept for it, and what it shows.

use super::*;

#[tokio::test]
async fn one_notification_is_kept_for_a_device_that_is_away() {
    let world = World::new().await;
    world.apns.be_away(&world.token, true).unwrap();
    assert_eq!(world.send(world.push("first").with("apns-collapse-id", "a")).await, accepted());
    assert_eq!(world.send(world.push("second").with("apns-collapse-id", "b")).await, accepted());
    assert_eq!(world.send(world.push("now or never").with("apns-expiration", "0")).await, accepted());
    assert!(world.titles().is_empty());
    world.apns.be_away(&world.token, false).unwrap();
    assert_eq!(world.titles(), ["second"]);
    assert_eq!(world.send(world.push("now").with("apns-expiration", "0")).await, accepted());
    assert_eq!(world.titles(), ["second", "now"]);
}

#[tokio::test]
async fn what_has_expired_is_not_shown() {
    let world = World::new().await;
    let late = (START - 1).to_string();
    assert_eq!(world.send(world.push("late").with("apns-expiration", &late)).await, accepted());
    world.apns.be_away(&world.token, true).unwrap();
    assert_eq!(world.say("kept too long").await, accepted());
    world.clock.advance(Duration::from_secs(600));
    world.apns.be_away(&world.token, false).unwrap();
    assert!(world.titles().is_empty());
}

#[tokio::test]
async fn the_same_collapse_id_replaces_and_is_heard_again() {
    let world = World::new().await;
    let push = |title: &str, id: &str| world.push(title).with("apns-collapse-id", id);
    for (title, id) in [("round 1", "a"), ("round 1 again", "a"), ("round 2", "b")] {
        assert_eq!(world.send(push(title, id)).await, accepted());
    }
    let silent = push("", "b").saying(&json!({"aps": {"alert": "Answered by ys", "interruption-level": "passive"}}));
    assert_eq!(world.send(silent).await, accepted());
    let shown = world.apns.shown(&world.token).unwrap();
    let texts: Vec<_> = shown.iter().map(|shown| (shown.title.as_str(), shown.body.as_str(), shown.replaced)).collect();
    assert_eq!(texts, [("round 1 again", "Page PIHXOC6", 1), ("", "Answered by ys", 1)]);
    let counts = world.apns.counts(&world.token).unwrap();
    assert_eq!(counts, Counts { received: 4, presentations: 2, replacements: 2, rings: 3 });
}

#[tokio::test]
async fn what_is_accepted_may_arrive_twice_or_not_at_all() {
    let world = World::new().await;
    world.script(Fault::Twice);
    world.script(Fault::Lose);
    world.script(Fault::Accept);
    world.script(Fault::Refuse { reason: Reason::ServiceUnavailable, timestamp: None, retry_after: None });
    for title in ["twice", "lost", "well"] {
        assert_eq!(world.say(title).await, accepted());
    }
    assert_eq!(world.say("busy").await, refused(Reason::ServiceUnavailable));
    assert_eq!(world.titles(), ["twice", "twice", "well"]);
}

#[tokio::test]
async fn a_request_that_is_not_in_order_uses_no_fault_up() {
    let world = World::new().await;
    world.script(Fault::Refuse { reason: Reason::Shutdown, timestamp: None, retry_after: None });
    assert_eq!(world.send(world.push("x").with("apns-priority", "3")).await, refused(Reason::BadPriority));
    assert_eq!(world.say("x").await, refused(Reason::Shutdown));
    world.script(Fault::Hang);
    world.apns.clear_faults(&world.token).unwrap();
    assert_eq!(world.say("x").await, accepted());
}

#[tokio::test]
async fn latency_is_the_injected_clocks() {
    let world = World::new().await;
    world.script(Fault::Latency { ms: 1_500 });
    let client = &world.client;
    let sending = client.call(world.push("slow").request());
    tokio::pin!(sending);
    for ms in [0, 1_499, 1] {
        world.clock.advance(Duration::from_millis(ms));
        if ms != 1 {
            assert!(tokio::time::timeout(Duration::from_millis(40), &mut sending).await.is_err(), "answered {ms} ms too early");
        }
    }
    assert_eq!(told(&sending.await.unwrap()), accepted());
}
