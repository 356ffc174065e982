//! Receipts of what policies asked for: quorums, factors, delays, further groups, executors, second thoughts.

crate::world::stories! {
    two_of_three_by_passkey_and_code
    a_tap
    a_report_by_whom_it_was_asked_for
    held_and_vetoed
    held_until_it_took_effect
    the_second_group_was_asked
    the_first_group_answers_after_the_second_was_asked
    an_executor_redeems_and_tells
    approved_and_then_denied
    the_requester_and_one_other
    for_whom_a_delegate_answered
}

mod stories {
    use phoneops::approvals::receipt::Ended;
    use phoneops::sim::phone::{Factor, Phone, Verdict};
    use serde_json::{Value, json};

    use crate::receipts::stories::{holds, jwks, receipt, report};
    use crate::world::{Bot, Person, World, deploy, refused, seconds};

    /// Yannick asks; Ann, Bea and Cyd are the team ops, Ann with a native app; Ada administers.
    struct Scene {
        ada: Person,
        yannick: Person,
        ops: [Person; 3],
        bot: Bot,
    }

    impl Scene {
        async fn set(world: &World, require: Value) -> Self {
            let ada = world.administrator("ada", "Ada Byron").await;
            let yannick = world.person("yannick", "Yannick Schutz").await;
            let ann = world.native("ann", "Ann Example").await;
            let ops = [ann, world.person("bea", "Bea Example").await, world.person("cyd", "Cyd Example").await];
            world.team("ops", &ops.each_ref()).await;
            let scene = Self { ada, yannick, ops, bot: world.bot("heimdall").await };
            world.policy(&scene.ada, "rule", &json!({"require": require})).await;
            scene
        }

        /// Asked of these people; the id, and the code where there is one.
        async fn ask(&self, world: &World, asked: &[&Person]) -> (String, Option<String>) {
            let body = json!({"action": action(), "requester": self.yannick.handle, "reason": "a release"});
            let reply = self.bot.client.post("/v1/approvals", &body).await.unwrap();
            ring(world, asked, "Approval needed").await;
            (reply.body["id"].as_str().unwrap().to_owned(), reply.body["code"].as_str().map(str::to_owned))
        }

        /// The receipt, which both verifiers find to hold and to have ended so.
        async fn receipt(&self, world: &World, asked: &str, ended: Ended) -> Value {
            let signed = receipt(&self.bot, asked).await;
            assert_eq!(holds(&signed, &jwks(world).await).state, ended);
            signed["receipt"].clone()
        }
    }

    fn action() -> Value {
        deploy("api", "production")
    }

    async fn ring(world: &World, people: &[&Person], title: &str) {
        for person in people {
            person.expect_push(world, title).await;
        }
    }

    /// Approves, and says what state that leaves.
    async fn approve(phone: &Phone, asked: &str, factor: Factor<'_>) -> String {
        let approval = phone.answer_with(asked, Verdict::Approve, factor).await.unwrap();
        approval["state"].as_str().unwrap().to_owned()
    }

    /// Who said what and how, in the order of the receipt.
    fn told(receipt: &Value) -> Vec<String> {
        let answers = receipt["answers"].as_array().unwrap().iter();
        let told = answers.map(|answer| {
            let words = [&answer["verdict"], &answer["factor"]].map(|word| word.as_str().unwrap());
            format!("{} {}", handle(receipt, &answer["approver"]), words.join(" "))
        });
        told.collect()
    }

    fn handle<'r>(receipt: &'r Value, id: &Value) -> &'r str {
        let people = receipt["people"].as_array().unwrap();
        people.iter().find(|person| person["id"] == *id).expect("everybody is named")["handle"].as_str().unwrap()
    }

    /// The handles and the count of each group of one need.
    fn groups(receipt: &Value, need: usize) -> Vec<(u64, Vec<&str>)> {
        let groups = receipt["requirement"]["needs"][need]["any_of"].as_array().unwrap().iter();
        let of = |group: &'_ Value| group["of"].as_array().unwrap().clone();
        groups.map(|group| (group["count"].as_u64().unwrap(), of(group).iter().map(|id| handle(receipt, id)).collect())).collect()
    }

    pub(crate) async fn two_of_three_by_passkey_and_code(world: &World) {
        let scene = Scene::set(world, json!({"groups": [{"quorum": 2, "teams": ["ops"]}], "factor": "code"})).await;
        let [ann, bea, cyd] = &scene.ops;
        let (asked, code) = scene.ask(world, &[ann, bea, cyd]).await;
        assert_eq!(approve(&bea.phone, &asked, Factor::Passkey).await, "pending");
        refused(scene.bot.client.get(&format!("/v1/approvals/{asked}/receipt")).await, "approval_undecided");
        world.advance(seconds(2)).await;
        assert_eq!(approve(&cyd.phone, &asked, Factor::Code(&code.unwrap())).await, "approved");
        ring(world, &[ann, bea], "Answered by Cyd Example").await;
        let grant = scene.bot.expect_grant(&asked).await;
        scene.bot.redeem(&grant, &action()).await.unwrap();

        let receipt = scene.receipt(world, &asked, Ended::Approved).await;
        assert_eq!(told(&receipt), ["bea approve passkey", "cyd approve code"]);
        assert_eq!(groups(&receipt, 0), [(2, vec!["ann", "bea", "cyd"])]);
        let confirmed: Vec<_> = [0, 1].map(|at| receipt["answers"][at]["code_confirmed"].as_bool()).into();
        assert_eq!(confirmed, [None, Some(true)], "only a code is confirmed");
        assert_eq!(receipt["grant"]["acr"], "phoneops:code", "no stronger than the weakest answer");
        assert_eq!(handle(&receipt, &receipt["decision"]["by"]), "cyd");
        assert_eq!(receipt["grant"]["approvers"].as_array().unwrap().len(), 2);
    }

    pub(crate) async fn a_tap(world: &World) {
        let scene = Scene::set(world, json!({"groups": [{"quorum": 1, "users": ["@ann"]}], "factor": "tap"})).await;
        let ann = &scene.ops[0];
        let (asked, _) = scene.ask(world, &[ann]).await;
        assert_eq!(approve(&ann.phone, &asked, Factor::Tap).await, "approved");
        let grant = scene.bot.expect_grant(&asked).await;
        scene.bot.redeem(&grant, &action()).await.unwrap();
        let receipt = scene.receipt(world, &asked, Ended::Approved).await;
        assert_eq!(told(&receipt), ["ann approve tap"]);
        assert_eq!((&receipt["grant"]["acr"], &receipt["grant"]["amr"]), (&json!("phoneops:tap"), &json!(["pop"])));
        assert_eq!(receipt["answers"][0]["signature"]["kind"], "jws");
    }

    /// Whom it was asked for is nobody's approver here, and may say all the same that it was not they who asked.
    pub(crate) async fn a_report_by_whom_it_was_asked_for(world: &World) {
        let scene = Scene::set(world, json!({"groups": [{"quorum": 2, "teams": ["ops"]}]})).await;
        let ops = scene.ops.each_ref();
        for (factor, word) in [(Factor::Passkey, "passkey"), (Factor::Tap, "tap")] {
            let (asked, _) = scene.ask(world, &ops).await;
            approve(&ops[1].phone, &asked, Factor::Passkey).await;
            world.advance(seconds(1)).await;
            scene.yannick.phone.answer_with(&asked, Verdict::Report, factor).await.unwrap();
            ring(world, &ops, "Answered by Yannick Schutz").await;
            let receipt = scene.receipt(world, &asked, Ended::Denied).await;
            assert_eq!(told(&receipt), ["bea approve passkey".to_owned(), format!("yannick report {word}")]);
            assert_eq!(receipt["decision"]["verdict"], "report");
            assert_eq!(receipt["grant"], Value::Null);
            world.lift(&scene.ada).await;
        }
    }

    /// A policy with a delay of two minutes; approved by Ann, and held.
    async fn held(world: &World) -> (Scene, String) {
        let scene = Scene::set(world, json!({"groups": [{"quorum": 1, "teams": ["ops"]}], "delay": 120})).await;
        let (asked, _) = scene.ask(world, &scene.ops.each_ref()).await;
        assert_eq!(approve(&scene.ops[0].phone, &asked, Factor::Passkey).await, "pending");
        refused(scene.bot.client.get(&format!("/v1/approvals/{asked}/receipt")).await, "approval_undecided");
        world.advance(seconds(119)).await;
        (scene, asked)
    }

    pub(crate) async fn held_and_vetoed(world: &World) {
        let (scene, asked) = held(world).await;
        let [ann, bea, cyd] = &scene.ops;
        cyd.phone.deny(&asked, Some("wait")).await.unwrap();
        ring(world, &[ann, bea], "Answered by Cyd Example").await;
        world.advance(seconds(10)).await;
        let receipt = scene.receipt(world, &asked, Ended::Denied).await;
        assert_eq!(told(&receipt), ["ann approve passkey", "cyd deny passkey"]);
        assert_eq!(receipt["answers"][1]["reason"], "wait");
    }

    pub(crate) async fn held_until_it_took_effect(world: &World) {
        let (scene, asked) = held(world).await;
        world.advance(seconds(1)).await;
        ring(world, &scene.ops.each_ref(), "Answered by Ann Example").await;
        let grant = scene.bot.expect_grant(&asked).await;
        scene.bot.redeem(&grant, &action()).await.unwrap();
        let receipt = scene.receipt(world, &asked, Ended::Approved).await;
        assert_eq!(told(&receipt), ["ann approve passkey"]);
        assert_ne!(receipt["answers"][0]["answered_at"], receipt["decision"]["at"], "it took effect later than it was said");
    }

    /// One of ops, and when they do not answer within a minute Yannick's administrator.
    fn in_turn() -> Value {
        json!({"groups": [{"quorum": 2, "teams": ["ops"]}, {"quorum": 1, "users": ["@ada"]}], "expires_in": 60,
            "on_no_answer": "ask_next_group"})
    }

    pub(crate) async fn the_second_group_was_asked(world: &World) {
        let scene = Scene::set(world, in_turn()).await;
        let ops = scene.ops.each_ref();
        // Decided by the first group: of the second nothing is told.
        let (asked, _) = scene.ask(world, &ops).await;
        ops[1].phone.deny(&asked, None).await.unwrap();
        ring(world, &[ops[0], ops[2]], "Answered by Bea Example").await;
        let receipt = scene.receipt(world, &asked, Ended::Denied).await;
        assert_eq!(groups(&receipt, 0).len(), 1);

        // Bea is not rung for the like for a minute.
        world.advance(seconds(60)).await;
        let (asked, _) = scene.ask(world, &ops).await;
        approve(&ops[0].phone, &asked, Factor::Passkey).await;
        world.advance(seconds(60)).await;
        assert_eq!(approve(&scene.ada.phone, &asked, Factor::Passkey).await, "approved");
        ring(world, &ops, "Answered by Ada Byron").await;
        let receipt = scene.receipt(world, &asked, Ended::Approved).await;
        // Ann's answer was not enough and is not forgotten.
        assert_eq!(told(&receipt), ["ann approve passkey", "ada approve passkey"]);
        assert_eq!(groups(&receipt, 0), [(2, vec!["ann", "bea", "cyd"]), (1, vec!["ada"])]);
    }

    pub(crate) async fn the_first_group_answers_after_the_second_was_asked(world: &World) {
        let scene = Scene::set(world, in_turn()).await;
        let [ann, bea, cyd] = &scene.ops;
        let (asked, _) = scene.ask(world, &[ann, bea, cyd]).await;
        approve(&ann.phone, &asked, Factor::Passkey).await;
        world.advance(seconds(60)).await;
        assert_eq!(approve(&cyd.phone, &asked, Factor::Passkey).await, "approved");
        ring(world, &[ann, bea], "Answered by Cyd Example").await;
        let receipt = scene.receipt(world, &asked, Ended::Approved).await;
        assert_eq!(told(&receipt), ["ann approve passkey", "cyd approve passkey"]);

        let (left, _) = scene.ask(world, &[ann, bea, cyd]).await;
        approve(&ann.phone, &left, Factor::Passkey).await;
        world.advance(seconds(60)).await;
        world.advance(seconds(60)).await;
        ring(world, &[ann, bea, cyd], "Expired").await;
        let receipt = scene.receipt(world, &left, Ended::Expired).await;
        assert_eq!(told(&receipt), ["ann approve passkey"]);
    }

    pub(crate) async fn an_executor_redeems_and_tells(world: &World) {
        let runner = world.bot("runner").await;
        let require = json!({"groups": [{"quorum": 1, "users": ["@ann"]}], "executor": "runner"});
        let scene = Scene::set(world, require).await;
        let ann = &scene.ops[0];
        let (asked, _) = scene.ask(world, &[ann]).await;
        approve(&ann.phone, &asked, Factor::Passkey).await;
        let grant = scene.bot.expect_grant(&asked).await;
        let redeemed = runner.redeem(&grant, &action()).await.unwrap();
        let id = redeemed.body["grant"].as_str().unwrap();
        refused(report(&scene.bot, id, json!({"outcome": "succeeded"})).await, "not_found");
        report(&runner, id, json!({"outcome": "failed", "detail": "no room"})).await.unwrap();
        ann.expect_push(world, "deploy → production: failed").await;
        let receipt = scene.receipt(world, &asked, Ended::Approved).await;
        for by in [&receipt["grant"]["aud"], &receipt["redemption"]["by"]] {
            assert_eq!(by, runner.id.as_str());
        }
        assert_eq!(receipt["approval"]["bot"], scene.bot.id.as_str());
        assert_eq!((&receipt["outcome"]["outcome"], &receipt["outcome"]["detail"]), (&json!("failed"), &json!("no room")));
    }

    pub(crate) async fn approved_and_then_denied(world: &World) {
        let scene = Scene::set(world, json!({"groups": [{"quorum": 2, "teams": ["ops"]}], "factor": "code"})).await;
        let [ann, bea, cyd] = &scene.ops;
        // By the same key, and by another of the same person.
        for (factor, word) in [(Factor::Passkey, "passkey"), (Factor::Tap, "tap")] {
            let (asked, _) = scene.ask(world, &[ann, bea, cyd]).await;
            approve(&ann.phone, &asked, Factor::Passkey).await;
            world.advance(seconds(1)).await;
            ann.phone.answer_with(&asked, Verdict::Deny, factor).await.unwrap();
            ring(world, &[bea, cyd], "Answered by Ann Example").await;
            let receipt = scene.receipt(world, &asked, Ended::Denied).await;
            assert_eq!(told(&receipt), ["ann approve passkey".to_owned(), format!("ann deny {word}")]);
            assert_eq!(handle(&receipt, &receipt["decision"]["by"]), "ann");
            // She is not rung for the like for a minute.
            world.advance(seconds(60)).await;
        }
    }

    pub(crate) async fn for_whom_a_delegate_answered(world: &World) {
        let scene = Scene::set(world, json!({"groups": [{"quorum": 2, "teams": ["ops"]}]})).await;
        let [ann, bea, cyd] = &scene.ops;
        let dan = world.person("dan", "Dan Example").await;
        let until = world.clock.now().after(seconds(3_600));
        for (who, delegate) in [(ann, "@dan"), (bea, "@dan")] {
            let act = who.phone.put("/v1/me/away", &json!({"until": until, "delegate": delegate})).await.unwrap();
            who.phone.confirm_act(&act.body).await.unwrap();
        }
        let (asked, _) = scene.ask(world, &[&dan, cyd]).await;
        assert_eq!(approve(&dan.phone, &asked, Factor::Passkey).await, "pending", "two people's delegate is one person");
        world.advance(seconds(1)).await;
        assert_eq!(approve(&cyd.phone, &asked, Factor::Passkey).await, "approved");
        ring(world, &[&dan], "Answered by Cyd Example").await;
        let receipt = scene.receipt(world, &asked, Ended::Approved).await;
        assert_eq!(groups(&receipt, 0), [(2, vec!["dan", "cyd"])]);
        let delegations = receipt["requirement"]["delegations"].as_array().unwrap();
        let told: Vec<_> = delegations.iter().map(|one| (handle(&receipt, &one["for"]), handle(&receipt, &one["by"]))).collect();
        assert_eq!(told, [("ann", "dan"), ("bea", "dan")]);
        let absent: Vec<_> = receipt["answers"][0]["for"].as_array().unwrap().iter().map(|id| handle(&receipt, id)).collect();
        assert_eq!((absent, &receipt["answers"][1]["for"]), (vec!["ann", "bea"], &Value::Null));
        let statement: Value = serde_json::from_str(receipt["answers"][0]["statement"].as_str().unwrap()).unwrap();
        assert_eq!(statement["for"], receipt["answers"][0]["for"], "it is signed");
    }

    pub(crate) async fn the_requester_and_one_other(world: &World) {
        let scene = Scene::set(world, json!({"requester": true, "groups": [{"quorum": 1, "teams": ["ops"]}]})).await;
        let [ann, bea, cyd] = &scene.ops;
        let (asked, _) = scene.ask(world, &[&scene.yannick, ann, bea, cyd]).await;
        assert_eq!(approve(&bea.phone, &asked, Factor::Passkey).await, "pending");
        world.advance(seconds(1)).await;
        assert_eq!(approve(&scene.yannick.phone, &asked, Factor::Passkey).await, "approved");
        ring(world, &[ann, bea, cyd], "Answered by Yannick Schutz").await;
        let receipt = scene.receipt(world, &asked, Ended::Approved).await;
        assert_eq!(told(&receipt), ["bea approve passkey", "yannick approve passkey"]);
        assert_eq!(groups(&receipt, 0), [(1, vec!["yannick"])]);
        assert_eq!(groups(&receipt, 1), [(1, vec!["ann", "bea", "cyd"])]);
    }
}
