//! The house's plan: every room under `src`, and what it may import of the crate. A room may always import itself.

/// Nothing in the house is below them.
pub(super) const GROUND: &[&str] = &["clock", "config", "crash", "hub", "id", "secret", "text"];

/// The rooms that know what PhoneOps is about, and what they stand on.
pub(super) const DOMAINS: &[&str] =
    &["approvals", "db", "delivery", "identity", "jobs", "journal", "listening", "oncall", "paging", "push"];

/// The rooms above the domains. None of these is ever imported by a domain.
pub(super) const ABOVE: &[&str] = &["chat", "cli", "client", "demo", "engine", "http", "ingest", "server", "sim"];

/// A room and what it may import: `db` is a room with all it shows, `push::Category` one item of a room, `engine::{types}` the types at a
/// room's front door but not the modules behind them, `*` everything.
pub(super) struct Room {
    pub(super) name: &'static str,
    pub(super) may: &'static [&'static [&'static str]],
}

#[rustfmt::skip]
pub(super) const ROOMS: &[Room] = &[
    // The ground.
    Room { name: "clock",     may: &[] },
    Room { name: "secret",    may: &[] },
    Room { name: "text",      may: &[] },
    Room { name: "crash",     may: &[] },
    Room { name: "id",        may: &[&["clock", "secret"]] },
    Room { name: "hub",       may: &[GROUND] },
    Room { name: "config",    may: &[GROUND] },
    // The domains, from below. What is an address is the word of whoever writes to it, so identity keeps it in the type of `push`.
    Room { name: "db",        may: &[GROUND] },
    Room { name: "journal",   may: &[GROUND, &["db"]] },
    Room { name: "jobs",      may: &[GROUND, &["db"]] },
    Room { name: "push",      may: &[&["clock", "id", "secret"]] },
    Room { name: "identity",  may: &[GROUND, &["db", "journal", "push::MailAddress"]] },
    Room { name: "delivery",  may: &[GROUND, &["db", "identity", "jobs", "journal", "push"]] },
    Room { name: "approvals", may: &[GROUND, &["db", "delivery", "identity", "jobs", "journal", "push::Category"]] },
    Room { name: "oncall",    may: &[&["clock"]] },
    Room { name: "paging",    may: &[GROUND, &["db", "delivery", "identity", "jobs", "journal", "oncall", "push::Category"]] },
    Room { name: "listening", may: &[GROUND, &["db", "delivery", "identity", "jobs", "journal", "push"]] },
    // Beside `push`: another way out, by the words of a server of our own.
    Room { name: "mail",      may: &[GROUND, &["push"]] },
    // Bytes in, signals out: the words that paging has for them, and nothing that could do anything.
    Room { name: "ingest",    may: &[&["paging::{types}", "secret", "text"]] },
    // Above them.
    Room { name: "engine",    may: &[GROUND, DOMAINS] },
    // Words in, words out: it does what it does through the services.
    Room { name: "chat",      may: &[GROUND, DOMAINS] },
    Room { name: "http",      may: &[GROUND, DOMAINS, &["chat", "engine::{types}", "ingest"]] },
    Room { name: "server",    may: &[GROUND, DOMAINS, &["chat", "engine", "http", "mail"]] },
    Room { name: "demo",      may: &[GROUND, DOMAINS, &["chat", "client", "engine", "http", "server", "sim"]] },
    Room { name: "cli",       may: &[&["*"]] },
    // Beside them: the REST API from outside, for the command line and tests.
    Room { name: "client",    may: &[&["clock", "secret"]] },
    // What stands in for the world outside must not share the house's own idea of it.
    Room { name: "sim",       may: &[&["clock", "secret"]] },
    // Programs, and the list of rooms.
    Room { name: "bin",       may: &[&["clock", "secret", "sim"]] },
    Room { name: "lib",       may: &[] },
    Room { name: "main",      may: &[&["cli"]] },
];

/// The room of that name.
pub(super) fn room(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}

impl Room {
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.may.iter().flat_map(|names| names.iter().copied())
    }

    /// Whether it may import `item` of `target`.
    pub(super) fn may_import(&self, target: &str, item: Option<&str>) -> bool {
        target == self.name
            || self.names().any(|name| match name.split_once("::") {
                None => name == "*" || name == target,
                Some((room, "{types}")) => {
                    room == target && item.is_some_and(|item| item.starts_with(|c: char| c.is_ascii_uppercase()))
                }
                Some((room, only)) => room == target && item == Some(only),
            })
    }

    /// Why it may not import `target`.
    pub(super) fn why_not(&self, target: &str) -> &'static str {
        let name = self.name;
        if target == "*" {
            "an import of everything hides which rooms are meant"
        } else if name == "push" {
            "a carrier hands over one message and knows neither database nor domain: it imports clock, id and secret"
        } else if name == "sim" {
            "a simulator that shares our code shares our mistakes: it imports clock and secret"
        } else if GROUND.contains(&name) {
            "nothing in the house is below the ground, so it imports nothing above itself"
        } else if DOMAINS.contains(&name) && ABOVE.contains(&target) {
            "a domain is the middle, which decides: it never imports the edge, which acts"
        } else {
            "an arrow between rooms is a decision: write it into the table of tests/walls/rooms.rs, or do without"
        }
    }
}

/// Whoever widens the table is stopped here: these are decisions, not bookkeeping.
#[test]
fn the_table_itself_keeps_the_walls() {
    let only = |name: &str, allowed: &[&str]| {
        let room = room(name).expect(name);
        let more: Vec<_> = room.names().filter(|name| !allowed.contains(name)).collect();
        assert!(more.is_empty(), "{name} may not import {more:?}: {}", room.why_not(more[0]));
    };
    only("push", &["clock", "id", "secret"]);
    only("sim", &["clock", "secret"]);
    only("mail", &[GROUND, &["push"]].concat());
    only("ingest", &["paging::{types}", "secret", "text"]);
    for ground in GROUND {
        only(ground, GROUND);
    }
    let below: Vec<_> = [GROUND, DOMAINS, &["push::Category", "push::MailAddress"]].concat();
    for domain in DOMAINS {
        only(domain, &below);
    }
}

#[test]
fn rooms_are_named_once_and_import_rooms_that_are_named() {
    for wanted in ROOMS {
        assert_eq!(ROOMS.iter().filter(|room| room.name == wanted.name).count(), 1, "{}", wanted.name);
        for name in wanted.names().filter(|name| *name != "*") {
            let target = name.split("::").next().expect("a name");
            assert!(room(target).is_some(), "{} may import {target}, which is no room", wanted.name);
        }
    }
}

#[test]
fn a_room_may_import_what_the_table_says_and_no_more() {
    let may = |from: &str, target: &str, item| room(from).expect(from).may_import(target, item);
    assert!(may("paging", "paging", None) && may("paging", "db", None) && may("cli", "engine", Some("worker")));
    assert!(may("paging", "push", Some("Category")));
    assert!(!may("paging", "push", Some("Carrier")) && !may("paging", "push", None) && !may("paging", "push", Some("*")));
    assert!(may("http", "engine", Some("Engine")));
    assert!(!may("http", "engine", Some("worker")) && !may("http", "engine", None));
}
