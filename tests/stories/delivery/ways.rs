//! Which ways to a person are tried, what is recorded of it, and what phones say: with carriers that a test plays, on both engines.

use std::sync::Arc;
use std::time::Duration;

use phoneops::clock::Clock;
use phoneops::config::{ApprovalsShow, PagesShow, Privacy};
use phoneops::db::{Engine, Error};
use phoneops::delivery::{Channel, Lane, Receipt};
use phoneops::engine::Lanes;
use phoneops::identity::{Failure, Refusal};
use phoneops::push::{Category, Message, Outcome, Sound};
use tokio::sync::Semaphore;

use crate::delivery::house::{Does, House, PATIENCE, bytes, news, page, tags};
use crate::support::{TestDb, engines, run};

engines! {
    silence_rings_every_way_louder_and_shows_once
    a_receipt_ends_it_and_is_kept_once
    what_is_dead_fails_over_at_once_and_then_nobody_is_left
    a_route_that_is_down_counts_as_failed_and_heals
    a_late_worker_changes_nothing
    a_crash_after_sending_sends_again_under_the_same_tag
    a_poisoned_attempt_fails_alone
    a_great_many_devices_are_told_step_by_step
    a_carrier_that_hangs_delays_no_other
    a_canary_is_found_in_no_byte_that_a_provider_can_read
}

const NOW: phoneops::clock::Timestamp = phoneops::clock::Timestamp::from_seconds(1_800_000_000);

async fn house(db: &TestDb) -> House {
    House::new(db.store().await, Clock::manual(NOW))
}

fn receipt(message: &Message) -> &str {
    message.data["receipt"].as_str().expect("every push has a capability")
}

async fn silence_rings_every_way_louder_and_shows_once(db: TestDb) {
    let house = house(&db).await;
    let user = house.person(Some("ys@example.com")).await;
    house.devices(user, Channel::Apns, 1).await;
    house.devices(user, Channel::WebPush, 1).await;
    assert_eq!(house.tell(page(user, NOW)).await, 2);
    house.advance(Duration::from_millis(14_999)).await;
    let (apns, web) = (house.apns.given(), house.web_push.given());
    assert_eq!((apns.len(), web.len(), house.mail.given().len()), (1, 1, 0), "every device, and no mail yet");
    assert_eq!(apns[0].0.sound, Sound::Normal);

    house.advance(Duration::from_millis(1)).await;
    let again = [house.apns.given(), house.web_push.given(), house.mail.given()].concat();
    assert_eq!(again.len(), 3);
    assert!(
        again.iter().all(|(message, _)| message.sound == Sound::Alarm && message.tag == apns[0].0.tag),
        "louder, in its place"
    );
    assert_eq!((house.recorded("push.failed_over").await, house.recorded("person.unreachable").await), (1, 0));
    house.advance(Duration::from_secs(60)).await;
    assert_eq!([house.apns.given(), house.web_push.given(), house.mail.given()].concat().len(), 0, "once");
    assert_eq!(house.number("select count(*) from jobs").await, 0);
}

async fn a_receipt_ends_it_and_is_kept_once(db: TestDb) {
    let house = house(&db).await;
    let user = house.person(Some("ys@example.com")).await;
    house.devices(user, Channel::Fcm, 2).await;
    let notice = page(user, NOW);
    let subject = notice.subject;
    house.tell(notice).await;
    house.work().await;
    let given = house.fcm.given();
    let heard = given.first().map(|(message, _)| receipt(message).to_owned()).unwrap();
    let delivery = &house.delivery;
    for (seconds, said) in [(1, Receipt::Received), (1, Receipt::Received), (1, Receipt::Displayed), (1, Receipt::Received)] {
        house.clock.advance(Duration::from_secs(seconds));
        delivery.receipt(&heard, said).await.unwrap();
    }
    house.advance(Duration::from_secs(50)).await;
    assert_eq!((house.fcm.given().len(), house.mail.given().len()), (0, 0), "one phone of the person's is enough");
    let deliveries = delivery.deliveries(subject).await.unwrap();
    let words: Vec<_> = deliveries.iter().map(|one| serde_json::to_value(one.reached).unwrap()).collect();
    assert!(words.contains(&"displayed".into()) && words.contains(&"accepted".into()), "{words:?}");
    let shown = deliveries.iter().find(|one| one.received_at.is_some()).unwrap();
    let after = |at: Option<phoneops::clock::Timestamp>| NOW.until(at.unwrap()).as_secs();
    assert_eq!((after(shown.received_at), after(shown.displayed_at), shown.opened_at), (1, 3, None), "the first time of each");

    let unknown = |said: Result<(), Failure<Refusal>>| assert!(matches!(said, Err(Failure::Refused(Refusal::NotFound(_)))));
    unknown(delivery.receipt("", Receipt::Opened).await);
    unknown(delivery.receipt(&format!("B{}", &heard[1..]), Receipt::Opened).await);
    unknown(delivery.receipt(&"A".repeat(43), Receipt::Opened).await);
    house.clock.advance(Duration::from_secs(24 * 3600));
    unknown(delivery.receipt(&heard, Receipt::Opened).await);
}

async fn what_is_dead_fails_over_at_once_and_then_nobody_is_left(db: TestDb) {
    let house = house(&db).await;
    let user = house.person(Some("ys@example.com")).await;
    house.devices(user, Channel::Apns, 1).await;
    house.apns.says(Outcome::Gone { since: None });
    house.mail.says(Outcome::Refused("no such mailbox".into()));
    house.tell(page(user, NOW)).await;
    house.work().await;
    assert_eq!((house.apns.given().len(), house.mail.given().len()), (1, 1), "without waiting");
    assert_eq!((house.recorded("push.failed").await, house.recorded("person.unreachable").await), (2, 1));
    assert_eq!(house.unreachable.lock().unwrap().len(), 1, "whoever asked hears of it, once");
    assert_eq!(house.number("select count(*) from push_registrations where retired_at is null").await, 0);

    house.mail.says(Outcome::Accepted { id: None });
    assert_eq!(house.tell(page(user, NOW)).await, 1);
    house.work().await;
    assert_eq!(house.mail.given().len(), 1, "where there is no device, mail is the first way");
    let nobody = house.person(None).await;
    assert_eq!(house.tell(page(nobody, NOW)).await, 0);
    assert_eq!(house.recorded("person.unreachable").await, 2);
    assert_eq!(house.tell(news(user, NOW)).await, 0, "news are not mailed");
}

async fn a_route_that_is_down_counts_as_failed_and_heals(db: TestDb) {
    let house = house(&db).await;
    house.apns.says(Outcome::Misconfigured("403 InvalidProviderToken".into()));
    let mut people = Vec::new();
    for _ in 0..6 {
        let user = house.person(None).await;
        house.devices(user, Channel::Apns, 1).await;
        house.tell(page(user, NOW)).await;
        people.push(user);
        house.work().await;
    }
    assert_eq!(house.apns.given().len(), 5, "it is left alone after five");
    assert_eq!(
        (house.recorded("route.opened").await, house.unreachable.lock().unwrap().len()),
        (1, 6),
        "and nobody waits for it"
    );
    assert_eq!(house.delivery.circuits.open()[0].route, "apns");
    let others = house.person(None).await;
    house.devices(others, Channel::Fcm, 1).await;
    house.tell(page(others, NOW)).await;
    house.work().await;
    assert_eq!(house.fcm.given().len(), 1, "another carrier's");

    house.apns.says(Outcome::Accepted { id: None });
    house.advance(Duration::from_secs(50)).await;
    let healed = house.apns.given();
    assert_eq!((tags(&healed).len(), healed.len()), (6, 6), "each once it works again, for its time is not over");
    assert_eq!((house.recorded("route.closed").await, house.delivery.circuits.open().len()), (1, 0));
}

async fn a_late_worker_changes_nothing(db: TestDb) {
    let house = house(&db).await;
    let user = house.person(None).await;
    house.devices(user, Channel::Apns, 1).await;
    house.tell(page(user, NOW)).await;
    let lane = Lane { channel: Channel::Apns, urgent: true };
    let claim = async || house.delivery.claim(lane, 10).await.unwrap();
    let late = claim().await;
    assert!(claim().await.is_empty(), "it is leased");
    house.clock.advance(Duration::from_secs(20));
    let next = claim().await;
    assert_eq!((late.len(), next.len()), (1, 1));
    house.apns.says(Outcome::Refused("late".into()));
    let mut done = Vec::new();
    for claimed in late {
        done.push(house.delivery.send(claimed).await);
    }
    house.delivery.record(done.into()).await.unwrap();
    assert_eq!(house.number("select count(*) from attempts where state = 'waiting'").await, 1);
    house.apns.says(Outcome::Accepted { id: None });
    for claimed in next {
        let done = house.delivery.send(claimed).await;
        house.delivery.record([done].into()).await.unwrap();
    }
    assert_eq!(house.number("select count(*) from attempts where state = 'accepted'").await, 1);
    assert_eq!(house.recorded("push.failed").await, 0);
}

async fn a_crash_after_sending_sends_again_under_the_same_tag(db: TestDb) {
    let house = house(&db).await;
    let user = house.person(None).await;
    house.devices(user, Channel::Apns, 1).await;
    house.tell(page(user, NOW)).await;
    let lane = Lane { channel: Channel::Apns, urgent: true };
    for claimed in house.delivery.claim(lane, 10).await.unwrap() {
        // What came of it is never recorded.
        let _ = house.delivery.send(claimed).await;
    }
    house.advance(Duration::from_secs(14)).await;
    assert_eq!(house.apns.given().len(), 1, "while the lease lasts");
    house.advance(Duration::from_secs(7)).await;
    let again = house.apns.given();
    assert_eq!(tags(&again).len(), 1, "the same tag: it shows once");
    assert_eq!(house.number("select count(*) from attempts where state = 'waiting'").await, 0);
}

async fn a_poisoned_attempt_fails_alone(db: TestDb) {
    let house = house(&db).await;
    let user = house.person(None).await;
    house.devices(user, Channel::Apns, 1).await;
    house.tell(news(user, NOW)).await;
    db.raw("update notifications set content = '{}'").await;
    house.tell(news(user, NOW)).await;
    house.work().await;
    assert_eq!(house.apns.given().len(), 1);
    assert_eq!(house.number("select count(*) from attempts where state = 'failed'").await, 1);

    house.tell(news(user, NOW)).await;
    db.raw("update attempts set lease = 30 where state = 'waiting'").await;
    house.work().await;
    assert_eq!(house.apns.given().len(), 0, "what ended its worker again and again is given up");
    assert_eq!(house.recorded("push.failed").await, 2);
}

async fn a_great_many_devices_are_told_step_by_step(db: TestDb) {
    let house = house(&db).await;
    let user = house.person(None).await;
    house.devices(user, Channel::WebPush, 1_201).await;
    assert_eq!(house.tell(news(user, NOW)).await, 500, "in one transaction");
    assert_eq!(house.number("select count(*) from attempts").await, 500);
    house.work().await;
    let given = house.web_push.given();
    assert_eq!((given.len(), tags(&given).len()), (1_201, 1), "each once, as one notification");
    let receipts: std::collections::BTreeSet<_> = given.iter().map(|(message, _)| receipt(message).to_owned()).collect();
    assert_eq!(receipts.len(), 1_201, "with a capability of its own");
    assert_eq!(house.number("select count(*) from attempts where state = 'accepted'").await, 1_201);
}

async fn a_carrier_that_hangs_delays_no_other(db: TestDb) {
    let house = house(&db).await;
    let (many, few) = (house.person(None).await, house.person(None).await);
    house.devices(many, Channel::Apns, 400).await;
    house.devices(few, Channel::Apns, 1).await;
    house.devices(few, Channel::Fcm, 3).await;
    house.apns.does(Does::Hang);
    let lanes = Lanes::start(house.delivery.clone());
    // More than the lane has places, and ordinary: the urgent lane of the same carrier has places of its own.
    house.tell(news(many, NOW)).await;
    house.tell(news(many, NOW)).await;
    house.tell(page(few, NOW)).await;
    let accepted = "select count(*) from attempts where state = 'accepted'";
    for _ in 0..200 {
        if house.number(accepted).await == 3 && house.apns.count() > 512 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(house.number(accepted).await, 3, "the page, on every device of the carrier that works");
    assert_eq!(house.apns.count(), 513, "and the page has its place where all ordinary ones are taken");
    drop(lanes);
}

#[test]
fn what_is_urgent_finds_a_connection_whatever_else_there_is_to_do() {
    run(Engine::Pg, urgent_beside_everything_else);
}

/// Everything that works in the background holds on to its connections until the test says so.
async fn urgent_beside_everything_else(db: TestDb) {
    let house = house(&db).await;
    let user = house.person(None).await;
    house.devices(user, Channel::Apns, 1).await;
    let (held, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let busy: Vec<_> = (0..20)
        .map(|_| {
            let (store, held, go_on) = (house.store.for_workers(), held.clone(), go_on.clone());
            let hold = async move {
                held.add_permits(1);
                drop(go_on.acquire().await);
                Ok::<_, Error>(())
            };
            tokio::spawn(async move { store.write(move |_| Box::pin(hold)).await })
        })
        .collect();
    drop(held.acquire_many(7).await.unwrap());
    house.tell(page(user, NOW)).await;
    let lane = Lane { channel: Channel::Apns, urgent: true };
    assert!(house.delivery.next_due(lane).await.unwrap().is_some());
    let mut done = Vec::new();
    for claimed in house.delivery.claim(lane, 10).await.expect("a connection") {
        done.push(house.delivery.send(claimed).await);
    }
    house.delivery.record(done.into()).await.expect("a connection");
    assert_eq!(house.number("select count(*) from attempts where state = 'accepted'").await, 1);
    go_on.add_permits(20);
    for busy in busy {
        // On a slow machine some of them waited for a connection for longer than they may.
        assert!(matches!(busy.await.unwrap(), Ok(()) | Err(Error::Unavailable(_))));
    }
}

/// Words that are in no constant text.
const CANARY: &str = "canary7Q";

async fn a_canary_is_found_in_no_byte_that_a_provider_can_read(db: TestDb) {
    let mut house = house(&db).await;
    let user = house.person(Some("ys@example.com")).await;
    for channel in [Channel::Apns, Channel::Fcm, Channel::WebPush] {
        house.devices(user, channel, 1).await;
    }
    let minimal = Privacy { pages: PagesShow::Minimal, approvals: ApprovalsShow::Minimal };
    for (privacy, category) in [
        (Privacy::default(), Category::Approval),
        (Privacy::default(), Category::Outcome),
        (Privacy::default(), Category::Answered),
        (Privacy::default(), Category::Device),
        (Privacy::default(), Category::Notice),
        (minimal, Category::Page),
        (minimal, Category::Acted),
        (minimal, Category::Approval),
        (minimal, Category::Test),
    ] {
        house.delivery.privacy = privacy;
        let mut lengths = std::collections::BTreeSet::new();
        for round in [1, 9, 10, 4_000_000_000] {
            let mut notice = page(user, house.clock.now());
            notice.round = round;
            notice.content.category = category;
            let words = phoneops::delivery::Words { title: format!("{CANARY} {round}"), body: CANARY.repeat(3) };
            (notice.content.full, notice.content.words) = (Some(words.clone()), words);
            if !matches!(category, Category::Page | Category::Acted | Category::Test) {
                notice.content.reference = None;
            }
            house.tell(notice).await;
            house.advance(PATIENCE).await;
            let readable = [house.apns.given(), house.fcm.given(), house.mail.given()].concat();
            assert!(readable.len() >= 2, "{category:?}");
            for (message, _) in &readable {
                assert!(!bytes(message).contains(CANARY), "{category:?}: {}", bytes(message));
                lengths.insert(bytes(message).len());
            }
            let sealed = house.web_push.given();
            let told = sealed.iter().all(|(message, _)| bytes(message).contains(CANARY));
            assert_eq!(told, privacy == Privacy::default(), "{category:?}: what is encrypted may say it");
            assert!(!sealed.is_empty());
        }
        assert_eq!(lengths.len(), 1, "{category:?}: doorbells of a kind have one length: {lengths:?}");
    }
}
