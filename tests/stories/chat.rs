//! Chat, told as stories: lines go in, and what people read comes out, with real phones.

pub(crate) mod requests;
mod restart;
mod room;

crate::world::stories! {
    the_talk_word_for_word
    whoever_is_nobody_here_is_told_how_to_become_somebody
    somebody_needs_help
    two_people_press_the_same_button
    the_button_of_an_old_incident
    a_room_hears_of_incidents_unasked
    the_same_message_twice_is_done_once
    who_may_not_act_is_told_who_may
    the_journal_says_where_and_by_which_key
}

mod stories {
    use phoneops::chat::{About, Tone, Workspace};
    use serde_json::{Value, json};

    use crate::chat::room::{Room, identity, line, reference, tag};
    use crate::world::{Person, World, nights, seconds};

    const DOWN: &str = "All your apps are down";

    pub(crate) async fn the_talk_word_for_word(world: &World) {
        let (yannick, room) = (world.person("yannick", "Yannick Schutz").await, Room::new(world, "C1").await);
        room.link(&yannick).await;
        room.posts().await;

        let paged = room.say("yannick", "page @yannick All your apps are down").await;
        let incident = reference(&paged);
        assert_eq!(paged.text, format!("Paged Yannick Schutz: Incident {incident}"));
        assert_eq!((paged.title.as_deref(), paged.tone), (Some(DOWN), Tone::Alarm));
        let labels: Vec<_> = paged.buttons.iter().map(|button| button.label.as_str()).collect();
        assert_eq!(labels, ["Acknowledge", "Resolve", "Escalate"]);
        yannick.expect_push(world, DOWN).await;
        room.quiet().await;

        let resolved = room.say("yannick", &format!("resolve {incident}")).await;
        assert_eq!(resolved.text, format!("Incident {incident} resolved"));
        assert!(resolved.buttons.is_empty());
        yannick.expect_pushes(world, &["Resolved by Yannick Schutz", "Resolved as you via heimdall"]).await;
        // The reply has said it; where no message can be changed, no line says it again.
        room.quiet().await;
        let card = world.server.chat.now(paged.about.expect("it is about an incident")).await.unwrap();
        assert!(card.text.contains(&format!("Incident {incident}: {DOWN}\nResolved by Yannick Schutz at ")), "{}", card.text);

        let asked = room.say_in("yannick", "1.1", "deploy api/new_auth to production").await;
        let request = tag(&asked);
        assert_eq!(asked.text, format!("Approve on your phone: request {request}"));
        assert_eq!((asked.tone, asked.whisper.as_deref()), (Tone::Waiting, None));
        let about = asked.about.expect("it is about a request");
        room.shown(about, "1.2").await;
        room.quiet().await;
        yannick.expect_push(world, "Approval needed").await;
        let waiting = yannick.phone.inbox().await.unwrap();
        assert_eq!((&waiting[0]["tag"], &waiting[0]["origin"]["room"]), (&json!(request), &json!("C1")));
        yannick.phone.approve(waiting[0]["id"].as_str().unwrap()).await.unwrap();
        let told = room.told().await;
        assert_eq!(told.message.as_deref(), Some("1.2"), "the same message is changed");
        assert_eq!(told.reply.text, "you are deploying api/new_auth to production");
        assert_eq!(told.reply.title, Some(format!("Request {request}: approved by Yannick Schutz")));
        assert!(told.reply.buttons.is_empty() && told.reply.tone == Tone::Good);

        // The bot that does it says how it went.
        let id = waiting[0]["id"].as_str().unwrap();
        let grant = room.bot.expect_grant(id).await;
        let redeemed = room.bot.redeem(&grant, &waiting[0]["action"]).await.unwrap().body;
        let path = format!("/v1/grants/{}/outcome", redeemed["id"].as_str().or(redeemed["grant"].as_str()).unwrap());
        room.bot.client.post(&path, &json!({"outcome": "succeeded", "detail": "3 pods"})).await.unwrap();
        let told = room.told().await;
        assert_eq!(told.message.as_deref(), Some("1.2"));
        assert_eq!(told.reply.text, "you are deploying api/new_auth to production\nIt succeeded: 3 pods");
        let now = world.server.chat.now(about).await.unwrap();
        assert_eq!(now, told.reply);
        world.settle().await;
        while yannick.phone.next_push(seconds(0)).await.unwrap().is_some() {}
    }

    pub(crate) async fn whoever_is_nobody_here_is_told_how_to_become_somebody(world: &World) {
        let (yannick, room) = (world.person("yannick", "Yannick Schutz").await, Room::new(world, "C1").await);
        for said in ["page @yannick Wake up", "deploy api/new_auth to production", "incidents", "help", "what?"] {
            let reply = room.say("stranger", said).await;
            assert!(reply.text.contains("link me") && reply.whisper.is_none() && reply.about.is_none(), "{said}: {}", reply.text);
        }
        assert_eq!(world.db.number("select count(*) from incidents").await, 0);
        assert_eq!(world.db.number("select count(*) from approvals").await, 0);
        yannick.expect_silence(world).await;
        room.link(&yannick).await;
        let again = room.say("yannick", "link me").await;
        assert!(again.text.starts_with("You are Yannick Schutz (@yannick) here already") && again.whisper.is_none());
        assert_eq!(room.say("yannick", "incidents").await.text, "No incident is open.");
    }

    pub(crate) async fn somebody_needs_help(world: &World) {
        let (yannick, ys) = (world.person("yannick", "Yannick Schutz").await, world.person("ys", "Ys Example").await);
        let room = Room::new(world, "C1").await;
        room.link(&yannick).await;
        let lost = room.say("yannick", "escalate to @ys, I need some help").await;
        assert!(lost.text.starts_with("No incident was spoken of here"), "{}", lost.text);

        let paged = room.say("yannick", &format!("page @yannick {DOWN}")).await;
        let incident = reference(&paged);
        yannick.expect_push(world, DOWN).await;
        // Another room's incident is not this room's last one.
        let other = room.another("C2").say("yannick", "page @yannick Disk full").await;
        yannick.expect_push(world, "Disk full").await;
        let taken = room.say("yannick", &format!("ack {incident}")).await;
        assert_eq!(taken.text, format!("Incident {incident} acknowledged"));
        yannick.expect_pushes(world, &["Acknowledged by Yannick Schutz", "Acknowledged as you via heimdall"]).await;

        let helped = room.say("yannick", "escalate to @ys, I need some help").await;
        assert_eq!(helped.text, format!("Paged Ys Example: Incident {incident}"));
        let push = ys.expect_push(world, DOWN).await;
        assert!(push.body().contains("Yannick Schutz hands it to you: I need some help"), "{}", push.body());
        yannick.expect_push(world, "Escalated as you via heimdall").await;
        let all = room.say("yannick", "incidents").await.text;
        assert!(all.contains(&incident) && all.contains(&reference(&other)), "{all}");
        world.settle().await;
        for one in [&incident, &reference(&other)] {
            room.say("yannick", &format!("resolve {one}")).await;
        }
        world.settle().await;
        for person in [&yannick, &ys] {
            while person.phone.next_push(seconds(0)).await.unwrap().is_some() {}
        }
    }

    pub(crate) async fn two_people_press_the_same_button(world: &World) {
        let (yannick, ys) = (world.person("yannick", "Yannick Schutz").await, world.person("ys", "Ys Example").await);
        let room = Room::new(world, "C1").await;
        room.link(&yannick).await;
        room.link(&ys).await;
        let paged = room.say("ys", &format!("page @yannick @ys {DOWN}")).await;
        let incident = reference(&paged);
        room.shown(paged.about.unwrap(), "7.1").await;
        world.advance(seconds(20)).await;
        let first = room.press("yannick", "7.1", &paged, "Acknowledge").await;
        assert_eq!(first.text, format!("Incident {incident} acknowledged"));
        world.advance(seconds(1)).await;
        let second = room.press("ys", "7.1", &paged, "Acknowledge").await;
        assert!(
            second.text.starts_with(&format!("Incident {incident} was acknowledged already by Yannick Schutz at ")),
            "{}",
            second.text
        );
        // One card, which says how it stands.
        let told = room.told().await;
        assert_eq!(told.message.as_deref(), Some("7.1"));
        assert!(told.reply.text.contains("Acknowledged by Yannick Schutz"), "{}", told.reply.text);
        let labels: Vec<_> = told.reply.buttons.iter().map(|button| button.label.as_str()).collect();
        assert_eq!(labels, ["Resolve", "Escalate"]);
        room.press("ys", "7.1", &told.reply, "Resolve").await;
        world.settle().await;
        for person in [&yannick, &ys] {
            while person.phone.next_push(seconds(0)).await.unwrap().is_some() {}
        }
    }

    pub(crate) async fn the_button_of_an_old_incident(world: &World) {
        let (yannick, room) = (world.person("yannick", "Yannick Schutz").await, Room::new(world, "C1").await);
        room.link(&yannick).await;
        let paged = room.say("yannick", &format!("page @yannick {DOWN}")).await;
        let incident = reference(&paged);
        yannick.phone.resolve(&incident).await.unwrap();
        world.advance(seconds(3 * 86_400)).await;
        for label in ["Acknowledge", "Resolve", "Escalate"] {
            let old = room.press("yannick", "7.1", &paged, label).await;
            assert!(old.text.contains("resolved") && old.text.contains("already"), "{label}: {}", old.text);
        }
        assert_eq!(room.bot.incident(&incident).await["state"], "resolved");
        world.settle().await;
        while yannick.phone.next_push(seconds(0)).await.unwrap().is_some() {}
    }

    pub(crate) async fn a_room_hears_of_incidents_unasked(world: &World) {
        let (yannick, room) = (world.person("yannick", "Yannick Schutz").await, Room::new(world, "C1").await);
        room.link(&yannick).await;
        world.team("ops", &[&yannick]).await;
        world.operator.post("/v1/services", &json!({"name": "api", "team": "ops"})).await.expect("a service");
        let mut heard =
            json!({"bot": "heimdall", "platform": "slack", "workspace": "T0ORG", "room": "C9", "of": "incidents", "team": "ops"});
        let made = world.operator.post("/v1/chat/subscriptions", &heard).await.expect("a subscription").body;
        heard["room"] = json!("C8");
        heard["urgency"] = json!("low");
        world.operator.post("/v1/chat/subscriptions", &heard).await.expect("a subscription");
        room.posts().await;

        let body = json!({"title": DOWN, "to": ["service:api"]});
        let incident = room.bot.client.post("/v1/incidents", &body).await.unwrap().body["ref"].as_str().unwrap().to_owned();
        yannick.expect_push(world, DOWN).await;
        let before = room.heard_until();
        let elsewhere = Workspace { platform: "irc".to_owned(), workspace: "T0ORG".to_owned() };
        assert!(room.posts_since(before, Some(&elsewhere)).await.is_empty(), "another chat is not told, nor takes it away");
        let card = room.told().await;
        assert_eq!((card.room.as_str(), card.message.as_deref()), ("C9", None));
        // A front that did not take it, because the connection broke, hears it again.
        let again = room.posts_since(before, None).await;
        assert_eq!(again.iter().map(|post| (post.room.as_str(), post.seq)).collect::<Vec<_>>(), [("C9", card.seq)]);
        assert!(card.reply.text.starts_with(&format!("Incident {incident}: {DOWN}\nRinging team ops")), "{}", card.reply.text);
        assert_eq!(card.reply.buttons.len(), 3);
        let there = room.another("C9");
        there.shown(card.about, "9.1").await;
        // Its buttons work, and "the last incident of this room" is the one that was posted there.
        let taken = there.press("yannick", "9.1", &card.reply, "Acknowledge").await;
        assert_eq!(taken.text, format!("Incident {incident} acknowledged"));
        let told = room.told().await;
        assert_eq!((told.room.as_str(), told.message.as_deref()), ("C9", Some("9.1")));
        let handed = there.say("yannick", "escalate").await;
        assert!(handed.text.contains(&incident), "{}", handed.text);

        // Narrowed by whoever is there: nothing that is not of production is posted any more.
        let only = there.say("yannick", "show me only production events").await;
        assert!(only.text.starts_with("This room is told only of what has production from now on."), "{}", only.text);
        room.posts().await;
        room.bot.client.post("/v1/incidents", &body).await.unwrap();
        room.quiet().await;

        let path = format!("/v1/chat/subscriptions/{}", made["id"].as_str().unwrap());
        world.operator.delete(&path).await.unwrap();
        let left = world.operator.get("/v1/chat/subscriptions").await.unwrap().body;
        assert_eq!(left["subscriptions"].as_array().unwrap().len(), 1);
        world.settle().await;
        while yannick.phone.next_push(seconds(0)).await.unwrap().is_some() {}
        for incident in room.bot.client.get("/v1/incidents").await.unwrap().body["incidents"].as_array().unwrap() {
            room.bot.act(incident["ref"].as_str().unwrap(), "resolve", &yannick).await.unwrap();
        }
        world.settle().await;
        while yannick.phone.next_push(seconds(0)).await.unwrap().is_some() {}
    }

    pub(crate) async fn the_same_message_twice_is_done_once(world: &World) {
        let (yannick, room) = (world.person("yannick", "Yannick Schutz").await, Room::new(world, "C1").await);
        room.link(&yannick).await;
        let said = format!("page @yannick {DOWN}");
        let (first, again) = (room.say_in("yannick", "3.1", &said).await, room.say_in("yannick", "3.1", &said).await);
        assert_eq!(first.text, again.text);
        assert_eq!(world.db.number("select count(*) from incidents").await, 1);
        // Other words, or another message, are another line.
        let other = room.say_in("yannick", "3.2", &said).await;
        assert_ne!(first.text, other.text);
        let taken = room.say_in("yannick", "3.3", "ack").await;
        assert_eq!(taken.text.split_whitespace().filter(|word| word.starts_with('P')).count(), 2);
        // What began since is not taken by a line that was written before it.
        let newer = reference(&room.say_in("yannick", "3.4", &said).await);
        assert_eq!(room.say_in("yannick", "3.3", "ack").await.text, taken.text);
        assert_eq!(room.bot.incident(&newer).await["state"], "triggered");
        let all = room.say_in("yannick", "3.5", "ack all").await;
        assert_eq!(all.text, format!("Acknowledged {newer}"));
        let newest = reference(&room.say_in("yannick", "3.6", &said).await);
        assert_eq!(room.say_in("yannick", "3.5", "ack all").await.text, all.text);
        assert_eq!(room.bot.incident(&newest).await["state"], "triggered");
        let over = room.say_in("yannick", "3.7", &format!("resolve {newest}")).await;
        assert_eq!(over.text, format!("Incident {newest} resolved"));
        yannick.phone.not_me(&newest).await.unwrap();
        room.say_in("yannick", "3.7", &format!("resolve {newest}")).await;
        assert_eq!(room.bot.incident(&newest).await["state"], "triggered", "it was not them, and they did not say it again");
        assert_eq!(room.say("yannick", "ack").await.text, format!("Acknowledged {newest}"));
        world.settle().await;
        while yannick.phone.next_push(seconds(0)).await.unwrap().is_some() {}
    }

    pub(crate) async fn who_may_not_act_is_told_who_may(world: &World) {
        let (yannick, ys) = (world.person("yannick", "Yannick Schutz").await, world.person("ys", "Ys Example").await);
        let ada = world.person("ada", "Ada Byron").await;
        let room = Room::new(world, "C1").await;
        for person in [&yannick, &ada] {
            room.link(person).await;
        }
        world.team("ops", &[&ys]).await;
        world.operator.put("/v1/schedules/api", &nights("@yannick")).await.expect("a schedule");
        let incident = reference(&room.say("yannick", &format!("page @yannick {DOWN}")).await);
        let refused = room.say("ada", &format!("resolve {incident}")).await;
        assert!(refused.text.starts_with(&format!("{incident} is not for you to act on")), "{}", refused.text);
        assert_eq!(refused.tone, Tone::Alarm);
        for (said, begins) in [
            ("resolve PAAAAAA", "There is no incident PAAAAAA"),
            ("page @nobody Wake up", "I know no @nobody"),
            ("page team:none Wake up", "There is no team:none"),
            ("request ZZZZ", "There is no request ZZZZ"),
            ("take api 60", "Not done: only the members of its team"),
            ("maintenance none 60", "Not done:"),
        ] {
            let reply = room.say("ada", said).await;
            assert!(reply.text.starts_with(begins), "{said}: {}", reply.text);
        }
        let on_call = room.say("ada", "who's on call").await.text;
        assert!(on_call.starts_with("api: Yannick Schutz"), "{on_call}");
        assert!(room.say("yannick", "am I on call").await.text.starts_with("Yes, you are on call for api"));
        assert!(room.say("ada", "am I on call").await.text.starts_with("No"));
        let taken = room.say("yannick", "take api 60").await;
        assert!(taken.text.starts_with("You have the pager of api until "), "{}", taken.text);
        assert!(room.say("yannick", "test me").await.text.starts_with("Your phone rings now"));
        assert_eq!(room.say("yannick", &format!("resolve {incident}")).await.text, format!("Incident {incident} resolved"));
        world.settle().await;
        for person in [&yannick, &ys, &ada] {
            while person.phone.next_push(seconds(0)).await.unwrap().is_some() {}
        }
    }

    /// The titles of all that rang since this was asked last.
    async fn titles(world: &World, person: &Person) -> Vec<String> {
        world.settle().await;
        let mut titles = Vec::new();
        while let Some(push) = person.phone.next_push(seconds(0)).await.unwrap() {
            titles.push(push.title().to_owned());
        }
        titles
    }

    pub(crate) async fn the_journal_says_where_and_by_which_key(world: &World) {
        let (yannick, room) = (world.person("yannick", "Yannick Schutz").await, Room::new(world, "C1").await);
        room.link(&yannick).await;
        let paged = room.say_in("yannick", "5.1", &format!("page @yannick {DOWN}")).await;
        room.say_in("yannick", "5.2", &format!("ack {}", reference(&paged))).await;
        room.say_in("yannick", "5.3", &format!("note {} the database is full", reference(&paged))).await;
        room.say_in("yannick", "5.4", "deploy api/new_auth to production").await;
        let asked = room.say_in("yannick", "5.4", "deploy api/new_auth to production").await;
        room.say_in("yannick", "5.5", &format!("cancel {}", tag(&asked))).await;
        world.team("api", &[&yannick]).await;
        world.operator.put("/v1/schedules/api", &nights("@yannick")).await.expect("a schedule");
        world.operator.post("/v1/services", &json!({"name": "api", "team": "api"})).await.expect("a service");
        let other = room.say_in("yannick", "5.6", &format!("page @yannick {DOWN}")).await;
        let merged = format!("merge {} into {}", reference(&other), reference(&paged));
        room.say_in("yannick", "5.7", &merged).await;
        for (message, line, begin) in [
            ("5.8", "take api 60", "You have the pager of api until "),
            ("5.9", "maintenance api 60", "Nobody is paged about api until "),
        ] {
            let done = room.say_in("yannick", message, line).await;
            assert!(done.text.starts_with(begin), "{}", done.text);
        }
        let told: Vec<_> = titles(world, &yannick).await;
        assert!(told.contains(&"Nobody is paged about api for 1 h".to_owned()), "they may not have said it: {told:?}");
        let long = room.say("yannick", "maintenance api 25h").await;
        assert!(long.text.contains("at most a day in chat"), "{}", long.text);
        let journal = world.journal().await;
        let origin = |kind: &str| -> Value {
            let entry = journal.iter().find(|entry| entry["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
            assert_eq!((&entry["actor"]["kind"], &entry["actor"]["bot"]), (&json!("bot"), &json!(room.bot.id)), "{entry}");
            assert!(entry["actor"]["user"].is_string(), "{entry}");
            entry["data"]["origin"].clone()
        };
        for (kind, message) in [
            ("incident.triggered", "5.1"),
            ("incident.acknowledged", "5.2"),
            ("incident.noted", "5.3"),
            ("approval.requested", "5.4"),
            ("approval.cancelled", "5.5"),
            ("incident.merged", "5.7"),
            ("incident.absorbed", "5.7"),
            ("override.created", "5.8"),
            ("maintenance.planned", "5.9"),
        ] {
            let expected = json!({"platform": "slack", "workspace": "T0ORG", "room": "C1", "message": message, "key": "key-1"});
            assert_eq!(origin(kind), expected, "{kind}");
        }
        // A front that makes no bot's call gets nothing.
        let nobody = phoneops::identity::Call::operator();
        assert!(world.server.chat.say(&nobody, line("C1", "yannick", None, "help")).await.is_err());
        assert_eq!(identity("U1").to_string(), "slack:T0ORG:U1");
        assert!(matches!(asked.about, Some(About::Approval(_))));
        room.say("yannick", &format!("resolve {}", reference(&paged))).await;
        world.settle().await;
        while yannick.phone.next_push(seconds(0)).await.unwrap().is_some() {}
    }
}
