//! How much may wait for the database before more is refused.
//!
//! **Invariants**
//! - Whoever would wait behind [`QUEUE`] others is refused at once, as unavailable: waiting longer than a caller waits helps nobody.
//! - Background work has a lane of its own, so that a flood of requests neither starves nor refuses it.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Error, Result};

/// At most so many operations wait for SQLite's writer, or for the connections of one lane of PostgreSQL.
pub(super) const QUEUE: usize = 4096;

/// PostgreSQL connections, and who may wait for one. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) pool: PgPool,
    admitted: Arc<Semaphore>,
}

impl Lane {
    /// A lane over a pool of `connections`.
    pub(super) fn new(pool: PgPool, connections: u32) -> Self {
        let places = QUEUE + usize::try_from(connections).unwrap_or(QUEUE);
        Self { pool, admitted: Arc::new(Semaphore::new(places)) }
    }

    /// A place for one operation, waiting or at work, until it is dropped.
    pub(super) fn admit(&self) -> Result<OwnedSemaphorePermit> {
        let full = |_| Error::Unavailable("too many operations are waiting".into());
        self.admitted.clone().try_acquire_owned().map_err(full)
    }
}
