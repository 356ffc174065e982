//! A statement, its parameters, and the connection it runs on.

use futures_util::TryStreamExt as _;
use sqlx::Arguments as _;
use sqlx::postgres::{PgArguments, PgConnection};

use super::{Error, FromRow, Result, Row, Value};

/// The text of a statement: one for both engines, or one each.
#[derive(Clone, Copy, Debug)]
pub struct Sql {
    lite: &'static str,
    pg: &'static str,
}

impl Sql {
    /// Two texts, for where the dialects really differ.
    #[must_use]
    pub const fn either(lite: &'static str, pg: &'static str) -> Self {
        Self { lite, pg }
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self { lite: text, pg: text }
    }
}

/// A connection of either engine, inside a transaction.
pub enum Db<'c> {
    /// SQLite. Its futures never wait, so they may be polled on the connection's own thread.
    Lite(&'c mut rusqlite::Connection),
    /// PostgreSQL.
    Pg(&'c mut PgConnection),
}

impl<'c> Db<'c> {
    /// A statement to bind parameters to and run.
    pub fn query(&mut self, sql: impl Into<Sql>) -> Query<'_, 'c> {
        Query { db: self, sql: sql.into(), values: Vec::new() }
    }
}

/// A statement under construction; `$1` is the first bound value.
pub struct Query<'q, 'c> {
    db: &'q mut Db<'c>,
    sql: Sql,
    values: Vec<Value>,
}

impl Query<'_, '_> {
    /// Binds the next parameter.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it; how many rows changed.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn execute(self) -> Result<u64> {
        match self.db {
            Db::Lite(connection) => {
                let mut statement = connection.prepare_cached(self.sql.lite)?;
                bind_lite(&mut statement, &self.values)?;
                Ok(statement.raw_execute()? as u64)
            }
            Db::Pg(connection) => {
                let query = sqlx::query_with(self.sql.pg, pg_arguments(self.values)?);
                Ok(query.execute(&mut **connection).await?.rows_affected())
            }
        }
    }

    /// Runs it and reads every row.
    ///
    /// # Errors
    /// Storage errors, and rows that make no sense.
    pub async fn all<T: FromRow + Send>(self) -> Result<Vec<T>> {
        let mut out = Vec::new();
        match self.db {
            Db::Lite(connection) => {
                let mut statement = connection.prepare_cached(self.sql.lite)?;
                bind_lite(&mut statement, &self.values)?;
                let mut rows = statement.raw_query();
                while let Some(row) = rows.next()? {
                    out.push(T::from_row(&Row::Lite(row))?);
                }
            }
            Db::Pg(connection) => {
                let mut rows = sqlx::query_with(self.sql.pg, pg_arguments(self.values)?).fetch(&mut **connection);
                while let Some(row) = rows.try_next().await? {
                    out.push(T::from_row(&Row::Pg(&row))?);
                }
            }
        }
        Ok(out)
    }

    /// Runs it and reads the first row, if there is one.
    ///
    /// # Errors
    /// Storage errors, and a row that makes no sense.
    pub async fn optional<T: FromRow + Send>(self) -> Result<Option<T>> {
        match self.db {
            Db::Lite(connection) => {
                let mut statement = connection.prepare_cached(self.sql.lite)?;
                bind_lite(&mut statement, &self.values)?;
                let mut rows = statement.raw_query();
                let found = rows.next()?.map(|row| T::from_row(&Row::Lite(row))).transpose()?;
                // An `insert … returning` takes effect only when it is stepped to its end.
                while rows.next()?.is_some() {}
                Ok(found)
            }
            Db::Pg(connection) => sqlx::query_with(self.sql.pg, pg_arguments(self.values)?)
                .fetch_optional(&mut **connection)
                .await?
                .map(|row| T::from_row(&Row::Pg(&row)))
                .transpose(),
        }
    }

    /// Runs it and reads the one row there must be.
    ///
    /// # Errors
    /// Storage errors, and [`Error::Failed`] when there is no row.
    pub async fn one<T: FromRow + Send>(self) -> Result<T> {
        let sql = self.sql.lite;
        self.optional().await?.ok_or_else(|| Error::Failed(format!("no row from: {sql}")))
    }
}

/// SQLite takes `$n` for a *named* parameter and numbers names by first appearance, so they are bound by name.
const NAMES: [&str; 24] = [
    "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$16", "$17", "$18", "$19",
    "$20", "$21", "$22", "$23", "$24",
];

fn bind_lite(statement: &mut rusqlite::CachedStatement<'_>, values: &[Value]) -> Result<()> {
    use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
    for (name, value) in NAMES.iter().zip(values) {
        let output = match value {
            Value::Int(Some(v)) => ToSqlOutput::Owned(Owned::Integer(*v)),
            Value::Bool(Some(v)) => ToSqlOutput::Owned(Owned::Integer(i64::from(*v))),
            Value::Text(Some(v)) => ToSqlOutput::Borrowed(ValueRef::Text(v.as_bytes())),
            Value::Bytes(Some(v)) => ToSqlOutput::Borrowed(ValueRef::Blob(v)),
            Value::Uuid(Some(v)) => ToSqlOutput::Borrowed(ValueRef::Blob(v.as_bytes())),
            Value::Json(Some(v)) => ToSqlOutput::Owned(Owned::Text(v.to_string())),
            _ => ToSqlOutput::Owned(Owned::Null),
        };
        let index =
            statement.parameter_index(name)?.ok_or_else(|| Error::Failed(format!("the statement has no parameter {name}")))?;
        statement.raw_bind_parameter(index, output)?;
    }
    if values.len() == statement.parameter_count() {
        return Ok(());
    }
    Err(Error::Failed(format!("{} parameters bound to a statement with {}", values.len(), statement.parameter_count())))
}

fn pg_arguments(values: Vec<Value>) -> Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Int(v) => arguments.add(v),
            Value::Bool(v) => arguments.add(v),
            Value::Text(v) => arguments.add(v),
            Value::Bytes(v) => arguments.add(v),
            Value::Uuid(v) => arguments.add(v),
            Value::Json(v) => arguments.add(v.map(sqlx::types::Json)),
        }
        .map_err(|error| Error::Failed(error.to_string()))?;
    }
    Ok(arguments)
}
