//! People in a room of chat with a bot, as a front brings their lines to the house.

use std::sync::Mutex;
use std::time::Duration;

use phoneops::chat::{About, Place, PlaceId, Post, Reply, Said, Workspace};
use phoneops::identity::{Call, ChatIdentity};
use serde_json::json;

use crate::world::{Bot, Person, World};

/// A room with one bot in it.
pub(crate) struct Room<'a> {
    pub(crate) world: &'a World,
    pub(crate) bot: Bot,
    pub(crate) call: Call,
    name: &'static str,
    cursor: Mutex<i64>,
}

/// Who somebody is in chat.
pub(crate) fn identity(user: &str) -> ChatIdentity {
    ChatIdentity {
        platform: "slack".parse().expect("an id"),
        workspace: "T0ORG".parse().expect("an id"),
        user: user.parse().expect("an id"),
    }
}

/// A line in a room, in a message of that id.
pub(crate) fn line(room: &str, user: &str, message: Option<&str>, line: &str) -> Said {
    Said {
        by: identity(user),
        name: Some(user.to_owned()),
        room: room.parse().expect("an id"),
        thread: None,
        message: message.map(|id| id.parse().expect("an id")),
        line: line.to_owned(),
        key: Some("key-1".to_owned()),
        pressed: false,
    }
}

impl<'a> Room<'a> {
    pub(crate) async fn new(world: &'a World, name: &'static str) -> Room<'a> {
        let bot = world.bot("heimdall").await;
        Self::of(world, bot, name).await
    }

    pub(crate) async fn of(world: &'a World, bot: Bot, name: &'static str) -> Room<'a> {
        let call = world.server.chat.bot("heimdall".parse().expect("a name")).await.expect("the database answers");
        Room { world, bot, call: call.expect("it is there"), name, cursor: Mutex::new(0) }
    }

    /// The same bot in another room.
    pub(crate) fn another(&self, name: &'static str) -> Room<'a> {
        let call = self.call.clone();
        let bot = Bot { id: self.bot.id.clone(), client: self.bot.client.clone() };
        Room { world: self.world, bot, call, name, cursor: Mutex::new(0) }
    }

    pub(crate) fn place(&self) -> Place {
        line(self.name, "U0", None, "").place()
    }

    /// Links a person, under the name of their handle, by a code that is whispered and typed on their phone.
    pub(crate) async fn link(&self, person: &Person) {
        let user = person.handle.trim_start_matches('@').to_owned();
        let reply = self.say(&user, "link me").await;
        let whispered = reply.whisper.expect("a code");
        let code = whispered.split_whitespace().find(|word| word.matches('-').count() == 2).expect("a code in it");
        let code = code.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        assert!(!reply.text.contains(code), "a code is whispered or not said");
        let linked = person.phone.post("/v1/chat-identities", &json!({"code": code})).await.expect("an answer").accepted();
        assert_eq!(linked.expect("it is linked")["user"], json!(user));
    }

    pub(crate) async fn heard(&self, said: Said) -> Reply {
        self.world.server.chat.say(&self.call, said).await.expect("a reply")
    }

    pub(crate) async fn say(&self, user: &str, text: &str) -> Reply {
        self.heard(line(self.name, user, None, text)).await
    }

    pub(crate) async fn say_in(&self, user: &str, message: &str, text: &str) -> Reply {
        self.heard(line(self.name, user, Some(message), text)).await
    }

    /// Presses the button of that label in a message that a reply was shown in.
    pub(crate) async fn press(&self, user: &str, message: &str, reply: &Reply, label: &str) -> Reply {
        let button = reply.buttons.iter().find(|button| button.label == label).expect("it has the button");
        let said = Said { pressed: true, ..line(self.name, user, Some(message), &button.command) };
        self.heard(said).await
    }

    /// That a front showed a reply in that message.
    pub(crate) async fn shown(&self, about: About, message: &str) {
        let message: PlaceId = message.parse().expect("an id");
        self.world.server.chat.posted(&self.call, about, &self.place(), &message).await.expect("it is kept");
    }

    /// What all the rooms of the bot have to be told since this was asked last.
    pub(crate) async fn posts(&self) -> Vec<Post> {
        self.world.journal().await;
        let mut all = Vec::new();
        loop {
            let after = *self.cursor.lock().expect("not poisoned");
            let told = self.world.server.chat.posts(&self.call, None, Some(after), Duration::ZERO).await.expect("posts");
            *self.cursor.lock().expect("not poisoned") = told.next;
            all.extend(told.posts);
            if told.next == after {
                return all;
            }
        }
    }

    /// Up to where it was asked.
    pub(crate) fn heard_until(&self) -> i64 {
        *self.cursor.lock().expect("not poisoned")
    }

    /// What the rooms of one chat have to be told since then, or of all; where it was asked up to does not move.
    pub(crate) async fn posts_since(&self, after: i64, of: Option<&Workspace>) -> Vec<Post> {
        self.world.journal().await;
        self.world.server.chat.posts(&self.call, of, Some(after), Duration::ZERO).await.expect("posts").posts
    }

    /// The one post there is; its text.
    pub(crate) async fn told(&self) -> Post {
        let mut posts = self.posts().await;
        assert_eq!(posts.len(), 1, "{posts:#?}");
        posts.remove(0)
    }

    /// Nothing is to be told.
    pub(crate) async fn quiet(&self) {
        let posts = self.posts().await;
        assert!(posts.is_empty(), "{posts:#?}");
    }
}

/// The reference in a text.
pub(crate) fn reference(reply: &Reply) -> String {
    let is_one = |word: &&str| word.len() == 7 && word.starts_with('P') && word.parse::<phoneops::paging::Reference>().is_ok();
    let words = reply.text.split(|c: char| !c.is_ascii_alphanumeric()).find(is_one);
    words.unwrap_or_else(|| panic!("a reference in {}", reply.text)).to_owned()
}

/// The tag of a request in a text.
pub(crate) fn tag(reply: &Reply) -> String {
    let after = reply.text.split("equest ").nth(1).unwrap_or_else(|| panic!("a request in {}", reply.text));
    after.chars().take(4).collect()
}
