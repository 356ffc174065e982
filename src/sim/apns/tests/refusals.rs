//! Every reason for which a notification is not taken.

use super::*;

async fn refuses(world: &World, push: Push, reason: Reason) {
    assert_eq!(world.send(push).await, refused(reason), "{}", reason.as_str());
}

#[tokio::test]
async fn a_request_that_is_not_in_order() {
    let world = World::new().await;
    let push = || world.push("x");
    let at = |path: &str| Push { path: path.to_owned(), ..push() };
    let table = [
        (at("/2/device/00"), Reason::BadPath),
        (at("/3/devices/00"), Reason::BadPath),
        (at("/3/device/00/11"), Reason::BadPath),
        (at("/3/device/"), Reason::MissingDeviceToken),
        (at("/3/device/xyz"), Reason::BadDeviceToken),
        (at("/3/device/00ff"), Reason::BadDeviceToken),
        (Push { method: "GET", ..push() }, Reason::MethodNotAllowed),
        (push().with("apns-id", "7A1C3E52-9D4B-4F60-8B1A-2C3D4E5F6071"), Reason::BadMessageId),
        (push().with("apns-id", "7a1c3e529d4b4f608b1a2c3d4e5f6071"), Reason::BadMessageId),
        (push().with("apns-topic", ""), Reason::MissingTopic),
        (push().with("apns-topic", "a topic"), Reason::BadTopic),
        (push().with("apns-topic", "com.example.other"), Reason::DeviceTokenNotForTopic),
        (push().with("apns-push-type", ""), Reason::InvalidPushType),
        (push().with("apns-push-type", "shout"), Reason::InvalidPushType),
        (push().with("apns-push-type", "voip"), Reason::BadTopic),
        (push().with("apns-priority", "7"), Reason::BadPriority),
        (push().with("apns-expiration", "soon"), Reason::BadExpirationDate),
        (push().with("apns-expiration", "-1"), Reason::BadExpirationDate),
        (push().with("apns-collapse-id", &"ä".repeat(33)), Reason::BadCollapseId),
    ];
    for (push, reason) in table {
        refuses(&world, push, reason).await;
    }
    let mut twice = push();
    twice.headers.push(("apns-topic", "com.example.phoneops".to_owned()));
    refuses(&world, twice, Reason::DuplicateHeaders).await;
    assert_eq!(world.send(push().with("apns-collapse-id", &"ä".repeat(32))).await, accepted(), "64 bytes");
    assert_eq!(world.titles(), ["x"]);
}

#[tokio::test]
async fn a_payload_that_no_device_would_show() {
    let world = World::new().await;
    let with = |aps: Value| world.push("").saying(&json!({"aps": aps}));
    let background = |aps: Value, priority: &str| with(aps).with("apns-push-type", "background").with("apns-priority", priority);
    let table = [
        (Push { body: Vec::new(), ..world.push("") }, Reason::PayloadEmpty),
        (Push { body: b"{".to_vec(), ..world.push("") }, Reason::BadRequestPayload),
        (world.push("").saying(&json!({"alert": "x"})), Reason::BadRequestPayload),
        (with(json!({"content-available": 1})), Reason::InvalidPushType),
        (with(json!({"alert": 7})), Reason::BadRequestPayload),
        (with(json!({"alert": {"title": 7}})), Reason::BadRequestPayload),
        (with(json!({"alert": "x", "sound": {"critical": 1}})), Reason::BadRequestPayload),
        (with(json!({"alert": "x", "sound": {"name": "default", "volume": 1.5}})), Reason::BadRequestPayload),
        (with(json!({"alert": "x", "interruption-level": "urgent"})), Reason::BadRequestPayload),
        (with(json!({"alert": "x", "relevance-score": 2})), Reason::BadRequestPayload),
        (with(json!({"alert": "x", "badge": "1"})), Reason::BadRequestPayload),
        (with(json!({"sound": "default", "mutable-content": 1})), Reason::BadRequestPayload),
        (background(json!({"content-available": 1}), "10"), Reason::BadPriority),
        (background(json!({"content-available": 1, "alert": "x"}), "5"), Reason::InvalidPushType),
        (world.push(&"x".repeat(4_096)), Reason::PayloadTooLarge),
        (world.push(&"x".repeat(100_000)), Reason::PayloadTooLarge),
    ];
    for (push, reason) in table {
        refuses(&world, push, reason).await;
    }
    let critical = json!({"alert": "x", "sound": {"critical": 1, "name": "default", "volume": 0.5},
        "interruption-level": "critical", "relevance-score": 1, "thread-id": "t", "category": "PAGE", "mutable-content": 1});
    assert_eq!(world.send(with(critical)).await, accepted());
    assert_eq!(world.send(background(json!({"content-available": 1}), "5")).await, accepted());
    let empty = world.push("").saying(&json!({})).body.len();
    let full = world.push("").saying(&alert(&"x".repeat(4_096 - alert("").to_string().len())));
    assert_eq!((full.body.len(), empty), (4_096, 2));
    assert_eq!(world.send(full).await, accepted());
    let counts = world.apns.counts(&world.token).unwrap();
    assert_eq!((counts.received, counts.presentations), (3, 2), "a background push shows nothing");
}

#[tokio::test]
async fn a_provider_token_that_is_not_in_order() {
    let mut world = World::new().await;
    let key = world.apns.key();
    let (header, claims) = (json!({"alg": "ES256", "kid": key.key_id}), json!({"iss": key.team_id, "iat": START}));
    let signed = |header: &Value, claims: &Value| format!("bearer {}", provider_token(world.apns.key(), header, claims));
    let foreign = SigningKey::generate(&key.key_id, &key.team_id);
    let table = [
        (String::new(), Reason::MissingProviderToken),
        ("bearer".to_owned(), Reason::InvalidProviderToken),
        ("bearer x.y.z".to_owned(), Reason::InvalidProviderToken),
        (format!("basic {}", world.bearer()), Reason::InvalidProviderToken),
        (format!("bearer {}A", world.bearer()), Reason::InvalidProviderToken),
        (format!("bearer {}", token_of(&foreign, START)), Reason::InvalidProviderToken),
        (signed(&json!({"alg": "none", "kid": key.key_id}), &claims), Reason::InvalidProviderToken),
        (signed(&json!({"alg": "ES256", "kid": "OTHERKEY01"}), &claims), Reason::InvalidProviderToken),
        (signed(&json!({"alg": "ES256"}), &claims), Reason::InvalidProviderToken),
        (signed(&header, &json!({"iss": "OTHERTEAM1", "iat": START})), Reason::InvalidProviderToken),
        (signed(&header, &json!({"iss": key.team_id})), Reason::InvalidProviderToken),
        (signed(&header, &json!({"iss": key.team_id, "iat": START.to_string()})), Reason::InvalidProviderToken),
        (signed(&header, &json!({"iss": key.team_id, "iat": START + 120})), Reason::InvalidProviderToken),
    ];
    for (authorization, reason) in table {
        let push = world.push("x").with("authorization", &authorization);
        assert_eq!(world.send(push).await, refused(reason), "{authorization}");
    }
    assert_eq!(world.say("x").await, accepted(), "none of these spoils the connection");

    world.reconnect().await;
    let old = format!("bearer {}", token_of(world.apns.key(), START - 3_601));
    assert_eq!(world.send(world.push("x").with("authorization", &old)).await, refused(Reason::ExpiredProviderToken));
    assert_eq!(world.say("x").await, refused(Reason::ExpiredProviderToken), "wedged");
    world.reconnect().await;
    assert_eq!(world.say("x").await, accepted());
    assert!(world.apns.revoke_key("SIMKEY0001"));
    assert_eq!(world.say("x").await, refused(Reason::InvalidProviderToken));
}

#[tokio::test]
async fn a_connection_is_one_teams_and_one_keys_and_changes_its_token_seldom() {
    let mut world = World::new().await;
    let register = |key: SigningKey| {
        world.apns.register_key(key.registration());
        format!("bearer {}", token_of(&key, START))
    };
    let other_team = register(SigningKey::generate("SIMKEY0002", "SIMTEAM002"));
    let other_key = register(SigningKey::generate("SIMKEY0003", "SIMTEAM001"));
    assert_eq!(world.say("x").await, accepted());
    let with = |authorization: &str| world.push("x").with("authorization", authorization);
    assert_eq!(world.send(with(&other_team)).await, refused(Reason::InvalidProviderToken));
    assert_eq!(world.send(with(&other_key)).await, refused(Reason::UnrelatedKeyIdInToken));
    assert_eq!(world.say("x").await, accepted(), "these do not spoil it");

    let renewed = format!("bearer {}", token_of(world.apns.key(), START));
    assert_eq!(world.send(with(&renewed)).await, refused(Reason::TooManyProviderTokenUpdates));
    assert_eq!(world.say("x").await, refused(Reason::TooManyProviderTokenUpdates), "poisoned");
    world.reconnect().await;
    assert_eq!(world.say("x").await, accepted());
    world.clock.advance(Duration::from_secs(20 * 60));
    let renewed = format!("bearer {}", token_of(world.apns.key(), START + 20 * 60));
    let push = world.push("x").with("authorization", &renewed);
    assert_eq!(world.send(push).await, accepted());
    assert_eq!(world.apns.tokens().len(), 5, "each that was in order is counted once");
}

#[tokio::test]
async fn a_key_may_be_for_some_topics_and_one_environment() {
    let mut world = World::new().await;
    let key = SigningKey::generate("SIMKEY0004", "SIMTEAM001");
    let authorization = format!("bearer {}", token_of(&key, START));
    let push = world.push("x").with("authorization", &authorization);
    let topics = |topics: &[&str]| Some(topics.iter().map(|topic| (*topic).to_owned()).collect());
    world.apns.register_key(KeyRegistration { topics: topics(&["com.example.other"]), ..key.registration() });
    assert_eq!(world.send(push.clone()).await, refused(Reason::TopicDisallowed));
    world.apns.register_key(KeyRegistration { environment: Some(Environment::Sandbox), ..key.registration() });
    world.reconnect().await;
    assert_eq!(world.send(push.clone()).await, refused(Reason::BadEnvironmentKeyIdInToken));
    world.apns.register_key(KeyRegistration { topics: topics(&["com.example.phoneops"]), ..key.registration() });
    world.reconnect().await;
    assert_eq!(world.send(push).await, accepted());
}

#[tokio::test]
async fn a_token_that_is_dead_says_since_when() {
    let world = World::new().await;
    let since = Timestamp::from_seconds(START - 60);
    world.apns.unregister(&world.token, since).unwrap();
    let answer = world.client.call(world.push("x").request()).await.unwrap();
    assert_eq!(told(&answer), refused(Reason::Unregistered));
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body["timestamp"], (START - 60) * 1_000);
    world.apns.expire(&world.token, since).unwrap();
    assert_eq!(world.say("x").await, refused(Reason::ExpiredToken));
}

#[tokio::test]
async fn every_reason_can_be_scripted() {
    let mut world = World::new().await;
    for reason in Reason::ALL {
        world.script(Fault::Refuse { reason: *reason, timestamp: None, retry_after: None });
        assert_eq!(world.say("x").await, refused(*reason));
        world.reconnect().await;
    }
    world.script(Fault::Answer { status: 418, reason: "Teapot".to_owned() });
    assert_eq!(world.say("x").await, (418, "Teapot".to_owned()));
    assert!(world.titles().is_empty());
}
