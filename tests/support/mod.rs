//! A fresh database for every test, on both engines.
//!
//! A test is written once, as `async fn name(db: TestDb)`, and listed in [`engines!`], which makes two of it:
//! `sqlite::name` and `postgres::name`.
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

/// Makes `sqlite::name` and `postgres::name` of each `async fn name(db: TestDb)`.
macro_rules! engines {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[test] fn $name() { crate::support::run(phoneops::db::Engine::Lite, super::$name); })*
        }
        mod postgres {
            $(#[test] fn $name() { crate::support::run(phoneops::db::Engine::Pg, super::$name); })*
        }
    };
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
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let db = TestDb::create(engine).await;
        let outcome = tokio::spawn(test(db.clone())).await;
        db.remove().await;
        if let Err(failure) = outcome {
            std::panic::resume_unwind(failure.into_panic());
        }
    });
}

impl TestDb {
    /// A fresh database. Whoever makes it removes it.
    pub(crate) async fn create(engine: Engine) -> Self {
        Self(Arc::new(match engine {
            Engine::Lite => Place::Lite(tempfile::tempdir().expect("a temporary directory")),
            Engine::Pg => {
                let name = format!("phoneops_test_{:032x}", u128::from_ne_bytes(random()));
                on_server(&format!("create database {name}")).await;
                let mut url = server();
                url.set_path(&name);
                Place::Pg { name, url: Secret::new(url.into()) }
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

async fn on_server(sql: &str) {
    let mut connection = PgConnection::connect(server().as_str()).await.expect("the PostgreSQL server answers");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
