//! A line's words, and what single words name.

use crate::id::ApprovalId;
use crate::identity::Handle;
use crate::paging::Reference;

use super::super::command::Whom;
use super::verbs::Verb;
use super::{LONGEST, NotUnderstood};

/// The line with single spaces between its words and none around them.
pub(super) fn folded(line: &str) -> Result<String, NotUnderstood> {
    // Before anything is copied: a character has four bytes at most.
    if line.len() > LONGEST * 4 || line.chars().count() > LONGEST {
        return Err(NotUnderstood::TooLong);
    }
    let line = line.trim();
    let breaks = |c: char| matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    if line.contains(breaks) {
        return Err(NotUnderstood::Control('\n'));
    }
    if let Some(control) = line.chars().find(|c| c.is_control() && !c.is_whitespace()) {
        return Err(NotUnderstood::Control(control));
    }
    Ok(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// With the quotation marks and apostrophes that keyboards have.
pub(super) fn plain_quotes(text: &str) -> String {
    let plain = |c| match c {
        '‘' | '’' | '‚' | '‛' | '′' | 'ʼ' => '\'',
        '“' | '”' | '„' | '‟' | '″' => '"',
        other => other,
    };
    text.chars().map(plain).collect()
}

/// Words that are still to be read, parted by one space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    /// Those of a folded line.
    pub(super) fn of(line: &'a str) -> Self {
        Self(line)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next word, left where it is.
    pub(super) fn first(&self) -> Option<&'a str> {
        self.0.split(' ').next().filter(|word| !word.is_empty())
    }

    /// The next word, which is read with that.
    pub(super) fn pop(&mut self) -> Option<&'a str> {
        let word = self.first()?;
        self.0 = self.0[word.len()..].strip_prefix(' ').unwrap_or_default();
        Some(word)
    }

    /// All of them, as they stand.
    pub(super) fn rest(&self) -> &'a str {
        self.0
    }

    /// Skips the word if it is next, in any case and with punctuation after it; whether it was.
    pub(super) fn skip(&mut self, word: &str) -> bool {
        let next = self.first().is_some_and(|next| is_word(next, word));
        if next {
            self.pop();
        }
        next
    }

    /// Skips commas that stand alone, and `and`.
    pub(super) fn skip_connectors(&mut self) {
        while self.first().is_some_and(is_connector) {
            self.pop();
        }
    }

    /// Skips punctuation that stands alone: it parts what is before it from what is after.
    pub(super) fn skip_commas(&mut self) {
        while self.first().is_some_and(|word| matches!(word, "," | ":" | ";" | "-" | "–" | "—")) {
            self.pop();
        }
    }

    /// Nothing, when there is nothing more.
    pub(super) fn end(&self, verb: Verb) -> Result<(), NotUnderstood> {
        match self.first().filter(|word| !unmarked(word).is_empty()) {
            None => Ok(()),
            Some(word) => Err(verb.usage(Some(format!("I do not know what “{}” means there", crate::text::line(word, 40))))),
        }
    }
}

/// Whether what somebody said is that word of the grammar.
pub(super) fn is_word(said: &str, word: &str) -> bool {
    let said = plain_quotes(said);
    said.eq_ignore_ascii_case(word) || unmarked(&said).eq_ignore_ascii_case(word)
}

pub(super) fn is_connector(word: &str) -> bool {
    matches!(word, "" | "," | "&" | "+") || word.eq_ignore_ascii_case("and")
}

/// A word without the punctuation of the sentence after it.
pub(super) fn unmarked(word: &str) -> &str {
    word.trim_end_matches(['.', ',', ';', ':', '!', '?'])
}

/// A name without what follows it. A full stop may be its last letter.
fn clean(word: &str) -> &str {
    word.trim_end_matches([',', ';', ':', '!', '?'])
}

/// An incident: `P7K3M2X`, `#p7k3m2x.`
pub(super) fn reference(word: &str) -> Option<Reference> {
    unmarked(word.trim_start_matches(['#', '('])).trim_end_matches(')').parse().ok()
}

/// A name: `api`, `schedule:api`, `api?`
pub(super) fn handle(word: &str, kind: &str) -> Option<Handle> {
    let word = clean(word);
    let name = prefixed(word, kind).unwrap_or(word);
    if name.starts_with('@') { None } else { name.parse().ok() }
}

fn prefixed<'a>(word: &'a str, kind: &str) -> Option<&'a str> {
    let (before, name) = word.split_at_checked(kind.len())?;
    before.eq_ignore_ascii_case(kind).then_some(name)
}

/// Whom a word names.
pub(super) fn whom(word: &str) -> Option<Whom> {
    let word = clean(word);
    if let Some(mention) = word.strip_prefix("<@") {
        return mentioned(mention).map(Whom::Mention);
    }
    if word.starts_with('@') || word.starts_with("usr_") {
        return word.parse().ok().map(Whom::User);
    }
    for (kind, of) in [("team:", Whom::Team as fn(Handle) -> Whom), ("schedule:", Whom::Schedule), ("service:", Whom::Service)] {
        if let Some(name) = prefixed(word, kind) {
            return Some(name).filter(|name| !name.starts_with('@'))?.parse().ok().map(of);
        }
    }
    word.parse().ok().map(Whom::Bare)
}

/// Whether a word names somebody and can hardly be anything else.
pub(super) fn names_somebody(word: &str) -> bool {
    whom(word).is_some_and(|whom| !matches!(whom, Whom::Bare(_)))
}

/// `U012AB3CD|yannick>`: the id in a mention as Slack writes it, or as Discord does.
fn mentioned(text: &str) -> Option<crate::identity::chat::ChatId> {
    let inside = text.strip_suffix('>')?;
    let id = inside.split_once('|').map_or(inside, |(id, _)| id);
    let id = id.strip_prefix('!').unwrap_or(id);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if id.bytes().all(plain) { id.parse().ok() } else { None }
}

/// The tag of a request, in capitals as it is shown, or its id.
pub(super) fn request(word: &str) -> Option<String> {
    let word = unmarked(word.trim_start_matches('#'));
    if word.parse::<ApprovalId>().is_ok() {
        return Some(word.to_owned());
    }
    let tag = word.len() == 4 && word.bytes().all(|b| b.is_ascii_alphanumeric());
    // As with incidents: what people mistake for a digit is that digit.
    let read = |c: char| match c.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        c => c,
    };
    let read: String = word.chars().map(read).collect();
    (tag && !read.contains('U')).then_some(read)
}
