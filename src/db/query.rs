//! A statement, its parameters, and the connection it runs on.

use futures_util::TryStreamExt as _;
use sqlx::Arguments as _;
use sqlx::postgres::{PgArguments, PgConnection};

use uuid::Uuid;

use super::{Error, FromRow, Json, Result, Row, Value};

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

/// A statement that ends in `in`, about the ids that are its first parameter, as [`ids`] gives them.
macro_rules! among {
    ($text:literal) => {
        $crate::db::Sql::either(
            concat!($text, " (select unhex(value) from json_each($1))"),
            concat!($text, " (select value::uuid from jsonb_array_elements_text($1))"),
        )
    };
}
pub(crate) use among;

/// Ids as one parameter.
#[must_use]
pub fn ids(ids: &[Uuid]) -> Json<Vec<String>> {
    Json(ids.iter().map(|id| id.simple().to_string()).collect())
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self { lite: text, pg: text }
    }
}

/// A connection of either engine, inside a transaction.
///
/// Once a statement has failed the transaction is spoilt: PostgreSQL refuses every further statement and turns the commit into a
/// rollback without a word. SQLite is held to the same, so that neither engine ever reports half a change, or none, as done.
pub struct Db<'c> {
    driver: Driver<'c>,
    spoilt: bool,
    /// Without a transaction: for one statement, which has run or not.
    one_look: bool,
    looked: bool,
}

enum Driver<'c> {
    /// Its futures never wait, so they may be polled on the connection's own thread.
    Lite(&'c mut rusqlite::Connection),
    Pg(&'c mut PgConnection),
}

impl<'c> Db<'c> {
    pub(super) fn lite(connection: &'c mut rusqlite::Connection) -> Self {
        Self { driver: Driver::Lite(connection), spoilt: false, one_look: false, looked: false }
    }

    pub(super) fn pg(connection: &'c mut PgConnection) -> Self {
        Self { driver: Driver::Pg(connection), spoilt: false, one_look: false, looked: false }
    }

    /// Without a transaction around it, so that a second statement would see another snapshot.
    pub(super) fn for_one_look(self) -> Self {
        Self { one_look: true, ..self }
    }

    /// A statement to bind parameters to and run.
    pub fn query(&mut self, sql: impl Into<Sql>) -> Query<'_, 'c> {
        Query { db: self, sql: sql.into(), values: Vec::new() }
    }

    /// An error when a statement of this transaction failed.
    pub(super) fn unspoilt(&self) -> Result<()> {
        if self.spoilt {
            return Err(Error::Failed("an earlier statement of this transaction failed".into()));
        }
        Ok(())
    }

    /// Lets the next statement run, unless one failed before it. A look, which no transaction confines, has one and it is a query.
    fn admit(&mut self, sql: Sql) -> Result<()> {
        self.unspoilt()?;
        if !self.one_look {
            return Ok(());
        }
        if std::mem::replace(&mut self.looked, true) {
            return Err(Error::Failed("a look has one statement; this is its second".into()));
        }
        if !sql.pg.trim_start().starts_with("select ") {
            return Err(Error::Failed(format!("a look only reads: {}", sql.pg)));
        }
        Ok(())
    }

    fn note<T>(&mut self, done: Result<T>) -> Result<T> {
        self.spoilt |= done.is_err();
        done
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
        let Self { db, sql, values } = self;
        db.admit(sql)?;
        let done = match &mut db.driver {
            Driver::Lite(connection) => lite_execute(connection, sql.lite, &values),
            Driver::Pg(connection) => pg_execute(connection, sql.pg, values).await,
        };
        db.note(done)
    }

    /// Runs it and reads every row.
    ///
    /// # Errors
    /// Storage errors, and rows that make no sense.
    pub async fn all<T: FromRow + Send>(self) -> Result<Vec<T>> {
        let Self { db, sql, values } = self;
        db.admit(sql)?;
        let done = match &mut db.driver {
            Driver::Lite(connection) => lite_all(connection, sql.lite, &values),
            Driver::Pg(connection) => pg_all(connection, sql.pg, values).await,
        };
        db.note(done)
    }

    /// Runs it and reads the first row, if there is one.
    ///
    /// # Errors
    /// Storage errors, and a row that makes no sense.
    pub async fn optional<T: FromRow + Send>(self) -> Result<Option<T>> {
        let Self { db, sql, values } = self;
        db.admit(sql)?;
        let done = match &mut db.driver {
            Driver::Lite(connection) => lite_optional(connection, sql.lite, &values),
            Driver::Pg(connection) => pg_optional(connection, sql.pg, values).await,
        };
        db.note(done)
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

fn lite_execute(connection: &rusqlite::Connection, sql: &str, values: &[Value]) -> Result<u64> {
    let mut statement = connection.prepare_cached(sql)?;
    bind_lite(&mut statement, values)?;
    Ok(statement.raw_execute()? as u64)
}

fn lite_all<T: FromRow>(connection: &rusqlite::Connection, sql: &str, values: &[Value]) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    bind_lite(&mut statement, values)?;
    let mut rows = statement.raw_query();
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(T::from_row(&Row::Lite(row))?);
    }
    Ok(out)
}

fn lite_optional<T: FromRow>(connection: &rusqlite::Connection, sql: &str, values: &[Value]) -> Result<Option<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    bind_lite(&mut statement, values)?;
    let mut rows = statement.raw_query();
    let found = rows.next()?.map(|row| T::from_row(&Row::Lite(row))).transpose()?;
    // An `insert … returning` takes effect only when it is stepped to its end.
    while rows.next()?.is_some() {}
    Ok(found)
}

async fn pg_execute(connection: &mut PgConnection, sql: &'static str, values: Vec<Value>) -> Result<u64> {
    Ok(sqlx::query_with(sql, pg_arguments(sql, values)?).execute(connection).await?.rows_affected())
}

async fn pg_all<T: FromRow + Send>(connection: &mut PgConnection, sql: &'static str, values: Vec<Value>) -> Result<Vec<T>> {
    let mut rows = sqlx::query_with(sql, pg_arguments(sql, values)?).fetch(connection);
    let mut out = Vec::new();
    while let Some(row) = rows.try_next().await? {
        out.push(T::from_row(&Row::Pg(&row))?);
    }
    Ok(out)
}

async fn pg_optional<T: FromRow>(connection: &mut PgConnection, sql: &'static str, values: Vec<Value>) -> Result<Option<T>> {
    let found = sqlx::query_with(sql, pg_arguments(sql, values)?).fetch_optional(connection).await?;
    found.map(|row| T::from_row(&Row::Pg(&row))).transpose()
}

/// SQLite takes `$n` for a *named* parameter and numbers names by first appearance, so they are bound by name.
const NAMES: [&str; 24] = [
    "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$16", "$17", "$18", "$19",
    "$20", "$21", "$22", "$23", "$24",
];

fn bind_lite(statement: &mut rusqlite::CachedStatement<'_>, values: &[Value]) -> Result<()> {
    use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
    if values.len() > NAMES.len() {
        return Err(Error::Failed(format!("{} parameters bound, at most {} are supported", values.len(), NAMES.len())));
    }
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
    Err(miscounted(values.len(), statement.parameter_count()))
}

fn miscounted(bound: usize, wanted: usize) -> Error {
    Error::Failed(format!("{bound} parameters bound to a statement with {wanted}"))
}

/// The highest `$n` in `sql`. PostgreSQL reports a wrong count as a broken protocol, which would look like an outage.
fn parameters(sql: &str) -> usize {
    let number = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    sql.split('$').skip(1).filter_map(number).max().unwrap_or(0)
}

fn pg_arguments(sql: &str, values: Vec<Value>) -> Result<PgArguments> {
    if values.len() != parameters(sql) {
        return Err(miscounted(values.len(), parameters(sql)));
    }
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
