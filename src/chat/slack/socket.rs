//! Socket Mode: a WebSocket to Slack that carries what people say, so that nothing needs to be reached from outside.
//!
//! **Invariants**
//! - An envelope is acknowledged once what it says is durable, and within three seconds; one that could not be kept is not, so that Slack
//!   says so to whoever waits, or sends it again.
//! - A socket that Slack is about to end is replaced before it is left, and read until its end.
//! - A socket that says nothing is asked whether it lives, and left when it does not answer.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use url::Url;

use super::heard::{self, Incoming};
use super::{By, NOT_KEPT, SLOW, Slack, Taken, shown, whispered};

/// Until a socket is open and Slack said hello.
const OPEN: Duration = Duration::from_secs(20);

/// How long a socket may say nothing before it is asked whether it lives, and before it is left.
const ASK: Duration = Duration::from_secs(15);
const LEFT: Duration = Duration::from_secs(45);

/// How long a socket that was replaced is still read.
const DRAINED: Duration = Duration::from_secs(60);

/// The first pause after a socket could not be opened, which doubles, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The largest message that is taken, in bytes.
const LARGEST: usize = 1 << 20;

/// Bytes in both directions, secret or not.
trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

type Socket = WebSocketStream<Box<dyn Bytes>>;

/// How a socket ended.
enum Ended {
    /// Slack is about to end it, and wants another.
    Replaced(Box<Socket>),
    /// Slack does not want sockets of this app.
    Unwanted,
    /// It broke, or Slack closed it.
    Broken(String),
}

impl Slack {
    /// How many sockets are open.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }

    /// Keeps a socket open.
    pub(super) async fn listen(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let ended = match tokio::time::timeout(OPEN, self.connect()).await {
                Ok(Ok(socket)) => {
                    pause = FIRST_PAUSE;
                    self.read(socket, None).await
                }
                Ok(Err(why)) => Ended::Broken(why),
                Err(_) => Ended::Broken("it does not open in time".to_owned()),
            };
            match ended {
                Ended::Replaced(old) => {
                    let slack = self.clone();
                    self.run(move |_| async move { drop(slack.read(*old, Some(Instant::now() + DRAINED)).await) });
                    continue;
                }
                Ended::Unwanted => {
                    tracing::error!(
                        "Slack wants no sockets of this app: switch Socket Mode on, or take app_token out of [slack]"
                    );
                    pause = LONGEST_PAUSE;
                }
                Ended::Broken(why) => tracing::warn!(why, "there is no socket to Slack; it is opened again"),
            }
            tokio::time::sleep(pause.mul_f64(spread())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Opens a socket, up to Slack's hello.
    async fn connect(&self) -> Result<Socket, String> {
        let url = self.api.open().await.map_err(|error| error.to_string())?;
        let host = url.host_str().ok_or("the socket's address has no host")?.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().ok_or("the socket's address has no port")?;
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|error| format!("no connection: {error}"))?;
        let _ = stream.set_nodelay(true);
        let stream: Box<dyn Bytes> = if url.scheme() == "wss" {
            let name = ServerName::try_from(host).map_err(|_| "the socket's host is no name")?;
            let secured = TlsConnector::from(self.api.tls()).connect(name, stream).await;
            Box::new(secured.map_err(|error| format!("no TLS: {error}"))?)
        } else {
            Box::new(stream)
        };
        let limits = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        let opened = tokio_tungstenite::client_async_with_config(request(&url), stream, Some(limits)).await;
        // What went wrong might show the address, which lets one in.
        let (mut socket, _) = opened.map_err(|_| "the server does not speak WebSocket there, or does not want us")?;
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) if said(&text)["type"] == "hello" => return Ok(socket),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err("it was closed before hello".to_owned()),
            }
        }
    }

    /// Reads a socket to its end, or to `until`.
    async fn read(self: &Arc<Self>, mut socket: Socket, until: Option<Instant>) -> Ended {
        let _open = Open::count(self);
        let (answer, mut answers) = mpsc::unbounded_channel::<String>();
        let mut heard_at = Instant::now();
        loop {
            let ask_at = heard_at + ASK;
            let broken = |error: &dyn std::fmt::Display| Ended::Broken(format!("it broke: {error}"));
            let mut deadline = pin!(tokio::time::sleep_until(until.unwrap_or(heard_at + LEFT).min(heard_at + LEFT)));
            let message = tokio::select! {
                Some(text) = answers.recv() => {
                    if let Err(error) = socket.send(Message::text(text)).await {
                        return broken(&error);
                    }
                    continue;
                }
                message = socket.next() => message,
                () = tokio::time::sleep_until(ask_at), if Instant::now() < ask_at => {
                    if let Err(error) = socket.send(Message::Ping(Vec::new().into())).await {
                        return broken(&error);
                    }
                    continue;
                }
                () = &mut deadline => return Ended::Broken("it says nothing".to_owned()),
            };
            heard_at = Instant::now();
            let text = match message {
                Some(Ok(Message::Text(text))) => text,
                // Pings are answered by whoever reads.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(_))) | None => return Ended::Broken("Slack closed it".to_owned()),
                Some(Err(error)) => return broken(&error),
            };
            let frame = said(&text);
            match frame["type"].as_str() {
                Some("disconnect") if until.is_none() => {
                    let reason = frame["reason"].as_str().unwrap_or_default();
                    tracing::debug!(reason, "Slack ends a socket");
                    return if reason == "link_disabled" { Ended::Unwanted } else { Ended::Replaced(Box::new(socket)) };
                }
                Some(kind @ ("slash_commands" | "interactive" | "events_api")) => {
                    let (slack, answer, kind) = (self.clone(), answer.clone(), kind.to_owned());
                    self.tasks.spawn(async move { slack.receive(&kind, &frame, &answer).await });
                }
                _ => {}
            }
        }
    }

    /// Takes what an envelope says, and then acknowledges it.
    async fn receive(self: Arc<Self>, kind: &str, envelope: &Value, answer: &mpsc::UnboundedSender<String>) {
        let Some(id) = envelope["envelope_id"].as_str() else { return };
        let payload = &envelope["payload"];
        let read = match kind {
            "slash_commands" => heard::command_in(payload),
            "interactive" => heard::interaction(payload),
            _ => heard::event(payload),
        };
        let mut acknowledged = json!({"envelope_id": id});
        match read {
            Ok(Incoming::Line(line, once)) => {
                let by = line.by;
                let with = match (self.take(*line, once, "app token").await, by) {
                    (Ok(Taken::Kept), By::Command) => Some(shown()),
                    (Ok(Taken::Slow), By::Command) => Some(whispered(SLOW)),
                    (Ok(_), _) => None,
                    (Err(error), by) => {
                        tracing::error!(%error, "what was said in Slack is not kept");
                        if by != By::Command {
                            return;
                        }
                        Some(whispered(NOT_KEPT))
                    }
                };
                if let Some(with) = with.filter(|_| envelope["accepts_response_payload"] == true) {
                    acknowledged["payload"] = with;
                }
            }
            Ok(Incoming::Challenge(_) | Incoming::Nothing) => {}
            Err(why) => tracing::warn!(%why, kind, "what Slack sent is not understood"),
        }
        // A socket that has ended meanwhile acknowledges nothing, and Slack sends it again by the next.
        drop(answer.send(acknowledged.to_string()));
    }
}

/// Counts a socket while it is open.
struct Open(Arc<Slack>);

impl Open {
    fn count(slack: &Arc<Slack>) -> Self {
        slack.sockets.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("phoneops_slack_sockets").increment(1.0);
        Self(slack.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.sockets.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("phoneops_slack_sockets").decrement(1.0);
    }
}

fn request(url: &Url) -> String {
    url.as_str().to_owned()
}

/// What a frame says; nothing when it is no JSON.
fn said(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// Between 0.75 and 1.25, so that nodes do not come back all at once.
fn spread() -> f64 {
    let [byte] = crate::secret::random::<1>();
    0.75 + f64::from(byte) / 510.0
}
