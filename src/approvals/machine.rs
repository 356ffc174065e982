//! The approval machine.
//!
//! ```text
//!                    Answered(approve) ──► approved   + IssueGrant, TellBot, Withdraw
//!                   /
//!   request ──► pending ── Answered(deny) ──► denied  + TellBot, Withdraw
//!                   \── Cancelled ──► cancelled       + TellBot, Withdraw
//!                    \── DeadlinePassed ──► expired   + TellBot, Withdraw
//! ```
//!
//! **Invariants**
//! - Terminal states never change: another answer is refused, a late timer does nothing.
//! - Who may not answer is told only that, whatever became of it.
//! - At or after the deadline nothing is approved, whether or not the timer has rung.
//! - A timer that rings early is set again; one that rings twice changes nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Action;
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
    /// From when on nothing is approved.
    pub expires_at: Timestamp,
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

/// What it takes to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The policy that said so.
    pub policy: PolicyRef,
    /// The least factor an approval needs.
    pub factor: Factor,
    /// Who may answer.
    pub approvers: Vec<UserId>,
}

/// A policy, by name and by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PolicyRef {
    /// Its name.
    pub name: String,
    /// `H("phoneops.policy.v1", JCS(policy))`, base64url.
    pub sha256: String,
}

/// How an answer is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// A passkey that verified its user (WebAuthn).
    Passkey,
}

/// What became of an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Waiting for an answer.
    Pending,
    /// Allowed.
    Approved(Decision),
    /// Refused by a person.
    Denied(Decision),
    /// Nobody answered in time.
    Expired {
        /// When that was noticed.
        at: Timestamp,
    },
    /// Withdrawn by the bot.
    Cancelled {
        /// When.
        at: Timestamp,
    },
}

/// Who decided, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The person.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
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
}

impl Verdict {
    /// As it stands in statements and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

/// An answer whose signature over exactly this approval's statement was checked. Only that check can make one.
#[derive(Clone, Debug)]
pub struct VerifiedAnswer {
    approver: UserId,
    verdict: Verdict,
    reason: Option<String>,
}

impl VerifiedAnswer {
    /// For the code that has just checked the signature, and for nobody else.
    pub(super) fn checked(approver: UserId, verdict: Verdict, reason: Option<String>) -> Self {
        Self { approver, verdict, reason }
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
    /// The deadline's timer rang.
    DeadlinePassed,
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
    /// The bot withdrew it.
    #[error("cancelled")]
    Cancelled,
    /// This person may not answer.
    #[error("not an approver")]
    NotAnApprover,
}

impl Approval {
    /// What has to be done for a new request.
    #[must_use]
    pub fn requested(&self) -> Vec<Effect> {
        vec![Effect::NotifyUsers(self.requirement.approvers.clone()), Effect::WakeAt(self.expires_at)]
    }

    /// The one way an approval changes.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub fn step(self, event: Event, now: Timestamp) -> Result<(Self, Vec<Effect>), Refusal> {
        // First of all, so that somebody who may not answer does not learn from the refusal who did.
        if let Event::Answered(answer) = &event
            && !self.requirement.approvers.contains(&answer.approver)
        {
            return Err(Refusal::NotAnApprover);
        }
        match (&self.state, event) {
            (State::Pending, Event::Answered(answer)) => self.answered(answer, now),
            (State::Pending, Event::Cancelled) if now >= self.expires_at => Err(Refusal::Expired),
            (State::Pending, Event::Cancelled) => Ok(self.ended(State::Cancelled { at: now }, None)),
            (State::Pending, Event::DeadlinePassed) if now < self.expires_at => {
                let again = Effect::WakeAt(self.expires_at);
                Ok((self, vec![again]))
            }
            (State::Pending, Event::DeadlinePassed) => Ok(self.ended(State::Expired { at: now }, None)),
            (State::Cancelled { .. }, Event::Cancelled)
            | (State::Approved(_) | State::Denied(_) | State::Expired { .. } | State::Cancelled { .. }, Event::DeadlinePassed) => {
                Ok((self, Vec::new()))
            }
            (State::Approved(decision) | State::Denied(decision), Event::Answered(_) | Event::Cancelled) => {
                Err(Refusal::Decided(decision.clone()))
            }
            (State::Expired { .. }, Event::Answered(_) | Event::Cancelled) => Err(Refusal::Expired),
            (State::Cancelled { .. }, Event::Answered(_)) => Err(Refusal::Cancelled),
        }
    }

    fn answered(self, answer: VerifiedAnswer, now: Timestamp) -> Result<(Self, Vec<Effect>), Refusal> {
        if now >= self.expires_at {
            return Err(Refusal::Expired);
        }
        let decision = Decision { by: answer.approver, at: now, reason: answer.reason };
        Ok(match answer.verdict {
            Verdict::Approve => {
                self.ended(State::Approved(decision), Some(Effect::IssueGrant { expires_at: now.after(GRANT_TTL) }))
            }
            Verdict::Deny => self.ended(State::Denied(decision), None),
        })
    }

    fn ended(self, state: State, first: Option<Effect>) -> (Self, Vec<Effect>) {
        let effects = first.into_iter().chain([Effect::TellBot, Effect::Withdraw]).collect();
        (Self { state, ..self }, effects)
    }
}

#[cfg(test)]
mod tests;
