//! The verbs: what begins a line, and what help says of it.

use super::words::{Words, is_word};

/// What a line begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says what each is")]
pub enum Verb {
    Page,
    Incidents,
    MyIncidents,
    Incident,
    Ack,
    Resolve,
    Escalate,
    Snooze,
    Reassign,
    Note,
    Merge,
    OnCall,
    AmIOnCall,
    Take,
    Override,
    Maintenance,
    Request,
    Cancel,
    LinkMe,
    TestMe,
    ShowOnly,
    ShowAll,
    Help,
}

/// A verb, for help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerbHelp {
    /// Which.
    pub verb: Verb,
    /// A word for it without spaces: `on-call`.
    pub name: &'static str,
    /// The words that begin such a line, in lower case, the one to teach first: `who's on call`.
    pub starts: &'static [&'static str],
    /// How it is said.
    pub usage: &'static str,
    /// A line.
    pub example: &'static str,
    /// What it does.
    pub help: &'static str,
}

const fn verb(
    verb: Verb,
    name: &'static str,
    starts: &'static [&'static str],
    usage: &'static str,
    example: &'static str,
    help: &'static str,
) -> VerbHelp {
    VerbHelp { verb, name, starts, usage, example, help }
}

/// All verbs, in the order of help.
#[rustfmt::skip]
pub const VERBS: &[VerbHelp] = &[
    verb(Verb::Page, "page", &["page", "trigger"],
        "page @user|team:name|schedule:name|service:name what is wrong", "page @yannick All your apps are down",
        "wake somebody: it rings until somebody acknowledges"),
    verb(Verb::Incidents, "incidents", &["incidents", "inc", "sup", "problems"],
        "incidents [mine]", "incidents", "what is open"),
    verb(Verb::MyIncidents, "my-incidents", &["my incidents"],
        "my incidents", "my incidents", "what is open and yours"),
    verb(Verb::Incident, "incident", &["incident"],
        "incident P7K3M2X", "incident P7K3M2X", "one incident"),
    verb(Verb::Ack, "ack", &["ack", "acknowledge", "ack!"],
        "ack [P7K3M2X …|mine|all]", "ack P7K3M2X", "take it: the ringing stops (ack! takes all)"),
    verb(Verb::Resolve, "resolve", &["resolve", "close"],
        "resolve P7K3M2X …", "resolve P7K3M2X", "end it"),
    verb(Verb::Escalate, "escalate", &["escalate"],
        "escalate [P7K3M2X] [to @user, message]", "escalate P7K3M2X to @ys, I need some help",
        "hand it on, to somebody or to who is next"),
    verb(Verb::Snooze, "snooze", &["snooze"],
        "snooze P7K3M2X 2h", "snooze P7K3M2X 2h", "put it off"),
    verb(Verb::Reassign, "reassign", &["reassign"],
        "reassign P7K3M2X @user", "reassign P7K3M2X @ys", "give it to somebody else"),
    verb(Verb::Note, "note", &["note"],
        "note P7K3M2X what to remember", "note P7K3M2X the database is full", "write something down in its timeline"),
    verb(Verb::Merge, "merge-incidents", &["merge"],
        "merge P7K3M2X into PAAAAAA", "merge P7K3M2X into PAAAAAA", "one incident goes on as another"),
    verb(Verb::OnCall, "on-call",
        &["who's on call", "who's on-call", "who's oncall", "whos on call", "whos oncall", "who is on call", "who is on-call",
          "who is oncall", "on call", "on-call", "oncall"],
        "who's on call [for schedule]", "who's on call for api", "who has the pager"),
    verb(Verb::AmIOnCall, "am-i-on-call", &["am i on call", "am i on-call", "am i oncall"],
        "am I on call", "am I on call", "whether you have the pager"),
    verb(Verb::Take, "take", &["take"],
        "take schedule 60", "take api 60", "you have the pager for so many minutes"),
    verb(Verb::Override, "override", &["override"],
        "override schedule @user [from 2027-01-10T08:00Z] to 2027-01-10T20:00Z",
        "override api @ys from 2027-01-10T08:00Z to 2027-01-10T20:00Z", "somebody else has the pager for a while"),
    verb(Verb::Maintenance, "maintenance", &["maintenance"],
        "maintenance service 60", "maintenance api 60", "nobody is paged about it for so many minutes"),
    verb(Verb::Request, "request", &["request"],
        "request R7K2", "request R7K2", "what became of a request"),
    verb(Verb::Cancel, "cancel", &["cancel"],
        "cancel R7K2", "cancel R7K2", "take a request back"),
    verb(Verb::LinkMe, "link-me", &["link me", "link"],
        "link me", "link me", "link who you are here to your phone"),
    verb(Verb::TestMe, "test-me", &["test me", "test"],
        "test me", "test me", "ring your own phone, to see that it does"),
    verb(Verb::ShowAll, "show-all",
        &["show me everything", "show everything", "show me all", "show all"],
        "show me everything", "show me everything", "this room hears of all that it follows"),
    verb(Verb::ShowOnly, "show-only", &["show me only", "show only", "only show me", "only show"],
        "show me only production events|label=value …", "show me only production events", "this room hears of nothing else"),
    verb(Verb::Help, "help", &["help", "commands", "?"],
        "help [command]", "help page", "what I know"),
];

/// The verb that a line begins with, and the words after it: the longest of those that fit.
pub(super) fn verb_of<'a>(words: &Words<'a>) -> Option<(Verb, Words<'a>)> {
    let mut found: Option<(usize, Verb, Words<'a>)> = None;
    for help in VERBS {
        for start in help.starts {
            let Some(after) = after(*words, start) else { continue };
            let length = start.split(' ').count();
            if found.is_none_or(|(longest, ..)| length > longest) {
                found = Some((length, help.verb, after));
            }
        }
    }
    found.map(|(_, verb, after)| (verb, after))
}

fn after<'a>(mut words: Words<'a>, start: &str) -> Option<Words<'a>> {
    for word in start.split(' ') {
        if !words.pop().is_some_and(|said| is_word(said, word)) {
            return None;
        }
    }
    Some(words)
}
