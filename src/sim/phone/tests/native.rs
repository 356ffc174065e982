//! Phones with a native app, reached through the simulators of Apple and Google, and what they say of what came.

use super::*;
use crate::sim::apns::{self, Apns};
use crate::sim::fcm::{self, Fcm};

fn said(capability: &str, event: &str) -> (String, String) {
    (capability.to_owned(), event.to_owned())
}

impl World {
    /// Its phone is another, reached through `provider` at `url`.
    async fn reached_by(provider: Provider, url: &str) -> Self {
        let mut world = Self::new().await;
        let issuer = world.phone.issuer().to_owned();
        let phone = Phone::reached_by(provider, client().unwrap(), world.clock.clone(), &issuer, url);
        phone.state().device = world.phone.state().device.take();
        world.phone = phone;
        world.phone.register_push().await.unwrap();
        world
    }

    fn registered(&self) -> Value {
        self.stage.lock().unwrap().bodies.last().unwrap().clone()
    }
}

fn page(title: &str, receipt: &str) -> Value {
    json!({"aps": {"alert": {"title": title, "body": "Page PIHXOC6"}, "sound": "default"},
        "data": {"kind": "page", "navigate": "https://phoneops.example/i/PIHXOC6", "tag": "ntf_1.1", "receipt": receipt}})
}

#[tokio::test]
async fn an_iphone_receives_through_apple() {
    let apns = Apns::start(Clock::manual(Timestamp::from_seconds(1_800_000_000))).await.unwrap();
    let world = World::reached_by(Provider::Apns, &apns.admin_url()).await;
    let token = world.phone.subscription_id().unwrap();
    assert_eq!(world.registered(), json!({"kind": "apns", "token": token}));
    for (title, receipt) in [("first", "r1"), ("again", "r2")] {
        assert_eq!(apns::tests::send(&apns, &token, &page(title, receipt)).await, 200);
    }
    let push = world.phone.next_push(Duration::from_secs(5)).await.unwrap().unwrap();
    let read = (push.title(), push.body(), push.navigate(), push.kind(), push.tag(), push.urgency.as_str());
    assert_eq!(read, ("first", "Page PIHXOC6", "https://phoneops.example/i/PIHXOC6", "page", Some("ntf_1.1"), "high"));
    let shown = world.phone.shown().await.unwrap();
    assert_eq!(shown.len(), 1, "the same tag replaces");
    assert_eq!(world.receipts(), [said("r1", "displayed"), said("r2", "displayed")]);
    world.phone.open(&shown[0]).await.unwrap();
    assert_eq!(world.receipts()[2], said("r2", "opened"));

    world.phone.register_push().await.unwrap();
    assert_ne!(world.phone.subscription_id().unwrap(), token);
    assert_eq!(apns::tests::send(&apns, &token, &page("x", "r3")).await, 410);
}

#[tokio::test]
async fn an_android_phone_receives_through_google_by_either_name() {
    let fcm = Fcm::start(Clock::manual(Timestamp::from_seconds(1_800_000_000))).await.unwrap();
    for (provider, name) in [(Provider::Fcm, "token"), (Provider::FcmFid, "fid")] {
        let world = World::reached_by(provider, &fcm.admin_url()).await;
        let id = world.phone.subscription_id().unwrap();
        assert_eq!(world.registered(), json!({"kind": "fcm", name: id}));
        let message = json!({"message": {name: id, "android": {"priority": "HIGH"}, "data": {"kind": "page", "title": "All down",
            "body": "b", "navigate": "https://phoneops.example/i/X", "tag": "t", "sound": "normal", "receipt": "r1"}}});
        assert_eq!(fcm::tests::send(&fcm, &message).await, 200);
        let push = world.phone.next_push(Duration::from_secs(5)).await.unwrap().unwrap();
        assert_eq!((push.title(), push.kind(), push.tag(), push.urgency.as_str()), ("All down", "page", Some("t"), "high"));
        assert_eq!(world.receipts(), [said("r1", "displayed")]);
    }
}

#[tokio::test]
async fn receipts_are_lost_late_or_short_and_said_again_when_nobody_heard() {
    let apns = Apns::start(Clock::manual(Timestamp::from_seconds(1_800_000_000))).await.unwrap();
    let world = World::reached_by(Provider::Apns, &apns.admin_url()).await;
    let token = world.phone.subscription_id().unwrap();
    let come = async |receipt: &str| {
        assert_eq!(apns::tests::send(&apns, &token, &page("x", receipt)).await, 200);
        world.phone.shown().await.unwrap();
    };
    world.phone.set_receipts(Receipts::Lost);
    come("lost").await;
    world.phone.set_receipts(Receipts::Received);
    come("short").await;
    world.phone.set_receipts(Receipts::Late(Duration::from_secs(20)));
    come("late").await;
    assert_eq!(world.receipts(), [said("short", "received")]);
    world.clock.advance(Duration::from_secs(20));
    world.stage.lock().unwrap().deaf = true;
    world.phone.shown().await.unwrap();
    assert_eq!(world.receipts().len(), 1);
    world.stage.lock().unwrap().deaf = false;
    world.phone.shown().await.unwrap();
    assert_eq!(world.receipts()[1..], [said("late", "displayed")]);
}

#[tokio::test]
async fn a_native_phone_survives_its_state_file() {
    let apns = Apns::start(Clock::manual(Timestamp::from_seconds(1_800_000_000))).await.unwrap();
    let world = World::reached_by(Provider::Apns, &apns.admin_url()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("phone.json");
    world.phone.save(&path).unwrap();
    let again = Phone::load(client().unwrap(), world.clock.clone(), &path).unwrap();
    assert_eq!(again.provider(), Provider::Apns);
    assert_eq!(again.subscription_id().unwrap(), world.phone.subscription_id().unwrap());
}
