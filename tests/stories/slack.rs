//! The house in Slack, told as stories: what people type and press, and what the channel reads, with real phones and a simulated Slack that
//! the official Bolt takes for one (`scripts/peers`).

mod outages;
mod strangers;
pub(crate) mod workspace;

/// Makes `sqlite::name` and `postgres::name` of each `async fn name(workspace: &Workspace)`, by a socket.
macro_rules! by_socket {
    ($($name:ident)*) => {
        crate::support::engines! { $($name)* }
        $(
            async fn $name(db: crate::support::TestDb) {
                let workspace = crate::slack::workspace::Workspace::open(db, crate::slack::workspace::Way::Socket).await;
                stories::$name(&workspace).await;
                workspace.end().await;
            }
        )*
    };
}
pub(crate) use by_socket;

by_socket! {
    the_talk_by_a_socket
    the_buttons_of_an_incident
    a_thread_is_kept
    a_code_is_for_whoever_asked
    a_channel_hears_of_incidents_unasked
}

mod by_http {
    use crate::slack::workspace::{Way, Workspace};
    use crate::support::TestDb;

    crate::support::engines! { the_talk_by_http }

    async fn the_talk_by_http(db: TestDb) {
        let workspace = Workspace::open(db, Way::Http).await;
        super::stories::the_talk(&workspace).await;
        assert_eq!(workspace.slack.sockets(), (0, 0));
        workspace.end().await;
    }
}

mod stories {
    use phoneops::sim::slack::{Acknowledged, BOT_USER, Typed};
    use serde_json::{Value, json};

    use super::workspace::{OPS, Workspace, labels, reference};
    use crate::world::seconds;

    const DOWN: &str = "All your apps are down";

    pub(crate) async fn the_talk_by_a_socket(ws: &Workspace) {
        the_talk(ws).await;
    }

    pub(crate) async fn the_talk(ws: &Workspace) {
        let yannick = ws.world.person("yannick", "Yannick Schutz").await;
        let user = ws.link(&yannick).await;

        ws.types(&user, "page @yannick All your apps are down").await;
        let paged = ws.reads("Paged", |message| message.text.starts_with("Paged Yannick Schutz: Incident ")).await;
        let incident = reference(&paged);
        assert_eq!(
            (paged.text.as_str(), paged.user.as_str()),
            (format!("Paged Yannick Schutz: Incident {incident}").as_str(), BOT_USER)
        );
        assert_eq!(labels(&paged), ["Acknowledge", "Resolve", "Escalate"]);
        let card = &paged.attachments[0];
        let title = format!("<{}/i/{incident}|{DOWN}>", ws.world.server.issuer());
        assert_eq!((&card["color"], &card["blocks"][0]["text"]["text"]), (&json!("#c53030"), &json!(title)));
        yannick.expect_push(&ws.world, DOWN).await;

        ws.types(&user, &format!("resolve {incident}")).await;
        ws.reads("resolved", |message| message.text == format!("Incident {incident} resolved")).await;
        yannick.expect_pushes(&ws.world, &["Resolved by Yannick Schutz", "Resolved as you via heimdall"]).await;
        let over =
            ws.becomes(&paged, "the card is over", |message| message.text.contains("\nResolved by Yannick Schutz at ")).await;
        assert!(labels(&over).is_empty());

        ws.types(&user, "deploy api/new_auth to production").await;
        let asked = ws.reads("the request", |message| message.text.starts_with("Approve on your phone: request ")).await;
        assert_eq!(labels(&asked), ["Cancel"]);
        yannick.expect_push(&ws.world, "Approval needed").await;
        let waiting = ws.waiting(&yannick).await;
        let origin = &waiting["origin"];
        assert_eq!(
            (&origin["platform"], &origin["workspace"], &origin["room"]),
            (&json!("slack"), &json!("T0EXAMPLE"), &json!(OPS))
        );
        yannick.phone.approve(waiting["id"].as_str().expect("an id")).await.expect("it is approved");
        let success = "you are deploying api/new_auth to production";
        let approved = ws.becomes(&asked, "that it is approved", |message| message.text == success).await;
        assert!(labels(&approved).is_empty() && approved.attachments[0]["color"] == "#2f855a", "{approved:?}");

        let typed: Vec<_> = ws.slack.messages(OPS).into_iter().filter(|message| message.user == user).map(|m| m.text).collect();
        let expected = [
            "link me",
            "page @yannick All your apps are down",
            &format!("resolve {incident}"),
            "deploy api/new_auth to production",
        ];
        assert_eq!(typed, expected.map(|line| format!("/phoneops {line}")), "the channel sees what was typed");
        ws.hush(&[&yannick]).await;
    }

    pub(crate) async fn the_buttons_of_an_incident(ws: &Workspace) {
        let (yannick, ys) = (ws.world.person("yannick", "Yannick Schutz").await, ws.world.person("ys", "Ys Example").await);
        let (one, other) = (ws.link(&yannick).await, ws.link(&ys).await);
        ws.types(&one, &format!("page <@{one}> <@{other}|ys> {DOWN}")).await;
        let paged = ws.reads("Paged", |message| message.text.starts_with("Paged ")).await;
        let incident = reference(&paged);
        ws.hush(&[&yannick, &ys]).await;

        assert_eq!(ws.slack.press(&one, &paged, "Acknowledge").await, Acknowledged::Taken(Value::Null));
        ws.hears(&one, &format!("Incident {incident} acknowledged")).await;
        let taken =
            ws.becomes(&paged, "who has it", |message| message.text.contains("\nAcknowledged by Yannick Schutz at ")).await;
        assert_eq!(labels(&taken), ["Resolve", "Escalate"]);
        // Somebody whose screen still shows the button.
        ws.slack.press(&other, &paged, "Acknowledge").await;
        ws.hears(&other, &format!("Incident {incident} was acknowledged already by Yannick Schutz at ")).await;
        ws.slack.press(&other, &taken, "Resolve").await;
        ws.hears(&other, &format!("Incident {incident} resolved")).await;
        ws.becomes(&paged, "that it is over", |message| message.text.contains("\nResolved by Ys Example at ")).await;
        ws.world.advance(seconds(3600)).await;
        ws.slack.press(&one, &paged, "Acknowledge").await;
        ws.hears(&one, &format!("Incident {incident} was resolved already by Ys Example at ")).await;
        ws.slack.press(&one, &paged, "Escalate").await;
        ws.see("both times", |slack| {
            let told = slack.whispers(&one).into_iter().filter(|whisper| whisper.text.contains("was resolved already"));
            (told.count() == 2).then_some(())
        })
        .await;
        assert_eq!(ws.world.recorded("incident.acknowledged").await, 1);
        assert_eq!(ws.world.recorded("incident.resolved").await, 1);
        assert_eq!(ws.world.recorded("incident.escalated").await, 0);
        ws.hush(&[&yannick, &ys]).await;
    }

    pub(crate) async fn a_thread_is_kept(ws: &Workspace) {
        let yannick = ws.world.person("yannick", "Yannick Schutz").await;
        let user = ws.link(&yannick).await;
        let (_, told) = ws.slack.mention(&Typed::new(&user, OPS, "who's on call")).await;
        assert_eq!(told, Acknowledged::Taken(Value::Null));
        let first = ws.reads("an answer", |message| message.text.starts_with("There is no schedule")).await;
        assert_eq!(first.thread_ts, None);
        let thread = Some(first.ts.clone());
        let typed = Typed { thread: thread.clone(), ..Typed::new(&user, OPS, "deploy api/new_auth to production") };
        let (asked_in, _) = ws.slack.mention(&typed).await;
        let asked = ws.reads("the request", |message| message.text.starts_with("Approve on your phone")).await;
        assert_eq!(asked.thread_ts, thread);
        yannick.expect_push(&ws.world, "Approval needed").await;
        let waiting = ws.waiting(&yannick).await;
        assert_eq!(waiting["origin"]["message"], json!(asked_in), "Slack's own time names the message");
        yannick.phone.deny(waiting["id"].as_str().expect("an id"), Some("not on a Friday")).await.expect("it is denied");
        let denied =
            ws.becomes(&asked, "that it is denied", |message| message.text.starts_with("Yannick Schutz denied request")).await;
        assert_eq!((&denied.thread_ts, labels(&denied).len()), (&thread, 0));
        ws.hush(&[&yannick]).await;
    }

    pub(crate) async fn a_code_is_for_whoever_asked(ws: &Workspace) {
        let (yannick, ada) =
            (ws.world.person("yannick", "Yannick Schutz").await, ws.world.administrator("ada", "Ada Byron").await);
        let rule = json!({"match": {"types": ["deploy"]}, "require": {"requester": true, "factor": "code", "expires_in": 300}});
        ws.world.policy(&ada, "deploys", &rule).await;
        let user = ws.link(&yannick).await;
        ws.types(&user, "deploy api/new_auth to production").await;
        let whispered = ws.hears(&user, "The code for request ").await;
        let code: String = whispered.text.split(" is ").nth(1).expect("a code").chars().take(6).collect();
        assert!(code.len() == 6 && code.chars().all(|c| c.is_ascii_digit()), "{}", whispered.text);
        let asked = ws.reads("the request", |message| message.text.starts_with("Approve on your phone")).await;
        ws.slack.press(&user, &asked, "Cancel").await;
        ws.becomes(&asked, "that it is cancelled", |message| message.text.ends_with("was cancelled")).await;
        for message in ws.slack.messages(OPS) {
            assert!(!message.text.contains(&code) && !message.attachments.to_string().contains(&code), "{message:?}");
        }
        let all = ["URANDOM", &user].map(|user| ws.slack.whispers(user).into_iter().filter(|w| w.text.contains(&code)).count());
        assert_eq!(all, [0, 1], "nobody else sees it, and once");
        ws.hush(&[&yannick]).await;
    }

    pub(crate) async fn a_channel_hears_of_incidents_unasked(ws: &Workspace) {
        let yannick = ws.world.person("yannick", "Yannick Schutz").await;
        let user = ws.link(&yannick).await;
        ws.slack.channel("C0WATCH", true);
        let heard =
            json!({"bot": "heimdall", "platform": "slack", "workspace": "T0EXAMPLE", "room": "C0WATCH", "of": "incidents"});
        ws.world.operator.post("/v1/chat/subscriptions", &heard).await.expect("a subscription");
        let incident = ws.bot.page(&yannick, DOWN).await;
        let says = |text: String| {
            move |slack: &phoneops::sim::slack::Slack| slack.messages("C0WATCH").into_iter().find(|m| m.text.contains(&text))
        };
        let card = ws.see("a card", says(format!("Incident {incident}: {DOWN}\nRinging Yannick Schutz"))).await;
        assert_eq!(labels(&card), ["Acknowledge", "Resolve", "Escalate"]);
        ws.hush(&[&yannick]).await;
        ws.slack.press(&user, &card, "Acknowledge").await;
        let taken = ws.see("that it is taken", says("Acknowledged by Yannick Schutz".to_owned())).await;
        assert_eq!((taken.ts, ws.slack.messages("C0WATCH").len()), (card.ts, 1), "it is one card");
        ws.bot.act(&incident, "resolve", &yannick).await.expect("it is resolved");
        ws.see("that it is over", says("Resolved by Yannick Schutz".to_owned())).await;
        ws.hush(&[&yannick]).await;
    }
}
