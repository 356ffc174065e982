//! The append-only record of everything that happened.
//!
//! An entry is appended in the transaction of the change it records, without a number. One sealer (the lock on the head row decides
//! which node) numbers entries afterwards and chains their digests, so that deciding never waits for the chain.
//!
//! **Invariants**
//! - No journal, no effect: [`append`] runs in the transaction of what it records.
//! - Numbers are contiguous from 1, and an entry's digest covers its predecessor's: `sha256 = H("phoneops.journal.v1", previous || JCS(entry))`.
//! - A sealed entry never changes. Entries are cut from the beginning only, and what the first of the rest follows is kept.
//! - No entry holds a secret.

mod search;
mod store;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::db::{Db, Result, Store, Tx};
use crate::id::{BotId, DeviceId, EventId, IntegrationId, UserId};

pub use search::{By, NotAnActor, Order, Page, Search, search};

/// What is woken in the [hub](crate::hub) once entries were sealed.
pub const SEALED: Uuid = Uuid::from_u128(0x6a6f_7572_6e61_6c2e_7365_616c_6564_0001);

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// A person, on one of their devices.
    User {
        /// The person.
        user: UserId,
        /// The device they used.
        device: DeviceId,
    },
    /// A bot, perhaps for a person it names.
    Bot {
        /// The bot.
        bot: BotId,
        /// The person it acted for.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
    },
    /// A monitoring system.
    Integration {
        /// By which key.
        integration: IntegrationId,
    },
    /// Whoever has access to the server itself, through its Unix socket.
    Operator,
    /// PhoneOps itself: a timer rang, a push failed.
    System,
    /// Somebody who holds an enrolment code and nothing else yet.
    Enrollee,
}

impl Actor {
    /// The person, acting or acted for.
    #[must_use]
    pub fn user(self) -> Option<UserId> {
        match self {
            Self::User { user, .. } => Some(user),
            Self::Bot { user, .. } => user,
            Self::Integration { .. } | Self::Operator | Self::System | Self::Enrollee => None,
        }
    }
}

/// One entry, before it is appended.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What happened, in the past tense: `approval.requested`.
    pub kind: &'static str,
    /// Who did it.
    pub actor: Actor,
    /// The id of what it happened to.
    pub subject: String,
    /// Facts, without secrets.
    pub data: serde_json::Value,
}

/// An entry as it stands in the journal.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Sealed {
    /// Its number, contiguous from 1.
    pub seq: i64,
    /// Its id.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: String,
    /// Who did it.
    pub actor: serde_json::Value,
    /// What it happened to.
    pub subject: String,
    /// Facts.
    pub data: serde_json::Value,
    /// Its link of the chain, base64url.
    pub sha256: String,
}

/// An entry as it was appended, whether it has a number yet or not.
#[derive(Clone, Debug)]
pub struct Happened {
    /// Its id.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: String,
    /// Who did it.
    pub actor: Actor,
    /// Facts.
    pub data: serde_json::Value,
}

/// Appends to the journal and wakes the sealer. Cheap to clone.
#[derive(Clone, Default)]
pub struct Journal {
    appended: Arc<Notify>,
}

impl Journal {
    /// Appends `entry` in `tx`.
    ///
    /// # Errors
    /// Storage errors; the caller's change must fail with it.
    pub async fn append(&self, tx: &mut Tx<'_>, now: Timestamp, entry: Entry) -> Result<()> {
        self.append_as(tx, EventId::new(now), now, entry).await
    }

    /// As [`Journal::append`], under an id that was drawn before: what follows from an entry and is appended earlier stands behind it.
    ///
    /// # Errors
    /// Storage errors; the caller's change must fail with it.
    pub async fn append_as(&self, tx: &mut Tx<'_>, id: EventId, now: Timestamp, entry: Entry) -> Result<()> {
        store::insert(tx, id, now, entry).await?;
        let appended = self.appended.clone();
        tx.after_commit(move || appended.notify_one());
        Ok(())
    }

    /// Returns when something may have been appended on this node.
    pub async fn appended(&self) {
        self.appended.notified().await;
    }
}

/// Numbers and chains at most 200 entries; how many it sealed.
///
/// # Errors
/// Storage errors.
pub async fn seal(store: &Store) -> Result<usize> {
    store
        .write(|tx| {
            Box::pin(async move {
                let sealed = store::seal(tx).await?;
                if sealed > 0 {
                    crate::crash_point!("journal-sealed");
                }
                Ok(sealed)
            })
        })
        .await
}

/// At most `limit` sealed entries after number `after`, in order.
///
/// # Errors
/// Storage errors.
pub async fn read(store: &Store, after: i64, limit: u32) -> Result<Vec<Sealed>> {
    store.scan(move |db| Box::pin(store::list(db, after, limit))).await
}

/// As [`read`], in a snapshot that is read further.
///
/// # Errors
/// Storage errors.
pub async fn read_in(db: &mut Db<'_>, after: i64, limit: u32) -> Result<Vec<Sealed>> {
    store::list(db, after, limit).await
}

/// At most `limit` entries about `subject` after `after`, in order, those without a number too.
///
/// # Errors
/// Storage errors.
pub async fn about(db: &mut Db<'_>, subject: &str, after: Option<EventId>, limit: u32) -> Result<Vec<Happened>> {
    store::about(db, subject, after, limit).await
}

/// The last thing about `subject` whose kind begins with `kinds` that a bot did in this person's name; none when the person has disowned
/// it, under `disowned`, since.
///
/// # Errors
/// Storage errors.
pub async fn done_in_the_name_of(
    db: &mut Db<'_>,
    subject: &str,
    user: UserId,
    (kinds, disowned): (&str, &str),
) -> Result<Option<Happened>> {
    Ok(store::last_of(db, subject, user, kinds, disowned).await?.filter(|happened| happened.kind != disowned))
}

/// The last entry of this kind about `subject` that has this text as this fact.
///
/// # Errors
/// Storage errors.
pub async fn last_about(db: &mut Db<'_>, subject: &str, kind: &str, (fact, text): (&str, String)) -> Result<Option<Happened>> {
    store::last_about(db, subject, kind, (fact, text)).await
}

/// The number of the last sealed entry; 0 before the first.
///
/// # Errors
/// Storage errors.
pub async fn last(store: &Store) -> Result<i64> {
    store.look(|db| Box::pin(store::last(db))).await
}

/// Cuts some entries of before then from the beginning, but never the last; how many. From then on the chain is verified from the cut.
///
/// # Errors
/// Storage errors.
pub async fn cut_before(tx: &mut Tx<'_>, before: Timestamp) -> Result<u64> {
    store::cut_before(tx, before).await
}

/// Checks the whole chain, from where it was cut if it was, against itself and against the head; the number of the last entry.
///
/// # Errors
/// [`crate::db::Error::Inconsistent`] naming the first entry that does not fit.
pub async fn verify(store: &Store) -> Result<i64> {
    let mut last: Option<store::Head> = None;
    loop {
        // The first page starts at the very beginning, so that a number below the first is found too.
        let after = last.as_ref().map_or(i64::MIN, |last| last.seq);
        let store::Stretch { links, cut, head } = store.scan(move |db| Box::pin(store::links(db, after, 500))).await?;
        // While this looks, more may be cut from the beginning: what was seen before goes on from where it was.
        let mut at = match last {
            Some(last) if last.seq >= cut.seq => last,
            _ => cut,
        };
        if links.is_empty() {
            // Both were read from one snapshot, so that entries sealed meanwhile do not look like a difference.
            return at.must_be(&head).map(|()| at.seq);
        }
        for link in links {
            at = link?.follow(&at)?;
        }
        last = Some(at);
    }
}
