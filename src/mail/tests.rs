//! The mailer against mail servers of every temper, on this machine's own loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::config::MailSecurity;
use crate::push::{Category, Sound, Urgency};

pub(super) fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

pub(super) fn message() -> Message {
    Message {
        title: "All your apps are down".into(),
        body: "Page PIHXOC6 from heimdall".into(),
        navigate: "https://phoneops.example/i/PIHXOC6".parse().unwrap(),
        tag: "ntf_1.1".into(),
        urgency: Urgency::High,
        expires_at: now().after(Duration::from_mins(5)),
        sound: Sound::Normal,
        thread: "inc_1".into(),
        category: Category::Page,
        data: json!({"ref": "PIHXOC6"}).as_object().unwrap().clone(),
    }
}

/// What a server says to each command that a talk may end at; empty says nothing and hangs up.
#[derive(Clone, Copy)]
struct Script {
    greeting: &'static str,
    /// The extensions that EHLO lists.
    offers: &'static [&'static str],
    auth: &'static str,
    mail: &'static str,
    rcpt: &'static str,
    data: &'static str,
    message: &'static str,
    /// Whether QUIT is heard, and never answered.
    dawdles: bool,
}

const KIND: Script = Script {
    greeting: "220 mail.example.com",
    offers: &["AUTH PLAIN LOGIN", "STARTTLS"],
    auth: "235 2.7.0 welcome",
    mail: "250 2.1.0 ok",
    rcpt: "250 2.1.5 ok",
    data: "354 go on",
    message: "250 2.0.0 queued as secret-queue-id",
    dawdles: false,
};

/// A mail server that plays a script, and keeps what it was told.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    ca_file: tempfile::NamedTempFile,
}

impl Server {
    async fn playing(script: Script, wrapped: bool) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let ca_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca_file.path(), made.cert.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, kept) = (acceptor.clone(), kept.clone());
                tokio::spawn(async move {
                    if wrapped {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        talk(stream, script, &kept, true).await;
                    } else if let Some(stream) = talk(stream, script, &kept, true).await {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        kept.lock().unwrap().push("(TLS)".into());
                        talk(stream, script, &kept, false).await;
                    }
                });
            }
        });
        Self { address, heard, ca_file }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn config(&self, security: MailSecurity) -> Mail {
        let server = MailServer { host: "localhost".into(), port: self.address.port(), security, user: None };
        Mail {
            server,
            password_file: None,
            from: "PhoneOps <phoneops@example.com>".into(),
            ca_file: Some(self.ca_file.path().into()),
        }
    }

    fn mailer(&self, security: MailSecurity) -> Mailer {
        Mailer { limit: Duration::from_secs(2), ..Mailer::new(&self.config(security)).unwrap() }
    }
}

/// One talk; the stream when the client asks for TLS.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    script: Script,
    heard: &Mutex<Vec<String>>,
    greet: bool,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    if greet && !say(&mut stream, script.greeting).await {
        return None;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return None;
        }
        heard.lock().unwrap().push(line.trim_end().to_owned());
        let verb = line.split([' ', ':', '\r']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" => {
                let mut lines: Vec<_> = script.offers.iter().map(|offer| format!("250-{offer}")).collect();
                lines.push("250 8BITMIME".into());
                lines.join("\r\n")
            }
            "STARTTLS" => {
                say(&mut stream, "220 go").await;
                return Some(stream.into_inner());
            }
            "AUTH" => script.auth.to_owned(),
            "MAIL" => script.mail.to_owned(),
            "RCPT" => script.rcpt.to_owned(),
            "DATA" => {
                if !say(&mut stream, script.data).await {
                    return None;
                }
                if !script.data.starts_with('3') {
                    continue;
                }
                let mut letter = String::new();
                while !letter.ends_with("\r\n.\r\n") && stream.read_line(&mut letter).await.unwrap_or(0) > 0 {}
                heard.lock().unwrap().push(letter);
                script.message.to_owned()
            }
            "QUIT" if script.dawdles => std::future::pending().await,
            _ => "221 bye".to_owned(),
        };
        if !say(&mut stream, &answer).await {
            return None;
        }
    }
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, what: &str) -> bool {
    !what.is_empty() && stream.write_all(format!("{what}\r\n").as_bytes()).await.is_ok() && stream.flush().await.is_ok()
}

fn ys() -> Target {
    Target::Mail("ys@example.com".parse().unwrap())
}

/// What became of a mail that this server was handed in the clear.
async fn outcome(script: Script) -> Outcome {
    let server = Server::playing(script, false).await;
    server.mailer(MailSecurity::Plain).send(&message(), &ys(), now()).await
}

#[tokio::test]
async fn a_mail_goes_over_tls_and_to_one_recipient() {
    for (security, wrapped) in [(MailSecurity::StartTls, false), (MailSecurity::Wrapped, true)] {
        let server = Server::playing(KIND, wrapped).await;
        let password = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(password.path(), "hunter2\n").unwrap();
        let mut config = server.config(security);
        config.server.user = Some("ops".into());
        config.password_file = Some(password.path().into());
        let mailer = Mailer::new(&config).unwrap();
        assert_eq!(mailer.try_out().await, Ok(()));
        server.heard.lock().unwrap().clear();
        assert_eq!(mailer.send(&message(), &ys(), now()).await, Outcome::Accepted { id: None });
        let heard = server.heard();
        let in_the_clear: &[&str] = if wrapped { &[] } else { &["EHLO example.com", "STARTTLS", "(TLS)"] };
        assert_eq!(heard[..in_the_clear.len()], *in_the_clear);
        let after_tls = &heard[in_the_clear.len()..];
        assert_eq!(after_tls[0], "EHLO example.com");
        assert_eq!(after_tls[1], "AUTH PLAIN AG9wcwBodW50ZXIy");
        assert_eq!(after_tls[2..5], ["MAIL FROM:<phoneops@example.com>", "RCPT TO:<ys@example.com>", "DATA"]);
        assert!(after_tls[5].contains("Subject: All your apps are down\r\n"), "{after_tls:?}");
        assert_eq!(after_tls[6..], ["QUIT"]);
    }
}

#[tokio::test]
async fn each_steps_refusal_has_its_meaning() {
    let gone = Outcome::Gone { since: None };
    for (script, expected) in [
        (Script { rcpt: "550 5.1.1 ys@example.com is unknown", ..KIND }, Ok(gone.clone())),
        (Script { rcpt: "550 no such user", ..KIND }, Ok(gone)),
        (Script { rcpt: "550 5.7.1 relaying denied", ..KIND }, Err("Refused")),
        (Script { rcpt: "554 no", ..KIND }, Err("Refused")),
        (Script { rcpt: "450 4.2.1 busy", ..KIND }, Err("Retryable")),
        (Script { rcpt: "", ..KIND }, Err("Retryable")),
        (Script { greeting: "554 not you", ..KIND }, Err("Misconfigured")),
        (Script { greeting: "421 not now", ..KIND }, Err("Retryable")),
        (Script { greeting: "hello", ..KIND }, Err("Retryable")),
        (Script { greeting: "", ..KIND }, Err("Retryable")),
        (Script { mail: "550 5.7.1 not from there", ..KIND }, Err("Misconfigured")),
        (Script { mail: "451 4.3.0 later", ..KIND }, Err("Retryable")),
        (Script { data: "554 5.5.1 no", ..KIND }, Err("Refused")),
        (Script { message: "552 5.3.4 too large", ..KIND }, Err("Refused")),
        (Script { message: "452 4.3.1 full", ..KIND }, Err("Retryable")),
        // Whether it has it is not known: the next try has the same Message-ID.
        (Script { message: "", ..KIND }, Err("Retryable")),
    ] {
        let outcome = outcome(script).await;
        match expected {
            Ok(expected) => assert_eq!(outcome, expected, "{}", script.rcpt),
            Err(kind) => {
                let text = format!("{outcome:?}");
                assert!(text.starts_with(kind), "{kind}: {text}");
                for secret in ["ys@", "unknown", "relaying", "apps"] {
                    assert!(!text.contains(secret), "{text}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_dawdles_over_the_leave_changes_no_outcome() {
    let dawdling = Script { dawdles: true, ..KIND };
    let server = Server::playing(dawdling, false).await;
    let mailer = server.mailer(MailSecurity::Plain);
    let (accepted, gone, tried) =
        tokio::join!(outcome(dawdling), outcome(Script { rcpt: "550 5.1.1 who?", ..dawdling }), mailer.try_out());
    assert_eq!((accepted, gone, tried), (Outcome::Accepted { id: None }, Outcome::Gone { since: None }, Ok(())));
    assert!(LIMIT + session::LEAVE <= Duration::from_secs(13), "a server's carriers have 14 s");
}

#[tokio::test]
async fn a_password_that_is_refused_is_the_operators_matter() {
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "hunter2").unwrap();
    for (script, kind) in [
        (Script { auth: "535 5.7.8 hunter2 is wrong", ..KIND }, "Misconfigured"),
        (Script { auth: "454 4.7.0 later", ..KIND }, "Retryable"),
        (Script { offers: &["AUTH GSSAPI"], ..KIND }, "Misconfigured"),
    ] {
        let server = Server::playing(script, false).await;
        let mut config = server.config(MailSecurity::Plain);
        config.server.user = Some("ops".into());
        config.password_file = Some(password.path().into());
        let mailer = Mailer::new(&config).unwrap();
        let text = format!("{:?}", mailer.send(&message(), &ys(), now()).await);
        assert!(text.starts_with(kind) && !text.contains("hunter2"), "{text}");
        assert!(mailer.try_out().await.is_err());
        assert!(!server.heard().iter().any(|line| line.starts_with("MAIL")));
    }
}

#[tokio::test]
async fn nothing_is_said_in_the_clear_where_tls_is_asked_for() {
    let silent = Server::playing(Script { offers: &["AUTH PLAIN"], ..KIND }, false).await;
    let outcome = silent.mailer(MailSecurity::StartTls).send(&message(), &ys(), now()).await;
    assert!(matches!(&outcome, Outcome::Misconfigured(why) if why.contains("STARTTLS")), "{outcome:?}");
    assert_eq!(silent.heard()[0], "EHLO example.com");
    assert!(!silent.heard().iter().any(|line| line.starts_with("MAIL") || line.starts_with("AUTH")));
    // Somebody else's certificate.
    for (security, wrapped) in [(MailSecurity::StartTls, false), (MailSecurity::Wrapped, true)] {
        let (server, other) = (Server::playing(KIND, wrapped).await, Server::playing(KIND, wrapped).await);
        let config = Mail { ca_file: Some(other.ca_file.path().into()), ..server.config(security) };
        let outcome = Mailer::new(&config).unwrap().send(&message(), &ys(), now()).await;
        assert!(matches!(&outcome, Outcome::Misconfigured(why) if why.contains("not who it should be")), "{outcome:?}");
        assert!(!server.heard().iter().any(|line| line.starts_with("MAIL")));
    }
}

#[tokio::test]
async fn silence_and_absence_are_retryable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::playing(KIND, false).await;
    let mut config = server.config(MailSecurity::Plain);
    config.server.port = listener.local_addr().unwrap().port();
    let mut mailer = Mailer::new(&config).unwrap();
    mailer.limit = Duration::from_millis(50);
    let (message, ys) = (message(), ys());
    let (outcome, accepted) = tokio::join!(mailer.send(&message, &ys, now()), listener.accept());
    let accepted: TcpStream = accepted.unwrap().0;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.contains("in time")), "{outcome:?}");
    drop((accepted, listener));
    let outcome = mailer.send(&message, &ys, now()).await;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.contains("refused")), "{outcome:?}");
}

#[tokio::test]
async fn what_waited_for_a_place_goes_back_or_is_late() {
    let server = Server::playing(KIND, false).await;
    let mailer = server.mailer(MailSecurity::Plain).within(session::LEAVE + Duration::from_millis(100));
    let held = mailer.places.acquire_many(u32::try_from(AT_ONCE).unwrap()).await.unwrap();
    let (message, ys) = (message(), ys());
    let stuck = mailer.send(&message, &ys, now()).await;
    assert!(matches!(&stuck, Outcome::Retryable(why) if why.contains("nobody")), "{stuck:?}");
    let others = async {
        tokio::task::yield_now().await;
        mailer.handed.fetch_add(1, Ordering::Relaxed);
    };
    let (busy, ()) = tokio::join!(mailer.send(&message, &ys, now()), others);
    assert_eq!(busy, Outcome::RetryAfter(SOON));
    let short = Message { expires_at: now().after(Duration::from_millis(5)), ..message };
    let freeing = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(held);
    };
    let (late, ()) = tokio::join!(mailer.send(&short, &ys, now()), freeing);
    assert_eq!((late, server.heard().len()), (Outcome::Expired, 0));
}

#[tokio::test]
async fn what_is_over_or_empty_or_anothers_is_not_sent() {
    let server = Server::playing(KIND, false).await;
    let mailer = server.mailer(MailSecurity::Plain);
    assert_eq!(mailer.send(&message(), &ys(), message().expires_at).await, Outcome::Expired);
    let untitled = Message { title: "\r\n".into(), ..message() };
    assert_eq!(mailer.send(&untitled, &ys(), now()).await, Outcome::Refused("the message has no title".into()));
    let phone = Target::Apns("00ff".to_owned().try_into().unwrap());
    assert_eq!(mailer.send(&message(), &phone, now()).await, Outcome::Refused("the target is of another carrier".into()));
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn a_configuration_that_cannot_work_says_which_key() {
    let server = Server::playing(KIND, false).await;
    let refusal = |change: &dyn Fn(&mut Mail)| {
        let mut config = server.config(MailSecurity::Plain);
        change(&mut config);
        Mailer::new(&config).map(|_| ()).unwrap_err().to_string()
    };
    let empty = tempfile::NamedTempFile::new().unwrap();
    let path = || Some(empty.path().to_owned());
    assert!(refusal(&|config| config.from = "PhoneOps".into()).starts_with("mail.from: "));
    assert!(refusal(&|config| config.from = "\"a b\"@example.com".into()).starts_with("mail.from: "));
    assert!(refusal(&|config| config.password_file = path()).starts_with("mail.password_file: "));
    assert!(refusal(&|config| config.password_file = Some("/nowhere/x".into())).starts_with("mail.password_file: "));
    assert!(refusal(&|config| config.ca_file = path()).starts_with("mail.ca_file: "));
}
