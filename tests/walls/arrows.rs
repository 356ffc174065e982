//! Who imports whom: every path in a file that starts at the root of the crate, however it is written.

use super::source::{Token, after_group};

/// A mention of `room` at the root of the crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrow {
    pub(super) line: usize,
    /// The first name of the path; `*` for all of them.
    pub(super) room: String,
    /// The second name, if there is one; `*` for all of them.
    pub(super) item: Option<String>,
}

/// Macros live at the root of the crate whatever room they come from.
const MACROS: &[(&str, &str)] = &[("crash_point", "crash")];

/// Where in the crate a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The folder, or the file, directly under `src`.
    pub(super) room: String,
    /// How many names lead to the file's module: `src/push/guard.rs` has 2.
    depth: usize,
    /// Whether it is a program of its own, which names the library as `phoneops`.
    program: bool,
}

impl Place {
    /// The place of `src/push/guard.rs`.
    pub(super) fn of(path: &str) -> Self {
        let inside = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
        let names: Vec<_> = inside.split('/').collect();
        let room = names[0].to_owned();
        let program = room == "main" || room == "bin";
        let own_name = usize::from(names.last() != Some(&"mod"));
        let depth = if program || room == "lib" { 0 } else { names.len() - 1 + own_name };
        Self { room, depth, program }
    }
}

/// Every arrow of a file, in the order they stand there.
pub(super) fn arrows(place: &Place, tokens: &[Token]) -> Vec<Arrow> {
    let mut reader = Reader { tokens, found: Vec::new() };
    let mut braces: Vec<bool> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let depth = place.depth + braces.iter().filter(|is_module| **is_module).count();
        let path_follows = reader.mark(at + 1, ':') && reader.mark(at + 2, ':');
        at = match tokens[at].word() {
            Some("crate") if path_follows => reader.tree(at + 3, 0),
            Some("phoneops") if path_follows && place.program => reader.tree(at + 3, 0),
            Some("crate") if reader.word(at + 1) == Some("as") => reader.found(at, "*", None),
            Some("super") if path_follows => reader.tree(at, depth),
            _ => {
                if tokens[at].is_mark('{') {
                    braces.push(at >= 2 && reader.word(at - 2) == Some("mod"));
                } else if tokens[at].is_mark('}') {
                    braces.pop();
                }
                at + 1
            }
        };
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token],
    found: Vec<Arrow>,
}

impl Reader<'_> {
    fn mark(&self, at: usize, mark: char) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is_mark(mark))
    }

    fn word(&self, at: usize) -> Option<&str> {
        self.tokens.get(at).and_then(Token::word)
    }

    /// The index after `::` at `at`, if it is there.
    fn after_colons(&self, at: usize) -> Option<usize> {
        (self.mark(at, ':') && self.mark(at + 1, ':')).then_some(at + 2)
    }

    fn found(&mut self, at: usize, room: &str, item: Option<&str>) -> usize {
        let (line, room) = (self.tokens[at].line, room.to_owned());
        self.found.push(Arrow { line, room, item: item.map(str::to_owned) });
        at + 1
    }

    /// Reads a path or a tree of paths at `at`, `above` names below the root of the crate. The index after what was read.
    fn tree(&mut self, at: usize, above: usize) -> usize {
        if self.mark(at, '{') {
            return self.each_of_group(at, |reader, at| reader.tree(at, above));
        }
        if self.mark(at, '*') && above == 0 {
            return self.found(at, "*", None);
        }
        match (self.word(at).map(str::to_owned), self.after_colons(at + 1)) {
            (Some(up), Some(next)) if up == "super" => self.tree(next, above.saturating_sub(1)),
            (Some(here), Some(next)) if here == "self" => self.tree(next, above),
            (Some(room), _) if above == 0 => self.room(at, &room),
            _ => at + 1,
        }
    }

    /// Reads what follows a room's name at `at`.
    fn room(&mut self, at: usize, room: &str) -> usize {
        if self.mark(at + 1, '!') {
            let home = MACROS.iter().find(|(name, _)| *name == room).map_or(room, |(_, home)| home);
            return self.found(at, home, None);
        }
        let Some(next) = self.after_colons(at + 1) else { return self.found(at, room, None) };
        if self.mark(next, '{') {
            return self.each_of_group(next, |reader, at| reader.item(at, room));
        }
        self.item(next, room)
    }

    fn item(&mut self, at: usize, room: &str) -> usize {
        let item = self.word(at).unwrap_or("*").to_owned();
        self.found(at, room, Some(&item))
    }

    /// Reads each element of the group that opens at `open`.
    fn each_of_group(&mut self, open: usize, mut read: impl FnMut(&mut Self, usize) -> usize) -> usize {
        let end = after_group(self.tokens, open);
        let mut at = open + 1;
        while at + 1 < end {
            at = read(self, at);
            while at + 1 < end && !self.mark(at, ',') {
                at = if self.mark(at, '{') { after_group(self.tokens, at) } else { at + 1 };
            }
            at += 1;
        }
        end
    }
}

#[cfg(test)]
fn seen(path: &str, source: &str) -> Vec<String> {
    let found = arrows(&Place::of(path), &super::source::tokens(source));
    found.into_iter().map(|arrow| [Some(arrow.room), arrow.item].into_iter().flatten().collect::<Vec<_>>().join("::")).collect()
}

#[test]
fn arrows_are_seen_however_they_are_written() {
    for (source, expected) in [
        ("use crate::db;", vec!["db"]),
        ("use crate::db::{self, Store, Tx as T};", vec!["db::self", "db::Store", "db::Tx"]),
        ("use crate::{db::Store, jobs::{Kind, Queue}, hub};", vec!["db::Store", "jobs::Kind", "jobs::Queue", "hub"]),
        ("use crate::push::*;", vec!["push::*"]),
        ("use crate::*; use crate as house;", vec!["*", "*"]),
        (
            "fn f(x: crate::journal::Actor) -> crate::db::Result<u8> { crate::crash_point!(\"x\"); }",
            vec!["journal::Actor", "db::Result", "crash"],
        ),
        ("use super::super::engine::Worker;", vec!["engine::Worker"]),
        ("use super::{super::{engine, hub::Hub}, words};", vec!["engine", "hub::Hub"]),
        ("use self::super::super::engine;", vec!["engine"]),
        ("mod tests { use super::super::store; fn f() {} } use super::store;", vec![]),
        ("mod tests { use super::super::super::engine; }", vec!["engine"]),
        ("pub(in crate::paging) struct X;", vec!["paging"]),
        ("// use crate::engine;\nconst X: &str = \"use crate::engine\"; pub(crate) struct Y;", vec![]),
    ] {
        assert_eq!(seen("src/paging/service.rs", source), expected, "{source}");
    }
    assert_eq!(seen("src/main.rs", "fn main() { phoneops::cli::run() }"), ["cli::run"]);
    assert_eq!(seen("src/push/mod.rs", "use super::engine;"), ["engine"], "a mod.rs is its folder");
}
