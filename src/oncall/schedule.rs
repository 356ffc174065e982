//! Layers of rotations, with overrides above them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::hours::Hours;
use super::rotation::Rotation;
use crate::clock::Timestamp;

/// From one instant until before another, which is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant that is not in it.
    pub until: Timestamp,
}

impl Span {
    /// That span; none when nothing would be in it.
    #[must_use]
    pub fn new(from: Timestamp, until: Timestamp) -> Option<Self> {
        if from < until { Some(Self { from, until }) } else { None }
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Option<Self> {
        Self::new(self.from.max(other.from), self.until.min(other.until))
    }

    /// Whether `at` is in it.
    #[must_use]
    pub fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

/// A rotation that covers some of the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer<P> {
    /// What people call it.
    pub name: String,
    /// Who takes turns.
    pub rotation: Rotation<P>,
    /// The hours of the week it covers; all of them when there are none.
    pub hours: Option<Hours>,
    /// When it ends, by the wall clock.
    pub until: Option<DateTime>,
}

/// Somebody who takes the pager for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override<P> {
    /// Who.
    pub who: P,
    /// When.
    pub span: Span,
    /// In whose place alone, as in a swap; in anybody's, gaps included, when there is none.
    pub instead_of: Option<P>,
}

/// Who is on call when, in one zone.
#[derive(Clone, Debug)]
pub struct Schedule<P> {
    /// Whose wall clock counts.
    pub zone: TimeZone,
    /// The lowest first.
    pub layers: Vec<Layer<P>>,
    /// In the order they were made: later ones win.
    pub overrides: Vec<Override<P>>,
}

/// Why somebody is on call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// By their turn in the layer of this place.
    Layer(usize),
    /// By the override of this place.
    Override(usize),
}

/// Who is on call for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covered<P> {
    /// Somebody.
    By(P, Why),
    /// Nobody: a gap.
    Gap,
}

/// Who is on call, from when until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift<P> {
    /// When.
    pub span: Span,
    /// Who.
    pub covered: Covered<P>,
}

/// The instant of a wall clock's time: later by the jump where it does not exist, the first where it exists twice.
pub(super) fn instant(zone: &TimeZone, wall: DateTime) -> Timestamp {
    let at = zone.to_ambiguous_timestamp(wall).compatible().unwrap_or(jiff::Timestamp::MAX);
    Timestamp::from_micros(at.as_microsecond())
}

impl<P: Clone + Eq> Layer<P> {
    /// From its first turn until its end.
    pub(super) fn life(&self, zone: &TimeZone) -> Option<Span> {
        let until = self.until.map_or(Timestamp::from_micros(i64::MAX), |until| instant(zone, until));
        Span::new(self.rotation.begins(zone, 0), until)
    }

    fn at(&self, zone: &TimeZone, at: Timestamp) -> Option<&P> {
        let this = Span::new(at, Timestamp::from_micros(at.as_micros().saturating_add(1)))?;
        let open = self.hours.as_ref().is_none_or(|hours| !hours.spans(zone, this).is_empty());
        let lives = self.life(zone).is_some_and(|life| life.contains(at));
        if open && lives { self.rotation.number_at(zone, at).map(|number| self.rotation.turn(number)) } else { None }
    }

    /// Its turns within `within`, in order.
    fn turns(&self, zone: &TimeZone, within: Span) -> Vec<(Span, &P)> {
        let Some(life) = self.life(zone).and_then(|life| life.and(within)) else { return Vec::new() };
        let open = self.hours.as_ref().map_or_else(|| vec![life], |hours| hours.spans(zone, life));
        let mut turns = Vec::new();
        for part in open {
            let mut number = self.rotation.number_at(zone, part.from).expect("it is not before the first turn");
            let mut from = part.from;
            while from < part.until {
                let until = self.rotation.begins(zone, number + 1).min(part.until);
                turns.extend(Span::new(from, until).map(|span| (span, self.rotation.turn(number))));
                (from, number) = (until.max(from), number + 1);
            }
        }
        turns
    }
}

impl<P> Schedule<P> {
    /// The same with other names for people, without its overrides.
    ///
    /// # Errors
    /// The first of `name`.
    pub fn named<Q, E>(self, name: impl Fn(P) -> Result<Q, E>) -> Result<Schedule<Q>, E> {
        let layer = |layer: Layer<P>| {
            let Rotation { people, length, first } = layer.rotation;
            let people = people.into_iter().map(&name).collect::<Result<_, E>>()?;
            Ok(Layer { name: layer.name, rotation: Rotation { people, length, first }, hours: layer.hours, until: layer.until })
        };
        let layers = self.layers.into_iter().map(layer).collect::<Result<_, E>>()?;
        Ok(Schedule { zone: self.zone, layers, overrides: Vec::new() })
    }
}

impl<P: Clone + Eq> Schedule<P> {
    /// Who is on call at an instant, and why.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> Covered<P> {
        let by_turn = || {
            let layers = self.layers.iter().enumerate().rev();
            let mut on = layers.filter_map(|(place, layer)| layer.at(&self.zone, at).map(|who| (who.clone(), place)));
            on.next().map_or(Covered::Gap, |(who, place)| Covered::By(who, Why::Layer(place)))
        };
        let mut covered = by_turn();
        for (place, over) in self.overrides.iter().enumerate().filter(|(_, over)| over.span.contains(at)) {
            covered = over.above(covered, place);
        }
        covered
    }

    /// Who is on call during `within`: one after the other, without holes, gaps named.
    #[must_use]
    pub fn shifts(&self, within: Span) -> Vec<Shift<P>> {
        let mut shifts = vec![Shift { span: within, covered: Covered::Gap }];
        for (place, layer) in self.layers.iter().enumerate() {
            let turns = layer.turns(&self.zone, within);
            shifts = overlaid(shifts, &turns, |who, _| Covered::By((*who).clone(), Why::Layer(place)));
        }
        for (place, over) in self.overrides.iter().enumerate() {
            if let Some(span) = over.span.and(within) {
                shifts = overlaid(shifts, &[(span, over)], |over, below| over.above(below, place));
            }
        }
        shifts
    }

    /// When nobody is on call during `within`.
    #[must_use]
    pub fn gaps(&self, within: Span) -> Vec<Span> {
        self.shifts(within).into_iter().filter(|shift| shift.covered == Covered::Gap).map(|shift| shift.span).collect()
    }
}

impl<P: Clone + Eq> Override<P> {
    /// Who is on call where `below` would be without it.
    fn above(&self, below: Covered<P>, place: usize) -> Covered<P> {
        let replaces = match (&self.instead_of, &below) {
            (None, _) => true,
            (Some(of), Covered::By(who, _)) => of == who,
            (Some(_), Covered::Gap) => false,
        };
        if replaces { Covered::By(self.who.clone(), Why::Override(place)) } else { below }
    }
}

/// `pieces`, which are in order and apart, laid over `below`; what says the same is joined.
fn overlaid<P: Clone + Eq, T>(
    below: Vec<Shift<P>>,
    pieces: &[(Span, T)],
    over: impl Fn(&T, Covered<P>) -> Covered<P>,
) -> Vec<Shift<P>> {
    let mut laid: Vec<Shift<P>> = Vec::with_capacity(below.len() + 2 * pieces.len());
    let mut add = |span: Option<Span>, covered: Covered<P>| {
        let Some(span) = span else { return };
        match laid.last_mut() {
            Some(last) if last.covered == covered => last.span.until = span.until,
            _ => laid.push(Shift { span, covered }),
        }
    };
    let mut next = 0;
    for shift in below {
        let mut from = shift.span.from;
        while let Some((piece, what)) = pieces.get(next).filter(|(piece, _)| piece.from < shift.span.until) {
            add(Span::new(from, piece.from), shift.covered.clone());
            let part = Span { from, until: shift.span.until }.and(*piece);
            add(part, over(what, shift.covered.clone()));
            from = from.max(piece.until.min(shift.span.until));
            if piece.until > shift.span.until {
                break;
            }
            next += 1;
        }
        add(Span::new(from, shift.span.until), shift.covered);
    }
    laid
}
