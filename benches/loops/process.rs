//! What the kernel knows of a process: processor time, memory; and how busy the machine is.

use std::fs;
use std::time::Duration;

use crate::Failure;

/// Linux counts processor time for user space in hundredths of a second on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// Processor time that a process has used, user and system.
pub(crate) fn cpu(pid: u32) -> Result<Duration, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field, the name, may hold anything; what follows its last parenthesis is numbers.
    let after_name = text.rsplit_once(')').ok_or("/proc/pid/stat has no name")?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || Ok::<u32, Failure>(fields.next().ok_or("/proc/pid/stat is short")?.parse()?);
    Ok(TICK * (ticks()? + ticks()?))
}

/// Resident memory of a process, bytes.
pub(crate) fn resident(pid: u32) -> Result<u64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("/proc/pid/status has no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// The most memory that a process has had resident, bytes.
pub(crate) fn peak(pid: u32) -> Result<u64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("/proc/pid/status has no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// The machine's load average over the last minute.
pub(crate) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}
