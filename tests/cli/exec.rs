//! `phoneops exec` and `phoneops verify`: real processes, real signals, and a server that fails on demand.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use phoneops::client::Client;
use phoneops::secret::Secret;
use phoneops::sim::phone::Phone;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::house::{House, Ran, Running, eventually, waiting};

/// A shell command behind a request for a deployment.
fn exec<'a>(more: &[&'a str], script: &'a str) -> Vec<&'a str> {
    let ask = ["exec", "--action", "deploy", "--target", "production", "--requester", "@yannick"];
    [&ask, more, &["--", "sh", "-c", script]].concat()
}

/// A script that says that it ran, in a file.
fn leaves_mark(mark: &Path) -> String {
    format!("echo ran >> {}", mark.display())
}

async fn approve(phone: &Phone) -> String {
    let asked = waiting(phone).await["id"].as_str().unwrap().to_owned();
    phone.approve(&asked).await.unwrap();
    asked
}

async fn outcome(house: &House, token: &str, asked: &str) -> Value {
    let client = Client::bot(&house.issuer, Secret::new(token.to_owned())).unwrap();
    client.get(&format!("/v1/approvals/{asked}")).await.unwrap().body["outcome"].clone()
}

#[track_caller]
fn not_run(ran: &Ran, code: i32, why: &str, mark: &Path) {
    assert!(!mark.exists(), "it ran: {ran:?}");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
    let said = ran.stderr.lines().find(|line| line.starts_with("phoneops: not run: ")).unwrap_or_default();
    assert!(said.contains(why), "{why:?} is not said: {ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_approved_is_run_and_its_outcome_told() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let script = "echo out; echo err >&2; echo ${PHONEOPS_TOKEN:-none} $PHONEOPS_APPROVAL; exit 0";
    let running = house.start(&token, &exec(&["--param", "app=api", "--sign-command"], script));
    let approval = waiting(&yannick).await;
    assert_eq!(approval["action"]["params"], json!({"app": "api", "command": ["sh", "-c", script]}));
    let asked = approve(&yannick).await;
    let ran = running.ended().await;
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("out\nnone {asked}\n")), "stdout is the command's alone");
    assert!(ran.stderr.contains(" waits on the phone of Yannick Schutz") && ran.stderr.ends_with("err\n"), "{}", ran.stderr);
    assert_eq!(outcome(&house, &token, &asked).await["outcome"], "succeeded");
    let told = |push: &phoneops::sim::phone::Push| push.title() == "deploy → production: succeeded" && push.kind() == "outcome";
    eventually("the phone hears", || async { yannick.pushes().await.unwrap().iter().any(told).then_some(()) }).await;

    let running = house.start(&token, &exec(&[], "exit 37"));
    let asked = approve(&yannick).await;
    assert_eq!(running.ended().await.code, Some(37));
    let failed = outcome(&house, &token, &asked).await;
    assert_eq!((&failed["outcome"], &failed["detail"]), (&json!("failed"), &json!("exit code 37")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_approved_is_not_run() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let mark = house.dir.path().join("mark");
    let script = leaves_mark(&mark);

    let expiring = exec(&["--expires-in", "10"], &script);
    let running = house.start(&token, &expiring);
    let (expired, withdrawn) = (running.ended(), async {
        let running = house.start(&token, &exec(&["--reason", "withdrawn"], &script));
        let client = Client::bot(&house.issuer, Secret::new(token.clone())).unwrap();
        let ours = || async {
            let inbox = yannick.inbox().await.unwrap();
            inbox.into_iter().find(|approval| approval["reason"] == "withdrawn")
        };
        let asked = eventually("it waits", ours).await["id"].as_str().unwrap().to_owned();
        client.delete(&format!("/v1/approvals/{asked}")).await.unwrap();
        running.ended().await
    });
    let (expired, withdrawn) = futures_util::future::join(expired, withdrawn).await;
    not_run(&expired, 121, "nobody answered within 10 seconds", &mark);
    not_run(&withdrawn, 122, "was cancelled", &mark);

    // The last that rings: after a denial what is alike is left in peace for a while.
    let running = house.start(&token, &exec(&[], &script));
    let asked = waiting(&yannick).await["id"].as_str().unwrap().to_owned();
    yannick.deny(&asked, Some("not on a Friday")).await.unwrap();
    not_run(&running.ended().await, 120, "denied by Yannick Schutz: not on a Friday", &mark);

    not_run(&house.bot("pob_wrong", &exec(&[], &script)).await, 124, "the token is not known", &mark);
    let elsewhere = ["exec", "--action", "deploy", "--target", "production", "--requester", "@nobody", "--", "true"];
    not_run(&house.bot(&token, &elsewhere).await, 124, "there is no @nobody", &mark);
    not_run(&house.bot(&token, &exec(&["--server", "http://127.0.0.1:1"], &script)).await, 125, "Connection refused", &mark);
    assert_eq!(house.bot(&token, &exec(&["--expires-in", "5"], &script)).await.code, Some(127));
    not_run(&house.run(&exec(&[], &script)).await, 127, "PHONEOPS_TOKEN", &mark);
    let missing = ["exec", "--action", "deploy", "--target", "production", "--requester", "@yannick", "--", "no-such-command"];
    not_run(&house.bot(&token, &missing).await, 127, "there is no command no-such-command", &mark);
    assert!(yannick.inbox().await.unwrap().is_empty(), "nobody is asked for what cannot be run");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_approved_and_does_not_start_is_told() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let program = house.dir.path().join("deploy");
    std::fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ask = ["exec", "--action", "deploy", "--target", "production", "--requester", "@yannick", "--", "./deploy"];
    let running = house.start(&token, &ask);
    let asked = approve(&yannick).await;
    not_run(&running.ended().await, 126, "./deploy: ", Path::new("/no/mark"));
    let told = outcome(&house, &token, &asked).await;
    assert_eq!((&told["outcome"], &told["detail"]), (&json!("failed"), &json!("the command could not be started")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_while_waiting_cancels_the_request() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let mark = house.dir.path().join("mark");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let running = house.start(&token, &exec(&[], &leaves_mark(&mark)));
        let asked = waiting(&yannick).await["id"].as_str().unwrap().to_owned();
        running.signal(signal);
        not_run(&running.ended().await, 130, "is cancelled", &mark);
        assert_eq!(yannick.approval(&asked).await.unwrap()["state"], "cancelled");
        eventually("the inbox is empty", || async { yannick.inbox().await.unwrap().is_empty().then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_reach_the_command() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let ready = house.dir.path().join("ready");
    let script = format!("trap 'echo heard; exit 9' USR1 TERM; touch {}; while :; do sleep 0.05; done", ready.display());
    for signal in [Signal::USR1, Signal::TERM] {
        let running = house.start(&token, &exec(&[], &script));
        approve(&yannick).await;
        eventually("the command runs", || async { ready.exists().then_some(()) }).await;
        running.signal(signal);
        let ran = running.ended().await;
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(9), "heard\n"), "{ran:?}");
        std::fs::remove_file(&ready).unwrap();
    }
    // A command that a signal ends gives what a shell would give.
    // Apart from the terminal that the tests may run in, for whose Ctrl-C exec does nothing.
    let script = format!("touch {}; exec sleep 60", ready.display());
    let running = Running::start(house.command(Some(&token), &exec(&[], &script)).process_group(0));
    let asked = approve(&yannick).await;
    eventually("the command runs", || async { ready.exists().then_some(()) }).await;
    running.signal(Signal::INT);
    assert_eq!(running.ended().await.code, Some(130));
    assert_eq!(outcome(&house, &token, &asked).await["detail"], "exit code 130: signal 2");
}

/// In a terminal, Ctrl-C reaches the whole foreground group: the command hears it once and not twice.
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_a_terminal_is_heard_once() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let ready = house.dir.path().join("ready");
    let script = house.dir.path().join("script");
    let heard = house.dir.path().join("heard");
    let (touch, note) = (ready.display(), heard.display());
    // Busy, so that each signal is heard when it comes: two that come while a shell waits are one.
    let busy = "i=0\nwhile [ $i -lt 1000000 ]; do i=$((i+1)); done";
    let text = format!("trap 'echo heard >> {note}' INT\ntouch {touch}\n{busy}\nexit 5\n");
    std::fs::write(&script, text).unwrap();
    // util-linux's script gives it a terminal of its own. No shell stays between: one that hears Ctrl-C may end with 130 whatever we do.
    let line = format!(
        "exec {} exec --action deploy --target production --requester @yannick -- sh {}",
        env!("CARGO_BIN_EXE_phoneops"),
        script.display()
    );
    let mut command = std::process::Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("PHONEOPS_SERVER", &house.issuer).env("PHONEOPS_TOKEN", &token);
    let mut terminal = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut keys = terminal.stdin.take().unwrap();
    let running = Running::from(terminal);
    approve(&yannick).await;
    eventually("the command runs", || async { ready.exists().then_some(()) }).await;
    keys.write_all(b"\x03").unwrap();
    let ran = running.ended().await;
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert_eq!(std::fs::read_to_string(heard).unwrap(), "heard\n", "{ran:?}");
}

/// What a proxy between the command and the server does to one kind of call.
#[derive(Clone, Copy, Debug)]
enum Mischief {
    /// Breaks off before the server hears of it.
    Lost,
    /// Breaks off after the server has done it.
    ReplyLost,
    /// Says something else in the server's place.
    Instead(&'static str),
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";

/// A proxy that plays mischief with requests that begin like this; its address.
async fn proxy(house: &House, begins: &'static str, mischief: Mischief) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = house.issuer.replace("http://localhost", "127.0.0.1");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(relay(client, server.clone(), begins, mischief));
        }
    });
    address
}

/// One request a connection: the reply says so.
async fn relay(mut client: TcpStream, server: String, begins: &'static str, mischief: Mischief) -> Option<()> {
    let mut request = vec![0; 64 * 1024];
    let mut length = 0;
    while !complete(&request[..length]) {
        length += client.read(&mut request[length..]).await.ok().filter(|read| *read > 0)?;
    }
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let hit = request.starts_with(begins);
    if hit && matches!(mischief, Mischief::Lost) {
        return None;
    }
    if let (true, Mischief::Instead(body)) = (hit, mischief) {
        client.write_all(format!("{OK}{}\r\nconnection: close\r\n\r\n{body}", body.len()).as_bytes()).await.ok()?;
        return client.shutdown().await.ok();
    }
    let mut upstream = TcpStream::connect(server).await.ok()?;
    let closing = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    upstream.write_all(closing.as_bytes()).await.ok()?;
    let mut reply = Vec::new();
    upstream.read_to_end(&mut reply).await.ok()?;
    if hit {
        return None;
    }
    client.write_all(&reply).await.ok()?;
    client.shutdown().await.ok()
}

/// Whether a request is there to its end.
fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    body.len() >= length
}

#[tokio::test(flavor = "multi_thread")]
async fn in_doubt_nothing_is_run() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let mark = house.dir.path().join("mark");
    let script = leaves_mark(&mark);
    let redeem = "POST /v1/grants/redeem";
    let other = r#"{"grant":"grt_00000000000000000000000000000001","approval":"apr_00000000000000000000000000000001"}"#;
    let approved = r#"{"state":"approved"}"#;
    for (begins, mischief) in [
        (redeem, Mischief::Lost),
        (redeem, Mischief::ReplyLost),
        (redeem, Mischief::Instead("{}")),
        (redeem, Mischief::Instead("<html>")),
        (redeem, Mischief::Instead(other)),
        ("GET /v1/approvals/", Mischief::Instead(approved)),
        ("POST /v1/approvals", Mischief::Instead(approved)),
        ("POST /v1/approvals", Mischief::ReplyLost),
    ] {
        let address = proxy(&house, begins, mischief).await;
        let running = house.start(&token, &exec(&["--server", &address], &script));
        if !matches!((begins, mischief), ("POST /v1/approvals", Mischief::Instead(_))) {
            let asked = waiting(&yannick).await["id"].as_str().unwrap().to_owned();
            yannick.approve(&asked).await.unwrap();
        }
        let ran = running.ended().await;
        assert!(!mark.exists(), "{begins} {mischief:?}: it ran: {ran:?}");
        assert_eq!(ran.code, Some(125), "{begins} {mischief:?}: {ran:?}");
        assert!(ran.stderr.contains("phoneops: not run: "), "{begins} {mischief:?}: {ran:?}");
    }
    // An outcome that cannot be told changes nothing about what was done.
    let address = proxy(&house, "POST /v1/grants/grt_", Mischief::Lost).await;
    let running = house.start(&token, &exec(&["--server", &address], "exit 3"));
    approve(&yannick).await;
    let ran = running.ended().await;
    assert!(ran.code == Some(3) && ran.stderr.contains("the outcome could not be told"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_somebody_else_used_runs_nothing() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let mark = house.dir.path().join("mark");
    // Somebody else with the token is faster.
    let running = house.start(&token, &exec(&[], &leaves_mark(&mark)));
    let approval = waiting(&yannick).await;
    let (asked, action) = (approval["id"].as_str().unwrap(), &approval["action"]);
    running.signal(Signal::STOP);
    yannick.approve(asked).await.unwrap();
    let client = Client::bot(&house.issuer, Secret::new(token.clone())).unwrap();
    let grant = client.get(&format!("/v1/approvals/{asked}")).await.unwrap().body["grant"].clone();
    client.post("/v1/grants/redeem", &json!({"grant": grant, "action": action})).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.signal(Signal::CONT);
    // It hears that when it redeems; or already when it asks, where it was stopped before its poll had begun.
    not_run(&running.ended().await, 123, "redeemed", &mark);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_verified_offline() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let running = house.start(&token, &exec(&["--param", "app=api"], "true"));
    let asked = approve(&yannick).await;
    assert_eq!(running.ended().await.code, Some(0));
    let client = Client::bot(&house.issuer, Secret::new(token.clone())).unwrap();
    let receipt = client.get(&format!("/v1/approvals/{asked}/receipt")).await.unwrap().body;
    let keys = client.get("/.well-known/jwks.json").await.unwrap().body;
    let file = |name: &str, value: &Value| std::fs::write(house.dir.path().join(name), value.to_string()).unwrap();
    file("receipt.json", &receipt);
    file("keys.json", &keys);

    let ran = house.run(&["verify", "receipt.json", "--issuer-keys", "keys.json"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for said in [&format!("The receipt of {asked} by {} holds: approved\n", house.issuer), "deploy → production", "app: api"] {
        assert!(ran.stdout.contains(said), "{ran:?}");
    }
    assert!(
        ran.stdout.contains("approve by Yannick Schutz (@yannick) with passkey") && ran.stdout.contains("succeeded"),
        "{ran:?}"
    );
    let ran = house.run(&["verify", "receipt.json"]).await;
    assert!(ran.code == Some(4) && ran.stdout.starts_with("unauthenticated: "), "{ran:?}");
    let ran =
        house.run(&["verify", "receipt.json", "--issuer-keys", "keys.json", "--issuer", "https://other.example", "--json"]).await;
    assert_eq!((ran.code, &ran.json()["result"], &ran.json()["check"]), (Some(1), &json!("invalid"), &json!("issuer")));
    let mut forged = receipt.clone();
    forged["receipt"]["approval"]["action"]["target"] = json!("staging");
    file("forged.json", &forged);
    let ran = house.run(&["verify", "forged.json", "--issuer-keys", "keys.json"]).await;
    assert!(ran.code == Some(1) && ran.stdout.contains("does not hold: receipt_signature: "), "{ran:?}");
    house.run(&["verify", "receipt.json", "--issuer-keys", "receipt.json"]).await.fails(2, "not a JWK set");
    house.run(&["verify", "nothing.json", "--issuer-keys", "keys.json"]).await.fails(1, "nothing.json: ");

    let rotated = house.run(&["keys", "rotate", "--json"]).await.json();
    assert_eq!(rotated.as_array().unwrap().len(), 2);
    let listed = house.run(&["keys", "list"]).await;
    assert!(listed.stdout.lines().next().unwrap().contains("  retired ") && listed.stdout.ends_with("  signs\n"), "{listed:?}");
    file("keys.json", &client.get("/.well-known/jwks.json").await.unwrap().body);
    assert_eq!(house.run(&["verify", "receipt.json", "--issuer-keys", "keys.json"]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_grant_is_of_no_use_to_who_saw_it() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    // Somebody else with the token is faster, and has the grant.
    let running = house.start(&token, &exec(&["--bind"], "echo ran"));
    let approval = waiting(&yannick).await;
    let (asked, action) = (approval["id"].as_str().unwrap(), &approval["action"]);
    running.signal(Signal::STOP);
    yannick.approve(asked).await.unwrap();
    let client = Client::bot(&house.issuer, Secret::new(token.clone())).unwrap();
    let grant = client.get(&format!("/v1/approvals/{asked}")).await.unwrap().body["grant"].clone();
    let body = json!({"grant": grant, "action": action});
    let stolen = client.post("/v1/grants/redeem", &body).await;
    assert_eq!(stolen.unwrap_err().code(), Some("grant_proof_required"));
    let other = phoneops::identity::ProofKey::generate();
    let now = phoneops::clock::Clock::system().now();
    let proof = other.prove("POST", &format!("{}/v1/grants/redeem", house.issuer), grant.as_str().unwrap(), now);
    let stolen = client.post_proven("/v1/grants/redeem", &proof, &body).await;
    assert_eq!(stolen.unwrap_err().code(), Some("invalid_dpop_proof"));
    running.signal(Signal::CONT);
    let ran = running.ended().await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "ran\n"), "{ran:?}");
    let receipt = client.get(&format!("/v1/approvals/{asked}/receipt")).await.unwrap().body;
    let keys = client.get("/.well-known/jwks.json").await.unwrap().body;
    std::fs::write(house.dir.path().join("receipt.json"), receipt.to_string()).unwrap();
    std::fs::write(house.dir.path().join("keys.json"), keys.to_string()).unwrap();
    let ran = house.run(&["verify", "receipt.json", "--issuer-keys", "keys.json"]).await;
    assert!(ran.code == Some(0) && ran.stdout.contains("the grant was bound to the key "), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_break_glass_is_heard_of_while_waiting() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    let mark = house.dir.path().join("mark");
    let running = house.start(&token, &exec(&["--expires-in", "10"], &leaves_mark(&mark)));
    let asked = waiting(&yannick).await["id"].as_str().unwrap().to_owned();
    let broken = house.run(&["break-glass", &asked, "--reason", "the shop is down"]).await;
    let said = "the operator broke the glass (the shop is down). It opens at ";
    assert!(broken.code == Some(0) && broken.stdout.contains(said), "{broken:?}");
    assert_eq!(house.run(&["break-glass", &asked, "--reason", "x", "--json"]).await.json()["state"], "pending");
    house.bot(&token, &["break-glass", "apr_1", "--reason", "x"]).await.fails(2, "apr_");
    let none = "apr_00000000000000000000000000000001";
    house.run(&["break-glass", none, "--reason", "x"]).await.fails(1, &format!("there is no {none}"));
    // Longer than it could have been answered.
    tokio::time::sleep(Duration::from_secs(11)).await;
    yannick.deny(&asked, Some("not like this")).await.unwrap();
    let ran = running.ended().await;
    assert!(ran.stderr.contains(said), "{ran:?}");
    not_run(&ran, 120, "denied by Yannick Schutz: not like this", &mark);
}

/// The token stands in the environment of `exec`, and the command is of the same user: without more it would only have to look.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_cannot_read_the_token_from_its_parent() {
    let house = House::open().await;
    let (yannick, token) = (house.yannick().await, house.heimdall().await);
    // Root reads everything, so as root the whole is done as somebody else, who may not enter our directories.
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = place.path().join("phoneops");
    std::fs::copy(env!("CARGO_BIN_EXE_phoneops"), &program).unwrap();
    let as_anybody = |program: &Path, arguments: &[&str]| {
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = std::process::Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
            command
        } else {
            std::process::Command::new(program)
        };
        command.args(arguments).current_dir("/").env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("PHONEOPS_SERVER", &house.issuer).env("PHONEOPS_TOKEN", &token);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    // Of an ordinary parent it can be read.
    let look = "cat /proc/$PPID/environ; echo ended $?";
    let parent = format!("sh -c '{look}'; true");
    let seen = Running::start(&mut as_anybody(Path::new("sh"), &["-c", &parent])).ended().await;
    assert!(seen.stdout.contains(&token) && seen.stdout.ends_with("ended 0\n"), "{seen:?}");

    let running = Running::start(&mut as_anybody(&program, &exec(&[], look)));
    approve(&yannick).await;
    let ran = running.ended().await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "ended 1\n"), "{ran:?}");
    assert!(ran.stderr.contains("Permission denied") && !ran.stderr.contains(&token), "{ran:?}");
}
