//! Whoever is not Slack, and whoever is not of the workspace: nothing is done for them.

use crate::slack::workspace::{Way, Workspace};
use crate::support::TestDb;

crate::slack::by_socket! {
    strangers_of_shared_channels_are_refused
    whoever_is_nobody_here_is_told_how_to_become_somebody
}

mod signatures {
    use super::{TestDb, Way, Workspace};

    crate::support::engines! { what_slack_did_not_sign_now_is_refused }

    async fn what_slack_did_not_sign_now_is_refused(db: TestDb) {
        let workspace = Workspace::open(db, Way::Http).await;
        super::stories::what_slack_did_not_sign_now_is_refused(&workspace).await;
        workspace.end().await;
    }
}

mod off {
    use super::TestDb;
    use crate::world::World;

    crate::support::engines! { without_a_secret_nobody_is_heard }

    async fn without_a_secret_nobody_is_heard(db: TestDb) {
        let world = World::start(db).await;
        for door in ["commands", "interactivity", "events"] {
            let reply = world.http.post(format!("{}/slack/{door}", world.server.issuer())).body("x").send().await.unwrap();
            assert_eq!(reply.status(), 404, "{door}");
        }
        assert!(world.server.slack.is_none());
        world.end().await;
    }
}

mod stories {
    use phoneops::sim::slack::{Acknowledged, Typed};

    use crate::slack::workspace::{OPS, Workspace, reference};

    pub(crate) async fn strangers_of_shared_channels_are_refused(ws: &Workspace) {
        let yannick = ws.world.person("yannick", "Yannick Schutz").await;
        let user = ws.link(&yannick).await;
        ws.types(&user, "page @yannick Down").await;
        let paged = ws.reads("Paged", |message| message.text.starts_with("Paged ")).await;
        ws.hush(&[&yannick]).await;
        // A guest of another organisation, even under the id of one of ours.
        ws.slack.press_from("T0OTHER", &user, &paged, "Resolve").await;
        ws.hears(&user, "You are a member of another organisation").await;
        ws.slack.command(&Typed { team: "T0OTHER".into(), ..Typed::new("UGUEST", OPS, "page @yannick Boo") }).await;
        ws.hears("UGUEST", "You are a member of another organisation").await;
        ws.slack.mention(&Typed { team: "T0OTHER".into(), ..Typed::new("UGUEST2", OPS, "link me") }).await;
        ws.hears("UGUEST2", "You are a member of another organisation").await;
        yannick.expect_silence(&ws.world).await;
        assert_eq!((ws.world.recorded("incident.resolved").await, ws.world.recorded("incident.triggered").await), (0, 1));
        assert_eq!(ws.world.recorded("chat_identity.offered").await, 1);
        ws.bot.act(&reference(&paged), "resolve", &yannick).await.expect("it is resolved");
        ws.hush(&[&yannick]).await;
    }

    pub(crate) async fn whoever_is_nobody_here_is_told_how_to_become_somebody(ws: &Workspace) {
        let yannick = ws.world.person("yannick", "Yannick Schutz").await;
        for line in ["page @yannick Boo", "deploy api/new_auth to production", "incidents"] {
            ws.types("UNOBODY", line).await;
        }
        ws.see("three answers", |slack| {
            let told = slack.whispers("UNOBODY").into_iter().filter(|whisper| whisper.text.contains("Say `link me`"));
            (told.count() == 3).then_some(())
        })
        .await;
        let bots: Vec<_> = ws.slack.messages(OPS).into_iter().filter(|message| message.user != "UNOBODY").collect();
        assert!(bots.is_empty(), "it is of use to nobody else: {bots:?}");
        assert_eq!(ws.world.db.number("select count(*) from incidents").await, 0);
        assert_eq!(ws.world.db.number("select count(*) from approvals").await, 0);
        yannick.expect_silence(&ws.world).await;
        let user = ws.link(&yannick).await;
        ws.types(&user, "pgae @yannick Down").await;
        ws.hears(&user, "Did you mean: page").await;
    }

    pub(crate) async fn what_slack_did_not_sign_now_is_refused(ws: &Workspace) {
        let yannick = ws.world.person("yannick", "Yannick Schutz").await;
        let user = ws.link(&yannick).await;
        let made = ws.slack.make_command(&Typed::new(&user, OPS, "page @yannick Boo"));
        let (time, body) = (made.time, made.body.as_str());
        let signature = ws.slack.sign(time, body);
        let forged = body.replace("Boo", "Moo");
        let shorter = &body[..body.len() - 1];
        let signed = |time: i64| (time.to_string(), ws.slack.sign(time, body));
        let (old, early) = (signed(time - 301), signed(time + 301));
        let mut other = signature.clone();
        other.replace_range(3..5, if other[3..5] == *"00" { "11" } else { "00" });
        let path = "/slack/commands";
        let now = time.to_string();
        for (path, time, signature, body) in [
            (path, now.as_str(), signature.as_str(), forged.as_str()),
            (path, &now, &signature, shorter),
            (path, &now, &signature, ""),
            (path, &now, &other, body),
            (path, &now, "", body),
            (path, &now, "v0=", body),
            (path, &now, &signature[..signature.len() - 1], body),
            (path, "", &signature, body),
            (path, "soon", &signature, body),
            (path, &(time + 1).to_string(), &signature, body),
            (path, &old.0, &old.1, body),
            (path, &early.0, &early.1, body),
            ("/slack/interactivity", &now, &other, body),
            ("/slack/events", &now, &other, "{}"),
        ] {
            let Acknowledged::Refused(status, said) = ws.slack.forge(path, time, signature, body).await else {
                panic!("{path} {time} {signature} was taken")
            };
            let text = "Not signed by Slack for this app and minute, or it came before.\n";
            assert_eq!((status, said.as_str()), (403, text), "{path} {time} {signature}");
        }
        yannick.expect_silence(&ws.world).await;
        assert_eq!(ws.world.recorded("incident.triggered").await, 0);
        assert_eq!(ws.world.db.number("select count(*) from slack_calls where done_at is null").await, 0);
        // The one that is right is taken once, whoever sends it again.
        assert!(matches!(ws.slack.deliver(&made).await, Acknowledged::Taken(_)));
        ws.reads("Paged", |message| message.text.starts_with("Paged ")).await;
        for _ in 0..2 {
            assert!(matches!(ws.slack.deliver(&made).await, Acknowledged::Refused(403, _)));
        }
        assert_eq!(ws.world.recorded("incident.triggered").await, 1);
        // What is signed and is nothing that Slack sends.
        for (path, body) in [(path, "text=help"), ("/slack/interactivity", "payload=x"), ("/slack/events", "[")] {
            let sent = ws.slack.forge(path, &now, &ws.slack.sign(time, body), body).await;
            assert!(matches!(sent, Acknowledged::Refused(400, _)), "{path}: {sent:?}");
        }
        let challenge = r#"{"type":"url_verification","challenge":"abc"}"#;
        let sent = ws.slack.forge("/slack/events", &now, &ws.slack.sign(time, challenge), challenge).await;
        assert_eq!(sent, Acknowledged::Taken(serde_json::json!({"challenge": "abc"})));
        ws.hush(&[&yannick]).await;
    }
}
