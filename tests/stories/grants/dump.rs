//! A PostgreSQL database that came from a dump is not served before what the dump revived is void.

use std::path::Path;
use std::process::Command;

use phoneops::clock::Clock;
use phoneops::config::Config;
use phoneops::db::{Engine, Options, Store};
use phoneops::secret::Secret;
use phoneops::server::{Error, Server, void_dump};
use serde_json::json;

use crate::support::{TestDb, run, run_empty};
use crate::world::{World, deploy};

#[test]
fn a_restored_dump_is_not_served_until_it_is_made_safe() {
    run(Engine::Pg, restored_into_another_database);
}

#[test]
fn a_dump_restored_over_its_own_database_is_noticed() {
    run(Engine::Pg, restored_over_itself);
}

#[test]
fn a_clone_is_noticed() {
    run(Engine::Pg, cloned);
}

#[test]
fn no_privilege_is_needed() {
    run_empty(Engine::Pg, served_as_a_plain_role);
}

fn tool(name: &str, arguments: &[&str]) {
    let output = Command::new(name).args(arguments).output().unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A world with one request that waits and one that was approved, and which is then closed; what it ran with.
async fn closed_world(db: &TestDb, data: &Path) -> Config {
    let config = config(db, data);
    let world = World::start_with(db.clone(), &[("PHONEOPS_DATA_DIR", &data.display().to_string())]).await;
    let (yannick, heimdall) = (world.person("yannick", "Yannick Schutz").await, world.bot("heimdall").await);
    let approved = heimdall.ask(&yannick, deploy("api", "production")).await;
    yannick.expect_push(&world, "Approval needed").await;
    yannick.phone.approve(&approved).await.unwrap();
    heimdall.ask(&yannick, deploy("web", "production")).await;
    yannick.expect_push(&world, "Approval needed").await;
    world.end().await;
    config
}

fn config(db: &TestDb, data: &Path) -> Config {
    let settings = [
        ("PHONEOPS_DATABASE_URL", db.url().unwrap()),
        ("PHONEOPS_DATA_DIR", data.display().to_string()),
        ("PHONEOPS_WEB_PUSH_SUBJECT", "mailto:ops@phoneops.example".to_owned()),
    ];
    Config::load(None, settings.map(|(key, value)| (key.to_owned(), value))).unwrap()
}

async fn start(config: &Config) -> Result<Server, Error> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    Server::start(config, Clock::system(), listener, None).await
}

/// It starts, as after any other stop.
async fn starts(config: &Config) {
    start(config).await.map_err(|error| error.to_string()).unwrap().stop().await;
}

/// It does not start, says what to do, and starts once that was done.
async fn starts_once_it_is_safe(db: &TestDb, config: &Config) {
    for _ in 0..2 {
        let refused = start(config).await.err().expect("it does not start");
        assert!(matches!(refused, Error::DumpRestored), "{refused}");
        assert!(refused.to_string().contains("phoneops restore --dump-restored"), "{refused}");
    }
    assert_eq!(db.number("select count(*) from approvals where state = 'pending'").await, 1, "nothing was done to it");
    let restored = void_dump(config, &Clock::manual(phoneops::clock::Timestamp::from_seconds(1_800_000_010))).await;
    let restored = restored.map_err(|error| error.to_string()).unwrap();
    assert_eq!((restored.voided.approvals, restored.voided.grants), (1, 1));
    assert_eq!(db.number("select count(*) from approvals where state = 'cancelled'").await, 1);
    starts(config).await;
    starts(config).await;
}

async fn restored_into_another_database(db: TestDb) {
    let data = tempfile::tempdir().unwrap();
    let original = closed_world(&db, data.path()).await;
    starts(&original).await;
    let dump = data.path().join("dump");
    let file = dump.display().to_string();
    tool("pg_dump", &["--format=custom", "--file", &file, &db.url().unwrap()]);
    let other = TestDb::empty(Engine::Pg).await;
    tool("pg_restore", &["--exit-on-error", "--dbname", &other.url().unwrap(), &file]);
    let restored = config(&other, data.path());
    starts_once_it_is_safe(&other, &restored).await;
    // A dump of a restored database is no different.
    tool("pg_dump", &["--format=custom", "--file", &file, &other.url().unwrap()]);
    let third = TestDb::empty(Engine::Pg).await;
    tool("pg_restore", &["--exit-on-error", "--dbname", &third.url().unwrap(), &file]);
    let refused = start(&config(&third, data.path())).await.err().expect("it does not start");
    assert!(matches!(refused, Error::DumpRestored), "{refused}");
    // The original still is what it was, whatever PostgreSQL does to its rows.
    db.raw("vacuum (full, freeze) installation").await;
    starts(&original).await;
    third.remove().await;
    other.remove().await;
}

async fn restored_over_itself(db: TestDb) {
    let data = tempfile::tempdir().unwrap();
    let original = closed_world(&db, data.path()).await;
    let dump = data.path().join("dump").display().to_string();
    tool("pg_dump", &["--format=custom", "--file", &dump, &db.url().unwrap()]);
    starts(&original).await;
    tool("pg_restore", &["--clean", "--exit-on-error", "--dbname", &db.url().unwrap(), &dump]);
    starts_once_it_is_safe(&db, &original).await;
    assert_eq!(json!(phoneops::journal::verify(&db.store().await).await.unwrap() > 0), json!(true));
}

async fn cloned(db: TestDb) {
    let data = tempfile::tempdir().unwrap();
    closed_world(&db, data.path()).await;
    let (url, name) = (db.url().unwrap(), format!("{}_clone", db.url().unwrap().rsplit('/').next().unwrap()));
    let mut server: url::Url = url.parse().unwrap();
    server.set_path("postgres");
    let of = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    tool("psql", &["--command", &format!("create database {name} template {of}"), server.as_str()]);
    let mut clone = server.clone();
    clone.set_path(&name);
    let settings = [
        ("PHONEOPS_DATABASE_URL", clone.to_string()),
        ("PHONEOPS_DATA_DIR", data.path().display().to_string()),
        ("PHONEOPS_WEB_PUSH_SUBJECT", "mailto:ops@phoneops.example".to_owned()),
    ];
    let config = Config::load(None, settings.map(|(key, value)| (key.to_owned(), value))).unwrap();
    let refused = start(&config).await.err();
    tool("psql", &["--command", &format!("drop database {name} with (force)"), server.as_str()]);
    assert!(matches!(refused, Some(Error::DumpRestored)), "{:?}", refused.map(|error| error.to_string()));
}

async fn served_as_a_plain_role(db: TestDb) {
    let mut url: url::Url = db.url().unwrap().parse().unwrap();
    let role = format!("phoneops_plain_{}", url.path().rsplit('_').next().unwrap());
    // With a password, which a server that trusts nobody asks for.
    db.raw(&format!("create role {role} login password '{role}'; grant all on schema public to {role}")).await;
    url.set_username(&role).unwrap();
    url.set_password(Some(&role)).unwrap();
    let options = Options::Pg { url: Secret::new(url.to_string()), connections: 2 };
    let store = Store::open(&options).await.unwrap();
    let said = "select count(*) from installation where name = 'postgres' and value not like 'unknown/%'";
    assert!(store.is_at_home().await.unwrap() && store.is_at_home().await.unwrap());
    assert_eq!(db.number(said).await, 1);
    // Where it may not ask for the server's number, the other two have to do; that it could before is a difference.
    db.raw("revoke execute on function pg_catalog.pg_control_system() from public").await;
    assert!(!store.is_at_home().await.unwrap());
    store.make_at_home().await.unwrap();
    assert!(store.is_at_home().await.unwrap());
    assert_eq!(db.number(said).await, 0);
    db.raw("update installation set value = value where name = 'postgres'").await;
    assert!(!store.is_at_home().await.unwrap(), "the row was written by another transaction");
    drop(store);
    db.raw(&format!("drop owned by {role} cascade; drop role {role}")).await;
}
