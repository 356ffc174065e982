//! Telling rooms what became of what was asked there, and what they hear of unasked.
//!
//! **Invariants**
//! - What is told is what holds now, read when it is told: however often and in whatever order, a message ends up saying the truth.
//! - Whoever follows holds a cursor of the journal and moves it only past what it was given: what it was not given comes again.
//! - Nobody who follows costs a query while nothing happens.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::time::Duration;

use super::doing::{Chat, Error, words};
use super::rooms::{self, Hears, Subscription};
use super::{PlaceId, Reply};
use crate::clock::Timestamp;
use crate::db;
use crate::id::{ApprovalId, BotId};
use crate::identity::chat::messages::{self, ChatMessage};
use crate::identity::{self, About, Call, Handle, Place, Scope};
use crate::journal::Sealed;
use crate::listening::{Event, Filter, ListenError};

/// So much is waited for at most.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What a room has to be told.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Post {
    /// The number of the journal's entry that it is because of.
    pub seq: i64,
    /// `slack`, `irc`, …
    pub platform: String,
    /// The workspace, team or server.
    pub workspace: String,
    /// The room.
    pub room: String,
    /// The thread in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The message that says this from now on, as the front told; a new one where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What is said.
    pub reply: Reply,
    /// About what.
    pub about: About,
}

/// What the rooms of a bot have to be told.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Posts {
    /// In order.
    pub posts: Vec<Post>,
    /// The cursor to go on from.
    pub next: i64,
}

impl Post {
    /// Where it is said.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            platform: self.platform.clone(),
            workspace: self.workspace.clone(),
            room: self.room.clone(),
            thread: self.thread.clone(),
        }
    }
}

/// One of the chats in which a bot speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// `slack`, `irc`, …
    pub platform: String,
    /// The workspace, team or server.
    pub workspace: String,
}

/// What an entry of the journal is to those who follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Worth another look at what was said, and no new line.
    Small,
    /// It began: those who asked have their reply.
    Began,
    /// Worth a line.
    News,
}

/// What an entry is about, and how much it weighs; none for what no message says.
fn weighed(entry: &Sealed) -> Option<(About, Weight)> {
    let approval = || entry.subject.parse().ok().map(About::Approval);
    let incident = || entry.subject.parse().ok().map(About::Incident);
    let (about, weight) = match entry.kind.as_str() {
        "approval.requested" => (approval(), Weight::Began),
        "approval.answered"
        | "approval.held"
        | "approval.break_glass"
        | "approval.opened"
        | "approval.approved"
        | "approval.denied"
        | "approval.expired"
        | "approval.cancelled" => (approval(), Weight::News),
        "approval.asked" | "approval.frozen" => (approval(), Weight::Small),
        "grant.outcome_reported" => {
            let id: Option<ApprovalId> = entry.data["approval"].as_str().and_then(|id| id.parse().ok());
            (id.map(About::Approval), Weight::News)
        }
        "incident.triggered" => (incident(), Weight::Began),
        "incident.acknowledged"
        | "incident.resolved"
        | "incident.snoozed"
        | "incident.woken"
        | "incident.escalated"
        | "incident.reassigned"
        | "incident.merged"
        | "incident.reopened"
        | "incident.disowned" => (incident(), Weight::News),
        "incident.rang"
            if entry.data.get("after").is_some()
                || ["from_step", "unreached_step"].iter().any(|name| entry.data.get(*name).is_some()) =>
        {
            (incident(), Weight::News)
        }
        "incident.rang"
        | "incident.retriggered"
        | "incident.urgency_changed"
        | "incident.responder_added"
        | "incident.put_off"
        | "incident.absorbed"
        | "incident.gave_back"
        | "incident.parted" => (incident(), Weight::Small),
        _ => return None,
    };
    about.map(|about| (about, weight))
}

/// What became of something, in some entries.
struct Turn {
    about: About,
    /// The last of them.
    seq: i64,
    weight: Weight,
    /// The room in which all of it was said: there the reply has told it. Nothing that begins: whoever asks says themselves where, and is
    /// not to keep it from a room that watches.
    said_in: Option<Place>,
}

/// The room in which a line of chat brought an entry about.
fn room_of(entry: &Sealed) -> Option<Place> {
    let text = |name: &str| entry.data["origin"][name].as_str().map(str::to_owned);
    Some(Place { platform: text("platform")?, workspace: text("workspace")?, room: text("room")?, thread: None })
}

impl Chat {
    /// What a message about a request or an incident says now.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn now(&self, about: About) -> Result<Reply, Error> {
        let now = self.clock.now();
        let known = match about {
            About::Approval(id) => match self.approvals.known(id).await? {
                Some(view) => Some(self.request_now(&view, now).await?),
                None => None,
            },
            About::Incident(id) => self.paging.known(id).await?.map(|view| words::incident(&view, &self.issuer, now)),
        };
        Ok(known.unwrap_or_else(|| Reply { tone: super::Tone::Over, ..words::plain("That was long ago and is forgotten.") }))
    }

    /// Keeps in which message a front showed what was said about something, so that this message is changed later.
    ///
    /// # Errors
    /// When the caller is no bot that people speak to, and storage errors.
    pub async fn posted(&self, call: &Call, about: About, place: &Place, message: &PlaceId) -> Result<(), Error> {
        let bot = speaker(call)?;
        let (place, message, now) = (place.clone(), message.as_str().to_owned(), self.clock.now());
        self.store
            .write(move |tx| Box::pin(async move { messages::posted(tx, bot, &place, (about, &message), now).await }))
            .await?;
        Ok(())
    }

    /// What the rooms of a bot have to be told since `after`, in one chat when it is named; without `after`, since now. Waits for so long
    /// while there is nothing, holding neither thread nor connection.
    ///
    /// # Errors
    /// When the caller is no bot that may hear events, and storage errors.
    pub async fn posts(&self, call: &Call, of: Option<&Workspace>, after: Option<i64>, wait: Duration) -> Result<Posts, Error> {
        let bot = call.bot(Scope::EventsRead)?.id;
        let filter = Filter::new(Some("approval.,incident.,grant.outcome_reported"), None).unwrap_or_default();
        let until = tokio::time::Instant::now() + wait.min(LONGEST_WAIT);
        let mut listener = self.listening.overhear(call, filter, after).await.map_err(|error| match error {
            ListenError::Call(refusal) => Error::Call(refusal),
            ListenError::Db(error) => Error::Db(error),
        })?;
        loop {
            let rest = until.saturating_duration_since(tokio::time::Instant::now());
            let poll = listener.poll(rest).await?;
            let posts = self.told(bot, of, &poll.events).await?;
            if !posts.is_empty() || rest.is_zero() || poll.events.is_empty() {
                return Ok(Posts { posts, next: poll.next });
            }
        }
    }

    /// What a bot's rooms are told because of some entries: one post for each message about each thing.
    async fn told(&self, bot: BotId, of: Option<&Workspace>, events: &[std::sync::Arc<Event>]) -> Result<Vec<Post>, Error> {
        // What another chat of the same bot is to hear is that one's to take.
        let is_ours = |place: &Place| of.is_none_or(|of| of.platform == place.platform && of.workspace == place.workspace);
        let mut changed: BTreeMap<About, Turn> = BTreeMap::new();
        for event in events {
            let entry: Sealed =
                serde_json::from_str(&event.json).map_err(|error| db::Error::inconsistent("journal", event.seq, error))?;
            if let Some((about, weight)) = weighed(&entry) {
                let said_in = if weight == Weight::Began { None } else { room_of(&entry) };
                match changed.entry(about) {
                    btree_map::Entry::Vacant(vacant) => {
                        vacant.insert(Turn { about, seq: entry.seq, weight, said_in });
                    }
                    btree_map::Entry::Occupied(occupied) => {
                        let known = occupied.into_mut();
                        if known.weight == Weight::Began {
                            known.said_in = said_in;
                        } else if known.said_in != said_in {
                            known.said_in = None;
                        }
                        known.seq = entry.seq;
                        known.weight = weight.max(known.weight);
                    }
                }
            }
        }
        if changed.is_empty() {
            return Ok(Vec::new());
        }
        let about: Vec<About> = changed.keys().copied().collect();
        let (mut said, mut subscribed): (Vec<ChatMessage>, Vec<_>) = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let said = messages::said_about(db, bot, &about).await?;
                    Ok::<_, db::Error>((said, rooms::subscriptions(db, bot).await?))
                })
            })
            .await?;
        said.retain(|one| is_ours(&one.place));
        subscribed.retain(|(one, _)| is_ours(&one.place));
        let mut posts = Vec::new();
        for (about, turn) in changed {
            let said: Vec<_> = said.iter().filter(|said| said.about == about).collect();
            let heard = subscribed.iter().any(|(one, _)| {
                matches!((one.of, about), (Hears::Incidents, About::Incident(_)) | (Hears::Approvals, About::Approval(_)))
            });
            if said.is_empty() && !heard {
                continue;
            }
            posts.extend(self.told_about(bot, &turn, &said, &subscribed).await?);
        }
        posts.sort_by_key(|post| post.seq);
        Ok(posts)
    }

    async fn told_about(
        &self,
        bot: BotId,
        turn: &Turn,
        said: &[&ChatMessage],
        subscribed: &[(Subscription, BTreeMap<String, String>)],
    ) -> Result<Vec<Post>, Error> {
        let (now, &Turn { about, seq, weight, ref said_in }) = (self.clock.now(), turn);
        let Some((here, elsewhere, rooms)) = self.wordings(about, subscribed, now).await? else { return Ok(Vec::new()) };
        let post = |place: &Place, message: Option<String>, reply: Reply| Post {
            seq,
            platform: place.platform.clone(),
            workspace: place.workspace.clone(),
            room: place.room.clone(),
            thread: place.thread.clone(),
            message,
            reply,
            about,
        };
        let mut posts = Vec::new();
        let mut reached: BTreeSet<Place> = BTreeSet::new();
        let shown: BTreeSet<&Place> = said.iter().filter(|said| said.message.is_some()).map(|said| &said.place).collect();
        for one in said {
            let reply = if one.line.is_some() { &here } else { &elsewhere };
            match &one.message {
                Some(message) if weight != Weight::Began => posts.push(post(&one.place, Some(message.clone()), reply.clone())),
                // Where no message can be changed a new line says it, once; and not what the reply has said already. That it began comes
                // once: a room that is to hear it unasked and has its row already was told by somebody who did not take it.
                None if (weight == Weight::News || weight == Weight::Began && one.line.is_none())
                    && !shown.contains(&one.place)
                    && !reached.contains(&one.place)
                    && !said_in.as_ref().is_some_and(|room| room.is_in_room_of(&one.place)) =>
                {
                    posts.push(post(&one.place, None, reply.clone()));
                }
                _ => {}
            }
            reached.insert(one.place.clone());
        }
        for place in rooms {
            let has_heard = |known: &Place| known.is_in_room_of(&place);
            if weight == Weight::Small || reached.iter().any(has_heard) || said_in.as_ref().is_some_and(has_heard) {
                continue;
            }
            let room = place.clone();
            // So that `escalate` in that room knows which incident is meant.
            self.store.write(move |tx| Box::pin(async move { messages::told(tx, bot, &room, about, now).await })).await?;
            posts.push(post(&place, None, elsewhere.clone()));
            reached.insert(place);
        }
        Ok(posts)
    }

    /// What is said about something where it was asked, what elsewhere, and in which rooms unasked; none once it is forgotten.
    async fn wordings(
        &self,
        about: About,
        subscribed: &[(Subscription, BTreeMap<String, String>)],
        now: Timestamp,
    ) -> Result<Option<(Reply, Reply, BTreeSet<Place>)>, Error> {
        match about {
            About::Incident(id) => {
                let Some(view) = self.paging.known(id).await? else { return Ok(None) };
                let takers = subscribed.iter().filter(|(one, only)| one.takes_incident(&view, only));
                let rooms = takers.map(|(one, _)| one.place.clone()).collect();
                let reply = words::incident(&view, &self.issuer, now);
                Ok(Some((reply.clone(), reply, rooms)))
            }
            About::Approval(id) => {
                let Some(view) = self.approvals.known(id).await? else { return Ok(None) };
                let wants_teams = subscribed.iter().any(|(one, _)| one.of == Hears::Approvals && one.team.is_some());
                let teams = if wants_teams { self.teams_of(&view).await? } else { Vec::new() };
                let takers = subscribed.iter().filter(|(one, only)| one.takes_approval(&view, &teams, only));
                let rooms = takers.map(|(one, _)| one.place.clone()).collect();
                let here = self.request_now(&view, now).await?;
                Ok(Some((here, words::request_elsewhere(&view, &self.issuer, now), rooms)))
            }
        }
    }

    /// The teams of whoever asks or may approve.
    async fn teams_of(&self, view: &crate::approvals::View) -> Result<Vec<Handle>, Error> {
        let people: BTreeSet<_> = view.approvers.iter().map(|user| user.id).chain([view.requester.id]).collect();
        let found: db::Result<Vec<Handle>> = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let mut teams = BTreeSet::new();
                    for user in people {
                        teams.extend(identity::teams_of(db, user).await?);
                    }
                    let mut names = Vec::new();
                    for team in teams {
                        names.extend(identity::known_team(db, team).await?.map(|team| team.name));
                    }
                    Ok(names)
                })
            })
            .await;
        Ok(found?)
    }
}

/// The bot that calls, when people speak to it.
fn speaker(call: &Call) -> Result<BotId, Error> {
    let bot = call.bot(Scope::ApprovalsRequest).or_else(|_| call.bot(Scope::IncidentsWrite))?;
    Ok(bot.id)
}
