//! Hubot 14 from npm with its shell adapter, and `clients/hubot`.

use std::io::{BufReader, Read as _};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::Sender;

use serde_json::json;

use super::talk::{Bot, Stage};
use super::{fetched, home, passes};
use crate::support::TestDb;

/// The folder of npm that has `hubot`, and `clients/hubot` as `hubot-phoneops`.
fn modules() -> std::path::PathBuf {
    fetched("PHONEOPS_TEST_HUBOT", "target/hubot/node_modules")
}

crate::support::engines! { hubot_plays_the_talk }

async fn hubot_plays_the_talk(db: TestDb) {
    let stage = Stage::set(&db).await;
    let dir = stage.house.dir.path().join("hubot");
    // Hubot looks into all of these.
    for folder in ["scripts", "src/scripts", "configuration"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    // Scripts are loaded in order, while lines are read already: the last says that all are there.
    let ready = dir.join("ready.mjs");
    std::fs::write(&ready, "export default robot => robot.messageRoom('Shell', 'ready')\n").unwrap();
    let scripts = json!(["hubot-phoneops", format!("file://{}", ready.display())]);
    std::fs::write(dir.join("external-scripts.json"), scripts.to_string()).unwrap();
    let mut command = Command::new("node");
    command.arg(modules().join("hubot/bin/hubot")).args(["--name", "bot", "--disable-httpd"]).current_dir(&dir);
    command.env("HUBOT_SHELL_USER_NAME", "yannick").env("HUBOT_SHELL_USER_ID", "yannick").env("HUBOT_LOG_LEVEL", "warn");
    command.env("HUBOT_PHONEOPS_URL", &stage.house.issuer).env("HUBOT_PHONEOPS_WHISPER", "dm");
    command.env("HUBOT_PHONEOPS_KEY_FILE", dir.with_file_name("bot.pem")).env("HUBOT_PHONEOPS_KEY_NAME", "key");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Node runs: scripts/test installs it");
    let bot = Bot::new("bot ", child, messages);
    assert_eq!(bot.hear().as_deref(), Some("ready"));
    stage.play(bot).await;
}

/// What the shell adapter says: each message is bold, between prompts.
fn messages(mut output: BufReader<ChildStdout>, said: &Sender<String>) {
    let (mut seen, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = output.read(&mut bytes) {
        seen.extend_from_slice(&bytes[..read]);
        while let Some((message, after)) = bold(&seen) {
            if said.send(message).is_err() {
                return;
            }
            seen.drain(..after);
        }
    }
}

/// The first bold text, and where it ends.
fn bold(seen: &[u8]) -> Option<(String, usize)> {
    let (begin, end) = (b"\x1b[1m".as_slice(), b"\x1b[22m".as_slice());
    let find = |from: usize, what: &[u8]| seen[from..].windows(what.len()).position(|window| window == what).map(|at| from + at);
    let from = find(0, begin)? + begin.len();
    let until = find(from, end)?;
    Some((String::from_utf8_lossy(&seen[from..until]).into_owned(), until + end.len()))
}

#[test]
fn its_own_tests_pass() {
    passes(Command::new("node").arg("--test").current_dir(home("clients/hubot")));
}

/// What `npm install hubot-phoneops` would bring is what is needed.
#[test]
fn its_package_holds_what_it_loads() {
    let mut pack = Command::new("npm");
    pack.args(["pack", "--dry-run", "--json", "--ignore-scripts"]).current_dir(home("clients/hubot"));
    let output = pack.output().expect("npm runs: scripts/test installs it");
    let packed: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let files = packed[0]["files"].as_array().expect("files");
    let mut names: Vec<_> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["README.md", "package.json", "src/client.mjs", "src/phoneops.mjs", "src/signing.mjs"]);
}
