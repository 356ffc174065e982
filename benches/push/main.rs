//! How much of a processor a push to Apple costs: our carrier beside senders that people use, the transport alone.
//!
//! ```text
//! cargo bench --bench push -- --pushes 100000 --connections 1,4
//! ```
//!
//! The peer is this program again, in a process of its own: a server of HTTP/2 over TLS that answers 200 to everything. Each sender is
//! a process too and measures itself, once it is warm: its own processor time, user and system, and the clock on the wall. They run one
//! after the other, with the same payload of 1 KB, the same headers, and as many pushes under way.
//!
//! **Invariants**
//! - A push that is not answered 200 ends the run: there is no figure for work that was not done.
//! - A sender that is not on this machine is named as such.

#![expect(clippy::cast_precision_loss, reason = "figures are for people")]

mod ours;
mod peer;
mod peers;
#[path = "../loops/process.rs"]
#[expect(dead_code, reason = "memory is not measured here")]
mod process;

use std::process::ExitCode;

use clap::Parser;
use serde::{Deserialize, Serialize};

/// Why a run ends early.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What tells a child what it is to be.
const MARK: &str = "PUSH_BENCH_IS";

/// Measures senders of pushes on this machine.
#[derive(Parser)]
struct Options {
    /// Pushes that are counted.
    #[arg(long, default_value_t = 100_000)]
    pushes: usize,
    /// Pushes under way.
    #[arg(long, default_value_t = 200)]
    at_once: usize,
    /// Connections of each sender; several runs.
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
    let mut senders = vec![peers::ours()?];
    if !options.ours {
        senders.extend(peers::others());
    }
    println!("{} pushes of 1 KB, {} under way, {}\n", options.pushes, options.at_once, peers::machine());
    println!("{:<34} {:>11} {:>12} {:>16} {:>8}", "sender", "connections", "pushes/s", "per CPU-second", "load");
    for sender in senders {
        let (name, command) = match sender {
            Ok(sender) => sender,
            Err(why) => {
                println!("{why}");
                continue;
            }
        };
        for connections in &options.connections {
            let load = process::load_average();
            let task = peer.task(folder.path(), options, *connections)?;
            let Measured { pushes, wall_seconds, cpu_seconds } = peers::measure(&command, &task)?;
            let (wall, cpu) = (pushes as f64 / wall_seconds, pushes as f64 / cpu_seconds);
            println!("{name:<34} {connections:>11} {wall:>12.0} {cpu:>16.0} {load:>8.1}");
        }
    }
    Ok(())
}
