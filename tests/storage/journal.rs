//! The journal: no change without its entry, no gap in the numbers, and no way to alter it unseen.

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use phoneops::db::{Error, Result, Store};
use phoneops::id::{BotId, DeviceId, UserId};
use phoneops::journal::{self, Actor, Entry, Journal, Sealed};
use serde_json::json;

use crate::support::{TestDb, engines};
use crate::{NOW, numbers, with_numbers};

engines! {
    entries_are_numbered_from_one_in_the_order_of_their_commits
    sealing_from_four_tasks_leaves_no_gap_and_no_duplicate
    a_rolled_back_change_leaves_no_entry
    what_was_appended_can_be_read
    every_column_of_a_sealed_entry_is_covered
    a_removed_entry_is_missed
    an_inserted_entry_is_found
    swapped_entries_are_found
    a_chain_longer_than_a_page_verifies
}

fn entry(subject: impl Into<String>, n: i64) -> Entry {
    Entry { kind: "test.happened", actor: Actor::System, subject: subject.into(), data: json!({"n": n}) }
}

async fn append(store: &Store, journal: &Journal, entry: Entry) {
    let journal = journal.clone();
    let done: Result<()> = store.write(move |tx| Box::pin(async move { journal.append(tx, NOW, entry).await })).await;
    done.expect("it is appended");
}

async fn seal_all(store: &Store) {
    while journal::seal(store).await.expect("sealing works") > 0 {}
}

/// A store with `count` sealed entries, numbers 1 to `count`.
async fn sealed(db: &TestDb, count: i64) -> Store {
    let store = db.store().await;
    let done: Result<()> = store
        .write(move |tx| {
            Box::pin(async move {
                for n in 1..=count {
                    Journal::default().append(tx, NOW, entry("somebody", n)).await?;
                }
                Ok(())
            })
        })
        .await;
    done.unwrap();
    seal_all(&store).await;
    assert_eq!(journal::verify(&store).await.unwrap(), count);
    store
}

async fn entries_are_numbered_from_one_in_the_order_of_their_commits(db: TestDb) {
    let store = db.store().await;
    let journal = Journal::default();
    let tasks = (0..8).map(|task| {
        let (store, journal) = (store.clone(), journal.clone());
        tokio::spawn(async move {
            for n in 0..25 {
                append(&store, &journal, entry(format!("task {task}"), n)).await;
            }
        })
    });
    // Sealed while they are still being appended.
    let writing = tokio::spawn(join_all(tasks));
    while !writing.is_finished() {
        journal::seal(&store).await.unwrap();
    }
    seal_all(&store).await;
    let all = journal::read(&store, 0, 1_000).await.unwrap();
    assert_eq!(all.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=200).collect::<Vec<_>>());
    for task in 0..8 {
        let mine = all.iter().filter(|e| e.subject == format!("task {task}")).map(|e| e.data["n"].as_i64().unwrap());
        assert!(mine.eq(0..25), "task {task}'s entries are out of order");
    }
    assert_eq!(journal::verify(&store).await.unwrap(), 200);
}

async fn sealing_from_four_tasks_leaves_no_gap_and_no_duplicate(db: TestDb) {
    const ENTRIES: i64 = 1_500;
    let store = db.store().await;
    for block in 0..15 {
        let done: Result<()> = store
            .write(move |tx| {
                Box::pin(async move {
                    for n in 0..100 {
                        Journal::default().append(tx, NOW, entry("somebody", block * 100 + n)).await?;
                    }
                    Ok(())
                })
            })
            .await;
        done.unwrap();
    }
    let sealers = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut mine = 0;
            loop {
                match journal::seal(&store).await.unwrap() {
                    0 => return mine,
                    count => mine += i64::try_from(count).unwrap(),
                }
            }
        })
    });
    let counts: Vec<i64> = join_all(sealers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(counts.iter().sum::<i64>(), ENTRIES, "{counts:?}");
    assert_eq!(journal::verify(&store).await.unwrap(), ENTRIES);
    let all = journal::read(&store, 0, 2_000).await.unwrap();
    assert!(all.iter().map(|e| e.data["n"].as_i64().unwrap()).eq(0..ENTRIES));
}

async fn a_rolled_back_change_leaves_no_entry(db: TestDb) {
    let store = with_numbers(&db).await;
    let journal = Journal::default();
    let appender = journal.clone();
    let refused: Result<()> = store
        .write(move |tx| {
            Box::pin(async move {
                tx.query("insert into numbers (n) values (1)").execute().await?;
                appender.append(tx, NOW, entry("somebody", 1)).await?;
                Err(Error::Failed("refused".into()))
            })
        })
        .await;
    assert!(refused.is_err());
    assert!(journal.appended().now_or_never().is_none(), "the sealer was told of an entry that does not exist");
    assert_eq!(journal::seal(&store).await.unwrap(), 0);
    assert_eq!(db.number("select count(*) from journal").await, 0);
    assert!(numbers(&store).await.is_empty());
    append(&store, &journal, entry("somebody", 2)).await;
    journal.appended().now_or_never().expect("the sealer is told");
}

async fn what_was_appended_can_be_read(db: TestDb) {
    let store = db.store().await;
    let (user, device, bot) = (UserId::new(NOW), DeviceId::new(NOW), BotId::new(NOW));
    let actors = [
        (Actor::User { user, device }, json!({"kind": "user", "user": user, "device": device})),
        (Actor::Bot { bot, user: Some(user) }, json!({"kind": "bot", "bot": bot, "user": user})),
        (Actor::Bot { bot, user: None }, json!({"kind": "bot", "bot": bot})),
        (Actor::Operator, json!({"kind": "operator"})),
        (Actor::Enrollee, json!({"kind": "enrollee"})),
    ];
    for (actor, _) in &actors {
        let data = json!({"text": "Grüße\n\"🚨\"", "list": [1, null, {"a": true}]});
        append(&store, &Journal::default(), Entry { kind: "test.read", actor: *actor, subject: user.to_string(), data }).await;
    }
    assert!(journal::read(&store, 0, 10).await.unwrap().is_empty(), "read before it was sealed");
    seal_all(&store).await;
    let all = journal::read(&store, 0, 10).await.unwrap();
    assert_eq!(all.iter().map(|e| e.actor.clone()).collect::<Vec<_>>(), actors.map(|(_, json)| json));
    let Sealed { seq, at, kind, subject, data, .. } = &all[0];
    assert_eq!((*seq, *at, kind.as_str(), subject), (1, NOW, "test.read", &user.to_string()));
    assert_eq!(*data, json!({"text": "Grüße\n\"🚨\"", "list": [1, null, {"a": true}]}));
    let rest = journal::read(&store, 2, 2).await.unwrap();
    assert_eq!(rest.iter().map(|e| e.seq).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(journal::verify(&store).await.unwrap(), 5);
}

/// What `verify` says of entry 3 after `lite` or `pg` was run on the table; the table is as before afterwards.
async fn after(db: &TestDb, store: &Store, lite: &str, pg: &str) -> String {
    db.raw("create table saved as select * from journal").await;
    db.raw_either(lite, pg).await;
    let found = journal::verify(store).await;
    db.raw("delete from journal").await;
    db.raw("insert into journal select * from saved").await;
    db.raw("drop table saved").await;
    journal::verify(store).await.expect("the table is as before");
    match found {
        Err(Error::Inconsistent { table: "journal", id, .. }) => id,
        other => panic!("{lite}: {other:?}"),
    }
}

/// The names under which `verify` may report the entry with number `seq`.
async fn names(store: &Store, seq: i64) -> [String; 2] {
    let entry = journal::read(store, seq - 1, 1).await.unwrap().remove(0);
    [entry.id.to_string(), format!("number {seq}")]
}

const OTHER_ID: &str = "evt_0199e5d0000070008000000000000001";

async fn every_column_of_a_sealed_entry_is_covered(db: TestDb) {
    let store = sealed(&db, 5).await;
    let mut third = names(&store, 3).await.to_vec();
    third.push(OTHER_ID.into());
    let changes = [
        ("id", "x'0199e5d0000070008000000000000001'", "'0199e5d0-0000-7000-8000-000000000001'"),
        ("seq", "7", "7"),
        ("seq", "-3", "-3"),
        ("seq", "null", "null"),
        ("at", "at + 1", "at + 1"),
        ("kind", "'test.invented'", "'test.invented'"),
        ("actor", "'{\"kind\":\"operator\"}'", "'{\"kind\":\"operator\"}'"),
        ("subject", "'somebody else'", "'somebody else'"),
        ("data", "'{\"n\":4}'", "'{\"n\":4}'"),
        ("sha256", "zeroblob(32)", "decode(repeat('00', 32), 'hex')"),
        ("sha256", "x'00'", "'\\x00'"),
        ("sha256", "null", "null"),
    ];
    for (column, lite, pg) in changes {
        let update = |value| format!("update journal set {column} = {value} where seq = 3");
        let mut expected = third.clone();
        if (column, lite) == ("seq", "-3") {
            // Found before the gap that it left behind is.
            expected.push("number 1".into());
        }
        let named = after(&db, &store, &update(lite), &update(pg)).await;
        assert!(expected.contains(&named), "{column} = {lite}: {named} was named, not one of {expected:?}");
    }
    for text in ["actor", "data"] {
        if db.engine() == phoneops::db::Engine::Lite {
            let named = after(&db, &store, &format!("update journal set {text} = 'not json' where seq = 3"), "").await;
            assert!(third.contains(&named), "{text} is not JSON: {named} was named");
        }
    }
    // A column that is added must be covered too, and be added here.
    let covered = changes.map(|(column, ..)| format!("'{column}'")).join(", ");
    let left_out = format!(
        "from {} where name not in ({covered})",
        match db.engine() {
            phoneops::db::Engine::Lite => "pragma_table_info('journal')",
            phoneops::db::Engine::Pg =>
                "(select column_name::text as name from information_schema.columns
                 where table_name = 'journal' and table_schema = 'public') c",
        }
    );
    assert_eq!(db.number(&format!("select count(*) {left_out}")).await, 0, "a column of the journal is not tried here");
}

async fn a_removed_entry_is_missed(db: TestDb) {
    let store = sealed(&db, 5).await;
    for seq in 1..=5 {
        let delete = format!("delete from journal where seq = {seq}");
        assert_eq!(after(&db, &store, &delete, &delete).await, format!("number {seq}"));
    }
    let tail = "delete from journal where seq >= 4";
    assert_eq!(after(&db, &store, tail, tail).await, "number 4");
    let all = "delete from journal";
    assert_eq!(after(&db, &store, all, all).await, "number 1");
}

async fn an_inserted_entry_is_found(db: TestDb) {
    let store = sealed(&db, 5).await;
    let copy_as = |seq: &str| {
        let columns = |id| {
            format!(
                "insert into journal (id, seq, at, kind, actor, subject, data, sha256)
                 select {id}, {seq}, at, kind, actor, subject, data, sha256 from journal where seq = 2"
            )
        };
        (columns("x'0199e5d0000070008000000000000001'"), columns("'0199e5d0-0000-7000-8000-000000000001'::uuid"))
    };
    let (lite, pg) = copy_as("6");
    assert_eq!(after(&db, &store, &lite, &pg).await, OTHER_ID);
    for seq in ["0", "-1"] {
        let (lite, pg) = copy_as(seq);
        assert_eq!(after(&db, &store, &lite, &pg).await, "number 1", "number {seq}");
    }
    let third = names(&store, 3).await;
    let (lite, pg) = copy_as("3");
    let make_room = "update journal set seq = 6 where seq = 5; update journal set seq = 5 where seq = 4;
                     update journal set seq = 4 where seq = 3;";
    let named = after(&db, &store, &format!("{make_room} {lite}"), &format!("{make_room} {pg}")).await;
    assert!(named == OTHER_ID || third.contains(&named), "{named} was named");
    // One that an intruder chained properly is not in the head.
    let head = "update journal_head set seq = 4, sha256 = (select sha256 from journal where seq = 4)";
    db.raw(head).await;
    let Err(Error::Inconsistent { id, .. }) = journal::verify(&store).await else { panic!("an entry beyond the head was taken") };
    assert_eq!(id, "number 5");
}

async fn swapped_entries_are_found(db: TestDb) {
    let store = sealed(&db, 5).await;
    let (second, fourth) = (names(&store, 2).await, names(&store, 4).await);
    let numbers = "update journal set seq = -1 where seq = 2; update journal set seq = 2 where seq = 4;
                   update journal set seq = 4 where seq = -1;";
    let named = after(&db, &store, numbers, numbers).await;
    assert!(second.contains(&named) || fourth.contains(&named), "{named} was named");
    // With their digests exchanged too, so that only the chain can tell.
    let with_digests = format!(
        "{numbers} create table two as select seq, sha256 from journal where seq in (2, 4);
         update journal set sha256 = (select sha256 from two where two.seq = 6 - journal.seq) where seq in (2, 4);
         drop table two;"
    );
    let named = after(&db, &store, &with_digests, &with_digests).await;
    assert!(second.contains(&named) || fourth.contains(&named), "{named} was named");
}

async fn a_chain_longer_than_a_page_verifies(db: TestDb) {
    let store = sealed(&db, 1_200).await;
    let (deep, last) = (names(&store, 1_001).await, "delete from journal where seq = 1200");
    let change = "update journal set subject = 'nobody' where seq = 1001";
    let named = after(&db, &store, change, change).await;
    assert!(deep.contains(&named), "{named} was named");
    assert_eq!(after(&db, &store, last, last).await, "number 1200");
}
