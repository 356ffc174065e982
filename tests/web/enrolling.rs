//! Devices: how they come on duty, and how they leave it.

use serde_json::json;

use crate::browser::until;
use crate::house::{Holder, House};

pub(crate) async fn a_phone_goes_on_duty(house: &House) -> Vec<Holder> {
    house.user("yannick", "Yannick Schutz").await;
    let (page, authenticator) = house.blank().await;
    let code = house.world.code("yannick").await;
    page.open(&house.address(&format!("/enroll#{code}"))).await;
    page.sees("will page you on this phone").await;
    page.look("enrol").await;
    page.write("device", "Yannick's phone").await;
    page.tap("Enrol this device").await;
    page.sees("Your face or finger approves").await;
    assert_eq!(page.eval("location.hash").await, "", "the code is used: it does not stay in the address");
    page.look("on-duty-passkey").await;
    page.tap("Make a passkey").await;
    page.sees("PhoneOps rings through notifications").await;
    assert_eq!(page.eval("Notification.permission").await, "default", "nobody is asked before a tap");
    page.look("on-duty-notifications").await;
    // Refused, it says so and how to go on, and goes on once that was done.
    page.notifications(house.world.server.issuer(), "denied").await;
    page.sees("Notifications were refused").await;
    page.look("on-duty-refused").await;
    page.notifications(house.world.server.issuer(), "granted").await;
    let yannick = house.goes_on_duty(page, authenticator, "yannick").await;
    yannick.look("on-duty").await;

    // The only secret is a key that cannot leave.
    let kept = "(async () => { const request = indexedDB.open('phoneops'); await new Promise((done) => { request.onsuccess = done; }); \
        const get = request.result.transaction('kept').objectStore('kept').get('device'); await new Promise((done) => { get.onsuccess = done; }); \
        const { privateKey } = get.result.keys; request.result.close(); \
        return [privateKey.extractable, localStorage.length, document.cookie]; })()";
    assert_eq!(yannick.page.eval(kept).await, json!([false, 0, ""]));

    yannick.page.tap("Open the inbox").await;
    yannick.page.sees("Nothing waits for you").await;
    yannick.look("inbox-empty").await;
    // On a device that is known its key is enough.
    yannick.page.reload().await;
    yannick.page.sees("Nothing waits for you").await;
    vec![yannick]
}

pub(crate) async fn an_iphone_is_installed_first(house: &House) -> Vec<Holder> {
    house.user("yannick", "Yannick Schutz").await;
    let (page, _) = house.blank().await;
    let agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
    page.claims_to_be(agent).await;
    let code = house.world.code("yannick").await;
    page.open(&house.address(&format!("/enroll#{code}"))).await;
    page.sees("First put PhoneOps on the home screen").await;
    page.sees(&code).await;
    page.look("install").await;
    vec![]
}

pub(crate) async fn a_second_device_is_confirmed_by_the_first_and_revoked_while_it_is_open(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    yannick.page.tap("Open the inbox").await;
    let (tablet, authenticator) = house.blank().await;
    // Until it is confirmed, the server answers it nothing else.
    tablet.pardon("the server responded with a status of 403");
    house.claims(&tablet, "yannick", "A tablet").await;
    tablet.sees("Confirm it on your other device").await;
    let number = "document.querySelector('.digits').innerText.trim()";
    let number = until!("it shows its number", tablet.eval(number).await.as_str().map(str::to_owned));
    assert!(number.len() == 6 && number.bytes().all(|digit| digit.is_ascii_digit()), "{number}");
    tablet.look("waits-for-the-first").await;

    let notification = yannick.delivered(house).await;
    assert_eq!(notification["title"], "A new device waits");
    yannick.follow(&notification).await;
    yannick.page.sees("A tablet").await;
    assert!(!yannick.page.text().await.contains(&number), "the number is read off the other device");
    let wrong = format!("{:06}", (number.parse::<u32>().expect("digits") + 1) % 1_000_000);
    yannick.page.write("match", &wrong).await;
    yannick.look("device-waits").await;
    yannick.page.tap("Confirm").await;
    yannick.page.sees("This is not the number that the new device shows").await;
    assert!(!yannick.page.text().await.contains("something else"), "a slip of the finger is no attack");
    // As a command line shows it.
    yannick.page.write("match", &format!("{} {}", &number[..3], &number[3..])).await;
    yannick.page.tap("Confirm").await;
    yannick.page.sees_no_more("A new device of yours waits").await;
    assert_eq!(yannick.delivered(house).await["title"], "A new device joined");

    // The first one's passkey may not be on it: it makes one of its own.
    tablet.sees("You have one on another device").await;
    tablet.look("on-duty-second-passkey").await;
    tablet.tap("Make a passkey").await;
    let tablet = house.goes_on_duty(tablet, authenticator, "yannick").await;
    tablet.page.tap("Open the inbox").await;
    tablet.page.sees("Nothing waits for you").await;
    assert_eq!(yannick.delivered(house).await["title"], "Test page", "every device of theirs rings");

    // Lost: the other one revokes it, and it is out at once, though it is open.
    tablet.page.pardon("the server responded with a status of 40");
    yannick.page.tap("Revoke the device A tablet").await;
    tablet.page.sees("This device is not enrolled any more").await;
    tablet.look("revoked").await;
    yannick.page.sees_no_more("A tablet").await;
    vec![yannick, tablet]
}

pub(crate) async fn what_the_app_shows_of_a_person(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    yannick.page.tap("Open the inbox").await;
    yannick.page.tap("Me").await;
    yannick.page.sees("This phone rings.").await;
    yannick.look("me").await;
    yannick.page.tap("On call").await;
    yannick.page.sees("No schedules yet.").await;
    yannick.look("on-call-empty").await;
    house.world.operator.put("/v1/schedules/nights", &crate::world::nights(&yannick.handle)).await.expect("a schedule");
    yannick.page.tap("Inbox").await;
    yannick.page.tap("On call").await;
    yannick.page.sees("nights").await;
    yannick.look("on-call").await;
    // What leads nowhere says so.
    yannick.page.open(&house.address("/acts/act_00000000000000000000000000000000")).await;
    yannick.page.sees("It waits no longer").await;
    yannick.look("nothing-here").await;
    vec![yannick]
}
