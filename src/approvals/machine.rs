//! The approval machine.
//!
//! ```text
//!               TimerRang (a group did not answer): ask the next   + NotifyUsers, WakeAt
//!              ┌──┐
//!   request ──►│pending│── Answered(approve), not enough yet ──► pending
//!              └──┘│
//!                  ├─ Answered(approve), enough ──► approved                       + IssueGrant, TellBot, Withdraw
//!                  ├─ Answered(approve), enough, with a delay ──► holding          + WakeAt
//!                  ├─ Answered(deny | report) ──► denied                           + TellBot, Withdraw
//!                  ├─ Cancelled | Voided | Frozen ──► cancelled                    + TellBot, Withdraw
//!                  └─ TimerRang (nobody is left to ask) ──► expired                + TellBot, Withdraw
//!
//!   holding ── TimerRang (the delay is over) ──► approved                          + IssueGrant, TellBot, Withdraw
//!          ├── Answered(deny | report) ──► denied                                + TellBot, Withdraw
//!          └── Cancelled | Voided | Frozen ──► cancelled                           + TellBot, Withdraw
//! ```
//!
//! **Invariants**
//! - Terminal states never change: another answer is refused, a late timer does nothing.
//! - One eligible deny is terminal, until the approval is.
//! - Who may not answer is told only that, whatever became of it. Who has not been asked yet may not answer.
//! - What is approved was approved by enough people with enough keys, each strongly enough, before the time to answer was over.
//! - At or after the deadline nothing is approved, whether or not the timer has rung.
//! - A timer asks at most one group, and what was never asked never counts. A timer that rings late gives the group that it asks, and
//!   those after it, the time that the policy gives them all the same: `answer_by` and `expires_at` move by as much as it was late. One
//!   that is so late that the time to answer is over ends the request, whoever was still to be asked.
//! - A held approval takes effect before `expires_at`: `holds_until` is less than a delay after `answer_by`, however far both have moved.
//! - A timer that rings early is set again; one that rings twice changes nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Action;
use super::policy::{Factor, Given, Requirement, SignedWith};
use crate::clock::Timestamp;
use crate::id::{ApprovalId, BotId, UserId};

/// How long a grant may be redeemed after the approval.
pub const GRANT_TTL: Duration = Duration::from_mins(5);

/// A request that an action be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// Four characters that people match between chat and phone.
    pub tag: String,
    /// Who asked.
    pub bot: BotId,
    /// For whom it asked.
    pub requester: UserId,
    /// What is to be allowed.
    pub action: Action,
    /// Why, in the requester's own words.
    pub reason: Option<String>,
    /// Where in chat it was asked.
    pub origin: Option<Origin>,
    /// What it takes, frozen at creation.
    pub requirement: Requirement,
    /// When it was asked.
    pub created_at: Timestamp,
    /// From when on nothing is approved: the time to answer, and the delay. Later than at first once a group was asked late.
    pub expires_at: Timestamp,
    /// How many of the requirement's groups have been asked; 1 when it has none.
    pub asked: usize,
    /// Who has approved, in order.
    pub given: Vec<Given>,
    /// What became of it.
    pub state: State,
}

/// Where in chat something was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// `slack`, `irc`, …
    #[schemars(length(max = 200))]
    pub platform: String,
    /// The workspace, team or server.
    #[schemars(length(max = 200))]
    pub workspace: String,
    /// The room or channel.
    #[schemars(length(max = 200))]
    pub room: String,
    /// The message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub message: Option<String>,
}

/// What became of an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Waiting for answers.
    Pending,
    /// Enough people have approved. It takes effect unless somebody denies.
    Holding {
        /// When.
        until: Timestamp,
    },
    /// Allowed.
    Approved(Decision),
    /// Refused by a person.
    Denied(Decision),
    /// Nobody answered in time.
    Expired {
        /// When that was noticed.
        at: Timestamp,
    },
    /// Withdrawn.
    Cancelled {
        /// When.
        at: Timestamp,
        /// Whether that is because somebody reported its bot, and not because the bot or a restored backup withdrew it.
        frozen: bool,
    },
}

/// Who decided, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The person.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// What they said. Of an approval it is that of the last person it needed.
    pub verdict: Verdict,
    /// Why, in their own words.
    pub reason: Option<String>,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Let it happen.
    Approve,
    /// Do not.
    Deny,
    /// Do not: it was not the requester who asked.
    Report,
}

impl Verdict {
    /// As it stands in statements and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Report => "report",
        }
    }
}

/// An answer whose signature over exactly this approval's statement was checked. Only that check can make one.
#[derive(Clone, Debug)]
pub struct VerifiedAnswer {
    approver: UserId,
    key: SignedWith,
    factor: Factor,
    verdict: Verdict,
    reason: Option<String>,
}

impl VerifiedAnswer {
    /// For the code that has just checked the signature, and for nobody else.
    pub(super) fn checked(approver: UserId, key: SignedWith, factor: Factor, verdict: Verdict, reason: Option<String>) -> Self {
        Self { approver, key, factor, verdict, reason }
    }

    /// What it says.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }
}

/// What happens to an approval.
#[derive(Clone, Debug)]
pub enum Event {
    /// A person answered.
    Answered(VerifiedAnswer),
    /// The bot withdrew it.
    Cancelled,
    /// It came back with a restored backup: what became of it since is not known.
    Voided,
    /// What its bot asks was frozen.
    Frozen,
    /// Its timer rang.
    TimerRang,
}

/// What has to be done because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ring at these people's phones.
    NotifyUsers(Vec<UserId>),
    /// Ring the timer then.
    WakeAt(Timestamp),
    /// Make a grant that may be redeemed until then.
    IssueGrant {
        /// Until when.
        expires_at: Timestamp,
    },
    /// Wake whoever polls for the outcome.
    TellBot,
    /// Take the cards off the phones.
    Withdraw,
}

/// Why an event was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody decided first.
    #[error("already decided")]
    Decided(Decision),
    /// The deadline has passed.
    #[error("expired")]
    Expired,
    /// It was withdrawn.
    #[error("cancelled")]
    Cancelled,
    /// This person may not answer.
    #[error("not an approver")]
    NotAnApprover,
    /// This person has approved already, or this key has.
    #[error("already approved by this person or with this key")]
    AlreadyApproved,
    /// The answer is signed less strongly than the policy asks.
    #[error("the policy asks for a stronger factor: {}", .0.as_str())]
    FactorTooWeak(Factor),
    /// Enough people have approved; it can only be denied now.
    #[error("enough people have approved; until it takes effect it can only be denied")]
    Holding {
        /// When it takes effect.
        until: Timestamp,
    },
}

impl Approval {
    /// What has to be done for a new request.
    #[must_use]
    pub fn requested(&self) -> Vec<Effect> {
        vec![Effect::NotifyUsers(self.approvers()), Effect::WakeAt(self.next_timer())]
    }

    /// Everybody who may approve now.
    #[must_use]
    pub fn approvers(&self) -> Vec<UserId> {
        self.requirement.approvers(self.requester, self.asked)
    }

    /// From when on nobody can approve any more. What was approved by enough people before may still be held.
    #[must_use]
    pub fn answer_by(&self) -> Timestamp {
        self.expires_at.before(self.requirement.delay())
    }

    /// Whether somebody may give this verdict. Whoever an action is asked for may always say that they do not want it.
    #[must_use]
    pub fn may_answer(&self, who: UserId, verdict: Verdict) -> bool {
        self.approvers().contains(&who) || (who == self.requester && verdict != Verdict::Approve)
    }

    /// Nothing, while it can still be decided.
    ///
    /// # Errors
    /// How it ended.
    pub fn open(&self, now: Timestamp) -> Result<(), Refusal> {
        match &self.state {
            State::Pending if now < self.answer_by() => Ok(()),
            State::Holding { .. } if now < self.expires_at => Ok(()),
            State::Pending | State::Holding { .. } | State::Expired { .. } => Err(Refusal::Expired),
            State::Approved(decision) | State::Denied(decision) => Err(Refusal::Decided(decision.clone())),
            State::Cancelled { .. } => Err(Refusal::Cancelled),
        }
    }

    /// The one way an approval changes.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub fn step(self, event: Event, now: Timestamp) -> Result<(Self, Vec<Effect>), Refusal> {
        match event {
            // First of all, so that somebody who may not answer does not learn from the refusal what became of it.
            Event::Answered(answer) if !self.may_answer(answer.approver, answer.verdict) => Err(Refusal::NotAnApprover),
            Event::Answered(answer) => {
                self.open(now)?;
                self.answered(answer, now)
            }
            Event::Cancelled if matches!(self.state, State::Cancelled { .. }) => Ok((self, Vec::new())),
            Event::Cancelled => {
                self.open(now)?;
                Ok(self.ended(State::Cancelled { at: now, frozen: false }, None))
            }
            Event::Voided => Ok(self.stopped(now, false)),
            Event::Frozen => Ok(self.stopped(now, true)),
            Event::TimerRang => Ok(self.timer_rang(now)),
        }
    }

    fn answered(mut self, answer: VerifiedAnswer, now: Timestamp) -> Result<(Self, Vec<Effect>), Refusal> {
        let VerifiedAnswer { approver, key, factor, verdict, reason } = answer;
        if verdict != Verdict::Approve {
            return Ok(self.ended(State::Denied(Decision { by: approver, at: now, verdict, reason }), None));
        }
        if let State::Holding { until } = self.state {
            return Err(Refusal::Holding { until });
        }
        if factor < self.requirement.factor {
            return Err(Refusal::FactorTooWeak(self.requirement.factor));
        }
        if self.given.iter().any(|given| given.by == approver || given.key == key) {
            return Err(Refusal::AlreadyApproved);
        }
        let timer = self.next_timer();
        self.given.push(Given { by: approver, key, factor, at: now });
        Ok(self.counted(timer, now))
    }

    /// Approved or held when enough people have approved; `timer` is the one that is set.
    fn counted(self, timer: Timestamp, now: Timestamp) -> (Self, Vec<Effect>) {
        if !self.requirement.is_met(self.requester, self.asked, &self.given) {
            return (self, Vec::new());
        }
        if self.requirement.delay_seconds == 0 {
            return self.approved(now);
        }
        let until = now.after(self.requirement.delay());
        // A timer that rings before then is set again when it does.
        let wake = (until < timer).then_some(Effect::WakeAt(until));
        (Self { state: State::Holding { until }, ..self }, wake.into_iter().collect())
    }

    fn approved(self, now: Timestamp) -> (Self, Vec<Effect>) {
        let Some(last) = self.given.last() else { return (self, Vec::new()) };
        let decision = Decision { by: last.by, at: now, verdict: Verdict::Approve, reason: None };
        self.ended(State::Approved(decision), Some(Effect::IssueGrant { expires_at: now.after(GRANT_TTL) }))
    }

    fn timer_rang(self, now: Timestamp) -> (Self, Vec<Effect>) {
        match self.state {
            State::Approved(_) | State::Denied(_) | State::Expired { .. } | State::Cancelled { .. } => (self, Vec::new()),
            State::Pending | State::Holding { .. } if self.open(now).is_err() => self.ended(State::Expired { at: now }, None),
            State::Pending if now < self.next_timer() => self.set_again(),
            State::Pending => self.ask_next(now),
            State::Holding { until } if now < until => self.set_again(),
            State::Holding { .. } => self.approved(now),
        }
    }

    fn set_again(self) -> (Self, Vec<Effect>) {
        let again = Effect::WakeAt(self.next_timer());
        (self, vec![again])
    }

    /// Asks the next group, if there is one. From now on it has its whole time, and so have those after it.
    fn ask_next(mut self, now: Timestamp) -> (Self, Vec<Effect>) {
        let before = self.approvers();
        if self.asked < self.requirement.groups.len() {
            self.expires_at = self.expires_at.after(self.next_timer().until(now));
            self.asked += 1;
        }
        let joined: Vec<_> = self.approvers().into_iter().filter(|person| !before.contains(person)).collect();
        // Who is in both groups may have approved already.
        let (after, effects) = self.counted(now, now);
        if after.state != State::Pending {
            let held = matches!(after.state, State::Holding { .. }).then(|| Effect::WakeAt(after.next_timer()));
            return (after, held.into_iter().chain(effects).collect());
        }
        let notify = (!joined.is_empty()).then_some(Effect::NotifyUsers(joined));
        let wake = Effect::WakeAt(after.next_timer());
        (after, notify.into_iter().chain([wake]).collect())
    }

    /// When the timer has to ring, while it is open: each group that is not asked yet has its time after that.
    fn next_timer(&self) -> Timestamp {
        match self.state {
            State::Holding { until } => until,
            State::Pending | State::Approved(_) | State::Denied(_) | State::Expired { .. } | State::Cancelled { .. } => {
                let to_come = u32::try_from(self.requirement.groups.len().saturating_sub(self.asked)).unwrap_or(u32::MAX);
                let window = Duration::from_secs(self.requirement.window_seconds.into());
                self.answer_by().before(window.saturating_mul(to_come))
            }
        }
    }

    /// Withdrawn, whoever may have wanted it, unless it has ended.
    fn stopped(self, at: Timestamp, frozen: bool) -> (Self, Vec<Effect>) {
        match self.state {
            State::Pending | State::Holding { .. } => self.ended(State::Cancelled { at, frozen }, None),
            State::Approved(_) | State::Denied(_) | State::Expired { .. } | State::Cancelled { .. } => (self, Vec::new()),
        }
    }

    fn ended(self, state: State, first: Option<Effect>) -> (Self, Vec<Effect>) {
        let effects = first.into_iter().chain([Effect::TellBot, Effect::Withdraw]).collect();
        (Self { state, ..self }, effects)
    }
}

#[cfg(test)]
mod tests;
