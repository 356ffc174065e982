//! Storage: one face over SQLite and PostgreSQL.
//!
//! Domain stores see [`Db`], [`Tx`], [`Row`] and their own row types, never a driver's, so that what sits under the
//! face can change. SQL is written once with `$1` parameters; where the dialects really differ, a statement has two texts
//! ([`Sql::either`]).
//!
//! **Invariants**
//! - [`Store::write`] is the only way to change anything. It is detached from whoever awaits it: a client that hangs up never
//!   leaves half a write, and what it returns is durable.
//! - SQLite has one writer, which commits whatever queued up during the last sync as one group (`write`).
//! - An I/O error of the database ends the process: after a failed sync SQLite would go on acknowledging what it may have lost.
//! - What runs after a commit ([`Tx::after_commit`]) is a hint (a wake-up); losing it loses time, never data.

mod admission;
mod backup;
mod error;
mod migrate;
mod notify;
mod open;
mod query;
mod read;
mod value;
mod write;

pub use error::{Error, Result};
pub use open::{Engine, Options, Store};
pub(crate) use query::among;
pub use query::{Db, Query, Sql, ids};
pub use value::{Column, FromRow, Json, Row, Value};
pub use write::Tx;
