//! SQLite's disk under the running server: synced before anything is acknowledged, failing, and full.

use std::ffi::OsString;
use std::time::Duration;

use phoneops::client::Error;
use phoneops::db::{Engine, Options, Store};
use phoneops::sim::phone::Verdict;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::check::{Once, check, check_at_rest, rests};
use crate::story::{Cast, Pace, deploy, join, text};
use crate::support::{TestDb, run};
use crate::trace::{CALLS, assert_synced_between, events, strace};
use crate::world::{FirstLife, World, eventually, insist};

/// What `EX_IOERR` is in sysexits.h, which supervisors know.
const DISK_FAILED: i32 = 74;

#[test]
fn nothing_is_acknowledged_before_it_is_synced() {
    run(Engine::Lite, synced_first);
}

#[test]
fn a_failing_disk_ends_the_server_and_loses_nothing_acknowledged() {
    run(Engine::Lite, failing);
}

#[test]
fn a_full_disk_refuses_and_recovers_by_itself() {
    run(Engine::Lite, full);
}

async fn synced_first(db: TestDb) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let world = World::start(db, FirstLife { under: strace(file.path(), &[CALLS]), ..FirstLife::default() }).await;
    let cast = join(&world).await;
    let page = json!({"title": "All your apps are down", "to": ["@yannick"]});
    let page = insist("a page", || cast.bot.post_once("/v1/incidents", "the-page", &page)).await;
    let ask = json!({"action": deploy("api"), "requester": "@yannick"});
    let asked = insist("an approval", || cast.bot.post_once("/v1/approvals", "the-approval", &ask)).await;
    let id = text(&asked.body, "id");
    let answer = cast.phone.prepare_answer(&id, Verdict::Approve, None).await.expect("an answer");
    let reply = cast.phone.post(&answer.path, &answer.body).await.expect("a reply").accepted();
    assert_eq!(reply.expect("it is taken")["state"], "approved");
    drop(cast);
    drop(world);
    let trace = std::fs::read(file.path()).expect("a trace");
    let events = events(&String::from_utf8_lossy(&trace));
    assert_synced_between(&events, "idempotency-key: the-page", &text(&page.body, "id"));
    assert_synced_between(&events, "idempotency-key: the-approval", &id);
    assert_synced_between(&events, &format!("POST {}", answer.path), r#"\"state\":\"approved\""#);
}

async fn failing(db: TestDb) {
    let trace = tempfile::NamedTempFile::new().expect("a temporary file");
    // Counted for each thread: it is the writer's, who syncs more often than this in any story, while nobody at the start does.
    let failing = ["trace=fdatasync,fsync", "inject=fdatasync,fsync:error=EIO:when=20"];
    let world = World::start(db, FirstLife { under: strace(trace.path(), &failing), ..FirstLife::default() }).await;
    let cast = join(&world).await;
    let mut references = Vec::new();
    while world.process.ends().is_empty() {
        references.push(cast.page("All your apps are down").await.1);
        assert!(references.len() < 100, "the disk never failed");
    }
    let ends = world.process.ends();
    assert_eq!(ends.iter().map(std::process::ExitStatus::code).collect::<Vec<_>>(), [Some(DISK_FAILED)], "{}", world.log());
    for reference in &references {
        cast.settle(reference).await;
    }
    check(
        &world,
        &Once { people: 1, further: 0, incidents: i64::try_from(references.len()).expect("few"), approvals: 0, redeemed: 0 },
    )
    .await;
}

/// A file system of 8 MiB that only the server sees, mounted over `$1`.
fn small_disk(folder: &std::path::Path) -> Vec<OsString> {
    let script = r#"mount -t tmpfs -o size=8m,mode=700 tmpfs "$1" && shift && exec "$@""#;
    let mut words = ["unshare", "--mount", "sh", "-c", script, "sh"].map(OsString::from).to_vec();
    words.push(folder.into());
    words
}

async fn full(db: TestDb) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let under = small_disk(folder.path());
    let world = World::start(db, FirstLife { under, data: Some(folder.path().to_owned()), ..FirstLife::default() }).await;
    let cast = join(&world).await;
    let (pid, action) = (world.process.pid(), deploy("api"));
    let asked = cast.ask(&action, 300).await;
    let answer = cast.phone.prepare_answer(&asked, Verdict::Approve, None).await.expect("an answer");

    let ballast = world.data_here().join("ballast");
    let filled = std::fs::write(&ballast, vec![0; 16 << 20]);
    assert!(filled.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull), "the disk is full");
    let mut taken = page_until_full(&cast).await;
    let refused = cast.phone.post(&answer.path, &answer.body).await.expect("a reply");
    assert_eq!((refused.status, refused.code()), (503, "unavailable"), "an approval is refused");
    assert!(refused.retry_after().is_some());
    let state = cast.bot.get(&format!("/v1/approvals/{asked}")).await.expect("it can still be read").body;
    assert_eq!(state["state"], "pending");

    std::fs::remove_file(&ballast).expect("space returns");
    taken.push(cast.page("All your apps are down").await.1);
    cast.approve(&asked, &action, Pace::Hurried).await;
    for reference in &taken {
        cast.settle(reference).await;
    }
    assert!(world.process.ends().is_empty() && world.process.pid() == pid, "without a restart: {}", world.log());
    let once = Once { people: 1, further: 0, incidents: i64::try_from(taken.len()).expect("few"), approvals: 1, redeemed: 1 };
    let at_rest = || async { Some(copied(&world).await).filter(|(_, rests, _)| *rests) };
    let (store, _, _copy) = eventually("the server rests", at_rest).await;
    check_at_rest(&store, &once).await;
}

/// The database as it is on the server's disk, which SQLite does not reach from here: it follows `/proc/…/root` to our own.
/// Whether it is that of a server at rest; and what holds the copy.
async fn copied(world: &World) -> (Store, bool, TempDir) {
    let copy = tempfile::tempdir().expect("a temporary directory");
    let pid = Pid::from_raw(i32::try_from(world.process.pid()).expect("a process")).expect("a process");
    // Between two of its instructions its files are what a power failure would leave, in one piece.
    kill_process(pid, Signal::STOP).expect("it runs");
    for name in ["phoneops.sqlite", "phoneops.sqlite-wal"] {
        std::fs::copy(world.data_here().join(name), copy.path().join(name)).expect("a file of the database");
    }
    kill_process(pid, Signal::CONT).expect("it runs");
    let store = Store::open(&Options::Lite { path: copy.path().join("phoneops.sqlite") }).await.expect("the copy opens");
    let rests = rests(&store).await;
    (store, rests, copy)
}

/// Pages until nothing fits any more: what space the log still has is used up. Those that were taken.
async fn page_until_full(cast: &Cast<'_>) -> Vec<String> {
    let page = json!({"title": "All your apps are down", "to": ["@yannick"]});
    let (mut taken, mut refused) = (Vec::new(), 0);
    while refused < 10 {
        match cast.bot.post("/v1/incidents", &page).await {
            Ok(reply) => {
                taken.push(text(&reply.body, "ref"));
                refused = 0;
            }
            Err(Error::Refused(refusal)) if (refusal.status, &*refusal.code) == (503, "unavailable") => refused += 1,
            Err(error) => panic!("neither taken nor refused for now: {error:?}"),
        }
        assert!(taken.len() < 5000, "the disk never filled up");
    }
    // The worker's and the sealer's writes fail too, and are tried again.
    tokio::time::sleep(Duration::from_millis(200)).await;
    eventually("it still answers", || async { cast.bot.get("/healthz").await.ok() }).await;
    taken
}
