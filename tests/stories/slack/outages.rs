//! Slack, or the house, is away for a while: nothing that was acknowledged is lost, and nothing is done twice.

use phoneops::sim::slack::{Acknowledged, Fault, Slack, Typed};
use serde_json::json;

use super::workspace::{OPS, Way, Workspace, house, slack};
use crate::support::TestDb;
use crate::world::{Bot, seconds};

crate::slack::by_socket! {
    a_socket_that_ends_is_opened_again
    what_slack_sends_twice_is_done_once
    slack_asks_for_patience_and_fails
    a_channel_without_the_bot_is_answered_all_the_same
    a_message_that_was_removed_keeps_nobody_waiting
}

mod restarts {
    crate::support::engines! {
        a_restart_between_request_and_approval
        what_was_acknowledged_is_done_after_a_restart
    }

    use super::{a_restart_between_request_and_approval, what_was_acknowledged_is_done_after_a_restart};
}

/// A master key that two houses on one database share.
fn master_key() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("master.key");
    std::fs::write(&path, &*phoneops::secret::MasterKey::generate().to_text()).expect("a file");
    let path = path.to_str().expect("a path").to_owned();
    (folder, path)
}

async fn a_restart_between_request_and_approval(db: TestDb) {
    let (slack, clock) = slack().await;
    let (_folder, key) = master_key();
    let more = [("PHONEOPS_MASTER_KEY_FILE", key.as_str())];
    let world = house(db.clone(), &slack, &clock, Way::Socket, &more).await;
    let bot = world.bot("heimdall").await;
    let ws = Workspace { slack, world, bot };
    ws.see("a socket", |slack| (slack.sockets().0 > 0).then_some(())).await;
    let yannick = ws.world.person("yannick", "Yannick Schutz").await;
    let user = ws.link(&yannick).await;
    ws.types(&user, "deploy api/new_auth to production").await;
    let asked = ws.reads("the request", |message| message.text.starts_with("Approve on your phone")).await;
    ws.hush(&[&yannick]).await;
    let Workspace { slack, world, bot } = ws;
    world.end().await;

    // It expires while nobody is there to say so.
    clock.advance(seconds(400));
    let world = house(db, &slack, &clock, Way::Socket, &more).await;
    let ws = Workspace { slack, world, bot };
    ws.world.settle().await;
    let over = ws.becomes(&asked, "that it expired", |message| message.text.starts_with("Nobody approved request ")).await;
    assert_eq!(over.ts, asked.ts);
    ws.see("a socket", |slack| (slack.sockets().0 > 0).then_some(())).await;
    ws.types(&user, "incidents").await;
    ws.reads("an answer", |message| message.text == "No incident is open.").await;
    ws.end().await;
}

async fn what_was_acknowledged_is_done_after_a_restart(db: TestDb) {
    let (slack, clock) = slack().await;
    let (_folder, key) = master_key();
    let more = [("PHONEOPS_MASTER_KEY_FILE", key.as_str())];
    let world = house(db.clone(), &slack, &clock, Way::Http, &more).await;
    let bot = world.bot("heimdall").await;
    let ws = Workspace { slack, world, bot };
    let yannick = ws.world.person("yannick", "Yannick Schutz").await;
    let user = ws.link(&yannick).await;
    ws.hush(&[&yannick]).await;
    let Workspace { slack, world, bot } = ws;
    world.end().await;

    let (slack, bot) =
        typed_and_stopped(&db, (slack, bot), &more, &user, &["deploy api/new_auth to production", "incidents"]).await;
    clock.advance(seconds(5));
    let world = house(db.clone(), &slack, &clock, Way::Http, &more).await;
    let ws = Workspace { slack, world, bot };
    ws.reads("the request", |message| message.text.starts_with("Approve on your phone")).await;
    ws.reads("an answer", |message| message.text == "No incident is open.").await;
    assert_eq!(ws.world.recorded("approval.requested").await, 1);
    let Workspace { slack, world, bot } = ws;
    world.end().await;

    // Whoever typed it has done something else by now, and hears that nothing happens.
    let (slack, bot) = typed_and_stopped(&db, (slack, bot), &more, &user, &["deploy api/new_auth to staging"]).await;
    clock.advance(seconds(601));
    let world = house(db, &slack, &clock, Way::Http, &more).await;
    let ws = Workspace { slack, world, bot };
    ws.hears(&user, "I could not answer this within ten minutes").await;
    assert_eq!(ws.world.recorded("approval.requested").await, 1);
    ws.world.settle().await;
    ws.end().await;
}

/// People type while Slack's own API is away, so that the house does not even know which workspace it is in; then the house is stopped.
async fn typed_and_stopped(
    db: &TestDb,
    (slack, bot): (Slack, Bot),
    more: &[(&str, &str)],
    user: &str,
    lines: &[&str],
) -> (Slack, Bot) {
    slack.script("auth.test", Fault::Status { status: 503 }, 1_000_000);
    let world = house(db.clone(), &slack, slack.clock(), Way::Http, more).await;
    let ws = Workspace { slack, world, bot };
    let asked = ws.world.recorded("approval.requested").await;
    for line in lines {
        ws.types(user, line).await;
    }
    let kept = ws.world.db.number("select count(*) from slack_calls where done_at is null").await;
    assert_eq!(usize::try_from(kept).unwrap(), lines.len());
    let readable = ws.world.db.number("select count(*) from slack_calls where done_at is not null and sealed is not null").await;
    assert_eq!((ws.world.recorded("approval.requested").await, readable), (asked, 0), "what is done is kept no longer");
    let Workspace { slack, world, bot } = ws;
    world.end().await;
    slack.mend("auth.test");
    (slack, bot)
}

mod stories {
    use super::*;

    pub(crate) async fn a_socket_that_ends_is_opened_again(ws: &Workspace) {
        let yannick = ws.world.person("yannick", "Yannick Schutz").await;
        let user = ws.link(&yannick).await;
        let answered = async |count: usize| {
            ws.types(&user, "incidents").await;
            ws.see("an answer", |slack| {
                let answers = slack.messages(OPS).into_iter().filter(|message| message.text == "No incident is open.");
                (answers.count() == count).then_some(())
            })
            .await;
        };
        answered(1).await;
        for (number, reason) in [(2, "warning"), (3, "refresh_requested")] {
            ws.slack.disconnect(reason);
            ws.see(reason, |slack| (slack.sockets().1 == number).then_some(())).await;
            answered(usize::try_from(number).unwrap()).await;
        }
        ws.slack.close_sockets();
        ws.see("another after it was closed", |slack| (slack.sockets() == (1, 4)).then_some(())).await;
        answered(4).await;
        ws.slack.script("apps.connections.open", Fault::RateLimited { retry_after: 1 }, 1);
        ws.slack.break_sockets();
        ws.see("another after it broke", |slack| (slack.sockets() == (1, 5)).then_some(())).await;
        answered(5).await;
        assert!(ws.slack.calls("apps.connections.open").contains(&"429".to_owned()));
    }

    pub(crate) async fn what_slack_sends_twice_is_done_once(ws: &Workspace) {
        let yannick = ws.world.person("yannick", "Yannick Schutz").await;
        let user = ws.link(&yannick).await;
        let made = ws.slack.make_command(&Typed::new(&user, OPS, "page @yannick Down"));
        for _ in 0..3 {
            // By a socket Slack hears that it was taken, and goes on.
            assert!(matches!(ws.slack.deliver(&made).await, Acknowledged::Taken(_)));
        }
        ws.reads("Paged", |message| message.text.starts_with("Paged ")).await;
        ws.types(&user, "who's on call").await;
        ws.reads("an answer", |message| message.text.starts_with("There is no schedule")).await;
        assert_eq!(ws.world.recorded("incident.triggered").await, 1);
        let paged = ws.slack.messages(OPS).into_iter().filter(|message| message.text.starts_with("Paged ")).count();
        assert_eq!(paged, 1);
        ws.hush(&[&yannick]).await;
    }

    pub(crate) async fn slack_asks_for_patience_and_fails(ws: &Workspace) {
        let yannick = ws.world.person("yannick", "Yannick Schutz").await;
        let user = ws.link(&yannick).await;
        ws.slack.script("chat.postMessage", Fault::RateLimited { retry_after: 1 }, 2);
        ws.slack.script("chat.postMessage", Fault::Error { error: "internal_error".into() }, 1);
        ws.slack.script("chat.postMessage", Fault::Status { status: 500 }, 1);
        ws.types(&user, "deploy api/new_auth to production").await;
        let asked = ws.reads("the request", |message| message.text.starts_with("Approve on your phone")).await;
        let calls = ws.slack.calls("chat.postMessage");
        let bad: Vec<_> = calls.iter().filter(|answer| *answer != "ok").map(String::as_str).collect();
        assert_eq!(bad, ["429", "429", "internal_error", "500"]);
        assert_eq!(ws.world.recorded("approval.requested").await, 1);

        for fault in [
            Fault::RateLimited { retry_after: 1 },
            Fault::Status { status: 503 },
            Fault::Lost,
            // An operator puts the token right: nothing is lost meanwhile.
            Fault::Error { error: "ratelimited".into() },
        ] {
            ws.slack.script("chat.update", fault, 1);
        }
        yannick.expect_push(&ws.world, "Approval needed").await;
        let waiting = ws.waiting(&yannick).await;
        yannick.phone.approve(waiting["id"].as_str().expect("an id")).await.expect("it is approved");
        let success = "you are deploying api/new_auth to production";
        ws.becomes(&asked, "that it is approved", |message| message.text == success).await;
        let posted = ws.slack.messages(OPS).into_iter().filter(|message| message.text == success).count();
        assert_eq!(posted, 1, "it is one message, however often it was tried");
        ws.hush(&[&yannick]).await;
    }

    pub(crate) async fn a_channel_without_the_bot_is_answered_all_the_same(ws: &Workspace) {
        let yannick = ws.world.person("yannick", "Yannick Schutz").await;
        let user = ws.link(&yannick).await;
        ws.slack.channel("C0AWAY", false);
        for channel in ["C0AWAY", "DELSEWHERE"] {
            ws.slack.command(&Typed::new(&user, channel, "incidents")).await;
            ws.see(channel, |slack| slack.messages(channel).into_iter().find(|message| message.text == "No incident is open."))
                .await;
        }
        ws.slack.command(&Typed::new(&user, "C0AWAY", "deploy api/new_auth to production")).await;
        let asked = ws
            .see("the request", |slack| {
                slack.messages("C0AWAY").into_iter().find(|message| message.text.starts_with("Approve on your phone"))
            })
            .await;
        assert!(asked.text.ends_with("`/invite` me."), "{}", asked.text);
        ws.slack.command(&Typed::new("UNOBODY", "C0AWAY", "incidents")).await;
        ws.hears("UNOBODY", "Say `link me`").await;
        ws.hush(&[&yannick]).await;
    }

    pub(crate) async fn a_message_that_was_removed_keeps_nobody_waiting(ws: &Workspace) {
        let yannick = ws.world.person("yannick", "Yannick Schutz").await;
        let user = ws.link(&yannick).await;
        ws.types(&user, "page @yannick First").await;
        let first = ws.reads("Paged", |message| message.text.starts_with("Paged ")).await;
        ws.slack.remove(OPS, &first.ts);
        let incident = super::super::workspace::reference(&first);
        ws.types(&user, &format!("ack {incident}")).await;
        let taken = ws.reads("acknowledged", |message| message.text == format!("Incident {incident} acknowledged")).await;
        ws.bot.act(&incident, "resolve", &yannick).await.expect("it is resolved");
        ws.becomes(&taken, "that it is over", |message| message.text.contains("\nResolved by Yannick Schutz")).await;
        ws.see("that it was tried", |slack| slack.calls("chat.update").contains(&"message_not_found".to_owned()).then_some(()))
            .await;
        let vouched = |entry: &serde_json::Value| entry["data"]["origin"]["key"] == json!("app token");
        assert!(ws.world.journal().await.iter().any(|entry| entry["kind"] == "incident.acknowledged" && vouched(entry)));
        ws.hush(&[&yannick]).await;
    }
}
