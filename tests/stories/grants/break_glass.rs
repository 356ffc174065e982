//! Break-glass: the operator opens what nobody answers, and nobody is told anything else.

crate::world::stories! {
    nobody_answers_and_the_operator_opens
    anybody_who_is_told_can_stop_it
    what_cannot_be_broken_open
    the_stricter_of_then_and_now
    a_break_glass_that_came_too_late
    what_is_frozen_stays_shut
    a_report_ends_a_break_glass
    the_alarm_is_no_ring
    a_delegate_answered_before_the_glass_was_broken
}

mod stories {
    use phoneops::approvals::receipt::Ended;
    use phoneops::approvals::receipt::verify::{TrustRoot, Verified, verify};
    use phoneops::client::{Error, Reply};
    use phoneops::secret::from_b64u;
    use phoneops::sim::phone::{Factor, Verdict};
    use serde_json::{Value, json};

    use crate::receipts::python;
    use crate::world::{Bot, Person, World, deploy, minutes, phone_refused, refused, seconds};

    const REASON: &str = "nobody answers, and the shop is down";

    async fn break_glass(world: &World, asked: &str) -> Result<Reply, Error> {
        world.operator.post(&format!("/v1/approvals/{asked}/break-glass"), &json!({"reason": REASON})).await
    }

    /// Yannick asks, through heimdall; ada administers. Both have phones that ring.
    async fn cast(world: &World) -> (Person, Person, Bot) {
        let ada = world.administrator("ada", "Ada Byron").await;
        ada.phone.register_push().await.unwrap();
        (world.person("yannick", "Yannick Schutz").await, ada, world.bot("heimdall").await)
    }

    async fn asked(world: &World, bot: &Bot, whom: &Person) -> String {
        asked_on(world, bot, whom, "production").await
    }

    /// Of another target: what is alike does not ring.
    async fn asked_on(world: &World, bot: &Bot, whom: &Person, target: &str) -> String {
        let asked = bot.ask(whom, deploy("api", target)).await;
        whom.expect_push(world, "Approval needed").await;
        asked
    }

    async fn broken(world: &World, bot: &Bot, (yannick, ada): (&Person, &Person)) -> String {
        let asked = asked(world, bot, yannick).await;
        break_glass(world, &asked).await.unwrap();
        for person in [yannick, ada] {
            let push = person.expect_push(world, "Break-glass").await;
            assert!(push.body().contains(REASON) && push.body().contains("operator"), "{}", push.body());
        }
        asked
    }

    async fn receipt(world: &World, bot: &Bot, asked: &str) -> (Value, Verified) {
        let receipt = bot.client.get(&format!("/v1/approvals/{asked}/receipt")).await.unwrap().body;
        let keys = world.operator.get("/.well-known/jwks.json").await.unwrap().body;
        let bytes = receipt.to_string().into_bytes();
        assert_eq!(python::verdict(&bytes, Some(&keys)), "valid");
        let root = TrustRoot::parse(keys.to_string().as_bytes()).unwrap();
        let verified = verify(&bytes, Some(&root), None).unwrap();
        exits(&receipt, &keys, &verified);
        (receipt["receipt"].clone(), verified)
    }

    /// Both programs have an exit code of its own for what nobody approved.
    fn exits(receipt: &Value, keys: &Value, verified: &Verified) {
        let dir = tempfile::tempdir().unwrap();
        let (file, root) = (dir.path().join("receipt.json"), dir.path().join("jwks.json"));
        std::fs::write(&file, receipt.to_string()).unwrap();
        std::fs::write(&root, keys.to_string()).unwrap();
        let ours = || {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_phoneops"));
            command.arg("verify");
            command
        };
        for command in [ours, python::command] {
            let code = |more: &[&str]| {
                let mut command = command();
                let output = command.arg(&file).arg("--issuer-keys").arg(&root).args(more).output().unwrap();
                (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap().to_lowercase())
            };
            let ((plain, said), (allowed, _)) = (code(&[]), code(&["--allow-break-glass"]));
            if verified.break_glass {
                assert_eq!((plain, allowed), (7, 0), "{said}");
                assert!(said.contains("break-glass"), "{said}");
            } else {
                let ended = if verified.state == Ended::Denied { 3 } else { 6 };
                assert_eq!((plain, allowed), (ended, ended), "{said}");
            }
        }
    }

    pub(crate) async fn nobody_answers_and_the_operator_opens(world: &World) {
        let (yannick, ada, heimdall) = cast(world).await;
        let action = deploy("api", "production");
        let asked = asked(world, &heimdall, &yannick).await;
        world.advance(minutes(4)).await;
        let shown = break_glass(world, &asked).await.unwrap().body;
        let until = world.clock.now().after(minutes(15));
        assert_eq!((&shown["state"], &shown["break_glass"]["until"]), (&json!("pending"), &json!(until)));
        assert_eq!(shown["break_glass"]["reason"], REASON);
        for person in [&yannick, &ada] {
            person.expect_push(world, "Break-glass").await;
            assert_eq!(person.phone.inbox().await.unwrap()[0]["break_glass"]["reason"], REASON);
        }
        // A lost reply is asked for again, and changes nothing.
        assert_eq!(break_glass(world, &asked).await.unwrap().body["break_glass"], shown["break_glass"]);
        ada.expect_silence(world).await;
        phone_refused(yannick.phone.approve(&asked).await, "approval_breaks_glass");
        // The time to answer is over, and the wait is not.
        world.advance(seconds(899)).await;
        assert_eq!(heimdall.approval(&asked).await["state"], "pending");
        world.advance(seconds(1)).await;
        let opened = heimdall.approval(&asked).await;
        assert_eq!((&opened["state"], &opened["decision"]), (&json!("approved"), &Value::Null));
        assert_eq!(opened["break_glass"]["reason"], REASON);
        for person in [&yannick, &ada] {
            let titles = person.phone.pushes().await.unwrap();
            assert!(titles.iter().any(|push| push.title() == "Opened by break-glass"), "{titles:?}");
        }
        phone_refused(ada.phone.deny(&asked, None).await, "approval_opened");

        let grant = heimdall.expect_grant(&asked).await;
        let claims: Value = serde_json::from_slice(&from_b64u(grant.split('.').nth(1).unwrap()).unwrap()).unwrap();
        assert_eq!(
            (&claims["acr"], &claims["approvers"], &claims["amr"]),
            (&json!("phoneops:break-glass"), &json!([]), &json!([]))
        );
        let redeemed = heimdall.redeem(&grant, &action).await.unwrap().body;
        let path = format!("/v1/grants/{}/outcome", redeemed["grant"].as_str().unwrap());
        heimdall.client.post(&path, &json!({"outcome": "succeeded"})).await.unwrap();
        let (receipt, verified) = receipt(world, &heimdall, &asked).await;
        assert_eq!((verified.state, verified.break_glass), (Ended::Approved, true));
        assert_eq!((&receipt["break_glass"]["reason"], &receipt["answers"]), (&json!(REASON), &json!([])));
        assert_eq!(world.recorded("approval.break_glass").await, 1);
        let entry = world.journal().await.into_iter().find(|entry| entry["kind"] == "approval.break_glass").unwrap();
        assert_eq!((&entry["actor"]["kind"], &entry["data"]["reason"]), (&json!("operator"), &json!(REASON)));
        drain(world, &[&yannick, &ada]).await;
    }

    /// What is left on the way to phones: cards that were taken off, outcomes.
    async fn drain(world: &World, people: &[&Person]) {
        world.settle().await;
        for person in people {
            while person.phone.next_push(std::time::Duration::from_millis(200)).await.unwrap().is_some() {}
        }
    }

    pub(crate) async fn anybody_who_is_told_can_stop_it(world: &World) {
        let (yannick, ada, heimdall) = cast(world).await;
        // An administrator who could not have answered, after the time to answer; and the requester.
        for (who, after) in [(&ada, minutes(14)), (&yannick, seconds(1))] {
            let asked = broken(world, &heimdall, (&yannick, &ada)).await;
            world.advance(after).await;
            who.phone.answer_with(&asked, Verdict::Deny, Factor::Passkey).await.unwrap();
            let denied = heimdall.approval(&asked).await;
            assert_eq!((&denied["state"], &denied["grant"]), (&json!("denied"), &Value::Null));
            world.advance(minutes(30)).await;
            assert_eq!(heimdall.approval(&asked).await["state"], "denied");
            let (receipt, verified) = receipt(world, &heimdall, &asked).await;
            assert_eq!((verified.state, verified.break_glass), (Ended::Denied, false));
            assert_eq!(receipt["break_glass"]["reason"], REASON);
            drain(world, &[&yannick, &ada]).await;
        }
        // The bot may still withdraw it, and a reason is asked for.
        let asked = broken(world, &heimdall, (&yannick, &ada)).await;
        heimdall.client.delete(&format!("/v1/approvals/{asked}")).await.unwrap();
        assert_eq!(heimdall.approval(&asked).await["state"], "cancelled");
        refused(break_glass(world, &asked).await, "approval_cancelled");
        let path = format!("/v1/approvals/{asked}/break-glass");
        refused(world.operator.post(&path, &json!({"reason": " "})).await, "invalid_request");
        drain(world, &[&yannick, &ada]).await;
    }

    pub(crate) async fn what_cannot_be_broken_open(world: &World) {
        let (yannick, ada, heimdall) = cast(world).await;
        let denied = asked(world, &heimdall, &yannick).await;
        yannick.phone.deny(&denied, None).await.unwrap();
        refused(break_glass(world, &denied).await, "approval_decided");
        // Whoever denied is left alone for a minute.
        world.advance(minutes(1)).await;
        let expired = asked(world, &heimdall, &yannick).await;
        world.advance(minutes(5)).await;
        yannick.expect_push(world, "Expired").await;
        refused(break_glass(world, &expired).await, "approval_expired");
        // Not by a bot, not by an administrator's phone.
        let open = asked(world, &heimdall, &yannick).await;
        let (path, body) = (format!("/v1/approvals/{open}/break-glass"), json!({"reason": REASON}));
        refused(heimdall.client.post(&path, &body).await, "forbidden");
        phone_refused(ada.phone.post(&path, &body).await.unwrap().accepted(), "forbidden");
        heimdall.client.delete(&format!("/v1/approvals/{open}")).await.unwrap();
        drain(world, &[&yannick, &ada]).await;
        // What enough people have approved takes effect by itself.
        let rule = json!({"match": {}, "require": {"requester": true, "delay": 1200}});
        world.policy(&ada, "slow", &rule).await;
        let held = asked(world, &heimdall, &yannick).await;
        yannick.phone.approve(&held).await.unwrap();
        refused(break_glass(world, &held).await, "approval_holds");
        // And a break-glass waits no less than the policy would.
        let slow = broken(world, &heimdall, (&yannick, &ada)).await;
        let until = world.clock.now().after(minutes(20));
        assert_eq!(heimdall.approval(&slow).await["break_glass"]["until"], json!(until));
        yannick.phone.deny(&slow, None).await.unwrap();
        yannick.phone.deny(&held, None).await.unwrap();
        drain(world, &[&yannick, &ada]).await;
    }

    pub(crate) async fn the_stricter_of_then_and_now(world: &World) {
        let (yannick, ada, heimdall) = cast(world).await;
        let forbids = json!({"match": {}, "require": {"requester": true, "break_glass": false}});
        let before = asked_on(world, &heimdall, &yannick, "staging").await;
        let opening = broken(world, &heimdall, (&yannick, &ada)).await;
        assert_eq!(world.operator.put("/v1/policies/closed", &forbids).await.unwrap().status, 200, "it is stricter");
        refused(break_glass(world, &before).await, "break_glass_forbidden");
        let after = asked_on(world, &heimdall, &yannick, "test").await;
        refused(break_glass(world, &after).await, "break_glass_forbidden");
        world.advance(minutes(15)).await;
        let grant = heimdall.expect_grant(&opening).await;
        refused(heimdall.redeem(&grant, &deploy("api", "production")).await, "grant_policy_changed");
        assert_eq!(world.recorded("grant.redeemed").await, 0);
        // Allowing it again weakens.
        let allows = json!({"match": {}, "require": {"requester": true}});
        assert_eq!(world.operator.put("/v1/policies/closed", &allows).await.unwrap().status, 202);
        drain(world, &[&yannick, &ada]).await;
    }

    pub(crate) async fn a_break_glass_that_came_too_late(world: &World) {
        let (yannick, ada, heimdall) = cast(world).await;
        // However long the request itself may be answered.
        world.policy(&ada, "long", &json!({"match": {}, "require": {"requester": true, "expires_in": 3600}})).await;
        let asked = broken(world, &heimdall, (&yannick, &ada)).await;
        // Nobody rang the timer for half an hour: whoever broke the glass then is not looking any more.
        world.clock.advance(minutes(31));
        world.settle().await;
        assert_eq!(heimdall.approval(&asked).await["state"], "expired");
        drain(world, &[&yannick, &ada]).await;
    }

    async fn report(who: &Person, asked: &str) {
        who.phone.answer_with(asked, Verdict::Report, Factor::Passkey).await.expect("the report is taken");
    }

    pub(crate) async fn what_is_frozen_stays_shut(world: &World) {
        let (yannick, ada, heimdall) = cast(world).await;
        let opened = broken(world, &heimdall, (&yannick, &ada)).await;
        world.advance(minutes(15)).await;
        let grant = heimdall.expect_grant(&opened).await;
        drain(world, &[&yannick, &ada]).await;
        let breaking = broken(world, &heimdall, (&yannick, &ada)).await;
        let reported = asked_on(world, &heimdall, &yannick, "staging").await;
        report(&yannick, &reported).await;
        world.settle().await;
        let cancelled = heimdall.approval(&breaking).await;
        assert_eq!((&cancelled["state"], &cancelled["cancelled_because"]), (&json!("cancelled"), &json!("frozen")));
        assert_eq!(receipt(world, &heimdall, &breaking).await.1.state, Ended::Cancelled);
        // What was open before is not redeemed while it is frozen.
        refused(heimdall.redeem(&grant, &deploy("api", "production")).await, "frozen");
        world.advance(minutes(15)).await;
        assert_eq!(heimdall.approval(&breaking).await["state"], "cancelled", "its timer opens nothing");
        world.lift(&ada).await;
        drain(world, &[&yannick, &ada]).await;
        // As if it had been asked for in the very moment of another report.
        let asked = asked_on(world, &heimdall, &yannick, "test").await;
        let freeze = "insert into freezes (id, bot_id, approval_id, frozen_by, frozen_at)
            select id, bot_id, id, requester_id, 0 from approvals where state = 'pending'";
        world.db.raw(freeze).await;
        refused(break_glass(world, &asked).await, "frozen");
        assert_eq!(heimdall.approval(&asked).await["break_glass"], Value::Null);
        assert_eq!(yannick.phone.deny(&asked, None).await.unwrap()["state"], "denied");
        drain(world, &[&yannick, &ada]).await;
    }

    pub(crate) async fn a_report_ends_a_break_glass(world: &World) {
        let (yannick, ada, heimdall) = cast(world).await;
        let asked = broken(world, &heimdall, (&yannick, &ada)).await;
        // By an administrator, who was only told.
        report(&ada, &asked).await;
        ada.expect_push(world, "Frozen: heimdall for Yannick Schutz (@yannick)").await;
        world.advance(minutes(30)).await;
        let denied = heimdall.approval(&asked).await;
        assert_eq!((&denied["state"], &denied["grant"]), (&json!("denied"), &Value::Null));
        assert_eq!(world.recorded("approval.frozen").await, 1);
        assert_eq!(receipt(world, &heimdall, &asked).await.1.state, Ended::Denied);
        drain(world, &[&yannick, &ada]).await;
    }

    const RINGS: &str = "select count(*) from doorbells where rung_at is not null";

    /// Whoever is left alone, has been folded or has approved hears the alarm and has it in the inbox; nobody's budget is used up.
    pub(crate) async fn the_alarm_is_no_ring(world: &World) {
        let (yannick, ada, heimdall) = cast(world).await;
        let [ann, bea, cyd] =
            [("ann", "Ann"), ("bea", "Bea"), ("cyd", "Cyd")].map(|(handle, name)| (handle, format!("{name} Example")));
        let (ann, bea) = (world.person(ann.0, &ann.1).await, world.person(bea.0, &bea.1).await);
        let cyd = world.person(cyd.0, &cyd.1).await;
        world.team("ops", &[&ann, &bea, &cyd]).await;
        world.policy(&ada, "two", &json!({"require": {"groups": [{"quorum": 2, "teams": ["ops"]}], "expires_in": 300}})).await;
        let everybody = [&yannick, &ada, &ann, &bea, &cyd];
        let denied = heimdall.ask(&yannick, deploy("api", "production")).await;
        for person in [&ann, &bea, &cyd] {
            person.expect_push(world, "Approval needed").await;
        }
        ann.phone.deny(&denied, None).await.unwrap();
        drain(world, &everybody).await;
        // Ann is left alone; Bea is rung and approves; the next one rings at Bea, and is folded at Cyd.
        let first = heimdall.ask(&yannick, deploy("web", "production")).await;
        bea.expect_push(world, "Approval needed").await;
        cyd.expect_push(world, "Approval needed").await;
        ann.expect_silence(world).await;
        bea.phone.approve(&first).await.unwrap();
        assert_eq!(bea.phone.inbox().await.unwrap().len(), 0);
        let folded = heimdall.ask(&yannick, deploy("db", "production")).await;
        bea.expect_push(world, "Approval needed").await;
        drain(world, &everybody).await;

        let rings = world.db.number(RINGS).await;
        for asked in [&first, &folded] {
            break_glass(world, asked).await.unwrap();
            for person in everybody {
                person.expect_push(world, "Break-glass").await;
                let inbox = person.phone.inbox().await.unwrap();
                assert!(inbox.iter().any(|approval| approval["id"] == **asked), "{inbox:?}");
            }
        }
        assert_eq!(world.db.number(RINGS).await, rings, "an alarm uses up no budget");
        // What was folded has been told of, and does not ring by itself once the other is over.
        heimdall.client.delete(&format!("/v1/approvals/{first}")).await.unwrap();
        world.settle().await;
        let needed = |person: &Person| {
            let phone = person.phone.clone();
            async move { phone.pushes().await.unwrap().iter().filter(|push| push.title() == "Approval needed").count() }
        };
        assert_eq!((needed(&ann).await, needed(&bea).await, needed(&cyd).await), (1, 3, 2));
        assert_eq!((world.db.number(RINGS).await, world.recorded("approval.rung").await), (rings, 0));
        // Bea has approved the first, which does not keep her from stopping the second.
        bea.phone.deny(&folded, None).await.unwrap();
        assert_eq!(heimdall.approval(&folded).await["state"], "denied");
        drain(world, &everybody).await;
    }

    /// Its statement ends earlier than the request does in the end, and names whom it is for.
    pub(crate) async fn a_delegate_answered_before_the_glass_was_broken(world: &World) {
        let (yannick, ada, heimdall) = cast(world).await;
        let (ann, bea) = (world.person("ann", "Ann Example").await, world.person("bea", "Bea Example").await);
        let dan = world.person("dan", "Dan Example").await;
        world.team("ops", &[&ann, &bea]).await;
        world.policy(&ada, "two", &json!({"require": {"groups": [{"quorum": 2, "teams": ["ops"]}]}})).await;
        let until = world.clock.now().after(minutes(60));
        let act = ann.phone.put("/v1/me/away", &json!({"until": until, "delegate": "@dan"})).await.unwrap();
        ann.phone.confirm_act(&act.body).await.unwrap();
        let asked = heimdall.ask(&yannick, deploy("api", "production")).await;
        dan.expect_push(world, "Approval needed").await;
        dan.phone.approve(&asked).await.unwrap();
        let shown = break_glass(world, &asked).await.unwrap().body;
        // Who is away is not told: whoever answers for them is.
        ann.expect_silence(world).await;
        dan.expect_push(world, "Break-glass").await;
        world.advance(minutes(15)).await;
        let grant = heimdall.expect_grant(&asked).await;
        heimdall.redeem(&grant, &deploy("api", "production")).await.unwrap();
        let (receipt, verified) = receipt(world, &heimdall, &asked).await;
        assert_eq!((verified.state, verified.break_glass), (Ended::Approved, true));
        let answer = &receipt["answers"][0];
        assert_eq!(answer["for"], json!([receipt["requirement"]["delegations"][0]["for"]]));
        let statement: Value = serde_json::from_str(answer["statement"].as_str().unwrap()).unwrap();
        assert_eq!(statement["expires_at"], receipt["break_glass"]["expires_at"]);
        assert_eq!(receipt["approval"]["expires_at"], shown["expires_at"]);
        assert_ne!(statement["expires_at"], shown["expires_at"]);
        drain(world, &[&yannick, &ada, &dan, &bea]).await;
    }
}
