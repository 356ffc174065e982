//! PostgreSQL ends our connections while we write: a restart, a failover, an administrator.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use phoneops::client::{Client, Error};
use phoneops::db::Engine;
use serde_json::{Value, json};

use crate::check::{Once, check};
use crate::story::{join, text};
use crate::support::{TestDb, run};
use crate::world::{FirstLife, World, insist};

/// How soon pages must be taken again.
const RECOVERY: Duration = Duration::from_secs(2);

const BUSY: u32 = 6;

#[test]
fn connections_are_ended_under_load() {
    run(Engine::Pg, ended_under_load);
}

async fn ended_under_load(db: TestDb) {
    let world = World::start(db.clone(), FirstLife::default()).await;
    let cast = join(&world).await;
    let (over, refused) = (AtomicBool::new(false), AtomicU32::new(0));
    let load = join_all((0..BUSY).map(|pager| page_until(&cast.bot, pager, &over, &refused)));
    let ending = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            end_connections(&db).await;
            recovers(&cast.bot).await;
        }
        over.store(true, Ordering::SeqCst);
    };
    let (pages, ()) = tokio::join!(load, ending);
    let mut ids: Vec<_> = pages.into_iter().flatten().collect();
    let taken = ids.len();
    assert!(taken > 20 && refused.into_inner() > 0, "there was load, and the connections did end");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), taken, "two pages under one id");
    let actor = json!({"actor": "@yannick"});
    let resolve = async |page: Value| {
        let path = format!("/v1/incidents/{}/resolve", text(&page, "ref"));
        insist("resolve", || cast.bot.post(&path, &actor)).await
    };
    loop {
        let open = insist("open pages", || cast.bot.get("/v1/incidents?limit=100")).await;
        let open = open.body["incidents"].as_array().expect("incidents").clone();
        if open.is_empty() {
            break;
        }
        join_all(open.into_iter().map(resolve)).await;
    }
    assert!(world.process.ends().is_empty(), "it recovers without a restart: {}", world.log());
    check(
        &world,
        &Once { people: 1, further: 0, incidents: i64::try_from(taken).expect("not so many"), approvals: 0, redeemed: 0 },
    )
    .await;
}

async fn end_connections(db: &TestDb) {
    let ended = db
        .number(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()",
        )
        .await;
    assert!(ended > 0, "there were connections");
}

async fn recovers(bot: &Client) {
    let began = Instant::now();
    insist("the bot is answered", || bot.get("/v1/incidents?limit=1")).await;
    assert!(began.elapsed() < RECOVERY, "it took {:?}", began.elapsed());
}

/// Pages as fast as it goes; each page is taken, or refused with 503 and then taken under the same key. Their ids.
async fn page_until(bot: &Client, pager: u32, over: &AtomicBool, refused: &AtomicU32) -> Vec<String> {
    let page = json!({"title": "All your apps are down", "to": ["@yannick"]});
    let mut ids = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let key = format!("{pager}-{}", ids.len());
        let id = loop {
            match bot.post_once("/v1/incidents", &key, &page).await {
                Ok(reply) => break text(&reply.body, "id"),
                Err(Error::Refused(refusal)) if refusal.status == 503 => {
                    refused.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("neither taken nor refused for now: {error:?}"),
            }
        };
        ids.push(id);
    }
    ids
}
