//! Reading: one snapshot, which nobody's writing delays or changes.

use std::time::Duration;

use phoneops::db::{Engine, Error, Result};
use tokio::sync::oneshot;

use crate::support::{TestDb, engines};
use crate::{numbers, put, with_numbers};

engines! {
    a_read_sees_one_snapshot
    a_read_does_not_wait_for_the_writer
    a_read_cannot_write
    a_look_has_one_statement
    a_read_that_panics_harms_no_other
    a_read_may_be_dropped_half_way
}

/// Waits for the test's word inside a write or a scan. SQLite's never wait, but their thread, which is not the runtime's, may be
/// held up.
async fn told(engine: Engine, word: oneshot::Receiver<()>) {
    match engine {
        Engine::Lite => word.blocking_recv(),
        Engine::Pg => word.await,
    }
    .expect("the test goes on");
}

/// Longer than any of this takes, shorter than patience.
const PATIENCE: Duration = Duration::from_secs(20);

const COUNT: &str = "select count(*) from numbers";

async fn a_read_sees_one_snapshot(db: TestDb) {
    let store = with_numbers(&db).await;
    put(&store, 1).await.unwrap();
    let (began, has_begun) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel();
    let engine = db.engine();
    let reader = store.clone();
    let read = tokio::spawn(async move {
        reader
            .scan::<(i64, i64), Error, _>(move |db| {
                Box::pin(async move {
                    let before = db.query(COUNT).one().await?;
                    began.send(()).expect("the test waits");
                    told(engine, may_go_on).await;
                    Ok((before, db.query(COUNT).one().await?))
                })
            })
            .await
    });
    has_begun.await.unwrap();
    put(&store, 2).await.unwrap();
    go_on.send(()).unwrap();
    assert_eq!(read.await.unwrap().unwrap(), (1, 1), "the second count saw what was committed in between");
    assert_eq!(numbers(&store).await, [1, 2]);
}

async fn a_read_does_not_wait_for_the_writer(db: TestDb) {
    let store = with_numbers(&db).await;
    let (began, has_begun) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel();
    let engine = db.engine();
    let writer = store.clone();
    let write = tokio::spawn(async move {
        writer
            .write::<_, Error, _>(move |tx| {
                Box::pin(async move {
                    tx.query("insert into numbers (n) values (1)").execute().await?;
                    began.send(()).expect("the test waits");
                    told(engine, may_go_on).await;
                    Ok(())
                })
            })
            .await
    });
    has_begun.await.unwrap();
    for _ in 0..20 {
        assert!(numbers(&store).await.is_empty(), "what is not committed was seen");
    }
    assert!(!write.is_finished(), "the reads came only after the writer was done");
    go_on.send(()).unwrap();
    write.await.unwrap().unwrap();
    assert_eq!(numbers(&store).await, [1]);
}

const INSERT: &str = "insert into numbers (n) values (1) returning n";

async fn a_read_cannot_write(db: TestDb) {
    let store = with_numbers(&db).await;
    let read: Result<i64> = store.read(|db| Box::pin(db.query(INSERT).one())).await;
    let scan: Result<i64> = store.scan(|db| Box::pin(db.query(INSERT).one())).await;
    let look: Result<i64> = store.look(|db| Box::pin(db.query(INSERT).one())).await;
    for out in [read, scan, look] {
        assert!(matches!(out, Err(Error::Failed(_))), "{out:?}");
    }
    assert!(numbers(&store).await.is_empty());
}

async fn a_look_has_one_statement(db: TestDb) {
    let store = with_numbers(&db).await;
    put(&store, 1).await.unwrap();
    let one: Result<i64> = store.look(|db| Box::pin(db.query(COUNT).one())).await;
    assert_eq!(one.unwrap(), 1);
    let two: Result<i64> = store
        .look(|db| {
            Box::pin(async move {
                let _: i64 = db.query(COUNT).one().await?;
                db.query(COUNT).one().await
            })
        })
        .await;
    assert!(matches!(two, Err(Error::Failed(_))), "{two:?}");
}

async fn a_read_that_panics_harms_no_other(db: TestDb) {
    let store = with_numbers(&db).await;
    for _ in 0..20 {
        let read: Result<()> = store.read(|_| Box::pin(async { panic!("on purpose: a read that panics") })).await;
        let scan: Result<()> = store.scan(|_| Box::pin(async { panic!("on purpose: a scan that panics") })).await;
        let look: Result<()> = store.look(|_| Box::pin(async { panic!("on purpose: a look that panics") })).await;
        for out in [read, scan, look] {
            assert!(matches!(out, Err(Error::Failed(_))), "{out:?}");
        }
    }
    assert!(numbers(&store).await.is_empty());
}

async fn a_read_may_be_dropped_half_way(db: TestDb) {
    use futures_util::FutureExt as _;
    let store = with_numbers(&db).await;
    put(&store, 1).await.unwrap();
    // More than there are connections: one that leaked would be missed.
    for _ in 0..100 {
        let read = store.read::<i64, Error, _>(|db| Box::pin(async { db.query(COUNT).one().await }));
        let _ = read.now_or_never();
    }
    let read = tokio::time::timeout(PATIENCE, numbers(&store)).await.expect("connections come back");
    assert_eq!(read, [1]);
}
