//! The whole server with phones of every kind: a web app, an iPhone and an Android phone, each through its provider's simulator.

use std::sync::Arc;
use std::time::Duration;

use phoneops::clock::{Clock, Timestamp};
use phoneops::sim::apns::Apns;
use phoneops::sim::fcm::Fcm;
use phoneops::sim::phone::{self, Phone, Provider};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{TestDb, engines};
use crate::world::{Bot, Person, World, deploy, seconds};

engines! {
    every_kind_of_phone_is_paged_and_approves
    a_phone_that_was_away_shows_once_what_rang_louder
    doorbells_look_alike_to_every_provider
    a_wrong_topic_takes_no_phone_from_anybody_and_is_said
}

struct House {
    world: World,
    apns: Apns,
    fcm: Fcm,
    bot: Bot,
    _files: TempDir,
}

impl House {
    async fn open(db: TestDb) -> Self {
        Self::with_topic(db, None).await
    }

    /// With another topic than the app's.
    async fn with_topic(db: TestDb, topic: Option<&str>) -> Self {
        let clock = Clock::manual(Timestamp::from_seconds(1_800_000_000));
        let (apns, fcm) = (Apns::start(clock.clone()).await.unwrap(), Fcm::start(clock).await.unwrap());
        let files = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let settings = [
            ("PHONEOPS_APNS_KEY_FILE", file("apple.p8", apns.key().pem.expose())),
            ("PHONEOPS_APNS_KEY_ID", apns.key().key_id.clone()),
            ("PHONEOPS_APNS_TEAM_ID", apns.key().team_id.clone()),
            ("PHONEOPS_APNS_TOPIC", topic.unwrap_or(apns.topic()).to_owned()),
            ("PHONEOPS_APNS_ENDPOINT", apns.url()),
            ("PHONEOPS_APNS_CA_FILE", file("apple.pem", apns.authority())),
            ("PHONEOPS_FCM_SERVICE_ACCOUNT_FILE", file("google.json", &fcm.service_account().to_string())),
            ("PHONEOPS_FCM_ENDPOINT", fcm.url()),
            ("PHONEOPS_FCM_CA_FILE", file("google.pem", fcm.authority())),
        ];
        let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let world = World::start_with(db, &settings).await;
        let bot = world.bot("heimdall").await;
        Self { world, apns, fcm, bot, _files: files }
    }

    async fn person(&self, handle: &str, name: &str, provider: Provider) -> Person {
        let (world, apple, google) = (&self.world, self.apns.admin_url(), self.fcm.admin_url());
        let through = if provider == Provider::Apns { apple } else { google };
        world.operator.post("/v1/users", &json!({"handle": handle, "name": name})).await.unwrap();
        let code = world.code(handle).await;
        let client = phone::client().unwrap();
        let phone = Phone::reached_by(provider, client, world.clock.clone(), world.server.issuer(), &through);
        phone.enrol(&code, "A phone", None).await.unwrap();
        phone.create_passkey("Face ID").await.unwrap();
        phone.register_push().await.unwrap();
        Person { handle: format!("@{handle}"), phone: Arc::new(phone) }
    }

    /// What is known of the pushes about an incident.
    async fn deliveries(&self, page: &str) -> Vec<Value> {
        let found = self.bot.client.get(&format!("/v1/incidents/{page}/deliveries")).await.unwrap();
        found.body["deliveries"].as_array().unwrap().clone()
    }

    async fn close(self) {
        self.world.end().await;
        self.apns.stop().await;
        self.fcm.stop().await;
    }
}

async fn every_kind_of_phone_is_paged_and_approves(db: TestDb) {
    let house = House::open(db).await;
    let (world, bot) = (&house.world, &house.bot);
    let people = [
        (world.person("yannick", "Yannick Schutz").await, "web_push", "Request"),
        (house.person("ann", "Ann Example", Provider::Apns).await, "apns", ""),
        (house.person("bea", "Bea Example", Provider::Fcm).await, "fcm", ""),
        (house.person("cyd", "Cyd Example", Provider::FcmFid).await, "fcm", ""),
    ];
    for (person, carrier, said) in &people {
        let page = bot.page(person, "All your apps are down").await;
        let rung = person.expect_push(world, "All your apps are down").await;
        assert_eq!(rung.data()["ref"], page.as_str(), "{carrier}");
        let deliveries = house.deliveries(&page).await;
        let seen: Vec<_> = deliveries.iter().map(|one| (one["carrier"].as_str(), one["state"].as_str())).collect();
        assert_eq!(seen, [(Some(*carrier), Some("displayed"))]);
        person.phone.acknowledge(&page).await.unwrap();
        person.phone.resolve(&page).await.unwrap();

        // Who carries it hears only that something waits, where it could read more.
        let asked = bot.ask(person, deploy("api", "production")).await;
        let rung = person.expect_push(world, "Approval needed").await;
        assert_eq!((&rung.data()["subject"], rung.body().contains(said)), (&json!(asked), true), "{carrier}");
        assert_eq!(person.phone.approve(&asked).await.unwrap()["state"], "approved");
    }
    world.settle().await;
    assert_eq!(house.apns.tokens().len(), 1);
    assert_eq!(house.fcm.tokens_issued(), 1);
    house.close().await;
}

/// Words that are in no constant text, as long as a target may be.
const CANARIES: [&str; 3] = ["canary7Q", "canary7Q-canary7Q-canary7Q-canary7Q", "c"];

async fn doorbells_look_alike_to_every_provider(db: TestDb) {
    let house = House::open(db).await;
    let (world, bot) = (&house.world, &house.bot);
    let web = world.person("yannick", "Yannick Schutz").await;
    let (ann, bea) =
        (house.person("ann", "Ann Example", Provider::Apns).await, house.person("bea", "Bea Example", Provider::Fcm).await);
    for canary in CANARIES {
        for person in [&web, &ann, &bea] {
            let asked = bot.ask(person, deploy(canary, canary)).await;
            person.expect_push(world, "Approval needed").await;
            person.phone.approve(&asked).await.unwrap();
        }
    }
    world.settle().await;
    let apns: Vec<_> = house.apns.journal().into_iter().map(|entry| (entry.body, format!("{:?}", entry.headers))).collect();
    let fcm: Vec<_> = house.fcm.journal().into_iter().map(|entry| (entry.body, format!("{:?}", entry.headers))).collect();
    for (carrier, seen) in [("apns", apns), ("fcm", fcm)] {
        assert!(seen.iter().all(|(body, headers)| !body.contains("canary7Q") && !headers.contains("canary7Q")), "{carrier}");
        let doorbells = seen.iter().filter(|(body, _)| body.contains("Approval needed"));
        let lengths: Vec<_> = doorbells.map(|(body, _)| body.len()).collect();
        assert!(lengths.len() == CANARIES.len() && lengths.iter().all(|length| *length == lengths[0]), "{carrier}: {lengths:?}");
    }
    let sealed: Vec<_> = world.push_service.journal().into_iter().map(|entry| entry.bytes).collect();
    assert!(sealed.len() >= CANARIES.len() && sealed.iter().all(|bytes| *bytes == sealed[0]), "web_push: {sealed:?}");
    house.close().await;
}

async fn a_phone_that_was_away_shows_once_what_rang_louder(db: TestDb) {
    let house = House::open(db).await;
    let world = &house.world;
    let ann = house.person("ann", "Ann Example", Provider::Apns).await;
    let token = ann.phone.subscription_id().unwrap();
    house.apns.be_away(&token, true).unwrap();
    let page = house.bot.page(&ann, "All your apps are down").await;
    world.advance(seconds(20)).await;
    let sent = house.deliveries(&page).await;
    assert_eq!(sent.iter().filter(|one| one["state"] == "accepted").count(), 2, "as planned, and louder: {sent:?}");
    house.apns.be_away(&token, false).unwrap();
    let push = ann.phone.next_push(Duration::from_secs(2)).await.unwrap().expect("what was kept arrives");
    assert_eq!(push.title(), "All your apps are down");
    let counts = house.apns.counts(&token).unwrap();
    assert_eq!((counts.presentations, counts.rings), (1, 1), "{counts:?}");
    world.settle().await;
    assert!(house.deliveries(&page).await.iter().any(|one| one["state"] == "displayed"));
    ann.phone.acknowledge(&page).await.unwrap();
    ann.phone.resolve(&page).await.unwrap();
    house.close().await;
}

async fn a_wrong_topic_takes_no_phone_from_anybody_and_is_said(db: TestDb) {
    let house = House::with_topic(db, Some("com.example.another")).await;
    let world = &house.world;
    let ann = house.person("ann", "Ann Example", Provider::Apns).await;
    let mut pages = Vec::new();
    for _ in 0..5 {
        pages.push(house.bot.page(&ann, "All your apps are down").await);
        world.settle().await;
    }
    let registered = world.db.number("select count(*) from push_registrations where retired_at is null").await;
    assert_eq!((registered, house.apns.journal().len()), (1, 5));
    // On PostgreSQL a clock that stands still makes a node unready.
    if world.db.url().is_none() {
        let ready = world.operator.get("/readyz").await.unwrap().body;
        assert_eq!(ready["routes_down"], json!(["apns"]), "which is what the doctor and the metrics go by");
    }
    let opened: Vec<_> = world.journal().await.into_iter().filter(|entry| entry["kind"] == "route.opened").collect();
    assert!(opened.len() == 1 && opened[0]["data"]["why"].as_str().unwrap().contains("apns.topic"), "{opened:?}");
    for page in pages {
        ann.phone.acknowledge(&page).await.unwrap();
        ann.phone.resolve(&page).await.unwrap();
    }
    house.close().await;
}
