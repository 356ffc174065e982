//! Attempts as a queue: claim a batch, hand each to its carrier, record what became of them in a batch.
//!
//! ```text
//!   insert ──► waiting ──claim──► leased ──send──► recorded: accepted, failed, withdrawn
//!                ▲                   │                  │ again: due later
//!                └── lease runs out ─┘ ◄────────────────┘
//! ```
//!
//! An attempt is its own job: a row of `jobs` beside it would be written, claimed and deleted for nothing. Claiming takes no more than
//! can be sent at once, so what the claim looked up is what holds just before sending.
//!
//! **Invariants**
//! - `lease` is the fence: what a late worker records changes nothing.
//! - A crash between claiming and recording sends again, under the same tag.
//! - An attempt that makes no sense, or that ends its worker each time, fails by itself and holds nobody up.

mod conclusion;
pub(super) mod store;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tracing::Instrument as _;
use uuid::Uuid;

use super::circuit::{Change, Route};
use super::service::{Content, Delivery};
use super::{Channel, Lane, Registration, addresses::store as addresses, words};
use crate::clock::Timestamp;
use crate::db::{Engine, Error, Result, Store, Tx};
use crate::id::{AttemptId, DeviceId, NotificationId, UserId};
use crate::identity;
use crate::jobs::Kind;
use crate::journal::{Actor, Entry};
use crate::push::{Category, MailAddress, Message, Outcome, Sound, Target, Urgency};
use conclusion::Conclusion;
use store::{Ended, Kept, PutOff};

/// Claims that were never followed by a record, after which an attempt is given up: it ends whoever makes it.
const MAX_UNFINISHED: i64 = 25;

const LATE: &str = "its time was over before it could be sent";

/// An attempt that this worker holds the lease of, with all that sending takes.
pub struct Claimed {
    id: AttemptId,
    lease: i64,
    tries: u32,
    asked: u32,
    step: u32,
    lane: Lane,
    device: Option<DeviceId>,
    created_at: Timestamp,
    was_down: bool,
    told: Arc<Told>,
    address: Option<Address>,
    mail: Option<MailAddress>,
}

/// A notification, as far as sending it takes.
pub(super) struct Told {
    pub(super) id: NotificationId,
    pub(super) user: UserId,
    pub(super) round: i64,
    /// Why it makes no sense, when it does not.
    pub(super) content: Result<Content, String>,
    pub(super) expires_at: Timestamp,
    pub(super) withdrawn: bool,
    /// Whether the person has left.
    pub(super) left: bool,
    pub(super) replaces: Option<NotificationId>,
}

/// How a device is reached, as it is stored.
pub(super) struct Address {
    pub(super) sealed: Vec<u8>,
    pub(super) registered_at: Timestamp,
}

/// An attempt that was made, and what is still to be recorded.
pub struct Done {
    claimed: Claimed,
    made: Made,
}

/// What came of making an attempt.
struct Made {
    conclusion: Conclusion,
    /// Whether its carrier was asked.
    asked: bool,
    /// Whether it may have come though nobody said so.
    unsure: bool,
    /// What that did to its route.
    change: Option<Change>,
}

impl Made {
    /// Its carrier was not asked.
    fn unasked(conclusion: Conclusion) -> Self {
        Self { conclusion, asked: false, unsure: false, change: None }
    }

    fn failed(why: impl Into<String>) -> Self {
        Self::unasked(Conclusion::Failed(why.into()))
    }
}

impl Delivery {
    /// When something is due in a lane.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn next_due(&self, lane: Lane) -> Result<Option<Timestamp>> {
        self.store_of(lane).look(move |db| Box::pin(store::next_due(db, lane))).await
    }

    /// By which connections a lane works: what else there is to do never takes all of those of an urgent one.
    fn store_of(&self, lane: Lane) -> Store {
        if lane.urgent { self.store.for_urgent_work() } else { self.store.for_workers() }
    }

    /// When something is due in any lane.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn next_due_of_all(&self) -> Result<Option<Timestamp>> {
        self.store
            .for_workers()
            .read(|db| {
                Box::pin(async move {
                    let mut next = None;
                    for lane in Lane::ALL {
                        let due = store::next_due(db, lane).await?;
                        next = next.into_iter().chain(due).min();
                    }
                    Ok(next)
                })
            })
            .await
    }

    /// Takes the lease of at most `limit` attempts of a lane that are due. They are to be sent at once: what was looked up here is looked
    /// at no more.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn claim(&self, lane: Lane, limit: u32) -> Result<Vec<Claimed>> {
        let now = self.clock.now();
        let lease_ends = now.after(self.queue.lease());
        let claimed: Result<Vec<Claimed>> = self
            .store_of(lane)
            .write(move |tx| {
                Box::pin(async move {
                    let leases = store::claim(tx, lane, (now, lease_ends), limit).await?;
                    if leases.is_empty() { Ok(Vec::new()) } else { load(tx, lane, leases).await }
                })
            })
            .await;
        let claimed = claimed?;
        if !claimed.is_empty() {
            crate::crash_point!("push-found");
        }
        Ok(claimed)
    }

    /// Hands an attempt to its carrier. Nothing is written.
    pub async fn send(&self, claimed: Claimed) -> Done {
        let span = tracing::debug_span!("push", attempt = %claimed.id, notification = %claimed.told.id,
            carrier = claimed.lane.channel.as_str(), urgency = claimed.lane.urgency(), step = claimed.step);
        let mut made = self.try_once(&claimed).instrument(span).await;
        // Somebody claimed it before and never said what came of that.
        made.unsure |= claimed.lease - i64::from(claimed.tries) > 1;
        Done { claimed, made }
    }

    async fn try_once(&self, claimed: &Claimed) -> Made {
        let (now, told) = (self.clock.now(), &claimed.told);
        let failed = |why: &str| Made::failed(why);
        if told.withdrawn {
            return Made::unasked(Conclusion::Withdrawn);
        }
        if told.left {
            return failed("the person has left");
        }
        if now >= told.expires_at {
            return failed(LATE);
        }
        if claimed.lease - i64::from(claimed.tries) > MAX_UNFINISHED {
            tracing::error!(attempt = %claimed.id, "an attempt is given up: whoever made it ended each time");
            return failed("whoever made it ended each time");
        }
        let content = match &told.content {
            Ok(content) => content,
            Err(error) => {
                tracing::error!(notification = %told.id, error, "a notification makes no sense");
                return failed("its notification makes no sense");
            }
        };
        let target = match self.target(claimed) {
            Ok(target) => target,
            Err(why) => return failed(&why),
        };
        match self.message(claimed, content, &target) {
            Ok(message) => self.hand_over(claimed, &message, &target).await,
            Err(error) => failed(&error.to_string()),
        }
    }

    async fn hand_over(&self, claimed: &Claimed, message: &Message, target: &Target) -> Made {
        let channel = claimed.lane.channel;
        let Some(carrier) = self.carriers.by(channel) else {
            return Made::failed(format!("[{}] is not configured any more", channel.as_str()));
        };
        let route = Route::of(channel, target);
        let now = self.clock.now();
        let ticket = match self.circuits.admit(&route, now) {
            Ok(ticket) => ticket,
            Err(until) => return Made::unasked(Conclusion::down(until, claimed, now, &route)),
        };
        crate::crash_point!("push-built");
        // A carrier that breaks its word about its own time limit must not outlive the lease.
        let limit = self.queue.lease() * 3 / 4;
        let sent = tokio::time::timeout(limit, carrier.send(message, target, self.clock.now())).await;
        let outcome = sent.unwrap_or_else(|_| Outcome::Retryable("the carrier did not answer at all".into()));
        crate::crash_point!("push-sent");
        let (now, word) = (self.clock.now(), conclusion::word(&outcome));
        metrics::counter!("phoneops_push_total", "carrier" => carrier.name(), "outcome" => word).increment(1);
        tracing::debug!(tries = claimed.tries, outcome = word, "handed over");
        let whose = claimed.device.map_or(claimed.told.user.0, |device| device.0);
        let change = self.circuits.note(&route, ticket, whose, &outcome, now);
        // A time-out, a connection that was lost: the provider may have it. Everything else is an answer.
        let unsure = matches!(outcome, Outcome::Retryable(_));
        Made { conclusion: Conclusion::of(outcome, claimed, now), asked: true, unsure, change }
    }

    /// Where an attempt goes, or why nowhere.
    fn target(&self, claimed: &Claimed) -> Result<Target, String> {
        let Some(device) = claimed.device else {
            return claimed.mail.clone().map(Target::Mail).ok_or_else(|| "the person has no e-mail address any more".into());
        };
        let address = claimed.address.as_ref().ok_or("the device has no push registration")?;
        let read = self.registration(device, &address.sealed);
        read.map(Registration::target).map_err(|_| "its push registration cannot be read".into())
    }

    fn message(&self, claimed: &Claimed, content: &Content, target: &Target) -> Result<Message> {
        let told = &claimed.told;
        let navigate = self.issuer.join(&content.path).map_err(|error| Error::inconsistent("notifications", told.id, error))?;
        let (title, body, doorbell) = words::shown(content, self.privacy, target.is_read_by_provider());
        let receipt = self.capabilities.of(claimed.id);
        let sound = match content.category {
            Category::Answered | Category::Outcome => Sound::Silent,
            _ if claimed.step > 0 => Sound::Alarm,
            _ => Sound::Normal,
        };
        Ok(Message {
            title,
            body,
            navigate,
            tag: told.replaces.unwrap_or(told.id).to_string(),
            urgency: if content.high { Urgency::High } else { Urgency::Normal },
            expires_at: told.expires_at,
            sound,
            thread: content.subject.clone(),
            category: content.category,
            data: words::data(content, told.id, told.round, &receipt, doorbell),
        })
    }

    /// Records what became of attempts, in one transaction. What a late worker learned changes nothing.
    ///
    /// # Errors
    /// Storage errors; the leases run out then and everything is sent again.
    pub async fn record(&self, done: Arc<[Done]>) -> Result<()> {
        let (now, delivery) = (self.clock.now(), self.clone());
        let Some(lane) = done.first().map(|done| done.claimed.lane) else { return Ok(()) };
        self.store_of(lane)
            .write(move |tx| {
                Box::pin(async move {
                    delivery.write_down(tx, &done, now).await?;
                    crate::crash_point!("push-recorded");
                    let signals = delivery.signals.clone();
                    tx.after_commit(move || {
                        for done in done.iter() {
                            count(done, now);
                        }
                        // A lane that sleeps until something later is told of what was put off.
                        done.iter().filter(|done| done.put_off().is_some()).for_each(|done| signals.wake(done.claimed.lane));
                    });
                    Ok(())
                })
            })
            .await
    }

    async fn write_down(&self, tx: &mut Tx<'_>, done: &[Done], now: Timestamp) -> Result<()> {
        if self.store.engine() == Engine::Pg {
            store::lock(tx, &done.iter().map(|done| done.claimed.id.0).collect::<Vec<_>>()).await?;
        }
        let ended: Vec<_> = done.iter().filter_map(Done::ended).collect();
        let held: BTreeSet<_> =
            if ended.is_empty() { BTreeSet::new() } else { store::end(tx, &ended, now).await?.into_iter().collect() };
        let put_off: Vec<_> = done.iter().filter_map(Done::put_off).collect();
        if !put_off.is_empty() {
            store::put_off(tx, &put_off, now).await?;
        }
        let (mut next, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for done in done {
            if let Some(change) = &done.made.change {
                self.record_change(tx, change, now).await?;
            }
            match &done.made.conclusion {
                Conclusion::Failed(why) | Conclusion::Gone { why, .. } if held.contains(&done.claimed.id) => {
                    let (data, subject) = (json!({"why": why}), done.claimed.id.to_string());
                    self.journal.append(tx, now, Entry { kind: "push.failed", actor: Actor::System, subject, data }).await?;
                    if let Conclusion::Gone { device, tried, .. } = &done.made.conclusion {
                        gone.insert((*device, *tried));
                    }
                    next.extend(done.rings());
                }
                Conclusion::Again { down: true, .. } if !done.claimed.was_down => next.extend(done.rings()),
                _ => {}
            }
        }
        for (device, tried) in gone {
            addresses::retire(tx, device, tried, now).await?;
        }
        // Each under its own lock, in a transaction of its own: two workers may be failing the same person.
        for notification in next {
            self.queue.enqueue(tx, Kind::FailOver, notification.0, now).await?;
        }
        Ok(())
    }

    async fn record_change(&self, tx: &mut Tx<'_>, change: &Change, now: Timestamp) -> Result<()> {
        let name = change.route.name();
        let (kind, data) = match &change.opened {
            Some(why) => ("route.opened", json!({"why": why})),
            None => ("route.closed", json!({})),
        };
        if let Some(why) = &change.opened {
            tracing::error!(route = name, why, "a route to phones is down");
        } else {
            tracing::info!(route = name, "a route to phones works again");
        }
        self.journal.append(tx, now, Entry { kind, actor: Actor::System, subject: name, data }).await
    }
}

async fn load(tx: &mut Tx<'_>, lane: Lane, leases: Vec<store::Leased>) -> Result<Vec<Claimed>> {
    let ids: Vec<Uuid> = leases.iter().map(|leased| leased.id.0).collect();
    let loaded = store::load(tx.db(), &ids).await?;
    let notifications: BTreeSet<Uuid> = loaded.iter().map(|loaded| loaded.notification.0).collect();
    let notifications: Vec<_> = notifications.into_iter().collect();
    let told = store::told(tx.db(), &notifications).await?;
    let told: HashMap<_, _> = told.into_iter().map(|told| (told.id, Arc::new(told))).collect();
    let leases: HashMap<_, _> = leases.into_iter().map(|leased| (leased.id, leased)).collect();
    let mut claimed = Vec::with_capacity(loaded.len());
    for attempt in loaded {
        let (Some(told), Some(leased)) = (told.get(&attempt.notification), leases.get(&attempt.id)) else { continue };
        let mail = match lane.channel {
            Channel::Mail => identity::mail_address(tx.db(), told.user).await?,
            Channel::Apns | Channel::Fcm | Channel::WebPush => None,
        };
        claimed.push(Claimed {
            id: attempt.id,
            lease: leased.lease,
            tries: leased.tries,
            asked: leased.asked,
            step: attempt.step,
            lane,
            device: attempt.device,
            created_at: attempt.created_at,
            was_down: attempt.was_down,
            told: told.clone(),
            address: attempt.address,
            mail,
        });
    }
    Ok(claimed)
}

impl Done {
    fn ended(&self) -> Option<Ended> {
        let (state, detail) = match &self.made.conclusion {
            Conclusion::Accepted(id) => ("accepted", id.clone()),
            Conclusion::Withdrawn => ("withdrawn", None),
            Conclusion::Failed(why) | Conclusion::Gone { why, .. } => ("failed", Some(why.clone())),
            Conclusion::Again { .. } => return None,
        };
        Some(Ended { id: self.claimed.id, lease: self.claimed.lease, state, detail, made: self.tried() })
    }

    /// What is kept of every try.
    fn tried(&self) -> Kept {
        let registered_at = self.claimed.address.as_ref().map(|address| address.registered_at);
        Kept { registered_at, unsure: self.made.unsure }
    }

    fn put_off(&self) -> Option<PutOff> {
        let Conclusion::Again { due_at, why, down } = &self.made.conclusion else { return None };
        let Claimed { id, lease, tries, asked, .. } = self.claimed;
        // So that only what was never recorded counts as unfinished.
        let tries = u32::try_from(lease).unwrap_or(tries);
        let asked = asked + u32::from(self.made.asked);
        Some(PutOff { id, lease, tries, asked, due_at: *due_at, why: why.clone(), down: *down, made: self.tried() })
    }

    /// Its notification, when it is one that rings until it is heard.
    fn rings(&self) -> Option<NotificationId> {
        let content = self.claimed.told.content.as_ref();
        // What makes no sense cannot say that it does not ring.
        let rings = content.map_or(self.claimed.lane.urgent, Content::rings);
        (rings && self.claimed.told.replaces.is_none()).then_some(self.claimed.told.id)
    }
}

fn count(done: &Done, now: Timestamp) {
    let (carrier, urgency) = (done.claimed.lane.channel.as_str(), done.claimed.lane.urgency());
    match done.made.conclusion {
        Conclusion::Accepted(_) => timed("accepted", carrier, urgency, done.claimed.created_at.until(now)),
        Conclusion::Failed(_) | Conclusion::Gone { .. } => {
            metrics::counter!("phoneops_push_failed_total", "carrier" => carrier, "urgency" => urgency).increment(1);
        }
        Conclusion::Withdrawn | Conclusion::Again { .. } => {}
    }
}

/// Counts how far an attempt came, and how long that took.
pub(super) fn timed(stage: &'static str, carrier: &str, urgency: &str, took: Duration) {
    let (carrier, urgency) = (carrier.to_owned(), urgency.to_owned());
    metrics::histogram!("phoneops_push_seconds", "stage" => stage, "carrier" => carrier, "urgency" => urgency)
        .record(took.as_secs_f64());
}
