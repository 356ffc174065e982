//! How much may wait for the database before more is refused.
//!
//! **Invariants**
//! - Whoever would wait behind [`QUEUE`] others is refused at once, as unavailable: waiting longer than a caller waits helps nobody.
//! - Background work has a lane of its own, so that a flood of requests neither starves nor refuses it.
//! - Of that lane's connections some are left to what is urgent: whatever else there is to do takes turns on the others.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{Error, Result};

/// At most so many operations wait for SQLite's writer, or for the connections of one lane of PostgreSQL.
pub(super) const QUEUE: usize = 4096;

/// How long an operation waits for a connection of PostgreSQL.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// PostgreSQL connections, and who may wait for one. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) pool: PgPool,
    admitted: Arc<Semaphore>,
    /// As many as the lane may hold of the pool's connections at once; all of them where there is none.
    turns: Option<Arc<Semaphore>>,
}

impl Lane {
    /// A lane over a pool of `connections`.
    pub(super) fn new(pool: PgPool, connections: u32) -> Self {
        let places = QUEUE + usize::try_from(connections).unwrap_or(QUEUE);
        Self { pool, admitted: Arc::new(Semaphore::new(places)), turns: None }
    }

    /// The same pool for what may hold at most so many of its connections at once.
    pub(super) fn at_most(&self, connections: u32) -> Self {
        let turns = usize::try_from(connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { turns: Some(Arc::new(Semaphore::new(turns))), ..self.clone() }
    }

    /// A turn to hold a connection, until it is dropped.
    pub(super) async fn turn(&self) -> Result<Option<OwnedSemaphorePermit>> {
        let Some(turns) = self.turns.clone() else { return Ok(None) };
        let taken = || Error::Unavailable("all connections of this lane are taken".into());
        let turn = timeout(PATIENCE, turns.acquire_owned()).await.map_err(|_| taken())?;
        Ok(Some(turn.map_err(|_| taken())?))
    }

    /// A place for one operation, waiting or at work, until it is dropped.
    pub(super) fn admit(&self) -> Result<OwnedSemaphorePermit> {
        let full = |_| Error::Unavailable("too many operations are waiting".into());
        self.admitted.clone().try_acquire_owned().map_err(full)
    }
}
