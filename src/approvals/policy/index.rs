//! Which policies may match an action, told by its type and its target alone.
//!
//! A policy that names its types without patterns is found by them, and any by what its patterns for the target begin or, where they
//! begin with a star, end with.
//!
//! **Invariants**
//! - What is left out certainly does not match; what is found may still not match.
//! - Places are found in ascending order, each once.

use std::collections::{BTreeSet, HashMap};

use super::glob::Glob;

/// The places of policies in a list.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// For each type that is named without a pattern, those that name it.
    named: HashMap<String, ByTarget>,
    /// Those that take any type, or patterns of types.
    others: ByTarget,
}

#[derive(Debug, Default)]
struct ByTarget {
    heads: Ends,
    tails: Ends,
    /// Those that take any target, or a pattern without literal ends.
    any: Vec<usize>,
}

/// Places by how a text begins, or ends.
#[derive(Debug, Default)]
struct Ends {
    places: HashMap<String, Vec<usize>>,
    /// How long the ends are, bytes.
    lengths: BTreeSet<usize>,
}

impl Index {
    /// Adds the policy at `place`, with its patterns.
    pub(super) fn insert(&mut self, place: usize, types: Option<&[Glob]>, targets: Option<&[Glob]>) {
        let literal = |glob: &Glob| glob.literal().map(str::to_owned);
        match types.and_then(|types| types.iter().map(literal).collect::<Option<BTreeSet<_>>>()) {
            Some(types) => types.into_iter().for_each(|kind| self.named.entry(kind).or_default().insert(place, targets)),
            None => self.others.insert(place, targets),
        }
    }

    /// The places of those that may match.
    #[expect(clippy::stable_sort_primitive, reason = "a few ascending runs, which only the stable sort merges in linear time")]
    pub(super) fn find(&self, kind: &str, target: &str) -> Vec<usize> {
        let mut found = Vec::new();
        for by_target in self.named.get(kind).into_iter().chain([&self.others]) {
            by_target.find(target, &mut found);
        }
        found.sort();
        found.dedup();
        found
    }
}

impl ByTarget {
    fn insert(&mut self, place: usize, targets: Option<&[Glob]>) {
        let Some(targets) = targets else { return self.any.push(place) };
        for glob in targets {
            match (glob.head(), glob.tail()) {
                ("", "") => self.any.push(place),
                ("", tail) => self.tails.insert(tail, place),
                (head, _) => self.heads.insert(head, place),
            }
        }
    }

    fn find(&self, target: &str, found: &mut Vec<usize>) {
        self.heads.find(|length| target.get(..length), found);
        self.tails.find(|length| target.get(target.len().checked_sub(length)?..), found);
        found.extend(&self.any);
    }
}

impl Ends {
    fn insert(&mut self, end: &str, place: usize) {
        self.lengths.insert(end.len());
        self.places.entry(end.to_owned()).or_default().push(place);
    }

    /// `cut` gives the end of that length, when the text has one.
    fn find<'t>(&self, cut: impl Fn(usize) -> Option<&'t str>, found: &mut Vec<usize>) {
        for end in self.lengths.iter().filter_map(|&length| cut(length)) {
            found.extend(self.places.get(end).into_iter().flatten());
        }
    }
}
