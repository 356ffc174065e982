//! Chat identities, told as stories: who somebody is in chat is linked on their own phone, and from then on chat knows who they are.

crate::world::stories! {
    chat_knows_who_you_are
    a_code_is_for_one_identity_once_and_for_ten_minutes
    an_identity_is_one_persons
    only_ones_own_phone_links
    who_left_is_nobody_in_chat
    many_phones_race_one_code
}

mod stories {
    use futures_util::future::join_all;
    use phoneops::sim::phone::Phone;
    use serde_json::{Value, json};

    use crate::world::raw::{As, Raw};
    use crate::world::{Bot, World, deploy, phone_refused, refused, seconds};

    fn slack(user: &str) -> Value {
        json!({"platform": "slack", "workspace": "T0ORG", "user": user})
    }

    /// A code for an identity, as the bot shows it in chat.
    async fn code(bot: &Bot, user: &str) -> String {
        let mut body = slack(user);
        body["name"] = json!("yannick in chat");
        let reply = bot.client.post("/v1/chat-identities/codes", &body).await.expect("a code");
        assert_eq!(reply.status, 201);
        let code = reply.body["code"].as_str().expect("a code").to_owned();
        assert!(reply.body["link"].as_str().is_some_and(|link| link.ends_with(&format!("/me#link-{code}"))), "{}", reply.body);
        code
    }

    async fn link(phone: &Phone, code: &str) -> Result<Value, phoneops::sim::phone::Error> {
        phone.post("/v1/chat-identities", &json!({"code": code})).await?.accepted()
    }

    pub(crate) async fn chat_knows_who_you_are(world: &World) {
        let (yannick, bot) = (world.person("yannick", "Yannick Schutz").await, world.bot("heimdall").await);
        let ask = json!({"action": deploy("api", "production"), "requester": slack("U1")});
        refused(bot.client.post("/v1/approvals", &ask).await, "chat_identity_unlinked");
        let who = "/v1/chat-identities/person?platform=slack&workspace=T0ORG&user=U1";
        refused(bot.client.get(who).await, "chat_identity_unlinked");

        let code = code(&bot, "U1").await;
        let typed = json!({"code": code.to_lowercase()});
        let shown = yannick.phone.post("/v1/chat-identities/look-up", &typed).await.unwrap().accepted().unwrap();
        assert_eq!(
            (&shown["workspace"], &shown["name"], &shown["bot"]["name"]),
            (&json!("T0ORG"), &json!("yannick in chat"), &json!("heimdall"))
        );
        let linked = link(&yannick.phone, &code).await.unwrap();
        assert_eq!((&linked["user"], &linked["person"]["handle"]), (&json!("U1"), &json!("yannick")));
        // The reply was lost and the phone asks again.
        assert_eq!(link(&yannick.phone, &code).await.unwrap(), linked);

        assert_eq!(bot.client.get(who).await.unwrap().body["person"]["name"], "Yannick Schutz");
        let asked = bot.client.post("/v1/approvals", &ask).await.unwrap().body;
        assert_eq!(asked["requester"]["handle"], "yannick");
        yannick.expect_push(world, "Approval needed").await;
        yannick.phone.approve(asked["id"].as_str().unwrap()).await.unwrap();

        // `bot page me`, `bot ack`: the person is named as chat names them.
        let page = json!({"title": "All your apps are down", "to": [slack("U1")], "actor": slack("U1")});
        let paged = bot.client.post("/v1/incidents", &page).await.unwrap().body;
        assert_eq!(paged["paged"][0]["handle"], "yannick");
        yannick.expect_push(world, "All your apps are down").await;
        let path = format!("/v1/incidents/{}/acknowledge", paged["ref"].as_str().unwrap());
        let acknowledged = bot.client.post(&path, &json!({"actor": slack("U1")})).await.unwrap().body;
        assert_eq!(acknowledged["acted"]["by"]["handle"], "yannick");
        yannick.expect_pushes(world, &["Acknowledged by Yannick Schutz", "Acknowledged as you via heimdall"]).await;

        let mine = yannick.phone.get("/v1/chat-identities").await.unwrap().accepted().unwrap();
        assert_eq!(mine["chat_identities"], json!([linked]));
        let id = linked["id"].as_str().unwrap();
        yannick.phone.delete(&format!("/v1/chat-identities/{id}"), None).await.unwrap().accepted().unwrap();
        refused(bot.client.post("/v1/approvals", &ask).await, "chat_identity_unlinked");
        let page = json!({"title": "Down", "to": ["@yannick", slack("U1")]});
        refused(bot.client.post("/v1/incidents", &page).await, "chat_identity_unlinked");
        for kind in ["chat_identity.offered", "chat_identity.linked", "chat_identity.unlinked"] {
            assert_eq!(world.recorded(kind).await, 1, "{kind}");
        }
    }

    pub(crate) async fn a_code_is_for_one_identity_once_and_for_ten_minutes(world: &World) {
        let (yannick, ys) = (world.newcomer("yannick", "Yannick Schutz").await, world.newcomer("ys", "Ys Example").await);
        let bot = world.bot("heimdall").await;
        let first = code(&bot, "U1").await;
        let second = code(&bot, "U1").await;
        phone_refused(link(&yannick.phone, &first).await, "link_code_unknown");
        link(&yannick.phone, &second).await.unwrap();
        phone_refused(link(&ys.phone, &second).await, "link_code_unknown");
        let look = ys.phone.post("/v1/chat-identities/look-up", &json!({"code": second})).await.unwrap().accepted();
        phone_refused(look, "link_code_unknown");

        let late = code(&bot, "U2").await;
        world.advance(seconds(599)).await;
        ys.phone.post("/v1/chat-identities/look-up", &json!({"code": late})).await.unwrap().accepted().unwrap();
        world.advance(seconds(1)).await;
        phone_refused(link(&ys.phone, &late).await, "link_code_unknown");
        for bad in ["", "7K3M", "7K3M-Q2XN-B4TU", "7K3M-Q2XN-B4TD-9VWH-5RFA-8CPE"] {
            phone_refused(link(&ys.phone, bad).await, "invalid_request");
        }
        // Shown once: under the same key the bot hears that it was made, and not the code.
        let once = |body: Value| {
            let client = bot.client.clone();
            async move { client.post_once("/v1/chat-identities/codes", "link-1", &body).await.unwrap().body }
        };
        let (made, again) = (once(slack("U3")).await, once(slack("U3")).await);
        assert!(made["code"].is_string() && again.get("code").is_none(), "{again}");
        link(&ys.phone, made["code"].as_str().unwrap()).await.unwrap();
    }

    pub(crate) async fn an_identity_is_one_persons(world: &World) {
        let (yannick, ys) = (world.newcomer("yannick", "Yannick Schutz").await, world.newcomer("ys", "Ys Example").await);
        let ada = world.administrator("ada", "Ada Byron").await;
        let bot = world.bot("heimdall").await;
        let linked = link(&yannick.phone, &code(&bot, "U1").await).await.unwrap();
        let taken = code(&bot, "U1").await;
        phone_refused(link(&ys.phone, &taken).await, "chat_identity_taken");
        // One's own may be linked anew, and one person may have several.
        let anew = link(&yannick.phone, &taken).await.unwrap();
        assert_ne!(anew["id"], linked["id"]);
        link(&yannick.phone, &code(&bot, "U2").await).await.unwrap();

        let path = format!("/v1/chat-identities/{}", anew["id"].as_str().unwrap());
        phone_refused(ys.phone.delete(&path, None).await.unwrap().accepted(), "forbidden");
        phone_refused(ys.phone.get("/v1/chat-identities?all=true").await.unwrap().accepted(), "forbidden");
        let all = ada.phone.get("/v1/chat-identities?all=true").await.unwrap().accepted().unwrap();
        assert_eq!(all["chat_identities"].as_array().unwrap().len(), 2);
        ada.phone.delete(&path, None).await.unwrap().accepted().unwrap();
        link(&ys.phone, &code(&bot, "U1").await).await.unwrap();
    }

    pub(crate) async fn only_ones_own_phone_links(world: &World) {
        let raw = Raw::new(world);
        let (reader, asker) = (raw.bot("reader", &["incidents:read"]).await, raw.bot("asker", &["approvals:request"]).await);
        raw.post(As::Bot(&reader), "/v1/chat-identities/codes", &slack("U1")).await.expect_refusal(403, "forbidden");
        raw.post(As::Operator, "/v1/chat-identities/codes", &slack("U1")).await.expect_refusal(403, "forbidden");
        let made = raw.post(As::Bot(&asker), "/v1/chat-identities/codes", &slack("U1")).await.expect(201);
        let body = json!({"code": made.body["code"]});
        raw.post(As::Bot(&asker), "/v1/chat-identities", &body).await.expect_refusal(403, "forbidden");
        raw.post(As::Operator, "/v1/chat-identities", &body).await.expect_refusal(403, "forbidden");
        raw.post(As::Nobody, "/v1/chat-identities", &body).await.expect_refusal(401, "unauthenticated");
        for (member, bad) in [("platform", json!("")), ("workspace", json!("T 0")), ("user", json!("U:1")), ("user", json!(7))] {
            let mut body = slack("U1");
            body[member] = bad;
            let seen = raw.post(As::Bot(&asker), "/v1/chat-identities/codes", &body).await.expect_refusal(400, "invalid_request");
            assert_eq!(seen.field(), Some(member));
            let ask = json!({"action": deploy("api", "production"), "requester": body});
            let seen = raw.post(As::Bot(&asker), "/v1/approvals", &ask).await.expect_refusal(400, "invalid_request");
            assert_eq!(seen.field(), Some(format!("requester.{member}").as_str()));
        }
    }

    pub(crate) async fn who_left_is_nobody_in_chat(world: &World) {
        let (yannick, ys) = (world.newcomer("yannick", "Yannick Schutz").await, world.newcomer("ys", "Ys Example").await);
        let bot = world.bot("heimdall").await;
        link(&yannick.phone, &code(&bot, "U1").await).await.unwrap();
        world.operator.delete("/v1/users/@yannick").await.unwrap();
        refused(bot.client.post("/v1/incidents", &json!({"title": "Down", "to": [slack("U1")]})).await, "chat_identity_unlinked");
        assert_eq!(world.operator.get("/v1/chat-identities?all=true").await.unwrap().body["chat_identities"], json!([]));
        // Chat gave the id to somebody else, or they are the same person under a new handle.
        link(&ys.phone, &code(&bot, "U1").await).await.unwrap();
    }

    pub(crate) async fn many_phones_race_one_code(world: &World) {
        let bot = world.bot("heimdall").await;
        let mut people = Vec::new();
        for at in 0..8 {
            people.push(world.newcomer(&format!("person-{at}"), "Some Example").await);
        }
        let code = code(&bot, "U1").await;
        let links = join_all(people.iter().map(|person| link(&person.phone, &code))).await;
        assert_eq!(links.iter().filter(|linked| linked.is_ok()).count(), 1);
        for lost in links.into_iter().filter(Result::is_err) {
            phone_refused(lost, "link_code_unknown");
        }
        assert_eq!(world.recorded("chat_identity.linked").await, 1);
    }
}
