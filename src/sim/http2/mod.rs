//! The server's side of HTTP/2 (RFC 9113), for simulators that have to misbehave: they change the number of streams in the middle of
//! a connection, say GOAWAY with debug data and a low last stream, fall silent, reset, and hold windows shut.
//!
//! Servers that others wrote do not let themselves be asked for that: the `h2` crate's changes no limit after the handshake, and sends
//! no debug data.
//!
//! **Invariants**
//! - No request is handed to the [`Service`] before it is whole, nor twice.
//! - What the client may do by RFC 9113 is done; what it may not ends its connection.
//! - Every wait for time is for the injected clock's.

mod drive;
mod endpoint;
mod frame;
mod hpack;
mod message;
#[cfg(test)]
pub(in crate::sim) mod tests;

use std::time::Duration;

pub(in crate::sim) use drive::{Ended, drive, silent};
pub(in crate::sim) use endpoint::{Excess, Settings};
pub(in crate::sim) use frame::ErrorCode;
pub(in crate::sim) use hpack::Field;
pub(in crate::sim) use message::{Request, Response};

/// Goes on with a request when its time has come.
pub(in crate::sim) type Later<S> = Box<dyn FnOnce(&mut S) -> Act<S> + Send>;

/// What becomes of a request.
pub(in crate::sim) struct Act<S> {
    pub(in crate::sim) answer: Answer<S>,
    /// From now on so many streams, told before the answer.
    pub(in crate::sim) streams: Option<u32>,
    /// What happens to the connection afterwards.
    pub(in crate::sim) disturbance: Option<Disturbance>,
}

/// What the client hears.
pub(in crate::sim) enum Answer<S> {
    Response(Response),
    /// `RST_STREAM`.
    Reset(ErrorCode),
    /// Nothing, ever.
    Nothing,
    /// What `Later` says, after this time.
    After(Duration, Later<S>),
}

/// What happens to a whole connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Disturbance {
    /// TCP RST.
    Reset,
    /// Not another byte, and nothing is read, for as long as the client holds out.
    Silence,
    /// No window is opened for so long.
    Starve(Duration),
    /// GOAWAY with `NO_ERROR` and this debug data.
    GoAway { which: Processed, debug: String },
    /// Another limit of streams.
    Streams(u32),
}

/// Which requests a GOAWAY claims to have processed, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Processed {
    /// All that have arrived, and they are answered before the connection is closed.
    All,
    /// Those before this stream, and they are answered before the connection is closed.
    Before(u32),
    /// None that is not answered yet; the connection is closed when it is said.
    Answered,
    /// All that have arrived, but the connection is closed at once: what became of them is not known.
    Unknown,
}

impl<S> Act<S> {
    pub(in crate::sim) fn respond(response: Response) -> Self {
        Self { answer: Answer::Response(response), streams: None, disturbance: None }
    }

    pub(in crate::sim) fn reset(code: ErrorCode) -> Self {
        Self { answer: Answer::Reset(code), streams: None, disturbance: None }
    }

    pub(in crate::sim) fn nothing() -> Self {
        Self { answer: Answer::Nothing, streams: None, disturbance: None }
    }

    pub(in crate::sim) fn after(time: Duration, later: impl FnOnce(&mut S) -> Self + Send + 'static) -> Self {
        Self { answer: Answer::After(time, Box::new(later)), streams: None, disturbance: None }
    }

    pub(in crate::sim) fn and(mut self, disturbance: Disturbance) -> Self {
        self.disturbance = Some(disturbance);
        self
    }
}

/// What stands behind the connections. `Session` is what it knows of one.
pub(in crate::sim) trait Service: Send + Sync + 'static {
    type Session: Send;

    /// How a connection begins.
    fn settings(&self, session: &Self::Session) -> Settings;

    /// A request has arrived.
    fn receive(&self, session: &mut Self::Session, request: Request) -> Act<Self::Session>;

    /// A request was refused for being one too many.
    fn refused(&self, session: &mut Self::Session, stream: u32);

    /// The client asked whether somebody is there.
    fn pinged(&self, session: &mut Self::Session);
}
