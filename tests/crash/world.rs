//! A server that may die, and those who go on: the push service, the operator, a bot, phones. The clock is everybody's.

use std::ffi::OsString;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use phoneops::client::{self, Client};
use phoneops::clock::Clock;
use phoneops::db::{Engine, Options, Store};
use phoneops::secret::Secret;
use phoneops::sim::phone::{self, Phone};
use phoneops::sim::push_service::PushService;
use tempfile::TempDir;

use crate::child::{Launch, Process};
use crate::support::TestDb;

/// How long the jobs of a server that died wait for the next.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// From one ring to the next.
pub(crate) const RING: Duration = Duration::from_secs(5);

/// How long anybody goes on asking; it says that something is wrong, and not how fast the house is.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the first life of a server differs from the others.
#[derive(Default)]
pub(crate) struct FirstLife {
    /// Its environment.
    pub(crate) environment: Vec<(String, String)>,
    /// The program that runs it.
    pub(crate) under: Vec<OsString>,
    /// Where its data are, when they are in a file system that only it sees.
    pub(crate) data: Option<PathBuf>,
}

pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) process: Process,
    pub(crate) push_service: PushService,
    pub(crate) issuer: String,
    clock: Clock,
    http: reqwest::Client,
    data: PathBuf,
    scratch: TempDir,
}

impl World {
    pub(crate) async fn start(db: TestDb, first: FirstLife) -> Self {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let clock = Clock::system();
        let push_service = PushService::start(clock.clone()).await.expect("the push service starts");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let issuer = format!("http://localhost:{}", listener.local_addr().expect("an address").port());
        let data = first.data.or_else(|| db.directory().map(Path::to_owned)).unwrap_or_else(|| scratch.path().join("data"));
        let mut settings = vec![
            ("PHONEOPS_PUBLIC_URL", issuer.clone()),
            ("PHONEOPS_DATA_DIR", data.display().to_string()),
            ("PHONEOPS_DATABASE_CONNECTIONS", "4".to_owned()),
            ("PHONEOPS_JOB_LEASE_SECONDS", LEASE.as_secs().to_string()),
            ("PHONEOPS_PAGING_RING_SECONDS", RING.as_secs().to_string()),
            ("PHONEOPS_PAGING_RINGS", "20".to_owned()),
            ("PHONEOPS_APPROVALS_PUSHES_PER_APPROVER_PER_HOUR", "100000".to_owned()),
            ("PHONEOPS_APPROVALS_PUSHES_PER_REQUESTER_PER_HOUR", "100000".to_owned()),
            ("PHONEOPS_WEB_PUSH_ALLOW_PRIVATE_NETWORKS", "true".to_owned()),
            ("PHONEOPS_WEBHOOKS_ALLOW_PRIVATE_NETWORKS", "true".to_owned()),
            ("PHONEOPS_WEB_PUSH_SUBJECT", "mailto:ops@phoneops.example".to_owned()),
        ];
        settings.extend(db.url().map(|url| ("PHONEOPS_DATABASE_URL", url)));
        let process = Process::start(Launch {
            listener,
            settings: settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            at_first: first.environment,
            under: first.under,
            log: scratch.path().join("log"),
        });
        let http = phone::client().expect("a client");
        Self { db, process, push_service, issuer, clock, http, data, scratch }
    }

    /// The operator, on the server's own socket.
    pub(crate) async fn operator(&self) -> Client {
        let socket = || async { Some(self.data_here().join("phoneops.sock")).filter(|socket| socket.exists()) };
        Client::local(&eventually("the server's socket", socket).await).expect("a client")
    }

    pub(crate) fn bot(&self, token: &str) -> Client {
        Client::bot(&self.issuer, Secret::new(token.to_owned())).expect("a client")
    }

    /// A phone that belongs to nobody yet.
    pub(crate) fn phone(&self) -> Phone {
        Phone::with_client(self.http.clone(), self.clock.clone(), &self.issuer, self.push_service.url())
    }

    /// The server's data, as they are seen from here: it may have mounted something over them that we do not see.
    pub(crate) fn data_here(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.process.pid()));
        let inside = root.join(self.data.strip_prefix("/").expect("an absolute path"));
        if self.data.join("lock").exists() { self.data.clone() } else { inside }
    }

    /// The database, beside the server.
    pub(crate) async fn store(&self) -> Store {
        let options = match self.db.engine() {
            Engine::Lite => Options::Lite { path: self.data_here().join("phoneops.sqlite") },
            Engine::Pg => self.db.options(),
        };
        insist("the database opens", || Store::open(&options)).await
    }

    /// What the server said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default()
    }
}

/// An error after which the same is asked again: nobody answered, or not now.
pub(crate) trait Passing {
    fn is_passing(&self) -> bool;
}

impl Passing for client::Error {
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(refusal) => refusal.status == 503,
            Self::NotPhoneOps { .. } | Self::Unwritten(_) => false,
        }
    }
}

impl Passing for phone::Error {
    fn is_passing(&self) -> bool {
        match self {
            Self::Unanswered(_) => true,
            Self::Refused { status, .. } => *status == 503,
            _ => false,
        }
    }
}

impl Passing for phoneops::db::Error {
    fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Asks until there is an answer.
pub(crate) async fn insist<T, E, F>(what: &str, call: impl Fn() -> F) -> T
where
    E: Passing + Debug,
    F: Future<Output = Result<T, E>>,
{
    let began = Instant::now();
    loop {
        match call().await {
            Ok(out) => return out,
            Err(error) if error.is_passing() && began.elapsed() < PATIENCE => {}
            Err(error) => panic!("{what}: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until `look` sees something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
