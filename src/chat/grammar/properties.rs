//! For every line: nothing panics, and what was understood says itself again.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::approvals::commands::Commands;

/// The grammar, compiled once.
static BUILT_IN: LazyLock<Vocabulary> = LazyLock::new(Vocabulary::built_in);

/// Words that stand behind verbs.
const KNOWN: &[&str] = &[
    "to",
    "into",
    "for",
    "from",
    "until",
    "in",
    "and",
    ",",
    "mine",
    "all",
    "me",
    "events",
    "@ys",
    "@yannick,",
    "<@U1|ys>",
    "<@!7>:",
    "team:api",
    "service:web",
    "schedule:api",
    "api",
    "P7K3M2X",
    "p7k3m2x.",
    "#PAAAAAA",
    "60",
    "2h",
    "90m",
    "hours",
    "production",
    "api/new_auth",
    "deploy",
    "approve",
    "changes",
    "merge",
    "abcdef1",
    "R7K2",
    "env=prod",
    "2027-01-10T08:00Z",
    "2027-01-11T08:00Z",
    "usr_0190163d-8694-739b-aea5-966c26f8ad91",
    "—",
    "!",
    "?",
    "’",
    "@",
    "<@>",
    "team:",
    "=",
    "==",
    "İ",
    "ſ",
    "K",
    "\u{202e}",
    "⚠️",
];

/// Words that the grammar knows, words that are near, and words of strangers.
fn word() -> impl Strategy<Value = String> {
    let starts: Vec<String> =
        VERBS.iter().flat_map(|help| help.starts.iter().flat_map(|start| start.split(' '))).map(str::to_owned).collect();
    prop_oneof![
        3 => prop::sample::select(starts),
        5 => prop::sample::select(KNOWN).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9@<>|:,.!?'’“”/=_-]{1,8}",
        1 => any::<String>(),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let space = prop_oneof![4 => Just(" "), 1 => Just("  "), 1 => Just("\u{a0}"), 1 => Just("\t")];
    let words = prop::collection::vec((word(), space), 0..10)
        .prop_map(|words| words.into_iter().map(|(word, space)| word + space).collect());
    prop_oneof![8 => words, 1 => any::<String>(), 1 => example()]
}

/// A line of the help with one word changed, left out or added.
fn example() -> impl Strategy<Value = String> {
    let examples: Vec<String> = BUILT_IN.entries().map(|entry| entry.example).collect();
    (prop::sample::select(examples), any::<prop::sample::Index>(), prop::option::of(word()), any::<bool>()).prop_map(
        |(line, at, word, instead)| {
            let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let at = at.index(words.len());
            if instead {
                words.remove(at);
            }
            if let Some(word) = word {
                words.insert(at, word);
            }
            words.join(" ")
        },
    )
}

/// The same line in another case and with other spaces.
fn shouted(line: &str) -> String {
    line.replace(' ', "\u{a0} ").to_uppercase()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_understood_says_itself_again(line in line()) {
        if let Ok(command) = parse(&line, &BUILT_IN) {
            let said = render(&command);
            prop_assert_eq!(parse(&said, &BUILT_IN), Ok(command), "{}", said);
            prop_assert!(!said.chars().any(char::is_control), "{:?}", said);
        }
    }

    #[test]
    fn what_is_asked_is_what_was_typed(line in line()) {
        let Ok(Command::Gated(gated)) = parse(&line, &BUILT_IN) else { return Ok(()) };
        // Built by hand from the words, without the patterns.
        let words: Vec<&str> = gated.line.split(' ').collect();
        let param = |name: &str| match gated.action.params.0.get(name) {
            Some(crate::approvals::Param::Text(text)) => text.as_str(),
            _ => "",
        };
        match gated.name.as_str() {
            "deploy" => {
                prop_assert_eq!(words[1], format!("{}/{}", param("app"), param("ref")));
                prop_assert_eq!(words[3], gated.action.target.as_str());
                prop_assert_eq!(words.get(4).copied().unwrap_or_default(), param("sha"));
                prop_assert_eq!(words.len(), if param("sha").is_empty() { 4 } else { 5 });
            }
            "merge" => prop_assert_eq!(&words[1..], &[format!("{}/{}", gated.action.target, param("branch"))]),
            "approve" => prop_assert_eq!(&words[3..], &[format!("{}/{}", gated.action.target, param("branch"))]),
            other => prop_assert!(false, "{}", other),
        }
        prop_assert!(words[0].eq_ignore_ascii_case(&gated.name));
    }

    #[test]
    fn a_line_means_the_same_in_any_case_or_nothing(line in line()) {
        let kind = |command: &Command| std::mem::discriminant(command);
        if let (Ok(typed), Ok(shouted)) = (parse(&line, &BUILT_IN), parse(&shouted(&line), &BUILT_IN)) {
            prop_assert_eq!(kind(&typed), kind(&shouted));
        }
    }
}

proptest! {
    // Each case compiles its commands.
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_pattern_panics_and_none_takes_what_chat_understands(pattern in "[a-z]{2,8}( .{0,24})?", line in line()) {
        let declared = crate::approvals::commands::Declaration {
            name: "restart".parse().unwrap(),
            pattern: pattern.clone(),
            action: crate::approvals::commands::ActionTemplate { kind: "restart".into(), target: "all".into(), params: BTreeMap::new() },
            success: "you are restarting".into(),
            help: "restart".into(),
            example: pattern,
        };
        let Ok(commands) = Commands::new(vec![declared]) else { return Ok(()) };
        let with = Vocabulary::new(std::sync::Arc::new(commands));
        if let Ok(before) = parse(&line, &BUILT_IN) {
            prop_assert_eq!(parse(&line, &with), Ok(before));
        }
    }
}
