//! Telling people: what is written in the transaction of what it tells about.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::plan::{self, Way};
use super::registration::Carriers;
use super::{Capabilities, Circuits, Signals, store};
use crate::clock::{Clock, Timestamp};
use crate::config::Privacy;
use crate::db::{Db, Result, Store, Tx};
use crate::id::{DeviceId, NotificationId, UserId};
use crate::identity::{Call, Failure, Refusal, Scope};
use crate::jobs::{Kind, Queue};
use crate::journal::Journal;
use crate::push::{Category, Urgency};
use crate::secret::MasterKey;

/// Attempts written in one transaction; the rest of a larger notification follows step by step.
pub(super) const FAN_OUT: u32 = 500;

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
    /// How long a phone has to say that a push came.
    pub patience: Duration,
    /// How much travels.
    pub privacy: Privacy,
    /// How phones say that a push came.
    pub capabilities: Capabilities,
    /// What lets lanes know.
    pub signals: Signals,
    /// Which routes are down.
    pub circuits: Circuits,
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
    /// More of them, for where the settings let everything travel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<Words>,
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
    /// Tells a person on every device of theirs that can be reached, and where there is none by what else there is; on how many ways
    /// that is tried at first. What rings is followed until a phone says that it came.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn notify(&self, tx: &mut Tx<'_>, notice: Notice, now: Timestamp) -> Result<usize> {
        let (mut ways, more) = self.ways(tx.db(), notice.user, None).await?;
        // A page that can wait goes by e-mail too, where there is nothing else.
        if !notice.content.rings() && notice.content.category != Category::Page {
            ways.retain(|way| way.device.is_some());
        }
        let ways = plan::first(&ways);
        if ways.is_empty() && notice.content.rings() {
            self.record_unreachable(tx, &notice.content.subject, (notice.user, notice.round), now).await?;
        }
        self.begin(tx, &notice, &ways, more, now).await?;
        Ok(ways.len())
    }

    /// Tells a person by e-mail, at once and without following it; on how many ways, which is one or none. `beside` says that a push was
    /// written too: whoever has no device was told by e-mail then already.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn mail(&self, tx: &mut Tx<'_>, notice: Notice, beside: bool, now: Timestamp) -> Result<usize> {
        let (mut ways, _) = self.ways(tx.db(), notice.user, None).await?;
        if beside && ways.iter().all(|way| way.device.is_none()) {
            return Ok(0);
        }
        ways.retain(|way| way.device.is_none());
        self.begin(tx, &notice, &ways, None, now).await?;
        Ok(ways.len())
    }

    /// Shows something in the place of what the person was first told of this round, without ringing anew; on how many devices.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn update(&self, tx: &mut Tx<'_>, notice: Notice, now: Timestamp) -> Result<usize> {
        let replaces = store::first_told(tx.db(), notice.user, notice.subject, notice.round).await?;
        let (mut ways, more) = self.ways(tx.db(), notice.user, None).await?;
        ways.retain(|way| way.device.is_some());
        self.begin(tx, &Notice { replaces, ..notice }, &ways, more, now).await?;
        Ok(ways.len())
    }

    /// Whether there is any way to a person.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn can_reach(&self, db: &mut Db<'_>, user: UserId) -> Result<bool> {
        let (ways, more) = self.ways(db, user, None).await?;
        Ok(!ways.is_empty() || more.is_some())
    }

    /// Rings the caller's own devices, or those of whom a bot speaks for in chat, to see that it arrives; on how many that is tried.
    ///
    /// # Errors
    /// When the caller is neither a person nor a bot with `incidents:write` that speaks for one.
    pub async fn test(&self, call: &Call) -> Result<usize, Failure<Refusal>> {
        let user = match call.speaks_for(Scope::IncidentsWrite)? {
            Some(user) => user.clone(),
            None => call.person()?.user.clone(),
        };
        let (now, delivery) = (self.clock.now(), self.clone());
        let words = Words { title: "Test page".into(), body: format!("{}, your phone rings.", user.name.as_str()) };
        let content = Content {
            category: Category::Test,
            high: true,
            words,
            full: None,
            path: "/".into(),
            subject: user.id.to_string(),
            reference: None,
        };
        let notice =
            Notice { user: user.id, subject: user.id.0, round: 1, content, expires_at: now.after(TEST_LIFE), replaces: None };
        call.write(&self.store, now, move |tx| Box::pin(async move { Ok(delivery.notify(tx, notice, now).await?) })).await
    }

    /// Tells a person on some of their devices.
    pub(super) async fn notify_on(&self, tx: &mut Tx<'_>, notice: Notice, devices: &[DeviceId], now: Timestamp) -> Result<()> {
        let mut ways = store::reachable_among(tx.db(), notice.user, devices).await?;
        ways.retain(|way| self.carriers.by(way.channel).is_some());
        self.begin(tx, &notice, &ways, None, now).await
    }

    async fn begin(&self, tx: &mut Tx<'_>, notice: &Notice, ways: &[Way], more: Option<DeviceId>, now: Timestamp) -> Result<()> {
        if ways.is_empty() && more.is_none() {
            return Ok(());
        }
        let id = NotificationId::new(now);
        store::insert_notification(tx, id, notice, more, now).await?;
        self.attempt(tx, id, ways, (notice.content.urgency(), 0), now).await?;
        if notice.content.rings() && notice.replaces.is_none() {
            self.queue.enqueue(tx, Kind::FailOver, id.0, now.after(self.patience)).await?;
        }
        if more.is_some() {
            self.queue.enqueue(tx, Kind::FanOut, id.0, now).await?;
        }
        Ok(())
    }
}

impl Content {
    /// Whether it is followed until a phone says that it came: pages, approvals and tests that wake people.
    pub(super) fn rings(&self) -> bool {
        self.high && matches!(self.category, Category::Page | Category::Approval | Category::Test)
    }

    pub(super) fn urgency(&self) -> Urgency {
        if self.high { Urgency::High } else { Urgency::Normal }
    }
}

/// A test that comes later than this tells nothing good.
const TEST_LIFE: Duration = Duration::from_secs(120);

/// Where a registration is sealed for.
pub(super) fn place(device: DeviceId) -> String {
    format!("push_registrations/{device}")
}
