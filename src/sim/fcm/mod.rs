//! Firebase Cloud Messaging (HTTP v1), for one machine: access tokens, messages, installations, and every way it fails.
//!
//! One listener is both `oauth2.googleapis.com` (`POST /token`) and `fcm.googleapis.com` (`POST /v1/projects/{project}/messages:send`), over
//! TLS with HTTP/2 or HTTP/1.1. [`Fcm::service_account`] is the file that a sender is configured with.
//!
//! ```no_run
//! # use phoneops::{clock::Clock, sim::fcm::{Fault, Fcm, FcmError}};
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let fcm = Fcm::start(Clock::system()).await?;
//! let token = fcm.device();                       // an app on a phone
//! fcm.script(&token, Fault::Refuse { error: FcmError::Unavailable, retry_after: Some(10) }, 3)?;
//! // … send to fcm.url() with fcm.service_account(), trusting fcm.authority() …
//! assert_eq!(fcm.shown(&token)?[0].title, "All your apps are down");
//! # Ok(())
//! # }
//! ```
//!
//! **Invariants**
//! - It may refuse more than Google does, never less: it knows no topics and no conditions.
//! - Dropping the handle ends everything: the listeners, the connections, the requests that hang.

mod admin;
mod check;
mod device;
mod error;
mod fault;
mod oauth;
mod service;
mod store;
#[cfg(test)]
pub(super) mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

pub use device::{Arrived, Presence};
pub use error::FcmError;
pub use fault::{Fault, TokenFault};
pub use store::{Entry, NoInstallation};

pub use super::gate::{Connection, ConnectionFault, GoAway};
pub use super::screen::{Counts, Shown};

use super::gate::{self, Gate};
use super::http2::Disturbance;
use super::plain;
use super::script::Script;
use super::tls::Identity;
use crate::clock::Clock;
use crate::secret::{b64u, random};
use check::Target;
use oauth::Accounts;
use service::Google;
use store::Store;

/// How a simulator is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where senders connect to.
    pub listen: SocketAddr,
    /// Where tests and phones do.
    pub admin: SocketAddr,
    /// By which names senders know it, beside `localhost`.
    pub names: Vec<String>,
    /// The Firebase project.
    pub project: String,
    /// Streams of a connection; one more ends it.
    pub streams: u32,
    /// How long an access token is good.
    pub token_life: Duration,
    /// Messages of the project in a minute.
    pub quota: u32,
    /// How many requests the journal keeps, the newest; with 0 nothing is written down, which is for benchmarks.
    pub journal: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            admin: (Ipv4Addr::LOCALHOST, 0).into(),
            names: Vec::new(),
            project: "phoneops-sim".to_owned(),
            streams: 100,
            token_life: Duration::from_secs(3_600),
            quota: 600_000,
            journal: 10_000,
        }
    }
}

/// A running simulator of FCM. Stops when dropped.
pub struct Fcm {
    address: SocketAddr,
    admin: SocketAddr,
    identity: Identity,
    control: Control,
    tasks: TaskTracker,
}

/// What tests and the admin API turn.
#[derive(Clone)]
struct Control {
    store: Arc<Store>,
    gate: Arc<Gate>,
    latency: Arc<AtomicU64>,
    project: Arc<str>,
}

impl Fcm {
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
        let address = listener.local_addr()?;
        let name = settings.names.first().map_or("localhost", String::as_str);
        let accounts = Accounts::new(&settings.project, &format!("https://{name}:{}/token", address.port()), settings.token_life);
        let control = Control {
            store: Arc::new(Store::new(clock.clone(), accounts, settings.journal, settings.quota)),
            gate: Gate::new(clock),
            latency: Arc::default(),
            project: settings.project.as_str().into(),
        };
        let identity = Identity::generate(&settings.names);
        let fcm = Self { address, admin: admin.local_addr()?, identity, control, tasks: TaskTracker::new() };
        fcm.open(listener, admin, settings.streams);
        Ok(fcm)
    }

    fn open(&self, listener: TcpListener, admin: TcpListener, streams: u32) {
        let Control { store, gate, latency, project } = &self.control;
        let google = Google { store: Arc::clone(store), project: Arc::clone(project), streams, latency: Arc::clone(latency) };
        let acceptor = self.identity.acceptor(&[b"h2", b"http/1.1"]);
        self.tasks.spawn(gate::accept(listener, acceptor, Arc::new(google), Arc::clone(gate), self.tasks.clone()));
        let router = admin::router(self.control.clone(), self.identity.authority());
        self.tasks.spawn(plain::serve(admin, router, gate.stop.clone(), self.tasks.clone()));
    }

    /// Where senders send to: `https://localhost` and the port.
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

    /// The Firebase project.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.control.project
    }

    /// The file of a service account that may send, with its private key; its `token_uri` is here.
    #[must_use]
    pub fn service_account(&self) -> Value {
        self.control.service_account()
    }

    /// A new phone with the app, by a registration token.
    #[must_use]
    pub fn device(&self) -> String {
        self.control.install(false)
    }

    /// A new phone with the app, by a Firebase installation ID.
    #[must_use]
    pub fn device_by_fid(&self) -> String {
        self.control.install(true)
    }

    /// The app was removed: 404 `UNREGISTERED`.
    ///
    /// # Errors
    /// [`NoInstallation`].
    pub fn unregister(&self, id: &str) -> Result<(), NoInstallation> {
        self.control.store.device(id, |device, _| device.gone = true)
    }

    /// The app belongs to another sender: 403 `SENDER_ID_MISMATCH`.
    ///
    /// # Errors
    /// [`NoInstallation`].
    pub fn give_away(&self, id: &str) -> Result<(), NoInstallation> {
        self.control.store.device(id, |device, _| device.foreign = true)
    }

    /// The phone leaves the network, falls into Doze, or comes back.
    ///
    /// # Errors
    /// [`NoInstallation`].
    pub fn be(&self, id: &str, presence: Presence) -> Result<(), NoInstallation> {
        self.control.store.device(id, |device, now| device.be(presence, now))
    }

    /// The next `times` messages to this installation that are in order meet `fault`, after the faults scripted before.
    ///
    /// # Errors
    /// [`NoInstallation`].
    ///
    /// # Panics
    /// When the fault is a status below 200 or above 599.
    pub fn script(&self, id: &str, fault: Fault, times: u32) -> Result<(), NoInstallation> {
        let script = Script::new(fault, times);
        self.control.store.device(id, |device, _| device.faults.script(script))
    }

    /// Forgets the faults that are still to come.
    ///
    /// # Errors
    /// [`NoInstallation`].
    pub fn clear_faults(&self, id: &str) -> Result<(), NoInstallation> {
        self.control.store.device(id, |device, _| device.faults.clear())
    }

    /// The next `times` requests for an access token that are in order meet `fault`, after the faults scripted before.
    ///
    /// # Panics
    /// When the fault is a status below 200 or above 599.
    pub fn script_tokens(&self, fault: TokenFault, times: u32) {
        let script = Script::new(fault, times);
        self.control.store.state().token_faults.script(script);
    }

    /// Ends every access token that was given out: their users hear 401.
    pub fn revoke_tokens(&self) {
        self.control.store.state().accounts.revoke();
    }

    /// How many access tokens were given out.
    #[must_use]
    pub fn tokens_issued(&self) -> u64 {
        self.control.store.state().accounts.issued()
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

    /// From now on every request waits so long before it is looked at.
    pub fn set_latency(&self, latency: Duration) {
        self.control.set_latency(latency);
    }

    /// What is on the phone's screen, oldest first.
    ///
    /// # Errors
    /// [`NoInstallation`].
    pub fn shown(&self, id: &str) -> Result<Vec<Shown>, NoInstallation> {
        self.control.store.device(id, |device, _| device.screen.shown().to_vec())
    }

    /// How often the phone showed something and was heard.
    ///
    /// # Errors
    /// [`NoInstallation`].
    pub fn counts(&self, id: &str) -> Result<Counts, NoInstallation> {
        self.control.store.device(id, |device, _| device.screen.counts())
    }

    /// How often the app was told that messages were dropped (`onDeletedMessages`).
    ///
    /// # Errors
    /// [`NoInstallation`].
    pub fn deletions(&self, id: &str) -> Result<u64, NoInstallation> {
        self.control.store.device(id, |device, _| device.deletions)
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

    /// Stops, and returns when the last connection is closed.
    pub async fn stop(self) {
        self.control.gate.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Control {
    fn service_account(&self) -> Value {
        self.store.state().accounts.file(&self.project)
    }

    fn install(&self, by_fid: bool) -> String {
        let (id, target) = if by_fid {
            let fid = b64u(random::<16>());
            (fid.clone(), Target::Fid(fid))
        } else {
            let token = format!("{}:{}", b64u(random::<16>()), b64u(random::<100>()));
            (token.clone(), Target::Token(token))
        };
        self.store.install(target);
        id
    }

    fn set_latency(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency.store(micros, Ordering::Relaxed);
    }
}

impl Drop for Fcm {
    fn drop(&mut self) {
        self.control.gate.stop.cancel();
    }
}
