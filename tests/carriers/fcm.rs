//! FCM: the rows of the fault table, each against the simulator, through the carrier as the server has it but with shorter limits.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use phoneops::clock::{Clock, Timestamp};
use phoneops::push::fcm::{Fcm as FcmCarrier, FcmConfig, Installation, Limits, ServiceAccount};
use phoneops::push::{Carrier as _, Category, Message, Outcome, Sound, Target, Urgency};
use phoneops::sim::fcm::{ConnectionFault, Fault, Fcm, FcmError, GoAway, Presence, Settings, TokenFault};
use serde_json::json;

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// How often a caller tries, at most.
const TRIES: usize = 20;

/// Enough for this machine, where nobody waits for a network.
fn limits() -> Limits {
    Limits {
        call: Duration::from_secs(2),
        total: Duration::from_secs(6),
        silence: Duration::from_millis(150),
        ..Limits::default()
    }
}

struct World {
    clock: Clock,
    fcm: Fcm,
    carrier: Arc<FcmCarrier>,
}

impl World {
    async fn new() -> Self {
        Self::with(Settings::default(), limits()).await
    }

    async fn with(settings: Settings, limits: Limits) -> Self {
        let clock = Clock::manual(START);
        let fcm = Fcm::with(settings, clock.clone()).await.unwrap();
        let carrier = Arc::new(carrier(&fcm, fcm.authority(), limits, &clock));
        Self { clock, fcm, carrier }
    }

    async fn send(&self, phone: &str, tag: &str) -> Outcome {
        let target = Target::Fcm(Installation::token(phone.to_owned()).unwrap());
        self.carrier.send(&message(tag, self.clock.now()), &target, self.clock.now()).await
    }

    /// Tries until it is taken, under the same tag, as whoever calls a carrier does; how often it took.
    async fn deliver(&self, phone: &str, tag: &str) -> usize {
        for tries in 1..=TRIES {
            match self.send(phone, tag).await {
                Outcome::Accepted { .. } => return tries,
                Outcome::Retryable(_) | Outcome::RetryAfter(_) => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("not taken in {TRIES} tries");
    }

    /// How often the phone showed something new.
    fn presentations(&self, phone: &str) -> u64 {
        self.fcm.counts(phone).unwrap().presentations
    }
}

fn carrier(fcm: &Fcm, authority: &str, limits: Limits, clock: &Clock) -> FcmCarrier {
    let account = ServiceAccount::parse(fcm.service_account().to_string().as_bytes()).unwrap();
    let ca_pem = Some(authority.as_bytes().to_vec());
    let config = FcmConfig { account, endpoint: fcm.url().parse().unwrap(), ca_pem, limits };
    FcmCarrier::new(config, clock.clone()).unwrap()
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

fn refuse(error: FcmError, retry_after: Option<u64>) -> Fault {
    Fault::Refuse { error, retry_after }
}

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

#[tokio::test]
async fn every_round_is_shown_once_whichever_way_the_phone_is_known() {
    let world = World::new().await;
    let (token, fid) = (world.fcm.device(), world.fcm.device_by_fid());
    for tag in ["ntf_1.1", "ntf_1.1", "ntf_1.2"] {
        assert!(accepted(&world.send(&token, tag).await));
    }
    let counts = world.fcm.counts(&token).unwrap();
    assert_eq!((counts.presentations, counts.replacements), (2, 1));
    let target = Target::Fcm(Installation::fid(fid.clone()).unwrap());
    assert!(accepted(&world.carrier.send(&message("ntf_1.1", START), &target, START).await));
    let shown = world.fcm.shown(&fid).unwrap().remove(0);
    assert_eq!((shown.title.as_str(), shown.rang, &shown.payload["kind"]), ("All your apps are down", true, &json!("page")));
    assert_eq!(world.fcm.tokens_issued(), 1);
    let sent =
        world.fcm.journal().iter().map(|entry| entry.payload()["message"].clone()).find(serde_json::Value::is_object).unwrap();
    assert!(sent["android"].get("collapse_key").is_none() && sent.get("notification").is_none(), "{sent}");
}

#[tokio::test]
async fn many_at_once_keep_to_the_streams_of_four_connections() {
    // With the time that it has in the house: many things at once are slow on a machine with much to do.
    let world = World::with(Settings::default(), Limits::default()).await;
    let phones: Vec<_> = (0..600).map(|_| world.fcm.device()).collect();
    let tries: usize = join_all(phones.iter().map(|phone| world.deliver(phone, "ntf_1.1"))).await.into_iter().sum();
    assert_eq!((tries, world.fcm.tokens_issued()), (600, 1));
    assert!(phones.iter().all(|phone| world.presentations(phone) == 1));
    let connections = world.fcm.connections();
    assert!(connections.len() <= 5, "four for messages, one for the access token: {}", connections.len());
    assert!(connections.iter().all(|connection| connection.closed_at.is_none() && connection.refused_streams == 0));
}

#[tokio::test]
async fn fewer_streams_than_expected_lose_nothing() {
    let world = World::with(Settings { streams: 1, ..Settings::default() }, limits()).await;
    let phones: Vec<_> = (0..50).map(|_| world.fcm.device()).collect();
    join_all(phones.iter().map(|phone| world.deliver(phone, "ntf_1.1"))).await;
    assert!(phones.iter().all(|phone| world.presentations(phone) == 1));
}

#[tokio::test]
async fn whatever_happens_to_a_message_it_is_shown_once() {
    let short = Limits { call: Duration::from_millis(200), ..limits() };
    let world = World::with(Settings::default(), short).await;
    let go_away = |which| Fault::GoAway { reason: "shutdown".into(), which };
    let html = Fault::Answer { status: 502, body: "<html>".into() };
    for fault in [
        refuse(FcmError::Internal, None),
        refuse(FcmError::Unavailable, None),
        refuse(FcmError::Unavailable, Some(1)),
        refuse(FcmError::QuotaExceeded, None),
        Fault::Unauthenticated,
        html,
        Fault::Hang,
        Fault::DeliverAndHang,
        Fault::Reset,
        Fault::DeliverAndReset,
        Fault::Silence,
        Fault::RefuseStream,
        go_away(GoAway::Graceful),
        go_away(GoAway::Unprocessed),
        go_away(GoAway::Unknown),
        Fault::Latency { ms: 20 },
        Fault::Twice,
    ] {
        let phone = world.fcm.device();
        world.fcm.script(&phone, fault.clone(), 1).unwrap();
        world.deliver(&phone, "ntf_1.1").await;
        assert_eq!(world.presentations(&phone), 1, "{fault:?}");
        world.clock.advance(Duration::from_mins(2));
    }
}

#[tokio::test]
async fn one_connection_in_trouble_delays_no_other() {
    let world = World::new().await;
    let faults = [
        ConnectionFault::Reset { after: 3 },
        ConnectionFault::Silence { after: 3 },
        ConnectionFault::GoAway { after: 3, reason: "maintenance".into(), which: GoAway::Unprocessed },
        ConnectionFault::Starve { ms: 50 },
        ConnectionFault::Refuse,
    ];
    // The access token comes over the first.
    world.fcm.script_connections(ConnectionFault::None, 1);
    for fault in faults {
        world.fcm.script_connections(fault, 1);
    }
    let phones: Vec<_> = (0..100).map(|_| world.fcm.device()).collect();
    join_all(phones.iter().map(|phone| world.deliver(phone, "ntf_1.1"))).await;
    assert!(phones.iter().all(|phone| world.presentations(phone) == 1));
    // What was killed between two messages is not noticed by the next.
    assert!(world.fcm.reset_connections() > 0);
    let phone = world.fcm.device();
    world.deliver(&phone, "ntf_1.1").await;
    assert_eq!(world.presentations(&phone), 1);
}

#[tokio::test]
async fn an_installation_ends_only_when_fcm_says_so_of_it() {
    let world = World::new().await;
    let gone = Outcome::Gone { since: None };
    let phone = || world.fcm.device();
    let (removed, foreign, fine) = (phone(), phone(), phone());
    world.fcm.unregister(&removed).unwrap();
    world.fcm.give_away(&foreign).unwrap();
    let outcome = world.send(&foreign, "ntf_1.1").await;
    assert!(matches!(outcome, Outcome::Misconfigured(_)), "perhaps it is we who are of another project: {outcome:?}");
    world.deliver(&fine, "ntf_1.1").await;
    assert_eq!((world.send(&removed, "ntf_1.1").await, world.send(&foreign, "ntf_1.1").await), (gone.clone(), gone.clone()));
    assert_eq!(world.send("nobody:x", "ntf_1.1").await, gone, "malformed or unknown");
    world.fcm.script(&fine, refuse(FcmError::InvalidArgument, None), 1).unwrap();
    assert_eq!(world.send(&fine, "ntf_1.1").await, gone);
    world.fcm.script(&fine, Fault::Violation { field: "message.android.ttl".into() }, 1).unwrap();
    assert!(matches!(world.send(&fine, "ntf_1.1").await, Outcome::Refused(_)));
    world.fcm.script(&fine, refuse(FcmError::ThirdPartyAuthError, None), 1).unwrap();
    assert!(matches!(world.send(&fine, "ntf_1.1").await, Outcome::Misconfigured(_)));
    for (retry_after, seconds) in [(Some(17), 17), (None, 60)] {
        world.fcm.script(&fine, refuse(FcmError::QuotaExceeded, retry_after), 1).unwrap();
        assert_eq!(world.send(&fine, "ntf_1.1").await, Outcome::RetryAfter(Duration::from_secs(seconds)));
    }
    assert!(accepted(&world.send(&fine, "ntf_1.1").await));
}

#[tokio::test]
async fn a_token_that_was_revoked_costs_no_try_and_one_replacement() {
    let world = World::new().await;
    let phones: Vec<_> = (0..50).map(|_| world.fcm.device()).collect();
    world.deliver(&phones[0], "ntf_1.1").await;
    world.fcm.revoke_tokens();
    let tries: usize = join_all(phones.iter().map(|phone| world.deliver(phone, "ntf_1.2"))).await.into_iter().sum();
    assert_eq!((tries, world.fcm.tokens_issued()), (50, 2));
    // Two simulated hours: one an hour, renewed before its end.
    for _ in 0..120 {
        world.clock.advance(Duration::from_mins(1));
        assert!(accepted(&world.send(&phones[1], &format!("ntf_{}", world.clock.now().as_seconds())).await));
    }
    assert!((3..=5).contains(&world.fcm.tokens_issued()), "{}", world.fcm.tokens_issued());
}

#[tokio::test]
async fn without_an_access_token_nothing_is_sent() {
    let world = World::new().await;
    let phone = world.fcm.device();
    world.fcm.script_tokens(TokenFault::Refuse { error: "invalid_grant".into() }, 1);
    assert!(matches!(world.send(&phone, "ntf_1.1").await, Outcome::Misconfigured(why) if why.contains("invalid_grant")));
    world.fcm.script_tokens(TokenFault::Answer { status: 503, body: String::new() }, 1);
    assert!(matches!(world.send(&phone, "ntf_1.1").await, Outcome::Retryable(_)));
    world.fcm.script_tokens(TokenFault::Reset, 1);
    assert!(matches!(world.send(&phone, "ntf_1.1").await, Outcome::Retryable(_) | Outcome::Accepted { .. }));
    // A clock that is wrong is found out by the endpoint.
    world.deliver(&phone, "ntf_1.1").await;
    assert_eq!(world.presentations(&phone), 1);
}

#[tokio::test]
async fn nobody_else_is_told_anything() {
    let (world, other) = (World::new().await, World::new().await);
    let phone = world.fcm.device();
    let stranger = carrier(&world.fcm, other.fcm.authority(), limits(), &world.clock);
    let target = Target::Fcm(Installation::token(phone.clone()).unwrap());
    let outcome = stranger.send(&message("ntf_1.1", START), &target, START).await;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.contains("certificate")), "{outcome:?}");
    assert_eq!((world.fcm.answered(), world.presentations(&phone)), (0, 0));
}

#[tokio::test]
async fn nothing_is_shown_after_its_deadline() {
    let world = World::new().await;
    let phone = world.fcm.device();
    world.fcm.be(&phone, Presence::Away).unwrap();
    assert!(accepted(&world.send(&phone, "ntf_1.1").await));
    world.clock.advance(Duration::from_mins(6));
    world.fcm.be(&phone, Presence::Awake).unwrap();
    assert_eq!(world.presentations(&phone), 0);
    // In Doze a page arrives: it has high priority.
    world.fcm.be(&phone, Presence::Dozing).unwrap();
    assert!(accepted(&world.send(&phone, "ntf_1.2").await));
    assert_eq!(world.presentations(&phone), 1);
}
