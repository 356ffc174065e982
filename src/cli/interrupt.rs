//! Ctrl-C, the SIGTERM of whoever supervises us, and the end of the terminal.

use std::io;
use std::task::Poll;

use rustix::process::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::Failure;

/// The signals that ask to end.
pub(super) const INTERRUPTS: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

/// From when it is made until the process ends, these signals do not kill the process but are waited for here.
pub(super) struct Interrupt(Vec<Stream>);

impl Interrupt {
    /// Starts watching.
    pub(super) fn watch() -> Result<Self, Failure> {
        // In the background of a shell SIGINT is ignored; that whoever waits for a person can be ended by it is worth more.
        let hangup = !is_ignored(Signal::HUP);
        let wanted = INTERRUPTS.into_iter().filter(|signal| *signal != Signal::HUP || hangup);
        wanted.map(stream).collect::<io::Result<_>>().map(Self).map_err(Failure::Signals)
    }

    /// Returns at the next signal. One that came since the last call counts.
    pub(super) async fn signalled(&mut self) {
        std::future::poll_fn(|context| {
            let came = self.0.iter_mut().any(|stream| stream.poll_recv(context).is_ready());
            if came { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Watches for one signal.
pub(super) fn stream(wanted: Signal) -> io::Result<Stream> {
    signal(SignalKind::from_raw(wanted.as_raw()))
}

/// Whether a signal was ignored when the process was started, as `nohup` arranges; no where the operating system does not say.
pub(super) fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask & (1 << (signal.as_raw() - 1)) != 0
}
