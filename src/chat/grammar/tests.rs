//! Lines, as people type them.

use std::time::Duration;

use super::*;
use crate::approvals::{Action, Param, Params};

fn understood(line: &str) -> Command {
    parse(line, &Vocabulary::built_in()).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refused(line: &str) -> String {
    match parse(line, &Vocabulary::built_in()) {
        Err(error) => error.to_string(),
        Ok(command) => panic!("{line}: {command:?}"),
    }
}

fn at(text: &str) -> Reference {
    text.parse().unwrap()
}

fn person(text: &str) -> Whom {
    Whom::User(text.parse().unwrap())
}

fn name(text: &str) -> Handle {
    text.parse().unwrap()
}

fn gated(line: &str) -> (String, Action, String) {
    match understood(line) {
        Command::Gated(gated) => (gated.name, gated.action, gated.success),
        other => panic!("{line}: {other:?}"),
    }
}

fn action(kind: &str, target: &str, params: &[(&str, &str)]) -> Action {
    let params = params.iter().map(|(name, value)| ((*name).to_owned(), Param::Text((*value).to_owned()))).collect();
    Action { kind: kind.to_owned(), target: target.to_owned(), params: Params(params) }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn somebody_is_paged() {
    let page = |to: &[Whom], title: &str| Command::Page { to: to.to_vec(), title: title.to_owned() };
    let yannick = [person("@yannick")];
    for line in [
        "page @yannick All your apps are down",
        "Page @Yannick, All your apps are down",
        "trigger @yannick: All your apps are down",
        "  page\u{a0}@yannick   All your\u{a0}apps are down ",
        "PAGE @yannick — All your apps are down",
    ] {
        assert_eq!(understood(line), page(&yannick, "All your apps are down"), "{line}");
    }
    let both = [person("@yannick"), person("@ys")];
    for line in
        ["page @yannick @ys Help", "page @yannick, @ys: Help", "page @yannick and @ys Help", "page @yannick , @ys and @ys Help"]
    {
        assert_eq!(understood(line), page(&both, "Help"), "{line}");
    }
    let mention = |id: &str| Whom::Mention(id.parse().unwrap());
    assert_eq!(understood("page <@U012AB3CD|yannick> Help"), page(&[mention("U012AB3CD")], "Help"));
    assert_eq!(understood("page <@U012AB3CD>, <@!42> Help"), page(&[mention("U012AB3CD"), mention("42")], "Help"));
    assert_eq!(understood("page team:api Help"), page(&[Whom::Team(name("api"))], "Help"));
    assert_eq!(
        understood("page Schedule:api service:web Help"),
        page(&[Whom::Schedule(name("api")), Whom::Service(name("web"))], "Help")
    );
    assert_eq!(understood("page api web is down"), page(&[Whom::Bare(name("api"))], "web is down"));
    // What somebody is told keeps its words.
    assert_eq!(understood("page @ys It’s “down” ⚠️ @3am, and loud"), page(&[person("@ys")], "It’s “down” ⚠️ @3am, and loud"));
    assert_eq!(
        refused("page"),
        "Whom to page is missing. Say it like: page @user|team:name|schedule:name|service:name what is wrong"
    );
    assert!(refused("page @ys").starts_with("What is wrong is missing."));
    assert!(refused("page @!?").starts_with("“@!?” is nobody's name."));
}

#[test]
fn incidents_are_acted_on() {
    let (one, other) = (at("P7K3M2X"), at("PAAAAAA"));
    assert_eq!(understood("incidents"), Command::Incidents { mine: false });
    for line in ["incidents mine", "Incidents for me", "my incidents", "inc mine"] {
        assert_eq!(understood(line), Command::Incidents { mine: true }, "{line}");
    }
    for line in ["incident p7k3m2x", "incident #P7K3M2X?", "incident (P7K3M2X)"] {
        assert_eq!(understood(line), Command::Incident(one.clone()), "{line}");
    }
    for (line, which) in [
        ("ack", Which::Mine),
        ("ack mine", Which::Mine),
        ("Ack!", Which::All),
        ("acknowledge all", Which::All),
        ("ack P7K3M2X", Which::These(vec![one.clone()])),
        ("ack p7k3m2x, PAAAAAA and PAAAAAA.", Which::These(vec![one.clone(), other.clone()])),
        ("ack incidents P7K3M2X,PAAAAAA", Which::These(vec![one.clone(), other.clone()])),
        ("ack! P7K3M2X", Which::These(vec![one.clone()])),
    ] {
        assert_eq!(understood(line), Command::Acknowledge(which), "{line}");
    }
    // I is read as 1 and O as 0.
    assert_eq!(understood("resolve PIHXOC6"), Command::Resolve(vec![at("P1HX0C6")]));
    assert_eq!(understood("close P7K3M2X & PAAAAAA"), Command::Resolve(vec![one.clone(), other.clone()]));
    assert_eq!(refused("resolve"), "Which incident is missing. Say it like: resolve P7K3M2X …");
    assert_eq!(refused("resolve it"), "“it” is no incident. Say it like: resolve P7K3M2X …");
    assert_eq!(understood("note P7K3M2X: the  database is full"), Command::Note(one.clone(), "the database is full".into()));
    assert_eq!(understood("merge P7K3M2X into PAAAAAA"), Command::Merge { from: one.clone(), into: other });
    assert!(refused("merge P7K3M2X into P7K3M2X").starts_with("Those are the same incident"));
    assert!(refused("merge P7K3M2X into it").starts_with("“it” is no incident"));
    assert_eq!(understood("reassign P7K3M2X to @ys"), Command::Reassign(one.clone(), vec![person("@ys")]));
    assert_eq!(understood("reassign P7K3M2X @ys, @yannick"), Command::Reassign(one, vec![person("@ys"), person("@yannick")]));
}

#[test]
fn incidents_are_handed_on() {
    let escalate = |incident: Option<&str>, to: &[Whom], message: Option<&str>| Command::Escalate {
        incident: incident.map(at),
        to: to.to_vec(),
        message: message.map(str::to_owned),
    };
    let ys = [person("@ys")];
    for line in [
        "escalate P7K3M2X to @ys, I need some help",
        "escalate p7k3m2x @ys: I need some help",
        "Escalate incident P7K3M2X to @YS , I need some help",
    ] {
        assert_eq!(understood(line), escalate(Some("P7K3M2X"), &ys, Some("I need some help")), "{line}");
    }
    assert_eq!(understood("escalate to @ys, I need some help"), escalate(None, &ys, Some("I need some help")));
    assert_eq!(understood("escalate @ys"), escalate(None, &ys, None));
    assert_eq!(understood("escalate to ops please"), escalate(None, &[Whom::Bare(name("ops"))], Some("please")));
    assert_eq!(understood("escalate P7K3M2X"), escalate(Some("P7K3M2X"), &[], None));
    assert_eq!(understood("escalate P7K3M2X, I need some help"), escalate(Some("P7K3M2X"), &[], Some("I need some help")));
    assert_eq!(understood("escalate"), escalate(None, &[], None));
    assert!(refused("escalate it").starts_with("“it” is no incident"));
    assert!(refused("escalate P7K3M2X to").starts_with("To whom is missing"));
}

#[test]
fn times_are_read_as_people_write_them() {
    for (line, time) in [
        ("2h", MINUTE * 120),
        ("for 2h", MINUTE * 120),
        ("90m", MINUTE * 90),
        ("60", MINUTE * 60),
        ("2h30m", MINUTE * 150),
        ("2 hours and 30 minutes.", MINUTE * 150),
        ("1h 30", MINUTE * 90),
        ("1d", MINUTE * 1440),
        ("1 week", MINUTE * 10080),
        ("90 Min", MINUTE * 90),
        ("45s", Duration::from_secs(45)),
    ] {
        assert_eq!(understood(&format!("snooze P7K3M2X {line}")), Command::Snooze(at("P7K3M2X"), time), "{line}");
    }
    for (line, why) in [
        ("", "For how long is missing"),
        ("0", "That is no time at all"),
        ("367d", "That is too long"),
        ("99999999999999999999", "“99999999999999999999” is no time"),
        ("18446744073709551615", "That is too long"),
        ("18446744073709551615w", "“18446744073709551615w” is no time"),
        ("h2", "“h2” is no time"),
        ("2x", "“2x” is no time"),
        ("until tomorrow", "“until” is no time"),
        ("-5m", "“-5m” is no time"),
    ] {
        let said = refused(&format!("snooze P7K3M2X {line}"));
        assert!(said.starts_with(why), "{line}: {said}");
    }
}

#[test]
fn the_pager_changes_hands() {
    for line in ["who's on call", "Who’s on call?", "whos oncall", "who is on-call", "on call", "oncall"] {
        assert_eq!(understood(line), Command::OnCall(None), "{line}");
    }
    for line in ["who's on call for api", "who’s on call for API?", "who is on call in schedule:api now?", "on-call api"] {
        assert_eq!(understood(line), Command::OnCall(Some(name("api"))), "{line}");
    }
    for line in ["am I on call", "Am i on-call?", "am I oncall"] {
        assert_eq!(understood(line), Command::AmIOnCall, "{line}");
    }
    assert!(refused("who's on call for @ys").starts_with("“@ys” is no name of a schedule"));
    for line in ["take api 60", "take api for 1h", "take 60 api", "take schedule api 60 minutes"] {
        assert_eq!(understood(line), Command::Take(name("api"), MINUTE * 60), "{line}");
    }
    for line in ["maintenance api 60", "maintenance 60 api", "maintenance service:api for 1 hour"] {
        assert_eq!(understood(line), Command::Maintenance(name("api"), MINUTE * 60), "{line}");
    }
    assert!(refused("take api").starts_with("For how long is missing"));
    let (from, until): (crate::clock::Timestamp, crate::clock::Timestamp) =
        ("2027-01-10T08:00:00Z".parse().unwrap(), "2027-01-10T20:00:00Z".parse().unwrap());
    let over = |from, by: Whom| Command::Override { schedule: name("api"), by, from, until };
    for line in [
        "override api @ys from 2027-01-10T08:00Z to 2027-01-10T20:00Z",
        "override schedule:api with @ys from 2027-01-10T09:00+01:00 until 2027-01-10T20:00:00Z.",
    ] {
        assert_eq!(understood(line), over(Some(from), person("@ys")), "{line}");
    }
    assert_eq!(understood("override api <@U1> until 2027-01-10T20:00Z"), over(None, Whom::Mention("U1".parse().unwrap())));
    assert!(refused("override api @ys from 2027-01-10T20:00Z to 2027-01-10T08:00Z").starts_with("It ends before it begins"));
    assert!(refused("override api @ys").starts_with("Until when is missing"));
    assert!(refused("override api team:api to 2027-01-10T20:00Z").starts_with("“team:api” is no person"));
    assert!(refused("override api @ys to tomorrow").starts_with("“tomorrow” is no time"));
}

#[test]
fn whoever_asks_is_helped() {
    assert_eq!(understood("help"), Command::Help(None));
    assert_eq!(understood("?"), Command::Help(None));
    assert_eq!(understood("Help Page!"), Command::Help(Some("page".into())));
    assert_eq!(understood("link me"), Command::LinkMe);
    assert_eq!(understood("Test me!"), Command::TestMe);
    assert_eq!(understood("request r7k2"), Command::Request("R7K2".into()));
    assert_eq!(understood("cancel request 7LO2."), Command::Cancel("7102".into()));
    assert!(refused("cancel it").starts_with("“it” is no request"));
    let only = |labels: &[(&str, &str)]| {
        Command::ShowOnly(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    };
    assert_eq!(understood("show me only production events"), only(&[(ANY_LABEL, "production")]));
    assert_eq!(
        understood("show only team=api and service=web, production"),
        only(&[("team", "api"), ("service", "web"), (ANY_LABEL, "production")])
    );
    assert_eq!(understood("show me everything"), only(&[]));
    assert_eq!(understood("Show me all events."), only(&[]));
    assert!(refused("show me only events").starts_with("What to show is missing"));
    assert!(refused("show me only production staging").starts_with("That is two words for one label"));
}

#[test]
fn what_is_gated_becomes_an_action() {
    let deploy = action("deploy", "production", &[("app", "api"), ("ref", "new_auth")]);
    for line in
        ["deploy api/new_auth to production", "Deploy  api/new_auth\u{a0}TO production", "deploy api/new_auth in production"]
    {
        let success = "you are deploying api/new_auth to production".to_owned();
        assert_eq!(gated(line), ("deploy".into(), deploy.clone(), success), "{line}");
    }
    let (_, exact, _) = gated("deploy api/feature/x to production 1234567");
    assert_eq!(exact, action("deploy", "production", &[("app", "api"), ("ref", "feature/x"), ("sha", "1234567")]));
    let (name, merge, success) = gated("merge api/new_auth");
    assert_eq!((name.as_str(), merge), ("merge", action("merge", "api", &[("branch", "new_auth")])));
    assert_eq!(success, "you are merging api/new_auth");
    let (_, approve, _) = gated("approve changes to api/new_auth");
    assert_eq!(approve, action("approve-changes", "api", &[("branch", "new_auth")]));
    for line in [
        "deploy",
        "deploy api to production",
        "deploy /x to production",
        "deploy api/x to production 123456",
        "deploy api/x to production.",
        "deploy api/x to production now please",
        "deploy api/x\u{202e} to production",
        "deploy api/-f to production",
    ] {
        let said = refused(line);
        assert!(said.contains("deploy"), "{line}: {said}");
    }
    assert!(refused("deploy \u{212a}ing/x to production").contains("U+212A"));
    assert_eq!(refused("merge it"), "Say it like: merge api/new_auth");
    assert_eq!(refused("approve R7K2"), "Nothing is approved or denied in chat: open the request on your phone.");
    assert!(refused("deny R7K2").starts_with("Nothing is approved or denied in chat"));
}

#[test]
fn what_is_not_understood_is_said() {
    assert_eq!(
        refused("pgae @ys help"),
        "I do not know “pgae”. Did you mean: page @user|team:name|schedule:name|service:name what is wrong Say help to see what I know."
    );
    assert!(refused("dploy api/x to production").contains("Did you mean: deploy api/new_auth to production"));
    assert!(refused("incdents").contains("Did you mean: incidents [mine]"));
    assert_eq!(refused("hello there"), "I do not know “hello”. Say help to see what I know.");
    assert!(refused("who on call").contains("who's on call"));
    assert_eq!(refused("   "), "Say help to see what I know.");
    assert_eq!(refused("ack\nresolve P7K3M2X"), "One line at a time, please.");
    assert!(refused("note P7K3M2X a\u{7}b").contains("U+0007"));
    assert!(refused(&"x ".repeat(2_001)).contains("4000"));
    assert!(refused("link you").contains("I do not know what “you” means there"));
}

#[test]
fn every_line_of_the_help_is_understood_and_means_its_own_command() {
    let vocabulary = Vocabulary::built_in();
    for entry in vocabulary.entries() {
        let command = parse(&entry.example, &vocabulary).unwrap_or_else(|error| panic!("{}: {error}", entry.example));
        assert_eq!(matches!(command, Command::Gated(_)), entry.gated, "{}", entry.example);
        assert!(!vocabulary.help(Some(&entry.name)).is_empty(), "{}", entry.name);
        for start in &entry.starts {
            assert!(vocabulary.help(Some(start)).contains(&entry), "{start}");
        }
    }
    for help in VERBS {
        for start in help.starts {
            let words = Words::of(start);
            assert_eq!(verb_of(&words).map(|(verb, _)| verb), Some(help.verb), "{start}");
            let first = start.split(' ').next().unwrap_or_default();
            let known = crate::approvals::commands::RESERVED.iter().any(|word| *word == first.trim_end_matches(['!', '?']));
            assert!(known || first == "?" || first == "only", "{first} is not kept from declared commands");
        }
    }
}
