//! Telling a workspace what became of what was asked there: one node at a time, by a cursor in the database.
//!
//! **Invariants**
//! - The cursor moves once everything up to it was told, or Slack said that it never will be. So a restart tells the last of it again, which
//!   changes a message to what it says already.
//! - What a message says is told in the order in which it came to hold: one message's changes follow each other.
//! - A channel that is slow keeps others from nothing that was read with it.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::join_all;

use super::blocks;
use super::store::{self, Held};
use super::{Patience, Slack};
use crate::chat::{self, PlaceId, Post, Workspace};
use crate::db;
use crate::id::BotId;
use crate::identity::{Call, Caller};
use crate::journal;

/// How long a node may be gone before another tells the workspace, how often it says that it is not, and how long it waits for news.
const HELD: Duration = Duration::from_secs(30);
const HOLD_EVERY: Duration = Duration::from_secs(8);
const NEWS: Duration = Duration::from_secs(8);

/// How soon it is tried again to hold the cursor, and after something failed.
const AGAIN: Duration = Duration::from_secs(2);

/// Why a node stops telling, for the log.
enum Ended {
    /// Another node tells.
    Lost,
    Db(db::Error),
    Chat(chat::Error),
}

impl From<db::Error> for Ended {
    fn from(error: db::Error) -> Self {
        Self::Db(error)
    }
}

impl Slack {
    /// Tells the workspace what happens, whenever no other node does.
    pub(super) async fn follow(&self) {
        let us = self.us().await;
        let workspace = us.workspace().to_owned();
        let mut first = true;
        loop {
            let held = match self.hold(&workspace, first).await {
                Ok(held) => held,
                Err(error) => {
                    tracing::warn!(%error, "it cannot be looked up what Slack is to be told");
                    None
                }
            };
            first = false;
            if let Some((bot, held)) = held {
                *self.holds.lock().unwrap_or_else(PoisonError::into_inner) = Some((bot, workspace.clone(), held.lease));
                match self.tell((bot, &workspace), held).await {
                    Ended::Lost => tracing::info!("another node tells Slack what happens"),
                    Ended::Db(error) => tracing::warn!(%error, "Slack is told later what happens"),
                    Ended::Chat(error) => {
                        tracing::error!(bot = self.bot.as_str(), %error, "Slack is not told what happens: the bot needs the scope events:read");
                    }
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Holds the cursor, where no other node does.
    async fn hold(&self, workspace: &str, first: bool) -> Result<Option<(BotId, Held)>, chat::Error> {
        let Some(call) = self.chat.bot(self.bot.clone()).await? else { return Ok(None) };
        let Some(bot) = bot_of(&call) else { return Ok(None) };
        self.begin(bot, workspace).await?;
        let now = self.clock.now();
        // With SQLite nobody else has this database, so whoever held it before has ended.
        let since = if first && self.store.engine() == db::Engine::Lite { now.after(HELD) } else { now };
        let (workspace, until) = (workspace.to_owned(), now.after(HELD));
        let held: db::Result<Option<Held>> =
            self.store.write(move |tx| Box::pin(async move { store::hold(tx, bot, &workspace, (since, until)).await })).await;
        Ok(held?.map(|held| (bot, held)))
    }

    /// Sees to it that there is a cursor before anything is asked: what becomes of that lies behind it.
    pub(super) async fn begin(&self, bot: BotId, workspace: &str) -> db::Result<()> {
        let mut begun = self.begun.lock().await;
        if *begun == Some(bot) {
            return Ok(());
        }
        let (last, workspace) = (journal::last(&self.store).await?, workspace.to_owned());
        self.store.write(move |tx| Box::pin(async move { store::begin(tx, bot, &workspace, last).await })).await?;
        *begun = Some(bot);
        Ok(())
    }

    /// Lets another node tell, now.
    pub(super) async fn let_go(&self) {
        let held = self.holds.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((bot, workspace, lease)) = held else { return };
        let gone = self.store.write(move |tx| Box::pin(async move { store::let_go(tx, bot, &workspace, lease).await }));
        if let Err(error) = gone.await {
            tracing::warn!(%error, "another node tells Slack what happens a little later");
        }
    }

    /// Tells for as long as the cursor is ours.
    async fn tell(&self, (bot, workspace): (BotId, &str), mut held: Held) -> Ended {
        let ours = Workspace { platform: "slack".to_owned(), workspace: workspace.to_owned() };
        loop {
            let call = match self.chat.bot(self.bot.clone()).await {
                Ok(Some(call)) if bot_of(&call) == Some(bot) => call,
                // Removed, or another by the same name.
                Ok(_) => return Ended::Lost,
                Err(chat::Error::Db(error)) => return Ended::Db(error),
                Err(error) => return Ended::Chat(error),
            };
            let posts = match self.chat.posts(&call, Some(&ours), Some(held.seq), NEWS).await {
                Ok(posts) => posts,
                Err(chat::Error::Db(error)) => return Ended::Db(error),
                Err(error) => return Ended::Chat(error),
            };
            let told = self.tell_all(&call, posts.posts);
            let holding = self.go_on_holding((bot, workspace), held);
            tokio::select! {
                () = told => {}
                ended = holding => return ended,
            }
            held.seq = posts.next;
            match self.keep_held((bot, workspace), held).await {
                Ok(true) => {}
                Ok(false) => return Ended::Lost,
                Err(error) => return error.into(),
            }
        }
    }

    async fn keep_held(&self, (bot, workspace): (BotId, &str), held: Held) -> db::Result<bool> {
        let (workspace, until) = (workspace.to_owned(), self.clock.now().after(HELD));
        self.store.write(move |tx| Box::pin(async move { store::keep(tx, bot, &workspace, held, until).await })).await
    }

    /// Holds the cursor where it is while Slack takes its time; ends when it is another's.
    async fn go_on_holding(&self, whose: (BotId, &str), held: Held) -> Ended {
        loop {
            tokio::time::sleep(HOLD_EVERY).await;
            match self.keep_held(whose, held).await {
                Ok(true) => {}
                Ok(false) => return Ended::Lost,
                Err(error) => tracing::warn!(%error, "the cursor of Slack cannot be held"),
            }
        }
    }

    /// Each channel by itself, in order.
    async fn tell_all(&self, call: &Call, posts: Vec<Post>) {
        let mut channels: BTreeMap<String, Vec<Post>> = BTreeMap::new();
        for post in posts {
            channels.entry(post.room.clone()).or_default().push(post);
        }
        join_all(channels.into_values().map(|posts| async move {
            for post in posts {
                self.tell_one(call, &post).await;
            }
        }))
        .await;
    }

    async fn tell_one(&self, call: &Call, post: &Post) {
        let shown = blocks::message(&post.reply);
        let told = match &post.message {
            Some(message) => self.api.update(&post.room, message, &shown, Patience::Endless).await.map(|()| None),
            None => self.api.post(&post.room, post.thread.as_deref(), &shown, Patience::Endless).await.map(Some),
        };
        match told {
            Ok(None) => {}
            Ok(Some(message)) => {
                let Ok(id) = message.parse::<PlaceId>() else { return };
                if let Err(error) = self.chat.posted(call, post.about, &post.place(), &id).await {
                    tracing::warn!(%error, "a message in Slack will not follow what it is about");
                }
            }
            // Somebody removed the message, or the bot from the channel.
            Err(error) => {
                metrics::counter!("phoneops_slack_untold_total").increment(1);
                tracing::warn!(channel = post.room, %error, "a channel of Slack is not told something");
            }
        }
    }
}

fn bot_of(call: &Call) -> Option<BotId> {
    match &call.caller {
        Caller::Bot(bot) => Some(bot.id),
        _ => None,
    }
}
