//! How people want to be paged: quiet hours, e-mail, filters, storms, what can wait, and who is there when the first is not.

crate::world::stories! {
    quiet_hours_put_off_what_can_wait
    a_filter_passes_over_to_the_next_step
    a_storm_of_twelve_is_one_card
    a_storm_that_goes_on_to_the_next_step_says_so
    what_can_wait_comes_together
    what_was_put_together_waits_for_the_end_of_quiet_hours
    the_second_device_and_then_the_second_person
    a_storm_nobody_can_hear_goes_on_to_the_next_person
    who_is_ready
    rules_are_ones_own
}

mod by_mail {
    crate::support::engines! { an_email_comes_after_its_minutes }

    async fn an_email_comes_after_its_minutes(db: crate::support::TestDb) {
        // Nobody listens there: what counts is that it was written.
        let mail = [("PHONEOPS_MAIL_SERVER", "smtp://127.0.0.1:1"), ("PHONEOPS_MAIL_FROM", "phoneops@example.com")];
        let world = crate::world::World::start_with(db, &mail).await;
        crate::rules::stories::an_email_comes_after_its_minutes(&world).await;
        world.end().await;
    }
}

mod stories {
    use phoneops::db::Engine;
    use phoneops::sim::push_service::Fault;
    use serde_json::{Value, json};

    use crate::world::raw::{As, Raw};
    use crate::world::{Bot, Person, World, expect_push, minutes, seconds};

    const GONE: Fault = Fault::Status { status: 410, retry_after: None };

    /// A service of a team with these people, whose policy rings one after the other for ten minutes each.
    async fn service(world: &World, name: &str, people: &[&Person]) {
        world.team(name, people).await;
        let id = |kind: u32| {
            let hex = format!("{kind:08x}{:024x}", name.bytes().fold(7_u64, |sum, byte| sum * 31 + u64::from(byte)));
            if world.db.engine() == Engine::Lite { format!("x'{hex}'") } else { format!("'{hex}'::uuid") }
        };
        let step = |person: &&Person| json!({"targets": [person.phone.user_id().unwrap()], "escalate_after": 600});
        let steps = Value::from(people.iter().map(step).collect::<Vec<_>>());
        let policy = id(1);
        world
            .db
            .raw(&format!(
                "insert into escalation_policies (id, name, steps, repeats, last_resort, created_at)
                 values ({policy}, '{name}', '{steps}', 0, '[]', 0)"
            ))
            .await;
        world
            .db
            .raw(&format!(
                "insert into services (id, name, team_id, policy_id, settings, created_at)
                 select {}, '{name}', id, {policy}, '{{}}', 0 from teams where name = '{name}'",
                id(2)
            ))
            .await;
    }

    async fn rules(person: &Person, rules: Value) {
        let set = person.phone.put("/v1/me/paging-rules", &rules).await.unwrap();
        assert_eq!(set.status, 200, "{}", set.body);
    }

    /// Pages `to`; what was answered.
    async fn page(bot: &Bot, to: &str, title: &str, urgency: &str) -> Value {
        let body = json!({"title": title, "to": [to], "urgency": urgency});
        bot.client.post("/v1/incidents", &body).await.unwrap().body
    }

    fn reference(paged: &Value) -> String {
        paged["ref"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn quiet_hours_put_off_what_can_wait(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let heimdall = world.bot("heimdall").await;
        // It is Friday, eight o'clock.
        rules(&yannick, json!({"quiet_hours": {"zone": "UTC", "hours": ["fri 07:00-09:00"]}})).await;
        let waits = page(&heimdall, "@yannick", "The disk fills up", "low").await;
        assert_eq!((&waits["paged"], &waits["unreachable"]), (&json!([]), &json!([])), "{waits}");
        assert_eq!(waits["rings_at"], "2027-01-15T09:00:00Z");
        assert_eq!(world.recorded("incident.put_off").await, 1);

        let urgent = page(&heimdall, "@yannick", "All your apps are down", "high").await;
        yannick.expect_push(world, "All your apps are down").await;
        yannick.phone.resolve(&reference(&urgent)).await.unwrap();

        world.advance(minutes(59)).await;
        yannick.expect_silence(world).await;
        world.advance(minutes(1)).await;
        let push = yannick.expect_push(world, "The disk fills up").await;
        assert_eq!(push.urgency, "normal", "it wakes nobody");
        world.advance(minutes(1)).await;
        yannick.expect_silence(world).await;
        yannick.phone.resolve(&reference(&waits)).await.unwrap();
    }

    pub(crate) async fn an_email_comes_after_its_minutes(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let said = world.operator.put("/v1/users/@yannick/email", &json!({"email": "yannick@example.com"})).await.unwrap();
        assert!(said.status < 300, "{}", said.body);
        service(world, "api", &[&yannick]).await;
        let heimdall = world.bot("heimdall").await;
        rules(&yannick, json!({"high": {"ways": [{"way": "loud"}, {"after_minutes": 3, "way": "email"}], "repeat_minutes": 2}}))
            .await;
        let paged = page(&heimdall, "service:api", "All your apps are down", "high").await;
        for minute in 0..5 {
            if minute % 2 == 0 {
                yannick.expect_push(world, "All your apps are down").await;
            }
            yannick.expect_silence(world).await;
            let mails = world.db.number("select count(*) from attempts where channel = 'mail'").await;
            assert_eq!(mails, i64::from(minute >= 3), "after {minute} minutes");
            world.advance(minutes(1)).await;
        }
        yannick.phone.resolve(&reference(&paged)).await.unwrap();
    }

    pub(crate) async fn a_filter_passes_over_to_the_next_step(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let zoe = world.person("zoe", "Zoe Example").await;
        service(world, "api", &[&yannick, &zoe]).await;
        let heimdall = world.bot("heimdall").await;
        rules(&yannick, json!({"only": [{"services": ["web"]}]})).await;

        let paged = page(&heimdall, "service:api", "The API is down", "high").await;
        assert_eq!(paged["paged"][0]["handle"], "zoe");
        zoe.expect_push(world, "The API is down").await;
        yannick.expect_silence(world).await;
        let over: Vec<_> = world.journal().await.into_iter().filter(|entry| entry["kind"] == "person.passed_over").collect();
        assert_eq!((over.len(), &over[0]["data"]["rule"]), (1, &json!("only")));
        assert_eq!(over[0]["data"]["user"], yannick.phone.user_id().unwrap());

        // Nobody answers: at the last resort everybody rings, whatever they asked for.
        for _ in 0..9 {
            world.advance(minutes(1)).await;
            zoe.expect_push(world, "The API is down").await;
        }
        yannick.expect_silence(world).await;
        world.advance(minutes(1)).await;
        zoe.expect_push(world, "The API is down").await;
        yannick.expect_push(world, "The API is down").await;
        yannick.phone.resolve(&reference(&paged)).await.unwrap();
        zoe.expect_push(world, "Resolved by Yannick Schutz").await;

        // A page that names a person is for that person.
        let named = heimdall.page(&yannick, "Look at this").await;
        yannick.expect_push(world, "Look at this").await;
        yannick.phone.resolve(&named).await.unwrap();
    }

    pub(crate) async fn a_storm_of_twelve_is_one_card(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        service(world, "api", &[&yannick]).await;
        let heimdall = world.bot("heimdall").await;
        let mut open = Vec::new();
        for number in 1..=12 {
            open.push(reference(&page(&heimdall, "service:api", &format!("Host {number} is down"), "high").await));
            match number {
                1..=3 => drop(yannick.expect_push(world, &format!("Host {number} is down")).await),
                4 => drop(yannick.expect_push(world, "4 incidents on api").await),
                _ => yannick.expect_silence(world).await,
            }
        }
        let rang = world.clock.now();
        world.advance(seconds(14)).await;
        yannick.expect_silence(world).await;
        world.advance(seconds(1)).await;
        let counted = yannick.expect_push(world, "12 incidents on api").await;
        assert_eq!(counted.body(), "Host 12 is down; Host 11 is down; Host 10 is down; and 9 more");
        assert!(
            counted.data()["subject"].as_str().unwrap().starts_with("bun_")
                && counted.navigate().ends_with("/incidents?team=api")
        );
        let shown = yannick.phone.shown().await.unwrap();
        assert_eq!(
            shown.iter().filter(|push| push.title().contains("incidents on api")).count(),
            1,
            "the count stands in its place"
        );
        assert_eq!(world.recorded("incident.folded").await, 12);
        let late = "select count(*) from bundle_incidents where counted_at is null or counted_at > folded_at + 15000000";
        assert_eq!(world.db.number(late).await, 0, "every one is counted by a push within 15 seconds");

        // All twelve ring again, and the phone once.
        world.advance(seconds(45)).await;
        assert_eq!(rang.until(world.clock.now()), seconds(60));
        let again = yannick.expect_push(world, "12 incidents on api").await;
        assert_ne!(again.tag(), counted.tag(), "it rings again");
        yannick.expect_silence(world).await;

        for reference in &open[..11] {
            yannick.phone.acknowledge(reference).await.unwrap();
        }
        world.advance(seconds(60)).await;
        yannick.expect_push(world, "1 incidents on api").await;
        yannick.phone.acknowledge(&open[11]).await.unwrap();
        world.advance(minutes(5)).await;
        yannick.expect_silence(world).await;

        let next = page(&heimdall, "service:api", "One more host is down", "high").await;
        yannick.expect_push(world, "One more host is down").await;
        open.push(reference(&next));
        for reference in &open {
            yannick.phone.resolve(reference).await.unwrap();
        }
    }

    pub(crate) async fn a_storm_that_goes_on_to_the_next_step_says_so(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        service(world, "api", &[&yannick]).await;
        let step = |seconds: u32| json!({"targets": [yannick.phone.user_id().unwrap()], "escalate_after": seconds});
        let steps = json!([step(80), step(600)]);
        world.db.raw(&format!("update escalation_policies set steps = '{steps}'")).await;
        let heimdall = world.bot("heimdall").await;
        let mut open = Vec::new();
        for number in 1..=4 {
            open.push(reference(&page(&heimdall, "service:api", &format!("Host {number} is down"), "high").await));
            let title = if number < 4 { format!("Host {number} is down") } else { "4 incidents on api".to_owned() };
            yannick.expect_push(world, &title).await;
        }
        world.advance(seconds(60)).await;
        let rang = yannick.expect_push(world, "4 incidents on api").await;
        world.advance(seconds(19)).await;
        yannick.expect_silence(world).await;
        // The second step begins, 20 seconds after the storm rang: it is not told a ring late.
        world.advance(seconds(1)).await;
        let goes_on = yannick.expect_push(world, "4 incidents on api").await;
        assert_eq!(goes_on.tag(), rang.tag(), "all four of them, once, and where the card stands");
        yannick.expect_silence(world).await;
        for reference in &open {
            yannick.phone.resolve(reference).await.unwrap();
        }
    }

    pub(crate) async fn what_was_put_together_waits_for_the_end_of_quiet_hours(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        service(world, "api", &[&yannick]).await;
        let heimdall = world.bot("heimdall").await;
        // It is Friday, eight o'clock; what comes before two minutes past would be told at five past.
        rules(&yannick, json!({"quiet_hours": {"zone": "UTC", "hours": ["fri 08:02-09:00"]}})).await;
        let mut open = Vec::new();
        for number in 1..=2 {
            open.push(reference(&page(&heimdall, "service:api", &format!("Disk {number} fills up"), "low").await));
        }
        world.advance(minutes(59)).await;
        yannick.expect_silence(world).await;
        world.advance(minutes(1)).await;
        yannick.expect_push(world, "2 low-urgency incidents").await;
        for reference in &open {
            yannick.phone.resolve(reference).await.unwrap();
        }
    }

    pub(crate) async fn what_can_wait_comes_together(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        service(world, "api", &[&yannick]).await;
        let heimdall = world.bot("heimdall").await;
        let mut open = Vec::new();
        for number in 1..=5 {
            open.push(reference(&page(&heimdall, "service:api", &format!("Disk {number} fills up"), "low").await));
            world.advance(seconds(50)).await;
        }
        yannick.expect_silence(world).await;
        world.advance(seconds(50)).await;
        let push = yannick.expect_push(world, "5 low-urgency incidents").await;
        assert_eq!(
            (push.urgency.as_str(), push.body()),
            ("normal", "Disk 5 fills up; Disk 4 fills up; Disk 3 fills up; and 2 more")
        );
        assert_eq!(world.recorded("incident.folded").await, 5);

        for reference in &open {
            yannick.phone.resolve(reference).await.unwrap();
        }
        let alone = page(&heimdall, "service:api", "A certificate ends soon", "low").await;
        world.advance(minutes(5)).await;
        yannick.expect_push(world, "A certificate ends soon").await;
        yannick.phone.resolve(&reference(&alone)).await.unwrap();
        world.advance(minutes(10)).await;
        yannick.expect_silence(world).await;
    }

    pub(crate) async fn the_second_device_and_then_the_second_person(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let zoe = world.person("zoe", "Zoe Example").await;
        let tablet = world.another_phone(&yannick).await;
        tablet.register_push().await.unwrap();
        service(world, "api", &[&yannick, &zoe]).await;
        let heimdall = world.bot("heimdall").await;
        let gone = |phone: &phoneops::sim::phone::Phone| {
            world.push_service.script(&phone.subscription_id().unwrap(), GONE, 1).unwrap();
        };
        gone(&yannick.phone);
        let paged = page(&heimdall, "service:api", "The API is down", "high").await;
        expect_push(&tablet, world, "The API is down").await;
        zoe.expect_silence(world).await;
        gone(&tablet);
        world.advance(minutes(1)).await;
        zoe.expect_push(world, "The API is down").await;
        zoe.phone.resolve(&reference(&paged)).await.unwrap();
    }

    pub(crate) async fn a_storm_nobody_can_hear_goes_on_to_the_next_person(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let zoe = world.person("zoe", "Zoe Example").await;
        service(world, "api", &[&yannick, &zoe]).await;
        let heimdall = world.bot("heimdall").await;
        let mut open = Vec::new();
        for number in 1..=3 {
            open.push(reference(&page(&heimdall, "service:api", &format!("Host {number} is down"), "high").await));
            yannick.expect_push(world, &format!("Host {number} is down")).await;
        }
        world.push_service.script(&yannick.phone.subscription_id().unwrap(), GONE, 1).unwrap();
        open.push(reference(&page(&heimdall, "service:api", "Host 4 is down", "high").await));
        world.settle().await;
        zoe.expect_push(world, "Host 4 is down").await;
        for reference in &open {
            zoe.phone.resolve(reference).await.unwrap();
        }
        world.settle().await;
    }

    pub(crate) async fn who_is_ready(world: &World) {
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let zoe = world.person("zoe", "Zoe Example").await;
        world.person("ys", "Ys Example").await;
        service(world, "api", &[&yannick, &zoe]).await;
        let ready = async || {
            let listed = world.operator.get("/v1/readiness").await.unwrap().body;
            let of = |responder: &Value| (responder["user"]["handle"].as_str().unwrap().to_owned(), responder["ready"] == true);
            listed["responders"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
        };
        let all =
            |yannick: bool| [("yannick", yannick), ("ys", false), ("zoe", false)].map(|(who, is)| (who.to_owned(), is)).to_vec();
        assert_eq!(ready().await, all(false));
        yannick.phone.post("/v1/me/test-page", &json!({})).await.unwrap();
        yannick.expect_push(world, "Test page").await;
        assert_eq!(ready().await, all(true), "a phone of theirs said that it came");
        let body = world.operator.get("/v1/users/@yannick").await.unwrap().body;
        assert!(body["ready"] == true && body["heard_at"].is_string(), "{body}");
        world.advance(minutes(30 * 24 * 60 + 60)).await;
        assert_eq!(ready().await, all(false), "that was too long ago");
    }

    pub(crate) async fn rules_are_ones_own(world: &World) {
        let raw = Raw::new(world);
        let yannick = world.person("yannick", "Yannick Schutz").await;
        let ada = raw.person("ada", "admin").await;
        let mine = yannick.phone.get("/v1/me/paging-rules").await.unwrap().body;
        assert_eq!(mine["high"]["ways"][0], json!({"after_minutes": 0, "way": "loud"}), "{mine}");
        let wrong = json!({"high": {"ways": [{"after_minutes": 1, "way": "loud"}]}});
        let refused = yannick.phone.put("/v1/me/paging-rules", &wrong).await.unwrap();
        assert_eq!((refused.status, &refused.body["field"]), (400, &json!("high.ways")), "{}", refused.body);
        rules(&yannick, json!({"only": [{"labels": {"env": "production"}}]})).await;
        let seen = raw.get(As::Phone(&ada), "/v1/users/@yannick/paging-rules").await.expect(200).body;
        assert_eq!(seen["only"], json!([{"labels": {"env": "production"}}]));
        raw.get(As::Phone(&ada), "/v1/users/@nobody/paging-rules").await.expect_refusal(404, "not_found");
        assert_eq!(world.recorded("user.paging_rules").await, 1);
        let of_none = world.operator.get("/v1/me/paging-rules").await;
        crate::world::refused(of_none, "forbidden");
    }
}
