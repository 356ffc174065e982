//! Reading: one snapshot each, on a connection that can only read. It never waits for the writer.
//!
//! On SQLite a read is done where it is asked for, on the runtime's own thread: a few rows by their keys take tens of microseconds,
//! less than handing them to another thread and being woken again. What may look at many rows is a [`Store::scan`], which goes to
//! a thread where it holds nobody up. On PostgreSQL a snapshot costs a `begin` and a `rollback`, two round trips; a
//! [`Store::look`] has one statement, which is a snapshot by itself, and is spared both.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::admission::Lane;
use super::open::Backend;
use super::{Db, Error, Result, Sql, Store};
use crate::clock::Timestamp;

/// SQLite scans at work at once: two cores have no use for more.
const SCANS: usize = 4;

/// On PostgreSQL every statement would otherwise see a snapshot of its own.
const SNAPSHOT: &str = "begin isolation level repeatable read, read only";

impl Store {
    /// Runs `op`, which reads a few rows by their keys, against one consistent snapshot.
    ///
    /// # Errors
    /// What `op` returned, or a storage error in its clothes.
    pub async fn read<T, E, F>(&self, op: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'a> FnOnce(&'a mut Db<'_>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    {
        match &self.backend {
            Backend::Lite { readers, .. } => readers.run(op),
            Backend::Pg { requests, .. } => read_pg(requests, op).await,
        }
    }

    /// As [`Store::read`], for what may read many rows.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn scan<T, E, F>(&self, op: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'a> FnOnce(&'a mut Db<'_>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    {
        match &self.backend {
            Backend::Lite { readers, .. } => {
                let _permit = readers.scans.acquire().await.map_err(|_| gone())?;
                let readers = readers.clone();
                tokio::task::spawn_blocking(move || readers.run(op)).await.unwrap_or_else(|_| Err(gone().into()))
            }
            Backend::Pg { requests, .. } => read_pg(requests, op).await,
        }
    }

    /// As [`Store::read`], for one `select`; anything else, and a second one, fails.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn look<T, E, F>(&self, op: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'a> FnOnce(&'a mut Db<'_>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    {
        match &self.backend {
            Backend::Lite { readers, .. } => {
                readers.with(|connection| op(&mut Db::lite(connection).for_one_look()).now_or_never())
            }
            Backend::Pg { requests, .. } => {
                let (place, lane) = (requests.admit()?, requests.clone());
                let looking = tokio::spawn(async move {
                    let _places = (place, lane.turn().await?);
                    let mut connection = lane.pool.acquire().await.map_err(Error::from)?;
                    op(&mut Db::pg(&mut connection).for_one_look()).await
                });
                looking.await.unwrap_or_else(|_| Err(gone().into()))
            }
        }
    }
}

/// Detached: a connection dropped in the middle of an answer would have to be thrown away.
async fn read_pg<T, E, F>(lane: &Lane, op: F) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    F: for<'a> FnOnce(&'a mut Db<'_>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
{
    let (place, lane) = (lane.admit()?, lane.clone());
    let reading = tokio::spawn(async move {
        let _places = (place, lane.turn().await?);
        let mut transaction = lane.pool.begin_with(SNAPSHOT).await.map_err(Error::from)?;
        let out = op(&mut Db::pg(&mut transaction)).await;
        // There is nothing to lose; a rollback that fails closes the connection.
        let _ = transaction.rollback().await;
        out
    });
    reading.await.unwrap_or_else(|_| Err(gone().into()))
}

impl Store {
    /// What time the database says it is; none for SQLite, which goes by ours. Also the cheapest proof that it answers.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn now(&self) -> Result<Option<Timestamp>> {
        self.read(|db| {
            Box::pin(async move {
                db.query(Sql::either(
                    "select null as now",
                    "select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now",
                ))
                .one()
                .await
            })
        })
        .await
    }
}

fn gone() -> Error {
    Error::Failed("the read panicked".into())
}

/// SQLite's reading connections, opened as they are needed and kept.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    scans: Semaphore,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default(), scans: Semaphore::new(SCANS) }
    }

    /// The database file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `op` against one snapshot.
    fn run<T, E, F>(&self, op: F) -> Result<T, E>
    where
        E: From<Error>,
        F: for<'a> FnOnce(&'a mut Db<'_>) -> BoxFuture<'a, Result<T, E>>,
    {
        self.with(|connection| {
            if let Err(error) = execute(connection, "begin") {
                return Some(Err(error.into()));
            }
            let out = op(&mut Db::lite(connection)).now_or_never();
            execute(connection, "commit").map_or_else(|error| Some(Err(error.into())), |()| out)
        })
    }

    /// Lends a connection. One that a panic left in the middle of something is closed, not kept.
    fn with<T, E: From<Error>>(&self, op: impl FnOnce(&mut Connection) -> Option<Result<T, E>>) -> Result<T, E> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let out = catch_unwind(AssertUnwindSafe(|| op(&mut connection))).map_err(|_| gone())?;
        if connection.is_autocommit()
            && let Ok(mut idle) = self.idle.lock()
        {
            idle.push(connection);
        }
        out.unwrap_or_else(|| Err(Error::Failed("a SQLite read waited for something".into()).into()))
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<()> {
    Ok(connection.prepare_cached(sql)?.raw_execute().map(|_| ())?)
}

pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(super::open::BUSY)?;
    connection.set_prepared_statement_cache_capacity(super::open::STATEMENTS);
    Ok(connection)
}
