//! When more is asked than the database can do; and, on SQLite, operations that its writer cannot run.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::future::join_all;
use phoneops::db::{Engine, Error, Result};
use tokio::sync::{Semaphore, oneshot};

use crate::support::{TestDb, run};
use crate::{numbers, put, with_numbers};

/// More than the queue holds.
const FLOOD: i64 = 6_000;

/// As many connections as tests give to requests.
const CONNECTIONS: u32 = 16;

#[test]
fn a_flood_of_writes_is_refused_and_not_kept_waiting() {
    run(Engine::Lite, flood);
}

async fn flood(db: TestDb) {
    let store = with_numbers(&db).await;
    let (began, has_begun) = oneshot::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let writer = store.clone();
    let stuck = tokio::spawn(async move {
        writer
            .write::<_, Error, _>(move |_| {
                Box::pin(async move {
                    began.send(()).expect("the test waits");
                    may_go_on.recv_timeout(Duration::from_secs(60)).expect("the test goes on");
                    Ok(())
                })
            })
            .await
    });
    has_begun.await.unwrap();

    let mut writes: Vec<_> = (0..FLOOD).map(|n| Box::pin(put(&store, n))).collect();
    let at_once: Vec<_> = writes.iter_mut().map(futures_util::FutureExt::now_or_never).collect();
    let refused = at_once.iter().filter(|out| matches!(out, Some(Err(Error::Unavailable(_))))).count();
    let waiting = at_once.iter().filter(|out| out.is_none()).count();
    assert_eq!(refused + waiting, writes.len(), "something else came back at once");
    assert!(refused > 0 && waiting > 1_000, "{refused} were refused, {waiting} wait");

    go_on.send(()).unwrap();
    stuck.await.unwrap().unwrap();
    let admitted = writes.into_iter().zip(&at_once).filter(|(_, out)| out.is_none()).map(|(write, _)| write);
    assert!(join_all(admitted).await.iter().all(Result::is_ok), "what was admitted is done");
    let expected = at_once.iter().zip(0..).filter(|(out, _)| out.is_none()).map(|(_, n)| n).collect::<Vec<i64>>();
    assert_eq!(numbers(&store).await, expected);
    put(&store, FLOOD).await.expect("there is room again");
}

#[test]
fn a_flood_of_operations_is_refused_and_workers_go_on() {
    run(Engine::Pg, flood_of_operations);
}

/// On PostgreSQL operations wait for a connection. Here none comes free until the test says so.
async fn flood_of_operations(db: TestDb) {
    let store = with_numbers(&db).await;
    let (at_work, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let stuck: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (store, at_work, go_on) = (store.clone(), at_work.clone(), go_on.clone());
            tokio::spawn(async move {
                let out: Result<()> = store
                    .write(move |_| {
                        Box::pin(async move {
                            at_work.add_permits(1);
                            let _ = go_on.acquire().await;
                            Ok(())
                        })
                    })
                    .await;
                out
            })
        })
        .collect();
    let _all = at_work.acquire_many(CONNECTIONS).await.unwrap();

    let mut writes: Vec<_> = (0..FLOOD).map(|n| Box::pin(put(&store, n))).collect();
    let at_once: Vec<_> = writes.iter_mut().map(futures_util::FutureExt::now_or_never).collect();
    let refused = at_once.iter().filter(|out| matches!(out, Some(Err(Error::Unavailable(_))))).count();
    let waiting = at_once.iter().filter(|out| out.is_none()).count();
    assert_eq!(refused + waiting, writes.len(), "something else came back at once");
    assert!(refused > 0 && waiting > 1_000, "{refused} were refused, {waiting} wait");
    let read = store.read::<i64, Error, _>(|db| Box::pin(async { db.query("select n from numbers").one().await }));
    let read = futures_util::FutureExt::now_or_never(read);
    assert!(matches!(read, Some(Err(Error::Unavailable(_)))), "reads are refused as well: {read:?}");
    put(&store.for_workers(), FLOOD).await.expect("workers have connections of their own");

    go_on.add_permits(CONNECTIONS as usize);
    assert!(join_all(stuck).await.into_iter().all(|out| out.unwrap().is_ok()));
    let mut expected = Vec::new();
    for (n, (write, now)) in (0..).zip(writes.into_iter().zip(&at_once)) {
        // On a slow machine some wait for longer than the pool lets them, which they are told.
        if now.is_none() && write.await.is_ok() {
            expected.push(n);
        }
    }
    expected.push(FLOOD);
    assert!(expected.len() > 16, "what was admitted is done");
    assert_eq!(numbers(&store).await, expected, "done is exactly what was said to be done");
    put(&store, FLOOD + 1).await.expect("there is room again");
}

#[test]
fn an_operation_that_waits_for_something_is_rolled_back() {
    run(Engine::Lite, waits);
}

async fn waits(db: TestDb) {
    let store = with_numbers(&db).await;
    let out: Result<()> = store
        .write(|tx| {
            Box::pin(async {
                tx.query("insert into numbers (n) values (1)").execute().await?;
                tokio::task::yield_now().await;
                Ok(())
            })
        })
        .await;
    assert!(matches!(out, Err(Error::Failed(_))), "{out:?}");
    put(&store, 2).await.unwrap();
    assert_eq!(numbers(&store).await, [2]);
}
