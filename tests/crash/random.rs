//! Deaths at random times, for what nobody thought of naming.
//!
//! `PHONEOPS_TEST_ROUNDS` says how many; `PHONEOPS_TEST_SEED` repeats the times of an earlier run.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use phoneops::db::Engine;
use phoneops::secret::random;

use crate::check::{Once, check};
use crate::story::{Cast, Pace, deploy, join};
use crate::support::dice::Dice;
use crate::support::{TestDb, engines};
use crate::world::{FirstLife, World, eventually, insist};

engines! { killed_at_random_times }

/// How long a life lasts at most, once there is work: several times what one page takes.
const LIFE_MS: u64 = 600;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

async fn killed_at_random_times(db: TestDb) {
    let rounds = setting("PHONEOPS_TEST_ROUNDS").unwrap_or(6);
    let seed = setting("PHONEOPS_TEST_SEED").unwrap_or_else(|| u64::from_ne_bytes(random()));
    let engine = if db.engine() == Engine::Lite { "sqlite" } else { "postgres" };
    eprintln!(
        "again: PHONEOPS_TEST_SEED={seed} PHONEOPS_TEST_ROUNDS={rounds} cargo test --test crash random::{engine}::killed_at_random_times"
    );
    let world = World::start(db, FirstLife::default()).await;
    let cast = join(&world).await;
    let (over, pages, approvals) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    let page_on = async {
        while !over.load(Ordering::SeqCst) {
            page(&cast).await;
            pages.fetch_add(1, Ordering::SeqCst);
        }
    };
    let ask_on = async {
        while !over.load(Ordering::SeqCst) {
            let action = deploy(&format!("app-{}", approvals.fetch_add(1, Ordering::SeqCst)));
            let asked = cast.ask(&action, 300).await;
            cast.approve(&asked, &action, Pace::Hurried).await;
        }
    };
    let killer = async {
        kill(&world, rounds, &mut Dice(seed)).await;
        over.store(true, Ordering::SeqCst);
    };
    tokio::join!(page_on, ask_on, killer);
    let ends = world.process.ends();
    assert!(world.process.was_killed(ends.len()), "the server's lives ended with {ends:?}: {}", world.log());
    let (pages, approvals) = (i64::from(pages.into_inner()), i64::from(approvals.into_inner()));
    eprintln!("{rounds} deaths, {pages} pages, {approvals} approvals");
    check(&world, &Once { people: 1, further: 0, incidents: pages, approvals, redeemed: approvals }).await;
}

async fn page(cast: &Cast<'_>) {
    let (_, reference) = cast.page("All your apps are down").await;
    cast.settle(&reference).await;
}

/// Each round begins when the server answers again.
async fn kill(world: &World, rounds: u64, dice: &mut Dice) {
    let operator = world.operator().await;
    for round in 1..=rounds {
        insist("the server answers", || operator.get("/healthz")).await;
        tokio::time::sleep(Duration::from_millis(dice.below(LIFE_MS))).await;
        world.process.kill();
        let dead = usize::try_from(round).expect("few rounds");
        eventually("it died", || async { (world.process.ends().len() == dead).then_some(()) }).await;
    }
}
