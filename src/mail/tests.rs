//! What the mailer makes of its configuration. How it gets on with mail servers is in `tests/carriers/mail.rs`.

use serde_json::json;

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

#[test]
fn whoever_calls_learns_what_became_of_it() {
    assert!(LIMIT + session::LEAVE <= Duration::from_secs(13), "a server's carriers have 14 s");
}

#[test]
fn a_configuration_that_cannot_work_says_which_key() {
    let refusal = |change: &dyn Fn(&mut Mail)| {
        let server = MailServer { host: "localhost".into(), port: 25, security: MailSecurity::Plain, user: None };
        let mut config = Mail { server, password_file: None, from: "phoneops@example.com".into(), ca_file: None };
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

#[tokio::test]
async fn what_waited_for_a_place_goes_back_or_is_late() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = MailServer { host: "localhost".into(), port, security: MailSecurity::Plain, user: None };
    let config = Mail { server, password_file: None, from: "phoneops@example.com".into(), ca_file: None };
    let mailer = Mailer::new(&config).unwrap().within(session::LEAVE + Duration::from_millis(100));
    let held = mailer.places.acquire_many(u32::try_from(AT_ONCE).unwrap()).await.unwrap();
    let (message, ys) = (message(), Target::Mail("ys@example.com".parse().unwrap()));
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
    assert_eq!(late, Outcome::Expired);
    let called = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
    assert!(called.is_err(), "the server was called");
}
