//! Whom everything is sent to: HTTP/2 or HTTP/1.1 over TLS, takes everything, in a process of its own that ends with its parent.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use phoneops::clock::Clock;
use phoneops::push::apns::Minter;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::{Failure, Kind, MARK, Options, Task};

/// What an alert with this text has around it brings the payload to 1 KB.
const BODY_BYTES: usize = 560;

const CERTIFICATE: &str = "PUSH_BENCH_CERTIFICATE";
const KEY_ID: &str = "ABC123DEFG";
const TEAM_ID: &str = "DEF123GHIJ";

/// The peer in its process.
pub(crate) struct Running {
    child: Child,
    port: u16,
    token: String,
}

impl Running {
    /// Starts it; what senders need to know of it goes to `folder`.
    pub(crate) fn start(folder: &Path) -> Result<Self, Failure> {
        let key = rcgen::KeyPair::generate()?.serialize_pem();
        std::fs::write(folder.join("key.p8"), &key)?;
        let token = Minter::new(key.as_bytes(), KEY_ID, TEAM_ID)?.mint(Clock::system().now());
        let mut child = Command::new(std::env::current_exe()?)
            .env(MARK, "peer")
            .env(CERTIFICATE, folder.join("ca.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("the peer says nothing")?).read_line(&mut line)?;
        Ok(Self { child, port: line.trim().parse()?, token: token.text().expose().to_owned() })
    }

    pub(crate) fn task(&self, folder: &Path, options: &Options, kind: Kind, connections: usize) -> Result<Task, Failure> {
        let path = |name: &str| folder.join(name).to_str().map(str::to_owned).ok_or("a path that is no text");
        Ok(Task {
            kind,
            port: self.port,
            ca_file: path("ca.pem")?,
            key_file: path("key.p8")?,
            key_id: KEY_ID.to_owned(),
            team_id: TEAM_ID.to_owned(),
            topic: "com.example.phoneops".to_owned(),
            token: self.token.clone(),
            pushes: options.pushes,
            at_once: options.at_once,
            connections,
            body: "All your apps are down. ".repeat(BODY_BYTES / 24 + 1)[..BODY_BYTES].to_owned(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Is the peer, until standard input closes.
pub(crate) fn run() -> Result<(), Failure> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(std::env::var(CERTIFICATE)?, made.cert.pem())?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    println!("{}", listener.local_addr()?.port());
    runtime.spawn(accept(listener, TlsAcceptor::from(Arc::new(config))));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    runtime.shutdown_background();
    Ok(())
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((tcp, _)) = listener.accept().await {
        tokio::spawn(serve(acceptor.clone(), tcp));
    }
}

/// Ends with whoever called.
async fn serve(acceptor: TlsAcceptor, tcp: TcpStream) -> Result<(), Failure> {
    tcp.set_nodelay(true)?;
    let tls = acceptor.accept(tcp).await?;
    if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
        let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service_fn(answer_old));
        return Ok(serving.await?);
    }
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(1_000).initial_connection_window_size(1 << 20);
    let mut connection = builder.handshake(tls).await?;
    while let Some(asked) = connection.accept().await {
        let (request, respond) = asked?;
        tokio::spawn(answer(request, respond));
    }
    Ok(())
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), Failure> {
    let (head, mut body) = request.into_parts();
    while let Some(chunk) = body.data().await {
        body.flow_control().release_capacity(chunk?.len())?;
    }
    let mut answer = Response::builder().status(status(head.uri.path()));
    if let Some(id) = head.headers.get("apns-id") {
        answer = answer.header("apns-id", id);
    }
    respond.send_response(answer.body(())?, true)?;
    Ok(())
}

/// The same over HTTP/1.1.
async fn answer_old(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Failure> {
    let (head, body) = request.into_parts();
    body.collect().await?;
    Ok(Response::builder().status(status(head.uri.path())).body(Empty::new())?)
}

/// Apple's 200, and a push service's 201.
fn status(path: &str) -> StatusCode {
    if path.starts_with("/3/") { StatusCode::OK } else { StatusCode::CREATED }
}
