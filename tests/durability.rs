//! Durability of SQLite, seen from outside: in the order of system calls, on a failing disk, on a full one.
//!
//! The process that is watched is this program again, started as [`helper`]. PostgreSQL keeps these promises itself; ours there
//! is `synchronous_commit`.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use futures_util::future::join_all;
use phoneops::db::{Error, Options, Result, Store};
use tempfile::TempDir;

const ROLE: &str = "PHONEOPS_TEST_ROLE";
const DIRECTORY: &str = "PHONEOPS_TEST_DIRECTORY";

/// How a process ends whose disk failed: `EX_IOERR` of sysexits.h.
const IO_ERROR: i32 = 74;

// --- Seen from outside ------------------------------------------------------------------------------------------------------

#[test]
fn a_commit_is_synced_before_it_is_acknowledged() {
    for role in ["one by one", "in groups"] {
        let place = Place::new();
        let (output, calls) = place.traced(role, &[]);
        assert!(output.status.success(), "{}", said(&output));
        let mut synced = true;
        let mut acknowledged = 0;
        for call in &calls {
            if call.contains("phoneops.db-wal") {
                // What is written makes an earlier sync worthless.
                synced = call.contains("sync(") && call.ends_with("= 0");
            } else if call.contains("\"committed ") {
                assert!(synced, "acknowledged before the log was synced: {call}\n{}", calls.join("\n"));
                acknowledged += 1;
            }
        }
        assert_eq!(acknowledged, WRITES, "{role}\n{}", calls.join("\n"));
        let syncs = calls.iter().filter(|call| call.contains("sync(") && call.contains("-wal")).count();
        assert!(role == "in groups" || syncs >= WRITES, "{syncs} syncs for {WRITES} commits one by one");
    }
}

#[test]
fn a_failed_sync_of_the_log_ends_the_process() {
    for when in 1..=5 {
        dies_of("fdatasync,fsync", "phoneops.db-wal", when, "one by one");
    }
    dies_of("fdatasync,fsync", "phoneops.db-wal", 2, "in groups");
}

#[test]
fn a_failed_write_to_the_log_ends_the_process() {
    for when in [1, 2, 7] {
        dies_of("pwrite64", "phoneops.db-wal", when, "one by one");
    }
}

#[test]
fn a_failed_checkpoint_ends_the_process() {
    for (call, when) in [("fdatasync,fsync", 1), ("fdatasync,fsync", 2), ("pwrite64", 1), ("pwrite64", 100)] {
        dies_of(call, "phoneops.db", when, "much");
    }
}

/// The `when`-th `call` on `file` fails: the process must end there and then, and keep what it had acknowledged.
fn dies_of(call: &str, file: &str, when: usize, role: &str) {
    let place = Place::new();
    let case = format!("{call} number {when} on {file}, {role}");
    let path = place.0.path().join(file);
    let inject = format!("inject={call}:error=EIO:when={when}");
    let (output, calls) = place.traced(role, &["-P".as_ref(), path.as_ref(), "-e".as_ref(), inject.as_ref()]);
    assert!(calls.iter().any(|call| call.contains("(INJECTED)")), "{case}: it never came to that\n{}", said(&output));
    assert_eq!(output.status.code(), Some(IO_ERROR), "{case}\n{}", said(&output));
    let told = said(&output);
    let acknowledged: Vec<i64> = told.lines().filter_map(|line| line.strip_prefix("committed ")?.parse().ok()).collect();
    assert!(!told.contains("refused"), "{case}: it went on\n{told}");
    let kept = place.numbers();
    assert!(acknowledged.iter().all(|n| kept.contains(n)), "{case}: {acknowledged:?} were acknowledged, {kept:?} are there");
}

#[test]
fn a_full_disk_refuses_writes_and_recovers_by_itself() {
    recovers("full disk");
}

#[test]
fn a_disk_too_full_for_the_index_of_a_long_log_is_only_full() {
    recovers("full disk, long log");
}

/// Runs the helper in a directory of 32 MB.
fn recovers(role: &str) {
    let place = Place::new();
    let mut unshare = Command::new("unshare");
    unshare.arg("--mount");
    if !rustix::process::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    // Nobody but the helper sees this small disk, and it is gone with it.
    unshare.args(["sh", "-c", "mount -t tmpfs -o size=32m tmpfs \"$0\" && exec \"$@\""]).arg(place.0.path());
    let output = run(place.as_helper(unshare, role));
    assert!(output.status.success() && said(&output).contains("recovered"), "{}", said(&output));
}

/// A directory with a database that has a table of numbers.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary directory"));
        runtime().block_on(async { drop(open(place.0.path()).await) });
        place
    }

    /// Runs the helper under strace: how it ended, and its syncs and writes in their order.
    fn traced(&self, role: &str, filter: &[&OsStr]) -> (Output, Vec<String>) {
        let log = self.0.path().join("strace.log");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-e", "trace=fdatasync,fsync,write,pwrite64", "-e", "signal=none", "-o"]).arg(&log);
        let output = run(self.as_helper(
            {
                strace.args(filter).arg("--");
                strace
            },
            role,
        ));
        let log = std::fs::read_to_string(log).expect("strace keeps a log");
        (output, completed(&log))
    }

    /// `command`, with the helper as what it is to run.
    fn as_helper(&self, mut command: Command, role: &str) -> Command {
        command.arg(std::env::current_exe().expect("this program has a path"));
        command.args(["helper", "--exact", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).env(DIRECTORY, self.0.path());
        command
    }

    fn numbers(&self) -> Vec<i64> {
        let connection = rusqlite::Connection::open(database(self.0.path())).expect("the database opens");
        let mut select = connection.prepare("select n from numbers order by n").expect("the table is there");
        select.query_map([], |row| row.get(0)).and_then(Iterator::collect).expect("the numbers can be read")
    }
}

fn run(mut command: Command) -> Output {
    let program = command.get_program().to_owned();
    command.output().unwrap_or_else(|error| panic!("{}: {error}; ./scripts/test installs it", program.display()))
}

fn said(output: &Output) -> String {
    format!("{}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The calls of a strace log in the order of their ends; one that was interrupted by another thread's is put together again.
fn completed(log: &str) -> Vec<String> {
    let mut begun = std::collections::HashMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let (thread, call) = line.split_once(' ').expect("strace -f writes the thread first");
        if let Some(beginning) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, beginning.trim_start());
        } else if let Some((_, end)) = call.split_once(" resumed>") {
            calls.push(format!("{}{end}", begun.remove(thread).expect("what is resumed was begun")));
        } else {
            calls.push(call.trim_start().to_owned());
        }
    }
    calls
}

// --- The process that is watched --------------------------------------------------------------------------------------------

/// Writes in one run.
const WRITES: usize = 40;

#[test]
fn helper() {
    // Nothing by itself: it is the process that the tests of this file start and watch.
    let Ok(role) = std::env::var(ROLE) else { return };
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).expect("a directory"));
    runtime().block_on(async {
        let store = open(&directory).await;
        match role.as_str() {
            "one by one" => write_each(&store, 1).await,
            "much" => write_each(&store, 200_000).await,
            "in groups" => drop(join_all((0..).take(WRITES).map(|n| write(&store, n, 1))).await),
            "full disk" => full_disk(&store, &directory).await,
            "full disk, long log" => long_log(&store, &directory).await,
            other => panic!("{other} is no role"),
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn database(directory: &Path) -> PathBuf {
    directory.join("phoneops.db")
}

async fn open(directory: &Path) -> Store {
    let path = database(directory);
    let store = Store::open(&Options::Lite { path: path.clone() }).await.expect("the database opens");
    let raw = rusqlite::Connection::open(path).expect("the database opens");
    raw.execute_batch("create table if not exists numbers (n integer primary key, filler blob)").expect("the table is made");
    store
}

async fn write_each(store: &Store, bytes: i64) {
    for n in (0..).take(WRITES) {
        write(store, n, bytes).await.expect("a write is done, or the process ends");
    }
}

/// Writes one number, and says so in one system call.
async fn write(store: &Store, n: i64, bytes: i64) -> Result<()> {
    let out: Result<u64> =
        store.write(move |tx| Box::pin(async move { tx.query(INSERT).bind(n).bind(bytes).execute().await })).await;
    let line = match &out {
        Ok(_) => format!("committed {n}\n"),
        Err(error) => format!("refused {n}: {error}\n"),
    };
    std::io::stderr().write_all(line.as_bytes()).expect("standard error takes it");
    out.map(drop)
}

const INSERT: &str = "insert into numbers (n, filler) values ($1, randomblob($2))";

/// Fills the disk up and empties it again, several times, and holds the store to what it said.
async fn full_disk(store: &Store, directory: &Path) {
    let ballast = directory.join("ballast");
    let mut kept = Vec::new();
    for round in 0..4 {
        let start = round * 1_000;
        write(store, start, 1_000).await.expect("there is room");
        kept.push(start);
        // One round with no room at all, one with enough for some of a group or half of a large write.
        fill(&ballast, if round % 2 == 0 { 0 } else { 600_000 });
        let sizes = [3_000, 40_000, 2_500_000];
        let writes = (start + 1..start + 60).map(|n| write(store, n, sizes[usize::try_from(n % 20 / 9).unwrap_or(0)]));
        let outs = join_all(writes).await;
        for (n, out) in (start + 1..).zip(&outs) {
            match out {
                Ok(()) => kept.push(n),
                Err(Error::Unavailable(_)) => {}
                Err(other) => panic!("{n}: {other}"),
            }
        }
        assert!(outs.iter().any(Result::is_err), "the disk was not full");
        assert_eq!(stored(store).await, kept, "while the disk is full");
        std::fs::remove_file(&ballast).expect("the ballast can be removed");
        write(store, start + 999, 100_000).await.expect("there is room again, and the first write finds it");
        kept.push(start + 999);
        assert_eq!(stored(store).await, kept, "once there is room again");
        trim(store).await;
    }
    let raw = rusqlite::Connection::open(database(directory)).expect("the database opens");
    let sound: String = raw.query_row("pragma integrity_check", [], |row| row.get(0)).expect("it can be checked");
    assert_eq!(sound, "ok");
    std::io::stderr().write_all(b"recovered\n").expect("standard error takes it");
}

/// A reader that stays keeps the log growing until its index needs another 32 KiB, on a disk that has room for a small write and
/// not for those. SQLite calls that an I/O error; it is a full disk.
async fn long_log(store: &Store, directory: &Path) {
    let (ballast, log) = (directory.join("ballast"), directory.join("phoneops.db-wal"));
    let frames = || std::fs::metadata(&log).expect("there is a log").len() / 4_120;
    let reader = rusqlite::Connection::open(database(directory)).expect("the database opens");
    reader.execute_batch("begin; select count(*) from numbers").expect("it reads");
    let (mut kept, mut refused) = (Vec::new(), 0);
    for n in 0.. {
        let nearly = frames() > 4_000;
        if nearly {
            fill(&ballast, 28 * 1024);
        }
        match write(store, n, if nearly { 100 } else { 100_000 }).await {
            Ok(()) => kept.push(n),
            Err(Error::Unavailable(_)) => refused += 1,
            Err(other) => panic!("{n}: {other}"),
        }
        assert_eq!(stored(store).await, kept);
        if nearly {
            std::fs::remove_file(&ballast).expect("the ballast can be removed");
        }
        if frames() > 4_200 {
            break;
        }
    }
    assert!(refused > 0, "the index found room");
    drop(reader);
    write(store, 9_999, 100_000).await.expect("there is room again");
    std::io::stderr().write_all(b"recovered\n").expect("standard error takes it");
}

/// Takes all but about `leave` bytes of the disk.
fn fill(ballast: &Path, leave: u64) {
    let mut file = std::fs::File::create(ballast).expect("the ballast can be made");
    while file.write_all(&[7; 4096]).is_ok() {}
    let size = file.metadata().expect("it has a size").len();
    file.set_len(size.saturating_sub(leave)).expect("it can be cut");
}

/// The numbers stay, their bulk goes, so that the small disk lasts.
async fn trim(store: &Store) {
    let done: Result<u64> =
        store.write(|tx| Box::pin(async { tx.query("update numbers set filler = null").execute().await })).await;
    done.expect("there is room");
}

async fn stored(store: &Store) -> Vec<i64> {
    let all: Result<_> = store.read(|db| Box::pin(async { db.query("select n from numbers order by n").all().await })).await;
    all.expect("reading goes on")
}
