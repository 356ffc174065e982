//! Noticing that a connection is dead, which TCP alone takes minutes for; or wedged, when it answers PINGs and nothing else.
//!
//! **Invariants**
//! - A connection that owes an answer and on which nothing comes is dead after at most [`QUIET`] + [`PONG`] and a [`LOOK`]: 7 s.
//! - One that owes an answer, and gave nobody any for [`ANSWER`], is wedged.
//! - An answer is owed whether or not somebody still waits for it: a caller that has gone takes nothing of what it saw with it.
//! - One that owes nothing is tried once an hour.
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

use super::ANSWER;
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

/// What a connection owes: answers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Owed {
    /// Since when it has answered nobody, though somebody asked.
    since: Option<Timestamp>,
    /// How many wait.
    in_hand: usize,
}

impl Owed {
    pub(super) fn asked(&mut self, now: Timestamp) {
        self.in_hand += 1;
        self.since.get_or_insert(now);
    }

    /// Whoever was answered still counts among those who wait.
    pub(super) fn answered(&mut self, now: Timestamp) {
        self.since = (self.in_hand > 1).then_some(now);
    }

    /// One waits no more, answered or not.
    pub(super) fn left(&mut self) {
        self.in_hand -= 1;
    }

    /// Whether it owes for so long that it is not worth another request.
    pub(super) fn is_too_much(self, now: Timestamp) -> bool {
        self.since.is_some_and(|since| since.until(now) >= ANSWER)
    }
}

/// Returns once the connection is dead. `owed` says what it owes; `wedged` is called while that is too much.
pub(super) async fn notice(mut pings: PingPong, heard: Heard, clock: &Clock, owed: impl Fn() -> Owed, wedged: impl Fn()) {
    let mut quiet = Quiet { since: clock.now(), heard: heard.times(), asked: false };
    loop {
        let (now, owed) = (clock.now(), owed());
        if owed.is_too_much(now) {
            wedged();
        }
        if quiet.is_long(heard.times(), owed.since.is_some(), now) {
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
    fn an_answer_is_owed_until_somebody_has_one() {
        let mut owed = Owed::default();
        assert!(!owed.is_too_much(at(3_600)));
        owed.asked(at(0));
        owed.asked(at(5));
        assert!(!owed.is_too_much(at(9)) && owed.is_too_much(at(10)));
        owed.answered(at(9));
        owed.left();
        assert!(!owed.is_too_much(at(18)) && owed.is_too_much(at(19)), "the other one waits");
        owed.left();
        assert!(owed.is_too_much(at(19)), "and has gone");
        owed.asked(at(20));
        owed.answered(at(21));
        owed.left();
        assert!(!owed.is_too_much(at(3_600)));
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
