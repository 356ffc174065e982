//! The verifier in `clients/verify`, as one process that answers a line for a line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The interpreter, with the packages of `clients/verify/requirements.txt`: `scripts/test` makes one.
const PYTHON: &str = "PHONEOPS_TEST_PYTHON";

struct Verifier {
    _process: Child,
    jobs: ChildStdin,
    verdicts: BufReader<ChildStdout>,
}

static VERIFIER: LazyLock<Mutex<Verifier>> = LazyLock::new(|| Mutex::new(start()));

/// The verifier's command line.
pub(crate) fn command() -> Command {
    let mut command = Command::new(std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into()));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/verify/phoneops_verify.py"));
    command
}

fn start() -> Verifier {
    let mut process = command().arg("--batch").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
    let (jobs, verdicts) = (process.stdin.take().expect("piped"), process.stdout.take().expect("piped"));
    Verifier { _process: process, jobs, verdicts: BufReader::new(verdicts) }
}

/// `valid`, or the name of the check that failed.
pub(crate) fn verdict(receipt: &[u8], keys: Option<&Value>) -> String {
    let mut verifier = VERIFIER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let job = json!({"receipt": STANDARD.encode(receipt), "issuer_keys": keys.map(Value::to_string)});
    writeln!(verifier.jobs, "{job}").expect("it reads");
    let mut verdict = String::new();
    verifier.verdicts.read_line(&mut verdict).expect("it writes");
    let hint = "the verifier in Python died: it needs the packages of clients/verify/requirements.txt, in the interpreter that";
    assert!(!verdict.is_empty(), "{hint} {PYTHON} names (./scripts/test makes one)");
    verdict.trim_end().to_owned()
}
