//! The senders: ours, and those that are on this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Failure, Kind, MARK, Measured, Task};

/// How a sender is run, under the name it is shown by.
pub(crate) type Sender = (&'static str, Run);

/// A program, its arguments, and what it is to be.
pub(crate) struct Run {
    program: PathBuf,
    arguments: Vec<PathBuf>,
}

/// Ours, which is this program again.
pub(crate) fn ours() -> Result<Result<Sender, String>, Failure> {
    Ok(Ok(("phoneops", Run { program: std::env::current_exe()?, arguments: Vec::new() })))
}

/// Whoever is there; and why not, of the others.
pub(crate) fn others(kind: Kind) -> Vec<Result<Sender, String>> {
    let node_apn = || node("@parse/node-apn", "8.1.0", "sender.mjs").map(|run| ("@parse/node-apn 8.1", run));
    let web_push = || node("web-push", "3.6.7", "web_push.mjs").map(|run| ("web-push 3.6 (npm)", run));
    match kind {
        Kind::Apns => {
            vec![go().map_err(|why| format!("Go net/http: {why}")), node_apn().map_err(|why| format!("@parse/node-apn: {why}"))]
        }
        Kind::WebPush => vec![web_push().map_err(|why| format!("web-push: {why}"))],
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/push/peers").join(name)
}

fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(name)
}

/// Go's own client of HTTP/2, on which the senders written in Go are built.
fn go() -> Result<Sender, Failure> {
    let folder = target("bench-go");
    std::fs::create_dir_all(&folder)?;
    let program = folder.join("sender");
    done(Command::new("go").arg("build").arg("-o").arg(&program).arg(source("sender.go")))?;
    Ok(("Go net/http", Run { program, arguments: Vec::new() }))
}

/// A sender that Node services use.
fn node(package: &str, version: &str, script: &str) -> Result<Run, Failure> {
    let folder = target("bench-npm");
    std::fs::create_dir_all(&folder)?;
    if !folder.join("node_modules").join(package).exists() {
        let wanted = format!("{package}@{version}");
        done(Command::new("npm").args(["install", "--no-audit", "--no-fund", &wanted]).current_dir(&folder))?;
    }
    let copy = folder.join(script);
    std::fs::copy(source(script), &copy)?;
    Ok(Run { program: "node".into(), arguments: vec![copy] })
}

fn done(command: &mut Command) -> Result<(), Failure> {
    let output = command.output().map_err(|error| format!("not on this machine: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).lines().take(5).collect::<Vec<_>>().join("; ").into())
}

/// Runs a sender to its end.
pub(crate) fn measure(run: &Run, task: &Task) -> Result<Measured, Failure> {
    let output = Command::new(&run.program)
        .args(&run.arguments)
        .env(MARK, "ours")
        .env("PUSH_BENCH_TASK", serde_json::to_string(task)?)
        .env("NODE_EXTRA_CA_CERTS", &task.ca_file)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", run.program.display(), output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The machine, in a few words.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} processors, which the peer shares")
}
