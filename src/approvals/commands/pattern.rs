//! Patterns and templates, compiled.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

/// So much memory may one compiled pattern take.
const MAX_COMPILED: usize = 256 * 1024;

/// Deeper nesting is a mistake.
const MAX_NESTING: u32 = 20;

/// Groups whose text is kept in lower case: `Production` is `production` to whatever deploys there, and must be to policies as well, which
/// tell upper from lower case.
const ENVIRONMENT: [&str; 2] = ["environment", "env"];

/// Which lines a command takes.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// Its first word, in lower case.
    pub(super) verb: String,
    /// What follows the verb and a space; nothing when the verb is the whole line.
    rest: Option<Regex>,
}

/// What the groups of a pattern took; a group that took nothing is not there.
pub(super) type Groups = BTreeMap<String, String>;

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let (verb, rest) = text.split_once(' ').map_or((text, None), |(verb, rest)| (verb, Some(rest)));
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(2..=32).contains(&verb.len()) || !verb.bytes().all(letters) || !verb.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err("must begin with a verb of 2 to 32 of a–z, 0–9 and hyphen, and go on after one space".to_owned());
        }
        let rest = rest.map(compiled).transpose()?;
        Ok(Self { verb: verb.to_owned(), rest })
    }

    /// The names of its groups.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        self.rest.iter().flat_map(|rest| rest.capture_names().flatten())
    }

    /// What the groups take of a line whose first word is the verb; nothing when the line is not of this pattern.
    pub(super) fn take(&self, rest: &str) -> Option<Groups> {
        let Some(pattern) = &self.rest else { return rest.is_empty().then(Groups::new) };
        let taken = pattern.captures(rest)?;
        let whole = taken.get(0)?;
        if whole.start() != 0 || whole.end() != rest.len() {
            return None;
        }
        let group = |name: &str| {
            let text = taken.name(name)?.as_str();
            let text = if ENVIRONMENT.contains(&name) { text.to_lowercase() } else { text.to_owned() };
            Some((name.to_owned(), text)).filter(|(_, text)| !text.is_empty())
        };
        Some(pattern.capture_names().flatten().filter_map(group).collect())
    }
}

fn compiled(rest: &str) -> Result<Regex, String> {
    if rest.is_empty() {
        return Err("must not end with a space".to_owned());
    }
    plain_groups(rest)?;
    let build = |text: &str| {
        RegexBuilder::new(text).case_insensitive(true).size_limit(MAX_COMPILED).nest_limit(MAX_NESTING).build().map_err(|error| {
            match error {
                regex::Error::CompiledTooBig(_) => "is too large once it is compiled".to_owned(),
                other => format!("is no regular expression that is understood here: {}", last_line(&other.to_string())),
            }
        })
    };
    // By itself first: nothing in it may close the group that it is put into.
    build(rest)?;
    let whole = build(&format!("^(?:{rest})$"))?;
    if whole.captures_len() != whole.capture_names().flatten().count() + 1 {
        return Err("has a group without a name: write (?:…) for what is not kept".to_owned());
    }
    if whole.is_match("") {
        return Err("must take at least one word after the verb".to_owned());
    }
    Ok(whole)
}

/// Nothing, when every group that begins with `(?` is `(?:…)` or `(?<name>…)`: what flags do is not seen, and other programs that are
/// told the pattern (ChatOps RPC) read them differently.
fn plain_groups(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some(at) = rest.find("(?") {
        let escaped = rest[..at].bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 1;
        rest = &rest[at + 2..];
        let name = rest.strip_prefix('<').and_then(|name| name.split_once('>')).map(|(name, _)| name);
        let named = name.is_some_and(|name| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        });
        if !escaped && !rest.starts_with(':') && !named {
            return Err(
                "may have groups (?:…) and (?<name>…), names of a–z, 0–9 and underscore, and no others with a question mark"
                    .to_owned(),
            );
        }
    }
    Ok(())
}

fn last_line(text: &str) -> &str {
    let line = text.trim_end().lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line)
}

/// A text with places to fill: `you are restarting {service}`. `{{` and `}}` are braces.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Group(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.peek() == Some(&c) => {
                    rest.next();
                    plain.push(c);
                }
                '{' => {
                    let mut name = String::new();
                    let closed = loop {
                        match rest.next() {
                            Some('}') => break true,
                            Some(c) => name.push(c),
                            None => break false,
                        }
                    };
                    if !closed
                        || name.is_empty()
                        || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                    {
                        return Err("has a { that is no {group}; for a brace write {{".to_owned());
                    }
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(Piece::Group(name));
                }
                '}' => return Err("has a } without its {; for a brace write }}".to_owned()),
                other => plain.push(other),
            }
        }
        pieces.push(Piece::Text(plain));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Self(pieces))
    }

    /// The groups that it names.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Group(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The group that it is, when it is nothing else.
    pub(super) fn only(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Group(name)] => Some(name),
            _ => None,
        }
    }

    /// The text, filled. Nothing when a group that it names took nothing.
    pub(super) fn fill(&self, groups: &Groups) -> Option<String> {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => Some(text.clone()),
            Piece::Group(name) => groups.get(name).cloned(),
        };
        self.0.iter().map(piece).collect()
    }

    /// The sentence, filled; a group that took nothing is left out, and so is the space before it.
    pub(super) fn say(&self, groups: &Groups) -> String {
        let mut said = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => said.push_str(text),
                Piece::Group(name) => match groups.get(name) {
                    Some(text) => said.push_str(text),
                    None => said.truncate(said.trim_end().len()),
                },
            }
        }
        said
    }
}
