//! Putting the house together: configuration in, a running server out.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use crate::approvals::{self, Approvals, Policies};
use crate::chat::slack::{self, Slack};
use crate::chat::{self, Chat};
use crate::clock::Clock;
use crate::config::{self, AndroidApp, Config};
use crate::db::{self, Store};
use crate::delivery::{Capabilities, Carriers, Circuits, Delivery, Signals};
use crate::engine::{self, Engine, Retention};
use crate::http::{self, LocalSocket, Tls};
use crate::hub::Hub;
use crate::identity::code::EnrollmentCode;
use crate::identity::webauthn::RelyingPartyInvalid;
use crate::identity::{self, BoundElsewhere, Identity, IssuerKeys, Purpose, RelyingParty, load_or_create};
use crate::jobs::Queue;
use crate::journal::Journal;
use crate::listening::{Listening, Webhooks};
use crate::paging::{self, Paging, schedules::Schedules};
use crate::push::fcm::{self, ServiceAccountInvalid};
use crate::push::web_push::SetupError;
use crate::push::{apns, webhook};
use crate::secret::MasterKey;

mod carriers;
mod restore;

pub use restore::{Restored, Revived, is_occupied, restore, void_dump};

/// SQLite's name in the data directory.
pub const DATABASE: &str = "phoneops.sqlite";

/// A directory in the data directory that every start empties.
const SCRATCH: &str = "tmp";

/// The Unix socket's name in the data directory.
pub const SOCKET: &str = "phoneops.sock";

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum Error {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{0} is in use by another phoneops")]
    InUse(PathBuf),
    #[error("{0} does not hold a master key: 43 characters of base64url are expected")]
    MasterKey(PathBuf),
    #[error("{0} is not the key that the database was sealed with")]
    OtherMasterKey(PathBuf),
    #[error("{0}")]
    Restore(String),
    #[error("a restore was interrupted in {0}, and the files there may not belong together: run `phoneops restore` again")]
    RestoreUnfinished(PathBuf),
    #[error(
        "the database was restored from a dump, or is a copy of another: what was pending in it may have been answered or redeemed since. \
         Run `phoneops restore --dump-restored` while no server runs on it"
    )]
    DumpRestored,
    #[error("the database: {0}")]
    Database(#[from] db::Error),
    #[error("rp_id: {0}")]
    RelyingParty(#[from] RelyingPartyInvalid),
    #[error("{0}")]
    BoundElsewhere(#[from] BoundElsewhere),
    #[error("tls_cert_file, tls_key_file: {0}")]
    Tls(#[from] http::TlsError),
    #[error("apns: {0}")]
    Apns(#[from] apns::SetupError),
    #[error("web_push: {0}")]
    WebPush(#[from] SetupError),
    #[error("{0}")]
    Mail(#[from] crate::mail::SetupError),
    #[error("fcm.service_account_file: {0}")]
    ServiceAccount(#[from] ServiceAccountInvalid),
    #[error("{0}")]
    Fcm(#[from] fcm::SetupError),
    #[error("webhooks: {0}")]
    Webhooks(SetupError),
    #[error("paging.fallback: {0}")]
    Fallback(String),
    #[error("{0}")]
    Slack(#[from] slack::SetupError),
}

/// A running server.
pub struct Server {
    /// How it is reached.
    pub public_url: url::Url,
    /// Its database.
    pub store: Store,
    /// What is said in chat, for the fronts that it has itself.
    pub chat: Arc<Chat>,
    /// Slack, where it is configured.
    pub slack: Option<Arc<Slack>>,
    /// Its worker.
    pub engine: engine::Running,
    /// The first administrator's code, while there is no user at all.
    pub first_admin: Option<EnrollmentCode>,
    closing: CancellationToken,
    tasks: TaskTracker,
    socket: PathBuf,
    _lock: Lock,
}

impl Server {
    /// Starts a server on `listener`. `config.listen` is not looked at.
    ///
    /// # Errors
    /// [`Error`], saying which setting or file.
    pub async fn start(
        config: &Config,
        clock: Clock,
        listener: TcpListener,
        metrics: Option<PrometheusHandle>,
    ) -> Result<Self, Error> {
        let lock = prepare(&config.data_dir)?;
        let master = master_key(config)?;
        let tls = config.tls.clone().map(Tls::load).transpose()?;
        let store = open(config).await?;
        if !store.is_at_home().await? {
            return Err(Error::DumpRestored);
        }
        let closing = CancellationToken::new();
        let (parts, engine, handoff) = build(config, &clock, &master, &store, metrics, closing.clone()).await?;
        let (chat, slack) = (parts.chat.clone(), parts.slack.clone());
        let first_admin = parts.identity.first_admin_code().await?;
        let running = engine.start(handoff);
        if let Some(slack) = &slack {
            slack.start();
        }

        let tasks = TaskTracker::new();
        let router = http::router(parts);
        let socket = config.data_dir.join(SOCKET);
        let local = bind(&socket)?;
        tasks.spawn(http::serve::unix(local, router.clone().layer(axum::Extension(LocalSocket)), closing.clone()));
        if let Some(tls) = tls.clone() {
            tasks.spawn(tls.follow(closing.clone()));
        }
        tasks.spawn(http::serve::tcp(listener, tls, router, closing.clone()));
        tasks.close();
        let public_url = config.public_url.clone();
        Ok(Self { public_url, store, chat, slack, engine: running, first_admin, closing, tasks, socket, _lock: lock })
    }

    /// The `public_url` without a trailing slash.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.public_url.as_str().trim_end_matches('/')
    }

    /// The Unix socket, for the operator.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Stops: finishes the requests under way, then the jobs under way. What is left is durable and waits for the next start.
    pub async fn stop(self) {
        self.closing.cancel();
        self.tasks.wait().await;
        if let Some(slack) = &self.slack {
            slack.stop().await;
        }
        self.engine.stop().await;
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Opens the configured database, bringing its schema up to date.
///
/// # Errors
/// [`Error::Database`].
pub async fn open(config: &Config) -> Result<Store, Error> {
    let options = match &config.database_url {
        None => db::Options::Lite { path: config.data_dir.join(DATABASE) },
        Some(url) => db::Options::Pg { url: url.clone(), connections: config.database_connections },
    };
    Ok(Store::open(&options).await?)
}

/// Builds every room, from the ground up.
async fn build(
    config: &Config,
    clock: &Clock,
    master: &MasterKey,
    store: &Store,
    metrics: Option<PrometheusHandle>,
    closing: CancellationToken,
) -> Result<(http::App, Engine, crate::jobs::Handoff), Error> {
    let now = clock.now();
    let issuer = config.public_url.as_str().trim_end_matches('/').to_owned();
    let journal = Journal::default();
    let hub = Hub::default();
    let (queue, handoff) = Queue::new(clock.clone(), Duration::from_secs(config.job_lease_seconds.into()));
    let vapid = load_or_create(store, master, Purpose::Vapid, now).await?;
    let keys = IssuerKeys::open(store, master, &issuer, now).await?;
    let web_push = Arc::new(carriers::web_push(config, vapid.private)?);
    let vapid_public_key = web_push.public_key();
    let carriers = carriers::all(config, clock, master, store, web_push.clone())?;
    let its = (store.clone(), clock.clone(), journal.clone(), queue.clone());
    let delivery = telling(config, its.clone(), master, carriers);
    delivery.learn_addresses().await?;
    let ground = known(config, its.clone(), &keys, &delivery)?;
    let identity = Arc::new(Identity::new(ground, master));
    identity.bind().await??;
    identity.attest_all().await?;
    let policies = Arc::new(Policies::new(store.clone(), clock.clone(), journal.clone(), issuer.clone(), relying_party(config)?));
    let ground = approvals::Ground {
        store: store.clone(),
        clock: clock.clone(),
        journal: journal.clone(),
        queue: queue.clone(),
        delivery: delivery.clone(),
        hub: hub.clone(),
        policies: policies.clone(),
        master: master.clone(),
        budgets: budgets(config.approvals),
        issuer: issuer.clone(),
        break_glass_wait: Duration::from_secs(config.break_glass_wait_seconds.into()),
    };
    let approvals = Arc::new(Approvals::new(ground, relying_party(config)?, keys));
    let parts = paging::Parts { journal: journal.clone(), queue: queue.clone(), delivery: delivery.clone(), hub: hub.clone() };
    let schedules = Arc::new(Schedules::new(store.clone(), clock.clone(), parts.clone(), issuer.clone()));
    let paging = Arc::new(Paging::new(store.clone(), clock.clone(), settings(config)?, parts));
    let listening = Listening::new(store.clone(), clock.clone(), hub.clone());
    let webhooks = Arc::new(telling_others(config, its, master, &delivery)?);
    let chat = Arc::new(Chat::new(chat::Ground {
        store: store.clone(),
        clock: clock.clone(),
        journal: journal.clone(),
        identity: identity.clone(),
        approvals: approvals.clone(),
        policies: policies.clone(),
        paging: paging.clone(),
        schedules: schedules.clone(),
        delivery: delivery.clone(),
        listening: listening.clone(),
        issuer: issuer.clone(),
    }));
    let engine = Engine {
        store: store.for_workers(),
        clock: clock.clone(),
        queue,
        journal,
        hub,
        identity: identity.clone(),
        approvals: approvals.clone(),
        paging: paging.clone(),
        schedules: schedules.clone(),
        delivery: delivery.clone(),
        listening: listening.clone(),
        webhooks: webhooks.clone(),
        retention: retention(&config.retention),
    };
    let app = http::App {
        store: store.clone(),
        scratch: config.data_dir.join(SCRATCH),
        clock: clock.clone(),
        issuer,
        vapid_public_key,
        web_push,
        ios_apps: config.ios_apps.clone(),
        android_apps: config.android_apps.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        allow_private_networks: config.web_push.allow_private_networks,
        identity,
        approvals,
        policies,
        paging,
        schedules,
        delivery,
        slack: speaking_in_slack(config, (store, clock, master), &chat)?,
        chat,
        listening,
        webhooks,
        metrics,
        closing,
        seen: http::SeenProofs::default(),
    };
    Ok((app, engine, handoff))
}

/// The front of Slack, where it is configured.
fn speaking_in_slack(
    config: &Config,
    (store, clock, master): (&Store, &Clock, &MasterKey),
    chat: &Arc<Chat>,
) -> Result<Option<Arc<Slack>>, slack::SetupError> {
    let Some(settings) = &config.slack else { return Ok(None) };
    let ground = slack::Ground { store: store.for_workers(), clock: clock.clone(), chat: chat.clone(), master: master.clone() };
    Slack::new(settings, ground).map(Some)
}

/// What is handed from room to room.
type Ground = (Store, Clock, Journal, Queue);

fn known(
    config: &Config,
    (store, clock, journal, _): Ground,
    keys: &IssuerKeys,
    delivery: &Delivery,
) -> Result<identity::Ground, Error> {
    Ok(identity::Ground {
        store,
        clock,
        journal,
        keys: keys.clone(),
        relying_party: relying_party(config)?,
        bell: Arc::new(delivery.clone()),
        recovery_wait: Duration::from_secs(config.recovery_wait_seconds.into()),
    })
}

fn telling_others(
    config: &Config,
    (store, clock, journal, queue): Ground,
    master: &MasterKey,
    delivery: &Delivery,
) -> Result<Webhooks, Error> {
    let (delivery, master, sender) = (delivery.clone(), master.clone(), sender(config)?);
    Ok(Webhooks { store, clock, journal, queue, delivery, master, sender })
}

fn telling(config: &Config, (store, clock, journal, queue): Ground, master: &MasterKey, carriers: Carriers) -> Delivery {
    Delivery {
        store,
        clock,
        journal,
        queue,
        master: master.clone(),
        carriers,
        issuer: config.public_url.clone(),
        patience: Duration::from_secs(config.delivery.receipt_seconds.into()),
        privacy: config.privacy,
        capabilities: Capabilities::new(master),
        signals: Signals::default(),
        circuits: Circuits::default(),
    }
}

fn budgets(config: config::Approvals) -> approvals::Budgets {
    approvals::Budgets { per_approver: config.pushes_per_approver_per_hour, per_requester: config.pushes_per_requester_per_hour }
}

fn retention(config: &config::Retention) -> Retention {
    let kept = |days: u32| (days > 0).then(|| Duration::from_hours(24) * days);
    Retention {
        approvals: kept(config.approvals_days),
        incidents: kept(config.incidents_days),
        notifications: kept(config.notifications_days),
        schedules: kept(config.schedules_days),
        journal: kept(config.journal_days),
    }
}

fn sender(config: &Config) -> Result<webhook::Webhooks, Error> {
    let ca_pem = config.webhooks.ca_file.as_deref().map(read).transpose()?;
    webhook::Webhooks::new(config.webhooks.allow_private_networks, ca_pem.as_deref()).map_err(Error::Webhooks)
}

fn relying_party(config: &Config) -> Result<RelyingParty, Error> {
    let mut apps: Vec<_> = config.android_apps.iter().map(AndroidApp::origin).collect();
    if !config.ios_apps.is_empty() {
        // Apple's apps sign for the associated domain.
        let domain = format!("https://{}", config.rp_id).parse();
        apps.push(domain.map_err(|_| RelyingPartyInvalid::NotAnEffectiveDomain {
            rp_id: config.rp_id.clone(),
            origin: config.public_url.clone(),
        })?);
    }
    Ok(RelyingParty::with_apps(&config.rp_id, &config.public_url, "PhoneOps", &apps)?)
}

fn settings(config: &Config) -> Result<paging::Settings, Error> {
    let fallback = config.paging.fallback.as_deref().map(str::parse).transpose();
    Ok(paging::Settings {
        ring_seconds: config.paging.ring_seconds,
        rings: config.paging.rings,
        acknowledgement_seconds: config.paging.acknowledgement_seconds,
        fallback: fallback.map_err(|error: crate::identity::NotAUser| Error::Fallback(error.to_string()))?,
        reports_per_minute: config.paging.reports_per_minute,
    })
}

/// As [`prepare_to`], once no restore is unfinished.
fn prepare(data_dir: &Path) -> Result<Lock, Error> {
    let lock = prepare_to(data_dir)?;
    restore::finished(data_dir)?;
    Ok(lock)
}

/// Keeps other servers out of a data directory for as long as it lives. Given back in so many words: a child that is being started at that
/// moment holds the same file open until it has become its program, and closing ours would not end the lock.
struct Lock(std::fs::File);

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = rustix::fs::flock(&self.0, rustix::fs::FlockOperation::Unlock) {
            tracing::warn!(%error, "the lock of the data directory ends with this process");
        }
    }
}

/// Makes the data directory, empties its scratch, and keeps other servers out of it for as long as the returned lock lives.
fn prepare_to(data_dir: &Path) -> Result<Lock, Error> {
    let failed = |source| Error::File { path: data_dir.to_owned(), source };
    if !data_dir.exists() {
        std::fs::create_dir_all(data_dir).map_err(failed)?;
        std::fs::set_permissions(data_dir, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    let path = data_dir.join("lock");
    let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let file = file.map_err(|source| Error::File { path, source })?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| Error::InUse(data_dir.to_owned()))?;
    let lock = Lock(file);
    let scratch = data_dir.join(SCRATCH);
    match std::fs::remove_dir_all(&scratch) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(Error::File { path: scratch, source }),
        _ => {}
    }
    std::fs::DirBuilder::new().mode(0o700).create(&scratch).map_err(|source| Error::File { path: scratch, source })?;
    Ok(lock)
}

fn master_key_path(config: &Config) -> PathBuf {
    config.master_key_file.clone().unwrap_or_else(|| config.data_dir.join("master.key"))
}

/// The master key: from its file, or made there on the first start.
fn master_key(config: &Config) -> Result<MasterKey, Error> {
    let path = master_key_path(config);
    if !path.exists() && config.master_key_file.is_none() {
        let key = MasterKey::generate();
        keep(&path, &key).map_err(|source| Error::File { path, source })?;
        return Ok(key);
    }
    let text = Zeroizing::new(std::fs::read_to_string(&path).map_err(|source| Error::File { path: path.clone(), source })?);
    MasterKey::parse(&text).ok_or(Error::MasterKey(path))
}

/// Writes a new master key, whole and durable before anything is sealed with it: half a file would lock the house, a file that a
/// power failure takes back would lock what is in the database.
fn keep(path: &Path, key: &MasterKey) -> io::Result<()> {
    let unfinished = path.with_extension("key.new");
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
    io::Write::write_all(&mut file, format!("{}\n", &*key.to_text()).as_bytes())?;
    file.sync_all()?;
    crate::crash_point!("master-key-written");
    std::fs::rename(&unfinished, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()?;
    crate::crash_point!("master-key-kept");
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// The operator's socket, which nobody else can open: its directory is private, and so is it.
fn bind(path: &Path) -> Result<UnixListener, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}
