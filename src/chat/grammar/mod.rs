//! The grammar of chat: from a line to what it asks for, and back. Pure functions.
//!
//! **Invariants**
//! - No text makes it panic, and what it does not understand it says: with the nearest command, or with how this one is said.
//! - Verbs and the words between are read in any case, with the quotation marks and spaces that phones type. What somebody is told
//!   (titles, notes, messages) keeps its words, with single spaces between, and holds no control character.
//! - `parse(render(command))` is `command` for every command that was parsed: a button says what it means.
//! - A line whose words are in the grammar is never a gated command, and a gated command is one and no other.

mod nearest;
mod render;
mod times;
mod verbs;
mod words;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::verbs::verb_of;
use self::words::{Words, handle, names_somebody, reference, unmarked, whom};
use super::command::{ANY_LABEL, Command, Gated, Which, Whom};
use super::gated::Vocabulary;
use crate::identity::Handle;
use crate::paging::Reference;

pub use render::render;
pub use verbs::{VERBS, Verb, VerbHelp};

/// More incidents or people than this in one line are a mistake.
const MOST: usize = 50;

/// The longest line, in characters.
const LONGEST: usize = 4_000;

/// Why a line is not understood. Its text is what whoever said it is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUnderstood {
    /// Nothing was said.
    #[error("Say help to see what I know.")]
    Nothing,
    /// No command begins like that.
    #[error("I do not know “{word}”.{} Say help to see what I know.", .nearest.as_ref().map(|usage| format!(" Did you mean: {usage}")).unwrap_or_default())]
    Unknown {
        /// The word.
        word: String,
        /// How the nearest command is said.
        nearest: Option<String>,
    },
    /// Something of the command is missing, or makes no sense.
    #[error("{}Say it like: {usage}", .why.as_ref().map(|why| format!("{why}. ")).unwrap_or_default())]
    Usage {
        /// How the command is said.
        usage: String,
        /// What is wrong, as a sentence without its full stop.
        why: Option<String>,
    },
    /// Two gated commands take the line, or what it asks for is no action.
    #[error("{0}.")]
    Refused(String),
    /// Nothing is approved in chat.
    #[error("Nothing is approved or denied in chat: open the request on your phone.")]
    OnThePhone,
    /// It holds a control character, or several lines.
    #[error("{}", if matches!(.0, '\n' | '\r') { "One line at a time, please.".to_owned() } else { format!("The line holds the control character U+{:04X}.", u32::from(*.0)) })]
    Control(char),
    /// It is longer than any command.
    #[error("That is too long: a line has at most 4000 characters.")]
    TooLong,
}

/// Understands a line, which is without the bot's name.
///
/// # Errors
/// When it is not understood; the error's text says what could have been meant.
pub fn parse(line: &str, vocabulary: &Vocabulary) -> Result<Command, NotUnderstood> {
    let line = words::folded(line)?;
    let words = Words::of(&line);
    let Some(first) = words.first() else { return Err(NotUnderstood::Nothing) };
    if let Some((verb, arguments)) = verb_of(&words)
        && let Some(command) = understood(verb, arguments, first)
    {
        return command;
    }
    let answers = matches!(unmarked(first).to_ascii_lowercase().as_str(), "approve" | "deny");
    match vocabulary.take(&line) {
        // `approve R7K2`, and not a command that begins so and was said wrongly.
        Some(Err(_)) if answers && line.split_whitespace().count() == 2 => return Err(NotUnderstood::OnThePhone),
        Some(taken) => return taken.map(Command::Gated),
        None if answers => return Err(NotUnderstood::OnThePhone),
        None => {}
    }
    Err(NotUnderstood::Unknown { word: crate::text::line(first, 40), nearest: nearest::usage(first, vocabulary) })
}

/// What the words after a verb ask for. Nothing when they are a gated command's, for the verb means two things.
fn understood(verb: Verb, words: Words<'_>, said: &str) -> Option<Result<Command, NotUnderstood>> {
    Some(match verb {
        Verb::Page => page(words),
        Verb::Incidents => incidents(words),
        Verb::MyIncidents => words.end(verb).map(|()| Command::Incidents { mine: true }),
        Verb::Incident => incident(words),
        Verb::Ack => acknowledge(words, said),
        Verb::Resolve => references(words, verb).map(Command::Resolve),
        Verb::Escalate => escalate(words),
        Verb::Snooze => snooze(words),
        Verb::Reassign => reassign(words),
        Verb::Note => note(words),
        Verb::Merge => return merge(words),
        Verb::OnCall => on_call(words),
        Verb::AmIOnCall => words.end(verb).map(|()| Command::AmIOnCall),
        Verb::Take => for_minutes(words, verb, "schedule:").map(|(schedule, time)| Command::Take(schedule, time)),
        Verb::Maintenance => for_minutes(words, verb, "service:").map(|(service, time)| Command::Maintenance(service, time)),
        Verb::Override => override_shift(words),
        Verb::Request => tag(words, verb).map(Command::Request),
        Verb::Cancel => tag(words, verb).map(Command::Cancel),
        Verb::LinkMe => words.end(verb).map(|()| Command::LinkMe),
        Verb::TestMe => words.end(verb).map(|()| Command::TestMe),
        Verb::ShowOnly => show_only(words),
        Verb::ShowAll => show_all(words),
        Verb::Help => Ok(Command::Help(Some(topic(words.rest())).filter(|topic| !topic.is_empty()))),
    })
}

/// What help is asked about, without the marks and the white space behind it.
fn topic(words: &str) -> String {
    words.trim_end_matches(|c: char| c.is_whitespace() || ".,;:!?".contains(c)).to_lowercase()
}

impl Verb {
    /// How it is said.
    fn usage(self, why: Option<String>) -> NotUnderstood {
        let usage = VERBS.iter().find(|help| help.verb == self).map_or("help", |help| help.usage);
        NotUnderstood::Usage { usage: usage.to_owned(), why }
    }

    fn wrong<T>(self, why: impl Into<String>) -> Result<T, NotUnderstood> {
        Err(self.usage(Some(why.into())))
    }
}

fn page(mut words: Words<'_>) -> Result<Command, NotUnderstood> {
    let verb = Verb::Page;
    let to = people(&mut words, verb, "Whom to page is missing")?;
    match words.rest() {
        "" => verb.wrong("What is wrong is missing"),
        title => Ok(Command::Page { to, title: title.to_owned() }),
    }
}

/// Whom a line names: one, who may go by a bare name, and others who are marked as people, teams, schedules or services.
fn people(words: &mut Words<'_>, verb: Verb, missing: &str) -> Result<Vec<Whom>, NotUnderstood> {
    let Some(first) = words.pop() else { return verb.wrong(missing) };
    let Some(first) = whom(first) else { return verb.wrong(format!("“{}” is nobody's name", crate::text::line(first, 40))) };
    let mut people = vec![first];
    loop {
        let mut ahead = *words;
        ahead.skip_connectors();
        let Some(next) = ahead.pop().filter(|word| names_somebody(word)).and_then(whom) else { break };
        *words = ahead;
        if !people.contains(&next) {
            people.push(next);
        }
        if people.len() > MOST {
            return verb.wrong("That is too many people");
        }
    }
    words.skip_commas();
    Ok(people)
}

fn incidents(mut words: Words<'_>) -> Result<Command, NotUnderstood> {
    words.skip("for");
    let mine = words.skip("mine") || words.skip("me");
    words.end(Verb::Incidents).map(|()| Command::Incidents { mine })
}

fn incident(words: Words<'_>) -> Result<Command, NotUnderstood> {
    if words.is_empty() {
        return Ok(Command::Incidents { mine: false });
    }
    match references(words, Verb::Incident)?.as_slice() {
        [one] => Ok(Command::Incident(one.clone())),
        _ => Verb::Incident.wrong("One at a time"),
    }
}

fn acknowledge(mut words: Words<'_>, said: &str) -> Result<Command, NotUnderstood> {
    let all = said.ends_with('!');
    if words.is_empty() {
        return Ok(Command::Acknowledge(if all { Which::All } else { Which::Mine }));
    }
    let which = if words.skip("mine") {
        Which::Mine
    } else if words.skip("all") || words.skip("everything") {
        Which::All
    } else {
        return references(words, Verb::Ack).map(|these| Command::Acknowledge(Which::These(these)));
    };
    words.end(Verb::Ack).map(|()| Command::Acknowledge(which))
}

/// The incidents that the rest of a line names: `P7K3M2X`, `P7K3M2X, PAAAAAA and PBBBBBB`.
fn references(mut words: Words<'_>, verb: Verb) -> Result<Vec<Reference>, NotUnderstood> {
    let _ = words.skip("incident") || words.skip("incidents");
    let mut named = Vec::new();
    for part in words.rest().split([' ', ',']) {
        if words::is_connector(part) {
            continue;
        }
        let Some(reference) = reference(part) else {
            return verb.wrong(format!("“{}” is no incident", crate::text::line(part, 40)));
        };
        if !named.contains(&reference) {
            named.push(reference);
        }
    }
    match named.len() {
        0 => verb.wrong("Which incident is missing"),
        n if n > MOST => verb.wrong("That is too many incidents"),
        _ => Ok(named),
    }
}

/// The one incident that the next word names.
fn one_reference(words: &mut Words<'_>, verb: Verb) -> Result<Reference, NotUnderstood> {
    words.skip("incident");
    let Some(word) = words.pop() else { return verb.wrong("Which incident is missing") };
    let found = reference(word);
    found.ok_or_else(|| verb.usage(Some(format!("“{}” is no incident", crate::text::line(word, 40)))))
}

fn escalate(mut words: Words<'_>) -> Result<Command, NotUnderstood> {
    let verb = Verb::Escalate;
    words.skip("incident");
    let incident = words.first().and_then(reference);
    if incident.is_some() {
        words.pop();
        words.skip_commas();
    }
    let to = if words.skip("to") || words.first().is_some_and(names_somebody) {
        people(&mut words, verb, "To whom is missing")?
    } else if incident.is_none() && !words.is_empty() {
        return verb.wrong(format!("“{}” is no incident", crate::text::line(words.first().unwrap_or_default(), 40)));
    } else {
        Vec::new()
    };
    let message = Some(words.rest()).filter(|message| !message.is_empty()).map(str::to_owned);
    Ok(Command::Escalate { incident, to, message })
}

fn snooze(mut words: Words<'_>) -> Result<Command, NotUnderstood> {
    let incident = one_reference(&mut words, Verb::Snooze)?;
    words.skip("for");
    let time = times::duration(words).map_err(|why| Verb::Snooze.usage(Some(why)))?;
    Ok(Command::Snooze(incident, time))
}

fn reassign(mut words: Words<'_>) -> Result<Command, NotUnderstood> {
    let incident = one_reference(&mut words, Verb::Reassign)?;
    words.skip("to");
    let to = people(&mut words, Verb::Reassign, "To whom is missing")?;
    words.end(Verb::Reassign).map(|()| Command::Reassign(incident, to))
}

fn note(mut words: Words<'_>) -> Result<Command, NotUnderstood> {
    let incident = one_reference(&mut words, Verb::Note)?;
    words.skip_commas();
    match words.rest() {
        "" => Verb::Note.wrong("What to note is missing"),
        text => Ok(Command::Note(incident, text.to_owned())),
    }
}

/// `merge P7K3M2X into PAAAAAA`; any other merge is a gated command's.
fn merge(mut words: Words<'_>) -> Option<Result<Command, NotUnderstood>> {
    words.skip("incident");
    let from = words.pop().and_then(reference)?;
    if !words.skip("into") {
        return None;
    }
    Some(one_reference(&mut words, Verb::Merge).and_then(|into| {
        words.end(Verb::Merge)?;
        if from == into { Verb::Merge.wrong("Those are the same incident") } else { Ok(Command::Merge { from, into }) }
    }))
}

fn on_call(mut words: Words<'_>) -> Result<Command, NotUnderstood> {
    let asked = words.skip("for") || words.skip("in");
    words.skip("schedule");
    let Some(word) = words.pop() else {
        return if asked { Verb::OnCall.wrong("For which schedule is missing") } else { Ok(Command::OnCall(None)) };
    };
    let schedule = named(word, "schedule:", Verb::OnCall)?;
    let _ = words.skip("now") || words.skip("today");
    words.end(Verb::OnCall).map(|()| Command::OnCall(Some(schedule)))
}

fn named(word: &str, kind: &str, verb: Verb) -> Result<Handle, NotUnderstood> {
    let found = handle(word, kind);
    found.ok_or_else(|| {
        verb.usage(Some(format!("“{}” is no name of a {}", crate::text::line(word, 40), kind.trim_end_matches(':'))))
    })
}

/// `take api 60`, `maintenance api 2h`, and the other way round as people know it: `maintenance 60 api`.
fn for_minutes(mut words: Words<'_>, verb: Verb, kind: &str) -> Result<(Handle, std::time::Duration), NotUnderstood> {
    words.skip(kind.trim_end_matches(':'));
    let mut ahead = words;
    let minutes = ahead.pop().and_then(times::simple);
    if let (Some(time), Some(word), true) = (minutes, ahead.pop(), ahead.is_empty())
        && handle(word, kind).is_some()
        && times::unit(word).is_none()
    {
        return Ok((named(word, kind, verb)?, time));
    }
    let Some(word) = words.pop() else { return verb.wrong(format!("Which {} is missing", kind.trim_end_matches(':'))) };
    let name = named(word, kind, verb)?;
    words.skip("for");
    let time = times::duration(words).map_err(|why| verb.usage(Some(why)))?;
    Ok((name, time))
}

fn override_shift(mut words: Words<'_>) -> Result<Command, NotUnderstood> {
    let verb = Verb::Override;
    let Some(word) = words.pop() else { return verb.wrong("Which schedule is missing") };
    let schedule = named(word, "schedule:", verb)?;
    let _ = words.skip("with") || words.skip("by");
    let Some(word) = words.pop() else { return verb.wrong("Who takes it is missing") };
    let by = whom(word).filter(|by| matches!(by, Whom::User(_) | Whom::Mention(_)));
    let Some(by) = by else { return verb.wrong(format!("“{}” is no person", crate::text::line(word, 40))) };
    let instant = |words: &mut Words<'_>| match words.pop() {
        None => verb.wrong("Until when is missing"),
        Some(word) => times::instant(word).map_err(|why| verb.usage(Some(why))),
    };
    let from = if words.skip("from") { Some(instant(&mut words)?) } else { None };
    if !(words.skip("to") || words.skip("until")) && from.is_none() {
        return verb.wrong("Until when is missing");
    }
    let until = instant(&mut words)?;
    words.end(verb)?;
    if from.is_some_and(|from| until <= from) {
        return verb.wrong("It ends before it begins");
    }
    Ok(Command::Override { schedule, by, from, until })
}

/// The tag or id of a request.
fn tag(mut words: Words<'_>, verb: Verb) -> Result<String, NotUnderstood> {
    words.skip("request");
    let Some(word) = words.pop() else { return verb.wrong("Which request is missing") };
    let found = words::request(word);
    let tag = found.ok_or_else(|| verb.usage(Some(format!("“{}” is no request", crate::text::line(word, 40)))))?;
    words.end(verb).map(|()| tag)
}

/// `show me only production events`, `show me only team=api service=web`
fn show_only(mut words: Words<'_>) -> Result<Command, NotUnderstood> {
    let verb = Verb::ShowOnly;
    let mut only = BTreeMap::new();
    while let Some(word) = words.pop() {
        let word = unmarked(word);
        let filler =
            words.is_empty() && matches!(word.to_ascii_lowercase().as_str(), "events" | "incidents" | "alerts" | "pages");
        if filler || words::is_connector(word) {
            continue;
        }
        let (name, value) = word.split_once('=').unwrap_or((ANY_LABEL, word));
        if name.is_empty() || value.is_empty() || value.contains('=') {
            return verb.wrong(format!("“{}” is no label", crate::text::line(word, 40)));
        }
        if only.insert(name.to_owned(), value.to_owned()).is_some() {
            return verb.wrong(if name == ANY_LABEL {
                "That is two words for one label: write label=value".to_owned()
            } else {
                format!("{} is said twice", crate::text::line(name, 40))
            });
        }
    }
    match only.len() {
        0 => verb.wrong("What to show is missing"),
        n if n > MOST => verb.wrong("That is too many labels"),
        _ => Ok(Command::ShowOnly(only)),
    }
}

fn show_all(mut words: Words<'_>) -> Result<Command, NotUnderstood> {
    let _ = words.skip("events") || words.skip("incidents") || words.skip("alerts");
    words.end(Verb::ShowAll).map(|()| Command::ShowOnly(BTreeMap::new()))
}

impl Vocabulary {
    /// The gated command that takes the line, which is folded.
    fn take(&self, line: &str) -> Option<Result<Gated, NotUnderstood>> {
        let line = words::plain_quotes(line);
        let taken = self.commands().take(&line)?;
        Some(match taken {
            Ok(taken) => Ok(Gated { name: taken.command.to_string(), action: taken.action, success: taken.success, line }),
            Err(crate::approvals::commands::NotTaken::Form(examples)) => {
                Err(NotUnderstood::Usage { usage: examples.join(", or: "), why: None })
            }
            Err(other) => Err(NotUnderstood::Refused(other.to_string())),
        })
    }
}
