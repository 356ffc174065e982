//! Slack: slash commands, buttons and mentions in; messages, which follow what they are about, out.
//!
//! ```text
//!   Slack ── socket, or /slack/… signed ──► take: kept, then acknowledged ──► working: Chat::say, posted
//!   journal ──► following: Chat::posts ──► chat.update, chat.postMessage ──► Chat::posted
//! ```
//!
//! **Invariants**
//! - What Slack was told is taken is in the database, sealed, and is done: by this process, by another node, or after the next start.
//!   Whoever cannot be served is told.
//! - The same command, press or message is done once, however often Slack sends it.
//! - Who says something is (organisation or workspace, user id), by Slack's own word, and of this workspace: strangers of shared channels
//!   are refused before anything is looked at.
//! - A code is shown to whoever asked alone.
//! - One node tells a workspace what became of something, by a cursor that outlives it.

mod api;
mod blocks;
mod following;
mod heard;
mod pacing;
mod signing;
mod socket;
mod store;
mod working;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::api::{Api, ApiError, Patience, Us};
use self::heard::{By, Incoming, Line};
use self::store::Kept;
use super::Chat;
use crate::clock::{Clock, Timestamp};
use crate::config;
use crate::db::{self, Store};
use crate::id::{BotId, SlackCallId};
use crate::identity::Handle;
use crate::secret::{MasterKey, Secret};

pub use heard::NotUnderstood;
pub use signing::NotSigned;

/// How long a call may take to be kept before Slack is answered without knowing: Slack waits for three seconds.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_200);

/// Calls worked on at once.
const PLACES: usize = 64;

/// How long a node works on a call before another may.
const LEASE: Duration = Duration::from_secs(60);

/// How often it is looked for calls that nobody works on, in real time.
const SWEEP: Duration = Duration::from_secs(2);

/// How long it is remembered what was done. Slack repeats what was not acknowledged for minutes.
const REMEMBERED: Duration = Duration::from_hours(2);

/// How often what was done is forgotten, in sweeps.
const FORGET_EVERY: u32 = 300;

/// Why the front does not start.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The name of the bot is none.
    #[error("slack.bot: {0}")]
    Bot(String),
    /// The certificates cannot be read.
    #[error("slack.ca_file: {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The clients.
    #[error("slack.{0}")]
    Client(#[from] api::SetupError),
}

/// What [`Slack`] is built on.
pub struct Ground {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// What is said.
    pub chat: Arc<Chat>,
    /// What seals what Slack sent.
    pub master: MasterKey,
}

/// Which of Slack's calls it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// A slash command.
    Commands,
    /// What was pressed.
    Interactivity,
    /// What was said.
    Events,
}

/// What Slack is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is kept, and done after this: a command is shown in the channel as it was typed.
    Command,
    /// It is kept, or is nothing for us.
    Taken,
    /// This is said to whoever said it, and nobody else.
    Whisper(&'static str),
    /// This, as Slack wants it back.
    Challenge(String),
}

/// Why Slack is told that it was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// Slack does not call here: there is no signing secret.
    #[error("there is no signing secret")]
    Off,
    /// It is not Slack that calls, or not now.
    #[error("{0}")]
    NotSigned(#[from] NotSigned),
    /// The same call came before.
    #[error("the same call came before")]
    Replayed,
    /// It cannot be read.
    #[error("{0}")]
    NotUnderstood(#[from] NotUnderstood),
    /// It could not be kept.
    #[error("{0}")]
    Db(#[from] db::Error),
}

/// What whoever typed a command is told when it was not kept.
const NOT_KEPT: &str =
    "PhoneOps cannot reach its database, so nothing was done. Page and acknowledge on your phone, or say it again in a minute.";

/// What they are told when it is not known whether it was.
const SLOW: &str = "PhoneOps is slow just now. What you said is done as soon as it can be, and I answer here then.";

/// Slack, for one bot in one workspace.
pub struct Slack {
    store: Store,
    clock: Clock,
    chat: Arc<Chat>,
    master: MasterKey,
    api: Api,
    bot: Handle,
    signing_secret: Option<Secret>,
    socket_mode: bool,
    us: watch::Sender<Option<Arc<Us>>>,
    /// What this node works on.
    at_work: Mutex<HashSet<SlackCallId>>,
    places: Semaphore,
    sockets: AtomicUsize,
    /// The bot whose cursor is known to be there.
    begun: tokio::sync::Mutex<Option<BotId>>,
    /// The cursor that this node holds, or held last: the bot, the workspace, and the fence.
    holds: Mutex<Option<(BotId, String, i64)>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Where a call stands once it was tried to keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Kept,
    Before,
    /// That is not known yet.
    Slow,
}

impl Slack {
    /// Sets it up. Connects to nothing.
    ///
    /// # Errors
    /// [`SetupError`] names what in the configuration is to blame.
    pub fn new(settings: &config::Slack, ground: Ground) -> Result<Arc<Self>, SetupError> {
        let bot = settings.bot.parse().map_err(|_| SetupError::Bot(format!("{} is no name of a bot", settings.bot)))?;
        let api = api(settings)?;
        let Ground { store, clock, chat, master } = ground;
        Ok(Arc::new(Self {
            store,
            clock,
            chat,
            master,
            api,
            bot,
            signing_secret: settings.signing_secret.clone(),
            socket_mode: settings.app_token.is_some(),
            us: watch::Sender::new(None),
            at_work: Mutex::default(),
            places: Semaphore::new(PLACES),
            sockets: AtomicUsize::new(0),
            begun: tokio::sync::Mutex::new(None),
            holds: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    /// Begins: asks who we are, opens a socket where there is an app token, does what was left, and tells what became of things.
    pub fn start(self: &Arc<Self>) {
        self.run(|slack| async move { slack.introduce().await });
        self.run(|slack| async move { slack.sweep().await });
        self.run(|slack| async move { slack.follow().await });
        if self.socket_mode {
            self.run(|slack| async move { slack.listen().await });
        }
    }

    fn run<F: Future<Output = ()> + Send + 'static>(self: &Arc<Self>, work: impl FnOnce(Arc<Self>) -> F) {
        let (stop, work) = (self.stop.clone(), work(self.clone()));
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Stops. What is not done waits for another node, or for the next start.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.let_go().await;
    }

    /// Takes a call that Slack made by HTTP, when Slack signed it.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub async fn hear(self: &Arc<Self>, door: Door, time: &str, signature: &str, body: &[u8]) -> Result<Answer, NotTaken> {
        let Some(secret) = &self.signing_secret else { return Err(NotTaken::Off) };
        signing::verify(secret, time, signature, body, self.clock.now())?;
        let incoming = match door {
            Door::Commands => heard::command(&heard::form(body))?,
            Door::Interactivity => {
                let payload = heard::form(body).remove("payload").unwrap_or_default();
                heard::interaction(&serde_json::from_str(&payload).map_err(|_| NotUnderstood::json())?)?
            }
            Door::Events => heard::event(&serde_json::from_slice(body).map_err(|_| NotUnderstood::json())?)?,
        };
        let (line, once) = match incoming {
            Incoming::Line(line, once) => (*line, once),
            Incoming::Challenge(challenge) => return Ok(Answer::Challenge(challenge)),
            Incoming::Nothing => return Ok(Answer::Taken),
        };
        let by = line.by;
        match (self.take(line, once, "signing secret").await, by) {
            (Ok(Taken::Kept), By::Command) => Ok(Answer::Command),
            (Ok(Taken::Slow), By::Command) => Ok(Answer::Whisper(SLOW)),
            (Err(error), By::Command) => {
                tracing::error!(%error, "a command of Slack's is not kept");
                Ok(Answer::Whisper(NOT_KEPT))
            }
            // Slack repeats events, and nothing else.
            (Ok(Taken::Before), By::Command | By::Button) => Err(NotTaken::Replayed),
            (Ok(_), _) => Ok(Answer::Taken),
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Keeps a line, and sets to work on it. Returns in time to answer Slack.
    async fn take(self: &Arc<Self>, line: Line, once: [u8; 32], vouched: &'static str) -> db::Result<Taken> {
        let (durable, kept) = oneshot::channel();
        let slack = self.clone();
        // Whoever stops waiting for it stops nothing.
        self.tasks.spawn(async move {
            match slack.keep(&line, once, vouched).await {
                Ok(Some(mine)) => {
                    let _ = durable.send(Ok(Taken::Kept));
                    slack.work(mine).await;
                }
                Ok(None) => drop(durable.send(Ok(Taken::Before))),
                Err(error) => drop(durable.send(Err(error))),
            }
        });
        match tokio::time::timeout(ANSWER_WITHIN, kept).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) | Err(_) => Ok(Taken::Slow),
        }
    }

    /// Keeps a line that this node works on; none when it came before.
    async fn keep(&self, line: &Line, once: [u8; 32], vouched: &'static str) -> db::Result<Option<Kept>> {
        let now = self.clock.now();
        let id = SlackCallId::new(now);
        let plain = serde_json::to_vec(&(vouched, line)).map_err(|error| db::Error::inconsistent("slack_calls", id, error))?;
        let kept = Kept { id, sealed: self.master.seal(&place(id), &plain), received_at: now, tries: 1 };
        let (mine, due_at) = (kept.clone(), now.after(LEASE));
        let fresh: bool =
            self.store.write(move |tx| Box::pin(async move { store::insert(tx, &mine, once, due_at).await })).await?;
        Ok(fresh.then_some(kept))
    }

    /// Who said it to whom, as it was kept.
    fn opened(&self, kept: &Kept) -> Option<(String, Line)> {
        let plain = self.master.open(&place(kept.id), &kept.sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    /// Finds out who we are, for as long as it takes.
    async fn introduce(&self) {
        let mut pause = Duration::from_secs(1);
        loop {
            match self.api.who().await {
                Ok(us) => {
                    tracing::info!(workspace = us.team, name = us.team_name, bot = self.bot.as_str(), "Slack knows us");
                    if let Some(missing) = us.scopes.as_deref().map(missing_scopes).filter(|missing| !missing.is_empty()) {
                        tracing::error!(
                            missing = missing.join(" "),
                            "the Slack app lacks scopes: install it again with its manifest"
                        );
                    }
                    self.us.send_replace(Some(Arc::new(us)));
                    return;
                }
                Err(error) => tracing::error!(%error, "Slack does not say who we are; what is said there waits"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(60));
        }
    }

    /// Who we are, once Slack said so.
    async fn us(&self) -> Arc<Us> {
        let mut us = self.us.subscribe();
        loop {
            if let Some(us) = us.borrow_and_update().clone() {
                return us;
            }
            // Fails only when we are gone, and then nobody waits.
            let _ = us.changed().await;
        }
    }

    /// Does what no node works on: what a node left that died.
    async fn sweep(self: Arc<Self>) {
        if self.store.engine() == db::Engine::Lite {
            // The data directory is ours alone.
            let now = self.clock.now();
            if let Err(error) = self.store.write(move |tx| Box::pin(store::revive(tx, now))).await {
                tracing::warn!(%error, "what Slack sent before is done a little later");
            }
        }
        let mut sweeps = 0_u32;
        loop {
            if let Err(error) = self.take_over().await {
                tracing::warn!(%error, "it cannot be looked up what Slack sent");
            }
            if sweeps.is_multiple_of(FORGET_EVERY) {
                let before = self.clock.now().before(REMEMBERED);
                if let Err(error) = self.store.write(move |tx| Box::pin(store::forget(tx, before))).await {
                    tracing::warn!(%error, "what Slack sent cannot be forgotten");
                }
            }
            sweeps = sweeps.wrapping_add(1);
            tokio::time::sleep(SWEEP).await;
        }
    }

    async fn take_over(self: &Arc<Self>) -> db::Result<()> {
        let now = self.clock.now();
        let due: i64 = self.store.look(move |db| Box::pin(store::due(db, now))).await?;
        if due == 0 {
            return Ok(());
        }
        let limit = u32::try_from(self.places.available_permits()).unwrap_or(1);
        let claimed = self.store.write(move |tx| Box::pin(store::claim(tx, now, now.after(LEASE), limit))).await?;
        for kept in claimed {
            let slack = self.clone();
            self.tasks.spawn(async move { slack.work(kept).await });
        }
        Ok(())
    }

    fn at_work(&self) -> std::sync::MutexGuard<'_, HashSet<SlackCallId>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NotUnderstood {
    fn json() -> Self {
        Self::new("the payload is no JSON")
    }
}

fn place(id: SlackCallId) -> String {
    format!("slack_calls.sealed/{id}")
}

fn api(settings: &config::Slack) -> Result<Api, SetupError> {
    let read = |path: &PathBuf| std::fs::read(path).map_err(|source| SetupError::Unreadable { path: path.clone(), source });
    let ca_pem = settings.ca_file.as_ref().map(read).transpose()?;
    let (bot_token, app_token) = (settings.bot_token.clone(), settings.app_token.clone());
    Ok(Api::new(settings.api_url.clone(), bot_token, app_token, ca_pem.as_deref())?)
}

/// What the bot's token must be good for.
fn missing_scopes(scopes: &str) -> Vec<&'static str> {
    let has: HashSet<&str> = scopes.split(',').map(str::trim).collect();
    ["chat:write", "commands"].into_iter().filter(|scope| !has.contains(scope)).collect()
}

/// Asks Slack whether it lets us in, and says nothing there: for operators, before it matters.
///
/// # Errors
/// What stands in the way, for people.
pub async fn try_out(settings: &config::Slack) -> Result<String, String> {
    let api = api(settings).map_err(|error| error.to_string())?;
    let us = api.who().await.map_err(|error| format!("slack.bot_token: {error}"))?;
    let missing = us.scopes.as_deref().map(missing_scopes).unwrap_or_default();
    if !missing.is_empty() {
        return Err(format!(
            "the app lacks the scopes {}: install it again with clients/slack/manifest.yaml",
            missing.join(", ")
        ));
    }
    if settings.app_token.is_some() {
        api.open().await.map_err(|error| format!("slack.app_token: {error}"))?;
    }
    let way = match (&settings.app_token, &settings.signing_secret) {
        (Some(_), None) => "by a socket",
        (Some(_), Some(_)) => "by a socket, and by HTTP",
        _ => "by HTTP",
    };
    Ok(format!("{} speaks in {} ({}), which is heard {way}", settings.bot, us.team_name, us.enterprise.unwrap_or(us.team)))
}

/// The time by which something that began at `began` is too late to be done: whoever said it has done something else meanwhile.
fn too_late(began: Timestamp) -> Timestamp {
    began.after(Duration::from_mins(10))
}

/// What is said to one person in Slack's answer to a command.
#[must_use]
pub fn whispered(text: &str) -> Value {
    serde_json::json!({"response_type": "ephemeral", "text": blocks::text(text)})
}

/// Slack's answer to a command that is done: the channel sees what was typed.
#[must_use]
pub fn shown() -> Value {
    serde_json::json!({"response_type": "in_channel"})
}
