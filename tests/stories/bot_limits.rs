//! What bots may ask, and who lets them ask for more, told as stories on both engines.

crate::world::stories! {
    what_lets_a_bot_ask_for_more_waits_for_a_passkey
    whoever_joins_a_team_that_a_bot_asks_for_waits_too
    a_bot_that_was_revoked_is_nobodys_to_limit
}

mod stories {
    use phoneops::client::Error;
    use serde_json::{Value, json};

    use crate::world::{World, phone_refused, refused};

    pub(crate) async fn what_lets_a_bot_ask_for_more_waits_for_a_passkey(world: &World) {
        let ada = world.administrator("ada", "Ada Byron").await;
        let yannick = world.person("yannick", "Yannick Schutz").await;
        world.team("ops", &[&yannick]).await;
        let bot = world.bot("heimdall").await;
        let path = &format!("/v1/bots/{}/limits", bot.id);
        let put = |limits: Value| async move { world.operator.put(path, &limits).await.expect("it is taken") };
        let now = || async { world.operator.get(path).await.unwrap().body["limits"].clone() };
        let ask = |target: &'static str| {
            let bot = &bot;
            async move {
                let body = json!({"action": {"type": "deploy", "target": target}, "requester": "@yannick"});
                bot.client.post("/v1/approvals", &body).await
            }
        };

        refused(world.operator.delete(path).await, "not_found");
        let wide = json!({"actions": [{"type": "deploy", "target": "stag*"}], "users": ["@yannick"], "teams": ["ops"]});
        assert_eq!(put(wide.clone()).await.status, 200, "what was never limited is limited at once");
        // The same person by their id, fewer people, and a text that the pattern takes.
        let id = yannick.phone.get("/v1/me").await.unwrap().body["user"]["id"].clone();
        let narrow = json!({"actions": [{"type": "deploy", "target": "staging"}], "users": [id]});
        assert_eq!(put(narrow.clone()).await.status, 200, "what asks less takes nothing");
        assert_eq!(now().await, narrow);
        assert_eq!(put(narrow.clone()).await.status, 200);
        refused(ask("production").await, "outside_limits");

        let wider = json!({"actions": [{"type": "deploy"}], "users": ["@yannick"]});
        let proposed = put(wider.clone()).await;
        assert_eq!((proposed.status, &proposed.body["state"]), (202, &json!("waiting")));
        assert_eq!(proposed.body["why"], "bot heimdall could ask for actions that it may not ask for now");
        assert_eq!(
            proposed.body["change"],
            json!({"kind": "bot.limited", "bot": bot.id, "limits": {
            "actions": [{"type": "deploy", "target": "*"}], "users": ["@yannick"]}})
        );
        assert_eq!(now().await, narrow, "nothing has changed yet");
        refused(ask("production").await, "outside_limits");
        phone_refused(yannick.phone.confirm_act(&proposed.body).await, "forbidden");
        ada.phone.confirm_act(&proposed.body).await.expect("it is confirmed");
        phone_refused(ada.phone.confirm_act(&proposed.body).await, "act_done");
        assert_eq!(now().await["actions"], json!([{"type": "deploy", "target": "*"}]));
        ask("production").await.expect("it may ask this now");

        // More people, rooms, and everything: each with its reason; what was judged against other limits is proposed again.
        let people = put(json!({"actions": [{"type": "deploy"}], "users": ["@yannick", "@ada"]})).await;
        assert_eq!(people.body["why"], "bot heimdall could ask for people for whom it may not ask now");
        let removal = world.operator.delete(path).await.unwrap();
        assert_eq!((removal.status, &removal.body["change"]), (202, &json!({"kind": "bot.unlimited", "bot": bot.id})));
        assert_eq!(removal.body["why"], "bot heimdall could ask for everything that the policies take");
        let room = json!({"platform": "slack", "workspace": "T0ORG", "room": "C1"});
        let in_a_room = json!({"actions": [{"type": "deploy"}], "users": ["@yannick"], "rooms": [room]});
        assert_eq!(put(in_a_room).await.status, 200);
        phone_refused(ada.phone.confirm_act(&removal.body).await, "act_outdated");
        refused(ask("production").await, "outside_limits");
        let anywhere = put(wider).await;
        assert_eq!(anywhere.body["why"], "bot heimdall could ask in rooms where it may not ask now");
        let removal = world.operator.delete(path).await.unwrap();
        ada.phone.confirm_act(&removal.body).await.expect("it is confirmed");
        assert_eq!(now().await, Value::Null);
        ask("anything").await.expect("it may ask for everything");
        phone_refused(ada.phone.confirm_act(&anywhere.body).await, "act_outdated");

        for (limits, field) in [
            (json!({"teams": ["none"]}), "teams[0]"),
            (json!({"users": ["@ada", "@nobody"]}), "users[1]"),
            (json!({"actions": []}), "actions"),
            (json!({"rooms": [{"platform": "slack", "workspace": "", "room": "*"}]}), "rooms[0].workspace"),
        ] {
            let Err(Error::Refused(refusal)) = world.operator.put(path, &limits).await else { panic!("{limits} is taken") };
            assert_eq!((&refusal.body["code"], &refusal.body["field"]), (&json!("invalid_request"), &json!(field)), "{limits}");
        }
        assert_eq!((world.recorded("bot.limited").await, world.recorded("bot.unlimited").await), (5, 1));
        // What limits nothing widens nothing.
        assert_eq!(put(json!({})).await.status, 200);
        assert_eq!(world.operator.delete(path).await.unwrap().status, 204);
        crate::chat::requests::hush(world, &[&yannick]).await;
    }

    pub(crate) async fn whoever_joins_a_team_that_a_bot_asks_for_waits_too(world: &World) {
        let ada = world.administrator("ada", "Ada Byron").await;
        let (ann, bea) = (world.newcomer("ann", "Ann Example").await, world.newcomer("bea", "Bea Example").await);
        world.team("ops", &[&ann]).await;
        let bot = world.bot("heimdall").await;
        world.operator.put(&format!("/v1/bots/{}/limits", bot.id), &json!({"teams": ["ops"]})).await.unwrap();
        let join = |who: &'static str| async move {
            world.operator.put(&format!("/v1/teams/ops/members/{who}"), &json!({})).await.expect("it is taken")
        };
        assert_eq!(join("@ann").await.status, 204, "who is a member joins nothing");
        let proposed = join("@bea").await;
        assert_eq!((proposed.status, &proposed.body["why"]), (202, &json!("bot heimdall could ask for another person")));
        ada.phone.confirm_act(&proposed.body).await.expect("it is confirmed");
        assert_eq!(world.recorded("team.member_added").await, 2);
        world.operator.delete(&format!("/v1/bots/{}", bot.id)).await.unwrap();
        assert_eq!(join("@ada").await.status, 204, "a bot that was revoked asks for nobody");
        drop(bea);
    }

    pub(crate) async fn a_bot_that_was_revoked_is_nobodys_to_limit(world: &World) {
        let bot = world.bot("heimdall").await;
        let path = format!("/v1/bots/{}/limits", bot.id);
        assert_eq!(world.operator.put(&path, &json!({"actions": [{"type": "deploy"}]})).await.unwrap().status, 200);
        let room =
            json!({"bot": "heimdall", "platform": "irc", "workspace": "example", "room": "#ops", "only": {"env": "production"}});
        world.operator.put("/v1/chat/rooms", &room).await.unwrap();
        let mut heard = room.clone();
        heard.as_object_mut().unwrap().remove("only");
        heard["of"] = json!("incidents");
        world.operator.post("/v1/chat/subscriptions", &heard).await.unwrap();
        world.operator.delete(&format!("/v1/bots/{}", bot.id)).await.unwrap();
        refused(world.operator.get(&path).await, "not_found");
        refused(world.operator.put(&path, &json!({})).await, "not_found");
        refused(world.operator.delete(&path).await, "not_found");
        // Nor do its rooms stand in a list from which nobody could take them.
        assert_eq!(world.operator.get("/v1/chat/rooms").await.unwrap().body, json!({"rooms": []}));
        assert_eq!(world.operator.get("/v1/chat/subscriptions").await.unwrap().body, json!({"subscriptions": []}));
    }
}
