//! Noticing that a connection is dead, which TCP alone takes minutes for.
//!
//! **Invariants**
//! - A connection on which something is asked and nothing comes is dead after at most [`QUIET`] + [`PONG`] and a [`LOOK`]: 7 s.
//! - One on which nothing is asked is tried once an hour.
//! - Whatever comes is a sign of life, not the pong alone.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, mem};

use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::{Clock, Timestamp};

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long nothing may come while something is asked.
const QUIET: Duration = Duration::from_secs(3);

/// How long nothing may come when nothing is asked: Apple advises an hour.
const IDLE: Duration = Duration::from_hours(1);

/// How long a PING may go without any answer.
const PONG: Duration = Duration::from_secs(3);

/// How often something was read from a connection.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<AtomicU64>);

impl Heard {
    fn times(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection that counts how often something comes.
pub(super) struct Heeded<T> {
    inner: T,
    heard: Heard,
}

impl<T> Heeded<T> {
    pub(super) fn new(inner: T) -> (Self, Heard) {
        let heard = Heard::default();
        (Self { inner, heard: heard.clone() }, heard)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Heeded<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.heard.0.fetch_add(1, Ordering::Relaxed);
        }
        done
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Heeded<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Returns once the connection is dead. `is_asked` says whether an answer is waited for.
pub(super) async fn notice(mut pings: PingPong, heard: Heard, clock: &Clock, is_asked: impl Fn() -> bool) {
    let mut quiet = Quiet { since: clock.now(), heard: heard.times(), asked: false };
    loop {
        let now = clock.now();
        if quiet.is_long(heard.times(), is_asked(), now) {
            answered(&mut pings, &heard, clock, now.after(PONG)).await;
            if heard.times() == quiet.heard {
                return;
            }
        }
        clock.sleep_until(clock.now().after(LOOK)).await;
    }
}

/// Sends a PING; returns with its pong, or at `until`.
async fn answered(pings: &mut PingPong, heard: &Heard, clock: &Clock, until: Timestamp) {
    let before = heard.times();
    // An earlier one may still be on its way: then its pong will do.
    let _ = pings.send_ping(Ping::opaque());
    tokio::select! {
        biased;
        _ = poll_fn(|cx| pings.poll_pong(cx)) => {}
        () = clock.sleep_until(until) => tracing::debug!(heard = heard.times() - before, "no pong"),
    }
}

/// For how long nothing came.
struct Quiet {
    since: Timestamp,
    heard: u64,
    asked: bool,
}

impl Quiet {
    fn is_long(&mut self, heard: u64, asked: bool, now: Timestamp) -> bool {
        let was_asked = mem::replace(&mut self.asked, asked);
        // The silence of a connection of which nothing was asked says nothing.
        if mem::replace(&mut self.heard, heard) != heard || (asked && !was_asked) {
            self.since = now;
        }
        self.since.until(now) >= if asked { QUIET } else { IDLE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn at(seconds: u64) -> Timestamp {
        NOW.after(Duration::from_secs(seconds))
    }

    #[test]
    fn silence_is_long_when_something_is_asked_for_as_long() {
        let mut quiet = Quiet { since: NOW, heard: 0, asked: false };
        assert!(!quiet.is_long(0, false, at(3_599)));
        assert!(quiet.is_long(0, false, at(3_600)));
        // Asked after an hour of silence: the three seconds begin now.
        assert!(!quiet.is_long(0, true, at(3_600)));
        assert!(!quiet.is_long(0, true, at(3_602)));
        assert!(quiet.is_long(0, true, at(3_603)));
        assert!(!quiet.is_long(1, true, at(3_604)));
        assert!(!quiet.is_long(1, true, at(3_606)));
        assert!(quiet.is_long(1, true, at(3_607)));
    }
}
