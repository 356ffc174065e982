//! The lines one can type. A pure function from text to meaning.

/// A line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// `bot deploy api/new_auth to production`
    Deploy { app: String, reference: String, environment: String },
    /// `bot page @yannick All your apps are down`
    Page { whom: String, title: String },
    /// `bot escalate P7K3M2X to @ys, I need some help`
    Escalate { reference: String, whom: String, message: Option<String> },
    /// `bot ack P7K3M2X`
    Acknowledge(String),
    /// `bot resolve P7K3M2X`
    Resolve(String),
    /// `bot incidents`
    Incidents,
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

/// What one can type, for `help`.
pub(super) const HELP: &[(&str, &str)] = &[
    ("bot deploy api/new_auth to production", "ask for something that needs approval"),
    ("bot page @yannick All your apps are down", "wake somebody (also @ys)"),
    ("bot ack P7K3M2X", "take an incident, in chat"),
    ("bot escalate P7K3M2X to @ys, I need some help", "hand it on, with a word"),
    ("bot resolve P7K3M2X", "end it"),
    ("bot incidents", "what is open"),
    ("phone", "look at yannick's phone (phone ys: at the other one)"),
    ("phone approve", "approve with the passkey"),
    ("phone deny not on a Friday", "deny, and say why"),
    ("phone ack", "acknowledge the page (also: phone resolve, phone escalate)"),
    ("phone not-me P7K3M2X", "the bot acted in my name without me: ring again"),
    ("browser", "a link that makes your own browser yannick's phone (browser ys: that of ys)"),
    ("phone confirm 285444", "confirm it, with the six digits that it shows"),
    ("quit", "end the demo"),
];

/// Understands a line.
pub(super) fn parse(line: &str) -> Line {
    let words: Vec<&str> = line.split_whitespace().collect();
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let rest = |from: usize| words[from..].join(" ");
    match lower.as_slice() {
        [] => Line::Nothing,
        ["quit" | "exit" | "q"] => Line::Quit,
        ["help" | "?"] | ["bot", "help"] => Line::Help,
        ["bot", "deploy", _, "to", _] => match words[2].split_once('/') {
            Some((app, reference)) if !app.is_empty() && !reference.is_empty() => {
                Line::Deploy { app: app.into(), reference: reference.into(), environment: words[4].into() }
            }
            _ => Line::Unknown(line.trim().into()),
        },
        ["bot", "page" | "trigger", whom, _, ..] if whom.starts_with('@') => {
            Line::Page { whom: whom.trim_start_matches('@').into(), title: rest(3) }
        }
        ["bot", "escalate", _, "to", whom, ..] if whom.starts_with('@') => {
            let whom = whom.trim_start_matches('@').trim_end_matches(',').to_owned();
            let message = Some(rest(5)).filter(|message| !message.is_empty());
            Line::Escalate { reference: words[2].into(), whom, message }
        }
        ["bot", "ack" | "acknowledge", _] => Line::Acknowledge(words[2].into()),
        ["bot", "resolve", _] => Line::Resolve(words[2].into()),
        ["bot", "incidents"] => Line::Incidents,
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

    #[test]
    fn the_talks_lines_are_understood() {
        assert_eq!(
            parse("bot deploy api/new_auth to production"),
            Line::Deploy { app: "api".into(), reference: "new_auth".into(), environment: "production".into() }
        );
        assert_eq!(
            parse("bot page @yannick All your apps are down"),
            Line::Page { whom: "yannick".into(), title: "All your apps are down".into() }
        );
        assert_eq!(parse("bot resolve PIHXOC6"), Line::Resolve("PIHXOC6".into()));
        let escalate = |message: Option<&str>| Line::Escalate {
            reference: "PIHXOC6".into(),
            whom: "ys".into(),
            message: message.map(str::to_owned),
        };
        assert_eq!(parse("bot escalate PIHXOC6 to @ys, I need some help"), escalate(Some("I need some help")));
        assert_eq!(parse("bot escalate PIHXOC6 to @ys"), escalate(None));
        assert_eq!(parse("phone escalate"), Line::Phone { whose: "yannick".into(), what: Tap::Escalate(None) });
        let deny = Tap::Deny(Some("not on a Friday".into()));
        assert_eq!(parse("phone ys deny not on a Friday"), Line::Phone { whose: "ys".into(), what: deny });
        let confirm = Line::Phone { whose: "yannick".into(), what: Tap::Confirm("285444".into()) };
        assert_eq!((parse("phone confirm 285444"), parse("phone confirm 285 444")), (confirm.clone(), confirm));
        assert_eq!(parse("browser ys"), Line::Browser("ys".into()));
        assert_eq!(parse("  "), Line::Nothing);
    }

    #[test]
    fn every_line_of_the_help_is_understood() {
        for (line, _) in HELP {
            assert!(!matches!(parse(line), Line::Unknown(_) | Line::Nothing), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said_back() {
        for line in [
            "bot deploy api to production",
            "bot deploy /x to production",
            "bot page yannick hi",
            "phone explode",
            "phone confirm 12345",
            "hello",
        ] {
            assert_eq!(parse(line), Line::Unknown(line.into()));
        }
    }
}
