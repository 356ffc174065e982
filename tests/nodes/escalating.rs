//! Pages on three nodes of one PostgreSQL, two of which die again and again, while the clock is turned past every step of a policy: no
//! page that was acknowledged stays without its push, no step is skipped and none is walked twice.
//!
//! `PHONEOPS_TEST_ROUNDS` says how many deaths; `PHONEOPS_TEST_SEED` repeats the choices of an earlier run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use phoneops::secret::random;
use serde_json::json;

use crate::support::TestDb;
use crate::support::dice::Dice;
use crate::world::mortal::Node;
use crate::world::raw::{As, Raw, RawBot};
use crate::world::{World, minutes, seconds};

/// Who is paged, step by step.
const STEPS: [&str; 3] = ["ann", "bea", "cyd"];

/// Pages in a round.
const TOGETHER: usize = 1;

/// Twice in a step.
fn tempo() -> [(&'static str, String); 1] {
    [("PHONEOPS_PAGING_RING_SECONDS", "150".to_owned())]
}

/// The steps of a policy that is walked twice, and the last resort behind them.
const WALK: [(u64, u64); 7] = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)];

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

pub(crate) async fn every_step_rings_once(db: TestDb) {
    let rounds = setting("PHONEOPS_TEST_ROUNDS").unwrap_or(20);
    let seed = setting("PHONEOPS_TEST_SEED").unwrap_or_else(|| u64::from_ne_bytes(random()));
    eprintln!("again: PHONEOPS_TEST_SEED={seed} PHONEOPS_TEST_ROUNDS={rounds} cargo test --test nodes every_step_rings_once");
    let push = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let push_url = format!("http://{}/", push.local_addr().expect("an address"));
    let router = axum::Router::new().fallback(async || axum::http::StatusCode::CREATED);
    tokio::spawn(async move { axum::serve(push, router).await });
    let tempo = tempo();
    let settings: Vec<_> = tempo.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let world = World::start_with(db, &settings).await;
    let paged = {
        let raw = Raw::new(&world);
        let bot = house(&raw, &push_url).await;
        live(&world, &raw, &bot, rounds, &mut Dice(seed)).await
    };
    check(&world, &paged).await;
    world.end().await;
}

/// Three people with a phone each, whom a policy pages one after the other, and again.
async fn house(raw: &Raw<'_>, push_url: &str) -> RawBot {
    for handle in STEPS {
        let phone = raw.person(handle, "member").await;
        let keys = json!({"p256dh": phone.p256dh(), "auth": "AAAAAAAAAAAAAAAAAAAAAA"});
        let body = json!({"kind": "web_push", "endpoint": format!("{push_url}{handle}"), "keys": keys});
        let path = format!("/v1/devices/{}/push", phone.device);
        raw.shot(As::Phone(&phone), "PUT", &path).json(&body).fire().await.expect(200);
    }
    let step = |handle: &str| json!({"to": [format!("@{handle}")], "escalate_after_minutes": 5});
    let policy = json!({"name": "three", "steps": STEPS.map(step), "repeats": 1, "last_resort": ["@ann"]});
    raw.post(As::Operator, "/v1/escalation-policies", &policy).await.expect(201);
    raw.able_bot("heimdall").await
}

/// A service of a team of its own: many incidents of one team would be told as one.
async fn service(raw: &Raw<'_>, name: &str) {
    raw.post(As::Operator, "/v1/teams", &json!({"name": name})).await.expect(201);
    raw.post(As::Operator, "/v1/services", &json!({"name": name, "team": name, "policy": "three"})).await.expect(201);
}

/// Pages until the answer says that it is stored; the incident's id. A node that dies says nothing, and is asked no more.
async fn page(raw: &Raw<'_>, bot: &RawBot, base: &str, key: &str) -> String {
    let body = json!({"title": key, "to": [format!("service:{key}")]});
    for base in std::iter::once(base.to_owned()).chain(std::iter::repeat(raw.issuer().to_owned())) {
        let shot = raw.shot(As::Bot(bot), "POST", "/v1/incidents").header("idempotency-key", key).json(&body).at(&base);
        match shot.try_fire().await {
            Ok(seen) if seen.status == 201 => return seen.id(),
            Ok(seen) => assert_eq!(seen.status, 503, "{}", seen.text),
            Err(_) => {}
        }
    }
    unreachable!("there is always another try")
}

/// Whatever was said to be paged.
async fn live(world: &World, raw: &Raw<'_>, bot: &RawBot, rounds: u64, dice: &mut Dice) -> Vec<String> {
    let mut nodes = [Node::start(world, &tempo()), Node::start(world, &tempo())];
    let over = AtomicBool::new(false);
    let ticking = async {
        // What a dead node left is looked for though the clock stands.
        while !over.load(Ordering::SeqCst) {
            world.clock.advance(Duration::from_millis(10));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let living = async {
        let mut paged = Vec::new();
        for round in 0..rounds {
            let bases = [raw.issuer().to_owned(), nodes[0].base.clone(), nodes[1].base.clone()];
            let asked: Vec<_> = (0..TOGETHER).map(|one| (dice.pick(&bases).clone(), format!("page-{round}-{one}"))).collect();
            for (_, name) in &asked {
                service(raw, name).await;
            }
            let doomed = usize::try_from(dice.below(2)).expect("a few");
            let patience = Duration::from_millis(dice.below(40));
            let killing = async {
                tokio::time::sleep(patience).await;
                nodes[doomed].kill();
                nodes[doomed] = Node::start(world, &tempo());
            };
            let paging = join_all(asked.iter().map(|(base, key)| page(raw, bot, base, key)));
            let turning = world.advance(seconds(dice.below(200)));
            let ((made, ()), ()) = join(join(paging, killing), turning).await;
            paged.extend(made);
        }
        nodes.iter_mut().for_each(Node::kill);
        // Past the last step of the last page, and the leases of the dead.
        world.advance(minutes(35)).await;
        over.store(true, Ordering::SeqCst);
        paged
    };
    join(living, ticking).await.0
}

/// Looks at what was written down and at what was sent.
async fn check(world: &World, paged: &[String]) {
    let mut walks: BTreeMap<String, Vec<(u64, u64, u64)>> = paged.iter().map(|id| (id.clone(), vec![(1, 0, 0)])).collect();
    for entry in world.journal().await.iter().filter(|entry| entry["kind"] == "incident.rang") {
        let number = |name: &str| entry["data"][name].as_u64().expect("a number");
        let walk = walks.get_mut(entry["subject"].as_str().expect("an id")).expect("nobody else was paged");
        walk.push((number("ring"), number("pass"), number("step")));
    }
    assert!(!walks.is_empty());
    for (id, mut walk) in walks {
        walk.sort_unstable();
        let rings: Vec<u64> = walk.iter().map(|(ring, ..)| *ring).collect();
        assert_eq!(rings, (1..=rings.len() as u64).collect::<Vec<_>>(), "{id}: a ring is missing or was written twice");
        let mut places: Vec<(u64, u64)> = walk.iter().map(|(_, pass, step)| (*pass, *step)).collect();
        places.dedup();
        assert_eq!(places, WALK, "{id}: a step was skipped or walked twice");
    }
    let silent = "select count(*) from incidents cross join lateral generate_series(1, incidents.ring) as rung
        where not exists (select 1 from notifications join attempts on attempts.notification_id = notifications.id
            where notifications.subject_id = incidents.id and notifications.round = rung and attempts.state = 'accepted')";
    assert_eq!(world.db.number(silent).await, 0, "a ring was written down and no push left");
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(world.db.number(deadlocks).await, 0, "locks were taken in two orders");
}
