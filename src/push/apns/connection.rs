//! One connection of HTTP/2, and one request on it.
//!
//! **Invariants**
//! - A request is called unprocessed only where the peer or this side knows it: it was never sent, the peer refused its stream, or a
//!   GOAWAY named a lower one. Everything else that brings no answer is unknown.
//! - A request that nobody waits for any more is reset.
//! - Flow control is the library's: what a window has no room for waits in memory, at most a payload for each stream.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{PingPong, Reason, RecvStream};
use http::{Request, Response};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::reply::Reply;
use super::silence::{Heard, Heeded, Owed};
use super::{ANSWER, NoToken};
use crate::clock::{Clock, Timestamp};

/// How much of an answer is read.
const REPLY_MAX_BYTES: usize = 4_096;

/// How much of an answer's headers.
const HEADERS_MAX_BYTES: u32 = 16_384;

/// The library's half of a connection, which must be polled.
pub(super) type Traffic = h2::client::Connection<Heeded<TlsStream<TcpStream>>, Bytes>;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Lost {
    /// The peer did not look at it: it may be sent again at once.
    Unprocessed(String),
    /// There was no connection to send it on.
    NoConnection(String),
    /// There was no token to send it with.
    NoToken(NoToken),
    /// The peer may have taken it.
    Unknown(String),
    /// It was not sent, for its time to leave is over.
    Late,
}

/// One connection.
pub(super) struct Connection {
    /// Which one: they are never numbered twice.
    pub(super) number: u64,
    /// Ends it, once nothing is asked on it any more.
    pub(super) over: CancellationToken,
    sender: SendRequest<Bytes>,
    /// Whether a request was made on it.
    used: AtomicBool,
    owed: Mutex<Owed>,
}

/// A request that waits for its answer, until it is dropped.
struct InHand<'c>(&'c Connection);

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.owed().left();
    }
}

/// What a connection needs to be followed.
pub(super) struct Followed {
    pub(super) traffic: Traffic,
    pub(super) pings: PingPong,
    pub(super) heard: Heard,
    /// Says when no new request may be made.
    pub(super) probe: SendRequest<Bytes>,
}

impl Connection {
    /// Greets the peer.
    pub(super) async fn greet(tls: TlsStream<TcpStream>, number: u64) -> Result<(Self, Followed), String> {
        let (heeded, heard) = Heeded::new(tls);
        let (sender, mut traffic) = Builder::new()
            .enable_push(false)
            // What a peer allows that has said nothing yet.
            .initial_max_send_streams(1)
            .max_header_list_size(HEADERS_MAX_BYTES)
            .handshake(heeded)
            .await
            .map_err(|error| format!("HTTP/2: {}", why(&error)))?;
        let pings = traffic.ping_pong().ok_or("HTTP/2: the library lends its pings once")?;
        let probe = sender.clone();
        let connection =
            Self { number, over: CancellationToken::new(), sender, used: AtomicBool::new(false), owed: Mutex::default() };
        Ok((connection, Followed { traffic, pings, heard, probe }))
    }

    /// Whether the next request is its first.
    pub(super) fn is_first(&self) -> bool {
        !self.used.swap(true, Ordering::Relaxed)
    }

    /// What it owes.
    pub(super) fn owed(&self) -> MutexGuard<'_, Owed> {
        // Nothing that is done under the lock panics.
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks once, now, and reads the answer. The error says besides whether the connection should be given up.
    pub(super) async fn exchange(
        &self,
        request: Request<()>,
        body: Bytes,
        now: Timestamp,
        over: Timestamp,
        clock: &Clock,
    ) -> Result<Reply, (Lost, bool)> {
        let until = over.min(now.after(ANSWER));
        let mut sender = self.sender.clone();
        let unsent = |error: &h2::Error| (Lost::Unprocessed(why(error)), true);
        // It never waits: nothing was asked by this handle. It says whether anything may be asked at all.
        poll_fn(|cx| sender.poll_ready(cx)).await.map_err(|error| unsent(&error))?;
        let (answer, mut stream) = sender.send_request(request, false).map_err(|error| unsent(&error))?;
        // It fails when the stream was reset meanwhile: then the answer says how.
        let _ = stream.send_data(body, true);
        self.owed().asked(now);
        let _in_hand = InHand(self);
        tokio::select! {
            biased;
            answer = answer => match answer {
                Ok(answer) => {
                    self.owed().answered(clock.now());
                    Ok(read(answer, until, clock).await)
                }
                Err(error) => {
                    if error.is_reset() && error.is_remote() {
                        self.owed().answered(clock.now());
                    }
                    Err(lost(&error))
                }
            },
            () = clock.sleep_until(until) => {
                // Its own task would find out too, and not before somebody else was sent after this one.
                let is_wedged = self.owed().is_too_much(clock.now());
                Err((Lost::Unknown("no answer in time".to_owned()), is_wedged))
            }
        }
    }
}

/// Reads an answer. The status has decided already: a body that breaks off or dawdles changes nothing.
async fn read(answer: Response<RecvStream>, until: Timestamp, clock: &Clock) -> Reply {
    let (head, mut stream) = answer.into_parts();
    let mut body = Vec::new();
    if !head.status.is_success() && !stream.is_end_stream() {
        tokio::select! {
            biased;
            () = beginning(&mut stream, &mut body) => {}
            () = clock.sleep_until(until) => {}
        }
    }
    Reply::new(head.status.as_u16(), &head.headers, &body)
}

async fn beginning(stream: &mut RecvStream, body: &mut Vec<u8>) {
    while body.len() < REPLY_MAX_BYTES {
        let Some(Ok(chunk)) = stream.data().await else { return };
        let room = REPLY_MAX_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        // Fails only where the stream is over.
        let _ = stream.flow_control().release_capacity(chunk.len());
    }
}

/// What an error means for a request that was made; and whether the connection should be given up.
fn lost(error: &h2::Error) -> (Lost, bool) {
    // The library gives a GOAWAY of the peer's to the streams above its last, and to no others.
    if error.is_go_away() && error.is_remote() {
        return (Lost::Unprocessed(why(error)), true);
    }
    if error.is_reset() && error.is_remote() {
        // RFC 9113 section 8.7.
        return match error.reason() {
            Some(Reason::REFUSED_STREAM) => (Lost::Unprocessed(why(error)), false),
            _ => (Lost::Unknown(why(error)), false),
        };
    }
    (Lost::Unknown(why(error)), true)
}

/// For operators. What a peer adds to a GOAWAY is a stranger's text and is not repeated.
pub(super) fn why(error: &h2::Error) -> String {
    match (error.get_io(), error.reason()) {
        (Some(io), _) => format!("the connection broke: {io}"),
        (None, Some(reason)) if error.is_go_away() => format!("GOAWAY: {}", reason.description()),
        (None, Some(reason)) => format!("reset: {}", reason.description()),
        (None, None) => "the connection is over".to_owned(),
    }
}
