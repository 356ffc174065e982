//! Asking, waiting for the answer, and giving up in good order.
//!
//! **Invariants**
//! - A server that restarts does not end the wait; one that is gone for longer than the request can live does.

use std::time::Duration;

use serde_json::Value;

use super::super::interrupt::Interrupt;
use super::super::reply::read;
use super::super::words::countdown;
use super::super::{Failure, Out};
use super::words::{Approval, State};
use crate::client::{Client, Error, Reply};
use crate::clock::{Clock, Timestamp};

/// Seconds of one long poll: shorter than the time limits of most proxies.
const POLL: u32 = 25;

/// How long a server that does not answer is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// How long after the deadline the server may still say what became of the request.
const GRACE: Duration = Duration::from_secs(30);

/// How long an interrupted command goes on for the sake of good order.
const PARTING: Duration = Duration::from_secs(5);

/// What came of asking.
#[derive(Debug)]
pub(in crate::cli) enum Asked {
    /// The server took the request; the approval's body.
    Taken(Value),
    /// A signal came first; says what became of the request.
    Interrupted(String),
}

/// How a wait ended.
#[derive(Debug)]
pub(in crate::cli) enum Ended {
    /// With a terminal state; the approval's body.
    Decided(Value),
    /// By a signal; says what became of the request.
    Interrupted(String),
}

/// A request under way.
pub(in crate::cli) struct Waiting {
    client: Client,
    interrupt: Interrupt,
    clock: Clock,
}

impl Waiting {
    pub(in crate::cli) fn new(client: Client, interrupt: Interrupt) -> Self {
        Self { client, interrupt, clock: Clock::system() }
    }

    /// Asks, and gives the approval's body.
    pub(in crate::cli) async fn ask(&mut self, ask: &Value) -> Result<Asked, Failure> {
        let asking = self.client.post("/v1/approvals", ask);
        tokio::pin!(asking);
        tokio::select! {
            reply = &mut asking => return Ok(Asked::Taken(reply?.body)),
            () = self.interrupt.signalled() => {}
        }
        // The request may be there already: only with its id can it be cancelled.
        let Ok(reply) = tokio::time::timeout(PARTING, asking).await else {
            let why = "Interrupted before the server answered: if it took the request, that ends by itself";
            return Ok(Asked::Interrupted(why.into()));
        };
        let asked: Approval = read(&reply?.body)?;
        Ok(Asked::Interrupted(self.cancel(&asked).await))
    }

    /// Waits until `asked` is decided, showing what is left of its time.
    pub(in crate::cli) async fn until_decided(&mut self, asked: &Approval, out: &mut Out) -> Result<Ended, Failure> {
        let since = self.clock.now();
        let path = format!("/v1/approvals/{}?wait={POLL}", asked.id);
        let mut asked = asked.clone();
        loop {
            let polled_at = self.clock.now();
            let client = self.client.clone();
            let Some(reply) = self.unless_interrupted(client.get(&path), &asked, since, out).await else {
                out.clear_progress();
                return Ok(Ended::Interrupted(self.cancel(&asked).await));
            };
            let pause = reply.as_ref().err().map_or(PAUSE, pause_after);
            let overdue = since.until(self.clock.now()) > asked.life() + GRACE;
            match reply {
                Ok(reply) => {
                    let now = read::<Approval>(&reply.body)?;
                    if now.state != State::Pending {
                        out.clear_progress();
                        return Ok(Ended::Decided(reply.body));
                    }
                    // A break-glass lets it live longer, and is news.
                    let (news, longer) = (now.break_glass.is_some() && asked.break_glass.is_none(), now.life() > asked.life());
                    if news {
                        out.clear_progress();
                        out.note(now.sentence());
                    }
                    if overdue && !longer {
                        return Err(Failure::Other(format!("request {} should be over, and is not", asked.tag)));
                    }
                    asked = now;
                }
                Err(error) if passes(&error) && !overdue => {}
                Err(error) => return Err(error.into()),
            }
            // A server that is closing answers at once: asking it again at once would be a storm.
            let early = pause.saturating_sub(polled_at.until(self.clock.now()));
            if self.unless_interrupted(tokio::time::sleep(early), &asked, since, out).await.is_none() {
                out.clear_progress();
                return Ok(Ended::Interrupted(self.cancel(&asked).await));
            }
        }
    }

    /// The work's result, with a countdown beside it; none when interrupted.
    async fn unless_interrupted<T>(
        &mut self,
        work: impl Future<Output = T>,
        asked: &Approval,
        since: Timestamp,
        out: &mut Out,
    ) -> Option<T> {
        tokio::pin!(work);
        loop {
            let left = asked.life().saturating_sub(since.until(self.clock.now()));
            out.progress(format_args!("Waiting for an answer to {}: {} left", asked.tag, countdown(left)));
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = self.interrupt.signalled() => return None,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Withdraws the request and says what became of it.
    async fn cancel(&self, asked: &Approval) -> String {
        let path = format!("/v1/approvals/{}", asked.id);
        let tag = &asked.tag;
        match tokio::time::timeout(PARTING, self.client.delete(&path)).await {
            Ok(Ok(_)) => format!("Interrupted: request {tag} is cancelled"),
            Ok(Err(error)) => match decided(tokio::time::timeout(PARTING, self.client.get(&path)).await) {
                Some(sentence) => format!("Interrupted, but too late to cancel: {sentence}"),
                None => format!("Interrupted, but request {tag} could not be cancelled: {}", Failure::from(error)),
            },
            Err(_) => format!("Interrupted, but request {tag} could not be cancelled: the server does not answer"),
        }
    }
}

/// What a decided approval says.
fn decided(reply: Result<Result<Reply, Error>, tokio::time::error::Elapsed>) -> Option<String> {
    let approval: Approval = read(&reply.ok()?.ok()?.body).ok()?;
    (approval.state != State::Pending).then(|| approval.sentence())
}

/// Whether the next try may succeed: the server is away, or has no time.
fn passes(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } => true,
        // Of a download, and this is none.
        Error::Unwritten(_) => false,
        Error::Refused(refusal) => refusal.status == 429 || refusal.status >= 500,
        // A proxy in front of a server that is away answers with a page of its own.
        Error::NotPhoneOps { status, .. } => *status == 429 || *status >= 500,
    }
}

/// How long a server that said no is left alone: as long as it asks for, within reason.
fn pause_after(error: &Error) -> Duration {
    match error {
        Error::Refused(refusal) => refusal.retry_after.map_or(PAUSE, |asked| asked.clamp(PAUSE, GRACE)),
        Error::Unreachable { .. } | Error::NotPhoneOps { .. } | Error::Unwritten(_) => PAUSE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Refusal;

    fn refused(status: u16, retry_after: Option<u64>) -> Error {
        let (retry_after, body) = (retry_after.map(Duration::from_secs), Value::Null);
        Error::Refused(Box::new(Refusal { status, code: String::new(), detail: String::new(), retry_after, body }))
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let refused = |status| passes(&refused(status, None));
        assert_eq!([400, 401, 404, 409, 429, 500, 503].map(refused), [false, false, false, false, true, true, true]);
        let page = |status| passes(&Error::NotPhoneOps { base: String::new(), status });
        assert_eq!([200, 404, 502].map(page), [false, false, true]);
    }

    #[test]
    fn a_server_is_left_alone_as_long_as_it_asks_for() {
        let asked = [None, Some(0), Some(3), Some(86_400)];
        let pauses = asked.map(|asked| pause_after(&refused(503, asked)).as_secs());
        assert_eq!(pauses, [1, 1, 3, 30]);
    }
}
