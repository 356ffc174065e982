//! Backing up a running server, and restoring: what was open in the backup is void, and nothing is lost on the way.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use phoneops::client::Client;
use phoneops::secret::Secret;
use serde_json::{Value, json};

use super::house::{House, eventually, waiting};

fn action(reference: &str) -> Value {
    json!({"type": "deploy", "target": "production", "params": {"ref": reference}})
}

/// Asks, as the bot; the approval's id.
async fn ask(bot: &Client, reference: &str) -> String {
    let asked = bot.post("/v1/approvals", &json!({"action": action(reference), "requester": "@yannick"})).await.unwrap();
    asked.body["id"].as_str().unwrap().to_owned()
}

async fn restore(house: &mut House, arguments: &[&str]) -> super::house::Ran {
    let mut command = house.command(None, &[&["restore"], arguments].concat());
    let mut ran = None;
    house.restart(async { ran = Some(super::house::Running::start(&mut command).ended().await) }).await;
    ran.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_with_everything_but_what_was_open() {
    let mut house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let bot = Client::bot(&house.issuer, Secret::new(token.clone())).unwrap();
    let approved = ask(&bot, "approved").await;
    waiting(&yannick).await;
    yannick.approve(&approved).await.unwrap();
    let grant = bot.get(&format!("/v1/approvals/{approved}")).await.unwrap().body["grant"].as_str().unwrap().to_owned();
    let pending = ask(&bot, "pending").await;
    let paged = bot.post("/v1/incidents", &json!({"title": "All your apps are down", "to": ["@yannick"]})).await.unwrap();
    let reference = paged.body["ref"].as_str().unwrap().to_owned();

    house.run(&["team", "add", "api"]).await;
    house.run(&["service", "create", "api", "--team", "api"]).await;
    house.run(&["service", "key", "add", "api", "prometheus", "--kind", "events"]).await;

    let copied = house.run(&["backup", "copy.sqlite"]).await;
    assert!(copied.code == Some(0) && copied.stdout.ends_with(" to copy.sqlite\n"), "{copied:?}");
    assert!(copied.stderr.contains("Keep the master key too"), "{copied:?}");
    let file = house.dir.path().join("copy.sqlite");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    house.run(&["backup", "copy.sqlite"]).await.fails(1, "copy.sqlite: ");
    assert_eq!(std::fs::read_dir(house.data_dir().join("tmp")).unwrap().count(), 0, "nothing is left behind");

    // What the backup does not know of.
    yannick.approve(&pending).await.unwrap();
    bot.post("/v1/grants/redeem", &json!({"grant": grant, "action": action("approved")})).await.unwrap();
    house.run(&["user", "add", "@zoe", "Zoë Lang"]).await;
    house.run(&["service", "key", "revoke", "api", "prometheus"]).await;

    house.run(&["restore", "copy.sqlite", "--replace"]).await.fails(1, "is in use by another phoneops");
    restore(&mut house, &["copy.sqlite"]).await.fails(2, "--replace sets it aside");
    house.run(&["user", "list"]).await.says("@yannick  Yannick Schutz  admin\n@zoe      Zoë Lang\n");
    let restored = restore(&mut house, &["copy.sqlite", "--replace"]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(restored.stdout.contains("Void now: 1 pending requests, 1 grants that were not redeemed\n"), "{restored:?}");
    assert!(
        restored.stdout.contains("Working as they did then: 1 keys of integrations, 0 addresses of calendars\n"),
        "{restored:?}"
    );

    house.run(&["user", "list"]).await.says("@yannick  Yannick Schutz  admin\n");
    let state = |id: &str| {
        let (bot, path) = (bot.clone(), format!("/v1/approvals/{id}"));
        async move { bot.get(&path).await.unwrap().body }
    };
    assert_eq!(state(&pending).await["state"], "cancelled");
    let again = bot.post("/v1/grants/redeem", &json!({"grant": grant, "action": action("approved")})).await;
    assert_eq!(again.unwrap_err().code(), Some("grant_expired"), "redeemed before the restore, and not again");
    assert_eq!(state(&approved).await.get("grant"), None);
    // Pages fail open: the incident rings on, and the phone, the bot and the passkey still work.
    let incident = bot.get(&format!("/v1/incidents/{reference}")).await.unwrap().body;
    assert_eq!(incident["state"], "triggered");
    yannick.acknowledge(&reference).await.unwrap();
    let next = ask(&bot, "next").await;
    yannick.approve(&next).await.unwrap();
    // What was there before is kept, log and all.
    let aside = std::fs::read_dir(house.data_dir()).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> = aside.filter(|path| path.to_string_lossy().ends_with(".sqlite")).collect();
    assert_eq!(aside.len(), 2, "{aside:?}");
    let old = aside.iter().find(|path| path.to_string_lossy().contains("replaced")).unwrap();
    let kept = rusqlite_count(old, "select count(*) from users");
    assert_eq!(kept, 2, "@zoe is in the database that was set aside");
    eventually("the restore is recorded", || async {
        let journal = Client::local(&house.data_dir().join("phoneops.sock")).unwrap().get("/v1/journal?limit=500").await.unwrap();
        journal.body["entries"].as_array().unwrap().iter().find(|entry| entry["kind"] == "backup.restored").cloned()
    })
    .await;
}

fn rusqlite_count(path: &Path, sql: &str) -> i64 {
    rusqlite::Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_backup_of_this_installation_changes_nothing() {
    let mut house = House::open().await;
    house.yannick().await;
    let dir = house.dir.path().to_owned();
    std::fs::write(dir.join("text"), "not a database").unwrap();
    restore(&mut house, &["text", "--replace"]).await.fails(1, "text is no backup: it is not a SQLite database");
    restore(&mut house, &["nowhere", "--replace"]).await.fails(1, "nowhere: No such file");

    let other = House::open().await;
    let theirs = dir.join("theirs.sqlite");
    other.run(&["backup", theirs.to_str().unwrap()]).await;
    restore(&mut house, &["theirs.sqlite", "--replace"]).await.fails(1, "is not the key that the database was sealed with");

    house.run(&["backup", "own.sqlite"]).await;
    let damage = |name: &str, sql: &str| {
        std::fs::copy(dir.join("own.sqlite"), dir.join(name)).unwrap();
        rusqlite::Connection::open(dir.join(name)).unwrap().execute_batch(sql).unwrap();
    };
    damage("forged.sqlite", "update journal set data = '{\"by\":\"somebody else\"}' where seq = 1");
    restore(&mut house, &["forged.sqlite", "--replace"]).await.fails(1, "its digest does not match its content");
    damage("newer.sqlite", "insert into schema_migrations values (9999, '9999_future', 'x')");
    restore(&mut house, &["newer.sqlite", "--replace"]).await.fails(1, "does not know: use a newer one");
    let mut bytes = std::fs::read(dir.join("own.sqlite")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xff);
    std::fs::write(dir.join("damaged.sqlite"), bytes).unwrap();
    let damaged = restore(&mut house, &["damaged.sqlite", "--replace"]).await;
    assert_eq!(damaged.code, Some(1), "{damaged:?}");

    house.run(&["user", "list"]).await.says("@yannick  Yannick Schutz  admin\n");
    house.run(&["restore", "--dump-restored"]).await.fails(2, "--dump-restored is for PostgreSQL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_interrupted_is_finished_before_anything_is_served() {
    let mut house = House::open().await;
    house.yannick().await;
    house.run(&["backup", "copy.sqlite"]).await;
    for point in ["restore-begun:1", "restore-emptied:1"] {
        let mut command = house.command(None, &["restore", "copy.sqlite", "--replace"]);
        command.env("PHONEOPS_CRASH_AT", point);
        let mut serve = house.command(None, &["serve"]);
        let mut again = house.command(None, &["restore", "copy.sqlite", "--replace"]);
        house
            .restart(async {
                let killed = super::house::Running::start(&mut command).ended().await;
                assert_eq!(killed.code, None, "killed at {point}: {killed:?}");
                let refused = super::house::Running::start(&mut serve).ended().await;
                refused.fails(1, "a restore was interrupted in");
                let finished = super::house::Running::start(&mut again).ended().await;
                assert_eq!(finished.code, Some(0), "{finished:?}");
            })
            .await;
        house.run(&["user", "list"]).await.says("@yannick  Yannick Schutz  admin\n");
    }
}
