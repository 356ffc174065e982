//! Schedules, overrides and who is on call, as an operator and a bot work them from a shell.

use std::fs::write;

use super::house::House;

const NIGHTS: &str = "zone = \"Europe/Paris\"\nteam = \"ops\"\n[[layers]]\nname = \"primary\"\npeople = [\"@yannick\", \"@zoe\"]\n\
                      shift = \"1 week\"\nfirst = \"2026-01-05T09:00\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_made_shown_overridden_and_removed() {
    let house = House::open().await;
    let (_phone, token) = (house.yannick().await, house.heimdall().await);
    house.run(&["user", "add", "@zoe", "Zoë Lang"]).await;
    house.run(&["team", "add", "ops"]).await;
    let none = house.run(&["schedule", "list"]).await;
    assert!(none.stderr.contains("There is no schedule yet"), "{none:?}");
    write(house.dir.path().join("nights.toml"), NIGHTS).unwrap();

    house.run(&["schedule", "create", "nights", "nights.toml"]).await.says("Created schedule nights\n");
    house.run(&["schedule", "create", "nights", "nights.toml"]).await.fails(1, "the schedule nights is there already");
    house.run(&["schedule", "list"]).await.says("nights  Europe/Paris  team ops  primary: @yannick @zoe\n");
    let shown = house.run(&["schedule", "show", "nights", "--from", "2026-01-05", "--days", "8"]).await;
    let lines: Vec<_> = shown.stdout.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "nights, by the clock of Europe/Paris, team ops",
            "Mon 05 Jan  00:00-09:00  nobody    !! gap",
            "            09:00-24:00  @yannick  primary",
            "Tue 06 Jan  00:00-24:00  @yannick  primary",
        ]
    );
    assert!(lines.last().unwrap().ends_with("09:00-24:00  @zoe      primary") && !shown.stdout.contains('\x1b'), "{shown:?}");
    let json = house.bot(&token, &["schedule", "show", "nights", "--json"]).await.json();
    assert_eq!((&json["zone"], json["shifts"].as_array().map(Vec::is_empty)), (&"Europe/Paris".into(), Some(false)));

    let add = ["override", "add", "nights", "@zoe", "--for", "60m"];
    let taken = house.run(&add).await;
    assert!(taken.stdout.starts_with("Zoë Lang has the pager of nights until "), "{taken:?}");
    let on = house.bot(&token, &["on-call", "--schedule", "nights"]).await;
    assert!(on.stdout.starts_with("nights  @zoe until "), "{on:?}");
    let on = house.bot(&token, &["on-call", "--team", "ops", "--json"]).await.json();
    assert_eq!((&on[0]["now"]["who"]["handle"], &on[0]["now"]["made_by"]), (&"zoe".into(), &"the operator".into()));
    let overrides = house.run(&["override", "list", "nights", "--json"]).await.json();
    let id = overrides[0]["id"].as_str().unwrap();
    house.run(&["override", "remove", "nights", id]).await.says(&format!("Removed {id}\n"));
    assert!(house.run(&["override", "list", "nights"]).await.stderr.contains("There is no override"));
    house.run(&["override", "add", "nights", "@zoe"]).await.fails(2, "--for");
    house.run(&["override", "add", "nights", "--for", "60m"]).await.fails(1, "user");

    write(house.dir.path().join("nights.toml"), NIGHTS.replace("1 week", "1 day")).unwrap();
    house.run(&["schedule", "edit", "nights", "-f", "nights.toml"]).await.says("Changed schedule nights\n");
    house.run(&["schedule", "edit", "night", "-f", "nights.toml"]).await.fails(1, "there is no schedule night");
    write(house.dir.path().join("nights.toml"), NIGHTS.replace("@zoe", "@nobody")).unwrap();
    house.run(&["schedule", "edit", "nights", "-f", "nights.toml"]).await.fails(1, "layers[0].people[1]");
    write(house.dir.path().join("nights.toml"), NIGHTS.replace("1 week", "weekly")).unwrap();
    house.run(&["schedule", "edit", "nights", "-f", "nights.toml"]).await.fails(2, "layers[0].shift");
    house.run(&["schedule", "remove", "nights"]).await.says("Removed schedule nights\n");
    house.bot(&token, &["on-call", "--schedule", "nights"]).await.fails(1, "there is no schedule nights");
}
