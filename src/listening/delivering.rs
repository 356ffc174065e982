//! Events on their way to webhooks.
//!
//! ```text
//!   sealed ──► stir: a job for each webhook that is behind ──► deliver: the next event that fits
//!                                                               │ 2xx: the cursor moves on, and again
//!                                                               │ else: the same event later, longer each time
//!                                                               └ in vain for three days, or 410: disabled
//! ```
//!
//! **Invariants**
//! - At least once, and in order: the cursor moves past an event only once it was taken, and one job per webhook delivers.
//! - Nothing is remembered but the cursor: what is to be delivered is looked up in the journal.
//! - A receiver that is slow or gone delays no other, and is not asked faster because of a restart.

use std::time::Duration;

use serde_json::json;

use super::audience::audiences;
use super::store;
use super::webhooks::{TRY, Webhook, Webhooks, record};
use crate::clock::Timestamp;
use crate::db::{Error, Result, Tx};
use crate::delivery::{Content, Notice, Words};
use crate::id::WebhookId;
use crate::identity;
use crate::jobs::{self, Job, Kind};
use crate::journal::{self, Actor, Sealed};
use crate::push::Category;
use crate::push::webhook::Sent;
use crate::secret::random;

/// Events delivered by one job, so that others get their turn.
const BATCH: usize = 50;

/// Entries looked at at once.
const PAGE: u32 = 200;

/// The first pause after a try in vain; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// How long a receiver may fail before it is given up.
const GIVE_UP: Duration = Duration::from_secs(3 * 24 * 3600);

/// How long administrators hear about it on their phones.
const TOLD_FOR: Duration = Duration::from_secs(24 * 3600);

/// What a webhook is to be told next.
enum Next {
    /// This event.
    Event(Box<Sealed>),
    /// Nothing up to this number.
    Skip(i64),
    /// Nothing at all.
    Nothing,
}

impl Webhooks {
    /// Sees to it that every webhook that is behind has a job.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn stir(&self) -> Result<()> {
        let store = self.store.for_workers();
        let behind: Vec<WebhookId> = store.look(|db| Box::pin(store::waiting(db))).await?;
        for id in behind {
            let (queue, now) = (self.queue.clone(), self.clock.now());
            let stirring = store.write(move |tx| {
                Box::pin(async move {
                    // Looked at again under the lock: another node may have been faster.
                    if store::lock(tx, id).await?.is_some() && store::is_waiting(tx, id).await? {
                        queue.enqueue(tx, Kind::Webhook, id.0, now).await?;
                        crate::crash_point!("webhook-stirred");
                    }
                    Ok::<_, Error>(())
                })
            });
            stirring.await?;
        }
        Ok(())
    }

    /// Delivers to one webhook what waits for it, for at most half the lease.
    ///
    /// # Errors
    /// Storage errors; the job is due again when its lease runs out.
    pub async fn deliver(&self, job: Job) -> Result<()> {
        let (id, half) = (WebhookId(job.subject), self.queue.lease() / 2);
        let until = self.clock.now().after(half);
        for _ in 0..BATCH {
            let webhook: Option<Webhook> = self.store.for_workers().look(move |db| Box::pin(store::find(db, id))).await?;
            let Some(webhook) = webhook.filter(|webhook| webhook.disabled_at.is_none()) else { break };
            if self.bot_is_gone(&webhook).await? {
                return self.give_up(job, webhook, "its bot was revoked, or may hear nothing any more".into()).await;
            }
            let moved = match self.next(&webhook).await? {
                Next::Nothing => break,
                Next::Skip(to) => self.moved(&webhook, to, false).await?,
                Next::Event(event) => {
                    let body = serde_json::to_string(&event).map_err(|error| Error::inconsistent("journal", event.id, error))?;
                    match self.send(&webhook, &event.id.to_string(), &body, TRY.min(half)).await? {
                        Sent::Taken(_) => {
                            crate::crash_point!("webhook-taken");
                            self.moved(&webhook, event.seq, true).await?
                        }
                        Sent::Gone => return self.give_up(job, webhook, "the receiver answered 410".into()).await,
                        Sent::Not { why, wait } => return self.put_off(job, webhook, why, wait).await,
                    }
                }
            };
            crate::crash_point!("webhook-moved");
            if !moved || self.clock.now() >= until {
                break;
            }
        }
        self.finish(job).await
    }

    async fn bot_is_gone(&self, webhook: &Webhook) -> Result<bool> {
        let Some(id) = webhook.bot else { return Ok(false) };
        let found: Option<identity::Bot> =
            self.store.for_workers().look(move |db| Box::pin(identity::trusted_bot(db, id))).await?;
        Ok(found.is_none_or(|bot| !bot.scopes.contains(&identity::Scope::EventsRead)))
    }

    async fn next(&self, webhook: &Webhook) -> Result<Next> {
        let webhook = webhook.clone();
        self.store
            .for_workers()
            .scan(move |db| {
                Box::pin(async move {
                    let entries = journal::read_in(db, webhook.cursor, PAGE).await?;
                    let Some(last) = entries.last().map(|entry| entry.seq) else { return Ok(Next::Nothing) };
                    let audiences = audiences(db, &entries).await?;
                    let hears = |(entry, audience): &(Sealed, _)| {
                        let audience: &super::audience::Audience = audience;
                        webhook.takes(&entry.kind) && audience.has(webhook.viewer())
                    };
                    let event = entries.into_iter().zip(audiences).find(hears);
                    Ok(event.map_or(Next::Skip(last), |(event, _)| Next::Event(Box::new(event))))
                })
            })
            .await
    }

    /// Moves the cursor; `false` when somebody else did.
    async fn moved(&self, webhook: &Webhook, to: i64, delivered: bool) -> Result<bool> {
        let (id, from) = (webhook.id, webhook.cursor);
        self.store.for_workers().write(move |tx| Box::pin(store::advance(tx, id, from, to, delivered))).await
    }

    /// Ends the job; with another one behind it when more waits already.
    async fn finish(&self, job: Job) -> Result<()> {
        let (queue, now) = (self.queue.clone(), self.clock.now());
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    let id = WebhookId(job.subject);
                    // Under the lock that stirring takes: either sees what the other did.
                    store::lock(tx, id).await?;
                    if jobs::complete(tx, &job).await? && store::is_waiting(tx, id).await? {
                        queue.enqueue(tx, Kind::Webhook, id.0, now).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// The same event again, later; or never, when it was in vain for too long.
    async fn put_off(&self, job: Job, webhook: Webhook, why: String, wait: Option<Duration>) -> Result<()> {
        let now = self.clock.now();
        let since = webhook.failing_since.unwrap_or(now);
        let failures = webhook.failures.saturating_add(1);
        if since.until(now) >= GIVE_UP {
            return self.give_up(job, webhook, format!("it failed for three days: {why}")).await;
        }
        let pause = pause(failures, random::<1>()[0]).max(wait.unwrap_or_default().min(LONGEST_PAUSE));
        let queue = self.queue.clone();
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    store::lock(tx, webhook.id).await?;
                    // A job of its own for each try: how often a job is tried is limited, and this is limited by time.
                    if jobs::complete(tx, &job).await? {
                        store::failed(tx, webhook.id, since, failures, &why).await?;
                        queue.enqueue(tx, Kind::Webhook, webhook.id.0, now.after(pause)).await?;
                    }
                    crate::crash_point!("webhook-put-off");
                    Ok(())
                })
            })
            .await
    }

    /// Delivers nothing more, records that and tells the administrators.
    async fn give_up(&self, job: Job, webhook: Webhook, why: String) -> Result<()> {
        let (now, journal, delivery) = (self.clock.now(), self.journal.clone(), self.delivery.clone());
        tracing::warn!(webhook = %webhook.id, why, "a webhook is disabled");
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    let there = store::lock(tx, webhook.id).await?.is_some_and(|webhook| webhook.disabled_at.is_none());
                    if !jobs::complete(tx, &job).await? || !there {
                        return Ok(());
                    }
                    store::disable(tx, webhook.id, &why, now).await?;
                    let data = json!({"why": why, "bot": webhook.bot, "cursor": webhook.cursor});
                    record(tx, &journal, now, Actor::System, "webhook.disabled", webhook.id, data).await?;
                    for notice in notices(tx, &webhook, &why, now).await? {
                        delivery.notify(tx, notice, now).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// What the administrators' phones show.
async fn notices(tx: &mut Tx<'_>, webhook: &Webhook, why: &str, now: Timestamp) -> Result<Vec<Notice>> {
    let id = webhook.id;
    let notice = |user| Notice {
        user,
        subject: id.0,
        round: 1,
        content: Content {
            category: Category::Notice,
            high: false,
            words: Words { title: "A webhook was disabled".into(), body: format!("{id}: {why}") },
            full: None,
            path: "/".into(),
            subject: id.to_string(),
            reference: None,
        },
        expires_at: now.after(TOLD_FOR),
        replaces: None,
    };
    Ok(identity::admins(tx.db()).await?.into_iter().map(notice).collect())
}

/// How long to wait after so many tries in vain: 2 seconds, doubled each time, up to an hour; a quarter more or less, so that what
/// failed together does not come back together.
fn pause(failures: u32, dice: u8) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST_PAUSE);
    doubled * (384 + u32::from(dice)) / 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_are_spread() {
        assert_eq!([1, 2, 3, 10, 11, u32::MAX].map(|n| pause(n, 128).as_secs()), [2, 4, 8, 1_024, 2_048, 3_600]);
        assert_eq!(pause(12, 0), Duration::from_secs(2_700));
        assert!(pause(12, 255) < Duration::from_secs(4_500) && pause(12, 255) > Duration::from_secs(4_480));
    }
}
