//! What reaches the phone, and what is kept for it.

use super::*;

impl World {
    async fn send(&self, title: &str, android: Value) {
        let message = json!({"message": {"token": self.id, "android": android,
            "data": {"title": title, "tag": title, "sound": "normal"}}});
        assert_eq!(told(&self.post(&message).await), accepted());
    }
}

#[tokio::test]
async fn what_waits_arrives_until_its_time_is_over() {
    let world = World::new().await;
    world.fcm.be(&world.id, Presence::Away).unwrap();
    world.send("kept", json!({"ttl": "60s"})).await;
    world.send("too short", json!({"ttl": "10.5s"})).await;
    world.send("now or never", json!({"ttl": "0s"})).await;
    world.clock.advance(Duration::from_secs(11));
    assert!(world.titles().is_empty());
    world.fcm.be(&world.id, Presence::Awake).unwrap();
    assert_eq!(world.titles(), ["kept"]);
    world.send("now", json!({"ttl": "0s"})).await;
    assert_eq!(world.titles(), ["kept", "now"]);
}

#[tokio::test]
async fn a_phone_that_dozes_wakes_for_high_priority() {
    let world = World::new().await;
    world.fcm.be(&world.id, Presence::Dozing).unwrap();
    world.send("later", json!({"priority": "NORMAL"})).await;
    world.send("later too", json!({})).await;
    world.send("now", json!({"priority": "HIGH"})).await;
    assert_eq!(world.titles(), ["now"]);
    world.fcm.be(&world.id, Presence::Awake).unwrap();
    assert_eq!(world.titles(), ["now", "later", "later too"]);
}

#[tokio::test]
async fn four_collapse_keys_are_kept_and_a_hundred_others() {
    let world = World::new().await;
    world.fcm.be(&world.id, Presence::Away).unwrap();
    for (title, key) in [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "4"), ("f", "5")] {
        world.send(title, json!({"collapse_key": key})).await;
    }
    let device = world.id.clone();
    for nth in 0..101 {
        if nth == 100 {
            assert_eq!(world.fcm.deletions(&device).unwrap(), 0);
        }
        world.send("many", json!({})).await;
    }
    assert_eq!(world.fcm.deletions(&device).unwrap(), 1);
    world.fcm.be(&world.id, Presence::Awake).unwrap();
    assert_eq!(world.titles(), ["b", "c", "e", "f"], "the hundred were dropped with the one too many");
}

#[tokio::test]
async fn what_the_system_shows_needs_no_app() {
    let world = World::new().await;
    let message = json!({"message": {"token": world.id, "notification": {"title": "Title", "body": "Body"},
        "android": {"notification": {"tag": "t", "channelId": "pages"}}}});
    assert_eq!(told(&world.post(&message).await), accepted());
    let shown = &world.fcm.shown(&world.id).unwrap()[0];
    assert_eq!((shown.title.as_str(), shown.tag.as_deref(), shown.rang), ("Title", Some("t"), true));
    let silent = json!({"message": {"token": world.id, "data": {"title": "Answered", "sound": "silent", "tag": "t"}}});
    assert_eq!(told(&world.post(&silent).await), accepted());
    let background = json!({"message": {"token": world.id, "data": {"sync": "1"}}});
    assert_eq!(told(&world.post(&background).await), accepted());
    assert_eq!(world.fcm.counts(&world.id).unwrap(), Counts { received: 3, presentations: 1, replacements: 1, rings: 1 });
}

#[tokio::test]
async fn what_is_accepted_may_arrive_twice_or_not_at_all() {
    let world = World::new().await;
    world.script(Fault::Twice);
    world.script(Fault::Lose);
    world.script(Fault::Accept);
    for _ in 0..3 {
        assert_eq!(world.say("x").await, accepted());
    }
    assert_eq!(world.fcm.counts(&world.id).unwrap().received, 3);
    world.script(Fault::DeliverAndReset);
    assert!(world.request(&world.message("x")).send().await.is_err());
    assert_eq!(world.fcm.counts(&world.id).unwrap().received, 4);
    world.script(Fault::Hang);
    world.fcm.clear_faults(&world.id).unwrap();
    assert_eq!(world.say("x").await, accepted());
}
