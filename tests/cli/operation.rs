//! Starting, stopping, checking.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use phoneops::clock::Clock;
use phoneops::sim::apns::Apns;
use phoneops::sim::phone::{self, Phone, Provider};
use rustix::process::Signal;

use super::house::{House, Ran, Running, data_dir, eventually, phoneops, serve};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_where_it_is_and_stops_when_it_is_told() {
    let house = House::open().await;
    let port = house.issuer.rsplit(':').next().unwrap();
    assert_eq!(house.issuer, format!("http://localhost:{port}"));
    let expected = format!("PhoneOps listens on 127.0.0.1:{port} and is reached at {}", house.issuer);
    assert_eq!(house.greeting[0], expected);
    let first = format!("First administrator: {}/enroll#{} (valid 10 minutes, once)", house.issuer, house.first_code());
    assert_eq!(house.greeting[1], first);
    assert!(house.greeting[2].contains("sim phone enrol --first-admin"), "{:?}", house.greeting);

    house.yannick().await;
    house.run(&["healthcheck"]).await.says("");
    let metrics = reqwest::get(format!("{}/metrics", house.issuer)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("# HELP phoneops_http_requests_total "), "{metrics}");
    assert!(metrics.contains("phoneops_http_requests_total{"), "{metrics}");
    assert!(!house.log().contains(&house.first_code()), "the code is in the log");
    let (dir, issuer) = (house.data_dir(), house.issuer.clone());
    assert!(dir.join("phoneops.sock").exists());
    let path = house.dir.path().to_owned();
    let log = std::fs::read_to_string(path.join("log")).unwrap();
    assert!(log.contains("started") && log.contains(&issuer), "{log}");
    let ended = house.close().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_pushes_came_and_how_the_ways_are_is_measured() {
    let apns = Apns::start(Clock::system()).await.unwrap();
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let house = House::open_with(&[
        ("PHONEOPS_APNS_KEY_FILE", file("apple.p8", apns.key().pem.expose())),
        ("PHONEOPS_APNS_KEY_ID", apns.key().key_id.clone()),
        ("PHONEOPS_APNS_TEAM_ID", apns.key().team_id.clone()),
        ("PHONEOPS_APNS_TOPIC", apns.topic().to_owned()),
        ("PHONEOPS_APNS_ENDPOINT", apns.url()),
        ("PHONEOPS_APNS_CA_FILE", file("apple.pem", apns.authority())),
    ])
    .await;
    let client = phone::client().unwrap();
    let yannick = Phone::reached_by(Provider::Apns, client, Clock::system(), &house.issuer, &apns.admin_url());
    yannick.enrol(&house.first_code(), "Yannick's iPhone", Some(("yannick", "Yannick Schutz"))).await.unwrap();
    yannick.create_passkey("Face ID").await.unwrap();
    yannick.register_push().await.unwrap();
    let token = house.heimdall().await;
    assert_eq!(house.bot(&token, &["page", "@yannick", "Disk full"]).await.code, Some(0));
    let push = yannick.next_push(Duration::from_secs(10)).await.unwrap();
    assert!(push.is_some(), "the phone does not ring: {}", house.log());

    let expected: [(&str, &[&str], &str); 9] = [
        ("phoneops_push_total", &["apns", "accepted"], " 1"),
        ("phoneops_push_seconds_count", &["stage=\"accepted\"", "carrier=\"apns\"", "urgency=\"high\""], " 1"),
        ("phoneops_push_seconds_count", &["stage=\"received\"", "carrier=\"apns\"", "urgency=\"high\""], " 1"),
        ("phoneops_push_seconds_count", &["stage=\"displayed\"", "carrier=\"apns\"", "urgency=\"high\""], " 1"),
        ("phoneops_push_waiting", &["carrier=\"apns\"", "urgency=\"high\""], " 0"),
        ("phoneops_push_oldest_seconds", &["carrier=\"apns\"", "urgency=\"high\""], " 0"),
        ("phoneops_routes_down", &["carrier=\"apns\""], " 0"),
        ("phoneops_provider_token_age_seconds", &["carrier=\"apns\""], ""),
        ("phoneops_push_seconds", &["quantile=\"0.99\"", "stage=\"received\"", "carrier=\"apns\""], ""),
    ];
    eventually("everything is measured", || async {
        let metrics = reqwest::get(format!("{}/metrics", house.issuer)).await.unwrap().text().await.unwrap();
        let there = |(name, labels, value): &(&str, &[&str], &str)| {
            let is_it = |line: &&str| {
                line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label)) && line.ends_with(value)
            };
            metrics.lines().any(|line| is_it(&line))
        };
        let missing: Vec<_> = expected.iter().filter(|measured| !there(measured)).collect();
        if !missing.is_empty() {
            eprintln!("not measured yet: {missing:?}");
        }
        missing.is_empty().then_some(())
    })
    .await;
    house.close().await;
    apns.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_makes_no_administrator_and_ctrl_c_stops_it() {
    let house = House::open().await;
    house.yannick().await;
    let dir = tempfile::tempdir().unwrap();
    let kept = data_dir(dir.path());
    std::fs::rename(house.data_dir(), &kept).unwrap();
    drop(house);
    std::fs::write(kept.join("known"), "").unwrap();
    let (server, greeting) = serve(dir.path(), "127.0.0.1:0", &["--log-format", "json"]);
    assert_eq!(greeting.len(), 1);
    server.signal(Signal::INT);
    let ended = server.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["fields"]["message"] == "stopped"), "{log}");
    assert!(!kept.join("phoneops.sock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_to_read_what_the_server_prints() {
    let dir = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = phoneops(dir.path());
    command.arg("serve").env("PHONEOPS_LISTEN", free.to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let server = Running::from(child);
    let url = format!("http://{free}");
    eventually("the server is ready", || async {
        let mut command = phoneops(dir.path());
        let check = command.args(["healthcheck", "--server", &url]).stderr(Stdio::piped());
        (Running::start(check).ended().await.code == Some(0)).then_some(())
    })
    .await;
    server.signal(Signal::TERM);
    assert_eq!(server.ended().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_says_which_setting_or_file() {
    let house = House::open().await;
    let start = |variables: Vec<(&'static str, String)>| {
        let mut command = phoneops(house.dir.path());
        command.arg("serve").env("PHONEOPS_LISTEN", "127.0.0.1:0").envs(variables);
        async move { Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped())).ended().await }
    };
    let data_dir = |dir: &std::path::Path| ("PHONEOPS_DATA_DIR", dir.display().to_string());
    let other = house.dir.path().join("other");
    start(vec![data_dir(&house.data_dir())]).await.fails(1, "data is in use by another phoneops");
    let taken = house.issuer.replace("http://localhost", "127.0.0.1");
    start(vec![data_dir(&other), ("PHONEOPS_LISTEN", taken.clone())])
        .await
        .fails(1, &format!("listen: {taken}: Address already in use"));
    start(vec![("PHONEOPS_LISSTEN", "x".into())]).await.fails(1, "PHONEOPS_LISSTEN: there is no such setting");
    start(vec![("PHONEOPS_CONFIG", "/nowhere.toml".into())]).await.fails(1, "/nowhere.toml: No such file");
    start(vec![("RUST_LOG", "phoneops=loud".into())]).await.fails(2, "RUST_LOG: ");
    let key = house.dir.path().join("key");
    std::fs::write(&key, "too short").unwrap();
    let file = key.display().to_string();
    start(vec![data_dir(&other), ("PHONEOPS_MASTER_KEY_FILE", file.clone())])
        .await
        .fails(1, &format!("{file} does not hold a master key"));
    start(vec![data_dir(&other), ("PHONEOPS_PAGING_FALLBACK", "x y".into())]).await.fails(1, "paging.fallback: ");
    let subject = ("PHONEOPS_WEB_PUSH_SUBJECT", "nobody".into());
    start(vec![data_dir(&other), subject]).await.fails(1, "web_push.subject");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_not_healthy() {
    let dir = tempfile::tempdir().unwrap();
    let check = |url: &'static str| {
        let mut command = phoneops(dir.path());
        command.args(["healthcheck", "--server", url]).stderr(Stdio::piped());
        async move { Running::start(&mut command).ended().await }
    };
    check("http://127.0.0.1:1").await.fails(1, "not ready: http://127.0.0.1:1 does not answer: Connection refused");
    check("127.0.0.1:1").await.fails(2, "expected an address like https://phoneops.example");
}

/// `ok config`, `warn web_push`, …
fn checks(ran: &Ran) -> Vec<String> {
    let short = |line: &str| line.split(':').next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    ran.stdout.lines().map(short).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_looks_at_a_running_server_and_at_a_stopped_one() {
    let house = House::open().await;
    let doctor = |house: &House, fallback: Option<&str>| {
        let mut command = house.command(None, &["doctor"]);
        // What belongs to bots is no setting, and does not disturb.
        command.env("PHONEOPS_TOKEN_FILE", "/run/secrets/token");
        if let Some(fallback) = fallback {
            command.env("PHONEOPS_PAGING_FALLBACK", fallback);
        }
        async move { Running::start(&mut command).ended().await }
    };
    let missing = doctor(&house, Some("@yannick")).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stdout.contains("FAIL  fallback: there is no @yannick"), "{missing:?}");
    let phone = house.phone();
    phone.enrol(&house.first_code(), "Yannick's phone", Some(("yannick", "Yannick Schutz"))).await.unwrap();
    let silent = doctor(&house, Some("@yannick")).await;
    let why = "FAIL  fallback: @yannick is paged when nobody else answers, and has no device that rings";
    assert!(silent.code == Some(1) && silent.stdout.contains(why), "{silent:?}");
    phone.register_push().await.unwrap();
    let unable = doctor(&house, Some("@yannick")).await;
    let why = "warn  fallback: @yannick is paged when nobody else answers, and has no passkey";
    assert!(unable.code == Some(0) && unable.stdout.contains(why), "{unable:?}");
    phone.create_passkey("Face ID").await.unwrap();
    let found = doctor(&house, Some("@yannick")).await;
    let files = ["ok config", "ok data_dir", "ok master key", "ok public_url", "ok rp_id", "warn web_push"];
    // No phone of theirs has said yet that a push came.
    let running = ["ok server", "ok database", "ok clock", "ok routes", "ok fallback", "warn readiness"];
    assert_eq!(
        (found.code, checks(&found)),
        (Some(0), [&files[..], &running[..]].concat().into_iter().map(String::from).collect())
    );
    assert!(checks(&doctor(&house, None).await).contains(&"warn fallback".to_owned()));

    std::fs::set_permissions(house.data_dir().join("master.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = doctor(&house, None).await;
    assert!(open.code == Some(1) && open.stdout.contains("FAIL  master key: "), "{open:?}");
    let json = house.run(&["doctor", "--json"]).await;
    let failed: Vec<_> = json.json().as_array().unwrap().iter().filter(|found| found["level"] == "fail").cloned().collect();
    assert_eq!((json.code, failed.len(), &failed[0]["check"]), (Some(1), 1, &"master key".into()));

    let (dir, kept) = (tempfile::tempdir().unwrap(), house.data_dir());
    std::fs::rename(&kept, data_dir(dir.path())).unwrap();
    drop(house);
    let mut command = phoneops(dir.path());
    command.arg("doctor").env("PHONEOPS_DATA_DIR", data_dir(dir.path())).env("PHONEOPS_PAGING_FALLBACK", "@yannick");
    let stopped = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped())).ended().await;
    let house = ["warn server", "ok database", "ok clock", "ok fallback"].map(String::from);
    assert_eq!(checks(&stopped)[6..], house, "{stopped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_stops_at_a_configuration_that_does_not_load() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("phoneops.toml");
    std::fs::write(&file, "[paging]\nrings = 0\n").unwrap();
    let mut command = phoneops(dir.path());
    let ran = Running::start(command.arg("doctor").stdout(Stdio::piped()).stderr(Stdio::piped())).ended().await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), "FAIL  config: paging.rings: must be 1 to 20\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn version_and_help_are_for_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &'static [&'static str]| {
        let mut command = phoneops(dir.path());
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        async move { Running::start(&mut command).ended().await }
    };
    run(&["--version"]).await.says(&format!("phoneops {}\n", env!("CARGO_PKG_VERSION")));
    let help = run(&["request", "--help"]).await;
    assert!(
        help.code == Some(0) && help.stdout.contains("Example:\n  phoneops request deploy production --for @yannick"),
        "{help:?}"
    );
    run(&["serf"]).await.fails(2, "serf");
    run(&[]).await.fails(2, "Usage: phoneops");
    run(&["openapi", "--yaml", "--json"]).await.fails(2, "cannot be used with");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_its_transcript() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = phoneops(dir.path());
    demo.args(["demo", "--scripted"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = Running::start(&mut demo).ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("heimdall"), "{ended:?}");
}

/// What a program prints, line by line as it comes.
struct Printed(std::sync::mpsc::Receiver<String>);

impl Printed {
    fn of(child: &mut std::process::Child) -> Self {
        use std::io::BufRead as _;
        let (sender, lines) = std::sync::mpsc::channel();
        let output = std::io::BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self(lines)
    }

    /// The next line with `part` in it.
    fn line(&self, part: &str) -> String {
        tokio::task::block_in_place(|| {
            loop {
                let line = self.0.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("it never prints {part:?}"));
                if line.contains(part) {
                    return line;
                }
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_invites_a_browser_that_then_answers() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().unwrap();
    let mut demo = phoneops(dir.path());
    let mut child = demo.arg("demo").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (printed, mut chat) = (Printed::of(&mut child), child.stdin.take().unwrap());
    let running = Running::from(child);
    let link = printed.line("/enroll#");
    let (issuer, code) = link.trim().split_once("/enroll#").unwrap();
    let page = phone::client().unwrap().get(format!("{issuer}/enroll")).send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8", "the link opens the app");

    // What the app does in a browser, as the protocol has it.
    let browser = Phone::with_client(phone::client().unwrap(), Clock::system(), issuer, "http://127.0.0.1:9");
    browser.enrol(code, "A browser", None).await.unwrap();
    printed.line("yannick rings");
    let wrong = if browser.match_number() == "000000" { "000001" } else { "000000" };
    writeln!(chat, "phone confirm {wrong}").unwrap();
    printed.line("error");
    writeln!(chat, "phone confirm {}", browser.match_number()).unwrap();
    printed.line("yannick confirms A browser");
    browser.create_passkey("A finger").await.unwrap();

    writeln!(chat, "bot deploy api/new_auth to production").unwrap();
    printed.line("Approve on your phone");
    let waiting = browser.inbox().await.unwrap();
    browser.approve(waiting[0]["id"].as_str().unwrap()).await.unwrap();
    printed.line("you are deploying api/new_auth to production");
    writeln!(chat, "quit").unwrap();
    assert_eq!(running.ended().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_seen_before_anybody_is_on_call() {
    let dir = tempfile::tempdir().unwrap();
    let preview = |text: &str, arguments: &[&str]| {
        std::fs::write(dir.path().join("ops.toml"), text).unwrap();
        let mut command = phoneops(dir.path());
        command.args(["schedule", "preview", "ops.toml", "--from", "2026-03-27"]).args(arguments);
        Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped())).ended()
    };
    let text = "zone = \"Europe/Paris\"\n[[layers]]\nname = \"nights\"\npeople = [\"@yannick\", \"@ys\"]\nshift = \"1 day\"\n\
                first = \"2026-03-27T09:00\"\nhours = [\"fri 18:00 - mon 09:00\"]\n";
    let seen = preview(text, &["--days", "3"]).await;
    let lines = [
        "Fri 2026-03-27 00:00  Fri 2026-03-27 18:00  nobody",
        "Fri 2026-03-27 18:00  Sat 2026-03-28 09:00  @yannick  nights",
        "Sat 2026-03-28 09:00  Sun 2026-03-29 09:00  @ys       nights",
        "Sun 2026-03-29 09:00  Mon 2026-03-30 00:00  @yannick  nights",
    ];
    seen.says(&format!("{}\n", lines.join("\n")));
    assert!(seen.stderr.contains("Nobody is on call for 18 hours of 3 days"), "{seen:?}");
    let seen = preview(text, &["--days", "3", "--json"]).await.json();
    // Clocks change in that night: it is a shift of 23 hours.
    assert_eq!(
        seen[2],
        serde_json::json!({"from": "2026-03-28T08:00:00Z", "until": "2026-03-29T07:00:00Z", "who": "@ys", "why": "nights"})
    );
    preview(&text.replace("1 day", "0 days"), &[]).await.fails(2, "ops.toml: layers[0].shift: is not a length");
}
