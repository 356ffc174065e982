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
//!
//!   pending ── GlassBroken ──► breaking glass                                      + TellOfBreakGlass, WakeAt, TellBot
//!   breaking glass ── TimerRang (the wait is over) ──► opened                      + IssueGrant, TellBot, Withdraw
//!                 ├── Answered(deny | report) ──► denied                         + TellBot, Withdraw
//!                 ├── Cancelled | Voided | Frozen ──► cancelled                    + TellBot, Withdraw
//!                 └── TimerRang (long after) ──► expired                           + TellBot, Withdraw
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
//! - What is opened by break-glass was approved by nobody, and says so: it has no decision. Everybody who could have answered, and every
//!   administrator, was told, and had the whole wait to deny it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Action;
use super::policy::{Factor, Given, Requirement, SignedWith};
use crate::clock::Timestamp;
use crate::id::{ApprovalId, BotId, UserId};

/// How long a grant may be redeemed after the approval.
pub const GRANT_TTL: Duration = Duration::from_mins(5);

/// The least time between break-glass and its effect.
pub const LEAST_BREAK_GLASS_WAIT: Duration = Duration::from_mins(1);

/// How much later than the wait the timer of a break-glass may ring and still open: whoever broke the glass then is not looking at another
/// day.
const BREAK_GLASS_LATE: Duration = Duration::from_mins(5);

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
    /// From when on nothing is approved: the time to answer, and the delay. Later than at first once a group was asked late, or the glass
    /// was broken.
    pub expires_at: Timestamp,
    /// The RFC 7638 thumbprint of the key that the grant is bound to.
    pub bound_to: Option<[u8; 32]>,
    /// How many of the requirement's groups have been asked; 1 when it has none.
    pub asked: usize,
    /// Who has approved, in order.
    pub given: Vec<Given>,
    /// Break-glass, once somebody did that.
    pub break_glass: Option<BreakGlass>,
    /// What became of it.
    pub state: State,
}

/// What is known of a break-glass: the operator, on the server itself, opens a request that nobody answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakGlass {
    /// When.
    pub at: Timestamp,
    /// When it opens unless somebody denies.
    pub until: Timestamp,
    /// Why, in the operator's own words.
    pub reason: String,
    /// Who was told, each of whom may deny: everybody who could have answered, the requester, the administrators.
    pub told: Vec<UserId>,
    /// When the request would have expired.
    pub expires_at: Timestamp,
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
    /// The glass was broken. It opens unless somebody denies.
    BreakingGlass {
        /// When.
        until: Timestamp,
    },
    /// Allowed by break-glass: nobody approved it.
    Opened {
        /// When.
        at: Timestamp,
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

impl State {
    /// What a person decided, once one has.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Approved(decision) | Self::Denied(decision) => Some(decision),
            Self::Pending
            | Self::Holding { .. }
            | Self::BreakingGlass { .. }
            | Self::Opened { .. }
            | Self::Expired { .. }
            | Self::Cancelled { .. } => None,
        }
    }
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
    /// The operator, on the server itself, says that nobody who could answer can be reached.
    GlassBroken {
        /// Why.
        reason: String,
        /// How long it can be denied; at least [`LEAST_BREAK_GLASS_WAIT`], and never shorter than the policy's delay.
        wait: Duration,
        /// Who is told beside those who could have answered.
        admins: Vec<UserId>,
    },
}

/// What has to be done because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ring at these people's phones.
    NotifyUsers(Vec<UserId>),
    /// Tell these people of the break-glass, and let them deny it.
    TellOfBreakGlass(Vec<UserId>),
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
    /// The glass was broken; it can only be denied now.
    #[error("the operator broke the glass; until it opens it can only be denied")]
    BreakingGlass {
        /// When it opens.
        until: Timestamp,
    },
    /// It was opened by break-glass.
    #[error("already opened by break-glass")]
    Opened {
        /// When.
        at: Timestamp,
    },
    /// The policy does not allow break-glass.
    #[error("policy {0} forbids break-glass")]
    BreakGlassForbidden(String),
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
        let told = || self.break_glass.as_ref().is_some_and(|glass| glass.told.contains(&who));
        self.approvers().contains(&who) || (verdict != Verdict::Approve && (who == self.requester || told()))
    }

    /// Whether it was allowed, by whomever.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self.state, State::Approved(_) | State::Opened { .. })
    }

    /// Whether nobody has decided, and somebody still can.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Pending | State::Holding { .. } | State::BreakingGlass { .. })
    }

    /// Nothing, while it can still be decided.
    ///
    /// # Errors
    /// How it ended.
    pub fn open(&self, now: Timestamp) -> Result<(), Refusal> {
        match &self.state {
            State::Pending if now < self.answer_by() => Ok(()),
            State::Holding { .. } | State::BreakingGlass { .. } if now < self.expires_at => Ok(()),
            State::Pending | State::Holding { .. } | State::BreakingGlass { .. } | State::Expired { .. } => Err(Refusal::Expired),
            State::Opened { at } => Err(Refusal::Opened { at: *at }),
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
            Event::GlassBroken { reason, wait, admins } => {
                self.open(now)?;
                self.glass_broken(reason, wait, admins, now)
            }
        }
    }

    fn answered(mut self, answer: VerifiedAnswer, now: Timestamp) -> Result<(Self, Vec<Effect>), Refusal> {
        let VerifiedAnswer { approver, key, factor, verdict, reason } = answer;
        if verdict != Verdict::Approve {
            return Ok(self.ended(State::Denied(Decision { by: approver, at: now, verdict, reason }), None));
        }
        match self.state {
            State::Holding { until } => return Err(Refusal::Holding { until }),
            State::BreakingGlass { until } => return Err(Refusal::BreakingGlass { until }),
            _ => {}
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

    /// The same again, whose reply was lost, changes nothing: what was said first holds.
    fn glass_broken(
        self,
        reason: String,
        wait: Duration,
        admins: Vec<UserId>,
        now: Timestamp,
    ) -> Result<(Self, Vec<Effect>), Refusal> {
        match self.state {
            State::BreakingGlass { .. } => return Ok((self, Vec::new())),
            State::Holding { until } => return Err(Refusal::Holding { until }),
            _ => {}
        }
        if !self.requirement.break_glass {
            return Err(Refusal::BreakGlassForbidden(self.requirement.policy.name.clone()));
        }
        let wait = wait.max(LEAST_BREAK_GLASS_WAIT).max(self.requirement.delay());
        let until = now.after(wait);
        let mut told = self.requirement.approvers(self.requester, self.requirement.groups.len());
        for person in std::iter::once(self.requester).chain(admins) {
            if !told.contains(&person) {
                told.push(person);
            }
        }
        let effects = vec![Effect::TellOfBreakGlass(told.clone()), Effect::WakeAt(until), Effect::TellBot];
        let glass = BreakGlass { at: now, until, reason, told, expires_at: self.expires_at };
        let expires_at = self.expires_at.max(until.after(BREAK_GLASS_LATE));
        Ok((Self { state: State::BreakingGlass { until }, break_glass: Some(glass), expires_at, ..self }, effects))
    }

    fn timer_rang(self, now: Timestamp) -> (Self, Vec<Effect>) {
        match self.state {
            State::Approved(_) | State::Opened { .. } | State::Denied(_) | State::Expired { .. } | State::Cancelled { .. } => {
                (self, Vec::new())
            }
            State::Pending | State::Holding { .. } | State::BreakingGlass { .. } if self.open(now).is_err() => {
                self.ended(State::Expired { at: now }, None)
            }
            // However long the request itself may still be answered: nobody could say no while nothing ran.
            State::BreakingGlass { until } if now >= until.after(BREAK_GLASS_LATE) => {
                self.ended(State::Expired { at: now }, None)
            }
            State::Pending if now < self.next_timer() => self.set_again(),
            State::Pending => self.ask_next(now),
            State::Holding { until } | State::BreakingGlass { until } if now < until => self.set_again(),
            State::Holding { .. } => self.approved(now),
            State::BreakingGlass { .. } => {
                self.ended(State::Opened { at: now }, Some(Effect::IssueGrant { expires_at: now.after(GRANT_TTL) }))
            }
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
            State::Holding { until } | State::BreakingGlass { until } => until,
            State::Pending
            | State::Approved(_)
            | State::Opened { .. }
            | State::Denied(_)
            | State::Expired { .. }
            | State::Cancelled { .. } => {
                let to_come = u32::try_from(self.requirement.groups.len().saturating_sub(self.asked)).unwrap_or(u32::MAX);
                let window = Duration::from_secs(self.requirement.window_seconds.into());
                self.answer_by().before(window.saturating_mul(to_come))
            }
        }
    }

    /// Withdrawn, whoever may have wanted it, unless it has ended.
    fn stopped(self, at: Timestamp, frozen: bool) -> (Self, Vec<Effect>) {
        if self.is_open() { self.ended(State::Cancelled { at, frozen }, None) } else { (self, Vec::new()) }
    }

    fn ended(self, state: State, first: Option<Effect>) -> (Self, Vec<Effect>) {
        let effects = first.into_iter().chain([Effect::TellBot, Effect::Withdraw]).collect();
        (Self { state, ..self }, effects)
    }
}

#[cfg(test)]
mod tests;
