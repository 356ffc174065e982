//! Holds the walls of the house (ARCHITECTURE, "The house") by reading its source.
//!
//! Every violation is reported at once, with file, line, and the reason the wall is there. Each rule is shown to be able to fail on a
//! small source text below.

use std::fmt;
use std::path::{Path, PathBuf};

#[path = "walls/arrows.rs"]
mod arrows;
#[path = "walls/rooms.rs"]
mod rooms;
#[path = "walls/source.rs"]
mod source;

use arrows::Place;
use source::Token;

/// Rooms whose `store.rs` holds SQL. The others know no database.
const WITH_TABLES: &[&str] = &["approvals", "chat", "delivery", "identity", "jobs", "journal", "listening", "paging"];

/// What a machine never names.
const IMPURE: &[&str] =
    &["Clock", "Instant", "SystemTime", "async", "await", "axum", "random", "reqwest", "rusqlite", "sqlx", "thread", "tokio"];

/// What a machine may import of the crate beside its own room: instants, ids, and who did it.
const PURE: &[(&str, &str)] = &[("clock", "Timestamp"), ("id", "*"), ("journal", "Actor")];

const LINES: usize = 600;

/// A place where the source breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    line: usize,
    what: String,
    why: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n    {}", self.file, self.line, self.what, self.why)
    }
}

#[test]
fn the_walls_stand() {
    let house = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    find_sources(&house.join("src"), &mut files);
    files.sort();
    assert!(files.len() > 30 && files.contains(&house.join("src/lib.rs")), "the house was not found: {files:?}");
    let mut violations = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file in UTF-8");
        let path = file.strip_prefix(house).expect("below the house").to_string_lossy().replace('\\', "/");
        violations.extend(check(&path, &text));
    }
    let listed: Vec<_> = violations.iter().map(ToString::to_string).collect();
    assert!(listed.is_empty(), "{} violations\n{}", listed.len(), listed.join("\n"));
}

fn find_sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the house") {
        let path = entry.expect("an entry of the folder").path();
        if path.is_dir() {
            find_sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Every rule, on one file.
fn check(path: &str, text: &str) -> Vec<Violation> {
    let (place, tokens) = (Place::of(path), source::tokens(text));
    let mut found = Vec::new();
    let mut say = |line, what: String, why| found.push(Violation { file: path.to_owned(), line, what, why });
    arrows_are_allowed(&place, &tokens, &mut say);
    sql_is_in_stores(path, &place, &tokens, &mut say);
    machines_are_pure(path, &place, &tokens, &mut say);
    files_are_short(path, text, &tokens, &mut say);
    tests_are_run(path, text, &mut say);
    found.sort_by_key(|violation| violation.line);
    found
}

/// Takes a line, what is wrong there, and why that is wrong.
type Say<'a> = &'a mut dyn FnMut(usize, String, &'static str);

fn arrows_are_allowed(place: &Place, tokens: &[Token], say: Say<'_>) {
    let Some(room) = rooms::room(&place.room) else {
        let what = format!("the room `{}` is not in the table", place.room);
        return say(1, what, "every room says what it may import: add it to tests/walls/rooms.rs");
    };
    for arrow in arrows::arrows(place, tokens) {
        if !room.may_import(&arrow.room, arrow.item.as_deref()) {
            let item = arrow.item.map(|item| format!("::{item}")).unwrap_or_default();
            say(arrow.line, format!("`{}` imports `{}{item}`", room.name, arrow.room), room.why_not(&arrow.room));
        }
    }
}

fn sql_is_in_stores(path: &str, place: &Place, tokens: &[Token], say: Say<'_>) {
    const WHY: &str = "SQL stands in src/db and in the domains' store.rs, where it is found, read and run on both engines";
    if place.room == "db" || (path.ends_with("/store.rs") && WITH_TABLES.contains(&place.room.as_str())) {
        return;
    }
    for (at, token) in tokens.iter().enumerate() {
        if let Some(driver @ ("sqlx" | "rusqlite" | "Sql")) = token.word() {
            say(token.line, format!("names `{driver}`"), WHY);
        }
        if let Some(text) = token.text().filter(|text| is_sql(text)) {
            say(token.line, format!("SQL: {:.60}", one_line(text)), WHY);
        }
        if token.word() == Some("query") && at > 0 && tokens[at - 1].is_mark('.') && asks_with_text(&tokens[at + 1..]) {
            say(token.line, "`.query(` with a text".to_owned(), WHY);
        }
    }
}

/// Whether a call's first argument is a text that is not plainly something else: a literal, a constant, or one put together.
fn asks_with_text(arguments: &[Token]) -> bool {
    let mut arguments = arguments.iter().skip_while(|token| token.is_mark('(') || token.is_mark('&'));
    let constant = |word: &str| word.len() > 1 && !word.chars().any(|c| c.is_ascii_lowercase());
    arguments
        .next()
        .is_some_and(|first| first.text().is_some() || first.word().is_some_and(|word| word == "format" || constant(word)))
}

fn one_line(text: &str) -> String {
    text.replace('\\', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text is SQL, in whatever case and over however many lines.
fn is_sql(text: &str) -> bool {
    let text = format!(" {} ", one_line(text).to_lowercase());
    let has = |part: &str| text.contains(part);
    let starts = |word: &str| text.trim_start().starts_with(word);
    let parameter = text.split('$').skip(1).any(|after| after.starts_with(|c: char| c.is_ascii_digit()));
    (starts("select ") && (has(" from ") || has("(") || has("*") || text.trim().ends_with(|c: char| c.is_ascii_digit())))
        || (starts("update ") && has(" set ") && has("="))
        || (starts("with ") && has(" as ("))
        || starts("pragma ")
        || (parameter && (has(" where ") || has(" values ") || has(" and ") || has("=")))
        || [" insert into ", " delete from ", " drop table ", " alter table ", " on conflict ", " order by "]
            .iter()
            .any(|part| has(part))
        || [" create table ", " create index ", " create unique index ", " for update skip "].iter().any(|part| has(part))
}

fn machines_are_pure(path: &str, place: &Place, tokens: &[Token], say: Say<'_>) {
    const WHY: &str = "a machine is a pure function of state, event and time: no I/O, clock, randomness or waiting, so that it can be tested alone";
    if !path.ends_with("/machine.rs") {
        return;
    }
    for token in tokens {
        if let Some(word) = token.word().filter(|word| IMPURE.contains(word)) {
            say(token.line, format!("a machine names `{word}`"), WHY);
        }
    }
    for arrow in arrows::arrows(place, tokens).into_iter().filter(|arrow| arrow.room != place.room) {
        let item = arrow.item.unwrap_or_default();
        if !PURE.iter().any(|(room, only)| *room == arrow.room && (*only == "*" || *only == item)) {
            say(arrow.line, format!("a machine imports `{}::{item}`", arrow.room), WHY);
        }
    }
}

/// Tests are not counted, in files of their own or beside the code.
fn files_are_short(path: &str, text: &str, tokens: &[Token], say: Say<'_>) {
    let of_tests: usize = source::test_blocks(tokens).iter().map(|(first, last)| last - first + 1).sum();
    let lines = text.lines().count() - of_tests;
    if path.ends_with("/tests.rs") || path.contains("/tests/") {
        return;
    }
    if lines > LINES {
        say(LINES + 1, format!("{lines} lines, {LINES} at most"), "a file this long is two: ask which");
    }
}

/// Programs have no tests: they would never run, and so never fail.
fn tests_are_run(path: &str, text: &str, say: Say<'_>) {
    if path != "src/main.rs" && !path.starts_with("src/bin/") {
        return;
    }
    for (line, text) in (1..).zip(text.lines()) {
        if text.contains("#[test]") || text.contains("#[tokio::test") {
            say(line, "a test in a program".into(), "cargo builds no tests of programs (Cargo.toml): a library's are run");
        }
    }
}

/// What is found in a source text: lines and what is wrong there.
fn found(path: &str, text: &str) -> Vec<String> {
    check(path, text).into_iter().map(|violation| format!("{}: {}", violation.line, violation.what)).collect()
}

#[test]
fn a_violation_says_where_what_and_why() {
    let [violation] = &check("src/push/apns.rs", "\nuse crate::db::Store;\n")[..] else { panic!("one violation") };
    let expected = "src/push/apns.rs:2: `push` imports `db::Store`\n    a carrier hands over one message and knows neither database \
                    nor domain: it imports clock, id and secret";
    assert_eq!(violation.to_string(), expected);
}

#[test]
fn arrows_that_are_not_in_the_table_are_found() {
    for (path, source, expected) in [
        ("src/push/apns.rs", "use crate::journal::Journal;", "1: `push` imports `journal::Journal`"),
        ("src/sim/phone/mod.rs", "use crate::id::UserId;", "1: `sim` imports `id::UserId`"),
        ("src/secret.rs", "use crate::db::Db;", "1: `secret` imports `db::Db`"),
        ("src/config.rs", "use crate::identity::Handle;", "1: `config` imports `identity::Handle`"),
        ("src/paging/service.rs", "use crate::{\n    db::Db,\n    http::Problem,\n};", "3: `paging` imports `http::Problem`"),
        ("src/paging/service.rs", "use crate::push::{Category, Carrier};", "1: `paging` imports `push::Carrier`"),
        ("src/approvals/words.rs", "use super::super::paging::Paging;", "1: `approvals` imports `paging::Paging`"),
        ("src/approvals/words.rs", "fn f() { crate::engine::ring() }", "1: `approvals` imports `engine::ring`"),
        ("src/http/incidents.rs", "use crate::engine::worker::Worker;", "1: `http` imports `engine::worker`"),
        ("src/main.rs", "use phoneops::db::Store;", "1: `main` imports `db::Store`"),
        ("src/identity/model.rs", "use crate::*;", "1: `identity` imports `*`"),
        ("src/billing/mod.rs", "", "1: the room `billing` is not in the table"),
    ] {
        assert_eq!(found(path, source), [expected], "{path}");
    }
    for room in rooms::ABOVE {
        for domain in rooms::DOMAINS {
            let source = format!("use crate::{room}::Thing;");
            assert_eq!(found(&format!("src/{domain}/x.rs"), &source).len(), 1, "{domain} imports {room}");
        }
    }
    let fine = "use crate::clock::Timestamp; use crate::push::Category; use super::words; // use crate::http;";
    assert_eq!(found("src/paging/service.rs", fine), [""; 0]);
}

#[test]
fn sql_outside_of_stores_is_found() {
    for source in [
        "let x = \"select id from users\";",
        "let x = \"SELECT 1\";",
        "let x = r#\"\n  insert into users (id) values ($1)\"#;",
        "let x = \"update users set name = 'a'\";",
        "let x = \"delete from users\";",
        "let x = \"create table users (id blob)\";",
        "let x = \"pragma user_version\";",
        "let x = \"with a as (select 1) select * from a\";",
        "let x = concat(\"id, name\", \" where id = $1\");",
        "let x = \" order by id\";",
        "let x = \"update jobs \\\n  set due_at = 1\";",
        "let rows = tx.query(USERS);",
        "let rows = tx.query(&format!(\"{columns}\"));",
        "let x = Sql::either(a, b);",
        "use sqlx::Row;",
        "fn f(c: rusqlite::Connection) {}",
    ] {
        assert_eq!(found("src/paging/service.rs", source).len(), 1, "{source}");
        assert_eq!(found("src/sim/push_service/store.rs", source).len(), 1, "a simulator has no tables: {source}");
        assert_eq!(found("src/push/store.rs", source).len(), 1, "push knows no database: {source}");
        assert_eq!(found("src/paging/store.rs", source), [""; 0], "{source}");
        assert_eq!(found("src/db/open.rs", source), [""; 0], "{source}");
    }
    let asked = "tx.query(\"select id from users\").one()";
    assert_eq!(found("src/paging/service.rs", asked), ["1: `.query(` with a text", "1: SQL: select id from users"]);
    for fine in [
        "// select id from users",
        "let x = \"select a device of yours\";",
        "let x = \"Update available: set it up\";",
        "let x = \"with care\";",
        "request.query(&[(\"after\", 1)]); url.query(); request.query(&page)",
        "let x = \"$1 each\";",
    ] {
        assert_eq!(found("src/paging/service.rs", fine), [""; 0], "{fine}");
    }
}

#[test]
fn an_impure_machine_is_found() {
    for source in [
        "async fn step() {}",
        "fn step() { x.await }",
        "use axum::Json;",
        "fn step(clock: &Clock) {}",
        "fn step() { random() }",
        "use tokio::sync::Notify;",
        "use std::time::SystemTime;",
        "fn step() { std::time::Instant::now(); }",
        "use crate::hub::Hub;",
        "use crate::journal::Journal;",
    ] {
        assert_eq!(found("src/paging/machine.rs", source).len(), 1, "{source}");
        assert_eq!(found("src/paging/service.rs", source), [""; 0], "only machines: {source}");
    }
    let both = ["1: a machine names `sqlx`", "1: names `sqlx`"];
    let mut driver = found("src/paging/machine.rs", "use sqlx::Row;");
    driver.sort();
    assert_eq!(driver, both);
    let fine = "use crate::clock::Timestamp; use crate::id::UserId; use std::time::Duration; // no Clock, nothing random";
    assert_eq!(found("src/paging/machine.rs", fine), [""; 0]);
}

#[test]
fn a_file_that_is_too_long_is_found() {
    let code = |lines: usize| "fn f() {}\n".repeat(lines);
    assert_eq!(found("src/paging/service.rs", &code(600)), [""; 0]);
    assert_eq!(found("src/paging/service.rs", &code(601)), ["601: 601 lines, 600 at most"]);
    assert_eq!(found("src/paging/machine/tests.rs", &code(900)), [""; 0]);
    assert_eq!(found("src/paging/machine/tests/histories.rs", &code(900)), [""; 0]);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", code(300));
    assert_eq!(found("src/paging/service.rs", &(code(600) + &tests)), [""; 0]);
}

#[test]
fn a_test_that_would_never_run_is_found() {
    let test = "#[cfg(test)]\nmod tests {\n    #[test]\n    fn f() {}\n}\n";
    for program in ["src/main.rs", "src/bin/sim.rs"] {
        assert_eq!(found(program, test), ["3: a test in a program"]);
    }
    assert_eq!(found("src/paging/service.rs", test), [""; 0]);
}
