//! The talk, said to a bot line by line and compared word for word with what must be read in the room.

use std::io::{BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use phoneops::secret::b64;
use phoneops::sim::phone::Phone;
use serde_json::json;

use super::super::house::{House, Running, waiting};
use crate::support::TestDb;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens, in order. `P…` is the last incident, which the line before named; `R…` the last request.
const SCRIPT: &[Step] = &[
    // Nothing happens for whoever is nobody here.
    Step::Says("page @yannick All your apps are down", 1),
    Step::Says("link me", 2),
    Step::Links,
    Step::Says("page @yannick All your apps are down", 1),
    Step::Rings(Whose::Yannick, "All your apps are down"),
    Step::Says("resolve P…", 1),
    Step::Says("deploy api/new_auth to production", 1),
    Step::Rings(Whose::Yannick, "Approval needed"),
    Step::Approves,
    // A button that is pressed says its line.
    Step::Says("page @yannick All your apps are down", 1),
    Step::Rings(Whose::Yannick, "All your apps are down"),
    Step::Says("ack P…", 1),
    Step::Says("escalate to @ys, I need some help", 1),
    Step::Rings(Whose::Ys, "All your apps are down"),
    Step::YsAcknowledges,
    Step::Says("resolve P…", 1),
    // Whatever was said besides would stand before this answer.
    Step::Says("incidents", 1),
];

/// What must be read. `{bot}` stands for how the bot is called, `C…` for the code, `…` for a time of day.
const TRANSCRIPT: &str = include_str!("transcript.txt");

enum Step {
    /// Somebody says a line, and the bot answers with so many messages.
    Says(&'static str, usize),
    /// The code that was whispered is typed on the phone.
    Links,
    Rings(Whose, &'static str),
    Approves,
    YsAcknowledges,
}

#[derive(Clone, Copy)]
enum Whose {
    Yannick,
    Ys,
}

/// A bot that runs: what is written to it is said by yannick, and what it says is read.
pub(super) struct Bot {
    called: &'static str,
    _running: Running,
    lines: ChildStdin,
    said: Receiver<String>,
}

impl Bot {
    /// `called` begins a line that is for it; `read` gives each message of its output.
    pub(super) fn new(called: &'static str, mut child: Child, read: fn(BufReader<ChildStdout>, &Sender<String>)) -> Self {
        let (lines, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let (sender, said) = channel();
        std::thread::spawn(move || read(output, &sender));
        Self { called, _running: child.into(), lines, said }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.lines, "{}{line}", self.called).unwrap();
    }

    /// The next message.
    pub(super) fn hear(&self) -> Option<String> {
        tokio::task::block_in_place(|| self.said.recv_timeout(PATIENCE)).ok()
    }
}

/// A house with what bots need: two people with phones, and a bot whose key is in `bot.pem`.
pub(super) struct Stage {
    pub(super) house: House,
    yannick: Phone,
    ys: Phone,
}

impl Stage {
    pub(super) async fn set(db: &TestDb) -> Self {
        let settings = db.url().map(|url| ("PHONEOPS_DATABASE_URL", url));
        let house = House::open_with(settings.as_slice()).await;
        let yannick = house.yannick().await;
        house.run(&["user", "add", "@ys", "Ys Example"]).await.says("Added Ys Example (@ys)\n");
        let code = house.run(&["enroll", "@ys", "--json"]).await.json();
        let ys = house.phone();
        ys.enrol(code["code"].as_str().unwrap(), "Ys's phone", None).await.unwrap();
        ys.register_push().await.unwrap();
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        let pem = |kind: &str, der: &[u8]| format!("-----BEGIN {kind} KEY-----\n{}\n-----END {kind} KEY-----\n", b64(der));
        std::fs::write(house.dir.path().join("bot.pem"), pem("PRIVATE", private.as_ref())).unwrap();
        std::fs::write(house.dir.path().join("bot.pub.pem"), pem("PUBLIC", public.as_ref())).unwrap();
        // What the clients' READMEs say.
        let scopes = "approvals:request,grants:redeem,incidents:write,incidents:read,events:read";
        house.run(&["bot", "add", "heimdall", "--scope", scopes]).await.fails(0, "");
        let key =
            ["bot", "key", "add", "heimdall", "bot.pub.pem", "--platform", "shell", "--workspace", "example", "--name", "key"];
        house.run(&key).await.fails(0, "");
        Self { house, yannick, ys }
    }

    /// Plays all of it with a bot.
    pub(super) async fn play(&self, bot: Bot) {
        let mut play = Play { stage: self, bot, incident: String::new(), request: String::new(), read: Vec::new() };
        for step in SCRIPT {
            play.perform(step).await;
        }
        let Play { bot, read, .. } = play;
        let expected = TRANSCRIPT.replace("{bot}", bot.called);
        assert_eq!(read.join("\n") + "\n", expected, "{}", self.house.log());
    }
}

struct Play<'a> {
    stage: &'a Stage,
    bot: Bot,
    incident: String,
    request: String,
    read: Vec<String>,
}

impl Play<'_> {
    async fn perform(&mut self, step: &Step) {
        let Stage { yannick, ys, .. } = self.stage;
        match *step {
            Step::Says(line, messages) => {
                self.read.push(format!("yannick: {line}"));
                self.bot.say(&line.replace("P…", &self.incident));
                for _ in 0..messages {
                    self.hears();
                }
            }
            Step::Links => {
                let code = self.read.iter().find_map(|line| line.split_once("Your link code is ")).expect("a code").1;
                let code = code.split('.').next().unwrap().to_owned();
                yannick.post("/v1/chat-identities", &json!({"code": code})).await.unwrap().accepted().unwrap();
                self.read.iter_mut().for_each(|line| *line = line.replace(&code, "C…"));
                self.read.push("phone: yannick types C…".to_owned());
            }
            Step::Rings(whose, title) => {
                let (phone, name) = match whose {
                    Whose::Yannick => (yannick, "yannick"),
                    Whose::Ys => (ys, "ys"),
                };
                // What else rang, and how often, is for other tests to say.
                loop {
                    let push = phone.next_push(PATIENCE).await.unwrap();
                    if push.unwrap_or_else(|| panic!("{name} is not rung: {title}")).title() == title {
                        break;
                    }
                }
                self.read.push(format!("phone: {name} rings: {title}"));
            }
            Step::Approves => {
                let asked = waiting(yannick).await;
                assert_eq!(asked["tag"], self.request.as_str());
                yannick.approve(asked["id"].as_str().unwrap()).await.unwrap();
                self.read.push("phone: yannick approves".to_owned());
                self.hears();
            }
            Step::YsAcknowledges => {
                ys.acknowledge(&self.incident).await.unwrap();
                self.read.push("phone: ys acknowledges P…".to_owned());
                self.hears();
            }
        }
    }

    /// Reads the bot's next message, and what it names.
    fn hears(&mut self) {
        let message = self.bot.hear().unwrap_or_else(|| panic!("nothing more is said after {:#?}", self.read));
        for (words, kept) in [("Paged Yannick Schutz: Incident ", &mut self.incident), (": request ", &mut self.request)] {
            if let Some((_, named)) = message.split_once(words) {
                named.split_whitespace().next().unwrap_or_default().clone_into(kept);
            }
        }
        let mut general = message;
        for (named, stands_for) in [(&self.incident, "P…"), (&self.request, "R…")] {
            if !named.is_empty() {
                general = general.replace(named.as_str(), stands_for);
            }
        }
        general = general.replace(&self.stage.house.issuer, "https://phoneops.example");
        if let Some((before, after)) = general.split_once(" UTC") {
            // The time of day.
            general = format!("{}…{after}", &before[..before.len() - "12:34".len()]);
        }
        self.read.extend(general.lines().map(|line| format!("bot: {line}")));
    }
}
