//! Asking for approval: every way it can end, and its exit code.

use phoneops::client::Client;
use phoneops::secret::Secret;
use rustix::process::Signal;
use serde_json::json;

use super::house::{House, eventually, waiting};

const DEPLOY: [&str; 6] = ["request", "deploy", "production", "--for", "@yannick", "--wait"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    DEPLOY.into_iter().chain(more.iter().copied()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_gives_a_grant_for_exactly_the_action() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let details = ["--param", "ref=new_auth", "--param-json", "count=3", "--reason", "release day", "--print-grant"];
    let asking = house.start(&token, &with(&details));
    let approval = waiting(&yannick).await;
    let action = json!({"type": "deploy", "target": "production", "params": {"ref": "new_auth", "count": 3}});
    assert_eq!((&approval["action"], &approval["reason"]), (&action, &json!("release day")));
    yannick.approve(approval["id"].as_str().unwrap()).await.unwrap();

    let ran = asking.ended().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (tag, id) = (approval["tag"].as_str().unwrap(), approval["id"].as_str().unwrap());
    let waits = format!("Request {tag} ({id}) waits on the phone of Yannick Schutz, 5 minutes at most\n");
    assert_eq!(ran.stderr, format!("{waits}Request {tag} approved by Yannick Schutz\n"));
    let client = Client::bot(&house.issuer, Secret::new(token)).unwrap();
    let redeemed = client.post("/v1/grants/redeem", &json!({"grant": ran.stdout.trim(), "action": action})).await.unwrap();
    assert_eq!(redeemed.body["approval"], approval["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_says_who_and_why() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let asking = house.start(&token, &DEPLOY);
    let approval = waiting(&yannick).await;
    yannick.deny(approval["id"].as_str().unwrap(), Some("not on a Friday")).await.unwrap();
    let ran = asking.ended().await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stdout.ends_with(" denied by Yannick Schutz: not on a Friday\n"), "{ran:?}");
    assert_eq!(ran.stderr, "", "progress is for terminals");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_does_not_end_the_wait() {
    let mut house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let asking = house.start(&token, &DEPLOY);
    let approval = waiting(&yannick).await;
    // Long enough for the command to have met the closed door.
    house.restart(tokio::time::sleep(std::time::Duration::from_millis(1_500))).await;
    yannick.approve(approval["id"].as_str().unwrap()).await.unwrap();
    let ran = asking.ended().await;
    assert!(ran.code == Some(0) && ran.stdout.ends_with(" approved by Yannick Schutz\n"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_waiting_it_is_still_pending() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let ran = house.bot(&token, &DEPLOY[..5]).await;
    assert_eq!(ran.code, Some(8), "{ran:?}");
    let approval = waiting(&yannick).await;
    let named = format!("Request {} ({}) waits", approval["tag"].as_str().unwrap(), approval["id"].as_str().unwrap());
    assert!(ran.stdout.starts_with(&named), "{ran:?}");

    let ran = house.bot(&token, &[&DEPLOY[..5], &["--json"]].concat()).await;
    assert_eq!((ran.code, &ran.json()["state"]), (Some(8), &json!("pending")));
}

#[tokio::test(flavor = "multi_thread")]
async fn json_tells_everything_but_the_grant() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let asking = house.start(&token, &with(&["--json"]));
    let approval = waiting(&yannick).await;
    yannick.approve(approval["id"].as_str().unwrap()).await.unwrap();
    let ran = asking.ended().await;
    let body = ran.json();
    assert_eq!((ran.code, &body["state"], &body["grant"]), (Some(0), &json!("approved"), &json!(null)));
    assert_eq!(body["decision"]["by"]["handle"], "yannick");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_or_the_bot_thinks_better_of_it() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let asking = house.start(&token, &DEPLOY);
    let approval = waiting(&yannick).await;
    let client = Client::bot(&house.issuer, Secret::new(token.clone())).unwrap();
    client.delete(&format!("/v1/approvals/{}", approval["id"].as_str().unwrap())).await.unwrap();
    let ran = asking.ended().await;
    assert!(ran.code == Some(6) && ran.stdout.ends_with(" was cancelled\n"), "{ran:?}");

    let ran = house.bot(&token, &with(&["--expires-in", "10"])).await;
    assert!(ran.code == Some(5) && ran.stdout.ends_with(" expired: nobody answered within 10 seconds\n"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_cancels_what_nobody_waits_for_any_more() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    for signal in [Signal::INT, Signal::TERM] {
        let asking = house.start(&token, &DEPLOY);
        let approval = waiting(&yannick).await;
        asking.signal(signal);
        let ran = asking.ended().await;
        let tag = approval["tag"].as_str().unwrap();
        ran.fails(130, &format!("Interrupted: request {tag} is cancelled\n"));
        let after = yannick.approval(approval["id"].as_str().unwrap()).await.unwrap();
        assert_eq!(after["state"], "cancelled");
        eventually("the inbox is empty", || async { yannick.inbox().await.unwrap().is_empty().then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_and_who_cannot_are_told_apart() {
    let house = House::open().await;
    house.yannick().await;
    let token = house.heimdall().await;
    house.bot("pob_wrong", &DEPLOY).await.fails(4, "the token is not known, or was revoked");
    let reader = house.run(&["bot", "add", "reader", "--scope", "incidents:read", "--json"]).await.json();
    let reader = reader["token"].as_str().unwrap();
    house.bot(reader, &DEPLOY).await.fails(4, "the bot's token lacks the scope for this");

    house.run(&DEPLOY).await.fails(2, "PHONEOPS_TOKEN");
    house.bot(&token, &["request", "deploy", "production"]).await.fails(2, "--for");
    house.bot(&token, &with(&["--expires-in", "5"])).await.fails(2, "10..=3600");
    house.bot(&token, &with(&["--param-json", "share=0.5"])).await.fails(2, "integers");
    house.bot(&token, &["request", "deploy", "production", "--for", "@nobody"]).await.fails(1, "there is no @nobody");
    house.run(&["user", "add", "@zoe", "Zoë Lang"]).await;
    let zoe = ["request", "deploy", "production", "--for", "@zoe"];
    house.bot(&token, &zoe).await.fails(1, "Zoë Lang (@zoe) has no passkey");
    house
        .bot(&token, &with(&["--server", "http://127.0.0.1:1"]))
        .await
        .fails(1, "http://127.0.0.1:1 does not answer: Connection refused");

    // The token may also be in a file, as container platforms hand it over.
    let file = house.dir.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let mut command = house.command(None, &DEPLOY[..5]);
    let ran = super::house::Running::start(command.env("PHONEOPS_TOKEN_FILE", file)).ended().await;
    assert_eq!(ran.code, Some(8), "{ran:?}");
}
