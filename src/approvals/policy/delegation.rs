//! Who answers for whoever is away.
//!
//! A person says from when to when they are away, and may name one who answers for them. For one request, each member of a group is
//!
//! - **there**, and asked in their own right;
//! - **away, with a delegate**, who is asked in their place; or
//! - **away**, and not asked, when they named nobody or somebody who cannot stand in.
//!
//! **Invariants**
//! - A delegation goes one step: a delegate who is away stands in for nobody.
//! - Nobody uses one to approve their own request: whoever it is asked for stands in for nobody, and nobody for them.
//! - A delegate is one person, however many they stand in for, and also when they are a member themselves.
//! - Who is away now does not matter to what was asked before: this is worked out once, when a request is made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::UserId;

/// Who is away at one moment, and whom they named to answer for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Absences(BTreeMap<UserId, Option<UserId>>);

/// One person answers for another, who is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delegation {
    /// Who is away.
    #[serde(rename = "for")]
    pub absent: UserId,
    /// Who answers for them.
    pub by: UserId,
}

/// A group with everybody who is away replaced, or left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staffed {
    /// Who is asked, each once.
    pub members: Vec<UserId>,
    /// Who of them for whom.
    pub delegations: Vec<Delegation>,
    /// Who is away and represented by nobody.
    pub missing: Vec<UserId>,
}

impl FromIterator<(UserId, Option<UserId>)> for Absences {
    fn from_iter<I: IntoIterator<Item = (UserId, Option<UserId>)>>(absences: I) -> Self {
        Self(absences.into_iter().collect())
    }
}

impl Absences {
    /// The group of `named` people as it is asked for a request of `requester`.
    #[must_use]
    pub fn staff(&self, named: &[UserId], requester: UserId) -> Staffed {
        let mut staffed = Staffed::default();
        for &member in named {
            let there = !self.0.contains_key(&member);
            let Some(asked) = (if there { Some(member) } else { self.stands_in(member, requester) }) else {
                staffed.missing.push(member);
                continue;
            };
            if !there {
                staffed.delegations.push(Delegation { absent: member, by: asked });
            }
            if !staffed.members.contains(&asked) {
                staffed.members.push(asked);
            }
        }
        staffed
    }

    /// Who answers for `member`, who is away.
    fn stands_in(&self, member: UserId, requester: UserId) -> Option<UserId> {
        let by = self.0.get(&member).copied().flatten()?;
        let there = !self.0.contains_key(&by);
        (there && member != requester && by != requester && by != member).then_some(by)
    }
}
