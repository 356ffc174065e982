//! All policies, made ready for finding the one that rules.

use super::glob::Glob;
use super::index::Index;
use super::order::{Rank, rank};
use super::{Absent, Accepted, Match, Policy, Room};
use crate::approvals::machine::Origin;
use crate::approvals::{Action, Param};

/// What a policy looks at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What is to be allowed.
    pub action: &'a Action,
    /// The name of the bot that asks.
    pub bot: &'a str,
    /// Where in chat.
    pub origin: Option<&'a Origin>,
}

/// All policies of one version, the strictest first. Making it costs; asking it does not.
///
/// **Invariants**
/// - Which one rules is what looking at each in turn would say: the index leaves out only what does not match.
#[derive(Debug, Default)]
pub struct PolicySet {
    all: Vec<Compiled>,
    index: Index,
}

#[derive(Debug)]
struct Compiled {
    policy: Policy,
    types: Option<Vec<Glob>>,
    targets: Option<Vec<Glob>>,
    params: Vec<Wanted>,
    rooms: Option<Vec<[Glob; 3]>>,
}

/// What a param has to be.
#[derive(Debug, Default)]
struct Wanted {
    name: String,
    texts: Vec<Glob>,
    ints: Vec<i64>,
    bools: Vec<bool>,
    /// What it means that it is missing, when the policy says.
    absent: Option<bool>,
}

/// What rules an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling<'a> {
    /// There is no policy at all: the built-in one.
    Builtin,
    /// The strictest that matches.
    Policy(&'a Policy),
    /// There are policies and none matches: it is refused.
    Unmatched,
    /// Whether a policy matches cannot be told, and no stricter one does: it is refused.
    Unclear(Doubt<'a>),
}

/// Whether a policy matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit<'a> {
    /// It does.
    Matches,
    /// It does not.
    Not(WhyNot),
    /// All that can be judged matches, and something cannot be judged.
    Unclear(Doubt<'a>),
}

/// A param that a policy looks at and cannot judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The param's name.
    pub param: &'a str,
    /// Why not.
    pub why: Unclear,
}

/// Why a param cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// It is not there, and the policy does not say what that means.
    #[error("it is missing")]
    Missing,
    /// A list or a map.
    #[error("it is a list or a map")]
    Nested,
    /// A text where the policy names integers, and so on.
    #[error("it is of another kind than what the policy names")]
    OtherKind,
}

/// Why a policy does not match: the first condition that fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyNot {
    /// The action's type.
    #[error("its type is none of {0}")]
    Type(String),
    /// The action's target.
    #[error("its target is none of {0}")]
    Target(String),
    /// The bot.
    #[error("the bot is none of {0}")]
    Bot(String),
    /// The room.
    #[error("it was not asked for in a room that is named")]
    Room,
    /// A param that the action does not have, where the policy says that it is not about such actions.
    #[error("it has no param {0}")]
    NoParam(String),
    /// A param with another value.
    #[error("its param {0} is none of {1}")]
    Param(String, String),
}

impl PolicySet {
    /// The set of `policies`, each of which passed [`Policy::check`].
    ///
    /// # Errors
    /// The name of a policy whose patterns do not parse.
    pub fn new(policies: Vec<Policy>) -> Result<Self, String> {
        let mut ranked: Vec<(Rank, Policy)> = policies.into_iter().map(|policy| (rank(&policy), policy)).collect();
        ranked.sort_by(|(a, _), (b, _)| b.cmp(a));
        let mut set = Self::default();
        for (at, (_, policy)) in ranked.into_iter().enumerate() {
            let name = policy.name.as_str().to_owned();
            let compiled = Compiled::new(policy).ok_or(name)?;
            set.index.insert(at, compiled.types.as_deref(), compiled.targets.as_deref());
            set.all.push(compiled);
        }
        Ok(set)
    }

    /// The policies, the strictest first.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.all.iter().map(|compiled| &compiled.policy)
    }

    /// What rules.
    #[must_use]
    pub fn ruling(&self, facts: &Facts<'_>) -> Ruling<'_> {
        if self.all.is_empty() {
            return Ruling::Builtin;
        }
        for at in self.index.find(&facts.action.kind, &facts.action.target) {
            let compiled = &self.all[at];
            match compiled.fits(facts) {
                Fits::No => {}
                Fits::Yes => return Ruling::Policy(&compiled.policy),
                Fits::Unclear(param, why) => return Ruling::Unclear(Doubt { policy: &compiled.policy, param, why }),
            }
        }
        Ruling::Unmatched
    }

    /// Every policy, the strictest first, and whether it matches.
    pub fn judged<'s>(&'s self, facts: &Facts<'s>) -> impl Iterator<Item = (&'s Policy, Fit<'s>)> {
        let facts = *facts;
        self.all.iter().map(move |compiled| (&compiled.policy, compiled.explained(&facts)))
    }
}

/// As [`Fit`] without the words, for it is asked of many policies for every request.
enum Fits<'a> {
    Yes,
    No,
    Unclear(&'a str, Unclear),
}

impl Compiled {
    fn new(policy: Policy) -> Option<Self> {
        let globs = |list: &Option<Vec<String>>| match list {
            None => Some(None),
            Some(list) => list.iter().map(|text| Glob::parse(text).ok()).collect::<Option<Vec<_>>>().map(Some),
        };
        let room = |room: &Room| {
            let part = |text: &String| Glob::parse(text).ok();
            Some([part(&room.platform)?, part(&room.workspace)?, part(&room.room)?])
        };
        let Match { types, targets, params, rooms, .. } = &policy.matching;
        let params = params.iter().map(|(name, list)| Wanted::new(name, list));
        let rooms = rooms.as_ref().map(|rooms| rooms.iter().map(room).collect::<Option<Vec<_>>>());
        let (types, targets, params) = (globs(types)?, globs(targets)?, params.collect::<Option<Vec<_>>>()?);
        let rooms = match rooms {
            Some(rooms) => Some(rooms?),
            None => None,
        };
        Some(Self { policy, types, targets, params, rooms })
    }

    fn fits(&self, facts: &Facts<'_>) -> Fits<'_> {
        // The index has looked at type and target already: what it could not tell apart is told apart by the rest.
        let plain = self.bot_fits(facts.bot)
            && self.room_fits(facts.origin)
            && any(self.targets.as_deref(), &facts.action.target)
            && any(self.types.as_deref(), &facts.action.kind);
        if !plain {
            return Fits::No;
        }
        // A param that does not fit settles it, whatever else cannot be judged.
        let mut unclear = None;
        for wanted in &self.params {
            match wanted.fits(facts.action.params.0.get(&wanted.name)) {
                Ok(true) => {}
                Ok(false) => return Fits::No,
                Err(why) => unclear = unclear.or(Some((wanted.name.as_str(), why))),
            }
        }
        unclear.map_or(Fits::Yes, |(param, why)| Fits::Unclear(param, why))
    }

    fn explained(&self, facts: &Facts<'_>) -> Fit<'_> {
        match self.fits(facts) {
            Fits::Yes => Fit::Matches,
            Fits::Unclear(param, why) => Fit::Unclear(Doubt { policy: &self.policy, param, why }),
            Fits::No => Fit::Not(self.why_not(facts)),
        }
    }

    /// The first condition that fails, in words.
    fn why_not(&self, facts: &Facts<'_>) -> WhyNot {
        let matching = &self.policy.matching;
        let listed = |list: &Option<Vec<String>>| list.as_deref().unwrap_or_default().join(", ");
        if !any(self.types.as_deref(), &facts.action.kind) {
            return WhyNot::Type(listed(&matching.types));
        }
        if !any(self.targets.as_deref(), &facts.action.target) {
            return WhyNot::Target(listed(&matching.targets));
        }
        if !self.bot_fits(facts.bot) {
            let bots: Vec<_> = matching.bots.iter().flatten().map(ToString::to_string).collect();
            return WhyNot::Bot(bots.join(", "));
        }
        self.params.iter().find_map(|wanted| wanted.why_not(facts, matching)).unwrap_or(WhyNot::Room)
    }

    fn bot_fits(&self, bot: &str) -> bool {
        self.policy.matching.bots.as_ref().is_none_or(|bots| bots.iter().any(|known| known.as_str() == bot))
    }

    fn room_fits(&self, origin: Option<&Origin>) -> bool {
        let Some(rooms) = &self.rooms else { return true };
        let Some(origin) = origin else { return false };
        let texts = [&origin.platform, &origin.workspace, &origin.room];
        // The room first, for most are in one workspace.
        rooms.iter().any(|room| room.iter().zip(texts).rev().all(|(glob, text)| glob.matches(text)))
    }
}

fn any(globs: Option<&[Glob]>, text: &str) -> bool {
    globs.is_none_or(|globs| globs.iter().any(|glob| glob.matches(text)))
}

impl Wanted {
    fn new(name: &str, list: &[Accepted]) -> Option<Self> {
        let mut wanted = Self { name: name.to_owned(), ..Self::default() };
        for one in list {
            match one {
                Accepted::Bool(value) => wanted.bools.push(*value),
                Accepted::Int(value) => wanted.ints.push(*value),
                Accepted::Text(text) => wanted.texts.push(Glob::parse(text).ok()?),
                Accepted::Absent(Absent { absent }) => wanted.absent = Some(*absent),
            }
        }
        Some(wanted)
    }

    /// Whether a param fits, or why that cannot be told. What is named of another kind is no answer: `"3"` is neither 3 nor not 3.
    fn fits(&self, param: Option<&Param>) -> Result<bool, Unclear> {
        fn among<T>(list: &[T], is: impl Fn(&T) -> bool) -> Result<bool, Unclear> {
            if list.is_empty() { Err(Unclear::OtherKind) } else { Ok(list.iter().any(is)) }
        }
        match param {
            None => self.absent.ok_or(Unclear::Missing),
            Some(Param::Text(text)) => among(&self.texts, |glob| glob.matches(text)),
            Some(Param::Int(value)) => among(&self.ints, |known| known == value),
            Some(Param::Bool(value)) => among(&self.bools, |known| known == value),
            Some(Param::List(_) | Param::Map(_)) => Err(Unclear::Nested),
        }
    }

    fn why_not(&self, facts: &Facts<'_>, matching: &Match) -> Option<WhyNot> {
        let param = facts.action.params.0.get(&self.name);
        if self.fits(param) != Ok(false) {
            return None;
        }
        if param.is_none() {
            return Some(WhyNot::NoParam(self.name.clone()));
        }
        let accepted = matching.params.get(&self.name).into_iter().flatten().filter_map(|one| match one {
            Accepted::Bool(value) => Some(value.to_string()),
            Accepted::Int(value) => Some(value.to_string()),
            Accepted::Text(text) => Some(text.clone()),
            Accepted::Absent(_) => None,
        });
        Some(WhyNot::Param(self.name.clone(), accepted.collect::<Vec<_>>().join(", ")))
    }
}
