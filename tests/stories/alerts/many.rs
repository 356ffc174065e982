//! Very many alerts at once: nobody waits behind them, and none is lost.

use serde_json::{Value, json};

use super::setting::{Monitor, event, maintain, service, service_with};
use crate::world::raw::{As, Raw, Seen};
use crate::world::{World, minutes, seconds};

/// A report of so many alerts, the first of which has that number.
fn report(first: usize, count: usize) -> Value {
    (first..first + count)
        .map(|number| json!({"key": format!("disk-{number}"), "summary": format!("Disk {number} fills up")}))
        .collect()
}

async fn open(world: &World) -> i64 {
    world.db.number("select count(*) from incidents where state = 'triggered'").await
}

pub(crate) async fn the_end_of_maintenance_keeps_nobody_waiting(world: &World) {
    let yannick = service_with(world, &json!({"urgency": "low"})).await;
    let heimdall = world.bot("heimdall").await;
    let monitor = Monitor::of(world, "hooks", "generic").await;
    let window = maintain(world, minutes(60)).await;
    monitor.says(&report(0, 100)).await;
    monitor.says(&report(100, 50)).await;
    assert_eq!(world.db.number("select count(*) from alerts where incident_id is null").await, 150);
    let timers = "select count(*) from jobs where kind = 'alert_timer'";
    assert_eq!(world.db.number(timers).await, 0, "the window's end is what they all wait for");

    world.operator.delete(&format!("/v1/maintenance/{window}")).await.expect("it ends");
    world.settle().await;
    let part = open(world).await;
    assert!((1..=64).contains(&part), "a part of them at once: {part}");
    let urgent = heimdall.page(&yannick, "All your apps are down").await;
    yannick.expect_push(world, "All your apps are down").await;
    yannick.phone.resolve(&urgent).await.unwrap();

    world.advance(seconds(5)).await;
    assert_eq!(open(world).await, 150, "and in the end all of them");
    assert_eq!(world.db.number("select count(*) from incidents").await, 151, "each once");
    world.advance(minutes(5)).await;
    yannick.expect_push(world, "150 low-urgency incidents").await;
    for first in [0, 75] {
        let over = |number| json!({"key": format!("disk-{number}"), "action": "resolve"});
        monitor.says(&(first..first + 75).map(over).collect()).await;
    }
    yannick.expect_push(world, "Answered").await;
    assert_eq!(open(world).await, 0);
}

pub(crate) async fn what_nothing_looks_at_any_more_is_found(world: &World) {
    let yannick = service_with(world, &json!({})).await;
    let monitor = Monitor::of(world, "prometheus", "events").await;
    // One window that runs, and one that is yet to come.
    maintain(world, minutes(60)).await;
    let later = world.clock.now().after(minutes(600));
    let planned = json!({"service": "api", "from": later, "for_seconds": 60, "reason": "later"});
    assert_eq!(world.operator.post("/v1/maintenance", &planned).await.expect("a window").status, 201);
    monitor.says(&event("trigger", "a", "a is down")).await;
    world.advance(minutes(2)).await;
    yannick.expect_silence(world).await;
    // It ended, and the job that should have looked again was buried.
    world.db.raw("update maintenance_windows set ended_at = until_at where until_at < 1800010000000000").await;
    world.db.raw("delete from jobs where kind = 'maintenance_over' and due_at < 1800010000000000").await;
    world.advance(minutes(1)).await;
    yannick.expect_push(world, "a is down").await;
    monitor.says(&event("resolve", "a", "")).await;
    yannick.expect_push(world, "Resolved by prometheus (api)").await;
}

pub(crate) async fn a_report_that_is_always_too_long_is_one_incident(world: &World) {
    service_with(world, &json!({"urgency": "low"})).await;
    let monitor = Monitor::of(world, "hooks", "generic").await;
    for _ in 0..3 {
        monitor.says(&report(0, 103)).await;
    }
    assert_eq!(open(world).await, 101, "a hundred, and one that says that there are more");
    let over = (0..100).map(|number| json!({"key": format!("disk-{number}"), "action": "resolve"}));
    monitor.says(&over.chain([json!({"key": "phoneops:more", "action": "resolve"})]).collect()).await;
    assert_eq!(open(world).await, 1, "the last of these is beyond a hundred itself");
    monitor.says(&json!({"key": "phoneops:more", "action": "resolve"})).await;
}

/// What a monitor is told.
async fn told(world: &World, monitor: &Monitor<'_>, body: &Value) -> Seen {
    let mut body = body.clone();
    if monitor.path() == "/v2/enqueue" {
        body["routing_key"] = json!(monitor.key);
    }
    Raw::new(world).shot(As::Nobody, "POST", &monitor.path()).json(&body).fire().await
}

pub(crate) async fn whoever_reports_too_much_is_refused_and_told_of(world: &World) {
    let yannick = service(world).await;
    let monitor = Monitor::of(world, "prometheus", "events").await;
    for _ in 0..12 {
        monitor.says(&event("trigger", "a", "a is down")).await;
    }
    yannick.expect_push(world, "a is down").await;
    // One that is new is refused: it is not lost without a word, and its sender tries again.
    for _ in 0..3 {
        let refused = told(world, &monitor, &event("trigger", "b", "b is down")).await.expect_refusal(429, "over_quota");
        assert_eq!(refused.headers["retry-after"], "5");
    }
    yannick.expect_push(world, "prometheus (api) is over its quota: reports are refused").await;
    yannick.expect_silence(world).await;
    // Others are not kept from reporting, and Alertmanager hears the one status that it retries.
    let other = Monitor::of(world, "alertmanager", "alertmanager").await;
    let group = json!({"status": "firing", "groupKey": "g", "alerts": [], "commonAnnotations": {"summary": "c is down"}});
    for _ in 0..12 {
        assert_eq!(told(world, &other, &group).await.status, 202);
    }
    told(world, &other, &group).await.expect_refusal(503, "over_quota");
    let status = world.db.number("select count(*) from incidents").await;
    assert_eq!(status, 4, "a and c, and one for each quota");

    world.advance(seconds(5)).await;
    monitor.says(&event("trigger", "b", "b is down")).await;
    let b = "select count(*) from incidents where title = 'b is down'";
    assert_eq!(world.db.number(b).await, 1, "it is taken when it is sent again");
    world.advance(seconds(50)).await;
    monitor.says(&event("resolve", "b", "")).await;
    world.settle().await;
    let open = "select count(*) from incidents where state <> 'resolved' and title like 'prometheus%'";
    assert_eq!(world.db.number(open).await, 0, "it is within its quota again");
    // What rings by then is a storm, and no part of this.
    yannick.phone.post("/v1/me/acknowledge-all", &json!({})).await.unwrap();
    world.settle().await;
    while yannick.phone.next_push(seconds(1)).await.unwrap().is_some() {}
}
