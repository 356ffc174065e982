//! Taking a subject off the phones, once it was answered: nothing more is sent about it, and what a screen may show of it is replaced.
//!
//! ```text
//!   answered ──► withdrawn ──► a few screens: replaced in the same transaction
//!                   │
//!                   └────────► very many: a row, and a job that replaces some at a time behind a cursor
//! ```
//!
//! **Invariants**
//! - From the answer's commit on nothing more is sent, however many screens there are.
//! - An answer's transaction writes no more than one step does.
//! - What rang since is not replaced: only what was withdrawn is looked at.
//! - What a later answer says comes last on every screen: it takes the place of a withdrawal that is under way.

mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::service::{Content, Delivery, FAN_OUT, Notice};
use crate::clock::Timestamp;
use crate::db::{Error, Result, Tx};
use crate::id::{DeviceId, UserId};
use crate::jobs::{self, Job, Kind};
use store::Shown;

/// "Answered by ys" is news for an hour.
const ANSWERED_LIFE: Duration = Duration::from_secs(3600);

/// What takes the place of a subject on the screens.
pub(super) struct Withdrawal {
    pub(super) content: Content,
    /// The device that needs no telling.
    pub(super) answered_on: Option<DeviceId>,
    pub(super) expires_at: Timestamp,
    /// Where the next step begins; none at the beginning.
    pub(super) at: Option<Behind>,
}

/// How far a withdrawal is.
#[derive(Clone, Copy)]
pub(super) struct Behind {
    pub(super) user: UserId,
    /// The last of their devices that was looked at; none when all were.
    pub(super) device: Option<DeviceId>,
}

impl Delivery {
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
        let withdrawal = Withdrawal { content: content.clone(), answered_on, expires_at: now.after(ANSWERED_LIFE), at: None };
        let shown = store::shown(tx.db(), subject, FAN_OUT + 1).await?;
        if shown.len() <= FAN_OUT as usize {
            return self.replace(tx, subject, &withdrawal, shown, now).await;
        }
        store::save_withdrawal(tx, subject, &withdrawal, now).await?;
        self.queue.enqueue(tx, Kind::Withdraw, subject, now).await
    }

    /// Takes a subject off the next screens.
    ///
    /// # Errors
    /// Storage errors; the step is done again then.
    pub async fn withdraw_more(&self, job: Job) -> Result<()> {
        let (now, delivery, subject) = (self.clock.now(), self.clone(), job.subject);
        self.store
            .for_workers()
            .write(move |tx| {
                Box::pin(async move {
                    let withdrawal = store::lock_withdrawal(tx, subject).await?;
                    if !jobs::complete(tx, &job).await? {
                        return Ok::<_, Error>(());
                    }
                    let Some(withdrawal) = withdrawal else { return Ok(()) };
                    let next =
                        if now < withdrawal.expires_at { delivery.step(tx, subject, &withdrawal, now).await? } else { None };
                    let Some(behind) = next else { return store::end_withdrawal(tx, subject).await };
                    store::set_withdrawal(tx, subject, behind).await?;
                    delivery.queue.enqueue(tx, Kind::Withdraw, subject, now).await
                })
            })
            .await
    }

    /// Replaces on some devices of one person; how far that is, none when everybody is done.
    async fn step(&self, tx: &mut Tx<'_>, subject: Uuid, withdrawal: &Withdrawal, now: Timestamp) -> Result<Option<Behind>> {
        let (user, behind) = match withdrawal.at {
            Some(Behind { user, device: Some(device) }) => (user, Some(device)),
            done => match store::next_told(tx.db(), subject, done.map(|done| done.user)).await? {
                Some(user) => (user, None),
                None => return Ok(None),
            },
        };
        let (_, last) = self.ways(tx.db(), user, behind).await?;
        let shown = store::shown_between(tx.db(), (subject, user), behind, last).await?;
        self.replace(tx, subject, withdrawal, shown, now).await?;
        Ok(Some(Behind { user, device: last }))
    }

    async fn replace(
        &self,
        tx: &mut Tx<'_>,
        subject: Uuid,
        withdrawal: &Withdrawal,
        shown: Vec<Shown>,
        now: Timestamp,
    ) -> Result<()> {
        let mut screens: BTreeMap<_, Vec<DeviceId>> = BTreeMap::new();
        for shown in newest(shown) {
            if Some(shown.device) != withdrawal.answered_on {
                screens.entry((shown.user, shown.notification, shown.round)).or_default().push(shown.device);
            }
        }
        for ((user, replaces, round), devices) in screens {
            let (content, expires_at) = (withdrawal.content.clone(), withdrawal.expires_at);
            self.notify_on(tx, Notice { user, subject, round, content, expires_at, replaces: Some(replaces) }, &devices, now)
                .await?;
        }
        Ok(())
    }
}

/// Of what each device was sent, in its order, what it may be showing: everything of the newest round.
///
/// This is picked here: as a correlated query PostgreSQL took seconds for it under load.
fn newest(sent: Vec<Shown>) -> impl Iterator<Item = Shown> {
    let mut newest = BTreeMap::<DeviceId, Vec<Shown>>::new();
    for shown in sent {
        let rows = newest.entry(shown.device).or_default();
        rows.retain(|row| row.round == shown.round && row.notification != shown.notification);
        rows.push(shown);
    }
    newest.into_values().flatten()
}
