//! A push service as Mozilla runs it ("autopush"), for one Firefox: the WebSocket that the browser keeps open, and the door where
//! application servers leave what they have encrypted for it. It can read none of that.
//!
//! **Invariants**
//! - A push is answered 201 only when its headers are those of RFC 8030 and RFC 8291, and its sender proves the key that the browser
//!   subscribed for (RFC 8292). Whatever it refused, and whatever the browser could not read, fails the story.
//! - A push waits until the browser has acknowledged it, or its TTL has passed.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::{SinkExt as _, StreamExt as _};
use phoneops::clock::Clock;
use phoneops::secret::{b64u, from_b64u, random};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

/// The largest body that a service must take (RFC 8030, section 7.2).
const BODY_MAX_BYTES: usize = 4_096;
/// Salt, record size, length of the key, key: the header of an `aes128gcm` body whose key is a point of P-256 (RFC 8188, section 2.1).
const HEADER_BYTES: usize = 16 + 4 + 1 + 65;
/// How long a VAPID token may be good for, seconds.
const DAY: i64 = 24 * 60 * 60;
/// "The browser could read it" (`ack`).
const READ: u64 = 100;

/// A running service. Ends with it.
pub(super) struct Autopush {
    shared: Arc<Shared>,
    /// Where the browser connects to.
    pub(super) address: String,
    doors: [JoinHandle<()>; 2],
}

struct Shared {
    /// Scheme, host and port for application servers.
    origin: String,
    state: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The browser's name here; another one ends its subscriptions.
    uaid: String,
    /// By the secret in their endpoints.
    subscriptions: HashMap<String, Subscription>,
    /// To the browser, while it is connected.
    line: Option<mpsc::UnboundedSender<Message>>,
    pushes: Vec<Push>,
    faults: Vec<String>,
}

#[derive(Clone)]
struct Subscription {
    channel: String,
    key: Vec<u8>,
    gone: bool,
}

/// A push that was in order.
#[derive(Clone)]
pub(super) struct Push {
    /// Where it was posted.
    pub(super) endpoint: String,
    /// `high` for what rings.
    pub(super) urgency: String,
    /// Whether the browser said that it read it.
    pub(super) read: bool,
    channel: String,
    version: String,
    body: Bytes,
    until: Instant,
}

impl Drop for Autopush {
    fn drop(&mut self) {
        for door in &self.doors {
            door.abort();
        }
    }
}

impl Autopush {
    pub(super) async fn start() -> Self {
        let browsers = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let senders = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = format!("ws://{}/", browsers.local_addr().expect("an address"));
        let origin = format!("http://{}", senders.local_addr().expect("an address"));
        let shared = Arc::new(Shared { origin, state: Mutex::default() });
        let router = Router::new().route("/wpush/v2/{secret}", post(push)).with_state(shared.clone());
        let heard = shared.clone();
        let doors = [
            tokio::spawn(async move {
                while let Ok((stream, _)) = browsers.accept().await {
                    tokio::spawn(line(heard.clone(), stream));
                }
            }),
            tokio::spawn(async move { axum::serve(senders, router).await.expect("it serves") }),
        ];
        Self { shared, address, doors }
    }

    /// The endpoints of the subscriptions that stand.
    pub(super) fn endpoints(&self) -> Vec<String> {
        let known = self.shared.known();
        let standing = known.subscriptions.iter().filter(|(_, subscription)| !subscription.gone);
        standing.map(|(secret, _)| self.shared.endpoint(secret)).collect()
    }

    /// Every push that was in order, oldest first.
    pub(super) fn pushes(&self) -> Vec<Push> {
        self.shared.known().pushes.clone()
    }

    /// What was refused, what could not be read, and what was not understood.
    pub(super) fn faults(&self) -> Vec<String> {
        self.shared.known().faults.clone()
    }

    /// Forgets who the browser is and hangs up, as a service does that lost its data: the browser's subscriptions are over.
    pub(super) fn forget(&self) {
        let mut known = self.shared.known();
        known.uaid.clear();
        known.subscriptions.values_mut().for_each(|subscription| subscription.gone = true);
        known.line.take().map(|line| line.send(Message::Close(None)));
    }

    /// Hangs up; the browser comes back.
    pub(super) fn hang_up(&self) {
        self.shared.known().line.take().map(|line| line.send(Message::Close(None)));
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.state.lock().expect("nothing panics while holding it")
    }

    fn endpoint(&self, secret: &str) -> String {
        format!("{}/wpush/v2/{secret}", self.origin)
    }
}

// The browser's side.

/// One connection of the browser, until one side ends it.
async fn line(shared: Arc<Shared>, stream: TcpStream) {
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let (mut sink, mut heard) = socket.split();
    let (out, mut queue) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            Some(message) = queue.recv() => {
                let last = matches!(message, Message::Close(_));
                if sink.send(message).await.is_err() || last {
                    return;
                }
            }
            said = heard.next() => match said {
                Some(Ok(Message::Text(text))) => shared.known().hear(&shared, &text, &out),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return,
            }
        }
    }
}

impl Known {
    fn hear(&mut self, shared: &Shared, text: &str, out: &mpsc::UnboundedSender<Message>) {
        let Ok(said) = serde_json::from_str::<Value>(text) else {
            self.faults.push(format!("the browser says {text}"));
            return;
        };
        let reply = match said["messageType"].as_str() {
            None if said == json!({}) => json!({}),
            Some("hello") => self.hello(&said, out),
            Some("register") => self.register(shared, &said),
            Some("unregister") => self.unregister(&said),
            Some("ack") => return self.acknowledge(&said),
            Some("broadcast_subscribe") => return,
            _ => return self.faults.push(format!("the browser says {said}")),
        };
        // Whoever has gone needs no reply.
        let _ = out.send(Message::text(reply.to_string()));
        if said["messageType"] == "hello" {
            let waiting = self.pushes.iter().filter(|push| !push.read && Instant::now() < push.until);
            waiting.for_each(|push| self.deliver(push));
        }
    }

    fn hello(&mut self, said: &Value, out: &mpsc::UnboundedSender<Message>) -> Value {
        if self.uaid.is_empty() || said["uaid"] != self.uaid {
            self.uaid = b64u(random::<16>());
            self.subscriptions.values_mut().for_each(|subscription| subscription.gone = true);
        }
        self.line = Some(out.clone());
        json!({"messageType": "hello", "uaid": self.uaid, "status": 200, "use_webpush": true, "broadcasts": {}})
    }

    fn register(&mut self, shared: &Shared, said: &Value) -> Value {
        let key = said["key"].as_str().and_then(|key| from_b64u(key.trim_end_matches('='))).unwrap_or_default();
        let channel = said["channelID"].as_str().unwrap_or_default().to_owned();
        let secret = b64u(random::<32>());
        let reply =
            json!({"messageType": "register", "channelID": channel, "status": 200, "pushEndpoint": shared.endpoint(&secret)});
        self.subscriptions.insert(secret, Subscription { channel, key, gone: false });
        reply
    }

    fn unregister(&mut self, said: &Value) -> Value {
        let meant = self.subscriptions.values_mut().filter(|subscription| said["channelID"] == subscription.channel);
        meant.for_each(|subscription| subscription.gone = true);
        json!({"messageType": "unregister", "channelID": said["channelID"], "status": 200})
    }

    fn acknowledge(&mut self, said: &Value) {
        for update in said["updates"].as_array().into_iter().flatten() {
            if update["code"] != READ {
                self.faults.push(format!("the browser could not read it: {update}"));
            }
            let meant = self.pushes.iter_mut().filter(|push| update["version"] == push.version);
            meant.for_each(|push| push.read = true);
        }
    }

    /// Sends the browser a push, if it is there.
    fn deliver(&self, push: &Push) {
        let Some(line) = &self.line else { return };
        let ttl = push.until.saturating_duration_since(Instant::now()).as_secs();
        let message = json!({"messageType": "notification", "channelID": push.channel, "version": push.version, "ttl": ttl,
            "data": b64u(&push.body), "headers": {"encoding": "aes128gcm"}});
        // A browser that has gone comes back and asks.
        let _ = line.send(Message::text(message.to_string()));
    }
}

// The application server's side.

async fn push(State(shared): State<Arc<Shared>>, Path(secret): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let mut known = shared.known();
    let (status, why) = match known.subscriptions.get(&secret).cloned() {
        None => (StatusCode::NOT_FOUND, "no such subscription".to_owned()),
        // Not a fault: whoever sends cannot know it yet.
        Some(subscription) if subscription.gone => return StatusCode::GONE.into_response(),
        Some(subscription) => match checked(&shared.origin, &subscription.key, &headers, &body) {
            Err(why) => (StatusCode::BAD_REQUEST, why),
            Ok((ttl, urgency)) => {
                let version = b64u(random::<16>());
                let location = format!("{}/m/{version}", shared.origin);
                let (channel, until) = (subscription.channel, Instant::now() + Duration::from_secs(ttl));
                let push = Push { endpoint: shared.endpoint(&secret), urgency, read: false, channel, version, body, until };
                known.deliver(&push);
                known.pushes.push(push);
                return (StatusCode::CREATED, [("location", location), ("ttl", ttl.to_string())]).into_response();
            }
        },
    };
    known.faults.push(format!("refused: {status}, {why}"));
    status.into_response()
}

/// The TTL and the urgency of a push that is in order.
fn checked(origin: &str, key: &[u8], headers: &HeaderMap, body: &[u8]) -> Result<(u64, String), String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let ttl = header("ttl").parse().map_err(|_| format!("TTL {:?}", header("ttl")))?;
    let urgency = header("urgency");
    if !matches!(urgency, "very-low" | "low" | "normal" | "high") {
        return Err(format!("urgency {urgency:?}"));
    }
    let topic = header("topic");
    if topic.is_empty() || topic.len() > 32 || !topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(format!("topic {topic:?}"));
    }
    if header("content-encoding") != "aes128gcm" {
        return Err(format!("encoding {:?}", header("content-encoding")));
    }
    if body.len() > BODY_MAX_BYTES || body.len() <= HEADER_BYTES || body[20] != 65 || body[21] != 4 {
        return Err(format!("{} bytes that are no aes128gcm body", body.len()));
    }
    vapid(header("authorization"), origin, key)?;
    Ok((ttl, urgency.to_owned()))
}

/// RFC 8292: whether the sender has the key that the browser subscribed for, and says so to this service, for a day at most.
fn vapid(authorization: &str, origin: &str, key: &[u8]) -> Result<(), String> {
    let malformed = || "no `vapid t=…, k=…`".to_owned();
    let parameters = authorization.strip_prefix("vapid ").ok_or_else(malformed)?;
    let parameters: HashMap<_, _> = parameters.split(',').filter_map(|one| one.trim().split_once('=')).collect();
    let (token, sender) = parameters.get("t").zip(parameters.get("k")).ok_or_else(malformed)?;
    if key.len() != 65 || from_b64u(sender).is_none_or(|sender| sender != key) {
        return Err("the subscription was made for another key".to_owned());
    }
    let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
    let (head, claims) = signed.split_once('.').ok_or_else(malformed)?;
    let json = |part: &str| from_b64u(part).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()).ok_or_else(malformed);
    let (head, claims) = (json(head)?, json(claims)?);
    let signature = from_b64u(signature).ok_or_else(malformed)?;
    let verified = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(signed.as_bytes(), &signature);
    if head["alg"] != "ES256" || verified.is_err() {
        return Err("the token is not signed with that key".to_owned());
    }
    let now = Clock::system().now().as_seconds();
    let in_time = claims["exp"].as_i64().is_some_and(|end| now < end && end <= now + DAY);
    let reachable = claims["sub"].as_str().is_some_and(|sub| sub.starts_with("mailto:") || sub.starts_with("https://"));
    if claims["aud"] != origin || !in_time || !reachable {
        return Err(format!("claims {claims}"));
    }
    Ok(())
}
