//! Mail: the mailer as the server has it, against the simulated mail server: every step refused, hung and closed.

use std::time::Duration;

use phoneops::clock::{Clock, Timestamp};
use phoneops::config::{Mail, MailSecurity, MailServer};
use phoneops::mail::Mailer;
use phoneops::push::{Carrier as _, Category, Message, Outcome, Sound, Target, Urgency};
use phoneops::secret::Secret;
use phoneops::sim::smtp::{Fault, Said, Settings, Smtp, Step};
use serde_json::json;
use tempfile::NamedTempFile;

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A mail server with one user, and the files that the mailer reads.
struct World {
    smtp: Smtp,
    ca_file: NamedTempFile,
    password_file: NamedTempFile,
}

impl World {
    /// For anybody.
    async fn open() -> Self {
        Self::with(None).await
    }

    /// For `ops` alone.
    async fn closed() -> Self {
        Self::with(Some(("ops".to_owned(), Secret::new("hunter2".to_owned())))).await
    }

    async fn with(account: Option<(String, Secret)>) -> Self {
        let smtp = Smtp::with(Settings { account, ..Settings::default() }, Clock::manual(START)).await.unwrap();
        let (ca_file, password_file) = (NamedTempFile::new().unwrap(), NamedTempFile::new().unwrap());
        std::fs::write(ca_file.path(), smtp.authority()).unwrap();
        std::fs::write(password_file.path(), "hunter2\n").unwrap();
        Self { smtp, ca_file, password_file }
    }

    fn config(&self, security: MailSecurity, user: Option<&str>) -> Mail {
        let address = if security == MailSecurity::Wrapped { self.smtp.tls_address() } else { self.smtp.address() };
        let user = user.map(str::to_owned);
        Mail {
            password_file: user.as_ref().map(|_| self.password_file.path().to_owned()),
            server: MailServer { host: "localhost".into(), port: address.port(), security, user },
            from: "PhoneOps <phoneops@example.com>".into(),
            ca_file: Some(self.ca_file.path().to_owned()),
        }
    }

    fn mailer(&self, security: MailSecurity, user: Option<&str>) -> Mailer {
        Mailer::new(&self.config(security, user)).unwrap()
    }

    /// What became of a mail that was handed over in the clear.
    async fn outcome(&self) -> Outcome {
        send(&self.mailer(MailSecurity::Plain, None)).await
    }

    /// All that was said so far.
    fn said(&self) -> Vec<Said> {
        self.smtp.talks().into_iter().flat_map(|talk| talk.said).collect()
    }

    fn heard(&self) -> Vec<(bool, String)> {
        let said = self.said().into_iter().filter(|said| !said.heard.is_empty());
        said.map(|said| (said.secured, said.heard)).collect()
    }

    /// That nobody was named to the server.
    fn assert_nobody_named(&self) {
        assert!(!self.heard().iter().any(|(_, line)| line.starts_with("MAIL")), "{:?}", self.heard());
    }

    /// Returns once the server owes an answer in its talk of this number.
    async fn until_it_is_silent(&self, talk: usize) {
        let owes = || Some(self.smtp.talks().get(talk)?.said.last()?.answered.is_none());
        while owes() != Some(true) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn message() -> Message {
    Message {
        title: "All your apps are down".into(),
        body: "Page PIHXOC6 from heimdall".into(),
        navigate: "https://phoneops.example/i/PIHXOC6".parse().unwrap(),
        tag: "ntf_1.1".into(),
        urgency: Urgency::High,
        expires_at: START.after(Duration::from_mins(5)),
        sound: Sound::Normal,
        thread: "inc_1".into(),
        category: Category::Page,
        data: json!({"ref": "PIHXOC6"}).as_object().unwrap().clone(),
    }
}

fn ys() -> Target {
    Target::Mail("ys@example.com".parse().unwrap())
}

async fn send(mailer: &Mailer) -> Outcome {
    mailer.send(&message(), &ys(), START).await
}

fn answer(at: Step, reply: &str) -> Fault {
    Fault::Answer { at, reply: reply.to_owned() }
}

#[tokio::test]
async fn a_mail_goes_over_tls_and_to_one_recipient() {
    for security in [MailSecurity::StartTls, MailSecurity::Wrapped] {
        let world = World::closed().await;
        let mailer = world.mailer(security, Some("ops"));
        assert_eq!(mailer.try_out().await, Ok(()));
        assert_eq!((world.smtp.letters().len(), send(&mailer).await), (0, Outcome::Accepted { id: None }));
        let [letter] = &world.smtp.letters()[..] else { panic!("one mail") };
        assert_eq!((letter.from.as_str(), &letter.to[..]), ("phoneops@example.com", &["ys@example.com".to_owned()][..]));
        assert_eq!((letter.secured, letter.user.as_deref()), (true, Some("ops")));
        assert!(letter.text.contains("\r\nSubject: All your apps are down\r\n"), "{}", letter.text);
        let said = &world.smtp.talks()[1].said;
        let heard: Vec<_> =
            said.iter().filter(|said| !said.heard.is_empty()).map(|said| (said.secured, said.heard.as_str())).collect();
        let in_the_clear = [(false, "EHLO example.com"), (false, "STARTTLS")];
        let (clear, secured) = heard.split_at(if security == MailSecurity::Wrapped { 0 } else { 2 });
        assert_eq!(clear, &in_the_clear[..clear.len()]);
        let over_tls =
            ["EHLO example.com", "AUTH PLAIN …", "MAIL FROM:<phoneops@example.com>", "RCPT TO:<ys@example.com>", "DATA", "QUIT"];
        assert_eq!(secured, over_tls.map(|line| (true, line)));
    }
}

#[tokio::test]
async fn each_steps_refusal_has_its_meaning() {
    let world = World::open().await;
    let gone = Outcome::Gone { since: None };
    for (fault, expected) in [
        (answer(Step::Rcpt, "550 5.1.1 ys@example.com is unknown"), Ok(gone.clone())),
        (answer(Step::Rcpt, "550 no such user"), Ok(gone)),
        (answer(Step::Rcpt, "550 5.7.1 relaying denied"), Err("Refused")),
        (answer(Step::Rcpt, "554 no"), Err("Refused")),
        (answer(Step::Rcpt, "450 4.2.1 busy"), Err("Retryable")),
        (Fault::Close { at: Step::Rcpt }, Err("Retryable")),
        (answer(Step::Greeting, "554 not you"), Err("Misconfigured")),
        (answer(Step::Greeting, "421 not now"), Err("Retryable")),
        (answer(Step::Greeting, "hello"), Err("Retryable")),
        (Fault::Close { at: Step::Greeting }, Err("Retryable")),
        (answer(Step::Mail, "550 5.7.1 not from there"), Err("Misconfigured")),
        (answer(Step::Mail, "451 4.3.0 later"), Err("Retryable")),
        (answer(Step::Data, "554 5.5.1 no"), Err("Refused")),
        (answer(Step::Message, "552 5.3.4 too large"), Err("Refused")),
        (answer(Step::Message, "452 4.3.1 full"), Err("Retryable")),
        (Fault::Close { at: Step::Message }, Err("Retryable")),
        // Whether it has it is not known: the next try has the same Message-ID.
        (Fault::TakeAndClose, Err("Retryable")),
    ] {
        world.smtp.script(fault.clone(), 1);
        let outcome = world.outcome().await;
        match expected {
            Ok(expected) => assert_eq!(outcome, expected, "{fault:?}"),
            Err(kind) => {
                let text = format!("{outcome:?}");
                assert!(text.starts_with(kind), "{fault:?}: {text}");
                for secret in ["ys@", "unknown", "relaying", "apps"] {
                    assert!(!text.contains(secret), "{text}");
                }
            }
        }
    }
    assert_eq!(world.outcome().await, Outcome::Accepted { id: None });
    // What was taken without an answer and what was then sent again is one mail to whoever reads it.
    let letters = world.smtp.letters();
    let ids: Vec<_> = letters.iter().map(|letter| letter.text.lines().find(|line| line.starts_with("Message-ID: "))).collect();
    assert!(ids.len() == 2 && ids[0].is_some() && ids[0] == ids[1], "{ids:?}");
}

#[tokio::test]
async fn each_step_that_hangs_ends_in_time_and_none_loses_what_was_accepted() {
    let world = World::open().await;
    for (fault, expected) in [
        (Fault::Hang { at: Step::Greeting }, "Retryable"),
        (Fault::Hang { at: Step::Mail }, "Retryable"),
        (Fault::Hang { at: Step::Message }, "Retryable"),
        (Fault::TakeAndHang, "Retryable"),
        // The outcome was known before.
        (Fault::Hang { at: Step::Quit }, "Accepted"),
    ] {
        world.smtp.script(fault.clone(), 1);
        let (mailer, talk) = (world.mailer(MailSecurity::Plain, None), world.smtp.talks().len());
        let sending = tokio::spawn(async move { send(&mailer).await });
        world.until_it_is_silent(talk).await;
        // From here on nothing comes any more, so that time may pass at once.
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let outcome = format!("{:?}", sending.await.unwrap());
        assert!(outcome.starts_with(expected), "{fault:?}: {outcome}");
        assert!(began.elapsed() <= Duration::from_secs(13), "{fault:?}: {:?}", began.elapsed());
        tokio::time::resume();
    }
    assert_eq!(world.smtp.letters().len(), 2);
}

#[tokio::test]
async fn a_recipient_that_is_refused_stays_refused_whatever_the_leave() {
    let world = World::open().await;
    world.smtp.script(answer(Step::Rcpt, "550 5.1.1 who?"), 1);
    world.smtp.script(Fault::Close { at: Step::Quit }, 1);
    assert_eq!(world.outcome().await, Outcome::Gone { since: None });
}

#[tokio::test]
async fn a_password_that_is_refused_is_the_operators_matter() {
    for (fault, kind) in [
        (answer(Step::Auth, "535 5.7.8 hunter2 is wrong"), "Misconfigured"),
        (answer(Step::Auth, "454 4.7.0 later"), "Retryable"),
        (Fault::Offer { extensions: vec!["AUTH GSSAPI".into()] }, "Misconfigured"),
    ] {
        let world = World::closed().await;
        world.smtp.script(fault, 2);
        let mailer = world.mailer(MailSecurity::Wrapped, Some("ops"));
        let text = format!("{:?}", send(&mailer).await);
        assert!(text.starts_with(kind) && !text.contains("hunter2"), "{text}");
        assert!(mailer.try_out().await.is_err());
        world.assert_nobody_named();
    }
    let world = World::closed().await;
    let stranger = world.mailer(MailSecurity::Wrapped, Some("mallory"));
    assert!(matches!(send(&stranger).await, Outcome::Misconfigured(why) if why.contains("535 5.7.8")));
}

#[tokio::test]
async fn nothing_is_said_in_the_clear_where_tls_is_asked_for() {
    let world = World::closed().await;
    world.smtp.script(Fault::Offer { extensions: vec!["AUTH PLAIN".into()] }, 1);
    let mailer = world.mailer(MailSecurity::StartTls, Some("ops"));
    let outcome = send(&mailer).await;
    assert!(matches!(&outcome, Outcome::Misconfigured(why) if why.contains("STARTTLS")), "{outcome:?}");
    assert_eq!(world.heard()[0], (false, "EHLO example.com".to_owned()));
    assert!(!world.heard().iter().any(|(_, line)| line.starts_with("AUTH")));
    world.assert_nobody_named();
    // Somebody else's certificate.
    for security in [MailSecurity::StartTls, MailSecurity::Wrapped] {
        let (world, other) = (World::open().await, World::open().await);
        let config = Mail { ca_file: Some(other.ca_file.path().into()), ..world.config(security, None) };
        let outcome = send(&Mailer::new(&config).unwrap()).await;
        assert!(matches!(&outcome, Outcome::Misconfigured(why) if why.contains("not who it should be")), "{outcome:?}");
        world.assert_nobody_named();
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_retryable() {
    let world = World::open().await;
    let mailer = world.mailer(MailSecurity::Plain, None);
    world.smtp.stop().await;
    let outcome = send(&mailer).await;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.contains("refused")), "{outcome:?}");
}

#[tokio::test]
async fn what_is_over_or_empty_or_anothers_is_not_sent() {
    let world = World::open().await;
    let mailer = world.mailer(MailSecurity::Plain, None);
    assert_eq!(mailer.send(&message(), &ys(), message().expires_at).await, Outcome::Expired);
    let untitled = Message { title: "\r\n".into(), ..message() };
    assert_eq!(mailer.send(&untitled, &ys(), START).await, Outcome::Refused("the message has no title".into()));
    let phone = Target::Apns("00ff".to_owned().try_into().unwrap());
    assert_eq!(mailer.send(&message(), &phone, START).await, Outcome::Refused("the target is of another carrier".into()));
    assert!(world.smtp.talks().is_empty());
}
