//! SQLite alone: its one writer, when more is asked than it can do, and operations that it cannot run.

use std::sync::mpsc;
use std::time::Duration;

use futures_util::future::join_all;
use phoneops::db::{Engine, Error, Result};
use tokio::sync::oneshot;

use crate::support::{TestDb, run};
use crate::{numbers, put, with_numbers};

/// More than the queue holds.
const FLOOD: i64 = 6_000;

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
