//! What phones say of pushes: that one came, was shown, was opened. And who is told how far each came.

use std::time::Duration;

use serde::Deserialize;
use uuid::Uuid;

use super::attempts::store::{self, Heard};
use super::attempts::timed;
use super::service::Delivery;
use super::{Channel, Reached};
use crate::clock::Timestamp;
use crate::db::Result;
use crate::id::{AttemptId, DeviceId};
use crate::identity::{self, Failure, Refusal, User};

/// A receipt that comes later than this after its push was written is of no use to anybody.
const LIFE: Duration = Duration::from_hours(24);

/// It is remembered at most so often when a device was last heard of.
const HEARD_EVERY: Duration = Duration::from_hours(1);

/// Attempts shown of one subject, the newest.
const SHOWN: u32 = 200;

/// How far a push came on the phone. Each follows from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Receipt {
    /// The phone has it.
    Received,
    /// It is on the screen.
    Displayed,
    /// Somebody tapped it.
    Opened,
}

/// One attempt to tell one person on one way, and how far it came.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// Its id.
    pub id: AttemptId,
    /// Whom.
    pub user: User,
    /// On which device, and its name; none by e-mail.
    pub device: Option<(DeviceId, String)>,
    /// By which carrier.
    pub channel: Channel,
    /// Which ring, from 1.
    pub round: u32,
    /// Whether it was a louder one, because nobody had said that an earlier one came.
    pub louder: bool,
    /// How far it came.
    pub reached: Reached,
    /// When it was written.
    pub created_at: Timestamp,
    /// When the carrier's provider took it, or it failed.
    pub finished_at: Option<Timestamp>,
    /// When the phone had it.
    pub received_at: Option<Timestamp>,
    /// When it was on the screen.
    pub displayed_at: Option<Timestamp>,
    /// When somebody tapped it.
    pub opened_at: Option<Timestamp>,
}

impl Delivery {
    /// A phone says how far a push came. The first time of each counts; saying it again is harmless.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for a capability of nobody's, and one that is over.
    pub async fn receipt(&self, capability: &str, receipt: Receipt) -> Result<(), Failure<Refusal>> {
        let unknown = || Failure::Refused(Refusal::NotFound("a push with this capability".into()));
        let attempt = self.capabilities.open(capability).ok_or_else(unknown)?;
        let now = self.clock.now();
        let reached = match receipt {
            Receipt::Received => 1,
            Receipt::Displayed => 2,
            Receipt::Opened => 3,
        };
        let heard: Option<Heard> = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let heard = store::heard(tx, attempt, reached, (now, now.before(LIFE))).await?;
                    if let Some(device) = heard.as_ref().and_then(|heard| heard.device) {
                        super::store::heard(tx, device, now, now.before(HEARD_EVERY)).await?;
                    }
                    crate::crash_point!("receipt-written");
                    Ok(heard)
                })
            })
            .await
            .map_err(Failure::Db)?;
        count(&heard.ok_or_else(unknown)?, now);
        Ok(())
    }

    /// How far the pushes about a subject came, the newest first. Who may ask is the subject's to say.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn deliveries(&self, subject: Uuid) -> Result<Vec<Delivered>> {
        self.store
            .scan(move |db| {
                Box::pin(async move {
                    let mut people: Vec<User> = Vec::new();
                    let mut deliveries = Vec::new();
                    for seen in store::seen(db, subject, SHOWN).await? {
                        let user = match people.iter().find(|user| user.id == seen.user) {
                            Some(user) => user.clone(),
                            None => identity::known_user(db, seen.user).await?,
                        };
                        people.push(user.clone());
                        deliveries.push(Delivered::new(user, seen)?);
                    }
                    Ok(deliveries)
                })
            })
            .await
    }
}

impl Delivered {
    fn new(user: User, seen: store::Seen) -> Result<Self> {
        let inconsistent = |column: &str| crate::db::Error::inconsistent("attempts", seen.id, column.to_owned());
        let [created_at, finished_at, received_at, displayed_at, opened_at] = seen.times;
        let heard = if opened_at.is_some() {
            Some(Reached::Opened)
        } else if displayed_at.is_some() {
            Some(Reached::Displayed)
        } else {
            received_at.map(|_| Reached::Received)
        };
        let reached = match (heard, seen.state.as_str()) {
            (Some(heard), _) => heard,
            (None, "waiting") => Reached::Waiting,
            (None, "accepted") => Reached::Accepted,
            (None, "failed") => Reached::Failed,
            (None, "withdrawn") => Reached::Withdrawn,
            (None, other) => return Err(inconsistent(other)),
        };
        Ok(Self {
            id: seen.id,
            user,
            device: seen.device,
            channel: seen.channel,
            round: seen.round,
            louder: seen.step > 0,
            reached,
            created_at: created_at.ok_or_else(|| inconsistent("created_at"))?,
            finished_at,
            received_at,
            displayed_at,
            opened_at,
        })
    }
}

/// Counts what was heard now for the first time.
fn count(heard: &Heard, now: Timestamp) {
    let stages = [("received", heard.received_at), ("displayed", heard.displayed_at), ("opened", heard.opened_at)];
    for (stage, _) in stages.into_iter().filter(|(_, at)| *at == Some(now)) {
        timed(stage, &heard.channel, &heard.urgency, heard.created_at.until(now));
    }
}
