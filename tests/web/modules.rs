//! The app's modules as they stand, without a browser.

use std::path::Path;
use std::process::Command;

use crate::browser::modules;

/// Runs Node in the house; what it says is the failure's text.
fn node(arguments: &[&Path]) {
    let output = Command::new("node").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.expect("Node runs: scripts/test installs it");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_types_hold() {
    node(&[&modules().join("typescript/bin/tsc"), Path::new("--project"), Path::new("web")]);
}

#[test]
fn they_hold_to_the_vectors() {
    let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("web/test")).expect("a folder");
    let tests: Vec<_> = folder
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    assert_ne!(tests.len(), 0);
    let arguments: Vec<_> = std::iter::once(Path::new("--test")).chain(tests.iter().map(std::path::PathBuf::as_path)).collect();
    node(&arguments);
}
