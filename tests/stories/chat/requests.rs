//! The life of a gated line, told as stories: what the room reads at each of its turns.

use phoneops::chat::Tone;
use serde_json::json;

use super::room::{Room, tag};
use crate::world::{Person, World, refused, seconds};

crate::world::stories! {
    every_turn_of_a_request_is_told
    several_people_must_approve
    a_message_that_was_changed_asks_nothing_new
    a_bot_asks_what_it_may
    a_code_is_whispered
}

pub(crate) async fn hush(world: &World, people: &[&Person]) {
    world.settle().await;
    for person in people {
        while person.phone.next_push(seconds(0)).await.unwrap().is_some() {}
    }
}

async fn first_waiting(person: &Person) -> String {
    person.phone.inbox().await.unwrap()[0]["id"].as_str().unwrap().to_owned()
}

mod stories {
    use super::*;

    pub(crate) async fn every_turn_of_a_request_is_told(world: &World) {
        let (yannick, room) = (world.person("yannick", "Yannick Schutz").await, Room::new(world, "C1").await);
        room.link(&yannick).await;
        room.posts().await;
        let ask = async |message: &str, what: &str| {
            let asked = room.say_in("yannick", message, &format!("deploy api/{what} to production")).await;
            room.shown(asked.about.expect("a request"), &format!("{message}.reply")).await;
            room.quiet().await;
            asked
        };
        let denied = ask("1", "one").await;
        yannick.phone.deny(&first_waiting(&yannick).await, Some("not on a Friday")).await.unwrap();
        let told = room.told().await;
        assert_eq!(told.message.as_deref(), Some("1.reply"));
        assert_eq!(
            told.reply.text,
            format!("Yannick Schutz denied request {} (deploy → production): not on a Friday", tag(&denied))
        );
        assert_eq!(told.reply.tone, Tone::Alarm);

        world.advance(seconds(61)).await;
        let expired = ask("2", "two").await;
        world.advance(seconds(301)).await;
        let told = room.told().await;
        let text = format!(
            "Nobody approved request {} (deploy → production) in time. Ask again when somebody can answer.",
            tag(&expired)
        );
        assert_eq!((told.message.as_deref(), told.reply.text), (Some("2.reply"), text));

        let cancelled = ask("3", "three").await;
        let request = tag(&cancelled);
        let pressed = room.press("yannick", "3.reply", &cancelled, "Cancel").await;
        assert_eq!(pressed.text, format!("Request {request} (deploy → production) was cancelled"));
        assert_eq!(room.told().await.reply.text, pressed.text);
        let again = room.say("yannick", &format!("cancel {request}")).await;
        assert_eq!(again.text, format!("Nothing to cancel: Request {request}: cancelled"));
        let looked = room.say("yannick", &format!("request {}", tag(&denied))).await;
        assert!(looked.text.ends_with("not on a Friday"), "{}", looked.text);
        hush(world, &[&yannick]).await;
    }

    pub(crate) async fn several_people_must_approve(world: &World) {
        let (yannick, ys) = (world.person("yannick", "Yannick Schutz").await, world.person("ys", "Ys Example").await);
        let ann = world.person("ann", "Ann Example").await;
        let ada = world.administrator("ada", "Ada Byron").await;
        world.team("ops", &[&ys, &ann]).await;
        let rule = json!({"match": {"types": ["deploy"]}, "require": {"groups": [{"quorum": 2, "teams": ["ops"]}], "factor": "passkey", "expires_in": 300}});
        world.policy(&ada, "deploys", &rule).await;
        let room = Room::new(world, "C1").await;
        for person in [&yannick, &ys] {
            room.link(person).await;
        }
        room.posts().await;
        let asked = room.say_in("yannick", "1", "deploy api/one to production").await;
        let request = tag(&asked);
        let ends = format!(" must approve: request {request}\n0/2 approved");
        assert!(asked.text.ends_with(&ends) && asked.text.contains("Ys Example"), "{}", asked.text);
        room.shown(asked.about.unwrap(), "1.reply").await;
        // Somebody else's request is not theirs to withdraw.
        let refusal = room.say("ys", &format!("cancel {request}")).await;
        assert!(refusal.text.starts_with(&format!("Request {request} is Yannick Schutz's")), "{}", refusal.text);
        ys.phone.approve(&first_waiting(&ys).await).await.unwrap();
        let told = room.told().await;
        assert!(told.reply.text.ends_with("1/2 approved: Ys Example"), "{}", told.reply.text);
        ann.phone.approve(&first_waiting(&ann).await).await.unwrap();
        let told = room.told().await;
        assert_eq!(told.message.as_deref(), Some("1.reply"));
        assert_eq!(told.reply.text, "Approved by Ys Example and Ann Example\nyou are deploying api/one to production");
        hush(world, &[&yannick, &ys, &ann]).await;
    }

    pub(crate) async fn a_message_that_was_changed_asks_nothing_new(world: &World) {
        let (yannick, room) = (world.person("yannick", "Yannick Schutz").await, Room::new(world, "C1").await);
        room.link(&yannick).await;
        let asked = room.say_in("yannick", "1", "deploy api/one to production").await;
        let changed = room.say_in("yannick", "1", "deploy api/evil to production").await;
        assert!(
            changed.text.starts_with(&format!("You changed a message that asked for request {}", tag(&asked))),
            "{}",
            changed.text
        );
        assert!(changed.text.contains("“deploy api/one to production”"));
        assert_eq!(world.db.number("select count(*) from approvals").await, 1);
        let waiting = yannick.phone.inbox().await.unwrap();
        assert_eq!(waiting[0]["action"]["params"]["ref"], "one");
        yannick.phone.approve(&first_waiting(&yannick).await).await.unwrap();
        // Once it is over, a message with other words is a new line.
        let next = room.say_in("yannick", "1", "deploy api/two to production").await;
        assert!(next.text.starts_with("Approve on your phone"), "{}", next.text);
        room.say("yannick", &format!("cancel {}", tag(&next))).await;
        hush(world, &[&yannick]).await;
    }

    pub(crate) async fn a_bot_asks_what_it_may(world: &World) {
        let (yannick, ys) = (world.person("yannick", "Yannick Schutz").await, world.person("ys", "Ys Example").await);
        let room = Room::new(world, "C1").await;
        for person in [&yannick, &ys] {
            room.link(person).await;
        }
        world.team("ops", &[&yannick]).await;
        let path = format!("/v1/bots/{}/limits", room.bot.id);
        assert_eq!(world.operator.get(&path).await.unwrap().body, json!({}));
        let limits = json!({
            "actions": [{"type": "deploy", "target": "stag*"}], "teams": ["ops"],
            "rooms": [{"platform": "slack", "workspace": "T0ORG", "room": "C1"}],
        });
        let kept = world.operator.put(&path, &limits).await.unwrap().body;
        assert_eq!(kept["limits"], limits);
        refused(world.operator.put(&path, &json!({"teams": ["none"]})).await, "invalid_request");
        refused(room.bot.client.put(&path, &json!({})).await, "forbidden");

        let production = room.say("yannick", "deploy api/one to production").await;
        assert!(production.text.starts_with("Not asked: heimdall may not ask to deploy production"), "{}", production.text);
        let elsewhere = room.another("C2").say("yannick", "deploy api/one to staging").await;
        assert!(elsewhere.text.starts_with("Not asked: heimdall may not ask for approvals in this room"), "{}", elsewhere.text);
        let other = room.say("ys", "deploy api/one to staging").await;
        assert!(other.text.starts_with("Not asked: heimdall may not ask for approvals for Ys Example (@ys)"), "{}", other.text);
        // Without chat it is the same.
        let mut body = json!({"action": {"type": "deploy", "target": "staging"}, "requester": "@yannick"});
        refused(room.bot.client.post("/v1/approvals", &body).await, "outside_limits");
        body["origin"] = json!({"platform": "slack", "workspace": "T0ORG", "room": "C1"});
        room.bot.client.post("/v1/approvals", &body).await.expect("it may ask this");
        let asked = room.say("yannick", "deploy api/one to staging").await;
        assert!(asked.text.starts_with("Approve on your phone"), "{}", asked.text);
        let ada = world.administrator("ada", "Ada Byron").await;
        let proposed = world.operator.delete(&path).await.unwrap();
        assert_eq!(proposed.status, 202, "that the bot may ask for more takes a passkey");
        ada.phone.confirm_act(&proposed.body).await.expect("it is confirmed");
        let free = room.say("ys", "deploy api/one to production").await;
        assert!(free.text.starts_with("Approve on your phone"), "{}", free.text);
        hush(world, &[&yannick, &ys]).await;
    }

    pub(crate) async fn a_code_is_whispered(world: &World) {
        let (yannick, ada) = (world.person("yannick", "Yannick Schutz").await, world.administrator("ada", "Ada Byron").await);
        let rule = json!({"match": {"types": ["deploy"]}, "require": {"requester": true, "factor": "code", "expires_in": 300}});
        world.policy(&ada, "deploys", &rule).await;
        let room = Room::new(world, "C1").await;
        room.link(&yannick).await;
        let asked = room.say_in("yannick", "1", "deploy api/one to production").await;
        let whispered = asked.whisper.clone().expect("a code");
        let code: String = whispered.split(" is ").nth(1).unwrap().chars().take(6).collect();
        assert!(code.chars().all(|c| c.is_ascii_digit()) && !asked.text.contains(&code), "{whispered}");
        // A front that asks again does not get it again, and nothing that is told later holds it.
        assert_eq!(room.say_in("yannick", "1", "deploy api/one to production").await.whisper, None);
        assert_eq!(room.say("yannick", &format!("request {}", tag(&asked))).await.whisper, None);
        room.say("yannick", &format!("cancel {}", tag(&asked))).await;
        for post in room.posts().await {
            assert_eq!(post.reply.whisper, None);
        }
        hush(world, &[&yannick]).await;
    }
}
