//! A schedule with all it takes to say who is on call: its overrides, and the people by name.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Override, Schedule, store};
use crate::clock::Timestamp;
use crate::db::{self, Db};
use crate::id::{OverrideId, UserId};
use crate::identity::User;
use crate::journal::Actor;
use crate::oncall::{self, Current, Span, Stint, Why};

/// How far away the ends of a stint are looked for.
pub(super) const REACH: Duration = Duration::from_hours(24 * 62);

/// Why somebody is on call, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// By their turn in the layer of this name.
    Layer(String),
    /// By an override.
    Override {
        /// Which.
        id: OverrideId,
        /// The name of who made it.
        by: String,
        /// In whose place.
        instead_of: Option<User>,
    },
}

/// Who is on call, from when until when, by name; nobody in a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShiftView {
    /// When.
    pub span: Span,
    /// Who, and why.
    pub who: Option<(User, Because)>,
}

/// People by id, whether they left or not.
pub(super) type People = Arc<HashMap<UserId, User>>;

/// A schedule, its overrides, and its people.
pub(super) struct Roster {
    pub(super) schedule: Schedule,
    pub(super) overrides: Vec<Override>,
    pub(super) people: People,
    pub(super) calculated: oncall::Schedule<UserId>,
}

impl Roster {
    /// With the overrides that end after `from`.
    pub(super) async fn load(db: &mut Db<'_>, schedule: Schedule, from: Timestamp) -> db::Result<Self> {
        let mut all = Self::load_all(db, vec![schedule], from).await?;
        Ok(all.pop().expect("as many as there were schedules"))
    }

    /// One of each schedule, in their order, with the overrides that end after `from`: three statements, however many there are.
    pub(super) async fn load_all(db: &mut Db<'_>, schedules: Vec<Schedule>, from: Timestamp) -> db::Result<Vec<Self>> {
        let ids: Vec<Uuid> = schedules.iter().map(|schedule| schedule.id.0).collect();
        let mut overrides: HashMap<_, Vec<Override>> = HashMap::new();
        for over in store::overrides_of(db, &ids, from).await? {
            overrides.entry(over.schedule).or_default().push(over);
        }
        let mut rosters = Vec::with_capacity(schedules.len());
        for schedule in schedules {
            let overrides = overrides.remove(&schedule.id).unwrap_or_default();
            let calculated = schedule.calculated(&overrides)?;
            rosters.push(Self { schedule, overrides, people: People::default(), calculated });
        }
        let named: BTreeSet<Uuid> = rosters.iter().flat_map(Self::named).map(|user| user.0).collect();
        let named: Vec<_> = named.into_iter().collect();
        let found = store::people(db, &named).await?;
        let people: People = Arc::new(found.into_iter().map(|user| (user.id, user)).collect());
        for roster in &mut rosters {
            roster.people = people.clone();
        }
        Ok(rosters)
    }

    /// Everybody it names.
    fn named(&self) -> impl Iterator<Item = UserId> {
        let turns = self.calculated.layers.iter().flat_map(|layer| layer.rotation.people.iter().copied());
        let overrides = self.overrides.iter().flat_map(|over| {
            let maker = match over.made_by {
                Actor::User { user, .. } => Some(user),
                _ => None,
            };
            [Some(over.user), over.instead_of, maker].into_iter().flatten()
        });
        turns.chain(overrides)
    }

    /// Whether somebody takes turns, or takes the pager for a while.
    pub(super) fn has(&self, user: UserId) -> bool {
        let turns = self.calculated.layers.iter().any(|layer| layer.rotation.people.contains(&user));
        turns || self.overrides.iter().any(|over| over.user == user)
    }

    /// The people who take turns and have not left, each once.
    pub(super) fn takers(&self) -> BTreeSet<UserId> {
        let turns = self.calculated.layers.iter().flat_map(|layer| layer.rotation.people.iter().copied());
        turns.filter(|user| self.is_here(*user)).collect()
    }

    fn is_here(&self, user: UserId) -> bool {
        self.people.get(&user).is_some_and(|user| user.removed_at.is_none())
    }

    pub(super) fn stints(&self, within: Span) -> Vec<Stint<UserId>> {
        self.calculated.stints(within, |user| self.is_here(*user))
    }

    pub(super) fn stint_at(&self, at: Timestamp, reach: Duration) -> Current<UserId> {
        self.calculated.stint_at(at, reach, |user| self.is_here(*user))
    }

    /// When nobody is on call during `within`.
    pub(super) fn gaps(&self, within: Span) -> Vec<Span> {
        self.stints(within).into_iter().filter(|stint| stint.who.is_none()).map(|stint| stint.span).collect()
    }

    /// What is shown of each shift during `within`.
    pub(super) fn shifts(&self, within: Span) -> db::Result<Vec<ShiftView>> {
        let shown = |shift: oncall::Shift<UserId>| {
            let who = match shift.covered {
                oncall::Covered::By(user, why) if self.is_here(user) => Some((self.person(user)?, self.because(why)?)),
                oncall::Covered::By(..) | oncall::Covered::Gap => None,
            };
            Ok(ShiftView { span: shift.span, who })
        };
        self.calculated.shifts(within).into_iter().map(shown).collect()
    }

    pub(super) fn person(&self, id: UserId) -> db::Result<User> {
        self.people
            .get(&id)
            .cloned()
            .ok_or_else(|| db::Error::inconsistent("schedules", self.schedule.id, format!("{id} is nobody")))
    }

    pub(super) fn because(&self, why: Why) -> db::Result<Because> {
        Ok(match why {
            Why::Layer(place) => Because::Layer(self.calculated.layers[place].name.clone()),
            Why::Override(place) => {
                let over = &self.overrides[place];
                let instead_of = over.instead_of.map(|user| self.person(user)).transpose()?;
                Because::Override { id: over.id, by: self.maker(over)?, instead_of }
            }
        })
    }

    /// The name of who made an override.
    pub(super) fn maker(&self, over: &Override) -> db::Result<String> {
        Ok(match over.made_by {
            Actor::User { user, .. } => self.person(user)?.name.as_str().to_owned(),
            _ => "the operator".to_owned(),
        })
    }
}
