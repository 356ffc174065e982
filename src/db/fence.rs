//! Whether a PostgreSQL database is the one that this installation wrote, or was made from a dump of it.
//!
//! A dump holds what is in a row, and not which transaction wrote the row. So one row names its own transaction, its database and its
//! server; whatever is restored, cloned with `create database … template`, or replicated logically, says something that is not so. A
//! physical copy (a standby that takes over, a snapshot of a disk, point-in-time recovery) keeps all three, for it keeps the commits.
//!
//! **Invariants**
//! - A database that says something else is not served until somebody ends what it revived.
//! - A database that says nothing is new, or from before there was this row, and says it from now on.

use sqlx::{PgConnection, Row as _};

use super::open::Backend;
use super::{Result, Store};

/// The name of the row.
const ROW: &str = "postgres";

/// What a row that this transaction writes has to say. `xmin` is 32 bits of the transaction's number.
const HERE: &str = "select current_database_oid || '/' || (txid_current() % 4294967296)::text
    from (select oid::text as current_database_oid from pg_database where datname = current_database()) as here";

/// What the row says, and what it would have to say.
const SAID: &str = "select value, (select oid::text from pg_database where datname = current_database()) || '/' || xmin::text
    from installation where name = $1";

impl Store {
    /// Whether this is the database that was written here. SQLite's is a file, whose restoring `server/restore.rs` watches over.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn is_at_home(&self) -> Result<bool> {
        let Backend::Pg { workers, .. } = &self.backend else { return Ok(true) };
        let mut transaction = workers.pool.begin().await?;
        lock(&mut transaction).await?;
        let server = server(&mut transaction).await?;
        let said = sqlx::query(SAID).bind(ROW).fetch_optional(&mut *transaction).await?;
        let at_home = if let Some(row) = said {
            row.try_get::<String, _>(0)? == format!("{server}/{}", row.try_get::<String, _>(1)?)
        } else {
            say(&mut transaction, &server).await?;
            true
        };
        transaction.commit().await?;
        Ok(at_home)
    }

    /// Makes this the database that was written here.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn make_at_home(&self) -> Result<()> {
        let Backend::Pg { workers, .. } = &self.backend else { return Ok(()) };
        let mut transaction = workers.pool.begin().await?;
        lock(&mut transaction).await?;
        let server = server(&mut transaction).await?;
        sqlx::query("delete from installation where name = $1").bind(ROW).execute(&mut *transaction).await?;
        say(&mut transaction, &server).await?;
        Ok(transaction.commit().await?)
    }
}

/// Nodes that start together wait for each other here: "home" in ASCII.
async fn lock(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("select pg_advisory_xact_lock(1752132965)").execute(connection).await?;
    Ok(())
}

async fn say(connection: &mut PgConnection, server: &str) -> Result<()> {
    let here: String = sqlx::query_scalar(HERE).fetch_one(&mut *connection).await?;
    let said = format!("{server}/{here}");
    sqlx::query("insert into installation (name, value) values ($1, $2)").bind(ROW).bind(said).execute(connection).await?;
    Ok(())
}

/// The number that `initdb` drew. Everybody may read it, unless an administrator took that away: then the other two have to do.
async fn server(connection: &mut PgConnection) -> Result<String> {
    let allowed = "select has_function_privilege('pg_catalog.pg_control_system()', 'execute')";
    if !sqlx::query_scalar::<_, bool>(allowed).fetch_one(&mut *connection).await? {
        return Ok("unknown".to_owned());
    }
    let number = "select system_identifier::text from pg_catalog.pg_control_system()";
    Ok(sqlx::query_scalar(number).fetch_one(connection).await?)
}
