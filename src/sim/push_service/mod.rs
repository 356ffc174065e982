//! A Web Push service (RFC 8030, 8291, 8292): what Apple, Google and Mozilla run, for one machine.
//!
//! It refuses whatever one of them would refuse, decrypts what it takes, and hands it to the phone that asks. It fails
//! exactly as scripted.
//!
//! | who | call |
//! |---|---|
//! | phone | `POST /subscriptions` `{p256dh, auth, private_key, application_server_key}` → 201 `{id, endpoint}` |
//! | phone | `GET /subscriptions/{id}/messages?after=N&wait=25` → `{messages: [{number, at, ttl, urgency, topic, payload}]}` |
//! | phone | `DELETE /subscriptions/{id}`: its pushes are 410 from then on |
//! | application server | `GET /push/{secret}` → `{unifiedpush: {version: 1}}`: it is a push endpoint |
//! | application server | `POST /push/{secret}` → 201 with `Location` and `TTL`; `DELETE` of that location takes it back |
//! | test | `POST /admin/subscriptions/{id}/faults` `{fault: {kind, …}, times}`, `DELETE` the same |
//! | test | `GET /admin/journal` → `{pushes: [Entry…]}`; and what `plain.rs` lists of connections |
//!
//! [`PushService::start_secure`] is reached over TLS too, with HTTP/2 or HTTP/1.1, and its connections fail as scripted.
//!
//! **Invariants**
//! - A push is answered 201 only when its headers, its sender, its encryption and its content are all in order.
//! - A push that was not in order meets no fault and uses none up.
//! - Dropping the handle ends everything: the listener, calls that wait, calls that hang.

mod browser;
mod check;
mod decrypt;
mod fault;
mod http;
mod service;
mod store;

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

pub use check::{Delivery, Vapid};
pub use fault::{Apple, Fault};
pub use store::{Entry, NoSubscription};

pub use super::gate::{Connection, ConnectionFault, GoAway};
pub use super::screen::{Counts, Shown};

use super::gate::{self, Gate};
use super::http2::Disturbance;
use super::script::Script;
use super::tls::Identity;
use crate::secret::{b64u, from_b64u};
use browser::Browser;
use service::Vendor;
use store::Store;

/// A running push service. Stops when dropped.
pub struct PushService {
    origin: Arc<str>,
    secure: Option<Secure>,
    store: Arc<Store>,
    gate: Arc<Gate>,
    tasks: TaskTracker,
}

/// The door with TLS.
struct Secure {
    origin: Arc<str>,
    identity: Identity,
}

/// A connection that a fault closes without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer, as scripted")]
struct ClosedOnPurpose;

impl PushService {
    /// On a free port of the loopback interface.
    ///
    /// # Errors
    /// When the operating system gives no port.
    pub async fn start(clock: crate::clock::Clock) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        Ok(Self::serve(listener, &origin, clock))
    }

    /// The same, and over TLS on another port: where the browsers of [`PushService::browser`] have their endpoints.
    ///
    /// # Errors
    /// When the operating system gives no port.
    pub async fn start_secure(clock: crate::clock::Clock) -> io::Result<Self> {
        let mut service = Self::start(clock).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let origin: Arc<str> = format!("https://localhost:{}", listener.local_addr()?.port()).into();
        let identity = Identity::generate(&[]);
        let vendor = Arc::new(Vendor { store: Arc::clone(&service.store), origin: Arc::clone(&origin) });
        let acceptor = identity.acceptor(&[b"h2", b"http/1.1"]);
        service.tasks.spawn(gate::accept(listener, acceptor, vendor, Arc::clone(&service.gate), service.tasks.clone()));
        service.secure = Some(Secure { origin, identity });
        Ok(service)
    }

    /// On `listener`, which application servers reach as `origin` (scheme, host and port, without a trailing slash).
    #[must_use]
    pub fn serve(listener: TcpListener, origin: &str, clock: crate::clock::Clock) -> Self {
        let origin: Arc<str> = origin.trim_end_matches('/').into();
        let store = Arc::new(Store::new(clock.clone()));
        let (gate, tasks) = (Gate::new(clock), TaskTracker::new());
        let vendor = Vendor { store: Arc::clone(&store), origin: Arc::clone(&origin) };
        let router = http::router(http::Service { vendor, gate: Arc::clone(&gate) });
        tasks.spawn(accept(listener, router, gate.stop.clone(), tasks.clone()));
        Self { origin, secure: None, store, gate, tasks }
    }

    /// The certificate authority to trust, in PEM; `None` without TLS.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.secure.as_ref().map(|secure| secure.identity.authority())
    }

    /// A new browser that fetches and shows at once what comes, subscribed for this key (base64url of a point of P-256): its id here, and
    /// what its page is given, `{endpoint, keys: {p256dh, auth}}`.
    ///
    /// # Panics
    /// When the key is none.
    #[must_use]
    pub fn browser(&self, application_server_key: &str) -> (String, Value) {
        let key = from_b64u(application_server_key).and_then(|key| key.try_into().ok()).expect("a point of P-256, uncompressed");
        let receiver = Browser::keys();
        let keys = json!({"p256dh": b64u(receiver.public), "auth": b64u(receiver.auth)});
        let (id, secret) = self.store.subscribe(receiver, key, Some(Browser::default()));
        let origin = self.secure.as_ref().map_or(&self.origin, |secure| &secure.origin);
        (id, json!({"endpoint": format!("{origin}/push/{secret}"), "keys": keys}))
    }

    /// A browser of [`PushService::browser`] leaves the network, or comes back to it.
    ///
    /// # Errors
    /// [`NoSubscription`] when there is no such browser.
    pub fn be_away(&self, browser: &str, away: bool) -> Result<(), NoSubscription> {
        self.store.browser(browser, |browser| browser.be_away(away))
    }

    /// What is on the screen of a browser of [`PushService::browser`], oldest first.
    ///
    /// # Errors
    /// [`NoSubscription`] when there is no such browser.
    pub fn shown(&self, browser: &str) -> Result<Vec<Shown>, NoSubscription> {
        self.store.browser(browser, |browser| browser.shown())
    }

    /// How often a browser of [`PushService::browser`] showed something and was heard.
    ///
    /// # Errors
    /// [`NoSubscription`] when there is no such browser.
    pub fn counts(&self, browser: &str) -> Result<Counts, NoSubscription> {
        self.store.browser(browser, |browser| browser.counts())
    }

    /// The next `times` connections over TLS meet `fault`, after the faults scripted before.
    pub fn script_connections(&self, fault: ConnectionFault, times: u32) {
        self.gate.script(fault, times);
    }

    /// Breaks every open connection over TLS (TCP RST), and says how many.
    #[expect(clippy::must_use_candidate, reason = "done for what it does")]
    pub fn reset_connections(&self) -> usize {
        self.gate.disturb(&Disturbance::Reset)
    }

    /// Falls silent on every open connection over TLS, PING included, and says on how many.
    #[expect(clippy::must_use_candidate, reason = "done for what it does")]
    pub fn silence_connections(&self) -> usize {
        self.gate.disturb(&Disturbance::Silence)
    }

    /// Every connection over TLS, oldest first.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.gate.connections()
    }

    /// Its origin, for the phone that subscribes here.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.origin
    }

    /// The next `times` pushes to this subscription that are in order meet `fault`, after the faults scripted before.
    ///
    /// # Errors
    /// [`NoSubscription`] when nobody would meet it.
    ///
    /// # Panics
    /// When the fault is a status below 200 or above 599, or a number that Mozilla does not give.
    pub fn script(&self, subscription: &str, fault: Fault, times: u32) -> Result<(), NoSubscription> {
        self.store.script(subscription, Script::new(fault, times))
    }

    /// Forgets the faults that are still to come.
    ///
    /// # Errors
    /// [`NoSubscription`] when there is none.
    pub fn clear_faults(&self, subscription: &str) -> Result<(), NoSubscription> {
        self.store.clear_faults(subscription)
    }

    /// Ends a subscription as a browser does when the person takes the permission back: pushes are answered 410.
    ///
    /// # Errors
    /// [`NoSubscription`] when there is none.
    pub fn unsubscribe(&self, subscription: &str) -> Result<(), NoSubscription> {
        self.store.unsubscribe(subscription)
    }

    /// How many messages wait for the phone to fetch them.
    ///
    /// # Errors
    /// [`NoSubscription`] when there is none.
    pub fn undelivered(&self, subscription: &str) -> Result<usize, NoSubscription> {
        self.store.undelivered(subscription)
    }

    /// Every push that arrived, oldest first; the newest 10,000.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.store.journal()
    }

    /// Stops, and returns when the last connection is closed.
    pub async fn stop(self) {
        self.gate.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for PushService {
    fn drop(&mut self) {
        self.gate.stop.cancel();
    }
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken, tasks: TaskTracker) {
    let serve = |stream| connection(stream, router.clone(), stop.clone());
    gate::each(listener, &stop, &tasks, serve).await;
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    if let Err(cause) = stream.set_nodelay(true) {
        tracing::debug!(%cause, "TCP_NODELAY could not be set");
    }
    let service = service_fn(|request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let answered = router.oneshot(request.map(Body::new)).await;
            answer(answered)
        }
    });
    let mut serving = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(cause) = ended {
        tracing::debug!(%cause, "a connection to the push service ended early");
    }
}

/// The answer as it goes out; hyper closes the connection on an error, which is how a push is left without one.
fn answer(answered: Result<Response<Body>, Infallible>) -> Result<Response<Body>, ClosedOnPurpose> {
    let Ok(response) = answered;
    if response.extensions().get::<http::Unanswered>().is_some() {
        return Err(ClosedOnPurpose);
    }
    Ok(response)
}

#[cfg(test)]
pub(super) mod tests;
