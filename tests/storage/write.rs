//! Writing: all of an operation or nothing of it, and nobody else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use phoneops::db::{Error, Result};
use tokio::sync::Notify;

use crate::support::{TestDb, engines};
use crate::{numbers, put, with_numbers};

engines! {
    a_refused_write_leaves_nothing
    a_panic_rolls_back_only_its_own_write
    a_write_outlives_whoever_asked_for_it
    a_hint_is_given_after_the_commit_and_only_then
    a_hint_that_panics_takes_nothing_with_it
    refusals_in_a_group_leave_the_others_alone
    a_conflict_is_told_apart_and_named
    a_failure_that_was_ignored_is_not_committed
    a_constraint_of_another_kind_is_not_a_conflict
    two_nodes_write_to_one_database
}

async fn a_refused_write_leaves_nothing(db: TestDb) {
    let store = with_numbers(&db).await;
    let refused: Result<()> = store
        .write(|tx| {
            Box::pin(async {
                tx.query("insert into numbers (n) values (1)").execute().await?;
                Err(Error::inconsistent("numbers", 1, "refused"))
            })
        })
        .await;
    assert!(matches!(refused, Err(Error::Inconsistent { table: "numbers", .. })), "{refused:?}");
    put(&store, 2).await.unwrap();
    assert_eq!(numbers(&store).await, [2]);
}

async fn a_panic_rolls_back_only_its_own_write(db: TestDb) {
    let store = with_numbers(&db).await;
    let panics = async {
        let out: Result<()> = store
            .write(|tx| {
                Box::pin(async {
                    tx.query("insert into numbers (n) values (100)").execute().await?;
                    panic!("on purpose: a write that panics");
                })
            })
            .await;
        assert!(matches!(out, Err(Error::Failed(_))), "{out:?}");
    };
    let others = join_all((0..20).map(|n| put(&store, n)));
    let ((), others) = tokio::join!(panics, others);
    assert!(others.iter().all(Result::is_ok), "{others:?}");
    put(&store, 20).await.unwrap();
    assert_eq!(numbers(&store).await, (0..=20).collect::<Vec<_>>());
}

async fn a_write_outlives_whoever_asked_for_it(db: TestDb) {
    let store = with_numbers(&db).await;
    let done = Arc::new(Notify::new());
    let hint = done.clone();
    let asked = store.write::<_, Error, _>(move |tx| {
        Box::pin(async move {
            tx.query("insert into numbers (n) values (1)").execute().await?;
            tx.query("insert into numbers (n) values (2)").execute().await?;
            tx.after_commit(move || hint.notify_one());
            Ok(())
        })
    });
    // Polled once, then dropped: the client hung up.
    let _ = asked.now_or_never();
    tokio::time::timeout(std::time::Duration::from_secs(10), done.notified()).await.expect("the hint is given");
    assert_eq!(numbers(&store).await, [1, 2]);
}

async fn a_hint_is_given_after_the_commit_and_only_then(db: TestDb) {
    let store = with_numbers(&db).await;
    let given = Arc::new(AtomicUsize::new(0));
    for (n, keep) in [(1_i64, false), (2, true), (3, false)] {
        let (given, early) = (given.clone(), given.clone());
        let before = given.load(Ordering::SeqCst);
        let out: Result<()> = store
            .write(move |tx| {
                Box::pin(async move {
                    tx.after_commit(move || {
                        given.fetch_add(1, Ordering::SeqCst);
                    });
                    tx.query("insert into numbers (n) values ($1)").bind(n).execute().await?;
                    assert_eq!(early.load(Ordering::SeqCst), before, "given before the commit");
                    if keep { Ok(()) } else { Err(Error::Failed("refused".into())) }
                })
            })
            .await;
        assert_eq!(out.is_ok(), keep, "{out:?}");
    }
    assert_eq!(given.load(Ordering::SeqCst), 1);
    assert_eq!(numbers(&store).await, [2]);
}

async fn a_hint_that_panics_takes_nothing_with_it(db: TestDb) {
    let store = with_numbers(&db).await;
    let out: Result<i64> = store
        .write(|tx| {
            Box::pin(async {
                tx.after_commit(|| panic!("on purpose: a hint that panics"));
                tx.query("insert into numbers (n) values (1) returning n").one().await
            })
        })
        .await;
    assert_eq!(out.expect("it is durable, and that is what the caller must hear"), 1);
    put(&store, 2).await.expect("the writer lives");
    assert_eq!(numbers(&store).await, [1, 2]);
}

async fn refusals_in_a_group_leave_the_others_alone(db: TestDb) {
    let store = with_numbers(&db).await;
    let asked = (0..64_i64).map(|n| {
        store.write(move |tx| {
            Box::pin(async move {
                tx.query("insert into numbers (n) values ($1)").bind(n).execute().await?;
                if n % 3 == 0 { Err(Error::Failed(format!("{n} refused"))) } else { Ok(()) }
            })
        })
    });
    for (n, out) in join_all(asked).await.into_iter().enumerate() {
        match out {
            Ok(()) => assert_ne!(n % 3, 0),
            Err(Error::Failed(why)) => assert_eq!(why, format!("{n} refused"), "an answer went to somebody else"),
            Err(other) => panic!("{n}: {other}"),
        }
    }
    assert_eq!(numbers(&store).await, (0..64).filter(|n| n % 3 != 0).collect::<Vec<_>>());
}

async fn a_conflict_is_told_apart_and_named(db: TestDb) {
    let store = with_numbers(&db).await;
    db.raw("create table named (id bigint primary key, handle text not null constraint named_once unique)").await;
    db.raw("insert into named (id, handle) values (1, 'yannick')").await;
    let same_key: Result<u64> =
        store.write(|tx| Box::pin(async { tx.query("insert into named (id, handle) values (1, 'ys')").execute().await })).await;
    let same_handle: Result<u64> = store
        .write(|tx| Box::pin(async { tx.query("insert into named (id, handle) values (2, 'yannick')").execute().await }))
        .await;
    let (Err(Error::Conflict(key)), Err(Error::Conflict(handle))) = (&same_key, &same_handle) else {
        panic!("{same_key:?} {same_handle:?}")
    };
    match db.engine() {
        phoneops::db::Engine::Lite => assert_eq!((key.as_str(), handle.as_str()), ("named.id", "named.handle")),
        phoneops::db::Engine::Pg => assert_eq!((key.as_str(), handle.as_str()), ("named_pkey", "named_once")),
    }
    put(&store, 1).await.expect("a conflict leaves the store as it was");
}

async fn a_failure_that_was_ignored_is_not_committed(db: TestDb) {
    let store = with_numbers(&db).await;
    put(&store, 1).await.unwrap();
    let out: Result<()> = store
        .write(|tx| {
            Box::pin(async {
                tx.query("insert into numbers (n) values (2)").execute().await?;
                let conflict = tx.query("insert into numbers (n) values (1)").execute().await;
                assert!(matches!(conflict, Err(Error::Conflict(_))), "{conflict:?}");
                let later = tx.query("insert into numbers (n) values (3)").execute().await;
                assert!(matches!(later, Err(Error::Failed(_))), "{later:?}");
                Ok(())
            })
        })
        .await;
    assert!(matches!(out, Err(Error::Failed(_))), "reported as done: {out:?}");
    assert_eq!(numbers(&store).await, [1]);
}

async fn a_constraint_of_another_kind_is_not_a_conflict(db: TestDb) {
    let store = with_numbers(&db).await;
    let null: Result<u64> = store
        .write(|tx| {
            Box::pin(async {
                tx.query("insert into used_proofs (sha256, expires_at) values ($1, $2)")
                    .bind([7; 32])
                    .bind(None::<i64>)
                    .execute()
                    .await
            })
        })
        .await;
    assert!(matches!(null, Err(Error::Failed(_))), "{null:?}");
    let orphan: Result<u64> = store
        .write(|tx| {
            Box::pin(async {
                tx.query("insert into ceremonies (id, device_id, state, expires_at) values ($1, $1, $2, 0)")
                    .bind(phoneops::id::DeviceId::new(crate::NOW))
                    .bind(phoneops::db::Json("state"))
                    .execute()
                    .await
            })
        })
        .await;
    assert!(matches!(orphan, Err(Error::Failed(_))), "a foreign key is not enforced: {orphan:?}");
}

async fn two_nodes_write_to_one_database(db: TestDb) {
    let one = with_numbers(&db).await;
    let other = db.store().await;
    let writes = (0..40).map(|n| put(if n % 2 == 0 { &one } else { &other }, n));
    for out in join_all(writes).await {
        out.expect("writers of two processes wait for each other");
    }
    assert_eq!(numbers(&one).await, (0..40).collect::<Vec<_>>());
    assert_eq!(numbers(&other.for_workers()).await, (0..40).collect::<Vec<_>>());
}
