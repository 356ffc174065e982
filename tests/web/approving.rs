//! Requests that wait for somebody, and what becomes of them on the screen.

use serde_json::{Value, json};

use crate::house::{Holder, House};
use crate::world::{Bot, deploy, seconds};

/// A request rings, its notification is tapped while the app is closed, and it is on the screen. The approval's id.
async fn asked(house: &House, whom: &Holder, bot: &Bot, target: &str) -> String {
    whom.leaves().await;
    let asked = bot.ask_handle(&whom.handle, deploy("api/new_auth", target)).await;
    let notification = whom.delivered(house).await;
    assert_eq!(notification["title"], "Approval needed");
    whom.follow(&notification).await;
    whom.page.sees("api/new_auth").await;
    asked
}

pub(crate) async fn a_deployment_is_approved_with_two_taps(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    yannick.leaves().await;
    let action = deploy("api/new_auth", "production");
    let asked = heimdall.ask_handle(&yannick.handle, action.clone()).await;
    let notification = yannick.delivered(house).await;
    assert!(!notification.to_string().contains("new_auth"), "a push says only that something waits: {notification}");
    assert_eq!(notification["actions"], json!([]), "nothing is approved from a notification");
    // One tap opened the notification; the second approves, and the passkey's prompt is the confirmation.
    yannick.follow(&notification).await;
    yannick.page.sees("api/new_auth").await;
    yannick.page.tap("Approve").await;
    yannick.page.sees("Approved by Yannick Schutz").await;
    assert_eq!(yannick.page.taps(), 1, "one tap after the notification's");
    let grant = heimdall.expect_grant(&asked).await;
    let deliveries = format!("/v1/approvals/{asked}/deliveries");
    let deliveries = heimdall.client.get(&deliveries).await.expect("the deliveries").body;
    assert_eq!(deliveries["deliveries"][0]["state"], "opened", "the worker said how far it came: {deliveries}");

    let redeemed = heimdall.redeem(&grant, &action).await.expect("it is redeemed").body;
    let path = format!("/v1/grants/{}/outcome", redeemed["grant"].as_str().expect("an id"));
    heimdall.client.post(&path, &json!({"outcome": "succeeded", "detail": "release 42"})).await.expect("it is told");
    yannick.page.sees("It was done").await;
    yannick.look("approved").await;
    vec![yannick]
}

pub(crate) async fn a_deployment_is_denied_with_a_reason(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    let asked = asked(house, &yannick, &heimdall, "production").await;
    yannick.look("approval").await;
    yannick.page.tap("Deny").await;
    yannick.page.write("reason", "not on a Friday").await;
    yannick.look("approval-deny").await;
    yannick.page.tap("Deny").await;
    yannick.page.sees("Denied by Yannick Schutz").await;
    let approval = heimdall.approval(&asked).await;
    assert_eq!((&approval["state"], &approval["decision"]["reason"]), (&json!("denied"), &json!("not on a Friday")));
    yannick.look("approval-denied").await;
    vec![yannick]
}

pub(crate) async fn a_request_that_was_not_mine_stops_its_bot(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    let other = heimdall.ask_handle(&yannick.handle, deploy("api", "staging")).await;
    yannick.delivered(house).await;
    let asked = asked(house, &yannick, &heimdall, "production").await;
    yannick.page.tap("Not me").await;
    yannick.page.sees("stops until an administrator looks").await;
    yannick.look("approval-report").await;
    yannick.page.tap("Not me").await;
    yannick.page.sees("Denied by Yannick Schutz").await;
    assert_eq!(heimdall.approval(&asked).await["decision"]["verdict"], "report");
    // What waited is stopped by its own timer, right afterwards.
    house.world.settle().await;
    assert_eq!(heimdall.approval(&other).await["cancelled_because"], "frozen");
    yannick.page.open(&house.address(&format!("/a/{other}"))).await;
    yannick.page.sees("Stopped: somebody reported this bot").await;
    vec![yannick]
}

pub(crate) async fn a_code_is_typed(house: &House) -> Vec<Holder> {
    let ada = house.world.administrator("ada", "Ada Byron").await;
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    house.world.policy(&ada, "codes", &json!({"require": {"requester": true, "factor": "code"}})).await;
    let body = json!({"action": deploy("api/new_auth", "production"), "requester": yannick.handle});
    let reply = heimdall.client.post("/v1/approvals", &body).await.expect("it is asked").body;
    let (asked, code) = (reply["id"].as_str().expect("an id"), reply["code"].as_str().expect("a code"));
    let wrong = format!("{:06}", (code.parse::<u32>().expect("digits") + 1) % 1_000_000);
    yannick.follow(&yannick.delivered(house).await).await;
    yannick.page.sees("api/new_auth").await;
    yannick.look("approval-code").await;
    // The browser says of every refusal that something failed to load.
    yannick.page.pardon(&format!("/v1/approvals/{asked}/answers"));
    yannick.page.write("code", &wrong).await;
    yannick.page.tap("Approve").await;
    yannick.page.sees("That is not the code").await;
    assert_eq!(heimdall.approval(asked).await["state"], "pending");
    yannick.page.write("code", code).await;
    yannick.page.tap("Approve").await;
    yannick.page.sees("Approved by Yannick Schutz").await;
    assert_eq!(heimdall.approval(asked).await["approvals"][0]["factor"], "code");
    vec![yannick]
}

/// The next prompt of the authenticator stands until the story refuses it; those after it are as ever.
const PROMPTS: &str = "(() => { const really = navigator.credentials.get; navigator.credentials.get = async () => { \
     navigator.credentials.get = really; await new Promise((done) => { window.refuses = done; }); \
     throw new DOMException('refused', 'NotAllowedError'); }; })()";

pub(crate) async fn two_approve_what_takes_two(house: &House) -> Vec<Holder> {
    let ada = house.world.administrator("ada", "Ada Byron").await;
    let (ann, bea) = (house.person("ann", "Ann Example").await, house.person("bea", "Bea Example").await);
    let heimdall = house.world.bot("heimdall").await;
    let rule = json!({"require": {"groups": [{"quorum": 2, "users": [ann.handle, bea.handle]}], "requester_excluded": false}});
    house.world.policy(&ada, "pair", &rule).await;
    house.user("yannick", "Yannick Schutz").await;
    let asked = heimdall.ask_handle("@yannick", deploy("api/new_auth", "production")).await;
    ann.follow(&ann.delivered(house).await).await;
    bea.follow(&bea.delivered(house).await).await;
    for holder in [&ann, &bea] {
        holder.page.sees("0 of 2 approved").await;
    }
    // The phone asks Bea for her finger while Ann approves: the answer to that stands where Bea is.
    bea.page.eval(PROMPTS).await;
    bea.page.tap("Approve").await;
    bea.page.wait("window.refuses").await;
    let fetched =
        format!("performance.getEntriesByType('resource').filter(({{ name }}) => name.endsWith('/v1/approvals/{asked}')).length");
    let before = bea.page.eval(&fetched).await;
    ann.page.tap("Approve").await;
    ann.page.sees("1 of 2 approved").await;
    bea.page.wait(&format!("{fetched} > {before}")).await;
    bea.page.eval("window.refuses()").await;
    bea.page.sees("Nothing was signed").await;
    bea.page.sees("1 of 2 approved").await;
    ann.page.sees("It waits for the others").await;
    ann.look("approval-one-of-two").await;
    assert!(heimdall.approval(&asked).await["grant"].is_null());
    bea.page.tap("Approve").await;
    for holder in [&ann, &bea] {
        holder.page.sees("Approved by Bea Example").await;
    }
    heimdall.expect_grant(&asked).await;
    vec![ann, bea]
}

pub(crate) async fn nobody_approves_whom_the_phone_does_not_recognise(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    yannick.page.recognises(&yannick.authenticator, false).await;
    let asked = asked(house, &yannick, &heimdall, "production").await;
    yannick.page.tap("Approve").await;
    yannick.page.sees("Nothing was signed").await;
    yannick.look("approval-not-recognised").await;
    assert_eq!(heimdall.approval(&asked).await["state"], "pending");
    // The same finger, recognised, is enough.
    yannick.page.recognises(&yannick.authenticator, true).await;
    yannick.page.tap("Approve").await;
    yannick.page.sees("Approved by Yannick Schutz").await;
    vec![yannick]
}

pub(crate) async fn what_is_over_elsewhere_is_over_at_once(house: &House) -> Vec<Holder> {
    let ada = house.world.administrator("ada", "Ada Byron").await;
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let bea = house.world.person("bea", "Bea Example").await;
    let heimdall = house.world.bot("heimdall").await;
    let withdrawn = asked(house, &yannick, &heimdall, "staging").await;
    heimdall.client.delete(&format!("/v1/approvals/{withdrawn}")).await.expect("it is cancelled");
    yannick.page.sees("Withdrawn").await;
    assert_eq!(buttons(&yannick).await, 0, "there is nothing left to answer");
    let taken_off = yannick.delivered(house).await;
    assert_eq!((&taken_off["silent"], &taken_off["data"]["kind"]), (&json!(true), &json!("answered")));

    let rule =
        json!({"require": {"groups": [{"quorum": 1, "users": [yannick.handle, bea.handle]}], "requester_excluded": false}});
    house.world.policy(&ada, "either", &rule).await;
    let asked = asked(house, &yannick, &heimdall, "production").await;
    bea.expect_push(&house.world, "Approval needed").await;
    bea.phone.approve(&asked).await.expect("it is approved");
    yannick.page.sees("Approved by Bea Example").await;
    assert_eq!(buttons(&yannick).await, 0, "there is nothing left to answer");
    assert_eq!(yannick.delivered(house).await["title"], "Answered by Bea Example");
    vec![yannick]
}

/// The stream of events begins only when the story says so.
const LISTENS_LATE: &str = "(() => { const really = fetch; window.fetch = async (path, asked) => { \
     if (String(path).startsWith('/v1/events')) await new Promise((done) => { window.listens = done; }); \
     return really(path, asked); }; })()";

pub(crate) async fn what_happened_before_anybody_listened_is_on_the_screen(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    yannick.leaves().await;
    let asked = heimdall.ask_handle(&yannick.handle, deploy("api/new_auth", "production")).await;
    yannick.delivered(house).await;
    yannick.page.before_all(LISTENS_LATE).await;
    yannick.page.open(&house.address(&format!("/a/{asked}"))).await;
    yannick.page.sees("api/new_auth").await;
    yannick.page.wait("window.listens").await;
    heimdall.client.delete(&format!("/v1/approvals/{asked}")).await.expect("it is cancelled");
    // No event says so: it was over before there was a stream.
    yannick.page.eval("window.listens()").await;
    yannick.page.sees("Withdrawn").await;
    assert_eq!(buttons(&yannick).await, 0, "there is nothing left to answer");
    house.world.settle().await;
    vec![yannick]
}

/// How many answers can be given.
async fn buttons(holder: &Holder) -> u64 {
    let answers = "[...document.querySelectorAll('main button')].filter((one) => ['Approve', 'Deny', 'Not me'].includes(one.innerText)).length";
    holder.page.eval(answers).await.as_u64().expect("a number")
}

pub(crate) async fn what_nobody_answers_expires_on_the_screen(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    yannick.leaves().await;
    let body = json!({"action": deploy("api/new_auth", "production"), "requester": yannick.handle, "expires_in": 60});
    let asked =
        heimdall.client.post("/v1/approvals", &body).await.expect("it is asked").body["id"].as_str().expect("an id").to_owned();
    yannick.follow(&yannick.delivered(house).await).await;
    yannick.page.sees("api/new_auth").await;
    house.world.advance(seconds(61)).await;
    yannick.page.sees("Nobody answered in time").await;
    assert_eq!(buttons(&yannick).await, 0, "there is nothing left to answer");
    yannick.look("approval-expired").await;
    assert_eq!(heimdall.approval(&asked).await["state"], "expired");
    vec![yannick]
}

pub(crate) async fn nothing_is_sent_without_a_network(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    let asked = asked(house, &yannick, &heimdall, "production").await;
    yannick.page.pardon("net::ERR_INTERNET_DISCONNECTED");
    yannick.page.pardon("PhoneOps cannot be reached");
    yannick.page.offline(true).await;
    yannick.page.sees("Offline.").await;
    yannick.page.tap("Approve").await;
    yannick.page.sees("Not sent: you are offline.").await;
    yannick.look("approval-offline").await;
    // The app itself is there, with what was last known, marked as such.
    yannick.page.open(&house.address("/")).await;
    yannick.page.sees("Offline. This is what was known").await;
    yannick.page.sees("deploy → production").await;
    yannick.look("inbox-offline").await;
    yannick.page.offline(false).await;
    yannick.page.sees_no_more("Offline.").await;
    // Nothing was kept for later.
    house.world.settle().await;
    let state: Value = heimdall.approval(&asked).await["state"].clone();
    assert_eq!(state, "pending", "nothing is sent behind its person's back");
    assert_eq!(house.world.recorded("approval.answered").await + house.world.recorded("approval.approved").await, 0);
    vec![yannick]
}
