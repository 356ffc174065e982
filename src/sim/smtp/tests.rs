//! The mail server, spoken to line by line.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::*;
use crate::clock::Timestamp;

const MAIL: &str = "From: PhoneOps <phoneops@example.com>\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\nSubject: x\r\n\r\n";

async fn server() -> Smtp {
    Smtp::start(Clock::manual(Timestamp::from_seconds(1_800_000_000))).await.unwrap()
}

/// A client that says what it is told to.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn of(server: &Smtp) -> Self {
        Self(BufReader::new(TcpStream::connect(server.address()).await.unwrap()))
    }

    /// The last line of the answer; empty once the server is gone.
    async fn heard(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.unwrap_or(0);
            if line.get(3..4) != Some("-") {
                return line.trim_end().to_owned();
            }
        }
    }

    async fn say(&mut self, what: &str) -> String {
        self.0.write_all(what.as_bytes()).await.unwrap();
        self.heard().await
    }

    /// The three digits that answer each line.
    async fn codes(&mut self, lines: &[&str]) -> String {
        let mut codes = Vec::new();
        for line in lines {
            codes.push(self.say(&format!("{line}\r\n")).await.chars().take(3).collect::<String>());
        }
        codes.join(" ")
    }
}

const TO_YS: [&str; 4] = ["EHLO example.com", "MAIL FROM:<phoneops@example.com>", "RCPT TO:<ys@example.com>", "DATA"];

#[tokio::test]
async fn a_mail_is_taken_without_the_dots_of_the_transport() {
    let server = server().await;
    let mut client = Client::of(&server).await;
    assert!(client.heard().await.starts_with("220 "));
    assert_eq!(client.codes(&TO_YS).await, "250 250 250 354");
    assert_eq!(client.say(&format!("{MAIL}..one\r\n.\r\n")).await, "250 2.0.0 taken");
    server.until_taken(1).await;
    let [letter] = &server.letters()[..] else { panic!("one mail") };
    assert_eq!((letter.from.as_str(), &letter.to[..]), ("phoneops@example.com", &["ys@example.com".to_owned()][..]));
    assert_eq!((letter.text.as_str(), letter.secured, letter.number), (format!("{MAIL}.one\r\n").as_str(), false, 1));
    assert_eq!(client.codes(&["QUIT"]).await, "221");
    assert_eq!(client.heard().await, "");
    server.stop().await;
}

#[tokio::test]
async fn what_is_out_of_turn_or_no_mail_is_refused() {
    let server = server().await;
    server.script(Fault::Close { at: Step::Data }, 1);
    let mut client = Client::of(&server).await;
    client.heard().await;
    let [hello, mail, rcpt, data] = TO_YS;
    let early = [mail, "STARTTLS", hello, rcpt, data, "AUTH PLAIN AA==", "VRFY ys", "MAIL FROM:ys@example.com", mail, mail, data];
    assert_eq!(client.codes(&early).await, "503 503 250 503 503 503 500 501 250 503 503", "and no fault was used up");
    assert_eq!(
        client.codes(&["RCPT TO:<>", "RCPT TO:<ys>", "RCPT TO:<y s@example.com>", "RSET", rcpt]).await,
        "501 501 501 250 503"
    );
    server.clear_faults();
    for (text, code) in [
        ("Subject: x\r\n\r\n".to_owned(), "554 5.6.0"),
        (format!("{MAIL}{MAIL}"), "250 2.0.0"),
        (format!("From: x\r\n{MAIL}"), "554 5.6.0"),
        (format!("{MAIL}{}\r\n", "x".repeat(999)), "554 5.6.0"),
        (format!("{MAIL}bare\nline\r\n"), "554 5.6.0"),
    ] {
        assert_eq!(client.codes(&[mail, rcpt, data]).await, "250 250 354");
        assert!(client.say(&format!("{text}.\r\n")).await.starts_with(code), "{text:?}");
    }
    assert!(client.say("NOOP\n").await.starts_with("500 "));
    assert!(client.say(&format!("NOOP {}\r\n", "x".repeat(512))).await.starts_with("500 "));
    assert_eq!(server.letters().len(), 1);
}

#[tokio::test]
async fn nobody_signs_in_in_the_clear_and_nothing_sent_ahead_counts() {
    let account = Some(("ops".to_owned(), Secret::new("hunter2".to_owned())));
    let server =
        Smtp::with(Settings { account, ..Settings::default() }, Clock::manual(Timestamp::from_seconds(0))).await.unwrap();
    let mut client = Client::of(&server).await;
    client.heard().await;
    assert_eq!(client.codes(&["EHLO example.com", "AUTH PLAIN AG9wcwBodW50ZXIy", TO_YS[1]]).await, "250 503 530");
    assert_eq!(client.say("STARTTLS\r\nMAIL FROM:<mallory@example.com>\r\n").await, "220 2.0.0 go on");
    assert_eq!(client.heard().await, "");
    assert!(!format!("{:?}", server.talks()).contains("AG9wcw"));
}

#[tokio::test]
async fn faults_are_scripted_over_http_and_letters_read_there() {
    let server = server().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let script = |body: Value| http.post(format!("{}/admin/faults", server.admin_url())).json(&body).send();
    let odd = json!({"fault": {"kind": "answer", "at": "rcpt", "reply": "550 a\r\n250 b"}});
    assert_eq!(script(odd).await.unwrap().status(), 400);
    let unknown = json!({"fault": {"kind": "answer", "at": "rcpt", "reply": "550 5.1.1 unknown"}, "times": 2});
    assert_eq!(script(unknown).await.unwrap().status(), 204);
    assert_eq!(script(json!({"fault": {"kind": "take_and_close"}})).await.unwrap().status(), 204);
    let mut client = Client::of(&server).await;
    client.heard().await;
    let [hello, mail, rcpt, data] = TO_YS;
    assert_eq!(client.codes(&[hello, mail, rcpt, rcpt, rcpt, data]).await, "250 250 550 550 250 354");
    assert_eq!(client.say(&format!("{MAIL}.\r\n")).await, "", "taken, and left without an answer");
    let read = |place: &str| http.get(format!("{}{place}", server.admin_url())).send();
    let letters: Value = read("/letters?wait=5").await.unwrap().json().await.unwrap();
    assert_eq!(letters["letters"][0]["to"], json!(["ys@example.com"]));
    let journal: Value = read("/admin/journal").await.unwrap().json().await.unwrap();
    assert_eq!(journal["talks"][0]["said"][3], json!({"secured": false, "heard": rcpt, "answered": "550 5.1.1 unknown"}));
    assert!(read("/authority.pem").await.unwrap().text().await.unwrap().starts_with("-----BEGIN CERTIFICATE"));
}
