//! Pages: from the ring to whoever takes it.

use serde_json::{Value, json};

use crate::house::{Holder, House};
use crate::world::{Bot, Person, World, seconds};

const TITLE: &str = "All your apps are down";

/// Somebody is paged while the app is closed: the reference, and the notification that is shown.
async fn paged(house: &House, whom: &Holder, bot: &Bot) -> (String, Value) {
    whom.leaves().await;
    let body = json!({"title": TITLE, "to": [whom.handle], "details": "5xx at 40 % on the load balancer since 02:11",
        "links": ["https://grafana.example/d/42"]});
    let paged = bot.client.post("/v1/incidents", &body).await.expect("the page is taken").body;
    let notification = whom.delivered(house).await;
    assert_eq!(notification["title"], TITLE);
    (paged["ref"].as_str().expect("a reference").to_owned(), notification)
}

/// The titles of what is shown of the subject of a notification.
async fn shown(holder: &Holder, notification: &Value) -> Value {
    let subject = &notification["data"]["subject"];
    let titles = format!(
        "registration.getNotifications().then((all) => all.filter((one) => one.data.subject === {subject}).map((one) => one.title))"
    );
    holder.page.eval_worker(&titles).await
}

/// Whatever else rang: that it rings is told elsewhere.
async fn ignores_what_rings(person: &Person, world: &World) {
    world.settle().await;
    while person.phone.next_push(seconds(0)).await.expect("the push service answers").is_some() {}
}

pub(crate) async fn a_page_is_acknowledged_with_one_more_tap(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    let (reference, notification) = paged(house, &yannick, &heimdall).await;
    assert_eq!(notification["actions"], json!(["acknowledge"]));
    yannick.follow(&notification).await;
    yannick.page.sees(TITLE).await;
    yannick.page.tap("Acknowledge").await;
    yannick.page.sees("You have it").await;
    assert_eq!(yannick.page.taps(), 1, "one tap after the notification's");
    let incident = heimdall.incident(&reference).await;
    assert_eq!((&incident["state"], &incident["acted"]["by"]["handle"]), (&json!("acknowledged"), &json!("yannick")));
    let deliveries = format!("/v1/incidents/{reference}/deliveries");
    let deliveries = heimdall.client.get(&deliveries).await.expect("the deliveries").body;
    assert_eq!(deliveries["deliveries"][0]["state"], "opened", "the worker said how far it came: {deliveries}");
    yannick.look("page-acknowledged").await;
    vec![yannick]
}

pub(crate) async fn a_page_is_acknowledged_on_its_notification(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    let (reference, notification) = paged(house, &yannick, &heimdall).await;
    let opened = yannick.taps_notification(&notification, "acknowledge").await;
    assert_eq!(opened, Vec::<String>::new(), "nothing needs to be opened");
    let incident = heimdall.incident(&reference).await;
    assert_eq!((&incident["state"], &incident["acted"]["by"]["handle"]), (&json!("acknowledged"), &json!("yannick")));
    assert_eq!(shown(&yannick, &notification).await, json!(["You have it"]), "it says so where the page stood");

    // What cannot be acknowledged any more stands there again, and says why.
    let (reference, notification) = paged(house, &yannick, &heimdall).await;
    let act = json!({"actor": yannick.handle});
    heimdall.client.post(&format!("/v1/incidents/{reference}/resolve"), &act).await.expect("it is resolved");
    yannick.page.pardon(&format!("/v1/incidents/{reference}/acknowledge"));
    assert_eq!(yannick.taps_notification(&notification, "acknowledge").await, Vec::<String>::new());
    assert_eq!(shown(&yannick, &notification).await, json!([TITLE]), "never a tap that did nothing");
    yannick.page.open(&house.address(&format!("/i/{reference}"))).await;
    yannick.page.sees("Resolved by").await;
    vec![yannick]
}

pub(crate) async fn a_page_that_somebody_else_takes_says_so(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let ys = house.world.person("ys", "Ys Example").await;
    let heimdall = house.world.bot("heimdall").await;
    let body = json!({"title": TITLE, "to": [yannick.handle, ys.handle]});
    let paged = heimdall.client.post("/v1/incidents", &body).await.expect("the page is taken").body;
    let reference = paged["ref"].as_str().expect("a reference");
    let notification = yannick.delivered(house).await;
    ys.expect_push(&house.world, TITLE).await;
    // The app is open: it goes there by itself.
    yannick.follow(&notification).await;
    yannick.page.sees("Ringing").await;
    yannick.look("page").await;
    let place = "(() => { const { x, y, width, height } = document.querySelector('button.take').getBoundingClientRect(); \
         return window.place = [0.02, 0.25, 0.5, 0.75, 0.98].map((at) => [x + width * 0.1, y + height * at]); })()";
    yannick.page.eval(place).await;
    // What a finger finds the moment that the buttons are others: nothing.
    let watch = "new MutationObserver(() => { if (document.querySelector('button.take')) return; \
         window.found ??= [...document.querySelectorAll('main .choices button')].map((one) => getComputedStyle(one).pointerEvents); \
         }).observe(document.querySelector('main'), { childList: true, subtree: true }); undefined";
    yannick.page.eval(watch).await;
    ys.phone.acknowledge(reference).await.expect("it is acknowledged");
    yannick.page.sees("Ys Example has it").await;
    yannick.page.wait("window.found").await;
    let found = yannick.page.eval("[window.found.length, ...new Set(window.found)]").await;
    assert_eq!(found, json!([6, "none"]), "what came under a finger takes no tap");
    // And afterwards nothing that is done at once stands where Acknowledge was.
    yannick.page.wait("!document.querySelector('.settling')").await;
    let there = "window.place.map(([x, y]) => document.elementFromPoint(x, y)?.closest('button')?.innerText ?? null)";
    assert_eq!(yannick.page.eval(there).await, json!([null, null, null, null, null]));
    yannick.look("page-held").await;
    let answered = yannick.delivered(house).await;
    assert_eq!((&answered["title"], &answered["silent"]), (&json!("Acknowledged by Ys Example"), &json!(true)));
    assert_eq!(shown(&yannick, &notification).await, json!(["Acknowledged by Ys Example"]), "it takes the place of the page");

    // A bot acts in their name: they are asked whether that was them.
    let act = json!({"actor": yannick.handle});
    heimdall.client.post(&format!("/v1/incidents/{reference}/resolve"), &act).await.expect("it is resolved");
    yannick.page.tap("That was not me").await;
    yannick.page.sees_no_more("That was not me").await;
    assert_eq!(heimdall.incident(reference).await["state"], "triggered", "it is open again");
    ignores_what_rings(&ys, &house.world).await;
    vec![yannick]
}

pub(crate) async fn a_page_is_handed_on_put_off_noted_and_resolved(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let ys = house.world.person("ys", "Ys Example").await;
    let heimdall = house.world.bot("heimdall").await;
    let (reference, notification) = paged(house, &yannick, &heimdall).await;
    yannick.page.open(&house.address("/")).await;
    yannick.page.sees(TITLE).await;
    yannick.look("inbox").await;
    yannick.follow(&notification).await;
    yannick.page.sees("5xx at 40 %").await;

    yannick.page.tap("Escalate").await;
    yannick.page.write("to", "@ys").await;
    yannick.page.write("message", "I am on a train").await;
    yannick.look("page-escalate").await;
    yannick.page.tap("Escalate").await;
    yannick.page.sees("I am on a train").await;
    yannick.page.sees("Yannick Schutz escalated it to Ys Example").await;
    let push = ys.expect_push(&house.world, TITLE).await;
    assert!(push.body().contains("hands it to you: I am on a train"), "{}", push.body());

    yannick.page.tap("Note").await;
    yannick.page.write("text", "The database is down, not the apps").await;
    yannick.look("page-note").await;
    yannick.page.tap("Send").await;
    yannick.page.sees("The database is down, not the apps").await;

    yannick.page.tap("Snooze").await;
    yannick.look("page-snooze").await;
    yannick.page.tap("1 hour").await;
    yannick.page.sees("Snoozed").await;
    assert_eq!(heimdall.incident(&reference).await["snoozed"], true);

    yannick.page.tap("Reassign").await;
    yannick.page.write("to", "@ys").await;
    yannick.page.tap("Reassign").await;
    yannick.page.sees("Yannick Schutz handed it to Ys Example").await;
    yannick.page.tap("Resolve").await;
    yannick.page.sees("Resolved by Yannick Schutz").await;
    assert_eq!(heimdall.incident(&reference).await["state"], "resolved");
    yannick.look("page-resolved").await;
    ignores_what_rings(&ys, &house.world).await;
    vec![yannick]
}

pub(crate) async fn a_page_is_merged_into_another(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    let (goes_on, _) = paged(house, &yannick, &heimdall).await;
    let (merged, notification) = paged(house, &yannick, &heimdall).await;
    yannick.follow(&notification).await;
    yannick.page.tap("More").await;
    yannick.page.tap("Merge").await;
    yannick.page.write("into", &goes_on.to_lowercase()).await;
    yannick.look("page-merge").await;
    yannick.page.tap("Merge").await;
    let leads = format!("Goes on as {goes_on}");
    yannick.page.sees(&leads).await;
    let one = heimdall.incident(&merged).await;
    assert_eq!((&one["state"], &one["merged_into"]), (&json!("resolved"), &json!(goes_on)));
    yannick.look("page-merged").await;
    yannick.page.tap(&leads).await;
    yannick.page.wait(&format!("location.pathname === '/i/{goes_on}'")).await;
    yannick.page.sees("Ringing").await;
    assert_eq!(heimdall.incident(&goes_on).await["state"], "triggered", "the other one goes on");
    vec![yannick]
}

pub(crate) async fn a_storm_is_acknowledged_with_one_tap(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    let post = async |path: &str, body: Value| house.world.operator.post(path, &body).await.expect("it is made");
    post("/v1/teams", json!({"name": "ops"})).await;
    house.world.operator.put("/v1/teams/ops/members/@yannick", &json!({})).await.expect("a member");
    let steps = json!([{"to": ["@yannick"], "escalate_after_minutes": 30}]);
    post("/v1/escalation-policies", json!({"name": "api", "team": "ops", "steps": steps})).await;
    post("/v1/services", json!({"name": "api", "team": "ops", "policy": "api"})).await;
    yannick.leaves().await;
    let storm = async |hosts: std::ops::RangeInclusive<u32>| {
        let mut all = Vec::new();
        for host in hosts {
            let body = json!({"title": format!("Host {host} is down"), "to": ["service:api"]});
            let paged = heimdall.client.post("/v1/incidents", &body).await.expect("the page is taken").body;
            all.push((paged["ref"].as_str().expect("a reference").to_owned(), yannick.delivered(house).await));
        }
        all
    };
    let states = async |all: &[(String, Value)]| {
        let mut states = Vec::new();
        for (reference, _) in all {
            states.push(heimdall.incident(reference).await["state"].clone());
        }
        states
    };
    // One card for what came after the third; its Acknowledge is for all that it tells of.
    let first = storm(1..=4).await;
    let card = &first[3].1;
    assert_eq!((&card["title"], &card["actions"]), (&json!("4 incidents on ops"), &json!(["acknowledge"])));
    assert_eq!(yannick.taps_notification(card, "acknowledge").await, Vec::<String>::new(), "nothing needs to be opened");
    assert_eq!(states(&first).await, vec![json!("acknowledged"); 4]);

    // And one button in the inbox.
    let second = storm(5..=6).await;
    yannick.page.open(&house.address("/")).await;
    yannick.page.sees("Host 6 is down").await;
    yannick.look("inbox-storm").await;
    yannick.page.wait("!document.querySelector('.settling')").await;
    yannick.page.keeps_on_screen(&["main .dock button.take"]).await;
    yannick.page.taps();
    yannick.page.tap("Acknowledge all 2").await;
    yannick.page.sees_no_more("Acknowledge all 2").await;
    assert_eq!(yannick.page.taps(), 1);
    assert_eq!(states(&second).await, vec![json!("acknowledged"); 2]);

    // A card takes what it told of and still rings: neither what somebody ended meanwhile, nor what began after it was written.
    yannick.leaves().await;
    let mut third = storm(7..=8).await;
    let act = json!({"actor": yannick.handle});
    heimdall.client.post(&format!("/v1/incidents/{}/resolve", third[0].0), &act).await.expect("it is resolved");
    let body = json!({"title": "Host 9 is down", "to": ["service:api"]});
    let untold = heimdall.client.post("/v1/incidents", &body).await.expect("the page is taken").body;
    let card = third[1].1.clone();
    third.push((untold["ref"].as_str().expect("a reference").to_owned(), Value::Null));
    assert_eq!(yannick.taps_notification(&card, "acknowledge").await, Vec::<String>::new());
    assert_eq!(states(&third).await, [json!("resolved"), json!("acknowledged"), json!("triggered")]);
    house.world.settle().await;
    vec![yannick]
}
