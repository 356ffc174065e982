//! Telling people, and performing the attempts.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;
use uuid::Uuid;

use super::registration::{Carriers, Registration};
use super::store::{self, Address, Due};
use crate::clock::{Clock, Timestamp};
use crate::db::{Error, Result, Store, Tx};
use crate::id::{AttemptId, DeviceId, NotificationId, UserId};
use crate::identity::{Call, Failure, Refusal};
use crate::jobs::{self, Job, Kind, Queue};
use crate::journal::{Actor, Entry, Journal};
use crate::push::{Category, Message, Outcome, Sound, Urgency};
use crate::secret::{MasterKey, random};

/// The longest pause between two tries of one attempt.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// How long a route that does not accept us is left alone.
const MISCONFIGURED_PAUSE: Duration = Duration::from_secs(30);

/// Tells people. Cheap to clone.
#[derive(Clone)]
pub struct Delivery {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// The record.
    pub journal: Journal,
    /// Work for later.
    pub queue: Queue,
    /// What seals how phones are reached.
    pub master: MasterKey,
    /// The ways out of the house.
    pub carriers: Carriers,
    /// The installation's address, below which a tap opens something.
    pub issuer: Url,
}

/// One person to be told about one subject.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Who.
    pub user: UserId,
    /// What about: an approval, an incident, a device.
    pub subject: Uuid,
    /// Which ring, from 1.
    pub round: u32,
    /// What to show.
    pub content: Content,
    /// After this it is of no use.
    pub expires_at: Timestamp,
    /// The earlier notification whose place on the screen this one takes.
    pub replaces: Option<NotificationId>,
}

/// What a phone is to show, as it is stored until it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// What it is about.
    pub category: Category,
    /// Whether it wakes people.
    pub high: bool,
    /// The words.
    pub words: Words,
    /// What a tap opens, below the issuer: `/i/PIHXOC6`.
    pub path: String,
    /// The subject's id as text.
    pub subject: String,
    /// The incident's reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A title and a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// The first line.
    pub title: String,
    /// The text below it.
    pub body: String,
}

impl Delivery {
    /// Remembers how the caller's device is reached, in place of what was known before.
    ///
    /// # Errors
    /// When the caller is not that device.
    pub async fn register(&self, call: &Call, device: DeviceId, registration: &Registration) -> Result<(), Failure<Refusal>> {
        if call.person()?.device.id != device {
            return Err(Refusal::NotFound(device.to_string()).into());
        }
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        let kind = registration.kind();
        let plain = serde_json::to_vec(registration).map_err(|error| Error::Failed(error.to_string()))?;
        let sealed = self.master.seal(&place(device), &plain);
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                store::register(tx, device, &sealed, now).await?;
                let entry =
                    Entry { kind: "device.push_registered", actor, subject: device.to_string(), data: json!({"kind": kind}) };
                journal.append(tx, now, entry).await?;
                crate::crash_point!("registration-written");
                Ok(())
            })
        })
        .await
    }

    /// Tells a person on every device of theirs that can be reached; on how many that is tried.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn notify(&self, tx: &mut Tx<'_>, notice: Notice, now: Timestamp) -> Result<usize> {
        let devices = store::reachable(tx.db(), notice.user).await?;
        self.notify_on(tx, notice, &devices, now).await?;
        Ok(devices.len())
    }

    /// Rings the caller's own devices, to see that it arrives; on how many that is tried.
    ///
    /// # Errors
    /// When the caller is not a person.
    pub async fn test(&self, call: &Call) -> Result<usize, Failure<Refusal>> {
        let user = call.person()?.user.clone();
        let (now, delivery) = (self.clock.now(), self.clone());
        let words = Words { title: "Test page".into(), body: format!("{}, your phone rings.", user.name.as_str()) };
        let content = Content {
            category: Category::Test,
            high: true,
            words,
            path: "/".into(),
            subject: user.id.to_string(),
            reference: None,
        };
        let notice =
            Notice { user: user.id, subject: user.id.0, round: 1, content, expires_at: now.after(TEST_LIFE), replaces: None };
        call.write(&self.store, now, move |tx| Box::pin(async move { Ok(delivery.notify(tx, notice, now).await?) })).await
    }

    pub(super) async fn notify_on(&self, tx: &mut Tx<'_>, notice: Notice, devices: &[DeviceId], now: Timestamp) -> Result<()> {
        if devices.is_empty() {
            return Ok(());
        }
        let id = NotificationId::new(now);
        store::insert_notification(tx, id, &notice, now).await?;
        for device in devices {
            let attempt = AttemptId::new(now);
            store::insert_attempt(tx, attempt, id, *device, now).await?;
            self.queue.enqueue(tx, Kind::Push, attempt.0, now).await?;
        }
        Ok(())
    }

    /// Takes a subject off the phones: nothing more is sent about it, and where it may be on a screen it is replaced, quietly, by
    /// `content`. `answered_on` is the device that needs no telling.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn withdraw(
        &self,
        tx: &mut Tx<'_>,
        subject: Uuid,
        answered_on: Option<DeviceId>,
        content: &Content,
        now: Timestamp,
    ) -> Result<()> {
        store::withdraw(tx, subject, now).await?;
        for shown in store::shown(tx.db(), subject).await? {
            if Some(shown.device) == answered_on {
                continue;
            }
            let notice = Notice {
                user: shown.user,
                subject,
                round: shown.round,
                content: content.clone(),
                expires_at: now.after(ANSWERED_LIFE),
                replaces: Some(shown.notification),
            };
            self.notify_on(tx, notice, &[shown.device], now).await?;
        }
        Ok(())
    }

    /// Performs one attempt. What it learns is stored with the job's completion, in one transaction.
    ///
    /// # Errors
    /// Storage errors; the job's lease runs out then and it is tried again.
    pub async fn perform(&self, job: &Job) -> Result<()> {
        let attempt = AttemptId(job.subject);
        let due: Option<Due> = self.store.for_workers().look(move |db| Box::pin(store::find_due(db, attempt))).await?;
        crate::crash_point!("push-found");
        let now = self.clock.now();
        let conclusion = match due {
            None => Conclusion::Settled,
            Some(due) if due.withdrawn => Conclusion::Withdrawn,
            Some(due) if now >= due.expires_at => Conclusion::Failed("its time was over before it could be sent".into()),
            Some(due) => match &due.address {
                None => Conclusion::Failed("the device has no push registration".into()),
                Some(address) => self.send(job, &due, address, now).await?,
            },
        };
        self.conclude(job.clone(), attempt, conclusion).await
    }

    async fn send(&self, job: &Job, due: &Due, address: &Address, now: Timestamp) -> Result<Conclusion> {
        let inconsistent = |what: String| Error::inconsistent("push_registrations", due.device, what);
        let plain = self.master.open(&place(due.device), &address.sealed).map_err(|error| inconsistent(error.to_string()))?;
        let registration: Registration = serde_json::from_slice(&plain).map_err(|error| inconsistent(error.to_string()))?;
        let Some(carrier) = self.carriers.of(&registration) else {
            return Ok(Conclusion::Failed(format!("[{}] is not configured any more", registration.kind())));
        };
        let message = self.message(due)?;
        crate::crash_point!("push-built");
        let outcome = carrier.send(&message, &registration.target(), now).await;
        crate::crash_point!("push-sent");
        metrics::counter!("phoneops_push_total", "carrier" => carrier.name(), "outcome" => word(&outcome)).increment(1);
        tracing::debug!(attempt = %AttemptId(job.subject), tries = job.tries, outcome = word(&outcome), "push");
        Ok(Conclusion::of(outcome, due, address, job.tries, now))
    }

    fn message(&self, due: &Due) -> Result<Message> {
        let Content { category, high, words, path, subject, reference } = due.content.clone();
        let navigate = self.issuer.join(&path).map_err(|error| Error::inconsistent("notifications", due.notification, error))?;
        let data = json!({"subject": &subject, "ref": reference, "notification": due.notification, "round": due.round});
        Ok(Message {
            title: words.title,
            body: words.body,
            navigate,
            tag: due.replaces.unwrap_or(due.notification).to_string(),
            urgency: if high { Urgency::High } else { Urgency::Normal },
            expires_at: due.expires_at,
            sound: if matches!(category, Category::Answered | Category::Outcome) { Sound::Silent } else { Sound::Normal },
            thread: subject.clone(),
            category,
            data: data.as_object().cloned().unwrap_or_default(),
        })
    }

    async fn conclude(&self, job: Job, attempt: AttemptId, conclusion: Conclusion) -> Result<()> {
        let now = self.clock.now();
        let (journal, queue) = (self.journal.clone(), self.queue.clone());
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    let (state, detail) = match &conclusion {
                        Conclusion::Again(at, why) => {
                            queue.retry(tx, &job, *at, why).await?;
                            return Ok::<_, Error>(());
                        }
                        Conclusion::Settled => (None, None),
                        Conclusion::Accepted(id) => (Some("accepted"), id.clone()),
                        Conclusion::Withdrawn => (Some("withdrawn"), None),
                        Conclusion::Failed(why) | Conclusion::Gone { why, .. } => (Some("failed"), Some(why.clone())),
                    };
                    if !jobs::complete(tx, &job).await? {
                        return Ok(());
                    }
                    let Some(state) = state else { return Ok(()) };
                    store::finish_attempt(tx, attempt, state, detail.as_deref(), now).await?;
                    if let Conclusion::Gone { device, tried, .. } = conclusion {
                        store::retire(tx, device, &tried, now).await?;
                    }
                    if state == "failed" {
                        let data = json!({"why": detail});
                        let entry = Entry { kind: "push.failed", actor: Actor::System, subject: attempt.to_string(), data };
                        journal.append(tx, now, entry).await?;
                    }
                    crate::crash_point!("push-recorded");
                    Ok(())
                })
            })
            .await
    }
}

/// "Answered by ys" is news for an hour.
const ANSWERED_LIFE: Duration = Duration::from_secs(3600);

/// A test that comes later than this tells nothing good.
const TEST_LIFE: Duration = Duration::from_secs(120);

/// What a try means for its attempt.
enum Conclusion {
    /// The attempt was finished before.
    Settled,
    /// The provider took it.
    Accepted(Option<String>),
    /// Answered before it was sent.
    Withdrawn,
    /// It will not work.
    Failed(String),
    /// The target is dead: the registration that was tried is of no more use.
    Gone { device: DeviceId, tried: Vec<u8>, why: String },
    /// Try again then.
    Again(Timestamp, String),
}

impl Conclusion {
    fn of(outcome: Outcome, due: &Due, address: &Address, tries: u32, now: Timestamp) -> Self {
        let again = |pause: Duration, why: String| {
            let at = now.after(pause);
            if at < due.expires_at { Self::Again(at, why) } else { Self::Failed(why) }
        };
        match outcome {
            Outcome::Accepted { id } => Self::Accepted(id),
            // What the provider found dead before it was registered here may live again.
            Outcome::Gone { since: Some(since) } if since < address.registered_at => {
                Self::Failed("the push service says that the registration was gone before it was made".into())
            }
            Outcome::Gone { .. } => Self::Gone {
                device: due.device,
                tried: address.sealed.clone(),
                why: "the push service says the registration is gone".into(),
            },
            Outcome::RetryAfter(pause) => again(pause, "the push service asked to wait".into()),
            Outcome::Retryable(why) => again(pause(tries), why),
            Outcome::Misconfigured(why) => {
                tracing::error!(why, "the push service does not accept us");
                again(MISCONFIGURED_PAUSE, why)
            }
            Outcome::Refused(why) => {
                tracing::error!(why, attempt_of = %due.device, "a push was refused for good");
                Self::Failed(why)
            }
            Outcome::Expired => Self::Failed("its time was over before it could be sent".into()),
        }
    }
}

/// Half a second, doubling, with up to as much again at random so that retries do not march in step.
fn pause(tries: u32) -> Duration {
    let base = Duration::from_millis(500).saturating_mul(1 << tries.saturating_sub(1).min(6));
    let [chance] = random::<1>();
    (base + base * u32::from(chance) / 255).min(MAX_PAUSE)
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Gone { .. } => "gone",
        Outcome::RetryAfter(_) => "retry_after",
        Outcome::Retryable(_) => "retryable",
        Outcome::Refused(_) => "refused",
        Outcome::Misconfigured(_) => "misconfigured",
        Outcome::Expired => "expired",
    }
}

fn place(device: DeviceId) -> String {
    format!("push_registrations/{device}")
}
