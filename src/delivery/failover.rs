//! When nobody says that it came: louder, on every other way; and when no way is left, whoever asked hears of it.

use serde_json::json;
use uuid::Uuid;

use super::attempts::store as attempts;
use super::plan::{self, Next, Way};
use super::service::{Delivery, FAN_OUT};
use super::store::{self, Ringing};
use super::{Channel, channel};
use crate::clock::Timestamp;
use crate::db::{self, Db, Error, Result, Tx};
use crate::id::{DeviceId, NotificationId, UserId};
use crate::identity;
use crate::jobs::{self, Job, Kind};
use crate::journal::{Actor, Entry};
use crate::push::{Category, Urgency};

/// A person who cannot be reached, and what about.
#[derive(Clone, Debug)]
pub struct Unreached {
    /// Who.
    pub user: UserId,
    /// What about: an incident, an approval, a person who tests.
    pub subject: Uuid,
    /// Which ring.
    pub round: u32,
    /// What kind of thing it was.
    pub category: Category,
}

impl Delivery {
    /// The ways to a person that a carrier is there for, the devices behind `behind` at most so many; and the last device looked at,
    /// when there may be more.
    pub(super) async fn ways(
        &self,
        db: &mut Db<'_>,
        user: UserId,
        behind: Option<DeviceId>,
    ) -> Result<(Vec<Way>, Option<DeviceId>)> {
        let (mut ways, more) = store::reachable(db, user, behind, FAN_OUT).await?;
        ways.retain(|way| self.carriers.by(way.channel).is_some());
        if behind.is_none() && self.carriers.mail.is_some() && identity::mail_address(db, user).await?.is_some() {
            ways.push(Way { device: None, channel: Channel::Mail, since: Timestamp::from_seconds(0) });
        }
        Ok((ways, more))
    }

    /// Looks how far a notification came, and does what comes next.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn fail_over(&self, job: Job) -> Result<()> {
        let (now, delivery) = (self.clock.now(), self.clone());
        let id = NotificationId(job.subject);
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    let ringing = store::lock(tx, id).await?;
                    if !jobs::complete(tx, &job).await? {
                        return Ok(());
                    }
                    let Some(ringing) = ringing.filter(|ringing| !ringing.is_over(now)) else { return Ok(()) };
                    delivery.go_on(tx, id, &ringing, now).await
                })
            })
            .await
    }

    async fn go_on(&self, tx: &mut Tx<'_>, id: NotificationId, ringing: &Ringing, now: Timestamp) -> Result<()> {
        if ringing.fan_out_after.is_some() {
            // Some devices have no attempt yet: nothing is judged before they have.
            return self.queue.enqueue(tx, Kind::FailOver, id.0, now.after(self.patience)).await;
        }
        let (mut ways, mut behind) = self.ways(tx.db(), ringing.user, None).await?;
        while let Some(last) = behind {
            let (more, next) = self.ways(tx.db(), ringing.user, Some(last)).await?;
            ways.extend(more);
            behind = next;
        }
        let tried = attempts::tried(tx.db(), id).await?;
        match plan::next(&ways, &tried, self.patience, now) {
            Next::Wait(at) if at < ringing.expires_at => self.queue.enqueue(tx, Kind::FailOver, id.0, at).await,
            Next::Nothing | Next::Wait(_) => Ok(()),
            Next::Louder(ways) => {
                attempts::raise(tx, id).await?;
                self.attempt(tx, id, &ways, (Urgency::High, 1), now).await?;
                let data = json!({"user": ringing.user, "round": ringing.round, "ways": ways.len()});
                let subject = ringing.content.subject.clone();
                self.journal.append(tx, now, Entry { kind: "push.failed_over", actor: Actor::System, subject, data }).await?;
                // What fails from here on says so itself.
                tx.after_commit(|| metrics::counter!("phoneops_push_failed_over_total").increment(1));
                Ok(())
            }
            Next::Unreachable => self.give_up(tx, id, ringing, now).await,
        }
    }

    async fn give_up(&self, tx: &mut Tx<'_>, id: NotificationId, ringing: &Ringing, now: Timestamp) -> Result<()> {
        store::set_unreachable(tx, id, now).await?;
        self.record_unreachable(tx, &ringing.content.subject, (ringing.user, ringing.round), now).await?;
        // Whoever asked is locked before notifications elsewhere: they hear of it in a transaction of their own.
        self.queue.enqueue(tx, Kind::Unreachable, id.0, now).await
    }

    /// Records that nothing is left, or nothing was there, that could reach a person.
    pub(super) async fn record_unreachable(
        &self,
        tx: &mut Tx<'_>,
        subject: &str,
        (user, round): (UserId, u32),
        now: Timestamp,
    ) -> Result<()> {
        let (subject, data) = (subject.to_owned(), json!({"user": user, "round": round}));
        self.journal.append(tx, now, Entry { kind: "person.unreachable", actor: Actor::System, subject, data }).await?;
        tx.after_commit(|| metrics::counter!("phoneops_people_unreachable_total").increment(1));
        Ok(())
    }

    /// Attempts on these ways, from now on.
    pub(super) async fn attempt(
        &self,
        tx: &mut Tx<'_>,
        id: NotificationId,
        ways: &[Way],
        (urgency, step): (Urgency, u32),
        now: Timestamp,
    ) -> Result<()> {
        if ways.is_empty() {
            return Ok(());
        }
        for some in ways.chunks(FAN_OUT as usize) {
            attempts::insert(tx, id, some, (channel::urgency(urgency), step), now).await?;
        }
        let signals = self.signals.clone();
        let channels: std::collections::BTreeSet<_> = ways.iter().map(|way| way.channel).collect();
        tx.after_commit(move || {
            for channel in channels {
                signals.wake(super::Lane { channel, urgent: urgency == Urgency::High });
            }
        });
        Ok(())
    }

    /// Makes the next attempts of a notification for more devices than one transaction takes.
    ///
    /// # Errors
    /// Storage errors; the step is done again then.
    pub async fn fan_out(&self, job: Job) -> Result<()> {
        let (now, delivery) = (self.clock.now(), self.clone());
        let id = NotificationId(job.subject);
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    let ringing = store::lock(tx, id).await?;
                    if !jobs::complete(tx, &job).await? {
                        return Ok::<_, Error>(());
                    }
                    let Some(ringing) = ringing.filter(|ringing| !ringing.is_over(now)) else { return Ok(()) };
                    let Some(behind) = ringing.fan_out_after else { return Ok(()) };
                    let (ways, more) = delivery.ways(tx.db(), ringing.user, Some(behind)).await?;
                    delivery.attempt(tx, id, &ways, (ringing.content.urgency(), 0), now).await?;
                    store::set_fan_out(tx, id, more).await?;
                    if more.is_some() {
                        delivery.queue.enqueue(tx, Kind::FanOut, id.0, now).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Who could not be reached, and about what; none when that was forgotten.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn unreached(&self, id: NotificationId) -> Result<Option<Unreached>> {
        let found: Option<Ringing> = self.store.for_workers().look(move |db| Box::pin(store::find(db, id))).await?;
        Ok(found.map(|ringing| Unreached {
            user: ringing.user,
            subject: ringing.subject,
            round: ringing.round,
            category: ringing.content.category,
        }))
    }
}

impl Ringing {
    /// Whether nothing more is to be done about it.
    fn is_over(&self, now: Timestamp) -> bool {
        self.withdrawn || self.unreachable || now >= self.expires_at
    }
}

/// The last round of a subject that paged anybody; none when nobody was.
///
/// # Errors
/// Storage errors.
pub async fn last_page(db: &mut Db<'_>, subject: Uuid) -> db::Result<Option<u32>> {
    store::last_page(db, subject).await
}

/// Whom a round of a subject paged, and who may still be reached by that.
///
/// # Errors
/// Storage errors.
pub async fn rung_in(db: &mut Db<'_>, subject: Uuid, round: u32) -> db::Result<Vec<UserId>> {
    store::rung_in(db, subject, round).await
}

/// Whether a round of a subject paged somebody who may still be reached.
///
/// # Errors
/// Storage errors.
pub async fn may_reach_somebody(db: &mut Db<'_>, subject: Uuid, round: u32) -> db::Result<bool> {
    store::may_reach(db, subject, round).await
}
