//! What the database face, the jobs and the journal promise, on both engines.

#[path = "../support/mod.rs"]
mod support;

mod jobs;
mod journal;
mod overload;
mod read;
mod values;
mod write;

use phoneops::clock::Timestamp;
use phoneops::db::{Result, Store};
use support::TestDb;

/// Where the tests' clocks stand: 2026-02-03 04:05:06 UTC.
const NOW: Timestamp = Timestamp::from_seconds(1_770_091_506);

/// A store with a table of numbers beside the house's own.
async fn with_numbers(db: &TestDb) -> Store {
    let store = db.store().await;
    db.raw("create table numbers (n bigint primary key)").await;
    store
}

async fn put(store: &Store, n: i64) -> Result<()> {
    store
        .write(move |tx| {
            Box::pin(async move { tx.query("insert into numbers (n) values ($1)").bind(n).execute().await.map(drop) })
        })
        .await
}

async fn numbers(store: &Store) -> Vec<i64> {
    let all: Result<_> = store.read(|db| Box::pin(async { db.query("select n from numbers order by n").all().await })).await;
    all.expect("the numbers can be read")
}
