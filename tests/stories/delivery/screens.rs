//! What was answered disappears from every screen that may show it: whatever became of its push, and however many screens there are.

use std::collections::BTreeMap;
use std::time::Duration;

use phoneops::clock::{Clock, Timestamp};
use phoneops::db::Error;
use phoneops::delivery::{Channel, Content, Lane, Notice, Words};
use phoneops::id::DeviceId;
use phoneops::push::{Category, Message, Outcome, Sound, Target};
use uuid::Uuid;

use crate::delivery::house::{House, news, page, tags};
use crate::support::{TestDb, engines};

engines! {
    what_may_have_come_is_taken_off_the_screen
    what_a_worker_sent_and_never_said_is_taken_off_the_screen
    very_many_screens_are_replaced_step_by_step
    a_later_answer_comes_last_on_every_screen
    what_rang_since_is_not_replaced
}

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// More than one transaction writes, by more than one step.
const MANY: usize = 701;

async fn house(db: &TestDb) -> House {
    House::new(db.store().await, Clock::manual(NOW))
}

fn answered(notice: &Notice, title: &str) -> Content {
    let words = Words { title: title.into(), body: String::new() };
    Content { category: Category::Answered, high: false, words, ..notice.content.clone() }
}

async fn withdraw(house: &House, subject: Uuid, answered_on: Option<DeviceId>, content: Content) {
    let (delivery, now) = (house.delivery.clone(), house.clock.now());
    let withdrawn = house.store.write::<_, Error, _>(move |tx| {
        Box::pin(async move { delivery.withdraw(tx, subject, answered_on, &content, now).await })
    });
    withdrawn.await.unwrap();
}

const WAITING: &str = "select count(*) from attempts where state = 'waiting'";

async fn what_may_have_come_is_taken_off_the_screen(db: TestDb) {
    let house = house(&db).await;
    let user = house.person(None).await;
    for channel in [Channel::Apns, Channel::Fcm, Channel::WebPush] {
        house.devices(user, channel, 1).await;
    }
    house.apns.says(Outcome::Retryable("no answer in time".into()));
    house.fcm.says(Outcome::Refused("too long".into()));
    house.web_push.says(Outcome::RetryAfter(Duration::from_secs(600)));
    let notice = page(user, NOW);
    house.tell(notice.clone()).await;
    house.advance(Duration::from_secs(61)).await;
    assert_eq!(house.number(WAITING).await, 0, "its time is over");
    let tag = house.apns.given()[0].0.tag.clone();
    for carrier in [&house.apns, &house.fcm, &house.web_push] {
        carrier.says(Outcome::Accepted { id: None });
        carrier.given();
    }
    withdraw(&house, notice.subject, None, answered(&notice, "Resolved by ys")).await;
    house.work().await;
    let replaced = house.apns.given();
    assert_eq!(replaced.iter().map(|(message, _)| (&*message.tag, message.sound)).collect::<Vec<_>>(), [(&*tag, Sound::Silent)]);
    assert_eq!((house.fcm.count(), house.web_push.count()), (0, 0), "what was refused is on no screen");
}

async fn what_a_worker_sent_and_never_said_is_taken_off_the_screen(db: TestDb) {
    let house = house(&db).await;
    let user = house.person(None).await;
    house.devices(user, Channel::Apns, 1).await;
    let notice = page(user, NOW);
    house.tell(notice.clone()).await;
    for claimed in house.delivery.claim(Lane { channel: Channel::Apns, urgent: true }, 10).await.unwrap() {
        // It died before it could say that this was accepted.
        let _ = house.delivery.send(claimed).await;
    }
    house.apns.says(Outcome::Refused("the next worker was refused".into()));
    house.advance(Duration::from_secs(61)).await;
    assert_eq!(house.number("select count(*) from attempts where state = 'failed'").await, 1);
    house.apns.says(Outcome::Accepted { id: None });
    house.apns.given();
    withdraw(&house, notice.subject, None, answered(&notice, "Resolved by ys")).await;
    house.work().await;
    assert_eq!(house.apns.count(), 1);
}

/// How often each title was sent.
fn titles(given: &[(Message, Target)]) -> BTreeMap<String, usize> {
    let mut titles = BTreeMap::new();
    for (message, _) in given {
        *titles.entry(message.title.clone()).or_default() += 1;
    }
    titles
}

async fn very_many_screens_are_replaced_step_by_step(db: TestDb) {
    let house = house(&db).await;
    let (crowd, few) = (house.person(None).await, house.person(None).await);
    let devices = house.devices(crowd, Channel::WebPush, MANY).await;
    house.devices(few, Channel::Fcm, 2).await;
    let notice = news(crowd, NOW);
    house.tell(notice.clone()).await;
    house.tell(Notice { user: few, ..notice.clone() }).await;
    house.work().await;
    let shown = house.web_push.given();
    assert_eq!((shown.len(), house.fcm.given().len()), (MANY, 2));

    let before = house.number("select count(*) from attempts").await;
    withdraw(&house, notice.subject, Some(devices[700]), answered(&notice, "Done")).await;
    assert_eq!(house.number("select count(*) from attempts").await, before, "the answer's commit waits for none of them");
    assert_eq!(house.number("select count(*) from withdrawals").await, 1);
    house.work().await;
    let replaced = house.web_push.given();
    assert_eq!(replaced.len(), MANY - 1, "each once, but the one it was answered on");
    assert_eq!(tags(&replaced).into_keys().collect::<Vec<_>>(), tags(&shown).into_keys().collect::<Vec<_>>(), "in its place");
    assert_eq!(house.fcm.given().len(), 2, "and the others' too");
    assert_eq!(house.number("select count(*) from withdrawals").await, 0);
    assert_eq!(house.number("select count(*) from jobs").await, 0);
}

/// A page that is shown on more screens than one step replaces.
async fn shown_on_many(house: &House) -> Notice {
    let user = house.person(None).await;
    house.devices(user, Channel::WebPush, 510).await;
    let notice = news(user, NOW);
    house.tell(notice.clone()).await;
    house.work().await;
    assert_eq!(house.web_push.given().len(), 510);
    notice
}

async fn a_later_answer_comes_last_on_every_screen(db: TestDb) {
    let house = house(&db).await;
    let notice = shown_on_many(&house).await;
    withdraw(&house, notice.subject, None, answered(&notice, "Acknowledged")).await;
    assert!(house.jobs().await, "the first step");
    withdraw(&house, notice.subject, None, answered(&notice, "Resolved")).await;
    house.work().await;
    let said = titles(&house.web_push.given());
    assert_eq!(said.get("Resolved"), Some(&510), "{said:?}");
    assert_eq!(said.get("Acknowledged"), None, "what was not sent yet is not sent any more: {said:?}");
}

async fn what_rang_since_is_not_replaced(db: TestDb) {
    let house = house(&db).await;
    let notice = shown_on_many(&house).await;
    let first = house.number("select count(*) from notifications").await;
    withdraw(&house, notice.subject, None, answered(&notice, "Acknowledged")).await;
    // Nobody resolved it: it rings again before the last step.
    house.tell(Notice { round: 2, ..notice.clone() }).await;
    house.work().await;
    let given = house.web_push.given();
    let said = titles(&given);
    assert_eq!((said.get("Acknowledged"), said.get("All your apps are down")), (Some(&510), Some(&510)), "{said:?}");
    assert_eq!((first, tags(&given).len()), (1, 2), "the ring has a place of its own and keeps it");
}
