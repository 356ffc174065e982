//! What an action takes, as it is frozen into an approval, and when it is met.
//!
//! **Invariants**
//! - What is met by some approvals is met by more of them.
//! - Nothing is met by nobody; people and keys count once each.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Delegation;
use crate::clock::Timestamp;
use crate::id::{BotId, DeviceId, PasskeyId, UserId};

/// How an answer is signed, the weakest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// The device's key alone: the classic push-approve. For low risk only.
    Tap,
    /// The device's key, and the six digits that the requester's side was shown.
    Code,
    /// A passkey that verified its user (WebAuthn).
    #[default]
    Passkey,
}

impl Factor {
    /// As it stands in statements and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tap => "tap",
            Self::Code => "code",
            Self::Passkey => "passkey",
        }
    }
}

/// A policy, by name and by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PolicyRef {
    /// Its name.
    pub name: String,
    /// `H("phoneops.policy.v1", JCS(policy))`, base64url.
    pub sha256: String,
}

/// What it takes to approve, with everybody named.
#[expect(clippy::struct_excessive_bools, reason = "each is a demand of the policy")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The policy that said so.
    pub policy: PolicyRef,
    /// The least factor an approval needs.
    pub factor: Factor,
    /// Whether the requester must approve it themselves.
    pub requester: bool,
    /// Whether the requester counts in no group.
    pub requester_excluded: bool,
    /// Who else must approve, in the order in which they are asked. Any group that was asked is enough.
    pub groups: Vec<Quorum>,
    /// Who of the groups is asked for whom. Whoever is away is in no group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegations: Vec<Delegation>,
    /// How long each group has, in seconds.
    pub window_seconds: u32,
    /// How long an approval can still be denied before it takes effect, in seconds.
    pub delay_seconds: u32,
    /// Who redeems the grant, when it is not the bot that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<BotId>,
    /// Whether the grant must be bound to a key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bound_grant: bool,
    /// Whether the operator may open it by break-glass. Requests from before there was break-glass say nothing, and may be.
    #[serde(default = "yes", skip_serializing_if = "bool::clone")]
    pub break_glass: bool,
}

fn yes() -> bool {
    true
}

/// People of whom so many must approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// How many.
    pub needed: u32,
    /// Of whom: the members who are there, and the delegates of those who are away. The requester is not among them when excluded.
    pub members: Vec<UserId>,
}

/// The key that signed an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedWith {
    /// A passkey.
    Passkey(PasskeyId),
    /// A device's key.
    Device(DeviceId),
}

/// One person's approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// Who.
    pub by: UserId,
    /// With which key.
    pub key: SignedWith,
    /// How strongly.
    pub factor: Factor,
    /// When.
    pub at: Timestamp,
}

impl Requirement {
    /// How long it can be approved after it was asked for: each group's time, one after the other.
    #[must_use]
    pub fn answer_time(&self) -> Duration {
        let groups = u64::try_from(self.groups.len().max(1)).unwrap_or(u64::MAX);
        Duration::from_secs(u64::from(self.window_seconds) * groups)
    }

    /// How long an approval can still be denied.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_secs(self.delay_seconds.into())
    }

    /// For whom `who` answers beside themselves: everybody who is away and whose delegate they are, in whatever group.
    #[must_use]
    pub fn answers_for(&self, who: UserId) -> Vec<UserId> {
        self.delegations.iter().filter(|delegation| delegation.by == who).map(|delegation| delegation.absent).collect()
    }

    /// Everybody who may approve once the first `asked` groups were asked, each once: the requester first, where they must.
    #[must_use]
    pub fn approvers(&self, requester: UserId, asked: usize) -> Vec<UserId> {
        let mut people = Vec::new();
        let groups = self.groups.iter().take(asked).flat_map(|group| group.members.iter().copied());
        let own = self.requester.then_some(requester);
        for person in own.into_iter().chain(groups.filter(|member| self.counts(requester, *member))) {
            if !people.contains(&person) {
                people.push(person);
            }
        }
        people
    }

    /// Whether these approvals are enough once the first `asked` groups were asked.
    #[must_use]
    pub fn is_met(&self, requester: UserId, asked: usize, given: &[Given]) -> bool {
        let strong: Vec<_> = given.iter().filter(|given| given.factor >= self.factor).collect();
        let own = strong.iter().any(|given| given.by == requester);
        if self.requester && !own {
            return false;
        }
        let enough = |group: &Quorum| {
            let counting: Vec<_> =
                strong.iter().filter(|given| group.members.contains(&given.by) && self.counts(requester, given.by)).collect();
            let people: BTreeSet<_> = counting.iter().map(|given| given.by).collect();
            let keys: BTreeSet<_> = counting.iter().map(|given| given.key).collect();
            let count = people.len().min(keys.len());
            group.needed > 0 && count >= group.needed as usize
        };
        if self.groups.is_empty() { self.requester } else { self.groups.iter().take(asked).any(enough) }
    }

    pub(in crate::approvals) fn counts(&self, requester: UserId, member: UserId) -> bool {
        !(self.requester_excluded && member == requester)
    }
}
