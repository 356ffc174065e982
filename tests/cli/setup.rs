//! Services, their keys, escalation policies and maintenance, from a shell.

use super::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn services_and_whom_they_page_are_set_up() {
    let house = House::open().await;
    house.yannick().await;
    house.run(&["user", "add", "@ys", "Ys Example"]).await;
    house.run(&["team", "add", "backend"]).await;
    house.run(&["team", "join", "backend", "@yannick"]).await;
    house.run(&["service", "list"]).await.fails(0, "There is no service yet");
    house.run(&["escalation-policy", "list"]).await.fails(0, "services page their whole team");

    let steps = ["--step", "@ys after 5m", "--step", "team:backend,@ys after 1h", "--repeat", "2", "--last-resort", "@yannick"];
    let create = ["escalation-policy", "create", "api", "--team", "backend"];
    house.run(&[&create[..], &steps].concat()).await.says("Made escalation policy api\n");
    house.run(&["escalation-policy", "edit", "api", "--repeat", "1"]).await.says("Changed escalation policy api\n");
    let shown = "Escalation policy api of team backend\n1.  @ys                for 5 minutes\n2.  team:backend, @ys  for 60 minutes\n\
                 Walked twice; then everybody and @yannick, for ever\n";
    house.run(&["escalation-policy", "show", "api"]).await.says(shown);
    house.run(&["escalation-policy", "list"]).await.says("api  @ys then team:backend,@ys\n");
    let silent = house.run(&["escalation-policy", "create", "web", "--step", "service:api after 5m"]).await;
    silent.fails(1, "steps[0].to[0]: names a service");
    house.run(&["escalation-policy", "create", "web", "--step", "@ys"]).await.fails(2, "expected a step like");

    let create = ["service", "create", "api", "--team", "backend", "--policy", "api", "--group-by", "cluster,alertname"];
    let made = house.run(&create).await;
    assert!(made.stderr.contains("phoneops service key add api"), "{made:?}");
    made.says("Made service api\n");
    house.run(&create).await.fails(1, "the name api is taken");
    let edit = ["service", "edit", "api", "--acknowledgement", "never", "--urgency", "high"];
    house.run(&edit).await.says("Changed service api\n");
    let shown = house.run(&["service", "show", "api"]).await;
    for row in [
        "pages           by policy api",
        "urgency         always wakes people",
        "acknowledged    for good",
        "alerts          one incident within 1 hour where cluster, alertname agree",
        "open incidents  0",
    ] {
        assert!(shown.stdout.lines().any(|line| line == row), "{row}: {}", shown.stdout);
    }
    house.run(&["service", "list"]).await.says("api  team backend  pages by api\n");
    house.run(&["escalation-policy", "remove", "api"]).await.fails(1, "service api still pages by it");
    house.run(&["service", "edit", "api", "--no-policy"]).await.says("Changed service api\n");
    house.run(&["escalation-policy", "remove", "api"]).await.says("Removed escalation policy api\n");
    keys(&house).await;
    maintenance(&house).await;
    house.run(&["service", "remove", "api"]).await.says("Removed service api\n");
    house.run(&["service", "show", "api"]).await.fails(1, "there is no service api");
}

async fn keys(house: &House) {
    house.run(&["service", "key", "list", "api"]).await.fails(0, "Nothing reports api yet");
    let added = house.run(&["service", "key", "add", "api", "prom", "--kind", "alertmanager"]).await;
    let key = added.stdout.lines().nth(1).unwrap().trim_start_matches("Key: ").to_owned();
    assert_eq!(key.len(), 32, "{added:?}");
    let paste = format!("webhook_configs:\n        - url: {}/ingest/{key}/alertmanager\n", house.issuer);
    assert!(added.stdout.contains(&paste), "{added:?}");
    house.run(&["service", "key", "add", "api", "cron", "--kind", "heartbeat"]).await.fails(1, "every_seconds");
    let beats = ["service", "key", "add", "api", "cron", "--kind", "heartbeat", "--every", "1d", "--grace", "30m", "--json"];
    let beats = house.run(&beats).await.json();
    assert_eq!((&beats["every_seconds"], &beats["grace_seconds"]), (&86_400.into(), &1_800.into()));
    let mapping = house.dir.path().join("mapping.json");
    std::fs::write(&mapping, r#"{"summary": "/text"}"#).unwrap();
    let hook = ["service", "key", "add", "api", "hook", "--kind", "generic", "--mapping", mapping.to_str().unwrap(), "--json"];
    assert_eq!(house.run(&hook).await.json()["mapping"]["summary"], "/text");

    let rotated = house.run(&["service", "key", "rotate", "api", "prom", "--overlap", "1h"]).await;
    assert!(rotated.stdout.starts_with("Rotated integration prom of service api: its old key works until "), "{rotated:?}");
    assert!(!rotated.stdout.contains(&key), "{rotated:?}");
    let listed = house.run(&["service", "key", "list", "api"]).await;
    assert!(
        listed.stdout.starts_with("cron  heartbeat     has not beaten yet\nhook  generic\nprom  alertmanager  old key until "),
        "{listed:?}"
    );
    house.run(&["service", "key", "rotate", "api", "prom", "--overlap", "2d"]).await.fails(2, "at most 1d");
    let gone = "Revoked integration prom of service api: its key does not work any more\n";
    house.run(&["service", "key", "revoke", "api", "prom"]).await.says(gone);
    house.run(&["service", "key", "revoke", "api", "prom"]).await.fails(1, "there is no integration prom");
}

async fn maintenance(house: &House) {
    house.run(&["maintenance", "list"]).await.fails(0, "There is no maintenance");
    let start = ["maintenance", "start", "service:api", "--reason", "moving the database"];
    let started = house.run(&[&start[..], &["--for", "2h"]].concat()).await;
    assert!(started.stdout.starts_with("Nobody is paged about service api until "), "{started:?}");
    let planned = ["maintenance", "start", "team:backend", "--from", "2099-01-01T08:00:00Z", "--for", "2h", "--reason", "x"];
    house.run(&planned).await.fails(1, "from: may be at most a year ahead");
    house.run(&start).await.fails(2, "--for");
    house.run(&["maintenance", "start", "@ys", "--for", "2h", "--reason", "x"]).await.fails(2, "service:NAME or team:NAME");
    let listed = house.run(&["maintenance", "list"]).await;
    assert!(
        listed.stdout.contains("  running  service api  ") && listed.stdout.ends_with("  moving the database\n"),
        "{listed:?}"
    );
    let id = listed.stdout.split(' ').next().unwrap();
    house.run(&["maintenance", "end", id]).await.says(&format!("Ended {id}: pages ring again\n"));
    house.run(&["maintenance", "end", id]).await.fails(1, "it is over already");
    let all = house.run(&["maintenance", "list", "--all", "--json"]).await.json();
    assert_eq!(all[0]["state"], "over");
}
