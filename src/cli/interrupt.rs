//! Ctrl-C, and the SIGTERM of whoever supervises us.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;

/// From when it is made until the process ends, SIGINT and SIGTERM do not kill the process but are waited for here.
pub(super) struct Interrupt {
    int: Signal,
    term: Signal,
}

impl Interrupt {
    /// Starts watching.
    pub(super) fn watch() -> Result<Self, Failure> {
        let watch =
            || -> io::Result<Self> { Ok(Self { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? }) };
        watch().map_err(Failure::Signals)
    }

    /// Returns at the next signal. One that came since the last call counts.
    pub(super) async fn signalled(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}
