//! Writing: one transaction per operation on PostgreSQL, group commit on SQLite.
//!
//! SQLite's single writer thread takes whatever queued up while the last commit was syncing (at most [`GROUP`] operations), runs
//! each in a savepoint of one transaction, syncs once, and only then answers. An operation that fails rolls back its own
//! savepoint and nobody else's.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::open::Backend;
use super::{Db, Error, Query, Result, Sql, Store};

/// At most so many operations share a commit; measured, larger groups gain nothing.
const GROUP: usize = 64;

/// A hint to be given once the transaction is durable.
type AfterCommit = Box<dyn FnOnce() + Send>;

/// An open transaction.
pub struct Tx<'c> {
    db: Db<'c>,
    after_commit: Vec<AfterCommit>,
}

impl<'c> Tx<'c> {
    fn new(db: Db<'c>) -> Self {
        Self { db, after_commit: Vec::new() }
    }

    /// A statement in this transaction.
    pub fn query(&mut self, sql: impl Into<Sql>) -> Query<'_, 'c> {
        self.db.query(sql)
    }

    /// What the operation returned, unless it ignored the failure of a statement: then nothing of it may be committed.
    fn close<T, E: From<Error>>(&self, out: Result<T, E>) -> Result<T, E> {
        out.and_then(|out| self.db.unspoilt().map(|()| out).map_err(E::from))
    }

    /// The connection, for reads that are shared with [`Store::read`].
    pub fn db(&mut self) -> &mut Db<'c> {
        &mut self.db
    }

    /// Runs `hint` once this transaction is durable, and not at all when it is rolled back or the process dies first.
    pub fn after_commit(&mut self, hint: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(hint));
    }
}

impl Store {
    /// Runs `op` in a transaction and returns once it is durable. `Err` rolls back, and so does a statement whose failure `op`
    /// ignored. It runs to its end even when the returned future is dropped.
    ///
    /// # Errors
    /// What `op` returned, or a storage error in its clothes: [`Error::Unavailable`] at once when too much is waiting already.
    pub async fn write<T, E, F>(&self, op: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx<'_>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    {
        match &self.backend {
            Backend::Lite { writer, .. } => {
                let (reply, answer) = oneshot::channel();
                let work = LiteWrite { op: Some(op), out: None, after_commit: Vec::new(), reply };
                writer.try_send(Box::new(work)).map_err(|error| turned_away(&error))?;
                answer.await.unwrap_or_else(|_| Err(died().into()))
            }
            Backend::Pg { requests, .. } => {
                let (place, lane) = (requests.admit()?, requests.clone());
                let task = tokio::spawn(async move {
                    let _places = (place, lane.turn().await?);
                    write_pg(&lane.pool, op).await
                });
                task.await.unwrap_or_else(|_| Err(died().into()))
            }
        }
    }
}

fn turned_away<W>(error: &mpsc::error::TrySendError<W>) -> Error {
    Error::Unavailable(match error {
        mpsc::error::TrySendError::Full(_) => "too many writes are waiting".into(),
        mpsc::error::TrySendError::Closed(_) => "the database's writer has stopped".into(),
    })
}

fn died() -> Error {
    Error::Failed("the operation panicked and was rolled back".into())
}

/// Gives the hints of a transaction that is durable. One that panics is its own fault: neither the writer nor the answer "it is
/// durable" may suffer from it.
fn give(hints: Vec<AfterCommit>) {
    for hint in hints {
        if catch_unwind(AssertUnwindSafe(hint)).is_err() {
            tracing::error!("what was to run after a commit panicked; the commit stands");
        }
    }
}

async fn write_pg<T, E, F>(pool: &sqlx::PgPool, op: F) -> Result<T, E>
where
    E: From<Error>,
    F: for<'a> FnOnce(&'a mut Tx<'_>) -> BoxFuture<'a, Result<T, E>>,
{
    let mut transaction = pool.begin().await.map_err(Error::from)?;
    let mut tx = Tx::new(Db::pg(&mut transaction));
    let done = op(&mut tx).await;
    let done = tx.close(done);
    let after_commit = std::mem::take(&mut tx.after_commit);
    let out = match done {
        Ok(out) => out,
        Err(refused) => {
            // A rollback that fails closes the connection, which rolls back too.
            let _ = transaction.rollback().await;
            return Err(refused);
        }
    };
    crate::crash_point!("rows-written");
    transaction.commit().await.map_err(Error::from)?;
    crate::crash_point!("committed");
    give(after_commit);
    Ok(out)
}

/// An operation on its way through SQLite's writer.
pub(super) trait LiteWork: Send {
    /// Runs it inside a savepoint; whether its changes are to be kept.
    fn run(&mut self, connection: &mut Connection) -> bool;
    /// Answers whoever waits, now that the group's fate is known.
    fn finish(self: Box<Self>, committed: Result<(), &Error>);
}

struct LiteWrite<F, T, E> {
    op: Option<F>,
    out: Option<Result<T, E>>,
    after_commit: Vec<AfterCommit>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> LiteWork for LiteWrite<F, T, E>
where
    T: Send,
    E: From<Error> + Send,
    F: for<'a> FnOnce(&'a mut Tx<'_>) -> BoxFuture<'a, Result<T, E>> + Send,
{
    fn run(&mut self, connection: &mut Connection) -> bool {
        let Some(op) = self.op.take() else { return false };
        let mut tx = Tx::new(Db::lite(connection));
        let out = catch_unwind(AssertUnwindSafe(|| op(&mut tx).now_or_never()));
        self.after_commit = std::mem::take(&mut tx.after_commit);
        self.out = Some(match out {
            Ok(Some(out)) => tx.close(out),
            Ok(None) => Err(Error::Failed("a SQLite operation waited for something".into()).into()),
            Err(_) => Err(died().into()),
        });
        matches!(self.out, Some(Ok(_)))
    }

    fn finish(self: Box<Self>, committed: Result<(), &Error>) {
        let out = match (committed, self.out) {
            (Ok(()), Some(Ok(out))) => {
                give(self.after_commit);
                Ok(out)
            }
            // Its own refusal stands whatever became of the group.
            (_, Some(Err(refused))) => Err(refused),
            (Err(error), _) => Err(Error::Unavailable(error.to_string()).into()),
            (Ok(()), None) => Err(died().into()),
        };
        // Whoever asked may have gone; the write stands all the same.
        let _ = self.reply.send(out);
    }
}

/// The writer thread: runs until every [`Store`] handle is gone.
pub(super) fn lite_writer(mut connection: Connection, mut queue: mpsc::Receiver<Box<dyn LiteWork>>) {
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        let committed = run_group(&mut connection, &mut group, &mut queue);
        for work in group {
            work.finish(committed.as_ref().copied());
        }
    }
}

fn run_group(
    connection: &mut Connection,
    group: &mut Vec<Box<dyn LiteWork>>,
    queue: &mut mpsc::Receiver<Box<dyn LiteWork>>,
) -> Result<()> {
    connection.execute_batch("begin immediate")?;
    let done = run_members(connection, group, queue).and_then(|()| {
        crate::crash_point!("rows-written");
        connection.execute_batch("commit")?;
        crate::crash_point!("committed");
        Ok(())
    });
    if done.is_err() && !connection.is_autocommit() {
        connection.execute_batch("rollback")?;
    }
    done
}

fn run_members(
    connection: &mut Connection,
    group: &mut Vec<Box<dyn LiteWork>>,
    queue: &mut mpsc::Receiver<Box<dyn LiteWork>>,
) -> Result<()> {
    let mut next = 0;
    loop {
        connection.prepare_cached("savepoint op")?.raw_execute()?;
        let keep = group[next].run(connection);
        if connection.is_autocommit() {
            // A full disk makes SQLite roll back the whole transaction by itself.
            return Err(Error::Unavailable("the database has no room left".into()));
        }
        if !keep {
            connection.prepare_cached("rollback to op")?.raw_execute()?;
        }
        connection.prepare_cached("release op")?.raw_execute()?;
        next += 1;
        if next == GROUP {
            return Ok(());
        }
        match queue.try_recv() {
            Ok(work) => group.push(work),
            Err(_) => return Ok(()),
        }
    }
}
