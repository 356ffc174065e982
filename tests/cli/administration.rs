//! Users, bots and phones, through the server's Unix socket.

use std::os::unix::fs::PermissionsExt as _;

use phoneops::sim::phone::{Factor, Verdict};

use super::house::{House, phoneops, waiting};

/// A bot shows a code, a phone types it, and the bot names the person as chat does.
#[tokio::test(flavor = "multi_thread")]
async fn chat_identities_are_linked_listed_and_unlinked() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let none = house.run(&["chat-identity", "list"]).await;
    assert!(none.stderr.contains("There is no chat identity yet"), "{none:?}");
    let code = house.bot(&token, &["chat-identity", "code", "slack", "T0ORG", "U1", "--name", "yannick"]).await;
    assert!(code.stderr.contains("For that person alone"), "{code:?}");
    let body = serde_json::json!({"code": code.stdout.trim()});
    let linked = yannick.post("/v1/chat-identities", &body).await.unwrap().accepted().unwrap();
    let listed = house.run(&["chat-identity", "list"]).await;
    assert!(listed.stdout.starts_with("@yannick") && listed.stdout.contains("slack:T0ORG:U1"), "{listed:?}");
    let paged = house.bot(&token, &["page", "slack:T0ORG:U1", "All your apps are down"]).await;
    assert!(paged.stdout.starts_with("Paged Yannick Schutz"), "{paged:?}");
    let id = linked["id"].as_str().unwrap();
    assert_eq!(house.run(&["chat-identity", "unlink", id]).await.stdout, format!("Unlinked {id}: it is nobody any more\n"));
    let paged = house.bot(&token, &["page", "slack:T0ORG:U1", "All your apps are down"]).await;
    assert!(paged.code == Some(1) && paged.stderr.contains("is linked to nobody"), "{paged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_added_listed_and_removed() {
    let house = House::open().await;
    let none = house.run(&["user", "list"]).await;
    none.says("");
    assert!(none.stderr.contains("nobody yet"), "{none:?}");
    house.yannick().await;

    house.run(&["user", "add", "@zoe", "Zoë Lang", "--admin"]).await.says("Added Zoë Lang (@zoe)\n");
    let ada = house.run(&["user", "add", "ada", "Ada Byron", "--json"]).await.json();
    assert_eq!((&ada["handle"], &ada["role"]), (&"ada".into(), &"member".into()));
    house
        .run(&["user", "list"])
        .await
        .says("@ada      Ada Byron\n@yannick  Yannick Schutz  admin\n@zoe      Zoë Lang        admin\n");
    house.run(&["user", "add", "@zoe", "Another"]).await.fails(1, "the handle @zoe is taken");
    house.run(&["user", "add", "@9", "Nobody"]).await.fails(2, "a handle has 2 to 32");

    let to = ["user", "email", "@zoe", "zoe@example.com"];
    house.run(&to).await.says("@zoe reads e-mail at zoe@example.com\n");
    house.run(&["user", "email", "@zoe", "zoe"]).await.fails(2, "is not an e-mail address");
    house.run(&["user", "email", "@zoe", "--none"]).await.says("No e-mail is sent to @zoe\n");
    house.run(&["user", "role", "@zoe", "admin"]).await.says("@zoe administers\n");
    house.run(&["user", "role", "@zoe", "member"]).await.says("@zoe does not administer\n");
    house.run(&["user", "role", "@zoe", "king"]).await.fails(2, "possible values: admin, member");
    let with = ["user", "add", "@bea", "Bea Example", "--email", "bea@example.com", "--json"];
    assert_eq!(house.run(&with).await.json()["email"], "bea@example.com");
    house.run(&["user", "remove", "@bea"]).await.says("Removed @bea\n");

    house.run(&["user", "remove", "@zoe"]).await.says("Removed @zoe\n");
    house.run(&["user", "remove", ada["id"].as_str().unwrap()]).await.says(&format!("Removed {}\n", ada["id"].as_str().unwrap()));
    house.run(&["user", "remove", "@zoe"]).await.fails(1, "there is no @zoe");
    house.run(&["user", "remove", "@yannick"]).await.fails(1, "@yannick is the last administrator");
    let left = house.run(&["user", "list", "--json"]).await.json();
    assert_eq!(left.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bots_token_is_shown_once_and_ends_when_it_is_revoked() {
    let house = House::open().await;
    house.yannick().await;
    let added = house.run(&["bot", "add", "heimdall"]).await;
    let may = "it may approvals:request, grants:redeem, incidents:write, incidents:read";
    assert!(added.stdout.starts_with(&format!("Added bot heimdall: {may}\nToken: pob_")), "{added:?}");
    let token = added.stdout.lines().nth(1).unwrap().trim_start_matches("Token: ");
    house.bot(token, &["incident", "list"]).await.says("");

    let scopes = ["bot", "add", "reader", "--scope", "incidents:read,events:read", "--scope", "incidents:write", "--json"];
    let reader = house.run(&scopes).await.json();
    assert_eq!(reader["scopes"].to_string(), r#"["incidents:read","events:read","incidents:write"]"#);
    house.run(&["bot", "add", "other", "--scope", "admin"]).await.fails(2, "unknown scope");
    house.run(&["bot", "add", "heimdall"]).await.fails(1, "the name heimdall is taken");
    let listed = house.run(&["bot", "list"]).await;
    let names: Vec<_> = listed.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["heimdall", "reader"]);
    assert!(!listed.stdout.contains("pob_"));

    let rotated = house.run(&["bot", "rotate", "heimdall", "--overlap", "1h"]).await;
    assert!(
        rotated.stdout.starts_with("Rotated bot heimdall: its old token works until ") && rotated.code == Some(0),
        "{rotated:?}"
    );
    let next = rotated.stdout.lines().nth(1).unwrap().trim_start_matches("Token: ").to_owned();
    house.bot(&next, &["incident", "list"]).await.says("");
    house.bot(token, &["incident", "list"]).await.says("");
    let listed = house.run(&["bot", "list"]).await;
    assert!(listed.stdout.lines().next().unwrap().contains("  old token until "), "{listed:?}");
    let at_once = house.run(&["bot", "rotate", "heimdall", "--overlap", "0", "--json"]).await.json();
    assert!(at_once["token"].is_string() && at_once["previous_token_until"].is_null(), "{at_once}");
    house.bot(&next, &["incident", "list"]).await.fails(4, "the token is not known, or was revoked");
    house.run(&["bot", "rotate", "heimdall", "--overlap", "8d"]).await.fails(2, "at most 7d");
    house.run(&["bot", "rotate", "nobody"]).await.fails(1, "there is no bot nobody");

    house.run(&["bot", "revoke", "heimdall"]).await.says("Revoked bot heimdall: its token does not work any more\n");
    house.bot(token, &["incident", "list"]).await.fails(4, "the token is not known, or was revoked");
    let id = reader["id"].as_str().unwrap();
    house.run(&["bot", "revoke", id]).await.says(&format!("Revoked bot {id}: its token does not work any more\n"));
    house.run(&["bot", "revoke", "heimdall"]).await.fails(1, "there is no bot heimdall");
    assert_eq!(house.run(&["bot", "list", "--json"]).await.json().to_string(), "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_chat_are_declared_tried_and_kept_in_the_file() {
    let house = House::open().await;
    let yannick = house.yannick().await;
    let file = house.dir.path().join("restart.json");
    let says = |pattern: &str| {
        let says = serde_json::json!({"pattern": pattern, "action": {"type": "restart", "target": "{service}", "params": {}},
            "success": "you are restarting {service}", "help": "restart a service", "example": "restart web"});
        std::fs::write(&file, says.to_string()).unwrap();
    };
    let file = file.to_str().unwrap();
    says("restart (?<service>[a-z]+)");
    let tried = house.run(&["chat-command", "test", "restart", file, "Restart  web"]).await.json();
    assert_eq!((&tried["action"]["target"], &tried["success"]), (&"web".into(), &"you are restarting web".into()));
    house.run(&["chat-command", "test", "restart", file, "restart web now"]).await.fails(1, "say it like: restart web");
    house.run(&["chat-command", "test", "restart", file, "reboot web"]).await.fails(1, "no command begins with “reboot”");
    house.run(&["chat-command", "set", "restart", file]).await.says("Set command restart\n");
    let listed = house.run(&["chat-command", "list"]).await.stdout;
    assert!(listed.contains("restart  declared  restart web ") && listed.contains("deploy   built in "), "{listed}");
    assert_eq!(house.run(&["chat-command", "show", "restart"]).await.json()["pattern"], "restart (?<service>[a-z]+)");
    let exported = house.run(&["export"]).await.stdout;
    assert!(exported.contains("[[chat_command]]\nname = \"restart\"\n") && !exported.contains("new_auth"), "{exported}");
    let whole = house.dir.path().join("house.toml");
    std::fs::write(&whole, &exported).unwrap();
    let whole = whole.to_str().unwrap();
    assert_eq!(house.run(&["apply", "-f", whole, "--diff"]).await.code, Some(0));
    says("restart (?<service>[a-z-]+)");
    let proposed = house.run(&["chat-command", "set", "restart", file]).await;
    assert_eq!(proposed.code, Some(8), "{proposed:?}");
    assert!(proposed.stdout.contains("what is said with command restart would ask for something else"), "{proposed:?}");
    let acts = yannick.get("/v1/acts").await.unwrap().accepted().unwrap();
    yannick.confirm_act(&acts["acts"][0]).await.unwrap();
    assert_eq!(house.run(&["chat-command", "show", "restart"]).await.json()["pattern"], "restart (?<service>[a-z-]+)");
    assert_eq!(house.run(&["chat-command", "remove", "restart"]).await.code, Some(8));
    house.run(&["chat-command", "remove", "deploy"]).await.fails(1, "there is no command deploy");
    says("page (?<service>[a-z]+)");
    house.run(&["chat-command", "set", "restart", file]).await.fails(1, "which means something else in chat");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_proposed_confirmed_shown_and_tried() {
    let house = House::open().await;
    let yannick = house.yannick().await;
    house.run(&["team", "add", "ops"]).await.says("Added team ops\n");
    house.run(&["team", "join", "ops", "@yannick"]).await.says("@yannick joined team ops\n");
    house.run(&["team", "list"]).await.says("ops  Yannick Schutz\n");
    house.run(&["policy", "list"]).await.says("");
    let file = house.dir.path().join("prod.json");
    let rule = r#"{"match": {"types": ["deploy"]}, "require": {"groups": [{"quorum": 1, "teams": ["ops"]}], "factor": "code"}}"#;
    std::fs::write(&file, rule).unwrap();
    let file = file.to_str().unwrap();
    let proposed = house.run(&["policy", "set", "prod", file]).await;
    assert_eq!(proposed.code, Some(8), "{proposed:?}");
    assert!(proposed.stdout.starts_with("Proposed as act_") && proposed.stderr.contains("Not done yet"), "{proposed:?}");
    let acts = yannick.get("/v1/acts").await.unwrap().accepted().unwrap();
    yannick.confirm_act(&acts["acts"][0]).await.unwrap();
    let listed = house.run(&["policy", "list"]).await;
    // Whoever joins a team raises the version too: an act that was proposed before names a smaller team.
    assert_eq!(listed.stdout, "prod  version 2  code  {\"types\":[\"deploy\"]}\n");
    assert_eq!(house.run(&["policy", "show", "prod"]).await.json()["require"]["factor"], "code");
    house.run(&["bot", "add", "heimdall"]).await;
    let trial = ["policy", "test", "deploy", "production", "--for", "@yannick", "--bot", "heimdall"];
    let tried = house.run(&trial).await.stdout;
    assert!(tried.starts_with("Policy prod, at least a code\nAsks 1 of nobody\nRefused all the same: group 1: "), "{tried}");
    let other = ["policy", "test", "merge", "main", "--for", "@yannick", "--bot", "heimdall"];
    house.run(&other).await.says("Refused: no policy allows this action\nNot prod: its type is none of deploy\n");
    house.run(&["team", "join", "ops", "@nobody"]).await.fails(1, "there is no @nobody");
    let removal = house.run(&["policy", "remove", "prod"]).await;
    assert_eq!(removal.code, Some(8), "{removal:?}");
    house.run(&["policy", "set", "prod", "nowhere.json"]).await.fails(1, "nowhere.json");
    house.run(&["team", "leave", "ops", "@yannick"]).await.says("@yannick left team ops\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_away_and_back() {
    let house = House::open().await;
    let yannick = house.yannick().await;
    house.run(&["user", "add", "@ys", "Yana Sample"]).await;
    let until = ["--until", "2099-12-01T08:00:00Z"];
    house.run(&[&["user", "away", "@ys"], &until[..]].concat()).await.fails(1, "until: may be at most 366 days after `from`");
    let from = ["--from", "2099-11-30T08:00:00Z"];
    let alone = house.run(&[&["user", "away", "@ys"], &from[..], &until].concat()).await;
    alone.says("@ys is away until 2099-12-01T08:00:00Z, and nobody answers for them\n");
    let named = house.run(&[&["user", "away", "@ys", "--delegate", "@yannick"], &from[..], &until].concat()).await;
    assert_eq!(named.code, Some(8), "{named:?}");
    assert!(named.stdout.ends_with("Yannick Schutz (@yannick) would answer for Yana Sample (@ys)\n"), "{named:?}");
    let acts = yannick.get("/v1/acts").await.unwrap().accepted().unwrap();
    yannick.confirm_act(&acts["acts"][0]).await.unwrap();
    let again = house.run(&[&["user", "away", "@ys", "--json"], &from[..], &until].concat()).await.json();
    assert_eq!((&again["from"], &again["delegate"]), (&"2099-11-30T08:00:00Z".into(), &serde_json::Value::Null));
    house.run(&["user", "back", "@ys"]).await.says("@ys is back\n");
    assert_eq!(house.run(&["user", "back", "@ys", "--json"]).await.json()["away"], false);
    house.run(&["user", "back", "@nobody"]).await.fails(1, "there is no @nobody");
    house.run(&["user", "away", "@ys", "--until", "tomorrow"]).await.fails(2, "--until");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_reported_is_listed_named_by_the_doctor_and_lifted() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    house.run(&["freeze", "list"]).await.says("");
    let ask = ["request", "deploy", "production", "--for", "@yannick", "--wait"];
    let asking = house.start(&token, &ask);
    let approval = waiting(&yannick).await;
    yannick.answer_with(approval["id"].as_str().unwrap(), Verdict::Report, Factor::Passkey).await.unwrap();
    assert_eq!(asking.ended().await.code, Some(3));
    house.bot(&token, &ask).await.fails(4, "an administrator lifts that");

    let listed = house.run(&["freeze", "list", "--json"]).await.json();
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    let shown = house.run(&["freeze", "list"]).await.stdout;
    assert!(shown.starts_with(&format!("{id}  heimdall  for @yannick  reported by @yannick  ")), "{shown}");
    let doctor = house.run(&["doctor"]).await.stdout;
    assert!(doctor.contains(&format!("warn  freezes: heimdall for @yannick ({id}): ")), "{doctor}");

    let proposed = house.run(&["freeze", "lift", &id]).await;
    assert!(proposed.code == Some(8) && proposed.stdout.starts_with("Proposed as act_"), "{proposed:?}");
    let acts = yannick.get("/v1/acts").await.unwrap().accepted().unwrap();
    yannick.confirm_act(&acts["acts"][0]).await.unwrap();
    house.run(&["freeze", "list"]).await.says("");
    house.run(&["freeze", "lift", &id, "--json"]).await.fails(1, &format!("there is no {id}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_makes_a_phone_a_persons() {
    let house = House::open().await;
    house.yannick().await;
    house.run(&["enroll", "@zoe"]).await.fails(1, "there is no @zoe");
    house.run(&["user", "add", "@zoe", "Zoë Lang"]).await;
    let svg = house.dir.path().join("code.svg");
    let ran = house.run(&["enroll", "@zoe", "--svg", svg.to_str().unwrap()]).await;
    let (picture, text) = ran.stdout.split_once("Link:  ").unwrap();
    assert!(picture.contains('\u{2580}') && picture.lines().count() > 15, "{ran:?}");
    let (link, rest) = text.split_once("\nCode:  ").unwrap();
    let (code, valid) = rest.split_once("\nValid: until ").unwrap();
    assert_eq!(link, format!("{}/enroll#{code}", house.issuer));
    assert!(valid.ends_with(" (10 minutes), once, for @zoe\n"), "{valid}");
    assert!(std::fs::read_to_string(&svg).unwrap().contains("<svg"));
    assert_eq!(std::fs::metadata(&svg).unwrap().permissions().mode() & 0o777, 0o600);

    let phone = house.phone();
    let enrolled = phone.enrol(code, "Zoë's phone", None).await.unwrap();
    assert_eq!(enrolled["user"]["handle"], "zoe");
    let plain = house.run(&["enroll", "@zoe", "--no-qr"]).await;
    assert!(plain.stdout.starts_with("Link:  "), "{plain:?}");
    let json = house.run(&["enroll", "@zoe", "--json"]).await.json();
    assert!(json["link"].as_str().unwrap().ends_with(json["code"].as_str().unwrap()));
    for code in [code, json["code"].as_str().unwrap(), &house.first_code()] {
        assert!(!house.log().contains(code), "a code is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_phone_is_replaced() {
    let house = House::open().await;
    house.run(&["user", "add", "@zoe", "Zoë Lang"]).await;
    let nothing = house.run(&["device", "list", "@zoe"]).await;
    assert_eq!((nothing.stdout.as_str(), nothing.stderr.trim()), ("", "@zoe has no device: phoneops enroll @zoe"));
    let code = house.run(&["enroll", "@zoe", "--json"]).await.json();
    let lost = house.phone();
    lost.enrol(code["code"].as_str().unwrap(), "Zoë's phone", None).await.unwrap();
    lost.create_passkey("Face ID").await.unwrap();

    let svg = house.dir.path().join("recovery.svg");
    std::fs::write(&svg, "an older one").unwrap();
    let ran = house.run(&["admin", "recover", "@zoe", "--no-qr", "--svg", svg.to_str().unwrap()]).await;
    assert!(std::fs::read_to_string(&svg).unwrap().contains("<svg"));
    assert_eq!(std::fs::metadata(&svg).unwrap().permissions().mode() & 0o777, 0o600, "also where there was a file");
    let code = ran.stdout.split_once("Code:  ").unwrap().1.split_once('\n').unwrap().0.to_owned();
    let new = house.phone();
    new.enrol(&code, "Zoë's next phone", None).await.unwrap();

    let doctor = house.run(&["doctor"]).await.stdout;
    let recovery = doctor.lines().find(|line| line.contains("@zoe is being recovered")).unwrap_or_else(|| panic!("{doctor}"));
    assert!(recovery.starts_with("warn  recovery: ") && recovery.contains("phoneops device revoke dev_"), "{recovery}");
    let listed = house.run(&["device", "list", "@zoe"]).await.stdout;
    let lines: Vec<_> = listed.lines().collect();
    assert!(lines[0].contains("Zoë's phone") && lines[0].contains("not used yet"), "{listed}");
    assert!(lines[1].contains("Zoë's next phone") && lines[1].contains("decides from 2"), "{listed}");
    assert!(lines[2].contains("Face ID") && lines[2].contains("passkey"), "{listed}");
    let json = house.run(&["device", "list", "@zoe", "--json"]).await.json();
    let id = json["devices"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(house.run(&["device", "revoke", &id]).await.stdout, format!("Revoked {id}\n"));
    let left = house.run(&["device", "list", "@zoe"]).await.stdout;
    assert_eq!(left.lines().count(), 1, "its passkey ended with it: {left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn administration_needs_a_server_and_its_socket() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = phoneops(dir.path()).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let none =
        |data_dir: &str| (Some(1), format!("phoneops: no server is running in {data_dir}: start it with `phoneops serve`\n"));
    assert_eq!(run(&["user", "list"]), none("phoneops-data"));
    assert_eq!(run(&["bot", "list", "--data-dir", "elsewhere"]), none("elsewhere"));
    // A file in the working directory is found without being named.
    std::fs::write(dir.path().join("phoneops.toml"), "data_dir = \"from-file\"\n").unwrap();
    assert_eq!(run(&["enroll", "@zoe"]), none("from-file"));
    std::fs::write(dir.path().join("phoneops.toml"), "data_dri = \"x\"\n").unwrap();
    let (code, why) = run(&["user", "list"]);
    assert!(code == Some(1) && why.contains("phoneops.toml") && why.contains("data_dri"), "{why}");
}
