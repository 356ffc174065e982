//! Following the journal: once per node, for everybody who listens there.
//!
//! **Invariants**
//! - The window holds events without a gap, at most [`WINDOW`] of them and [`WINDOW_BYTES`] of text.
//! - A listener moves its cursor only past what it looked at, so that none is missed whatever it waits for, and whenever it is
//!   dropped.
//! - Listeners hold neither thread nor connection while they wait.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::audience::{Audience, Viewer, audiences};
use super::filter::Filter;
use super::store;
use crate::clock::Clock;
use crate::db::{Error, Result, Store};
use crate::hub::Hub;
use crate::identity::{Call, CallRefusal, Caller, Scope};
use crate::journal::{self, Sealed};

/// Events kept in memory, at most.
const WINDOW: usize = 1024;

/// Bytes of their JSON kept in memory, at most.
const WINDOW_BYTES: usize = 4 << 20;

/// Entries read at once.
const PAGE: u32 = 200;

/// Events given at once.
const GIVEN: usize = 100;

/// Pages that one poll looks through before it answers with what it has.
const POLLED: usize = 10;

/// Listeners that read from the database at once.
const CATCHING_UP: usize = 8;

/// How long what was sealed elsewhere, and whose wake-up was lost, may go unnoticed.
const SWEEP: Duration = Duration::from_secs(1);

/// How often it is looked up who stopped being trusted, and how long that may take. Two failures are too many: together they are
/// below five seconds.
const TRUST_EVERY: Duration = Duration::from_secs(1);

/// Revocations that are looked at again, because clocks differ and transactions take time.
const TRUST_BACK: Duration = Duration::from_secs(60);

/// A sealed entry, ready to be told.
#[derive(Debug)]
pub struct Event {
    /// Its number.
    pub seq: i64,
    /// The entry as JSON, without a line break.
    pub json: String,
    kind: String,
    subject: String,
    audience: Audience,
}

impl Event {
    fn of(entry: &Sealed, audience: Audience) -> Result<Arc<Self>> {
        let json = serde_json::to_string(entry).map_err(|error| Error::inconsistent("journal", entry.id, error))?;
        let (kind, subject) = (entry.kind.clone(), entry.subject.clone());
        Ok(Arc::new(Self { seq: entry.seq, json, kind, subject, audience }))
    }
}

/// What happened last, on this node's way through the journal.
#[derive(Default)]
struct Window {
    /// Without a gap; the last has number `last`.
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// The number of the last entry that was looked at.
    last: i64,
    /// Who stopped being trusted in the last minute, and from which of their tokens on they still are.
    ended: HashMap<Uuid, i64>,
    /// Whether it is not known who is trusted.
    blind: bool,
}

impl Window {
    /// The number before the first event.
    fn start(&self) -> i64 {
        self.events.front().map_or(self.last, |event| event.seq - 1)
    }

    fn push(&mut self, event: Arc<Event>) {
        self.last = event.seq;
        self.bytes += event.json.len();
        self.events.push_back(event);
        while self.events.len() > WINDOW || self.bytes > WINDOW_BYTES {
            let Some(first) = self.events.pop_front() else { return };
            self.bytes -= first.json.len();
        }
    }

    /// Begins anew behind number `last`.
    fn jump(&mut self, last: i64) {
        self.events.clear();
        (self.bytes, self.last) = (0, last);
    }
}

/// The journal, followed. One per node.
pub struct Listening {
    store: Store,
    clock: Clock,
    hub: Hub,
    window: RwLock<Window>,
    changed: watch::Sender<()>,
    catching_up: Semaphore,
}

/// Some events, and where to go on.
#[derive(Debug)]
pub struct Poll {
    /// In order.
    pub events: Vec<Arc<Event>>,
    /// The number of the last entry that was looked at.
    pub next: i64,
}

impl Listening {
    /// Of the journal in `store`, woken through `hub`.
    #[must_use]
    pub fn new(store: Store, clock: Clock, hub: Hub) -> Arc<Self> {
        let catching_up = Semaphore::new(CATCHING_UP);
        Arc::new(Self { store, clock, hub, window: RwLock::default(), changed: watch::Sender::default(), catching_up })
    }

    /// How many listen on this node.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.changed.receiver_count()
    }

    /// Begins to listen after number `after`; without one, from now on.
    ///
    /// # Errors
    /// When the caller may hear nothing, or on storage errors.
    pub async fn listen(self: &Arc<Self>, call: &Call, filter: Filter, after: Option<i64>) -> Result<Listener, ListenError> {
        let viewer = Viewer::of(call)?;
        let cursor = match after {
            Some(after) => after,
            None => journal::last(&self.store).await?,
        };
        let changed = self.changed.subscribe();
        self.hub.wake_here(journal::SEALED);
        Ok(Listener { listening: self.clone(), viewer, who: who(call), filter, cursor, level: false, changed })
    }

    /// Begins to listen after number `after` to everything, for whoever tells a bot of it only what concerns the bot: its rooms may hear
    /// of what others reported. It ends with the trust in the bot, as any listening.
    ///
    /// # Errors
    /// When the caller is no bot that may hear events, or on storage errors.
    pub async fn overhear(self: &Arc<Self>, call: &Call, filter: Filter, after: Option<i64>) -> Result<Listener, ListenError> {
        call.bot(Scope::EventsRead)?;
        Ok(Listener { viewer: Viewer::All, ..self.listen(call, filter, after).await? })
    }

    /// Follows the journal, and who is trusted, until stopped.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow() => {}
            () = self.watch_trust() => {}
        }
    }

    async fn follow(&self) {
        loop {
            // Before looking, so that what is sealed in between is not missed.
            let woken = self.hub.subscribe(journal::SEALED);
            if self.listeners() > 0
                && let Err(error) = self.advance().await
            {
                tracing::warn!(%error, "the journal cannot be followed");
            }
            woken.wait(SWEEP).await;
        }
    }

    /// Takes what was sealed since into the window, and wakes everybody.
    async fn advance(&self) -> Result<()> {
        let workers = self.store.for_workers();
        let (head, mut last) = (journal::last(&workers).await?, self.window().last);
        if last < head - i64::try_from(WINDOW).unwrap_or(i64::MAX) {
            // Nobody listened for a while; whoever is behind reads from the database.
            last = head;
            self.change(|window| window.jump(head));
        }
        while last < head {
            let page = page(&workers, last).await?;
            let Some(end) = page.last() else { return Ok(()) };
            last = end.seq;
            self.change(|window| page.into_iter().for_each(|event| window.push(event)));
        }
        Ok(())
    }

    /// Finds out who stopped being trusted. Not by the journal: what it says is sealed only after it holds.
    async fn watch_trust(&self) {
        let mut failures = 0;
        loop {
            tokio::time::sleep(TRUST_EVERY).await;
            // A blind node looks although nobody listens: whoever tries to is sent away until it sees.
            if self.listeners() == 0 && !self.window().blind {
                failures = 0;
                continue;
            }
            let now = self.clock.now();
            let workers = self.store.for_workers();
            let looking = workers.look(move |db| Box::pin(store::ended_since(db, now.before(TRUST_BACK), now)));
            let found = tokio::time::timeout(TRUST_EVERY, looking).await;
            match found {
                Ok(Ok(ended)) => {
                    failures = 0;
                    self.trust(ended);
                }
                _ => failures += 1,
            }
            if failures == 2 {
                tracing::warn!("listeners are sent away: it cannot be looked up who is trusted");
                self.change(|window| window.blind = true);
            }
        }
    }

    fn trust(&self, found: Vec<store::Ended>) {
        let mut ended = HashMap::new();
        for store::Ended { who, from } in found {
            let known = ended.entry(who).or_insert(from);
            *known = from.max(*known);
        }
        let same = { !self.window().blind && self.window().ended == ended };
        if !same {
            self.change(|window| (window.blind, window.ended) = (false, ended));
        }
    }

    fn window(&self) -> std::sync::RwLockReadGuard<'_, Window> {
        self.window.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Window)) {
        change(&mut self.window.write().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
    }
}

async fn page(store: &Store, after: i64) -> Result<Vec<Arc<Event>>> {
    store
        .scan(move |db| {
            Box::pin(async move {
                let entries = journal::read_in(db, after, PAGE).await?;
                let audiences = audiences(db, &entries).await?;
                entries.iter().zip(audiences).map(|(entry, audience)| Event::of(entry, audience)).collect()
            })
        })
        .await
}

/// Whose trust a listener lives by, and with which of their tokens: people have none that lasts.
fn who(call: &Call) -> Vec<(Uuid, i64)> {
    match &call.caller {
        Caller::Person(person) => vec![(person.user.id.0, 0), (person.device.id.0, 0)],
        Caller::Bot(bot) => vec![(bot.id.0, bot.token_number)],
        Caller::Operator | Caller::Anonymous => Vec::new(),
    }
}

/// Why nobody listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The caller may hear nothing.
    #[error(transparent)]
    Call(#[from] CallRefusal),
    /// Storage.
    #[error(transparent)]
    Db(#[from] Error),
}

/// Somebody who listens: a cursor, and what they may and want to hear.
pub struct Listener {
    listening: Arc<Listening>,
    viewer: Viewer,
    who: Vec<(Uuid, i64)>,
    filter: Filter,
    cursor: i64,
    /// Whether it read up to the window once.
    level: bool,
    changed: watch::Receiver<()>,
}

impl Listener {
    /// The number of the last entry that was looked at.
    #[must_use]
    pub fn cursor(&self) -> i64 {
        self.cursor
    }

    /// The next events, at least one, whenever they come; nothing once the listener is not trusted any more. May be dropped and
    /// called again.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn next(&mut self) -> Result<Option<Vec<Arc<Event>>>> {
        loop {
            self.changed.borrow_and_update();
            if !self.is_trusted() {
                return Ok(None);
            }
            let (events, more) = self.take().await?;
            if !events.is_empty() {
                return Ok(Some(events));
            }
            if !more {
                // Fails only when the house is gone, and then there is nothing to hear.
                if self.changed.changed().await.is_err() {
                    return Ok(None);
                }
            }
        }
    }

    /// What there is, after waiting for at most `at_most` while there is nothing. The time is real time: it is the client's.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn poll(&mut self, at_most: Duration) -> Result<Poll> {
        let until = tokio::time::Instant::now() + at_most;
        let mut pages = 0;
        loop {
            self.changed.borrow_and_update();
            if self.listening.window().blind {
                return Err(Error::Unavailable("it cannot be looked up who is trusted".into()));
            }
            let (events, more) = if self.is_trusted() { self.take().await? } else { (Vec::new(), false) };
            pages += 1;
            if !events.is_empty() || (more && pages >= POLLED) || !self.is_trusted() {
                return Ok(Poll { events, next: self.cursor });
            }
            if !more && !matches!(tokio::time::timeout_at(until, self.changed.changed()).await, Ok(Ok(()))) {
                return Ok(Poll { events, next: self.cursor });
            }
        }
    }

    fn is_trusted(&self) -> bool {
        let window = self.listening.window();
        let ended = |(id, token): &(Uuid, i64)| window.ended.get(id).is_some_and(|from| token < from);
        !window.blind && !self.who.iter().any(ended)
    }

    /// Some of what is there now, and whether there may be more.
    async fn take(&mut self) -> Result<(Vec<Arc<Event>>, bool)> {
        if self.level
            && let Some(taken) = self.take_from_window()
        {
            return Ok(taken);
        }
        let listening = self.listening.clone();
        let page = {
            let _permit = listening.catching_up.acquire().await.map_err(|_| Error::Unavailable("closing".into()))?;
            page(&listening.store, self.cursor).await?
        };
        let (found, end) = self.fitting(page.iter());
        let whole = page.len() < PAGE as usize && end.is_none();
        self.level = whole || self.level;
        self.cursor = end.or(page.last().map(|event| event.seq)).unwrap_or(self.cursor);
        Ok((found, !whole))
    }

    /// From memory, unless this listener is too far behind for that.
    fn take_from_window(&mut self) -> Option<(Vec<Arc<Event>>, bool)> {
        let (found, end, last) = {
            let window = self.listening.window();
            if window.last <= self.cursor {
                return Some((Vec::new(), false));
            }
            let skip = usize::try_from(self.cursor.checked_sub(window.start())?).ok()?;
            let (found, end) = self.fitting(window.events.range(skip..));
            (found, end, window.last)
        };
        self.cursor = end.unwrap_or(last);
        Some((found, end.is_some()))
    }

    /// Those that this listener hears, at most [`GIVEN`]; the number where it stopped, when it did.
    fn fitting<'a>(&self, events: impl Iterator<Item = &'a Arc<Event>>) -> (Vec<Arc<Event>>, Option<i64>) {
        let mut found = Vec::new();
        for event in events {
            if event.audience.has(self.viewer) && self.filter.takes(&event.kind, &event.subject) {
                found.push(event.clone());
                if found.len() == GIVEN {
                    return (found, Some(event.seq));
                }
            }
        }
        (found, None)
    }
}
