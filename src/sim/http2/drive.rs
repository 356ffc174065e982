//! Moves the bytes of one connection: reads, asks the service, writes, and lets things happen at their time.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::endpoint::{Endpoint, Event};
use super::frame::{ErrorCode, Violation};
use super::{Act, Answer, Disturbance, Later, Processed, Request, Service};
use crate::clock::{Clock, Timestamp};

/// A client that does not read is not read from either, beyond so many bytes that wait for it.
const BACKLOG: usize = 1 << 20;
/// How long a client may take to hear that the connection is closed.
const LINGER: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Ended {
    /// The client closed it, or broke it.
    ByClient,
    /// TCP RST.
    Reset,
    /// GOAWAY, and closed.
    WentAway,
    /// GOAWAY, because the client did what it may not.
    Violation(String),
    /// The simulator was stopped.
    Stopped,
}

/// Something that is to happen later.
struct Due<S> {
    at: Timestamp,
    what: What<S>,
}

enum What<S> {
    Answer(u32, Later<S>),
    Feed,
}

/// Serves one connection until it ends. `commands` disturb it from outside.
pub(in crate::sim) async fn drive<S: Service>(
    stream: TlsStream<TcpStream>,
    service: Arc<S>,
    session: &mut S::Session,
    clock: &Clock,
    commands: &mut UnboundedReceiver<Disturbance>,
    stop: &CancellationToken,
) -> Ended {
    let (reader, writer) = split(stream);
    let endpoint = Endpoint::new(service.settings(session));
    let mut driver = Driver { service, session, clock, endpoint, due: Vec::new(), ending: None };
    let ended = driver.run(reader, writer, commands, stop).await;
    ended.unwrap_or_else(|_| driver.ending.unwrap_or(Ended::ByClient))
}

struct Driver<'a, S: Service> {
    service: Arc<S>,
    session: &'a mut S::Session,
    clock: &'a Clock,
    endpoint: Endpoint,
    due: Vec<Due<S::Session>>,
    /// Set when the connection is to be closed as soon as all is written.
    ending: Option<Ended>,
}

/// What happened to the connection.
enum Step {
    Read(usize),
    Wrote(usize),
    Flushed,
    Due,
    Disturbed(Disturbance),
    Stopped,
}

impl<S: Service> Driver<'_, S> {
    async fn run(
        &mut self,
        mut reader: ReadHalf<TlsStream<TcpStream>>,
        mut writer: WriteHalf<TlsStream<TcpStream>>,
        commands: &mut UnboundedReceiver<Disturbance>,
        stop: &CancellationToken,
    ) -> io::Result<Ended> {
        let mut buffer = vec![0; 65_536];
        let (mut written, mut flushed) = (0, true);
        loop {
            let disturbance = self.advance();
            if let Some(silent @ (Disturbance::Reset | Disturbance::Silence)) = disturbance {
                return end(reader, writer, &silent, commands, stop).await;
            }
            let unwritten = self.endpoint.out.len() - written;
            if unwritten == 0 && flushed && (self.ending.is_some() || self.endpoint.is_done()) {
                writer.shutdown().await?;
                linger(&mut reader, &mut buffer, stop).await;
                return Ok(self.ending.take().unwrap_or(Ended::WentAway));
            }
            let next_due = self.due.iter().map(|due| due.at).min();
            let step = tokio::select! {
                read = reader.read(&mut buffer), if unwritten < BACKLOG && self.ending.is_none() => Step::Read(read?),
                done = put(&mut writer, &self.endpoint.out[written..]), if unwritten > 0 || !flushed => done?,
                () = until(self.clock, next_due) => Step::Due,
                Some(disturbance) = commands.recv() => Step::Disturbed(disturbance),
                () = stop.cancelled() => Step::Stopped,
            };
            match step {
                Step::Read(0) => return Ok(Ended::ByClient),
                Step::Read(size) => self.endpoint.feed(&buffer[..size]),
                Step::Wrote(size) => {
                    written += size;
                    flushed = false;
                    if written == self.endpoint.out.len() {
                        self.endpoint.written();
                        written = 0;
                    }
                }
                Step::Flushed => flushed = true,
                Step::Due => {}
                Step::Disturbed(disturbance) => {
                    if let Some(silent) = self.disturb(disturbance) {
                        return end(reader, writer, &silent, commands, stop).await;
                    }
                }
                Step::Stopped => return Ok(Ended::Stopped),
            }
        }
    }

    /// Does all that can be done now. What silences the connection is left to the caller.
    fn advance(&mut self) -> Option<Disturbance> {
        let now = self.clock.now();
        while let Some(at) = self.due.iter().position(|due| due.at <= now) {
            let silent = match self.due.remove(at).what {
                What::Answer(stream, later) => {
                    let act = later(self.session);
                    self.act(stream, act)
                }
                What::Feed => {
                    self.endpoint.starving = false;
                    self.endpoint.replenish();
                    None
                }
            };
            if silent.is_some() {
                return silent;
            }
        }
        while self.ending.is_none() {
            match self.endpoint.next() {
                Ok(None) => break,
                Ok(Some(event)) => {
                    let silent = self.happened(event);
                    if silent.is_some() {
                        return silent;
                    }
                }
                Err(violation) => self.violated(violation),
            }
        }
        None
    }

    fn violated(&mut self, Violation { code, why }: Violation) {
        self.endpoint.go_away(self.endpoint.highest(), code, &why);
        self.ending = Some(Ended::Violation(why));
    }

    fn happened(&mut self, event: Event) -> Option<Disturbance> {
        match event {
            Event::Request(request) => self.receive(request),
            Event::Cancelled(stream) => {
                self.due.retain(|due| !matches!(due.what, What::Answer(of, _) if of == stream));
                None
            }
            Event::Refused(stream) => {
                self.service.refused(self.session, stream);
                None
            }
            Event::Ping => {
                self.service.pinged(self.session);
                None
            }
        }
    }

    fn receive(&mut self, request: Request) -> Option<Disturbance> {
        let stream = request.stream;
        let act = self.service.receive(self.session, request);
        self.act(stream, act)
    }

    fn act(&mut self, stream: u32, act: Act<S::Session>) -> Option<Disturbance> {
        if let Some(streams) = act.streams {
            self.endpoint.set_streams(streams);
        }
        match act.answer {
            Answer::Response(response) => self.endpoint.respond(stream, response),
            Answer::Reset(code) => self.endpoint.reset(stream, code),
            Answer::Nothing => {}
            Answer::After(time, later) => self.later(time, What::Answer(stream, later)),
        }
        act.disturbance.and_then(|disturbance| self.disturb(disturbance))
    }

    fn later(&mut self, time: Duration, what: What<S::Session>) {
        self.due.push(Due { at: self.clock.now().after(time), what });
    }

    /// Gives back what silences the connection.
    fn disturb(&mut self, disturbance: Disturbance) -> Option<Disturbance> {
        match disturbance {
            silent @ (Disturbance::Reset | Disturbance::Silence) => return Some(silent),
            Disturbance::Starve(time) => {
                self.endpoint.starving = true;
                self.later(time, What::Feed);
            }
            Disturbance::Streams(limit) => self.endpoint.set_streams(limit),
            Disturbance::GoAway { which, debug } => self.go_away(which, &debug),
        }
        None
    }

    fn go_away(&mut self, which: Processed, debug: &str) {
        let highest = self.endpoint.highest();
        let last = match which {
            Processed::All | Processed::Unknown => highest,
            Processed::Before(stream) => stream.saturating_sub(2).min(highest),
            Processed::Answered => {
                let open = (1..=highest).step_by(2).find(|stream| self.endpoint.awaits(*stream));
                open.map_or(highest, |stream| stream.saturating_sub(2))
            }
        };
        self.endpoint.go_away(last, ErrorCode::NoError, debug);
        let endpoint = &self.endpoint;
        self.due.retain(|due| !matches!(due.what, What::Answer(stream, _) if !endpoint.awaits(stream)));
        if matches!(which, Processed::Answered | Processed::Unknown) {
            self.due.clear();
            self.ending = Some(Ended::WentAway);
        }
    }
}

/// Writes some of the bytes, or when there are none sees to it that those written before go out.
async fn put(writer: &mut WriteHalf<TlsStream<TcpStream>>, bytes: &[u8]) -> io::Result<Step> {
    if bytes.is_empty() {
        writer.flush().await?;
        return Ok(Step::Flushed);
    }
    writer.write(bytes).await.map(Step::Wrote)
}

async fn until(clock: &Clock, instant: Option<Timestamp>) {
    match instant {
        Some(instant) => clock.sleep_until(instant).await,
        None => pending().await,
    }
}

/// Ends a connection without a word.
async fn end(
    reader: ReadHalf<TlsStream<TcpStream>>,
    writer: WriteHalf<TlsStream<TcpStream>>,
    how: &Disturbance,
    commands: &mut UnboundedReceiver<Disturbance>,
    stop: &CancellationToken,
) -> io::Result<Ended> {
    let stream = reader.unsplit(writer);
    let tcp = stream.get_ref().0;
    if *how == Disturbance::Silence {
        return silent(tcp, commands, stop).await;
    }
    tcp.set_zero_linger()?;
    Ok(Ended::Reset)
}

/// Says nothing on a connection until its client gives up, or it is to be broken.
pub(in crate::sim) async fn silent(
    stream: &TcpStream,
    commands: &mut UnboundedReceiver<Disturbance>,
    stop: &CancellationToken,
) -> io::Result<Ended> {
    tokio::select! {
        () = reset_asked(commands) => {}
        () = hung_up(stream) => return Ok(Ended::ByClient),
        () = stop.cancelled() => return Ok(Ended::Stopped),
    }
    stream.set_zero_linger()?;
    Ok(Ended::Reset)
}

async fn reset_asked(commands: &mut UnboundedReceiver<Disturbance>) {
    while let Some(disturbance) = commands.recv().await {
        if disturbance == Disturbance::Reset {
            return;
        }
    }
    pending::<()>().await;
}

/// Reads and throws away, until the client closes the connection.
async fn hung_up(stream: &TcpStream) {
    let mut sink = vec![0; 16_384];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut sink) {
            Ok(0) => return,
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Reads what the client still says, for a while: closing a socket with unread bytes would take from the client what was said last.
async fn linger(reader: &mut ReadHalf<TlsStream<TcpStream>>, buffer: &mut [u8], stop: &CancellationToken) {
    let drained = async { while matches!(reader.read(buffer).await, Ok(1..)) {} };
    tokio::select! {
        () = drained => {}
        () = tokio::time::sleep(LINGER) => {}
        () = stop.cancelled() => {}
    }
}
