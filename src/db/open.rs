//! Opening a database: its settings, its schema, its threads and pools.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::mpsc;

use super::admission::{Lane, PATIENCE, QUEUE};
use super::error::die_of_io_error;
use super::read::Readers;
use super::write::{LiteWork, lite_writer};
use super::{Error, Result, migrate};

/// How long SQLite waits for a process outside this one; inside there is only one writer.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// The log is moved into the database file when it is this long, about 4 MB.
const CHECKPOINT_PAGES: i32 = 1000;

/// Prepared statements kept per connection: more than there are in the source.
pub(super) const STATEMENTS: usize = 256;

/// PostgreSQL connections that are reserved for background work. One of them listens for what other nodes say.
const WORKERS: u32 = 10;

/// Of those, how many are left to what is urgent.
const URGENT: u32 = 2;

/// Which database, and how large a share of it.
#[derive(Clone, Debug)]
pub enum Options {
    /// SQLite in this file.
    Lite {
        /// The database file; created when absent.
        path: PathBuf,
    },
    /// PostgreSQL.
    Pg {
        /// `postgres://…`; holds a password, so it is never printed.
        url: crate::secret::Secret,
        /// Connections for requests. Workers have some of their own beside them.
        connections: u32,
    },
}

/// The engine behind a [`Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// SQLite.
    Lite,
    /// PostgreSQL.
    Pg,
}

/// An open database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(super) backend: Backend,
}

#[derive(Clone)]
pub(super) enum Backend {
    Lite { writer: mpsc::Sender<Box<dyn LiteWork>>, readers: Arc<Readers> },
    Pg { requests: Lane, workers: Lane, urgent: Lane },
}

impl Store {
    /// Opens the database, bringing its schema up to date first.
    ///
    /// # Errors
    /// When it cannot be opened or its schema is not one of ours.
    pub async fn open(options: &Options) -> Result<Self> {
        let backend = match options {
            Options::Lite { path } => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || open_lite(path)).await.map_err(|error| Error::Failed(error.to_string()))??
            }
            Options::Pg { url, connections } => open_pg(url.expose(), *connections).await?,
        };
        Ok(Self { backend })
    }

    /// The same database with the connections that are reserved for background work, so that a flood of requests never starves
    /// the workers.
    #[must_use]
    pub fn for_workers(&self) -> Self {
        match &self.backend {
            Backend::Lite { .. } => self.clone(),
            Backend::Pg { workers, .. } => self.by(workers),
        }
    }

    /// As [`Store::for_workers`], with all of those connections: for background work that nothing else may hold up.
    #[must_use]
    pub fn for_urgent_work(&self) -> Self {
        match &self.backend {
            Backend::Lite { .. } => self.clone(),
            Backend::Pg { urgent, .. } => self.by(urgent),
        }
    }

    fn by(&self, lane: &Lane) -> Self {
        let Backend::Pg { workers, urgent, .. } = &self.backend else { return self.clone() };
        Self { backend: Backend::Pg { requests: lane.clone(), workers: workers.clone(), urgent: urgent.clone() } }
    }

    /// Which engine this is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.backend {
            Backend::Lite { .. } => Engine::Lite,
            Backend::Pg { .. } => Engine::Pg,
        }
    }
}

fn open_lite(path: PathBuf) -> Result<Backend> {
    let mut connection = Connection::open(&path)?;
    connection.busy_timeout(BUSY)?;
    // SQLite answers with the mode it could have, which on some file systems is another.
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Error::Failed(format!("SQLite cannot keep a write-ahead log here: its journal mode is {mode}")));
    }
    // FULL syncs the log before a commit returns; NORMAL may lose acknowledged commits when the power fails.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.wal_hook(Some(checkpoint));
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    migrate::lite(&mut connection)?;
    let (writer, queue) = mpsc::channel(QUEUE);
    std::thread::Builder::new()
        .name("phoneops-writer".into())
        .spawn(move || lite_writer(connection, queue))
        .map_err(|error| Error::Unavailable(error.to_string()))?;
    Ok(Backend::Lite { writer, readers: Arc::new(Readers::new(path)) })
}

/// Moves the log into the database file once it has 1000 pages, as SQLite does by itself; but SQLite ignores an I/O error in that,
/// and would go on acknowledging.
fn checkpoint(wal: &rusqlite::hooks::Wal, pages: i32) -> rusqlite::Result<()> {
    if pages < CHECKPOINT_PAGES {
        return Ok(());
    }
    match wal.checkpoint() {
        // SQLite would make a "logic error" of it on its way through the commit.
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::SystemIoFailure) => die_of_io_error(&error),
        // Busy, or no room in the database file: everything is in the log, and the next commit tries again.
        _ => Ok(()),
    }
}

async fn open_pg(url: &str, connections: u32) -> Result<Backend> {
    let options: PgConnectOptions = url.parse()?;
    let options = options
        .application_name("phoneops")
        // Never weaker than the promise, whatever the server's default is.
        .options([("synchronous_commit", "on"), ("statement_timeout", "10s"), ("lock_timeout", "5s")])
        // What a node held that froze, or was cut off, in the middle of a transaction: the others do not wait for it longer than this.
        .options([
            ("idle_in_transaction_session_timeout", "15s"),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
        ])
        .options([("tcp_keepalives_count", "3")]);
    let lane = async |size: u32| -> Result<Lane> {
        let pool = PgPoolOptions::new().max_connections(size).acquire_timeout(PATIENCE);
        Ok(Lane::new(pool.connect_with(options.clone()).await?, size))
    };
    let urgent = lane(WORKERS).await?;
    migrate::pg(&urgent.pool).await?;
    let workers = urgent.at_most(WORKERS - URGENT - 1);
    Ok(Backend::Pg { requests: lane(connections).await?, workers, urgent })
}
