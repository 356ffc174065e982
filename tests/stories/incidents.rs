//! Incidents from the page to the end, told as stories with fast-forwarded time: a push that nobody expected fails its story.

crate::world::stories! {
    it_walks_its_plan_until_somebody_takes_it
    somebody_who_is_named_and_does_not_answer_is_walked_past
    an_act_takes_somebody_who_has_to_do_with_it
    handing_over_begins_anew_and_loses_nobody
    somebody_is_asked_to_look_as_well_while_it_is_held
    whoever_rings_and_is_asked_with_their_team_is_not_told_twice
    a_snooze_over_a_hand_over_rings_whoever_is_on_call_then
    nobody_on_call_is_nobody_to_wait_for
    what_is_merged_goes_on_elsewhere
    what_could_wait_and_then_cannot_rings
    what_was_not_over_rings_again_for_a_week
    not_me_undoes_what_can_be_undone
    everything_that_rings_for_me_is_taken_at_once
    somebody_without_a_device_is_passed_over
    outsiders_are_paged_and_named
    a_list_is_of_what_was_asked_for
}

mod stories {
    use serde_json::{Value, json};

    use crate::world::{Bot, Person, World, minutes, phone_refused, refused, seconds};

    const TITLE: &str = "All your apps are down";

    /// Does something on a phone; the reply.
    async fn does(person: &Person, reference: &str, act: &str, body: &Value) -> Value {
        let reply = person.phone.post(&format!("/v1/incidents/{reference}/{act}"), body).await.expect("the server answers");
        assert!(reply.status < 300, "{act}: {}", reply.body);
        reply.body
    }

    /// That it is refused, and with which code.
    async fn may_not(person: &Person, reference: &str, act: &str, body: &Value, code: &str) {
        let reply = person.phone.post(&format!("/v1/incidents/{reference}/{act}"), body).await.expect("the server answers");
        assert_eq!(reply.body["code"], code, "{act}: {} {}", reply.status, reply.body);
    }

    /// The sentences of the timeline.
    async fn told(person: &Person, reference: &str) -> Vec<String> {
        let body = person.phone.get(&format!("/v1/incidents/{reference}/timeline?limit=500")).await.unwrap().body;
        body["lines"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    }

    fn handles(people: &Value) -> Vec<&str> {
        people.as_array().map(|all| all.iter().filter_map(|person| person["handle"].as_str()).collect()).unwrap_or_default()
    }

    async fn page(bot: &Bot, to: &[&str]) -> Value {
        bot.client.post("/v1/incidents", &json!({"title": TITLE, "to": to})).await.expect("the page is taken").body
    }

    fn reference(page: &Value) -> &str {
        page["ref"].as_str().expect("a reference")
    }

    /// The next push of an incident that rings; its body.
    async fn rings(person: &Person, world: &World) -> String {
        person.expect_push(world, TITLE).await.body().to_owned()
    }

    /// A row of a table, with ids as each engine writes them: `{name}` is an id of that number, or of a user.
    async fn insert(world: &World, sql: &str, ids: &[(&str, String)]) {
        let written = |open: &str| {
            ids.iter().fold(sql.to_owned(), |sql, (name, id)| sql.replace(&format!("{{{name}}}"), &format!("{open}{id}'")))
        };
        world.db.raw_either(&written("x'"), &written("'")).await;
    }

    async fn id_of(world: &World, person: &Person) -> String {
        let users = world.operator.get("/v1/users").await.unwrap().body;
        let users = users["users"].as_array().unwrap();
        let user = users.iter().find(|user| user["handle"] == person.handle.trim_start_matches('@')).unwrap();
        user["id"].as_str().unwrap().to_owned()
    }

    /// A schedule of a day each from the story's beginning, 2027-01-15T08:00:00Z.
    async fn schedule(world: &World, name: &str, layers: &Value) {
        let told = json!({"near": [], "hours": false});
        let sql = format!(
            "insert into schedules (id, name, zone, layers, created_at, changed_at, gaps_told)
             values ({{id}}, '{name}', 'UTC', '{layers}', 0, 0, '{told}')"
        );
        insert(world, &sql, &[("id", format!("0199e5d00000700080000000000000{:02x}", name.len()))]).await;
    }

    pub(crate) async fn it_walks_its_plan_until_somebody_takes_it(world: &World) {
        let (ann, ys) = (world.person("ann", "Ann").await, world.person("ys", "Ys").await);
        let heimdall = world.bot("heimdall").await;
        let paged = page(&heimdall, &["@ann"]).await;
        let reference = reference(&paged);
        assert_eq!(rings(&ann, world).await, format!("Page {reference} from heimdall"));
        world.advance(seconds(60)).await;
        assert_eq!(rings(&ann, world).await, format!("Page {reference} from heimdall, ring 2"));
        world.advance(seconds(60)).await;
        assert_eq!(rings(&ys, world).await, format!("Nobody answered. Page {reference} from heimdall, ring 3"));
        rings(&ann, world).await;
        does(&ys, reference, "acknowledge", &json!({})).await;
        ann.expect_push(world, "Acknowledged by Ys").await;
        world.advance(minutes(29)).await;
        assert_eq!(does(&ys, reference, "acknowledge", &json!({})).await["acted"]["by"]["handle"], "ys");
        world.advance(minutes(1)).await;
        assert_eq!(rings(&ann, world).await, format!("Page {reference} from heimdall, ring 4"));
        does(&ann, reference, "resolve", &json!({})).await;
        ys.expect_push(world, "Resolved by Ann").await;
        assert_eq!(
            told(&ann, reference).await,
            [
                "heimdall opened it: All your apps are down. Rang Ann (ring 1)",
                "Rang Ann at step 1 (ring 2)",
                "Nobody answered. Rang Ann and Ys as the last resort (ring 3)",
                "Ys acknowledged it",
                "It was not resolved in time. Rang Ann at step 1 (ring 4)",
                "Ann resolved it",
            ]
        );
    }

    pub(crate) async fn somebody_who_is_named_and_does_not_answer_is_walked_past(world: &World) {
        let (ann, bob) = (world.person("ann", "Ann").await, world.person("bob", "Bob").await);
        let ys = world.person("ys", "Ys").await;
        let heimdall = world.bot("heimdall").await;
        let paged = page(&heimdall, &["@ann"]).await;
        let reference = reference(&paged);
        rings(&ann, world).await;

        let help = json!({"to": ["@bob"], "message": "I need some help"});
        let handed = does(&ann, reference, "escalate", &help).await;
        assert_eq!((handles(&handed["paged"]), handles(&handed["unreachable"])), (vec!["bob"], vec![]));
        let said = format!("Ann hands it to you: I need some help. Page {reference} from heimdall, ring 2");
        assert_eq!(rings(&bob, world).await, said);
        // They ring already: nothing happens twice.
        assert_eq!(handles(&does(&ann, reference, "escalate", &help).await["paged"]), Vec::<&str>::new());
        world.advance(seconds(60)).await;
        assert!(rings(&bob, world).await.starts_with("Ann hands it to you: I need some help. "));
        world.advance(seconds(60)).await;
        for person in [&ann, &bob, &ys] {
            assert_eq!(rings(person, world).await, format!("Nobody answered. Page {reference} from heimdall, ring 4"));
        }
        // And to the next step, of which there is none behind the last resort.
        does(&bob, reference, "escalate", &json!({})).await;
        for person in [&ann, &bob, &ys] {
            assert_eq!(rings(person, world).await, format!("Bob hands it to you. Page {reference} from heimdall, ring 5"));
        }
        does(&bob, reference, "resolve", &json!({})).await;
        ann.expect_push(world, "Resolved by Bob").await;
        ys.expect_push(world, "Resolved by Bob").await;
        assert!(told(&ann, reference).await.contains(&"Ann escalated it to Bob: I need some help. Rang Bob (ring 2)".to_owned()));
    }

    pub(crate) async fn an_act_takes_somebody_who_has_to_do_with_it(world: &World) {
        let (ann, eve) = (world.person("ann", "Ann").await, world.person("eve", "Eve").await);
        let admin = world.administrator("root", "Root").await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&ann, TITLE).await;
        rings(&ann, world).await;
        let acts = [
            ("acknowledge", json!({})),
            ("resolve", json!({})),
            ("escalate", json!({})),
            ("reassign", json!({"to": ["@eve"]})),
            ("responders", json!({"to": ["@eve"]})),
            ("snooze", json!({"for_seconds": 600})),
            ("wake", json!({})),
            ("notes", json!({"text": "mine"})),
            ("urgency", json!({"urgency": "low"})),
            ("reopen", json!({})),
        ];
        for (act, body) in &acts {
            may_not(&eve, &reference, act, body, "not_a_responder").await;
        }
        refused(heimdall.act(&reference, "resolve", &eve).await, "not_a_responder");
        let (mine, theirs) = (heimdall.page(&eve, TITLE).await, json!({"into": reference}));
        rings(&eve, world).await;
        may_not(&eve, &mine, "merge", &theirs, "not_a_responder").await;
        may_not(&eve, &reference, "merge", &json!({"into": mine}), "not_a_responder").await;
        assert_eq!(heimdall.incident(&reference).await["state"], "triggered");
        assert_eq!(eve.phone.get(&format!("/v1/incidents/{reference}")).await.unwrap().status, 200, "reading is for everybody");

        does(&admin, &reference, "notes", &json!({"text": "an administrator may"})).await;
        does(&admin, &reference, "acknowledge", &json!({})).await;
        ann.expect_push(world, "Acknowledged by Root").await;
        does(&eve, &mine, "resolve", &json!({})).await;
    }

    pub(crate) async fn handing_over_begins_anew_and_loses_nobody(world: &World) {
        let (ann, bob) = (world.person("ann", "Ann").await, world.person("bob", "Bob").await);
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&ann, TITLE).await;
        rings(&ann, world).await;
        does(&ann, &reference, "acknowledge", &json!({})).await;
        does(&ann, &reference, "reassign", &json!({"to": ["@bob"]})).await;
        assert_eq!(rings(&bob, world).await, format!("Ann hands it to you. Page {reference} from heimdall, ring 2"));
        let again = does(&ann, &reference, "reassign", &json!({"to": ["@bob"]})).await;
        assert_eq!(handles(&again["paged"]), Vec::<&str>::new(), "it is theirs already");
        world.advance(seconds(60)).await;
        rings(&bob, world).await;
        world.advance(seconds(60)).await;
        rings(&ann, world).await;
        does(&bob, &reference, "resolve", &json!({})).await;
        ann.expect_push(world, "Resolved by Bob").await;
    }

    pub(crate) async fn somebody_is_asked_to_look_as_well_while_it_is_held(world: &World) {
        let (ann, bob) = (world.person("ann", "Ann").await, world.person("bob", "Bob").await);
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&ann, TITLE).await;
        rings(&ann, world).await;
        does(&ann, &reference, "acknowledge", &json!({})).await;
        let asked = does(&ann, &reference, "responders", &json!({"to": ["@bob"]})).await;
        assert_eq!((&asked["state"], handles(&asked["responders"])), (&json!("acknowledged"), vec!["ann", "bob"]));
        assert_eq!(rings(&bob, world).await, format!("Ann asks you to look as well. Page {reference} from heimdall, ring 2"));
        world.advance(minutes(10)).await;
        bob.expect_silence(world).await;
        does(&bob, &reference, "notes", &json!({"text": "the disk is full\u{202e}"})).await;
        world.advance(minutes(20)).await;
        rings(&ann, world).await;
        rings(&bob, world).await;
        does(&bob, &reference, "resolve", &json!({})).await;
        ann.expect_push(world, "Resolved by Bob").await;
        let told = told(&ann, &reference).await;
        assert!(told.contains(&"Ann asked Bob to look as well. Rang Bob (ring 2)".to_owned()), "{told:?}");
        assert!(told.contains(&"Bob noted: the disk is full\\u{202e}".to_owned()), "{told:?}");
    }

    pub(crate) async fn whoever_rings_and_is_asked_with_their_team_is_not_told_twice(world: &World) {
        let (ann, bob) = (world.person("ann", "Ann").await, world.person("bob", "Bob").await);
        world.team("api", &[&ann, &bob]).await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&ann, TITLE).await;
        rings(&ann, world).await;
        let asked = does(&ann, &reference, "responders", &json!({"to": ["team:api"]})).await;
        assert_eq!(handles(&asked["paged"]), vec!["bob"]);
        rings(&bob, world).await;
        ann.expect_silence(world).await;
        // From the next ring on it rings for both, and each has one card of it.
        world.advance(seconds(60)).await;
        rings(&ann, world).await;
        rings(&bob, world).await;
        ann.expect_silence(world).await;
        does(&bob, &reference, "resolve", &json!({})).await;
        ann.expect_push(world, "Resolved by Bob").await;
    }

    pub(crate) async fn a_snooze_over_a_hand_over_rings_whoever_is_on_call_then(world: &World) {
        let (ann, bob) = (world.person("ann", "Ann").await, world.person("bob", "Bob").await);
        let people = [id_of(world, &ann).await, id_of(world, &bob).await];
        let layer = json!([{"name": "all", "people": people, "shift": "1 hour", "first": "2027-01-15T08:00"}]);
        schedule(world, "nights", &layer).await;
        let heimdall = world.bot("heimdall").await;
        let paged = page(&heimdall, &["schedule:nights"]).await;
        let reference = reference(&paged);
        assert_eq!(handles(&paged["paged"]), ["ann"]);
        rings(&ann, world).await;
        for (body, code) in [
            (json!({"for_seconds": 59}), "invalid_request"),
            (json!({"for_seconds": 604_801}), "invalid_request"),
            (json!({}), "invalid_request"),
            (json!({"until": world.clock.now()}), "invalid_request"),
        ] {
            may_not(&ann, reference, "snooze", &body, code).await;
        }
        let snoozed = does(&ann, reference, "snooze", &json!({"for_seconds": 4000})).await;
        assert_eq!((&snoozed["state"], &snoozed["snoozed"]), (&json!("acknowledged"), &json!(true)));
        world.advance(minutes(60)).await;
        ann.expect_silence(world).await;
        bob.expect_silence(world).await;
        world.advance(seconds(400)).await;
        assert_eq!(rings(&bob, world).await, format!("Back from snooze. Page {reference} from heimdall, ring 2"));

        does(&bob, reference, "snooze", &json!({"for_seconds": 600})).await;
        does(&ann, reference, "wake", &json!({})).await;
        assert!(rings(&bob, world).await.starts_with("Back from snooze. "));
        assert_eq!(does(&ann, reference, "wake", &json!({})).await["state"], "triggered", "it is awake");
        does(&bob, reference, "acknowledge", &json!({})).await;
        may_not(&ann, reference, "wake", &json!({}), "not_snoozed").await;
        does(&bob, reference, "resolve", &json!({})).await;
        ann.settle_resolved(world).await;
    }

    impl Person {
        /// Whatever is left on the screen says that it is over.
        async fn settle_resolved(&self, world: &World) {
            world.settle().await;
            while let Some(push) = self.phone.next_push(std::time::Duration::ZERO).await.unwrap() {
                assert!(push.title().ends_with(" by Bob"), "{push:?}");
            }
        }
    }

    pub(crate) async fn nobody_on_call_is_nobody_to_wait_for(world: &World) {
        let (ann, ys) = (world.person("ann", "Ann").await, world.person("ys", "Ys").await);
        let layer =
            json!([{"name": "later", "people": [id_of(world, &ann).await], "shift": "1 day", "first": "2027-02-01T08:00"}]);
        schedule(world, "nights", &layer).await;
        let heimdall = world.bot("heimdall").await;
        let paged = page(&heimdall, &["schedule:nights"]).await;
        assert_eq!(handles(&paged["paged"]), ["ys"]);
        rings(&ys, world).await;
        let told = told(&ys, reference(&paged)).await;
        assert_eq!(
            told,
            [
                "heimdall opened it: All your apps are down. Rang (ring 1)",
                "Nobody of step 1 could be reached. Rang Ys as the last resort (ring 2)",
            ]
        );
        does(&ys, reference(&paged), "resolve", &json!({})).await;
    }

    pub(crate) async fn what_is_merged_goes_on_elsewhere(world: &World) {
        let (ann, bob) = (world.person("ann", "Ann").await, world.person("bob", "Bob").await);
        let heimdall = world.bot("heimdall").await;
        let (one, two) = (heimdall.page(&ann, TITLE).await, page(&heimdall, &["@ann", "@bob"]).await);
        let two = reference(&two);
        rings(&ann, world).await;
        rings(&ann, world).await;
        rings(&bob, world).await;
        may_not(&ann, two, "merge", &json!({"into": two}), "invalid_request").await;
        let merged = does(&ann, two, "merge", &json!({"into": one.to_lowercase()})).await;
        assert_eq!((&merged["state"], &merged["merged_into"]), (&json!("resolved"), &json!(one)));
        bob.expect_push(world, "Merged by Ann").await;
        assert_eq!(does(&ann, two, "merge", &json!({"into": one})).await["merged_into"], one.as_str(), "it is merged already");
        may_not(&ann, two, "acknowledge", &json!({}), "incident_merged").await;
        may_not(&ann, two, "reopen", &json!({}), "incident_merged").await;

        // Whoever could act on the one can act on the other now.
        does(&bob, &one, "resolve", &json!({})).await;
        ann.expect_push(world, "Resolved by Bob").await;
        let three = heimdall.page(&ann, TITLE).await;
        rings(&ann, world).await;
        may_not(&ann, &three, "merge", &json!({"into": one}), "incident_resolved").await;
        does(&ann, &three, "resolve", &json!({})).await;
        assert!(told(&ann, two).await.contains(&format!("Ann merged it into {one}")));
        assert!(told(&ann, &one).await.contains(&format!("Ann merged {two} into it")));
    }

    pub(crate) async fn what_could_wait_and_then_cannot_rings(world: &World) {
        let ann = world.person("ann", "Ann").await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&ann, TITLE).await;
        rings(&ann, world).await;
        does(&ann, &reference, "urgency", &json!({"urgency": "low"})).await;
        ann.expect_silence(world).await;
        let louder = json!({"urgency": "high", "actor": ann.handle});
        let path = format!("/v1/incidents/{reference}/urgency");
        heimdall.client.post(&path, &louder).await.unwrap();
        ann.expect_pushes(world, &[TITLE, "Urgency changed as you via heimdall"]).await;
        heimdall.client.post(&path, &louder).await.unwrap();
        ann.expect_silence(world).await;
        does(&ann, &reference, "resolve", &json!({})).await;
    }

    pub(crate) async fn what_was_not_over_rings_again_for_a_week(world: &World) {
        let ann = world.person("ann", "Ann").await;
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&ann, TITLE).await;
        rings(&ann, world).await;
        does(&ann, &reference, "resolve", &json!({})).await;
        world.advance(minutes(60 * 24 * 6)).await;
        does(&ann, &reference, "reopen", &json!({})).await;
        assert_eq!(rings(&ann, world).await, format!("Re-opened. Page {reference} from heimdall, ring 2"));
        does(&ann, &reference, "resolve", &json!({})).await;
        world.advance(minutes(60 * 24 * 7 + 1)).await;
        may_not(&ann, &reference, "reopen", &json!({}), "incident_too_old").await;
    }

    pub(crate) async fn not_me_undoes_what_can_be_undone(world: &World) {
        let (ann, bob) = (world.person("ann", "Ann").await, world.person("bob", "Bob").await);
        let heimdall = world.bot("heimdall").await;
        let other = heimdall.page(&ann, TITLE).await;
        rings(&ann, world).await;
        does(&ann, &other, "acknowledge", &json!({})).await;
        let reference = heimdall.page(&ann, TITLE).await;
        rings(&ann, world).await;
        for (act, body, mine, theirs) in [
            ("acknowledge", json!({}), "Acknowledged as you via heimdall", "Acknowledged by Ann"),
            ("snooze", json!({"for_seconds": 600}), "Snoozed as you via heimdall", "Snoozed by Ann"),
            ("resolve", json!({}), "Resolved as you via heimdall", "Resolved by Ann"),
            ("merge", json!({"into": other}), "Merged as you via heimdall", "Merged by Ann"),
        ] {
            let mut body = body;
            body["actor"] = json!(ann.handle);
            heimdall.client.post(&format!("/v1/incidents/{reference}/{act}"), &body).await.unwrap();
            ann.expect_pushes(world, &[mine, theirs]).await;
            let disowned = does(&ann, &reference, "not-me", &json!({})).await;
            assert_eq!(disowned["undone"], true, "{act}");
            assert!(rings(&ann, world).await.starts_with("Re-opened. "), "{act}");
            may_not(&ann, &reference, "not-me", &json!({}), "not_acted_for_you").await;
        }
        // Whoever was rung cannot be unrung; it is said that it was somebody else.
        let body = json!({"to": ["@bob"], "actor": ann.handle});
        heimdall.client.post(&format!("/v1/incidents/{reference}/escalate"), &body).await.unwrap();
        rings(&bob, world).await;
        ann.expect_push(world, "Escalated as you via heimdall").await;
        let disowned = does(&ann, &reference, "not-me", &json!({})).await;
        assert_eq!(disowned, json!({"act": "incident.escalated", "undone": false}));
        phone_refused(bob.phone.not_me(&reference).await, "not_acted_for_you");
        let told = told(&ann, &reference).await;
        assert_eq!(told.last().unwrap(), "Ann says that this was not them (escalated): nothing of that can be undone");
        let note = json!({"text": "the disk is full", "actor": ann.handle});
        heimdall.client.post(&format!("/v1/incidents/{reference}/notes"), &note).await.unwrap();
        ann.expect_push(world, "Noted as you via heimdall").await;
        does(&bob, &reference, "resolve", &json!({})).await;
        ann.settle_resolved(world).await;
        does(&ann, &other, "resolve", &json!({})).await;
    }

    pub(crate) async fn everything_that_rings_for_me_is_taken_at_once(world: &World) {
        let (ann, bob) = (world.person("ann", "Ann").await, world.person("bob", "Bob").await);
        let heimdall = world.bot("heimdall").await;
        let (one, two) = (heimdall.page(&ann, TITLE).await, heimdall.page(&ann, TITLE).await);
        let theirs = heimdall.page(&bob, TITLE).await;
        rings(&ann, world).await;
        rings(&ann, world).await;
        rings(&bob, world).await;
        let taken = ann.phone.post("/v1/me/acknowledge-all", &json!({})).await.unwrap().body;
        assert_eq!(taken, json!({"acknowledged": [one, two]}));
        assert_eq!(heimdall.incident(&theirs).await["state"], "triggered");
        let taken = ann.phone.post("/v1/me/acknowledge-all", &json!({})).await.unwrap().body;
        assert_eq!(taken, json!({"acknowledged": []}));
        let path = "/v1/me/acknowledge-all";
        refused(heimdall.client.post(path, &json!({})).await, "invalid_request");
        let taken = heimdall.client.post(path, &json!({"actor": bob.handle})).await.unwrap().body;
        assert_eq!(taken, json!({"acknowledged": [theirs]}));
        bob.expect_pushes(world, &["Acknowledged as you via heimdall", "Acknowledged by Bob"]).await;
    }

    pub(crate) async fn somebody_without_a_device_is_passed_over(world: &World) {
        let bob = world.person("bob", "Bob").await;
        world.operator.post("/v1/users", &json!({"handle": "ann", "name": "Ann"})).await.unwrap();
        let heimdall = world.bot("heimdall").await;
        let reference = heimdall.page(&bob, TITLE).await;
        rings(&bob, world).await;
        // Somebody who is asked to look as well and cannot be reached does not take it away from those who ring.
        let asked = does(&bob, &reference, "responders", &json!({"to": ["@ann"]})).await;
        assert_eq!((handles(&asked["paged"]), handles(&asked["unreachable"])), (vec![], vec!["ann"]));
        assert_eq!((&asked["state"], &asked["step"]), (&json!("triggered"), &json!(0)));
        let handed = does(&bob, &reference, "reassign", &json!({"to": ["@ann"]})).await;
        assert_eq!((handles(&handed["paged"]), handles(&handed["unreachable"])), (vec!["bob"], vec!["ann"]));
        rings(&bob, world).await;
        let told = told(&bob, &reference).await;
        let last = "Nobody of step 1 could be reached. Rang Bob at step 2 (ring 3); could not reach Ann".to_owned();
        assert!(told.contains(&last), "{told:?}");
        assert!(told.contains(&"Ann could not be reached (ring 2)".to_owned()), "{told:?}");
        does(&bob, &reference, "resolve", &json!({})).await;
    }

    pub(crate) async fn outsiders_are_paged_and_named(world: &World) {
        let (ann, bob) = (world.person("ann", "Ann").await, world.person("bob", "Bob").await);
        let eve = world.person("eve", "Eve").await;
        world.team("api", &[&ann, &bob]).await;
        world.team("web", &[&eve]).await;
        let team = world.db.number("select count(*) from teams").await;
        assert_eq!(team, 2);
        let sql = "insert into services (id, name, team_id, settings, created_at)
            select {id}, 'api', id, '{}', 0 from teams where name = 'api'";
        insert(world, sql, &[("id", format!("0199e5d00000700080000000000000{:02x}", 7))]).await;
        let heimdall = world.bot("heimdall").await;
        let paged = page(&heimdall, &["service:api", "@eve"]).await;
        let reference = reference(&paged);
        assert_eq!((handles(&paged["outside"]), &paged["service"], &paged["team"]), (vec!["eve"], &json!("api"), &json!("api")));
        for person in [&ann, &bob, &eve] {
            rings(person, world).await;
        }
        // Members of the team may act whoever was rung, and those who were rung whatever team they are of.
        does(&eve, reference, "acknowledge", &json!({})).await;
        ann.expect_push(world, "Acknowledged by Eve").await;
        bob.expect_push(world, "Acknowledged by Eve").await;
        let asked = does(&ann, reference, "escalate", &json!({"to": ["@eve"]})).await;
        assert_eq!(handles(&asked["outside"]), Vec::<&str>::new(), "nobody was rung: Eve has it");
        does(&bob, reference, "resolve", &json!({})).await;
        ann.expect_push(world, "Resolved by Bob").await;
        eve.expect_push(world, "Resolved by Bob").await;

        let own = ann.phone.post("/v1/incidents", &json!({"title": TITLE, "to": ["@eve", "@bob"]})).await.unwrap().body;
        assert_eq!(handles(&own["outside"]), ["eve"], "Ann is in no team with her");
        assert_eq!(rings(&eve, world).await, format!("Page {} from Ann", own["ref"].as_str().unwrap()));
        rings(&bob, world).await;
        does(&bob, own["ref"].as_str().unwrap(), "resolve", &json!({})).await;
        eve.expect_push(world, "Resolved by Bob").await;
    }

    pub(crate) async fn a_list_is_of_what_was_asked_for(world: &World) {
        let (ann, bob) = (world.person("ann", "Ann").await, world.person("bob", "Bob").await);
        let heimdall = world.bot("heimdall").await;
        let (one, two) = (heimdall.page(&ann, TITLE).await, heimdall.page(&bob, TITLE).await);
        rings(&ann, world).await;
        rings(&bob, world).await;
        does(&ann, &one, "acknowledge", &json!({})).await;
        let three = json!({"title": TITLE, "to": ["@bob"], "urgency": "low"});
        let three = heimdall.client.post("/v1/incidents", &three).await.unwrap().body["ref"].as_str().unwrap().to_owned();
        rings(&bob, world).await;
        does(&bob, &three, "resolve", &json!({})).await;
        let listed = async |person: &Person, query: &str| -> Vec<String> {
            let body = person.phone.get(&format!("/v1/incidents?{query}")).await.unwrap().body;
            body["incidents"].as_array().unwrap().iter().map(|one| one["ref"].as_str().unwrap().to_owned()).collect()
        };
        for (query, expected) in [
            ("", vec![&two, &one]),
            ("all=true", vec![&three, &two, &one]),
            ("state=acknowledged", vec![&one]),
            ("state=resolved", vec![&three]),
            ("mine=true", vec![&two]),
            ("mine=true&all=true", vec![&three, &two]),
            ("urgency=low&all=true", vec![&three]),
            ("urgency=low", vec![]),
        ] {
            assert_eq!(listed(&bob, query).await, expected.into_iter().cloned().collect::<Vec<_>>(), "{query}");
        }
        let page = bob.phone.get("/v1/incidents?mine=true&all=true&limit=1").await.unwrap().body;
        let next = format!("mine=true&all=true&cursor={}", page["next"].as_str().unwrap());
        assert_eq!(listed(&bob, &next).await, std::slice::from_ref(&two));
        for query in ["mine=true", "service=nothing", "team=nothing"] {
            refused(heimdall.client.get(&format!("/v1/incidents?{query}")).await, "invalid_request");
        }
        does(&bob, &two, "resolve", &json!({})).await;
        does(&ann, &one, "resolve", &json!({})).await;
    }
}
