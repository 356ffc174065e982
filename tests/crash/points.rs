//! Every crash point: the whole story is played again for each time that a point is passed in it, and that time the server dies there.
//! Points that every transaction passes are passed hundreds of times: of those the suite takes some, spread over the whole story, and
//! `scripts/soak` all.
//!
//! **Invariants**
//! - A point that the story does not pass fails the test, so a new point in the source needs a part of the story.
//! - A run that fails names the point, and the command that plays it alone.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use phoneops::db::Engine;
use tokio::sync::Semaphore;

use crate::check::{Once, check};
use crate::story::{Pace, play};
use crate::support::TestDb;
use crate::world::{FirstLife, World};

/// Runs at once. Most of a run is waiting: for a lease to end, for the next ring.
const TOGETHER: usize = 10;

/// Points that are passed only when somebody waits for a timer.
const OF_TIMERS: [&str; 3] = ["timer-rung", "deadline-rung", "jobs-claimed"];

/// Set to die at every passing of every point.
const EVERY: &str = "PHONEOPS_TEST_EVERY_PASSING";

/// Limits the runs to one point, as `name:n`.
const ONLY: &str = "PHONEOPS_TEST_POINT";

#[test]
fn sqlite() {
    every_point(Engine::Lite);
}

#[test]
fn postgres() {
    every_point(Engine::Pg);
}

/// A point and the time it is passed, from 1.
type At = (String, u32);

fn every_point(engine: Engine) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let passed = passed(engine).await;
        let runs = if let Ok(only) = std::env::var(ONLY) {
            vec![parse(&only)]
        } else {
            assert_eq!(passed.keys().cloned().collect::<Vec<_>>(), in_source(), "the points passed and those in the source");
            passed.iter().flat_map(|(name, times)| chosen(engine, *times).into_iter().map(move |n| (name.clone(), n))).collect()
        };
        let room = Arc::new(Semaphore::new(TOGETHER));
        let runs = runs.into_iter().map(|at| tokio::spawn(run_with_room(engine, at, Arc::clone(&room))));
        let outcomes: Vec<Result<Died, String>> = join_all(runs).await.into_iter().map(|run| run.expect("it catches")).collect();
        report(engine, &outcomes);
    });
}

/// Whether the server died in a run: one that shares its commits differently may not pass a point as often as the first run did.
struct Died {
    at: At,
    there: bool,
}

fn report(engine: Engine, outcomes: &[Result<Died, String>]) {
    let failures: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    let runs: Vec<_> = outcomes.iter().flatten().collect();
    let deaths = runs.iter().filter(|run| run.there).count();
    let spared: Vec<_> = runs.iter().filter(|run| !run.there).map(|run| format!("{}:{}", run.at.0, run.at.1)).collect();
    eprintln!("{engine:?}: {} runs, {deaths} deaths; not passed as often this time: {spared:?}", outcomes.len());
    for failure in &failures {
        eprintln!("{failure}\n");
    }
    assert!(failures.is_empty(), "{} of {} runs failed", failures.len(), outcomes.len());
    let never: Vec<_> = runs.iter().filter(|run| run.at.1 == 1 && !run.there).map(|run| &run.at.0).collect();
    assert!(never.is_empty(), "nobody died at {never:?}");
    assert!(deaths * 10 >= outcomes.len() * 9, "only {deaths} of {} runs died", outcomes.len());
}

fn parse(at: &str) -> At {
    let (name, n) = at.rsplit_once(':').expect("name:n");
    (name.to_owned(), n.parse().expect("name:n"))
}

/// How often each point is passed in the story at the pace that it is played at for that point.
async fn passed(engine: Engine) -> BTreeMap<String, u32> {
    let (mut natural, slow) = tokio::join!(passed_at(engine, Pace::Natural), passed_at(engine, Pace::Slow));
    natural.retain(|name, _| pace(name) == Pace::Natural);
    natural.extend(slow.into_iter().filter(|(name, _)| pace(name) == Pace::Slow));
    natural
}

fn pace(point: &str) -> Pace {
    if OF_TIMERS.contains(&point) { Pace::Slow } else { Pace::Natural }
}

/// How often each point is passed in the story, without a death.
async fn passed_at(engine: Engine, pace: Pace) -> BTreeMap<String, u32> {
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let environment = vec![("PHONEOPS_CRASH_LOG".to_owned(), log.path().display().to_string())];
    let lives = run(engine, environment, pace).await.unwrap_or_else(|failure| panic!("without a death: {failure}"));
    assert_eq!(lives, 1, "it died by itself");
    let mut times = BTreeMap::new();
    for name in std::fs::read_to_string(log.path()).expect("the log").lines() {
        *times.entry(name.to_owned()).or_default() += 1;
    }
    times
}

async fn run_with_room(engine: Engine, at: At, room: Arc<Semaphore>) -> Result<Died, String> {
    let _permit = room.acquire_owned().await.expect("never closed");
    let (name, n) = &at;
    let environment = vec![("PHONEOPS_CRASH_AT".to_owned(), format!("{name}:{n}"))];
    let test = if engine == Engine::Lite { "sqlite" } else { "postgres" };
    let again = format!("{ONLY}={name}:{n} cargo test --test crash points::{test}");
    let lives =
        run(engine, environment, pace(name)).await.map_err(|failure| format!("died at {name}:{n}: {failure}\nagain: {again}"))?;
    Ok(Died { there: lives == 2, at })
}

/// Plays the story and checks what is left; how many lives that took.
async fn run(engine: Engine, environment: Vec<(String, String)>, pace: Pace) -> Result<usize, String> {
    let db = TestDb::create(engine).await;
    let world = World::start(db.clone(), FirstLife { environment, ..FirstLife::default() }).await;
    let story = async {
        play(&world, pace).await;
        check(&world, &Once { people: 2, further: 2, incidents: 3, approvals: 6, redeemed: 2 }).await;
        let ends = world.process.ends();
        assert!(world.process.was_killed(ends.len()) && ends.len() <= 1, "the server's lives ended with {ends:?}");
        ends.len() + 1
    };
    let outcome = AssertUnwindSafe(story).catch_unwind().await;
    let outcome = outcome.map_err(|panic| format!("{}\nthe server said: {}", words(panic.as_ref()), world.log()));
    drop(world);
    db.remove().await;
    outcome
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

/// Which of so many passings: all when that is asked for; else on one engine the first, and on the other one in the middle.
fn chosen(engine: Engine, times: u32) -> Vec<u32> {
    if times == 1 || std::env::var_os(EVERY).is_some() {
        return (1..=times).collect();
    }
    match engine {
        Engine::Lite => vec![1],
        Engine::Pg => vec![1 + times / 2],
    }
}

#[test]
fn each_engine_dies_at_another_passing() {
    assert_eq!((chosen(Engine::Lite, 1), chosen(Engine::Pg, 1)), (vec![1], vec![1]));
    assert_eq!((chosen(Engine::Lite, 2), chosen(Engine::Pg, 2)), (vec![1], vec![2]));
    assert_eq!((chosen(Engine::Lite, 100), chosen(Engine::Pg, 100)), (vec![1], vec![51]));
}

/// The points in the source, once each.
fn in_source() -> Vec<String> {
    let mut names = Vec::new();
    find(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut names);
    names.sort();
    names.dedup();
    assert!(names.len() > 20, "the source has crash points: {names:?}");
    names
}

fn find(folder: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            find(&path, names);
        } else if !path.ends_with("crash.rs") && path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            let named = text.split("crash_point!(\"").skip(1).filter_map(|rest| rest.split('"').next());
            // No server is running there: `tests/cli/backups.rs` kills the command.
            let named = named.filter(|name| !name.starts_with("restore-"));
            names.extend(named.map(str::to_owned));
        }
    }
}
