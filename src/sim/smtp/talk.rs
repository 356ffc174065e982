//! One talk with a client (RFC 5321), with `STARTTLS` (RFC 3207) and `AUTH PLAIN` (RFC 4954, RFC 4616).
//!
//! **Invariants**
//! - What comes out of turn is refused and meets no fault.
//! - `AUTH` is neither offered nor taken in the clear, and nothing that was said in the clear counts once TLS has begun.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::fault::{Fault, Step};
use super::post::{Letter, Post, Said};
use crate::secret::{b64, equal};

/// A command's line, with its end (RFC 5321, section 4.5.3.1.4).
const COMMAND_LIMIT: usize = 512;
/// A line of a mail, with its end (section 4.5.3.1.6).
const LINE_LIMIT: usize = 1_000;
/// A whole mail.
const LETTER_LIMIT: usize = 1 << 20;

/// The client has left, or is to be left.
struct Over;

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, acceptor: TlsAcceptor, post: Arc<Post>, wrapped: bool) {
    let number = post.begin();
    let clear = if wrapped { Some(stream) } else { Talk::new(stream, &post, number, false).run(true).await };
    let Some(stream) = clear else {
        return;
    };
    if let Ok(stream) = acceptor.accept(stream).await {
        Talk::new(stream, &post, number, true).run(wrapped).await;
    }
}

struct Talk<'p, S> {
    stream: BufReader<S>,
    post: &'p Post,
    number: u64,
    secured: bool,
    greeted: bool,
    user: Option<String>,
    from: Option<String>,
    to: Vec<String>,
}

impl<'p, S: AsyncRead + AsyncWrite + Unpin> Talk<'p, S> {
    fn new(stream: S, post: &'p Post, number: u64, secured: bool) -> Self {
        let stream = BufReader::new(stream);
        Self { stream, post, number, secured, greeted: false, user: None, from: None, to: Vec::new() }
    }

    /// The connection, when TLS is to begin on it.
    async fn run(mut self, greets: bool) -> Option<S> {
        if greets {
            self.meet("", Step::Greeting, "220 localhost PhoneOps simulator").await.ok()?;
        }
        loop {
            let line = self.line(COMMAND_LIMIT).await.ok()?;
            let Ok(line) = line else {
                self.say("", "500 5.5.2 a line ends in CRLF and has 512 bytes at most").await.ok()?;
                continue;
            };
            if self.obey(&line).await.ok()? {
                // Whatever was sent ahead in the clear is not taken for something that came over TLS.
                return self.stream.buffer().is_empty().then(|| self.stream.into_inner());
            }
        }
    }

    /// Whether TLS is to begin.
    async fn obey(&mut self, line: &str) -> Result<bool, Over> {
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => self.hello(line).await?,
            "STARTTLS" if self.secured || !self.greeted => self.say(line, "503 5.5.1 not now").await?,
            "STARTTLS" => return self.meet(line, Step::StartTls, "220 2.0.0 go on").await,
            "AUTH" => self.sign_in(line).await?,
            "MAIL" => self.mail(line).await?,
            "RCPT" => self.rcpt(line).await?,
            "DATA" => self.data(line).await?,
            "RSET" => {
                self.forget();
                self.say(line, "250 2.0.0 forgotten").await?;
            }
            "NOOP" => self.say(line, "250 2.0.0 still here").await?,
            "QUIT" => {
                self.meet(line, Step::Quit, "221 2.0.0 bye").await?;
                return Err(Over);
            }
            _ => self.say(line, "500 5.5.1 no such command").await?,
        }
        Ok(false)
    }

    async fn hello(&mut self, line: &str) -> Result<(), Over> {
        self.forget();
        let fault = self.post.fault(Step::Hello);
        let mut offers = vec!["localhost".to_owned()];
        match &fault {
            Some(Fault::Offer { extensions }) => offers.extend_from_slice(extensions),
            _ if !self.secured => offers.push("STARTTLS".to_owned()),
            _ => offers.extend(self.post.account.as_ref().map(|_| "AUTH PLAIN".to_owned())),
        }
        self.greeted = self.react(fault, line, &format!("250-{}\r\n250 8BITMIME", offers.join("\r\n250-"))).await?;
        Ok(())
    }

    async fn sign_in(&mut self, line: &str) -> Result<(), Over> {
        let post = self.post;
        let Some((user, password)) = post.account.as_ref().filter(|_| self.secured && self.greeted && self.user.is_none()) else {
            return self.say("AUTH …", "503 5.5.1 not here").await;
        };
        let mut words = line.split(' ').skip(1);
        if words.next().is_none_or(|word| !word.eq_ignore_ascii_case("PLAIN")) {
            return self.say("AUTH …", "504 5.5.4 PLAIN alone").await;
        }
        let given = if let Some(given) = words.next() {
            given.to_owned()
        } else {
            self.say("AUTH PLAIN", "334 ").await?;
            self.line(COMMAND_LIMIT).await?.unwrap_or_default()
        };
        let expected = b64(format!("\0{user}\0{}", password.expose()));
        if !equal(given.as_bytes(), expected.as_bytes()) {
            return self.say("AUTH PLAIN …", "535 5.7.8 wrong").await;
        }
        if self.meet("AUTH PLAIN …", Step::Auth, "235 2.7.0 welcome").await? {
            self.user = Some(user.clone());
        }
        Ok(())
    }

    async fn mail(&mut self, line: &str) -> Result<(), Over> {
        if !self.greeted || self.from.is_some() {
            return self.say(line, "503 5.5.1 not now").await;
        }
        if self.post.account.is_some() && self.user.is_none() {
            return self.say(line, "530 5.7.0 sign in").await;
        }
        let Some(from) = path(line, "MAIL FROM:<").filter(|from| from.is_empty() || is_address(from)) else {
            return self.say(line, "501 5.1.7 no address").await;
        };
        if self.meet(line, Step::Mail, "250 2.1.0 ok").await? {
            self.from = Some(from.to_owned());
        }
        Ok(())
    }

    async fn rcpt(&mut self, line: &str) -> Result<(), Over> {
        if self.from.is_none() {
            return self.say(line, "503 5.5.1 from whom?").await;
        }
        let Some(to) = path(line, "RCPT TO:<").filter(|to| is_address(to)) else {
            return self.say(line, "501 5.1.3 no address").await;
        };
        if self.meet(line, Step::Rcpt, "250 2.1.5 ok").await? {
            self.to.push(to.to_owned());
        }
        Ok(())
    }

    async fn data(&mut self, line: &str) -> Result<(), Over> {
        let Some(from) = self.from.clone().filter(|_| !self.to.is_empty()) else {
            return self.say(line, "503 5.5.1 to whom?").await;
        };
        if !self.meet(line, Step::Data, "354 go on").await? {
            return Ok(());
        }
        let text = self.letter().await?;
        let (to, number) = (std::mem::take(&mut self.to), self.number);
        self.forget();
        let text = match text {
            Ok(text) => text,
            Err(why) => return self.say("", why).await,
        };
        let fault = self.post.fault(Step::Message);
        if matches!(fault, None | Some(Fault::TakeAndClose | Fault::TakeAndHang)) {
            let (secured, user, at) = (self.secured, self.user.clone(), self.post.clock.now());
            self.post.take(Letter { number: 0, at, talk: number, secured, user, from, to, text });
        }
        self.react(fault, "", "250 2.0.0 taken").await.map(|_| ())
    }

    /// The mail up to its lone dot, without the dots that were doubled; or why it is none (RFC 5321 section 2.3.8, RFC 5322 section 3.6).
    async fn letter(&mut self) -> Result<Result<String, &'static str>, Over> {
        let (mut text, mut fault) = (String::new(), None);
        loop {
            match self.line(LINE_LIMIT).await? {
                Ok(line) if line == "." => break,
                Ok(line) if text.len() < LETTER_LIMIT => {
                    text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    text.push_str("\r\n");
                }
                Ok(_) => fault = Some("552 5.3.4 too large"),
                Err(why) => fault = Some(why),
            }
        }
        let headers = text.split("\r\n\r\n").next().unwrap_or_default();
        let once = |name: &str| headers.lines().filter(|line| line.starts_with(name)).count() == 1;
        if !(once("From: ") && once("Date: ")) {
            fault = fault.or(Some("554 5.6.0 it has one From and one Date"));
        }
        Ok(fault.map_or(Ok(text), Err))
    }

    fn forget(&mut self) {
        (self.from, self.to) = (None, Vec::new());
    }

    /// A line without its end, or why it is none.
    async fn line(&mut self, limit: usize) -> Result<Result<String, &'static str>, Over> {
        let mut line = Vec::new();
        let most = u64::try_from(LETTER_LIMIT).unwrap_or(u64::MAX);
        let read = (&mut self.stream).take(most).read_until(b'\n', &mut line).await;
        if read.unwrap_or(0) == 0 || !line.ends_with(b"\n") {
            return Err(Over);
        }
        let length = line.len();
        let text = line.strip_suffix(b"\r\n").map(|line| String::from_utf8_lossy(line).into_owned());
        Ok(text
            .filter(|text| length <= limit && !text.contains(['\r', '\0']))
            .ok_or("554 5.6.0 a line is too long or ends in no CRLF"))
    }

    /// Answers a step that is in order, as its next fault says; whether it is done.
    async fn meet(&mut self, heard: &str, step: Step, reply: &str) -> Result<bool, Over> {
        let fault = self.post.fault(step);
        self.react(fault, heard, reply).await
    }

    async fn react(&mut self, fault: Option<Fault>, heard: &str, reply: &str) -> Result<bool, Over> {
        match fault {
            None | Some(Fault::Offer { .. }) => self.say(heard, reply).await.map(|()| true),
            Some(Fault::Answer { reply, .. }) => self.say(heard, &reply).await.map(|()| false),
            Some(Fault::Close { .. } | Fault::TakeAndClose) => {
                self.note(heard, None);
                Err(Over)
            }
            Some(Fault::Hang { .. } | Fault::TakeAndHang) => {
                self.note(heard, None);
                // Until the client leaves.
                while !self.stream.fill_buf().await.map_err(|_| Over)?.is_empty() {
                    let read = self.stream.buffer().len();
                    self.stream.consume(read);
                }
                Err(Over)
            }
        }
    }

    async fn say(&mut self, heard: &str, reply: &str) -> Result<(), Over> {
        self.note(heard, reply.rsplit("\r\n").next());
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await.map_err(|_| Over)?;
        self.stream.flush().await.map_err(|_| Over)
    }

    fn note(&self, heard: &str, answered: Option<&str>) {
        let said = Said { secured: self.secured, heard: heard.to_owned(), answered: answered.map(str::to_owned) };
        self.post.note(self.number, said);
    }
}

/// What stands between `<` and `>`, after `prefix` in any case.
fn path<'l>(line: &'l str, prefix: &str) -> Option<&'l str> {
    let (before, rest) = line.split_at_checked(prefix.len())?;
    before.eq_ignore_ascii_case(prefix).then(|| rest.split_once('>')).flatten().map(|(path, _)| path)
}

fn is_address(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>(),;:\\\"".contains(&byte);
    let parts = text.rsplit_once('@');
    text.len() <= 254 && text.bytes().all(plain) && parts.is_some_and(|(local, host)| !local.is_empty() && !host.is_empty())
}
