//! Break-glass: the operator opens what nobody answers, and nobody is told anything else.

crate::world::stories! {
    nobody_answers_and_the_operator_opens
    anybody_who_is_told_can_stop_it
    what_cannot_be_broken_open
    the_stricter_of_then_and_now
    a_break_glass_that_came_too_late
}

mod stories {
    use phoneops::approvals::receipt::Ended;
    use phoneops::approvals::receipt::verify::{TrustRoot, Verified, verify};
    use phoneops::client::{Error, Reply};
    use phoneops::secret::from_b64u;
    use phoneops::sim::phone::{Factor, Verdict};
    use serde_json::{Value, json};

    use crate::python;
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
        let asked = bot.ask(whom, deploy("api", "production")).await;
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
        exits(&receipt, &keys, verified.break_glass);
        (receipt["receipt"].clone(), verified)
    }

    /// Both programs have an exit code of its own for what nobody approved.
    fn exits(receipt: &Value, keys: &Value, opened: bool) {
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
            if opened {
                assert_eq!((plain, allowed), (7, 0), "{said}");
                assert!(said.contains("break-glass"), "{said}");
            } else {
                assert_eq!((plain, allowed), (3, 3), "{said}");
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
        let before = asked(world, &heimdall, &yannick).await;
        let opening = broken(world, &heimdall, (&yannick, &ada)).await;
        assert_eq!(world.operator.put("/v1/policies/closed", &forbids).await.unwrap().status, 200, "it is stricter");
        refused(break_glass(world, &before).await, "break_glass_forbidden");
        let after = asked(world, &heimdall, &yannick).await;
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
        let asked = broken(world, &heimdall, (&yannick, &ada)).await;
        // Nobody rang the timer for half an hour: whoever broke the glass then is not looking any more.
        world.clock.advance(minutes(31));
        world.settle().await;
        assert_eq!(heimdall.approval(&asked).await["state"], "expired");
        drain(world, &[&yannick, &ada]).await;
    }
}
