//! Small budgets, and a server that is started again: what was counted before counts after.

use phoneops::clock::Timestamp;
use phoneops::secret::MasterKey;
use serde_json::json;

use crate::support::{TestDb, engines};
use crate::world::raw::{As, Raw, RawBot, RawPhone, Seen};
use crate::world::{World, deploy, minutes, seconds};

engines! {
    budgets_and_cool_downs_survive_a_restart
    what_a_requester_causes_has_a_budget
}

const START: i64 = 1_800_000_000;

async fn ask(raw: &Raw<'_>, bot: &RawBot, handle: &str, target: &str) -> Seen {
    let body = json!({"action": deploy("api", target), "requester": handle});
    raw.post(As::Bot(bot), "/v1/approvals", &body).await
}

/// That nobody would hear of a request, for this reason and so many seconds.
fn rings_nobody(seen: Seen, reason: &str, wait: u64) {
    let seen = seen.expect_refusal(429, "nobody_rings");
    assert_eq!((&seen.body["reason"], seen.headers["retry-after"].to_str().unwrap()), (&json!(reason), &*wait.to_string()));
}

async fn life(db: &TestDb, key: &std::path::Path, at: Timestamp) -> World {
    let settings = [
        ("PHONEOPS_MASTER_KEY_FILE", key.to_str().expect("a path")),
        ("PHONEOPS_APPROVALS_PUSHES_PER_APPROVER_PER_HOUR", "3"),
        ("PHONEOPS_APPROVALS_PUSHES_PER_REQUESTER_PER_HOUR", "5"),
    ];
    World::start_at(db.clone(), at, &settings).await
}

async fn budgets_and_cool_downs_survive_a_restart(db: TestDb) {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("master.key");
    std::fs::write(&key, &*MasterKey::generate().to_text()).unwrap();
    let start = Timestamp::from_seconds(START);
    let world = life(&db, &key, start).await;
    let bot = {
        let raw = Raw::new(&world);
        let (bot, phone): (RawBot, RawPhone) = (raw.able_bot("heimdall").await, raw.person("yannick", "member").await);
        for target in ["one", "two"] {
            ask(&raw, &bot, "@yannick", target).await.expect(201);
            world.advance(seconds(10)).await;
        }
        let denied = ask(&raw, &bot, "@yannick", "three").await.expect(201).id();
        phone.answer(&raw, &denied, "deny").await.expect(200);
        rings_nobody(ask(&raw, &bot, "@yannick", "three").await, "denied", 60);
        rings_nobody(ask(&raw, &bot, "@yannick", "four").await, "approver_budget", 3_580);
        // What is folded costs nothing.
        ask(&raw, &bot, "@yannick", "two").await.expect(201);
        bot
    };
    world.end().await;

    let world = life(&db, &key, start.after(seconds(50))).await;
    {
        let raw = Raw::new(&world);
        rings_nobody(ask(&raw, &bot, "@yannick", "three").await, "denied", 30);
        rings_nobody(ask(&raw, &bot, "@yannick", "four").await, "approver_budget", 3_550);
        world.advance(seconds(30)).await;
        rings_nobody(ask(&raw, &bot, "@yannick", "three").await, "approver_budget", 3_520);
        world.advance(minutes(58)).await;
        rings_nobody(ask(&raw, &bot, "@yannick", "four").await, "approver_budget", 40);
        world.advance(seconds(40)).await;
        ask(&raw, &bot, "@yannick", "four").await.expect(201);
        rings_nobody(ask(&raw, &bot, "@yannick", "five").await, "approver_budget", 10);
        assert_eq!(db.number("select count(*) from doorbells where rung_at is not null").await, 4);
    }
    world.end().await;
}

async fn what_a_requester_causes_has_a_budget(db: TestDb) {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("master.key");
    std::fs::write(&key, &*MasterKey::generate().to_text()).unwrap();
    let world = life(&db, &key, Timestamp::from_seconds(START)).await;
    {
        let raw = Raw::new(&world);
        let admin = world.administrator("ada", "Ada Byron").await;
        let bot = raw.able_bot("heimdall").await;
        for handle in ["yannick", "ys", "ann", "bea", "cyd"] {
            raw.person(handle, "member").await;
        }
        let users = ["@ann", "@bea", "@cyd"];
        world.policy(&admin, "any", &json!({"require": {"groups": [{"quorum": 1, "users": users}]}})).await;
        ask(&raw, &bot, "@yannick", "one").await.expect(201);
        // Three were rung, two more may be; the third finds it in the inbox.
        ask(&raw, &bot, "@yannick", "two").await.expect(201);
        assert_eq!(db.number("select count(*) from doorbells where rung_at is not null").await, 5);
        assert_eq!(db.number("select count(*) from doorbells").await, 6);
        rings_nobody(ask(&raw, &bot, "@yannick", "three").await, "requester_budget", 3_600);
        // Another requester has a budget of their own, and the approvers have rings left.
        ask(&raw, &bot, "@ys", "three").await.expect(201);
        let quiet = world.journal().await.into_iter().filter(|entry| entry["kind"] == "approval.not_rung").collect::<Vec<_>>();
        assert_eq!((quiet.len(), &quiet[0]["data"]["quiet"][0]["why"]), (1, &json!("requester_budget")));
    }
    world.end().await;
}
