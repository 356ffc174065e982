//! Looking for entries: by kind, actor, subject, time and text.
//!
//! **Invariants**
//! - A page looks at a bounded stretch of the journal, whatever it finds there: no question keeps the database busy for long. A
//!   page may therefore be empty and still have a next one.

use std::str::FromStr;

use super::{Sealed, store};
use crate::clock::Timestamp;
use crate::db::{Result, Store};
use crate::id::{BotId, DeviceId, UserId};

/// How many entries one page looks at.
const STRETCH: i64 = 20_000;

/// Whose entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// `operator`, `system`, `enrollee`, `user` or `bot`: by the kind of actor.
    Kind(&'static str),
    /// A person, a bot or a device.
    Id(String),
}

/// A text that names no actor.
#[derive(Debug, Clone, thiserror::Error)]
#[error("expected usr_…, bot_…, dev_…, or user, bot, operator, system, enrollee")]
pub struct NotAnActor;

impl FromStr for By {
    type Err = NotAnActor;

    fn from_str(text: &str) -> Result<Self, NotAnActor> {
        let kinds = ["user", "bot", "operator", "system", "enrollee"];
        if let Some(kind) = kinds.into_iter().find(|kind| *kind == text) {
            return Ok(Self::Kind(kind));
        }
        let id = text.parse::<UserId>().is_ok() || text.parse::<BotId>().is_ok() || text.parse::<DeviceId>().is_ok();
        if id { Ok(Self::Id(text.to_owned())) } else { Err(NotAnActor) }
    }
}

impl By {
    /// The kind and the id that an entry's actor must have, one of them.
    pub(super) fn columns(&self) -> (Option<&'static str>, Option<String>) {
        match self {
            Self::Kind(kind) => (Some(kind), None),
            Self::Id(id) => (None, Some(id.clone())),
        }
    }
}

/// In which order entries come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As they happened.
    #[default]
    Oldest,
    /// The last first.
    Newest,
}

/// What is looked for; what is not named is not asked.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Beginnings of kinds, one of which must fit: `approval.`
    pub kinds: Vec<String>,
    /// Who did it.
    pub actor: Option<By>,
    /// What it happened to.
    pub subject: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Somewhere in the facts, whatever its case (ASCII).
    pub text: Option<String>,
    /// The order.
    pub order: Order,
}

/// Some of what was found.
#[derive(Clone, Debug)]
pub struct Page {
    /// Entries, in the asked order.
    pub entries: Vec<Sealed>,
    /// Where to go on; nothing when all was looked at.
    pub next: Option<i64>,
}

/// At most `limit` entries that fit, after number `from` in the asked order: above it, or below it when the newest come first.
///
/// # Errors
/// Storage errors.
pub async fn search(store: &Store, search: Search, from: Option<i64>, limit: u32) -> Result<Page> {
    store
        .scan(move |db| {
            Box::pin(async move {
                let last = store::last(db).await?;
                let (above, to) = stretch(search.order, from, last);
                let entries = store::search(db, &search, above, to, limit).await?;
                let full = entries.len() == usize::try_from(limit).unwrap_or(usize::MAX);
                let next = match (full, search.order) {
                    (true, _) => entries.last().map(|entry| entry.seq),
                    (false, Order::Oldest) => (to < last).then_some(to),
                    (false, Order::Newest) => (above > 0).then_some(above + 1),
                };
                Ok(Page { entries, next })
            })
        })
        .await
}

/// The numbers that a page looks at: above the first, up to the second.
fn stretch(order: Order, from: Option<i64>, last: i64) -> (i64, i64) {
    match order {
        Order::Oldest => {
            let above = from.unwrap_or(0).clamp(0, last);
            (above, above.saturating_add(STRETCH).min(last))
        }
        Order::Newest => {
            let to = from.map_or(last, |from| from.saturating_sub(1)).clamp(0, last);
            (to.saturating_sub(STRETCH).max(0), to)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_meet_and_leave_nothing_out() {
        let last = 2 * STRETCH + 7;
        let walk = |order| {
            let (mut from, mut seen) = (None, Vec::new());
            loop {
                let (above, to) = stretch(order, from, last);
                seen.push((above, to));
                from = match order {
                    Order::Oldest if to < last => Some(to),
                    Order::Newest if above > 0 => Some(above + 1),
                    _ => return seen,
                };
            }
        };
        assert_eq!(walk(Order::Oldest), [(0, STRETCH), (STRETCH, 2 * STRETCH), (2 * STRETCH, last)]);
        assert_eq!(walk(Order::Newest), [(STRETCH + 7, last), (7, STRETCH + 7), (0, 7)]);
        assert_eq!(stretch(Order::Oldest, Some(i64::MAX), last), (last, last));
        assert_eq!(stretch(Order::Newest, Some(i64::MIN), last), (0, 0));
        assert_eq!(stretch(Order::Oldest, None, 0), (0, 0));
    }

    #[test]
    fn an_actor_is_an_id_or_a_kind() {
        let user = format!("usr_{:032x}", 7);
        assert_eq!(user.parse::<By>().unwrap(), By::Id(user));
        assert_eq!("operator".parse::<By>().unwrap(), By::Kind("operator"));
        for bad in ["", "root", "apr_00000000000000000000000000000007", "usr_7"] {
            assert!(bad.parse::<By>().is_err(), "{bad}");
        }
    }
}
