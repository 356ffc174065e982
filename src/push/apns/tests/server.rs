//! A server of HTTP/2 that answers as it is told to. What no library's server can do is the simulator's (`src/sim/apns`).

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_util::sync::CancellationToken;

/// What becomes of one request.
#[derive(Clone, Debug)]
pub(in crate::push) enum Answer {
    /// A status and a body; then perhaps a graceful GOAWAY.
    Status(u16, String),
    Accepted {
        after: Duration,
        goodbye: bool,
    },
    Reset(Reason),
    /// An abrupt GOAWAY that names the last stream the server saw, and the end.
    GoAway(Reason),
    /// The connection is cut.
    Kill,
    /// No answer, on a connection that is otherwise well.
    Never,
    /// From now on nothing at all is said on this connection.
    Silence,
}

impl Answer {
    pub(in crate::push) fn accepted() -> Self {
        Self::Accepted { after: Duration::ZERO, goodbye: false }
    }

    pub(in crate::push) fn after_ms(self, millis: u64) -> Self {
        match self {
            Self::Accepted { goodbye, .. } => Self::Accepted { after: Duration::from_millis(millis), goodbye },
            other => other,
        }
    }

    pub(in crate::push) fn then_goodbye(self) -> Self {
        match self {
            Self::Accepted { after, .. } => Self::Accepted { after, goodbye: true },
            other => other,
        }
    }
}

/// What the server was sent.
#[derive(Clone, Debug)]
pub(in crate::push) struct Received {
    pub(in crate::push) method: String,
    pub(in crate::push) scheme: String,
    pub(in crate::push) path: String,
    headers: HashMap<String, String>,
    pub(in crate::push) body: Vec<u8>,
}

impl Received {
    pub(in crate::push) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

type Decide = Arc<dyn Fn(usize, usize, &str) -> Answer + Send + Sync>;

/// A server to be.
pub(in crate::push) struct Plan {
    streams: Option<u32>,
    window: Option<u32>,
}

impl Plan {
    /// How many streams it allows.
    pub(in crate::push) fn allowing(mut self, streams: u32) -> Self {
        self.streams = Some(streams);
        self
    }

    /// How many bytes of a request it takes at a time.
    pub(in crate::push) fn with_window(mut self, bytes: u32) -> Self {
        self.window = Some(bytes);
        self
    }

    /// Answers by the number of the connection, and of the request on it, both from 0.
    pub(in crate::push) async fn start(self, decide: impl Fn(usize, usize) -> Answer + Send + Sync + 'static) -> Server {
        Server::start(self, Arc::new(move |connection, count, _| decide(connection, count))).await
    }

    /// Answers by the path.
    pub(in crate::push) async fn by_path(self, decide: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Server {
        Server::start(self, Arc::new(move |_, _, path| decide(path))).await
    }
}

/// A running server.
pub(in crate::push) struct Server {
    port: u16,
    ca_pem: String,
    house: Arc<House>,
}

struct House {
    plan: Plan,
    decide: Decide,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    /// Requests that are being answered, and the most there ever were on one connection.
    most: AtomicUsize,
    asked: AtomicUsize,
    asking: Notify,
    /// Held by a test that wants no answer to be given.
    gate: Semaphore,
    seen_by_goaway: AtomicUsize,
    places: Mutex<Vec<Arc<Place>>>,
}

const GATES: u32 = 10_000;

impl Server {
    pub(in crate::push) fn build() -> Plan {
        Plan { streams: None, window: None }
    }

    pub(in crate::push) async fn accepting() -> Self {
        Self::build().start(|_, _| Answer::accepted()).await
    }

    async fn start(plan: Plan, decide: Decide) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let port = listener.local_addr().unwrap().port();
        let house = Arc::new(House {
            plan,
            decide,
            received: Mutex::default(),
            connections: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            asking: Notify::new(),
            gate: Semaphore::new(GATES as usize),
            seen_by_goaway: AtomicUsize::new(0),
            places: Mutex::default(),
        });
        let serving = house.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                tokio::spawn(serving.clone().serve(acceptor.clone(), tcp));
            }
        });
        Self { port, ca_pem: made.cert.pem(), house }
    }

    pub(in crate::push) fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub(in crate::push) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(in crate::push) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.house.received.lock().unwrap())
    }

    /// How many connections there were, ever.
    pub(in crate::push) fn connections(&self) -> usize {
        self.house.connections.load(Ordering::SeqCst)
    }

    /// How many requests were open on one connection at most.
    pub(in crate::push) fn most_at_once(&self) -> usize {
        self.house.most.load(Ordering::SeqCst)
    }

    /// How many requests a connection had seen when it said GOAWAY.
    pub(in crate::push) fn seen_by_goaway(&self) -> usize {
        self.house.seen_by_goaway.load(Ordering::SeqCst)
    }

    /// Says on a connection that no stream above `last` was or will be looked at, before it next says anything.
    pub(in crate::push) fn goaway(&self, connection: usize, last: u32) {
        let place = self.house.places.lock().unwrap()[connection].clone();
        place.last.store(last, Ordering::SeqCst);
        // RFC 9113 section 6.8: length 8, type 7, no flags, stream 0; the last stream and NO_ERROR.
        let frame = [[0, 0, 8, 7, 0, 0, 0, 0, 0].as_slice(), &last.to_be_bytes(), &[0; 4]].concat();
        place.said.lock().unwrap().extend(frame);
    }

    /// What was said on a connection, within TLS.
    pub(in crate::push) fn heard(&self, connection: usize) -> Vec<u8> {
        self.house.places.lock().unwrap()[connection].heard.lock().unwrap().clone()
    }

    /// No request is answered while it is kept.
    pub(in crate::push) fn hold(&self) -> SemaphorePermit<'_> {
        self.house.gate.try_acquire_many(GATES).unwrap()
    }

    /// Returns once so many requests were made.
    pub(in crate::push) async fn until_asked(&self, times: usize) {
        loop {
            let asking = self.house.asking.notified();
            tokio::pin!(asking);
            asking.as_mut().enable();
            if self.house.asked.load(Ordering::SeqCst) >= times {
                return;
            }
            asking.await;
        }
    }
}

/// What one connection's requests have in common.
struct Place {
    number: usize,
    count: AtomicUsize,
    open: AtomicUsize,
    silent: Arc<AtomicBool>,
    goodbye: Notify,
    kill: CancellationToken,
    goaway: Mutex<Option<Reason>>,
    /// No stream above it is answered.
    last: AtomicU32,
    said: Arc<Mutex<Vec<u8>>>,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl House {
    async fn serve(self: Arc<Self>, acceptor: TlsAcceptor, tcp: TcpStream) {
        let Ok(tls) = acceptor.accept(tcp).await else { return };
        let silent = Arc::new(AtomicBool::new(false));
        let mut builder = Builder::new();
        if let Some(streams) = self.plan.streams {
            builder.max_concurrent_streams(streams);
        }
        if let Some(window) = self.plan.window {
            builder.initial_window_size(window);
        }
        let (said, heard) = (Arc::default(), Arc::default());
        let io = Mutable { inner: tls, silent: silent.clone(), said: Arc::clone(&said), heard: Arc::clone(&heard) };
        let Ok(connection) = builder.handshake(io).await else { return };
        let place = Arc::new(Place {
            number: self.connections.fetch_add(1, Ordering::SeqCst),
            count: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            silent,
            goodbye: Notify::new(),
            kill: CancellationToken::new(),
            goaway: Mutex::default(),
            last: AtomicU32::new(u32::MAX),
            said,
            heard,
        });
        self.places.lock().unwrap().push(place.clone());
        self.converse(connection, &place).await;
    }

    async fn converse<T: AsyncRead + AsyncWrite + Unpin>(
        self: &Arc<Self>,
        mut connection: Connection<T, Bytes>,
        place: &Arc<Place>,
    ) {
        loop {
            tokio::select! {
                biased;
                () = place.kill.cancelled() => {
                    let goaway = *place.goaway.lock().unwrap();
                    let Some(reason) = goaway else { return };
                    self.seen_by_goaway.store(place.count.load(Ordering::SeqCst), Ordering::SeqCst);
                    connection.abrupt_shutdown(reason);
                    while let Some(Ok(_)) = connection.accept().await {}
                    return;
                }
                () = place.goodbye.notified() => connection.graceful_shutdown(),
                asked = connection.accept() => match asked {
                    Some(Ok((request, respond))) => {
                        tokio::spawn(self.clone().answer(place.clone(), request, respond));
                    }
                    _ => return,
                },
            }
        }
    }

    async fn answer(self: Arc<Self>, place: Arc<Place>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let open = place.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(open, Ordering::SeqCst);
        let count = place.count.fetch_add(1, Ordering::SeqCst);
        let received = receive(request).await;
        let answer = (self.decide)(place.number, count, &received.path);
        let id = received.header("apns-id").unwrap_or_default().to_owned();
        self.received.lock().unwrap().push(received);
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.asking.notify_waiters();
        drop(self.gate.acquire().await);
        if respond.stream_id().as_u32() > place.last.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        if let Answer::Accepted { after, .. } = &answer {
            tokio::time::sleep(*after).await;
        }
        place.open.fetch_sub(1, Ordering::SeqCst);
        match answer {
            Answer::Accepted { goodbye, .. } => {
                let _ = respond.send_response(Response::builder().header("apns-id", id).body(()).unwrap(), true);
                if goodbye {
                    place.goodbye.notify_one();
                }
            }
            Answer::Status(status, body) => {
                let head = Response::builder().status(status).header("apns-id", id).body(()).unwrap();
                if let Ok(mut stream) = respond.send_response(head, false) {
                    let _ = stream.send_data(body.into(), true);
                }
            }
            Answer::Reset(reason) => respond.send_reset(reason),
            Answer::GoAway(reason) => {
                *place.goaway.lock().unwrap() = Some(reason);
                place.kill.cancel();
            }
            Answer::Kill => place.kill.cancel(),
            Answer::Never => std::future::pending().await,
            Answer::Silence => {
                place.silent.store(true, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn receive(request: Request<RecvStream>) -> Received {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(chunk)) = stream.data().await {
        body.extend_from_slice(&chunk);
        let _ = stream.flow_control().release_capacity(chunk.len());
    }
    let header = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    Received {
        method: head.method.to_string(),
        scheme: head.uri.scheme_str().unwrap_or_default().to_owned(),
        path: head.uri.path().to_owned(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), header(value))).collect(),
        body,
    }
}

/// A connection that can stop talking (it still reads, and whatever it writes is lost), and can be made to say more than the library.
struct Mutable<T> {
    inner: T,
    silent: Arc<AtomicBool>,
    said: Arc<Mutex<Vec<u8>>>,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Mutable<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = Pin::new(&mut self.inner).poll_read(cx, buffer);
        self.heard.lock().unwrap().extend_from_slice(&buffer.filled()[before..]);
        done
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Mutable<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.silent.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let said = std::mem::take(&mut *self.said.lock().unwrap());
        if !said.is_empty() {
            // The library writes whole frames, and TLS takes so few bytes at once.
            assert!(matches!(Pin::new(&mut self.inner).poll_write(cx, &said), Poll::Ready(Ok(n)) if n == said.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
