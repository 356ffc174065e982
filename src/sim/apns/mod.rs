//! Apple Push Notification service, for one machine: TLS, HTTP/2, provider tokens, device tokens, and every way it fails.
//!
//! ```no_run
//! # use phoneops::{clock::Clock, sim::apns::{Apns, Fault, Reason}};
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let apns = Apns::start(Clock::system()).await?;
//! let token = apns.device();                      // an app on a device; `apns.key().pem` signs for it
//! let busy = Fault::Refuse { reason: Reason::ServiceUnavailable, timestamp: None, retry_after: None };
//! apns.script(&token, busy, 3)?;                  // three times 503, then
//! apns.script(&token, Fault::Hang, 1)?;           // no answer, then 200
//! // … send to apns.url(), trusting apns.authority() …
//! assert_eq!(apns.shown(&token)?[0].title, "All your apps are down");
//! # Ok(())
//! # }
//! ```
//!
//! **Invariants**
//! - It may refuse more than Apple does, never less: see `check.rs` and `payload.rs` for what only this one refuses.
//! - One stream until a provider token was in order, and no answer is given to a stream too many.
//! - Dropping the handle ends everything: the listeners, the connections, the requests that hang.

mod admin;
mod check;
mod device;
mod fault;
mod payload;
mod provider_token;
mod reason;
mod service;
mod store;
#[cfg(test)]
pub(super) mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

pub use device::Arrived;
pub use fault::Fault;
pub use provider_token::{Environment, KeyRegistration, SeenToken, SigningKey};
pub use reason::Reason;
pub use store::{Entry, NoDevice};

pub use super::gate::{Connection, ConnectionFault, GoAway};
pub use super::screen::{Counts, Shown};

use super::gate::{self, Gate};
use super::http2::Disturbance;
use super::plain;
use super::script::Script;
use super::tls::Identity;
use crate::clock::{Clock, Timestamp};
use crate::secret::random;
use device::Device;
use service::{Apple, Behaviour};
use store::Store;

/// How a simulator is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where providers connect to.
    pub listen: SocketAddr,
    /// Where tests and phones do.
    pub admin: SocketAddr,
    /// By which names providers know it, beside `localhost`.
    pub names: Vec<String>,
    /// Which of the two it is.
    pub environment: Environment,
    /// The bundle id of [`Apns::topic`].
    pub topic: String,
    /// Streams of a connection until a provider token was in order.
    pub first_streams: u32,
    /// Streams after that.
    pub streams: u32,
    /// How many requests the journal keeps, the newest; with 0 nothing is written down, which is for benchmarks.
    pub journal: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            admin: (Ipv4Addr::LOCALHOST, 0).into(),
            names: Vec::new(),
            environment: Environment::Production,
            topic: "com.example.phoneops".to_owned(),
            first_streams: 1,
            streams: 1_000,
            journal: 10_000,
        }
    }
}

/// A running simulator of APNs. Stops when dropped.
pub struct Apns {
    address: SocketAddr,
    admin: SocketAddr,
    topic: String,
    identity: Identity,
    key: SigningKey,
    control: Control,
    tasks: TaskTracker,
}

/// What tests and the admin API turn.
#[derive(Clone)]
struct Control {
    store: Arc<Store>,
    gate: Arc<Gate>,
    behaviour: Arc<Behaviour>,
}

impl Apns {
    /// On free ports of the loopback interface.
    ///
    /// # Errors
    /// When the operating system gives no port.
    pub async fn start(clock: Clock) -> io::Result<Self> {
        Self::with(Settings::default(), clock).await
    }

    /// As set up.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn with(settings: Settings, clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let admin = TcpListener::bind(settings.admin).await?;
        let control = Control {
            store: Arc::new(Store::new(clock.clone(), settings.environment, settings.journal)),
            gate: Gate::new(clock),
            behaviour: Arc::new(Behaviour {
                first_streams: settings.first_streams,
                streams: settings.streams,
                environment: settings.environment,
                streams_drop: AtomicBool::new(false),
                latency: AtomicU64::new(0),
            }),
        };
        let key = SigningKey::generate("SIMKEY0001", "SIMTEAM001");
        control.store.state().keys.register(key.registration());
        let apns = Self {
            address: listener.local_addr()?,
            admin: admin.local_addr()?,
            topic: settings.topic,
            identity: Identity::generate(&settings.names),
            key,
            control,
            tasks: TaskTracker::new(),
        };
        apns.open(listener, admin);
        Ok(apns)
    }

    fn open(&self, listener: TcpListener, admin: TcpListener) {
        let Control { store, gate, behaviour } = &self.control;
        let apple = Apple { store: Arc::clone(store), behaviour: Arc::clone(behaviour) };
        let acceptor = self.identity.acceptor(&[b"h2"]);
        self.tasks.spawn(gate::accept(listener, acceptor, Arc::new(apple), Arc::clone(gate), self.tasks.clone()));
        let router = admin::router(self.control.clone(), self.identity.authority(), &self.topic);
        self.tasks.spawn(plain::serve(admin, router, gate.stop.clone(), self.tasks.clone()));
    }

    /// Where providers send to: `https://localhost` and the port.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin API is.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// The certificate authority to trust, in PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.identity.authority()
    }

    /// A key that is registered, to sign provider tokens with.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The bundle id of the app whose devices [`Apns::device`] makes.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Registers another signing key, or the same with other rights.
    pub fn register_key(&self, key: KeyRegistration) {
        self.control.store.state().keys.register(key);
    }

    /// Revokes a signing key, and says whether there was one.
    #[must_use]
    pub fn revoke_key(&self, key_id: &str) -> bool {
        self.control.store.state().keys.revoke(key_id)
    }

    /// A new device with the app, by its token: 64 hex digits.
    #[must_use]
    pub fn device(&self) -> String {
        self.control.install(&self.topic)
    }

    /// A device token of the caller's choice, in hex, for an app.
    pub fn register(&self, token: &str, bundle: &str) {
        self.control.store.state().devices.insert(token.to_ascii_lowercase(), Device::new(bundle));
    }

    /// The app was removed, at an instant that may be in the past: 410 `Unregistered`.
    ///
    /// # Errors
    /// [`NoDevice`].
    pub fn unregister(&self, token: &str, at: Timestamp) -> Result<(), NoDevice> {
        self.control.store.end(token, Reason::Unregistered, at)
    }

    /// The token has expired: 410 `ExpiredToken`.
    ///
    /// # Errors
    /// [`NoDevice`].
    pub fn expire(&self, token: &str, at: Timestamp) -> Result<(), NoDevice> {
        self.control.store.end(token, Reason::ExpiredToken, at)
    }

    /// The device leaves the network, or comes back to it.
    ///
    /// # Errors
    /// [`NoDevice`].
    pub fn be_away(&self, token: &str, away: bool) -> Result<(), NoDevice> {
        self.control.store.device(token, |device, now| device.be_away(away, now))
    }

    /// The next `times` notifications to this device that are in order meet `fault`, after the faults scripted before.
    ///
    /// # Errors
    /// [`NoDevice`].
    ///
    /// # Panics
    /// When the fault is a status below 200 or above 599.
    pub fn script(&self, token: &str, fault: Fault, times: u32) -> Result<(), NoDevice> {
        let script = Script::new(fault, times);
        self.control.store.device(token, |device, _| device.faults.script(script))
    }

    /// Forgets the faults that are still to come.
    ///
    /// # Errors
    /// [`NoDevice`].
    pub fn clear_faults(&self, token: &str) -> Result<(), NoDevice> {
        self.control.store.device(token, |device, _| device.faults.clear())
    }

    /// The next `times` connections meet `fault`, after the faults scripted before.
    pub fn script_connections(&self, fault: ConnectionFault, times: u32) {
        self.control.gate.script(fault, times);
    }

    /// Forgets the faults of connections that are still to come.
    pub fn clear_connection_faults(&self) {
        self.control.gate.clear();
    }

    /// Breaks every open connection (TCP RST), and says how many.
    #[expect(clippy::must_use_candidate, reason = "done for what it does")]
    pub fn reset_connections(&self) -> usize {
        self.control.gate.disturb(&Disturbance::Reset)
    }

    /// Falls silent on every open connection, PING included, and says on how many.
    #[expect(clippy::must_use_candidate, reason = "done for what it does")]
    pub fn silence_connections(&self) -> usize {
        self.control.gate.disturb(&Disturbance::Silence)
    }

    /// Says GOAWAY on every open connection, and says on how many.
    #[expect(clippy::must_use_candidate, reason = "done for what it does")]
    pub fn send_go_away(&self, reason: &str, which: GoAway) -> usize {
        self.control.gate.disturb(&which.at_any_time(reason, self.control.gate.clock.now()))
    }

    /// Changes how many streams there may be on every open connection, and says on how many.
    #[expect(clippy::must_use_candidate, reason = "done for what it does")]
    pub fn set_streams(&self, streams: u32) -> usize {
        self.control.gate.disturb(&Disturbance::Streams(streams))
    }

    /// From now on every request waits so long before it is looked at.
    pub fn set_latency(&self, latency: Duration) {
        self.control.set_latency(latency);
    }

    /// Whether a rejection takes the limit of streams down to 1, until something is accepted.
    pub fn set_streams_drop(&self, drop: bool) {
        self.control.behaviour.streams_drop.store(drop, Ordering::Relaxed);
    }

    /// What is on the device's screen, oldest first.
    ///
    /// # Errors
    /// [`NoDevice`].
    pub fn shown(&self, token: &str) -> Result<Vec<Shown>, NoDevice> {
        self.control.store.device(token, |device, _| device.screen.shown().to_vec())
    }

    /// How often the device showed something and was heard.
    ///
    /// # Errors
    /// [`NoDevice`].
    pub fn counts(&self, token: &str) -> Result<Counts, NoDevice> {
        self.control.store.device(token, |device, _| device.screen.counts())
    }

    /// Every request, in the order of the answers.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.control.store.journal()
    }

    /// How many requests were answered or given up, those that left the journal included.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.control.store.answered()
    }

    /// Waits until so many requests were answered or given up.
    pub async fn until_answered(&self, number: u64) {
        let store = &self.control.store;
        plain::until(&store.noted, || store.answered() >= number).await;
    }

    /// Every connection, oldest first.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.control.gate.connections()
    }

    /// The provider tokens that were in order, in the order they were first seen.
    #[must_use]
    pub fn tokens(&self) -> Vec<SeenToken> {
        self.control.store.state().keys.seen()
    }

    /// Stops, and returns when the last connection is closed.
    pub async fn stop(self) {
        self.control.gate.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Control {
    fn install(&self, bundle: &str) -> String {
        let [high, low] = [0, 1].map(|_| u128::from_be_bytes(random()));
        let token = format!("{high:032x}{low:032x}");
        self.store.state().devices.insert(token.clone(), Device::new(bundle));
        token
    }

    fn set_latency(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.behaviour.latency.store(micros, Ordering::Relaxed);
    }
}

impl Drop for Apns {
    fn drop(&mut self) {
        self.control.gate.stop.cancel();
    }
}
