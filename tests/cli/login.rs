//! The command line as a device of a person, on another machine than the server's.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use phoneops::sim::phone::Phone;

use super::house::{House, Ran, Running, eventually, phoneops};

/// A command on a laptop: no socket, no token.
fn laptop(house: &House, arguments: &[&str]) -> std::process::Command {
    let home = house.dir.path().join("home");
    std::fs::create_dir_all(&home).unwrap();
    let mut command = phoneops(&home);
    command.env("HOME", &home).env("PHONEOPS_SERVER", &house.issuer).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn run(house: &House, arguments: &[&str]) -> Ran {
    Running::start(&mut laptop(house, arguments)).ended().await
}

/// Starts signing in; the command, and the number that it shows.
fn login(house: &House) -> (Running, String) {
    let mut child = laptop(house, &["login", "@yannick", "--name", "yannick's laptop"]).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    let number: String = first.chars().filter(char::is_ascii_digit).collect();
    assert_eq!(number.len(), 6, "{first}");
    (Running::from(child), number)
}

async fn waiting(phone: &Phone) -> String {
    let look = || async {
        let devices = phone.devices().await.unwrap();
        devices.iter().find(|device| device["state"] == "waiting").map(|device| device["id"].as_str().unwrap().to_owned())
    };
    eventually("the laptop waits", look).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_laptop_is_confirmed_administers_pages_and_signs_out() {
    let house = House::open().await;
    let yannick = house.yannick().await;
    let nobody = run(&house, &["whoami"]).await;
    assert!(nobody.code == Some(2) && nobody.stderr.contains("not signed in: `phoneops login @handle`"), "{nobody:?}");
    let none = run(&house, &["user", "list"]).await;
    assert!(none.stderr.contains("no server is running"), "{none:?}");

    let (signing_in, number) = login(&house);
    yannick.confirm_device(&waiting(&yannick).await, &number).await.unwrap();
    let ran = signing_in.ended().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.is_empty() || ran.stderr.contains("Waiting"), "{ran:?}");

    let file = house.dir.path().join("home/.config/phoneops/login.json");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(file.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let me = run(&house, &["whoami"]).await;
    assert_eq!(me.stdout, format!("Yannick Schutz (@yannick) at {}, on yannick's laptop\n", house.issuer));
    let again = run(&house, &["login", "@yannick"]).await;
    assert!(again.code == Some(2) && again.stderr.contains("already: `phoneops logout` first"), "{again:?}");

    // As an administrator, and as somebody who is paged.
    let users = run(&house, &["user", "list"]).await;
    assert!(users.stdout.contains("@yannick"), "{users:?}");
    let paged = run(&house, &["page", "@yannick", "All your apps are down"]).await;
    assert!(paged.stdout.starts_with("Paged Yannick Schutz: Incident "), "{paged:?}");
    let reference = paged.stdout.trim().rsplit(' ').next().unwrap();
    let resolved = run(&house, &["incident", "resolve", reference]).await;
    assert_eq!(resolved.stdout, format!("Incident {reference} resolved\n"), "{resolved:?}");

    let out = run(&house, &["logout"]).await;
    assert!(out.code == Some(0) && !file.exists(), "{out:?}");
    assert_eq!(yannick.devices().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_rejected_is_not_signed_in() {
    let house = House::open().await;
    let yannick = house.yannick().await;
    let (signing_in, _) = login(&house);
    yannick.reject_device(&waiting(&yannick).await).await.unwrap();
    let ran = signing_in.ended().await;
    assert!(ran.code == Some(3) && ran.stderr.contains("not signed in: rejected"), "{ran:?}");
    let busy = run(&house, &["login", "@yannick"]).await;
    assert!(busy.code == Some(1) && busy.stderr.contains("a device has asked already"), "{busy:?}");
    let unknown = run(&house, &["login", "@nobody"]).await;
    assert!(unknown.code == Some(4) && unknown.stderr.contains("nobody of that name"), "{unknown:?}");
    assert!(!house.dir.path().join("home/.config").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_on_standard_input_signs_in() {
    let house = House::open().await;
    let yannick = house.yannick().await;
    let made = yannick.post("/v1/enrollments", &serde_json::json!({"user": "@yannick"})).await.unwrap().accepted().unwrap();
    let code = house.dir.path().join("code");
    std::fs::write(&code, made["code"].as_str().unwrap()).unwrap();
    let mut command = laptop(&house, &["login", "--code"]);
    let mut child = command.stdin(std::fs::File::open(&code).unwrap()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    let number: String = first.chars().filter(char::is_ascii_digit).collect();
    yannick.confirm_device(&waiting(&yannick).await, &number).await.unwrap();
    let ran = Running::from(child).ended().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut empty = laptop(&house, &["logout"]);
    assert_eq!(Running::start(&mut empty).ended().await.code, Some(0));
    let none = Running::start(&mut laptop(&house, &["login", "--code"])).ended().await;
    assert!(none.code == Some(2) && none.stderr.contains("standard input: such a code has 24"), "{none:?}");
}
