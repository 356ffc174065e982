//! Alerts of monitoring systems, told as stories: what they page, what they do not, and what is kept of it.

mod bodies;
mod hearts;
mod many;
mod setting;

crate::world::stories! {
    an_alert_pages_once_and_is_over_when_its_source_says_so
    what_comes_back_soon_rings_again_and_later_is_another
    alerts_of_one_group_are_one_incident
    what_is_worse_than_it_was_is_louder
    a_storm_is_one_page
    what_flaps_is_over_once_it_is_quiet
    what_is_maintained_pages_when_it_is_over
    maintenance_that_ends_early
    a_heart_that_stops
    a_heart_that_beat_while_nobody_listened
    a_service_is_removed_while_its_heart_beats
    a_group_of_alertmanager
    people_end_what_an_alert_began
    an_alert_of_a_merged_incident
    a_merge_that_was_not_theirs_gives_the_alerts_back
    alerts_come_back_from_wherever_they_went
    nobody_waits_without_a_timer
    two_nodes_hear_of_one_alert_at_once
    nothing_is_refused_that_could_be_meant
    what_cannot_be_meant_is_refused
    what_was_changed_is_recorded
    the_end_of_maintenance_keeps_nobody_waiting
    what_nothing_looks_at_any_more_is_found
    a_report_that_is_always_too_long_is_one_incident
}

mod quota {
    crate::support::engines! { whoever_reports_too_much_is_refused_and_told_of }

    async fn whoever_reports_too_much_is_refused_and_told_of(db: crate::support::TestDb) {
        let world = crate::world::World::start_with(db, &[("PHONEOPS_PAGING_REPORTS_PER_MINUTE", "12")]).await;
        super::many::whoever_reports_too_much_is_refused_and_told_of(&world).await;
        world.end().await;
    }
}

mod stories {
    pub(crate) use super::hearts::{a_heart_that_beat_while_nobody_listened, a_service_is_removed_while_its_heart_beats};
    pub(crate) use super::many::{
        a_report_that_is_always_too_long_is_one_incident, the_end_of_maintenance_keeps_nobody_waiting,
        what_nothing_looks_at_any_more_is_found,
    };
    pub(crate) use crate::alerts::bodies::{
        nothing_is_refused_that_could_be_meant, what_cannot_be_meant_is_refused, what_was_changed_is_recorded,
    };

    use serde_json::{Value, json};

    use crate::alerts::setting::{Monitor, event, only_incident, service, service_with};
    use crate::world::{Bot, Person, World, minutes, seconds};

    pub(crate) async fn an_alert_pages_once_and_is_over_when_its_source_says_so(world: &World) {
        let yannick = service(world).await;
        let heimdall = world.bot("heimdall").await;
        let prometheus = Monitor::of(world, "prometheus", "events").await;
        prometheus.says(&event("trigger", "db1", "The disk of db1 is full")).await;
        let push = yannick.expect_push(world, "The disk of db1 is full").await;
        let incident = only_incident(&heimdall).await;
        let reference = incident["ref"].as_str().unwrap();
        assert!(push.body().starts_with(&format!("Page {reference} from prometheus (api)")), "{}", push.body());
        assert_eq!((&incident["urgency"], &incident["service"]), (&json!("high"), &json!("api")));

        prometheus.says(&event("trigger", "db1", "The disk of db1 is 99% full")).await;
        yannick.expect_silence(world).await;
        let incident = only_incident(&heimdall).await;
        assert_eq!((&incident["title"], &incident["reports"]), (&json!("The disk of db1 is 99% full"), &json!(2)));
        yannick.phone.acknowledge(reference).await.unwrap();
        prometheus.says(&event("trigger", "db1", "The disk of db1 is full")).await;
        world.advance(minutes(5)).await;
        yannick.expect_silence(world).await;
        // Another integration's key is another alert's.
        let other = Monitor::of(world, "grafana-events", "events").await;
        other.says(&event("resolve", "db1", "")).await;
        assert_eq!(only_incident(&heimdall).await["state"], "acknowledged");

        prometheus.says(&event("resolve", "db1", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        prometheus.says(&event("resolve", "db1", "")).await;
        prometheus.says(&event("acknowledge", "nothing", "")).await;
        assert_eq!(heimdall.incident(reference).await["state"], "resolved");
        assert_eq!((world.recorded("incident.retriggered").await, world.recorded("alert.dropped").await), (2, 3));
    }

    pub(crate) async fn what_comes_back_soon_rings_again_and_later_is_another(world: &World) {
        let yannick = service(world).await;
        let heimdall = world.bot("heimdall").await;
        let monitor = Monitor::of(world, "prometheus", "events").await;
        monitor.says(&event("trigger", "a", "Down")).await;
        yannick.expect_push(world, "Down").await;
        monitor.says(&event("resolve", "a", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        world.advance(minutes(5)).await;

        monitor.says(&event("trigger", "a", "Down again")).await;
        yannick.expect_push(world, "Down again").await;
        let again = only_incident(&heimdall).await;
        assert_eq!(again["state"], "triggered", "the same incident goes on");
        monitor.says(&event("acknowledge", "a", "")).await;
        yannick.expect_push(world, "Acknowledged by prometheus (api)").await;
        monitor.says(&event("resolve", "a", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        world.advance(seconds(301)).await;

        monitor.says(&event("trigger", "a", "Down for the third time")).await;
        yannick.expect_push(world, "Down for the third time").await;
        let third = only_incident(&heimdall).await;
        assert_ne!(third["ref"], again["ref"]);
        assert_eq!(world.recorded("incident.reopened").await, 1);
        yannick.phone.resolve(third["ref"].as_str().unwrap()).await.unwrap();
    }

    pub(crate) async fn alerts_of_one_group_are_one_incident(world: &World) {
        let yannick = service_with(world, &json!({"group_by": ["env"], "group_seconds": 600})).await;
        let heimdall = world.bot("heimdall").await;
        let monitor = Monitor::of(world, "prometheus", "events").await;
        let of = |key: &str, env: &str| {
            let mut event = event("trigger", key, &format!("{key} is down"));
            event["payload"]["custom_details"] = json!({"env": env});
            event
        };
        monitor.says(&of("a", "prod")).await;
        yannick.expect_push(world, "a is down").await;
        let reference = only_incident(&heimdall).await["ref"].as_str().unwrap().to_owned();
        monitor.says(&of("b", "prod")).await;
        monitor.says(&of("c", "prod")).await;
        yannick.expect_silence(world).await;
        assert_eq!(heimdall.incident(&reference).await["title"], "c is down");
        yannick.phone.acknowledge(&reference).await.unwrap();
        monitor.says(&of("d", "test")).await;
        yannick.expect_push(world, "d is down").await;
        monitor.says(&event("resolve", "d", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        // It is over when the last of them is.
        monitor.says(&event("resolve", "a", "")).await;
        monitor.says(&event("resolve", "c", "")).await;
        assert_eq!(heimdall.incident(&reference).await["state"], "acknowledged");
        monitor.says(&event("resolve", "b", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        let folded: Vec<_> = world.journal().await.into_iter().filter(|entry| entry["kind"] == "alert.folded").collect();
        assert_eq!((folded.len(), &folded[0]["data"]["rule"]), (2, &json!("group")));
        assert_eq!(world.recorded("alert.resolved").await, 2);

        // A group is as old as its incident.
        monitor.says(&of("e", "prod")).await;
        yannick.expect_push(world, "e is down").await;
        yannick.phone.acknowledge(only_incident(&heimdall).await["ref"].as_str().unwrap()).await.unwrap();
        world.advance(seconds(601)).await;
        monitor.says(&of("f", "prod")).await;
        yannick.expect_push(world, "f is down").await;
        monitor.says(&event("resolve", "f", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        monitor.says(&event("resolve", "e", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
    }

    pub(crate) async fn what_is_worse_than_it_was_is_louder(world: &World) {
        let yannick = service(world).await;
        let heimdall = world.bot("heimdall").await;
        let monitor = Monitor::of(world, "prometheus", "events").await;
        let of = |severity: &str| {
            let mut event = event("trigger", "a", severity);
            event["payload"]["severity"] = json!(severity);
            event
        };
        monitor.says(&of("warning")).await;
        assert_eq!(only_incident(&heimdall).await["urgency"], "low");
        world.settle().await;
        while yannick.phone.next_push(seconds(0)).await.unwrap().is_some() {}
        monitor.says(&of("critical")).await;
        yannick.expect_push(world, "critical").await;
        assert_eq!(only_incident(&heimdall).await["urgency"], "high");
        monitor.says(&of("info")).await;
        assert_eq!(only_incident(&heimdall).await["urgency"], "high", "it never gets quieter by itself");
        monitor.says(&event("resolve", "a", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
    }

    pub(crate) async fn a_storm_is_one_page(world: &World) {
        let yannick = service_with(world, &json!({"group_by": []})).await;
        let heimdall = world.bot("heimdall").await;
        let monitor = Monitor::of(world, "prometheus", "events").await;
        let storm: Vec<_> = (0..50).map(|n| event("trigger", &format!("host-{n}"), "A host is down")).collect();
        futures_util::future::join_all(storm.iter().map(|event| monitor.says(event))).await;
        yannick.expect_push(world, "A host is down").await;
        let incident = only_incident(&heimdall).await;
        assert_eq!(incident["reports"], 50);
        assert_eq!(world.recorded("alert.folded").await, 49);
        yannick.expect_silence(world).await;
        let calm: Vec<_> = (0..50).map(|n| event("resolve", &format!("host-{n}"), "")).collect();
        futures_util::future::join_all(calm.iter().map(|event| monitor.says(event))).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        assert_eq!(heimdall.incident(incident["ref"].as_str().unwrap()).await["state"], "resolved");
    }

    pub(crate) async fn what_flaps_is_over_once_it_is_quiet(world: &World) {
        let yannick = service(world).await;
        let heimdall = world.bot("heimdall").await;
        let monitor = Monitor::of(world, "prometheus", "events").await;
        for turn in 1..=4 {
            monitor.says(&event("trigger", "a", "Link down")).await;
            yannick.expect_push(world, "Link down").await;
            if turn < 4 {
                monitor.says(&event("resolve", "a", "")).await;
                yannick.expect_push(world, "Resolved by prometheus (api)").await;
            }
            world.advance(seconds(30)).await;
        }
        let incident = only_incident(&heimdall).await;
        assert!(incident["details"].as_str().unwrap().contains("Flapping: opened 4 times in 10 minutes."), "{incident}");
        let reference = incident["ref"].as_str().unwrap();
        yannick.phone.acknowledge(reference).await.unwrap();
        assert_eq!(world.recorded("alert.flapping").await, 1);
        // From now on its end is believed once it lasts, and neither its end nor its return is heard on the phone.
        for _ in 0..3 {
            monitor.says(&event("resolve", "a", "")).await;
            world.advance(minutes(4)).await;
            monitor.says(&event("trigger", "a", "Link down")).await;
            yannick.expect_silence(world).await;
        }
        monitor.says(&event("resolve", "a", "")).await;
        world.advance(minutes(1)).await;
        world.advance(minutes(5)).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        assert_eq!(heimdall.incident(reference).await["state"], "resolved");
        assert!(world.recorded("alert.put_off").await >= 1);
    }

    pub(crate) async fn what_is_maintained_pages_when_it_is_over(world: &World) {
        let yannick = service(world).await;
        let heimdall = world.bot("heimdall").await;
        let monitor = Monitor::of(world, "prometheus", "events").await;
        crate::alerts::setting::maintain(world, minutes(60)).await;
        monitor.says(&event("trigger", "a", "a is down")).await;
        monitor.says(&event("trigger", "b", "b is down")).await;
        monitor.says(&event("trigger", "b", "b is down")).await;
        yannick.expect_silence(world).await;
        monitor.says(&event("resolve", "b", "")).await;
        world.advance(minutes(59)).await;
        yannick.expect_silence(world).await;
        world.advance(minutes(1)).await;
        yannick.expect_push(world, "a is down").await;
        let incident = only_incident(&heimdall).await;
        monitor.says(&event("resolve", "a", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        assert_eq!(heimdall.incident(incident["ref"].as_str().unwrap()).await["state"], "resolved");
        let journal = world.journal().await;
        let suppressed: Vec<_> = journal.iter().filter(|entry| entry["kind"] == "alert.suppressed").collect();
        assert_eq!(suppressed.len(), 3);
        assert!(suppressed[0]["data"]["rule"].as_str().unwrap().starts_with("maintenance mnt_"), "{}", suppressed[0]);
        let triggered = journal.iter().find(|entry| entry["kind"] == "incident.triggered").unwrap();
        assert_eq!(triggered["data"]["suppressed_by"], suppressed[0]["data"]["rule"], "the timeline says why it came so late");
    }

    pub(crate) async fn maintenance_that_ends_early(world: &World) {
        let yannick = service(world).await;
        let monitor = Monitor::of(world, "prometheus", "events").await;
        let (long, longer) = (
            crate::alerts::setting::maintain(world, minutes(60)).await,
            crate::alerts::setting::maintain(world, minutes(90)).await,
        );
        monitor.says(&event("trigger", "a", "a is down")).await;
        world.operator.delete(&format!("/v1/maintenance/{longer}")).await.unwrap();
        yannick.expect_silence(world).await;
        world.operator.delete(&format!("/v1/maintenance/{long}")).await.unwrap();
        yannick.expect_push(world, "a is down").await;
        monitor.says(&event("resolve", "a", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        world.advance(minutes(120)).await;
        yannick.expect_silence(world).await;
    }

    pub(crate) async fn a_heart_that_stops(world: &World) {
        let yannick = service(world).await;
        let heimdall = world.bot("heimdall").await;
        let backup = Monitor::of(world, "backup", "heartbeat").await;
        world.advance(minutes(60)).await;
        yannick.expect_silence(world).await;
        for _ in 0..10 {
            backup.beats().await;
            world.advance(seconds(60)).await;
        }
        assert_eq!(world.db.number("select count(*) from jobs where kind = 'heartbeat'").await, 1, "one job for all beats");
        yannick.expect_silence(world).await;
        world.advance(minutes(4)).await;
        yannick.expect_push(world, "No heartbeat from backup (api) for 5 min").await;
        yannick.phone.acknowledge(only_incident(&heimdall).await["ref"].as_str().unwrap()).await.unwrap();
        world.advance(minutes(10)).await;
        backup.beats().await;
        yannick.expect_push(world, "Resolved by backup (api)").await;
        world.advance(seconds(299)).await;
        yannick.expect_silence(world).await;
        backup.beats().await;
        world.operator.delete("/v1/services/api/integrations/backup").await.unwrap();
        world.advance(minutes(10)).await;
        assert_eq!(world.db.number("select count(*) from jobs where kind = 'heartbeat'").await, 0);
    }

    pub(crate) async fn a_group_of_alertmanager(world: &World) {
        let yannick = service(world).await;
        let heimdall = world.bot("heimdall").await;
        let monitor = Monitor::of(world, "prometheus", "alertmanager").await;
        let group = |status: &str, hosts: &[&str]| {
            let one = |host: &&str| {
                json!({"status": status, "labels": {"alertname": "DiskFull", "instance": host}, "annotations": {"summary": format!("{host} is full")},
                    "startsAt": "2026-01-01T00:00:00Z", "fingerprint": "0123456789abcdef", "generatorURL": "http://prom.example/graph"})
            };
            json!({"receiver": "phone", "status": status, "alerts": hosts.iter().map(one).collect::<Vec<Value>>(),
                "groupLabels": {"alertname": "DiskFull"}, "commonLabels": {"alertname": "DiskFull", "severity": "critical"},
                "commonAnnotations": {}, "externalURL": "http://am.example:9093", "version": "4",
                "groupKey": "{}:{alertname=\"DiskFull\"}", "truncatedAlerts": 0})
        };
        monitor.says(&group("firing", &["db1"])).await;
        yannick.expect_push(world, "db1 is full").await;
        monitor.says(&group("firing", &["db1", "db2"])).await;
        monitor.says(&group("firing", &["db1", "db2"])).await;
        yannick.expect_silence(world).await;
        let incident = only_incident(&heimdall).await;
        assert_eq!(incident["title"], "DiskFull (2 alerts)");
        assert!(incident["details"].as_str().unwrap().contains("db2 is full"), "{incident}");
        monitor.says(&group("resolved", &["db1", "db2"])).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
    }

    pub(crate) async fn people_end_what_an_alert_began(world: &World) {
        let yannick = service(world).await;
        let heimdall = world.bot("heimdall").await;
        let monitor = Monitor::of(world, "prometheus", "events").await;
        monitor.says(&event("trigger", "a", "Down")).await;
        yannick.expect_push(world, "Down").await;
        let first = only_incident(&heimdall).await;
        yannick.phone.resolve(first["ref"].as_str().unwrap()).await.unwrap();
        monitor.says(&event("resolve", "a", "")).await;
        yannick.expect_silence(world).await;
        world.advance(minutes(6)).await;
        monitor.says(&event("trigger", "a", "Down")).await;
        yannick.expect_push(world, "Down").await;
        let second = only_incident(&heimdall).await;
        assert_ne!(first["ref"], second["ref"]);
        yannick.phone.resolve(second["ref"].as_str().unwrap()).await.unwrap();
        world.advance(minutes(6)).await;
        // It was never said to be over, and is another all the same.
        monitor.says(&event("trigger", "a", "Down")).await;
        yannick.expect_push(world, "Down").await;
        monitor.says(&event("resolve", "a", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        assert_eq!(world.db.number("select count(*) from alerts where state = 'closed'").await, 3);
    }

    pub(crate) async fn an_alert_of_a_merged_incident(world: &World) {
        let yannick = service(world).await;
        let heimdall = world.bot("heimdall").await;
        let monitor = Monitor::of(world, "prometheus", "events").await;
        monitor.says(&event("trigger", "a", "a is down")).await;
        yannick.expect_push(world, "a is down").await;
        let a = only_incident(&heimdall).await;
        monitor.says(&event("trigger", "b", "b is down")).await;
        yannick.expect_push(world, "b is down").await;
        // As people merge them.
        world.db.raw("update incidents set state = 'resolved', since_at = null, rung_at = null, timer_at = null, acted_at = created_at,
            acted_by = (select id from users where handle = 'yannick'),
            merged_into_id = (select id from incidents where title = 'b is down') where title = 'a is down'").await;
        monitor.says(&event("resolve", "b", "")).await;
        monitor.says(&event("trigger", "a", "a is still down")).await;
        world.settle().await;
        let heir = only_incident(&heimdall).await;
        assert_ne!(heir["ref"], a["ref"]);
        assert_eq!(heir["title"], "a is still down");
        yannick.phone.next_push(seconds(2)).await.unwrap();
        yannick.phone.next_push(seconds(2)).await.unwrap();
        monitor.says(&event("resolve", "a", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
    }

    /// The reference of the incident with this title.
    async fn titled(bot: &Bot, title: &str) -> String {
        let listed = bot.client.get("/v1/incidents").await.expect("the incidents").body;
        let found = listed["incidents"].as_array().unwrap().iter().find(|incident| incident["title"] == title);
        found.unwrap_or_else(|| panic!("no {title}: {listed}"))["ref"].as_str().unwrap().to_owned()
    }

    /// The bot merges one incident into another as yannick.
    async fn merge(world: &World, bot: &Bot, yannick: &Person, from: &str, into: &str) {
        let body = json!({"into": into, "actor": yannick.handle});
        bot.client.post(&format!("/v1/incidents/{from}/merge"), &body).await.expect("they are merged");
        yannick.expect_pushes(world, &["Merged as you via heimdall", "Merged by Yannick Schutz"]).await;
    }

    async fn told(person: &Person, reference: &str) -> Vec<String> {
        let body = person.phone.get(&format!("/v1/incidents/{reference}/timeline?limit=500")).await.unwrap().body;
        body["lines"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn a_merge_that_was_not_theirs_gives_the_alerts_back(world: &World) {
        let yannick = service(world).await;
        let heimdall = world.bot("heimdall").await;
        let monitor = Monitor::of(world, "prometheus", "events").await;
        for key in ["a", "b"] {
            let title = format!("{key} is down");
            monitor.says(&event("trigger", key, &title)).await;
            yannick.expect_push(world, &title).await;
        }
        let (a, b) = (titled(&heimdall, "a is down").await, titled(&heimdall, "b is down").await);
        merge(world, &heimdall, &yannick, &b, &a).await;
        assert_eq!(heimdall.incident(&a).await["reports"], 2);
        // Its own alert is over, and the one that went along holds it open.
        monitor.says(&event("resolve", "a", "")).await;
        yannick.expect_silence(world).await;
        assert_eq!(only_incident(&heimdall).await["ref"], a.as_str());

        let disowned = yannick.phone.not_me(&b).await.unwrap();
        assert_eq!(disowned, json!({"act": "incident.merged", "undone": true}));
        yannick.expect_pushes(world, &["b is down", "Resolved by prometheus (api)"]).await;
        assert_eq!(only_incident(&heimdall).await["ref"], b.as_str(), "nothing of its own held the other open");
        assert_eq!(heimdall.incident(&a).await["reports"], 1);
        assert!(told(&yannick, &b).await.contains(&format!("It goes on apart from {a}, and has its open alert back")));
        let gave = format!("Yannick Schutz says that merging {b} was not them: it goes on apart, with an open alert");
        assert!(told(&yannick, &a).await.contains(&gave));
        // What its source says is said of it again.
        monitor.says(&event("trigger", "b", "b is still down")).await;
        assert_eq!(only_incident(&heimdall).await["title"], "b is still down");
        monitor.says(&event("resolve", "b", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        assert_eq!(heimdall.incident(&b).await["state"], "resolved");
    }

    pub(crate) async fn alerts_come_back_from_wherever_they_went(world: &World) {
        let yannick = service(world).await;
        let heimdall = world.bot("heimdall").await;
        let monitor = Monitor::of(world, "prometheus", "events").await;
        let mut refs = Vec::new();
        for key in ["a", "b", "c"] {
            let title = format!("{key} is down");
            monitor.says(&event("trigger", key, &title)).await;
            yannick.expect_push(world, &title).await;
            refs.push(titled(&heimdall, &title).await);
        }
        let (a, b, c) = (&refs[0], &refs[1], &refs[2]);
        merge(world, &heimdall, &yannick, a, b).await;
        merge(world, &heimdall, &yannick, b, c).await;
        assert_eq!(heimdall.incident(c).await["reports"], 3);
        assert_eq!(yannick.phone.not_me(a).await.unwrap()["undone"], true);
        yannick.expect_push(world, "a is down").await;
        assert_eq!((&heimdall.incident(b).await["merged_into"], &heimdall.incident(c).await["reports"]), (&json!(c), &json!(2)));
        assert!(told(&yannick, a).await.contains(&format!("It goes on apart from {b}, and has its open alert back")));
        assert!(
            told(&yannick, c)
                .await
                .contains(&format!("Yannick Schutz says that merging {a} was not them: it goes on apart, with an open alert"))
        );
        // The one that went the other way stays where it is, and holds that open.
        monitor.says(&event("resolve", "a", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        monitor.says(&event("resolve", "c", "")).await;
        yannick.expect_silence(world).await;
        assert_eq!(only_incident(&heimdall).await["ref"], c.as_str());
        // What is over by then is not open again.
        monitor.says(&event("resolve", "b", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        assert_eq!(yannick.phone.not_me(b).await.unwrap()["undone"], true);
        yannick.expect_push(world, "b is down").await;
        assert!(told(&yannick, b).await.contains(&format!("It goes on apart from {c}, where no open alert of it was left")));
        yannick.phone.resolve(b).await.unwrap();
    }

    pub(crate) async fn nobody_waits_without_a_timer(world: &World) {
        let yannick = service(world).await;
        let heimdall = world.bot("heimdall").await;
        let (monitor, backup) =
            (Monitor::of(world, "prometheus", "events").await, Monitor::of(world, "backup", "heartbeat").await);
        crate::alerts::setting::maintain(world, minutes(2)).await;
        monitor.says(&event("trigger", "a", "a is down")).await;
        backup.beats().await;
        // What a buried job leaves behind is found.
        world.db.raw("delete from jobs where kind in ('alert_timer', 'heartbeat')").await;
        world.advance(seconds(125)).await;
        yannick.expect_push(world, "a is down").await;
        monitor.says(&event("resolve", "a", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
        world.advance(minutes(4)).await;
        yannick.expect_push(world, "No heartbeat from backup (api) for 6 min").await;
        yannick.phone.resolve(only_incident(&heimdall).await["ref"].as_str().unwrap()).await.unwrap();
    }

    pub(crate) async fn two_nodes_hear_of_one_alert_at_once(world: &World) {
        let yannick = service(world).await;
        let monitor = Monitor::of(world, "prometheus", "events").await;
        let second = crate::alerts::setting::second_node(world).await;
        let bases: Vec<&str> =
            [Some(world.server.issuer()), second.as_ref().map(|node| node.url.as_str())].into_iter().flatten().collect();
        let down = event("trigger", "a", "Down");
        let said = (0..20).map(|at| monitor.says_to(bases[at % bases.len()], &down));
        futures_util::future::join_all(said).await;
        assert_eq!(world.db.number("select count(*) from incidents").await, 1);
        assert_eq!(world.db.number("select reports from alerts").await, 20);
        if let Some(node) = second {
            node.stop().await;
        }
        yannick.expect_push(world, "Down").await;
        monitor.says(&event("resolve", "a", "")).await;
        yannick.expect_push(world, "Resolved by prometheus (api)").await;
    }
}
