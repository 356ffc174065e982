//! Commands: how a line that somebody says becomes the action that is to be allowed. Pure but for what is kept of them.
//!
//! A command is a pattern with named groups, and templates that put the groups into the action. Three are built in; administrators
//! declare others.
//!
//! **Invariants**
//! - The first word of a pattern is its verb, literally, and what is left of the line is taken as a whole or not at all.
//! - The type of the action is a fixed text, and every group of the pattern stands in its target or its params: nothing that is typed
//!   goes unseen past whoever approves, and nothing that is typed chooses which kind of action it is.
//! - A line that two commands take is no command's.
//! - A declared command has no word that means something else in chat: of the built-in verbs it has only that of the built-in command
//!   whose name it has, and whose place it takes.
//! - Taking a line costs time that grows with the line alone, whatever the patterns are.

mod declaration;
mod pattern;
mod set;

pub use declaration::{ActionTemplate, Declaration, Invalid};
pub use set::{Commands, NotTaken, Taken, built_in};

/// The words that begin what chat understands without a command. No declared command begins with one of them, but for `merge`, which is
/// also the verb of the built-in command of that name.
pub const RESERVED: &[&str] = &[
    "ack",
    "acknowledge",
    "all",
    "am",
    "cancel",
    "close",
    "commands",
    "deny",
    "escalate",
    "everything",
    "help",
    "inc",
    "incident",
    "incidents",
    "link",
    "maintenance",
    "me",
    "merge",
    "mine",
    "my",
    "no",
    "note",
    "on",
    "on-call",
    "oncall",
    "only",
    "override",
    "page",
    "problems",
    "reassign",
    "request",
    "requests",
    "resolve",
    "show",
    "snooze",
    "sup",
    "take",
    "test",
    "trigger",
    "who",
    "who's",
    "whois",
    "whos",
    "yes",
];
