//! The command: started, told of signals, and waited for.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process, waitid};

use super::signals::{Passing, heard_from_terminal};

/// How it ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With this exit code; 128 and the signal's number when a signal ended it.
    Code(u8),
    /// Not at all: it was not started.
    NotStarted(io::Error),
    /// It was started, and the operating system does not say how it ended.
    Lost(io::Error),
}

/// Runs `program` with the words of `command`, and passes signals on until it ends.
pub(super) async fn run(program: &Path, command: &[OsString], approval: &str, passing: &mut Passing) -> Ended {
    let mut child = match start(program, command, approval) {
        Ok(child) => child,
        Err(error) => return Ended::NotStarted(error),
    };
    let pid = Pid::from_child(&child);
    let mut over = tokio::task::spawn_blocking(move || until_over(pid));
    loop {
        tokio::select! {
            _ = &mut over => break,
            signal = passing.next() => {
                if !heard_from_terminal(signal) {
                    // It has just ended, or is another user's by now: there is nobody to tell.
                    let _ = kill_process(pid, signal);
                }
            }
        }
    }
    match child.wait() {
        Ok(status) => Ended::Code(code(status)),
        Err(error) => Ended::Lost(error),
    }
}

fn start(program: &Path, command: &[OsString], approval: &str) -> io::Result<Child> {
    let mut child = Command::new(program);
    child.arg0(&command[0]).args(&command[1..]);
    // Whoever may ask for approvals is us, not what was approved.
    child.env_remove("PHONEOPS_TOKEN").env_remove("PHONEOPS_TOKEN_FILE").env("PHONEOPS_APPROVAL", approval);
    child.spawn()
}

/// Returns when it has ended, and leaves it to be collected: until then its number is nobody else's.
fn until_over(pid: Pid) {
    while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {}
}

fn code(status: ExitStatus) -> u8 {
    let signalled = status.signal().map(|signal| 128 + signal);
    status.code().or(signalled).and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
