//! What happens, and what happened, from a shell.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::house::{House, Running, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn events_are_followed_until_they_are_interrupted() {
    let house = House::open().await;
    house.yannick().await;
    let added = house.run(&["bot", "add", "loki", "--scope", "incidents:write,events:read", "--json"]).await.json();
    let token = added["token"].as_str().unwrap().to_owned();
    let mut command = house.command(Some(&token), &["events", "--follow", "--json", "--kind", "incident."]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let following = Running::from(child);
    // Long enough for it to have begun.
    tokio::time::sleep(Duration::from_secs(2)).await;
    house.bot(&token, &["page", "@yannick", "All your apps are down"]).await;
    let mut lines = lines;
    let line = tokio::task::spawn_blocking(move || lines.next().unwrap().unwrap()).await.unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["kind"], &event["data"]["title"]), (&"incident.triggered".into(), &"All your apps are down".into()));
    following.signal(Signal::INT);
    assert_eq!(following.ended().await.code, Some(130));

    let mine = house.bot(&token, &["events"]).await;
    assert!(mine.stdout.lines().count() == 1 && mine.stdout.contains(" incident.triggered inc_"), "{mine:?}");
    let all = house.run(&["events"]).await;
    assert!(all.stdout.starts_with("1 ") && all.stdout.contains(" user.created usr_"), "{all:?}");
    let deaf = house.heimdall().await;
    house.bot(&deaf, &["events"]).await.fails(4, "scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_listed_searched_and_verified() {
    let house = House::open().await;
    house.yannick().await;
    house.run(&["user", "add", "@zoe", "Zoë Lang"]).await;
    let found = eventually("it is sealed", || async {
        let found = house.run(&["journal", "search", "--text", "zoë", "--kind", "user."]).await;
        (found.stdout.lines().count() == 1).then_some(found)
    });
    let found = found.await;
    assert!(found.stdout.contains(" user.created usr_") && found.stdout.contains(" by operator "), "{found:?}");
    let last = house.run(&["journal", "list", "--limit", "2", "--json"]).await.json();
    let numbers: Vec<_> = last.as_array().unwrap().iter().map(|entry| entry["seq"].as_i64().unwrap()).collect();
    assert!(numbers.len() == 2 && numbers[0] == numbers[1] + 1, "{numbers:?}");
    house.run(&["journal", "search", "--actor", "system"]).await.fails(0, "Nothing was found");
    house.run(&["journal", "search", "--actor", "root"]).await.fails(1, "actor");
    let held = house.run(&["journal", "verify"]).await;
    held.says(&format!("The journal holds: {} entries, each chained to the one before\n", numbers[0]));
}
