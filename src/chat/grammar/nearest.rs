//! What somebody may have meant.

use super::verbs::VERBS;
use super::words::{plain_quotes, unmarked};
use crate::chat::gated::Vocabulary;

/// How the command is said whose first word is nearest to `word`; nothing when none is near.
pub(super) fn usage(word: &str, vocabulary: &Vocabulary) -> Option<String> {
    let word = plain_quotes(unmarked(word)).to_lowercase();
    let verbs = VERBS.iter().flat_map(|help| help.starts.iter().map(|start| (first(start), help.usage)));
    let gated = vocabulary.commands().verbs().map(|(verb, command)| (verb, command.example.as_str()));
    let near = verbs.chain(gated).map(|(start, usage)| (distance(&word, start), usage));
    let allowed = match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    near.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, usage)| usage.to_owned())
}

fn first(start: &str) -> &str {
    start.split(' ').next().unwrap_or(start)
}

/// How many letters are added, left out, changed or swapped with their neighbour between two words (optimal string alignment).
/// Words that cannot be near are as far apart as they are long.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(40).collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_added_left_out_changed_and_swapped() {
        for (a, b, apart) in [
            ("page", "page", 0),
            ("pgae", "page", 1),
            ("pag", "page", 1),
            ("paage", "page", 1),
            ("psge", "page", 1),
            ("", "page", 4),
            ("incdients", "incidents", 1),
            ("dploy", "deploy", 1),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (apart, apart), "{a} {b}");
        }
    }
}
