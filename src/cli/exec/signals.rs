//! Signals that the command is to hear of.
//!
//! **Invariants**
//! - A signal that was ignored when we were started (`nohup`) stays ignored, here and in the command.
//! - What the terminal sends to the whole foreground group, Ctrl-C, is not sent to the command a second time.

use std::fs::File;
use std::io;
use std::task::{Context, Poll, Waker};

use rustix::process::{Signal, getpgrp};
use tokio::signal::unix::Signal as Stream;

use crate::cli::interrupt::{INTERRUPTS, is_ignored, stream};

/// Passed on as well, but no reason not to start.
const OTHERS: [Signal; 2] = [Signal::USR1, Signal::USR2];

/// From when it is made, these signals do not end the process but are passed on.
pub(super) struct Passing(Vec<(Signal, Stream)>);

impl Passing {
    /// Starts watching.
    pub(super) fn watch() -> io::Result<Self> {
        let wanted = INTERRUPTS.into_iter().chain(OTHERS).filter(|signal| !is_ignored(*signal));
        wanted.map(|signal| Ok((signal, stream(signal)?))).collect::<io::Result<_>>().map(Self)
    }

    /// The next signal, as soon as there is one.
    pub(super) async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            let mut ready =
                self.0.iter_mut().filter_map(|(signal, stream)| stream.poll_recv(context).is_ready().then_some(*signal));
            ready.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Whether we were asked to end since this was made.
    pub(super) fn asked_to_end(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let mut ends = self.0.iter_mut().filter(|(signal, _)| INTERRUPTS.contains(signal));
        ends.any(|(_, stream)| stream.poll_recv(&mut context).is_ready())
    }
}

/// Whether the terminal has sent `signal` to the command itself, which is in our process group.
pub(super) fn heard_from_terminal(signal: Signal) -> bool {
    let by_key = matches!(signal, Signal::INT | Signal::QUIT);
    by_key && File::open("/dev/tty").is_ok_and(|tty| rustix::termios::tcgetpgrp(&tty).is_ok_and(|group| group == getpgrp()))
}
