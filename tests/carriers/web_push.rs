//! Web Push: the rows of the fault table, each against the simulator, over TLS, through the carrier as the server has it.
//!
//! Where something waits, the runtime's own time passes at once as soon as nothing is under way: the carrier's limits are its own here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use phoneops::clock::{Clock, Timestamp};
use phoneops::push::web_push::{Subscription, VapidKeyPair, WebPush, WebPushConfig};
use phoneops::push::{Carrier as _, Category, Message, Outcome, Sound, Target, Urgency};
use phoneops::sim::push_service::{Apple, ConnectionFault, Fault, GoAway, PushService};
use serde_json::json;

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// How often a caller tries, at most.
const TRIES: usize = 50;

/// How long one call may take, by the runtime's time: the carrier's ten seconds, and what rounding adds.
const LIMIT: Duration = Duration::from_millis(10_100);

/// A browser, by its id at its push service, and where it wants its messages.
#[derive(Clone)]
struct Browser {
    id: String,
    target: Target,
}

struct World {
    clock: Clock,
    service: PushService,
    carrier: Arc<WebPush>,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::manual(START);
        let service = PushService::start_secure(clock.clone()).await.unwrap();
        let carrier = Arc::new(carrier(service.authority().unwrap()));
        Self { clock, service, carrier }
    }

    fn browsers(&self, count: usize) -> Vec<Browser> {
        (0..count).map(|_| self.browser()).collect()
    }

    fn browser(&self) -> Browser {
        let (id, subscription) = self.service.browser(&self.carrier.public_key());
        let subscription: Subscription = serde_json::from_value(subscription).unwrap();
        Browser { id, target: Target::WebPush(subscription) }
    }

    fn script(&self, browser: &Browser, fault: Fault) {
        self.service.script(&browser.id, fault, 1).unwrap();
    }

    async fn send(&self, browser: &Browser, tag: &str) -> Outcome {
        self.carrier.send(&message(tag, self.clock.now()), &browser.target, self.clock.now()).await
    }

    /// As [`World::send`]; from the moment that nothing more is going to come, time passes at once. How much of it did.
    async fn send_into_silence(&self, browser: &Browser, tag: &str, is_silent: impl Fn() -> bool) -> (Duration, Outcome) {
        let (carrier, target) = (self.carrier.clone(), browser.target.clone());
        let (message, now) = (message(tag, self.clock.now()), self.clock.now());
        let sending = tokio::spawn(async move { carrier.send(&message, &target, now).await });
        while !is_silent() && !sending.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let outcome = sending.await.unwrap();
        let took = began.elapsed();
        tokio::time::resume();
        (took, outcome)
    }

    /// Tries until it is taken, under the same tag, as whoever calls a carrier does; how often it took.
    async fn deliver(&self, browser: &Browser, tag: &str) -> usize {
        for tries in 1..=TRIES {
            match self.send(browser, tag).await {
                Outcome::Accepted { .. } => return tries,
                Outcome::Retryable(_) | Outcome::RetryAfter(_) => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("not taken in {TRIES} tries");
    }

    /// One message to each, all at once; how many tries it took in all.
    async fn deliver_to_all(&self, browsers: &[Browser], tag: &str) -> usize {
        join_all(browsers.iter().map(|browser| self.deliver(browser, tag))).await.into_iter().sum()
    }

    /// That each browser shows so many notifications, none of them twice.
    fn assert_shown(&self, browsers: &[Browser], rounds: u64) {
        for Browser { id, .. } in browsers {
            let (counts, shown) = (self.service.counts(id).unwrap(), self.service.shown(id).unwrap());
            let tags: BTreeSet<_> = shown.iter().map(|shown| shown.tag.clone()).collect();
            assert_eq!((counts.presentations, shown.len() as u64, tags.len() as u64), (rounds, rounds, rounds));
        }
    }
}

fn carrier(authority: &str) -> WebPush {
    WebPush::new(WebPushConfig {
        vapid_private_key: VapidKeyPair::generate().private,
        subject: "mailto:ops@example.com".into(),
        allow_private_networks: true,
        ca_pem: Some(authority.as_bytes().to_vec()),
    })
    .unwrap()
}

fn message(tag: &str, now: Timestamp) -> Message {
    Message {
        title: "All your apps are down".into(),
        body: "Page PIHXOC6 from heimdall".into(),
        navigate: "https://phoneops.example/i/PIHXOC6".parse().unwrap(),
        tag: tag.to_owned(),
        urgency: Urgency::High,
        expires_at: now.after(Duration::from_mins(5)),
        sound: Sound::Normal,
        thread: "inc_1".into(),
        category: Category::Page,
        data: json!({"ref": "PIHXOC6", "round": 1}).as_object().unwrap().clone(),
    }
}

fn status(status: u16, retry_after: Option<u64>) -> Fault {
    Fault::Status { status, retry_after }
}

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

#[tokio::test]
async fn every_round_is_shown_once_and_rings_again() {
    let world = World::new().await;
    let browsers = world.browsers(3);
    for round in ["ntf_1.1", "ntf_1.2"] {
        world.deliver_to_all(&browsers, round).await;
        // A retry of the round: the answer was lost on the way to whoever called.
        world.deliver_to_all(&browsers, round).await;
    }
    world.assert_shown(&browsers, 2);
    let shown = world.service.shown(&browsers[0].id).unwrap();
    assert_eq!((shown[0].title.as_str(), shown[0].replaced, shown[0].rang), ("All your apps are down", 1, true));
    // Connections that were begun together and are not needed are given up.
    let used = world.service.connections().into_iter().filter(|connection| connection.requests > 0);
    assert_eq!(used.map(|connection| (connection.requests, connection.closed_at)).collect::<Vec<_>>(), [(12, None)]);
}

#[tokio::test]
async fn two_hundred_at_once_keep_to_the_streams_of_one_service() {
    let world = World::new().await;
    let browsers = world.browsers(200);
    world.deliver_to_all(&browsers, "ntf_1.1").await;
    world.assert_shown(&browsers, 1);
    assert!(world.service.connections().iter().all(|connection| connection.refused_streams == 0));
}

#[tokio::test]
async fn one_reset_in_ten_and_killed_connections_lose_nothing() {
    let world = World::new().await;
    let browsers = world.browsers(50);
    for (at, browser) in browsers.iter().enumerate() {
        match at % 10 {
            0 => world.script(browser, Fault::Drop),
            5 => world.script(browser, Fault::DeliverAndDrop),
            _ => {}
        }
    }
    world.deliver_to_all(&browsers, "ntf_1.1").await;
    world.assert_shown(&browsers, 1);
    world.service.reset_connections();
    world.deliver_to_all(&browsers, "ntf_1.2").await;
    world.assert_shown(&browsers, 2);
}

#[tokio::test]
async fn one_connection_in_trouble_delays_no_other() {
    let world = World::new().await;
    let go_away = |which| ConnectionFault::GoAway { after: 3, reason: "maintenance".into(), which };
    for fault in [
        ConnectionFault::Reset { after: 3 },
        go_away(GoAway::Graceful),
        go_away(GoAway::Unprocessed),
        go_away(GoAway::Unknown),
        ConnectionFault::Refuse,
    ] {
        world.service.script_connections(fault.clone(), 1);
        let browsers = world.browsers(20);
        world.deliver_to_all(&browsers, "ntf_1.1").await;
        world.assert_shown(&browsers, 1);
        world.service.reset_connections();
    }
}

#[tokio::test]
async fn a_silent_connection_is_noticed_within_ten_seconds() {
    let world = World::new().await;
    let browsers = world.browsers(2);
    world.deliver(&browsers[0], "ntf_1.1").await;
    assert_eq!(world.service.silence_connections(), 1);
    let (seconds, outcome) = world.send_into_silence(&browsers[1], "ntf_1.1", || true).await;
    assert!(matches!(outcome, Outcome::Retryable(_)), "{outcome:?}");
    assert!(seconds < Duration::from_secs(10), "{seconds:?}");
    assert_eq!(world.deliver(&browsers[1], "ntf_1.1").await, 1, "on a connection of its own");
    world.assert_shown(&browsers, 1);
}

#[tokio::test]
async fn each_phase_that_hangs_ends_and_its_place_is_free_again() {
    for fault in [ConnectionFault::HangHandshake, ConnectionFault::Silence { after: 0 }, ConnectionFault::Hang { after: 0 }] {
        let world = World::new().await;
        world.service.script_connections(fault.clone(), 1);
        let browser = world.browser();
        let is_silent = || {
            let connections = world.service.connections();
            connections.first().is_some_and(|first| first.requests > 0 || fault == ConnectionFault::HangHandshake)
        };
        let (took, outcome) = world.send_into_silence(&browser, "ntf_1.1", is_silent).await;
        assert!(matches!(outcome, Outcome::Retryable(_)), "{fault:?}: {outcome:?}");
        assert!(took <= LIMIT, "{fault:?}: {took:?}");
        world.service.reset_connections();
        world.deliver(&browser, "ntf_1.1").await;
        world.assert_shown(&[browser], 1);
    }
}

#[tokio::test]
async fn whatever_becomes_of_an_answer_it_is_shown_once() {
    let world = World::new().await;
    for fault in [Fault::Hang, Fault::DeliverAndHang, Fault::Silence] {
        let (browser, heard) = (world.browser(), world.service.journal().len());
        world.script(&browser, fault);
        let (took, outcome) = world.send_into_silence(&browser, "ntf_1.1", || world.service.journal().len() > heard).await;
        assert!(matches!(outcome, Outcome::Retryable(_)) && took <= LIMIT, "{fault:?}: {took:?} {outcome:?}");
        world.deliver(&browser, "ntf_1.1").await;
        world.assert_shown(&[browser], 1);
    }
    for fault in [Fault::Drop, Fault::DeliverAndDrop, Fault::Twice, Fault::Shorten { ttl: 0 }] {
        let browser = world.browser();
        world.script(&browser, fault);
        world.deliver(&browser, "ntf_1.1").await;
        world.assert_shown(&[browser], 1);
    }
}

#[tokio::test]
async fn what_is_slow_is_waited_for() {
    let world = World::new().await;
    let browser = world.browser();
    world.script(&browser, Fault::Latency { ms: 4_000 });
    let (sent, ()) = tokio::join!(world.send(&browser, "ntf_1.1"), async {
        // Until it has arrived there: nothing is in the journal before its time.
        while world.service.connections().iter().all(|connection| connection.requests == 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.clock.advance(Duration::from_secs(4));
    });
    assert!(accepted(&sent), "{sent:?}");
    world.assert_shown(&[browser], 1);
}

#[tokio::test]
async fn half_of_all_answers_are_5xx_and_everything_arrives() {
    let world = World::new().await;
    let browsers = world.browsers(60);
    for (at, browser) in browsers.iter().enumerate() {
        let fault = [status(500, None), status(503, None), status(507, None), Fault::Mozilla { errno: 201 }][at % 4];
        world.service.script(&browser.id, fault, u32::try_from(at % 3).unwrap()).unwrap();
    }
    assert_eq!(world.deliver_to_all(&browsers, "ntf_1.1").await, 120);
    world.assert_shown(&browsers, 1);
}

#[tokio::test]
async fn one_browsers_429_is_no_other_browsers() {
    let world = World::new().await;
    let browsers = world.browsers(3);
    world.script(&browsers[0], status(429, Some(30)));
    world.script(&browsers[0], Fault::Apple { reason: Apple::TooManyRequests });
    assert_eq!(world.send(&browsers[0], "ntf_1.1").await, Outcome::RetryAfter(Duration::from_secs(30)));
    assert_eq!(world.send(&browsers[0], "ntf_1.1").await, Outcome::RetryAfter(Duration::from_mins(1)));
    assert_eq!(world.deliver_to_all(&browsers[1..], "ntf_1.1").await, 2);
    assert_eq!(world.deliver(&browsers[0], "ntf_1.1").await, 1);
    world.assert_shown(&browsers, 1);
}

#[tokio::test]
async fn a_subscription_ends_only_when_its_service_says_so() {
    let world = World::new().await;
    let gone = Outcome::Gone { since: None };
    world.deliver(&world.browser(), "ntf_1.1").await;
    for fault in [status(404, None), status(410, None), Fault::Apple { reason: Apple::VapidPkHashMismatch }] {
        let browser = world.browser();
        world.script(&browser, fault);
        assert_eq!(world.send(&browser, "ntf_1.1").await, gone, "{fault:?}");
    }
    let left = world.browser();
    world.service.unsubscribe(&left.id).unwrap();
    assert_eq!(world.send(&left, "ntf_1.1").await, gone);
    // A message too large, a page that moved and a full disk are no word about the browser.
    let browser = world.browser();
    for (fault, kind) in [
        (status(413, None), "Refused"),
        (status(307, None), "Refused"),
        (status(301, None), "Refused"),
        (status(507, None), "Retryable"),
        (Fault::Apple { reason: Apple::BadJwtToken }, "Misconfigured"),
    ] {
        world.script(&browser, fault);
        let heard = world.service.journal().len();
        let outcome = format!("{:?}", world.send(&browser, "ntf_1.1").await);
        assert!(outcome.starts_with(kind), "{fault:?}: {outcome}");
        assert_eq!(world.service.journal().len(), heard + 1, "{fault:?}: one call is one request, and no redirect is followed");
    }
    assert!(accepted(&world.send(&browser, "ntf_1.1").await));
}

#[tokio::test]
async fn nobody_else_is_told_anything() {
    let (world, other) = (World::new().await, World::new().await);
    let browser = world.browser();
    let stranger = carrier(other.service.authority().unwrap());
    let outcome = stranger.send(&message("ntf_1.1", START), &browser.target, START).await;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.contains("certificate")), "{outcome:?}");
    assert!(world.service.journal().is_empty());
    world.assert_shown(&[browser], 0);
}

#[tokio::test]
async fn nothing_is_sent_or_shown_after_its_deadline() {
    let world = World::new().await;
    let browsers = world.browsers(2);
    world.service.be_away(&browsers[0].id, true).unwrap();
    assert!(accepted(&world.send(&browsers[0], "ntf_1.1").await));
    let message = message("ntf_1.1", START);
    world.clock.advance(Duration::from_mins(5));
    assert_eq!(world.carrier.send(&message, &browsers[1].target, world.clock.now()).await, Outcome::Expired);
    world.service.be_away(&browsers[0].id, false).unwrap();
    world.assert_shown(&browsers, 0);
    assert_eq!(world.service.journal().len(), 1);
    // What comes later is shown as ever.
    world.deliver_to_all(&browsers, "ntf_1.2").await;
    world.assert_shown(&browsers, 1);
}
