//! Keeping to this process what is in it: the token in its environment and its memory, and the key of `--bind`.
//!
//! A process of the same user may read `/proc/PID/environ` and `/proc/PID/mem` of another that may dump core. One that may not belongs to
//! root as far as `/proc` goes (proc(5), prctl(2)). What it starts may again: the command is an ordinary process.

use crate::cli::Failure;

/// From now on no process but root's reads this one, or traces it.
#[cfg(target_os = "linux")]
pub(super) fn keep() -> Result<(), Failure> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    let why = |error| Failure::Other(format!("this process cannot be kept from being read by others: {error}"));
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(why)
}

/// Elsewhere there is no `/proc` that shows it.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "on Linux it can fail")]
pub(super) fn keep() -> Result<(), Failure> {
    Ok(())
}
