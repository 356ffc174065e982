//! All policies, made ready for finding the one that rules.

use super::glob::Glob;
use super::order::{Rank, rank};
use super::{Accepted, Match, Policy, Room};
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
#[derive(Debug, Default)]
pub struct PolicySet(Vec<Compiled>);

#[derive(Debug)]
struct Compiled {
    policy: Policy,
    types: Option<Vec<Glob>>,
    targets: Option<Vec<Glob>>,
    params: Vec<(String, Vec<Wanted>)>,
    rooms: Option<Vec<[Glob; 3]>>,
}

#[derive(Debug)]
enum Wanted {
    Exactly(Param),
    Like(Glob),
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
    /// A param that the action does not have.
    #[error("it has no param {0}")]
    NoParam(String),
    /// A param with another value.
    #[error("its param {0} is none of {1}")]
    Param(String, String),
    /// A list or a map.
    #[error("its param {0} is a list or a map, which no pattern matches")]
    Nested(String),
    /// The bot.
    #[error("the bot is none of {0}")]
    Bot(String),
    /// The room.
    #[error("it was not asked for in a room that is named")]
    Room,
}

impl PolicySet {
    /// The set of `policies`, each of which passed [`Policy::check`].
    ///
    /// # Errors
    /// The name of a policy whose patterns do not parse.
    pub fn new(policies: Vec<Policy>) -> Result<Self, String> {
        let mut ranked: Vec<(Rank, Policy)> = policies.into_iter().map(|policy| (rank(&policy), policy)).collect();
        ranked.sort_by(|(a, _), (b, _)| b.cmp(a));
        let compile = |(_, policy): (Rank, Policy)| {
            let name = policy.name.as_str().to_owned();
            Compiled::new(policy).ok_or(name)
        };
        ranked.into_iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// The policies, the strictest first.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.0.iter().map(|compiled| &compiled.policy)
    }

    /// What rules.
    #[must_use]
    pub fn ruling(&self, facts: &Facts<'_>) -> Ruling<'_> {
        if self.0.is_empty() {
            return Ruling::Builtin;
        }
        let strictest = self.0.iter().find(|compiled| compiled.matches(facts));
        strictest.map_or(Ruling::Unmatched, |compiled| Ruling::Policy(&compiled.policy))
    }

    /// Every policy, the strictest first, and why it does not match, if it does not.
    pub fn judged<'s>(&'s self, facts: &Facts<'s>) -> impl Iterator<Item = (&'s Policy, Option<WhyNot>)> {
        let facts = *facts;
        self.0.iter().map(move |compiled| (&compiled.policy, compiled.why_not(&facts)))
    }
}

impl Compiled {
    fn new(policy: Policy) -> Option<Self> {
        let globs = |list: &Option<Vec<String>>| match list {
            None => Some(None),
            Some(list) => list.iter().map(|text| Glob::parse(text).ok()).collect::<Option<Vec<_>>>().map(Some),
        };
        let wanted = |accepted: &Accepted| match accepted {
            Accepted::Bool(value) => Some(Wanted::Exactly(Param::Bool(*value))),
            Accepted::Int(value) => Some(Wanted::Exactly(Param::Int(*value))),
            Accepted::Text(text) => Glob::parse(text).ok().map(Wanted::Like),
        };
        let room = |room: &Room| {
            let part = |text: &String| Glob::parse(text).ok();
            Some([part(&room.platform)?, part(&room.workspace)?, part(&room.room)?])
        };
        let Match { types, targets, params, rooms, .. } = &policy.matching;
        let params = params.iter().map(|(name, list)| Some((name.clone(), list.iter().map(wanted).collect::<Option<Vec<_>>>()?)));
        let rooms = rooms.as_ref().map(|rooms| rooms.iter().map(room).collect::<Option<Vec<_>>>());
        let (types, targets, params) = (globs(types)?, globs(targets)?, params.collect::<Option<Vec<_>>>()?);
        let rooms = match rooms {
            Some(rooms) => Some(rooms?),
            None => None,
        };
        Some(Self { policy, types, targets, params, rooms })
    }

    /// As [`Compiled::why_not`] without the words, for it runs over every policy for every request.
    fn matches(&self, facts: &Facts<'_>) -> bool {
        any(self.types.as_deref(), &facts.action.kind)
            && any(self.targets.as_deref(), &facts.action.target)
            && self.params.iter().all(|(name, list)| {
                facts.action.params.0.get(name).is_some_and(|param| list.iter().any(|wanted| wanted.fits(param)))
            })
            && self.bot_fits(facts.bot)
            && self.room_fits(facts.origin)
    }

    fn why_not(&self, facts: &Facts<'_>) -> Option<WhyNot> {
        let matching = &self.policy.matching;
        let listed = |list: &Option<Vec<String>>| list.as_deref().unwrap_or_default().join(", ");
        if !any(self.types.as_deref(), &facts.action.kind) {
            return Some(WhyNot::Type(listed(&matching.types)));
        }
        if !any(self.targets.as_deref(), &facts.action.target) {
            return Some(WhyNot::Target(listed(&matching.targets)));
        }
        if let Some(why) = self.params.iter().find_map(|(name, list)| self.param_why_not(name, list, facts)) {
            return Some(why);
        }
        if !self.bot_fits(facts.bot) {
            let bots: Vec<_> = matching.bots.iter().flatten().map(ToString::to_string).collect();
            return Some(WhyNot::Bot(bots.join(", ")));
        }
        (!self.room_fits(facts.origin)).then_some(WhyNot::Room)
    }

    fn param_why_not(&self, name: &str, list: &[Wanted], facts: &Facts<'_>) -> Option<WhyNot> {
        let name = name.to_owned();
        match facts.action.params.0.get(&name) {
            None => Some(WhyNot::NoParam(name)),
            Some(Param::List(_) | Param::Map(_)) => Some(WhyNot::Nested(name)),
            Some(param) if list.iter().any(|wanted| wanted.fits(param)) => None,
            Some(_) => {
                let accepted = self.policy.matching.params.get(&name).into_iter().flatten().map(|one| match one {
                    Accepted::Bool(value) => value.to_string(),
                    Accepted::Int(value) => value.to_string(),
                    Accepted::Text(text) => text.clone(),
                });
                Some(WhyNot::Param(name, accepted.collect::<Vec<_>>().join(", ")))
            }
        }
    }

    fn bot_fits(&self, bot: &str) -> bool {
        self.policy.matching.bots.as_ref().is_none_or(|bots| bots.iter().any(|known| known.as_str() == bot))
    }

    fn room_fits(&self, origin: Option<&Origin>) -> bool {
        let Some(rooms) = &self.rooms else { return true };
        let Some(origin) = origin else { return false };
        let texts = [&origin.platform, &origin.workspace, &origin.room];
        rooms.iter().any(|room| room.iter().zip(texts).all(|(glob, text)| glob.matches(text)))
    }
}

fn any(globs: Option<&[Glob]>, text: &str) -> bool {
    globs.is_none_or(|globs| globs.iter().any(|glob| glob.matches(text)))
}

impl Wanted {
    fn fits(&self, param: &Param) -> bool {
        match (self, param) {
            (Self::Exactly(wanted), param) => wanted == param,
            (Self::Like(glob), Param::Text(text)) => glob.matches(text),
            (Self::Like(_), _) => false,
        }
    }
}
