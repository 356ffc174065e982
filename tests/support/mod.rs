//! A fresh database for every test, on both engines.
//!
//! A test is written once, as `async fn name(db: TestDb)`, and listed in [`engines!`], which makes two of it:
//! `sqlite::name` and `postgres::name`. On PostgreSQL it begins as a copy of one that has all migrations, where
//! `PHONEOPS_TEST_TEMPLATE` names it: applying them takes several times as long. [`run_empty`] is for those that look at migrations.
//!
//! **Invariants**
//! - No two tests share a database, and none is left behind, not even by a test that panics.
//! - Without a PostgreSQL server the postgres tests fail and say what to do; they are never skipped.

#![allow(dead_code, reason = "every test program uses a part of it")]

pub(crate) mod dice;

use std::path::PathBuf;
use std::sync::Arc;

use phoneops::db::{Engine, Options, Store};
use phoneops::secret::{Secret, random};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// Makes `sqlite::name` and `postgres::name` of each `async fn name(db: TestDb)`; after `empty:`, with a database without any table.
macro_rules! engines {
    (empty: $($name:ident)*) => { crate::support::engines! { @run_empty $($name)* } };
    (@$run:ident $($name:ident)*) => {
        mod sqlite {
            $(#[test] fn $name() { crate::support::$run(phoneops::db::Engine::Lite, super::$name); })*
        }
        mod postgres {
            $(#[test] fn $name() { crate::support::$run(phoneops::db::Engine::Pg, super::$name); })*
        }
    };
    ($($name:ident)*) => { crate::support::engines! { @run $($name)* } };
}
pub(crate) use engines;

/// One test's own database. Cheap to clone.
#[derive(Clone)]
pub(crate) struct TestDb(Arc<Place>);

enum Place {
    Lite(TempDir),
    Pg { name: String, url: Secret },
}

/// Runs `test` on a fresh database of `engine` and removes the database, whatever became of the test.
pub(crate) fn run<F: Future<Output = ()> + Send + 'static>(engine: Engine, test: impl FnOnce(TestDb) -> F) {
    run_on(TestDb::create(engine), test);
}

/// As [`run`], on a database without any table.
pub(crate) fn run_empty<F: Future<Output = ()> + Send + 'static>(engine: Engine, test: impl FnOnce(TestDb) -> F) {
    run_on(TestDb::empty(engine), test);
}

fn run_on<F: Future<Output = ()> + Send + 'static>(made: impl Future<Output = TestDb>, test: impl FnOnce(TestDb) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let db = made.await;
        let outcome = tokio::spawn(test(db.clone())).await;
        db.remove().await;
        if let Err(failure) = outcome {
            std::panic::resume_unwind(failure.into_panic());
        }
    });
}

impl TestDb {
    /// A fresh database, with all migrations or without any table. Whoever makes it removes it.
    pub(crate) async fn create(engine: Engine) -> Self {
        let of = if engine == Engine::Pg { template().await } else { None };
        Self::made(engine, of).await
    }

    /// A fresh database without any table. Whoever makes it removes it.
    pub(crate) async fn empty(engine: Engine) -> Self {
        Self::made(engine, None).await
    }

    async fn made(engine: Engine, of: Option<&str>) -> Self {
        Self(Arc::new(match engine {
            Engine::Lite => Place::Lite(tempfile::tempdir().expect("a temporary directory")),
            Engine::Pg => {
                let name = format!("phoneops_test_{:032x}", u128::from_ne_bytes(random()));
                let of = of.map(|template| format!(" template {template}")).unwrap_or_default();
                on_server(&format!("create database {name}{of}")).await;
                Place::Pg { url: url_of(&name), name }
            }
        }))
    }

    /// Removes it.
    pub(crate) async fn remove(&self) {
        if let Place::Pg { name, .. } = &*self.0 {
            on_server(&format!("drop database {name} with (force)")).await;
        }
    }

    /// Which engine it is on.
    pub(crate) fn engine(&self) -> Engine {
        match &*self.0 {
            Place::Lite(_) => Engine::Lite,
            Place::Pg { .. } => Engine::Pg,
        }
    }

    /// How to open it.
    pub(crate) fn options(&self) -> Options {
        match &*self.0 {
            Place::Lite(_) => Options::Lite { path: self.path() },
            Place::Pg { url, .. } => Options::Pg { url: url.clone(), connections: 16 },
        }
    }

    /// The directory of its SQLite file, as a server would have it.
    pub(crate) fn directory(&self) -> Option<&std::path::Path> {
        match &*self.0 {
            Place::Lite(directory) => Some(directory.path()),
            Place::Pg { .. } => None,
        }
    }

    /// Its URL, when it is on PostgreSQL.
    pub(crate) fn url(&self) -> Option<String> {
        match &*self.0 {
            Place::Lite(_) => None,
            Place::Pg { url, .. } => Some(url.expose().to_owned()),
        }
    }

    /// Opens it. A second time is a second node.
    pub(crate) async fn store(&self) -> Store {
        Store::open(&self.options()).await.expect("the database opens")
    }

    /// Runs statements past the program, as an administrator or an intruder would.
    pub(crate) async fn raw(&self, sql: &str) {
        self.try_raw(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Whether the database takes `sql`, past the program.
    pub(crate) async fn takes(&self, sql: &str) -> bool {
        self.try_raw(sql).await.is_ok()
    }

    async fn try_raw(&self, sql: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match &*self.0 {
            Place::Lite(_) => self.lite().execute_batch(sql)?,
            Place::Pg { .. } => {
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut self.pg().await).await?;
            }
        }
        Ok(())
    }

    /// As [`TestDb::raw`], where the dialects differ.
    pub(crate) async fn raw_either(&self, lite: &str, pg: &str) {
        let sql = if self.engine() == Engine::Lite { lite } else { pg };
        self.raw(sql).await;
    }

    /// The one number that `sql` asks for, past the program.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        match &*self.0 {
            Place::Lite(_) => self.lite().query_row(sql, [], |row| row.get(0)).expect("one number"),
            Place::Pg { .. } => {
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut self.pg().await).await.expect("one number")
            }
        }
    }

    /// A raw SQLite connection.
    pub(crate) fn lite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).expect("the SQLite database opens")
    }

    /// A raw PostgreSQL connection.
    pub(crate) async fn pg(&self) -> PgConnection {
        let Place::Pg { url, .. } = &*self.0 else { panic!("this database is on SQLite") };
        PgConnection::connect(url.expose()).await.expect("the PostgreSQL database opens")
    }

    fn path(&self) -> PathBuf {
        let Place::Lite(directory) = &*self.0 else { panic!("this database is on PostgreSQL") };
        directory.path().join("phoneops.sqlite")
    }
}

fn server() -> url::Url {
    std::env::var("PHONEOPS_TEST_POSTGRES")
        .expect("this test needs PostgreSQL: run ./scripts/test, which starts one and sets PHONEOPS_TEST_POSTGRES")
        .parse()
        .expect("PHONEOPS_TEST_POSTGRES is a URL")
}

fn url_of(database: &str) -> Secret {
    let mut url = server();
    url.set_path(database);
    Secret::new(url.into())
}

async fn on_server(sql: &str) {
    execute(&mut to_server().await, sql).await;
}

async fn to_server() -> PgConnection {
    PgConnection::connect(server().as_str()).await.expect("the PostgreSQL server answers")
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The database that others are copies of, on a server that is thrown away with it: whoever starts one says so by giving it a name.
async fn template() -> Option<&'static str> {
    static NAME: OnceCell<Option<String>> = OnceCell::const_new();
    let made = NAME.get_or_init(|| async {
        let name = std::env::var("PHONEOPS_TEST_TEMPLATE").ok()?;
        make_template(&name).await;
        Some(name)
    });
    made.await.as_deref()
}

/// Makes it, unless another program has.
async fn make_template(name: &str) {
    let mut connection = to_server().await;
    // Given back with the connection: "tmpl" in ASCII.
    execute(&mut connection, "select pg_advisory_lock(1953329260)").await;
    let count = |sql: &'static str| sqlx::query_scalar::<_, i64>(sql);
    let made = count("select count(*) from pg_database where datname = $1").bind(name).fetch_one(&mut connection);
    if made.await.expect("a number") > 0 {
        return;
    }
    // Under its name there is never half of one.
    let half = format!("{name}_half");
    execute(&mut connection, &format!("drop database if exists {half} with (force)")).await;
    execute(&mut connection, &format!("create database {half}")).await;
    let options = Options::Pg { url: url_of(&half), connections: 1 };
    drop(Store::open(&options).await.expect("the migrations are applied"));
    // What is connected to cannot be renamed or copied.
    execute(&mut connection, &format!("alter database {half} with allow_connections false")).await;
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1";
    while count(end).bind(&half).fetch_one(&mut connection).await.expect("a number") > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    execute(&mut connection, &format!("alter database {half} rename to {name}")).await;
}
