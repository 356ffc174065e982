//! APNs: the rows of the fault table, each against the simulator, through the carrier as the server has it.
//!
//! Whoever calls a carrier tries again when it says so, under the same tag: that is what the callers here do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use phoneops::clock::{Clock, Timestamp};
use phoneops::push::apns::{ApnsConfig, DeviceToken, LocalTokens, Minter};
use phoneops::push::{Carrier as _, Category, Message, Outcome, Sound, Target, Urgency, apns};
use phoneops::sim::apns::{Apns, ConnectionFault, Fault, GoAway, Reason, Settings};
use serde_json::json;

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// How often a caller tries, at most.
const TRIES: u32 = 100;

struct World {
    clock: Clock,
    apns: Apns,
    carrier: Arc<apns::Apns>,
}

impl World {
    async fn new(connections: usize) -> Self {
        Self::with(Settings::default(), connections).await
    }

    async fn with(settings: Settings, connections: usize) -> Self {
        let clock = Clock::manual(START);
        let apns = Apns::with(settings, clock.clone()).await.unwrap();
        let key = apns.key();
        let minter = Minter::new(key.pem.expose().as_bytes(), &key.key_id, &key.team_id).unwrap();
        let config = ApnsConfig {
            endpoint: apns.url().parse().unwrap(),
            topic: apns.topic().to_owned(),
            critical_alerts: false,
            ca_pem: Some(apns.authority().as_bytes().to_vec()),
            connections,
        };
        let carrier = apns::Apns::new(&config, Arc::new(LocalTokens::new(minter)), clock.clone()).unwrap();
        Self { clock, apns, carrier: Arc::new(carrier) }
    }

    fn phones(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.apns.device()).collect()
    }

    fn script(&self, phone: &str, fault: Fault) {
        self.apns.script(phone, fault, 1).unwrap();
    }

    async fn send(&self, phone: &str, tag: &str) -> Outcome {
        send(self.carrier.clone(), self.clock.clone(), phone.to_owned(), tag.to_owned()).await
    }

    /// As [`World::send`], while the clock is turned second by second; how many it took.
    async fn send_in_time(&self, phone: &str, tag: &str) -> (u64, Outcome) {
        let mut sending = tokio::spawn(send(self.carrier.clone(), self.clock.clone(), phone.to_owned(), tag.to_owned()));
        for seconds in 0..100 {
            tokio::select! {
                biased;
                outcome = &mut sending => return (seconds, outcome.unwrap()),
                () = tokio::time::sleep(Duration::from_millis(20)) => self.clock.advance(Duration::from_secs(1)),
            }
        }
        panic!("no outcome after 100 seconds");
    }

    /// Tries until it is taken; how often it took.
    async fn deliver(&self, phone: &str, tag: &str) -> u32 {
        for tries in 1..=TRIES {
            match self.send(phone, tag).await {
                Outcome::Accepted { .. } => return tries,
                Outcome::Retryable(_) | Outcome::RetryAfter(_) => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("not taken in {TRIES} tries");
    }

    /// One notification to each phone, all at once; how many tries it took in all.
    async fn deliver_to_all(&self, phones: &[String], tag: &str) -> u32 {
        join_all(phones.iter().map(|phone| self.deliver(phone, tag))).await.into_iter().sum()
    }

    /// That each phone shows so many notifications, none of them twice.
    fn assert_shown(&self, phones: &[String], rounds: u64) {
        for phone in phones {
            let (counts, shown) = (self.apns.counts(phone).unwrap(), self.apns.shown(phone).unwrap());
            let tags: BTreeSet<_> = shown.iter().map(|shown| shown.tag.clone()).collect();
            assert_eq!((counts.presentations, shown.len() as u64, tags.len() as u64), (rounds, rounds, rounds));
        }
    }
}

async fn send(carrier: Arc<apns::Apns>, clock: Clock, phone: String, tag: String) -> Outcome {
    let token = DeviceToken::try_from(phone).unwrap();
    carrier.send(&message(&tag, clock.now()), &Target::Apns(token), clock.now()).await
}

fn message(tag: &str, now: Timestamp) -> Message {
    let data = json!({"ref": "PIHXOC6", "round": 1});
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
        data: data.as_object().unwrap().clone(),
    }
}

fn refuse(reason: Reason) -> Fault {
    Fault::Refuse { reason, timestamp: None, retry_after: None }
}

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

#[tokio::test]
async fn every_round_is_shown_once_and_rings_again() {
    let world = World::new(2).await;
    let phones = world.phones(3);
    for round in ["ntf_1", "ntf_2"] {
        world.deliver_to_all(&phones, round).await;
        // A retry of the round: the answer was lost on the way to whoever called.
        world.deliver_to_all(&phones, round).await;
    }
    world.assert_shown(&phones, 2);
    let shown = world.apns.shown(&phones[0]).unwrap();
    assert_eq!((shown[0].title.as_str(), shown[0].replaced), ("All your apps are down", 1));
    assert_eq!(world.apns.tokens().len(), 1);
}

#[tokio::test]
async fn two_hundred_go_through_one_stream() {
    let world = World::with(Settings { streams: 1, ..Settings::default() }, 4).await;
    let phones = world.phones(200);
    assert_eq!(world.deliver_to_all(&phones, "ntf_1").await, 200);
    world.assert_shown(&phones, 1);
    assert!(world.apns.connections().iter().all(|connection| connection.refused_streams == 0));
}

#[tokio::test]
async fn a_limit_that_falls_to_none_and_rises_again_loses_nothing() {
    let world = World::new(1).await;
    let phones = world.phones(100);
    world.deliver(&phones[0], "ntf_1").await;
    world.apns.set_streams(0);
    // What is asked before the limit was heard of is still taken.
    let (mut asked, mut held) = (1, None);
    while held.is_none() {
        let mut one = Box::pin(world.deliver(&phones[asked], "ntf_1"));
        held = tokio::time::timeout(Duration::from_millis(30), &mut one).await.is_err().then_some(one);
        asked += 1;
    }
    let rest = futures_util::future::join(held.expect("it waits"), world.deliver_to_all(&phones[asked..], "ntf_1"));
    for streams in [1, 1_000] {
        world.apns.set_streams(streams);
    }
    rest.await;
    world.assert_shown(&phones, 1);
}

#[tokio::test]
async fn a_limit_that_falls_after_a_refusal_loses_nothing() {
    let world = World::new(2).await;
    world.apns.set_streams_drop(true);
    let phones = world.phones(60);
    for phone in phones.iter().step_by(7) {
        world.script(phone, refuse(Reason::ServiceUnavailable));
    }
    world.deliver_to_all(&phones, "ntf_1").await;
    world.assert_shown(&phones, 1);
}

#[tokio::test]
async fn a_graceful_goaway_takes_no_second_try() {
    let world = World::new(3).await;
    let phones = world.phones(120);
    world.apns.script_connections(ConnectionFault::GoAway { after: 10, reason: "Shutdown".into(), which: GoAway::Graceful }, 4);
    world.deliver_to_all(&phones, "ntf_1").await;
    world.assert_shown(&phones, 1);
}

#[tokio::test]
async fn what_a_goaway_leaves_unprocessed_takes_no_second_try() {
    let world = World::new(2).await;
    let phones = world.phones(100);
    let fault = ConnectionFault::GoAway { after: 20, reason: "Shutdown".into(), which: GoAway::Unprocessed };
    world.apns.script_connections(fault, 2);
    assert_eq!(world.deliver_to_all(&phones, "ntf_1").await, 100);
    world.assert_shown(&phones, 1);
    assert!(world.apns.connections().len() >= 3);
}

#[tokio::test]
async fn what_an_abrupt_goaway_leaves_unknown_is_shown_once_all_the_same() {
    let world = World::new(2).await;
    let phones = world.phones(100);
    let fault = ConnectionFault::GoAway { after: 20, reason: "InternalServerError".into(), which: GoAway::Unknown };
    world.apns.script_connections(fault, 3);
    assert!(world.deliver_to_all(&phones, "ntf_1").await > 100);
    world.assert_shown(&phones, 1);
}

#[tokio::test]
async fn one_reset_in_ten_and_killed_connections_lose_nothing() {
    let world = World::new(4).await;
    let phones = world.phones(200);
    for phone in phones.iter().step_by(10) {
        world.script(phone, Fault::Reset);
    }
    for phone in phones.iter().skip(5).step_by(10) {
        world.script(phone, Fault::DeliverAndReset);
    }
    world.deliver_to_all(&phones, "ntf_1").await;
    world.assert_shown(&phones, 1);
    world.apns.reset_connections();
    world.deliver_to_all(&phones, "ntf_2").await;
    world.assert_shown(&phones, 2);
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_at_once() {
    let world = World::new(1).await;
    let phones = world.phones(1);
    world.apns.script(&phones[0], Fault::RefuseStream, 3).unwrap();
    assert_eq!(world.deliver(&phones[0], "ntf_1").await, 1);
    world.assert_shown(&phones, 1);
}

#[tokio::test]
async fn a_silent_connection_is_noticed_within_ten_seconds() {
    let world = World::new(1).await;
    let phones = world.phones(2);
    world.deliver(&phones[0], "ntf_1").await;
    assert_eq!(world.apns.silence_connections(), 1);
    let (seconds, outcome) = world.send_in_time(&phones[1], "ntf_1").await;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.contains("broke")), "{outcome:?}");
    assert!(seconds < 10, "{seconds}");
    world.deliver(&phones[1], "ntf_1").await;
    world.assert_shown(&phones, 1);
}

#[tokio::test]
async fn each_phase_that_hangs_ends_and_its_place_is_free_again() {
    let world = World::new(1).await;
    let phones = world.phones(1);
    for (fault, within) in [
        (ConnectionFault::HangHandshake, 7),
        (ConnectionFault::Silence { after: 0 }, 12),
        (ConnectionFault::Hang { after: 0 }, 14),
    ] {
        world.apns.script_connections(fault.clone(), 1);
        let (seconds, outcome) = world.send_in_time(&phones[0], "ntf_1").await;
        assert!(matches!(outcome, Outcome::Retryable(_)), "{fault:?}: {outcome:?}");
        assert!(seconds <= within, "{fault:?}: {seconds}");
        // Until nothing of it hangs any more.
        for _ in 0..12 {
            world.clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    world.apns.script_connections(ConnectionFault::Refuse, 1);
    assert!(matches!(world.send(&phones[0], "ntf_1").await, Outcome::Retryable(_)));
    assert_eq!(world.deliver(&phones[0], "ntf_1").await, 1);
    world.assert_shown(&phones, 1);
}

#[tokio::test]
async fn an_answer_that_is_lost_after_delivery_is_shown_once() {
    let world = World::new(1).await;
    let phones = world.phones(1);
    world.script(&phones[0], Fault::DeliverAndHang);
    let (_, outcome) = world.send_in_time(&phones[0], "ntf_1").await;
    assert!(matches!(outcome, Outcome::Retryable(_)), "{outcome:?}");
    world.script(&phones[0], Fault::Twice);
    world.deliver(&phones[0], "ntf_1").await;
    world.assert_shown(&phones, 1);
}

#[tokio::test]
async fn a_starved_connection_delays_and_loses_nothing() {
    let world = World::new(1).await;
    let phones = world.phones(150);
    world.apns.script_connections(ConnectionFault::Starve { ms: 2_000 }, 1);
    let turning = tokio::spawn({
        let clock = world.clock.clone();
        async move {
            // As long as no request waits for its ten seconds.
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(40)).await;
                clock.advance(Duration::from_secs(1));
            }
        }
    });
    world.deliver_to_all(&phones, "ntf_1").await;
    turning.await.unwrap();
    world.assert_shown(&phones, 1);
}

#[tokio::test]
async fn half_of_all_answers_are_503_and_everything_arrives() {
    let world = World::new(4).await;
    let phones = world.phones(100);
    for (at, phone) in phones.iter().enumerate() {
        let times = u32::try_from(at % 4).unwrap();
        world
            .apns
            .script(phone, refuse(if at % 2 == 0 { Reason::ServiceUnavailable } else { Reason::InternalServerError }), times)
            .unwrap();
    }
    world.deliver_to_all(&phones, "ntf_1").await;
    world.assert_shown(&phones, 1);
}

#[tokio::test]
async fn one_phones_429_is_no_other_phones() {
    let world = World::new(1).await;
    let phones = world.phones(3);
    world.script(&phones[0], refuse(Reason::TooManyRequests));
    let wait = Outcome::RetryAfter(Duration::from_secs(10));
    assert_eq!((world.send(&phones[0], "ntf_1").await, world.send(&phones[0], "ntf_1").await), (wait.clone(), wait));
    world.deliver_to_all(&phones[1..], "ntf_1").await;
    assert_eq!(world.apns.journal().len(), 3);
    world.clock.advance(Duration::from_secs(10));
    world.deliver(&phones[0], "ntf_1").await;
    world.assert_shown(&phones, 1);
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_and_the_message_goes_at_once() {
    let world = World::new(2).await;
    let phones = world.phones(20);
    world.deliver(&phones[0], "ntf_1").await;
    world.clock.advance(Duration::from_mins(30));
    for phone in &phones[1..4] {
        world.script(phone, refuse(Reason::ExpiredProviderToken));
    }
    // No try is burned, and whoever was refused together renews together.
    assert_eq!(world.deliver_to_all(&phones[1..], "ntf_1").await, 19);
    assert_eq!(world.apns.tokens().len(), 2);
    world.assert_shown(&phones, 1);
}

#[tokio::test]
async fn two_hours_take_three_tokens_that_are_always_in_order() {
    let world = World::new(2).await;
    let phones = world.phones(1);
    for minute in 0..120 {
        assert_eq!(world.deliver(&phones[0], &format!("ntf_{minute}")).await, 1, "at minute {minute}");
        world.clock.advance(Duration::from_mins(1));
    }
    assert_eq!(world.apns.tokens().len(), 3);
    world.assert_shown(&phones, 120);
}

#[tokio::test]
async fn a_poisoned_connection_costs_no_try() {
    for reason in [Reason::TooManyProviderTokenUpdates, Reason::Shutdown, Reason::IdleTimeout, Reason::UnrelatedKeyIdInToken] {
        let world = World::new(1).await;
        let phones = world.phones(2);
        world.script(&phones[0], refuse(reason));
        assert_eq!(world.deliver_to_all(&phones, "ntf_1").await, 2, "{reason:?}");
        world.assert_shown(&phones, 1);
        assert_eq!(world.apns.tokens().len(), 1, "{reason:?}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_the_operators_and_no_phones() {
    let world = World::new(1).await;
    let phones = world.phones(1);
    assert!(world.apns.revoke_key(&world.apns.key().key_id.clone()));
    let outcome = world.send(&phones[0], "ntf_1").await;
    assert!(matches!(&outcome, Outcome::Misconfigured(why) if why.contains("InvalidProviderToken")), "{outcome:?}");
    world.apns.register_key(world.apns.key().registration());
    world.deliver(&phones[0], "ntf_1").await;
    world.assert_shown(&phones, 1);
}

#[tokio::test]
async fn a_dead_token_says_since_when_and_a_strange_one_is_gone() {
    let world = World::new(1).await;
    let phones = world.phones(2);
    let dead_at = START.before(Duration::from_hours(1));
    world.apns.unregister(&phones[0], dead_at).unwrap();
    world.apns.expire(&phones[1], dead_at).unwrap();
    for phone in &phones {
        assert_eq!(world.send(phone, "ntf_1").await, Outcome::Gone { since: Some(dead_at) });
    }
    let strange = "ab".repeat(32);
    let outcome = world.send(&strange, "ntf_1").await;
    assert!(matches!(&outcome, Outcome::Misconfigured(why) if why.contains("apns.topic")), "{outcome:?}");
    world.deliver(&world.phones(1)[0], "ntf_1").await;
    assert_eq!(world.send(&strange, "ntf_1").await, Outcome::Gone { since: None }, "now it is known that it is not we");
}

#[tokio::test]
async fn an_answer_that_nobody_documents_means_what_its_status_means() {
    let world = World::new(1).await;
    let phones = world.phones(1);
    let answer = |status| Fault::Answer { status, reason: "SomethingNew".into() };
    world.script(&phones[0], answer(418));
    assert!(matches!(world.send(&phones[0], "ntf_1").await, Outcome::Refused(_)));
    world.script(&phones[0], answer(502));
    assert!(matches!(world.send(&phones[0], "ntf_1").await, Outcome::Retryable(_)));
    assert!(accepted(&world.send(&phones[0], "ntf_1").await));
}

#[tokio::test]
async fn what_the_phone_was_away_for_longer_than_its_life_is_not_shown() {
    let world = World::new(1).await;
    let phones = world.phones(1);
    world.apns.be_away(&phones[0], true).unwrap();
    world.deliver(&phones[0], "ntf_1").await;
    world.clock.advance(Duration::from_mins(6));
    world.apns.be_away(&phones[0], false).unwrap();
    world.assert_shown(&phones, 0);
}
