//! Simulators to run by hand: push services, a mail server, and a phone that keeps its keys in a file.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use phoneops::clock::Clock;
use phoneops::secret::{Secret, b64u, random};
use phoneops::sim::apns::{self, Apns, Environment};
use phoneops::sim::fcm::{self, Fcm};
use phoneops::sim::phone::{self, Error, Factor, Lock, Phone, Provider, Push, Verdict};
use phoneops::sim::push_service::PushService;
use phoneops::sim::slack::Slack;
use phoneops::sim::smtp::{self, Smtp};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Simulators for PhoneOps: push services and phones, for demos and for developers of apps and bots.
#[derive(Parser)]
#[command(name = "sim", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a Web Push service that checks every push and fails as scripted.
    ///
    /// PhoneOps must be allowed to push to private networks: `web_push.allow_private_networks = true`.
    #[command(after_help = "Example:\n  sim push-service --listen 127.0.0.1:9700\n  \
        curl http://127.0.0.1:9700/admin/journal\n  \
        curl --json '{\"fault\":{\"kind\":\"status\",\"status\":429,\"retry_after\":5},\"times\":3}' \\\n    \
        http://127.0.0.1:9700/admin/subscriptions/ID/faults")]
    PushService {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:9700")]
        listen: SocketAddr,
        /// The origin by which PhoneOps reaches it, when that is not http:// and the listen address.
        #[arg(long)]
        url: Option<String>,
    },
    /// Run Apple's push service: TLS, HTTP/2, provider tokens, and every way it fails.
    ///
    /// Prints what PhoneOps is to be configured with; the signing key and the certificate authority are new each time and are written into a
    /// folder. The admin API scripts faults by device token and by connection, and tells what each phone showed.
    #[command(after_help = "Example:\n  sim apns --listen 127.0.0.1:9710 --admin 127.0.0.1:9711 --out sim-apns\n  \
        curl --json '{}' http://127.0.0.1:9711/devices\n  \
        curl --json '{\"fault\":{\"kind\":\"refuse\",\"reason\":\"ServiceUnavailable\"},\"times\":3}' \\\n    \
        http://127.0.0.1:9711/admin/devices/TOKEN/faults\n  \
        curl --json '{\"fault\":{\"kind\":\"silence\",\"after\":10}}' http://127.0.0.1:9711/admin/connections/faults\n  \
        curl http://127.0.0.1:9711/admin/devices/TOKEN\n  curl http://127.0.0.1:9711/admin/journal")]
    Apns {
        /// Where providers connect to.
        #[arg(long, default_value = "127.0.0.1:9710")]
        listen: SocketAddr,
        /// Where tests and phones do, without TLS.
        #[arg(long, default_value = "127.0.0.1:9711")]
        admin: SocketAddr,
        /// The folder for `key.p8` and `authority.pem`.
        #[arg(long, default_value = "sim-apns")]
        out: PathBuf,
        /// By which other names providers reach it, beside `localhost`.
        #[arg(long = "name")]
        names: Vec<String>,
        /// The app's bundle id.
        #[arg(long, default_value = "com.example.phoneops")]
        topic: String,
        /// Be the sandbox.
        #[arg(long)]
        sandbox: bool,
    },
    /// Run Google's push service: access tokens, messages, and every way it fails.
    ///
    /// Writes a service account's file, which names it as the place to get access tokens, and its certificate authority into a folder.
    #[command(after_help = "Example:\n  sim fcm --listen 127.0.0.1:9720 --admin 127.0.0.1:9721 --out sim-fcm\n  \
        curl --json '{\"kind\":\"token\"}' http://127.0.0.1:9721/devices\n  \
        curl --json '{\"fault\":{\"kind\":\"refuse\",\"error\":\"UNAVAILABLE\",\"retry_after\":10}}' \\\n    \
        http://127.0.0.1:9721/admin/devices/ID/faults\n  \
        curl -X DELETE http://127.0.0.1:9721/admin/tokens\n  curl http://127.0.0.1:9721/admin/journal")]
    Fcm {
        /// Where senders connect to.
        #[arg(long, default_value = "127.0.0.1:9720")]
        listen: SocketAddr,
        /// Where tests and phones do, without TLS.
        #[arg(long, default_value = "127.0.0.1:9721")]
        admin: SocketAddr,
        /// The folder for `service-account.json` and `authority.pem`.
        #[arg(long, default_value = "sim-fcm")]
        out: PathBuf,
        /// By which other names senders reach it, beside `localhost`; the first is that of `token_uri`.
        #[arg(long = "name")]
        names: Vec<String>,
        /// The Firebase project.
        #[arg(long, default_value = "phoneops-sim")]
        project: String,
    },
    /// Run a mail server: STARTTLS on one port, TLS from the first byte on another, and every way it fails.
    ///
    /// Writes its certificate authority and the user's password, which are new each time, into a folder.
    #[command(
        after_help = "Example:\n  sim smtp --listen 127.0.0.1:9730 --tls 127.0.0.1:9732 --admin 127.0.0.1:9731 --out sim-smtp\n  \
        PHONEOPS_MAIL_SERVER=smtps://phoneops@localhost:9732 PHONEOPS_MAIL_PASSWORD_FILE=sim-smtp/password \\\n    \
        PHONEOPS_MAIL_CA_FILE=sim-smtp/authority.pem PHONEOPS_MAIL_FROM=phoneops@example.com phoneops serve\n  \
        curl --json '{\"fault\":{\"kind\":\"answer\",\"at\":\"rcpt\",\"reply\":\"450 4.2.1 busy\"},\"times\":3}' \\\n    \
        http://127.0.0.1:9731/admin/faults\n  curl 'http://127.0.0.1:9731/letters?wait=25'"
    )]
    Smtp {
        /// Where clients connect to in the clear, for STARTTLS.
        #[arg(long, default_value = "127.0.0.1:9730")]
        listen: SocketAddr,
        /// Where they connect to with TLS.
        #[arg(long, default_value = "127.0.0.1:9732")]
        tls: SocketAddr,
        /// Where tests and readers do, without TLS.
        #[arg(long, default_value = "127.0.0.1:9731")]
        admin: SocketAddr,
        /// The folder for `password` and `authority.pem`.
        #[arg(long, default_value = "sim-smtp")]
        out: PathBuf,
        /// By which other names clients reach it, beside `localhost`.
        #[arg(long = "name")]
        names: Vec<String>,
        /// The one user who may send.
        #[arg(long, default_value = "phoneops")]
        user: String,
    },
    /// Run Slack: its Web API, Socket Mode, and calls by HTTP that it signs.
    ///
    /// Writes the tokens and the signing secret, which are new each time, into a folder. The admin API types, mentions and presses, and
    /// tells what the channels show.
    #[command(
        after_help = "Example:\n  sim slack --listen 127.0.0.1:9740 --sockets 127.0.0.1:9741 --out sim-slack --channel C0OPS\n  \
        PHONEOPS_SLACK_BOT=heimdall PHONEOPS_SLACK_API_URL=http://127.0.0.1:9740/api/ \\\n    \
        PHONEOPS_SLACK_BOT_TOKEN_FILE=sim-slack/bot-token PHONEOPS_SLACK_APP_TOKEN_FILE=sim-slack/app-token phoneops serve\n  \
        curl --json '{\"user\":\"U0YANNICK\",\"channel\":\"C0OPS\",\"text\":\"link me\"}' http://127.0.0.1:9740/admin/command\n  \
        curl http://127.0.0.1:9740/admin/messages"
    )]
    Slack {
        /// Where apps and tests connect to.
        #[arg(long, default_value = "127.0.0.1:9740")]
        listen: SocketAddr,
        /// Where apps connect to with sockets.
        #[arg(long, default_value = "127.0.0.1:9741")]
        sockets: SocketAddr,
        /// The folder for `bot-token`, `app-token` and `signing-secret`.
        #[arg(long, default_value = "sim-slack")]
        out: PathBuf,
        /// A channel with the bot in it.
        #[arg(long = "channel", default_value = "C0OPS")]
        channels: Vec<String>,
        /// Whom to call when there is no socket: an origin, like `http://localhost:8080`.
        #[arg(long)]
        call_at: Option<String>,
    },
    /// Be a phone.
    #[command(arg_required_else_help = true, after_help = "Example:\n  sim phone --state phone.json inbox")]
    Phone {
        /// The file with the phone's keys. It is created by `enrol`, readable by you alone.
        #[arg(long, default_value = "phone.json")]
        state: PathBuf,
        #[command(subcommand)]
        act: Act,
    },
}

#[derive(Subcommand)]
enum Act {
    /// Enrol with a code, make a passkey, and register for push.
    #[command(after_help = "Example:\n  sim phone --state phone.json enrol --server http://localhost:8080 \\\n    \
        --push http://127.0.0.1:9700 --code 7K3M-Q2XN-B4TD-9VWH-5RFA-8CPE \\\n    \
        --first-admin yannick --person-name \"Yannick Schutz\"")]
    Enrol(Enrol),
    /// List the approvals that wait for you.
    #[command(after_help = "Example:\n  sim phone --state phone.json inbox")]
    Inbox,
    /// Approve with the passkey, or as a policy allows with a code or a tap.
    #[command(after_help = "Example:\n  sim phone --state phone.json approve apr_01jd3k")]
    Approve {
        /// The approval's id.
        approval: String,
        /// The six digits that the requester was shown.
        #[arg(long, conflicts_with = "tap")]
        code: Option<String>,
        /// With the device's key alone.
        #[arg(long)]
        tap: bool,
    },
    /// Deny, and say that it was not the requester who asked.
    #[command(after_help = "Example:\n  sim phone --state phone.json report apr_01jd3k")]
    Report {
        /// The approval's id.
        approval: String,
    },
    /// Confirm every change that waits for an administrator's passkey.
    #[command(after_help = "Example:\n  sim phone --state phone.json confirm")]
    Confirm,
    /// List my devices, those that wait included.
    #[command(after_help = "Example:\n  sim phone --state phone.json devices")]
    Devices,
    /// Confirm a device of mine that waits, by the number that it shows.
    #[command(after_help = "Example:\n  sim phone --state phone.json confirm-device dev_018b… 481203")]
    ConfirmDevice {
        /// The device's id.
        device: String,
        /// The six digits that it shows.
        number: String,
    },
    /// Reject a device that waits and is not mine.
    #[command(after_help = "Example:\n  sim phone --state phone.json reject-device dev_018b…")]
    RejectDevice {
        /// The device's id.
        device: String,
    },
    /// Say that a chat identity is me, by the code that a bot showed.
    #[command(after_help = "Example:\n  sim phone --state phone.json link 7K3M-Q2XN-B4TD")]
    Link {
        /// The code.
        code: String,
    },
    /// Deny with the passkey.
    #[command(after_help = "Example:\n  sim phone --state phone.json deny apr_01jd3k --reason \"not on a Friday\"")]
    Deny {
        /// The approval's id.
        approval: String,
        /// Why, for the requester.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Acknowledge an incident.
    #[command(after_help = "Example:\n  sim phone --state phone.json ack PIHXOC6")]
    Ack {
        /// The incident's reference.
        incident: String,
    },
    /// Resolve an incident.
    #[command(after_help = "Example:\n  sim phone --state phone.json resolve PIHXOC6")]
    Resolve {
        /// The incident's reference.
        incident: String,
    },
    /// Say that it was not you who acknowledged or resolved through a bot.
    #[command(after_help = "Example:\n  sim phone --state phone.json not-me PIHXOC6")]
    NotMe {
        /// The incident's reference.
        incident: String,
    },
    /// Say that the person has opened the newest push on the screen.
    #[command(after_help = "Example:\n  sim phone --state phone.json open")]
    Open,
    /// Print pushes as they come, until interrupted.
    #[command(after_help = "Example:\n  sim phone --state phone.json watch")]
    Watch,
}

#[derive(Args)]
struct Enrol {
    /// The installation's `public_url`.
    #[arg(long)]
    server: String,
    /// Be a browser, reached through the push service at this URL (`sim push-service`).
    #[arg(long, required_unless_present_any = ["apns", "fcm"])]
    push: Option<String>,
    /// Be an iPhone with a native app, reached through `sim apns`: the URL of its admin API.
    #[arg(long, conflicts_with_all = ["push", "fcm"])]
    apns: Option<String>,
    /// Be an Android phone with a native app, reached through `sim fcm`: the URL of its admin API.
    #[arg(long, conflicts_with = "push")]
    fcm: Option<String>,
    /// With `--fcm`: be known by an installation ID instead of a registration token.
    #[arg(long, requires = "fcm")]
    fid: bool,
    /// The enrolment code.
    #[arg(long)]
    code: String,
    /// What to call the phone.
    #[arg(long, default_value = "Simulated phone")]
    device_name: String,
    /// The handle of the first administrator, with the code that the first start printed.
    #[arg(long, requires = "person_name")]
    first_admin: Option<String>,
    /// The first administrator's name.
    #[arg(long, requires = "first_admin")]
    person_name: Option<String>,
}

impl Enrol {
    /// Through whom the phone is reached, and where that is.
    fn provider(&self) -> (Provider, &str) {
        match (&self.push, &self.apns, &self.fcm) {
            (_, Some(url), _) => (Provider::Apns, url),
            (_, _, Some(url)) if self.fid => (Provider::FcmFid, url),
            (_, _, Some(url)) => (Provider::Fcm, url),
            (url, _, _) => (Provider::WebPush, url.as_deref().unwrap_or_default()),
        }
    }
}

/// How often a phone that waits asks whether it is confirmed.
const POLL: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::PushService { listen, url } => push_service(listen, url).await,
        Command::Apns { listen, admin, out, names, topic, sandbox } => {
            let environment = if sandbox { Environment::Sandbox } else { Environment::Production };
            let settings = apns::Settings { listen, admin, names, topic, environment, ..apns::Settings::default() };
            be_apple(settings, &out).await
        }
        Command::Fcm { listen, admin, out, names, project } => {
            let settings = fcm::Settings { listen, admin, names, project, ..fcm::Settings::default() };
            be_google(settings, &out).await
        }
        Command::Smtp { listen, tls, admin, out, names, user } => {
            let account = Some((user, Secret::new(b64u(random::<16>()))));
            be_post(smtp::Settings { listen, listen_tls: tls, admin, names, account }, &out).await
        }
        Command::Slack { listen, sockets, out, channels, call_at } => be_slack((listen, sockets), &out, &channels, call_at).await,
        Command::Phone { state, act } => be_phone(&state, act).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("sim: {}", chain(failure.as_ref()));
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

async fn push_service(listen: SocketAddr, url: Option<String>) -> Result<(), Failure> {
    let listener = TcpListener::bind(listen).await?;
    let origin = match url {
        Some(url) => url,
        None => format!("http://{}", listener.local_addr()?),
    };
    let service = PushService::serve(listener, &origin, Clock::system());
    println!("Web Push service at {}", service.url());
    tokio::signal::ctrl_c().await?;
    service.stop().await;
    Ok(())
}

async fn be_apple(settings: apns::Settings, out: &Path) -> Result<(), Failure> {
    let apns = Apns::with(settings, Clock::system()).await?;
    let key = apns.key();
    fs::create_dir_all(out)?;
    write_private(&out.join("key.p8"), key.pem.expose())?;
    fs::write(out.join("authority.pem"), apns.authority())?;
    let (key_id, team_id) = (&key.key_id, &key.team_id);
    println!("APNs at {} (admin API at {})", apns.url(), apns.admin_url());
    println!("key id {key_id}, team id {team_id}, topic {}", apns.topic());
    println!("signing key and certificate authority in {}", out.display());
    tokio::signal::ctrl_c().await?;
    apns.stop().await;
    Ok(())
}

async fn be_google(settings: fcm::Settings, out: &Path) -> Result<(), Failure> {
    let fcm = Fcm::with(settings, Clock::system()).await?;
    fs::create_dir_all(out)?;
    write_private(&out.join("service-account.json"), &format!("{:#}\n", fcm.service_account()))?;
    fs::write(out.join("authority.pem"), fcm.authority())?;
    println!("FCM at {} (admin API at {})", fcm.url(), fcm.admin_url());
    println!("service account and certificate authority in {}", out.display());
    tokio::signal::ctrl_c().await?;
    fcm.stop().await;
    Ok(())
}

async fn be_post(settings: smtp::Settings, out: &Path) -> Result<(), Failure> {
    let password = settings.account.as_ref().map(|(_, password)| password.clone());
    let smtp = Smtp::with(settings, Clock::system()).await?;
    fs::create_dir_all(out)?;
    write_private(&out.join("password"), password.as_ref().map_or("", Secret::expose))?;
    fs::write(out.join("authority.pem"), smtp.authority())?;
    let (clear, tls) = (smtp.address().port(), smtp.tls_address().port());
    println!(
        "mail at smtps://localhost:{tls}, and with STARTTLS at smtp://localhost:{clear} (admin API at {})",
        smtp.admin_url()
    );
    println!("password and certificate authority in {}", out.display());
    tokio::signal::ctrl_c().await?;
    smtp.stop().await;
    Ok(())
}

async fn be_slack(
    (listen, sockets): (SocketAddr, SocketAddr),
    out: &Path,
    channels: &[String],
    call_at: Option<String>,
) -> Result<(), Failure> {
    let slack = Slack::start_on(listen, sockets, Clock::system()).await?;
    for channel in channels {
        slack.channel(channel, true);
    }
    if let Some(origin) = call_at {
        slack.call_at(&origin);
    }
    fs::create_dir_all(out)?;
    write_private(&out.join("bot-token"), slack.bot_token())?;
    write_private(&out.join("app-token"), slack.app_token())?;
    write_private(&out.join("signing-secret"), slack.signing_secret())?;
    println!("Slack at {} (admin API at {}/admin)", slack.api_url(), slack.url());
    println!("tokens and signing secret in {}", out.display());
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// Writes a new file that only its owner can read.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

async fn be_phone(path: &Path, act: Act) -> Result<(), Failure> {
    match act {
        Act::Watch => return watch(path).await,
        Act::Enrol(ref enrolment) => return enrol(path, enrolment).await,
        _ => {}
    }
    let _lock = Lock::acquire(path)?;
    let phone = Phone::load(phone::client()?, Clock::system(), path)?;
    let outcome = perform(&phone, act).await;
    // Saved after a refusal too: the signature counter has moved.
    phone.save(path)?;
    println!("{:#}", outcome?);
    Ok(())
}

async fn perform(phone: &Phone, act: Act) -> Result<Value, Error> {
    match act {
        Act::Inbox => phone.inbox().await.map(Value::from),
        Act::Approve { approval, code, tap } => {
            let factor = match &code {
                Some(code) => Factor::Code(code),
                None if tap => Factor::Tap,
                None => Factor::Passkey,
            };
            phone.answer_with(&approval, Verdict::Approve, factor).await
        }
        Act::Report { approval } => phone.answer_with(&approval, Verdict::Report, Factor::Passkey).await,
        Act::Confirm => confirm(phone).await,
        Act::Devices => phone.devices().await.map(Value::from),
        Act::ConfirmDevice { device, number } => phone.confirm_device(&device, &number).await,
        Act::Link { code } => phone.post("/v1/chat-identities", &json!({"code": code})).await?.accepted(),
        Act::RejectDevice { device } => phone.reject_device(&device).await.map(|()| Value::Null),
        Act::Deny { approval, reason } => phone.deny(&approval, reason.as_deref()).await,
        Act::Open => open(phone).await,
        Act::Ack { incident } => phone.acknowledge(&incident).await,
        Act::Resolve { incident } => phone.resolve(&incident).await,
        Act::NotMe { incident } => phone.not_me(&incident).await,
        Act::Enrol(_) | Act::Watch => unreachable!("performed by their own functions"),
    }
}

/// Opens the newest push on the screen.
async fn open(phone: &Phone) -> Result<Value, Error> {
    let shown = phone.shown().await?;
    let Some(push) = shown.last() else {
        return Ok(Value::Null);
    };
    phone.open(push).await?;
    Ok(push.title().into())
}

async fn confirm(phone: &Phone) -> Result<Value, Error> {
    let mut done = Vec::new();
    for act in phone.acts().await? {
        done.push(phone.confirm_act(&act).await?);
    }
    Ok(done.into())
}

async fn enrol(path: &Path, enrolment: &Enrol) -> Result<(), Failure> {
    let _lock = Lock::acquire(path)?;
    let phone = if path.exists() {
        known_phone(path, enrolment)?
    } else {
        let (provider, url) = enrolment.provider();
        Phone::reached_by(provider, phone::client()?, Clock::system(), &enrolment.server, url)
    };
    // The key is saved before it is used: a lost reply can then be asked for again.
    phone.save(path)?;
    let admin = enrolment.first_admin.as_deref().zip(enrolment.person_name.as_deref());
    let enrolled = phone.enrol(&enrolment.code, &enrolment.device_name, admin).await;
    phone.save(path)?;
    let reply = enrolled?;
    confirmed(&phone, &reply).await?;
    let prepared = prepare(&phone, &enrolment.device_name).await;
    phone.save(path)?;
    prepared?;
    println!("{reply:#}");
    println!("Registered for push as {}", phone.subscription_id()?);
    Ok(())
}

/// Waits until another phone of the person has confirmed this one, where it has to.
async fn confirmed(phone: &Phone, reply: &Value) -> Result<(), Error> {
    if reply["device"]["state"] != "waiting" {
        return Ok(());
    }
    println!("Type {} into a phone that is yours already", phone.match_number());
    loop {
        match phone.sign_in().await {
            Err(refused) if refused.code() == Some("device_waiting") => tokio::time::sleep(POLL).await,
            done => return done,
        }
    }
}

/// The phone in the file, if it is one for the same server and push service: a lost reply may be asked for again.
fn known_phone(path: &Path, enrolment: &Enrol) -> Result<Phone, Failure> {
    let phone = Phone::load(phone::client()?, Clock::system(), path)?;
    let (provider, url) = enrolment.provider();
    let meant = [&enrolment.server, url].map(|url| url.trim_end_matches('/'));
    if meant != [phone.issuer(), phone.push_service()] || provider != phone.provider() {
        let (server, push) = (phone.issuer(), phone.push_service());
        let path = path.display();
        return Err(format!("{path} is a phone for {server} and {push}: name another file").into());
    }
    Ok(phone)
}

async fn prepare(phone: &Phone, name: &str) -> Result<(), Error> {
    phone.create_passkey(name).await?;
    phone.register_push().await?;
    Ok(())
}

/// Holds no lock while it waits, so that the same phone can answer from another terminal.
async fn watch(path: &Path) -> Result<(), Failure> {
    let mut phone = Phone::load(phone::client()?, Clock::system(), path)?;
    loop {
        let next = tokio::select! {
            next = phone.next_push(Duration::from_mins(10)) => next,
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
        };
        match next {
            Ok(Some(push)) => {
                show(&push)?;
                phone.save_received(path)?;
            }
            Ok(None) => {}
            Err(Error::SubscriptionGone) => phone = resubscribe(path).await?,
            Err(other) => return Err(other.into()),
        }
    }
}

/// A push service that was restarted knows no subscription; a browser would subscribe again too.
async fn resubscribe(path: &Path) -> Result<Phone, Failure> {
    let _lock = Lock::acquire(path)?;
    let phone = Phone::load(phone::client()?, Clock::system(), path)?;
    let registered = phone.register_push().await;
    phone.save(path)?;
    registered?;
    println!("Subscribed again: push subscription {}", phone.subscription_id()?);
    Ok(phone)
}

fn show(push: &Push) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{} {}: {}", push.at, push.kind(), push.title())?;
    if !push.body().is_empty() {
        writeln!(out, "    {}", push.body())?;
    }
    writeln!(out, "    {}", push.navigate())?;
    out.flush()
}
