//! A workspace of a simulated Slack, with the house's bot in it.

use std::time::Duration;

use phoneops::clock::{Clock, Timestamp};
use phoneops::sim::slack::{Acknowledged, Message, Slack, Typed, Whisper};
use serde_json::{Value, json};

use crate::support::TestDb;
use crate::world::{Bot, Person, World};

/// The channel in which everything is said.
pub(crate) const OPS: &str = "C0OPS";

/// How Slack reaches the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Socket,
    Http,
}

pub(crate) struct Workspace {
    pub(crate) slack: Slack,
    pub(crate) world: World,
    pub(crate) bot: Bot,
}

/// Something that is waited for comes within this time, on a slow machine too.
const PATIENCE: Duration = Duration::from_secs(30);

/// What configures a house for a workspace.
pub(crate) fn settings(slack: &Slack, way: Way) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("PHONEOPS_SLACK_BOT", "heimdall".to_owned()),
        ("PHONEOPS_SLACK_BOT_TOKEN", slack.bot_token().to_owned()),
        ("PHONEOPS_SLACK_API_URL", slack.api_url()),
    ];
    settings.push(match way {
        Way::Socket => ("PHONEOPS_SLACK_APP_TOKEN", slack.app_token().to_owned()),
        Way::Http => ("PHONEOPS_SLACK_SIGNING_SECRET", slack.signing_secret().to_owned()),
    });
    settings
}

/// A simulated Slack with one channel, and the clock that everybody goes by.
pub(crate) async fn slack() -> (Slack, Clock) {
    let clock = Clock::manual(Timestamp::from_seconds(1_800_000_000));
    let slack = Slack::start(clock.clone()).await.expect("a Slack");
    slack.channel(OPS, true);
    (slack, clock)
}

/// A house beside a workspace, with further settings.
pub(crate) async fn house(db: TestDb, slack: &Slack, clock: &Clock, way: Way, more: &[(&str, &str)]) -> World {
    let settings = settings(slack, way);
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).chain(more.iter().copied()).collect();
    let world = World::start_by(db, clock.clone(), &settings).await;
    slack.call_at(world.server.issuer());
    world
}

impl Workspace {
    pub(crate) async fn open(db: TestDb, way: Way) -> Self {
        let (slack, clock) = slack().await;
        let world = house(db, &slack, &clock, way, &[]).await;
        let bot = world.bot("heimdall").await;
        let workspace = Self { slack, world, bot };
        if way == Way::Socket {
            workspace.see("a socket", |slack| (slack.sockets().0 > 0).then_some(())).await;
        }
        workspace
    }

    pub(crate) async fn end(self) {
        self.world.end().await;
    }

    /// What there is to see in Slack, once it is there.
    pub(crate) async fn see<T>(&self, what: &str, see: impl Fn(&Slack) -> Option<T>) -> T {
        let seen = tokio::time::timeout(PATIENCE, self.slack.until(see)).await;
        seen.unwrap_or_else(|_| {
            let (messages, calls) = (self.slack.messages(OPS), self.slack.calls("chat.postMessage"));
            panic!("{what}: in the channel {messages:#?}; the calls {calls:#?}")
        })
    }

    /// The newest message of the channel that says this.
    pub(crate) async fn reads(&self, what: &str, says: impl Fn(&Message) -> bool) -> Message {
        self.see(what, |slack| slack.messages(OPS).into_iter().rev().find(&says)).await
    }

    /// What a message says once it says that.
    pub(crate) async fn becomes(&self, message: &Message, what: &str, says: impl Fn(&Message) -> bool) -> Message {
        let same = |one: &Message| one.ts == message.ts && says(one);
        self.see(what, |slack| slack.messages(&message.channel).into_iter().find(same)).await
    }

    /// What one person is told, and nobody else, once it has this in it.
    pub(crate) async fn hears(&self, user: &str, what: &str) -> Whisper {
        self.see(what, |slack| slack.whispers(user).into_iter().rev().find(|whisper| whisper.text.contains(what))).await
    }

    /// Types a command in the channel; it is acknowledged, and shown as it was typed.
    pub(crate) async fn types(&self, user: &str, text: &str) {
        let acknowledged = self.slack.command(&Typed::new(user, OPS, text)).await;
        assert_eq!(acknowledged, Acknowledged::Taken(json!({"response_type": "in_channel"})), "{text}");
    }

    /// Links a person, under the id that is `U` and their handle in capitals.
    pub(crate) async fn link(&self, person: &Person) -> String {
        let user = format!("U{}", person.handle.trim_start_matches('@').to_uppercase());
        self.types(&user, "link me").await;
        let whispered = self.hears(&user, "Your link code is").await.text;
        let code = whispered.split_whitespace().find(|word| word.matches('-').count() == 2).expect("a code in it");
        let code = code.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
        let aloud = self.reads("that a code was whispered", |message| message.text.starts_with("I have whispered")).await;
        assert!(!aloud.text.contains(&code), "a code is whispered or not said");
        let linked = person.phone.post("/v1/chat-identities", &json!({"code": code})).await.expect("an answer").accepted();
        linked.expect("it is linked");
        user
    }

    /// The one request that waits on a phone.
    pub(crate) async fn waiting(&self, person: &Person) -> Value {
        person.phone.inbox().await.expect("an inbox")[0].clone()
    }

    /// Everything that rang, heard.
    pub(crate) async fn hush(&self, people: &[&Person]) {
        self.world.settle().await;
        for person in people {
            while person.phone.next_push(Duration::ZERO).await.expect("the push service answers").is_some() {}
        }
    }
}

/// The labels of a message's buttons.
pub(crate) fn labels(message: &Message) -> Vec<String> {
    let blocks = message.attachments.as_array().into_iter().flatten().filter_map(|card| card["blocks"].as_array()).flatten();
    let buttons = blocks.filter_map(|block| block["elements"].as_array()).flatten();
    buttons.map(|button| button["text"]["text"].as_str().expect("a label").to_owned()).collect()
}

/// The reference in a text.
pub(crate) fn reference(message: &Message) -> String {
    let is_one = |word: &&str| word.len() == 7 && word.starts_with('P') && word.parse::<phoneops::paging::Reference>().is_ok();
    let mut words = message.text.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(is_one).unwrap_or_else(|| panic!("a reference in {}", message.text)).to_owned()
}
