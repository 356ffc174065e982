//! The door of a simulator: connections are accepted, counted, listed, and disturbed as scripted.
//!
//! **Invariants**
//! - A connection that was scripted to fail uses its fault up, whatever its client then does.
//! - Every connection is listed, also one that never said a word.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::http1;
use super::http2::{self, Disturbance, Ended, Processed, Service};
use super::script::{Faults, Script, Scripted};
use crate::clock::{Clock, Timestamp};

/// The list keeps the newest so many connections that have ended.
const LIST_LIMIT: usize = 10_000;

/// What happens to a whole connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ConnectionFault {
    /// Nothing at all: the place of a connection between two that fail.
    None,
    /// TCP RST as soon as it is accepted.
    Refuse,
    /// It is accepted, and the TLS handshake never answered.
    HangHandshake,
    /// So many requests are answered, and then none is. PING is.
    Hang {
        /// Requests that are answered first.
        after: u64,
    },
    /// So many requests are answered, and then nothing is, PING included.
    Silence {
        /// Requests that are answered first.
        after: u64,
    },
    /// So many requests are processed; the next breaks the connection (TCP RST) and is not processed.
    Reset {
        /// Requests that are processed first.
        after: u64,
    },
    /// So many requests are processed; with the next comes a GOAWAY.
    GoAway {
        /// Requests that are processed first.
        after: u64,
        /// The `reason` of the debug data.
        reason: String,
        /// Which requests it says were processed.
        which: GoAway,
    },
    /// From its first request on, no window is opened for so long.
    Starve {
        /// Milliseconds.
        ms: u64,
    },
    /// Every answer takes so much longer.
    Latency {
        /// Milliseconds.
        ms: u64,
    },
}

impl Scripted for ConnectionFault {}

/// What a GOAWAY says of the requests under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoAway {
    /// All that have arrived are answered; then the connection is closed.
    Graceful,
    /// The request that met it and those after it were not processed; the others are answered, and then the connection is closed.
    Unprocessed,
    /// The request that met it was processed, and may have been those after it; the connection is closed at once, without an answer.
    Unknown,
}

/// One connection, for the list.
#[derive(Clone, Debug, Serialize)]
pub struct Connection {
    /// 1, 2, 3 … since the simulator started.
    pub number: u64,
    /// When it was accepted.
    pub opened_at: Timestamp,
    /// When it ended; absent while it is open.
    pub closed_at: Option<Timestamp>,
    /// How it ended: `client`, `reset`, `goaway`, `stopped`, or what the client did that it may not.
    pub end: Option<String>,
    /// Whether TLS was agreed on.
    pub secured: bool,
    /// Requests that arrived on it.
    pub requests: u64,
    /// Requests that were refused for being one too many.
    pub refused_streams: u64,
    /// PINGs that were answered.
    pub pings: u64,
    /// The fault that was scripted for it.
    pub fault: Option<ConnectionFault>,
}

struct Open {
    connection: Connection,
    commands: UnboundedSender<Disturbance>,
}

#[derive(Default)]
struct State {
    faults: Faults<ConnectionFault>,
    open: HashMap<u64, Open>,
    closed: VecDeque<Connection>,
    accepted: u64,
}

/// Who came in, and what is to happen to whoever comes next.
pub(super) struct Gate {
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
    state: Mutex<State>,
}

/// A connection, from the side of whoever answers on it.
pub(super) struct Link {
    pub(super) number: u64,
    requests: u64,
    fault: ConnectionFault,
    gate: Arc<Gate>,
}

/// What the connection's fault makes of a request.
pub(super) enum Meeting {
    /// Nothing.
    Undisturbed,
    /// It is not processed.
    Lost(Option<Disturbance>),
    /// It is processed, and this happens.
    And(Disturbance),
    /// It is processed and not answered.
    Unanswered(Disturbance),
}

/// A service that is reached through a gate.
pub(super) trait Host: Service {
    /// Whether it is spoken to in HTTP/1.1 too.
    const HTTP1: bool = false;

    /// What it knows of a connection at first.
    fn greet(&self, link: Link) -> Self::Session;
}

impl Gate {
    pub(super) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { clock, stop: CancellationToken::new(), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while holding it")
    }

    pub(super) fn script(&self, fault: ConnectionFault, times: u32) {
        self.state().faults.script(Script::new(fault, times));
    }

    pub(super) fn clear(&self) {
        self.state().faults.clear();
    }

    /// Every connection, oldest first.
    pub(super) fn connections(&self) -> Vec<Connection> {
        let state = self.state();
        let open = state.open.values().map(|open| &open.connection);
        let mut all: Vec<_> = state.closed.iter().chain(open).cloned().collect();
        all.sort_by_key(|connection| connection.number);
        all
    }

    /// Does this to every connection that is open, and says to how many.
    pub(super) fn disturb(&self, disturbance: &Disturbance) -> usize {
        let state = self.state();
        state.open.values().filter(|open| open.commands.send(disturbance.clone()).is_ok()).count()
    }

    fn open(self: &Arc<Self>) -> (Link, UnboundedReceiver<Disturbance>) {
        let (commands, received) = unbounded_channel();
        let mut state = self.state();
        state.accepted += 1;
        let number = state.accepted;
        let fault = state.faults.next().unwrap_or(ConnectionFault::None);
        let connection = Connection {
            number,
            opened_at: self.clock.now(),
            closed_at: None,
            end: None,
            secured: false,
            requests: 0,
            refused_streams: 0,
            pings: 0,
            fault: Some(fault.clone()).filter(|fault| *fault != ConnectionFault::None),
        };
        state.open.insert(number, Open { connection, commands });
        (Link { number, requests: 0, fault, gate: Arc::clone(self) }, received)
    }

    fn note(&self, number: u64, change: impl FnOnce(&mut Connection)) {
        if let Some(open) = self.state().open.get_mut(&number) {
            change(&mut open.connection);
        }
    }

    fn close(&self, number: u64, how: &Ended) {
        let mut state = self.state();
        let Some(Open { mut connection, .. }) = state.open.remove(&number) else {
            return;
        };
        connection.closed_at = Some(self.clock.now());
        connection.end = Some(match how {
            Ended::ByClient => "client".to_owned(),
            Ended::Reset => "reset".to_owned(),
            Ended::WentAway => "goaway".to_owned(),
            Ended::Stopped => "stopped".to_owned(),
            Ended::Violation(why) => why.clone(),
        });
        if state.closed.len() == LIST_LIMIT {
            state.closed.pop_front();
        }
        state.closed.push_back(connection);
    }
}

impl Link {
    /// Counts a request and says what becomes of it.
    pub(super) fn meet(&mut self, stream: u32) -> Meeting {
        self.requests += 1;
        let nth = self.requests;
        self.gate.note(self.number, |connection| connection.requests = nth);
        match &self.fault {
            ConnectionFault::Hang { after } if nth > *after => Meeting::Lost(None),
            ConnectionFault::Silence { after } if nth > *after => Meeting::Lost(Some(Disturbance::Silence)),
            ConnectionFault::Reset { after } if nth > *after => Meeting::Lost(Some(Disturbance::Reset)),
            ConnectionFault::GoAway { after, reason, which } if nth == after + 1 => {
                which.meet(stream, reason, self.gate.clock.now())
            }
            ConnectionFault::Starve { ms } if nth == 1 => Meeting::And(Disturbance::Starve(Duration::from_millis(*ms))),
            _ => Meeting::Undisturbed,
        }
    }

    /// How much longer answers take.
    pub(super) fn latency(&self) -> Duration {
        let ConnectionFault::Latency { ms } = self.fault else {
            return Duration::ZERO;
        };
        Duration::from_millis(ms)
    }

    pub(super) fn refused(&self) {
        self.gate.note(self.number, |connection| connection.refused_streams += 1);
    }

    pub(super) fn pinged(&self) {
        self.gate.note(self.number, |connection| connection.pings += 1);
    }
}

impl GoAway {
    /// What it makes of the request on `stream`.
    pub(super) fn meet(self, stream: u32, reason: &str, now: Timestamp) -> Meeting {
        let say = |which| Disturbance::GoAway { which, debug: debug(reason, now) };
        match self {
            Self::Graceful => Meeting::And(say(Processed::All)),
            Self::Unprocessed => Meeting::Lost(Some(say(Processed::Before(stream)))),
            Self::Unknown => Meeting::Unanswered(say(Processed::Unknown)),
        }
    }

    /// The same for all requests of a connection.
    pub(super) fn at_any_time(self, reason: &str, now: Timestamp) -> Disturbance {
        let which = match self {
            Self::Graceful => Processed::All,
            Self::Unprocessed => Processed::Answered,
            Self::Unknown => Processed::Unknown,
        };
        Disturbance::GoAway { which, debug: debug(reason, now) }
    }
}

/// The debug data of a GOAWAY as Apple writes it, with the time in milliseconds.
fn debug(reason: &str, now: Timestamp) -> String {
    serde_json::json!({"reason": reason, "timestamp": now.as_micros() / 1_000}).to_string()
}

/// Accepts connections until it is stopped, and serves each in a task of its own.
pub(super) async fn each<F>(listener: TcpListener, stop: &CancellationToken, tasks: &TaskTracker, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(serve(stream));
            }
            Err(cause) => {
                // Out of file descriptors, mostly: trying again at once would only burn the processor.
                tracing::warn!(%cause, "a simulator could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Accepts connections until the gate is shut.
pub(super) async fn accept<H: Host>(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    host: Arc<H>,
    gate: Arc<Gate>,
    tasks: TaskTracker,
) {
    let serve = |stream| connection(stream, acceptor.clone(), Arc::clone(&host), Arc::clone(&gate));
    each(listener, &gate.stop, &tasks, serve).await;
}

async fn connection<H: Host>(stream: TcpStream, acceptor: TlsAcceptor, host: Arc<H>, gate: Arc<Gate>) {
    let (link, commands) = gate.open();
    let number = link.number;
    let ended = serve(stream, acceptor, host, &gate, link, commands).await;
    gate.close(number, &ended.unwrap_or(Ended::ByClient));
}

async fn serve<H: Host>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    host: Arc<H>,
    gate: &Gate,
    link: Link,
    mut commands: UnboundedReceiver<Disturbance>,
) -> io::Result<Ended> {
    stream.set_nodelay(true)?;
    match link.fault {
        ConnectionFault::Refuse => {
            stream.set_zero_linger()?;
            return Ok(Ended::Reset);
        }
        ConnectionFault::HangHandshake => return http2::silent(&stream, &mut commands, &gate.stop).await,
        _ => {}
    }
    let secured = tokio::select! {
        secured = acceptor.accept(stream) => secured?,
        () = gate.stop.cancelled() => return Ok(Ended::Stopped),
    };
    gate.note(link.number, |connection| connection.secured = true);
    let is_http2 = secured.get_ref().1.alpn_protocol() == Some(b"h2");
    let mut session = host.greet(link);
    if !is_http2 {
        return Ok(if H::HTTP1 { http1::drive(secured, host, session, &gate.clock, &gate.stop).await } else { Ended::Reset });
    }
    Ok(http2::drive(secured, host, &mut session, &gate.clock, &mut commands, &gate.stop).await)
}
