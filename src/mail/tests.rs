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
