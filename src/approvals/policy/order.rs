//! Which of two policies is stricter, and whether a change of the policies weakens.
//!
//! **The order.** Policies are compared by these, the first that differs deciding; what is named first is stricter:
//!
//! 1. more people who must say yes (the smallest quorum, and one more for a requester who must approve and counts in no group)
//! 2. a requester who does not count in the groups
//! 3. the stronger least factor
//! 4. a requester who must approve themselves
//! 5. the longer delay
//! 6. the shorter time to answer
//! 7. fewer groups that are asked after the first
//! 8. a named executor
//! 9. a grant that is bound to a key
//! 10. no break-glass
//! 11. more conditions in the match, and then
//! 12. the name that sorts first, so that no two are equal.
//!
//! **Weakening.** A change weakens unless it is certain that whatever is allowed after it was allowed before it, by the same answers.
//! That needs more than the order: two taps rank above one passkey and do not imply it. What a policy cannot judge it refuses, and so a
//! policy that could judge more, or that comes before one that cannot judge, weakens too. What is not certain counts as weakening.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{Absent, Accepted, Factor, Group, Match, OnNoAnswer, Policy, Require};

/// Where a policy stands; the greatest rules.
#[expect(clippy::struct_excessive_bools, reason = "each is a step of the order")]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    people: u32,
    excluded: bool,
    factor: Factor,
    requester: bool,
    delay: u32,
    time: Reverse<u64>,
    groups: Reverse<usize>,
    executor: bool,
    bound_grant: bool,
    no_break_glass: bool,
    conditions: usize,
    name: Reverse<String>,
}

pub(super) fn rank(policy: &Policy) -> Rank {
    let require = &policy.require;
    let groups = require.groups.len();
    Rank {
        people: require.people(),
        excluded: require.excludes(),
        factor: require.factor,
        requester: require.requester,
        delay: require.delay,
        time: Reverse(u64::from(require.expires_in) * groups.max(1) as u64),
        groups: Reverse(groups),
        executor: require.executor.is_some(),
        bound_grant: require.bound_grant,
        no_break_glass: !require.break_glass,
        conditions: policy.matching.conditions(),
        name: Reverse(policy.name.as_str().to_owned()),
    }
}

impl Require {
    /// What holds while there is no policy: the requester's own passkey. The bot says for how long, up to an hour.
    #[must_use]
    pub fn builtin() -> Self {
        Self {
            requester: true,
            groups: Vec::new(),
            factor: Factor::Passkey,
            expires_in: 3_600,
            requester_excluded: true,
            executor: None,
            delay: 0,
            on_no_answer: OnNoAnswer::Refuse,
            bound_grant: false,
            break_glass: true,
        }
    }

    fn excludes(&self) -> bool {
        self.requester_excluded && !self.groups.is_empty()
    }

    /// The fewest people who are enough.
    fn people(&self) -> u32 {
        let least = self.groups.iter().map(|group| group.quorum).min();
        least.map_or(1, |least| least + u32::from(self.requester && self.requester_excluded))
    }

    /// Whether whatever satisfies this also satisfies `other`, at the same time and redeemed by the same bot.
    pub(super) fn implies(&self, other: &Self) -> bool {
        let time = if self.groups.len() > 1 || other.groups.len() > 1 {
            // How soon the next group is asked cuts both ways.
            self.expires_in == other.expires_in
        } else {
            self.expires_in <= other.expires_in
        };
        time && self.factor >= other.factor
            && self.requester >= other.requester
            && self.excludes() >= other.excludes()
            && self.delay >= other.delay
            && self.executor == other.executor
            && self.bound_grant >= other.bound_grant
            && self.break_glass <= other.break_glass
            && self.implies_groups_of(other)
    }

    fn implies_groups_of(&self, other: &Self) -> bool {
        if other.groups.is_empty() {
            return self.groups.len() <= 1;
        }
        // A group that is asked now must not stand for one that would be asked only later.
        let implied = |(at, group): (usize, &Group)| other.groups.iter().take(at + 1).any(|theirs| group.implies(theirs));
        !self.groups.is_empty() && self.groups.len() <= other.groups.len() && self.groups.iter().enumerate().all(implied)
    }
}

impl Group {
    fn implies(&self, other: &Self) -> bool {
        self.quorum >= other.quorum
            && self.users.iter().all(|user| other.users.contains(user))
            && self.teams.iter().all(|team| other.teams.contains(team))
    }
}

impl Match {
    /// How many things must fit.
    fn conditions(&self) -> usize {
        let named = [self.types.is_some(), self.targets.is_some(), self.bots.is_some(), self.rooms.is_some()];
        named.into_iter().filter(|named| *named).count() + self.params.len()
    }

    /// Whether this certainly matches whatever `other` matches. Patterns are compared as they are written.
    fn covers(&self, other: &Self) -> bool {
        fn wider<T: PartialEq>(ours: Option<&[T]>, theirs: Option<&[T]>) -> bool {
            match (ours, theirs) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(ours), Some(theirs)) => theirs.iter().all(|one| ours.contains(one)),
            }
        }
        let param = |(name, ours): (&String, &Vec<_>)| wider(Some(ours), other.params.get(name).map(Vec::as_slice));
        wider(self.types.as_deref(), other.types.as_deref())
            && wider(self.targets.as_deref(), other.targets.as_deref())
            && wider(self.bots.as_deref(), other.bots.as_deref())
            && wider(self.rooms.as_deref(), other.rooms.as_deref())
            && self.params.iter().all(param)
    }

    /// Whether this certainly cannot judge what `other` cannot, given that it [`covers`](Self::covers) it.
    fn doubts_like(&self, other: &Self) -> bool {
        let same = |(name, theirs): (&String, &Vec<_>)| self.params.get(name).is_some_and(|ours| kinds(ours) == kinds(theirs));
        other.params.iter().all(same)
    }

    /// Whether `other` certainly can judge the params of whatever this matches.
    fn settles(&self, other: &Self) -> bool {
        let judged = |(name, theirs): (&String, &Vec<_>)| {
            let ours = self.params.get(name).map(|ours| matched_kinds(ours));
            ours.is_some_and(|ours| ours.is_subset(&kinds(theirs)))
        };
        other.params.iter().all(judged)
    }
}

/// What a param can be, as far as it decides whether a condition can judge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Bool,
    Int,
    Text,
    Missing,
}

/// What a condition can judge.
fn kinds(accepted: &[Accepted]) -> BTreeSet<Kind> {
    accepted
        .iter()
        .map(|one| match one {
            Accepted::Bool(_) => Kind::Bool,
            Accepted::Int(_) => Kind::Int,
            Accepted::Text(_) => Kind::Text,
            Accepted::Absent(_) => Kind::Missing,
        })
        .collect()
}

/// What a condition can match.
fn matched_kinds(accepted: &[Accepted]) -> BTreeSet<Kind> {
    let mut kinds = kinds(accepted);
    if accepted.contains(&Accepted::Absent(Absent { absent: false })) {
        kinds.remove(&Kind::Missing);
    }
    kinds
}

/// Why a change of the policies weakens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakening {
    /// What the policy demanded is demanded no more.
    #[error("it takes a policy away")]
    Removed,
    /// It asks less than the built-in policy, which held until now.
    #[error("it asks less than the requester's own passkey, which was asked until now")]
    BelowBuiltin,
    /// It lets pass what no policy matched, and was therefore refused.
    #[error("it allows actions that were refused because no policy matched them")]
    Widens,
    /// It does not ask everything that the policy asked before.
    #[error("it asks less than it did, or of other actions")]
    BelowItself,
    /// It takes the place of a policy whose demands it does not include.
    #[error("it would rule in place of {0}, whose demands it does not include or which refuses what it cannot judge")]
    Outranks(String),
}

/// Whether setting `name` to `after` (`None`: taking it away) weakens the policies `before`.
#[must_use]
pub fn weakening(before: &[Policy], name: &str, after: Option<&Policy>) -> Option<Weakening> {
    let old = before.iter().find(|policy| policy.name.as_str() == name);
    let Some(new) = after else { return old.map(|_| Weakening::Removed) };
    if before.is_empty() {
        return (!new.require.implies(&Require::builtin())).then_some(Weakening::BelowBuiltin);
    }
    let same_match = old.is_some_and(|old| old.matching == new.matching);
    if let Some(old) = old
        && !(new.matching.covers(&old.matching)
            && new.matching.doubts_like(&old.matching)
            && new.require.implies(&old.require)
            && rank(new) >= rank(old))
    {
        return Some(Weakening::BelowItself);
    }
    if !same_match && !before.iter().any(|policy| policy.matching.covers(&new.matching)) {
        return Some(Weakening::Widens);
    }
    let overtaken = |other: &&Policy| {
        let ruled = old.is_some_and(|old| same_match && rank(other) < rank(old));
        other.name != new.name && !ruled && rank(other) < rank(new)
    };
    let kept = |other: &&Policy| new.require.implies(&other.require) && new.matching.settles(&other.matching);
    let lost = before.iter().filter(overtaken).find(|other| !kept(other));
    lost.map(|other| Weakening::Outranks(other.name.as_str().to_owned()))
}
