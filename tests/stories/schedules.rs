//! Who is on call: stories of schedules, hand-overs, overrides, gaps and calendars.

crate::world::stories! {
    a_hand_over_in_the_middle_of_an_incident
    somebody_takes_the_pager_for_an_hour
    the_pager_is_given_for_tomorrow_and_taken_back
    a_swap_is_in_one_persons_place
    nobody_is_on_call_and_the_next_is_rung
    a_gap_is_told_a_day_before_and_once
    hours_that_nobody_covers_every_week_are_told_once
    whoever_left_is_not_on_call
    who_is_on_call_next_and_when_nobody_is
    my_shifts_and_a_calendar_of_them
    what_is_wrong_in_a_schedule_is_named
    a_schedule_is_replaced_whole_and_removed
    overrides_that_ended_count_too
    a_hand_over_whose_job_was_lost_is_found
    the_pager_goes_from_hand_to_hand_one_at_a_time
}

/// Stories that begin where clocks change.
mod paris {
    use super::stories;
    use crate::support::TestDb;
    use crate::world::World;

    crate::support::engines! { clocks_change_while_an_incident_rings }

    async fn clocks_change_while_an_incident_rings(db: TestDb) {
        // In Paris it is 01:59; at 02:00 it is 03:00.
        let start = "2027-03-28T00:59:00Z".parse().expect("an instant");
        let world = World::start_at(db, start, &[]).await;
        stories::clocks_change_while_an_incident_rings(&world).await;
        world.end().await;
    }
}

mod stories {
    use std::time::Duration;

    use phoneops::client::Error;
    use serde_json::{Value, json};

    use crate::world::{Person, World, minutes, phone_refused, refused, seconds};

    const DAY: Duration = Duration::from_hours(24);
    const ON: &str = "You are on call for nights";
    const OFF: &str = "Your shift on nights is over";
    const GAP: &str = "Nobody is on call for nights";

    /// The clock stands at Friday, 2027-01-15, 08:00 UTC.
    fn layer(people: &[&Person], first: &str) -> Value {
        let people: Vec<_> = people.iter().map(|person| &person.handle).collect();
        json!({"name": "primary", "people": people, "shift": "1 day", "first": first})
    }

    async fn make(world: &World, schedule: &Value) -> Value {
        let reply = world.operator.put("/v1/schedules/nights", schedule).await.expect("the schedule is taken");
        assert_eq!(reply.status, 201);
        reply.body
    }

    /// Ann, whom it tells, and Bea take turns of a day that end at 09:00 UTC.
    async fn ann_and_bea(world: &World) -> [Person; 2] {
        let [ann, bea] = [world.person("ann", "Ann Example").await, world.person("bea", "Bea Example").await];
        make(world, &json!({"zone": "UTC", "layers": [layer(&[&ann, &bea], "2027-01-14T09:00")]})).await;
        assert_eq!(ann.expect_push(world, ON).await.body(), "Until Fri 09:00 (UTC)");
        [ann, bea]
    }

    async fn on_call(world: &World) -> Value {
        world.operator.get("/v1/on-call?schedule=nights").await.expect("an answer").body["schedules"][0].clone()
    }

    async fn page(world: &World) -> String {
        let bot = world.bot("heimdall").await;
        let page = json!({"title": "Down", "to": ["schedule:nights"]});
        bot.client.post("/v1/incidents", &page).await.expect("a page").body["ref"].as_str().unwrap().to_owned()
    }

    async fn give(world: &World, body: Value) -> Result<Value, Error> {
        world.operator.post("/v1/schedules/nights/overrides", &body).await.map(|reply| reply.body)
    }

    pub(crate) async fn a_hand_over_in_the_middle_of_an_incident(world: &World) {
        let [ann, bea] = ann_and_bea(world).await;
        world.advance(minutes(59)).await;
        let reference = page(world).await;
        ann.expect_push(world, "Down").await;
        world.advance(seconds(60)).await;
        ann.expect_pushes(world, &[OFF]).await;
        // The hand-over and the ring are due at the same moment: whoever has the pager at 09:00 is Bea.
        bea.expect_pushes(world, &[ON, "Down"]).await;
        bea.phone.acknowledge(&reference).await.unwrap();
        ann.expect_push(world, "Acknowledged by Bea Example").await;
        assert_eq!(world.recorded("schedule.handed_over").await, 2);
    }

    pub(crate) async fn clocks_change_while_an_incident_rings(world: &World) {
        let [ann, bea] = [world.person("ann", "Ann Example").await, world.person("bea", "Bea Example").await];
        // 02:30 does not exist on the 28th: it is taken as 03:30, which is 01:30 UTC.
        make(world, &json!({"zone": "Europe/Paris", "layers": [layer(&[&ann, &bea], "2027-03-27T02:30")]})).await;
        assert_eq!(ann.expect_push(world, ON).await.body(), "Until Sun 03:30 (Europe/Paris)");
        assert_eq!(on_call(world).await["now"]["until"], "2027-03-28T01:30:00Z");
        world.advance(minutes(30)).await;
        let reference = page(world).await;
        ann.expect_push(world, "Down").await;
        world.advance(seconds(60)).await;
        ann.expect_push(world, OFF).await;
        bea.expect_pushes(world, &[ON, "Down"]).await;
        // The day after it is half past two again.
        assert_eq!(on_call(world).await["now"]["until"], "2027-03-29T00:30:00Z");
        bea.phone.acknowledge(&reference).await.unwrap();
        ann.expect_push(world, "Acknowledged by Bea Example").await;
    }

    pub(crate) async fn somebody_takes_the_pager_for_an_hour(world: &World) {
        let [ann, bea] = ann_and_bea(world).await;
        let dan = world.person("dan", "Dan Example").await;
        let path = "/v1/schedules/nights/overrides";
        phone_refused(dan.phone.post(path, &json!({"for": "60m"})).await.unwrap().accepted(), "not_on_schedule");
        world.team("ops", &[&dan]).await;

        let taken = bea.phone.post(path, &json!({"for": "30m"})).await.unwrap().body;
        assert_eq!((&taken["user"]["handle"], &taken["made_by"]), (&json!("bea"), &json!("Bea Example")));
        assert_eq!(ann.expect_push(world, OFF).await.body(), "Bea Example has it");
        bea.expect_silence(world).await;
        let now = on_call(world).await["now"].clone();
        assert_eq!((&now["who"]["handle"], &now["override"]), (&json!("bea"), &taken["id"]));
        world.advance(minutes(30)).await;
        assert_eq!(ann.expect_push(world, ON).await.body(), "Until Fri 09:00 (UTC)");
        bea.expect_push(world, OFF).await;
        let over = format!("{path}/{}", taken["id"].as_str().unwrap());
        refused(world.operator.delete(&over).await, "override_over");

        // Whoever is in the team may too, and what has begun is ended, so that the past stays as it was.
        let schedule = json!({"team": "ops", "zone": "UTC", "layers": [layer(&[&ann, &bea], "2027-01-14T09:00")]});
        assert_eq!(world.operator.put("/v1/schedules/nights", &schedule).await.unwrap().status, 200);
        let taken = dan.phone.post(path, &json!({"for": "2h"})).await.unwrap().body;
        ann.expect_push(world, OFF).await;
        world.advance(minutes(10)).await;
        let path = format!("{path}/{}", taken["id"].as_str().unwrap());
        assert_eq!(dan.phone.delete(&path, None).await.unwrap().status, 204);
        ann.expect_push(world, ON).await;
        let since = "/v1/schedules/nights/shifts?from=2027-01-15T08:00:00Z&until=2027-01-15T09:00:00Z";
        let shifts = world.operator.get(since).await.unwrap().body["shifts"].clone();
        let said: Vec<_> = shifts.as_array().unwrap().iter().map(|shift| shift["who"]["handle"].as_str().unwrap()).collect();
        assert_eq!(said, ["bea", "dan", "ann"]);
        assert_eq!((world.recorded("override.created").await, world.recorded("override.ended").await), (2, 1));
    }

    pub(crate) async fn the_pager_is_given_for_tomorrow_and_taken_back(world: &World) {
        let [_ann, _bea] = ann_and_bea(world).await;
        let cyd = world.person("cyd", "Cyd Example").await;
        let tomorrow = json!({"user": "@cyd", "from": "2027-01-16T18:00", "until": "2027-01-16T20:00"});
        let given = give(world, tomorrow).await.unwrap();
        let push = cyd.expect_push(world, "You take the pager of nights").await;
        assert_eq!(push.body(), "Sat 18:00 until Sat 20:00 (UTC), given by the operator");
        let path = format!("/v1/schedules/nights/overrides/{}", given["id"].as_str().unwrap());
        world.operator.delete(&path).await.unwrap();
        cyd.expect_push(world, "You do not take the pager of nights").await;
        refused(world.operator.delete(&path).await, "not_found");
        assert_eq!(on_call(world).await["next"]["who"]["handle"], "bea");
    }

    pub(crate) async fn a_swap_is_in_one_persons_place(world: &World) {
        let [ann, bea] = ann_and_bea(world).await;
        let cyd = world.person("cyd", "Cyd Example").await;
        let swap = json!({"user": "@cyd", "instead_of": "@bea", "from": "2027-01-15T08:00:00Z", "for": "2 days"});
        give(world, swap).await.unwrap();
        // Ann's turn goes on; of Bea's Cyd knows.
        cyd.expect_push(world, "You take the pager of nights").await;
        ann.expect_silence(world).await;
        world.advance(minutes(60)).await;
        ann.expect_push(world, OFF).await;
        assert_eq!(cyd.expect_push(world, ON).await.body(), "Until Sat 09:00 (UTC)");
        bea.expect_silence(world).await;
        let now = on_call(world).await["now"].clone();
        assert_eq!((&now["who"]["handle"], &now["instead_of"]["handle"]), (&json!("cyd"), &json!("bea")));
    }

    pub(crate) async fn nobody_is_on_call_and_the_next_is_rung(world: &World) {
        let ys = world.person("ys", "Ys Example").await;
        let ann = world.person("ann", "Ann Example").await;
        let mut nights = layer(&[&ann], "2027-01-11T09:00");
        nights["hours"] = json!(["mon-sun 20:00-06:00"]);
        make(world, &json!({"zone": "UTC", "layers": [nights]})).await;
        ann.expect_push(world, GAP).await;
        assert!(on_call(world).await.get("now").is_none());
        let reference = page(world).await;
        ys.expect_push(world, "Down").await;
        ann.expect_silence(world).await;
        ys.phone.acknowledge(&reference).await.unwrap();
    }

    pub(crate) async fn a_gap_is_told_a_day_before_and_once(world: &World) {
        let [ann, bea] = [world.person("ann", "Ann Example").await, world.person("bea", "Bea Example").await];
        world.team("ops", &[&ann, &bea]).await;
        let mut ends = layer(&[&ann], "2027-01-11T09:00");
        ends["until"] = json!("2027-01-16T14:00");
        make(world, &json!({"team": "ops", "zone": "UTC", "layers": [ends]})).await;
        ann.expect_push(world, ON).await;
        world.advance(minutes(6 * 60 - 1)).await;
        bea.expect_silence(world).await;
        world.advance(minutes(1)).await;
        assert_eq!(bea.expect_push(world, GAP).await.body(), "From Sat 14:00 (UTC)");
        ann.expect_push(world, GAP).await;
        // Something else that changes tells it no second time.
        give(world, json!({"user": "@ann", "for": "60m"})).await.unwrap();
        ann.expect_push(world, "You take the pager of nights").await;
        world.advance(DAY).await;
        assert_eq!(ann.expect_push(world, OFF).await.body(), "Nobody has it");
        world.advance(3 * DAY).await;
        bea.expect_silence(world).await;
        assert_eq!(world.recorded("schedule.gap_found").await, 1);
    }

    pub(crate) async fn hours_that_nobody_covers_every_week_are_told_once(world: &World) {
        let ann = world.person("ann", "Ann Example").await;
        let mut days = layer(&[&ann], "2027-01-04T09:00");
        days["hours"] = json!(["mon-fri 09:00-17:00"]);
        make(world, &json!({"zone": "UTC", "layers": [days]})).await;
        let body = "Now until Fri 09:00 (UTC), as every week: its hours leave that out";
        assert_eq!(ann.expect_push(world, GAP).await.body(), body);
        world.advance(minutes(60)).await;
        ann.expect_push(world, ON).await;
        world.advance(minutes(8 * 60)).await;
        ann.expect_push(world, OFF).await;
        world.advance(2 * DAY).await;
        ann.expect_silence(world).await;
        let gaps = on_call(world).await["gaps"].as_array().unwrap().len();
        assert_eq!((gaps, world.recorded("schedule.gap_found").await), (6, 1));
    }

    pub(crate) async fn whoever_left_is_not_on_call(world: &World) {
        let ys = world.person("ys", "Ys Example").await;
        let [_ann, bea] = ann_and_bea(world).await;
        world.operator.delete("/v1/users/@ann").await.unwrap();
        assert!(on_call(world).await.get("now").is_none());
        let reference = page(world).await;
        ys.expect_push(world, "Down").await;
        ys.phone.acknowledge(&reference).await.unwrap();
        ys.phone.resolve(&reference).await.unwrap();
        world.advance(minutes(60)).await;
        // With the next look those on it hear of the holes that Ann leaves.
        bea.expect_pushes(world, &[ON, GAP]).await;
    }

    pub(crate) async fn who_is_on_call_next_and_when_nobody_is(world: &World) {
        let [ann, bea] = ann_and_bea(world).await;
        let found = on_call(world).await;
        assert_eq!((&found["now"]["who"]["handle"], &found["now"]["layer"]), (&json!("ann"), &json!("primary")));
        assert_eq!(
            (&found["now"]["since"], &found["now"]["until"]),
            (&json!("2027-01-14T09:00:00Z"), &json!("2027-01-15T09:00:00Z"))
        );
        assert_eq!(found["next"], json!({"who": found["next"]["who"], "from": "2027-01-15T09:00:00Z"}));
        assert_eq!((&found["next"]["who"]["handle"], &found["gaps"]), (&json!("bea"), &json!([])));
        let later = world.operator.get("/v1/on-call?schedule=nights&at=2027-01-16T12:00:00Z").await.unwrap().body;
        assert_eq!(later["schedules"][0]["now"]["who"]["handle"], "ann");
        // Before the first turn nobody is.
        let before = world.operator.get("/v1/on-call?at=2027-01-13T12:00:00Z").await.unwrap().body["schedules"][0].clone();
        assert_eq!((before.get("now"), &before["next"]["who"]["handle"]), (None, &json!("ann")));
        assert_eq!(before["gaps"], json!([{"from": "2027-01-13T12:00:00Z", "until": "2027-01-14T09:00:00Z"}]));

        world.team("ops", &[&ann]).await;
        let of_ops = world.operator.get("/v1/on-call?team=ops").await.unwrap().body;
        assert_eq!(of_ops["schedules"], json!([]));
        refused(world.operator.get("/v1/on-call?team=nowhere").await, "not_found");
        refused(world.operator.get("/v1/on-call?schedule=nowhere").await, "not_found");
        let long = "/v1/schedules/nights/shifts?from=2027-01-01T00:00:00Z&until=2028-01-03T00:00:00Z";
        refused(world.operator.get(long).await, "invalid_request");
        assert_eq!(bea.phone.get("/v1/on-call").await.unwrap().body["schedules"][0]["schedule"], "nights");
    }

    /// The values of a property of a calendar.
    fn values<'c>(calendar: &'c str, property: &str) -> Vec<&'c str> {
        calendar.split("\r\n").filter_map(|line| line.strip_prefix(property)).collect()
    }

    pub(crate) async fn my_shifts_and_a_calendar_of_them(world: &World) {
        let [ann, bea] = ann_and_bea(world).await;
        let path = "/v1/me/shifts?until=2027-01-18T00:00:00Z";
        let mine = bea.phone.get(path).await.unwrap().body["shifts"].clone();
        let froms: Vec<_> = mine.as_array().unwrap().iter().map(|shift| shift["from"].as_str().unwrap()).collect();
        assert_eq!(froms, ["2027-01-15T09:00:00Z", "2027-01-17T09:00:00Z"]);

        let made = ann.phone.post("/v1/calendar-feeds", &json!({"schedule": "nights"})).await.unwrap().body;
        let own = ann.phone.post("/v1/calendar-feeds", &json!({})).await.unwrap().body;
        let url = made["url"].as_str().unwrap().to_owned();
        let fetch = async |url: &str| world.http.get(url).send().await.unwrap();
        let reply = fetch(&url).await;
        assert_eq!(reply.headers()["content-type"], "text/calendar; charset=utf-8");
        let whole = reply.text().await.unwrap().replace("\r\n ", "");
        assert_eq!(values(&whole, "DTSTART:")[..2], ["20270114T090000Z", "20270115T090000Z"]);
        let theirs = fetch(own["url"].as_str().unwrap()).await.text().await.unwrap();
        assert!(values(&theirs, "SUMMARY:").iter().all(|text| *text == "On call for nights: Ann Example"), "{theirs}");
        assert_eq!(values(&theirs, "DTSTART:")[..2], ["20270114T090000Z", "20270116T090000Z"]);

        // Tomorrow the same shift has the same name.
        world.advance(minutes(60)).await;
        ann.expect_push(world, OFF).await;
        bea.expect_push(world, ON).await;
        let again = fetch(&url).await.text().await.unwrap().replace("\r\n ", "");
        assert_eq!(values(&whole, "UID:")[..100], values(&again, "UID:")[..100]);

        let listed = ann.phone.get("/v1/calendar-feeds").await.unwrap().body["calendars"].clone();
        assert_eq!((listed.as_array().unwrap().len(), listed[0].get("url")), (2, None));
        let path = format!("/v1/calendar-feeds/{}", made["id"].as_str().unwrap());
        phone_refused(bea.phone.delete(&path, None).await.unwrap().accepted(), "not_found");
        assert_eq!(ann.phone.delete(&path, None).await.unwrap().status, 204);
        assert_eq!(fetch(&url).await.status(), 404);
        let capability = url.rsplit('/').next().unwrap().strip_suffix(".ics").unwrap();
        assert_eq!(capability.len(), 43);
        assert!(!format!("{:?}", world.journal().await).contains(capability));
        world.operator.delete("/v1/users/@ann").await.unwrap();
        assert_eq!(fetch(own["url"].as_str().unwrap()).await.status(), 404, "who left reads nothing");
    }

    pub(crate) async fn what_is_wrong_in_a_schedule_is_named(world: &World) {
        let [ann, _bea] = ann_and_bea(world).await;
        let good = json!({"team": null, "zone": "UTC", "layers": [layer(&[&ann], "2027-01-14T09:00")]});
        for (place, wrong, field) in [
            ("/zone", json!("Mars/Olympus"), "zone"),
            ("/layers", json!([]), "layers"),
            ("/layers", json!(vec![good["layers"][0].clone(); 21]), "layers"),
            ("/layers/0/shift", json!("0 days"), "layers[0].shift"),
            ("/layers/0/first", json!("noon"), "layers[0].first"),
            ("/layers/0/people", json!([]), "layers[0].people"),
            ("/layers/0/people", json!(["@ann", "@nobody"]), "layers[0].people[1]"),
            ("/layers/0/people", json!(["ann@"]), "layers[0].people[0]"),
            ("/layers/0/people", json!(vec!["@ann"; 101]), "layers[0].people"),
            ("/layers/0/name", json!("a\u{202e}b"), "layers[0].name"),
            ("/team", json!("nowhere"), "team"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(place).unwrap() = wrong;
            let Err(Error::Refused(refusal)) = world.operator.put("/v1/schedules/nights", &bad).await else { panic!("{bad}") };
            assert_eq!((refusal.status, refusal.body["field"].as_str()), (400, Some(field)), "{bad}");
        }
        for (bad, field) in [
            (json!({"user": "@ann"}), "until"),
            (json!({"user": "@ann", "for": "60m", "until": "2027-01-16T00:00"}), "for"),
            (json!({"for": "60m"}), "user"),
            (json!({"user": "@nobody", "for": "60m"}), "user"),
            (json!({"user": "@ann", "instead_of": "@ann", "for": "60m"}), "instead_of"),
            (json!({"user": "@ann", "from": "2027-01-14T00:00", "for": "60m"}), "from"),
            (json!({"user": "@ann", "until": "2027-01-15T08:00:00Z"}), "until"),
        ] {
            let Err(Error::Refused(refusal)) = give(world, bad.clone()).await else { panic!("{bad}") };
            assert_eq!((refusal.status, refusal.body["field"].as_str()), (400, Some(field)), "{bad}");
        }
        let mut named = good;
        named["name"] = json!("nights");
        refused(world.operator.post("/v1/schedules", &named).await, "name_taken");
    }

    pub(crate) async fn overrides_that_ended_count_too(world: &World) {
        let [ann, bea] = ann_and_bea(world).await;
        // A thousand of a minute each ended yesterday: whoever asks who is on call reads them all.
        let start = world.clock.now().as_micros() - 86_400_000_000;
        let copied = |id: &str, number: &str| {
            format!(
                "insert into overrides (id, schedule_id, user_id, from_at, until_at, made_by, created_at)
                 select {id}, schedules.id, users.id, {start} + {number} * cast(60000000 as bigint), {start} + ({number} + 1) * cast(60000000 as bigint), '{{\"kind\": \"operator\"}}', 0
                 from schedules, users, numbers where schedules.name = 'nights' and users.handle = 'bea'"
            )
        };
        let numbers = "with recursive numbers(n) as (select 0 union all select n + 1 from numbers where n < 999)";
        let pg = copied("gen_random_uuid()", "n").replace("insert into", &format!("{numbers} insert into"));
        let lite = copied("randomblob(16)", "n").replace("insert into", &format!("{numbers} insert into"));
        world.db.raw_either(&lite, &pg).await;
        let path = "/v1/schedules/nights/overrides";
        let take = || async { bea.phone.post(path, &json!({"for": "60m"})).await.unwrap().accepted() };
        phone_refused(take().await, "too_many_overrides");
        // Two months later nobody reads them any more.
        world.db.raw("update overrides set from_at = from_at - 5443200000000, until_at = until_at - 5443200000000").await;
        take().await.unwrap();
        ann.expect_push(world, OFF).await;
    }

    pub(crate) async fn a_schedule_is_replaced_whole_and_removed(world: &World) {
        let [ann, bea] = ann_and_bea(world).await;
        let schedule = json!({"zone": "europe/paris", "layers": [layer(&[&bea], "2027-01-14T10:00")]});
        let reply = world.operator.put("/v1/schedules/nights", &schedule).await.unwrap();
        assert_eq!((reply.status, &reply.body["zone"]), (200, &json!("Europe/Paris")));
        assert_eq!(reply.body["layers"][0]["people"], json!(["@bea"]));
        bea.expect_push(world, ON).await;
        assert_eq!(ann.expect_push(world, OFF).await.body(), "Bea Example has it");

        world.operator.delete("/v1/schedules/nights").await.unwrap();
        assert_eq!(bea.expect_push(world, OFF).await.body(), "The schedule was removed");
        refused(world.operator.get("/v1/schedules/nights").await, "not_found");
        world.advance(2 * DAY).await;
        // Its name is free again.
        make(world, &json!({"zone": "UTC", "layers": [layer(&[&ann], "2027-01-14T09:00")]})).await;
        ann.expect_push(world, ON).await;
        let kinds = ["schedule.created", "schedule.changed", "schedule.removed"];
        let mut counted = Vec::new();
        for kind in kinds {
            counted.push(world.recorded(kind).await);
        }
        assert_eq!(counted, [2, 1, 1]);
    }

    pub(crate) async fn a_hand_over_whose_job_was_lost_is_found(world: &World) {
        let [ann, bea] = ann_and_bea(world).await;
        world.db.raw("delete from jobs where kind = 'hand_over'").await;
        world.advance(minutes(62)).await;
        bea.expect_push(world, ON).await;
        ann.expect_push(world, OFF).await;
    }
    pub(crate) async fn the_pager_goes_from_hand_to_hand_one_at_a_time(world: &World) {
        let [ann, bea] = [world.newcomer("ann", "Ann Example").await, world.newcomer("bea", "Bea Example").await];
        make(world, &json!({"zone": "UTC", "layers": [layer(&[&ann, &bea], "2027-01-14T09:00")]})).await;
        let body = json!({"for": "60m"});
        let takes = (0..12).map(|number| {
            let phone = if number % 2 == 0 { &ann.phone } else { &bea.phone };
            phone.post("/v1/schedules/nights/overrides", &body)
        });
        for taken in futures_util::future::join_all(takes).await {
            assert_eq!(taken.unwrap().status, 201);
        }
        let journal = world.journal().await;
        let handed: Vec<_> = journal.iter().filter(|entry| entry["kind"] == "schedule.handed_over").collect();
        for pair in handed.windows(2) {
            assert_eq!(pair[0]["data"]["to"], pair[1]["data"]["from"], "{handed:#?}");
        }
        let has_it = on_call(world).await["now"]["who"]["id"].clone();
        assert_eq!(handed.last().unwrap()["data"]["to"], has_it);
    }
}
