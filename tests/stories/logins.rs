//! Devices that ask to be somebody's without a code, told as stories: the person's phone decides, and is not to be bombed.

crate::world::stories! {
    a_command_line_becomes_a_device
    nobody_is_asked_who_could_not_confirm
    a_person_is_not_rung_again_and_again
    a_request_whose_reply_was_lost
    a_proof_is_for_its_person_and_device
    a_command_line_does_not_approve
    where_it_called_from_is_shown
}

mod stories {
    use std::sync::Arc;

    use phoneops::sim::phone::{Factor, Phone, Verdict};
    use serde_json::json;

    use crate::world::raw::{As, Raw};
    use crate::world::{Person, World, deploy, minutes, phone_refused};

    /// A command line that asks to be `person`'s, whose phone rings for it.
    async fn asks(world: &World, person: &Person) -> Arc<Phone> {
        let cli = world.blank_phone();
        let asked = cli.ask_to_join("cli", &person.handle, "yannick's laptop").await.expect("it may ask");
        assert_eq!(asked["device"]["state"], "waiting");
        person.expect_push(world, "Somebody signs in as you").await;
        cli
    }

    async fn confirm(person: &Person, cli: &Phone) {
        person.phone.confirm_device(&cli.device_id().unwrap(), &cli.match_number()).await.expect("it is confirmed");
    }

    pub(crate) async fn a_command_line_becomes_a_device(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let cli = asks(world, &yannick).await;
        phone_refused(cli.sign_in().await, "device_waiting");
        let listed = yannick.phone.devices().await.unwrap();
        assert_eq!((&listed[1]["via"], &listed[1]["address"]), (&json!("login"), &json!("127.0.0.1")));
        confirm(&yannick, &cli).await;
        yannick.expect_push(world, "A new device joined").await;
        let me = cli.get("/v1/me").await.unwrap().accepted().unwrap();
        assert_eq!((&me["user"]["handle"], &me["device"]["platform"]), (&json!("yannick"), &json!("cli")));
        for (kind, times) in [("device.waiting", 1), ("device.confirmed", 1), ("device.enrolled", 2)] {
            assert_eq!(world.recorded(kind).await, times, "{kind}");
        }
    }

    pub(crate) async fn nobody_is_asked_who_could_not_confirm(world: &World) {
        world.operator.post("/v1/users", &json!({"handle": "ys", "name": "Ys Example"})).await.unwrap();
        for nobody in ["@nobody", "@ys"] {
            phone_refused(world.blank_phone().ask_to_join("cli", nobody, "A laptop").await, "login_refused");
        }
        let left = world.newcomer("ann", "Ann Example").await;
        world.operator.delete("/v1/users/@ann").await.unwrap();
        phone_refused(world.blank_phone().ask_to_join("cli", &left.handle, "A laptop").await, "login_refused");
    }

    pub(crate) async fn a_person_is_not_rung_again_and_again(world: &World) {
        let (yannick, ys) = (world.person("yannick", "Yannick Schutz").await, world.person("ys", "Ys Example").await);
        asks(world, &yannick).await;
        phone_refused(world.blank_phone().ask_to_join("cli", "@yannick", "A laptop").await, "login_busy");
        // Others are none the worse for it, and neither is a device with a code.
        asks(world, &ys).await;
        let tablet = world.waiting_phone(&yannick).await;
        yannick.phone.reject_device(&tablet.device_id().unwrap()).await.unwrap();
        for _ in 0..2 {
            world.advance(minutes(10)).await;
            asks(world, &yannick).await;
        }
        world.advance(minutes(10)).await;
        phone_refused(world.blank_phone().ask_to_join("cli", "@yannick", "A laptop").await, "login_busy");
        yannick.expect_silence(world).await;

        world.advance(minutes(30)).await;
        let thief = asks(world, &yannick).await;
        yannick.phone.reject_device(&thief.device_id().unwrap()).await.unwrap();
        phone_refused(thief.sign_in().await, "invalid_grant");
        world.advance(minutes(59)).await;
        phone_refused(world.blank_phone().ask_to_join("cli", "@yannick", "A laptop").await, "login_busy");
        world.advance(minutes(1)).await;
        asks(world, &yannick).await;
    }

    pub(crate) async fn a_request_whose_reply_was_lost(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let cli = asks(world, &yannick).await;
        let again = cli.ask_to_join("cli", "@yannick", "yannick's laptop").await.unwrap();
        assert_eq!(again["device"]["id"], cli.device_id().unwrap().as_str());
        yannick.expect_silence(world).await;
        world.advance(minutes(10)).await;
        phone_refused(cli.ask_to_join("cli", "@yannick", "yannick's laptop").await, "device_key_taken");
        phone_refused(yannick.phone.ask_to_join("cli", "@yannick", "A phone").await, "device_key_taken");
    }

    pub(crate) async fn a_proof_is_for_its_person_and_device(world: &World) {
        let raw = Raw::new(world);
        world.person("yannick", "Yannick Schutz").await;
        let phone = world.blank_phone();
        let good = phone.prepare_login("cli", "@yannick", "A laptop").unwrap();
        for (at, other, reason) in [
            ("/user", json!("@ys"), "user_wrong"),
            ("/device/name", json!("Another"), "device_wrong"),
            ("/device/platform", json!("ios"), "device_wrong"),
            (
                "/device_key",
                world.blank_phone().prepare_login("cli", "@yannick", "x").unwrap()["device_key"].clone(),
                "signature_invalid",
            ),
        ] {
            let mut body = good.clone();
            *body.pointer_mut(at).unwrap() = other;
            let seen = raw.post(As::Nobody, "/v1/logins", &body).await.expect_refusal(401, "invalid_grant");
            assert_eq!(seen.body["reason"], reason);
        }
        world.advance(minutes(3)).await;
        let seen = raw.post(As::Nobody, "/v1/logins", &good).await.expect_refusal(401, "invalid_grant");
        assert_eq!(seen.body["reason"], "iat_stale");
    }

    pub(crate) async fn a_command_line_does_not_approve(world: &World) {
        let ada = world.administrator("ada", "Ada Byron").await;
        let (yannick, bot) = (world.person("yannick", "Yannick Schutz").await, world.bot("heimdall").await);
        let rule = json!({"match": {}, "require": {"requester": true, "factor": "tap"}});
        world.policy(&ada, "taps", &rule).await;
        let cli = asks(world, &yannick).await;
        confirm(&yannick, &cli).await;
        yannick.expect_push(world, "A new device joined").await;
        let asked = bot.ask(&yannick, deploy("api", "production")).await;
        yannick.expect_push(world, "Approval needed").await;
        for factor in [Factor::Tap, Factor::Code("123456")] {
            phone_refused(cli.prepare_answer_with(&asked, Verdict::Approve, factor, None).await, "key_in_file");
        }
        let denial = cli.prepare_answer_with(&asked, Verdict::Deny, Factor::Tap, Some("not now")).await.unwrap();
        let denied = cli.post(&denial.path, &denial.body).await.unwrap().accepted().unwrap();
        assert_eq!(denied["state"], "denied");
        yannick.expect_push(world, "Answered by Yannick Schutz").await;
    }

    pub(crate) async fn where_it_called_from_is_shown(world: &World) {
        let raw = Raw::new(world);
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let body = world.blank_phone().prepare_login("cli", "@yannick", "A laptop").unwrap();
        // No proxy is trusted here, so that nobody says where they are.
        let shot = raw.shot(As::Nobody, "POST", "/v1/logins").json(&body).header("x-forwarded-for", "203.0.113.9");
        assert_eq!(shot.fire().await.expect(201).body["device"]["address"], "127.0.0.1");
        let push = yannick.expect_push(world, "Somebody signs in as you").await;
        assert!(push.body().contains("A laptop (from 127.0.0.1)"), "{push:?}");
    }
}
