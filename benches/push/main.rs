//! How much of a processor a push costs, to Apple and to browsers: our carriers beside senders that people use, the transport alone.
//!
//! ```text
//! cargo bench --bench push -- --pushes 100000 --connections 1,4
//! cargo bench --bench push -- --kind web-push --pushes 50000
//! ```
//!
//! The peer is this program again, in a process of its own: a server of HTTP/2 and HTTP/1.1 over TLS that takes everything. Each sender
//! is a process too and measures itself, once it is warm: its own processor time, user and system, and the clock on the wall. They run
//! one after the other, with the same payload of 1 KB, the same headers, and as many pushes under way. With Web Push each push is
//! encrypted for its browser, ours to 2,744 bytes; whoever speaks HTTP/1.1 has a connection for each push under way.
//!
//! **Invariants**
//! - A push that is not taken ends the run: there is no figure for work that was not done.
//! - A sender that is not on this machine is named as such.

#![expect(clippy::cast_precision_loss, reason = "figures are for people")]

mod ours;
mod peer;
mod peers;
#[path = "../loops/process.rs"]
#[expect(dead_code, reason = "memory is not measured here")]
mod process;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

/// Why a run ends early.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What tells a child what it is to be.
const MARK: &str = "PUSH_BENCH_IS";

/// Through whom phones are reached.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Apns,
    WebPush,
}

/// Measures senders of pushes on this machine.
#[derive(Parser)]
struct Options {
    /// To whom; both, when not said.
    #[arg(long = "kind", value_enum, value_delimiter = ',', default_values_t = [Kind::Apns, Kind::WebPush])]
    kinds: Vec<Kind>,
    /// Pushes that are counted.
    #[arg(long, default_value_t = 100_000)]
    pushes: usize,
    /// Pushes under way.
    #[arg(long, default_value_t = 200)]
    at_once: usize,
    /// Connections of each sender to Apple; several runs.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4])]
    connections: Vec<usize>,
    /// Ours alone.
    #[arg(long)]
    ours: bool,
    /// Given by `cargo bench`, and ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a sender is to do; it reads this as JSON from the environment variable `PUSH_BENCH_TASK`.
#[derive(Clone, Serialize, Deserialize)]
struct Task {
    kind: Kind,
    port: u16,
    ca_file: String,
    key_file: String,
    key_id: String,
    team_id: String,
    topic: String,
    /// A provider token, for senders that mint none.
    token: String,
    pushes: usize,
    at_once: usize,
    connections: usize,
    /// The text that makes the payload 1 KB.
    body: String,
}

/// What a sender measured.
#[derive(Deserialize, Serialize)]
struct Measured {
    pushes: usize,
    wall_seconds: f64,
    cpu_seconds: f64,
}

/// The device that everything is sent to.
const DEVICE: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";

fn main() -> ExitCode {
    let done = match std::env::var(MARK).as_deref() {
        Ok("peer") => peer::run(),
        Ok("ours") => ours::run(),
        _ => compare(&Options::parse()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let peer = peer::Running::start(folder.path())?;
    println!("{} pushes of 1 KB, {} under way, {}", options.pushes, options.at_once, peers::machine());
    for kind in &options.kinds {
        let mut senders = vec![peers::ours()?];
        if !options.ours {
            senders.extend(peers::others(*kind));
        }
        let connections: &[usize] = if *kind == Kind::Apns { &options.connections } else { &[1] };
        let to = if *kind == Kind::Apns { "to Apple" } else { "to browsers" };
        println!("\n{to:<34} {:>11} {:>12} {:>16} {:>8}", "connections", "pushes/s", "per CPU-second", "load");
        for sender in senders {
            match sender {
                Ok((name, run)) => {
                    measure(name, &run, connections, |connections| peer.task(folder.path(), options, *kind, connections))?;
                }
                Err(why) => println!("{why}"),
            }
        }
    }
    Ok(())
}

/// A line for each number of connections.
fn measure(
    name: &str,
    run: &peers::Run,
    connections: &[usize],
    task: impl Fn(usize) -> Result<Task, Failure>,
) -> Result<(), Failure> {
    for connections in connections {
        let load = process::load_average();
        let Measured { pushes, wall_seconds, cpu_seconds } = peers::measure(run, &task(*connections)?)?;
        let (wall, cpu) = (pushes as f64 / wall_seconds, pushes as f64 / cpu_seconds);
        println!("{name:<34} {connections:>11} {wall:>12.0} {cpu:>16.0} {load:>8.1}");
    }
    Ok(())
}
