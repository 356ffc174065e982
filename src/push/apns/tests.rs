//! The carrier against a server of HTTP/2 of every temper, over real TLS, on this machine's own loopback.

pub(in crate::push) mod server;
mod wire;

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use h2::Reason;
use serde_json::json;

use super::provider_token::tests::minter;
use super::*;
use crate::push::{Category, Sound, Urgency};
use server::{Answer, Server};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

pub(super) fn message() -> Message {
    let data = json!({"ref": "PIHXOC6", "round": 1});
    Message {
        title: "All your apps are down".into(),
        body: "Page PIHXOC6 from heimdall".into(),
        navigate: "https://phoneops.example/i/PIHXOC6".parse().unwrap(),
        tag: "ntf_1.1".into(),
        urgency: Urgency::High,
        expires_at: NOW.after(Duration::from_mins(5)),
        sound: Sound::Normal,
        thread: "inc_1".into(),
        category: Category::Page,
        data: data.as_object().unwrap().clone(),
    }
}

pub(super) fn device(number: u32) -> DeviceToken {
    format!("{number:064x}").try_into().unwrap()
}

/// A carrier that knows the way to one server, and whose time stands still.
struct Sender {
    clock: Clock,
    carrier: Arc<Apns>,
}

impl Sender {
    fn to(server: &Server, connections: usize) -> Self {
        Self::with(&server.endpoint(), server.ca_pem(), connections)
    }

    fn with(endpoint: &str, ca_pem: &str, connections: usize) -> Self {
        let clock = Clock::manual(NOW);
        let config = ApnsConfig {
            endpoint: endpoint.parse().unwrap(),
            topic: "com.example.phoneops".into(),
            critical_alerts: false,
            ca_pem: Some(ca_pem.as_bytes().to_vec()),
            connections,
        };
        let tokens = Arc::new(LocalTokens::new(minter()));
        let carrier = Arc::new(Apns::new(&config, tokens, clock.clone()).unwrap());
        Self { clock, carrier }
    }

    async fn send(&self, number: u32) -> Outcome {
        self.carrier.send(&message(), &Target::Apns(device(number)), self.clock.now()).await
    }

    /// Sends, without waiting for what becomes of it.
    fn begin(&self, number: u32) -> tokio::task::JoinHandle<Outcome> {
        let (carrier, now) = (self.carrier.clone(), self.clock.now());
        tokio::spawn(async move { carrier.send(&message(), &Target::Apns(device(number)), now).await })
    }

    /// Sends to so many phones at once.
    async fn herd(&self, phones: u32) -> Vec<Outcome> {
        join_all((0..phones).map(|number| self.begin(number))).await.into_iter().map(Result::unwrap).collect()
    }

    /// Turns the clock, second by second, until that is done; how many it took.
    async fn seconds_until<T>(&self, mut done: tokio::task::JoinHandle<T>) -> (u64, T) {
        for seconds in 0..100 {
            tokio::select! {
                biased;
                done = &mut done => return (seconds, done.unwrap()),
                () = tokio::time::sleep(Duration::from_millis(10)) => self.clock.advance(Duration::from_secs(1)),
            }
        }
        panic!("it is not done after 100 seconds");
    }
}

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

fn reason(status: u16, reason: &str) -> Answer {
    Answer::Status(status, format!(r#"{{"reason":"{reason}"}}"#))
}

#[tokio::test]
async fn a_message_arrives_as_apple_wants_it() {
    let server = Server::accepting().await;
    let sender = Sender::to(&server, 1);
    let Outcome::Accepted { id } = sender.send(7).await else { panic!("it is taken") };
    let [received] = server.take().try_into().unwrap();
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", format!("/3/device/{:064x}", 7).as_str()));
    assert_eq!((received.header("apns-id"), received.scheme.as_str()), (id.as_deref(), "https"));
    assert_eq!(received.header("apns-topic"), Some("com.example.phoneops"));
    assert!(received.header("authorization").unwrap().starts_with("bearer ey"));
    let body: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(body["aps"]["alert"]["title"], "All your apps are down");
}

#[tokio::test]
async fn header_compression_remembers_what_stays_the_same_and_neither_path_nor_token() {
    use wire::Form::{Incremental, Indexed, Never, Without};
    // Of the static table of RFC 7541: `:path`, `authorization`, `content-length`, and the first that is not in it.
    const PATH: usize = 4;
    const AUTHORIZATION: usize = 23;
    const CONTENT_LENGTH: usize = 28;
    const DYNAMIC: usize = 62;
    let server = Server::accepting().await;
    let sender = Sender::to(&server, 1);
    for number in 0..3 {
        let expires_at = NOW.after(Duration::from_mins(5 + u64::from(number)));
        let message = Message { tag: format!("ntf_{number}"), expires_at, ..message() };
        assert!(accepted(&sender.carrier.send(&message, &Target::Apns(device(number)), NOW).await));
    }
    let requests = wire::requests(&server.heard(0));
    assert_eq!(requests.len(), 3);
    for fields in &requests {
        assert!(fields.contains(&(Without, PATH)) && fields.contains(&(Never, AUTHORIZATION)), "{fields:?}");
    }
    assert!(requests[0].iter().any(|(form, _)| *form == Incremental));
    for fields in &requests[1..] {
        // Three ids by the names that the first request left in the table, and everything else from it.
        let ids = fields.iter().filter(|(form, name)| *form == Never && *name >= DYNAMIC).count();
        let rest = fields.iter().filter(|(form, name)| *form != Indexed && *name < DYNAMIC);
        assert_eq!(ids, 3, "{fields:?}");
        assert!(rest.into_iter().all(|(_, name)| [PATH, AUTHORIZATION, CONTENT_LENGTH].contains(name)), "{fields:?}");
    }
}

#[tokio::test]
async fn a_message_whose_life_is_over_or_of_another_carrier_is_not_sent() {
    let server = Server::accepting().await;
    let sender = Sender::to(&server, 1);
    sender.clock.advance(Duration::from_mins(5));
    assert_eq!(sender.send(1).await, Outcome::Expired);
    let target = Target::Mail("ys@example.com".to_owned().try_into().unwrap());
    let outcome = sender.carrier.send(&message(), &target, NOW).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    assert_eq!(server.take().len(), 0);
}

#[tokio::test]
async fn one_stream_until_the_first_is_taken_and_then_as_many_as_the_peer_allows() {
    let server = Server::build().allowing(5).start(|_, _| Answer::accepted().after_ms(5)).await;
    let sender = Sender::to(&server, 1);
    let held = server.hold();
    let herd = tokio::spawn({
        let sender = Sender { clock: sender.clock.clone(), carrier: sender.carrier.clone() };
        async move { sender.herd(40).await }
    });
    server.until_asked(1).await;
    // Time enough for others to be asked, were they to be.
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(server.most_at_once(), 1);
    drop(held);
    assert!(herd.await.unwrap().iter().all(accepted));
    assert_eq!((server.take().len(), server.connections()), (40, 1));
    assert!((2..=5).contains(&server.most_at_once()), "{}", server.most_at_once());
}

#[tokio::test]
async fn a_burst_is_spread_over_several_connections_and_each_has_the_same_token() {
    let server = Server::accepting().await;
    let sender = Sender::to(&server, 4);
    assert!(sender.herd(200).await.iter().all(accepted));
    let received = server.take();
    assert_eq!(received.len(), 200);
    assert!((2..=4).contains(&server.connections()), "{}", server.connections());
    let tokens: std::collections::HashSet<_> = received.iter().map(|request| request.header("authorization").unwrap()).collect();
    assert_eq!(tokens.len(), 1);
}

#[tokio::test]
async fn two_hundred_go_through_one_stream() {
    let server = Server::build().allowing(1).start(|_, _| Answer::accepted()).await;
    let sender = Sender::to(&server, 2);
    assert!(sender.herd(200).await.iter().all(accepted));
    assert_eq!((server.take().len(), server.most_at_once()), (200, 1));
}

#[tokio::test]
async fn an_urgent_message_goes_before_the_ordinary_ones_that_wait() {
    let server = Server::build().allowing(1).start(|_, _| Answer::accepted()).await;
    let sender = Sender::to(&server, 1);
    assert!(accepted(&sender.send(1).await));
    let held = server.hold();
    let first = sender.begin(2);
    server.until_asked(2).await;
    let ordinary = (100..300).map(|number| {
        let carrier = sender.carrier.clone();
        let message = Message { urgency: Urgency::Normal, ..message() };
        tokio::spawn(async move { carrier.send(&message, &Target::Apns(device(number)), NOW).await })
    });
    let ordinary: Vec<_> = ordinary.collect();
    tokio::task::yield_now().await;
    let urgent = sender.begin(3);
    tokio::task::yield_now().await;
    drop(held);
    for sent in ordinary.into_iter().chain([first, urgent]) {
        assert!(accepted(&sent.await.unwrap()));
    }
    let received = server.take();
    assert_eq!(received.len(), 203);
    assert_eq!(received[2].path, format!("/3/device/{:064x}", 3));
}

#[tokio::test]
async fn a_peer_that_allows_nothing_is_waited_for_and_not_for_ever() {
    let server = Server::build().allowing(0).start(|_, _| Answer::accepted()).await;
    let sender = Sender::to(&server, 2);
    let waiting = sender.begin(1);
    let (seconds, outcome) = sender.seconds_until(waiting).await;
    assert!(matches!(outcome, Outcome::Retryable(_)), "{outcome:?}");
    assert!(seconds <= LEAVE.as_secs(), "{seconds}");
    assert_eq!(server.take().len(), 0);
}

#[tokio::test]
async fn a_graceful_end_of_a_connection_loses_nothing() {
    let server = Server::build()
        .start(|_, count| if count % 20 == 19 { Answer::accepted().then_goodbye() } else { Answer::accepted() })
        .await;
    let sender = Sender::to(&server, 2);
    for _ in 0..3 {
        assert!(sender.herd(60).await.iter().all(accepted));
    }
    assert_eq!(server.take().len(), 180);
    assert!(server.connections() >= 3, "{}", server.connections());
}

#[tokio::test]
async fn what_a_goaway_names_as_unprocessed_is_sent_again_at_once() {
    let server = Server::accepting().await;
    let sender = Sender::to(&server, 1);
    assert!(accepted(&sender.send(0).await));
    let held = server.hold();
    let asked: Vec<_> = (1..=10).map(|number| sender.begin(number)).collect();
    server.until_asked(11).await;
    // Streams 3 to 11 are answered, 13 to 21 were not looked at.
    server.goaway(0, 11);
    drop(held);
    assert!(join_all(asked).await.into_iter().all(|outcome| accepted(&outcome.unwrap())));
    let received = server.take();
    assert_eq!((received.len(), server.connections()), (16, 2));
    let ids: std::collections::HashSet<_> = received.iter().map(|request| request.header("apns-id").unwrap()).collect();
    assert_eq!(ids.len(), 11, "what is sent again is the same message");
}

#[tokio::test]
async fn what_a_dying_connection_has_seen_is_unknown_and_only_that() {
    let server = Server::build()
        .allowing(5)
        .start(
            |connection, count| if (connection, count) == (0, 4) { Answer::GoAway(Reason::NO_ERROR) } else { Answer::accepted() },
        )
        .await;
    let outcomes = Sender::to(&server, 1).herd(30).await;
    let lost = outcomes.iter().filter(|outcome| !accepted(outcome)).count();
    assert!(outcomes.iter().all(|outcome| accepted(outcome) || matches!(outcome, Outcome::Retryable(_))), "{outcomes:?}");
    assert!(lost <= server.seen_by_goaway(), "{lost} of {}", server.seen_by_goaway());
    assert!(server.connections() >= 2);
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_and_a_reset_one_is_for_the_caller() {
    let refusals = Arc::new(AtomicUsize::new(0));
    let counted = refusals.clone();
    let server = Server::build()
        .start(move |_, _| match counted.fetch_add(1, Ordering::SeqCst) {
            0..3 => Answer::Reset(Reason::REFUSED_STREAM),
            3 => Answer::Reset(Reason::INTERNAL_ERROR),
            _ => Answer::accepted(),
        })
        .await;
    let sender = Sender::to(&server, 1);
    let outcome = sender.send(1).await;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.contains("reset")), "{outcome:?}");
    assert!(accepted(&sender.send(1).await));
    let received = server.take();
    let ids: Vec<_> = received.iter().map(|request| request.header("apns-id").unwrap().to_owned()).collect();
    assert_eq!((received.len(), server.connections()), (5, 1));
    // What was sent again is the same message, and the caller's next try another in the same place.
    assert!(ids[..4].iter().all(|id| *id == ids[0]) && ids[4] != ids[0]);
    assert_eq!(received[0].header("apns-collapse-id"), received[4].header("apns-collapse-id"));
}

#[tokio::test]
async fn a_peer_that_always_refuses_is_not_asked_for_ever() {
    let server = Server::build().start(|_, _| Answer::Reset(Reason::REFUSED_STREAM)).await;
    let outcome = Sender::to(&server, 1).send(1).await;
    assert!(matches!(outcome, Outcome::Retryable(_)), "{outcome:?}");
    assert_eq!(server.take().len(), 1 + RESENT_MAX as usize);
}

#[tokio::test]
async fn one_reset_in_ten_reaches_every_phone_when_the_caller_tries_again() {
    let server = Server::build()
        .start(|_, count| if count % 10 == 9 { Answer::Reset(Reason::INTERNAL_ERROR) } else { Answer::accepted() })
        .await;
    let sender = Sender::to(&server, 4);
    let mut left: Vec<u32> = (0..200).collect();
    for _ in 0..20 {
        let outcomes = join_all(left.iter().map(|number| sender.send(*number))).await;
        let again = left.iter().zip(&outcomes).filter(|(_, outcome)| !accepted(outcome)).map(|(number, _)| *number);
        left = again.collect();
    }
    assert_eq!(left, Vec::<u32>::new());
}

#[tokio::test]
async fn a_silent_connection_is_noticed_within_ten_seconds_and_replaced() {
    let server = Server::build()
        .start(|connection, count| if (connection, count) == (0, 1) { Answer::Silence } else { Answer::accepted() })
        .await;
    let sender = Sender::to(&server, 1);
    assert!(accepted(&sender.send(1).await));
    let waiting = sender.begin(1);
    server.until_asked(2).await;
    let (seconds, outcome) = sender.seconds_until(waiting).await;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.contains("broke")), "{outcome:?}");
    assert!(seconds < 10, "{seconds}");
    assert!(accepted(&sender.send(1).await));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_request_that_is_not_answered_ends_and_a_wedged_connection_with_it() {
    // It answers pings, so it is not silent.
    let server = Server::build().start(|connection, _| if connection == 0 { Answer::Never } else { Answer::accepted() }).await;
    let sender = Sender::to(&server, 1);
    let waiting = sender.begin(1);
    server.until_asked(1).await;
    let (seconds, outcome) = sender.seconds_until(waiting).await;
    assert_eq!(outcome, Outcome::Retryable("no answer in time".into()));
    assert!(seconds <= 11, "{seconds}");
    assert!(accepted(&sender.send(1).await));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_caller_that_stops_waiting_leaves_nothing_behind() {
    let server = Server::build().allowing(1).start(|_, count| if count == 0 { Answer::Never } else { Answer::accepted() }).await;
    let sender = Sender::to(&server, 1);
    let asked = sender.begin(1);
    server.until_asked(1).await;
    let waiting: Vec<_> = (2..20).map(|number| sender.begin(number)).collect();
    tokio::task::yield_now().await;
    for gone in waiting {
        gone.abort();
    }
    asked.abort();
    assert!(accepted(&sender.send(20).await));
    assert!(sender.herd(20).await.iter().all(accepted));
}

#[tokio::test]
async fn a_connection_is_judged_though_nobody_waits_any_more() {
    for (temper, seconds) in [(Answer::Never, 11), (Answer::Silence, 8)] {
        let server = Server::build()
            .start(move |connection, count| if (connection, count) == (0, 1) { temper.clone() } else { Answer::accepted() })
            .await;
        let sender = Sender::to(&server, 1);
        assert!(accepted(&sender.send(1).await));
        let asked = sender.begin(2);
        server.until_asked(2).await;
        asked.abort();
        for _ in 0..seconds {
            sender.clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(accepted(&sender.send(3).await));
        assert_eq!(server.connections(), 2, "the next message goes on another");
    }
}

#[tokio::test]
async fn what_waited_for_room_until_its_deadline_is_not_sent() {
    let server = Server::build().allowing(1).start(|_, _| Answer::accepted()).await;
    let sender = Sender::to(&server, 1);
    assert!(accepted(&sender.send(1).await));
    let held = server.hold();
    let first = sender.begin(2);
    server.until_asked(2).await;
    let waiting = tokio::spawn({
        let carrier = sender.carrier.clone();
        let message = Message { expires_at: NOW.after(Duration::from_secs(1)), ..message() };
        async move { carrier.send(&message, &Target::Apns(device(3)), NOW).await }
    });
    tokio::task::yield_now().await;
    sender.clock.advance(Duration::from_secs(1));
    drop(held);
    assert_eq!(waiting.await.unwrap(), Outcome::Expired);
    assert!(accepted(&first.await.unwrap()));
    assert_eq!(server.take().len(), 2);
}

#[tokio::test]
async fn what_waited_for_room_while_others_had_theirs_is_nobodys_failure() {
    let server = Server::build().allowing(1).start(|_, count| if count == 2 { Answer::Never } else { Answer::accepted() }).await;
    let sender = Sender::to(&server, 1);
    assert!(accepted(&sender.send(1).await));
    let held = server.hold();
    let first = sender.begin(2);
    server.until_asked(2).await;
    let ordinary = tokio::spawn({
        let (carrier, message) = (sender.carrier.clone(), Message { urgency: Urgency::Normal, ..message() });
        async move { carrier.send(&message, &Target::Apns(device(3)), NOW).await }
    });
    tokio::task::yield_now().await;
    let urgent = sender.begin(4);
    tokio::task::yield_now().await;
    drop(held);
    assert!(accepted(&first.await.unwrap()));
    server.until_asked(3).await;
    let (seconds, outcome) = sender.seconds_until(ordinary).await;
    assert_eq!((seconds, outcome), (LEAVE.as_secs(), Outcome::RetryAfter(SOON)), "it may be unwanted by now: its caller looks");
    assert!(!urgent.is_finished());
    assert_eq!(server.take().len(), 3);
}

/// Tokens that are there as soon as somebody says so.
struct Slow(LocalTokens, tokio::sync::Semaphore);

impl ProviderTokens for Slow {
    fn current(&self, now: Timestamp) -> BoxFuture<'_, Result<ProviderToken, NoToken>> {
        Box::pin(async move {
            self.1.acquire().await.unwrap().forget();
            self.0.current(now).await
        })
    }

    fn renewed<'a>(&'a self, refused: &'a ProviderToken, now: Timestamp) -> BoxFuture<'a, Result<ProviderToken, NoToken>> {
        self.0.renewed(refused, now)
    }
}

#[tokio::test]
async fn what_waited_for_a_token_is_sent_neither_late_nor_unasked() {
    let server = Server::accepting().await;
    let tokens = Arc::new(Slow(LocalTokens::new(minter()), tokio::sync::Semaphore::new(0)));
    let clock = Clock::manual(NOW);
    let config = ApnsConfig {
        endpoint: server.endpoint().parse().unwrap(),
        topic: "com.example.phoneops".into(),
        critical_alerts: false,
        ca_pem: Some(server.ca_pem().as_bytes().to_vec()),
        connections: 1,
    };
    let carrier = Arc::new(Apns::new(&config, tokens.clone(), clock.clone()).unwrap());
    for (lives, waits, expected) in [(1, 1, Outcome::Expired), (300, 2, Outcome::RetryAfter(SOON))] {
        let (sending, now) = (carrier.clone(), clock.now());
        let message = Message { expires_at: now.after(Duration::from_secs(lives)), ..message() };
        let mut sent = tokio::spawn(async move { sending.send(&message, &Target::Apns(device(1)), now).await });
        // It has its line by then.
        let _ = tokio::time::timeout(Duration::from_millis(50), &mut sent).await;
        clock.advance(Duration::from_secs(waits));
        tokens.1.add_permits(1);
        assert_eq!(sent.await.unwrap(), expected);
    }
    assert_eq!(server.take().len(), 0);
}

#[tokio::test]
async fn a_caller_that_has_less_time_hears_sooner() {
    let server = Server::build().start(|_, _| Answer::Never).await;
    let Sender { clock, carrier } = Sender::to(&server, 1);
    let carrier = Arc::new(Arc::into_inner(carrier).unwrap().within(Duration::from_secs(3)));
    let sender = Sender { clock, carrier };
    let waiting = sender.begin(1);
    server.until_asked(1).await;
    let (seconds, outcome) = sender.seconds_until(waiting).await;
    assert_eq!((seconds, outcome), (3, Outcome::Retryable("no answer in time".into())));
}

#[tokio::test]
async fn a_killed_connection_is_unknown_and_the_next_message_connects_anew() {
    let server = Server::build().start(|connection, _| if connection == 0 { Answer::Kill } else { Answer::accepted() }).await;
    let sender = Sender::to(&server, 1);
    let outcome = sender.send(1).await;
    assert!(matches!(outcome, Outcome::Retryable(_)), "{outcome:?}");
    assert!(accepted(&sender.send(1).await));
}

#[tokio::test]
async fn an_expired_token_is_replaced_once_for_all_and_the_connection_with_it() {
    let server = Server::build().start(|_, _| reason(403, "ExpiredProviderToken")).await;
    let sender = Sender::to(&server, 1);
    // Of a token that was minted just now another would be one too many.
    let outcome = sender.send(1).await;
    assert!(matches!(&outcome, Outcome::Misconfigured(why) if why.contains("clock")), "{outcome:?}");
    server.take();

    let server = Server::build()
        .start(
            |connection, _| if connection == 1 { reason(403, "ExpiredProviderToken") } else { Answer::accepted().then_goodbye() },
        )
        .await;
    let sender = Sender::to(&server, 1);
    assert!(accepted(&sender.send(1).await));
    sender.clock.advance(Duration::from_mins(21));
    let mut late = message();
    late.expires_at = sender.clock.now().after(Duration::from_mins(5));
    let target = Target::Apns(device(2));
    assert!(accepted(&sender.carrier.send(&late, &target, sender.clock.now()).await));
    let received = server.take();
    let token = |at: usize| received[at].header("authorization").unwrap();
    assert_eq!((received.len(), server.connections()), (3, 3));
    assert!(token(0) == token(1) && token(1) != token(2));
}

#[tokio::test]
async fn a_poisoned_connection_is_left_and_the_message_goes_on_another() {
    for (status, word) in
        [(429, "TooManyProviderTokenUpdates"), (403, "UnrelatedKeyIdInToken"), (503, "Shutdown"), (400, "IdleTimeout")]
    {
        let server = Server::build()
            .start(move |connection, _| if connection == 0 { reason(status, word) } else { Answer::accepted() })
            .await;
        let sender = Sender::to(&server, 1);
        assert!(accepted(&sender.send(1).await), "{word}");
        assert!(accepted(&sender.send(2).await), "{word}");
        let received = server.take();
        assert_eq!((received.len(), server.connections()), (3, 2), "{word}");
        assert_eq!(received[0].header("authorization"), received[2].header("authorization"), "{word}");
    }
}

#[tokio::test]
async fn what_every_connection_refuses_is_the_callers() {
    let server = Server::build().start(|_, _| reason(503, "Shutdown")).await;
    let outcome = Sender::to(&server, 1).send(1).await;
    assert_eq!(outcome, Outcome::Retryable("APNs answered 503 (Shutdown)".into()));
    assert_eq!(server.take().len(), 1 + EXCUSED_MAX as usize);
}

#[tokio::test]
async fn a_phone_that_gets_too_much_is_left_alone_and_no_other() {
    let busy = format!("{:064x}", 1);
    let server = Server::build()
        .by_path(move |path| if path.ends_with(&busy) { reason(429, "TooManyRequests") } else { Answer::accepted() })
        .await;
    let sender = Sender::to(&server, 1);
    assert_eq!(sender.send(1).await, Outcome::RetryAfter(Duration::from_secs(10)));
    assert_eq!(sender.send(1).await, Outcome::RetryAfter(Duration::from_secs(10)));
    assert!(accepted(&sender.send(2).await));
    assert_eq!(server.take().len(), 2);
    sender.clock.advance(Duration::from_secs(10));
    assert_eq!(sender.send(1).await, Outcome::RetryAfter(Duration::from_secs(20)));
}

#[tokio::test]
async fn a_narrow_window_delays_and_deadlocks_nothing() {
    let server = Server::build().with_window(100).start(|_, _| Answer::accepted()).await;
    let sender = Sender::to(&server, 1);
    assert!(sender.herd(50).await.iter().all(accepted));
}

#[tokio::test]
async fn nobody_answers_or_it_is_somebody_else() {
    let server = Server::accepting().await;
    let other = Server::accepting().await;
    // Nobody listens.
    let outcome = Sender::with("https://localhost:1", server.ca_pem(), 2).send(1).await;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.starts_with("no connection: ")), "{outcome:?}");
    // Somebody whom nobody vouches for.
    let outcome = Sender::with(&server.endpoint(), other.ca_pem(), 2).send(1).await;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.starts_with("TLS: ")), "{outcome:?}");
    // Somebody who is named otherwise.
    let outcome = Sender::with(&server.endpoint().replace("localhost", "127.0.0.1"), server.ca_pem(), 2).send(1).await;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.starts_with("TLS: ")), "{outcome:?}");
    assert_eq!(server.take().len(), 0);
}

#[tokio::test]
async fn a_handshake_that_hangs_ends() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::accepting().await;
    let sender = Sender::with(&format!("https://localhost:{}", listener.local_addr().unwrap().port()), server.ca_pem(), 1);
    let first = sender.begin(1);
    let _hanging = listener.accept().await.unwrap();
    let (seconds, outcome) = sender.seconds_until(first).await;
    assert_eq!((seconds, outcome), (2, Outcome::Retryable("no connection had room in time".into())));
    sender.clock.advance(Duration::from_secs(2));
    let (seconds, outcome) = sender.seconds_until(sender.begin(1)).await;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.starts_with("TLS: not within 5 s")), "{outcome:?}");
    assert!(seconds <= 2, "{seconds}");
}

#[tokio::test]
async fn nothing_secret_prints() {
    let server = Server::build().start(|_, _| reason(400, "BadTopic")).await;
    let sender = Sender::to(&server, 1);
    let outcome = sender.send(0xfeed).await;
    let printed = format!("{:?} {outcome:?} {:?}", sender.carrier, device(0xfeed));
    assert!(!printed.contains("feed") && !printed.contains("bearer") && !printed.contains("ey"), "{printed}");
}
