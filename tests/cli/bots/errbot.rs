//! Errbot, installed by pip, with its own test backend, and `clients/errbot`.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::Sender;

use super::talk::{Bot, Stage};
use super::{fetched, home, passes};
use crate::support::TestDb;

/// The interpreter, with the packages of `clients/errbot/tests/requirements.txt`.
fn python() -> Command {
    let mut command = Command::new(fetched("PHONEOPS_TEST_ERRBOT", "target/errbot/bin/python"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

crate::support::engines! { errbot_plays_the_talk }

async fn errbot_plays_the_talk(db: TestDb) {
    let stage = Stage::set(&db).await;
    let dir = stage.house.dir.path();
    let mut command = python();
    command.arg(home("tests/cli/bots/errbot_backend.py")).arg(home("clients/errbot/phoneops")).arg(&stage.house.issuer);
    // It makes temporary directories and leaves them.
    command.arg(dir.join("bot.pem")).arg("key").current_dir(dir).env("TMPDIR", dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(dir.join("errbot.log")).unwrap());
    stage.play(Bot::new("!", command.spawn().expect("Python runs"), messages)).await;
}

/// What the driver says: each message is a line, a string in JSON.
fn messages(output: BufReader<ChildStdout>, said: &Sender<String>) {
    for line in output.lines().map_while(Result::ok) {
        let message: String =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("the driver says only strings in JSON: {line}"));
        if said.send(message).is_err() {
            return;
        }
    }
}

#[test]
fn its_own_tests_pass() {
    passes(python().args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]).current_dir(home("clients/errbot")));
}
