//! Policies, quorums and factors, told as stories: real keys, real signatures, real HTTP, on both engines.

mod delegation;
mod organisations;

crate::world::stories! {
    two_of_three
    one_denial_is_enough
    nobody_answers_and_the_next_are_asked
    a_delay_in_which_it_is_vetoed
    a_delay_that_passes
    no_policy_matches
    nobody_could_approve
    a_code_is_typed
    three_wrong_codes
    a_tap
    too_weak
    somebody_reports
    an_executor
    weakening_takes_a_passkey
    an_act_is_for_its_moment
    teams_and_their_members
    what_would_happen
    a_policy_that_became_stricter
    a_member_who_left
    a_bot_cannot_hurry_to_the_next_group
    a_team_that_grew_while_an_act_waited
    a_bot_that_was_revoked
    what_a_policy_cannot_judge
    a_timer_that_rings_late
    other_policies_under_the_same_version
}

mod stories {
    use phoneops::sim::phone::{Factor, Verdict};
    use serde_json::{Value, json};

    use crate::world::{Bot, Person, World, deploy, phone_refused, refused, seconds};

    fn two_of_ops() -> Value {
        json!({"match": {"types": ["deploy"], "targets": ["prod*"]}, "require": {"groups": [{"quorum": 2, "teams": ["ops"]}]}})
    }

    fn one_of(who: &Person, factor: &str) -> Value {
        json!({"match": {}, "require": {"groups": [{"quorum": 1, "users": [who.handle]}], "factor": factor}})
    }

    /// Yannick asks; Ann, Bea and Cyd are the team ops; Ada administers.
    struct Scene {
        ada: Person,
        yannick: Person,
        ops: [Person; 3],
        bot: Bot,
    }

    async fn scene(world: &World) -> Scene {
        let ada = world.administrator("ada", "Ada Byron").await;
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let ann = world.native("ann", "Ann Example").await;
        let ops = [ann, world.person("bea", "Bea Example").await, world.person("cyd", "Cyd Example").await];
        world.team("ops", &ops.each_ref()).await;
        Scene { ada, yannick, ops, bot: world.bot("heimdall").await }
    }

    async fn ring(world: &World, people: &[Person]) {
        for person in people {
            person.expect_push(world, "Approval needed").await;
        }
    }

    pub(crate) async fn two_of_three(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        world.policy(&ada, "prod", &two_of_ops()).await;
        let action = deploy("api", "production");
        let asked = bot.ask(&yannick, action.clone()).await;
        ring(world, &ops).await;
        yannick.expect_silence(world).await;

        let after_one = ops[0].phone.approve(&asked).await.unwrap();
        assert_eq!(after_one["state"], "pending");
        assert_eq!(after_one["approvals"][0]["by"]["handle"], "ann");
        assert_eq!(after_one["quorums"][0]["needed"], 2);
        phone_refused(ops[0].phone.approve(&asked).await, "already_approved");
        phone_refused(yannick.phone.approve(&asked).await, "not_an_approver");
        assert!(bot.approval(&asked).await["grant"].is_null());
        // Whoever has approved is not asked any more, the others are.
        let waiting = [ops[0].phone.inbox().await.unwrap().len(), ops[1].phone.inbox().await.unwrap().len()];
        assert_eq!(waiting, [0, 1]);

        let after_two = ops[1].phone.approve(&asked).await.unwrap();
        assert_eq!(after_two["state"], "approved");
        ops[0].expect_push(world, "Answered by Bea Example").await;
        ops[2].expect_push(world, "Answered by Bea Example").await;
        phone_refused(ops[2].phone.approve(&asked).await, "approval_decided");
        assert!(ops[2].phone.inbox().await.unwrap().is_empty());
        let grant = bot.expect_grant(&asked).await;
        bot.redeem(&grant, &action).await.unwrap();
        refused(bot.redeem(&grant, &action).await, "grant_redeemed");
        assert_eq!((world.recorded("approval.answered").await, world.recorded("approval.approved").await), (1, 1));
    }

    pub(crate) async fn one_denial_is_enough(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        world.policy(&ada, "prod", &two_of_ops()).await;
        let asked = bot.ask(&yannick, deploy("api", "production")).await;
        ring(world, &ops).await;
        ops[0].phone.approve(&asked).await.unwrap();
        // Ann has second thoughts.
        ops[0].phone.deny(&asked, Some("the tests are red")).await.unwrap();
        for other in &ops[1..] {
            other.expect_push(world, "Answered by Ann Example").await;
        }
        phone_refused(ops[1].phone.approve(&asked).await, "approval_decided");
        let approval = bot.approval(&asked).await;
        assert_eq!((&approval["state"], &approval["decision"]["verdict"]), (&json!("denied"), &json!("deny")));
        // Whoever it is asked for may say no to it, though they are not asked.
        let own = bot.ask(&yannick, deploy("api", "production-eu")).await;
        ring(world, &ops).await;
        yannick.phone.deny(&own, None).await.unwrap();
        for one in &ops {
            one.expect_push(world, "Answered by Yannick Schutz").await;
        }
    }

    pub(crate) async fn nobody_answers_and_the_next_are_asked(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        let first = json!({"quorum": 1, "users": ["@ann"]});
        let rule = json!({"require": {"groups": [first, {"quorum": 1, "users": ["@bea"]}], "expires_in": 60,
            "on_no_answer": "ask_next_group"}});
        world.policy(&ada, "any", &rule).await;
        let asked = bot.ask(&yannick, deploy("api", "production")).await;
        ops[0].expect_push(world, "Approval needed").await;
        ops[1].expect_silence(world).await;
        phone_refused(ops[1].phone.approve(&asked).await, "not_found");
        world.advance(seconds(60)).await;
        ops[1].expect_push(world, "Approval needed").await;
        assert_eq!(world.recorded("approval.asked").await, 1);
        ops[1].phone.approve(&asked).await.unwrap();
        ops[0].expect_push(world, "Answered by Bea Example").await;
        let grant = bot.expect_grant(&asked).await;
        bot.redeem(&grant, &deploy("api", "production")).await.unwrap();

        let left = bot.ask(&yannick, deploy("api", "production")).await;
        ops[0].expect_push(world, "Approval needed").await;
        world.advance(seconds(60)).await;
        ops[1].expect_push(world, "Approval needed").await;
        world.advance(seconds(60)).await;
        ops[0].expect_push(world, "Expired").await;
        ops[1].expect_push(world, "Expired").await;
        assert_eq!(bot.approval(&left).await["state"], "expired");
    }

    async fn with_delay(world: &World, scene: &Scene) -> String {
        let rule = json!({"require": {"groups": [{"quorum": 1, "teams": ["ops"]}], "delay": 120}});
        world.policy(&scene.ada, "slow", &rule).await;
        let asked = scene.bot.ask(&scene.yannick, deploy("api", "production")).await;
        ring(world, &scene.ops).await;
        let held = scene.ops[0].phone.approve(&asked).await.unwrap();
        assert_eq!(held["state"], "pending");
        assert!(held["holds_until"].is_string());
        phone_refused(scene.ops[1].phone.approve(&asked).await, "approval_holds");
        // Whoever approved may change their mind, and so do the others: it waits with all of them.
        for one in &scene.ops {
            assert_eq!(one.phone.inbox().await.unwrap()[0]["id"], asked.as_str(), "{}", one.handle);
        }
        world.advance(seconds(119)).await;
        assert_eq!(scene.bot.approval(&asked).await["state"], "pending");
        asked
    }

    pub(crate) async fn a_delay_in_which_it_is_vetoed(world: &World) {
        let scene = scene(world).await;
        let asked = with_delay(world, &scene).await;
        scene.ops[2].phone.deny(&asked, Some("wait")).await.unwrap();
        for one in &scene.ops[..2] {
            one.expect_push(world, "Answered by Cyd Example").await;
        }
        world.advance(seconds(10)).await;
        assert_eq!(scene.bot.approval(&asked).await["state"], "denied");
    }

    pub(crate) async fn a_delay_that_passes(world: &World) {
        let scene = scene(world).await;
        let asked = with_delay(world, &scene).await;
        world.advance(seconds(1)).await;
        let grant = scene.bot.expect_grant(&asked).await;
        for one in &scene.ops {
            one.expect_push(world, "Answered by Ann Example").await;
        }
        scene.bot.redeem(&grant, &deploy("api", "production")).await.unwrap();
        world.advance(seconds(600)).await;
        assert_eq!((world.recorded("approval.held").await, world.recorded("approval.approved").await), (1, 1));
    }

    async fn ask(bot: &Bot, whom: &Person, action: Value) -> Result<phoneops::client::Reply, phoneops::client::Error> {
        bot.client.post("/v1/approvals", &json!({"action": action, "requester": whom.handle})).await
    }

    pub(crate) async fn no_policy_matches(world: &World) {
        let Scene { ada, yannick, bot, .. } = scene(world).await;
        world.policy(&ada, "prod", &two_of_ops()).await;
        refused(ask(&bot, &yannick, deploy("api", "staging")).await, "no_policy_matches");
        assert_eq!(world.db.number("select count(*) from approvals").await, 0);
    }

    pub(crate) async fn nobody_could_approve(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        world.newcomer("dan", "Dan Example").await;
        let rule = json!({"require": {"groups": [{"quorum": 2, "users": ["@dan", "@yannick", "@bea"]}]}});
        world.policy(&ada, "pair", &rule).await;
        let error = ask(&bot, &yannick, deploy("api", "production")).await.unwrap_err();
        assert_eq!(error.code(), Some("approvers_unreachable"));
        let why = error.to_string();
        for part in ["policy pair", "2 of @dan, @yannick, @bea", "1 could", "@dan has no passkey", "@yannick) is the requester"] {
            assert!(why.contains(part), "{why}");
        }
        // For somebody else it is two people.
        let asked = bot.ask(&ops[0], deploy("api", "production")).await;
        yannick.expect_push(world, "Approval needed").await;
        ops[1].expect_push(world, "Approval needed").await;
        yannick.phone.deny(&asked, None).await.unwrap();
        ops[1].expect_push(world, "Answered by Yannick Schutz").await;
        // An empty team is nobody.
        world.operator.post("/v1/teams", &json!({"name": "empty"})).await.unwrap();
        world.policy(&ada, "pair", &json!({"require": {"groups": [{"quorum": 1, "teams": ["empty"]}]}})).await;
        refused(ask(&bot, &yannick, deploy("api", "production")).await, "approvers_unreachable");
    }

    pub(crate) async fn a_code_is_typed(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        world.policy(&ada, "codes", &one_of(&ops[1], "code")).await;
        let action = deploy("api", "production");
        let body = json!({"action": action, "requester": "@yannick"});
        let reply = bot.client.post_once("/v1/approvals?wait=5", "once", &body).await.unwrap();
        assert_eq!(reply.status, 201, "the requester must see the code, so this does not wait");
        let (asked, code) = (reply.body["id"].as_str().unwrap(), reply.body["code"].as_str().unwrap());
        assert!(code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()));
        let again = bot.client.post_once("/v1/approvals?wait=0", "once", &body).await.unwrap();
        assert_eq!((&again.body["id"], &again.body["code"]), (&reply.body["id"], &Value::Null), "a secret is not repeated");
        assert!(bot.approval(asked).await["code"].is_null());
        assert!(ops[1].phone.approval(asked).await.unwrap()["code"].is_null());
        ops[1].expect_push(world, "Approval needed").await;

        let journal = serde_json::to_string(&world.journal().await).unwrap();
        assert!(!journal.contains(&format!("\"{code}\"")), "the code is in the journal");
        let approval = ops[1].phone.answer_with(asked, Verdict::Approve, Factor::Code(code)).await.unwrap();
        assert_eq!((&approval["state"], &approval["approvals"][0]["factor"]), (&json!("approved"), &json!("code")));
        let grant = bot.expect_grant(asked).await;
        let claims = phoneops::secret::from_b64u(grant.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((&claims["acr"], &claims["amr"]), (&json!("phoneops:code"), &json!(["pop", "otp", "mca"])));
        bot.redeem(&grant, &action).await.unwrap();

        // A passkey is stronger and does as well.
        let second = bot.ask(&yannick, action).await;
        ops[1].expect_push(world, "Approval needed").await;
        assert_eq!(ops[1].phone.approve(&second).await.unwrap()["state"], "approved");
    }

    /// Asks under a policy with codes; the id, the code, and a code that it is not.
    async fn coded(bot: &Bot, whom: &Person, target: &str) -> (String, String, String) {
        let reply = ask(bot, whom, deploy("api", target)).await.unwrap();
        let code = reply.body["code"].as_str().unwrap().to_owned();
        let wrong = format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000);
        (reply.body["id"].as_str().unwrap().to_owned(), code, wrong)
    }

    pub(crate) async fn three_wrong_codes(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        world.policy(&ada, "codes", &one_of(&ops[0], "code")).await;
        let ann = &ops[0];
        let guess = |asked: String, code: String| async move {
            ann.phone.answer_with(&asked, Verdict::Approve, Factor::Code(&code)).await
        };
        let (asked, code, wrong) = coded(&bot, &yannick, "one").await;
        ann.expect_push(world, "Approval needed").await;
        phone_refused(guess(asked.clone(), "12345".to_owned()).await, "invalid_request");
        for _ in 0..3 {
            phone_refused(guess(asked.clone(), wrong.clone()).await, "code_wrong");
        }
        phone_refused(guess(asked.clone(), code.clone()).await, "code_exhausted");
        // Another request does not help: the person has to wait.
        let (second, code, wrong) = coded(&bot, &yannick, "two").await;
        ann.expect_push(world, "Approval needed").await;
        phone_refused(guess(second.clone(), code.clone()).await, "code_locked");
        assert_eq!(world.db.number("select code_tries from approvals order by id desc limit 1").await, 0, "nothing was compared");
        ann.phone.approve(&second).await.unwrap();
        // A passkey has shown who it is.
        let (third, code, _) = coded(&bot, &yannick, "three").await;
        ann.expect_push(world, "Approval needed").await;
        phone_refused(guess(third.clone(), wrong).await, "code_wrong");
        assert_eq!(guess(third, code).await.unwrap()["state"], "approved");
        assert_eq!(world.recorded("approval.code_wrong").await, 4);
        ann.phone.deny(&asked, None).await.unwrap();
    }

    pub(crate) async fn a_tap(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        let rule = json!({"require": {"groups": [{"quorum": 1, "teams": ["ops"]}], "factor": "tap"}});
        world.policy(&ada, "taps", &rule).await;
        let action = deploy("api", "production");
        let asked = bot.ask(&yannick, action.clone()).await;
        ring(world, &ops).await;
        phone_refused(ops[1].phone.answer_with(&asked, Verdict::Approve, Factor::Tap).await, "tap_refused");
        let prepared = ops[0].phone.prepare_answer_with(&asked, Verdict::Approve, Factor::Tap, None).await.unwrap();
        let first = ops[0].phone.post(&prepared.path, &prepared.body).await.unwrap().accepted().unwrap();
        assert_eq!(first["state"], "approved");
        let again = ops[0].phone.post(&prepared.path, &prepared.body).await.unwrap().accepted().unwrap();
        assert_eq!(again, first, "the same answer gets the same reply");
        for other in &ops[1..] {
            other.expect_push(world, "Answered by Ann Example").await;
        }
        let grant = bot.expect_grant(&asked).await;
        let claims = phoneops::secret::from_b64u(grant.split('.').nth(1).unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&claims).unwrap()["acr"], "phoneops:tap");
        // The device that tapped is revoked: what it said is worth nothing any more.
        let device = ops[0].phone.device_id().unwrap();
        ops[0].phone.delete(&format!("/v1/devices/{device}"), None).await.unwrap().accepted().unwrap();
        refused(bot.redeem(&grant, &action).await, "grant_revoked");
    }

    pub(crate) async fn too_weak(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        world.policy(&ada, "keys", &one_of(&ops[0], "passkey")).await;
        let reply = ask(&bot, &yannick, deploy("api", "production")).await.unwrap();
        assert!(reply.body["code"].is_null(), "a code would not be enough");
        let asked = reply.body["id"].as_str().unwrap();
        ops[0].expect_push(world, "Approval needed").await;
        for factor in [Factor::Tap, Factor::Code("123456")] {
            phone_refused(ops[0].phone.answer_with(asked, Verdict::Approve, factor).await, "factor_too_weak");
        }
        phone_refused(ops[0].phone.answer_with(asked, Verdict::Deny, Factor::Code("123456")).await, "invalid_request");
        // Saying no takes no more than the phone.
        assert_eq!(ops[0].phone.answer_with(asked, Verdict::Deny, Factor::Tap).await.unwrap()["state"], "denied");
    }

    pub(crate) async fn somebody_reports(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        world.policy(&ada, "prod", &two_of_ops()).await;
        let asked = bot.ask(&yannick, deploy("api", "production")).await;
        ring(world, &ops).await;
        let approval = yannick.phone.answer_with(&asked, Verdict::Report, Factor::Passkey).await.unwrap();
        assert_eq!((&approval["state"], &approval["decision"]["verdict"]), (&json!("denied"), &json!("report")));
        for one in &ops {
            one.expect_push(world, "Answered by Yannick Schutz").await;
        }
        let journal = world.journal().await;
        let denied = journal.iter().find(|entry| entry["kind"] == "approval.denied").unwrap();
        assert_eq!(denied["data"]["reported"], true);
    }

    pub(crate) async fn an_executor(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        let runner = world.bot("runner").await;
        let mut rule = one_of(&ops[0], "passkey");
        rule["require"]["executor"] = json!("runner");
        world.policy(&ada, "run", &rule).await;
        let action = deploy("api", "production");
        let asked = bot.ask(&yannick, action.clone()).await;
        ops[0].expect_push(world, "Approval needed").await;
        ops[0].phone.approve(&asked).await.unwrap();
        let grant = bot.expect_grant(&asked).await;
        refused(bot.redeem(&grant, &action).await, "grant_not_yours");
        runner.redeem(&grant, &action).await.unwrap();
    }

    pub(crate) async fn weakening_takes_a_passkey(world: &World) {
        let Scene { ada, yannick, ops, .. } = scene(world).await;
        let put = |rule: Value| async move { world.operator.put("/v1/policies/prod", &rule).await.unwrap() };
        // Until now the requester's own passkey was asked: this asks others instead.
        let proposed = put(two_of_ops()).await;
        assert_eq!((proposed.status, &proposed.body["state"]), (202, &json!("waiting")));
        refused(world.operator.get("/v1/policies/prod").await, "not_found");
        phone_refused(yannick.phone.confirm_act(&proposed.body).await, "forbidden");
        assert_eq!(ada.phone.get("/v1/acts").await.unwrap().body["acts"][0]["id"], proposed.body["id"]);
        ada.phone.confirm_act(&proposed.body).await.unwrap();
        phone_refused(ada.phone.confirm_act(&proposed.body).await, "act_done");
        let made = world.operator.get("/v1/policies/prod").await.unwrap().body;
        assert_eq!((&made["version"], &made["require"]["factor"]), (&json!(4), &json!("passkey")));

        let mut stricter = two_of_ops();
        stricter["require"]["requester"] = json!(true);
        assert_eq!(put(stricter).await.status, 200, "tightening takes nothing");
        let weaker = put(two_of_ops()).await;
        assert_eq!(weaker.status, 202);
        let removal = world.operator.delete("/v1/policies/prod").await.unwrap();
        assert_eq!((removal.status, &removal.body["change"]["kind"]), (202, &json!("policy.removed")));
        ada.phone.confirm_act(&weaker.body).await.unwrap();
        // It was judged against policies that have changed since.
        phone_refused(ada.phone.confirm_act(&removal.body).await, "act_outdated");
        assert_eq!(world.recorded("policy.set").await, 3);
        assert_eq!((world.recorded("act.proposed").await, world.recorded("act.confirmed").await), (3, 2));
        for body in [json!({"require": {}}), json!({"require": {"groups": [{"quorum": 1, "users": ["@nobody"]}]}})] {
            refused(world.operator.put("/v1/policies/bad", &body).await, "invalid_request");
        }
        drop(ops);
    }

    pub(crate) async fn an_act_is_for_its_moment(world: &World) {
        let Scene { ada, ops, bot, .. } = scene(world).await;
        let asked = bot.ask(&ada, deploy("api", "production")).await;
        let proposed = world.operator.put("/v1/policies/prod", &two_of_ops()).await.unwrap().body;
        let path = format!("/v1/acts/{}", proposed["id"].as_str().unwrap());
        let offered = ada.phone.post(&format!("{path}/challenge"), &json!({})).await.unwrap().accepted().unwrap();
        // The same passkey, for an approval of Ada's own: its answer is none to an act, nor the reverse.
        let answer = ada.phone.prepare_answer(&asked, Verdict::Approve, None).await.unwrap();
        let confirm = |credential: Value| json!({"challenge": offered["challenge"], "credential": credential});
        let wrong = ada.phone.post(&format!("{path}/confirm"), &confirm(answer.body["credential"].clone())).await.unwrap();
        assert_eq!((wrong.status, wrong.code()), (403, "challenge_mismatch"));
        let good = ada.phone.use_passkey(&offered["public_key"]).unwrap();
        let stray = json!({"challenge": answer.body["challenge"], "credential": good});
        let refused = ada.phone.post(&answer.path, &stray).await.unwrap();
        assert_eq!((refused.status, refused.code()), (403, "challenge_mismatch"));
        ada.phone.deny(&asked, None).await.unwrap();
        world.advance(seconds(120)).await;
        let late = ada.phone.post(&format!("{path}/confirm"), &confirm(good)).await.unwrap();
        assert_eq!((late.status, late.code()), (409, "challenge_expired"));
        world.advance(seconds(480)).await;
        phone_refused(ada.phone.confirm_act(&proposed).await, "act_expired");
        assert_eq!(world.db.number("select count(*) from policies").await, 0);
        drop(ops);
    }

    pub(crate) async fn teams_and_their_members(world: &World) {
        let Scene { ada, yannick, .. } = scene(world).await;
        refused(world.operator.post("/v1/teams", &json!({"name": "ops"})).await, "name_taken");
        let teams = world.operator.get("/v1/teams").await.unwrap().body;
        let members = teams["teams"][0]["members"].as_array().unwrap();
        let handles: Vec<_> = members.iter().map(|one| one["handle"].as_str().unwrap()).collect();
        assert_eq!(handles, ["ann", "bea", "cyd"]);
        assert_eq!(world.operator.put("/v1/teams/ops/members/@ann", &json!({})).await.unwrap().status, 204);
        refused(world.operator.put("/v1/teams/ops/members/@nobody", &json!({})).await, "not_found");
        refused(world.operator.put("/v1/teams/none/members/@ann", &json!({})).await, "not_found");
        world.policy(&ada, "prod", &two_of_ops()).await;
        // From now on one more member is one more person who could approve.
        let joins = world.operator.put("/v1/teams/ops/members/@yannick", &json!({})).await.unwrap();
        assert_eq!((joins.status, &joins.body["change"]["kind"]), (202, &json!("team.member_added")));
        ada.phone.confirm_act(&joins.body).await.unwrap();
        world.operator.delete("/v1/teams/ops/members/@bea").await.unwrap();
        refused(world.operator.delete("/v1/teams/ops/members/@bea").await, "not_found");
        let teams = world.operator.get("/v1/teams").await.unwrap().body;
        assert_eq!(teams["teams"][0]["members"].as_array().unwrap().len(), 3);
        drop(yannick);
    }

    pub(crate) async fn what_would_happen(world: &World) {
        let Scene { ada, ops, .. } = scene(world).await;
        world.policy(&ada, "prod", &two_of_ops()).await;
        world.policy(&ada, "any", &one_of(&ops[0], "code")).await;
        let test = |target: &'static str, requester: &'static str| async move {
            let trial = json!({"action": deploy("api", target), "requester": requester, "bot": "heimdall"});
            world.operator.post("/v1/policies/test", &trial).await.unwrap().body
        };
        let strict = test("production", "@yannick").await;
        assert_eq!(strict["asked"]["policy"]["name"], "prod");
        assert_eq!(strict["asked"]["groups"][0]["people"].as_array().unwrap().len(), 3);
        assert_eq!(strict["policies"], json!([{"name": "prod"}, {"name": "any", "why_not": "it matches, but prod is stricter"}]));
        let lax = test("staging", "@yannick").await;
        assert_eq!(lax["asked"]["policy"]["name"], "any");
        assert_eq!(lax["policies"][0], json!({"name": "prod", "why_not": "its target is none of prod*"}));
        let own = test("staging", "@ann").await;
        assert!(own["asked"]["unreachable"].as_str().unwrap().contains("is the requester"));
    }

    /// Approved by Ann under a policy that asks one of ops.
    async fn approved(world: &World, scene: &Scene) -> String {
        let rule = json!({"match": {}, "require": {"groups": [{"quorum": 1, "teams": ["ops"]}]}});
        world.policy(&scene.ada, "prod", &rule).await;
        let asked = scene.bot.ask(&scene.yannick, deploy("api", "production")).await;
        ring(world, &scene.ops).await;
        scene.ops[0].phone.approve(&asked).await.unwrap();
        for other in &scene.ops[1..] {
            other.expect_push(world, "Answered by Ann Example").await;
        }
        scene.bot.expect_grant(&asked).await
    }

    pub(crate) async fn a_policy_that_became_stricter(world: &World) {
        let scene = scene(world).await;
        let grant = approved(world, &scene).await;
        let action = deploy("api", "production");
        let redeem = || scene.bot.redeem(&grant, &action);
        world.bot("runner").await;
        let rule = |quorum: u32| json!({"match": {}, "require": {"groups": [{"quorum": quorum, "teams": ["ops"]}]}});
        let (mut delayed, mut handed, mut other) = (rule(1), rule(1), rule(1));
        delayed["require"]["delay"] = json!(60);
        handed["require"]["executor"] = json!("runner");
        other["match"] = json!({"types": ["merge"]});
        for (stricter, why) in [
            (rule(2), "asks for more than was given"),
            (delayed, "a longer delay"),
            (handed, "another bot"),
            (other, "none matches"),
        ] {
            world.policy(&scene.ada, "prod", &stricter).await;
            let error = redeem().await.unwrap_err();
            assert_eq!(error.code(), Some("grant_policy_changed"));
            assert!(error.to_string().contains(why), "{error}");
        }
        world.policy(&scene.ada, "prod", &rule(1)).await;
        redeem().await.unwrap();
    }

    /// The second group is asked because the first did not answer, and not because a bot left it no time.
    pub(crate) async fn a_bot_cannot_hurry_to_the_next_group(world: &World) {
        let Scene { ada, ops, bot, .. } = scene(world).await;
        let rule = json!({"require": {"groups": [{"quorum": 1, "users": ["@ann"]}, {"quorum": 1, "users": ["@bea"]}],
            "expires_in": 1800, "on_no_answer": "ask_next_group"}});
        world.policy(&ada, "any", &rule).await;
        let hurried = json!({"action": deploy("api", "production"), "requester": "@yannick", "expires_in": 10});
        let refusal = bot.client.post("/v1/approvals", &hurried).await.unwrap_err();
        assert!(refusal.to_string().starts_with("expires_in: policy any asks several groups"), "{refusal}");
        ops[0].expect_silence(world).await;
    }

    pub(crate) async fn a_team_that_grew_while_an_act_waited(world: &World) {
        let Scene { ada, yannick, .. } = scene(world).await;
        // No policy names the team yet, so joining it weakens nothing; but the act was looked at when the team was smaller.
        let proposed = world.operator.put("/v1/policies/prod", &two_of_ops()).await.unwrap();
        let joined = world.operator.put("/v1/teams/ops/members/@yannick", &json!({})).await.unwrap();
        assert_eq!((proposed.status, joined.status), (202, 204));
        phone_refused(ada.phone.confirm_act(&proposed.body).await, "act_outdated");
        drop(yannick);
    }

    pub(crate) async fn a_bot_that_was_revoked(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        let runner = world.bot("runner").await;
        let mut rule = one_of(&ops[0], "passkey");
        rule["require"]["executor"] = json!("runner");
        world.policy(&ada, "run", &rule).await;
        let asked = bot.ask(&yannick, deploy("api", "production")).await;
        ops[0].expect_push(world, "Approval needed").await;
        ops[0].phone.approve(&asked).await.unwrap();
        let grant = bot.expect_grant(&asked).await;
        world.operator.delete(&format!("/v1/bots/{}", bot.id)).await.unwrap();
        refused(runner.redeem(&grant, &deploy("api", "production")).await, "grant_revoked");
    }

    pub(crate) async fn what_a_policy_cannot_judge(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        let mut strict = two_of_ops();
        strict["match"] = json!({"types": ["deploy"], "params": {"env": ["prod*"], "canary": [true, {"absent": false}]}});
        world.policy(&ada, "prod", &strict).await;
        world.policy(&ada, "any", &one_of(&ops[0], "passkey")).await;
        let action = |params: Value| json!({"type": "deploy", "target": "api", "params": params});
        let refused = |params: Value, param: &'static str, why: &'static str| {
            let (bot, yannick) = (&bot, &yannick);
            async move {
                let error = ask(bot, yannick, action(params)).await.unwrap_err();
                let phoneops::client::Error::Refused(refusal) = &error else { panic!("{error}") };
                assert_eq!((refusal.status, refusal.code.as_str()), (403, "param_unjudgeable"));
                assert_eq!((&refusal.body["policy"], &refusal.body["param"]), (&json!("prod"), &json!(param)));
                assert_eq!(refusal.body["field"], format!("action.params.{param}"));
                assert!(error.to_string().contains(why), "{error}");
            }
        };
        refused(json!({"canary": true}), "env", "it is missing").await;
        refused(json!({"env": ["prod"], "canary": true}), "env", "a list or a map").await;
        refused(json!({"env": 3, "canary": true}), "env", "another kind").await;
        refused(json!({"env": "prod", "canary": "yes"}), "canary", "another kind").await;
        // What settles it settles it, whatever else is missing: another value, or what the policy itself says of a missing one.
        for params in [json!({"env": "dev"}), json!({"canary": false}), json!({"env": "prod"}), json!({})] {
            let asked = bot.ask(&yannick, action(params)).await;
            ops[0].expect_push(world, "Approval needed").await;
            bot.client.delete(&format!("/v1/approvals/{asked}")).await.unwrap();
            ops[0].expect_push(world, "Cancelled").await;
        }
        let trial = json!({"action": action(json!({"canary": true})), "requester": "@yannick", "bot": "heimdall"});
        let told = world.operator.post("/v1/policies/test", &trial).await.unwrap().body;
        assert_eq!(
            (&told["asked"], &told["refused"]),
            (&Value::Null, &json!("policy prod cannot judge the param env: it is missing"))
        );
        let whys = json!([{"name": "prod", "why_not": "it cannot judge the param env: it is missing"},
            {"name": "any", "why_not": "it matches, but prod is stricter and cannot be judged"}]);
        assert_eq!(told["policies"], whys);
        // Nor is it redeemed under a policy that cannot judge it.
        let asked = bot.ask(&yannick, action(json!({"env": "dev"}))).await;
        ops[0].expect_push(world, "Approval needed").await;
        ops[0].phone.approve(&asked).await.unwrap();
        strict["match"]["params"] = json!({"env": ["prod*"], "release": ["*"]});
        strict["match"]["params"]["env"] = json!(["*"]);
        world.policy(&ada, "prod", &strict).await;
        let error = bot.redeem(&bot.expect_grant(&asked).await, &action(json!({"env": "dev"}))).await.unwrap_err();
        assert_eq!(error.code(), Some("grant_policy_changed"));
        assert!(error.to_string().contains("policy prod cannot judge the param release"), "{error}");
    }

    /// Nothing runs for two minutes, in which two groups would have had their turns.
    pub(crate) async fn a_timer_that_rings_late(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        let one = |who: &str| json!({"quorum": 1, "users": [who]});
        let rule = json!({"require": {"groups": [one("@ann"), one("@bea"), one("@cyd")], "expires_in": 60, "delay": 30,
            "on_no_answer": "ask_next_group"}});
        world.policy(&ada, "any", &rule).await;
        let action = deploy("api", "production");
        let asked = bot.ask(&yannick, action.clone()).await;
        ops[0].expect_push(world, "Approval needed").await;
        world.clock.advance(seconds(130));
        ops[1].expect_push(world, "Approval needed").await;
        ops[2].expect_silence(world).await;
        let offered = ops[0].phone.approval(&asked).await.unwrap();
        let at = |after: u64| json!(phoneops::clock::Timestamp::from_seconds(1_800_000_000).after(seconds(after)));
        assert_eq!((&offered["answer_by"], &offered["expires_at"]), (&at(250), &at(280)));
        // A statement from before the end moved is good until the end that it names.
        let early = ops[1].phone.prepare_answer(&asked, Verdict::Approve, None).await.unwrap();
        world.clock.advance(seconds(80));
        ops[2].expect_push(world, "Approval needed").await;
        let held = ops[1].phone.post(&early.path, &early.body).await.unwrap().accepted().unwrap();
        assert_eq!((&held["holds_until"], &held["answer_by"]), (&at(240), &at(270)));
        world.advance(seconds(30)).await;
        let grant = bot.expect_grant(&asked).await;
        for one in &ops {
            one.expect_push(world, "Answered by Bea Example").await;
        }
        bot.redeem(&grant, &action).await.unwrap();
        let signed = bot.client.get(&format!("/v1/approvals/{asked}/receipt")).await.unwrap().body;
        let keys = world.operator.get("/.well-known/jwks.json").await.unwrap().body.to_string();
        let root = phoneops::approvals::receipt::verify::TrustRoot::parse(keys.as_bytes()).unwrap();
        phoneops::approvals::receipt::verify::verify(signed.to_string().as_bytes(), Some(&root), None).unwrap();
        assert_eq!(signed["receipt"]["requirement"]["needs"][0]["any_of"].as_array().unwrap().len(), 3);
    }

    /// An older database is put back under a running node, and goes on from there with other policies.
    pub(crate) async fn other_policies_under_the_same_version(world: &World) {
        let Scene { ada, yannick, ops, bot } = scene(world).await;
        world.policy(&ada, "first", &one_of(&ops[0], "passkey")).await;
        world.db.raw("create table kept as select * from policy_head").await;
        let of_ops = |quorum: u32| json!({"require": {"groups": [{"quorum": quorum, "teams": ["ops"]}]}});
        world.policy(&ada, "second", &of_ops(3)).await;
        refused(ask(&bot, &ops[0], deploy("api", "production")).await, "approvers_unreachable");
        let version = world.db.number("select version from policy_head").await;
        world
            .db
            .raw(
                "delete from policies where name = 'second'; delete from policy_head; \
                      insert into policy_head (id, version, sha256) select id, version, sha256 from kept; drop table kept",
            )
            .await;
        world.policy(&ada, "third", &of_ops(2)).await;
        assert_eq!(world.db.number("select version from policy_head").await, version);
        let asked = bot.ask(&yannick, deploy("api", "production")).await;
        ring(world, &ops).await;
        assert_eq!(bot.approval(&asked).await["policy"]["name"], "third");
        bot.client.delete(&format!("/v1/approvals/{asked}")).await.unwrap();
        for one in &ops {
            one.expect_push(world, "Cancelled").await;
        }
    }

    pub(crate) async fn a_member_who_left(world: &World) {
        let scene = scene(world).await;
        let grant = approved(world, &scene).await;
        world.operator.delete("/v1/teams/ops/members/@ann").await.unwrap();
        refused(scene.bot.redeem(&grant, &deploy("api", "production")).await, "grant_membership_changed");
        let rejoin = world.operator.put("/v1/teams/ops/members/@ann", &json!({})).await.unwrap();
        scene.ada.phone.confirm_act(&rejoin.body).await.unwrap();
        world.operator.delete("/v1/users/@ann").await.unwrap();
        refused(scene.bot.redeem(&grant, &deploy("api", "production")).await, "grant_revoked");
    }
}
