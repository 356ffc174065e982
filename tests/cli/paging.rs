//! Pages and incidents, as a chat's bot works them from a shell.

use std::time::Duration;

use super::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_rings_until_somebody_ends_it() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    house.run(&["user", "add", "@zoe", "Zoë Lang"]).await;
    house.bot(&token, &["incident", "list"]).await.fails(0, "No incident is open");

    let text = [
        "page",
        "@yannick,@zoe",
        "All your apps are down",
        "--details",
        "5xx everywhere",
        "--link",
        "https://status.example.com",
    ];
    let paged = house.bot(&token, &text).await;
    let reference = paged.stdout.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    let unreachable = "Unreachable, with no phone that rings: Zoë Lang";
    paged.says(&format!("Paged Yannick Schutz: Incident {reference}\n{unreachable}\n"));
    let push = yannick.next_push(Duration::from_secs(10)).await.unwrap();
    let push = push.unwrap_or_else(|| panic!("the phone does not ring: {}", house.log()));
    assert_eq!((push.kind(), push.title()), ("page", "All your apps are down"));

    let listed = house.bot(&token, &["incident", "list"]).await;
    assert!(listed.stdout.starts_with(&format!("{reference}  triggered  ")), "{listed:?}");
    let on = |verb: &'static str| {
        let (house, token, reference) = (&house, &token, reference.to_lowercase());
        async move { house.bot(token, &["incident", verb, &reference, "--actor", "@yannick"]).await }
    };
    on("ack").await.says(&format!("Incident {reference} acknowledged\n"));
    // Longer than a call takes on a busy machine: only then is it told from an acknowledgement of its own.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let again = on("ack").await;
    assert!(again.stdout.starts_with(&format!("{reference} was already acknowledged by Yannick Schutz ")), "{again:?}");
    assert!(again.stdout.ends_with(" seconds ago\n"), "{again:?}");
    on("resolve").await.says(&format!("Incident {reference} resolved\n"));
    let late = on("ack").await;
    late.fails(1, &format!("phoneops: {reference} was already resolved by Yannick Schutz "));

    let shown = house.bot(&token, &["incident", "show", &reference]).await;
    assert!(shown.stdout.contains("    5xx everywhere\n    https://status.example.com\n"), "{shown:?}");
    assert!(shown.stdout.contains("Resolved by Yannick Schutz via heimdall "), "{shown:?}");
    assert!(shown.stdout.contains("    1. Yannick Schutz, Zoë Lang for "), "{shown:?}");
    assert!(shown.stdout.contains("  Yannick Schutz via heimdall acknowledged it\n"), "{shown:?}");
    house.bot(&token, &["incident", "list"]).await.says("");
    let all = house.bot(&token, &["incident", "list", "--all", "--json"]).await.json();
    assert_eq!((&all[0]["ref"], &all[0]["state"]), (&reference.as_str().into(), &"resolved".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_done_to_an_incident_is_done_from_a_shell() {
    let house = House::open().await;
    let (_yannick, token) = (house.yannick().await, house.heimdall().await);
    house.run(&["user", "add", "@zoe", "Zoë Lang"]).await;
    house.run(&["user", "add", "@eve", "Eve Holt"]).await;
    house.run(&["team", "add", "ops"]).await;
    house.run(&["team", "join", "ops", "@yannick"]).await;
    let paged = house.bot(&token, &["page", "team:ops", "Disk full", "--json"]).await.json();
    let reference = paged["ref"].as_str().unwrap().to_owned();
    let on = async |verb: &str, more: &[&str]| {
        let arguments = [&["incident", verb, &reference], more, &["--actor", "@yannick"]].concat();
        house.bot(&token, &arguments).await
    };
    on("snooze", &["30m"]).await.says(&format!("Incident {reference} snoozed: it rings in 30 minutes\n"));
    on("snooze", &["1w"]).await.fails(2, "expected a time like");
    on("snooze", &["8d"]).await.fails(1, "1 minute to 7 days");
    on("wake", &[]).await.says(&format!("Incident {reference} rings\n"));
    on("urgency", &["low"]).await.says(&format!("Incident {reference} has low urgency\n"));
    on("note", &["the disk is full"]).await.says(&format!("Noted on {reference}\n"));
    let nobody = on("escalate", &["@zoe", "--message", "I need some help"]).await;
    let unreachable = "Unreachable, with no phone that rings: Zoë Lang";
    assert!(nobody.stdout.ends_with(&format!("{unreachable}\n")), "{nobody:?}");
    let handed = on("reassign", &["@yannick"]).await;
    handed.says(&format!("Paged Yannick Schutz: Incident {reference}\n"));
    on("reassign", &["@yannick"]).await.says(&format!("Nothing changed: {reference} is with them already\n"));
    let asked = on("add", &["@zoe"]).await;
    assert_eq!(asked.code, Some(1), "{asked:?}");
    on("add", &["service:nothing"]).await.fails(1, "there is no service:nothing");

    let other = house.bot(&token, &["page", "@yannick", "Disk full", "--json"]).await.json();
    let other = other["ref"].as_str().unwrap().to_owned();
    let listed = house.bot(&token, &["incident", "list", "--state", "triggered", "--urgency", "high", "--json"]).await.json();
    assert_eq!((&listed[0]["ref"], listed.as_array().unwrap().len()), (&other.as_str().into(), 1));
    house.bot(&token, &["ack", "--all"]).await.fails(2, "--actor");
    let taken = house.bot(&token, &["ack", "--all", "--actor", "@yannick"]).await;
    taken.says(&format!("Incident {reference} acknowledged\nIncident {other} acknowledged\n"));
    house.bot(&token, &["ack", "--all", "--actor", "@yannick"]).await.fails(0, "Nothing rings for you");
    on("merge", &[&other]).await.says(&format!("Incident {reference} goes on as {other}\n"));
    on("reopen", &[]).await.fails(1, "merged into another incident");
    house.bot(&token, &["ack", &other, "--actor", "@eve"]).await.fails(4, "may act on it");

    let told = house.bot(&token, &["incident", "timeline", &reference]).await;
    for line in [
        "heimdall opened it: Disk full. Rang Yannick Schutz (ring 1)",
        "Yannick Schutz via heimdall snoozed it until ",
        "Yannick Schutz via heimdall woke it. Rang Yannick Schutz (ring 2)",
        "Yannick Schutz via heimdall noted: the disk is full",
        "Yannick Schutz via heimdall escalated it to Zoë Lang: I need some help. Rang nobody (ring 3); could not reach Zoë Lang",
        &format!("Yannick Schutz via heimdall merged it into {other}"),
    ] {
        assert!(told.stdout.contains(&format!("  {line}")), "{line}: {}", told.stdout);
    }
    let told = house.bot(&token, &["incident", "timeline", &reference, "--json"]).await.json();
    assert_eq!((&told[0]["kind"], &told[0]["facts"]["ref"]), (&"incident.triggered".into(), &reference.as_str().into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_each_push_came_is_shown() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let paged = house.bot(&token, &["page", "@yannick", "Disk full"]).await;
    let reference = paged.stdout.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    // The phone says by itself what it shows.
    assert!(yannick.next_push(Duration::from_secs(10)).await.unwrap().is_some(), "{}", house.log());
    let delivered = house.bot(&token, &["deliveries", &reference.to_lowercase()]).await;
    let row = "  Yannick Schutz  ring 1  Yannick's phone (web_push)  displayed  accepted after ";
    assert!(
        delivered.code == Some(0) && delivered.stdout.contains(row) && delivered.stdout.contains(", displayed after "),
        "{delivered:?}"
    );
    let all = house.bot(&token, &["deliveries", &reference, "--json"]).await.json();
    assert_eq!(
        (&all[0]["state"], &all[0]["to"]["handle"], all.as_array().unwrap().len()),
        (&"displayed".into(), &"yannick".into(), 1)
    );
    house.bot(&token, &["deliveries", "X1"]).await.fails(2, "expected a reference like P7K3M2X, or an approval like apr_");
    house.bot(&token, &["deliveries", "P000000"]).await.fails(1, "there is no incident P000000");

    let request = ["request", "deploy", "production", "--for", "@yannick", "--json"];
    let asked = house.bot(&token, &request).await.json();
    assert!(yannick.next_push(Duration::from_secs(10)).await.unwrap().is_some(), "{}", house.log());
    let delivered = house.bot(&token, &["deliveries", asked["id"].as_str().unwrap()]).await;
    assert!(delivered.code == Some(0) && delivered.stdout.contains(row), "{delivered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_was_faster_is_named() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    house.run(&["user", "add", "@zoe", "Zoë Lang"]).await;
    let page =
        house.bot(&token, &["page", "@yannick", "Disk full", "--urgency", "low", "--actor", "@zoe", "--json"]).await.json();
    assert_eq!((&page["urgency"], &page["paged"][0]["handle"]), (&"low".into(), &"yannick".into()));
    let reference = page["ref"].as_str().unwrap();
    yannick.acknowledge(reference).await.unwrap();
    let zoe = house.bot(&token, &["incident", "ack", reference, "--actor", "@zoe"]).await;
    let already = format!("{reference} was already acknowledged by Yannick Schutz ");
    assert!(zoe.code == Some(0) && zoe.stdout.starts_with(&already), "{zoe:?}");
    let resolved = house.bot(&token, &["incident", "resolve", reference, "--actor", "@zoe", "--json"]).await.json();
    assert_eq!(resolved["acted"]["by"]["handle"], "zoe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_rings_nowhere_says_so_and_is_no_success() {
    let house = House::open().await;
    let token = house.heimdall().await;
    house.run(&["user", "add", "@zoe", "Zoë Lang"]).await;
    let ran = house.bot(&token, &["page", "@zoe", "Disk full"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.starts_with("Nobody was paged, but incident P"), "{ran:?}");
    assert!(ran.stdout.ends_with("Unreachable, with no phone that rings: Zoë Lang\n"), "{ran:?}");

    house.bot(&token, &["page", "@nobody", "x"]).await.fails(1, "there is no @nobody");
    house.bot(&token, &["page", "@zoe", "x", "--link", "not a link"]).await.fails(1, "links[0]");
    house.bot(&token, &["page", "@zoe", "x", "--urgency", "loud"]).await.fails(2, "loud");
    house.bot(&token, &["page", "@zoe"]).await.fails(2, "<TITLE>");
    house.bot(&token, &["incident", "ack", "P000000", "--actor", "@zoe"]).await.fails(1, "there is no incident P000000");
    house.bot(&token, &["incident", "ack", "P000000"]).await.fails(2, "--actor");
    house.bot(&token, &["incident", "show", "X1"]).await.fails(2, "expected a reference like P7K3M2X");
    house.bot("pob_wrong", &["incident", "list"]).await.fails(4, "the token is not known");
}
