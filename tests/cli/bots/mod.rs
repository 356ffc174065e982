//! Chat bots as people run them, fetched from npm and pip, with our scripts in `clients/`: each plays the talk against the real server,
//! with simulated phones, on both engines.

mod errbot;
mod hubot;
mod talk;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A path in the house.
fn home(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What `scripts/test` fetched, where a variable says; else where it leaves it.
fn fetched(variable: &str, made: &str) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(|| home(made), PathBuf::from);
    assert!(path.exists(), "{} is not there: run ./scripts/test, or set {variable}", path.display());
    path
}

/// Runs a client's own tests; what they say is the failure's text.
#[track_caller]
fn passes(command: &mut Command) {
    let output = command.output().expect("it runs: scripts/test installs it");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}
