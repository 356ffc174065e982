//! Being away, and who answers meanwhile.

crate::world::stories! {
    a_delegate_is_asked_for_whoever_is_away
    naming_a_delegate_takes_ones_own_passkey
    an_administrator_names_a_delegate_for_somebody
    who_is_away_and_represented_by_nobody
    a_delegate_counts_once_and_never_for_the_requester
    what_was_answered_before_somebody_went_away
    a_delegation_that_was_taken_back
    a_delegation_that_ran_out
    times_that_make_no_sense
    what_would_happen_while_people_are_away
}

mod stories {
    use phoneops::client::Reply;
    use phoneops::sim::phone::Phone;
    use serde_json::{Value, json};

    use crate::world::{Bot, Person, World, deploy, minutes, phone_refused, refused, seconds};

    /// Rae asks; Ann, Bea and Cyd are the team ops; Dan is in no team; Ada administers.
    struct Scene {
        ada: Person,
        rae: Person,
        ops: [Person; 3],
        dan: Person,
        bot: Bot,
    }

    async fn scene(world: &World, quorum: u32) -> Scene {
        let ada = world.administrator("ada", "Ada Byron").await;
        let rae = world.person("rae", "Rae Example").await;
        let (ann, bea) = (world.person("ann", "Ann Example").await, world.person("bea", "Bea Example").await);
        let ops = [ann, bea, world.person("cyd", "Cyd Example").await];
        let dan = world.person("dan", "Dan Example").await;
        world.team("ops", &ops.each_ref()).await;
        let scene = Scene { ada, rae, ops, dan, bot: world.bot("heimdall").await };
        scene.rule(world, json!({"groups": [{"quorum": quorum, "teams": ["ops"]}]})).await;
        scene
    }

    impl Scene {
        async fn rule(&self, world: &World, require: Value) {
            world.policy(&self.ada, "prod", &json!({"require": require})).await;
        }
    }

    fn action() -> Value {
        deploy("api", "production")
    }

    fn until(world: &World, minutes: u64) -> String {
        world.clock.now().after(crate::world::minutes(minutes)).to_string()
    }

    /// Says on their own phone that they are away for an hour, and confirms who answers.
    async fn leaves(world: &World, who: &Person, delegate: Option<&Person>) {
        let mut body = json!({"until": until(world, 60)});
        if let Some(delegate) = delegate {
            body["delegate"] = json!(delegate.handle);
        }
        let said = who.phone.put("/v1/me/away", &body).await.unwrap();
        assert_eq!(said.status, if delegate.is_some() { 202 } else { 200 }, "{:?}", said.body);
        if delegate.is_some() {
            assert_eq!(who.phone.confirm_act(&said.body).await.unwrap()["state"], "done");
        }
    }

    async fn returns(who: &Person) {
        who.phone.delete("/v1/me/away", None).await.unwrap().accepted().unwrap();
    }

    async fn ask(bot: &Bot, whom: &Person) -> Result<Reply, phoneops::client::Error> {
        bot.client.post("/v1/approvals", &json!({"action": action(), "requester": whom.handle})).await
    }

    async fn ring(world: &World, people: &[&Person], title: &str) {
        for person in people {
            person.expect_push(world, title).await;
        }
    }

    fn handles(people: &Value) -> Vec<&str> {
        people.as_array().unwrap().iter().map(|person| person["handle"].as_str().unwrap()).collect()
    }

    pub(crate) async fn a_delegate_is_asked_for_whoever_is_away(world: &World) {
        let Scene { rae, ops: [ann, bea, cyd], dan, bot, .. } = &scene(world, 2).await;
        leaves(world, ann, Some(dan)).await;
        let me = ann.phone.get("/v1/me").await.unwrap().body;
        assert_eq!((&me["away"]["delegate"]["handle"], &me["away"]["until"]), (&json!("dan"), &json!(until(world, 60))));
        let asked = bot.ask(rae, action()).await;
        ring(world, &[dan, bea, cyd], "Approval needed").await;
        ann.expect_silence(world).await;
        phone_refused(ann.phone.approve(&asked).await, "not_found");
        let waits = &dan.phone.inbox().await.unwrap()[0];
        assert_eq!(waits["delegations"].as_array().unwrap().len(), 1);
        let delegation = &waits["delegations"][0];
        assert_eq!((&delegation["by"]["handle"], &delegation["for"]["name"]), (&json!("dan"), &json!("Ann Example")));
        assert_eq!(handles(&waits["quorums"][0]["approvers"]), ["dan", "bea", "cyd"]);

        // The phone has checked that the statement says so too.
        assert_eq!(dan.phone.approve(&asked).await.unwrap()["state"], "pending");
        assert_eq!(bea.phone.approve(&asked).await.unwrap()["state"], "approved");
        ring(world, &[dan, cyd], "Answered by Bea Example").await;
        let grant = bot.expect_grant(&asked).await;
        bot.redeem(&grant, &action()).await.unwrap();
        let journal = world.journal().await;
        let requested = journal.iter().find(|entry| entry["kind"] == "approval.requested").unwrap();
        assert_eq!(requested["data"]["delegations"].as_array().unwrap().len(), 1);

        // Back again, Ann is asked herself, and nobody for her.
        returns(ann).await;
        returns(ann).await;
        assert_eq!((world.recorded("user.away").await, world.recorded("user.back").await), (1, 1));
        let asked = bot.ask(rae, action()).await;
        ring(world, &[ann, bea, cyd], "Approval needed").await;
        dan.expect_silence(world).await;
        assert!(ann.phone.approval(&asked).await.unwrap()["delegations"].is_null());
        ann.phone.deny(&asked, None).await.unwrap();
        ring(world, &[bea, cyd], "Answered by Ann Example").await;
    }

    async fn propose(phone: &Phone, path: &str, body: Value) -> phoneops::sim::phone::Reply {
        phone.put(path, &body).await.unwrap()
    }

    pub(crate) async fn naming_a_delegate_takes_ones_own_passkey(world: &World) {
        let Scene { ada, ops: [ann, ..], dan, .. } = &scene(world, 1).await;
        let body = json!({"until": until(world, 60), "delegate": "@dan"});
        let proposed = propose(&ann.phone, "/v1/me/away", body.clone()).await;
        assert_eq!((proposed.status, &proposed.body["change"]["kind"]), (202, &json!("user.away")));
        assert_eq!(world.db.number("select count(*) from absences").await, 0, "nothing is done yet");
        // It is Ann's matter and nobody else's, an administrator's neither.
        phone_refused(ada.phone.confirm_act(&proposed.body).await, "forbidden");
        phone_refused(dan.phone.confirm_act(&proposed.body).await, "forbidden");
        let shown =
            [ada.phone.acts().await.unwrap().len(), dan.phone.acts().await.unwrap().len(), ann.phone.acts().await.unwrap().len()];
        assert_eq!(shown, [0, 0, 1]);
        assert_eq!(world.operator.get("/v1/acts").await.unwrap().body["acts"], json!([]));
        ann.phone.confirm_act(&proposed.body).await.unwrap();
        phone_refused(ann.phone.confirm_act(&proposed.body).await, "act_done");
        assert_eq!(world.db.number("select count(*) from absences where delegate_id is not null").await, 1);

        // A stolen phone without its passkey names nobody.
        let eve = world.newcomer("eve", "Eve Example").await;
        let refusal = propose(&eve.phone, "/v1/me/away", body).await;
        assert_eq!((refusal.status, refusal.code()), (403, "passkey_unknown"));
        assert_eq!(eve.phone.put("/v1/me/away", &json!({"until": until(world, 60)})).await.unwrap().status, 200);
        // Naming nobody any more takes no passkey.
        assert_eq!(ann.phone.put("/v1/me/away", &json!({"until": until(world, 60)})).await.unwrap().status, 200);
        assert_eq!(world.db.number("select count(*) from absences where delegate_id is not null").await, 0);
    }

    pub(crate) async fn an_administrator_names_a_delegate_for_somebody(world: &World) {
        let Scene { ada, ops: [ann, ..], dan, .. } = &scene(world, 1).await;
        let body = json!({"until": until(world, 60), "delegate": "@dan"});
        assert_eq!(propose(&dan.phone, "/v1/users/@ann/away", body.clone()).await.code(), "forbidden");
        let proposed = world.operator.put("/v1/users/@ann/away", &body).await.unwrap();
        assert_eq!(proposed.status, 202);
        phone_refused(ann.phone.confirm_act(&proposed.body).await, "forbidden");
        ada.phone.confirm_act(&proposed.body).await.unwrap();
        let found = world.operator.get("/v1/users/@ann").await.unwrap().body;
        assert_eq!(found["away"]["delegate"]["handle"], "dan");
        world.operator.delete("/v1/users/@ann/away").await.unwrap();
        assert!(world.operator.get("/v1/users/@ann").await.unwrap().body["away"].is_null());
        // For herself an administrator signs as anybody does.
        let own = propose(&ada.phone, "/v1/users/@ada/away", body).await;
        ada.phone.confirm_act(&own.body).await.unwrap();
        assert_eq!(world.recorded("user.away").await, 2);
    }

    pub(crate) async fn who_is_away_and_represented_by_nobody(world: &World) {
        let Scene { rae, ops: [ann, bea, cyd], dan, bot, .. } = &scene(world, 2).await;
        leaves(world, ann, None).await;
        let asked = bot.ask(rae, action()).await;
        ring(world, &[bea, cyd], "Approval needed").await;
        ann.expect_silence(world).await;
        bot.client.delete(&format!("/v1/approvals/{asked}")).await.unwrap();
        ring(world, &[bea, cyd], "Cancelled").await;
        // No chains: Dan is away himself, so nobody stands in for Bea. And two who stand in for each other stand in for nobody.
        leaves(world, dan, Some(cyd)).await;
        leaves(world, bea, Some(dan)).await;
        let error = ask(bot, rae).await.unwrap_err();
        assert_eq!(error.code(), Some("approvers_unreachable"));
        for part in ["2 of team ops", "1 could", "@ann is away", "@bea is away"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        leaves(world, cyd, Some(bea)).await;
        refused(ask(bot, rae).await, "approvers_unreachable");
        // Whoever left stands in for nobody.
        returns(cyd).await;
        returns(dan).await;
        let asked = bot.ask(rae, action()).await;
        ring(world, &[cyd, dan], "Approval needed").await;
        bot.client.delete(&format!("/v1/approvals/{asked}")).await.unwrap();
        ring(world, &[cyd, dan], "Cancelled").await;
        world.operator.delete("/v1/users/@dan").await.unwrap();
        refused(ask(bot, rae).await, "approvers_unreachable");
    }

    pub(crate) async fn a_delegate_counts_once_and_never_for_the_requester(world: &World) {
        let Scene { rae, ops: [ann, bea, cyd], bot, .. } = &scene(world, 2).await;
        leaves(world, ann, Some(bea)).await;
        let asked = bot.ask(rae, action()).await;
        ring(world, &[bea, cyd], "Approval needed").await;
        assert_eq!(bea.phone.approve(&asked).await.unwrap()["state"], "pending", "a member and a delegate is one person");
        phone_refused(bea.phone.approve(&asked).await, "already_approved");
        assert_eq!(cyd.phone.approve(&asked).await.unwrap()["state"], "approved");
        ring(world, &[bea], "Answered by Cyd Example").await;
        leaves(world, cyd, Some(bea)).await;
        refused(ask(bot, rae).await, "approvers_unreachable");
        returns(cyd).await;
        // Bea asks: she does not count, and not for Ann either. Ann asks: Bea is there as a member, and not for Ann.
        refused(ask(bot, bea).await, "approvers_unreachable");
        returns(ann).await;
        leaves(world, ann, Some(rae)).await;
        let own = bot.ask(ann, action()).await;
        ring(world, &[bea, cyd], "Approval needed").await;
        rae.expect_silence(world).await;
        ann.phone.deny(&own, None).await.unwrap();
        ring(world, &[bea, cyd], "Answered by Ann Example").await;
    }

    /// Approved by Bea alone, who may be asked for Ann; the grant.
    async fn approved_by(world: &World, scene: &Scene, who: &Person, asked: &[&Person]) -> String {
        let approval = scene.bot.ask(&scene.rae, action()).await;
        ring(world, asked, "Approval needed").await;
        assert_eq!(who.phone.approve(&approval).await.unwrap()["state"], "approved");
        let others: Vec<_> = asked.iter().copied().filter(|one| one.handle != who.handle).collect();
        for other in others {
            world.settle().await;
            assert!(other.phone.next_push(seconds(2)).await.unwrap().unwrap().title().starts_with("Answered by"));
        }
        world.advance(seconds(1)).await;
        scene.bot.expect_grant(&approval).await
    }

    pub(crate) async fn what_was_answered_before_somebody_went_away(world: &World) {
        let scene = scene(world, 1).await;
        let [ann, bea, cyd] = &scene.ops;
        let grant = approved_by(world, &scene, bea, &[ann, bea, cyd]).await;
        leaves(world, bea, Some(&scene.dan)).await;
        scene.bot.redeem(&grant, &action()).await.unwrap();
        // A delegate who goes away has answered all the same.
        let grant = approved_by(world, &scene, &scene.dan, &[ann, cyd, &scene.dan]).await;
        leaves(world, &scene.dan, None).await;
        scene.bot.redeem(&grant, &action()).await.unwrap();
    }

    pub(crate) async fn a_delegation_that_was_taken_back(world: &World) {
        let scene = scene(world, 1).await;
        let [ann, bea, cyd] = &scene.ops;
        leaves(world, ann, Some(&scene.dan)).await;
        let asked = [bea, cyd, &scene.dan];
        let grant = approved_by(world, &scene, &scene.dan, &asked).await;
        // Away for longer, with the same delegate: nothing was taken back.
        world.advance(seconds(1)).await;
        leaves(world, ann, Some(&scene.dan)).await;
        scene.bot.redeem(&grant, &action()).await.unwrap();
        let grant = approved_by(world, &scene, &scene.dan, &asked).await;
        leaves(world, ann, Some(bea)).await;
        refused(scene.bot.redeem(&grant, &action()).await, "grant_membership_changed");
        returns(ann).await;
        leaves(world, ann, Some(&scene.dan)).await;
        let grant = approved_by(world, &scene, &scene.dan, &asked).await;
        returns(ann).await;
        refused(scene.bot.redeem(&grant, &action()).await, "grant_membership_changed");
        leaves(world, ann, Some(&scene.dan)).await;
        let grant = approved_by(world, &scene, &scene.dan, &asked).await;
        world.operator.delete("/v1/teams/ops/members/@ann").await.unwrap();
        refused(scene.bot.redeem(&grant, &action()).await, "grant_membership_changed");
    }

    pub(crate) async fn a_delegation_that_ran_out(world: &World) {
        let scene = scene(world, 1).await;
        let [ann, bea, cyd] = &scene.ops;
        let body = json!({"until": until(world, 2), "delegate": "@dan"});
        let proposed = ann.phone.put("/v1/me/away", &body).await.unwrap();
        ann.phone.confirm_act(&proposed.body).await.unwrap();
        world.advance(seconds(100)).await;
        let grant = approved_by(world, &scene, &scene.dan, &[bea, cyd, &scene.dan]).await;
        world.advance(seconds(60)).await;
        assert!(ann.phone.get("/v1/me").await.unwrap().body["away"].is_null());
        scene.bot.redeem(&grant, &action()).await.unwrap();
        let asked = scene.bot.ask(&scene.rae, action()).await;
        ring(world, &[ann, bea, cyd], "Approval needed").await;
        ann.phone.deny(&asked, None).await.unwrap();
        ring(world, &[bea, cyd], "Answered by Ann Example").await;
        // Past the cool-down of Ann's denial.
        world.advance(seconds(61)).await;
        // One that begins later begins later, and one that was confirmed late does not reach back.
        let later = json!({"from": until(world, 5), "until": until(world, 20), "delegate": "@dan"});
        let proposed = ann.phone.put("/v1/me/away", &later).await.unwrap();
        ann.phone.confirm_act(&proposed.body).await.unwrap();
        let grant = approved_by(world, &scene, ann, &[ann, bea, cyd]).await;
        scene.bot.redeem(&grant, &action()).await.unwrap();
        world.advance(minutes(5)).await;
        let asked = scene.bot.ask(&scene.rae, action()).await;
        ring(world, &[&scene.dan, bea, cyd], "Approval needed").await;
        scene.bot.client.delete(&format!("/v1/approvals/{asked}")).await.unwrap();
        ring(world, &[&scene.dan, bea, cyd], "Cancelled").await;
    }

    pub(crate) async fn times_that_make_no_sense(world: &World) {
        let Scene { ops: [ann, ..], .. } = &scene(world, 1).await;
        let before = world.clock.now().before(seconds(1)).to_string();
        let refused = |body: Value, field: &'static str| async move {
            let reply = ann.phone.put("/v1/me/away", &body).await.unwrap();
            assert_eq!((reply.status, reply.code(), reply.body["field"].as_str()), (400, "invalid_request", Some(field)));
        };
        refused(json!({"until": before}), "until").await;
        refused(json!({}), "until").await;
        refused(json!({"until": until(world, 5), "from": before}), "from").await;
        refused(json!({"until": until(world, 5), "from": until(world, 5)}), "until").await;
        refused(json!({"until": until(world, 60 * 24 * 367)}), "until").await;
        refused(json!({"until": until(world, 5), "delegate": "@ann"}), "delegate").await;
        refused(json!({"until": until(world, 5), "delegate": "@nobody"}), "delegate").await;
        refused(json!({"until": until(world, 5), "whom": "@bea"}), "whom").await;
        // What was proposed and is over before it is confirmed is not made.
        let short = ann.phone.put("/v1/me/away", &json!({"until": until(world, 1), "delegate": "@bea"})).await.unwrap();
        world.advance(seconds(60)).await;
        phone_refused(ann.phone.confirm_act(&short.body).await, "act_expired");
        assert_eq!(world.db.number("select count(*) from absences").await, 0);
    }

    pub(crate) async fn what_would_happen_while_people_are_away(world: &World) {
        let Scene { ops: [ann, bea, _], dan, .. } = &scene(world, 2).await;
        leaves(world, ann, Some(dan)).await;
        leaves(world, bea, None).await;
        let trial = json!({"action": action(), "requester": "@rae", "bot": "heimdall"});
        let found = world.operator.post("/v1/policies/test", &trial).await.unwrap().body;
        let group = &found["asked"]["groups"][0];
        assert_eq!((handles(&group["people"]), handles(&group["away"])), (vec!["dan", "cyd"], vec!["bea"]));
        assert_eq!((handles(&group["people"][0]["for"]), &group["people"][1]["for"]), (vec!["ann"], &Value::Null));
        assert!(found["asked"]["unreachable"].is_null());
        returns(ann).await;
        leaves(world, ann, None).await;
        let found = world.operator.post("/v1/policies/test", &trial).await.unwrap().body;
        let why = found["asked"]["unreachable"].as_str().unwrap();
        assert!(why.contains("@ann is away; @bea is away"), "{why}");
    }
}
