//! Slack and two nodes: each has a socket, and one of them tells the workspace what becomes of things.

use std::time::Duration;

use phoneops::clock::{Clock, Timestamp};
use phoneops::config::Config;
use phoneops::server::Server;
use phoneops::sim::slack::{Acknowledged, Message, Slack, Typed};
use serde_json::json;

use crate::support::TestDb;
use crate::world::World;

const OPS: &str = "C0OPS";
const USER: &str = "U0YANNICK";

/// Something comes within this time, on a slow machine too.
async fn soon<T>(what: &str, coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), coming).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

async fn reads(slack: &Slack, what: &str, says: impl Fn(&Message) -> bool) -> Message {
    soon(what, slack.until(|slack| slack.messages(OPS).into_iter().rev().find(&says))).await
}

async fn types(slack: &Slack, text: &str) {
    assert!(matches!(slack.command(&Typed::new(USER, OPS, text)).await, Acknowledged::Taken(_)), "{text}");
}

pub(crate) async fn one_of_two_tells_slack(db: TestDb) {
    let clock = Clock::manual(Timestamp::from_seconds(1_800_000_000));
    let slack = Slack::start(clock.clone()).await.expect("a Slack");
    slack.channel(OPS, true);
    let api_url = slack.api_url();
    let settings = [
        ("PHONEOPS_SLACK_BOT", "heimdall"),
        ("PHONEOPS_SLACK_BOT_TOKEN", slack.bot_token()),
        ("PHONEOPS_SLACK_APP_TOKEN", slack.app_token()),
        ("PHONEOPS_SLACK_API_URL", api_url.as_str()),
    ];
    let world = World::start_by(db, clock, &settings).await;
    world.bot("heimdall").await;
    let data = tempfile::tempdir().expect("a folder");
    let node = another(&world, data.path(), &settings).await;
    soon("two sockets", slack.until(|slack| (slack.sockets().0 == 2).then_some(()))).await;
    let held = async || world.db.number("select coalesce(max(lease), 0) from slack_followers").await;

    let yannick = world.person("yannick", "Yannick Schutz").await;
    types(&slack, "link me").await;
    let code = soon("a code", slack.until(|slack| slack.whispers(USER).pop())).await.text;
    let code = code.split_whitespace().find(|word| word.matches('-').count() == 2).expect("a code in it").to_owned();
    let code = code.trim_end_matches('.');
    yannick.phone.post("/v1/chat-identities", &json!({"code": code})).await.expect("an answer").accepted().expect("linked");

    for (round, environment) in ["production", "staging"].into_iter().enumerate() {
        types(&slack, &format!("deploy api/new_auth to {environment}")).await;
        let asked = reads(&slack, "the request", |message| message.text.starts_with("Approve on your phone")).await;
        yannick.expect_push(&world, "Approval needed").await;
        let waiting = yannick.phone.inbox().await.expect("an inbox")[0]["id"].as_str().expect("an id").to_owned();
        yannick.phone.approve(&waiting).await.expect("it is approved");
        let success = format!("you are deploying api/new_auth to {environment}");
        let told = reads(&slack, "that it is approved", |message| message.text == success).await;
        assert_eq!((told.ts, told.edits), (asked.ts, 1), "it is told once, in its message");
        if round == 0 {
            assert_eq!(held().await, 1, "one node holds the cursor, and goes on holding it");
            // As if a third had taken over, and died: whoever holds it notices, and one of the two goes on from where it was.
            world.db.raw("update slack_followers set lease = lease + 1, held_until = 0").await;
        }
    }
    assert!(held().await >= 3, "somebody took it over");
    world.settle().await;
    while yannick.phone.next_push(Duration::ZERO).await.expect("the push service answers").is_some() {}
    node.stop().await;
    world.end().await;
}

/// Another node of the same house.
async fn another(world: &World, data: &std::path::Path, more: &[(&str, &str)]) -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let key = world.server.socket().with_file_name("master.key");
    let mut settings = vec![
        ("PHONEOPS_PUBLIC_URL".to_owned(), world.server.issuer().to_owned()),
        ("PHONEOPS_DATA_DIR".to_owned(), data.display().to_string()),
        ("PHONEOPS_MASTER_KEY_FILE".to_owned(), key.display().to_string()),
        ("PHONEOPS_WEB_PUSH_ALLOW_PRIVATE_NETWORKS".to_owned(), "true".to_owned()),
        ("PHONEOPS_WEB_PUSH_SUBJECT".to_owned(), "mailto:ops@phoneops.example".to_owned()),
        ("PHONEOPS_DATABASE_URL".to_owned(), world.db.url().expect("PostgreSQL")),
    ];
    settings.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let config = Config::load(None, settings).expect("the settings are valid");
    Server::start(&config, world.clock.clone(), listener, None).await.expect("the server starts")
}
