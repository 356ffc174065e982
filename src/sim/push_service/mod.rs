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
//! | test | `GET /admin/journal` → `{pushes: [Entry…]}` |
//!
//! **Invariants**
//! - A push is answered 201 only when its headers, its sender, its encryption and its content are all in order.
//! - A push that was not in order meets no fault and uses none up.
//! - Dropping the handle ends everything: the listener, calls that wait, calls that hang.

mod check;
mod decrypt;
mod fault;
mod http;
mod store;

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

pub use check::{Delivery, Vapid};
pub use fault::{Apple, Fault, Script};
pub use store::{Entry, NoSubscription};

use store::Store;

/// A running push service. Stops when dropped.
pub struct PushService {
    origin: Arc<str>,
    store: Arc<Store>,
    stop: CancellationToken,
    tasks: TaskTracker,
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

    /// On `listener`, which application servers reach as `origin` (scheme, host and port, without a trailing slash).
    #[must_use]
    pub fn serve(listener: TcpListener, origin: &str, clock: crate::clock::Clock) -> Self {
        let origin: Arc<str> = origin.trim_end_matches('/').into();
        let store = Arc::new(Store::new(clock));
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let router = http::router(http::Service { store: Arc::clone(&store), origin: Arc::clone(&origin), stop: stop.clone() });
        tasks.spawn(accept(listener, router, stop.clone(), tasks.clone()));
        Self { origin, store, stop, tasks }
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
        let script = Script { fault, times };
        assert!(script.is_possible(), "{fault:?} is no answer of a push service");
        self.store.script(subscription, script)
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
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for PushService {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(connection(stream, router.clone(), stop.clone()));
            }
            Err(cause) => {
                // Out of file descriptors, mostly: trying again at once would only burn the processor.
                tracing::warn!(%cause, "the push service could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
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
