//! What chat does: a line becomes a command, a command goes through the services, and what came of it is worded.
//!
//! **Invariants**
//! - Nothing is done for an identity that is nobody's but giving it a code to link itself with.
//! - Whatever is done carries the person as actor, the bot, and where it was said, into the journal.
//! - The same message with the same words is done once, however often a front sends it; a message whose words were changed while its
//!   request is open changes nothing.
//! - A code is whispered or not said.

mod incidents;
mod people;
mod refusing;
mod requests;
pub(in crate::chat) mod words;

use std::sync::Arc;

use serde_json::Value;

use super::rooms::{self, Room};
use super::{Command, Reply, Said, Tone};
use crate::approvals::{Approvals, Policies};
use crate::clock::{Clock, Timestamp};
use crate::db::{self, Store};
use crate::delivery::Delivery;
use crate::id::BotId;
use crate::identity::chat::messages::{self, ChatMessage};
use crate::identity::{self, About, Bot, Call, CallRefusal, Caller, Failure, Handle, Heard, Identity, Once, Place, User};
use crate::journal::{Actor, Journal};
use crate::listening::Listening;
use crate::paging::Paging;
use crate::paging::schedules::Schedules;
use crate::secret::{b64u, tagged_sha256};
use words::{plain, refused};

/// Chat. Cheap to share behind an `Arc`.
pub struct Chat {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) journal: Journal,
    pub(super) identity: Arc<Identity>,
    pub(super) approvals: Arc<Approvals>,
    pub(super) paging: Arc<Paging>,
    pub(super) schedules: Arc<Schedules>,
    pub(super) delivery: Delivery,
    pub(super) listening: Arc<Listening>,
    pub(super) issuer: String,
    pub(super) policies: Arc<Policies>,
}

/// What [`Chat`] is built on.
pub struct Ground {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// The record.
    pub journal: Journal,
    /// People.
    pub identity: Arc<Identity>,
    /// Approvals.
    pub approvals: Arc<Approvals>,
    /// Policies, and the commands that administrators declared.
    pub policies: Arc<Policies>,
    /// Incidents.
    pub paging: Arc<Paging>,
    /// Who is on call.
    pub schedules: Arc<Schedules>,
    /// The way to phones.
    pub delivery: Delivery,
    /// The journal, followed.
    pub listening: Arc<Listening>,
    /// The `public_url`, without a trailing slash.
    pub issuer: String,
}

/// Why chat has no reply at all. What people have to know is said in a [`Reply`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Whoever calls is no bot.
    #[error(transparent)]
    Call(#[from] CallRefusal),
    /// Storage.
    #[error(transparent)]
    Db(#[from] db::Error),
}

/// Whoever said a line, and through whom.
pub(in crate::chat) struct Speaker {
    pub(in crate::chat) user: User,
    pub(in crate::chat) bot: BotId,
    /// The call of the bot, for the person, about the line.
    call: Call,
    pub(super) said: Said,
    pub(in crate::chat) place: Place,
    /// What holds in the room.
    pub(super) room: Room,
    pub(in crate::chat) now: Timestamp,
    pub(super) issuer: String,
}

impl Speaker {
    /// A call that looks, or changes what may be changed again.
    fn call(&self) -> Call {
        self.call.clone()
    }

    /// The call of a change that the message makes once: a front that sends the message again hears what came of it the first time.
    /// `which` tells the changes of one line apart.
    fn once(&self, which: &str, heard: Option<Heard>) -> Call {
        let mut call = self.call();
        if let Some(heard) = heard {
            call.heard = Some(Box::new(heard));
        }
        let Some(message) = self.said.message.as_ref().filter(|_| !self.said.pressed) else { return call };
        let Place { platform, workspace, room, thread } = &self.place;
        let thread = thread.as_deref().unwrap_or_default();
        let said = [platform, workspace, room, thread, message.as_str(), self.said.by.user.as_str(), which, &self.said.line];
        let digest = tagged_sha256("phoneops.chat.v1", said.join("\n").as_bytes());
        call.once = Some(Once { key: format!("chat:{}", b64u(digest)), request_sha256: digest });
        call
    }

    /// Who is recorded as having said the line, and where.
    pub(in crate::chat) fn recorded(&self) -> (Actor, Option<Value>) {
        (self.call.actor(Some(self.user.id)), self.call.heard.as_ref().map(|heard| heard.facts()))
    }

    fn heard(&self) -> Option<Heard> {
        self.call.heard.as_deref().cloned()
    }
}

impl Said {
    /// Where it was said.
    #[must_use]
    pub fn place(&self) -> Place {
        let said = self;
        Place {
            platform: said.by.platform.as_str().to_owned(),
            workspace: said.by.workspace.as_str().to_owned(),
            room: said.room.as_str().to_owned(),
            thread: said.thread.as_ref().map(|thread| thread.as_str().to_owned()),
        }
    }
}

impl Chat {
    /// Chat of one installation.
    #[must_use]
    pub fn new(ground: Ground) -> Self {
        let Ground { store, clock, journal, identity, approvals, policies, paging, schedules, delivery, listening, issuer } =
            ground;
        Self { store, clock, journal, identity, approvals, paging, schedules, delivery, listening, issuer, policies }
    }

    /// Does what a line says, for whoever said it, and says what came of it.
    ///
    /// # Errors
    /// When the caller is no bot that people speak to, and storage errors. What a person has to know is in the reply.
    pub async fn say(&self, call: &Call, said: Said) -> Result<Reply, Error> {
        let Caller::Bot(bot) = &call.caller else {
            return Err(call.bot(crate::identity::Scope::ApprovalsRequest).err().unwrap_or(CallRefusal::Unauthenticated).into());
        };
        let bot = bot.id;
        let understood = self.understand(&said.line).await?;
        let user = match self.identity.who_is(call, said.by.clone()).await {
            Ok(user) => user,
            Err(Failure::Refused(identity::Refusal::ChatIdentityUnlinked(_))) => {
                return match understood {
                    Ok(Command::LinkMe) => self.link(call, &said).await,
                    _ => Ok(unlinked()),
                };
            }
            Err(failure) => return refusing::identity(failure),
        };
        let command = match understood {
            Ok(command) => command,
            Err(reply) => return Ok(*reply),
        };
        let place = said.place();
        let room = self.room_of(bot, place.clone()).await?;
        let heard = Heard {
            by: user.clone(),
            place: place.clone(),
            message: said.message.as_ref().map(|message| message.as_str().to_owned()),
            pressed: said.pressed,
            key: said.key.clone(),
            line: said.line.clone(),
            success: None,
        };
        let call = Call { heard: Some(Box::new(heard)), once: None, ..call.clone() };
        let speaker = Speaker { user, bot, call, said, place, room, now: self.clock.now(), issuer: self.issuer.clone() };
        if let Some(reply) = self.edited(&speaker).await? {
            return Ok(reply);
        }
        self.perform(&speaker, command).await
    }

    /// The call of a bot that a front of this house speaks for; none when there is no such bot.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn bot(&self, name: Handle) -> Result<Option<Call>, Error> {
        let found: db::Result<Option<Bot>> =
            self.store.look(move |db| Box::pin(async move { identity::active_bot(db, &name).await })).await;
        Ok(found?.map(|bot| Call::by(Caller::Bot(Box::new(bot.without_token())))))
    }

    async fn perform(&self, speaker: &Speaker, command: Command) -> Result<Reply, Error> {
        match command {
            Command::Page { to, title } => self.page(speaker, to, title).await,
            Command::Incidents { mine } => self.list(speaker, mine).await,
            Command::Incident(reference) => self.show(speaker, reference).await,
            Command::Acknowledge(which) => self.acknowledge(speaker, which).await,
            Command::Resolve(references) => self.resolve(speaker, references).await,
            Command::Escalate { incident, to, message } => self.escalate(speaker, incident, to, message).await,
            Command::Snooze(reference, time) => self.snooze(speaker, reference, time).await,
            Command::Reassign(reference, to) => self.reassign(speaker, reference, to).await,
            Command::Note(reference, text) => self.note(speaker, reference, text).await,
            Command::Merge { from, into } => self.merge(speaker, from, into).await,
            Command::OnCall(of) => self.on_call(speaker, of).await,
            Command::AmIOnCall => self.am_i_on_call(speaker).await,
            Command::Take(schedule, time) => self.take(speaker, schedule, time).await,
            Command::Override { schedule, by, from, until } => self.override_it(speaker, schedule, by, (from, until)).await,
            Command::Maintenance(service, time) => self.maintenance(speaker, service, time).await,
            Command::Gated(gated) => self.ask(speaker, gated).await,
            Command::Request(tag) => self.request(speaker, &tag).await,
            Command::Cancel(tag) => self.cancel(speaker, &tag).await,
            Command::LinkMe => Ok(plain(format!(
                "You are {} here already. To end that, open {} on your phone: Me, Chat.",
                speaker.user.full_name(),
                self.issuer
            ))),
            Command::TestMe => self.test(speaker).await,
            Command::ShowOnly(labels) => self.show_only(speaker, labels).await,
            Command::Help(word) => Ok(self.help(word.as_deref()).await?),
        }
    }

    /// What is said to whoever changes the words of a message whose request is open: it keeps the words that were asked.
    async fn edited(&self, speaker: &Speaker) -> Result<Option<Reply>, Error> {
        let Some(message) = speaker.said.message.as_ref().filter(|_| !speaker.said.pressed) else { return Ok(None) };
        let (bot, place, message) = (speaker.bot, speaker.place.clone(), message.as_str().to_owned());
        let asked: db::Result<Vec<ChatMessage>> =
            self.store.look(move |db| Box::pin(async move { messages::asked_in(db, bot, &place, &message).await })).await;
        for before in asked? {
            let (About::Approval(id), Some(line)) = (before.about, &before.line) else { continue };
            if *line == speaker.said.line {
                continue;
            }
            let Some(view) = self.approvals.known(id).await? else { continue };
            if view.approval.is_open() {
                let tag = &view.approval.tag;
                let mut reply = words::request(&view, None, &self.issuer, speaker.now);
                reply.text = format!(
                    "You changed a message that asked for request {tag}. Nothing new was asked: the request keeps the words \
                     “{}”. To ask for something else say `cancel {tag}`, and then write a new message.",
                    crate::text::line(line, 500)
                );
                reply.tone = Tone::Alarm;
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// What holds in a room of a bot.
    async fn room_of(&self, bot: BotId, place: Place) -> db::Result<Room> {
        self.store.look(move |db| Box::pin(async move { rooms::of(db, bot, &place).await })).await
    }

    async fn link(&self, call: &Call, said: &Said) -> Result<Reply, Error> {
        let name = said.name.as_deref().map(|name| crate::text::line(name, 100)).filter(|name| !name.is_empty());
        let new = match self.identity.create_link_code(call, said.by.clone(), name).await {
            Ok(new) => new,
            Err(failure) => return refusing::identity(failure),
        };
        let mut reply = plain(format!(
            "I have whispered you a code. Type it on your phone within 10 minutes, at {} under Me, Chat. If you see no code here, say \
             `link me` to me in a direct message.",
            self.issuer
        ));
        reply.whisper = new.code.map(|code| {
            format!(
                "Your link code is {}. Whoever types it on their phone speaks as you here: show it to nobody.",
                code.expose_grouped()
            )
        });
        Ok(reply)
    }
}

/// What somebody hears whom nobody has linked.
fn unlinked() -> Reply {
    refused(
        "I do not know who you are in PhoneOps yet, so I did nothing. Say `link me`: I give you a code, you type it on your phone, and \
         then I act for you.",
    )
}
