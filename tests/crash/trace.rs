//! The order of a server's system calls, as strace saw it: what was synced before what was said.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

/// What reading a request, syncing, and replying are made of.
pub(crate) const CALLS: &str = "trace=read,recvfrom,pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg";

/// strace of a whole server, writing to `file`. Other calls than those of `what` run at full speed.
pub(crate) fn strace(file: &Path, what: &[&str]) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["strace", "-f", "--seccomp-bpf", "-y", "-s", "4096"].map(OsString::from).to_vec();
    words.extend(what.iter().flat_map(|what| ["-e", what]).map(OsString::from));
    words.extend([OsString::from("-o"), file.into(), OsString::from("--")]);
    words
}

/// What happened, in order, of what matters here.
#[derive(Debug)]
pub(crate) enum Event {
    /// Bytes came from a client.
    Heard(String),
    /// Something was written into the log of the database.
    Logged,
    /// A sync of that log came back.
    Synced,
    /// A reply goes out.
    Said(String),
}

/// The events of a trace.
pub(crate) fn events(trace: &str) -> Vec<Event> {
    let mut syncing = HashMap::new();
    trace.lines().filter_map(|line| event(line, &mut syncing)).collect()
}

/// One line: a call with its return, the beginning of one, or the end of one that other threads' calls came between.
fn event<'t>(line: &'t str, syncing: &mut HashMap<&'t str, bool>) -> Option<Event> {
    let (thread, rest) = line.split_once(' ')?;
    let rest = rest.trim_start();
    let of_log = rest.contains("phoneops.sqlite-wal>");
    if rest.starts_with("fdatasync(") || rest.starts_with("fsync(") {
        syncing.insert(thread, of_log);
        return (of_log && rest.ends_with("= 0")).then_some(Event::Synced);
    }
    if rest.starts_with("<... fdatasync resumed") || rest.starts_with("<... fsync resumed") {
        return (syncing.remove(thread) == Some(true) && rest.ends_with("= 0")).then_some(Event::Synced);
    }
    if rest.starts_with("pwrite64(") {
        return of_log.then_some(Event::Logged);
    }
    if rest.contains("HTTP/1.1 2") && ["write(", "writev(", "sendto(", "sendmsg("].iter().any(|call| rest.starts_with(call)) {
        return Some(Event::Said(rest.to_owned()));
    }
    let heard = ["read(", "recvfrom(", "<... read resumed", "<... recvfrom resumed"].iter().any(|call| rest.starts_with(call));
    (heard && rest.contains("\"POST /")).then(|| Event::Heard(rest.to_owned()))
}

/// That the reply with `reply` in it went out only after the request with `request` in it was written to the log and synced.
pub(crate) fn assert_synced_between(events: &[Event], request: &str, reply: &str) {
    let heard = events.iter().position(|event| matches!(event, Event::Heard(text) if text.contains(request)));
    let heard = heard.unwrap_or_else(|| panic!("{request} was never heard"));
    let said = events[heard..].iter().position(|event| matches!(event, Event::Said(text) if text.contains(reply)));
    let said = heard + said.unwrap_or_else(|| panic!("{reply} was never said after {request}"));
    let between = &events[heard..said];
    let logged = between.iter().position(|event| matches!(event, Event::Logged));
    let logged = logged.unwrap_or_else(|| panic!("{reply} was said before anything of {request} was written: {between:?}"));
    let synced = between[logged..].iter().any(|event| matches!(event, Event::Synced));
    assert!(synced, "{reply} was said before {request} was synced: {between:?}");
}

#[test]
fn a_reply_before_its_sync_is_noticed() {
    let lines = [
        r#"7 recvfrom(9<TCP:[1]>, "POST /v1/incidents HTTP/1.1\r\nidempotency-key: a\r\n", 8192, 0, NULL, NULL) = 99"#,
        r#"8 pwrite64(5</data/phoneops.sqlite-wal>, "\1", 24, 0) = 24"#,
        r"8 fdatasync(5</data/phoneops.sqlite-wal> <unfinished ...>",
        r#"7 writev(9<TCP:[1]>, [{iov_base="HTTP/1.1 201 Created\r\n\"inc_1\"", iov_len=9}], 1) = 9"#,
        r"8 <... fdatasync resumed>) = 0",
    ];
    let check = |order: [usize; 5]| {
        let trace: Vec<_> = order.iter().map(|at| lines[*at]).collect();
        let trace = trace.join("\n");
        std::panic::catch_unwind(|| assert_synced_between(&events(&trace), "idempotency-key: a", "inc_1")).is_ok()
    };
    assert!(check([0, 1, 2, 4, 3]));
    assert!(!check([0, 1, 2, 3, 4]), "the sync had not come back");
    assert!(!check([1, 2, 4, 0, 3]), "another's sync");
}
