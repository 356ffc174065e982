//! Migrations: both engines end with the same schema, and a database that is not ours is refused.

mod support;

#[path = "migrations/samples.rs"]
mod samples;
#[path = "migrations/schema.rs"]
mod schema;

use phoneops::db::{Engine, Error, Store};
use support::{TestDb, engines, run_empty};

engines! { empty:
    opening_again_changes_nothing
    nodes_may_start_together
    a_migration_that_was_edited_is_refused
    a_migration_from_the_future_is_refused
    every_table_takes_its_sample
}

#[test]
fn both_engines_end_with_the_same_schema() {
    run_empty(Engine::Lite, |lite| async move {
        drop(lite.store().await);
        let of_lite = schema::of_lite(&lite.lite());
        // The other half has a runtime and a database of its own.
        let compared = tokio::task::spawn_blocking(move || {
            run_empty(Engine::Pg, |pg| async move {
                drop(pg.store().await);
                schema::assert_same(&of_lite, &schema::of_pg(&mut pg.pg().await).await);
            });
        });
        compared.await.expect("they are the same");
    });
}

async fn schema_of(db: &TestDb) -> schema::Schema {
    match db.engine() {
        Engine::Lite => schema::of_lite(&db.lite()),
        Engine::Pg => schema::of_pg(&mut db.pg().await).await,
    }
}

async fn opening_again_changes_nothing(db: TestDb) {
    drop(db.store().await);
    let (first, applied) = (schema_of(&db).await, db.number("select count(*) from schema_migrations").await);
    assert!(applied > 0);
    let again = db.store().await;
    assert_eq!(schema_of(&db).await, first);
    assert_eq!(db.number("select count(*) from schema_migrations").await, applied);
    assert_eq!(phoneops::journal::verify(&again).await.unwrap(), 0, "the journal's head stands at its beginning");
}

async fn nodes_may_start_together(db: TestDb) {
    let nodes = (0..4).map(|_| {
        let options = db.options();
        tokio::spawn(async move { Store::open(&options).await.map(drop) })
    });
    for node in futures_util::future::join_all(nodes).await {
        node.unwrap().expect("a node that starts beside others waits for the one that migrates");
    }
    assert_eq!(db.number("select count(*) from journal_head").await, 1);
}

/// Why the database is refused.
async fn refusal(db: &TestDb) -> String {
    match Store::open(&db.options()).await {
        Err(Error::Failed(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

async fn a_migration_that_was_edited_is_refused(db: TestDb) {
    drop(db.store().await);
    db.raw("update schema_migrations set sha256 = 'another' where version = 1").await;
    let why = refusal(&db).await;
    assert!(why.contains("0001_house_create") && why.contains("changed"), "{why}");
}

async fn a_migration_from_the_future_is_refused(db: TestDb) {
    drop(db.store().await);
    let before = schema_of(&db).await;
    db.raw("insert into schema_migrations (version, name, sha256) values (9999, '9999_future', 'x')").await;
    let why = refusal(&db).await;
    assert!(why.contains("9999") && why.contains("newer"), "{why}");
    assert_eq!(schema_of(&db).await, before, "a refused database was changed");
}

async fn every_table_takes_its_sample(db: TestDb) {
    drop(db.store().await);
    let schema = schema_of(&db).await;
    for sample in samples::all() {
        let table = schema.get(sample.table).unwrap_or_else(|| panic!("there is no table {}", sample.table));
        let named: Vec<_> = sample.values.iter().map(|(column, _)| *column).collect();
        let missing: Vec<_> = table.columns.keys().filter(|column| !named.contains(&column.as_str())).collect();
        assert!(missing.is_empty(), "the sample of {} lacks {missing:?}", sample.table);
        db.raw(&sample.insert(db.engine())).await;
    }
    for table in schema.keys() {
        let rows = db.number(&format!("select count(*) from {table}")).await;
        assert!(rows > 0, "{table} has no sample: add one to tests/migrations/samples.rs");
    }
    samples::assert_unloved_are_refused(&db).await;
}
