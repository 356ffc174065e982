//! Whose phone rings for a request, and whose does not: a defence against asking until somebody gives in.
//!
//! A request is *alike* another when the same person asks for the same type of action on the same target; params and bot may differ.
//! A *doorbell* is one person asked for one request. It rings, or it waits silently in the person's inbox: *folded* into a request alike
//! that has rung there and is open, or *quiet*, because the person denied the like or was rung often enough. Deciding is pure and here,
//! `asking` does it inside the transaction, `freezing` is what reports lead to, and `store` has the SQL.
//!
//! **Invariants**
//! - Of requests that are alike, at most one has rung at a person and is open.
//! - In any hour, no more rings reach a person than their budget has, and no more are caused by one requester than theirs has. Both are
//!   counted in the database, under a lock on each person, taken in the order of their ids.
//! - After a denial nothing rings by itself, and a new request alike does not ring at whoever denied before the cool-down is over.
//! - The alarm of a break-glass is no ring: neither budget nor cool-down holds it back, it uses up nothing, and what it is about rings no
//!   more. It waits in the inbox of everybody who is told, also of those who had approved.
//! - A request for which nobody rings, and which no open one covers, is refused.
//! - What a report freezes can be denied and not be approved or redeemed, until an administrator lifts it. Incidents know none of this.

mod asking;
mod freezing;
mod store;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::refused::Refused;
use crate::clock::Timestamp;
use crate::id::{ApprovalId, UserId};

pub(super) use asking::{ask_first, ask_next, ended, gave, pass_on, ring_folded, tell};
pub use freezing::{Freeze, Frozen};
pub(super) use freezing::{known_freeze, lift, open_freezes, reported};
pub(super) use store::{lock, lock_bot};

/// The time that budgets are for.
const WINDOW: Duration = Duration::from_hours(1);

/// The cool-down after a first denial.
const FIRST_PAUSE: Duration = Duration::from_mins(1);

/// The longest cool-down.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// How many rings an hour has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// To one person.
    pub per_approver: u32,
    /// For what one person requests.
    pub per_requester: u32,
}

/// Rings of the last hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Recent {
    /// How many.
    count: u32,
    /// When the first of them rang.
    first_at: Option<Timestamp>,
}

impl Recent {
    /// When there is room for one more; `None` when there is now.
    fn full_until(self, budget: u32) -> Option<Timestamp> {
        self.first_at.filter(|_| self.count >= budget).map(|first| first.after(WINDOW))
    }

    fn with_one_more(self, now: Timestamp) -> Self {
        Self { count: self.count.saturating_add(1), first_at: self.first_at.or(Some(now)) }
    }
}

/// What is known of one person who is to be asked, about requests alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    /// Who.
    user: UserId,
    /// The open request that has rung at them.
    open: Option<ApprovalId>,
    /// How often they denied since they last approved.
    denials: u32,
    /// When they last denied.
    denied_at: Option<Timestamp>,
    /// Rings to them, for whatever request.
    rung: Recent,
}

impl Known {
    /// Until when they are left alone because they denied.
    fn cools_until(&self) -> Option<Timestamp> {
        self.denied_at.filter(|_| self.denials > 0).map(|denied| denied.after(cool_down(self.denials)))
    }
}

/// How long whoever denied so often is left alone: a minute, twice as long after each further denial, at most an hour.
fn cool_down(denials: u32) -> Duration {
    match denials.checked_sub(1) {
        None => Duration::ZERO,
        Some(further) => FIRST_PAUSE.saturating_mul(1 << further.min(16)).min(LONGEST_PAUSE),
    }
}

/// Why a phone stays quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The person denied the like.
    Denied,
    /// The person was rung as often as an hour allows.
    ApproverBudget,
    /// So was everybody together for what this person requests.
    RequesterBudget,
}

impl Why {
    /// In a sentence.
    #[must_use]
    pub fn as_sentence(self) -> &'static str {
        match self {
            Self::Denied => "the like of it was denied, and whoever denied is left alone for a while",
            Self::ApproverBudget => "whoever could approve was rung as often as an hour allows",
            Self::RequesterBudget => "phones rang for this requester as often as an hour allows",
        }
    }
}

/// What becomes of a doorbell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bell {
    /// It rings.
    Ring,
    /// It waits: an open request alike has rung.
    Fold(ApprovalId),
    /// It waits: no ring before then.
    Quiet(Why, Timestamp),
}

/// What becomes of the doorbell of each of `known`, in order; `caused` are the rings that the requester caused.
fn decide(known: &[Known], mut caused: Recent, budgets: Budgets, now: Timestamp) -> Vec<(UserId, Bell)> {
    let one = |person: &Known| {
        let bell = bell(person, caused, budgets, now);
        if bell == Bell::Ring {
            caused = caused.with_one_more(now);
        }
        (person.user, bell)
    };
    known.iter().map(one).collect()
}

fn bell(person: &Known, caused: Recent, budgets: Budgets, now: Timestamp) -> Bell {
    if let Some(open) = person.open {
        return Bell::Fold(open);
    }
    let denied = person.cools_until().filter(|until| now < *until).map(|until| (Why::Denied, until));
    let often = || person.rung.full_until(budgets.per_approver).map(|until| (Why::ApproverBudget, until));
    let causes = || caused.full_until(budgets.per_requester).map(|until| (Why::RequesterBudget, until));
    denied.or_else(often).or_else(causes).map_or(Bell::Ring, |(why, until)| Bell::Quiet(why, until))
}

/// Why a new request is refused: nobody who is asked is rung, and nothing open covers it. Says when that is over for the first of them.
fn nobody_rings(bells: &[(UserId, Bell)], now: Timestamp) -> Option<Refused> {
    let quiet = |(_, bell): &(UserId, Bell)| match bell {
        Bell::Quiet(why, until) => Some((*why, *until)),
        Bell::Ring | Bell::Fold(_) => None,
    };
    let quiet: Vec<_> = bells.iter().map(quiet).collect::<Option<_>>()?;
    let (why, until) = quiet.into_iter().min_by_key(|(_, until)| *until)?;
    Some(Refused::NobodyRings { why, until, wait: now.until(until) })
}
