//! What a simulator writes down: the newest so many, under numbers that show when older ones are gone.

use std::collections::VecDeque;

/// A journal of entries, each with a number.
#[derive(Debug)]
pub(super) struct Journal<E> {
    entries: VecDeque<E>,
    limit: usize,
    noted: u64,
}

impl<E: Clone> Journal<E> {
    /// Keeps the newest `limit`; with 0 nothing is written down, which is for benchmarks.
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: VecDeque::new(), limit, noted: 0 }
    }

    /// Writes down what `entry` makes of its number: 1, 2, 3 …
    pub(super) fn note(&mut self, entry: impl FnOnce(u64) -> E) {
        self.noted += 1;
        if self.limit == 0 {
            return;
        }
        if self.entries.len() == self.limit {
            self.entries.pop_front();
        }
        self.entries.push_back(entry(self.noted));
    }

    /// How many were noted, those that have left it included.
    pub(super) fn noted(&self) -> u64 {
        self.noted
    }

    /// Oldest first.
    pub(super) fn entries(&self) -> Vec<E> {
        self.entries.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_and_all_are_counted() {
        let mut journal = Journal::new(2);
        for _ in 0..3 {
            journal.note(|number| number);
        }
        assert_eq!((journal.entries(), journal.noted()), (vec![2, 3], 3));
        let mut none = Journal::new(0);
        none.note(|number| number);
        assert_eq!((none.entries(), none.noted()), (vec![], 1));
    }
}
