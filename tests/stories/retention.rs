//! Retention, told as stories: what is over is kept as long as the settings say, and what is open for ever.

crate::support::engines! {
    what_is_over_is_forgotten_when_its_time_has_come
    nothing_but_notifications_is_forgotten_unless_it_is_asked_for
    what_is_open_stays
    what_waited_in_vain_is_forgotten
    what_was_on_call_long_ago_is_forgotten
    the_journal_is_cut_and_still_proves_itself
}

use phoneops::journal;
use serde_json::{Value, json};

use crate::support::TestDb;
use crate::world::{Bot, Person, World, deploy, refused, seconds};

const DAY: u64 = 24 * 3600;

const SETTINGS: [(&str, &str); 4] = [
    ("PHONEOPS_RETENTION_APPROVALS_DAYS", "30"),
    ("PHONEOPS_RETENTION_INCIDENTS_DAYS", "20"),
    ("PHONEOPS_RETENTION_NOTIFICATIONS_DAYS", "10"),
    ("PHONEOPS_RETENTION_JOURNAL_DAYS", "40"),
];

struct Scene {
    world: World,
    yannick: Person,
    bot: Bot,
}

impl Scene {
    async fn open(db: TestDb, settings: &[(&str, &str)]) -> Self {
        let world = World::start_with(db, settings).await;
        let (yannick, bot) = (world.person("yannick", "Yannick Schutz").await, world.bot("heimdall").await);
        Self { world, yannick, bot }
    }

    /// An approval that was approved and redeemed, and an incident that was resolved.
    async fn past(&self) -> (String, String) {
        let Self { world, yannick, bot } = self;
        let action = deploy("api", "production");
        let asked = bot.ask(yannick, action.clone()).await;
        yannick.expect_push(world, "Approval needed").await;
        yannick.phone.approve(&asked).await.unwrap();
        bot.redeem(&bot.expect_grant(&asked).await, &action).await.unwrap();
        let paged = bot.page(yannick, "All your apps are down").await;
        yannick.expect_push(world, "All your apps are down").await;
        yannick.phone.acknowledge(&paged).await.unwrap();
        yannick.phone.resolve(&paged).await.unwrap();
        (asked, paged)
    }

    /// Lets days pass, and what is over be forgotten.
    async fn days(&self, days: u64) {
        self.world.advance(seconds(days * DAY)).await;
    }

    /// That so many rows are left once it was looked for what is over, which happens every ten minutes beside everything else.
    async fn left(&self, tables: &[&str], rows: &[i64]) {
        for _ in 0..100 {
            if self.rows(tables).await == rows {
                return;
            }
            self.world.advance(seconds(600)).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{tables:?}: {:?} instead of {rows:?}", self.rows(tables).await);
    }

    async fn rows(&self, tables: &[&str]) -> Vec<i64> {
        let mut counts = Vec::new();
        for table in tables {
            counts.push(self.world.db.number(&format!("select count(*) from {table}")).await);
        }
        counts
    }

    /// What was forgotten, as the journal tells it: of what, and how many.
    async fn forgot(&self, what: &str) -> i64 {
        let entries = self.world.journal().await;
        let told = entries.iter().filter(|entry| entry["kind"] == "retention.forgot" && entry["subject"] == what);
        told.map(|entry| entry["data"]["count"].as_i64().unwrap()).sum()
    }
}

const OF_APPROVALS: [&str; 4] = ["approvals", "challenges", "answers", "grants"];

async fn what_is_over_is_forgotten_when_its_time_has_come(db: TestDb) {
    let scene = Scene::open(db, &SETTINGS).await;
    let (asked, paged) = scene.past().await;
    let receipt = format!("/v1/approvals/{asked}/receipt");
    scene.days(9).await;
    assert!(scene.rows(&["notifications"]).await[0] >= 2);
    scene.days(2).await;
    scene.left(&["notifications", "attempts", "incidents"], &[0, 0, 1]).await;
    assert_eq!(scene.bot.incident(&paged).await["state"], "resolved");
    scene.days(10).await;
    scene.left(&["incidents"], &[0]).await;
    refused(scene.bot.client.get(&format!("/v1/incidents/{paged}")).await, "not_found");
    assert_eq!(scene.rows(&OF_APPROVALS).await, [1, 1, 1, 1]);
    assert_eq!(scene.bot.client.get(&receipt).await.unwrap().status, 200);
    scene.days(10).await;
    scene.left(&OF_APPROVALS, &[0, 0, 0, 0]).await;
    refused(scene.bot.client.get(&receipt).await, "not_found");
    assert_eq!((scene.forgot("approvals").await, scene.forgot("incidents").await), (1, 1));
    // The journal remembers, and what comes now is as ever.
    assert_eq!(scene.world.recorded("approval.approved").await, 1);
    scene.past().await;
    scene.world.end().await;
}

async fn nothing_but_notifications_is_forgotten_unless_it_is_asked_for(db: TestDb) {
    let scene = Scene::open(db, &[]).await;
    scene.past().await;
    scene.days(89).await;
    assert!(scene.rows(&["notifications"]).await[0] >= 2);
    scene.days(1000).await;
    scene.left(&["notifications", "incidents"], &[0, 1]).await;
    assert_eq!(scene.rows(&OF_APPROVALS).await, [1, 1, 1, 1]);
    assert_eq!(journal::read(&scene.world.server.store, 0, 1).await.unwrap()[0].seq, 1);
    scene.world.end().await;
}

async fn what_is_open_stays(db: TestDb) {
    // So that it rings once a day.
    let settings = [("PHONEOPS_RETENTION_INCIDENTS_DAYS", "7"), ("PHONEOPS_PAGING_ACKNOWLEDGEMENT_SECONDS", "86400")];
    let scene = Scene::open(db, &settings).await;
    let paged = scene.bot.page(&scene.yannick, "All your apps are down").await;
    for _ in 0..9 {
        scene.yannick.expect_push(&scene.world, "All your apps are down").await;
        scene.yannick.phone.acknowledge(&paged).await.unwrap();
        scene.world.advance(seconds(DAY)).await;
    }
    scene.yannick.expect_push(&scene.world, "All your apps are down").await;
    scene.yannick.phone.acknowledge(&paged).await.unwrap();
    assert_eq!(scene.bot.incident(&paged).await["state"], "acknowledged");
    assert_eq!(scene.rows(&["incidents"]).await, [1]);
    // Long ago it was opened, and now it is over: its time begins now.
    scene.yannick.phone.resolve(&paged).await.unwrap();
    scene.days(6).await;
    assert_eq!(scene.bot.incident(&paged).await["state"], "resolved");
    scene.days(1).await;
    scene.left(&["incidents"], &[0]).await;
    scene.world.end().await;
}

async fn what_was_on_call_long_ago_is_forgotten(db: TestDb) {
    const TABLES: [&str; 3] = ["overrides", "calendar_feeds", "schedules"];
    let scene = Scene::open(db, &[("PHONEOPS_RETENTION_SCHEDULES_DAYS", "62")]).await;
    let Scene { world, yannick, .. } = &scene;
    let operator = &world.operator;
    for name in ["nights", "days"] {
        let mut schedule = crate::world::nights("@yannick");
        schedule["name"] = json!(name);
        assert_eq!(operator.post("/v1/schedules", &schedule).await.unwrap().status, 201);
    }
    for (name, from) in [("nights", "2027-01-16T09:00"), ("nights", "2027-04-25T09:00"), ("days", "2027-04-25T09:00")] {
        let over = json!({"user": "@yannick", "from": from, "for": "60m"});
        assert_eq!(operator.post(&format!("/v1/schedules/{name}/overrides"), &over).await.unwrap().status, 201);
    }
    for schedule in [Some("nights"), Some("days"), None] {
        let made = yannick.phone.post("/v1/calendar-feeds", &json!({"schedule": schedule})).await.unwrap();
        if schedule.is_none() {
            let feed = made.body["id"].as_str().unwrap();
            yannick.phone.delete(&format!("/v1/calendar-feeds/{feed}"), None).await.unwrap();
        }
    }
    operator.delete("/v1/schedules/days").await.unwrap();
    scene.days(60).await;
    assert_eq!(scene.rows(&TABLES).await, [3, 3, 2]);
    scene.days(4).await;
    // One is yet to come, one calendar is read, and a schedule that was removed is still named by what it paged.
    scene.left(&TABLES, &[1, 1, 2]).await;
    assert_eq!(scene.forgot("schedules").await, 4);
    scene.world.end().await;
}

async fn what_waited_in_vain_is_forgotten(db: TestDb) {
    const WAITING: [&str; 4] = ["waiting_devices", "device_challenges", "acts", "act_challenges"];
    let scene = Scene::open(db, &[]).await;
    let Scene { world, yannick, .. } = &scene;
    let phone = &yannick.phone;
    // One of each is signed, and one is not.
    world.another_phone(yannick).await;
    let tablet = world.waiting_phone(yannick).await;
    phone.prepare_confirmation(&tablet.device_id().unwrap(), &tablet.match_number()).await.unwrap();
    world.person("ys", "Ys Example").await;
    let body = |minutes: u64| {
        let until = world.clock.now().after(std::time::Duration::from_secs(60 * minutes));
        json!({"until": until.to_string(), "delegate": "@ys"})
    };
    phone.confirm_act(&phone.put("/v1/me/away", &body(60)).await.unwrap().body).await.unwrap();
    let proposed = phone.put("/v1/me/away", &body(90)).await.unwrap().body;
    let challenge = format!("/v1/acts/{}/challenge", proposed["id"].as_str().unwrap());
    phone.post(&challenge, &json!({})).await.unwrap().accepted().unwrap();
    assert_eq!(scene.rows(&WAITING).await, [2, 2, 2, 2]);
    scene.days(2).await;
    scene.left(&WAITING, &[1, 1, 1, 1]).await;
    // What was signed is evidence, and the code that the tablet used is still used up.
    assert_eq!(
        scene
            .rows(&[
                "acts where done_at is not null",
                "enrollments where claimed_at is not null and waiting_id is null and device_id is null"
            ])
            .await,
        [1, 1]
    );
    scene.world.end().await;
}

async fn the_journal_is_cut_and_still_proves_itself(db: TestDb) {
    let scene = Scene::open(db, &SETTINGS).await;
    scene.past().await;
    let before = scene.world.journal().await.len();
    scene.days(39).await;
    assert_eq!(scene.world.journal().await[0]["seq"], 1);
    let (asked, _) = scene.past().await;
    scene.days(2).await;
    scene.left(&["journal where kind = 'approval.approved'"], &[1]).await;
    let kept = scene.world.journal().await;
    let first = kept[0]["seq"].as_i64().unwrap();
    assert!(first > i64::try_from(before).unwrap(), "{first}");
    assert!(kept.iter().any(|entry| entry["kind"] == "approval.approved" && entry["subject"] == asked.as_str()));
    assert_eq!(kept.iter().filter(|entry| entry["kind"] == "approval.approved").count(), 1);
    let verified = scene.world.operator.get("/v1/journal/verification").await.unwrap().body;
    assert_eq!(verified["valid"], json!(true), "{verified}");

    // A listener that comes with an old cursor goes on with what is there.
    let events = scene.bot.client.get("/v1/events?after=1").await.unwrap().body;
    assert!(events["events"][0]["seq"].as_i64() >= Some(first), "{events}");
    // Cutting by hand is noticed.
    let seq: Value = kept[0]["seq"].clone();
    let store = scene.world.server.store.clone();
    scene.world.db.raw(&format!("delete from journal where seq = {seq}")).await;
    assert!(journal::verify(&store).await.unwrap_err().to_string().contains("missing"));
}
