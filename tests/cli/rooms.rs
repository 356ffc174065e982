//! Rooms of chat, what they hear of, and what bots may ask, from a shell.

use std::time::Duration;

use phoneops::sim::phone::Phone;
use serde_json::{Value, json};

use super::house::{House, Running};

const AT: &str = "irc:example:#ops";

/// A house with team ops, its service api, and a bot.
async fn house() -> (House, Phone) {
    let house = House::open().await;
    let yannick = house.yannick().await;
    for arguments in [
        &["team", "add", "ops"][..],
        &["team", "join", "ops", "@yannick"],
        &["service", "create", "api", "--team", "ops"],
        &["bot", "add", "heimdall"],
    ] {
        let ran = house.run(arguments).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    (house, yannick)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_set_up_subscribed_narrowed_and_forgotten() {
    let (house, _yannick) = house().await;
    let none = house.run(&["room", "list"]).await;
    assert!(none.stderr.contains("Nothing holds in any room yet"), "{none:?}");
    house.run(&["room", "show", "heimdall", AT]).await.fails(1, &format!("nothing holds in room {AT} of bot heimdall"));

    let named = format!("room {AT} of bot heimdall");
    let set = ["room", "set", "heimdall", AT];
    house.run(&[&set[..], &["--team", "ops"]].concat()).await.says(&format!("Set {named}: team ops\n"));
    // What is not said stays.
    house.run(&[&set[..], &["--service", "api"]].concat()).await.says(&format!("Set {named}: team ops, service api\n"));
    let filter = ["room", "filter", "heimdall", AT];
    let narrowed = format!("Narrowed {named}: only eu, environment=production\n");
    house.run(&[&filter[..], &["environment=production", "eu"]].concat()).await.says(&narrowed);
    house.run(&[&set[..], &["--no-service"]].concat()).await.says(&format!("Set {named}: team ops\n"));

    let subscribe = ["room", "subscribe", "heimdall", AT];
    let loud = ["incidents", "--team", "ops", "--urgency", "high", "--label", "severity=critical", "--json"];
    let loud = house.run(&[&subscribe[..], &loud].concat()).await.json();
    assert_eq!((&loud["of"], &loud["labels"]), (&json!("incidents"), &json!({"severity": "critical"})));
    let id = loud["id"].as_str().unwrap();
    let approvals = house.run(&[&subscribe[..], &["approvals"]].concat()).await;
    assert!(approvals.stdout.starts_with(&format!("Subscribed {named} to approvals as sub_")), "{approvals:?}");

    let shown = house.run(&["room", "show", "heimdall", AT]).await;
    let lines: Vec<_> = shown.stdout.lines().collect();
    let expected = ["room      irc:example:#ops", "bot       heimdall", "team      ops", "service   none"];
    assert_eq!(lines[..4], expected, "{shown:?}");
    assert_eq!(lines[4], "shows     only eu, environment=production");
    assert_eq!(lines[5], format!("hears of  urgent incidents of team ops, only severity=critical  {id}"));
    assert!(lines[6].starts_with("hears of  approvals ") && lines.len() == 7, "{shown:?}");
    let row = "heimdall  irc:example:#ops  team ops  hears of 2 things  only eu, environment=production\n";
    house.run(&["room", "list"]).await.says(row);
    let listed = house.run(&["room", "list", "--json"]).await.json();
    let one = house.run(&["room", "show", "heimdall", AT, "--json"]).await.json();
    assert_eq!((&listed[0], &one["only"]), (&one, &json!({"environment": "production", "*": "eu"})));
    assert_eq!(one["hears"][0]["id"], id);

    house.run(&["room", "unsubscribe", id]).await.says(&format!("Ended {id}: its room hears of that no more\n"));
    house.run(&["room", "unsubscribe", id]).await.fails(1, id);
    let everything = format!("Narrowed {named}: everything it is subscribed to\n");
    house.run(&[&filter[..], &["--everything"]].concat()).await.says(&everything);
    let nothing = format!("Set {named}: neither a team nor a service is meant\n");
    house.run(&[&set[..], &["--no-team"]].concat()).await.says(&nothing);
    house.run(&["room", "list"]).await.says("heimdall  irc:example:#ops    hears of approvals\n");

    house.run(&set).await.fails(2, "--team");
    house.run(&filter).await.fails(2, "NAME=VALUE");
    house.run(&[&filter[..], &["a=b", "a=c"]].concat()).await.fails(2, "the label a cannot have two values");
    house.run(&["room", "set", "heimdall", "#ops", "--team", "ops"]).await.fails(2, "expected platform:workspace:room");
    house.run(&[&set[..], &["--team", "nobody"]].concat()).await.fails(1, "there is no team nobody");
    house.run(&["room", "set", "loki", AT, "--team", "ops"]).await.fails(1, "there is no bot loki");
    let quiet = [&subscribe[..], &["approvals", "--urgency", "high"]].concat();
    house.run(&quiet).await.fails(1, "is of incidents: a request has none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_limited_and_a_passkey_lets_it_ask_for_more() {
    let (house, yannick) = house().await;
    let free = "Bot heimdall may ask for everything that the policies take\n";
    house.run(&["bot", "limit", "show", "heimdall"]).await.says(free);
    house.run(&["bot", "limit", "show", "heimdall", "--json"]).await.says("null\n");
    house.run(&["bot", "limit", "clear", "heimdall"]).await.fails(1, "there is no limit of bot heimdall");
    let file = house.dir.path().join("heimdall.json");
    let says = |limits: &Value| std::fs::write(&file, limits.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let limits = json!({"actions": [{"type": "deploy", "target": "stag*"}], "teams": ["ops"],
        "rooms": [{"platform": "irc", "workspace": "example", "room": "#ops"}]});
    says(&limits);
    let set = ["bot", "limit", "set", "heimdall", file];
    house.run(&set).await.says("Limited bot heimdall\n");
    let shown = "may ask  deploy on stag*\nfor      members of team ops\nin       irc:example:#ops\n";
    house.run(&["bot", "limit", "show", "heimdall"]).await.says(shown);
    assert_eq!(house.run(&["bot", "limit", "show", "heimdall", "--json"]).await.json(), limits);

    let mut wider = limits.clone();
    wider["actions"][0]["target"] = json!("*");
    says(&wider);
    let proposed = house.run(&set).await;
    assert!(proposed.code == Some(8) && proposed.stderr.contains("Not done yet"), "{proposed:?}");
    assert!(proposed.stdout.contains("bot heimdall could ask for actions that it may not ask for now"), "{proposed:?}");
    house.run(&["bot", "limit", "show", "heimdall"]).await.says(shown);
    confirm(&yannick).await;
    assert_eq!(house.run(&["bot", "limit", "show", "heimdall", "--json"]).await.json(), wider);
    assert_eq!(house.run(&["bot", "limit", "clear", "heimdall"]).await.code, Some(8));
    confirm(&yannick).await;
    house.run(&["bot", "limit", "show", "heimdall"]).await.says(free);
    says(&json!({"teams": ["nobody"]}));
    house.run(&set).await.fails(1, "there is no team nobody");
    says(&json!({"people": ["@yannick"]}));
    house.run(&set).await.fails(1, "people");
    house.run(&["bot", "limit", "set", "loki", file]).await.fails(1, "there is no bot loki");
}

/// Confirms what waits first.
async fn confirm(phone: &Phone) {
    let acts = phone.get("/v1/acts").await.unwrap().accepted().unwrap();
    phone.confirm_act(&acts["acts"][0]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_and_limits_stand_in_the_file() {
    let (house, yannick) = house().await;
    let file = house.dir.path().join("house.toml");
    let path = file.to_str().unwrap();
    let bare = house.run(&["export"]).await.stdout;
    assert!(!bare.contains("[[room]]") && !bare.contains("[[bot_limit]]"), "{bare}");
    let chat = r##"
[[bot_limit]]
bot = "heimdall"
teams = ["ops"]
actions = [{type = "merge"}, {type = "deploy", target = "stag*"}]

[[room]]
bot = "heimdall"
platform = "irc"
workspace = "example"
room = "#ops"
team = "ops"
only = {environment = "production"}
hears = [{of = "incidents", team = "ops", urgency = "high"}, {of = "approvals", labels = {target = "production"}}]
"##;
    std::fs::write(&file, format!("{bare}{chat}")).unwrap();
    let apply = ["apply", "-f", path];
    let diff = house.run(&[&apply[..], &["--diff"]].concat()).await;
    for row in ["+ bot limit heimdall", "+ room heimdall irc:example:#ops", "    hears[1].urgency: \"high\""] {
        assert!(diff.stdout.lines().any(|line| line == row), "{row}: {diff:?}");
    }
    let made = house.run(&[&apply[..], &["--yes"]].concat()).await;
    assert!(made.code == Some(0) && made.stdout.ends_with("Made 2 changes\n"), "{made:?}");
    let exported = house.run(&["export"]).await.stdout;
    std::fs::write(&file, &exported).unwrap();
    let prune = [&apply[..], &["--diff", "--prune"]].concat();
    house.run(&prune).await.says("No changes\n");

    // What is stricter, and what a room hears of, is made at once.
    let stricter = exported.replace("stag*", "staging").replace("urgency = \"high\"", "service = \"api\"");
    assert_ne!(stricter, exported);
    std::fs::write(&file, &stricter).unwrap();
    let made = house.run(&[&apply[..], &["--yes"]].concat()).await;
    assert!(made.code == Some(0) && !made.stderr.contains("weakens"), "{made:?}");
    house.run(&prune).await.says("No changes\n");
    let hears = house.run(&["room", "show", "heimdall", AT, "--json"]).await.json();
    assert_eq!(hears["hears"].as_array().unwrap().len(), 2, "{hears}");
    // What lets the bot ask for more waits for a passkey, and the command for that.
    std::fs::write(&file, &exported).unwrap();
    let applied = Running::start(&mut house.command(None, &[&apply[..], &["--yes"]].concat()));
    confirm_when_it_waits(&yannick).await;
    let made = applied.ended().await;
    assert!(made.code == Some(0) && made.stderr.contains("This weakens: bot heimdall could ask for actions"), "{made:?}");

    // Without them the file takes them away.
    std::fs::write(&file, &bare).unwrap();
    let gone = house.run(&prune).await;
    gone.says("- room heimdall irc:example:#ops\n- bot limit heimdall\n");
    let pruned = Running::start(&mut house.command(None, &[&apply[..], &["--yes", "--prune"]].concat()));
    confirm_when_it_waits(&yannick).await;
    let pruned = pruned.ended().await;
    assert!(pruned.code == Some(0) && pruned.stderr.contains("could ask for everything"), "{pruned:?}");
    house.run(&prune).await.says("No changes\n");
    assert!(house.run(&["room", "list"]).await.stderr.contains("Nothing holds in any room yet"));

    for (text, why) in [
        (
            "[[room]]\nbot = \"loki\"\nplatform = \"irc\"\nworkspace = \"x\"\nroom = \"#ops\"\n",
            "house.toml:2: room[0].bot: there is no bot loki",
        ),
        ("[[bot_limit]]\nbot = \"heimdall\"\nteams = [\"none\"]\n", "house.toml:3: bot_limit[0].teams[0]: there is no team none"),
        ("[[bot_limit]]\nbot = \"heimdall\"\nactions = []\n", "house.toml:3: bot_limit[0].actions: must have 1 to 64 entries"),
    ] {
        std::fs::write(&file, text).unwrap();
        house.run(&[&apply[..], &["--yes"]].concat()).await.fails(2, why);
    }
}

/// Confirms the first act that waits, once one does.
async fn confirm_when_it_waits(phone: &Phone) {
    for _ in 0..1_500 {
        let acts = phone.get("/v1/acts").await.unwrap().accepted().unwrap();
        if acts["acts"].as_array().is_some_and(|acts| !acts.is_empty()) {
            phone.confirm_act(&acts["acts"][0]).await.unwrap();
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nothing waits for a passkey within half a minute");
}
