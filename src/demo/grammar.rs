//! The lines one can type: what one would say in chat, and what one would tap on a phone. A pure function from text to meaning.

use crate::chat::{self, Command, NotUnderstood, Vocabulary};

/// A line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// `bot …`: by the grammar of chat.
    Chat(Result<Box<Command>, NotUnderstood>),
    /// `phone [ys] …`
    Phone { whose: String, what: Tap },
    /// `browser [ys]`
    Browser(String),
    /// `help`
    Help,
    /// `quit`
    Quit,
    /// Nothing was typed.
    Nothing,
    /// Not understood; carries the words.
    Unknown(String),
}

/// What somebody does on a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tap {
    /// Look at the screen.
    Look,
    /// Approve what waits.
    Approve,
    /// Deny what waits.
    Deny(Option<String>),
    /// Acknowledge this incident, or the last one.
    Acknowledge(Option<String>),
    /// End this incident, or the last one.
    Resolve(Option<String>),
    /// Hand this incident, or the last one, to the next step.
    Escalate(Option<String>),
    /// Confirm the device that waits and shows this number.
    Confirm(String),
    /// "That was not me."
    NotMe(String),
}

/// Of what one can say in chat, what `help` begins with; `bot help` tells all.
const FIRST: &[&str] = &["deploy", "page", "ack", "escalate", "resolve", "incidents", "help"];

/// What one can tap.
const PHONE: &[(&str, &str)] = &[
    ("phone", "look at yannick's phone (phone ys: at the other one)"),
    ("phone approve", "approve with the passkey"),
    ("phone deny not on a Friday", "deny, and say why"),
    ("phone ack", "acknowledge the page (also: phone resolve, phone escalate)"),
    ("phone not-me P7K3M2X", "the bot acted in my name without me: ring again"),
    ("browser", "a link that makes your own browser yannick's phone (browser ys: that of ys)"),
    ("phone confirm 285444", "confirm it, with the six digits that it shows"),
    ("quit", "end the demo"),
];

/// What one can type, for `help`.
pub(super) fn help(vocabulary: &Vocabulary) -> Vec<(String, String)> {
    let entries: Vec<_> = vocabulary.entries().collect();
    let said = FIRST.iter().filter_map(|name| entries.iter().find(|entry| entry.name == *name));
    let said = said.map(|entry| (format!("bot {}", entry.example), entry.help.clone()));
    said.chain(PHONE.iter().map(|(line, what)| ((*line).to_owned(), (*what).to_owned()))).collect()
}

/// Understands a line.
pub(super) fn parse(line: &str, vocabulary: &Vocabulary) -> Line {
    let words: Vec<&str> = line.split_whitespace().collect();
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match lower.as_slice() {
        [] => Line::Nothing,
        ["quit" | "exit" | "q"] => Line::Quit,
        ["help" | "?"] => Line::Help,
        ["bot", ..] => {
            let said = line.trim_start().split_once(char::is_whitespace).map_or("", |(_, said)| said);
            Line::Chat(chat::parse(said, vocabulary).map(Box::new))
        }
        ["browser"] => Line::Browser("yannick".into()),
        ["browser", "yannick" | "ys"] => Line::Browser(lower[1].into()),
        ["phone", "yannick" | "ys", ..] => tap(lower[1], &words[2..], line),
        ["phone", ..] => tap("yannick", &words[1..], line),
        _ => Line::Unknown(line.trim().into()),
    }
}

fn tap(whose: &str, words: &[&str], line: &str) -> Line {
    let what = match words {
        [] => Tap::Look,
        ["approve"] => Tap::Approve,
        ["deny"] => Tap::Deny(None),
        ["deny", why @ ..] => Tap::Deny(Some(why.join(" "))),
        ["ack" | "acknowledge"] => Tap::Acknowledge(None),
        ["ack" | "acknowledge", reference] => Tap::Acknowledge(Some((*reference).into())),
        ["resolve"] => Tap::Resolve(None),
        ["resolve", reference] => Tap::Resolve(Some((*reference).into())),
        ["escalate"] => Tap::Escalate(None),
        ["escalate", reference] => Tap::Escalate(Some((*reference).into())),
        // As people read it: in one, or in two groups of three.
        ["confirm", digits @ ..] if is_number(&digits.concat()) => Tap::Confirm(digits.concat()),
        ["not-me", reference] => Tap::NotMe((*reference).into()),
        _ => return Line::Unknown(line.trim().into()),
    };
    Line::Phone { whose: whose.into(), what }
}

fn is_number(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(line: &str) -> Line {
        parse(line, &Vocabulary::built_in())
    }

    #[test]
    fn what_is_said_to_the_bot_is_chat_and_what_is_tapped_is_not() {
        let vocabulary = Vocabulary::built_in();
        for said in [
            "page @yannick All your apps are down",
            "escalate PIHXOC6 to @ys, I need some help",
            "deploy api/new_auth to production",
        ] {
            let command = chat::parse(said, &vocabulary).map(Box::new);
            assert!(command.is_ok(), "{said}");
            assert_eq!(understood(&format!("  Bot   {said} ")), Line::Chat(command));
        }
        assert_eq!(understood("bot"), Line::Chat(Err(NotUnderstood::Nothing)));
        assert_eq!(understood("phone escalate"), Line::Phone { whose: "yannick".into(), what: Tap::Escalate(None) });
        let deny = Tap::Deny(Some("not on a Friday".into()));
        assert_eq!(understood("phone ys deny not on a Friday"), Line::Phone { whose: "ys".into(), what: deny });
        let confirm = Line::Phone { whose: "yannick".into(), what: Tap::Confirm("285444".into()) };
        assert_eq!((understood("phone confirm 285444"), understood("phone confirm 285 444")), (confirm.clone(), confirm));
        assert_eq!(understood("browser ys"), Line::Browser("ys".into()));
        assert_eq!(understood("  "), Line::Nothing);
        assert_eq!(
            (understood("phone explode"), understood("hello")),
            (Line::Unknown("phone explode".into()), Line::Unknown("hello".into()))
        );
    }

    #[test]
    fn every_line_of_the_help_is_understood() {
        let lines = help(&Vocabulary::built_in());
        assert_eq!(lines.len(), FIRST.len() + PHONE.len());
        for (line, _) in lines {
            assert!(!matches!(understood(&line), Line::Unknown(_) | Line::Nothing | Line::Chat(Err(_))), "{line}");
        }
    }
}
