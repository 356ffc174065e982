//! How connections are limited, disturbed and ended.

use futures_util::future::join_all;

use super::*;

fn goaway(reason: &str, which: GoAway) -> Fault {
    Fault::GoAway { reason: reason.to_owned(), which }
}

/// The reason in a GOAWAY's debug data, as the client's library hands it on.
fn reason(error: &h2::Error) -> String {
    assert!(error.is_go_away(), "{error}");
    error.to_string()
}

#[tokio::test]
async fn one_stream_until_a_token_was_in_order_and_then_a_thousand() {
    let world = World::new().await;
    assert_eq!(world.client.send.clone().ready().await.unwrap().current_max_send_streams(), 1);
    let bad = world.push("x").with("authorization", "bearer x");
    assert_eq!(world.send(bad).await, refused(Reason::InvalidProviderToken));
    assert_eq!(world.client.send.current_max_send_streams(), 1, "that was none");
    let all = join_all((0..200).map(|nth| world.say(if nth % 2 == 0 { "even" } else { "odd" }))).await;
    assert!(all.iter().all(|told| *told == accepted()));
    assert_eq!(world.client.send.current_max_send_streams(), 1_000);
    assert_eq!(world.titles().len(), 200);
    let connections = world.apns.connections();
    assert_eq!((connections.len(), connections[0].requests, connections[0].refused_streams), (1, 201, 0));
}

#[tokio::test]
async fn a_stream_too_many_is_refused_and_not_processed() {
    let world = World::new().await;
    let hasty = Client::connect(world.apns.address(), world.apns.authority(), 100).await;
    let all = join_all((0..10).map(|_| hasty.call(world.push("x").request()))).await;
    let refused = all.iter().filter_map(|told| told.as_ref().err()).map(h2::Error::reason);
    let refused: Vec<_> = refused.collect();
    assert!(!refused.is_empty() && refused.iter().all(|reason| *reason == Some(h2::Reason::REFUSED_STREAM)), "{refused:?}");
    assert_eq!(world.titles().len() + refused.len(), 10);
    assert_eq!(world.apns.connections()[1].refused_streams, refused.len() as u64);
}

#[tokio::test]
async fn a_rejection_may_take_the_streams_away() {
    let world = World::new().await;
    world.apns.set_streams_drop(true);
    assert_eq!(world.say("x").await, accepted());
    let limit = || world.client.send.current_max_send_streams();
    assert_eq!(limit(), 1_000);
    world.script(Fault::Refuse { reason: Reason::BadDeviceToken, timestamp: None, retry_after: None });
    assert_eq!(world.say("x").await, refused(Reason::BadDeviceToken));
    assert_eq!(limit(), 1);
    assert_eq!(world.say("x").await, accepted());
    assert_eq!(limit(), 1_000);
    assert_eq!(world.apns.set_streams(7), 1);
    assert_eq!(world.say("x").await, accepted());
    assert_eq!(limit(), 7);
}

#[tokio::test]
async fn a_graceful_goaway_answers_what_it_has() {
    let world = World::new().await;
    assert_eq!(world.say("first").await, accepted());
    world.script(Fault::Latency { ms: 1_000 });
    let slow = tokio::spawn({
        let (client, push) = (world.client.send.clone(), world.push("slow"));
        async move {
            let client = Client { send: client, ended: tokio::spawn(async { Ok(()) }) };
            client.call(push.request()).await
        }
    });
    while world.apns.connections()[0].requests < 2 {
        tokio::task::yield_now().await;
    }
    world.script(goaway("Shutdown", GoAway::Graceful));
    assert_eq!(world.say("last").await, accepted());
    let rejected = world.client.call(world.push("too late").request()).await.unwrap_err();
    assert!(reason(&rejected).contains("not a result of an error"), "{rejected}");
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(told(&slow.await.unwrap().unwrap()), accepted());
    assert_eq!(world.titles(), ["first", "last", "slow"]);
    world.client.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_goaway_with_a_low_last_stream_disowns_what_it_has_not_processed() {
    let world = World::new().await;
    assert_eq!(world.say("first").await, accepted());
    world.script(goaway("Shutdown", GoAway::Unprocessed));
    let rejected = world.client.call(world.push("disowned").request()).await.unwrap_err();
    assert!(rejected.is_go_away() && rejected.is_remote(), "{rejected}");
    assert_eq!(world.titles(), ["first"]);
    let entry = world.apns.journal().pop().unwrap();
    assert_eq!((entry.status, entry.stream), (None, 3));
}

#[tokio::test]
async fn a_goaway_at_once_leaves_it_open_what_became_of_the_rest() {
    let world = World::new().await;
    assert_eq!(world.say("first").await, accepted());
    world.script(goaway("InternalServerError", GoAway::Unknown));
    assert!(world.client.call(world.push("delivered").request()).await.is_err());
    assert_eq!(world.titles(), ["first", "delivered"]);
    drop(world.client);
    while world.apns.connections()[0].end.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.apns.connections()[0].end.as_deref(), Some("goaway"));
}

#[tokio::test]
async fn a_connection_is_broken_before_or_after_the_delivery() {
    let mut world = World::new().await;
    world.script(Fault::Reset);
    world.script(Fault::DeliverAndReset);
    for title in ["not delivered", "delivered"] {
        let broken = world.client.call(world.push(title).request()).await.unwrap_err();
        assert!(broken.is_io(), "{broken}");
        world.reconnect().await;
    }
    assert_eq!(world.titles(), ["delivered"]);
    let ends: Vec<_> = world.apns.connections().into_iter().filter_map(|connection| connection.end).collect();
    assert_eq!(ends, ["reset", "reset"]);
}

#[tokio::test]
async fn a_request_that_hangs_leaves_the_connection_alive_and_silence_does_not() {
    let world = World::new().await;
    assert_eq!(world.say("first").await, accepted());
    world.script(Fault::Hang);
    world.script(Fault::Silence);
    let hanging = world.client.call(world.push("hangs").request());
    tokio::pin!(hanging);
    assert!(tokio::time::timeout(Duration::from_millis(30), &mut hanging).await.is_err());
    let silent = world.client.call(world.push("silent").request());
    tokio::pin!(silent);
    assert!(tokio::time::timeout(Duration::from_millis(30), &mut silent).await.is_err());
    assert_eq!(world.titles(), ["first"]);
    assert_eq!(world.apns.answered(), 3);
    assert_eq!(world.apns.connections()[0].end, None, "it is still open");
    assert_eq!(world.apns.reset_connections(), 1);
    assert!(silent.await.unwrap_err().is_io());
}

#[tokio::test]
async fn pings_are_answered_and_counted_until_the_connection_falls_silent() {
    let world = World::new().await;
    let stream = crate::sim::http2::tests::secured(world.apns.address(), world.apns.authority(), b"h2").await.unwrap();
    let (_send, mut connection) = h2::client::handshake(stream).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    let connection = tokio::spawn(connection);
    pings.ping(h2::Ping::opaque()).await.unwrap();
    assert_eq!(world.apns.connections()[1].pings, 1);
    world.apns.silence_connections();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let unanswered = tokio::time::timeout(Duration::from_millis(30), pings.ping(h2::Ping::opaque())).await;
    assert!(unanswered.is_err());
    connection.abort();
}

#[tokio::test]
async fn connections_are_scripted_too() {
    let world = World::new().await;
    let reset = |after| ConnectionFault::Reset { after };
    world.apns.script_connections(ConnectionFault::Refuse, 1);
    world.apns.script_connections(ConnectionFault::None, 1);
    world.apns.script_connections(reset(1), 1);
    let (address, authority) = (world.apns.address(), world.apns.authority());
    assert!(crate::sim::http2::tests::secured(address, authority, b"h2").await.is_err());
    let (well, breaks) = (world.connect().await, world.connect().await);
    for (client, expected) in [(&well, true), (&breaks, true), (&breaks, false), (&well, true)] {
        let answer = client.call(world.push("x").request()).await;
        assert_eq!(answer.is_ok(), expected);
    }
    assert_eq!(world.titles().len(), 3);
    let faults: Vec<_> = world.apns.connections().into_iter().map(|connection| connection.fault).collect();
    assert_eq!(faults, [None, Some(ConnectionFault::Refuse), None, Some(reset(1))]);

    world.apns.script_connections(ConnectionFault::HangHandshake, 1);
    let handshake = crate::sim::http2::tests::secured(address, authority, b"h2");
    assert!(tokio::time::timeout(Duration::from_millis(30), handshake).await.is_err());
}

#[tokio::test]
async fn a_window_that_is_not_opened_holds_the_sender_up() {
    let world = World::new().await;
    assert_eq!(world.say("first").await, accepted());
    world.script(Fault::Starve { ms: 100 });
    let long = "x".repeat(3_500);
    let all = join_all((0..30).map(|_| world.client.call(world.push(&long).request())));
    tokio::pin!(all);
    assert!(tokio::time::timeout(Duration::from_millis(60), &mut all).await.is_err(), "65,535 bytes were room for all");
    let before = world.apns.answered();
    assert!((15..20).contains(&before), "{before}");
    world.clock.advance(Duration::from_millis(100));
    assert!(all.await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn stopping_ends_what_hangs() {
    let world = World::new().await;
    world.script(Fault::Hang);
    let hanging = world.push("x").request();
    let World { apns, client, .. } = world;
    let hanging = tokio::spawn(async move { client.call(hanging).await });
    apns.until_answered(1).await;
    tokio::time::timeout(Duration::from_secs(5), apns.stop()).await.unwrap();
    assert!(hanging.await.unwrap().is_err());
}
