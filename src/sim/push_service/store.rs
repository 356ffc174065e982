//! What the push service remembers: subscriptions, their undelivered messages and scripted faults, and the journal.
//!
//! **Invariants**
//! - A message stays until the phone asks for what comes after it, until its TTL has passed, or until a push with its topic
//!   replaces it before any phone saw it.
//! - Numbers of a subscription's messages only grow.
//! - No secret is in the journal: neither the endpoint's nor the VAPID token.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;

use super::browser::Browser;
use super::check::{Delivery, Vapid};
use super::decrypt::Receiver;
use super::fault::Fault;
use crate::clock::{Clock, Timestamp};
use crate::secret::{b64u, random};
use crate::sim::journal::Journal;
use crate::sim::script::{Faults, Script};

/// The journal keeps the newest so many pushes; its numbers show when older ones are gone.
const JOURNAL_LIMIT: usize = 10_000;

/// No such subscription, or one that its phone gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSubscription {
    /// There never was one.
    #[error("there is no such subscription")]
    Unknown,
    /// The phone unsubscribed.
    #[error("the phone has unsubscribed")]
    Gone,
}

/// One push that arrived, whatever became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// 1, 2, 3 … since the service started.
    pub number: u64,
    /// When it was answered.
    pub at: Timestamp,
    /// Whose it was; absent when the endpoint is unknown.
    pub subscription: Option<String>,
    /// The status answered; absent when a fault left the push without an answer.
    pub status: Option<u16>,
    /// Why it was refused.
    pub reason: Option<String>,
    /// The scripted fault that it met.
    pub fault: Option<Fault>,
    /// Its headers, without `Authorization`.
    pub headers: BTreeMap<String, String>,
    /// The claims of its `Authorization`, when they were in order.
    pub vapid: Option<Vapid>,
    /// The size of its encrypted body in bytes.
    pub bytes: usize,
    /// The title of the decrypted notification.
    pub title: Option<String>,
}

/// A message on its way to the phone.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Message {
    pub(super) number: u64,
    pub(super) at: Timestamp,
    #[serde(flatten)]
    pub(super) delivery: Delivery,
    pub(super) payload: Value,
    #[serde(skip)]
    pub(super) id: String,
    #[serde(skip)]
    seen: bool,
    #[serde(skip)]
    expires_at: Option<Timestamp>,
}

/// A phone's subscription.
pub(super) struct Subscription {
    pub(super) receiver: Arc<Receiver>,
    pub(super) application_server_key: [u8; 65],
    gone: bool,
    faults: Faults<Fault>,
    /// Where the simulator is the phone too.
    browser: Option<Browser>,
    messages: VecDeque<Message>,
    last_number: u64,
    arrived: Arc<Notify>,
    waiting: Arc<AtomicUsize>,
}

struct State {
    subscriptions: HashMap<String, Subscription>,
    /// Endpoint secret to subscription.
    endpoints: HashMap<String, String>,
    journal: Journal<Entry>,
}

pub(super) struct Store {
    pub(super) clock: Clock,
    state: Mutex<State>,
}

/// Counts a phone that waits, for as long as it does.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Store {
    pub(super) fn new(clock: Clock) -> Self {
        let state = State { subscriptions: HashMap::new(), endpoints: HashMap::new(), journal: Journal::new(JOURNAL_LIMIT) };
        Self { clock, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while holding it")
    }

    /// A new subscription: its id and the secret of its endpoint.
    pub(super) fn subscribe(&self, receiver: Receiver, key: [u8; 65], browser: Option<Browser>) -> (String, String) {
        let id = b64u(random::<16>());
        let secret = b64u(random::<20>());
        let subscription = Subscription {
            receiver: Arc::new(receiver),
            application_server_key: key,
            gone: false,
            faults: Faults::default(),
            browser,
            messages: VecDeque::new(),
            last_number: 0,
            arrived: Arc::default(),
            waiting: Arc::default(),
        };
        let mut state = self.state();
        state.subscriptions.insert(id.clone(), subscription);
        state.endpoints.insert(secret.clone(), id.clone());
        (id, secret)
    }

    /// Gives a subscription up. Its pushes are answered 410 from now on.
    pub(super) fn unsubscribe(&self, id: &str) -> Result<(), NoSubscription> {
        self.with(id, |subscription| {
            subscription.gone = true;
            subscription.messages.clear();
            subscription.arrived.notify_waiters();
        })
    }

    pub(super) fn script(&self, id: &str, script: Script<Fault>) -> Result<(), NoSubscription> {
        self.with(id, |subscription| subscription.faults.script(script))
    }

    pub(super) fn clear_faults(&self, id: &str) -> Result<(), NoSubscription> {
        self.with(id, |subscription| subscription.faults.clear())
    }

    /// The fault for the push that is being answered.
    pub(super) fn next_fault(&self, id: &str) -> Result<Option<Fault>, NoSubscription> {
        self.with(id, |subscription| subscription.faults.next())
    }

    /// The subscription behind an endpoint, with what it takes to check and open its pushes.
    pub(super) fn at_endpoint(&self, secret: &str) -> Option<(String, Arc<Receiver>, [u8; 65])> {
        let state = self.state();
        let id = state.endpoints.get(secret)?;
        let known = state.subscriptions.get(id)?;
        Some((id.clone(), Arc::clone(&known.receiver), known.application_server_key))
    }

    /// Whether the subscription still takes pushes.
    pub(super) fn check(&self, id: &str) -> Result<(), NoSubscription> {
        self.with(id, |_| ())
    }

    fn with<T>(&self, id: &str, act: impl FnOnce(&mut Subscription) -> T) -> Result<T, NoSubscription> {
        let mut state = self.state();
        match state.subscriptions.get_mut(id) {
            None => Err(NoSubscription::Unknown),
            Some(subscription) if subscription.gone => Err(NoSubscription::Gone),
            Some(subscription) => Ok(act(subscription)),
        }
    }

    /// Takes a message into custody `copies` times and gives its id.
    pub(super) fn accept(&self, id: &str, delivery: &Delivery, payload: &Value, copies: u32) -> Result<String, NoSubscription> {
        let now = self.clock.now();
        let message_id = b64u(random::<16>());
        self.with(id, |subscription| {
            subscription.replace(delivery.topic.as_deref());
            for _ in 0..copies {
                subscription.queue(now, &message_id, delivery, payload);
            }
            subscription.arrived.notify_waiters();
            subscription.read(now);
        })?;
        Ok(message_id)
    }

    /// Does something with a browser that the simulator is.
    pub(super) fn browser<T>(&self, id: &str, act: impl FnOnce(&mut Browser) -> T) -> Result<T, NoSubscription> {
        let now = self.clock.now();
        self.with(id, |subscription| {
            let done = subscription.browser.as_mut().map(act);
            subscription.read(now);
            done
        })?
        .ok_or(NoSubscription::Unknown)
    }

    /// Takes back a message that no phone has seen (RFC 8030, section 6: `DELETE` of its resource).
    pub(super) fn withdraw(&self, message_id: &str) -> bool {
        let mut state = self.state();
        let mut withdrawn = false;
        for subscription in state.subscriptions.values_mut() {
            subscription.messages.retain(|message| {
                let meant = !message.seen && message.id == message_id;
                withdrawn |= meant;
                !meant
            });
        }
        withdrawn
    }

    /// The messages after number `after`, as soon as there is one; empty when `wait` has passed.
    pub(super) async fn messages(&self, id: &str, after: u64, wait: Duration) -> Result<Vec<Message>, NoSubscription> {
        let (arrived, _waiting) = self.with(id, |subscription| {
            subscription.waiting.fetch_add(1, Ordering::SeqCst);
            (Arc::clone(&subscription.arrived), Waiting(Arc::clone(&subscription.waiting)))
        })?;
        let timeout = tokio::time::sleep(wait);
        tokio::pin!(timeout);
        loop {
            let notified = arrived.notified();
            tokio::pin!(notified);
            // Registered before the look, so that a message in between is not missed.
            notified.as_mut().enable();
            let now = self.clock.now();
            let messages = self.with(id, |subscription| subscription.hand_over(after, now))?;
            if !messages.is_empty() {
                return Ok(messages);
            }
            tokio::select! {
                () = notified => {}
                () = &mut timeout => return Ok(Vec::new()),
            }
        }
    }

    /// How many messages wait for the phone to fetch them.
    pub(super) fn undelivered(&self, id: &str) -> Result<usize, NoSubscription> {
        let now = self.clock.now();
        self.with(id, |subscription| {
            subscription.expire(now);
            let unseen = subscription.messages.iter();
            unseen.filter(|message| !message.seen).count()
        })
    }

    /// Appends to the journal, which gives the entry its number and time.
    pub(super) fn note(&self, entry: Entry) {
        let at = self.clock.now();
        self.state().journal.note(|number| Entry { number, at, ..entry });
    }

    pub(super) fn journal(&self) -> Vec<Entry> {
        self.state().journal.entries()
    }
}

impl Subscription {
    fn replace(&mut self, topic: Option<&str>) {
        if topic.is_some() {
            self.messages.retain(|message| message.seen || message.delivery.topic.as_deref() != topic);
        }
    }

    /// With a TTL of 0 only a phone that is waiting right now gets the message (RFC 8030, section 5.2).
    fn queue(&mut self, now: Timestamp, id: &str, delivery: &Delivery, payload: &Value) {
        let at_once = delivery.ttl == 0;
        let listens = self.waiting.load(Ordering::SeqCst) > 0 || self.browser.as_ref().is_some_and(Browser::is_there);
        if at_once && !listens {
            return;
        }
        self.last_number += 1;
        self.messages.push_back(Message {
            number: self.last_number,
            at: now,
            delivery: delivery.clone(),
            payload: payload.clone(),
            id: id.to_owned(),
            seen: false,
            expires_at: (!at_once).then(|| now.after(Duration::from_secs(delivery.ttl))),
        });
    }

    fn expire(&mut self, now: Timestamp) {
        self.messages.retain(|message| message.seen || message.expires_at.is_none_or(|end| now < end));
    }

    fn hand_over(&mut self, after: u64, now: Timestamp) -> Vec<Message> {
        self.messages.retain(|message| message.number > after);
        self.expire(now);
        for message in &mut self.messages {
            message.seen = true;
        }
        self.messages.iter().cloned().collect()
    }

    /// Hands what has come to a browser that is there.
    fn read(&mut self, now: Timestamp) {
        let Some(mut browser) = self.browser.take() else {
            return;
        };
        if browser.is_there() {
            for message in self.hand_over(browser.last_read(), now) {
                browser.show(&message, now);
            }
        }
        self.browser = Some(browser);
    }
}
