//! What can go wrong in storage, as callers need to tell it apart.

/// The result of anything that touches the database.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A storage error. The cause is for the log; none of it is sent to a client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, or has no room left, or too much is queued: try again later (503).
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A uniqueness constraint was violated; carries its name as the engine spells it.
    #[error("a row with the same {0} exists")]
    Conflict(String),
    /// A row that makes no sense. Never replaced by a default.
    #[error("{table} {id} is inconsistent: {what}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The row's key, as text.
        id: String,
        /// What does not fit.
        what: String,
    },
    /// A statement failed: a fault of this program or of its schema (500).
    #[error("a database statement failed: {0}")]
    Failed(String),
}

impl Error {
    /// An [`Error::Inconsistent`] for one row.
    pub fn inconsistent(table: &'static str, id: impl std::fmt::Display, what: impl std::fmt::Display) -> Self {
        Self::Inconsistent { table, id: id.to_string(), what: what.to_string() }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ffi::ErrorCode;
        let rusqlite::Error::SqliteFailure(code, message) = &error else {
            return Self::Failed(error.to_string());
        };
        match code.code {
            // The index of the log is scratch that no promise rests on, and this is how a full disk shows when it has to grow.
            ErrorCode::SystemIoFailure if code.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
                Self::Unavailable(error.to_string())
            }
            ErrorCode::SystemIoFailure => die_of_io_error(&error),
            ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::CannotOpen => {
                Self::Unavailable(error.to_string())
            }
            ErrorCode::ConstraintViolation
                if matches!(
                    code.extended_code,
                    rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                ) =>
            {
                let text = message.as_deref().unwrap_or_default();
                Self::Conflict(text.rsplit(": ").next().unwrap_or(text).to_owned())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Ends the process: once a write or a sync failed, nobody knows what the disk holds, and SQLite would acknowledge later commits
/// all the same. A supervisor starts us again and recovery reads what is really there.
#[expect(clippy::exit, reason = "stopping is the only honest answer to a failing disk")]
pub(super) fn die_of_io_error(error: &rusqlite::Error) -> ! {
    tracing::error!(%error, "the database's disk failed; stopping so that nothing more is acknowledged");
    eprintln!("phoneops: the database's disk failed ({error}); stopping so that nothing more is acknowledged");
    std::process::exit(74)
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(cause) if cause.is_unique_violation() => {
                Self::Conflict(cause.constraint().unwrap_or_default().to_owned())
            }
            // Classes 08 (connection), 40 (deadlock), 53 (no room, no connections), 55 (lock), 57 (shutting down), 58 (I/O): PostgreSQL itself
            // decides what is lost; for us the statement did not happen.
            sqlx::Error::Database(cause)
                if cause
                    .code()
                    .is_some_and(|code| ["08", "40", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class))) =>
            {
                Self::Unavailable(error.to_string())
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => Self::Unavailable(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}
