//! How devices are reached: which registration is judged by what, and that an address is one device's.

use std::time::Duration;

use phoneops::clock::{Clock, Timestamp};
use phoneops::delivery::Channel;
use phoneops::push::Outcome;

use crate::delivery::house::{House, page};
use crate::support::{TestDb, engines};

engines! {
    what_was_registered_before_addresses_were_known_is_the_newest_devices
    a_route_that_is_down_is_no_try
}

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

async fn what_was_registered_before_addresses_were_known_is_the_newest_devices(db: TestDb) {
    let house = House::new(db.store().await, Clock::manual(NOW));
    let mut people = Vec::new();
    for _ in 0..3 {
        let user = house.person(None).await;
        house.devices(user, Channel::Apns, 1).await;
        house.clock.advance(Duration::from_secs(1));
        people.push(user);
    }
    let (other, live) = (house.person(None).await, "select count(*) from push_registrations where retired_at is null");
    house.devices(other, Channel::Fcm, 1).await;
    // The first phone was registered once more, after the others: it was given back.
    let first = "select device_id from push_registrations where kind = 'apns' order by registered_at limit 1";
    db.raw(&format!("update push_registrations set registered_at = registered_at + 10000000 where device_id = ({first})")).await;
    assert_eq!(house.number(live).await, 4);
    house.delivery.learn_addresses().await.unwrap();
    assert_eq!((house.number(live).await, house.recorded("device.push_retired").await), (2, 2), "one for each address");
    house.delivery.learn_addresses().await.unwrap();
    assert_eq!(house.recorded("device.push_retired").await, 2, "there is nothing left to learn");
    for (user, rings) in people.into_iter().zip([1, 0, 0]) {
        assert_eq!(house.tell(page(user, house.clock.now())).await, rings);
    }
}

async fn a_route_that_is_down_is_no_try(db: TestDb) {
    let house = House::new(db.store().await, Clock::manual(NOW));
    house.apns.says(Outcome::Misconfigured("403 InvalidProviderToken".into()));
    for _ in 0..20 {
        let user = house.person(None).await;
        house.devices(user, Channel::Apns, 1).await;
        let mut notice = page(user, NOW);
        notice.expires_at = NOW.after(Duration::from_hours(1));
        house.tell(notice).await;
    }
    house.advance(Duration::from_mins(5)).await;
    let asked = house.apns.count();
    let counted = house.number("select cast(sum(asked) as bigint) from attempts").await;
    assert_eq!(counted, i64::try_from(asked).unwrap(), "the pauses grow with what was asked");
    let claimed = house.number("select cast(sum(lease) as bigint) from attempts").await;
    assert!(claimed > counted + 20, "and not with each time that it was put off: {claimed}, {counted}");
}
