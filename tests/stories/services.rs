//! Services, escalation policies, integrations and maintenance: who is paged for what, told as stories on both engines.

crate::world::stories! {
    three_steps_ring_the_right_person_at_the_right_minute
    a_service_without_a_policy_pages_its_team
    an_incident_keeps_the_policy_it_began_with
    a_service_decides_how_long_an_acknowledgement_holds
    what_makes_no_sense_is_refused_by_its_field
    a_policy_says_whom_it_would_not_reach
    what_refers_to_what_is_removed_in_order
    two_nodes_never_leave_a_service_with_a_policy_that_is_gone
    a_key_is_shown_once_and_works_beside_the_next
    maintenance_begins_and_ends
    what_runs_is_listed_before_what_is_planned
    an_integration_is_given_other_settings
    maintenance_is_the_teams_own_matter
    a_house_is_brought_to_what_a_file_says_and_back
    what_is_applied_waits_for_a_passkey_where_it_weakens
}

mod stories {
    use std::time::Duration;

    use futures_util::future::join;
    use phoneops::client::Error as ClientError;
    use phoneops::paging::services::{self, Integration, IntegrationKind, IntegrationSettings};
    use phoneops::paging::{maintenance, maintenance::MaintenanceWindow};
    use phoneops::secret::Secret;
    use serde_json::{Value, json};

    use crate::world::raw::{As, Raw};
    use crate::world::{Bot, Person, World, minutes, refused, seconds};

    async fn policy(world: &World, name: &str, steps: &Value, more: &Value) -> Value {
        let mut body = json!({"name": name, "steps": steps});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.operator.post("/v1/escalation-policies", &body).await.expect("a policy").body
    }

    async fn service(world: &World, name: &str, body: &Value) -> Value {
        let mut whole = json!({"name": name, "team": "api"});
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        world.operator.post("/v1/services", &whole).await.expect("a service").body
    }

    async fn page(bot: &Bot, to: &str, title: &str) -> String {
        let reply = bot.client.post("/v1/incidents", &json!({"title": title, "to": [to]})).await.expect("the page is taken");
        reply.body["ref"].as_str().unwrap().to_owned()
    }

    /// Each of `people` rings when they are named, and otherwise not.
    async fn ring(world: &World, people: &[(&str, &Person)], named: &[&str], title: &str) {
        world.settle().await;
        for (name, person) in people {
            if named.contains(name) {
                person.expect_push(world, title).await;
            } else {
                person.expect_silence(world).await;
            }
        }
    }

    pub(crate) async fn three_steps_ring_the_right_person_at_the_right_minute(world: &World) {
        let ann = world.person("ann", "Ann Example").await;
        let bea = world.person("bea", "Bea Example").await;
        let cyd = world.person("cyd", "Cyd Example").await;
        let dan = world.person("dan", "Dan Example").await;
        let people = [("ann", &ann), ("bea", &bea), ("cyd", &cyd), ("dan", &dan)];
        let heimdall = world.bot("heimdall").await;
        world.team("api", &[&cyd]).await;
        let steps = json!([
            {"to": ["@ann"], "escalate_after_minutes": 2},
            {"to": ["@bea", "@ann"], "escalate_after_minutes": 1},
            {"to": ["team:api"], "escalate_after_minutes": 3},
        ]);
        policy(world, "api", &steps, &json!({"repeats": 1, "last_resort": ["@dan"]})).await;
        service(world, "api", &json!({"policy": "api"})).await;

        let reference = page(&heimdall, "service:api", "The API is down").await;
        let pass: [&[&str]; 6] = [&["ann"], &["ann"], &["ann", "bea"], &["cyd"], &["cyd"], &["cyd"]];
        for (minute, named) in pass.iter().chain(&pass).enumerate() {
            ring(world, &people, named, "The API is down").await;
            let shown = heimdall.incident(&reference).await;
            assert_eq!(shown["step"], [0, 0, 1, 2, 2, 2][minute % 6], "minute {minute}");
            world.advance(minutes(1)).await;
        }
        // Both passes are over: everybody, for ever.
        for _ in 0..3 {
            ring(world, &people, &["ann", "bea", "cyd", "dan"], "The API is down").await;
            world.advance(seconds(60)).await;
        }
        ring(world, &people, &["ann", "bea", "cyd", "dan"], "The API is down").await;
        let shown = heimdall.incident(&reference).await;
        assert_eq!((&shown["service"], &shown["team"], &shown["step"]), (&json!("api"), &json!("api"), &json!(3)));
        assert_eq!(world.operator.get("/v1/services/api").await.unwrap().body["open_incidents"], 1);

        dan.phone.acknowledge(&reference).await.unwrap();
        ring(world, &people[..3], &["ann", "bea", "cyd"], "Acknowledged by Dan Example").await;
        world.advance(minutes(5)).await;
        dan.phone.resolve(&reference).await.unwrap();
        ring(world, &people[..3], &["ann", "bea", "cyd"], "Resolved by Dan Example").await;
        assert_eq!(world.operator.get("/v1/services/api").await.unwrap().body["open_incidents"], 0);
    }

    pub(crate) async fn a_service_without_a_policy_pages_its_team(world: &World) {
        let ann = world.person("ann", "Ann Example").await;
        let bea = world.person("bea", "Bea Example").await;
        let cyd = world.person("cyd", "Cyd Example").await;
        let heimdall = world.bot("heimdall").await;
        world.team("api", &[&ann, &bea]).await;
        service(world, "api", &json!({})).await;
        page(&heimdall, "service:api", "The API is down").await;
        let people = [("ann", &ann), ("bea", &bea), ("cyd", &cyd)];
        ring(world, &people, &["ann", "bea"], "The API is down").await;
        // Who joins the team meanwhile is of it when it rings next.
        world.operator.put("/v1/teams/api/members/@cyd", &json!({})).await.unwrap();
        world.operator.delete("/v1/teams/api/members/@ann").await.unwrap();
        world.advance(minutes(1)).await;
        ring(world, &people, &["bea", "cyd"], "The API is down").await;
    }

    pub(crate) async fn an_incident_keeps_the_policy_it_began_with(world: &World) {
        let ann = world.person("ann", "Ann Example").await;
        let bea = world.person("bea", "Bea Example").await;
        let people = [("ann", &ann), ("bea", &bea)];
        let heimdall = world.bot("heimdall").await;
        world.team("api", &[]).await;
        let step = |to: &str, minutes: u32| json!({"to": [to], "escalate_after_minutes": minutes});
        policy(world, "api", &json!([step("@ann", 1), step("@bea", 60)]), &json!({})).await;
        service(world, "api", &json!({"policy": "api"})).await;
        let reference = page(&heimdall, "service:api", "The API is down").await;
        ring(world, &people, &["ann"], "The API is down").await;

        let now = json!({"steps": [step("@ann", 600)]});
        world.operator.put("/v1/escalation-policies/api", &now).await.unwrap();
        world.operator.put("/v1/escalation-policies/api", &now).await.unwrap();
        assert_eq!(world.recorded("escalation_policy.changed").await, 1, "a change to what it is already is none");
        world.advance(minutes(1)).await;
        ring(world, &people, &["bea"], "The API is down").await;
        assert_eq!(heimdall.incident(&reference).await["steps"][1]["targets"][0]["user"]["handle"], "bea");
        bea.phone.resolve(&reference).await.unwrap();
        ring(world, &people[..1], &["ann"], "Resolved by Bea Example").await;

        let next = page(&heimdall, "service:api", "It is down again").await;
        for _ in 0..3 {
            ring(world, &people, &["ann"], "It is down again").await;
            world.advance(minutes(1)).await;
        }
        ring(world, &people, &["ann"], "It is down again").await;
        ann.phone.resolve(&next).await.unwrap();
    }

    pub(crate) async fn a_service_decides_how_long_an_acknowledgement_holds(world: &World) {
        let ann = world.person("ann", "Ann Example").await;
        let heimdall = world.bot("heimdall").await;
        world.team("api", &[&ann]).await;
        service(world, "never", &json!({"settings": {"acknowledgement_seconds": 0}})).await;
        service(world, "short", &json!({"settings": {"acknowledgement_seconds": 600}})).await;

        let kept = page(&heimdall, "service:never", "Slow").await;
        ann.expect_push(world, "Slow").await;
        ann.phone.acknowledge(&kept).await.unwrap();
        world.advance(Duration::from_hours(72)).await;
        ann.expect_silence(world).await;
        assert_eq!(heimdall.incident(&kept).await["state"], "acknowledged");
        ann.phone.resolve(&kept).await.unwrap();

        let forgotten = page(&heimdall, "service:short", "Slower").await;
        ann.expect_push(world, "Slower").await;
        ann.phone.acknowledge(&forgotten).await.unwrap();
        world.advance(seconds(599)).await;
        ann.expect_silence(world).await;
        world.advance(seconds(1)).await;
        ann.expect_push(world, "Slower").await;
        ann.phone.resolve(&forgotten).await.unwrap();
    }

    /// That a call was refused as `invalid_request`, and for which field.
    fn wrong<T: std::fmt::Debug>(result: Result<T, ClientError>, field: &str) -> String {
        let Err(ClientError::Refused(refusal)) = result else { panic!("{field} was to be refused: {result:?}") };
        assert_eq!((refusal.code.as_str(), refusal.body["field"].as_str()), ("invalid_request", Some(field)), "{refusal:?}");
        refusal.detail
    }

    pub(crate) async fn what_makes_no_sense_is_refused_by_its_field(world: &World) {
        let ann = world.person("ann", "Ann Example").await;
        world.team("api", &[&ann]).await;
        let operator = &world.operator;
        let step = |to: Value| json!({"to": to, "escalate_after_minutes": 5});
        let with = |to: Value| json!({"name": "api", "steps": [step(json!(["@ann"])), step(to)]});
        let post = |body: Value| async move { operator.post("/v1/escalation-policies", &body).await };
        wrong(post(json!({"name": "api", "steps": []})).await, "steps");
        wrong(post(with(json!([]))).await, "steps[1].to");
        wrong(post(with(json!(["@nobody"]))).await, "steps[1].to[0]");
        wrong(post(with(json!(["@ann", "team:nowhere"]))).await, "steps[1].to[1]");
        wrong(post(with(json!(["schedule:nowhere"]))).await, "steps[1].to[0]");
        wrong(post(with(json!(["@ann", "@ann"]))).await, "steps[1].to[1]");
        wrong(post(with(json!(["@ann", "policy:api"]))).await, "steps[1].to[1]");
        let cycle = wrong(post(with(json!(["service:api"]))).await, "steps[1].to[0]");
        assert!(cycle.contains("no policy leads to itself"), "{cycle}");
        let mut late = with(json!(["@ann"]));
        late["steps"][1]["escalate_after_minutes"] = json!(1441);
        wrong(post(late).await, "steps[1].escalate_after_minutes");
        let resort = json!({"name": "api", "steps": [step(json!(["@ann"]))], "last_resort": ["@nobody"]});
        wrong(post(resort).await, "last_resort[0]");
        let team = json!({"name": "api", "team": "nowhere", "steps": [step(json!(["@ann"]))]});
        wrong(post(team).await, "team");
        post(with(json!(["team:api"]))).await.unwrap();
        refused(post(with(json!(["team:api"]))).await, "name_taken");
        let whole = json!({"steps": [step(json!(["@ann"]))]});
        for status in [201, 200] {
            assert_eq!(operator.put("/v1/escalation-policies/web", &whole).await.unwrap().status, status);
        }

        let service = |body: Value| async move { operator.post("/v1/services", &body).await };
        wrong(service(json!({"name": "api", "team": "nowhere"})).await, "team");
        wrong(service(json!({"name": "api", "team": "api", "policy": "nowhere"})).await, "policy");
        let settings = json!({"group_by": ["a", "a"]});
        wrong(service(json!({"name": "api", "team": "api", "settings": settings})).await, "settings.group_by[1]");
        wrong(service(json!({"name": "api", "team": "api", "settings": {"loud": true}})).await, "settings.loud");
        service(json!({"name": "api", "team": "api", "policy": "api"})).await.unwrap();
        refused(service(json!({"name": "api", "team": "api"})).await, "name_taken");
        let to = json!({"title": "Down", "to": ["service:nowhere"]});
        wrong(world.bot("heimdall").await.client.post("/v1/incidents", &to).await, "to[0]");
    }

    pub(crate) async fn a_policy_says_whom_it_would_not_reach(world: &World) {
        let _ann = world.newcomer("ann", "Ann Example").await;
        world.team("empty", &[]).await;
        let steps = json!([{"to": ["@ann", "team:empty"], "escalate_after_minutes": 5}]);
        let made = policy(world, "api", &steps, &json!({"last_resort": ["@ann"]})).await;
        assert_eq!(made["warnings"], json!(["steps[0].to[1]: team empty has no members"]));
        world.administrator("ada", "Ada Byron").await;
        world.operator.delete("/v1/users/@ann").await.unwrap();
        let shown = world.operator.get("/v1/escalation-policies/api").await.unwrap().body;
        let warnings =
            ["steps[0].to[0]: @ann has left", "steps[0].to[1]: team empty has no members", "last_resort[0]: @ann has left"];
        assert_eq!(shown["warnings"], json!(warnings));
        assert_eq!(shown["steps"][0]["to"], json!(["@ann", "team:empty"]));
    }

    pub(crate) async fn what_refers_to_what_is_removed_in_order(world: &World) {
        let ann = world.person("ann", "Ann Example").await;
        let heimdall = world.bot("heimdall").await;
        world.team("api", &[&ann]).await;
        policy(world, "api", &json!([{"to": ["@ann"], "escalate_after_minutes": 5}]), &json!({})).await;
        service(world, "api", &json!({"policy": "api"})).await;
        let operator = &world.operator;
        let key = operator.post("/v1/services/api/integrations", &json!({"name": "prom", "kind": "events"})).await.unwrap().body;
        let window = json!({"service": "api", "for_seconds": 3600, "reason": "a move"});
        operator.post("/v1/maintenance", &window).await.unwrap();
        let reference = page(&heimdall, "service:api", "The API is down").await;
        ann.expect_push(world, "The API is down").await;

        let used = operator.delete("/v1/escalation-policies/api").await;
        assert!(used.as_ref().unwrap_err().to_string().contains("service api"), "{used:?}");
        refused(used, "in_use");
        operator.delete("/v1/services/api").await.unwrap();
        refused(operator.delete("/v1/services/api").await, "not_found");
        assert!(by_key(world, &key).await.is_none());
        assert_eq!(operator.get("/v1/maintenance").await.unwrap().body["maintenance"], json!([]));
        operator.delete("/v1/escalation-policies/api").await.unwrap();
        assert_eq!(operator.get("/v1/escalation-policies").await.unwrap().body["escalation_policies"], json!([]));

        // What is open goes on.
        world.advance(minutes(1)).await;
        ann.expect_push(world, "The API is down").await;
        assert_eq!(heimdall.incident(&reference).await["service"], "api");
        ann.phone.resolve(&reference).await.unwrap();
        // Names of what is gone are free.
        service(world, "api", &json!({})).await;
    }

    pub(crate) async fn two_nodes_never_leave_a_service_with_a_policy_that_is_gone(world: &World) {
        let ann = world.person("ann", "Ann Example").await;
        world.team("api", &[&ann]).await;
        let (operator, steps) = (&world.operator, json!([{"to": ["@ann"], "escalate_after_minutes": 5}]));
        for turn in 0..12 {
            let name = format!("turn-{turn}");
            policy(world, &name, &steps, &json!({})).await;
            let (body, path) = (json!({"name": name, "team": "api", "policy": name}), format!("/v1/escalation-policies/{name}"));
            let (made, removed) = join(operator.post("/v1/services", &body), operator.delete(&path)).await;
            assert_ne!(made.is_ok(), removed.is_ok(), "one of them was first: {made:?} {removed:?}");
        }
        let lost = "select count(*) from services join escalation_policies on escalation_policies.id = policy_id
                    where services.removed_at is null and escalation_policies.removed_at is not null";
        assert_eq!(world.db.number(lost).await, 0);
    }

    async fn by_key(world: &World, made: &Value) -> Option<Integration> {
        let key = Secret::new(made["key"].as_str().expect("a key").to_owned()).hash();
        let now = world.clock.now();
        let found = world.server.store.read(move |db| Box::pin(async move { services::integration_by_key(db, &key, now).await }));
        found.await.expect("the database answers")
    }

    pub(crate) async fn a_key_is_shown_once_and_works_beside_the_next(world: &World) {
        let ann = world.person("ann", "Ann Example").await;
        world.team("api", &[&ann]).await;
        service(world, "api", &json!({})).await;
        let (operator, path) = (&world.operator, "/v1/services/api/integrations");
        let events = json!({"name": "prom", "kind": "events"});
        let made = operator.post_once(path, "prom", &events).await.unwrap().body;
        let key = made["key"].as_str().unwrap().to_owned();
        assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key}");
        assert_eq!(made["url"], format!("{}/v2/enqueue", world.server.issuer()));
        let again = operator.post_once(path, "prom", &events).await.unwrap().body;
        assert!(again["id"] == made["id"] && again["key"].is_null() && again["url"].is_null(), "{again}");
        refused(operator.post(path, &events).await, "name_taken");

        let found = by_key(world, &made).await.expect("it is known");
        assert_eq!(
            (found.name.as_str(), found.kind, found.settings),
            ("prom", IntegrationKind::Events, IntegrationSettings::Nothing)
        );
        let beats = json!({"name": "cron", "kind": "heartbeat", "every_seconds": 60, "grace_seconds": 30});
        let beats = operator.post(path, &beats).await.unwrap().body;
        assert!(beats["url"].as_str().unwrap().ends_with(&format!("/heartbeat/{}", beats["key"].as_str().unwrap())), "{beats}");
        let hook = json!({"name": "hook", "kind": "generic", "mapping": {"summary": "/text",
            "action": {"at": "/status", "values": {"resolved": "resolve"}}}});
        let hook = operator.post(path, &hook).await.unwrap().body;
        assert_eq!((&hook["mapping"]["summary"], &hook["mapping"]["dedup_key"]), (&json!("/text"), &json!("/dedup_key")));
        let Some(IntegrationSettings::Mapping(mapping)) = by_key(world, &hook).await.map(|found| found.settings) else {
            panic!()
        };
        assert_eq!(mapping.summary.find(&json!({"text": "Down"})), Some(&json!("Down")));
        wrong(operator.post(path, &json!({"name": "beat", "kind": "heartbeat"})).await, "every_seconds");
        wrong(operator.post(path, &json!({"name": "am", "kind": "alertmanager", "mapping": {}})).await, "mapping");
        wrong(operator.post(path, &json!({"name": "am", "kind": "pager"})).await, "kind");

        let rotate = |body: Value| async move { operator.post(&format!("{path}/prom/rotate"), &body).await };
        wrong(rotate(json!({"overlap_seconds": 86_401})).await, "overlap_seconds");
        let next = rotate(json!({"overlap_seconds": 600})).await.unwrap().body;
        assert!(by_key(world, &made).await.is_some() && by_key(world, &next).await.is_some());
        world.advance(minutes(10)).await;
        assert!(by_key(world, &made).await.is_none() && by_key(world, &next).await.is_some());
        let last = rotate(json!({"overlap_seconds": 0})).await.unwrap().body;
        assert!(by_key(world, &next).await.is_none() && by_key(world, &last).await.is_some());
        assert!(last["previous_key_until"].is_null());

        let listed = operator.get(path).await.unwrap().body;
        let names: Vec<_> = listed["integrations"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["cron", "hook", "prom"]);
        assert!(!listed.to_string().contains(last["key"].as_str().unwrap()), "a key is shown once");
        let journal = serde_json::to_string(&world.journal().await).unwrap();
        assert!(!journal.contains(&key) && !journal.contains(last["key"].as_str().unwrap()));
        operator.delete(&format!("{path}/prom")).await.unwrap();
        assert!(by_key(world, &last).await.is_none());
        refused(operator.delete(&format!("{path}/prom")).await, "not_found");
        operator.post(path, &events).await.unwrap();
    }

    /// The window in which a service is now.
    async fn current(world: &World, service: &str) -> Option<MaintenanceWindow> {
        let (name, now) = (service.parse().unwrap(), world.clock.now());
        let found = world.server.store.read(move |db| {
            Box::pin(async move {
                let service = services::find(db, &name).await?.expect("a service");
                maintenance(db, &service, now).await
            })
        });
        found.await.expect("the database answers")
    }

    pub(crate) async fn maintenance_begins_and_ends(world: &World) {
        let ann = world.person("ann", "Ann Example").await;
        world.team("api", &[&ann]).await;
        world.team("web", &[]).await;
        for (name, team) in [("api", "api"), ("db", "api"), ("web", "web")] {
            service(world, name, &json!({"team": team})).await;
        }
        let operator = &world.operator;
        let plan = |body: Value| async move { operator.post("/v1/maintenance", &body).await };
        let now = || world.clock.now();
        let first = plan(json!({"service": "api", "for_seconds": 3600, "reason": "a move"})).await.unwrap().body;
        assert_eq!((&first["state"], &first["service"]), (&json!("running"), &json!("api")));
        assert_eq!(current(world, "api").await.unwrap().reason, "a move");
        assert!(current(world, "db").await.is_none());
        let later = now().after(minutes(30));
        let second = json!({"team": "api", "from": later, "until": later.after(minutes(60)), "reason": "all of it"});
        let second = plan(second).await.unwrap().body;
        assert_eq!(second["state"], "planned");
        world.advance(minutes(30)).await;
        assert_eq!(current(world, "api").await.unwrap().reason, "all of it", "the one that ends last");
        assert!(current(world, "db").await.is_some() && current(world, "web").await.is_none());

        world.advance(minutes(30)).await;
        assert_eq!(world.recorded("maintenance.ended").await, 1, "the first ended by itself");
        operator.delete(&format!("/v1/maintenance/{}", second["id"].as_str().unwrap())).await.unwrap();
        assert!(current(world, "api").await.is_none());
        refused(operator.delete(&format!("/v1/maintenance/{}", second["id"].as_str().unwrap())).await, "maintenance_over");
        world.advance(minutes(60)).await;
        assert_eq!(world.recorded("maintenance.ended").await, 2, "what was ended early is not ended again");
        assert_eq!(operator.get("/v1/maintenance").await.unwrap().body["maintenance"], json!([]));
        let all = operator.get("/v1/maintenance?all=true").await.unwrap().body;
        assert_eq!(all["maintenance"].as_array().unwrap().len(), 2);

        // A window whose end was lost ends all the same.
        plan(json!({"service": "web", "for_seconds": 600, "reason": "a test"})).await.unwrap();
        world.db.raw("delete from jobs where kind = 'maintenance_over'").await;
        world.advance(minutes(12)).await;
        for _ in 0..500 {
            if world.recorded("maintenance.ended").await == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(world.recorded("maintenance.ended").await, 3);

        let reason = json!("x");
        wrong(plan(json!({"for_seconds": 60, "reason": reason})).await, "service");
        wrong(plan(json!({"service": "api", "team": "api", "for_seconds": 60, "reason": reason})).await, "team");
        wrong(plan(json!({"service": "api", "reason": reason})).await, "for_seconds");
        wrong(plan(json!({"service": "api", "until": now(), "for_seconds": 60, "reason": reason})).await, "for_seconds");
        wrong(plan(json!({"service": "api", "until": now(), "reason": reason})).await, "until");
        wrong(plan(json!({"service": "api", "for_seconds": 60, "reason": " "})).await, "reason");
        wrong(plan(json!({"service": "nowhere", "for_seconds": 60, "reason": reason})).await, "service");
        wrong(plan(json!({"team": "nowhere", "for_seconds": 60, "reason": reason})).await, "team");
    }

    pub(crate) async fn what_runs_is_listed_before_what_is_planned(world: &World) {
        world.team("api", &[]).await;
        service(world, "api", &json!({})).await;
        let plan = |from: u64| {
            let from = world.clock.now().after(minutes(from));
            let window = json!({"service": "api", "from": from, "for_seconds": 600, "reason": "a move"});
            async move { world.operator.post("/v1/maintenance", &window).await.unwrap().body["id"].clone() }
        };
        let mut all = Vec::new();
        for minute in (1..=5).rev() {
            all.insert(0, plan(minute).await);
        }
        all.insert(0, plan(0).await);
        let page = |query: String| async move { world.operator.get(&format!("/v1/maintenance{query}")).await.unwrap().body };
        let ids = |body: &Value| body["maintenance"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
        let first = page("?limit=4".into()).await;
        assert_eq!((ids(&first), &first["next"]), (all[..4].to_vec(), &all[3]), "what runs, and then what comes first");
        assert_eq!(first["maintenance"][0]["state"], "running");
        let rest = page(format!("?limit=4&cursor={}", all[3].as_str().unwrap())).await;
        assert_eq!((ids(&rest), &rest["next"]), (all[4..].to_vec(), &Value::Null));
        let (newest, rest) =
            (page("?all=true&limit=4".into()).await, page(format!("?all=true&cursor={}", all[2].as_str().unwrap())).await);
        let backwards: Vec<_> = all.iter().rev().cloned().collect();
        assert_eq!([ids(&newest), ids(&rest)].concat(), backwards);
        let wrong = |query: &'static str| async move { world.operator.get(&format!("/v1/maintenance{query}")).await };
        refused(wrong("?limit=0").await, "invalid_request");
        refused(wrong("?cursor=mnt_00000000000000000000000000000001").await, "invalid_request");
        let listed = phoneops(world, &["maintenance", "list"], "").await;
        assert_eq!(listed.stdout.lines().count(), 6, "{listed:?}");
    }

    pub(crate) async fn an_integration_is_given_other_settings(world: &World) {
        world.team("api", &[]).await;
        service(world, "api", &json!({})).await;
        let path = "/v1/services/api/integrations";
        let made = world.operator.post(path, &json!({"name": "hook", "kind": "generic"})).await.unwrap().body;
        let cron = json!({"name": "cron", "kind": "heartbeat", "every_seconds": 3600});
        let cron = world.operator.post(path, &cron).await.unwrap().body;
        let put = |name: &'static str, body: Value| async move { world.operator.put(&format!("{path}/{name}"), &body).await };
        let changed = put("hook", json!({"mapping": {"summary": "/alert/title"}})).await.unwrap().body;
        assert_eq!((&changed["id"], &changed["mapping"]["summary"]), (&made["id"], &json!("/alert/title")));
        assert!(changed.get("key").is_none() && by_key(world, &made).await.is_some(), "its key stays, and is not shown");
        let report = json!({"alert": {"title": "The new place"}, "summary": "The old place", "severity": "info"});
        let raw = Raw::new(world);
        let ingest = format!("/ingest/{}/generic", made["key"].as_str().unwrap());
        raw.post(As::Nobody, &ingest, &report).await.expect(202);
        assert_eq!(world.db.number("select count(*) from incidents where title = 'The new place'").await, 1);
        let again = put("hook", json!({})).await.unwrap().body;
        assert_eq!(again["mapping"]["summary"], "/summary", "what is left out is as when it was made");
        assert_eq!(world.recorded("integration.changed").await, 2);

        // A rhythm counts from the last beat.
        raw.post(As::Nobody, &format!("/heartbeat/{}", cron["key"].as_str().unwrap()), &json!({})).await.expect(204);
        put("cron", json!({"every_seconds": 60, "grace_seconds": 60})).await.unwrap();
        world.advance(seconds(119)).await;
        let silent = "select count(*) from incidents where title like 'No heartbeat%'";
        assert_eq!(world.db.number(silent).await, 0);
        world.advance(seconds(1)).await;
        assert_eq!(world.db.number(silent).await, 1);

        refused(put("hook", json!({"every_seconds": 60})).await, "invalid_request");
        refused(put("cron", json!({})).await, "invalid_request");
        refused(put("nobody", json!({})).await, "not_found");
        world.operator.delete(&format!("{path}/hook")).await.unwrap();
        refused(put("hook", json!({})).await, "not_found");
    }

    pub(crate) async fn maintenance_is_the_teams_own_matter(world: &World) {
        let raw = Raw::new(world);
        let (member, other) = (raw.person("ann", "member").await, raw.person("bea", "member").await);
        raw.post(As::Operator, "/v1/teams", &json!({"name": "api"})).await.expect(201);
        raw.shot(As::Operator, "PUT", "/v1/teams/api/members/@ann").json(&json!({})).fire().await.expect(204);
        raw.post(As::Operator, "/v1/services", &json!({"name": "api", "team": "api"})).await.expect(201);
        let window = json!({"service": "api", "for_seconds": 600, "reason": "a move"});
        raw.post(As::Phone(&other), "/v1/maintenance", &window).await.expect_refusal(403, "forbidden");
        let made = raw.post(As::Phone(&member), "/v1/maintenance", &window).await.expect(201);
        assert_eq!(made.body["by"]["handle"], "ann");
        let path = format!("/v1/maintenance/{}", made.id());
        raw.delete(As::Phone(&other), &path).await.expect_refusal(403, "forbidden");
        raw.delete(As::Phone(&member), &path).await.expect(204);
    }

    /// A command that has ended.
    #[derive(Debug)]
    struct Ran {
        code: Option<i32>,
        stdout: String,
        stderr: String,
    }

    /// Runs the program as the server's operator, with `stdin`.
    async fn phoneops(world: &World, arguments: &[&str], stdin: &str) -> Ran {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let data_dir = world.server.socket().parent().expect("the data directory").to_owned();
        let mut command = Command::new(env!("CARGO_BIN_EXE_phoneops"));
        command.env_clear().env("PHONEOPS_DATA_DIR", data_dir).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let stdin = stdin.to_owned();
        let ended = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().expect("the program starts");
            // One that refuses its arguments does not read.
            let _ = child.stdin.take().expect("its stdin").write_all(stdin.as_bytes());
            child.wait_with_output().expect("it ends")
        });
        let output = ended.await.expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    const HOUSE: &str = r#"
[[team]]
name = "api"
members = ["@bea", "@ann"]

[[schedule]]
name = "nights"
team = "api"
zone = "europe/paris"

[[schedule.layers]]
name = "primary"
people = ["@Ann", "@bea"]
shift = "1 week"
first = "2026-11-23T09:00"
hours = ["mon-fri 09:00-18:00"]

[[schedule.layers]]
name = "weekends"
people = ["@bea"]
shift = "1 day"
first = "2026-11-23T09:00"

[[escalation_policy]]
name = "api"
team = "api"
repeats = 2
last_resort = ["@ann"]
steps = [
  {to = ["schedule:nights"], escalate_after_minutes = 5},
  {to = ["team:api", "@ann"], escalate_after_minutes = 10},
]

[[service]]
name = "api"
team = "api"
policy = "api"
settings = {group_by = ["cluster", "alertname"], acknowledgement_seconds = 0}

[[service]]
name = "web"
team = "api"

[[integration]]
service = "api"
name = "prometheus"
kind = "alertmanager"

[[integration]]
service = "web"
name = "deploys"
kind = "generic"
mapping = {summary = "/alert/title", action = {at = "/status", values = {ok = "resolve"}}}

[[integration]]
service = "web"
name = "backup"
kind = "heartbeat"
every_seconds = 3600

[[bot]]
name = "heimdall"
scopes = ["incidents:read", "incidents:write"]

[[bot_limit]]
bot = "heimdall"
users = ["@bea", "@ann"]
teams = ["api"]
actions = [{type = "merge"}, {type = "deploy", target = "stag*"}]
rooms = [{platform = "slack", workspace = "T0ORG", room = "*"}]

[[room]]
bot = "heimdall"
platform = "matrix"
workspace = "example"
room = "!ops:example.org"
team = "api"
service = "web"
only = {environment = "production", "*" = "eu"}
hears = [
  {of = "incidents", team = "api", service = "web", urgency = "high", labels = {severity = "critical"}},
  {of = "approvals", labels = {target = "production"}},
]

[[room]]
bot = "heimdall"
platform = "slack"
workspace = "T0ORG"
room = "C0OPS"
hears = [{of = "approvals"}]
"#;

    pub(crate) async fn a_house_is_brought_to_what_a_file_says_and_back(world: &World) {
        world.newcomer("ann", "Ann Example").await;
        world.newcomer("bea", "Bea Example").await;
        let apply = |text: String, more: &'static [&'static str]| async move {
            phoneops(world, &[&["apply", "-f", "-"], more].concat(), &text).await
        };
        let empty = phoneops(world, &["export"], "").await;
        assert_eq!((empty.code, empty.stdout.trim()), (Some(0), ""), "{empty:?}");

        let first = apply(HOUSE.into(), &["--diff"]).await;
        assert_eq!(first.code, Some(0), "{first:?}");
        for line in
            ["+ team api", "    members: [\"@ann\",\"@bea\"]", "+ schedule nights", "+ escalation policy api", "+ service web"]
        {
            assert!(first.stdout.lines().any(|said| said == line), "{line}: {}", first.stdout);
        }
        assert_eq!(world.db.number("select count(*) from teams").await, 0, "--diff does nothing");
        let asked = apply(HOUSE.into(), &[]).await;
        assert!(asked.code == Some(2) && asked.stderr.contains("say --yes"), "{asked:?}");

        let made = apply(HOUSE.into(), &["--yes"]).await;
        assert!(made.code == Some(0) && made.stdout.ends_with("Made 12 changes\n"), "{made:?}");
        assert!(made.stdout.contains("Token of bot heimdall: pob_"), "{made:?}");
        let key = made.stdout.lines().find_map(|line| line.strip_prefix("Key of integration api/prometheus: ")).unwrap();
        let (key, url) = key.split_once(" for ").unwrap();
        assert!(key.len() == 32 && url.ends_with(&format!("/ingest/{key}/alertmanager")), "{made:?}");
        let again = apply(HOUSE.into(), &["--yes"]).await;
        assert_eq!((again.code, again.stdout.as_str()), (Some(0), "No changes\n"), "{again:?}");

        let exported = phoneops(world, &["export"], "").await.stdout;
        assert!(!exported.contains("pob_") && !exported.contains(key), "{exported}");
        let same = apply(exported.clone(), &["--diff", "--prune"]).await;
        assert_eq!((same.code, same.stdout.as_str()), (Some(0), "No changes\n"), "{same:?} of {exported}");

        let changed = exported
            .replace("escalate_after_minutes = 5", "escalate_after_minutes = 7")
            .replace("/alert/title", "/alert/name")
            .replace("every_seconds = 3600", "every_seconds = 7200")
            .replace("\"@bea\"]\n\n[[bot", "]\n\n[[bot");
        assert_ne!(changed, exported);
        let shown = apply(changed.clone(), &["--diff"]).await;
        assert!(shown.stdout.contains("    steps[0].escalate_after_minutes: 5 → 7\n"), "{shown:?}");
        assert!(
            shown.stdout.contains("~ integration web/deploys\n    mapping.summary: \"/alert/title\" → \"/alert/name\"\n"),
            "{shown:?}"
        );
        assert_eq!(apply(changed.clone(), &["--yes"]).await.code, Some(0));
        assert_eq!(apply(changed, &["--diff"]).await.stdout, "No changes\n");

        // What a file does not mention stays, unless it is pruned; teams always.
        let team = "[[team]]\nname = \"api\"\nmembers = [\"@ann\"]\n";
        assert_eq!(apply(team.into(), &["--yes"]).await.code, Some(0));
        assert_eq!(world.operator.get("/v1/services").await.unwrap().body["services"].as_array().unwrap().len(), 2);
        let pruned = apply(team.into(), &["--yes", "--prune", "--json"]).await;
        assert_eq!(pruned.code, Some(0), "{pruned:?}");
        let told: Value = serde_json::from_str(&pruned.stdout).unwrap();
        let names: Vec<_> = told["changes"].as_array().unwrap().iter().map(|change| change["name"].as_str().unwrap()).collect();
        let gone = ["web/deploys", "web/backup", "api/prometheus", "web", "api", "api", "nights", "heimdall"];
        assert_eq!(names, gone, "{told}");
        let rest = phoneops(world, &["export"], "").await.stdout;
        assert_eq!(apply(rest, &["--diff", "--prune"]).await.stdout, "No changes\n");

        // What cannot be is refused before anything is changed, by line and key.
        for (text, why) in [
            ("[[service]]\nname = \"db\"\nteam = \"dbs\"\n", "-:3: service[0].team: there is no team dbs"),
            ("[[team]]\nname = \"db\"\nmembers = [\"@zoe\"]\n", "-:3: team[0].members[0]: there is no @zoe"),
            (
                "[[integration]]\nservice = \"db\"\nname = \"prom\"\nkind = \"events\"\n",
                "-:2: integration[0].service: there is no service db",
            ),
            ("[[service]]\nname = \"db\"\nteam = \"api\"\nnoise = 3\n", "-:4: service[0].noise: unknown field"),
        ] {
            let refused = apply(text.into(), &["--yes"]).await;
            assert!(refused.code == Some(2) && refused.stderr.contains(why), "{refused:?}");
        }
        // And so is what only the server sees.
        let many = "[[service]]\nname = \"db\"\nteam = \"api\"\n[service.settings]\nreopen_seconds = 86401\n";
        let refused = apply(many.into(), &["--yes"]).await;
        let why = "-:5: service[0].settings.reopen_seconds: must be 0 to 86400";
        assert!(refused.code == Some(2) && refused.stderr.contains(why), "{refused:?}");
    }

    pub(crate) async fn what_is_applied_waits_for_a_passkey_where_it_weakens(world: &World) {
        let ada = world.administrator("ada", "Ada Byron").await;
        world.newcomer("bea", "Bea Example").await;
        let file = |members: &str, factor: &str| {
            format!(
                "[[team]]\nname = \"ops\"\nmembers = [{members}]\n\n[[policy]]\nname = \"production\"\nmatch = {{types = [\"deploy\"]}}\n\
                 require = {{groups = [{{quorum = 1, teams = [\"ops\"]}}], factor = \"{factor}\"}}\n"
            )
        };
        let confirmed = |acts: usize| {
            let ada = &ada;
            async move {
                let mut done = Vec::new();
                while done.len() < acts {
                    let waiting = world.operator.get("/v1/acts").await.unwrap().body;
                    for act in waiting["acts"].as_array().unwrap() {
                        if act["state"] == "waiting" && !done.contains(&act["id"]) {
                            ada.phone.confirm_act(act).await.expect("the act is confirmed");
                            done.push(act["id"].clone());
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let apply = |text: String| async move { phoneops(world, &["apply", "-f", "-", "--yes"], &text).await };
        let (made, ()) = join(apply(file("\"@ada\"", "passkey")), confirmed(1)).await;
        assert!(made.code == Some(0) && made.stderr.contains("This weakens: "), "{made:?}");
        // Another who could approve, and a weaker factor.
        let (made, ()) = join(apply(file("\"@ada\", \"@bea\"", "code")), confirmed(2)).await;
        assert!(made.code == Some(0) && made.stdout.ends_with("Made 2 changes\n"), "{made:?}");
        let exported = phoneops(world, &["export"], "").await.stdout;
        let same = phoneops(world, &["apply", "-f", "-", "--diff", "--prune"], &exported).await;
        assert_eq!(same.stdout, "No changes\n", "{exported}");
    }
}
