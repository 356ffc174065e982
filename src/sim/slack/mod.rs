//! Slack, for one workspace, one app and one machine: its Web API, Socket Mode, and calls by HTTP that it signs.
//!
//! | who | call |
//! |---|---|
//! | app | `POST /api/auth.test`, `apps.connections.open`, `chat.postMessage`, `chat.update`, `chat.postEphemeral` |
//! | app | `POST /response/{id}`: a `response_url`, five times in half an hour |
//! | app | a WebSocket where `apps.connections.open` says |
//! | test | `POST /admin/command` `{user, channel, text}`, `/admin/mention` `{user, channel, text, thread?}`, `/admin/press` `{user, channel, ts, label}` → `{acknowledged}` |
//! | test | `POST /admin/disconnect` `{reason}`, `GET /admin/messages`, `/admin/whispers`, `/admin/sockets` |
//!
//! **Invariants**
//! - It takes what Slack takes: a token in the header, arguments as JSON or as a form; and says no in Slack's words.
//! - What breaks Block Kit's limits is refused, and so is markup that is none.
//! - Dropping the handle ends everything.

mod admin;
mod check;
mod people;
mod socket;
mod web_api;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::plain;
use super::script::{Faults, Script, Scripted};
use crate::clock::{Clock, Timestamp};
use crate::secret::{b64u, random};

pub use people::{Acknowledged, Made, Typed};

/// The workspace, the app's bot user, and the app.
pub const TEAM: &str = "T0EXAMPLE";
/// The bot's user.
pub const BOT_USER: &str = "U0BOT";
const APP: &str = "A0PHONEOPS";

/// A message that a channel sees.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// The channel.
    pub channel: String,
    /// Its time, which is its id.
    pub ts: String,
    /// The message whose thread it is in.
    pub thread_ts: Option<String>,
    /// Who said it: the bot's user, or a person.
    pub user: String,
    /// The text, with Slack's escapes.
    pub text: String,
    /// Its cards.
    pub attachments: Value,
    /// How often it was changed.
    pub edits: u32,
}

/// What one person sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Whisper {
    /// The channel.
    pub channel: String,
    /// Who sees it.
    pub user: String,
    /// The text, with Slack's escapes.
    pub text: String,
    /// The thread it is in.
    pub thread_ts: Option<String>,
}

/// What goes wrong with a call of the Web API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// 429, and how many seconds to wait.
    RateLimited {
        /// Seconds.
        retry_after: u64,
    },
    /// `ok: false` with this word.
    Error {
        /// Slack's word.
        error: String,
    },
    /// This status, and nothing to read.
    Status {
        /// 400 to 599.
        status: u16,
    },
    /// It is done, and the answer is lost.
    Lost,
}

impl Scripted for Fault {
    fn is_possible(&self) -> bool {
        !matches!(self, Self::Status { status } if !(400..600).contains(status))
    }
}

/// An address at which a call may be answered.
#[derive(Clone, Debug)]
struct ResponseUrl {
    channel: String,
    user: String,
    /// The message whose button was pressed.
    message: Option<String>,
    uses: u32,
    until: Timestamp,
}

#[derive(Default)]
struct Workspace {
    number: u64,
    /// Channels, and whether the bot is in them.
    channels: HashMap<String, bool>,
    messages: Vec<Message>,
    whispers: Vec<Whisper>,
    response_urls: HashMap<String, ResponseUrl>,
    faults: HashMap<String, Faults<Fault>>,
    /// Each call of the Web API, by its name, and what it was answered.
    calls: Vec<(String, String)>,
    tickets: Vec<String>,
    sockets: HashMap<u64, mpsc::UnboundedSender<socket::Command>>,
    /// Those that heard that they will be closed.
    ending: HashSet<u64>,
    opened: u64,
    acknowledging: HashMap<String, oneshot::Sender<Value>>,
    /// Where Slack calls when there is no socket.
    calls_at: Option<String>,
}

struct State {
    clock: Clock,
    url: String,
    socket_url: String,
    bot_token: String,
    app_token: String,
    signing_secret: String,
    workspace: Mutex<Workspace>,
    changed: Notify,
    stop: CancellationToken,
    http: reqwest::Client,
}

/// A running Slack. Stops when dropped.
pub struct Slack(Arc<State>, #[expect(dead_code, reason = "dropping it stops the simulator")] Option<DropGuard>);

impl Slack {
    /// On free ports of the loopback interface.
    ///
    /// # Errors
    /// When the operating system gives no port.
    pub async fn start(clock: Clock) -> io::Result<Self> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::start_on(free, free, clock).await
    }

    /// At these addresses: for calls, and for sockets.
    ///
    /// # Errors
    /// When the operating system does not give them.
    pub async fn start_on(listen: SocketAddr, sockets: SocketAddr, clock: Clock) -> io::Result<Self> {
        let (listener, for_sockets) = (TcpListener::bind(listen).await?, TcpListener::bind(sockets).await?);
        let token = |prefix: &str| format!("{prefix}-{}", b64u(random::<24>()).replace(['_', '-'], "0"));
        let state = Arc::new(State {
            clock,
            url: format!("http://{}", listener.local_addr()?),
            socket_url: format!("ws://{}", for_sockets.local_addr()?),
            bot_token: token("xoxb"),
            app_token: token("xapp"),
            signing_secret: b64u(random::<16>()).replace(['_', '-'], "0"),
            workspace: Mutex::default(),
            changed: Notify::new(),
            stop: CancellationToken::new(),
            http: reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?,
        });
        let router = web_api::router(Arc::clone(&state)).merge(admin::router(Arc::clone(&state)));
        tokio::spawn(plain::serve(listener, router, state.stop.clone(), TaskTracker::new()));
        tokio::spawn(socket::serve(for_sockets, Arc::clone(&state)));
        let guard = state.stop.clone().drop_guard();
        Ok(Self(state, Some(guard)))
    }

    /// Its origin.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Where the Web API is.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}/api/", self.0.url)
    }

    /// What time it goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The bot's token.
    #[must_use]
    pub fn bot_token(&self) -> &str {
        &self.0.bot_token
    }

    /// The app's token, for sockets.
    #[must_use]
    pub fn app_token(&self) -> &str {
        &self.0.app_token
    }

    /// What calls by HTTP are signed with.
    #[must_use]
    pub fn signing_secret(&self) -> &str {
        &self.0.signing_secret
    }

    /// Makes a channel, with the bot in it or without.
    pub fn channel(&self, id: &str, with_bot: bool) {
        self.0.workspace().channels.insert(id.to_owned(), with_bot);
    }

    /// Calls this origin (`http://localhost:8080`) when there is no socket.
    pub fn call_at(&self, origin: &str) {
        self.0.workspace().calls_at = Some(origin.trim_end_matches('/').to_owned());
    }

    /// Scripts what goes wrong with the next calls of a method.
    pub fn script(&self, method: &str, fault: Fault, times: u32) {
        self.0.workspace().faults.entry(method.to_owned()).or_default().script(Script::new(fault, times));
    }

    /// Nothing goes wrong with a method any more.
    pub fn mend(&self, method: &str) {
        self.0.workspace().faults.remove(method);
    }

    /// What a channel sees.
    #[must_use]
    pub fn messages(&self, channel: &str) -> Vec<Message> {
        self.0.workspace().messages.iter().filter(|message| message.channel == channel).cloned().collect()
    }

    /// What one person sees and nobody else.
    #[must_use]
    pub fn whispers(&self, user: &str) -> Vec<Whisper> {
        self.0.workspace().whispers.iter().filter(|whisper| whisper.user == user).cloned().collect()
    }

    /// The calls of a method, by what they were answered: `ok`, or Slack's word.
    #[must_use]
    pub fn calls(&self, method: &str) -> Vec<String> {
        self.0.workspace().calls.iter().filter(|(name, _)| name == method).map(|(_, answer)| answer.clone()).collect()
    }

    /// How many sockets are open, and how many ever were.
    #[must_use]
    pub fn sockets(&self) -> (usize, u64) {
        let workspace = self.0.workspace();
        (workspace.sockets.len(), workspace.opened)
    }

    /// Removes a message, as somebody may in Slack.
    pub fn remove(&self, channel: &str, ts: &str) {
        self.0.workspace().messages.retain(|message| message.channel != channel || message.ts != ts);
    }

    /// What there is to see once it is something, looking whenever something changed.
    pub async fn until<T>(&self, see: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that nothing in between is missed.
            changed.as_mut().enable();
            if let Some(seen) = see(self) {
                return seen;
            }
            changed.await;
        }
    }
}

impl State {
    fn workspace(&self) -> MutexGuard<'_, Workspace> {
        self.workspace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Workspace) -> T) -> T {
        let out = change(&mut self.workspace());
        self.changed.notify_waiters();
        out
    }

    /// A time as messages have it: no two are the same.
    fn ts(&self, workspace: &mut Workspace) -> String {
        workspace.number += 1;
        format!("{}.{:06}", self.clock.now().as_seconds(), workspace.number)
    }
}
