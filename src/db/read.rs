//! Reading: one snapshot each, on a connection that can only read. It never waits for the writer.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::open::Backend;
use super::{Db, Error, Result, Sql, Store};
use crate::clock::Timestamp;

/// SQLite readers at work at once: reads are short, and two cores have no use for more.
const READERS: usize = 4;

/// On PostgreSQL every statement would otherwise see a snapshot of its own.
const SNAPSHOT: &str = "begin isolation level repeatable read, read only";

impl Store {
    /// Runs `op` against one consistent snapshot.
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
            Backend::Lite { readers, .. } => {
                let _permit = readers.permits.acquire().await.map_err(|_| gone())?;
                let pool = readers.clone();
                tokio::task::spawn_blocking(move || pool.run(op)).await.unwrap_or_else(|_| Err(gone().into()))
            }
            Backend::Pg { requests, .. } => {
                let (place, pool) = (requests.admit()?, requests.pool.clone());
                // Detached: a connection dropped in the middle of an answer would have to be thrown away.
                let task = tokio::spawn(async move {
                    let _place = place;
                    let mut transaction = pool.begin_with(SNAPSHOT).await.map_err(Error::from)?;
                    let out = op(&mut Db::pg(&mut transaction)).await;
                    // There is nothing to lose; a rollback that fails closes the connection.
                    let _ = transaction.rollback().await;
                    out
                });
                task.await.unwrap_or_else(|_| Err(gone().into()))
            }
        }
    }
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
    permits: Semaphore,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default(), permits: Semaphore::new(READERS) }
    }

    fn run<T, E, F>(&self, op: F) -> Result<T, E>
    where
        E: From<Error>,
        F: for<'a> FnOnce(&'a mut Db<'_>) -> BoxFuture<'a, Result<T, E>>,
    {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        connection.prepare_cached("begin").and_then(|mut s| s.raw_execute()).map_err(Error::from)?;
        let out = op(&mut Db::lite(&mut connection)).now_or_never();
        connection.prepare_cached("commit").and_then(|mut s| s.raw_execute()).map_err(Error::from)?;
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(connection);
        }
        out.unwrap_or_else(|| Err(Error::Failed("a SQLite read waited for something".into()).into()))
    }
}

fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(super::open::BUSY)?;
    connection.set_prepared_statement_cache_capacity(super::open::STATEMENTS);
    Ok(connection)
}
