//! Patterns over short texts: `*` is any run of characters, `?` any one character, `\` takes the next one literally.
//!
//! There are no classes and no alternatives: a list of patterns says "one of these", and what a pattern matches can be told by
//! looking at it. Letters match exactly, upper and lower case being different.

/// One pattern, read once. What is literal at its ends is compared as a whole, for that tells most patterns apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::approvals) struct Glob {
    head: String,
    /// From the first star or question mark to the last; empty when the pattern is a text.
    body: Vec<Token>,
    tail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Run,
}

/// A pattern that ends in a lone `\`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pattern must not end in a lone backslash")]
pub(in crate::approvals) struct Dangling;

impl Glob {
    pub(in crate::approvals) fn parse(pattern: &str) -> Result<Self, Dangling> {
        let mut tokens = Vec::new();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            let token = match character {
                '*' => Token::Run,
                '?' => Token::One,
                '\\' => Token::Char(characters.next().ok_or(Dangling)?),
                other => Token::Char(other),
            };
            // Two runs are one, which keeps matching linear in the number of stars that matter.
            if !(token == Token::Run && tokens.last() == Some(&Token::Run)) {
                tokens.push(token);
            }
        }
        Ok(Self::of(&tokens))
    }

    fn of(tokens: &[Token]) -> Self {
        let literal = |token: &Token| if let Token::Char(character) = token { Some(*character) } else { None };
        let head: String = tokens.iter().map_while(literal).collect();
        let rest = &tokens[head.chars().count()..];
        let tail = rest.iter().rev().take_while(|token| literal(token).is_some()).count();
        let (body, tail) = rest.split_at(rest.len() - tail);
        Self { head, body: body.to_vec(), tail: tail.iter().filter_map(literal).collect() }
    }

    /// How whatever matches begins, and ends when there is a star or a question mark.
    pub(in crate::approvals) fn head(&self) -> &str {
        &self.head
    }

    /// How whatever matches ends, after the last star or question mark.
    pub(in crate::approvals) fn tail(&self) -> &str {
        &self.tail
    }

    /// The one text that matches, when there is only one.
    pub(in crate::approvals) fn literal(&self) -> Option<&str> {
        self.body.is_empty().then_some(self.head.as_str())
    }

    /// Whether this certainly matches whatever `other` matches: it is the same, it matches everything, or `other` is one text.
    pub(in crate::approvals) fn covers(&self, other: &Self) -> bool {
        let everything = self.body == [Token::Run] && self.head.is_empty() && self.tail.is_empty();
        everything || self == other || other.literal().is_some_and(|text| self.matches(text))
    }

    /// Whether the whole text matches.
    pub(in crate::approvals) fn matches(&self, text: &str) -> bool {
        if self.body.is_empty() {
            return text == self.head;
        }
        let between = text.strip_prefix(self.head.as_str()).and_then(|rest| rest.strip_suffix(self.tail.as_str()));
        between.is_some_and(|between| self.body == [Token::Run] || fits(&self.body, between))
    }
}

/// Whether the tokens match the whole text. Each star gives characters back at most once per position: quadratic at worst, in texts that
/// have at most 2000 characters.
fn fits(tokens: &[Token], text: &str) -> bool {
    let (mut at, mut rest) = (0, text.chars());
    // Where to go on when a character does not fit: after the last star, with one more character given to it.
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        let mut ahead = rest.clone();
        let next = ahead.next();
        match (tokens.get(at), next) {
            (Some(Token::Run), _) => {
                retry = Some((at + 1, rest.clone()));
                at += 1;
            }
            (Some(Token::One), Some(_)) => (at, rest) = (at + 1, ahead),
            (Some(Token::Char(wanted)), Some(found)) if *wanted == found => (at, rest) = (at + 1, ahead),
            (None, None) => return true,
            _ => {
                let Some((after, mut given)) = retry.take() else { return false };
                if given.next().is_none() {
                    return false;
                }
                (at, rest) = (after, given.clone());
                retry = Some((after, given));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, one case a line.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => slow(rest, text) || (!text.is_empty() && slow(pattern, &text[1..])),
            (['\\', literal, rest @ ..], _) => text.first() == Some(literal) && slow(rest, &text[1..]),
            (['?', rest @ ..], [_, more @ ..]) => slow(rest, more),
            ([wanted, rest @ ..], [first, more @ ..]) => wanted == first && slow(rest, more),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn a_glob_matches_what_its_definition_says(pattern in "[abé*?\\\\]{0,7}", text in "[abé*\\\\]{0,8}") {
            let characters: Vec<_> = pattern.chars().collect();
            match Glob::parse(&pattern) {
                Ok(glob) => {
                    let expected = slow(&characters, &text.chars().collect::<Vec<_>>());
                    prop_assert_eq!(glob.matches(&text), expected);
                    let only = glob.literal().map(str::to_owned);
                    prop_assert!(only.is_none_or(|only| (only == text) == expected));
                }
                Err(Dangling) => prop_assert!(pattern.ends_with('\\')),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn what_a_glob_covers_it_matches(wide in "[ab*?]{0,3}", narrow in "[ab*?]{0,3}", text in "[ab]{0,4}") {
            let (wide, narrow) = (Glob::parse(&wide).unwrap(), Glob::parse(&narrow).unwrap());
            prop_assert!(!wide.covers(&narrow) || !narrow.matches(&text) || wide.matches(&text));
        }
    }

    #[test]
    fn patterns_as_people_write_them() {
        let matches = |pattern: &str, text: &str| Glob::parse(pattern).unwrap().matches(text);
        assert!(matches("prod-*", "prod-eu-1") && matches("*/new_*", "api/new_auth") && matches("*", ""));
        assert!(!matches("prod-*", "Prod-eu") && !matches("prod", "production") && !matches("", "x"));
        assert!(matches(r"100\*", "100*") && !matches(r"100\*", "1000") && matches("v?.?", "v1.2"));
        assert_eq!(Glob::parse("a\\"), Err(Dangling));
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let glob = Glob::parse(&format!("{}b", "a*".repeat(80))).unwrap();
        assert!(!glob.matches(&"a".repeat(2_000)));
    }
}
